//! The door of `sdp-types`: bytes to the few facts that offer and answer need, and back.

use super::{BYTES_MAX, Direction, LocalMedia, MEDIA_MAX, SdpError};
use crate::audio::codec::CodecId;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Formats of one m-line that are looked at.
const FORMATS_MAX: usize = 64;

/// One m-line of the peer, as far as audio over RTP is concerned.
#[derive(Debug, Clone)]
pub(super) struct PeerMedia {
    /// `audio`, `video`, …
    pub kind: String,
    /// `RTP/AVP`, …
    pub proto: String,
    /// The formats as written, for a refusal that must repeat one.
    pub formats: String,
    /// 0: refused.
    pub port: u16,
    /// From a=rtcp, if it is there and usable.
    pub rtcp: Option<SocketAddr>,
    /// c= of the m-line or of the session.
    pub address: Option<IpAddr>,
    /// Payload types in order of preference, with what they stand for.
    pub payloads: Vec<(u8, Payload)>,
    /// a=ptime.
    pub ptime: Option<Duration>,
    /// a=maxptime.
    pub maxptime: Option<Duration>,
    /// As the peer sees it.
    pub direction: Direction,
}

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// One of ours.
    Codec(CodecId),
    /// telephone-event at 8 kHz.
    TelephoneEvent,
    /// Something that we do not have.
    Other,
}

/// Reads a description.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<PeerMedia>, SdpError> {
    if bytes.len() > BYTES_MAX {
        return Err(SdpError::TooLong(bytes.len()));
    }
    let session = sdp_types::Session::parse(bytes)
        .map_err(|error| SdpError::Malformed(error.to_string()))?;
    if session.medias.len() > MEDIA_MAX {
        return Err(SdpError::TooManyMedia(session.medias.len()));
    }
    let address = session.connection.as_ref().and_then(connection_address);
    let direction = direction_of(&session.attributes);
    let medias = session.medias.iter();
    Ok(medias.map(|media| peer_media(media, address, direction)).collect())
}

fn peer_media(
    media: &sdp_types::Media,
    session_address: Option<IpAddr>,
    session_direction: Option<Direction>,
) -> PeerMedia {
    let address = media.connections.first().map_or(session_address, connection_address);
    let formats = media.fmt.split_ascii_whitespace().take(FORMATS_MAX);
    let payloads = formats.filter_map(|format| {
        let payload_type = format.parse::<u8>().ok().filter(|format| *format < 128)?;
        Some((payload_type, payload(payload_type, &media.attributes)))
    });
    let milliseconds = |name| {
        let value = value_of(&media.attributes, name)?;
        // Some write "20.0"; a fraction of a millisecond does not matter.
        let whole = value.trim().split('.').next()?.parse::<u64>().ok()?;
        (1..=1000).contains(&whole).then(|| Duration::from_millis(whole))
    };
    PeerMedia {
        kind: media.media.clone(),
        proto: media.proto.clone(),
        formats: media.fmt.clone(),
        port: media.port,
        rtcp: value_of(&media.attributes, "rtcp").and_then(|value| rtcp_address(value, address)),
        address,
        payloads: payloads.collect(),
        ptime: milliseconds("ptime"),
        maxptime: milliseconds("maxptime"),
        direction: direction_of(&media.attributes)
            .or(session_direction)
            .unwrap_or(Direction::BOTH),
    }
}

fn connection_address(connection: &sdp_types::Connection) -> Option<IpAddr> {
    // A multicast address may carry /ttl.
    connection.connection_address.split('/').next()?.trim().parse().ok()
}

/// a=rtcp of RFC 3605: a port, and maybe an address of its own.
fn rtcp_address(value: &str, address: Option<IpAddr>) -> Option<SocketAddr> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse::<u16>().ok().filter(|port| *port != 0)?;
    let own = words.nth(2).and_then(|text| text.parse().ok());
    Some(SocketAddr::new(own.or(address)?, port))
}

fn payload(payload_type: u8, attributes: &[sdp_types::Attribute]) -> Payload {
    let maps = attributes.iter().filter(|attribute| attribute.attribute == "rtpmap");
    let map = maps.filter_map(|attribute| attribute.value.as_deref()).find_map(|value| {
        let (number, encoding) = value.trim().split_once(' ')?;
        (number.parse() == Ok(payload_type)).then_some(encoding.trim())
    });
    match map {
        Some(encoding) => encoded(encoding),
        // RFC 3551 §6: static payload types need no rtpmap.
        None => match payload_type {
            0 => Payload::Codec(CodecId::Pcmu),
            8 => Payload::Codec(CodecId::Pcma),
            _ => Payload::Other,
        },
    }
}

fn encoded(encoding: &str) -> Payload {
    let mut parts = encoding.split('/');
    let name = parts.next().unwrap_or_default();
    let clock = parts.next().unwrap_or_default();
    let mono = parts.next().is_none_or(|channels| channels.trim() == "1");
    if clock.trim() != "8000" || !mono {
        Payload::Other
    } else if name.eq_ignore_ascii_case("PCMU") {
        Payload::Codec(CodecId::Pcmu)
    } else if name.eq_ignore_ascii_case("PCMA") {
        Payload::Codec(CodecId::Pcma)
    } else if name.eq_ignore_ascii_case("telephone-event") {
        Payload::TelephoneEvent
    } else {
        Payload::Other
    }
}

fn direction_of(attributes: &[sdp_types::Attribute]) -> Option<Direction> {
    attributes.iter().rev().find_map(|attribute| match attribute.attribute.as_str() {
        "sendrecv" => Some(Direction::BOTH),
        "sendonly" => Some(Direction { send: true, receive: false }),
        "recvonly" => Some(Direction { send: false, receive: true }),
        "inactive" => Some(Direction { send: false, receive: false }),
        _ => None,
    })
}

fn value_of<'a>(attributes: &'a [sdp_types::Attribute], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.attribute == name);
    found.and_then(|attribute| attribute.value.as_deref())
}

/// Begins a description: everything above the first m-line.
pub(super) fn head(local: &LocalMedia) -> String {
    let family = family(local.address);
    let mut text = String::with_capacity(320);
    let _ = write!(
        text,
        "v=0\r\no=bellwire {} {} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n",
        local.session_id,
        local.session_version,
        address = local.address,
    );
    text
}

/// Appends an audio m-line with the given payload types.
pub(super) fn push_audio(
    text: &mut String,
    local: &LocalMedia,
    codecs: &[(u8, CodecId)],
    telephone_event: Option<u8>,
    direction: Direction,
) {
    let _ = write!(text, "m=audio {} RTP/AVP", local.rtp_port);
    let numbers = codecs.iter().map(|(number, _)| *number).chain(telephone_event);
    for number in numbers {
        let _ = write!(text, " {number}");
    }
    text.push_str("\r\n");
    for (number, codec) in codecs {
        let spec = codec.spec();
        let _ = write!(text, "a=rtpmap:{number} {}/{}\r\n", spec.name, spec.clock_rate.hz());
    }
    if let Some(number) = telephone_event {
        let _ = write!(
            text,
            "a=rtpmap:{number} telephone-event/8000\r\na=fmtp:{number} 0-15\r\n"
        );
    }
    let _ = write!(text, "a=ptime:{}\r\n", local.ptime.as_millis());
    if local.rtcp_port != local.rtp_port.wrapping_add(1) {
        let _ = write!(text, "a=rtcp:{}\r\n", local.rtcp_port);
    }
    let _ = write!(text, "a={}\r\n", direction.attribute());
}

/// Appends an m-line that refuses what the peer offered there (RFC 3264 §6).
pub(super) fn push_refusal(text: &mut String, media: &PeerMedia) {
    let format = media.formats.split_ascii_whitespace().next().unwrap_or("0");
    let _ = write!(text, "m={} 0 {} {format}\r\n", media.kind, media.proto);
}

fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}

/// Whether packets could reach this address; 0.0.0.0 is the old way to say hold.
pub(super) fn is_reachable(address: IpAddr) -> bool {
    !address.is_multicast()
        && !address.is_unspecified()
        && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}
