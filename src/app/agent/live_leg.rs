//! The task of a call that a speech-to-speech brain conducts: sound to it, sound from it, and the
//! truth about what was heard.
//!
//! ```text
//!  capture ring ─> LiveInput::Audio ─> brain ─> LiveOutput::Audio ─> Mouth ─> playout ring
//!  brain hears the caller begin ─> cut ─> Settled{heard} ─> Truncate{audio_end_ms}
//! ```
//!
//! The brain takes the turns; the leg owns tools, limits, notes and the sentences that must be
//! exact, which the built-in voice says. Its `Mouth` owns playout and knows, to the packet, what
//! the caller heard. Does not find out who answered and does not ask again after silence.

mod ending;
mod mouth;

use self::mouth::{Mouth, Said, Sound};
use super::hands::{Act, Answer, Dial, Hands};
use super::interface::{BrainContext, ToolCall};
use super::leg::{AgentParts, next, notified};
use super::live::{self, LiveHandle, LiveInput, LiveKind, LiveOutput, LiveSpec};
use super::notes::Notes;
use super::tools::Toolbox;
use crate::app::line::{Ears, Line, split};
use crate::app::{Control, Report};
use crate::call::control::{HeardBy, Wish};
use crate::media::interface::{Command, Event};
use crate::observe::event;
use crate::speech::tts::{SpeakRequest, Speech, SpeechPiece, TtsError};
use crate::turn::interface::{Closing, Speaker, State, TurnId, TurnSpec, TurnTimes};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

/// When to try again to hand over what was refused.
const RETRY: Duration = Duration::from_millis(20);
/// How often it is looked for events that were lost, and at limits.
const LOOK: Duration = Duration::from_secs(1);
/// Reports that may wait for the call; states and cuts beyond are not told.
const REPORTS_MAX: usize = 256;
/// The brain hears keys together when none has come for this long, or after `#`.
const KEYS_PAUSE: Duration = Duration::from_millis(1500);
/// Keys that may wait for that; more are dropped.
const KEYS_MAX: usize = 64;
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
    // On the heap: it holds everything of its call.
    Box::pin(LiveLeg::new(spec, parts, control, reports).run()).await;
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

/// Connects a brain.
type Connect = Box<dyn FnMut(LiveSpec, BrainContext) -> LiveHandle + Send>;
/// Speaks a sentence.
type Voice = Box<dyn FnMut(SpeakRequest) -> Result<Speech, TtsError> + Send>;

struct LiveLeg {
    spec: LiveAgentSpec,
    connect: Connect,
    voice: Voice,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
    live: Option<LiveHandle>,
    leg: Option<(Line, Ears)>,
    started: Option<Instant>,
    mouth: Mouth,
    /// A fixed sentence that is being made; the brain is connected behind the first.
    speech: Option<Speech>,
    notes: Notes,
    hands: Hands,
    turn: u64,
    times: TurnTimes,
    state: State,
    state_since: Duration,
    caller_since: Option<Duration>,
    /// When the brain's last sound came.
    sounded: Duration,
    keys: String,
    keys_since: Duration,
    /// Why the call is ending, and since when.
    closing: Option<(Closing, Duration)>,
    /// When the agent was done.
    lasted: Option<Duration>,
    orders: Vec<Command>,
    waiting: VecDeque<Report>,
    samples: Vec<i16>,
    looked: Instant,
}

impl LiveLeg {
    fn new(
        mut spec: LiveAgentSpec,
        parts: AgentParts,
        control: mpsc::Receiver<Control>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let call_id = spec.context.call_id.clone();
        let AgentParts { tts, http, stt: _ } = parts;
        let hands = Hands::new(spec.tools.clone(), call_id, http);
        let continuous = spec.live.kind == LiveKind::GptLive;
        // Who was greeted already waits for the caller.
        spec.live.first_word &= spec.turn.greeting.is_none();
        spec.live.interruptible = spec.turn.interruptible;
        spec.live.silence = spec.turn.silence;
        Self {
            mouth: Mouth::new(spec.sample_rate, spec.turn.network_delay, continuous),
            connect: Box::new(live::spawn),
            voice: Box::new(move |request| tts.speak(request)),
            control,
            reports,
            live: None,
            leg: None,
            started: None,
            speech: None,
            notes: Notes::default(),
            hands,
            turn: 0,
            times: TurnTimes::default(),
            state: State::Idle,
            state_since: Duration::ZERO,
            caller_since: None,
            sounded: Duration::ZERO,
            keys: String::new(),
            keys_since: Duration::ZERO,
            closing: None,
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
                Wake::Clock => {}
            }
            self.on_time();
            self.pump();
            self.end_if_done();
            self.send_reports();
        }
    }

    fn now(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    async fn wake(&mut self) -> Wake {
        let nap = self.nap();
        let mut leg = self.leg.as_mut().map(|(_, ears)| ears);
        let ready = leg.as_ref().map(|ears| ears.ready.clone());
        let events = leg.as_mut().map(|ears| &mut ears.events);
        let live = self.live.as_mut().map(|live| &mut live.outputs);
        let (speech, hands) = (self.speech.as_mut(), &mut self.hands);
        tokio::select! {
            biased;
            event = next(events) => Wake::Leg(event),
            control = self.control.recv() => Wake::Control(control),
            () = notified(ready) => Wake::Ready,
            output = next(live) => Wake::Live(output),
            piece = next_piece(speech) => Wake::Piece(piece),
            answer = hands.next() => Wake::Answer(answer),
            () = tokio::time::sleep_until(nap) => Wake::Clock,
        }
    }

    /// When to look again at the latest.
    fn nap(&self) -> Instant {
        let refused = !self.orders.is_empty() || !self.waiting.is_empty();
        let closing = self.closing.is_some() && self.lasted.is_none();
        let soon = refused || closing || self.mouth.has_commands() || !self.keys.is_empty();
        let look = self.looked + LOOK;
        if soon { look.min(Instant::now() + RETRY) } else { look }
    }

    fn on_control(&mut self, control: Control) {
        match control {
            Control::Leg(leg) => self.take_leg(split(*leg)),
            Control::Start => self.start(),
            Control::Dtmf { digit, .. } => self.on_digit(digit),
            // The brain's own digits have the usual lengths, and so have these.
            Control::SendDtmf { digits, .. } => self.hands.dial(&digits),
            Control::TransferOver(result) => self.transferred(result),
            Control::Yield(reply) => self.lend(reply),
            // The call has taken digits on, or not: nothing else is asked of it.
            Control::Granted { result, .. } => self.dialled(result.is_ok()),
            Control::CallEvent { .. }
            | Control::Signalled { .. }
            | Control::Leaving
            | Control::Tell(_)
            | Control::Instruct(_)
            | Control::Record { .. }
            | Control::Stop { .. } => {}
        }
    }

    fn take_leg(&mut self, leg: (Line, Ears)) {
        self.leg = Some(leg);
        self.orders.push(Command::Listen(true));
    }

    fn start(&mut self) {
        if self.started.is_some() {
            return;
        }
        self.started = Some(Instant::now());
        self.mouth.start();
        let live = &self.spec.live;
        let writer = match live.kind {
            LiveKind::Realtime => live.transcription.clone(),
            LiveKind::GptLive => Some(live.model.clone()),
        };
        let engine = writer.ok_or_else(|| "the brain writes nothing down".to_owned());
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
        match (self.voice)(request) {
            Ok(speech) => {
                self.mouth.begin_fixed(text);
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
                if !self.mouth.fixed(&piece.samples, &piece.words) {
                    self.notes.trouble("a fixed sentence is longer than can be kept");
                }
            }
            Some(Err(detail)) => {
                self.notes.trouble(&detail);
                self.speech_done(false);
            }
            None => self.speech_done(true),
        }
    }

    fn speech_done(&mut self, whole: bool) {
        self.speech = None;
        self.mouth.end_fixed(whole);
        self.connect();
    }

    /// Connects the brain, once, unless the call is ending.
    fn connect(&mut self) {
        if self.live.is_none() && self.closing.is_none() {
            let first_word = self.spec.live.first_word;
            let (spec, context) = (self.spec.live.clone(), self.spec.context.clone());
            self.live = Some((self.connect)(spec, context));
            self.turn = 1;
            self.times = TurnTimes { turn_ended: Some(self.now()), ..TurnTimes::default() };
            if self.mouth.is_idle() {
                self.state(if first_word { State::Thinking } else { State::Listening });
            }
        }
    }

    fn on_leg(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Dtmf { digit, duration_ms, inband, .. }) => {
                self.report(Report::Dtmf { digit, duration_ms, method: HeardBy::leg(inband) });
                self.on_digit(digit);
            }
            Some(Event::DtmfDone { sent }) => self.dialled(sent),
            Some(Event::Flowing { .. }) => self.report(Report::Flowing),
            Some(Event::Quiet { .. }) => self.report(Report::Quiet),
            Some(event) => self.mouth.handle(&event),
            None => {
                self.leg = None;
                let detail = "the media leg is gone".to_owned();
                self.report(Report::Failed { detail });
            }
        }
    }

    fn on_digit(&mut self, digit: u8) {
        if self.started.is_none() || self.keys.len() >= KEYS_MAX {
            return;
        }
        self.keys_since = self.now();
        self.keys.push(char::from(digit));
        if digit == b'#' {
            self.tell_keys();
        }
    }

    /// Keys that belong together are one thing that the caller says.
    fn tell_keys(&mut self) {
        let digits = std::mem::take(&mut self.keys);
        if digits.is_empty() {
            return;
        }
        let (began, now) = (self.keys_since, self.now());
        self.tell(LiveInput::Digits(digits.clone()));
        self.line(Speaker::Caller, (String::new(), digits), (began, now), false);
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
        match output {
            Some(LiveOutput::Audio { item, samples }) => self.on_audio(&item, &samples),
            Some(LiveOutput::ItemDone { item }) => self.mouth.complete(Some(&item)),
            Some(LiveOutput::SpeechStarted { .. }) => self.on_caller_started(),
            Some(LiveOutput::SpeechStopped { .. }) => self.on_caller_stopped(),
            Some(LiveOutput::CallerText { text, is_final: true }) => self.on_caller(text),
            Some(LiveOutput::AgentText { item, text, .. }) => self.mouth.text(&item, &text),
            Some(LiveOutput::Tool(call)) => self.on_tool(&call),
            Some(LiveOutput::Usage { input, output, .. }) => self.on_usage(input, output),
            Some(LiveOutput::Failed { detail, fatal }) => self.on_failed(&detail, fatal),
            Some(LiveOutput::TurnDone) => {
                // One stream has no other end of what was said.
                if self.spec.live.kind == LiveKind::GptLive {
                    self.mouth.complete(None);
                }
            }
            Some(LiveOutput::CallerText { .. }) => {
                // One stream does not tell otherwise that the caller speaks.
                if self.spec.live.kind == LiveKind::GptLive {
                    let now = self.now();
                    self.caller_since.get_or_insert(now);
                    self.state(State::CallerSpeaking);
                }
            }
            Some(LiveOutput::Ready) => {}
            None => self.on_failed("the brain is gone", true),
        }
    }

    fn on_audio(&mut self, item: &str, samples: &[i16]) {
        if !self.is_heard_out() {
            return;
        }
        let now = self.now();
        self.sounded = now;
        match self.mouth.sound(item, samples) {
            Sound::First => {
                self.times.first_sentence.get_or_insert(now);
                self.times.first_token.get_or_insert(now);
                self.times.first_audio.get_or_insert(now);
            }
            Sound::Full => self.notes.trouble("the brain spoke further ahead than can be kept"),
            Sound::More | Sound::Unwanted => {}
        }
    }

    /// The caller begins: what has not left will not.
    fn on_caller_started(&mut self) {
        self.caller_since = Some(self.now());
        self.state(State::CallerSpeaking);
        if self.spec.turn.interruptible && self.closing.is_none() {
            self.mouth.cut();
        }
    }

    fn on_caller_stopped(&mut self) {
        let now = self.now();
        if self.turn >= u64::from(self.spec.turn.max_turns) {
            return self.wrap_up(Closing::MaxTurns);
        }
        self.turn += 1;
        let times = TurnTimes { speech_ended: Some(now), ..TurnTimes::default() };
        self.times = TurnTimes { turn_ended: Some(now), ..times };
        self.state(State::Thinking);
    }

    fn on_caller(&mut self, text: String) {
        let now = self.now();
        self.times.transcript.get_or_insert(now);
        let started = self.caller_since.take().unwrap_or(now);
        let ended = self.times.speech_ended.unwrap_or(now).max(started);
        if !text.trim().is_empty() {
            self.line(Speaker::Caller, (text, String::new()), (started, ended), false);
        }
    }

    fn on_tool(&mut self, call: &ToolCall) {
        let answer = match self.hands.act(TurnId(self.turn), call) {
            Act::Later => return,
            // The brain hears keys as they are pressed.
            Act::Answer(answer) | Act::Expect(_, _, answer) => answer,
            Act::Record(result, answer) => {
                self.notes.record(result);
                answer
            }
            // After these there is nothing more to be said.
            Act::Leave(_, text, _) => {
                if self.close(Closing::VoicemailLeft) {
                    self.speak(&text);
                }
                return;
            }
            Act::Transfer(target) => return self.report(Report::TransferWanted { target }),
            Act::Close(closing, _) => {
                self.close(closing);
                return;
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
            self.wrap_up(Closing::MaxCost);
        }
    }

    fn on_failed(&mut self, detail: &str, fatal: bool) {
        if fatal {
            self.live = None;
        }
        // That a server goes away from a call that is ending says nothing.
        if self.closing.is_some() {
            return;
        }
        self.notes.trouble(detail);
        tracing::warn!(call_id = %self.spec.context.call_id, detail, fatal, "brain failed");
        if fatal && self.close(Closing::Failed(detail.to_owned())) {
            let sentence = self.spec.turn.failure.clone();
            self.speak(&sentence);
        }
    }

    /// What time brings.
    fn on_time(&mut self) {
        let now = self.now();
        if now >= self.keys_since + KEYS_PAUSE {
            self.tell_keys();
        }
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        if let Some((line, _)) = &self.leg {
            self.mouth.catch_up(line.port.sent_samples());
        }
        if self.started.is_some() {
            self.look_at_limits(now);
        }
    }

    /// Digits are out, or could not be sent.
    fn dialled(&mut self, sent: bool) {
        if let Some(answer) = self.hands.dialled(sent) {
            self.answer(answer);
        }
    }

    fn pump(&mut self) {
        let dial = if self.leg.is_some() { self.hands.take_dial() } else { None };
        match dial {
            Some(Dial::Leg(command)) => self.orders.push(command),
            Some(Dial::Call(keys)) => {
                self.report(Report::Wish { ticket: 0, wish: Box::new(Wish::Dtmf(keys)) });
            }
            None => {}
        }
        if let Some((line, _)) = &mut self.leg {
            self.mouth.pump(&mut line.playout);
            let port = &line.port;
            while let Some(order) = self.orders.first()
                && port.send(*order)
            {
                self.orders.remove(0);
            }
            self.mouth.send_commands(|command| port.send(command));
        }
        self.take_said();
    }

    fn take_said(&mut self) {
        let now = self.now();
        while let Some(said) = self.mouth.next(now) {
            match said {
                Said::Started { fixed } => self.on_started(fixed, now),
                Said::Settled { text, started, cut, interrupted, truncate } => {
                    if let Some((item, audio_end_ms)) = truncate {
                        self.tell(LiveInput::Truncate { item, audio_end_ms });
                    }
                    if interrupted {
                        self.notes.interrupted();
                        self.report(Report::Interrupted { heard: text.clone() });
                    }
                    if !text.trim().is_empty() {
                        self.line(Speaker::Agent, (text, String::new()), (started, now), cut);
                    }
                    if self.mouth.is_idle() && self.state == State::AgentSpeaking {
                        self.state(State::Listening);
                    }
                }
            }
        }
    }

    fn on_started(&mut self, fixed: bool, now: Duration) {
        self.state(State::AgentSpeaking);
        if !fixed && self.times.first_audio.is_some() && self.times.first_rtp.is_none() {
            self.times.first_rtp = Some(now);
            let latency = self.notes.times(TurnId(self.turn), &self.times);
            event::agent_latency(&self.spec.context.call_id, &latency);
        }
    }

    fn line(
        &mut self,
        speaker: Speaker,
        (text, digits): (String, String),
        (started, ended): (Duration, Duration),
        interrupted: bool,
    ) {
        let turn = TurnId(self.turn);
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
        self.report(Report::Said(Box::new(said)));
    }

    fn tell(&mut self, input: LiveInput) {
        if let Some(live) = &self.live {
            // Full for 5 s: the brain is stuck, and its own time limits will say so.
            let _ = live.inputs.try_send(input);
        }
    }

    /// Where the conversation stands, if that changes; a call that is ending stays so.
    fn state(&mut self, state: State) {
        if self.state != state && self.closing.is_none() {
            self.state = state;
            self.state_since = self.now();
            self.report(Report::Turn(state));
        }
    }

    fn report(&mut self, report: Report) {
        let must = matches!(report, Report::Ended { .. } | Report::Failed { .. });
        if must || self.waiting.len() < REPORTS_MAX {
            self.waiting.push_back(report);
        }
    }

    /// Hands reports over; those that find no room wait.
    fn send_reports(&mut self) {
        while let Some(report) = self.waiting.pop_front() {
            match self.reports.try_send(report) {
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(report)) => return self.waiting.push_front(report),
            }
        }
    }
}

async fn next_piece(speech: Option<&mut Speech>) -> Option<Result<SpeechPiece, String>> {
    match speech {
        Some(speech) => speech.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
