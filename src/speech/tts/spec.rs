//! What the speech service is made with and asked for: plain values.

use super::voices::Voice;
use crate::speech::key::ApiKey;
use std::path::PathBuf;
use std::time::Duration;

/// Speeches that may be on their way at once; one more is refused.
pub const SPEECHES_MAX: usize = 4096;

/// How the speech service is set up.
#[derive(Debug, Clone)]
pub struct TtsSpec {
    /// Where Pico's voice files are written.
    pub voice_dir: PathBuf,
    /// Threads of Pico.
    pub threads: usize,
    /// Engines; Pico is there as `pico` without being declared.
    pub engines: Vec<TtsEngineSpec>,
    /// Voices by id, beyond the built-in ones.
    pub voices: Vec<Voice>,
    /// Active speech level to bring everything to, in dBov; `None`: as the engine made it.
    pub level_dbov: Option<f32>,
    /// Rate of what is handed out, in Hz.
    pub rate: u32,
    /// Bytes of finished speech to keep.
    pub cache_bytes: usize,
}

impl TtsSpec {
    /// The built-in engine and its voices alone, at 8 kHz and telephone level.
    #[must_use]
    pub fn built_in(voice_dir: PathBuf) -> Self {
        Self {
            voice_dir,
            threads: 1,
            engines: Vec::new(),
            voices: Vec::new(),
            level_dbov: Some(-20.0),
            rate: 8000,
            cache_bytes: 16 << 20,
        }
    }
}

/// The kinds of engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TtsEngineKind {
    /// SVOX Pico, built in.
    Pico,
    /// Any server of `POST {url}/audio/speech`.
    OpenAi,
    /// A program of this machine: text on its standard input, sound on its standard output.
    Command,
    /// Piper's HTTP server: the URL as it is, JSON in, WAV out.
    Piper,
    /// ElevenLabs, several contexts on a WebSocket.
    ElevenLabs,
    /// Cartesia, contexts on a WebSocket.
    Cartesia,
    /// Deepgram Aura on a WebSocket.
    Deepgram,
}

/// An engine as it is configured.
#[derive(Debug, Clone)]
pub struct TtsEngineSpec {
    /// Its name, which voices refer to.
    pub name: String,
    /// What it is.
    pub kind: TtsEngineKind,
    /// Where its server is; `None`: the vendor's.
    pub url: Option<String>,
    /// Its key.
    pub key: Option<ApiKey>,
    /// The model, where the vendor has several.
    pub model: Option<String>,
    /// Program and arguments of [`TtsEngineKind::Command`]. `{voice}`, `{language}`, `{speed}`
    /// (1.0), `{wpm}` (175 at 1.0) and `{rate}` are filled in; the text never is.
    pub command: Vec<String>,
    /// Hz. `command`: its output is raw s16le mono at this rate, without it a WAV. Elsewhere: the
    /// rate to ask for.
    pub rate: Option<u32>,
    /// Give up, or fall back, when there is no sound by then.
    pub first_audio: Duration,
    /// Sentences in synthesis at once; prompts get three quarters of them, agents all.
    pub max_parallel: usize,
}

impl TtsEngineSpec {
    /// An engine with defaults: 3 s to the first sound, eight at once.
    #[must_use]
    pub fn new(name: &str, kind: TtsEngineKind) -> Self {
        // Pico's threads are shared by all and never hang: its jobs may wait in line.
        let patient = kind == TtsEngineKind::Pico;
        Self {
            name: name.to_owned(),
            kind,
            url: None,
            key: None,
            model: None,
            command: Vec::new(),
            rate: None,
            first_audio: Duration::from_secs(if patient { 60 } else { 3 }),
            max_parallel: if patient { SPEECHES_MAX } else { 8 },
        }
    }
}

/// A text to be spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeakRequest {
    /// A voice id, or `engine:voice`.
    pub voice: String,
    /// The text, or the SSML.
    pub text: String,
    /// Whether `text` is SSML; markup is text otherwise.
    pub ssml: bool,
    /// 1.0 is the voice's own; 0.5 to 2.
    pub speed: f32,
    /// How often, at least once.
    pub repeat: u32,
    /// Speech of an agent: goes before prompts, and is made without looking back.
    pub live: bool,
}

impl SpeakRequest {
    /// Plain text, once, at the voice's own speed.
    #[must_use]
    pub fn new(voice: &str, text: &str) -> Self {
        Self {
            voice: voice.to_owned(),
            text: text.to_owned(),
            ssml: false,
            speed: 1.0,
            repeat: 1,
            live: false,
        }
    }
}

/// Why a text is not spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TtsError {
    /// The caller named no voice of ours.
    #[error("there is no voice {voice:?}; there are {}", few(known))]
    UnknownVoice {
        /// As asked.
        voice: String,
        /// The ids that there are.
        known: Vec<String>,
    },
    /// The configuration names an engine that it does not have.
    #[error("voice {voice:?} is spoken by the engine {engine:?}, which is not configured")]
    NoEngine {
        /// The voice's id.
        voice: String,
        /// The name.
        engine: String,
    },
    /// The caller gave nothing that can be said.
    #[error("the text has nothing in it that can be spoken")]
    NothingToSay,
    /// The caller gave more than any text is long.
    #[error("the text is longer than 65536 octets")]
    TooLong,
    /// The caller's SSML is none.
    #[error("SSML: {0}")]
    Ssml(String),
    /// Too many texts are being spoken.
    #[error("{SPEECHES_MAX} texts are being spoken already")]
    Busy,
    /// No runtime to speak on: our bug.
    #[error("speech needs a tokio runtime")]
    NoRuntime,
}

/// The first of a list, and that there are more.
fn few(known: &[String]) -> String {
    let mut text = known.iter().take(30).map(String::as_str).collect::<Vec<_>>().join(", ");
    if known.len() > 30 {
        text.push_str(", …");
    }
    text
}
