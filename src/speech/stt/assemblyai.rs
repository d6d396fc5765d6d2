//! AssemblyAI's streaming protocol, version 3.
//!
//! Shapes: assemblyai.com/docs/streaming/message-sequence and /docs/streaming/universal-streaming,
//! read 2026-11. Frames have 50 to 1000 ms. A turn is one stretch; the models that format their
//! text in a second step send the end of a turn twice, and the second is told.

use super::SttEngineSpec;
use super::dialect::{
    Dialect, Heard, HeardText, HeardWord, Say, WordFields, clean, endpoint, json, linear,
    mean_confidence, primary, reason, samples, share, ulaw, words,
};
use super::interface::SttRequest;
use crate::net::ws::WsRequest;
use serde_json::{Value, json};

const URL: &str = "wss://streaming.assemblyai.com";
const PATH: &str = "/v3/ws";
const MODEL_ENGLISH: &str = "universal-streaming-english";
const MODEL: &str = "universal-streaming-multilingual";
/// Models that format at once.
const FORMATTED: &str = "u3";
/// Turns that are told apart within a connection.
const TURNS_MAX: u64 = 1 << 32;

const FIELDS: WordFields =
    WordFields { text: ["text", "text"], confidence: "confidence", units: 1000.0 };

/// One call's talk with AssemblyAI.
pub(super) struct AssemblyAi {
    request: WsRequest,
    rate: u32,
    /// Whether the end of a turn comes again, formatted.
    twice: bool,
    connection: u64,
    greeted: bool,
    /// The end of a turn that is not formatted yet.
    unformatted: Option<(HeardText, f32)>,
    /// The turn that was told last, behind which its repetitions are left out.
    told: Option<u64>,
}

impl AssemblyAi {
    /// For one call.
    pub(super) fn new(spec: &SttEngineSpec, request: &SttRequest) -> Self {
        let language = request.language.as_deref().map_or("en", primary);
        let usual = if language.eq_ignore_ascii_case("en") { MODEL_ENGLISH } else { MODEL };
        let model = spec.model.as_deref().unwrap_or(usual);
        let encoding = if request.rate == 8000 { "pcm_mulaw" } else { "pcm_s16le" };
        let mut query = vec![
            ("sample_rate", request.rate.to_string()),
            ("encoding", encoding.to_owned()),
            ("format_turns", "true".to_owned()),
            ("speech_model", model.to_owned()),
        ];
        if !request.phrases.is_empty() {
            query.push(("keyterms_prompt", json!(request.phrases).to_string()));
        }
        let url = endpoint(spec.url.as_deref().unwrap_or(URL), PATH, &query);
        let mut to = WsRequest::new(&url);
        if let Some(key) = &spec.key {
            to = to.with_header("Authorization", key.expose());
        }
        Self {
            request: to,
            rate: request.rate,
            twice: !model.starts_with(FORMATTED),
            connection: 0,
            greeted: false,
            unformatted: None,
            told: None,
        }
    }

    fn turn(&mut self, message: &Value) -> Vec<Heard> {
        let order = message["turn_order"].as_u64().unwrap_or(0) % TURNS_MAX;
        let stretch = self.connection * TURNS_MAX + order;
        let flag = |name: &str| message[name].as_bool().unwrap_or(false);
        if self.told.is_some_and(|told| stretch <= told) {
            return Vec::new();
        }
        let another = |(text, _): &mut (HeardText, f32)| text.stretch != stretch;
        let mut heard = match self.unformatted.take_if(another) {
            Some((text, confidence)) => self.over(text, confidence),
            None => Vec::new(),
        };
        let words = words(&message["words"], &FIELDS, self.rate);
        let over = flag("end_of_turn");
        let text = HeardText {
            stretch,
            text: text_of(clean(&message["transcript"]), &words, over),
            is_final: over,
            start: words.first().map(|word| word.start),
            end: words.last().map(|word| word.end),
            confidence: mean_confidence(&words),
            language: message["language_code"].as_str().map(str::to_owned),
            words,
        };
        let confidence = share(&message["end_of_turn_confidence"]).unwrap_or(1.0);
        match over {
            true if self.twice && !flag("turn_is_formatted") => {
                heard.push(Heard::Text(HeardText { is_final: false, ..text.clone() }));
                self.unformatted = Some((text, confidence));
            }
            true => {
                self.unformatted = None;
                heard.extend(self.over(text, confidence));
            }
            false if text.text.is_empty() => {}
            false => heard.push(Heard::Text(text)),
        }
        heard
    }

    fn over(&mut self, text: HeardText, confidence: f32) -> Vec<Heard> {
        self.told = Some(text.stretch);
        let end = text.end;
        let said = (!text.text.is_empty()).then_some(Heard::Text(text));
        let ends = [Heard::SpeechEnded(end), Heard::TurnEnd { at: end, confidence }];
        said.into_iter().chain(ends).collect()
    }
}

/// `transcript` holds final words only: while a turn lasts, the others are in the list.
fn text_of(transcript: String, words: &[HeardWord], over: bool) -> String {
    if over || words.is_empty() {
        return transcript;
    }
    let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    words.join(" ")
}

fn control(kind: &str) -> Say {
    Say::Text(format!("{{\"type\":\"{kind}\"}}"))
}

impl Dialect for AssemblyAi {
    fn request(&self) -> WsRequest {
        self.request.clone()
    }

    fn opening(&mut self) -> Vec<Say> {
        self.connection += 1;
        self.greeted = false;
        self.unformatted = None;
        Vec::new()
    }

    fn greets(&self) -> bool {
        true
    }

    fn frame_min(&self) -> usize {
        // 50 ms is the least that is taken; packets of 20 ms go in threes.
        (self.rate * 60 / 1000) as usize
    }

    fn audio(&mut self, samples: &[i16]) -> Say {
        let octets = if self.rate == 8000 { ulaw(samples) } else { linear(samples) };
        Say::Binary(octets.into())
    }

    fn finalise(&mut self) -> Vec<Say> {
        vec![control("ForceEndpoint")]
    }

    fn phrases(&mut self, phrases: &[String]) -> Vec<Say> {
        let update = json!({"type": "UpdateConfiguration", "keyterms_prompt": phrases});
        vec![Say::Text(update.to_string())]
    }

    fn close(&mut self) -> Vec<Say> {
        vec![control("Terminate")]
    }

    fn owes(&self) -> bool {
        !self.greeted || self.unformatted.is_some()
    }

    fn text(&mut self, message: &str) -> Vec<Heard> {
        let message = json(message);
        let ms = |name: &str| samples(message[name].as_f64().map(|ms| ms / 1000.0), self.rate);
        match message["type"].as_str().unwrap_or_default() {
            "Begin" => {
                self.greeted = true;
                vec![Heard::Ready]
            }
            "SpeechStarted" => vec![Heard::SpeechStarted(ms("timestamp"))],
            "Turn" => self.turn(&message),
            // Errors of this service have a field of this name, with or without a type.
            _ if message["error"].is_string() => {
                let told = format!("AssemblyAI: {}", reason(&message["error"]));
                vec![Heard::Failed { reason: told, fatal: false }]
            }
            // Termination, warnings, and what there may be one day.
            _ => Vec::new(),
        }
    }

    fn lost(&mut self) -> Vec<Heard> {
        self.unformatted.take().map(|(text, sure)| self.over(text, sure)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::SttEngineKind;
    use super::super::key_for_test;
    use super::*;

    fn assembly(model: Option<&str>) -> AssemblyAi {
        let mut spec = SttEngineSpec::new("a", SttEngineKind::AssemblyAi);
        spec.key = Some(key_for_test());
        spec.model = model.map(str::to_owned);
        let mut assembly =
            AssemblyAi::new(&spec, &SttRequest { rate: 8000, ..SttRequest::default() });
        assembly.opening();
        assembly
    }

    #[test]
    fn what_is_sent_is_as_documented() {
        let mut assembly = assembly(None);
        let request = assembly.request();
        assert_eq!(
            request.url,
            "wss://streaming.assemblyai.com/v3/ws?sample_rate=8000&encoding=pcm_mulaw\
             &format_turns=true&speech_model=universal-streaming-english"
        );
        assert_eq!(request.headers, [("Authorization".to_owned(), "k3y".to_owned())]);
        assert!(assembly.frame_min() >= 400, "50 ms at least");
        assert_eq!(assembly.finalise(), [Say::Text(r#"{"type":"ForceEndpoint"}"#.into())]);
        assert_eq!(assembly.close(), [Say::Text(r#"{"type":"Terminate"}"#.into())]);
        let spec = SttEngineSpec::new("a", SttEngineKind::AssemblyAi);
        let request = SttRequest {
            rate: 16_000,
            language: Some("de-DE".into()),
            phrases: vec!["Ja".into()],
            ..SttRequest::default()
        };
        let url = AssemblyAi::new(&spec, &request).request().url;
        assert!(url.ends_with(
            "speech_model=universal-streaming-multilingual&keyterms_prompt=%5B%22Ja%22%5D"
        ));
        assert!(url.contains("encoding=pcm_s16le"));
    }

    // From assemblyai.com/docs/streaming/message-sequence, read 2026-11.
    #[test]
    fn a_documented_turn_is_read_and_told_once() {
        let mut assembly = assembly(None);
        let begin = r#"{"type":"Begin","id":"de5d9927","expires_at":1759796682}"#;
        assert_eq!(assembly.text(begin), [Heard::Ready]);
        let partial = r#"{"turn_order":0,"turn_is_formatted":false,"end_of_turn":false,
            "transcript":"hi","end_of_turn_confidence":1.4e-5,"words":[
            {"start":1920,"end":2000,"text":"hi","confidence":0.874618,"word_is_final":true},
            {"start":2800,"end":2880,"text":"my","confidence":0.812831,"word_is_final":false}],
            "utterance":"","type":"Turn"}"#;
        let [Heard::Text(text)] = &assembly.text(partial)[..] else { panic!() };
        assert_eq!((text.text.as_str(), text.is_final), ("hi my", false));
        assert_eq!((text.start, text.end), (Some(15_360), Some(23_040)));
        let turn = |order: u64, formatted: bool, text: &str| {
            json!({"turn_order": order, "turn_is_formatted": formatted, "end_of_turn": true,
                "transcript": text, "end_of_turn_confidence": 0.76, "type": "Turn",
                "words": [{"start": 1920, "end": 2880, "text": "hi", "confidence": 0.5}]})
            .to_string()
        };
        let heard = assembly.text(&turn(0, false, "hi my"));
        assert!(matches!(&heard[..], [Heard::Text(text)] if !text.is_final));
        assert!(assembly.owes());
        let heard = assembly.text(&turn(0, true, "Hi my."));
        let [
            Heard::Text(text),
            Heard::SpeechEnded(Some(23_040)),
            Heard::TurnEnd { confidence, .. },
        ] = &heard[..]
        else {
            panic!("{heard:?}")
        };
        assert_eq!((text.text.as_str(), text.is_final, *confidence), ("Hi my.", true, 0.76));
        assert!(assembly.text(&turn(0, true, "Hi my.")).is_empty(), "told already");
        assembly.text(&turn(1, false, "never formatted"));
        let heard = assembly.text(&turn(2, false, "next"));
        assert!(matches!(&heard[0], Heard::Text(text) if text.is_final && text.stretch % 9 != 0));
        assert!(matches!(&assembly.lost()[0], Heard::Text(text) if text.text == "next"));
        assert_eq!(
            assembly.text(r#"{"type":"SpeechStarted","timestamp":1000,"confidence":0.9}"#),
            [Heard::SpeechStarted(Some(8000))]
        );
        let error =
            assembly.text(r#"{"type":"Error","error_code":3005,"error":"Session expired"}"#);
        assert!(matches!(&error[0], Heard::Failed { fatal: false, .. }));
        for unknown in [r#"{"type":"Termination","audio_duration_seconds":1}"#, "{}", "null"] {
            assert!(assembly.text(unknown).is_empty());
        }
    }

    #[test]
    fn models_that_format_at_once_are_not_waited_for() {
        let mut assembly = assembly(Some("u3-rt-pro"));
        let turn = json!({"turn_order": 0, "end_of_turn": true, "turn_is_formatted": false,
            "transcript": "Hi.", "type": "Turn", "words": []});
        let heard = assembly.text(&turn.to_string());
        assert!(matches!(&heard[0], Heard::Text(text) if text.is_final));
    }
}
