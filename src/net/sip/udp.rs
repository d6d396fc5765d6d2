//! The UDP sockets of SIP.

use super::Arrival;
use crate::sip::interface::{Flow, Transport};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The largest datagram that there is.
const DATAGRAM_MAX: usize = 65_535;

/// Listening sockets, each also used to send from its address.
#[derive(Debug, Default)]
pub(super) struct UdpSockets {
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
}

impl UdpSockets {
    pub(super) async fn bind(&mut self, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let socket = UdpSocket::bind(address).await?;
        let bound = socket.local_addr()?;
        self.sockets.push((bound, Arc::new(socket)));
        Ok(bound)
    }

    pub(super) fn spawn_readers(
        &self,
        children: &mut JoinSet<()>,
        arrivals: &mpsc::Sender<Arrival>,
    ) {
        for (local, socket) in &self.sockets {
            children.spawn(read(Arc::clone(socket), *local, arrivals.clone()));
        }
    }

    /// Sends at once or not at all; a full socket buffer counts as sent, since SIP retransmits.
    pub(super) fn send(&self, flow: Flow, bytes: &[u8]) -> bool {
        let found = self.sockets.iter().find(|(local, _)| *local == flow.local);
        let family = |local: &SocketAddr| local.is_ipv4() == flow.remote.is_ipv4();
        let found = found.or_else(|| self.sockets.iter().find(|(local, _)| family(local)));
        let Some((_, socket)) = found else { return false };
        match socket.try_send_to(bytes, flow.remote) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

async fn read(socket: Arc<UdpSocket>, local: SocketAddr, arrivals: mpsc::Sender<Arrival>) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        // An error here is a late ICMP message about something sent: nothing to act on.
        let Ok((length, remote)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let flow = Flow { transport: Transport::Udp, local, remote, connection: None };
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        match arrivals.try_send(Arrival::Message(flow, bytes)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => tokio::task::yield_now().await,
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}
