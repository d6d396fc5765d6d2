//! The receive buffer and concealment, per packet and per 20 ms.
//!
//! `cargo bench --bench jitter`

use bellwire::audio::plc::Concealer;
use bellwire::media::interface::JitterSpec;
use bellwire::media::jitter::{Decision, JitterBuffer, PayloadTable};
use bellwire::rtp::packet::{Packet, Ssrc};
use bellwire::rtp::seq::{Seq16, Ts32};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};

const FRAME: usize = 160;

/// A stream that goes into a buffer packet by packet, one in `lost` missing.
struct Stream {
    buffer: JitterBuffer,
    now: Instant,
    seq: Seq16,
    timestamp: Ts32,
    lost: u16,
}

impl Stream {
    fn new(lost: u16) -> Self {
        let ms = Duration::from_millis;
        let spec = JitterSpec { hole_wait: ms(40), hole_wait_min: ms(20), hole_wait_max: ms(80) };
        let now = Instant::now();
        let buffer = JitterBuffer::new(now, 8000, spec, PayloadTable::standard());
        Self { buffer, now, seq: Seq16(0), timestamp: Ts32(0), lost }
    }

    /// 20 ms: one packet in, or none, and what comes of it out.
    fn tick(&mut self) -> usize {
        self.now += Duration::from_millis(20);
        self.seq = self.seq.next();
        self.timestamp = self.timestamp.plus(160);
        if self.lost == 0 || !self.seq.0.is_multiple_of(self.lost) {
            let packet = Packet {
                seq: self.seq,
                timestamp: self.timestamp,
                ssrc: Ssrc(1),
                payload_type: 0,
                marker: false,
                payload: &[0x55; FRAME],
            };
            self.buffer.insert(self.now, &packet);
        }
        let mut octets = 0;
        loop {
            match self.buffer.poll(self.now) {
                Decision::Wait(_) => return octets,
                Decision::Packet { payload, .. } => octets += black_box(payload).len(),
                other => drop(black_box(other)),
            }
        }
    }
}

fn packets(c: &mut Criterion) {
    let mut clean = Stream::new(0);
    c.bench_function("jitter/packet, clean", |b| b.iter(|| clean.tick()));
    let mut lossy = Stream::new(20);
    c.bench_function("jitter/packet, 5 % lost", |b| b.iter(|| lossy.tick()));
}

/// Something like a voice at 8 kHz.
fn voice() -> Vec<i16> {
    let sample = |i: u16| {
        let phase = f32::from(i) * 130.0 / 8000.0 * std::f32::consts::TAU;
        let wave = phase.sin() + (2.0 * phase).sin() / 2.0 + (5.0 * phase).sin() / 5.0;
        #[expect(clippy::cast_possible_truncation, reason = "far below full scale")]
        let sample = (wave * 4000.0) as i16;
        sample
    };
    (0..1600).map(sample).collect()
}

fn concealment(c: &mut Criterion) {
    let voice = voice();
    let mut concealer = Concealer::new(8000);
    let mut frame = [0; FRAME];
    c.bench_function("plc/good frame", |b| {
        b.iter(|| {
            frame.copy_from_slice(&voice[..FRAME]);
            concealer.good(black_box(&mut frame));
        });
    });
    for (name, near) in [("plc/20 ms, both sides", FRAME), ("plc/20 ms, one side", 0)] {
        voice.chunks(FRAME).for_each(|frame| concealer.good(&mut frame.to_vec()));
        let ready = concealer.clone();
        c.bench_function(name, |b| {
            let mut concealer = ready.clone();
            b.iter(|| concealer.conceal(black_box(&voice[..near]), &mut frame));
        });
    }
}

criterion_group!(benches, packets, concealment);
criterion_main!(benches);
