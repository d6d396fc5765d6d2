//! The near end of a transcription: samples go in and never wait.
//!
//! ```text
//!  push ──> bounded queue (10 s) ──> the call's session
//!    └ full: the newest is dropped and counted; positions tell the session of the gap
//! ```
//!
//! Owns the queue and its bounds. Does not know engines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Sound that may wait for a session. Units: seconds.
const QUEUE_SECONDS: u32 = 10;
/// Messages that may wait: 10 s of 10 ms packets, and the words between them.
const MESSAGES_MAX: usize = 1100;
/// Places that audio leaves free, so that words get through when it does not.
const RESERVED: usize = 64;
/// Words that are kept when even the reserve is full; one more is forgotten.
const OWED_MAX: usize = 8;
/// Phrases of a list, and characters of each.
pub(super) const PHRASES_MAX: usize = 100;
const PHRASE_CHARS_MAX: usize = 100;

/// What a session is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Samples from a position on.
    Audio {
        /// Of the first sample.
        position: u64,
        /// At the request's rate.
        samples: Box<[i16]>,
    },
    /// The final of what was said so far is wanted.
    Finalise,
    /// What is expected from the next utterance on.
    Phrases(Vec<String>),
}

/// The samples' way into a transcription; dropping it ends the engine's session politely.
pub struct SttInput {
    words: mpsc::Sender<Pushed>,
    /// Samples in the queue.
    queued: Arc<AtomicUsize>,
    queued_max: usize,
    owed: Vec<Pushed>,
    dropped: u64,
    /// Tells a session that waits for something else of the end.
    _alive: oneshot::Sender<()>,
}

/// The session's end of the queue.
pub(super) struct SttOutlet {
    words: mpsc::Receiver<Pushed>,
    queued: Arc<AtomicUsize>,
    gone: oneshot::Receiver<()>,
}

/// Both ends of a queue for samples of this rate.
pub(super) fn queue(rate: u32) -> (SttInput, SttOutlet) {
    let (words, outlet) = mpsc::channel(MESSAGES_MAX);
    let (alive, gone) = oneshot::channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let input = SttInput {
        words,
        queued: Arc::clone(&queued),
        queued_max: (rate * QUEUE_SECONDS) as usize,
        owed: Vec::new(),
        dropped: 0,
        _alive: alive,
    };
    (input, SttOutlet { words: outlet, queued, gone })
}

impl SttInput {
    /// Hands in samples; `position` is that of the first on the capture clock.
    ///
    /// Cost: one copy; never waits. When 10 s wait already, the samples are dropped and counted.
    /// Gaps are silence to the engine, so that later positions stay true; what overlaps earlier
    /// samples is left out.
    pub fn push(&mut self, position: u64, samples: &[i16]) {
        self.pay();
        if samples.is_empty() {
            return;
        }
        // Only this end adds, so the sum cannot grow behind our back.
        let room = self.queued.load(Ordering::Relaxed) + samples.len() <= self.queued_max
            && self.words.capacity() > RESERVED;
        let word = Pushed::Audio { position, samples: samples.into() };
        self.queued.fetch_add(samples.len(), Ordering::Relaxed);
        if !room || self.words.try_send(word).is_err() {
            self.queued.fetch_sub(samples.len(), Ordering::Relaxed);
            self.dropped += samples.len() as u64;
        }
    }

    /// Asks the engine for the final of what was pushed so far.
    pub fn finalise(&mut self) {
        self.say(Pushed::Finalise);
    }

    /// Replaces the expected phrases; constrained engines obey from the next utterance on.
    ///
    /// At most 100 phrases of 100 characters are taken.
    pub fn set_phrases(&mut self, phrases: Vec<String>) {
        self.say(Pushed::Phrases(bounded(phrases)));
    }

    /// Samples that were dropped because the queue was full or the engine is gone.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn say(&mut self, word: Pushed) {
        self.pay();
        if self.owed.len() < OWED_MAX {
            self.owed.push(word);
        }
        self.pay();
    }

    /// Sends what found no room before, in order.
    fn pay(&mut self) {
        while let Some(word) = self.owed.first() {
            match self.words.try_send(word.clone()) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => self.owed.remove(0),
                Err(mpsc::error::TrySendError::Full(_)) => return,
            };
        }
    }
}

impl SttOutlet {
    /// The next word; `None`: the call wants no more. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Pushed> {
        let word = self.words.recv().await;
        self.count(word.as_ref());
        word
    }

    /// Resolves when the call wants no more, whatever is still in the queue. Cancel-safe.
    pub(super) async fn gone(&mut self) {
        if !self.gone.is_terminated() {
            let _ = (&mut self.gone).await;
        }
    }

    fn count(&self, word: Option<&Pushed>) {
        if let Some(Pushed::Audio { samples, .. }) = word {
            self.queued.fetch_sub(samples.len(), Ordering::Relaxed);
        }
    }
}

/// A phrase list within bounds: trimmed, without control characters or empty phrases.
pub(super) fn bounded(phrases: Vec<String>) -> Vec<String> {
    let clean = |phrase: String| -> String {
        let shown = phrase.trim().chars().filter(|letter| !letter.is_control());
        shown.take(PHRASE_CHARS_MAX).collect()
    };
    let phrases = phrases.into_iter().map(clean).filter(|phrase| !phrase.is_empty());
    phrases.take(PHRASES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_the_newest_and_lets_words_through() {
        let (mut input, mut outlet) = queue(8000);
        for packet in 0..600_u64 {
            input.push(packet * 160, &[1; 160]);
        }
        assert_eq!(input.dropped(), 100 * 160);
        input.finalise();
        input.set_phrases(vec![" yes\u{1} ".into(), " ".into()]);
        let mut samples = 0;
        for packet in 0..500_u64 {
            let Some(Pushed::Audio { position, samples: got }) = outlet.next().await else {
                panic!()
            };
            assert_eq!(position, packet * 160);
            samples += got.len();
        }
        assert_eq!(samples, 80_000);
        assert_eq!(outlet.next().await, Some(Pushed::Finalise));
        assert_eq!(outlet.next().await, Some(Pushed::Phrases(vec!["yes".into()])));
        input.push(96_000, &[2; 160]);
        assert!(matches!(outlet.next().await, Some(Pushed::Audio { position: 96_000, .. })));
        drop(input);
        outlet.gone().await;
        outlet.gone().await;
        assert_eq!(outlet.next().await, None);
    }

    #[tokio::test]
    async fn words_wait_for_room_and_a_gone_session_is_no_harm() {
        let (mut input, mut outlet) = queue(8000);
        for _ in 0..MESSAGES_MAX + 20 {
            input.finalise();
        }
        assert_eq!(input.owed.len(), OWED_MAX);
        for _ in 0..OWED_MAX {
            assert_eq!(outlet.next().await, Some(Pushed::Finalise));
        }
        input.push(0, &[1]);
        assert!(input.owed.is_empty());
        drop(outlet);
        input.push(1, &[1; 80]);
        input.finalise();
        assert!(input.owed.is_empty());
        assert_eq!(input.dropped(), 1 + 80);
    }
}
