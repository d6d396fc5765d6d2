//! The switchboard: the one task that knows all calls.
//!
//! ```text
//!  API ── gateway::Command ──> ┌─────────────┐ ── Message ──> call actors
//!  SIP task ── SipEvent ─────> │ Switchboard │
//!  ended actors ─────────────> └─────────────┘ <── CallQueue (whose turn is it)
//! ```
//!
//! Owns the table of live calls, the queue and admission. Does not drive calls: each has its actor,
//! and a panic in one ends that call and no other.

use super::call_driver::{AppLeg, CallActor, CallSetup, CallView, Dial, Message, app_leg, now};
use super::control::CallAsk;
use super::decision::Desk;
use super::dialer::Settled;
use super::inbound::InboundRoute;
use super::parts::{Parts, leg_rate};
use super::reception::Reception;
use super::trunks::{self, TrunkBoard};
use crate::api::error::{Code, Problem};
use crate::api::gateway::{Command, Content, Created, NewCall, Status};
use crate::app::hearing::HearingWish;
use crate::app::stream::{StreamOptions, StreamSeats, StreamSpec};
use crate::app::transcribe::Transcribe;
use crate::call::queue::{CallQueue, Line, Pace, QueueError};
use crate::call::record::{CallRecord, CallStatus, Direction, EndReason, HangupParty, StreamState};
use crate::call::toll::TollError;
use crate::call::{Call, Plan};
use crate::id::{CallId, InstanceId, SessionId};
use crate::net::sip::SipEvent;
use crate::sip::endpoint::EndpointStats;
use crate::sip::interface::{Command as SipCommand, Event, Note};
use crate::store::{Dedupe, InstanceSettings};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// Messages that may wait for one call; a call that lets more pile up is ended.
const INBOX_MAX: usize = 64;

/// What calls may ask of the switchboard at once; beyond, they are refused.
const ASKS_MAX: usize = 256;

/// How often the minutes of the day are looked at.
const BILL_EVERY: Duration = Duration::from_secs(1);

/// How long a node that stops waits for the last callbacks.
const CALLBACKS_MAX: Duration = Duration::from_secs(3);

/// The first id of our own sessions; the endpoint numbers incoming ones from the other end.
const OUTGOING_SESSIONS: u64 = 1;

/// A call as the switchboard knows it.
pub(super) struct LiveCall {
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) view: CallView,
    pub(super) session: SessionId,
    /// Sessions that it got later, by REFER or Replaces.
    pub(super) more_sessions: Vec<SessionId>,
    pub(super) instance: InstanceId,
    seats: Option<StreamSeats>,
}

/// How the switchboard is set up.
pub(super) struct SwitchboardSpec {
    /// What calls share.
    pub parts: Arc<Parts>,
    /// Paces outgoing calls.
    pub queue: CallQueue,
    /// How inbound calls find their way.
    pub reception: Reception,
    /// Limits of the lines that routes name.
    pub lines: BTreeMap<InstanceId, Line>,
    /// Table sizes of the endpoint.
    pub sip_stats: watch::Receiver<EndpointStats>,
    /// How long a drain waits for calls to end by themselves.
    pub drain_timeout: Duration,
    /// What was read again.
    pub renewals: mpsc::Receiver<Box<Renewed>>,
}

/// What a reload changes for inbound calls and the queue.
pub(super) struct Renewed {
    /// The routes, in order.
    pub routes: Vec<InboundRoute>,
    /// What answers of decision webhooks are read with.
    pub desk: Desk,
    /// Limits of the lines that routes name.
    pub lines: BTreeMap<InstanceId, Line>,
    /// How the calls of each trunk are paced.
    pub paces: Vec<(String, Pace)>,
}

/// The task's state.
pub(super) struct Switchboard {
    pub(super) spec: SwitchboardSpec,
    pub(super) calls: HashMap<CallId, LiveCall>,
    pub(super) sessions: HashMap<SessionId, CallId>,
    actors: JoinSet<CallId>,
    tasks: HashMap<Id, CallId>,
    /// Joined calls, and requests that wait for their call; each ends with its calls.
    pub(super) pairs: JoinSet<()>,
    /// Who is told how calls are doing; one task for each such call, and a little longer.
    callbacks: JoinSet<()>,
    asks: (mpsc::Sender<CallAsk>, mpsc::Receiver<CallAsk>),
    pub(super) trunks: TrunkBoard,
    pub(super) next_session: u64,
    next_call: Option<Instant>,
    /// When the minutes of the day are looked at.
    next_bill: Option<Instant>,
    pub(super) draining: Option<Instant>,
    /// Calls that a drain did not wait for.
    cut: usize,
}

/// What somebody wants of the switchboard.
enum Wanted {
    ByApi(Command),
    ByCall(CallAsk),
}

/// What the call object says of a client that is going to be dialled.
pub(super) fn dialled_state(settled: &Settled) -> Option<StreamState> {
    let url = settled.url.clone()?;
    Some(StreamState { url: Some(url), ..StreamState::default() })
}

impl Switchboard {
    /// Makes a switchboard without calls.
    pub(super) fn new(spec: SwitchboardSpec) -> Self {
        let next_bill = spec.parts.toll().has_budgets().then(Instant::now);
        Self {
            spec,
            calls: HashMap::new(),
            sessions: HashMap::new(),
            actors: JoinSet::new(),
            tasks: HashMap::new(),
            pairs: JoinSet::new(),
            callbacks: JoinSet::new(),
            asks: mpsc::channel(ASKS_MAX),
            trunks: TrunkBoard::default(),
            next_session: OUTGOING_SESSIONS,
            next_call: None,
            next_bill,
            draining: None,
            cut: 0,
        }
    }

    /// Runs until a drain is complete; `drained` is cancelled then. Gives how many calls it cut.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut sip: mpsc::Receiver<SipEvent>,
        drained: CancellationToken,
    ) -> usize {
        loop {
            let wake = [self.next_call, self.draining, self.next_bill].into_iter().flatten().min();
            tokio::select! {
                Some(wanted) = next_wanted(&mut commands, &mut self.asks.1) => match wanted {
                    Wanted::ByApi(command) => self.serve(command).await,
                    Wanted::ByCall(ask) => self.hear_call(ask),
                },
                Some(event) = sip.recv() => self.hear_sip(event).await,
                Some(ended) = self.actors.join_next_with_id() => self.forget(ended).await,
                Some(renewed) = self.spec.renewals.recv() => self.renew(*renewed),
                taken = self.spec.reception.decided() => self.take_decided(taken).await,
                () = crate::net::sleep_until(wake) => {}
            }
            while self.pairs.try_join_next().is_some() {}
            while self.callbacks.try_join_next().is_some() {}
            self.dial_next();
            self.end_spent();
            if self.draining.is_some_and(|until| until <= Instant::now()) {
                self.end_all();
            }
            if self.draining.is_some() && self.calls.is_empty() {
                self.last_callbacks().await;
                drained.cancel();
                return self.cut;
            }
        }
    }

    /// Takes what was read again; calls that wait at the reception keep the route they were given.
    fn renew(&mut self, renewed: Renewed) {
        self.spec.reception.renew(renewed.routes, renewed.desk);
        self.spec.lines = renewed.lines;
        for (trunk, pace) in renewed.paces {
            self.spec.queue.set_pace(&trunk, pace);
        }
    }

    async fn serve(&mut self, command: Command) {
        match command {
            Command::Create(new, reply) => {
                let _ = reply.send(self.create(*new));
            }
            Command::Live(id, reply) => {
                let _ = reply.send(self.calls.get(&id).map(|call| self.snapshot(&id, call)));
            }
            Command::Stats(id, reply) => {
                let _ = reply.send(self.calls.get(&id).map(|call| call.view.stats()));
            }
            Command::LiveOf(instance, reply) => {
                let _ = reply.send(self.live_of(instance.as_ref()));
            }
            Command::Terminate(id, reply) => {
                let _ = reply.send(self.terminate(&id));
            }
            Command::Attach(id, options, reply) => {
                let _ = reply.send(self.attach(&id, options));
            }
            Command::SetMetadata(id, metadata, reply) => match self.calls.get(&id) {
                Some(call) => {
                    let _ = call.inbox.try_send(Message::SetMetadata(metadata, reply));
                }
                None => {
                    let _ = reply.send(None);
                }
            },
            Command::Control(id, wish, reply) => self.control(&id, *wish, reply),
            Command::Trunks(reply) => {
                let _ = reply.send(self.trunk_states());
            }
            Command::Status(reply) => {
                let _ = reply.send(self.status());
            }
            Command::Drain => self.drain().await,
        }
    }

    /// Ends the calls of those who have used up the day's minutes.
    fn end_spent(&mut self) {
        let now_mono = Instant::now();
        if self.next_bill.is_none_or(|at| at > now_mono) {
            return;
        }
        self.next_bill = Some(now_mono + BILL_EVERY);
        let over = self.spec.parts.toll().over(now());
        for call in over.iter().filter_map(|id| self.calls.get(id)) {
            let _ = call.inbox.try_send(Message::Spent);
        }
    }

    async fn drain(&mut self) {
        if self.draining.is_some() {
            // A second wish to stop means at once.
            self.draining = Some(Instant::now());
            return;
        }
        self.draining = Some(Instant::now() + self.spec.drain_timeout);
        let _ = self.spec.parts.sip.send(SipCommand::Drain).await;
        for call in self.calls.values() {
            let _ = call.inbox.try_send(Message::Draining);
        }
    }

    fn end_all(&mut self) {
        self.cut = self.cut.max(self.calls.len());
        self.draining = Some(Instant::now() + Duration::from_secs(1));
        for call in self.calls.values() {
            let _ = call.inbox.try_send(Message::Shutdown);
        }
    }

    fn create(&mut self, new: NewCall) -> Result<Created, Problem> {
        if self.draining.is_some() {
            // By then it has stopped, and may have been started again.
            return Err(Problem::new(Code::Draining, "the gateway is shutting down")
                .with_retry_after(self.spec.drain_timeout));
        }
        if let Some(existing) = self.duplicate(&new) {
            return Ok(Created::Existing(existing));
        }
        let (line, dial) = self.plan_dial(&new)?;
        let parts = &self.spec.parts;
        let settled = parts.terms().dial.settle(&new.instance, &new.content, parts)?;
        if parts.overloaded.load(Ordering::Relaxed) {
            return Err(Problem::capacity_exceeded("the media threads are at their limit"));
        }
        parts.admit_toll(&new.id, &line.trunk, new.key.as_deref()).map_err(|error| toll(&error))?;
        let mut record = outgoing_record(&new, &line.trunk, &dial);
        record.stream = dialled_state(&settled);
        let terms = parts.terms();
        let facts = terms.trunks.get(&line.trunk);
        let trunk_longest = facts.and_then(|facts| facts.longest).unwrap_or(Duration::MAX);
        let longest = new.max_duration.min(trunk_longest);
        let plan = Plan::Outbound { ring: new.ring_timeout, longest };
        self.spec.queue.push(new.id.clone(), &new.instance, line.clone()).map_err(|error| {
            self.spec.parts.toll().ended(now(), &new.id);
            match error {
                QueueError::Full => Problem::new(
                    Code::TrunkCpsExceeded,
                    format!("{} calls wait on instance {} already", line.queue_max, new.instance),
                )
                .with_retry_after(Duration::from_secs(1)),
                QueueError::NoTrunk => no_trunk(),
            }
        })?;
        let codecs = self.codecs(&line.trunk);
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let transcribe = new.transcribe.clone();
        let (app, seats) =
            self.stream_leg(&record, &new.content, settled, transcribe, &new.hearing);
        let call = Call::new(record, plan);
        let setup = CallSetup {
            call,
            session,
            content: new.content,
            background: new.background,
            transcribe: new.transcribe,
            hearing: new.hearing,
            dial: Some(dial),
            party: None,
            offer: None,
            codecs,
            app,
        };
        let callback = super::twiml::callback(&self.spec.parts, &setup);
        self.enter(setup, seats);
        self.tell_status(&new.id, callback);
        let call = self.calls.get(&new.id).map(|call| self.snapshot(&new.id, call));
        call.map(Created::New).ok_or_else(|| Problem::internal("the call vanished"))
    }

    fn duplicate(&self, new: &NewCall) -> Option<CallRecord> {
        let same = |call: &&(&CallId, &LiveCall)| {
            call.1.instance == new.instance
                && match new.settings.dedupe {
                    Dedupe::Off => false,
                    Dedupe::Instance => true,
                    Dedupe::Target => call.1.view.record.borrow().target_phone == new.target,
                }
        };
        let calls = self.calls.iter();
        let found = calls.filter(|call| same(&call)).min_by_key(|(id, _)| id.as_str().to_owned());
        found.map(|(id, call)| self.snapshot(id, call)).filter(|record| record.status.is_active())
    }

    fn plan_dial(&self, new: &NewCall) -> Result<(Line, Dial), Problem> {
        let parts = &self.spec.parts;
        let trunk = new.settings.trunk.clone().or_else(|| parts.default_trunk.clone());
        let trunk = trunk.ok_or_else(no_trunk)?;
        let terms = parts.terms();
        let facts = terms.trunks.get(&trunk).ok_or_else(no_trunk)?;
        parts
            .may_dial(&trunk, new.key.as_deref(), &new.target)
            .map_err(|detail| Problem::new(Code::DestinationNotAllowed, detail))?;
        let is_uri = new.target.starts_with("sip:") || new.target.starts_with("sips:");
        let uri = if is_uri {
            new.target.clone()
        } else {
            format!("sip:{}@{}", new.target, facts.domain)
        };
        if let Some(wish) = &new.background {
            parts.sound.check(wish).map_err(|detail| {
                Problem::new(Code::InvalidRequest, detail).with_pointer("/background", "unknown")
            })?;
        }
        let settings = &new.settings;
        let line_number = settings.caller_id.as_deref();
        if new.from.as_ref().is_some_and(|from| !facts.may_show(line_number, from)) {
            let detail = format!(
                "the call may not show this number; `caller_id` and `caller_ids` of trunk {trunk} \
                 and `callerId` of the instance list those that it may"
            );
            return Err(
                Problem::new(Code::InvalidRequest, detail).with_pointer("/from", "not_allowed")
            );
        }
        let from = new.from.clone().or_else(|| settings.caller_id.clone());
        let from = from.or_else(|| facts.caller_id.clone());
        let dial = Dial {
            trunk: trunk.clone(),
            uri,
            identity: from.clone().filter(|_| facts.identity),
            from_user: from.unwrap_or_default(),
            from_display: new.from_name.clone(),
            headers: new.headers.clone(),
            late_offer: facts.delayed_offer,
        };
        Ok((line_of(settings, trunk), dial))
    }

    pub(super) fn codecs(&self, trunk: &str) -> Vec<crate::audio::codec::CodecId> {
        self.spec.parts.codecs(trunk)
    }

    /// Starts the application leg of a stream call, so that a client can come before the answer.
    pub(super) fn stream_leg(
        &self,
        record: &CallRecord,
        content: &Content,
        settled: Settled,
        transcribe: Option<Transcribe>,
        wish: &HearingWish,
    ) -> (Option<AppLeg>, Option<StreamSeats>) {
        let parts = &self.spec.parts;
        if let Content::Twiml(request) = content {
            return (Some(super::twiml::leg(parts, record, request)), None);
        }
        Self::stream_leg_of(parts, record, content, settled, transcribe, wish)
    }

    /// The same for a call that has one only now.
    pub(super) fn stream_leg_of(
        parts: &Parts,
        record: &CallRecord,
        content: &Content,
        settled: Settled,
        transcribe: Option<Transcribe>,
        wish: &HearingWish,
    ) -> (Option<AppLeg>, Option<StreamSeats>) {
        let (options, wait, observer, start) = match content {
            Content::Stream { wait, ask, .. } => (settled.options, *wait, false, ask.record),
            // Its clients watch an agent at work.
            Content::Agent(_) => (StreamOptions::default(), Duration::ZERO, true, None),
            Content::Tts(_) | Content::Audio { .. } | Content::Twiml(_) | Content::Party(_) => {
                return (None, None);
            }
        };
        let terms = parts.terms();
        let defaults = &terms.stream;
        let codecs = parts.codecs(record.trunk.as_deref().unwrap_or_default());
        let rate = defaults.rates.get(record.instance_id.as_str());
        let spec = StreamSpec {
            call: record.id.clone(),
            instance: record.instance_id.clone(),
            direction: record.direction,
            from: record.from.clone(),
            identity: record.identity.clone(),
            sip: crate::app::stream::wire::Sip {
                call_id: record.sip_call_id.clone(),
                headers: record.sip_headers.clone(),
            },
            srtp: record.srtp,
            to: record.target_phone.clone(),
            options,
            sample_rate: leg_rate(content, &codecs).hz(),
            default_rate: rate.copied().unwrap_or(16_000),
            buffer: defaults.buffer,
            water: defaults.water,
            timing: defaults.timing,
            level: defaults.level_of(record.instance_id.as_str()),
            wait,
            observer,
            keys_by_call: parts.keys_by_info(record.trunk.as_deref()),
            linger: defaults.linger,
            secret: crate::api::fresh::octets(),
            hearing: wish.of_stream(defaults.hearing),
            amd: wish.amd,
            parameters: settled.parameters,
            account: settled.account,
            dial: settled.dial,
            speak: Some(parts.speaker()),
            stt: terms.agents.parts.stt.clone(),
            transcribe,
            recordings: parts.recordings.clone(),
            record: start,
        };
        let spawn = |control, reports| crate::app::stream::spawn(spec, control, reports);
        let (seats, leg) = app_leg(spawn);
        (Some(leg), Some(seats))
    }

    /// Tells somebody how a call is doing, if they want to know.
    fn tell_status(&mut self, id: &CallId, callback: Option<super::twiml::Callback>) {
        let call = self.calls.get(id);
        if let Some((call, callback)) = call.zip(callback) {
            self.callbacks.spawn(callback(call.view.record.clone()));
        }
    }

    /// Waits a little for what is still to be told of calls that are over.
    async fn last_callbacks(&mut self) {
        let told = async { while self.callbacks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(CALLBACKS_MAX, told).await;
    }

    /// Starts a call's actor and remembers it.
    pub(super) fn enter(&mut self, setup: CallSetup, seats: Option<StreamSeats>) {
        let id = setup.call.record().id.clone();
        let instance = setup.call.record().instance_id.clone();
        let session = setup.session;
        super::tell::created(setup.call.record());
        let desk = self.asks.0.clone();
        let (actor, view) = CallActor::new(Arc::clone(&self.spec.parts), setup, desk);
        let (inbox, received) = mpsc::channel(INBOX_MAX);
        let ended = id.clone();
        let task = self.actors.spawn(async move {
            actor.run(received).await;
            ended
        });
        self.tasks.insert(task.id(), id.clone());
        self.sessions.insert(session, id.clone());
        let more_sessions = Vec::new();
        let live = LiveCall { inbox, view, session, more_sessions, instance, seats };
        self.calls.insert(id, live);
    }

    fn dial_next(&mut self) {
        if self.draining.is_some() {
            return;
        }
        loop {
            match self.spec.queue.pop(Instant::now()) {
                Ok(id) => {
                    if let Some(call) = self.calls.get(&id) {
                        let _ = call.inbox.try_send(Message::Begin);
                    }
                }
                Err(until) => {
                    self.next_call = until;
                    return;
                }
            }
        }
    }

    async fn forget(&mut self, ended: Result<(Id, CallId), tokio::task::JoinError>) {
        let (task, panicked) = match &ended {
            Ok((task, _)) => (*task, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let Some(id) = self.tasks.remove(&task) else { return };
        self.spec.queue.finish(&id);
        self.spec.parts.toll().ended(now(), &id);
        let Some(call) = self.calls.remove(&id) else { return };
        for session in std::iter::once(&call.session).chain(&call.more_sessions) {
            self.sessions.remove(session);
        }
        if panicked {
            tracing::error!(call_id = %id, "a call's actor panicked; the call is ended");
            for session in std::iter::once(call.session).chain(call.more_sessions.iter().copied()) {
                let hangup = SipCommand::Hangup { session, reason: None };
                let _ = self.spec.parts.sip.send(hangup).await;
            }
            let mut record = call.view.snapshot();
            record.status = CallStatus::Failed;
            record.end_reason = Some(EndReason::Error);
            record.hangup_party = Some(HangupParty::Gateway);
            record.ended_at = Some(now().unix_ms);
            self.spec.parts.store_call(&record);
        }
    }

    async fn hear_sip(&mut self, event: SipEvent) {
        match event {
            SipEvent::Session(session, Event::Incoming(incoming)) => {
                self.incoming(session, *incoming).await;
            }
            SipEvent::Session(session, event) if self.spec.reception.holds(session) => {
                self.hear_waiting(session, &event).await;
            }
            SipEvent::Session(session, event) => {
                let id = self.sessions.get(&session);
                let Some(call) = id.and_then(|id| self.calls.get(id)) else { return };
                if call.inbox.try_send(Message::Sip(session, Box::new(event))).is_err() {
                    let hangup = SipCommand::Hangup { session, reason: None };
                    let _ = self.spec.parts.sip.send(hangup).await;
                }
            }
            SipEvent::Note(note) => self.note(&note),
        }
    }

    fn note(&mut self, note: &Note) {
        if let Note::TrunkState { trunk, up } = note {
            self.spec.parts.note_trunk(trunk, *up);
        }
        self.trunks.note(note, trunks::now());
        super::tell::sip_note(note);
    }

    fn terminate(&self, id: &CallId) -> bool {
        let Some(call) = self.calls.get(id) else { return false };
        let active = call.view.record.borrow().status.is_active();
        active && call.inbox.try_send(Message::Terminate).is_ok()
    }

    fn attach(
        &self,
        id: &CallId,
        options: StreamOptions,
    ) -> Result<crate::app::stream::StreamAttachment, Problem> {
        let call = self.calls.get(id).ok_or_else(|| {
            Problem::new(Code::CallEnded, format!("call {id} is over or was never there"))
        })?;
        let seats = call.seats.as_ref().ok_or_else(|| {
            Problem::new(
                Code::Conflict,
                "only DYNAMIC_STREAM and DYNAMIC_AGENT calls have a stream",
            )
        })?;
        seats.reserve(options).map_err(Problem::from)
    }

    fn live_of(&self, instance: Option<&InstanceId>) -> Vec<CallRecord> {
        let wanted = |call: &LiveCall| instance.is_none_or(|instance| call.instance == *instance);
        let calls = self.calls.iter().filter(|(_, call)| wanted(call));
        let mut records: Vec<_> = calls.map(|(id, call)| self.snapshot(id, call)).collect();
        records.sort_by(|a, b| a.id.cmp(&b.id));
        records
    }

    fn snapshot(&self, id: &CallId, call: &LiveCall) -> CallRecord {
        let mut record = call.view.snapshot();
        record.queue_position = self.spec.queue.position(id, &call.instance);
        record
    }

    fn status(&self) -> Status {
        let mut calls: BTreeMap<String, u64> = BTreeMap::new();
        for call in self.calls.values() {
            let status = call.view.record.borrow().status;
            *calls.entry(status.as_str().to_owned()).or_default() += 1;
        }
        let pool = self.spec.parts.media.status();
        let sip = *self.spec.sip_stats.borrow();
        let mut reasons = Vec::new();
        if self.draining.is_some() {
            reasons.push("draining".to_owned());
        }
        if self.spec.parts.all_trunks_down() {
            reasons.push("no trunk answers OPTIONS".to_owned());
        }
        Status {
            ready: self.draining.is_none(),
            reasons,
            calls,
            rtp_ports_used: pool.ports_used as u64,
            rtp_ports_free: pool.ports_free as u64,
            sip_transactions: sip.transactions as u64,
            sip_dialogs: sip.dialogs as u64,
            legs: pool.legs as u64,
            open_fds: super::open_descriptors(),
        }
    }
}

fn toll(error: &TollError) -> Problem {
    let code = match error {
        TollError::Rate(..) => Code::RateLimited,
        TollError::Calls(..) | TollError::Minutes(..) => Code::CapacityExceeded,
    };
    Problem::new(code, error.to_string()).with_retry_after(Duration::from_secs(1))
}

/// The next thing that somebody wants; never ends, the switchboard holds an end of its own.
async fn next_wanted(
    commands: &mut mpsc::Receiver<Command>,
    asks: &mut mpsc::Receiver<CallAsk>,
) -> Option<Wanted> {
    tokio::select! {
        Some(command) = commands.recv() => Some(Wanted::ByApi(command)),
        Some(ask) = asks.recv() => Some(Wanted::ByCall(ask)),
        else => None,
    }
}

fn no_trunk() -> Problem {
    Problem::new(Code::TrunkUnavailable, "the instance has no trunk; configure one in [[trunk]]")
}

fn line_of(settings: &InstanceSettings, trunk: String) -> Line {
    Line {
        trunk,
        active_max: settings.max_active_calls as usize,
        queue_max: settings.queue_limit as usize,
    }
}

fn outgoing_record(new: &NewCall, trunk: &str, dial: &Dial) -> CallRecord {
    CallRecord {
        from: Some(dial.from_user.clone()).filter(|from| !from.is_empty()),
        trunk: Some(trunk.to_owned()),
        key: new.key.clone(),
        metadata: new.metadata.clone(),
        ..CallRecord::new(
            new.id.clone(),
            new.instance.clone(),
            new.content.call_type(),
            new.target.clone(),
            Direction::Outbound,
            now().unix_ms,
        )
    }
}
