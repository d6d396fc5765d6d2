//! The task of an agent's call: polls everything there is and feeds the conversation.
//!
//! ```text
//!  control ────┐                         ┌─> turn core ─> voice ─> playout ring
//!  leg events ─┤                         │
//!  capture ────┼─> AgentLeg ── Input ────┤
//!  transcripts ┤              <─ Output ─┤
//!  brain ──────┤                         └─> brain, hands, notes
//!  answers ────┤
//!  clock ──────┘
//! ```
//!
//! Owns the order of polling and the wiring between the turn core, the voice, the ear, the brain
//! and the hands. Decides nothing: the turn core does. Media never waits for any of them.

use super::brain::BrainSpec;
use super::conversation::Conversation;
use super::hands::Dial;
use super::interface::{BrainContext, BrainHandle, BrainOutput, STOP_WITHIN};
use super::listen::Ear;
use super::tools::Toolbox;
use crate::app::line::{Ears, Line, split, whole};
use crate::app::{Control, Report};
use crate::audio::rate::SampleRate;
use crate::call::control::{HeardBy, Wish, WishError};
use crate::media::interface::{Command, Event};
use crate::media::worker::LegHandle;
use crate::net::http::HttpClient;
use crate::speech::stt::{Stt, SttEvent, SttRequest};
use crate::speech::tts::{SpeechPiece, Tts};
use crate::turn::interface::{Input, TurnSpec, VoicemailPolicy};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// When to try again to hand over what was refused.
const RETRY: Duration = Duration::from_millis(20);
/// How often it is looked for events that were lost.
const CATCH_UP: Duration = Duration::from_secs(1);

/// What an agent's call is made of.
pub struct AgentSpec {
    /// What the brain knows.
    pub context: BrainContext,
    /// Who thinks.
    pub brain: BrainSpec,
    /// How turns are taken.
    pub turn: TurnSpec,
    /// What it may do.
    pub tools: Toolbox,
    /// A known voice.
    pub voice: String,
    /// The built-in voice that speaks when others fail.
    pub failure_voice: String,
    /// The leg's rate in Hz.
    pub sample_rate: u32,
    /// How the caller's words are transcribed.
    pub transcribe: SttRequest,
    /// Price of a million tokens read and written.
    pub prices: (f64, f64),
    /// Most that the brain may cost.
    pub max_cost: Option<f64>,
}

/// What all agents share; cheap to clone.
#[derive(Clone)]
pub struct AgentParts {
    /// Voices.
    pub tts: Tts,
    /// Transcribers.
    pub stt: Stt,
    /// Connections to brains and tools.
    pub http: HttpClient,
}

/// Conducts one call; ends after [`Control::Stop`] or with its queue.
pub async fn run(
    spec: AgentSpec,
    parts: AgentParts,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
) {
    // On the heap: it holds everything of its call.
    Box::pin(AgentLeg::new(spec, &parts, control, reports).run()).await;
}

/// What woke the task.
enum Wake {
    Control(Option<Control>),
    Leg(Option<Event>),
    Ready,
    Transcriber(Option<SttEvent>),
    Brain(Option<BrainOutput>),
    Piece(Option<Result<SpeechPiece, String>>),
    Answer(super::hands::Answer),
    Clock,
}

struct AgentLeg {
    talk: Conversation,
    ear: Ear,
    transcripts: Option<mpsc::Receiver<SttEvent>>,
    brain: BrainHandle,
    brain_gone: bool,
    control: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
    leg: Option<(Line, Ears)>,
    /// The answer: the beginning of the leg's clock.
    started: Option<Instant>,
    orders: Vec<Command>,
    caught_up: Instant,
}

impl AgentLeg {
    fn new(
        spec: AgentSpec,
        parts: &AgentParts,
        control: mpsc::Receiver<Control>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let rate = SampleRate::new(spec.sample_rate).unwrap_or(SampleRate::HZ_8000);
        let opened = parts.stt.open(spec.transcribe.clone());
        let first = parts.stt.names().first().map(|name| (*name).to_owned());
        let engine = spec.transcribe.engine.clone().or(first);
        let matters = spec.turn.voicemail != VoicemailPolicy::Continue;
        let mailbox = matters.then(|| spec.turn.language.clone());
        let brain = super::brain::spawn(spec.brain, spec.context.clone(), &parts.http);
        let mut talk = Conversation::new(super::conversation::Setup {
            turn: spec.turn,
            tools: spec.tools,
            voice: spec.voice,
            failure_voice: spec.failure_voice,
            sample_rate: spec.sample_rate,
            call_id: spec.context.call_id,
            schema_given: spec.context.result_schema.is_some(),
            prices: spec.prices,
            max_cost: spec.max_cost,
            brain: brain.inputs.clone(),
            tts: parts.tts.clone(),
            http: parts.http.clone(),
        });
        let (input, transcripts) = match opened {
            Ok((input, events)) => {
                talk.transcribing(Ok(engine.unwrap_or_default()));
                (Some(input), Some(events))
            }
            Err(reason) => {
                talk.transcribing(Err(reason.to_string()));
                (None, None)
            }
        };
        Self {
            talk,
            ear: Ear::new(rate, input, mailbox.as_deref()),
            transcripts,
            brain,
            brain_gone: false,
            control,
            reports,
            leg: None,
            started: None,
            orders: Vec::new(),
            caught_up: Instant::now(),
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
                Wake::Transcriber(event) => self.on_transcript(event),
                Wake::Brain(output) => self.on_brain(output),
                Wake::Piece(piece) => self.talk.on_piece(self.now(), piece),
                Wake::Answer(answer) => self.talk.on_answer(answer),
                Wake::Clock => self.on_time(),
            }
            self.pump();
            self.send_reports();
        }
    }

    /// Time since the answer; zero before it.
    fn now(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    async fn wake(&mut self) -> Wake {
        let nap = self.nap();
        let mut leg = self.leg.as_mut().map(|(_, ears)| ears);
        let ready = leg.as_ref().map(|ears| ears.ready.clone());
        let events = leg.as_mut().map(|ears| &mut ears.events);
        let transcripts = self.transcripts.as_mut();
        let brain = Some(&mut self.brain.outputs).filter(|_| !self.brain_gone);
        let (voice, hands) = self.talk.waits();
        tokio::select! {
            biased;
            event = next(events) => Wake::Leg(event),
            control = self.control.recv() => Wake::Control(control),
            () = notified(ready) => Wake::Ready,
            event = next(transcripts) => Wake::Transcriber(event),
            output = next(brain) => Wake::Brain(output),
            piece = voice.next_piece() => Wake::Piece(piece),
            answer = hands.next() => Wake::Answer(answer),
            () = crate::net::sleep_until(nap) => Wake::Clock,
        }
    }

    /// When to look again, if at all.
    fn nap(&self) -> Option<std::time::Instant> {
        let due = [self.talk.deadline(), self.ear.deadline()].into_iter().flatten().min();
        let core = self.started.zip(due).map(|(began, at)| began + at);
        let refused = !self.orders.is_empty() || self.talk.has_work() || self.talk.has_reports();
        let retry = (refused && self.leg.is_some()).then(|| Instant::now() + RETRY);
        let catch_up = self.started.map(|_| self.caught_up + CATCH_UP);
        [core, retry, catch_up].into_iter().flatten().min().map(Instant::into_std)
    }

    fn on_control(&mut self, control: Control) {
        match control {
            Control::Leg(leg) => {
                self.leg = Some(split(*leg));
                self.orders.push(Command::Listen(true));
            }
            Control::Start => {
                if self.started.is_none() {
                    self.started = Some(Instant::now());
                    self.skip_stale();
                    self.talk.start();
                    self.talk.feed(Duration::ZERO, Input::Answered);
                }
            }
            Control::Dtmf { digit, .. } => self.on_digit(digit),
            // The brain's own digits have the usual lengths, and so have these.
            Control::SendDtmf { digits, .. } => self.talk.hands().dial(&digits),
            Control::TransferOver(result) => self.talk.transferred(result),
            Control::Yield(reply) => self.lend(reply),
            // The call has taken digits on, or not: nothing else is asked of it.
            Control::Granted { result, .. } => self.talk.dialled(result.is_ok()),
            Control::CallEvent { .. }
            | Control::Signalled { .. }
            | Control::Leaving
            | Control::Tell(_)
            | Control::Instruct(_)
            | Control::Record { .. }
            | Control::Stop { .. } => {}
        }
    }

    /// Lends the leg to a bridge. Whoever is joined with somebody else has no more to say to the
    /// agent: what it says from here on is not heard.
    fn lend(&mut self, reply: oneshot::Sender<Result<Box<LegHandle>, WishError>>) {
        let now = self.now();
        let Some((line, ears)) = self.leg.take() else { return };
        self.talk.halt(now, line.port.sent_samples());
        self.orders.clear();
        if let Some(leg) = whole(line, ears)
            && let Err(Ok(leg)) = reply.send(Ok(leg))
        {
            self.leg = Some(split(*leg));
        }
    }

    /// What was captured before the answer is ringing, not conversation.
    fn skip_stale(&mut self) {
        if let Some((line, _)) = &mut self.leg {
            self.ear.skip(&mut line.capture, Duration::ZERO);
        }
    }

    fn on_leg(&mut self, event: Option<Event>) {
        let now = self.now();
        match event {
            Some(Event::Dtmf { digit, duration_ms, inband, .. }) => {
                let method = HeardBy::leg(inband);
                self.talk.report(Report::Dtmf { digit, duration_ms, method });
                self.on_digit(digit);
            }
            Some(Event::DtmfDone { sent }) => self.talk.dialled(sent),
            Some(Event::Flowing { .. }) => self.talk.report(Report::Flowing),
            Some(Event::Quiet { .. }) => self.talk.report(Report::Quiet),
            Some(event) => self.talk.on_leg_event(now, &event),
            None => {
                self.leg = None;
                let detail = "the media leg is gone".to_owned();
                self.talk.report(Report::Failed { detail });
            }
        }
    }

    fn on_digit(&mut self, digit: u8) {
        if self.started.is_some() {
            self.talk.feed(self.now(), Input::Digit(char::from(digit)));
        }
    }

    /// Takes the caller's audio out of the ring.
    fn listen(&mut self) {
        let now = self.now();
        let Some((line, _)) = &mut self.leg else { return };
        if self.started.is_none() {
            return self.ear.skip(&mut line.capture, now);
        }
        let mut told = Vec::new();
        self.ear.take(&mut line.capture, now, |input| told.push(input));
        for input in told {
            if matches!(input, Input::VoiceStopped { .. }) {
                self.ear.finalise();
            }
            self.talk.feed(now, input);
        }
    }

    fn on_transcript(&mut self, event: Option<SttEvent>) {
        let now = self.now();
        let Some(event) = event else {
            self.transcripts = None;
            return;
        };
        self.talk.transcriber(&event);
        if self.started.is_some() {
            for input in self.ear.translate(now, &event).into_iter().flatten() {
                self.talk.feed(now, input);
            }
        }
    }

    fn on_brain(&mut self, output: Option<BrainOutput>) {
        let now = self.now();
        match output {
            Some(output) => {
                if let BrainOutput::Expect(_, expect) = &output {
                    self.ear.set_phrases(&expect.phrases);
                }
                self.talk.on_brain(now, output);
            }
            None => {
                self.brain_gone = true;
                self.talk.brain_gone(now);
            }
        }
    }

    fn on_time(&mut self) {
        let now = self.now();
        if let Some((line, _)) = &self.leg
            && self.caught_up.elapsed() >= CATCH_UP
        {
            self.caught_up = Instant::now();
            self.talk.catch_up(now, line.port.sent_samples());
        }
        if let Some(verdict) = self.ear.judge(now).filter(|_| self.started.is_some()) {
            self.talk.feed(now, verdict);
        }
        if self.talk.deadline().is_some_and(|at| at <= now) {
            self.talk.feed(now, Input::Timeout);
        }
    }

    /// Moves sound and orders to the leg.
    fn pump(&mut self) {
        let now = self.now();
        let Some((line, _)) = &mut self.leg else { return };
        match self.talk.hands().take_dial() {
            Some(Dial::Leg(command)) => self.orders.push(command),
            Some(Dial::Call(keys)) => {
                let wish = Box::new(Wish::Dtmf(keys));
                self.talk.report(Report::Wish { ticket: 0, wish });
            }
            None => {}
        }
        while let Some(order) = self.orders.first()
            && line.port.send(*order)
        {
            self.orders.remove(0);
        }
        self.talk.pump(now, line);
    }

    /// Hands reports over; those that find no room wait.
    fn send_reports(&mut self) {
        while let Some(report) = self.talk.next_report() {
            match self.reports.try_send(report) {
                Ok(()) | Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(report)) => return self.talk.keep_report(report),
            }
        }
    }

    /// The call is over: what was heard is settled, the brain says its last, the outcome is told.
    async fn finish(mut self, reason: &'static str) {
        let Some(started) = self.started else { return };
        let now = started.elapsed();
        if let Some((line, _)) = &self.leg {
            self.talk.halt(now, line.port.sent_samples());
        }
        self.leg = None;
        drop(self.ear);
        self.talk.stop_brain();
        let last_words = async {
            while let Some(output) = self.brain.outputs.recv().await {
                self.talk.last_word(&output);
            }
        };
        // A brain that does not finish in time loses its last words, no more.
        let _ = tokio::time::timeout(STOP_WITHIN, last_words).await;
        self.brain.task.abort();
        let duration = self.talk.lasted().unwrap_or(now);
        let (reports, outcome) = self.talk.into_outcome(reason, duration);
        for report in reports {
            let _ = self.reports.send(report).await;
        }
        let _ = self.reports.send(Report::Outcome(Box::new(outcome))).await;
    }
}

pub(super) async fn next<T>(queue: Option<&mut mpsc::Receiver<T>>) -> Option<T> {
    match queue {
        Some(queue) => queue.recv().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn notified(ready: Option<std::sync::Arc<tokio::sync::Notify>>) {
    match ready {
        Some(ready) => ready.notified().await,
        None => std::future::pending().await,
    }
}
