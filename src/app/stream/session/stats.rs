//! How the call sounds and how long sound takes, told to the client: `stats`.
//!
//! Owns the stamps of what a client sends, on their way to the ring, and when `stats` is due. What
//! is counted, the leg counts.

use super::{Place, Session};
use crate::app::stream::client::Moment;
use crate::app::stream::wire::{CommandId, Stages, Stats, Told};
use crate::call::record::Quality;
use crate::media::ledger::Stage;
use crate::media::ring::PlayoutWriter;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Stamps that wait for their samples to reach the ring; more are left out.
const STAMPS_MAX: usize = 32;

/// Since when samples have been waiting that the ring has no room for yet.
#[derive(Debug, Default)]
pub(super) struct Accepted(VecDeque<(u64, Instant)>);

impl Accepted {
    /// Samples from `position` on were read at `at`; what was noted behind it was cleared.
    pub(super) fn note(&mut self, position: u64, at: Instant) {
        while self.0.back().is_some_and(|(noted, _)| *noted >= position) {
            self.0.pop_back();
        }
        if self.0.len() < STAMPS_MAX {
            self.0.push_back((position, at));
        }
    }

    /// Passes the stamps on whose samples are in the ring.
    pub(super) fn written(&mut self, ring: &mut PlayoutWriter) {
        while let Some((position, at)) = self.0.pop_front_if(|(noted, _)| *noted < ring.position())
        {
            ring.stamp(position, at);
        }
    }
}

/// Measures work; the virtual clock's in tests.
pub(super) struct Stopwatch(tokio::time::Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Session {
    /// What was read has been decoded, at the leg's rate for `resampling` of the time.
    pub(super) fn note_decoded(&mut self, work: &Stopwatch, resampling: Duration) {
        let Some(line) = &self.line else { return };
        line.port.time(Stage::Decode, work.elapsed().saturating_sub(resampling));
        if !resampling.is_zero() {
            line.port.time(Stage::Resample, resampling);
        }
    }

    /// The socket has all that it was given.
    pub(in crate::app::stream) fn note_flushed(&mut self, place: Place, at: Instant) {
        let Self { client, line, .. } = self;
        let main = client.as_mut().filter(|_| place == Place::Main);
        let Some(outlet) = main.and_then(|client| client.outlet.as_mut()) else { return };
        let Some(line) = line else { return };
        for since in outlet.take_left() {
            line.port.time(Stage::Write, at.saturating_duration_since(since));
        }
    }

    /// Tells what the client asked for, once.
    pub(super) fn tell_stats(&mut self, id: Option<CommandId>, now: Moment) {
        let stats = self.stats(id);
        self.tell(&Told::Stats(Box::new(stats)), now);
    }

    /// Tells it again and again, if a client wishes so.
    pub(super) fn tell_due_stats(&mut self, now: Moment) {
        let mut due = false;
        for client in self.clients_mut() {
            due |= client.is_stats_due(now.at);
        }
        if !due || self.line.is_none() {
            return;
        }
        let told = Told::Stats(Box::new(self.stats(None)));
        for client in self.clients_mut().filter(|client| client.stats_due) {
            client.stats_due = false;
            client.tell(&told, now);
        }
    }

    pub(super) fn stats(&self, id: Option<CommandId>) -> Stats {
        let report = self.line.as_ref().map(|line| line.port.report()).unwrap_or_default();
        let spread =
            |stage| self.line.as_ref().map(|line| line.port.spread(stage)).unwrap_or_default();
        let hole_wait_ms = report.rx_hole_wait_us / 1000;
        Stats {
            id,
            quality: Quality::from_report(&report, None, self.spec.sample_rate),
            queued_ms: self.queue.queued_ms(),
            hole_wait_ms,
            stages: Stages::of(spread),
        }
    }
}
