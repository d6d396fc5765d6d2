//! One configured engine: its places, its breaker, its figures.
//!
//! Owns who may ask the engine at this moment, and what its failures mean for the next. Does not
//! choose voices.

use super::breaker::{Breaker, Leave};
use super::engine::{self, EngineError, Place, Sentence, Sink, TtsEngine};
use super::spec::{TtsEngineKind, TtsEngineSpec};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long a prompt waits for a free place before its engine counts as too slow.
const PROMPT_WAIT: Duration = Duration::from_secs(60);

/// A configured engine.
pub(super) struct Host {
    pub spec: TtsEngineSpec,
    engine: Arc<dyn TtsEngine>,
    breaker: Mutex<Breaker>,
    pub(super) places: Semaphore,
    prompts: Semaphore,
    pub counts: Counts,
}

/// What an engine did since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub sentences: AtomicU64,
    pub failures: AtomicU64,
    pub cancelled: AtomicU64,
    pub refused_by_breaker: AtomicU64,
    pub fallbacks: AtomicU64,
    pub first_audio_ms: AtomicU64,
    pub first_audios: AtomicU64,
    pub letters: AtomicU64,
}

/// What became of one sentence at one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentenceReport {
    /// The engine's name.
    pub engine: String,
    /// The voice's id.
    pub voice: String,
    /// Whether it was an agent's.
    pub live: bool,
    /// Letters asked for.
    pub letters: usize,
    /// From the request to the first sound, if there was any.
    pub first_audio: Option<Duration>,
    /// How it ended.
    pub outcome: SentenceOutcome,
}

/// How one sentence ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentenceOutcome {
    /// It was spoken.
    Spoken,
    /// Nobody wanted to hear (all of) it.
    Cancelled,
    /// It was not (all) spoken, for this reason.
    Failed(String),
    /// The engine was not asked, because it failed too often before.
    Skipped(String),
}

impl SentenceOutcome {
    pub(super) fn of(result: &Result<(), EngineError>) -> Self {
        match result {
            Ok(()) => Self::Spoken,
            Err(EngineError::Cancelled) => Self::Cancelled,
            Err(error @ EngineError::Open { .. }) => Self::Skipped(error.to_string()),
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// What an engine did since the start, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStats {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: TtsEngineKind,
    /// Sentences asked for.
    pub sentences: u64,
    /// Letters asked for, which is what vendors charge.
    pub letters: u64,
    /// Sentences that failed, wholly or in part.
    pub failures: u64,
    /// Sentences that nobody wanted to hear to the end.
    pub cancelled: u64,
    /// Sentences that were not asked for because the engine failed too often before.
    pub refused_by_breaker: u64,
    /// Sentences that another voice spoke in its place.
    pub fallbacks: u64,
    /// Sentences with sound, and the sum of the times to their first sound, in ms.
    pub first_audios: u64,
    /// See above.
    pub first_audio_ms: u64,
    /// Whether it is asked as always; otherwise why not.
    pub open: Option<String>,
}

impl Host {
    pub(super) fn new(spec: TtsEngineSpec, shared: &engine::Shared) -> Self {
        let places = spec.max_parallel.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            engine: engine::make(&spec, shared),
            breaker: Mutex::default(),
            places: Semaphore::new(places),
            // Agents find a place even when prompts wait in line.
            prompts: Semaphore::new((places - places / 4).max(1)),
            counts: Counts::default(),
            spec,
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Speaks a sentence into `out`, if the engine may be asked.
    pub(super) async fn say(
        &self,
        say: &Sentence,
        place: &Place,
        out: &mut Sink,
    ) -> Result<(), EngineError> {
        let leave = self.breaker().ask(Instant::now().into_std());
        if let Leave::No(wait) = leave {
            add(&self.counts.refused_by_breaker, 1);
            return Err(EngineError::Open { wait, reason: self.breaker().reason().to_owned() });
        }
        let outcome = self.ask(say, place, out).await;
        self.judge(leave, &outcome, out.first_audio());
        outcome
    }

    async fn ask(&self, say: &Sentence, place: &Place, out: &mut Sink) -> Result<(), EngineError> {
        let limit = self.spec.first_audio;
        out.begin(place.clone(), if say.live { limit } else { limit.max(PROMPT_WAIT) });
        // Closed semaphores do not exist here.
        let crowded = |error| match error {
            EngineError::Late(waited) => EngineError::Crowded(waited),
            error => error,
        };
        let _prompt = if say.live {
            None
        } else {
            out.wait(self.prompts.acquire()).await.map_err(crowded)?.ok()
        };
        let _place = out.wait(self.places.acquire()).await.map_err(crowded)?;
        if !say.live {
            out.begin(place.clone(), limit);
        }
        add(&self.counts.sentences, 1);
        add(&self.counts.letters, say.text.as_str().chars().count() as u64);
        self.engine.synthesise(say, out).await?;
        if out.first_audio().is_some() { Ok(()) } else { Err(EngineError::Silent) }
    }

    fn judge(&self, leave: Leave, outcome: &Result<(), EngineError>, first: Option<Duration>) {
        if let Some(first) = first {
            add(&self.counts.first_audios, 1);
            add(&self.counts.first_audio_ms, u64::try_from(first.as_millis()).unwrap_or(0));
        }
        let now = Instant::now().into_std();
        match outcome {
            Ok(()) => self.breaker().succeeded(),
            Err(EngineError::Cancelled) => {
                add(&self.counts.cancelled, 1);
                if leave == Leave::Probe {
                    self.breaker().abandoned(now);
                }
            }
            Err(EngineError::Crowded(_)) => {
                add(&self.counts.failures, 1);
                if leave == Leave::Probe {
                    self.breaker().abandoned(now);
                }
            }
            Err(error) if error.blames_engine() => {
                add(&self.counts.failures, 1);
                self.breaker().failed(now, error.retry_after(), &error.to_string());
            }
            // It answered: it works.
            Err(_) => {
                add(&self.counts.failures, 1);
                self.breaker().succeeded();
            }
        }
    }

    pub(super) fn stats(&self) -> EngineStats {
        let breaker = self.breaker();
        let open = (!breaker.is_closed()).then(|| breaker.reason().to_owned());
        drop(breaker);
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        EngineStats {
            name: self.spec.name.clone(),
            kind: self.spec.kind,
            sentences: read(&self.counts.sentences),
            letters: read(&self.counts.letters),
            failures: read(&self.counts.failures),
            cancelled: read(&self.counts.cancelled),
            refused_by_breaker: read(&self.counts.refused_by_breaker),
            fallbacks: read(&self.counts.fallbacks),
            first_audios: read(&self.counts.first_audios),
            first_audio_ms: read(&self.counts.first_audio_ms),
            open,
        }
    }
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
