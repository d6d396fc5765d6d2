//! The bodies of the longer messages.

use crate::call::outcome::Utterance;
use serde::Serialize;
use serde_json::{Map, Value};

/// The body of `transcript`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heard {
    /// The words.
    pub text: String,
    /// They will not change.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Whose words.
    pub track: &'static str,
    /// BCP 47, when known.
    pub language: Option<String>,
    /// 0 to 1, when the engine tells.
    pub confidence: Option<f32>,
    /// First sound, in milliseconds since the answer, by the caller's samples.
    pub start_ms: u64,
    /// Last sound.
    pub end_ms: u64,
    /// Partials and the final of one stretch of speech share it.
    pub id: u64,
    /// Chosen from a phrase list: it may be wrong however sure it looks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub constrained: bool,
}

impl Heard {
    /// A settled line of an agent's call.
    #[must_use]
    pub fn line(line: &Utterance, id: u64) -> Self {
        Self {
            text: line.text.clone(),
            is_final: true,
            track: if line.speaker == "agent" { "agent" } else { "caller" },
            language: None,
            confidence: line.confidence,
            start_ms: line.start_ms,
            end_ms: line.end_ms,
            id,
            constrained: line.constrained,
        }
    }
}

/// The body of `speech`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Speech {
    /// `started` or `stopped`.
    pub state: &'static str,
    /// `caller`.
    pub track: &'static str,
    /// First or last sound of the voice, in the caller's samples since the answer; before it, since
    /// listening began.
    pub position_ms: u64,
    /// How long the voice lasted; of `stopped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Playout was paused for it and waits so long for a `barge_in`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_deadline_ms: Option<u64>,
}

/// Whether transcripts come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transcribing {
    /// `available`, `unavailable` or `off`.
    pub status: &'static str,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Name of the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// The body of `start`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Start {
    /// Version of the protocol.
    pub version: u32,
    /// The call.
    pub call_id: String,
    /// Its line.
    pub instance_id: String,
    /// `outbound` or `inbound`.
    pub direction: crate::call::record::Direction,
    /// The calling party.
    pub from: Option<String>,
    /// Who calls, as the network says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Box<crate::call::identity::CallIdentity>>,
    /// The called party.
    pub to: String,
    /// What signalling says of the call.
    pub sip: Sip,
    /// Whether sound is encrypted on the wire; null before the first agreement.
    pub srtp: Option<bool>,
    /// The call's status of the five.
    pub call_status: &'static str,
    /// What the client may send.
    #[serde(rename = "in")]
    pub inward: Inward,
    /// What the client is sent; none when it does not listen.
    #[serde(rename = "out")]
    pub outward: Option<Outward>,
    /// How much audio may be queued.
    pub buffer_ms: u32,
    /// `queue`.
    pub playout: &'static str,
    /// `off`, `notify`, `clear` or `pause`.
    pub barge_in: &'static str,
    /// Whether transcripts come.
    pub transcription: Transcribing,
    /// The caller's own parameters from the create request.
    pub parameters: Map<String, Value>,
    /// The account of Twilio's REST that the call belongs to; in that vendor's words only.
    #[serde(skip)]
    pub account: Option<String>,
    /// `main` or `listener`.
    pub role: &'static str,
    /// `binary` or `json`.
    pub envelope: &'static str,
    /// How long the call goes on when the socket is lost.
    pub linger_ms: u64,
    /// By what the client goes on on another socket; null for whom that is not offered.
    pub resume: Option<ResumeOffer>,
    /// Whether this goes on where another socket stopped.
    pub resumed: bool,
}

/// What signalling says of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sip {
    /// Call-ID, for the carrier; null before the call is dialled.
    pub call_id: Option<String>,
    /// Header fields of an incoming INVITE whose names begin with `X-`.
    pub headers: Map<String, Value>,
}

/// By what a client goes on when it has lost its socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResumeOffer {
    /// For the query of the next upgrade.
    pub token: String,
    /// How long it is good for after the loss.
    pub linger_ms: u64,
}

/// The body of `replayed`: what a client that goes on is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The last `seq` that the client has, as it says.
    pub since: u64,
    /// Messages that follow with the `seq` and `t_ms` they had.
    pub events: u64,
    /// Messages that are gone for good.
    pub lost_events: u64,
    /// The first sample of audio that follows, counted per channel from the first ever sent.
    pub from_sample: u64,
    /// Samples that follow and were sent before.
    pub samples: u64,
    /// Samples behind them that were heard meanwhile.
    pub waiting_samples: u64,
    /// Samples that the client lacks and nobody has any more.
    pub lost_samples: u64,
    /// Octets of the client's audio that were taken in this conversation.
    pub received_octets: u64,
}

/// How the client's audio is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Inward {
    /// Name of the format.
    pub format: &'static str,
    /// Rate in Hz where the format has none of its own.
    pub rate: u32,
    /// 1.
    pub channels: u32,
}

/// How audio for the client is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outward {
    /// Name of the format.
    pub format: &'static str,
    /// Rate in Hz.
    pub rate: u32,
    /// 1; 2 where each side has its own, the caller's first.
    pub channels: usize,
    /// Length of one message.
    pub frame_ms: u32,
    /// Whose audio.
    pub tracks: &'static [&'static str],
}
