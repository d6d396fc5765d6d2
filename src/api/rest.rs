//! REST: routes, the state that handlers share, and the order in which a request is looked at.
//!
//! ```text
//!  serve ─> frame ─────> guard ────────> handler ──> Gateway (calls), Store (all else)
//!           request id,  key, scope,     body, idempotency
//!           problem body rate limit
//! ```
//!
//! Owns both prefixes (`/v1`, `/api/v1`) and the operators' listener. Does not know calls: every
//! question about one goes through the gateway, and what is over is read from the store.

mod admin;
mod body;
mod calls;
mod compat;
mod control;
mod guard;
mod instances;
mod keys;
mod once;
mod query;
mod recordings;
mod serve;
mod trunks;

pub use admin::{AdminParts, admin_router};
pub use compat::{CompatAccount, CompatSpec};
pub use serve::{ServeLimits, serve};

use crate::api::auth::{ConfigKey, Grant, GrantError, Keyring};
use crate::api::console;
use crate::api::error::Problem;
use crate::api::gateway::{Command, Gateway, Spoken};
use crate::api::limit::{Limiter, Rate};
use crate::api::reference;
use crate::api::tickets::Tickets;
use crate::api::types::{AudioProblem, CreateDefaults, Voice};
use crate::app::agent::request::AgentRequest;
use crate::app::transcribe::Transcribe;
use crate::call::record::CallRecord;
use crate::id::{CallId, KeyId};
use crate::observe::event::{Happening as _, StoreFailed};
use crate::store::{Store, StoreError};
use axum::Router;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Decodes an audio file to mono samples at 8 kHz; runs on the blocking threads.
pub type DecodeAudio = Arc<dyn Fn(Bytes) -> Result<Arc<[i16]>, AudioProblem> + Send + Sync>;

/// Tells how a trunk is doing by its name; `None` asks for the one that calls without a named
/// trunk would take.
pub type TrunkLookup = Arc<dyn Fn(Option<&str>) -> TrunkState + Send + Sync>;

/// Whether a call like this could be conducted: the brain, tools and transcriber that it asks for
/// are there. Asked before anything is dialled; without an agent for calls of other types.
pub type CheckAgent =
    Arc<dyn Fn(Option<&AgentRequest>, Option<&Transcribe>) -> Result<(), Problem> + Send + Sync>;

/// Whether a text could be spoken: its voice is there, its SSML is some, and there is something to
/// say. Asked before anything is dialled.
pub type CheckSpeech = Arc<dyn Fn(&Spoken) -> Result<(), Problem> + Send + Sync>;

/// A sentence in this voice as a WAV file; `None`: there is no such voice.
pub type VoiceSample = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Option<Bytes>, Problem>> + Send>>
        + Send
        + Sync,
>;

/// How a trunk is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrunkState {
    /// There is no such trunk.
    Unknown,
    /// It cannot be reached.
    Down,
    /// It can carry calls.
    Up,
}

/// The peer's address; put into a request's extensions by [`serve()`].
#[derive(Debug, Clone, Copy)]
pub struct PeerAddr(pub SocketAddr);

/// Limits of the API; each names what happens at it.
#[derive(Debug, Clone, Copy)]
pub struct ApiLimits {
    /// Bytes of a create request; then 413.
    pub body_max: usize,
    /// Bytes of all bodies being read at once; a request waits for its share, then 503.
    pub bodies_in_flight: usize,
    /// How long a body may take to arrive; then 408.
    pub body_timeout: Duration,
    /// Audio files decoded at once; others wait.
    pub decodes_at_once: usize,
    /// Requests of one key; then 429.
    pub rate: Rate,
    /// Failed attempts to sign in from one address; then 429.
    pub failed_auth: Rate,
    /// How long the daemon may take to answer; then 503.
    pub answer_timeout: Duration,
    /// What stands in for absent fields of a create request, and its longest text.
    pub create: CreateDefaults,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            body_max: 16 * 1024 * 1024,
            bodies_in_flight: 128 * 1024 * 1024,
            body_timeout: Duration::from_mins(1),
            decodes_at_once: 2,
            rate: Rate { per_second: 500.0, burst: 1000 },
            failed_auth: Rate { per_second: 1.0, burst: 20 },
            answer_timeout: Duration::from_secs(10),
            create: CreateDefaults::default(),
        }
    }
}

/// What the API is made of.
pub struct ApiParts {
    /// The way to the daemon.
    pub gateway: Gateway,
    /// What survives a restart.
    pub store: Store,
    /// Keys of the configuration file.
    pub keys: Vec<ConfigKey>,
    /// Voices that texts can be spoken with.
    pub voices: Vec<Voice>,
    /// Decodes audio files.
    pub decode_audio: DecodeAudio,
    /// Tells how trunks are doing.
    pub trunks: TrunkLookup,
    /// Speech engines of which any voice may be named as `engine:voice`.
    pub voice_engines: Vec<String>,
    /// Lets a voice be heard.
    pub voice_sample: VoiceSample,
    /// Says whether an agent's call can be conducted.
    pub check_agent: CheckAgent,
    /// Says whether a text can be spoken.
    pub check_speech: CheckSpeech,
    /// Interfaces of other vendors.
    pub compat: CompatSpec,
    /// The directory of recordings.
    pub recordings: PathBuf,
    /// Whether unknown fields of requests are wrong.
    pub strict: bool,
    /// Whether the page for browsers is served.
    pub console: bool,
    /// Limits.
    pub limits: ApiLimits,
}

/// Why the API cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A key of the configuration file is wrong.
    #[error("api.key: {0}")]
    Key(#[from] GrantError),
    /// The keys cannot be read from the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What all handlers share; cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Shared>);

/// The parts behind [`ApiState`]; nothing of it is public.
#[doc(hidden)]
pub struct Shared {
    pub(crate) gateway: Gateway,
    pub(crate) store: Store,
    pub(crate) voices: Vec<Voice>,
    pub(crate) keyring: Keyring,
    pub(crate) tickets: Tickets,
    decode_audio: DecodeAudio,
    trunks: TrunkLookup,
    voice_engines: Vec<String>,
    voice_sample: VoiceSample,
    check_agent: CheckAgent,
    check_speech: CheckSpeech,
    compat: compat::Compat,
    recordings: PathBuf,
    strict: bool,
    console: bool,
    limits: ApiLimits,
    /// As in `limits` until a reload.
    create: Mutex<CreateDefaults>,
    requests: Limiter<KeyId>,
    failures: Limiter<IpAddr>,
    body_budget: Semaphore,
    decodes: Arc<Semaphore>,
}

impl std::ops::Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState").finish_non_exhaustive()
    }
}

/// Addresses and keys whose buckets are kept at once.
const BUCKETS_MAX: usize = 4096;
/// The unit in which the bytes of bodies in flight are counted.
const BUDGET_UNIT: usize = 1024;

impl ApiState {
    /// Makes the state; reads the keys from the store.
    ///
    /// # Errors
    /// [`StartError`] when a configured key is wrong or the store cannot be read.
    pub async fn new(parts: ApiParts) -> Result<Self, StartError> {
        let keyring = Keyring::new(&parts.keys, &parts.store.list_keys().await?)?;
        let limits = parts.limits;
        let compat = compat::Compat::new(parts.compat, &keyring);
        Ok(Self(Arc::new(Shared {
            gateway: parts.gateway,
            store: parts.store,
            voices: parts.voices,
            keyring,
            tickets: Tickets::default(),
            decode_audio: parts.decode_audio,
            trunks: parts.trunks,
            voice_engines: parts.voice_engines,
            voice_sample: parts.voice_sample,
            check_agent: parts.check_agent,
            check_speech: parts.check_speech,
            compat,
            recordings: parts.recordings,
            strict: parts.strict,
            console: parts.console,
            limits,
            create: Mutex::new(limits.create),
            requests: Limiter::new(limits.rate, BUCKETS_MAX),
            failures: Limiter::new(limits.failed_auth, BUCKETS_MAX),
            body_budget: Semaphore::new(limits.bodies_in_flight.div_ceil(BUDGET_UNIT)),
            decodes: Arc::new(Semaphore::new(limits.decodes_at_once.max(1))),
        })))
    }

    /// Whether there are no keys, so that only this machine may ask.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.keyring.is_empty()
    }

    /// Other defaults for requests that come from here on.
    pub fn set_create_defaults(&self, defaults: CreateDefaults) {
        *self.create.lock().unwrap_or_else(PoisonError::into_inner) = defaults;
    }

    pub(crate) fn create_defaults(&self) -> CreateDefaults {
        *self.create.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the daemon one question, for at most `answer_timeout`.
    pub(crate) async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Problem> {
        let asked = self.gateway.ask(make);
        match tokio::time::timeout(self.limits.answer_timeout, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Problem::capacity_exceeded("the node is too busy to answer")),
        }
    }

    /// The call of this id that the holder of `grant` may see: live if it is active, else as it
    /// ended.
    ///
    /// # Errors
    /// 404 when there is none or it is not theirs.
    pub(crate) async fn find_call(
        &self,
        grant: &Grant,
        id: &CallId,
    ) -> Result<CallRecord, Problem> {
        let live = self.ask(|reply| Command::Live(id.clone(), reply)).await?;
        let record = match live {
            Some(record) => Some(record),
            None => self.store.call(id).await?,
        };
        record
            .filter(|record| grant.instances.permits(&record.instance_id))
            .ok_or_else(|| Problem::not_found(format!("there is no call {id}")))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::QueueFull | StoreError::TooMany { .. } => {
                Self::capacity_exceeded(error.to_string())
            }
            StoreError::Full(_) | StoreError::ReadOnly(_) | StoreError::Busy(_) => {
                store_failed(&error);
                Self::capacity_exceeded("the node cannot write to its store")
            }
            StoreError::Io(_)
            | StoreError::Corrupt(_)
            | StoreError::TooNew { .. }
            | StoreError::Closed
            | StoreError::Sql(_) => {
                store_failed(&error);
                Self::internal("the node's store failed")
            }
        }
    }
}

fn store_failed(error: &StoreError) {
    StoreFailed { operation: "request", detail: &error.to_string() }.report();
}

/// The users' routes.
pub fn router(state: ApiState) -> Router {
    let v1 = v1(&state);
    let console = if state.console { console::routes() } else { Router::new() };
    let routes = compat::routes(&state)
        .merge(console)
        .merge(reference::router())
        .route("/problems/{code}", get(guard::problem_page))
        .nest("/v1", v1.clone())
        .nest("/api/v1", v1)
        .fallback(guard::no_such_route)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(axum::middleware::from_fn(guard::frame));
    routes.with_state(state)
}

fn v1(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .route("/calls", post(calls::create).get(calls::list))
        .route("/calls/{id}", get(calls::show).patch(calls::change).delete(calls::terminate))
        .route("/calls/{id}/transcript", get(calls::transcript))
        .route("/calls/{id}/stats", get(calls::stats))
        .route("/calls/{id}/tickets", post(calls::issue_ticket))
        .route("/calls/{id}/stream", get(calls::attach))
        .route("/calls/{id}/stream/{protocol}", get(calls::attach_as))
        .route("/calls/{id}/hold", post(control::hold))
        .route("/calls/{id}/resume", post(control::resume))
        .route("/calls/{id}/answer", post(control::answer))
        .route("/calls/{id}/ring", post(control::ring))
        .route("/calls/{id}/early_media", post(control::early_media))
        .route("/calls/{id}/reject", post(control::reject))
        .route("/calls/{id}/mute", post(control::mute))
        .route("/calls/{id}/unmute", post(control::unmute))
        .route("/calls/{id}/dtmf", post(control::dtmf))
        .route("/calls/{id}/transfer", post(control::transfer))
        .route("/calls/{id}/bridge", post(control::bridge).delete(control::unbridge))
        .route("/calls/{id}/recordings", post(recordings::start).get(recordings::list))
        .route("/calls/{id}/recordings/{of}", get(recordings::show).delete(recordings::delete))
        .route("/calls/{id}/recordings/{of}/pause", post(recordings::pause))
        .route("/calls/{id}/recordings/{of}/resume", post(recordings::resume))
        .route("/calls/{id}/recordings/{of}/stop", post(recordings::stop))
        .route("/calls/{id}/recordings/{of}/audio", get(recordings::audio))
        .route("/trunks", get(trunks::list))
        .route("/trunks/{name}", get(trunks::show))
        .route("/instances", post(instances::create).get(instances::list))
        .route(
            "/instances/{id}",
            get(instances::show).patch(instances::change).delete(instances::delete),
        )
        .route("/instances/{id}/configure", get(instances::configure))
        .route("/keys", post(keys::create).get(keys::list))
        .route("/keys/{id}", delete(keys::revoke))
        .route("/voices", get(instances::voices))
        .route("/voices/{id}/sample", get(instances::voice_sample))
        .route_layer(axum::middleware::from_fn_with_state(state.clone(), guard::guard))
}
