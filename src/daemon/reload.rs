//! What is read again without a restart: the configuration and the certificate of TLS.
//!
//! ```text
//!  file, environment ─> read, check ─> renew (key by key) ─> routes ─> certificate ─> lines of tenants
//!                          └──────────────┴─ what fails here changes nothing ─┘            │
//!  log level, API defaults, media pool, terms of new calls, SIP task, switchboard <────────┘
//! ```
//!
//! Owns what `POST /v1/admin/reload` and SIGHUP do, one at a time. Everything that can fail comes
//! first. Calls that are there keep what they began with; see `parts::Terms`.

use super::agents::AgentDesk;
use super::dialer::DialDesk;
use super::parts::Parts;
use super::setup;
use super::switchboard::Renewed;
use crate::api::error::{Code, Problem};
use crate::api::rest::ApiState;
use crate::config::declare::Reload as Class;
use crate::config::{Change, Config, LoadOptions};
use crate::net::tls::{Tls, TlsFacts};
use crate::observe::event::{self, Happening as _};
use crate::observe::trace::LevelControl;
use crate::sip::interface::Command;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::mpsc;

/// The keys of TLS; without a setup from the start they need a restart.
const TLS: &str = "sip.tls_";

/// Where the configuration comes from, and what logs.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What it is made from.
    pub options: LoadOptions,
    /// Changes the log level, unless the environment rules it.
    pub level: Option<LevelControl>,
}

/// Reads again what can be read again; cheap to clone.
#[derive(Clone)]
pub(super) struct Reload(Arc<Shared>);

struct Shared {
    origin: Origin,
    /// What runs; held while a reload is under way.
    running: Mutex<Config>,
    /// The TLS setup in use.
    tls: Option<Tls>,
    parts: Arc<Parts>,
    /// To the switchboard.
    board: mpsc::Sender<Box<Renewed>>,
    /// Once it is there.
    api: OnceLock<ApiState>,
}

impl Reload {
    /// With what runs and what a reload reaches.
    pub(super) fn new(
        origin: Origin,
        config: Config,
        tls: Option<Tls>,
        parts: Arc<Parts>,
        board: mpsc::Sender<Box<Renewed>>,
    ) -> Self {
        let running = Mutex::new(config);
        Self(Arc::new(Shared { origin, running, tls, parts, board, api: OnceLock::new() }))
    }

    /// From here on it reaches the API too.
    pub(super) fn attach(&self, api: ApiState) {
        // It is made once.
        let _ = self.0.api.set(api);
    }

    /// Reads everything again; tells what was applied and what waits for a restart.
    ///
    /// Cost: blocks for files, and until the store has the lines of tenants.
    ///
    /// # Errors
    /// `invalid_request`, with what cannot be used; nothing has changed then.
    pub(super) fn run(&self) -> Result<Value, Problem> {
        let shared = &*self.0;
        let mut running = shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        let done = shared.renew(&running).map_err(|detail| {
            event::ReloadFailed { detail: &detail }.report();
            Problem::new(Code::InvalidRequest, detail)
        })?;
        *running = done.config;
        let (restart, applied): (Vec<&Change>, _) =
            done.changes.iter().partition(|change| shared.waits(change));
        let paths =
            |changes: Vec<&Change>| changes.iter().map(|c| c.path.clone()).collect::<Vec<_>>();
        let (mut applied, restart) = (paths(applied), paths(restart));
        event::ConfigReloaded { applied: &applied.join(" "), restart: &restart.join(" ") }.report();
        let Some(facts) = done.certificate else {
            return Ok(json!({ "applied": applied, "restart": restart }));
        };
        event::CertificateReloaded { expired: facts.expired }.report();
        applied.retain(|path| !path.starts_with(TLS));
        let files = ["sip.tls_certificate", "sip.tls_key", "sip.tls_ca"].map(str::to_owned);
        applied.splice(0..0, files);
        let not_after = facts.not_after.and_then(stamp);
        Ok(json!({
            "applied": applied,
            "restart": restart,
            "certificate": { "not_after": not_after, "expired": facts.expired },
        }))
    }

    /// Does it at every SIGHUP, for ever.
    pub(super) async fn at_hangup(self) {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        while hangup.recv().await.is_some() {
            let reload = self.clone();
            // What went wrong is in the log.
            let _ = tokio::task::spawn_blocking(move || reload.run()).await;
        }
    }
}

/// What a reload came to.
struct Done {
    config: Config,
    changes: Vec<Change>,
    certificate: Option<TlsFacts>,
}

impl Shared {
    /// Whether a change takes effect only at the next start.
    fn waits(&self, change: &Change) -> bool {
        change.reload == Class::Restart || (self.tls.is_none() && change.path.starts_with(TLS))
    }

    /// All that can fail, in words, and then all that cannot.
    fn renew(&self, running: &Config) -> Result<Done, String> {
        let loaded = Config::load(&self.origin.options).map_err(|errors| errors.to_string())?;
        let renewed = running.renew(&loaded.config).map_err(|errors| {
            format!("this needs a restart, or does not go with what does: {errors}")
        });
        let (config, changes) = renewed?;
        let shared = self.parts.terms().agents.parts.clone();
        let agents = AgentDesk::new(&config, shared.tts, shared.stt);
        let routes = setup::routes(&config, &agents).map_err(|error| format!("{error:#}"))?;
        let dial = DialDesk::new(&config).map_err(|error| format!("{error:#}"))?;
        let certificate = match self.tls.as_ref().zip(setup::tls(&config)) {
            Some((tls, spec)) => Some(tls.reload(&spec).map_err(|error| error.to_string())?),
            None => None,
        };
        let runtime = tokio::runtime::Handle::current();
        let declared = runtime.block_on(super::declare_instances(&self.parts.store, &config));
        declared.map_err(|error| format!("{error:#}"))?;
        let renewed = Renewed {
            routes,
            desk: setup::decision_desk(&config, &self.parts),
            lines: setup::lines(&config),
            paces: setup::trunk_paces(&config).collect(),
        };
        self.apply(&config, agents, dial);
        // Both tasks live as long as the daemon takes calls.
        let _ = self.parts.sip.blocking_send(Command::Watch(setup::watched(&config)));
        let _ = self.board.blocking_send(Box::new(renewed));
        Ok(Done { config, changes, certificate })
    }

    fn apply(&self, config: &Config, agents: AgentDesk, dial: DialDesk) {
        if let Some(level) = &self.origin.level
            && let Err(error) = level.set(config.log.level.as_str())
        {
            tracing::warn!(%error, "the log level stays as it is");
        }
        if let Some(api) = self.api.get() {
            api.set_create_defaults(setup::create_defaults(config));
        }
        self.parts.media.set_timing(setup::jitter(config), setup::start(config));
        self.parts.set_terms(setup::terms(config, agents, dial));
    }
}

fn stamp(at: std::time::SystemTime) -> Option<String> {
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(crate::api::stamp::iso(i64::try_from(since.as_millis()).ok()?))
}
