//! What happens to the call's SIP sessions.
//!
//! A call has one session; a second one only while the other side's wish to be replaced (REFER) is
//! being fulfilled.

use super::{CallActor, Side};
use crate::call::control::{HeardBy, OnPeerHangup, TransferWish, Wish};
use crate::call::machine::Reoffered;
use crate::call::record::{EndReason, TransferMode};
use crate::call::{Input, cause};
use crate::daemon::control::CallAsk;
use crate::daemon::gate;
use crate::daemon::parts::Terms;
use crate::id::{CallId, SessionId};
use crate::observe::event::{self, Happening as _};
use crate::observe::redact::Number;
use crate::sip::interface::{Command, Ending, Event, Invite, TransferState};
use std::time::Duration;

/// Redirections that one call follows.
const REDIRECTS_MAX: u32 = 5;
/// How long somebody may ring whom the other side asked us to call.
const REFERRED_RING: Duration = Duration::from_secs(60);

impl CallActor {
    pub(super) async fn hear_sip(&mut self, session: SessionId, event: Event) {
        if session == self.setup.session {
            self.hear_session(event).await;
        } else if self.side.as_ref().is_some_and(|side| side.session == session) {
            self.hear_side(event).await;
        }
        // What a session says that was given up does not concern the call any more.
    }

    async fn hear_session(&mut self, event: Event) {
        match event {
            Event::Dialing { sip_call_id } => {
                self.feed(Input::Dialing { sip_call_id });
                self.tell_signalled();
            }
            Event::Provisional { code, sdp, fork: _ } => {
                // The branch that spoke last is heard; the answer brings the one that is kept.
                let early_media = sdp.is_some_and(|sdp| self.accept(&sdp));
                self.feed(Input::Provisional { code, early_media });
            }
            Event::Answered { sdp } => {
                let agreed = match sdp {
                    Some(sdp) => self.accept(&sdp),
                    None => self.has_agreed(),
                };
                self.answered(agreed);
            }
            Event::Confirmed { sdp } => {
                let agreed = match sdp {
                    Some(sdp) if self.delayed_offer => self.accept(&sdp),
                    Some(_) | None => !self.delayed_offer || self.has_agreed(),
                };
                self.delayed_offer = false;
                self.answered(agreed);
            }
            Event::Agreed { sdp } => {
                self.delayed_offer = false;
                if !self.accept(&sdp) {
                    self.feed(Input::MediaFailed);
                }
            }
            Event::Offered { sdp } => self.acknowledge(&sdp).await,
            Event::Redirected { code: _, targets } => self.redirect(&targets).await,
            Event::Reoffer { sdp } => self.reanswer(sdp).await,
            Event::Reoffered(outcome) => self.reoffered(outcome),
            Event::InfoDtmf { digit, duration_ms } => {
                if let Ok(digit) = u8::try_from(digit) {
                    self.tell_digit(digit, duration_ms, HeardBy::Info);
                }
            }
            Event::ReferAsked { to, replaces, referred_by: _ } => self.referred(to, replaces).await,
            Event::Transfer(state) => self.feed(Input::Transfer(state)),
            Event::Ended(ending) => self.feed(Input::SessionEnded(ending)),
            Event::Incoming(_) | Event::Authenticated { .. } => {}
        }
    }

    fn answered(&mut self, agreed: bool) {
        let before = self.setup.call.record().answered_at.is_some();
        self.feed(Input::Answered);
        if !before {
            self.parts.toll().answered(super::now(), &self.setup.call.record().id);
            super::super::tell::answered(self.setup.call.record(), self.codec());
        }
        if agreed {
            self.see_hold();
        } else {
            self.feed(Input::MediaFailed);
        }
    }

    /// Sends the INVITE.
    pub(super) async fn dial(&mut self) {
        let Some(mut dial) = self.setup.dial.clone() else { return };
        let shown = [Some(dial.from_user.as_str()), dial.identity.as_deref()];
        let from = shown.into_iter().flatten().find(|number| !number.is_empty());
        let from = from.unwrap_or_default().to_owned();
        let call = self.setup.call.record().id.clone();
        match signature(&self.terms, &call, &dial.trunk, (&from, &dial.uri)).await {
            Ok(field) => dial.headers.extend(field),
            Err(detail) => {
                self.setup.call.record_mut().end_detail = Some(detail);
                return self.feed(Input::Refused(EndReason::Error));
            }
        }
        if !self.open_leg() {
            return self.feed(Input::Refused(EndReason::Congestion));
        }
        self.start_content();
        let Some(desk) = &mut self.description else { return };
        let sdp = (!dial.late_offer).then(|| desk.offer());
        let invite = Invite {
            session: self.setup.session,
            trunk: dial.trunk,
            to: dial.uri,
            from_user: dial.from_user,
            from_display: dial.from_display,
            headers: dial.headers,
            sdp,
            identity: dial.identity,
            replaces: None,
        };
        self.tell_sip(Command::Invite(Box::new(invite))).await;
    }

    /// Goes to the first target that the trunk may dial, if any.
    async fn redirect(&mut self, targets: &[String]) {
        let record = self.setup.call.record();
        let trunk = record.trunk.clone().unwrap_or_default();
        self.redirects += 1;
        if self.redirects > REDIRECTS_MAX {
            self.setup.call.record_mut().end_detail = Some("redirected too often".to_owned());
            return self.feed(Input::Astray(EndReason::Error));
        }
        let key = record.key.as_deref();
        let may = |to: &&String| self.parts.may_follow(&trunk, key, to).is_ok();
        let allowed = targets.iter().find(may).cloned();
        let session = self.setup.session;
        if let Some(to) = allowed {
            return self.tell_sip(Command::Redirect { session, to }).await;
        }
        for to in targets.iter().take(1) {
            let instance_id = record.instance_id.as_str();
            let to = Number(gate::number_of(to));
            event::DestinationRefused { instance_id, trunk: &trunk, to }.report();
        }
        let detail = "redirected to a destination that the trunk may not dial".to_owned();
        self.setup.call.record_mut().end_detail = Some(detail);
        self.feed(Input::Astray(EndReason::DestinationNotAllowed));
    }

    fn reoffered(&mut self, outcome: Result<Vec<u8>, u16>) {
        let outcome = match outcome {
            Ok(answer) if self.accept(&answer) => Reoffered::Agreed,
            Ok(_) => Reoffered::Refused(488),
            Err(code) => Reoffered::Refused(code),
        };
        if let (Reoffered::Refused(_), Some(desk)) = (outcome, &mut self.description) {
            desk.hold(desk.local().direction.receive);
        }
        self.feed(Input::Reoffered(outcome));
    }

    /// The other side asks us to call somebody in its place.
    async fn referred(&mut self, to: String, replaces: Option<String>) {
        let session = self.setup.session;
        let trunk = self.setup.call.record().trunk.clone().unwrap_or_default();
        let refuse = |code| Command::AnswerRefer { session, code };
        let key = self.setup.call.record().key.clone();
        let Ok(uri) = gate::target(&self.parts, &trunk, key.as_deref(), &to) else {
            let instance_id = self.setup.call.record().instance_id.as_str();
            let to = Number(gate::number_of(&to));
            event::DestinationRefused { instance_id, trunk: &trunk, to }.report();
            return self.tell_sip(refuse(403)).await;
        };
        let wish = Wish::Transfer(TransferWish {
            to: crate::observe::redact::escape(&to).chars().take(256).collect(),
            from: None,
            mode: TransferMode::Referred,
            replaces: None,
            headers: Vec::new(),
            timeout: REFERRED_RING,
            on_peer_hangup: OnPeerHangup::Continue,
        });
        if self.side.is_some() || self.setup.call.ask(super::now(), &wish).is_err() {
            return self.tell_sip(refuse(491)).await;
        }
        let call = self.setup.call.record().id.clone();
        if self.parts.admit_toll(&call, &trunk, key.as_deref()).is_err() {
            return self.tell_sip(refuse(503)).await;
        }
        // Counted from here: who refers pays for the ringing, too.
        self.parts.toll().answered(super::now(), &call);
        self.tell_sip(Command::AnswerRefer { session, code: 202 }).await;
        self.ask_desk(CallAsk::Session { call, uri, replaces });
    }

    /// There is a session for the call that the other side asked for, or there may be none.
    pub(super) async fn call_side(
        &mut self,
        session: Result<SessionId, u16>,
        uri: String,
        replaces: Option<String>,
    ) {
        let session = match session {
            Ok(session) => session,
            Err(code) => return self.side_failed(code).await,
        };
        let record = self.setup.call.record();
        let Some((mut desk, trunk)) = self.another_desk().zip(record.trunk.clone()) else {
            return self.side_failed(500).await;
        };
        let sdp = Some(desk.offer());
        let from_user = self.setup.dial.as_ref().map(|dial| dial.from_user.clone());
        // Who was called calls on in the trunk's name, or in that of the number that was called.
        let ours = self.terms.trunks.get(&trunk).and_then(|facts| facts.caller_id.clone());
        let from_user = from_user.or(ours).unwrap_or_else(|| record.target_phone.clone());
        let call = record.id.clone();
        let signature = signature(&self.terms, &call, &trunk, (&from_user, &uri)).await;
        let Ok(signature) = signature else {
            return self.side_failed(500).await;
        };
        let headers = signature.into_iter().collect();
        let invite = Invite::new(session, &trunk, &uri, &from_user, Vec::new());
        let invite = Invite { headers, sdp, replaces, ..invite };
        self.side = Some(Side { session, desk });
        self.tell_sip(Command::Invite(Box::new(invite))).await;
    }

    async fn hear_side(&mut self, event: Event) {
        let session = self.setup.session;
        match event {
            Event::Provisional { code, .. } => {
                self.tell_sip(Command::NotifyRefer { session, code }).await;
                self.feed(Input::Transfer(TransferState::Progress { code }));
            }
            Event::Answered { sdp: Some(sdp) } => self.swap_to_side(&sdp).await,
            Event::Answered { sdp: None } | Event::Redirected { .. } | Event::Offered { .. } => {
                self.drop_side().await;
                self.side_failed(488).await;
            }
            Event::Ended(ending) => {
                self.side = None;
                self.side_failed(status_of(&ending)).await;
            }
            Event::Incoming(_)
            | Event::Dialing { .. }
            | Event::Confirmed { .. }
            | Event::Reoffer { .. }
            | Event::InfoDtmf { .. }
            | Event::Agreed { .. }
            | Event::Reoffered(_)
            | Event::Authenticated { .. }
            | Event::ReferAsked { .. }
            | Event::Transfer(_) => {}
        }
    }

    /// Who was asked for answered: the call goes on with them, and who asked may go.
    async fn swap_to_side(&mut self, answer: &[u8]) {
        let Some(side) = self.side.take() else { return };
        let ours = self.description.replace(side.desk);
        if !self.accept(answer) {
            let desk = std::mem::replace(&mut self.description, ours);
            self.side = desk.map(|desk| Side { session: side.session, desk });
            self.drop_side().await;
            return self.side_failed(488).await;
        }
        let left = std::mem::replace(&mut self.setup.session, side.session);
        self.tell_sip(Command::NotifyRefer { session: left, code: 200 }).await;
        let reason = Some(cause::notice(EndReason::Transfer));
        self.tell_sip(Command::Hangup { session: left, reason }).await;
        self.feed(Input::Transfer(TransferState::Succeeded));
        self.see_hold();
    }

    async fn side_failed(&mut self, code: u16) {
        let session = self.setup.session;
        self.tell_sip(Command::NotifyRefer { session, code }).await;
        let reason = String::new();
        self.feed(Input::Transfer(TransferState::Failed { code, reason }));
    }

    /// Gives the second session up, if there is one.
    pub(super) async fn drop_side(&mut self) {
        if let Some(Side { session, .. }) = self.side.take() {
            let reason = Some(cause::notice(EndReason::Canceled));
            self.tell_sip(Command::Hangup { session, reason }).await;
        }
    }

    /// Somebody else takes the other side's place (Replaces): the content goes on with them.
    pub(super) async fn replace(&mut self, session: SessionId, offer: Option<Vec<u8>>) {
        let refuse = |code| Command::Reject { session, code, reason: String::new() };
        if self.setup.call.record().answered_at.is_none() || self.setup.call.is_over() {
            //= RFC 3891 §3: a dialog that is not confirmed cannot be replaced by this UA: 481.
            return self.tell_sip(refuse(481)).await;
        }
        let fresh = self.another_desk();
        let ours = std::mem::replace(&mut self.description, fresh);
        let Some((sdp, delayed)) = self.answer_offer(offer.as_deref()) else {
            self.description = ours;
            return self.tell_sip(refuse(488)).await;
        };
        self.delayed_offer = delayed;
        self.tell_sip(Command::Answer { session, sdp }).await;
        //= RFC 3891 §3: the matched dialog is ended with BYE once the new one is accepted.
        let left = std::mem::replace(&mut self.setup.session, session);
        let reason = Some(cause::notice(EndReason::Transfer));
        self.tell_sip(Command::Hangup { session: left, reason }).await;
        self.see_hold();
    }
}

/// The status of a session that came to nothing.
fn status_of(ending: &Ending) -> u16 {
    ending.code.filter(|code| (300..700).contains(code)).unwrap_or(480)
}

/// The Identity header field of a call that goes out, if its trunk has calls signed; `from` is the
/// number that is shown, `to` the Request-URI.
///
/// The call's actor waits: whatever is said to it meanwhile is heard `sign_timeout` later at most.
///
/// # Errors
/// Why the call may not go out: it must be signed and is not.
async fn signature(
    terms: &Terms,
    call: &CallId,
    trunk: &str,
    (from, to): (&str, &str),
) -> Result<Option<(String, String)>, String> {
    let signer = terms.trunks.get(trunk).and_then(|facts| facts.signer.as_ref());
    let Some(signer) = signer else { return Ok(None) };
    let http = &terms.agents.parts.http;
    let signed = signer.sign(http, call, (from, to), super::now().unix_ms).await;
    let call_id = call.as_str();
    match signed {
        Ok(value) => {
            event::CallSigned { call_id, trunk, result: "signed" }.report();
            Ok(Some(("Identity".to_owned(), value)))
        }
        Err(detail) => {
            let result = "failed";
            event::CallNotSigned { call_id, trunk, result, detail: &detail }.report();
            if signer.required { Err(detail) } else { Ok(None) }
        }
    }
}
