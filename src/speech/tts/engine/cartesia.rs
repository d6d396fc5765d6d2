//! Cartesia: contexts on one WebSocket, words with their times.
//!
//! A sentence is a context with `continue: false`; cancelling names the context.
//! Source: docs.cartesia.ai/api-reference/tts/websocket.

use super::socket::{Finder, Heard, SocketEngine, Vendor, told};
use super::{EngineError, Sentence, Sink, of_status};
use crate::audio::decode::LiveFormat;
use crate::net::ws::{WsMessage, WsRequest};
use crate::speech::base64;
use crate::speech::key::ApiKey;
use crate::speech::tts::spec::TtsEngineSpec;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The version whose messages these are.
const VERSION: &str = "2025-04-16";
/// Words of one message that are looked at.
const WORDS_MAX: usize = 1024;

/// The vendor's words.
pub(super) struct Cartesia {
    url: String,
    key: Option<ApiKey>,
    model: String,
    rate: u32,
}

impl Cartesia {
    pub(super) fn engine(spec: &TtsEngineSpec, rate: u32) -> SocketEngine<Self> {
        let base = spec.url.as_deref().unwrap_or("wss://api.cartesia.ai");
        SocketEngine::new(Self {
            url: format!("{}/tts/websocket", base.trim_end_matches('/')),
            key: spec.key.clone(),
            model: spec.model.clone().unwrap_or_else(|| "sonic-3".to_owned()),
            rate: spec.rate.unwrap_or(rate),
        })
    }
}

/// One conversation.
#[derive(Debug)]
pub(in crate::speech::tts) struct Hearing {
    context: String,
    finder: Finder,
}

impl Vendor for Cartesia {
    type Hearing = Hearing;
    const USES_MAX: u32 = 1000;
    const OUTLIVES_CANCEL: bool = true;

    fn handshake(&self, _say: &Sentence) -> WsRequest {
        let request = WsRequest::new(&self.url).with_header("cartesia-version", VERSION);
        match &self.key {
            Some(key) => request.with_header("x-api-key", key.expose()),
            None => request,
        }
    }

    fn format(&self) -> (LiveFormat, u32) {
        (LiveFormat::PcmS16Le, self.rate)
    }

    fn opening(&self, say: &Sentence, context: &str) -> Vec<Value> {
        let mut request = json!({
            "model_id": self.model,
            "transcript": say.text.as_str(),
            "voice": { "mode": "id", "id": say.voice },
            "output_format": {
                "container": "raw",
                "encoding": "pcm_s16le",
                "sample_rate": self.rate,
            },
            "context_id": context,
            "continue": false,
            "add_timestamps": true,
        });
        if let Some(fields) = request.as_object_mut() {
            if let Some(language) = say.language.get(..2) {
                fields.insert("language".to_owned(), json!(language));
            }
            if (say.speed - 1.0).abs() > 0.01 {
                // What the vendor takes.
                let speed = say.speed.clamp(0.6, 1.5);
                fields.insert("generation_config".to_owned(), json!({ "speed": speed }));
            }
        }
        vec![request]
    }

    fn cancel(&self, context: &str) -> Value {
        json!({ "context_id": context, "cancel": true })
    }

    fn hearing(&self, say: &Sentence, context: &str) -> Hearing {
        Hearing { context: context.to_owned(), finder: Finder::new(say.text.as_str()) }
    }

    fn hear(
        &self,
        hearing: &mut Hearing,
        message: &WsMessage,
        out: &mut Sink,
    ) -> Result<Heard, EngineError> {
        let WsMessage::Text(text) = message else { return Ok(Heard::More) };
        let frame = Frame::read(text)?;
        let mine = frame.context_id.as_deref().is_none_or(|context| context == hearing.context);
        if !mine {
            return Ok(Heard::More);
        }
        match frame.kind.as_str() {
            "chunk" => {
                let octets = frame.data.as_deref().and_then(base64::decode);
                let bad = || EngineError::Failed("its sound is no base64".to_owned());
                out.audio(&octets.ok_or_else(bad)?)?;
                Ok(Heard::More)
            }
            "timestamps" => {
                for (word, end) in frame.word_timestamps.iter().flat_map(Timestamps::ends) {
                    if let Some(at) = hearing.finder.find(word) {
                        out.word(at, end);
                    }
                }
                Ok(Heard::More)
            }
            "done" => Ok(Heard::Done),
            "error" => Err(frame.fault()),
            _ => Ok(Heard::More),
        }
    }
}

/// A message; unknown fields and kinds are passed over.
#[derive(Debug, Deserialize)]
struct Frame {
    #[serde(default, rename = "type")]
    kind: String,
    context_id: Option<String>,
    data: Option<String>,
    word_timestamps: Option<Timestamps>,
    status_code: Option<u16>,
    title: Option<Value>,
    message: Option<Value>,
    error: Option<Value>,
}

impl Frame {
    fn read(text: &str) -> Result<Self, EngineError> {
        serde_json::from_str(text)
            .map_err(|error| EngineError::Failed(format!("a message that is none: {error}")))
    }

    fn fault(&self) -> EngineError {
        let said = [&self.title, &self.message, &self.error];
        let said: Vec<String> = said.into_iter().flatten().map(|said| told(Some(said))).collect();
        of_status(self.status_code.unwrap_or(500), None, said.join(": "))
    }
}

/// Words with their times, in seconds from the context's first sample.
#[derive(Debug, Deserialize)]
struct Timestamps {
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    end: Vec<f64>,
}

impl Timestamps {
    fn ends(&self) -> Vec<(&str, Duration)> {
        let seconds = |end: &f64| if end.is_finite() { end.clamp(0.0, 600.0) } else { 0.0 };
        let words = self.words.iter().zip(&self.end).take(WORDS_MAX);
        words.map(|(word, end)| (word.as_str(), Duration::from_secs_f64(seconds(end)))).collect()
    }
}

/// Fuzz entry: a message as text.
pub(super) fn fuzz_frame(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(frame) = Frame::read(&text) else { return };
    let mut finder = Finder::new("A sentence with words, and \"more\" of them.");
    let mut last = 0;
    for (word, end) in frame.word_timestamps.iter().flat_map(Timestamps::ends) {
        assert!(end <= Duration::from_secs(600), "a time beyond all sentences");
        if let Some(at) = finder.find(word) {
            assert!(at > last, "words go backwards");
            last = at;
        }
    }
    let _ = (frame.fault(), frame.data.as_deref().map(base64::decode));
}
