//! PocketSphinx, as the operator's system has it: phrase lists, offline, and no more.
//!
//! ```text
//!  SttInput ──> Feed ──> Gate (utterances) ──> Pool { Decoder } ──> Transcript, constrained
//! ```
//!
//! What it cannot do, all of it measured:
//! - Free speech: a third to two thirds of the words are wrong on a telephone line. It is refused
//!   without phrases.
//! - Reject: speech that is in no phrase is recognised as one of them nearly always. Every result
//!   is `constrained` and has no confidence; an action needs a spoken confirmation first.
//! - Single short words, such as digits and yes or no, with any certainty. Phrases of five words
//!   and more are reliable.
//! - Partials: an utterance is recognised as a whole, when it is over. Its features are normalised
//!   over the whole of it, which makes the first utterance of a call as good as the others.
//! - Survive a damaged model: the library ends the process then. Models load when the engine is
//!   started, so that this happens to an operator and not to a call.
//! - Languages other than that of its model, and words that its dictionary lacks.
//!
//! Owns the threads and the model's dictionary. Needs `libpocketsphinx3`, `libsphinxbase3` and
//! `pocketsphinx-en-us` of Debian 12, or a model of the same layout at `model_path`.

mod ffi;
mod gate;
mod grammar;
mod pool;

use super::SttEngineSpec;
use super::dialect::{primary, unsuited};
use super::feed::Feed;
use super::input::{Pushed, SttOutlet};
use super::interface::{SttEvent, SttRequest, SttUnavailable, Transcript, Word};
use super::session::deliver;
use gate::{Gate, Gated};
use grammar::{Grammar, Lexicon};
use pool::{ModelFiles, Outcome, Pool};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Where Debian installs the model.
const MODEL: &str = "/usr/share/pocketsphinx/model/en-us";
/// The language of that model.
const LANGUAGE: &str = "en-US";
/// Utterances of a call that may wait for their words; more audio waits in the input's queue.
const PENDING_MAX: usize = 8;
/// How long the call may take to take an event.
const TOLD: Duration = Duration::from_secs(5);

/// The engine: the model's words, and the threads.
pub(super) struct Sphinx {
    pool: Pool,
    /// Or why there is none.
    lexicon: Result<Lexicon, String>,
    language: String,
}

/// One transcribed call.
pub(super) struct SphinxCall {
    engine: Arc<Sphinx>,
    grammar: Arc<Grammar>,
    language: Arc<str>,
    rate: u32,
    feed: Feed,
    gate: Gate,
    pending: VecDeque<Pending>,
    id_next: u64,
}

/// An utterance whose words are awaited.
struct Pending {
    /// The place of its first sample, by the feed's count.
    from: u64,
    grammar: Arc<Grammar>,
    outcome: oneshot::Receiver<Outcome>,
}

/// One happening of a call.
enum Happening {
    Told(Option<Pushed>),
    Recognised(Outcome),
}

impl Sphinx {
    /// Reads the dictionary and starts the threads. Cost: about 50 ms.
    pub(super) fn start(spec: &SttEngineSpec) -> Self {
        let files = files(spec.model_path.as_deref().unwrap_or(Path::new(MODEL)));
        let lexicon = Lexicon::load(&files.dictionary)
            .map_err(|error| format!("{}: {error}", files.dictionary.display()));
        let language = spec.language.clone().unwrap_or_else(|| LANGUAGE.to_owned());
        Self { pool: Pool::new(files), lexicon, language }
    }

    /// A call with its phrases.
    ///
    /// # Errors
    /// [`SttUnavailable::Unsuited`].
    pub(super) fn call(
        self: &Arc<Self>,
        name: &str,
        request: &SttRequest,
    ) -> Result<SphinxCall, SttUnavailable> {
        let language = request.language.as_deref().unwrap_or(&self.language);
        if !primary(language).eq_ignore_ascii_case(primary(&self.language)) {
            let reason = format!("its model knows {}, not {language}", self.language);
            return Err(unsuited(name, &reason));
        }
        let grammar = self.grammar(&request.phrases).map_err(|reason| unsuited(name, &reason))?;
        Ok(SphinxCall {
            engine: Arc::clone(self),
            grammar,
            language: language.into(),
            rate: request.rate,
            feed: Feed::new(request.rate),
            gate: Gate::new(request.rate),
            pending: VecDeque::new(),
            id_next: 0,
        })
    }

    fn grammar(&self, phrases: &[String]) -> Result<Arc<Grammar>, String> {
        let lexicon = self.lexicon.as_ref().map_err(Clone::clone)?;
        Grammar::new(phrases, lexicon).map(Arc::new).map_err(|error| error.to_string())
    }
}

/// The files of a model: Debian's layout, in which both have the model's name, or `acoustic` and
/// `words.dict`.
fn files(root: &Path) -> ModelFiles {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let own = [root.join("acoustic"), root.join("words.dict")];
    let debian = [root.join(&*name), root.join(format!("cmudict-{name}.dict"))];
    let [acoustic, dictionary]: [PathBuf; 2] = if own[1].is_file() { own } else { debian };
    ModelFiles { acoustic, dictionary }
}

impl SphinxCall {
    /// Recognises until the call wants no more, or the library fails.
    pub(super) async fn run(mut self, mut input: SttOutlet, events: mpsc::Sender<SttEvent>) {
        let mut open = deliver(&events, SttEvent::Ready, TOLD).await;
        let mut listens = true;
        while open && (listens || !self.pending.is_empty()) {
            let told = match self.next(&mut input, listens).await {
                Happening::Told(Some(pushed)) => self.take(pushed),
                Happening::Told(None) => {
                    listens = false;
                    self.cut()
                }
                Happening::Recognised(outcome) => self.recognised(outcome),
            };
            for event in told {
                let over = matches!(event, SttEvent::Unavailable(_));
                open &= deliver(&events, event, TOLD).await && !over;
            }
        }
    }

    async fn next(&mut self, input: &mut SttOutlet, listens: bool) -> Happening {
        let room = self.pending.len() < PENDING_MAX;
        match self.pending.front_mut() {
            None => Happening::Told(input.next().await),
            Some(first) => tokio::select! {
                outcome = &mut first.outcome => {
                    let lost = |_| Err("the recogniser's thread is gone".to_owned());
                    Happening::Recognised(outcome.unwrap_or_else(lost))
                }
                told = input.next(), if listens && room => Happening::Told(told),
            },
        }
    }

    fn take(&mut self, pushed: Pushed) -> Vec<SttEvent> {
        match pushed {
            Pushed::Audio { position, samples } => {
                let mut found = Vec::new();
                self.feed.take(position, &samples);
                while let Some(frame) = self.feed.frame(1) {
                    self.gate.take(&frame, &mut found);
                }
                found.into_iter().map(|gated| self.heed(gated)).collect()
            }
            Pushed::Finalise => self.cut(),
            Pushed::Phrases(phrases) => match self.engine.grammar(&phrases) {
                Ok(grammar) => {
                    self.grammar = grammar;
                    Vec::new()
                }
                Err(reason) => vec![SttEvent::Unavailable(reason)],
            },
        }
    }

    fn cut(&mut self) -> Vec<SttEvent> {
        let ended = self.gate.end();
        ended.into_iter().map(|gated| self.heed(gated)).collect()
    }

    fn heed(&mut self, gated: Gated) -> SttEvent {
        match gated {
            Gated::Started(at) => SttEvent::SpeechStarted(self.feed.position(at)),
            Gated::Ended { end, from, samples } => {
                if !samples.is_empty() {
                    let grammar = Arc::clone(&self.grammar);
                    let outcome = self.engine.pool.recognise(samples, self.rate, grammar.clone());
                    self.pending.push_back(Pending { from, grammar, outcome });
                }
                SttEvent::SpeechEnded(self.feed.position(end))
            }
        }
    }

    fn recognised(&mut self, outcome: Outcome) -> Vec<SttEvent> {
        let Some(utterance) = self.pending.pop_front() else { return Vec::new() };
        let spoken = match outcome {
            Ok(spoken) => spoken,
            Err(reason) => return vec![SttEvent::Unavailable(reason)],
        };
        let said: Vec<&str> = spoken.iter().map(|word| word.word.as_str()).collect();
        // A part of a phrase is what is left when the rest was not heard.
        let Some(phrase) = utterance.grammar.phrase(&said.join(" ")) else { return Vec::new() };
        let place = |at: u64| self.feed.position(utterance.from + at);
        let word = |word: &ffi::Spoken| Word {
            text: word.word.clone(),
            start: place(word.start),
            end: place(word.end),
            confidence: None,
        };
        let words: Vec<Word> = spoken.iter().map(word).collect();
        let end = words.last().map_or(1, |word| word.end.max(1));
        let transcript = Transcript {
            id: self.id_next,
            text: phrase.into(),
            is_final: true,
            start: words.first().map_or(0, |word| word.start).min(end - 1),
            end,
            confidence: None,
            language: Some(Arc::clone(&self.language)),
            constrained: true,
            words: words.into(),
        };
        self.id_next += 1;
        vec![SttEvent::Transcript(transcript)]
    }
}

#[cfg(test)]
mod tests;
