//! `bellwire.stream.v1` with its audio in JSON, for clients that can send no binary.
//!
//! A frame is `{"type":"audio","track":…,"t_ms":…,"payload":<base64>}` both ways; of what comes only
//! `payload` is looked at. Everything else is as in the binary form, and binary messages are taken
//! all the same.

use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{self, Refused, Stamp, Told};
use super::{Dialect, Heard};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// A conversation in our own protocol, in JSON alone.
pub(super) struct Json {
    /// Whose audio is sent.
    pub(super) track: &'static str,
}

/// As much of a text as tells whether it is audio.
#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: Option<Cow<'a, str>>,
}

impl Dialect for Json {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        heard.extend(match message {
            Incoming::Text(text) => Some(read_text(&text)),
            Incoming::Binary(octets) => Some(Heard::Audio(octets)),
            Incoming::Alive => None,
        });
    }

    fn tell(&mut self, told: &Told, stamp: Stamp, out: &mut VecDeque<Outgoing>) {
        out.push_back(Outgoing::Text(wire::encode(told, stamp)));
    }

    fn frame(&mut self, octets: Bytes, stamp: Stamp) -> Outgoing {
        let mut text = String::with_capacity(octets.len() * 4 / 3 + 80);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"{{"type":"audio","track":"{}","t_ms":{},"payload":""#,
            self.track, stamp.t_ms
        );
        wire::put_base64(&octets, &mut text);
        text.push_str("\"}");
        Outgoing::Text(text)
    }
}

fn read_text(text: &str) -> Heard {
    match serde_json::from_str::<Audio<'_>>(text) {
        Ok(Audio { kind, payload }) if kind == "audio" => {
            let octets = payload.as_deref().and_then(wire::from_base64);
            octets.map_or_else(|| Heard::Refused(no_payload()), Heard::Audio)
        }
        Ok(_) | Err(_) => match wire::decode(text) {
            Ok((id, request)) => Heard::Request(id, Box::new(request)),
            Err(refused) => Heard::Refused(refused),
        },
    }
}

fn no_payload() -> Refused {
    let detail = "audio needs payload, in base64".to_owned();
    Refused { id: None, code: wire::INVALID, detail }
}

/// Feeds foreign octets to the reader: none may make it panic.
pub(in crate::app::stream) fn fuzz(octets: &[u8]) {
    let mut heard = VecDeque::new();
    let text = String::from_utf8_lossy(octets).into_owned();
    Json { track: "caller" }.read(Incoming::Text(text), &mut heard);
    assert_eq!(heard.len(), 1, "a text is one message");
}

/// A frame as it is written, for the tests of the reference.
#[cfg(test)]
pub(crate) fn frame_text(track: &'static str, octets: &'static [u8]) -> String {
    let stamp = Stamp { seq: 0, t_ms: 40, unix_ms: 0 };
    match (Json { track }).frame(Bytes::from_static(octets), stamp) {
        Outgoing::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

/// How many octets of audio a text brings, for the same.
#[cfg(test)]
pub(crate) fn audio_in(text: &str) -> Option<usize> {
    match read_text(text) {
        Heard::Audio(octets) => Some(octets.len()),
        Heard::Request(..) | Heard::Refused(_) | Heard::Fatal(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Heard {
        let mut heard = VecDeque::new();
        Json { track: "caller" }.read(Incoming::Text(text.to_owned()), &mut heard);
        heard.pop_front().unwrap()
    }

    #[test]
    fn audio_goes_both_ways_in_base64() {
        let stamp = Stamp { seq: 9, t_ms: 40, unix_ms: 0 };
        let octets = Bytes::from_static(&[0, 1, 250, 255]);
        let Outgoing::Text(text) = Json { track: "both" }.frame(octets.clone(), stamp) else {
            panic!("a frame is text");
        };
        assert_eq!(text, r#"{"type":"audio","track":"both","t_ms":40,"payload":"AAH6/w=="}"#);
        assert_eq!(read(&text), Heard::Audio(octets.clone()));
        assert_eq!(read(r#"{"payload":"AAH6_w","type":"audio"}"#), Heard::Audio(octets));
    }

    #[test]
    fn what_is_no_audio_is_read_as_ever() {
        assert!(matches!(read(r#"{"type":"ping","id":1}"#), Heard::Request(Some(_), _)));
        for bad in [r#"{"type":"audio"}"#, r#"{"type":"audio","payload":"&"}"#, "{", "[]"] {
            let Heard::Refused(refused) = read(bad) else { panic!("{bad}") };
            assert_eq!(refused.code, wire::INVALID, "{bad}");
        }
    }
}
