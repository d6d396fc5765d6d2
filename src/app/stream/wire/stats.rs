//! The body of `stats`.

use super::CommandId;
use crate::call::record::Quality;
use crate::media::ledger::{Stage, StageSpread};
use serde::Serialize;

/// How the call sounds and how long sound takes, since its beginning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// The id of the command that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<CommandId>,
    /// As in the call object.
    pub quality: Quality,
    /// How much audio waits to be played.
    pub queued_ms: u64,
    /// How long a missing packet is waited for, at this moment.
    pub hole_wait_ms: u64,
    /// How long sound stood where.
    pub stages: Stages,
}

/// How long sound stood at each stage; see [`Stage`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stages {
    /// Reading a message into samples.
    pub decode: Spread,
    /// Bringing them to the leg's rate.
    pub resample: Spread,
    /// From the socket of the client until a packet takes it.
    pub queue: Spread,
    /// From the beat until the packet is out.
    pub send: Spread,
    /// From the arrival of a packet until it is in order.
    pub order: Spread,
    /// From there until the client's socket has it.
    pub write: Spread,
}

impl Stages {
    /// What is counted at each.
    #[must_use]
    pub fn of(spread: impl Fn(Stage) -> StageSpread) -> Self {
        let of = |stage| Spread::from(spread(stage));
        Self {
            decode: of(Stage::Decode),
            resample: of(Stage::Resample),
            queue: of(Stage::Queue),
            send: of(Stage::Send),
            order: of(Stage::Order),
            write: of(Stage::Write),
        }
    }
}

/// Durations in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// The median, at most a quarter too high.
    pub p50_ms: f64,
    /// The 99th percentile, at most a quarter too high.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl From<StageSpread> for Spread {
    fn from(spread: StageSpread) -> Self {
        let StageSpread { count, p50_us, p99_us, max_us } = spread;
        Self { count, p50_ms: ms(p50_us), p99_ms: ms(p99_us), max_ms: ms(max_us) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of an hour at most")]
fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}
