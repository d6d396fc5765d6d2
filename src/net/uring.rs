//! The io_uring backend of [`RtpIo`].
//!
//! ```text
//!  send, send, send ─> letters ─┐                      ┌─> completions ─> Arrival
//!                               ├─ one io_uring_enter ─┤
//!  multishot recvmsg per socket ┘    a turn            └─> buffers go back to the ring
//! ```
//!
//! One system call a turn submits every packet of the tick and collects what has come: sockets
//! are armed once (multishot `recvmsg`), and the kernel writes into buffers that it was given
//! before. Letters are free again as soon as the kernel has taken them over, for datagrams are
//! sent while they are submitted or not at all.
//!
//! Needs Linux 6.1; containers often forbid it, so [`UringIo::probe`] sends itself a datagram
//! before anybody relies on it. When receive buffers run out, datagrams wait in their sockets as
//! they do for a reader that is late, and the sockets are armed again with the next poll.
//!
//! The only file that talks to io_uring. Does not look into packets, and does not choose.

#![expect(unsafe_code, reason = "shared rings and buffers with the kernel have no safe wrapper")]

use super::rtp::{Arrival, GATHER, RtpIo, SocketPair, Wire};
use io_uring::types::{BufRingEntry, CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use socket2::SockAddr;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Datagrams handed over per poll at most, so that a flood cannot hold up the beat.
const BATCH: usize = 64;
/// Packets between two submissions; more are submitted on the way.
const LETTERS: usize = 512;
/// Longest packet that is sent this way: 60 ms of G.711 with SRTP, or an RTCP report.
const LETTER_MAX: usize = 640;
/// Receive buffers of a thread: 20 ms of 600 calls that came while it was stalled.
const BUFFERS: u16 = 512;
/// Header of the kernel, source address, and a datagram of up to 2,004 octets: what is longer
/// arrives cut and is refused by length.
const BUFFER: usize = 2048;
const PAGE: usize = 4096;
/// The kernel's header before each datagram: lengths of name, control and payload, and flags.
const HEADER: usize = 16;
/// Room for the source's address.
const NAME: usize = size_of::<libc::sockaddr_in6>();
const GROUP: u16 = 0;
/// Tag of what was sent; other tags are of receivers.
const SENT: u64 = 1 << 63;
/// How long the probe's datagram may take.
const PROBE: Duration = Duration::from_millis(200);

/// A packet that waits for its submission.
struct Letter {
    to: SockAddr,
    octets: [u8; LETTER_MAX],
}

/// What a receiver wants: room for the source's address, no control messages.
struct Header(Box<libc::msghdr>);

impl Header {
    fn new() -> Self {
        // SAFETY: a message header is integers and pointers, for which zeros are valid.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_namelen = libc::socklen_t::try_from(NAME).unwrap_or(0);
        Self(Box::new(header))
    }
}

/// A pair of sockets and how often this seat was taken before, so that what its last holder left
/// behind is known for what it is.
#[derive(Default)]
struct Seat {
    pair: Option<SocketPair>,
    generation: u16,
}

/// Sockets of one media thread behind one ring.
pub struct UringIo {
    // Dropped first: the memory below must outlive what the kernel does with it.
    ring: IoUring,
    inbox: Inbox,
    /// What every receiver is armed with; the kernel reads it when it takes the entry.
    header: Header,
    letters: Box<[Letter]>,
    /// Letters that the kernel has not taken over.
    posted: usize,
    seats: Box<[Seat]>,
    /// Receivers that ended and are to be armed again; each is in it once at most.
    lapsed: Vec<(usize, Wire)>,
    /// The last wait has looked for completions already.
    looked: bool,
    errors: u64,
}

impl UringIo {
    /// Makes room for `legs` socket pairs. Belongs to the thread that makes it: when a ring is
    /// closed, the kernel interrupts what its maker is doing.
    ///
    /// Cost: about 1.5 MB.
    ///
    /// # Errors
    /// When the kernel has no io_uring, not the features, or forbids it.
    pub fn new(legs: usize) -> io::Result<Self> {
        let entries = u32::try_from(LETTERS).unwrap_or(u32::MAX);
        let ring = IoUring::builder()
            .setup_clamp()
            .setup_cqsize(8 * entries)
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(entries)?;
        let params = ring.params();
        if !params.is_feature_ext_arg()
            || !params.is_feature_submit_stable()
            || !params.is_feature_skip_cqe_on_success()
        {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let inbox = Inbox::new(&ring)?;
        let nobody = SockAddr::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let letter = || Letter { to: nobody.clone(), octets: [0; LETTER_MAX] };
        Ok(Self {
            ring,
            inbox,
            header: Header::new(),
            letters: (0..LETTERS).map(|_| letter()).collect(),
            posted: 0,
            seats: (0..legs).map(|_| Seat::default()).collect(),
            lapsed: Vec::with_capacity(2 * legs),
            looked: false,
            errors: 0,
        })
    }

    /// Whether it works here: a datagram goes once around the loopback, on a thread of its own.
    ///
    /// Cost: some 200 µs.
    ///
    /// # Errors
    /// What does not work.
    pub fn probe() -> io::Result<()> {
        let thread = std::thread::Builder::new().name("probe".to_owned());
        // A panic has been reported; here it is one more way of not working.
        thread.spawn(Self::go_around)?.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }

    fn go_around() -> io::Result<()> {
        let mut io = Self::new(1)?;
        let open = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let pair = SocketPair { rtp: open()?, rtcp: open()? };
        let (from, to) = (pair.rtp.local_addr()?, pair.rtcp.local_addr()?);
        io.attach(0, pair).map_err(|(_, error)| error)?;
        io.send(0, Wire::Rtp, b"probe", to)?;
        let (until, mut came) = (io.now() + PROBE, false);
        while !came && io.now() < until {
            io.poll(until, &mut |arrival| {
                came = arrival.bytes == b"probe" && arrival.from == from;
            })?;
        }
        if came { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// Socket errors so far that were not "nothing to read": ICMP errors of dead peers, and
    /// packets that the system did not take.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// Submits what is queued and waits for `want` completions, but not longer than `left`.
    fn enter(&mut self, want: usize, left: Duration) -> io::Result<()> {
        let timeout = Timespec::from(left);
        let arguments = SubmitArgs::new().timespec(&timeout);
        let entered = self.ring.submitter().submit_with_args(want, &arguments);
        // What is submitted is the kernel's business now; see `post`.
        if self.ring.submission().is_empty() {
            self.posted = 0;
        }
        match entered.map_err(|error| (error.raw_os_error(), error)) {
            // Nothing came in time; a signal; completions must be taken out first.
            Ok(_) | Err((Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN), _)) => {
                Ok(())
            }
            Err((_, error)) => Err(error),
        }
    }

    /// Submits what is queued, without waiting; looks for completions as well.
    fn enter_now(&mut self) -> io::Result<()> {
        self.enter(1, Duration::ZERO)
    }

    /// Queues an entry; refuses it when the queue is full.
    ///
    /// What the entry points to must stay as it is until the queue was empty once.
    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: an entry points to a letter, which `post` does not touch before the kernel has
        // consumed it (`posted`), or to the one message header, which nobody writes to. Both live
        // until the ring is closed. Receivers write into `inbox` only.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.map_err(|_| io::ErrorKind::WouldBlock.into())
    }

    /// Submits what is in the way of another entry, and of another letter.
    ///
    /// To be called before a letter is chosen, since submitting frees them all.
    fn make_room(&mut self) -> io::Result<()> {
        let full = self.posted == self.letters.len() || self.ring.submission().is_full();
        if full { self.enter_now() } else { Ok(()) }
    }

    /// Lets a socket of `token` receive until further notice, from the next submission on.
    fn arm(&mut self, token: usize, wire: Wire) -> io::Result<()> {
        let Some(seat) = self.seats.get(token) else { return Ok(()) };
        let Some(pair) = &seat.pair else { return Ok(()) };
        let socket = Fd(pair.socket(wire).as_raw_fd());
        let entry = opcode::RecvMsgMulti::new(socket, &raw const *self.header.0, GROUP)
            .build()
            .user_data(tag(token, seat.generation, wire));
        self.make_room()?;
        self.push(&entry)
    }

    /// Ends both receivers of a seat whose sockets are still open; done when it returns.
    fn disarm(&mut self, token: usize, generation: u16) {
        // One that is queued begins first, and what was sent goes out. What cannot be submitted
        // now cannot be cancelled: it ends with its socket's last packet, which is not ours.
        let _ = self.enter_now();
        for wire in [Wire::Rtp, Wire::Rtcp] {
            let receiver = CancelBuilder::user_data(tag(token, generation, wire)).all();
            // One that is not there is not receiving, as is wanted.
            let _ = self.ring.submitter().register_sync_cancel(None, receiver);
        }
        // The cancelled receivers let go of their sockets.
        let _ = self.enter_now();
        self.lapsed.retain(|(lapsed, _)| *lapsed != token);
    }

    /// Queues a packet in the next letter.
    fn post(&mut self, token: usize, wire: Wire, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.make_room()?;
        let pair = self.seats.get(token).and_then(|seat| seat.pair.as_ref());
        let socket = pair.ok_or(io::ErrorKind::NotConnected)?.socket(wire);
        let letter = self.letters.get_mut(self.posted).ok_or(io::ErrorKind::WouldBlock)?;
        let Some(octets) = letter.octets.get_mut(..bytes.len()) else {
            return self.send_now(token, wire, bytes, to);
        };
        octets.copy_from_slice(bytes);
        letter.to = SockAddr::from(to);
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), octets.as_ptr(), length)
            // Without waiting, so that it is sent or refused while it is submitted.
            .flags(libc::MSG_DONTWAIT)
            .dest_addr(letter.to.as_ptr().cast())
            .dest_addr_len(letter.to.len())
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(SENT);
        self.push(&entry)?;
        self.posted += 1;
        Ok(())
    }

    /// Sends what is too long for a letter, behind what was posted before.
    fn send_now(
        &mut self,
        token: usize,
        wire: Wire,
        bytes: &[u8],
        to: SocketAddr,
    ) -> io::Result<()> {
        self.enter_now()?;
        let pair = self.seats.get(token).and_then(|seat| seat.pair.as_ref());
        let socket = pair.ok_or(io::ErrorKind::NotConnected)?.socket(wire);
        socket.send_to(bytes, to).map(drop)
    }

    /// Takes up to [`BATCH`] completions.
    fn take(&mut self, sink: &mut impl FnMut(Arrival<'_>)) {
        let mut memory = [const { MaybeUninit::uninit() }; BATCH];
        let completions: &[cqueue::Entry] = self.ring.completion().fill(&mut memory);
        let at = Instant::now();
        for completion in completions {
            let (tag, flags) = (completion.user_data(), completion.flags());
            let result = usize::try_from(completion.result());
            let quiet = matches!(-completion.result(), libc::ENOBUFS | libc::ECANCELED);
            self.errors += u64::from(result.is_err() && !quiet);
            if tag == SENT {
                continue;
            }
            let (token, generation, wire) = untag(tag);
            let present = self
                .seats
                .get(token)
                .is_some_and(|seat| seat.pair.is_some() && seat.generation == generation);
            if let Some(buffer) = cqueue::buffer_select(flags) {
                let received = self.inbox.buffer(buffer, result.unwrap_or(0));
                if let Some((from, bytes)) = received.and_then(read).filter(|_| present) {
                    sink(Arrival { token, wire, at, from, bytes });
                }
                self.inbox.give_back(buffer);
            }
            if present && !cqueue::more(flags) {
                self.lapsed.push((token, wire));
            }
        }
        self.inbox.publish();
    }
}

impl RtpIo for UringIo {
    type Pair = SocketPair;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn attach(&mut self, token: usize, pair: SocketPair) -> Result<(), (SocketPair, io::Error)> {
        let Some(seat) = self.seats.get_mut(token).filter(|seat| seat.pair.is_none()) else {
            return Err((pair, io::ErrorKind::AlreadyExists.into()));
        };
        seat.pair = Some(pair);
        seat.generation = seat.generation.wrapping_add(1);
        let armed = self.arm(token, Wire::Rtp).and_then(|()| self.arm(token, Wire::Rtcp));
        match armed {
            Ok(()) => Ok(()),
            Err(error) => match self.detach(token) {
                Some(pair) => Err((pair, error)),
                // It was put there a moment ago.
                None => Ok(()),
            },
        }
    }

    fn detach(&mut self, token: usize) -> Option<SocketPair> {
        let seat = self.seats.get_mut(token)?;
        let generation = seat.generation;
        let pair = seat.pair.take()?;
        self.disarm(token, generation);
        Some(pair)
    }

    fn wait(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(self.now());
        // A beat is near: what comes until then is taken together.
        let want = if left <= GATHER { BATCH } else { 1 };
        self.looked = true;
        self.enter(want, left)
    }

    fn poll(&mut self, until: Instant, sink: &mut impl FnMut(Arrival<'_>)) -> io::Result<()> {
        if !std::mem::take(&mut self.looked) && self.ring.completion().is_empty() {
            self.wait(until)?;
            self.looked = false;
        }
        self.take(sink);
        while let Some((token, wire)) = self.lapsed.pop() {
            self.arm(token, wire)?;
        }
        Ok(())
    }

    fn send(&mut self, token: usize, wire: Wire, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.post(token, wire, bytes, to).inspect_err(|_| self.errors += 1)
    }

    /// Cost: one system call, if there is anything.
    fn submit(&mut self) {
        if self.posted > 0 {
            // What the kernel cannot take now goes with the next wait. It looks for no completions,
            // which would cost a timer.
            let _ = self.ring.submit();
            if self.ring.submission().is_empty() {
                self.posted = 0;
            }
        }
    }
}

impl Drop for UringIo {
    fn drop(&mut self) {
        // Errors mean that there is nothing to end: the ring was never used.
        let _ = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
        let _ = self.enter_now();
        let _ = self.ring.submitter().unregister_buf_ring(GROUP);
    }
}

fn tag(token: usize, generation: u16, wire: Wire) -> u64 {
    let token = u64::from(u32::try_from(token).unwrap_or(u32::MAX));
    token << 17 | u64::from(generation) << 1 | u64::from(wire == Wire::Rtcp)
}

fn untag(tag: u64) -> (usize, u16, Wire) {
    let wire = if tag & 1 == 0 { Wire::Rtp } else { Wire::Rtcp };
    let generation = u16::try_from(tag >> 1 & 0xFFFF).unwrap_or(0);
    (usize::try_from(tag >> 17).unwrap_or(usize::MAX), generation, wire)
}

/// Source and datagram of a buffer that the kernel filled.
fn read(buffer: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (header, rest) = buffer.split_first_chunk::<HEADER>()?;
    let (name, bytes) = rest.split_at_checked(NAME)?;
    let named = usize::try_from(u32::from_ne_bytes(*header.first_chunk::<4>()?)).ok()?;
    let from = address(name.get(..named.min(NAME))?)?;
    Some((from, bytes))
}

/// A socket address as the kernel writes it (`sockaddr_in`, `sockaddr_in6`).
fn address(name: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = name.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    match libc::c_int::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
            Some(SocketAddr::from((ip, port)))
        }
        libc::AF_INET6 => {
            let (flow, rest) = rest.split_first_chunk::<4>()?;
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*rest.first_chunk::<4>()?);
            let (ip, flow) = (Ipv6Addr::from(*ip), u32::from_be_bytes(*flow));
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        // Nothing else comes out of a UDP socket.
        _ => None,
    }
}

/// The buffers that the kernel writes datagrams into, and the ring by which it gets them.
struct Inbox {
    /// [`BUFFERS`] entries; the first one also holds the tail.
    entries: NonNull<BufRingEntry>,
    /// [`BUFFERS`] times [`BUFFER`] octets.
    memory: NonNull<u8>,
    tail: u16,
}

impl Inbox {
    /// Allocates all and hands it to the kernel.
    fn new(ring: &IoUring) -> io::Result<Self> {
        let mut inbox = Self {
            entries: allocate(Self::ring_layout()).cast(),
            memory: allocate(Self::layout()),
            tail: 0,
        };
        let address = inbox.entries.as_ptr() as u64;
        // SAFETY: the memory is page aligned, zeroed, of BUFFERS entries, and freed only by
        // `drop`, after the ring of the same `UringIo` is closed.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, BUFFERS, GROUP, 0)? };
        for buffer in 0..BUFFERS {
            inbox.give_back(buffer);
        }
        inbox.publish();
        Ok(inbox)
    }

    fn ring_layout() -> Layout {
        let size = usize::from(BUFFERS) * size_of::<BufRingEntry>();
        Layout::from_size_align(size, PAGE).unwrap_or(Layout::new::<[u8; PAGE]>())
    }

    fn layout() -> Layout {
        let size = usize::from(BUFFERS) * BUFFER;
        Layout::from_size_align(size, PAGE).unwrap_or(Layout::new::<[u8; PAGE]>())
    }

    /// The first `length` octets of a buffer that the kernel has filled and named.
    fn buffer(&self, buffer: u16, length: usize) -> Option<&[u8]> {
        if buffer >= BUFFERS {
            return None;
        }
        // SAFETY: the offset is within the allocation, which was zeroed, so that every octet is
        // initialised. The kernel does not write to a buffer that it has named in a completion
        // until `give_back` and `publish`, which borrow mutably.
        Some(unsafe {
            let start = self.memory.as_ptr().add(usize::from(buffer) * BUFFER);
            std::slice::from_raw_parts(start, length.min(BUFFER))
        })
    }

    /// Puts a buffer that was read back into the ring; the kernel sees it with [`Self::publish`].
    fn give_back(&mut self, buffer: u16) {
        if buffer >= BUFFERS {
            return;
        }
        let slot = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: BUFFERS is a power of two, so `slot` is one of the ring's entries; the kernel
        // reads it only after the tail has passed it. The fields are written one by one, since
        // the first entry's last field is the tail.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(slot);
            entry.set_addr(self.memory.as_ptr().add(usize::from(buffer) * BUFFER) as u64);
            entry.set_len(u32::try_from(BUFFER).unwrap_or(0));
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was given back.
    fn publish(&mut self) {
        // SAFETY: the tail lies in the first entry, is aligned, and is written by us alone; the
        // kernel reads it with acquire.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail)
        };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // SAFETY: both were allocated by `new` with these layouts, and nobody has them any more:
        // `UringIo` has cancelled every receiver and taken the ring of buffers back.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), Self::ring_layout());
            dealloc(self.memory.as_ptr(), Self::layout());
        }
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout here has the size zero.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::rtp::suite::{self, Backend};

    impl Backend for UringIo {
        fn make(legs: usize) -> Self {
            Self::new(legs).expect("io_uring on the machine that runs the tests")
        }

        fn errors(&self) -> u64 {
            self.errors
        }
    }

    suite::tests!(UringIo);

    #[test]
    fn the_probe_tells_that_it_works_here() {
        UringIo::probe().unwrap();
    }

    #[test]
    fn names_of_foreign_kernels_are_no_panic() {
        for length in 0..64 {
            let _ = (read(&vec![0xFF; length]), read(&vec![2; length]), read(&vec![10; length]));
        }
        assert_eq!(untag(tag(70_000, 65_535, Wire::Rtcp)), (70_000, 65_535, Wire::Rtcp));
    }
}
