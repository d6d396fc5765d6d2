//! Whether the node takes new calls: judged by how late its media threads send.
//!
//! Owns the rule, with hysteresis. Does not refuse anything: the endpoint and the API do when they
//! are told. CPU load is no measure: what calls suffer from is lateness.

use std::time::Duration;

/// Beats in a second below which nothing is judged: ten calls at 20 ms. A hiccup of an idle machine
/// is no overload.
const BEATS_MIN: u64 = 500;

/// Late seconds in a row that make an overload, and good ones that end it.
const LATE_SECONDS: u32 = 2;
const GOOD_SECONDS: u32 = 5;

/// What Retry-After says meanwhile.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(GOOD_SECONDS as u64);

/// The judge of one node.
#[derive(Debug)]
pub(super) struct Overload {
    limit: Option<Duration>,
    late: u32,
    good: u32,
    overloaded: bool,
}

impl Overload {
    /// A judge for the 99th percentile of lateness; `None` never finds an overload.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, late: 0, good: 0, overloaded: false }
    }

    /// Files the beats of one second: how late, and how many so. Tells a change.
    pub(super) fn second(&mut self, beats: impl Iterator<Item = (Duration, u64)>) -> Option<bool> {
        let limit = self.limit?;
        let (mut all, mut beyond) = (0, 0);
        for (late, count) in beats {
            all += count;
            beyond += if late > limit { count } else { 0 };
        }
        if all >= BEATS_MIN && beyond * 100 > all {
            (self.late, self.good) = (self.late + 1, 0);
        } else {
            (self.late, self.good) = (0, self.good.saturating_add(1));
        }
        let now =
            if self.overloaded { self.good < GOOD_SECONDS } else { self.late >= LATE_SECONDS };
        (std::mem::replace(&mut self.overloaded, now) != now).then_some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn two_late_seconds_make_an_overload_and_five_good_ones_end_it() {
        let mut overload = Overload::new(Some(10 * MS));
        let good = [(MS, 990), (11 * MS, 10)];
        let late = [(MS, 980), (11 * MS, 20)];
        assert_eq!(overload.second(late.into_iter()), None);
        assert_eq!(overload.second(good.into_iter()), None);
        assert_eq!(overload.second(late.into_iter()), None);
        assert_eq!(overload.second(late.into_iter()), Some(true));
        for second in 1..5 {
            assert_eq!(overload.second(good.into_iter()), None, "{second}");
        }
        assert_eq!(overload.second(good.into_iter()), Some(false));
    }

    #[test]
    fn few_beats_and_no_limit_are_never_an_overload() {
        let mut few = Overload::new(Some(10 * MS));
        let mut off = Overload::new(None);
        for _ in 0..10 {
            assert_eq!(few.second([(50 * MS, BEATS_MIN - 1)].into_iter()), None);
            assert_eq!(off.second([(50 * MS, 10_000)].into_iter()), None);
        }
    }
}
