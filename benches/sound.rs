//! What listening and mending cost for each 20 ms of one call at 8 kHz.
//!
//! The sound is a buzz with the pitch of a voice that comes and goes, so that searches find a period
//! and detectors have something to decide.

use bellwire::audio::beep::BeepDetector;
use bellwire::audio::dtmf::DtmfDetector;
use bellwire::audio::plc::Concealer;
use bellwire::audio::rate::SampleRate;
use bellwire::audio::vad::Vad;
use bellwire::audio::warp;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

const FRAME: usize = 160;
const SECONDS: usize = 4;

/// Half a second of voice, half a second of almost nothing, and so on.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a sound")]
fn voice() -> Vec<i16> {
    let sample = |n: usize| {
        let seconds = n as f32 / 8_000.0;
        let part = |hz: f32| (seconds * hz * std::f32::consts::TAU).sin();
        let buzz = (1..20_u8).map(|k| part(130.0 * f32::from(k)) / f32::from(k)).sum::<f32>();
        let loud = if (n / 4_000).is_multiple_of(2) { 4_000.0 } else { 10.0 };
        (loud * buzz * (1.0 + 0.5 * part(4.0))) as i16
    };
    (0..SECONDS * 8_000).map(sample).collect()
}

/// Pushes frame after frame, with positions that go on.
struct Frames {
    sound: Vec<i16>,
    at: usize,
}

impl Frames {
    fn next(&mut self) -> (u64, &[i16]) {
        let position = self.at as u64;
        let from = self.at % self.sound.len();
        self.at += FRAME;
        (position, &self.sound[from..from + FRAME])
    }
}

fn frames() -> Frames {
    Frames { sound: voice(), at: 0 }
}

fn detectors(c: &mut Criterion) {
    let rate = SampleRate::HZ_8000;
    let mut group = c.benchmark_group("sound");
    let (mut vad, mut all) = (Vad::new(rate), frames());
    group.bench_function("vad", |b| {
        b.iter(|| {
            let (position, frame) = all.next();
            vad.push(position, black_box(frame), &mut |event| _ = black_box(event));
        });
    });
    let (mut dtmf, mut all) = (DtmfDetector::new(rate), frames());
    group.bench_function("dtmf", |b| {
        b.iter(|| {
            let (position, frame) = all.next();
            dtmf.push(position, black_box(frame), &mut |digit| _ = black_box(digit));
        });
    });
    let (mut beeps, mut all) = (BeepDetector::new(rate), frames());
    group.bench_function("beep", |b| {
        b.iter(|| {
            let (position, frame) = all.next();
            beeps.push(position, black_box(frame), &mut |event| _ = black_box(event));
        });
    });
    group.finish();
}

fn mending(c: &mut Criterion) {
    let mut group = c.benchmark_group("sound");
    let sound = voice();
    let mut plc = Concealer::new(8_000);
    for frame in sound[..1_600].chunks(FRAME) {
        plc.good(&mut frame.to_vec());
    }
    let mut frame = [0; FRAME];
    group.bench_function("good", |b| {
        b.iter(|| {
            frame.copy_from_slice(&sound[1_600..1_600 + FRAME]);
            plc.good(black_box(&mut frame));
        });
    });
    group.bench_function("conceal/one side", |b| {
        b.iter(|| plc.conceal(black_box(&[]), black_box(&mut frame)));
    });
    group.bench_function("conceal/two sides", |b| {
        b.iter(|| plc.conceal(black_box(&sound[1_920..2_240]), black_box(&mut frame)));
    });
    // Pitch from 66 to 400 Hz, compared over 10 ms, as in `media::pace`.
    group.bench_function("stretch/search", |b| {
        b.iter(|| warp::search(black_box(&sound[..400]), 20..=120, 80));
    });
    let mut made = Vec::with_capacity(400);
    group.bench_function("stretch/join", |b| {
        b.iter(|| {
            made.clear();
            warp::stretch(black_box(&sound[..400]), 62, 80, |sample| made.push(sample));
        });
    });
    group.finish();
}

criterion_group!(benches, detectors, mending);
criterion_main!(benches);
