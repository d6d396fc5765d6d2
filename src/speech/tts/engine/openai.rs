//! `POST {url}/audio/speech`, as OpenAI and many servers of one's own speak it.
//!
//! Asks for `pcm`, which is s16le mono at 24 kHz without a header, and plays it as it comes. A
//! server that answers with WAV or MP3 instead, and says so, is understood too. Closing the
//! connection is what cancels.
//! Source: platform.openai.com/docs/api-reference/audio/createSpeech.

use super::{PATIENT, Saying, Sentence, Sink, TtsEngine, expect_sound};
use crate::audio::decode::LiveFormat;
use crate::net::http::{HttpClient, HttpRequest};
use crate::speech::key::ApiKey;
use crate::speech::tts::spec::TtsEngineSpec;
use serde_json::json;

/// Rate of `pcm`, in Hz.
const RATE: u32 = 24_000;

/// The engine.
pub(super) struct OpenAi {
    http: HttpClient,
    url: String,
    key: Option<ApiKey>,
    model: String,
    rate: u32,
}

impl OpenAi {
    pub(super) fn new(spec: &TtsEngineSpec, http: HttpClient) -> Self {
        let base = spec.url.as_deref().unwrap_or("https://api.openai.com/v1");
        Self {
            http,
            url: format!("{}/audio/speech", base.trim_end_matches('/')),
            key: spec.key.clone(),
            model: spec.model.clone().unwrap_or_else(|| "gpt-4o-mini-tts".to_owned()),
            rate: spec.rate.unwrap_or(RATE),
        }
    }

    fn request(&self, say: &Sentence) -> HttpRequest {
        let mut body = json!({
            "model": self.model,
            "input": say.text.as_str(),
            "voice": say.voice,
            "response_format": "pcm",
        });
        if (say.speed - 1.0).abs() > 0.01
            && let Some(fields) = body.as_object_mut()
        {
            fields.insert("speed".to_owned(), json!(say.speed));
        }
        let mut request = HttpRequest::post_json(&self.url, &body);
        request.times = PATIENT;
        match &self.key {
            Some(key) => request.with_header("authorization", &format!("Bearer {}", key.expose())),
            None => request,
        }
    }
}

impl TtsEngine for OpenAi {
    fn synthesise<'a>(&'a self, say: &'a Sentence, out: &'a mut Sink) -> Saying<'a> {
        Box::pin(async move {
            let answer = out.wait(self.http.send(self.request(say))).await??;
            let mut answer = expect_sound(answer, out).await?;
            let (format, rate) = format_of(answer.header("content-type"), self.rate);
            out.format(format, rate)?;
            while let Some(octets) = out.wait(answer.chunk()).await?? {
                out.audio(&octets)?;
            }
            out.audio_end()
        })
    }
}

/// What the answer says that it is; raw samples unless it says otherwise.
fn format_of(content_type: Option<&str>, rate: u32) -> (LiveFormat, u32) {
    let kind = content_type.unwrap_or_default().to_ascii_lowercase();
    if kind.contains("wav") {
        return (LiveFormat::Wav, rate);
    }
    if kind.contains("mpeg") || kind.contains("mp3") {
        return (LiveFormat::Mp3, rate);
    }
    let told = kind.split(';').find_map(|part| part.trim().strip_prefix("rate="));
    (LiveFormat::PcmS16Le, told.and_then(|rate| rate.parse().ok()).unwrap_or(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_what_it_is() {
        for (kind, expected) in [
            (None, (LiveFormat::PcmS16Le, 24_000)),
            (Some("application/octet-stream"), (LiveFormat::PcmS16Le, 24_000)),
            (Some("audio/pcm;rate=16000;channels=1"), (LiveFormat::PcmS16Le, 16_000)),
            (Some("audio/pcm; rate=x"), (LiveFormat::PcmS16Le, 24_000)),
            (Some("audio/x-wav"), (LiveFormat::Wav, 24_000)),
            (Some("Audio/MPEG"), (LiveFormat::Mp3, 24_000)),
        ] {
            assert_eq!(format_of(kind, 24_000), expected, "{kind:?}");
        }
    }
}
