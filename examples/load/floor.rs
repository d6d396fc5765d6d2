//! The floor: a bare mover of packets, to hold the gateway's cost against on the same machine.
//!
//! ```text
//!  UDP readable ─> decode µ-law ─> one WebSocket frame      each 20 ms: 160 octets ─> one packet
//!  TCP readable ─> unmask, encode µ-law ─> queue ─────────────────────────^
//! ```
//!
//! One thread, one epoll, no SIP, no jitter buffer, no checks: what is left is mostly the price of
//! the system calls, which no gateway of this shape can go below by much.

use crate::lines::Order;
use crate::pattern::SAMPLES;
use anyhow::{Context as _, Result, bail, ensure};
use bellwire::audio::codec::g711;
use rustix::event::{Timespec, epoll};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// The hidden argument that makes this program the mover.
pub const ARGUMENT: &str = "--be-the-floor";
const SLOTS: usize = 20;
const LISTENER: u64 = u64::MAX;
const HEADER: usize = 12;
const BATCH: usize = 64;
/// Octets queued toward a caller at most; the oldest go.
const QUEUE_MAX: usize = 16_000;

/// The mover as a program of its own; ended when dropped.
pub struct Mover {
    child: Child,
    address: String,
}

impl Mover {
    /// Starts it with the program and arguments of `runner`, such as `taskset -c 0`.
    pub fn start(runner: &[String]) -> Result<Self> {
        let own = std::env::current_exe()?;
        let mut command = match runner {
            [runner, arguments @ ..] => {
                let mut command = Command::new(runner);
                command.args(arguments).arg(own);
                command
            }
            [] => Command::new(own),
        };
        let mut child = command
            .arg(ARGUMENT)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .context("starting the floor")?;
        let mut address = String::new();
        let out = child.stdout.take().context("no output of the floor")?;
        BufReader::new(out).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn check(&mut self) -> Result<()> {
        ensure!(self.child.try_wait()?.is_none(), "the floor has ended");
        Ok(())
    }

    /// Opens a line: one connection, one pair of UDP sockets. Without a stream the mover only sends
    /// a prompt.
    pub fn open(&self, line: usize, stream: bool, orders: &Sender<Order>) -> Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let mut client = TcpStream::connect(&self.address)?;
        client.set_nodelay(true)?;
        let [high, low] = socket.local_addr()?.port().to_be_bytes();
        client.write_all(&[high, low, u8::from(stream)])?;
        let mut port = [0; 2];
        client.read_exact(&mut port)?;
        client.set_nonblocking(true)?;
        let peer = SocketAddr::from(([127, 0, 0, 1], u16::from_be_bytes(port)));
        orders.send(Order::Answered { line, socket, peer }).ok();
        if stream {
            orders.send(Order::Attached { line, socket: client, unread: Vec::new() }).ok();
        }
        Ok(())
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        // Gone already: nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Line {
    /// The client, if it has one.
    tcp: Option<TcpStream>,
    udp: UdpSocket,
    peer: SocketAddr,
    unread: Vec<u8>,
    queue: VecDeque<u8>,
    sent: usize,
}

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    lines: Vec<Option<Line>>,
    memory: Vec<u8>,
}

/// Moves packets until it is killed.
pub fn run() -> Result<()> {
    bellwire::net::epoll::sharpen_timers();
    let end = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(end)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let tag = epoll::EventData::new_u64(LISTENER);
    epoll::add(&epoll, &listener, tag, epoll::EventFlags::IN)?;
    let mut floor = Floor { epoll, listener, lines: Vec::new(), memory: vec![0; 16 * 1024] };
    let base = Instant::now();
    let mut beat = 0_u32;
    loop {
        let due = base + Duration::from_millis(1) * beat;
        let left = due.saturating_duration_since(Instant::now());
        floor.wait(left)?;
        if Instant::now() >= due {
            floor.beat(beat as usize % SLOTS);
            beat += 1;
        }
    }
}

impl Floor {
    fn wait(&mut self, left: Duration) -> Result<()> {
        let timeout = Timespec::try_from(left).context("a wait")?;
        let mut events = [const { MaybeUninit::uninit() }; BATCH];
        let (ready, _) = epoll::wait(&self.epoll, &mut events, Some(&timeout))?;
        for event in ready {
            match event.data.u64() {
                LISTENER => self.accept()?,
                tag => self.ready((tag >> 1) as usize, tag & 1 == 0),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        let (mut tcp, _) = self.listener.accept()?;
        let mut asked = [0; 3];
        tcp.read_exact(&mut asked)?;
        let [high, low, stream] = asked;
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        tcp.write_all(&udp.local_addr()?.port().to_be_bytes())?;
        tcp.set_nodelay(true)?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        let tag = (self.lines.len() as u64) << 1;
        let flags = epoll::EventFlags::IN;
        epoll::add(&self.epoll, &udp, epoll::EventData::new_u64(tag), flags)?;
        let tcp = Some(tcp).filter(|_| stream == 1);
        if let Some(tcp) = &tcp {
            epoll::add(&self.epoll, tcp, epoll::EventData::new_u64(tag | 1), flags)?;
        }
        let peer = SocketAddr::from(([127, 0, 0, 1], u16::from_be_bytes([high, low])));
        let (unread, queue) = (Vec::new(), VecDeque::new());
        self.lines.push(Some(Line { tcp, udp, peer, unread, queue, sent: 0 }));
        Ok(())
    }

    fn ready(&mut self, number: usize, udp: bool) {
        let Some(seat) = self.lines.get_mut(number) else { return };
        let Some(line) = seat else { return };
        let moved = if udp { line.hear_caller() } else { line.hear_client(&mut self.memory) };
        if moved.is_err() {
            *seat = None;
        }
    }

    fn beat(&mut self, slot: usize) {
        for line in self.lines.iter_mut().skip(slot).step_by(SLOTS).flatten() {
            line.send();
        }
    }
}

impl Line {
    fn hear_caller(&mut self) -> Result<()> {
        let mut packet = [0; HEADER + SAMPLES];
        if self.udp.recv(&mut packet)? != packet.len() {
            return Ok(());
        }
        let Some(tcp) = &mut self.tcp else { return Ok(()) };
        let mut frame = [0; 4 + 2 * SAMPLES];
        frame[0] = 0x82;
        frame[1] = 126;
        frame[2..4].copy_from_slice(&(2 * SAMPLES as u16).to_be_bytes());
        for (octet, sample) in packet[HEADER..].iter().zip(frame[4..].chunks_exact_mut(2)) {
            sample.copy_from_slice(&g711::decode_ulaw(*octet).to_le_bytes());
        }
        match tcp.write(&frame) {
            Ok(count) if count == frame.len() => Ok(()),
            Ok(_) => bail!("the client does not read"),
            Err(error) => Err(error.into()),
        }
    }

    fn hear_client(&mut self, memory: &mut [u8]) -> Result<()> {
        let Some(tcp) = &mut self.tcp else { return Ok(()) };
        let count = match tcp.read(memory) {
            Ok(0) => bail!("the client is gone"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.unread.extend_from_slice(&memory[..count]);
        // Masked frames of 126 to 65,535 octets are all that the generator sends.
        while let [_, _, high, low, mask0, mask1, mask2, mask3, rest @ ..] = &self.unread[..] {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(payload) = rest.get(..length) else { break };
            let mask = [*mask0, *mask1, *mask2, *mask3];
            for four in payload.chunks_exact(4) {
                let first = i16::from_le_bytes([four[0] ^ mask[0], four[1] ^ mask[1]]);
                let second = i16::from_le_bytes([four[2] ^ mask[2], four[3] ^ mask[3]]);
                self.queue.extend([g711::encode_ulaw(first), g711::encode_ulaw(second)]);
            }
            self.unread.drain(..8 + length);
        }
        let excess = self.queue.len().saturating_sub(QUEUE_MAX);
        self.queue.drain(..excess);
        Ok(())
    }

    fn send(&mut self) {
        let mut packet = [0xFF; HEADER + SAMPLES];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&(self.sent as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&((self.sent * SAMPLES) as u32).to_be_bytes());
        packet[8..HEADER].copy_from_slice(&[1, 2, 3, 4]);
        if self.queue.len() >= SAMPLES {
            for (octet, queued) in packet[HEADER..].iter_mut().zip(self.queue.drain(..SAMPLES)) {
                *octet = queued;
            }
        }
        self.sent += 1;
        // A lost packet is the generator's to find.
        let _ = self.udp.send_to(&packet, self.peer);
    }
}
