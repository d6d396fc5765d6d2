//! MPEG audio layer III as a byte stream: finds the frames, whatever the chunks they come in.
//!
//! ```text
//!  bytes ──fill──> [ ID3v2 | Info frame | frame | frame | junk | frame | TAG ] ──step──> Step
//! ```
//!
//! A header counts once the header after its frame agrees with it; from then on frames follow
//! each other without that proof. Tags (ID3v1, ID3v2, APE) are skipped, the Xing/Info frame is
//! told apart. Does not decode. ISO/IEC 11172-3 §2.4 and 13818-3 §2.4; free format is refused.

/// Longest layer III frame: 320 kbit/s at 32 kHz, with its padding byte.
pub(super) const FRAME_MAX: usize = 1_441;
/// Bytes held at most: a frame and the header after it, with room to read ahead.
const BUFFER: usize = 4_096;
/// Octets of the header of a frame.
const HEADER: usize = 4;
/// What a decoder of layer III itself delays, beyond the encoder's delay. Units: samples.
const DECODER_DELAY: u32 = 529;
/// What the most common encoder delays. Units: samples.
const ENCODER_DELAY: u32 = 576;

/// The header of a frame of layer III.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Sample rate in Hz.
    pub(super) rate: u32,
    /// One or two.
    pub(super) channels: usize,
    /// Octets of the whole frame.
    pub(super) len: usize,
    /// Samples of each speaker in the frame.
    pub(super) samples: usize,
    /// Octets of header, checksum and side information, after which the main data begins.
    pub(super) overhead: usize,
    mpeg1: bool,
    crc: bool,
}

impl Header {
    /// Reads a header, or says why this is none.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NoHeader> {
        let &[0xFF, b, c, d, ..] = bytes else { return Err(NoHeader::Junk) };
        if b & 0xE0 != 0xE0 {
            return Err(NoHeader::Junk);
        }
        let version = match b >> 3 & 3 {
            0 => Version::Mpeg25,
            2 => Version::Mpeg2,
            3 => Version::Mpeg1,
            _ => return Err(NoHeader::Junk),
        };
        let (bitrate, rate) = (usize::from(c >> 4), usize::from(c >> 2 & 3));
        if bitrate == 15 || rate == 3 {
            return Err(NoHeader::Junk);
        }
        match b >> 1 & 3 {
            0 => return Err(NoHeader::Junk),
            1 => {}
            layer => return Err(NoHeader::Layer(4 - layer)),
        }
        if bitrate == 0 {
            return Err(NoHeader::FreeFormat);
        }
        let mpeg1 = version == Version::Mpeg1;
        let rate = [44_100, 48_000, 32_000][rate] >> version as u32;
        let kbit = if mpeg1 { KBIT_MPEG1[bitrate] } else { KBIT_MPEG2[bitrate] };
        let slots = if mpeg1 { 144_000 } else { 72_000 };
        let channels = if d >> 6 == 3 { 1 } else { 2 };
        let crc = b & 1 == 0;
        let side = match (mpeg1, channels) {
            (true, 2) => 32,
            (true, _) | (false, 2) => 17,
            (false, _) => 9,
        };
        Ok(Self {
            rate,
            channels,
            len: (slots * kbit / rate) as usize + usize::from(c >> 1 & 1),
            samples: if mpeg1 { 1_152 } else { 576 },
            overhead: HEADER + if crc { 2 } else { 0 } + side,
            mpeg1,
            crc,
        })
    }

    /// Whether this frame can stand beside another of the same stream.
    fn agrees(&self, other: &Self) -> bool {
        (self.rate, self.mpeg1) == (other.rate, other.mpeg1)
    }

    /// How many octets of earlier frames this frame needs, from its side information.
    pub(super) fn reservoir(&self, frame: &[u8]) -> usize {
        let at = if self.crc { HEADER + 2 } else { HEADER };
        match frame.get(at..at + 2) {
            Some(&[a, b]) if self.mpeg1 => usize::from(a) << 1 | usize::from(b >> 7),
            Some(&[a, _]) => usize::from(a),
            _ => 0,
        }
    }
}

/// Halvings of the sample rate against MPEG-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Mpeg1 = 0,
    Mpeg2 = 1,
    Mpeg25 = 2,
}

/// Bit rates of layer III by index, in kbit/s.
const KBIT_MPEG1: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
/// The same for MPEG-2 and 2.5.
const KBIT_MPEG2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// Why four octets are no header that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoHeader {
    /// No header at all.
    Junk,
    /// A header of layer I or II.
    Layer(u8),
    /// A header without a bit rate, whose frame length only a search could tell.
    FreeFormat,
}

/// What the Xing, Info or VBRI frame at the start of a recording says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tag {
    /// Samples to drop at the start: the delay of encoder and decoder.
    pub(super) skip: u64,
    /// Sample, counted before `skip`, from which on the encoder only filled up; if known.
    pub(super) end: Option<u64>,
    /// How many samples it filled up with.
    pub(super) padding: u64,
    /// Samples after `skip` that are dropped as long as they are silent: what the encoder
    /// probably delayed, if nobody says.
    pub(super) quiet: u64,
}

impl Tag {
    /// Reads the frame; `None` if it is audio.
    pub(super) fn parse(header: &Header, frame: &[u8]) -> Option<Self> {
        // The tag lies behind the side information as if there were no checksum.
        let side = header.overhead - if header.crc { 2 } else { 0 };
        if frame.get(36..40) == Some(b"VBRI") {
            return Some(Self::untold());
        }
        if !matches!(frame.get(side..side + 4)?, b"Xing" | b"Info") {
            return None;
        }
        let flags = be32(frame, side + 4)?;
        let frames = if flags & 1 == 0 { None } else { be32(frame, side + 8) };
        // Fields in the order of their flags: frames, octets, table of contents, quality.
        let fields = [(1, 4), (2, 4), (4, 100), (8, 4)];
        let present = fields.iter().filter(|(flag, _)| flags & flag != 0);
        let lame = side + 8 + present.map(|(_, len)| len).sum::<usize>();
        let gapless = matches!(frame.get(lame..lame + 4), Some(b"LAME" | b"Lavf" | b"Lavc"));
        let (Some(&[a, b, c]), true) = (frame.get(lame + 21..lame + 24), gapless) else {
            return Some(Self::untold());
        };
        let skip = (u32::from(a) << 4 | u32::from(b) >> 4) + DECODER_DELAY;
        let padding = (u32::from(b & 15) << 8 | u32::from(c)).saturating_sub(DECODER_DELAY);
        let end = frames.map(|n| u64::from(n) * header.samples as u64);
        let end = end.and_then(|all| all.checked_sub(u64::from(padding)));
        Some(Self { skip: u64::from(skip), end, padding: u64::from(padding), quiet: 0 })
    }
}

impl Tag {
    /// What holds for a recording from its start on that says nothing.
    pub(super) fn untold() -> Self {
        let (skip, quiet) = (u64::from(DECODER_DELAY), u64::from(ENCODER_DELAY));
        Self { skip, quiet, ..Self::default() }
    }

    /// Which samples of a frame are to be heard that begins at `position`.
    ///
    /// Only the padding itself is cut, not what comes after it: where a tag lies about the number
    /// of frames, the sound goes on.
    pub(super) fn wanted(&self, position: u64, samples: usize) -> std::ops::Range<usize> {
        let within = |at: u64| usize::try_from(at.saturating_sub(position)).unwrap_or(usize::MAX);
        let start = within(self.skip).min(samples);
        let last = position + samples as u64;
        match self.end {
            Some(end) if last > end && last <= end + self.padding => {
                start..within(end).clamp(start, samples)
            }
            _ => start..samples,
        }
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// What [`Framer::step`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Nothing more in what was filled in.
    More,
    /// A frame, whole, and how many octets of junk lay before it.
    Frame {
        /// Its header.
        header: Header,
        /// Its octets, header included.
        frame: &'a [u8],
        /// Octets that belonged to nothing, since the frame before.
        junk: u64,
    },
}

/// Cuts a stream of octets into frames.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// Octets that are not understood yet; never more than [`BUFFER`].
    held: Vec<u8>,
    /// How many at the front of `held` are done with.
    done: usize,
    /// Octets of a tag still to be passed over.
    skip: u64,
    /// The header of the last frame.
    last: Option<Header>,
    /// Whether a frame, a tag or the start of the stream lies right before.
    boundary: Boundary,
    junk: u64,
    refused: Option<NoHeader>,
}

/// What lies right before the octets that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Boundary {
    /// The start of the stream, or a tag.
    #[default]
    Start,
    /// A frame.
    Frame,
    /// Junk.
    None,
}

impl Framer {
    /// Octets passed over since the last frame because they belong to nothing.
    pub(super) fn junk(&self) -> u64 {
        self.junk
    }

    /// A header seen in place of a frame that is real but not taken.
    pub(super) fn refused(&self) -> Option<NoHeader> {
        self.refused
    }

    /// Octets of a tag that is longer than what came so far.
    pub(super) fn inside_tag(&self) -> bool {
        self.skip > 0
    }

    /// Takes as much as there is room for; returns how much. Call [`Framer::step`] until it says
    /// [`Step::More`] before the next.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        self.held.drain(..self.done);
        self.done = 0;
        let over = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        let over = if self.held.is_empty() { over } else { 0 };
        self.skip -= over as u64;
        let room = (BUFFER - self.held.len()).min(bytes.len() - over);
        self.held.extend_from_slice(&bytes[over..over + room]);
        over + room
    }

    /// The next frame. `last`: nothing will follow what was filled in.
    pub(super) fn step(&mut self, last: bool) -> Step<'_> {
        loop {
            self.pass_over();
            let window = &self.held[self.done..];
            match look(window, last, self.last.as_ref(), self.boundary) {
                Look::More => return Step::More,
                Look::Tag(len) => {
                    self.skip = len;
                    self.boundary = Boundary::Start;
                }
                Look::Junk { len, refused } => {
                    self.refused = self.refused.or(refused);
                    self.junk += len as u64;
                    self.done += len;
                    self.boundary = Boundary::None;
                }
                Look::Frame(header) => {
                    let junk = std::mem::take(&mut self.junk);
                    self.last = Some(header);
                    self.boundary = Boundary::Frame;
                    let start = self.done;
                    self.done += header.len;
                    return Step::Frame { header, frame: &self.held[start..self.done], junk };
                }
            }
        }
    }

    fn pass_over(&mut self) {
        let held = (self.held.len() - self.done) as u64;
        let over = held.min(self.skip);
        self.skip -= over;
        // `over` is at most the length of the buffer.
        self.done += usize::try_from(over).unwrap_or(0);
    }
}

enum Look {
    More,
    Tag(u64),
    Junk { len: usize, refused: Option<NoHeader> },
    Frame(Header),
}

/// Judges the start of `window`. The verdict does not depend on how much more of the stream is
/// in the window already: too little is [`Look::More`] until `last`.
fn look(window: &[u8], last: bool, before: Option<&Header>, boundary: Boundary) -> Look {
    if window.len() < HEADER {
        let rest = Look::Junk { len: window.len(), refused: None };
        return if last && !window.is_empty() { rest } else { Look::More };
    }
    if boundary != Boundary::None {
        match tag_len(window) {
            TagLen::Known(len) => return Look::Tag(len),
            TagLen::Unknown if !last => return Look::More,
            TagLen::Unknown | TagLen::NoTag => {}
        }
    }
    let header = match Header::parse(window) {
        Ok(header) => header,
        Err(why) => {
            let len = next_candidate(window);
            let real = boundary == Boundary::Start && why != NoHeader::Junk;
            return Look::Junk { len, refused: real.then_some(why) };
        }
    };
    let known = boundary == Boundary::Frame && before.is_some_and(|b| b.agrees(&header));
    let after = window.get(header.len..header.len + HEADER);
    let proof = match after {
        _ if known => (window.len() >= header.len).then_some(true),
        Some(next) => Some(follows(&header, next)),
        // At the end of the stream nothing can follow, but the frame must be whole.
        None if last => Some(window.len() == header.len),
        None => None,
    };
    match proof {
        Some(true) => Look::Frame(header),
        None if !last => Look::More,
        Some(false) | None => Look::Junk { len: next_candidate(window), refused: None },
    }
}

/// Octets up to the next that could begin a frame; at least one.
fn next_candidate(window: &[u8]) -> usize {
    let mut rest = window.iter().enumerate().skip(1);
    rest.find(|&(_, &octet)| octet == 0xFF).map_or(window.len(), |(at, _)| at)
}

/// Whether what lies behind a frame proves that it was one.
fn follows(header: &Header, next: &[u8]) -> bool {
    Header::parse(next).is_ok_and(|next| next.agrees(header))
        || matches!(next, [b'I', b'D', b'3', _] | [b'T', b'A', b'G', _] | b"APET")
}

enum TagLen {
    NoTag,
    Unknown,
    Known(u64),
}

/// Length of the tag that starts here. Needs four octets to know that it is one.
fn tag_len(window: &[u8]) -> TagLen {
    let known = |len: Option<u64>| len.map_or(TagLen::Unknown, TagLen::Known);
    match window {
        [b'I', b'D', b'3', ..] => known(window.get(..10).map(|head| {
            let size = head[6..10].iter().fold(0, |size, &b| size << 7 | u64::from(b & 0x7F));
            let footer = if head[5] & 0x10 == 0 { 0 } else { 10 };
            10 + size + footer
        })),
        [b'T', b'A', b'G', ..] => TagLen::Known(128),
        [b'A', b'P', b'E', b'T', ..] => known(window.get(..32).map(|head| {
            let size = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
            // The size counts the items and the footer; in a footer it lies behind them.
            let is_header = head[23] & 0x20 != 0;
            if is_header { 32 + u64::from(size) } else { 32 }
        })),
        _ => TagLen::NoTag,
    }
}

/// Whether a stream that starts like this is MPEG audio layer III; `None` if too short to tell.
///
/// Takes a tag for the proof, or a frame and the header after it.
pub(super) fn sniff(window: &[u8], last: bool) -> Option<bool> {
    if window.starts_with(b"ID3") || window.starts_with(b"APETAGEX") {
        return Some(true);
    }
    match look(window, last, None, Boundary::Start) {
        Look::Frame(_) => Some(true),
        Look::More if !last => None,
        Look::More | Look::Tag(_) | Look::Junk { .. } => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_rate_length_and_side_information() {
        for (bytes, rate, len, samples, overhead, channels) in [
            (*b"\xFF\xFB\x90\x44", 44_100, 417, 1_152, 36, 2),
            (*b"\xFF\xFB\x92\xC4", 44_100, 418, 1_152, 21, 1),
            (*b"\xFF\xFA\x94\x04", 48_000, 384, 1_152, 38, 2),
            (*b"\xFF\xFB\xEA\x44", 32_000, FRAME_MAX, 1_152, 36, 2),
            (*b"\xFF\xF3\x84\xC4", 24_000, 192, 576, 13, 1),
            (*b"\xFF\xF3\x48\x44", 16_000, 144, 576, 21, 2),
            (*b"\xFF\xE3\x10\xC4", 11_025, 52, 576, 13, 1),
            (*b"\xFF\xE3\x28\xC4", 8_000, 144, 576, 13, 1),
        ] {
            let header = Header::parse(&bytes).expect("a header");
            let told = (header.rate, header.len, header.samples, header.overhead, header.channels);
            assert_eq!(told, (rate, len, samples, overhead, channels), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_is_no_header_says_why() {
        for (bytes, why) in [
            (*b"\xFF\xFB\x00\x44", NoHeader::FreeFormat),
            (*b"\xFF\xFD\x90\x44", NoHeader::Layer(2)),
            (*b"\xFF\xFF\x90\x44", NoHeader::Layer(1)),
            (*b"\xFF\xF9\x90\x44", NoHeader::Junk),
            (*b"\xFF\xEB\x90\x44", NoHeader::Junk),
            (*b"\xFF\xFB\xF0\x44", NoHeader::Junk),
            (*b"\xFF\xFB\x9C\x44", NoHeader::Junk),
            (*b"\xFF\x7B\x90\x44", NoHeader::Junk),
            (*b"\x00\xFB\x90\x44", NoHeader::Junk),
        ] {
            assert_eq!(Header::parse(&bytes), Err(why), "{bytes:02x?}");
        }
        assert_eq!(Header::parse(&[0xFF, 0xFB]), Err(NoHeader::Junk));
    }

    #[test]
    fn tags_are_as_long_as_they_say() {
        let len = |bytes: &[u8]| match tag_len(bytes) {
            TagLen::Known(len) => Some(len),
            TagLen::Unknown | TagLen::NoTag => None,
        };
        assert_eq!(len(b"ID3\x04\x00\x10\x00\x00\x02\x01"), Some(10 + 257 + 10));
        assert_eq!(len(b"ID3\x03\x00\x00\x7F\x7F\x7F\x7F"), Some(10 + (1 << 28) - 1));
        assert_eq!(len(b"ID3\x03\x00"), None);
        assert_eq!(len(b"TAG title"), Some(128));
        let mut ape = *b"APETAGEX\xD0\x07\0\0\x64\0\0\0\x01\0\0\0\0\0\0\xA0\0\0\0\0\0\0\0\0";
        assert_eq!(len(&ape), Some(132));
        ape[23] = 0x80;
        assert_eq!(len(&ape), Some(32));
        assert_eq!(len(b"RIFF1234"), None);
    }

    #[test]
    fn padding_is_cut_where_the_tag_says_and_nowhere_else() {
        let tag = Tag { skip: 1_105, end: Some(5_000), padding: 760, quiet: 0 };
        assert_eq!(tag.wanted(0, 576), 576..576);
        assert_eq!(tag.wanted(576, 576), 529..576);
        assert_eq!(tag.wanted(4_608, 576), 0..392);
        assert_eq!(tag.wanted(5_184, 576), 0..0);
        assert_eq!(tag.wanted(5_760, 576), 0..576, "the tag lied: the sound goes on");
    }
}
