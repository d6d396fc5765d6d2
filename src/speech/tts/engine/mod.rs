//! Engines: whoever makes sound of one sentence.
//!
//! ```text
//!  Sentence ──> TtsEngine::synthesise ──> Sink::audio, Sink::word ──> rate, level ──> Speech
//!                        │  every wait
//!                        └──> Sink::wait: cancelled? no sound in time? no further sound?
//! ```
//!
//! Owns the contract, the common names of what goes wrong, and the list of kinds. Time limits and
//! cancellation lie in [`Sink::wait`], so an engine's own code is one straight line. Does not
//! retry, choose voices or keep anything.

mod cartesia;
mod command;
mod deepgram;
mod elevenlabs;
mod openai;
mod pico;
mod piper;
mod sink;
mod socket;

pub(super) use pico::PicoPool;
pub(super) use sink::{Place, Sink};

use super::spec::{TtsEngineKind, TtsEngineSpec};
use super::text::EngineText;
use crate::net::http::{HttpClient, HttpError, HttpResponse, HttpTimes};
use crate::net::ws::WsError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What an engine speaks.
#[derive(Debug, Clone)]
pub(super) struct Sentence {
    /// The words.
    pub text: EngineText,
    /// The engine's name of the voice.
    pub voice: String,
    /// Language tag, or empty.
    pub language: String,
    /// 1.0 is normal; already within 0.25 to 4.
    pub speed: f32,
    /// Before prompts.
    pub live: bool,
}

/// The work on one sentence.
pub(super) type Saying<'a> = Pin<Box<dyn Future<Output = Result<(), EngineError>> + Send + 'a>>;

/// One engine.
pub(super) trait TtsEngine: Send + Sync {
    /// Speaks a sentence into `out`; done when all of it is there.
    ///
    /// All waits go through [`Sink::wait`]. On [`EngineError::Cancelled`] the far side is told to
    /// stop, within [`GOODBYE`].
    fn synthesise<'a>(&'a self, say: &'a Sentence, out: &'a mut Sink) -> Saying<'a>;
}

/// How long telling a server to stop may take.
pub(super) const GOODBYE: Duration = Duration::from_millis(500);

/// Why a sentence was not (wholly) spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EngineError {
    /// Nobody listens any more.
    #[error("cancelled")]
    Cancelled,
    /// The engine is not asked for a while, after it failed too often.
    #[error("it is left alone for {} ms more after: {reason}", wait.as_millis())]
    Open {
        /// How long.
        wait: Duration,
        /// The last failure.
        reason: String,
    },
    /// All its places were taken for too long: it was not asked.
    #[error("all its places are taken for {} ms", .0.as_millis())]
    Crowded(Duration),
    /// No sound in time.
    #[error("no sound within {} ms", .0.as_millis())]
    Late(Duration),
    /// The sound stopped in the middle.
    #[error("no further sound within {} ms", .0.as_millis())]
    Stalled(Duration),
    /// Too much is asked of it.
    #[error("too many requests: {detail}")]
    Throttled {
        /// As told.
        retry_after: Option<Duration>,
        /// As told.
        detail: String,
    },
    /// Our request or its text is at fault, not the engine.
    #[error("refused: {0}")]
    Refused(String),
    /// The engine is done and made no sound.
    #[error("it made no sound")]
    Silent,
    /// One sentence became longer than any is.
    #[error("more than {} s of sound for one sentence", .0.as_secs())]
    TooLong(Duration),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl EngineError {
    /// Whether the engine is at fault, so that others should not try it either.
    pub(super) fn blames_engine(&self) -> bool {
        match self {
            Self::Cancelled | Self::Open { .. } | Self::Crowded(_) | Self::Refused(_) => false,
            Self::Late(_)
            | Self::Stalled(_)
            | Self::Throttled { .. }
            | Self::Silent
            | Self::TooLong(_)
            | Self::Failed(_) => true,
        }
    }

    /// How long the engine itself asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<HttpError> for EngineError {
    fn from(error: HttpError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<WsError> for EngineError {
    fn from(error: WsError) -> Self {
        let detail = error.to_string();
        match error {
            WsError::Refused { status, retry_after, .. } => of_status(status, retry_after, detail),
            WsError::Request { .. }
            | WsError::Unreachable { .. }
            | WsError::Stalled { .. }
            | WsError::Broken { .. } => Self::Failed(detail),
        }
    }
}

/// The meaning of an HTTP status that is no success.
fn of_status(status: u16, retry_after: Option<Duration>, detail: String) -> EngineError {
    match status {
        429 => EngineError::Throttled { retry_after, detail },
        503 if retry_after.is_some() => EngineError::Throttled { retry_after, detail },
        // A text or a voice that this engine does not take; others may fare better.
        400 | 404 | 413 | 415 | 422 => EngineError::Refused(detail),
        _ => EngineError::Failed(detail),
    }
}

/// Takes an answer of sound as it is, any other as the failure that it tells of.
async fn expect_sound(answer: HttpResponse, out: &mut Sink) -> Result<HttpResponse, EngineError> {
    let (status, after) = (answer.status(), answer.retry_after());
    let kind = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let talks = ["json", "text/", "xml", "html"].iter().any(|word| kind.contains(word));
    if answer.is_success() && !talks {
        return Ok(answer);
    }
    let said = out.wait(answer.excerpt()).await?;
    if (200..300).contains(&status) {
        return Err(EngineError::Failed(format!("{kind} in place of sound: {said}")));
    }
    Err(of_status(status, after, format!("status {status}: {said}")))
}

/// Times of the HTTP client that never come before those of [`Sink::wait`].
const PATIENT: HttpTimes =
    HttpTimes { first_byte: Duration::from_secs(120), idle: Duration::from_secs(120) };

/// What engines are made with.
pub(super) struct Shared {
    /// For all HTTP engines.
    pub http: HttpClient,
    /// Pico's threads.
    pub pico: PicoPool,
    /// The leg's rate in Hz.
    pub rate: u32,
}

/// Makes the engine of a declaration.
pub(super) fn make(spec: &TtsEngineSpec, shared: &Shared) -> Arc<dyn TtsEngine> {
    match spec.kind {
        TtsEngineKind::Pico => Arc::new(pico::Pico::new(shared.pico.clone())),
        TtsEngineKind::OpenAi => Arc::new(openai::OpenAi::new(spec, shared.http.clone())),
        TtsEngineKind::Command => Arc::new(command::Command::new(spec)),
        TtsEngineKind::Piper => Arc::new(piper::Piper::new(spec, shared.http.clone())),
        TtsEngineKind::ElevenLabs => Arc::new(elevenlabs::ElevenLabs::engine(spec, shared.rate)),
        TtsEngineKind::Cartesia => Arc::new(cartesia::Cartesia::engine(spec, shared.rate)),
        TtsEngineKind::Deepgram => Arc::new(deepgram::Deepgram::engine(spec, shared.rate)),
    }
}

/// Fuzz entry: a message of one of the vendors, chosen by the first octet.
pub fn fuzz_frame(bytes: &[u8]) {
    let Some((vendor, message)) = bytes.split_first() else { return };
    match vendor % 3 {
        0 => elevenlabs::fuzz_frame(message),
        1 => cartesia::fuzz_frame(message),
        _ => deepgram::fuzz_frame(message),
    }
}
