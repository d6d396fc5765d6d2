//! The media thread against a simulated network with virtual time.

use super::*;
use crate::audio::codec::{CodecId, SampleRate};
use crate::media::interface::{Command, Event, FrameKind, JitterSpec, SendSpec};
use crate::media::ledger::Stage;
use crate::media::leg::LegConfig;
use crate::media::playout::StartRule;
use crate::media::worker::seat::{LegEnds, Place, seat};
use crate::rtp::packet::{HEADER_LEN, HeaderTemplate, Packet, Ssrc};
use crate::rtp::seq::{Seq16, Ts32};
use crate::sdp::Accepts;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5_000);
const MS: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
struct Sent {
    at: Instant,
    token: usize,
    wire: Wire,
    bytes: Vec<u8>,
}

/// A network where time passes only by waiting.
struct Simulated {
    now: Instant,
    attached: Vec<bool>,
    sent: Vec<Sent>,
    inbox: VecDeque<(Instant, usize, Vec<u8>)>,
    /// A send for this seat panics, as a bug in its leg would.
    cursed: Option<usize>,
    /// When the machine stands still, and for how long.
    stalls: VecDeque<(Instant, Duration)>,
    /// How long the system takes to take over what was sent.
    submitting: Duration,
}

impl RtpIo for Simulated {
    type Pair = ();

    fn now(&self) -> Instant {
        self.now
    }

    fn attach(&mut self, token: usize, (): ()) -> Result<(), ((), io::Error)> {
        assert!(!self.attached[token], "seat {token} attached twice");
        self.attached[token] = true;
        Ok(())
    }

    fn detach(&mut self, token: usize) -> Option<()> {
        std::mem::take(&mut self.attached[token]).then_some(())
    }

    fn poll(&mut self, until: Instant, sink: &mut impl FnMut(Arrival<'_>)) -> io::Result<()> {
        let next = self.inbox.front().map(|(at, ..)| *at);
        self.now = self.now.max(next.map_or(until, |at| at.min(until)));
        if let Some((at, length)) = self.stalls.front().copied()
            && at <= self.now
        {
            self.now += length;
            self.stalls.pop_front();
        }
        while self.inbox.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, token, bytes)) = self.inbox.pop_front() else { break };
            sink(Arrival { token, wire: Wire::Rtp, at: self.now, from: PEER, bytes: &bytes });
        }
        Ok(())
    }

    fn send(&mut self, token: usize, wire: Wire, bytes: &[u8], _: SocketAddr) -> io::Result<()> {
        assert!(self.attached[token]);
        assert_ne!(self.cursed, Some(token), "cursed");
        self.sent.push(Sent { at: self.now, token, wire, bytes: bytes.to_vec() });
        Ok(())
    }

    fn submit(&mut self) {
        self.now += self.submitting;
    }
}

struct Rig {
    worker: Worker<Simulated>,
    exchange: Arc<Exchange<()>>,
    ends: Vec<Option<LegEnds>>,
    start: Instant,
    /// Keeps the bell's pipe open.
    _bell: io::PipeReader,
}

fn params() -> MediaParams {
    MediaParams {
        codec: CodecId::Pcmu,
        payload_type: 0,
        telephone_event: None,
        ptime: MS * 20,
        remote_rtp: PEER,
        remote_rtcp: PEER,
        send: true,
        receive: true,
        rtcp_mux: false,
        comfort_noise: false,
        accepts: Accepts::default(),
    }
}

fn config() -> LegConfig {
    LegConfig {
        codecs: vec![CodecId::G722],
        rate: SampleRate::HZ_8000,
        cname: "leg".to_owned(),
        seed: 5,
        jitter: JitterSpec { hole_wait: MS * 40, hole_wait_min: MS * 20, hole_wait_max: MS * 80 },
        start: StartRule::default(),
        playout: MS * 100,
        capture: MS * 500,
        send: SendSpec::default(),
        opened_unix: Duration::ZERO,
    }
}

impl Rig {
    fn new(legs: usize) -> Self {
        let start = Instant::now();
        let (exchange, bell) = Exchange::new(legs, start).unwrap();
        let exchange = Arc::new(exchange);
        let io = Simulated {
            now: start,
            attached: vec![false; legs],
            sent: Vec::new(),
            inbox: VecDeque::new(),
            cursed: None,
            stalls: VecDeque::new(),
            submitting: Duration::ZERO,
        };
        let worker = Worker::new(legs, io, Arc::clone(&exchange));
        let mut rig = Self { worker, exchange, ends: Vec::new(), start, _bell: bell };
        for number in 0..legs {
            rig.seat(number, LegId(number as u64));
        }
        rig
    }

    fn seat(&mut self, number: usize, id: LegId) {
        let place = Place { id, number, port: 0, pair: () };
        let (seat, ends) = seat(place, self.worker.io.now, &config());
        self.ends.push(Some(ends));
        assert!(self.exchange.order(Order::Enter(seat)).is_ok());
        self.tell(number, id, Command::Update(params()));
    }

    fn tell(&self, seat: usize, id: LegId, command: Command) {
        assert!(self.exchange.order(Order::Tell { seat, id, command }).is_ok());
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.worker.io.now + time;
        while self.worker.io.now < until {
            self.worker.turn();
        }
    }

    fn rtp_of(&self, leg: usize) -> Vec<&Sent> {
        let sent = self.worker.io.sent.iter();
        sent.filter(|sent| sent.token == leg && sent.wire == Wire::Rtp).collect()
    }

    fn left(&mut self) -> Vec<LegId> {
        std::iter::from_fn(|| self.exchange.next_departure()).map(|seat| seat.id).collect()
    }
}

fn from_peer(seq: u16) -> Vec<u8> {
    let mut header = [0; HEADER_LEN];
    let timestamp = Ts32(u32::from(seq) * 160);
    HeaderTemplate::new(Ssrc(9), 0).write(Seq16(seq), timestamp, false, &mut header);
    [&header[..], &[0x55; 160]].concat()
}

fn assert_numbers_run_on(packets: &[&Sent]) {
    for pair in packets.windows(2) {
        let parse = |sent: &Sent| {
            let packet = Packet::parse(&sent.bytes).unwrap();
            (packet.seq, packet.timestamp)
        };
        let ((seq, timestamp), next) = (parse(pair[0]), parse(pair[1]));
        assert_eq!(next, (seq.next(), timestamp.plus(160)));
    }
}

#[test]
fn every_leg_sends_each_20_ms_and_legs_are_spread() {
    let mut rig = Rig::new(100);
    rig.run_for(Duration::from_secs(1));
    for leg in 0..100 {
        let packets = rig.rtp_of(leg);
        assert!((49..=51).contains(&packets.len()), "leg {leg}: {}", packets.len());
        assert!(packets.windows(2).all(|p| p[1].at - p[0].at == MS * 20));
        assert_numbers_run_on(&packets);
    }
    let mut per_ms = vec![0; 1_001];
    for sent in &rig.worker.io.sent {
        per_ms[usize::try_from((sent.at - rig.start).as_millis()).unwrap()] += 1;
    }
    assert!(per_ms.iter().all(|n| *n <= 5), "more than five in a slot: {per_ms:?}");
    assert_eq!(rig.exchange.late.snapshot().quantile_us(1.0), 0);
    assert!(rig.exchange.since_beat(rig.worker.io.now) <= MS);
}

#[test]
fn a_packet_is_out_when_it_was_submitted() {
    let mut rig = Rig::new(2);
    rig.worker.io.submitting = Duration::from_micros(700);
    rig.run_for(MS * 100);
    for ends in rig.ends.iter().flatten() {
        let send = ends.open.shared().stats().ledger.spread(Stage::Send);
        assert_eq!((send.count, send.max_us), (5, 700));
    }
}

#[test]
fn after_a_stall_missed_beats_are_run_in_order_and_old_ones_given_up() {
    let mut rig = Rig::new(10);
    rig.worker.io.stalls.push_back((rig.start + MS * 200, MS * 50));
    rig.worker.io.stalls.push_back((rig.start + MS * 500, MS * 300));
    rig.run_for(Duration::from_secs(1));
    let skipped = (300 - 60) / 20;
    for leg in 0..10 {
        let packets = rig.rtp_of(leg);
        assert_numbers_run_on(&packets);
        let count = packets.len();
        assert!((49 - skipped..=51 - skipped).contains(&count), "leg {leg}: {count}");
        let burst = packets.iter().filter(|p| p.at == rig.start + MS * 800).count();
        assert!((3..=4).contains(&burst), "{burst} at once");
        // The beat is the one of before: lateness does not add up.
        let phase = |p: &Sent| (p.at - rig.start).as_millis() % 20;
        assert_eq!(phase(packets[0]), phase(packets[count - 1]));
    }
    assert_eq!(rig.exchange.skipped_ms.read(), 0);
}

#[test]
fn a_sleep_of_the_machine_is_given_up_as_a_whole() {
    let mut rig = Rig::new(3);
    rig.worker.io.stalls.push_back((rig.start + MS * 200, Duration::from_hours(1)));
    rig.run_for(Duration::from_secs(3_601));
    for leg in 0..3 {
        let packets = rig.rtp_of(leg);
        assert_numbers_run_on(&packets);
        assert!((48..=53).contains(&packets.len()), "leg {leg}: {}", packets.len());
    }
    assert!(rig.exchange.skipped_ms.read() >= 3_599_000);
}

#[test]
fn a_leg_whose_owner_lets_go_says_bye_and_departs() {
    let mut rig = Rig::new(2);
    rig.run_for(MS * 100);
    rig.ends[0] = None;
    rig.run_for(MS * 25);
    assert_eq!(rig.left(), [LegId(0)]);
    let last = rig.worker.io.sent.iter().rfind(|sent| sent.token == 0).unwrap();
    assert_eq!((last.wire, last.bytes[last.bytes.len() - 7]), (Wire::Rtcp, 203));
    assert!(!rig.worker.io.attached[0]);
    let before = rig.rtp_of(0).len();
    rig.run_for(MS * 100);
    assert_eq!(rig.rtp_of(0).len(), before);
    assert!(rig.rtp_of(1).len() > 9, "the other goes on");
    // The seat is free for another leg, and orders for the first one do not reach it.
    rig.seat(0, LegId(7));
    rig.tell(0, LegId(0), Command::Update(MediaParams { send: false, ..params() }));
    rig.run_for(MS * 100);
    assert!(rig.rtp_of(0).len() > before + 4);
}

#[test]
fn a_leg_that_panics_takes_no_other_with_it() {
    let mut rig = Rig::new(40);
    rig.run_for(MS * 100);
    let before = rig.rtp_of(3).len();
    rig.worker.io.cursed = Some(3);
    rig.worker.io.inbox.push_back((rig.worker.io.now + MS * 21, 3, from_peer(1)));
    rig.run_for(MS * 100);
    assert_eq!(rig.left(), [LegId(3)]);
    assert_eq!(rig.rtp_of(3).len(), before);
    for leg in (0..40).filter(|leg| *leg != 3) {
        assert!(rig.rtp_of(leg).len() >= 9, "leg {leg}");
    }
}

#[test]
fn stopping_says_bye_for_every_leg_and_finishes() {
    let mut rig = Rig::new(20);
    rig.run_for(MS * 50);
    rig.exchange.stop();
    let exchange = Arc::clone(&rig.exchange);
    assert!(
        exchange
            .order(Order::Tell { seat: 0, id: LegId(0), command: Command::Pause(true) })
            .is_err()
    );
    rig.worker.run();
    assert!(exchange.finished());
    let left = std::iter::from_fn(|| exchange.next_departure()).count();
    assert_eq!(left, 20);
}

#[test]
fn holes_are_declared_between_beats() {
    let mut rig = Rig::new(1);
    for seq in [1, 2, 3, 5] {
        let at = rig.start + MS * 20 * u32::from(seq);
        rig.worker.io.inbox.push_back((at, 0, from_peer(seq)));
    }
    rig.run_for(MS * 139);
    let capture = &mut rig.ends[0].as_mut().unwrap().capture;
    let mut samples = Vec::new();
    let mut kinds = Vec::new();
    while let Some(header) = capture.pop(&mut samples) {
        kinds.push(header.kind);
    }
    assert_eq!(kinds, [FrameKind::Packet; 3], "at 139 ms the hole is still open");
    rig.run_for(MS * 2);
    let capture = &mut rig.ends[0].as_mut().unwrap().capture;
    assert_eq!(capture.pop(&mut samples).map(|h| h.kind), Some(FrameKind::Concealed));
    assert_eq!(capture.pop(&mut samples).map(|h| h.kind), Some(FrameKind::Packet));
}

#[test]
fn events_and_one_wake_up_reach_the_notices() {
    let mut rig = Rig::new(1);
    for seq in 1..=5 {
        rig.worker.io.inbox.push_back((rig.start + MS * 5, 0, from_peer(seq)));
    }
    rig.run_for(MS * 10);
    let (mut events, mut calls) = (Vec::new(), 0);
    while let Some(notice) = rig.exchange.next_notice() {
        match notice {
            Notice::Event(_, event) => events.push(event),
            Notice::Ready(_) => calls += 1,
        }
    }
    assert_eq!(events, [Event::Flowing { remote: PEER, ssrc: 9 }]);
    assert_eq!(calls, 1, "five packets, one call");
}

#[test]
fn nobody_listening_to_notices_loses_them_but_nothing_else() {
    let mut rig = Rig::new(1);
    for token in 0..3_000 {
        rig.tell(0, LegId(0), Command::Watch { position: 0, token });
        if token % 30 == 29 {
            rig.run_for(MS * 20);
        }
    }
    assert!(rig.exchange.dropped.read() > 0);
    assert_eq!(rig.rtp_of(0).len(), 100);
}
