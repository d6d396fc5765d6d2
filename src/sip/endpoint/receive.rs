//! The door: what is done with a message before a session hears of it.

use super::Endpoint;
use super::calls::Served;
use super::compose::{self, Answer};
use super::route;
use crate::id::SessionId;
use crate::sip::interface::{Flow, Reliable};
use crate::sip::message::{
    self, Capabilities, Fault, Message, Method, Name, ParseError, Refusal, StartLine, Via, salvage,
    validate,
};
use crate::sip::session::{Input, Reply, Session, interval_refusal, reason_header};
use crate::sip::transaction::Tell;
use crate::sip::transaction::table::{MergeKey, ServerId, ServerInput, ServerKey};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// Most bytes of a body: descriptions are far below.
const BODY_MAX: usize = 65_536;

/// What Retry-After says when we are full, in seconds.
const RETRY_AFTER: &str = "5";

const ABLE: Capabilities<'static> = Capabilities {
    methods: compose::METHODS,
    extensions: compose::EXTENSIONS,
    bodies: compose::BODIES,
    body_max: BODY_MAX,
};

impl Endpoint {
    pub(super) fn receive(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        let source = flow.remote.ip();
        // A response that we wait for is read from anybody; a forged one cannot know its branch.
        let awaited = || looks_like_response(bytes) && !self.clients.along(&flow).is_empty();
        if self.bans.is_banned(now, source) && !self.is_named_source(source) && !awaited() {
            return self.dropped(flow.remote, "banned");
        }
        let trunk = self.trunk_of(source);
        // Responses are known by their branch, which nobody else can know; requests by their source.
        if trunk.is_none() && !looks_like_response(bytes) {
            self.offend(now, source);
            return self.dropped(flow.remote, "unknown_source");
        }
        match (Message::parse(bytes), trunk) {
            (Ok(message), _) if !message.is_request() => {
                if validate(&message, &ABLE).is_err() {
                    return self.dropped(flow.remote, "malformed");
                }
                self.respond(now, flow, &message);
            }
            (Ok(message), Some(trunk)) => self.request(now, flow, trunk, bytes, &message),
            (Err(ParseError::Empty), _) => {}
            (Err(_), Some(_)) => self.refuse_unreadable(now, flow, bytes),
            (Ok(_) | Err(_), None) => {
                self.offend(now, source);
                self.dropped(flow.remote, "unknown_source");
            }
        }
    }

    /// A stateless 400, if there is enough to answer and we have not answered too many.
    fn refuse_unreadable(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        self.dropped(flow.remote, "malformed");
        let mut scratch = Vec::new();
        if self.malformed.take(now)
            && let Some(message) = salvage(bytes, &mut scratch)
        {
            self.plain(flow, &message, 400, &[]);
        }
    }

    fn request(
        &mut self,
        now: Instant,
        flow: Flow,
        trunk: usize,
        bytes: &[u8],
        message: &Message<'_>,
    ) {
        if let Err(refusal) = validate(message, &ABLE) {
            return self.refuse_invalid(now, flow, message, refusal);
        }
        let (Some(method), Ok(via)) = (message.method().and_then(Method::known), message.via())
        else {
            return;
        };
        //= RFC 3891 §3: Replaces in another request than INVITE: 400
        let replaces = message.header(Name::Replaces).is_some();
        if replaces && !matches!(method, Method::Invite | Method::Ack | Method::Cancel) {
            return self.plain(flow, message, 400, &[]);
        }
        match method {
            Method::Ack => self.ack(now, flow, &via, message),
            Method::Cancel => self.canceled(now, flow, &via, message),
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Info
            | Method::Update
            | Method::Register
            | Method::Prack
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => {
                let Some(key) = server_key(message, &via, method) else { return };
                if let Some(server) = self.servers.find(&key) {
                    return self.repeated(now, server);
                }
                let arrival = Arrival { flow, trunk, bytes, method, key };
                self.fresh(now, arrival, message);
            }
        }
    }

    fn refuse_invalid(
        &mut self,
        now: Instant,
        flow: Flow,
        message: &Message<'_>,
        refusal: Refusal,
    ) {
        //= RFC 3261 §17.1.1.3: an ACK is never answered
        let silent = message.method() == Some(Method::Ack) || !message.has_reply_headers();
        if silent || (refusal.fault != Fault::Plain && !self.malformed.take(now)) {
            return self.dropped(flow.remote, "malformed");
        }
        let Ok(via) = message.via() else { return };
        let tag = self.stateless_tag(message);
        let spec = message::ResponseSpec {
            code: refusal.code,
            to_tag: Some(&tag),
            source: Some(flow.remote),
            ..message::ResponseSpec::default()
        };
        let mut bytes = Vec::with_capacity(512);
        let mut writer = message::MessageWriter::respond(&mut bytes, message, &spec);
        refusal.explain(message, &ABLE, &mut writer);
        if writer.finish().is_ok() {
            self.transmit(route::reply_flow(flow, &via), bytes);
        }
    }

    /// A request that no transaction knows.
    fn fresh(&mut self, now: Instant, arrival: Arrival<'_>, message: &Message<'_>) {
        let to_tag = message.to().ok().and_then(|to| to.tag());
        match (to_tag, arrival.method) {
            (Some(tag), _) => {
                let key = (message.call_id().unwrap_or("").to_owned(), tag.to_owned());
                match self.by_dialog.get(&key) {
                    Some(session) => self.in_dialog(now, arrival, *session, tag, message),
                    //= RFC 3261 §12.2.2: no such dialog: 481
                    None => self.plain(arrival.flow, message, 481, &[]),
                }
            }
            (None, Method::Invite) => self.new_invite(now, arrival, message),
            (None, Method::Options) => self.options(arrival.flow, arrival.trunk, message),
            //= RFC 3261 §15.1.2: a BYE that matches no dialog: 481
            (None, _) => self.plain(arrival.flow, message, 481, &[]),
        }
    }

    fn in_dialog(
        &mut self,
        now: Instant,
        arrival: Arrival<'_>,
        session: SessionId,
        to_tag: &str,
        message: &Message<'_>,
    ) {
        let flow = arrival.flow;
        let Some(server) = self.serve(arrival, None, session, to_tag, message) else {
            return self.refuse_full(flow, message);
        };
        self.saw(session, flow);
        if message.method() == Some(Method::Invite) {
            self.reply(now, server, &Reply { code: 100, ..Reply::default() }, "");
        }
        self.step(now, session, Input::Request { server, message });
    }

    fn new_invite(&mut self, now: Instant, arrival: Arrival<'_>, message: &Message<'_>) {
        let flow = arrival.flow;
        //= RFC 3261 §8.2.2.3: an extension that is required and not supported: 420 with Unsupported
        let off = self.policy(arrival.trunk).reliable == Reliable::Off;
        if off && message.lists(Name::Require, "100rel") {
            return self.plain(flow, message, 420, &[(Name::Unsupported, "100rel".to_owned())]);
        }
        //= RFC 3261 §21.5.4: 503 with Retry-After when a server is overloaded; nothing is kept
        if let Some(retry_after) = self.overload {
            let seconds = retry_after.as_secs().max(1).to_string();
            return self.plain(flow, message, 503, &[(Name::RetryAfter, seconds)]);
        }
        let merge = merge_key(message);
        //= RFC 3261 §8.2.2.2: the same request by another way: 482
        if merge.as_ref().is_some_and(|merge| self.servers.find_merged(merge).is_some()) {
            return self.plain(flow, message, 482, &[]);
        }
        if self.draining || self.calls.len() >= self.sessions_max || !self.setups.take(now) {
            return self.refuse_full(flow, message);
        }
        if let Some(headers) = interval_refusal(message) {
            return self.plain(flow, message, 422, &headers);
        }
        if let Err(code) = self.replaced(arrival.trunk, message) {
            return self.plain(flow, message, code, &[]);
        }
        let (id, trunk, tag) = (self.incoming_id(), arrival.trunk, self.rng.tag());
        let Some(server) = self.serve(arrival, merge, id, &tag, message) else {
            return self.refuse_full(flow, message);
        };
        let Ok(session) = Session::incoming(now, self.policy(trunk), server, message, &tag) else {
            self.servers.remove(server);
            return self.plain(flow, message, 400, &[]);
        };
        //= RFC 3261 §17.2.1: 100 if the TU will not answer within 200 ms
        self.reply(now, server, &Reply { code: 100, ..Reply::default() }, "");
        self.invited((server, flow), (id, trunk), session, message);
    }

    /// Starts a server transaction; `None` if there is no room.
    fn serve(
        &mut self,
        arrival: Arrival<'_>,
        merge: Option<MergeKey>,
        session: SessionId,
        to_tag: &str,
        message: &Message<'_>,
    ) -> Option<ServerId> {
        let Arrival { flow, bytes, key, trunk, .. } = arrival;
        let via = message.via().ok()?;
        let served = Served {
            session,
            trunk,
            request: bytes.to_vec(),
            source: flow.remote,
            reopened: route::reopened(flow, &via),
            to_tag: to_tag.to_owned(),
            ok: None,
        };
        self.servers.start(key, merge, route::reply_flow(flow, &via), served)
    }

    /// A copy of a request that is being served.
    fn repeated(&mut self, now: Instant, server: ServerId) {
        if let Some(step) = self.servers.handle(now, server, ServerInput::Request)
            && let Some(bytes) = step.effect.send
        {
            self.transmit(step.flow, bytes);
        }
    }

    /// An ACK: to a refusal it has the INVITE's branch, to a 2xx it belongs to the dialog.
    fn ack(&mut self, now: Instant, flow: Flow, via: &Via<'_>, message: &Message<'_>) {
        let key = server_key(message, via, Method::Invite);
        if let Some(server) = key.and_then(|key| self.servers.find(&key)) {
            let session = self.servers.user(server).map(|served| served.session);
            let step = self.servers.handle(now, server, ServerInput::Ack);
            let new = step.is_some_and(|step| step.effect.tell == Tell::PassUp);
            if let Some(session) = session.filter(|_| new) {
                self.step(now, session, Input::Ack(message));
            }
            return;
        }
        let tag = message.to().ok().and_then(|to| to.tag()).unwrap_or("");
        let key = (message.call_id().unwrap_or("").to_owned(), tag.to_owned());
        match self.by_dialog.get(&key).copied() {
            Some(session) => {
                self.saw(session, flow);
                self.step(now, session, Input::Ack(message));
            }
            None => self.dropped(flow.remote, "stray_ack"),
        }
    }

    fn canceled(&mut self, now: Instant, flow: Flow, via: &Via<'_>, message: &Message<'_>) {
        let key = server_key(message, via, Method::Invite);
        let Some(server) = key.and_then(|key| self.servers.find(&key)) else {
            //= RFC 3261 §9.2: no matching transaction: 481
            return self.plain(flow, message, 481, &[]);
        };
        let Some(served) = self.servers.user(server) else { return };
        let (session, tag) = (served.session, served.to_tag.clone());
        //= RFC 3261 §9.2: the CANCEL itself is answered with 200, under the same To tag
        self.answer(flow, message, &Answer { code: 200, to_tag: Some(&tag), ..Answer::default() });
        let reason = reason_header(message);
        self.step(now, session, Input::Cancel { server, reason });
    }

    //= RFC 3261 §11.2: the answer to OPTIONS is that which an INVITE would get
    fn options(&mut self, flow: Flow, trunk: usize, message: &Message<'_>) {
        if self.draining {
            return self.refuse_full(flow, message);
        }
        let without_100rel = self.policy(trunk).reliable == Reliable::Off;
        let tag = self.stateless_tag(message);
        let answer = Answer { code: 200, to_tag: Some(&tag), without_100rel, ..Answer::default() };
        self.answer(flow, message, &answer);
    }

    fn refuse_full(&mut self, flow: Flow, message: &Message<'_>) {
        self.plain(flow, message, 503, &[(Name::RetryAfter, RETRY_AFTER.to_owned())]);
    }

    /// Answers without keeping anything (RFC 3261 §8.2.7).
    fn plain(&mut self, flow: Flow, message: &Message<'_>, code: u16, headers: &[(Name, String)]) {
        let tag = self.stateless_tag(message);
        let answer = Answer { code, to_tag: Some(&tag), headers, ..Answer::default() };
        self.answer(flow, message, &answer);
    }

    fn answer(&mut self, flow: Flow, message: &Message<'_>, answer: &Answer<'_>) {
        let Ok(via) = message.via() else { return };
        let flow_back = route::reply_flow(flow, &via);
        let answer = Answer { source: Some(flow.remote), ..*answer };
        if let Ok(bytes) = self.identity.reply(message, &flow_back, &answer) {
            self.transmit(flow_back, bytes);
        }
    }

    //= RFC 3261 §8.2.7: the same To tag for each copy of the request
    fn stateless_tag(&self, message: &Message<'_>) -> String {
        let mut hasher = DefaultHasher::new();
        self.secret.hash(&mut hasher);
        for name in [Name::Via, Name::From, Name::CallId, Name::CSeq] {
            message.header(name).hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }

    /// The connection of a request is lost: its responses open one back, the last one at once.
    //= RFC 3261 §18.2.2: if that connection is no longer open, the server SHOULD open one
    pub(super) fn server_unreachable(&mut self, now: Instant, id: ServerId) {
        let Some(flow) = self.servers.flow(id) else { return };
        match self.servers.user(id).filter(|_| flow.connection.is_some()) {
            Some(served) => {
                let way = served.reopened;
                self.servers.redirect(id, way);
                self.repeated(now, id);
            }
            None => _ = self.servers.handle(now, id, ServerInput::Unreachable),
        }
    }
}

/// A request at the door.
struct Arrival<'a> {
    flow: Flow,
    trunk: usize,
    bytes: &'a [u8],
    method: Method<'static>,
    key: ServerKey,
}

fn looks_like_response(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    bytes.get(start..start + 4).is_some_and(|front| front.eq_ignore_ascii_case(b"SIP/"))
}

/// The key of the transaction that a request belongs to, taken as a request of `method`.
//= RFC 3261 §17.2.3: without a magic cookie (RFC 2543) other fields tell transactions apart
fn server_key(message: &Message<'_>, via: &Via<'_>, method: Method<'static>) -> Option<ServerKey> {
    if via.has_magic_cookie() {
        let sent_by = format!("{}:{}", via.host, via.port_or_default()).to_ascii_lowercase();
        return Some(ServerKey::Branch {
            branch: via.branch.to_ascii_lowercase(),
            sent_by,
            method,
        });
    }
    let StartLine::Request { uri, .. } = message.start_line() else { return None };
    Some(ServerKey::Rfc2543 {
        uri: uri.to_owned(),
        call_id: message.call_id().ok()?.to_owned(),
        from_tag: message.from().ok()?.tag().unwrap_or("").to_owned(),
        cseq: message.cseq().ok()?.number,
        via: message.headers(Name::Via).next()?.to_owned(),
        method,
    })
}

fn merge_key(message: &Message<'_>) -> Option<MergeKey> {
    let cseq = message.cseq().ok()?;
    Some(MergeKey {
        call_id: message.call_id().ok()?.to_owned(),
        from_tag: message.from().ok()?.tag()?.to_owned(),
        cseq: cseq.number,
        method: cseq.method.known()?,
    })
}
