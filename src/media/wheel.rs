//! A wheel of 1 ms slots that spreads the beats of many legs over time.
//!
//! ```text
//!  slot  0   1   2   3  …  63      leg 7: slot k, then k + 20, then k + 40, …
//!        7─2     5             each slot is a list through `next`; a leg is in one list at most
//! ```
//!
//! Owns the order of beats, counted in milliseconds since the worker's start; all memory is made
//! at set-up. Does not know what a beat does, nor the time.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

const SLOTS: usize = 64;
const NONE: u32 = u32::MAX;

/// The longest period between two beats of a leg, in slots.
pub const PERIOD_MAX: u64 = SLOTS as u64 - 1;

/// Lists of legs by the slot of their next beat.
#[derive(Debug)]
pub struct Wheel {
    heads: [u32; SLOTS],
    load: [u32; SLOTS],
    next: Box<[u32]>,
}

impl Wheel {
    /// Makes room for legs numbered below `legs`.
    #[must_use]
    pub fn new(legs: usize) -> Self {
        Self { heads: [NONE; SLOTS], load: [0; SLOTS], next: vec![NONE; legs].into() }
    }

    /// The least loaded of the `period` slots from `cursor` on, the first of equals.
    #[must_use]
    pub fn place(&self, cursor: u64, period: u64) -> u64 {
        let slots = cursor..cursor + period.clamp(1, PERIOD_MAX);
        slots.min_by_key(|&slot| self.load[index(slot)]).unwrap_or(cursor)
    }

    /// Puts a leg into a slot less than [`PERIOD_MAX`] ahead of the cursor. It must not be in one.
    pub fn insert(&mut self, slot: u64, leg: usize) {
        let slot = index(slot);
        let (Some(next), Ok(number)) = (self.next.get_mut(leg), u32::try_from(leg)) else { return };
        *next = std::mem::replace(&mut self.heads[slot], number);
        self.load[slot] += 1;
    }

    /// Empties a slot and returns its first leg; [`Wheel::after`] gives the others.
    pub fn take(&mut self, slot: u64) -> Option<usize> {
        let slot = index(slot);
        self.load[slot] = 0;
        known(std::mem::replace(&mut self.heads[slot], NONE))
    }

    /// The leg behind one that was taken; to be asked before that one is inserted again.
    #[must_use]
    pub fn after(&self, leg: usize) -> Option<usize> {
        self.next.get(leg).copied().and_then(known)
    }

    /// The first slot with a leg in it among the `span` slots from `cursor` on.
    #[must_use]
    pub fn first(&self, cursor: u64, span: u64) -> Option<u64> {
        (cursor..cursor + span.min(PERIOD_MAX)).find(|&slot| self.load[index(slot)] > 0)
    }
}

fn index(slot: u64) -> usize {
    usize::try_from(slot % SLOTS as u64).unwrap_or(0)
}

fn known(leg: u32) -> Option<usize> {
    if leg == NONE { None } else { usize::try_from(leg).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(wheel: &mut Wheel, slot: u64) -> Vec<usize> {
        let mut legs = Vec::new();
        let mut next = wheel.take(slot);
        while let Some(leg) = next {
            next = wheel.after(leg);
            legs.push(leg);
        }
        legs.sort_unstable();
        legs
    }

    #[test]
    fn legs_are_spread_evenly_over_their_period() {
        let mut wheel = Wheel::new(100);
        for leg in 0..100 {
            let slot = wheel.place(1000, 20);
            wheel.insert(slot, leg);
        }
        for slot in 1000..1020 {
            assert_eq!(drain(&mut wheel, slot).len(), 5, "slot {slot}");
        }
        assert_eq!(wheel.first(1000, 60), None);
    }

    #[test]
    fn every_leg_beats_at_its_own_period() {
        let periods = [10, 20, 30, 40, 60, 20];
        let mut wheel = Wheel::new(periods.len());
        for leg in 0..periods.len() {
            wheel.insert(leg as u64, leg);
        }
        let mut beats = vec![Vec::new(); periods.len()];
        for slot in 0..1200 {
            for leg in drain(&mut wheel, slot) {
                beats[leg].push(slot);
                wheel.insert(slot + periods[leg], leg);
            }
        }
        for (leg, period) in periods.iter().enumerate() {
            let step = usize::try_from(*period).unwrap();
            let want: Vec<u64> = (leg as u64..1200).step_by(step).collect();
            assert_eq!(beats[leg], want, "leg {leg}");
        }
    }

    #[test]
    fn first_finds_the_next_slot_in_use() {
        let mut wheel = Wheel::new(1);
        wheel.insert(119, 0);
        assert_eq!(wheel.first(100, 20), Some(119));
        assert_eq!(wheel.first(100, 19), None);
        assert_eq!(drain(&mut wheel, 119), [0]);
        wheel.insert(200, 7);
        assert_eq!(wheel.first(190, 60), None, "a leg beyond the size is ignored");
    }
}
