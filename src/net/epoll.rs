//! The epoll backend of [`RtpIo`].
//!
//! Level-triggered: each readiness is one read, and a socket with more to say is told again with
//! the next wait, after all others had their turn; edge-triggered reads would pay an extra, empty
//! read per packet. Waits with nanosecond timeouts and the least timer slack, because the wait is
//! also what the beat of the media thread hangs on.

use super::rtp::{Arrival, GATHER, RtpIo, SocketPair, Wire};
use rustix::event::{Timespec, epoll};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Datagrams handed over per poll at most, so that a flood cannot hold up the beat.
const BATCH: usize = 64;
/// Larger than any packet that is accepted; what is longer arrives cut and is refused by length.
const DATAGRAM_MAX: usize = 2048;

/// Sockets of one media thread behind one epoll descriptor.
#[derive(Debug)]
pub struct EpollIo {
    epoll: OwnedFd,
    pairs: Box<[Option<SocketPair>]>,
    datagram: Box<[u8; DATAGRAM_MAX]>,
    errors: u64,
}

impl EpollIo {
    fn timeout(&self, until: Instant) -> Timespec {
        let timeout = until.saturating_duration_since(self.now());
        Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
    }

    /// Makes room for `legs` socket pairs.
    ///
    /// # Errors
    /// When the system gives no epoll descriptor.
    pub fn new(legs: usize) -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            pairs: (0..legs).map(|_| None).collect(),
            datagram: Box::new([0; DATAGRAM_MAX]),
            errors: 0,
        })
    }

    /// Socket errors so far that were not "nothing to read": ICMP errors of dead peers, mostly.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    fn watch(&self, token: usize, pair: &SocketPair) -> io::Result<()> {
        for wire in [Wire::Rtp, Wire::Rtcp] {
            let tag = epoll::EventData::new_u64(tag(token, wire));
            epoll::add(&self.epoll, pair.socket(wire), tag, epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    fn unwatch(&self, pair: &SocketPair) {
        for wire in [Wire::Rtp, Wire::Rtcp] {
            // Not being watched is what is wanted, so an error changes nothing.
            let _ = epoll::delete(&self.epoll, pair.socket(wire));
        }
    }
}

impl RtpIo for EpollIo {
    type Pair = SocketPair;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn attach(&mut self, token: usize, pair: SocketPair) -> Result<(), (SocketPair, io::Error)> {
        if !matches!(self.pairs.get(token), Some(None)) {
            return Err((pair, io::ErrorKind::AlreadyExists.into()));
        }
        if let Err(error) = self.watch(token, &pair) {
            self.unwatch(&pair);
            return Err((pair, error));
        }
        if let Some(seat) = self.pairs.get_mut(token) {
            *seat = Some(pair);
        }
        Ok(())
    }

    fn detach(&mut self, token: usize) -> Option<SocketPair> {
        let pair = self.pairs.get_mut(token)?.take()?;
        self.unwatch(&pair);
        Some(pair)
    }

    fn wait(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(self.now());
        if left <= GATHER {
            std::thread::sleep(left);
            return Ok(());
        }
        let timeout = self.timeout(until);
        let mut events = [const { MaybeUninit::uninit() }; 1];
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn poll(&mut self, until: Instant, sink: &mut impl FnMut(Arrival<'_>)) -> io::Result<()> {
        let timeout = self.timeout(until);
        let mut events = [const { MaybeUninit::uninit() }; BATCH];
        let ready = match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let at = self.now();
        for event in ready {
            let (token, wire) = untag(event.data.u64());
            let Some(pair) = self.pairs.get(token).and_then(Option::as_ref) else { continue };
            match pair.socket(wire).recv_from(&mut *self.datagram) {
                Ok((len, from)) => {
                    let bytes = self.datagram.get(..len).unwrap_or_default();
                    sink(Arrival { token, wire, at, from, bytes });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.errors += 1,
            }
        }
        Ok(())
    }

    fn send(&mut self, token: usize, wire: Wire, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        let Some(pair) = self.pairs.get(token).and_then(Option::as_ref) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        pair.socket(wire).send_to(bytes, to).map(|_| ()).inspect_err(|_| self.errors += 1)
    }
}

fn tag(token: usize, wire: Wire) -> u64 {
    (token as u64) << 1 | u64::from(wire == Wire::Rtcp)
}

fn untag(tag: u64) -> (usize, Wire) {
    let wire = if tag & 1 == 0 { Wire::Rtp } else { Wire::Rtcp };
    (usize::try_from(tag >> 1).unwrap_or(usize::MAX), wire)
}

/// Lets the calling thread's timeouts fire as exactly as the kernel can.
pub fn sharpen_timers() {
    // Refused in some sandboxes; then timeouts may be 50 µs late, which is still in time.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::rtp::suite::{self, Backend};

    impl Backend for EpollIo {
        fn make(legs: usize) -> Self {
            Self::new(legs).unwrap()
        }

        fn errors(&self) -> u64 {
            self.errors
        }
    }

    suite::tests!(EpollIo);
}
