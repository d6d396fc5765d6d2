//! A rate limit: so many a second, with a burst of one second's worth.

use std::time::{Duration, Instant};

const ONE: u64 = 1_000_000_000;

/// A token bucket.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    per_second: u32,
    /// Billionths of a token.
    level: u64,
    filled: Instant,
}

impl Rate {
    pub(super) fn new(now: Instant, per_second: u32) -> Self {
        Self { per_second, level: u64::from(per_second) * ONE, filled: now }
    }

    /// Takes one, if there is one left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).min(Duration::from_secs(1));
        let gained = u64::from(passed.subsec_nanos()) + passed.as_secs() * ONE;
        let full = u64::from(self.per_second) * ONE;
        self.level = full.min(self.level + gained * u64::from(self.per_second));
        self.filled = self.filled.max(now);
        let taken = self.level >= ONE;
        if taken {
            self.level -= ONE;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_one_second_and_refill_is_even() {
        #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
        let start = Instant::now();
        let mut rate = Rate::new(start, 10);
        assert_eq!((0..20).filter(|_| rate.take(start)).count(), 10);
        assert!(!rate.take(start + Duration::from_millis(99)));
        assert!(rate.take(start + Duration::from_millis(100)));
        assert!(!rate.take(start + Duration::from_millis(100)));
        let later = start + Duration::from_hours(1);
        assert_eq!((0..20).filter(|_| rate.take(later)).count(), 10);
        assert!(!Rate::new(start, 0).take(later));
    }
}
