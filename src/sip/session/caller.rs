//! The caller's side until the final answer: forks, early media, and the races of CANCEL.

use super::{Ask, Context, Effect, Exit, Failure, Input, Refresh, Reply, State, sdp_of, tame};
use crate::sip::dialog::Dialog;
use crate::sip::interface::{EndCause, Event};
use crate::sip::message::{Message, Method};
use crate::sip::session::confirmed::Confirmed;
use crate::sip::transaction::table::ServerId;

/// Most early dialogs of one INVITE; further forks ring without one.
const EARLY_MAX: usize = 16;

/// Our INVITE is out and has no final answer.
#[derive(Debug)]
pub(super) struct Inviting {
    /// The Request-URI, for a 2xx without Contact.
    target: String,
    /// One for each fork that rings.
    early: Vec<Dialog>,
    /// Set once the session is to end, whatever comes.
    exit: Option<Exit>,
}

impl Inviting {
    pub(super) fn new(target: String) -> Self {
        Self { target, early: Vec::new(), exit: None }
    }

    pub(super) fn dialogs(&self) -> usize {
        self.early.len()
    }

    pub(super) fn handle(mut self, context: &mut Context<'_>, input: Input<'_>) -> State {
        match input {
            Input::Provisional(answer) => self.ringing(context, answer),
            Input::Accepted(answer) => return self.accepted(context, answer),
            Input::Refused { code: 422, message: Some(message), .. }
                if self.exit.is_none() && context.redial_longer(message) =>
            {
                self.early.clear();
            }
            Input::Refused { code, reason, .. } => return self.refused(context, code, &reason),
            Input::Failed(failure) => return self.failed(context, failure),
            Input::Request { server, message } => self.request(context, server, message),
            Input::Ask(Ask::Hangup { reason }) => {
                if self.exit.is_none() {
                    self.exit = Some(Exit::hangup(reason.clone()));
                    context.effects.push(Effect::Cancel { reason });
                }
            }
            // Questions to a callee, or about offers that cannot have come.
            Input::Ask(
                Ask::Ring
                | Ask::Progress(_)
                | Ask::Answer(_)
                | Ask::Reject { .. }
                | Ask::Reanswer(_)
                | Ask::Acknowledge(_)
                | Ask::Reoffer(_)
                | Ask::Redirect(_)
                | Ask::Refer { .. }
                | Ask::AnswerRefer(_)
                | Ask::NotifyRefer(_)
                | Ask::Info { .. },
            )
            | Input::Left
            | Input::Response { .. }
            | Input::NoAnswer { .. }
            | Input::Ack(_)
            | Input::Cancel { .. }
            | Input::Timeout => {}
        }
        State::Inviting(self)
    }

    fn ringing(&mut self, context: &mut Context<'_>, answer: &Message<'_>) {
        let tag = answer.to().ok().and_then(|to| to.tag());
        let known = self.early.iter().any(|dialog| Some(dialog.remote_tag()) == tag);
        //= RFC 3261 §13.2.2.1: a 1xx with a To tag constructs an early dialog
        if tag.is_some() && !known && self.early.len() < EARLY_MAX {
            self.early.extend(Dialog::uac(answer, &self.target));
        }
        if self.exit.is_none() {
            let code = answer.code().unwrap_or(183);
            context.event(Event::Provisional { code, sdp: sdp_of(answer), fork: 0 });
        }
    }

    /// The first 2xx: this fork is the session, whether we still want it or not.
    fn accepted(mut self, context: &mut Context<'_>, answer: &Message<'_>) -> State {
        let (mut dialog, cseq) = match (Dialog::uac(answer, &self.target), answer.cseq()) {
            (Ok(dialog), Ok(cseq)) => (dialog, cseq.number),
            (Err(_), _) | (_, Err(_)) => {
                let reason = "unusable 2xx".to_owned();
                let exit = self.exit.unwrap_or(Exit::new(EndCause::Protocol, reason));
                return context.end(exit);
            }
        };
        if let Some(early) = self.early.iter().find(|e| e.remote_tag() == dialog.remote_tag()) {
            dialog.inherit(early);
        }
        //= RFC 3261 §13.2.2.4: the UAC core MUST generate an ACK for each 2xx
        let to_tag = dialog.remote_tag().to_owned();
        context.effects.push(Effect::Ack { to_tag, request: dialog.ack(cseq), of: None });
        //= RFC 3261 §15: CANCEL crossed the 2xx: the session exists and is ended by BYE
        if let Some(exit) = self.exit.take() {
            return context.leave(dialog, exit);
        }
        context.event(Event::Answered { sdp: sdp_of(answer) });
        let refresh = Refresh::Off.of(answer, &context.policy, context.now);
        State::Confirmed(Confirmed::new(dialog, refresh))
    }

    fn refused(self, context: &mut Context<'_>, code: u16, reason: &str) -> State {
        let exit = match self.exit {
            Some(exit) => Exit { code: Some(code), ..canceled(exit) },
            None => Exit::with_code(EndCause::Refused, code, tame(reason)),
        };
        context.end(exit)
    }

    fn failed(self, context: &mut Context<'_>, failure: Failure) -> State {
        let exit = match (self.exit, failure) {
            (Some(exit), _) => canceled(exit),
            (None, Failure::TimedOut) => Exit::new(EndCause::Timeout, String::new()),
            (None, Failure::Unreachable) => Exit::new(EndCause::Unreachable, String::new()),
            (None, Failure::Withdrawn) => Exit::new(EndCause::Canceled, String::new()),
        };
        context.end(exit)
    }

    fn request(&mut self, context: &mut Context<'_>, server: ServerId, message: &Message<'_>) {
        if message.method() == Some(Method::Bye) {
            return self.bye(context, server, message);
        }
        let tag = message.from().ok().and_then(|from| from.tag()).unwrap_or("");
        let Some(dialog) = self.early.iter_mut().find(|dialog| dialog.remote_tag() == tag) else {
            return context.reply(server, Reply::code(481));
        };
        if !context.in_order(dialog, server, message) {
            return;
        }
        match message.method() {
            //= RFC 3261 §14.2: an INVITE of ours is in progress on that dialog: 491
            Some(Method::Invite) => context.reply(server, Reply::code(491)),
            //= RFC 3311 §5.2: our offer has no answer yet: 491
            Some(Method::Update) if sdp_of(message).is_some() => {
                context.reply(server, Reply::code(491));
            }
            Some(Method::Update) => {
                dialog.refresh_target(message);
                context.reply(server, Reply::code(200));
            }
            Some(_) | None => context.serve_common(server, message),
        }
    }

    /// A BYE before any 2xx: the 2xx was lost or overtaken, and the callee has left already.
    fn bye(&mut self, context: &mut Context<'_>, server: ServerId, message: &Message<'_>) {
        let exit = context.accept_bye(server, message);
        if self.exit.replace(exit).is_none() {
            context.effects.push(Effect::Cancel { reason: None });
        }
    }
}

/// An exit by our wish that took effect before the answer.
fn canceled(exit: Exit) -> Exit {
    let cause = match exit.cause {
        EndCause::LocalHangup => EndCause::Canceled,
        other @ (EndCause::PeerHangup
        | EndCause::Refused
        | EndCause::Rejected
        | EndCause::Canceled
        | EndCause::Timeout
        | EndCause::Unreachable
        | EndCause::Protocol) => other,
    };
    Exit { cause, ..exit }
}
