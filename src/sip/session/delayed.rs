//! The caller's side of a delayed offer: the 2xx has brought it, and the ACK is to answer it.
//!
//! Owns the wait for the application's answer. The callee repeats its 2xx meanwhile, which is
//! absorbed here.

use super::confirmed::Confirmed;
use super::{Ask, Context, Effect, Exit, Input, Reply, State, dismiss_fork};
use crate::sip::dialog::Dialog;
use crate::sip::interface::{EndCause, Event};
use crate::sip::message::{Message, Method};
use crate::sip::transaction::table::ServerId;
use std::time::Instant;

/// The 2xx is in and its ACK waits for the application.
#[derive(Debug)]
pub(super) struct Acknowledging {
    /// The session as it stands once the ACK is out.
    confirmed: Box<Confirmed>,
    /// Of the INVITE.
    cseq: u32,
    offer: Vec<u8>,
    /// The next answer of the application belongs to the offer of another fork.
    stale: bool,
    until: Instant,
}

impl Acknowledging {
    /// Waits for half of the time that the callee repeats its 2xx for.
    pub(super) fn wait(
        context: &Context<'_>,
        confirmed: Box<Confirmed>,
        (cseq, offer): (u32, Vec<u8>),
        stale: bool,
    ) -> State {
        let until = context.now + context.policy.t1 * 32;
        State::Acknowledging(Self { confirmed, cseq, offer, stale, until })
    }

    pub(super) fn dialog(&self) -> &Dialog {
        self.confirmed.dialog()
    }

    pub(super) fn dialog_mut(&mut self) -> &mut Dialog {
        self.confirmed.dialog_mut()
    }

    pub(super) fn deadline(&self) -> (Instant, &'static str) {
        (self.until, "answer_overdue")
    }

    pub(super) fn handle(mut self, context: &mut Context<'_>, input: Input<'_>) -> State {
        match input {
            Input::Ask(Ask::Acknowledge(_)) if self.stale => self.stale = false,
            Input::Ask(Ask::Acknowledge(sdp)) => {
                //= RFC 3261 §13.2.2.4: the offer of a 2xx MUST be answered in the ACK
                acknowledge(context, self.dialog(), self.cseq, sdp);
                context.event(Event::Answered { sdp: None });
                return State::Confirmed(self.confirmed);
            }
            Input::Ask(Ask::Hangup { reason }) => {
                return self.leave(context, Exit::hangup(reason));
            }
            Input::Timeout if context.now >= self.until => {
                let reason = "no answer to the offer".to_owned();
                return self.leave(context, Exit::new(EndCause::Timeout, reason));
            }
            Input::Accepted(answer) => self.accepted_again(context, answer),
            Input::Request { server, message } => return self.request(context, server, message),
            Input::Ask(
                Ask::Ring
                | Ask::Progress(_)
                | Ask::Answer(_)
                | Ask::Reject { .. }
                | Ask::Reanswer(_)
                | Ask::Reoffer(_)
                | Ask::Redirect(_)
                | Ask::Refer { .. }
                | Ask::AnswerRefer(_)
                | Ask::NotifyRefer(_)
                | Ask::Info { .. },
            )
            | Input::Provisional(_)
            | Input::Refused { .. }
            | Input::Failed(_)
            | Input::Left
            | Input::Response { .. }
            | Input::NoAnswer { .. }
            | Input::Ack(_)
            | Input::Cancel { .. }
            | Input::Timeout => {}
        }
        State::Acknowledging(self)
    }

    fn leave(self, context: &mut Context<'_>, exit: Exit) -> State {
        refuse(context, self.dialog(), self.cseq, &self.offer);
        context.leave(self.confirmed.dialog().clone(), exit)
    }

    /// Copies of the 2xx wait as their original does; other forks are not wanted.
    fn accepted_again(&self, context: &mut Context<'_>, answer: &Message<'_>) {
        let tag = answer.to().ok().and_then(|to| to.tag()).unwrap_or("");
        if tag != self.dialog().remote_tag() {
            context.effects.extend(dismiss_fork(answer));
        }
    }

    fn request(
        mut self,
        context: &mut Context<'_>,
        server: ServerId,
        message: &Message<'_>,
    ) -> State {
        if message.from().ok().and_then(|from| from.tag()).unwrap_or("")
            != self.dialog().remote_tag()
        {
            let code = if message.method() == Some(Method::Bye) { 200 } else { 481 };
            context.reply(server, Reply::code(code));
            return State::Acknowledging(self);
        }
        if !context.in_order(self.confirmed.dialog_mut(), server, message) {
            return State::Acknowledging(self);
        }
        match message.method() {
            Some(Method::Bye) => {
                let exit = context.accept_bye(server, message);
                // The 2xx would be repeated without it.
                refuse(context, self.dialog(), self.cseq, &self.offer);
                return context.end(exit);
            }
            //= RFC 3311 §5.2: the peer's earlier offer has no answer yet: 500
            Some(Method::Invite | Method::Update) => context.reply_later(server),
            Some(_) | None => context.serve_common(server, message),
        }
        State::Acknowledging(self)
    }
}

/// The ACK to a 2xx, with an answer.
fn acknowledge(context: &mut Context<'_>, dialog: &Dialog, cseq: u32, sdp: Vec<u8>) {
    let mut request = dialog.ack(cseq);
    request.body = ("application/sdp", sdp);
    let to_tag = dialog.remote_tag().to_owned();
    context.effects.push(Effect::Ack { to_tag, request, of: None });
}

/// The ACK to a 2xx whose offer is not wanted; BYE is to follow.
//= RFC 3261 §13.2.2.4: if the offer is not acceptable, the ACK MUST have a valid answer, then BYE
pub(super) fn refuse(context: &mut Context<'_>, dialog: &Dialog, cseq: u32, offer: &[u8]) {
    acknowledge(context, dialog, cseq, refusal_of(offer));
}

/// A description that refuses each medium of an offer: the only one made here.
//= RFC 3264 §6: a stream is refused by port zero; there are as many as in the offer, in order
fn refusal_of(offer: &[u8]) -> Vec<u8> {
    let mut out = b"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n".to_vec();
    for line in offer.split(|byte| matches!(byte, b'\r' | b'\n')) {
        let Some(media) = line.strip_prefix(b"m=") else { continue };
        let mut words = media.splitn(3, |byte| *byte == b' ');
        if let (Some(kind), Some(_), Some(rest)) = (words.next(), words.next(), words.next()) {
            out.extend_from_slice(b"m=");
            out.extend_from_slice(kind);
            out.extend_from_slice(b" 0 ");
            out.extend_from_slice(rest);
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_medium_of_an_offer_is_refused() {
        let offer = b"v=0\r\nm=audio 4000 RTP/AVP 0 8\r\na=sendrecv\r\nm=video 5/2 RTP/AVP 99\nm=x";
        let refusal = String::from_utf8(refusal_of(offer)).unwrap();
        let media: Vec<&str> = refusal.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(media, ["m=audio 0 RTP/AVP 0 8", "m=video 0 RTP/AVP 99"]);
    }
}
