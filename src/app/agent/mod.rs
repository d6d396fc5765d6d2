//! The application leg of a DYNAMIC_AGENT call: it listens, lets a brain think, speaks, and knows
//! what was heard.
//!
//! ```text
//!  leg (polls) ─> conversation ─┬─> turn core: who may speak
//!                               ├─> voice: utterances ─> playout queue
//!                               ├─> brain: script, chat, harness
//!                               ├─> hands: tools
//!                               └─> notes: transcript, result, latencies ─> outcome
//! ```

pub mod brain;
pub mod chat;
#[cfg(test)]
mod conformance;
pub mod conversation;
mod hands;
pub mod harness;
pub mod interface;
pub mod leg;
mod listen;
pub mod live;
pub mod live_leg;
#[cfg(test)]
pub(crate) mod loopback;
mod notes;
pub mod request;
pub mod schema;
pub mod script;
pub mod text;
pub mod tools;
mod voice;
