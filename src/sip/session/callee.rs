//! The callee's side until the ACK: ringing, early media, reliable responses and offers in early
//! dialogs, the final answer, and its repetition.

use super::reliable::{Prack, Sender};
use super::{
    Ask, Context, Exit, Input, Policy, Reason, Refresh, Repeat, Reply, State, TimerAsk, sdp_of,
};
use crate::sip::dialog::{Dialog, DialogError};
use crate::sip::interface::{EndCause, Event};
use crate::sip::message::{Message, Method, Name};
use crate::sip::session::confirmed::{Confirmed, REANSWER_MAX};
use crate::sip::transaction::table::ServerId;
use std::time::{Duration, Instant};

/// How often a provisional answer is given again, so that no proxy loses patience.
//= RFC 3261 §13.3.1.1: one every minute
const PROVISIONAL_EVERY: Duration = Duration::from_mins(1);

/// The same for one that is sure to arrive.
//= RFC 3262 §3: once every two and a half minutes
const RELIABLE_EVERY: Duration = Duration::from_secs(150);
/// Most wishes of the application that wait for the ACK; further ones are lost.
const LATER_MAX: usize = 32;

/// The peer's INVITE is in and has no final answer.
#[derive(Debug)]
pub(super) struct Invited {
    server: ServerId,
    dialog: Dialog,
    invite_cseq: u32,
    /// The INVITE made no offer: ours goes into a reliable 1xx or the 2xx.
    delayed_offer: bool,
    agreement: Agreement,
    /// Gives the provisional responses, if they are to be reliable.
    reliable: Option<Sender>,
    /// The PRACK or UPDATE whose offer waits for the application, and until when.
    asked: Option<(ServerId, Instant)>,
    /// The application has answered while a PRACK or its own word on an offer was missing.
    answer: Option<Vec<u8>>,
    timer: TimerAsk,
    /// What was said last, to be said again.
    ringing: Option<(Reply, Instant)>,
    /// The end that the Expires of the INVITE sets.
    expires: Option<Instant>,
}

/// Where the first offer and its answer stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// There is no answer, or none that is sure to arrive: the 2xx has our description.
    Open,
    /// Our offer is out in a reliable response; its PRACK brings the answer.
    Offered,
    /// Both have spoken reliably: the 2xx needs no description.
    Done,
}

impl Invited {
    pub(super) fn new(
        now: Instant,
        policy: Policy,
        (server, message): (ServerId, &Message<'_>),
        local_tag: &str,
    ) -> Result<Self, DialogError> {
        let dialog = Dialog::uas(message, local_tag)?;
        let expires = message.seconds(Name::Expires).ok().filter(|seconds| *seconds > 0);
        Ok(Self {
            server,
            dialog,
            invite_cseq: message.cseq()?.number,
            delayed_offer: sdp_of(message).is_none(),
            agreement: Agreement::Open,
            reliable: Sender::new(message, policy),
            asked: None,
            answer: None,
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
        let reliable = self.reliable.as_ref().and_then(Sender::deadline);
        let asked = self.asked.map(|(_, until)| (until, "offer_unanswered"));
        ringing.into_iter().chain(expires).chain(reliable).chain(asked).min()
    }

    pub(super) fn handle(self: Box<Self>, context: &mut Context<'_>, input: Input<'_>) -> State {
        match input {
            Input::Ask(ask) => return self.ask(context, ask),
            Input::Request { server, message } => return self.request(context, server, message),
            //= RFC 3261 §9.2: CANCEL before the final answer: 487 to the INVITE
            Input::Cancel { server, reason } if server == self.server => {
                let Reason { text, q850 } = reason;
                let exit = Exit::with_code(EndCause::Canceled, 487, text);
                return self.refuse(context, Reply::code(487), Exit { q850, ..exit });
            }
            Input::Timeout => return self.timeout(context),
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

    fn ask(mut self: Box<Self>, context: &mut Context<'_>, ask: Ask) -> State {
        match ask {
            Ask::Ring => self.ring(context, 180, None),
            Ask::Progress(sdp) => self.ring(context, 183, Some(sdp)),
            Ask::Answer(sdp) => {
                self.answer = Some(sdp);
                return self.proceed(context);
            }
            Ask::Reanswer(sdp) => {
                if let Some((server, _)) = self.asked.take() {
                    context.reply(server, Reply::with_sdp(200, sdp));
                    return self.proceed(context);
                }
            }
            // With an offer open it is that which is refused, not the call.
            //= RFC 3311 §5.2: an offer that is not acceptable gets 488
            Ask::Reject { code, reason } if self.asked.is_some() => {
                let code = if (300..700).contains(&code) { code } else { 488 };
                if let Some((server, _)) = self.asked.take() {
                    context.reply(server, Reply { code, reason, ..Reply::default() });
                }
                return self.proceed(context);
            }
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
            Ask::Reoffer(_) => context.event(Event::Reoffered(Err(491))),
            Ask::Acknowledge(_)
            | Ask::Redirect(_)
            | Ask::Refer { .. }
            | Ask::AnswerRefer(_)
            | Ask::NotifyRefer(_)
            | Ask::Info { .. } => {}
        }
        State::Invited(self)
    }

    fn request(
        mut self: Box<Self>,
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
            Some(Method::Prack) => return self.prack(context, server, message),
            //= RFC 3261 §14.2: a second INVITE before the final answer to the first: 500
            Some(Method::Invite) => context.reply_later(server),
            Some(Method::Update) => self.update(context, server, message),
            Some(_) | None => context.serve_common(server, message),
        }
        State::Invited(self)
    }

    /// Says that the call goes on.
    fn ring(&mut self, context: &mut Context<'_>, code: u16, sdp: Option<Vec<u8>>) {
        if self.answer.is_some() {
            return;
        }
        let sdp = sdp.filter(|_| self.agreement == Agreement::Open);
        //= RFC 3261 §13.2.1: the offer that the INVITE lacks MUST be in the first reliable response
        let no_offer = self.delayed_offer && self.agreement == Agreement::Open && sdp.is_none();
        let reply = Reply { code, sdp, ..Reply::default() };
        match &mut self.reliable {
            // It may be neither reliable, for want of an offer, nor unreliable: the peer waits.
            Some(sender) if no_offer && sender.is_required() => {}
            Some(sender) if !no_offer => {
                let describes = reply.sdp.is_some();
                let again = Reply::code(code);
                if sender.send(context, self.server, reply) && describes {
                    self.described();
                }
                self.ringing = Some((again, context.now + RELIABLE_EVERY));
            }
            //= RFC 3261 §13.2.1: an offer is made in what surely arrives only
            Some(_) | None => {
                let sdp = reply.sdp.filter(|_| !self.delayed_offer);
                let reply = Reply { code, sdp, ..Reply::default() };
                context.reply(self.server, reply.clone());
                self.ringing = Some((reply, context.now + PROVISIONAL_EVERY));
            }
        }
    }

    /// A description has gone out in a reliable response.
    fn described(&mut self) {
        self.agreement = if self.delayed_offer { Agreement::Offered } else { Agreement::Done };
    }

    fn timeout(mut self: Box<Self>, context: &mut Context<'_>) -> State {
        //= RFC 3261 §13.3.1: the invitation expired: 487
        if self.expires.is_some_and(|at| context.now >= at) {
            let exit = Exit::with_code(EndCause::Canceled, 487, "INVITE expired".to_owned());
            return self.refuse(context, Reply::code(487), exit);
        }
        let overdue = match &mut self.reliable {
            Some(sender) => sender.run(context, self.server),
            None => false,
        };
        //= RFC 3262 §3: no PRACK for 64*T1: the INVITE SHOULD be refused with a 5xx
        if overdue {
            let exit = Exit::with_code(EndCause::Timeout, 504, "no PRACK".to_owned());
            return self.refuse(context, Reply::code(504), exit);
        }
        // An offer that is never answered would hold up the call.
        if let Some((server, _)) = self.asked.take_if(|(_, until)| context.now >= *until) {
            context.reply(server, Reply::code(500));
            return self.proceed(context);
        }
        if let Some((reply, at)) = self.ringing.take() {
            if context.now >= at {
                self.ring(context, reply.code, reply.sdp);
            } else {
                self.ringing = Some((reply, at));
            }
        }
        State::Invited(self)
    }

    fn prack(
        mut self: Box<Self>,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
    ) -> State {
        let prack = match &mut self.reliable {
            Some(sender) => sender.acknowledge(message, self.invite_cseq),
            None => Prack::Strange,
        };
        match prack {
            Prack::Matches => {}
            //= RFC 3262 §3: a PRACK that matches no unacknowledged response: 481
            Prack::Strange => {
                context.reply(server, Reply::code(481));
                return State::Invited(self);
            }
            Prack::Malformed => {
                context.reply(server, Reply::code(400));
                return State::Invited(self);
            }
        }
        match (self.agreement, sdp_of(message)) {
            (Agreement::Offered, Some(sdp)) => {
                self.agreement = Agreement::Done;
                context.reply(server, Reply::code(200));
                context.event(Event::Agreed { sdp });
            }
            // The peer owes an answer: the 2xx makes the offer again.
            (Agreement::Offered, None) => {
                self.agreement = Agreement::Open;
                context.reply(server, Reply::code(200));
            }
            //= RFC 3262 §5: an offer in a PRACK MUST be answered in the 2xx to it
            (Agreement::Done, Some(sdp)) => self.offered(context, server, sdp),
            // Its offer in the INVITE has no answer yet.
            (Agreement::Open, Some(_)) => context.reply_later(server),
            //= RFC 3262 §3: one that matches MUST be answered with a 2xx
            (Agreement::Open | Agreement::Done, None) => context.reply(server, Reply::code(200)),
        }
        self.proceed(context)
    }

    fn update(&mut self, context: &mut Context<'_>, server: ServerId, message: &Message<'_>) {
        let Some(sdp) = sdp_of(message) else {
            self.dialog.refresh_target(message);
            return context.reply(server, Reply::code(200));
        };
        match self.agreement {
            //= RFC 3311 §5.2: the peer's own offer has no answer yet: 500 with Retry-After
            Agreement::Open => context.reply_later(server),
            //= RFC 3311 §5.2: our offer has no answer yet: 491
            Agreement::Offered => context.reply(server, Reply::code(491)),
            Agreement::Done => {
                // Who offers anew has our answer: its PRACK was lost or is overtaken.
                if let Some(sender) = self.reliable.as_mut().filter(|sender| sender.is_describing())
                {
                    sender.settle();
                }
                self.dialog.refresh_target(message);
                self.offered(context, server, sdp);
            }
        }
    }

    /// Passes an offer of the peer on.
    fn offered(&mut self, context: &mut Context<'_>, server: ServerId, sdp: Vec<u8>) {
        //= RFC 3311 §5.2: an earlier offer of the peer has no answer yet: 500 with Retry-After
        if self.asked.is_some() {
            return context.reply_later(server);
        }
        self.asked = Some((server, context.now + REANSWER_MAX));
        context.event(Event::Reoffer { sdp: Some(sdp) });
    }

    /// Gives what waited for a PRACK or for the application.
    //= RFC 3262 §3: no 2xx until each reliable response with a description is acknowledged
    fn proceed(mut self: Box<Self>, context: &mut Context<'_>) -> State {
        let busy = self.asked.is_some() || self.reliable.as_ref().is_some_and(Sender::is_waiting);
        match (self.answer.take(), &mut self.reliable) {
            (Some(sdp), _) if !busy => return self.accept(context, sdp),
            (Some(sdp), sender) => {
                self.answer = Some(sdp);
                if let Some(sender) = sender {
                    sender.drop_queued();
                }
            }
            (None, Some(sender)) => {
                if sender.send_queued(context, self.server) {
                    self.described();
                }
            }
            (None, None) => {}
        }
        State::Invited(self)
    }

    fn accept(self: Box<Self>, context: &mut Context<'_>, sdp: Vec<u8>) -> State {
        let (headers, refresh) = self.timer.grant(&context.policy, context.now);
        //= RFC 3261 §13.2.1: after the answer no further description in responses to the INVITE
        let sdp = Some(sdp).filter(|_| self.agreement != Agreement::Done);
        let delayed_offer = self.delayed_offer && sdp.is_some();
        context.reply(self.server, Reply { code: 200, headers, sdp, ..Reply::default() });
        State::Confirming(Confirming {
            server: self.server,
            dialog: self.dialog,
            invite_cseq: self.invite_cseq,
            delayed_offer,
            refresh,
            repeat: context.first_repeat(),
            later: Vec::new(),
            exit: None,
        })
    }

    fn refuse(self: Box<Self>, context: &mut Context<'_>, reply: Reply, exit: Exit) -> State {
        if let Some((server, _)) = self.asked {
            context.reply(server, Reply::code(487));
        }
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
                return context.end(exit);
            }
            // The ACK is on its way or lost; our repeated 2xx will bring it, then all is well.
            Some(Method::Invite | Method::Update | Method::Refer) => context.reply_later(server),
            Some(_) | None => context.serve_common(server, message),
        }
        State::Confirming(self)
    }
}
