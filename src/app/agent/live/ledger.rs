//! How much sound came for each item, so that no truncation says more than was received.

use std::collections::VecDeque;

/// Items remembered; the oldest is forgotten and cannot be truncated any more.
const ITEMS_MAX: usize = 64;
/// Samples of a millisecond.
const PER_MS: u64 = 8;

/// What came of one item.
#[derive(Debug)]
struct Item {
    id: String,
    samples: u64,
    truncated: bool,
}

/// What came, by item.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    items: VecDeque<Item>,
}

impl Ledger {
    /// Counts sound of an item; false when the item was truncated and its sound is unwanted.
    pub(super) fn received(&mut self, id: &str, samples: usize) -> bool {
        let samples = samples as u64;
        if let Some(item) = self.items.iter_mut().find(|item| item.id == id) {
            item.samples = item.samples.saturating_add(samples);
            return !item.truncated;
        }
        if self.items.len() >= ITEMS_MAX {
            self.items.pop_front();
        }
        self.items.push_back(Item { id: id.to_owned(), samples, truncated: false });
        true
    }

    /// Truncates an item; gives the milliseconds to tell the server, or nothing for an item of
    /// which no sound came.
    pub(super) fn truncate(&mut self, id: &str, audio_end_ms: u64) -> Option<u64> {
        let item = self.items.iter_mut().find(|item| item.id == id)?;
        item.truncated = true;
        // Rounded down: a server refuses what is longer than its item by any fraction.
        Some(audio_end_ms.min(item.samples / PER_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncations_never_exceed_what_came() {
        let mut ledger = Ledger::default();
        assert!(ledger.received("a", 807));
        assert!(ledger.received("b", 80));
        assert_eq!(ledger.truncate("b", 99), Some(10));
        assert_eq!(ledger.truncate("a", 60), Some(60));
        assert_eq!(ledger.truncate("a", u64::MAX), Some(100));
        assert!(!ledger.received("a", 8), "sound after a truncation is unwanted");
        assert_eq!(ledger.truncate("nobody", 1), None);
        for number in 0..100 {
            ledger.received(&number.to_string(), 8);
        }
        assert_eq!((ledger.truncate("a", 1), ledger.items.len()), (None, ITEMS_MAX));
    }
}
