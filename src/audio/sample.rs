//! A sample as a number: `i16` on the wire, `f32` in −1..1 while it is worked on; and what two rows
//! of them have in common.

/// Full scale of an `i16` sample.
const FULL_SCALE: f32 = 32_768.0;

/// Scales a 16-bit sample to −1..1, exactly.
#[inline]
pub fn to_f32(sample: i16) -> f32 {
    f32::from(sample) / FULL_SCALE
}

/// Scales to 16 bits: rounds to the nearest, saturates, and makes silence of what is no number.
///
/// The exact inverse of [`to_f32`] on its results.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and maps NaN to 0")]
pub fn to_i16(sample: f32) -> i16 {
    let scaled = sample * FULL_SCALE;
    // The cast truncates towards zero, and needs no call to round on plain x86-64.
    (scaled + 0.5_f32.copysign(scaled)) as i16
}

/// The amplitude ratio of a level difference. Units: dB.
pub fn ratio_of_db(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}

/// What a correlation is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Products {
    /// Sum of the products of both sides.
    pub product: f32,
    /// Sum of the squares of the first side.
    pub power_a: f32,
    /// Sum of the squares of the second side.
    pub power_b: f32,
}

/// Multiplies samples as far as both sides go. Cost: three multiplications each.
pub fn products(a: &[i16], b: &[i16]) -> Products {
    let mut sums = Products { product: 0.0, power_a: 0.0, power_b: 0.0 };
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f32::from(x), f32::from(y));
        sums.product += x * y;
        sums.power_a += x * x;
        sums.power_b += y * y;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_come_back_unchanged() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(to_i16(to_f32(sample)), sample);
        }
    }

    #[test]
    fn the_rest_is_rounded_and_saturated() {
        let half = 0.5 / FULL_SCALE;
        for (given, wanted) in [
            (1.0, i16::MAX),
            (7.5, i16::MAX),
            (-7.5, i16::MIN),
            (f32::INFINITY, i16::MAX),
            (f32::NEG_INFINITY, i16::MIN),
            (f32::NAN, 0),
            (half * 0.9, 0),
            (half * 1.1, 1),
            (half * -1.1, -1),
        ] {
            assert_eq!(to_i16(given), wanted, "{given}");
        }
        assert!((ratio_of_db(-20.0) - 0.1).abs() < 1e-6);
    }
}
