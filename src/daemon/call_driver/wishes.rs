//! What is asked of the call in its middle: by REST, by its stream, by its agent.
//!
//! Owns who hears what became of a wish, and digits on their way by INFO. Whether it is granted is
//! the machine's to say.

use super::{CallActor, ReplyTo, now};
use crate::api::gateway::Content;
use crate::app::Control;
use crate::app::stream::wire::Told;
use crate::call::control::{
    DtmfMethod, DtmfWish, HeardBy, OnPeerHangup, TransferWish, Wish, WishError,
};
use crate::call::record::{TransferMode, TransferPhase, TransferView};
use crate::config::DtmfMode;
use crate::daemon::control::{CallAsk, TransferPlan};
use crate::media::interface::Command as MediaCommand;
use crate::observe::event::{self, Happening as _};
use crate::sip::interface::Command;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Digits that may wait to be sent by INFO.
const KEYS_MAX: usize = 128;
/// Length of a digit and of a pause, unless stated.
const DIGIT_MS: u64 = 100;
const GAP_MS: u64 = 60;
/// How long the target of an agent may ring.
const AGENT_RING: Duration = Duration::from_secs(45);

/// Digits that go out by INFO, one after the other.
#[derive(Debug, Default)]
pub(super) struct Keys {
    waiting: VecDeque<char>,
    duration_ms: u32,
    gap: Duration,
    /// When the next one goes.
    next: Option<Instant>,
}

impl Keys {
    /// When there is something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The next digit, if it is due.
    fn due(&mut self, now: Instant) -> Option<(char, u32)> {
        if self.next.is_none_or(|at| at > now) {
            return None;
        }
        let digit = self.waiting.pop_front();
        let step = Duration::from_millis(u64::from(self.duration_ms)) + self.gap;
        self.next = (!self.waiting.is_empty()).then_some(now + step);
        digit.map(|digit| (digit, self.duration_ms))
    }

    /// Queues digits; `false` when there is no room for all.
    fn push(&mut self, wish: &DtmfWish, now: Instant) -> bool {
        if self.waiting.len() + wish.digits.len() > KEYS_MAX {
            return false;
        }
        let bound = |ms: Option<u64>, least: u64, usual: u64| {
            u32::try_from(ms.unwrap_or(usual).clamp(least, 5000)).unwrap_or(5000)
        };
        self.duration_ms = bound(wish.duration_ms, 40, DIGIT_MS);
        self.gap = Duration::from_millis(u64::from(bound(wish.gap_ms, 20, GAP_MS)));
        self.waiting.extend(wish.digits.chars());
        self.next.get_or_insert(now);
        true
    }
}

impl CallActor {
    /// Grants a wish, or says why not.
    pub(super) fn grant(&mut self, wish: &Wish, reply: ReplyTo) {
        let granted = match wish {
            Wish::Transfer(_) | Wish::Bridge(_) => {
                Err(WishError::Conflict("it was not asked of the switchboard".to_owned()))
            }
            Wish::Record(wish) => return self.record(wish, reply),
            Wish::Unbridge => self.setup.call.ask(now(), wish).map(|()| self.part()),
            Wish::Dtmf(keys) => self.setup.call.ask(now(), wish).and_then(|()| self.press(keys)),
            Wish::Instruct(entry) => {
                self.setup.call.ask(now(), wish).and_then(|()| self.instruct(entry))
            }
            Wish::Hold
            | Wish::Resume
            | Wish::Mute(..)
            | Wish::Ring
            | Wish::EarlyMedia(_)
            | Wish::Answer
            | Wish::Reject { .. } => self.setup.call.ask(now(), wish),
        };
        self.reply(reply, granted);
    }

    /// Hands the call over, as the switchboard has prepared it.
    pub(super) async fn hand_over(&mut self, plan: TransferPlan, reply: ReplyTo) {
        let TransferPlan { wish, uri, replaces } = plan;
        let granted = self.setup.call.ask(now(), &Wish::Transfer(wish.clone()));
        self.agent_waits = granted.is_ok() && matches!(reply, ReplyTo::Agent);
        let begun = granted.is_ok();
        self.reply(reply, granted);
        if !begun {
            return;
        }
        match wish.mode {
            TransferMode::Blind | TransferMode::Attended | TransferMode::Referred => {
                let (session, headers) = (self.setup.session, wish.headers);
                let refer = Command::Refer { session, to: uri, replaces, headers };
                self.tell_sip(refer).await;
            }
            TransferMode::Bridge => {
                let call = self.setup.call.record().id.clone();
                let dropped = self.begin_second();
                self.ask_desk(CallAsk::Second { call, uri, wish: Box::new(wish), dropped });
            }
        }
    }

    /// The agent wants to hand the call over to one of the configured targets.
    pub(super) fn agent_transfer(&mut self, name: &str) {
        let Some(target) = self.terms.agents.target(name) else {
            let detail = format!("there is no target {name:?}");
            return self.reply(ReplyTo::Agent, Err(WishError::Invalid(detail)));
        };
        let wish = Wish::Transfer(TransferWish {
            to: target.uri,
            from: None,
            mode: target.mode,
            replaces: None,
            headers: Vec::new(),
            timeout: AGENT_RING,
            on_peer_hangup: OnPeerHangup::Hangup,
        });
        let call = self.setup.call.record().id.clone();
        let (wish, reply) = (Box::new(wish), ReplyTo::Agent);
        // The operator has listed it.
        self.ask_desk(CallAsk::Wish { call, wish, reply, trusted: true });
    }

    /// Tells everybody how a transfer goes.
    pub(super) fn tell_transfer(&mut self, view: &TransferView) {
        let over = match view.state {
            TransferPhase::Succeeded => Some(Ok(())),
            TransferPhase::Failed => {
                let code = view.code.unwrap_or(480);
                Some(Err(format!("{} could not be reached (SIP status {code})", view.to)))
            }
            TransferPhase::Requested | TransferPhase::Accepted | TransferPhase::Ringing => None,
        };
        if let Some(over) = over {
            let call_id = self.setup.call.record().id.as_str();
            let result = view.state.as_str();
            event::CallTransferred { call_id, mode: view.mode.as_str(), result, code: view.code }
                .report();
            if std::mem::take(&mut self.agent_waits) {
                self.tell_app(Control::TransferOver(over));
            }
        }
        let told = Told::transfer(view);
        self.show(Control::Tell(Box::new(told.clone())));
        self.tell_app(Control::Tell(Box::new(told)));
    }

    /// Answers a wish.
    pub(super) fn reply(&mut self, reply: ReplyTo, granted: Result<(), WishError>) {
        match reply {
            ReplyTo::Api(reply) => {
                let _ = reply.send(granted.map(|()| self.setup.call.record().clone()));
            }
            ReplyTo::Stream { ticket } => {
                self.tell_app(Control::Granted { ticket, result: granted });
            }
            ReplyTo::Agent => {
                if let Err(error) = granted {
                    self.tell_app(Control::TransferOver(Err(error.to_string())));
                }
            }
        }
    }

    /// Asks the switchboard; one that does not listen refuses.
    pub(super) fn ask_desk(&mut self, ask: CallAsk) {
        if let Err(refused) = self.desk.try_send(ask) {
            let full = WishError::Full("the switchboard is too busy".to_owned());
            match refused.into_inner() {
                CallAsk::Wish { reply, .. } => self.reply(reply, Err(full)),
                CallAsk::Second { .. } | CallAsk::Party { .. } | CallAsk::Session { .. } => {
                    self.transfer_refused(503);
                }
            }
        }
    }

    /// Tells everybody of a digit that the application leg did not hear itself.
    pub(super) fn tell_digit(&mut self, digit: u8, duration_ms: u32, method: HeardBy) {
        self.show(Control::Dtmf { digit, duration_ms, method });
        self.tell_app(Control::Dtmf { digit, duration_ms, method });
    }

    /// Has a call that obeys TwiML go on with something else.
    fn instruct(&mut self, entry: &crate::twiml::Entry) -> Result<(), WishError> {
        match self.setup.content {
            Content::Twiml(_) => {
                self.tell_app(Control::Instruct(Box::new(entry.clone())));
                Ok(())
            }
            Content::Tts(_)
            | Content::Audio { .. }
            | Content::Agent(_)
            | Content::Stream { .. }
            | Content::Party(_) => {
                Err(WishError::Conflict("the call does not obey TwiML".to_owned()))
            }
        }
    }

    /// Presses keys, in the way that was asked for or agreed on.
    fn press(&mut self, keys: &DtmfWish) -> Result<(), WishError> {
        let events = self.agreed.as_ref().is_some_and(|agreed| agreed.telephone_event.is_some());
        let trunk = self.setup.call.record().trunk.as_ref();
        let facts = trunk.and_then(|trunk| self.terms.trunks.get(trunk));
        match (keys.method, facts.map_or(DtmfMode::Auto, |facts| facts.dtmf)) {
            (DtmfMethod::Info, _) | (DtmfMethod::Auto, DtmfMode::Info) => {
                let full = || WishError::Full("too many digits wait already".to_owned());
                self.keys.push(keys, Instant::now()).then_some(()).ok_or_else(full)
            }
            (DtmfMethod::Inband, mode) => {
                self.sound(keys, mode != DtmfMode::Inband);
                Ok(())
            }
            (DtmfMethod::Rfc4733, _) if !events => {
                let detail = "the other side takes no telephone-event; try method inband or info";
                Err(WishError::Conflict(detail.to_owned()))
            }
            (
                DtmfMethod::Rfc4733 | DtmfMethod::Auto,
                DtmfMode::Auto | DtmfMode::Rfc4733 | DtmfMode::Inband | DtmfMode::Info,
            ) => {
                self.send_by_leg(keys);
                Ok(())
            }
        }
    }

    /// Sends digits as tones, on a leg that would send events otherwise (`once`).
    fn sound(&mut self, keys: &DtmfWish, once: bool) {
        let Some(media) = self.media.get() else { return };
        if once {
            media.send(MediaCommand::DigitsInband(true));
        }
        self.send_by_media(keys);
        if let Some(media) = self.media.get().filter(|_| once) {
            media.send(MediaCommand::DigitsInband(false));
        }
    }

    fn send_by_leg(&mut self, keys: &DtmfWish) {
        if self.app.is_some() && self.joint.is_none() {
            let (digits, duration_ms, gap_ms) =
                (keys.digits.clone(), keys.duration_ms, keys.gap_ms);
            self.tell_app(Control::SendDtmf { digits, duration_ms, gap_ms });
        } else {
            // Nobody else sends any: the leg is on its own, or in a bridge.
            self.send_by_media(keys);
        }
    }

    fn send_by_media(&self, keys: &DtmfWish) {
        let Some(media) = self.media.get() else { return };
        let mut rest = keys.digits.as_str();
        while let Some((command, count)) =
            crate::app::dtmf_command(rest, keys.duration_ms, keys.gap_ms)
        {
            media.send(command);
            rest = rest.get(count..).unwrap_or_default();
        }
    }

    /// Sends the digits that are due.
    pub(super) async fn send_keys(&mut self) {
        let session = self.setup.session;
        while let Some((digit, duration_ms)) = self.keys.due(Instant::now()) {
            self.tell_sip(Command::Info { session, digit, duration_ms }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_go_out_one_after_the_other_and_are_bounded() {
        let start = Instant::now();
        let wish = |digits: &str| DtmfWish {
            digits: digits.to_owned(),
            method: DtmfMethod::Info,
            duration_ms: Some(1),
            gap_ms: None,
        };
        let mut keys = Keys::default();
        assert!(keys.push(&wish("12"), start));
        assert_eq!(keys.due(start), Some(('1', 40)));
        assert_eq!(keys.due(start + Duration::from_millis(99)), None);
        assert_eq!(keys.due(start + Duration::from_millis(100)), Some(('2', 40)));
        assert_eq!(keys.deadline(), None);
        assert!(!keys.push(&wish(&"1".repeat(KEYS_MAX + 1)), start));
    }
}
