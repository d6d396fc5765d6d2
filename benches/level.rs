//! What levels, filters, noise and a background cost, per 20 ms at 8 kHz.

use std::hint::black_box;
use std::time::Duration;

use bellwire::audio::agc::{HeardLevel, StreamLevel};
use bellwire::audio::filter::LowCut;
use bellwire::audio::gain::TARGET_DBOV;
use bellwire::audio::rate::SampleRate;
use bellwire::media::background::Background;
use bellwire::media::interface::{BackgroundSpec, SilencePolicy, SilenceSpec};
use bellwire::media::silence::Silence;
use criterion::{Criterion, criterion_group, criterion_main};

const RATE: SampleRate = SampleRate::HZ_8000;
const FRAME: usize = 160;
const BEAT: Duration = Duration::from_millis(20);

/// Something like a voice, of this peak.
fn frame(peak: i32) -> [i16; FRAME] {
    std::array::from_fn(|n| {
        let wave = i32::try_from(n * 7_919 % 4_001).unwrap_or(0) - 2_000;
        i16::try_from(wave * peak / 2_000).unwrap_or(0)
    })
}

fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("level");
    let mut out = Vec::with_capacity(2 * FRAME);
    for (name, target, peak) in [
        ("stream/dc-block", None, 6_000),
        ("stream/agc", Some(TARGET_DBOV), 6_000),
        ("stream/agc-and-limiter-at-work", Some(0.0), 30_000),
    ] {
        let (mut level, frame) = (StreamLevel::new(RATE, target), frame(peak));
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                level.process(black_box(&frame), &mut out);
            });
        });
    }
    let mut heard = HeardLevel::new(RATE, Some(TARGET_DBOV));
    group.bench_function("heard/agc", |b| {
        b.iter(|| {
            let mut frame = frame(6_000);
            heard.apply(black_box(&mut frame));
        });
    });
}

fn leg(c: &mut Criterion) {
    let mut group = c.benchmark_group("level");
    let mut low_cut = LowCut::new(RATE);
    let mut samples = frame(6_000);
    group.bench_function("leg/low-cut", |b| b.iter(|| low_cut.apply(black_box(&mut samples))));
    let track = vec![1_000; 60 * 8_000].into();
    let spec = BackgroundSpec { samples: track, gain_db: -18.0, duck_db: 12.0 };
    let mut background = Background::new(&spec, RATE).expect("samples");
    group.bench_function("leg/background", |b| {
        b.iter(|| {
            let mut frame = [500; FRAME];
            background.mix(black_box(&mut frame));
        });
    });
    for (name, noise) in [("leg/silence", None), ("leg/comfort-noise", Some(-65))] {
        let spec = SilenceSpec { policy: SilencePolicy::Packets, comfort_noise_dbov: noise };
        let mut silence = Silence::new(spec, RATE);
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut frame = [0; FRAME];
                silence.due(black_box(&mut frame), BEAT, false)
            });
        });
    }
}

criterion_group!(benches, stream, leg);
criterion_main!(benches);
