//! The user's own brain, over one WebSocket per call: our turns and voice, their logic.
//!
//! ```text
//!  BrainInput ──> task ── start, turn, line, … ──> the user's server
//!  BrainOutput <── task <── say, tool, done, … ───┘
//! ```
//!
//! `docs/harness.md` is the protocol; a test replays its examples. Owns the connection, its
//! repair and the limits on what comes back. A server that is slow or dead fails its turn and
//! nothing else.

mod task;
mod wire;

pub use wire::fuzz_harness;

use super::interface::{BrainContext, BrainHandle, INPUTS_MAX, OUTPUTS_MAX};
use crate::speech::key::ApiKey;
use std::time::Duration;
use tokio::sync::mpsc;

/// Where the user's brain is.
#[derive(Debug, Clone, PartialEq)]
pub struct HarnessSpec {
    /// ws or wss.
    pub url: String,
    /// Bearer token, if the server wants one.
    pub key: Option<ApiKey>,
    /// How long opening the connection may take.
    pub connect: Duration,
    /// From a turn to the first message for it, a reconnection included.
    pub first_message: Duration,
    /// Between two messages of a turn.
    pub idle: Duration,
}

impl HarnessSpec {
    /// With 5 s to connect and 10 s for messages.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            key: None,
            connect: Duration::from_secs(5),
            first_message: Duration::from_secs(10),
            idle: Duration::from_secs(10),
        }
    }
}

/// Connects a call to the user's brain.
#[must_use]
pub fn spawn(spec: HarnessSpec, context: BrainContext) -> BrainHandle {
    let (inputs, asked) = mpsc::channel(INPUTS_MAX);
    let (tell, outputs) = mpsc::channel(OUTPUTS_MAX);
    let task = tokio::spawn(task::Harness::new(spec, context, tell).run(asked));
    BrainHandle { inputs, outputs, task }
}

#[cfg(test)]
mod tests;
