//! The door of `sdp-types`: bytes to the few facts that offer and answer need, and back.

use super::crypto::Crypto;
use super::{BYTES_MAX, Direction, LocalMedia, MEDIA_MAX, SdpError};
use crate::audio::codec::{CODECS, ClockRate, CodecId};
use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Formats of one m-line that are looked at.
const FORMATS_MAX: usize = 64;
/// Crypto attributes of one m-line that are looked at.
const CRYPTOS_MAX: usize = 16;
/// Longer values of rtpmap and fmtp are as good as none.
const VALUE_MAX: usize = 512;
/// Longest packets that we take.
const MAXPTIME_MS: u8 = 60;

/// What a peer wrote, as far as we care.
#[derive(Debug)]
pub(super) struct PeerSession {
    /// Start and stop of the first t= line: an answer must repeat it (RFC 3264 §6).
    pub(super) time: (u64, u64),
    /// One per m-line, in order.
    pub(super) medias: Vec<PeerMedia>,
}

/// One m-line of the peer.
#[derive(Debug)]
pub(super) struct PeerMedia {
    /// `audio`, `video`, …
    pub(super) kind: String,
    /// 0: refused or unused.
    pub(super) port: u16,
    /// `RTP/AVP`, …
    pub(super) proto: String,
    /// The formats as written: a refusal repeats them.
    pub(super) formats: String,
    /// c= of the m-line or else of the session: an address, or the text that is none.
    pub(super) address: Result<IpAddr, String>,
    /// From a=rtcp (RFC 3605).
    pub(super) rtcp: Option<SocketAddr>,
    /// a=rtcp-mux.
    pub(super) rtcp_mux: bool,
    /// Payload types in the peer's order of preference.
    pub(super) payloads: Vec<(u8, Payload)>,
    /// a=ptime.
    pub(super) ptime: Option<Duration>,
    /// a=maxptime.
    pub(super) maxptime: Option<Duration>,
    /// As the peer sees it.
    pub(super) direction: Direction,
    /// The first crypto attribute that we can use.
    pub(super) crypto: Option<Crypto>,
    /// Payload types with an rtpmap, as bits.
    mapped: u128,
}

impl PeerMedia {
    /// Whether the peer said what a payload type means.
    pub(super) fn maps(&self, number: u8) -> bool {
        number < 128 && self.mapped >> number & 1 == 1
    }
}

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// One that we know.
    Codec(CodecId),
    /// telephone-event, with its events 0 to 15 as bits.
    Event {
        /// Its clock.
        clock: ClockRate,
        /// What it can carry.
        events: u16,
    },
    /// Redundant audio data (RFC 2198).
    Redundant {
        /// Its clock.
        clock: ClockRate,
    },
    /// Comfort noise with a clock of 8000 Hz (RFC 3389).
    Noise,
    /// Anything else.
    Foreign,
}

/// The static payload type of comfort noise.
pub(super) const NOISE: u8 = 13;
/// Events 0 to 11: the keys of a telephone.
pub(super) const KEYS: u16 = 0x0fff;
/// Events 0 to 15: the keys and A to D.
pub(super) const KEYS_AND_LETTERS: u16 = 0xffff;

/// Reads a description. Letters that are not UTF-8 (a session name, usually) are replaced.
pub(super) fn read(bytes: &[u8]) -> Result<PeerSession, SdpError> {
    if bytes.len() > BYTES_MAX {
        return Err(SdpError::TooLong(bytes.len()));
    }
    let text = String::from_utf8_lossy(bytes);
    let session =
        Session::parse(text.as_bytes()).map_err(|error| SdpError::Malformed(error.to_string()))?;
    if session.medias.len() > MEDIA_MAX {
        return Err(SdpError::TooManyMedia(session.medias.len()));
    }
    let time = session.times.first().map_or((0, 0), |time| (time.start_time, time.stop_time));
    let medias = session.medias.iter().map(|media| peer_media(&session, media)).collect();
    Ok(PeerSession { time, medias })
}

fn peer_media(session: &Session, media: &Media) -> PeerMedia {
    //= RFC 8866 §5.7: c= of the m-line before that of the session
    let connection = media.connections.first().or(session.connection.as_ref());
    let address = address_of(connection);
    let formats = media.fmt.split_ascii_whitespace().take(FORMATS_MAX);
    let types = formats.filter_map(|f| f.parse::<u8>().ok().filter(|number| *number < 128));
    let types: Vec<u8> = types.collect();
    let own = || media.attributes.iter();
    let has_map = |number: &&u8| parameter(**number, &media.attributes, "rtpmap").is_some();
    PeerMedia {
        kind: media.media.clone(),
        port: media.port,
        proto: media.proto.clone(),
        formats: media.fmt.clone(),
        rtcp: value(own(), "rtcp").and_then(|text| rtcp_of(text, address.as_ref().ok().copied())),
        rtcp_mux: own().any(|attribute| attribute.attribute == "rtcp-mux"),
        address,
        mapped: types.iter().filter(has_map).fold(0, |bits, number| bits | 1 << number),
        payloads: types.iter().map(|n| (*n, payload(*n, &media.attributes))).collect(),
        crypto: cryptos(&media.attributes).find_map(Crypto::parse),
        ptime: milliseconds(value(own(), "ptime")),
        maxptime: milliseconds(value(own(), "maxptime")),
        //= RFC 8866 §6.7: of the m-line before that of the session; sendrecv without any
        direction: direction_of(&media.attributes)
            .or_else(|| direction_of(&session.attributes))
            .unwrap_or(Direction::BOTH),
    }
}

fn address_of(connection: Option<&Connection>) -> Result<IpAddr, String> {
    let connection = connection.ok_or_else(|| "there is no c= line".to_owned())?;
    // A multicast address may carry /ttl.
    let text = connection.connection_address.split('/').next().unwrap_or("");
    let address = text.parse::<IpAddr>().map(|address| address.to_canonical());
    address.map_err(|_| format!("{:.80} is no IP address", connection.connection_address))
}

fn value<'a>(mut all: impl Iterator<Item = &'a Attribute>, name: &str) -> Option<&'a str> {
    all.find(|attribute| attribute.attribute == name)?.value.as_deref().map(str::trim)
}

/// `port [IN IP4 address]`.
//= RFC 3605 §2.1: RTCP of a port that is not the next one above, and of an address of its own
fn rtcp_of(text: &str, address: Option<IpAddr>) -> Option<SocketAddr> {
    let mut words = text.split_ascii_whitespace();
    let port = words.next()?.parse::<u16>().ok().filter(|port| *port != 0)?;
    let own = words.nth(2).and_then(|word| word.parse::<IpAddr>().ok());
    let usable = own.map(|own| own.to_canonical()).filter(|own| is_unicast(*own));
    Some(SocketAddr::new(usable.or(address)?, port))
}

/// A whole or fractional number of milliseconds up to a second; the fraction is dropped.
fn milliseconds(text: Option<&str>) -> Option<Duration> {
    let whole = text?.split('.').next()?.parse::<u64>().ok()?;
    (1..=1000).contains(&whole).then(|| Duration::from_millis(whole))
}

/// The last direction attribute, if there is one.
fn direction_of(attributes: &[Attribute]) -> Option<Direction> {
    let mut last_first = attributes.iter().rev();
    last_first.find_map(|attribute| Direction::of_attribute(&attribute.attribute))
}

fn payload(number: u8, attributes: &[Attribute]) -> Payload {
    match parameter(number, attributes, "rtpmap") {
        Some(encoding) => mapped(encoding, parameter(number, attributes, "fmtp")),
        //= RFC 3551 §6: a static payload type needs no rtpmap
        None if number == NOISE => Payload::Noise,
        None => CodecId::by_payload_type(number).map_or(Payload::Foreign, Payload::Codec),
    }
}

/// What stands behind `number` in the attribute of that name which is about it.
fn parameter<'a>(number: u8, attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let values = attributes.iter().filter(|a| a.attribute == name);
    let values = values.filter_map(|a| a.value.as_deref()).filter(|v| v.len() <= VALUE_MAX);
    values.take(2 * FORMATS_MAX).find_map(|value| {
        let (about, rest) = value.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        (about.parse() == Ok(number)).then(|| rest.trim())
    })
}

fn mapped(encoding: &str, format: Option<&str>) -> Payload {
    let mut parts = encoding.split('/').map(str::trim);
    let (name, clock) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let channels = parts.next();
    let Some(clock) = clock.parse::<u32>().ok().and_then(ClockRate::new) else {
        return Payload::Foreign;
    };
    if name.eq_ignore_ascii_case("telephone-event") {
        //= RFC 4733 §2.4.1: without fmtp, events 0 to 15 are meant
        return Payload::Event { clock, events: format.map_or(KEYS_AND_LETTERS, events) };
    }
    if name.eq_ignore_ascii_case("red") {
        return Payload::Redundant { clock };
    }
    if name.eq_ignore_ascii_case("CN") && clock == ClockRate::HZ_8000 {
        return Payload::Noise;
    }
    // What Opus carries is told in its packets: some peers forget to write two channels.
    let codec = CODECS.iter().find(|spec| {
        let mono = channels.is_none_or(|channels| channels == "1");
        spec.name.eq_ignore_ascii_case(name)
            && spec.clock_rate == clock
            && (mono || spec.channels > 1)
    });
    codec.map_or(Payload::Foreign, |spec| Payload::Codec(spec.id))
}

/// The crypto attributes of an m-line, the peer's first choice first.
fn cryptos(attributes: &[Attribute]) -> impl Iterator<Item = &str> {
    let lines = attributes.iter().filter(|a| a.attribute.eq_ignore_ascii_case("crypto"));
    lines.filter_map(|a| a.value.as_deref()).take(CRYPTOS_MAX)
}

/// `0-11,15` and so on, as bits; events beyond 15 are not for telephones.
fn events(list: &str) -> u16 {
    let list = list.trim_start_matches("events=");
    let mut bits = 0;
    for range in list.split(',').take(32) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.trim().parse::<u8>(), last.trim().parse::<u8>());
        if let (Ok(first), Ok(last)) = (first, last) {
            (first..=last.min(15)).for_each(|event| bits |= 1 << event);
        }
    }
    bits
}

/// Whether packets could be sent there.
pub(super) fn is_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_multicast() && !address.is_unspecified() && !broadcast
}

/// Our audio m-line.
pub(super) struct Audio<'a> {
    /// The transport protocol: that of the offer, else `RTP/AVP`.
    pub(super) proto: &'a str,
    /// Payload types in order.
    pub(super) codecs: &'a [(u8, CodecId)],
    /// Payload type, clock and events of each telephone-event.
    pub(super) events: &'a [(u8, ClockRate, u16)],
    /// Payload type of redundant audio data, whose clock is the first codec's.
    pub(super) redundancy: Option<u8>,
    /// Whether comfort noise is among them.
    pub(super) comfort_noise: bool,
    /// Audio per packet that we want.
    pub(super) ptime: Duration,
    /// What we say.
    pub(super) direction: Direction,
    /// Whether RTCP may go on the RTP port, and whether its own port is said.
    pub(super) mux: bool,
    pub(super) separate_rtcp: bool,
    /// Our keys.
    pub(super) cryptos: &'a [Crypto],
}

/// Begins a description of ours.
pub(super) fn begin(local: &LocalMedia, version: u64, time: (u64, u64)) -> Session {
    let mut origin = Origin::with_ip_addr(local.session_id, version, local.address);
    origin.username = Some("bellwire".to_owned());
    let mut session = Session::new(origin, "-");
    session.connection = Some(Connection::from_ip_addr(local.address));
    //= RFC 3264 §6: the time of the offer is repeated in the answer
    session.times = vec![Time::new(time.0, time.1)];
    session
}

/// Adds our audio m-line.
pub(super) fn push_audio(session: &mut Session, local: &LocalMedia, audio: &Audio<'_>) {
    let numbers = audio.codecs.iter().map(|(number, _)| *number);
    let numbers = numbers.chain(audio.comfort_noise.then_some(NOISE));
    let numbers = numbers.chain(audio.redundancy).chain(audio.events.iter().map(|(n, ..)| *n));
    let numbers: Vec<String> = numbers.map(|n| n.to_string()).collect();
    let mut media = bare_media("audio", local.rtp_port, audio.proto, &numbers.join(" "));
    let mut say = |name: &str, value: Option<String>| {
        media.attributes.push(Attribute { attribute: name.to_owned(), value });
    };
    for (number, codec) in audio.codecs {
        say("rtpmap", Some(format!("{number} {}", codec.spec().encoding())));
        if let Some(format) = codec.spec().format {
            say("fmtp", Some(format!("{number} {format}")));
        }
    }
    if audio.comfort_noise {
        say("rtpmap", Some(format!("{NOISE} CN/8000")));
    }
    if let Some((number, (codec, spec))) =
        audio.redundancy.zip(audio.codecs.first().map(|(n, codec)| (n, codec.spec())))
    {
        say("rtpmap", Some(format!("{number} red/{}", spec.clock_rate.hz())));
        say("fmtp", Some(format!("{number} {codec}/{codec}")));
    }
    for (number, clock, events) in audio.events {
        let last = if *events == KEYS_AND_LETTERS { 15 } else { 11 };
        say("rtpmap", Some(format!("{number} telephone-event/{}", clock.hz())));
        say("fmtp", Some(format!("{number} 0-{last}")));
    }
    say("ptime", Some(audio.ptime.as_millis().to_string()));
    //= RFC 8866 §6.4: the longest packet that we take
    say("maxptime", Some(MAXPTIME_MS.to_string()));
    if audio.separate_rtcp && Some(local.rtcp_port) != local.rtp_port.checked_add(1) {
        say("rtcp", Some(local.rtcp_port.to_string()));
    }
    if audio.mux {
        say("rtcp-mux", None);
    }
    for crypto in audio.cryptos {
        say("crypto", Some(crypto.text()));
    }
    say(audio.direction.attribute(), None);
    session.medias.push(media);
}

/// Adds an m-line that refuses what the peer offered in its place.
//= RFC 3264 §6: a stream is rejected by port zero, with the formats of the offer
pub(super) fn push_refusal(session: &mut Session, kind: &str, proto: &str, formats: &str) {
    session.medias.push(bare_media(kind, 0, proto, formats));
}

/// Ends a description.
pub(super) fn finish(session: &Session) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    // Writing into memory cannot fail; were it to, an empty description is refused by any peer.
    if session.write(&mut out).is_err() {
        out.clear();
    }
    out
}

fn bare_media(kind: &str, port: u16, proto: &str, formats: &str) -> Media {
    Media {
        media: kind.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt: formats.to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}
