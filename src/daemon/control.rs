//! The switchboard's part in what is asked of calls in their middle.
//!
//! Owns what one call alone cannot know: whether new calls may be made, whom a trunk may call,
//! which other call is meant, and who is joined with whom. What concerns one call alone goes to its
//! actor.

use super::call_driver::{Message, ReplyTo};
use super::pair::{self, End};
use super::switchboard::{LiveCall, Switchboard};
use super::{gate, trunks};
use crate::api::error::{Code, Problem};
use crate::api::gateway::TrunkStatus;
use crate::call::control::{BridgeWish, DialWish, OnPeerHangup, TransferWish, Wish, WishError};
use crate::call::record::{CallRecord, TransferMode};
use crate::id::{CallId, SessionId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How long an API request waits for its call to answer.
const REPLY_MAX: Duration = Duration::from_secs(8);

/// What a call asks of the switchboard; a full queue refuses.
#[derive(Debug)]
pub(super) enum CallAsk {
    /// A transfer or bridge that its stream or agent wishes.
    Wish {
        /// The call.
        call: CallId,
        /// A transfer or a bridge.
        wish: Box<Wish>,
        /// Who hears of it.
        reply: ReplyTo,
        /// The operator has listed the target.
        trusted: bool,
    },
    /// The other party of a granted transfer by bridge is to be called.
    Second {
        /// The call.
        call: CallId,
        /// The Request-URI.
        uri: String,
        /// The transfer.
        wish: Box<TransferWish>,
        /// Gives it up.
        dropped: CancellationToken,
    },
    /// The party is to be called that an incoming call is to be connected with.
    Party {
        /// The call.
        call: CallId,
        /// Whom.
        wish: Box<DialWish>,
        /// Gives it up.
        dropped: CancellationToken,
    },
    /// A session for whom the other side asked us to call.
    Session {
        /// The call.
        call: CallId,
        /// The Request-URI, checked.
        uri: String,
        /// The Replaces value of the new INVITE.
        replaces: Option<String>,
    },
}

/// A transfer that may be carried out.
#[derive(Debug)]
pub(super) struct TransferPlan {
    /// What was wished.
    pub wish: TransferWish,
    /// The Request-URI of the target.
    pub uri: String,
    /// Attended: the session that is replaced.
    pub replaces: Option<SessionId>,
}

impl Switchboard {
    /// Takes a wish of the API to its call.
    pub(super) fn control(
        &mut self,
        call: &CallId,
        wish: Wish,
        reply: oneshot::Sender<Result<CallRecord, Problem>>,
    ) {
        let (answer, answered) = oneshot::channel();
        self.wish(call, wish, ReplyTo::Api(answer), false);
        self.pairs.spawn(async move {
            let granted = match tokio::time::timeout(REPLY_MAX, answered).await {
                Ok(Ok(granted)) => granted.map_err(|error| problem_of(&error)),
                Ok(Err(_)) => Err(problem_of(&WishError::Ended)),
                Err(_) => Err(Problem::capacity_exceeded("the call does not answer")),
            };
            let _ = reply.send(granted);
        });
    }

    /// What a call asks.
    pub(super) fn hear_call(&mut self, ask: CallAsk) {
        match ask {
            CallAsk::Wish { call, wish, reply, trusted } => self.wish(&call, *wish, reply, trusted),
            CallAsk::Second { call, uri, wish, dropped } => {
                self.call_second(&call, uri, &wish, dropped);
            }
            CallAsk::Party { call, wish, dropped } => self.call_party(&call, *wish, dropped),
            CallAsk::Session { call, uri, replaces } => self.give_session(&call, uri, replaces),
        }
    }

    /// Lets a call take the place of the session that an INVITE with Replaces names; `false`: there
    /// is no such call.
    ///
    /// The call answers or refuses the new session. For `incoming()`: a trunk must permit it.
    pub(super) fn replace(
        &mut self,
        replaced: SessionId,
        session: SessionId,
        offer: Option<Vec<u8>>,
    ) -> bool {
        let Some(id) = self.sessions.get(&replaced).cloned() else { return false };
        let Some(call) = self.calls.get_mut(&id) else { return false };
        if call.inbox.try_send(Message::Replace { session, offer }).is_err() {
            return false;
        }
        call.more_sessions.push(session);
        self.sessions.insert(session, id);
        true
    }

    fn wish(&mut self, id: &CallId, wish: Wish, reply: ReplyTo, trusted: bool) {
        let Some(call) = self.calls.get(id) else {
            // Nobody is left to tell but a request of the API.
            if let ReplyTo::Api(reply) = reply {
                let _ = reply.send(Err(WishError::Ended));
            }
            return;
        };
        let message = match wish {
            Wish::Transfer(wish) => match self.plan_transfer(call, wish, &reply, trusted) {
                Ok(plan) => Message::Transfer(Box::new(plan), reply),
                Err(error) => Message::Denied(error, reply),
            },
            Wish::Bridge(wish) => match self.other(call, id, &wish.with, &reply) {
                Ok(()) => return self.bridge(id, &wish, reply),
                Err(error) => Message::Denied(error, reply),
            },
            wish => Message::Wish(Box::new(wish), reply),
        };
        // A full inbox drops the reply, and whoever waits for it is told so.
        let _ = call.inbox.try_send(message);
    }

    /// Whether two calls may have to do with each other.
    ///
    /// The API has looked at its key; a stream or an agent knows the calls of its own line only.
    fn other(
        &self,
        call: &LiveCall,
        id: &CallId,
        other: &CallId,
        reply: &ReplyTo,
    ) -> Result<(), WishError> {
        let by_api = matches!(reply, ReplyTo::Api(_));
        let found = self.calls.get(other).filter(|found| by_api || found.instance == call.instance);
        if found.is_none() {
            return Err(WishError::Invalid(format!("there is no active call {other}")));
        }
        if other == id {
            return Err(WishError::Invalid("a call cannot be joined with itself".to_owned()));
        }
        Ok(())
    }

    fn plan_transfer(
        &self,
        call: &LiveCall,
        wish: TransferWish,
        reply: &ReplyTo,
        trusted: bool,
    ) -> Result<TransferPlan, WishError> {
        if self.draining.is_some() {
            return Err(WishError::Draining);
        }
        let record = call.view.record.borrow();
        let trunk = record.trunk.clone().unwrap_or_default();
        let parts = &self.spec.parts;
        let uri = if trusted {
            gate::request_uri(parts, &trunk, &wish.to)?
        } else {
            gate::target(parts, &trunk, record.key.as_deref(), &wish.to).inspect_err(|error| {
                if matches!(error, WishError::NotAllowed(_)) {
                    super::tell::destination_refused(&record, &trunk, gate::number_of(&wish.to));
                }
            })?
        };
        let replaces = match (&wish.replaces, wish.mode) {
            (Some(other), TransferMode::Attended) => {
                self.other(call, &record.id, other, reply)?;
                Some(self.replaced(other, &trunk)?)
            }
            (None, TransferMode::Attended) => {
                let detail = "an attended transfer needs the call that is replaced";
                return Err(WishError::Invalid(detail.to_owned()));
            }
            (Some(_), _) => {
                let detail = "only an attended transfer replaces a call";
                return Err(WishError::Invalid(detail.to_owned()));
            }
            (None, TransferMode::Blind | TransferMode::Bridge | TransferMode::Referred) => None,
        };
        Ok(TransferPlan { wish, uri, replaces })
    }

    /// The session of the call that an attended transfer replaces.
    fn replaced(&self, other: &CallId, trunk: &str) -> Result<SessionId, WishError> {
        let call = self.calls.get(other).ok_or(WishError::Ended)?;
        let record = call.view.record.borrow();
        if record.trunk.as_deref() != Some(trunk) {
            let detail = format!("call {other} is on another trunk; use mode bridge");
            return Err(WishError::Conflict(detail));
        }
        if record.answered_at.is_none() {
            return Err(WishError::Conflict(format!("call {other} is not answered")));
        }
        Ok(call.session)
    }

    /// Joins two calls.
    fn bridge(&mut self, id: &CallId, wish: &BridgeWish, reply: ReplyTo) {
        let policy = wish.on_peer_hangup;
        let Some((a, b)) = self.end(id, policy).zip(self.end(&wish.with, policy)) else { return };
        let inbox = a.inbox.clone();
        let (told, standing) = oneshot::channel();
        let record = a.record.clone();
        self.pairs.spawn(pair::join(a, b, false, told));
        self.pairs.spawn(async move {
            let standing = standing.await.unwrap_or(Err(WishError::Ended));
            match (reply, standing) {
                (ReplyTo::Api(reply), Ok(())) => {
                    let joined = joined(record).await;
                    let _ = reply.send(Ok(joined));
                }
                (reply, Ok(())) => {
                    let _ = inbox.send(Message::Granted(reply)).await;
                }
                (reply, Err(error)) => {
                    let _ = inbox.send(Message::Denied(error, reply)).await;
                }
            }
        });
    }

    /// A call as a pair knows it.
    pub(super) fn end(&self, id: &CallId, on_peer_hangup: OnPeerHangup) -> Option<End> {
        let call = self.calls.get(id)?;
        let (inbox, record) = (call.inbox.clone(), call.view.record.clone());
        let pace = self.spec.parts.terms().pace;
        Some(End { id: id.clone(), inbox, record, on_peer_hangup, pace })
    }

    /// A second session for a call, whose other side asked us to call somebody.
    fn give_session(&mut self, id: &CallId, uri: String, replaces: Option<String>) {
        let session = if self.draining.is_some() { Err(503) } else { Ok(self.fresh_session()) };
        let Some(call) = self.calls.get_mut(id) else { return };
        if let Ok(session) = session {
            call.more_sessions.push(session);
            self.sessions.insert(session, id.clone());
        }
        let _ = call.inbox.try_send(Message::Side { session, uri, replaces });
    }

    /// The next id of our own sessions.
    pub(super) fn fresh_session(&mut self) -> SessionId {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        session
    }

    /// How the trunks are doing.
    pub(super) fn trunk_states(&self) -> Vec<TrunkStatus> {
        let mut active: BTreeMap<String, u64> = BTreeMap::new();
        for call in self.calls.values() {
            let record = call.view.record.borrow();
            if let Some(trunk) = record.trunk.as_ref().filter(|_| record.status.is_active()) {
                *active.entry(trunk.clone()).or_default() += 1;
            }
        }
        let terms = self.spec.parts.terms();
        let status = |(name, facts): (&String, &super::parts::TrunkFacts)| {
            let codecs = facts.codecs.iter().map(|codec| codec.spec().name);
            let calls = active.get(name).copied().unwrap_or(0);
            self.trunks.status(name, &codecs.collect::<Vec<_>>(), calls, trunks::now())
        };
        terms.trunks.iter().map(status).collect()
    }
}

/// The record once it says that the call is joined.
async fn joined(mut record: tokio::sync::watch::Receiver<CallRecord>) -> CallRecord {
    let said = record.wait_for(|record| record.bridged || record.ended_at.is_some());
    if let Ok(Ok(record)) = tokio::time::timeout(Duration::from_secs(1), said).await {
        return record.clone();
    }
    record.borrow().clone()
}

/// What REST answers when a wish is not granted.
fn problem_of(error: &WishError) -> Problem {
    let code = match error {
        WishError::Conflict(_) => Code::Conflict,
        WishError::Ended => Code::CallEnded,
        WishError::NotAllowed(_) => Code::DestinationNotAllowed,
        WishError::Invalid(_) => Code::InvalidRequest,
        WishError::NotServed(_) => Code::NotImplemented,
        WishError::Draining => Code::Draining,
        WishError::Full(_) => Code::CapacityExceeded,
    };
    let problem = Problem::new(code, error.to_string());
    match error {
        WishError::Draining | WishError::Full(_) => {
            problem.with_retry_after(Duration::from_secs(1))
        }
        WishError::Conflict(_)
        | WishError::Ended
        | WishError::NotAllowed(_)
        | WishError::Invalid(_)
        | WishError::NotServed(_) => problem,
    }
}
