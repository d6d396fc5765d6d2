//! Whether and how a call's words are written down: what a request asks, and the engine's ends as
//! an application leg holds them.
//!
//! ```text
//!  capture ring ─> application leg ── push ──> Transcriber ─> engine
//!  record, client <── Utterance, events ───────────┘
//! ```
//!
//! Owns the beginning of the caller's clock: positions become milliseconds since the answer. Does
//! not read rings or tell anybody.

use crate::call::outcome::Utterance;
use crate::speech::stt::{Stt, SttEvent, SttInput, SttRequest, SttUnavailable, Transcript};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcribe {
    /// The name of an `[[engine.stt]]`; `None`: the first.
    pub engine: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// Whether partial transcripts are wanted.
    pub partials: bool,
    /// Phrases that are expected.
    pub phrases: Vec<String>,
}

impl Transcribe {
    /// What an engine is asked for a leg of this rate in Hz.
    #[must_use]
    pub fn request(&self, rate: u32) -> SttRequest {
        SttRequest {
            engine: self.engine.clone(),
            language: self.language.clone(),
            phrases: self.phrases.clone(),
            partials: self.partials,
            rate,
        }
    }
}

/// One call's transcription.
pub struct Transcriber {
    engine: String,
    input: SttInput,
    events: mpsc::Receiver<SttEvent>,
    rate: u64,
    /// Capture position of the answer; until then nothing is listened to.
    begun: Option<u64>,
    started: bool,
}

impl Transcriber {
    /// Asks an engine to listen to a leg of this rate in Hz.
    ///
    /// # Errors
    /// [`SttUnavailable`].
    pub fn open(stt: &Stt, wanted: &Transcribe, rate: u32) -> Result<Self, SttUnavailable> {
        let (input, events) = stt.open(wanted.request(rate))?;
        let first = stt.names().first().map(|name| (*name).to_owned());
        let engine = wanted.engine.clone().or(first).unwrap_or_default();
        let rate = u64::from(rate.max(1));
        Ok(Self { engine, input, events, rate, begun: None, started: false })
    }

    /// The engine's name.
    #[must_use]
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// The call is answered: what comes from here on is listened to.
    pub fn start(&mut self) {
        self.started = true;
    }

    /// Caller audio. Never waits.
    pub fn push(&mut self, position: u64, samples: &[i16]) {
        if self.started {
            self.begun.get_or_insert(position);
            self.input.push(position, samples);
        }
    }

    /// What the engine says; `None` when it will say no more. For `poll` functions.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<SttEvent>> {
        self.events.poll_recv(context)
    }

    /// The same, to be waited for. Cancel-safe.
    pub async fn next(&mut self) -> Option<SttEvent> {
        self.events.recv().await
    }

    /// Milliseconds from the answer to a capture position.
    #[must_use]
    pub fn ms(&self, position: u64) -> u64 {
        position.saturating_sub(self.begun.unwrap_or(0)) * 1000 / self.rate
    }

    /// A final transcript as a line of the call's record.
    #[must_use]
    pub fn utterance(&self, said: &Transcript) -> Utterance {
        Utterance {
            speaker: "caller".to_owned(),
            text: said.text.to_string(),
            digits: String::new(),
            start_ms: self.ms(said.start),
            end_ms: self.ms(said.end),
            confidence: said.confidence,
            constrained: said.constrained,
            interrupted: false,
        }
    }
}
