//! A whole turn of a media thread: each leg plays, sends, receives and captures 20 ms.
//!
//! The network is memory, so the figures are ours and not the kernel's: one iteration is 20 ms of
//! one worker with 1, 100 or 1000 legs, both directions.

use bellwire::audio::codec::{CodecId, SampleRate};
use bellwire::id::LegId;
use bellwire::media::interface::{Command, JitterSpec, MediaParams, SendSpec};
use bellwire::media::leg::LegConfig;
use bellwire::media::playout::StartRule;
use bellwire::media::worker::exchange::{Exchange, Notice, Order};
use bellwire::media::worker::seat::{LegEnds, Place, seat};
use bellwire::media::worker::thread::Worker;
use bellwire::net::rtp::{Arrival, RtpIo, Wire};
use bellwire::rtp::packet::{HEADER_LEN, HeaderTemplate, Ssrc};
use bellwire::rtp::seq::{Seq16, Ts32};
use bellwire::sdp::Accepts;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5_000);
const BEAT: Duration = Duration::from_millis(20);

/// Every peer sends its packet at the start of a beat; what we send is looked at and forgotten.
struct Memory {
    now: Instant,
    next: Instant,
    seq: u16,
    legs: usize,
}

impl RtpIo for Memory {
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
        self.now = until;
        if self.now >= self.next {
            self.next += BEAT;
            self.seq = self.seq.wrapping_add(1);
            let mut packet = [0x55; HEADER_LEN + 160];
            if let Some((header, _)) = packet.split_first_chunk_mut::<HEADER_LEN>() {
                let timestamp = Ts32(u32::from(self.seq).wrapping_mul(160));
                HeaderTemplate::new(Ssrc(9), 0).write(Seq16(self.seq), timestamp, false, header);
            }
            for token in 0..self.legs {
                let (wire, at, bytes) = (Wire::Rtp, self.now, &packet[..]);
                sink(Arrival { token, wire, at, from: PEER, bytes });
            }
        }
        Ok(())
    }

    fn send(&mut self, _: usize, _: Wire, bytes: &[u8], _: SocketAddr) -> io::Result<()> {
        black_box(bytes);
        Ok(())
    }
}

struct Rig {
    worker: Worker<Memory>,
    exchange: Arc<Exchange<()>>,
    ends: Vec<LegEnds>,
    heard: Vec<i16>,
    _bell: io::PipeReader,
}

impl Rig {
    fn new(legs: usize) -> Self {
        let now = Instant::now();
        let (exchange, bell) = Exchange::new(legs, now).expect("a pipe");
        let exchange = Arc::new(exchange);
        let io = Memory { now, next: now, seq: 0, legs };
        let worker = Worker::new(legs, io, Arc::clone(&exchange));
        let ends = (0..legs).map(|number| enter(number, now, &exchange)).collect();
        let mut rig = Self { worker, exchange, ends, heard: Vec::new(), _bell: bell };
        for _ in 0..20 {
            rig.beat();
        }
        rig
    }

    /// 20 ms of everything.
    fn beat(&mut self) {
        let until = self.worker.io().now + BEAT;
        while self.worker.io().now < until {
            self.worker.turn();
        }
        for leg in &mut self.ends {
            leg.playout.push(&[1_000; 160]);
            self.heard.clear();
            while leg.capture.pop(&mut self.heard).is_some() {}
        }
        self.exchange.heard();
        while let Some(notice) = self.exchange.next_notice() {
            if let Notice::Ready(outlet) = notice {
                outlet.wake();
            }
        }
    }
}

fn enter(number: usize, now: Instant, exchange: &Exchange<()>) -> LegEnds {
    let ms = Duration::from_millis;
    let config = LegConfig {
        codecs: vec![CodecId::G722],
        rate: SampleRate::HZ_8000,
        cname: "leg".to_owned(),
        seed: number as u64,
        jitter: JitterSpec { hole_wait: ms(40), hole_wait_min: ms(20), hole_wait_max: ms(80) },
        start: StartRule::default(),
        playout: ms(1_000),
        capture: ms(500),
        send: SendSpec::default(),
        opened_unix: Duration::ZERO,
    };
    let params = MediaParams {
        codec: CodecId::Pcmu,
        payload_type: 0,
        telephone_event: None,
        ptime: BEAT,
        remote_rtp: PEER,
        remote_rtcp: PEER,
        send: true,
        receive: true,
        rtcp_mux: false,
        comfort_noise: false,
        accepts: Accepts::default(),
    };
    let id = LegId(number as u64);
    let (seat, mut ends) = seat(Place { id, number, port: 0, pair: () }, now, &config);
    ends.playout.push(&[1_000; 640]);
    let update = Order::Tell { seat: number, id, command: Command::Update(params) };
    assert!(exchange.order(Order::Enter(seat)).is_ok() && exchange.order(update).is_ok());
    ends
}

fn worker_beat(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("worker_20ms");
    for legs in [1, 100, 1_000] {
        let mut rig = Rig::new(legs);
        group.bench_function(format!("{legs}_legs"), |bencher| bencher.iter(|| rig.beat()));
    }
    group.finish();
}

criterion_group!(benches, worker_beat);
criterion_main!(benches);
