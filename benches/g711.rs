//! 20 ms of each codec. Goal: under 100 ns a frame of G.711.

use std::hint::black_box;

use bellwire::audio::codec::{CODECS, Way};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn g711(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    for spec in CODECS {
        let frame = spec.sample_rate.hz() / 50;
        let samples: Vec<i16> = (0..frame).map(|n| (n * 7_919 % 20_000) as i16).collect();
        group.throughput(Throughput::Elements(frame.into()));
        let mut codec = spec.codec(Way::Both);
        let (mut payload, mut out) = ([0; 160], [0; 320]);
        let len = codec.encode(&samples, &mut payload);
        group.bench_function(format!("encode/{}", spec.name), |b| {
            b.iter(|| codec.encode(black_box(&samples), black_box(&mut payload)));
        });
        group.bench_function(format!("decode/{}", spec.name), |b| {
            b.iter(|| codec.decode(black_box(&payload[..len]), black_box(&mut out)));
        });
    }
    group.finish();
}

criterion_group!(benches, g711);
criterion_main!(benches);
