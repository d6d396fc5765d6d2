//! The doors of `aes`, `aes-gcm`, `hmac` and `sha1`: session keys, and packets under them.

use super::{ENCRYPTED, RTCP_HEADER, Suite};
use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use zeroize::Zeroize;

/// Labels of key derivation for encryption, authentication and salt.
pub(super) type Labels = [u8; 3];
//= RFC 3711 §4.3.1: labels 0 to 2 are SRTP's
pub(super) const RTP_LABELS: Labels = [0, 1, 2];
//= RFC 3711 §4.3.2: labels 3 to 5 are SRTCP's
pub(super) const RTCP_LABELS: Labels = [3, 4, 5];

/// Octets of the key of HMAC-SHA1 (RFC 3711 §5.2).
const AUTH_LEN: usize = 20;
/// Blocks of key stream that are made at once: a packet of 20 ms takes ten.
const STRIDE: usize = 8;
const BLOCK: usize = 16;

/// One direction's keys for RTP or for RTCP.
pub(super) struct Cipher {
    engine: Engine,
    salt: [u8; 14],
}

enum Engine {
    Cm { aes: Box<Aes128>, mac: Box<Hmac<Sha1>> },
    Gcm128(Box<Aes128Gcm>),
    Gcm256(Box<Aes256Gcm>),
}

impl Cipher {
    /// Derives session keys; lengths are those of the suite.
    pub(super) fn derive(suite: Suite, key: &[u8], salt: &[u8], labels: Labels) -> Self {
        let [encryption, authentication, salting] = labels;
        let mut session_salt = [0; 14];
        let room = session_salt.get_mut(..suite.salt_len()).unwrap_or_default();
        derive(key, salt, salting, room);
        let engine = match suite {
            Suite::AesCm80 | Suite::AesCm32 => {
                let mut session: [u8; 16] = session_key(key, salt, encryption);
                let mut auth: [u8; AUTH_LEN] = session_key(key, salt, authentication);
                let (aes, mac) = (Aes128::new(&session.into()), mac(&auth));
                session.zeroize();
                auth.zeroize();
                Engine::Cm { aes: Box::new(aes), mac: Box::new(mac) }
            }
            Suite::Gcm128 => {
                let mut session: [u8; 16] = session_key(key, salt, encryption);
                let gcm = Aes128Gcm::new(&session.into());
                session.zeroize();
                Engine::Gcm128(Box::new(gcm))
            }
            Suite::Gcm256 => {
                let mut session: [u8; 32] = session_key(key, salt, encryption);
                let gcm = Aes256Gcm::new(&session.into());
                session.zeroize();
                Engine::Gcm256(Box::new(gcm))
            }
        };
        Self { engine, salt: session_salt }
    }

    /// Whether both come from one master key: their salts, which only it could make, are equal.
    pub(super) fn same_key(&self, other: &Self) -> bool {
        self.salt == other.salt
    }

    /// Seals a payload in place and writes its tag.
    pub(super) fn seal_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header: &[u8],
        body: &mut [u8],
        tag: &mut [u8],
    ) -> Option<()> {
        match &self.engine {
            Engine::Cm { aes, mac } => {
                key_stream(&**aes, self.cm_iv(ssrc, index), body);
                let full = rtp_tag(mac, header, body, index);
                tag.copy_from_slice(full.get(..tag.len())?);
                Some(())
            }
            Engine::Gcm128(gcm) => gcm_seal(&**gcm, self.gcm_iv(ssrc, index), header, body, tag),
            Engine::Gcm256(gcm) => gcm_seal(&**gcm, self.gcm_iv(ssrc, index), header, body, tag),
        }
    }

    /// Verifies the tag and then opens the payload in place.
    //= RFC 3711 §3.3: the tag is verified before the payload is decrypted
    pub(super) fn open_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header: &[u8],
        body: &mut [u8],
        tag: &[u8],
    ) -> Option<()> {
        match &self.engine {
            Engine::Cm { aes, mac } => {
                equal(rtp_tag(mac, header, body, index).get(..tag.len())?, tag)?;
                key_stream(&**aes, self.cm_iv(ssrc, index), body);
                Some(())
            }
            Engine::Gcm128(gcm) => gcm_open(&**gcm, self.gcm_iv(ssrc, index), header, body, tag),
            Engine::Gcm256(gcm) => gcm_open(&**gcm, self.gcm_iv(ssrc, index), header, body, tag),
        }
    }

    /// Seals the compound of `len` octets at the start of `sealed`, which ends where the sealed
    /// packet does.
    pub(super) fn seal_rtcp(
        &self,
        ssrc: u32,
        index: u32,
        len: usize,
        sealed: &mut [u8],
    ) -> Option<()> {
        let word = (index | ENCRYPTED).to_be_bytes();
        let (packet, tail) = sealed.split_at_mut_checked(len)?;
        let (header, body) = packet.split_at_mut_checked(RTCP_HEADER)?;
        match &self.engine {
            Engine::Cm { aes, mac } => {
                key_stream(&**aes, self.cm_iv(ssrc, index.into()), body);
                let (place, tag) = tail.split_first_chunk_mut::<4>()?;
                *place = word;
                let full = digest(mac, &[header, body, &word]);
                tag.copy_from_slice(full.get(..tag.len())?);
                Some(())
            }
            Engine::Gcm128(_) | Engine::Gcm256(_) => {
                let (tag, place) = tail.split_last_chunk_mut::<4>()?;
                *place = word;
                let aad = rtcp_aad(header, word)?;
                let iv = self.gcm_rtcp_iv(ssrc, index);
                match &self.engine {
                    Engine::Gcm256(gcm) => gcm_seal(&**gcm, iv, &aad, body, tag),
                    Engine::Gcm128(gcm) => gcm_seal(&**gcm, iv, &aad, body, tag),
                    Engine::Cm { .. } => None,
                }
            }
        }
    }

    /// The word of flag and index of a sealed compound: before the tag, or behind it for GCM.
    pub(super) fn rtcp_word(&self, sealed: &[u8], tag: usize) -> Option<u32> {
        let end = match &self.engine {
            Engine::Cm { .. } => sealed.len().checked_sub(tag)?,
            Engine::Gcm128(_) | Engine::Gcm256(_) => sealed.len(),
        };
        let word = sealed.get(end.checked_sub(4)?..end)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*word))
    }

    /// Verifies a sealed compound and opens it into `out`, which is as long as its content.
    pub(super) fn open_rtcp(
        &self,
        ssrc: u32,
        word: u32,
        sealed: &[u8],
        out: &mut [u8],
    ) -> Option<()> {
        let (packet, tail) = sealed.split_at_checked(out.len())?;
        let (encrypted, index) = (word & ENCRYPTED != 0, word & !ENCRYPTED);
        out.copy_from_slice(packet);
        match &self.engine {
            Engine::Cm { aes, mac } => {
                let (word, tag) = tail.split_first_chunk::<4>()?;
                equal(digest(mac, &[packet, word]).get(..tag.len())?, tag)?;
                if encrypted {
                    key_stream(&**aes, self.cm_iv(ssrc, index.into()), out.get_mut(RTCP_HEADER..)?);
                }
                Some(())
            }
            Engine::Gcm128(_) | Engine::Gcm256(_) => {
                //= RFC 7714 §9.3: a compound in the clear would be authenticated as a whole
                if !encrypted {
                    return None;
                }
                let (tag, _) = tail.split_last_chunk::<4>()?;
                let (header, body) = out.split_at_mut_checked(RTCP_HEADER)?;
                let aad = rtcp_aad(header, word.to_be_bytes())?;
                let iv = self.gcm_rtcp_iv(ssrc, index);
                match &self.engine {
                    Engine::Gcm256(gcm) => gcm_open(&**gcm, iv, &aad, body, tag),
                    Engine::Gcm128(gcm) => gcm_open(&**gcm, iv, &aad, body, tag),
                    Engine::Cm { .. } => None,
                }
            }
        }
    }

    //= RFC 3711 §4.1.1: IV = (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16)
    fn cm_iv(&self, ssrc: u32, index: u64) -> [u8; BLOCK] {
        let mut salt = [0; BLOCK];
        salt[..14].copy_from_slice(&self.salt);
        let iv = u128::from_be_bytes(salt) ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16;
        iv.to_be_bytes()
    }

    //= RFC 7714 §8.1: 00 00 ║ SSRC ║ ROC ║ SEQ, XOR the salt
    fn gcm_iv(&self, ssrc: u32, index: u64) -> [u8; 12] {
        self.gcm_salted(u128::from(ssrc) << 48 | u128::from(index))
    }

    //= RFC 7714 §9.1: 00 00 ║ SSRC ║ 00 00 ║ index, XOR the salt
    fn gcm_rtcp_iv(&self, ssrc: u32, index: u32) -> [u8; 12] {
        self.gcm_salted(u128::from(ssrc) << 48 | u128::from(index))
    }

    fn gcm_salted(&self, value: u128) -> [u8; 12] {
        let mut iv = [0; 12];
        let [_, _, _, _, value @ ..] = value.to_be_bytes();
        for (octet, (value, salt)) in iv.iter_mut().zip(value.iter().zip(&self.salt)) {
            *octet = value ^ salt;
        }
        iv
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

//= RFC 7714 §9.2: fixed header and ESRTCP word are associated data
fn rtcp_aad(header: &[u8], word: [u8; 4]) -> Option<[u8; RTCP_HEADER + 4]> {
    let mut aad = [0; RTCP_HEADER + 4];
    let (front, back) = aad.split_at_mut_checked(RTCP_HEADER)?;
    front.copy_from_slice(header.get(..RTCP_HEADER)?);
    back.copy_from_slice(&word);
    Some(aad)
}

fn gcm_seal(
    gcm: &impl AeadInOut<NonceSize = aes_gcm::aead::consts::U12>,
    iv: [u8; 12],
    aad: &[u8],
    body: &mut [u8],
    tag: &mut [u8],
) -> Option<()> {
    let made = gcm.encrypt_inout_detached(&iv.into(), aad, InOutBuf::from(body)).ok()?;
    tag.copy_from_slice(made.get(..tag.len())?);
    Some(())
}

fn gcm_open(
    gcm: &impl AeadInOut<NonceSize = aes_gcm::aead::consts::U12>,
    iv: [u8; 12],
    aad: &[u8],
    body: &mut [u8],
    tag: &[u8],
) -> Option<()> {
    let tag = tag.try_into().ok()?;
    gcm.decrypt_inout_detached(&iv.into(), aad, InOutBuf::from(body), tag).ok()
}

/// Adds the key stream of counter mode to `body`.
fn key_stream(
    aes: &impl BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>,
    iv: [u8; BLOCK],
    body: &mut [u8],
) {
    let mut counter = u128::from_be_bytes(iv);
    for piece in body.chunks_mut(STRIDE * BLOCK) {
        let mut blocks = [Block::<Aes128>::default(); STRIDE];
        let needed = piece.len().div_ceil(BLOCK);
        for block in blocks.iter_mut().take(needed) {
            *block = counter.to_be_bytes().into();
            counter = counter.wrapping_add(1);
        }
        aes.encrypt_blocks(blocks.get_mut(..needed).unwrap_or_default());
        for (octet, stream) in piece.iter_mut().zip(blocks.iter().flatten()) {
            *octet ^= stream;
        }
    }
}

/// HMAC-SHA1 over header, sealed payload and rollover counter.
//= RFC 3711 §4.2: M = authenticated portion ║ ROC
fn rtp_tag(mac: &Hmac<Sha1>, header: &[u8], body: &[u8], index: u64) -> [u8; AUTH_LEN] {
    let roc = u32::try_from(index >> 16).unwrap_or(u32::MAX).to_be_bytes();
    digest(mac, &[header, body, &roc])
}

fn digest(mac: &Hmac<Sha1>, parts: &[&[u8]]) -> [u8; AUTH_LEN] {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn mac(key: &[u8; AUTH_LEN]) -> Hmac<Sha1> {
    // A key of any length will do, this one among them.
    Hmac::<Sha1>::new_from_slice(key).unwrap_or_else(|_| Hmac::<Sha1>::new(&[0; 64].into()))
}

/// Compares in a time that does not depend on where they differ.
fn equal(a: &[u8], b: &[u8]) -> Option<()> {
    let differing = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    (a.len() == b.len() && std::hint::black_box(differing) == 0).then_some(())
}

fn session_key<const N: usize>(key: &[u8], salt: &[u8], label: u8) -> [u8; N] {
    let mut session = [0; N];
    derive(key, salt, label, &mut session);
    session
}

/// The pseudo-random function of key derivation, with a derivation rate of 0.
//= RFC 3711 §4.3.1: x = (label ║ 0) XOR master salt
//= RFC 3711 §4.3.3: PRF(k, x) is AES-CM with IV = x * 2^16
//= RFC 7714 §11: with the key length of the suite, and 96 bits of salt
fn derive(key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) {
    let mut iv = [0; BLOCK];
    iv.iter_mut().zip(salt.iter().take(14)).for_each(|(octet, salt)| *octet = *salt);
    iv[7] ^= label;
    if let Ok(aes) = Aes256::new_from_slice(key) {
        key_stream(&aes, iv, out);
    } else if let Ok(aes) = Aes128::new_from_slice(key) {
        key_stream(&aes, iv, out);
    }
}

#[cfg(test)]
pub(super) fn derive_for_test(key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) {
    derive(key, salt, label, out);
}

#[cfg(test)]
pub(super) fn key_stream_for_test(key: [u8; 16], iv: [u8; BLOCK], out: &mut [u8]) {
    key_stream(&Aes128::new(&key.into()), iv, out);
}

#[cfg(test)]
impl Cipher {
    /// A cipher of given session keys: the vectors of RFC 7714 have no master key.
    pub(super) fn of_session(suite: Suite, key: &[u8], salt: &[u8]) -> Self {
        let engine = match suite {
            Suite::Gcm128 => Engine::Gcm128(Box::new(Aes128Gcm::new_from_slice(key).unwrap())),
            Suite::Gcm256 => Engine::Gcm256(Box::new(Aes256Gcm::new_from_slice(key).unwrap())),
            Suite::AesCm80 | Suite::AesCm32 => panic!("has a master key"),
        };
        let mut own = [0; 14];
        own[..salt.len()].copy_from_slice(salt);
        Self { engine, salt: own }
    }
}
