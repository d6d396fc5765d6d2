//! Fuzz entry: octets as a history of packets and polls, with the invariants checked.

use super::{Decision, JitterBuffer, PayloadKind, PayloadTable};
use crate::media::interface::JitterSpec;
use crate::rtp::packet::{Packet, Ssrc};
use crate::rtp::seq::{Seq16, Ts32};
use std::time::{Duration, Instant};

/// Polls without a packet between them that may say something: 64 slots, a parked source, and a
/// hole and a silence before each.
const MOST_DECISIONS: usize = 3 * (super::SLOTS + 8);

/// Payload type of redundant audio data.
const RED: u8 = 97;
/// Its headers: 160 octets of PCMU that are 160 units old, then PCMU.
const RED_HEADERS: [u8; 5] = [0x80, 2, 0x80, 160, 0];

/// Plays a history of eight octets a step and checks that positions are contiguous, that polling
/// ends, that deadlines lie ahead, and that lengths are bounded.
///
/// A step is: flags (poll or not, marker, source, how number and timestamp go on), a payload
/// type, a delay, a step of the number, two octets for the timestamp, two for the length.
///
/// # Panics
/// When an invariant is broken.
#[allow(clippy::disallowed_methods, reason = "any origin of time does for fuzzing")]
pub fn fuzz_history(bytes: &[u8]) {
    let start = Instant::now();
    let ms = Duration::from_millis;
    let spec = JitterSpec { hole_wait: ms(40), hole_wait_min: ms(20), hole_wait_max: ms(80) };
    let payloads = PayloadTable::standard()
        .with(101, PayloadKind::TelephoneEvent)
        .with(RED, PayloadKind::Redundant);
    let mut history = History {
        now: start,
        buffer: JitterBuffer::new(start, 8000, spec, payloads),
        reached: 0,
        came_out: 0,
        inserted: 0,
        seq: Seq16(65_500),
        timestamp: Ts32(u32::MAX - 8000),
    };
    for step in bytes.chunks_exact(8) {
        history.step(step.try_into().unwrap_or([0; 8]));
    }
    history.now += Duration::from_secs(1);
    history.drain();
    assert_eq!(history.buffer.position(), history.reached, "position of the buffer");
    let JitterBuffer { slots, parked, beyond, .. } = &history.buffer;
    assert!(slots.is_balanced(parked.slots.iter().chain([beyond])), "blocks of payload");
}

struct History {
    now: Instant,
    buffer: JitterBuffer,
    reached: u64,
    came_out: u64,
    inserted: u64,
    seq: Seq16,
    timestamp: Ts32,
}

impl History {
    fn step(&mut self, step: [u8; 8]) {
        let [flags, kind, delay, number, ts_high, ts_low, len_high, len_low] = step;
        self.now += Duration::from_millis(u64::from(delay >> 2));
        let ssrc = Ssrc(u32::from(flags >> 6));
        self.seq = match flags & 3 {
            0 | 1 => self.seq.next(),
            2 => self.seq.plus(u16::from(number)),
            _ => self.seq.plus((u16::from(number) << 8).wrapping_sub(0x4000)),
        };
        let jump = u16::from_be_bytes([ts_high, ts_low]);
        self.timestamp = match flags >> 2 & 3 {
            0 | 1 => self.timestamp.plus(160),
            2 => self.timestamp.plus(u32::from(jump)),
            _ => self.timestamp.plus(u32::from(jump) << 16),
        };
        let len = usize::from(u16::from_be_bytes([len_high, len_low]) % 520);
        let payload_type = [0, 0, 0, 8, 13, 101, 99, RED][usize::from(kind & 7)];
        let mut payload = [len_low; 520];
        // Half of them say what they repeat, the others anything.
        if payload_type == RED && kind & 8 != 0 {
            payload[..RED_HEADERS.len()].copy_from_slice(&RED_HEADERS);
        }
        let packet = Packet {
            seq: self.seq,
            timestamp: self.timestamp,
            ssrc,
            payload_type,
            marker: flags & 0x10 != 0,
            payload: payload.get(..len).unwrap_or_default(),
        };
        self.buffer.insert(self.now, &packet);
        self.inserted += 1;
        if flags & 0x20 == 0 {
            self.drain();
        }
    }

    fn drain(&mut self) {
        for _ in 0..MOST_DECISIONS {
            let (position, samples) = match self.buffer.poll(self.now) {
                Decision::Wait(until) => {
                    assert!(until.is_none_or(|at| at > self.now), "a deadline in the past");
                    return;
                }
                Decision::Source { .. } => continue,
                Decision::Event { position, payload, .. } => {
                    assert!(position <= self.reached, "an event in the future");
                    assert!(payload.len() <= super::MAX_PAYLOAD, "longer than a slot");
                    self.came_out += 1;
                    continue;
                }
                Decision::Packet { position, payload, .. } => {
                    assert!(payload.len() <= super::MAX_PAYLOAD, "longer than a slot");
                    self.came_out += 1;
                    (position, payload.len() as u64)
                }
                Decision::Hole { position, samples, following } => {
                    assert!(following.count() <= super::SLOTS, "more follows than fits");
                    assert!(samples <= 16_000 && samples > 0, "a hole of {samples}");
                    (position, u64::from(samples))
                }
                Decision::Silence { position, samples, .. } => {
                    assert!(samples <= 480_000 && samples > 0, "a silence of {samples}");
                    (position, u64::from(samples))
                }
            };
            assert_eq!(position, self.reached, "a gap or an overlap");
            self.reached += samples;
            // A packet may bring one that it repeats.
            assert!(self.came_out <= 2 * self.inserted, "more came out than went in");
        }
        panic!("polling does not end");
    }
}
