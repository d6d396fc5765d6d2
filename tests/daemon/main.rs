//! Black-box tests: the real `bellwire` program on loopback, with SIPp, its own phone, REST and
//! WebSocket clients as its neighbours.
//!
//! Each test starts its own daemon on free ports with its own directory; all can run at once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on must stop, and its sounds are short"
)]

mod client;
mod engines;
mod rig;
mod sipp;
#[path = "../audio/rig.rs"]
mod speech;
mod vendors;

mod agent;
mod background;
mod bad_input;
#[cfg(feature = "sphinx")]
mod closed_loop;
mod dial;
mod dialects;
mod dialled;
mod exact;
mod figures;
mod hostile_rtp;
mod identity;
mod inbound;
mod interrupts;
mod joined;
mod live;
mod mute;
mod problems;
mod prompts;
mod recordings;
mod reload;
mod resume;
mod routes;
mod scenarios;
mod silence;
mod sound;
mod stall;
mod stopping;
mod stream;
mod tls;
mod trunk;
mod twiml;
