//! Requests of ours on their way: next hops, attempts, failover, and taking an INVITE back.
//!
//! ```text
//!   hops ─literal─> targets ─> attempt ─> Running ──final──> owner
//!     └──Resolve──>   ↑                     │
//!                     └── 503, 408, time-out, unreachable, challenge
//! ```

use super::Endpoint;
use super::compose;
use super::failover::ATTEMPT_PATIENCE;
use super::route::{self, Hop, Target};
use crate::id::SessionId;
use crate::sip::auth::{Attempt, SignedRequest};
use crate::sip::dialog::Request;
use crate::sip::interface::{Event, Flow, Output, Transport};
use crate::sip::message::{Message, Method, Name, NameAddr};
use crate::sip::session::{self, Failure, Input, Tag};
use crate::sip::transaction::Tell;
use crate::sip::transaction::client_invite::Acknowledged;
use crate::sip::transaction::table::{ClientId, ClientInput, ClientKey, ClientStep};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A longer request leaves UDP for a stream (RFC 3261 §18.1.1).
const DATAGRAM_MAX: usize = 1300;

/// Most addresses of one host that are tried.
const TARGETS_MAX: usize = 16;

/// How long the shell may take to look a host up.
const QUERY_PATIENCE: Duration = Duration::from_secs(5);

/// Names a request of ours from its first thought to its final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RequestId(u64);

/// Whose a client transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// That of a request.
    Request(RequestId),
    /// Nobody waits for the answer to a CANCEL: the INVITE's own answer tells.
    Cancel,
}

/// Who waits for the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// The session's first INVITE.
    Invite(SessionId),
    /// The session's BYE.
    Bye(SessionId),
    /// Another request in a dialog of the session.
    InDialog(SessionId, Tag),
    /// The ACK to one fork of this INVITE; it has no transaction.
    Ack { invite: Option<RequestId>, to_tag: String },
    /// A ping of a trunk's gateway.
    Ping((usize, usize)),
    /// The registration of a trunk.
    Register(usize),
    /// Nobody.
    Nobody,
}

/// One request of ours.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub owner: Owner,
    pub trunk: usize,
    pub request: Request,
    pub hops: VecDeque<Hop>,
    pub targets: VecDeque<Target>,
    /// Those in quarantine, to be tried when nothing else is left.
    pub postponed: VecDeque<Target>,
    /// The trunk's Service-Route, for the hop that it leads to.
    preloaded: Vec<String>,
    /// How the peer was last seen, to correct a next hop by.
    seen: Option<Flow>,
    /// The next hops are the trunk's own gateways.
    pub gateway_bound: bool,
    pub stage: Stage,
    pub withdrawal: Withdrawal,
    /// How the last attempt ended.
    pub last: Outcome,
    /// A provisional answer above 100 came.
    pub rang: bool,
    /// What challenges have been answered.
    auth: Attempt,
    /// Which of the trunk's digests is given.
    digest: usize,
    /// The credentials that the INVITE carried, which the ACK to its 2xx must repeat.
    credentials: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Between two attempts.
    Idle,
    /// Waits for the shell to look a host up.
    Resolving { query: u64, hop: Hop },
    /// An attempt is running.
    Running { client: ClientId, target: Target },
    /// An INVITE has its 2xx; its transaction waits for more of them.
    Answered { client: ClientId },
}

/// How far an INVITE has been taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Withdrawal {
    /// Not at all.
    None,
    /// CANCEL waits for a provisional answer.
    Wanted { reason: Option<String> },
    /// CANCEL is out.
    Sent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Unreachable,
    TimedOut,
    Refused { code: u16, reason: String },
}

impl Outgoing {
    pub(super) fn new(owner: Owner, trunk: usize, request: Request) -> Self {
        Self {
            owner,
            trunk,
            request,
            hops: VecDeque::new(),
            targets: VecDeque::new(),
            postponed: VecDeque::new(),
            preloaded: Vec::new(),
            seen: None,
            gateway_bound: false,
            stage: Stage::Idle,
            withdrawal: Withdrawal::None,
            last: Outcome::Unreachable,
            rang: false,
            auth: Attempt::default(),
            digest: 0,
            credentials: Vec::new(),
        }
    }

    /// Sends to the next hop that the request itself names.
    pub(super) fn by_itself(mut self, seen: Option<Flow>) -> Self {
        self.hops.extend(Hop::parse(&self.request.next_hop));
        self.seen = seen;
        self
    }

    /// Sends to these gateways of the trunk, in order.
    pub(super) fn by_gateways(mut self, hops: impl Iterator<Item = Hop>) -> Self {
        self.hops.extend(hops);
        self.gateway_bound = true;
        self
    }

    /// Whether something promising is left to try; gateways in quarantine are not.
    pub(super) fn has_more(&self) -> bool {
        self.targets.iter().any(|target| !target.postponed) || !self.hops.is_empty()
    }
}

impl Endpoint {
    /// Puts a request on its way.
    pub(super) fn start(&mut self, now: Instant, mut outgoing: Outgoing) -> RequestId {
        self.route(&mut outgoing);
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.requests.insert(id, outgoing);
        self.advance(now, id);
        id
    }

    /// Sets the first hop by what the trunk wants.
    fn route(&self, outgoing: &mut Outgoing) {
        let Some(trunk) = self.trunks.get(outgoing.trunk) else { return };
        let Outgoing { owner, request, .. } = outgoing;
        let service = match owner {
            Owner::Invite(_) => trunk.service_route.as_slice(),
            Owner::Bye(_)
            | Owner::InDialog(..)
            | Owner::Ack { .. }
            | Owner::Ping(_)
            | Owner::Register(_)
            | Owner::Nobody => &[],
        };
        if let Some(outbound) = &trunk.outbound {
            // The route set of a dialog says all there is to say about its way.
            if request.routes.is_empty() {
                //= RFC 3608 §6.1: an outbound proxy goes before the Service-Route
                let again = service.first().and_then(|first| hop_of(first));
                let skip = usize::from(again.is_some_and(|hop| hop == outbound.hop));
                request.routes = vec![outbound.route.clone()];
                request.routes.extend(service.iter().skip(skip).cloned());
                outgoing.hops = VecDeque::from([outbound.hop.clone()]);
                (outgoing.gateway_bound, outgoing.seen) = (true, None);
            }
        } else if let Some(hop) = service.first().and_then(|first| hop_of(first))
            && outgoing.gateway_bound
        {
            //= RFC 3608 §6.1: the Service-Route is the preloaded route of what we send
            outgoing.preloaded = service.to_vec();
            outgoing.hops.push_front(Hop { preloaded: true, ..hop });
        }
    }

    pub(super) fn start_ping(
        &mut self,
        now: Instant,
        gateway: (usize, usize),
        request: Request,
        hop: Hop,
    ) {
        let outgoing = Outgoing::new(Owner::Ping(gateway), gateway.0, request);
        self.start(now, outgoing.by_gateways(std::iter::once(hop)));
    }

    /// Tries what is left to try, until something is under way or nothing is left.
    pub(super) fn advance(&mut self, now: Instant, id: RequestId) {
        // Each round uses up a hop or a target, and both lists are bounded.
        while let Some(outgoing) = self.requests.get_mut(&id) {
            if let Some(target) = outgoing.targets.pop_front() {
                let way = (outgoing.trunk, target.transport, target.address);
                let avoidable = outgoing.gateway_bound && !matches!(outgoing.owner, Owner::Ping(_));
                if avoidable && !target.postponed && self.quarantine.holds(now, &way) {
                    outgoing.postponed.push_back(Target { postponed: true, ..target });
                } else if self.attempt(now, id, &target) {
                    return;
                }
            } else if let Some(hop) = outgoing.hops.pop_front() {
                match hop.literal() {
                    Some(target) => {
                        let target = route::observed(target, outgoing.seen);
                        // Peers forget to name the transport that they were reached by.
                        if hop.transport.is_none() && !route::has_udp(&self.listen) {
                            let tcp = Target { transport: Transport::Tcp, ..target.clone() };
                            outgoing.targets.push_back(target);
                            outgoing.targets.push_back(tcp);
                        } else {
                            outgoing.targets.push_back(target);
                        }
                    }
                    None => return self.resolve(now, id, hop),
                }
            } else if !outgoing.postponed.is_empty() {
                outgoing.targets = std::mem::take(&mut outgoing.postponed);
            } else {
                return self.give_up(now, id);
            }
        }
    }

    fn resolve(&mut self, now: Instant, id: RequestId, hop: Hop) {
        let query = self.next_request;
        self.next_request += 1;
        let (host, port, transport) = (hop.host.clone(), hop.port, hop.transport);
        if let Some(outgoing) = self.requests.get_mut(&id) {
            outgoing.stage = Stage::Resolving { query, hop };
        }
        self.queries.insert(query, id);
        self.query_timers.set(&query, Some((now + QUERY_PATIENCE, "resolve_timeout")));
        self.out.push_back(Output::Resolve { query, host, port, transport });
    }

    /// The shell's answer to a query, or its silence.
    pub(super) fn resolved(
        &mut self,
        now: Instant,
        query: u64,
        targets: Vec<(Transport, SocketAddr)>,
    ) {
        self.query_timers.clear(&query);
        let Some(id) = self.queries.remove(&query) else { return };
        if let Some(outgoing) = self.requests.get_mut(&id) {
            let stage = std::mem::replace(&mut outgoing.stage, Stage::Idle);
            if let Stage::Resolving { hop, .. } = stage {
                let targets = targets.into_iter().take(TARGETS_MAX);
                outgoing.targets.extend(targets.map(|(t, address)| Target::of(&hop, t, address)));
            }
            self.advance(now, id);
        }
    }

    /// Sends the request to one target; false if that is not possible.
    fn attempt(&mut self, now: Instant, id: RequestId, target: &Target) -> bool {
        let branch = self.rng.branch();
        let Some((target, flow, bytes)) = self.shape(id, target, &branch) else { return false };
        let server_name = name_for(&target);
        let Some(outgoing) = self.requests.get_mut(&id) else { return false };
        if let Owner::Ack { invite, to_tag } = &outgoing.owner {
            let (invite, to_tag) = (*invite, to_tag.clone());
            self.requests.remove(&id);
            self.keep_ack(invite, Acknowledged { to_tag, flow, bytes: bytes.clone() });
            self.transmit_to(flow, bytes, server_name);
            return true;
        }
        let key = ClientKey { branch, method: outgoing.request.method };
        let user = User::Request(id);
        let Some(client) = self.clients.start(now, key, bytes.clone(), flow, user) else {
            return false;
        };
        let first = matches!(outgoing.owner, Owner::Invite(_)) && !outgoing.rang;
        let dialing = match &outgoing.owner {
            Owner::Invite(session) if first => Some((*session, outgoing.request.call_id.clone())),
            Owner::Invite(_)
            | Owner::Bye(_)
            | Owner::InDialog(..)
            | Owner::Ack { .. }
            | Owner::Ping(_)
            | Owner::Register(_)
            | Owner::Nobody => None,
        };
        let hurried = outgoing.gateway_bound && outgoing.has_more();
        let hurried = hurried && !matches!(outgoing.owner, Owner::Ping(_));
        outgoing.stage = Stage::Running { client, target };
        if outgoing.request.method == Method::Invite {
            outgoing.credentials = credentials_in(&bytes);
        }
        let deadline = hurried.then(|| (now + ATTEMPT_PATIENCE, "attempt_patience"));
        self.attempt_timers.set(&id, deadline);
        self.transmit_to(flow, bytes, server_name);
        if let Some((session, sip_call_id)) = dialing {
            self.dialing(session, sip_call_id);
        }
        true
    }

    /// Chooses socket and transport for a target and writes the request for it.
    //= RFC 3261 §18.1.1: larger than 1300 bytes: a congestion-controlled transport; if that cannot
    //= be established, UDP is tried
    fn shape(
        &mut self,
        id: RequestId,
        target: &Target,
        branch: &str,
    ) -> Option<(Target, Flow, Vec<u8>)> {
        let (flow, bytes) = self.write(id, target, branch)?;
        let too_long = target.transport == Transport::Udp && bytes.len() > DATAGRAM_MAX;
        let (transport, connection, detour) = (Transport::Tcp, None, true);
        let stream = Target { transport, connection, detour, ..target.clone() };
        if too_long
            && !target.fallback
            && let Some((flow, bytes)) = self.write(id, &stream, branch)
        {
            let outgoing = self.requests.get_mut(&id)?;
            outgoing.targets.push_front(Target { fallback: true, ..target.clone() });
            return Some((stream, flow, bytes));
        }
        Some((target.clone(), flow, bytes))
    }

    /// Writes the request for a target, with credentials if it is one that may see them.
    fn write(&mut self, id: RequestId, target: &Target, branch: &str) -> Option<(Flow, Vec<u8>)> {
        let outgoing = self.requests.get_mut(&id)?;
        let local = route::local_for(&self.listen, target)?;
        let Outgoing { request, auth, preloaded, .. } = outgoing;
        let trunk = self.trunks.get_mut(outgoing.trunk)?;
        let face = trunk.face(&self.identity, target.transport, local);
        let routes = if target.preloaded { preloaded } else { &request.routes };
        // A digest of the password is for the trunk's own elements, not for whoever is called.
        let trusted = outgoing.gateway_bound || trunk.owns(target.address.ip());
        let digest = trunk.digests.get_mut(outgoing.digest).filter(|_| trusted);
        let nonce = self.rng.next_u64();
        let bytes = self.identity.request(request, routes, face, branch, |writer| {
            //= RFC 3261 §22.1: no Authorization in CANCEL and in the ACK to a refusal; the ACK to
            //= a 2xx repeats that of the INVITE
            if let Some(digest) = digest.filter(|_| request.method != Method::Ack) {
                let method = request.method.as_str();
                let signed = SignedRequest { method, uri: &request.uri, body: &request.body.1 };
                digest.authorize(writer, &signed, nonce, auth);
            }
        });
        Some((flow_to(target, local), bytes.ok()?))
    }

    fn keep_ack(&mut self, invite: Option<RequestId>, ack: Acknowledged) {
        let invite = invite.and_then(|id| self.requests.get(&id));
        if let Some(Stage::Answered { client }) = invite.map(|invite| &invite.stage) {
            self.clients.keep_ack(*client, ack);
        }
    }

    /// Tells the owner that nothing is left to try.
    pub(super) fn give_up(&mut self, now: Instant, id: RequestId) {
        let Some(outgoing) = self.requests.remove(&id) else { return };
        self.attempt_timers.clear(&id);
        match outgoing.owner {
            Owner::Invite(session) => {
                let input = match outgoing.last {
                    _ if outgoing.withdrawal != Withdrawal::None => {
                        Input::Failed(Failure::Withdrawn)
                    }
                    Outcome::Unreachable => Input::Failed(Failure::Unreachable),
                    Outcome::TimedOut => Input::Failed(Failure::TimedOut),
                    Outcome::Refused { code, reason } => {
                        Input::Refused { code, reason, message: None }
                    }
                };
                self.used(session, outgoing.request.cseq);
                self.step(now, session, input);
            }
            Owner::Bye(session) => self.step(now, session, Input::Left),
            Owner::InDialog(session, tag) => {
                let failure = match outgoing.last {
                    Outcome::Unreachable => Failure::Unreachable,
                    Outcome::TimedOut | Outcome::Refused { .. } => Failure::TimedOut,
                };
                self.step(now, session, Input::NoAnswer { tag, failure });
            }
            Owner::Ping(gateway) => self.pinged(now, gateway, false),
            Owner::Register(trunk) => {
                let (refused, detail) = match outgoing.last {
                    Outcome::Unreachable => (None, "no registrar can be reached"),
                    Outcome::TimedOut => (None, "no registrar answers"),
                    Outcome::Refused { code, .. } => (Some(code), ""),
                };
                self.register_failed(now, trunk, outgoing.request.cseq, refused, detail);
            }
            Owner::Ack { .. } | Owner::Nobody => {}
        }
    }

    /// Takes an INVITE back as far as it has got.
    pub(super) fn withdraw(&mut self, now: Instant, id: RequestId, reason: Option<String>) {
        let Some(outgoing) = self.requests.get_mut(&id) else { return };
        outgoing.withdrawal = Withdrawal::Wanted { reason };
        match outgoing.stage {
            Stage::Resolving { query, .. } => {
                self.queries.remove(&query);
                self.query_timers.clear(&query);
                self.give_up(now, id);
            }
            Stage::Idle => self.give_up(now, id),
            //= RFC 3261 §9.1: if no provisional response came, CANCEL MUST NOT be sent
            Stage::Running { client, .. } if self.clients.is_proceeding(client) => {
                self.cancel(now, id);
            }
            Stage::Running { .. } | Stage::Answered { .. } => {}
        }
    }

    fn cancel(&mut self, now: Instant, id: RequestId) {
        let Some(outgoing) = self.requests.get_mut(&id) else { return };
        let (Stage::Running { client, target }, Withdrawal::Wanted { reason }) =
            (&outgoing.stage, &outgoing.withdrawal)
        else {
            return;
        };
        let (client, server_name) = (*client, name_for(target));
        let Some((bytes, flow)) = self.clients.invite(client) else { return };
        let Ok(invite) = Message::parse(bytes) else { return };
        let branch = invite.via().map_or("", |via| via.branch).to_owned();
        // A Reason that cannot be written must not keep the phone ringing.
        let cancel = compose::cancel(&invite, reason.as_deref());
        let Ok(bytes) = cancel.or_else(|_| compose::cancel(&invite, None)) else { return };
        outgoing.withdrawal = Withdrawal::Sent;
        let key = ClientKey { branch, method: Method::Cancel };
        if self.clients.start(now, key, bytes.clone(), flow, User::Cancel).is_some() {
            self.transmit_to(flow, bytes, server_name);
        }
        self.clients.handle(now, client, ClientInput::Cancel);
    }

    /// A response came.
    pub(super) fn respond(&mut self, now: Instant, flow: Flow, message: &Message<'_>) {
        let Some((id, code)) = self.match_response(message) else {
            if !self.late_answer(now, flow, message) {
                self.dropped(flow.remote, "stray_response");
            }
            return;
        };
        let to_tag = message.to().ok().and_then(|to| to.tag()).unwrap_or("");
        if (200..300).contains(&code)
            && let Some(known) = self.clients.ack_for(id, to_tag)
        {
            //= RFC 3261 §13.2.2.4: the ACK is sent again for each copy of the 2xx
            let (flow, bytes) = (known.flow, known.bytes.clone());
            return self.transmit(flow, bytes);
        }
        let input = match code {
            ..200 => ClientInput::Provisional,
            200..300 => ClientInput::Success,
            300.. => ClientInput::Failure { ack: self.ack_for_refusal(id, message) },
        };
        let Some(step) = self.clients.handle(now, id, input) else { return };
        let passes_up = step.passes_up();
        let request = self.current(step.user, id);
        self.after_step(now, id, step);
        if let Some(request) = request.filter(|_| passes_up) {
            self.answered(now, request, (id, flow), code, message);
        }
    }

    /// The request whose attempt this transaction is; those of earlier attempts only absorb.
    fn current(&self, user: User, client: ClientId) -> Option<RequestId> {
        let User::Request(id) = user else { return None };
        match self.requests.get(&id)?.stage {
            Stage::Running { client: current, .. } | Stage::Answered { client: current } => {
                (current == client).then_some(id)
            }
            Stage::Idle | Stage::Resolving { .. } => None,
        }
    }

    /// The name of the peer of a running attempt, for a TLS connection that has to be opened again.
    fn name_of(&self, user: User, client: ClientId) -> Option<Arc<str>> {
        match &self.requests.get(&self.current(user, client)?)?.stage {
            Stage::Running { target, .. } => name_for(target),
            Stage::Idle | Stage::Resolving { .. } | Stage::Answered { .. } => None,
        }
    }

    fn match_response(&self, message: &Message<'_>) -> Option<(ClientId, u16)> {
        //= RFC 3261 §8.1.3.3: a response with more than one Via was meant for somebody else
        if message.vias().count() != 1 {
            return None;
        }
        let via = message.via().ok()?;
        let method = message.cseq().ok()?.method.known()?;
        let key = ClientKey { branch: via.branch.to_owned(), method };
        Some((self.clients.find(&key)?, message.code()?))
    }

    fn ack_for_refusal(&self, id: ClientId, refusal: &Message<'_>) -> Vec<u8> {
        let invite = self.clients.invite(id).and_then(|(bytes, _)| Message::parse(bytes).ok());
        invite.and_then(|invite| compose::ack_refusal(&invite, refusal).ok()).unwrap_or_default()
    }

    /// Sends what a transaction wants sent, and passes its failure on.
    fn after_step(&mut self, now: Instant, client: ClientId, step: ClientStep<User>) {
        if let Some(bytes) = step.effect.send.filter(|bytes| !bytes.is_empty()) {
            let name = self.name_of(step.user, client);
            self.transmit_to(step.flow, bytes, name);
        }
        let Some(id) = self.current(step.user, client) else { return };
        match step.effect.tell {
            Tell::TimedOut => self.attempt_failed(now, id, Outcome::TimedOut),
            Tell::Unreachable => self.attempt_failed(now, id, Outcome::Unreachable),
            // The last copy of a 2xx has been waited for.
            Tell::Nothing if step.ended => _ = self.requests.remove(&id),
            Tell::Nothing | Tell::PassUp => {}
        }
    }

    pub(super) fn client_due(&mut self, now: Instant, id: ClientId) {
        if let Some(step) = self.clients.handle(now, id, ClientInput::Timeout) {
            self.after_step(now, id, step);
        }
    }

    pub(super) fn client_unreachable(&mut self, now: Instant, id: ClientId, failed: &Flow) {
        if let Some(step) = self.clients.handle(now, id, ClientInput::Unreachable) {
            if step.effect.tell == Tell::Unreachable
                && failed.connection.is_some()
                && let Some(request) = self.current(step.user, id)
            {
                self.reconnect(request);
            }
            self.after_step(now, id, step);
        }
    }

    /// A response that is new to the request it answers.
    fn answered(
        &mut self,
        now: Instant,
        id: RequestId,
        (client, flow): (ClientId, Flow),
        code: u16,
        message: &Message<'_>,
    ) {
        self.attempt_timers.clear(&id);
        self.proved(id, code);
        let Some(outgoing) = self.requests.get_mut(&id) else { return };
        if code < 200 {
            outgoing.rang |= code > 100;
            if matches!(outgoing.withdrawal, Withdrawal::Wanted { .. }) {
                self.cancel(now, id);
            }
            return match self.invite_owner(id) {
                Some(session) if code > 100 => {
                    self.saw(session, flow);
                    self.step(now, session, Input::Provisional(message));
                }
                Some(_) | None => {}
            };
        }
        if code < 300 {
            self.take_info(id, message);
        }
        let Some(outgoing) = self.requests.get_mut(&id) else { return };
        if code < 300 && outgoing.request.method == Method::Invite {
            outgoing.stage = Stage::Answered { client };
            outgoing.request.body.1 = Vec::new();
            return self.accepted(now, id, flow, message);
        }
        if outgoing.withdrawal == Withdrawal::None && self.retry(now, id, code, message) {
            return;
        }
        self.finish(now, id, flow, code, message);
    }

    /// A 2xx may bring the next nonce.
    fn take_info(&mut self, id: RequestId, message: &Message<'_>) {
        let Some(outgoing) = self.requests.get(&id).filter(|outgoing| outgoing.gateway_bound)
        else {
            return;
        };
        let trunk = self.trunks.get_mut(outgoing.trunk);
        if let Some(digest) = trunk.and_then(|trunk| trunk.digests.get_mut(outgoing.digest)) {
            digest.take_info(message);
        }
    }

    fn invite_owner(&self, id: RequestId) -> Option<SessionId> {
        match self.requests.get(&id)?.owner {
            Owner::Invite(session) => Some(session),
            Owner::Bye(_)
            | Owner::InDialog(..)
            | Owner::Ack { .. }
            | Owner::Ping(_)
            | Owner::Register(_)
            | Owner::Nobody => None,
        }
    }

    /// A 2xx to an INVITE; its session may be long over.
    fn accepted(&mut self, now: Instant, id: RequestId, flow: Flow, message: &Message<'_>) {
        if let Some(Owner::InDialog(session, tag)) =
            self.requests.get(&id).map(|outgoing| outgoing.owner.clone())
            && self.calls.contains_key(&session)
        {
            self.saw(session, flow);
            return self.step(now, session, Input::Response { tag, message });
        }
        let session = self.invite_owner(id).filter(|session| self.calls.contains_key(session));
        if let Some(session) = session {
            if let Some(call) = self.calls.get_mut(&session) {
                call.first = None;
            }
            self.saw(session, flow);
            self.step(now, session, Input::Accepted(message));
        } else {
            let trunk = self.requests.get(&id).map_or(0, |invite| invite.trunk);
            let effects = session::dismiss_fork(message);
            self.dismiss(now, trunk, id, flow, effects);
        }
    }

    /// Answers a challenge with credentials; false if there are none for it.
    //= RFC 3261 §22.2: the same request again with credentials, a new branch and CSeq one higher
    pub(super) fn authorize(&mut self, now: Instant, id: RequestId, message: &Message<'_>) -> bool {
        let Some(outgoing) = self.requests.get_mut(&id) else { return false };
        let Some(trunk) = self.trunks.get_mut(outgoing.trunk) else { return false };
        let Stage::Running { target, .. } = outgoing.stage.clone() else { return false };
        if !outgoing.gateway_bound && !trunk.owns(target.address.ip()) {
            return false;
        }
        let taken = trunk
            .digests
            .iter_mut()
            .position(|digest| digest.take_challenge(message, &mut outgoing.auth).is_ok());
        let Some(digest) = taken else { return false };
        outgoing.digest = digest;
        let in_dialog = match &outgoing.owner {
            Owner::InDialog(session, _) | Owner::Bye(session) => Some(*session),
            Owner::Invite(_)
            | Owner::Ack { .. }
            | Owner::Ping(_)
            | Owner::Register(_)
            | Owner::Nobody => None,
        };
        // Another request of the dialog may have gone out in the meantime.
        let next = in_dialog.and_then(|id| self.calls.get_mut(&id)?.session.next_cseq());
        outgoing.request.cseq = next.unwrap_or(outgoing.request.cseq + 1);
        outgoing.targets.push_front(Target { postponed: true, ..target });
        outgoing.stage = Stage::Idle;
        self.advance(now, id);
        true
    }

    /// The credentials of the INVITE, for the ACK to its 2xx.
    pub(super) fn credentials_of(&self, invite: Option<RequestId>) -> Vec<(String, String)> {
        invite
            .and_then(|id| self.requests.get(&id))
            .map(|i| i.credentials.clone())
            .unwrap_or_default()
    }

    /// The final answer to a request, for its owner.
    fn finish(
        &mut self,
        now: Instant,
        id: RequestId,
        flow: Flow,
        code: u16,
        message: &Message<'_>,
    ) {
        let Some(outgoing) = self.requests.remove(&id) else { return };
        match outgoing.owner {
            Owner::Invite(session) => {
                let reason = reason_phrase_of(message);
                self.used(session, outgoing.request.cseq);
                let message = Some(message);
                self.step(now, session, Input::Refused { code, reason, message });
            }
            Owner::Bye(session) => self.step(now, session, Input::Left),
            Owner::InDialog(session, tag) => {
                self.step(now, session, Input::Response { tag, message });
            }
            Owner::Ping(gateway) => self.pinged(now, gateway, !matches!(code, 408 | 503)),
            Owner::Register(trunk) => {
                self.registered(now, trunk, outgoing.request.cseq, flow, message);
            }
            Owner::Ack { .. } | Owner::Nobody => {}
        }
    }

    /// Notes the CSeq that the first INVITE of a session has come to.
    fn used(&mut self, session: SessionId, cseq: u32) {
        if let Some(first) = self.calls.get_mut(&session).and_then(|call| call.first.as_mut()) {
            first.cseq = cseq;
        }
    }

    fn dialing(&mut self, session: SessionId, sip_call_id: String) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        if !std::mem::replace(&mut call.dialed, true) {
            self.out.push_back(Output::Event { session, event: Event::Dialing { sip_call_id } });
        }
    }
}

/// The header fields of a request that carry credentials.
pub(super) fn credentials_in(bytes: &[u8]) -> Vec<(String, String)> {
    let Ok(message) = Message::parse(bytes) else { return Vec::new() };
    let of = |name: Name| message.values(name).map(move |value| (name, value));
    let all = of(Name::Authorization).chain(of(Name::ProxyAuthorization));
    all.map(|(name, value)| (name.as_str().to_owned(), value.to_owned())).collect()
}

/// The next hop of a Route value.
fn hop_of(route: &str) -> Option<Hop> {
    Hop::parse(NameAddr::parse(route)?.uri.text)
}

/// What the certificate of a target must show.
//= RFC 5922 §7.3: the domain of the URI, not the name or address that it was resolved to
fn name_for(target: &Target) -> Option<Arc<str>> {
    target.domain.clone().filter(|_| target.transport == Transport::Tls)
}

fn flow_to(target: &Target, local: SocketAddr) -> Flow {
    let Target { transport, address: remote, connection, .. } = *target;
    Flow { transport, local, remote, connection }
}

pub(super) fn reason_phrase_of(message: &Message<'_>) -> String {
    match message.start_line() {
        crate::sip::message::StartLine::Response { reason, .. } => session::tame(reason),
        crate::sip::message::StartLine::Request { .. } => String::new(),
    }
}
