//! Resampling, 20 ms of it, and what a resampler costs to make.

use std::hint::black_box;

use bellwire::audio::rate::SampleRate;
use bellwire::audio::resample::{Resampler, WholeResampler};
use criterion::{Criterion, criterion_group, criterion_main};

const WAYS: [(u32, u32); 8] = [
    (16_000, 8_000),
    (24_000, 8_000),
    (44_100, 8_000),
    (48_000, 8_000),
    (22_050, 8_000),
    (8_000, 16_000),
    (8_000, 24_000),
    (8_000, 48_000),
];

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).expect("not zero")
}

fn resample(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample");
    for (from, to) in WAYS {
        let sample = |n: u32| i16::try_from(n * 7_919 % 40_000).unwrap_or(-9_000);
        let frame: Vec<i16> = (0..from / 50).map(sample).collect();
        let mut live = Resampler::new(rate(from), rate(to)).expect("in range");
        let mut out = Vec::with_capacity(4_096);
        group.bench_function(format!("live/{from}-{to}"), |b| {
            b.iter(|| {
                out.clear();
                live.process(black_box(&frame), &mut out);
            });
        });
        let frame: Vec<f32> = frame.iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
        let mut whole = WholeResampler::new(rate(from), rate(to)).expect("in range");
        let mut out = Vec::with_capacity(4_096);
        group.bench_function(format!("whole/{from}-{to}"), |b| {
            b.iter(|| {
                out.clear();
                whole.process(black_box(&frame), &mut out);
            });
        });
    }
    for from in [24_000, 44_100, 22_050] {
        group.bench_function(format!("new/{from}-8000"), |b| {
            b.iter(|| Resampler::new(rate(black_box(from)), SampleRate::HZ_8000));
        });
    }
    group.finish();
}

criterion_group!(benches, resample);
criterion_main!(benches);
