//! The conversation of one call: what the turn core decides, carried out.
//!
//! Owns the turn core, the voice, the brain's queue, the hands and the notes. Everything comes
//! in with its time; nothing here waits. Does not poll: `leg` does.

use super::hands::{Act, Answer, Hands};
use super::interface::{BrainInput, BrainOutput, ToolCall};
use super::notes::Notes;
use super::tools::Toolbox;
use super::voice::{Voice, VoiceSpec};
use crate::app::Report;
use crate::app::hearing::answerer;
use crate::app::line::Line;
use crate::call::outcome::Outcome;
use crate::call::record::AnswererView;
use crate::media::interface::Event;
use crate::net::http::HttpClient;
use crate::observe::event;
use crate::speech::stt::SttEvent;
use crate::speech::tts::{SpeechPiece, Tts};
use crate::turn::TurnCore;
use crate::turn::interface::{Answerer, Closing, Input, Output, TurnId, TurnSpec, VoicemailPolicy};
use crate::turn::machine::{AnsweredBy, Verdict};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;

/// Reports that may wait for the call; beyond, those that nothing depends on are dropped.
const REPORTS_MAX: usize = 256;

/// What a conversation is made of.
pub(super) struct Setup {
    pub(super) turn: TurnSpec,
    pub(super) tools: Toolbox,
    pub(super) voice: String,
    pub(super) failure_voice: String,
    pub(super) sample_rate: u32,
    pub(super) call_id: String,
    pub(super) schema_given: bool,
    pub(super) prices: (f64, f64),
    pub(super) max_cost: Option<f64>,
    pub(super) brain: mpsc::Sender<BrainInput>,
    pub(super) tts: Tts,
    pub(super) http: HttpClient,
}

/// The conversation of one call.
pub(super) struct Conversation {
    core: TurnCore,
    voice: Voice,
    hands: Hands,
    notes: Notes,
    brain: mpsc::Sender<BrainInput>,
    call_id: String,
    schema_given: bool,
    prices: (f64, f64),
    max_cost: Option<f64>,
    deadline: Option<Duration>,
    /// The turn that may not be the real one.
    speculative: Option<TurnId>,
    reports: VecDeque<Report>,
    /// The last transcript came from a phrase list.
    constrained: bool,
    /// When the agent was done.
    closed: Option<Duration>,
    /// The voice ended: a word more and the brain is not asked again.
    brain_lost: bool,
}

impl Conversation {
    pub(super) fn new(setup: Setup) -> Self {
        let failure = (setup.turn.failure.clone(), setup.failure_voice);
        let spec = VoiceSpec { voice: setup.voice, failure, sample_rate: setup.sample_rate };
        let mut voice = Voice::new(spec, setup.tts);
        // What is surely said first is made while the phone still rings.
        for text in [&setup.turn.disclosure, &setup.turn.greeting].into_iter().flatten() {
            voice.prepare(text);
        }
        Self {
            core: TurnCore::new(setup.turn),
            voice,
            hands: Hands::new(setup.tools, setup.call_id.clone(), setup.http),
            notes: Notes::default(),
            brain: setup.brain,
            call_id: setup.call_id,
            schema_given: setup.schema_given,
            prices: setup.prices,
            max_cost: setup.max_cost,
            deadline: None,
            speculative: None,
            reports: VecDeque::new(),
            constrained: false,
            closed: None,
            brain_lost: false,
        }
    }

    /// Lets sound flow.
    pub(super) fn start(&mut self) {
        self.voice.start();
    }

    /// Something happened: everything that follows from it is done.
    pub(super) fn feed(&mut self, now: Duration, input: Input) {
        self.handle(now, input);
        self.settle(now);
    }

    fn handle(&mut self, now: Duration, input: Input) {
        // What a call can be replayed from; holds what was said, so it is off unless asked for.
        tracing::trace!(call_id = %self.call_id, ?now, ?input, "turn input");
        if let Input::Answerer(answerer) = input {
            self.report(Report::Answered(Box::new(answered_by(answerer))));
        }
        self.core.handle(now, input);
    }

    /// Carries out what the core wants, and tells it what became of it, until both are quiet.
    fn settle(&mut self, now: Duration) {
        loop {
            loop {
                match self.core.poll_output() {
                    Output::Timeout(at, _) => {
                        self.deadline = at;
                        break;
                    }
                    output => self.obey(now, output),
                }
            }
            let Some(input) = self.voice.next_input() else { return };
            if let Input::SynthesisFailed { detail, .. } = &input {
                self.notes.trouble(detail);
                tracing::warn!(call_id = %self.call_id, detail, "speech failed");
            }
            self.handle(now, input);
        }
    }

    fn obey(&mut self, now: Duration, output: Output) {
        tracing::trace!(call_id = %self.call_id, ?now, ?output, "turn output");
        match output {
            Output::Ask { turn, prompt, speculative } => {
                self.speculative = speculative.then_some(turn).or(self.speculative);
                self.tell_brain(turn, BrainInput::Ask { turn, prompt, speculative });
            }
            Output::Confirm(turn) => {
                self.speculative = self.speculative.filter(|of| *of != turn);
                self.tell_brain(turn, BrainInput::Confirm(turn));
                for call in self.hands.release(turn) {
                    self.run_tool(now, turn, &call);
                }
            }
            Output::Abandon(turn) => {
                self.speculative = self.speculative.filter(|of| *of != turn);
                self.hands.abandon(turn);
                self.tell_brain(turn, BrainInput::Abandon(turn));
            }
            Output::Speak { utterance, text, .. } => self.voice.speak(utterance, text),
            Output::Duck => self.voice.duck(),
            Output::Restore => self.voice.restore(),
            Output::Cut => self.voice.cut(),
            Output::Line(line) => {
                let said = self.notes.line(&line, self.constrained);
                self.report(Report::Said(Box::new(said)));
                self.tell_brain(line.turn, BrainInput::Line(line));
            }
            Output::Times(turn, times) => {
                let latency = self.notes.times(turn, &times);
                event::agent_latency(&self.call_id, &latency);
            }
            Output::Interrupted { heard, .. } => {
                self.notes.interrupted();
                self.report(Report::Interrupted { heard });
            }
            Output::State(state) => self.report(Report::Turn(state)),
            Output::Close(closing) => {
                self.closed.get_or_insert(now);
                let reason = self.notes.close(closing);
                let detail = self.notes.closing_detail();
                self.report(Report::Ended { reason, detail });
            }
            Output::Timeout(..) => {}
        }
    }

    /// Tells the brain; one that does not listen has failed.
    fn tell_brain(&mut self, turn: TurnId, input: BrainInput) {
        let asks = matches!(input, BrainInput::Ask { .. });
        if self.brain.try_send(input).is_ok() || !asks || self.brain_lost {
            return;
        }
        self.brain_lost = true;
        let detail = "the brain does not listen".to_owned();
        self.notes.trouble(&detail);
        // Taken up by the settling that we are in.
        self.voice.tell(Input::Failed { turn, detail, fatal: true });
    }

    /// The brain says something.
    pub(super) fn on_brain(&mut self, now: Duration, output: BrainOutput) {
        self.notes.brain(&output);
        match output {
            BrainOutput::Token(turn) => self.feed(now, Input::Token(turn)),
            BrainOutput::Say { turn, text, interruptible } => {
                self.feed(now, Input::Say { turn, text, interruptible });
            }
            BrainOutput::Expect(turn, expect) => self.feed(now, Input::Expect(turn, expect)),
            BrainOutput::Done(turn) => self.feed(now, Input::Done(turn)),
            BrainOutput::Failed { turn, detail, fatal } => {
                tracing::warn!(call_id = %self.call_id, detail, fatal, "brain failed");
                self.feed(now, Input::Failed { turn, detail, fatal });
            }
            BrainOutput::Tool(turn, call) => self.on_tool(now, turn, call),
            BrainOutput::Usage { .. } => {
                let cost = self.notes.cost(self.prices.0, self.prices.1);
                if self.max_cost.is_some_and(|max| cost > max) {
                    self.feed(now, Input::Close(Closing::MaxCost));
                }
            }
            BrainOutput::Summary(_) => {}
        }
    }

    /// The brain's task ended of its own accord.
    pub(super) fn brain_gone(&mut self, now: Duration) {
        let detail = "the brain is gone".to_owned();
        self.notes.trouble(&detail);
        self.brain_lost = true;
        self.feed(now, Input::Close(Closing::Failed(detail)));
    }

    fn on_tool(&mut self, now: Duration, turn: TurnId, call: ToolCall) {
        if self.speculative == Some(turn) {
            if let Some(answer) = self.hands.hold(turn, call) {
                self.on_answer(answer);
            }
            return;
        }
        self.run_tool(now, turn, &call);
    }

    fn run_tool(&mut self, now: Duration, turn: TurnId, call: &ToolCall) {
        let answer = match self.hands.act(turn, call) {
            Act::Later => return,
            Act::Answer(answer) => answer,
            Act::Record(result, answer) => {
                self.notes.record(result);
                answer
            }
            Act::Expect(turn, expect, answer) => {
                self.feed(now, Input::Expect(turn, expect));
                answer
            }
            Act::Leave(turn, text, answer) => {
                self.feed(now, Input::Say { turn, text, interruptible: false });
                self.feed(now, Input::Close(Closing::VoicemailLeft));
                answer
            }
            Act::Transfer(target) => return self.report(Report::TransferWanted { target }),
            Act::Close(closing, answer) => {
                self.feed(now, Input::Close(closing));
                answer
            }
        };
        self.on_answer(answer);
    }

    /// A transfer is over.
    pub(super) fn transferred(&mut self, result: Result<(), String>) {
        let Some((took, answer)) = self.hands.transferred(result) else { return };
        if let Some(target) = took {
            self.notes.close(Closing::Transfer(target));
        }
        self.on_answer(answer);
    }

    /// An errand is done.
    pub(super) fn on_answer(&mut self, answer: Answer) {
        let Answer { turn, id, result } = answer;
        self.tell_brain(turn, BrainInput::ToolResult { turn, id, result });
    }

    /// What is done for the brain.
    pub(super) fn hands(&mut self) -> &mut Hands {
        &mut self.hands
    }

    /// The leg has sent digits, or could not.
    pub(super) fn dialled(&mut self, sent: bool) {
        if let Some(answer) = self.hands.dialled(sent) {
            self.on_answer(answer);
        }
    }

    /// A piece of speech came.
    pub(super) fn on_piece(&mut self, now: Duration, piece: Option<Result<SpeechPiece, String>>) {
        self.voice.on_piece(piece);
        self.settle(now);
    }

    /// The leg says something about playout.
    pub(super) fn on_leg_event(&mut self, now: Duration, event: &Event) {
        self.voice.on_leg_event(event);
        self.settle(now);
    }

    /// Moves sound and orders to the leg.
    pub(super) fn pump(&mut self, now: Duration, line: &mut Line) {
        self.voice.pump(line);
        self.settle(now);
        // What the settling said goes out now, not with the next wake-up.
        self.voice.pump(line);
    }

    /// Tells what must have been reached, should an event have been lost.
    pub(super) fn catch_up(&mut self, now: Duration, sent: u64) {
        self.voice.catch_up(sent);
        self.settle(now);
    }

    /// What the task waits for on our behalf.
    pub(super) fn waits(&mut self) -> (&mut Voice, &mut Hands) {
        (&mut self.voice, &mut self.hands)
    }

    /// When the core has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether the leg must be asked again soon.
    pub(super) fn has_work(&self) -> bool {
        self.voice.has_work() || self.hands.has_digits()
    }

    /// Whether reports wait.
    pub(super) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Whether an engine writes the caller's words down, or why not.
    pub(super) fn transcribing(&mut self, engine: Result<String, String>) {
        if engine.is_err() {
            self.handle(Duration::ZERO, Input::TranscriptionLost);
        }
        self.report(Report::Transcribing(engine));
    }

    /// The transcriber says something that the record must know.
    pub(super) fn transcriber(&mut self, event: &SttEvent) {
        match event {
            SttEvent::Transcript(said) => self.constrained = said.constrained,
            SttEvent::Unavailable(reason) => {
                self.report(Report::Transcribing(Err(reason.clone())));
            }
            SttEvent::Reconnecting(reason) => {
                tracing::warn!(call_id = %self.call_id, reason, "transcriber lost");
            }
            SttEvent::SpeechStarted(_)
            | SttEvent::SpeechEnded(_)
            | SttEvent::TurnEnd { .. }
            | SttEvent::Ready => {}
        }
    }

    /// Queues a report for the call.
    pub(super) fn report(&mut self, report: Report) {
        let expendable = matches!(
            report,
            Report::Dtmf { .. } | Report::Flowing | Report::Turn(_) | Report::Interrupted { .. }
        );
        if self.reports.len() < REPORTS_MAX || !expendable {
            self.reports.push_back(report);
        }
    }

    /// The next report for the call.
    pub(super) fn next_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Puts a report back that the call could not take yet.
    pub(super) fn keep_report(&mut self, report: Report) {
        self.reports.push_front(report);
    }

    /// The call is over after `sent` samples: what was heard is settled.
    pub(super) fn halt(&mut self, now: Duration, sent: u64) {
        self.voice.halt(sent);
        self.settle(now);
    }

    /// Asks the brain for its last words.
    pub(super) fn stop_brain(&mut self) {
        let _ = self.brain.try_send(BrainInput::Stop);
    }

    /// Takes in what the brain says after the call.
    pub(super) fn last_word(&mut self, output: &BrainOutput) {
        match output {
            BrainOutput::Usage { .. } | BrainOutput::Summary(_) => self.notes.brain(output),
            BrainOutput::Tool(_, call) if call.name == "record_result" => {
                if let Some(result) = self.hands.result_of(call) {
                    self.notes.record(result);
                }
            }
            BrainOutput::Token(_)
            | BrainOutput::Say { .. }
            | BrainOutput::Expect(..)
            | BrainOutput::Tool(..)
            | BrainOutput::Done(_)
            | BrainOutput::Failed { .. } => {}
        }
    }

    /// When the agent was done, if it was.
    pub(super) fn lasted(&self) -> Option<Duration> {
        self.closed
    }

    /// The reports that nobody took yet, and the outcome. `reason` is the name of the call's end.
    pub(super) fn into_outcome(
        self,
        reason: &str,
        duration: Duration,
    ) -> (VecDeque<Report>, Outcome) {
        (self.reports, self.notes.outcome(reason, duration, self.schema_given))
    }
}

/// The policy of a word in a request or the configuration.
#[must_use]
pub fn voicemail_policy(word: &str) -> VoicemailPolicy {
    match word {
        "hangup" => VoicemailPolicy::Hangup,
        "message" => VoicemailPolicy::Message,
        _ => VoicemailPolicy::Continue,
    }
}

/// Who answered, as the call object has it.
fn answered_by(heard: Answerer) -> AnswererView {
    let (by, confidence, reason) = match heard {
        Answerer::Person => (AnsweredBy::Human, 0.75, "a short greeting, then silence"),
        Answerer::Machine => (AnsweredBy::Machine, 0.85, "a long greeting, or a mailbox's words"),
        Answerer::Beep => (AnsweredBy::Machine, 0.95, "a beep"),
    };
    answerer(&Verdict { by, confidence, reason })
}
