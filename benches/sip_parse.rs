//! Reading SIP messages: ours against rsip.
//!
//! `parse` splits and indexes the message; `typed` adds From, To, Via, CSeq and Contact as values,
//! which is what routing a message needs. Inputs: an INVITE with SDP (1,302 bytes, 21 header
//! lines) and a 200 OK (222 bytes). Run with `cargo bench --bench sip_parse`.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on must stop")]
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use bellwire::sip::message::{Limits, Message, MessageWriter, ResponseSpec, frame};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rsip::message::HeadersExt;
use rsip::prelude::ToTypedHeader;
use std::hint::black_box;

const MESSAGES: [(&str, &[u8]); 2] = [
    ("invite", include_bytes!("../tests/data/sip/invite.dat")),
    ("ok", include_bytes!("../tests/data/sip/ok.dat")),
];

fn read(c: &mut Criterion) {
    for (name, bytes) in MESSAGES {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        group.bench_function("ours_parse", |b| {
            b.iter(|| Message::parse(black_box(bytes)).unwrap().body().len());
        });
        group.bench_function("ours_typed", |b| b.iter(|| ours_typed(black_box(bytes))));
        group.bench_function("ours_frame", |b| {
            b.iter(|| frame(black_box(bytes), &Limits::STREAM));
        });
        group.bench_function("rsip_parse", |b| {
            b.iter(|| rsip::SipMessage::try_from(black_box(bytes)).unwrap());
        });
        group.bench_function("rsip_typed", |b| b.iter(|| rsip_typed(black_box(bytes))));
        group.finish();
    }
}

fn respond(c: &mut Criterion) {
    let invite = Message::parse(MESSAGES[0].1).unwrap();
    let spec = ResponseSpec { code: 180, to_tag: Some("9f2a"), ..ResponseSpec::default() };
    let mut out = Vec::with_capacity(2048);
    c.bench_function("respond/ours", |b| {
        b.iter(|| {
            out.clear();
            MessageWriter::respond(&mut out, black_box(&invite), &spec).finish().unwrap()
        });
    });
}

fn ours_typed(bytes: &[u8]) -> usize {
    let message = Message::parse(bytes).unwrap();
    let from = message.from().unwrap();
    let to = message.to().unwrap();
    let via = message.via().unwrap();
    let cseq = message.cseq().unwrap();
    let contact = message.contacts().next().unwrap().unwrap();
    black_box((from, to, via, cseq, contact));
    message.body().len()
}

fn rsip_typed(bytes: &[u8]) -> rsip::SipMessage {
    let message = rsip::SipMessage::try_from(bytes).unwrap();
    let from = message.from_header().unwrap().typed().unwrap();
    let to = message.to_header().unwrap().typed().unwrap();
    let via = message.via_header().unwrap().typed().unwrap();
    let cseq = message.cseq_header().unwrap().typed().unwrap();
    let contact = message.contact_header().unwrap().typed().unwrap();
    black_box((from, to, via, cseq, contact));
    message
}

criterion_group!(benches, read, respond);
criterion_main!(benches);
