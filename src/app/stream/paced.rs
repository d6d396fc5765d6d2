//! The caller's sound for a client that plays it as it comes: one frame at every beat.
//!
//! ```text
//!  capture ring ─> Pace ── every frame_ms ──> Hurry, if frames are left from before ─> frames
//! ```
//!
//! A person listens, or a recorder that knows no late sound: the network's jitter is taken out, by
//! [`Pace`]. When the client has not read for a while its frames do not come in a burst: they go on
//! at the beat, and what they are late by is taken out of pauses and then of speech. Owns the beat;
//! does not encode, and touches no socket.

use crate::audio::hurry::Hurry;
use crate::audio::rate::SampleRate;
use crate::media::interface::{Due, FrameHeader};
use crate::media::pace::{Pace, PaceSpec};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Sound is taken in pieces of this length.
const PIECE: Duration = Duration::from_millis(5);
/// Frames that may leave at once when some have waited.
const AT_ONCE: u32 = 2;
/// A beat that is later than this is not made up for: the machine stood still.
const LATE_MAX: Duration = Duration::from_secs(1);
/// How often it is asked how late packets come.
const LOOK: Duration = Duration::from_millis(500);
/// When holes are heard is told again when it has moved by this much.
const DUE_SLACK: Duration = Duration::from_millis(3);

/// The beat of one client. See the module.
#[derive(Debug)]
pub(super) struct Paced {
    rate: SampleRate,
    pace: Pace,
    hurry: Hurry,
    frame: Duration,
    samples: usize,
    next: Option<Instant>,
    /// Frames that may leave.
    credit: u32,
    over: bool,
    looked: Option<Instant>,
    told: Option<Due>,
    piece: Vec<i16>,
    passed: Vec<i16>,
}

impl Paced {
    /// A beat of `frame_ms`.
    pub(super) fn new(rate: SampleRate, spec: PaceSpec, frame_ms: u32) -> Self {
        let frame = Duration::from_millis(u64::from(frame_ms.max(1)));
        Self {
            rate,
            pace: Pace::new(rate, spec),
            hurry: Hurry::new(rate),
            frame,
            samples: usize::try_from(rate.samples_in(frame)).unwrap_or(0),
            next: None,
            credit: 0,
            over: false,
            looked: None,
            told: None,
            piece: Vec::new(),
            passed: Vec::new(),
        }
    }

    /// Goes on with another length of frames.
    pub(super) fn reframe(&mut self, frame_ms: u32) {
        self.frame = Duration::from_millis(u64::from(frame_ms.max(1)));
        self.samples = usize::try_from(self.rate.samples_in(self.frame)).unwrap_or(0);
    }

    /// Takes a frame of the capture ring.
    pub(super) fn push(&mut self, now: Instant, header: FrameHeader, samples: &[i16]) {
        self.next.get_or_insert(now + self.frame);
        self.pace.push(now, header, samples);
    }

    /// Puts what is due by `now` behind `backlog`; `made_up` hears between which places there each
    /// frame went, and how many of its samples were made up.
    pub(super) fn beat(
        &mut self,
        now: Instant,
        backlog: &mut VecDeque<i16>,
        mut made_up: impl FnMut(usize, usize, usize),
    ) {
        while let Some(beat) = self.next
            && beat <= now
            && !self.over
        {
            if now - beat > LATE_MAX {
                self.next = Some(now);
                continue;
            }
            let made = self.take_frame(beat);
            let before = backlog.len();
            let excess = (backlog.len() + self.hurry.held()).saturating_sub(self.samples);
            self.hurry.pass(&self.piece, excess, &mut self.passed, |_| {});
            backlog.extend(self.passed.drain(..));
            made_up(before, backlog.len(), made);
            self.credit = (self.credit + 1).min(AT_ONCE);
            self.next = Some(beat + self.frame);
        }
    }

    /// When the next beat is; `None` before anything was heard.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.filter(|_| !self.over)
    }

    /// Whether a frame may leave now.
    pub(super) fn may_send(&self) -> bool {
        self.over || self.credit > 0
    }

    /// A frame has left.
    pub(super) fn sent(&mut self) {
        self.credit = self.credit.saturating_sub(1);
    }

    /// The call is over: what waits goes out as fast as it can.
    pub(super) fn finish(&mut self, backlog: &mut VecDeque<i16>) {
        self.over = true;
        self.hurry.settle(&mut self.passed);
        backlog.extend(self.passed.drain(..));
    }

    /// When holes are heard, if the leg does not know it yet.
    pub(super) fn take_due(&mut self) -> Option<Due> {
        let due = self.pace.due()?;
        let known = self.told.is_some_and(|told| due.is_near(told, self.rate.hz(), DUE_SLACK));
        if known {
            return None;
        }
        self.told = Some(due);
        Some(due)
    }

    /// Learns from time to time how many packets came too late, as `late` tells.
    pub(super) fn look(&mut self, now: Instant, late: impl Fn() -> (u64, Duration)) {
        if self.looked.is_none_or(|at| now.saturating_duration_since(at) >= LOOK) {
            self.looked = Some(now);
            let (packets, wait) = late();
            self.pace.set_late(now, packets, wait);
        }
    }

    /// The sound between the beat before and this one; returns how much of it was made up.
    fn take_frame(&mut self, beat: Instant) -> usize {
        let piece = usize::try_from(self.rate.samples_in(PIECE)).unwrap_or(1).max(1);
        self.piece.clear();
        self.piece.resize(self.samples, 0);
        let Some(begin) = beat.checked_sub(self.frame) else { return 0 };
        let pieces = self.piece.chunks_mut(piece).zip(0_u32..);
        pieces.map(|(out, at)| self.pace.pull(begin + PIECE * at, out)).sum()
    }
}
