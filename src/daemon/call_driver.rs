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

mod joint;
mod media;
mod recording;
mod reports;
mod signalling;
mod wishes;

pub(super) use joint::joint_of;

use super::agents::Agent;
use super::control::{CallAsk, TransferPlan};
use super::pair::Lend;
use super::parts::{Parts, Terms, leg_rate};
use crate::api::gateway::{BackgroundWish, CallStats, Content};
use crate::app::agent::leg::AgentParts;
use crate::app::stream::wire::Stages;
use crate::app::transcribe::Transcribe;
use crate::app::{self, Control, Report};
use crate::call::control::{DialWish, HeardBy, Wish, WishError};
use crate::call::machine::Joint;
use crate::call::record::{CallRecord, EndReason, Quality};
use crate::call::{Call, Input, Now, Output, cause};
use crate::id::{CallId, SessionId};
use crate::media::worker::{LegControl, LegHandle};
use crate::sdp::{Desk, Negotiated};
use crate::sip::interface::{Command, Event, TransferState};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wishes::Keys;

/// Words to the application leg that may wait.
const CONTROLS_MAX: usize = 64;

/// How long an ended call waits for its application leg to say goodbye to its client.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What the switchboard tells a call. What is large is boxed: an inbox has the memory of 32.
pub(super) enum Message {
    /// It is its turn.
    Begin,
    /// Something happened to one of its SIP sessions.
    Sip(SessionId, Box<Event>),
    /// The API's user ends it.
    Terminate,
    /// Who pays for it has used up the day's minutes.
    Spent,
    /// The node takes no more calls and stops after the last.
    Draining,
    /// The node stops.
    Shutdown,
    /// New metadata; the answer is the record after it.
    SetMetadata(serde_json::Map<String, serde_json::Value>, oneshot::Sender<Option<CallRecord>>),
    /// Somebody wishes something that concerns this call alone.
    Wish(Box<Wish>, ReplyTo),
    /// A wish that went through the switchboard is fulfilled.
    Granted(ReplyTo),
    /// The switchboard refuses a wish that went through it.
    Denied(WishError, ReplyTo),
    /// A transfer that the switchboard has prepared.
    Transfer(Box<TransferPlan>, ReplyTo),
    /// How the call to the other party goes.
    Progress(TransferState),
    /// A session for whom the other side asked us to call, or the status that refuses one.
    Side {
        /// The session.
        session: Result<SessionId, u16>,
        /// Whom to call.
        uri: String,
        /// The Replaces value of the new INVITE.
        replaces: Option<String>,
    },
    /// Somebody else's INVITE takes the place of the call's session (Replaces); the call must
    /// answer or refuse it.
    Replace {
        /// The new session.
        session: SessionId,
        /// Its offer, if it has one.
        offer: Option<Vec<u8>>,
    },
    /// A bridge wants the media leg.
    Lend(Box<Lend>),
    /// The bridge stands.
    Joined(CallId),
    /// Neither RTP nor RTCP came for too long while the leg was in a bridge.
    Quiet,
    /// A digit came while the leg was in a bridge.
    Dtmf {
        /// ASCII.
        digit: u8,
        /// How long.
        duration_ms: u32,
        /// How it came.
        method: HeardBy,
    },
    /// The media leg comes back from a bridge; `joint`: how a bridge that stood came apart.
    Return {
        /// The leg, if it still lives.
        leg: Option<Box<LegHandle>>,
        /// How it came apart; `None`: it never stood.
        joint: Option<Joint>,
    },
    /// The call for which this one was made is over.
    Unwanted,
}

/// Who hears whether a wish is granted.
#[derive(Debug)]
pub(super) enum ReplyTo {
    /// A request of the API.
    Api(oneshot::Sender<Result<CallRecord, WishError>>),
    /// The stream's client.
    Stream {
        /// The stream's number of the wish.
        ticket: u64,
    },
    /// The agent that conducts the call.
    Agent,
}

/// What ties a call to the one that it is joined with.
#[derive(Debug, Clone)]
pub(super) struct JointLink {
    /// Either side: part them.
    pub parted: CancellationToken,
    /// This call ends.
    pub gone: CancellationToken,
}

/// The second session of a call, to whom the other side asked us to call in its place.
#[derive(Debug)]
struct Side {
    session: SessionId,
    desk: Desk,
}

/// Everything that a call is made of before it starts.
pub(super) struct CallSetup {
    /// The machine.
    pub call: Call,
    /// Its SIP session.
    pub session: SessionId,
    /// What it plays.
    pub content: Content,
    /// What plays beneath, if somebody said so for this call.
    pub background: Option<BackgroundWish>,
    /// Whether and how the caller's words are written down.
    pub transcribe: Option<Transcribe>,
    /// What is done with what is heard.
    pub hearing: app::hearing::HearingWish,
    /// For an outgoing call.
    pub dial: Option<Dial>,
    /// For an incoming call: whom it is to be connected with.
    pub party: Option<DialWish>,
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
    /// Our number as the trunk's network is told it; `None`: by From alone.
    pub identity: Option<String>,
    /// Let the callee make the offer.
    pub late_offer: bool,
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

/// The codec of this moment, shared with those who look at the call.
type Codec = Arc<Mutex<Option<&'static str>>>;

/// What the outside may look at while the call lives.
#[derive(Clone)]
pub(super) struct CallView {
    /// The record.
    pub record: watch::Receiver<CallRecord>,
    /// The media leg, once there is one.
    pub media: Arc<OnceLock<LegControl>>,
    /// The codec, once agreed on; it may change.
    pub codec: Codec,
    /// Rate of the media leg's rings, in Hz.
    pub rate: u32,
}

impl CallView {
    /// The record with the quality of this moment.
    pub(super) fn snapshot(&self) -> CallRecord {
        let mut record = self.record.borrow().clone();
        if let Some(media) = self.media.get() {
            let codec = *self.codec.lock().unwrap_or_else(PoisonError::into_inner);
            record.quality = Some(Quality::from_report(&media.report(), codec, self.rate));
        }
        record
    }
}

impl CallView {
    /// How the call sounds at this moment.
    pub(super) fn stats(&self) -> CallStats {
        let media = self.media.get();
        CallStats {
            quality: self.snapshot().quality,
            hole_wait_ms: media.map(|media| media.report().rx_hole_wait_us / 1000),
            stages: media.map(|media| Stages::of(|stage| media.ledger().spread(stage))),
        }
    }
}

/// One call and its surroundings.
pub(super) struct CallActor {
    parts: Arc<Parts>,
    /// As they were when the call began.
    terms: Arc<Terms>,
    /// To the switchboard.
    desk: mpsc::Sender<CallAsk>,
    setup: CallSetup,
    app: Option<AppLeg>,
    /// The leg of those who watch an agent.
    watchers: Option<AppLeg>,
    description: Option<Desk>,
    leg: Option<LegHandle>,
    media: Arc<OnceLock<LegControl>>,
    codec: Codec,
    /// What both sides agreed on last.
    agreed: Option<Negotiated>,
    record: watch::Sender<CallRecord>,
    deadline: Option<Instant>,
    /// An offer of ours waits for its answer: an INVITE or re-INVITE carried none.
    delayed_offer: bool,
    /// How often the INVITE was redirected.
    redirects: u32,
    /// A session to whom the other side asked us to call.
    side: Option<Side>,
    /// Gives the other party of a transfer up that is being called.
    second: Option<CancellationToken>,
    /// While the leg is lent to a bridge.
    joint: Option<JointLink>,
    /// The agent waits for what becomes of its transfer.
    agent_waits: bool,
    keys: Keys,
    asked: recording::Asked,
    finished: bool,
}

impl CallActor {
    /// Makes the actor and the view of it.
    pub(super) fn new(
        parts: Arc<Parts>,
        mut setup: CallSetup,
        desk: mpsc::Sender<CallAsk>,
    ) -> (Box<Self>, CallView) {
        let (record, seen) = watch::channel(setup.call.record().clone());
        let media = Arc::new(OnceLock::new());
        let codec = Codec::default();
        let view = CallView {
            record: seen,
            media: Arc::clone(&media),
            codec: Arc::clone(&codec),
            rate: leg_rate(&setup.content, &setup.codecs).hz(),
        };
        let delayed_offer = setup.dial.is_none() && setup.offer.is_none();
        let watched = matches!(setup.content, Content::Agent(_));
        let (watchers, app) =
            if watched { (setup.app.take(), None) } else { (None, setup.app.take()) };
        let actor = Self {
            terms: parts.terms(),
            parts,
            desk,
            setup,
            app,
            watchers,
            description: None,
            leg: None,
            media,
            codec,
            agreed: None,
            record,
            deadline: None,
            delayed_offer,
            redirects: 0,
            side: None,
            second: None,
            joint: None,
            agent_waits: false,
            keys: Keys::default(),
            asked: recording::Asked::default(),
            finished: false,
        };
        (Box::new(actor), view)
    }

    /// Runs the call to its end; afterwards its record is stored and nothing of it is left.
    ///
    /// Cost: what it waits for within a message is boxed while that lasts, so that a call that only
    /// talks holds memory for none of it.
    pub(super) async fn run(mut self: Box<Self>, mut inbox: mpsc::Receiver<Message>) {
        Box::pin(self.drain()).await;
        while !self.finished {
            let deadline = [self.deadline, self.keys.deadline()].into_iter().flatten().min();
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => Box::pin(self.hear(message)).await,
                    None => self.feed(Input::Shutdown),
                },
                report = next_report(&mut self.app) => self.hear_app(report),
                report = next_report(&mut self.watchers) => self.hear_watchers(report),
                () = crate::net::sleep_until(deadline) => self.feed(Input::Timeout),
            }
            Box::pin(self.send_keys()).await;
            Box::pin(self.drain()).await;
        }
    }

    fn feed(&mut self, input: Input) {
        self.setup.call.handle(now(), input);
    }

    async fn hear(&mut self, message: Message) {
        match message {
            Message::Begin => self.feed(Input::Begin),
            Message::Sip(session, event) => self.hear_sip(session, *event).await,
            Message::Terminate => self.feed(Input::Terminate),
            Message::Draining => self.feed(Input::Draining),
            Message::Shutdown => {
                self.tell_app(Control::Leaving);
                self.show(Control::Leaving);
                self.feed(Input::Shutdown);
            }
            Message::Spent => {
                let detail = "the minutes of this day are used up".to_owned();
                self.setup.call.record_mut().end_detail = Some(detail);
                self.feed(Input::ContentEnded(EndReason::MaxDuration));
            }
            Message::SetMetadata(metadata, reply) => {
                self.setup.call.record_mut().metadata = metadata;
                self.publish();
                let _ = reply.send(Some(self.setup.call.record().clone()));
            }
            Message::Wish(wish, reply) => self.grant(&wish, reply),
            Message::Granted(reply) => self.reply(reply, Ok(())),
            Message::Denied(error, reply) => self.reply(reply, Err(error)),
            Message::Transfer(plan, reply) => self.hand_over(*plan, reply).await,
            Message::Progress(state) => self.feed(Input::Transfer(state)),
            Message::Side { session, uri, replaces } => {
                self.call_side(session, uri, replaces).await;
            }
            Message::Replace { session, offer } => self.replace(session, offer).await,
            Message::Lend(lend) => self.lend(now(), *lend),
            Message::Joined(with) => self.feed(Input::Bridged(with)),
            Message::Quiet => self.feed(Input::Quiet),
            Message::Dtmf { digit, duration_ms, method } => {
                self.tell_digit(digit, duration_ms, method);
            }
            Message::Return { leg, joint } => self.take_back(leg, joint),
            Message::Unwanted => self.feed(Input::Unwanted),
        }
    }

    async fn drain(&mut self) {
        loop {
            match self.setup.call.poll_output() {
                Output::Dial => self.dial().await,
                Output::CallParty => self.call_party(),
                Output::Ring => self.tell_sip(Command::Ring(self.setup.session)).await,
                Output::Progress => self.describe(true).await,
                Output::Answer => self.describe(false).await,
                Output::Reject(code, reason) => {
                    let session = self.setup.session;
                    self.tell_sip(Command::Reject { session, code, reason }).await;
                }
                Output::Hangup(reason) => {
                    self.leave_joint();
                    self.drop_side().await;
                    let session = self.setup.session;
                    let reason = Some(cause::notice(reason));
                    self.tell_sip(Command::Hangup { session, reason }).await;
                }
                Output::Reoffer(hold) => self.reoffer(hold).await,
                Output::Mute(muted) => self.mute(muted),
                Output::Tone(tone) => self.sound_tone(tone),
                Output::DropTransfer => {
                    self.drop_second();
                    if self.side.is_some() {
                        self.drop_side().await;
                        let (session, code) = (self.setup.session, 408);
                        self.tell_sip(Command::NotifyRefer { session, code }).await;
                    }
                }
                Output::TellTransfer(view) => self.tell_transfer(&view),
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
        self.leave_joint();
        self.drop_side().await;
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
            let codec = self.codec();
            let report = media.report();
            crate::observe::event::count_media(&report);
            let rate = leg_rate(&self.setup.content, &self.setup.codecs).hz();
            let quality = Quality::from_report(&report, codec, rate);
            let record = self.setup.call.record_mut();
            super::tell::quality(record.trunk.as_deref(), &quality);
            record.quality = Some(quality);
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
