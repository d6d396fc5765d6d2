//! Plivo audio streaming, both ways: JSON texts that carry audio in base64, each with its format.
//!
//! Written after Plivo's page "Stream Event Protocol". Does not know Plivo's REST or XML.

use super::super::seat::{CloseCode, Incoming, Outgoing};
use super::super::wire::{CommandId, Request, Stamp, Start, Told};
use super::news::News;
use super::words::{self, Frames, Tuning};
use super::{AUDIO_TEXT_MAX, Dialect, Heard};
use crate::audio::decode::LiveFormat;
use crate::call::control::DtmfMethod;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// The command whose end is told as `clearedAudio`.
const CLEAR: &str = "clearAudio";

/// A conversation in Plivo's words.
#[derive(Debug, Default)]
pub(super) struct Plivo {
    stream: String,
    sequence: u64,
    frames: Frames,
    tuning: Tuning,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    media: Option<Media<'a>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    dtmf: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Media<'a> {
    #[serde(borrow, default)]
    content_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sample_rate: Option<Rate<'a>>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

/// A rate, which some write as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rate<'a> {
    Number(u32),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl Dialect for Plivo {
    fn read(&mut self, message: Incoming, heard: &mut VecDeque<Heard>) {
        match message {
            Incoming::Text(text) => self.read_text(&text, heard),
            Incoming::Binary(_) => {
                heard.push_back(Heard::Fatal(CloseCode::Protocol, "Plivo's protocol is text"));
            }
            Incoming::Alive => {}
        }
    }

    fn tell(&mut self, told: &Told, stamp: Stamp, out: &mut VecDeque<Outgoing>) {
        let message = match News::from(told) {
            News::Start(start) => self.start(start),
            News::Digit(digit, _) => {
                let timestamp = stamp.unix_ms.to_string();
                let dtmf = json!({ "track": "inbound", "digit": digit, "timestamp": timestamp });
                json!({ "event": "dtmf", "streamId": self.stream, "dtmf": dtmf })
            }
            // What was cleared was not played.
            News::Mark { name, cleared: false } => {
                json!({ "event": "playedStream", "streamId": self.stream, "name": name })
            }
            News::Done(CommandId::Text(id)) if id.as_ref() == CLEAR => {
                json!({ "event": "clearedAudio", "streamId": self.stream })
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
        out.push_back(Outgoing::Text(self.numbered(message)));
    }

    fn frame(&mut self, octets: Bytes, stamp: Stamp) -> Outgoing {
        self.sequence += 1;
        let (chunk, ms) = self.frames.next(octets.len(), stamp.t_ms);
        // When the stream began, and so many milliseconds.
        let late_ms = i64::try_from(stamp.t_ms).unwrap_or(0) - i64::try_from(ms).unwrap_or(0);
        let unix_ms = stamp.unix_ms - late_ms;
        let mut text = String::with_capacity(200 + octets.len() * 4 / 3);
        // Numbers and ids need no escapes.
        let _ = write!(
            text,
            r#"{{"event":"media","sequenceNumber":{},"streamId":"{}","media":{{"track":"inbound","chunk":{chunk},"timestamp":"{unix_ms}","payload":""#,
            self.sequence, self.stream,
        );
        words::push_payload(&mut text, &octets);
        text.push_str(r#""}}"#);
        Outgoing::Text(text)
    }

    fn text_max(&self) -> usize {
        AUDIO_TEXT_MAX
    }
}

impl Plivo {
    fn read_text(&mut self, text: &str, heard: &mut VecDeque<Heard>) {
        let message: Message<'_> = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => {
                return heard.push_back(words::invalid(format!("no message of Plivo's: {error}")));
            }
        };
        match message.event.as_ref() {
            "playAudio" => match message.media {
                Some(media) => self.play(&media, heard),
                None => heard.push_back(words::refused("missing_field", "media is missing")),
            },
            "checkpoint" => heard.push_back(words::mark(message.name.as_deref())),
            "clearAudio" => {
                let id = CommandId::Text(CLEAR.into());
                heard.push_back(Heard::Request(Some(id), Box::new(words::clear())));
            }
            "sendDTMF" => heard.push_back(press(message.dtmf.as_deref().unwrap_or_default())),
            unknown => heard.push_back(words::unknown(unknown)),
        }
    }

    fn play(&mut self, media: &Media<'_>, heard: &mut VecDeque<Heard>) {
        let (agreed, agreed_rate) = self.tuning.agreed();
        // The type may have its rate with it, as in the attribute of the XML.
        let named =
            media.content_type.as_deref().map(|name| name.split(';').next().unwrap_or(name));
        let format = match named {
            None => agreed,
            Some("audio/x-l16") => LiveFormat::PcmS16Le,
            Some("audio/x-mulaw") => LiveFormat::Mulaw,
            Some(_) => {
                let detail = "contentType must be audio/x-l16 or audio/x-mulaw";
                return heard.push_back(words::refused("unsupported_format", detail));
            }
        };
        let rate = match &media.sample_rate {
            None => Some(if format == agreed { agreed_rate } else { 8000 }),
            Some(Rate::Number(rate)) => Some(*rate),
            Some(Rate::Text(rate)) => rate.parse().ok(),
        };
        let Some(rate) = rate else {
            let detail = "sampleRate must be a number";
            return heard.push_back(words::refused("unsupported_rate", detail));
        };
        match words::octets(&media.payload) {
            Ok(octets) => self.tuning.audio((format, rate), octets, heard),
            Err(refused) => heard.push_back(refused),
        }
    }

    fn start(&mut self, start: &Start) -> Value {
        self.stream = words::uuid(&start.call_id);
        self.frames = Frames::of(start.outward.as_ref());
        self.tuning = Tuning::of(start);
        let (format, rate) =
            start.outward.as_ref().map_or(("mulaw", 8000), |out| (out.format, out.rate));
        let encoding = if format == "mulaw" { "audio/x-mulaw" } else { "audio/x-l16" };
        let tracks = start.outward.as_ref().map_or(vec![], |_| vec!["inbound"]);
        let body = json!({
            "callId": self.stream,
            "streamId": self.stream,
            "accountId": words::sid("MA", &start.instance_id),
            "from": words::from(start),
            "to": start.to,
            "tracks": tracks,
            "mediaFormat": { "encoding": encoding, "sampleRate": rate },
        });
        json!({ "event": "start", "start": body, "extra_headers": headers(start) })
    }

    fn numbered(&mut self, mut message: Value) -> String {
        self.sequence += 1;
        if let Some(object) = message.as_object_mut() {
            object.insert("sequenceNumber".to_owned(), self.sequence.into());
        }
        message.to_string()
    }
}

fn press(digits: &str) -> Heard {
    match super::super::wire::digits(Some(digits.to_owned())) {
        Ok(digits) => {
            let method = DtmfMethod::Auto;
            Heard::request(Request::Dtmf { digits, duration_ms: None, gap_ms: None, method })
        }
        Err((code, detail)) => words::refused(code, detail),
    }
}

/// The user's parameters as Plivo writes its extra headers: `name=value;name=value`.
fn headers(start: &Start) -> String {
    let parameters = words::texts(&start.parameters);
    let pair =
        |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or_default());
    parameters.iter().map(pair).collect::<Vec<_>>().join(";")
}
