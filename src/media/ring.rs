//! The two single-producer single-consumer rings between a media worker and an application leg.
//!
//! ```text
//!  app ── PlayoutWriter ═ i16 samples ═ PlayoutReader ──> worker ──> carrier
//!  app <─ CaptureReader ═ headers + samples ═ CaptureWriter <── worker <── carrier
//! ```
//!
//! Owns the names and the positions; the lock-free memory is `ringbuf`'s. Neither end ever blocks
//! or allocates after set-up. Full playout ring: the writer takes less (the application keeps the
//! rest). Full capture ring: the whole frame is dropped and counted, and the jump of the next
//! header's position shows it.

use super::interface::FrameHeader;
use ringbuf::HeapRb;
use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd};
use std::time::Instant;

/// Stamps that wait in a playout ring at most.
const STAMPS: usize = 32;

/// Since when a sample has been waiting.
#[derive(Debug, Clone, Copy)]
struct PlayoutStamp {
    position: u64,
    since: Instant,
}

/// Makes a playout ring that holds `samples`.
#[must_use]
pub fn playout(samples: usize) -> (PlayoutWriter, PlayoutReader) {
    let (producer, consumer) = HeapRb::new(samples).split();
    let (stamped, stamps) = HeapRb::new(STAMPS).split();
    (
        PlayoutWriter { producer, position: 0, stamps: stamped },
        PlayoutReader { consumer, position: 0, stamps },
    )
}

/// Makes a capture ring that holds `frames` headers and `samples`.
#[must_use]
pub fn capture(frames: usize, samples: usize) -> (CaptureWriter, CaptureReader) {
    let (header_producer, header_consumer) = HeapRb::new(frames).split();
    let (producer, consumer) = HeapRb::new(samples).split();
    (
        CaptureWriter { headers: header_producer, samples: producer, now: None },
        CaptureReader { headers: header_consumer, samples: consumer, stamped: None },
    )
}

/// The application's end of the playout ring.
pub struct PlayoutWriter {
    producer: HeapProd<i16>,
    position: u64,
    stamps: HeapProd<PlayoutStamp>,
}

impl PlayoutWriter {
    /// Queues as many of `samples` as fit and returns how many did.
    ///
    /// Shape: mono at the leg's sample rate. Cost: one copy, no allocation, never blocks.
    pub fn push(&mut self, samples: &[i16]) -> usize {
        let taken = self.producer.push_slice(samples);
        self.position += taken as u64;
        taken
    }

    /// Notes since when the sample at `position`, which is in the ring, has been waiting. A stamp
    /// that finds no room is left out: stamps are samples of what happens.
    pub fn stamp(&mut self, position: u64, since: Instant) {
        let _ = self.stamps.try_push(PlayoutStamp { position, since });
    }

    /// Samples ever queued: the position of the next one.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many samples fit now.
    #[must_use]
    pub fn vacant(&self) -> usize {
        self.producer.vacant_len()
    }

    /// How many samples the worker has not taken yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.producer.occupied_len()
    }
}

/// The worker's end of the playout ring.
pub struct PlayoutReader {
    consumer: HeapCons<i16>,
    position: u64,
    stamps: HeapCons<PlayoutStamp>,
}

impl PlayoutReader {
    /// Takes up to `out.len()` samples and returns how many came.
    pub fn pop(&mut self, out: &mut [i16]) -> usize {
        let taken = self.consumer.pop_slice(out);
        self.position += taken as u64;
        taken
    }

    /// Drops up to `samples` unread and returns how many went. Cost: O(1).
    pub fn skip(&mut self, samples: usize) -> usize {
        let skipped = self.consumer.skip(samples);
        self.position += skipped as u64;
        skipped
    }

    /// Since when a stamped sample had been waiting that was taken by now; each is told once.
    pub fn taken(&mut self) -> Option<Instant> {
        let due = self.stamps.try_peek().is_some_and(|stamp| stamp.position < self.position);
        let stamp = if due { self.stamps.try_pop() } else { None };
        stamp.map(|stamp| stamp.since)
    }

    /// Since when the next sample has been waiting, if it is stamped.
    pub fn next_since(&self) -> Option<Instant> {
        let next = self.stamps.try_peek().filter(|stamp| stamp.position == self.position);
        next.map(|stamp| stamp.since)
    }

    /// Forgets all stamps: what they stand at was, or may have been, skipped.
    pub fn forget_stamps(&mut self) {
        self.stamps.clear();
    }

    /// Samples ever taken or skipped: the position of the next one.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many samples are queued.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.consumer.occupied_len()
    }
}

/// A frame and when it was queued, if its writer says so.
type Captured = (FrameHeader, Option<Instant>);

/// The worker's end of the capture ring.
pub struct CaptureWriter {
    headers: HeapProd<Captured>,
    samples: HeapProd<i16>,
    now: Option<Instant>,
}

impl CaptureWriter {
    /// The time of the frames that are queued from here on.
    pub fn set_now(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// Queues a whole frame, or nothing and returns `false` when it does not fit.
    pub fn push(&mut self, header: FrameHeader, samples: &[i16]) -> bool {
        debug_assert_eq!(usize::from(header.samples), samples.len());
        if self.headers.is_full() || self.samples.vacant_len() < samples.len() {
            return false;
        }
        // Samples first: a header in the ring promises that its samples are there.
        self.samples.push_slice(samples);
        self.headers.try_push((header, self.now)).is_ok()
    }
}

/// The application's end of the capture ring.
pub struct CaptureReader {
    headers: HeapCons<Captured>,
    samples: HeapCons<i16>,
    stamped: Option<Instant>,
}

impl CaptureReader {
    /// Appends the samples of the next frame to `out` and returns its header.
    ///
    /// Cost: one copy; `out` grows only if its capacity is short.
    pub fn pop(&mut self, out: &mut Vec<i16>) -> Option<FrameHeader> {
        let (header, stamped) = self.headers.try_pop()?;
        self.stamped = stamped;
        let start = out.len();
        out.resize(start + usize::from(header.samples), 0);
        let tail = out.get_mut(start..)?;
        self.samples.pop_slice(tail);
        Some(header)
    }

    /// When the last frame was queued that [`CaptureReader::pop`] gave, if its writer said so.
    #[must_use]
    pub fn stamped(&self) -> Option<Instant> {
        self.stamped
    }

    /// How many frames wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.headers.occupied_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::interface::FrameKind;

    #[test]
    fn playout_counts_positions_on_both_ends() {
        let (mut writer, mut reader) = playout(100);
        assert_eq!(writer.push(&[1; 130]), 100);
        assert_eq!((writer.position(), writer.vacant(), reader.queued()), (100, 0, 100));
        let mut out = [0; 40];
        assert_eq!(reader.pop(&mut out), 40);
        assert_eq!(reader.skip(100), 60);
        assert_eq!((reader.position(), writer.queued()), (100, 0));
    }

    #[test]
    fn stamps_come_out_with_the_samples_that_they_stand_at() {
        let (mut writer, mut reader) = playout(100);
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let since = Instant::now();
        writer.push(&[1; 60]);
        writer.stamp(0, since);
        writer.stamp(40, since);
        assert_eq!(reader.taken(), None);
        reader.pop(&mut [0; 20]);
        assert_eq!((reader.taken(), reader.taken()), (Some(since), None));
        reader.skip(40);
        reader.forget_stamps();
        assert_eq!(reader.taken(), None);
        let (mut writer, mut reader) = capture(4, 300);
        let header = FrameHeader { position: 0, samples: 2, kind: FrameKind::Packet };
        let mut out = Vec::new();
        assert!(writer.push(header, &[7; 2]));
        writer.set_now(since);
        assert!(writer.push(header, &[7; 2]));
        reader.pop(&mut out);
        assert_eq!(reader.stamped(), None);
        reader.pop(&mut out);
        assert_eq!(reader.stamped(), Some(since));
    }

    #[test]
    fn capture_takes_whole_frames_or_none() {
        let (mut writer, mut reader) = capture(4, 300);
        let header = |position| FrameHeader { position, samples: 160, kind: FrameKind::Packet };
        assert!(writer.push(header(0), &[7; 160]));
        assert!(!writer.push(header(160), &[8; 160]));
        let mut out = Vec::new();
        assert_eq!(reader.pop(&mut out), Some(header(0)));
        assert_eq!(out, [7; 160]);
        assert!(writer.push(header(320), &[9; 160]));
        assert_eq!(reader.pop(&mut out).map(|h| h.position), Some(320));
        assert_eq!(reader.pop(&mut out), None);
    }
}
