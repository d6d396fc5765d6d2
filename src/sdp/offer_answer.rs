//! What one description of the peer and what we have come to (RFC 3264 §6).

use super::crypto::Crypto;
use super::numbers::Numbers;
use super::syntax::{self, KEYS, NOISE, Payload, PeerMedia};
use super::{Accepts, Direction, LocalMedia, Negotiated, SdpError, SrtpPolicy};
use crate::audio::codec::{ClockRate, CodecId};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The plain profiles; an answer repeats the one that was offered.
pub(super) const PLAIN: [&str; 2] = ["RTP/AVP", "RTP/AVPF"];
/// The sealed ones with keys in the description; those with DTLS are refused.
pub(super) const SEALED: [&str; 2] = ["RTP/SAVP", "RTP/SAVPF"];

/// The stream that was chosen.
pub(super) struct Chosen {
    /// Its place among the m-lines.
    pub(super) index: usize,
    /// What was agreed, still without keys.
    pub(super) agreed: Negotiated,
    /// The peer's key, and the events that the peer has.
    pub(super) crypto: Option<Crypto>,
    pub(super) events: Option<(u8, u16)>,
}

/// The best audio m-line that can be used, or why the last one could not be: a sealed one before a
/// plain one, then the one in place `ours`, then the first.
///
/// `numbers` knows what our payload types mean, for answers that do not say it.
pub(super) fn choose(
    local: &LocalMedia,
    medias: &[PeerMedia],
    ours: usize,
    numbers: Option<&Numbers>,
) -> Result<Chosen, SdpError> {
    let mut why = SdpError::NoAudio;
    for sealed in [true, false] {
        let in_place = medias.get(ours).map(|media| (ours, media));
        for (index, media) in in_place.into_iter().chain(medias.iter().enumerate()) {
            if media.kind != "audio" || media.port == 0 || !is_rtp(local, media) {
                continue;
            }
            let crypto = if sealed { crypto(local, media) } else { None };
            if sealed != crypto.is_some() || (!sealed && !may_be_plain(local, media)) {
                if !sealed {
                    why = SdpError::NoCrypto;
                }
                continue;
            }
            match agree(local, media, numbers) {
                Ok((agreed, events)) => return Ok(Chosen { index, agreed, crypto, events }),
                Err(error) => why = error,
            }
        }
    }
    Err(why)
}

/// Whether a profile is one of these; profiles are compared without case.
pub(super) fn is_one_of(profiles: &[&str], proto: &str) -> bool {
    profiles.iter().any(|profile| proto.eq_ignore_ascii_case(profile))
}

fn is_rtp(local: &LocalMedia, media: &PeerMedia) -> bool {
    let sealed = local.srtp != SrtpPolicy::Off && is_one_of(&SEALED, &media.proto);
    sealed || is_one_of(&PLAIN, &media.proto)
}

fn crypto(local: &LocalMedia, media: &PeerMedia) -> Option<Crypto> {
    match local.srtp {
        SrtpPolicy::Off => None,
        SrtpPolicy::Preferred | SrtpPolicy::Required => media.crypto.clone(),
    }
}

//= RFC 4568 §7.1.3: a secure profile without a crypto attribute that can be used is refused
fn may_be_plain(local: &LocalMedia, media: &PeerMedia) -> bool {
    match local.srtp {
        SrtpPolicy::Off | SrtpPolicy::Preferred => is_one_of(&PLAIN, &media.proto),
        SrtpPolicy::Required => false,
    }
}

fn agree(
    local: &LocalMedia,
    media: &PeerMedia,
    numbers: Option<&Numbers>,
) -> Result<(Negotiated, Option<(u8, u16)>), SdpError> {
    let common = common(local, media, numbers);
    let first = if local.own_order {
        local.codecs.iter().find_map(|own| common.iter().find(|(_, codec)| codec == own))
    } else {
        common.first()
    };
    let Some(&(payload_type, codec)) = first else {
        return Err(SdpError::NoCommonCodec(media.formats.chars().take(100).collect()));
    };
    let address = reachable(local, media)?;
    //= RFC 3264 §6.1: sendonly is met by recvonly or inactive, recvonly by sendonly or inactive
    let wanted = media.direction.mirrored().and(local.direction);
    //= RFC 3264 §8.4: an address of 0.0.0.0 is the old way to say hold
    let direction = Direction { send: wanted.send && !address.is_unspecified(), ..wanted };
    let remote_rtp = SocketAddr::new(address, media.port);
    let next = SocketAddr::new(address, media.port.saturating_add(1));
    let events = events(local, media, codec.spec().clock_rate);
    let redundancy = redundancy(media, codec.spec().clock_rate);
    let mut accepts = Accepts { redundancy, ..Accepts::default() };
    for (room, entry) in accepts.audio.iter_mut().zip(common) {
        *room = Some(entry);
    }
    let agreed = Negotiated {
        codec,
        payload_type,
        telephone_event: events.map(|(number, _)| number),
        comfort_noise: local.comfort_noise && has_noise(media, codec.spec().clock_rate),
        accepts,
        ptime: ptime(local, media, codec),
        remote_rtp,
        remote_rtcp: media.rtcp.unwrap_or(next),
        rtcp_mux: media.rtcp_mux,
        direction,
        srtp: None,
    };
    Ok((agreed, events))
}

/// The peer's codecs that are ours, in the peer's order and by its numbers.
//= RFC 3264 §6.1: the numbers of an answer are those of the offer, and its order is followed
fn common(local: &LocalMedia, media: &PeerMedia, numbers: Option<&Numbers>) -> Vec<(u8, CodecId)> {
    let payloads = media.payloads.iter().filter_map(|(number, payload)| {
        let codec = match payload {
            Payload::Codec(codec) => Some(*codec),
            // Some answer a number of ours without repeating what it means.
            Payload::Foreign if !media.maps(*number) => numbers.and_then(|own| own.codec(*number)),
            Payload::Event { .. }
            | Payload::Redundant { .. }
            | Payload::Noise
            | Payload::Foreign => None,
        };
        codec.filter(|codec| local.codecs.contains(codec)).map(|codec| (*number, codec))
    });
    payloads.collect()
}

/// The peer's address, if packets from ours can get there, or it says hold.
fn reachable(local: &LocalMedia, media: &PeerMedia) -> Result<IpAddr, SdpError> {
    let address = media.address.clone().map_err(SdpError::BadAddress)?;
    if address.is_unspecified() {
        return Ok(address);
    }
    if !syntax::is_unicast(address) {
        return Err(SdpError::BadAddress(format!("{address} is not one host")));
    }
    if address.is_ipv4() != local.address.to_canonical().is_ipv4() {
        return Err(SdpError::BadAddress(format!("{address} is of another IP version")));
    }
    Ok(address)
}

/// The peer's telephone-event, if it has the keys of a telephone and we want it.
//= RFC 4733 §2.1: events share the timestamps of the audio, so their clock is the codec's
fn events(local: &LocalMedia, media: &PeerMedia, wanted: ClockRate) -> Option<(u8, u16)> {
    let mut payloads = media.payloads.iter().filter(|_| local.telephone_event);
    payloads.find_map(|(number, payload)| match payload {
        Payload::Event { clock, events } if *clock == wanted && events & KEYS == KEYS => {
            Some((*number, *events))
        }
        Payload::Event { .. }
        | Payload::Codec(_)
        | Payload::Redundant { .. }
        | Payload::Noise
        | Payload::Foreign => None,
    })
}

/// The peer's redundant audio data, if it is of the codec's clock.
fn redundancy(media: &PeerMedia, wanted: ClockRate) -> Option<u8> {
    media.payloads.iter().find_map(|(number, payload)| match payload {
        Payload::Redundant { clock } if *clock == wanted => Some(*number),
        Payload::Redundant { .. }
        | Payload::Event { .. }
        | Payload::Codec(_)
        | Payload::Noise
        | Payload::Foreign => None,
    })
}

/// Whether the peer takes comfort noise with a codec of this clock.
//= RFC 3389 §4: payload type 13 is comfort noise for codecs with a clock of 8 kHz
fn has_noise(media: &PeerMedia, clock: ClockRate) -> bool {
    clock == ClockRate::HZ_8000 && media.payloads.contains(&(NOISE, Payload::Noise))
}

/// What the peer asks for, rounded down to what the codec can, within the peer's maximum.
//= RFC 3264 §5.1: ptime is what its sender wants to get
fn ptime(local: &LocalMedia, media: &PeerMedia, codec: CodecId) -> Duration {
    let wanted = media.ptime.unwrap_or(local.ptime);
    codec.spec().ptime(media.maxptime.map_or(wanted, |most| wanted.min(most)))
}
