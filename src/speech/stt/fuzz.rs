//! Fuzz entries: octets as a conversation with an engine, one message a line, with the promises
//! to the call checked.

use super::dialect::Dialect;
use super::feed::Feed;
use super::interface::{SttEvent, SttRequest};
use super::teller::Teller;
use super::{SttEngineKind, SttEngineSpec, dialect};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Lines that are looked at.
const LINES_MAX: usize = 200;

/// A conversation with a Vosk server.
pub fn fuzz_vosk(bytes: &[u8]) {
    converse(SttEngineKind::Vosk, None, bytes);
}

/// A conversation with Deepgram's Nova models.
pub fn fuzz_deepgram(bytes: &[u8]) {
    converse(SttEngineKind::Deepgram, None, bytes);
}

/// A conversation with Deepgram's Flux models.
pub fn fuzz_flux(bytes: &[u8]) {
    converse(SttEngineKind::Deepgram, Some("flux-general-en"), bytes);
}

/// A conversation in OpenAI's protocol.
pub fn fuzz_openai(bytes: &[u8]) {
    converse(SttEngineKind::OpenAi, None, bytes);
}

/// A conversation with AssemblyAI.
pub fn fuzz_assemblyai(bytes: &[u8]) {
    converse(SttEngineKind::AssemblyAi, None, bytes);
}

/// A line is a message of the engine; an empty one is a lost connection, `+` half a second of
/// audio, `!` asks for a final.
fn converse(kind: SttEngineKind, model: Option<&str>, bytes: &[u8]) {
    let mut spec = SttEngineSpec::new("fuzzed", kind);
    spec.model = model.map(str::to_owned);
    let request = SttRequest { rate: 8000, partials: true, ..SttRequest::default() };
    let Ok(dialect) = dialect(&spec, &request) else { return };
    let teller = Teller::new(8000, true, None);
    let feed = Feed::new(8000);
    let mut call = Call { dialect, teller, feed, now: Instant::now(), finals: BTreeSet::new() };
    call.dialect.opening();
    call.audio();
    for line in String::from_utf8_lossy(bytes).split('\n').take(LINES_MAX) {
        match line {
            "" => call.lose(),
            "+" => call.audio(),
            "!" => drop(call.dialect.finalise()),
            line => call.hear(line),
        }
    }
    call.lose();
}

struct Call {
    dialect: Box<dyn Dialect>,
    teller: Teller,
    feed: Feed,
    now: Instant,
    finals: BTreeSet<u64>,
}

impl Call {
    fn audio(&mut self) {
        self.feed.take(self.feed.now(), &[100; 4000]);
        while let Some(frame) = self.feed.frame(self.dialect.frame_min()) {
            self.dialect.audio(&frame);
        }
    }

    fn hear(&mut self, line: &str) {
        self.now += Duration::from_millis(30);
        for heard in self.dialect.text(line) {
            let told = self.teller.tell(heard, &self.feed, self.now);
            self.check(told);
        }
        let due = self.teller.overdue(self.now);
        self.check(due);
    }

    fn lose(&mut self) {
        for heard in self.dialect.lost() {
            let told = self.teller.tell(heard, &self.feed, self.now);
            self.check(told);
        }
        let saved = self.teller.lost(self.feed.oldest());
        self.check(saved);
        self.feed.restart(self.teller.told_until());
        self.teller.connected();
        self.dialect.opening();
    }

    fn check(&mut self, told: impl IntoIterator<Item = SttEvent>) {
        for event in told {
            self.check_one(event);
        }
    }

    fn check_one(&mut self, event: SttEvent) {
        let now = self.feed.now();
        match event {
            SttEvent::Transcript(words) => {
                assert!(!words.text.trim().is_empty(), "nothing is told");
                assert!(words.start < words.end && words.end <= now, "{words:?} at {now}");
                assert!(!self.finals.contains(&words.id), "told after its final: {words:?}");
                assert!(words.confidence.is_none_or(|share| (0.0..=1.0).contains(&share)));
                assert!(words.words.iter().all(|word| word.end <= now), "{words:?}");
                if words.is_final {
                    self.finals.insert(words.id);
                }
            }
            SttEvent::SpeechStarted(at) | SttEvent::SpeechEnded(at) => assert!(at <= now),
            SttEvent::TurnEnd { position, confidence } => {
                assert!(position <= now && (0.0..=1.0).contains(&confidence));
            }
            SttEvent::Ready | SttEvent::Reconnecting(_) | SttEvent::Unavailable(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TARGETS: [fn(&[u8]); 5] =
        [fuzz_vosk, fuzz_deepgram, fuzz_flux, fuzz_openai, fuzz_assemblyai];

    /// Pieces of all vendors' messages.
    fn line() -> impl Strategy<Value = String> {
        let time = prop_oneof![0.0..9.0_f64, Just(-1.0), Just(1e300)];
        let word = prop_oneof![Just("hi".to_owned()), Just(String::new()), ".{0,8}"];
        let kind = prop::sample::select(vec![
            "Results",
            "SpeechStarted",
            "UtteranceEnd",
            "TurnInfo",
            "Turn",
            "Begin",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
        ]);
        let event = prop::sample::select(vec!["Update", "StartOfTurn", "EndOfTurn"]);
        let flags = (any::<bool>(), any::<bool>(), 0_u64..3);
        (kind, event, time.clone(), time, word, flags).prop_map(
            |(kind, event, start, end, word, (over, formatted, number))| {
                let words = serde_json::json!([{"word": word, "text": word, "start": start,
                    "end": end, "conf": 0.5, "confidence": 2.0}]);
                let mut message = serde_json::json!({"type": kind, "event": event, "start": start,
                    "duration": end, "is_final": over, "speech_final": formatted, "delta": word,
                    "end_of_turn": over, "turn_is_formatted": formatted, "transcript": word,
                    "turn_order": number, "turn_index": number, "words": words, "result": words,
                    "item_id": number.to_string(), "audio_start_ms": start * 1000.0,
                    "audio_end_ms": end * 1000.0, "audio_window_end": end, "timestamp": start,
                    "channel": {"alternatives": [{"transcript": word, "words": words}]}});
                message[if over { "text" } else { "partial" }] = word.into();
                message.to_string()
            },
        )
    }

    proptest! {
        #[test]
        fn no_conversation_breaks_a_promise(
            lines in prop::collection::vec(
                prop_oneof![8 => line(), 1 => Just("+".to_owned()), 1 => Just(String::new()),
                    1 => Just("!".to_owned())], 1..40)
        ) {
            for target in TARGETS {
                target(lines.join("\n").as_bytes());
            }
        }
    }
}
