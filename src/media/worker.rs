//! The media threads and the handles to their legs.
//!
//! ```text
//!  MediaPool ── open ──> LegHandle { rings, events, ready, control }
//!      │                     │ commands, by a bounded queue
//!      ├── thread 0 ═ legs ══╡
//!      ├── thread 1 ═ legs ══╛ events and wake-ups, by a bounded queue, a bell and a pump task
//! ```
//!
//! Owns threads, sockets and ports of all legs. Does not know calls, SIP or SDP: it is told
//! [`Command::Update`] when both sides agreed.

pub mod exchange;
mod footing;
mod pump;
pub mod seat;
pub mod thread;

use super::interface::{Command, Event, JitterSpec, LegReport, MediaParams, SendSpec};
use super::ledger::{Ledger, Stage};
use super::leg::LegConfig;
pub use super::playout::StartRule;
use super::ring::{self, CaptureReader, PlayoutWriter};
use super::stats::Spread;
use crate::audio::codec::{CodecId, SampleRate};
use crate::id::LegId;
use crate::net::epoll::EpollIo;
use crate::net::ports::{PortPool, PortsError};
use crate::net::rtp::{RtpIo, SocketPair};
use crate::net::uring::UringIo;
use crate::rtp::srtp::SrtpPair;
use crate::sdp::Negotiated;
use exchange::{Exchange, Order};
pub use footing::{Backend, BackendWish, Footing, ThreadWish};
use pump::{Pump, lock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
pub use seat::OpenLeg;
use seat::{LegEnds, LegShared, Place, seat};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use thread::Worker;
use tokio::sync::{Notify, mpsc};

/// What a wait that cannot be measured waits.
const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Pairs of ports that other programs may hold before an open gives up.
const BIND_TRIES: usize = 64;

/// How much of what is sent waits for whoever hears it.
const MONITORED: Duration = Duration::from_millis(500);
/// The same in frames, at the shortest ptime.
const MONITORED_FRAMES: usize = 64;

/// How the media threads are set up.
#[derive(Debug, Clone)]
pub struct MediaSpec {
    /// Local address of all RTP and RTCP sockets.
    pub address: IpAddr,
    /// Ports that may be used.
    pub ports: RangeInclusive<u16>,
    /// How long a port rests after use.
    pub quarantine: Duration,
    /// Media threads; 0: one per core.
    pub workers: usize,
    /// Differentiated services code point of what is sent (46: expedited forwarding).
    pub dscp: u8,
    /// How long the receive side waits for late packets.
    pub jitter: JitterSpec,
    /// How soon playing starts.
    pub start: StartRule,
    /// Legs at the same time, over all threads.
    pub legs_max: usize,
    /// Size of a playout ring.
    pub playout: Duration,
    /// Size of a capture ring.
    pub capture: Duration,
    /// Draws the order of ports.
    pub seed: u64,
    /// Backend, cores and priority of the threads.
    pub threads: ThreadWish,
}

/// What a leg is opened with; the peer is not known yet.
#[derive(Debug, Clone)]
pub struct LegSetup {
    /// Codecs that [`Command::Update`] may bring, besides PCMU and PCMA.
    pub codecs: Vec<CodecId>,
    /// Rate of both rings for the life of the leg, whatever codec is agreed on: 8 or 16 kHz.
    pub rate: SampleRate,
    /// Canonical name in RTCP (RFC 3550 §6.5.1); cut at 255 octets.
    pub cname: String,
    /// Draws SSRC, first sequence number and first timestamp.
    pub seed: u64,
    /// What becomes of its sound on the last way to the codec.
    pub send: SendSpec,
}

/// The local addresses of a leg, for the session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalPorts {
    /// Even port.
    pub rtp: SocketAddr,
    /// Odd port above.
    pub rtcp: SocketAddr,
}

/// Why there is no leg.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Limit: no ports.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// Limit: as many legs as configured.
    #[error("all {0} media legs are in use")]
    LegsExhausted(usize),
    /// Limit: a media thread is overwhelmed.
    #[error("the media thread's order queue is full")]
    Busy,
    /// The pool is shutting down.
    #[error("the media threads are stopping")]
    Stopping,
    /// The operating system refuses.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// Everything the application side holds of one leg. Dropping it closes the leg and, after
/// quarantine, frees its ports.
pub struct LegHandle {
    /// The leg.
    pub id: LegId,
    /// Toward the carrier.
    pub playout: PlayoutWriter,
    /// From the carrier.
    pub capture: CaptureReader,
    /// What the carrier is sent; see [`LegControl::monitor`].
    pub monitor: Option<CaptureReader>,
    /// What the leg tells; bounded, the pump drops (and counts) when it is full. Ends when the
    /// leg is gone.
    pub events: mpsc::Receiver<Event>,
    /// Notified when capture frames or playout room may be there; at most once a tick and packet.
    pub ready: Arc<Notify>,
    /// To tell the leg something; cheap to clone.
    pub control: LegControl,
    /// Closes the leg when dropped; keep it when the handle is taken apart.
    pub open: OpenLeg,
}

/// Tells a leg what to do and reads its counters, from any thread.
#[derive(Clone)]
pub struct LegControl {
    exchange: Arc<Exchange<SocketPair>>,
    seat: usize,
    id: LegId,
    rate: SampleRate,
    shared: Arc<LegShared>,
}

impl LegControl {
    /// Queues a command for the leg's next tick; `false` when the worker's queue is full or the
    /// leg is gone.
    pub fn send(&self, command: Command) -> bool {
        if self.shared.closing() {
            return false;
        }
        let order = Order::Tell { seat: self.seat, id: self.id, command };
        let queued = self.exchange.order(order).is_ok();
        if let (true, Command::Update(params)) = (queued, command) {
            self.shared.set_params(params);
        }
        queued
    }

    /// Tells the leg what was agreed on, keys included; `false` as for [`LegControl::send`].
    ///
    /// The one way to begin, to change or to end SRTP; right for every agreement, one that repeats
    /// what is in force included: then counters go on. Cost: derives session keys, a few
    /// microseconds, if there are any.
    pub fn agree(&self, agreed: &Negotiated) -> bool {
        if self.shared.closing() {
            return false;
        }
        let params = MediaParams::from(agreed);
        let keys = agreed.srtp.as_ref().map(SrtpPair::new);
        let order = Order::Agree { seat: self.seat, id: self.id, params, keys };
        let queued = self.exchange.order(order).is_ok();
        if queued {
            self.shared.set_params(params);
        }
        queued
    }

    /// Opens a ring into which goes what the leg sends, and gives its end; once per leg is enough,
    /// see [`Command::Monitor`]. `None` as for [`LegControl::send`]. Cost: allocates half a second.
    #[must_use]
    pub fn monitor(&self) -> Option<CaptureReader> {
        if self.shared.closing() {
            return None;
        }
        let samples = usize::try_from(self.rate.samples_in(MONITORED)).unwrap_or(0);
        let (ring, reader) = ring::capture(MONITORED_FRAMES, samples);
        let order = Order::Monitor { seat: self.seat, id: self.id, ring: Box::new(ring) };
        self.exchange.order(order).is_ok().then_some(reader)
    }

    /// Rate of both rings.
    #[must_use]
    pub const fn rate(&self) -> SampleRate {
        self.rate
    }

    /// The counters so far. Cost: some relaxed loads.
    #[must_use]
    pub fn report(&self) -> LegReport {
        self.shared.report()
    }

    /// How long sound stood where.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.shared.stats().ledger
    }

    /// Counts how long sound stood at a stage that is the owner's, not the media thread's.
    pub fn time(&self, stage: Stage, duration: Duration) {
        self.shared.stats().time(stage, duration);
    }

    /// What the leg was last told to do about the peer.
    #[must_use]
    pub fn params(&self) -> Option<MediaParams> {
        self.shared.params()
    }
}

/// How the pool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStatus {
    /// Legs that are open, or closing.
    pub legs: usize,
    /// Port pairs in use.
    pub ports_used: usize,
    /// Port pairs that could be used.
    pub ports_free: usize,
    /// Events and commands that were dropped because a queue or table was full.
    pub events_lost: u64,
    /// Milliseconds of beat that were given up because a thread was stalled.
    pub skipped_ms: u64,
}

/// How late the beats of all legs were run, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lateness {
    /// Beats.
    pub count: u64,
    /// Median, in microseconds.
    pub p50_us: u64,
    /// 99th percentile, in microseconds.
    pub p99_us: u64,
    /// 99.9th percentile, in microseconds.
    pub p999_us: u64,
}

struct Desk {
    exchange: Arc<Exchange<SocketPair>>,
    /// The pump's end of the bell, to be waited at.
    bell: io::PipeReader,
    seats: Arc<Mutex<Vec<usize>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    pump: Mutex<Option<tokio::task::JoinHandle<io::Result<()>>>>,
    footing: Footing,
}

/// The media threads. Dropping it ends them; [`MediaPool::shutdown`] also waits for it.
pub struct MediaPool {
    spec: MediaSpec,
    desks: Vec<Desk>,
    ports: Arc<Mutex<PortPool>>,
    next_id: AtomicU64,
    /// Of legs that are opened from here on.
    timing: Mutex<(JitterSpec, StartRule)>,
    ledger: Arc<Ledger>,
}

impl MediaPool {
    /// Starts the threads, and a pump task for each on the current tokio runtime.
    ///
    /// # Errors
    /// A port range without a pair, or what the operating system refuses.
    pub fn start(spec: MediaSpec) -> Result<Self, MediaError> {
        let ports = PortPool::new(&spec.ports, spec.quarantine, spec.seed)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if spec.workers == 0 { cores } else { spec.workers };
        // Legs leave unevenly: any thread may come to hold all of them.
        let seats = spec.legs_max.max(1);
        let timing = Mutex::new((spec.jitter, spec.start));
        let mut pool = Self {
            timing,
            ledger: Arc::default(),
            spec,
            desks: Vec::with_capacity(workers),
            ports: Arc::new(Mutex::new(ports)),
            next_id: AtomicU64::new(1),
        };
        let footing = Footing::choose(pool.spec.threads.backend);
        for number in 0..workers {
            let desk = pool
                .start_worker(number, seats, footing.clone())
                .map_err(system("start a media thread"))?;
            pool.desks.push(desk);
        }
        Ok(pool)
    }

    /// Opens a leg: binds its ports and seats it in the thread with the fewest legs. It is silent
    /// until [`Command::Update`].
    ///
    /// Cost: two sockets and about 60 kB; call it from a task, never from a media thread.
    ///
    /// # Errors
    /// [`MediaError::Ports`] and [`MediaError::LegsExhausted`] at the limits, [`MediaError::Busy`]
    /// under overload, [`MediaError::System`] when sockets cannot be had.
    pub fn open(&self, setup: LegSetup) -> Result<(LegHandle, LocalPorts), MediaError> {
        let fewest = |desk: &&Desk| desk.exchange.legs().load(Ordering::Acquire);
        let desk = self.desks.iter().min_by_key(fewest).ok_or(MediaError::Stopping)?;
        if desk.exchange.stopping() {
            return Err(MediaError::Stopping);
        }
        if self.status_legs() >= self.spec.legs_max {
            return Err(MediaError::LegsExhausted(self.spec.legs_max));
        }
        let number =
            lock(&desk.seats).pop().ok_or(MediaError::LegsExhausted(self.spec.legs_max))?;
        let opened = self.bind().and_then(|(port, pair)| {
            self.enter(desk, number, port, pair, setup).inspect_err(|_| self.give_back(port))
        });
        if opened.is_err() {
            lock(&desk.seats).push(number);
        }
        opened
    }

    /// How long legs that are opened later wait for late packets, and for sound before they play;
    /// others go on as they are.
    pub fn set_timing(&self, jitter: JitterSpec, start: StartRule) {
        *lock(&self.timing) = (jitter, start);
    }

    /// Counts of legs and ports.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let mut ports = lock(&self.ports);
        let sum = |count: fn(&Exchange<SocketPair>) -> u64| {
            self.desks.iter().map(|desk| count(&desk.exchange)).sum()
        };
        PoolStatus {
            legs: self.status_legs(),
            ports_used: ports.used(),
            ports_free: ports.free(Instant::now()),
            events_lost: sum(|exchange| exchange.dropped.read() + exchange.lost_events.read()),
            skipped_ms: sum(|exchange| exchange.skipped_ms.read()),
        }
    }

    /// What each thread got of what was wished for it.
    pub fn footings(&self) -> impl Iterator<Item = &Footing> {
        self.desks.iter().map(|desk| &desk.footing)
    }

    /// Legs of the thread that has the most. Cost: one load for each thread.
    #[must_use]
    pub fn legs_max_of_a_thread(&self) -> usize {
        let legs = self.desks.iter().map(|desk| desk.exchange.legs().load(Ordering::Acquire));
        legs.max().unwrap_or_default()
    }

    /// Blocks until a media thread has something to tell, or for as long as this.
    ///
    /// Cost: one system call; for threads that serve tasks, never in a task.
    pub fn wait_for_bell(&self, timeout: Duration) {
        let flags = PollFlags::IN;
        let mut bells: Vec<PollFd<'_>> =
            self.desks.iter().map(|desk| PollFd::new(&desk.bell, flags)).collect();
        // Shorter than asked for is no harm, whatever the reason.
        let timeout = Timespec::try_from(timeout).ok();
        let _ = poll(&mut bells, timeout.as_ref().or(Some(&NO_TIME)));
    }

    /// How late beats were run, over all threads.
    #[must_use]
    pub fn lateness(&self) -> Lateness {
        let spread = self.late();
        Lateness {
            count: spread.count(),
            p50_us: spread.quantile_us(0.5),
            p99_us: spread.quantile_us(0.99),
            p999_us: spread.quantile_us(0.999),
        }
    }

    /// The same as counts, over all threads and since the start.
    #[must_use]
    pub fn late(&self) -> Spread {
        let mut spread = Spread::default();
        for desk in &self.desks {
            spread.add(&desk.exchange.late);
        }
        spread
    }

    /// How long sound stood where, in all legs since the start.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How long ago the slowest thread turned; more than a second is a reason for alarm.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        let now = Instant::now();
        let since = self.desks.iter().map(|desk| desk.exchange.since_beat(now));
        since.max().unwrap_or_default()
    }

    /// Closes all legs (each says BYE), ends the threads and waits until that is done.
    pub async fn shutdown(&self) {
        self.stop();
        for desk in &self.desks {
            let pump = lock(&desk.pump).take();
            if let Some(pump) = pump {
                // An aborted or failed pump has nothing left to wait for.
                let _ = pump.await;
            }
            let thread = lock(&desk.thread).take();
            if let Some(thread) = thread {
                // The pump ends on the thread's last word, so this does not block; a thread that
                // panicked has been reported by the panic itself.
                let _ = thread.join();
            }
        }
    }

    fn stop(&self) {
        for desk in &self.desks {
            desk.exchange.stop();
        }
    }

    fn start_worker(&self, number: usize, seats: usize, mut footing: Footing) -> io::Result<Desk> {
        let (exchange, bell) = Exchange::new(seats, Instant::now())?;
        let exchange = Arc::new(exchange);
        let heard = bell.try_clone()?;
        let free = Arc::new(Mutex::new((0..seats).rev().collect()));
        let pump = Pump {
            bell,
            exchange: Arc::clone(&exchange),
            seats: Arc::clone(&free),
            ports: Arc::clone(&self.ports),
        };
        let pump =
            tokio::runtime::Handle::try_current().map_err(io::Error::other)?.spawn(pump.run());
        let wish = self.spec.threads;
        let launch = Launch { number, seats, wish, exchange: Arc::clone(&exchange) };
        let begun = match footing.backend {
            Backend::Epoll => launch.run(footing, EpollIo::new)?,
            Backend::IoUring => match launch.run(footing.clone(), UringIo::new) {
                Ok(begun) => begun,
                // It was tried, but there may be no memory for one more.
                Err(error) => {
                    footing.backend = Backend::Epoll;
                    footing.refuse("io_uring", &error);
                    launch.run(footing, EpollIo::new)?
                }
            },
        };
        let (thread, footing) = begun;
        Ok(Desk {
            exchange,
            bell: heard,
            seats: free,
            thread: Mutex::new(Some(thread)),
            pump: Mutex::new(Some(pump)),
            footing,
        })
    }

    /// Binds the next free pair of ports that no other program holds.
    fn bind(&self) -> Result<(u16, SocketPair), MediaError> {
        for _ in 0..BIND_TRIES {
            let port = lock(&self.ports).take(Instant::now())?;
            match SocketPair::bind(self.spec.address, port, self.spec.dscp) {
                Ok(pair) => return Ok((port, pair)),
                Err(error) => {
                    self.give_back(port);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(system("open RTP sockets")(error));
                    }
                }
            }
        }
        Err(PortsError::Exhausted(lock(&self.ports).used()).into())
    }

    fn give_back(&self, port: u16) {
        lock(&self.ports).give_back(Instant::now(), port);
    }

    fn enter(
        &self,
        desk: &Desk,
        number: usize,
        port: u16,
        pair: SocketPair,
        setup: LegSetup,
    ) -> Result<(LegHandle, LocalPorts), MediaError> {
        let ports = LocalPorts {
            rtp: pair.rtp.local_addr().map_err(system("read a socket's address"))?,
            rtcp: pair.rtcp.local_addr().map_err(system("read a socket's address"))?,
        };
        let rate = setup.rate;
        let id = LegId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let place = Place { id, number, port, pair };
        let (seat, ends) = seat(place, Instant::now(), &self.config(setup));
        // It is set once, before the leg is at work.
        let _ = ends.open.shared().stats().pool.set(Arc::clone(&self.ledger));
        desk.exchange.legs().fetch_add(1, Ordering::AcqRel);
        if desk.exchange.order(Order::Enter(seat)).is_err() {
            desk.exchange.legs().fetch_sub(1, Ordering::AcqRel);
            return Err(MediaError::Busy);
        }
        let LegEnds { playout, capture, events, ready, open } = ends;
        let control = LegControl {
            exchange: Arc::clone(&desk.exchange),
            seat: number,
            id,
            rate,
            shared: Arc::clone(open.shared()),
        };
        let monitor = None;
        Ok((LegHandle { id, playout, capture, monitor, events, ready, control, open }, ports))
    }

    fn config(&self, setup: LegSetup) -> LegConfig {
        let (jitter, start) = *lock(&self.timing);
        LegConfig {
            codecs: setup.codecs,
            rate: setup.rate,
            cname: setup.cname,
            seed: setup.seed,
            jitter,
            start,
            playout: self.spec.playout,
            capture: self.spec.capture,
            send: setup.send,
            opened_unix: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    fn status_legs(&self) -> usize {
        self.desks.iter().map(|desk| desk.exchange.legs().load(Ordering::Acquire)).sum()
    }
}

/// What a worker's thread is started with.
struct Launch {
    number: usize,
    seats: usize,
    wish: ThreadWish,
    exchange: Arc<Exchange<SocketPair>>,
}

impl Launch {
    /// Starts the thread, and waits until it stands on its footing. What it receives and sends
    /// with is made there, for a ring belongs to its maker.
    fn run<I: RtpIo<Pair = SocketPair> + 'static>(
        &self,
        mut footing: Footing,
        io: fn(usize) -> io::Result<I>,
    ) -> io::Result<(std::thread::JoinHandle<()>, Footing)> {
        let (got, taken) = std::sync::mpsc::sync_channel(1);
        let Self { number, seats, wish, .. } = *self;
        let exchange = Arc::clone(&self.exchange);
        let work = move || {
            footing.take(number, wish);
            // Somebody waits for either word, as long as this takes.
            match io(seats) {
                Ok(io) => {
                    let worker = Worker::new(seats, io, exchange);
                    let _ = got.send(Ok(footing));
                    worker.run();
                }
                Err(error) => drop(got.send(Err(error))),
            }
        };
        let thread = std::thread::Builder::new().name(format!("media-{number}")).spawn(work)?;
        let footing = taken.recv().map_err(io::Error::other)??;
        Ok((thread, footing))
    }
}

impl Drop for MediaPool {
    fn drop(&mut self) {
        self.stop();
    }
}

fn system(doing: &'static str) -> impl Fn(io::Error) -> MediaError {
    move |source| MediaError::System { doing, source }
}
