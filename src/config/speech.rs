//! `[[engine.…]]` and `[[voice]]`: who speaks and who listens.

use super::address::Url;
use super::declare::{choice, section};
use super::secret::Secret;
use super::value::Name;

section! {
    /// Speech engines.
    Engine {
        /// Speech synthesis; without any, Pico is there as `pico`.
        tts: Vec<TtsEngine>, Restart;
        /// Speech recognition.
        stt: Vec<SttEngine>, Restart;
        /// Language models.
        llm: Vec<LlmEngine>, Restart;
    }
}

choice! {
    /// The speech synthesisers.
    TtsKind {
        /// Built in: six voices in five languages.
        Pico = "pico",
    }
}

section! {
    /// A speech synthesiser.
    TtsEngine {
        /// Its name in `[[voice]]`.
        name: Name => "pico", Restart;
        /// Which program it is.
        kind: TtsKind => "pico", Restart;
    }
}

choice! {
    /// The speech recognisers.
    SttKind {
        /// A Vosk server.
        Vosk = "vosk",
    }
}

section! {
    /// A speech recogniser.
    SttEngine {
        /// Its name.
        name: Name => "vosk", Restart;
        /// Which program it is.
        kind: SttKind => "vosk", Restart;
        /// Where it listens.
        url: Url => "ws://127.0.0.1:2700", Restart;
        /// Its key, if it asks for one.
        key: Option<Secret> => "STT_KEY", Restart;
    }
}

choice! {
    /// The language models' protocols.
    LlmKind {
        /// The chat completion protocol of OpenAI, which many servers speak.
        OpenaiChat = "openai-chat",
    }
}

section! {
    /// A language model.
    LlmEngine {
        /// Its name.
        name: Name => "local", Restart;
        /// Which protocol it speaks.
        kind: LlmKind => "openai-chat", Restart;
        /// Where it listens.
        url: Url => "http://127.0.0.1:11434/v1", Restart;
        /// The model's name.
        model: Option<String> => "model", Restart;
        /// Its key, if it asks for one.
        key: Option<Secret> => "LLM_KEY", Restart;
    }
}

section! {
    /// A voice, as requests name it. Without any, the six voices of Pico are there.
    Voice {
        /// Its id in requests.
        id: Name => "en-US-001", Call;
        /// The engine that speaks it.
        engine: Name => "pico", Call;
        /// What the engine calls it; Pico: en-US, en-GB, de-DE, es-ES, fr-FR or it-IT.
        voice: String => "en-US", Call;
    }
}
