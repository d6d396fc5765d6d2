//! The call actor: one task per call that carries out what the call machine decides.
//!
//! ```text
//!  switchboard ── Message ──> actor { call::Call } ── Command ──> SIP task
//!  application leg ─ Report ─>        │      └─────── Control ──> application leg
//!                                     └── MediaParams ──> media leg
//! ```
//!
//! Translates between siblings that do not know each other: SIP events and SDP, media, the
//! application leg, the record in the store. Decides nothing about the call: `call::machine` does.

use super::agents::Agent;
use super::parts::Parts;
use crate::api::gateway::Content;
use crate::app::agent::leg::AgentParts;
use crate::app::stream::wire::{Heard, Told};
use crate::app::transcribe::Transcribe;
use crate::app::{self, Control, Report};
use crate::call::outcome::{Transcription, TranscriptionStatus};
use crate::call::record::{CallRecord, EndReason, Quality};
use crate::call::{Call, Input, Now, Output, cause};
use crate::id::SessionId;
use crate::media::interface::Command as MediaCommand;
use crate::media::worker::{LegControl, LegHandle};
use crate::observe::event::{self, Happening as _};
use crate::sdp::{Desk, Negotiated};
use crate::sip::interface::{Command, Event, Invite};
use crate::speech::stt::SttUnavailable;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Words to the application leg that may wait.
const CONTROLS_MAX: usize = 64;

/// How long an ended call waits for its application leg to say goodbye to its client.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What the switchboard tells a call.
#[derive(Debug)]
pub(super) enum Message {
    /// It is its turn.
    Begin,
    /// Something happened to its SIP session.
    Sip(Event),
    /// The API's user ends it.
    Terminate,
    /// The node stops.
    Shutdown,
    /// New metadata; the answer is the record after it.
    SetMetadata(
        serde_json::Map<String, serde_json::Value>,
        tokio::sync::oneshot::Sender<Option<CallRecord>>,
    ),
}

/// Everything that a call is made of before it starts.
pub(super) struct CallSetup {
    /// The machine.
    pub call: Call,
    /// Its SIP session.
    pub session: SessionId,
    /// What it plays.
    pub content: Content,
    /// Whether and how the caller's words are written down.
    pub transcribe: Option<Transcribe>,
    /// For an outgoing call.
    pub dial: Option<Dial>,
    /// For an incoming call: the offer, if the INVITE had one.
    pub offer: Option<Vec<u8>>,
    /// Codecs of its trunk, in order.
    pub codecs: Vec<crate::audio::codec::CodecId>,
    /// Application leg of a stream call (for an agent: of those who watch it), started when the call was made so that a client can come
    /// early.
    pub app: Option<AppLeg>,
}

/// Where an outgoing call goes.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    /// Trunk name.
    pub trunk: String,
    /// Request-URI.
    pub uri: String,
    /// User part of From.
    pub from_user: String,
    /// Display name of From.
    pub from_display: Option<String>,
    /// Extra header fields.
    pub headers: Vec<(String, String)>,
}

/// The two queues and the task of an application leg.
pub(super) struct AppLeg {
    /// To it.
    pub control: mpsc::Sender<Control>,
    /// From it.
    pub reports: mpsc::Receiver<Report>,
    /// The task.
    pub task: JoinHandle<()>,
}

/// What the outside may look at while the call lives.
#[derive(Clone)]
pub(super) struct CallView {
    /// The record.
    pub record: watch::Receiver<CallRecord>,
    /// The media leg, once there is one.
    pub media: Arc<OnceLock<LegControl>>,
    /// Codec and sample rate, once agreed on.
    pub codec: Arc<OnceLock<&'static str>>,
}

impl CallView {
    /// The record with the quality of this moment.
    pub(super) fn snapshot(&self) -> CallRecord {
        let mut record = self.record.borrow().clone();
        if let Some(media) = self.media.get() {
            let codec = self.codec.get().copied();
            record.quality = Some(Quality::from_report(&media.report(), codec, super::parts::RATE));
        }
        record
    }
}

/// One call and its surroundings.
pub(super) struct CallActor {
    parts: Arc<Parts>,
    setup: CallSetup,
    app: Option<AppLeg>,
    /// The leg of those who watch an agent.
    watchers: Option<AppLeg>,
    desk: Option<Desk>,
    leg: Option<LegHandle>,
    media: Arc<OnceLock<LegControl>>,
    codec: Arc<OnceLock<&'static str>>,
    record: watch::Sender<CallRecord>,
    deadline: Option<Instant>,
    /// An answer that waits for ours: the 200 of a delayed offer carried the offer.
    delayed_offer: bool,
    finished: bool,
}

impl CallActor {
    /// Makes the actor and the view of it.
    pub(super) fn new(parts: Arc<Parts>, mut setup: CallSetup) -> (Self, CallView) {
        let (record, seen) = watch::channel(setup.call.record().clone());
        let media = Arc::new(OnceLock::new());
        let codec = Arc::new(OnceLock::new());
        let view = CallView { record: seen, media: Arc::clone(&media), codec: Arc::clone(&codec) };
        let delayed_offer = setup.dial.is_none() && setup.offer.is_none();
        let watched = matches!(setup.content, Content::Agent(_));
        let (watchers, app) =
            if watched { (setup.app.take(), None) } else { (None, setup.app.take()) };
        let actor = Self {
            parts,
            setup,
            app,
            watchers,
            desk: None,
            leg: None,
            media,
            codec,
            record,
            deadline: None,
            delayed_offer,
            finished: false,
        };
        (actor, view)
    }

    /// Runs the call to its end; afterwards its record is stored and nothing of it is left.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        self.drain().await;
        while !self.finished {
            let deadline = self.deadline;
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.hear(message).await,
                    None => self.feed(Input::Shutdown),
                },
                report = next_report(&mut self.app) => self.hear_app(report),
                report = next_report(&mut self.watchers) => self.hear_watchers(report),
                () = crate::net::sleep_until(deadline) => self.feed(Input::Timeout),
            }
            self.drain().await;
        }
    }

    fn feed(&mut self, input: Input) {
        self.setup.call.handle(now(), input);
    }

    async fn hear(&mut self, message: Message) {
        match message {
            Message::Begin => self.feed(Input::Begin),
            Message::Sip(event) => self.hear_sip(event).await,
            Message::Terminate => self.feed(Input::Terminate),
            Message::Shutdown => self.feed(Input::Shutdown),
            Message::SetMetadata(metadata, reply) => {
                self.setup.call.record_mut().metadata = metadata;
                self.publish();
                let _ = reply.send(Some(self.setup.call.record().clone()));
            }
        }
    }

    fn hear_app(&mut self, report: Option<Report>) {
        let input = match report {
            Some(Report::PlaybackDone { .. }) => Input::PlaybackDone,
            Some(Report::HangupRequested { .. }) => Input::HangupRequested,
            Some(Report::StreamLost { detail }) => {
                self.setup.call.record_mut().end_detail = Some(detail);
                Input::StreamLost
            }
            Some(Report::Failed { detail }) => {
                tracing::warn!(call_id = %self.setup.call.record().id, detail, "content failed");
                self.setup.call.record_mut().end_detail = Some(detail);
                Input::ContentFailed
            }
            Some(Report::Quiet) => Input::Quiet,
            Some(Report::Attached { protocol, rate }) => Input::StreamAttached { protocol, rate },
            Some(Report::Detached) => Input::StreamDetached,
            Some(Report::Ended { reason, detail }) => {
                self.setup.call.record_mut().end_detail = detail;
                Input::ContentEnded(reason)
            }
            Some(report) => return self.note(report),
            None => {
                self.app = None;
                Input::ContentFailed
            }
        };
        self.feed(input);
    }

    fn hear_watchers(&mut self, report: Option<Report>) {
        match report {
            None => self.watchers = None,
            Some(
                report @ (Report::HangupRequested { .. }
                | Report::Attached { .. }
                | Report::Detached),
            ) => self.hear_app(Some(report)),
            Some(_) => {}
        }
    }

    /// Tells those who watch an agent; a watcher that does not listen misses it.
    fn show(&self, control: Control) {
        if let Some(watchers) = &self.watchers {
            let _ = watchers.control.try_send(control);
        }
    }

    fn show_told(&self, told: Told) {
        self.show(Control::Tell(Box::new(told)));
    }

    /// Writes down what an application leg tells and the call's state does not depend on.
    fn note(&mut self, report: Report) {
        let record = self.setup.call.record_mut();
        match report {
            Report::Transcribing(Ok(engine)) => {
                record.transcription = Some(Box::new(Transcription::available(&engine)));
            }
            Report::Transcribing(Err(reason)) => {
                let had = record
                    .transcription
                    .as_ref()
                    .is_some_and(|known| known.status == TranscriptionStatus::Available);
                // A node without any engine is no news.
                if had || reason != SttUnavailable::NoEngine.to_string() {
                    let call_id = record.id.as_str();
                    event::TranscriptionLost { call_id, reason: &reason }.report();
                }
                let lost = Transcription::unavailable(&reason);
                let known = record.transcription.get_or_insert_with(|| Box::new(lost));
                known.status = TranscriptionStatus::Unavailable;
                known.reason = Some(reason);
            }
            Report::Turn(state) => return self.show_told(Told::Turn { state }),
            Report::Dtmf { digit, duration_ms } => {
                let (digit, method) = (char::from(digit), "rfc4733");
                return self.show_told(Told::Dtmf { digit, duration_ms, method });
            }
            Report::Interrupted { heard } => return self.show_told(Told::Interrupted { heard }),
            Report::Said(line) => {
                let lines = record.transcription.as_ref().map_or(0, |known| known.lines.len());
                let told = Told::Transcript(Heard::line(&line, lines as u64 + 1));
                if let Some(watchers) = &self.watchers {
                    let _ = watchers.control.try_send(Control::Tell(Box::new(told)));
                }
                // An agent's words are known also when nobody transcribes the caller.
                let unheard = || Box::new(Transcription::unavailable("nobody listens"));
                record.transcription.get_or_insert_with(unheard).add(line);
            }
            Report::Outcome(outcome) => {
                super::tell::outcome(record.id.as_str(), &outcome);
                let told = Told::Outcome { outcome: outcome.clone() };
                record.outcome = Some(outcome);
                self.show_told(told);
            }
            _ => return,
        }
        self.publish();
    }

    async fn hear_sip(&mut self, event: Event) {
        match event {
            Event::Dialing { sip_call_id } => self.feed(Input::Dialing { sip_call_id }),
            Event::Provisional { code, sdp, fork: _ } => {
                let early_media = sdp.is_some_and(|sdp| self.accept(&sdp));
                self.feed(Input::Provisional { code, early_media });
            }
            Event::Answered { sdp } => {
                let agreed = match sdp {
                    Some(sdp) => self.accept(&sdp),
                    None => self.codec.get().is_some(),
                };
                self.answered(agreed);
            }
            Event::Confirmed { sdp } => {
                let agreed = match sdp {
                    Some(sdp) if self.delayed_offer => self.accept(&sdp),
                    Some(_) | None => !self.delayed_offer || self.codec.get().is_some(),
                };
                self.answered(agreed);
            }
            Event::Reoffer { sdp } => self.reanswer(sdp).await,
            Event::InfoDtmf { digit, duration_ms } => {
                if let Ok(digit) = u8::try_from(digit) {
                    self.show(Control::Dtmf { digit, duration_ms });
                    self.tell_app(Control::Dtmf { digit, duration_ms });
                }
            }
            Event::Ended(ending) => self.feed(Input::SessionEnded(ending)),
            Event::Incoming(_)
            | Event::Offered { .. }
            | Event::Redirected { .. }
            | Event::Agreed { .. }
            | Event::Reoffered(_)
            | Event::Authenticated { .. }
            | Event::ReferAsked { .. }
            | Event::Transfer(_) => {}
        }
    }

    fn answered(&mut self, agreed: bool) {
        let before = self.setup.call.record().answered_at.is_some();
        self.feed(Input::Answered);
        if !before {
            super::tell::answered(self.setup.call.record(), self.codec.get().copied());
        }
        if !agreed {
            self.feed(Input::MediaFailed);
        }
    }

    async fn drain(&mut self) {
        loop {
            match self.setup.call.poll_output() {
                Output::Dial => self.dial().await,
                Output::Ring => self.tell_sip(Command::Ring(self.setup.session)).await,
                Output::Progress => self.describe(true).await,
                Output::Answer => self.describe(false).await,
                Output::Reject(code) => {
                    let session = self.setup.session;
                    let reason = String::new();
                    self.tell_sip(Command::Reject { session, code, reason }).await;
                }
                Output::Hangup => {
                    let session = self.setup.session;
                    self.tell_sip(Command::Hangup { session, reason: None }).await;
                }
                Output::Play => self.play(),
                Output::Tell(event, detail) => {
                    self.show(Control::CallEvent { event, detail: detail.clone() });
                    self.tell_app(Control::CallEvent { event, detail });
                }
                Output::Changed => self.publish(),
                Output::Finished => self.finish().await,
                Output::Timeout(until, _) => {
                    self.deadline = until;
                    return;
                }
            }
        }
    }

    async fn dial(&mut self) {
        let Some(dial) = self.setup.dial.clone() else { return };
        if !self.open_leg() {
            return self.feed(Input::Refused(EndReason::Congestion));
        }
        self.start_content();
        let Some(desk) = &mut self.desk else { return };
        let invite = Invite {
            session: self.setup.session,
            trunk: dial.trunk,
            to: dial.uri,
            from_user: dial.from_user,
            from_display: dial.from_display,
            headers: dial.headers,
            sdp: Some(desk.offer()),
            identity: None,
            replaces: None,
        };
        self.tell_sip(Command::Invite(Box::new(invite))).await;
    }

    /// Sends our description with 183 or 200: an answer, or the offer that the INVITE lacked.
    async fn describe(&mut self, early: bool) {
        if self.desk.is_none() {
            if !self.open_leg() {
                self.setup.call.record_mut().end_detail = Some("no RTP port is free".to_owned());
                return self.feed(Input::MediaFailed);
            }
            self.start_content();
        }
        let Some(desk) = &mut self.desk else { return };
        let description = match &self.setup.offer {
            None => desk.offer(),
            Some(offer) => match desk.answer(offer) {
                Ok((answer, negotiated)) => {
                    self.update_media(&negotiated);
                    answer
                }
                Err(error) => {
                    self.setup.call.record_mut().end_detail = Some(error.to_string());
                    return self.feed(Input::MediaFailed);
                }
            },
        };
        let session = self.setup.session;
        let command = if early {
            Command::Progress { session, sdp: description }
        } else {
            Command::Answer { session, sdp: description }
        };
        self.tell_sip(command).await;
    }

    async fn reanswer(&mut self, offer: Option<Vec<u8>>) {
        let session = self.setup.session;
        let Some(desk) = &mut self.desk else { return };
        let answered = match &offer {
            None => Ok((desk.offer(), None)),
            Some(offer) => desk.answer(offer).map(|(sdp, agreed)| (sdp, Some(agreed))),
        };
        let command = match answered {
            Ok((sdp, negotiated)) => {
                if let Some(negotiated) = negotiated {
                    self.update_media(&negotiated);
                }
                self.delayed_offer = offer.is_none();
                Command::Reanswer { session, sdp }
            }
            Err(_) => Command::Reject { session, code: 488, reason: String::new() },
        };
        self.tell_sip(command).await;
    }

    /// Takes the peer's answer to our offer; `false` when it cannot be used.
    fn accept(&mut self, answer: &[u8]) -> bool {
        let Some(desk) = &mut self.desk else { return false };
        match desk.accept(answer) {
            Ok(negotiated) => {
                self.update_media(&negotiated);
                true
            }
            Err(error) => {
                self.setup.call.record_mut().end_detail = Some(error.to_string());
                false
            }
        }
    }

    fn update_media(&mut self, negotiated: &Negotiated) {
        let Some(media) = self.media.get() else { return };
        let _ = self.codec.set(negotiated.codec.spec().name);
        // A held peer is silent by agreement.
        let quiet =
            if negotiated.direction.receive { self.parts.quiet_after } else { Duration::ZERO };
        media.agree(negotiated);
        media.send(MediaCommand::QuietAfter(quiet));
    }

    fn open_leg(&mut self) -> bool {
        let codec = self.setup.codecs.first().copied();
        let opened = self.parts.open_leg(codec, &self.setup.codecs);
        match opened {
            Ok((leg, local)) => {
                let _ = self.media.set(leg.control.clone());
                self.desk = Some(Desk::new(local, Box::new(crate::api::fresh::fill)));
                self.leg = Some(leg);
                true
            }
            Err(error) => {
                tracing::warn!(call_id = %self.setup.call.record().id, %error, "no media leg");
                self.setup.call.record_mut().end_detail = Some(error.to_string());
                false
            }
        }
    }

    /// Starts the application leg of a prompt, and gives the media leg to whichever there is.
    fn start_content(&mut self) {
        if self.app.is_none() {
            let record = self.setup.call.record();
            let transcribe = self.setup.transcribe.as_ref();
            match self.parts.start_content(&self.setup.content, transcribe, record) {
                Ok(Some(leg)) => self.app = Some(leg),
                Ok(None) => {}
                Err(detail) => {
                    self.setup.call.record_mut().end_detail = Some(detail);
                    self.feed(Input::ContentFailed);
                }
            }
        }
        if let Some(leg) = self.leg.take() {
            if self.app.is_some() {
                self.tell_app(Control::Leg(Box::new(leg)));
            } else {
                self.leg = Some(leg);
            }
        }
    }

    fn play(&mut self) {
        self.show(Control::Start);
        self.tell_app(Control::Start);
    }

    fn tell_app(&mut self, control: Control) {
        let Some(app) = &self.app else { return };
        if app.control.try_send(control).is_err() && !self.setup.call.is_over() {
            let id = &self.setup.call.record().id;
            tracing::error!(call_id = %id, "the application leg does not listen");
            self.feed(Input::ContentFailed);
        }
    }

    async fn tell_sip(&mut self, command: Command) {
        if self.parts.sip.send(command).await.is_err() {
            self.feed(Input::Terminate);
        }
    }

    /// Shows the record to readers and hands it to the store, which never blocks.
    /// Shows and stores the record. That of a call that is over comes with all that belongs to it,
    /// when its legs have said their last.
    fn publish(&mut self) {
        if self.setup.call.record().ended_at.is_none() {
            self.publish_last();
        }
    }

    fn publish_last(&mut self) {
        let record = self.setup.call.record().clone();
        self.parts.store_call(&record);
        self.record.send_replace(record);
    }

    async fn finish(&mut self) {
        self.finished = true;
        let record = self.setup.call.record();
        // What comes in from here on is written with the last row.
        let (reason, sip_code) = (record.end_reason.map_or("error", cause::name), record.sip_code);
        let duration_ms = record.duration_ms.unwrap_or(0);
        let stop = || Control::Stop { reason, sip_code, duration_ms };
        if let Some(app) = self.app.take() {
            self.stop_leg(app, stop()).await;
        }
        if let Some(watchers) = self.watchers.take() {
            self.stop_leg(watchers, stop()).await;
        }
        self.leg = None;
        if let Some(media) = self.media.get() {
            let codec = self.codec.get().copied();
            let report = media.report();
            crate::observe::event::count_media(&report);
            let quality = Quality::from_report(&report, codec, super::parts::RATE);
            self.setup.call.record_mut().quality = Some(quality);
        }
        if let Some(stream) = &mut self.setup.call.record_mut().stream {
            stream.connected = false;
        }
        self.publish_last();
        let record = self.setup.call.record();
        super::tell::ended(record);
        self.parts.settle_store(&record.id).await;
    }
}

impl CallActor {
    /// Lets an application leg say its last words, and waits until it is gone.
    async fn stop_leg(&mut self, mut leg: AppLeg, stop: Control) {
        let told = leg.control.try_send(stop).is_ok();
        let last_words = async {
            while let Some(report) = leg.reports.recv().await {
                self.note(report);
            }
        };
        let ended = told && tokio::time::timeout(STOP_MAX, last_words).await.is_ok();
        if !ended {
            leg.task.abort();
        }
        // Ended or aborted: what it held is let go of before the call is forgotten.
        let _ = leg.task.await;
    }
}

async fn next_report(app: &mut Option<AppLeg>) -> Option<Report> {
    match app {
        Some(app) => app.reports.recv().await,
        None => std::future::pending().await,
    }
}

/// The two clocks of this moment.
pub(super) fn now() -> Now {
    Now { mono: Instant::now(), unix_ms: jiff::Timestamp::now().as_millisecond() }
}

/// Starts an application leg's queues and hands their far ends to `spawn`.
pub(super) fn app_leg<T>(
    spawn: impl FnOnce(mpsc::Receiver<Control>, mpsc::Sender<Report>) -> (T, JoinHandle<()>),
) -> (T, AppLeg) {
    let (control, controlled) = mpsc::channel(CONTROLS_MAX);
    let (report, reports) = mpsc::channel(CONTROLS_MAX);
    let (extra, task) = spawn(controlled, report);
    (extra, AppLeg { control, reports, task })
}

/// Starts the application leg of a prompt.
pub(super) fn prompt_leg(spec: app::prompt::PromptSpec) -> AppLeg {
    app_leg(|control, reports| ((), app::prompt::spawn(spec, control, reports))).1
}

/// Starts the application leg of an agent.
pub(super) fn agent_leg(agent: Agent, parts: AgentParts) -> AppLeg {
    app_leg(|control, reports| {
        let task = match agent {
            Agent::Turns(spec) => {
                tokio::spawn(app::agent::leg::run(*spec, parts, control, reports))
            }
            Agent::Live(spec) => {
                tokio::spawn(app::agent::live_leg::run(*spec, parts, control, reports))
            }
        };
        ((), task)
    })
    .1
}
