//! What one frame of 20 ms costs in each dialect: octets on the wire, and time to write and read.
//!
//! The octets are those of the message with its WebSocket header, without TLS: 2 of them, 4 from
//! 126 octets on, and 4 more for the mask of what a client sends.

use std::hint::black_box;

use bellwire::app::stream::Protocol;
use bellwire::app::stream::dialect::measure::Frames;
use criterion::{Criterion, criterion_group, criterion_main};

fn header(octets: usize) -> usize {
    if octets < 126 { 2 } else { 4 }
}

#[allow(clippy::print_stderr, reason = "octets are no time, and Criterion prints nothing else")]
fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("dialect");
    for protocol in Protocol::ALL {
        let name = protocol.as_str();
        let mut frames = Frames::of(protocol);
        let (out, back) = (frames.write(), frames.message_octets());
        let (out, back) = (out + header(out), back + header(back) + 4);
        eprintln!("dialect/{name}: {out} octets out, {back} octets in, a frame of 20 ms");
        group.bench_function(format!("{name}/write"), |b| b.iter(|| black_box(frames.write())));
        group.bench_function(format!("{name}/read"), |b| b.iter(|| black_box(frames.read())));
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);
