//! The error queue of a UDP socket: which peer could not be reached.
//!
//! ```text
//!  ICMP ──> kernel: error queue of the socket ── recvmsg(MSG_ERRQUEUE) ──> destination, type
//! ```
//!
//! The only file that names `nix`. Without the queue, an unconnected socket would say that
//! something could not be reached, but not what.

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

/// `ee_origin` of `linux/errqueue.h`.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

/// Asks the kernel to keep errors with their destinations.
pub(super) fn enable(socket: &impl AsFd, v4: bool) -> io::Result<()> {
    if v4 {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    }
    Ok(())
}

/// Takes one error out of the queue: the peer that is unreachable by it, if it says so.
///
/// # Errors
/// `WouldBlock` when the queue is empty.
pub(super) fn next(socket: &impl AsRawFd) -> io::Result<Option<SocketAddr>> {
    // The datagram that failed comes along; its bytes are not of interest.
    let mut payload = [0; 1];
    let mut slices = [IoSliceMut::new(&mut payload)];
    let mut control = vec![0; 512];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let taken =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags);
    let taken = match taken {
        Ok(taken) => taken,
        // Any other error is a pending one of the socket: looking at it has cleared it.
        Err(Errno::EAGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
        Err(_) => return Ok(None),
    };
    let unreachable = taken.cmsgs().is_ok_and(|mut messages| messages.any(|m| is_fatal(&m)));
    Ok(taken.address.filter(|_| unreachable).as_ref().and_then(destination))
}

fn is_fatal(message: &ControlMessageOwned) -> bool {
    match message {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            says_unreachable(error.ee_origin, error.ee_type, error.ee_code)
        }
        _ => false,
    }
}

//= RFC 3261 §18.4: host, network, port or protocol unreachable and parameter problem are told;
//= source quench and TTL exceeded are ignored
fn says_unreachable(origin: u8, kind: u8, code: u8) -> bool {
    match (origin, kind) {
        // Code 4 asks for smaller packets, which the kernel sees to.
        (ORIGIN_ICMP, 3) => code != 4,
        (ORIGIN_ICMP, 12) | (ORIGIN_ICMP6, 1 | 4) => true,
        _ => false,
    }
}

fn destination(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(v6.ip(), v6.port(), 0, v6.scope_id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_rfc_names_is_fatal() {
        let cases = [
            (ORIGIN_ICMP, 3, 0, true),
            (ORIGIN_ICMP, 3, 1, true),
            (ORIGIN_ICMP, 3, 3, true),
            (ORIGIN_ICMP, 3, 4, false),
            (ORIGIN_ICMP, 3, 13, true),
            (ORIGIN_ICMP, 4, 0, false),
            (ORIGIN_ICMP, 11, 0, false),
            (ORIGIN_ICMP, 12, 0, true),
            (ORIGIN_ICMP6, 1, 4, true),
            (ORIGIN_ICMP6, 2, 0, false),
            (ORIGIN_ICMP6, 3, 0, false),
            (ORIGIN_ICMP6, 4, 0, true),
            (1, 3, 3, false),
        ];
        for (origin, kind, code, expected) in cases {
            assert_eq!(says_unreachable(origin, kind, code), expected, "{origin} {kind} {code}");
        }
    }

    #[test]
    fn an_empty_queue_blocks() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        enable(&socket, true).unwrap();
        assert_eq!(next(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
