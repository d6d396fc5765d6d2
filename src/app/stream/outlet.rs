//! The caller's audio on its way to the client.
//!
//! ```text
//!  capture ring ─> [level] ─> [Paced] ─> backlog (10 s, then the oldest goes) ─> resampler
//!                                                             ─> frames of frame_ms
//! ```
//!
//! Owns what waits for a slow client and the shape of binary messages. At the leg's own rate the
//! samples are not touched unless the client asks for a level; a transcriber hears them before. Does
//! not know sockets: the session asks for a frame when one can go.

use super::concealed::{Concealed, Stretch};
use super::options::{OutFormat, Settings};
use super::paced::Paced;
use crate::audio::agc::HeardLevel;
use crate::audio::codec::g711;
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use crate::media::interface::{Due, FrameKind};
use crate::media::ring::CaptureReader;
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

/// The way out for one client.
#[derive(Debug)]
pub(super) struct Outlet {
    format: OutFormat,
    /// Samples of the leg in one frame.
    frame_in: usize,
    /// Samples toward the client in one frame.
    frame_out: usize,
    /// `None`: the client's rate is the leg's.
    resampler: Option<Resampler>,
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
    /// An outlet for these settings; `None` when the rates cannot be converted.
    pub(super) fn new(settings: &Settings, leg_rate: u32) -> Option<Self> {
        let resampler = if settings.out_rate == leg_rate {
            None
        } else {
            let (from, to) = (SampleRate::new(leg_rate)?, SampleRate::new(settings.out_rate)?);
            Some(Resampler::new(from, to).ok()?)
        };
        let samples = |rate: u32| (rate * settings.frame_ms / 1000) as usize;
        let rate = SampleRate::new(leg_rate)?;
        let paced = settings.pace.map(|spec| Box::new(Paced::new(rate, spec, settings.frame_ms)));
        let seconds = if paced.is_some() { PACED_BACKLOG_S } else { BACKLOG_S };
        Some(Self {
            format: settings.out_format,
            frame_in: samples(leg_rate),
            frame_out: samples(settings.out_rate),
            resampler,
            level: None,
            rate: u64::from(leg_rate.max(1)),
            backlog: VecDeque::new(),
            backlog_max: seconds * leg_rate as usize,
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
            concealed: settings.concealed.then(|| Concealed::new(leg_rate)),
        })
    }

    /// The same, with the level seen to if the client asked for it.
    pub(super) fn levelled(mut self, level: Option<HeardLevel>) -> Self {
        self.level = level;
        self
    }

    /// Takes everything out of the capture ring; beyond the backlog the oldest goes.
    ///
    /// `overrun` tells how many samples ever found that ring full; `tap` sees every frame with its
    /// position. Cost: two copies; no allocation in steady state.
    pub(super) fn take(
        &mut self,
        now: Instant,
        capture: &mut CaptureReader,
        overrun: impl Fn() -> u64,
        mut tap: impl FnMut(u64, &[i16]),
    ) {
        self.taken.clear();
        loop {
            let before = self.taken.len();
            let Some(header) = capture.pop(&mut self.taken) else { break };
            tap(header.position, self.taken.get(before..).unwrap_or_default());
            if let Some(level) = &mut self.level {
                level.apply(self.taken.get_mut(before..).unwrap_or_default());
            }
            if let Some(concealed) = self.concealed.as_mut().filter(|_| self.paced.is_none()) {
                let begin = self.gone + (self.backlog.len() + before) as u64;
                if header.kind == FrameKind::Concealed {
                    concealed.add(begin, u64::from(header.samples));
                } else {
                    concealed.reached(begin + u64::from(header.samples));
                }
            }
            if let Some(paced) = &mut self.paced {
                paced.push(now, header, self.taken.get(before..).unwrap_or_default());
                self.taken.truncate(before);
            } else if let Some(since) = capture.stamped().filter(|_| self.since.len() < STAMPS_MAX)
            {
                // Paced sound waits on purpose: that is no stage of its way.
                let end = self.gone + (self.backlog.len() + self.taken.len()) as u64;
                self.since.push_back((end, since));
            }
            // A jump is a silence that was not written out, or a ring that was full.
            if self.expected.is_none_or(|expected| header.position > expected) {
                let overrun = overrun();
                let before = self.overrun.replace(overrun).unwrap_or(overrun);
                self.dropped += overrun.saturating_sub(before);
            }
            self.expected = Some(header.position + u64::from(header.samples));
        }
        self.backlog.extend(&self.taken);
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
    }

    /// Who plays what comes would hear the seam.
    fn drop_oldest(&mut self) {
        let excess = self.backlog.len().saturating_sub(self.backlog_max);
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
        self.dropped += excess as u64;
    }

    /// The next whole frame, encoded.
    pub(super) fn next_frame(&mut self) -> Option<Bytes> {
        if self.paced.as_ref().is_some_and(|paced| !paced.may_send()) {
            return None;
        }
        let frame = self.any_frame();
        if let (Some(paced), Some(_)) = (&mut self.paced, &frame) {
            paced.sent();
        }
        frame
    }

    fn any_frame(&mut self) -> Option<Bytes> {
        if self.resampler.is_none() {
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
    pub(super) fn last_frame(&mut self) -> Option<Bytes> {
        let left = self.backlog.len();
        if self.resampler.is_none() {
            return self.plain_frame(left.max(1));
        }
        self.resample(left);
        let left = self.ready.len();
        (left > 0).then(|| self.ready_frame(left))
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
        if self.resampler.is_none() || samples == 0 || self.backlog.len() < samples {
            return false;
        }
        self.take_from_backlog(samples);
        let Some(resampler) = &mut self.resampler else { return false };
        resampler.process(&self.taken, &mut self.ready);
        self.leave(samples, true);
        true
    }

    fn ready_frame(&mut self, samples: usize) -> Bytes {
        let frame = self.ready.get(..samples).unwrap_or_default();
        let bytes = encode(self.format, frame, &mut self.encoded);
        self.ready.drain(..samples.min(self.ready.len()));
        bytes
    }
}

/// Of a cross-fade, which is short.
fn share(samples: usize) -> i32 {
    i32::try_from(samples).unwrap_or(i32::MAX)
}

/// Writes samples in a client's format, into memory that is used again once it was sent.
fn encode(format: OutFormat, samples: &[i16], memory: &mut BytesMut) -> Bytes {
    let octets = match format {
        OutFormat::PcmS16le => 2 * samples.len(),
        OutFormat::Mulaw | OutFormat::Alaw => samples.len(),
    };
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
mod tests {
    use super::*;
    use crate::app::stream::options::{Settings, StreamOptions};
    use crate::media::interface::{FrameHeader, FrameKind};
    use crate::media::ring::{self, CaptureWriter};

    fn settings(query: &str) -> Settings {
        let pairs: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let options = StreamOptions::from_query::<&str>(&pairs, &[]).unwrap();
        Settings::resolve(&options, 16_000, 60_000)
    }

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        Instant::now()
    }

    fn write(writer: &mut CaptureWriter, position: u64, samples: &[i16]) {
        let count = u16::try_from(samples.len()).unwrap();
        let header = FrameHeader { position, samples: count, kind: FrameKind::Packet };
        assert!(writer.push(header, samples));
    }

    fn frames(outlet: &mut Outlet) -> Vec<Bytes> {
        std::iter::from_fn(|| outlet.next_frame()).collect()
    }

    #[test]
    fn eight_khz_leaves_bit_exact_in_frames_of_any_length() {
        let samples: Vec<i16> = (0..1600_i16).map(|n| n.wrapping_mul(37)).collect();
        let expected: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        for frame_ms in [10, 20, 40, 60, 100] {
            let settings = settings(&format!("out_rate=8000&frame_ms={frame_ms}"));
            let mut outlet = Outlet::new(&settings, 8000).unwrap();
            let (mut writer, mut reader) = ring::capture(64, 8000);
            let mut octets = Vec::new();
            for (index, packet) in samples.chunks(240).enumerate() {
                write(&mut writer, index as u64 * 240, packet);
                outlet.take(now(), &mut reader, || 0, |_, _| {});
                for frame in frames(&mut outlet) {
                    assert_eq!(frame.len(), 16 * frame_ms);
                    octets.extend_from_slice(&frame);
                }
            }
            octets.extend(outlet.last_frame().unwrap_or_default());
            assert_eq!(octets, expected, "{frame_ms}");
            assert_eq!((outlet.last_frame(), outlet.take_dropped()), (None, 0));
        }
    }

    #[test]
    fn other_rates_and_laws_have_the_announced_frame() {
        for (query, octets) in [
            ("out_rate=16000", 640),
            ("out_rate=24000&frame_ms=40", 1920),
            ("out_rate=16000&out_format=mulaw", 320),
            ("out_rate=8000&out_format=alaw&frame_ms=10", 80),
        ] {
            let mut outlet = Outlet::new(&settings(query), 8000).unwrap();
            let (mut writer, mut reader) = ring::capture(64, 8000);
            write(&mut writer, 0, &[1000; 160]);
            write(&mut writer, 160, &[1000; 160]);
            outlet.take(now(), &mut reader, || 0, |_, _| {});
            let sizes: Vec<usize> = frames(&mut outlet).iter().map(Bytes::len).collect();
            assert_eq!(sizes[0], octets, "{query}");
            let mono = settings(query);
            assert_eq!(sizes.len(), 40 / mono.frame_ms as usize, "{query}");
        }
    }

    #[test]
    fn ten_seconds_wait_and_the_oldest_goes_first() {
        let mut outlet = Outlet::new(&settings("out_rate=8000"), 8000).unwrap();
        let (mut writer, mut reader) = ring::capture(64, 8000);
        for (index, position) in (0..550_i16).zip((0..).step_by(160)) {
            write(&mut writer, position, &[index; 160]);
            outlet.take(now(), &mut reader, || 0, |_, _| {});
        }
        assert!(outlet.has_dropped());
        assert_eq!(outlet.take_dropped(), 50 * 160);
        let first = outlet.next_frame().unwrap();
        assert_eq!(first[..2], 50_i16.to_le_bytes());
        assert_eq!(frames(&mut outlet).len(), 499);
    }

    #[test]
    fn a_jump_with_a_full_capture_ring_counts_as_dropped() {
        let mut outlet = Outlet::new(&settings("out_rate=8000"), 8000).unwrap();
        let (mut writer, mut reader) = ring::capture(64, 8000);
        let full = std::cell::Cell::new(7);
        write(&mut writer, 500, &[1; 160]);
        outlet.take(now(), &mut reader, || full.get(), |_, _| {});
        write(&mut writer, 980, &[1; 160]);
        outlet.take(now(), &mut reader, || full.get(), |_, _| {});
        assert_eq!(outlet.take_dropped(), 0, "a long silence is not written out");
        full.set(327);
        write(&mut writer, 1460, &[1; 160]);
        outlet.take(now(), &mut reader, || full.get(), |_, _| {});
        assert_eq!(outlet.take_dropped(), 320);
    }

    #[test]
    fn what_was_made_up_is_told_to_whoever_wants_to_know() {
        for (query, wanted) in [
            ("out_rate=8000&events=concealed", vec![(20, 30), (110, 20)]),
            ("out_rate=16000&events=concealed", vec![(20, 30), (110, 20)]),
            ("out_rate=8000", vec![]),
        ] {
            let mut outlet = Outlet::new(&settings(query), 8000).unwrap();
            let (mut writer, mut reader) = ring::capture(64, 8000);
            let mut position = 700;
            let mut push = |samples: u16, kind| {
                let header = FrameHeader { position, samples, kind };
                assert!(writer.push(header, &vec![1; samples.into()]));
                position += u64::from(samples);
                outlet.take(now(), &mut reader, || 0, |_, _| {});
                outlet.next_concealed()
            };
            let mut told = Vec::new();
            told.extend(push(160, FrameKind::Packet));
            told.extend(push(80, FrameKind::Concealed));
            told.extend(push(160, FrameKind::Concealed));
            told.extend(push(480, FrameKind::Packet));
            told.extend(push(160, FrameKind::Concealed));
            told.extend(push(160, FrameKind::Silence));
            assert_eq!(told, wanted, "{query}");
        }
    }

    #[test]
    fn packets_leave_with_the_frame_that_ends_behind_them() {
        let mut outlet = Outlet::new(&settings("out_rate=8000&frame_ms=40"), 8000).unwrap();
        let (mut writer, mut reader) = ring::capture(64, 8000);
        #[expect(clippy::disallowed_methods, reason = "an anchor for virtual time")]
        let start = Instant::now();
        let at = |n: u64| start + std::time::Duration::from_millis(20 * n);
        for n in 0..3 {
            writer.set_now(at(n));
            write(&mut writer, 160 * n, &[1; 160]);
            outlet.take(at(n), &mut reader, || 0, |_, _| {});
        }
        assert_eq!(frames(&mut outlet).len(), 1);
        assert_eq!(outlet.take_left().collect::<Vec<_>>(), [at(0), at(1)]);
        outlet.last_frame().unwrap();
        assert_eq!(outlet.take_left().collect::<Vec<_>>(), [at(2)]);
    }

    #[test]
    fn frames_reuse_the_memory_of_frames_that_were_sent() {
        let mut memory = BytesMut::new();
        let first = encode(OutFormat::PcmS16le, &[1; 160], &mut memory);
        let place = first.as_ptr() as usize;
        drop(first);
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let frame = encode(OutFormat::PcmS16le, &[1; 160], &mut memory);
            places.insert(frame.as_ptr() as usize - place);
        }
        assert!(places.iter().all(|offset| *offset < BLOCK), "{places:?}");
    }
}
