//! Sessions inside the endpoint: commands in, effects carried out, events out.

use super::Endpoint;
use super::compose::Answer;
use super::identity;
use super::replaces;
use super::requests::{Outgoing, Owner, RequestId};
use super::trunk::Trunk;
use crate::id::SessionId;
use crate::sip::dialog::Request;
use crate::sip::interface::{Command, EndCause, Ending, Event, Flow, Invite, Output, Reliable};
use crate::sip::message::{Message, Method, Name, Uri};
use crate::sip::session::{
    Ask, Effect, Input, Policy, Purpose, Reply, Session, Tag, first_timer_headers,
};
use crate::sip::transaction::table::{ServerId, ServerInput};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

/// Sessions that peers start have numbers from here on; below it the application chooses.
const INCOMING_FIRST: u64 = 1 << 63;

/// Call-ID and our tag: what names the dialogs of one session.
pub(super) type DialogKey = (String, String);

/// One session and what the endpoint must know about it.
#[derive(Debug)]
pub(super) struct Call {
    pub session: Session,
    pub trunk: usize,
    pub key: DialogKey,
    /// The transaction of the peer's INVITE, if the peer is the caller.
    pub server: Option<ServerId>,
    /// User part of our Contact.
    pub contact_user: String,
    /// Our INVITE, if we are the caller.
    pub invite: Option<RequestId>,
    /// What our INVITE says, to be said again elsewhere; until it is answered.
    pub first: Option<Box<Request>>,
    /// Our last re-INVITE, whose credentials the ACK to its 2xx repeats.
    pub reinvite: Option<(Tag, RequestId)>,
    /// How the peer was last seen.
    pub seen: Option<Flow>,
    /// The application has been told that the INVITE is out.
    pub dialed: bool,
}

/// What is kept for a server transaction.
#[derive(Debug)]
pub(super) struct Served {
    pub session: SessionId,
    pub trunk: usize,
    /// The request, until its final response is given.
    pub request: Vec<u8>,
    pub source: SocketAddr,
    /// The way for responses when the connection of the request is lost.
    pub reopened: Flow,
    pub to_tag: String,
    /// The 2xx to an INVITE, which the session repeats.
    pub ok: Option<(u16, Vec<u8>)>,
}

impl Endpoint {
    pub(super) fn command(&mut self, now: Instant, command: Command) {
        let (session, ask) = match command {
            Command::Invite(invite) => return self.invite(now, *invite),
            Command::Drain => {
                self.draining = true;
                return;
            }
            Command::Ring(session) => (session, Ask::Ring),
            Command::Progress { session, sdp } => (session, Ask::Progress(sdp)),
            Command::Answer { session, sdp } => (session, Ask::Answer(sdp)),
            Command::Reject { session, code, reason } => (session, Ask::Reject { code, reason }),
            Command::Hangup { session, reason } => (session, Ask::Hangup { reason }),
            Command::Reanswer { session, sdp } => (session, Ask::Reanswer(sdp)),
            Command::Acknowledge { session, sdp } => (session, Ask::Acknowledge(sdp)),
            Command::Reoffer { session, sdp } => (session, Ask::Reoffer(sdp)),
            Command::Redirect { session, to } => (session, Ask::Redirect(to)),
            Command::Refer { session, to, replaces, headers } => {
                (session, Ask::Refer { refer_to: self.refer_to(&to, replaces), headers })
            }
            Command::AnswerRefer { session, code } => (session, Ask::AnswerRefer(code)),
            Command::NotifyRefer { session, code } => (session, Ask::NotifyRefer(code)),
            Command::Info { session, digit, duration_ms } => {
                (session, Ask::Info { digit, duration_ms })
            }
            Command::Authenticate { session, realm, username, password, algorithms } => {
                let user = (&*username, &password);
                return self.authenticate(now, session, &realm, user, &algorithms);
            }
            Command::Load { retry_after } => {
                self.overload = retry_after;
                return;
            }
            Command::Watch(headers) => {
                self.watch_headers = headers;
                return;
            }
            Command::Unregister => return self.unregister(now),
        };
        self.step(now, session, Input::Ask(ask));
    }

    /// The value of Refer-To; for an attended transfer it names the dialog to be replaced.
    //= RFC 3891 §3: call-id;to-tag;from-tag, as the one who is replaced sees them
    fn refer_to(&self, to: &str, replaces: Option<SessionId>) -> String {
        let dialog = replaces.and_then(|id| self.calls.get(&id)?.session.dialog());
        let Some(dialog) = dialog else { return format!("<{to}>") };
        let (call_id, theirs, ours) = (dialog.call_id(), dialog.remote_tag(), dialog.local_tag());
        let value = format!("{call_id};to-tag={theirs};from-tag={ours}");
        format!("<{to}?Replaces={}>", escape_header(&value))
    }

    /// Starts an outgoing session, or ends it at once with a reason.
    fn invite(&mut self, now: Instant, invite: Invite) {
        let id = invite.session;
        if self.calls.contains_key(&id) {
            // Two sessions under one id could not be told apart: the first one stays.
            return;
        }
        let refusal = self.refusal_of(now, &invite);
        if let Some((code, reason)) = refusal {
            let cause = EndCause::Rejected;
            let ending = Ending { cause, code: Some(code), reason: reason.to_owned(), q850: None };
            self.out.push_back(Output::Event { session: id, event: Event::Ended(ending) });
            return;
        }
        let trunk = self.trunks.iter().position(|trunk| trunk.name == invite.trunk).unwrap_or(0);
        let tag = self.rng.tag();
        let request = self.first_invite(trunk, &tag, &invite);
        let key = (request.call_id.clone(), tag);
        self.by_dialog.insert(key.clone(), id);
        let mut session = Session::outgoing(self.policy(trunk), invite.to, invite.sdp.is_some());
        session.describe(invite.sdp);
        let call = Call {
            session,
            trunk,
            key,
            server: None,
            contact_user: request.contact_user.clone().unwrap_or_default(),
            invite: None,
            first: Some(Box::new(request.clone())),
            reinvite: None,
            seen: None,
            dialed: false,
        };
        self.calls.insert(id, call);
        let outgoing = Outgoing::new(Owner::Invite(id), trunk, request);
        let gateways = self.trunks.get(trunk).map(|trunk| trunk.hops().collect::<Vec<_>>());
        let outgoing = match gateways {
            Some(hops) if !hops.is_empty() => outgoing.by_gateways(hops.into_iter()),
            Some(_) | None => outgoing.by_itself(None),
        };
        let request = self.start(now, outgoing);
        if let Some(call) = self.calls.get_mut(&id) {
            call.invite = Some(request);
        }
    }

    /// How sessions of a trunk behave.
    pub(super) fn policy(&self, trunk: usize) -> Policy {
        let trunk = self.trunks.get(trunk);
        trunk.map_or(Policy::plain(self.t1), |trunk| trunk.policy(self.t1))
    }

    /// Sends the first INVITE of a session once more, elsewhere or with other header fields.
    fn redial(
        &mut self,
        now: Instant,
        id: SessionId,
        to: Option<String>,
        headers: Vec<(String, String)>,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let trunk = call.trunk;
        let Some(first) = &mut call.first else { return };
        first.cseq += 1;
        // What is supported does not change on the way.
        let changed = headers.into_iter().filter(|(name, _)| name != Name::Supported.as_str());
        for (name, value) in changed {
            first.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
            if !value.is_empty() {
                first.headers.push((name, value));
            }
        }
        let elsewhere = to.is_some();
        if let Some(to) = to {
            first.uri.clone_from(&to);
            first.next_hop = to;
        }
        let outgoing = Outgoing::new(Owner::Invite(id), trunk, (**first).clone());
        let hops: Vec<_> = match self.trunks.get(trunk) {
            Some(trunk) if !elsewhere => trunk.hops().collect(),
            Some(_) | None => Vec::new(),
        };
        let outgoing = if hops.is_empty() {
            outgoing.by_itself(None)
        } else {
            outgoing.by_gateways(hops.into_iter())
        };
        let request = self.start(now, outgoing);
        if let Some(call) = self.calls.get_mut(&id) {
            call.invite = Some(request);
        }
    }

    /// Why an outgoing call is not even tried.
    fn refusal_of(&mut self, now: Instant, invite: &Invite) -> Option<(u16, &'static str)> {
        let callable =
            Uri::parse(&invite.to).is_ok_and(|uri| !uri.host.is_empty() || uri.user.is_some());
        if !self.trunks.iter().any(|trunk| trunk.name == invite.trunk) {
            Some((404, "no such trunk"))
        } else if !callable {
            Some((400, "not a callable URI"))
        } else if !identity::may_be_added(&invite.headers) {
            Some((400, "a header field that cannot be written"))
        } else if invite.replaces.as_deref().is_some_and(|value| !replaces::is_replaces(value)) {
            Some((400, "a Replaces that cannot be read"))
        } else if self.draining {
            Some((503, "draining"))
        } else if self.calls.len() >= self.sessions_max {
            Some((503, "too many sessions"))
        } else if !self.setups.take(now) {
            Some((503, "too many set-ups a second"))
        } else {
            None
        }
    }

    fn first_invite(&mut self, trunk: usize, tag: &str, invite: &Invite) -> Request {
        let (from, mut headers) = self.caller_identity(trunk, tag, invite);
        headers.extend(first_timer_headers(&self.policy(trunk)));
        headers.extend(invite.headers.iter().cloned());
        headers.extend(extensions(self.policy(trunk).reliable));
        if let Some(replaces) = &invite.replaces {
            //= RFC 3891 §4: Require with replaces, so that nobody answers a call of its own
            headers.push(("Replaces".to_owned(), replaces.clone()));
            headers.push(("Require".to_owned(), "replaces".to_owned()));
        }
        let registered = self.trunks.get(trunk).and_then(Trunk::contact_user);
        let contact_user = registered.unwrap_or(&invite.from_user).to_owned();
        Request {
            method: Method::Invite,
            uri: invite.to.clone(),
            next_hop: invite.to.clone(),
            from,
            to: format!("<{}>", invite.to),
            call_id: self.rng.call_id(),
            cseq: 1,
            routes: Vec::new(),
            headers,
            contact_user: Some(contact_user),
            contact_bulk: false,
            body: ("application/sdp", invite.sdp.clone().unwrap_or_default()),
        }
    }

    /// Makes a session for an INVITE whose transaction has just begun.
    pub(super) fn invited(
        &mut self,
        (server, flow): (ServerId, Flow),
        (id, trunk): (SessionId, usize),
        session: Session,
        message: &Message<'_>,
    ) {
        let tag = self.servers.user(server).map(|served| served.to_tag.clone());
        let key = (message.call_id().unwrap_or("").to_owned(), tag.unwrap_or_default());
        self.by_dialog.insert(key.clone(), id);
        let replaces = self.replaced(trunk, message).ok().flatten();
        let name = self.trunks.get(trunk).map_or("", |trunk| &trunk.name);
        let incoming = identity::incoming(name, &self.watch_headers, &flow, message, replaces);
        let contact_user = incoming.to_user.clone();
        self.call_timers.set(&id, session.deadline());
        self.dialogs += session.dialogs();
        let call = Call {
            session,
            trunk,
            key,
            server: Some(server),
            contact_user,
            invite: None,
            first: None,
            reinvite: None,
            seen: Some(flow),
            dialed: true,
        };
        self.calls.insert(id, call);
        let event = Event::Incoming(Box::new(incoming));
        self.out.push_back(Output::Event { session: id, event });
    }

    /// An id for a session that a peer starts.
    pub(super) fn incoming_id(&mut self) -> SessionId {
        let id = SessionId(INCOMING_FIRST + self.next_session);
        self.next_session += 1;
        id
    }

    /// Notes how the peer of a session was last seen.
    pub(super) fn saw(&mut self, session: SessionId, flow: Flow) {
        if let Some(call) = self.calls.get_mut(&session) {
            call.seen = Some(flow);
        }
    }

    pub(super) fn call_due(&mut self, now: Instant, id: SessionId) {
        self.step(now, id, Input::Timeout);
    }

    /// Gives a session one input and does what it asks for.
    pub(super) fn step(&mut self, now: Instant, id: SessionId, input: Input<'_>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let before = call.session.dialogs();
        let effects = call.session.handle(now, &mut self.rng, input);
        self.dialogs = self.dialogs + call.session.dialogs() - before;
        self.call_timers.set(&id, call.session.deadline());
        for effect in effects {
            self.carry_out(now, id, effect);
        }
        if self.calls.get(&id).is_some_and(|call| call.session.is_ended())
            && let Some(call) = self.calls.remove(&id)
        {
            self.by_dialog.remove(&call.key);
            self.call_timers.clear(&id);
            // A re-INVITE that nobody answers must not outlive its session.
            if let Some((_, reinvite)) = call.reinvite {
                self.withdraw(now, reinvite, None);
            }
        }
    }

    fn carry_out(&mut self, now: Instant, id: SessionId, effect: Effect) {
        let Some(call) = self.calls.get(&id) else { return };
        let (trunk, seen, invite, reinvite) = (call.trunk, call.seen, call.invite, call.reinvite);
        match effect {
            Effect::Ack { to_tag, mut request, of } => {
                let again = reinvite.filter(|(tag, _)| Some(*tag) == of).map(|(_, id)| id);
                let invite = if of.is_some() { again } else { invite };
                //= RFC 3261 §13.2.2.4: the ACK has the same credentials as the INVITE
                request.headers.extend(self.credentials_of(invite));
                let owner = Owner::Ack { invite, to_tag };
                self.start(now, Outgoing::new(owner, trunk, request).by_itself(seen));
            }
            Effect::Request { purpose, mut request } => {
                //= RFC 3261 §12.2.1.1: target refresh requests SHOULD carry Contact; those of a
                //= subscription refresh the target too (RFC 6665 §4.4)
                let contact = match request.method {
                    Method::Invite | Method::Update | Method::Refer | Method::Notify => true,
                    Method::Ack
                    | Method::Bye
                    | Method::Cancel
                    | Method::Options
                    | Method::Register
                    | Method::Prack
                    | Method::Info
                    | Method::Subscribe
                    | Method::Message
                    | Method::Publish
                    | Method::Other(_) => false,
                };
                request.contact_user = contact.then(|| call.contact_user.clone());
                let owner = match purpose {
                    Purpose::Bye => Owner::Bye(id),
                    Purpose::Stray => Owner::Nobody,
                    Purpose::InDialog(tag) => Owner::InDialog(id, tag),
                };
                let is_invite = request.method == Method::Invite;
                let request = self.start(now, Outgoing::new(owner, trunk, request).by_itself(seen));
                if let (Purpose::InDialog(tag), true) = (purpose, is_invite)
                    && let Some(call) = self.calls.get_mut(&id)
                {
                    call.reinvite = Some((tag, request));
                }
            }
            Effect::Redial { to, headers } => self.redial(now, id, to, headers),
            Effect::Cancel { reason } => {
                if let Some(invite) = invite {
                    self.withdraw(now, invite, reason);
                }
            }
            Effect::Reply { server, reply } => {
                let user = call.contact_user.clone();
                self.reply(now, server, &reply, &user);
            }
            Effect::RepeatOk { server } => self.repeat_ok(now, server),
            Effect::Event(event) => self.out.push_back(Output::Event { session: id, event }),
        }
    }

    /// Sends the ACK and BYE of a fork that answered after the session was over.
    pub(super) fn dismiss(
        &mut self,
        now: Instant,
        trunk: usize,
        invite: RequestId,
        seen: Flow,
        effects: Vec<Effect>,
    ) {
        for effect in effects {
            let (owner, request) = match effect {
                Effect::Ack { to_tag, mut request, .. } => {
                    request.headers.extend(self.credentials_of(Some(invite)));
                    (Owner::Ack { invite: Some(invite), to_tag }, request)
                }
                Effect::Request { request, .. } => (Owner::Nobody, request),
                Effect::Cancel { .. }
                | Effect::Redial { .. }
                | Effect::Reply { .. }
                | Effect::RepeatOk { .. }
                | Effect::Event(_) => continue,
            };
            self.start(now, Outgoing::new(owner, trunk, request).by_itself(Some(seen)));
        }
    }

    /// Writes a reply and hands it to its transaction.
    pub(super) fn reply(&mut self, now: Instant, server: ServerId, reply: &Reply, user: &str) {
        let Some(served) = self.servers.user(server) else { return };
        let Some(flow) = self.servers.flow(server) else { return };
        let Ok(request) = Message::parse(&served.request) else { return };
        let answer = Answer {
            code: reply.code,
            reason: &reply.reason,
            to_tag: Some(&served.to_tag),
            source: Some(served.source),
            headers: &reply.headers,
            contact_user: Some(user),
            without_100rel: self.policy(served.trunk).reliable == Reliable::Off,
            face: Some(self.face(served.trunk, flow.transport, flow.local)),
            sdp: reply.sdp.as_deref(),
        };
        // A reason or header that cannot be written must not leave the peer without an answer.
        let plain = Answer { reason: "", headers: &[], ..answer };
        let bytes = self.identity.reply(&request, &flow, &answer);
        let Ok(bytes) = bytes.or_else(|_| self.identity.reply(&request, &flow, &plain)) else {
            return;
        };
        let is_invite = request.method() == Some(Method::Invite);
        if reply.code >= 200
            && let Some(served) = self.servers.user_mut(server)
        {
            served.request = Vec::new();
            served.ok = (is_invite && reply.code < 300).then(|| (reply.code, bytes.clone()));
        }
        self.hand_over(now, server, reply.code, bytes);
    }

    fn repeat_ok(&mut self, now: Instant, server: ServerId) {
        if let Some((code, bytes)) = self.servers.user(server).and_then(|served| served.ok.clone())
        {
            self.hand_over(now, server, code, bytes);
        }
    }

    fn hand_over(&mut self, now: Instant, server: ServerId, code: u16, bytes: Vec<u8>) {
        if let Some(step) = self.servers.handle(now, server, ServerInput::Respond(code, bytes))
            && let Some(bytes) = step.effect.send
        {
            self.transmit(step.flow, bytes);
        }
    }
}

/// What our INVITE says about the extensions that we know, session timers left out.
//= RFC 3262 §4: Supported with 100rel when reliable responses are wanted, Require to insist on them
//= RFC 6228 §4: Supported with 199 to be told of early dialogs that end
fn extensions(reliable: Reliable) -> Vec<(String, String)> {
    let supported = match reliable {
        Reliable::Off => "replaces, 199",
        Reliable::Supported | Reliable::Required => "100rel, replaces, 199",
    };
    let mut headers = vec![("Supported".to_owned(), supported.to_owned())];
    if reliable == Reliable::Required {
        headers.push(("Require".to_owned(), "100rel".to_owned()));
    }
    headers
}

/// Writes a header value as a component of a URI (RFC 3261 §19.1.1).
fn escape_header(value: &str) -> String {
    let mut out = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
