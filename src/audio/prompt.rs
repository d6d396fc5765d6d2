//! A file as a prompt, what `FIXED_AUDIO` and the route `play` put into the playout ring, or as
//! the background beneath a call.
//!
//! ```text
//!  bytes ─> decode ─> mono ─> 8 kHz (brick wall) ─> level ─> samples that calls share
//! ```
//!
//! Done once per file, off the asynchronous threads. Does not play, cache or fetch anything.

use std::f32::consts::FRAC_PI_2;
use std::sync::Arc;
use std::time::Duration;

use super::decode::{DecodeError, DecodeLimits, decode_file_at};
use super::gain::normalise;
use super::rate::SampleRate;
use super::sample::to_i16;

/// Makes a prompt at 8 kHz of an MP3 or WAV file.
///
/// `level`: the active speech level to bring it to, in dBov ([`super::gain::TARGET_DBOV`]), or
/// `None` to leave its loudness alone. Time: blocks; about 1 ms per second of MP3.
///
/// # Errors
/// [`DecodeError::TooLong`] beyond the limits; anything else for what the bytes are.
pub fn prepare_prompt(
    bytes: &[u8],
    limits: &DecodeLimits,
    level: Option<f32>,
) -> Result<Arc<[i16]>, DecodeError> {
    let decoded = decode_file_at(bytes, SampleRate::HZ_8000, limits)?;
    let samples = match level {
        Some(target) => normalise(&decoded.samples, decoded.rate, target),
        None => decoded.samples.iter().map(|&sample| to_i16(sample)).collect(),
    };
    Ok(samples.into())
}

/// Length of the join between the end of a track and its beginning.
const JOIN: Duration = Duration::from_millis(50);

/// Makes a track that plays round and round, at a leg's rate, of an MP3 or WAV file.
///
/// Its last 50 ms are faded into its first, at equal power, so that it has no seam; a track of
/// less than 200 ms is left as it is. Otherwise as [`prepare_prompt`].
///
/// # Errors
/// As [`prepare_prompt`].
pub fn prepare_background(
    bytes: &[u8],
    limits: &DecodeLimits,
    level: Option<f32>,
    rate: SampleRate,
) -> Result<Arc<[i16]>, DecodeError> {
    let decoded = decode_file_at(bytes, rate, limits)?;
    let mut samples = match level {
        Some(target) => normalise(&decoded.samples, decoded.rate, target),
        None => decoded.samples.iter().map(|&sample| to_i16(sample)).collect(),
    };
    join(&mut samples, usize::try_from(rate.samples_in(JOIN)).unwrap_or(0));
    Ok(samples.into())
}

/// Fades the last `length` samples into the first, and takes them off.
#[expect(clippy::cast_precision_loss, reason = "a join has a few hundred samples")]
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn join(samples: &mut Vec<i16>, length: usize) {
    if samples.len() < 4 * length {
        return;
    }
    let end = samples.split_off(samples.len() - length);
    for (index, (first, last)) in samples.iter_mut().zip(&end).enumerate() {
        let angle = FRAC_PI_2 * (index as f32 + 0.5) / length as f32;
        *first = (f32::from(*first) * angle.sin() + f32::from(*last) * angle.cos()) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::gain::{TARGET_DBOV, active_level};
    use crate::audio::sample::to_f32;

    const MP3: &[u8] = include_bytes!("../../tests/data/audio/stereo-44100-cbr.mp3");

    #[test]
    fn a_prompt_is_as_long_as_its_file_and_as_loud_as_asked() {
        let limits = DecodeLimits::default();
        let level = |samples: &[i16]| {
            let samples: Vec<f32> = samples.iter().map(|&sample| to_f32(sample)).collect();
            active_level(&samples, SampleRate::HZ_8000).expect("a chirp")
        };
        let levelled = prepare_prompt(MP3, &limits, Some(TARGET_DBOV)).expect("an MP3");
        assert_eq!(levelled.len(), 4_800);
        assert!((level(&levelled) - TARGET_DBOV).abs() < 0.2);
        let plain = prepare_prompt(MP3, &limits, None).expect("an MP3");
        assert_eq!(plain.len(), 4_800);
        assert!((level(&plain) - TARGET_DBOV).abs() > 5.0);
    }

    #[test]
    fn a_track_goes_round_without_a_seam() {
        // A tone that does not fit into the track: put end to end it would jump.
        let tone = |n: u16| to_i16(0.3 * (f32::from(n) * 0.1).sin());
        let mut track: Vec<i16> = (0..7_996).map(tone).collect();
        let jump = |a: i16, b: i16| (i32::from(a) - i32::from(b)).abs();
        assert!(jump(track[7_995], track[0]) > 2_000);
        join(&mut track, 400);
        assert_eq!(track.len(), 7_596);
        let round = track.iter().chain(&track).copied().collect::<Vec<_>>();
        let steepest = round.windows(2).map(|pair| jump(pair[0], pair[1])).max();
        assert!(steepest < Some(1_500), "{steepest:?}");
        let mut short = vec![5; 1_599];
        join(&mut short, 400);
        assert_eq!(short, [5; 1_599]);
        let limits = DecodeLimits::default();
        for (rate, length) in [(SampleRate::HZ_8000, 4_400), (SampleRate::HZ_16000, 8_800)] {
            let track = prepare_background(MP3, &limits, Some(TARGET_DBOV), rate).expect("an MP3");
            assert_eq!(track.len(), length);
        }
    }

    #[test]
    fn what_is_no_audio_is_no_prompt() {
        let why = prepare_prompt(b"<html>", &DecodeLimits::default(), None);
        assert!(matches!(why, Err(DecodeError::UnknownFormat { .. })));
    }
}
