//! Foreign messages for the reader of each dialect: none may make it panic, and what is answered
//! to them must be writable.

use super::super::options::{Protocol, Settings, StreamOptions};
use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{Inward, Outward, Refused, Request, Stamp, Start, Told, Transcribing};
use super::{Dialect, Heard, open};
use crate::call::record::Direction;
use bytes::Bytes;
use serde_json::Value;
use std::collections::VecDeque;

/// Twilio's reader.
pub fn twilio(octets: &[u8]) {
    converse(Protocol::Twilio, octets);
}

/// Vonage's reader.
pub fn vonage(octets: &[u8]) {
    converse(Protocol::Vonage, octets);
}

/// Telnyx's reader.
pub fn telnyx(octets: &[u8]) {
    converse(Protocol::Telnyx, octets);
}

/// Plivo's reader.
pub fn plivo(octets: &[u8]) {
    converse(Protocol::Plivo, octets);
}

/// The reader of jambonz.
pub fn jambonz(octets: &[u8]) {
    converse(Protocol::Jambonz, octets);
}

/// The two readers of Asterisk.
pub fn asterisk(octets: &[u8]) {
    converse(Protocol::Asterisk, octets);
    converse(Protocol::AsteriskJson, octets);
}

/// Pipecat's reader.
pub fn pipecat(octets: &[u8]) {
    converse(Protocol::Pipecat, octets);
}

const STAMP: Stamp = Stamp { seq: 1, t_ms: 20, unix_ms: 1_760_000_000_000 };

/// The octets as a text and as a binary message, and an answer to all that they ask.
fn converse(protocol: Protocol, octets: &[u8]) {
    let asked = StreamOptions { protocol: Some(protocol), ..StreamOptions::default() };
    let mut dialect = open(&Settings::resolve(&asked, 16_000, 60_000));
    let (mut heard, mut out) = (VecDeque::new(), VecDeque::new());
    dialect.tell(&Told::Start(Box::new(start("mulaw", 8000))), STAMP, &mut out);
    let text = String::from_utf8_lossy(octets).into_owned();
    dialect.read(Incoming::Text(text), &mut heard);
    dialect.read(Incoming::Binary(Bytes::copy_from_slice(octets)), &mut heard);
    for heard in heard {
        answer(dialect.as_mut(), heard, &mut out);
    }
    out.push_back(dialect.frame(Bytes::copy_from_slice(octets), STAMP));
    for message in out {
        if let Outgoing::Text(text) = message
            && protocol != Protocol::Asterisk
        {
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
        }
    }
}

fn answer(dialect: &mut dyn Dialect, heard: Heard, out: &mut VecDeque<Outgoing>) {
    let mut tell = |told: &Told| dialect.tell(told, STAMP, out);
    match heard {
        Heard::Request(id, request) => {
            if let Some(id) = id {
                tell(&Told::Ack { id, recording: None });
            }
            match *request {
                Request::Mark(name) => {
                    let name = name.into_boxed_str();
                    tell(&Told::Mark { name, played_ms: 1, squeezed_ms: 0, cleared: false });
                }
                Request::Utterance(name) => {
                    let (state, utterance) = ("completed", Some(name));
                    let (played_ms, squeezed_ms, discarded_ms) = (1, 0, 0);
                    tell(&Told::Playback {
                        state,
                        utterance,
                        played_ms,
                        squeezed_ms,
                        discarded_ms,
                    });
                }
                request => {
                    let detail = format!("{request:?}");
                    tell(&Told::Error { id: None, code: "x", detail, fatal: false });
                }
            }
        }
        Heard::Refused(Refused { id, code, detail }) => {
            tell(&Told::Error { id, code, detail, fatal: false });
        }
        Heard::Audio(_) | Heard::Fatal(..) => {}
    }
}

/// The beginning of a conversation in this format, both ways.
pub(super) fn start(format: &'static str, rate: u32) -> Start {
    let parameters = serde_json::json!({ "order": "7\"", "level": 3, "vip": true });
    Start {
        version: 1,
        call_id: "call_0199b3c1f00d7cafe0123456789abcde".to_owned(),
        instance_id: "inst_demo".to_owned(),
        direction: Direction::Inbound,
        from: Some("+15550100".to_owned()),
        identity: None,
        sip: crate::app::stream::wire::Sip::default(),
        srtp: None,
        to: "+15550123".to_owned(),
        call_status: "IN_PROGRESS",
        inward: Inward { format, rate, channels: 1 },
        outward: Some(Outward { format, rate, channels: 1, frame_ms: 20, tracks: &["caller"] }),
        buffer_ms: 20_000,
        playout: "queue",
        barge_in: "off",
        transcription: Transcribing { status: "off", reason: None, engine: None },
        parameters: parameters.as_object().cloned().unwrap_or_default(),
        account: None,
        role: "main",
        envelope: "binary",
        linger_ms: 30_000,
        resume: None,
        resumed: false,
    }
}
