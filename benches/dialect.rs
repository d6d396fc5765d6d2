//! What each dialect costs for 20 ms of one call: octets on the wire and time, each way.
//!
//! Rows are those of `Protocol::ALL`, with what each agrees to where nothing is asked for. The octets
//! are printed first: a frame's with its WebSocket header, and kbit/s of that at 50 frames a second,
//! without TLS. Resampling and G.711 are not in it, and the socket is not.

#![allow(clippy::print_stdout, reason = "octets are not measured by the clock")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwire::app::stream::dialect::cost::{Conversation, on_wire};
use bellwire::app::stream::options::{OutFormat, Protocol, Settings};
use bellwire::app::stream::seat::{Incoming, Outgoing};
use bellwire::audio::decode::LiveFormat;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use std::hint::black_box;

/// Sound is not all zeros; base64 does not care.
fn noise(octets: usize) -> Vec<u8> {
    (0..octets).map(|n| u8::try_from(n * 7_919 % 251).unwrap_or_default()).collect()
}

/// Octets of a frame towards the client.
fn out_octets(settings: &Settings) -> usize {
    let sample = match settings.out_format {
        OutFormat::PcmS16le => 2,
        OutFormat::Mulaw | OutFormat::Alaw => 1,
    };
    (settings.out_rate * settings.frame_ms / 1000) as usize * sample
}

/// Octets of 20 ms of the client's sound.
fn in_octets(settings: &Settings) -> usize {
    let law = matches!(settings.format, LiveFormat::Mulaw | LiveFormat::Alaw);
    (settings.rate / 50) as usize * if law { 1 } else { 2 }
}

/// 20 ms as a client of this protocol writes it.
fn spoken(protocol: Protocol, settings: &Settings) -> Incoming {
    let sound = noise(in_octets(settings));
    let payload = STANDARD.encode(&sound);
    let text = match protocol.as_str() {
        "twilio" => {
            let stream = "MZ0123456789abcdef0123456789abcdef";
            json!({"event": "media", "streamSid": stream, "media": {"payload": payload}})
        }
        "telnyx" => json!({"event": "media", "media": {"payload": payload}}),
        "plivo" => {
            let media =
                json!({"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": payload});
            json!({"event": "playAudio", "media": media})
        }
        "pipecat" => return Incoming::Binary(audio_raw_frame(&sound, settings.rate).into()),
        _ => return Incoming::Binary(sound.into()),
    };
    Incoming::Text(text.to_string())
}

/// Pipecat's `Frame { audio = 2 { audio = 3, sample_rate = 4, num_channels = 5 } }` in protobuf.
fn audio_raw_frame(sound: &[u8], rate: u32) -> Vec<u8> {
    let varint = |mut value: u64| {
        let mut octets = Vec::new();
        while value > 0x7f {
            octets.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        octets.push(u8::try_from(value).unwrap_or_default());
        octets
    };
    let field = |number: u8, kind: u8| vec![number << 3 | kind];
    let audio = [
        field(3, 2),
        varint(sound.len() as u64),
        sound.to_vec(),
        field(4, 0),
        varint(rate.into()),
        field(5, 0),
        varint(1),
    ]
    .concat();
    [field(2, 2), varint(audio.len() as u64), audio].concat()
}

fn octets(message: &Incoming) -> usize {
    match message {
        Incoming::Text(text) => text.len(),
        Incoming::Binary(octets) => octets.len(),
        Incoming::Alive => 0,
    }
}

fn dialects(c: &mut Criterion) {
    println!("dialect        to client: sound, wire, kbit/s   from client: sound, wire, kbit/s");
    for protocol in Protocol::ALL {
        let mut talk = Conversation::open(protocol);
        let settings = *talk.settings();
        let (out, message) = (out_octets(&settings), spoken(protocol, &settings));
        let wire = on_wire(talk.frame(noise(out).into()).octets(), false);
        let kbits = |wire: usize, ms: u32| wire * 8 / ms as usize;
        let (sound, masked) = (talk.read(message.clone()), on_wire(octets(&message), true));
        println!(
            "{:<14} {out:>16} {wire:>5} {:>6} {sound:>23} {masked:>5} {:>6}",
            protocol.as_str(),
            kbits(wire, settings.frame_ms),
            kbits(masked, 20),
        );
        assert!(sound > 0, "{} does not read its own sound", protocol.as_str());
    }
    let mut group = c.benchmark_group("dialect");
    for protocol in Protocol::ALL {
        let (name, mut talk) = (protocol.as_str(), Conversation::open(protocol));
        let settings = *talk.settings();
        let frame = Bytes::from(noise(out_octets(&settings)));
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("to client/{name}"), |b| {
            b.iter(|| -> Outgoing { talk.frame(black_box(frame.clone())) });
        });
        let message = spoken(protocol, &settings);
        group.bench_function(format!("from client/{name}"), |b| {
            b.iter(|| talk.read(black_box(message.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, dialects);
criterion_main!(benches);
