//! SVOX Pico as an engine: a pool of threads, each with its own voices.
//!
//! Owns the threads and their queue, which is worked off sentence by sentence, so that a long
//! text does not hold up a short one; agents go first. Does not cut texts.

use super::{EngineError, Saying, Sentence, Sink, TtsEngine};
use crate::speech::tts::pico::{self, PicoVoice};
use crate::speech::tts::text::PicoText;
use crate::speech::tts::voices;
use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Pico's volume at which its loudest voice does not clip.
const VOLUME: u8 = 45;

/// The engine; all of its kind share the threads.
pub(super) struct Pico {
    pool: PicoPool,
}

impl Pico {
    pub(super) fn new(pool: PicoPool) -> Self {
        Self { pool }
    }
}

impl TtsEngine for Pico {
    fn synthesise<'a>(&'a self, say: &'a Sentence, out: &'a mut Sink) -> Saying<'a> {
        Box::pin(async move {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let percent = (say.speed.clamp(0.2, 5.0) * 100.0) as u16;
            let text = PicoText::new(&say.text, VOLUME, percent);
            let made = self.pool.submit(text, &say.voice, say.live);
            let made = out.wait(made).await?;
            let gone = |_| EngineError::Failed("its threads are gone".to_owned());
            let samples = made.map_err(gone)?.map_err(EngineError::Failed)?;
            out.samples(pico::RATE, &samples)
        })
    }
}

type Made = Result<Vec<i16>, String>;

/// The threads; cheap to clone, they end with the last clone.
#[derive(Clone)]
pub(in crate::speech::tts) struct PicoPool {
    shared: Arc<Shared>,
    _threads: Arc<ThreadsGuard>,
}

struct Shared {
    voice_dir: PathBuf,
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    live: VecDeque<Job>,
    prompts: VecDeque<Job>,
    stop: bool,
}

/// One sentence; the queues are bounded by the number of speeches.
struct Job {
    text: PicoText,
    voice: String,
    done: oneshot::Sender<Made>,
}

struct ThreadsGuard(Arc<Shared>);

impl Drop for ThreadsGuard {
    fn drop(&mut self) {
        self.0.lock().stop = true;
        self.0.wake.notify_all();
    }
}

impl Shared {
    /// A panic in another thread leaves the queue usable.
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_job(&self) -> Option<Job> {
        let mut jobs = self.lock();
        loop {
            if jobs.stop {
                return None;
            }
            if let Some(job) = jobs.live.pop_front().or_else(|| jobs.prompts.pop_front()) {
                return Some(job);
            }
            jobs = self.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl PicoPool {
    /// Starts the threads; voices load on first use.
    pub(in crate::speech::tts) fn start(voice_dir: &Path, threads: usize) -> Self {
        let shared = Arc::new(Shared {
            voice_dir: voice_dir.to_owned(),
            jobs: Mutex::new(Jobs::default()),
            wake: Condvar::new(),
        });
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            let named = std::thread::Builder::new().name(format!("tts-{number}"));
            if let Err(error) = named.spawn(move || run(&shared)) {
                tracing::error!(%error, "speech engine thread did not start");
            }
        }
        Self { _threads: Arc::new(ThreadsGuard(Arc::clone(&shared))), shared }
    }

    /// Queues a sentence; dropping the receiver cancels it.
    fn submit(&self, text: PicoText, voice: &str, live: bool) -> oneshot::Receiver<Made> {
        let (done, made) = oneshot::channel();
        let job = Job { text, voice: voice.to_owned(), done };
        let mut jobs = self.shared.lock();
        if live {
            jobs.live.push_back(job);
        } else {
            jobs.prompts.push_back(job);
        }
        drop(jobs);
        self.shared.wake.notify_one();
        made
    }
}

fn run(shared: &Shared) {
    let mut loaded: HashMap<String, PicoVoice> = HashMap::new();
    while let Some(job) = shared.next_job() {
        if job.done.is_closed() {
            continue;
        }
        let made = speak(shared, &job, &mut loaded);
        if made.is_err() {
            // A voice that failed is loaded afresh for the next text.
            loaded.remove(&job.voice);
        }
        let _ = job.done.send(made);
    }
}

fn speak(shared: &Shared, job: &Job, loaded: &mut HashMap<String, PicoVoice>) -> Made {
    if !loaded.contains_key(&job.voice) {
        loaded.insert(job.voice.clone(), load(&shared.voice_dir, &job.voice)?);
    }
    let Some(engine) = loaded.get_mut(&job.voice) else { return Ok(Vec::new()) };
    let mut samples = Vec::with_capacity(pico::RATE as usize * 4);
    let take = |piece: &[i16]| {
        samples.extend_from_slice(piece);
        if job.done.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    engine.speak(&job.text, take).map_err(|error| error.to_string())?;
    Ok(samples)
}

fn load(dir: &Path, voice: &str) -> Result<PicoVoice, String> {
    let resources = voices::pico(voice).ok_or_else(|| format!("Pico has no voice {voice:?}"))?;
    let (analysis, signal) = voices::install(dir, resources)
        .map_err(|error| format!("voice files: {}: {error}", dir.display()))?;
    PicoVoice::load(&analysis, &signal).map_err(|error| error.to_string())
}
