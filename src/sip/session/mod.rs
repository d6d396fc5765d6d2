//! The INVITE session: from the first INVITE to the last BYE, in both roles.
//!
//! ```text
//!   caller:  Inviting ──2xx──> Confirmed ──BYE──> Leaving ──> Ended
//!             3xx │ ↑  └──2xx with an offer──> Acknowledging ──ACK──> Confirmed
//!             Redirecting
//!   callee:  Invited ──2xx──> Confirming ──ACK──> Confirmed ──BYE──> Leaving ──> Ended
//! ```
//!
//! Owns what each request and answer means for the call: early dialogs and forks, the races of
//! CANCEL, 2xx and BYE, the ACK that is owed, offers of the peer. Does not own transactions, ways
//! or bytes: it asks for requests and replies by [`Effect`], and bodies pass through it unread.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::wildcard_enum_match_arm)]

mod callee;
mod caller;
mod confirmed;
mod delayed;
mod dtmf;
mod early;
#[cfg(test)]
mod early_model;
mod known;
mod leaving;
#[cfg(test)]
mod model;
mod reason;
mod redirect;
mod refer;
mod reliable;
mod reoffer;
mod timer;

use crate::sip::dialog::{Dialog, DialogError, Order, Request};
use crate::sip::interface::{EndCause, Ending, Event, Reliable};
use crate::sip::message::{Message, Method, Name, StartLine};
use crate::sip::transaction::table::ServerId;
use crate::sip::transaction::timers::Resend;
use crate::time::Rng;
use callee::{Confirming, Invited};
use caller::Inviting;
use confirmed::Confirmed;
use delayed::Acknowledging;
use known::Known;
use leaving::Leaving;
use redirect::Redirecting;
use std::time::{Duration, Instant};
use timer::{Refresh, TimerAsk};

pub use reason::Reason;
pub(super) use reason::reason_header;
pub use timer::{first_timer_headers, interval_refusal};

/// Longest reason text that is passed on.
const REASON_MAX: usize = 256;

/// Where a session stands. Each state holds what is true only there.
#[derive(Debug)]
enum State {
    /// Caller: the INVITE is out and has no final answer.
    Inviting(Inviting),
    /// Caller: the INVITE was redirected and the application chooses a target.
    Redirecting(Redirecting),
    /// Caller: the 2xx has brought the offer and its ACK waits for the application.
    Acknowledging(Acknowledging),
    /// Callee: the INVITE is in and has no final answer.
    Invited(Box<Invited>),
    /// Callee: the 2xx is out and its ACK is owed by the peer.
    Confirming(Confirming),
    /// Both: the session stands.
    Confirmed(Box<Confirmed>),
    /// Both: our BYE is out.
    Leaving(Leaving),
    /// Over; to be removed.
    Ended,
}

/// How sessions of a trunk behave; plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// T1 of RFC 3261 §17.1.1.1.
    pub t1: Duration,
    /// Session-Expires that we ask for and grant.
    pub session_timer: Option<Duration>,
    /// Reliable provisional responses.
    pub reliable: Reliable,
    /// Whether the application is asked about REFER.
    pub take_refer: bool,
}

impl Policy {
    /// Nothing beyond RFC 3261.
    #[must_use]
    pub const fn plain(t1: Duration) -> Self {
        Self { t1, session_timer: None, reliable: Reliable::Supported, take_refer: false }
    }
}

/// Names a request of a session among its others, until its final answer; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub u32);

/// One INVITE session.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    state: State,
    known: Known,
}

/// One thing that happens to a session.
#[derive(Debug)]
pub enum Input<'m> {
    /// A provisional answer above 100 to our INVITE.
    Provisional(&'m Message<'m>),
    /// A 2xx to our INVITE, of any fork, whose ACK is not known yet.
    Accepted(&'m Message<'m>),
    /// The final refusal of our INVITE.
    Refused {
        /// 300 to 699.
        code: u16,
        /// Its reason phrase.
        reason: String,
        /// The response; `None` when it came from a gateway that was given up before.
        message: Option<&'m Message<'m>>,
    },
    /// The final answer, 200 to 699, to a request in the dialog; never 401 or 407 that was answered
    /// with credentials. Its CSeq may be higher than that of the request.
    Response {
        /// From [`Purpose::InDialog`].
        tag: Tag,
        /// The answer.
        message: &'m Message<'m>,
    },
    /// A request in the dialog got no final answer.
    NoAnswer {
        /// From [`Purpose::InDialog`].
        tag: Tag,
        /// Why.
        failure: Failure,
    },
    /// Our INVITE got no final answer.
    Failed(Failure),
    /// Our BYE was answered or given up.
    Left,
    /// A request came in a dialog of this session.
    Request {
        /// The transaction to reply in.
        server: ServerId,
        /// The request.
        message: &'m Message<'m>,
    },
    /// An ACK came in a dialog of this session.
    Ack(&'m Message<'m>),
    /// The peer cancels the INVITE of this transaction; the CANCEL itself is answered.
    Cancel {
        /// The transaction of the INVITE.
        server: ServerId,
        /// Its Reason header field.
        reason: Reason,
    },
    /// The application asks for something.
    Ask(Ask),
    /// The deadline may have passed.
    Timeout,
}

/// Why our INVITE got no final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came in time.
    TimedOut,
    /// No way to the peer worked.
    Unreachable,
    /// It was taken back before it could be answered.
    Withdrawn,
}

/// What the application may ask for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// Send 180.
    Ring,
    /// Send 183 with this description.
    Progress(Vec<u8>),
    /// Send 200 with this description.
    Answer(Vec<u8>),
    /// Refuse the INVITE or the pending offer.
    Reject {
        /// 300 to 699.
        code: u16,
        /// The reason phrase; empty for the standard one.
        reason: String,
    },
    /// End the session.
    Hangup {
        /// Value of a Reason header field to send.
        reason: Option<String>,
    },
    /// Answer the pending offer of the peer.
    Reanswer(Vec<u8>),
    /// Answer the offer of a 2xx or reliable 1xx to our INVITE.
    Acknowledge(Vec<u8>),
    /// Offer a new description.
    Reoffer(Vec<u8>),
    /// Send the INVITE to this Request-URI of a 3xx.
    Redirect(String),
    /// Ask the peer to call somebody else.
    Refer {
        /// Value of Refer-To, Replaces included.
        refer_to: String,
        /// Further header fields.
        headers: Vec<(String, String)>,
    },
    /// Answer the pending REFER of the peer.
    AnswerRefer(u16),
    /// Tell the peer what the call that it asked for has got.
    NotifyRefer(u16),
    /// Send a digit by INFO.
    Info {
        /// One of `0-9*#A-D`.
        digit: char,
        /// How long the key was held.
        duration_ms: u32,
    },
}

/// One thing that a session wants done.
#[derive(Debug)]
pub enum Effect {
    /// Send the ACK to a 2xx, and keep it for the copies of that 2xx.
    Ack {
        /// The tag of the fork that it goes to.
        to_tag: String,
        /// The ACK.
        request: Request,
        /// The re-INVITE that it belongs to; `None`: the session's first INVITE.
        of: Option<Tag>,
    },
    /// Send our first INVITE again as a new request (RFC 3261 §8.1.3.5, RFC 4028 §7.3): higher
    /// CSeq, same Call-ID and From.
    Redial {
        /// Another Request-URI, to be asked by itself; `None`: the same, by the trunk's gateways.
        to: Option<String>,
        /// Header fields that replace those of the same name; an empty value takes one out.
        headers: Vec<(String, String)>,
    },
    /// Send a request in a transaction of its own.
    Request {
        /// What it is for.
        purpose: Purpose,
        /// The request.
        request: Request,
    },
    /// Take our INVITE back: CANCEL it as soon as that is allowed, and try no further way.
    Cancel {
        /// Value of a Reason header field.
        reason: Option<String>,
    },
    /// Reply to a request.
    Reply {
        /// The transaction.
        server: ServerId,
        /// What to say.
        reply: Reply,
    },
    /// Send the 2xx of this transaction once more.
    RepeatOk {
        /// The transaction.
        server: ServerId,
    },
    /// Tell the application.
    Event(Event),
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It ends the session: tell it by [`Input::Left`].
    Bye,
    /// It ends a fork that is not wanted: nobody waits for its answer.
    Stray,
    /// Any other: its end is told by [`Input::Response`] or [`Input::NoAnswer`].
    InDialog(Tag),
}

/// A reply as the session shapes it: complete but for what is copied from the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// 101 to 699.
    pub code: u16,
    /// The reason phrase; empty for the standard one.
    pub reason: String,
    /// Further header fields.
    pub headers: Vec<(Name, String)>,
    /// A description to send along.
    pub sdp: Option<Vec<u8>>,
}

impl Reply {
    fn code(code: u16) -> Self {
        Self { code, ..Self::default() }
    }

    fn with_sdp(code: u16, sdp: Vec<u8>) -> Self {
        Self { code, sdp: Some(sdp), ..Self::default() }
    }
}

impl Session {
    /// A session whose INVITE is about to be sent to `target`; `offered`: it has a description.
    #[must_use]
    pub fn outgoing(policy: Policy, target: String, offered: bool) -> Self {
        let state = State::Inviting(Inviting::new(target, offered));
        Self { policy, state, known: Known::new(true) }
    }

    /// Tells the description that our first INVITE offers: a refresh may have to repeat it.
    pub fn describe(&mut self, sdp: Option<Vec<u8>>) {
        self.known.described = sdp;
    }

    /// A session for an INVITE that came without a To tag; `local_tag` will be ours.
    ///
    /// # Errors
    /// [`DialogError`]; the peer's fault: 400.
    pub fn incoming(
        now: Instant,
        policy: Policy,
        server: ServerId,
        message: &Message<'_>,
        local_tag: &str,
    ) -> Result<Self, DialogError> {
        let invited = Invited::new(now, policy, (server, message), local_tag)?;
        let mut known = Known::new(false);
        known.read(message);
        Ok(Self { policy, state: State::Invited(Box::new(invited)), known })
    }

    /// Makes one step and gives back what is to be done for it, in order.
    pub fn handle(&mut self, now: Instant, rng: &mut Rng, input: Input<'_>) -> Vec<Effect> {
        self.known.learn(&input);
        let known = &mut self.known;
        let mut context = Context { now, policy: self.policy, rng, known, effects: Vec::new() };
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = match state {
            State::Inviting(state) => state.handle(&mut context, input),
            State::Redirecting(state) => state.handle(&mut context, input),
            State::Acknowledging(state) => state.handle(&mut context, input),
            State::Invited(state) => state.handle(&mut context, input),
            State::Confirming(state) => state.handle(&mut context, input),
            State::Confirmed(state) => state.handle(&mut context, input),
            State::Leaving(state) => state.handle(&mut context, &input),
            State::Ended => State::Ended,
        };
        let effects = context.effects;
        self.known.note(&effects);
        effects
    }

    /// When to call with [`Input::Timeout`], and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, &'static str)> {
        match &self.state {
            State::Inviting(state) => state.deadline(),
            State::Leaving(_) | State::Ended => None,
            State::Redirecting(state) => Some(state.deadline()),
            State::Acknowledging(state) => Some(state.deadline()),
            State::Invited(state) => state.deadline(),
            State::Confirming(state) => Some(state.deadline()),
            State::Confirmed(state) => state.deadline(),
        }
    }

    /// The dialog that stands, once there is one.
    #[must_use]
    pub fn dialog(&self) -> Option<&Dialog> {
        match &self.state {
            State::Acknowledging(state) => Some(state.dialog()),
            State::Confirming(state) => Some(state.dialog()),
            State::Confirmed(state) => Some(state.dialog()),
            State::Inviting(_)
            | State::Redirecting(_)
            | State::Invited(_)
            | State::Leaving(_)
            | State::Ended => None,
        }
    }

    /// The number of the next request in the dialog, for one that is sent again with credentials.
    pub fn next_cseq(&mut self) -> Option<u32> {
        match &mut self.state {
            State::Inviting(state) => state.next_cseq(),
            State::Acknowledging(state) => Some(state.dialog_mut().next_cseq()),
            State::Invited(state) => Some(state.dialog_mut().next_cseq()),
            State::Confirming(state) => Some(state.dialog_mut().next_cseq()),
            State::Confirmed(state) => Some(state.dialog_mut().next_cseq()),
            State::Leaving(state) => Some(state.dialog.next_cseq()),
            State::Redirecting(_) | State::Ended => None,
        }
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// How many dialogs it has.
    #[must_use]
    pub fn dialogs(&self) -> usize {
        match &self.state {
            State::Inviting(state) => state.dialogs(),
            State::Acknowledging(_)
            | State::Invited(_)
            | State::Confirming(_)
            | State::Confirmed(_)
            | State::Leaving(_) => 1,
            State::Redirecting(_) | State::Ended => 0,
        }
    }
}

/// The ACK and the BYE for a fork that answered after another one was taken.
//= RFC 3261 §13.2.2.4: every 2xx is acknowledged; a dialog not wanted is ended by BYE
#[must_use]
pub fn dismiss_fork(answer: &Message<'_>) -> Vec<Effect> {
    let (Ok(mut dialog), Ok(cseq)) = (Dialog::uac(answer, ""), answer.cseq()) else {
        return Vec::new();
    };
    let to_tag = dialog.remote_tag().to_owned();
    let ack = Effect::Ack { to_tag, request: dialog.ack(cseq.number), of: None };
    let bye = Effect::Request { purpose: Purpose::Stray, request: dialog.request(Method::Bye) };
    vec![ack, bye]
}

/// What every state needs for one step.
struct Context<'c> {
    now: Instant,
    policy: Policy,
    rng: &'c mut Rng,
    known: &'c mut Known,
    effects: Vec<Effect>,
}

impl Context<'_> {
    fn event(&mut self, event: Event) {
        self.effects.push(Effect::Event(event));
    }

    fn reply(&mut self, server: ServerId, reply: Reply) {
        self.effects.push(Effect::Reply { server, reply });
    }

    /// Ends the session with the one and only `Ended`.
    fn end(&mut self, exit: Exit) -> State {
        let Exit { cause, code, reason, q850, header: _ } = exit;
        self.event(Event::Ended(Ending { cause, code, reason, q850 }));
        State::Ended
    }

    /// Sends BYE; the session ends when it is answered.
    fn leave(&mut self, mut dialog: Dialog, exit: Exit) -> State {
        let mut request = dialog.request(Method::Bye);
        if let Some(reason) = &exit.header {
            // One that cannot be written must not keep the BYE from being sent.
            request.headers.push(("Reason".to_owned(), tame(reason)));
        }
        self.effects.push(Effect::Request { purpose: Purpose::Bye, request });
        State::Leaving(Leaving { dialog, exit })
    }

    /// What a 422 demands of the next try; `None`: it is a plain refusal.
    fn longer(&mut self, refusal: &Message<'_>) -> Option<Vec<(String, String)>> {
        let Known { min_se, too_small, .. } = &mut *self.known;
        timer::longer(refusal, &self.policy, (min_se, too_small))
    }

    /// Sends our first INVITE again as a 422 demands; false if that is of no use.
    fn redial_longer(&mut self, refusal: &Message<'_>) -> bool {
        let headers = self.longer(refusal);
        let again = headers.map(|headers| Effect::Redial { to: None, headers });
        let redials = again.is_some();
        self.effects.extend(again);
        redials
    }

    /// 500 with Retry-After, for a request that comes while another one is being served.
    //= RFC 3261 §14.2: a randomly chosen value of between 0 and 10 seconds
    fn reply_later(&mut self, server: ServerId) {
        let seconds = self.rng.below(11).to_string();
        let headers = vec![(Name::RetryAfter, seconds)];
        self.reply(server, Reply { code: 500, headers, ..Reply::default() });
    }

    /// Answers a BYE of the peer and says how the session ends by it.
    fn accept_bye(&mut self, server: ServerId, message: &Message<'_>) -> Exit {
        self.reply(server, Reply::code(200));
        let Reason { text, q850 } = reason_header(message);
        Exit { q850, ..Exit::new(EndCause::PeerHangup, text) }
    }

    /// Answers requests that mean the same in every state; `None` if it was one of them.
    fn serve_common(&mut self, server: ServerId, message: &Message<'_>) {
        match message.method() {
            Some(Method::Info) => self.serve_info(server, message),
            Some(Method::Options) => self.reply(server, Reply::code(200)),
            //= RFC 3262 §3: a PRACK that matches no unacknowledged response: 481
            Some(Method::Prack) => self.reply(server, Reply::code(481)),
            // Everything else was refused by the endpoint before it came here.
            Some(_) | None => self.reply(server, Reply::code(405)),
        }
    }

    fn serve_info(&mut self, server: ServerId, message: &Message<'_>) {
        match dtmf::parse_info(message) {
            dtmf::Info::Digit { digit, duration_ms } => {
                self.reply(server, Reply::code(200));
                self.event(Event::InfoDtmf { digit, duration_ms });
            }
            dtmf::Info::Empty => self.reply(server, Reply::code(200)),
            dtmf::Info::Malformed => self.reply(server, Reply::code(400)),
            dtmf::Info::Foreign => {
                let accept = "application/dtmf-relay, application/dtmf".to_owned();
                let headers = vec![(Name::Accept, accept)];
                self.reply(server, Reply { code: 415, headers, ..Reply::default() });
            }
        }
    }

    /// Files the CSeq of a request; a stale one is answered here.
    //= RFC 3261 §12.2.2: lower than the remote sequence number MUST be rejected with 500
    fn in_order(&mut self, dialog: &mut Dialog, server: ServerId, message: &Message<'_>) -> bool {
        let number = message.cseq().map_or(0, |cseq| cseq.number);
        match dialog.accept_cseq(number) {
            Order::Newest => true,
            Order::Stale => {
                self.reply(server, Reply::code(500));
                false
            }
        }
    }

    /// The first retransmission of a 2xx, on any transport.
    //= RFC 3261 §13.3.1.4: T1, doubling until T2, regardless of the transport
    fn first_repeat(&self) -> Repeat {
        let resend = Resend { at: self.now + self.policy.t1, interval: self.policy.t1 };
        Repeat { resend, give_up: self.now + self.policy.t1 * 64 }
    }
}

/// Why and how a session goes away.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exit {
    cause: EndCause,
    code: Option<u16>,
    /// For the application.
    reason: String,
    /// Cause of the peer's Reason header field.
    q850: Option<u8>,
    /// For the peer: a Reason header field.
    header: Option<String>,
}

impl Exit {
    fn new(cause: EndCause, reason: String) -> Self {
        Self { cause, code: None, reason, q850: None, header: None }
    }

    fn with_code(cause: EndCause, code: u16, reason: String) -> Self {
        Self { cause, code: Some(code), reason, q850: None, header: None }
    }

    /// The application hung up.
    fn hangup(header: Option<String>) -> Self {
        Self { header, ..Self::new(EndCause::LocalHangup, String::new()) }
    }
}

/// A 2xx that is sent again until its ACK comes.
#[derive(Debug, Clone, Copy)]
struct Repeat {
    resend: Resend,
    give_up: Instant,
}

impl Repeat {
    fn deadline(&self) -> (Instant, &'static str) {
        if self.give_up <= self.resend.at {
            (self.give_up, "ack_overdue")
        } else {
            (self.resend.at, "ok_retransmission")
        }
    }

    /// Repeats the 2xx if that is due.
    fn run(&mut self, context: &mut Context<'_>, server: ServerId) {
        if context.now >= self.resend.at {
            context.effects.push(Effect::RepeatOk { server });
            self.resend = self.resend.doubled_to_t2(context.now);
        }
    }
}

/// The reason phrase of a response.
fn reason_phrase_of<'a>(message: &Message<'a>) -> &'a str {
    match message.start_line() {
        StartLine::Response { reason, .. } => reason,
        StartLine::Request { .. } => "",
    }
}

/// The body, if it is a description.
fn sdp_of(message: &Message<'_>) -> Option<Vec<u8>> {
    has_sdp(message).then(|| message.body().to_vec())
}

fn has_sdp(message: &Message<'_>) -> bool {
    message.has_body("application", "sdp")
}

/// Text of a peer, cut to a bound and without controls.
pub(super) fn tame(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(REASON_MAX).collect()
}
