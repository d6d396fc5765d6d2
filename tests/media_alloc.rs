//! The media thread neither allocates nor frees: ten thousand ticks with everything going on.
//!
//! A counting allocator watches the test's own thread while it plays the media thread against a
//! network of fixed memory, and then against real sockets with either backend. What the pump does
//! with notices is done off the record, as in life.

#![expect(unsafe_code, reason = "an allocator that counts can only be made so")]

use bellwire::audio::beep::BeepDetector;
use bellwire::audio::codec::CodecId;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::vad::Vad;
use bellwire::id::LegId;
use bellwire::media::interface::{
    BackgroundSpec, CLEAR_FADE, Command, JitterSpec, MediaParams, SendSpec, SilencePolicy,
    SilenceSpec,
};
use bellwire::media::leg::{Leg, LegConfig, Outgoing};
use bellwire::media::playout::StartRule;
use bellwire::media::ring::{self, CaptureReader};
use bellwire::media::stats::LegStats;
use bellwire::media::worker::exchange::{Exchange, Notice, Order};
use bellwire::media::worker::seat::{LegEnds, Place, seat};
use bellwire::media::worker::thread::Worker;
use bellwire::net::epoll::EpollIo;
use bellwire::net::rtp::{Arrival, RtpIo, SocketPair, Wire};
use bellwire::net::uring::UringIo;
use bellwire::rtp::packet::{HEADER_LEN, HeaderTemplate, Ssrc};
use bellwire::rtp::rtcp::{MAX_REPORT, RtcpSession};
use bellwire::rtp::seq::{Seq16, Ts32};
use bellwire::rtp::srtp::{MasterKey, SrtpPair, SrtpParams, Suite};
use bellwire::sdp::Accepts;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static OCTETS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting the calls of a thread while it is watched.
struct Counting;

fn count(octets: usize) {
    // A thread that is ending has no counter any more, and is not watched.
    let watched = WATCHED.try_with(Cell::get).unwrap_or(false);
    if watched {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        let _ = OCTETS.try_with(|all| all.set(all.get() + octets));
    }
}

// SAFETY: every method hands its arguments to `System` unchanged and returns what it returns, so
// the contract of `GlobalAlloc` holds as it does for `System`; counting touches thread-local
// memory that needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0);
        // SAFETY: `memory` came from `System` by this allocator, with the same layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: `memory` came from `System` by this allocator, with the same layout.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and frees of this thread during `work`.
fn counted(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    WATCHED.set(true);
    work();
    WATCHED.set(false);
    COUNT.get() - before
}

const LEGS: usize = 10;
const TURNS_MS: u64 = 20_000;
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5_000);
const EVENT: u8 = 101;
const REDUNDANT: u8 = 97;

/// Each leg's peer sends a packet every 20 ms, of which some are lost, late, doubled, of another
/// kind, or not RTP at all; nothing is kept of what the legs send.
struct Network {
    start: Instant,
    now: Instant,
    sent: [u64; 2],
    report: [u8; MAX_REPORT],
    report_len: usize,
}

impl Network {
    fn new() -> Self {
        let now = Instant::now();
        let mut report = [0; MAX_REPORT];
        let report_len = RtcpSession::new(Ssrc(9), "peer")
            .write_report(now, None, None, &mut report)
            .expect("room for a report");
        Self { start: now, now, sent: [0; 2], report, report_len }
    }

    fn deliver(&self, ms: u64, sink: &mut impl FnMut(Arrival<'_>)) {
        for token in 0..LEGS {
            let phase = ms + 20 - token as u64;
            if phase.is_multiple_of(20) {
                self.deliver_to(token, phase / 20, sink);
            }
        }
    }

    fn deliver_to(&self, token: usize, n: u64, sink: &mut impl FnMut(Arrival<'_>)) {
        let mut send = |seq: u64, kind: u8, payload: &[u8]| {
            let mut packet = [0; HEADER_LEN + 325];
            let seq = Seq16(u16::try_from(seq % 65_536).unwrap_or(0));
            let timestamp = Ts32(u32::from(seq.0) * 160);
            let (header, body) = packet.split_first_chunk_mut::<HEADER_LEN>().expect("a header");
            HeaderTemplate::new(Ssrc(9), kind).write(seq, timestamp, false, header);
            body[..payload.len()].copy_from_slice(payload);
            let bytes = &packet[..HEADER_LEN + payload.len()];
            sink(Arrival { token, wire: Wire::Rtp, at: self.now, from: PEER, bytes });
        };
        let voice: [u8; 160] = std::array::from_fn(|i| u8::try_from(i).unwrap_or(0));
        match n % 20 {
            3 | 4 | 18 => {}
            5 => send(n, 13, &[60, 100, 140, 120]),
            7 => send(n + 1, 0, &voice),
            8 => send(n - 1, 0, &voice),
            11 => send(n, EVENT, &[5, 0x8A, 3, 32]),
            13 => (0..2).for_each(|_| send(n, 0, &voice)),
            15 => send(n, 99, &voice),
            17 => {
                send(n, 0, &voice);
                let bytes = &self.report[..self.report_len];
                sink(Arrival { token, wire: Wire::Rtcp, at: self.now, from: PEER, bytes });
                sink(Arrival { token, wire: Wire::Rtp, at: self.now, from: PEER, bytes: b"?" });
            }
            19 => {
                let mut both = [0; 325];
                both[..5].copy_from_slice(&[0x80, 2, 0x80, 160, 0]);
                both[5..165].copy_from_slice(&voice);
                both[165..].copy_from_slice(&voice);
                send(n, REDUNDANT, &both);
            }
            _ => send(n, 0, &voice),
        }
    }
}

impl RtpIo for Network {
    type Pair = ();

    fn now(&self) -> Instant {
        self.now
    }

    fn attach(&mut self, _: usize, (): ()) -> Result<(), ((), io::Error)> {
        Ok(())
    }

    fn detach(&mut self, _: usize) -> Option<()> {
        Some(())
    }

    fn poll(&mut self, until: Instant, sink: &mut impl FnMut(Arrival<'_>)) -> io::Result<()> {
        let ms = |at: Instant| u64::try_from((at - self.start).as_millis()).unwrap_or(0);
        let (from, to) = (ms(self.now), ms(until));
        self.now = until;
        for ms in from + 1..=to {
            self.deliver(ms, sink);
        }
        Ok(())
    }

    fn send(&mut self, _: usize, wire: Wire, _: &[u8], _: SocketAddr) -> io::Result<()> {
        self.sent[usize::from(wire == Wire::Rtcp)] += 1;
        // A full socket now and then.
        if self.sent[0].is_multiple_of(97) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }
}

/// Every way to be silent, a low cut, and a background beneath every other leg.
fn send(seed: u64) -> SendSpec {
    let policies = [SilencePolicy::Packets, SilencePolicy::Cn, SilencePolicy::Suppress];
    let policy = policies[usize::try_from(seed % 3).unwrap_or(0)];
    let samples = (0..1_000).collect();
    let background = BackgroundSpec { samples, gain_db: -6.0, duck_db: 12.0 };
    SendSpec {
        silence: SilenceSpec { policy, comfort_noise_dbov: seed.is_multiple_of(2).then_some(-65) },
        low_cut: true,
        background: seed.is_multiple_of(2).then_some(background),
    }
}

fn config(seed: u64) -> LegConfig {
    let ms = Duration::from_millis;
    LegConfig {
        codecs: vec![CodecId::G722],
        rate: SampleRate::HZ_8000,
        cname: "leg".to_owned(),
        seed,
        jitter: JitterSpec { hole_wait: ms(40), hole_wait_min: ms(20), hole_wait_max: ms(80) },
        start: StartRule::default(),
        playout: ms(500),
        capture: ms(500),
        send: send(seed),
        opened_unix: Duration::from_hours(500_000),
    }
}

fn params(n: u64) -> MediaParams {
    let codec = if n.is_multiple_of(2) { CodecId::Pcmu } else { CodecId::Pcma };
    MediaParams {
        codec,
        payload_type: codec.spec().payload_type,
        telephone_event: Some(EVENT),
        ptime: Duration::from_millis(20),
        remote_rtp: PEER,
        remote_rtcp: PEER,
        send: n % 5 != 4,
        receive: true,
        rtcp_mux: false,
        comfort_noise: n.is_multiple_of(3),
        accepts: Accepts { redundancy: Some(REDUNDANT), ..Accepts::default() },
    }
}

/// What the application does to a leg in a second, as it would from its own task.
fn command(second: u64, step: u64, written: u64) -> Option<Command> {
    let token = u32::try_from(second).unwrap_or(0);
    match step {
        0 => Some(Command::Watch { position: written, token }),
        1 => Some(Command::End { position: written }),
        2 if second % 3 == 1 => Some(Command::Clear { up_to: written, token, fade: CLEAR_FADE }),
        3 => Some(Command::Pause(second % 4 == 1)),
        4 if second % 4 == 2 => {
            let mut digits = [0; 32];
            digits[..3].copy_from_slice(b"12#");
            let ms = Duration::from_millis;
            Some(Command::Dtmf { digits, duration: ms(100), gap: ms(60) })
        }
        5 => Some(Command::Listen(!second.is_multiple_of(7))),
        6 => Some(Command::Update(params(second))),
        7 => Some(Command::QuietAfter(Duration::from_millis(30))),
        8 => Some(Command::Level {
            percent: if second.is_multiple_of(2) { 20 } else { 100 },
            ramp: Duration::from_millis(20),
        }),
        // Half of the time digits are tones, and listened for.
        9 => Some(Command::DigitsInband(second % 8 >= 4)),
        _ => None,
    }
}

/// Has a leg enter the worker.
fn enter(exchange: &Exchange<()>, number: usize, now: Instant) -> LegEnds {
    let id = LegId(number as u64);
    let (seat, ends) = seat(Place { id, number, port: 0, pair: () }, now, &config(id.0));
    assert!(exchange.order(Order::Enter(seat)).is_ok());
    let command = Command::Update(params(0));
    assert!(exchange.order(Order::Tell { seat: number, id, command }).is_ok());
    ends
}

/// Has what a leg sends told to a new listener.
fn monitor(exchange: &Exchange<()>, number: usize) -> CaptureReader {
    let (ring, reader) = ring::capture(64, 8_000);
    let (id, ring) = (LegId(number as u64), Box::new(ring));
    let _ = exchange.order(Order::Monitor { seat: number, id, ring });
    reader
}

#[test]
fn ten_thousand_ticks_allocate_and_free_nothing() {
    let (exchange, _bell) = Exchange::new(LEGS, Instant::now()).expect("a pipe");
    let exchange = Arc::new(exchange);
    let mut worker = Worker::new(LEGS, Network::new(), Arc::clone(&exchange));
    let now = worker.io().now();
    let mut ends: Vec<LegEnds> = (0..LEGS).map(|number| enter(&exchange, number, now)).collect();
    let sound: Vec<i16> = (0..2_000).map(|i| (i % 100) * 100).collect();
    let (mut heard, mut kinds, mut notices) = (Vec::new(), [0_u64; 3], 0_u64);
    let (mut monitors, mut monitored) = (Vec::new(), 0_u64);
    let mut allocations = 0;
    for ms in 0..TURNS_MS {
        let until = worker.io().start + Duration::from_millis(ms);
        allocations += counted(|| {
            while worker.io().now() < until {
                worker.turn();
            }
        });
        // The applications' and the pump's share, off the record.
        for (number, leg) in ends.iter_mut().enumerate() {
            if ms % 150 == number as u64 {
                leg.playout.push(&sound);
            }
            if let Some(command) = command(ms / 1_000, ms % 1_000 / 10, leg.playout.position())
                .filter(|_| ms % 10 == number as u64)
            {
                let id = LegId(number as u64);
                let _ = exchange.order(Order::Tell { seat: number, id, command });
            }
            // Somebody begins to hear what is sent, and somebody else later.
            if ms == 100 || ms == 5_000 {
                monitors.push(monitor(&exchange, number));
            }
            heard.clear();
            while let Some(header) = leg.capture.pop(&mut heard) {
                kinds[header.kind as usize] += 1;
            }
        }
        for monitor in &mut monitors {
            heard.clear();
            while monitor.pop(&mut heard).is_some() {
                monitored += 1;
            }
        }
        while exchange.next_spent().is_some() {}
        exchange.heard();
        while let Some(notice) = exchange.next_notice() {
            notices += 1;
            if let Notice::Ready(outlet) = notice {
                outlet.wake();
            }
        }
    }
    // The test is worth nothing if nothing happened.
    let [rtp, rtcp] = worker.io().sent;
    assert!(rtp >= 7_000 && rtcp >= 30, "{rtp} packets and {rtcp} reports sent");
    assert!(kinds.iter().all(|n| *n > 50), "packets, concealment and silence heard: {kinds:?}");
    assert!(notices > 1_000, "{notices} notices");
    assert!(monitored > 1_000, "{monitored} frames of what was sent");
    assert!(exchange.late.snapshot().count() >= 10_000);
    drop(ends);
    allocations += counted(|| {
        for _ in 0..100 {
            worker.turn();
        }
    });
    let left = std::iter::from_fn(|| exchange.next_departure()).count();
    assert_eq!((left, allocations), (LEGS, 0), "legs that left, and allocations");
}

/// Two legs that talk to each other over the loopback, until both have heard a second.
fn talk_over_real_sockets<I: RtpIo<Pair = SocketPair>>(io: I) {
    const HEARD: usize = 50;
    let (exchange, _bell) = Exchange::new(2, Instant::now()).expect("a pipe");
    let exchange = Arc::new(exchange);
    let mut worker = Worker::new(2, io, Arc::clone(&exchange));
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let pair = || {
        let bound = (40_000..60_000).step_by(2).find_map(|n| SocketPair::bind(loopback, n, 0).ok());
        let pair = bound.expect("a free pair of ports");
        let address = |wire| pair.socket(wire).local_addr().expect("an address");
        (address(Wire::Rtp), address(Wire::Rtcp), pair)
    };
    let (one, other) = (pair(), pair());
    let peers = [(other.0, other.1), (one.0, one.1)];
    let mut ends: Vec<LegEnds> = [one.2, other.2]
        .into_iter()
        .zip(peers)
        .enumerate()
        .map(|(number, (pair, (remote_rtp, remote_rtcp)))| {
            let id = LegId(number as u64);
            let place = Place { id, number, port: 0, pair };
            let (seat, ends) = seat(place, Instant::now(), &config(id.0));
            assert!(exchange.order(Order::Enter(seat)).is_ok());
            let command = Command::Update(MediaParams { remote_rtp, remote_rtcp, ..params(0) });
            assert!(exchange.order(Order::Tell { seat: number, id, command }).is_ok());
            ends
        })
        .collect();
    let (mut samples, mut heard, mut allocations) = (Vec::new(), [0; 2], 0);
    let give_up = Instant::now() + Duration::from_secs(30);
    while heard.iter().any(|n| *n < HEARD) && Instant::now() < give_up {
        allocations += counted(|| worker.turn());
        for (leg, heard) in ends.iter_mut().zip(&mut heard) {
            leg.playout.push(&[1_000; 160]);
            samples.clear();
            *heard += std::iter::from_fn(|| leg.capture.pop(&mut samples)).count();
        }
        exchange.heard();
        while let Some(notice) = exchange.next_notice() {
            if let Notice::Ready(outlet) = notice {
                outlet.wake();
            }
        }
    }
    assert!(heard.iter().all(|n| *n >= HEARD), "packets heard: {heard:?}");
    drop(ends);
    let mut left = 0;
    while left < 2 && Instant::now() < give_up {
        allocations += counted(|| worker.turn());
        left += std::iter::from_fn(|| exchange.next_departure()).count();
    }
    assert_eq!((left, allocations), (2, 0), "legs that left, and allocations");
}

#[test]
fn epoll_allocates_nothing() {
    talk_over_real_sockets(EpollIo::new(2).expect("an epoll descriptor"));
}

#[test]
fn io_uring_allocates_nothing() {
    talk_over_real_sockets(UringIo::new(2).expect("io_uring on the machine that runs the tests"));
}

/// As the daemon opens it: rings, slots, codecs, both sides' state and what its owner holds.
#[test]
fn the_media_of_a_call_fit_into_56_kib() {
    let ms = Duration::from_millis;
    let (playout, capture) = (ms(640), ms(320));
    let config = LegConfig { codecs: Vec::new(), playout, capture, ..config(1) };
    let place = Place { id: LegId(1), number: 0, port: 0, pair: () };
    let (before, mut leg) = (OCTETS.get(), None);
    counted(|| leg = Some(seat(place, Instant::now(), &config)));
    let octets = OCTETS.get() - before;
    assert!(leg.is_some());
    assert!((40 * 1024..=56 * 1024).contains(&octets), "{octets} octets");
}

#[test]
fn the_counter_counts() {
    assert_eq!(counted(|| drop(std::hint::black_box(Box::new(1)))), 2);
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(counted(|| ()), 0);
}

#[test]
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a sound")]
fn listening_for_voices_and_beeps_does_not_allocate() {
    let rate = SampleRate::HZ_8000;
    let mut vad = Vad::new(rate);
    let mut beeps = BeepDetector::new(rate);
    // A buzz with a vowel's timbre and a tone come and go.
    let sound = |n: usize| {
        let seconds = n as f32 / 8_000.0;
        let part = |hz: f32| (seconds * hz * std::f32::consts::TAU).sin();
        let buzz = (1..20_u8).map(|k| part(130.0 * f32::from(k)) / f32::from(k)).sum::<f32>();
        match n / 4_000 % 4 {
            0 => (6_000.0 * buzz * (1.0 + 0.5 * part(4.0))) as i16,
            1 => (6_000.0 * part(1_000.0)) as i16,
            _ => 0,
        }
    };
    let sound: Vec<i16> = (0..160_000).map(sound).collect();
    let mut heard = 0;
    let allocations = counted(|| {
        for (n, packet) in sound.chunks(160).enumerate() {
            vad.push(n as u64 * 160, packet, &mut |_| heard += 1);
            beeps.push(n as u64 * 160, packet, &mut |_| heard += 1);
        }
    });
    assert!(heard > 0);
    assert_eq!(allocations, 0);
}

/// Two legs on a line that loses packets: G.722 in rings of 8 kHz, sealed, a fresh key on the way.
#[test]
fn seals_and_other_rates_allocate_nothing() {
    let start = Instant::now();
    let open = |seed: u64| Leg::open(start, &config(seed), Arc::new(LegStats::default()));
    let ((mut near, mut playout, _), (mut far, _, mut capture)) = (open(1), open(2));
    let key = |seed: u8| MasterKey::new(Suite::AesCm80, &[seed; 30]).expect("30 octets");
    let keys =
        |local, remote| SrtpPair::new(&SrtpParams { local: key(local), remote: key(remote) });
    let params = MediaParams {
        codec: CodecId::G722,
        payload_type: 9,
        remote_rtp: PEER,
        remote_rtcp: PEER,
        ..params(0)
    };
    let sound: Vec<i16> = (0..2_000).map(|i| (i % 100) * 100).collect();
    let (mut allocations, mut heard, mut frames) = (0, Vec::new(), 0);
    let mut out = Outgoing::default();
    for n in 0..1_500_u32 {
        let now = start + Duration::from_millis(20) * n;
        let seed = u8::try_from(n / 750).unwrap_or(0);
        let mut fresh = n.is_multiple_of(750).then(|| (keys(seed, 9), keys(9, seed)));
        let mut spent = [None, None, None, None];
        playout.push(&sound);
        allocations += counted(|| {
            if let Some((ours, theirs)) = fresh.take() {
                spent[0] = near.handle_agreement(now, params, Some(ours));
                spent[1] = far.handle_agreement(now, params, Some(theirs));
            }
            near.tick(now, now, &mut out);
            if let Some((packet, _)) = out.rtp() {
                near.handle_sent(true);
                if n % 20 != 7 {
                    far.handle_rtp(now, packet, PEER);
                    far.handle_rtp(now, packet, PEER);
                }
            }
            if let Some((report, _)) = out.rtcp() {
                far.handle_rtcp(now, report, PEER);
            }
            far.tick(now, now, &mut out);
            while far.poll_event().is_some() {}
            (spent[2], spent[3]) = (near.take_spent(now), far.take_spent(now));
        });
        heard.clear();
        while capture.pop(&mut heard).is_some() {
            frames += 1;
        }
    }
    assert!(frames > 1_350, "{frames} frames heard");
    assert_eq!(allocations, 0);
}
