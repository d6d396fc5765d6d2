//! `record`, and what a client is told of recordings.

use super::{Fields, Wrong};
use crate::call::recording::{
    RecordChannels, RecordStart, RecordWish, RecordingState, RecordingView,
};
use crate::id::RecordingId;
use serde::Serialize;

/// The body of `call_event` with the event `recording`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// `recording`.
    pub event: &'static str,
    /// `started`, `paused`, `resumed`, `ready` or `failed`.
    pub state: &'static str,
    /// Which.
    pub recording_id: RecordingId,
    /// How much is in it.
    pub duration_ms: u64,
    /// Why it broke off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Recorded {
    /// What has become of a recording; `again`: it goes on behind a pause.
    #[must_use]
    pub fn new(view: &RecordingView, again: bool) -> Self {
        let state = match view.state {
            RecordingState::Recording if again => "resumed",
            RecordingState::Recording => "started",
            RecordingState::Paused => "paused",
            RecordingState::Ready => "ready",
            RecordingState::Failed => "failed",
        };
        Self {
            event: "recording",
            state,
            recording_id: view.id.clone(),
            duration_ms: view.duration_ms,
            reason: view.reason.clone(),
        }
    }
}

/// `action`, `channels` and `beep` of `record`.
pub(super) fn record(fields: &Fields) -> Result<RecordWish, Wrong> {
    let wrong = |detail: &str| ("invalid_field", detail.to_owned());
    match fields.action.as_deref() {
        Some("start") => {
            let name = fields.channels.as_deref();
            let channels = name.map_or(Some(RecordChannels::default()), RecordChannels::by_name);
            let channels = channels.ok_or_else(|| wrong("channels must be mono or stereo"))?;
            let beep = fields.beep.unwrap_or(false);
            Ok(RecordWish::Start(RecordStart { channels, beep }))
        }
        Some("pause") => Ok(RecordWish::Pause(None)),
        Some("resume") => Ok(RecordWish::Resume(None)),
        Some("stop") => Ok(RecordWish::Stop(None)),
        Some(_) => Err(wrong("action must be start, pause, resume or stop")),
        None => Err(("missing_field", "record needs action".to_owned())),
    }
}
