//! Which of the held samples nobody ever said: stretches of positions, in order.
//!
//! Neighbours are joined, so there are at most half as many as there are samples held. Does not
//! hold sound.

use std::collections::VecDeque;

/// Stretches that were made up.
#[derive(Debug, Clone, Default)]
pub(super) struct MadeUp(VecDeque<(u64, u64)>);

impl MadeUp {
    /// The samples from `from` up to `until` were made up; `from` never goes back.
    pub(super) fn add(&mut self, from: u64, until: u64) {
        match self.0.back_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(until),
            Some(_) | None if from < until => self.0.push_back((from, until)),
            Some(_) | None => {}
        }
    }

    /// How many of the samples from `from` up to `until` were.
    pub(super) fn within(&self, from: u64, until: u64) -> usize {
        let stretches = self.0.iter().take_while(|(start, _)| *start < until);
        let shared =
            stretches.map(|(start, end)| (*end).min(until).saturating_sub((*start).max(from)));
        usize::try_from(shared.sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// What is before `position` has gone out.
    pub(super) fn forget_before(&mut self, position: u64) {
        while self.0.front().is_some_and(|(_, end)| *end <= position) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_joined_counted_and_forgotten() {
        let mut made_up = MadeUp::default();
        for (from, until) in [(100, 260), (260, 300), (300, 300), (500, 660)] {
            made_up.add(from, until);
        }
        assert_eq!(made_up.0.len(), 2);
        assert_eq!(made_up.within(0, 1000), 360);
        assert_eq!((made_up.within(290, 520), made_up.within(300, 500)), (30, 0));
        made_up.forget_before(300);
        assert_eq!((made_up.0.len(), made_up.within(0, 1000)), (1, 160));
    }
}
