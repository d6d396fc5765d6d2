//! The other party of a call: whom a transfer by bridge is to, or whom an incoming call is to be
//! connected with.
//!
//! ```text
//!  transfer by bridge ──> call_second ─┐                    ┌─> pair::hand_over
//!                                      ├─> gate, accounts, ─┤
//!  route or webhook ────> call_party ──┘   room, call       └─> pair::connect
//! ```
//!
//! Owns the call that is made for the other one. Whether it may be made is the gate's and the
//! accounts' to say, and what becomes of both the pair's.

use super::call_driver::{CallSetup, Dial, Message, now};
use super::gate;
use super::pair::{self, End};
use super::switchboard::Switchboard;
use crate::api::gateway::Content;
use crate::app::hearing::HearingWish;
use crate::call::control::{DialWish, OnPeerHangup, TransferWish, WishError};
use crate::call::record::{CallRecord, Direction};
use crate::call::{Call, Plan};
use crate::id::CallId;
use crate::sip::interface::TransferState;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long the two calls may talk at most.
const SECOND_LONGEST: Duration = Duration::from_secs(4 * 3600);

/// Why a number is not shown.
const NOT_SHOWN: &str = "`caller_id` and `caller_ids` of the trunk do not list the number to show";

/// Whom to call, and how.
struct Party {
    /// As it is shown.
    to: String,
    /// The Request-URI, checked.
    uri: String,
    trunk: String,
    /// Our number that is shown, if there is one to show.
    from: Option<String>,
    headers: Vec<(String, String)>,
    ring: Duration,
}

/// Why there is no call: what it is worth as a SIP status, and in words.
type Refused = (u16, String);

impl Switchboard {
    /// Calls the other party of a transfer, on the call's own trunk.
    pub(super) fn call_second(
        &mut self,
        id: &CallId,
        uri: String,
        wish: &TransferWish,
        dropped: CancellationToken,
    ) {
        let Some(a) = self.end(id, wish.on_peer_hangup) else { return };
        let record = a.record.borrow().clone();
        let trunk = record.trunk.clone().unwrap_or_default();
        let shown = self.shown(&record, &trunk);
        // The caller's own number may be named, too.
        let named = wish.from.as_ref().filter(|from| shown.as_ref() != Some(*from));
        if named.is_some_and(|from| !self.may_show(&trunk, from)) {
            return refuse(&a, (403, NOT_SHOWN.to_owned()));
        }
        let party = Party {
            to: wish.to.clone(),
            uri,
            from: wish.from.clone().or(shown),
            trunk,
            headers: wish.headers.clone(),
            ring: wish.timeout,
        };
        match self.call_out(&record, party) {
            Ok(b) => {
                self.pairs.spawn(pair::hand_over(a, b, dropped));
            }
            Err(refused) => refuse(&a, refused),
        }
    }

    /// Calls the party that an incoming call is to be connected with.
    pub(super) fn call_party(&mut self, id: &CallId, wish: DialWish, dropped: CancellationToken) {
        let Some(a) = self.end(id, OnPeerHangup::Hangup) else { return };
        let record = a.record.borrow().clone();
        let called = self.party(&record, wish).and_then(|party| self.call_out(&record, party));
        match called {
            Ok(b) => {
                self.pairs.spawn(pair::connect(a, b, dropped));
            }
            Err(refused) => refuse(&a, refused),
        }
    }

    /// Whom a wish means, if they may be called.
    fn party(&self, record: &CallRecord, wish: DialWish) -> Result<Party, Refused> {
        let DialWish { to, from, trunk, timeout } = wish;
        let trunk = trunk.or_else(|| record.trunk.clone()).unwrap_or_default();
        let parts = &self.spec.parts;
        let terms = parts.terms();
        let facts = terms.trunks.get(&trunk);
        let facts = facts.ok_or_else(|| (500, format!("there is no trunk {trunk:?}")))?;
        let uri = gate::target(parts, &trunk, record.key.as_deref(), &to).map_err(|error| {
            if matches!(error, WishError::NotAllowed(_)) {
                super::tell::destination_refused(record, &trunk, gate::number_of(&to));
            }
            (403, error.to_string())
        })?;
        if from.as_ref().is_some_and(|from| !facts.may_show(None, from)) {
            return Err((403, NOT_SHOWN.to_owned()));
        }
        let from = from.or_else(|| self.shown(record, &trunk));
        Ok(Party { to, uri, trunk, from, headers: Vec::new(), ring: timeout })
    }

    /// Whether a trunk may show a number.
    fn may_show(&self, trunk: &str, from: &str) -> bool {
        let terms = self.spec.parts.terms();
        terms.trunks.get(trunk).is_some_and(|facts| facts.may_show(None, from))
    }

    /// The number that is shown to the other party: that of an inbound call's caller, if the trunk
    /// lets us show it, else ours.
    fn shown(&self, record: &CallRecord, trunk: &str) -> Option<String> {
        let terms = self.spec.parts.terms();
        let facts = terms.trunks.get(trunk);
        let ours = facts.and_then(|facts| facts.caller_id.clone());
        let shown = match record.direction {
            Direction::Outbound => record.from.clone(),
            Direction::Inbound => record.from.clone().filter(|from| {
                let line = ours.as_deref();
                facts.is_some_and(|facts| facts.may_show(line, from))
            }),
        };
        shown.or(ours)
    }

    /// Makes the second call, if there is room and somebody pays for it.
    fn call_out(&mut self, record: &CallRecord, party: Party) -> Result<End, Refused> {
        let full = |why: &str| (503, why.to_owned());
        if self.draining.is_some() {
            return Err(full("the gateway is shutting down"));
        }
        let Party { to, uri, trunk, from, headers, ring } = party;
        let second = crate::api::fresh::call_id();
        let parts = &self.spec.parts;
        parts
            .admit_toll(&second, &trunk, record.key.as_deref())
            .map_err(|error| full(&error.to_string()))?;
        if !self.spec.queue.enter_second(Instant::now(), &second, &record.instance_id, &trunk) {
            parts.toll().ended(now(), &second);
            return Err(full("no room for another call on the trunk"));
        }
        let terms = parts.terms();
        let facts = terms.trunks.get(&trunk);
        let ours = facts.and_then(|facts| facts.caller_id.clone());
        let dial = Dial {
            uri,
            from_user: from.unwrap_or_default(),
            from_display: None,
            headers,
            identity: ours.filter(|_| facts.is_some_and(|facts| facts.identity)),
            late_offer: facts.is_some_and(|facts| facts.delayed_offer),
            trunk,
        };
        let plan = Plan::Outbound { ring, longest: SECOND_LONGEST };
        let setup = CallSetup {
            call: Call::new(second_record(&second, record, to, &dial), plan),
            session: self.fresh_session(),
            content: Content::Party(record.call_type),
            background: None,
            transcribe: None,
            hearing: HearingWish::default(),
            codecs: self.codecs(&dial.trunk),
            dial: Some(dial),
            party: None,
            offer: None,
            app: None,
        };
        self.enter(setup, None);
        let b = self.end(&second, OnPeerHangup::Hangup).ok_or_else(|| full("the call vanished"))?;
        let _ = b.inbox.try_send(Message::Begin);
        Ok(b)
    }
}

/// Tells a call that its other party is not called.
fn refuse(a: &End, (code, reason): Refused) {
    let _ = a.inbox.try_send(Message::Progress(TransferState::Failed { code, reason }));
}

fn second_record(id: &CallId, first: &CallRecord, to: String, dial: &Dial) -> CallRecord {
    CallRecord {
        from: Some(dial.from_user.clone()).filter(|from| !from.is_empty()),
        trunk: Some(dial.trunk.clone()),
        key: first.key.clone(),
        bridged_with: Some(first.id.clone()),
        ..CallRecord::new(
            id.clone(),
            first.instance_id.clone(),
            first.call_type,
            to,
            Direction::Outbound,
            now().unix_ms,
        )
    }
}
