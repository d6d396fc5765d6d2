//! One call's descriptions: what was said last decides what may be said next.
//!
//! ```text
//!             offer ─> bytes ······ accept <─ their answer ─> Negotiated
//!  LocalMedia ─┤
//!             answer <─ their offer ─> bytes, Negotiated
//!        kept: version, m-lines, payload types, our keys, profile
//! ```
//!
//! Hold, resume, a new address or other codecs: change [`Desk::local_mut`] and offer. A refusal of
//! an offer needs nothing: what was agreed before stays in force, and the next description gets
//! the next version. Does not know who is to offer, nor when.

use super::crypto::Crypto;
use super::numbers::Numbers;
use super::offer_answer::{Chosen, PLAIN, SEALED, choose, is_one_of};
use super::syntax::{self, Audio, KEYS_AND_LETTERS, PeerSession};
use super::{Direction, LocalMedia, Negotiated, SdpError, SrtpPolicy};
use crate::audio::codec::{ClockRate, CodecId};
use crate::rtp::srtp::{MasterKey, SrtpParams, Suite};
use std::fmt;
use zeroize::Zeroize;

/// Fills memory with bits that nobody can guess; asked for keys only.
pub type Entropy = Box<dyn FnMut(&mut [u8]) + Send>;

/// The descriptions of one call. See the module.
pub struct Desk {
    local: LocalMedia,
    entropy: Entropy,
    version: u64,
    /// The last description of ours.
    said: Vec<u8>,
    time: (u64, u64),
    /// The m-lines of the session: kind, profile and formats.
    lines: Vec<(String, String, String)>,
    /// Which of them is our audio.
    ours: usize,
    numbers: Numbers,
    keys: Vec<MasterKey>,
    agreed: Option<CodecId>,
}

impl Desk {
    /// A desk on which nothing was said yet. `entropy` is asked only where the policy is not off.
    pub fn new(local: LocalMedia, entropy: Entropy) -> Self {
        Self {
            version: local.session_version,
            local,
            entropy,
            said: Vec::new(),
            time: (0, 0),
            lines: Vec::new(),
            ours: 0,
            numbers: Numbers::default(),
            keys: Vec::new(),
            agreed: None,
        }
    }

    /// What we have.
    pub const fn local(&self) -> &LocalMedia {
        &self.local
    }

    /// What we have, to be changed: the next description says it. Ids and version stay as they are.
    pub const fn local_mut(&mut self) -> &mut LocalMedia {
        &mut self.local
    }

    /// Puts the peer on hold, or takes it back, with the next description.
    pub const fn hold(&mut self, held: bool) {
        self.local.direction = Direction { send: true, receive: !held };
    }

    /// Lets the next descriptions have the agreed codec only.
    pub fn lock_codec(&mut self) {
        if let Some(codec) = self.agreed {
            self.local.codecs = vec![codec];
        }
    }

    /// Forgets our keys, so that the next description brings fresh ones.
    pub fn rekey(&mut self) {
        self.keys.clear();
    }

    /// Writes an offer with all our codecs, for the first time or for a re-offer.
    ///
    /// The same as the last description, version included, if nothing has changed. Cost: allocates.
    //= RFC 3264 §8: a new offer has as many m-lines as the session, in the same order
    pub fn offer(&mut self) -> Vec<u8> {
        let codecs: Vec<(u8, CodecId)> =
            self.local.codecs.iter().map(|codec| (self.numbers.of_codec(*codec), *codec)).collect();
        let mut events = Vec::new();
        for clock in clocks(&self.local) {
            events.push((self.numbers.of_event(clock), clock, KEYS_AND_LETTERS));
        }
        let proto = self.profile();
        let cryptos = self.offered_cryptos();
        let (ptime, direction, mux) = (self.local.ptime, self.local.direction, self.local.rtcp_mux);
        let audio = Audio {
            proto: &proto,
            codecs: &codecs,
            events: &events,
            redundancy: None,
            comfort_noise: self.local.comfort_noise && has_narrow_clock(&self.local),
            ptime,
            direction,
            mux,
            separate_rtcp: true,
            cryptos: &cryptos,
        };
        self.say(&audio)
    }

    /// Answers an offer: takes its best audio stream, refuses every other m-line.
    ///
    /// One codec is answered: no later packet can then be of another. Cost: allocates; bounded by
    /// the size of the offer.
    ///
    /// # Errors
    /// [`SdpError`], with the status to refuse the offer with; what was agreed before stands.
    //= RFC 3264 §6: an m-line for each, in order, port 0 for what is refused
    pub fn answer(&mut self, offer: &[u8]) -> Result<(Vec<u8>, Negotiated), SdpError> {
        let peer = syntax::read(offer)?;
        let Chosen { index, mut agreed, crypto, events } =
            choose(&self.local, &peer.medias, self.ours, None)?;
        self.adopt(&peer, index);
        mux(&mut agreed, true);
        let own = match crypto {
            Some(peer) => Some(self.answer_crypto(peer, &mut agreed).ok_or(SdpError::NoCrypto)?),
            None => None,
        };
        let clock = agreed.codec.spec().clock_rate;
        let events: Vec<_> =
            events.map(|(number, keys)| (number, clock, keys)).into_iter().collect();
        agreed.accepts.audio = [Some((agreed.payload_type, agreed.codec)), None, None, None];
        agreed.accepts.event = agreed.telephone_event;
        let proto = self.lines.get(index).map_or(PLAIN[0].to_owned(), |line| line.1.clone());
        let audio = Audio {
            proto: &proto,
            codecs: &[(agreed.payload_type, agreed.codec)],
            events: &events,
            redundancy: agreed.accepts.redundancy,
            comfort_noise: agreed.comfort_noise,
            // What we want to get is what we were asked to send: many peers know one ptime only.
            ptime: agreed.ptime,
            direction: agreed.direction,
            mux: agreed.rtcp_mux,
            separate_rtcp: !agreed.rtcp_mux,
            cryptos: own.as_slice(),
        };
        let text = self.say(&audio);
        self.agreed = Some(agreed.codec);
        Ok((text, agreed))
    }

    /// Takes the answer to our last offer; of several forks, each.
    ///
    /// # Errors
    /// [`SdpError`] when the answer cannot be read, refuses the stream or agrees to nothing of ours.
    pub fn accept(&mut self, answer: &[u8]) -> Result<Negotiated, SdpError> {
        let peer = syntax::read(answer)?;
        let chosen = choose(&self.local, &peer.medias, self.ours, Some(&self.numbers))?;
        let Chosen { index, mut agreed, crypto, .. } = chosen;
        if let Some(crypto) = crypto {
            agreed.srtp = Some(self.sealed(crypto.key).ok_or(SdpError::NoCrypto)?);
        }
        //= RFC 5761 §5.1.3: RTCP is multiplexed only if both sides said so
        mux(&mut agreed, self.local.rtcp_mux);
        //= RFC 3264 §5.1: who sends us audio does it by our numbers, whatever its own are
        for (number, codec) in agreed.accepts.audio.iter_mut().flatten() {
            *number = self.numbers.of_codec(*codec);
        }
        let clock = agreed.codec.spec().clock_rate;
        // We do not offer redundancy, so nobody may send it by an answer.
        agreed.accepts.redundancy = None;
        agreed.accepts.event = self.local.telephone_event.then(|| self.numbers.of_event(clock));
        if let (Some(line), Some(media)) = (self.lines.get_mut(self.ours), peer.medias.get(index)) {
            line.1.clone_from(&media.proto);
        }
        self.agreed = Some(agreed.codec);
        Ok(agreed)
    }

    /// Writes a description in which our audio stands in its place and all else is refused.
    //= RFC 3264 §8: the version grows by one if, and only if, the description changes
    fn say(&mut self, audio: &Audio<'_>) -> Vec<u8> {
        if self.lines.is_empty() {
            self.ours = 0;
            self.lines.push(("audio".to_owned(), audio.proto.to_owned(), String::new()));
        }
        let again = self.describe(audio);
        if !self.said.is_empty() && again != self.said {
            self.version += 1;
            self.said = self.describe(audio);
        } else {
            self.said = again;
        }
        self.said.clone()
    }

    fn describe(&self, audio: &Audio<'_>) -> Vec<u8> {
        let mut session = syntax::begin(&self.local, self.version, self.time);
        for (i, (kind, proto, formats)) in self.lines.iter().enumerate() {
            if i == self.ours {
                syntax::push_audio(&mut session, &self.local, audio);
            } else {
                syntax::push_refusal(&mut session, kind, proto, formats);
            }
        }
        syntax::finish(&session)
    }

    /// The m-lines and numbers of an offer become the session's.
    fn adopt(&mut self, peer: &PeerSession, index: usize) {
        let line = |media: &syntax::PeerMedia| {
            (media.kind.clone(), media.proto.clone(), media.formats.clone())
        };
        self.lines = peer.medias.iter().map(line).collect();
        self.ours = index;
        self.time = peer.time;
        if let Some(media) = peer.medias.get(index) {
            self.numbers.learn(media);
        }
    }

    /// The profile of an offer: the session's, else what the policy asks for.
    fn profile(&self) -> String {
        let usual = match self.local.srtp {
            SrtpPolicy::Off | SrtpPolicy::Preferred => PLAIN[0],
            SrtpPolicy::Required => SEALED[0],
        };
        let agreed = self.agreed.and(self.lines.get(self.ours)).map(|line| line.1.as_str());
        let fits = |proto: &&str| match self.local.srtp {
            SrtpPolicy::Off => is_one_of(&PLAIN, proto),
            SrtpPolicy::Preferred => true,
            SrtpPolicy::Required => is_one_of(&SEALED, proto),
        };
        agreed.filter(fits).unwrap_or(usual).to_owned()
    }

    fn offered_cryptos(&mut self) -> Vec<Crypto> {
        if self.local.srtp == SrtpPolicy::Off {
            return Vec::new();
        }
        let keys = Suite::ALL.into_iter().zip(1..);
        keys.filter_map(|(suite, tag)| Some(Crypto { tag, key: self.key(suite)? })).collect()
    }

    //= RFC 4568 §5.1.2: the answer has the tag and the suite of what it accepts, and its own key
    fn answer_crypto(&mut self, peer: Crypto, agreed: &mut Negotiated) -> Option<Crypto> {
        let tag = peer.tag;
        let sealed = self.sealed(peer.key)?;
        let key = sealed.local.clone();
        agreed.srtp = Some(sealed);
        Some(Crypto { tag, key })
    }

    /// Our key beside the peer's.
    fn sealed(&mut self, remote: MasterKey) -> Option<SrtpParams> {
        Some(SrtpParams { local: self.key(remote.suite())?, remote })
    }

    /// Our key for a suite: the one we said, else a fresh one.
    fn key(&mut self, suite: Suite) -> Option<MasterKey> {
        if let Some(key) = self.keys.iter().find(|key| key.suite() == suite) {
            return Some(key.clone());
        }
        let mut octets = [0; 64];
        let octets = octets.get_mut(..suite.master_len())?;
        (self.entropy)(octets);
        let key = MasterKey::new(suite, octets);
        octets.zeroize();
        self.keys.extend(key.clone());
        key
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Desk");
        shown.field("local", &self.local).field("version", &self.version);
        shown.field("lines", &self.lines).finish_non_exhaustive()
    }
}

/// Brings RTCP to the RTP port if the peer said so, and we do.
fn mux(agreed: &mut Negotiated, wanted: bool) {
    agreed.rtcp_mux &= wanted;
    if agreed.rtcp_mux {
        agreed.remote_rtcp = agreed.remote_rtp;
    }
}

/// The clocks of telephone events that our codecs need, in order.
fn clocks(local: &LocalMedia) -> Vec<ClockRate> {
    let mut clocks = Vec::new();
    for codec in local.codecs.iter().filter(|_| local.telephone_event) {
        let clock = codec.spec().clock_rate;
        if !clocks.contains(&clock) {
            clocks.push(clock);
        }
    }
    clocks
}

/// Whether any of our codecs has the clock of comfort noise.
fn has_narrow_clock(local: &LocalMedia) -> bool {
    local.codecs.iter().any(|codec| codec.spec().clock_rate == ClockRate::HZ_8000)
}

/// Laws of any description: see [`super::fuzz_entry`].
pub(super) fn fuzz(bytes: &[u8]) {
    for srtp in [SrtpPolicy::Off, SrtpPolicy::Preferred, SrtpPolicy::Required] {
        let local = LocalMedia {
            address: std::net::IpAddr::from([192, 0, 2, 1]),
            rtp_port: 20_000,
            rtcp_port: 20_001,
            codecs: vec![CodecId::Pcma, CodecId::Pcmu, CodecId::G722],
            own_order: false,
            telephone_event: true,
            comfort_noise: true,
            ptime: std::time::Duration::from_millis(20),
            session_id: 7,
            session_version: 1,
            direction: Direction::BOTH,
            rtcp_mux: true,
            srtp,
        };
        fuzz_policy(&local, bytes);
    }
}

fn fuzz_policy(local: &LocalMedia, bytes: &[u8]) {
    let desk = |local: LocalMedia, seed: u8| Desk::new(local, Box::new(move |key| key.fill(seed)));
    let mut ours = desk(local.clone(), 1);
    let first = ours.offer();
    let accepted = ours.accept(bytes);
    let (answer, agreed) = match ours.answer(bytes) {
        Ok(answered) => answered,
        Err(error) => {
            assert!(matches!(error.status(), 400 | 488));
            assert_eq!(ours.offer(), first, "a refused offer changes nothing");
            return;
        }
    };
    assert!(accepted.is_ok(), "what can be answered can be an answer");
    assert!(local.srtp != SrtpPolicy::Required || agreed.srtp.is_some(), "in the clear");
    assert!(local.srtp != SrtpPolicy::Off || agreed.srtp.is_none());
    assert!((10..=60).contains(&agreed.ptime.as_millis()));
    assert!(!agreed.remote_rtp.ip().is_multicast());
    assert!(!agreed.direction.send || !agreed.remote_rtp.ip().is_unspecified());
    if answer.len() > super::BYTES_MAX {
        return; // An offer just below the limit, all of whose refused m-lines are repeated.
    }
    assert_eq!(ours.answer(bytes), Ok((answer.clone(), agreed.clone())), "the same once more");
    let theirs = LocalMedia { address: std::net::IpAddr::from([192, 0, 2, 2]), ..local.clone() };
    let seen = desk(theirs, 2).accept(&answer).map(|seen| (seen.codec, seen.payload_type));
    assert_eq!(seen, Ok((agreed.codec, agreed.payload_type)));
    let lines = |bytes| syntax::read(bytes).map_or(0, |session| session.medias.len());
    assert_eq!(lines(&answer), lines(bytes), "one m-line for each");
    assert_eq!(lines(&ours.offer()), lines(bytes), "and in offers of ours from then on");
}

#[cfg(test)]
mod tests;
