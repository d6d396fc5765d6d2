//! Reception: an incoming INVITE on its way to a call.
//!
//! ```text
//!  Incoming ─> route? ─> credentials? ─> webhook? ─> room? ─> call
//!               404         401           its code     503
//! ```
//!
//! Owns the calls that wait for credentials or for a webhook, and the record of those that are
//! refused. As many wait as the endpoint has sessions. Does not know SIP beyond the seam.

use super::call_driver::{CallSetup, Message, now};
use super::decision::{Desk, Hook, Verdict};
use super::inbound::{InboundAction, InboundRoute, Meets, choose};
use super::switchboard::Switchboard;
use crate::call::queue::Line;
use crate::call::record::{CallRecord, CallStatus, CallType, Direction, EndReason, HangupParty};
use crate::call::{Call, Plan};
use crate::id::{CallId, InstanceId, SessionId};
use crate::sip::interface::{Command, Event, Incoming};
use serde_json::{Map, Value};
use std::collections::HashMap;
use tokio::task::JoinSet;

/// An INVITE that waits.
struct Waiting {
    incoming: Incoming,
    route: usize,
    call: CallId,
}

/// What a webhook said of a session's call.
pub(super) struct Taken {
    session: SessionId,
    verdict: Result<Verdict, String>,
}

/// How inbound calls find their way.
pub(super) struct Reception {
    routes: Vec<InboundRoute>,
    desk: Desk,
    waiting: HashMap<SessionId, Waiting>,
    asked: JoinSet<Taken>,
}

impl Reception {
    /// A reception with these routes, in order.
    pub(super) fn new(routes: Vec<InboundRoute>, desk: Desk) -> Self {
        Self { routes, desk, waiting: HashMap::new(), asked: JoinSet::new() }
    }

    /// Whether this session waits here.
    pub(super) fn holds(&self, session: SessionId) -> bool {
        self.waiting.contains_key(&session)
    }

    /// The next answer of a webhook.
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
        let Some((route, auth)) = choose(routes, &incoming) else {
            self.refused(fresh(), InstanceId::nobody(), &incoming, 404, "no route");
            return self.refuse(session, 404, String::new()).await;
        };
        let waiting = Waiting { incoming, route, call: fresh() };
        let Some(auth) = auth.cloned() else {
            return self.meet(session, waiting).await;
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
        let facts = self.spec.parts.trunks.get(&incoming.trunk);
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
                    self.meet(session, waiting).await;
                }
            }
            Event::Ended(ending) => {
                let Some(waiting) = self.spec.reception.waiting.remove(&session) else { return };
                // A challenge is no attempt yet: the call comes again with credentials.
                if ending.code != Some(401) {
                    let instance = self.instance_of(waiting.route);
                    let code = ending.code.unwrap_or(487);
                    self.refused(waiting.call, instance, &waiting.incoming, code, &ending.reason);
                }
            }
            _ => {}
        }
    }

    /// A webhook has answered.
    pub(super) async fn take_decided(&mut self, taken: Taken) {
        let session = taken.session;
        // Without it, the caller has hung up in the meantime.
        let Some(waiting) = self.spec.reception.waiting.remove(&session) else { return };
        match taken.verdict {
            Ok(Verdict { action, metadata }) => {
                self.admit(session, waiting, action, metadata).await;
            }
            Err(detail) => {
                let call_id = &waiting.call;
                tracing::warn!(%call_id, detail, "decision webhook failed");
                let code = match self.spec.reception.routes.get(waiting.route) {
                    Some(InboundRoute { meets: Meets::Hook(hook), .. }) => hook.sip_code,
                    Some(_) | None => 480,
                };
                let instance = self.instance_of(waiting.route);
                self.refused(waiting.call, instance, &waiting.incoming, code, &detail);
                self.refuse(session, code, String::new()).await;
            }
        }
    }

    /// A call that may come in meets what its route says.
    async fn meet(&mut self, session: SessionId, waiting: Waiting) {
        let meets = self.spec.reception.routes.get(waiting.route).map(|route| route.meets.clone());
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
        self.spec.reception.waiting.insert(session, waiting);
        self.spec.reception.asked.spawn(async move {
            let verdict = desk.ask(&hook, &call, &incoming, unix_ms).await;
            Taken { session, verdict }
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
        let instance = self.instance_of(waiting.route);
        let Waiting { incoming, call: id, .. } = waiting;
        let line = self.spec.lines.get(&instance).cloned().unwrap_or(Line {
            trunk: incoming.trunk.clone(),
            active_max: usize::MAX,
            queue_max: 0,
        });
        let line = Line { trunk: incoming.trunk.clone(), ..line };
        let needs_port = !matches!(action.plan, Plan::RingOnly { .. } | Plan::Reject { .. });
        let no_port = needs_port && self.spec.parts.media.status().ports_free == 0;
        let room = !no_port && self.draining.is_none();
        if !room || !self.spec.queue.enter_inbound(&id, &instance, line) {
            let why = if no_port { "no RTP port is free" } else { "no room for another call" };
            self.refused(id, instance, &incoming, 503, why);
            return self.refuse(session, 503, String::new()).await;
        }
        let mut record = record(id.clone(), instance, &incoming, action.content.call_type());
        record.metadata = metadata;
        let (app, seats) = match action.plan {
            Plan::Inbound { .. } | Plan::Ask { .. } => {
                self.stream_leg(&record, &action.content, None, None)
            }
            Plan::Outbound { .. } | Plan::RingOnly { .. } | Plan::Reject { .. } => (None, None),
        };
        let setup = CallSetup {
            codecs: self.codecs(&incoming.trunk),
            call: Call::new(record, action.plan),
            session,
            content: action.content,
            transcribe: None,
            amd: None,
            dial: None,
            offer: incoming.sdp,
            app,
        };
        self.enter(setup, seats);
        if let Some(call) = self.calls.get(&id) {
            let _ = call.inbox.try_send(Message::Begin);
        }
    }

    async fn refuse(&self, session: SessionId, code: u16, reason: String) {
        let _ = self.spec.parts.sip.send(Command::Reject { session, code, reason }).await;
    }

    /// Writes down a call that was refused at the door.
    fn refused(
        &self,
        id: CallId,
        instance: InstanceId,
        incoming: &Incoming,
        code: u16,
        detail: &str,
    ) {
        let mut record = record(id, instance, incoming, CallType::DynamicStream);
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

    fn instance_of(&self, route: usize) -> InstanceId {
        let route = self.spec.reception.routes.get(route);
        // Routes do not change while the daemon runs.
        route.map_or_else(InstanceId::nobody, |route| route.instance.clone())
    }
}

fn fresh() -> CallId {
    crate::api::fresh::call_id()
}

fn record(
    id: CallId,
    instance: InstanceId,
    incoming: &Incoming,
    call_type: CallType,
) -> CallRecord {
    CallRecord {
        from: Some(incoming.from_user.clone()).filter(|from| !from.is_empty()),
        trunk: Some(incoming.trunk.clone()),
        sip_call_id: Some(incoming.sip_call_id.clone()),
        ..CallRecord::new(
            id,
            instance,
            call_type,
            incoming.to_user.clone(),
            Direction::Inbound,
            now().unix_ms,
        )
    }
}
