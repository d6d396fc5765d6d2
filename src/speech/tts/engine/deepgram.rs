//! Deepgram Aura: text and flush in, binary sound out, one sentence at a time.
//!
//! The voice is the model and stands in the URL. `Flushed` follows the last sound; `Clear` drops
//! what is not made yet. Binary sound bears no mark of its sentence, so a connection on which one
//! was cancelled is not used again. Speed is not offered and passes unheard. At most 20 flushes a minute are taken: a connection serves 15.
//! Source: developers.deepgram.com/docs/streaming-text-to-speech.

use super::socket::{Heard, SocketEngine, Vendor, encoded, told};
use super::{EngineError, Sentence, Sink};
use crate::audio::decode::LiveFormat;
use crate::net::ws::{WsMessage, WsRequest};
use crate::speech::key::ApiKey;
use crate::speech::tts::spec::TtsEngineSpec;
use serde_json::{Value, json};

/// The vendor's words.
pub(super) struct Deepgram {
    base: String,
    key: Option<ApiKey>,
    rate: u32,
}

impl Deepgram {
    pub(super) fn engine(spec: &TtsEngineSpec, rate: u32) -> SocketEngine<Self> {
        let base = spec.url.as_deref().unwrap_or("wss://api.deepgram.com");
        SocketEngine::new(Self {
            base: base.trim_end_matches('/').to_owned(),
            key: spec.key.clone(),
            rate: spec.rate.unwrap_or(rate),
        })
    }
}

impl Vendor for Deepgram {
    type Hearing = ();
    const USES_MAX: u32 = 15;
    const OUTLIVES_CANCEL: bool = false;

    fn handshake(&self, say: &Sentence) -> WsRequest {
        let url = format!(
            "{}/v1/speak?model={}&encoding=linear16&sample_rate={}",
            self.base,
            encoded(&say.voice),
            self.rate,
        );
        let request = WsRequest::new(&url);
        match &self.key {
            Some(key) => request.with_header("authorization", &format!("Token {}", key.expose())),
            None => request,
        }
    }

    fn format(&self) -> (LiveFormat, u32) {
        (LiveFormat::PcmS16Le, self.rate)
    }

    fn opening(&self, say: &Sentence, _context: &str) -> Vec<Value> {
        vec![json!({ "type": "Speak", "text": say.text.as_str() }), json!({ "type": "Flush" })]
    }

    fn cancel(&self, _context: &str) -> Value {
        json!({ "type": "Clear" })
    }

    fn hearing(&self, _say: &Sentence, _context: &str) {}

    fn hear(&self, (): &mut (), message: &WsMessage, out: &mut Sink) -> Result<Heard, EngineError> {
        match message {
            WsMessage::Binary(octets) => {
                out.audio(octets)?;
                Ok(Heard::More)
            }
            WsMessage::Text(text) => read(text),
            WsMessage::Closed { .. } => Ok(Heard::More),
        }
    }
}

/// What a text message means.
fn read(text: &str) -> Result<Heard, EngineError> {
    let frame: Value = serde_json::from_str(text)
        .map_err(|error| EngineError::Failed(format!("a message that is none: {error}")))?;
    let said = |name: &str| told(frame.get(name));
    match frame.get("type").and_then(Value::as_str) {
        Some("Flushed") => Ok(Heard::Done),
        Some("Error") => {
            let detail =
                format!("{} {} {}", said("err_code"), said("err_msg"), said("description"));
            Err(EngineError::Failed(detail.trim().to_owned()))
        }
        Some("Warning") => {
            let detail = format!("{} {}", said("code"), said("description"));
            let slow = ["RATE", "EXCEEDED", "LIMIT"];
            if slow.iter().any(|word| detail.to_uppercase().contains(word)) {
                return Err(EngineError::Throttled { retry_after: None, detail });
            }
            tracing::debug!(%detail, "a warning of the speech engine");
            Ok(Heard::More)
        }
        Some(_) | None => Ok(Heard::More),
    }
}

/// Fuzz entry: a message as text.
pub(super) fn fuzz_frame(bytes: &[u8]) {
    let _ = read(&String::from_utf8_lossy(bytes));
}
