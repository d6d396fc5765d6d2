//! Telnyx media streaming, both ways: JSON texts that carry what a packet would, in base64.
//!
//! Written after Telnyx's pages "Media Streaming over WebSockets" and "Stream call media over
//! WebSocket". `format=mp3` is its bidirectional mode `mp3`: each message of the client is a file.
//! Does not know Telnyx's REST.

use super::super::seat::{CloseCode, Incoming, Outgoing};
use super::super::wire::{INVALID, Stamp, Start, Told};
use super::news::News;
use super::words::{self, Frames, Tuning};
use super::{AUDIO_TEXT_MAX, Dialect, Heard};
use crate::audio::decode::LiveFormat;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Longest sound of one message, in seconds.
const SECONDS_MAX: usize = 30;

/// A conversation in Telnyx's words.
#[derive(Debug, Default)]
pub(super) struct Telnyx {
    stream: String,
    control: String,
    user: String,
    sequence: u64,
    frames: Frames,
    tuning: Tuning,
}

impl Dialect for Telnyx {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        match message {
            Incoming::Text(text) => self.read_text(&text, heard),
            Incoming::Binary(_) => {
                heard.push_back(Heard::Fatal(CloseCode::Protocol, "Telnyx's protocol is text"));
            }
            Incoming::Alive => {}
        }
    }

    fn tell(&mut self, told: &Told, stamp: Stamp, out: &mut VecDeque<Outgoing>) {
        let message = match News::from(told) {
            News::Start(start) => {
                let connected = json!({ "event": "connected", "version": "1.0.0" });
                out.push_back(Outgoing::Text(connected.to_string()));
                self.start(start)
            }
            News::Digit(digit, _) => {
                let occurred_at = super::super::wire::rfc3339(stamp.unix_ms, true);
                json!({ "event": "dtmf", "occurred_at": occurred_at, "dtmf": { "digit": digit } })
            }
            // A clear sends back what it made void.
            News::Mark { name, .. } => json!({ "event": "mark", "mark": { "name": name } }),
            News::Error { code, detail, .. } => error(code, detail),
            News::Stop => {
                let stop = json!({ "user_id": self.user, "call_control_id": self.control });
                json!({ "event": "stop", "stop": stop })
            }
            News::Over { .. }
            | News::Flow { .. }
            | News::Done(_)
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
            r#"{{"event":"media","sequence_number":"{}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{ms}","payload":""#,
            self.sequence,
        );
        words::push_payload(&mut text, &octets);
        let _ = write!(text, r#""}},"stream_id":"{}"}}"#, self.stream);
        Outgoing::Text(text)
    }

    fn text_max(&self) -> usize {
        AUDIO_TEXT_MAX
    }
}

impl Telnyx {
    fn read_text(&mut self, text: &str, heard: &mut VecDeque<Heard>) {
        let message: words::Message<'_> = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => {
                return heard.push_back(words::invalid(format!("no message of Telnyx's: {error}")));
            }
        };
        match message.event.as_ref() {
            "media" => match message.media.map(|media| words::octets(&media.payload)) {
                Some(Ok(octets)) => self.play(octets, heard),
                Some(Err(refused)) => heard.push_back(refused),
                None => heard.push_back(words::refused("missing_field", "media has no media")),
            },
            "mark" => heard.push_back(words::mark(message.mark.and_then(|m| m.name).as_deref())),
            "clear" => heard.push_back(Heard::request(words::clear())),
            unknown => heard.push_back(words::unknown(unknown)),
        }
    }

    fn play(&mut self, octets: Bytes, heard: &mut VecDeque<Heard>) {
        let (format, rate) = self.tuning.agreed();
        let width = if format == LiveFormat::PcmS16Le { 2 } else { 1 };
        if format != LiveFormat::Mp3 && octets.len() > SECONDS_MAX * width * rate as usize {
            let detail = format!("one message has at most {SECONDS_MAX} s of sound");
            return heard.push_back(words::refused("invalid_media", detail));
        }
        self.tuning.audio((format, rate), octets, heard);
    }

    fn start(&mut self, start: &Start) -> Value {
        self.stream = words::uuid(&start.call_id);
        self.control = format!("v3:{}", words::tail(&start.call_id));
        self.user = words::uuid(start.instance_id.strip_prefix("inst_").unwrap_or_default());
        self.frames = Frames::of(start.outward.as_ref());
        self.tuning = Tuning::of(start);
        let (format, rate) =
            start.outward.as_ref().map_or(("mulaw", 8000), |out| (out.format, out.rate));
        let encoding = match format {
            "mulaw" => "PCMU",
            "alaw" => "PCMA",
            _ => "L16",
        };
        let body = json!({
            "user_id": self.user,
            "call_control_id": self.control,
            "call_session_id": self.stream,
            "from": words::from(start),
            "to": start.to,
            "custom_parameters": words::texts(&start.parameters),
            "media_format": { "encoding": encoding, "sample_rate": rate, "channels": 1 },
        });
        json!({ "event": "start", "start": body })
    }

    fn numbered(&mut self, mut message: Value) -> String {
        self.sequence += 1;
        if let Some(object) = message.as_object_mut() {
            object.insert("sequence_number".to_owned(), self.sequence.to_string().into());
            object.insert("stream_id".to_owned(), self.stream.clone().into());
        }
        message.to_string()
    }
}

/// An error in Telnyx's codes.
fn error(code: &str, detail: &str) -> Value {
    let (number, title) = match code {
        INVALID | "unknown_type" | "missing_field" | "invalid_field" => {
            (100_003, "malformed_frame")
        }
        "invalid_media" => (100_004, "invalid_media"),
        _ => (100_002, "unknown_error"),
    };
    json!({ "event": "error", "payload": { "code": number, "title": title, "detail": detail } })
}
