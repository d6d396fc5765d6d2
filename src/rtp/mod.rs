//! RTP, RTCP and telephone-event on the byte level: parse, build, count.
//!
//! ```text
//!  datagram ─> packet ─> source (whom to believe) ─> seq (RFC 3550 A.1) ─> media::jitter
//!           └> rtcp  ─> reception (A.3, A.8), xr    dtmf (RFC 4733), red (2198) <┘
//! ```
//!
//! Pure and without allocation after construction: bytes, addresses and `now` in, typed values
//! out. Does not own sockets, ports, payload type negotiation or the order of packets in time.

#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing
    )
)]

pub mod dtmf;
pub mod packet;
pub mod reception;
pub mod red;
pub mod rtcp;
pub mod seq;
pub mod source;
pub mod srtp;
pub mod xr;

pub use packet::fuzz_packet;
pub use red::fuzz_red;
pub use rtcp::fuzz_rtcp;
pub use srtp::fuzz_srtp;
