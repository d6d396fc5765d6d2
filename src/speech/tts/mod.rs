//! Text to speech: voices, engines, cache.
//!
//! ```text
//!  speak(request) ─> cache? ── yes ───────────────────────────────────> Speech
//!                      └ no ─> script: SSML, normalise, clean, cut         ^
//!                                 └─> utterance (a task): each sentence ───┤
//!                                        └─> host: places, breaker         │
//!                                               └─> engine ─> sink: rate, level
//! ```
//!
//! Owns engines, voices, and who speaks what in which order. Dropping a [`Speech`] cancels it, at
//! the vendor too. Does not play anything.

mod breaker;
mod cache;
mod chain;
mod engine;
mod host;
mod map;
mod normalise;
pub mod pico;
mod script;
mod spec;
mod speech;
mod ssml;
pub mod text;
mod utterance;
pub mod voices;

pub use engine::fuzz_frame as fuzz_engine_frame;
pub use host::{EngineStats, SentenceOutcome, SentenceReport};
pub use normalise::fuzz_normalise;
pub use spec::{SPEECHES_MAX, SpeakRequest, TtsEngineKind, TtsEngineSpec, TtsError, TtsSpec};
pub use speech::{Speech, SpeechPiece, SpeechWriter};
pub use ssml::fuzz_ssml;
pub use voices::Voice;

use crate::audio::rate::SampleRate;
use cache::{SpeechCache, SpeechKey};
use chain::Levels;
use engine::{PicoPool, Sink};
use host::Host;
use speech::Audience;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Semaphore;
use utterance::Utterance;

/// The name of the built-in engine.
pub const PICO: &str = "pico";

/// Voices that are tried one after the other.
const FALLBACKS_MAX: usize = 4;

/// The longest name of a voice of an engine in a request.
const VOICE_NAME_MAX: usize = 100;

/// The longest text of an agent that is kept: greetings, fillers.
const LIVE_KEPT_MAX: usize = 100;

/// The longest text, in octets.
const TEXT_MAX: usize = 64 * 1024;

/// Most repetitions.
const REPEAT_MAX: u32 = 100;

/// The text-to-speech service; cheap to clone.
#[derive(Clone)]
pub struct Tts {
    shared: Arc<Shared>,
}

struct Shared {
    spec: TtsSpec,
    rate: SampleRate,
    voices: Vec<Voice>,
    hosts: Vec<Arc<Host>>,
    cache: Mutex<SpeechCache>,
    /// Prompts that are being spoken at this moment, one entry for each task.
    making: Mutex<HashMap<SpeechKey, Arc<Audience>>>,
    levels: Arc<Levels>,
    speeches: Arc<Semaphore>,
    observer: OnceLock<Observer>,
}

type Observer = Box<dyn Fn(&SentenceReport) + Send + Sync>;

impl Shared {
    /// A panic in a task leaves the cache usable.
    fn cache(&self) -> MutexGuard<'_, SpeechCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn making(&self) -> MutexGuard<'_, HashMap<SpeechKey, Arc<Audience>>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins those who hear the same at this moment.
    fn join(&self, key: &SpeechKey) -> Option<Speech> {
        let audience = self.making().get(key).cloned()?;
        audience.join()
    }

    /// A speech is over; another of the same words may have begun meanwhile.
    fn leave(&self, key: &SpeechKey, audience: &Arc<Audience>) {
        let mut making = self.making();
        if making.get(key).is_some_and(|known| Arc::ptr_eq(known, audience)) {
            making.remove(key);
        }
    }
}

impl Tts {
    /// Starts the engines. Connections are made, and Pico's voices loaded, on first use.
    #[must_use]
    pub fn start(spec: TtsSpec) -> Self {
        let mut voices = voices::built_in();
        for voice in &spec.voices {
            // One that replaces another takes its place: the first one is the default.
            match voices.iter_mut().find(|known| known.id == voice.id) {
                Some(known) => *known = voice.clone(),
                None => voices.push(voice.clone()),
            }
        }
        let shared = engine::Shared {
            http: crate::net::http::HttpClient::new(),
            pico: PicoPool::start(&spec.voice_dir, spec.threads),
            rate: spec.rate,
        };
        let mut engines = spec.engines.clone();
        if !engines.iter().any(|engine| engine.name == PICO) {
            engines.push(TtsEngineSpec::new(PICO, TtsEngineKind::Pico));
        }
        let hosts = engines.into_iter().map(|engine| Arc::new(Host::new(engine, &shared)));
        Self {
            shared: Arc::new(Shared {
                hosts: hosts.collect(),
                rate: SampleRate::new(spec.rate).unwrap_or(SampleRate::HZ_8000),
                cache: Mutex::new(SpeechCache::new(spec.cache_bytes)),
                making: Mutex::default(),
                levels: Arc::default(),
                speeches: Arc::new(Semaphore::new(SPEECHES_MAX)),
                observer: OnceLock::new(),
                voices,
                spec,
            }),
        }
    }

    /// All voices, built-in ones first.
    #[must_use]
    pub fn voices(&self) -> &[Voice] {
        &self.shared.voices
    }

    /// What every engine did so far, and how it is.
    #[must_use]
    pub fn stats(&self) -> Vec<EngineStats> {
        self.shared.hosts.iter().map(|host| host.stats()).collect()
    }

    /// Tells `observer` of every sentence when it ends; the first observer stays.
    ///
    /// It is called from the tasks that speak and must not wait.
    pub fn observe(&self, observer: impl Fn(&SentenceReport) + Send + Sync + 'static) {
        // A second one is our own mistake and does no harm.
        let _ = self.shared.observer.set(Box::new(observer));
    }

    /// The voice of an id, or of `engine:voice` with a configured engine.
    ///
    /// # Errors
    /// [`TtsError::UnknownVoice`], [`TtsError::NoEngine`].
    pub fn find(&self, voice: &str) -> Result<Voice, TtsError> {
        let voices = &self.shared.voices;
        let known = voices.iter().find(|known| known.id == voice).cloned();
        if let Some(voice) = known.as_ref().filter(|voice| self.host(&voice.engine).is_none()) {
            let (voice, engine) = (voice.id.clone(), voice.engine.clone());
            return Err(TtsError::NoEngine { voice, engine });
        }
        known.or_else(|| self.pass_through(voice)).ok_or_else(|| TtsError::UnknownVoice {
            voice: voice.chars().take(VOICE_NAME_MAX).collect(),
            known: voices.iter().map(|voice| voice.id.clone()).collect(),
        })
    }

    /// A voice that only its engine knows.
    ///
    /// Its name comes from a request and goes into URLs and command lines: it begins with a letter
    /// or digit and holds nothing that could mean anything there.
    fn pass_through(&self, id: &str) -> Option<Voice> {
        let (engine, voice) = id.split_once(':')?;
        let host = self.host(engine)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
        let begins = voice.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || voice.len() > VOICE_NAME_MAX || !voice.chars().all(plain) {
            return None;
        }
        match host.spec.kind {
            TtsEngineKind::Pico => voices::pico(voice).map(|pico| Voice {
                engine: engine.to_owned(),
                ..voices::pico_alias(id, pico.language)
            }),
            _ => Some(Voice::new(id, engine, voice, "")),
        }
    }

    fn host(&self, engine: &str) -> Option<Arc<Host>> {
        self.shared.hosts.iter().find(|host| host.spec.name == engine).cloned()
    }

    /// Speaks a text.
    ///
    /// Cost: returns at once; what was said before comes from the cache, what is being said for
    /// another call is shared with it, anything else comes from a task of the current runtime.
    ///
    /// # Errors
    /// [`TtsError`]; later failures come as the last item of the speech.
    pub fn speak(&self, request: SpeakRequest) -> Result<Speech, TtsError> {
        if request.text.len() > TEXT_MAX {
            return Err(TtsError::TooLong);
        }
        let voice = self.find(&request.voice)?;
        let repeat = request.repeat.clamp(1, REPEAT_MAX);
        let speed = if request.speed.is_finite() { request.speed.clamp(0.25, 4.0) } else { 1.0 };
        let (live, ssml) = (request.live, request.ssml);
        let key = key_of(request, &voice, speed);
        let rate = self.shared.spec.rate;
        let found = self.shared.cache().find(&key);
        if let Some(pieces) = found {
            return Ok(Speech::made(pieces, repeat, rate));
        }
        let joined = if live { None } else { self.shared.join(&key) };
        if let Some(speech) = joined {
            return Ok(speech.repeated(repeat, rate));
        }
        let segments = script::prepare(&key.text, ssml, &voice.language)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| TtsError::NoRuntime)?;
        let place = Arc::clone(&self.shared.speeches).try_acquire_owned();
        let place = place.map_err(|_| TtsError::Busy)?;
        let audience = Arc::new(Audience::new(self.shared.cache().piece_max()));
        let speech = audience.join().ok_or(TtsError::Busy)?;
        if !live {
            self.shared.making().insert(key.clone(), Arc::clone(&audience));
        }
        let levels = Arc::clone(&self.shared.levels);
        let target = self.shared.spec.level_dbov;
        let utterance = Utterance {
            shared: Arc::clone(&self.shared),
            voices: self.with_fallbacks(voice),
            segments: segments.into_iter().map(Arc::new).collect(),
            speed,
            live,
            sink: Sink::new(Arc::clone(&audience), self.shared.rate, target, levels),
            audience,
            // What agents say once must not push out what prompts say often.
            keep: !live || key.text.len() <= LIVE_KEPT_MAX,
            key,
            _place: place,
        };
        // Its listeners own it: it ends soon after the last of them is dropped.
        runtime.spawn(utterance.run());
        Ok(speech.repeated(repeat, rate))
    }

    /// Whether a request can be spoken, as far as that is known without speaking it: its voice is
    /// there, its SSML is some, and there is something to say.
    ///
    /// # Errors
    /// As [`Self::speak`].
    pub fn check(&self, request: &SpeakRequest) -> Result<(), TtsError> {
        if request.text.len() > TEXT_MAX {
            return Err(TtsError::TooLong);
        }
        let voice = self.find(&request.voice)?;
        script::prepare(&request.text, request.ssml, &voice.language).map(drop)
    }

    /// Speaks one sentence that shows a voice off, in its language.
    ///
    /// # Errors
    /// As [`Self::speak`].
    pub fn sample(&self, voice: &str) -> Result<Speech, TtsError> {
        let text = voices::sample_text(&self.find(voice)?.language);
        self.speak(SpeakRequest::new(voice, text))
    }

    /// A voice and those that stand in for it, each once, with their engines.
    fn with_fallbacks(&self, voice: Voice) -> Vec<(Voice, Arc<Host>)> {
        let mut chain: Vec<(Voice, Arc<Host>)> = Vec::new();
        let mut next = Some(voice);
        while let Some(voice) = next.take() {
            let again = chain.iter().any(|(known, _)| known.id == voice.id);
            if again || chain.len() > FALLBACKS_MAX {
                break;
            }
            next = voice.fallback.as_ref().and_then(|id| self.find(id).ok());
            if let Some(host) = self.host(&voice.engine) {
                chain.push((voice, host));
            }
        }
        chain
    }
}

/// What the cache knows a request by.
fn key_of(request: SpeakRequest, voice: &Voice, speed: f32) -> SpeechKey {
    #[expect(clippy::cast_possible_truncation, reason = "a few thousands")]
    let rounded = |value: f32| value.round() as i64;
    SpeechKey {
        engine: voice.engine.clone(),
        voice: voice.engine_voice.clone(),
        language: voice.language.clone(),
        speed_gain: (rounded(speed * voice.speed * 1000.0), rounded(voice.gain_db * 10.0)),
        ssml: request.ssml,
        text: request.text,
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
