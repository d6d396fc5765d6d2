//! How the SIP sockets are set up, and the sockets bound so.

use super::stats::SocketStats;
use super::udp::UdpSockets;
use crate::net::dns::{Resolver, ResolverError, ResolverSpec};
use crate::net::tls::{Tls, TlsError, TlsSpec};
use crate::sip::interface::Transport;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Bounds on the connections of TCP and TLS.
///
/// A connection is *proven* once we have sent a SIP message over it, or opened it: only trunks are
/// answered, so a stranger's never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once. When full, the oldest that is not proven makes room.
    pub total: usize,
    /// Connections at once from one IPv4 address or one IPv6 network of 64 bits.
    pub per_source: usize,
    /// TLS handshakes of peers at once; the oldest makes room.
    pub handshakes: usize,
    /// How long opening one may take, without TLS.
    pub connect: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a message may take from its first byte to its last.
    pub message: Duration,
    /// How long a peer's connection may live without being proven.
    pub unproven: Duration,
    /// How long a peer's connection may be silent, keep-alives included.
    pub idle: Duration,
    /// How long a connection that we opened is without traffic of ours before it is pinged.
    pub ping: Duration,
    /// How long a peer may take nothing of what we write.
    pub write: Duration,
    /// Messages that wait to be written; one more closes the connection: its peer does not read.
    pub writes: usize,
    /// Their bytes, likewise.
    pub write_bytes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            total: 4096,
            per_source: 64,
            handshakes: 256,
            connect: s(4),
            handshake: s(10),
            message: s(10),
            unproven: s(30),
            idle: s(600),
            ping: s(30),
            write: s(10),
            writes: 4096,
            write_bytes: 4 << 20,
        }
    }
}

/// Where to listen and how; plain values.
#[derive(Debug, Clone)]
pub struct SocketSpec {
    /// Listening addresses, in the order in which their sockets send to new peers.
    pub listen: Vec<(Transport, SocketAddr)>,
    /// Our certificate; needed to listen for TLS.
    pub tls: Option<TlsSpec>,
    /// Bounds on connections.
    pub limits: ConnectionLimits,
    /// How host names are looked up.
    pub resolver: ResolverSpec,
}

impl SocketSpec {
    /// Listens there, with the limits of a small node and the system's name servers.
    #[must_use]
    pub fn new(listen: Vec<(Transport, SocketAddr)>) -> Self {
        Self {
            listen,
            tls: None,
            limits: ConnectionLimits::default(),
            resolver: ResolverSpec::default(),
        }
    }
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
    /// A TLS address without a certificate.
    #[error("cannot listen for SIP on Tls {0} without a certificate")]
    NoCertificate(SocketAddr),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Names cannot be looked up.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Entropy(std::io::Error),
}

/// Bound sockets that nobody reads yet.
#[derive(Debug)]
pub struct SipSockets {
    pub(super) udp: UdpSockets,
    pub(super) streams: Vec<(Transport, TcpListener)>,
    pub(super) tls: Option<Tls>,
    pub(super) limits: ConnectionLimits,
    pub(super) resolver: Resolver,
    pub(super) stats: Arc<SocketStats>,
    addresses: Vec<(Transport, SocketAddr)>,
}

impl SipSockets {
    /// Binds every listening address; port 0 picks a free one. IPv6 sockets take IPv6 only.
    ///
    /// Cost: reads the certificate's files.
    ///
    /// # Errors
    /// [`SipError`] naming the address or file that cannot be had.
    #[expect(clippy::unused_async, reason = "sockets are registered with the caller's runtime")]
    pub async fn bind(spec: &SocketSpec) -> Result<Self, SipError> {
        let tls = spec.tls.as_ref().map(Tls::load).transpose()?;
        let seed = crate::net::entropy().map_err(SipError::Entropy)?;
        let mut sockets = Self {
            udp: UdpSockets::default(),
            streams: Vec::new(),
            tls,
            limits: spec.limits.clone(),
            resolver: Resolver::new(spec.resolver.clone(), seed)?,
            stats: Arc::default(),
            addresses: Vec::new(),
        };
        for &(transport, address) in &spec.listen {
            let bind = |error| SipError::Bind { transport, address, error };
            let bound = match transport {
                Transport::Udp => sockets.udp.bind(address).map_err(bind)?,
                Transport::Tcp | Transport::Tls => {
                    if transport == Transport::Tls && sockets.tls.is_none() {
                        return Err(SipError::NoCertificate(address));
                    }
                    let listener = listen(address).map_err(bind)?;
                    let bound = listener.local_addr().map_err(bind)?;
                    sockets.streams.push((transport, listener));
                    bound
                }
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

    /// The TLS setup in use: reload it while the sockets are driven.
    #[must_use]
    pub fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// The counters of the sockets; they go on while the sockets are driven.
    #[must_use]
    pub fn stats(&self) -> Arc<SocketStats> {
        Arc::clone(&self.stats)
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // What is left of connections of a process before this one does not keep us out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
