//! A background beneath what is said: an office, music, rain; mixed into each frame as it leaves.
//!
//! ```text
//!  playout ─ frame ─┬─────────────────────────> + ──> mute ─> low cut ─> silence ─> codec
//!                   └ speech? ─> gain, 150 ms ─ ×
//!  shared samples ─ round and round ────────────┘
//! ```
//!
//! Owns the place in the track and the gain: full while nothing is said, lower by `duck_db` while
//! something is. The samples are decoded once and shared by all calls. It is mixed here, behind
//! the playout ring, so it goes on through every pause and underrun, is not cleared, and is in no
//! position, mark or `played_ms`: those count what was queued. Does not decode, and makes no loop:
//! `audio::prompt` joined the track's end to its beginning.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::interface::BackgroundSpec;
use crate::audio::codec::SampleRate;
use crate::audio::sample::ratio_of_db;
use std::sync::Arc;
use std::time::Duration;

/// How long the gain takes from one level to the other.
pub const RAMP: Duration = Duration::from_millis(150);
/// The gain stays low for this long after speech: words have pauses.
pub const HOLD: Duration = Duration::from_millis(300);
/// A frame with a sample beyond this is speech: -42 dBov.
const SPEECH: u16 = 260;

/// The background of one leg. See the module.
#[derive(Debug)]
pub struct Background {
    samples: Arc<[i16]>,
    at: usize,
    full: f32,
    ducked: f32,
    on: bool,
    gain: f32,
    target: f32,
    step: f32,
    ramp: f32,
    hold: usize,
    /// Samples until the speech before is forgotten.
    held: usize,
}

impl Background {
    /// A background at its beginning, which fades in; `None` for one without a sample.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ramp has a few thousand samples")]
    pub fn new(spec: &BackgroundSpec, rate: SampleRate) -> Option<Self> {
        let samples = |time| usize::try_from(rate.samples_in(time)).unwrap_or(0).max(1);
        let full = ratio_of_db(spec.gain_db.min(0.0));
        (!spec.samples.is_empty()).then(|| Self {
            samples: Arc::clone(&spec.samples),
            at: 0,
            full,
            ducked: full * ratio_of_db(-spec.duck_db.abs()),
            on: true,
            gain: 0.0,
            target: 0.0,
            step: 0.0,
            ramp: samples(RAMP) as f32,
            hold: samples(HOLD),
            held: 0,
        })
    }

    /// Fades out, or comes back where it stopped.
    pub fn set(&mut self, on: bool) {
        self.on = on;
    }

    /// Mixes the next piece into a frame of what is said. Cost: O(frame), no allocation.
    #[expect(clippy::cast_possible_truncation, reason = "a product with at most one")]
    pub fn mix(&mut self, frame: &mut [i16]) {
        self.aim(frame);
        if self.gain == 0.0 && self.target == 0.0 {
            return;
        }
        for sample in frame {
            self.turn();
            let beneath = self.samples.get(self.at).copied().unwrap_or(0);
            self.at = if self.at + 1 < self.samples.len() { self.at + 1 } else { 0 };
            *sample = sample.saturating_add((f32::from(beneath) * self.gain) as i16);
        }
    }

    /// Finds out how loud it should be.
    #[expect(clippy::float_cmp, reason = "targets are one of three exact values")]
    fn aim(&mut self, frame: &[i16]) {
        if frame.iter().any(|sample| sample.unsigned_abs() > SPEECH) {
            self.held = self.hold;
        } else {
            self.held = self.held.saturating_sub(frame.len());
        }
        let target = match (self.on, self.held > 0) {
            (false, _) => 0.0,
            (true, true) => self.ducked,
            (true, false) => self.full,
        };
        if target != self.target {
            (self.target, self.step) = (target, (target - self.gain) / self.ramp);
        }
    }

    /// Moves the gain by one sample.
    #[expect(clippy::float_cmp, reason = "the gain is set to exactly its target")]
    fn turn(&mut self) {
        if self.gain != self.target {
            let next = self.gain + self.step;
            let past = (next - self.target) * self.step.signum() >= 0.0;
            self.gain = if past { self.target } else { next };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_8000;

    fn spec(samples: Vec<i16>) -> BackgroundSpec {
        BackgroundSpec { samples: samples.into(), gain_db: -20.0, duck_db: 12.0 }
    }

    /// So many frames of `sample`, with the background beneath.
    fn mixed(background: &mut Background, sample: i16, frames: usize) -> Vec<i16> {
        let frame = |_| {
            let mut frame = [sample; 160];
            background.mix(&mut frame);
            frame
        };
        (0..frames).flat_map(frame).collect()
    }

    #[test]
    fn it_fades_in_goes_down_for_speech_and_comes_back() {
        let mut background = Background::new(&spec(vec![10_000; 4_001]), RATE).unwrap();
        let alone = mixed(&mut background, 0, 20);
        assert!(alone[0] <= 1 && alone[..1_200].is_sorted(), "150 ms up");
        assert!(alone[1_210..].iter().all(|s| *s == 1_000), "-20 dB");
        let under: Vec<i16> = mixed(&mut background, 5_000, 20).iter().map(|s| s - 5_000).collect();
        assert!(under[..1_200].is_sorted_by(|a, b| a >= b) && under[0] >= 998);
        assert!(under[1_210..].iter().all(|s| (250..=252).contains(s)), "-12 dB more");
        // 300 ms of a pause are still of the sentence.
        let after = mixed(&mut background, 0, 40);
        assert!(after[..14 * 160].iter().all(|s| (250..=252).contains(s)));
        assert!(after[15 * 160..].is_sorted() && after[6_399] == 1_000);
        let steps = after.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.max() <= Some(1));
    }

    #[test]
    fn it_goes_round_without_losing_a_sample_and_stands_still_while_off() {
        let track: Vec<i16> = (0..777).map(|n| n * 10).collect();
        let spec = BackgroundSpec { gain_db: 0.0, ..spec(track.clone()) };
        let mut background = Background::new(&spec, RATE).unwrap();
        mixed(&mut background, 0, 10);
        let heard = mixed(&mut background, 0, 20);
        let start = background.at;
        let wanted: Vec<i16> =
            track.iter().copied().cycle().skip(1_600 % 777).take(3_200).collect();
        assert_eq!(heard, wanted);
        background.set(false);
        let gone = mixed(&mut background, 0, 20);
        assert!(gone[1_210..].iter().all(|s| *s == 0));
        let at = background.at;
        mixed(&mut background, 0, 20);
        assert_eq!(background.at, at, "it waits");
        background.set(true);
        assert!(mixed(&mut background, 0, 10)[1_500..].iter().any(|s| *s != 0));
        assert_ne!(background.at, start);
    }

    #[test]
    fn loud_speech_saturates_and_an_empty_track_is_none() {
        let mut background = Background::new(&spec(vec![i16::MAX; 9]), RATE).unwrap();
        mixed(&mut background, 0, 10);
        assert!(mixed(&mut background, i16::MAX - 5, 1).iter().all(|s| *s == i16::MAX));
        assert!(Background::new(&spec(vec![]), RATE).is_none());
    }
}
