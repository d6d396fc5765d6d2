//! Speech on its way from whoever makes it to whoever plays it.
//!
//! ```text
//!  SpeechWriter ── push ──> pieces (bounded by whoever asks for room) ──> Speech::next
//!       ^                                                                    │
//!       └──────────────── closed: the listener is gone ──────────────────────┘
//! ```
//!
//! Owns the queue, its end and its cancellation. Does not know who makes the sound.

use crate::turn::interface::WordTime;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Silence between repetitions of a text.
const REPEAT_GAP: Duration = Duration::from_millis(500);

/// A stretch of speech.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechPiece {
    /// Mono, at the rate of [`super::TtsSpec::rate`]; empty when only words are told.
    pub samples: Arc<[i16]>,
    /// Words whose times became known; times count from the speech's first sample, positions are
    /// bytes of the request's text. Engines without word times tell the ends of sentences.
    pub words: Vec<WordTime>,
}

/// All pieces of a speech.
pub(super) type Pieces = Arc<[SpeechPiece]>;

/// Speech as it is made. Dropping it cancels what is not made yet.
pub struct Speech {
    source: Source,
}

enum Source {
    Pipe(Arc<Pipe>),
    Made(Replay),
}

impl std::fmt::Debug for Speech {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speech").finish_non_exhaustive()
    }
}

impl Speech {
    /// A speech and the end that it is written to.
    #[must_use]
    pub fn pipe() -> (SpeechWriter, Self) {
        let pipe = Arc::new(Pipe::default());
        let writer = SpeechWriter { pipe: Arc::clone(&pipe) };
        (writer, Self { source: Source::Pipe(pipe) })
    }

    /// What was made before.
    pub(super) fn made(replay: Replay) -> Self {
        Self { source: Source::Made(replay) }
    }

    /// The next piece; `None` at the end. Cancel-safe. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<SpeechPiece, String>> {
        match &mut self.source {
            Source::Pipe(pipe) => pipe.next().await,
            Source::Made(replay) => replay.next().map(Ok),
        }
    }
}

impl Drop for Speech {
    fn drop(&mut self) {
        if let Source::Pipe(pipe) = &self.source {
            pipe.lock().closed = true;
            pipe.drained.notify_one();
        }
    }
}

#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Result<SpeechPiece, String>>,
    samples: usize,
    ended: bool,
    closed: bool,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Option<Result<SpeechPiece, String>> {
        loop {
            {
                let mut state = self.lock();
                if let Some(item) = state.queue.pop_front() {
                    state.samples -= item.as_ref().map_or(0, |piece| piece.samples.len());
                    self.drained.notify_one();
                    return Some(item);
                }
                if state.ended {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }
}

/// The end of a speech that makes it. Dropping it without [`SpeechWriter::finish`] or
/// [`SpeechWriter::fail`] tells the listener that the speech broke off.
pub struct SpeechWriter {
    pipe: Arc<Pipe>,
}

impl SpeechWriter {
    /// Hands a piece over; `false` when nobody listens any more.
    pub fn push(&self, piece: SpeechPiece) -> bool {
        let mut state = self.pipe.lock();
        if state.closed || state.ended {
            return false;
        }
        state.samples += piece.samples.len();
        state.queue.push_back(Ok(piece));
        drop(state);
        self.pipe.filled.notify_one();
        true
    }

    /// The speech is complete.
    pub fn finish(self) {
        self.end(None);
    }

    /// The speech ends here, for this reason.
    pub fn fail(self, detail: String) {
        self.end(Some(detail));
    }

    fn end(&self, error: Option<String>) {
        let mut state = self.pipe.lock();
        if !state.ended {
            state.ended = true;
            state.queue.extend(error.map(Err));
        }
        drop(state);
        self.pipe.filled.notify_one();
    }

    /// Samples that nobody has taken yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pipe.lock().samples
    }

    /// Waits until fewer than `samples` wait; `false` when nobody listens any more.
    pub async fn room(&self, samples: usize) -> bool {
        loop {
            {
                let state = self.pipe.lock();
                if state.closed {
                    return false;
                }
                if state.samples < samples {
                    return true;
                }
            }
            self.pipe.drained.notified().await;
        }
    }

    /// Waits until nobody listens any more.
    pub async fn closed(&self) {
        while !self.pipe.lock().closed {
            self.pipe.drained.notified().await;
        }
    }
}

impl Drop for SpeechWriter {
    fn drop(&mut self) {
        self.end(Some("the speech broke off".to_owned()));
    }
}

/// Speech that is there, to be said once or several times with a pause between.
#[derive(Debug)]
pub(super) struct Replay {
    pieces: Pieces,
    gap: Arc<[i16]>,
    rate: u32,
    rounds: u32,
    at: usize,
    /// Where the current round began.
    begun: Duration,
    samples: usize,
}

impl Replay {
    pub(super) fn new(pieces: Pieces, rounds: u32, rate: u32) -> Self {
        let gap = vec![0; samples_in(REPEAT_GAP, rate)].into();
        Self { pieces, gap, rate, rounds, at: 0, begun: Duration::ZERO, samples: 0 }
    }

    /// The rounds behind the first, which was heard as it was made.
    pub(super) fn again(pieces: Pieces, rounds: u32, rate: u32) -> Self {
        let mut replay = Self::new(pieces, rounds, rate);
        replay.at = replay.pieces.len();
        replay.samples = replay.pieces.iter().map(|piece| piece.samples.len()).sum();
        replay
    }
}

impl Iterator for Replay {
    type Item = SpeechPiece;

    fn next(&mut self) -> Option<SpeechPiece> {
        let Some(piece) = self.pieces.get(self.at) else {
            self.rounds = self.rounds.saturating_sub(1);
            if self.rounds == 0 {
                return None;
            }
            self.samples += self.gap.len();
            self.begun = duration_of(self.samples, self.rate);
            self.at = 0;
            return Some(SpeechPiece { samples: Arc::clone(&self.gap), words: Vec::new() });
        };
        self.at += 1;
        self.samples += piece.samples.len();
        let words = piece.words.iter();
        let words = words.map(|word| WordTime { end: word.end + self.begun, ..word.clone() });
        Some(SpeechPiece { samples: Arc::clone(&piece.samples), words: words.collect() })
    }
}

/// How many samples a time has.
pub(super) fn samples_in(time: Duration, rate: u32) -> usize {
    usize::try_from(time.as_micros() * u128::from(rate) / 1_000_000).unwrap_or(usize::MAX)
}

/// How long samples take.
pub(super) fn duration_of(samples: usize, rate: u32) -> Duration {
    Duration::from_micros((samples as u64).saturating_mul(1_000_000) / u64::from(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(samples: usize, text_end: usize) -> SpeechPiece {
        let end = duration_of(samples, 8000);
        SpeechPiece { samples: vec![1; samples].into(), words: vec![WordTime { text_end, end }] }
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_a_broken_speech_says_so() {
        let (writer, mut speech) = Speech::pipe();
        assert!(writer.push(piece(10, 1)) && writer.push(piece(20, 2)));
        assert_eq!(writer.waiting(), 30);
        assert_eq!(speech.next().await, Some(Ok(piece(10, 1))));
        writer.finish();
        assert_eq!(speech.next().await, Some(Ok(piece(20, 2))));
        assert_eq!(speech.next().await, None);
        let (writer, mut speech) = Speech::pipe();
        drop(writer);
        assert!(speech.next().await.is_some_and(|item| item.is_err()));
        assert_eq!(speech.next().await, None);
    }

    #[tokio::test]
    async fn writers_wait_for_room_and_learn_that_nobody_listens() {
        let (writer, mut speech) = Speech::pipe();
        assert!(writer.room(1).await);
        assert!(writer.push(piece(100, 1)));
        let waiting = tokio::spawn(async move { (writer.room(100).await, writer) });
        assert!(speech.next().await.is_some());
        let (room, writer) = waiting.await.unwrap();
        assert!(room);
        let waiting = tokio::spawn(async move {
            writer.closed().await;
            (writer.room(1).await, writer.push(piece(1, 1)))
        });
        drop(speech);
        assert_eq!(waiting.await.unwrap(), (false, false));
    }

    #[test]
    fn rounds_repeat_samples_and_shift_words() {
        let pieces: Pieces = [piece(800, 3)].into();
        let all: Vec<SpeechPiece> = Replay::new(Arc::clone(&pieces), 2, 8000).collect();
        assert_eq!(all.iter().map(|piece| piece.samples.len()).sum::<usize>(), 800 + 4000 + 800);
        assert_eq!(all[2].words[0].end, Duration::from_millis(100 + 500 + 100));
        assert_eq!(Replay::again(Arc::clone(&pieces), 2, 8000).collect::<Vec<_>>(), all[1..]);
        assert_eq!(Replay::again(pieces, 1, 8000).count(), 0);
    }
}
