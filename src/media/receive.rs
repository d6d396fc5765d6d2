//! The receive side of a leg: from a datagram to frames in the capture ring.
//!
//! ```text
//!  datagram ─> parse ─> source lock ─> jitter buffer ─┬─ packet ─> decode ──┬─> capture ring
//!                                                     ├─ hole ──> conceal ──┤
//!                                                     ├─ silence ───────────┘
//!                                                     └─ event ─> digits ─> Event::Dtmf
//! ```
//!
//! Frames go out the moment they are in order: the listener is a program. Owns what the caller's
//! side needs to remember; does not own the order of packets (`jitter`), whom to believe
//! (`rtp::source`) or what a lost frame sounds like (`audio::plc`).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::bounded::Bounded;
use super::codecs::CodecSet;
use super::interface::{Due, Event, FrameHeader, FrameKind, JitterSpec, MediaParams};
use super::jitter::{Decision, Following, JitterBuffer, PayloadKind, PayloadTable};
use super::ledger::Stage;
use super::level::Level;
use super::playout::Events;
use super::quality::Losses;
use super::report::Heard;
use super::ring::CaptureWriter;
use super::stats::LegStats;
use crate::audio::codec::{ClockRate, CodecId, SampleRate, Way};
use crate::audio::dtmf::{DtmfDetector, HeardDigit};
use crate::audio::plc::{ComfortNoise, Concealer};
use crate::rtp::dtmf::{Digit, DtmfReceiver};
use crate::rtp::packet::{Packet, Ssrc};
use crate::rtp::source::{SourceLock, Verdict};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Samples of one frame in a ring at most: 60 ms at 16 kHz.
pub const FRAME_MAX: usize = 960;

/// Memory for one frame in a ring of this rate: 60 ms.
fn frame_memory(rate: SampleRate) -> Box<[i16]> {
    let samples = usize::try_from(rate.samples_in(Duration::from_millis(60))).unwrap_or(FRAME_MAX);
    vec![0; samples.min(FRAME_MAX)].into_boxed_slice()
}

/// Frames that are made up, for a hole or for silence, are at most this long, in a fraction of a
/// second: 20 ms.
const FILLS_PER_SECOND: usize = 50;
/// How much of the audio behind a hole is decoded for the concealer, in a fraction of a second:
/// 40 ms.
const FOLLOWINGS_PER_SECOND: usize = 25;
/// Longest silence that is written out, in a fraction of a second; the position of the next frame
/// tells the rest.
const SILENCES_PER_SECOND: usize = 2;

/// The receive side of a leg. See the module.
pub struct Receive {
    lock: SourceLock,
    jitter: JitterBuffer,
    malformed: u64,
    flowing: Option<(SocketAddr, Ssrc)>,
    wait: Option<Instant>,
    /// Longest wait for a hole.
    window_max: Duration,
    sound: Sound,
}

/// What turns decisions of the jitter buffer into frames.
struct Sound {
    capture: CaptureWriter,
    codecs: CodecSet,
    concealer: Concealer,
    digits: DtmfReceiver,
    /// Samples of the ring per second.
    rate: SampleRate,
    /// The clock of telephone events: the agreed codec's.
    clock: ClockRate,
    /// The application wants it, and the peer may send.
    listen: bool,
    allowed: bool,
    mute: Level,
    fresh: bool,
    /// Packets were passed over because nobody wanted their sound.
    passed_over: bool,
    /// A source was heard: the next one is spliced on.
    begun: bool,
    /// Whether digits are listened for, by whom, and which were heard.
    inband: bool,
    detector: DtmfDetector,
    heard: Bounded<HeardDigit, 8>,
    losses: Losses,
    /// Samples of the last packet.
    packet: usize,
    frame: Box<[i16]>,
    following: Box<[i16]>,
}

impl Receive {
    /// Opens the receive side; it refuses everything until [`Receive::update`].
    ///
    /// Cost: allocates about 22 KiB at 8 kHz; nothing after it does.
    #[must_use]
    pub fn new(
        now: Instant,
        rate: SampleRate,
        codecs: &[CodecId],
        jitter: JitterSpec,
        capture: CaptureWriter,
    ) -> Self {
        let following = usize::try_from(rate.hz()).unwrap_or(0) / FOLLOWINGS_PER_SECOND;
        Self {
            lock: SourceLock::new(),
            jitter: JitterBuffer::new(now, rate.hz(), jitter, PayloadTable::standard()),
            malformed: 0,
            flowing: None,
            wait: None,
            window_max: jitter.hole_wait_max,
            sound: Sound {
                capture,
                codecs: CodecSet::new(rate, codecs, Way::Decode),
                concealer: Concealer::new(rate.hz()),
                digits: DtmfReceiver::new(),
                rate,
                clock: ClockRate::HZ_8000,
                listen: true,
                allowed: false,
                mute: Level::default(),
                fresh: false,
                passed_over: false,
                begun: false,
                inband: false,
                detector: DtmfDetector::new(rate),
                heard: Bounded::default(),
                losses: Losses::default(),
                packet: usize::try_from(rate.samples_in(Duration::from_millis(20))).unwrap_or(160),
                frame: frame_memory(rate),
                following: vec![0; following].into_boxed_slice(),
            },
        }
    }

    /// Takes an agreement.
    pub fn update(&mut self, now: Instant, params: &MediaParams) {
        self.lock.update(now, params.remote_rtp);
        self.jitter.set_payloads(payloads(params));
        self.sound.allowed = params.receive;
        self.sound.clock = params.codec.spec().clock_rate;
    }

    /// Whether caller audio goes into the capture ring.
    pub fn listen(&mut self, listen: bool) {
        self.sound.listen = listen;
    }

    /// Whether silence goes into the capture ring in the place of caller audio, and within how
    /// many samples.
    pub fn mute(&mut self, muted: bool, samples: usize) {
        self.sound.mute.mute(muted, samples);
    }

    /// A hole is declared when it is heard, or as soon as the window has passed.
    pub fn set_due(&mut self, due: Option<Due>) {
        self.jitter.set_due(due);
    }

    /// Whether digits are listened for in the audio.
    pub fn listen_for_digits(&mut self, inband: bool) {
        self.sound.inband = inband;
    }

    /// Takes a datagram; `false` when it is refused.
    pub fn handle(
        &mut self,
        now: Instant,
        bytes: &[u8],
        from: SocketAddr,
        stats: &LegStats,
        events: &mut Events,
    ) -> bool {
        let Ok(packet) = Packet::parse(bytes) else {
            self.malformed += 1;
            self.publish(stats);
            return false;
        };
        let accepted = self.lock.check(now, from, &packet) != Verdict::Refuse;
        if accepted {
            self.jitter.insert(now, &packet);
            self.poll(now, stats, events);
            self.tell_source(from, events);
        } else {
            self.publish(stats);
        }
        accepted
    }

    /// Emits what is in order or has been waited for long enough.
    pub fn poll(&mut self, now: Instant, stats: &LegStats, events: &mut Events) {
        let Self { jitter, sound, wait, .. } = self;
        sound.capture.set_now(now);
        *wait = loop {
            match jitter.poll(now) {
                Decision::Source { .. } => sound.splice(),
                Decision::Packet { position, codec, payload } => {
                    sound.packet(position, codec, payload, stats);
                    let stood = now.saturating_duration_since(jitter.arrived());
                    stats.time(Stage::Order, stood);
                }
                Decision::Hole { position, samples, following } => {
                    sound.hole(position, samples, following, stats);
                }
                Decision::Silence { position, samples, noise } => {
                    sound.silence(position, samples, noise, stats);
                }
                Decision::Event { position, timestamp, payload } => {
                    let digit = sound.digits.handle(now, timestamp, position, payload);
                    sound.tell_digit(digit, events, stats);
                }
                Decision::Wait(until) => break until,
            }
        };
        while let Some(digit) = sound.digits.poll(now) {
            sound.tell_digit(Some(digit), events, stats);
        }
        sound.tell_heard(events, stats);
        self.publish(stats);
    }

    /// When [`Receive::poll`] will have something to do before the next packet.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.wait
    }

    /// Where our RTP goes, once there is an agreement.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.lock.remote().filter(|to| !to.ip().is_unspecified() && to.port() != 0)
    }

    /// Whether RTCP from this address may be read.
    #[must_use]
    pub fn accepts_rtcp(&self, from: SocketAddr) -> bool {
        self.lock.accepts_rtcp(from)
    }

    /// What RTCP says of the peer's source; closes its reporting interval.
    pub fn report(&mut self) -> Option<Heard> {
        let reception = self.jitter.report()?;
        Some(Heard {
            reception,
            losses: self.sound.losses,
            late: self.jitter.counters().late,
            packet: self.sound.rate.duration_of(self.sound.packet as u64),
            window: (self.jitter.window(), self.window_max),
        })
    }

    /// Whether frames were written since the last question.
    pub fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.sound.fresh)
    }

    fn tell_source(&mut self, from: SocketAddr, events: &mut Events) {
        let Some(ssrc) = self.jitter.ssrc() else { return };
        let source = (self.lock.locked().unwrap_or(from), ssrc);
        if self.flowing != Some(source) {
            let told = events.push(Event::Flowing { remote: source.0, ssrc: ssrc.0 });
            // A full queue is tried again with the next packet.
            self.flowing = told.then_some(source);
        }
    }

    fn publish(&self, stats: &LegStats) {
        let counters = self.jitter.counters();
        stats.rx_packets.set(counters.packets);
        stats.rx_restored.set(counters.restored);
        stats.rx_lost.set(counters.lost);
        stats.rx_duplicate.set(counters.duplicate);
        stats.rx_reordered.set(counters.reordered);
        stats.rx_late.set(counters.late);
        let refused = self.lock.refused() + self.malformed + counters.unknown + counters.overflow;
        stats.rx_refused.set(refused);
        let wait = self.jitter.window().as_micros();
        stats.rx_hole_wait_us.set(u64::try_from(wait).unwrap_or(u64::MAX));
        let clock_hz = u64::from(self.jitter.clock_rate());
        stats.rx_jitter_us.set(u64::from(self.jitter.jitter()) * 1_000_000 / clock_hz);
        let ring_hz = u64::from(self.sound.rate.hz());
        stats.rx_concealed_ms.set(counters.hole_samples * 1_000 / ring_hz);
        stats.rx_due.set(self.sound.losses.packets());
        stats.rx_missing.set(self.sound.losses.missing());
        stats.rx_missing_runs.set(self.sound.losses.runs());
    }
}

impl Sound {
    /// Another source goes on where one was heard; the first is left as it is.
    fn splice(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            self.concealer.splice();
        }
    }

    /// Whether anybody wants the caller's sound.
    const fn is_wanted(&self) -> bool {
        self.allowed && (self.listen || self.inband)
    }

    /// A packet whose sound nobody wants: it is counted, and not decoded.
    fn pass_over(&mut self, codec: CodecId, payload: &[u8]) {
        let samples = self.samples_of(codec, payload);
        if samples > 0 {
            self.packet = samples;
        }
        self.losses.received();
        self.passed_over = true;
    }

    fn samples_of(&self, codec: CodecId, payload: &[u8]) -> usize {
        let spec = codec.spec();
        let units = u64::from(spec.clock_units(payload));
        let samples = units * u64::from(self.rate.hz()) / u64::from(spec.clock_rate.hz());
        usize::try_from(samples).unwrap_or(0)
    }

    fn packet(&mut self, position: u64, codec: CodecId, payload: &[u8], stats: &LegStats) {
        if !self.is_wanted() {
            return self.pass_over(codec, payload);
        }
        if std::mem::take(&mut self.passed_over) {
            self.codecs.begin_anew();
            self.concealer.forget();
        }
        let samples = self.codecs.decode(codec, payload, &mut self.frame);
        if samples == 0 {
            return self.undecodable(position, codec, payload, stats);
        }
        self.packet = samples;
        self.losses.received();
        let frame = self.frame.get_mut(..samples).unwrap_or_default();
        // While a digit sounds, what is heard in band is its leak (RFC 4733 §2.5.1.2).
        let kind = if self.digits.is_sounding() {
            frame.fill(0);
            FrameKind::Silence
        } else {
            FrameKind::Packet
        };
        self.concealer.good(frame);
        self.write(position, samples, kind, stats);
    }

    fn hole(&mut self, position: u64, samples: u32, following: Following<'_>, stats: &LegStats) {
        let samples = usize::try_from(samples).unwrap_or(0);
        self.losses.lost(samples.div_ceil(self.packet) as u64);
        if !self.is_wanted() {
            return;
        }
        let (mut known, behind) = (0, self.rate_hz() / FOLLOWINGS_PER_SECOND);
        for (n, (codec, payload)) in following.enumerate() {
            let room = self.following.get_mut(known..behind).unwrap_or_default();
            if room.is_empty() {
                break;
            }
            known += self.codecs.look_ahead(codec, n == 0, payload, room);
        }
        self.concealer.begin(samples, self.following.get(..known).unwrap_or_default());
        self.fill(position, samples, FrameKind::Concealed, stats, Concealer::fill);
    }

    /// A packet that came but says nothing (damaged Opus): its time is filled as if it was lost.
    fn undecodable(&mut self, position: u64, codec: CodecId, payload: &[u8], stats: &LegStats) {
        let samples = self.samples_of(codec, payload);
        if samples > 0 {
            self.concealer.begin(samples, &[]);
            self.fill(position, samples, FrameKind::Concealed, stats, Concealer::fill);
        }
    }

    fn rate_hz(&self) -> usize {
        usize::try_from(self.rate.hz()).unwrap_or(8_000)
    }

    fn silence(
        &mut self,
        position: u64,
        samples: u32,
        noise: Option<ComfortNoise>,
        stats: &LegStats,
    ) {
        let longest = self.rate_hz() / SILENCES_PER_SECOND;
        let samples = usize::try_from(samples).unwrap_or(longest).min(longest);
        self.fill(position, samples, FrameKind::Silence, stats, |concealer, frame| {
            concealer.silence(noise, frame);
        });
    }

    /// Writes made-up audio, frame by frame.
    fn fill(
        &mut self,
        position: u64,
        samples: usize,
        kind: FrameKind,
        stats: &LegStats,
        make: impl Fn(&mut Concealer, &mut [i16]),
    ) {
        let (mut position, mut left) = (position, if self.is_wanted() { samples } else { 0 });
        while left > 0 {
            let samples = left.min(self.rate_hz() / FILLS_PER_SECOND);
            make(&mut self.concealer, self.frame.get_mut(..samples).unwrap_or_default());
            self.write(position, samples, kind, stats);
            position += samples as u64;
            left -= samples;
        }
    }

    fn write(&mut self, position: u64, samples: usize, kind: FrameKind, stats: &LegStats) {
        let Some(frame) = self.frame.get_mut(..samples).filter(|_| self.allowed) else { return };
        if self.inband {
            let heard = &mut self.heard;
            self.detector.push(position, frame, &mut |digit| {
                if !heard.push(digit) {
                    stats.dropped.add(1);
                }
            });
        }
        if !self.listen {
            return;
        }
        self.mute.apply(frame);
        let header =
            FrameHeader { position, samples: u16::try_from(samples).unwrap_or(u16::MAX), kind };
        if self.capture.push(header, frame) {
            self.fresh = true;
        } else {
            stats.rx_overrun_samples.add(samples as u64);
        }
    }

    fn tell_digit(&mut self, digit: Option<Digit>, events: &mut Events, stats: &LegStats) {
        let Some(Digit { digit, duration, position }) = digit else { return };
        let held_ms = u64::from(duration) * 1_000 / u64::from(self.clock.hz());
        let duration_ms = u32::try_from(held_ms).unwrap_or(u32::MAX);
        if !events.push(Event::Dtmf { digit, duration_ms, position, inband: false }) {
            stats.dropped.add(1);
        }
    }

    fn tell_heard(&mut self, events: &mut Events, stats: &LegStats) {
        while let Some(HeardDigit { digit, position, samples }) = self.heard.pop() {
            let held = self.rate.duration_of(samples);
            let duration_ms = u32::try_from(held.as_millis()).unwrap_or(u32::MAX);
            if !events.push(Event::Dtmf { digit, duration_ms, position, inband: true }) {
                stats.dropped.add(1);
            }
        }
    }
}

/// What the payload types of an agreement carry: ours, under which the peer must send, and those
/// that the peer named, under which some send.
fn payloads(params: &MediaParams) -> PayloadTable {
    let mut payloads = PayloadTable::standard();
    for (payload_type, codec) in params.accepts.audio.iter().flatten() {
        payloads = payloads.with(*payload_type, PayloadKind::Audio(*codec));
    }
    payloads = payloads.with(params.payload_type, PayloadKind::Audio(params.codec));
    for event in params.accepts.event.iter().chain(&params.telephone_event) {
        payloads = payloads.with(*event, PayloadKind::TelephoneEvent);
    }
    if let Some(redundancy) = params.accepts.redundancy {
        payloads = payloads.with(redundancy, PayloadKind::Redundant);
    }
    //= RFC 3389 §4: payload type 13 is comfort noise for codecs with a clock of 8 kHz
    if params.codec.spec().clock_rate != ClockRate::HZ_8000 {
        payloads = payloads.with(13, PayloadKind::Unknown);
    }
    payloads
}
