//! What several dialects have in common: audio in base64, ids, counters, formats that change.
//!
//! Owns no message of its own.

use super::super::options::IN_RATES;
use super::super::wire::{self, INVALID, NAME_MAX, OutWish, Outward, Refused, Request, Start};
use super::Heard;
use crate::audio::decode::LiveFormat;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What a client of Twilio's or Telnyx's may say.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) media: Option<Media<'a>>,
    #[serde(borrow, default)]
    pub(super) mark: Option<Mark<'a>>,
}

/// Audio of it.
#[derive(Deserialize)]
pub(super) struct Media<'a> {
    #[serde(borrow)]
    pub(super) payload: Cow<'a, str>,
}

/// A mark of it.
#[derive(Deserialize)]
pub(super) struct Mark<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
}

/// A text that is no message of the dialect: a fault, and too many end the stream.
pub(super) fn invalid(detail: impl Into<String>) -> Heard {
    refused(INVALID, detail)
}

/// Something that cannot be taken.
pub(super) fn refused(code: &'static str, detail: impl Into<String>) -> Heard {
    Heard::Refused(Refused { id: None, code, detail: detail.into() })
}

/// What is said of a message of a type that is not known.
pub(super) fn unknown(kind: &str) -> Heard {
    let kind: String = kind.chars().take(80).collect();
    refused("unknown_type", format!("{kind:?} is unknown"))
}

/// The octets of a payload.
pub(super) fn octets(payload: &str) -> Result<Bytes, Heard> {
    wire::from_base64(payload).ok_or_else(|| refused("invalid_media", "the payload is no base64"))
}

/// Octets as base64, at the end of a text.
pub(super) fn push_payload(text: &mut String, octets: &[u8]) {
    wire::put_base64(octets, text);
}

/// The request for a mark of this name.
pub(super) fn mark(name: Option<&str>) -> Heard {
    match name {
        Some(name) if name.len() <= NAME_MAX => Heard::request(Request::Mark(name.to_owned())),
        Some(_) => refused("invalid_field", format!("a name has at most {NAME_MAX} octets")),
        None => refused("missing_field", "the name is missing"),
    }
}

/// Throw everything away that is queued.
pub(super) fn clear() -> Request {
    Request::Clear { fade_ms: None, utterance: None }
}

/// The digits of a call's id.
pub(super) fn tail(call: &str) -> &str {
    call.strip_prefix("call_").unwrap_or(call)
}

/// The digits of an id as a UUID, where they are those of one.
pub(super) fn uuid(id: &str) -> String {
    let digits = tail(id);
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return digits.to_owned();
    }
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// Twilio's form of an id: a prefix and 32 digits, filled up where ours has fewer.
pub(super) fn sid(prefix: &str, id: &str) -> String {
    let digits = id.split_once('_').map_or(id, |(_, digits)| digits);
    format!("{prefix}{digits:0>32}")
}

/// The user's parameters as texts, which is all that most vendors have.
pub(super) fn texts(parameters: &Map<String, Value>) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(text) => Value::String(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Value::String(value.to_string())
        }
    };
    parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// The calling party, or nothing.
pub(super) fn from(start: &Start) -> &str {
    start.from.as_deref().unwrap_or_default()
}

/// What frames are called and when they were spoken: counted in samples from the first one.
///
/// When the clock is ahead by more than a second the count goes on there: silence was not written
/// out, or the client read late. It is never ahead of the clock by more than that.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Octets of a millisecond.
    octets_per_ms: u64,
    /// Frames so far.
    count: u64,
    /// When the next one begins, in milliseconds of the stream.
    next_ms: Option<u64>,
    /// When the last one began.
    last_ms: u64,
    /// Of the last millisecond, in octets.
    rest: u64,
}

/// How far the clock must be from the count before it is believed.
const JUMP_MS: u64 = 1000;

impl Frames {
    /// For frames of what `start` announces.
    pub(super) fn of(outward: Option<&Outward>) -> Self {
        let octets_per_ms = outward.map_or(8, |outward| {
            let octets = if outward.format == "pcm_s16le" { 2 } else { 1 };
            u64::from(outward.rate) / 1000 * octets
        });
        Self { octets_per_ms: octets_per_ms.max(1), ..Self::default() }
    }

    /// The number of the next frame, from 1, and when its first sample was spoken.
    pub(super) fn next(&mut self, octets: usize, t_ms: u64) -> (u64, u64) {
        let counted = self.next_ms.unwrap_or(t_ms);
        let near = t_ms.abs_diff(counted) <= JUMP_MS;
        let begins = if near { counted } else { t_ms.max(self.last_ms) };
        self.last_ms = begins;
        let length = self.rest + octets as u64;
        self.rest = length % self.octets_per_ms.max(1);
        self.next_ms = Some(begins + length / self.octets_per_ms.max(1));
        self.count += 1;
        (self.count, begins)
    }
}

/// How the client's audio is read at present, where its messages say so one by one.
#[derive(Debug)]
pub(super) struct Tuning {
    agreed: (LiveFormat, u32),
    present: (LiveFormat, u32),
}

impl Default for Tuning {
    fn default() -> Self {
        let law = (LiveFormat::Mulaw, 8000);
        Self { agreed: law, present: law }
    }
}

impl Tuning {
    /// As `start` announces.
    pub(super) fn of(start: &Start) -> Self {
        let format = LiveFormat::by_name(start.inward.format).unwrap_or(LiveFormat::PcmS16Le);
        let agreed = (format, start.inward.rate);
        Self { agreed, present: agreed }
    }

    /// The format that was agreed on, and its rate in Hz.
    pub(super) fn agreed(&self) -> (LiveFormat, u32) {
        self.agreed
    }

    /// Audio in this format and at this rate in Hz: reading changes first, if it must.
    pub(super) fn audio(
        &mut self,
        sound: (LiveFormat, u32),
        octets: Bytes,
        heard: &mut impl Extend<Heard>,
    ) {
        let (format, rate) = sound;
        if !IN_RATES.contains(&rate) {
            let detail = format!("a rate must be one of {IN_RATES:?}");
            heard.extend([refused("unsupported_rate", detail)]);
            return;
        }
        // A file has a beginning and an end, even behind another one.
        let is_file = matches!(format, LiveFormat::Mp3 | LiveFormat::Wav);
        if is_file || self.present != sound {
            self.present = sound;
            let request = Request::Configure {
                format: Some(format),
                rate: Some(rate),
                out: OutWish::default(),
            };
            heard.extend([Heard::request(request)]);
        }
        heard.extend([Heard::Audio(octets)]);
    }
}
