//! What was queued for the caller, and when it left: what an echo is compared with.
//!
//! ```text
//!  queue ─> 2 kHz ─> waits as it does in the playout ring ── sent ──> line by time, 1 s
//!                        └── cut: what a clear threw away
//! ```
//!
//! Counts of sent samples come in lumps of a packet, and wake-ups are late: sound that follows
//! sound within 60 ms is taken to have left without a gap. Does not know rings or queues.

use super::{RATE, Thinner};
use crate::audio::rate::SampleRate;
use std::collections::VecDeque;
use std::time::Duration;

/// How much is known of the past: 1 s at 2 kHz, more than an echo takes.
const LINE: u64 = 2_048;
/// The same as a length.
const LINE_LEN: usize = 2_048;
/// How far two counts may be apart and still be one sound: 60 ms.
const SLACK: u64 = 120;
/// What may wait: 4 s, twice the playout ring. Beyond, everything is forgotten.
const QUEUED_MAX: usize = 8_000;

/// The sent sound of one call.
///
/// Units: samples of the leg in, 2 kHz inside. Cost: one addition a sample; 4 KiB, and 4 KiB for
/// each second that waits.
#[derive(Debug)]
pub struct SentSound {
    thin: Thinner,
    /// Not sent yet, the next first.
    queued: VecDeque<i16>,
    /// Playout position of the next sample to be sent, and of the next to be queued.
    next: u64,
    tail: u64,
    /// The count of sent samples that was last seen.
    counted: Option<u64>,
    line: Box<[i16; LINE_LEN]>,
    /// Time behind the last sample of the line, in samples.
    end: u64,
}

impl SentSound {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        Self {
            thin: Thinner::new(rate),
            queued: VecDeque::new(),
            next: 0,
            tail: 0,
            counted: None,
            line: Box::new([0; LINE_LEN]),
            end: 0,
        }
    }

    /// These samples went into the playout ring; the first has this position.
    #[expect(clippy::cast_possible_truncation, reason = "a mean of samples is one")]
    pub fn queue(&mut self, position: u64, samples: &[i16]) {
        if position != self.tail || self.queued.len() > QUEUED_MAX {
            self.queued.clear();
            self.thin.count = 0;
            (self.next, self.tail) = (position, position);
        }
        self.tail += samples.len() as u64;
        let thin = &mut self.thin;
        self.queued
            .extend(samples.iter().filter_map(|s| thin.push(f32::from(*s))).map(|s| s as i16));
    }

    /// What lies between these playout positions will not be sent.
    pub fn cut(&mut self, from: u64, to: u64) {
        let from = from.max(self.next);
        if to <= from {
            return;
        }
        let (first, last) = (self.thins(from - self.next), self.thins(to - self.next));
        let length = self.queued.len();
        self.queued.drain(first.min(length)..last.min(length));
        // The positions behind the cut move up to it.
        self.next += to - from;
    }

    /// So many samples of the ring have left until now.
    pub fn sent(&mut self, now: Duration, count: u64) {
        let before = self.counted.replace(count).unwrap_or(count);
        let fresh = count.saturating_sub(before);
        if fresh == 0 {
            return;
        }
        let phase = self.next % self.factor();
        let length = self.thins(phase + fresh).min(LINE_LEN);
        self.next += fresh;
        let now = index(now);
        let begin = now.saturating_sub(length as u64);
        let begin = if begin.abs_diff(self.end) <= SLACK { self.end } else { begin };
        for index in self.end.max(begin.saturating_sub(LINE))..begin {
            self.set(index, 0);
        }
        for at in begin..begin + length as u64 {
            let sample = self.queued.pop_front().unwrap_or(0);
            self.set(at, sample);
        }
        self.end = begin + length as u64;
    }

    /// The sound up to this time, its last sample last; silence where nothing is known.
    pub(super) fn read(&self, end: u64, out: &mut [f32]) {
        let begin = end.saturating_sub(out.len() as u64);
        for (place, index) in out.iter_mut().zip(begin..) {
            let known = index < self.end && index + LINE >= self.end;
            let sample = self.line.get(usize::try_from(index % LINE).unwrap_or(0));
            *place = sample.filter(|_| known).map_or(0.0, |sample| f32::from(*sample));
        }
    }

    fn set(&mut self, index: u64, sample: i16) {
        if let Some(place) = self.line.get_mut(usize::try_from(index % LINE).unwrap_or(0)) {
            *place = sample;
        }
    }

    fn factor(&self) -> u64 {
        self.thin.factor as u64
    }

    fn thins(&self, samples: u64) -> usize {
        usize::try_from(samples / self.factor()).unwrap_or(usize::MAX)
    }
}

/// A time as samples of 2 kHz.
pub(super) fn index(at: Duration) -> u64 {
    u64::try_from(at.as_micros() * u128::from(RATE) / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn line(sent: &SentSound, to: u64, length: usize) -> Vec<f32> {
        let mut out = vec![-1.0; length];
        sent.read(index(MS(to)), &mut out);
        out
    }

    #[test]
    fn sound_lies_where_it_was_sent_and_silence_elsewhere() {
        let mut sent = SentSound::new(SampleRate::HZ_8000);
        sent.queue(0, &[1_000; 800]);
        sent.sent(MS(500), 0);
        // The second count is 12 ms late; the sound has no gap.
        sent.sent(MS(520), 160);
        sent.sent(MS(552), 320);
        let heard = line(&sent, 540, 100);
        assert!(heard[..20].iter().all(|s| s.abs() < 1.0), "{heard:?}");
        assert!(heard[22..].iter().all(|s| (*s - 1_000.0).abs() < 1.0), "{heard:?}");
        // After a pause it stands where the clock puts it.
        sent.sent(MS(900), 480);
        let heard = line(&sent, 900, 80);
        assert!(heard[..40].iter().all(|s| s.abs() < 1.0), "{heard:?}");
        assert!(heard[40..].iter().all(|s| (*s - 1_000.0).abs() < 1.0), "{heard:?}");
        assert!(line(&sent, 5_000, 40).iter().all(|s| s.abs() < 1.0));
    }

    #[test]
    fn what_was_cut_is_never_sent() {
        let mut sent = SentSound::new(SampleRate::HZ_8000);
        sent.sent(MS(0), 0);
        sent.queue(0, &[1_000; 800]);
        sent.sent(MS(20), 160);
        sent.cut(200, 800);
        sent.queue(800, &[-2_000; 160]);
        sent.sent(MS(40), 320);
        let heard = line(&sent, 40, 40);
        assert!(heard[..9].iter().all(|s| (*s - 1_000.0).abs() < 1.0), "{heard:?}");
        assert!(heard[12..].iter().all(|s| (*s + 2_000.0).abs() < 1.0), "{heard:?}");
        // Another ring begins elsewhere.
        sent.queue(99_000, &[5; 80]);
        assert_eq!(sent.queued.len(), 20);
    }
}
