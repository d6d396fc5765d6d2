//! The application leg of a DYNAMIC_AGENT call: it listens, lets a brain think, speaks, and knows
//! what was heard.

pub mod brain;
pub mod chat;
#[cfg(test)]
mod conformance;
pub mod harness;
pub mod interface;
pub mod live;
#[cfg(test)]
pub(crate) mod loopback;
pub mod schema;
pub mod script;
pub mod text;
pub mod tools;
