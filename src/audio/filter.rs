//! The two high-passes of the telephone: without delay, sample by sample.
//!
//! ```text
//!  DcBlock   20 Hz, one pole     a constant offset costs µ-law its fine steps
//!  LowCut   120 Hz, Butterworth  hum and rumble, which a telephone plays as a rattle
//! ```
//!
//! Do not decide where they stand in a chain, and change neither count nor timing of samples.

use super::rate::SampleRate;
use super::sample::{to_f32, to_i16};
use std::f32::consts::{FRAC_1_SQRT_2, TAU};

/// Corner of [`DcBlock`]. Units: Hz.
const DC_HZ: f32 = 20.0;
/// Corner of [`LowCut`]. Units: Hz.
const LOW_CUT_HZ: f32 = 120.0;
/// What is smaller is nothing: a tail that fades for ever would cost denormal numbers.
const NOTHING: f32 = 1e-9;

/// A one-pole high-pass at 20 Hz. Cost: two multiplications a sample.
#[derive(Debug)]
pub struct DcBlock {
    pole: f32,
    before: Option<(f32, f32)>,
}

impl DcBlock {
    /// A filter that settles on its first sample: a step there would be a thump.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are small")]
    pub fn new(rate: SampleRate) -> Self {
        Self { pole: 1.0 - TAU * DC_HZ / rate.hz() as f32, before: None }
    }

    /// Filters a sample.
    #[must_use]
    pub fn next(&mut self, input: f32) -> f32 {
        let (input_before, output_before) = self.before.unwrap_or((input, 0.0));
        let output = input - input_before + self.pole * output_before;
        self.before = Some((input, output));
        output
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.before = None;
    }
}

/// A second-order high-pass at 120 Hz. Cost: five multiplications a sample; no allocation.
#[derive(Debug, Clone)]
pub struct LowCut {
    feed: f32,
    back: (f32, f32),
    /// Transposed direct form II.
    state: (f32, f32),
}

impl LowCut {
    /// A filter at rest.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are small")]
    pub fn new(rate: SampleRate) -> Self {
        let (sine, cosine) = (TAU * LOW_CUT_HZ / rate.hz() as f32).sin_cos();
        let alpha = sine * FRAC_1_SQRT_2;
        let whole = 1.0 + alpha;
        Self {
            feed: f32::midpoint(1.0, cosine) / whole,
            back: (-2.0 * cosine / whole, (1.0 - alpha) / whole),
            state: (0.0, 0.0),
        }
    }

    /// Filters samples in place.
    pub fn apply(&mut self, samples: &mut [i16]) {
        for sample in samples {
            let input = to_f32(*sample);
            let output = self.feed * input + self.state.0;
            self.state.0 = self.state.1 - 2.0 * self.feed * input - self.back.0 * output;
            self.state.1 = self.feed * input - self.back.1 * output;
            *sample = to_i16(output);
        }
        if self.state.0.abs().max(self.state.1.abs()) < NOTHING {
            self.state = (0.0, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gain of the low cut at a frequency, measured after a second of settling. Units: dB.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a test tone")]
    fn gain_db(rate: SampleRate, hz: f32) -> f32 {
        let tone = |n: u32| (8_000.0 * (TAU * hz * n as f32 / rate.hz() as f32).sin()) as i16;
        let mut samples: Vec<i16> = (0..2 * rate.hz()).map(tone).collect();
        let half = rate.hz() as usize;
        let power = |samples: &[i16]| samples.iter().map(|&s| f32::from(s).powi(2)).sum::<f32>();
        let before = power(&samples[half..]);
        let mut filter = LowCut::new(rate);
        samples.chunks_mut(160).for_each(|frame| filter.apply(frame));
        10.0 * (power(&samples[half..]) / before).log10()
    }

    #[test]
    fn the_low_cut_takes_hum_and_leaves_the_voice() {
        for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
            for (hz, least, most) in
                [(25.0, -60.0, -26.0), (50.0, -17.0, -14.0), (120.0, -3.3, -2.7)]
            {
                let gain = gain_db(rate, hz);
                assert!((least..=most).contains(&gain), "{hz} Hz: {gain} dB");
            }
            for hz in [300.0, 1_000.0, 3_400.0] {
                assert!(gain_db(rate, hz).abs() < 0.3, "{hz} Hz");
            }
        }
    }

    #[test]
    fn silence_stays_silent_after_a_tail() {
        let mut filter = LowCut::new(SampleRate::HZ_8000);
        let mut loud = [30_000; 160];
        filter.apply(&mut loud);
        let mut tail = [0; 8_000];
        filter.apply(&mut tail);
        assert_eq!(tail[4_000..], [0; 4_000]);
        assert_eq!(filter.state, (0.0, 0.0));
    }

    #[test]
    fn the_dc_block_begins_without_a_thump() {
        let mut filter = DcBlock::new(SampleRate::HZ_8000);
        assert!((0..100).all(|_| filter.next(0.5).abs() < 1e-6));
        filter.reset();
        assert!(filter.next(-0.9).abs() < 1e-6);
    }
}
