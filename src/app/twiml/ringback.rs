//! The tone that a caller hears while somebody is called for them: 440 and 480 Hz, two seconds in
//! six.
//!
//! Source: ITU-T E.180 Supplement 2, United States.

use crate::audio::rate::SampleRate;
use std::f64::consts::TAU;
use std::sync::Arc;

/// Peak of each of both tones, about -19 dBov.
const PEAK: f64 = 2_600.0;

/// One period of the tone. Cost: computes six seconds of samples.
#[expect(clippy::cast_possible_truncation, reason = "two tones of this peak fit")]
pub(super) fn ringback(rate: SampleRate) -> Arc<[i16]> {
    let hz = rate.hz();
    let sample = |n: u32| {
        if n >= 2 * hz {
            return 0;
        }
        let turn = f64::from(n) / f64::from(hz) * TAU;
        (PEAK * ((440.0 * turn).sin() + (480.0 * turn).sin())) as i16
    };
    (0..6 * hz).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sounds_for_two_seconds_and_is_silent_for_four() {
        let tone = ringback(SampleRate::HZ_8000);
        assert_eq!(tone.len(), 48_000);
        assert!(tone[..16_000].iter().any(|sample| *sample > 4_000));
        assert!(tone[16_000..].iter().all(|sample| *sample == 0));
    }
}
