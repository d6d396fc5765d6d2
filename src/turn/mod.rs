//! Turn taking: who may speak, who was interrupted, and what was really heard.
//!
//! Pure machines on the call's media clock: `handle(now, input)`, then drain `poll_output()`.
//! Owns the decisions of a conversation; knows neither audio nor engines nor brains, only when
//! voices begin and end, what was transcribed, and which samples left.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod answerer;
pub mod barge;
pub mod hello;
pub mod interface;
pub mod ledger;
pub mod machine;

mod caller;
mod collect;
mod core;
mod endpoint;
mod latency;
mod lines;
mod mouth;
mod words;

pub use self::core::TurnCore;
