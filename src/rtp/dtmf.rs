//! Telephone-event of RFC 4733: digits in and digits out.
//!
//! Receiving, [`DtmfReceiver`] turns a lossy run of event packets into one report per digit; an
//! event is known by its timestamp:
//!
//! ```text
//!  idle ──first packet (its start may be lost)──> sounding ──end bit──────────────> reported
//!                                                     │ ├─ 100 ms without update ─> reported
//!                                                     │ └─ another timestamp ─────> reported
//!                                                     └─ longer, or the next segment: goes on
//! ```
//!
//! Sending, [`DtmfSender`] makes one payload per tick. Does not know sequence numbers or sockets.

use super::seq::Ts32;
use std::time::{Duration, Instant};

/// Octets of an event payload.
pub const PAYLOAD_LEN: usize = 4;
/// How many digits may wait to be sent.
pub const MAX_DIGITS: usize = 32;
/// An event without a new packet for this long has ended unheard.
const END_TIMEOUT: Duration = Duration::from_millis(100);
/// How many times the last packet of an event is sent.
//= RFC 4733 §2.5.1.4: the final packet is sent three times
const END_PACKETS: u8 = 3;
/// A duration that falls by more than this has passed 65,535.
const WRAP: u32 = 0x8000;
/// Events whose retransmissions are still known as such.
const REMEMBERED: usize = 4;
/// What we send as power: -10 dBm0.
const VOLUME: u8 = 10;
const DIGITS: &[u8; 16] = b"0123456789*#ABCD";

/// A telephone-event payload (RFC 4733 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPayload {
    /// The event code.
    pub event: u8,
    /// Whether this packet ends the event.
    pub end: bool,
    /// Power in -dBm0, 0 to 63.
    pub volume: u8,
    /// How long it has sounded, in clock units.
    pub duration: u16,
}

impl EventPayload {
    /// Reads the first event of a payload; `None` when it is shorter than one.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *payload.first_chunk::<PAYLOAD_LEN>()?;
        Some(Self {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// As it goes on the wire.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PAYLOAD_LEN] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }

    /// The digit it stands for; `None` for flash, tones and signalling.
    #[must_use]
    pub fn digit(&self) -> Option<u8> {
        DIGITS.get(usize::from(self.event)).copied()
    }
}

/// A digit that has ended, told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digit {
    /// One of `0-9*#A-D` as ASCII.
    pub digit: u8,
    /// How long it sounded, in clock units, as far as its packets told.
    pub duration: u32,
    /// The position given with its first packet.
    pub position: u64,
}

/// Receives digits; fixed size.
#[derive(Debug, Clone, Default)]
pub struct DtmfReceiver {
    sounding: Option<Sounding>,
    /// Timestamps of events that were told, the latest first.
    told: [Option<Ts32>; REMEMBERED],
    ignored: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sounding {
    digit: u8,
    event: u8,
    /// Of the running segment.
    timestamp: Ts32,
    /// Of the segments before.
    elapsed: u32,
    /// Of the running segment, wraps included.
    duration: u32,
    position: u64,
    updated: Instant,
}

impl DtmfReceiver {
    /// A receiver that has heard nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event packet; says which digit it ends, or shows to have ended.
    ///
    /// `position` is the capture position of `timestamp`. A packet that both ends a digit unheard
    /// and is the whole of the next one tells the former; the latter follows from
    /// [`DtmfReceiver::poll`].
    pub fn handle(
        &mut self,
        now: Instant,
        timestamp: Ts32,
        position: u64,
        payload: &[u8],
    ) -> Option<Digit> {
        let parsed = EventPayload::parse(payload).and_then(|p| p.digit().map(|d| (p, d)));
        let Some((event, digit)) = parsed else {
            self.ignored += 1;
            return None;
        };
        if self.told.contains(&Some(timestamp)) {
            return None;
        }
        if let Some(sounding) = &mut self.sounding {
            if sounding.continues(event.event, timestamp) {
                sounding.update(now, timestamp, event);
                return if event.end { self.finish() } else { None };
            }
            if timestamp.since(sounding.timestamp) <= 0 {
                // A straggler of an event that was never heard, or a second event at one time.
                self.ignored += 1;
                return None;
            }
        }
        let ended = self.finish();
        self.sounding = Some(Sounding {
            digit,
            event: event.event,
            timestamp,
            elapsed: 0,
            duration: u32::from(event.duration),
            position,
            updated: now,
        });
        match ended {
            Some(former) => {
                self.expire_at_once(event.end, now);
                Some(former)
            }
            None if event.end => self.finish(),
            None => None,
        }
    }

    /// Tells a digit whose end was lost, or that waits behind another.
    pub fn poll(&mut self, now: Instant) -> Option<Digit> {
        if now >= self.deadline()? { self.finish() } else { None }
    }

    /// When [`DtmfReceiver::poll`] will have something to tell.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.sounding.map(|s| s.updated + END_TIMEOUT)
    }

    /// Whether a digit sounds: what is heard in band meanwhile is its leak.
    #[must_use]
    pub const fn is_sounding(&self) -> bool {
        self.sounding.is_some()
    }

    /// Packets without a digit, and stragglers.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    fn expire_at_once(&mut self, ended: bool, now: Instant) {
        if let Some(sounding) = self.sounding.as_mut().filter(|_| ended) {
            sounding.updated = now.checked_sub(END_TIMEOUT).unwrap_or(now);
        }
    }

    fn finish(&mut self) -> Option<Digit> {
        let ended = self.sounding.take()?;
        self.told.rotate_right(1);
        self.told[0] = Some(ended.timestamp);
        let duration = ended.elapsed.saturating_add(ended.duration);
        Some(Digit { digit: ended.digit, duration, position: ended.position })
    }
}

impl Sounding {
    /// The same event, or its next segment: events beyond 65,535 units are cut, each segment
    /// beginning where the one before ended.
    //= RFC 4733 §2.5.1.3: a long event goes on in segments, each with a timestamp of its own
    fn continues(&self, event: u8, timestamp: Ts32) -> bool {
        let same = timestamp == self.timestamp;
        let segment = self.duration >= u32::from(u16::MAX) - 1
            && timestamp == self.timestamp.plus(self.duration);
        event == self.event && (same || segment)
    }

    fn update(&mut self, now: Instant, timestamp: Ts32, event: EventPayload) {
        self.updated = now;
        let told = u32::from(event.duration);
        if timestamp != self.timestamp {
            self.elapsed = self.elapsed.saturating_add(self.duration);
            self.timestamp = timestamp;
            self.duration = told;
            return;
        }
        // Some senders let the duration wrap under one timestamp. A small step back is a packet
        // out of order.
        let low = self.duration & 0xffff;
        let wraps = if low > told && low - told > WRAP { 0x1_0000 } else { 0 };
        let grown = (self.duration & !0xffff).saturating_add(wraps).saturating_add(told);
        self.duration = self.duration.max(grown);
    }
}

/// One event packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// The payload.
    pub payload: [u8; PAYLOAD_LEN],
    /// First packet of its event.
    pub marker: bool,
    /// Of the event's start, the same in all its packets.
    pub timestamp: Ts32,
}

/// Sends digits, one payload per tick; fixed size.
#[derive(Debug, Clone)]
pub struct DtmfSender {
    /// Clock units of one tick.
    ptime: u16,
    queue: [u8; MAX_DIGITS],
    queued: usize,
    next: usize,
    /// Clock units of a tone.
    tone: u16,
    /// Ticks between tones.
    gap: u16,
    state: Sending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Idle,
    Tone { event: u8, timestamp: Ts32, duration: u16 },
    End { event: u8, timestamp: Ts32, duration: u16, left: u8 },
    Gap { ticks: u16 },
}

/// What a tick sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtmfTick {
    /// No digits are left: audio goes out.
    Idle,
    /// This packet goes out in the place of audio.
    Event(EventPacket),
    /// Between two digits: audio or silence goes out.
    Gap,
    /// As [`DtmfTick::Idle`], told once after the last digit.
    Done,
}

/// Why digits are not sent: the API user's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DtmfError {
    /// Other than `0-9*#A-D`.
    #[error("{0:#04x} is no DTMF digit")]
    NoDigit(u8),
    /// More than [`MAX_DIGITS`] wait.
    #[error("more than {MAX_DIGITS} digits wait to be sent")]
    TooMany,
}

impl DtmfSender {
    /// A sender for ticks of `ptime` clock units.
    #[must_use]
    pub const fn new(ptime: u16) -> Self {
        Self {
            ptime,
            queue: [0; MAX_DIGITS],
            queued: 0,
            next: 0,
            tone: 0,
            gap: 0,
            state: Sending::Idle,
        }
    }

    /// Queues digits up to the first zero octet; they follow those that wait.
    ///
    /// `tone` and `gap` are clock units, hold for all that wait, and are kept to 40 ms at least
    /// (at 8 kHz) and 65,535 units at most.
    ///
    /// # Errors
    /// [`DtmfError`]; nothing is queued then.
    pub fn queue(&mut self, digits: &[u8], tone: u32, gap: u32) -> Result<(), DtmfError> {
        let len = digits.iter().position(|&d| d == 0).unwrap_or(digits.len());
        let digits = digits.get(..len).unwrap_or_default();
        if let Some(&odd) = digits.iter().find(|&&d| event_of(d).is_none()) {
            return Err(DtmfError::NoDigit(odd));
        }
        self.queue.copy_within(self.next..self.queued, 0);
        self.queued -= self.next;
        self.next = 0;
        let room = self.queue.get_mut(self.queued..self.queued + len).ok_or(DtmfError::TooMany)?;
        room.copy_from_slice(digits);
        self.queued += len;
        let units = |wanted: u32| u16::try_from(wanted.max(320)).unwrap_or(u16::MAX);
        self.tone = units(tone);
        self.gap = units(gap).div_ceil(self.ptime.max(1));
        Ok(())
    }

    /// Whether digits sound or wait.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state != Sending::Idle || self.next < self.queued
    }

    /// What goes out at this tick, whose audio would carry `timestamp`.
    ///
    /// An event grows by one ptime a tick; its last packet goes out three times, on ticks that
    /// count as part of the gap. Cost: O(1).
    pub fn tick(&mut self, timestamp: Ts32) -> DtmfTick {
        match self.state {
            Sending::Idle => self.begin(timestamp),
            Sending::Tone { event, timestamp, duration } => {
                self.sound(event, timestamp, duration, false)
            }
            Sending::End { event, timestamp, duration, left } => {
                self.state = match left - 1 {
                    0 => {
                        Sending::Gap { ticks: self.gap.saturating_sub(u16::from(END_PACKETS) - 1) }
                    }
                    left => Sending::End { event, timestamp, duration, left },
                };
                Self::event(event, timestamp, duration, true, false)
            }
            Sending::Gap { ticks: 0 } => {
                self.state = Sending::Idle;
                if self.next < self.queued { self.begin(timestamp) } else { DtmfTick::Done }
            }
            Sending::Gap { ticks } => {
                self.state = Sending::Gap { ticks: ticks - 1 };
                DtmfTick::Gap
            }
        }
    }

    /// Forgets what waits; a digit that sounds still gets its end.
    pub fn clear(&mut self) {
        (self.queued, self.next) = (0, 0);
    }

    fn begin(&mut self, timestamp: Ts32) -> DtmfTick {
        let waiting = self.queue.get(self.next..self.queued).and_then(|q| q.first());
        let Some(event) = waiting.and_then(|&digit| event_of(digit)) else {
            return DtmfTick::Idle;
        };
        self.next += 1;
        self.sound(event, timestamp, 0, true)
    }

    /// One more ptime of tone, which may be its last.
    fn sound(&mut self, event: u8, timestamp: Ts32, before: u16, first: bool) -> DtmfTick {
        let duration = before.saturating_add(self.ptime);
        let end = duration >= self.tone;
        self.state = if end {
            Sending::End { event, timestamp, duration, left: END_PACKETS - 1 }
        } else {
            Sending::Tone { event, timestamp, duration }
        };
        Self::event(event, timestamp, duration, end, first)
    }

    fn event(event: u8, timestamp: Ts32, duration: u16, end: bool, marker: bool) -> DtmfTick {
        let payload = EventPayload { event, end, volume: VOLUME, duration }.to_bytes();
        DtmfTick::Event(EventPacket { payload, marker, timestamp })
    }
}

/// The event code of a digit.
#[must_use]
fn event_of(digit: u8) -> Option<u8> {
    let at = DIGITS.iter().position(|&d| d == digit.to_ascii_uppercase())?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload(event: u8, end: bool, duration: u16) -> [u8; 4] {
        EventPayload { event, end, volume: 10, duration }.to_bytes()
    }

    /// Time in ms, timestamp, event, end, duration.
    type Row = (u64, u32, u8, bool, u16);

    /// Name, packets, digits with durations.
    type Scenario = (&'static str, &'static [Row], &'static [(char, u32)]);

    /// Digits told, with their durations, from packets and a poll every 10 ms for `until` ms.
    fn told(rows: &[Row], until: u64) -> Vec<(char, u32)> {
        let start = Instant::now();
        let mut receiver = DtmfReceiver::new();
        let mut digits = Vec::new();
        for ms in 0..until {
            let now = start + Duration::from_millis(ms);
            for &(at, timestamp, event, end, duration) in rows {
                if at == ms {
                    let payload = payload(event, end, duration);
                    digits.extend(receiver.handle(now, Ts32(timestamp), 0, &payload));
                }
            }
            if ms % 10 == 0 {
                digits.extend(receiver.poll(now));
            }
        }
        digits.iter().map(|d| (char::from(d.digit), d.duration)).collect()
    }

    #[test]
    fn one_report_per_digit() {
        const WHOLE: &[Row] = &[
            (0, 800, 5, false, 160),
            (20, 800, 5, false, 320),
            (40, 800, 5, false, 480),
            (60, 800, 5, true, 640),
            (80, 800, 5, true, 640),
            (100, 800, 5, true, 640),
        ];
        let rows: &[Scenario] = &[
            ("whole", WHOLE, &[('5', 640)]),
            ("start lost", WHOLE.split_at(3).1, &[('5', 640)]),
            ("all but the last end lost", WHOLE.split_at(5).1, &[('5', 640)]),
            ("end lost", WHOLE.split_at(3).0, &[('5', 480)]),
            ("one packet in the middle", WHOLE.split_at(1).1.split_at(1).0, &[('5', 320)]),
            (
                "end before the last update",
                &[(0, 800, 5, false, 160), (20, 800, 5, true, 480), (30, 800, 5, false, 320)],
                &[('5', 480)],
            ),
            (
                "updates out of order",
                &[(0, 8, 1, false, 320), (20, 8, 1, false, 160), (40, 8, 1, true, 480)],
                &[('1', 480)],
            ),
            (
                "next digit shows the end of the one before",
                &[(0, 800, 1, false, 160), (50, 1600, 1, false, 160), (90, 1600, 1, true, 320)],
                &[('1', 160), ('1', 320)],
            ),
            (
                "next digit is one end packet only",
                &[(0, 800, 1, false, 160), (50, 1600, 2, true, 160)],
                &[('1', 160), ('2', 160)],
            ),
            (
                "same digit twice, ends repeated late",
                &[(0, 800, 7, true, 400), (100, 2400, 7, true, 400), (120, 800, 7, true, 400)],
                &[('7', 400), ('7', 400)],
            ),
            (
                "straggler of an event that was never told",
                &[(0, 9000, 7, false, 160), (10, 800, 3, true, 400), (20, 9000, 7, true, 320)],
                &[('7', 320)],
            ),
            (
                "event number reused with another code under one timestamp",
                &[(0, 800, 7, false, 160), (10, 800, 3, false, 320), (20, 800, 3, true, 400)],
                &[('7', 160)],
            ),
            (
                "letters and signs",
                &[(0, 1, 10, true, 1), (1, 2, 11, true, 1), (2, 3, 15, true, 1)],
                &[('*', 1), ('#', 1), ('D', 1)],
            ),
            ("flash and tones are no digits", &[(0, 1, 16, true, 1), (1, 2, 70, true, 1)], &[]),
            (
                "timestamp wraps between digits",
                &[(0, u32::MAX - 100, 1, true, 400), (200, 1500, 2, true, 400)],
                &[('1', 400), ('2', 400)],
            ),
        ];
        for (name, packets, want) in rows {
            assert_eq!(told(packets, 600), *want, "{name}");
        }
    }

    #[test]
    fn long_tones_go_on_past_65535_units() {
        let segments: &[Row] = &[
            (0, 100, 4, false, 65_000),
            (20, 100, 4, false, 65_535),
            (40, 100 + 65_535, 4, false, 160),
            (60, 100 + 65_535, 4, true, 320),
        ];
        assert_eq!(told(segments, 400), [('4', 65_535 + 320)]);
        let wrapped: &[Row] = &[
            (0, 100, 4, false, 65_400),
            (20, 100, 4, false, 24),
            (40, 100, 4, false, 184),
            (50, 100, 4, false, 24),
            (60, 100, 4, true, 344),
        ];
        assert_eq!(told(wrapped, 400), [('4', 65_536 + 344)]);
    }

    #[test]
    fn a_lost_end_is_told_100_ms_after_the_last_update() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut receiver = DtmfReceiver::new();
        assert_eq!(receiver.handle(at(0), Ts32(5), 4000, &payload(9, false, 160)), None);
        receiver.handle(at(20), Ts32(5), 4000, &payload(9, false, 320));
        assert!(receiver.is_sounding());
        assert_eq!(receiver.deadline(), Some(at(120)));
        assert_eq!(receiver.poll(at(119)), None);
        let want = Digit { digit: b'9', duration: 320, position: 4000 };
        assert_eq!(receiver.poll(at(120)), Some(want));
        assert_eq!((receiver.poll(at(500)), receiver.deadline()), (None, None));
        assert_eq!(receiver.handle(at(501), Ts32(5), 0, &payload(9, true, 480)), None, "told once");
    }

    #[test]
    fn short_payloads_are_ignored() {
        let mut receiver = DtmfReceiver::new();
        for payload in [&[][..], &[1], &[1, 0x8a, 0]] {
            assert_eq!(receiver.handle(Instant::now(), Ts32(1), 0, payload), None);
        }
        assert_eq!(receiver.ignored(), 3);
    }

    /// What a sender says over `ticks`, as text.
    fn sent(sender: &mut DtmfSender, ticks: u32) -> Vec<String> {
        let line = |i: u32| match sender.tick(Ts32(1000 + i * 160)) {
            DtmfTick::Idle => "idle".to_string(),
            DtmfTick::Gap => "gap".to_string(),
            DtmfTick::Done => "done".to_string(),
            DtmfTick::Event(packet) => {
                let event = EventPayload::parse(&packet.payload).unwrap();
                let end = if event.end { " end" } else { "" };
                let marker = if packet.marker { " marker" } else { "" };
                format!(
                    "{} ts {} for {}{end}{marker}",
                    event.event, packet.timestamp.0, event.duration
                )
            }
        };
        (0..ticks).map(line).collect()
    }

    #[test]
    fn digits_go_out_tick_by_tick() {
        let mut sender = DtmfSender::new(160);
        sender.queue(b"5#\0\0", 480, 640).unwrap();
        let want = [
            "5 ts 1000 for 160 marker",
            "5 ts 1000 for 320",
            "5 ts 1000 for 480 end",
            "5 ts 1000 for 480 end",
            "5 ts 1000 for 480 end",
            "gap",
            "gap",
            "11 ts 2120 for 160 marker",
            "11 ts 2120 for 320",
            "11 ts 2120 for 480 end",
            "11 ts 2120 for 480 end",
            "11 ts 2120 for 480 end",
            "gap",
            "gap",
            "done",
            "idle",
        ];
        assert!(sender.is_active());
        assert_eq!(sent(&mut sender, 16), want);
        assert!(!sender.is_active());
    }

    #[test]
    fn what_cannot_be_sent_is_refused_whole() {
        let mut sender = DtmfSender::new(160);
        assert_eq!(sender.queue(b"12x", 800, 800), Err(DtmfError::NoDigit(b'x')));
        assert!(!sender.is_active());
        assert_eq!(sender.queue(&[b'1'; 33], 800, 800), Err(DtmfError::TooMany));
        sender.queue(&[b'1'; 32], 0, 0).unwrap();
        assert_eq!(sender.queue(b"2", 0, 0), Err(DtmfError::TooMany));
        sender.tick(Ts32(0));
        sender.queue(b"d", 0, 0).unwrap();
        sender.clear();
        assert_eq!(sent(&mut sender, 9).last().unwrap(), "idle", "the digit got its end");
    }

    #[test]
    fn what_is_sent_is_received() {
        let start = Instant::now();
        let mut sender = DtmfSender::new(160);
        sender.queue(b"0123456789*#ABCD", 800, 800).unwrap();
        let mut receiver = DtmfReceiver::new();
        let mut digits = Vec::new();
        for i in 0..400u32 {
            let now = start + Duration::from_millis(20) * i;
            if let DtmfTick::Event(p) = sender.tick(Ts32(u32::MAX - 3000).plus(i * 160)) {
                digits.extend(receiver.handle(now, p.timestamp, 0, &p.payload));
            }
            digits.extend(receiver.poll(now));
        }
        let text: Vec<u8> = digits.iter().map(|d| d.digit).collect();
        assert_eq!(text, b"0123456789*#ABCD");
        assert!(digits.iter().all(|d| d.duration == 800));
    }

    proptest! {
        #[test]
        fn digits_survive_loss_of_any_packets_but_one(
            digits in "[0-9*#A-D]{1,12}",
            lost in prop::collection::vec(any::<bool>(), 200),
        ) {
            let start = Instant::now();
            let mut sender = DtmfSender::new(160);
            sender.queue(digits.as_bytes(), 480, 800).unwrap();
            let mut receiver = DtmfReceiver::new();
            let mut told = Vec::new();
            let mut heard: Vec<Ts32> = Vec::new();
            for i in 0..200u32 {
                let now = start + Duration::from_millis(20) * i;
                if let DtmfTick::Event(p) = sender.tick(Ts32(i * 160)) && !lost[i as usize] {
                    heard.push(p.timestamp);
                    told.extend(receiver.handle(now, p.timestamp, u64::from(i), &p.payload));
                }
                told.extend(receiver.poll(now));
            }
            heard.dedup();
            prop_assert_eq!(told.len(), heard.len());
            prop_assert!(told.iter().all(|d| (160..=480).contains(&d.duration)));
        }

        #[test]
        fn any_payload_is_survived(
            rows in prop::collection::vec((0u64..300, any::<u32>(), any::<[u8; 4]>()), 0..60),
        ) {
            let mut now = Instant::now();
            let mut receiver = DtmfReceiver::new();
            let mut told = 0;
            for (ms, timestamp, payload) in &rows {
                now += Duration::from_millis(*ms);
                told += usize::from(receiver.handle(now, Ts32(*timestamp), 0, payload).is_some());
                told += usize::from(receiver.poll(now).is_some());
            }
            prop_assert!(told <= rows.len());
        }
    }
}
