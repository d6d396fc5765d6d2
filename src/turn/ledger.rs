//! What was really heard: which words of which utterance lie in the samples that left.
//!
//! ```text
//!  text        Your │ appointment │ is │ on │ Monday
//!  words end   180ms      820ms    950  1080    1600      from the engine, or in proportion
//!  played      ─────────────────────────────┤ 1150 ms left
//!  heard       ────────────────────────┤      1150 − network delay: "Your appointment is on"
//! ```
//!
//! Every doubt is resolved towards less: a word counts only when its end surely lies within what
//! the caller heard. Owns texts and times of the newest utterances; does not know states, and
//! plays nothing. Brains that speak by themselves use it, too: their text may come in pieces.

use super::interface::{UtteranceId, WordTime};
use std::collections::VecDeque;
use std::time::Duration;

/// Utterances that are remembered; the oldest is forgotten for a new one.
pub const UTTERANCES_MAX: usize = 256;
/// Bytes of one utterance's text; the rest is not remembered, hence never heard.
pub const TEXT_MAX: usize = 16 * 1024;

/// Spoken time per unit of weight until a slower voice was met: 7 letters a second, half the pace
/// of ordinary speech.
const SLOWEST: Duration = Duration::from_millis(14);
/// Proportions may be wrong by about a syllable.
const MARGIN: Duration = Duration::from_millis(120);
/// An utterance of less weight tells nothing about the pace.
const PACE_WEIGHT_MIN: u32 = 100;

/// Texts and times of utterances.
#[derive(Debug)]
pub struct Ledger {
    network_delay: Duration,
    entries: VecDeque<Entry>,
    /// Longest spoken time per unit of weight that was met.
    slowest: Duration,
}

#[derive(Debug)]
struct Entry {
    utterance: UtteranceId,
    text: String,
    /// Sorted by both; only what makes sense.
    words: Vec<WordTime>,
    length: Duration,
    complete: bool,
}

impl Ledger {
    /// An empty ledger. `network_delay`: by how much later the caller hears than we send.
    pub fn new(network_delay: Duration) -> Self {
        Self { network_delay, entries: VecDeque::new(), slowest: SLOWEST }
    }

    /// Remembers an utterance, or appends to its text if it is there. Text beyond [`TEXT_MAX`] is
    /// dropped.
    pub fn text(&mut self, utterance: UtteranceId, text: &str) {
        if self.entry(utterance).is_none() {
            if self.entries.len() == UTTERANCES_MAX {
                self.entries.pop_front();
            }
            self.entries.push_back(Entry {
                utterance,
                text: String::new(),
                words: Vec::new(),
                length: Duration::ZERO,
                complete: false,
            });
        }
        let Some(entry) = self.entry_mut(utterance) else { return };
        let room = TEXT_MAX - entry.text.len();
        entry.text.push_str(&text[..text.floor_char_boundary(room)]);
    }

    /// Notes how much of an utterance was synthesised, and what the engine told about its words
    /// since the last time. Lengths never shrink; words out of order are ignored.
    pub fn synthesised(
        &mut self,
        utterance: UtteranceId,
        length: Duration,
        complete: bool,
        words: &[WordTime],
    ) {
        let Some(entry) = self.entry_mut(utterance) else { return };
        entry.length = entry.length.max(length);
        entry.complete |= complete;
        for word in words {
            let last = entry.words.last();
            let grows = last.is_none_or(|l| word.text_end > l.text_end && word.end >= l.end);
            if grows && word.text_end <= entry.text.len() {
                entry.words.push(word.clone());
            }
        }
        let weight = weight(&entry.text);
        if entry.complete && weight >= PACE_WEIGHT_MIN {
            let pace = entry.length / weight;
            self.slowest = self.slowest.max(pace);
        }
    }

    /// The whole text of an utterance; empty when it is not known (any more).
    pub fn full(&self, utterance: UtteranceId) -> &str {
        self.entry(utterance).map_or("", |entry| &entry.text)
    }

    /// How much was synthesised so far, and whether that is all.
    pub fn length(&self, utterance: UtteranceId) -> Option<(Duration, bool)> {
        self.entry(utterance).map(|entry| (entry.length, entry.complete))
    }

    /// The words that the caller heard when this much of the utterance had left: whole words, none
    /// of which ended later than `played` less the network delay. Empty for an unknown utterance.
    pub fn heard(&self, utterance: UtteranceId, played: Duration) -> String {
        let Some(entry) = self.entry(utterance) else { return String::new() };
        self.words_until(entry, self.heard_time(entry, played))
    }

    /// The words that lie within what was synthesised: those of an utterance that the engine left
    /// unfinished, once all of it has left.
    pub fn synthesised_words(&self, utterance: UtteranceId) -> String {
        let entry = self.entry(utterance);
        entry.map(|entry| self.words_until(entry, entry.length)).unwrap_or_default()
    }

    fn words_until(&self, entry: &Entry, heard: Duration) -> String {
        let mut end = 0;
        for word_end in word_ends(&entry.text) {
            if self.end_of(entry, word_end).is_none_or(|at| at > heard) {
                break;
            }
            end = word_end;
        }
        entry.text[..end].trim().to_owned()
    }

    /// The same as a time from the utterance's first sample, for engines that truncate by time:
    /// never longer than what there is of it.
    pub fn heard_until(&self, utterance: UtteranceId, played: Duration) -> Duration {
        self.entry(utterance).map_or(Duration::ZERO, |entry| self.heard_time(entry, played))
    }

    /// [`Self::heard_until`] as `audio_end_ms` of a realtime conversation, whole milliseconds
    /// below, clamped also to what was received of the item.
    pub fn audio_end_ms(
        &self,
        utterance: UtteranceId,
        played: Duration,
        received: Duration,
    ) -> u64 {
        let heard = self.heard_until(utterance, played).min(received);
        u64::try_from(heard.as_millis()).unwrap_or(u64::MAX)
    }

    fn heard_time(&self, entry: &Entry, played: Duration) -> Duration {
        played.min(entry.length).saturating_sub(self.network_delay)
    }

    /// When the word that ends at this byte has been spoken; `None`: nobody can tell yet.
    fn end_of(&self, entry: &Entry, text_end: usize) -> Option<Duration> {
        let at = entry.words.partition_point(|word| word.text_end < text_end);
        if let Some(mark) = entry.words.get(at) {
            let before = at.checked_sub(1).and_then(|before| entry.words.get(before));
            return Some(before_mark(&entry.text, before, mark, text_end));
        }
        // An engine that tells times will tell this one, too.
        if !entry.words.is_empty() && !entry.complete {
            return None;
        }
        let (told_text, told) = entry.words.last().map_or((0, Duration::ZERO), |last| {
            (entry.text.floor_char_boundary(last.text_end), last.end)
        });
        let rest = weight(&entry.text[told_text..]);
        let upto = weight(entry.text.get(told_text..text_end)?);
        let left = entry.length.saturating_sub(told);
        let left = if entry.complete { left } else { left.max(self.slowest * rest) };
        let part = left.mul_f64(f64::from(upto) / f64::from(rest.max(1)));
        // All of it has been spoken at its end, without any margin.
        let last = entry.text[text_end..].trim().is_empty();
        Some(if last { told + left } else { told + part + MARGIN })
    }

    fn entry(&self, utterance: UtteranceId) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.utterance == utterance)
    }

    fn entry_mut(&mut self, utterance: UtteranceId) -> Option<&mut Entry> {
        self.entries.iter_mut().rev().find(|entry| entry.utterance == utterance)
    }
}

/// When the word that ends at this byte has been spoken, by the marks around it: engines mark
/// words, or only sentences, within which letters tell. Never later than the mark behind it.
fn before_mark(
    text: &str,
    before: Option<&WordTime>,
    mark: &WordTime,
    text_end: usize,
) -> Duration {
    let (from, since) = before.map_or((0, Duration::ZERO), |last| (last.text_end, last.end));
    let piece = |to: usize| weight(text.get(text.floor_char_boundary(from)..to).unwrap_or(text));
    let whole = piece(text.floor_char_boundary(mark.text_end));
    let part = f64::from(piece(text_end)) / f64::from(whole.max(1));
    let spoken = mark.end.saturating_sub(since).mul_f64(part.min(1.0));
    if text_end >= mark.text_end { mark.end } else { (since + spoken + MARGIN).min(mark.end) }
}

/// Where the words of a text end, in bytes: before each run of blanks, and at the end.
fn word_ends(text: &str) -> impl Iterator<Item = usize> {
    let mut before = ' ';
    let ends = text.char_indices().filter_map(move |(at, c)| {
        let ends = c.is_whitespace() && !before.is_whitespace();
        before = c;
        ends.then_some(at)
    });
    ends.chain((!text.trim_end().is_empty()).then_some(text.len()))
}

/// How long a text takes to speak, in tenths of a letter.
fn weight(text: &str) -> u32 {
    let letter = |c: char| match c {
        // "seven" and its like.
        '0'..='9' => 45,
        ',' | ';' | ':' | '–' | '—' => 30,
        '.' | '!' | '?' | '…' => 50,
        '$' | '€' | '£' | '%' | '@' | '&' | '+' | '#' | '=' | '/' => 60,
        // Abbreviations are spelt.
        c if c.is_uppercase() => 16,
        // A sign of Chinese, Japanese or Korean is a syllable.
        '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => 35,
        c if c.is_alphabetic() => 10,
        _ => 5,
    };
    text.chars().map(letter).fold(0, u32::saturating_add)
}

#[cfg(test)]
mod tests;
