//! A file as a prompt: what `FIXED_AUDIO` and the route `play` put into the playout ring.
//!
//! ```text
//!  bytes ─> decode ─> mono ─> 8 kHz (brick wall) ─> level ─> samples that calls share
//! ```
//!
//! Done once per file, off the asynchronous threads. Does not play, cache or fetch anything.

use std::sync::Arc;

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
    fn what_is_no_audio_is_no_prompt() {
        let why = prepare_prompt(b"<html>", &DecodeLimits::default(), None);
        assert!(matches!(why, Err(DecodeError::UnknownFormat { .. })));
    }
}
