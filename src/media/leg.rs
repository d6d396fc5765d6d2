//! A media leg: the hot path between one carrier's RTP and the two rings.
//!
//! ```text
//!  handle_rtp ──> receive ─────────────────────────────────────> capture ring ──> app
//!  tick <── seal <── rtp header <── codec <── background, tone, mute, low cut, silence
//!                                                 <── playout (fades, marks) <── playout ring <── app
//!                   └ pacer: seq, ts      └ or RFC 4733 digits, which replace audio
//!                     what is coded goes into the monitor ring, too, if somebody hears it
//!  tick ──> report every 5 s, close ──> BYE          poll_event ──> Event
//! ```
//!
//! Pure: time and bytes come in, one RTP and one RTCP packet a tick go out by [`Outgoing`], and
//! [`Leg::handle_sent`] hears what became of the former. After [`Leg::open`] nothing allocates.
//! Does not own sockets, the beat, or the agreement (`Command::Update` brings it).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::background::Background;
use super::codecs::CodecSet;
use super::interface::{Command, Event, JitterSpec, MediaParams, SendSpec};
use super::ledger::Stage;
use super::level::Level;
use super::monitor::Monitor;
use super::pacer::{Pacer, Stamp};
use super::playout::{Events, Playout, StartRule};
use super::receive::{FRAME_MAX, Receive};
use super::report::{ReportBuffer, Reports};
use super::ring::{self, CaptureReader, CaptureWriter, PlayoutWriter};
use super::secure::{Kind, Secure};
use super::silence::{COMFORT_NOISE, Due, Silence};
use super::stats::LegStats;
use super::tone::NetworkTone;
use crate::audio::codec::{ClockRate, CodecId, SampleRate, Way};
use crate::audio::filter::LowCut;
use crate::audio::tone::DigitTones;
use crate::rtp::dtmf::{DtmfSender, DtmfTick};
use crate::rtp::packet::{HEADER_LEN, HeaderTemplate, Ssrc, is_rtcp};
use crate::rtp::rtcp::MAX_REPORT;
use crate::rtp::seq::{Seq16, Ts32};
use crate::rtp::srtp::{RTCP_ROOM, RTP_ROOM, SrtpPair};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A leg that is later than this gives the beat up instead of sending a burst.
pub const LATE_MAX: Duration = Duration::from_millis(60);
/// Longest payload that is sent: 60 ms of G.711 or G.722.
const PAYLOAD_MAX: usize = 480;
/// How long muting takes: no click, and not a word more.
const MUTE: Duration = Duration::from_millis(5);
/// Beat of a leg without an agreement.
const PTIME: Duration = Duration::from_millis(20);

/// What a leg is made of.
#[derive(Debug, Clone)]
pub struct LegConfig {
    /// Codecs that an agreement may bring, besides PCMU and PCMA.
    pub codecs: Vec<CodecId>,
    /// Rate of both rings, for the life of the leg: 8 or 16 kHz; others count as 8 kHz.
    pub rate: SampleRate,
    /// Canonical name in RTCP; see [`crate::rtp::rtcp::RtcpSession::new`].
    pub cname: String,
    /// Draws SSRC, first sequence number and first timestamp.
    pub seed: u64,
    /// How long the receive side waits for late packets.
    pub jitter: JitterSpec,
    /// How soon playing starts.
    pub start: StartRule,
    /// Size of the playout ring.
    pub playout: Duration,
    /// Size of the capture ring.
    pub capture: Duration,
    /// What becomes of sound on its last way to the codec.
    pub send: SendSpec,
    /// Wall clock at the opening, since 1970.
    pub opened_unix: Duration,
}

/// What a tick wants sent: the caller's buffer, used again and again.
#[derive(Debug)]
pub struct Outgoing {
    rtp: [u8; HEADER_LEN + PAYLOAD_MAX + RTP_ROOM],
    rtp_to: Option<(usize, SocketAddr)>,
    rtcp: [u8; MAX_REPORT + RTCP_ROOM],
    rtcp_to: Option<(usize, SocketAddr)>,
    muxed: bool,
    /// The frame that is being made: of all legs, so that it stays in the processor's cache.
    frame: [i16; FRAME_MAX],
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            rtp: [0; HEADER_LEN + PAYLOAD_MAX + RTP_ROOM],
            rtp_to: None,
            rtcp: [0; MAX_REPORT + RTCP_ROOM],
            rtcp_to: None,
            muxed: false,
            frame: [0; FRAME_MAX],
        }
    }
}

impl Outgoing {
    /// The RTP packet to send, and where to.
    #[must_use]
    pub fn rtp(&self) -> Option<(&[u8], SocketAddr)> {
        self.rtp_to.and_then(|(len, to)| Some((self.rtp.get(..len)?, to)))
    }

    /// The RTCP packet to send, and where to.
    #[must_use]
    pub fn rtcp(&self) -> Option<(&[u8], SocketAddr)> {
        self.rtcp_to.and_then(|(len, to)| Some((self.rtcp.get(..len)?, to)))
    }

    /// Whether the RTCP packet goes out on the RTP socket (RFC 5761).
    #[must_use]
    pub fn is_muxed(&self) -> bool {
        self.muxed
    }

    /// Room for a report in the clear.
    fn report(&mut self) -> Option<&mut ReportBuffer> {
        self.rtcp.first_chunk_mut()
    }

    fn clear(&mut self) {
        (self.rtp_to, self.rtcp_to, self.muxed) = (None, None, false);
    }
}

/// One leg. See the module.
pub struct Leg {
    opened: Instant,
    rate: SampleRate,
    secure: Secure,
    params: Option<MediaParams>,
    receive: Receive,
    playout: Playout,
    /// What comes out of the playout, on its way to silence or back.
    mute: Level,
    background: Option<Background>,
    tone: NetworkTone,
    low_cut: Option<LowCut>,
    silence: Silence,
    codecs: CodecSet,
    pacer: Pacer,
    digits: DtmfSender,
    /// Digits as sound, and whether they are wanted so in any case.
    tones: DigitTones,
    inband: bool,
    /// Dtmf commands whose end is still to be told.
    digit_commands: u32,
    reports: Reports,
    /// Where the peer's RTCP comes from, when that is not what was signalled.
    rtcp_from: Option<SocketAddr>,
    heard: Instant,
    quiet_after: Duration,
    quiet_told: Instant,
    events: Events,
    ready: bool,
    dropped_told: u64,
    stats: Arc<LegStats>,
    monitor: Monitor,
    /// Payload octets of the packet that waits for [`Leg::handle_sent`].
    octets: usize,
}

impl Leg {
    /// Opens a leg that is silent and deaf until its first `Command::Update`.
    ///
    /// Cost: allocates everything the leg will ever need, about 55 KiB at 8 kHz.
    pub fn open(
        now: Instant,
        config: &LegConfig,
        stats: Arc<LegStats>,
    ) -> (Self, PlayoutWriter, CaptureReader) {
        let rate = match config.rate {
            SampleRate::HZ_16000 => SampleRate::HZ_16000,
            _ => SampleRate::HZ_8000,
        };
        let samples = |time| usize::try_from(rate.samples_in(time)).unwrap_or(0).max(FRAME_MAX);
        let (writer, reader) = ring::playout(samples(config.playout));
        let room = samples(config.capture);
        // Packets may be half as long as ours.
        let (capture, captured) = ring::capture(room.div_ceil(samples_of(rate, PTIME / 2)), room);
        let pacer = Pacer::new(config.seed);
        let ssrc = Ssrc(pacer.peek().ssrc);
        let leg = Self {
            opened: now,
            rate,
            secure: Secure::new(),
            params: None,
            receive: Receive::new(now, rate, &config.codecs, config.jitter, capture),
            playout: Playout::new(reader, samples(config.playout), rate, config.start),
            mute: Level::default(),
            background: config.send.background.as_ref().and_then(|b| Background::new(b, rate)),
            tone: NetworkTone::new(rate),
            low_cut: config.send.low_cut.then(|| LowCut::new(rate)),
            silence: Silence::new(config.send.silence, rate),
            codecs: CodecSet::new(rate, &config.codecs, Way::Encode),
            pacer,
            digits: DtmfSender::new(0),
            tones: DigitTones::new(rate),
            inband: false,
            digit_commands: 0,
            reports: Reports::new(now, config.opened_unix, ssrc, &config.cname),
            rtcp_from: None,
            heard: now,
            quiet_after: Duration::ZERO,
            quiet_told: now,
            events: Events::default(),
            ready: false,
            dropped_told: 0,
            stats,
            monitor: Monitor::default(),
            octets: 0,
        };
        (leg, writer, captured)
    }

    /// Obeys a command; most take effect with the next tick.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        let fits = match command {
            Command::Update(params) => self.update(now, params),
            Command::Watch { position, token } => self.playout.watch(position, token),
            Command::End { position } => {
                self.playout.end_at(position);
                true
            }
            Command::Clear { up_to, token, fade } => self.playout.clear(up_to, token, fade),
            Command::Level { percent, ramp } => {
                self.playout.set_level(percent, ramp);
                true
            }
            Command::Pause(paused) => {
                self.playout.pause(paused);
                true
            }
            Command::Mute { playout, capture } => {
                let samples = samples_of(self.rate, MUTE);
                self.mute.mute(playout, samples);
                self.receive.mute(capture, samples);
                true
            }
            Command::Background(on) => {
                if let Some(background) = &mut self.background {
                    background.set(on);
                }
                true
            }
            Command::Tone(tone) => {
                self.tone.set(tone);
                true
            }
            Command::Dtmf { digits, duration, gap } => self.queue_digits(&digits, duration, gap),
            Command::DigitsInband(inband) => {
                self.inband = inband;
                self.listen_for_digits();
                true
            }
            Command::Listen(listen) => {
                self.receive.listen(listen);
                true
            }
            Command::Monitor(on) => {
                self.monitor.set(on);
                true
            }
            Command::Due(due) => {
                self.receive.set_due(due);
                true
            }
            Command::QuietAfter(quiet_after) => {
                self.quiet_after = quiet_after;
                (self.heard, self.quiet_told) = (now, now);
                true
            }
        };
        if !fits {
            self.stats.dropped.add(1);
        }
    }

    /// Takes an agreement together with its keys, or with none: packets go plain then.
    ///
    /// A key that is in force already goes on with its counters. Gives back a pair to be freed
    /// elsewhere; see also [`Leg::take_spent`].
    pub fn handle_agreement(
        &mut self,
        now: Instant,
        params: MediaParams,
        keys: Option<Box<SrtpPair>>,
    ) -> Option<Box<SrtpPair>> {
        if !self.update(now, params) {
            self.stats.dropped.add(1);
            return keys;
        }
        self.secure.update(now, keys)
    }

    /// Takes the ring into which goes what is sent, from its next tick on. Gives back one that is of
    /// no use any more, to be freed elsewhere.
    pub fn take_monitor(&mut self, ring: Box<CaptureWriter>) -> Option<Box<CaptureWriter>> {
        self.monitor.take(ring)
    }

    /// Keys that are of no use any more, to be freed elsewhere.
    pub fn take_spent(&mut self, now: Instant) -> Option<Box<SrtpPair>> {
        self.secure.take_spent(now)
    }

    /// Takes a datagram from the RTP socket.
    pub fn handle_rtp(&mut self, now: Instant, bytes: &[u8], from: SocketAddr) {
        if self.is_muxed() && is_rtcp(bytes) {
            return self.handle_rtcp(now, bytes, from);
        }
        //= RFC 3711 §3.3: nothing acts on a packet whose tag does not verify
        let Some(bytes) = self.secure.open(now, Kind::Rtp, bytes, &self.stats) else { return };
        if self.receive.handle(now, bytes, from, &self.stats, &mut self.events) {
            self.note_heard(now);
        }
        self.ready |= self.receive.take_fresh();
    }

    /// Takes a datagram from the RTCP socket.
    pub fn handle_rtcp(&mut self, now: Instant, bytes: &[u8], from: SocketAddr) {
        if !self.receive.accepts_rtcp(from) {
            return;
        }
        let clock = self.clock();
        let Some(bytes) = self.secure.open(now, Kind::Rtcp, bytes, &self.stats) else { return };
        if self.reports.handle(now, clock, bytes, &self.stats) {
            self.rtcp_from = Some(from);
            self.note_heard(now);
        }
    }

    /// Does what is due without a packet; see [`Leg::deadline`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.receive.poll(now, &self.stats, &mut self.events);
        self.ready |= self.receive.take_fresh();
    }

    /// One beat: what to send at `due`, of which it is `now`.
    ///
    /// Cost: O(frame), no allocation, no lock. Call [`Leg::handle_sent`] when `out` has RTP.
    pub fn tick(&mut self, due: Instant, now: Instant, out: &mut Outgoing) {
        out.clear();
        self.handle_timeout(now);
        self.tell_quiet(now);
        let late = now.saturating_duration_since(due);
        match self.sending() {
            Some(_) if late > LATE_MAX => self.stats.tx_skipped.add(1),
            Some((params, to)) => {
                self.stats.tx_late.record(late);
                self.write_rtp(now, &params, to, out);
            }
            None => self.pass(),
        }
        self.monitor.advance(samples_of(self.rate, self.period()));
        if self.reports.due(now) {
            self.write_report(now, out);
        }
        self.ready |= self.playout.take_room();
    }

    /// Hears whether the packet of the last tick went out.
    pub fn handle_sent(&mut self, taken: bool) {
        if taken {
            self.stats.tx_packets.add(1);
            self.stats.tx_octets.add(self.octets as u64);
        } else {
            self.stats.tx_failed.add(1);
        }
        self.playout.settle(Some(taken), &self.stats, &mut self.events);
    }

    /// The socket has the packet of the beat that was due at `due`.
    pub fn note_left(&mut self, due: Instant, now: Instant) {
        self.stats.time(Stage::Send, now.saturating_duration_since(due));
    }

    /// Says goodbye by RTCP.
    pub fn close(&mut self, now: Instant, out: &mut Outgoing) {
        out.clear();
        let timestamp = Ts32(self.pacer.peek().timestamp);
        let reception = self.receive.report();
        let Some(room) = out.report() else { return };
        let len = self.reports.write_bye(now, timestamp, &self.stats, reception.as_ref(), room);
        if let Some(to) = self.rtcp_remote().filter(|_| len > 0) {
            self.send_report(len, to, out);
        }
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Events and commands that found no room, since the last question.
    pub fn take_dropped(&mut self) -> u64 {
        let dropped = self.stats.dropped.read();
        dropped - std::mem::replace(&mut self.dropped_told, dropped)
    }

    /// Whether the rings are worth the application's look.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// The application was called.
    pub fn clear_ready(&mut self) {
        self.ready = false;
    }

    /// When [`Leg::handle_timeout`] has something to do, if before the next packet or tick.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.receive.deadline()
    }

    /// Time between two beats.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.params.map_or(PTIME, |params| ptime(&params))
    }

    /// `false` for a codec that the leg was not opened for: nothing has changed then.
    fn update(&mut self, now: Instant, params: MediaParams) -> bool {
        if !self.codecs.has(params.codec) {
            return false;
        }
        let clock = self.clock();
        self.receive.update(now, &params);
        self.reports.begin(now);
        if self.params.map(|before| before.remote_rtcp) != Some(params.remote_rtcp) {
            self.rtcp_from = None;
        }
        let same_beat = self.params.is_some_and(|before| ptime(&before) == ptime(&params));
        if !same_beat || clock != params.codec.spec().clock_rate {
            self.digits = DtmfSender::new(u16::try_from(units(&params)).unwrap_or(u16::MAX));
            self.tones.clear();
            self.end_digits(false);
        }
        if !params.send || params.telephone_event.is_none() {
            self.digits.clear();
            self.tones.clear();
            self.end_digits(false);
        }
        self.params = Some(params);
        self.listen_for_digits();
        (self.heard, self.quiet_told) = (now, now);
        true
    }

    /// The clock of our timestamps: the agreed codec's.
    fn clock(&self) -> ClockRate {
        self.params.map_or(ClockRate::HZ_8000, |params| params.codec.spec().clock_rate)
    }

    fn is_muxed(&self) -> bool {
        self.params.is_some_and(|params| params.rtcp_mux)
    }

    /// What to send by and where to, if we may send.
    fn sending(&self) -> Option<(MediaParams, SocketAddr)> {
        let params = self.params.filter(|params| params.send)?;
        Some((params, self.receive.remote()?))
    }

    /// A tick without a packet of ours.
    fn pass(&mut self) {
        if let Some(params) = self.params {
            self.pacer.suppress(units(&params));
        }
        self.silence.wake();
        self.playout.rest();
        self.playout.settle(None, &self.stats, &mut self.events);
    }

    /// A packet goes out with every tick: audio, silence or a digit; but see [`Silence`].
    fn write_rtp(
        &mut self,
        now: Instant,
        params: &MediaParams,
        to: SocketAddr,
        out: &mut Outgoing,
    ) {
        let units = units(params);
        let stamp = self.pacer.peek();
        let Some((header, payload)) = out.rtp.split_first_chunk_mut::<HEADER_LEN>() else { return };
        let digit = match self.digits.tick(Ts32(stamp.timestamp)) {
            DtmfTick::Event(event) => params.telephone_event.map(|kind| (kind, event)),
            DtmfTick::Done => {
                self.end_digits(true);
                None
            }
            DtmfTick::Gap | DtmfTick::Idle => None,
        };
        let len = if let Some((kind, event)) = digit {
            self.playout.rest();
            self.silence.wake();
            let stamp = Stamp {
                marker: stamp.marker || event.marker,
                timestamp: event.timestamp.0,
                ..self.pacer.send(units)
            };
            write_header(stamp, kind, header);
            put(payload, &event.payload)
        } else {
            match self.next_frame(now, params, &mut out.frame) {
                Due::Audio => {
                    write_header(self.pacer.send(units), params.payload_type, header);
                    let samples = frame_len(self.rate, params);
                    let frame = out.frame.get(..samples).unwrap_or_default();
                    let payload = payload.get_mut(..PAYLOAD_MAX).unwrap_or_default();
                    self.codecs.encode(params.codec, frame, payload)
                }
                Due::Noise => {
                    write_header(self.pacer.comfort(units), COMFORT_NOISE, header);
                    put(payload, &self.silence.payload())
                }
                Due::Nothing => return self.suppress(units),
            }
        };
        self.octets = len;
        match self.secure.seal(Kind::Rtp, &mut out.rtp, HEADER_LEN + len) {
            Some(len) => out.rtp_to = Some((len, to)),
            // The key is spent: nothing goes out under it, and nothing without it.
            None => self.handle_sent(false),
        }
    }

    /// A tick of silence that is not sent; what was queued of it counts as played, for the far end
    /// hears it all the same.
    fn suppress(&mut self, units: u32) {
        self.pacer.suppress(units);
        self.stats.tx_suppressed.add(1);
        self.playout.settle(Some(true), &self.stats, &mut self.events);
    }

    /// Makes the next frame, and decides whether it is sent.
    fn next_frame(
        &mut self,
        now: Instant,
        params: &MediaParams,
        frame: &mut [i16; FRAME_MAX],
    ) -> Due {
        let samples = frame_len(self.rate, params);
        let frame = frame.get_mut(..samples).unwrap_or_default();
        let mut digits_ended = false;
        if self.digits.is_active() {
            self.playout.rest();
            frame.fill(0);
        } else if self.tones.is_active() {
            self.playout.rest();
            self.tones.fill(frame);
            digits_ended = !self.tones.is_active();
        } else {
            self.playout.fill(now, frame, &mut self.events);
            while let Some(since) = self.playout.taken() {
                self.stats.time(Stage::Queue, now.saturating_duration_since(since));
            }
            if let Some(background) = &mut self.background {
                background.mix(frame);
            }
            self.tone.mix(frame);
            self.mute.apply(frame);
        }
        if let Some(low_cut) = &mut self.low_cut {
            low_cut.apply(frame);
        }
        self.ready |= self.monitor.hear(frame);
        let due = self.silence.due(frame, ptime(params), params.comfort_noise);
        if digits_ended {
            self.end_digits(true);
        }
        due
    }

    fn write_report(&mut self, now: Instant, out: &mut Outgoing) {
        let Some(to) = self.rtcp_remote() else { return };
        let timestamp = Ts32(self.pacer.peek().timestamp);
        let reception = self.receive.report();
        let Some(room) = out.report() else { return };
        let len = self.reports.write(now, timestamp, &self.stats, reception.as_ref(), room);
        self.send_report(len, to, out);
    }

    fn send_report(&mut self, len: usize, to: SocketAddr, out: &mut Outgoing) {
        let sealed = self.secure.seal(Kind::Rtcp, &mut out.rtcp, len);
        out.rtcp_to = sealed.map(|len| (len, to));
        out.muxed = self.is_muxed();
    }

    fn rtcp_remote(&self) -> Option<SocketAddr> {
        if self.is_muxed() {
            return self.receive.remote();
        }
        let signalled = self.params.map(|params| params.remote_rtcp);
        self.rtcp_from.or(signalled).filter(|to| !to.ip().is_unspecified() && to.port() != 0)
    }

    fn queue_digits(&mut self, digits: &[u8], duration: Duration, gap: Duration) -> bool {
        let clock = self.clock();
        let units = |time| u32::try_from(clock.units_in(time)).unwrap_or(u32::MAX);
        let params = self.params.filter(|params| params.send);
        let queued = params.is_some_and(|params| {
            if self.inband || params.telephone_event.is_none() {
                self.tones.queue(digits, duration, gap).is_ok()
            } else {
                self.digits.queue(digits, units(duration), units(gap)).is_ok()
            }
        });
        if queued {
            self.digit_commands += 1;
            return true;
        }
        self.events.push(Event::DtmfDone { sent: false })
    }

    fn end_digits(&mut self, sent: bool) {
        for _ in 0..std::mem::take(&mut self.digit_commands) {
            if !self.events.push(Event::DtmfDone { sent }) {
                self.stats.dropped.add(1);
            }
        }
    }

    /// In the audio only where no better way was agreed (or it is known to be lost on the way).
    fn listen_for_digits(&mut self) {
        let agreed = self.params.is_some_and(|params| params.telephone_event.is_some());
        self.receive.listen_for_digits(self.inband || !agreed);
    }

    fn note_heard(&mut self, now: Instant) {
        (self.heard, self.quiet_told) = (now, now);
        let since_open = now.saturating_duration_since(self.opened).as_millis();
        self.stats.rx_last_ms.set(u64::try_from(since_open).unwrap_or(u64::MAX));
    }

    fn tell_quiet(&mut self, now: Instant) {
        let told = now.saturating_duration_since(self.quiet_told);
        if self.quiet_after > Duration::ZERO && told >= self.quiet_after {
            let silent = now.saturating_duration_since(self.heard);
            if self.events.push(Event::Quiet { silent }) {
                self.quiet_told = now;
            }
        }
    }
}

/// What is sent, whatever was agreed: a time that a packet of the codec can hold.
fn ptime(params: &MediaParams) -> Duration {
    params.codec.spec().ptime(params.ptime)
}

/// How far the timestamp advances with a packet.
fn units(params: &MediaParams) -> u32 {
    let clock = params.codec.spec().clock_rate;
    u32::try_from(clock.units_in(ptime(params))).unwrap_or(0)
}

fn frame_len(rate: SampleRate, params: &MediaParams) -> usize {
    samples_of(rate, ptime(params)).min(FRAME_MAX)
}

fn samples_of(rate: SampleRate, time: Duration) -> usize {
    usize::try_from(rate.samples_in(time)).unwrap_or(0).max(1)
}

fn write_header(stamp: Stamp, payload_type: u8, out: &mut [u8; HEADER_LEN]) {
    HeaderTemplate::new(Ssrc(stamp.ssrc), payload_type).write(
        Seq16(stamp.sequence),
        Ts32(stamp.timestamp),
        stamp.marker,
        out,
    );
}

fn put(out: &mut [u8], bytes: &[u8]) -> usize {
    out.get_mut(..bytes.len()).map_or(0, |room| {
        room.copy_from_slice(bytes);
        bytes.len()
    })
}

#[cfg(test)]
mod tests;
