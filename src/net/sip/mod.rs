//! The SIP sockets and the one task that drives the endpoint.
//!
//! ```text
//!  UDP sockets ──┐                        ┌──> UDP socket
//!  TCP readers ──┼─ Arrival ─> run ─ Output┼──> TCP writer (opened if needed)
//!  commands    ──┘              │         └──> events to the daemon
//! ```
//!
//! Owns sockets, connections and the deadline. Decides nothing about SIP: that is
//! [`crate::sip::endpoint::Endpoint`]'s. Every queue is bounded: a full arrival queue drops
//! datagrams (SIP retransmits) and slows streams down; a full event queue slows this task down.

mod connections;
mod udp;

use crate::id::SessionId;
use crate::sip::endpoint::Endpoint;
use crate::sip::interface::{Command, Event, Flow, Input, Note, Output, Transport};
use connections::Connections;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use udp::UdpSockets;

/// Messages read but not yet handled.
const ARRIVALS_MAX: usize = 2048;

/// Inputs handled before the sockets are looked at again.
const BUDGET: usize = 64;

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
    Failed(Flow),
    Closed(Flow),
    Resolved(u64, Vec<(Transport, SocketAddr)>),
}

/// Why SIP cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SipError {
    /// A listening address is taken or not ours.
    #[error("cannot listen for SIP on {transport:?} {address}: {error}")]
    Bind {
        /// The protocol.
        transport: Transport,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The protocol is not built.
    #[error("SIP over {0:?} is not available in this version")]
    Unsupported(Transport),
}

/// Bound sockets that nobody reads yet.
#[derive(Debug)]
pub struct SipSockets {
    udp: UdpSockets,
    tcp: Vec<TcpListener>,
    addresses: Vec<(Transport, SocketAddr)>,
}

impl SipSockets {
    /// Binds every listening address; port 0 picks a free one.
    ///
    /// # Errors
    /// [`SipError`] naming the address that cannot be had.
    pub async fn bind(listen: &[(Transport, SocketAddr)]) -> Result<Self, SipError> {
        let mut sockets =
            Self { udp: UdpSockets::default(), tcp: Vec::new(), addresses: Vec::new() };
        for &(transport, address) in listen {
            let bind = |error| SipError::Bind { transport, address, error };
            let bound = match transport {
                Transport::Udp => sockets.udp.bind(address).await.map_err(bind)?,
                Transport::Tcp => {
                    let listener = TcpListener::bind(address).await.map_err(bind)?;
                    let bound = listener.local_addr().map_err(bind)?;
                    sockets.tcp.push(listener);
                    bound
                }
                Transport::Tls => return Err(SipError::Unsupported(transport)),
            };
            sockets.addresses.push((transport, bound));
        }
        Ok(sockets)
    }

    /// The addresses really bound, in the order asked for.
    #[must_use]
    pub fn addresses(&self) -> &[(Transport, SocketAddr)] {
        &self.addresses
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
    let (arrivals, arrived) = mpsc::channel(ARRIVALS_MAX);
    let mut children = JoinSet::new();
    sockets.udp.spawn_readers(&mut children, &arrivals);
    let connections = Connections::new(arrivals.clone());
    for listener in sockets.tcp {
        connections.spawn_listener(&mut children, listener);
    }
    let driver = Driver {
        endpoint,
        udp: sockets.udp,
        connections,
        children,
        arrivals,
        events: queues.events,
        stats: queues.stats,
        deadline: None,
    };
    driver.run(arrived, queues.commands, queues.probes, stop).await;
}

struct Driver {
    endpoint: Endpoint,
    udp: UdpSockets,
    connections: Connections,
    children: JoinSet<()>,
    arrivals: mpsc::Sender<Arrival>,
    events: mpsc::Sender<SipEvent>,
    stats: tokio::sync::watch::Sender<crate::sip::endpoint::EndpointStats>,
    deadline: Option<Instant>,
}

impl Driver {
    async fn run(
        mut self,
        mut arrived: mpsc::Receiver<Arrival>,
        mut commands: mpsc::Receiver<Command>,
        mut probes: mpsc::Receiver<tokio::sync::oneshot::Sender<()>>,
        stop: CancellationToken,
    ) {
        self.drain().await;
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
                Some(arrival) = arrived.recv() => {
                    self.take(arrival);
                    for _ in 0..BUDGET {
                        let Ok(arrival) = arrived.try_recv() else { break };
                        self.take(arrival);
                    }
                }
                Some(probe) = probes.recv() => {
                    let _ = probe.send(());
                }
                () = crate::net::sleep_until(deadline) => self.feed(Input::Timeout),
            }
            self.drain().await;
            while self.children.try_join_next().is_some() {}
        }
    }

    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Message(flow, bytes) => self.feed(Input::Received { flow, bytes: &bytes }),
            Arrival::Failed(flow) => self.feed(Input::Unreachable { flow }),
            Arrival::Closed(flow) => {
                if let Some(connection) = flow.connection {
                    self.connections.forget(connection);
                }
                self.feed(Input::Unreachable { flow });
            }
            Arrival::Resolved(query, targets) => self.feed(Input::Resolved { query, targets }),
        }
    }

    /// Feeds one input; a panic in the core loses that input, not the daemon.
    fn feed(&mut self, input: Input<'_>) {
        let now = Instant::now();
        let fed = catch_unwind(AssertUnwindSafe(|| self.endpoint.handle(now, input)));
        if fed.is_err() {
            tracing::error!("the SIP core panicked on an input; it was dropped");
        }
    }

    async fn drain(&mut self) {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit { flow, bytes, server_name: _ } => self.transmit(flow, bytes),
                Output::Event { session, event } => {
                    let _ = self.events.send(SipEvent::Session(session, event)).await;
                }
                Output::Note(note) => {
                    // Notes are for counting only: under a flood they may be lost.
                    let _ = self.events.try_send(SipEvent::Note(note));
                }
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

    fn transmit(&mut self, flow: Flow, bytes: Vec<u8>) {
        match flow.transport {
            Transport::Udp => {
                if !self.udp.send(flow, &bytes) {
                    self.feed(Input::Unreachable { flow });
                }
            }
            Transport::Tcp => {
                if !self.connections.send(&mut self.children, flow, bytes) {
                    self.feed(Input::Unreachable { flow });
                }
            }
            Transport::Tls => self.feed(Input::Unreachable { flow }),
        }
    }

    fn resolve(
        &mut self,
        query: u64,
        host: String,
        port: Option<u16>,
        transport: Option<Transport>,
    ) {
        let arrivals = self.arrivals.clone();
        self.children.spawn(async move {
            let transport = transport.unwrap_or(Transport::Udp);
            let found = tokio::net::lookup_host((host.as_str(), port.unwrap_or(5060))).await;
            let targets = found.map(|all| all.take(16).map(|address| (transport, address)));
            let targets = targets.map(Iterator::collect).unwrap_or_default();
            let _ = arrivals.send(Arrival::Resolved(query, targets)).await;
        });
    }
}
