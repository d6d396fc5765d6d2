//! What a stream does by the clock to keep sound in time: holes that a paced client hears, and
//! what a live client's sound is held back for.

use super::{Session, Settings, StreamSpec};
use crate::app::stream::options::StreamOptions;
use crate::media::interface::Command;
use std::time::{Duration, Instant};

/// Held back for more of it no longer than this: two frames of most senders.
const SETTLE: Duration = Duration::from_millis(40);

/// Answers what `asked` leaves open, as the call says.
pub(super) fn settings_of(spec: &StreamSpec, asked: &StreamOptions) -> Settings {
    let buffer_ms = u32::try_from(spec.buffer.as_millis()).unwrap_or(u32::MAX);
    Settings::timed(asked, spec.default_rate, buffer_ms, &spec.timing)
}

impl Session {
    /// Tells the leg when holes are heard, if somebody hears them at an even pace.
    pub(super) fn tell_due(&mut self, now: Instant) {
        let Some(line) = &self.line else { return };
        let outlet = self.client.as_mut().and_then(|client| client.outlet.as_mut());
        if let Some(outlet) = outlet.filter(|outlet| outlet.is_paced()) {
            if let Some(due) = outlet.take_due(now, || line.port.late_packets()) {
                self.due_told = true;
                self.order(Command::Due(Some(due)));
            }
        } else if std::mem::take(&mut self.due_told) {
            self.order(Command::Due(None));
        }
    }

    /// Arms the clock that ends the wait for more of a live client's sound.
    pub(super) fn watch_for_more(&mut self, now: Instant) {
        self.settle_at = self.inlet.is_holding().then(|| now + SETTLE);
    }

    /// Nothing came behind what a live client sent last.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.settle_at.is_some_and(|at| at <= now) {
            self.settle_at = None;
            self.inlet.settle(&mut self.queue);
        }
    }
}
