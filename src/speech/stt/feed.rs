//! Samples on their way to an engine, and where on the call's clock each of them lies.
//!
//! ```text
//!  capture positions   …0 160 320 ▢▢▢ 640 …      a short hole: filled with silence
//!  engine's own count   0 160 320 480 640 …      a long one: left out, and an anchor set
//!                       └ anchor                 anchor: (engine's count, position)
//! ```
//!
//! Owns the last 2 s for a new connection, the samples that wait for a frame to be full, and the
//! anchors. Pure. Does not know engines.

use std::collections::VecDeque;

/// Sound kept for a new connection. Units: seconds.
const HISTORY_SECONDS: u32 = 2;
/// Longest hole that is filled with silence. Units: seconds.
const FILL_SECONDS: u32 = 1;
/// Longest frame, in tenths of a second.
const FRAMES_PER_SECOND: u32 = 10;
/// Anchors that are kept; times before the oldest are mapped by it.
const ANCHORS_MAX: usize = 64;

/// A place where the engine's count and the call's clock are known to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Anchor {
    count: u64,
    position: u64,
}

/// The samples of one call for one engine.
#[derive(Debug)]
pub(super) struct Feed {
    rate: u32,
    /// The position behind the last sample; `None` before the first.
    next: Option<u64>,
    /// The samples right before `next`.
    history: VecDeque<i16>,
    /// Samples of this connection that wait for a frame to be full.
    pending: Vec<i16>,
    /// Samples of this connection, pending ones included.
    count: u64,
    anchors: VecDeque<Anchor>,
}

impl Feed {
    /// Nothing yet, at this rate.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate,
            next: None,
            history: VecDeque::new(),
            pending: Vec::new(),
            count: 0,
            anchors: VecDeque::new(),
        }
    }

    /// The position behind the last sample.
    pub(super) fn now(&self) -> u64 {
        self.next.unwrap_or(0)
    }

    /// The position of the oldest sample that is kept.
    pub(super) fn oldest(&self) -> u64 {
        self.now() - self.history.len() as u64
    }

    /// A new connection begins with the kept samples from `from` on.
    pub(super) fn restart(&mut self, from: u64) {
        self.pending.clear();
        self.anchors.clear();
        self.count = 0;
        let Some(next) = self.next else { return };
        let from = from.clamp(self.oldest(), next);
        let skip = usize::try_from(from - self.oldest()).unwrap_or(usize::MAX);
        self.pending.extend(self.history.iter().skip(skip));
        self.count = self.pending.len() as u64;
        self.anchors.push_back(Anchor { count: 0, position: from });
    }

    /// Takes samples in.
    pub(super) fn take(&mut self, position: u64, samples: &[i16]) {
        let next = *self.next.get_or_insert(position);
        if self.anchors.is_empty() {
            self.anchor(position);
        }
        let gap = position.saturating_sub(next);
        if gap > u64::from(self.rate * FILL_SECONDS) {
            self.history.clear();
            self.next = Some(position);
            self.anchor(position);
        } else {
            for _ in 0..gap {
                self.add(0);
            }
        }
        let known = usize::try_from(next.saturating_sub(position)).unwrap_or(usize::MAX);
        for sample in samples.iter().skip(known) {
            self.add(*sample);
        }
        let kept = (self.rate * HISTORY_SECONDS) as usize;
        let surplus = self.history.len().saturating_sub(kept);
        self.history.drain(..surplus);
    }

    /// A frame of at least `least` samples, if so many wait.
    pub(super) fn frame(&mut self, least: usize) -> Option<Vec<i16>> {
        let most = ((self.rate / FRAMES_PER_SECOND) as usize).max(least);
        if self.pending.len() < least.max(1) {
            return None;
        }
        Some(self.pending.drain(..self.pending.len().min(most)).collect())
    }

    /// What waits, filled up with silence to a whole frame.
    pub(super) fn flush(&mut self, least: usize) -> Option<Vec<i16>> {
        if self.pending.is_empty() {
            return None;
        }
        let mut frame = std::mem::take(&mut self.pending);
        if frame.len() < least {
            self.count += (least - frame.len()) as u64;
            frame.resize(least, 0);
            self.anchor(self.now());
        }
        Some(frame)
    }

    /// The position of an engine's time, never behind the last sample.
    pub(super) fn position(&self, count: u64) -> u64 {
        let behind = self.anchors.iter().position(|anchor| anchor.count > count);
        let at = behind.unwrap_or(self.anchors.len()).saturating_sub(1);
        let Some(anchor) = self.anchors.get(at) else { return self.now() };
        let position = anchor.position + count.saturating_sub(anchor.count);
        // Silence that filled a frame up has no place of its own.
        let next = behind.filter(|next| *next > at).and_then(|next| self.anchors.get(next));
        position.min(next.map_or(self.now(), |next| next.position))
    }

    fn add(&mut self, sample: i16) {
        self.history.push_back(sample);
        self.pending.push(sample);
        self.count += 1;
        self.next = self.next.map(|next| next + 1);
    }

    fn anchor(&mut self, position: u64) {
        if self.anchors.len() >= ANCHORS_MAX {
            self.anchors.pop_front();
        }
        self.anchors.push_back(Anchor { count: self.count, position });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_holes_are_silence_and_long_ones_are_left_out() {
        let mut feed = Feed::new(8000);
        feed.take(1000, &[1; 160]);
        feed.take(1320, &[2; 160]);
        assert_eq!(feed.frame(160).unwrap(), [[1; 160], [0; 160], [2; 160]].concat());
        feed.take(100_000, &[3; 160]);
        assert_eq!(feed.frame(160).unwrap(), [3; 160]);
        assert_eq!(feed.oldest(), 100_000);
        for (count, position) in [(0, 1000), (479, 1479), (480, 100_000), (639, 100_159)] {
            assert_eq!(feed.position(count), position);
        }
        assert_eq!(feed.position(9_999_999), 100_160, "nothing lies in the future");
    }

    #[test]
    fn overlaps_are_left_out_and_frames_are_bounded() {
        let mut feed = Feed::new(8000);
        feed.take(0, &[1; 200]);
        feed.take(100, &[2; 200]);
        feed.take(0, &[3; 10]);
        assert_eq!(feed.frame(480), None);
        assert_eq!(feed.frame(1).unwrap(), [[1; 100], [1; 100], [2; 100]].concat());
        feed.take(300, &[4; 2000]);
        assert_eq!(feed.frame(480).unwrap().len(), 800);
        assert_eq!(feed.frame(480).unwrap().len(), 800);
        assert_eq!(feed.frame(480), None);
        assert_eq!(feed.flush(480).unwrap(), [[4; 400].as_slice(), &[0; 80]].concat());
        assert_eq!(feed.flush(480), None);
        feed.take(2300, &[5; 10]);
        assert_eq!(feed.position(2380), 2300, "padding does not move later samples");
    }

    #[test]
    fn a_restart_replays_from_where_it_is_told_within_two_seconds() {
        let mut feed = Feed::new(8000);
        feed.restart(0);
        assert_eq!(feed.frame(1), None);
        for packet in 0..200_u64 {
            feed.take(packet * 160, &[i16::try_from(packet).unwrap(); 160]);
        }
        assert_eq!((feed.now(), feed.oldest()), (32_000, 16_000));
        feed.restart(0);
        assert_eq!(feed.position(0), 16_000);
        let mut replayed = Vec::new();
        while let Some(frame) = feed.frame(160) {
            replayed.extend(frame);
        }
        assert_eq!((replayed.len(), replayed[0]), (16_000, 100));
        feed.restart(31_840);
        assert_eq!((feed.position(0), feed.frame(1).unwrap()), (31_840, vec![199; 160]));
    }

    proptest! {
        #[test]
        fn positions_never_go_back_and_memory_is_bounded(
            steps in prop::collection::vec((0_u64..40_000, 1_usize..900, 0_u8..8), 1..80)
        ) {
            let mut feed = Feed::new(8000);
            let mut position = 7;
            for (ahead, len, what) in steps {
                position += ahead / 3;
                feed.take(position.saturating_sub(ahead / 50), &vec![1; len]);
                match what {
                    0 => feed.restart(position),
                    1 => { feed.flush(400); }
                    _ => while feed.frame(400).is_some() {},
                }
                prop_assert!(feed.history.len() <= 16_000);
                prop_assert!(feed.anchors.len() <= ANCHORS_MAX);
                let mut before = 0;
                for count in (0..feed.count + 100).step_by(97) {
                    prop_assert!(feed.position(count) >= before);
                    before = feed.position(count);
                }
                prop_assert!(before <= feed.now());
            }
        }
    }
}
