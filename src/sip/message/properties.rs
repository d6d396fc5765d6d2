//! Laws of the whole message layer, tried on mutations of real messages.

use super::fuzz;
use proptest::prelude::*;

const INVITE: &str = "INVITE sip:bob@biloxi.example SIP/2.0\r\n\
    Via: SIP/2.0/TCP client.atlanta.example:5060;branch=z9hG4bK74b43;rport\r\n\
    v: SIP/2.0/UDP [2001:db8::9:1]:6050;received=192.0.2.1 ,SIP/2.0/UDP b;branch=z9hG4bK1\r\n\
    Max-Forwards: 70\r\n\
    Record-Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\n\
    f: \"A \\\"q\\\" \u{43f}\" <sip:alice@atlanta.example;user=phone>;tag=9fxced76sl\r\n\
    To: Bob\r\n <sip:bob@biloxi.example>\r\n\
    Call-ID: 3848276298220188511@atlanta.example\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:alice@client.atlanta.example;transport=tcp>;q=0.5\r\n\
    Proxy-Authorization: Digest username=\"a\", realm=\"r, \\\"x\\\"\", nc=00000001\r\n\
    Supported: timer, 100rel\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 7\r\n\r\nv=0\r\no=";

const OK: &str = "SIP/2.0 200 OK\r\n\
    Via: SIP/2.0/UDP a.example;branch=z9hG4bK1;received=192.0.2.1;rport=5060\r\n\
    From: <sip:a@a.example>;tag=1\r\nTo: <tel:+14155550100>;tag=2\r\n\
    Call-ID: 1@a\r\nCSeq: 314159 INVITE\r\nContact: <sip:b@192.0.2.4>\r\n\
    WWW-Authenticate: Digest realm=\"x\", nonce=\"y\", qop=\"auth,auth-int\"\r\nl: 0\r\n\r\n";

/// One edit: at a place, remove some bytes and put others there.
type Edit = (prop::sample::Index, usize, Vec<u8>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let spice = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![
            &b"\r\n"[..],
            b"\r\n ",
            b"\n",
            b"\r",
            b"\"",
            b"\\",
            b"<",
            b">",
            b";",
            b",",
            b":",
            b"=",
            b"[",
            b"]",
            b"@",
            b"%",
            b"\0",
            b"l: 3\r\n",
            b"Content-Length: 99999999999\r\n",
            b"\xff",
            b"SIP/2.0",
            b"?",
            b" ",
            b"\t",
            b"*",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, spice), 0..6)
}

fn edited(base: &[u8], edits: Vec<Edit>) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for (place, remove, insert) in edits {
        let at = place.index(bytes.len() + 1);
        let end = (at + remove).min(bytes.len());
        bytes.splice(at..end, insert);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn mutated_messages_keep_the_laws(request: bool, edits in edits()) {
        let base = if request { INVITE } else { OK };
        fuzz::message(&edited(base.as_bytes(), edits));
    }

    #[test]
    fn a_stream_is_cut_the_same_however_it_arrives(step in 1_u8.., edits in edits()) {
        let base = format!("\r\n\r\n{INVITE}{OK}\r\n{OK}{INVITE}");
        let mut bytes = vec![step];
        bytes.extend(edited(base.as_bytes(), edits));
        fuzz::stream(&bytes);
    }

    #[test]
    fn mutated_uris_keep_the_laws(
        base in prop::sample::select(vec![
            "sip:alice;x=1:pw@[2001:db8::1]:5060;transport=tcp;lr?Subject=a&Route=%3Csip:b%3E",
            "tel:+1-415-555.0100;phone-context=example.com",
            "\"A\" <sips:%61@192.0.2.1>;tag=1",
            "isbn:2983792873",
        ]),
        edits in edits(),
    ) {
        fuzz::uri(&edited(base.as_bytes(), edits));
    }

    #[test]
    fn any_bytes_keep_the_laws(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz::message(&bytes);
        fuzz::stream(&bytes);
        fuzz::uri(&bytes);
    }
}

#[test]
fn the_base_messages_are_whole() {
    for text in [INVITE, OK] {
        let message = super::Message::parse(text.as_bytes()).unwrap();
        assert!(message.has_reply_headers());
        assert!(message.vias().all(|via| via.is_ok()));
    }
}
