//! Offers as they arrive from the networks: each with what it must come to.

use super::*;

/// A description behind o= and s=, the codec and number agreed on, the event's number, ptime and
/// where to.
type Row = (&'static str, CodecId, u8, Option<u8>, u64, &'static str);

const ROWS: &[Row] = &[
    // A cloud carrier's media gateway.
    (
        "c=IN IP4 168.86.128.10\nt=0 0\nm=audio 14836 RTP/AVP 0 8 101\na=rtpmap:0 PCMU/8000\n\
         a=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=ptime:20\n\
         a=maxptime:20\na=sendrecv\n",
        CodecId::Pcmu,
        0,
        Some(101),
        20,
        "168.86.128.10:14836",
    ),
    // FreeSWITCH: many codecs, comfort noise, an rtcp line.
    (
        "c=IN IP4 64.16.250.10\nt=0 0\nm=audio 29822 RTP/AVP 102 9 8 101 13 103\n\
         a=rtpmap:102 SPEEX/16000\na=rtpmap:9 G722/8000\na=rtpmap:8 PCMA/8000\n\
         a=rtpmap:101 telephone-event/16000\na=fmtp:101 0-15\na=rtpmap:13 CN/8000\n\
         a=rtpmap:103 telephone-event/8000\na=fmtp:103 0-15\na=silenceSupp:off - - - -\n\
         a=rtcp:29823 IN IP4 64.16.250.10\na=ptime:20\n",
        CodecId::G722,
        9,
        Some(103),
        20,
        "64.16.250.10:29822",
    ),
    // Asterisk with its newer channel driver.
    (
        "c=IN IP4 203.0.113.20\nt=0 0\nm=audio 11564 RTP/AVP 8 0 101\na=rtpmap:8 PCMA/8000\n\
         a=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=ptime:20\n\
         a=maxptime:150\na=sendrecv\n",
        CodecId::Pcma,
        8,
        Some(101),
        20,
        "203.0.113.20:11564",
    ),
    // CUCM: bandwidth lines (RFC 3890), G.729 with Annex B off.
    (
        "c=IN IP4 198.51.100.5\nb=TIAS:64000\nb=AS:64\nt=0 0\nm=audio 24580 RTP/AVP 18 8 101\n\
         a=rtpmap:18 G729/8000\na=fmtp:18 annexb=no\na=ptime:20\na=rtpmap:8 PCMA/8000\n\
         a=ptime:20\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n",
        CodecId::Pcma,
        8,
        Some(101),
        20,
        "198.51.100.5:24580",
    ),
    // A border element with capability lines and a stream for fax.
    (
        "c=IN IP4 198.51.100.6\nt=0 0\nm=audio 16640 RTP/AVP 8 19\nc=IN IP4 198.51.100.7\n\
         a=rtpmap:8 PCMA/8000\na=rtpmap:19 CN/8000\na=ptime:20\na=X-sqn:0\n\
         a=X-cap: 1 audio RTP/AVP 100\nm=image 16642 udptl t38\nc=IN IP4 198.51.100.7\n\
         a=T38FaxVersion:0\n",
        CodecId::Pcma,
        8,
        None,
        20,
        "198.51.100.7:16640",
    ),
    // The edge of a national IMS: AMR first, preconditions, maxptime.
    (
        "c=IN IP4 217.0.23.10\nb=AS:80\nt=0 0\nm=audio 30012 RTP/AVP 104 110 9 8 102 100\nb=AS:80\n\
         b=RS:0\nb=RR:4000\na=rtpmap:104 AMR-WB/16000/1\na=fmtp:104 mode-change-capability=2\n\
         a=rtpmap:110 AMR/8000/1\na=rtpmap:9 G722/8000\na=rtpmap:8 PCMA/8000\n\
         a=rtpmap:102 telephone-event/16000\na=rtpmap:100 telephone-event/8000\na=fmtp:100 0-15\n\
         a=curr:qos local none\na=des:qos optional local sendrecv\na=ptime:20\na=maxptime:30\n",
        CodecId::G722,
        9,
        Some(100),
        20,
        "217.0.23.10:30012",
    ),
    // A browser's gateway: BUNDLE, ICE, AVPF, ssrc lines.
    (
        "t=0 0\na=group:BUNDLE 0\na=ice-options:trickle\nm=audio 9000 RTP/AVPF 8 126\n\
         c=IN IP4 203.0.113.9\na=mid:0\na=ice-ufrag:abcd\na=ice-pwd:0123456789012345678901\n\
         a=candidate:0 1 UDP 2122252543 203.0.113.9 9000 typ host\na=rtpmap:8 PCMA/8000\n\
         a=rtpmap:126 telephone-event/8000\na=ssrc:5 cname:x\na=extmap:1 urn:x\n",
        CodecId::Pcma,
        8,
        Some(126),
        20,
        "203.0.113.9:9000",
    ),
    // ALTC (RFC 6947), no rtpmap at all, 30 ms.
    (
        "c=IN IP4 203.0.113.30\nt=0 0\nm=audio 7000 RTP/AVP 3 0\na=altc:1 IP6 2001:db8::1 7000\n\
         a=altc:2 IP4 203.0.113.30 7000\na=ptime:30\n",
        CodecId::Pcmu,
        0,
        None,
        30,
        "203.0.113.30:7000",
    ),
    // An old phone: the session is held by 0.0.0.0, the m-line has an address.
    (
        "c=IN IP4 0.0.0.0\nt=0 0\nm=audio 5004 RTP/AVP 0\nc=IN IP4 192.0.2.40\n\
         a=rtpmap:0 pcmu/8000/1\n",
        CodecId::Pcmu,
        0,
        None,
        20,
        "192.0.2.40:5004",
    ),
];

#[test]
fn offers_of_the_networks_come_to_what_they_must() {
    let codecs = vec![CodecId::Pcmu, CodecId::Pcma, CodecId::G722];
    let wide = LocalMedia { codecs, ..local() };
    for (lines, codec, number, event, ms, to) in ROWS {
        let text = format!("v=0\no=- 1700000000 1 IN IP4 192.0.2.1\ns=SIP Call\n{lines}");
        let bytes = text.replace('\n', "\r\n").into_bytes();
        let (said, agreed) = answer(&wide, &bytes).unwrap();
        assert_eq!((agreed.codec, agreed.payload_type), (*codec, *number), "{lines}");
        assert_eq!(agreed.telephone_event, *event, "{lines}");
        assert_eq!(agreed.ptime, Duration::from_millis(*ms), "{lines}");
        assert_eq!(agreed.remote_rtp.to_string(), *to, "{lines}");
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said.matches("\nm=").count(), lines.matches("\nm=").count(), "{said}");
        assert!(said.contains(&format!("a=ptime:{ms}\r\n")), "{said}");
        fuzz(&bytes);
    }
}
