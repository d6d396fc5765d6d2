//! What may be asked of a call while it lives, by REST, by its stream, or by its agent.
//!
//! Owns the words. Whether a wish can be granted is the machine's to say, and who carries it out is
//! the driver's.

use super::record::TransferMode;
use super::recording::RecordWish;
use crate::audio::progress::Tone;
use crate::id::CallId;
use std::time::Duration;

/// A wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Stop listening to the other side, and tell it so.
    Hold,
    /// Listen again.
    Resume,
    /// Send 180 for an incoming call.
    Ring,
    /// Send 183 for an incoming call, and play; with this tone of ours, which stops at the answer.
    /// A second time it changes the tone, or stops it.
    EarlyMedia(Option<Tone>),
    /// Answer an incoming call.
    Answer,
    /// Refuse an incoming call.
    Reject {
        /// 400 to 699.
        code: u16,
        /// The reason phrase; empty for the standard one.
        reason: String,
    },
    /// Replace sound by silence (`true`), or no longer.
    Mute(bool, MuteDirection),
    /// Press keys.
    Dtmf(DtmfWish),
    /// Hand the call over.
    Transfer(TransferWish),
    /// Join it with another call.
    Bridge(BridgeWish),
    /// Part them, or call no longer whom it is to be joined with.
    Unbridge,
    /// Record it, or something of its recording.
    Record(RecordWish),
    /// Go on with another document, in a call that obeys TwiML.
    Instruct(Box<crate::twiml::Entry>),
}

/// Which sound of a call is replaced by silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MuteDirection {
    /// Ours: the other side does not hear it.
    #[default]
    Playout,
    /// The other side's: we do not hear it.
    Capture,
    /// Both.
    Both,
}

impl MuteDirection {
    /// By its name on the wire.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Playout, Self::Capture, Self::Both].into_iter().find(|way| way.as_str() == name)
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Playout => "playout",
            Self::Capture => "capture",
            Self::Both => "both",
        }
    }
}

/// How digits are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DtmfMethod {
    /// As the trunk wants it: as telephone-event where that was agreed on, else as tones.
    #[default]
    Auto,
    /// As telephone-event (RFC 4733).
    Rfc4733,
    /// By SIP INFO.
    Info,
    /// As tones in the audio.
    Inband,
}

/// How a digit of the other side was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeardBy {
    /// As telephone-event (RFC 4733).
    Rfc4733,
    /// By SIP INFO.
    Info,
    /// As a tone in the audio.
    Inband,
}

impl HeardBy {
    /// What a media leg heard: in the audio, or as telephone-event.
    #[must_use]
    pub fn leg(inband: bool) -> Self {
        if inband { Self::Inband } else { Self::Rfc4733 }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rfc4733 => "rfc4733",
            Self::Info => "info",
            Self::Inband => "inband",
        }
    }
}

/// How long whom a transfer or `dial` calls may ring, unless stated.
pub const PARTY_RINGS: Duration = Duration::from_secs(45);

/// Keys to press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DtmfWish {
    /// 1 to 128 of `0-9*#A-D`.
    pub digits: String,
    /// How they are sent.
    pub method: DtmfMethod,
    /// Length of each.
    pub duration_ms: Option<u64>,
    /// Pause between them.
    pub gap_ms: Option<u64>,
}

/// A transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferWish {
    /// E.164 number or SIP URI.
    pub to: String,
    /// Bridge: our number that is shown; `None`: as for [`DialWish::from`].
    pub from: Option<String>,
    /// How.
    pub mode: TransferMode,
    /// Attended: the call whose place the new one takes.
    pub replaces: Option<CallId>,
    /// Extra header fields, already checked.
    pub headers: Vec<(String, String)>,
    /// How long it may take until the target answers.
    pub timeout: Duration,
    /// Bridge: what becomes of this call when the target hangs up.
    pub on_peer_hangup: OnPeerHangup,
}

/// Somebody to be called for an incoming call, and to be connected with its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialWish {
    /// E.164 number or SIP URI.
    pub to: String,
    /// Our number that is shown; `None`: the caller's if the trunk may show it, else the trunk's.
    pub from: Option<String>,
    /// The trunk; `None`: the one that the call came by.
    pub trunk: Option<String>,
    /// How long they may ring.
    pub timeout: Duration,
}

/// Two calls to be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeWish {
    /// The other one.
    pub with: CallId,
    /// What becomes of each when the other ends.
    pub on_peer_hangup: OnPeerHangup,
}

/// What becomes of a call when the one that it is joined with ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPeerHangup {
    /// It ends, too.
    Hangup,
    /// It goes on with its own content.
    Continue,
}

/// Why a wish is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// The state of the call does not permit it.
    #[error("{0}")]
    Conflict(String),
    /// The call is over.
    #[error("the call is over")]
    Ended,
    /// The trunk may not dial the target.
    #[error("{0}")]
    NotAllowed(String),
    /// The target, or something else of the wish, is wrong in itself.
    #[error("{0}")]
    Invalid(String),
    /// Not built in this version.
    #[error("{0}")]
    NotServed(String),
    /// The node takes no new calls.
    #[error("the gateway is shutting down")]
    Draining,
    /// A limit is reached.
    #[error("{0}")]
    Full(String),
}

impl WishError {
    /// The code on the wire, the same in REST and on the stream.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Ended => "call_ended",
            Self::NotAllowed(_) => "destination_not_allowed",
            Self::Invalid(_) => "invalid_request",
            Self::NotServed(_) => "not_implemented",
            Self::Draining => "draining",
            Self::Full(_) => "capacity_exceeded",
        }
    }
}
