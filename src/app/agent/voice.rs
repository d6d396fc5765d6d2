//! The agent's voice: utterances in order, made ahead by one, and the truth about what was heard.
//!
//! ```text
//!  Speak ─> waiting ─> speech engine ─> pieces ─> PlayoutQueue ─> ring
//!  Input <─ Synthesis ──────────┘                      │
//!  Input <─ PlayStarted, PlayEnded, PlayCut <── facts ─┘
//! ```
//!
//! Owns what is being synthesised and the playout queue of the call; one utterance follows the
//! other, so two never sound at once. Does not decide what is said or when to stop.

use crate::app::line::Line;
use crate::app::playout::{Fact, PlayoutQueue};
use crate::media::interface::Command;
use crate::speech::tts::{SpeakRequest, Speech, SpeechPiece, Tts};
use crate::turn::interface::{Input, UtteranceId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Utterances that may wait; a brain that says more at once is talking to itself.
const WAITING_MAX: usize = 256;
/// How many of them are with the engine: the one that is being made and the next.
const AHEAD: usize = 2;
/// -14 dB: quiet enough to hear oneself, loud enough to hear that the agent still speaks.
const DUCKED_PERCENT: u8 = 20;
/// How fast the agent is turned down and up.
const DUCK_RAMP: Duration = Duration::from_millis(20);
const RESTORE_RAMP: Duration = Duration::from_millis(60);
/// How much may be queued for playout.
const BUFFER_MS: u32 = 60_000;

/// How the agent speaks.
#[derive(Debug, Clone)]
pub(super) struct VoiceSpec {
    /// A known voice.
    pub(super) voice: String,
    /// What is said when engines failed, and the built-in voice that says it.
    pub(super) failure: (String, String),
    /// The leg's rate in Hz.
    pub(super) sample_rate: u32,
}

/// One utterance on its way to the queue.
struct Waiting {
    id: UtteranceId,
    text: String,
    speech: Option<Speech>,
    /// Samples so far.
    made: u64,
    opened: bool,
}

/// The voice of one call.
pub(super) struct Voice {
    spec: VoiceSpec,
    tts: Tts,
    queue: PlayoutQueue,
    waiting: VecDeque<Waiting>,
    /// Speech that was begun before it was asked for: a greeting, while the phone still rings.
    prepared: Vec<(String, Speech)>,
    /// A piece of the first utterance that found no room.
    held: Option<SpeechPiece>,
    orders: VecDeque<Command>,
    /// What the turn core must be told.
    told: VecDeque<Input>,
    ticket: u64,
}

impl Voice {
    pub(super) fn new(spec: VoiceSpec, tts: Tts) -> Self {
        Self {
            queue: PlayoutQueue::new(spec.sample_rate, BUFFER_MS),
            spec,
            tts,
            waiting: VecDeque::new(),
            prepared: Vec::new(),
            held: None,
            orders: VecDeque::new(),
            told: VecDeque::new(),
            ticket: 0,
        }
    }

    /// Begins to make what will surely be said, before it is.
    pub(super) fn prepare(&mut self, text: &str) {
        if let Ok(speech) = self.tts.speak(self.request(text)) {
            self.prepared.push((text.to_owned(), speech));
        }
    }

    /// Lets sound flow.
    pub(super) fn start(&mut self) {
        self.queue.start();
    }

    /// Queues an utterance behind what is queued.
    pub(super) fn speak(&mut self, id: UtteranceId, text: String) {
        if self.waiting.len() >= WAITING_MAX {
            let detail = format!("{WAITING_MAX} sentences wait already");
            self.told.push_back(Input::SynthesisFailed { utterance: id, detail });
            return;
        }
        self.waiting.push_back(Waiting { id, text, speech: None, made: 0, opened: false });
        self.begin();
    }

    /// Turns the agent down while it is unclear whether the caller interrupts.
    pub(super) fn duck(&mut self) {
        self.orders.push_back(Command::Level { percent: DUCKED_PERCENT, ramp: DUCK_RAMP });
    }

    /// Back to full level.
    pub(super) fn restore(&mut self) {
        self.orders.push_back(Command::Level { percent: 100, ramp: RESTORE_RAMP });
    }

    /// Drops everything that has not left; each utterance is told as cut, by us or by the leg.
    pub(super) fn cut(&mut self) {
        self.held = None;
        for waiting in self.waiting.drain(..).filter(|waiting| !waiting.opened) {
            let played = Duration::ZERO;
            self.told.push_back(Input::PlayCut { utterance: waiting.id, played });
        }
        self.ticket += 1;
        // Refused only while 16 clears wait for the worker, which then cut what there is.
        let _ = self.queue.clear(self.ticket);
    }

    /// The call is over: everything left is told as cut at what was really sent.
    pub(super) fn halt(&mut self, sent: u64) {
        self.held = None;
        let unopened = self.waiting.drain(..).filter(|waiting| !waiting.opened);
        let cut = unopened.map(|one| Input::PlayCut { utterance: one.id, played: Duration::ZERO });
        self.told.extend(cut);
        self.queue.halt(sent);
        self.take_facts();
    }

    /// The next piece of the utterance that is being made; waits for ever when there is none.
    /// Cancel-safe.
    pub(super) async fn next_piece(&mut self) -> Option<Result<SpeechPiece, String>> {
        let room = self.held.is_none();
        match self.waiting.front_mut().and_then(|front| front.speech.as_mut()).filter(|_| room) {
            Some(speech) => speech.next().await,
            None => std::future::pending().await,
        }
    }

    /// Takes in what [`Self::next_piece`] brought.
    pub(super) fn on_piece(&mut self, piece: Option<Result<SpeechPiece, String>>) {
        match piece {
            Some(Ok(piece)) => self.play(piece),
            Some(Err(detail)) => {
                if let Some(front) = self.waiting.pop_front() {
                    if front.opened {
                        self.queue.close();
                    }
                    self.told.push_back(Input::SynthesisFailed { utterance: front.id, detail });
                }
                self.begin();
            }
            None => {
                if let Some(front) = self.waiting.pop_front() {
                    self.finish(&front);
                }
                self.begin();
            }
        }
    }

    /// Moves sound to the leg, hands it orders, and takes in what became of sound.
    pub(super) fn pump(&mut self, line: &mut Line) {
        if let Some(piece) = self.held.take() {
            self.play(piece);
        }
        self.queue.pump(&mut line.playout);
        let port = &line.port;
        // An order before the clear that follows it, so that a cut begins from the lowered level.
        while let Some(order) = self.orders.front()
            && port.send(*order)
        {
            self.orders.pop_front();
        }
        self.queue.send_commands(|command| port.send(command));
        self.take_facts();
    }

    /// The leg says something about playout.
    pub(super) fn on_leg_event(&mut self, event: &crate::media::interface::Event) {
        self.queue.handle(event);
        self.take_facts();
    }

    /// Tells what must have been reached, should an event have been lost.
    pub(super) fn catch_up(&mut self, sent: u64) {
        if self.queue.is_waiting() {
            self.queue.catch_up(sent);
            self.take_facts();
        }
    }

    /// Has the turn core told something with what else there is.
    pub(super) fn tell(&mut self, input: Input) {
        self.told.push_back(input);
    }

    /// The next thing that the turn core must be told.
    pub(super) fn next_input(&mut self) -> Option<Input> {
        self.told.pop_front()
    }

    /// Whether the leg has been refused something, or there is more to write than it took.
    pub(super) fn has_work(&self) -> bool {
        !self.orders.is_empty() || self.queue.has_commands()
    }

    fn request(&self, text: &str) -> SpeakRequest {
        let (failure, built_in) = &self.spec.failure;
        let voice = if text == failure { built_in } else { &self.spec.voice };
        SpeakRequest {
            voice: voice.clone(),
            text: text.to_owned(),
            ssml: false,
            speed: 1.0,
            repeat: 1,
            live: true,
        }
    }

    /// Gives the engine the first utterances that it does not have yet.
    fn begin(&mut self) {
        for index in 0..AHEAD.min(self.waiting.len()) {
            let Some(waiting) = self.waiting.get(index).filter(|one| one.speech.is_none()) else {
                continue;
            };
            let (id, text) = (waiting.id, waiting.text.clone());
            let prepared = self.prepared.iter().position(|(known, _)| *known == text);
            let speech = match prepared {
                Some(place) => Ok(self.prepared.swap_remove(place).1),
                None => self.tts.speak(self.request(&text)),
            };
            match speech {
                Ok(speech) => {
                    if let Some(waiting) = self.waiting.get_mut(index) {
                        waiting.speech = Some(speech);
                    }
                }
                Err(error) => {
                    self.waiting.remove(index);
                    let detail = error.to_string();
                    self.told.push_back(Input::SynthesisFailed { utterance: id, detail });
                    // The one behind it has moved up.
                    return self.begin();
                }
            }
        }
    }

    fn play(&mut self, piece: SpeechPiece) {
        let Some(front) = self.waiting.front_mut() else { return };
        if !front.opened {
            front.opened = true;
            let _ = self.queue.open(Some(name(front.id)));
        }
        let accepted = self.queue.push(&piece.samples);
        front.made += accepted as u64;
        let words = piece.words;
        if accepted < piece.samples.len() {
            let rest = piece.samples.get(accepted..).unwrap_or_default();
            self.held = Some(SpeechPiece { samples: Arc::from(rest), words: Vec::new() });
        }
        let length = duration(front.made, self.spec.sample_rate);
        let utterance = front.id;
        self.told.push_back(Input::Synthesis { utterance, length, complete: false, words });
        self.take_facts();
    }

    fn finish(&mut self, front: &Waiting) {
        if !front.opened {
            // Nothing to be heard in it; its end still comes after what is before it.
            let _ = self.queue.open(Some(name(front.id)));
        }
        let length = duration(front.made, self.spec.sample_rate);
        let (utterance, words) = (front.id, Vec::new());
        self.told.push_back(Input::Synthesis { utterance, length, complete: true, words });
        self.queue.close();
        self.take_facts();
    }

    fn take_facts(&mut self) {
        while let Some(fact) = self.queue.next_fact() {
            let input = match fact {
                Fact::Started { utterance } => id(utterance.as_deref()).map(Input::PlayStarted),
                Fact::Completed { utterance, .. } => id(utterance.as_deref()).map(Input::PlayEnded),
                Fact::Cleared { utterance, played_ms, .. } => {
                    id(utterance.as_deref()).map(|utterance| {
                        let played = Duration::from_millis(played_ms);
                        Input::PlayCut { utterance, played }
                    })
                }
                Fact::Mark { .. } | Fact::Flow { .. } | Fact::ClearDone { .. } | Fact::Drained => {
                    None
                }
            };
            self.told.extend(input);
        }
    }
}

fn name(utterance: UtteranceId) -> Arc<str> {
    utterance.0.to_string().into()
}

fn id(name: Option<&str>) -> Option<UtteranceId> {
    name?.parse().ok().map(UtteranceId)
}

fn duration(samples: u64, rate: u32) -> Duration {
    Duration::from_micros(samples * 1_000_000 / u64::from(rate.max(1)))
}
