//! Session descriptions: typed offer and answer (RFC 3264) over the syntax of RFC 8866.
//!
//! ```text
//!  LocalMedia ─> Desk ── offer ──> bytes      bytes of an answer ── accept ──> Negotiated
//!                  └──── answer ── bytes of an offer ──> bytes, Negotiated
//! ```
//!
//! Owns what we say about our one audio stream, what both sides agreed on, and what must stay as
//! it was said: m-lines, payload types, keys, the version. The syntax is `sdp-types`', behind
//! `syntax` only. Does not know SIP, sockets or legs, and resolves no names: a peer without an IP
//! address is refused. Attributes of ICE, ALTC and BUNDLE are passed over. Pure, and bounded by
//! [`BYTES_MAX`] and [`MEDIA_MAX`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod crypto;
mod desk;
mod numbers;
mod offer_answer;
mod syntax;

pub use desk::{Desk, Entropy};

use crate::audio::codec::CodecId;
use crate::rtp::srtp::SrtpParams;
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

/// Whether a call's media is sealed (SDES, RFC 4568).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SrtpPolicy {
    /// Never: keys are neither offered nor taken, and RTP/SAVP is refused.
    #[default]
    Off,
    /// If the peer will: RTP/AVP is offered with keys beside it (RFC 8643), which a peer that
    /// knows nothing of it answers in the clear; of an offer's streams a sealed one is taken first.
    Preferred,
    /// Always: RTP/SAVP is offered, and nothing in the clear is agreed to.
    Required,
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
    /// Whether an answer takes the first of our codecs that is offered, instead of the offerer's
    /// first that is ours.
    pub own_order: bool,
    /// Whether digits by RFC 4733 are offered and accepted.
    pub telephone_event: bool,
    /// Whether comfort noise (RFC 3389) is offered and answered; it is taken in any case.
    pub comfort_noise: bool,
    /// Audio per packet that we ask for, and send unless the peer asks otherwise.
    pub ptime: Duration,
    /// Session id of the o= line; one for the whole call.
    pub session_id: u64,
    /// Version of the first o= line; [`Desk`] counts on from it.
    pub session_version: u64,
    /// What we want.
    pub direction: Direction,
    /// Whether RTCP on the RTP port is offered; when it is offered to us it is always taken.
    pub rtcp_mux: bool,
    /// Whether packets are sealed.
    pub srtp: SrtpPolicy,
}

/// What both sides agreed on for the audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The codec of both directions.
    pub codec: CodecId,
    /// Its payload type as we must send it.
    pub payload_type: u8,
    /// Payload type of telephone-event as we must send it; its clock is the codec's.
    pub telephone_event: Option<u8>,
    /// Whether both sides named comfort noise, of payload type 13 and the codec's clock.
    pub comfort_noise: bool,
    /// What else the peer may send, by our numbers.
    pub accepts: Accepts,
    /// Audio per packet that we send: 10 to 60 ms, as the codec can.
    pub ptime: Duration,
    /// Where RTP goes.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// Whether RTCP goes and comes on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Which way audio flows.
    pub direction: Direction,
    /// The keys; without them packets go plain.
    pub srtp: Option<SrtpParams>,
}

/// Payload types that the peer may send: what we said they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accepts {
    /// Codecs that both sides have.
    pub audio: [Option<(u8, CodecId)>; 4],
    /// telephone-event.
    pub event: Option<u8>,
    /// Redundant audio data (RFC 2198), with the clock of the codec: taken when the peer offers it,
    /// never sent.
    pub redundancy: Option<u8>,
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
    /// No audio over an RTP profile that the policy allows, or all of it refused by port 0.
    #[error("the session description has no usable audio stream over RTP")]
    NoAudio,
    /// Audio, but none of our codecs.
    #[error("no common codec: the peer has {0}")]
    NoCommonCodec(String),
    /// Our policy wants SRTP, or the peer's profile does, and there are no keys that we can use.
    #[error("srtp is required, and the peer offers no crypto attribute that can be used")]
    NoCrypto,
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
            Self::NoAudio | Self::NoCommonCodec(_) | Self::NoCrypto | Self::BadAddress(_) => 488,
        }
    }
}

/// Entry point of the fuzz target: what we answer keeps to RFC 3264 and can be accepted.
#[doc(hidden)]
pub fn fuzz_entry(bytes: &[u8]) {
    desk::fuzz(bytes);
}
