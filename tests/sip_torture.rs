//! The torture messages of RFC 4475 and RFC 5118, each with our verdict.
//!
//! `tests/data/rfc4475` holds the 49 messages of the RFC and `test.dat`, the fiftieth file of its
//! archive. `tests/data/rfc5118` holds its 12; the Content-Length of the three with SDP is made
//! true there, since the RFC's own values disagree with its bodies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use bellwire::sip::message::{
    Capabilities, Frame, Framing, Limits, Message, MessageWriter, Method, Name, ParseError,
    ResponseSpec, Rport, Uri, frame, salvage, unquote, validate,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// What is to happen to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Read, and served as far as this layer can tell.
    Valid,
    /// Read, refused by validation with this status; `true`: a response can be built.
    Refused(u16, bool),
    /// Not read; `true`: what can be salvaged gets a 400.
    Unreadable(ParseError, bool),
}

use Verdict::{Refused, Unreadable, Valid};

const RFC4475: &[(&str, Verdict)] = &[
    // §3.1.1 valid
    ("wsinv", Valid),
    ("intmeth", Valid),
    ("esc01", Valid),
    ("escnull", Valid),
    ("esc02", Valid),
    ("lwsdisp", Valid),
    ("longreq", Valid),
    ("dblreq", Valid),
    ("semiuri", Valid),
    ("transports", Valid),
    ("mpart01", Valid),
    ("unreason", Valid),
    ("noreason", Valid),
    // §3.1.2 invalid
    ("badinv01", Refused(400, false)),
    ("clerr", Unreadable(ParseError::BodyShort, true)),
    ("ncl", Unreadable(ParseError::ContentLength, true)),
    ("scalar02", Refused(400, true)),
    ("scalarlg", Refused(400, true)), // a response: dropped
    ("quotbal", Refused(400, true)),
    ("ltgtruri", Refused(400, true)),
    ("lwsruri", Refused(400, true)),
    ("lwsstart", Refused(400, true)),
    ("trws", Unreadable(ParseError::StartLine, true)),
    ("escruri", Refused(400, true)),
    ("baddate", Valid), // §3.1.2.12 allows to ignore a Date that nobody reads
    ("regbadct", Refused(400, true)),
    ("badaspec", Refused(400, true)),
    ("baddn", Valid), // §3.1.2.15 allows to read on: deployed peers write such names
    ("badvers", Refused(505, true)),
    ("mismatch01", Refused(400, true)),
    ("mismatch02", Refused(400, true)),
    ("bigcode", Unreadable(ParseError::StartLine, false)),
    // §3.2 transaction layer, §3.3 application layer, §3.4 RFC 2543
    ("badbranch", Valid),
    ("insuf", Refused(400, false)),
    ("unkscm", Refused(416, true)),
    ("novelsc", Refused(416, true)),
    ("unksm2", Valid),
    ("bext01", Refused(420, true)),
    ("invut", Refused(415, true)),
    ("regaut01", Valid),
    ("multi01", Refused(400, true)),
    ("mcl01", Unreadable(ParseError::ContentLength, true)),
    ("bcast", Valid),
    ("zeromf", Valid), // only a proxy answers 483
    ("cparam01", Valid),
    ("cparam02", Valid),
    ("regescrt", Valid),
    ("sdp01", Refused(406, true)),
    ("inv2543", Valid),
    // beyond the RFC's text: a request line without a version, lines without a colon
    ("test", Unreadable(ParseError::HeaderLine, false)),
];

const RFC5118: &[(&str, Verdict)] = &[
    ("ipv6-good", Valid),
    ("ipv6-bad", Refused(400, true)),
    ("port-ambiguous", Valid),
    ("port-unambiguous", Valid),
    ("via-received-param-with-delim", Valid),
    ("via-received-param-no-delim", Valid),
    ("ipv6-in-sdp", Valid),
    ("mult-ip-in-header", Valid),
    ("mult-ip-in-sdp", Valid),
    ("ipv4-mapped-ipv6", Valid),
    ("ipv6-bug-abnf-3-colons", Valid),
    ("ipv6-correct-abnf-2-colons", Valid),
];

/// Everything these messages use that is not meant to be refused.
const ABLE: Capabilities<'_> = Capabilities {
    methods: &[
        Method::Invite,
        Method::Bye,
        Method::Options,
        Method::Register,
        Method::Message,
        Method::Other("!interesting-Method0123456789_*+`.%indeed'~"),
        Method::Other("RE%47IST%45R"),
    ],
    extensions: &[],
    bodies: &["application/sdp"],
    body_max: 65_535,
};

#[test]
fn every_message_of_rfc_4475_gets_its_verdict() {
    check_all("rfc4475", RFC4475);
}

#[test]
fn every_message_of_rfc_5118_gets_its_verdict() {
    check_all("rfc5118", RFC5118);
}

#[test]
fn framer_and_parser_agree_on_every_message() {
    for (dir, table) in [("rfc4475", RFC4475), ("rfc5118", RFC5118)] {
        for (name, _) in table {
            let bytes = read(dir, name);
            let limits = Limits { framing: Framing::Datagram, ..Limits::STREAM };
            match (Message::parse(&bytes), frame(&bytes, &limits)) {
                (Ok(_), Frame::Complete { len }) => {
                    assert!(Message::parse(&bytes[..len]).is_ok(), "{name}");
                }
                // The frame is known, the content is not a message.
                (Err(ParseError::StartLine | ParseError::HeaderLine), Frame::Complete { .. }) => {}
                (Err(error), Frame::Error(framing)) => assert_eq!(framing, error.into(), "{name}"),
                (parsed, framed) => panic!("{name}: {:?} but {framed:?}", parsed.err()),
            }
        }
    }
}

#[test]
fn wsinv_is_read_through_its_white_space() {
    let bytes = read("rfc4475", "wsinv");
    let message = Message::parse(&bytes).unwrap();
    let to = message.to().unwrap();
    assert_eq!(to.uri.text, "sip:vivekg@chair-dnrc.example.com");
    assert_eq!(to.tag(), Some("1918181833n"));
    let from = message.from().unwrap();
    assert_eq!(from.display_name().as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(from.tag(), Some("98asjd8"));
    assert_eq!(message.max_forwards(), Ok(68));
    assert_eq!(message.cseq().unwrap().number, 9);
    assert_eq!(message.header(Name::Subject), Some(""));
    let vias: Vec<_> = message.vias().map(Result::unwrap).collect();
    let seen: Vec<_> =
        vias.iter().map(|v| (v.transport, v.host.to_string(), v.branch.to_owned())).collect();
    let want = [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ];
    assert_eq!(seen, want.map(|(t, h, b)| (t, h.to_owned(), b.to_owned())));
    let contact = message.contacts().next().unwrap().unwrap();
    assert_eq!(contact.display_name().as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.params.get("newparam"), Some("newvalue"));
    assert_eq!(contact.params.get("q"), Some("0.33"));
    let folded = message.other("newfangledheader").unwrap();
    assert_eq!(
        bellwire::sip::message::unfold(folded),
        "newfangled value continued newfangled value"
    );
    assert!(message.routes().next().unwrap().unwrap().uri.is_loose_route());
}

#[test]
fn odd_letters_are_kept() {
    let bytes = read("rfc4475", "intmeth");
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        message.method(),
        Some(Method::Other("!interesting-Method0123456789_*+`.%indeed'~"))
    );
    let to = message.to().unwrap();
    assert_eq!(to.display_name().as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
    assert_eq!(to.uri.user, Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    let from = message.from().unwrap();
    let odd = from.params.get("fromParam''~+*_!.-%").map(unquote);
    assert_eq!(odd.as_deref(), Some("работающий"));
    assert_eq!(message.other("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電"));

    let bytes = read("rfc4475", "esc01");
    let message = Message::parse(&bytes).unwrap();
    let same = Uri::parse("sip:user@example.com").unwrap();
    assert!(message.to().unwrap().uri.same_as(&same));
    assert_eq!(message.from().unwrap().uri.user_unescaped(), "I have spaces");

    let bytes = read("rfc4475", "mpart01");
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.body().len(), 553);
    assert_eq!(message.via().unwrap().rport, Rport::Asked);
    let kind = message.content_type().unwrap();
    assert_eq!(kind.param("boundary").as_deref(), Some("7a9cbec02ceef655"));
}

#[test]
fn long_and_many_fields_are_kept() {
    let bytes = read("rfc4475", "longreq");
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.vias().flatten().count(), 34);
    assert_eq!(message.from().unwrap().tag().map(str::len), Some(155));
    assert_eq!(message.call_id().map(str::len), Ok(11 + 20 * 6 + 10));
    let bytes = read("rfc4475", "dblreq");
    assert_eq!(Message::parse(&bytes).unwrap().body(), b"");
}

#[test]
fn ipv6_references_are_addresses() {
    let cases: &[(&str, &str, Option<u16>)] = &[
        ("ipv6-good", "[2001:db8::10]", None),
        ("port-ambiguous", "[2001:db8::10:5070]", None),
        ("port-unambiguous", "[2001:db8::10]", Some(5070)),
        ("ipv6-bug-abnf-3-colons", "[2001:db8::c000:201]", None),
        ("ipv6-correct-abnf-2-colons", "[2001:db8::c000:201]", None),
    ];
    for (name, host, port) in cases {
        let bytes = read("rfc5118", name);
        let message = Message::parse(&bytes).unwrap();
        let bellwire::sip::message::StartLine::Request { uri, .. } = message.start_line() else {
            panic!("{name} is a request");
        };
        let uri = Uri::parse(uri).unwrap();
        assert_eq!((uri.host.to_string().as_str(), uri.port), (*host, *port), "{name}");
    }
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        let bytes = read("rfc5118", name);
        let via = Message::parse(&bytes).unwrap().via().unwrap();
        assert_eq!(via.received, Some("2001:db8::9:255".parse().unwrap()), "{name}");
    }
    let bytes = read("rfc5118", "mult-ip-in-header");
    let message = Message::parse(&bytes).unwrap();
    let ports: Vec<_> = message.vias().map(|via| via.unwrap().port).collect();
    assert_eq!(ports, [Some(6050), None, None]);
}

fn check_all(dir: &str, table: &[(&str, Verdict)]) {
    let named: BTreeSet<String> = table.iter().map(|(name, _)| format!("{name}.dat")).collect();
    let there: BTreeSet<String> = std::fs::read_dir(path(dir))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(named, there, "each file has a verdict and each verdict a file");
    let wrong: Vec<_> = table
        .iter()
        .filter_map(|(name, want)| {
            let got = verdict(&read(dir, name));
            (got != *want).then(|| format!("{name}: {got:?}, not {want:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn verdict(bytes: &[u8]) -> Verdict {
    let mut scratch = Vec::new();
    match Message::parse(bytes) {
        Ok(message) => match validate(&message, &ABLE) {
            Ok(()) => Valid,
            Err(refusal) => Refused(refusal.code, answerable(&message, refusal.code)),
        },
        Err(error) => {
            let rest = salvage(bytes, &mut scratch);
            Unreadable(error, rest.is_some_and(|request| answerable(&request, 400)))
        }
    }
}

/// Whether a response to this can be built, and is itself a valid message.
fn answerable(request: &Message<'_>, code: u16) -> bool {
    if !request.has_reply_headers() {
        return false;
    }
    let source: SocketAddr = "203.0.113.9:5099".parse().unwrap();
    let spec =
        ResponseSpec { code, to_tag: Some("ours"), source: Some(source), ..Default::default() };
    let mut out = Vec::new();
    MessageWriter::respond(&mut out, request, &spec).finish().unwrap();
    let response = Message::parse(&out).unwrap();
    assert_eq!(response.code(), Some(code));
    for name in [Name::From, Name::CallId, Name::CSeq] {
        assert_eq!(response.header_unfolded(name), request.header_unfolded(name));
    }
    assert_eq!(response.headers(Name::Via).count(), request.headers(Name::Via).count());
    assert_eq!(response.via().unwrap().received, Some(source.ip()));
    true
}

fn path(dir: &str) -> String {
    format!("{}/tests/data/{dir}", env!("CARGO_MANIFEST_DIR"))
}

fn read(dir: &str, name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/{name}.dat", path(dir))).unwrap()
}
