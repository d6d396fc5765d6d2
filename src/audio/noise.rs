//! Comfort noise of a given level: what a quiet room sounds like on the telephone.
//!
//! ```text
//!  xorshift ─> white ─> one pole at 370 Hz ─> level
//! ```
//!
//! The spectrum falls by 6 dB per octave from 370 Hz, near to Hoth noise (ITU-T P.800 B.1, 5 dB
//! per octave), which people take for a room; white noise sounds like a fault. Does not know when
//! it is wanted; `plc` has a noise of its own, which learns the caller's.

use super::sample::ratio_of_db;
use std::f32::consts::TAU;

/// Where the spectrum begins to fall. Units: Hz.
const CORNER_HZ: f32 = 370.0;
/// RMS of uniform noise of peak one.
const UNIFORM_RMS: f32 = 0.577_35;

/// A source of noise. Two of the same kind give the same samples.
#[derive(Debug, Clone)]
pub struct Hoth {
    state: u32,
    pole: f32,
    gain: f32,
    smooth: f32,
}

impl Hoth {
    /// Noise for `hz` samples a second, at a level in dBov.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are small")]
    pub fn new(hz: u32, level_dbov: f32) -> Self {
        let pole = (-TAU * CORNER_HZ / hz.max(1) as f32).exp();
        let amplitude = 32_768.0 * ratio_of_db(level_dbov) / UNIFORM_RMS;
        Self { state: 0x2545_f491, pole, gain: amplitude * (1.0 - pole * pole).sqrt(), smooth: 0.0 }
    }

    /// Fills samples. Cost: two multiplications each; no allocation.
    #[expect(clippy::cast_possible_truncation, reason = "far below full scale, and saturating")]
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            let [high, low, ..] = self.state.to_be_bytes();
            let white = f32::from(i16::from_be_bytes([high, low])) / 32_768.0;
            self.smooth = self.pole * self.smooth + self.gain * white;
            *sample = self.smooth.round() as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(samples: &[f32]) -> f32 {
        let count = f32::from(u16::try_from(samples.len()).unwrap());
        samples.iter().map(|sample| sample * sample).sum::<f32>() / count
    }

    #[test]
    fn the_level_is_exact_and_the_spectrum_falls() {
        for (hz, level) in [(8_000, -65.0), (16_000, -50.0), (8_000, -40.0)] {
            let mut samples = vec![0; 48_000];
            Hoth::new(hz, level).fill(&mut samples);
            let samples: Vec<f32> = samples.into_iter().map(f32::from).collect();
            let measured = 10.0 * (power(&samples) / 32_768.0_f32.powi(2)).log10();
            assert!((measured - level).abs() < 0.6, "{hz} Hz: {measured} dBov, not {level}");
            // A sum of neighbours keeps what is low, a difference what is high.
            let pairs = |sign: f32| -> Vec<f32> {
                samples.windows(2).map(|pair| f32::midpoint(pair[0], sign * pair[1])).collect()
            };
            assert!(power(&pairs(1.0)) > 4.0 * power(&pairs(-1.0)));
        }
    }
}
