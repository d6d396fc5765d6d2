//! The transcription sessions of OpenAI's Realtime protocol, which self-hosted servers speak too.
//!
//! Shapes: developers.openai.com/api/docs/guides/realtime-transcription and
//! /api/reference/resources/realtime, read 2026-11. Each utterance is an item; the server's voice
//! detection tells where it lies, and its `completed` may overtake an earlier one's.
//!
//! Models that know no voice detection (`gpt-live-transcribe`, `gpt-realtime-whisper`) give a
//! final only when the call asks for it (`SttInput::finalise`).

use super::SttEngineSpec;
use super::dialect::{
    Dialect, Heard, HeardText, Say, TEXT_MAX, clean, endpoint, json, linear, primary, reason,
    samples, ulaw, unsuited,
};
use super::interface::{SttRequest, SttUnavailable};
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use crate::net::ws::WsRequest;
use crate::speech::base64;
use serde_json::{Value, json};
use std::collections::VecDeque;

const URL: &str = "wss://api.openai.com";
const PATH: &str = "/v1/realtime";
const MODEL: &str = "gpt-4o-transcribe";
/// Models without voice detection.
const UNDETECTING: [&str; 2] = ["gpt-live-transcribe", "gpt-realtime-whisper"];
/// The linear rate that all servers take.
const LINEAR_RATE: u32 = 24_000;
/// Utterances without a final; the oldest is forgotten.
const ITEMS_MAX: usize = 32;
/// Names the first message in errors about it.
const SETUP: &str = "setup";
/// The least that may be committed. Units: ms.
const COMMIT_MS: u32 = 100;

/// An utterance on its way.
#[derive(Debug, Default)]
struct Item {
    id: String,
    stretch: u64,
    start: Option<u64>,
    end: Option<u64>,
    text: String,
    /// The server has all of it and owes the text.
    owed: bool,
}

/// One call's talk with a server.
pub(super) struct OpenAi {
    request: WsRequest,
    rate: u32,
    model: String,
    language: Option<String>,
    phrases: Vec<String>,
    /// `None`: µ-law.
    linear: Option<Resampler>,
    detects: bool,
    sent: u64,
    /// What was sent when the last commit was.
    committed: u64,
    /// Commits that were not confirmed: first and last sample.
    commits: VecDeque<(u64, u64)>,
    items: VecDeque<Item>,
    stretch: u64,
    greeted: bool,
    /// A commit was not answered.
    asked: bool,
}

impl OpenAi {
    /// For one call.
    pub(super) fn new(spec: &SttEngineSpec, request: &SttRequest) -> Result<Self, SttUnavailable> {
        let model = spec.model.as_deref().unwrap_or(MODEL);
        let query = [("intent", "transcription".to_owned())];
        let mut to = WsRequest::new(&endpoint(spec.url.as_deref().unwrap_or(URL), PATH, &query));
        if let Some(key) = &spec.key {
            to = to.with_header("Authorization", &format!("Bearer {}", key.expose()));
        }
        let bad = |hz: u32| unsuited(&spec.name, &format!("{hz} Hz cannot be sent"));
        let linear_rate = spec.linear_rate.or((request.rate != 8000).then_some(LINEAR_RATE));
        let linear = linear_rate.map(|hz| {
            let rates = SampleRate::new(request.rate).zip(SampleRate::new(hz));
            rates.and_then(|(from, to)| Resampler::new(from, to).ok()).ok_or_else(|| bad(hz))
        });
        Ok(Self {
            request: to,
            rate: request.rate,
            detects: !UNDETECTING.iter().any(|name| model.starts_with(name)),
            model: model.to_owned(),
            language: request.language.as_deref().map(|tag| primary(tag).to_ascii_lowercase()),
            phrases: request.phrases.clone(),
            linear: linear.transpose()?,
            sent: 0,
            committed: 0,
            commits: VecDeque::new(),
            items: VecDeque::new(),
            stretch: 0,
            greeted: false,
            asked: false,
        })
    }

    fn setup(&self) -> Say {
        let mut transcription = json!({ "model": self.model });
        if let Some(language) = &self.language {
            transcription["language"] = json!(language);
        }
        if !self.phrases.is_empty() {
            transcription["prompt"] = json!(self.phrases.join(", "));
        }
        let format = match &self.linear {
            Some(resampler) => json!({"type": "audio/pcm", "rate": resampler.to().hz()}),
            None => json!({"type": "audio/pcmu"}),
        };
        let detection = if self.detects { json!({"type": "server_vad"}) } else { Value::Null };
        let input = json!({
            "format": format, "transcription": transcription, "turn_detection": detection
        });
        let session = json!({"type": "transcription", "audio": {"input": input}});
        let update = json!({"type": "session.update", "event_id": SETUP, "session": session});
        Say::Text(update.to_string())
    }

    /// The item of a message, made when it is not known.
    fn item(&mut self, message: &Value) -> &mut Item {
        let id = clean(&message["item_id"]);
        let known = self.items.iter().position(|item| item.id == id);
        let at = known.unwrap_or_else(|| {
            if self.items.len() >= ITEMS_MAX {
                self.items.pop_front();
            }
            self.stretch += 1;
            let start = (!self.detects).then_some(self.committed);
            self.items.push_back(Item { id, stretch: self.stretch, start, ..Item::default() });
            self.items.len() - 1
        });
        &mut self.items[at]
    }

    fn time(&self, message: &Value, name: &str) -> Option<u64> {
        samples(message[name].as_f64().map(|ms| ms / 1000.0), self.rate)
    }

    fn confirmed(&mut self, message: &Value) {
        self.asked = false;
        let place = self.commits.pop_front();
        let item = self.item(message);
        item.owed = true;
        if let Some((start, end)) = place {
            item.start = item.start.filter(|known| *known >= start && *known < end).or(Some(start));
            item.end = item.end.or(Some(end));
        }
    }

    fn delta(&mut self, message: &Value) -> Vec<Heard> {
        let more = message["delta"].as_str().unwrap_or_default();
        let item = self.item(message);
        if item.text.len() + more.len() <= TEXT_MAX {
            item.text.push_str(more);
        }
        let text = clean(&Value::from(item.text.clone()));
        if text.is_empty() { Vec::new() } else { vec![heard(item, text, false)] }
    }

    fn completed(&mut self, message: &Value) -> Vec<Heard> {
        let text = clean(&message["transcript"]);
        let item = self.item(message);
        let told = heard(item, text, true);
        let stretch = item.stretch;
        self.items.retain(|item| item.stretch != stretch);
        vec![told]
    }

    fn error(error: &Value) -> Vec<Heard> {
        let field = |name: &str| error[name].as_str().unwrap_or_default();
        let told =
            format!("OpenAI protocol: {} {}", reason(&error["code"]), reason(&error["message"]));
        let refused = field("event_id") == SETUP
            || matches!(field("code"), "invalid_api_key" | "insufficient_quota")
            || matches!(field("type"), "authentication_error" | "insufficient_quota");
        let over = field("type") == "server_error" || field("code") == "session_expired";
        match (refused, over) {
            (true, _) => vec![Heard::Failed { reason: told, fatal: true }],
            (false, true) => vec![Heard::Failed { reason: told, fatal: false }],
            // About one message, such as a commit of too little; the session goes on.
            (false, false) => Vec::new(),
        }
    }
}

fn heard(item: &Item, text: String, is_final: bool) -> Heard {
    Heard::Text(HeardText {
        stretch: item.stretch,
        text,
        is_final,
        start: item.start,
        end: item.end,
        ..HeardText::default()
    })
}

impl Dialect for OpenAi {
    fn request(&self) -> WsRequest {
        self.request.clone()
    }

    fn opening(&mut self) -> Vec<Say> {
        self.sent = 0;
        self.committed = 0;
        self.commits.clear();
        self.items.clear();
        self.stretch += 1;
        self.greeted = false;
        self.asked = false;
        if let Some(resampler) = &mut self.linear {
            resampler.reset();
        }
        vec![self.setup()]
    }

    fn greets(&self) -> bool {
        true
    }

    fn frame_min(&self) -> usize {
        (self.rate * 40 / 1000) as usize
    }

    fn audio(&mut self, samples: &[i16]) -> Say {
        self.sent += samples.len() as u64;
        let octets = match &mut self.linear {
            None => ulaw(samples),
            Some(resampler) => {
                let mut resampled = Vec::with_capacity(samples.len() * 3);
                resampler.process(samples, &mut resampled);
                linear(&resampled)
            }
        };
        let sound = base64::encode(&octets);
        Say::Text(format!("{{\"type\":\"input_audio_buffer.append\",\"audio\":\"{sound}\"}}"))
    }

    fn finalise(&mut self) -> Vec<Say> {
        let least = u64::from(self.rate * COMMIT_MS / 1000);
        if self.sent - self.committed < least || self.commits.len() >= ITEMS_MAX {
            return Vec::new();
        }
        // With voice detection, the server knows better where its item lies, and may have nothing
        // to commit: then it says so in an error that means nothing.
        if !self.detects {
            self.commits.push_back((self.committed, self.sent));
        }
        self.committed = self.sent;
        self.asked = true;
        vec![Say::Text(r#"{"type":"input_audio_buffer.commit"}"#.to_owned())]
    }

    fn phrases(&mut self, phrases: &[String]) -> Vec<Say> {
        self.phrases = phrases.to_vec();
        vec![self.setup()]
    }

    fn close(&mut self) -> Vec<Say> {
        // The protocol has no goodbye; what is in the buffer is asked for.
        self.finalise()
    }

    fn hangs_up(&self) -> bool {
        false
    }

    fn owes(&self) -> bool {
        !self.greeted || self.asked || self.items.iter().any(|item| item.owed)
    }

    fn text(&mut self, message: &str) -> Vec<Heard> {
        let message = json(message);
        match message["type"].as_str().unwrap_or_default() {
            "session.created" | "session.updated" | "transcription_session.updated" => {
                self.greeted = true;
                vec![Heard::Ready]
            }
            "input_audio_buffer.speech_started" => {
                let start = self.time(&message, "audio_start_ms");
                self.item(&message).start = start;
                vec![Heard::SpeechStarted(start)]
            }
            "input_audio_buffer.speech_stopped" => {
                let end = self.time(&message, "audio_end_ms");
                let item = self.item(&message);
                item.end = end;
                item.owed = true;
                vec![Heard::SpeechEnded(end)]
            }
            "input_audio_buffer.committed" => {
                self.confirmed(&message);
                Vec::new()
            }
            "conversation.item.input_audio_transcription.delta" => self.delta(&message),
            "conversation.item.input_audio_transcription.completed" => self.completed(&message),
            "conversation.item.input_audio_transcription.failed" => {
                let stretch = self.item(&message).stretch;
                self.items.retain(|item| item.stretch != stretch);
                Vec::new()
            }
            "error" => {
                // It may be about the commit: there was nothing in the buffer.
                self.asked = false;
                self.commits.clear();
                Self::error(&message["error"])
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SttEngineKind;
    use super::super::key_for_test;
    use super::*;

    fn spec(model: Option<&str>) -> SttEngineSpec {
        let mut spec = SttEngineSpec::new("o", SttEngineKind::OpenAi);
        spec.key = Some(key_for_test());
        spec.model = model.map(str::to_owned);
        spec
    }

    fn request() -> SttRequest {
        let language = Some("en-US".to_owned());
        SttRequest { rate: 8000, language, phrases: vec!["Bellwire".into()], ..Default::default() }
    }

    fn opened(say: &Say) -> Value {
        let Say::Text(text) = say else { panic!() };
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_sent_is_as_documented() {
        let mut openai = OpenAi::new(&spec(None), &request()).unwrap();
        let to = openai.request();
        assert_eq!(to.url, "wss://api.openai.com/v1/realtime?intent=transcription");
        assert_eq!(to.headers, [("Authorization".to_owned(), "Bearer k3y".to_owned())]);
        let input = json!({"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad"},
            "transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "Bellwire"}});
        let update = json!({"type": "session.update", "event_id": "setup",
            "session": {"type": "transcription", "audio": {"input": input}}});
        assert_eq!(opened(&openai.opening()[0]), update);
        assert!(openai.finalise().is_empty(), "too little to commit");
        let append = openai.audio(&[0; 800]);
        let append = opened(&append);
        assert_eq!(append["type"], "input_audio_buffer.append");
        assert_eq!(base64::decode(append["audio"].as_str().unwrap()).unwrap(), [0xFF; 800]);
        assert_eq!(
            openai.finalise(),
            [Say::Text(r#"{"type":"input_audio_buffer.commit"}"#.into())]
        );
    }

    #[test]
    fn servers_that_know_no_ulaw_get_linear_samples() {
        let mut spec = spec(Some("Systran/faster-whisper-small"));
        spec.url = Some("ws://127.0.0.1:8000".to_owned());
        spec.linear_rate = Some(24_000);
        let mut openai = OpenAi::new(&spec, &request()).unwrap();
        let setup = opened(&openai.opening()[0]);
        let format = &setup["session"]["audio"]["input"]["format"];
        assert_eq!(*format, json!({"type": "audio/pcm", "rate": 24_000}));
        let append = opened(&openai.audio(&[0; 320]));
        assert_eq!(base64::decode(append["audio"].as_str().unwrap()).unwrap().len(), 320 * 3 * 2);
        spec.linear_rate = Some(1);
        assert!(OpenAi::new(&spec, &request()).is_err());
    }

    // From developers.openai.com/api/docs/guides/realtime-transcription and the reference of the
    // server events, read 2026-11.
    #[test]
    fn documented_messages_are_read_in_any_order() {
        let mut openai = OpenAi::new(&spec(None), &request()).unwrap();
        openai.opening();
        assert_eq!(openai.text(r#"{"type":"session.created","session":{}}"#), [Heard::Ready]);
        let event = |kind: &str, item: &str, rest: Value| {
            let mut event = json!({"event_id": "event_1", "type": kind, "item_id": item});
            event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            event.to_string()
        };
        for (item, start) in [("item_003", 1000), ("item_004", 3000)] {
            let started =
                event("input_audio_buffer.speech_started", item, json!({"audio_start_ms": start}));
            assert_eq!(openai.text(&started), [Heard::SpeechStarted(Some(start * 8))]);
            let stopped = event(
                "input_audio_buffer.speech_stopped",
                item,
                json!({"audio_end_ms": start + 500}),
            );
            assert_eq!(openai.text(&stopped), [Heard::SpeechEnded(Some((start + 500) * 8))]);
            let committed =
                event("input_audio_buffer.committed", item, json!({"previous_item_id": "x"}));
            assert!(openai.text(&committed).is_empty());
        }
        let kind = "conversation.item.input_audio_transcription.delta";
        let delta =
            |text: &str| event(kind, "item_003", json!({"content_index": 0, "delta": text}));
        openai.text(&delta("Hello,"));
        let heard = openai.text(&delta(" how"));
        assert!(matches!(&heard[..], [Heard::Text(text)] if text.text == "Hello, how"
            && !text.is_final && text.start == Some(8000)));
        let kind = "conversation.item.input_audio_transcription.completed";
        let usage = json!({"content_index": 0, "transcript": "Bye.", "usage": {"type": "tokens"}});
        let heard = openai.text(&event(kind, "item_004", usage));
        let [Heard::Text(text)] = &heard[..] else { panic!() };
        assert_eq!(
            (text.text.as_str(), text.start, text.end),
            ("Bye.", Some(24_000), Some(28_000))
        );
        assert!(openai.owes());
        let kind = "conversation.item.input_audio_transcription.failed";
        let failed = event(
            kind,
            "item_003",
            json!({"error": {"type": "transcription_error",
            "code": "audio_unintelligible", "message": "The audio could not be transcribed."}}),
        );
        assert!(openai.text(&failed).is_empty());
        assert!(!openai.owes() && openai.items.is_empty());
        assert!(openai.text(r#"{"type":"conversation.item.added"}"#).is_empty());
    }

    #[test]
    fn errors_are_told_apart() {
        let told = |error: Value| OpenAi::error(&error);
        let fatal = |heard: Vec<Heard>| match &heard[..] {
            [] => None,
            [Heard::Failed { fatal, .. }] => Some(*fatal),
            _ => panic!(),
        };
        let empty = json!({"type": "invalid_request_error",
            "code": "input_audio_buffer_commit_empty", "message": "buffer too small"});
        assert_eq!(fatal(told(empty)), None);
        let setup = json!({"type": "invalid_request_error", "event_id": "setup"});
        assert_eq!(fatal(told(setup)), Some(true));
        assert_eq!(fatal(told(json!({"type": "server_error"}))), Some(false));
        assert_eq!(fatal(told(json!({"code": "session_expired"}))), Some(false));
        assert_eq!(fatal(told(json!({"code": "insufficient_quota"}))), Some(true));
        assert_eq!(fatal(told(Value::Null)), None);
    }

    #[test]
    fn models_without_voice_detection_have_their_items_between_commits() {
        let mut openai = OpenAi::new(&spec(Some("gpt-live-transcribe")), &request()).unwrap();
        let setup = opened(&openai.opening()[0]);
        assert_eq!(setup["session"]["audio"]["input"]["turn_detection"], Value::Null);
        for (item, start) in [("a", 0_u64), ("b", 8000)] {
            openai.audio(&[0; 8000]);
            let delta = json!({"type": "conversation.item.input_audio_transcription.delta",
                "item_id": item, "delta": "x"});
            let heard = openai.text(&delta.to_string());
            assert!(matches!(&heard[0], Heard::Text(text) if text.start == Some(start)));
            assert_eq!(openai.finalise().len(), 1);
            openai.text(
                &json!({"type": "input_audio_buffer.committed", "item_id": item}).to_string(),
            );
            let completed = json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": item, "transcript": "xy"});
            let heard = openai.text(&completed.to_string());
            let [Heard::Text(text)] = &heard[..] else { panic!() };
            assert_eq!((text.start, text.end), (Some(start), Some(start + 8000)));
        }
        openai.greeted = true;
        assert!(!openai.owes());
    }
}
