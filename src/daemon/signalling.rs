//! The SIP task's start and end, with all that others hold of it.
//!
//! Owns the order of both: sockets before the endpoint, registrations taken back before the end.

use super::{QUEUE_MAX, setup};
use crate::config::Config;
use crate::net::sip::{SipEvent, SipQueues, SipSockets, SocketStats};
use crate::net::tls::Tls;
use crate::observe::event::{self, Happening as _};
use crate::sip::endpoint::{Endpoint, EndpointStats};
use crate::sip::interface::{Command, Transport};
use crate::time::Rng;
use anyhow::Context as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the SIP task goes on after the last call, to answer retransmissions.
const LINGER: Duration = Duration::from_millis(200);

/// How long carriers have to take a registration back: one retransmission and its answer.
const UNREGISTER: Duration = Duration::from_millis(1500);

/// What others hold of the SIP task.
pub(super) struct Signalling {
    /// To it.
    pub commands: mpsc::Sender<Command>,
    /// From it.
    pub events: mpsc::Receiver<SipEvent>,
    /// Whether it turns.
    pub probe: mpsc::Sender<oneshot::Sender<()>>,
    /// Table sizes.
    pub stats: watch::Receiver<EndpointStats>,
    /// What its sockets count.
    pub sockets: Arc<SocketStats>,
    /// Addresses really bound.
    pub addresses: Vec<(Transport, SocketAddr)>,
    /// The TLS setup in use.
    pub tls: Option<Tls>,
    /// Ends it.
    pub task: SipTask,
}

/// The running task.
pub(super) struct SipTask {
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Trunks are registered.
    registers: bool,
}

/// Binds the sockets and starts the task.
///
/// # Errors
/// An address, certificate or name server that cannot be used.
pub(super) async fn start(config: &Config, rng: &mut Rng) -> anyhow::Result<Signalling> {
    let listen: Vec<_> = config.sip.listen.iter().map(|l| (l.transport, l.address)).collect();
    let spec = setup::sockets(config, listen);
    let bound = SipSockets::bind(&spec).await.context("sip.listen")?;
    warn_expired(config, &bound);
    let (tls, sockets, addresses) = (bound.tls(), bound.stats(), bound.addresses().to_vec());
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    let endpoint = Endpoint::new(Instant::now(), setup::endpoint(config, &addresses, seed));
    let (commands, commanded) = mpsc::channel(QUEUE_MAX);
    let (told, events) = mpsc::channel(QUEUE_MAX);
    let (probe, probes) = mpsc::channel(1);
    let (counted, stats) = watch::channel(EndpointStats::default());
    let queues = SipQueues { commands: commanded, events: told, probes, stats: counted };
    let stop = CancellationToken::new();
    let task = tokio::spawn(crate::net::sip::run(endpoint, bound, queues, stop.clone()));
    let registers = config.trunk.iter().any(|trunk| trunk.register);
    let task = SipTask { commands: commands.clone(), stop, task, registers };
    Ok(Signalling { commands, events, probe, stats, sockets, addresses, tls, task })
}

impl SipTask {
    /// Takes registrations back, answers what still comes, and ends.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let _ = self.commands.send(Command::Unregister).await;
        tokio::time::sleep(if self.registers { UNREGISTER } else { LINGER }).await;
        self.stop.cancel();
        self.task.await.context("the SIP task failed")
    }
}

fn warn_expired(config: &Config, sockets: &SipSockets) {
    if let Some(file) = &config.sip.tls_certificate
        && sockets.tls().is_some_and(|tls| tls.facts().expired)
    {
        event::CertificateExpired { file: &file.to_string_lossy() }.report();
    }
}
