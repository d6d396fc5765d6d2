//! The caller's side until the final answer: forks, early media, reliable responses, offers of the
//! callee, and the races of CANCEL.
//!
//! ```text
//!   Inviting ──2xx──> Confirmed
//!     │  ↑  └──2xx with an offer──> Acknowledging ──ACK with the answer──> Confirmed
//!    3xx └─another target
//!     └──> Redirecting
//! ```

use super::delayed::{self, Acknowledging};
use super::early::{Agreement, Early, EarlyDialogs, NO_DIALOG, Turn};
use super::redirect::{Redirecting, Redirects};
use super::{
    Ask, Context, Effect, Exit, Failure, Input, Purpose, Refresh, Reply, State, Tag, reason_header,
    sdp_of, tame,
};
use crate::sip::dialog::Dialog;
use crate::sip::interface::{EndCause, Event};
use crate::sip::message::{Message, Method};
use crate::sip::session::confirmed::{Confirmed, REANSWER_MAX};
use crate::sip::transaction::table::ServerId;
use std::time::Instant;

/// The numbers of requests in early dialogs begin here: their answers may come when the session
/// stands, whose own requests are counted from 0.
const EARLY_TAGS: u32 = 1 << 31;

/// Our INVITE is out and has no final answer.
#[derive(Debug)]
pub(super) struct Inviting {
    pub(super) redirects: Redirects,
    /// The INVITE makes the offer; else the callee does.
    offered: bool,
    /// One for each fork that rings.
    early: EarlyDialogs,
    /// The offer of an UPDATE that waits for the application.
    asked: Option<Asked>,
    next_tag: u32,
    /// Set once the session is to end, whatever comes.
    exit: Option<Exit>,
}

/// An UPDATE in an early dialog.
#[derive(Debug)]
struct Asked {
    server: ServerId,
    /// Of the callee.
    tag: String,
    /// How long the application may think about it.
    until: Instant,
}

impl Inviting {
    pub(super) fn new(target: String, offered: bool) -> Self {
        Self {
            redirects: Redirects::new(target),
            offered,
            early: EarlyDialogs::default(),
            asked: None,
            next_tag: EARLY_TAGS,
            exit: None,
        }
    }

    pub(super) fn dialogs(&self) -> usize {
        self.early.len()
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        self.asked.as_ref().map(|asked| (asked.until, "offer_unanswered"))
    }

    pub(super) fn next_cseq(&mut self) -> Option<u32> {
        self.early.next_cseq()
    }

    pub(super) fn handle(mut self, context: &mut Context<'_>, input: Input<'_>) -> State {
        match input {
            Input::Provisional(answer) => self.ringing(context, answer),
            Input::Accepted(answer) => return self.accepted(context, answer),
            Input::Refused { code: 422, message: Some(message), .. }
                if self.exit.is_none() && context.redial_longer(message) =>
            {
                self.drop_asked(context);
                self.early.clear();
            }
            Input::Refused { code, reason, message } => {
                return self.refused(context, code, &reason, message);
            }
            Input::Failed(failure) => return self.failed(context, failure),
            Input::Request { server, message } => self.request(context, server, message),
            Input::Ask(Ask::Hangup { reason }) => {
                if self.exit.is_none() {
                    self.exit = Some(Exit::hangup(reason.clone()));
                    self.drop_asked(context);
                    context.effects.push(Effect::Cancel { reason });
                }
            }
            Input::Ask(Ask::Acknowledge(sdp)) => self.acknowledge(context, sdp),
            Input::Ask(Ask::Reanswer(sdp)) => self.reanswer(context, sdp),
            Input::Ask(Ask::Reject { code, reason }) => self.reject(context, code, reason),
            // Offers of ours wait until the session stands.
            Input::Ask(Ask::Reoffer(_)) => context.event(Event::Reoffered(Err(491))),
            Input::Timeout => {
                if self.asked.as_ref().is_some_and(|asked| context.now >= asked.until) {
                    self.refuse_asked(context, 500);
                }
            }
            // Questions to a callee, or about what cannot have come. The INVITE's own outcome tells
            // whether a PRACK mattered.
            Input::Ask(
                Ask::Ring
                | Ask::Progress(_)
                | Ask::Answer(_)
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
            | Input::Cancel { .. } => {}
        }
        State::Inviting(self)
    }

    fn ringing(&mut self, context: &mut Context<'_>, answer: &Message<'_>) {
        let (wanted, code) = (self.exit.is_none(), answer.code().unwrap_or(183));
        let busy = self.early.offering().is_some();
        let sdp = sdp_of(answer);
        let Some(early) = self.early.heard(answer, self.redirects.target()) else {
            let sdp = sdp.filter(|_| self.offered);
            if wanted {
                context.event(Event::Provisional { code, sdp, fork: NO_DIALOG });
            }
            return;
        };
        let turn = early.turn(answer);
        let offers = !self.offered && sdp.is_some() && early.agreement == Agreement::Open;
        // An offer that nobody can answer yet is not taken: the callee sends it again.
        let too_early = offers && turn != Turn::Unreliable && (busy || !wanted);
        if early.has_ended() || turn == Turn::Out || too_early {
            return;
        }
        let fork = early.fork;
        let answered = sdp.clone().filter(|_| self.offered && early.agreement != Agreement::Theirs);
        if answered.is_some() {
            early.sdp.clone_from(&answered);
        }
        if wanted {
            context.event(Event::Provisional { code, sdp: answered, fork });
        }
        if let Turn::Next(rseq) = turn {
            early.take(rseq);
            let cseq = answer.cseq().map_or(0, |cseq| cseq.number);
            self.reliable(context, fork, (rseq, cseq), sdp);
        }
        if code == 199 {
            self.fork_ended(context, fork);
        }
    }

    /// Acknowledges the reliable response that a fork has just given, or asks the application for
    /// the answer to its offer first.
    fn reliable(
        &mut self,
        context: &mut Context<'_>,
        fork: u32,
        (rseq, cseq): (u32, u32),
        sdp: Option<Vec<u8>>,
    ) {
        let Some(early) = self.early.by_fork(fork) else { return };
        match (&early.agreement, sdp) {
            //= RFC 3261 §13.2.1: the offer that the INVITE lacks is in the first reliable response
            (Agreement::Open, Some(sdp)) if !self.offered => {
                early.agreement = Agreement::Offered { rseq, cseq, sdp: sdp.clone() };
                return context.event(Event::Offered { sdp });
            }
            //= RFC 3262 §5: the answer in a reliable response ends the exchange of the INVITE
            (Agreement::Open, Some(_)) => early.agreement = Agreement::Answered,
            (Agreement::Open, None)
            | (Agreement::Offered { .. } | Agreement::Answered | Agreement::Theirs, _) => {}
        }
        prack(context, early, &mut self.next_tag, (rseq, cseq), None);
    }

    fn fork_ended(&mut self, context: &mut Context<'_>, fork: u32) {
        let Some(early) = self.early.by_fork(fork) else { return };
        early.end();
        if self.asked.as_ref().is_some_and(|asked| asked.tag == early.dialog.remote_tag()) {
            self.drop_asked(context);
        }
    }

    /// The application answers the offer of a reliable response.
    //= RFC 3262 §5: an offer in a reliable response MUST be answered in the PRACK
    fn acknowledge(&mut self, context: &mut Context<'_>, sdp: Vec<u8>) {
        let Some(early) = self.early.offering().filter(|_| self.exit.is_none()) else { return };
        let Agreement::Offered { rseq, cseq, .. } = early.agreement else { return };
        early.agreement = Agreement::Theirs;
        if !early.has_ended() {
            prack(context, early, &mut self.next_tag, (rseq, cseq), Some(sdp));
        }
    }

    /// The first 2xx: this fork is the session, whether we still want it or not.
    fn accepted(mut self, context: &mut Context<'_>, answer: &Message<'_>) -> State {
        let target = self.redirects.target();
        let (mut dialog, cseq) = match (Dialog::uac(answer, target), answer.cseq()) {
            (Ok(dialog), Ok(cseq)) => (dialog, cseq.number),
            (Err(_), _) | (_, Err(_)) => {
                self.drop_asked(context);
                let reason = "unusable 2xx".to_owned();
                let exit = self.exit.unwrap_or(Exit::new(EndCause::Protocol, reason));
                return context.end(exit);
            }
        };
        let early = self.early.remove(dialog.remote_tag());
        if let Some(early) = &early {
            dialog.inherit(&early.dialog);
        }
        self.put_off_asked(context);
        let outcome = self.outcome(early, sdp_of(answer));
        //= RFC 3261 §15: CANCEL crossed the 2xx: the session exists and is ended by BYE
        if let Some(exit) = self.exit.take() {
            match outcome {
                Outcome::Offered { sdp, .. } => delayed::refuse(context, &dialog, cseq, &sdp),
                Outcome::Agreed(_) | Outcome::Nothing => acknowledge(context, &dialog, cseq),
            }
            return context.leave(dialog, exit);
        }
        let refresh = Refresh::Off.of(answer, &context.policy, context.now);
        match outcome {
            Outcome::Agreed(sdp) => {
                acknowledge(context, &dialog, cseq);
                context.event(Event::Answered { sdp });
                State::Confirmed(Confirmed::new(dialog, refresh))
            }
            Outcome::Offered { sdp, told } => {
                // An answer that is under way belongs to the offer of another fork.
                let stale = !told && self.early.offering().is_some();
                if !told {
                    context.event(Event::Offered { sdp: sdp.clone() });
                }
                let confirmed = Confirmed::new(dialog, refresh);
                Acknowledging::wait(context, confirmed, (cseq, sdp), stale)
            }
            //= RFC 3261 §13.2.1: without an offer in the INVITE, the 2xx MUST have one
            Outcome::Nothing => {
                acknowledge(context, &dialog, cseq);
                let reason = "2xx without an offer".to_owned();
                context.leave(dialog, Exit::new(EndCause::Protocol, reason))
            }
        }
    }

    /// What the 2xx of a fork means for offer and answer.
    fn outcome(&self, early: Option<Early>, sdp: Option<Vec<u8>>) -> Outcome {
        let (agreement, before) = match early {
            Some(early) => (early.agreement, early.sdp),
            None => (Agreement::Open, None),
        };
        match agreement {
            Agreement::Open | Agreement::Answered if self.offered => {
                Outcome::Agreed(sdp.or(before))
            }
            Agreement::Open | Agreement::Answered => match sdp {
                Some(sdp) => Outcome::Offered { sdp, told: false },
                None => Outcome::Nothing,
            },
            // The callee did not wait for its PRACK: the ACK answers as well.
            Agreement::Offered { sdp, .. } => Outcome::Offered { sdp, told: true },
            Agreement::Theirs => Outcome::Agreed(None),
        }
    }

    fn refused(
        mut self,
        context: &mut Context<'_>,
        code: u16,
        reason: &str,
        message: Option<&Message<'_>>,
    ) -> State {
        self.drop_asked(context);
        if let Some(exit) = self.exit {
            return context.end(Exit { code: Some(code), ..canceled(exit) });
        }
        //= RFC 6432 §3: a final response may have a Reason
        let said = message.map(reason_header).unwrap_or_default();
        let text = if said.text.is_empty() { tame(reason) } else { said.text };
        let exit = Exit::with_code(EndCause::Refused, code, text);
        let exit = Exit { q850: said.q850, ..exit };
        if let Some(message) = message {
            self.redirects.redirected(code, message);
        }
        // 6xx speaks for all places.
        if code < 600 { self.go_on(context, exit) } else { context.end(exit) }
    }

    fn failed(mut self, context: &mut Context<'_>, failure: Failure) -> State {
        self.drop_asked(context);
        if let Some(exit) = self.exit {
            return context.end(canceled(exit));
        }
        match failure {
            Failure::TimedOut => self.go_on(context, Exit::new(EndCause::Timeout, String::new())),
            Failure::Unreachable => {
                self.go_on(context, Exit::new(EndCause::Unreachable, String::new()))
            }
            Failure::Withdrawn => context.end(Exit::new(EndCause::Canceled, String::new())),
        }
    }

    /// Asks for the next target of a redirection, or ends the session.
    //= RFC 3261 §8.1.3.4: a target that fails is followed by the next one, until none is left
    fn go_on(mut self, context: &mut Context<'_>, exit: Exit) -> State {
        let left = self.redirects.left();
        if left.is_empty() {
            return context.end(exit);
        }
        self.early.clear();
        Redirecting::ask(context, self, left, exit)
    }

    fn request(&mut self, context: &mut Context<'_>, server: ServerId, message: &Message<'_>) {
        if message.method() == Some(Method::Bye) {
            return self.bye(context, server, message);
        }
        let tag = message.from().ok().and_then(|from| from.tag()).unwrap_or("");
        let Some(early) = self.early.of(tag) else {
            return context.reply(server, Reply::code(481));
        };
        if !context.in_order(&mut early.dialog, server, message) {
            return;
        }
        match message.method() {
            //= RFC 3261 §14.2: an INVITE of ours is in progress on that dialog: 491
            Some(Method::Invite) => context.reply(server, Reply::code(491)),
            Some(Method::Update) => self.update(context, server, message, tag),
            Some(_) | None => context.serve_common(server, message),
        }
    }

    fn update(
        &mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
        tag: &str,
    ) {
        let Some(early) = self.early.of(tag) else { return };
        let Some(sdp) = sdp_of(message) else {
            early.dialog.refresh_target(message);
            return context.reply(server, Reply::code(200));
        };
        match early.agreement {
            //= RFC 3311 §5.2: our offer has no answer yet: 491
            Agreement::Open => context.reply(server, Reply::code(491)),
            //= RFC 3311 §5.2: the callee's own offer has no answer yet: 500 with Retry-After
            Agreement::Offered { .. } => context.reply_later(server),
            Agreement::Answered | Agreement::Theirs if self.exit.is_some() => {
                context.reply(server, Reply::code(487));
            }
            //= RFC 3311 §5.2: nor has an earlier UPDATE: 500 with Retry-After
            Agreement::Answered | Agreement::Theirs if self.asked.is_some() => {
                context.reply_later(server);
            }
            Agreement::Answered | Agreement::Theirs => {
                early.dialog.refresh_target(message);
                let until = context.now + REANSWER_MAX;
                self.asked = Some(Asked { server, tag: tag.to_owned(), until });
                context.event(Event::Reoffer { sdp: Some(sdp) });
            }
        }
    }

    fn reanswer(&mut self, context: &mut Context<'_>, sdp: Vec<u8>) {
        let Some(Asked { server, tag, .. }) = self.asked.take() else { return };
        context.reply(server, Reply::with_sdp(200, sdp));
        if let Some(early) = self.early.of(&tag) {
            early.agreement = Agreement::Theirs;
        }
    }

    //= RFC 3311 §5.2: an offer that is not acceptable gets 488; the session stays as it was
    fn reject(&mut self, context: &mut Context<'_>, code: u16, reason: String) {
        if let Some(Asked { server, .. }) = self.asked.take() {
            let code = if (300..700).contains(&code) { code } else { 488 };
            context.reply(server, Reply { code, reason, ..Reply::default() });
        }
    }

    /// Refuses an offer whose dialog ends.
    fn drop_asked(&mut self, context: &mut Context<'_>) {
        self.refuse_asked(context, 487);
    }

    fn refuse_asked(&mut self, context: &mut Context<'_>, code: u16) {
        if let Some(Asked { server, .. }) = self.asked.take() {
            context.reply(server, Reply::code(code));
        }
    }

    /// The 2xx overtakes an offer: the peer may make it again once the session stands.
    fn put_off_asked(&mut self, context: &mut Context<'_>) {
        if let Some(Asked { server, .. }) = self.asked.take() {
            context.reply_later(server);
        }
    }

    /// A BYE before any 2xx: the 2xx was lost or overtaken, and the callee has left already.
    fn bye(&mut self, context: &mut Context<'_>, server: ServerId, message: &Message<'_>) {
        let exit = context.accept_bye(server, message);
        self.drop_asked(context);
        if self.exit.replace(exit).is_none() {
            context.effects.push(Effect::Cancel { reason: None });
        }
    }
}

/// What a 2xx means for offer and answer.
enum Outcome {
    /// Both have spoken; this is the answer, if it is the callee's.
    Agreed(Option<Vec<u8>>),
    /// The callee offers.
    Offered {
        sdp: Vec<u8>,
        /// The application knows it.
        told: bool,
    },
    /// The callee should have offered.
    Nothing,
}

/// The ACK to a 2xx that needs no description.
//= RFC 3261 §13.2.2.4: the UAC core MUST generate an ACK for each 2xx
fn acknowledge(context: &mut Context<'_>, dialog: &Dialog, cseq: u32) {
    let to_tag = dialog.remote_tag().to_owned();
    context.effects.push(Effect::Ack { to_tag, request: dialog.ack(cseq), of: None });
}

/// The PRACK to a reliable response.
//= RFC 3262 §4: it MUST be acknowledged by PRACK within the early dialog, with RAck of the RSeq
//= and CSeq of the response
fn prack(
    context: &mut Context<'_>,
    early: &mut Early,
    next_tag: &mut u32,
    (rseq, cseq): (u32, u32),
    sdp: Option<Vec<u8>>,
) {
    let mut request = early.dialog.request(Method::Prack);
    request.headers.push(("RAck".to_owned(), format!("{rseq} {cseq} INVITE")));
    if let Some(sdp) = sdp {
        request.body = ("application/sdp", sdp);
    }
    let purpose = Purpose::InDialog(Tag(*next_tag));
    *next_tag = next_tag.wrapping_add(1);
    context.effects.push(Effect::Request { purpose, request });
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
