//! What a vendor's part is: pure encoders and decoders of its messages.
//!
//! ```text
//!  session ── samples, finalise, close ──> Dialect ──> Say  ──> socket
//!  session <── Heard ── Dialect <── text or octets <────────── socket
//! ```
//!
//! Owns nothing that waits: no socket, no clock. Times are samples since the first that was sent
//! on the connection; the session puts them on the call's clock.

use super::interface::SttUnavailable;
use crate::net::ws::WsRequest;
use bytes::Bytes;
use serde_json::Value;

/// Words of one message that are looked at; more are left out.
pub(super) const WORDS_MAX: usize = 4000;
/// Octets of a text that are taken.
pub(super) const TEXT_MAX: usize = 32 * 1024;
/// The latest time an engine may speak of: a day.
const SECONDS_MAX: f64 = 86_400.0;

/// A message to an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Say {
    /// Text.
    Text(String),
    /// Octets.
    Binary(Bytes),
}

/// What an engine said. Times: samples since the connection's first; `None`: it did not tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// It works.
    Ready,
    /// Speech began.
    SpeechStarted(Option<u64>),
    /// Speech ended.
    SpeechEnded(Option<u64>),
    /// Words.
    Text(HeardText),
    /// End of turn.
    TurnEnd {
        /// Where.
        at: Option<u64>,
        /// 0 to 1.
        confidence: f32,
    },
    /// It cannot go on; `fatal`: and another connection would not help.
    Failed {
        /// For the log and the call's owner.
        reason: String,
        /// See above.
        fatal: bool,
    },
}

/// Words of an engine.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct HeardText {
    /// Tells stretches of one connection apart; partials and the final of a stretch share it.
    pub(super) stretch: u64,
    /// As the engine writes it.
    pub(super) text: String,
    /// It will not change.
    pub(super) is_final: bool,
    /// First sample.
    pub(super) start: Option<u64>,
    /// One past the last.
    pub(super) end: Option<u64>,
    /// 0 to 1.
    pub(super) confidence: Option<f32>,
    /// BCP 47.
    pub(super) language: Option<String>,
    /// Words with times.
    pub(super) words: Vec<HeardWord>,
}

/// One word of an engine.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HeardWord {
    /// As spoken.
    pub(super) text: String,
    /// First sample.
    pub(super) start: u64,
    /// One past the last.
    pub(super) end: u64,
    /// 0 to 1.
    pub(super) confidence: Option<f32>,
}

/// A vendor's messages. One value serves a call through all its connections.
pub(super) trait Dialect: Send {
    /// Where to connect, and with which header fields.
    fn request(&self) -> WsRequest;

    /// A connection is open: forget the one before, and say what goes first.
    fn opening(&mut self) -> Vec<Say>;

    /// Whether the engine announces that it is ready ([`Heard::Ready`]); if not, it is when the
    /// connection is open.
    fn greets(&self) -> bool {
        false
    }

    /// Fewest samples of a frame; the rest waits for more.
    fn frame_min(&self) -> usize;

    /// A frame of audio.
    fn audio(&mut self, samples: &[i16]) -> Say;

    /// Ask for the final of what was sent.
    fn finalise(&mut self) -> Vec<Say>;

    /// Other phrases are expected.
    fn phrases(&mut self, phrases: &[String]) -> Vec<Say>;

    /// What keeps a connection without audio alive.
    fn keep_alive(&self) -> Option<Say> {
        None
    }

    /// Goodbye.
    fn close(&mut self) -> Vec<Say>;

    /// Whether the engine closes the connection after the goodbye; if not, it is closed when the
    /// engine owes nothing more.
    fn hangs_up(&self) -> bool {
        true
    }

    /// Whether the engine owes an answer, so that its silence is a stall.
    fn owes(&self) -> bool;

    /// Reads a message. What is unknown says nothing.
    fn text(&mut self, message: &str) -> Vec<Heard>;

    /// The connection is lost: what was final but not yet told.
    fn lost(&mut self) -> Vec<Heard> {
        Vec::new()
    }
}

/// Seconds of an engine as samples; nonsense is `None`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be small")]
pub(super) fn samples(seconds: Option<f64>, rate: u32) -> Option<u64> {
    let seconds = seconds.filter(|seconds| (0.0..SECONDS_MAX).contains(seconds))?;
    Some((seconds * f64::from(rate)).round() as u64)
}

/// A confidence as 0 to 1.
#[expect(clippy::cast_possible_truncation, reason = "a share")]
pub(super) fn share(value: &Value) -> Option<f32> {
    value.as_f64().filter(|share| share.is_finite()).map(|share| share.clamp(0.0, 1.0) as f32)
}

/// The mean of the words' confidences.
pub(super) fn mean_confidence(words: &[HeardWord]) -> Option<f32> {
    let told: Vec<f32> = words.iter().filter_map(|word| word.confidence).collect();
    #[expect(clippy::cast_precision_loss, reason = "some words")]
    let mean = told.iter().sum::<f32>() / told.len() as f32;
    (!told.is_empty()).then_some(mean)
}

/// A message as JSON; what is none is `Null`, of which every field is absent.
pub(super) fn json(message: &str) -> Value {
    serde_json::from_str(message).unwrap_or_default()
}

/// Text of a message: bounded, trimmed, control characters as blanks.
pub(super) fn clean(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default().trim();
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A reason of an engine, short enough for a log.
pub(super) fn reason(value: &Value) -> String {
    clean(value).chars().take(200).collect()
}

/// Names of the fields of a word list.
pub(super) struct WordFields {
    /// The word itself; the first that is there counts.
    pub(super) text: [&'static str; 2],
    /// Its confidence.
    pub(super) confidence: &'static str,
    /// How many units of time are a second.
    pub(super) units: f64,
}

/// The words of a list, at most [`WORDS_MAX`]; those without text or times are left out.
pub(super) fn words(list: &Value, fields: &WordFields, rate: u32) -> Vec<HeardWord> {
    let Some(list) = list.as_array() else { return Vec::new() };
    let time = |value: &Value| samples(value.as_f64().map(|time| time / fields.units), rate);
    let read = |word: &Value| {
        let text = fields.text.iter().map(|name| clean(&word[*name])).find(|text| !text.is_empty());
        let (start, end) = (time(&word["start"])?, time(&word["end"])?);
        let confidence = share(&word[fields.confidence]);
        Some(HeardWord { text: text?, start, end: end.max(start), confidence })
    };
    list.iter().take(WORDS_MAX).filter_map(read).collect()
}

/// An endpoint with the vendor's path, if it names none, and a query.
pub(super) fn endpoint(base: &str, path: &str, query: &[(&str, String)]) -> String {
    let (address, own) = base.split_once('?').map_or((base, ""), |(address, own)| (address, own));
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let bare = host.split_once('/').is_none_or(|(_, rest)| rest.is_empty());
    let mut url = address.to_owned();
    if bare {
        url.truncate(url.trim_end_matches('/').len());
        url.push_str(path);
    }
    let mut separator = '?';
    if !own.is_empty() {
        url.push(separator);
        url.push_str(own);
        separator = '&';
    }
    for (name, value) in query {
        url.push(separator);
        url.push_str(name);
        url.push('=');
        encode_into(value, &mut url);
        separator = '&';
    }
    url
}

/// RFC 3986 §2.3: all but the unreserved characters.
fn encode_into(value: &str, url: &mut String) {
    use std::fmt::Write as _;
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            url.push(char::from(octet));
        } else {
            let _ = write!(url, "%{octet:02X}");
        }
    }
}

/// The first part of a language tag: `en` of `en-US`.
pub(super) fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}

/// µ-law octets of samples.
pub(super) fn ulaw(samples: &[i16]) -> Vec<u8> {
    samples.iter().map(|sample| crate::audio::codec::g711::encode_ulaw(*sample)).collect()
}

/// Little-endian octets of samples.
pub(super) fn linear(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// An engine that cannot do what is asked.
pub(super) fn unsuited(name: &str, reason: &str) -> SttUnavailable {
    SttUnavailable::Unsuited { name: name.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn endpoints_get_the_path_and_an_encoded_query() {
        let query = [("model", "nova-3".to_owned()), ("keyterm", "a & ü".to_owned())];
        for (base, url) in [
            ("wss://x.example", "wss://x.example/v1/listen?model=nova-3&keyterm=a%20%26%20%C3%BC"),
            ("wss://x.example/", "wss://x.example/v1/listen?model=nova-3&keyterm=a%20%26%20%C3%BC"),
            ("ws://h:1/own?a=b", "ws://h:1/own?a=b&model=nova-3&keyterm=a%20%26%20%C3%BC"),
        ] {
            assert_eq!(endpoint(base, "/v1/listen", &query), url);
        }
        assert_eq!(endpoint("ws://127.0.0.1:2700", "", &[]), "ws://127.0.0.1:2700");
    }

    #[test]
    fn hostile_numbers_and_texts_are_bounded() {
        for seconds in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(samples(Some(seconds), 8000), None);
        }
        assert_eq!(samples(Some(1.5), 8000), Some(12_000));
        assert_eq!(share(&json!(7)), Some(1.0));
        assert_eq!(share(&json!("x")), None);
        assert_eq!(clean(&json!(" a\u{0}b ")), "a b");
        assert!(clean(&json!("ü".repeat(40_000))).len() <= TEXT_MAX);
        assert_eq!(reason(&json!("x".repeat(900))).len(), 200);
        assert_eq!(mean_confidence(&[]), None);
    }

    #[test]
    fn words_without_text_or_times_are_left_out() {
        let fields = WordFields { text: ["punctuated_word", "word"], confidence: "c", units: 1.0 };
        let list = json!([
            {"word": "a", "start": 0.5, "end": 1, "c": 0.5},
            {"word": "b", "punctuated_word": "B.", "start": 1, "end": 0.5},
            {"word": "c", "start": "x", "end": 2}, 3, {"start": 1, "end": 2}
        ]);
        let told = words(&list, &fields, 8000);
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].start, told[0].end, told[0].confidence), (4000, 8000, Some(0.5)));
        assert_eq!((told[1].text.as_str(), told[1].end), ("B.", 8000));
        assert!(words(&json!({}), &fields, 8000).is_empty());
    }
}
