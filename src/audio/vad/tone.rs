//! What a frame is like besides its score: one or two steady tones (keys, ringing, beeps), hiss, or
//! something with a body.
//!
//! What the best rule for two sines leaves of a voice is much more than it leaves of tones. The
//! network would take ringing tones for vowels.

use crate::audio::sines::Sums;

/// Noise of the telephone in a tone, as a share of its power: µ-law leaves −37 dB, ringing tones
/// that lie close together seem to have −31 dB, voices −29 dB at the very least and −22 dB mostly.
const REST_MAX: f64 = 0.001_2;
/// Noise that is added in thought, so that one sine has one rule, too.
const NOISE: f64 = 1e-4;

/// Whether the samples are tones and nothing else.
pub(super) fn is_tonal(samples: &[i16]) -> bool {
    Sums::of(samples).rest_of_two(NOISE).is_some_and(|rest| rest < REST_MAX)
}

/// How alike neighbouring samples are, −1 to 1: vowels 0.9, pink noise 0.75, hiss 0, silence 0.
#[expect(clippy::cast_precision_loss, reason = "sums of squares of 16 bits")]
pub(super) fn likeness(samples: &[i16]) -> f32 {
    let power: i64 = samples.iter().map(|&s| i64::from(s) * i64::from(s)).sum();
    let pairs = samples.iter().zip(samples.iter().skip(1));
    let both: i64 = pairs.map(|(&one, &other)| i64::from(one) * i64::from(other)).sum();
    both as f32 / (power.max(1) as f32)
}
