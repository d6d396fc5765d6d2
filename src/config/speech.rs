//! `[[engine.…]]` and `[[voice]]`: who speaks and who listens.

use super::address::Url;
use super::declare::{choice, section};
use super::secret::Secret;
use super::value::Name;
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// Speech engines and language models.
    Engine {
        /// Speech synthesis; Pico is always there as `pico`.
        tts: Vec<TtsEngine>, Restart;
        /// Speech recognition; the first is asked unless a request names another.
        stt: Vec<SttEngine>, Restart;
        /// Language models and other brains; the first conducts agent calls unless
        /// `agent.default.llm` names another.
        llm: Vec<LlmEngine>, Call;
    }
}

choice! {
    /// The speech synthesisers.
    TtsKind {
        /// Built in: six voices in five languages.
        Pico = "pico",
        /// `POST {url}/audio/speech`, which OpenAI, Kokoro, Speaches, LocalAI and others serve.
        OpenAi = "openai",
        /// A local program that writes WAV or raw samples, e.g. espeak-ng, flite or piper.
        Command = "command",
        /// Piper's HTTP server.
        Piper = "piper",
        /// ElevenLabs.
        ElevenLabs = "elevenlabs",
        /// Cartesia.
        Cartesia = "cartesia",
        /// Deepgram Aura.
        Deepgram = "deepgram",
    }
}

section! {
    /// A speech synthesiser.
    TtsEngine {
        /// Its name in `[[voice]]`, and in voice ids of the form `name:voice`.
        name: Name => "pico", Restart;
        /// Which program it is.
        kind: TtsKind => "pico", Restart;
        /// Where it listens; without it the vendor's address.
        url: Option<Url> => "http://127.0.0.1:8880/v1", Restart;
        /// Its key, if it asks for one.
        key: Option<Secret> => "TTS_KEY", Restart;
        /// The model's name, for engines that have several.
        model: Option<String> => "kokoro", Restart;
        /// `command`: the program and its arguments. `{voice}` stands for the voice and `{speed}`
        /// for the speed; the text comes on standard input. No shell is involved.
        command: Vec<String> => ["espeak-ng", "--stdout", "-v", "{voice}"], Restart;
        /// `command`: rate in Hz of raw 16-bit samples; without it the program writes WAV.
        rate: Option<u32> [8000..=48_000] => 22050, Restart;
        /// When no sound came by then, the voice's fallback speaks.
        first_audio: Duration ["100ms"..="60s"] = "3s", Restart;
        /// Texts that it speaks at once; more wait.
        max_parallel: u32 [1..=10_000] = 32, Restart;
    }
}

choice! {
    /// The speech recognisers.
    SttKind {
        /// A Vosk server: free, offline, made for dictation.
        Vosk = "vosk",
        /// Deepgram.
        Deepgram = "deepgram",
        /// The Realtime transcription of OpenAI, which Speaches serves, too.
        OpenAi = "openai",
        /// AssemblyAI.
        AssemblyAi = "assemblyai",
        /// PocketSphinx with phrase lists; a build with the feature `sphinx`.
        Sphinx = "sphinx",
    }
}

section! {
    /// A speech recogniser.
    SttEngine {
        /// Its name in requests.
        name: Name => "vosk", Restart;
        /// Which program it is.
        kind: SttKind => "vosk", Restart;
        /// Where it listens; without it the vendor's address.
        url: Option<Url> => "ws://127.0.0.1:2700", Restart;
        /// Its key, if it asks for one.
        key: Option<Secret> => "STT_KEY", Restart;
        /// The model's name, for engines that have several.
        model: Option<String> => "nova-3", Restart;
        /// The language unless a request names one.
        language: Option<String> => "en-US", Restart;
        /// `sphinx`: the model's directory; Debian's is found without it.
        model_path: Option<PathBuf> => "/usr/share/pocketsphinx/model/en-us", Restart;
        /// `openai`: rate in Hz of linear samples, for servers that take no G.711 (Speaches: 24000).
        linear_rate: Option<u32> [8000..=48_000] => 24000, Restart;
        /// Calls that it serves at once.
        max_parallel: u32 [1..=100_000] = 1000, Restart;
    }
}

choice! {
    /// The protocols of brains.
    LlmKind {
        /// The chat completion protocol of OpenAI, which many servers speak.
        OpenaiChat = "openai-chat",
        /// Your own brain over one WebSocket per call; `docs/harness.md` is the protocol.
        Harness = "harness",
        /// Speech to speech by the Realtime protocol of OpenAI.
        OpenaiRealtime = "openai-realtime",
        /// Speech to speech by GPT-Live.
        GptLive = "gpt-live",
    }
}

section! {
    /// A language model, or another brain that conducts calls.
    LlmEngine {
        /// Its name in `agent.default.llm` and in `agent.backend` of requests.
        name: Name => "local", Call;
        /// Which protocol it speaks.
        kind: LlmKind => "openai-chat", Call;
        /// Where it listens.
        url: Url => "http://127.0.0.1:11434/v1", Call;
        /// The model's name.
        model: Option<String> => "model", Call;
        /// Its key, if it asks for one.
        key: Option<Secret> => "LLM_KEY", Call;
        /// How freely it chooses words.
        temperature: Option<f64> [0.0..=2.0] => 0.3, Call;
        /// Most tokens of one answer.
        max_tokens: Option<u32> [1..=100_000] => 300, Call;
        /// The first token must come by then.
        first_token: Duration ["100ms"..="120s"] = "10s", Call;
        /// Longest pause within an answer.
        idle: Duration ["100ms"..="120s"] = "10s", Call;
        /// Whether it is asked for a summary when the call is over.
        summary: bool = false, Call;
        /// Speech to speech: the vendor's voice.
        voice: Option<String> => "marin", Call;
        /// `gpt-live`: the model that calls tools for it; without one it has no tools.
        delegate: Option<String> => "gpt-5.1", Call;
        /// Price of a million tokens that it reads, for `agent.default.max_cost`.
        price_in: f64 [0.0..=10_000.0] = 0.0, Call;
        /// Price of a million tokens that it writes.
        price_out: f64 [0.0..=10_000.0] = 0.0, Call;
    }
}

section! {
    /// A voice, as requests name it. The six voices of Pico are there without any.
    Voice {
        /// Its id in requests.
        id: Name => "en-US-001", Restart;
        /// The engine that speaks it.
        engine: Name => "pico", Restart;
        /// What the engine calls it; Pico: en-US, en-GB, de-DE, es-ES, fr-FR or it-IT.
        voice: String => "en-US", Restart;
        /// Its language; without it what the engine's name for it begins with.
        language: Option<String> => "en-US", Restart;
        /// What people call it.
        name: Option<String> => "Ann", Restart;
        /// `female` or `male`.
        gender: Option<String> => "female", Restart;
        /// How fast it speaks; 1.0 is its own speed.
        speed: f64 [0.5..=2.0] = 1.0, Restart;
        /// How much louder than the common level, in dB.
        gain_db: f64 [-20.0..=12.0] = 0.0, Restart;
        /// The voice that speaks when its engine does not.
        fallback: Option<Name> => "en-GB-001", Restart;
    }
}
