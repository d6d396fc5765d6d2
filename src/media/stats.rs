//! Counters of a leg and of a worker: written by one media thread, read from anywhere.
//!
//! Every counter is a relaxed atomic with a single writer, so counting is a plain load and store
//! and reading never disturbs the beat. A report is a snapshot of each counter, not of all at one
//! instant. Does not know what the numbers mean to a call.

use super::bucket::{self, upper_edge};
use super::interface::LegReport;
use super::ledger::{Ledger, Stage};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owner of the leg may call it.
    pub fn add(&self, n: u64) {
        // One writer: no lock prefix is needed to keep the sum right.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Replaces the value. Only the owner of the leg may call it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters behind [`LegReport`], plus what only the pool reports.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the fields are those of LegReport")]
pub struct LegStats {
    pub rx_packets: Counter,
    pub rx_restored: Counter,
    pub rx_lost: Counter,
    pub rx_duplicate: Counter,
    pub rx_reordered: Counter,
    pub rx_late: Counter,
    pub rx_refused: Counter,
    pub rx_hole_wait_us: Counter,
    pub rx_jitter_us: Counter,
    pub rx_concealed_ms: Counter,
    pub rx_due: Counter,
    pub rx_missing: Counter,
    pub rx_missing_runs: Counter,
    pub rx_overrun_samples: Counter,
    pub rx_last_ms: Counter,
    pub rx_bad_tags: Counter,
    pub rx_replayed: Counter,
    pub tx_packets: Counter,
    pub tx_octets: Counter,
    pub tx_played_samples: Counter,
    pub tx_failed: Counter,
    pub tx_underruns: Counter,
    pub tx_suppressed: Counter,
    pub tx_skipped: Counter,
    pub tx_late: Histogram,
    pub remote_lost: Counter,
    pub remote_fraction_lost: Counter,
    pub remote_jitter_us: Counter,
    pub rtt_us: Counter,
    /// Hundredths, like the next two.
    pub mos_rx: Counter,
    pub mos_tx: Counter,
    pub mos_told: Counter,
    /// Events and commands that found their table full; reported by the pool.
    pub dropped: Counter,
    /// How long sound stood where.
    pub ledger: Ledger,
    /// The same of all legs of the pool, if there is one.
    pub pool: OnceLock<Arc<Ledger>>,
}

impl LegStats {
    /// Counts how long sound stood at a stage. Each stage has one writer.
    pub fn time(&self, stage: Stage, duration: Duration) {
        self.ledger.time(stage, duration);
        if let Some(pool) = self.pool.get() {
            pool.add(stage, duration);
        }
    }

    /// A snapshot. Cost: relaxed loads and one pass over the histogram.
    #[must_use]
    pub fn report(&self) -> LegReport {
        let late = self.tx_late.snapshot();
        LegReport {
            rx_packets: self.rx_packets.read(),
            rx_restored: self.rx_restored.read(),
            rx_lost: self.rx_lost.read(),
            rx_duplicate: self.rx_duplicate.read(),
            rx_reordered: self.rx_reordered.read(),
            rx_late: self.rx_late.read(),
            rx_refused: self.rx_refused.read(),
            rx_hole_wait_us: self.rx_hole_wait_us.read(),
            rx_jitter_us: self.rx_jitter_us.read(),
            rx_concealed_ms: self.rx_concealed_ms.read(),
            rx_due: self.rx_due.read(),
            rx_missing: self.rx_missing.read(),
            rx_missing_runs: self.rx_missing_runs.read(),
            rx_overrun_samples: self.rx_overrun_samples.read(),
            rx_bad_tags: self.rx_bad_tags.read(),
            rx_replayed: self.rx_replayed.read(),
            tx_packets: self.tx_packets.read(),
            tx_octets: self.tx_octets.read(),
            tx_played_samples: self.tx_played_samples.read(),
            tx_failed: self.tx_failed.read(),
            tx_underruns: self.tx_underruns.read(),
            tx_suppressed: self.tx_suppressed.read(),
            tx_skipped: self.tx_skipped.read(),
            tx_late_p50_us: late.quantile_us(0.5),
            tx_late_p99_us: late.quantile_us(0.99),
            remote_lost: self.remote_lost.read(),
            remote_fraction_lost: self.remote_fraction_lost.read(),
            remote_jitter_us: self.remote_jitter_us.read(),
            rtt_us: self.rtt_us.read(),
            mos_rx: hundredths(self.mos_rx.read()),
            mos_tx: hundredths(self.mos_tx.read()),
            mos_told: hundredths(self.mos_told.read()),
            rx_last_ms: self.rx_last_ms.read(),
        }
    }
}

/// A score that is counted in hundredths.
#[expect(clippy::cast_precision_loss, reason = "a score of three digits")]
fn hundredths(count: u64) -> f64 {
    count as f64 / 100.0
}

/// Buckets per doubling: a quantile is at most an eighth too high.
const STEPS: usize = 8;
/// Octaves above the first, exact one: the last bucket starts at about a second.
const OCTAVES: usize = 17;
const BUCKETS: usize = STEPS * (OCTAVES + 1);

/// Durations counted in fixed buckets from 1 µs to 1 s, each an eighth of an octave wide.
#[derive(Debug)]
pub struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    /// Counts one duration. Cost: one relaxed load and store.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.0.get(bucket_of(us)) {
            bucket.store(bucket.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// The counts as they are.
    #[must_use]
    pub fn snapshot(&self) -> Spread {
        let mut spread = Spread::default();
        spread.add(self);
        spread
    }
}

/// A copy of one or several [`Histogram`]s, to take quantiles of.
#[derive(Debug, Clone)]
pub struct Spread([u64; BUCKETS]);

impl Default for Spread {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Spread {
    /// Adds the counts of one more histogram.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, bucket) in self.0.iter_mut().zip(&histogram.0) {
            *sum += bucket.load(Ordering::Relaxed);
        }
    }

    /// What was counted since `before`, a copy of the same histograms: upper edges and counts.
    pub fn since(&self, before: &Self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.0.iter().zip(&before.0).enumerate();
        counts.filter_map(|(index, (now, before))| {
            let more = now.saturating_sub(*before);
            (more > 0).then(|| (Duration::from_micros(upper_edge::<STEPS>(index)), more))
        })
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The upper edge of the bucket that holds the `q`-quantile, in microseconds; 0 when empty.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts far below 2^52"
    )]
    pub fn quantile_us(&self, q: f64) -> u64 {
        let count = self.count();
        let rank = ((count as f64 * q).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        for (index, n) in self.0.iter().enumerate() {
            seen += n;
            if seen >= rank {
                return upper_edge::<STEPS>(index);
            }
        }
        0
    }
}

/// The last bucket has no end.
fn bucket_of(us: u64) -> usize {
    bucket::bucket_of::<STEPS>(us).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_come_from_the_right_bucket() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().quantile_us(0.99), 0);
        for us in 1..=1000 {
            histogram.record(Duration::from_micros(us));
        }
        let spread = histogram.snapshot();
        assert_eq!(spread.count(), 1000);
        assert!((500..=563).contains(&spread.quantile_us(0.5)), "{}", spread.quantile_us(0.5));
        assert!((990..=1023).contains(&spread.quantile_us(0.99)));
        histogram.record(Duration::from_hours(1));
        assert!(histogram.snapshot().quantile_us(1.0) > 900_000);
    }

    #[test]
    fn what_came_since_is_told_by_bucket() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_micros(5));
        let before = histogram.snapshot();
        histogram.record(Duration::from_micros(5));
        for _ in 0..3 {
            histogram.record(Duration::from_micros(700));
        }
        let since: Vec<_> = histogram.snapshot().since(&before).collect();
        let micros = Duration::from_micros;
        assert_eq!(since, [(micros(5), 1), (micros(703), 3)]);
        assert_eq!(before.since(&before).count(), 0);
    }

    #[test]
    fn several_histograms_add_up() {
        let (a, b) = (Histogram::default(), Histogram::default());
        a.record(Duration::from_micros(3));
        b.record(Duration::from_micros(5));
        let mut both = a.snapshot();
        both.add(&b);
        assert_eq!((both.count(), both.quantile_us(0.5), both.quantile_us(1.0)), (2, 3, 5));
    }

    #[test]
    fn report_shows_what_was_counted() {
        let stats = LegStats::default();
        stats.tx_packets.add(2);
        stats.tx_packets.add(3);
        stats.rx_jitter_us.set(77);
        stats.tx_late.record(Duration::from_micros(4));
        let report = stats.report();
        assert_eq!((report.tx_packets, report.rx_jitter_us), (5, 77));
        assert_eq!((report.tx_late_p50_us, report.tx_late_p99_us), (4, 4));
    }

    proptest! {
        #[test]
        fn a_value_lies_below_its_upper_edge_by_an_eighth_at_most(us in 0_u64..1_000_000) {
            let edge = upper_edge::<STEPS>(bucket_of(us));
            prop_assert!(edge >= us, "{us} above {edge}");
            prop_assert!(edge - us <= us / 8, "{us} too far below {edge}");
        }
    }
}
