//! The caller's audio on its way to the client.
//!
//! ```text
//!  capture ring ─> [level] ─> backlog (10 s, then the oldest goes) ─> resampler
//!                                                             ─> frames of frame_ms
//! ```
//!
//! Owns what waits for a slow client and the shape of binary messages. At the leg's own rate the
//! samples are not touched unless the client asks for a level; a transcriber hears them before. Does not know sockets: the session asks for a frame when one can go.

use super::options::{OutFormat, Settings};
use crate::audio::agc::HeardLevel;
use crate::audio::codec::g711;
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use crate::media::ring::CaptureReader;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;

/// How much caller audio waits for a client that does not read.
const BACKLOG_S: usize = 10;
/// Memory for encoded frames that is asked for at once; it comes back as frames are written.
const BLOCK: usize = 8 * 1024;

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
    backlog: VecDeque<i16>,
    backlog_max: usize,
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
        Some(Self {
            format: settings.out_format,
            frame_in: samples(leg_rate),
            frame_out: samples(settings.out_rate),
            resampler,
            level: None,
            backlog: VecDeque::new(),
            backlog_max: BACKLOG_S * leg_rate as usize,
            taken: Vec::new(),
            ready: Vec::new(),
            encoded: BytesMut::new(),
            expected: None,
            overrun: None,
            dropped: 0,
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
        capture: &mut CaptureReader,
        overrun: impl Fn() -> u64,
        mut tap: impl FnMut(u64, &[i16]),
    ) {
        self.taken.clear();
        loop {
            let before = self.taken.len();
            let Some(header) = capture.pop(&mut self.taken) else { break };
            tap(header.position, self.taken.get(before..).unwrap_or_default());
            // A jump is a silence that was not written out, or a ring that was full.
            if self.expected.is_none_or(|expected| header.position > expected) {
                let overrun = overrun();
                let before = self.overrun.replace(overrun).unwrap_or(overrun);
                self.dropped += overrun.saturating_sub(before);
            }
            self.expected = Some(header.position + u64::from(header.samples));
        }
        if let Some(level) = &mut self.level {
            level.apply(&mut self.taken);
        }
        self.backlog.extend(&self.taken);
        let excess = self.backlog.len().saturating_sub(self.backlog_max);
        self.backlog.drain(..excess);
        self.dropped += excess as u64;
    }

    /// The next whole frame, encoded.
    pub(super) fn next_frame(&mut self) -> Option<Bytes> {
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
        self.taken.clear();
        self.taken.extend(self.backlog.drain(..samples));
        Some(encode(self.format, &self.taken, &mut self.encoded))
    }

    fn resample(&mut self, samples: usize) -> bool {
        let Some(resampler) = &mut self.resampler else { return false };
        if samples == 0 || self.backlog.len() < samples {
            return false;
        }
        self.taken.clear();
        self.taken.extend(self.backlog.drain(..samples));
        resampler.process(&self.taken, &mut self.ready);
        true
    }

    fn ready_frame(&mut self, samples: usize) -> Bytes {
        let frame = self.ready.get(..samples).unwrap_or_default();
        let bytes = encode(self.format, frame, &mut self.encoded);
        self.ready.drain(..samples.min(self.ready.len()));
        bytes
    }
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
    match format {
        OutFormat::PcmS16le => samples.iter().for_each(|sample| memory.put_i16_le(*sample)),
        OutFormat::Mulaw => memory.extend(samples.iter().map(|s| g711::encode_ulaw(*s))),
        OutFormat::Alaw => memory.extend(samples.iter().map(|s| g711::encode_alaw(*s))),
    }
    memory.split().freeze()
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
                outlet.take(&mut reader, || 0, |_, _| {});
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
            outlet.take(&mut reader, || 0, |_, _| {});
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
            outlet.take(&mut reader, || 0, |_, _| {});
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
        outlet.take(&mut reader, || full.get(), |_, _| {});
        write(&mut writer, 980, &[1; 160]);
        outlet.take(&mut reader, || full.get(), |_, _| {});
        assert_eq!(outlet.take_dropped(), 0, "a long silence is not written out");
        full.set(327);
        write(&mut writer, 1460, &[1; 160]);
        outlet.take(&mut reader, || full.get(), |_, _| {});
        assert_eq!(outlet.take_dropped(), 320);
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
