//! Who hears a caller at the far end of a path: the leg's jitter buffer and concealment, and then
//! one of three ways to listen. In virtual time, from packet to sample.
//!
//! ```text
//!  speech ─> µ-law packets ─> Path ─> JitterBuffer ─> Concealer ─┬─> Pace, 5 ms at a time ─> Heard
//!                               └──> a fixed buffer, forward concealment ─────────────────> Heard
//! ```
//!
//! Included by `#[path]`; judges nothing.

#![allow(
    dead_code,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "times of short calls; not everybody who includes this uses all of it"
)]

use bellwire::audio::codec::SampleRate;
use bellwire::audio::codec::g711::{decode_ulaw, encode_ulaw};
use bellwire::audio::plc::Concealer;
use bellwire::media::interface::{FrameHeader, FrameKind, JitterSpec};
use bellwire::media::jitter::{Decision, JitterBuffer, PayloadTable};
use bellwire::media::pace::{Pace, PaceReport, PaceSpec};
use bellwire::rtp::packet::Packet;
use std::time::{Duration, Instant};

/// Samples of a packet.
pub const FRAME: usize = 160;
/// How long one sample lasts, in microseconds.
const SAMPLE_US: u64 = 125;
/// Of the end, nothing is counted: the last packet may be lost, and nobody knows.
const TAIL_US: u64 = 300_000;
/// How often the listener takes sound.
const BEAT_US: u64 = 5_000;

/// What one listener got.
#[derive(Debug)]
pub struct Heard {
    /// 8 kHz, from the first sample of the caller on, as far as it is known.
    pub samples: Vec<i16>,
    /// Share of it that was made up, by whomever, in percent.
    pub concealed: f64,
    /// Mean time above the fastest packet that a sample waits, in milliseconds.
    pub delay_ms: f64,
    /// How long the fastest packet waited, as a paced listener says, every 20 ms. In milliseconds.
    pub delays_ms: Vec<f64>,
    /// Of a paced listener.
    pub report: PaceReport,
}

/// A frame as it leaves the leg: when, and what.
pub struct Captured {
    /// In microseconds.
    pub at_us: u64,
    /// Where it belongs.
    pub header: FrameHeader,
    /// Its sound.
    pub samples: Vec<i16>,
}

/// The packets of `speech` on their way: when each comes, in microseconds.
fn arrivals(late: &[Option<u32>]) -> Vec<(u64, usize)> {
    let come = late.iter().enumerate().filter_map(|(n, late)| {
        let sent_us = (n as u64 + 1) * FRAME as u64 * SAMPLE_US;
        Some((sent_us + u64::from((*late)?), n))
    });
    let mut arrivals: Vec<(u64, usize)> = come.collect();
    arrivals.sort_unstable();
    arrivals
}

fn packet(n: usize, sound: &[i16]) -> Vec<u8> {
    let seq = u16::try_from(n % 65_536).expect("in range");
    let timestamp = u32::try_from(n * FRAME).expect("a short call");
    let mut octets = vec![0x80, 0];
    octets.extend(seq.to_be_bytes());
    octets.extend(timestamp.to_be_bytes());
    octets.extend([0, 0, 0, 7]);
    octets.extend(sound.iter().map(|sample| encode_ulaw(*sample)));
    octets
}

/// The caller's packets on their way, and the leg that takes them.
struct Leg {
    start: Instant,
    /// When each comes, and its number; the last first.
    flying: Vec<(u64, usize)>,
    jitter: JitterBuffer,
    concealer: Concealer,
    wake: Option<u64>,
    out: Vec<Captured>,
}

impl Leg {
    fn new(start: Instant, late: &[Option<u32>], spec: JitterSpec) -> Self {
        let mut flying = arrivals(late);
        flying.reverse();
        Self {
            start,
            flying,
            jitter: JitterBuffer::new(start, 8_000, spec, PayloadTable::standard()),
            concealer: Concealer::new(8_000),
            wake: None,
            out: Vec::new(),
        }
    }

    /// What it captures up to a moment.
    fn run(&mut self, speech: &[i16], until_us: u64) -> std::vec::Drain<'_, Captured> {
        loop {
            let next = self.flying.last().map(|(at, _)| *at);
            let due = [next, self.wake].into_iter().flatten().min();
            let Some(at_us) = due.filter(|at| *at <= until_us) else { break };
            let now = self.start + Duration::from_micros(at_us);
            if let Some((_, n)) = self.flying.pop_if(|(at, _)| *at <= at_us) {
                let octets = packet(n, &speech[n * FRAME..][..FRAME]);
                self.jitter.insert(now, &Packet::parse(&octets).expect("a good packet"));
            }
            self.wake = self.poll(self.start, at_us);
        }
        self.out.drain(..)
    }

    fn poll(&mut self, start: Instant, at_us: u64) -> Option<u64> {
        let now = start + Duration::from_micros(at_us);
        loop {
            match self.jitter.poll(now) {
                Decision::Packet { position, payload, .. } => {
                    let mut samples: Vec<i16> = payload.iter().map(|&o| decode_ulaw(o)).collect();
                    self.concealer.good(&mut samples);
                    put(&mut self.out, at_us, position, FrameKind::Packet, samples);
                }
                Decision::Hole { position, samples, following } => {
                    let known = following.flat_map(|(_, payload)| payload).map(|&o| decode_ulaw(o));
                    let known: Vec<i16> = known.take(320).collect();
                    let mut hole = vec![0; samples as usize];
                    self.concealer.conceal(&known, &mut hole);
                    let places = (position..).step_by(FRAME);
                    for (piece, position) in hole.chunks(FRAME).zip(places) {
                        let kind = FrameKind::Concealed;
                        put(&mut self.out, at_us, position, kind, piece.to_vec());
                    }
                }
                Decision::Silence { position, samples, .. } => {
                    let kind = FrameKind::Silence;
                    put(&mut self.out, at_us, position, kind, vec![0; samples as usize]);
                }
                Decision::Source { .. } | Decision::Event { .. } => {}
                Decision::Wait(until) => {
                    return until.map(|until| {
                        let us = until.duration_since(start).as_micros();
                        u64::try_from(us).expect("a short call").max(at_us + 1)
                    });
                }
            }
        }
    }
}

fn put(out: &mut Vec<Captured>, at_us: u64, position: u64, kind: FrameKind, samples: Vec<i16>) {
    let count = u16::try_from(samples.len()).expect("a frame");
    out.push(Captured { at_us, header: FrameHeader { position, samples: count, kind }, samples });
}

/// Somebody who takes 5 ms at a time, at an even pace.
pub fn paced(speech: &[i16], late: &[Option<u32>], spec: PaceSpec) -> Heard {
    let ms = Duration::from_millis;
    let jitter = JitterSpec { hole_wait: ms(40), hole_wait_min: ms(20), hole_wait_max: ms(80) };
    let start = anchor();
    let mut leg = Leg::new(start, late, jitter);
    let mut pace = Pace::new(SampleRate::HZ_8000, spec);
    let (mut samples, mut made_up) = (Vec::new(), 0);
    let (mut waited, mut beats, mut begun) = (0.0, 0.0, false);
    let mut delays_ms = Vec::new();
    let end = speech.len() as u64 * SAMPLE_US;
    for at_us in (0..end + 1_000_000).step_by(BEAT_US as usize) {
        let now = start + Duration::from_micros(at_us);
        for frame in leg.run(speech, at_us) {
            pace.push(start + Duration::from_micros(frame.at_us), frame.header, &frame.samples);
            begun = true;
        }
        let mut piece = [0; 40];
        let made = pace.pull(now, &mut piece);
        leg.jitter.set_due(pace.due());
        leg.wake = leg.poll(start, at_us);
        pace.set_late(now, leg.jitter.counters().late, leg.jitter.window());
        if !begun {
            continue;
        }
        samples.extend(piece);
        if at_us < end - TAIL_US {
            made_up += made;
            // Above the fastest packet there could be, which comes when its last sample was said.
            let spoken_us = (pace.position() + FRAME as u64) * SAMPLE_US;
            waited += (at_us + BEAT_US) as f64 - spoken_us as f64;
            beats += 1000.0;
            if at_us % (FRAME as u64 * SAMPLE_US) == 0 {
                delays_ms.push(pace.report(now).delay_ms as f64);
            }
        }
    }
    let concealed = 100.0 * made_up as f64 / (speech.len() as f64 - (TAIL_US / SAMPLE_US) as f64);
    let report = pace.report(start + Duration::from_micros(end));
    Heard { samples, concealed, delay_ms: waited / beats, delays_ms, report }
}

/// A buffer that keeps every sound for the same time, as most have it.
pub fn fixed(speech: &[i16], late: &[Option<u32>], delay_ms: f64) -> Heard {
    let mut concealer = Concealer::new(8_000);
    let (mut samples, mut holes, mut splice) = (Vec::new(), 0_u32, false);
    let frames = speech.chunks_exact(FRAME).zip(late);
    let count = frames.len();
    for (sound, late) in frames {
        let in_time = late.is_some_and(|late| f64::from(late) <= 1000.0 * delay_ms);
        let mut frame = [0; FRAME];
        if in_time {
            for (to, from) in frame.iter_mut().zip(sound) {
                *to = decode_ulaw(encode_ulaw(*from));
            }
            concealer.good(&mut frame);
            splice = false;
        } else {
            if !std::mem::replace(&mut splice, true) {
                concealer.splice();
            }
            concealer.fill(&mut frame);
            holes += 1;
        }
        samples.extend(frame);
    }
    let concealed = 100.0 * f64::from(holes) / count as f64;
    Heard { samples, concealed, delay_ms, delays_ms: Vec::new(), report: PaceReport::default() }
}

/// Where virtual time begins.
fn anchor() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
    Instant::now()
}
