//! Live audio: bytes in any chunking, samples as soon as they are whole.
//!
//! ```text
//!  push(bytes) ──> [auto: held until the format is known] ──> Raw | Mp3 | Wave | Ogg ──> sink
//! ```
//!
//! The samples do not depend on the chunks, but for packets of Opus, one to a chunk. What is held back is bounded: an octet or three of
//! raw samples, a frame of MP3 and the header after it while the stream begins, a block of WAV.
//! Does not pace, resample or queue; a stream that fails says so once and is silent then.

use super::DecodeError;
use super::mpeg;
use super::ogg::{Ogg, Packets};
use super::raw::{Kind as RawKind, Raw};
use super::sniff::{self, Kind};
use super::stream::{Mp3, Piece, Wave};
use crate::audio::rate::SampleRate;
use crate::audio::sample::to_i16;

/// Octets of junk in a row until a live MP3 counts as lost: 4 s at 128 kbit/s.
const JUNK_MAX: u64 = 1 << 16;
/// Octets that decide what an `auto` stream is: a frame of MP3 and the header after it.
const SNIFF: usize = mpeg::FRAME_MAX + 4;

/// How a live stream is coded; the values of `format` in the stream protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LiveFormat {
    /// Told by the first bytes: MP3, WAV, Ogg, or else [`LiveFormat::PcmS16Le`].
    Auto,
    /// Signed 16 bits, little-endian.
    PcmS16Le,
    /// Signed 16 bits, big-endian.
    PcmS16Be,
    /// 32-bit float in −1..1, little-endian.
    PcmF32Le,
    /// G.711 µ-law.
    Mulaw,
    /// G.711 A-law.
    Alaw,
    /// MPEG audio layer III; the rate is told by its frames.
    Mp3,
    /// WAV, header first; the rate is told by it.
    Wav,
    /// Opus, one packet to a message; it is decoded at 16 kHz. Built in with the feature `opus`.
    Opus,
    /// Opus in Ogg; the same.
    Ogg,
}

impl LiveFormat {
    /// Every format, by its name in the stream protocol.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("auto", Self::Auto),
        ("pcm_s16le", Self::PcmS16Le),
        ("pcm_s16be", Self::PcmS16Be),
        ("pcm_f32le", Self::PcmF32Le),
        ("mulaw", Self::Mulaw),
        ("alaw", Self::Alaw),
        ("mp3", Self::Mp3),
        ("wav", Self::Wav),
        ("opus", Self::Opus),
        ("ogg", Self::Ogg),
    ];

    /// The format of a name, if it is built in.
    pub fn by_name(name: &str) -> Option<Self> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|&(_, format)| format).filter(|format| format.is_built_in())
    }

    fn is_built_in(self) -> bool {
        cfg!(feature = "opus") || !matches!(self, Self::Opus | Self::Ogg)
    }

    /// The name of the format.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("", |&(name, _)| name)
    }
}

/// What a [`LiveDecoder`] gives, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum LiveOutput<'a> {
    /// Samples; a rate that differs from the one before begins a new stretch.
    Samples {
        /// Their rate.
        rate: SampleRate,
        /// Mono.
        samples: &'a [i16],
    },
    /// Something that the sender may want to know.
    Event(LiveEvent),
}

/// What a live stream did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEvent {
    /// An `auto` stream turned out to be of this format.
    Detected(LiveFormat),
    /// Bytes that belong to no MP3 frame were passed over.
    Skipped {
        /// How many.
        bytes: u64,
    },
    /// Samples that could not be decoded and are silence.
    Damaged {
        /// How many.
        samples: u64,
    },
    /// The stream ended within a sample, frame or header.
    Partial {
        /// Bytes of it that came, if they are counted.
        bytes: usize,
    },
    /// The stream cannot be decoded any further; whatever follows is ignored until a flush.
    Failed(DecodeError),
}

/// Decodes one live stream.
///
/// Cost: about 10 µs per 20 ms of MP3, 1 µs of anything else; a long message costs in proportion
/// (a MiB of MP3 may last an hour), so a shell feeds big ones in slices.
pub struct LiveDecoder {
    format: LiveFormat,
    /// The rate of formats that do not tell it.
    rate: SampleRate,
    source: Source,
    samples: Vec<i16>,
}

enum Source {
    Sniffing(Vec<u8>),
    Raw(Raw),
    Mp3(Box<Mp3>),
    Wave(Box<Wave>),
    Opus(Box<Packets>),
    Ogg(Box<Ogg>),
    Failed,
}

impl Source {
    fn new(format: LiveFormat) -> Self {
        match format {
            LiveFormat::Auto => Self::Sniffing(Vec::new()),
            LiveFormat::PcmS16Le => Self::Raw(Raw::new(RawKind::S16Le)),
            LiveFormat::PcmS16Be => Self::Raw(Raw::new(RawKind::S16Be)),
            LiveFormat::PcmF32Le => Self::Raw(Raw::new(RawKind::F32Le)),
            LiveFormat::Mulaw => Self::Raw(Raw::new(RawKind::Ulaw)),
            LiveFormat::Alaw => Self::Raw(Raw::new(RawKind::Alaw)),
            LiveFormat::Mp3 => Self::Mp3(Box::new(Mp3::new(JUNK_MAX))),
            LiveFormat::Wav => Self::Wave(Box::default()),
            LiveFormat::Opus => Self::Opus(Box::default()),
            LiveFormat::Ogg => Self::Ogg(Box::default()),
        }
    }
}

impl std::fmt::Debug for LiveDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveDecoder")
            .field("format", &self.format)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

impl LiveDecoder {
    /// A decoder of a stream; `rate` is that of raw samples, and unused for MP3 and WAV.
    pub fn new(format: LiveFormat, rate: SampleRate) -> Self {
        Self { format, rate, source: Source::new(format), samples: Vec::new() }
    }

    /// Takes bytes and gives what they complete to `sink`.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(LiveOutput<'_>)) {
        let Source::Sniffing(held) = &mut self.source else {
            return self.feed(bytes, sink);
        };
        let (now, later) = bytes.split_at((SNIFF - held.len()).min(bytes.len()));
        held.extend_from_slice(now);
        if let Some(held) = self.settle(false, sink) {
            self.feed(&held, sink);
            self.feed(later, sink);
        }
    }

    /// Ends the stream: gives what is left, and starts anew as a stream of the same format.
    pub fn flush(&mut self, sink: &mut dyn FnMut(LiveOutput<'_>)) {
        if let Some(held) = self.settle(true, sink) {
            self.feed(&held, sink);
        }
        self.finish(sink);
        self.source = Source::new(self.format);
    }

    /// Decides what an `auto` stream is, if what is held tells, and gives that back.
    fn settle(&mut self, last: bool, sink: &mut dyn FnMut(LiveOutput<'_>)) -> Option<Vec<u8>> {
        let Source::Sniffing(held) = &mut self.source else { return None };
        let verdict = if held.is_empty() { None } else { tell(held, last) };
        let held = match verdict {
            None => return None,
            Some(_) => std::mem::take(held),
        };
        match verdict {
            None => None,
            Some(Ok(format)) => {
                self.source = Source::new(format);
                sink(LiveOutput::Event(LiveEvent::Detected(format)));
                Some(held)
            }
            Some(Err(why)) => {
                self.source = Source::Failed;
                sink(LiveOutput::Event(LiveEvent::Failed(why)));
                None
            }
        }
    }

    fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(LiveOutput<'_>)) {
        let (rate, samples) = (self.rate, &mut self.samples);
        let done = match &mut self.source {
            Source::Sniffing(_) | Source::Failed => Ok(()),
            Source::Raw(raw) => {
                raw.push(bytes, &mut |samples| sink(LiveOutput::Samples { rate, samples }));
                Ok(())
            }
            Source::Mp3(mp3) => mp3.push(bytes, &mut |piece| pass(&piece, samples, sink)),
            Source::Wave(wave) => wave.push(bytes, &mut |piece| pass(&piece, samples, sink)),
            Source::Opus(packets) => {
                packets.push(bytes, &mut 0, &mut |piece| pass(&piece, samples, sink))
            }
            Source::Ogg(ogg) => ogg.push(bytes, &mut |piece| pass(&piece, samples, sink)),
        };
        if let Err(why) = done {
            self.source = Source::Failed;
            sink(LiveOutput::Event(LiveEvent::Failed(why)));
        }
    }

    fn finish(&mut self, sink: &mut dyn FnMut(LiveOutput<'_>)) {
        let samples = &mut self.samples;
        let done = match &mut self.source {
            Source::Sniffing(_) | Source::Failed | Source::Opus(_) => Ok(true),
            Source::Ogg(ogg) => ogg.finish(&mut |piece| pass(&piece, samples, sink)),
            Source::Raw(raw) => match raw.finish() {
                0 => Ok(true),
                bytes => {
                    sink(LiveOutput::Event(LiveEvent::Partial { bytes }));
                    Ok(true)
                }
            },
            Source::Mp3(mp3) => mp3.finish(&mut |piece| pass(&piece, samples, sink)),
            Source::Wave(wave) => wave.finish(&mut |piece| pass(&piece, samples, sink)),
        };
        match done {
            // A flush right after another, or before anything came, is no failure.
            Ok(true) | Err(DecodeError::NoAudio | DecodeError::Empty) => {}
            Ok(false) => sink(LiveOutput::Event(LiveEvent::Partial { bytes: 0 })),
            Err(why) => sink(LiveOutput::Event(LiveEvent::Failed(why))),
        }
    }
}

/// Hands a piece on as 16-bit samples.
fn pass(piece: &Piece<'_>, scratch: &mut Vec<i16>, sink: &mut dyn FnMut(LiveOutput<'_>)) {
    match *piece {
        Piece::Skipped(bytes) => sink(LiveOutput::Event(LiveEvent::Skipped { bytes })),
        Piece::Damaged(samples) => sink(LiveOutput::Event(LiveEvent::Damaged { samples })),
        Piece::Samples { rate, samples, .. } => {
            let Some(rate) = SampleRate::new(rate) else { return };
            scratch.clear();
            scratch.extend(samples.iter().map(|&sample| to_i16(sample)));
            sink(LiveOutput::Samples { rate, samples: scratch });
        }
    }
}

/// What a stream is that begins like this; `None` if that cannot be told yet.
fn tell(held: &[u8], last: bool) -> Option<Result<LiveFormat, DecodeError>> {
    if held.len() < 4 && !last {
        return None;
    }
    match sniff::magic(held) {
        Some(Kind::Wave) => return Some(Ok(LiveFormat::Wav)),
        Some(_) if held.starts_with(b"OggS") && LiveFormat::Ogg.is_built_in() => {
            return Some(Ok(LiveFormat::Ogg));
        }
        Some(Kind::Audio(what)) if held.starts_with(b"OggS") || held.starts_with(b"fLaC") => {
            return Some(Err(DecodeError::Unsupported { what: what.into() }));
        }
        // Fewer octets than four tell nothing else apart from samples.
        Some(_) | None => {}
    }
    match mpeg::sniff(held, last || held.len() >= SNIFF) {
        Some(true) => Some(Ok(LiveFormat::Mp3)),
        Some(false) => Some(Ok(LiveFormat::PcmS16Le)),
        None => None,
    }
}

/// Everything that a stream gave: stretches of samples, and events with the place they came at.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Heard {
    pub(super) stretches: Vec<(SampleRate, Vec<i16>)>,
    pub(super) events: Vec<(usize, LiveEvent)>,
}

impl Heard {
    fn take(&mut self, output: LiveOutput<'_>) {
        match output {
            LiveOutput::Event(event) => {
                let place = self.stretches.iter().map(|(_, samples)| samples.len()).sum();
                self.events.push((place, event));
            }
            LiveOutput::Samples { rate, samples } => match self.stretches.last_mut() {
                Some((last, stretch)) if *last == rate => stretch.extend_from_slice(samples),
                _ => self.stretches.push((rate, samples.to_vec())),
            },
        }
    }

    /// Hears a whole stream, given in chunks of these sizes over and over.
    pub(super) fn stream(format: LiveFormat, bytes: &[u8], sizes: &[usize]) -> Self {
        let mut decoder = LiveDecoder::new(format, SampleRate::HZ_16000);
        let mut heard = Self::default();
        let mut rest = bytes;
        for &size in sizes.iter().cycle() {
            let (now, later) = rest.split_at(size.clamp(1, rest.len().max(1)).min(rest.len()));
            decoder.push(now, &mut |output| heard.take(output));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        decoder.flush(&mut |output| heard.take(output));
        heard
    }
}

/// See [`super::fuzz_live`]: the first octets choose the format and the chunks.
pub(super) fn fuzz(bytes: &[u8]) {
    let [format, size, bytes @ ..] = bytes else { return };
    let (_, format) = LiveFormat::NAMES[usize::from(*format) % LiveFormat::NAMES.len()];
    let whole = Heard::stream(format, bytes, &[usize::MAX]);
    if format == LiveFormat::Opus {
        // A chunk is a packet.
        return drop(Heard::stream(format, bytes, &[usize::from(*size) + 1, 1]));
    }
    let chunked = Heard::stream(format, bytes, &[usize::from(*size) + 1, 1]);
    assert_eq!(whole, chunked, "the chunks changed what is heard");
}
