//! The receive buffer of a leg in `asap` mode: order at once, waiting only at holes.
//!
//! ```text
//!           ┌────────── A.1: another source, or a jump ──> parked ──2 in a row──┐
//!  insert ──┤                                                                   │ flush, re-base
//!           └─> 64 slots by number ─> poll: in order ─> Packet, Event           v
//!                        │                  gap in time ─> Silence            Source
//!                        └ missing: W after the first later packet came ─> Hole
//! ```
//!
//! Owns the order of packets and the capture position: each decision about audio begins where the
//! one before ended, and positions advance as the caller's media clock does. A packet comes out at
//! most once. In a stall nothing is lost: a hole is only declared [`JitterBuffer::window`] after a
//! *later* packet arrived, and what comes in a burst goes out in a burst.
//!
//! Does not decode, conceal, interpret digits, or play to a clock. After construction nothing is
//! allocated; every table is of fixed size, and each `poll` is bounded by the 64 slots.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod fuzz;
mod payload;
mod redundancy;
mod slots;
#[cfg(test)]
mod tests;
mod timeline;
mod window;

pub use fuzz::fuzz_history;
pub use payload::{PayloadKind, PayloadTable};
pub use slots::Following;

use super::interface::{Due, JitterSpec};
use crate::audio::codec::CodecId;
use crate::audio::plc::ComfortNoise;
use crate::rtp::packet::{Packet, Ssrc};
use crate::rtp::reception::{Reception, ReceptionReport};
use crate::rtp::seq::{Arrival, ExtendedSeq, SequenceGuard, Ts32};
use slots::{Slot, Slots};
use std::time::{Duration, Instant};
use timeline::{Gap, Timeline};
use window::HoleWindow;

/// Packets that can wait behind a hole.
pub const SLOTS: usize = 64;
/// Longest payload of audio that is kept: 60 ms of G.711.
pub const MAX_PAYLOAD: usize = 480;
/// Longest hole that is told.
pub const MAX_HOLE: Duration = Duration::from_secs(2);
/// Longest silence that is told; a longer jump of the clock is a change of the clock.
pub const MAX_SILENCE: Duration = Duration::from_mins(1);
/// Longest that a hole is waited for because it is heard later.
const MAX_PATIENCE: Duration = Duration::from_millis(500);
/// Packets kept of a source that is not believed yet.
const PARKED: usize = 4;
/// How long a parked packet may wait for a run that it does not belong to directly.
const PARKED_FOR: Duration = Duration::from_secs(1);
/// Holes whose late packets still tell how late they are.
const RECENT_HOLES: usize = 8;

/// What happens next on the caller's side, in order.
#[derive(Debug)]
pub enum Decision<'a> {
    /// A source became valid: what follows is its, spliced on without a gap.
    Source {
        /// The source.
        ssrc: Ssrc,
    },
    /// Audio of a packet.
    Packet {
        /// Capture position of its first sample.
        position: u64,
        /// How it is encoded.
        codec: CodecId,
        /// The encoded samples, at most [`MAX_PAYLOAD`] octets.
        payload: &'a [u8],
    },
    /// Audio that is missing for good.
    Hole {
        /// Capture position of its first sample.
        position: u64,
        /// How much is missing; at most [`MAX_HOLE`].
        samples: u32,
        /// The audio right behind it, as far as it is here.
        following: Following<'a>,
    },
    /// The sender paused.
    Silence {
        /// Capture position of its first sample.
        position: u64,
        /// How long; at most [`MAX_SILENCE`].
        samples: u32,
        /// Its comfort noise, if it told one.
        noise: Option<ComfortNoise>,
    },
    /// A telephone-event packet, for `rtp::dtmf`.
    Event {
        /// Capture position of its timestamp.
        position: u64,
        /// Its timestamp, which names the event.
        timestamp: Ts32,
        /// The event.
        payload: &'a [u8],
    },
    /// Nothing to do before this moment, or before the next packet when there is none.
    Wait(Option<Instant>),
}

/// What became of an inserted packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It will come out in its turn.
    Stored,
    /// It comes out if its successor shows that its source is to be believed.
    Parked,
    /// It was here before.
    Duplicate,
    /// Its hole was declared before it came.
    Late,
    /// No room: more than one packet that needs a flush came without a poll between them.
    Overflow,
}

/// What a buffer has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JitterCounters {
    /// Packets that came out.
    pub packets: u64,
    /// Packets that never came and were restored from what later ones repeated (RFC 2198).
    pub restored: u64,
    /// Packets that were declared lost and never came.
    pub lost: u64,
    /// Duplicates.
    pub duplicate: u64,
    /// Packets out of order that came in time.
    pub reordered: u64,
    /// Packets that came after their hole was declared.
    pub late: u64,
    /// Packets of a payload type that was not agreed, or too long.
    pub unknown: u64,
    /// Packets for which, or for whose payload, there was no room.
    pub overflow: u64,
    /// Sources that became valid.
    pub sources: u64,
    /// Samples told as holes.
    pub hole_samples: u64,
    /// Samples told as silence.
    pub silence_samples: u64,
}

/// The receive buffer. See the module.
#[derive(Debug)]
pub struct JitterBuffer {
    payloads: PayloadTable,
    window: HoleWindow,
    slots: Slots,
    timeline: Timeline,
    /// The source that is believed.
    source: Option<Source>,
    /// The source that may replace it.
    candidate: Option<(Ssrc, SequenceGuard)>,
    parked: Parked,
    /// A confirmed source that takes over when the slots are empty.
    takeover: Option<Takeover>,
    /// A packet that fits when the slots before it are flushed.
    beyond: Slot,
    gap: Gap,
    /// When samples are heard; `None`: the window rules.
    due: Option<Due>,
    recent_holes: [Option<RecentHole>; RECENT_HOLES],
    /// The packet that came out of order last, and when.
    laggard: Option<(ExtendedSeq, Instant)>,
    counters: JitterCounters,
    /// When the packet came that was told last.
    arrived: Instant,
}

#[derive(Debug)]
struct Source {
    ssrc: Ssrc,
    guard: SequenceGuard,
    reception: Reception,
    next: ExtendedSeq,
    /// Whether the numbers before `next` came out; the lowest bit is the latest.
    came_out: u128,
}

#[derive(Debug)]
struct Takeover {
    ssrc: Ssrc,
    guard: SequenceGuard,
    confirmed_by: ExtendedSeq,
    at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct RecentHole {
    from: ExtendedSeq,
    until: ExtendedSeq,
    first_later: Instant,
}

impl Takeover {
    /// The number of a parked packet that belongs to the run which confirmed the source.
    fn number_of(&self, slot: &Slot) -> Option<ExtendedSeq> {
        let seq = self.confirmed_by.near(slot.seq.wire());
        let age = self.confirmed_by.since(seq);
        let near = seq <= self.confirmed_by && age < SLOTS as u64 / 2;
        let fresh = age <= 1 || self.at.saturating_duration_since(slot.arrived) <= PARKED_FOR;
        (slot.is_taken() && slot.ssrc == self.ssrc && near && fresh).then_some(seq)
    }
}

/// Packets of sources that are not believed yet, the oldest overwritten first.
#[derive(Debug)]
struct Parked {
    slots: [Slot; PARKED],
    next: usize,
}

/// A decision before it borrows.
enum Step {
    Source(Ssrc),
    Packet { slot: usize, codec: CodecId, position: u64 },
    Event { slot: usize, position: u64 },
    Hole { position: u64, samples: u32 },
    Silence { position: u64, samples: u32 },
    Wait(Option<Instant>),
}

impl JitterBuffer {
    /// A buffer that has received nothing. `now` is the origin of its arrival clock, and
    /// positions count samples of 8 or 16 kHz.
    ///
    /// Cost: allocates about 14 KiB; nothing after it does.
    #[must_use]
    pub fn new(now: Instant, sample_rate: u32, spec: JitterSpec, payloads: PayloadTable) -> Self {
        let parked = Parked { slots: std::array::from_fn(|_| Slot::new(now)), next: 0 };
        Self {
            payloads,
            window: HoleWindow::new(spec),
            slots: Slots::new(now),
            timeline: Timeline::new(now, sample_rate),
            source: None,
            candidate: None,
            parked,
            takeover: None,
            beyond: Slot::new(now),
            gap: Gap::default(),
            due: None,
            recent_holes: [None; RECENT_HOLES],
            laggard: None,
            counters: JitterCounters::default(),
            arrived: now,
        }
    }

    /// Takes the payload types of a new agreement; packets that wait keep their meaning.
    pub fn set_payloads(&mut self, payloads: PayloadTable) {
        self.payloads = payloads;
    }

    /// From here on a hole is declared when it is heard; `None`: when the window has passed.
    ///
    /// The window goes on learning from packets that come out of order.
    pub fn set_due(&mut self, due: Option<Due>) {
        self.due = due;
    }

    /// Takes a packet from a source address that is believed. Poll to [`Decision::Wait`] after it.
    ///
    /// Time: `now` is when it arrived and must not go back. Cost: one copy of the payload.
    pub fn insert(&mut self, now: Instant, packet: &Packet<'_>) -> Inserted {
        match self.payloads.kind(packet.payload_type) {
            PayloadKind::Redundant => self.insert_redundant(now, packet),
            PayloadKind::Audio(_)
            | PayloadKind::TelephoneEvent
            | PayloadKind::ComfortNoise
            | PayloadKind::Unknown => self.insert_one(now, packet),
        }
    }

    fn insert_one(&mut self, now: Instant, packet: &Packet<'_>) -> Inserted {
        if self.takeover.is_some() || self.beyond.is_taken() {
            self.counters.overflow += 1;
            return Inserted::Overflow;
        }
        let inserted = match &mut self.source {
            Some(source) if source.ssrc == packet.ssrc => {
                // The believed source lives, so no other one may take its place yet.
                self.candidate = None;
                match source.guard.observe(packet.seq) {
                    Arrival::Forward(seq) | Arrival::Behind(seq) | Arrival::Confirmed(seq) => {
                        self.store(now, seq, packet)
                    }
                    Arrival::Restarted(seq) => {
                        let guard = source.guard.clone();
                        self.take_over(now, packet, guard, seq)
                    }
                    Arrival::Jump | Arrival::Probation => self.park(now, packet),
                }
            }
            _ => self.try_out(now, packet),
        };
        match inserted {
            Inserted::Duplicate => self.counters.duplicate += 1,
            Inserted::Late => self.counters.late += 1,
            Inserted::Overflow => self.counters.overflow += 1,
            Inserted::Stored | Inserted::Parked => {}
        }
        inserted
    }

    /// When the packet of the last [`Decision::Packet`] came.
    #[must_use]
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Says what happens next. Call again until it says [`Decision::Wait`].
    pub fn poll(&mut self, now: Instant) -> Decision<'_> {
        match self.step(now) {
            Step::Source(ssrc) => Decision::Source { ssrc },
            Step::Packet { slot, codec, position } => {
                self.arrived = self.slots.at(slot).arrived;
                Decision::Packet {
                    position,
                    codec,
                    payload: self.slots.payload(self.slots.at(slot)),
                }
            }
            Step::Event { slot, position } => {
                let slot = self.slots.at(slot);
                let payload = self.slots.payload(slot);
                Decision::Event { position, timestamp: slot.timestamp, payload }
            }
            Step::Hole { position, samples } => {
                Decision::Hole { position, samples, following: self.following() }
            }
            Step::Silence { position, samples } => {
                Decision::Silence { position, samples, noise: self.timeline.noise() }
            }
            Step::Wait(until) => Decision::Wait(until),
        }
    }

    /// Capture position that is reached: of the next sample that comes out.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.timeline.position()
    }

    /// How long a hole is waited for at present.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window.window()
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> &JitterCounters {
        &self.counters
    }

    /// The source that is believed.
    #[must_use]
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.source.as_ref().map(|s| s.ssrc)
    }

    /// Units per second of the clock that the source's timestamps count.
    #[must_use]
    pub const fn clock_rate(&self) -> u32 {
        self.timeline.clock_rate()
    }

    /// Interarrival jitter of the believed source, in clock units.
    #[must_use]
    pub fn jitter(&self) -> u32 {
        self.source.as_ref().map_or(0, |s| s.reception.jitter())
    }

    /// Closes a reporting interval of RTCP: what to say of the believed source.
    pub fn report(&mut self) -> Option<ReceptionReport> {
        self.source.as_mut().map(|s| s.reception.report())
    }

    // Inserting.

    /// A packet of a source that is not believed: parked until two in a row confirm it.
    ///
    /// Nobody is displaced by the first source of a leg, and its address is believed: it is taken
    /// at its word. Parking its first packet would have its first two leave together, and a client
    /// that answers them would keep that lead over the whole call.
    fn try_out(&mut self, now: Instant, packet: &Packet<'_>) -> Inserted {
        let is_first = self.source.is_none() && self.candidate.is_none();
        if is_first && matches!(self.payloads.kind(packet.payload_type), PayloadKind::Audio(_)) {
            let guard = SequenceGuard::believed(packet.seq);
            return self.take_over(now, packet, guard, ExtendedSeq::first(packet.seq));
        }
        let (ssrc, mut guard) = match self.candidate.take() {
            Some((ssrc, guard)) if ssrc == packet.ssrc => (ssrc, guard),
            _ => {
                self.candidate = Some((packet.ssrc, SequenceGuard::new(packet.seq)));
                return self.park(now, packet);
            }
        };
        if let Arrival::Confirmed(confirmed_by) = guard.observe(packet.seq) {
            return self.take_over(now, packet, guard, confirmed_by);
        }
        self.candidate = Some((ssrc, guard));
        self.park(now, packet)
    }

    fn park(&mut self, now: Instant, packet: &Packet<'_>) -> Inserted {
        let kind = self.kind(packet);
        let at = self.parked.next % PARKED;
        self.parked.next = at + 1;
        let (slot, seq) = (&mut self.parked.slots[at], ExtendedSeq::first(packet.seq));
        let stored = self.slots.fill_outside(slot, now, seq, kind, packet);
        self.counters.overflow += u64::from(!stored);
        Inserted::Parked
    }

    fn take_over(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        guard: SequenceGuard,
        confirmed_by: ExtendedSeq,
    ) -> Inserted {
        self.park(now, packet);
        self.takeover = Some(Takeover { ssrc: packet.ssrc, guard, confirmed_by, at: now });
        Inserted::Stored
    }

    fn store(&mut self, now: Instant, seq: ExtendedSeq, packet: &Packet<'_>) -> Inserted {
        let kind = self.kind(packet);
        self.count_reception(now, seq, kind, packet.timestamp);
        let Some(source) = &mut self.source else { return Inserted::Overflow };
        if seq < source.next {
            return self.refuse_behind(now, seq);
        }
        if self.slots.holds_itself(seq) {
            return Inserted::Duplicate;
        }
        if let Some(first_later) = self.slots.first_after(seq).map(|(_, arrived)| arrived) {
            self.counters.reordered += 1;
            self.window.reordered(now.saturating_duration_since(first_later));
            self.laggard = Some((seq, now));
        }
        let stored = if seq.since(source.next) < SLOTS as u64 {
            self.slots.fill(now, seq, kind, packet)
        } else {
            self.slots.fill_outside(&mut self.beyond, now, seq, kind, packet)
        };
        self.counters.overflow += u64::from(!stored);
        Inserted::Stored
    }

    /// A packet whose turn is over: it came out before, or its hole did.
    fn refuse_behind(&mut self, now: Instant, seq: ExtendedSeq) -> Inserted {
        let Some(source) = &mut self.source else { return Inserted::Late };
        let age = source.next.since(seq) - 1;
        let bit = 1u128.checked_shl(u32::try_from(age).unwrap_or(u32::MAX)).unwrap_or(0);
        if source.came_out & bit != 0 {
            return Inserted::Duplicate;
        }
        source.came_out |= bit;
        let hole = self.recent_holes.iter().flatten().find(|h| h.from <= seq && seq < h.until);
        if let Some(hole) = hole {
            self.counters.lost = self.counters.lost.saturating_sub(1);
            self.window.reordered(now.saturating_duration_since(hole.first_later));
        }
        Inserted::Late
    }

    fn kind(&mut self, packet: &Packet<'_>) -> PayloadKind {
        let kind = self.payloads.kind(packet.payload_type);
        let unusable = matches!(kind, PayloadKind::Unknown | PayloadKind::Redundant);
        if unusable || packet.payload.len() > MAX_PAYLOAD {
            self.counters.unknown += 1;
            return PayloadKind::Unknown;
        }
        kind
    }

    fn count_reception(
        &mut self,
        arrived: Instant,
        seq: ExtendedSeq,
        kind: PayloadKind,
        timestamp: Ts32,
    ) {
        let clock = kind.clock();
        let timing = clock.map(|clock| (timestamp, self.timeline.arrival(arrived, clock)));
        self.window.packet();
        if let Some(source) = &mut self.source {
            source.reception.observe(seq, timing);
        }
    }

    // Polling.

    fn step(&mut self, now: Instant) -> Step {
        loop {
            if let Some(step) = self.step_gap() {
                return step;
            }
            let Some(source) = &self.source else {
                match self.install() {
                    Some(ssrc) => return Step::Source(ssrc),
                    None => return Step::Wait(None),
                }
            };
            let next = source.next;
            if self.slots.holds(next) {
                if let Some(step) = self.step_packet(next) {
                    return step;
                }
                continue;
            }
            if self.beyond.is_taken() {
                self.make_room();
                continue;
            }
            let Some((later, arrived)) = self.slots.first_after(next) else {
                match self.install() {
                    Some(ssrc) => return Step::Source(ssrc),
                    None => return self.step_idle(now),
                }
            };
            let deadline = self.hole_deadline(next, arrived);
            if self.takeover.is_none() && now < deadline {
                return Step::Wait(Some(deadline));
            }
            self.declare_lost(later, arrived);
        }
    }

    /// When what is missing before a packet that came at `first_later` is lost.
    fn hole_deadline(&self, missing: ExtendedSeq, first_later: Instant) -> Instant {
        let Some(due) = self.due else { return self.deadline(missing, first_later) };
        let at = due.moment(self.timeline.position(), self.timeline.sample_rate());
        // A due moment of another time says nothing: neither past nor far ahead is believed.
        at.unwrap_or(first_later).clamp(first_later, first_later + MAX_PATIENCE)
    }

    /// Holes and silence before the packet that is next.
    fn step_gap(&mut self) -> Option<Step> {
        let gap = std::mem::take(&mut self.gap);
        if gap.hole > 0 {
            self.gap.silence = gap.silence;
            self.counters.hole_samples += u64::from(gap.hole);
            let position = self.timeline.advance(gap.hole);
            return Some(Step::Hole { position, samples: gap.hole });
        }
        if gap.silence > 0 {
            self.counters.silence_samples += u64::from(gap.silence);
            let position = self.timeline.advance(gap.silence);
            return Some(Step::Silence { position, samples: gap.silence });
        }
        None
    }

    /// Nothing is here: silence that the sender told of passes.
    fn step_idle(&mut self, now: Instant) -> Step {
        let (silence, until) = self.timeline.idle(now);
        self.gap = Gap { hole: 0, silence };
        self.step_gap().unwrap_or(Step::Wait(until))
    }

    /// Brings out the packet whose turn it is, or the gap before it; `None`: neither is audible.
    fn step_packet(&mut self, next: ExtendedSeq) -> Option<Step> {
        let at = next.slot(SLOTS);
        let slot = self.slots.at(at);
        self.gap = self.timeline.approach(slot);
        if !self.gap.is_empty() {
            return self.step_gap();
        }
        let position = self.timeline.pass(slot, self.slots.payload(slot));
        let (kind, repeated) = (slot.kind, slot.is_repeated());
        self.slots.clear(at);
        if let Some(source) = &mut self.source {
            source.next = next.plus(1);
            source.came_out = source.came_out << 1 | 1;
        }
        match kind {
            PayloadKind::Audio(codec) => {
                self.counters.packets += u64::from(!repeated);
                self.counters.restored += u64::from(repeated);
                Some(Step::Packet { slot: at, codec, position })
            }
            PayloadKind::TelephoneEvent => {
                self.counters.packets += 1;
                Some(Step::Event { slot: at, position })
            }
            PayloadKind::ComfortNoise => {
                self.counters.packets += 1;
                None
            }
            PayloadKind::Redundant | PayloadKind::Unknown => None,
        }
    }

    /// When a missing number is given up, if the first later one came at `first_later`.
    ///
    /// A path that became shorter is overtaken by its own packets: while those before the missing
    /// one still come by the longer way, it is on its way too, and the wait begins anew with each.
    fn deadline(&self, missing: ExtendedSeq, first_later: Instant) -> Instant {
        let lagging = self.laggard.filter(|(seq, at)| *seq < missing && *at > first_later);
        let since = lagging.map_or(first_later, |(_, at)| at);
        (since + self.window.window()).min(first_later + self.window.longest())
    }

    /// All numbers before `later` are lost; the timeline learns how many.
    fn declare_lost(&mut self, later: ExtendedSeq, first_later: Instant) {
        let Some(source) = &mut self.source else { return };
        let (from, count) = (source.next, later.since(source.next));
        source.next = later;
        let shift = u32::try_from(count).unwrap_or(u32::MAX);
        source.came_out = source.came_out.checked_shl(shift).unwrap_or(0);
        self.counters.lost += count;
        self.timeline.lose(count);
        self.recent_holes.rotate_right(1);
        self.recent_holes[0] = Some(RecentHole { from, until: later, first_later });
    }

    /// Brings the packet that was beyond the slots nearer to its place, at the cost of the next
    /// number, which is missing: nothing that far back is waited for.
    fn make_room(&mut self) {
        let arrived = self.beyond.arrived;
        let oldest = self.beyond.seq.back(SLOTS as u64 - 1);
        let next = self.source.as_ref().map_or(oldest, |source| source.next);
        if next >= oldest {
            self.slots.swap_in(&mut self.beyond);
            return;
        }
        let (later, arrived) = self.slots.first_after(next).unwrap_or((oldest, arrived));
        self.declare_lost(later.min(oldest), arrived);
    }

    /// Lets the confirmed source take over, with what was parked of it.
    fn install(&mut self) -> Option<Ssrc> {
        let takeover = self.takeover.take()?;
        for slot in &mut self.parked.slots {
            match takeover.number_of(slot) {
                Some(seq) => slot.seq = seq,
                None => self.slots.clear_outside(slot),
            }
        }
        let Takeover { ssrc, guard, .. } = takeover;
        let kept = self.parked.slots.iter().filter(|s| s.is_taken());
        let (first, timestamp) = kept.map(|s| (s.seq, s.timestamp)).min_by_key(|k| k.0)?;
        let reception = Reception::new(ssrc, first);
        self.source = Some(Source { ssrc, guard, reception, next: first, came_out: 0 });
        self.candidate = None;
        self.recent_holes = [None; RECENT_HOLES];
        self.laggard = None;
        self.counters.sources += 1;
        self.timeline.splice(timestamp);
        for at in 0..PARKED {
            let slot = &self.parked.slots[at];
            if slot.is_taken() && !self.slots.holds(slot.seq) {
                let (arrived, seq, kind, ts) = (slot.arrived, slot.seq, slot.kind, slot.timestamp);
                self.count_reception(arrived, seq, kind, ts);
                self.slots.swap_in(&mut self.parked.slots[at]);
            }
            self.slots.clear_outside(&mut self.parked.slots[at]);
        }
        Some(ssrc)
    }

    /// The audio right behind a hole; none when silence stands between them.
    fn following(&self) -> Following<'_> {
        match &self.source {
            Some(source) if self.gap.is_empty() => self.slots.following(source.next),
            _ => Following::none(),
        }
    }
}
