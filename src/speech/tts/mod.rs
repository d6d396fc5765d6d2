//! Text to speech: voices, engine threads, cache.
//!
//! ```text
//!  speak(text) ─> cache? ── yes ─────────────────────────────> chunks
//!                   └─ no ─> queue ─> engine thread: one piece ─┘
//!                              ^            │ resample, level
//!                              └── rest of the text, at the end of the queue
//! ```
//!
//! Owns the engine threads, which take turns by sentence, so that a long text does not hold up a
//! short one and the first sound comes before the whole text is made. Dropping the receiver
//! cancels. Does not play anything.

pub mod cache;
pub mod pico;
pub mod text;
pub mod voices;

use crate::audio::gain::SpeechLevel;
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use cache::{Pieces, SpeechCache, SpeechKey};
use pico::{PicoError, PicoVoice};
use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use text::EngineText;
use tokio::sync::mpsc;
use voices::Voice;

/// Pico's volume at which its loudest voice does not clip.
const PICO_VOLUME: u8 = 45;

/// Texts that may wait for an engine thread; one more is refused.
const JOBS_MAX: usize = 1024;

/// Silence between repetitions of a text, in milliseconds.
const REPEAT_GAP_MS: u32 = 500;

/// How the engine threads are set up.
#[derive(Debug, Clone)]
pub struct TtsSpec {
    /// Where voice files are written.
    pub voice_dir: PathBuf,
    /// Engine threads.
    pub threads: usize,
    /// Voices by id, beyond the built-in ones.
    pub voices: Vec<Voice>,
    /// Active speech level to bring everything to, in dBov; `None`: as the engine made it.
    pub level_dbov: Option<f32>,
    /// Rate of what is handed out, in Hz.
    pub rate: u32,
    /// Bytes of finished speech to keep.
    pub cache_bytes: usize,
}

/// Why a text is not spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TtsError {
    /// The caller named no voice of ours.
    #[error("there is no voice {0:?}; GET /v1/voices lists them")]
    UnknownVoice(String),
    /// The caller gave nothing that can be said.
    #[error("the text has nothing in it that can be spoken")]
    NothingToSay,
    /// Too many texts wait.
    #[error("{JOBS_MAX} texts wait for the speech engine already")]
    Busy,
    /// The engine failed.
    #[error("speech engine: {0}")]
    Engine(#[from] PicoError),
    /// The engine's files could not be written or read.
    #[error("voice files: {0}")]
    Files(String),
    /// The audio could not be brought to the leg's rate.
    #[error("resampling: {0}")]
    Resample(String),
}

/// Speech as it is made: mono pieces at [`TtsSpec::rate`], closed after the last. Dropping it
/// cancels what is not made yet.
pub type Speech = mpsc::Receiver<Result<Arc<[i16]>, String>>;

/// The text-to-speech service; cheap to clone. Threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Tts {
    shared: Arc<Shared>,
    _threads: Arc<ThreadsGuard>,
}

struct Shared {
    spec: TtsSpec,
    voices: Vec<Voice>,
    cache: Mutex<SpeechCache>,
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    queue: VecDeque<Job>,
    stop: bool,
}

struct ThreadsGuard(Arc<Shared>);

impl Drop for ThreadsGuard {
    fn drop(&mut self) {
        lock(&self.0.jobs).stop = true;
        self.0.wake.notify_all();
    }
}

/// One text on its way.
struct Job {
    key: SpeechKey,
    voice: Voice,
    rest: VecDeque<String>,
    repeat: u32,
    made: Pieces,
    chain: Option<Chain>,
    chunks: mpsc::Sender<Result<Arc<[i16]>, String>>,
}

/// From the engine's samples to the leg's: one streaming state for the whole text.
struct Chain {
    resampler: Resampler,
    level: Option<SpeechLevel>,
}

impl Tts {
    /// Starts the engine threads. Voices load on first use.
    #[must_use]
    pub fn start(spec: TtsSpec) -> Self {
        let mut all = voices::built_in();
        for voice in &spec.voices {
            all.retain(|known| known.id != voice.id);
            all.push(voice.clone());
        }
        let threads = spec.threads.max(1);
        let shared = Arc::new(Shared {
            cache: Mutex::new(SpeechCache::new(spec.cache_bytes)),
            jobs: Mutex::new(Jobs::default()),
            wake: Condvar::new(),
            voices: all,
            spec,
        });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let named = std::thread::Builder::new().name(format!("tts-{number}"));
            if let Err(error) = named.spawn(move || run_engine(&shared)) {
                tracing::error!(%error, "speech engine thread did not start");
            }
        }
        Self { _threads: Arc::new(ThreadsGuard(Arc::clone(&shared))), shared }
    }

    /// All voices, built-in ones first.
    #[must_use]
    pub fn voices(&self) -> &[Voice] {
        &self.shared.voices
    }

    /// Speaks a text `repeat` times (at least once).
    ///
    /// Cost: returns at once; what was said before comes from the cache.
    ///
    /// # Errors
    /// [`TtsError::UnknownVoice`], [`TtsError::NothingToSay`] or [`TtsError::Busy`]; later errors
    /// come as the last item of the speech.
    pub fn speak(&self, voice: &str, text: &str, repeat: u32) -> Result<Speech, TtsError> {
        let known = self.shared.voices.iter().find(|known| known.id == voice);
        let voice = known.ok_or_else(|| TtsError::UnknownVoice(voice.to_owned()))?.clone();
        let rest: VecDeque<String> = text::pieces(text).into();
        if rest.is_empty() {
            return Err(TtsError::NothingToSay);
        }
        let repeat = repeat.clamp(1, 100);
        let pieces_max = (rest.len() + 1) * repeat as usize + 1;
        let (chunks, speech) = mpsc::channel(pieces_max);
        let key = SpeechKey { voice: voice.id.clone(), text: text.to_owned() };
        let rate = self.shared.spec.rate;
        if let Some(pieces) = lock(&self.shared.cache).find(&key) {
            send_repeated(&chunks, &pieces, repeat, true, rate);
            return Ok(speech);
        }
        let job = Job { key, voice, rest, repeat, made: Vec::new(), chain: None, chunks };
        let mut jobs = lock(&self.shared.jobs);
        if jobs.queue.len() >= JOBS_MAX {
            return Err(TtsError::Busy);
        }
        jobs.queue.push_back(job);
        drop(jobs);
        self.shared.wake.notify_one();
        Ok(speech)
    }
}

/// A panic in another thread leaves the queue and the cache usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends pieces `repeat` times with a pause between; the room was reserved by `speak`.
fn send_repeated(
    chunks: &mpsc::Sender<Result<Arc<[i16]>, String>>,
    pieces: &Pieces,
    repeat: u32,
    first: bool,
    rate: u32,
) {
    let gap: Arc<[i16]> = vec![0; (rate * REPEAT_GAP_MS / 1000) as usize].into();
    let from = u32::from(!first);
    for round in from..repeat {
        let pause = (round > 0).then(|| Arc::clone(&gap));
        for piece in pause.into_iter().chain(pieces.iter().map(Arc::clone)) {
            // Closed: the listener is gone, and with it the wish to hear the rest.
            if chunks.try_send(Ok(piece)).is_err() {
                return;
            }
        }
    }
}

fn run_engine(shared: &Shared) {
    let mut loaded: HashMap<String, PicoVoice> = HashMap::new();
    while let Some(mut job) = next_job(shared) {
        if job.chunks.is_closed() {
            continue;
        }
        match job.advance(shared, &mut loaded) {
            Ok(true) => {
                send_repeated(&job.chunks, &job.made, job.repeat, false, shared.spec.rate);
                lock(&shared.cache).keep(job.key, job.made);
            }
            Ok(false) => {
                lock(&shared.jobs).queue.push_back(job);
                shared.wake.notify_one();
            }
            Err(error) => {
                // A voice that failed is loaded afresh for the next text.
                loaded.remove(&job.voice.engine_voice);
                let _ = job.chunks.try_send(Err(error.to_string()));
            }
        }
    }
}

fn next_job(shared: &Shared) -> Option<Job> {
    let mut jobs = lock(&shared.jobs);
    loop {
        if jobs.stop {
            return None;
        }
        if let Some(job) = jobs.queue.pop_front() {
            return Some(job);
        }
        jobs = shared.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Job {
    /// Makes the next piece; `true` when it was the last.
    fn advance(
        &mut self,
        shared: &Shared,
        loaded: &mut HashMap<String, PicoVoice>,
    ) -> Result<bool, TtsError> {
        let Some(piece) = self.rest.pop_front() else { return Ok(true) };
        let language = self.voice.engine_voice.clone();
        if !loaded.contains_key(&language) {
            loaded.insert(language.clone(), load(shared, &language)?);
        }
        let Some(engine) = loaded.get_mut(&language) else { return Ok(true) };
        let text = EngineText::clean(&piece, &language).at_pico_volume(PICO_VOLUME);
        let mut raw = Vec::with_capacity(pico::RATE as usize * 4);
        let chunks = &self.chunks;
        engine.speak(&text, |samples| {
            raw.extend_from_slice(samples);
            if chunks.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let last = self.rest.is_empty();
        let samples = self.finish(shared, &raw, last)?;
        if !samples.is_empty() {
            let samples: Arc<[i16]> = samples.into();
            self.made.push(Arc::clone(&samples));
            let _ = self.chunks.try_send(Ok(samples));
        }
        Ok(last)
    }

    /// Brings one piece to the leg's rate and level.
    fn finish(&mut self, shared: &Shared, raw: &[i16], last: bool) -> Result<Vec<i16>, TtsError> {
        let chain = match &mut self.chain {
            Some(chain) => chain,
            empty @ None => empty.insert(Chain::new(&shared.spec)?),
        };
        let mut out = Vec::with_capacity(raw.len() / 2 + 64);
        chain.resampler.process(raw, &mut out);
        if last {
            chain.resampler.flush(&mut out);
        }
        let Some(level) = &mut chain.level else { return Ok(out) };
        let mut levelled = Vec::with_capacity(out.len() + 64);
        level.process(&out, &mut levelled);
        if last {
            level.flush(&mut levelled);
        }
        Ok(levelled)
    }
}

impl Chain {
    fn new(spec: &TtsSpec) -> Result<Self, TtsError> {
        let unknown = || TtsError::Resample(format!("{} Hz is no sample rate", spec.rate));
        let native = SampleRate::new(pico::RATE).ok_or_else(unknown)?;
        let rate = SampleRate::new(spec.rate).ok_or_else(unknown)?;
        let resampler =
            Resampler::new(native, rate).map_err(|error| TtsError::Resample(error.to_string()))?;
        Ok(Self { resampler, level: spec.level_dbov.map(|dbov| SpeechLevel::new(rate, dbov)) })
    }
}

fn load(shared: &Shared, language: &str) -> Result<PicoVoice, TtsError> {
    let resources =
        voices::pico(language).ok_or_else(|| TtsError::UnknownVoice(language.to_owned()))?;
    let (analysis, signal) =
        voices::install(&shared.spec.voice_dir, resources).map_err(|error| {
            TtsError::Files(format!("{}: {error}", shared.spec.voice_dir.display()))
        })?;
    Ok(PicoVoice::load(&analysis, &signal)?)
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "a few seconds of samples")]
mod tests {
    use super::*;

    fn start(dir: &std::path::Path) -> Tts {
        Tts::start(TtsSpec {
            voice_dir: dir.join("voices"),
            threads: 1,
            voices: vec![voices::pico_alias("house", "en-GB")],
            level_dbov: Some(-20.0),
            rate: 8000,
            cache_bytes: 16 << 20,
        })
    }

    fn collect(mut speech: Speech) -> Result<Vec<Arc<[i16]>>, String> {
        let mut all = Vec::new();
        while let Some(piece) = speech.blocking_recv() {
            all.push(piece?);
        }
        Ok(all)
    }

    fn seconds(pieces: &[Arc<[i16]>]) -> f64 {
        pieces.iter().map(|piece| piece.len()).sum::<usize>() as f64 / 8000.0
    }

    #[test]
    fn every_voice_speaks_at_a_sound_level() {
        let dir = tempfile::tempdir().unwrap();
        let tts = start(dir.path());
        for voice in tts.voices() {
            let pieces =
                collect(tts.speak(&voice.id, "Radio 1, 2, 3. Hotel.", 1).unwrap()).unwrap();
            let all: Vec<i16> = pieces.concat();
            let rms =
                (all.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
            let dbov = 20.0 * (rms / 32768.0).log10();
            assert!((0.5..12.0).contains(&seconds(&pieces)), "{} {}", voice.id, seconds(&pieces));
            assert!((-27.0..-16.0).contains(&dbov), "{} at {dbov:.1} dBov", voice.id);
        }
    }

    #[test]
    fn markup_in_a_text_writes_no_file_and_plays_none() {
        let dir = tempfile::tempdir().unwrap();
        let tts = start(dir.path());
        let target = dir.path().join("written.wav");
        for tag in ["genfile", "usesig", "play"] {
            let text = format!(
                "Before <{tag} file=\"{0}\">hello there my friend</{tag}> \u{1}\u{0}after &lt;{tag} file=\"{0}\"/&gt; and on.",
                target.display()
            );
            let pieces = collect(tts.speak("en-US-001", &text, 1).unwrap()).unwrap();
            assert!(seconds(&pieces) > 2.0, "the words are still spoken");
            assert!(!target.exists(), "<{tag}> was obeyed");
        }
        // The tag works when it is let in, so the test above can fail.
        let resources = voices::pico("en-US").unwrap();
        let (analysis, signal) = voices::install(dir.path(), resources).unwrap();
        let mut engine = PicoVoice::load(&analysis, &signal).unwrap();
        let raw = format!("<genfile file=\"{}\">hello</genfile>", target.display());
        let obeyed = text::EngineText::unchecked_for_test(&raw);
        engine.speak(&obeyed, |_| ControlFlow::Continue(())).unwrap();
        assert!(target.exists());
    }

    #[test]
    fn a_long_text_comes_sentence_by_sentence_and_can_be_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let tts = start(dir.path());
        let long = "This is one of a great many sentences in a long text. ".repeat(80);
        let mut speech = tts.speak("en-US-001", &long, 1).unwrap();
        let first = speech.blocking_recv().unwrap().unwrap();
        assert!(first.len() < 8000 * 8, "the first sound is one sentence");
        drop(speech);
        // The thread gives the text up, which a finished text would show in the cache, and
        // serves the next.
        let next = collect(tts.speak("house", "And now for something else.", 1).unwrap()).unwrap();
        assert!(seconds(&next) > 0.5);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !lock(&tts.shared.jobs).queue.is_empty() {
            assert!(std::time::Instant::now() < until, "the dropped text is still queued");
            std::thread::yield_now();
        }
        let key = SpeechKey { voice: "en-US-001".into(), text: long };
        assert!(lock(&tts.shared.cache).find(&key).is_none());
    }

    #[test]
    fn the_same_text_is_made_once_and_repeats_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let tts = start(dir.path());
        let say = |repeat| collect(tts.speak("en-US-001", "Your code is ready.", repeat).unwrap());
        let once = say(1).unwrap();
        let again = say(1).unwrap();
        assert!(Arc::ptr_eq(&once[0], &again[0]), "from the cache");
        let thrice = say(3).unwrap();
        assert_eq!(thrice.len(), 3 * once.len() + 2);
    }

    #[test]
    fn bad_requests_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let tts = start(dir.path());
        assert_eq!(tts.speak("xx", "Hello", 1).err(), Some(TtsError::UnknownVoice("xx".into())));
        assert_eq!(tts.speak("en-US-001", " \n.", 1).err(), Some(TtsError::NothingToSay));
        let blocked = tempfile::NamedTempFile::new().unwrap();
        let spec = TtsSpec { voice_dir: blocked.path().to_owned(), ..tts.shared.spec.clone() };
        let error = collect(Tts::start(spec).speak("en-US-001", "Hello there.", 1).unwrap());
        assert!(error.unwrap_err().starts_with("voice files"));
    }

    #[test]
    fn strange_texts_do_not_stop_the_engine() {
        let dir = tempfile::tempdir().unwrap();
        let tts = start(dir.path());
        for text in ["a".repeat(5000), "😀🎉 你好".into(), "<<< &&& >>>".into(), "1".repeat(900)]
        {
            let _ = tts.speak("de-DE-001", &text, 1).map(collect);
        }
        assert!(seconds(&collect(tts.speak("de-DE-001", "Guten Tag.", 1).unwrap()).unwrap()) > 0.3);
    }
}
