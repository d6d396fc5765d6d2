//! How late a caller's sound comes, against its own media clock.
//!
//! ```text
//!  transit = arrival − media time      base = least transit of the last 2 s
//!  half a second ── least, most ──> how late its latest packet was: most − the least nearby
//!                                   the second worst of 12 s ──> spread
//! ```
//!
//! One stall among 24 half-seconds is no reason to keep everybody waiting, two are: the second
//! worst of 24 is their 95th percentile. A *step* of the path's delay shows in one half-second only,
//! because each is measured against its own neighbours. Clocks that drift move the base. Does not
//! decide how long sound waits.

/// Length of one stretch. Units: microseconds.
const STRETCH_US: i64 = 500_000;
/// Stretches that are remembered: 12 s.
const STRETCHES: usize = 24;
/// Stretches whose least transit makes the base: 2 s, and the running one.
const BASE: usize = 5;
/// With fewer stretches than this the worst of them counts: there is no second opinion.
const OPINIONS: usize = 8;

/// Packets whose least transit tells how things stand right now.
const RECENT: usize = 16;

/// Least and most transit of one stretch; `None`: nothing came in it.
type Stretch = Option<(i64, i64)>;

/// The transits of one source. Units: microseconds throughout.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals {
    /// The running stretch first.
    stretches: [Stretch; STRETCHES],
    /// When the running stretch began.
    began: Option<i64>,
    /// The transits of the latest packets, the oldest overwritten first.
    recent: [Option<i64>; RECENT],
    next: usize,
}

impl Arrivals {
    /// Lets time pass.
    pub(super) fn advance(&mut self, at: i64) {
        let began = *self.began.get_or_insert(at);
        let passed = usize::try_from((at - began) / STRETCH_US).unwrap_or(0);
        if passed > 0 {
            self.began = Some(began + STRETCH_US * i64::try_from(passed).unwrap_or(0));
            if passed >= BASE {
                self.recent = [None; RECENT];
            }
            let passed = passed.min(STRETCHES);
            self.stretches.rotate_right(passed);
            self.stretches.iter_mut().take(passed).for_each(|stretch| *stretch = None);
        }
    }

    /// Takes the transit of a packet that came at `at`.
    pub(super) fn observe(&mut self, at: i64, transit: i64) {
        self.advance(at);
        let (least, most) = self.stretches[0].unwrap_or((transit, transit));
        self.stretches[0] = Some((least.min(transit), most.max(transit)));
        if let Some(place) = self.recent.get_mut(self.next % RECENT) {
            *place = Some(transit);
        }
        self.next = (self.next + 1) % RECENT;
    }

    /// Transit of the fastest of the latest packets: what [`Arrivals::base`] will be if the path
    /// has become longer.
    pub(super) fn recent_base(&self) -> Option<i64> {
        self.recent.iter().flatten().copied().min()
    }

    /// The path has become longer: the latest packets are late by `late` at least.
    pub(super) fn restart_recent(&mut self, late: i64) {
        self.recent = [None; RECENT];
        self.recent[0] = self.base().map(|base| base + late);
        self.next = 1;
    }

    /// Transit of the fastest packet of late; `None` when nothing has come for 2 s.
    pub(super) fn base(&self) -> Option<i64> {
        self.stretches.iter().take(BASE).flatten().map(|(least, _)| *least).min()
    }

    /// Takes a transit as normal that is out of all proportion: the source's clock has jumped.
    pub(super) fn rebase(&mut self, transit: i64) {
        let Some(base) = self.base() else { return };
        for (least, most) in self.stretches.iter_mut().flatten() {
            *least += transit - base;
            *most += transit - base;
        }
        self.recent = [None; RECENT];
    }

    /// How late the latest packets are, as a rule.
    pub(super) fn spread(&self) -> i64 {
        let (mut late, mut heard) = ([0; STRETCHES], 0);
        for (i, stretch) in self.stretches.iter().enumerate() {
            let Some((least, most)) = *stretch else { continue };
            let beside = |i: usize| self.stretches.get(i).copied().flatten().map(|s| s.0);
            let newer = i.checked_sub(1).and_then(beside).unwrap_or(least);
            let older = beside(i + 1).unwrap_or(least);
            if let Some(place) = late.get_mut(heard) {
                *place = (most - least.max(newer).max(older)).max(0);
            }
            heard += 1;
        }
        late.sort_unstable_by(|a, b| b.cmp(a));
        let rank = usize::from(heard >= OPINIONS);
        late.get(rank).copied().unwrap_or(0)
    }

    /// Whether enough has come to judge by: 2 s.
    pub(super) fn is_settled(&self) -> bool {
        self.stretches.iter().flatten().count() >= BASE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1000;

    /// 20 ms packets with a transit by their number.
    fn observed(packets: i64, transit: impl Fn(i64) -> i64) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for n in 0..packets {
            arrivals.observe(n * 20 * MS + transit(n), transit(n));
        }
        arrivals
    }

    #[test]
    fn one_stall_is_forgiven_and_two_are_not() {
        let stall = |at: &'static [i64]| {
            move |n: i64| at.iter().map(|at| (200 - 20 * (n - at)) * MS * i64::from(n >= *at)).max()
        };
        let none = observed(600, |n| n % 3 * MS);
        assert_eq!((none.base(), none.spread()), (Some(0), 2 * MS));
        let one = observed(600, |n| stall(&[300])(n).unwrap_or(0).max(0));
        assert_eq!(one.spread(), 0);
        let two = observed(600, |n| stall(&[300, 450])(n).unwrap_or(0).max(0));
        assert_eq!(two.spread(), 200 * MS);
        assert_eq!(observed(60, |n| stall(&[30])(n).unwrap_or(0).max(0)).spread(), 200 * MS);
    }

    #[test]
    fn a_step_moves_the_base_within_two_seconds_and_is_no_spread() {
        for (before, after) in [(0, 80 * MS), (80 * MS, 0)] {
            let stepped = observed(600, |n| if n < 450 { before } else { after });
            assert_eq!((stepped.base(), stepped.spread()), (Some(after), 0));
        }
        let just = observed(460, |n| if n < 450 { 0 } else { 80 * MS });
        assert_eq!(just.base(), Some(0));
    }

    #[test]
    fn silence_forgets_the_base_and_a_jump_of_the_clock_moves_it() {
        let mut arrivals = observed(600, |_| 7);
        arrivals.rebase(9_000_000);
        assert_eq!((arrivals.base(), arrivals.spread()), (Some(9_000_000), 0));
        arrivals.advance(12_000_000 + 3_000_000);
        assert_eq!(arrivals.base(), None);
        arrivals.advance(i64::MAX / 2);
        assert!(!arrivals.is_settled());
    }
}
