//! What is known of the recordings of a call, and what may be asked of them.
//!
//! Owns the words and the shape in the call's record. Who takes the sound is `app::stream`, and who
//! writes the files `app::recording`.

use crate::id::RecordingId;
use serde::{Deserialize, Serialize};

/// Recordings of one call that are remembered; beyond, none begins.
pub const RECORDINGS_MAX: u32 = 64;

/// What stands in a recording's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordChannels {
    /// Both sides together.
    Mono,
    /// The caller left, what the caller was sent right.
    #[default]
    Stereo,
}

impl RecordChannels {
    /// By its name on the wire.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Mono, Self::Stereo].into_iter().find(|channels| channels.as_str() == name)
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mono => "mono",
            Self::Stereo => "stereo",
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u16 {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }
}

/// How a recording begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordStart {
    /// What stands in its channels.
    pub channels: RecordChannels,
    /// The caller hears a short tone.
    pub beep: bool,
}

/// What is asked of a call's recording; with an id, of that one or of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordWish {
    /// Begin one.
    Start(RecordStart),
    /// Leave out what comes until it goes on.
    Pause(Option<RecordingId>),
    /// Go on.
    Resume(Option<RecordingId>),
    /// End it.
    Stop(Option<RecordingId>),
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    /// It is being written.
    Recording,
    /// It waits to go on.
    Paused,
    /// Its file is whole.
    Ready,
    /// It broke off; what was written until then is kept where there is any.
    Failed,
}

impl RecordingState {
    /// Whether it goes on.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Recording | Self::Paused => true,
            Self::Ready | Self::Failed => false,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Paused => "paused",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

/// One recording of a call, as its record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingView {
    /// Its id, which is also the name of its file.
    pub id: RecordingId,
    /// How far it is.
    pub state: RecordingState,
    /// What stands in its channels.
    pub channels: RecordChannels,
    /// Samples a second and channel.
    pub rate: u32,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at: i64,
    /// How much is in it; while it goes on, as of its last change of state.
    pub duration_ms: u64,
    /// Length of its file; 0 until it has ended.
    #[serde(default)]
    pub octets: u64,
    /// Why it broke off, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
