//! The thread that is the far end of all calls and the client of all streams.
//!
//! ```text
//!  every 1 ms: the lines of one slot of 20, each: receive RTP, send RTP, read socket, write socket
//! ```
//!
//! The first lines of a stream run have a client that echoes and is looked at every 1 ms: they tell
//! how long sound is under way. Nothing else waits for packets: they lie in the kernel with their
//! time stamps until their line's turn, so that receiving costs the machine little and the daemon no wake-up. Deadlines are
//! absolute; how late they were met is part of the result, for it limits what a run can tell.

use crate::pattern::Pattern;
use crate::rtp::{Received, RtpLine};
use crate::stamps::{self, Batch};
use crate::websocket::Client;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
const READ: usize = 16 * 1024;
/// Lines whose client echoes: one in each slot.
const ECHOES: usize = 20;
/// Neighbouring lines are this many slots apart. The gateway spreads calls as they come, so that with
/// neighbouring slots every line would have the same phase to its beat, by chance a good or a bad one.
const STRIDE: usize = 7;
/// Its inverse.
const UNSTRIDE: usize = 3;
const _: () = assert!(STRIDE * UNSTRIDE % SLOTS == 1);

/// What the thread is told.
pub enum Order {
    /// A call was answered: RTP flows.
    Answered { line: usize, socket: UdpSocket, peer: SocketAddr },
    /// A stream was opened.
    Attached { line: usize, socket: TcpStream, unread: Vec<u8> },
    /// The call is over.
    Ended { line: usize },
}

/// What others may know while the thread runs.
#[derive(Default)]
pub struct Shared {
    pub stop: AtomicBool,
    pub measuring: AtomicBool,
    /// Lines that receive RTP and, if they have a client, audio at their client.
    pub talking: AtomicUsize,
    pub ended: AtomicUsize,
}

/// What became of a line.
pub struct Outcome {
    pub received: Received,
    /// The client, if there was one.
    pub client: Option<Client>,
    /// From packets of the caller to their sound at a client that echoes, in nanoseconds.
    pub to_client_ns: Vec<u64>,
}

/// What became of all.
pub struct Outcomes {
    /// By number of the line.
    pub lines: Vec<Option<Outcome>>,
    /// How late the thread's own beats were while it measured, in nanoseconds.
    pub late_ns: Vec<u64>,
    /// RTP packets that the system did not take.
    pub send_errors: u64,
}

struct Line {
    pattern: Pattern,
    rtp: Option<RtpLine>,
    client: Option<Client>,
    frame_packets: usize,
    /// Messages that the client sends at once.
    ahead: usize,
    echo: bool,
    to_client_ns: Vec<u64>,
    talking: bool,
    ended: bool,
}

impl Line {
    fn turn(&mut self, tick: usize, measuring: bool, tools: &mut Tools) {
        if let Some(rtp) = self.rtp.as_mut().filter(|_| !self.ended) {
            rtp.receive(&mut tools.batch, &self.pattern, measuring);
            tools.send_errors += u64::from(rtp.send(&mut self.pattern).is_err());
        }
        if let Some(client) = self.client.as_mut().filter(|client| !client.closed && !client.echo) {
            client.receive(&self.pattern, &mut tools.memory);
            if self.rtp.is_some() && !self.ended && tick.is_multiple_of(self.frame_packets) {
                for _ in 0..=std::mem::take(&mut self.ahead) {
                    client.send(&mut self.pattern);
                }
            }
        }
    }

    /// Lets an echoing client read and answer.
    fn echo(&mut self, measuring: bool, tools: &mut Tools) {
        let Some(client) = self.client.as_mut().filter(|client| client.echo) else { return };
        client.receive(&self.pattern, &mut tools.memory);
        if client.came.is_empty() {
            return;
        }
        let sent_at = self.rtp.as_ref().and_then(|rtp| rtp.sent_at.as_deref()).unwrap_or_default();
        let now = stamps::now();
        for number in client.came.drain(..).filter(|_| measuring) {
            let sent = sent_at.get(number);
            self.to_client_ns.extend(sent.map(|sent| now.saturating_sub(*sent)));
        }
    }

    fn hears(&self, stream: bool) -> bool {
        let rtp = self.rtp.as_ref().is_some_and(|rtp| rtp.received.packets > 0);
        let client = self.client.as_ref().is_some_and(|client| client.heard.exact > 0);
        rtp && (client || !stream)
    }
}

/// Memory that all lines use in turn.
struct Tools {
    batch: Batch,
    memory: Vec<u8>,
    send_errors: u64,
}

/// How a run is made.
#[derive(Clone, Copy)]
pub struct Shape {
    pub lines: usize,
    /// Whether each line has a client.
    pub stream: bool,
    pub frame_ms: usize,
    /// How much sound a client sends before it keeps pace.
    pub ahead_ms: usize,
}

/// Runs until told to stop.
pub fn run(shape: Shape, orders: &Receiver<Order>, shared: &Arc<Shared>) -> Outcomes {
    let mut lines: Vec<Line> = (0..shape.lines).map(|line| new_line(line, shape)).collect();
    let mut tools = Tools { batch: Batch::new(), memory: vec![0; READ], send_errors: 0 };
    let mut late_ns = Vec::new();
    let base = Instant::now();
    for beat in 0_u32.. {
        let due = base + SLOT * beat;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let measuring = shared.measuring.load(Ordering::Relaxed);
        if measuring {
            let late = Instant::now().saturating_duration_since(due).as_nanos();
            late_ns.push(u64::try_from(late).unwrap_or(u64::MAX));
        }
        for order in orders.try_iter() {
            obey(&mut lines, order, shape, shared);
        }
        for line in lines.iter_mut().take(ECHOES) {
            line.echo(measuring, &mut tools);
        }
        let (slot, tick) = (beat as usize % SLOTS, beat as usize / SLOTS);
        for line in lines.iter_mut().skip(slot * UNSTRIDE % SLOTS).step_by(SLOTS) {
            line.turn(tick, measuring, &mut tools);
            if !line.talking && line.hears(shape.stream) {
                line.talking = true;
                shared.talking.fetch_add(1, Ordering::Relaxed);
            }
        }
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    let lines = lines.into_iter().map(outcome).collect();
    Outcomes { lines, late_ns, send_errors: tools.send_errors }
}

fn new_line(line: usize, shape: Shape) -> Line {
    Line {
        pattern: Pattern::new(line),
        rtp: None,
        client: None,
        frame_packets: shape.frame_ms / 20,
        ahead: shape.ahead_ms / shape.frame_ms,
        echo: shape.stream && line < ECHOES,
        to_client_ns: Vec::new(),
        talking: false,
        ended: false,
    }
}

fn obey(lines: &mut [Line], order: Order, shape: Shape, shared: &Shared) {
    match order {
        Order::Answered { line, socket, peer } => {
            let stamped = stamps::enable(&socket).is_ok();
            if let Some(line_) = lines.get_mut(line).filter(|_| stamped) {
                let mut rtp = RtpLine::new(line, socket, peer);
                rtp.sent_at = line_.echo.then(Vec::new);
                line_.rtp = Some(rtp);
            }
        }
        Order::Attached { line, socket, unread } => {
            if let Some(line) = lines.get_mut(line) {
                let mut client = Client::new(socket, unread, shape.frame_ms);
                client.echo = line.echo;
                line.client = Some(client);
            }
        }
        Order::Ended { line } => {
            if let Some(line) = lines.get_mut(line).filter(|line| !line.ended) {
                line.ended = true;
                shared.ended.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn outcome(line: Line) -> Option<Outcome> {
    let rtp = line.rtp?;
    let (received, client) = (rtp.received, line.client);
    Some(Outcome { received, client, to_client_ns: line.to_client_ns })
}
