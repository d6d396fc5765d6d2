//! WAV as a byte stream: its header, then packets of samples, whatever the chunks they come in.
//!
//! ```text
//!  RIFF size WAVE │ fmt … │ LIST … (passed over) │ data size │ block block … │ LIST … │ RIFF …
//! ```
//!
//! Sizes are taken with care: the size of the whole is ignored, a `data` chunk without a
//! plausible size (0 or almost 2³², as programs write it who do not know the end) reaches to the
//! end of the stream, and one that is longer than the stream ends with it. Another RIFF header
//! may follow, as when several recordings are sent one after the other. Does not decode.

use std::ops::Range;

use super::DecodeError;
use super::engine::Coding;
use crate::audio::resample::RATES;

/// Most speakers that are mixed down.
const CHANNELS_MAX: u16 = 8;
/// Longest `fmt` chunk that is read; real ones have 16 to 50 octets.
const FMT_MAX: usize = 256;
/// From this size on a `data` chunk is one of unknown length.
const UNKNOWN_FROM: u32 = 0x7FFF_0000;
/// Frames of PCM in a packet at most.
const PACKET_FRAMES: usize = 1_024;
/// Octets of the head of a chunk.
const NAME_AND_SIZE: usize = 8;
/// Octets held at most: the largest block of ADPCM.
const BUFFER: usize = 1 << 16;

/// What the `fmt` chunk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// How samples are coded.
    pub(super) coding: Coding,
    /// Sample rate in Hz.
    pub(super) rate: u32,
    /// Number of speakers.
    pub(super) channels: u16,
    /// Octets of a frame of PCM, or of a block of ADPCM.
    block: usize,
    /// Samples of each speaker in a block; 1 for PCM.
    pub(super) frames: usize,
}

/// What [`Chunks::step`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Nothing more in what was filled in.
    More,
    /// The samples of a recording begin.
    Begin(Format),
    /// Whole frames or one block.
    Packet(&'a [u8]),
}

/// Cuts a stream of octets into packets of samples.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    held: Vec<u8>,
    done: usize,
    at: At,
    /// Whether the last chunk had an odd size, so that an octet of padding may follow.
    odd: bool,
    format: Option<Format>,
}

/// What the next octets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// The start of the stream.
    #[default]
    Start,
    /// A chunk of the header.
    Header,
    /// The body of `fmt`.
    Fmt(usize),
    /// A chunk to pass over, and what comes then.
    Skip(u64, After),
    /// Samples; how many octets of them are left, if known.
    Samples(Option<u64>),
    /// A chunk behind the samples, or another recording.
    Trailer,
    /// Junk behind a recording: nothing more is read.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Header,
    Trailer,
}

impl From<After> for At {
    fn from(after: After) -> Self {
        match after {
            After::Header => Self::Header,
            After::Trailer => Self::Trailer,
        }
    }
}

impl Chunks {
    /// Takes as much as there is room for; returns how much. Call [`Chunks::step`] until it says
    /// [`Step::More`] before the next.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        self.held.drain(..self.done);
        self.done = 0;
        if self.at == At::End {
            self.held.clear();
            return bytes.len();
        }
        let room = (BUFFER - self.held.len()).min(bytes.len());
        self.held.extend_from_slice(&bytes[..room]);
        room
    }

    /// Whether nothing came at all.
    pub(super) fn untouched(&self) -> bool {
        self.at == At::Start && self.held.is_empty()
    }

    /// Whether the stream may end here: no header and no announced samples are cut short.
    pub(super) fn complete(&self) -> bool {
        match self.at {
            At::Samples(left) => left.is_none(),
            At::Trailer | At::End | At::Skip(_, After::Trailer) => true,
            At::Start | At::Header | At::Fmt(_) | At::Skip(_, After::Header) => false,
        }
    }

    /// The next packet. `last`: nothing will follow what was filled in.
    pub(super) fn step(&mut self, last: bool) -> Result<Step<'_>, DecodeError> {
        loop {
            let window = &self.held[self.done..];
            let next = match self.at {
                At::Start => start(window)?,
                At::Header | At::Trailer if self.odd && window.first() == Some(&0) => {
                    Some((1, self.at))
                }
                At::Header => self.header(window, last)?,
                At::Fmt(len) => match window.get(..len) {
                    Some(body) => {
                        self.format = Some(Format::parse(body)?);
                        Some((len, At::Header))
                    }
                    None => None,
                },
                At::Skip(0, after) => Some((0, after.into())),
                At::Skip(left, after) if !window.is_empty() => {
                    let over = usize::try_from(left).unwrap_or(usize::MAX).min(window.len());
                    Some((over, At::Skip(left - over as u64, after)))
                }
                At::Samples(left) => {
                    let Some(format) = self.format else { return Ok(Step::More) };
                    if let Some(packet) = self.packet(left, &format) {
                        self.done = packet.end;
                        self.at = At::Samples(left.map(|left| left - packet.len() as u64));
                        return Ok(Step::Packet(&self.held[packet]));
                    }
                    // A rest that fills no frame is passed over.
                    let rest = left.filter(|&left| left < format.block as u64);
                    rest.map(|rest| (0, At::Skip(rest, After::Trailer)))
                }
                At::Trailer => Self::trailer(window),
                At::Skip(..) | At::End => None,
            };
            let Some((used, next)) = next else { return Ok(Step::More) };
            let begins = matches!(next, At::Samples(_));
            if used == NAME_AND_SIZE {
                self.odd = window[4] % 2 == 1;
            }
            self.done += used;
            self.at = next;
            if let (true, Some(format)) = (begins, self.format) {
                return Ok(Step::Begin(format));
            }
        }
    }

    /// A chunk before the samples.
    fn header(&self, window: &[u8], last: bool) -> Result<Option<(usize, At)>, DecodeError> {
        let Some((name, size)) = name_and_size(window) else { return Ok(None) };
        match &name {
            b"fmt " => match usize::try_from(size) {
                Ok(len @ 16..=FMT_MAX) => Ok(Some((NAME_AND_SIZE, At::Fmt(len)))),
                _ => Err(DecodeError::Corrupt { what: "the WAV format has an impossible length" }),
            },
            b"data" if self.format.is_none() => {
                Err(DecodeError::Corrupt { what: "the WAV samples come before their format" })
            }
            b"data" => {
                // An honest empty chunk is followed by a chunk, an unfinished one by samples.
                let next = match window.get(8..12) {
                    Some(next) => next,
                    None if last => &[],
                    None => return Ok(None),
                };
                let known = if size == 0 { is_name(next) } else { size < UNKNOWN_FROM };
                Ok(Some((NAME_AND_SIZE, At::Samples(known.then_some(u64::from(size))))))
            }
            _ => Ok(Some((NAME_AND_SIZE, At::Skip(u64::from(size), After::Header)))),
        }
    }

    /// What lies behind the samples.
    fn trailer(window: &[u8]) -> Option<(usize, At)> {
        let (name, size) = name_and_size(window)?;
        if &name == b"RIFF" {
            let form = window.get(8..12)?;
            return Some((12, if form == b"WAVE" { At::Header } else { At::End }));
        }
        if !name.iter().all(|c| (b' '..=b'~').contains(c)) {
            return Some((0, At::End));
        }
        Some((NAME_AND_SIZE, At::Skip(u64::from(size), After::Trailer)))
    }

    /// Where the next packet of samples lies in `held`, if it is there.
    fn packet(&self, left: Option<u64>, format: &Format) -> Option<Range<usize>> {
        let window = self.held.len() - self.done;
        let mine = match left {
            Some(left) => usize::try_from(left).unwrap_or(usize::MAX).min(window),
            None => window,
        };
        let blocks = if format.frames == 1 { PACKET_FRAMES } else { 1 };
        let take = (mine / format.block).min(blocks) * format.block;
        (take > 0).then_some(self.done..self.done + take)
    }
}

fn start(window: &[u8]) -> Result<Option<(usize, At)>, DecodeError> {
    let Some(head) = window.get(..12) else { return Ok(None) };
    match (&head[..4], &head[8..]) {
        (b"RIFF", b"WAVE") => Ok(Some((12, At::Header))),
        (b"RIFF", _) => Err(DecodeError::Unsupported { what: "RIFF that is not WAVE".into() }),
        _ => Err(DecodeError::Corrupt { what: "there is no RIFF header" }),
    }
}

fn name_and_size(window: &[u8]) -> Option<([u8; 4], u32)> {
    let (name, rest) = window.split_first_chunk()?;
    Some((*name, u32::from_le_bytes(*rest.first_chunk()?)))
}

/// Names of chunks that stand behind samples.
fn is_name(name: &[u8]) -> bool {
    matches!(
        name,
        b"LIST"
            | b"id3 "
            | b"ID3 "
            | b"bext"
            | b"cue "
            | b"fact"
            | b"smpl"
            | b"iXML"
            | b"JUNK"
            | b"PEAK"
            | b"afsp"
            | b"_PMX"
            | b"RIFF"
            | b"PAD "
    )
}

impl Format {
    /// Reads the body of a `fmt` chunk of at least 16 octets.
    fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let u16_at =
            |at: usize| body.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        let rate = body.get(4..8).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let (channels, block, bits) = (u16_at(2), u16_at(12), u16_at(14));
        let tag = match (u16_at(0), body.get(26..40)) {
            (0xFFFE, Some(SUBFORMAT)) => u16_at(24),
            (tag, _) => tag,
        };
        if channels == 0 {
            return Err(DecodeError::Corrupt { what: "the WAV has no channels" });
        }
        if channels > CHANNELS_MAX {
            return Err(DecodeError::Unsupported { what: format!("WAV of {channels} channels") });
        }
        if !RATES.contains(&rate) {
            return Err(DecodeError::Unsupported { what: format!("WAV of {rate} Hz") });
        }
        let (coding, block, frames) = match tag {
            2 | 0x11 if bits == 4 => adpcm(tag, channels, block)?,
            _ => {
                let (coding, octets) = pcm(tag, channels, block, bits)?;
                (coding, usize::from(octets) * usize::from(channels), 1)
            }
        };
        Ok(Self { coding, rate, channels, block, frames })
    }
}

/// The end of the identifier of every sub-format that has a format tag.
const SUBFORMAT: &[u8] = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71";

/// Coding and octets of a sample.
fn pcm(tag: u16, channels: u16, block: u16, bits: u16) -> Result<(Coding, u16), DecodeError> {
    let least = bits.div_ceil(8);
    // Samples of 12 or 20 bits lie at the upper end of a container that the block size tells.
    let told = if block.is_multiple_of(channels) { block / channels } else { 0 };
    let octets = if (least..=4).contains(&told) { told } else { least };
    match (tag, octets, bits) {
        (1, 1, 1..) => Ok((Coding::U8, 1)),
        (1, 2, 1..) => Ok((Coding::S16, 2)),
        (1, 3, 1..) => Ok((Coding::S24, 3)),
        (1, 4, 1..) => Ok((Coding::S32, 4)),
        (3, _, 32) => Ok((Coding::F32, 4)),
        (3, _, 64) => Ok((Coding::F64, 8)),
        (6, _, 8) => Ok((Coding::Alaw, 1)),
        (7, _, 8) => Ok((Coding::Ulaw, 1)),
        (1 | 2 | 3 | 6 | 7 | 0x11, ..) => {
            Err(DecodeError::Unsupported { what: format!("WAV of {bits} bits, codec {tag:#06x}") })
        }
        _ => Err(DecodeError::Unsupported { what: format!("WAV with codec {tag:#06x}") }),
    }
}

/// Coding, octets and samples of a block.
fn adpcm(tag: u16, channels: u16, block: u16) -> Result<(Coding, usize, usize), DecodeError> {
    if channels > 2 {
        return Err(DecodeError::Unsupported { what: format!("ADPCM of {channels} channels") });
    }
    let (preamble, first) = if tag == 2 { (7, 2) } else { (4, 1) };
    let Some(body) = block.checked_sub(preamble * channels).filter(|&body| body > 0) else {
        return Err(DecodeError::Corrupt { what: "the blocks of the ADPCM are too short" });
    };
    let samples = u32::from(body) * 2 / u32::from(channels) + first;
    let coding = if tag == 2 { Coding::AdpcmMs(samples) } else { Coding::AdpcmIma(samples) };
    Ok((coding, usize::from(block), samples as usize))
}
