//! Live MP3: octets in chunks of 480, to samples. The figure is per frame of the stream.

use std::hint::black_box;

use bellwire::audio::decode::{LiveDecoder, LiveFormat};
use bellwire::audio::rate::SampleRate;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Recordings of 0.6 s, and how many frames of audio they have.
const FILES: [(&str, &[u8], u64); 4] = [
    ("44100-stereo-128k", include_bytes!("../tests/data/audio/stereo-44100-cbr.mp3"), 24),
    ("48000-joint-128k", include_bytes!("../tests/data/audio/joint-48000-cbr.mp3"), 26),
    ("24000-mono-vbr", include_bytes!("../tests/data/audio/mono-24000-vbr.mp3"), 27),
    ("8000-mono-32k", include_bytes!("../tests/data/audio/mono-8000-mpeg25.mp3"), 11),
];

fn mp3_frame(c: &mut Criterion) {
    let mut group = c.benchmark_group("mp3_frame");
    for (name, file, frames) in FILES {
        group.throughput(Throughput::Elements(frames));
        let mut decoder = LiveDecoder::new(LiveFormat::Mp3, SampleRate::HZ_16000);
        group.bench_function(name, |b| {
            b.iter(|| {
                for chunk in file.chunks(480) {
                    decoder.push(black_box(chunk), &mut |output| {
                        black_box(output);
                    });
                }
                decoder.flush(&mut |output| {
                    black_box(output);
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, mp3_frame);
criterion_main!(benches);
