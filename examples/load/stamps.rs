//! Receives datagrams with the kernel's receive time stamps.
//!
//! The only file of the load generator that calls the system by hand: the stamps are what makes a
//! pacing measurement one of the sender, and no safe crate gives them. Knows nothing of RTP.

#![expect(unsafe_code, reason = "recvmmsg with control messages has no safe wrapper")]

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::SystemTime;

/// Datagrams that one call can return.
pub const BATCH: usize = 8;
/// Octets kept of each.
const DATAGRAM_MAX: usize = 512;
const CONTROL_MAX: usize = 64;

/// Now, by the clock of the stamps.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Asks the kernel to stamp every datagram of this socket as it arrives.
pub fn enable(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for the whole call, and the option's value is a `c_int` whose
    // address and size are given.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Control messages of one datagram, aligned as the kernel wants them.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_MAX]);

/// Memory for one batch, used again and again.
pub struct Batch {
    octets: Box<[[u8; DATAGRAM_MAX]; BATCH]>,
    control: Box<[Control; BATCH]>,
    from: [libc::sockaddr_in; BATCH],
    lengths: [usize; BATCH],
    stamps: [Option<u64>; BATCH],
    count: usize,
}

/// A datagram of the last batch.
pub struct Datagram<'a> {
    pub octets: &'a [u8],
    pub from: SocketAddr,
    /// When the kernel received it, in nanoseconds of the real-time clock.
    pub stamp: u64,
}

impl Batch {
    pub fn new() -> Self {
        // SAFETY: a socket address is plain integers, for which zeros are valid.
        let from = unsafe { std::mem::zeroed() };
        Self {
            octets: Box::new([[0; DATAGRAM_MAX]; BATCH]),
            control: Box::new([Control([0; CONTROL_MAX]); BATCH]),
            from,
            lengths: [0; BATCH],
            stamps: [None; BATCH],
            count: 0,
        }
    }

    /// Takes what waits in the socket, without waiting; the number of datagrams.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.count = 0;
        // SAFETY: message headers are integers and pointers, for which zeros are valid.
        let mut vectors: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for at in 0..BATCH {
            vectors[at].iov_base = self.octets[at].as_mut_ptr().cast();
            vectors[at].iov_len = DATAGRAM_MAX;
            let header = &mut headers[at].msg_hdr;
            header.msg_name = (&raw mut self.from[at]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_iov = &raw mut vectors[at];
            header.msg_iovlen = 1;
            header.msg_control = self.control[at].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_MAX;
        }
        // SAFETY: every pointer in the headers is to memory of the length beside it that lives and
        // is borrowed mutably until this function returns; BATCH is the number of headers.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            let empty = error.kind() == io::ErrorKind::WouldBlock;
            return if empty { Ok(0) } else { Err(error) };
        };
        for (at, header) in headers.iter().enumerate().take(count) {
            self.lengths[at] = (header.msg_len as usize).min(DATAGRAM_MAX);
            self.stamps[at] = stamp(&header.msg_hdr);
        }
        self.count = count;
        Ok(count)
    }

    /// A datagram of the last batch; `None` when it has no stamp.
    pub fn datagram(&self, at: usize) -> Option<Datagram<'_>> {
        let stamp = (at < self.count).then(|| self.stamps[at]).flatten()?;
        let from = &self.from[at];
        let address = Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr));
        Some(Datagram {
            octets: &self.octets[at][..self.lengths[at]],
            from: SocketAddr::from((address, u16::from_be(from.sin_port))),
            stamp,
        })
    }
}

fn stamp(header: &libc::msghdr) -> Option<u64> {
    // SAFETY: the header was filled by the kernel and its control memory is alive and unchanged;
    // the macros walk within `msg_controllen`.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            let kind = ((*message).cmsg_level, (*message).cmsg_type);
            if kind == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
                let time: libc::timespec =
                    std::ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                let seconds = u64::try_from(time.tv_sec).ok()?;
                return Some(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?);
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}
