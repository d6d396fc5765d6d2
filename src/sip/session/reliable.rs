//! Reliable provisional responses (RFC 3262): the callee's half, and how both read RSeq and RAck.
//!
//! ```text
//!   send ──> unacknowledged ──PRACK──> the next, if one waits
//!              │  ↑ T1, doubling
//!              └──64*T1──> refuse the INVITE
//! ```
//!
//! Owns which response waits for its PRACK and which one waits behind it. Does not know what the
//! descriptions in them mean: `callee` does.

use super::{Context, Policy, Reply};
use crate::sip::interface;
use crate::sip::message::{Message, Method, Name};
use crate::sip::transaction::table::ServerId;
use crate::sip::transaction::timers::Resend;
use std::time::Instant;

/// The option tag.
pub(super) const TAG: &str = "100rel";

/// The first RSeq lies below; so there is room for all that may follow.
const RSEQ_FIRST_MAX: u64 = (1 << 31) - 1;

/// The provisional responses of one INVITE that are given reliably, one after the other.
#[derive(Debug)]
pub(super) struct Sender {
    /// The peer wants it so, for every one of them.
    required: bool,
    /// The last RSeq that was given.
    rseq: Option<u32>,
    unacknowledged: Option<Unacknowledged>,
    /// Waits for the PRACK of the one that is out.
    queued: Option<Reply>,
}

#[derive(Debug)]
struct Unacknowledged {
    rseq: u32,
    reply: Reply,
    resend: Resend,
    give_up: Instant,
}

/// What a PRACK is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prack {
    /// It acknowledges what waits for it.
    Matches,
    /// It acknowledges nothing that waits.
    Strange,
    /// It has no readable RAck.
    Malformed,
}

impl Sender {
    /// `None` if the responses to this INVITE are not to be reliable.
    pub(super) fn new(invite: &Message<'_>, policy: Policy) -> Option<Self> {
        let required = invite.lists(Name::Require, TAG);
        let supported = required || invite.lists(Name::Supported, TAG);
        let wanted = match policy.reliable {
            interface::Reliable::Off => false,
            //= RFC 3262 §3: if the INVITE requires 100rel, each 101 to 199 MUST be sent reliably
            interface::Reliable::Supported => required,
            //= RFC 3262 §3: MUST NOT be sent reliably if the peer does not support it
            interface::Reliable::Required => supported,
        };
        wanted.then_some(Self { required, rseq: None, unacknowledged: None, queued: None })
    }

    pub(super) fn is_required(&self) -> bool {
        self.required
    }

    /// Whether a response waits for its PRACK.
    pub(super) fn is_waiting(&self) -> bool {
        self.unacknowledged.is_some()
    }

    /// Whether the response that waits has a description.
    pub(super) fn is_describing(&self) -> bool {
        self.unacknowledged.as_ref().is_some_and(|waiting| waiting.reply.sdp.is_some())
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        let waiting = self.unacknowledged.as_ref()?;
        Some(if waiting.give_up <= waiting.resend.at {
            (waiting.give_up, "prack_overdue")
        } else {
            (waiting.resend.at, "reliable_retransmission")
        })
    }

    /// Gives a response, or lets it wait for the PRACK of the last one; true if it is out.
    ///
    /// Of several that wait the last one counts, but one without a description does not push out
    /// one that has it.
    //= RFC 3262 §3: MUST NOT send a second one until the first is acknowledged
    pub(super) fn send(
        &mut self,
        context: &mut Context<'_>,
        server: ServerId,
        reply: Reply,
    ) -> bool {
        if self.unacknowledged.is_some() {
            let keeps = self.queued.as_ref().is_some_and(|queued| queued.sdp.is_some());
            if reply.sdp.is_some() || !keeps {
                self.queued = Some(reply);
            }
            return false;
        }
        self.give(context, server, reply);
        true
    }

    /// Gives the one that waited, if its turn has come; true if it has a description.
    pub(super) fn send_queued(&mut self, context: &mut Context<'_>, server: ServerId) -> bool {
        if self.unacknowledged.is_some() {
            return false;
        }
        let Some(reply) = self.queued.take() else { return false };
        let describes = reply.sdp.is_some();
        self.give(context, server, reply);
        describes
    }

    fn give(&mut self, context: &mut Context<'_>, server: ServerId, mut reply: Reply) {
        let rseq = match self.rseq {
            //= RFC 3262 §3: RSeq of each further one MUST be greater by exactly one
            Some(last) => last.wrapping_add(1),
            //= RFC 3262 §3: the first RSeq is between 1 and 2**31 - 1, chosen uniformly
            None => u32::try_from(context.rng.below(RSEQ_FIRST_MAX)).unwrap_or(0) + 1,
        };
        //= RFC 3262 §3: it MUST contain Require with 100rel, and RSeq
        reply.headers.push((Name::Require, TAG.to_owned()));
        reply.headers.push((Name::RSeq, rseq.to_string()));
        context.reply(server, reply.clone());
        let t1 = context.policy.t1;
        let resend = Resend { at: context.now + t1, interval: t1 };
        self.rseq = Some(rseq);
        self.unacknowledged =
            Some(Unacknowledged { rseq, reply, resend, give_up: context.now + t1 * 64 });
    }

    /// Repeats the response if that is due; true if it has been waiting for too long.
    //= RFC 3262 §3: retransmitted after T1, the interval doubling each time, for 64*T1
    #[must_use]
    pub(super) fn run(&mut self, context: &mut Context<'_>, server: ServerId) -> bool {
        let Some(waiting) = &mut self.unacknowledged else { return false };
        if context.now >= waiting.give_up {
            return true;
        }
        if context.now >= waiting.resend.at {
            waiting.resend = waiting.resend.doubled(context.now);
            context.reply(server, waiting.reply.clone());
        }
        false
    }

    /// Files a PRACK.
    //= RFC 3262 §3: it matches by RSeq, CSeq number and method
    pub(super) fn acknowledge(&mut self, prack: &Message<'_>, invite_cseq: u32) -> Prack {
        let Some(rack) = rack(prack) else { return Prack::Malformed };
        let waiting = self.unacknowledged.as_ref().map(|waiting| waiting.rseq);
        let matches = waiting.is_some_and(|rseq| rack == (rseq, invite_cseq, Method::Invite));
        if matches {
            self.unacknowledged = None;
        }
        if matches { Prack::Matches } else { Prack::Strange }
    }

    /// Takes the response that waits as acknowledged by what the peer did since.
    pub(super) fn settle(&mut self) {
        self.unacknowledged = None;
    }

    /// Drops what has not been given: a final response follows.
    pub(super) fn drop_queued(&mut self) {
        self.queued = None;
    }
}

/// RAck: RSeq, CSeq number and method of the response that a PRACK acknowledges.
pub(super) fn rack<'a>(prack: &Message<'a>) -> Option<(u32, u32, Method<'a>)> {
    let mut parts = prack.header(Name::RAck)?.split_ascii_whitespace();
    let rseq = decimal(parts.next()?)?;
    let cseq = decimal(parts.next()?)?;
    let method = Method::new(parts.next()?);
    parts.next().is_none().then_some((rseq, cseq, method))
}

/// The RSeq of a provisional response that is to be acknowledged.
//= RFC 3262 §4: Require with 100rel makes a 101 to 199 reliable; in a 100 it MUST be ignored
pub(super) fn rseq(answer: &Message<'_>) -> Option<u32> {
    let reliable = answer.code().is_some_and(|code| (101..200).contains(&code))
        && answer.lists(Name::Require, TAG);
    if reliable { decimal(answer.header(Name::RSeq)?.trim()) } else { None }
}

fn decimal(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rack_is_read() {
        let read = |value: &str| {
            let text = format!("PRACK sip:a SIP/2.0\r\nRAck: {value}\r\n\r\n");
            let message = Message::parse(text.as_bytes()).unwrap();
            rack(&message).map(|(rseq, cseq, method)| (rseq, cseq, method.as_str().to_owned()))
        };
        assert_eq!(read("776656 1 INVITE"), Some((776_656, 1, "INVITE".to_owned())));
        assert_eq!(read(" 1   2\t INVITE "), Some((1, 2, "INVITE".to_owned())));
        for bad in ["", "1", "1 2", "1 2 INVITE x", "-1 2 INVITE", "+1 2 INVITE", "a b c"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read("4294967296 1 INVITE"), None);
    }

    #[test]
    fn only_101_to_199_are_reliable() {
        let read = |code: u16, lines: &str| {
            let text = format!("SIP/2.0 {code} X\r\n{lines}\r\n");
            rseq(&Message::parse(text.as_bytes()).unwrap())
        };
        let both = "Require: foo, 100REL\r\nRSeq: 7\r\n";
        assert_eq!(read(183, both), Some(7));
        assert_eq!((read(100, both), read(200, both)), (None, None));
        assert_eq!(read(180, "RSeq: 7\r\n"), None);
        assert_eq!(read(180, "Require: 100rel\r\n"), None);
        assert_eq!(read(180, "Require: 100rel\r\nRSeq: x\r\n"), None);
    }
}
