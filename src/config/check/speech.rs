//! Rules between engines, voices and agents.

use super::PICO_VOICES;
use crate::config::reader::{Reader, unknown_word};
use crate::config::speech::{LlmKind, SttKind, TtsKind};
use crate::config::{Config, Name};

/// Reports what does not go together among engines, voices and agents.
pub(super) fn check(config: &Config, reader: &mut Reader<'_>) {
    synthesisers(config, reader);
    recognisers(config, reader);
    brains(config, reader);
    voices(config, reader);
    agents(config, reader);
}

fn synthesisers(config: &Config, reader: &mut Reader<'_>) {
    for (index, engine) in config.engine.tts.iter().enumerate() {
        let path = format!("engine.tts[{index}]");
        let kind = engine.kind.as_str();
        match engine.kind {
            TtsKind::Command if engine.command.is_empty() => {
                reader.error_at(&path, "kind \"command\" needs command");
            }
            TtsKind::Pico | TtsKind::Command => {}
            TtsKind::OpenAi | TtsKind::Piper => {
                if engine.url.is_none() {
                    reader.error_at(&path, format!("kind \"{kind}\" needs url"));
                }
            }
            TtsKind::ElevenLabs | TtsKind::Cartesia | TtsKind::Deepgram => {
                if engine.key.is_none() && engine.url.is_none() {
                    reader.error_at(&path, format!("kind \"{kind}\" needs a key"));
                }
            }
        }
    }
}

fn recognisers(config: &Config, reader: &mut Reader<'_>) {
    for (index, engine) in config.engine.stt.iter().enumerate() {
        let path = format!("engine.stt[{index}]");
        let kind = engine.kind.as_str();
        match engine.kind {
            SttKind::Vosk if engine.url.is_none() => {
                reader.error_at(&path, "kind \"vosk\" needs url");
            }
            SttKind::Vosk => {}
            SttKind::Deepgram | SttKind::OpenAi | SttKind::AssemblyAi => {
                if engine.key.is_none() && engine.url.is_none() {
                    reader.error_at(&path, format!("kind \"{kind}\" needs a key"));
                }
            }
            SttKind::Sphinx if cfg!(feature = "sphinx") => {}
            SttKind::Sphinx => reader.error_at(
                &path,
                format!(
                    "kind \"{kind}\" is not in this build: build with --features {kind}, or use \
                     a server"
                ),
            ),
        }
    }
}

fn brains(config: &Config, reader: &mut Reader<'_>) {
    for (index, engine) in config.engine.llm.iter().enumerate() {
        let path = format!("engine.llm[{index}]");
        let socket = engine.url.starts_with("ws");
        let wants_socket = match engine.kind {
            LlmKind::OpenaiChat => false,
            LlmKind::Harness | LlmKind::OpenaiRealtime | LlmKind::GptLive => true,
        };
        if socket != wants_socket {
            let scheme = if wants_socket { "ws:// or wss://" } else { "http:// or https://" };
            let kind = engine.kind.as_str();
            reader.error_at(&format!("{path}.url"), format!("kind \"{kind}\" needs {scheme}"));
        }
        if engine.kind != LlmKind::Harness && engine.model.is_none() {
            reader.error_at(&path, "has no model");
        }
        if &*engine.name == "script" || &*engine.name == "default" {
            reader.error_at(&format!("{path}.name"), "is a word with a meaning of its own");
        }
    }
}

/// Whether a voice of this id is there, built-in ones included.
pub(super) fn knows_voice(config: &Config, id: &Name) -> bool {
    let built_in = PICO_VOICES.iter().any(|(known, _)| *known == &**id);
    built_in || config.voice.iter().any(|known| known.id == *id)
}

fn voices(config: &Config, reader: &mut Reader<'_>) {
    for (index, voice) in config.voice.iter().enumerate() {
        let path = format!("voice[{index}]");
        if let Some(fallback) = &voice.fallback
            && (*fallback == voice.id || !knows_voice(config, fallback))
        {
            reader.error_at(&format!("{path}.fallback"), format!("there is no voice {fallback}"));
        }
        let Some(engine) = config.engine.tts.iter().find(|tts| tts.name == voice.engine) else {
            let message = format!("there is no [[engine.tts]] called \"{}\"", voice.engine);
            reader.error_at(&format!("{path}.engine"), message);
            continue;
        };
        if engine.kind == TtsKind::Pico {
            let known: Vec<&str> = PICO_VOICES.iter().map(|(_, voice)| *voice).collect();
            if !known.contains(&voice.voice.as_str()) {
                reader.error_at(&format!("{path}.voice"), unknown_word(&voice.voice, &known));
            }
        }
    }
}

fn agents(config: &Config, reader: &mut Reader<'_>) {
    let agent = &config.agent.default;
    let named = |names: Vec<&str>, wanted: &Option<Name>| {
        wanted.as_ref().filter(|wanted| !names.contains(&&***wanted)).cloned()
    };
    let llm = config.engine.llm.iter().map(|engine| &*engine.name).collect();
    if let Some(missing) = named(llm, &agent.llm) {
        let message = format!("there is no [[engine.llm]] called \"{missing}\"");
        reader.error_at("agent.default.llm", message);
    }
    let stt = config.engine.stt.iter().map(|engine| &*engine.name).collect();
    if let Some(missing) = named(stt, &agent.stt) {
        let message = format!("there is no [[engine.stt]] called \"{missing}\"");
        reader.error_at("agent.default.stt", message);
    }
    if let Some(voice) = &agent.voice
        && !knows_voice(config, voice)
    {
        reader.error_at("agent.default.voice", format!("there is no voice {voice}"));
    }
    let turn = &agent.turn;
    if turn.silence_min > turn.silence || turn.silence > turn.silence_max {
        let message = "must lie between silence_min and silence_max";
        reader.error_at("agent.default.turn.silence", message);
    }
    if agent.max_cost.is_some() && config.engine.llm.iter().all(|llm| llm.price_out <= 0.0) {
        let message = "has no effect: no [[engine.llm]] has prices (price_in, price_out)";
        reader.warning_at("agent.default.max_cost", message);
    }
}
