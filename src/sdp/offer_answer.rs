//! Offer and answer for one audio stream (RFC 3264).

use super::text::{self, Payload, PeerMedia};
use super::{LocalMedia, Negotiated, SdpError};
use crate::audio::codec::CodecId;
use std::net::SocketAddr;
use std::time::Duration;

/// Our payload type for telephone-event; 101 is what everybody uses.
const TELEPHONE_EVENT: u8 = 101;

/// Longest packet that we send, whatever the peer asks for.
const PTIME_MAX: Duration = Duration::from_millis(60);

/// Writes an offer.
#[must_use]
pub fn offer(local: &LocalMedia) -> Vec<u8> {
    let mut text = text::head(local);
    let codecs: Vec<(u8, CodecId)> =
        local.codecs.iter().map(|codec| (codec.spec().payload_type, *codec)).collect();
    let telephone_event = local.telephone_event.then_some(TELEPHONE_EVENT);
    text::push_audio(&mut text, local, &codecs, telephone_event, local.direction);
    text.into_bytes()
}

/// Answers an offer: the first usable audio stream is taken, every other m-line refused.
///
/// The codec is the peer's first that is one of ours (RFC 3264 §6.1: the offerer's order counts).
///
/// # Errors
/// [`SdpError`] when the offer cannot be read or has nothing for us (488).
pub fn answer(local: &LocalMedia, offer: &[u8]) -> Result<(Vec<u8>, Negotiated), SdpError> {
    let medias = text::parse(offer)?;
    let (chosen, negotiated) = choose(local, &medias)?;
    let mut text = text::head(local);
    for (index, media) in medias.iter().enumerate() {
        if index == chosen {
            let codec = [(negotiated.payload_type, negotiated.codec)];
            let event = negotiated.telephone_event;
            text::push_audio(&mut text, local, &codec, event, negotiated.direction);
        } else {
            text::push_refusal(&mut text, media);
        }
    }
    Ok((text.into_bytes(), negotiated))
}

/// Takes the answer to our offer.
///
/// # Errors
/// [`SdpError`] when the answer cannot be read, refuses the stream or agrees to nothing of ours.
pub fn accept(local: &LocalMedia, answer: &[u8]) -> Result<Negotiated, SdpError> {
    let medias = text::parse(answer)?;
    choose(local, &medias).map(|(_, negotiated)| negotiated)
}

/// Finds the first audio m-line that can be used, or says why none can.
fn choose(local: &LocalMedia, medias: &[PeerMedia]) -> Result<(usize, Negotiated), SdpError> {
    let mut why = SdpError::NoAudio;
    for (index, media) in medias.iter().enumerate() {
        let plain = matches!(media.proto.as_str(), "RTP/AVP" | "RTP/AVPF");
        if media.kind != "audio" || media.port == 0 || !plain {
            continue;
        }
        match agree(local, media) {
            Ok(negotiated) => return Ok((index, negotiated)),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn agree(local: &LocalMedia, media: &PeerMedia) -> Result<Negotiated, SdpError> {
    let ours = media.payloads.iter().find_map(|(number, payload)| match payload {
        Payload::Codec(codec) if local.codecs.contains(codec) => Some((*number, *codec)),
        Payload::Codec(_) | Payload::TelephoneEvent | Payload::Other => None,
    });
    let Some((payload_type, codec)) = ours else {
        return Err(SdpError::NoCommonCodec(media.formats.chars().take(100).collect()));
    };
    let address = media
        .address
        .ok_or_else(|| SdpError::BadAddress("there is no c= line with an IP address".to_owned()))?;
    if address.is_multicast() {
        return Err(SdpError::BadAddress(format!("{address} is a multicast address")));
    }
    let telephone_event = media.payloads.iter().find_map(|(number, payload)| {
        (*payload == Payload::TelephoneEvent && local.telephone_event).then_some(*number)
    });
    let mut direction = media.direction.mirrored().and(local.direction);
    if !text::is_reachable(address) {
        // RFC 3264 §8.4: the old way to put a call on hold.
        direction.send = false;
    }
    let remote_rtp = SocketAddr::new(address, media.port);
    let next = SocketAddr::new(address, media.port.checked_add(1).unwrap_or(media.port));
    Ok(Negotiated {
        codec,
        payload_type,
        telephone_event,
        ptime: ptime(local, media),
        remote_rtp,
        remote_rtcp: media.rtcp.unwrap_or(next),
        direction,
    })
}

/// What the peer asks for in steps of 10 ms, within its maximum and ours.
fn ptime(local: &LocalMedia, media: &PeerMedia) -> Duration {
    let most = media.maxptime.unwrap_or(PTIME_MAX).min(PTIME_MAX);
    let wanted = media.ptime.unwrap_or(local.ptime).min(most);
    let steps = (wanted.as_millis() / 10).clamp(1, 6);
    Duration::from_millis(u64::try_from(steps).unwrap_or(2) * 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Direction;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn local() -> LocalMedia {
        LocalMedia {
            address: IpAddr::from([192, 0, 2, 1]),
            rtp_port: 20_000,
            rtcp_port: 20_001,
            codecs: vec![CodecId::Pcmu, CodecId::Pcma],
            telephone_event: true,
            ptime: Duration::from_millis(20),
            session_id: 7,
            session_version: 1,
            direction: Direction::BOTH,
        }
    }

    fn peer(lines: &str) -> Vec<u8> {
        let head = "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n";
        format!("{head}{lines}").replace('\n', "\r\n").into_bytes()
    }

    #[test]
    fn our_offer_is_one_that_we_could_answer() {
        let offer = offer(&local());
        let text = String::from_utf8(offer.clone()).unwrap();
        assert!(text.contains("m=audio 20000 RTP/AVP 0 8 101\r\n"));
        assert!(text.contains("a=rtpmap:8 PCMA/8000\r\n"));
        let (answer, ours) = answer(&local(), &offer).unwrap();
        assert_eq!((ours.codec, ours.telephone_event), (CodecId::Pcmu, Some(101)));
        assert_eq!(accept(&local(), &answer).unwrap(), ours);
    }

    #[test]
    fn the_offerers_order_and_numbers_count() {
        let lines = "m=audio 4000 RTP/AVP 18 96 0 97\na=rtpmap:96 pcma/8000\n\
                     a=rtpmap:97 telephone-event/8000\na=ptime:30\n";
        let (answer, agreed) = answer(&local(), &peer(lines)).unwrap();
        assert_eq!((agreed.codec, agreed.payload_type), (CodecId::Pcma, 96));
        assert_eq!(agreed.telephone_event, Some(97));
        assert_eq!(agreed.ptime, Duration::from_millis(30));
        assert_eq!(agreed.remote_rtcp.port(), 4001);
        assert!(String::from_utf8(answer).unwrap().contains("m=audio 20000 RTP/AVP 96 97\r\n"));
    }

    #[test]
    fn every_m_line_gets_its_answer_in_place() {
        let lines = "m=video 5000 RTP/AVP 96\nm=audio 0 RTP/AVP 0\nm=audio 4000 RTP/SAVP 0\n\
                     m=audio 4002 RTP/AVP 0\nm=image 6000 udptl t38\n";
        let (answer, agreed) = answer(&local(), &peer(lines)).unwrap();
        let text = String::from_utf8(answer).unwrap();
        let media: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(
            media,
            [
                "m=video 0 RTP/AVP 96",
                "m=audio 0 RTP/AVP 0",
                "m=audio 0 RTP/SAVP 0",
                "m=audio 20000 RTP/AVP 0",
                "m=image 0 udptl t38"
            ]
        );
        assert_eq!(agreed.remote_rtp.port(), 4002);
    }

    #[test]
    fn directions_are_mirrored() {
        for (line, send, receive, said) in [
            ("a=sendonly\n", false, true, "a=recvonly"),
            ("a=recvonly\n", true, false, "a=sendonly"),
            ("a=inactive\n", false, false, "a=inactive"),
            ("", true, true, "a=sendrecv"),
            ("c=IN IP4 0.0.0.0\n", false, true, "a=recvonly"),
        ] {
            let lines = format!("m=audio 4000 RTP/AVP 0\n{line}");
            let (answer, agreed) = answer(&local(), &peer(&lines)).unwrap();
            assert_eq!(agreed.direction, Direction { send, receive }, "{line}");
            assert!(String::from_utf8(answer).unwrap().contains(said), "{line}");
        }
    }

    #[test]
    fn addresses_of_the_m_line_and_of_rtcp_win() {
        let lines = "m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::5\na=rtcp:5003 IN IP6 2001:db8::6\n";
        let agreed = accept(&local(), &peer(lines)).unwrap();
        assert_eq!(agreed.remote_rtp, "[2001:db8::5]:4000".parse().unwrap());
        assert_eq!(agreed.remote_rtcp, "[2001:db8::6]:5003".parse().unwrap());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let cases: [(Vec<u8>, &str); 8] = [
            (Vec::new(), "cannot be read"),
            (b"hello".to_vec(), "cannot be read"),
            (vec![b'a'; 20_000], "bytes, more than"),
            (peer("m=video 4000 RTP/AVP 96\n"), "no usable audio"),
            (peer("m=audio 0 RTP/AVP 0\n"), "no usable audio"),
            (peer("m=audio 4000 RTP/AVP 18 9\n"), "no common codec"),
            (peer("m=audio 4000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127\n"), "multicast"),
            (peer("m=audio 4000 RTP/AVP 0\nc=IN IP4 pbx.example\n"), "no c= line"),
        ];
        for (bytes, what) in cases {
            let error = answer(&local(), &bytes).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let many = "m=audio 4000 RTP/AVP 0\n".repeat(17);
        assert_eq!(accept(&local(), &peer(&many)), Err(SdpError::TooManyMedia(17)));
    }

    #[test]
    fn odd_ptimes_are_brought_into_reach() {
        for (lines, ms) in [
            ("a=ptime:5\n", 10),
            ("a=ptime:25\n", 20),
            ("a=ptime:20.0\n", 20),
            ("a=ptime:400\n", 60),
            ("a=ptime:0\n", 20),
            ("a=ptime:40\na=maxptime:30\n", 30),
            ("a=ptime:banana\n", 20),
        ] {
            let agreed = accept(&local(), &peer(&format!("m=audio 4 RTP/AVP 0\n{lines}"))).unwrap();
            assert_eq!(agreed.ptime, Duration::from_millis(ms), "{lines}");
        }
    }

    proptest! {
        #[test]
        fn hostile_descriptions_never_panic(noise in proptest::collection::vec(any::<u8>(), 0..400),
                                            at in 0_usize..200) {
            let mut bytes = peer("m=audio 4000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n");
            let at = at.min(bytes.len());
            bytes.splice(at..at, noise);
            let _ = answer(&local(), &bytes);
        }
    }
}
