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
            // An utterance that a later one has overtaken is not heard again either.
            if last.start >= oldest && last.end > self.told_until {
                self.carried = Some(last.id);
                continue;
            }
            if last.end > self.told_until && !last.words.is_empty() {
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
    let end = words.last().map_or(transcript.end, |word| word.end).max(1);
    let start = words.first().map_or(transcript.start, |word| word.start).min(end - 1);
    Transcript { text: spoken.join(" ").into(), start, end, words: words.into(), ..transcript }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> Feed {
        let mut feed = Feed::new(8000);
        feed.take(1000, &vec![0; 40_000]);
        feed
    }

    fn said(stretch: u64, text: &str, is_final: bool, start: u64, end: u64) -> Heard {
        let text = text.to_owned();
        let (start, end) = (Some(start), Some(end));
        Heard::Text(HeardText { stretch, text, is_final, start, end, ..HeardText::default() })
    }

    fn text(event: Option<SttEvent>) -> Option<(u64, String, bool)> {
        match event {
            Some(SttEvent::Transcript(words)) => {
                Some((words.id, words.text.to_string(), words.is_final))
            }
            _ => None,
        }
    }

    #[test]
    fn partials_keep_their_distance_and_the_latest_is_told() {
        let (mut teller, feed) = (Teller::new(8000, true, None), feed());
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        assert!(teller.tell(said(0, "a", false, 0, 100), &feed, ms(0)).is_some());
        assert_eq!(teller.due(), None);
        assert_eq!(teller.tell(said(0, "a b", false, 0, 200), &feed, ms(50)), None);
        assert_eq!(teller.tell(said(0, "a b c", false, 0, 300), &feed, ms(60)), None);
        assert_eq!(teller.due(), Some(ms(100)));
        assert_eq!(teller.overdue(ms(99)), None);
        assert_eq!(text(teller.overdue(ms(100))), Some((0, "a b c".into(), false)));
        assert_eq!(teller.overdue(ms(500)), None);
        // A final waits for nothing, and takes a partial that waits with it.
        assert_eq!(teller.tell(said(0, "a b c d", false, 0, 400), &feed, ms(110)), None);
        let last = teller.tell(said(0, "A b c d.", true, 0, 400), &feed, ms(111));
        assert_eq!(text(last), Some((0, "A b c d.".into(), true)));
        assert_eq!((teller.due(), teller.told_until()), (None, 1400));
    }

    #[test]
    fn unwanted_partials_are_kept_for_a_loss_only() {
        let (mut teller, feed) = (Teller::new(8000, false, None), feed());
        let now = Instant::now();
        assert_eq!(teller.tell(said(0, "early", false, 0, 800), &feed, now), None);
        assert_eq!(teller.due(), None);
        let saved = teller.lost(feed.oldest());
        assert_eq!(text(saved.into_iter().next()), Some((0, "early".into(), true)));
    }

    #[test]
    fn stretches_may_overlap_and_an_empty_final_gives_its_id_back() {
        let (mut teller, feed) = (Teller::new(8000, true, None), feed());
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(text(teller.tell(said(1, "one", false, 0, 9), &feed, now)).unwrap().0, 0);
        assert_eq!(text(teller.tell(said(2, "two", false, 9, 18), &feed, later)).unwrap().0, 1);
        assert_eq!(text(teller.tell(said(2, "two!", true, 9, 18), &feed, now)).unwrap().0, 1);
        assert_eq!(text(teller.tell(said(1, "one!", true, 0, 9), &feed, now)).unwrap().0, 0);
        teller.tell(said(3, "cough", false, 20, 30), &feed, later);
        assert_eq!(teller.tell(said(3, "", true, 20, 30), &feed, later), None);
        assert_eq!(text(teller.tell(said(4, "four", true, 40, 50), &feed, now)).unwrap().0, 2);
    }

    #[test]
    fn an_overtaken_utterance_is_saved_when_the_connection_is_lost() {
        let (mut teller, feed) = (Teller::new(8000, true, None), feed());
        let now = Instant::now();
        teller.tell(said(1, "first", false, 30_000, 32_000), &feed, now);
        teller.tell(said(2, "second", true, 33_000, 35_000), &feed, now);
        teller.tell(said(3, "third", false, 34_900, 39_000), &feed, now);
        let saved = teller.lost(feed.oldest());
        assert_eq!(saved.len(), 1, "the third is heard again");
        assert_eq!(text(saved.into_iter().next()), Some((0, "first".into(), true)));
        assert_eq!(teller.told_until(), 36_000);
        let again = teller.tell(said(9, "third", true, 36_000, 39_000), &feed, now);
        assert_eq!(text(again), Some((2, "third".into(), true)), "its id is kept");
    }

    #[test]
    fn words_of_before_the_connection_are_left_out() {
        let (mut teller, mut feed) = (Teller::new(8000, true, None), feed());
        let now = Instant::now();
        teller.tell(said(0, "said", true, 0, 30_000), &feed, now);
        assert_eq!(teller.told_until(), 31_000);
        teller.connected();
        // An engine that is given more than it should be.
        feed.restart(29_000);
        let word = |text: &str, start, end| super::super::dialect::HeardWord {
            text: text.to_owned(),
            start,
            end,
            confidence: None,
        };
        let heard = HeardText {
            text: "said more".to_owned(),
            is_final: true,
            start: Some(500),
            end: Some(4000),
            words: vec![word("said", 500, 1900), word("more", 2100, 4000)],
            ..HeardText::default()
        };
        let Some(SttEvent::Transcript(told)) = teller.tell(Heard::Text(heard), &feed, now) else {
            panic!()
        };
        assert_eq!((&*told.text, told.start, told.words.len()), ("more", 31_100, 1));
        assert_eq!(teller.tell(said(9, "said", true, 0, 1999), &feed, now), None);
    }

    #[test]
    fn speech_begins_and_ends_in_turns() {
        let (mut teller, feed) = (Teller::new(8000, true, None), feed());
        let now = Instant::now();
        let mut tell = |heard| teller.tell(heard, &feed, now);
        assert_eq!(tell(Heard::SpeechEnded(None)), None);
        assert_eq!(tell(Heard::SpeechStarted(Some(5))), Some(SttEvent::SpeechStarted(1005)));
        assert_eq!(tell(Heard::SpeechStarted(Some(6))), None);
        assert_eq!(tell(Heard::SpeechEnded(None)), Some(SttEvent::SpeechEnded(41_000)));
        assert_eq!(tell(Heard::Ready), Some(SttEvent::Ready));
        assert_eq!(tell(Heard::Ready), None);
    }
}
