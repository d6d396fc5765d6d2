//! Token buckets: how often somebody may ask.
//!
//! Owns the arithmetic and a bounded table of buckets. Time is an argument. A bucket that is full
//! again is as good as none and makes room; when all of a full table are in use, a stranger shares
//! one bucket with all other strangers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Tokens that come back in a second.
    pub per_second: f64,
    /// Tokens of a full bucket.
    pub burst: u32,
}

/// What a bucket said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Whether there was a token.
    pub allowed: bool,
    /// Tokens left.
    pub remaining: u32,
    /// Until the next token (refused), or until the bucket is full (allowed).
    pub wait: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// A bounded table of buckets.
#[derive(Debug)]
pub struct Limiter<K> {
    rate: Rate,
    entries_max: usize,
    buckets: Mutex<(HashMap<K, Bucket>, Option<Bucket>)>,
}

impl<K: Eq + Hash + Clone> Limiter<K> {
    /// An empty table.
    #[must_use]
    pub fn new(rate: Rate, entries_max: usize) -> Self {
        Self { rate, entries_max, buckets: Mutex::new((HashMap::new(), None)) }
    }

    /// The rate that it holds everybody to.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes a token of `who`.
    pub fn take(&self, who: &K, now: Instant) -> Verdict {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (table, shared) = &mut *buckets;
        let rate = self.rate;
        let full = Bucket { tokens: f64::from(rate.burst), at: now };
        if table.len() >= self.entries_max && !table.contains_key(who) {
            table.retain(|_, bucket| bucket.at_time(now, rate).tokens < full.tokens);
        }
        let bucket = if table.len() < self.entries_max || table.contains_key(who) {
            table.entry(who.clone()).or_insert(full)
        } else {
            shared.get_or_insert(full)
        };
        *bucket = bucket.at_time(now, rate);
        bucket.take(rate)
    }
}

impl Bucket {
    fn at_time(self, now: Instant, rate: Rate) -> Self {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let tokens = (self.tokens + elapsed * rate.per_second).min(f64::from(rate.burst));
        Self { tokens, at: now }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 <= tokens <= burst, which is a u32"
    )]
    fn take(&mut self, rate: Rate) -> Verdict {
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        let missing = if allowed { f64::from(rate.burst) - self.tokens } else { 1.0 - self.tokens };
        let wait = Duration::try_from_secs_f64(missing / rate.per_second).unwrap_or(Duration::MAX);
        Verdict { allowed, remaining: self.tokens as u32, wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2.0, burst: 3 };

    #[test]
    fn a_burst_then_the_rate() {
        let limiter = Limiter::new(RATE, 8);
        let start = Instant::now();
        let allowed = |at| limiter.take(&1, start + Duration::from_millis(at)).allowed;
        assert_eq!(
            [0, 0, 0, 0, 400, 500, 501, 1000].map(allowed),
            [true, true, true, false, false, true, false, true]
        );
        let refused = limiter.take(&1, start + Duration::from_millis(1000));
        assert_eq!((refused.remaining, refused.wait), (0, Duration::from_millis(500)));
    }

    #[test]
    fn the_table_is_bounded_and_strangers_share() {
        let limiter = Limiter::new(RATE, 2);
        let start = Instant::now();
        for who in 0..100 {
            limiter.take(&who, start);
        }
        assert_eq!(limiter.buckets.lock().unwrap().0.len(), 2);
        assert!(!limiter.take(&200, start).allowed, "the shared bucket is empty");
        assert!(limiter.take(&0, start).allowed, "its own bucket is not");
        let later = start + Duration::from_secs(10);
        assert!(limiter.take(&201, later).allowed, "full buckets made room");
    }
}
