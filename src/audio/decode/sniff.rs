//! What bytes are, by what they hold; never by a name that somebody gave them.

use super::mpeg::{self, Framer, Step};

/// What a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// RIFF/WAVE.
    Wave,
    /// MPEG audio, perhaps of a layer that is not taken.
    Mpeg,
    /// Audio of a format that is not taken.
    Audio(&'static str),
    /// Something else that has a name.
    Other(&'static str),
}

/// First octets, and where they stand.
const MAGIC: &[(usize, &[u8], Kind)] = &[
    (0, b"RIFF", Kind::Wave),
    (0, b"RIFX", Kind::Audio("big-endian WAV (RIFX)")),
    (0, b"RF64", Kind::Audio("64-bit WAV (RF64)")),
    (0, b"OggS", Kind::Audio("Ogg")),
    (0, b"fLaC", Kind::Audio("FLAC")),
    (0, b".snd", Kind::Audio("Sun audio (AU)")),
    (0, b"#!AMR", Kind::Audio("AMR")),
    (0, b"wvpk", Kind::Audio("WavPack")),
    (0, b"MThd", Kind::Audio("MIDI")),
    (0, b"FORM", Kind::Audio("AIFF")),
    (0, b"\x1A\x45\xDF\xA3", Kind::Audio("WebM or Matroska")),
    (0, b"\x30\x26\xB2\x75", Kind::Audio("Windows Media")),
    (0, b"caff", Kind::Audio("Core Audio (CAF)")),
    (4, b"ftyp", Kind::Audio("MP4 or M4A")),
    (0, b"\x89PNG", Kind::Other("a PNG image")),
    (0, b"\xFF\xD8\xFF", Kind::Other("a JPEG image")),
    (0, b"GIF8", Kind::Other("a GIF image")),
    (0, b"%PDF", Kind::Other("a PDF document")),
    (0, b"PK\x03\x04", Kind::Other("a ZIP archive")),
    (0, b"\x1F\x8B", Kind::Other("a gzip archive")),
    (0, b"\x7FELF", Kind::Other("a program")),
];

/// How far into a file the first MPEG frame is looked for.
const SEARCH: usize = 1 << 16;
/// MPEG frames in a row that make a file without a magic number an MP3.
const PROOF: usize = 3;

/// What the first octets say; `None` if they have no magic number.
pub(super) fn magic(bytes: &[u8]) -> Option<Kind> {
    let found = MAGIC
        .iter()
        .find(|(at, magic, _)| bytes.get(*at..).is_some_and(|bytes| bytes.starts_with(magic)));
    found.map(|&(_, _, kind)| kind)
}

/// What a whole file is. `Err` describes bytes that nothing is known about.
pub(super) fn file(bytes: &[u8]) -> Result<Kind, String> {
    if let Some(kind) = magic(bytes) {
        return Ok(kind);
    }
    if mpeg::sniff(bytes, true) == Some(true) || is_refused_mpeg(bytes) || has_frames(bytes) {
        return Ok(Kind::Mpeg);
    }
    if let [0xFF, 0xF0 | 0xF1 | 0xF8 | 0xF9, ..] = bytes {
        return Ok(Kind::Audio("AAC (ADTS)"));
    }
    Err(describe(bytes))
}

/// Whether the file begins with a header of a layer that is not taken, twice.
fn is_refused_mpeg(bytes: &[u8]) -> bool {
    // Free format and the layers I and II cannot be followed, but they can be named.
    let head = bytes.get(..4).map(mpeg::Header::parse);
    matches!(head, Some(Err(mpeg::NoHeader::FreeFormat | mpeg::NoHeader::Layer(_))))
}

/// Whether frames follow each other somewhere near the start, behind padding or junk.
fn has_frames(bytes: &[u8]) -> bool {
    let mut framer = Framer::default();
    let mut rest = &bytes[..bytes.len().min(SEARCH)];
    let mut in_a_row = 0;
    while !rest.is_empty() {
        let taken = framer.fill(rest);
        rest = &rest[taken..];
        while let Step::Frame { junk, .. } = framer.step(false) {
            in_a_row = if junk > 0 { 1 } else { in_a_row + 1 };
            if in_a_row >= PROOF {
                return true;
            }
        }
    }
    false
}

fn describe(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(64)];
    let is_text = head.iter().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0x80..));
    match std::str::from_utf8(head) {
        _ if bytes.iter().all(|&b| b == 0) => "nothing but zeros".into(),
        Ok(text) if is_text => {
            let start: String = text.chars().take(16).flat_map(char::escape_default).collect();
            format!("text that begins with \"{start}\"")
        }
        _ => {
            let start: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
            format!("bytes that begin with {}", start.join(" "))
        }
    }
}
