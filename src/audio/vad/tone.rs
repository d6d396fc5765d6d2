//! What a frame is like besides its score: one or two steady tones (keys, ringing, beeps), hiss, or
//! something with a body.
//!
//! Two sines obey `x[n+2] + x[n−2] = a (x[n+1] + x[n−1]) + b x[n]` for some `a` and `b`; what the
//! best of them leave of a voice is much more. The network would take ringing tones for vowels.

/// Noise of the telephone in a tone, as a share of its power: µ-law leaves −37 dB, ringing tones
/// that lie close together seem to have −31 dB, voices −29 dB at the very least and −22 dB mostly.
const REST_MAX: f64 = 0.001_2;
/// Noise that is added in thought, so that one sine has one rule, too.
const NOISE: f64 = 1e-4;

/// Whether the samples are tones and nothing else.
pub(super) fn is_tonal(samples: &[i16]) -> bool {
    rest(samples) < REST_MAX
}

/// The noise in each sample, as a share of the power, that would explain what the best rule
/// leaves.
fn rest(samples: &[i16]) -> f64 {
    // Sums of products of: outer neighbours, inner neighbours, the sample.
    let [mut oo, mut oi, mut ox, mut ii, mut ix, mut xx] = [0_i64; 6];
    for near in samples.windows(5) {
        let &[before, left, x, right, after] = near else { continue };
        let [before, left, x, right, after] = [before, left, x, right, after].map(i64::from);
        let (outer, inner) = (before + after, left + right);
        oo += outer * outer;
        oi += outer * inner;
        ox += outer * x;
        ii += inner * inner;
        ix += inner * x;
        xx += x * x;
    }
    #[expect(clippy::cast_precision_loss, reason = "sums of squares of 16 bits")]
    let [oo, oi, ox, ii, ix, xx] = [oo, oi, ox, ii, ix, xx].map(|sum| sum as f64);
    // A little noise keeps one sine from having many rules.
    let (ii, xx) = (ii + 2.0 * NOISE * xx, xx * (1.0 + NOISE));
    let determinant = ii * xx - ix * ix;
    if determinant <= 0.0 {
        return 1.0;
    }
    let a = (oi * xx - ox * ix) / determinant;
    let b = (ox * ii - oi * ix) / determinant;
    let left = oo - a * oi - b * ox;
    left / (xx * (2.0 + 2.0 * a * a + b * b))
}

/// How alike neighbouring samples are, −1 to 1: vowels 0.9, pink noise 0.75, hiss 0, silence 0.
#[expect(clippy::cast_precision_loss, reason = "sums of squares of 16 bits")]
pub(super) fn likeness(samples: &[i16]) -> f32 {
    let power: i64 = samples.iter().map(|&s| i64::from(s) * i64::from(s)).sum();
    let pairs = samples.iter().zip(samples.iter().skip(1));
    let both: i64 = pairs.map(|(&one, &other)| i64::from(one) * i64::from(other)).sum();
    both as f32 / (power.max(1) as f32)
}
