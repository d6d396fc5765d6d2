//! Speech to text: one task per transcribed call, any of several engines behind one trait.
//!
//! ```text
//!  application leg ── SttInput (10 s, never waits) ──> session { feed, dialect } ══ socket ══ engine
//!                  <── SttEvent (256) ─────────────── { teller }
//! ```
//!
//! A dead or slow engine costs transcripts, never media: pushing drops (counted) when the queue
//! is full. Vendors differ in their `dialect` only; connections, tries, replays and positions are
//! the `session`'s. Models such as Whisper are reached through servers that speak OpenAI's
//! protocol; none is linked in (the one Rust binding has a licence that we do not take in). Does
//! not decide when a caller has finished: it passes on what engines say.

mod assemblyai;
mod deepgram;
mod dialect;
mod feed;
mod flux;
pub mod fuzz;
mod input;
mod interface;
mod openai;
mod outbox;
mod session;
#[cfg(feature = "sphinx")]
mod sphinx;
mod teller;
mod vosk;

pub use input::SttInput;
pub use interface::{SttEvent, SttRequest, SttUnavailable, Transcript, Word};

use super::key::ApiKey;
use dialect::{Dialect, unsuited};
use feed::Feed;
use input::SttOutlet;
use session::{Limits, Session};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use teller::Teller;
use tokio::sync::{Semaphore, mpsc};

/// Events that may wait for a call; partials are left out then, others wait.
const EVENTS_MAX: usize = 256;
/// Calls that an engine serves unless the configuration tells.
const PARALLEL: usize = 1000;

/// The engines that there are; the first is the default.
#[derive(Debug, Clone, Default)]
pub struct SttSpec {
    /// In the order of the configuration.
    pub engines: Vec<SttEngineSpec>,
}

/// One engine.
#[derive(Debug, Clone)]
pub struct SttEngineSpec {
    /// Its name in requests.
    pub name: String,
    /// Whose protocol it speaks.
    pub kind: SttEngineKind,
    /// Where it listens; `None`: where its vendor does. The vendor's path is added to a bare host.
    pub url: Option<String>,
    /// Its key.
    pub key: Option<ApiKey>,
    /// Which model; `None`: a sensible one of the vendor's.
    pub model: Option<String>,
    /// BCP 47; for calls that name no language.
    pub language: Option<String>,
    /// The model's files, for engines that run here.
    pub model_path: Option<PathBuf>,
    /// Calls that it may serve at a time.
    pub max_parallel: usize,
    /// OpenAI's protocol only: linear samples at this rate, for servers that know no µ-law
    /// (24000 for Speaches).
    pub linear_rate: Option<u32>,
}

impl SttEngineSpec {
    /// An engine with the vendor's defaults.
    #[must_use]
    pub fn new(name: &str, kind: SttEngineKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            url: None,
            key: None,
            model: None,
            language: None,
            model_path: None,
            max_parallel: PARALLEL,
            linear_rate: None,
        }
    }
}

/// Whose protocol an engine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SttEngineKind {
    /// A Vosk server.
    Vosk,
    /// Deepgram: Nova models, and Flux if the model's name begins with `flux`.
    Deepgram,
    /// OpenAI's Realtime transcription, and servers that speak it.
    OpenAi,
    /// AssemblyAI's streaming protocol.
    AssemblyAi,
    /// PocketSphinx of the system: phrase lists only.
    #[cfg(feature = "sphinx")]
    Sphinx,
}

/// The transcription service; cheap to clone.
#[derive(Clone)]
pub struct Stt {
    engines: Arc<[Engine]>,
    limits: Limits,
    /// A different number for each session.
    spread: Arc<AtomicU8>,
}

struct Engine {
    spec: SttEngineSpec,
    seats: Arc<Semaphore>,
    #[cfg(feature = "sphinx")]
    sphinx: Option<Arc<sphinx::Sphinx>>,
}

/// A call that may begin.
enum Begun {
    Network(Box<dyn Dialect>),
    #[cfg(feature = "sphinx")]
    Sphinx(Box<sphinx::SphinxCall>),
}

impl Stt {
    /// The service with these engines. Connects nowhere until a call is opened.
    #[must_use]
    pub fn new(spec: SttSpec) -> Self {
        Self::with_limits(spec, Limits::default())
    }

    fn with_limits(spec: SttSpec, limits: Limits) -> Self {
        let engine = |spec: SttEngineSpec| {
            let seats = spec.max_parallel.clamp(1, Semaphore::MAX_PERMITS);
            Engine {
                seats: Arc::new(Semaphore::new(seats)),
                #[cfg(feature = "sphinx")]
                sphinx: (spec.kind == SttEngineKind::Sphinx)
                    .then(|| Arc::new(sphinx::Sphinx::start(&spec))),
                spec,
            }
        };
        let engines = spec.engines.into_iter().map(engine).collect();
        Self { engines, limits, spread: Arc::default() }
    }

    /// Whether there is any engine.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        !self.engines.is_empty()
    }

    /// The engines' names; the first is the default.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.engines.iter().map(|engine| engine.spec.name.as_str()).collect()
    }

    /// Transcribes a call: returns at once, and connects in a task of its own.
    ///
    /// The last event is [`SttEvent::Unavailable`], or there is none when the input was dropped.
    ///
    /// # Errors
    /// [`SttUnavailable`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(
        &self,
        mut request: SttRequest,
    ) -> Result<(SttInput, mpsc::Receiver<SttEvent>), SttUnavailable> {
        let engine = self.engine(request.engine.as_deref())?;
        let name = &engine.spec.name;
        if request.rate == 0 {
            request.rate = 8000;
        }
        if !matches!(request.rate, 8000 | 16_000) {
            return Err(unsuited(name, &format!("{} Hz is neither 8000 nor 16000", request.rate)));
        }
        request.phrases = input::bounded(request.phrases);
        request.language = request.language.or_else(|| engine.spec.language.clone());
        let begun = engine.begin(&request)?;
        let seat = Arc::clone(&engine.seats).try_acquire_owned();
        let max = engine.spec.max_parallel;
        let seat = seat.map_err(|_| SttUnavailable::Busy { name: name.clone(), max })?;
        let (input, outlet) = input::queue(request.rate);
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        // Owned by the call through the input: the tasks end soon after it is dropped.
        match begun {
            Begun::Network(dialect) => {
                let session = self.session(dialect, &request, outlet, events);
                tokio::spawn(async move {
                    session.run().await;
                    drop(seat);
                });
            }
            #[cfg(feature = "sphinx")]
            Begun::Sphinx(call) => {
                tokio::spawn(async move {
                    call.run(outlet, events).await;
                    drop(seat);
                });
            }
        }
        Ok((input, receiver))
    }

    fn session(
        &self,
        dialect: Box<dyn Dialect>,
        request: &SttRequest,
        input: SttOutlet,
        events: mpsc::Sender<SttEvent>,
    ) -> Session {
        let language = request.language.as_deref().map(Arc::from);
        Session {
            dialect,
            feed: Feed::new(request.rate),
            teller: Teller::new(request.rate, request.partials, language),
            input,
            events,
            limits: self.limits.clone(),
            spread: self.spread.fetch_add(151, Ordering::Relaxed),
            tries: 0,
        }
    }

    fn engine(&self, name: Option<&str>) -> Result<&Engine, SttUnavailable> {
        let Some(first) = self.engines.first() else { return Err(SttUnavailable::NoEngine) };
        let Some(name) = name else { return Ok(first) };
        let known = self.engines.iter().find(|engine| engine.spec.name == name);
        known.ok_or_else(|| SttUnavailable::UnknownEngine {
            name: name.to_owned(),
            known: self.names().join(", "),
        })
    }
}

impl Engine {
    fn begin(&self, request: &SttRequest) -> Result<Begun, SttUnavailable> {
        #[cfg(feature = "sphinx")]
        if let Some(sphinx) = &self.sphinx {
            let call = sphinx.call(&self.spec.name, request)?;
            return Ok(Begun::Sphinx(Box::new(call)));
        }
        Ok(Begun::Network(dialect(&self.spec, request)?))
    }
}

fn dialect(spec: &SttEngineSpec, request: &SttRequest) -> Result<Box<dyn Dialect>, SttUnavailable> {
    Ok(match spec.kind {
        SttEngineKind::Vosk => Box::new(vosk::Vosk::new(spec, request)?),
        SttEngineKind::Deepgram if is_flux(spec) => Box::new(flux::Flux::new(spec, request)),
        SttEngineKind::Deepgram => Box::new(deepgram::Deepgram::new(spec, request)),
        SttEngineKind::OpenAi => Box::new(openai::OpenAi::new(spec, request)?),
        SttEngineKind::AssemblyAi => Box::new(assemblyai::AssemblyAi::new(spec, request)),
        #[cfg(feature = "sphinx")]
        SttEngineKind::Sphinx => return Err(unsuited(&spec.name, "it has no network protocol")),
    })
}

fn is_flux(spec: &SttEngineSpec) -> bool {
    spec.model.as_deref().is_some_and(|model| model.starts_with("flux"))
}

#[cfg(test)]
fn key_for_test() -> ApiKey {
    ApiKey::new("k3y")
}

#[cfg(test)]
mod tests;
