//! Offer and answer for one audio stream (RFC 3264).

use super::syntax::{self, Audio, KEYS, KEYS_AND_LETTERS, Payload, PeerMedia};
use super::{Direction, LocalMedia, Negotiated, SdpError};
use crate::audio::codec::CodecId;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Our payload type of telephone-event in offers: the one that everybody uses.
const EVENT_TYPE: u8 = 101;

/// Packets that we send last a multiple of this, at least once and at most six times.
const STEP_MS: u128 = 10;
const STEPS_MAX: u128 = 6;

/// The plain RTP profiles; an answer repeats the one that was offered.
const PROFILES: [&str; 2] = ["RTP/AVP", "RTP/AVPF"];

/// Writes an offer with all our codecs.
///
/// Cost: allocates.
pub fn offer(local: &LocalMedia) -> Vec<u8> {
    let codecs = local.codecs.iter().map(|codec| (syntax::static_payload_type(*codec), *codec));
    let codecs: Vec<(u8, CodecId)> = codecs.collect();
    let mut session = syntax::begin(local, (0, 0));
    let audio = Audio {
        proto: PROFILES[0],
        codecs: &codecs,
        events: local.telephone_event.then_some((EVENT_TYPE, KEYS_AND_LETTERS)),
        direction: local.direction,
    };
    syntax::push_audio(&mut session, local, &audio);
    syntax::finish(&session)
}

/// Answers an offer: takes its first audio stream that can be used, refuses every other m-line.
///
/// One codec is answered, the offerer's first that is ours too (RFC 3264 §6.1): no later packet can
/// then be of another. Cost: allocates; bounded by the size of the offer.
///
/// # Errors
/// [`SdpError`], with the status to refuse the offer with.
pub fn answer(local: &LocalMedia, offer: &[u8]) -> Result<(Vec<u8>, Negotiated), SdpError> {
    let peer = syntax::read(offer)?;
    let (chosen, agreed) = choose(local, &peer.medias)?;
    let mut session = syntax::begin(local, peer.time);
    for (i, media) in peer.medias.iter().enumerate() {
        if i == chosen {
            let audio = Audio {
                proto: &media.proto,
                codecs: &[(agreed.payload_type, agreed.codec)],
                events: events(local, media),
                direction: agreed.direction,
            };
            syntax::push_audio(&mut session, local, &audio);
        } else {
            syntax::push_refusal(&mut session, media);
        }
    }
    Ok((syntax::finish(&session), agreed))
}

/// Takes the answer to an offer of ours.
///
/// # Errors
/// [`SdpError`] when the answer cannot be read, refuses the stream or agrees to nothing of ours.
pub fn accept(local: &LocalMedia, answer: &[u8]) -> Result<Negotiated, SdpError> {
    let peer = syntax::read(answer)?;
    choose(local, &peer.medias).map(|(_, agreed)| agreed)
}

/// The first audio m-line that can be used, or why the last one could not be.
fn choose(local: &LocalMedia, medias: &[PeerMedia]) -> Result<(usize, Negotiated), SdpError> {
    let mut why = SdpError::NoAudio;
    for (i, media) in medias.iter().enumerate() {
        let plain = PROFILES.iter().any(|profile| media.proto.eq_ignore_ascii_case(profile));
        if media.kind != "audio" || media.port == 0 || !plain {
            continue;
        }
        match agree(local, media) {
            Ok(agreed) => return Ok((i, agreed)),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn agree(local: &LocalMedia, media: &PeerMedia) -> Result<Negotiated, SdpError> {
    let common = media.payloads.iter().find_map(|(number, payload)| match payload {
        Payload::Codec(codec) if local.codecs.contains(codec) => Some((*number, *codec)),
        Payload::Codec(_) | Payload::Event(_) | Payload::Foreign => None,
    });
    let Some((payload_type, codec)) = common else {
        return Err(SdpError::NoCommonCodec(media.formats.chars().take(100).collect()));
    };
    let address = reachable(local, media)?;
    let wanted = media.direction.mirrored().and(local.direction);
    // RFC 3264 §8.4: 0.0.0.0 is the old way to say hold.
    let direction = Direction { send: wanted.send && !address.is_unspecified(), ..wanted };
    let next = SocketAddr::new(address, media.port.saturating_add(1));
    Ok(Negotiated {
        codec,
        payload_type,
        telephone_event: events(local, media).map(|(number, _)| number),
        ptime: ptime(local, media),
        remote_rtp: SocketAddr::new(address, media.port),
        remote_rtcp: media.rtcp.unwrap_or(next),
        rtcp_mux: media.rtcp_mux,
        direction,
    })
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
fn events(local: &LocalMedia, media: &PeerMedia) -> Option<(u8, u16)> {
    let mut payloads = media.payloads.iter().filter(|_| local.telephone_event);
    payloads.find_map(|(number, payload)| match payload {
        Payload::Event(events) if events & KEYS == KEYS => Some((*number, *events)),
        Payload::Event(_) | Payload::Codec(_) | Payload::Foreign => None,
    })
}

/// What the peer asks for, rounded down to what we can send, within its maximum.
fn ptime(local: &LocalMedia, media: &PeerMedia) -> Duration {
    let wanted = media.ptime.unwrap_or(local.ptime);
    let most = media.maxptime.unwrap_or(wanted);
    let steps = (wanted.min(most).as_millis() / STEP_MS).clamp(1, STEPS_MAX);
    Duration::from_millis(u64::try_from(steps * STEP_MS).unwrap_or(20))
}

/// Laws of any description: see [`super::fuzz_entry`].
pub(super) fn fuzz(bytes: &[u8]) {
    let local = LocalMedia {
        address: IpAddr::from([192, 0, 2, 1]),
        rtp_port: 20_000,
        rtcp_port: 20_001,
        codecs: vec![CodecId::Pcma, CodecId::Pcmu],
        telephone_event: true,
        ptime: Duration::from_millis(20),
        session_id: 7,
        session_version: 1,
        direction: Direction::BOTH,
    };
    let accepted = accept(&local, bytes);
    let (answer, agreed) = match answer(&local, bytes) {
        Ok(answered) => answered,
        Err(error) => {
            assert!(matches!(error.status(), 400 | 488));
            assert_eq!(accepted, Err(error));
            return;
        }
    };
    assert_eq!(accepted.as_ref(), Ok(&agreed));
    assert!((10..=60).contains(&agreed.ptime.as_millis()));
    assert!(!agreed.remote_rtp.ip().is_multicast());
    assert!(!agreed.direction.send || !agreed.remote_rtp.ip().is_unspecified());
    if answer.len() > super::BYTES_MAX {
        return; // An offer just below the limit, all of whose refused m-lines are repeated.
    }
    let theirs = LocalMedia { address: IpAddr::from([192, 0, 2, 2]), ..local };
    let seen = accept(&theirs, &answer).map(|seen| (seen.codec, seen.payload_type));
    assert_eq!(seen, Ok((agreed.codec, agreed.payload_type)));
    let lines = |bytes| syntax::read(bytes).map_or(0, |session| session.medias.len());
    assert_eq!(lines(&answer), lines(bytes), "one m-line for each");
}

#[cfg(test)]
mod tests;
