//! From what engines say to what a call is told: positions, ids, and nothing twice.
//!
//! ```text
//!  Heard (engine's times) ──> on the call's clock ──> not told before? ──> SttEvent
//! ```
//!
//! Owns the ids of stretches, the partials that wait for their turn, and the position up to which
//! words are final. Pure: the time of day comes in. Does not know vendors or sockets.

use super::dialect::{Heard, HeardText};
use super::feed::Feed;
use super::interface::{SttEvent, Transcript, Word};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two partials of a call.
const PARTIALS_APART: Duration = Duration::from_millis(100);
/// Stretches without a final; the oldest is forgotten.
const OPEN_MAX: usize = 32;

/// A stretch whose final has not come.
#[derive(Debug)]
struct Open {
    stretch: u64,
    latest: Transcript,
    /// Whether `latest` was told.
    told: bool,
}

/// What a call was told.
#[derive(Debug)]
pub(super) struct Teller {
    partials: bool,
    language: Option<Arc<str>>,
    rate: u32,
    id_next: u64,
    /// An id whose stretch was cut off by a lost connection.
    carried: Option<u64>,
    open: Vec<Open>,
    /// All before it is final.
    told_until: u64,
    /// `told_until` when the connection was opened.
    barrier: u64,
    partial_next: Option<Instant>,
    speaking: bool,
    ready: bool,
}

impl Teller {
    /// Nothing was told.
    pub(super) fn new(rate: u32, partials: bool, language: Option<Arc<str>>) -> Self {
        Self {
            partials,
            language,
            rate,
            id_next: 0,
            carried: None,
            open: Vec::new(),
            told_until: 0,
            barrier: 0,
            partial_next: None,
            speaking: false,
            ready: false,
        }
    }

    /// All words before this position are told for good.
    pub(super) fn told_until(&self) -> u64 {
        self.told_until
    }

    /// A connection begins.
    pub(super) fn connected(&mut self) {
        self.barrier = self.told_until;
        self.ready = false;
    }

    /// What an engine's words mean to the call; [`Heard::Failed`] means nothing here.
    pub(super) fn tell(&mut self, heard: Heard, feed: &Feed, now: Instant) -> Option<SttEvent> {
        let place = |at: Option<u64>| at.map_or(feed.now(), |at| feed.position(at));
        match heard {
            Heard::Ready => {
                let first = !std::mem::replace(&mut self.ready, true);
                first.then_some(SttEvent::Ready)
            }
            Heard::SpeechStarted(at) => {
                let first = !std::mem::replace(&mut self.speaking, true);
                first.then(|| SttEvent::SpeechStarted(place(at)))
            }
            Heard::SpeechEnded(at) => {
                let last = std::mem::replace(&mut self.speaking, false);
                last.then(|| SttEvent::SpeechEnded(place(at)))
            }
            Heard::TurnEnd { at, confidence } => {
                Some(SttEvent::TurnEnd { position: place(at), confidence })
            }
            Heard::Text(text) => self.words(text, feed, now),
            Heard::Failed { .. } => None,
        }
    }

    /// When a partial that waits is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let waits = self.partials && self.open.iter().any(|open| !open.told);
        self.partial_next.filter(|_| waits)
    }

    /// A partial that is due.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<SttEvent> {
        if !self.partials || self.partial_next.is_some_and(|at| now < at) {
            return None;
        }
        let open = self.open.iter_mut().find(|open| !open.told)?;
        open.told = true;
        self.partial_next = Some(now + PARTIALS_APART);
        Some(SttEvent::Transcript(open.latest.clone()))
    }

    /// The connection is lost, and the next will hear what lies behind `oldest` only: what was
    /// last heard of earlier words is final.
    pub(super) fn lost(&mut self, oldest: u64) -> Vec<SttEvent> {
        let mut told = Vec::new();
        for open in std::mem::take(&mut self.open) {
            let mut last = open.latest;
            if last.start >= oldest {
                self.carried = Some(last.id);
                continue;
            }
            if !last.words.is_empty() {
                let early = last.words.iter().filter(|word| middle(word) < oldest).cloned();
                let early = early.collect();
                last = with_words(last, early);
            }
            if !last.text.is_empty() {
                last.is_final = true;
                self.told_until = self.told_until.max(last.end);
                told.push(SttEvent::Transcript(last));
            }
        }
        told
    }

    fn words(&mut self, heard: HeardText, feed: &Feed, now: Instant) -> Option<SttEvent> {
        let (stretch, is_final) = (heard.stretch, heard.is_final);
        let known = self.open.iter().position(|open| open.stretch == stretch);
        let before = known.map(|at| self.open.remove(at));
        let Some(mut transcript) = self.placed(heard, feed, before.as_ref()) else {
            // Nothing was said after all: the id serves the next stretch.
            self.carried = before.map(|open| open.latest.id).or(self.carried);
            return None;
        };
        transcript.id = before.as_ref().map_or_else(|| self.fresh_id(), |open| open.latest.id);
        if is_final {
            self.told_until = self.told_until.max(transcript.end);
            return Some(SttEvent::Transcript(transcript));
        }
        let same = before.is_some_and(|open| open.told && open.latest.text == transcript.text);
        if self.open.len() >= OPEN_MAX {
            self.open.remove(0);
        }
        self.open.push(Open { stretch, latest: transcript, told: same });
        self.overdue(now)
    }

    fn fresh_id(&mut self) -> u64 {
        if let Some(id) = self.carried.take() {
            return id;
        }
        self.id_next += 1;
        self.id_next - 1
    }

    /// On the call's clock, without what was told before; `None` when nothing is left.
    fn placed(&self, heard: HeardText, feed: &Feed, before: Option<&Open>) -> Option<Transcript> {
        let word = |word: super::dialect::HeardWord| Word {
            start: feed.position(word.start),
            end: feed.position(word.end),
            text: word.text,
            confidence: word.confidence,
        };
        let words: Vec<Word> = heard.words.into_iter().map(word).collect();
        let end = heard.end.map_or(feed.now(), |end| feed.position(end)).max(1);
        let guess = || end.saturating_sub(u64::from(self.rate / 2)).max(self.told_until);
        let begun = before.map(|open| open.latest.start);
        let start = heard.start.map(|start| feed.position(start)).or(begun).unwrap_or_else(guess);
        let mut transcript = Transcript {
            id: 0,
            text: heard.text.trim().into(),
            is_final: heard.is_final,
            start,
            end,
            confidence: heard.confidence,
            language: heard.language.map(Arc::from).or_else(|| self.language.clone()),
            constrained: false,
            words: words.into(),
        };
        if transcript.words.iter().any(|word| middle(word) < self.barrier) {
            let rest = transcript.words.iter().filter(|word| middle(word) >= self.barrier).cloned();
            let rest = rest.collect();
            transcript = with_words(transcript, rest);
        }
        let over = transcript.words.is_empty() && transcript.end <= self.barrier;
        transcript.start = transcript.start.max(self.barrier).min(transcript.end - 1);
        (!transcript.text.is_empty() && !over).then_some(transcript)
    }
}

fn middle(word: &Word) -> u64 {
    word.start.midpoint(word.end)
}

/// The same transcript with fewer words.
fn with_words(transcript: Transcript, words: Vec<Word>) -> Transcript {
    let spoken: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    Transcript {
        text: spoken.join(" ").into(),
        start: words.first().map_or(transcript.start, |word| word.start),
        end: words.last().map_or(transcript.end, |word| word.end).max(1),
        words: words.into(),
        ..transcript
    }
}
