//! The life of a call as a pure machine, and the words to speak of it.
//!
//! ```text
//!  outbound: Queued ─> Dialing ─> Ringing ─> Answered ─> Ending ─> Ended
//!  inbound:            Offered ─> (Early) ─> Answered ─> Ending ─> Ended
//! ```
//!
//! Owns what happens next in a call and its record. Does not know SIP messages, packets, sockets
//! or tasks: the daemon's call driver translates.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod cause;
pub mod control;
pub mod destination;
pub mod identity;
pub mod machine;
pub mod outcome;
pub mod queue;
pub mod record;
pub mod recording;
pub mod target;
pub mod toll;
pub mod vendor;

pub use machine::{Call, Input, Now, Output, Plan};
