//! Which of the audio that a client was sent is not the caller's but made up for it.
//!
//! Owns stretches until they are told: those that touch are one, a long one is told in parts. When
//! nobody takes them out the oldest go. Counts samples; does not know what sounds.

use std::collections::VecDeque;

/// Stretches that wait to be told; beyond, the oldest is forgotten.
const WAITING_MAX: usize = 64;

/// A stretch that was made up. Units: samples of the leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Where it begins, counted from the first sample for the client.
    pub(super) begin: u64,
    /// How long it is.
    pub(super) length: u64,
}

impl Stretch {
    fn end(self) -> u64 {
        self.begin + self.length
    }
}

/// The stretches of one client. See the module.
#[derive(Debug)]
pub(super) struct Concealed {
    /// A stretch is told at the latest when it is so long.
    longest: u64,
    open: Option<Stretch>,
    waiting: VecDeque<Stretch>,
}

impl Concealed {
    /// None yet, at this rate in Hz.
    pub(super) fn new(rate: u32) -> Self {
        Self { longest: u64::from(rate), open: None, waiting: VecDeque::new() }
    }

    /// So many samples from there on were made up.
    pub(super) fn add(&mut self, begin: u64, length: u64) {
        if length == 0 {
            return;
        }
        match &mut self.open {
            Some(open) if open.end() == begin => open.length += length,
            Some(_) | None => {
                self.close();
                self.open = Some(Stretch { begin, length });
            }
        }
        if self.open.is_some_and(|open| open.length >= self.longest) {
            self.close();
        }
    }

    /// What comes up to this place is known: a stretch that ends before it has ended.
    pub(super) fn reached(&mut self, place: u64) {
        if self.open.is_some_and(|open| open.end() < place) {
            self.close();
        }
    }

    /// The next stretch that is over.
    pub(super) fn next(&mut self) -> Option<Stretch> {
        self.waiting.pop_front()
    }

    fn close(&mut self) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.extend(self.open.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(concealed: &mut Concealed) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| concealed.next()).map(|of| (of.begin, of.length)).collect()
    }

    #[test]
    fn what_touches_is_one_and_is_told_when_it_is_over() {
        let mut concealed = Concealed::new(8_000);
        concealed.reached(160);
        concealed.add(160, 160);
        concealed.add(320, 80);
        concealed.reached(400);
        assert_eq!(told(&mut concealed), []);
        concealed.reached(560);
        assert_eq!(told(&mut concealed), [(160, 240)]);
        concealed.add(560, 0);
        concealed.add(800, 160);
        concealed.add(1_200, 160);
        assert_eq!(told(&mut concealed), [(800, 160)]);
    }

    #[test]
    fn a_long_stretch_comes_in_parts_and_what_nobody_takes_is_bounded() {
        let mut concealed = Concealed::new(8_000);
        (0..75).for_each(|n| concealed.add(160 * n, 160));
        assert_eq!(told(&mut concealed), [(0, 8_000)]);
        (0..1_000).for_each(|n| concealed.add(20_000 + 320 * n, 160));
        let told = told(&mut concealed);
        assert_eq!((told.len(), told.last()), (WAITING_MAX, Some(&(20_000 + 320 * 998, 160))));
    }
}
