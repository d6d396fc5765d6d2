//! A call's audio on its way to one client.
//!
//! ```text
//!  caller ─> [level] ─> [Paced] ─┐
//!                                ├─> backlog (10 s, then the oldest goes) ─> resampler
//!  both sides ─────> Duplex ─────┘                             ─> frames of frame_ms ─> Kept
//! ```
//!
//! Owns what waits for a slow client and the shape of binary messages. At the leg's own rate the
//! samples are not touched unless the client asks for a level; a transcriber hears them before. Does
//! not know sockets: the session asks for a frame when one can go.

use super::concealed::{Concealed, Stretch};
use super::duplex::{Duplex, Side};
use super::kept::{Again, Kept};
use super::options::{Listen, OutFormat, Settings};
use super::paced::Paced;
use crate::audio::agc::HeardLevel;
use crate::audio::codec::g711;
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use crate::media::interface::{Due, FrameHeader, FrameKind};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much caller audio waits for a client that does not read.
const BACKLOG_S: usize = 10;
/// The same for a client that plays what comes.
const PACED_BACKLOG_S: usize = 1;
/// Cross-fade where the oldest goes, in parts of a second: 5 ms.
const FADES_PER_S: u32 = 200;
/// Packets whose way is timed at once; of more, these are enough.
const STAMPS_MAX: usize = 1024;
/// Memory for encoded frames that is asked for at once; it comes back as frames are written.
const BLOCK: usize = 640;

/// The rates cannot be converted.
#[derive(Debug)]
pub(super) struct NoWay;

/// A frame for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// In the agreed format.
    pub(super) octets: Bytes,
    /// When it left for the first time, in the conversation's milliseconds, if it is sent again.
    pub(super) again: Option<u64>,
}

/// The way out for one client. Lengths and counts are of samples, those of all channels.
#[derive(Debug)]
pub(super) struct Outlet {
    listen: Listen,
    format: OutFormat,
    leg_rate: u32,
    channels: usize,
    /// Samples of the leg in one frame.
    frame_in: usize,
    /// Samples toward the client in one frame.
    frame_out: usize,
    /// One for each channel; none: the client's rate is the leg's.
    resamplers: Vec<Resampler>,
    /// Of one channel, on its way through its resampler.
    lane: Vec<i16>,
    lane_out: Vec<i16>,
    /// Both sides on one clock, if the client hears both.
    duplex: Option<Duplex>,
    /// Frames that are not known to have arrived, of a client that may come back.
    kept: Option<Kept>,
    /// What the client asked for.
    level: Option<HeardLevel>,
    /// Of the leg.
    rate: u64,
    backlog: VecDeque<i16>,
    backlog_max: usize,
    /// The beat of a client that plays what comes.
    paced: Option<Box<Paced>>,
    fade: usize,
    /// Of one frame, at the leg's rate.
    taken: Vec<i16>,
    /// Resampled and not framed yet.
    ready: Vec<i16>,
    encoded: BytesMut,
    /// Where the next frame of the capture ring should begin.
    expected: Option<u64>,
    /// What the capture ring had lost when that was last looked at.
    overrun: Option<u64>,
    dropped: u64,
    /// Samples that have left the backlog, and since when those in it have been there: by the
    /// count at which a packet ends.
    gone: u64,
    since: VecDeque<(u64, Instant)>,
    /// Of the packets in the frames that wait for the socket.
    left: Vec<Instant>,
    /// What was made up, if the client wants to know.
    concealed: Option<Concealed>,
}

impl Outlet {
    /// An outlet for these settings; `None` when nothing is listened to, or the rates cannot be
    /// converted.
    pub(super) fn new(settings: &Settings, leg_rate: u32) -> Option<Self> {
        let channels = settings.listen.channels();
        if channels == 0 {
            return None;
        }
        let rate = SampleRate::new(leg_rate)?;
        let caller_only = settings.listen == Listen::Caller;
        let pace = settings.pace.filter(|_| caller_only);
        let paced = pace.map(|spec| Box::new(Paced::new(rate, spec, settings.frame_ms)));
        let seconds = if paced.is_some() { PACED_BACKLOG_S } else { BACKLOG_S };
        let mut outlet = Self {
            listen: settings.listen,
            format: settings.out_format,
            leg_rate,
            channels,
            frame_in: 0,
            frame_out: 0,
            resamplers: Vec::new(),
            lane: Vec::new(),
            lane_out: Vec::new(),
            duplex: settings.listen.hears_both().then(|| Duplex::new(leg_rate)),
            kept: None,
            level: None,
            rate: u64::from(leg_rate.max(1)),
            backlog: VecDeque::new(),
            backlog_max: seconds * leg_rate as usize * channels,
            paced,
            fade: (leg_rate / FADES_PER_S) as usize,
            taken: Vec::new(),
            ready: Vec::new(),
            encoded: BytesMut::new(),
            expected: None,
            overrun: None,
            dropped: 0,
            gone: 0,
            since: VecDeque::new(),
            left: Vec::new(),
            concealed: (settings.concealed && caller_only).then(|| Concealed::new(leg_rate)),
        };
        outlet.shape(settings)?;
        Some(outlet)
    }

    /// The same, with the level seen to if the client asked for it.
    pub(super) fn levelled(mut self, level: Option<HeardLevel>) -> Self {
        self.level = level;
        self
    }

    /// Keeps what was sent until it is known to have arrived. Sound that is paced is not sent
    /// again: it would be late for good.
    pub(super) fn keep(&mut self, rate: u32) {
        self.kept = self.paced.is_none().then(|| Kept::new(rate));
    }

    /// Goes on in another form: frames from here on are as `settings` say.
    ///
    /// Gives what was left of less than a frame in the old form.
    ///
    /// # Errors
    /// [`NoWay`] when the rates cannot be converted; nothing has changed then.
    pub(super) fn reshape(&mut self, settings: &Settings) -> Result<Option<Bytes>, NoWay> {
        let (left, format) = (std::mem::take(&mut self.ready), self.format);
        if self.shape(settings).is_none() {
            self.ready = left;
            return Err(NoWay);
        }
        let rest = (!left.is_empty()).then(|| encode(format, &left, &mut self.encoded));
        if let Some(kept) = &mut self.kept {
            kept.reshape(settings.out_rate);
        }
        if let Some(paced) = &mut self.paced {
            paced.reframe(settings.frame_ms);
        }
        Ok(rest)
    }

    fn shape(&mut self, settings: &Settings) -> Option<()> {
        let (from, to) = (SampleRate::new(self.leg_rate)?, SampleRate::new(settings.out_rate)?);
        let mut resamplers = Vec::new();
        if from != to {
            for _ in 0..self.channels {
                resamplers.push(Resampler::new(from, to).ok()?);
            }
        }
        let samples = |rate: u32| (rate * settings.frame_ms / 1000) as usize * self.channels;
        (self.frame_in, self.frame_out) = (samples(self.leg_rate), samples(settings.out_rate));
        (self.resamplers, self.format) = (resamplers, settings.out_format);
        Some(())
    }

    /// Whether what the caller was sent is heard here.
    pub(super) fn hears_agent(&self) -> bool {
        self.listen.hears_agent()
    }

    /// Takes a frame of the caller, in order; `since` is when it was there, if that is timed.
    ///
    /// `overrun` tells how many samples ever found the capture ring full. Cost: a copy or two; no
    /// allocation in steady state.
    pub(super) fn hear_caller(
        &mut self,
        now: Instant,
        header: FrameHeader,
        samples: &[i16],
        since: Option<Instant>,
        overrun: impl Fn() -> u64,
    ) {
        // A jump is a silence that was not written out, or a ring that was full.
        if self.expected.is_none_or(|expected| header.position > expected) {
            let overrun = overrun();
            let before = self.overrun.replace(overrun).unwrap_or(overrun);
            self.dropped += overrun.saturating_sub(before);
        }
        self.expected = Some(header.position + u64::from(header.samples));
        let samples = match &mut self.level {
            None => samples,
            Some(level) => {
                self.taken.clear();
                self.taken.extend_from_slice(samples);
                level.apply(&mut self.taken);
                self.taken.as_slice()
            }
        };
        if let Some(duplex) = &mut self.duplex {
            duplex.push(Side::Caller, header.position, samples);
        } else if let Some(paced) = &mut self.paced {
            paced.push(now, header, samples);
        } else if self.listen == Listen::Caller {
            if let Some(concealed) = &mut self.concealed {
                let begin = self.gone + self.backlog.len() as u64;
                if header.kind == FrameKind::Concealed {
                    concealed.add(begin, u64::from(header.samples));
                } else {
                    concealed.reached(begin + u64::from(header.samples));
                }
            }
            self.backlog.extend(samples);
            if let Some(since) = since.filter(|_| self.since.len() < STAMPS_MAX) {
                // Paced sound waits on purpose: that is no stage of its way.
                self.since.push_back((self.gone + self.backlog.len() as u64, since));
            }
        }
    }

    /// Takes a frame of what the caller was sent, in order.
    pub(super) fn hear_agent(&mut self, position: u64, samples: &[i16]) {
        if let Some(duplex) = &mut self.duplex {
            duplex.push(Side::Agent, position, samples);
        } else if self.listen == Listen::Agent {
            self.backlog.extend(samples);
        }
    }

    /// All frames of this moment are in: makes of them what can go out; beyond the backlog the
    /// oldest goes.
    pub(super) fn gather(&mut self, now: Instant) {
        if let Some(duplex) = &mut self.duplex {
            let (backlog, stereo) = (&mut self.backlog, self.channels == 2);
            duplex.drain(|caller, agent| put(backlog, stereo, caller, agent));
            self.dropped += duplex.take_left_out();
        }
        if let Some(paced) = &mut self.paced {
            let (concealed, gone) = (&mut self.concealed, self.gone);
            paced.beat(now, &mut self.backlog, |from, to, made_up| {
                let Some(concealed) = concealed else { return };
                concealed.add(gone + from as u64, made_up.min(to - from) as u64);
                concealed.reached(gone + to as u64);
            });
        }
        self.drop_oldest();
    }

    /// What the leg must know of when holes are heard, and learns how late packets come.
    pub(super) fn take_due(
        &mut self,
        now: Instant,
        late: impl Fn() -> (u64, Duration),
    ) -> Option<Due> {
        let paced = self.paced.as_mut()?;
        paced.look(now, late);
        paced.take_due()
    }

    /// Whether frames leave at a beat.
    pub(super) fn is_paced(&self) -> bool {
        self.paced.is_some()
    }

    /// When the next frame is due that depends on the clock.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.paced.as_ref().and_then(|paced| paced.deadline())
    }

    /// The call is over: what waits goes out without a beat.
    pub(super) fn finish(&mut self) {
        if let Some(paced) = &mut self.paced {
            paced.finish(&mut self.backlog);
        }
        if let Some(duplex) = &mut self.duplex {
            let (backlog, stereo) = (&mut self.backlog, self.channels == 2);
            duplex.finish(|caller, agent| put(backlog, stereo, caller, agent));
        }
    }

    /// Nobody is there: what was paced is not heard later than it was meant to be.
    pub(super) fn leave_alone(&mut self) {
        if self.paced.is_some() {
            self.skip_waiting();
        }
    }

    /// The client is there again and has all before `heard`, or does not say; what comes next is
    /// what it lacks, then what waited.
    ///
    /// Gives where it goes on, and how many samples wait behind that, per channel at its rate.
    pub(super) fn come_back(&mut self, heard: Option<u64>) -> (Again, u64) {
        if self.paced.is_some() {
            self.skip_waiting();
        }
        let again = self.kept.as_mut().map(|kept| kept.rewind(heard));
        let channels = self.channels.max(1) as u64;
        let ratio = |samples: usize| {
            samples as u64 * self.frame_out as u64 / self.frame_in.max(1) as u64 / channels
        };
        let waiting = ratio(self.backlog.len()) + self.ready.len() as u64 / channels;
        (again.unwrap_or(Again { from: 0, samples: 0, lost: 0 }), waiting)
    }

    /// How many samples this client has been sent, per channel; `None`: nobody counts.
    pub(super) fn sent_samples(&self) -> Option<u64> {
        self.kept.as_ref().map(Kept::sent)
    }

    /// All before this sample has arrived.
    pub(super) fn confirm(&mut self, sample: u64) {
        if let Some(kept) = &mut self.kept {
            kept.confirm(sample);
        }
    }

    fn skip_waiting(&mut self) {
        let waiting = self.backlog.len();
        self.backlog.clear();
        self.leave(waiting, false);
        self.dropped += (waiting / self.channels.max(1)) as u64;
    }

    /// Who plays what comes would hear the seam.
    fn drop_oldest(&mut self) {
        let excess = self.backlog.len().saturating_sub(self.backlog_max);
        let excess = excess.next_multiple_of(self.channels.max(1));
        let fade = if self.paced.is_some() && excess > 0 { self.fade } else { 0 };
        for i in 0..fade {
            let old = self.backlog.get(i).copied().map_or(0, i32::from);
            if let Some(new) = self.backlog.get_mut(excess + i) {
                let (at, len) = (share(i + 1), share(fade + 1));
                let mixed = (i32::from(*new) * at + old * (len - at)) / len;
                *new = i16::try_from(mixed).unwrap_or(0);
            }
        }
        self.backlog.drain(..excess);
        self.leave(excess, false);
        self.dropped += (excess / self.channels.max(1)) as u64;
    }

    /// The next whole frame, encoded, at `t_ms` of the conversation.
    pub(super) fn next_frame(&mut self, t_ms: u64) -> Option<Frame> {
        if let Some((octets, t_ms)) = self.kept.as_mut().and_then(Kept::next_again) {
            return Some(Frame { octets, again: Some(t_ms) });
        }
        if self.paced.as_ref().is_some_and(|paced| !paced.may_send()) {
            return None;
        }
        let frame = self.any_frame()?;
        if let Some(paced) = &mut self.paced {
            paced.sent();
        }
        Some(self.note(frame, t_ms))
    }

    fn note(&mut self, octets: Bytes, t_ms: u64) -> Frame {
        if let Some(kept) = &mut self.kept {
            let samples = octets.len() / self.format.octets() / self.channels.max(1);
            kept.note(octets.clone(), samples as u64, t_ms);
        }
        Frame { octets, again: None }
    }

    fn any_frame(&mut self) -> Option<Bytes> {
        if self.resamplers.is_empty() {
            return self.plain_frame(self.frame_in);
        }
        while self.ready.len() < self.frame_out {
            if !self.resample(self.frame_in) {
                return None;
            }
        }
        Some(self.ready_frame(self.frame_out))
    }

    /// What is left of less than a frame, at the end of the call.
    pub(super) fn last_frame(&mut self, t_ms: u64) -> Option<Frame> {
        let left = self.backlog.len();
        let octets = if self.resamplers.is_empty() {
            self.plain_frame(left.max(1))?
        } else {
            self.resample(left);
            let left = self.ready.len();
            (left > 0).then(|| self.ready_frame(left))?
        };
        Some(self.note(octets, t_ms))
    }

    /// Since when the packets have been there that were in frames since the last call.
    pub(super) fn take_left(&mut self) -> std::vec::Drain<'_, Instant> {
        self.left.drain(..)
    }

    /// Samples have left the backlog, in a frame or for good.
    fn leave(&mut self, samples: usize, sent: bool) {
        self.gone += samples as u64;
        while let Some((_, since)) = self.since.pop_front_if(|(end, _)| *end <= self.gone) {
            if sent && self.left.len() < STAMPS_MAX {
                self.left.push(since);
            }
        }
    }

    /// The next stretch that was made up: where it begins, counted from the first sample for this
    /// client, and how long it is; in milliseconds.
    pub(super) fn next_concealed(&mut self) -> Option<(u64, u64)> {
        let Stretch { begin, length } = self.concealed.as_mut()?.next()?;
        let ms = |samples: u64| samples * 1000 / self.rate;
        Some((ms(begin), ms(length)))
    }

    /// Samples dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Whether samples are missing that nobody was told of.
    pub(super) fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    fn plain_frame(&mut self, samples: usize) -> Option<Bytes> {
        if self.backlog.len() < samples {
            return None;
        }
        self.take_from_backlog(samples);
        self.leave(samples, true);
        Some(encode(self.format, &self.taken, &mut self.encoded))
    }

    /// Moves so many samples, which must be there, from the backlog to `taken`.
    fn take_from_backlog(&mut self, samples: usize) {
        let (first, second) = self.backlog.as_slices();
        let (head, _) = first.split_at(samples.min(first.len()));
        self.taken.clear();
        self.taken.extend_from_slice(head);
        let rest = samples - head.len();
        self.taken.extend_from_slice(second.get(..rest).unwrap_or_default());
        self.backlog.drain(..samples);
    }

    fn resample(&mut self, samples: usize) -> bool {
        if self.resamplers.is_empty() || samples == 0 || self.backlog.len() < samples {
            return false;
        }
        self.take_from_backlog(samples);
        if let [resampler] = self.resamplers.as_mut_slice() {
            resampler.process(&self.taken, &mut self.ready);
        } else {
            self.resample_lanes();
        }
        self.leave(samples, true);
        true
    }

    /// The channels one by one, and together again.
    fn resample_lanes(&mut self) {
        let (begin, channels) = (self.ready.len(), self.channels.max(1));
        for (channel, resampler) in self.resamplers.iter_mut().enumerate() {
            self.lane.clear();
            self.lane.extend(self.taken.iter().skip(channel).step_by(channels));
            self.lane_out.clear();
            resampler.process(&self.lane, &mut self.lane_out);
            // All channels give as many.
            self.ready.resize(begin + self.lane_out.len() * channels, 0);
            let places = self.ready.iter_mut().skip(begin + channel).step_by(channels);
            for (place, sample) in places.zip(&self.lane_out) {
                *place = *sample;
            }
        }
    }

    fn ready_frame(&mut self, samples: usize) -> Bytes {
        let frame = self.ready.get(..samples).unwrap_or_default();
        let bytes = encode(self.format, frame, &mut self.encoded);
        self.ready.drain(..samples.min(self.ready.len()));
        bytes
    }
}

/// Puts one place of both sides into a backlog.
fn put(backlog: &mut VecDeque<i16>, stereo: bool, caller: i16, agent: i16) {
    if stereo {
        backlog.extend([caller, agent]);
    } else {
        backlog.push_back(caller.saturating_add(agent));
    }
}

/// Of a cross-fade, which is short.
fn share(samples: usize) -> i32 {
    i32::try_from(samples).unwrap_or(i32::MAX)
}

/// Writes samples in a client's format, into memory that is used again once it was sent.
fn encode(format: OutFormat, samples: &[i16], memory: &mut BytesMut) -> Bytes {
    let octets = format.octets() * samples.len();
    if memory.capacity() < octets {
        memory.reserve(octets.max(BLOCK));
    }
    memory.resize(octets, 0);
    match format {
        OutFormat::PcmS16le => {
            for (sample, out) in samples.iter().zip(memory.chunks_exact_mut(2)) {
                out.copy_from_slice(&sample.to_le_bytes());
            }
        }
        OutFormat::Mulaw => code(samples, memory, g711::encode_ulaw),
        OutFormat::Alaw => code(samples, memory, g711::encode_alaw),
    }
    memory.split().freeze()
}

fn code(samples: &[i16], out: &mut [u8], law: fn(i16) -> u8) {
    for (sample, octet) in samples.iter().zip(out) {
        *octet = law(*sample);
    }
}

#[cfg(test)]
mod tests;
