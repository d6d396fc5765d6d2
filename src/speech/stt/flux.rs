//! Deepgram's `/v2/listen`: the Flux models, which decide themselves when a turn is over.
//!
//! Shapes: developers.deepgram.com/reference/speech-to-text/listen-flux and /docs/flux/{state,
//! configuration,configure,force-end-turn,close-stream}, read 2026-11. A turn is one stretch of words; its `EndOfTurn`
//! is the final. Eager ends of turn are not asked for.

use super::SttEngineSpec;
use super::deepgram::{PHRASES_MAX, URL, audio_query, configure, encoded, with_token};
use super::dialect::{
    Dialect, Heard, HeardText, Say, WordFields, clean, endpoint, json, mean_confidence, reason,
    samples, share, words,
};
use super::interface::SttRequest;
use crate::net::ws::WsRequest;
use serde_json::Value;

const PATH: &str = "/v2/listen";
/// Turns that are told apart within a connection.
const TURNS_MAX: u64 = 1 << 32;

const FIELDS: WordFields =
    WordFields { text: ["word", "word"], confidence: "confidence", units: 1.0 };

/// One call's talk with Flux.
pub(super) struct Flux {
    request: WsRequest,
    rate: u32,
    connection: u64,
    greeted: bool,
    /// Samples sent since the engine last said something.
    unheard: u64,
    /// Where the turn's words began, when the words do not tell.
    begun: Option<u64>,
    /// Within a turn, as far as we were told.
    in_turn: bool,
    forced: bool,
}

impl Flux {
    /// For one call; the model's name begins with `flux`.
    pub(super) fn new(spec: &SttEngineSpec, request: &SttRequest) -> Self {
        let model = spec.model.as_deref().unwrap_or("flux-general-en");
        let mut query = audio_query(model, request.rate);
        if model.contains("multi") {
            let hint = request.language.as_deref().map(super::dialect::primary);
            query.extend(hint.map(|language| ("language_hint", language.to_owned())));
        }
        let phrases = request.phrases.iter().take(PHRASES_MAX);
        query.extend(phrases.map(|phrase| ("keyterm", phrase.clone())));
        let url = endpoint(spec.url.as_deref().unwrap_or(URL), PATH, &query);
        Self {
            request: with_token(WsRequest::new(&url), spec),
            rate: request.rate,
            connection: 0,
            greeted: false,
            unheard: 0,
            begun: None,
            in_turn: false,
            forced: false,
        }
    }

    fn turn(&mut self, message: &Value) -> Vec<Heard> {
        let event = message["event"].as_str().unwrap_or_default();
        let until = samples(message["audio_window_end"].as_f64(), self.rate);
        let words = words(&message["words"], &FIELDS, self.rate);
        let over = event == "EndOfTurn";
        let mut heard = Vec::new();
        if event == "StartOfTurn" {
            let start = words.first().map(|word| word.start).or(until);
            self.begun = start;
            self.in_turn = true;
            heard.push(Heard::SpeechStarted(start));
        }
        let text = clean(&message["transcript"]);
        let end = words.last().map(|word| word.end).or(until);
        if !text.is_empty() {
            self.in_turn = !over;
            let start = words.first().map(|word| word.start).or(self.begun);
            heard.push(Heard::Text(HeardText {
                stretch: self.connection * TURNS_MAX
                    + message["turn_index"].as_u64().unwrap_or(0) % TURNS_MAX,
                text,
                is_final: over,
                start,
                end,
                confidence: mean_confidence(&words),
                language: message["languages"][0].as_str().map(str::to_owned),
                words,
            }));
        }
        if over {
            self.begun = None;
            self.in_turn = false;
            self.forced = false;
            let confidence = share(&message["end_of_turn_confidence"]).unwrap_or(1.0);
            heard.extend([Heard::SpeechEnded(end), Heard::TurnEnd { at: until, confidence }]);
        }
        heard
    }
}

impl Dialect for Flux {
    fn request(&self) -> WsRequest {
        self.request.clone()
    }

    fn opening(&mut self) -> Vec<Say> {
        self.connection += 1;
        self.greeted = false;
        self.unheard = 0;
        self.begun = None;
        self.in_turn = false;
        self.forced = false;
        Vec::new()
    }

    fn greets(&self) -> bool {
        true
    }

    fn frame_min(&self) -> usize {
        // The vendor's advice: 80 ms.
        (self.rate * 80 / 1000) as usize
    }

    fn audio(&mut self, samples: &[i16]) -> Say {
        self.unheard += samples.len() as u64;
        encoded(samples, self.rate)
    }

    fn finalise(&mut self) -> Vec<Say> {
        // What this means outside a turn is not documented.
        self.forced = self.in_turn;
        let force = Say::Text(r#"{"type":"ForceEndTurn"}"#.to_owned());
        self.in_turn.then_some(force).into_iter().collect()
    }

    fn phrases(&mut self, phrases: &[String]) -> Vec<Say> {
        vec![configure(phrases)]
    }

    fn close(&mut self) -> Vec<Say> {
        // It ends no turn: the words so far would stay without a final.
        let mut says = self.finalise();
        says.push(Say::Text(r#"{"type":"CloseStream"}"#.to_owned()));
        says
    }

    fn owes(&self) -> bool {
        // Updates come about every quarter of a second of audio.
        !self.greeted || self.forced || self.unheard > 5 * u64::from(self.rate)
    }

    fn text(&mut self, message: &str) -> Vec<Heard> {
        let message = json(message);
        self.unheard = 0;
        match message["type"].as_str().unwrap_or_default() {
            "Connected" => {
                self.greeted = true;
                vec![Heard::Ready]
            }
            "TurnInfo" => self.turn(&message),
            "Error" => {
                let told = format!(
                    "Deepgram: {} {}",
                    reason(&message["code"]),
                    reason(&message["description"])
                );
                vec![Heard::Failed { reason: told, fatal: false }]
            }
            // Answers to Configure, and what there may be one day.
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SttEngineKind;
    use super::super::key_for_test;
    use super::*;
    use serde_json::json;

    fn flux() -> Flux {
        let mut spec = SttEngineSpec::new("d", SttEngineKind::Deepgram);
        spec.key = Some(key_for_test());
        spec.model = Some("flux-general-en".to_owned());
        let mut flux = Flux::new(&spec, &SttRequest { rate: 8000, ..SttRequest::default() });
        flux.opening();
        flux
    }

    #[test]
    fn what_is_sent_is_as_documented() {
        let mut flux = flux();
        assert_eq!(
            flux.request().url,
            "wss://api.deepgram.com/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000"
        );
        assert!(flux.finalise().is_empty(), "no turn to end");
        flux.text(r#"{"type":"TurnInfo","event":"StartOfTurn","audio_window_end":1}"#);
        let force = Say::Text(r#"{"type":"ForceEndTurn"}"#.into());
        assert_eq!(flux.finalise(), std::slice::from_ref(&force));
        assert_eq!(flux.close(), [force, Say::Text(r#"{"type":"CloseStream"}"#.into())]);
        assert!(flux.keep_alive().is_none(), "Flux knows none");
        let configure = json!({"type": "Configure", "keyterms": ["a"]}).to_string();
        assert_eq!(flux.phrases(&["a".to_owned()]), [Say::Text(configure)]);
    }

    // After developers.deepgram.com/reference/speech-to-text/listen-flux, read 2026-11; word
    // times are newer than some servers.
    #[test]
    fn a_documented_turn_is_read() {
        let mut flux = flux();
        let connected = r#"{"type":"Connected","request_id":"r","sequence_id":0}"#;
        assert_eq!(flux.text(connected), [Heard::Ready]);
        let turn = |event: &str, end: f64, transcript: &str| {
            format!(
                r#"{{"type":"TurnInfo","request_id":"r","sequence_id":11,"event":"{event}",
                "turn_index":0,"audio_window_start":0.0,"audio_window_end":{end},
                "transcript":"{transcript}","words":[{{"word":"Hello","confidence":0.5}}],
                "end_of_turn_confidence":0.74}}"#
            )
        };
        assert!(flux.text(&turn("Update", 0.25, "")).is_empty());
        let heard = flux.text(&turn("StartOfTurn", 1.0, "Hello"));
        let [Heard::SpeechStarted(Some(8000)), Heard::Text(text)] = &heard[..] else { panic!() };
        assert_eq!((text.start, text.is_final), (Some(8000), false));
        let heard = flux.text(&turn("EndOfTurn", 2.0, "Hello there"));
        let [Heard::Text(text), Heard::SpeechEnded(_), Heard::TurnEnd { at, confidence }] =
            &heard[..]
        else {
            panic!("{heard:?}")
        };
        assert_eq!(
            (text.text.as_str(), text.is_final, text.end),
            ("Hello there", true, Some(16_000))
        );
        assert_eq!((*at, *confidence), (Some(16_000), 0.74));
        let error = r#"{"type":"Error","sequence_id":3,"code":"X","description":"broken"}"#;
        assert!(matches!(&flux.text(error)[0], Heard::Failed { reason, fatal: false }
            if reason == "Deepgram: X broken"));
        for unknown in [r#"{"type":"ConfigureSuccess"}"#, r#"{"event":"EndOfTurn"}"#, "1"] {
            assert!(flux.text(unknown).is_empty());
        }
    }
}
