//! The SIP user agent: bytes and `now` in, bytes and events out. The only public machine of `sip`.
//!
//! ```text
//!   Received ─> source? ─> parse ─> validate ─> transaction ─> dialog ─> session ─> Event
//!               unknown:   bad: 400,            known: absorbed,  none: 481
//!               dropped    limited              repeated
//!   Command ─> session ─> request ─> next hop (Resolve) ─> transaction ─> Transmit
//!                            └── 503, 408, time-out, unreachable: the next target
//! ```
//!
//! The registrations of trunks ask for requests in the same way (`register`); what comes from a source
//! that was banned is not read (`ban`), and a gateway that failed is asked last (`failover`).
//!
//! Owns the tables that tie the machines together, and the policy at the door: who may send us
//! requests, how many sessions there may be, which way a message takes. Does not own sockets, DNS,
//! descriptions, or what a call is for; never logs, but emits [`Note`]s.
//!
//! Drive it as every core: [`Endpoint::handle`] once, then [`Endpoint::poll_output`] until it gives
//! [`Output::Timeout`].

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::wildcard_enum_match_arm)]

mod abandoned;
mod ban;
mod calls;
mod challenge;
mod compose;
mod failover;
mod fuzz;
mod identity;
mod limit;
mod quarantine;
mod receive;
mod register;
mod replaces;
mod requests;
mod route;
mod trunk;

pub use fuzz::fuzz_entry;

use crate::id::SessionId;
use crate::sip::interface::{EndpointSpec, Flow, Input, Note, Output, Transport};
use crate::sip::transaction::table::{ClientTable, ServerId, ServerTable};
use crate::time::{Rng, TimerTable};
use abandoned::Abandoned;
use ban::Bans;
use calls::{Call, DialogKey, Served};
use challenge::Realms;
use compose::Identity;
use limit::Rate;
use quarantine::Quarantine;
use register::Registrar;
use requests::{Outgoing, RequestId, User};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunk::Trunk;

/// How many expired deadlines of a kind one [`Input::Timeout`] works off; the rest stays due.
const TIMEOUT_BUDGET: usize = 256;

/// Most outputs that wait to be polled; beyond it transmissions are lost as the network loses them.
const OUTPUTS_MAX: usize = 16_384;

/// Most answers a second to requests that cannot be read.
const MALFORMED_RATE: u32 = 20;

/// The sizes of the endpoint's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndpointStats {
    /// Client and server transactions, those that only absorb included.
    pub transactions: usize,
    /// Dialogs, early and confirmed.
    pub dialogs: usize,
    /// Sessions.
    pub sessions: usize,
    /// Requests of ours that still go on: pings, and INVITEs whose 2xx may be repeated, included.
    pub requests: usize,
    /// Deadlines of transactions, sessions, attempts and name queries; the pings and registrations
    /// of trunks not included.
    pub timers: usize,
}

/// The SIP user agent.
#[derive(Debug)]
pub struct Endpoint {
    identity: Identity,
    listen: Vec<(Transport, SocketAddr)>,
    trunks: Vec<Trunk>,
    t1: Duration,
    sessions_max: usize,
    rng: Rng,
    /// Makes the tags of stateless answers the same for every copy of a request.
    secret: u64,
    draining: bool,
    /// The node is at its limits: what Retry-After says to INVITEs.
    overload: Option<Duration>,
    watch_headers: Vec<String>,
    bans: Bans,
    realms: Realms,
    quarantine: Quarantine,
    setups: Rate,
    malformed: Rate,

    clients: ClientTable<User>,
    servers: ServerTable<Served>,
    calls: BTreeMap<SessionId, Call>,
    by_dialog: BTreeMap<DialogKey, SessionId>,
    dialogs: usize,
    requests: BTreeMap<RequestId, Outgoing>,
    queries: BTreeMap<u64, RequestId>,
    next_request: u64,
    next_session: u64,

    call_timers: TimerTable<SessionId, &'static str>,
    query_timers: TimerTable<u64, &'static str>,
    ping_timers: TimerTable<(usize, usize), &'static str>,
    register_timers: TimerTable<usize, &'static str>,
    attempt_timers: TimerTable<RequestId, &'static str>,
    /// INVITEs that were left for another gateway, by branch.
    abandoned: BTreeMap<String, Abandoned>,
    abandoned_timers: TimerTable<String, &'static str>,
    out: VecDeque<Output>,
}

impl Endpoint {
    /// An endpoint without sessions; the first pings of trunks are due at once.
    ///
    /// Proxies that are not `sip:` or `sips:` URIs are left out: configuration checks them.
    #[must_use]
    pub fn new(now: Instant, spec: EndpointSpec) -> Self {
        let mut rng = Rng::from_seed(spec.seed);
        // Transactions outlive their session by 64*T1; each session makes two or three of them.
        let lingering = usize::try_from(spec.setup_rate).unwrap_or(usize::MAX).saturating_mul(128);
        let entries_max = spec.sessions_max.saturating_mul(4).saturating_add(lingering) + 256;
        let mut register_timers = TimerTable::default();
        let mut trunks = Vec::with_capacity(spec.trunks.len());
        for (t, trunk) in spec.trunks.into_iter().enumerate() {
            let registrar = Registrar::new(now, &mut rng, &trunk);
            if registrar.is_some() {
                register_timers.set(&t, Some((now, "register_retry")));
            }
            trunks.push(Trunk::new(trunk, registrar));
        }
        let mut ping_timers = TimerTable::default();
        for (t, trunk) in trunks.iter().enumerate().filter(|(_, trunk)| trunk.ping.is_some()) {
            for g in 0..trunk.gateways.len() {
                ping_timers.set(&(t, g), Some((now, "trunk_ping")));
            }
        }
        Self {
            identity: Identity { public_address: spec.public_address, user_agent: spec.user_agent },
            listen: spec.listen,
            trunks,
            t1: spec.t1,
            sessions_max: spec.sessions_max,
            secret: rng.next_u64(),
            rng,
            draining: false,
            overload: None,
            watch_headers: spec.watch_headers,
            bans: Bans::new(spec.ban_after, spec.ban_length),
            realms: Realms::default(),
            quarantine: Quarantine::default(),
            setups: Rate::new(now, spec.setup_rate),
            malformed: Rate::new(now, MALFORMED_RATE),
            clients: ClientTable::new(spec.t1, entries_max),
            servers: ServerTable::new(spec.t1, entries_max),
            calls: BTreeMap::new(),
            by_dialog: BTreeMap::new(),
            dialogs: 0,
            requests: BTreeMap::new(),
            queries: BTreeMap::new(),
            next_request: 0,
            next_session: 0,
            call_timers: TimerTable::default(),
            query_timers: TimerTable::default(),
            ping_timers,
            register_timers,
            attempt_timers: TimerTable::default(),
            abandoned: BTreeMap::new(),
            abandoned_timers: TimerTable::default(),
            out: VecDeque::new(),
        }
    }

    /// Takes one input in; drain [`Self::poll_output`] afterwards.
    ///
    /// Time: `now` must not go back. Cost: O(log n) in sessions, linear in the message; a lost
    /// connection costs O(transactions on it).
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Received { flow, bytes } => self.receive(now, flow, bytes),
            Input::Unreachable { flow } => self.unreachable(now, &flow),
            Input::Resolved { query, targets } => self.resolved(now, query, targets),
            Input::Command(command) => self.command(now, command),
            Input::Timeout => self.timeout(now),
        }
    }

    /// The next thing to do; [`Output::Timeout`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| {
            let (at, why) = self.deadline().unzip();
            Output::Timeout(at, why.unwrap_or("idle"))
        })
    }

    /// The sizes of the tables. Cost: O(1).
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        EndpointStats {
            transactions: self.clients.len() + self.servers.len(),
            dialogs: self.dialogs,
            sessions: self.calls.len(),
            requests: self.requests.len(),
            timers: self.clients.timers()
                + self.servers.timers()
                + self.call_timers.len()
                + self.query_timers.len()
                + self.attempt_timers.len()
                + self.abandoned_timers.len(),
        }
    }

    fn deadline(&self) -> Option<(Instant, &'static str)> {
        let clients = self.clients.deadline().map(|(at, timer)| (at, timer.label()));
        let servers = self.servers.deadline().map(|(at, timer)| (at, timer.label()));
        let others = [
            self.call_timers.next(),
            self.query_timers.next(),
            self.ping_timers.next(),
            self.register_timers.next(),
            self.attempt_timers.next(),
            self.abandoned_timers.next(),
        ];
        [clients, servers].into_iter().chain(others).flatten().min()
    }

    fn timeout(&mut self, now: Instant) {
        for _ in 0..TIMEOUT_BUDGET {
            let Some(id) = self.clients.pop_due(now) else { break };
            self.client_due(now, id);
        }
        for _ in 0..TIMEOUT_BUDGET {
            let Some(id) = self.servers.pop_due(now) else { break };
            self.server_due(now, id);
        }
        for _ in 0..TIMEOUT_BUDGET {
            let Some((id, _)) = self.call_timers.pop_due(now) else { break };
            self.call_due(now, id);
        }
        for _ in 0..TIMEOUT_BUDGET {
            let Some((query, _)) = self.query_timers.pop_due(now) else { break };
            self.resolved(now, query, Vec::new());
        }
        for _ in 0..TIMEOUT_BUDGET {
            let Some((gateway, _)) = self.ping_timers.pop_due(now) else { break };
            self.ping(now, gateway);
        }
        for _ in 0..TIMEOUT_BUDGET {
            let Some((trunk, _)) = self.register_timers.pop_due(now) else { break };
            self.register_due(now, trunk);
        }
        for _ in 0..TIMEOUT_BUDGET {
            let Some((id, _)) = self.attempt_timers.pop_due(now) else { break };
            self.attempt_due(now, id);
        }
        for _ in 0..TIMEOUT_BUDGET {
            let Some((branch, _)) = self.abandoned_timers.pop_due(now) else { break };
            self.abandoned_due(&branch);
        }
    }

    fn unreachable(&mut self, now: Instant, flow: &Flow) {
        if let Some(connection) = flow.connection {
            self.connection_lost(now, connection);
        }
        for id in self.clients.along(flow) {
            self.client_unreachable(now, id, flow);
        }
        for id in self.servers.along(flow) {
            self.server_unreachable(now, id);
        }
    }

    fn transmit(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.transmit_to(flow, bytes, None);
    }

    /// Sends where a TLS connection may have to be opened to a peer of this name.
    fn transmit_to(&mut self, flow: Flow, bytes: Vec<u8>, server_name: Option<Arc<str>>) {
        if self.out.len() < OUTPUTS_MAX {
            self.out.push_back(Output::Transmit { flow, bytes, server_name });
        }
    }

    fn note(&mut self, note: Note) {
        self.out.push_back(Output::Note(note));
    }

    fn dropped(&mut self, remote: SocketAddr, why: &'static str) {
        self.note(Note::Dropped { remote, why });
    }

    fn server_due(&mut self, now: Instant, id: ServerId) {
        use crate::sip::transaction::table::ServerInput;
        // Timer H tells that a refusal got no ACK: its session is over already.
        if let Some(step) = self.servers.handle(now, id, ServerInput::Timeout)
            && let Some(bytes) = step.effect.send
        {
            self.transmit(step.flow, bytes);
        }
    }
}
