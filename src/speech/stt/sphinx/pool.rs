//! The threads that recognise: a few for all calls, one decoder each.
//!
//! ```text
//!  calls ── Job ──> queue (256) ──> thread { Decoder } ──> words
//! ```
//!
//! Owns the threads and the queue. An utterance is one job: 2.5 % of its time, so that a core
//! serves some forty callers who speak at once. Does not know calls.

use super::ffi::{Decoder, RATE, Spoken};
use super::grammar::Grammar;
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Utterances that may wait for a thread.
const JOBS_MAX: usize = 256;
/// Threads; each has a model of its own.
const THREADS: usize = 2;

/// What became of an utterance; the words' places are samples of the job.
pub(super) type Outcome = Result<Vec<Spoken>, String>;

/// Where the model's files are.
#[derive(Debug, Clone)]
pub(super) struct ModelFiles {
    /// The acoustic model's directory.
    pub(super) acoustic: PathBuf,
    /// The dictionary.
    pub(super) dictionary: PathBuf,
}

/// An utterance to be recognised.
struct Job {
    samples: Vec<i16>,
    rate: u32,
    grammar: Arc<Grammar>,
    reply: oneshot::Sender<Outcome>,
}

/// The threads; they end when this is dropped.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    files: ModelFiles,
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    queue: VecDeque<Job>,
    stop: bool,
}

impl Pool {
    /// Starts the threads, which load their models at once: no call waits for it.
    pub(super) fn new(files: ModelFiles) -> Self {
        let shared = Arc::new(Shared { files, jobs: Mutex::default(), wake: Condvar::new() });
        for number in 0..THREADS {
            let shared = Arc::clone(&shared);
            let named = std::thread::Builder::new().name(format!("stt-{number}"));
            if let Err(error) = named.spawn(move || shared.work()) {
                tracing::error!(%error, "recogniser thread did not start");
            }
        }
        Self(shared)
    }

    /// Queues an utterance; full: it is answered with an error.
    pub(super) fn recognise(
        &self,
        samples: Vec<i16>,
        rate: u32,
        grammar: Arc<Grammar>,
    ) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let job = Job { samples, rate, grammar, reply };
        let mut jobs = lock(&self.0.jobs);
        if jobs.queue.len() >= JOBS_MAX {
            drop(jobs);
            let _ = job.reply.send(Err(format!("{JOBS_MAX} utterances wait already")));
            return outcome;
        }
        jobs.queue.push_back(job);
        drop(jobs);
        self.0.wake.notify_one();
        outcome
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.0.jobs).stop = true;
        self.0.wake.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        // What cannot be loaded is told to whoever asks, and tried again then.
        let mut decoder = self.load().ok();
        while let Some(job) = self.next() {
            // The call is gone, and with it the wish to know.
            if job.reply.is_closed() {
                continue;
            }
            let outcome = self.recognise(&mut decoder, &job);
            let _ = job.reply.send(outcome);
        }
    }

    fn load(&self) -> Result<Decoder, String> {
        let loaded = Decoder::load(&self.files.acoustic, &self.files.dictionary);
        loaded.map_err(|error| error.to_string())
    }

    fn next(&self) -> Option<Job> {
        let mut jobs = lock(&self.jobs);
        loop {
            if jobs.stop {
                return None;
            }
            if let Some(job) = jobs.queue.pop_front() {
                return Some(job);
            }
            jobs = self.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn recognise(&self, decoder: &mut Option<Decoder>, job: &Job) -> Outcome {
        let decoder = match decoder {
            Some(decoder) => decoder,
            None => decoder.insert(self.load()?),
        };
        let wide = wide(&job.samples, job.rate)?;
        let words = decoder.decode(&job.grammar, &wide).map_err(|error| error.to_string())?;
        let place = |at: u64| at * u64::from(job.rate) / u64::from(RATE);
        let placed =
            |word: Spoken| Spoken { start: place(word.start), end: place(word.end), ..word };
        Ok(words.into_iter().map(placed).collect())
    }
}

/// The samples at the model's rate.
fn wide(samples: &[i16], rate: u32) -> Result<Vec<i16>, String> {
    let from = SampleRate::new(rate).ok_or_else(|| "no sample rate".to_owned())?;
    let to = SampleRate::HZ_16000;
    let mut resampler = Resampler::aligned(from, to).map_err(|error| error.to_string())?;
    let mut wide = Vec::with_capacity(samples.len() * 2 + 64);
    resampler.process(samples, &mut wide);
    resampler.flush(&mut wide);
    Ok(wide)
}

/// A panic in another thread leaves the queue usable.
fn lock(mutex: &Mutex<Jobs>) -> MutexGuard<'_, Jobs> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
