//! Where SIP hosts are: RFC 3263 over the name servers of the system.
//!
//! ```text
//!  locate() ── what is missing? ──> cache ──> flight (one per question) ──> name server
//!     ^                               ^              │
//!     └────────── records ────────────┴──────────────┘
//! ```
//!
//! Owns the cache, the questions under way and the patience with them. A search ends within
//! [`ResolverSpec::patience`], with what is known by then; a question that takes longer goes on
//! and serves the next search. When no server answers, what was true within the last hour is used.
//! Does not choose among the targets, and opens no connection to them.

mod cache;
mod locate;
mod record;
#[cfg(test)]
pub(crate) mod testing;
mod upstream;

pub use locate::{Located, TARGETS_MAX, Wanted, Ways, locate};
pub use record::{Kind, Question, Record, Records};

use crate::sip::interface::Transport;
use crate::time::Rng;
use cache::{Cache, Hit};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use upstream::{Reply, Upstream};

/// Questions under way at once; more of them fail at once.
const FLIGHTS_MAX: usize = 256;

/// How long a question may take in all; its answer serves later searches.
const FLIGHT_MAX: Duration = Duration::from_secs(5);

/// Rounds of questions in one search: NAPTR, SRV, addresses.
const ROUNDS_MAX: usize = 4;

/// How names are looked up; plain values.
#[derive(Debug, Clone)]
pub struct ResolverSpec {
    /// Name servers; empty: those of the system.
    pub servers: Vec<SocketAddr>,
    /// Whether `/etc/hosts` is read.
    pub hosts: bool,
    /// How long a search may take.
    pub patience: Duration,
    /// How long one round of it waits, when another one has to follow.
    pub round: Duration,
    /// How long it waits for a better answer than a stale one.
    pub stale_patience: Duration,
}

impl Default for ResolverSpec {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            hosts: true,
            patience: Duration::from_secs(2),
            round: Duration::from_millis(600),
            stale_patience: Duration::from_millis(250),
        }
    }
}

/// Why names cannot be looked up at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up name resolution: {0}")]
pub struct ResolverError(String);

/// Finds SIP hosts; cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Resolver {
    spec: ResolverSpec,
    shared: Arc<Shared>,
    /// The flights; they end with the resolver.
    flights: Mutex<JoinSet<()>>,
    rng: Mutex<Rng>,
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cache: Cache,
    /// Questions under way; the sender is dropped when the answer is in the cache.
    asked: HashMap<Question, watch::Receiver<()>>,
}

impl Resolver {
    /// A resolver with an empty cache.
    ///
    /// # Errors
    /// [`ResolverError`] when the set-up of the system cannot be used.
    pub fn new(spec: ResolverSpec, seed: [u8; 32]) -> Result<Self, ResolverError> {
        let upstream = Upstream::new(&spec.servers, spec.hosts).map_err(ResolverError)?;
        Ok(Self {
            spec,
            shared: Arc::new(Shared { upstream, state: Mutex::default() }),
            flights: Mutex::default(),
            rng: Mutex::new(Rng::from_seed(seed)),
        })
    }

    /// The targets of a host, best first, at most [`TARGETS_MAX`]; empty: it cannot be found.
    ///
    /// Time: at most [`ResolverSpec::patience`].
    pub async fn locate(&self, wanted: &Wanted, ways: Ways<'_>) -> Vec<(Transport, SocketAddr)> {
        self.locate_at(Instant::now(), wanted, ways).await
    }

    /// As [`Self::locate`], where `now` is the time by which the cache ages.
    pub async fn locate_at(
        &self,
        now: Instant,
        wanted: &Wanted,
        ways: Ways<'_>,
    ) -> Vec<(Transport, SocketAddr)> {
        let begun = tokio::time::Instant::now();
        let end = begun + self.spec.patience;
        let seed = seed(&mut lock(&self.rng));
        let mut known = BTreeMap::new();
        for _ in 0..ROUNDS_MAX {
            match locate(wanted, ways, &known, &mut Rng::from_seed(seed)) {
                Located::Found(targets) => return targets,
                Located::Ask(questions) => {
                    let last = questions.iter().all(|q| matches!(q.kind, Kind::A | Kind::Aaaa));
                    let round = tokio::time::Instant::now() + self.spec.round;
                    let until = if last { end } else { round.min(end) };
                    let now = now + begun.elapsed();
                    self.answer(now, questions, until, &mut known).await;
                }
            }
        }
        Vec::new()
    }

    /// Answers all questions by `until`; what nobody answers counts as absent.
    async fn answer(
        &self,
        now: Instant,
        questions: Vec<Question>,
        until: tokio::time::Instant,
        known: &mut BTreeMap<Question, Records>,
    ) {
        let mut waiting = Vec::new();
        let mut stale = true;
        for question in questions {
            let hit = lock(&self.shared.state).cache.get(now, &question);
            match hit {
                Hit::Fresh(records) => _ = known.insert(question, records),
                Hit::Stale(_) => waiting.push((self.fly(now, &question), question)),
                Hit::Miss => {
                    stale = false;
                    waiting.push((self.fly(now, &question), question));
                }
            }
        }
        let soon = tokio::time::Instant::now() + self.spec.stale_patience;
        let until = if stale { soon.min(until) } else { until };
        for (flight, question) in waiting {
            if let Some(mut flight) = flight {
                // An error is the end of the flight, and the only thing that comes.
                let _ = tokio::time::timeout_at(until, flight.changed()).await;
            }
            let hit = lock(&self.shared.state).cache.get(now, &question);
            let records = match hit {
                Hit::Fresh(records) | Hit::Stale(records) => records,
                Hit::Miss => [].into(),
            };
            known.insert(question, records);
        }
    }

    /// Joins the flight of a question, or starts it; `None` if there are too many.
    fn fly(&self, now: Instant, question: &Question) -> Option<watch::Receiver<()>> {
        let mut state = lock(&self.shared.state);
        // One that ended without a word has panicked: it is started again.
        let flying = state.asked.get(question).filter(|flight| flight.has_changed().is_ok());
        if let Some(flight) = flying {
            return Some(flight.clone());
        }
        if state.asked.len() >= FLIGHTS_MAX {
            return None;
        }
        let (landed, flight) = watch::channel(());
        state.asked.insert(question.clone(), flight.clone());
        drop(state);
        let (shared, question) = (Arc::clone(&self.shared), question.clone());
        let mut flights = lock(&self.flights);
        while flights.try_join_next().is_some() {}
        flights.spawn(async move {
            shared.ask(now, question).await;
            drop(landed);
        });
        Some(flight)
    }
}

impl Shared {
    /// Asks the servers and writes down what they say.
    async fn ask(&self, now: Instant, question: Question) {
        let begun = tokio::time::Instant::now();
        let reply = tokio::time::timeout(FLIGHT_MAX, self.upstream.ask(&question)).await;
        let now = now + begun.elapsed();
        let mut state = lock(&self.state);
        state.asked.remove(&question);
        match reply {
            Ok(Reply::Records(records, ttl)) => {
                state.cache.store(now, question, records.into(), ttl);
            }
            Ok(Reply::Failed(why)) => {
                tracing::debug!(name = question.name, kind = ?question.kind, why, "no answer");
                state.cache.fail(now, question);
            }
            Err(_) => {
                tracing::debug!(name = question.name, kind = ?question.kind, "no answer in time");
                state.cache.fail(now, question);
            }
        }
    }
}

fn seed(rng: &mut Rng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    seed
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
