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
use super::interface::{Event, FrameHeader, FrameKind, JitterSpec, MediaParams};
use super::jitter::{Decision, Following, JitterBuffer, MAX_PAYLOAD, PayloadKind, PayloadTable};
use super::playout::Events;
use super::quality::Losses;
use super::report::Heard;
use super::ring::CaptureWriter;
use super::stats::LegStats;
use crate::audio::codec::{ClockRate, CodecId, SampleRate};
use crate::audio::dtmf::{DtmfDetector, HeardDigit};
use crate::audio::plc::Concealer;
use crate::rtp::dtmf::{Digit, DtmfReceiver};
use crate::rtp::packet::{Packet, Ssrc};
use crate::rtp::source::{SourceLock, Verdict};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Samples of one frame in the capture ring at most: 60 ms of G.711.
pub const FRAME_MAX: usize = MAX_PAYLOAD;
/// Frames that are made up, for a hole or for silence, are this long.
const FILL: usize = 160;
/// How much of the audio behind a hole is decoded for the concealer: 40 ms.
const FOLLOWING: usize = 320;
/// Longest silence that is written out; the position of the next frame tells the rest.
const SILENCE_WRITTEN: u32 = 4_000;

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
    clock: ClockRate,
    /// The application wants it, and the peer may send.
    listen: bool,
    allowed: bool,
    fresh: bool,
    /// A source was heard: the next one is spliced on.
    begun: bool,
    /// Whether digits are listened for, by whom, and which were heard.
    inband: bool,
    detector: DtmfDetector,
    heard: Bounded<HeardDigit, 8>,
    losses: Losses,
    /// Samples of the last packet.
    packet: usize,
    frame: [i16; FRAME_MAX],
    following: [i16; FOLLOWING],
}

impl Receive {
    /// Opens the receive side; it refuses everything until [`Receive::update`].
    ///
    /// Cost: allocates about 40 KiB; nothing after it does.
    #[must_use]
    pub fn new(now: Instant, clock: ClockRate, jitter: JitterSpec, capture: CaptureWriter) -> Self {
        Self {
            lock: SourceLock::new(),
            jitter: JitterBuffer::new(now, clock.hz(), jitter, PayloadTable::standard()),
            malformed: 0,
            flowing: None,
            wait: None,
            window_max: jitter.hole_wait_max,
            sound: Sound {
                capture,
                codecs: CodecSet::default(),
                concealer: Concealer::new(clock.hz()),
                digits: DtmfReceiver::new(),
                clock,
                listen: true,
                allowed: false,
                fresh: false,
                begun: false,
                inband: false,
                detector: DtmfDetector::new(rate_of(clock)),
                heard: Bounded::default(),
                losses: Losses::default(),
                packet: FILL,
                frame: [0; FRAME_MAX],
                following: [0; FOLLOWING],
            },
        }
    }

    /// Takes an agreement.
    pub fn update(&mut self, now: Instant, params: &MediaParams) {
        self.lock.update(now, params.remote_rtp);
        let audio = PayloadKind::Audio(params.codec);
        let mut payloads = PayloadTable::standard().with(params.payload_type, audio);
        if let Some(event) = params.telephone_event {
            payloads = payloads.with(event, PayloadKind::TelephoneEvent);
        }
        self.jitter.set_payloads(payloads);
        self.sound.allowed = params.receive;
    }

    /// Whether caller audio goes into the capture ring.
    pub fn listen(&mut self, listen: bool) {
        self.sound.listen = listen;
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
        *wait = loop {
            match jitter.poll(now) {
                Decision::Source { .. } => sound.splice(),
                Decision::Packet { position, codec, payload } => {
                    sound.packet(position, codec, payload, stats);
                }
                Decision::Hole { position, samples, following } => {
                    sound.hole(position, samples, following, stats);
                }
                Decision::Silence { position, samples, level } => {
                    sound.silence(position, samples, level, stats);
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
        let rate = rate_of(self.sound.clock);
        Some(Heard {
            reception,
            losses: self.sound.losses,
            late: self.jitter.counters().late,
            packet: rate.duration_of(self.sound.packet as u64),
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
        stats.rx_lost.set(counters.lost);
        stats.rx_duplicate.set(counters.duplicate);
        stats.rx_reordered.set(counters.reordered);
        stats.rx_late.set(counters.late);
        let refused = self.lock.refused() + self.malformed + counters.unknown + counters.overflow;
        stats.rx_refused.set(refused);
        let hz = u64::from(self.sound.clock.hz());
        stats.rx_jitter_us.set(u64::from(self.jitter.jitter()) * 1_000_000 / hz);
        stats.rx_concealed_ms.set(counters.hole_samples * 1_000 / hz);
    }
}

impl Sound {
    /// Another source goes on where one was heard; the first is left as it is.
    fn splice(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            self.concealer.splice();
        }
    }

    fn packet(&mut self, position: u64, codec: CodecId, payload: &[u8], stats: &LegStats) {
        let samples = self.codecs.decode(codec, payload, &mut self.frame);
        self.packet = samples.max(1);
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
        let mut known = 0;
        for (codec, payload) in following {
            let room = self.following.get_mut(known..).unwrap_or_default();
            if room.is_empty() {
                break;
            }
            known += self.codecs.decode(codec, payload, room);
        }
        let samples = usize::try_from(samples).unwrap_or(0);
        self.losses.lost(samples.div_ceil(self.packet) as u64);
        self.concealer.begin(samples, self.following.get(..known).unwrap_or_default());
        self.fill(position, samples, FrameKind::Concealed, stats, Concealer::fill);
    }

    fn silence(&mut self, position: u64, samples: u32, level: Option<u8>, stats: &LegStats) {
        let samples = usize::try_from(samples.min(SILENCE_WRITTEN)).unwrap_or(0);
        self.fill(position, samples, FrameKind::Silence, stats, |concealer, frame| {
            concealer.silence(level, frame);
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
        let (mut position, mut left) = (position, samples);
        while left > 0 {
            let samples = left.min(FILL);
            make(&mut self.concealer, self.frame.get_mut(..samples).unwrap_or_default());
            self.write(position, samples, kind, stats);
            position += samples as u64;
            left -= samples;
        }
    }

    fn write(&mut self, position: u64, samples: usize, kind: FrameKind, stats: &LegStats) {
        let Some(frame) = self.frame.get(..samples).filter(|_| self.allowed) else { return };
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
        let held = rate_of(self.clock).duration_of(duration.into());
        let duration_ms = u32::try_from(held.as_millis()).unwrap_or(u32::MAX);
        if !events.push(Event::Dtmf { digit, duration_ms, position, inband: false }) {
            stats.dropped.add(1);
        }
    }

    fn tell_heard(&mut self, events: &mut Events, stats: &LegStats) {
        while let Some(HeardDigit { digit, position, samples }) = self.heard.pop() {
            let held = rate_of(self.clock).duration_of(samples);
            let duration_ms = u32::try_from(held.as_millis()).unwrap_or(u32::MAX);
            if !events.push(Event::Dtmf { digit, duration_ms, position, inband: true }) {
                stats.dropped.add(1);
            }
        }
    }
}

fn rate_of(clock: ClockRate) -> SampleRate {
    SampleRate::new(clock.hz()).unwrap_or(SampleRate::HZ_8000)
}
