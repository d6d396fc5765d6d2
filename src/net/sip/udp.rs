//! The UDP sockets of SIP.

use super::stats::SocketStats;
use super::{Arrival, icmp};
use crate::sip::interface::{Flow, Transport};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The largest datagram that there is.
const DATAGRAM_MAX: usize = 65_535;

/// What the kernel is asked to hold for us: some thousand requests of a burst. It may give less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Sends of one message: an error that is left of another peer's costs one.
const SENDS_MAX: usize = 3;

/// Listening sockets, each also used to send from its address.
#[derive(Debug, Default)]
pub(super) struct UdpSockets {
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
}

impl UdpSockets {
    pub(super) fn bind(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Smaller buffers lose bursts, but work.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        icmp::enable(&socket, address.is_ipv4())?;
        socket.bind(&SockAddr::from(address))?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket.into())?;
        let bound = socket.local_addr()?;
        self.sockets.push((bound, Arc::new(socket)));
        Ok(bound)
    }

    pub(super) fn spawn_readers(
        &self,
        children: &mut JoinSet<()>,
        arrivals: &mpsc::Sender<Arrival>,
        stats: &Arc<SocketStats>,
    ) {
        for (local, socket) in &self.sockets {
            let (socket, stats) = (Arc::clone(socket), Arc::clone(stats));
            children.spawn(watch(
                Arc::clone(&socket),
                *local,
                arrivals.clone(),
                Arc::clone(&stats),
            ));
            children.spawn(read(socket, *local, arrivals.clone(), stats));
        }
    }

    /// Sends at once or not at all; a full socket buffer counts as sent, since SIP retransmits.
    pub(super) fn send(&self, flow: Flow, bytes: &[u8]) -> bool {
        let found = self.sockets.iter().find(|(local, _)| *local == flow.local);
        let family = |local: &SocketAddr| local.is_ipv4() == flow.remote.is_ipv4();
        let found = found.or_else(|| self.sockets.iter().find(|(local, _)| family(local)));
        let Some((_, socket)) = found else { return false };
        // Past the runtime, which does not let a socket send that it has not yet seen to be writable.
        let socket = SockRef::from(&**socket);
        let to = SockAddr::from(flow.remote);
        for _ in 0..SENDS_MAX {
            match socket.send_to(bytes, &to) {
                Ok(_) => return true,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                // It may tell of what was sent to another peer before, which clears it; what
                // concerns this one comes again.
                Err(_) => {}
            }
        }
        false
    }
}

async fn read(
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    arrivals: mpsc::Sender<Arrival>,
    stats: Arc<SocketStats>,
) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        // An error here is a late ICMP message about something sent, which `watch` reads.
        let Ok((length, remote)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        match arrivals.try_send(Arrival::Message(flow, bytes)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                stats.datagrams_dropped.add();
                tokio::task::yield_now().await;
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

/// Tells of peers that cannot be reached, so that failover need not wait for a timer.
async fn watch(
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    arrivals: mpsc::Sender<Arrival>,
    stats: Arc<SocketStats>,
) {
    loop {
        let next = socket.async_io(Interest::ERROR, || icmp::next(&*socket)).await;
        let Ok(Some(remote)) = next else {
            tokio::task::yield_now().await;
            continue;
        };
        stats.unreachable.add();
        let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
        // Lost when too much waits: the transaction's timer tells it then.
        if let Err(mpsc::error::TrySendError::Closed(_)) = arrivals.try_send(Arrival::Failed(flow))
        {
            return;
        }
    }
}
