//! What a vendor's protocol may have words for, out of all that is told.
//!
//! Owns the one list of what is left out of every dialect: a new message of our own protocol is
//! sorted here, once.

use super::super::wire::{CommandId, Start, Stats, Told};
use std::sync::Arc;

/// Something that other people's clients know, too.
pub(super) enum News<'a> {
    /// The conversation begins.
    Start(&'a Start),
    /// The caller pressed a key, for so many milliseconds.
    Digit(char, u32),
    /// A mark was reached, or cleared.
    Mark { name: &'a str, cleared: bool },
    /// Nothing of an utterance is left to be played: it was, or it was cleared.
    Over { utterance: &'a Arc<str>, played_ms: u64 },
    /// The queue passed a water mark; the client should stop, or go on.
    Flow { stop: bool },
    /// A request was carried out.
    Done(&'a CommandId),
    /// Something was not accepted.
    Error { id: Option<&'a CommandId>, code: &'static str, detail: &'a str },
    /// What was asked for.
    Stats(&'a Stats),
    /// The call is over.
    Stop,
    /// Nothing that they know.
    Other,
}

impl<'a> From<&'a Told> for News<'a> {
    fn from(told: &'a Told) -> Self {
        match told {
            Told::Start(start) => Self::Start(start),
            Told::Dtmf { digit, duration_ms, .. } => Self::Digit(*digit, *duration_ms),
            Told::Mark { name, cleared, .. } => Self::Mark { name, cleared: *cleared },
            Told::Playback { state, utterance: Some(utterance), played_ms, .. } => match *state {
                "completed" | "cleared" => Self::Over { utterance, played_ms: *played_ms },
                _ => Self::Other,
            },
            Told::Flow { state, .. } => Self::Flow { stop: *state == "xoff" },
            Told::Ack { id, .. } | Told::Pong { id: Some(id) } => Self::Done(id),
            Told::Error { id, code, detail, .. } => Self::Error { id: id.as_ref(), code, detail },
            Told::Stats(stats) => Self::Stats(stats),
            Told::Stop { .. } => Self::Stop,
            Told::Playback { utterance: None, .. }
            | Told::Pong { id: None }
            | Told::CallEvent { .. }
            | Told::Transfer { .. }
            | Told::Recording(_)
            | Told::Transcript(_)
            | Told::Turn { .. }
            | Told::Interrupted { .. }
            | Told::Outcome { .. }
            | Told::Speech(_)
            | Told::Tone(_)
            | Told::Answerer { .. }
            | Told::Beep { .. }
            | Told::Concealed { .. }
            | Told::BargeIn { .. }
            | Told::Event { .. }
            | Told::Replayed(_)
            | Told::Warning { .. } => Self::Other,
        }
    }
}
