//! The INVITE session: from the first INVITE to the last BYE, in both roles.
//!
//! ```text
//!   caller:  Inviting ──2xx──> Confirmed ──BYE──> Leaving ──> Ended
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
mod dtmf;

use crate::sip::dialog::{Dialog, DialogError, Order, Request};
use crate::sip::interface::{EndCause, Ending, Event};
use crate::sip::message::{Message, Method, Name, unfold};
use crate::sip::transaction::table::ServerId;
use crate::sip::transaction::timers::Resend;
use crate::time::Rng;
use callee::{Confirming, Invited};
use caller::Inviting;
use confirmed::{Confirmed, Leaving};
use std::time::{Duration, Instant};

/// Longest reason text that is passed on.
const REASON_MAX: usize = 256;

/// Where a session stands. Each state holds what is true only there.
#[derive(Debug)]
enum State {
    /// Caller: the INVITE is out and has no final answer.
    Inviting(Inviting),
    /// Callee: the INVITE is in and has no final answer.
    Invited(Invited),
    /// Callee: the 2xx is out and its ACK is owed by the peer.
    Confirming(Confirming),
    /// Both: the session stands.
    Confirmed(Confirmed),
    /// Both: our BYE is out.
    Leaving(Leaving),
    /// Over; to be removed.
    Ended,
}

/// One INVITE session.
#[derive(Debug)]
pub struct Session {
    t1: Duration,
    state: State,
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
        /// Its Reason header field, or nothing.
        reason: String,
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
    /// A session whose INVITE is about to be sent to `target`.
    #[must_use]
    pub fn outgoing(t1: Duration, target: String) -> Self {
        Self { t1, state: State::Inviting(Inviting::new(target)) }
    }

    /// A session for an INVITE that came without a To tag; `local_tag` will be ours.
    ///
    /// # Errors
    /// [`DialogError`]; the peer's fault: 400.
    pub fn incoming(
        now: Instant,
        t1: Duration,
        server: ServerId,
        message: &Message<'_>,
        local_tag: &str,
    ) -> Result<Self, DialogError> {
        let invited = Invited::new(now, server, message, local_tag)?;
        Ok(Self { t1, state: State::Invited(invited) })
    }

    /// Makes one step and gives back what is to be done for it, in order.
    pub fn handle(&mut self, now: Instant, rng: &mut Rng, input: Input<'_>) -> Vec<Effect> {
        let mut context = Context { now, t1: self.t1, rng, effects: Vec::new() };
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = match state {
            State::Inviting(state) => state.handle(&mut context, input),
            State::Invited(state) => state.handle(&mut context, input),
            State::Confirming(state) => state.handle(&mut context, input),
            State::Confirmed(state) => state.handle(&mut context, input),
            State::Leaving(state) => state.handle(&mut context, &input),
            State::Ended => State::Ended,
        };
        context.effects
    }

    /// When to call with [`Input::Timeout`], and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, &'static str)> {
        match &self.state {
            State::Inviting(_) | State::Leaving(_) | State::Ended => None,
            State::Invited(state) => state.deadline(),
            State::Confirming(state) => Some(state.deadline()),
            State::Confirmed(state) => state.deadline(),
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
            State::Invited(_) | State::Confirming(_) | State::Confirmed(_) | State::Leaving(_) => 1,
            State::Ended => 0,
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
    let ack = Effect::Ack { to_tag, request: dialog.ack(cseq.number) };
    let bye = Effect::Request { purpose: Purpose::Stray, request: dialog.request(Method::Bye) };
    vec![ack, bye]
}

/// What every state needs for one step.
struct Context<'c> {
    now: Instant,
    t1: Duration,
    rng: &'c mut Rng,
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
        let Exit { cause, code, reason, header: _ } = exit;
        self.event(Event::Ended(Ending { cause, code, reason }));
        State::Ended
    }

    /// Sends BYE; the session ends when it is answered.
    fn leave(&mut self, mut dialog: Dialog, exit: Exit) -> State {
        let mut request = dialog.request(Method::Bye);
        if let Some(reason) = &exit.header {
            request.headers.push(("Reason".to_owned(), reason.clone()));
        }
        self.effects.push(Effect::Request { purpose: Purpose::Bye, request });
        State::Leaving(Leaving { dialog, exit })
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
        Exit::new(EndCause::PeerHangup, reason_header(message))
    }

    /// Answers requests that mean the same in every state; `None` if it was one of them.
    fn serve_common(&mut self, server: ServerId, message: &Message<'_>) {
        match message.method() {
            Some(Method::Info) => self.serve_info(server, message),
            Some(Method::Options) => self.reply(server, Reply::code(200)),
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
        let resend = Resend { at: self.now + self.t1, interval: self.t1 };
        Repeat { resend, give_up: self.now + self.t1 * 64 }
    }
}

/// Why and how a session goes away.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exit {
    cause: EndCause,
    code: Option<u16>,
    /// For the application.
    reason: String,
    /// For the peer: a Reason header field.
    header: Option<String>,
}

impl Exit {
    fn new(cause: EndCause, reason: String) -> Self {
        Self { cause, code: None, reason, header: None }
    }

    fn with_code(cause: EndCause, code: u16, reason: String) -> Self {
        Self { cause, code: Some(code), reason, header: None }
    }

    /// The application hung up.
    fn hangup(header: Option<String>) -> Self {
        Self { cause: EndCause::LocalHangup, code: None, reason: String::new(), header }
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

/// The session timer that a request asks for and that the peer itself will keep alive.
///
/// A request that wants *us* to refresh is treated as if we knew no session timers (RFC 4028 §9
/// allows it): the peer then refreshes by itself or goes without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SessionTimer {
    seconds: u32,
}

impl SessionTimer {
    fn asked_by(message: &Message<'_>) -> Option<Self> {
        let supported =
            message.lists(Name::Supported, "timer") || message.lists(Name::Require, "timer");
        let seconds = message.seconds(Name::SessionExpires).ok()?;
        let ours = refresher(message).is_some_and(|side| side.eq_ignore_ascii_case("uas"));
        (supported && !ours && seconds > 0).then_some(Self { seconds })
    }

    /// The one that a 2xx to our request sets, if the peer refreshes.
    fn granted_by(message: &Message<'_>) -> Option<Self> {
        let seconds = message.seconds(Name::SessionExpires).ok()?;
        let theirs = refresher(message).is_some_and(|side| side.eq_ignore_ascii_case("uas"));
        (theirs && seconds > 0).then_some(Self { seconds })
    }

    //= RFC 4028 §9: Session-Expires with the refresher, and Require when it is the UAC
    fn headers(timer: Option<Self>) -> Vec<(Name, String)> {
        let Some(Self { seconds }) = timer else { return Vec::new() };
        vec![
            (Name::Require, "timer".to_owned()),
            (Name::SessionExpires, format!("{seconds};refresher=uac")),
        ]
    }

    /// When the session is dead if no refresh comes.
    //= RFC 4028 §10: BYE the lesser of 32 seconds and a third of the interval before its end
    fn expiry(timer: Option<Self>, now: Instant) -> Option<Instant> {
        let seconds = u64::from(timer?.seconds);
        Some(now + Duration::from_secs(seconds - (seconds / 3).min(32)))
    }
}

fn refresher<'a>(message: &Message<'a>) -> Option<&'a str> {
    let value = message.header(Name::SessionExpires)?;
    let (_, params) = value.split_once(';')?;
    params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim())
    })
}

/// The body, if it is a description.
fn sdp_of(message: &Message<'_>) -> Option<Vec<u8>> {
    message.has_body("application", "sdp").then(|| message.body().to_vec())
}

/// The Reason header field as text for the application; empty if there is none.
pub(super) fn reason_header(message: &Message<'_>) -> String {
    tame(&message.header(Name::Reason).map(unfold).unwrap_or_default())
}

/// Text of a peer, cut to a bound and without controls.
pub(super) fn tame(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(REASON_MAX).collect()
}
