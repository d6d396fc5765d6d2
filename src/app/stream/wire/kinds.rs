//! Which messages concern whom.

use super::Told;

impl Told {
    /// The name under which a client may leave it out; `None` for what comes in any case.
    #[must_use]
    pub fn filtered_as(&self) -> Option<&'static str> {
        match self {
            Self::CallEvent { .. }
            | Self::Transfer { .. }
            | Self::Recording(_)
            | Self::Answerer { .. }
            | Self::Beep { .. } => {
                Some("call_event")
            }
            Self::Transcript(_) => Some("transcript"),
            Self::Turn { .. } => Some("turn"),
            Self::Interrupted { .. } => Some("interrupted"),
            Self::Outcome { .. } => Some("outcome"),
            Self::Dtmf { .. } => Some("dtmf"),
            Self::Speech(_) => Some("speech"),
            Self::Tone(_) => Some("tone"),
            Self::BargeIn { .. } => Some("barge_in"),
            Self::Playback { .. } => Some("playback"),
            Self::Mark { .. } => Some("mark"),
            Self::Flow { .. } => Some("flow"),
            Self::Warning { .. } => Some("warning"),
            Self::Event { .. } => Some("event"),
            Self::Replayed(_) => Some("replayed"),
            // Whoever asked by a command is answered.
            Self::Stats(stats) if stats.id.is_none() => Some("stats"),
            Self::Stats(_)
            | Self::Start(_)
            | Self::Error { .. }
            | Self::Ack { .. }
            | Self::Pong { .. }
            // Only who asks for it has it.
            | Self::Concealed { .. }
            | Self::Stop { .. } => None,
        }
    }

    /// Whether it is about the call, and so for everybody; else it is for the main client alone.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        match self {
            Self::CallEvent { .. }
            | Self::Transfer { .. }
            | Self::Recording(_)
            | Self::Answerer { .. }
            | Self::Beep { .. }
            | Self::Transcript(_)
            | Self::Turn { .. }
            | Self::Interrupted { .. }
            | Self::Outcome { .. }
            | Self::Dtmf { .. }
            | Self::Speech(_)
            | Self::Tone(_)
            | Self::BargeIn { .. }
            | Self::Playback { .. }
            | Self::Mark { .. } => true,
            Self::Start(_)
            | Self::Flow { .. }
            | Self::Warning { .. }
            | Self::Error { .. }
            | Self::Ack { .. }
            | Self::Pong { .. }
            | Self::Stats(_)
            | Self::Event { .. }
            | Self::Replayed(_)
            | Self::Concealed { .. }
            | Self::Stop { .. } => false,
        }
    }
}
