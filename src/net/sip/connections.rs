//! The TCP and TLS connections of SIP: accepted, opened on demand, bounded.

use super::Arrival;
use super::spec::ConnectionLimits;
use super::stats::SocketStats;
use super::stream::{Line, serve};
use super::table::{Admitted, Origin, Table};
use crate::net::tls::{Tls, TlsConnection};
use crate::sip::interface::{ConnectionId, Flow, Transport};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A peer that acknowledges nothing for this long is gone.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// All connections; clones share them with the listeners' and the connections' tasks.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: ConnectionLimits,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    table: Mutex<Table<Link>>,
    tls: Option<Tls>,
    stats: Arc<SocketStats>,
}

/// What the table keeps of a connection.
#[derive(Debug)]
struct Link {
    writes: mpsc::Sender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    stop: CancellationToken,
}

/// What its task has of it.
struct Ends {
    writes: mpsc::Receiver<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Connections {
    pub(super) fn new(
        limits: ConnectionLimits,
        tls: Option<Tls>,
        stats: Arc<SocketStats>,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Self {
        let table = Mutex::new(Table::new(limits.clone()));
        Self(Arc::new(Shared { limits, arrivals, table, tls, stats }))
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(super) fn spawn_listener(
        &self,
        children: &mut JoinSet<()>,
        transport: Transport,
        listener: TcpListener,
    ) {
        let shared = Arc::clone(&self.0);
        children.spawn(async move {
            let mut served = JoinSet::new();
            let Ok(local) = listener.local_addr() else { return };
            loop {
                while served.try_join_next().is_some() {}
                let Ok((stream, remote)) = listener.accept().await else {
                    // Out of descriptors, most likely: give others time to close.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let way = (transport, remote);
                if let Some((id, ends)) = shared.admit(way, Origin::Accepted) {
                    shared.stats.accepted.add();
                    let flow = Flow { transport, local, remote, connection: Some(id) };
                    served.spawn(accepted(Arc::clone(&shared), stream, flow, ends));
                } else {
                    shared.stats.refused.add();
                    shared.told(remote, "connections_full");
                }
            }
        });
    }

    /// Queues a message on the flow's connection, on another one to the same peer, or on one that
    /// is opened for it. `false`: the peer cannot be reached this way.
    pub(super) fn send(
        &self,
        children: &mut JoinSet<()>,
        flow: Flow,
        name: Option<Arc<str>>,
        bytes: Vec<u8>,
    ) -> bool {
        match self.0.queue(&flow, name.as_deref(), bytes) {
            Queued::Yes => true,
            Queued::No => false,
            Queued::NoConnection(bytes) => {
                // The peer's own connection is gone, and its address is not one to connect to.
                if flow.connection.is_some() {
                    return false;
                }
                let way = (flow.transport, flow.remote);
                let Some((id, ends)) = self.0.admit(way, Origin::Opened(name.clone())) else {
                    return false;
                };
                let flow = Flow { connection: Some(id), ..flow };
                self.0.stats.opened.add();
                children.spawn(opened(Arc::clone(&self.0), flow, name, ends));
                matches!(self.0.queue(&flow, None, bytes), Queued::Yes)
            }
        }
    }
}

/// What became of a message for a connection.
enum Queued {
    Yes,
    /// The peer does not read, and is cut off.
    No,
    NoConnection(Vec<u8>),
}

impl Shared {
    pub(super) fn is_proven(&self, id: ConnectionId) -> bool {
        self.lock().is_proven(id)
    }

    /// A message came in.
    pub(super) fn received(&self, id: ConnectionId) {
        self.lock().received(Instant::now(), id);
    }

    fn lock(&self) -> MutexGuard<'_, Table<Link>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is closed for what its peer did.
    pub(super) fn faulted(&self, remote: SocketAddr, why: &'static str) {
        self.stats.faulted.add();
        self.told(remote, why);
    }

    fn told(&self, remote: SocketAddr, why: &'static str) {
        // Facts for counting: under a flood they may be lost.
        let _ = self.arrivals.try_send(Arrival::Dropped(remote, why));
    }

    fn admit(&self, way: (Transport, SocketAddr), origin: Origin) -> Option<(ConnectionId, Ends)> {
        let (writes, written) = mpsc::channel(self.limits.writes.max(1));
        let (queued, stop) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        let link = Link { writes, queued: Arc::clone(&queued), stop: stop.clone() };
        let mut table = self.lock();
        let Admitted { id, evicted } = table.admit(Instant::now(), way, origin, link)?;
        self.stats.open.set(table.len());
        drop(table);
        for link in evicted {
            self.stats.evicted.add();
            link.stop.cancel();
        }
        Some((id, Ends { writes: written, queued, stop }))
    }

    fn queue(&self, flow: &Flow, name: Option<&str>, bytes: Vec<u8>) -> Queued {
        let mut table = self.lock();
        let Some(id) = table.find(flow, name) else { return Queued::NoConnection(bytes) };
        let Some(link) = table.sending(Instant::now(), id) else {
            return Queued::NoConnection(bytes);
        };
        let length = bytes.len();
        let waiting = link.queued.fetch_add(length, Ordering::Relaxed);
        let sent = if waiting + length > self.limits.write_bytes && waiting > 0 {
            Err(mpsc::error::TrySendError::Full(bytes))
        } else {
            link.writes.try_send(bytes)
        };
        match sent {
            Ok(()) => Queued::Yes,
            Err(mpsc::error::TrySendError::Full(_)) => {
                link.stop.cancel();
                table.remove(id);
                drop(table);
                self.faulted(flow.remote, "not_read");
                Queued::No
            }
            Err(mpsc::error::TrySendError::Closed(bytes)) => {
                table.remove(id);
                Queued::NoConnection(bytes)
            }
        }
    }

    fn forget(&self, flow: &Flow) {
        if let Some(id) = flow.connection {
            let mut table = self.lock();
            table.remove(id);
            self.stats.open.set(table.len());
        }
    }

    /// Greets the peer with TLS if that is its transport, within the time for it.
    async fn greet(&self, flow: &Flow, stream: TcpStream, side: Side<'_>) -> io::Result<Stream> {
        let Some(tls) = self.tls.as_ref().filter(|_| flow.transport == Transport::Tls) else {
            return Ok(Stream::Plain(stream));
        };
        let greeting = async {
            match side {
                Side::Client(name) => tls.connect(stream, name, flow.remote).await,
                Side::Server => tls.accept(stream).await,
            }
        };
        let greeted = tokio::time::timeout(self.limits.handshake, greeting).await;
        let greeted = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if greeted.is_err() {
            self.stats.handshakes_failed.add();
        }
        greeted.map(|stream| Stream::Secure(Box::new(stream)))
    }

    /// Reads and writes an open connection until it is over, and tells so.
    async fn serve(&self, flow: Flow, stream: Stream, ours: bool, ends: Ends) {
        let Some(id) = flow.connection else { return };
        let Ends { mut writes, queued, stop } = ends;
        let line = Line { shared: self, flow, id, ours, queued: &queued };
        let served = async {
            match stream {
                Stream::Plain(stream) => serve(&line, stream, &mut writes).await,
                Stream::Secure(stream) => serve(&line, *stream, &mut writes).await,
            }
        };
        let fault = tokio::select! {
            fault = served => fault,
            () = stop.cancelled() => None,
        };
        if let Some(why) = fault {
            self.faulted(flow.remote, why);
        }
        self.forget(&flow);
        let _ = self.arrivals.send(Arrival::Failed(flow)).await;
    }
}

/// Who we are in a TLS handshake.
enum Side<'a> {
    Server,
    /// The peer must show this name, or its address without one.
    Client(Option<&'a str>),
}

/// A connection whose handshakes are over.
enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsConnection>),
}

/// The life of a connection that a peer opened.
async fn accepted(shared: Arc<Shared>, stream: TcpStream, flow: Flow, ends: Ends) {
    tune(&stream);
    let greeted = tokio::select! {
        greeted = shared.greet(&flow, stream, Side::Server) => greeted,
        () = ends.stop.cancelled() => Err(io::ErrorKind::Interrupted.into()),
    };
    match greeted {
        Ok(stream) => {
            if let Some(id) = flow.connection {
                shared.lock().greeted(id);
            }
            shared.serve(flow, stream, false, ends).await;
        }
        // Nothing was ever sent or received: there is nobody to tell.
        Err(error) => {
            tracing::debug!(remote = %flow.remote, %error, "TLS handshake failed");
            shared.told(flow.remote, "tls_handshake");
            shared.forget(&flow);
        }
    }
}

/// The life of a connection that we open; what fails before it is open means that its peer cannot
/// be reached.
async fn opened(shared: Arc<Shared>, flow: Flow, name: Option<Arc<str>>, ends: Ends) {
    let opening = async {
        let connect = tokio::time::timeout(shared.limits.connect, connect(&flow)).await;
        let stream = connect.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        tune(&stream);
        shared.greet(&flow, stream, Side::Client(name.as_deref())).await
    };
    let greeted = tokio::select! {
        greeted = opening => greeted,
        () = ends.stop.cancelled() => Err(io::ErrorKind::Interrupted.into()),
    };
    match greeted {
        Ok(stream) => shared.serve(flow, stream, true, ends).await,
        Err(error) => {
            let (remote, transport) = (flow.remote, flow.transport);
            let name = name.as_deref().unwrap_or_default();
            tracing::warn!(%remote, ?transport, name, %error, "cannot connect for SIP");
            shared.forget(&flow);
            let flow = Flow { connection: None, ..flow };
            let _ = shared.arrivals.send(Arrival::Failed(flow)).await;
        }
    }
}

/// Connects from the address that peers know us by, if the listener has a certain one.
async fn connect(flow: &Flow) -> io::Result<TcpStream> {
    let v4 = flow.remote.is_ipv4();
    let socket = if v4 { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let local = flow.local.ip();
    if !local.is_unspecified() && local.is_ipv4() == v4 {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(flow.remote).await
}

fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_tcp_user_timeout(Some(DEAD_AFTER));
}
