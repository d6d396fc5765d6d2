//! ElevenLabs: several contexts on one WebSocket, letters with their times.
//!
//! A sentence is a context: a blank that opens it, the text, a flush. The context is closed when
//! its last letter was heard (or nothing came for a while), which brings `isFinal`; closing it
//! earlier is what cancels.
//! Source: elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input.

use super::socket::{Finder, Heard, SocketEngine, Vendor, encoded, told};
use super::{EngineError, Sentence, Sink};
use crate::audio::decode::LiveFormat;
use crate::net::ws::{WsMessage, WsRequest};
use crate::speech::base64;
use crate::speech::key::ApiKey;
use crate::speech::tts::spec::TtsEngineSpec;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Letters of one message that are looked at.
const LETTERS_MAX: usize = 4096;
/// A pause after which a context is closed without having heard its last letter.
const QUIET: Duration = Duration::from_millis(1500);

/// The vendor's words.
pub(super) struct ElevenLabs {
    base: String,
    key: Option<ApiKey>,
    model: String,
    rate: u32,
}

impl ElevenLabs {
    pub(super) fn engine(spec: &TtsEngineSpec, rate: u32) -> SocketEngine<Self> {
        let base = spec.url.as_deref().unwrap_or("wss://api.elevenlabs.io");
        SocketEngine::new(Self {
            base: base.trim_end_matches('/').to_owned(),
            key: spec.key.clone(),
            model: spec.model.clone().unwrap_or_else(|| "eleven_flash_v2_5".to_owned()),
            rate: spec.rate.unwrap_or(rate),
        })
    }
}

/// One conversation.
#[derive(Debug)]
pub(in crate::speech::tts) struct Hearing {
    context: String,
    finder: Finder,
    closing: bool,
}

impl Vendor for ElevenLabs {
    type Hearing = Hearing;
    const USES_MAX: u32 = 1000;
    const OUTLIVES_CANCEL: bool = true;

    fn handshake(&self, say: &Sentence) -> WsRequest {
        let url = format!(
            "{}/v1/text-to-speech/{}/multi-stream-input?model_id={}&output_format=pcm_{}\
             &auto_mode=true&sync_alignment=true",
            self.base,
            encoded(&say.voice),
            encoded(&self.model),
            self.rate,
        );
        let request = WsRequest::new(&url);
        match &self.key {
            Some(key) => request.with_header("xi-api-key", key.expose()),
            None => request,
        }
    }

    fn format(&self) -> (LiveFormat, u32) {
        (LiveFormat::PcmS16Le, self.rate)
    }

    fn opening(&self, say: &Sentence, context: &str) -> Vec<Value> {
        let mut open = json!({ "text": " ", "context_id": context });
        if (say.speed - 1.0).abs() > 0.01
            && let Some(fields) = open.as_object_mut()
        {
            // What the vendor takes.
            let speed = say.speed.clamp(0.7, 1.2);
            fields.insert("voice_settings".to_owned(), json!({ "speed": speed }));
        }
        vec![
            open,
            json!({ "text": format!("{} ", say.text.as_str()), "context_id": context }),
            json!({ "context_id": context, "flush": true }),
        ]
    }

    fn cancel(&self, context: &str) -> Value {
        json!({ "context_id": context, "close_context": true })
    }

    fn hearing(&self, say: &Sentence, context: &str) -> Hearing {
        let finder = Finder::new(say.text.as_str());
        Hearing { context: context.to_owned(), finder, closing: false }
    }

    fn hear(
        &self,
        hearing: &mut Hearing,
        message: &WsMessage,
        out: &mut Sink,
    ) -> Result<Heard, EngineError> {
        let WsMessage::Text(text) = message else { return Ok(Heard::More) };
        let frame = Frame::read(text)?;
        if let Some(error) = frame.error {
            let detail = format!("{} {}", told(Some(&error)), told(frame.message.as_ref()));
            return Err(fault(&detail));
        }
        let mine = frame.context_id.as_deref().is_none_or(|context| context == hearing.context);
        if !mine {
            return Ok(Heard::More);
        }
        // Times of letters count from the sound of their own message.
        let begun = out.made();
        if let Some(audio) = frame.audio.filter(|audio| !audio.is_empty()) {
            let octets = base64::decode(&audio);
            let bad = || EngineError::Failed("its sound is no base64".to_owned());
            out.audio(&octets.ok_or_else(bad)?)?;
        }
        for (chars, end) in frame.alignment.iter().flat_map(Alignment::ends) {
            if let Some(at) = hearing.finder.follow(chars)
                && hearing.finder.is_word_end()
            {
                out.word(at, begun + end);
            }
        }
        if frame.is_final.or(frame.is_final_too) == Some(true) {
            return Ok(Heard::Done);
        }
        let complete = frame.is_final_audio_for_turn == Some(true) || hearing.finder.is_done();
        if complete && !hearing.closing {
            hearing.closing = true;
            return Ok(Heard::Say(self.cancel(&hearing.context)));
        }
        Ok(Heard::More)
    }

    fn nudge(&self, hearing: &mut Hearing) -> Option<(Duration, Value)> {
        (!hearing.closing).then(|| (QUIET, self.cancel(&hearing.context)))
    }
}

/// Whose fault an error is, by its words.
fn fault(detail: &str) -> EngineError {
    let detail = detail.trim().to_owned();
    let known = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    if known(&["quota", "busy", "rate_limit", "concurrent"]) {
        return EngineError::Throttled { retry_after: None, detail };
    }
    if known(&["voice", "input_", "invalid_text", "model"]) {
        return EngineError::Refused(detail);
    }
    EngineError::Failed(detail)
}

/// A message; unknown fields are passed over.
#[derive(Debug, Deserialize)]
struct Frame {
    audio: Option<String>,
    // The vendor's own pages write both.
    #[serde(rename = "isFinal")]
    is_final: Option<bool>,
    #[serde(rename = "is_final")]
    is_final_too: Option<bool>,
    is_final_audio_for_turn: Option<bool>,
    #[serde(rename = "contextId")]
    context_id: Option<String>,
    alignment: Option<Alignment>,
    error: Option<Value>,
    message: Option<Value>,
}

impl Frame {
    fn read(text: &str) -> Result<Self, EngineError> {
        serde_json::from_str(text)
            .map_err(|error| EngineError::Failed(format!("a message that is none: {error}")))
    }
}

/// Letters with their times, in ms.
#[derive(Debug, Deserialize)]
struct Alignment {
    #[serde(default)]
    chars: Vec<String>,
    #[serde(default, rename = "charStartTimesMs", alias = "char_start_times_ms")]
    starts: Vec<f64>,
    #[serde(
        default,
        rename = "charDurationsMs",
        alias = "charsDurationsMs",
        alias = "char_durations_ms"
    )]
    durations: Vec<f64>,
}

impl Alignment {
    /// Words, each with the end of its last letter.
    fn ends(&self) -> Vec<(&str, Duration)> {
        let letters = self.chars.iter().zip(&self.starts).zip(&self.durations).take(LETTERS_MAX);
        let end = |start: &f64, length: &f64| {
            let ms = (start + length).clamp(0.0, 600_000.0);
            Duration::from_secs_f64(if ms.is_finite() { ms / 1000.0 } else { 0.0 })
        };
        letters.map(|((char, start), length)| (char.as_str(), end(start, length))).collect()
    }
}

/// Fuzz entry: a message as text.
pub(super) fn fuzz_frame(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(frame) = Frame::read(&text) else { return };
    let mut finder = Finder::new("A sentence with words, and \"more\" of them.");
    let mut last = 0;
    for (chars, end) in frame.alignment.iter().flat_map(Alignment::ends) {
        assert!(end <= Duration::from_secs(600), "a time beyond all sentences");
        if let Some(at) = finder.follow(chars) {
            assert!(at >= last, "letters go backwards");
            last = at;
        }
    }
    let _ = frame.audio.map(|audio| base64::decode(&audio));
}
