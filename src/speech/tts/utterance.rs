//! One speech from its request to its last sample: sentence after sentence, voice after voice.
//!
//! ```text
//!  sentence ─> voice 1 ── fails before its first sound ──> voice 2, same sentence
//!                 └────── fails behind it ───────────────> voice 2, next sentence
//! ```
//!
//! Owns the order, the fallbacks and how far ahead of the listener it works. Does not know what
//! engines do.

use super::Shared;
use super::cache::SpeechKey;
use super::engine::{EngineError, Place, Sentence, Sink};
use super::host::{Host, SentenceOutcome, SentenceReport, add};
use super::script::Segment;
use super::speech::Audience;
use super::voices::Voice;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Seconds of speech that wait for the listener before the next sentence is begun.
const AHEAD_S: usize = 8;

/// The work on one request.
pub(super) struct Utterance {
    pub shared: Arc<Shared>,
    /// The voices to be tried, with their engines.
    pub voices: Vec<(Voice, Arc<Host>)>,
    pub segments: Vec<Arc<Segment>>,
    pub speed: f32,
    pub live: bool,
    pub sink: Sink,
    pub audience: Arc<Audience>,
    /// What it is known by, and whether it is worth keeping.
    pub key: SpeechKey,
    pub keep: bool,
    /// Counts this speech among those on their way.
    pub _place: OwnedSemaphorePermit,
}

/// How a speech ended.
enum Ended {
    /// All was said.
    Complete,
    /// Nobody listens.
    Cancelled,
    /// Something was not said, for this reason.
    Failed(String),
}

impl Utterance {
    /// Speaks. Ends soon after nobody listens any more.
    pub(super) async fn run(mut self) {
        let mut first = 0;
        let ended = self.speak(&mut first).await;
        self.sink.flush();
        // What a fallback said is not what was asked for.
        if let (Ended::Complete, 0, true, Some(said)) =
            (&ended, first, self.keep, self.audience.said())
        {
            self.shared.cache().keep(self.key.clone(), said);
        }
        self.shared.leave(&self.key, &self.audience);
        match ended {
            Ended::Complete | Ended::Cancelled => self.audience.end(None),
            Ended::Failed(detail) => self.audience.end(Some(&detail)),
        }
    }

    /// Says every sentence; `first` is the first voice that is still worth asking.
    async fn speak(&mut self, first: &mut usize) -> Ended {
        let room = AHEAD_S * self.shared.spec.rate as usize;
        let mut broken = None;
        for segment in std::mem::take(&mut self.segments) {
            if !segment.pause.is_zero() {
                self.sink.pause(segment.pause);
            }
            for cut in &segment.cuts {
                if !self.sink.room(room).await {
                    return Ended::Cancelled;
                }
                broken = match self.say(&segment, cut.clone(), first).await {
                    Ok(()) => None,
                    Err(EngineError::Cancelled) => return Ended::Cancelled,
                    Err(error) => Some(error.to_string()),
                };
                if let Some(detail) = &broken
                    && *first >= self.voices.len()
                {
                    return Ended::Failed(detail.clone());
                }
            }
        }
        broken.map_or(Ended::Complete, Ended::Failed)
    }

    /// Says one sentence with the first voice that can.
    async fn say(
        &mut self,
        segment: &Arc<Segment>,
        cut: Range<usize>,
        first: &mut usize,
    ) -> Result<(), EngineError> {
        let mut last = EngineError::Failed("there is no voice".to_owned());
        while let Some((voice, host)) = self.voices.get(*first) {
            let say = Sentence {
                text: segment.text.part(cut.clone()),
                voice: voice.engine_voice.clone(),
                language: voice.language.clone(),
                speed: (self.speed * segment.speed * voice.speed).clamp(0.25, 4.0),
                live: self.live,
            };
            let place = Place { segment: Arc::clone(segment), range: cut.clone() };
            self.sink.voice(&level_key(voice, host), voice.gain_db + segment.gain_db);
            let result = host.say(&say, &place, &mut self.sink).await;
            self.report(voice, &say, &result);
            match result {
                Ok(()) => {
                    self.sink.end();
                    return Ok(());
                }
                Err(EngineError::Cancelled) => return Err(EngineError::Cancelled),
                Err(error) => last = error,
            }
            tracing::debug!(engine = %host.spec.name, voice = %voice.id, error = %last,
                "a sentence was not spoken");
            let heard = self.sink.first_audio().is_some();
            last = EngineError::Failed(format!("speech engine {}: {last}", host.spec.name));
            *first += 1;
            if *first < self.voices.len() {
                add(&host.counts.fallbacks, 1);
            }
            if heard {
                break;
            }
        }
        Err(last)
    }

    fn report(&self, voice: &Voice, say: &Sentence, result: &Result<(), EngineError>) {
        let Some(observer) = self.shared.observer.get() else { return };
        let asked = !matches!(result, Err(EngineError::Open { .. }));
        observer(&SentenceReport {
            engine: voice.engine.clone(),
            voice: voice.id.clone(),
            live: self.live,
            letters: say.text.as_str().chars().count(),
            first_audio: self.sink.first_audio().filter(|_| asked),
            outcome: SentenceOutcome::of(result),
        });
    }
}

/// Under which name the level of a voice is remembered. Pico hands over whole sentences, which
/// are measured as a whole: nothing is gained by remembering.
fn level_key(voice: &Voice, host: &Host) -> String {
    match host.spec.kind {
        super::spec::TtsEngineKind::Pico => String::new(),
        _ => format!("{}:{}", voice.engine, voice.engine_voice),
    }
}
