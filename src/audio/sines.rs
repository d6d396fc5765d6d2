//! Whether samples are one or two steady sines, from sums of products of neighbours.
//!
//! One sine obeys `x[n+1] + x[n−1] = 2 cos ω · x[n]`; two obey
//! `x[n+2] + x[n−2] = a (x[n+1] + x[n−1]) + b x[n]`. What the best rule leaves says whether there are
//! sines at all (Prony's method).

use std::f32::consts::TAU;

/// The rate of all sums. Units: Hz.
const HZ: f32 = 8_000.0;
/// What a rule may leave as a share of the power: µ-law leaves −37 dB.
const REST_ONE: f64 = 0.002;
const REST_TWO: f64 = 0.001_5;

/// Sums of products of: outer neighbours `x[n+2] + x[n−2]`, inner ones, the sample.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    oo: f64,
    oi: f64,
    ox: f64,
    ii: f64,
    ix: f64,
    xx: f64,
    count: f64,
}

impl Sums {
    /// Of a block.
    pub(super) fn of(samples: &[i16]) -> Self {
        let [mut oo, mut oi, mut ox, mut ii, mut ix, mut xx] = [0_i64; 6];
        let mut count = 0.0;
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
            count += 1.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "sums of squares of 16 bits")]
        let [oo, oi, ox, ii, ix, xx] = [oo, oi, ox, ii, ix, xx].map(|sum| sum as f64);
        Self { oo, oi, ox, ii, ix, xx, count }
    }

    /// Mean power of a sample.
    #[expect(clippy::cast_possible_truncation, reason = "a level")]
    pub(super) fn mean_square(&self) -> f32 {
        (self.xx / self.count.max(1.0)) as f32
    }

    /// The pitch of one sine, or one between those of two; `None`: there is more. Units: Hz.
    #[expect(clippy::cast_possible_truncation, reason = "a pitch")]
    pub(super) fn pitch(&self) -> Option<f32> {
        if self.xx <= 0.0 {
            return None;
        }
        let cosine = (self.ix / self.xx / 2.0).clamp(-1.0, 1.0);
        let hz = cosine.acos() as f32 * HZ / TAU;
        let left = self.ii - self.ix * self.ix / self.xx;
        // The noise in each sample, as a share of the power, that would leave as much.
        if left / (self.xx * (2.0 + 4.0 * cosine * cosine)) < REST_ONE {
            return Some(hz);
        }
        self.rest_of_two(0.0).is_some_and(|rest| rest < REST_TWO).then_some(hz)
    }

    /// The noise in each sample, as a share of the power, that would explain what the best rule for
    /// two sines leaves. `noise` is added in thought, so that one sine has one rule, too; without it
    /// `None` may come of one.
    pub(super) fn rest_of_two(&self, noise: f64) -> Option<f64> {
        let (ii, xx) = (self.ii + 2.0 * noise * self.xx, self.xx * (1.0 + noise));
        let determinant = ii * xx - self.ix * self.ix;
        if determinant <= 0.0 {
            return None;
        }
        let a = (self.oi * xx - self.ox * self.ix) / determinant;
        let b = (self.ox * ii - self.oi * self.ix) / determinant;
        let left = self.oo - a * self.oi - b * self.ox;
        Some(left / (xx * (2.0 + 2.0 * a * a + b * b)))
    }
}
