//! Whether a client's audio is what it says: what is wrong with it that a listener would hear.
//!
//! ```text
//!  messages (when, how long by the claimed rate) ─> arrivals ─┐
//!                                                             ├─> Doubt
//!  samples on their way to the ring ─> clipping, offset ──────┘
//! ```
//!
//! Guesses, and says so: nothing is changed for it. Pure; reads no clock. Cost: some operations a
//! sample, no allocation.

use super::options::IN_RATES;
use std::time::{Duration, Instant};

/// How long messages must come steadily before their pace tells anything.
const STEADY: Duration = Duration::from_secs(5);
/// A longer gap between two messages is a pause, not a pace.
const GAP_MAX: Duration = Duration::from_millis(200);
/// Messages that the time must hold.
const MESSAGES_MIN: u32 = 40;
/// Of the claimed pace, in per cent: half, and double.
const HALF: std::ops::RangeInclusive<u128> = 46..=54;
const DOUBLE: std::ops::RangeInclusive<u128> = 185..=215;
/// Loudest samples; what is cut off stays there for some in a row.
const CEILING: u16 = 32_760;
const RUN_MIN: u32 = 3;
/// Samples cut off, in one of so many, are heard.
const CLIPPED_PARTS: u64 = 200;
/// An offset of 5 % of full scale.
const OFFSET: u64 = 1638;
/// How long sound is looked at before it is judged.
const LOOK_S: u64 = 2;
/// How often the same is told at most.
const AGAIN: Duration = Duration::from_secs(30);

/// What is doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It comes as if it had another rate.
    Rate {
        /// Samples that came in a second.
        came: u32,
        /// The rate nearest to that.
        nearest: u32,
    },
    /// It is cut off at full scale.
    Clipping {
        /// How much of it, in thousandths.
        per_mille: u64,
    },
    /// It has a constant offset.
    Offset {
        /// Of full scale, in per cent.
        per_cent: u64,
    },
}

/// Messages that come steadily.
#[derive(Debug, Clone, Copy)]
struct Run {
    since: Instant,
    last: Instant,
    messages: u32,
    /// Audio in them, by the claimed rate, but for the last message's.
    audio: Duration,
    pending: Duration,
}

/// Sound that is being judged.
#[derive(Debug, Default)]
struct Sound {
    samples: u64,
    /// Samples that are not silence.
    loud: u64,
    sum: i64,
    clipped: u64,
    run: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Doubts {
    leg_rate: u64,
    /// The claimed rate in Hz.
    rate: u32,
    live: bool,
    run: Option<Run>,
    rate_told: bool,
    sound: Sound,
    told: [Option<Instant>; 2],
}

impl Doubts {
    /// For a client that claims this rate, in Hz, at a leg of that rate; `live`: it says that its
    /// audio comes as it is spoken.
    pub(super) fn new(rate: u32, leg_rate: u32, live: bool) -> Self {
        Self {
            leg_rate: u64::from(leg_rate.max(1)),
            rate,
            live,
            run: None,
            rate_told: false,
            sound: Sound::default(),
            told: [None; 2],
        }
    }

    /// A message came that lasts so long by the claimed rate.
    pub(super) fn arrived(&mut self, now: Instant, audio: Duration) -> Option<Doubt> {
        let fresh =
            Run { since: now, last: now, messages: 0, audio: Duration::ZERO, pending: audio };
        let run = self.run.get_or_insert(fresh);
        if now.saturating_duration_since(run.last) > GAP_MAX {
            *run = fresh;
        }
        if run.messages > 0 {
            run.audio += std::mem::replace(&mut run.pending, audio);
        }
        run.messages += 1;
        run.last = now;
        let time = now.saturating_duration_since(run.since);
        if time < STEADY || run.messages < MESSAGES_MIN {
            return None;
        }
        let (audio, per_cent) = (run.audio, run.audio.as_millis() * 100 / time.as_millis().max(1));
        self.run = None;
        let wrong = HALF.contains(&per_cent) || (self.live && DOUBLE.contains(&per_cent));
        if !wrong || std::mem::replace(&mut self.rate_told, true) {
            return None;
        }
        let came = u128::from(self.rate) * audio.as_millis() / time.as_millis().max(1);
        let came = u32::try_from(came).unwrap_or(u32::MAX);
        let nearest = IN_RATES.into_iter().min_by_key(|rate| rate.abs_diff(came));
        Some(Doubt::Rate { came, nearest: nearest.unwrap_or(came) })
    }

    /// Samples go to the ring.
    pub(super) fn look(&mut self, samples: &[i16]) {
        let sound = &mut self.sound;
        sound.samples += samples.len() as u64;
        for sample in samples {
            let level = sample.unsigned_abs();
            sound.sum += i64::from(*sample);
            sound.loud += u64::from(level > 0);
            if level < CEILING {
                sound.run = 0;
                continue;
            }
            sound.run += 1;
            sound.clipped += match sound.run {
                RUN_MIN => u64::from(RUN_MIN),
                run => u64::from(run > RUN_MIN),
            };
        }
    }

    /// What the sound of the last seconds gives reason to doubt; ask again until there is nothing.
    pub(super) fn judge(&mut self, now: Instant) -> Option<Doubt> {
        if self.sound.samples < LOOK_S * self.leg_rate {
            return None;
        }
        let Sound { loud, sum, clipped, .. } = std::mem::take(&mut self.sound);
        // Silence has no level.
        if loud < self.leg_rate {
            return None;
        }
        let offset = sum.unsigned_abs() / loud;
        let [clipping_told, offset_told] = &mut self.told;
        if clipped * CLIPPED_PARTS >= loud && may_tell(clipping_told, now) {
            return Some(Doubt::Clipping { per_mille: clipped * 1000 / loud });
        }
        if offset >= OFFSET && may_tell(offset_told, now) {
            return Some(Doubt::Offset { per_cent: offset * 100 / 32_768 });
        }
        None
    }
}

fn may_tell(told: &mut Option<Instant>, now: Instant) -> bool {
    let may = told.is_none_or(|told| now.saturating_duration_since(told) >= AGAIN);
    if may {
        *told = Some(now);
    }
    may
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
        Instant::now()
    }

    /// Messages of 20 ms by the claimed rate of 48 kHz, each `gap` after the other.
    fn arrivals(doubts: &mut Doubts, gap: Duration, count: u32) -> Vec<Doubt> {
        let begin = start();
        (0..count)
            .filter_map(|n| doubts.arrived(begin + gap * n, Duration::from_millis(20)))
            .collect()
    }

    #[test]
    fn half_the_pace_is_half_the_rate_and_told_once() {
        let mut doubts = Doubts::new(48_000, 8000, false);
        let told = arrivals(&mut doubts, Duration::from_millis(40), 1000);
        let [Doubt::Rate { came, nearest: 24_000 }] = told[..] else { panic!("{told:?}") };
        assert!((23_500..24_500).contains(&came), "{came}");
        let mut doubts = Doubts::new(8000, 8000, true);
        let told = arrivals(&mut doubts, Duration::from_millis(10), 1000);
        assert!(matches!(told[..], [Doubt::Rate { nearest: 16_000, .. }]), "{told:?}");
    }

    #[test]
    fn other_paces_tell_nothing() {
        let ms = Duration::from_millis;
        for (gap, live) in
            [(20, true), (10, false), (27, true), (13, true), (1, true), (300, false)]
        {
            let mut doubts = Doubts::new(48_000, 8000, live);
            assert_eq!(arrivals(&mut doubts, ms(gap), 2000), [], "{gap}");
        }
    }

    #[test]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "samples that are made"
    )]
    fn sound_that_is_cut_off_or_off_centre_is_told_now_and_then() {
        let begin = start();
        let sine = |n: u64, gain: f64, offset: f64| {
            let value = (n as f64 * 0.3).sin().mul_add(gain, offset);
            value.clamp(-32_768.0, 32_767.0) as i16
        };
        let told = |gain: f64, offset: f64| {
            let mut doubts = Doubts::new(8000, 8000, false);
            let mut told = Vec::new();
            for second in 0..20_u64 {
                let samples: Vec<i16> = (0..8000).map(|n| sine(n, gain, offset)).collect();
                doubts.look(&samples);
                told.extend(doubts.judge(begin + Duration::from_secs(second)));
            }
            told
        };
        assert_eq!(told(20_000.0, 0.0), []);
        assert_eq!(told(32_767.0, 0.0), [], "full scale is no clipping");
        assert!(matches!(told(45_000.0, 0.0)[..], [Doubt::Clipping { per_mille: 300.. }]));
        assert_eq!(told(9000.0, 2000.0), [Doubt::Offset { per_cent: 6 }]);
        assert_eq!(told(0.0, 0.0), []);
    }
}
