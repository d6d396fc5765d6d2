//! What of a sound lies at a pitch: which of the sines it is that [`Sums`] finds, and its phase.
//!
//! [`Sums`]: crate::audio::sines::Sums

use std::f32::consts::{PI, TAU};

/// The rate of all sums. Units: Hz.
const HZ: f32 = 8_000.0;
/// Share of the power of these samples that lies at this pitch, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
pub(super) fn share(samples: &[i16], hz: f32) -> f32 {
    let (re, im) = turned(samples, hz);
    let power: f32 = samples.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
    2.0 * (re * re + im * im) / (samples.len() as f32 * power).max(1.0)
}

/// Phase of a block at this pitch. Units: radians.
pub(super) fn phase(samples: &[i16], hz: f32) -> f32 {
    let (re, im) = turned(samples, hz);
    im.atan2(re)
}

/// The samples, turned back by a pitch, and summed.
fn turned(samples: &[i16], hz: f32) -> (f32, f32) {
    let (sine, cosine) = (TAU * hz / HZ).sin_cos();
    let (mut wheel, mut sum) = ((1.0_f32, 0.0_f32), (0.0_f32, 0.0_f32));
    for &sample in samples {
        let x = f32::from(sample);
        sum = (sum.0 + x * wheel.0, sum.1 - x * wheel.1);
        wheel = (wheel.0 * cosine - wheel.1 * sine, wheel.1 * cosine + wheel.0 * sine);
    }
    sum
}

/// How far apart two phases are, 0 to π.
pub(super) fn between(one: f32, other: f32) -> f32 {
    let apart = (one - other).rem_euclid(TAU);
    if apart > PI { TAU - apart } else { apart }
}
