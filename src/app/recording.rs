//! The files of recordings: one thread that writes them all.
//!
//! ```text
//!  stream leg ── Tape: chunks, at most 64 on their way ──> thread ──> <data_dir>/recordings/rec_….wav.part
//!      ^                                                     │ end          │ rename
//!      └───────────── what became of it ─────────────────────┘              └──> rec_….wav
//! ```
//!
//! Owns the directory: names (from our own ids alone), headers, what a crash left, and how long files
//! are kept. A disk that is slow or full costs a recording, never a call: nothing here is waited for.
//! Does not know calls, and does not decide what is recorded.

mod shelf;

use crate::audio::rate::SampleRate;
pub use crate::audio::wav::Length;
use crate::id::RecordingId;
use shelf::{Shelf, Spool};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// Chunks of one recording that may be on their way to the disk: 12.8 s of 200 ms each, 800 KiB at
/// most. Beyond, the disk is too slow, and the recording breaks off.
const CHUNKS_MAX: usize = 64;
/// Behind the name of a file that is being written.
const PART: &str = ".part";
/// How often the headers of what is being written are put right.
const CHECKPOINT: Duration = Duration::from_millis(500);
/// How often it is looked for files that are too old.
const SWEEP: Duration = Duration::from_hours(1);

/// Where recordings lie, and for how long.
#[derive(Debug, Clone)]
pub struct RecordingSpec {
    /// Made if absent.
    pub dir: PathBuf,
    /// Files that were last written longer ago are removed; zero: none are.
    pub keep: Duration,
    /// Longest recording.
    pub longest: Duration,
}

/// The way to the thread; cheap to clone. The thread ends with the last handle and tape.
#[derive(Debug, Clone)]
pub struct RecordingDesk {
    jobs: Sender<Job>,
    longest: Duration,
}

/// What the thread is asked for. The queue has no bound of its own: each tape has one.
enum Job {
    Open { file: Box<NewFile>, outcome: oneshot::Sender<Outcome> },
    Write { id: RecordingId, samples: Vec<i16>, waiting: Arc<AtomicUsize> },
    Close(RecordingId),
}

struct NewFile {
    id: RecordingId,
    rate: SampleRate,
    channels: u16,
}

/// Why a recording broke off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Broken {
    /// In words.
    pub reason: String,
    /// What is kept of it, if anything.
    pub kept: Option<Length>,
}

impl Broken {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), kept: None }
    }
}

/// What became of a recording.
pub type Outcome = Result<Length, Broken>;

/// More chunks wait for the disk than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk is too slow")]
pub struct TooSlow;

impl RecordingDesk {
    /// Starts the thread, which first removes what is too old.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(spec: RecordingSpec) -> io::Result<Self> {
        let (jobs, taken) = channel();
        let longest = spec.longest;
        let shelf = Shelf::new(spec.dir, shelf::create);
        let thread = std::thread::Builder::new().name("recordings".to_owned());
        thread.spawn(move || run(shelf, spec.keep, &taken))?;
        Ok(Self { jobs, longest })
    }

    /// Longest recording.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Begins a file; whether it can be written is in the outcome of the tape.
    ///
    /// Cost: never waits for the disk. `channels` is 1 or 2.
    #[must_use]
    pub fn open(&self, id: RecordingId, rate: SampleRate, channels: u16) -> Tape {
        let (outcome, told) = oneshot::channel();
        let file = Box::new(NewFile { id: id.clone(), rate, channels });
        // A thread that is gone drops the outcome, which says so.
        let _ = self.jobs.send(Job::Open { file, outcome });
        Tape { id, jobs: self.jobs.clone(), waiting: Arc::default(), outcome: Some(told) }
    }
}

/// One recording on its way to the disk; it ends when it is dropped, too.
#[derive(Debug)]
pub struct Tape {
    id: RecordingId,
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
    outcome: Option<oneshot::Receiver<Outcome>>,
}

impl Tape {
    /// Hands samples over, those of 2 channels by turns.
    ///
    /// # Errors
    /// [`TooSlow`]; they are lost then.
    pub fn write(&self, samples: Vec<i16>) -> Result<(), TooSlow> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= CHUNKS_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(TooSlow);
        }
        let waiting = Arc::clone(&self.waiting);
        // As above.
        let _ = self.jobs.send(Job::Write { id: self.id.clone(), samples, waiting });
        Ok(())
    }

    /// Nothing follows; the outcome comes when the file is whole.
    pub fn close(&self) {
        let _ = self.jobs.send(Job::Close(self.id.clone()));
    }

    /// What became of it, once: before the close it broke off.
    pub fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        let Some(told) = &mut self.outcome else { return Poll::Pending };
        let outcome = ready!(std::pin::Pin::new(told).poll(context));
        self.outcome = None;
        Poll::Ready(
            outcome.unwrap_or_else(|_| Err(Broken::new("the writer of recordings is gone"))),
        )
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.close();
    }
}

/// The name of a whole file in the directory of recordings.
#[must_use]
pub fn file_of(dir: &Path, id: &RecordingId) -> PathBuf {
    dir.join(format!("{id}.wav"))
}

/// The name of one that is being written.
#[must_use]
pub fn part_of(dir: &Path, id: &RecordingId) -> PathBuf {
    dir.join(format!("{id}.wav{PART}"))
}

/// Puts right what a crash left unfinished, and says how much is in it. Before the desk starts.
///
/// Cost: blocks on the disk, for as long as there are such files.
#[must_use]
pub fn mend(dir: &Path) -> HashMap<RecordingId, Length> {
    shelf::mend(dir)
}

/// A desk whose thread is stepped by hand, for tests in virtual time.
#[cfg(test)]
pub(crate) struct ByHand {
    shelf: Shelf<std::fs::File>,
    jobs: Receiver<Job>,
}

#[cfg(test)]
impl ByHand {
    pub(crate) fn desk(dir: &Path, longest: Duration) -> (RecordingDesk, Self) {
        let (jobs, taken) = channel();
        let shelf = Shelf::new(dir.to_owned(), shelf::create);
        (RecordingDesk { jobs, longest }, Self { shelf, jobs: taken })
    }

    /// Does what waits.
    pub(crate) fn step(&mut self) {
        while let Ok(job) = self.jobs.try_recv() {
            self.shelf.take(job);
        }
    }
}

/// The thread: jobs as they come, headers by the clock.
fn run<S: Spool>(mut shelf: Shelf<S>, keep: Duration, jobs: &Receiver<Job>) {
    let (mut due, mut swept) = (Instant::now() + CHECKPOINT, None::<Instant>);
    loop {
        if !keep.is_zero() && swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            shelf.remove_older(SystemTime::now().checked_sub(keep));
            swept = Some(Instant::now());
        }
        match jobs.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(job) => shelf.take(job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return shelf.close_all(),
        }
        if Instant::now() >= due {
            shelf.checkpoint();
            due = Instant::now() + CHECKPOINT;
        }
    }
}

#[cfg(test)]
mod tests;
