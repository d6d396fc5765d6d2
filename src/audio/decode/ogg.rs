//! Opus in a live stream: one packet at a time, or in the pages of Ogg.
//!
//! ```text
//!  octets ──> Pages (RFC 3533) ──> packets ──> head, tags, Opus (RFC 7845) ──> mono at 16 kHz
//!  messages ──────────────────────────────────> Opus ─────────────────────────> the same
//! ```
//!
//! Speech is decoded at 16 kHz whatever it was made from. A page whose checksum is wrong is passed
//! over; one stream may follow another. Bounded by the longest page and the longest packet. Without
//! the feature `opus` nothing here decodes.

use super::DecodeError;
use super::stream::{Emit, Piece};
#[cfg(feature = "opus")]
use crate::audio::codec::{Codec, CodecId, Way};

/// Rate of what comes out.
const RATE: u32 = 16_000;
/// Samples of the longest packet, 120 ms.
#[cfg(feature = "opus")]
const PACKET_SAMPLES: usize = 1920;
/// Longest packet: more than 120 ms of Opus ever take.
const PACKET_MAX: usize = 61_440;
/// Octets of a page before its table.
const HEAD: usize = 27;
/// Longest page (RFC 3533 §6).
const PAGE_MAX: usize = HEAD + 255 + 255 * 255;
/// Octets of junk in a row until the stream counts as lost.
const JUNK_MAX: u64 = 1 << 17;
/// What may look like a page in a stream and be none.
const WRONG_MAX: u32 = 64;
/// Packets in a row that cannot be decoded until the stream counts as broken.
const DAMAGED_MAX: u32 = 64;

/// Packets of Opus, one after the other.
#[derive(Default)]
pub(super) struct Packets {
    #[cfg(feature = "opus")]
    codec: Option<Box<dyn Codec>>,
    mono: Vec<f32>,
    damaged: u32,
}

impl Packets {
    /// Decodes one packet; of its beginning `skip` samples are left out, and counted down.
    pub(super) fn push(
        &mut self,
        packet: &[u8],
        skip: &mut usize,
        emit: &mut Emit<'_>,
    ) -> Result<(), DecodeError> {
        if packet.is_empty() {
            return Ok(());
        }
        self.mono.clear();
        self.decode(packet);
        if self.mono.is_empty() {
            self.damaged += 1;
            emit(Piece::Skipped(packet.len() as u64));
            let broken = self.damaged >= DAMAGED_MAX;
            return if broken { Err(corrupt("packets of Opus")) } else { Ok(()) };
        }
        self.damaged = 0;
        let skipped = (*skip).min(self.mono.len());
        *skip -= skipped;
        let samples = self.mono.get(skipped..).unwrap_or_default();
        if !samples.is_empty() {
            emit(Piece::Samples { rate: RATE, channels: 1, samples });
        }
        Ok(())
    }

    #[cfg(feature = "opus")]
    fn decode(&mut self, packet: &[u8]) {
        if packet.len() > PACKET_MAX {
            return;
        }
        let codec = self.codec.get_or_insert_with(|| CodecId::Opus.spec().codec(Way::Decode));
        let mut samples = [0; PACKET_SAMPLES];
        let count = codec.decode(packet, &mut samples);
        let samples = samples.iter().take(count);
        self.mono.extend(samples.map(|&sample| f32::from(sample) / 32_768.0));
    }

    #[cfg(not(feature = "opus"))]
    fn decode(&mut self, _: &[u8]) {
        self.mono.clear();
    }
}

/// A stream of Opus in Ogg.
#[derive(Default)]
pub(super) struct Ogg {
    pages: Pages,
    stage: Stage,
    /// The stream that is read; others are passed over.
    serial: Option<u32>,
    /// The beginning of a packet that goes on in the next page.
    part: Vec<u8>,
    packets: Packets,
    skip: usize,
    started: bool,
}

/// What the next packet of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Head,
    Tags,
    Audio,
}

impl Ogg {
    /// Takes octets.
    pub(super) fn push(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), DecodeError> {
        self.pages.held.extend_from_slice(bytes);
        loop {
            match self.pages.next() {
                Step::More => return Ok(()),
                Step::Lost => return Err(corrupt("no page of Ogg in 128 KiB")),
                Step::Page(page) => {
                    self.tell_junk(emit);
                    self.take(&page, emit)?;
                }
            }
        }
    }

    /// Ends the stream; `false` when it ended within a page.
    pub(super) fn finish(&mut self, emit: &mut Emit<'_>) -> Result<bool, DecodeError> {
        self.tell_junk(emit);
        if !self.started && self.pages.held.is_empty() {
            return Err(DecodeError::Empty);
        }
        Ok(self.pages.held.is_empty() && self.part.is_empty())
    }

    fn tell_junk(&mut self, emit: &mut Emit<'_>) {
        let junk = std::mem::take(&mut self.pages.junk);
        if junk > 0 {
            emit(Piece::Skipped(junk));
        }
    }

    fn take(&mut self, page: &Page, emit: &mut Emit<'_>) -> Result<(), DecodeError> {
        if page.begins {
            // Another stream, or the first.
            (self.stage, self.serial) = (Stage::Head, Some(page.serial));
            self.packets = Packets::default();
            self.part.clear();
        }
        if self.serial != Some(page.serial) {
            return Ok(());
        }
        if !page.continues {
            self.part.clear();
        }
        let mut rest = page.body.as_slice();
        let mut whole = page.continues && self.part.is_empty();
        for &length in &page.table {
            let (now, later) = rest.split_at(usize::from(length).min(rest.len()));
            rest = later;
            self.part.extend_from_slice(now);
            if length < 255 {
                let packet = std::mem::take(&mut self.part);
                // Its beginning was lost with an earlier page.
                if !std::mem::take(&mut whole) {
                    self.packet(&packet, emit)?;
                }
            } else if self.part.len() > PACKET_MAX {
                self.part.clear();
                return Err(corrupt("a packet of Ogg is too long"));
            }
        }
        Ok(())
    }

    fn packet(&mut self, packet: &[u8], emit: &mut Emit<'_>) -> Result<(), DecodeError> {
        match self.stage {
            Stage::Head => {
                self.skip = head(packet)?;
                (self.stage, self.started) = (Stage::Tags, true);
                Ok(())
            }
            Stage::Tags => {
                self.stage = Stage::Audio;
                Ok(())
            }
            Stage::Audio => self.packets.push(packet, &mut self.skip, emit),
        }
    }
}

/// The samples at the beginning that are not to be heard (RFC 7845 §5.1).
fn head(packet: &[u8]) -> Result<usize, DecodeError> {
    let what = "Ogg without Opus".to_owned();
    let [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', version, channels, low, high, ..] = packet
    else {
        return Err(DecodeError::Unsupported { what });
    };
    if version >> 4 != 0 || !(1..=2).contains(channels) {
        let what = format!("Ogg Opus of version {version} with {channels} channels");
        return Err(DecodeError::Unsupported { what });
    }
    // Counted at 48 kHz.
    Ok(usize::from(u16::from_le_bytes([*low, *high])) / 3)
}

struct Page {
    continues: bool,
    begins: bool,
    serial: u32,
    table: Vec<u8>,
    body: Vec<u8>,
}

enum Step {
    /// More octets are needed.
    More,
    /// There are too many that belong to no page.
    Lost,
    Page(Page),
}

/// Octets on their way to pages.
#[derive(Default)]
struct Pages {
    held: Vec<u8>,
    /// Octets of junk in a row.
    junk: u64,
    /// What looked like a page and was none: looking at one costs its length.
    wrong: u32,
}

impl Pages {
    fn next(&mut self) -> Step {
        loop {
            let found = self.held.windows(4).position(|window| window == b"OggS");
            self.pass_over(found.unwrap_or(self.held.len().saturating_sub(3)));
            if self.junk > JUNK_MAX || self.wrong > WRONG_MAX {
                return Step::Lost;
            }
            if found.is_none() {
                return Step::More;
            }
            let Some(end) = self.page_end() else { return Step::More };
            if let Some(page) = self.held.get(..end).and_then(parse) {
                self.held.drain(..end);
                return Step::Page(page);
            }
            // It only looks like a page: the search goes on behind its first octet.
            self.wrong += 1;
            self.pass_over(1);
        }
    }

    /// Where the page at the beginning ends, once that much is there.
    fn page_end(&self) -> Option<usize> {
        let segments = usize::from(*self.held.get(HEAD - 1)?);
        let table = self.held.get(HEAD..HEAD + segments)?;
        let end = HEAD + segments + table.iter().map(|&length| usize::from(length)).sum::<usize>();
        (self.held.len() >= end.min(PAGE_MAX)).then_some(end)
    }

    fn pass_over(&mut self, octets: usize) {
        self.held.drain(..octets);
        self.junk += octets as u64;
    }
}

fn parse(bytes: &[u8]) -> Option<Page> {
    let [_, _, _, _, 0, flags, _, _, _, _, _, _, _, _, s0, s1, s2, s3, ..] = *bytes else {
        return None;
    };
    let stated = u32::from_le_bytes(bytes.get(22..26)?.try_into().ok()?);
    if checksum(bytes) != stated {
        return None;
    }
    let segments = usize::from(*bytes.get(HEAD - 1)?);
    Some(Page {
        continues: flags & 1 != 0,
        begins: flags & 2 != 0,
        serial: u32::from_le_bytes([s0, s1, s2, s3]),
        table: bytes.get(HEAD..HEAD + segments)?.to_vec(),
        body: bytes.get(HEAD + segments..)?.to_vec(),
    })
}

/// CRC-32 of a page whose own checksum counts as zero (RFC 3533 §6).
fn checksum(page: &[u8]) -> u32 {
    let octets = page.iter().enumerate();
    octets.fold(0, |crc, (place, &octet)| {
        let octet = if (22..26).contains(&place) { 0 } else { octet };
        let [first, ..] = crc.to_be_bytes();
        (crc << 8) ^ CRC.get(usize::from(first ^ octet)).copied().unwrap_or(0)
    })
}

static CRC: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut octet: u32 = 0;
    while octet < 256 {
        let mut crc = octet << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc >> 31;
            crc = (crc << 1) ^ (0x04c1_1db7 * carry);
            bit += 1;
        }
        table[octet as usize] = crc;
        octet += 1;
    }
    table
}

fn corrupt(what: &'static str) -> DecodeError {
    DecodeError::Corrupt { what }
}

#[cfg(test)]
#[cfg(feature = "opus")]
pub(super) mod tests {
    use super::super::live::{Heard, LiveEvent, LiveFormat};
    use super::*;

    /// A page of a stream with serial 7 that holds whole packets.
    fn page(flags: u8, packets: &[&[u8]]) -> Vec<u8> {
        let mut table = Vec::new();
        for packet in packets {
            table.extend(std::iter::repeat_n(255, packet.len() / 255));
            table.push(u8::try_from(packet.len() % 255).unwrap());
        }
        let mut page = b"OggS\0".to_vec();
        page.push(flags);
        page.extend([0; 8]);
        page.extend(7_u32.to_le_bytes());
        page.extend([0; 8]);
        page.push(u8::try_from(table.len()).unwrap());
        page.extend(table);
        page.extend(packets.concat());
        let crc = checksum(&page);
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// A tone of 440 Hz in packets of 20 ms.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "samples that are made"
    )]
    fn packets(count: usize) -> Vec<Vec<u8>> {
        let mut codec = CodecId::Opus.spec().codec(Way::Encode);
        let tone = |n: usize| {
            ((n as f32 * 440.0 * std::f32::consts::TAU / 16_000.0).sin() * 8000.0) as i16
        };
        let packet = |index: usize| {
            let samples: Vec<i16> = (0..320).map(|n| tone(index * 320 + n)).collect();
            let mut payload = [0; 480];
            let length = codec.encode(&samples, &mut payload);
            payload[..length].to_vec()
        };
        (0..count).map(packet).collect()
    }

    fn head_packet() -> Vec<u8> {
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend(312_u16.to_le_bytes());
        head.extend(16_000_u32.to_le_bytes());
        head.extend([0, 0, 0]);
        head
    }

    /// A stream of 50 packets in pages of ten.
    pub(in super::super) fn stream() -> Vec<u8> {
        let packets = packets(50);
        let mut ogg = page(2, &[&head_packet()]);
        ogg.extend(page(0, &[b"OpusTags\0\0\0\0\0\0\0\0"]));
        for ten in packets.chunks(10) {
            ogg.extend(page(0, &ten.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        }
        ogg
    }

    fn samples(heard: &Heard) -> Vec<i16> {
        heard.stretches.iter().flat_map(|(_, samples)| samples.clone()).collect()
    }

    #[test]
    fn ogg_opus_is_heard_in_any_chunks_and_known_by_its_first_octets() {
        let ogg = stream();
        let whole = Heard::stream(LiveFormat::Ogg, &ogg, &[usize::MAX]);
        assert_eq!(samples(&whole).len(), 50 * 320 - 104, "the pre-skip is left out");
        assert!(samples(&whole)[4000..].iter().any(|sample| *sample > 6000));
        for sizes in [&[1][..], &[27, 3, 255], &[1000]] {
            assert_eq!(Heard::stream(LiveFormat::Ogg, &ogg, sizes), whole);
        }
        let sniffed = Heard::stream(LiveFormat::Auto, &ogg, &[50]);
        assert_eq!(samples(&sniffed), samples(&whole));
        assert_eq!(sniffed.events, [(0, LiveEvent::Detected(LiveFormat::Ogg))]);
    }

    #[test]
    fn a_damaged_page_costs_itself_and_another_stream_may_follow() {
        let mut ogg = stream();
        let length = ogg.len();
        ogg[length - 100] ^= 1;
        ogg.extend(stream());
        let heard = Heard::stream(LiveFormat::Ogg, &ogg, &[100]);
        assert_eq!(samples(&heard).len(), (40 + 50) * 320 - 2 * 104);
        assert!(heard.events.iter().any(|(_, event)| matches!(event, LiveEvent::Skipped { .. })));
    }

    #[test]
    fn packets_without_pages_are_one_to_a_message() {
        let mut decoder = super::super::LiveDecoder::new(
            LiveFormat::Opus,
            crate::audio::rate::SampleRate::HZ_48000,
        );
        let mut heard = 0;
        for packet in packets(10) {
            decoder.push(&packet, &mut |output| {
                if let super::super::LiveOutput::Samples { rate, samples } = output {
                    assert_eq!(rate.hz(), 16_000);
                    heard += samples.len();
                }
            });
        }
        assert_eq!(heard, 3200);
    }

    #[test]
    fn what_is_not_opus_is_named() {
        let mut vorbis = b"\x01vorbis".to_vec();
        vorbis.extend([0; 23]);
        let heard = Heard::stream(LiveFormat::Ogg, &page(2, &[&vorbis]), &[usize::MAX]);
        let what = "Ogg without Opus".to_owned();
        let unsupported = LiveEvent::Failed(DecodeError::Unsupported { what });
        assert_eq!(heard.events, [(0, unsupported)]);
        let heard = Heard::stream(LiveFormat::Ogg, &vec![9; 200_000], &[5000]);
        assert!(matches!(heard.events.last(), Some((_, LiveEvent::Failed(_)))));
    }
}
