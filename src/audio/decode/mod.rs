//! Recordings and live frames to samples: the only user of `symphonia`, beside Opus.
//!
//! ```text
//!  file bytes ──> sniff ─┬─> stream::Mp3  ─┬─> mono f32 ──> Decoded
//!                        └─> stream::Wave ─┘
//!  live bytes ──> LiveDecoder (raw | Mp3 | Wave | Ogg, Opus) ─> mono i16, at the stream's rate
//! ```
//!
//! The content decides, never a name. Whatever the bytes, the work and the memory are bounded
//! and the answer is samples or a [`DecodeError`]; a recording that is cut off or damaged in
//! places gives what is there. Does not change the level ([`super::gain`]).

mod engine;
mod live;
mod mpeg;
mod ogg;
mod raw;
mod riff;
mod sniff;
mod stream;

use std::time::Duration;

pub use live::{LiveDecoder, LiveEvent, LiveFormat, LiveOutput};

use self::sniff::Kind;
use self::stream::{Emit, Mp3, Piece, Wave};
use super::rate::SampleRate;
use super::resample::WholeResampler;

/// Octets of a file that are decoded between two looks at the limits.
const SLICE: usize = 1 << 14;
/// Octets of junk in a row that a file may hold: a picture in a tag that is not understood.
const FILE_JUNK_MAX: u64 = 16 << 20;

/// Why bytes give no samples. All but [`DecodeError::TooLong`] are the sender's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the audio is empty")]
    Empty,
    /// Nothing that is known to be audio.
    #[error("the audio is neither MP3 nor WAV: found {found}")]
    UnknownFormat {
        /// What it looks like.
        found: String,
    },
    /// Audio, but of a kind that is not taken.
    #[error("the audio is {what}, which is not supported; send MP3 or WAV")]
    Unsupported {
        /// Which kind.
        what: String,
    },
    /// It contradicts itself, or is damaged beyond use.
    #[error("the audio is corrupt: {what}")]
    Corrupt {
        /// Where it fails.
        what: &'static str,
    },
    /// A proper recording without any sound in it.
    #[error("the audio holds no samples")]
    NoAudio,
    /// Limit: it lasts longer than allowed.
    #[error("the audio is longer than {} s", limit.as_secs_f32())]
    TooLong {
        /// The longest that is taken.
        limit: Duration,
    },
}

/// How much a file may unfold to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Longest recording.
    pub duration_max: Duration,
    /// Most samples that are kept, at the rate they are kept at.
    pub samples_max: usize,
}

impl Default for DecodeLimits {
    /// Ten minutes, at up to 48 kHz.
    fn default() -> Self {
        Self { duration_max: Duration::from_mins(10), samples_max: 600 * 48_000 }
    }
}

/// A file as samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Rate of the samples.
    pub rate: SampleRate,
    /// Mono (the mean of all speakers), finite, nominally in −1..1.
    pub samples: Vec<f32>,
    /// Speakers in the file.
    pub channels: u16,
    /// Whether the file ended where its header said; `false`: it was cut off.
    pub complete: bool,
    /// Samples that could not be decoded and are silence.
    pub damaged: u64,
}

/// Decodes a whole file at its own rate.
///
/// Where the rate changes within the file, the rest is resampled to the rate of its start.
/// Time: blocks; 0.3 ms per second of MP3. Cost: 4 octets per sample, within the limits.
///
/// # Errors
/// [`DecodeError::TooLong`] beyond the limits; anything else for what the bytes are.
pub fn decode_file(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    collect(bytes, limits, None)
}

/// Decodes a whole file straight to a rate, without ever holding it at its own.
///
/// # Errors
/// As [`decode_file`].
pub fn decode_file_at(
    bytes: &[u8],
    rate: SampleRate,
    limits: &DecodeLimits,
) -> Result<Decoded, DecodeError> {
    collect(bytes, limits, Some(rate))
}

fn collect(
    bytes: &[u8],
    limits: &DecodeLimits,
    rate: Option<SampleRate>,
) -> Result<Decoded, DecodeError> {
    let mut source = Source::of(bytes)?;
    let mut collector = Collector::new(rate);
    for slice in bytes.chunks(SLICE) {
        source.push(slice, &mut |piece| collector.take(&piece))?;
        collector.check(limits)?;
    }
    let complete = source.finish(&mut |piece| collector.take(&piece))?;
    collector.end();
    collector.check(limits)?;
    let Collector { rate: Some(rate), out, channels, damaged, .. } = collector else {
        return Err(DecodeError::NoAudio);
    };
    if out.is_empty() {
        return Err(DecodeError::NoAudio);
    }
    Ok(Decoded { rate, samples: out, channels, complete, damaged })
}

/// A file's decoder.
enum Source {
    Mp3(Box<Mp3>),
    Wave(Box<Wave>),
}

impl Source {
    fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::Empty);
        }
        match sniff::file(bytes) {
            Ok(Kind::Wave) => Ok(Self::Wave(Box::default())),
            Ok(Kind::Mpeg) => Ok(Self::Mp3(Box::new(Mp3::new(FILE_JUNK_MAX)))),
            Ok(Kind::Audio(what)) => Err(DecodeError::Unsupported { what: what.into() }),
            Ok(Kind::Other(found)) => Err(DecodeError::UnknownFormat { found: found.into() }),
            Err(found) => Err(DecodeError::UnknownFormat { found }),
        }
    }

    fn push(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), DecodeError> {
        match self {
            Self::Mp3(mp3) => mp3.push(bytes, emit),
            Self::Wave(wave) => wave.push(bytes, emit),
        }
    }

    fn finish(&mut self, emit: &mut Emit<'_>) -> Result<bool, DecodeError> {
        match self {
            Self::Mp3(mp3) => mp3.finish(emit),
            Self::Wave(wave) => wave.finish(emit),
        }
    }
}

/// Gathers pieces at one rate.
struct Collector {
    rate: Option<SampleRate>,
    out: Vec<f32>,
    /// The rate of the piece before, and the way from it to `rate`.
    resampler: Option<(u32, WholeResampler)>,
    channels: u16,
    damaged: u64,
    /// Length of what came, in its own time.
    nanos: u128,
}

impl Collector {
    fn new(rate: Option<SampleRate>) -> Self {
        Self { rate, out: Vec::new(), resampler: None, channels: 0, damaged: 0, nanos: 0 }
    }

    fn take(&mut self, piece: &Piece<'_>) {
        match *piece {
            Piece::Skipped(_) => {}
            Piece::Damaged(samples) => self.damaged += samples,
            Piece::Samples { rate, channels, samples } => {
                self.channels = self.channels.max(channels);
                self.nanos += samples.len() as u128 * 1_000_000_000 / u128::from(rate.max(1));
                if let Some((resampler, out)) = self.resampler_from(rate) {
                    resampler.process(samples, out);
                }
            }
        }
    }

    /// The resampler for pieces of this rate; `None` for a rate that cannot be.
    fn resampler_from(&mut self, rate: u32) -> Option<(&mut WholeResampler, &mut Vec<f32>)> {
        let from = SampleRate::new(rate)?;
        let to = *self.rate.get_or_insert(from);
        if !matches!(&self.resampler, Some((last, _)) if *last == rate) {
            self.end();
            self.resampler = Some((rate, WholeResampler::new(from, to).ok()?));
        }
        self.resampler.as_mut().map(|(_, resampler)| (resampler, &mut self.out))
    }

    fn end(&mut self) {
        if let Some((_, mut resampler)) = self.resampler.take() {
            resampler.flush(&mut self.out);
        }
    }

    fn check(&self, limits: &DecodeLimits) -> Result<(), DecodeError> {
        let limit = limits.duration_max;
        if self.nanos > limit.as_nanos() || self.out.len() > limits.samples_max {
            return Err(DecodeError::TooLong { limit });
        }
        Ok(())
    }
}

/// For fuzzing: decodes any bytes as a file, under small limits; must never panic.
pub fn fuzz_file(bytes: &[u8]) {
    let limits = DecodeLimits { duration_max: Duration::from_secs(20), samples_max: 1 << 20 };
    if let Ok(decoded) = decode_file(bytes, &limits) {
        assert!(decoded.samples.iter().all(|sample| sample.is_finite()));
        assert!(!decoded.samples.is_empty());
    }
}

/// For fuzzing: any bytes as a live stream of any format, in two chunkings that must agree.
pub fn fuzz_live(bytes: &[u8]) {
    live::fuzz(bytes);
}

#[cfg(test)]
mod tests;
