//! Where packets wait for their turn: 64 slots, indexed by the low bits of the number.
//!
//! ```text
//!  slots   [ 7 | 8 |   | 10 | ...      parked, beyond (outside)
//!             \   \      |                 |
//!  store   [ 160 octets | 160 | 160 | ... 64 blocks, the first free ones in a row ]
//! ```

use super::payload::PayloadKind;
use super::{MAX_PAYLOAD, SLOTS};
use crate::audio::codec::CodecId;
use crate::rtp::packet::{Packet, Ssrc};
use crate::rtp::seq::{ExtendedSeq, Seq16, Ts32};
use std::time::Instant;

/// Octets of one block of payload: 20 ms of G.711.
const BLOCK: usize = 160;
/// Blocks of one buffer, one bit each in [`Store::free`].
const BLOCKS: usize = u64::BITS as usize;

/// One packet, or an empty place for one. Its payload lies in the [`Store`].
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) seq: ExtendedSeq,
    pub(super) arrived: Instant,
    pub(super) ssrc: Ssrc,
    pub(super) timestamp: Ts32,
    /// Clock units of audio in it.
    units: u32,
    len: u16,
    /// Its blocks: the first, and how many in a row.
    first: u8,
    blocks: u8,
    pub(super) kind: PayloadKind,
    pub(super) marker: bool,
    taken: bool,
    /// It came as part of a later packet (RFC 2198).
    repeated: bool,
}

impl Slot {
    /// An empty place; the time has no meaning.
    pub(super) const fn new(any_time: Instant) -> Self {
        Self {
            seq: ExtendedSeq::first(Seq16(0)),
            arrived: any_time,
            ssrc: Ssrc(0),
            timestamp: Ts32(0),
            units: 0,
            len: 0,
            first: 0,
            blocks: 0,
            kind: PayloadKind::Unknown,
            marker: false,
            taken: false,
            repeated: false,
        }
    }

    pub(super) const fn is_taken(&self) -> bool {
        self.taken
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

/// Where payloads lie: 1.28 s of G.711, in blocks, so that packets of 20 ms take a third of what the
/// longest ones do.
#[derive(Debug)]
struct Store {
    octets: Box<[u8; BLOCKS * BLOCK]>,
    /// The blocks that nobody has.
    free: u64,
}

impl Store {
    fn new() -> Self {
        Self { octets: Box::new([0; BLOCKS * BLOCK]), free: u64::MAX }
    }

    /// Copies a packet into a place. What is unknown or too long keeps its place but not its
    /// payload; so does what finds no room, and then it is `false`.
    fn fill(
        &mut self,
        slot: &mut Slot,
        arrived: Instant,
        seq: ExtendedSeq,
        kind: PayloadKind,
        packet: &Packet<'_>,
    ) -> bool {
        self.clear(slot);
        let payload = if kind == PayloadKind::Unknown { &[] } else { packet.payload };
        let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
        let room = self.take(slot, payload);
        let payload = if room { payload } else { &[] };
        slot.units = match kind {
            PayloadKind::Audio(codec) => codec.spec().clock_units(payload),
            PayloadKind::TelephoneEvent
            | PayloadKind::ComfortNoise
            | PayloadKind::Redundant
            | PayloadKind::Unknown => 0,
        };
        slot.seq = seq;
        slot.arrived = arrived;
        slot.ssrc = packet.ssrc;
        slot.timestamp = packet.timestamp;
        slot.marker = packet.marker;
        slot.kind = if room { kind } else { PayloadKind::Unknown };
        slot.taken = true;
        slot.repeated = false;
        room
    }

    /// Copies a payload into the first blocks in a row that are free: mostly the same ones, which
    /// stay in the processor's cache.
    fn take(&mut self, slot: &mut Slot, payload: &[u8]) -> bool {
        let blocks = payload.len().div_ceil(BLOCK);
        let fits = (1..blocks).fold(self.free, |fits, ahead| fits & (self.free >> ahead));
        (slot.len, slot.first, slot.blocks) = (0, 0, 0);
        if blocks == 0 {
            return true;
        }
        if fits == 0 {
            return false;
        }
        let first = fits.trailing_zeros();
        let octets = first as usize * BLOCK;
        self.octets[octets..octets + payload.len()].copy_from_slice(payload);
        // At most MAX_PAYLOAD octets, which are three blocks, of 64.
        slot.len = u16::try_from(payload.len()).unwrap_or(0);
        slot.first = u8::try_from(first).unwrap_or(0);
        slot.blocks = u8::try_from(blocks).unwrap_or(0);
        self.free &= !run(slot);
        true
    }

    /// Empties a place. What it held stays readable until the next packet is stored.
    const fn clear(&mut self, slot: &mut Slot) {
        if slot.taken {
            self.free |= run(slot);
        }
        slot.taken = false;
    }

    fn payload(&self, slot: &Slot) -> &[u8] {
        let octets = usize::from(slot.first) * BLOCK;
        &self.octets[octets..octets + usize::from(slot.len)]
    }
}

/// The bits of a slot's blocks.
const fn run(slot: &Slot) -> u64 {
    ((1 << slot.blocks) - 1) << slot.first
}

/// The slots of one buffer, and where payloads lie. All numbers in the slots are within [`SLOTS`]
/// of each other.
#[derive(Debug)]
pub(super) struct Slots {
    table: Box<[Slot]>,
    taken: usize,
    store: Store,
}

impl Slots {
    pub(super) fn new(any_time: Instant) -> Self {
        let table = vec![Slot::new(any_time); SLOTS].into_boxed_slice();
        Self { table, taken: 0, store: Store::new() }
    }

    /// The slot at an index below [`SLOTS`].
    pub(super) fn at(&self, index: usize) -> &Slot {
        &self.table[index % SLOTS]
    }

    /// The payload of a slot; still there after `clear`, until the next packet is stored.
    pub(super) fn payload(&self, slot: &Slot) -> &[u8] {
        self.store.payload(slot)
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
        self.table[seq.slot(SLOTS)].repeated = true;
    }

    /// Copies a packet in; `false` when there is no room for its payload.
    pub(super) fn fill(
        &mut self,
        arrived: Instant,
        seq: ExtendedSeq,
        kind: PayloadKind,
        packet: &Packet<'_>,
    ) -> bool {
        let slot = &mut self.table[seq.slot(SLOTS)];
        self.taken += usize::from(!slot.taken);
        self.store.fill(slot, arrived, seq, kind, packet)
    }

    /// The same for a place outside, whose payload lies here too.
    pub(super) fn fill_outside(
        &mut self,
        outside: &mut Slot,
        arrived: Instant,
        seq: ExtendedSeq,
        kind: PayloadKind,
        packet: &Packet<'_>,
    ) -> bool {
        self.store.fill(outside, arrived, seq, kind, packet)
    }

    /// Moves a packet in from outside; what it leaves there is empty.
    pub(super) fn swap_in(&mut self, outside: &mut Slot) {
        let slot = &mut self.table[outside.seq.slot(SLOTS)];
        self.taken += usize::from(outside.taken && !slot.taken);
        std::mem::swap(slot, outside);
        self.store.clear(outside);
    }

    pub(super) fn clear(&mut self, index: usize) {
        let slot = &mut self.table[index % SLOTS];
        self.taken -= usize::from(slot.taken);
        self.store.clear(slot);
    }

    pub(super) const fn clear_outside(&mut self, outside: &mut Slot) {
        self.store.clear(outside);
    }

    /// Whether every block is free or belongs to one packet, here or `outside`.
    pub(super) fn is_balanced<'a>(&'a self, outside: impl Iterator<Item = &'a Slot>) -> bool {
        let taken = self.table.iter().chain(outside).filter(|slot| slot.taken);
        let used = taken.map(run).try_fold(0, |all, run| (all & run == 0).then_some(all | run));
        used == Some(!self.store.free)
    }

    /// The nearest number after `seq`, and when the first of all those after it came.
    pub(super) fn first_after(&self, seq: ExtendedSeq) -> Option<(ExtendedSeq, Instant)> {
        if self.taken == 0 {
            return None;
        }
        let later = self.table.iter().filter(|s| s.taken && s.seq > seq);
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
        Some((codec, slots.payload(slot)))
    }
}
