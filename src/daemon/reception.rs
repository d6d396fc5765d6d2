//! Reception: an incoming INVITE on its way to a call.
//!
//! ```text
//!  Incoming ─> route? ─> credentials? ─> caller? ─> webhook? ─> room? ─> call
//!               404         401         403, 428, 436 …  its code    503
//! ```
//!
//! Owns the calls that wait for credentials, a certificate or a webhook, and the record of those that are
//! refused. As many wait as the endpoint has sessions. Does not know SIP beyond the seam.

use super::call_driver::{CallSetup, Message, now};
use super::decision::{Desk, Hook, Verdict};
use super::identity::{self, Vetting};
use super::inbound::{InboundAction, InboundRoute, Meets, choose};
use super::switchboard::{Switchboard, dialled_state};
use super::verify::Verifier;
use crate::api::gateway::Content;
use crate::app::hearing::HearingWish;
use crate::call::identity::Verified;
use crate::call::queue::Line;
use crate::call::record::{CallRecord, CallStatus, CallType, Direction, EndReason, HangupParty};
use crate::call::{Call, Plan};
use crate::id::{CallId, InstanceId, SessionId};
use crate::sip::interface::{Command, Event, Incoming};
use crate::sip::stir::{Fault, Finding};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// An INVITE that waits.
struct Waiting {
    incoming: Incoming,
    /// Nobody's without one.
    route: Option<Arc<InboundRoute>>,
    call: CallId,
    /// What was found of who calls, where the trunk wants to know.
    verified: Option<Verified>,
}

impl Waiting {
    fn instance(&self) -> InstanceId {
        self.route.as_ref().map_or_else(InstanceId::nobody, |route| route.instance.clone())
    }
}

/// What somebody else said of a session's call.
pub(super) struct Taken {
    session: SessionId,
    said: Said,
}

enum Said {
    /// Who calls.
    Found(Finding),
    /// What a webhook wants.
    Decided(Result<Box<Verdict>, String>),
}

/// How inbound calls find their way.
pub(super) struct Reception {
    routes: Vec<Arc<InboundRoute>>,
    desk: Desk,
    verifier: Option<Verifier>,
    waiting: HashMap<SessionId, Waiting>,
    asked: JoinSet<Taken>,
}

impl Reception {
    /// A reception with these routes, in order.
    pub(super) fn new(routes: Vec<InboundRoute>, desk: Desk, verifier: Option<Verifier>) -> Self {
        let routes = routes.into_iter().map(Arc::new).collect();
        Self { routes, desk, verifier, waiting: HashMap::new(), asked: JoinSet::new() }
    }

    /// Other routes for INVITEs that come from here on.
    pub(super) fn renew(&mut self, routes: Vec<InboundRoute>, desk: Desk) {
        self.routes = routes.into_iter().map(Arc::new).collect();
        self.desk = desk;
    }

    /// Whether this session waits here.
    pub(super) fn holds(&self, session: SessionId) -> bool {
        self.waiting.contains_key(&session)
    }

    /// The next answer of a webhook or verifier.
    pub(super) async fn decided(&mut self) -> Taken {
        loop {
            match self.asked.join_next().await {
                Some(Ok(taken)) => return taken,
                // A task that panicked: its caller hears 100 until the peer gives up.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

impl Switchboard {
    /// A new INVITE.
    pub(super) async fn incoming(&mut self, session: SessionId, incoming: Incoming) {
        if let Some(replaced) = incoming.replaces {
            return self.take_over(session, replaced, incoming).await;
        }
        let routes = &self.spec.reception.routes;
        let Some(route) = choose(routes, &incoming).cloned() else {
            let waiting = Waiting { incoming, route: None, call: fresh(), verified: None };
            self.refused(&waiting, 404, "no route");
            return self.refuse(session, 404, String::new()).await;
        };
        let auth = route.auth.clone();
        let waiting = Waiting { incoming, route: Some(route), call: fresh(), verified: None };
        let Some(auth) = auth else {
            return self.vet(session, waiting).await;
        };
        self.spec.reception.waiting.insert(session, waiting);
        let ask = Command::Authenticate {
            session,
            realm: auth.realm,
            username: auth.username,
            password: auth.password.to_secret_string(),
            algorithms: auth.algorithms,
        };
        let _ = self.spec.parts.sip.send(ask).await;
    }

    /// An INVITE that takes the place of a session (RFC 3891), where the trunk permits that.
    async fn take_over(&mut self, session: SessionId, replaced: SessionId, incoming: Incoming) {
        let terms = self.spec.parts.terms();
        let facts = terms.trunks.get(&incoming.trunk);
        let may = facts.is_some_and(|facts| facts.refer);
        if !may || !self.replace(replaced, session, incoming.sdp) {
            self.refuse(session, 603, String::new()).await;
        }
    }

    /// Something happened to a session that waits.
    pub(super) async fn hear_waiting(&mut self, session: SessionId, event: &Event) {
        match event {
            Event::Authenticated { .. } => {
                if let Some(waiting) = self.spec.reception.waiting.remove(&session) {
                    self.vet(session, waiting).await;
                }
            }
            Event::Ended(ending) => {
                let Some(waiting) = self.spec.reception.waiting.remove(&session) else { return };
                // A challenge is no attempt yet: the call comes again with credentials.
                if ending.code != Some(401) {
                    self.refused(&waiting, ending.code.unwrap_or(487), &ending.reason);
                }
            }
            _ => {}
        }
    }

    /// A webhook or verifier has answered.
    pub(super) async fn take_decided(&mut self, taken: Taken) {
        let session = taken.session;
        // Without it, the caller has hung up in the meantime.
        let Some(waiting) = self.spec.reception.waiting.remove(&session) else { return };
        match taken.said {
            Said::Found(finding) => self.found(session, waiting, &finding).await,
            Said::Decided(verdict) => self.decided(session, waiting, verdict).await,
        }
    }

    /// Looks who calls, where the trunk wants to know.
    async fn vet(&mut self, session: SessionId, waiting: Waiting) {
        if self.vetting(&waiting).is_none() {
            return self.meet(session, waiting).await;
        }
        let Some(verifier) = self.spec.reception.verifier.clone() else {
            // The configuration's check forbids it; nobody comes in by it.
            let nobody = Fault::Unavailable("no authority is trusted".to_owned());
            return self.found(session, waiting, &Err(nobody)).await;
        };
        let claims = identity::claims(&waiting.incoming);
        let unix = Duration::from_millis(u64::try_from(now().unix_ms).unwrap_or(0));
        self.spec.reception.waiting.insert(session, waiting);
        self.spec.reception.asked.spawn(async move {
            let said = Said::Found(verifier.verify(claims, unix).await);
            Taken { session, said }
        });
    }

    /// It is known who calls, or that it is not.
    async fn found(&mut self, session: SessionId, mut waiting: Waiting, finding: &Finding) {
        let verified = identity::verified(finding);
        identity::report(waiting.call.as_str(), &waiting.incoming.trunk, &verified);
        let refusal = self.vetting(&waiting).and_then(|vetting| vetting.refusal(finding));
        let detail = verified.reason.clone();
        waiting.verified = Some(verified);
        match refusal {
            None => self.meet(session, waiting).await,
            Some((code, phrase)) => {
                self.refused(&waiting, code, detail.as_deref().unwrap_or(phrase));
                self.refuse(session, code, phrase.to_owned()).await;
            }
        }
    }

    fn vetting(&self, waiting: &Waiting) -> Option<Vetting> {
        self.spec.parts.terms().trunks.get(&waiting.incoming.trunk)?.vetting
    }

    /// A webhook has decided, or failed.
    async fn decided(
        &mut self,
        session: SessionId,
        waiting: Waiting,
        verdict: Result<Box<Verdict>, String>,
    ) {
        match verdict {
            Ok(verdict) => {
                let Verdict { action, metadata } = *verdict;
                self.admit(session, waiting, action, metadata).await;
            }
            Err(detail) => {
                let call_id = &waiting.call;
                tracing::warn!(%call_id, detail, "decision webhook failed");
                let code = match waiting.route.as_ref().map(|route| &route.meets) {
                    Some(Meets::Hook(hook)) => hook.sip_code,
                    Some(Meets::Action(_)) | None => 480,
                };
                self.refused(&waiting, code, &detail);
                self.refuse(session, code, String::new()).await;
            }
        }
    }

    /// A call that may come in meets what its route says.
    async fn meet(&mut self, session: SessionId, waiting: Waiting) {
        let meets = waiting.route.as_ref().map(|route| route.meets.clone());
        match meets {
            Some(Meets::Action(action)) => {
                self.admit(session, waiting, action, Map::new()).await;
            }
            Some(Meets::Hook(hook)) => self.ask(session, waiting, hook),
            None => self.refuse(session, 404, String::new()).await,
        }
    }

    fn ask(&mut self, session: SessionId, waiting: Waiting, hook: Hook) {
        let (desk, incoming) = (self.spec.reception.desk.clone(), waiting.incoming.clone());
        let (call, unix_ms) = (waiting.call.clone(), now().unix_ms);
        let identity = identity::told(&incoming, waiting.verified.as_ref());
        self.spec.reception.waiting.insert(session, waiting);
        self.spec.reception.asked.spawn(async move {
            let verdict = desk.ask(&hook, &call, (&incoming, &identity), unix_ms).await;
            Taken { session, said: Said::Decided(verdict.map(Box::new)) }
        });
    }

    /// Makes a call of it, if there is room.
    async fn admit(
        &mut self,
        session: SessionId,
        waiting: Waiting,
        action: InboundAction,
        metadata: Map<String, Value>,
    ) {
        let instance = waiting.instance();
        let id = waiting.call.clone();
        let trunk = waiting.incoming.trunk.clone();
        let line = self.spec.lines.get(&instance).cloned().unwrap_or(Line {
            trunk: trunk.clone(),
            active_max: usize::MAX,
            queue_max: 0,
        });
        let line = Line { trunk: trunk.clone(), ..line };
        let needs_port = !matches!(action.plan, Plan::RingOnly { .. } | Plan::Reject { .. });
        let (content, hearing) = self.heard(&instance, &action);
        let settled = {
            let parts = &self.spec.parts;
            parts.terms().dial.settle(&instance, &content, parts)
        };
        let settled = match settled {
            Ok(settled) => settled,
            Err(refused) => {
                // A webhook named the client: a route's was looked at when it was read.
                tracing::warn!(call_id = %id, %refused, "stream client refused");
                self.refused(&waiting, 480, &refused.to_string());
                return self.refuse(session, 480, String::new()).await;
            }
        };
        let no_port = needs_port && self.spec.parts.media.status().ports_free == 0;
        let room = !no_port && self.draining.is_none();
        if !room || !self.spec.queue.enter_inbound(&id, &instance, line) {
            let why = if no_port { "no RTP port is free" } else { "no room for another call" };
            self.refused(&waiting, 503, why);
            return self.refuse(session, 503, String::new()).await;
        }
        let mut record = record(&waiting, instance, content.call_type());
        record.metadata = metadata;
        record.stream = dialled_state(&settled);
        let (app, seats) = match action.plan {
            Plan::Inbound { .. } | Plan::Ask { .. } => {
                self.stream_leg(&record, &content, settled, None, &hearing)
            }
            Plan::Outbound { .. }
            | Plan::Dial { .. }
            | Plan::RingOnly { .. }
            | Plan::Reject { .. } => (None, None),
        };
        let setup = CallSetup {
            codecs: self.codecs(&trunk),
            call: Call::new(record, action.plan),
            session,
            content,
            background: None,
            transcribe: None,
            hearing,
            dial: None,
            party: action.party,
            offer: waiting.incoming.sdp,
            app,
        };
        self.enter(setup, seats);
        if let Some(call) = self.calls.get(&id) {
            let _ = call.inbox.try_send(Message::Begin);
        }
    }

    /// What an incoming call plays, and what a voice does to that. Who answered is no question: we do.
    fn heard(&self, instance: &InstanceId, action: &InboundAction) -> (Content, HearingWish) {
        let terms = self.spec.parts.terms();
        let barge = terms.stream.barge_of(instance.as_str(), *action.barge);
        let mut content = action.content.clone();
        if let Content::Stream { options, .. } = &mut content {
            options.barge = barge;
        }
        (content, HearingWish { barge, ..HearingWish::default() })
    }

    async fn refuse(&self, session: SessionId, code: u16, reason: String) {
        let _ = self.spec.parts.sip.send(Command::Reject { session, code, reason }).await;
    }

    /// Writes down a call that was refused at the door.
    fn refused(&self, waiting: &Waiting, code: u16, detail: &str) {
        let instance = waiting.instance();
        let mut record = record(waiting, instance, CallType::DynamicStream);
        record.status = CallStatus::Failed;
        record.ended_at = Some(record.created_at);
        record.sip_code = Some(code);
        let canceled = code == 487;
        record.end_reason = Some(match code {
            487 => EndReason::Canceled,
            503 => EndReason::Congestion,
            _ => EndReason::Rejected,
        });
        record.end_detail = Some(detail.to_owned()).filter(|detail| !detail.is_empty());
        let party = if canceled { HangupParty::Caller } else { HangupParty::Gateway };
        record.hangup_party = Some(party);
        self.spec.parts.store_call(&record);
        super::tell::ended(&record);
    }
}

fn fresh() -> CallId {
    crate::api::fresh::call_id()
}

fn record(waiting: &Waiting, instance: InstanceId, call_type: CallType) -> CallRecord {
    let incoming = &waiting.incoming;
    let told = identity::told(incoming, waiting.verified.as_ref());
    CallRecord {
        identity: Some(Box::new(told)).filter(|told| !told.is_empty()),
        from: Some(incoming.from_user.clone()).filter(|from| !from.is_empty()),
        trunk: Some(incoming.trunk.clone()),
        sip_call_id: Some(incoming.sip_call_id.clone()),
        sip_headers: identity::headers(incoming),
        ..CallRecord::new(
            waiting.call.clone(),
            instance,
            call_type,
            incoming.to_user.clone(),
            Direction::Inbound,
            now().unix_ms,
        )
    }
}
