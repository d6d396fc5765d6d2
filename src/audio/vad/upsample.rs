//! 8 to 16 kHz by a short half-band filter: good enough to tell voice, too coarse to listen to.
//!
//! Every second sample is an old one; those between are weighted sums of their neighbours.

use super::FRAME;

/// [`FRAME`] as a divisor.
const FRAME_I32: i32 = 256;
/// Neighbours on either side.
const SIDE: usize = 6;

/// The filter and the last samples of the frame before.
#[derive(Debug)]
pub(super) struct Upsampler {
    taps: [f32; SIDE],
    before: [f32; 2 * SIDE],
}

impl Upsampler {
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    pub(super) fn new() -> Self {
        let mut taps = [0.0; SIDE];
        for (k, tap) in taps.iter_mut().enumerate() {
            // A windowed sinc at odd half samples.
            let x = k as f32 + 0.5;
            let pi = std::f32::consts::PI;
            let window = 0.54 + 0.46 * (pi * x / (SIDE as f32 + 0.5)).cos();
            *tap = (pi * x).sin() / (pi * x) * window;
        }
        let sum: f32 = 2.0 * taps.iter().sum::<f32>();
        Self { taps: taps.map(|tap| tap / sum), before: [0.0; 2 * SIDE] }
    }

    /// Brings a frame of 16 ms to 16 kHz, late by [`SIDE`] samples of 8 kHz. Frames of another
    /// length than 128 or 256 samples are stretched line by line.
    pub(super) fn frame(&mut self, samples: &[i16], out: &mut [i16; FRAME]) {
        if samples.len() == FRAME {
            out.copy_from_slice(samples);
        } else if samples.len() * 2 == FRAME {
            self.double(samples, out);
        } else {
            stretch(samples, out);
        }
    }

    fn double(&mut self, samples: &[i16], out: &mut [i16; FRAME]) {
        let mut line = [0.0_f32; 2 * SIDE + FRAME / 2];
        let (before, rest) = line.split_at_mut(2 * SIDE);
        before.copy_from_slice(&self.before);
        for (place, &sample) in rest.iter_mut().zip(samples) {
            *place = f32::from(sample);
        }
        for (pair, near) in out.chunks_exact_mut(2).zip(line.windows(2 * SIDE).skip(1)) {
            let sums = self.taps.iter().zip(near[..SIDE].iter().rev().zip(&near[SIDE..]));
            let between: f32 = sums.map(|(tap, (left, right))| tap * (left + right)).sum();
            pair[0] = clip(near[SIDE - 1]);
            pair[1] = clip(between);
        }
        self.before.copy_from_slice(&line[FRAME / 2..]);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn clip(sample: f32) -> i16 {
    (sample + 0.5_f32.copysign(sample)) as i16
}

/// Linear interpolation.
fn stretch(samples: &[i16], out: &mut [i16; FRAME]) {
    let last = samples.len().saturating_sub(1);
    for (n, place) in out.iter_mut().enumerate() {
        let (index, part) = (n * samples.len() / FRAME, n * samples.len() % FRAME);
        let pick = |i: usize| i32::from(samples.get(i.min(last)).copied().unwrap_or(0));
        let (left, right) = (pick(index), pick(index + 1));
        let value = left + (right - left) * i32::try_from(part).unwrap_or(0) / FRAME_I32;
        *place = i16::try_from(value).unwrap_or(0);
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
mod tests {
    use super::*;

    /// A tone at 8 kHz, upsampled, against the same tone at 16 kHz.
    fn error_db(hz: f32) -> f32 {
        let tone = |n: usize, rate: f32| (n as f32 * hz / rate * std::f32::consts::TAU).sin();
        let mut upsampler = Upsampler::new();
        let (mut error, mut power) = (0.0, 0.0);
        for frame in 0..20 {
            let samples: Vec<i16> =
                (0..128).map(|n| clip(10_000.0 * tone(frame * 128 + n, 8_000.0))).collect();
            let mut out = [0; FRAME];
            upsampler.frame(&samples, &mut out);
            for (n, &sample) in out.iter().enumerate().filter(|_| frame > 0) {
                let n = frame * FRAME + n;
                // Late by the neighbours that must come first.
                let wanted = 10_000.0 * tone(n - 2 * SIDE, 16_000.0);
                error += (f32::from(sample) - wanted).powi(2);
                power += wanted.powi(2);
            }
        }
        10.0 * (error / power).log10()
    }

    #[test]
    fn the_telephone_band_is_kept() {
        for hz in [300.0, 1_000.0, 2_000.0, 3_000.0] {
            let error = error_db(hz);
            assert!(error < -30.0, "{hz} Hz: {error} dB");
        }
    }

    #[test]
    fn other_rates_are_stretched() {
        let mut out = [0; FRAME];
        Upsampler::new().frame(&[1_000; 768], &mut out);
        assert!(out.iter().all(|&sample| sample == 1_000));
        Upsampler::new().frame(&[0, 0, 8_000, 8_000], &mut out);
        assert!(out.is_sorted() && out[FRAME - 1] == 8_000);
        Upsampler::new().frame(&[], &mut out);
        assert_eq!(out, [0; FRAME]);
    }
}
