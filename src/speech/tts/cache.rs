//! What was said before: finished speech by content, bounded in bytes, least recently used goes.

use super::speech::{Pieces, SpeechPiece};
use std::collections::HashMap;

/// What makes two syntheses the same: the content, not the name of the voice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SpeechKey {
    /// Name of the engine.
    pub engine: String,
    /// Its voice.
    pub voice: String,
    /// How texts are read.
    pub language: String,
    /// Speed in thousandths and loudness in tenths of a dB.
    pub speed_gain: (i64, i64),
    /// Whether the text is markup.
    pub ssml: bool,
    /// The text as the user gave it.
    pub text: String,
}

impl SpeechKey {
    fn bytes(&self) -> usize {
        self.engine.len() + self.voice.len() + self.language.len() + self.text.len()
    }
}

/// Bytes that pieces take.
pub(super) fn size(pieces: &[SpeechPiece]) -> usize {
    let size = |piece: &SpeechPiece| piece.samples.len() * 2 + piece.words.len() * 32 + 64;
    pieces.iter().map(size).sum()
}

/// A cache of at most `bytes_max` bytes of samples.
#[derive(Debug)]
pub(super) struct SpeechCache {
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

    /// The largest speech that is kept.
    pub fn piece_max(&self) -> usize {
        self.bytes_max / 4
    }

    /// Keeps pieces, at the expense of those unused for longest; too large ones are not kept.
    pub fn keep(&mut self, key: SpeechKey, pieces: Pieces) {
        let bytes = key.bytes() + size(&pieces);
        if bytes > self.piece_max() {
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
        SpeechKey {
            engine: "e".into(),
            voice: "v".into(),
            language: "en".into(),
            speed_gain: (1000, 0),
            ssml: false,
            text: text.into(),
        }
    }

    fn pieces(samples: usize) -> Pieces {
        [SpeechPiece { samples: vec![0; samples].into(), words: Vec::new() }].into()
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = SpeechCache::new(1400);
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
