//! A Vosk server: free speech on the operator's own machine, without a key.
//!
//! Shapes: <https://alphacephei.com/vosk/server> and `websocket/asr_server.py` of
//! github.com/alphacep/vosk-server, read 2026-11. Every message but the configuration is answered
//! by one, so the answer to the n-th tells what was heard up to the n-th.
//!
//! Phrases are not passed on: to Vosk a phrase list is a grammar, outside which nothing is heard.

use super::SttEngineSpec;
use super::dialect::{
    Dialect, Heard, HeardText, HeardWord, Say, WordFields, clean, endpoint, json, linear,
    mean_confidence, primary, share, unsuited, words,
};
use super::interface::{SttRequest, SttUnavailable};
use crate::net::ws::WsRequest;
use serde_json::Value;
use std::collections::VecDeque;

/// Where a server listens unless the configuration tells.
const URL: &str = "ws://127.0.0.1:2700";
/// The exact spelling that the server compares with.
const EOF: &str = "{\"eof\" : 1}";
/// As above; servers from before 2022 end the connection on it.
const RESET: &str = "{\"reset\" : 1}";
/// Unanswered messages whose place is remembered; four minutes.
const UNANSWERED_MAX: usize = 4096;
/// How long before its first words an utterance began.
const LEAD_MS: u32 = 300;

/// The words of a result.
const FIELDS: WordFields = WordFields { text: ["word", "word"], confidence: "conf", units: 1.0 };

/// One call's talk with a server.
pub(super) struct Vosk {
    request: WsRequest,
    rate: u32,
    sent: u64,
    /// What was sent up to each message that is not answered yet.
    unanswered: VecDeque<u64>,
    stretch: u64,
    /// Where the utterance began.
    begun: Option<u64>,
    reset_works: bool,
    reset_waits: bool,
}

impl Vosk {
    /// For one call.
    pub(super) fn new(spec: &SttEngineSpec, request: &SttRequest) -> Result<Self, SttUnavailable> {
        let wanted = request.language.as_deref();
        let spoken = spec.language.as_deref();
        if let (Some(wanted), Some(spoken)) = (wanted, spoken)
            && !primary(wanted).eq_ignore_ascii_case(primary(spoken))
        {
            return Err(unsuited(&spec.name, &format!("it understands {spoken}, not {wanted}")));
        }
        let mut to = WsRequest::new(&endpoint(spec.url.as_deref().unwrap_or(URL), "", &[]));
        if let Some(key) = &spec.key {
            to = to.with_header("Authorization", &format!("Bearer {}", key.expose()));
        }
        Ok(Self {
            request: to,
            rate: request.rate,
            sent: 0,
            unanswered: VecDeque::new(),
            stretch: 0,
            begun: None,
            reset_works: true,
            reset_waits: false,
        })
    }

    fn expect_answer(&mut self) {
        if self.unanswered.len() >= UNANSWERED_MAX {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(self.sent);
    }

    fn partial(&mut self, message: &Value, text: String, until: u64) -> Vec<Heard> {
        if text.is_empty() {
            return Vec::new();
        }
        let words = words(&message["partial_result"], &FIELDS, self.rate);
        let lead = u64::from(self.rate * LEAD_MS / 1000);
        let guess = until.saturating_sub(lead);
        let first = self.begun.is_none();
        let start = *self.begun.get_or_insert(words.first().map_or(guess, |word| word.start));
        let began = first.then_some(Heard::SpeechStarted(Some(start)));
        let text = self.stretch_of(text, false, (start, until), words);
        began.into_iter().chain([text]).collect()
    }

    fn result(&mut self, result: &Value, text: String, until: u64) -> Vec<Heard> {
        let begun = self.begun.take();
        if text.is_empty() {
            return Vec::new();
        }
        let words = words(&result["result"], &FIELDS, self.rate);
        let guess = begun.unwrap_or(until.saturating_sub(u64::from(self.rate)));
        let start = words.first().map_or(guess, |word| word.start);
        let end = words.last().map_or(until, |word| word.end);
        let mut text = self.stretch_of(text, true, (start, end), words);
        if let Heard::Text(text) = &mut text {
            text.confidence = text.confidence.or_else(|| share(&result["confidence"]));
        }
        self.stretch += 1;
        let began = begun.is_none().then_some(Heard::SpeechStarted(Some(start)));
        let ended = Heard::SpeechEnded(Some(end));
        began.into_iter().chain([text, ended]).collect()
    }

    fn stretch_of(
        &self,
        text: String,
        is_final: bool,
        (start, end): (u64, u64),
        words: Vec<HeardWord>,
    ) -> Heard {
        Heard::Text(HeardText {
            stretch: self.stretch,
            text,
            is_final,
            start: Some(start),
            end: Some(end),
            confidence: mean_confidence(&words),
            language: None,
            words,
        })
    }
}

impl Dialect for Vosk {
    fn request(&self) -> WsRequest {
        self.request.clone()
    }

    fn opening(&mut self) -> Vec<Say> {
        // The connection ended on a reset: the server does not know it.
        self.reset_works &= !std::mem::take(&mut self.reset_waits);
        self.sent = 0;
        self.unanswered.clear();
        self.begun = None;
        self.stretch += 1;
        let rate = self.rate;
        let config = format!("{{\"config\" : {{\"sample_rate\" : {rate}, \"words\" : true}}}}");
        vec![Say::Text(config)]
    }

    fn frame_min(&self) -> usize {
        // 60 ms: an answer comes for each.
        (self.rate * 60 / 1000) as usize
    }

    fn audio(&mut self, samples: &[i16]) -> Say {
        self.sent += samples.len() as u64;
        self.expect_answer();
        Say::Binary(linear(samples).into())
    }

    fn finalise(&mut self) -> Vec<Say> {
        // Without audio the server has no recogniser that could be reset.
        if !self.reset_works || self.sent == 0 {
            return Vec::new();
        }
        self.reset_waits = true;
        self.expect_answer();
        vec![Say::Text(RESET.to_owned())]
    }

    fn phrases(&mut self, _: &[String]) -> Vec<Say> {
        Vec::new()
    }

    fn close(&mut self) -> Vec<Say> {
        vec![Say::Text(EOF.to_owned())]
    }

    fn owes(&self) -> bool {
        !self.unanswered.is_empty()
    }

    fn text(&mut self, message: &str) -> Vec<Heard> {
        let message = json(message);
        let best = &message["alternatives"][0];
        let result = if best.is_object() { best } else { &message };
        let known = message["partial"].is_string() || result["text"].is_string();
        if !known {
            return Vec::new();
        }
        let until = self.unanswered.pop_front().unwrap_or(self.sent);
        if result["text"].is_string() {
            self.reset_waits &= !self.unanswered.is_empty();
            self.result(result, clean(&result["text"]), until)
        } else {
            self.partial(&message, clean(&message["partial"]), until)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SttEngineKind;
    use super::*;

    fn vosk() -> Vosk {
        let spec = SttEngineSpec::new("v", SttEngineKind::Vosk);
        Vosk::new(&spec, &SttRequest { rate: 8000, ..SttRequest::default() }).unwrap()
    }

    #[test]
    fn the_configuration_goes_first_and_the_spelling_is_exact() {
        let mut vosk = vosk();
        assert_eq!(vosk.request().url, "ws://127.0.0.1:2700");
        let config = "{\"config\" : {\"sample_rate\" : 8000, \"words\" : true}}";
        assert_eq!(vosk.opening(), [Say::Text(config.to_owned())]);
        assert!(vosk.finalise().is_empty(), "nothing to be final");
        assert_eq!(vosk.audio(&[1, -2]), Say::Binary(vec![1, 0, 0xFE, 0xFF].into()));
        assert_eq!(vosk.finalise(), [Say::Text("{\"reset\" : 1}".to_owned())]);
        assert_eq!(vosk.close(), [Say::Text("{\"eof\" : 1}".to_owned())]);
        vosk.opening();
        vosk.audio(&[1]);
        assert!(vosk.finalise().is_empty(), "the server broke off on it");
    }

    // From README.md of alphacep/vosk-server, read 2026-11, with an unknown field added.
    #[test]
    fn documented_answers_are_read() {
        let mut vosk = vosk();
        vosk.opening();
        for _ in 0..4 {
            vosk.audio(&[0; 8000]);
        }
        assert!(vosk.text(r#"{"partial" : ""}"#).is_empty());
        let partial = vosk.text(r#"{"partial" : "поднимите мне", "spk" : [1]}"#);
        let [Heard::SpeechStarted(Some(13_600)), Heard::Text(text)] = partial.as_slice() else {
            panic!("{partial:?}")
        };
        assert_eq!((text.start, text.end, text.is_final), (Some(13_600), Some(16_000), false));
        let result = vosk.text(
            r#"{"result" : [ {"word": "поднимите", "start" : 1.45, "end" : 2.26, "conf" : 1},
                {"word": "мне", "start" : 2.26, "end" : 2.47, "conf" : 0.5} ],
                "text" : "поднимите мне" }"#,
        );
        let [Heard::Text(text), Heard::SpeechEnded(Some(19_760))] = result.as_slice() else {
            panic!("{result:?}")
        };
        assert_eq!((text.start, text.end, text.is_final), (Some(11_600), Some(19_760), true));
        assert_eq!((text.confidence, text.words.len()), (Some(0.75), 2));
        assert!(vosk.text(r#"{"result" : [  ], "text" : "" }"#).is_empty());
        assert!(!vosk.owes());
        assert!(vosk.text(r#"{"some": "thing"}"#).is_empty() && vosk.text("nonsense").is_empty());
        let best = r#"{"alternatives" : [{"confidence" : 0.5, "text" : "hi"}, {"text" : "high"}]}"#;
        assert!(matches!(&vosk.text(best)[1], Heard::Text(text) if text.text == "hi"));
    }
}
