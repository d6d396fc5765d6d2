//! G.711, 20 ms of it. Goal: under 100 ns a frame.

use std::hint::black_box;

use bellwire::audio::codec::CODECS;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn g711(c: &mut Criterion) {
    let samples: Vec<i16> = (0..160_i16).map(|n| n.wrapping_mul(7_919)).collect();
    let mut group = c.benchmark_group("g711");
    group.throughput(Throughput::Elements(160));
    for spec in &CODECS {
        let mut codec = spec.codec();
        let (mut payload, mut out) = ([0; 160], [0; 160]);
        group.bench_function(format!("encode/{}", spec.name), |b| {
            b.iter(|| codec.encode(black_box(&samples), black_box(&mut payload)));
        });
        group.bench_function(format!("decode/{}", spec.name), |b| {
            b.iter(|| codec.decode(black_box(&payload), black_box(&mut out)));
        });
    }
    group.finish();
}

criterion_group!(benches, g711);
criterion_main!(benches);
