//! Our message layer against rsip, on ordinary messages both can read.
//!
//! rsip cannot read compact names, folds, IPv6, `tel:` or a dot in a user part, so the messages here have none; those are
//! held by `sip_torture.rs` and by unit tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use bellwire::sip::message::{Message, Name, NameAddr, StartLine};
use proptest::prelude::*;
use rsip::message::{HasHeaders, HeadersExt};
use rsip::prelude::{ToTypedHeader, UntypedHeader};

/// The parts of an ordinary message.
#[derive(Debug, Clone)]
struct Parts {
    start: String,
    via: String,
    from: String,
    to: String,
    contact: String,
    call_id: String,
    cseq: String,
    extra: Vec<(String, String)>,
    body: String,
}

impl Parts {
    fn text(&self) -> String {
        let extra: Vec<_> = self.extra.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        let extra = extra.concat();
        format!(
            "{}\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nContact: {}\r\n\
             Call-ID: {}\r\nCSeq: {}\r\n{extra}Content-Length: {}\r\n\r\n{}",
            self.start,
            self.via,
            self.from,
            self.to,
            self.contact,
            self.call_id,
            self.cseq,
            self.body.len(),
            self.body
        )
    }
}

fn uri() -> impl Strategy<Value = String> {
    let host = prop_oneof!["[a-z][a-z0-9]{0,8}\\.(com|net)", "1[0-9]\\.0\\.[0-9]\\.[1-9]"];
    let port = prop_oneof![Just(String::new()), (1_u16..).prop_map(|port| format!(":{port}"))];
    let lead = prop_oneof!["", "[a-z][a-z0-9]{0,9}@", "\\+[1-9][0-9]{5,12}@"];
    let params = prop_oneof!["", ";transport=TCP", ";user=phone"];
    ("(sip|sips)", lead, host, port, params).prop_map(|(scheme, user, host, port, params)| {
        format!("{scheme}:{user}{host}{port}{params}")
    })
}

fn address() -> impl Strategy<Value = String> {
    ("(|Alice |\"Bob B\" )", uri(), "(|;tag=[a-z0-9]{4,12})")
        .prop_map(|(display, uri, tag)| format!("{display}<{uri}>{tag}"))
}

fn via() -> impl Strategy<Value = String> {
    let received = "(|;received=192\\.0\\.2\\.[1-9])";
    (
        "(UDP|TCP|TLS)",
        "(pc33\\.atlanta\\.com|192\\.0\\.2\\.[1-9])(|:50[0-9][0-9])",
        "[a-zA-Z0-9]{1,20}",
        received,
    )
        .prop_map(|(transport, host, branch, received)| {
            format!("SIP/2.0/{transport} {host};branch=z9hG4bK{branch}{received}")
        })
}

fn parts() -> impl Strategy<Value = Parts> {
    let method = "(INVITE|BYE|OPTIONS|REGISTER|CANCEL|ACK)";
    let status = "(100 Trying|180 Ringing|200 OK|486 Busy Here|503 Service Unavailable)";
    let extra = prop::collection::vec(("X-[A-Z][a-z]{1,9}", "[a-z0-9=;\"<>,.]{1,30}"), 0..6);
    let heads = (any::<bool>(), method, uri(), status, via());
    let rest = (address(), address(), address(), "[a-z0-9]{1,30}@[a-z]{1,9}", 0_u32..1 << 31);
    (heads, rest, extra, "(|v=0\r\no=- 1 1 IN IP4 192\\.0\\.2\\.1\r\n)").prop_map(
        |(
            (request, method, uri, status, via),
            (from, to, contact, call_id, number),
            extra,
            body,
        )| {
            let start = if request {
                format!("{method} {uri} SIP/2.0")
            } else {
                format!("SIP/2.0 {status}")
            };
            let cseq = format!("{number} {method}");
            Parts { start, via, from, to, contact, call_id, cseq, extra, body }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_read_the_same(parts in parts()) {
        let text = parts.text();
        let ours = Message::parse(text.as_bytes()).unwrap();
        let theirs = rsip::SipMessage::try_from(text.as_bytes()).unwrap();
        same_start_line(&ours, &theirs);
        same_via(&ours, &theirs);
        same_dialog_fields(&ours, &theirs);
        prop_assert_eq!(ours.lines().count(), theirs.headers().iter().count());
        prop_assert_eq!(ours.body(), body_of(&theirs));
        for (name, value) in &parts.extra {
            prop_assert!(ours.lines().any(|(n, v)| n == name && v == value.trim()));
        }
    }
}

fn same_start_line(ours: &Message<'_>, theirs: &rsip::SipMessage) {
    match (ours.start_line(), theirs) {
        (StartLine::Request { method, uri, version }, rsip::SipMessage::Request(request)) => {
            assert_eq!(method.as_str(), request.method.to_string());
            assert_eq!(uri, request.uri.to_string());
            assert_eq!(version, request.version.to_string());
        }
        (StartLine::Response { code, .. }, rsip::SipMessage::Response(response)) => {
            assert_eq!(code, response.status_code.code());
        }
        (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
    }
}

fn same_via(ours: &Message<'_>, theirs: &rsip::SipMessage) {
    let via = ours.via().unwrap();
    let their_via = theirs.via_header().unwrap().typed().unwrap();
    assert_eq!(via.transport, their_via.transport.to_string());
    assert_eq!(via.host.to_string(), their_via.uri.host().to_string());
    assert_eq!(via.port, their_via.uri.port().map(|port| *port.value()));
    assert_eq!(via.branch, their_via.branch().unwrap().value());
    assert_eq!(via.received, their_via.received().unwrap());
}

fn same_dialog_fields(ours: &Message<'_>, theirs: &rsip::SipMessage) {
    let from = theirs.from_header().unwrap().typed().unwrap();
    same_address(&ours.from().unwrap(), &from.uri, from.tag().map(rsip::param::Tag::value));
    let to = theirs.to_header().unwrap().typed().unwrap();
    same_address(&ours.to().unwrap(), &to.uri, to.tag().map(rsip::param::Tag::value));
    let contact = theirs.contact_header().unwrap().typed().unwrap();
    let ours_contact = ours.contacts().next().unwrap().unwrap();
    assert_eq!(ours_contact.uri.text, contact.uri.to_string());
    assert_eq!(ours.call_id().unwrap(), theirs.call_id_header().unwrap().value());
    let cseq = theirs.cseq_header().unwrap().typed().unwrap();
    assert_eq!(ours.cseq().unwrap().number, cseq.seq);
    assert_eq!(ours.cseq().unwrap().method.as_str(), cseq.method.to_string());
    assert_eq!(ours.header(Name::MaxForwards), Some("70"));
}

fn same_address(ours: &NameAddr<'_>, uri: &rsip::Uri, tag: Option<&str>) {
    assert_eq!(ours.uri.text, uri.to_string());
    assert_eq!(ours.uri.user, uri.user());
    assert_eq!(ours.uri.host.to_string(), uri.host().to_string());
    assert_eq!(ours.uri.port, uri.port().map(|port| *port.value()));
    assert_eq!(ours.tag(), tag);
}

fn body_of(message: &rsip::SipMessage) -> &[u8] {
    match message {
        rsip::SipMessage::Request(request) => &request.body,
        rsip::SipMessage::Response(response) => &response.body,
    }
}
