//! The task of a call that a speech-to-speech brain conducts: sound to it, sound from it, and the
//! truth about what was heard.
//!
//! ```text
//!  capture ring ─> LiveInput::Audio ─> brain ─> LiveOutput::Audio ─> PlayoutQueue ─> ring
//!  brain hears the caller begin ─> clear ─> Cleared{played} ─> Truncate{audio_end_ms}
//! ```
//!
//! The brain takes the turns; the leg owns playout, the ledger of what left, tools, limits and
//! notes. An item of the brain is an utterance of the queue, so that a truncation says, to the
//! packet, what the caller heard.

use super::hands::{Act, Answer, Hands};
use super::interface::{BrainContext, STOP_WITHIN};
use super::leg::{AgentParts, next, notified};
use super::live::{self, LiveHandle, LiveInput, LiveOutput, LiveSpec};
use super::notes::Notes;
use super::tools::Toolbox;
use crate::app::line::{Ears, Line, split};
use crate::app::playout::{Fact, PlayoutQueue};
use crate::app::{Control, Report};
use crate::media::interface::{Command, Event};
use crate::observe::event;
use crate::speech::tts::{SpeakRequest, Speech, SpeechPiece};
use crate::turn::interface::{Closing, Speaker, State, TurnId, TurnSpec, TurnTimes, UtteranceId};
use crate::turn::ledger::Ledger;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

/// When to try again to hand over what was refused.
const RETRY: Duration = Duration::from_millis(20);
/// How often it is looked for events that were lost, and at limits.
const LOOK: Duration = Duration::from_secs(1);
/// How much of the brain's sound may be queued; more is dropped and told.
const BUFFER_MS: u32 = 120_000;
/// Items that are remembered until they have been played.
const ITEMS_MAX: usize = 64;
/// Reports that may wait for the call.
const REPORTS_MAX: usize = 256;

/// What a live call is made of.
pub struct LiveAgentSpec {
    /// What the brain knows.
    pub context: BrainContext,
    /// The server.
    pub live: LiveSpec,
    /// The limits and fixed sentences of the agent; the brain takes the turns.
    pub turn: TurnSpec,
    /// What it may do.
    pub tools: Toolbox,
    /// The built-in voice of the fixed sentences.
    pub failure_voice: String,
    /// The leg's rate in Hz.
    pub sample_rate: u32,
    /// Price of a million tokens read and written.
    pub prices: (f64, f64),
    /// Most that the brain may cost.
    pub max_cost: Option<f64>,
}

/// Conducts one call; ends after [`Control::Stop`] or with its queue.
pub async fn run(
    spec: LiveAgentSpec,
    parts: AgentParts,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
) {
    LiveLeg::new(spec, parts, control, reports).run().await;
}

/// One item of the brain on its way to the caller.
struct Item {
    name: String,
    id: UtteranceId,
    /// Samples that were accepted.
    received: u64,
    started: Option<Duration>,
    /// No more sound of it comes.
    done: bool,
}

enum Wake {
    Control(Option<Control>),
    Leg(Option<Event>),
    Ready,
    Live(Option<LiveOutput>),
    Piece(Option<Result<SpeechPiece, String>>),
    Answer(Answer),
    Clock,
}

struct LiveLeg {
    spec: LiveAgentSpec,
    parts: AgentParts,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
    live: Option<LiveHandle>,
    leg: Option<(Line, Ears)>,
    started: Option<Instant>,
    queue: PlayoutQueue,
    ledger: Ledger,
    items: VecDeque<Item>,
    next_item: u64,
    ticket: u64,
    /// A fixed sentence that is being made; the brain is connected behind the disclosure.
    speech: Option<Speech>,
    notes: Notes,
    hands: Option<Hands>,
    turn: u64,
    times: TurnTimes,
    caller_since: Option<Duration>,
    closing: Option<Closing>,
    closed: bool,
    lasted: Option<Duration>,
    orders: Vec<Command>,
    waiting: VecDeque<Report>,
    samples: Vec<i16>,
    looked: Instant,
}

impl LiveLeg {
    fn new(
        spec: LiveAgentSpec,
        parts: AgentParts,
        control: mpsc::Receiver<Control>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let hands =
            Hands::new(spec.tools.clone(), spec.context.call_id.clone(), parts.http.clone());
        Self {
            queue: PlayoutQueue::new(spec.sample_rate, BUFFER_MS),
            ledger: Ledger::new(spec.turn.network_delay),
            parts,
            control,
            reports,
            live: None,
            leg: None,
            started: None,
            items: VecDeque::new(),
            next_item: 0,
            ticket: 0,
            speech: None,
            notes: Notes::default(),
            hands: Some(hands),
            turn: 0,
            times: TurnTimes::default(),
            caller_since: None,
            closing: None,
            closed: false,
            lasted: None,
            orders: Vec::new(),
            waiting: VecDeque::new(),
            samples: Vec::new(),
            looked: Instant::now(),
            spec,
        }
    }

    async fn run(mut self) {
        loop {
            match self.wake().await {
                Wake::Control(None) => return,
                Wake::Control(Some(Control::Stop { reason, .. })) => {
                    return self.finish(reason).await;
                }
                Wake::Control(Some(control)) => self.on_control(control),
                Wake::Leg(event) => self.on_leg(event),
                Wake::Ready => self.listen(),
                Wake::Live(output) => self.on_live(output),
                Wake::Piece(piece) => self.on_piece(piece),
                Wake::Answer(answer) => self.answer(answer),
                Wake::Clock => self.on_time(),
            }
            self.pump();
            while let Some(report) = self.waiting.pop_front() {
                match self.reports.try_send(report) {
                    Ok(()) | Err(TrySendError::Closed(_)) => {}
                    Err(TrySendError::Full(report)) => {
                        self.waiting.push_front(report);
                        break;
                    }
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    async fn wake(&mut self) -> Wake {
        let refused = !self.orders.is_empty() || !self.waiting.is_empty();
        let nap = if refused || self.queue.has_commands() { RETRY } else { LOOK };
        let mut leg = self.leg.as_mut().map(|(_, ears)| ears);
        let ready = leg.as_ref().map(|ears| ears.ready.clone());
        let events = leg.as_mut().map(|ears| &mut ears.events);
        let live = self.live.as_mut().map(|live| &mut live.outputs);
        let (speech, hands) = (self.speech.as_mut(), self.hands.as_mut());
        tokio::select! {
            biased;
            event = next(events) => Wake::Leg(event),
            control = self.control.recv() => Wake::Control(control),
            () = notified(ready) => Wake::Ready,
            output = next(live) => Wake::Live(output),
            piece = next_piece(speech) => Wake::Piece(piece),
            answer = next_answer(hands) => Wake::Answer(answer),
            () = tokio::time::sleep(nap) => Wake::Clock,
        }
    }

    fn on_control(&mut self, control: Control) {
        match control {
            Control::Leg(leg) => {
                self.leg = Some(split(*leg));
                self.orders.push(Command::Listen(true));
            }
            Control::Start => self.start(),
            Control::Dtmf { digit, .. } => self.on_digit(digit),
            Control::SendDtmf(digits) => {
                if let Some(hands) = &mut self.hands {
                    hands.dial(&digits);
                }
            }
            Control::CallEvent { .. } | Control::Tell(_) | Control::Stop { .. } => {}
        }
    }

    fn start(&mut self) {
        if self.started.is_some() {
            return;
        }
        self.started = Some(Instant::now());
        self.queue.start();
        let engine = if self.spec.live.transcription.is_some() {
            Ok(self.spec.live.model.clone())
        } else {
            Err("the brain writes nothing down".to_owned())
        };
        self.report(Report::Transcribing(engine));
        let fixed = [self.spec.turn.disclosure.clone(), self.spec.turn.greeting.clone()];
        let fixed: Vec<String> = fixed.into_iter().flatten().collect();
        if fixed.is_empty() {
            self.connect();
        } else {
            self.speak(&fixed.join(" "));
        }
    }

    /// Says a sentence that must be exact, in the built-in voice.
    fn speak(&mut self, text: &str) {
        let voice = self.spec.failure_voice.clone();
        let request = SpeakRequest { live: true, ..SpeakRequest::new(&voice, text) };
        match self.parts.tts.speak(request) {
            Ok(speech) => {
                self.open(String::new());
                let id = UtteranceId(self.next_item);
                self.ledger.text(id, text);
                self.speech = Some(speech);
            }
            Err(error) => {
                self.notes.trouble(&error.to_string());
                self.connect();
            }
        }
    }

    fn on_piece(&mut self, piece: Option<Result<SpeechPiece, String>>) {
        match piece {
            Some(Ok(piece)) => {
                self.play(&piece.samples);
                self.ledger_length(false, &piece.words);
            }
            Some(Err(detail)) => {
                self.notes.trouble(&detail);
                self.speech_done();
            }
            None => self.speech_done(),
        }
    }

    fn speech_done(&mut self) {
        self.speech = None;
        self.ledger_length(true, &[]);
        self.queue.close();
        if let Some(item) = self.items.back_mut() {
            item.done = true;
        }
        if self.closing.is_none() {
            self.connect();
        }
    }

    fn connect(&mut self) {
        if self.live.is_none() && self.closing.is_none() {
            let handle = live::spawn(self.spec.live.clone(), self.spec.context.clone());
            self.live = Some(handle);
            self.turn = 1;
            self.times = TurnTimes { turn_ended: Some(self.now()), ..TurnTimes::default() };
        }
    }

    fn on_leg(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Dtmf { digit, duration_ms, .. }) => {
                self.report(Report::Dtmf { digit, duration_ms });
                self.on_digit(digit);
            }
            Some(Event::DtmfDone { sent }) => {
                let answer = self.hands.as_mut().and_then(|hands| hands.dialled(sent));
                if let Some(answer) = answer {
                    self.answer(answer);
                }
            }
            Some(Event::Flowing { .. }) => self.report(Report::Flowing),
            Some(Event::Quiet { .. }) => self.report(Report::Quiet),
            Some(event) => self.queue.handle(&event),
            None => {
                self.leg = None;
                let detail = "the media leg is gone".to_owned();
                self.report(Report::Failed { detail });
            }
        }
    }

    fn on_digit(&mut self, digit: u8) {
        let digits = char::from(digit).to_string();
        self.tell(LiveInput::Digits(digits));
    }

    /// The caller's sound goes to the brain as it comes; a full queue loses it, not the beat.
    fn listen(&mut self) {
        let Some((line, _)) = &mut self.leg else { return };
        loop {
            self.samples.clear();
            let Some(header) = line.capture.pop(&mut self.samples) else { return };
            if let Some(live) = self.live.as_ref().filter(|_| self.started.is_some()) {
                let samples = self.samples.clone();
                let _ =
                    live.inputs.try_send(LiveInput::Audio { position: header.position, samples });
            }
        }
    }

    fn on_live(&mut self, output: Option<LiveOutput>) {
        let now = self.now();
        match output {
            Some(LiveOutput::Audio { item, samples }) => self.on_audio(&item, &samples),
            Some(LiveOutput::ItemDone { item }) => {
                let last = self.items.iter_mut().find(|known| known.name == item);
                if let Some(known) = last {
                    known.done = true;
                    self.ledger_length(true, &[]);
                    self.queue.close();
                }
            }
            Some(LiveOutput::SpeechStarted { .. }) => {
                self.caller_since = Some(now);
                self.report(Report::Turn(State::CallerSpeaking));
                self.interrupt();
            }
            Some(LiveOutput::SpeechStopped { .. }) => {
                self.turn += 1;
                let times = TurnTimes { speech_ended: Some(now), ..TurnTimes::default() };
                self.times = TurnTimes { turn_ended: Some(now), ..times };
                self.report(Report::Turn(State::Thinking));
            }
            Some(LiveOutput::CallerText { text, is_final: true }) => self.on_caller(text),
            Some(LiveOutput::AgentText { item, text, .. }) => self.on_agent_text(&item, &text),
            Some(LiveOutput::Tool(call)) => self.on_tool(&call),
            Some(LiveOutput::Usage { input, output, .. }) => self.on_usage(input, output),
            Some(LiveOutput::Failed { detail, fatal }) => self.on_failed(&detail, fatal),
            Some(LiveOutput::Ready | LiveOutput::TurnDone | LiveOutput::CallerText { .. }) => {}
            None => {
                self.live = None;
                self.on_failed("the brain is gone", true);
            }
        }
    }

    fn on_audio(&mut self, item: &str, samples: &[i16]) {
        if self.closing.is_some() {
            return;
        }
        if self.items.back().is_none_or(|last| last.name != item || last.done) {
            // Sound of an item that was cut is of no more use.
            if self.items.iter().any(|known| known.name == item) {
                return;
            }
            self.open(item.to_owned());
            let now = self.now();
            self.times.first_sentence.get_or_insert(now);
            self.times.first_token.get_or_insert(now);
            self.times.first_audio.get_or_insert(now);
        }
        self.play(samples);
        self.ledger_length(false, &[]);
    }

    /// Begins an utterance for an item.
    fn open(&mut self, name: String) {
        self.next_item += 1;
        let id = UtteranceId(self.next_item);
        let _ = self.queue.open(Some(id.0.to_string().into()));
        if self.items.len() >= ITEMS_MAX {
            self.items.pop_front();
        }
        self.items.push_back(Item { name, id, received: 0, started: None, done: false });
        self.ledger.text(id, "");
    }

    fn play(&mut self, samples: &[i16]) {
        let accepted = self.queue.push(samples);
        if accepted < samples.len() {
            self.notes.trouble("the brain spoke further ahead than can be kept");
        }
        if let Some(item) = self.items.back_mut() {
            item.received += accepted as u64;
        }
    }

    fn ledger_length(&mut self, complete: bool, words: &[crate::turn::interface::WordTime]) {
        let rate = self.spec.sample_rate;
        if let Some(item) = self.items.back() {
            let length = duration(item.received, rate);
            self.ledger.synthesised(item.id, length, complete, words);
        }
    }

    fn on_agent_text(&mut self, item: &str, text: &str) {
        let Some(id) = self.items.iter().find(|known| known.name == item).map(|known| known.id)
        else {
            return;
        };
        // The ledger grows a text; what is there already is a prefix of what comes.
        let known = self.ledger.full(id).len();
        if let Some(more) = text.get(known..) {
            self.ledger.text(id, more);
        }
    }

    fn on_caller(&mut self, text: String) {
        let now = self.now();
        self.times.transcript.get_or_insert(now);
        let started = self.caller_since.take().unwrap_or(now);
        let ended = self.times.speech_ended.unwrap_or(now).max(started);
        self.line(Speaker::Caller, text, started, ended, false);
    }

    /// The caller begins: what has not left will not.
    fn interrupt(&mut self) {
        if self.queue.queued() == 0 || !self.spec.turn.interruptible || self.closing.is_some() {
            return;
        }
        // A fixed sentence is said to its end.
        if self.speech.is_some() || self.items.front().is_some_and(|item| item.name.is_empty()) {
            return;
        }
        for item in &mut self.items {
            item.done = true;
        }
        self.ticket += 1;
        let _ = self.queue.clear(self.ticket);
    }

    fn on_tool(&mut self, call: &super::interface::ToolCall) {
        let Some(hands) = &mut self.hands else { return };
        let answer = match hands.act(TurnId(self.turn), call) {
            Act::Later => return,
            Act::Answer(answer) => answer,
            Act::Record(result, answer) => {
                self.notes.record(result);
                answer
            }
            // The brain hears keys as they are pressed.
            Act::Expect(_, _, answer) => answer,
            Act::Leave(_, text, answer) => {
                self.close(Closing::VoicemailLeft);
                self.speak(&text);
                answer
            }
            Act::Close(closing, answer) => {
                self.close(closing);
                answer
            }
        };
        self.answer(answer);
    }

    fn answer(&mut self, answer: Answer) {
        self.tell(LiveInput::ToolResult { id: answer.id, result: answer.result });
    }

    fn on_usage(&mut self, input: u64, output: u64) {
        self.notes.usage(input, output);
        let cost = self.notes.cost(self.spec.prices.0, self.spec.prices.1);
        if self.spec.max_cost.is_some_and(|max| cost > max) {
            self.close(Closing::MaxCost);
        }
    }

    fn on_failed(&mut self, detail: &str, fatal: bool) {
        self.notes.trouble(detail);
        tracing::warn!(call_id = %self.spec.context.call_id, detail, fatal, "brain failed");
        if fatal && self.closing.is_none() {
            self.close(Closing::Failed(detail.to_owned()));
            let sentence = self.spec.turn.failure.clone();
            self.speak(&sentence);
        }
    }

    /// Ends the call when what is queued has left.
    fn close(&mut self, closing: Closing) {
        if self.closing.is_none() {
            self.closing = Some(closing);
            self.report(Report::Turn(State::Closing));
        }
    }

    fn on_time(&mut self) {
        let now = self.now();
        if self.started.is_none() || self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        if let Some((line, _)) = &self.leg
            && self.queue.is_waiting()
        {
            self.queue.catch_up(line.port.sent_samples());
        }
        if now >= self.spec.turn.max_duration {
            self.close(Closing::MaxDuration);
        }
    }

    fn pump(&mut self) {
        if let Some((line, _)) = &mut self.leg {
            self.orders.extend(self.hands.as_mut().and_then(Hands::take_dial));
            self.queue.pump(&mut line.playout);
            let port = &line.port;
            while let Some(order) = self.orders.first()
                && port.send(*order)
            {
                self.orders.remove(0);
            }
            self.queue.send_commands(|command| port.send(command));
        }
        while let Some(fact) = self.queue.next_fact() {
            self.on_fact(fact);
        }
        if let Some(closing) = self.closing.clone()
            && !self.closed
            && self.speech.is_none()
            && self.queue.queued() == 0
            && !self.queue.is_waiting()
        {
            self.closed = true;
            self.lasted = Some(self.now());
            let reason = self.notes.close(closing);
            let detail = self.notes.closing_detail();
            self.report(Report::Ended { reason, detail });
        }
    }

    fn on_fact(&mut self, fact: Fact) {
        let now = self.now();
        match fact {
            Fact::Started { utterance } => self.on_started(utterance.as_deref(), now),
            Fact::Completed { utterance, .. } => self.settle(utterance.as_deref(), None, now),
            Fact::Cleared { utterance, played_ms, .. } => {
                self.settle(utterance.as_deref(), Some(Duration::from_millis(played_ms)), now);
            }
            Fact::Mark { .. } | Fact::Flow { .. } | Fact::ClearDone { .. } | Fact::Drained => {}
        }
    }

    fn on_started(&mut self, utterance: Option<&str>, now: Duration) {
        let fixed = self.item(utterance).is_none_or(|item| item.name.is_empty());
        if let Some(item) = self.item(utterance) {
            item.started = Some(now);
        }
        self.report(Report::Turn(State::AgentSpeaking));
        if !fixed && self.times.first_audio.is_some() && self.times.first_rtp.is_none() {
            self.times.first_rtp = Some(now);
            let latency = self.notes.times(TurnId(self.turn), &self.times);
            event::agent_latency(&self.spec.context.call_id, &latency);
        }
    }

    fn item(&mut self, utterance: Option<&str>) -> Option<&mut Item> {
        let id = utterance?.parse().ok().map(UtteranceId)?;
        self.items.iter_mut().find(|item| item.id == id)
    }

    /// An utterance has ended, or was cut after `played`.
    fn settle(&mut self, utterance: Option<&str>, cut: Option<Duration>, now: Duration) {
        let Some(item) = self.item(utterance) else { return };
        let (id, name, started, received) =
            (item.id, item.name.clone(), item.started.unwrap_or(now), item.received);
        self.items.retain(|item| item.id != id);
        let length = duration(received, self.spec.sample_rate);
        let text = match cut {
            None => self.ledger.full(id).to_owned(),
            Some(played) => {
                if !name.is_empty() {
                    let audio_end_ms = self.ledger.audio_end_ms(id, played, length);
                    self.tell(LiveInput::Truncate { item: name, audio_end_ms });
                }
                self.ledger.heard(id, played)
            }
        };
        if cut.is_some_and(|played| played > Duration::ZERO) {
            self.notes.interrupted();
            self.report(Report::Interrupted { heard: text.clone() });
        }
        if !text.trim().is_empty() {
            self.line(Speaker::Agent, text, started, now, cut.is_some());
        }
    }

    fn line(
        &mut self,
        speaker: Speaker,
        text: String,
        started: Duration,
        ended: Duration,
        interrupted: bool,
    ) {
        let (turn, digits) = (TurnId(self.turn), String::new());
        let line = crate::turn::interface::Line {
            turn,
            speaker,
            text,
            digits,
            started,
            ended,
            interrupted,
        };
        let said = self.notes.line(&line, false);
        self.report(Report::Said(said));
    }

    fn tell(&mut self, input: LiveInput) {
        if let Some(live) = &self.live {
            // Full for 5 s: the brain is stuck, and its own time limits will say so.
            let _ = live.inputs.try_send(input);
        }
    }

    fn report(&mut self, report: Report) {
        if self.waiting.len() < REPORTS_MAX {
            self.waiting.push_back(report);
        }
    }

    async fn finish(mut self, reason: &'static str) {
        let Some(started) = self.started else { return };
        let now = started.elapsed();
        if let Some((line, _)) = &self.leg {
            self.queue.halt(line.port.sent_samples());
        }
        while let Some(fact) = self.queue.next_fact() {
            self.on_fact(fact);
        }
        self.leg = None;
        if let Some(mut live) = self.live.take() {
            let _ = live.inputs.try_send(LiveInput::Stop);
            let _ = tokio::time::timeout(STOP_WITHIN, &mut live.task).await;
            live.task.abort();
        }
        let schema_given = self.spec.context.result_schema.is_some();
        let lasted = self.lasted.unwrap_or(now);
        let outcome = self.notes.outcome(reason, lasted, schema_given);
        for report in self.waiting {
            let _ = self.reports.send(report).await;
        }
        let _ = self.reports.send(Report::Outcome(Box::new(outcome))).await;
    }
}

async fn next_piece(speech: Option<&mut Speech>) -> Option<Result<SpeechPiece, String>> {
    match speech {
        Some(speech) => speech.next().await,
        None => std::future::pending().await,
    }
}

async fn next_answer(hands: Option<&mut Hands>) -> Answer {
    match hands {
        Some(hands) => hands.next().await,
        None => std::future::pending().await,
    }
}

fn duration(samples: u64, rate: u32) -> Duration {
    Duration::from_micros(samples * 1_000_000 / u64::from(rate.max(1)))
}
