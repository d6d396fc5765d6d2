//! The media threads and the handles to them.

use super::interface::{Command, Event, LegReport, MediaParams};
use super::ring::{CaptureReader, PlayoutWriter};
use crate::id::LegId;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Everything the application side holds of one leg. Dropping it closes the leg and, after
/// quarantine, frees its ports.
pub struct LegHandle {
    /// The leg.
    pub id: LegId,
    /// Toward the carrier.
    pub playout: PlayoutWriter,
    /// From the carrier.
    pub capture: CaptureReader,
    /// What the leg tells; bounded, the worker drops (and counts) when it is full.
    pub events: mpsc::Receiver<Event>,
    /// Notified when capture frames or playout room may be there; at most once a tick.
    pub ready: Arc<Notify>,
    /// To tell the leg something; cheap to clone.
    pub control: LegControl,
}

/// Tells a leg what to do and reads its counters, from any thread.
#[derive(Clone)]
pub struct LegControl {}

impl LegControl {
    /// Queues a command for the leg's next tick; `false` when the worker's queue is full or gone.
    pub fn send(&self, command: Command) -> bool {
        let _ = command;
        false
    }

    /// The counters so far. Cost: some relaxed loads.
    #[must_use]
    pub fn report(&self) -> LegReport {
        LegReport::default()
    }

    /// What the leg was last told to do about the peer.
    #[must_use]
    pub fn params(&self) -> Option<MediaParams> {
        None
    }
}
