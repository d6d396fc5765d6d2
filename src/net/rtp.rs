//! RTP and RTCP sockets, and the small trait through which a media worker uses them.
//!
//! ```text
//!  worker ── poll(until) ──> backend ── (token, wire, bytes, from) ──> leg
//!  worker ── send(token, wire, bytes, to) ──> backend ──> carrier
//! ```
//!
//! The trait leaves a backend free to wait for readiness and read (epoll, in [`super::epoll`]) or
//! to be handed finished reads (io_uring, in [`super::uring`], or a simulated network). It carries the
//! clock as well, so that a simulated backend brings virtual time. Does not look into packets.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A wait for a beat this near gathers what comes meanwhile instead of ending at each datagram.
///
/// With some tens of calls a thread has a beat every millisecond: then it wakes up once for all,
/// which halves its cost, and a datagram waits half a millisecond on the average. With few calls
/// beats are far apart, and each datagram is handed over at once.
pub const GATHER: Duration = Duration::from_millis(1);

/// Which socket of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// The even port.
    Rtp,
    /// The odd port.
    Rtcp,
}

/// One received datagram, valid during the call that hands it over.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The number under which its pair was attached.
    pub token: usize,
    /// On which socket.
    pub wire: Wire,
    /// When it was read.
    pub at: Instant,
    /// From where.
    pub from: SocketAddr,
    /// The datagram.
    pub bytes: &'a [u8],
}

/// What a media worker needs of the network.
///
/// Cost: after set-up no method allocates, locks or blocks, but `poll` waits as long as told.
pub trait RtpIo {
    /// An open socket pair.
    type Pair: Send;

    /// The time.
    fn now(&self) -> Instant;

    /// Starts to receive for `token`, which must be below the size given at set-up and free.
    ///
    /// # Errors
    /// Gives the pair back with the error of the operating system.
    fn attach(&mut self, token: usize, pair: Self::Pair) -> Result<(), (Self::Pair, io::Error)>;

    /// Stops to receive for `token` and gives its sockets back, still open.
    fn detach(&mut self, token: usize) -> Option<Self::Pair>;

    /// Waits until `until` or for at least one datagram, and leaves it where it is.
    ///
    /// So that orders which came while waiting can be obeyed before the datagrams are looked at. An
    /// implementation without this does all its waiting in [`Self::poll`].
    ///
    /// # Errors
    /// As [`Self::poll`].
    fn wait(&mut self, until: Instant) -> io::Result<()> {
        let _ = until;
        Ok(())
    }

    /// Waits until `until` or for at least one datagram, and hands over a bounded number.
    ///
    /// # Errors
    /// Only when waiting itself is impossible; errors of single sockets are counted instead.
    fn poll(&mut self, until: Instant, sink: &mut impl FnMut(Arrival<'_>)) -> io::Result<()>;

    /// Sends one datagram; `Ok` means that the system took it, or will with the others of this
    /// turn: when [`Self::submit`], [`Self::wait`], [`Self::poll`] or [`Self::detach`] is called at
    /// the latest.
    ///
    /// # Errors
    /// What the system said; never fatal for the leg.
    fn send(&mut self, token: usize, wire: Wire, bytes: &[u8], to: SocketAddr) -> io::Result<()>;

    /// Gives the system what [`Self::send`] has kept; an implementation that keeps nothing has
    /// nothing to do.
    fn submit(&mut self) {}
}

/// The two sockets of a leg.
#[derive(Debug)]
pub struct SocketPair {
    /// On the even port.
    pub rtp: UdpSocket,
    /// On the odd port above.
    pub rtcp: UdpSocket,
}

/// Room for about a second of packets; a stalled worker must not be drowned by what it missed.
const RTP_RECEIVE_BUFFER: usize = 64 * 1024;
const RTCP_RECEIVE_BUFFER: usize = 16 * 1024;

impl SocketPair {
    /// Binds `port` and the one above it, non-blocking, marked with the code point `dscp`.
    ///
    /// # Errors
    /// Of the operating system; `AddrInUse` means that another program has one of the ports.
    pub fn bind(address: IpAddr, port: u16, dscp: u8) -> io::Result<Self> {
        let above = port.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self {
            rtp: open(SocketAddr::new(address, port), dscp, RTP_RECEIVE_BUFFER)?,
            rtcp: open(SocketAddr::new(address, above), dscp, RTCP_RECEIVE_BUFFER)?,
        })
    }

    /// The socket of a wire.
    #[must_use]
    pub fn socket(&self, wire: Wire) -> &UdpSocket {
        match wire {
            Wire::Rtp => &self.rtp,
            Wire::Rtcp => &self.rtcp,
        }
    }
}

fn open(address: SocketAddr, dscp: u8, receive_buffer: usize) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(receive_buffer)?;
    // The mark is advice to the network: a kernel or container that forbids it loses no call.
    let class = u32::from(dscp & 0x3F) << 2;
    let _ = match address {
        SocketAddr::V4(_) => options.set_tos_v4(class),
        SocketAddr::V6(_) => options.set_tclass_v6(class),
    };
    Ok(socket)
}

#[cfg(test)]
pub(super) mod suite;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn bound_somewhere() -> (SocketPair, u16) {
        (40_000..60_000)
            .step_by(2)
            .find_map(|port| SocketPair::bind(LOOPBACK, port, 46).ok().map(|pair| (pair, port)))
            .expect("a free pair of ports")
    }

    #[test]
    fn pair_is_bound_marked_and_non_blocking() {
        let (pair, port) = bound_somewhere();
        assert_eq!(pair.socket(Wire::Rtp).local_addr().unwrap().port(), port);
        assert_eq!(pair.socket(Wire::Rtcp).local_addr().unwrap().port(), port + 1);
        assert_eq!(socket2::SockRef::from(&pair.rtp).tos_v4().unwrap(), 46 << 2);
        let error = pair.rtp.recv_from(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn taken_port_is_told_apart_from_other_errors() {
        let (_pair, port) = bound_somewhere();
        let error = SocketPair::bind(LOOPBACK, port, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let error = SocketPair::bind(LOOPBACK, port - 1, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(SocketPair::bind(LOOPBACK, u16::MAX, 0).is_err());
    }
}
