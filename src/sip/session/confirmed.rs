//! The session that stands: offers of the peer, refreshes, and the end by BYE.

use super::{
    Ask, Context, Effect, Exit, Input, Repeat, Reply, SessionTimer, State, dismiss_fork, sdp_of,
};
use crate::sip::dialog::Dialog;
use crate::sip::interface::{EndCause, Event};
use crate::sip::message::{Message, Method};
use crate::sip::transaction::table::ServerId;
use std::time::Instant;

/// Both sides have agreed.
#[derive(Debug)]
pub(super) struct Confirmed {
    dialog: Dialog,
    offer: PeerOffer,
    /// The end of the session timer that the peer keeps alive.
    refresh_by: Option<Instant>,
    /// The application has hung up while an ACK is owed: BYE waits for it.
    exit: Option<Exit>,
}

/// An offer of the peer in a re-INVITE or UPDATE.
#[derive(Debug)]
enum PeerOffer {
    /// There is none.
    None,
    /// A request waits for the application.
    Asked {
        server: ServerId,
        timer: Option<SessionTimer>,
        /// Of a re-INVITE; an UPDATE has no ACK.
        invite: Option<Reinvite>,
    },
    /// Our 2xx to a re-INVITE waits for its ACK.
    Answered { server: ServerId, invite: Reinvite, repeat: Repeat },
}

#[derive(Debug, Clone, Copy)]
struct Reinvite {
    cseq: u32,
    /// It made no offer: the answer to ours comes in the ACK.
    delayed_offer: bool,
}

impl Confirmed {
    pub(super) fn new(dialog: Dialog, refresh_by: Option<Instant>) -> Self {
        Self { dialog, offer: PeerOffer::None, refresh_by, exit: None }
    }

    pub(super) fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    pub(super) fn dialog_mut(&mut self) -> &mut Dialog {
        &mut self.dialog
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        let repeat = match &self.offer {
            PeerOffer::None | PeerOffer::Asked { .. } => None,
            PeerOffer::Answered { repeat, .. } => Some(repeat.deadline()),
        };
        let expiry = self.refresh_by.map(|at| (at, "session_expiry"));
        repeat.into_iter().chain(expiry).min()
    }

    pub(super) fn handle(mut self, context: &mut Context<'_>, input: Input<'_>) -> State {
        match input {
            Input::Request { server, message } => return self.request(context, server, message),
            Input::Ack(ack) => return self.acked(context, ack),
            Input::Ask(Ask::Hangup { reason }) => return self.hangup(context, reason),
            Input::Ask(Ask::Reanswer(sdp)) => self.reanswer(context, sdp),
            Input::Ask(Ask::Reject { code, reason }) => self.reject(context, code, reason),
            Input::Cancel { server, .. } => self.cancel(context, server),
            Input::Accepted(answer) => self.accepted_again(context, answer),
            Input::Timeout => return self.timeout(context),
            Input::Ask(
                Ask::Ring
                | Ask::Progress(_)
                | Ask::Answer(_)
                | Ask::Acknowledge(_)
                | Ask::Reoffer(_)
                | Ask::Redirect(_)
                | Ask::Refer { .. }
                | Ask::AnswerRefer(_)
                | Ask::NotifyRefer(_)
                | Ask::Info { .. },
            )
            | Input::Response { .. }
            | Input::NoAnswer { .. }
            | Input::Provisional(_)
            | Input::Refused { .. }
            | Input::Failed(_)
            | Input::Left => {}
        }
        State::Confirmed(self)
    }

    fn request(
        mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
    ) -> State {
        if message.from().ok().and_then(|from| from.tag()).unwrap_or("") != self.dialog.remote_tag()
        {
            // Another fork of our INVITE: it was or will be dismissed.
            let reply = match message.method() {
                Some(Method::Bye) => Reply::code(200),
                Some(_) | None => Reply::code(481),
            };
            context.reply(server, reply);
            return State::Confirmed(self);
        }
        if !context.in_order(&mut self.dialog, server, message) {
            return State::Confirmed(self);
        }
        match message.method() {
            Some(Method::Bye) => {
                let exit = context.accept_bye(server, message);
                self.drop_offer(context);
                return context.end(exit);
            }
            Some(method @ (Method::Invite | Method::Update)) => {
                self.offered(context, server, message, method == Method::Invite);
            }
            Some(_) | None => context.serve_common(server, message),
        }
        State::Confirmed(self)
    }

    /// A re-INVITE or UPDATE.
    fn offered(
        &mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
        is_invite: bool,
    ) {
        //= RFC 3261 §14.2 and RFC 3311 §5.2: the peer's earlier request is still open: 500
        if !matches!(self.offer, PeerOffer::None) {
            return context.reply_later(server);
        }
        let sdp = sdp_of(message);
        let timer = SessionTimer::asked_by(message);
        self.dialog.refresh_target(message);
        if sdp.is_none() && !is_invite {
            // A refresh: nothing to agree on.
            self.refresh_by = SessionTimer::expiry(timer, context.now);
            let headers = SessionTimer::headers(timer);
            return context.reply(server, Reply { code: 200, headers, ..Reply::default() });
        }
        let cseq = message.cseq().map_or(0, |cseq| cseq.number);
        let invite = is_invite.then_some(Reinvite { cseq, delayed_offer: sdp.is_none() });
        self.offer = PeerOffer::Asked { server, timer, invite };
        context.event(Event::Reoffer { sdp });
    }

    fn reanswer(&mut self, context: &mut Context<'_>, sdp: Vec<u8>) {
        self.offer = match std::mem::replace(&mut self.offer, PeerOffer::None) {
            PeerOffer::Asked { server, timer, invite } => {
                let headers = SessionTimer::headers(timer);
                context.reply(server, Reply { headers, ..Reply::with_sdp(200, sdp) });
                self.refresh_by = SessionTimer::expiry(timer, context.now);
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

    fn acked(mut self, context: &mut Context<'_>, ack: &Message<'_>) -> State {
        let number = ack.cseq().map_or(0, |cseq| cseq.number);
        match &self.offer {
            PeerOffer::Answered { invite, .. } if invite.cseq == number => {
                let delayed_offer = invite.delayed_offer;
                self.offer = PeerOffer::None;
                if let Some(exit) = self.exit {
                    return context.leave(self.dialog, exit);
                }
                if delayed_offer {
                    context.event(Event::Confirmed { sdp: sdp_of(ack) });
                }
            }
            PeerOffer::None | PeerOffer::Asked { .. } | PeerOffer::Answered { .. } => {}
        }
        State::Confirmed(self)
    }

    fn hangup(mut self, context: &mut Context<'_>, reason: Option<String>) -> State {
        if matches!(self.offer, PeerOffer::Answered { .. }) {
            self.exit.get_or_insert_with(|| Exit::hangup(reason));
            return State::Confirmed(self);
        }
        self.drop_offer(context);
        context.leave(self.dialog, Exit::hangup(reason))
    }

    fn timeout(mut self, context: &mut Context<'_>) -> State {
        //= RFC 4028 §10: no refresh came in time: BYE
        if self.refresh_by.is_some_and(|at| context.now >= at) {
            self.drop_offer(context);
            let reason = "session expired".to_owned();
            let exit = self.exit.unwrap_or(Exit::new(EndCause::Timeout, reason));
            return context.leave(self.dialog, exit);
        }
        match &mut self.offer {
            //= RFC 3261 §14.2: no ACK to the 2xx of a re-INVITE: BYE
            PeerOffer::Answered { repeat, .. } if context.now >= repeat.give_up => {
                let reason = "no ACK".to_owned();
                let exit = self.exit.unwrap_or(Exit::new(EndCause::Timeout, reason));
                return context.leave(self.dialog, exit);
            }
            PeerOffer::Answered { server, repeat, .. } => repeat.run(context, *server),
            PeerOffer::None | PeerOffer::Asked { .. } => {}
        }
        State::Confirmed(self)
    }

    /// A 2xx whose ACK the transaction does not have: another fork, or ours is still on its way.
    fn accepted_again(&self, context: &mut Context<'_>, answer: &Message<'_>) {
        accepted_again(&self.dialog, context, answer);
    }
}

/// Our BYE is out.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) dialog: Dialog,
    pub(super) exit: Exit,
}

impl Leaving {
    pub(super) fn handle(self, context: &mut Context<'_>, input: &Input<'_>) -> State {
        match *input {
            Input::Left => return context.end(self.exit),
            Input::Accepted(answer) => accepted_again(&self.dialog, context, answer),
            Input::Request { server, message } => match message.method() {
                // Both hang up at once: each BYE is answered.
                Some(Method::Bye) => context.reply(server, Reply::code(200)),
                Some(_) | None => context.reply(server, Reply::code(481)),
            },
            Input::Provisional(_)
            | Input::Refused { .. }
            | Input::Failed(_)
            | Input::Response { .. }
            | Input::NoAnswer { .. }
            | Input::Ack(_)
            | Input::Cancel { .. }
            | Input::Ask(
                Ask::Ring
                | Ask::Progress(_)
                | Ask::Answer(_)
                | Ask::Reject { .. }
                | Ask::Hangup { .. }
                | Ask::Reanswer(_)
                | Ask::Acknowledge(_)
                | Ask::Reoffer(_)
                | Ask::Redirect(_)
                | Ask::Refer { .. }
                | Ask::AnswerRefer(_)
                | Ask::NotifyRefer(_)
                | Ask::Info { .. },
            )
            | Input::Timeout => {}
        }
        State::Leaving(self)
    }
}

fn accepted_again(dialog: &Dialog, context: &mut Context<'_>, answer: &Message<'_>) {
    let tag = answer.to().ok().and_then(|to| to.tag()).unwrap_or("");
    if tag == dialog.remote_tag() {
        if let Ok(cseq) = answer.cseq() {
            let to_tag = tag.to_owned();
            context.effects.push(Effect::Ack { to_tag, request: dialog.ack(cseq.number), of: None });
        }
    } else {
        context.effects.extend(dismiss_fork(answer));
    }
}
