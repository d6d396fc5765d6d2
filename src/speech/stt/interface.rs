//! Speech to text as its users see it: samples in at the caller's media clock, words out with
//! their place on it.

use std::sync::Arc;

/// What is asked of an engine for one call.
#[derive(Debug, Clone, Default)]
pub struct SttRequest {
    /// The engine's name in `[[engine.stt]]`; `None`: the first.
    pub engine: Option<String>,
    /// BCP 47, e.g. `en-US`; `None`: the engine's default.
    pub language: Option<String>,
    /// Phrases that are expected: a hint, or (constrained engines) all that can be recognised.
    pub phrases: Vec<String>,
    /// Whether partial transcripts are wanted.
    pub partials: bool,
    /// The rate of the samples, Hz; 8000.
    pub rate: u32,
}

/// A stretch of the caller's speech as text. Positions are samples of the capture clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// Counts up per call; partials and the final of one stretch share it.
    pub id: u64,
    /// The words; never empty.
    pub text: Arc<str>,
    /// It will not change.
    pub is_final: bool,
    /// First sample.
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
    /// 0 to 1, when the engine tells.
    pub confidence: Option<f32>,
    /// BCP 47, when known.
    pub language: Option<Arc<str>>,
    /// Chosen from a phrase list: something is recognised even where nothing of it was said.
    pub constrained: bool,
    /// Words with their times, when the engine tells.
    pub words: Arc<[Word]>,
}

/// One word of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As spoken.
    pub text: String,
    /// First sample.
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
    /// 0 to 1.
    pub confidence: Option<f32>,
}

/// What an engine tells about a call.
#[derive(Debug, Clone, PartialEq)]
pub enum SttEvent {
    /// Words.
    Transcript(Transcript),
    /// The engine heard speech begin at this position.
    SpeechStarted(u64),
    /// And end.
    SpeechEnded(u64),
    /// The engine's own end of turn.
    TurnEnd {
        /// Position.
        position: u64,
        /// 0 to 1; 1 when it does not tell.
        confidence: f32,
    },
    /// The engine works (again).
    Ready,
    /// The connection was lost and is being restored; audio is kept meanwhile (the last 2 s and
    /// what comes, bounded).
    Reconnecting(String),
    /// Given up, with the reason; nothing follows.
    Unavailable(String),
}

/// Why a call has no transcription from the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SttUnavailable {
    /// None is configured.
    #[error("no STT engine configured")]
    NoEngine,
    /// The request names one that is not there.
    #[error("there is no STT engine {name:?}; there are {known}")]
    UnknownEngine {
        /// As asked.
        name: String,
        /// What there is, comma-separated.
        known: String,
    },
    /// The engine cannot do what is asked (language, phrases needed).
    #[error("STT engine {name:?}: {reason}")]
    Unsuited {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
    /// As many calls as it may serve are served already.
    #[error("STT engine {name:?} serves {max} calls already")]
    Busy {
        /// Which.
        name: String,
        /// Its limit.
        max: usize,
    },
}
