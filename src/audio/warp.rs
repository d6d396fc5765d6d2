//! A little less or a little more time: one pitch period taken out of sound, or put in.
//!
//! ```text
//!  squeeze   x[0..F] ╲╱ x[L..L+F]                      L samples are gone
//!  stretch   x[0..L]  x[L..L+F] ╲╱ x[0..F]             L samples are new
//! ```
//!
//! `L` is the lag at which the sound resembles itself most, so that the cross-fade joins like with
//! like. Free functions on slices. Does not decide when.

use super::sample::{Products, products};

/// Where sound resembles itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// Samples between the two places.
    pub lag: usize,
    /// Normalised correlation, -1 to 1; 1 for silence.
    pub score: f32,
}

/// The lag within `lags` at which `over` samples of `x` resemble its beginning most.
///
/// `None` when `x` is too short for any. Cost: `over` multiplications for every lag, at 8 kHz some
/// ten thousand.
pub fn search(x: &[i16], lags: std::ops::RangeInclusive<usize>, over: usize) -> Option<Likeness> {
    let head = x.get(..over)?;
    let mut best: Option<Likeness> = None;
    for lag in lags {
        let Some(other) = x.get(lag..lag + over) else { break };
        let score = correlation(head, other);
        if best.is_none_or(|best| score > best.score) {
            best = Some(Likeness { lag, score });
        }
    }
    best
}

/// Makes `fade` samples that lead from the start of `x` to `lag + fade`.
pub fn squeeze(x: &[i16], lag: usize, fade: usize, mut out: impl FnMut(i16)) {
    let (from, to) = (x.iter().take(fade), x.iter().skip(lag).take(fade));
    cross(from, to, fade, &mut out);
}

/// Makes `lag + fade` samples that lead from the start of `x` to `fade`.
pub fn stretch(x: &[i16], lag: usize, fade: usize, mut out: impl FnMut(i16)) {
    x.iter().take(lag).for_each(|sample| out(*sample));
    let (from, to) = (x.iter().skip(lag).take(fade), x.iter().take(fade));
    cross(from, to, fade, &mut out);
}

/// Power of samples; full scale is 2^30.
pub fn power(x: &[i16]) -> f32 {
    let sum: f32 = x.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
    sum / ratio(x.len().max(1), 1)
}

fn cross<'a>(
    from: impl Iterator<Item = &'a i16>,
    to: impl Iterator<Item = &'a i16>,
    fade: usize,
    out: &mut impl FnMut(i16),
) {
    for (i, (from, to)) in from.zip(to).enumerate() {
        let (from, to) = (f32::from(*from), f32::from(*to));
        out(to_i16(from + (to - from) * ratio(i + 1, fade + 1)));
    }
}

/// Normalised; 1 when both are nearly silent, for silence is like silence.
fn correlation(a: &[i16], b: &[i16]) -> f32 {
    let Products { product, power_a, power_b } = products(a, b);
    let least = 64.0 * ratio(a.len(), 1);
    if power_a.max(power_b) < least { 1.0 } else { product / (power_a * power_b).sqrt().max(1.0) }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few hundred samples")]
fn ratio(a: usize, b: usize) -> f32 {
    a as f32 / b as f32
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn to_i16(sample: f32) -> i16 {
    sample.round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(period: usize, len: usize) -> Vec<i16> {
        let turn = std::f32::consts::TAU / ratio(period, 1);
        (0..len).map(|i| to_i16(9000.0 * (ratio(i, 1) * turn).sin())).collect()
    }

    #[test]
    fn a_period_is_taken_out_or_put_in_without_a_seam() {
        let x = sine(50, 400);
        let found = search(&x, 20..=120, 80).unwrap();
        assert!(found.lag == 50 || found.lag == 100, "{found:?}");
        assert!(found.score > 0.999);
        let (lag, mut out) = (50, Vec::new());
        squeeze(&x, lag, 80, |sample| out.push(sample));
        out.extend(&x[lag + 80..]);
        assert_eq!(out.len(), 350);
        let near = |out: &[i16]| out.iter().zip(&x).all(|(a, b)| (a - b).abs() < 20);
        assert!(near(&out));
        let mut out = Vec::new();
        stretch(&x, lag, 80, |sample| out.push(sample));
        out.extend(&x[80..]);
        assert_eq!(out.len(), 450);
        assert!(near(&out));
    }

    #[test]
    fn what_is_too_short_has_no_likeness_and_silence_is_like_silence() {
        assert_eq!(search(&[1; 30], 20..=30, 20), None);
        assert_eq!(search(&[], 1..=2, 1), None);
        assert_eq!(search(&[0; 60], 20..=30, 20), Some(Likeness { lag: 20, score: 1.0 }));
        assert!(power(&[]) < 1.0);
    }
}
