//! The session that stands: offers of the peer, and the end by BYE.
//!
//! Owns who may speak when: the peer's offer that waits for the application, the ACK that it owes
//! us, and the BYE that has to wait for it. Our own offers are in `reoffer`, transfers in `refer`,
//! the session timer in `timer`.

use super::refer::{Asked, Transfer};
use super::reoffer::Own;
use super::timer::{Refresh, TimerAsk};
use super::{
    Ask, Context, Effect, Exit, Failure, Input, Purpose, Repeat, Reply, State, Tag, dismiss_fork,
    dtmf, reason_phrase_of, sdp_of,
};
use crate::sip::dialog::Dialog;
use crate::sip::interface::{EndCause, Event};
use crate::sip::message::{Message, Method, Name};
use crate::sip::transaction::table::ServerId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the application may think about an offer; an UPDATE is waited for no longer.
pub(super) const REANSWER_MAX: Duration = Duration::from_secs(30);

/// Most digits that wait for their turn; further ones are lost.
const KEYS_MAX: usize = 64;

/// Both sides have agreed.
#[derive(Debug)]
pub(super) struct Confirmed {
    pub(super) dialog: Dialog,
    pub(super) offer: PeerOffer,
    pub(super) own: Own,
    pub(super) refresh: Refresh,
    transfer: Transfer,
    asked: Asked,
    /// The digit that is out.
    pressed: Option<Tag>,
    /// Digits that wait for it, and how long each was held.
    keys: VecDeque<(char, u32)>,
    /// The session is to end while an ACK is owed: BYE waits for it.
    pub(super) exit: Option<Exit>,
}

/// An offer of the peer in a re-INVITE or UPDATE.
#[derive(Debug)]
pub(super) enum PeerOffer {
    /// There is none.
    None,
    /// A request waits for the application.
    Asked {
        server: ServerId,
        timer: TimerAsk,
        /// Of a re-INVITE; an UPDATE has no ACK.
        invite: Option<Reinvite>,
        /// When the application has thought for too long.
        until: Instant,
    },
    /// Our 2xx to a re-INVITE waits for its ACK.
    Answered { server: ServerId, invite: Reinvite, repeat: Repeat },
}

impl PeerOffer {
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Reinvite {
    cseq: u32,
    /// It made no offer: the answer to ours comes in the ACK.
    delayed_offer: bool,
}

/// What becomes of the session after a step.
#[derive(Debug)]
pub(super) enum Next {
    /// It stands.
    Stay,
    /// It ends by our BYE.
    Leave(Exit),
    /// It is over.
    End(Exit),
}

impl Confirmed {
    pub(super) fn new(dialog: Dialog, refresh: Refresh) -> Box<Self> {
        Box::new(Self {
            dialog,
            offer: PeerOffer::None,
            own: Own::Idle,
            refresh,
            transfer: Transfer::Idle,
            asked: Asked::Idle,
            pressed: None,
            keys: VecDeque::new(),
            exit: None,
        })
    }

    /// Does what the application asked for before the session stood: offers, REFER and digits.
    pub(super) fn catch_up(&mut self, context: &mut Context<'_>, asks: Vec<Ask>) {
        for ask in asks {
            // None of them ends the session.
            let _ = self.ask(context, ask);
        }
        self.pump(context);
    }

    pub(super) fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    pub(super) fn dialog_mut(&mut self) -> &mut Dialog {
        &mut self.dialog
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        let repeat = match &self.offer {
            PeerOffer::None => None,
            PeerOffer::Asked { until, .. } => Some((*until, "offer_unanswered")),
            PeerOffer::Answered { repeat, .. } => Some(repeat.deadline()),
        };
        let refresh = self.refresh.deadline(matches!(self.own, Own::Idle));
        let others = [self.own.deadline(self.is_free()), self.transfer.deadline()];
        let all = [repeat, refresh, self.asked.deadline()].into_iter().chain(others);
        all.flatten().min()
    }

    pub(super) fn handle(
        mut self: Box<Self>,
        context: &mut Context<'_>,
        input: Input<'_>,
    ) -> State {
        let next = match input {
            Input::Request { server, message } => self.request(context, server, message),
            Input::Response { tag, message } => self.response(context, tag, message),
            Input::NoAnswer { tag, failure } => self.no_answer(context, tag, failure),
            Input::Ack(ack) => self.acked(context, ack),
            Input::Ask(ask) => self.ask(context, ask),
            Input::Timeout => self.timeout(context),
            Input::Cancel { server, .. } => {
                self.cancel(context, server);
                Next::Stay
            }
            // A 2xx whose ACK the transaction does not have: another fork, or ours is on its way.
            Input::Accepted(answer) => {
                accepted_again(&self.dialog, context, answer);
                Next::Stay
            }
            Input::Provisional(_) | Input::Refused { .. } | Input::Failed(_) | Input::Left => {
                Next::Stay
            }
        };
        match next {
            Next::Stay => {
                self.pump(context);
                State::Confirmed(self)
            }
            Next::Leave(exit) => self.leave(context, exit),
            Next::End(exit) => {
                self.drop_pending(context);
                context.end(exit)
            }
        }
    }

    /// Sends BYE, or files it if an ACK is owed.
    //= RFC 3261 §15: no BYE before the ACK to our 2xx, or before the time-out
    fn leave(mut self: Box<Self>, context: &mut Context<'_>, exit: Exit) -> State {
        let exit = self.exit.take().unwrap_or(exit);
        if matches!(self.offer, PeerOffer::Answered { .. }) {
            self.exit = Some(exit);
            return State::Confirmed(self);
        }
        self.drop_pending(context);
        context.leave(self.dialog, exit)
    }

    fn ask(&mut self, context: &mut Context<'_>, ask: Ask) -> Next {
        if self.exit.is_some() {
            return Next::Stay;
        }
        match ask {
            Ask::Hangup { reason } => return Next::Leave(Exit::hangup(reason)),
            Ask::Reanswer(sdp) => self.reanswer(context, sdp),
            Ask::Reject { code, reason } => self.reject(context, code, reason),
            Ask::Reoffer(sdp) => self.own.want(context.now, sdp),
            Ask::Refer { refer_to, headers } => {
                self.transfer.start(context, &mut self.dialog, refer_to, headers);
            }
            Ask::AnswerRefer(code) => self.asked.answer(context, &mut self.dialog, code),
            Ask::NotifyRefer(code) => self.asked.progress(context, &mut self.dialog, code),
            Ask::Info { digit, duration_ms } => self.press(context, digit, duration_ms),
            Ask::Ring
            | Ask::Progress(_)
            | Ask::Answer(_)
            | Ask::Acknowledge(_)
            | Ask::Redirect(_) => {}
        }
        Next::Stay
    }

    /// Sends a digit once the one before it was answered: of two that overtake each other on the
    /// way, the peer must refuse one. What it makes of them changes nothing.
    fn press(&mut self, context: &mut Context<'_>, digit: char, duration_ms: u32) {
        let Some(body) = dtmf::relay(digit, duration_ms) else { return };
        if self.pressed.is_some() {
            if self.keys.len() < KEYS_MAX {
                self.keys.push_back((digit, duration_ms));
            }
            return;
        }
        let mut request = self.dialog.request(Method::Info);
        request.body = ("application/dtmf-relay", body);
        let tag = context.known.tag();
        self.pressed = Some(tag);
        context.effects.push(Effect::Request { purpose: Purpose::InDialog(tag), request });
    }

    fn request(
        &mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
    ) -> Next {
        if message.from().ok().and_then(|from| from.tag()).unwrap_or("") != self.dialog.remote_tag()
        {
            // Another fork of our INVITE: it was or will be dismissed.
            let reply = match message.method() {
                Some(Method::Bye) => Reply::code(200),
                Some(_) | None => Reply::code(481),
            };
            context.reply(server, reply);
            return Next::Stay;
        }
        if !context.in_order(&mut self.dialog, server, message) {
            return Next::Stay;
        }
        match message.method() {
            Some(Method::Bye) => {
                self.transfer.left(context);
                return Next::End(context.accept_bye(server, message));
            }
            Some(method @ (Method::Invite | Method::Update)) => {
                self.offered(context, server, message, method == Method::Invite);
            }
            Some(Method::Refer) => self.asked.request(context, server, message),
            Some(Method::Notify) => self.transfer.notify(context, server, message),
            Some(_) | None => context.serve_common(server, message),
        }
        Next::Stay
    }

    /// A re-INVITE or UPDATE.
    fn offered(
        &mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
        is_invite: bool,
    ) {
        let sdp = sdp_of(message);
        let offers = is_invite || sdp.is_some();
        //= RFC 3261 §14.2 and RFC 3311 §5.2: our own offer is out: 491
        if offers && self.own.is_offering() {
            return context.reply(server, Reply::code(491));
        }
        //= RFC 3261 §14.2 and RFC 3311 §5.2: the peer's earlier request is still open: 500
        let open_update = matches!(self.offer, PeerOffer::Asked { invite: None, .. });
        if open_update || (offers && !self.offer.is_none()) {
            return context.reply_later(server);
        }
        let timer = TimerAsk::of(message);
        if let Some(min_se) = timer.refusal() {
            let headers = vec![min_se];
            return context.reply(server, Reply { code: 422, headers, ..Reply::default() });
        }
        self.dialog.refresh_target(message);
        if !offers {
            // A refresh: nothing to agree on.
            let headers = self.grant(context, timer);
            return context.reply(server, Reply { code: 200, headers, ..Reply::default() });
        }
        let cseq = message.cseq().map_or(0, |cseq| cseq.number);
        let invite = is_invite.then_some(Reinvite { cseq, delayed_offer: sdp.is_none() });
        let until = context.now + REANSWER_MAX;
        self.offer = PeerOffer::Asked { server, timer, invite, until };
        context.event(Event::Reoffer { sdp });
    }

    /// The header fields of our 2xx, whose session timer runs from now on.
    fn grant(&mut self, context: &Context<'_>, timer: TimerAsk) -> Vec<(Name, String)> {
        let (headers, refresh) = timer.grant(&context.policy, context.now);
        self.refresh = refresh;
        headers
    }

    fn reanswer(&mut self, context: &mut Context<'_>, sdp: Vec<u8>) {
        self.offer = match std::mem::replace(&mut self.offer, PeerOffer::None) {
            PeerOffer::Asked { server, timer, invite, .. } => {
                let headers = self.grant(context, timer);
                context.reply(server, Reply { headers, ..Reply::with_sdp(200, sdp) });
                match invite {
                    Some(invite) => {
                        PeerOffer::Answered { server, invite, repeat: context.first_repeat() }
                    }
                    None => PeerOffer::None,
                }
            }
            other @ (PeerOffer::None | PeerOffer::Answered { .. }) => other,
        };
    }

    //= RFC 3261 §14.1: a refused re-INVITE leaves the session as it was
    fn reject(&mut self, context: &mut Context<'_>, code: u16, reason: String) {
        self.offer = match std::mem::replace(&mut self.offer, PeerOffer::None) {
            PeerOffer::Asked { server, .. } => {
                let code = if (300..700).contains(&code) { code } else { 488 };
                context.reply(server, Reply { code, reason, ..Reply::default() });
                PeerOffer::None
            }
            other @ (PeerOffer::None | PeerOffer::Answered { .. }) => other,
        };
    }

    fn cancel(&mut self, context: &mut Context<'_>, canceled: ServerId) {
        if matches!(self.offer, PeerOffer::Asked { server, .. } if server == canceled) {
            self.drop_offer(context);
        }
    }

    /// Refuses an offer that nobody will answer.
    fn drop_offer(&mut self, context: &mut Context<'_>) {
        match std::mem::replace(&mut self.offer, PeerOffer::None) {
            PeerOffer::Asked { server, .. } => context.reply(server, Reply::code(487)),
            PeerOffer::None | PeerOffer::Answered { .. } => {}
        }
    }

    //= RFC 3261 §15.1.2: requests that are pending at the end of the dialog get 487
    fn drop_pending(&mut self, context: &mut Context<'_>) {
        self.drop_offer(context);
        self.asked.drop(context);
    }

    fn acked(&mut self, context: &mut Context<'_>, ack: &Message<'_>) -> Next {
        let number = ack.cseq().map_or(0, |cseq| cseq.number);
        match &self.offer {
            PeerOffer::Answered { invite, .. } if invite.cseq == number => {
                let delayed_offer = invite.delayed_offer;
                self.offer = PeerOffer::None;
                if let Some(exit) = self.exit.take() {
                    return Next::Leave(exit);
                }
                if delayed_offer {
                    context.event(Event::Confirmed { sdp: sdp_of(ack) });
                }
            }
            PeerOffer::None | PeerOffer::Asked { .. } | PeerOffer::Answered { .. } => {}
        }
        Next::Stay
    }

    /// The final answer to a request of ours.
    fn response(&mut self, context: &mut Context<'_>, tag: Tag, message: &Message<'_>) -> Next {
        let code = message.code().unwrap_or(500);
        //= RFC 3261 §12.2.1.2: the 2xx to a target refresh request sets the remote target, that of
        //= its ACK too
        if self.own.is(tag) && code < 300 {
            self.dialog.refresh_target(message);
        }
        acknowledge(&self.dialog, context, tag, message);
        if self.own.is(tag) {
            return self.own_answered(context, code, message);
        }
        let cseq = message.cseq().ok().map(|cseq| cseq.number);
        let status = (code, reason_phrase_of(message));
        self.settled(context, tag, status, cseq);
        Next::Stay
    }

    fn no_answer(&mut self, context: &mut Context<'_>, tag: Tag, failure: Failure) -> Next {
        if self.own.is(tag) {
            return self.own_unanswered(context, failure);
        }
        self.settled(context, tag, (408, "no answer to the REFER"), None);
        Next::Stay
    }

    /// Whatever has become of a REFER, a NOTIFY or a digit.
    fn settled(
        &mut self,
        context: &mut Context<'_>,
        tag: Tag,
        status: (u16, &str),
        cseq: Option<u32>,
    ) {
        if self.transfer.answered(context, tag, status, cseq) || self.asked.answered(tag, status.0)
        {
            return;
        }
        if self.pressed == Some(tag) {
            self.pressed = None;
            if let Some((digit, duration_ms)) = self.keys.pop_front() {
                self.press(context, digit, duration_ms);
            }
        }
    }

    fn timeout(&mut self, context: &mut Context<'_>) -> Next {
        self.transfer.timeout(context);
        self.asked.timeout(context, &mut self.dialog);
        match &mut self.offer {
            //= RFC 3261 §14.2: no ACK to the 2xx of a re-INVITE: BYE
            PeerOffer::Answered { repeat, .. } if context.now >= repeat.give_up => {
                self.offer = PeerOffer::None;
                return Next::Leave(Exit::new(EndCause::Timeout, "no ACK".to_owned()));
            }
            PeerOffer::Answered { server, repeat, .. } => repeat.run(context, *server),
            // An offer that is never answered would bar every other one.
            PeerOffer::Asked { server, until, .. } if context.now >= *until => {
                context.reply(*server, Reply::code(500));
                self.offer = PeerOffer::None;
            }
            PeerOffer::None | PeerOffer::Asked { .. } => {}
        }
        //= RFC 4028 §10: no refresh came in time: BYE
        if self.refresh.is_over(context.now) {
            self.refresh = Refresh::Off;
            let header = "SIP;cause=408;text=\"session expired\"".to_owned();
            let exit = Exit::new(EndCause::Timeout, "session expired".to_owned());
            return Next::Leave(Exit { header: Some(header), ..exit });
        }
        self.own_overdue(context)
    }
}

/// The ACK to a 2xx of a re-INVITE, whatever became of that re-INVITE.
//= RFC 3261 §13.2.2.4: every 2xx to an INVITE is acknowledged
pub(super) fn acknowledge(
    dialog: &Dialog,
    context: &mut Context<'_>,
    of: Tag,
    message: &Message<'_>,
) {
    let Ok(cseq) = message.cseq() else { return };
    if cseq.method == Method::Invite && message.code().is_some_and(|code| code < 300) {
        let to_tag = message.to().ok().and_then(|to| to.tag()).unwrap_or("").to_owned();
        let request = dialog.ack(cseq.number);
        context.effects.push(Effect::Ack { to_tag, request, of: Some(of) });
    }
}

/// A 2xx to our first INVITE that comes again, or from another fork.
pub(super) fn accepted_again(dialog: &Dialog, context: &mut Context<'_>, answer: &Message<'_>) {
    let tag = answer.to().ok().and_then(|to| to.tag()).unwrap_or("");
    if tag == dialog.remote_tag() {
        if let Ok(cseq) = answer.cseq() {
            let to_tag = tag.to_owned();
            context.effects.push(Effect::Ack {
                to_tag,
                request: dialog.ack(cseq.number),
                of: None,
            });
        }
    } else {
        context.effects.extend(dismiss_fork(answer));
    }
}
