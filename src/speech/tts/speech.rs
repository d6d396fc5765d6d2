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
    encore: Option<Encore>,
}

enum Source {
    Pipe(Arc<Pipe>),
    Made(Replay),
}

/// The rounds behind the first, which is remembered for them.
struct Encore {
    said: Vec<SpeechPiece>,
    rounds: u32,
    rate: u32,
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
        Self::pipe_with(Arc::default())
    }

    /// A speech whose writer learns by `drained` that something was taken.
    fn pipe_with(drained: Arc<Notify>) -> (SpeechWriter, Self) {
        let pipe = Arc::new(Pipe { state: Mutex::default(), filled: Notify::new(), drained });
        let writer = SpeechWriter { pipe: Arc::clone(&pipe) };
        (writer, Self { source: Source::Pipe(pipe), encore: None })
    }

    /// What was made before, `rounds` times.
    pub(super) fn made(pieces: Pieces, rounds: u32, rate: u32) -> Self {
        Self { source: Source::Made(Replay::new(pieces, rounds, rate)), encore: None }
    }

    /// The same speech `rounds` times in all; one that fails is not said again.
    pub(super) fn repeated(mut self, rounds: u32, rate: u32) -> Self {
        self.encore = (rounds > 1).then(|| Encore { said: Vec::new(), rounds, rate });
        self
    }

    /// The next piece; `None` at the end. Cancel-safe. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<SpeechPiece, String>> {
        let item = match &mut self.source {
            Source::Pipe(pipe) => pipe.next().await,
            Source::Made(replay) => return replay.next().map(Ok),
        };
        match &item {
            Some(Ok(piece)) => {
                if let Some(encore) = &mut self.encore {
                    encore.said.push(piece.clone());
                }
                item
            }
            Some(Err(_)) => {
                self.encore = None;
                item
            }
            None => {
                let Encore { said, rounds, rate } = self.encore.take()?;
                let mut replay = Replay::again(said.into(), rounds, rate);
                let piece = replay.next();
                self.source = Source::Made(replay);
                piece.map(Ok)
            }
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

struct Pipe {
    state: Mutex<State>,
    filled: Notify,
    drained: Arc<Notify>,
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

    /// Whether nobody listens any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pipe.lock().closed
    }

    /// Waits until nobody listens any more.
    pub async fn closed(&self) {
        while !self.is_closed() {
            self.pipe.drained.notified().await;
        }
    }
}

impl Drop for SpeechWriter {
    fn drop(&mut self) {
        self.end(Some("the speech broke off".to_owned()));
    }
}

/// All who listen to one speech while it is made.
///
/// Calls that ask for the same words at the same time share the making: who comes later hears
/// what was said so far at once. The one task that speaks is the only one that waits here.
pub(super) struct Audience {
    state: Mutex<Hall>,
    drained: Arc<Notify>,
}

struct Hall {
    listeners: Vec<SpeechWriter>,
    /// What was said so far, and the octets that it may still take; `None` when it is too much.
    said: Option<(Vec<SpeechPiece>, usize)>,
    over: bool,
}

/// Listeners of one speech; one more makes his own.
const LISTENERS_MAX: usize = 4096;

impl Audience {
    /// An empty hall; what is said is remembered as long as it takes no more than `room` octets.
    pub(super) fn new(room: usize) -> Self {
        let said = (room > 0).then(|| (Vec::new(), room));
        let state = Mutex::new(Hall { listeners: Vec::new(), said, over: false });
        Self { state, drained: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Hall> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more listener; `None` when it is too late to hear all of it.
    pub(super) fn join(&self) -> Option<Speech> {
        let mut hall = self.lock();
        if hall.over || hall.listeners.len() >= LISTENERS_MAX {
            return None;
        }
        // The first one misses nothing, whether it is remembered or not.
        if hall.said.is_none() && !hall.listeners.is_empty() {
            return None;
        }
        let (writer, speech) = Speech::pipe_with(Arc::clone(&self.drained));
        for piece in hall.said.iter().flat_map(|(said, _)| said) {
            writer.push(piece.clone());
        }
        hall.listeners.push(writer);
        Some(speech)
    }

    pub(super) fn push(&self, piece: &SpeechPiece) {
        let mut hall = self.lock();
        let size = super::cache::size(std::slice::from_ref(piece));
        if let Some((said, room)) = &mut hall.said {
            if size > *room {
                hall.said = None;
            } else {
                *room -= size;
                said.push(piece.clone());
            }
        }
        for listener in &hall.listeners {
            listener.push(piece.clone());
        }
    }

    /// Waits until somebody has taken all but `samples`; `false` when nobody listens any more.
    pub(super) async fn room(&self, samples: usize) -> bool {
        loop {
            if self.is_empty() {
                return false;
            }
            if self.lock().listeners.iter().any(|listener| listener.waiting() < samples) {
                return true;
            }
            self.drained.notified().await;
        }
    }

    /// Waits until nobody listens any more; nobody can join then.
    pub(super) async fn closed(&self) {
        while !self.is_empty() {
            self.drained.notified().await;
        }
    }

    fn is_empty(&self) -> bool {
        let mut hall = self.lock();
        hall.listeners.retain(|listener| !listener.is_closed());
        hall.over |= hall.listeners.is_empty();
        hall.over
    }

    /// All that was said, if it was remembered.
    pub(super) fn said(&self) -> Option<Pieces> {
        self.lock().said.as_ref().map(|(said, _)| said.as_slice().into())
    }

    /// The end, with its reason if it came too soon.
    pub(super) fn end(&self, error: Option<&str>) {
        let mut hall = self.lock();
        hall.over = true;
        for listener in hall.listeners.drain(..) {
            listener.end(error.map(str::to_owned));
        }
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

    #[tokio::test]
    async fn who_comes_later_hears_all_of_it_and_the_last_to_leave_ends_it() {
        let audience = Arc::new(Audience::new(10_000));
        let mut first = audience.join().unwrap();
        audience.push(&piece(100, 1));
        let mut second = audience.join().unwrap().repeated(2, 8000);
        audience.push(&piece(200, 2));
        assert!(!audience.is_empty());
        assert_eq!(first.next().await, Some(Ok(piece(100, 1))));
        // The one who is ahead sets the pace.
        assert!(audience.room(201).await);
        drop(first);
        assert!(!audience.is_empty());
        audience.end(None);
        let mut all = Vec::new();
        while let Some(piece) = second.next().await {
            all.push(piece.unwrap().samples.len());
        }
        assert_eq!(all, [100, 200, 4000, 100, 200]);
        assert!(audience.join().is_none());
        assert_eq!(audience.said().unwrap().len(), 2);

        let audience = Audience::new(100);
        let alone = audience.join().unwrap();
        audience.push(&piece(1000, 1));
        assert!(audience.said().is_none() && audience.join().is_none(), "too much to remember");
        drop(alone);
        audience.closed().await;
        assert!(!audience.room(1).await && audience.join().is_none());
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
