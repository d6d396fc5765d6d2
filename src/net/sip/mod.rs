//! The SIP sockets and the one task that drives the endpoint.
//!
//! ```text
//!  UDP: datagrams, ICMP ───┐                         ┌──> UDP socket
//!  TCP and TLS: messages ──┼─ Arrival ─> run ─ Output ┼──> connection (opened if needed)
//!  name servers ───────────┤              │          ├──> resolver
//!  commands ───────────────┘              │          └──> events to the daemon
//! ```
//!
//! Owns sockets, connections and the deadline. Decides nothing about SIP: that is
//! [`crate::sip::endpoint::Endpoint`]'s. Every queue is bounded: a full queue of datagrams drops
//! them (SIP retransmits), one of streams slows streams down; a full event queue slows this task
//! down, which then reads commands only.

mod connections;
mod icmp;
mod spec;
mod stats;
mod stream;
mod table;
mod udp;

pub use spec::{ConnectionLimits, SipError, SipSockets, SocketSpec};
pub use stats::{Counter, SocketStats};

use crate::id::SessionId;
use crate::net::dns::{Resolver, Wanted};
use crate::sip::endpoint::Endpoint;
use crate::sip::interface::{Command, Event, Flow, Input, Note, Output, Transport};
use connections::Connections;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use udp::UdpSockets;

/// Datagrams read but not yet handled; more of them are dropped and counted.
const DATAGRAMS_MAX: usize = 2048;

/// Messages of streams and answers of the resolver, likewise; whoever has more of them waits.
const STREAMED_MAX: usize = 256;

/// Inputs of one kind handled before the others are looked at again.
const BUDGET: usize = 64;

/// Host names being looked up; more of them are not found.
const LOOKUPS_MAX: usize = 512;

/// What the SIP task tells the daemon.
#[derive(Debug)]
pub enum SipEvent {
    /// Something happened to a session.
    Session(SessionId, Event),
    /// A fact for metrics and logs.
    Note(Note),
}

/// Something that came in from a socket or a child task.
#[derive(Debug)]
enum Arrival {
    Message(Flow, Vec<u8>),
    /// A peer cannot be reached, or with its number a connection is gone.
    Failed(Flow),
    Dropped(SocketAddr, &'static str),
    Resolved(u64, Vec<(Transport, SocketAddr)>),
}

/// Two queues, so that a flood on connections does not cost datagrams.
struct Inbox {
    datagrams: mpsc::Receiver<Arrival>,
    streamed: mpsc::Receiver<Arrival>,
}

impl Inbox {
    async fn recv(&mut self) -> Option<Arrival> {
        tokio::select! {
            arrival = self.datagrams.recv() => arrival,
            arrival = self.streamed.recv() => arrival,
        }
    }
}

/// The queues between the SIP task and the daemon.
#[derive(Debug)]
pub struct SipQueues {
    /// From the daemon.
    pub commands: mpsc::Receiver<Command>,
    /// To the daemon.
    pub events: mpsc::Sender<SipEvent>,
    /// Questions whether the task still turns; each is answered at once.
    pub probes: mpsc::Receiver<tokio::sync::oneshot::Sender<()>>,
    /// Table sizes after each round, for status and metrics.
    pub stats: tokio::sync::watch::Sender<crate::sip::endpoint::EndpointStats>,
}

/// Drives the endpoint until `stop`, then returns; sessions should have ended before.
pub async fn run(
    endpoint: Endpoint,
    sockets: SipSockets,
    queues: SipQueues,
    stop: CancellationToken,
) {
    let (datagrams, datagrams_in) = mpsc::channel(DATAGRAMS_MAX);
    let (streamed, streamed_in) = mpsc::channel(STREAMED_MAX);
    let ways = sockets.addresses().iter().map(|(way, address)| (*way, address.is_ipv4()));
    let ways = ways.collect();
    let mut children = JoinSet::new();
    sockets.udp.spawn_readers(&mut children, &datagrams, &sockets.stats);
    let connections =
        Connections::new(sockets.limits, sockets.tls, sockets.stats, streamed.clone());
    for (transport, listener) in sockets.streams {
        connections.spawn_listener(&mut children, transport, listener);
    }
    let driver = Driver {
        endpoint,
        udp: sockets.udp,
        connections,
        resolver: Arc::new(sockets.resolver),
        lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        ways,
        children,
        arrivals: streamed,
        events: queues.events,
        stats: queues.stats,
        deadline: None,
    };
    let inbox = Inbox { datagrams: datagrams_in, streamed: streamed_in };
    driver.run(inbox, queues.commands, queues.probes, stop).await;
}

struct Driver {
    endpoint: Endpoint,
    udp: UdpSockets,
    connections: Connections,
    resolver: Arc<Resolver>,
    lookups: Arc<Semaphore>,
    /// Our sockets as the resolver sees them: transport, and whether for IPv4.
    ways: Arc<[(Transport, bool)]>,
    children: JoinSet<()>,
    arrivals: mpsc::Sender<Arrival>,
    events: mpsc::Sender<SipEvent>,
    stats: tokio::sync::watch::Sender<crate::sip::endpoint::EndpointStats>,
    deadline: Option<Instant>,
}

impl Driver {
    async fn run(
        mut self,
        mut inbox: Inbox,
        mut commands: mpsc::Receiver<Command>,
        mut probes: mpsc::Receiver<tokio::sync::oneshot::Sender<()>>,
        stop: CancellationToken,
    ) {
        self.drain(&mut commands).await;
        loop {
            let deadline = self.deadline;
            tokio::select! {
                () = stop.cancelled() => return,
                Some(command) = commands.recv() => {
                    self.feed(Input::Command(command));
                    for _ in 0..BUDGET {
                        let Ok(command) = commands.try_recv() else { break };
                        self.feed(Input::Command(command));
                    }
                }
                Some(arrival) = inbox.recv() => {
                    self.take(arrival);
                    for queue in [&mut inbox.datagrams, &mut inbox.streamed] {
                        for _ in 0..BUDGET {
                            let Ok(arrival) = queue.try_recv() else { break };
                            self.take(arrival);
                        }
                    }
                }
                Some(probe) = probes.recv() => {
                    let _ = probe.send(());
                }
                () = crate::net::sleep_until(deadline) => self.feed(Input::Timeout),
            }
            self.drain(&mut commands).await;
            while self.children.try_join_next().is_some() {}
        }
    }

    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Message(flow, bytes) => self.feed(Input::Received { flow, bytes: &bytes }),
            Arrival::Failed(flow) => self.feed(Input::Unreachable { flow }),
            Arrival::Dropped(remote, why) => self.note(Note::Dropped { remote, why }),
            Arrival::Resolved(query, targets) => self.feed(Input::Resolved { query, targets }),
        }
    }

    /// Notes are for counting only: under a flood they may be lost.
    fn note(&self, note: Note) {
        let _ = self.events.try_send(SipEvent::Note(note));
    }

    /// Feeds one input; a panic in the core loses that input, not the daemon.
    fn feed(&mut self, input: Input<'_>) {
        let now = Instant::now();
        let fed = catch_unwind(AssertUnwindSafe(|| self.endpoint.handle(now, input)));
        if fed.is_err() {
            tracing::error!("the SIP core panicked on an input; it was dropped");
        }
    }

    async fn drain(&mut self, commands: &mut mpsc::Receiver<Command>) {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { flow, bytes, server_name } => {
                    self.transmit(flow, bytes, server_name);
                }
                Output::Event { session, event } => {
                    self.tell(SipEvent::Session(session, event), commands).await;
                }
                Output::Note(note) => self.note(note),
                Output::Resolve { query, host, port, transport } => {
                    self.resolve(query, host, port, transport);
                }
                Output::Timeout(deadline, _) => {
                    self.deadline = deadline;
                    self.stats.send_replace(self.endpoint.stats());
                    return;
                }
            }
        }
    }

    /// Waits for room, and takes commands in the meantime: who reads the events may be waiting for
    /// room among the commands, and the two would wait for each other for ever. What commands bring
    /// forth stands behind the event, in the endpoint.
    async fn tell(&mut self, told: SipEvent, commands: &mut mpsc::Receiver<Command>) {
        let told = match self.events.try_send(told) {
            Err(mpsc::error::TrySendError::Full(told)) => told,
            // Closed: nobody is left to tell.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
        };
        let events = self.events.clone();
        loop {
            tokio::select! {
                biased;
                room = events.reserve() => {
                    // As above.
                    if let Ok(room) = room {
                        room.send(told);
                    }
                    return;
                }
                Some(command) = commands.recv() => self.feed(Input::Command(command)),
            }
        }
    }

    fn transmit(&mut self, flow: Flow, bytes: Vec<u8>, server_name: Option<Arc<str>>) {
        let sent = match flow.transport {
            Transport::Udp => self.udp.send(flow, &bytes),
            Transport::Tcp => self.connections.send(&mut self.children, flow, None, bytes),
            Transport::Tls => self.connections.send(&mut self.children, flow, server_name, bytes),
        };
        if !sent {
            self.feed(Input::Unreachable { flow });
        }
    }

    fn resolve(
        &mut self,
        query: u64,
        host: String,
        port: Option<u16>,
        transport: Option<Transport>,
    ) {
        let Ok(place) = Arc::clone(&self.lookups).try_acquire_owned() else {
            return self.feed(Input::Resolved { query, targets: Vec::new() });
        };
        let (arrivals, resolver) = (self.arrivals.clone(), Arc::clone(&self.resolver));
        let ways = Arc::clone(&self.ways);
        self.children.spawn(async move {
            let targets = resolver.locate(&Wanted { host, port, transport }, &ways).await;
            let _ = arrivals.send(Arrival::Resolved(query, targets)).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests;
