//! The two rings, one frame through each, on one thread.

use bellwire::media::interface::{FrameHeader, FrameKind};
use bellwire::media::ring;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn playout(criterion: &mut Criterion) {
    let (mut writer, mut reader) = ring::playout(16_000);
    let (sound, mut frame) = ([1_000_i16; 160], [0_i16; 160]);
    criterion.bench_function("playout_frame", |bencher| {
        bencher.iter(|| {
            writer.push(black_box(&sound));
            reader.pop(black_box(&mut frame))
        });
    });
}

fn capture(criterion: &mut Criterion) {
    let (mut writer, mut reader) = ring::capture(64, 64 * 160);
    let (sound, mut heard) = ([1_000_i16; 160], Vec::with_capacity(160));
    let header = FrameHeader { position: 0, samples: 160, kind: FrameKind::Packet };
    criterion.bench_function("capture_frame", |bencher| {
        bencher.iter(|| {
            writer.push(header, black_box(&sound));
            heard.clear();
            reader.pop(black_box(&mut heard))
        });
    });
}

criterion_group!(benches, playout, capture);
criterion_main!(benches);
