//! Where an engine puts its sound, and the clock that it works under.

use super::EngineError;
use crate::audio::decode::{LiveDecoder, LiveEvent, LiveFormat, LiveOutput};
use crate::audio::rate::SampleRate;
use crate::speech::tts::chain::{Chain, Levels};
use crate::speech::tts::script::Segment;
use crate::speech::tts::speech::{Audience, SpeechPiece, duration_of};
use crate::turn::interface::WordTime;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The longest sound of one sentence: 300 letters, one by one, slowly.
const SENTENCE_MAX: Duration = Duration::from_secs(180);
/// Without further sound for this long, an engine is given up.
const IDLE: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5000 });
/// Nobody speaks a sentence longer than this, however slowly the sound trickles in.
const WORK_MAX: Duration = Duration::from_secs(240);

/// Which words a sentence stands for.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The text that it was cut from.
    pub segment: Arc<Segment>,
    /// Where.
    pub range: Range<usize>,
}

/// The far end of one speech: takes the sound of sentence after sentence.
pub(crate) struct Sink {
    audience: Arc<Audience>,
    chain: Chain,
    rate: u32,
    levels: Arc<Levels>,
    /// The voice of the chain, and what was known of its level when it began to speak.
    voice: Option<(String, Option<f32>)>,
    words: Vec<WordTime>,
    /// The last word that was told of.
    told: (usize, Duration),
    out: Vec<i16>,
    sentence: Progress,
    decoder: Option<LiveDecoder>,
}

/// One sentence's state.
struct Progress {
    place: Option<Place>,
    /// Where in the speech it began, at the leg's rate.
    start: u64,
    /// What the engine made, in its own time.
    made: Duration,
    begun: Instant,
    first: Option<Duration>,
    deadline: Instant,
    /// The limit that the deadline stands for.
    limit: Duration,
}

impl Sink {
    pub(crate) fn new(
        audience: Arc<Audience>,
        rate: SampleRate,
        target_dbov: Option<f32>,
        levels: Arc<Levels>,
    ) -> Self {
        let begun = Instant::now();
        Self {
            audience,
            chain: Chain::new(rate, target_dbov),
            rate: rate.hz(),
            levels,
            voice: None,
            words: Vec::new(),
            told: (0, Duration::ZERO),
            out: Vec::new(),
            sentence: Progress {
                place: None,
                start: 0,
                made: Duration::ZERO,
                begun,
                first: None,
                deadline: begun,
                limit: Duration::ZERO,
            },
            decoder: None,
        }
    }

    /// Begins a sentence; sound is expected within `first_audio`.
    pub(crate) fn begin(&mut self, place: Place, first_audio: Duration) {
        self.decoder = None;
        let begun = Instant::now();
        self.sentence = Progress {
            place: Some(place),
            start: self.chain.position(),
            made: Duration::ZERO,
            begun,
            first: None,
            deadline: begun + first_audio,
            limit: first_audio,
        };
    }

    /// Says whose sound comes: its level may be known.
    pub(crate) fn voice(&mut self, voice: &str, gain_db: f32) {
        if self.voice.as_ref().is_none_or(|(known, _)| known != voice) {
            self.voice = Some((voice.to_owned(), self.levels.find(voice)));
        }
        let known = self.voice.as_ref().and_then(|(_, level)| *level);
        self.chain.begin(known, gain_db, &mut self.out);
    }

    /// Ends the sentence: its last words are known to have been said.
    pub(crate) fn end(&mut self) {
        if let (Some((voice, _)), Some((level, samples))) = (&self.voice, self.chain.measured()) {
            self.levels.learn(voice, level, samples);
        }
        if let Some(place) = &self.sentence.place {
            let end = place.segment.source_end(place.range.end);
            let samples = usize::try_from(self.chain.position()).unwrap_or(usize::MAX);
            self.tell(end, duration_of(samples, self.rate));
        }
        self.hand_over();
    }

    /// Silence between sentences.
    pub(crate) fn pause(&mut self, pause: Duration) {
        let samples = crate::speech::tts::speech::samples_in(pause, self.rate);
        self.chain.silence(samples, &mut self.out);
        self.hand_over();
    }

    /// The speech is over: what is held goes out.
    pub(crate) fn flush(&mut self) {
        self.chain.flush(&mut self.out);
        if !self.out.is_empty() || !self.words.is_empty() {
            self.push();
        }
    }

    /// Waits until fewer than `samples` wait; `false` when nobody listens.
    pub(crate) async fn room(&mut self, samples: usize) -> bool {
        self.audience.room(samples).await
    }

    /// Waits for anything, as long as somebody listens and the sentence is in time.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`], [`EngineError::Late`], [`EngineError::Stalled`].
    pub(crate) async fn wait<T>(
        &mut self,
        what: impl Future<Output = T>,
    ) -> Result<T, EngineError> {
        tokio::select! {
            biased;
            () = self.audience.closed() => Err(EngineError::Cancelled),
            got = tokio::time::timeout_at(self.sentence.deadline, what) => {
                got.map_err(|_| self.overdue())
            }
        }
    }

    fn overdue(&self) -> EngineError {
        match self.sentence.first {
            None => EngineError::Late(self.sentence.limit),
            Some(_) => EngineError::Stalled(self.sentence.limit),
        }
    }

    /// Time from the sentence's beginning to its first sound.
    pub(crate) fn first_audio(&self) -> Option<Duration> {
        self.sentence.first
    }

    /// What the engine made of this sentence so far, in its own time.
    pub(crate) fn made(&self) -> Duration {
        self.sentence.made
    }

    /// Says what [`Self::audio`] is; forgets half a sample of what came before.
    ///
    /// # Errors
    /// [`EngineError::Failed`] for a rate that is none.
    pub(crate) fn format(&mut self, format: LiveFormat, hz: u32) -> Result<(), EngineError> {
        let rate = SampleRate::new(hz);
        let rate = rate.ok_or_else(|| EngineError::Failed(format!("{hz} Hz is no sample rate")))?;
        self.decoder = Some(LiveDecoder::new(format, rate));
        Ok(())
    }

    /// Takes octets of sound, cut anywhere.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when they are none, [`EngineError::TooLong`].
    pub(crate) fn audio(&mut self, octets: &[u8]) -> Result<(), EngineError> {
        let Some(mut decoder) = self.decoder.take() else { return Ok(()) };
        let mut problem = None;
        decoder.push(octets, &mut |output| self.take(output, &mut problem));
        self.decoder = Some(decoder);
        self.hand_over();
        problem.map_or(Ok(()), Err)
    }

    /// The engine has no more sound of this format: what is half there is looked at.
    ///
    /// # Errors
    /// As [`Self::audio`].
    pub(crate) fn audio_end(&mut self) -> Result<(), EngineError> {
        let Some(mut decoder) = self.decoder.take() else { return Ok(()) };
        let mut problem = None;
        decoder.flush(&mut |output| self.take(output, &mut problem));
        self.hand_over();
        problem.map_or(Ok(()), Err)
    }

    fn take(&mut self, output: LiveOutput<'_>, problem: &mut Option<EngineError>) {
        match output {
            LiveOutput::Samples { rate, samples } => {
                if let Err(error) = self.push_samples(rate.hz(), samples) {
                    problem.get_or_insert(error);
                }
            }
            LiveOutput::Event(LiveEvent::Failed(why)) => {
                problem.get_or_insert(EngineError::Failed(format!("its sound: {why}")));
            }
            LiveOutput::Event(
                LiveEvent::Detected(_)
                | LiveEvent::Skipped { .. }
                | LiveEvent::Damaged { .. }
                | LiveEvent::Partial { .. },
            ) => {}
        }
    }

    /// Takes whole samples.
    ///
    /// # Errors
    /// As [`Self::audio`].
    pub(crate) fn samples(&mut self, hz: u32, samples: &[i16]) -> Result<(), EngineError> {
        let taken = self.push_samples(hz, samples);
        self.hand_over();
        taken
    }

    fn push_samples(&mut self, hz: u32, samples: &[i16]) -> Result<(), EngineError> {
        if samples.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let sentence = &mut self.sentence;
        sentence.first.get_or_insert(now - sentence.begun);
        let longest = sentence.begun + WORK_MAX;
        (sentence.deadline, sentence.limit) = ((now + IDLE).min(longest), IDLE);
        sentence.made += duration_of(samples.len(), hz);
        if sentence.made > SENTENCE_MAX {
            return Err(EngineError::TooLong(SENTENCE_MAX));
        }
        if !self.chain.push(hz, samples, &mut self.out) {
            return Err(EngineError::Failed(format!("{hz} Hz is no sample rate")));
        }
        Ok(())
    }

    /// Tells that the sentence's text has been said up to this byte, this long after its first
    /// sample.
    pub(crate) fn word(&mut self, end: usize, at: Duration) {
        let Some(place) = &self.sentence.place else { return };
        let end = (place.range.start + end).min(place.range.end);
        let end = place.segment.source_end(end);
        let start = usize::try_from(self.sentence.start).unwrap_or(usize::MAX);
        self.tell(end, duration_of(start, self.rate) + at.min(SENTENCE_MAX));
    }

    fn tell(&mut self, text_end: usize, end: Duration) {
        // Within a replaced text nothing has been said yet; engines that stutter are put in order.
        if text_end > self.told.0 {
            self.told = (text_end, self.told.1.max(end));
            self.words.push(WordTime { text_end, end: self.told.1 });
        }
    }

    fn hand_over(&mut self) {
        if !self.out.is_empty() {
            self.push();
        }
    }

    fn push(&mut self) {
        let samples: Arc<[i16]> = self.out.as_slice().into();
        self.out.clear();
        let piece = SpeechPiece { samples, words: std::mem::take(&mut self.words) };
        self.audience.push(&piece);
    }
}
