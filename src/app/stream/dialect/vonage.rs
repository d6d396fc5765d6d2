//! The WebSocket endpoint of Vonage's Voice API: binary L16, and JSON texts beside it.
//!
//! Written after Vonage's guide "WebSockets in the Vonage Voice API". Does not know NCCOs.

use super::super::seat::{Incoming, Outgoing};
use super::super::wire::{CommandId, Request, Stamp, Start, Told};
use super::news::News;
use super::words;
use super::{Dialect, Heard};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;

/// Longest payload of a `notify`, in octets: it waits with its mark.
const PAYLOAD_MAX: usize = 1024;
/// The command whose end is told as `websocket:cleared`.
const CLEAR: &str = "clear";

/// A conversation in Vonage's words; it has nothing to remember.
#[derive(Debug)]
pub(super) struct Vonage;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(default)]
    payload: Option<Value>,
}

impl Dialect for Vonage {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        heard.extend(match message {
            Incoming::Text(text) => Some(read(&text)),
            Incoming::Binary(octets) => Some(Heard::Audio(octets)),
            Incoming::Alive => None,
        });
    }

    fn tell(&mut self, told: &Told, _: Stamp, out: &mut VecDeque<Outgoing>) {
        let message = match News::from(told) {
            News::Start(start) => connected(start),
            News::Digit(digit, duration_ms) => {
                json!({ "event": "websocket:dtmf", "digit": digit, "duration": duration_ms })
            }
            // Its name is the payload, as JSON.
            News::Mark { name, cleared: false } => {
                let payload: Value = serde_json::from_str(name).unwrap_or_default();
                json!({ "event": "websocket:notify", "payload": payload })
            }
            News::Done(CommandId::Text(id)) if id.as_ref() == CLEAR => {
                json!({ "event": "websocket:cleared" })
            }
            News::Mark { cleared: true, .. }
            | News::Done(_)
            | News::Over { .. }
            | News::Flow { .. }
            | News::Error { .. }
            | News::Stats(_)
            | News::Stop
            | News::Other => return,
        };
        out.push_back(Outgoing::Text(message.to_string()));
    }

    fn frame(&mut self, octets: Bytes, _: Stamp) -> Outgoing {
        Outgoing::Binary(octets)
    }
}

fn read(text: &str) -> Heard {
    let message: Message<'_> = match serde_json::from_str(text) {
        Ok(message) => message,
        Err(error) => return words::invalid(format!("no message of Vonage's: {error}")),
    };
    match message.action.as_ref() {
        "clear" => {
            let id = CommandId::Text(CLEAR.into());
            Heard::Request(Some(id), Box::new(words::clear()))
        }
        "notify" => {
            let payload = message.payload.unwrap_or_default().to_string();
            if payload.len() > PAYLOAD_MAX {
                let detail = format!("a payload has at most {PAYLOAD_MAX} octets");
                return words::refused("invalid_field", detail);
            }
            Heard::request(Request::Mark(payload))
        }
        unknown => words::unknown(unknown),
    }
}

/// The first text: what is spoken, and the user's parameters beside it as Vonage has its headers.
fn connected(start: &Start) -> Value {
    let mut message = start.parameters.clone();
    let rate = start.outward.as_ref().map_or(start.inward.rate, |outward| outward.rate);
    for (name, value) in [
        ("uuid", words::uuid(&start.call_id)),
        ("from", words::from(start).to_owned()),
        ("to", start.to.clone()),
    ] {
        message.entry(name).or_insert_with(|| value.into());
    }
    message.insert("event".to_owned(), "websocket:connected".into());
    message.insert("content-type".to_owned(), format!("audio/l16;rate={rate}").into());
    Value::Object(message)
}
