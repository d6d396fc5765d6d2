//! Where packets wait for their turn: 64 slots, indexed by the low bits of the number.

use super::payload::PayloadKind;
use super::{MAX_PAYLOAD, SLOTS};
use crate::audio::codec::CodecId;
use crate::rtp::packet::{Packet, Ssrc};
use crate::rtp::seq::{ExtendedSeq, Seq16, Ts32};
use std::time::Instant;

/// One packet with its payload, or an empty place for one.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) seq: ExtendedSeq,
    pub(super) arrived: Instant,
    pub(super) ssrc: Ssrc,
    pub(super) timestamp: Ts32,
    pub(super) marker: bool,
    pub(super) kind: PayloadKind,
    taken: bool,
    /// It came as part of a later packet (RFC 2198).
    repeated: bool,
    /// Clock units of audio in it.
    units: u32,
    len: usize,
    payload: [u8; MAX_PAYLOAD],
}

impl Slot {
    /// An empty place; the time has no meaning.
    pub(super) fn new(any_time: Instant) -> Self {
        Self {
            seq: ExtendedSeq::first(Seq16(0)),
            arrived: any_time,
            ssrc: Ssrc(0),
            timestamp: Ts32(0),
            marker: false,
            kind: PayloadKind::Unknown,
            taken: false,
            repeated: false,
            units: 0,
            len: 0,
            payload: [0; MAX_PAYLOAD],
        }
    }

    /// Copies a packet in. What is unknown or too long keeps its place but not its payload.
    pub(super) fn fill(
        &mut self,
        arrived: Instant,
        seq: ExtendedSeq,
        kind: PayloadKind,
        packet: &Packet<'_>,
    ) {
        let payload = if kind == PayloadKind::Unknown { &[] } else { packet.payload };
        self.len = payload.len().min(MAX_PAYLOAD);
        self.payload[..self.len].copy_from_slice(&payload[..self.len]);
        self.units = match kind {
            PayloadKind::Audio(codec) => codec.spec().clock_units(&payload[..self.len]),
            PayloadKind::TelephoneEvent
            | PayloadKind::ComfortNoise
            | PayloadKind::Redundant
            | PayloadKind::Unknown => 0,
        };
        self.seq = seq;
        self.arrived = arrived;
        self.ssrc = packet.ssrc;
        self.timestamp = packet.timestamp;
        self.marker = packet.marker;
        self.kind = kind;
        self.taken = true;
        self.repeated = false;
    }

    pub(super) const fn clear(&mut self) {
        self.taken = false;
    }

    pub(super) const fn is_taken(&self) -> bool {
        self.taken
    }

    /// The payload; still there after `clear`, until the next `fill`.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload[..self.len]
    }

    /// Whether it came as part of a later packet.
    pub(super) const fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Clock units of audio in it.
    pub(super) const fn units(&self) -> u64 {
        self.units as u64
    }
}

/// The slots of one buffer. All numbers in them lie within [`SLOTS`] of each other.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Box<[Slot]>,
    taken: usize,
}

impl Slots {
    pub(super) fn new(any_time: Instant) -> Self {
        Self { slots: vec![Slot::new(any_time); SLOTS].into_boxed_slice(), taken: 0 }
    }

    /// The slot at an index below [`SLOTS`].
    pub(super) fn at(&self, index: usize) -> &Slot {
        &self.slots[index % SLOTS]
    }

    pub(super) fn holds(&self, seq: ExtendedSeq) -> bool {
        let slot = self.at(seq.slot(SLOTS));
        slot.taken && slot.seq == seq
    }

    /// Whether this number is here by a packet of its own.
    pub(super) fn holds_itself(&self, seq: ExtendedSeq) -> bool {
        self.holds(seq) && !self.at(seq.slot(SLOTS)).repeated
    }

    /// Whether audio may go on at this number with that timestamp: nothing here contradicts it.
    pub(super) fn continues(&self, seq: ExtendedSeq, timestamp: Ts32) -> bool {
        let slot = self.at(seq.slot(SLOTS));
        !self.holds(seq) || slot.timestamp == timestamp
    }

    /// The packet of this number came as part of a later one.
    pub(super) fn mark_repeated(&mut self, seq: ExtendedSeq) {
        self.slots[seq.slot(SLOTS)].repeated = true;
    }

    pub(super) fn fill(
        &mut self,
        arrived: Instant,
        seq: ExtendedSeq,
        kind: PayloadKind,
        packet: &Packet<'_>,
    ) {
        let slot = &mut self.slots[seq.slot(SLOTS)];
        self.taken += usize::from(!slot.taken);
        slot.fill(arrived, seq, kind, packet);
    }

    /// Moves a packet in from outside; what it leaves there is empty.
    pub(super) fn swap_in(&mut self, outside: &mut Slot) {
        let slot = &mut self.slots[outside.seq.slot(SLOTS)];
        self.taken += usize::from(outside.taken && !slot.taken);
        std::mem::swap(slot, outside);
        outside.clear();
    }

    pub(super) fn clear(&mut self, index: usize) {
        let slot = &mut self.slots[index % SLOTS];
        self.taken -= usize::from(slot.taken);
        slot.clear();
    }

    /// The nearest number after `seq`, and when the first of all those after it came.
    pub(super) fn first_after(&self, seq: ExtendedSeq) -> Option<(ExtendedSeq, Instant)> {
        if self.taken == 0 {
            return None;
        }
        let later = self.slots.iter().filter(|s| s.taken && s.seq > seq);
        later.fold(None, |best, slot| match best {
            None => Some((slot.seq, slot.arrived)),
            Some((number, arrived)) => Some((number.min(slot.seq), arrived.min(slot.arrived))),
        })
    }

    /// Audio without a gap from `seq` on.
    pub(super) const fn following(&self, seq: ExtendedSeq) -> Following<'_> {
        Following { slots: Some(self), seq, timestamp: None }
    }
}

/// The audio behind a hole, packet by packet, as far as it is here without a gap.
#[derive(Debug, Clone)]
pub struct Following<'a> {
    slots: Option<&'a Slots>,
    seq: ExtendedSeq,
    timestamp: Option<Ts32>,
}

impl Following<'_> {
    pub(super) const fn none() -> Self {
        Self { slots: None, seq: ExtendedSeq::first(Seq16(0)), timestamp: None }
    }
}

impl<'a> Iterator for Following<'a> {
    type Item = (CodecId, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let slots = self.slots.filter(|slots| slots.holds(self.seq))?;
        let slot = slots.at(self.seq.slot(SLOTS));
        let PayloadKind::Audio(codec) = slot.kind else { return None };
        if self.timestamp.is_some_and(|expected| expected != slot.timestamp) {
            return None;
        }
        self.seq = self.seq.plus(1);
        self.timestamp = Some(slot.timestamp.plus(slot.units));
        Some((codec, slot.payload()))
    }
}
