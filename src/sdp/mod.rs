//! Session descriptions: typed offer and answer (RFC 3264) over the syntax of RFC 8866.
//!
//! ```text
//!  LocalMedia ── offer ──> bytes           bytes of an answer ── accept ──> Negotiated
//!  LocalMedia + bytes of an offer ── answer ──> bytes, Negotiated
//! ```
//!
//! Owns what we say about our one audio stream and what both sides agreed on. The syntax is
//! `sdp-types`', behind `syntax` only. Does not know SIP, sockets or legs, and resolves no names: a
//! peer without an IP address is refused. Pure, and bounded by [`BYTES_MAX`] and [`MEDIA_MAX`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod offer_answer;
mod syntax;

pub use offer_answer::{accept, answer, offer};

use crate::audio::codec::CodecId;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Descriptions longer than this are refused before they are looked at.
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
    pub const fn attribute(self) -> &'static str {
        match (self.send, self.receive) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }

    /// What an attribute says; `None` for other attributes.
    fn of_attribute(name: &str) -> Option<Self> {
        let all = [(true, true), (true, false), (false, true), (false, false)];
        let mut all = all.into_iter().map(|(send, receive)| Self { send, receive });
        all.find(|direction| direction.attribute() == name)
    }

    /// The same seen from the other side.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        Self { send: self.receive, receive: self.send }
    }

    /// What both want.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { send: self.send && other.send, receive: self.receive && other.receive }
    }
}

/// What we have for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address of our sockets as the peer must see it.
    pub address: IpAddr,
    /// RTP port.
    pub rtp_port: u16,
    /// RTCP port.
    pub rtcp_port: u16,
    /// Codecs in order of preference; not empty.
    pub codecs: Vec<CodecId>,
    /// Whether digits by RFC 4733 are offered and accepted.
    pub telephone_event: bool,
    /// Audio per packet that we ask for, and send unless the peer asks otherwise.
    pub ptime: Duration,
    /// Session id of the o= line; one for the whole call.
    pub session_id: u64,
    /// Version of the o= line; one more for each changed description (RFC 3264 §8).
    pub session_version: u64,
    /// What we want.
    pub direction: Direction,
}

/// What both sides agreed on for the audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// The codec of both directions.
    pub codec: CodecId,
    /// Its payload type as we must send it.
    pub payload_type: u8,
    /// Payload type of telephone-event as we must send it.
    pub telephone_event: Option<u8>,
    /// Audio per packet that we send: 10 to 60 ms in steps of 10.
    pub ptime: Duration,
    /// Where RTP goes.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// Whether the peer could take RTCP on the RTP port (RFC 5761); never used by us.
    pub rtcp_mux: bool,
    /// Which way audio flows.
    pub direction: Direction,
}

/// Why a description cannot be used. All are the peer's fault.
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
    /// No audio over plain RTP, or all of it refused by port 0.
    #[error("the session description has no usable audio stream over RTP/AVP")]
    NoAudio,
    /// Audio, but none of our codecs.
    #[error("no common codec: the peer has {0}")]
    NoCommonCodec(String),
    /// No address that packets of ours could be sent to.
    #[error("the address of the peer's audio stream cannot be used: {0}")]
    BadAddress(String),
}

impl SdpError {
    /// The SIP status that refuses an offer for this reason: 400 for what is no description, 488
    /// for one we cannot meet.
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLong(_) | Self::Malformed(_) | Self::TooManyMedia(_) => 400,
            Self::NoAudio | Self::NoCommonCodec(_) | Self::BadAddress(_) => 488,
        }
    }
}

/// Entry point of the fuzz target: what we answer keeps to RFC 3264 and can be accepted.
#[doc(hidden)]
pub fn fuzz_entry(bytes: &[u8]) {
    offer_answer::fuzz(bytes);
}
