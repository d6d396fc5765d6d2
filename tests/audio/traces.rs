//! Five paths that packets of 20 ms take, and what each does to every packet: pure, from a seed.
//!
//! ```text
//!  mild      every packet is late by itself, exponentially, 5 ms on the average
//!  wifi      8 ms, and about every 2 s a spike of 60 to 150 ms that the packets behind queue up at
//!  lte       6 ms, and about every 4 s a stall of 150 to 250 ms, delivered as a burst
//!  reorder   3 ms, and every twentieth packet comes 40 to 60 ms later, behind its successors
//!  step      5 ms, and 80 ms more for the middle third
//! ```
//!
//! One packet in a hundred is lost besides. These are the traces under which clocked buffers were
//! measured, so their figures can stand beside ours. Included by `#[path]` wherever sound is tried
//! on a path; knows no buffer and no sound.

#![allow(dead_code, reason = "not everybody who includes this uses all of it")]

/// A path of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// A good line.
    Mild,
    /// A wireless network with contention.
    Wifi,
    /// A mobile network whose queue stands still at times.
    Lte,
    /// Two routes of different length.
    Reorder,
    /// A route that becomes longer, and short again.
    Step,
}

impl Path {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mild, Self::Wifi, Self::Lte, Self::Reorder, Self::Step];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mild => "mild",
            Self::Wifi => "wifi",
            Self::Lte => "lte",
            Self::Reorder => "reorder",
            Self::Step => "step",
        }
    }

    /// How late each packet is above the fastest there could be, in microseconds; `None`: lost.
    pub fn packets(self, count: usize, seed: u64) -> Vec<Option<u32>> {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (mut queue_until, mut last) = (0.0_f64, 0.0_f64);
        (0..count)
            .map(|n| {
                let sent = 20.0 * f64::from(u32::try_from(n).expect("a test's length"));
                let arrival = match self {
                    Self::Mild => sent + dice.exponential(5.0),
                    Self::Step => {
                        let longer = (count / 3..2 * count / 3).contains(&n);
                        sent + dice.exponential(5.0) + if longer { 80.0 } else { 0.0 }
                    }
                    Self::Reorder => {
                        let detour =
                            if dice.even() < 0.05 { 40.0 + 20.0 * dice.even() } else { 0.0 };
                        sent + dice.exponential(3.0) + detour
                    }
                    Self::Wifi | Self::Lte => {
                        let (mean, odds, least, span) = if self == Self::Wifi {
                            (8.0, 0.01, 60.0, 90.0)
                        } else {
                            (6.0, 0.005, 150.0, 100.0)
                        };
                        if dice.even() < odds {
                            queue_until = sent + least + span * dice.even();
                        }
                        // A queue keeps the order.
                        (sent + dice.exponential(mean)).max(queue_until).max(last)
                    }
                };
                last = arrival;
                let lost = dice.even() < 0.01;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "µs")]
                let late = ((arrival - sent) * 1000.0) as u32;
                (!lost).then_some(late)
            })
            .collect()
    }
}

/// Numbers that depend on nothing but the seed (xorshift64*).
struct Dice(u64);

impl Dice {
    /// Evenly between 0 and 1, never 0.
    fn even(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = u32::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32);
        (f64::from(high.expect("32 bits")) + 1.0) / 4_294_967_296.0
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.even().ln()
    }
}
