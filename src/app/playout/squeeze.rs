//! What was left out of queued audio to catch up, and whose it was.
//!
//! ```text
//!  accepted of an utterance = played + squeezed + discarded
//!                                       │
//!      left out of what was heard ──────┘   left out of what a clear took: discarded
//! ```
//!
//! A stretch that was left out belongs to the position behind which it was: it counts as squeezed
//! once everything before it has been played. Owns these places for as long as their utterance is
//! not told, 1024 at most: beyond, and of what was played already, they are joined.

use super::PlayoutQueue;
use std::collections::VecDeque;

/// Places that are remembered.
const PLACES_MAX: usize = 1024;

/// What was left out at one place.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Samples before it; at the end of time when they were cleared away.
    position: u64,
    /// Its utterance.
    serial: u64,
    samples: u64,
}

/// Everything that was left out. See the module.
#[derive(Debug, Default)]
pub(super) struct Squeezed {
    places: VecDeque<Place>,
    /// Of utterances that were told.
    told: u64,
}

impl Squeezed {
    /// Remembers a place; everything up to `heard` is.
    fn add(&mut self, place: Place, heard: u64) {
        while let (Some(first), Some(second)) = (self.places.front(), self.places.get(1))
            && first.serial == second.serial
            && second.position <= heard
            && let Some(first) = self.places.pop_front()
            && let Some(second) = self.places.front_mut()
        {
            second.samples += first.samples;
        }
        let full = self.places.len() >= PLACES_MAX;
        match self.places.back_mut() {
            Some(last) if full && last.serial == place.serial => {
                last.position = place.position;
                last.samples += place.samples;
            }
            Some(_) | None => self.places.push_back(place),
        }
    }

    /// Of an utterance that is being told: what was heard of it in this way, and all.
    pub(super) fn tell(&mut self, serial: u64, played_to: u64) -> (u64, u64) {
        let (mut heard, mut all) = (0, 0);
        self.places.retain(|place| {
            let its = place.serial == serial;
            if its {
                all += place.samples;
                heard += if place.position <= played_to { place.samples } else { 0 };
            }
            !its
        });
        self.told += heard;
        (heard, all)
    }

    /// In the whole call up to a position.
    pub(super) fn up_to(&self, position: u64) -> u64 {
        let before = self.places.iter().filter(|place| place.position <= position);
        self.told + before.map(|place| place.samples).sum::<u64>()
    }

    /// What waits behind `written` will never be heard.
    pub(super) fn lose(&mut self, written: u64) {
        for place in self.places.iter_mut().filter(|place| place.position > written) {
            place.position = u64::MAX;
        }
    }

    /// The samples of one utterance from `first` on are gone, and what follows moves up.
    pub(super) fn lose_of(&mut self, serial: u64, first: u64, count: u64) {
        let behind = |place: &&mut Place| place.position > first && place.position != u64::MAX;
        for place in self.places.iter_mut().filter(behind) {
            place.position = if place.serial == serial {
                u64::MAX
            } else {
                place.position.saturating_sub(count)
            };
        }
    }
}

impl PlayoutQueue {
    /// Samples that may be queued.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// So many samples of the open utterance were left out right behind what is queued.
    ///
    /// Nothing is left out of what is not there: without an open utterance nothing happens.
    pub fn squeeze(&mut self, samples: usize) {
        let position = self.tail();
        // What the worker has taken is heard, unless it is being thrown away.
        let taken = if self.clearing.is_empty() { self.written - self.in_ring as u64 } else { 0 };
        if let Some(open) = &self.open {
            let place = Place { position, serial: open.serial, samples: samples as u64 };
            self.squeezed.add(place, self.resolved.max(taken));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fact, PlayoutQueue};
    use crate::app::fake::FakeLeg;
    use crate::media::ring::PlayoutWriter;

    /// Ten milliseconds that were played of eleven that were accepted, and so on.
    struct Rig {
        queue: PlayoutQueue,
        leg: FakeLeg,
        writer: PlayoutWriter,
        facts: Vec<Fact>,
    }

    impl Rig {
        fn new(ring: usize) -> Self {
            let (leg, writer, _) = FakeLeg::new(ring, 20);
            let mut queue = PlayoutQueue::new(1000, 1000);
            queue.start();
            Self { queue, leg, writer, facts: Vec::new() }
        }

        /// Samples, and as many tenths of them left out behind each 50.
        fn push(&mut self, samples: usize) {
            for _ in 0..samples / 50 {
                assert_eq!(self.queue.push(&[1; 50]), 50);
                self.queue.squeeze(5);
            }
        }

        fn tick(&mut self, ticks: usize) {
            for _ in 0..ticks {
                self.queue.pump(&mut self.writer);
                let leg = &mut self.leg;
                self.queue.send_commands(|command| {
                    leg.commands.push_back(command);
                    true
                });
                self.leg.tick();
                while let Some(event) = self.leg.events.pop_front() {
                    self.queue.handle(&event);
                }
                self.facts.extend(std::iter::from_fn(|| self.queue.next_fact()));
            }
        }
    }

    #[test]
    fn what_was_left_out_of_what_was_heard_is_told_with_it() {
        let mut rig = Rig::new(2000);
        rig.queue.open(Some("a".into())).unwrap();
        rig.push(100);
        rig.queue.mark("half").unwrap();
        rig.push(100);
        rig.queue.close();
        rig.tick(20);
        let mark =
            Fact::Mark { name: "half".into(), played_ms: 100, squeezed_ms: 10, cleared: false };
        assert!(rig.facts.contains(&mark), "{:?}", rig.facts);
        let told = Fact::Completed { utterance: Some("a".into()), played_ms: 200, squeezed_ms: 20 };
        assert_eq!(rig.facts.last(), Some(&told));
    }

    #[test]
    fn a_clear_discards_what_was_left_out_of_the_rest() {
        for ring in [60, 110, 2000] {
            let mut rig = Rig::new(ring);
            rig.queue.open(Some("a".into())).unwrap();
            rig.push(200);
            rig.queue.close();
            rig.queue.open(Some("b".into())).unwrap();
            rig.push(100);
            rig.queue.close();
            rig.tick(4);
            rig.queue.clear(7).unwrap();
            rig.queue.open(Some("c".into())).unwrap();
            rig.push(50);
            rig.queue.close();
            rig.queue.mark("end").unwrap();
            rig.tick(20);
            let mut sums = Vec::new();
            for fact in &rig.facts {
                match fact {
                    Fact::Completed { played_ms, squeezed_ms, .. } => {
                        sums.push((*played_ms, *squeezed_ms, 0));
                    }
                    Fact::Cleared { played_ms, squeezed_ms, discarded_ms, .. } => {
                        sums.push((*played_ms, *squeezed_ms, *discarded_ms));
                    }
                    _ => {}
                }
            }
            let [a, b, c] = sums[..] else { panic!("{ring}: {:?}", rig.facts) };
            assert_eq!(a.0 + a.1 + a.2, 220, "{ring}: {a:?}");
            assert_eq!(a.1, a.0 / 50 * 5, "squeezed where it was heard: {a:?}");
            assert_eq!((b, c), ((0, 0, 110), (50, 5, 0)), "{ring}");
            let Some(Fact::Mark { played_ms, squeezed_ms, .. }) = rig.facts.last() else {
                panic!("{ring}: {:?}", rig.facts);
            };
            assert_eq!((*played_ms, *squeezed_ms), (a.0 + 50, a.1 + 5), "{ring}");
        }
    }

    #[test]
    fn one_utterance_that_is_cleared_takes_its_own_with_it() {
        for ring in [60, 2000] {
            let mut rig = Rig::new(ring);
            for name in ["a", "b", "c"] {
                rig.queue.open(Some(name.into())).unwrap();
                rig.push(100);
                rig.queue.close();
            }
            rig.tick(1);
            assert_eq!(rig.queue.clear_utterance("b", 9), Ok(true));
            rig.tick(40);
            let ends: Vec<u64> = rig
                .facts
                .iter()
                .filter_map(|fact| match fact {
                    Fact::Completed { played_ms, squeezed_ms, .. } => Some(played_ms + squeezed_ms),
                    Fact::Cleared { played_ms, squeezed_ms, discarded_ms, .. } => {
                        Some(played_ms + squeezed_ms + discarded_ms)
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(ends, [110, 110, 110], "{ring}: {:?}", rig.facts);
        }
    }

    #[test]
    fn an_endless_utterance_needs_no_more_memory() {
        let mut rig = Rig::new(2000);
        rig.queue.open(None).unwrap();
        for _ in 0..3000 {
            rig.push(50);
            rig.tick(3);
            assert!(rig.queue.squeezed.places.len() <= 8);
        }
        rig.queue.close();
        rig.tick(20);
        let told = Fact::Completed { utterance: None, played_ms: 150_000, squeezed_ms: 15_000 };
        assert_eq!(rig.facts.last(), Some(&told));
    }
}
