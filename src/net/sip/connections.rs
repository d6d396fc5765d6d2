//! The TCP connections of SIP: accepted, opened on demand, framed, bounded.

use super::Arrival;
use crate::sip::interface::{ConnectionId, Flow, Transport};
use crate::sip::message::{Frame, Limits, frame};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Connections at once, from all and from one address.
const CONNECTIONS_MAX: usize = 4096;
const CONNECTIONS_PER_SOURCE: usize = 64;

/// Messages that wait to be written; one more closes the connection: its peer does not read.
const WRITES_MAX: usize = 256;

/// How long a connect may take, and how long a begun message may stay incomplete.
const CONNECT_MAX: Duration = Duration::from_secs(4);
const HEADER_MAX: Duration = Duration::from_secs(10);

/// The table of open connections, shared with the listener and connection tasks.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    open: Arc<Mutex<HashMap<ConnectionId, Open>>>,
    next: Arc<AtomicU64>,
    arrivals: mpsc::Sender<Arrival>,
}

#[derive(Debug)]
struct Open {
    remote: SocketAddr,
    writes: mpsc::Sender<Vec<u8>>,
}

impl Connections {
    pub(super) fn new(arrivals: mpsc::Sender<Arrival>) -> Self {
        Self { open: Arc::default(), next: Arc::default(), arrivals }
    }

    pub(super) fn spawn_listener(&self, children: &mut JoinSet<()>, listener: TcpListener) {
        let connections = self.clone();
        children.spawn(async move {
            let mut served = JoinSet::new();
            loop {
                while served.try_join_next().is_some() {}
                let Ok((stream, remote)) = listener.accept().await else {
                    // Out of descriptors, most likely: give others time to close.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let Ok(local) = stream.local_addr() else { continue };
                if let Some((id, writes)) = connections.admit(remote) {
                    let local = listener.local_addr().unwrap_or(local);
                    let flow =
                        Flow { transport: Transport::Tcp, local, remote, connection: Some(id) };
                    served.spawn(connections.clone().serve(stream, flow, writes));
                }
            }
        });
    }

    /// Queues a message on the flow's connection, on another one to the same peer, or on one that
    /// is opened for it. `false`: the peer cannot be reached this way.
    pub(super) fn send(&self, children: &mut JoinSet<()>, flow: Flow, bytes: Vec<u8>) -> bool {
        let mut bytes = bytes;
        if let Some(writes) = self.find(flow) {
            match writes.try_send(bytes) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Full(_)) => return false,
                Err(mpsc::error::TrySendError::Closed(back)) => bytes = back,
            }
        }
        let Some((id, writes)) = self.admit(flow.remote) else { return false };
        let flow = Flow { connection: Some(id), ..flow };
        if let Some(open) = self.lock().get(&id) {
            let _ = open.writes.try_send(bytes);
        }
        let connections = self.clone();
        children.spawn(async move {
            let connect = TcpStream::connect(flow.remote);
            match tokio::time::timeout(CONNECT_MAX, connect).await {
                Ok(Ok(stream)) => connections.serve(stream, flow, writes).await,
                Ok(Err(_)) | Err(_) => {
                    connections.forget(id);
                    let flow = Flow { connection: None, ..flow };
                    let _ = connections.arrivals.send(Arrival::Failed(flow)).await;
                }
            }
        });
        true
    }

    pub(super) fn forget(&self, id: ConnectionId) {
        self.lock().remove(&id);
    }

    fn find(&self, flow: Flow) -> Option<mpsc::Sender<Vec<u8>>> {
        let open = self.lock();
        let known = flow.connection.and_then(|id| open.get(&id));
        let known = known.or_else(|| open.values().find(|open| open.remote == flow.remote));
        known.map(|open| open.writes.clone())
    }

    fn admit(&self, remote: SocketAddr) -> Option<(ConnectionId, mpsc::Receiver<Vec<u8>>)> {
        let mut open = self.lock();
        let same_source =
            |address: IpAddr| open.values().filter(|open| open.remote.ip() == address).count();
        if open.len() >= CONNECTIONS_MAX || same_source(remote.ip()) >= CONNECTIONS_PER_SOURCE {
            return None;
        }
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        let (writes, written) = mpsc::channel(WRITES_MAX);
        open.insert(id, Open { remote, writes });
        Some((id, written))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and writes one connection until either side is done with it.
    async fn serve(self, stream: TcpStream, flow: Flow, writes: mpsc::Receiver<Vec<u8>>) {
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let (pongs, ponged) = mpsc::channel(4);
        tokio::select! {
            () = read(reader, flow, &self.arrivals, pongs) => {}
            () = write(writer, writes, ponged) => {}
        }
        if let Some(id) = flow.connection {
            self.forget(id);
            let _ = self.arrivals.send(Arrival::Closed(flow)).await;
        }
    }
}

/// Cuts the stream into messages until it ends, breaks the framing or stalls inside a message.
async fn read(
    mut reader: OwnedReadHalf,
    flow: Flow,
    arrivals: &mpsc::Sender<Arrival>,
    pongs: mpsc::Sender<()>,
) {
    let mut buffer: Vec<u8> = Vec::with_capacity(4096);
    loop {
        loop {
            match frame(&buffer, &Limits::STREAM) {
                Frame::Incomplete => break,
                Frame::Complete { len } => {
                    let rest = buffer.split_off(len.min(buffer.len()));
                    let message = std::mem::replace(&mut buffer, rest);
                    if arrivals.send(Arrival::Message(flow, message)).await.is_err() {
                        return;
                    }
                }
                Frame::KeepAlive { len } => {
                    // RFC 5626 §3.5.1: a double CRLF asks for a single one.
                    if len >= 4 {
                        let _ = pongs.try_send(());
                    }
                    buffer.drain(..len.min(buffer.len()));
                }
                Frame::Error(_) => return,
            }
        }
        let begun = !buffer.is_empty();
        let more = reader.read_buf(&mut buffer);
        let read = if begun {
            let Ok(read) = tokio::time::timeout(HEADER_MAX, more).await else { return };
            read
        } else {
            more.await
        };
        if !matches!(read, Ok(1..)) {
            return;
        }
    }
}

async fn write(
    mut writer: OwnedWriteHalf,
    mut writes: mpsc::Receiver<Vec<u8>>,
    mut pongs: mpsc::Receiver<()>,
) {
    loop {
        let done = tokio::select! {
            bytes = writes.recv() => match bytes {
                Some(bytes) => writer.write_all(&bytes).await,
                None => return,
            },
            Some(()) = pongs.recv() => writer.write_all(b"\r\n").await,
        };
        if done.is_err() {
            return;
        }
    }
}
