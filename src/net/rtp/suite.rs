//! What every backend of [`RtpIo`] must do on real sockets; each runs all of it.

use super::{RtpIo, SocketPair, Wire};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

/// A backend as the suite needs it.
pub trait Backend: RtpIo<Pair = SocketPair> {
    /// One with room for so many legs.
    fn make(legs: usize) -> Self;

    /// Its socket errors so far.
    fn errors(&self) -> u64;
}

/// One test for each duty.
macro_rules! tests {
    ($backend:ty) => {
        $crate::net::rtp::suite::tests!($backend:
            datagrams_arrive_with_their_token_and_wire
            detached_pair_is_silent_and_its_seat_free
            a_peer_that_is_gone_is_counted_and_never_fatal
            more_than_one_batch_arrives_whole_and_in_order
            what_is_too_long_arrives_cut
            a_pair_of_ipv6_is_told_from_whom
            waiting_leaves_datagrams_where_they_are
            what_was_submitted_is_out
            a_port_is_free_when_its_pair_is_dropped
        );
    };
    ($backend:ty: $($duty:ident)+) => {
        $(#[test]
        fn $duty() {
            suite::$duty::<$backend>();
        })+
    };
}
pub(crate) use tests;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const GIVE_UP: Duration = Duration::from_secs(10);

fn pair_at(address: IpAddr) -> SocketPair {
    (40_000..60_000)
        .step_by(2)
        .find_map(|port| SocketPair::bind(address, port, 0).ok())
        .expect("a free pair of ports")
}

fn pair() -> SocketPair {
    pair_at(LOOPBACK)
}

/// Polls until `want` datagrams came or ten seconds are over.
fn gather(io: &mut impl Backend, want: usize) -> Vec<(usize, Wire, Vec<u8>)> {
    let give_up = io.now() + GIVE_UP;
    let mut got = Vec::new();
    while got.len() < want && io.now() < give_up {
        io.poll(give_up, &mut |a| got.push((a.token, a.wire, a.bytes.to_vec()))).unwrap();
    }
    got
}

pub fn datagrams_arrive_with_their_token_and_wire<B: Backend>() {
    let mut io = B::make(4);
    let (a, b) = (pair(), pair());
    let to_rtp = b.rtp.local_addr().unwrap();
    let to_rtcp = b.rtcp.local_addr().unwrap();
    io.attach(1, a).unwrap();
    io.attach(3, b).unwrap();
    io.send(1, Wire::Rtp, b"voice", to_rtp).unwrap();
    io.send(1, Wire::Rtp, b"again", to_rtp).unwrap();
    io.send(1, Wire::Rtcp, b"report", to_rtcp).unwrap();
    let mut got = gather(&mut io, 3);
    got.sort_by_key(|(_, wire, bytes)| (*wire == Wire::Rtcp, bytes.clone()));
    assert_eq!(
        got,
        [
            (3, Wire::Rtp, b"again".to_vec()),
            (3, Wire::Rtp, b"voice".to_vec()),
            (3, Wire::Rtcp, b"report".to_vec())
        ]
    );
}

pub fn detached_pair_is_silent_and_its_seat_free<B: Backend>() {
    let mut io = B::make(2);
    io.attach(0, pair()).unwrap();
    let (second, error) = io.attach(0, pair()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(io.attach(2, pair()).is_err(), "beyond the size");
    let first = io.detach(0).unwrap();
    assert!(io.detach(0).is_none() && io.detach(9).is_none());
    second.rtp.send_to(b"late", first.rtp.local_addr().unwrap()).unwrap();
    io.poll(io.now(), &mut |arrival| panic!("{arrival:?}")).unwrap();
    assert!(io.send(0, Wire::Rtp, b"x", first.rtp.local_addr().unwrap()).is_err());
    io.attach(0, first).unwrap();
    assert_eq!(gather(&mut io, 1), [(0, Wire::Rtp, b"late".to_vec())]);
}

pub fn a_peer_that_is_gone_is_counted_and_never_fatal<B: Backend>() {
    let mut io = B::make(1);
    let (gone, own) = (pair(), pair());
    let to = gone.rtp.local_addr().unwrap();
    // Only one half goes, so that no one else finds the pair free and takes it.
    drop(gone.rtp);
    // Connected sockets are told of ICMP errors; the leg's are not, so make one that is.
    own.rtp.connect(to).unwrap();
    own.rtp.send(b"x").unwrap();
    io.attach(0, own).unwrap();
    let give_up = io.now() + GIVE_UP;
    while io.errors() == 0 && io.now() < give_up {
        io.poll(give_up, &mut |arrival| panic!("{arrival:?}")).unwrap();
    }
    assert_eq!(io.errors(), 1);
    io.poll(io.now(), &mut |arrival| panic!("{arrival:?}")).unwrap();
}

/// More datagrams than a poll hands over, than are submitted at once, and than there are buffers.
pub fn more_than_one_batch_arrives_whole_and_in_order<B: Backend>() {
    const SOCKETS: usize = 40;
    const EACH: u8 = 30;
    let mut io = B::make(SOCKETS);
    let mut addresses = Vec::new();
    for token in 0..SOCKETS {
        let pair = pair();
        addresses.push(pair.rtp.local_addr().unwrap());
        io.attach(token, pair).unwrap();
    }
    for number in 0..EACH {
        for to in &addresses {
            io.send(0, Wire::Rtp, &[number; 172], *to).unwrap();
        }
    }
    let got = gather(&mut io, SOCKETS * usize::from(EACH));
    assert_eq!(got.len(), SOCKETS * usize::from(EACH));
    for token in 0..SOCKETS {
        let own = got.iter().filter(|(to, ..)| *to == token);
        let numbers: Vec<u8> = own.map(|(_, _, bytes)| bytes[171]).collect();
        assert_eq!(numbers, (0..EACH).collect::<Vec<u8>>(), "socket {token}");
    }
    assert_eq!(io.errors(), 0);
}

pub fn what_is_too_long_arrives_cut<B: Backend>() {
    let mut io = B::make(1);
    let own = pair();
    let to = own.rtp.local_addr().unwrap();
    io.attach(0, own).unwrap();
    io.send(0, Wire::Rtcp, &[7; 3000], to).unwrap();
    io.send(0, Wire::Rtcp, b"", to).unwrap();
    io.send(0, Wire::Rtcp, &[8; 1472], to).unwrap();
    let got = gather(&mut io, 3);
    let lengths: Vec<usize> = got.iter().map(|(_, _, bytes)| bytes.len()).collect();
    assert!(lengths[0] >= 2000 && lengths[0] < 3000, "{lengths:?}");
    assert_eq!(lengths[1..], [0, 1472]);
}

pub fn a_pair_of_ipv6_is_told_from_whom<B: Backend>() {
    let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if UdpSocket::bind((address, 0)).is_err() {
        return; // No IPv6 on this machine.
    }
    let mut io = B::make(2);
    let (a, b) = (pair_at(address), pair_at(address));
    let (from, to) = (a.rtp.local_addr().unwrap(), b.rtp.local_addr().unwrap());
    io.attach(0, a).unwrap();
    io.attach(1, b).unwrap();
    io.send(0, Wire::Rtp, b"six", to).unwrap();
    let (give_up, mut came) = (io.now() + GIVE_UP, None);
    while came.is_none() && io.now() < give_up {
        io.poll(give_up, &mut |a| came = Some((a.token, a.from, a.bytes.to_vec()))).unwrap();
    }
    assert_eq!(came, Some((1, from, b"six".to_vec())));
}

/// Without a wait or a poll.
pub fn what_was_submitted_is_out<B: Backend>() {
    let mut io = B::make(1);
    let listener = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    io.attach(0, pair()).unwrap();
    io.submit();
    io.send(0, Wire::Rtp, b"out", listener.local_addr().unwrap()).unwrap();
    io.submit();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.recv(&mut [0; 9]).unwrap(), 3);
}

/// Also when the wait is one that gathers.
pub fn waiting_leaves_datagrams_where_they_are<B: Backend>() {
    let mut io = B::make(1);
    let own = pair();
    let to = own.rtp.local_addr().unwrap();
    io.attach(0, own).unwrap();
    for left in [Duration::ZERO, Duration::from_micros(200), Duration::from_secs(10)] {
        io.send(0, Wire::Rtp, b"x", to).unwrap();
        let begun = Instant::now();
        io.wait(begun + left).unwrap();
        assert!(begun.elapsed() < GIVE_UP, "a datagram ends a long wait");
        assert_eq!(gather(&mut io, 1), [(0, Wire::Rtp, b"x".to_vec())]);
    }
}

pub fn a_port_is_free_when_its_pair_is_dropped<B: Backend>() {
    let mut io = B::make(1);
    let own = pair();
    let address = own.rtp.local_addr().unwrap();
    io.attach(0, own).unwrap();
    io.poll(io.now(), &mut |_| ()).unwrap();
    drop(io.detach(0));
    UdpSocket::bind(address).unwrap();
    // And when nothing was waited for in between.
    let again = SocketPair::bind(LOOPBACK, address.port(), 0).unwrap();
    io.attach(0, again).unwrap();
    drop(io.detach(0));
    UdpSocket::bind(address).unwrap();
}
