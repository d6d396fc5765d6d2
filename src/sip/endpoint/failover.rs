//! From one gateway to the next: when an attempt counts as failed, and what is then left alone.
//!
//! | what came | next gateway | quarantine |
//! |---|---|---|
//! | nothing for 4 s, or for Timer B or F where nothing else is left | yes | 30 s |
//! | ICMP, connection refused or lost | yes | 30 s |
//! | 503 | yes, even after ringing | Retry-After up to 10 min, else 30 s |
//! | 408, 504 before ringing | yes | no: something behind the gateway is silent |
//! | any other final answer | no: it is the callee's or the call's, and would be the same | no |
//! | 1xx, then silence | no: somebody is at work | no |
//!
//! Owns those rules. The list of what is left to try, and the trying, is in `requests`.

use super::Endpoint;
use super::quarantine;
use super::requests::{Outcome, Owner, RequestId, Stage, Withdrawal, reason_phrase_of};
use super::route::Target;
use crate::sip::interface::Note;
use crate::sip::message::{Message, Method, Name};
use std::time::{Duration, Instant};

/// How long an attempt may go without any response while there is another way to try.
///
/// A gateway that lives says 100 within 200 ms (RFC 3261 §17.2.1); by then UDP has sent four
/// copies, of which one comes through and back even where a third of all packets is lost. Timer B
/// alone, at 32 s, is longer than callers wait.
pub(super) const ATTEMPT_PATIENCE: Duration = Duration::from_secs(4);

impl Endpoint {
    /// An attempt has had no response for as long as it may while there are other ways.
    pub(super) fn attempt_due(&mut self, now: Instant, id: RequestId) {
        let Some(outgoing) = self.requests.get(&id) else { return };
        let Stage::Running { client, .. } = outgoing.stage else { return };
        // A CANCEL has to wait for the gateway's first word.
        if outgoing.withdrawal != Withdrawal::None || self.clients.is_proceeding(client) {
            return;
        }
        self.abandon(now, client, outgoing.trunk);
        self.attempt_failed(now, id, Outcome::TimedOut);
    }

    /// An attempt ended without a final answer.
    pub(super) fn attempt_failed(&mut self, now: Instant, id: RequestId, outcome: Outcome) {
        let Some(outgoing) = self.requests.get_mut(&id) else { return };
        if outgoing.withdrawal != Withdrawal::None {
            return self.give_up(now, id);
        }
        // A connection that broke says nothing about a fresh one to the same gateway.
        if !outgoing.targets.front().is_some_and(|target| target.again) {
            self.leave_alone(now, id, quarantine::DEFAULT);
        }
        self.go_on(now, id, outcome);
    }

    /// Goes on to the next way.
    fn go_on(&mut self, now: Instant, id: RequestId, outcome: Outcome) {
        self.attempt_timers.clear(&id);
        let Some(outgoing) = self.requests.get_mut(&id) else { return };
        outgoing.stage = Stage::Idle;
        outgoing.last = outcome;
        if outgoing.request.method == Method::Register {
            //= RFC 3261 §10.3: a registrar aborts a REGISTER whose CSeq is not higher than the last
            outgoing.request.cseq += 1;
        }
        self.advance(now, id);
    }

    /// Puts the gateway of the running attempt in quarantine.
    fn leave_alone(&mut self, now: Instant, id: RequestId, length: Duration) {
        let Some(outgoing) = self.requests.get(&id).filter(|o| o.gateway_bound) else { return };
        let Stage::Running { target, .. } = &outgoing.stage else { return };
        let length = length.min(quarantine::MAX);
        let (way, gateway) = ((outgoing.trunk, target.transport, target.address), target.address);
        let pinging = matches!(outgoing.owner, Owner::Ping(_));
        if !target.detour && !pinging && self.quarantine.put(now, way, length) {
            let trunk = self.trunks.get(way.0).map(|trunk| trunk.name.clone()).unwrap_or_default();
            self.note(Note::Quarantined { trunk, gateway, length });
        }
    }

    /// A connection broke before the answer came: the peer may well accept a fresh one, once.
    pub(super) fn reconnect(&mut self, id: RequestId) {
        if let Some(outgoing) = self.requests.get_mut(&id)
            && let Stage::Running { target, .. } = &outgoing.stage
            && !target.again
        {
            let target = Target { connection: None, again: true, ..target.clone() };
            outgoing.targets.push_front(target);
        }
    }

    /// A gateway that says anything but 503 is well; its answer to a ping does not say that it
    /// takes calls before the Retry-After that it gave.
    pub(super) fn proved(&mut self, id: RequestId, code: u16) {
        if let Some(outgoing) = self.requests.get(&id)
            && let Stage::Running { target, .. } = &outgoing.stage
            && code != 503
            && !matches!(outgoing.owner, Owner::Ping(_))
        {
            self.quarantine.lift(&(outgoing.trunk, target.transport, target.address));
        }
    }

    /// Tries again where a final answer allows it.
    pub(super) fn retry(
        &mut self,
        now: Instant,
        id: RequestId,
        code: u16,
        message: &Message<'_>,
    ) -> bool {
        if matches!(code, 401 | 407) && self.authorize(now, id, message) {
            return true;
        }
        let Some(outgoing) = self.requests.get_mut(&id) else { return false };
        // 408 and 504 before ringing: something behind the gateway is silent. After ringing it is
        // the callee's silence. Every other answer is the callee's or the call's and would be the
        // same elsewhere: 480 and 486 too, and 500, which says nothing about the gateway's health.
        //= RFC 3263 §4.3: failure is a 503, a transport error or a time-out; then the next element
        //= is tried, by a new transaction
        let elsewhere = code == 503 || (matches!(code, 408 | 504) && !outgoing.rang);
        let more = outgoing.has_more() || !outgoing.targets.is_empty();
        let more = more || !outgoing.postponed.is_empty();
        if code == 503 {
            //= RFC 3261 §21.5.4: no requests to that server for the duration of Retry-After
            let length = message.seconds(Name::RetryAfter).map(|s| Duration::from_secs(s.into()));
            self.leave_alone(now, id, length.unwrap_or(quarantine::DEFAULT));
        }
        if !elsewhere || !more {
            return false;
        }
        self.go_on(now, id, Outcome::Refused { code, reason: reason_phrase_of(message) });
        true
    }
}
