//! The callee's side until the ACK: ringing, the final answer, and its repetition.

use super::{
    Ask, Context, Exit, Input, Refresh, Repeat, Reply, State, TimerAsk, reason_header, sdp_of,
};
use crate::sip::dialog::{Dialog, DialogError};
use crate::sip::interface::{EndCause, Event};
use crate::sip::message::{Message, Method, Name};
use crate::sip::session::confirmed::Confirmed;
use crate::sip::transaction::table::ServerId;
use std::time::{Duration, Instant};

/// How often a provisional answer is given again, so that no proxy loses patience.
//= RFC 3261 §13.3.1.1: one every minute
const PROVISIONAL_EVERY: Duration = Duration::from_mins(1);

/// Most wishes of the application that wait for the ACK; further ones are lost.
const LATER_MAX: usize = 32;

/// The peer's INVITE is in and has no final answer.
#[derive(Debug)]
pub(super) struct Invited {
    server: ServerId,
    dialog: Dialog,
    invite_cseq: u32,
    /// The INVITE made no offer: ours goes into the 2xx, the answer comes in the ACK.
    delayed_offer: bool,
    timer: TimerAsk,
    /// What was said last, to be said again every minute.
    ringing: Option<(Reply, Instant)>,
    /// The end that the Expires of the INVITE sets.
    expires: Option<Instant>,
}

impl Invited {
    pub(super) fn new(
        now: Instant,
        server: ServerId,
        message: &Message<'_>,
        local_tag: &str,
    ) -> Result<Self, DialogError> {
        let dialog = Dialog::uas(message, local_tag)?;
        let expires = message.seconds(Name::Expires).ok().filter(|seconds| *seconds > 0);
        Ok(Self {
            server,
            dialog,
            invite_cseq: message.cseq()?.number,
            delayed_offer: sdp_of(message).is_none(),
            timer: TimerAsk::of(message),
            ringing: None,
            expires: expires.map(|seconds| now + Duration::from_secs(u64::from(seconds))),
        })
    }

    pub(super) fn dialog_mut(&mut self) -> &mut Dialog {
        &mut self.dialog
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        let ringing = self.ringing.as_ref().map(|(_, at)| (*at, "provisional_refresh"));
        let expires = self.expires.map(|at| (at, "invite_expires"));
        ringing.into_iter().chain(expires).min()
    }

    pub(super) fn handle(mut self, context: &mut Context<'_>, input: Input<'_>) -> State {
        match input {
            Input::Ask(ask) => return self.ask(context, ask),
            Input::Request { server, message } => return self.request(context, server, message),
            //= RFC 3261 §9.2: CANCEL before the final answer: 487 to the INVITE
            Input::Cancel { server, reason } if server == self.server => {
                let exit = Exit::with_code(EndCause::Canceled, 487, reason);
                return self.refuse(context, Reply::code(487), exit);
            }
            //= RFC 3261 §13.3.1: the invitation expired: 487
            Input::Timeout if self.expires.is_some_and(|at| context.now >= at) => {
                let exit = Exit::with_code(EndCause::Canceled, 487, "INVITE expired".to_owned());
                return self.refuse(context, Reply::code(487), exit);
            }
            Input::Timeout => self.ring_again(context),
            Input::Cancel { .. }
            | Input::Provisional(_)
            | Input::Accepted(_)
            | Input::Refused { .. }
            | Input::Failed(_)
            | Input::Left
            | Input::Response { .. }
            | Input::NoAnswer { .. }
            | Input::Ack(_) => {}
        }
        State::Invited(self)
    }

    fn ask(mut self, context: &mut Context<'_>, ask: Ask) -> State {
        match ask {
            Ask::Ring => self.ring(context, Reply::code(180)),
            Ask::Progress(sdp) => self.ring(context, Reply::with_sdp(183, sdp)),
            Ask::Answer(sdp) => return self.answer(context, sdp),
            Ask::Reject { code, reason } => {
                let code = if (300..700).contains(&code) { code } else { 480 };
                let exit = Exit::with_code(EndCause::Rejected, code, reason.clone());
                return self.refuse(context, Reply { code, reason, ..Reply::default() }, exit);
            }
            Ask::Hangup { reason } => {
                let headers = reason.map(|reason| (Name::Reason, reason)).into_iter().collect();
                let exit = Exit::with_code(EndCause::Rejected, 480, String::new());
                let reply = Reply { code: 480, headers, ..Reply::default() };
                return self.refuse(context, reply, exit);
            }
            Ask::Reanswer(_)
            | Ask::Acknowledge(_)
            | Ask::Reoffer(_)
            | Ask::Redirect(_)
            | Ask::Refer { .. }
            | Ask::AnswerRefer(_)
            | Ask::NotifyRefer(_)
            | Ask::Info { .. } => {}
        }
        State::Invited(self)
    }

    fn request(
        mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
    ) -> State {
        if !context.in_order(&mut self.dialog, server, message) {
            return State::Invited(self);
        }
        match message.method() {
            //= RFC 3261 §15.1.2: pending requests of the dialog get 487
            Some(Method::Bye) => {
                let exit = Exit { code: Some(487), ..context.accept_bye(server, message) };
                return self.refuse(context, Reply::code(487), exit);
            }
            //= RFC 3261 §14.2: a second INVITE before the final answer to the first: 500
            Some(Method::Invite) => context.reply_later(server),
            //= RFC 3311 §5.2: the peer's own offer has no answer yet: 500
            Some(Method::Update) if sdp_of(message).is_some() => context.reply_later(server),
            Some(Method::Update) => {
                self.dialog.refresh_target(message);
                context.reply(server, Reply::code(200));
            }
            Some(_) | None => context.serve_common(server, message),
        }
        State::Invited(self)
    }

    fn ring(&mut self, context: &mut Context<'_>, reply: Reply) {
        context.reply(self.server, reply.clone());
        self.ringing = Some((reply, context.now + PROVISIONAL_EVERY));
    }

    fn ring_again(&mut self, context: &mut Context<'_>) {
        if let Some((reply, at)) = self.ringing.take() {
            if context.now >= at {
                self.ring(context, reply);
            } else {
                self.ringing = Some((reply, at));
            }
        }
    }

    fn answer(self, context: &mut Context<'_>, sdp: Vec<u8>) -> State {
        let (headers, refresh) = self.timer.grant(&context.policy, context.now);
        context.reply(self.server, Reply { headers, ..Reply::with_sdp(200, sdp) });
        State::Confirming(Confirming {
            server: self.server,
            dialog: self.dialog,
            invite_cseq: self.invite_cseq,
            delayed_offer: self.delayed_offer,
            refresh,
            repeat: context.first_repeat(),
            later: Vec::new(),
            exit: None,
        })
    }

    fn refuse(self, context: &mut Context<'_>, reply: Reply, exit: Exit) -> State {
        context.reply(self.server, reply);
        context.end(exit)
    }
}

/// Our 2xx is out; it is repeated until the ACK comes.
#[derive(Debug)]
pub(super) struct Confirming {
    server: ServerId,
    dialog: Dialog,
    invite_cseq: u32,
    delayed_offer: bool,
    refresh: Refresh,
    repeat: Repeat,
    /// What the application wants of the session that stands, until it does.
    later: Vec<Ask>,
    /// The application has hung up: BYE waits for the ACK.
    exit: Option<Exit>,
}

impl Confirming {
    pub(super) fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    pub(super) fn dialog_mut(&mut self) -> &mut Dialog {
        &mut self.dialog
    }

    pub(super) fn deadline(&self) -> (Instant, &'static str) {
        self.repeat.deadline()
    }

    pub(super) fn handle(mut self, context: &mut Context<'_>, input: Input<'_>) -> State {
        match input {
            Input::Ack(ack) if ack.cseq().is_ok_and(|cseq| cseq.number == self.invite_cseq) => {
                return self.confirm(context, ack);
            }
            //= RFC 3261 §15: the callee MUST NOT send BYE before the ACK or the time-out
            Input::Ask(Ask::Hangup { reason }) => {
                self.exit.get_or_insert_with(|| Exit::hangup(reason));
            }
            //= RFC 3261 §14.1: no INVITE of ours before the ACK to the one that is answered
            Input::Ask(ask @ (Ask::Reoffer(_) | Ask::Refer { .. } | Ask::Info { .. })) => {
                if self.later.len() < LATER_MAX {
                    self.later.push(ask);
                }
            }
            Input::Request { server, message } => return self.request(context, server, message),
            //= RFC 3261 §13.3.1.4: no ACK for 64*T1: the session SHOULD be ended by BYE
            Input::Timeout if context.now >= self.repeat.give_up => {
                let reason = "no ACK".to_owned();
                let exit = self.exit.unwrap_or(Exit::new(EndCause::Timeout, reason));
                return context.leave(self.dialog, exit);
            }
            Input::Timeout => self.repeat.run(context, self.server),
            //= RFC 3261 §9.2: a CANCEL after the final answer has no effect
            Input::Cancel { .. }
            | Input::Ask(
                Ask::Ring
                | Ask::Progress(_)
                | Ask::Answer(_)
                | Ask::Reject { .. }
                | Ask::Reanswer(_)
                | Ask::Acknowledge(_)
                | Ask::Redirect(_)
                | Ask::AnswerRefer(_)
                | Ask::NotifyRefer(_),
            )
            | Input::Provisional(_)
            | Input::Accepted(_)
            | Input::Refused { .. }
            | Input::Failed(_)
            | Input::Left
            | Input::Response { .. }
            | Input::NoAnswer { .. }
            | Input::Ack(_) => {}
        }
        State::Confirming(self)
    }

    fn confirm(self, context: &mut Context<'_>, ack: &Message<'_>) -> State {
        if let Some(exit) = self.exit {
            return context.leave(self.dialog, exit);
        }
        let sdp = if self.delayed_offer { sdp_of(ack) } else { None };
        context.event(Event::Confirmed { sdp });
        let mut confirmed = Confirmed::new(self.dialog, self.refresh);
        confirmed.catch_up(context, self.later);
        State::Confirmed(confirmed)
    }

    fn request(
        mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
    ) -> State {
        if !context.in_order(&mut self.dialog, server, message) {
            return State::Confirming(self);
        }
        match message.method() {
            Some(Method::Bye) => {
                let exit = context.accept_bye(server, message);
                let exit = Exit { reason: reason_header(message), ..exit };
                return context.end(exit);
            }
            // The ACK is on its way or lost; our repeated 2xx will bring it, then all is well.
            Some(Method::Invite | Method::Update | Method::Refer) => context.reply_later(server),
            Some(_) | None => context.serve_common(server, message),
        }
        State::Confirming(self)
    }
}
