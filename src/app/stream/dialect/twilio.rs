//! Twilio Media Streams, both ways: JSON texts that carry µ-law in base64.
//!
//! Written after Twilio's page "Media Streams: WebSocket Messages". `audio/x-l16` at 16 and 24 kHz
//! is an extension of ours. Does not know Twilio's REST or TwiML.

use super::super::seat::{CloseCode, Incoming, Outgoing};
use super::super::wire::{Outward, Stamp, Start, Told};
use super::news::News;
use super::words::{self, Frames};
use super::{AUDIO_TEXT_MAX, Dialect, Heard};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::fmt::Write as _;

/// A conversation in Twilio's words.
#[derive(Debug, Default)]
pub(super) struct Twilio {
    stream: String,
    call: String,
    account: String,
    /// The number of the last message; the first one that is counted is `start`.
    sequence: u64,
    frames: Frames,
}

impl Dialect for Twilio {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        match message {
            Incoming::Text(text) => heard.push_back(read(&text)),
            Incoming::Binary(_) => {
                heard.push_back(Heard::Fatal(CloseCode::Protocol, "Twilio's protocol is text"));
            }
            Incoming::Alive => {}
        }
    }

    fn tell(&mut self, told: &Told, _: Stamp, out: &mut VecDeque<Outgoing>) {
        let message = match News::from(told) {
            News::Start(start) => {
                let connected =
                    json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" });
                out.push_back(Outgoing::Text(connected.to_string()));
                self.start(start)
            }
            News::Digit(digit, _) => {
                let dtmf = json!({ "track": "inbound_track", "digit": digit });
                json!({ "event": "dtmf", "dtmf": dtmf })
            }
            // What was cleared comes back, too: Twilio's clients wait for it.
            News::Mark { name, .. } => json!({ "event": "mark", "mark": { "name": name } }),
            News::Stop => {
                let stop = json!({ "accountSid": self.account, "callSid": self.call });
                json!({ "event": "stop", "stop": stop })
            }
            News::Over { .. }
            | News::Flow { .. }
            | News::Done(_)
            | News::Error { .. }
            | News::Stats(_)
            | News::Other => return,
        };
        out.push_back(Outgoing::Text(self.numbered(message)));
    }

    fn frame(&mut self, octets: Bytes, stamp: Stamp) -> Outgoing {
        self.sequence += 1;
        let (chunk, ms) = self.frames.next(octets.len(), stamp.t_ms);
        let mut text = String::with_capacity(200 + octets.len() * 4 / 3);
        // Numbers and ids need no escapes.
        let _ = write!(
            text,
            r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{ms}","payload":""#,
            self.sequence,
        );
        words::push_payload(&mut text, &octets);
        let _ = write!(text, r#""}},"streamSid":"{}"}}"#, self.stream);
        Outgoing::Text(text)
    }

    fn text_max(&self) -> usize {
        AUDIO_TEXT_MAX
    }
}

impl Twilio {
    fn start(&mut self, start: &Start) -> Value {
        self.stream = words::sid("MZ", &start.call_id);
        self.call = words::sid("CA", &start.call_id);
        let own = || words::sid("AC", &start.instance_id);
        self.account = start.account.clone().unwrap_or_else(own);
        self.frames = Frames::of(start.outward.as_ref());
        let tracks = start.outward.as_ref().map_or(vec![], |_| vec!["inbound"]);
        let body = json!({
            "accountSid": self.account,
            "streamSid": self.stream,
            "callSid": self.call,
            "tracks": tracks,
            "mediaFormat": format(start.outward.as_ref()),
            "customParameters": parameters(start),
        });
        json!({ "event": "start", "start": body })
    }

    /// The message with the number and the name that all but the first have.
    fn numbered(&mut self, mut message: Value) -> String {
        self.sequence += 1;
        if let Some(object) = message.as_object_mut() {
            object.insert("sequenceNumber".to_owned(), self.sequence.to_string().into());
            object.insert("streamSid".to_owned(), self.stream.clone().into());
        }
        message.to_string()
    }
}

fn read(text: &str) -> Heard {
    let message: words::Message<'_> = match serde_json::from_str(text) {
        Ok(message) => message,
        Err(error) => return words::invalid(format!("no message of Twilio's: {error}")),
    };
    match message.event.as_ref() {
        "media" => match message.media.map(|media| words::octets(&media.payload)) {
            Some(Ok(octets)) => Heard::Audio(octets),
            Some(Err(refused)) => refused,
            None => words::refused("missing_field", "media has no media"),
        },
        "mark" => words::mark(message.mark.and_then(|mark| mark.name).as_deref()),
        "clear" => Heard::request(words::clear()),
        unknown => words::unknown(unknown),
    }
}

/// The user's parameters, and who speaks with whom under the names that bots look for.
fn parameters(start: &Start) -> Map<String, Value> {
    let mut parameters = words::texts(&start.parameters);
    for (name, number) in [("from_number", words::from(start)), ("to_number", start.to.as_str())] {
        parameters.entry(name).or_insert_with(|| number.into());
    }
    parameters
}

fn format(outward: Option<&Outward>) -> Value {
    let (format, rate) = outward.map_or(("mulaw", 8000), |outward| (outward.format, outward.rate));
    let encoding = if format == "mulaw" { "audio/x-mulaw" } else { "audio/x-l16" };
    json!({ "encoding": encoding, "sampleRate": rate, "channels": 1 })
}
