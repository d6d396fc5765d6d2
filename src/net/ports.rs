//! The pool of RTP port pairs: who may use which, and when a port may be used again.
//!
//! A call takes an even port for RTP and the odd one above it for RTCP (RFC 3550 §11). A pair
//! that comes back rests before it is given out again, so that packets still on their way to the
//! last call do not reach the next one. Pure bookkeeping: does not bind anything, reads no clock.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Why there is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// The configured range has no even port followed by an odd one.
    #[error("the RTP port range {0}-{1} holds no even port with the odd one above it")]
    NoPair(u16, u16),
    /// Limit: all pairs are in use, rest after use, or belong to other programs.
    #[error("all {0} RTP port pairs are in use or at rest")]
    Exhausted(usize),
}

/// The port pairs of one address; the longest unused goes out first.
#[derive(Debug)]
pub struct PortPool {
    free: VecDeque<u16>,
    resting: VecDeque<(Instant, u16)>,
    used: usize,
    rest: Duration,
}

impl PortPool {
    /// Makes a pool of the pairs within `range`, given out in an order drawn from `seed` (ports
    /// that cannot be guessed make injection harder), with `rest` between two uses.
    ///
    /// # Errors
    /// [`PortsError::NoPair`] when the range is too small.
    pub fn new(range: &RangeInclusive<u16>, rest: Duration, seed: u64) -> Result<Self, PortsError> {
        let (first, last) = (*range.start(), *range.end());
        let mut pairs: Vec<u16> =
            range.clone().filter(|port| *port != 0 && port % 2 == 0 && *port < last).collect();
        if pairs.is_empty() {
            return Err(PortsError::NoPair(first, last));
        }
        shuffle(&mut pairs, seed);
        Ok(Self { free: pairs.into(), resting: VecDeque::new(), used: 0, rest })
    }

    /// Takes a pair and returns its even port.
    ///
    /// # Errors
    /// [`PortsError::Exhausted`] when none is free at `now`.
    pub fn take(&mut self, now: Instant) -> Result<u16, PortsError> {
        self.wake(now);
        let port = self.free.pop_front().ok_or(PortsError::Exhausted(self.size()))?;
        self.used += 1;
        Ok(port)
    }

    /// Gives a pair back, by its even port; it rests from `now` on.
    pub fn give_back(&mut self, now: Instant, port: u16) {
        debug_assert!(self.used > 0, "port {port} came back twice");
        self.used = self.used.saturating_sub(1);
        self.resting.push_back((now, port));
    }

    /// Pairs that are out.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Pairs that could be taken at `now`.
    pub fn free(&mut self, now: Instant) -> usize {
        self.wake(now);
        self.free.len()
    }

    fn size(&self) -> usize {
        self.free.len() + self.resting.len() + self.used
    }

    fn wake(&mut self, now: Instant) {
        while let Some((since, port)) = self.resting.front().copied() {
            if now.saturating_duration_since(since) < self.rest {
                return;
            }
            self.resting.pop_front();
            self.free.push_back(port);
        }
    }
}

/// Fisher-Yates with a small generator; order matters, secrecy does not.
fn shuffle(pairs: &mut [u16], seed: u64) {
    let mut state = seed | 1;
    for i in (1..pairs.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let j = usize::try_from(state % (i as u64 + 1)).unwrap_or(0);
        pairs.swap(i, j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(10);

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
        Instant::now()
    }

    #[test]
    fn ranges_give_whole_even_pairs_only() {
        for (range, pairs) in [
            (20000..=20003, 2),
            (20001..=20004, 1),
            (20000..=20001, 1),
            (65534..=65535, 1),
            (0..=3, 1),
        ] {
            let pool = PortPool::new(&range, REST, 1).unwrap();
            assert_eq!(pool.free.len(), pairs, "{range:?}");
            assert!(pool.free.iter().all(|port| port % 2 == 0 && range.contains(&(port + 1))));
        }
    }

    #[test]
    fn ranges_without_a_pair_are_refused() {
        #[expect(clippy::reversed_empty_ranges, reason = "as a configuration may state it")]
        for range in [20001..=20002, 20000..=20000, 5..=4, 0..=1] {
            assert!(matches!(PortPool::new(&range, REST, 1), Err(PortsError::NoPair(..))));
        }
    }

    #[test]
    fn pairs_rest_after_use_and_come_back_in_order() {
        let t0 = start();
        let mut pool = PortPool::new(&(20000..=20003), REST, 1).unwrap();
        let (a, b) = (pool.take(t0).unwrap(), pool.take(t0).unwrap());
        assert_ne!(a, b);
        assert_eq!(pool.take(t0), Err(PortsError::Exhausted(2)));
        pool.give_back(t0, b);
        pool.give_back(t0 + Duration::from_secs(1), a);
        assert_eq!((pool.used(), pool.free(t0 + REST / 2)), (0, 0));
        assert_eq!(pool.take(t0 + REST / 2), Err(PortsError::Exhausted(2)));
        assert_eq!(pool.take(t0 + REST), Ok(b));
        assert_eq!(pool.take(t0 + REST), Err(PortsError::Exhausted(2)));
        assert_eq!(pool.take(t0 + REST + Duration::from_secs(1)), Ok(a));
    }

    #[test]
    fn order_depends_on_the_seed_and_uses_every_pair_once() {
        let order = |seed| {
            let mut pool = PortPool::new(&(20000..=20199), REST, seed).unwrap();
            (0..100).map(|_| pool.take(start()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(order(3), order(3));
        assert_ne!(order(3), order(4));
        let mut all = order(9);
        all.sort_unstable();
        assert_eq!(all, (20000..=20198).step_by(2).collect::<Vec<_>>());
    }
}
