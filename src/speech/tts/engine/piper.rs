//! Piper's HTTP server: JSON in, a whole WAV out.
//!
//! The URL is asked as it is configured: older servers listen at `/`, later ones at
//! `/synthesize`. Source: docs/API_HTTP.md of OHF-Voice/piper1-gpl.

use super::{PATIENT, Saying, Sentence, Sink, TtsEngine, expect_sound};
use crate::audio::decode::LiveFormat;
use crate::net::http::{HttpClient, HttpRequest};
use crate::speech::key::ApiKey;
use crate::speech::tts::spec::TtsEngineSpec;
use serde_json::{Map, json};

/// Where Piper listens unless told otherwise.
const URL: &str = "http://127.0.0.1:5000/";

/// The engine.
pub(super) struct Piper {
    http: HttpClient,
    url: String,
    key: Option<ApiKey>,
}

impl Piper {
    pub(super) fn new(spec: &TtsEngineSpec, http: HttpClient) -> Self {
        let url = spec.url.clone().unwrap_or_else(|| URL.to_owned());
        Self { http, url, key: spec.key.clone() }
    }

    fn request(&self, say: &Sentence) -> HttpRequest {
        let mut body = Map::new();
        body.insert("text".to_owned(), json!(say.text.as_str()));
        if !say.voice.is_empty() {
            body.insert("voice".to_owned(), json!(say.voice));
        }
        if (say.speed - 1.0).abs() > 0.01 {
            body.insert("length_scale".to_owned(), json!(1.0 / say.speed));
        }
        let mut request = HttpRequest::post_json(&self.url, &body.into());
        request.times = PATIENT;
        match &self.key {
            Some(key) => request.with_header("authorization", &format!("Bearer {}", key.expose())),
            None => request,
        }
    }
}

impl TtsEngine for Piper {
    fn synthesise<'a>(&'a self, say: &'a Sentence, out: &'a mut Sink) -> Saying<'a> {
        Box::pin(async move {
            let answer = out.wait(self.http.send(self.request(say))).await??;
            let mut answer = expect_sound(answer, out).await?;
            // The rate stands in the WAV.
            out.format(LiveFormat::Wav, 22_050)?;
            while let Some(octets) = out.wait(answer.chunk()).await?? {
                out.audio(&octets)?;
            }
            out.audio_end()
        })
    }
}
