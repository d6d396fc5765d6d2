//! Between 8 and 16 kHz on the media threads: one fixed half-band filter, up and down.
//!
//! ```text
//!  8 kHz ──> [64 taps, every other one zero] ──> 16 kHz       and back by the same filter
//! ```
//!
//! Linear phase: [`DELAY`] samples at 16 kHz, 1.9 ms, for each passage. Flat to 3.4 kHz within
//! 0.01 dB, mirror images above 4.6 kHz below -70 dB. Nothing is allocated; the taps are made at
//! compile time. Other ratios, and everything off the media threads, are `audio::resample`'s.

use super::sample::{to_f32, to_i16};

/// Delay of one passage, in samples at 16 kHz.
pub const DELAY: usize = 31;

/// Taps at odd distances from the middle, on one side.
const SIDE: usize = 16;
/// Samples at 8 kHz under the filter.
const SPAN: usize = 2 * SIDE;
/// How much is worked on at once, at 8 kHz: 20 ms.
const PIECE: usize = 160;
/// Shape of the Kaiser window: 74 dB.
const BETA: f64 = 7.3;

/// Weight of the samples at distances 1, 3, 5, … from the middle; the middle weighs one half.
static TAPS: [f32; SIDE] = taps();

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
const fn taps() -> [f32; SIDE] {
    let mut exact = [0.0; SIDE];
    let (mut sum, mut k) = (0.0, 0);
    while k < SIDE {
        let distance = (2 * k + 1) as f64;
        let place = distance / (DELAY + 1) as f64;
        let window = bessel(BETA * BETA * (1.0 - place * place)) / bessel(BETA * BETA);
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        exact[k] = sign * window / (std::f64::consts::PI * distance);
        sum += 2.0 * exact[k];
        k += 1;
    }
    let (mut taps, mut k) = ([0.0; SIDE], 0);
    while k < SIDE {
        // Both phases let a constant pass unchanged.
        taps[k] = (exact[k] * 0.5 / sum) as f32;
        k += 1;
    }
    taps
}

/// The modified Bessel function of order 0, of the root of `square`.
const fn bessel(square: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while k < 40.0 {
        term *= square / 4.0 / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

/// From 8 to 16 kHz.
#[derive(Debug, Clone)]
pub struct Up {
    past: [f32; SPAN],
}

impl Default for Up {
    fn default() -> Self {
        Self { past: [0.0; SPAN] }
    }
}

impl Up {
    /// Writes two samples for each of `input`, as far as there is room, and says how many.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        let count = input.len().min(out.len() / 2);
        let pieces = input.get(..count).unwrap_or_default().chunks(PIECE);
        for (piece, out) in pieces.zip(out.chunks_mut(2 * PIECE)) {
            let mut line = [0.0; SPAN + PIECE];
            let len = extend(&mut self.past, &mut line, piece.iter().copied());
            for (under, pair) in line[..len].windows(SPAN + 1).zip(out.chunks_mut(2)) {
                let under = &under[1..];
                if let [first, second] = pair {
                    *first = to_i16(2.0 * filtered(under));
                    *second = to_i16(under[SIDE]);
                }
            }
        }
        2 * count
    }

    /// Forgets what was before.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// From 16 to 8 kHz.
#[derive(Debug, Clone)]
pub struct Down {
    /// Samples at even and at odd places.
    past: [[f32; SPAN]; 2],
}

impl Default for Down {
    fn default() -> Self {
        Self { past: [[0.0; SPAN]; 2] }
    }
}

impl Down {
    /// Writes one sample for each two of `input`, as far as there is room, and says how many.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        let pairs = input.as_chunks::<2>().0;
        let count = pairs.len().min(out.len());
        let pieces = pairs.get(..count).unwrap_or_default().chunks(PIECE);
        for (piece, out) in pieces.zip(out.chunks_mut(PIECE)) {
            let (mut even, mut odd) = ([0.0; SPAN + PIECE], [0.0; SPAN + PIECE]);
            let [past_even, past_odd] = &mut self.past;
            extend(past_even, &mut even, piece.iter().map(|pair| pair[0]));
            let len = extend(past_odd, &mut odd, piece.iter().map(|pair| pair[1]));
            let windows = even[..len].windows(SPAN + 1).zip(odd[..len].windows(SPAN + 1));
            for ((even, odd), out) in windows.zip(out.iter_mut()) {
                *out = to_i16(filtered(&even[1..]) + 0.5 * odd[SIDE]);
            }
        }
        count
    }

    /// Forgets what was before.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Lays the past and a piece behind each other, keeps the end as the past of the next piece, and
/// says how long that is.
fn extend(
    past: &mut [f32; SPAN],
    line: &mut [f32; SPAN + PIECE],
    piece: impl ExactSizeIterator<Item = i16>,
) -> usize {
    let len = SPAN + piece.len().min(PIECE);
    line[..SPAN].copy_from_slice(past);
    for (place, sample) in line[SPAN..].iter_mut().zip(piece) {
        *place = to_f32(sample);
    }
    past.copy_from_slice(&line[len - SPAN..len]);
    len
}

/// The symmetric half of the filter over 32 samples.
fn filtered(under: &[f32]) -> f32 {
    let (older, newer) = under.split_at(SIDE);
    let pairs = older.iter().rev().zip(newer);
    pairs.zip(&TAPS).map(|((older, newer), tap)| (older + newer) * tap).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a sound")]
    fn tone(hz: f64, rate: f64, samples: usize) -> Vec<i16> {
        (0..samples).map(|n| (8_000.0 * (TAU * hz * n as f64 / rate).sin()) as i16).collect()
    }

    fn power(samples: &[i16]) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let count = samples.len() as f64;
        samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / count
    }

    fn decibels(heard: f64, reference: f64) -> f64 {
        10.0 * (heard / reference).max(1e-12).log10()
    }

    /// Power of what differs between two signals, against the second.
    fn error(got: &[i16], want: &[i16]) -> f64 {
        let difference: Vec<i16> = got.iter().zip(want).map(|(a, b)| a - b).collect();
        decibels(power(&difference), power(want))
    }

    #[test]
    fn speech_goes_up_as_it_is_and_late_by_the_delay() {
        for hz in [200.0, 1_000.0, 2_500.0, 3_400.0] {
            let mut out = vec![0; 8_000];
            // Any split gives the same.
            let mut up = Up::default();
            let (mut from, mut to) = (0, 0);
            let input = tone(hz, 8_000.0, 4_000);
            for step in [1, 7, 160, 161, 480].into_iter().cycle() {
                let step = step.min(4_000 - from);
                if step == 0 {
                    break;
                }
                to += up.process(&input[from..from + step], &mut out[to..]);
                from += step;
            }
            assert_eq!(to, 8_000);
            let want = tone(hz, 16_000.0, 8_000);
            let off = error(&out[200 + DELAY..], &want[200..8_000 - DELAY]);
            assert!(off < -55.0, "{hz} Hz: {off} dB");
        }
    }

    #[test]
    fn what_fits_goes_down_and_the_rest_does_not_fold_back() {
        for (hz, passes) in [(300.0, true), (3_400.0, true), (4_650.0, false), (7_000.0, false)] {
            let mut out = vec![0; 4_000];
            let input = tone(hz, 16_000.0, 8_000);
            assert_eq!(Down::default().process(&input, &mut out), 4_000);
            let level = decibels(power(&out[100..]), power(&input));
            assert!(if passes { level.abs() < 0.05 } else { level < -65.0 }, "{hz} Hz: {level} dB");
        }
    }

    #[test]
    fn there_and_back_is_the_same_sound() {
        let input = tone(1_200.0, 8_000.0, 4_000);
        let (mut wide, mut narrow) = (vec![0; 8_000], vec![0; 4_000]);
        Up::default().process(&input, &mut wide);
        Down::default().process(&wide, &mut narrow);
        let off = error(&narrow[100 + DELAY..], &input[100..4_000 - DELAY]);
        assert!(off < -50.0, "{off} dB");
    }

    #[test]
    fn buffers_bound_the_work() {
        assert_eq!(Up::default().process(&[1; 9], &mut [0; 5]), 4);
        assert_eq!(Down::default().process(&[1; 9], &mut [0; 9]), 4);
        assert_eq!(Down::default().process(&[1; 9], &mut [0; 2]), 2);
        let (mut up, mut down) = (Up::default(), Down::default());
        up.process(&[9; 90], &mut [0; 180]);
        down.process(&[9; 90], &mut [0; 45]);
        up.reset();
        down.reset();
        let mut out = [7; 8];
        up.process(&[0; 4], &mut out);
        assert_eq!(out, [0; 8]);
    }
}
