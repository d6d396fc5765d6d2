//! The transactions that exist, found by the message that belongs to them.
//!
//! Owns matching (RFC 3261 §17.1.3 and §17.2.3 with the fallback for RFC 2543 peers), the merge
//! check of §8.2.2.2, and one deadline for each transaction. Does not parse: keys are made from
//! facts. Both tables are bounded; when one is full, `start` refuses and the caller answers 503 or
//! fails the request.

use super::client::{self, Client};
use super::client_invite::{self, Acknowledged, ClientInvite};
use super::server::{self, Server};
use super::server_invite::{self, ServerInvite};
use super::timers::{Lengths, Timer};
use super::{Effect, Tell};
use crate::sip::interface::{Flow, Transport};
use crate::sip::message::Method;
use crate::time::TimerTable;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The cookie that begins the branches of RFC 3261.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Names a client transaction; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(u64);

/// Names a server transaction; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(u64);

/// What a response has in common with its request.
//= RFC 3261 §17.1.3: the branch of the top Via and the method of CSeq
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientKey {
    /// Branch of the top Via.
    pub branch: String,
    /// Method of CSeq.
    pub method: Method<'static>,
}

/// What the requests of one server transaction have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerKey {
    /// The branch began with the magic cookie.
    //= RFC 3261 §17.2.3: branch, sent-by, and method (INVITE for ACK)
    Branch {
        /// Branch of the top Via, in lower case.
        branch: String,
        /// Host and port of the top Via, in lower case.
        sent_by: String,
        /// Method of the request; INVITE for an ACK.
        method: Method<'static>,
    },
    /// A peer of RFC 2543 made the request.
    //= RFC 3261 §17.2.3: Request-URI, tags, Call-ID, CSeq and top Via
    Rfc2543 {
        /// The Request-URI.
        uri: String,
        /// Call-ID.
        call_id: String,
        /// From tag.
        from_tag: String,
        /// CSeq number.
        cseq: u32,
        /// The whole top Via.
        via: String,
        /// Method of the request; INVITE for an ACK.
        method: Method<'static>,
    },
}

/// What copies of one request that took different ways have in common.
//= RFC 3261 §8.2.2.2: From tag, Call-ID and CSeq match an ongoing transaction
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MergeKey {
    /// Call-ID.
    pub call_id: String,
    /// From tag.
    pub from_tag: String,
    /// CSeq number.
    pub cseq: u32,
    /// CSeq method.
    pub method: Method<'static>,
}

/// What can happen to a client transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientInput {
    /// A 1xx arrived.
    Provisional,
    /// A 2xx arrived.
    Success,
    /// A 3xx to 6xx arrived; the ACK is for INVITE transactions only.
    Failure {
        /// The ACK that answers the refusal of an INVITE.
        ack: Vec<u8>,
    },
    /// CANCEL was sent, or the transaction is to end by itself soon.
    Cancel,
    /// The deadline may have passed.
    Timeout,
    /// The transport could not deliver.
    Unreachable,
}

/// What can happen to a server transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerInput {
    /// The request came again.
    Request,
    /// An ACK came (INVITE only).
    Ack,
    /// The TU answers with this status and message.
    Respond(u16, Vec<u8>),
    /// The deadline may have passed.
    Timeout,
    /// The transport could not deliver.
    Unreachable,
}

/// The result of one step of a client transaction.
#[derive(Debug)]
pub struct ClientStep<U> {
    /// What the machine wants.
    pub effect: Effect,
    /// The way that the transaction's messages take.
    pub flow: Flow,
    /// Whose transaction it is.
    pub user: U,
    /// Whether it has left the table.
    pub ended: bool,
}

/// The result of one step of a server transaction.
#[derive(Debug)]
pub struct ServerStep {
    /// What the machine wants.
    pub effect: Effect,
    /// The way that the responses take.
    pub flow: Flow,
}

#[derive(Debug)]
enum ClientMachine {
    Invite(ClientInvite),
    Other(Client),
}

#[derive(Debug)]
struct ClientEntry<U> {
    machine: ClientMachine,
    key: ClientKey,
    flow: Flow,
    user: U,
}

/// The client transactions; `U` says whose each is.
#[derive(Debug)]
pub struct ClientTable<U> {
    entries: BTreeMap<ClientId, ClientEntry<U>>,
    by_key: BTreeMap<ClientKey, ClientId>,
    by_peer: BTreeSet<(Transport, SocketAddr, ClientId)>,
    timers: TimerTable<ClientId, Timer>,
    t1: Duration,
    entries_max: usize,
    next_id: u64,
}

impl<U: Copy> ClientTable<U> {
    /// An empty table for at most `entries_max` transactions.
    #[must_use]
    pub fn new(t1: Duration, entries_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_peer: BTreeSet::new(),
            timers: TimerTable::default(),
            t1,
            entries_max,
            next_id: 0,
        }
    }

    /// Starts a transaction for a request that the caller sends along `flow`.
    ///
    /// Returns `None` if the table is full or the key is taken.
    pub fn start(
        &mut self,
        now: Instant,
        key: ClientKey,
        request: Vec<u8>,
        flow: Flow,
        user: U,
    ) -> Option<ClientId> {
        if self.entries.len() >= self.entries_max || self.by_key.contains_key(&key) {
            return None;
        }
        let id = ClientId(self.next_id);
        self.next_id += 1;
        let lengths = Lengths::new(self.t1, flow.transport);
        let machine = if key.method == Method::Invite {
            ClientMachine::Invite(ClientInvite::new(now, lengths, request))
        } else {
            ClientMachine::Other(Client::new(now, lengths, request))
        };
        self.by_key.insert(key.clone(), id);
        self.by_peer.insert((flow.transport, flow.remote, id));
        self.timers.set(&id, machine.deadline());
        self.entries.insert(id, ClientEntry { machine, key, flow, user });
        Some(id)
    }

    /// The transaction that a response belongs to.
    #[must_use]
    pub fn find(&self, key: &ClientKey) -> Option<ClientId> {
        self.by_key.get(key).copied()
    }

    /// Makes one step; `None` if there is no such transaction.
    pub fn handle(
        &mut self,
        now: Instant,
        id: ClientId,
        input: ClientInput,
    ) -> Option<ClientStep<U>> {
        let entry = self.entries.get_mut(&id)?;
        let effect = entry.machine.handle(now, input);
        let (flow, user) = (entry.flow, entry.user);
        let ended = entry.machine.is_terminated();
        self.timers.set(&id, entry.machine.deadline());
        if ended {
            self.remove(id);
        }
        Some(ClientStep { effect, flow, user, ended })
    }

    /// Forgets a transaction that nobody waits for, without a further message.
    pub fn remove(&mut self, id: ClientId) {
        if let Some(entry) = self.entries.remove(&id) {
            self.by_key.remove(&entry.key);
            self.by_peer.remove(&(entry.flow.transport, entry.flow.remote, id));
            self.timers.clear(&id);
        }
    }

    /// The request of an INVITE transaction that has no final response yet, and its way.
    #[must_use]
    pub fn invite(&self, id: ClientId) -> Option<(&[u8], Flow)> {
        let entry = self.entries.get(&id)?;
        match &entry.machine {
            ClientMachine::Invite(machine) => Some((machine.request()?, entry.flow)),
            ClientMachine::Other(_) => None,
        }
    }

    /// Whether the INVITE transaction has had a provisional response and no final one.
    #[must_use]
    pub fn is_proceeding(&self, id: ClientId) -> bool {
        self.entries.get(&id).is_some_and(|entry| match &entry.machine {
            ClientMachine::Invite(machine) => {
                matches!(machine.state(), client_invite::State::Proceeding { .. })
            }
            ClientMachine::Other(machine) => {
                matches!(machine.state(), client::State::Proceeding(_))
            }
        })
    }

    /// The ACK with which an earlier copy of this fork's 2xx was answered.
    #[must_use]
    pub fn ack_for(&self, id: ClientId, to_tag: &str) -> Option<&Acknowledged> {
        match &self.entries.get(&id)?.machine {
            ClientMachine::Invite(machine) => machine.ack_for(to_tag),
            ClientMachine::Other(_) => None,
        }
    }

    /// Keeps the ACK of a fork for its retransmitted 2xx.
    pub fn keep_ack(&mut self, id: ClientId, ack: Acknowledged) {
        if let Some(ClientEntry { machine: ClientMachine::Invite(machine), .. }) =
            self.entries.get_mut(&id)
        {
            machine.keep_ack(ack);
        }
    }

    /// The transactions whose messages went along `flow`.
    #[must_use]
    pub fn along(&self, flow: &Flow) -> Vec<ClientId> {
        along(&self.by_peer, flow, ClientId(0), ClientId(u64::MAX))
            .filter(|id| self.entries.get(id).is_some_and(|entry| same_way(&entry.flow, flow)))
            .collect()
    }

    /// Takes out a transaction that is due; call [`Self::handle`] with a timeout for it.
    pub fn pop_due(&mut self, now: Instant) -> Option<ClientId> {
        self.timers.pop_due(now).map(|(id, _)| id)
    }

    /// The next deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.next()
    }

    /// How many transactions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many of them wait for a deadline.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.timers.len()
    }
}

impl ClientMachine {
    fn handle(&mut self, now: Instant, input: ClientInput) -> Effect {
        match self {
            Self::Invite(machine) => machine.handle(
                now,
                match input {
                    ClientInput::Provisional => client_invite::Input::Provisional,
                    ClientInput::Success => client_invite::Input::Success,
                    ClientInput::Failure { ack } => client_invite::Input::Failure { ack },
                    ClientInput::Cancel => client_invite::Input::Cancel,
                    ClientInput::Timeout => client_invite::Input::Timeout,
                    ClientInput::Unreachable => client_invite::Input::Unreachable,
                },
            ),
            Self::Other(machine) => machine.handle(
                now,
                match input {
                    ClientInput::Provisional => client::Input::Provisional,
                    ClientInput::Success | ClientInput::Failure { .. } => client::Input::Final,
                    // Only INVITE can be cancelled (RFC 3261 §9.1).
                    ClientInput::Cancel => return Effect::none(),
                    ClientInput::Timeout => client::Input::Timeout,
                    ClientInput::Unreachable => client::Input::Unreachable,
                },
            ),
        }
    }

    fn deadline(&self) -> Option<(Instant, Timer)> {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::Other(machine) => machine.deadline(),
        }
    }

    fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => *machine.state() == client_invite::State::Terminated,
            Self::Other(machine) => *machine.state() == client::State::Terminated,
        }
    }
}

#[derive(Debug)]
enum ServerMachine {
    Invite(ServerInvite),
    Other(Server),
}

#[derive(Debug)]
struct ServerEntry<U> {
    machine: ServerMachine,
    key: ServerKey,
    merge: Option<MergeKey>,
    flow: Flow,
    user: U,
}

/// The server transactions; `U` is what the TU keeps for each.
#[derive(Debug)]
pub struct ServerTable<U> {
    entries: BTreeMap<ServerId, ServerEntry<U>>,
    by_key: BTreeMap<ServerKey, ServerId>,
    by_merge: BTreeMap<MergeKey, ServerId>,
    by_peer: BTreeSet<(Transport, SocketAddr, ServerId)>,
    timers: TimerTable<ServerId, Timer>,
    t1: Duration,
    entries_max: usize,
    next_id: u64,
}

impl<U> ServerTable<U> {
    /// An empty table for at most `entries_max` transactions.
    #[must_use]
    pub fn new(t1: Duration, entries_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_merge: BTreeMap::new(),
            by_peer: BTreeSet::new(),
            timers: TimerTable::default(),
            t1,
            entries_max,
            next_id: 0,
        }
    }

    /// Whether [`Self::start`] would refuse for want of room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.entries_max
    }

    /// Starts a transaction for a new request whose responses take `flow`.
    ///
    /// Returns `None` if the table is full or the key is taken.
    pub fn start(
        &mut self,
        key: ServerKey,
        merge: Option<MergeKey>,
        flow: Flow,
        user: U,
    ) -> Option<ServerId> {
        if self.is_full() || self.by_key.contains_key(&key) {
            return None;
        }
        let id = ServerId(self.next_id);
        self.next_id += 1;
        let lengths = Lengths::new(self.t1, flow.transport);
        let machine = if key.method() == Method::Invite {
            ServerMachine::Invite(ServerInvite::new(lengths))
        } else {
            ServerMachine::Other(Server::new(lengths))
        };
        self.by_key.insert(key.clone(), id);
        self.by_peer.insert((flow.transport, flow.remote, id));
        if let Some(merge) = &merge {
            self.by_merge.insert(merge.clone(), id);
        }
        self.entries.insert(id, ServerEntry { machine, key, merge, flow, user });
        Some(id)
    }

    /// The transaction that a request belongs to.
    #[must_use]
    pub fn find(&self, key: &ServerKey) -> Option<ServerId> {
        self.by_key.get(key).copied()
    }

    /// The transaction of another copy of this request.
    #[must_use]
    pub fn find_merged(&self, key: &MergeKey) -> Option<ServerId> {
        self.by_merge.get(key).copied()
    }

    /// What the TU keeps for a transaction.
    #[must_use]
    pub fn user(&self, id: ServerId) -> Option<&U> {
        self.entries.get(&id).map(|entry| &entry.user)
    }

    /// What the TU keeps for a transaction, to change it.
    pub fn user_mut(&mut self, id: ServerId) -> Option<&mut U> {
        self.entries.get_mut(&id).map(|entry| &mut entry.user)
    }

    /// Makes one step; `None` if there is no such transaction.
    pub fn handle(&mut self, now: Instant, id: ServerId, input: ServerInput) -> Option<ServerStep> {
        let entry = self.entries.get_mut(&id)?;
        let effect = entry.machine.handle(now, input);
        let flow = entry.flow;
        let ended = entry.machine.is_terminated();
        self.timers.set(&id, entry.machine.deadline());
        if ended {
            self.remove(id);
        }
        Some(ServerStep { effect, flow })
    }

    /// The way that the responses take.
    #[must_use]
    pub fn flow(&self, id: ServerId) -> Option<Flow> {
        self.entries.get(&id).map(|entry| entry.flow)
    }

    /// Makes the responses take another way.
    pub fn redirect(&mut self, id: ServerId, flow: Flow) {
        if let Some(entry) = self.entries.get_mut(&id) {
            self.by_peer.remove(&(entry.flow.transport, entry.flow.remote, id));
            self.by_peer.insert((flow.transport, flow.remote, id));
            entry.flow = flow;
        }
    }

    /// The transactions whose messages went along `flow`.
    #[must_use]
    pub fn along(&self, flow: &Flow) -> Vec<ServerId> {
        along(&self.by_peer, flow, ServerId(0), ServerId(u64::MAX))
            .filter(|id| self.entries.get(id).is_some_and(|entry| same_way(&entry.flow, flow)))
            .collect()
    }

    /// Takes out a transaction that is due; call [`Self::handle`] with a timeout for it.
    pub fn pop_due(&mut self, now: Instant) -> Option<ServerId> {
        self.timers.pop_due(now).map(|(id, _)| id)
    }

    /// The next deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.next()
    }

    /// How many transactions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many of them wait for a deadline.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Forgets a transaction without a further message.
    pub fn remove(&mut self, id: ServerId) {
        if let Some(entry) = self.entries.remove(&id) {
            self.by_key.remove(&entry.key);
            self.by_peer.remove(&(entry.flow.transport, entry.flow.remote, id));
            self.timers.clear(&id);
            if let Some(merge) = entry.merge
                && self.by_merge.get(&merge) == Some(&id)
            {
                self.by_merge.remove(&merge);
            }
        }
    }
}

impl ServerKey {
    fn method(&self) -> Method<'static> {
        match self {
            Self::Branch { method, .. } | Self::Rfc2543 { method, .. } => *method,
        }
    }
}

impl ServerMachine {
    fn handle(&mut self, now: Instant, input: ServerInput) -> Effect {
        match self {
            Self::Invite(machine) => machine.handle(
                now,
                match input {
                    ServerInput::Request => server_invite::Input::Request,
                    ServerInput::Ack => server_invite::Input::Ack,
                    ServerInput::Respond(..200, bytes) => server_invite::Input::Provisional(bytes),
                    ServerInput::Respond(200..300, bytes) => server_invite::Input::Success(bytes),
                    ServerInput::Respond(300.., bytes) => server_invite::Input::Failure(bytes),
                    ServerInput::Timeout => server_invite::Input::Timeout,
                    ServerInput::Unreachable => server_invite::Input::Unreachable,
                },
            ),
            Self::Other(machine) => machine.handle(
                now,
                match input {
                    ServerInput::Request => server::Input::Request,
                    // An ACK has the key of an INVITE, so it cannot come here.
                    ServerInput::Ack => return Effect::none(),
                    ServerInput::Respond(..200, bytes) => server::Input::Provisional(bytes),
                    ServerInput::Respond(200.., bytes) => server::Input::Final(bytes),
                    ServerInput::Timeout => server::Input::Timeout,
                    ServerInput::Unreachable => server::Input::Unreachable,
                },
            ),
        }
    }

    fn deadline(&self) -> Option<(Instant, Timer)> {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::Other(machine) => machine.deadline(),
        }
    }

    fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => *machine.state() == server_invite::State::Terminated,
            Self::Other(machine) => *machine.state() == server::State::Terminated,
        }
    }
}

/// The ids filed under the peer of `flow`.
fn along<K: Copy + Ord>(
    by_peer: &BTreeSet<(Transport, SocketAddr, K)>,
    flow: &Flow,
    first: K,
    last: K,
) -> impl Iterator<Item = K> {
    let (transport, remote) = (flow.transport, flow.remote);
    by_peer.range((transport, remote, first)..=(transport, remote, last)).map(|(_, _, id)| *id)
}

/// Whether the failure of `failed` concerns what took `taken`: two known connections differ.
fn same_way(taken: &Flow, failed: &Flow) -> bool {
    match (taken.connection, failed.connection) {
        (Some(taken), Some(failed)) => taken == failed,
        (Some(_) | None, None) | (None, Some(_)) => true,
    }
}

impl<U> ClientStep<U> {
    /// Whether the TU must hear of it.
    #[must_use]
    pub fn passes_up(&self) -> bool {
        self.effect.tell == Tell::PassUp
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::interface::ConnectionId;
    use crate::sip::transaction::testing::{ms, origin};

    fn flow(transport: Transport, port: u16, connection: Option<u64>) -> Flow {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let connection = connection.map(ConnectionId);
        Flow { transport, local: at(5060), remote: at(port), connection }
    }

    fn client_key(branch: &str, method: Method<'static>) -> ClientKey {
        ClientKey { branch: branch.to_owned(), method }
    }

    fn server_key(branch: &str, method: Method<'static>) -> ServerKey {
        let (branch, sent_by) = (branch.to_owned(), "peer:5060".to_owned());
        ServerKey::Branch { branch, sent_by, method }
    }

    #[test]
    fn responses_find_their_transaction_by_branch_and_method() {
        let mut table = ClientTable::new(ms(500), 10);
        let way = flow(Transport::Udp, 1, None);
        let invite = client_key("a", Method::Invite);
        let cancel = client_key("a", Method::Cancel);
        let first = table.start(origin(), invite.clone(), vec![], way, 1).unwrap();
        let second = table.start(origin(), cancel.clone(), vec![], way, 2).unwrap();
        assert_eq!(table.find(&invite), Some(first));
        assert_eq!(table.find(&cancel), Some(second));
        assert_eq!(table.find(&client_key("b", Method::Invite)), None);
        assert_eq!(table.handle(origin(), second, ClientInput::Success).unwrap().user, 2);
        assert!(table.start(origin(), invite, vec![], way, 3).is_none(), "a key is taken once");
    }

    #[test]
    fn full_table_refuses_and_empties_by_its_timers() {
        let mut table = ClientTable::new(ms(500), 2);
        let way = flow(Transport::Udp, 1, None);
        for branch in ["a", "b"] {
            assert!(
                table.start(origin(), client_key(branch, Method::Bye), vec![], way, ()).is_some()
            );
        }
        assert!(table.start(origin(), client_key("c", Method::Bye), vec![], way, ()).is_none());
        let mut told = 0;
        while let Some((at, _)) = table.deadline() {
            let id = table.pop_due(at).unwrap();
            let step = table.handle(at, id, ClientInput::Timeout).unwrap();
            told += usize::from(step.effect.tell == Tell::TimedOut);
        }
        assert_eq!((told, table.len(), table.timers()), (2, 0, 0));
        assert!(table.by_key.is_empty() && table.by_peer.is_empty());
    }

    #[test]
    fn server_table_matches_ack_cancel_and_merged_requests() {
        let mut table = ServerTable::new(ms(500), 10);
        let way = flow(Transport::Udp, 1, None);
        let merge =
            MergeKey { call_id: "c".into(), from_tag: "f".into(), cseq: 1, method: Method::Invite };
        let key = server_key("a", Method::Invite);
        let id = table.start(key.clone(), Some(merge.clone()), way, ()).unwrap();
        assert_eq!(table.find(&key), Some(id));
        assert_eq!(table.find(&server_key("a", Method::Cancel)), None);
        assert_eq!(table.find_merged(&merge), Some(id));
        let step = table.handle(origin(), id, ServerInput::Respond(486, b"486".to_vec())).unwrap();
        assert_eq!(step.effect.send.as_deref(), Some(&b"486"[..]));
        table.handle(origin(), id, ServerInput::Ack).unwrap();
        assert_eq!(table.pop_due(origin() + ms(5000)), Some(id));
        table.handle(origin() + ms(5000), id, ServerInput::Timeout).unwrap();
        assert!(table.is_empty() && table.find_merged(&merge).is_none());
        assert!(table.by_key.is_empty() && table.by_peer.is_empty());
    }

    #[test]
    fn lost_connection_concerns_its_own_messages() {
        let mut table = ClientTable::new(ms(500), 10);
        let mut start = |branch: &str, way| {
            table.start(origin(), client_key(branch, Method::Bye), vec![], way, ()).unwrap()
        };
        let one = start("a", flow(Transport::Tcp, 1, Some(1)));
        start("b", flow(Transport::Tcp, 1, Some(2)));
        let any = start("c", flow(Transport::Tcp, 1, None));
        start("d", flow(Transport::Udp, 1, None));
        start("e", flow(Transport::Tcp, 2, None));
        assert_eq!(table.along(&flow(Transport::Tcp, 1, Some(1))), [one, any]);
        assert_eq!(table.along(&flow(Transport::Tcp, 1, None)).len(), 3);
    }
}
