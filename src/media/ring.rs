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

/// Makes a playout ring that holds `samples`.
#[must_use]
pub fn playout(samples: usize) -> (PlayoutWriter, PlayoutReader) {
    let (producer, consumer) = HeapRb::new(samples).split();
    (PlayoutWriter { producer, position: 0 }, PlayoutReader { consumer, position: 0 })
}

/// Makes a capture ring that holds `frames` headers and `samples`.
#[must_use]
pub fn capture(frames: usize, samples: usize) -> (CaptureWriter, CaptureReader) {
    let (header_producer, header_consumer) = HeapRb::new(frames).split();
    let (producer, consumer) = HeapRb::new(samples).split();
    (
        CaptureWriter { headers: header_producer, samples: producer },
        CaptureReader { headers: header_consumer, samples: consumer },
    )
}

/// The application's end of the playout ring.
pub struct PlayoutWriter {
    producer: HeapProd<i16>,
    position: u64,
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

/// The worker's end of the capture ring.
pub struct CaptureWriter {
    headers: HeapProd<FrameHeader>,
    samples: HeapProd<i16>,
}

impl CaptureWriter {
    /// Queues a whole frame, or nothing and returns `false` when it does not fit.
    pub fn push(&mut self, header: FrameHeader, samples: &[i16]) -> bool {
        debug_assert_eq!(usize::from(header.samples), samples.len());
        if self.headers.is_full() || self.samples.vacant_len() < samples.len() {
            return false;
        }
        // Samples first: a header in the ring promises that its samples are there.
        self.samples.push_slice(samples);
        self.headers.try_push(header).is_ok()
    }
}

/// The application's end of the capture ring.
pub struct CaptureReader {
    headers: HeapCons<FrameHeader>,
    samples: HeapCons<i16>,
}

impl CaptureReader {
    /// Appends the samples of the next frame to `out` and returns its header.
    ///
    /// Cost: one copy; `out` grows only if its capacity is short.
    pub fn pop(&mut self, out: &mut Vec<i16>) -> Option<FrameHeader> {
        let header = self.headers.try_pop()?;
        let start = out.len();
        out.resize(start + usize::from(header.samples), 0);
        let tail = out.get_mut(start..)?;
        self.samples.pop_slice(tail);
        Some(header)
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
