use super::*;
use crate::rtp::srtp::Suite;
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

mod carriers;
mod histories;
mod srtp;

const CODECS: &[CodecId] = &[CodecId::Pcmu, CodecId::Pcma];

fn local() -> LocalMedia {
    LocalMedia {
        address: IpAddr::from([192, 0, 2, 1]),
        rtp_port: 20_000,
        rtcp_port: 20_001,
        codecs: CODECS.to_vec(),
        telephone_event: true,
        comfort_noise: false,
        ptime: Duration::from_millis(20),
        session_id: 7,
        session_version: 3,
        direction: Direction::BOTH,
        own_order: false,
        rtcp_mux: false,
        srtp: SrtpPolicy::Off,
    }
}

/// A desk whose keys count up from a seed.
fn desk(local: &LocalMedia, seed: u8) -> Desk {
    let mut next = seed;
    let entropy = move |key: &mut [u8]| {
        key.fill_with(|| {
            next = next.wrapping_mul(5).wrapping_add(101);
            next
        });
    };
    Desk::new(local.clone(), Box::new(entropy))
}

fn offer(local: &LocalMedia) -> Vec<u8> {
    desk(local, 1).offer()
}

fn answer(local: &LocalMedia, offer: &[u8]) -> Result<(Vec<u8>, Negotiated), SdpError> {
    desk(local, 2).answer(offer)
}

fn accept(local: &LocalMedia, answer: &[u8]) -> Result<Negotiated, SdpError> {
    let mut desk = desk(local, 1);
    desk.offer();
    desk.accept(answer)
}

fn local_v6() -> LocalMedia {
    LocalMedia { address: "2001:db8::1".parse().unwrap(), ..local() }
}

/// A peer at 192.0.2.9 with these m-lines.
fn peer(lines: &str) -> Vec<u8> {
    let head = "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n";
    format!("{head}{lines}").replace('\n', "\r\n").into_bytes()
}

fn answered(lines: &str) -> (String, Negotiated) {
    let (text, agreed) = answer(&local(), &peer(lines)).unwrap();
    (String::from_utf8(text).unwrap(), agreed)
}

#[test]
fn an_offer_says_all_that_we_have() {
    let text = String::from_utf8(offer(&local())).unwrap();
    let want = "v=0\r\no=bellwire 7 3 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                m=audio 20000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
                a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n";
    assert_eq!(text, want);

    let odd = LocalMedia {
        codecs: vec![CodecId::Pcma],
        telephone_event: false,
        comfort_noise: false,
        rtcp_port: 30_000,
        direction: Direction { send: true, receive: false },
        ..local_v6()
    };
    let text = String::from_utf8(offer(&odd)).unwrap();
    assert!(text.contains("o=bellwire 7 3 IN IP6 2001:db8::1\r\n"));
    assert!(text.contains("c=IN IP6 2001:db8::1\r\n"));
    assert!(text.ends_with(
        "m=audio 20000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=maxptime:60\r\na=rtcp:30000\r\n\
         a=sendonly\r\n"
    ));
}

#[test]
fn comfort_noise_is_agreed_on_where_both_name_it() {
    let with = LocalMedia { comfort_noise: true, ..local() };
    let text = String::from_utf8(offer(&with)).unwrap();
    assert!(text.contains("m=audio 20000 RTP/AVP 0 8 13 101\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:13 CN/8000\r\n"));
    for (lines, agreed) in [
        ("m=audio 4000 RTP/AVP 0 13\n", true),
        ("m=audio 4000 RTP/AVP 0 13\na=rtpmap:13 CN/8000\n", true),
        ("m=audio 4000 RTP/AVP 0 13\na=rtpmap:13 cn/8000\n", true),
        ("m=audio 4000 RTP/AVP 0 13\na=rtpmap:13 CN/16000\n", false),
        ("m=audio 4000 RTP/AVP 0 13\na=rtpmap:13 G729/8000\n", false),
        ("m=audio 4000 RTP/AVP 0 98\na=rtpmap:98 CN/8000\n", false),
        ("m=audio 4000 RTP/AVP 0\n", false),
    ] {
        assert_eq!(accept(&with, &peer(lines)).unwrap().comfort_noise, agreed, "{lines}");
        let (text, ours) = answer(&with, &peer(lines)).unwrap();
        assert_eq!(ours.comfort_noise, agreed, "{lines}");
        let said = String::from_utf8(text).unwrap().contains("RTP/AVP 0 13\r\n");
        assert_eq!(said, agreed, "{lines}");
        assert!(!accept(&local(), &peer(lines)).unwrap().comfort_noise, "we do not want it");
    }
    // Its clock is 8000 Hz, and that of Opus is not.
    #[cfg(feature = "opus")]
    {
        let wide = LocalMedia { codecs: vec![CodecId::Opus], ..with };
        let text = String::from_utf8(offer(&wide)).unwrap();
        assert!(!text.contains(" 13"), "{text}");
    }
}

#[test]
fn both_ends_of_our_own_agree() {
    for (caller, callee) in [(local(), local()), (local_v6(), local_v6())] {
        let offered = offer(&caller);
        let (answered, ours) = answer(&callee, &offered).unwrap();
        assert_eq!((ours.codec, ours.telephone_event), (CodecId::Pcmu, Some(101)));
        assert_eq!(accept(&caller, &answered).unwrap(), ours);
        assert_eq!(ours.direction, Direction::BOTH);
        assert_eq!(ours.remote_rtcp.port(), 20_001);
    }
}

#[test]
fn codecs_are_found_by_number_and_by_name() {
    let rows: &[(&str, CodecId, u8)] = &[
        ("m=audio 4000 RTP/AVP 0 8", CodecId::Pcmu, 0),
        ("m=audio 4000 RTP/AVP 8 0", CodecId::Pcma, 8),
        ("m=audio 4000 RTP/AVP 18 9 8", CodecId::Pcma, 8),
        ("m=audio 4000 RTP/AVP 96\na=rtpmap:96 pcma/8000", CodecId::Pcma, 96),
        ("m=audio 4000 RTP/AVP 96\na=rtpmap:96  PCMU/8000/1 ", CodecId::Pcmu, 96),
        ("m=audio 4000 RTP/AVP 96 0\na=rtpmap:96 PCMA/16000", CodecId::Pcmu, 0),
        ("m=audio 4000 RTP/AVP 96 0\na=rtpmap:96 PCMA/8000/2", CodecId::Pcmu, 0),
        ("m=audio 4000 RTP/AVP 0 8\na=rtpmap:0 opus/48000/2", CodecId::Pcma, 8),
        ("m=audio 4000 RTP/AVP 128 999 x -1 8", CodecId::Pcma, 8),
        ("m=audio 4000/2 RTP/AVPF 8", CodecId::Pcma, 8),
        ("m=audio 4000 rtp/avp 8", CodecId::Pcma, 8),
    ];
    for (lines, codec, number) in rows {
        let (text, agreed) = answered(&format!("{lines}\n"));
        assert_eq!((agreed.codec, agreed.payload_type), (*codec, *number), "{lines}");
        let proto = lines.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("m=audio 20000 {proto} {number}\r\n")), "{text}");
    }
    let one = LocalMedia { codecs: vec![CodecId::Pcma], ..local() };
    let agreed = accept(&one, &peer("m=audio 4000 RTP/AVP 0 8\n")).unwrap();
    assert_eq!(agreed.codec, CodecId::Pcma);
}

#[test]
fn telephone_events_need_the_keys() {
    let rows: &[(&str, Option<u8>, &str)] = &[
        ("0 96\na=rtpmap:96 telephone-event/8000", Some(96), "a=fmtp:96 0-15"),
        ("0 96\na=rtpmap:96 Telephone-Event/8000\na=fmtp:96 0-16", Some(96), "a=fmtp:96 0-15"),
        ("0 96\na=rtpmap:96 telephone-event/8000\na=fmtp:96 0-11,16", Some(96), "a=fmtp:96 0-11"),
        ("0 96\na=rtpmap:96 telephone-event/8000\na=fmtp:96 events=0-15", Some(96), "0-15"),
        ("0 96\na=rtpmap:96 telephone-event/8000\na=fmtp:96 0,1,2", None, "a=sendrecv"),
        ("0 96\na=rtpmap:96 telephone-event/8000\na=fmtp:96 9-1,x", None, "a=sendrecv"),
        (
            "0 96 97\na=rtpmap:96 telephone-event/48000\na=rtpmap:97 telephone-event/8000",
            Some(97),
            "m=audio 20000 RTP/AVP 0 97",
        ),
        ("0", None, "m=audio 20000 RTP/AVP 0\r\n"),
    ];
    for (formats, number, said) in rows {
        let (text, agreed) = answered(&format!("m=audio 4000 RTP/AVP {formats}\n"));
        assert_eq!(agreed.telephone_event, *number, "{formats}");
        assert!(text.contains(said), "{text}");
    }
    let deaf = LocalMedia { telephone_event: false, ..local() };
    let lines = peer("m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\n");
    assert_eq!(accept(&deaf, &lines).unwrap().telephone_event, None);
}

#[test]
fn every_m_line_is_answered_in_its_place() {
    let lines = "m=video 5000 RTP/AVP 96 97\nm=audio 0 RTP/AVP 0\nm=audio 4000 RTP/SAVP 0\n\
                 m=audio 3998 RTP/AVP 18\nm=audio 4002 RTP/AVP 0\nm=audio 4004 RTP/AVP 8\n\
                 m=image 6000 udptl t38\n";
    let (text, agreed) = answered(lines);
    let media: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
    let want = [
        "m=video 0 RTP/AVP 96 97",
        "m=audio 0 RTP/AVP 0",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 0 RTP/AVP 18",
        "m=audio 20000 RTP/AVP 0",
        "m=audio 0 RTP/AVP 8",
        "m=image 0 udptl t38",
    ];
    assert_eq!(media, want);
    assert_eq!(agreed.remote_rtp.port(), 4002);
}

#[test]
fn the_time_of_an_offer_is_repeated() {
    let offer = String::from_utf8(peer("m=audio 4000 RTP/AVP 0\n")).unwrap();
    let offer = offer.replace("t=0 0", "t=3149328700 0");
    let (text, _) = answer(&local(), offer.as_bytes()).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("t=3149328700 0\r\n"));
}

#[test]
fn directions_are_mirrored_and_met() {
    let both = Direction::BOTH;
    let (send, receive) = (Direction { receive: false, ..both }, Direction { send: false, ..both });
    let neither = Direction { send: false, receive: false };
    let rows: &[(&str, Direction, Direction)] = &[
        ("", both, both),
        ("a=sendrecv\n", both, both),
        ("a=sendonly\n", both, receive),
        ("a=recvonly\n", both, send),
        ("a=inactive\n", both, neither),
        ("a=sendonly\n", send, neither),
        ("a=sendrecv\n", receive, receive),
        ("c=IN IP4 0.0.0.0\n", both, receive),
        ("c=IN IP4 0.0.0.0\na=inactive\n", both, neither),
        ("c=IN IP6 ::\na=sendonly\n", both, receive),
    ];
    for (lines, want, agreed) in rows {
        let local = LocalMedia { direction: *want, ..local() };
        let offer = peer(&format!("m=audio 4000 RTP/AVP 0\n{lines}"));
        let (text, got) = answer(&local, &offer).unwrap();
        assert_eq!(got.direction, *agreed, "{lines}");
        assert!(String::from_utf8(text).unwrap().contains(agreed.attribute()), "{lines}");
    }
    let held = String::from_utf8(peer("m=audio 4000 RTP/AVP 0\n")).unwrap();
    let held = held.replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n");
    assert_eq!(accept(&local(), held.as_bytes()).unwrap().direction, receive, "of the session");
    let back = format!("{held}a=sendrecv\r\n");
    assert_eq!(accept(&local(), back.as_bytes()).unwrap().direction, both, "m-line wins");
}

#[test]
fn addresses_are_taken_from_the_closest_line() {
    let rows: &[(&str, &str, &str)] = &[
        ("m=audio 4000 RTP/AVP 0\n", "192.0.2.9:4000", "192.0.2.9:4001"),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.8\n", "192.0.2.8:4000", "192.0.2.8:4001"),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP4 127.0.0.1/7\n", "127.0.0.1:4000", "127.0.0.1:4001"),
        ("m=audio 4000 RTP/AVP 0\na=rtcp:53020\n", "192.0.2.9:4000", "192.0.2.9:53020"),
        (
            "m=audio 4000 RTP/AVP 0\na=rtcp:53020 IN IP4 126.16.64.4\n",
            "192.0.2.9:4000",
            "126.16.64.4:53020",
        ),
        ("m=audio 4000 RTP/AVP 0\na=rtcp:5 IN IP4 224.0.0.1\n", "192.0.2.9:4000", "192.0.2.9:5"),
        ("m=audio 4000 RTP/AVP 0\na=rtcp:0\n", "192.0.2.9:4000", "192.0.2.9:4001"),
        ("m=audio 65535 RTP/AVP 0\na=rtcp:x\n", "192.0.2.9:65535", "192.0.2.9:65535"),
        ("m=audio 4000 RTP/AVP 0\nc=IN IP6 ::ffff:192.0.2.8\n", "192.0.2.8:4000", "192.0.2.8:4001"),
    ];
    for (lines, rtp, rtcp) in rows {
        let agreed = accept(&local(), &peer(lines)).unwrap();
        assert_eq!(agreed.remote_rtp.to_string(), *rtp, "{lines}");
        assert_eq!(agreed.remote_rtcp.to_string(), *rtcp, "{lines}");
    }
    let lines = "m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::5\na=rtcp-mux\n";
    let agreed = accept(&local_v6(), &peer(lines)).unwrap();
    assert_eq!(agreed.remote_rtp.to_string(), "[2001:db8::5]:4000");
    assert!(!agreed.rtcp_mux, "it was not offered");
}

#[test]
fn what_cannot_be_used_is_named() {
    let rows: &[(Vec<u8>, u16, &str)] = &[
        (Vec::new(), 400, "cannot be read"),
        (b"hello".to_vec(), 400, "cannot be read"),
        (peer("m=audio 99999 RTP/AVP 0\n"), 400, "cannot be read"),
        (vec![b'a'; 20_000], 400, "bytes, more than"),
        (peer(&"m=audio 4000 RTP/AVP 0\n".repeat(17)), 400, "17 media, more than"),
        (peer(""), 488, "no usable audio"),
        (peer("m=video 4000 RTP/AVP 96\n"), 488, "no usable audio"),
        (peer("m=audio 0 RTP/AVP 0\n"), 488, "no usable audio"),
        (peer("m=audio 4000 RTP/SAVP 0\n"), 488, "no usable audio"),
        (peer("m=audio 4000 UDP/TLS/RTP/SAVPF 0\n"), 488, "no usable audio"),
        (peer("m=audio 4000 RTP/AVP 18 9\n"), 488, "the peer has 18 9"),
        (peer("m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n"), 488, "no common"),
        (peer("m=audio 4000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127\n"), 488, "not one host"),
        (peer("m=audio 4000 RTP/AVP 0\nc=IN IP4 255.255.255.255\n"), 488, "not one host"),
        (peer("m=audio 4000 RTP/AVP 0\nc=IN IP6 ff02::1\n"), 488, "not one host"),
        (peer("m=audio 4000 RTP/AVP 0\nc=IN IP6 2001:db8::5\n"), 488, "another IP version"),
        (peer("m=audio 4000 RTP/AVP 0\nc=IN IP4 pbx.example\n"), 488, "no IP address"),
        (
            b"v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\n".to_vec(),
            488,
            "no c=",
        ),
    ];
    for (bytes, status, what) in rows {
        let error = answer(&local(), bytes).unwrap_err();
        assert_eq!(error.status(), *status, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(accept(&local(), bytes), Err(error));
    }
}

#[test]
fn one_bad_stream_does_not_spoil_a_good_one() {
    let lines = "m=audio 4000 RTP/AVP 18\nm=audio 4002 RTP/AVP 0\nc=IN IP4 224.1.1.1\n\
                 m=audio 4004 RTP/AVP 0\n";
    assert_eq!(answered(lines).1.remote_rtp.port(), 4004);
}

#[test]
fn odd_ptimes_are_brought_into_reach() {
    let rows: &[(&str, u64)] = &[
        ("", 20),
        ("a=ptime:30\n", 30),
        ("a=ptime:5\n", 10),
        ("a=ptime:25\n", 20),
        ("a=ptime:20.5\n", 20),
        ("a=ptime: 40 \n", 40),
        ("a=ptime:400\n", 60),
        ("a=ptime:0\n", 20),
        ("a=ptime:-20\n", 20),
        ("a=ptime:99999999999999999999\n", 20),
        ("a=ptime:banana\n", 20),
        ("a=ptime\n", 20),
        ("a=maxptime:10\n", 10),
        ("a=maxptime:150\n", 20),
        ("a=ptime:40\na=maxptime:30\n", 30),
    ];
    for (lines, ms) in rows {
        let agreed = accept(&local(), &peer(&format!("m=audio 4 RTP/AVP 0\n{lines}"))).unwrap();
        assert_eq!(agreed.ptime, Duration::from_millis(*ms), "{lines}");
    }
}

#[test]
fn sloppy_descriptions_are_read() {
    let bare_lf = peer("m=audio 4000 RTP/AVP 0\n").into_iter().filter(|b| *b != b'\r').collect();
    let mut named = peer("m=audio 4000 RTP/AVP 0\n");
    let at = named.windows(3).position(|w| w == b"s=-").unwrap();
    named.splice(at + 2..at + 3, *b"M\xfcller");
    let rows: [Vec<u8>; 2] = [bare_lf, named];
    for bytes in rows {
        assert!(accept(&local(), &bytes).is_ok(), "{}", String::from_utf8_lossy(&bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn mutated_descriptions_keep_the_laws(
        lines in prop::collection::vec(
            "(m=audio [0-9]{1,5} RTP/AVPF? (0|8|18|96|101|200| ){1,6}|a=rtpmap:(0|8|96|101) \
             (PCMU|PCMA|telephone-event|opus)/(8000|48000)|a=fmtp:(96|101) [0-9,-]{1,8}|\
             a=(p|maxp)time:[0-9]{1,4}|a=rtcp:[0-9]{1,5}( IN IP4 1\\.2\\.3\\.4)?|a=rtcp-mux|\
             a=(sendrecv|sendonly|recvonly|inactive)|c=IN IP4 (0\\.0\\.0\\.0|10\\.1\\.1\\.1|239\\.0\\.0\\.1)|\
             c=IN IP6 (::|2001:db8::1|::ffff:1\\.2\\.3\\.4)|m=video 5 RTP/AVP 96|b=AS:64|x)",
            0..12,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..6),
        at in any::<prop::sample::Index>(),
    ) {
        let mut bytes = peer(&lines.join("\n"));
        fuzz(&bytes);
        let at = at.index(bytes.len() + 1);
        bytes.splice(at..at, noise);
        fuzz(&bytes);
    }

    #[test]
    fn any_bytes_keep_the_laws(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&bytes);
    }
}

#[test]
fn redundant_audio_is_taken_when_it_is_offered() {
    let lines = "m=audio 4000 RTP/AVP 97 0 101\na=rtpmap:97 red/8000\na=fmtp:97 0/0\n\
                 a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n";
    let (text, agreed) = answered(lines);
    assert_eq!((agreed.codec, agreed.accepts.redundancy), (CodecId::Pcmu, Some(97)));
    assert!(text.contains("m=audio 20000 RTP/AVP 0 97 101\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:97 red/8000\r\na=fmtp:97 0/0\r\n"), "{text}");
    // Of another clock it is none of ours, and a number that means it is not used for anything else.
    let (text, agreed) = answered("m=audio 4000 RTP/AVP 101 8\na=rtpmap:101 red/48000\n");
    assert_eq!((agreed.accepts.redundancy, text.contains("red/")), (None, false));
    let mut desk = desk(&local(), 2);
    desk.answer(&peer("m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 RED/8000\n")).unwrap();
    let again = String::from_utf8(desk.offer()).unwrap();
    assert!(again.contains("telephone-event/8000") && !again.contains("a=rtpmap:101"), "{again}");
    // We do not offer it, so an answer cannot bring it.
    let answer = peer("m=audio 4000 RTP/AVP 0 97\na=rtpmap:97 red/8000\n");
    assert_eq!(accept(&local(), &answer).unwrap().accepts.redundancy, None);
}
