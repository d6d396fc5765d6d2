//! Our own offers and refreshes in a confirmed session: re-INVITE and UPDATE (RFC 3261 §14,
//! RFC 3311, RFC 4028 §7.4).
//!
//! ```text
//!             Reoffer, refresh due          free              2xx, refusal
//!   Idle ─────────────────────────> Waiting ────> Sent ──────────────────────> Idle
//!                                      ^            │
//!                                      └────────────┘
//!                       491, 500 with Retry-After, 422, UPDATE unknown
//! ```
//!
//! One is out at a time. An offer that the application makes meanwhile waits, and a newer one takes
//! its place: only the last description matters. Does not read descriptions, and does not decide
//! what the peer's offers get.

use super::confirmed::{Confirmed, Next};
use super::{Context, Effect, Exit, Failure, Purpose, Tag, sdp_of};
use crate::sip::interface::{EndCause, Event};
use crate::sip::message::{Message, Method, Name};
use std::time::{Duration, Instant};

/// How often one offer or refresh is sent in all.
const TRIES_MAX: u8 = 8;

/// The longest Retry-After that an offer waits for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(32);

/// How long a peer may think about a re-INVITE after a provisional answer: nobody is rung for it.
const OVERDUE: Duration = Duration::from_mins(3);

/// What we want of the peer.
#[derive(Debug)]
pub(super) struct Wish {
    /// An offer of the application; `None`: a refresh.
    sdp: Option<Vec<u8>>,
    /// How often it was sent.
    tries: u8,
}

/// Our own request that offers or refreshes.
#[derive(Debug)]
pub(super) enum Own {
    /// There is none.
    Idle,
    /// One is to be sent from then on, once the peer's offer is out of the way.
    Waiting { wish: Wish, from: Instant },
    /// One is out.
    Sent {
        tag: Tag,
        wish: Wish,
        method: Method<'static>,
        /// Its description, if it offers one.
        sdp: Option<Vec<u8>>,
        overdue: Instant,
        /// What the application wants offered next.
        queued: Option<Vec<u8>>,
    },
}

impl Own {
    /// Files an offer of the application.
    pub(super) fn want(&mut self, now: Instant, offer: Vec<u8>) {
        match self {
            Self::Idle => {
                *self = Self::Waiting { wish: Wish { sdp: Some(offer), tries: 0 }, from: now };
            }
            Self::Waiting { wish, .. } => wish.sdp = Some(offer),
            Self::Sent { queued, .. } => *queued = Some(offer),
        }
    }

    /// Whether the tag is that of the request that is out.
    pub(super) fn is(&self, of: Tag) -> bool {
        matches!(self, Self::Sent { tag, .. } if *tag == of)
    }

    /// Whether a re-INVITE of ours, or any offer, is out.
    pub(super) fn is_offering(&self) -> bool {
        matches!(self, Self::Sent { sdp: Some(_), .. })
    }

    fn is_overdue(&self, now: Instant) -> bool {
        matches!(self, Self::Sent { overdue, .. } if now >= *overdue)
    }

    /// `free`: nothing of the peer is in the way of what waits.
    pub(super) fn deadline(&self, free: bool) -> Option<(Instant, &'static str)> {
        match self {
            Self::Waiting { from, .. } if free => Some((*from, "reoffer")),
            Self::Idle | Self::Waiting { .. } => None,
            Self::Sent { overdue, .. } => Some((*overdue, "reoffer_overdue")),
        }
    }
}

impl Confirmed {
    /// Sends what is due and can be sent.
    pub(super) fn pump(&mut self, context: &mut Context<'_>) {
        if matches!(self.own, Own::Idle) && self.refresh.is_due(context.now) {
            let wish = Wish { sdp: None, tries: 0 };
            self.own = Own::Waiting { wish, from: context.now };
        }
        self.own = match std::mem::replace(&mut self.own, Own::Idle) {
            Own::Waiting { wish: Wish { sdp: None, .. }, .. }
                if !self.refresh.is_wanted(context.now) =>
            {
                Own::Idle
            }
            Own::Waiting { wish, from } if from <= context.now && self.may_send(context, &wish) => {
                self.send(context, wish)
            }
            other @ (Own::Idle | Own::Waiting { .. } | Own::Sent { .. }) => other,
        };
    }

    /// Whether nothing forbids to send this now; an UPDATE that offers nothing needs no turn.
    fn may_send(&self, context: &Context<'_>, wish: &Wish) -> bool {
        let plain_refresh = wish.sdp.is_none() && context.known.update;
        self.is_free() || (plain_refresh && self.exit.is_none())
    }

    /// Whether nothing of the peer forbids an offer of ours.
    //= RFC 3261 §14.1: no INVITE while one is in progress in either direction, the ACK included
    pub(super) fn is_free(&self) -> bool {
        self.offer.is_none() && self.exit.is_none()
    }

    //= RFC 4028 §7.4: UPDATE without an offer is RECOMMENDED; in a re-INVITE the offer SHOULD be
    //= the last one, unchanged
    fn send(&mut self, context: &mut Context<'_>, wish: Wish) -> Own {
        let sdp = match &wish.sdp {
            None if context.known.update => None,
            None => context.known.described.clone(),
            Some(offer) => Some(offer.clone()),
        };
        if wish.sdp.is_none() {
            self.refresh.sent();
        }
        let method = if sdp.is_some() { Method::Invite } else { Method::Update };
        let mut request = self.dialog.request(method);
        request.headers = self.refresh.headers(context.known.min_se);
        if let Some(sdp) = &sdp {
            request.body = ("application/sdp", sdp.clone());
        }
        let tag = context.known.tag();
        context.effects.push(Effect::Request { purpose: Purpose::InDialog(tag), request });
        let wish = Wish { tries: wish.tries + 1, ..wish };
        Own::Sent { tag, wish, method, sdp, overdue: context.now + OVERDUE, queued: None }
    }

    /// The final answer to the request that is out.
    pub(super) fn own_answered(
        &mut self,
        context: &mut Context<'_>,
        code: u16,
        message: &Message<'_>,
    ) -> Next {
        let Own::Sent { wish, method, sdp, queued, .. } =
            std::mem::replace(&mut self.own, Own::Idle)
        else {
            return Next::Stay;
        };
        if code < 300 {
            self.agreed(context, &wish, sdp, message);
            self.go_on(context, queued);
            return Next::Stay;
        }
        let retry_after = message.seconds(Name::RetryAfter).ok();
        let retry_after = retry_after.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let again = match code {
            //= RFC 3261 §12.2.1.2: 481 and 408 end the dialog
            481 | 408 => return Self::lost(context, &wish, Some(code)),
            491 => Some(glare_pause(context)),
            500 | 503 => retry_after.filter(|pause| *pause <= RETRY_AFTER_MAX),
            422 => context.longer(message).map(|_| Duration::ZERO),
            // An Allow that was wrong, or a server in between that knows no UPDATE.
            405 | 501 if method == Method::Update => {
                context.known.update = false;
                context.known.described.as_ref().map(|_| Duration::ZERO)
            }
            _ => None,
        };
        match again.filter(|_| wish.tries < TRIES_MAX) {
            Some(pause) => self.wait(context, wish, queued, pause),
            None => self.refused(context, &wish, code, queued),
        }
        Next::Stay
    }

    /// The request that is out gets no answer.
    pub(super) fn own_unanswered(&mut self, context: &mut Context<'_>, failure: Failure) -> Next {
        let Own::Sent { wish, queued, .. } = std::mem::replace(&mut self.own, Own::Idle) else {
            return Next::Stay;
        };
        match failure {
            //= RFC 3261 §12.2.1.2: no response at all counts as 408
            Failure::TimedOut => Self::lost(context, &wish, None),
            //= RFC 3261 §8.1.3.1: a transport error counts as 503, which leaves the dialog
            Failure::Unreachable | Failure::Withdrawn => {
                self.refused(context, &wish, 503, queued);
                Next::Stay
            }
        }
    }

    /// A provisional answer came long ago, and nothing after it.
    pub(super) fn own_overdue(&mut self, context: &mut Context<'_>) -> Next {
        if self.own.is_overdue(context.now) {
            return self.own_unanswered(context, Failure::TimedOut);
        }
        Next::Stay
    }

    /// A 2xx.
    fn agreed(
        &mut self,
        context: &mut Context<'_>,
        wish: &Wish,
        sdp: Option<Vec<u8>>,
        message: &Message<'_>,
    ) {
        self.refresh = self.refresh.of(message, &context.policy, context.now);
        let Some(sdp) = sdp else { return };
        let answer = sdp_of(message);
        let news = answer.as_deref().is_some_and(|answer| context.known.is_news(answer));
        match answer {
            Some(answer) if wish.sdp.is_some() || news => {
                context.known.described = Some(sdp);
                context.event(Event::Reoffered(Ok(answer)));
            }
            // The offer stays unanswered. Ending the call would be allowed, since RFC 3261 §13.2.1
            // demands the answer; but nothing was agreed on, so that the session can go on as if it
            // had never been offered, as it does after a refusal (§14.1).
            None if wish.sdp.is_some() => context.event(Event::Reoffered(Err(488))),
            Some(_) | None => {}
        }
    }

    //= RFC 3261 §14.1: a refused re-INVITE leaves the session as if it had never been sent
    fn refused(
        &mut self,
        context: &mut Context<'_>,
        wish: &Wish,
        code: u16,
        queued: Option<Vec<u8>>,
    ) {
        self.refresh.failed(context.now);
        if wish.sdp.is_some() {
            context.event(Event::Reoffered(Err(code)));
        }
        self.go_on(context, queued);
    }

    /// The peer does not know the session any more, or is gone.
    fn lost(context: &mut Context<'_>, wish: &Wish, code: Option<u16>) -> Next {
        if wish.sdp.is_some() {
            context.event(Event::Reoffered(Err(code.unwrap_or(408))));
        }
        let (cause, reason) = match code {
            // It has hung up, and its BYE never came.
            Some(481) => (EndCause::PeerHangup, "the peer does not know the session"),
            Some(_) | None => (EndCause::Timeout, "no answer to a request in the dialog"),
        };
        let header = format!("SIP;cause={};text=\"{reason}\"", code.unwrap_or(408));
        Next::Leave(Exit { code, header: Some(header), ..Exit::new(cause, reason.to_owned()) })
    }

    /// Tries again after a pause; a newer offer takes the place of the one that failed.
    fn wait(
        &mut self,
        context: &mut Context<'_>,
        wish: Wish,
        queued: Option<Vec<u8>>,
        pause: Duration,
    ) {
        let sdp = queued.or(wish.sdp);
        self.own = Own::Waiting { wish: Wish { sdp, ..wish }, from: context.now + pause };
    }

    fn go_on(&mut self, context: &mut Context<'_>, queued: Option<Vec<u8>>) {
        if let Some(offer) = queued {
            self.own.want(context.now, offer);
        }
    }
}

/// How long the peer's offer has precedence after both offered at once.
//= RFC 3261 §14.1: 2.1 to 4 seconds for the owner of the Call-ID, 0 to 2 for the other, in steps
//= of 10 ms
fn glare_pause(context: &mut Context<'_>) -> Duration {
    let steps =
        if context.known.caller { 210 + context.rng.below(191) } else { context.rng.below(201) };
    Duration::from_millis(steps * 10)
}
