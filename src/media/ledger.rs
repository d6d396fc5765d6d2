//! How long sound stands at each stage of its way through a call.
//!
//! ```text
//!  client ── decode ── resample ── queue ── send ──> carrier
//!  client <───── write ────────── order <─────────── carrier
//! ```
//!
//! Counts in fixed buckets, four to an octave, from 1 µs to a minute: no allocation, no lock, and
//! a read disturbs nobody. Does not read a clock: who is at the stage says how long it took.

use super::bucket::{self, upper_edge};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where sound stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A client's message, or 16 slices of a long one: its reading into samples.
    Decode,
    /// The same: its samples, to the leg's rate.
    Resample,
    /// The first sample of a message: from its being read off the socket until a packet takes it.
    /// What a client sends ahead of time waits here.
    Queue,
    /// A packet: from when its beat was due until the socket has it.
    Send,
    /// The caller's packet: from its arrival until all before it is there or given up.
    Order,
    /// The same: from there until the client's socket has it, whole frames and resampling included.
    Write,
}

/// Every stage, in the order of [`Ledger`].
pub const STAGES: [Stage; 6] =
    [Stage::Decode, Stage::Resample, Stage::Queue, Stage::Send, Stage::Order, Stage::Write];

impl Stage {
    /// The word in messages and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Resample => "resample",
            Self::Queue => "queue",
            Self::Send => "send",
            Self::Order => "order",
            Self::Write => "write",
        }
    }
}

/// Buckets per doubling: a quantile is at most a quarter too high.
const STEPS: usize = 4;
/// Octaves above the first, exact one: the last bucket starts at 58 s.
const OCTAVES: usize = 24;
const BUCKETS: usize = STEPS * (OCTAVES + 1);

/// The durations of one stage.
#[derive(Debug)]
struct Durations {
    buckets: [AtomicU32; BUCKETS],
    max_us: AtomicU32,
}

impl Default for Durations {
    fn default() -> Self {
        Self { buckets: [const { AtomicU32::new(0) }; BUCKETS], max_us: AtomicU32::new(0) }
    }
}

/// What [`Ledger::spread`] tells of a stage. Units: microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageSpread {
    /// How often sound stood there.
    pub count: u64,
    /// Upper edge of the bucket of the median.
    pub p50_us: u64,
    /// The same of the 99th percentile.
    pub p99_us: u64,
    /// The longest, exactly.
    pub max_us: u64,
}

/// A copy of the counts of all stages.
pub type Counts = [[u32; BUCKETS]; STAGES.len()];

/// Counts before anything was counted.
pub const NO_COUNTS: Counts = [[0; BUCKETS]; STAGES.len()];

/// The stages of a call, or of all calls.
#[derive(Debug, Default)]
pub struct Ledger([Durations; STAGES.len()]);

impl Ledger {
    /// Counts one duration; for a ledger where each stage has one writer.
    ///
    /// Cost: two relaxed loads and stores.
    pub fn time(&self, stage: Stage, duration: Duration) {
        let (durations, us) = (self.of(stage), micros(duration));
        if let Some(bucket) = durations.buckets.get(bucket_of(us)) {
            bucket.store(bucket.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        if us > durations.max_us.load(Ordering::Relaxed) {
            durations.max_us.store(us, Ordering::Relaxed);
        }
    }

    /// The same for a ledger that many write.
    pub fn add(&self, stage: Stage, duration: Duration) {
        let (durations, us) = (self.of(stage), micros(duration));
        if let Some(bucket) = durations.buckets.get(bucket_of(us)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        // Mostly it is not, and a look disturbs nobody.
        if us > durations.max_us.load(Ordering::Relaxed) {
            durations.max_us.fetch_max(us, Ordering::Relaxed);
        }
    }

    /// What was counted at a stage. Cost: one pass over its buckets.
    #[must_use]
    pub fn spread(&self, stage: Stage) -> StageSpread {
        let durations = self.of(stage);
        let read = |bucket: &AtomicU32| u64::from(bucket.load(Ordering::Relaxed));
        let counts = durations.buckets.each_ref().map(read);
        let (count, max_us) = (counts.iter().sum(), durations.max_us.load(Ordering::Relaxed));
        let max_us = u64::from(max_us);
        let quantile = |percent| quantile(&counts, count, percent).min(max_us);
        StageSpread { count, p50_us: quantile(50), p99_us: quantile(99), max_us }
    }

    /// The counts as they are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |bucket: &AtomicU32| bucket.load(Ordering::Relaxed);
        self.0.each_ref().map(|durations| durations.buckets.each_ref().map(read))
    }

    fn of(&self, stage: Stage) -> &Durations {
        let [decode, resample, queue, send, order, write] = &self.0;
        match stage {
            Stage::Decode => decode,
            Stage::Resample => resample,
            Stage::Queue => queue,
            Stage::Send => send,
            Stage::Order => order,
            Stage::Write => write,
        }
    }
}

/// What was counted between two copies of the same ledger: stage, upper edge, and how often.
pub fn since<'a>(
    now: &'a Counts,
    before: &'a Counts,
) -> impl Iterator<Item = (Stage, Duration, u32)> + 'a {
    let stages = STAGES.into_iter().zip(now.iter().zip(before));
    stages.flat_map(|(stage, (now, before))| {
        now.iter().zip(before).enumerate().filter_map(move |(index, (now, before))| {
            let more = now.wrapping_sub(*before);
            (more > 0).then(|| (stage, Duration::from_micros(upper_edge::<STEPS>(index)), more))
        })
    })
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn quantile(counts: &[u64; BUCKETS], count: u64, percent: u64) -> u64 {
    let rank = (count * percent).div_ceil(100).max(1);
    let mut seen = 0;
    for (index, n) in counts.iter().enumerate() {
        seen += n;
        if seen >= rank {
            return upper_edge::<STEPS>(index);
        }
    }
    0
}

/// The last bucket has no end.
fn bucket_of(us: u32) -> usize {
    bucket::bucket_of::<STEPS>(us.into()).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_stage_has_its_own_spread() {
        let ledger = Ledger::default();
        assert_eq!(ledger.spread(Stage::Queue), StageSpread::default());
        for us in 1..=1000 {
            ledger.time(Stage::Queue, Duration::from_micros(us));
        }
        ledger.add(Stage::Write, Duration::from_hours(2));
        let queue = ledger.spread(Stage::Queue);
        assert_eq!((queue.count, queue.max_us), (1000, 1000));
        assert!((500..=625).contains(&queue.p50_us), "{queue:?}");
        assert!((990..=1000).contains(&queue.p99_us), "{queue:?}");
        assert_eq!(ledger.spread(Stage::Write).max_us, u64::from(u32::MAX));
        assert_eq!(ledger.spread(Stage::Send).count, 0);
    }

    #[test]
    fn what_came_since_is_told_by_stage() {
        let ledger = Ledger::default();
        ledger.add(Stage::Order, Duration::from_micros(3));
        let before = ledger.counts();
        ledger.add(Stage::Order, Duration::from_micros(3));
        ledger.add(Stage::Send, Duration::from_micros(900));
        ledger.add(Stage::Send, Duration::from_micros(1000));
        let told: Vec<_> = since(&ledger.counts(), &before).collect();
        let micros = Duration::from_micros;
        assert_eq!(told, [(Stage::Send, micros(1023), 2), (Stage::Order, micros(3), 1)]);
        assert_eq!(since(&before, &NO_COUNTS).count(), 1);
    }

    #[test]
    fn a_call_spends_little_memory_on_it() {
        assert!(size_of::<Ledger>() <= 2500, "{}", size_of::<Ledger>());
    }

    proptest! {
        #[test]
        fn a_value_lies_below_its_upper_edge_by_a_quarter_at_most(us in 0_u32..60_000_000) {
            let edge = upper_edge::<STEPS>(bucket_of(us));
            prop_assert!(edge >= u64::from(us), "{us} above {edge}");
            prop_assert!(edge - u64::from(us) <= u64::from(us / 4), "{us} too far below {edge}");
        }
    }
}
