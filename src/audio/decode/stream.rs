//! Octets to mono samples, for the formats that `symphonia` decodes: MP3 and WAV.
//!
//! ```text
//!  octets ──> framer (mpeg | riff) ──> packets ──> engine ──> trim, mute ──> Piece
//! ```
//!
//! Works the same for a file and for a live stream; what comes out does not depend on the chunks
//! that go in. Does not resample, and keeps no more than a packet.

use super::DecodeError;
use super::engine::{Coding, Engine};
use super::mpeg::{self, Framer, Header, NoHeader, Tag};
use super::riff::{self, Chunks};

/// Damaged packets in a row until the stream counts as broken.
const DAMAGED_MAX: u32 = 64;
/// What counts as silence before the first sound: −54 dB of full scale.
const SILENT: f32 = 0.002;
/// Octets of main data that a frame of layer III may refer back to.
const RESERVOIR_MAX: usize = 511;

/// What comes out of a stream.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// Samples of one rate, from a source with this many speakers.
    Samples {
        /// Sample rate in Hz.
        rate: u32,
        /// Speakers that were mixed down.
        channels: u16,
        /// Mono, finite, nominally in −1..1.
        samples: &'a [f32],
    },
    /// Octets that belonged to nothing were passed over.
    Skipped(u64),
    /// This many samples could not be decoded, and are silence in what follows.
    Damaged(u64),
}

/// Where pieces go.
pub(super) type Emit<'e> = dyn FnMut(Piece<'_>) + 'e;

/// A stream of MP3.
#[derive(Default)]
pub(super) struct Mp3 {
    framer: Framer,
    /// Octets of junk in a row that are put up with.
    junk_max: u64,
    decoder: Option<(u32, usize, Engine)>,
    tag: Tag,
    /// Samples decoded since the tag.
    position: u64,
    /// Octets of main data that came since the last gap.
    reservoir: usize,
    damaged: u32,
    started: bool,
    mono: Vec<f32>,
}

impl Mp3 {
    /// A stream that fails after this many octets of junk in a row.
    pub(super) fn new(junk_max: u64) -> Self {
        Self { junk_max, ..Self::default() }
    }

    /// Takes octets and emits what they complete.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        emit: &mut Emit<'_>,
    ) -> Result<(), DecodeError> {
        while !bytes.is_empty() {
            let taken = self.framer.fill(bytes);
            bytes = &bytes[taken..];
            self.drain(false, emit)?;
        }
        Ok(())
    }

    /// Ends the stream: emits what is left, and says whether it was whole.
    pub(super) fn finish(&mut self, emit: &mut Emit<'_>) -> Result<bool, DecodeError> {
        self.drain(true, emit)?;
        if !self.started {
            return Err(match self.framer.refused() {
                Some(why) => unsupported(why),
                None if self.framer.inside_tag() => {
                    DecodeError::Corrupt { what: "the tag is longer than the file" }
                }
                None => DecodeError::NoAudio,
            });
        }
        if self.framer.junk() > 0 {
            emit(Piece::Skipped(self.framer.junk()));
        }
        Ok(self.tag.end.is_none_or(|end| self.position >= end))
    }

    fn drain(&mut self, last: bool, emit: &mut Emit<'_>) -> Result<(), DecodeError> {
        loop {
            // The framer is taken out so that its frame can be read while the decoder works.
            let mut framer = std::mem::take(&mut self.framer);
            let step = match framer.step(last) {
                mpeg::Step::More => Ok(false),
                mpeg::Step::Frame { header, frame, junk } if junk <= self.junk_max => {
                    self.frame(&header, frame, junk, emit).map(|()| true)
                }
                mpeg::Step::Frame { .. } => Err(LOST),
            };
            self.framer = framer;
            if !step? {
                break;
            }
        }
        match self.framer.refused() {
            _ if self.framer.junk() <= self.junk_max => Ok(()),
            Some(why) if !self.started => Err(unsupported(why)),
            _ => Err(LOST),
        }
    }

    fn frame(
        &mut self,
        header: &Header,
        frame: &[u8],
        junk: u64,
        emit: &mut Emit<'_>,
    ) -> Result<(), DecodeError> {
        if !self.started && header.reservoir(frame) == 0 {
            self.tag = Tag::untold();
        }
        self.started = true;
        if junk > 0 {
            self.reservoir = 0;
            emit(Piece::Skipped(junk));
        }
        if let Some(tag) = Tag::parse(header, frame) {
            (self.tag, self.position, self.reservoir, self.decoder) = (tag, 0, 0, None);
            return Ok(());
        }
        let (rate, channels) = (header.rate, header.channels);
        if !matches!(&self.decoder, Some((r, c, _)) if (*r, *c) == (rate, channels)) {
            self.reservoir = 0;
            // The decoder refuses a change of rate or channels: it takes a new one.
            let engine = Engine::new(Coding::Mp3, rate, speakers(channels));
            let engine = engine.ok_or(DecodeError::Corrupt { what: "no decoder for the MP3" })?;
            self.decoder = Some((rate, channels, engine));
        }
        let Some((_, _, engine)) = &mut self.decoder else { return Ok(()) };
        self.mono.clear();
        let decoded = engine.decode(frame, &mut self.mono).is_ok();
        self.mono.resize(header.samples, 0.0);
        // What leans on octets that never came would be noise: joined in the middle, a stream
        // is silent until the first frame that stands on its own.
        let leans = header.reservoir(frame) > self.reservoir;
        if leans || !decoded {
            self.mono.fill(0.0);
        }
        self.reservoir += header.len.saturating_sub(header.overhead);
        self.reservoir = if decoded { self.reservoir.min(RESERVOIR_MAX) } else { 0 };
        self.damaged = if decoded { 0 } else { self.damaged + 1 };
        if !decoded {
            emit(Piece::Damaged(header.samples as u64));
        }
        if self.damaged >= DAMAGED_MAX {
            return Err(DecodeError::Corrupt { what: "the MP3 frames cannot be decoded" });
        }
        let wanted = self.tag.wanted(self.position, self.mono.len());
        self.position += self.mono.len() as u64;
        let samples = &self.mono[wanted];
        let quiet = usize::try_from(self.tag.quiet).unwrap_or(0).min(samples.len());
        let silent = samples[..quiet].iter().take_while(|s| s.abs() < SILENT).count();
        self.tag.quiet = if silent == samples.len() { self.tag.quiet - silent as u64 } else { 0 };
        let samples = &samples[silent..];
        if !samples.is_empty() {
            emit(Piece::Samples { rate, channels: speakers(channels), samples });
        }
        Ok(())
    }
}

const LOST: DecodeError =
    DecodeError::Corrupt { what: "there are no MPEG frames where they must be" };

fn unsupported(why: NoHeader) -> DecodeError {
    let what = match why {
        NoHeader::Layer(layer) => format!("MPEG audio layer {layer}"),
        NoHeader::FreeFormat => "MP3 of free format".into(),
        NoHeader::Junk => "this kind of MPEG audio".into(),
    };
    DecodeError::Unsupported { what }
}

fn speakers(channels: usize) -> u16 {
    u16::try_from(channels).unwrap_or(u16::MAX)
}

/// A stream of WAV, or of several one after the other.
#[derive(Default)]
pub(super) struct Wave {
    chunks: Chunks,
    decoder: Option<(riff::Format, Engine)>,
    damaged: u32,
    mono: Vec<f32>,
}

impl Wave {
    /// Takes octets and emits what they complete.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        emit: &mut Emit<'_>,
    ) -> Result<(), DecodeError> {
        while !bytes.is_empty() {
            let taken = self.chunks.fill(bytes);
            bytes = &bytes[taken..];
            self.drain(false, emit)?;
        }
        Ok(())
    }

    /// Ends the stream: emits what is left, and says whether it was whole.
    pub(super) fn finish(&mut self, emit: &mut Emit<'_>) -> Result<bool, DecodeError> {
        self.drain(true, emit)?;
        match self.decoder {
            Some(_) => Ok(self.chunks.complete()),
            None if self.chunks.untouched() => Err(DecodeError::NoAudio),
            None => Err(DecodeError::Corrupt { what: "the WAV ends within its header" }),
        }
    }

    fn drain(&mut self, last: bool, emit: &mut Emit<'_>) -> Result<(), DecodeError> {
        loop {
            match self.chunks.step(last)? {
                riff::Step::More => return Ok(()),
                riff::Step::Begin(format) => {
                    let engine = Engine::new(format.coding, format.rate, format.channels);
                    let engine = engine.ok_or_else(|| DecodeError::Unsupported {
                        what: format!(
                            "WAV of {:?} with {} channels",
                            format.coding, format.channels
                        ),
                    })?;
                    self.decoder = Some((format, engine));
                }
                riff::Step::Packet(packet) => {
                    let Some((format, engine)) = &mut self.decoder else { continue };
                    self.mono.clear();
                    if engine.decode(packet, &mut self.mono).is_ok() {
                        self.damaged = 0;
                    } else {
                        self.damaged += 1;
                        self.mono.resize(format.frames, 0.0);
                        emit(Piece::Damaged(format.frames as u64));
                    }
                    if self.damaged >= DAMAGED_MAX {
                        let what = "the blocks of the WAV cannot be decoded";
                        return Err(DecodeError::Corrupt { what });
                    }
                    let (rate, channels) = (format.rate, format.channels);
                    emit(Piece::Samples { rate, channels, samples: &self.mono });
                }
            }
        }
    }
}
