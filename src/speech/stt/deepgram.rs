//! Deepgram's `/v1/listen`: the Nova models, µ-law as it comes from the line.
//!
//! Shapes: developers.deepgram.com/reference/speech-to-text/listen-streaming and
//! /docs/{finalize,configure,audio-keep-alive,close-stream,understand-endpointing-interim-results}, read
//! 2026-11. Consecutive `is_final` results are joined until `speech_final`, `from_finalize` or
//! `UtteranceEnd`. Endpointing is a pause and not the end of a turn: it is told as the end of
//! speech only.

use super::SttEngineSpec;
use super::dialect::{
    Dialect, Heard, HeardText, HeardWord, Say, TEXT_MAX, WORDS_MAX, WordFields, clean, endpoint,
    json, linear, reason, samples, share, ulaw, words,
};
use super::interface::SttRequest;
use crate::net::ws::WsRequest;
use serde_json::Value;

/// The vendor's address.
pub(super) const URL: &str = "wss://api.deepgram.com";
const PATH: &str = "/v1/listen";
const MODEL: &str = "nova-3";
/// Phrases that are passed on; the vendor takes 500 tokens.
pub(super) const PHRASES_MAX: usize = 50;

const FIELDS: WordFields =
    WordFields { text: ["punctuated_word", "word"], confidence: "confidence", units: 1.0 };

/// One call's talk with Deepgram.
pub(super) struct Deepgram {
    request: WsRequest,
    rate: u32,
    stretch: u64,
    /// Final results that wait for the end of their utterance.
    joined: Option<HeardText>,
    /// Samples sent since the engine last said something.
    unheard: u64,
    /// Whether the model takes other phrases while it works.
    configures: bool,
}

impl Deepgram {
    /// For one call.
    pub(super) fn new(spec: &SttEngineSpec, request: &SttRequest) -> Self {
        let model = spec.model.as_deref().unwrap_or(MODEL);
        let mut query = audio_query(model, request.rate);
        let yes = || "true".to_owned();
        query.extend([
            ("channels", "1".to_owned()),
            ("interim_results", yes()),
            ("endpointing", "300".to_owned()),
            ("utterance_end_ms", "1000".to_owned()),
            ("vad_events", yes()),
            ("smart_format", yes()),
        ]);
        query.extend(request.language.iter().map(|language| ("language", language.clone())));
        // Models before Nova-3 call them keywords.
        let configures = model.starts_with("nova-3");
        let name = if configures { "keyterm" } else { "keywords" };
        let phrases = request.phrases.iter().take(PHRASES_MAX);
        query.extend(phrases.map(|phrase| (name, phrase.clone())));
        let url = endpoint(spec.url.as_deref().unwrap_or(URL), PATH, &query);
        Self {
            request: with_token(WsRequest::new(&url), spec),
            rate: request.rate,
            stretch: 0,
            joined: None,
            unheard: 0,
            configures,
        }
    }

    fn results(&mut self, message: &Value) -> Vec<Heard> {
        let flag = |name: &str| message[name].as_bool().unwrap_or(false);
        let best = &message["channel"]["alternatives"][0];
        let text = clean(&best["transcript"]);
        let words = words(&best["words"], &FIELDS, self.rate);
        let start = samples(message["start"].as_f64(), self.rate);
        let length = samples(message["duration"].as_f64(), self.rate);
        let end = start.zip(length).map(|(start, length)| start + length);
        let heard = HeardText {
            stretch: self.stretch,
            text,
            is_final: flag("is_final"),
            start: words.first().map(|word| word.start).or(start),
            end: words.last().map(|word| word.end).or(end),
            confidence: share(&best["confidence"]),
            language: best["languages"][0].as_str().map(str::to_owned),
            words,
        };
        let done = flag("speech_final") || flag("from_finalize");
        if heard.is_final {
            let full = heard.text.is_empty() || self.join(heard);
            return if done || !full { self.finish(end) } else { self.so_far() };
        }
        if heard.text.is_empty() {
            return Vec::new();
        }
        vec![Heard::Text(after(self.joined.clone(), heard))]
    }

    /// Adds a final result to those before; whether more may follow.
    fn join(&mut self, heard: HeardText) -> bool {
        let joined = after(self.joined.take(), heard);
        let room = joined.text.len() < TEXT_MAX && joined.words.len() < WORDS_MAX;
        self.joined = Some(joined);
        room
    }

    /// What is joined, as a partial.
    fn so_far(&self) -> Vec<Heard> {
        let joined = self.joined.clone().into_iter();
        joined.map(|text| Heard::Text(HeardText { is_final: false, ..text })).collect()
    }

    /// The utterance is over.
    fn finish(&mut self, end: Option<u64>) -> Vec<Heard> {
        let joined = self.joined.take();
        let end = joined.as_ref().and_then(|text| text.end).or(end);
        self.stretch += u64::from(joined.is_some());
        let text = joined.map(|text| Heard::Text(HeardText { is_final: true, ..text }));
        text.into_iter().chain([Heard::SpeechEnded(end)]).collect()
    }
}

/// Two results as one; it is as final and as sure as the later one.
fn after(before: Option<HeardText>, heard: HeardText) -> HeardText {
    let Some(before) = before else { return heard };
    let mut words: Vec<HeardWord> = before.words;
    words.extend(heard.words);
    HeardText {
        text: format!("{} {}", before.text, heard.text),
        start: before.start,
        end: heard.end.or(before.end),
        confidence: match (before.confidence, heard.confidence) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        },
        words,
        ..heard
    }
}

/// The model and the encoding, for both of Deepgram's protocols.
pub(super) fn audio_query(model: &str, rate: u32) -> Vec<(&'static str, String)> {
    let encoding = if rate == 8000 { "mulaw" } else { "linear16" };
    vec![
        ("model", model.to_owned()),
        ("encoding", encoding.to_owned()),
        ("sample_rate", rate.to_string()),
    ]
}

/// Samples in the encoding of [`audio_query`].
pub(super) fn encoded(samples: &[i16], rate: u32) -> Say {
    let octets = if rate == 8000 { ulaw(samples) } else { linear(samples) };
    Say::Binary(octets.into())
}

/// With the key, if there is one.
pub(super) fn with_token(request: WsRequest, spec: &SttEngineSpec) -> WsRequest {
    match &spec.key {
        Some(key) => request.with_header("Authorization", &format!("Token {}", key.expose())),
        None => request,
    }
}

/// Other phrases, for both of Deepgram's protocols.
pub(super) fn configure(phrases: &[String]) -> Say {
    let terms: Vec<&String> = phrases.iter().take(PHRASES_MAX).collect();
    Say::Text(serde_json::json!({"type": "Configure", "keyterms": terms}).to_string())
}

fn control(kind: &str) -> Say {
    Say::Text(format!("{{\"type\":\"{kind}\"}}"))
}

impl Dialect for Deepgram {
    fn request(&self) -> WsRequest {
        self.request.clone()
    }

    fn opening(&mut self) -> Vec<Say> {
        self.joined = None;
        self.unheard = 0;
        self.stretch += 1;
        Vec::new()
    }

    fn frame_min(&self) -> usize {
        (self.rate * 20 / 1000) as usize
    }

    fn audio(&mut self, samples: &[i16]) -> Say {
        self.unheard += samples.len() as u64;
        encoded(samples, self.rate)
    }

    fn finalise(&mut self) -> Vec<Say> {
        vec![control("Finalize")]
    }

    fn phrases(&mut self, phrases: &[String]) -> Vec<Say> {
        // Other models have theirs in the address only: for the whole connection. A server that
        // does not take them says so in a message that means nothing to the call.
        if self.configures { vec![configure(phrases)] } else { Vec::new() }
    }

    fn keep_alive(&self) -> Option<Say> {
        Some(control("KeepAlive"))
    }

    fn close(&mut self) -> Vec<Say> {
        vec![control("CloseStream")]
    }

    fn owes(&self) -> bool {
        // Interim results come about every second, empty ones in silence.
        self.unheard > 5 * u64::from(self.rate)
    }

    fn text(&mut self, message: &str) -> Vec<Heard> {
        let message = json(message);
        self.unheard = 0;
        match message["type"].as_str().unwrap_or_default() {
            "Results" => self.results(&message),
            "SpeechStarted" => {
                vec![Heard::SpeechStarted(samples(message["timestamp"].as_f64(), self.rate))]
            }
            "UtteranceEnd" => {
                let end = message["last_word_end"].as_f64();
                self.finish(samples(end, self.rate))
            }
            "Error" => {
                let told = ["description", "message", "err_msg"].map(|name| reason(&message[name]));
                let told = told.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
                vec![Heard::Failed { reason: format!("Deepgram: {told}"), fatal: false }]
            }
            // Metadata, and what there may be one day.
            _ => Vec::new(),
        }
    }

    fn lost(&mut self) -> Vec<Heard> {
        let joined = self.joined.take().into_iter();
        joined.map(|text| Heard::Text(HeardText { is_final: true, ..text })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::SttEngineKind;
    use super::super::key_for_test;
    use super::*;

    fn deepgram() -> Deepgram {
        let mut spec = SttEngineSpec::new("d", SttEngineKind::Deepgram);
        spec.key = Some(key_for_test());
        let language = Some("en-US".to_owned());
        let phrases = vec!["Bellwire & Co".to_owned()];
        let mut deepgram = Deepgram::new(
            &spec,
            &SttRequest { rate: 8000, language, phrases, ..Default::default() },
        );
        deepgram.opening();
        deepgram
    }

    #[test]
    fn what_is_sent_is_as_documented() {
        let mut deepgram = deepgram();
        let request = deepgram.request();
        assert_eq!(
            request.url,
            "wss://api.deepgram.com/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000\
             &channels=1&interim_results=true&endpointing=300&utterance_end_ms=1000\
             &vad_events=true&smart_format=true&language=en-US&keyterm=Bellwire%20%26%20Co"
        );
        assert_eq!(request.headers, [("Authorization".to_owned(), "Token k3y".to_owned())]);
        assert_eq!(deepgram.audio(&[0, -8]), Say::Binary(vec![0xFF, 0x7E].into()));
        assert_eq!(deepgram.finalise(), [Say::Text(r#"{"type":"Finalize"}"#.into())]);
        assert_eq!(deepgram.keep_alive(), Some(Say::Text(r#"{"type":"KeepAlive"}"#.into())));
        let configure = r#"{"keyterms":["a"],"type":"Configure"}"#;
        assert_eq!(deepgram.phrases(&["a".to_owned()]), [Say::Text(configure.into())]);
        assert_eq!(deepgram.close(), [Say::Text(r#"{"type":"CloseStream"}"#.into())]);
    }

    // After the examples of developers.deepgram.com/docs/understand-endpointing-interim-results
    // and /reference/speech-to-text/listen-streaming, read 2026-11.
    #[test]
    fn documented_messages_are_read_and_finals_joined() {
        let mut deepgram = deepgram();
        let started = r#"{"type":"SpeechStarted","channel":[0],"timestamp":0.5}"#;
        assert_eq!(deepgram.text(started), [Heard::SpeechStarted(Some(4000))]);
        let result = |text: &str, start: f64, flags: &str| {
            format!(
                r#"{{"type":"Results","channel_index":[0,1],"duration":1.0,"start":{start},{flags},
                "channel":{{"alternatives":[{{"transcript":"{text}","confidence":0.97,"words":[
                {{"word":"another","start":{start},"end":{end},"confidence":0.9,
                "punctuated_word":"Another"}}]}}]}},"metadata":{{"request_id":"x"}}}}"#,
                end = start + 0.5,
            )
        };
        let [Heard::Text(one)] =
            &deepgram.text(&result("another big", 1.0, r#""is_final":false"#))[..]
        else {
            panic!()
        };
        assert_eq!((one.text.as_str(), one.is_final), ("another big", false));
        let first = result("Another big", 1.0, r#""is_final":true,"speech_final":false"#);
        let [Heard::Text(one)] = &deepgram.text(&first)[..] else { panic!() };
        assert!(!one.is_final, "not before the end of the utterance");
        let last = result("problem.", 2.0, r#""is_final":true,"speech_final":true"#);
        let heard = deepgram.text(&last);
        let [Heard::Text(all), Heard::SpeechEnded(Some(20_000))] = &heard[..] else { panic!() };
        assert_eq!((all.text.as_str(), all.is_final), ("Another big problem.", true));
        assert_eq!((all.start, all.end, all.words.len()), (Some(8000), Some(20_000), 2));
        let end = r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":2.395}"#;
        assert_eq!(deepgram.text(end), [Heard::SpeechEnded(Some(19_160))]);
        deepgram.text(&first);
        assert!(matches!(&deepgram.text(end)[0], Heard::Text(text) if text.is_final));
        deepgram.text(&first);
        assert!(matches!(&deepgram.lost()[0], Heard::Text(text) if text.is_final));
        assert!(deepgram.lost().is_empty());
        for unknown in [r#"{"type":"Metadata","duration":0.0}"#, r#"{"type":"New"}"#, "[]", "x"] {
            assert!(deepgram.text(unknown).is_empty());
        }
    }

    #[test]
    fn finals_are_not_joined_for_ever() {
        let mut deepgram = deepgram();
        let long = "word ".repeat(2000);
        let message = serde_json::json!({"type": "Results", "is_final": true, "start": 1,
            "duration": 1, "channel": {"alternatives": [{"transcript": long}]}});
        let heard: Vec<Heard> = (0..8).flat_map(|_| deepgram.text(&message.to_string())).collect();
        let is_final = |heard: &Heard| matches!(heard, Heard::Text(text) if text.is_final);
        assert!(heard.iter().any(is_final));
    }
}
