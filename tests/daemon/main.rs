//! Black-box tests: the real `bellwire` program on loopback, with SIPp, its own phone, REST and
//! WebSocket clients as its neighbours.
//!
//! Each test starts its own daemon on free ports with its own directory; all can run at once.

mod rig;
mod sipp;

mod inbound;
mod prompts;
mod stream;
mod trunk;
