//! One side of a hole: a stretch of samples, prolonged by its last pitch period.

use super::pitch::{self, LONGEST, Pitch};

/// Overlap that hides a seam, at 8 kHz: 2.5 ms.
const OVERLAP: usize = 20;

/// Power below which sounds are equally silent.
const AUDIBLE: f32 = 30.0;

/// The prolongation of one stretch of samples. Fixed size.
#[derive(Debug, Clone)]
pub(super) struct Extension {
    /// One period, and one sample of the next.
    cycle: Box<[f32]>,
    /// Of 32 bits because the remainder by it is taken per sample.
    period: u32,
    overlap: usize,
    likeness: f32,
    /// What the first sample misses to join the stretch without a step.
    step: f32,
}

impl Extension {
    /// An extension that is silent until it is told what to prolong.
    pub(super) fn new(factor: usize) -> Self {
        let cycle = vec![0.0; LONGEST * factor + factor + 1].into_boxed_slice();
        Self { cycle, period: 1, overlap: 1, likeness: 0.0, step: 0.0 }
    }

    /// Takes up the end of `past`, sampled at `factor` times 8 kHz.
    pub(super) fn prolong(&mut self, past: &[f32], factor: usize) {
        let Pitch { period, likeness } = pitch::find(past, factor);
        let period = period.min(past.len() - 1).max(1);
        self.period = u32::try_from(period).unwrap_or(1);
        self.likeness = likeness;
        self.overlap = (OVERLAP * factor).min(period / 2).max(1);
        let end = past.len();
        self.cycle[..period].copy_from_slice(&past[end - period..]);
        // The end of a period runs into its beginning as the period before did.
        let room = self.overlap.min(end - period);
        let before = &past[end - period - room..end - period];
        let tail = &mut self.cycle[period - room..period];
        for (i, (sample, earlier)) in tail.iter_mut().zip(before).enumerate() {
            let weight = ratio(i + 1, room + 1);
            *sample += (earlier - *sample) * weight;
        }
        self.cycle[period] = self.cycle[0];
        let before_first = past.get(end.wrapping_sub(period + 1)).copied();
        self.step = past[end - 1] - before_first.unwrap_or(past[end - 1]);
    }

    /// The sample at a (fractional) distance behind the stretch; before it counts as its end.
    pub(super) fn at(&self, distance: f32) -> f32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let whole = distance as u32;
        let at = whole as usize;
        let fraction = distance.max(0.0) - ratio(at, 1);
        let in_cycle = (whole % self.period) as usize;
        let (a, b) = (self.cycle[in_cycle], self.cycle[in_cycle + 1]);
        let faded = if at < self.overlap { 1.0 - ratio(at, self.overlap) } else { 0.0 };
        a + (b - a) * fraction + self.step * faded
    }

    pub(super) const fn period(&self) -> usize {
        self.period as usize
    }

    /// Mean power of the period, and a little more: never zero.
    pub(super) fn power(&self) -> f32 {
        let cycle = &self.cycle[..self.period as usize];
        AUDIBLE + cycle.iter().map(|sample| sample * sample).sum::<f32>() / ratio(cycle.len(), 1)
    }

    pub(super) const fn likeness(&self) -> f32 {
        self.likeness
    }
}

/// `part / whole` of two small counts.
#[expect(clippy::cast_precision_loss, reason = "counts of samples in a second")]
pub(super) fn ratio(part: usize, whole: usize) -> f32 {
    part as f32 / whole as f32
}
