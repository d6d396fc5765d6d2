//! How fast a client may talk, as a leaky bucket over the clock (GCRA, ITU-T I.371).
//!
//! An allowance is one instant: when all that was taken in would be paid for at the allowed pace. Never
//! refuses; it says until when nothing more should be read, so a flood waits in the sender.

use std::time::{Duration, Instant};

/// One allowance: a steady pace, and how far ahead of it one may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Time that one unit is worth.
    cost: Duration,
    /// How far ahead is fine.
    ahead: Duration,
    paid_at: Instant,
}

impl Budget {
    /// An allowance of `units` a second, of which `burst` seconds' worth may come at once.
    pub(super) fn per_second(units: u32, burst: Duration, now: Instant) -> Self {
        Self { cost: Duration::from_secs(1) / units.max(1), ahead: burst, paid_at: now }
    }

    /// Takes `units`; returns until when to take no more, if they were too many.
    pub(super) fn take(&mut self, units: u32, now: Instant) -> Option<Instant> {
        self.paid_at = self.paid_at.max(now) + self.cost * units;
        let free_at = self.paid_at.checked_sub(self.ahead)?;
        (free_at > now).then_some(free_at)
    }
}

/// How often a warning of one kind is given at most.
const WARN_EVERY: Duration = Duration::from_secs(1);

/// Warnings of one kind: not more often than once a second.
#[derive(Debug, Default)]
pub(super) struct Hush {
    not_before: Option<Instant>,
}

impl Hush {
    /// Whether one may be given, which counts as given then.
    pub(super) fn may_speak(&mut self, now: Instant) -> bool {
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return false;
        }
        self.not_before = Some(now + WARN_EVERY);
        true
    }

    /// When the next may be given.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_waits_at_the_steady_pace() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut budget = Budget::per_second(100, Duration::from_secs(2), start);
        for _ in 0..200 {
            assert_eq!(budget.take(1, start), None);
        }
        assert_eq!(budget.take(1, start), Some(start + Duration::from_millis(10)));
        let later = start + Duration::from_secs(1);
        assert_eq!(budget.take(99, later), None);
        assert_eq!(budget.take(5, later), Some(later + Duration::from_millis(50)));
    }
}
