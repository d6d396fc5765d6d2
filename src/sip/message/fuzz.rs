//! Entry points of the fuzz targets: laws that hold for any bytes.
//!
//! They panic when a law is broken, and are called by nothing but tests and `fuzz/`.

use super::{
    Capabilities, Frame, Limits, Message, MessageWriter, Method, Name, NameAddr, OwnedMessage,
    ParseError, ResponseSpec, StartLine, Uri, frame, reason_phrase, salvage, unfold, validate,
};
use std::net::{Ipv4Addr, SocketAddr};

const ABLE: Capabilities<'_> = Capabilities {
    methods: &[Method::Invite, Method::Bye, Method::Options, Method::Register],
    extensions: &["timer"],
    bodies: &["application/sdp"],
    body_max: 4096,
};

/// A message is read, rewritten and answered without a panic, and means the same afterwards.
pub fn message(bytes: &[u8]) {
    let mut scratch = Vec::new();
    match Message::parse(bytes) {
        Ok(message) => {
            touch(&message);
            rewrite(&message);
            let owned = OwnedMessage::from(&message);
            assert_eq!(owned.view().start_line(), message.start_line());
            if message.is_request() && message.has_reply_headers() {
                answer(&message);
            }
        }
        Err(error) => {
            let blank = bytes.chunks(2).all(|pair| pair == b"\r\n");
            assert_eq!(error == ParseError::Empty, blank);
        }
    }
    if let Some(request) = salvage(bytes, &mut scratch) {
        touch(&request);
        answer(&request);
    }
    framer_agrees(bytes);
}

/// A stream gives the same messages however it is cut: the first byte says how.
pub fn stream(bytes: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let whole = cut(bytes, bytes.len().max(1));
    let parts = cut(bytes, usize::from(step).max(1));
    assert_eq!(whole, parts);
    for message in whole.0 {
        match Message::parse(message) {
            Ok(read) => assert!(message.ends_with(read.body())),
            Err(error) => assert!(
                !matches!(
                    error,
                    ParseError::Truncated
                        | ParseError::BodyShort
                        | ParseError::ContentLength
                        | ParseError::BareLineBreak
                ),
                "the framer let {error} through"
            ),
        }
    }
}

/// A URI prints as it was read, is itself, and fits into a name-addr.
pub fn uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    _ = NameAddr::parse(text).map(|address| (address.display_name().is_some(), address.tag()));
    let Ok(uri) = Uri::parse(text) else { return };
    assert_eq!(uri.to_string(), text);
    assert!(uri.same_as(&uri), "{text} is itself");
    _ = uri.user_unescaped();
    assert!(!text.bytes().any(|b| b <= b' ' || b == b'<' || b == b'>' || b == b'"'));
    let bracketed = format!("<{text}>");
    assert!(NameAddr::parse(&bracketed).is_some_and(|address| address.uri == uri));
}

/// Reads everything that can be read.
fn touch(message: &Message<'_>) {
    _ = (message.from(), message.to(), message.call_id(), message.cseq(), message.max_forwards());
    _ = (message.content_type(), message.seconds(Name::Expires), message.authentication_info());
    _ = message.vias().flatten().count();
    let addresses = message.contacts().chain(message.routes()).chain(message.record_routes());
    for address in addresses.flatten() {
        _ = (address.display_name(), address.tag(), address.uri.user_unescaped());
    }
    for name in [Name::WwwAuthenticate, Name::ProxyAuthorization] {
        for challenge in message.challenges(name) {
            assert!(challenge.params.iter().all(|(name, _)| challenge.get(name).is_some()));
        }
    }
    if let Err(refusal) = validate(message, &ABLE) {
        assert!((400..600).contains(&refusal.code));
        assert!(!refusal.to_string().contains(['\r', '\n']));
    }
}

/// Writes the same message again: it must read the same.
fn rewrite(message: &Message<'_>) {
    let mut out = Vec::new();
    let mut writer = match message.start_line() {
        StartLine::Request { method, uri, .. } => MessageWriter::request(&mut out, method, uri),
        StartLine::Response { code, reason } => MessageWriter::response(&mut out, code, reason),
    };
    let kept = |message: &Message<'_>| -> Vec<(String, String)> {
        let lines =
            message.lines().filter(|(n, _)| Name::find(n.as_bytes()) != Name::ContentLength);
        lines.map(|(n, v)| (n.to_owned(), unfold(v).into_owned())).collect()
    };
    for (name, value) in kept(message) {
        writer.other(&name, value);
    }
    let Ok(length) = writer.end_with(message.body()) else { return };
    assert_eq!(length, out.len());
    let again = Message::parse(&out);
    assert!(again.is_ok() || message.lines().count() == super::LINES_MAX, "{:?}", again.err());
    if let Ok(again) = again {
        assert_eq!(kept(&again), kept(message));
        assert_eq!(again.body(), message.body());
    }
}

fn answer(request: &Message<'_>) {
    let source = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 77), 5061));
    let spec = ResponseSpec {
        code: 400,
        reason: reason_phrase(400),
        to_tag: Some("tag"),
        source: Some(source),
        record_route: false,
    };
    let mut out = Vec::new();
    let written = MessageWriter::respond(&mut out, request, &spec).finish();
    assert!(written.is_ok(), "{written:?}");
    let response = Message::parse(&out);
    assert!(response.is_ok_and(|response| response.code() == Some(400)));
}

fn framer_agrees(bytes: &[u8]) {
    let Frame::Complete { len } = frame(bytes, &Limits::DATAGRAM) else { return };
    let framed = bytes.get(..len).unwrap_or_default();
    if let Ok(message) = Message::parse(bytes) {
        assert!(framed.ends_with(message.body()));
        assert!(Message::parse(framed).is_ok_and(|again| again.body() == message.body()));
    }
}

/// Feeds a stream in steps; gives its messages and whether it broke.
fn cut(bytes: &[u8], step: usize) -> (Vec<&[u8]>, bool) {
    let (mut messages, mut start, mut end) = (Vec::new(), 0, 0);
    while end < bytes.len() {
        end = (end + step).min(bytes.len());
        loop {
            let there = bytes.get(start..end).unwrap_or_default();
            match frame(there, &Limits::STREAM) {
                Frame::Incomplete => break,
                Frame::KeepAlive { len } => start += len,
                Frame::Complete { len } => {
                    messages.push(there.get(..len).unwrap_or_default());
                    start += len;
                }
                Frame::Error(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}
