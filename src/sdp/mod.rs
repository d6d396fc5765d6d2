//! Session descriptions: typed offer and answer (RFC 3264) over the syntax of RFC 8866.
//!
//! ```text
//!  LocalMedia ── offer ──> bytes           bytes of an answer ── accept ──> Negotiated
//!  LocalMedia + offer ── answer ──> bytes and Negotiated
//! ```
//!
//! Owns what we say about media and what both sides agreed on. The syntax is `sdp-types`', used in
//! `text` only. Does not know SIP, sockets or legs; opens nothing. Pure and bounded.

mod offer_answer;
mod text;

pub use offer_answer::{accept, answer, offer};

use crate::audio::codec::CodecId;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Descriptions longer than this are refused before they are parsed.
pub const BYTES_MAX: usize = 16 * 1024;

/// More m-lines than this are refused.
pub const MEDIA_MAX: usize = 16;

/// Which way audio flows, as seen from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    /// We may send.
    pub send: bool,
    /// The peer may send.
    pub receive: bool,
}

impl Direction {
    /// Both ways.
    pub const BOTH: Self = Self { send: true, receive: true };

    /// The attribute of RFC 8866 §6.7 that says it.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        match (self.send, self.receive) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }

    /// The same seen from the other side.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self { send: self.receive, receive: self.send }
    }

    /// What both agree to.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { send: self.send && other.send, receive: self.receive && other.receive }
    }
}

/// What we have to offer for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address of our sockets as the peer must see it.
    pub address: IpAddr,
    /// RTP port.
    pub rtp_port: u16,
    /// RTCP port.
    pub rtcp_port: u16,
    /// Codecs in order of preference; must not be empty.
    pub codecs: Vec<CodecId>,
    /// Whether digits by RFC 4733 are offered and accepted.
    pub telephone_event: bool,
    /// Audio per packet that we send unless the peer asks otherwise, and ask for.
    pub ptime: Duration,
    /// Session id of the o= line; the same for the whole call.
    pub session_id: u64,
    /// Version of the o= line; grows with each changed description.
    pub session_version: u64,
    /// What we want.
    pub direction: Direction,
}

/// What both sides agreed on for the one audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// The codec.
    pub codec: CodecId,
    /// Its payload type, as we must send it.
    pub payload_type: u8,
    /// Payload type of telephone-event, as we must send it.
    pub telephone_event: Option<u8>,
    /// Audio per packet that we are to send.
    pub ptime: Duration,
    /// Where RTP goes.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// Which way audio flows.
    pub direction: Direction,
}

/// Why a description cannot be used. All are the peer's; the first three mean 400, the rest 488.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Longer than [`BYTES_MAX`].
    #[error("the session description has {0} bytes, more than {BYTES_MAX}")]
    TooLong(usize),
    /// No session description at all.
    #[error("the session description cannot be read: {0}")]
    Malformed(String),
    /// More m-lines than [`MEDIA_MAX`].
    #[error("the session description has {0} media, more than {MEDIA_MAX}")]
    TooManyMedia(usize),
    /// No audio over plain RTP.
    #[error("the session description has no usable audio stream over RTP/AVP")]
    NoAudio,
    /// Audio, but none of our codecs.
    #[error("no common codec: the peer has {0}")]
    NoCommonCodec(String),
    /// No address that packets could be sent to.
    #[error("the address of the peer's audio stream cannot be used: {0}")]
    BadAddress(String),
}
