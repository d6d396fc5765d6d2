//! The capture position: what a packet's timestamp means on the caller's media clock.
//!
//! ```text
//!                 timestamp ahead of what is expected, and ...
//!   numbers       a marker, or the sender paused      neither             beyond belief
//!   ───────────   ────────────────────────────────    ─────────────────   ─────────────
//!   contiguous    silence                             spliced on          spliced on
//!   some lost     silence (paused)                    hole, then silence  hole of so many packets
//! ```
//!
//! A timestamp is beyond belief when it lies behind the expected one, or more than two seconds
//! before the moment at which the fastest packet so far lets it be expected: then the sender's
//! clock was changed (a transfer, music on hold), and what it says goes on from here. So it does
//! when a codec of another clock rate takes over.
//!
//! When the sender told of comfort noise, its clock is followed while nothing comes: silence is told
//! as it passes, [`LAG_MS`] behind the clock, so that whoever listens hears that nobody speaks. A
//! pause that nobody told of cannot be told from a stall; it is told when it is over.
//!
//! Timestamps count units of the codec's clock, positions samples of the ring: the one is a whole
//! multiple of the other, in either direction.

use super::payload::PayloadKind;
use super::slots::Slot;
use crate::audio::codec::ClockRate;
use crate::audio::plc::ComfortNoise;
use crate::rtp::seq::{ExtendedTs, Ts32};
use std::time::{Duration, Instant};

/// Longest silence that is told, in seconds.
const MAX_SILENCE_S: u32 = 60;
/// Longest hole that is told, in seconds.
const MAX_HOLE_S: u32 = 2;
/// How far a timestamp may run ahead of the clock, in seconds.
const BELIEF_S: u32 = 2;

/// How far told silence stays behind the clock: what is spoken next may be as late as this.
const LAG_MS: u32 = 80;
/// Silence is told in pieces of this length.
const PIECE_MS: u32 = 20;

/// What lies between two packets; the hole comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gap {
    pub(super) hole: u32,
    pub(super) silence: u32,
}

impl Gap {
    pub(super) const fn is_empty(self) -> bool {
        self.hole == 0 && self.silence == 0
    }

    const fn silence(silence: u32) -> Self {
        Self { hole: 0, silence }
    }
}

/// The media clock of a leg over all its sources.
#[derive(Debug)]
pub(super) struct Timeline {
    origin: Instant,
    /// Samples of the ring per second.
    sample_rate: u32,
    /// Clock units per second, of the codec that was heard last.
    clock_rate: u32,
    position: u64,
    /// The timestamp that belongs to `position`.
    expected: ExtendedTs,
    /// Arrival minus timestamp of the fastest packet since the clock was last changed.
    fastest: Option<i64>,
    /// Arrival minus timestamp of the last packet.
    transit: Option<i64>,
    /// Clock units of silence that were told since the last packet.
    idle: u32,
    /// Numbers lost since the last packet.
    lost: u64,
    /// Clock units of the last packet of audio.
    ptime: u32,
    /// The sender said, or showed, that it sends no audio for a while.
    paused: bool,
    noise: Option<ComfortNoise>,
}

impl Timeline {
    pub(super) fn new(origin: Instant, sample_rate: u32) -> Self {
        let clock_rate = ClockRate::HZ_8000.hz();
        Self {
            origin,
            sample_rate,
            clock_rate,
            position: 0,
            expected: ExtendedTs::first(Ts32(0)),
            fastest: None,
            transit: None,
            idle: 0,
            lost: 0,
            ptime: clock_rate / 50,
            paused: false,
            noise: None,
        }
    }

    pub(super) const fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    pub(super) const fn noise(&self) -> Option<ComfortNoise> {
        self.noise
    }

    /// Clock units per second at present.
    pub(super) const fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// How many samples of the ring so many clock units are.
    pub(super) fn to_samples(&self, units: u64) -> u64 {
        units * u64::from(self.sample_rate) / u64::from(self.clock_rate)
    }

    /// A moment on a clock of this rate, as wide as timestamps.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "wraps as timestamps do"
    )]
    pub(super) fn arrival(&self, at: Instant, clock: ClockRate) -> Ts32 {
        Ts32(self.units(at, clock.hz()) as u32)
    }

    fn units(&self, at: Instant, clock_rate: u32) -> i64 {
        let micros = at.saturating_duration_since(self.origin).as_micros();
        i64::try_from(micros * u128::from(clock_rate) / 1_000_000).unwrap_or(i64::MAX)
    }

    /// The clock goes on with this timestamp, without a gap.
    pub(super) fn rebase(&mut self, timestamp: Ts32) {
        let timestamp = self.expected.near(timestamp);
        // Steps below a tenth of a second are a sloppy sender, not another clock.
        if timestamp.offset(self.expected).unsigned_abs() > u64::from(self.clock_rate / 10) {
            self.fastest = None;
        }
        self.expected = timestamp;
        self.lost = 0;
    }

    /// The clock of another source goes on from here.
    pub(super) fn splice(&mut self, timestamp: Ts32) {
        self.rebase(timestamp);
        self.fastest = None;
        self.paused = false;
        self.noise = None;
    }

    /// Numbers before the next packet are lost for good.
    pub(super) const fn lose(&mut self, count: u64) {
        self.lost = self.lost.saturating_add(count);
    }

    /// Passes samples that are not in a packet, and says where they begin.
    pub(super) const fn advance(&mut self, samples: u32) -> u64 {
        let position = self.position;
        self.position += samples as u64;
        position
    }

    /// Whether audio with this timestamp goes on where the last ended.
    pub(super) fn expects(&self, timestamp: Ts32) -> bool {
        self.expected.near(timestamp) == self.expected
    }

    /// What lies before the packet whose turn it is, in samples; nothing when asked again.
    pub(super) fn approach(&mut self, slot: &Slot) -> Gap {
        if matches!(slot.kind, PayloadKind::Unknown | PayloadKind::Redundant) {
            return Gap::default();
        }
        let lost = std::mem::take(&mut self.lost);
        let gap = match slot.kind.clock() {
            Some(clock) if clock.hz() != self.clock_rate => self.change_clock(clock, slot, lost),
            Some(_) | None => self.gap_before(slot, lost),
        };
        let samples = |units: u32| u32::try_from(self.to_samples(units.into())).unwrap_or(u32::MAX);
        Gap { hole: samples(gap.hole), silence: samples(gap.silence) }
    }

    /// A codec of another clock takes over: what it says goes on from here. The gap is in units of
    /// its clock.
    fn change_clock(&mut self, clock: ClockRate, slot: &Slot, lost: u64) -> Gap {
        let scaled = u64::from(self.ptime) * u64::from(clock.hz()) / u64::from(self.clock_rate);
        self.clock_rate = clock.hz();
        self.ptime = u32::try_from(scaled).unwrap_or(clock.hz() / 50).max(1);
        self.rebase(slot.timestamp);
        self.fastest = None;
        let hole = if self.paused { 0 } else { self.units_of(lost, self.ptime) };
        Gap { hole, silence: 0 }
    }

    /// In clock units.
    fn gap_before(&mut self, slot: &Slot, lost: u64) -> Gap {
        let is_audio = matches!(slot.kind, PayloadKind::Audio(_));
        let timestamp = self.expected.near(slot.timestamp);
        if timestamp == self.expected {
            return Gap::default();
        }
        let Some(ahead) = self.believable(timestamp, slot.arrived) else {
            if !is_audio {
                return Gap::default();
            }
            self.rebase(slot.timestamp);
            let hole = if self.paused { 0 } else { self.units_of(lost, self.ptime) };
            return Gap { hole, silence: 0 };
        };
        if lost == 0 && is_audio && !slot.marker && !self.paused {
            self.rebase(slot.timestamp);
            return Gap::default();
        }
        self.expected = timestamp;
        if lost == 0 || self.paused {
            return Gap::silence(ahead);
        }
        // Packets of up to 60 ms may have been lost; more time than that was silence between.
        let all = ahead <= self.units_of(lost, self.clock_rate * 60 / 1000);
        let hole = if all { ahead } else { self.units_of(lost, self.ptime) };
        Gap { hole, silence: ahead - hole }
    }

    /// How far a timestamp is ahead of the expected one, if that can be.
    fn believable(&self, timestamp: ExtendedTs, arrived: Instant) -> Option<u32> {
        let ahead = u32::try_from(timestamp.offset(self.expected)).ok()?;
        let limit = i64::from(BELIEF_S * self.clock_rate);
        let early = self.fastest.map_or(0, |fastest| fastest - self.transit(timestamp, arrived));
        (ahead <= MAX_SILENCE_S * self.clock_rate && early <= limit).then_some(ahead)
    }

    fn transit(&self, timestamp: ExtendedTs, arrived: Instant) -> i64 {
        self.units(arrived, self.clock_rate) - timestamp.offset(ExtendedTs::first(Ts32(0)))
    }

    /// Clock units of so many packets; at most the longest hole.
    fn units_of(&self, packets: u64, each: u32) -> u32 {
        let longest = MAX_HOLE_S * self.clock_rate;
        let units = packets.saturating_mul(u64::from(each));
        u32::try_from(units).map_or(longest, |units| units.min(longest))
    }

    /// While the sender pauses as it told: samples of silence that have passed since the last were
    /// told, and when the next will have.
    ///
    /// Time: `now` is later than the last packet. Ends a minute after it.
    pub(super) fn idle(&mut self, now: Instant) -> (u32, Option<Instant>) {
        let (true, Some(_), Some(transit)) = (self.paused, self.noise, self.transit) else {
            return (0, None);
        };
        let piece = self.clock_rate * PIECE_MS / 1000;
        let lag = i64::from(self.clock_rate * LAG_MS / 1000);
        let told = self.expected.offset(ExtendedTs::first(Ts32(0)));
        let due = self.units(now, self.clock_rate) - transit - lag - told;
        let left = (MAX_SILENCE_S * self.clock_rate).saturating_sub(self.idle);
        if left < piece {
            return (0, None);
        }
        let passed = u32::try_from(due).unwrap_or(0).min(left) / piece * piece;
        if passed > 0 {
            self.idle += passed;
            self.expected = self.expected.plus(passed.into());
            return (u32::try_from(self.to_samples(passed.into())).unwrap_or(u32::MAX), None);
        }
        let missing = u64::try_from(i64::from(piece) - due).unwrap_or(1);
        let wait = (missing * 1_000_000).div_ceil(u64::from(self.clock_rate));
        (0, Some(now + Duration::from_micros(wait)))
    }

    /// Passes a packet, and says where it begins.
    pub(super) fn pass(&mut self, slot: &Slot, payload: &[u8]) -> u64 {
        let position = self.position;
        let timestamp = self.expected.near(slot.timestamp);
        let ahead = timestamp.offset(self.expected);
        self.idle = 0;
        self.transit = Some(self.transit(timestamp, slot.arrived));
        match slot.kind {
            PayloadKind::Audio(_) => {
                let units = slot.units();
                let transit = self.transit(timestamp, slot.arrived);
                self.fastest = Some(self.fastest.map_or(transit, |f| f.min(transit)));
                self.position += self.to_samples(units);
                self.expected = self.expected.plus(units);
                self.ptime = u32::try_from(units).ok().filter(|&u| u > 0).unwrap_or(self.ptime);
                self.paused = false;
                self.noise = None;
                position
            }
            PayloadKind::ComfortNoise => {
                self.paused |= ahead >= 0;
                self.noise = ComfortNoise::parse(payload);
                position
            }
            PayloadKind::TelephoneEvent => {
                // The end of an event is told again after the audio has gone on: no pause then.
                self.paused |= ahead >= 0;
                let behind = self.to_samples(ahead.min(0).unsigned_abs());
                position.saturating_sub(behind)
            }
            PayloadKind::Redundant | PayloadKind::Unknown => {
                self.paused = true;
                position
            }
        }
    }
}
