//! What becomes of packets on their way: patterns of loss and five traces of delay.
//!
//! All are drawn from a seed and the same on every machine.

/// Packets at the start of a call that always arrive.
const SPARED: usize = 5;
/// Units: microseconds, like every delay here.
const MS: f64 = 1_000.0;
const PTIME: f64 = 20.0 * MS;

/// A small generator of random numbers (SplitMix64).
pub struct Random(u64);

impl Random {
    /// Numbers that depend on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Exponentially distributed.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

/// A pattern of lost packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Each packet on its own.
    Random(f64),
    /// Bursts of three packets on the average (Gilbert).
    Burst(f64),
}

impl Loss {
    /// The cells of the tables.
    pub const ALL: [Self; 10] = [
        Self::Random(0.01),
        Self::Random(0.03),
        Self::Random(0.05),
        Self::Random(0.10),
        Self::Random(0.20),
        Self::Burst(0.01),
        Self::Burst(0.03),
        Self::Burst(0.05),
        Self::Burst(0.10),
        Self::Burst(0.20),
    ];

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Self::Random(share) => format!("random {:.0} %", share * 100.0),
            Self::Burst(share) => format!("burst(3) {:.0} %", share * 100.0),
        }
    }

    /// The share of packets that are lost.
    pub fn share(self) -> f64 {
        let (Self::Random(share) | Self::Burst(share)) = self;
        share
    }

    /// Which of so many packets are lost.
    pub fn draw(self, packets: usize, seed: u64) -> Vec<bool> {
        let mut random = Random::new(seed);
        let mut lost = false;
        let draw = |at: usize| {
            let chance = match self {
                Self::Random(share) => share,
                Self::Burst(_) if lost => 1.0 - BURST_ENDS,
                Self::Burst(share) => share * BURST_ENDS / (1.0 - share),
            };
            lost = random.unit() < chance && at >= SPARED && at + 2 < packets;
            lost
        };
        (0..packets).map(draw).collect()
    }
}

/// A burst ends with the next packet with this chance: it is three packets long on the average.
const BURST_ENDS: f64 = 1.0 / 3.0;

/// A path whose delay varies; each also loses 1 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// Exponential, 5 ms in the mean.
    Mild,
    /// In order; exponential, 8 ms, and stalls of 60 to 150 ms every 2 s, after which all comes at once.
    Wifi,
    /// In order; exponential, 6 ms, and stalls of 150 to 250 ms every 4 s, after which all comes at once.
    Lte,
    /// 5 % of the packets come 40 to 60 ms late.
    Reorder,
    /// 80 ms more in the middle third.
    Step,
}

impl Trace {
    /// The columns of the tables.
    pub const ALL: [Self; 5] = [Self::Mild, Self::Wifi, Self::Lte, Self::Reorder, Self::Step];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mild => "mild",
            Self::Wifi => "wifi",
            Self::Lte => "lte",
            Self::Reorder => "reorder",
            Self::Step => "step",
        }
    }

    /// How late each of so many packets comes, in microseconds above the shortest path; `None`: it
    /// is lost.
    pub fn draw(self, packets: usize, seed: u64) -> Vec<Option<u64>> {
        let mut random = Random::new(seed);
        let lost = Loss::Random(0.01).draw(packets, seed ^ 0x5eed);
        let (jitter, stall) = match self {
            Self::Mild => (5.0, None),
            Self::Wifi => (8.0, Some((2.0, 60.0, 150.0))),
            Self::Lte => (6.0, Some((4.0, 150.0, 250.0))),
            Self::Reorder | Self::Step => (0.0, None),
        };
        // Nothing that is sent before this moment arrives before it.
        let (mut stalled_until, mut next_stall, mut before) = (0.0, f64::INFINITY, 0.0);
        if let Some((every, _, _)) = stall {
            next_stall = random.between(0.5, 1.5) * every * 1_000.0 * MS;
        }
        let draw = |at: usize| {
            let sent = at as f64 * PTIME;
            if let Some((every, short, long)) = stall
                && sent >= next_stall
            {
                stalled_until = sent + random.between(short, long) * MS;
                next_stall += random.between(0.5, 1.5) * every * 1_000.0 * MS;
            }
            let mut late = random.exponential(jitter * MS);
            let odd = random.unit();
            late += match self {
                Self::Reorder if odd < 0.05 => random.between(40.0, 60.0) * MS,
                Self::Step if (packets / 3..packets * 2 / 3).contains(&at) => 80.0 * MS,
                Self::Mild | Self::Wifi | Self::Lte | Self::Reorder | Self::Step => 0.0,
            };
            if at < SPARED {
                late = 0.0;
            }
            if matches!(self, Self::Wifi | Self::Lte) {
                // A radio link repeats what was damaged, and keeps the order.
                late = late.max(stalled_until - sent).max(before - sent);
                before = sent + late;
            }
            (!lost[at]).then_some(late as u64)
        };
        (0..packets).map(draw).collect()
    }
}
