//! How much goes into a playout ring at a beat, so that it neither runs dry nor grows.
//!
//! ```text
//!  queued  ─┐    /│  /│  /│     the media thread takes a packet's worth at its own beat,
//!  guard ───┼──/──┴/──┴/──┴─    ours writes what time has passed: the saw's foot is the guard
//! ```
//!
//! Both beats are of one clock, so the foot stays where it is; what it is off by half a second later
//! is written more or less, which moves sound between the ring and [`crate::media::pace::Pace`] unheard.
//! Pure: time and a level in, samples out.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::audio::codec::SampleRate;
use std::time::{Duration, Instant};

/// Units: microseconds, like every time in this file that is no `Duration`.
const MS: i64 = 1_000;
/// What must be left in the ring when a packet was taken: two of our beats may be missed.
const GUARD: i64 = 10 * MS;
/// What it may grow to when that is not enough.
const GUARD_MAX: i64 = 40 * MS;
/// By how much, and by how much less once a minute.
const GUARD_STEP: i64 = 5 * MS;
const CALM: Duration = Duration::from_secs(60);
/// How long the foot of the saw is looked for.
const WINDOW: Duration = Duration::from_millis(500);
/// A foot this near is left alone.
const SLACK: i64 = 5 * MS;
/// Time that is made up for at most when our beat stalled.
const CATCH_UP: i64 = 60 * MS;
/// More than this beyond what is needed: nobody takes from the ring.
const STALLED: i64 = 100 * MS;

/// What a beat writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// Samples of the source.
    pub samples: usize,
    /// Nobody takes them: they are thrown away.
    pub discard: bool,
}

/// The level of one playout ring. See the module.
#[derive(Debug)]
pub struct Flow {
    ptime: i64,
    guard: i64,
    last: Option<Instant>,
    /// Not written yet; negative: written too much.
    due: i64,
    foot: Option<i64>,
    window: Option<Instant>,
    /// When the guard last changed.
    changed: Option<Instant>,
}

impl Flow {
    /// Fills a ring that is emptied by packets of `ptime`.
    #[must_use]
    pub fn new(ptime: Duration) -> Self {
        Self {
            ptime: micros(ptime),
            guard: GUARD,
            last: None,
            due: 0,
            foot: None,
            window: None,
            changed: None,
        }
    }

    /// The packets of the other end are of this length.
    pub fn set_ptime(&mut self, ptime: Duration) {
        let ptime = micros(ptime);
        self.due += ptime - self.ptime;
        self.ptime = ptime;
    }

    /// How long a sample waits in the ring on the average.
    #[must_use]
    pub fn lead(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.guard + self.ptime / 2).unwrap_or(0))
    }

    /// What to write at `now` to a ring in which `queued` is left.
    pub fn owed(&mut self, now: Instant, queued: Duration, rate: SampleRate) -> Owed {
        let queued = micros(queued);
        match self.last.replace(now) {
            Some(last) => {
                self.due += micros(now.saturating_duration_since(last)).min(CATCH_UP);
                self.watch(now, queued);
            }
            None => {
                self.due = self.ptime + self.guard;
                (self.window, self.changed) = (Some(now), Some(now));
            }
        }
        let hz = i64::from(rate.hz());
        let samples = (self.due.max(0) * hz) / 1_000_000;
        self.due -= samples * 1_000_000 / hz;
        let discard = queued > self.ptime + self.guard + STALLED;
        Owed { samples: usize::try_from(samples).unwrap_or(0), discard }
    }

    fn watch(&mut self, now: Instant, queued: i64) {
        if queued == 0 {
            // Dry: what is missing is written at once, and more is kept from here on.
            self.guard = (self.guard + GUARD_STEP).min(GUARD_MAX);
            self.due += self.ptime + self.guard;
            (self.foot, self.window, self.changed) = (None, Some(now), Some(now));
            return;
        }
        let foot = self.foot.map_or(queued, |foot| foot.min(queued));
        self.foot = Some(foot);
        if has_passed(self.window, now, WINDOW) {
            let off = foot - self.guard;
            if off.abs() > SLACK {
                self.due -= off.min(WINDOW_US / 2);
            }
            (self.foot, self.window) = (None, Some(now));
        }
        if self.guard > GUARD && has_passed(self.changed, now, CALM) {
            self.guard -= GUARD_STEP;
            self.changed = Some(now);
        }
    }
}

/// [`WINDOW`] in microseconds.
const WINDOW_US: i64 = 500 * MS;

fn has_passed(since: Option<Instant>, now: Instant, time: Duration) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) >= time)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "any instant will do as the start of a test")]

    use super::*;

    const RATE: SampleRate = SampleRate::HZ_8000;

    /// A ring, a media thread that ticks every `ptime` with this phase, and our beat.
    fn run(phase_ms: u64, ptime_ms: u64, mut stall: impl FnMut(u64) -> bool) -> (Vec<usize>, u64) {
        let start = Instant::now();
        let mut flow = Flow::new(Duration::from_millis(ptime_ms));
        let (mut queued, mut feet, mut dry) = (0_usize, Vec::new(), 0);
        let packet = usize::try_from(ptime_ms).unwrap() * 8;
        for ms in 0..20_000_u64 {
            if ms % ptime_ms == phase_ms && ms > 0 {
                dry += u64::from(queued < packet);
                queued = queued.saturating_sub(packet);
                feet.push(queued);
            }
            if ms % 5 == 0 && !stall(ms) {
                let now = start + Duration::from_millis(ms);
                let owed = flow.owed(now, RATE.duration_of(queued as u64), RATE);
                assert!(!owed.discard);
                queued += owed.samples;
            }
        }
        (feet, dry)
    }

    #[test]
    fn the_foot_of_the_saw_comes_to_the_guard_whatever_the_phase() {
        for ptime in [10, 20, 60] {
            for phase in [0, 3, 7, 9] {
                let (feet, dry) = run(phase, ptime, |_| false);
                assert_eq!(dry, 0, "{ptime} ms, phase {phase}");
                let late = &feet[feet.len() / 2..];
                let (least, most) = (late.iter().min().unwrap(), late.iter().max().unwrap());
                assert!(*least >= 5 * 8 && *most <= 22 * 8, "{ptime}/{phase}: {least} to {most}");
            }
        }
    }

    #[test]
    fn missed_beats_are_covered_and_a_dry_ring_teaches() {
        let (_, dry) = run(3, 20, |ms| ms > 1000 && ms % 100 < 10);
        assert_eq!(dry, 0);
        // 30 ms stalls twice a second: the guard grows until they do no harm.
        let (_, dry) = run(3, 20, |ms| ms > 1000 && ms % 500 < 30);
        assert!((1..=6).contains(&dry), "{dry}");
    }

    #[test]
    fn a_ring_that_nobody_empties_is_not_filled() {
        let start = Instant::now();
        let mut flow = Flow::new(Duration::from_millis(20));
        let (mut queued, mut discarded) = (0, 0);
        for ms in (0..2000).step_by(5) {
            let now = start + Duration::from_millis(ms);
            let owed = flow.owed(now, RATE.duration_of(queued), RATE);
            if owed.discard {
                discarded += owed.samples;
            } else {
                queued += owed.samples as u64;
            }
        }
        assert!(queued <= 8 * 150, "{queued}");
        assert!(discarded > 0);
    }
}
