//! SRTP and SRTCP with keys that were agreed on by signalling (RFC 3711, 4568, 7714).
//!
//! ```text
//!  RTP  ──> Sealer ──> header ║ sealed payload ║ tag            Sealer ─ roc, index
//!  RTP  <── Opener <── tag verified first, then unsealed        Opener ─ per source: roc, window
//!  RTCP ──> header ║ sealed ║ [GCM tag] ║ E + index ║ [HMAC tag]
//! ```
//!
//! Owns keys, rollover counters and replay windows. Nothing about a packet is believed, and no
//! state changes, before its tag is verified. Works in the caller's memory: after construction
//! nothing is allocated. Keys never show in `Debug` and are wiped when dropped.
//!
//! Does not do DTLS, MKI, key derivation rates or SDP, and does not decide whether plain packets
//! are welcome: `media::secure` does.

mod crypt;
mod replay;
#[cfg(test)]
mod tests;

use crypt::Cipher;
use replay::Window;
use std::fmt;
use zeroize::Zeroize;

/// Octets that sealing adds to an RTP packet at most.
pub const RTP_ROOM: usize = 16;
/// Octets that sealing adds to an RTCP packet at most: index and tag.
pub const RTCP_ROOM: usize = 20;
/// Longest packet that is opened.
pub const OPEN_MAX: usize = 2_048;

/// Sources whose counters are kept at once; another one replaces the longest unheard.
const SOURCES: usize = 4;
/// Octets of a fixed RTP header.
const RTP_HEADER: usize = 12;
/// Octets of an RTCP packet that are never sealed.
const RTCP_HEADER: usize = 8;
/// The flag before the SRTCP index: the packet is encrypted.
const ENCRYPTED: u32 = 0x8000_0000;
/// The last SRTCP index of a key.
const RTCP_INDEX_MAX: u32 = 0x7fff_ffff;

/// A crypto-suite of RFC 4568 §6.2 and RFC 7714 §14.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`.
    AesCm80,
    /// `AES_CM_128_HMAC_SHA1_32`: short tags on RTP, long ones on RTCP.
    AesCm32,
    /// `AEAD_AES_128_GCM`.
    Gcm128,
    /// `AEAD_AES_256_GCM`.
    Gcm256,
}

impl Suite {
    /// All, in the order in which we offer them: the strongest first.
    pub const ALL: [Self; 4] = [Self::Gcm256, Self::Gcm128, Self::AesCm80, Self::AesCm32];

    /// Its name in a crypto attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Gcm128 => "AEAD_AES_128_GCM",
            Self::Gcm256 => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of a name; names are compared without case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Octets of the master key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCm80 | Self::AesCm32 | Self::Gcm128 => 16,
            Self::Gcm256 => 32,
        }
    }

    /// Octets of the master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AesCm80 | Self::AesCm32 => 14,
            Self::Gcm128 | Self::Gcm256 => 12,
        }
    }

    /// Octets of key and salt together, as `inline:` carries them.
    pub const fn master_len(self) -> usize {
        self.key_len() + self.salt_len()
    }

    /// Octets of the tag on an RTP and on an RTCP packet.
    const fn tags(self) -> (usize, usize) {
        match self {
            Self::AesCm80 => (10, 10),
            //= RFC 4568 §6.2.2: with the short RTP tag, SRTCP still has one of 80 bits
            Self::AesCm32 => (4, 10),
            Self::Gcm128 | Self::Gcm256 => (16, 16),
        }
    }
}

/// A master key with its salt, for one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    octets: [u8; 44],
}

impl MasterKey {
    /// Key and salt as they stand in `inline:`; `None` when their length is not the suite's.
    pub fn new(suite: Suite, octets: &[u8]) -> Option<Self> {
        let mut own = [0; 44];
        let room = own.get_mut(..suite.master_len())?;
        (octets.len() == room.len()).then(|| room.copy_from_slice(octets))?;
        Some(Self { suite, octets: own })
    }

    /// The suite it is for.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt, for signalling only.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.suite.master_len()).unwrap_or_default()
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.octets().split_at_checked(self.suite.key_len()).unwrap_or_default()
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, ..)", self.suite.name())
    }
}

/// Both directions of an agreement: what signalling hands to media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpParams {
    /// What we seal with.
    pub local: MasterKey,
    /// What the peer seals with; of the same suite.
    pub remote: MasterKey,
}

impl SrtpParams {
    /// The suite of both directions.
    pub const fn suite(&self) -> Suite {
        self.local.suite
    }
}

/// Why a packet was not opened. Always the sender's or an attacker's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Too short, too long, or with a header that does not fit.
    #[error("no SRTP packet")]
    Malformed,
    /// The tag does not verify: another key, or a forgery.
    #[error("the authentication tag is wrong")]
    BadTag,
    /// It was here before, or is older than the window.
    #[error("replayed, or too old to tell")]
    Replayed,
}

/// Both directions of one leg, ready to work.
///
/// Made on the application side: building it derives six keys; about 7 KiB.
pub struct SrtpPair {
    /// Toward the peer.
    pub sealer: Sealer,
    /// From the peer.
    pub opener: Opener,
    /// Room for a packet that was opened.
    pub opened: [u8; OPEN_MAX],
}

impl SrtpPair {
    /// Derives the session keys of an agreement.
    pub fn new(params: &SrtpParams) -> Box<Self> {
        let sealer = Sealer::new(&params.local);
        Box::new(Self { sealer, opener: Opener::new(&params.remote), opened: [0; OPEN_MAX] })
    }

    /// Keeps the counters of `running` where its keys are this pair's too: an agreement that
    /// repeats a key goes on with it.
    ///
    /// What `running` holds afterwards is of no use but to open late packets of an old key.
    /// Returns whether the key of the receiving side is another one.
    pub fn carry_on(&mut self, running: &mut Self) -> bool {
        if self.sealer.keys.same_key(&running.sealer.keys) {
            std::mem::swap(&mut self.sealer, &mut running.sealer);
        }
        let same = self.opener.keys.same_key(&running.opener.keys);
        if same {
            std::mem::swap(&mut self.opener, &mut running.opener);
        }
        !same
    }
}

impl fmt::Debug for SrtpPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SrtpPair({}, ..)", self.sealer.keys.suite.name())
    }
}

/// The derived keys of one direction.
struct Keys {
    suite: Suite,
    rtp: Cipher,
    rtcp: Cipher,
}

impl Keys {
    fn new(master: &MasterKey) -> Self {
        let (key, salt) = master.parts();
        let rtp = Cipher::derive(master.suite, key, salt, crypt::RTP_LABELS);
        let rtcp = Cipher::derive(master.suite, key, salt, crypt::RTCP_LABELS);
        Self { suite: master.suite, rtp, rtcp }
    }

    fn same_key(&self, other: &Self) -> bool {
        self.suite == other.suite && self.rtp.same_key(&other.rtp)
    }
}

/// Seals what we send. Expects one source whose sequence numbers grow by one.
pub struct Sealer {
    keys: Keys,
    /// Rollover counter and last sequence number.
    last: Option<(u32, u16)>,
    rtcp_index: u32,
}

impl Sealer {
    /// Seals from a fresh key on: rollover counter 0.
    pub fn new(master: &MasterKey) -> Self {
        Self { keys: Keys::new(master), last: None, rtcp_index: 0 }
    }

    /// Seals the RTP packet in the first `len` octets of `buffer` and says how long it is then.
    ///
    /// `None`, with the packet unusable: it is no RTP, there is no room for the tag, or the key
    /// has lived its 2^48 packets. Cost: about a microsecond for 160 octets, no allocation.
    //= RFC 3711 §9.2: a master key seals at most 2^48 SRTP packets
    pub fn rtp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let (header, seq, ssrc) = rtp_header(buffer.get(..len)?)?;
        let roc = match self.last {
            Some((roc, last)) if seq < last && last - seq > 0x8000 => roc.checked_add(1)?,
            Some((roc, _)) => roc,
            None => 0,
        };
        self.last = Some((roc, seq));
        let index = u64::from(roc) << 16 | u64::from(seq);
        let (tag, _) = self.keys.suite.tags();
        let sealed = buffer.get_mut(..len + tag)?;
        let (packet, tag) = sealed.split_at_mut_checked(len)?;
        let (head, body) = packet.split_at_mut_checked(header)?;
        self.keys.rtp.seal_rtp(ssrc, index, head, body, tag)?;
        Some(sealed.len())
    }

    /// Seals the RTCP compound in the first `len` octets of `buffer`, as [`Sealer::rtp`] does.
    //= RFC 3711 §9.2: and at most 2^31 SRTCP packets
    pub fn rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let ssrc = rtcp_ssrc(buffer.get(..len)?)?;
        let index = self.rtcp_index;
        if index > RTCP_INDEX_MAX {
            return None;
        }
        let (_, tag) = self.keys.suite.tags();
        let sealed = buffer.get_mut(..len + 4 + tag)?;
        self.keys.rtcp.seal_rtcp(ssrc, index, len, sealed)?;
        self.rtcp_index = index + 1;
        Some(sealed.len())
    }
}

/// Opens what the peer sends.
pub struct Opener {
    keys: Keys,
    sources: [Option<Source>; SOURCES],
    /// Counts opened packets, to know who was not heard longest.
    clock: u64,
}

/// What is known of one synchronisation source.
#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    rtp: Window,
    rtcp: Window,
    heard: u64,
}

impl Opener {
    /// Opens from a fresh key on.
    pub fn new(master: &MasterKey) -> Self {
        Self { keys: Keys::new(master), sources: [None; SOURCES], clock: 0 }
    }

    /// Opens an RTP packet into `out` and says how long it is there.
    ///
    /// Cost: about a microsecond for 160 octets, no allocation.
    ///
    /// # Errors
    /// [`SrtpError`]; nothing has changed then.
    pub fn rtp(&mut self, sealed: &[u8], out: &mut [u8]) -> Result<usize, SrtpError> {
        let (header, seq, ssrc) = rtp_header(sealed).ok_or(SrtpError::Malformed)?;
        let (tag, _) = self.keys.suite.tags();
        let len = sealed.len().checked_sub(tag).ok_or(SrtpError::Malformed)?;
        let source = self.source(ssrc);
        let index = source.rtp.guess(seq).ok_or(SrtpError::Replayed)?;
        if !source.rtp.is_fresh(index) {
            return Err(SrtpError::Replayed);
        }
        let (packet, tag) = sealed.split_at_checked(len).ok_or(SrtpError::Malformed)?;
        let out = out.get_mut(..len).ok_or(SrtpError::Malformed)?;
        out.copy_from_slice(packet);
        let (head, body) = out.split_at_mut_checked(header).ok_or(SrtpError::Malformed)?;
        self.keys.rtp.open_rtp(ssrc, index, head, body, tag).ok_or(SrtpError::BadTag)?;
        self.accept(Source { rtp: source.rtp.with(index), ..source });
        Ok(len)
    }

    /// Opens an RTCP compound into `out` and says how long it is there.
    ///
    /// # Errors
    /// [`SrtpError`]; nothing has changed then.
    pub fn rtcp(&mut self, sealed: &[u8], out: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(sealed).ok_or(SrtpError::Malformed)?;
        let (_, tag) = self.keys.suite.tags();
        let room = sealed.len().checked_sub(4 + tag).ok_or(SrtpError::Malformed)?;
        if room < RTCP_HEADER {
            return Err(SrtpError::Malformed);
        }
        let word = self.keys.rtcp.rtcp_word(sealed, tag).ok_or(SrtpError::Malformed)?;
        let source = self.source(ssrc);
        let index = u64::from(word & !ENCRYPTED);
        if !source.rtcp.is_fresh(index) {
            return Err(SrtpError::Replayed);
        }
        let out = out.get_mut(..room).ok_or(SrtpError::Malformed)?;
        self.keys.rtcp.open_rtcp(ssrc, word, sealed, out).ok_or(SrtpError::BadTag)?;
        self.accept(Source { rtcp: source.rtcp.with(index), ..source });
        Ok(room)
    }

    /// What is known of a source, or what a source begins with.
    fn source(&self, ssrc: u32) -> Source {
        let known = self.sources.iter().flatten().find(|source| source.ssrc == ssrc);
        let fresh = Source { ssrc, rtp: Window::default(), rtcp: Window::default(), heard: 0 };
        known.copied().unwrap_or(fresh)
    }

    /// Remembers a source after a packet of it verified.
    fn accept(&mut self, source: Source) {
        self.clock += 1;
        let known = |slot: &Option<Source>| slot.is_some_and(|own| own.ssrc == source.ssrc);
        let at = self.sources.iter().position(known).or_else(|| {
            let age = |slot: &Option<Source>| slot.map_or(0, |own| own.heard);
            (0..SOURCES).min_by_key(|at| self.sources.get(*at).map_or(0, age))
        });
        if let Some(slot) = at.and_then(|at| self.sources.get_mut(at)) {
            *slot = Some(Source { heard: self.clock, ..source });
        }
    }
}

/// Length of the header with sources and extension, sequence number and SSRC.
fn rtp_header(packet: &[u8]) -> Option<(usize, u16, u32)> {
    let [flags, _, high, low, _, _, _, _, a, b, c, d] = *packet.first_chunk::<RTP_HEADER>()?;
    if flags >> 6 != 2 {
        return None;
    }
    let mut len = RTP_HEADER + 4 * usize::from(flags & 0x0f);
    if flags & 0x10 != 0 {
        let [_, _, high, low] = *packet.get(len..)?.first_chunk::<4>()?;
        len += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    }
    let ssrc = u32::from_be_bytes([a, b, c, d]);
    (len <= packet.len()).then_some((len, u16::from_be_bytes([high, low]), ssrc))
}

fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let [flags, _, _, _, a, b, c, d] = *packet.first_chunk::<RTCP_HEADER>()?;
    (flags >> 6 == 2).then(|| u32::from_be_bytes([a, b, c, d]))
}

/// Fuzz entry: a foreign packet is opened by no key, and changes nothing; what we seal opens.
///
/// # Panics
/// When that promise is broken.
#[allow(clippy::indexing_slicing, reason = "lengths of our own")]
pub fn fuzz_srtp(bytes: &[u8]) {
    for suite in Suite::ALL {
        let Some(key) = MasterKey::new(suite, &[7; 44][..suite.master_len()]) else { continue };
        let (mut sealer, mut opener) = (Sealer::new(&key), Opener::new(&key));
        let (mut buffer, mut out) = ([0; OPEN_MAX + RTCP_ROOM], [0; OPEN_MAX + RTCP_ROOM]);
        assert!(opener.rtp(bytes, &mut out).is_err(), "a packet without the key was opened");
        assert!(opener.rtcp(bytes, &mut out).is_err(), "a report without the key was opened");
        let len = bytes.len().min(OPEN_MAX);
        buffer[..len].copy_from_slice(&bytes[..len]);
        if let Some(sealed) = sealer.rtp(&mut buffer, len) {
            assert_eq!(opener.rtp(&buffer[..sealed], &mut out), Ok(len));
            assert_eq!(out[..len], bytes[..len]);
            assert_eq!(opener.rtp(&buffer[..sealed], &mut out), Err(SrtpError::Replayed));
        }
        buffer[..len].copy_from_slice(&bytes[..len]);
        if let Some(sealed) = sealer.rtcp(&mut buffer, len) {
            assert_eq!(opener.rtcp(&buffer[..sealed], &mut out), Ok(len));
            assert_eq!(out[..len], bytes[..len]);
        }
    }
}
