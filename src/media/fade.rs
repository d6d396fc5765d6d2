//! How sound begins and ends without a click: raised-cosine fades, and a tail that goes on from
//! the last samples by repeating their last pitch period.
//!
//! Free functions on slices, used only where sound starts or stops. Does not decide when.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::audio::codec::SampleRate;
use crate::audio::sample::{Products, products};
use std::f32::consts::PI;

/// Sent samples that are kept to continue from.
pub const HISTORY: usize = 240;
/// How much of them is compared to find the pitch: 10 ms at 8 kHz.
const COMPARED: usize = 80;
/// The pitches of voices.
const PITCH_HZ: (u32, u32) = (57, 400);

/// The last samples that were sent.
#[derive(Debug, Clone)]
pub struct History([i16; HISTORY]);

impl Default for History {
    fn default() -> Self {
        Self([0; HISTORY])
    }
}

impl History {
    /// Remembers what was sent last. Cost: one move of a few hundred octets.
    pub fn push(&mut self, samples: &[i16]) {
        let fresh = samples.get(samples.len().saturating_sub(HISTORY)..).unwrap_or_default();
        self.0.copy_within(fresh.len().., 0);
        if let Some(end) = self.0.get_mut(HISTORY - fresh.len()..) {
            end.copy_from_slice(fresh);
        }
    }

    /// Goes on from the last sample by repeating the last pitch period, at full level.
    ///
    /// Cost: one correlation search, about ten thousand multiplications.
    pub fn extend(&self, rate: SampleRate, out: &mut [i16]) {
        let period = self.pitch_period(rate);
        let last = self.0.get(HISTORY - period..).unwrap_or_default();
        for (sample, repeated) in out.iter_mut().zip(last.iter().cycle()) {
            *sample = *repeated;
        }
    }

    /// The lag at which the last samples resemble the ones before most.
    fn pitch_period(&self, rate: SampleRate) -> usize {
        let longest = HISTORY - COMPARED;
        let lag = |hz: u32| usize::try_from(rate.hz() / hz).map_or(longest, |lag| lag.min(longest));
        let (shortest, longest) = (lag(PITCH_HZ.1).max(1), lag(PITCH_HZ.0));
        let recent = &self.0[HISTORY - COMPARED..];
        let mut best = (0.0, longest);
        for lag in shortest..=longest {
            let earlier = &self.0[HISTORY - COMPARED - lag..HISTORY - lag];
            let likeness = correlation(recent, earlier);
            if likeness > best.0 {
                best = (likeness, lag);
            }
        }
        best.1
    }
}

/// Normalised cross-correlation; 0 when either side is silent.
fn correlation(a: &[i16], b: &[i16]) -> f32 {
    let Products { product, power_a, power_b } = products(a, b);
    let power = (power_a * power_b).sqrt();
    if power > 0.0 { product / power } else { 0.0 }
}

/// Brings sound up from silence over the whole slice.
pub fn fade_in(samples: &mut [i16]) {
    let len = samples.len();
    for (i, sample) in samples.iter_mut().enumerate() {
        *sample = scaled(*sample, gain(i, len));
    }
}

/// Takes sound down to silence over the whole slice.
pub fn fade_out(samples: &mut [i16]) {
    let len = samples.len();
    for (i, sample) in samples.iter_mut().enumerate() {
        *sample = scaled(*sample, 1.0 - gain(i, len));
    }
}

/// A part of taking sound down over `len` samples: the slice begins at sample `from` of that.
pub fn fade_out_of(samples: &mut [i16], from: usize, len: usize) {
    for (i, sample) in samples.iter_mut().enumerate() {
        *sample = scaled(*sample, 1.0 - gain(from + i, len.max(1)));
    }
}

/// Raised cosine from 0 to 1, with its centre between the middle samples.
#[expect(clippy::cast_precision_loss, reason = "fades are a few hundred samples long")]
fn gain(i: usize, len: usize) -> f32 {
    0.5 - 0.5 * (PI * (i as f32 + 0.5) / len as f32).cos()
}

#[expect(clippy::cast_possible_truncation, reason = "the gain is at most one")]
fn scaled(sample: i16, gain: f32) -> i16 {
    (f32::from(sample) * gain).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a test tone")]
    fn tone(hz: f32, from: usize, len: usize) -> Vec<i16> {
        (from..from + len)
            .map(|i| (8000.0 * (2.0 * PI * hz * i as f32 / 8000.0).sin()) as i16)
            .collect()
    }

    #[test]
    fn tail_goes_on_where_a_voice_stopped() {
        for hz in [80.0, 125.0, 200.0, 333.0] {
            let mut history = History::default();
            history.push(&tone(hz, 0, 500));
            let mut tail = [0; 40];
            history.extend(SampleRate::HZ_8000, &mut tail);
            for (got, want) in tail.iter().zip(tone(hz, 500, 40)) {
                assert!((i32::from(*got) - i32::from(want)).abs() < 1500, "{hz} Hz: {tail:?}");
            }
        }
    }

    #[test]
    fn tail_of_silence_is_silence() {
        let mut tail = [5; 40];
        History::default().extend(SampleRate::HZ_8000, &mut tail);
        assert_eq!(tail, [0; 40]);
    }

    #[test]
    fn history_keeps_the_last_samples_of_any_push() {
        let mut history = History::default();
        let all: Vec<i16> = (0..1000).collect();
        for piece in [&all[..7], &all[7..300], &all[300..301], &all[301..1000]] {
            history.push(piece);
        }
        assert_eq!(history.0[..], all[1000 - HISTORY..]);
        history.push(&[]);
        assert_eq!(history.0[..], all[1000 - HISTORY..]);
    }

    #[test]
    fn fades_are_smooth_and_add_up_to_one() {
        let (mut up, mut down) = ([10_000_i16; 40], [10_000_i16; 40]);
        fade_in(&mut up);
        fade_out(&mut down);
        assert!(up.is_sorted() && up[0] < 50 && up[39] > 9_950);
        assert!(up.iter().zip(&down).all(|(a, b)| (i32::from(a + b) - 10_000).abs() <= 1));
        fade_in(&mut []);
    }
}
