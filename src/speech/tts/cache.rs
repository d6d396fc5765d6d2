//! What was said before: finished speech by content, bounded in bytes, least recently used goes.

use std::collections::HashMap;
use std::sync::Arc;

/// What makes two syntheses the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpeechKey {
    /// Voice id.
    pub voice: String,
    /// The text as the user gave it.
    pub text: String,
}

/// Pieces of one synthesis in order, mono at the leg's rate.
pub type Pieces = Vec<Arc<[i16]>>;

/// A cache of at most `bytes_max` bytes of samples.
#[derive(Debug)]
pub struct SpeechCache {
    entries: HashMap<SpeechKey, Entry>,
    bytes: usize,
    bytes_max: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    pieces: Pieces,
    bytes: usize,
    used: u64,
}

impl SpeechCache {
    /// Makes an empty cache; 0 keeps nothing.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { entries: HashMap::new(), bytes: 0, bytes_max, clock: 0 }
    }

    /// The pieces, if this was said before. Cost: clones of `Arc`, no samples.
    pub fn find(&mut self, key: &SpeechKey) -> Option<Pieces> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.pieces.clone())
    }

    /// Keeps pieces, at the expense of those unused for longest; too large ones are not kept.
    pub fn keep(&mut self, key: SpeechKey, pieces: Pieces) {
        let bytes = key.text.len() + pieces.iter().map(|piece| piece.len() * 2).sum::<usize>();
        if bytes > self.bytes_max / 4 {
            return;
        }
        self.clock += 1;
        let entry = Entry { pieces, bytes, used: self.clock };
        self.bytes += bytes;
        if let Some(old) = self.entries.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        while self.bytes > self.bytes_max {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            if let Some(gone) = self.entries.remove(&key) {
                self.bytes -= gone.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> SpeechKey {
        SpeechKey { voice: "v".into(), text: text.into() }
    }

    fn pieces(samples: usize) -> Pieces {
        vec![vec![0; samples].into()]
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = SpeechCache::new(1000);
        for text in ["a", "b", "c", "d"] {
            cache.keep(key(text), pieces(120));
        }
        assert!(cache.find(&key("a")).is_some());
        cache.keep(key("e"), pieces(120));
        assert!(cache.find(&key("a")).is_some());
        assert!(cache.find(&key("b")).is_none());
        cache.keep(key("huge"), pieces(5000));
        assert!(cache.find(&key("huge")).is_none());
        cache.keep(key("a"), pieces(100));
        assert_eq!(cache.bytes, cache.entries.values().map(|entry| entry.bytes).sum::<usize>());
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let mut cache = SpeechCache::new(0);
        cache.keep(key("a"), pieces(1));
        assert!(cache.find(&key("a")).is_none());
    }
}
