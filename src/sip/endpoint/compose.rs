//! Messages as bytes: what sessions and dialogs shape, completed for the way it takes.
//!
//! Owns which header fields stand in what we send. The grammar is `sip::message`'s.

use super::route;
use crate::sip::dialog::Request;
use crate::sip::interface::{Flow, Transport};
use crate::sip::message::{
    Host, Message, MessageWriter, Method, Name, ResponseSpec, StartLine, WriteError,
};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The methods that are served.
pub(super) const METHODS: &[Method<'static>] = &[
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Info,
    Method::Update,
    Method::Prack,
    Method::Refer,
    Method::Notify,
];

/// Allow, as a header value.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY";

/// The option tags that Require may name.
pub(super) const EXTENSIONS: &[&str] = &["timer", "100rel", "replaces"];

/// The option tag of reliable provisional responses (RFC 3262).
const RELIABLE: &str = "100rel";

/// What makes a Contact URI one for all numbers (RFC 6140 §5.1).
pub(super) const BULK: &str = ";bnc";

/// The body types that are read.
pub(super) const BODIES: &[&str] = &["application/sdp", "message/sipfrag"];

/// What every message says about us.
#[derive(Debug)]
pub(super) struct Identity {
    /// Written into Via and Contact in place of the socket's address.
    pub public_address: Option<IpAddr>,
    /// Value of User-Agent and Server.
    pub user_agent: String,
}

/// How we show ourselves on one way of one trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Face {
    /// The transport of the way.
    pub transport: Transport,
    /// The address in Via.
    pub via: SocketAddr,
    /// The address in Contact.
    pub contact: SocketAddr,
}

impl Face {
    /// Our Contact URI.
    //= RFC 3261 §8.1.1.8: where the Request-URI or the top Route is sips, so is the Contact
    pub(super) fn contact_uri(self, user: &str, secure: bool) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            f.write_str(if secure { "sips:" } else { "sip:" })?;
            if !user.is_empty() {
                write!(f, "{}@", crate::sip::message::escape_user(user))?;
            }
            write!(f, "{}", Place(self.contact))?;
            match route::uri_name(self.transport).filter(|_| !secure) {
                Some(name) => write!(f, ";transport={name}"),
                None => Ok(()),
            }
        })
    }
}

/// What a reply says beyond its code.
#[derive(Debug, Default)]
pub(super) struct Answer<'a> {
    pub code: u16,
    pub reason: &'a str,
    pub to_tag: Option<&'a str>,
    pub source: Option<SocketAddr>,
    pub headers: &'a [(Name, String)],
    pub contact_user: Option<&'a str>,
    /// The trunk's policy has no reliable provisional responses: nothing is said of them.
    pub without_100rel: bool,
    /// How we show ourselves to the trunk; without it by the socket's address.
    pub face: Option<Face>,
    pub sdp: Option<&'a [u8]>,
}

impl Identity {
    /// Our address as the peer of `local` should see it.
    pub(super) fn seen(&self, local: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.public_address.unwrap_or(local.ip()), local.port())
    }

    /// Completes a request for the way of `face`, along `routes`; `authorize` adds credentials.
    //= RFC 3261 §8.1.1: To, From, CSeq, Call-ID, Max-Forwards and Via are mandatory
    pub(super) fn request(
        &self,
        request: &Request,
        routes: &[String],
        face: Face,
        branch: &str,
        authorize: impl FnOnce(&mut MessageWriter<'_>),
    ) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::with_capacity(1024);
        let mut writer = MessageWriter::request(&mut out, request.method, &request.uri);
        let (via, place) = (route::via_name(face.transport), Place(face.via));
        //= RFC 5923 §8.1: alias offers the TLS connection for requests of the peer, too
        let alias = if face.transport == Transport::Tls { ";alias" } else { "" };
        //= RFC 3581 §3: rport without a value asks for the source port
        writer
            .header(Name::Via, format_args!("SIP/2.0/{via} {place};rport;branch={branch}{alias}"));
        //= RFC 3261 §8.1.1.6: Max-Forwards SHOULD be 70
        writer.header(Name::MaxForwards, 70);
        writer.header(Name::From, &request.from).header(Name::To, &request.to);
        writer.header(Name::CallId, &request.call_id);
        writer.header(Name::CSeq, format_args!("{} {}", request.cseq, request.method));
        for route in routes {
            writer.header(Name::Route, route);
        }
        if let Some(user) = &request.contact_user {
            let secure = is_sips(&request.uri) || routes.first().is_some_and(|top| is_sips(top));
            let contact = face.contact_uri(user, secure);
            let bulk = if request.contact_bulk { BULK } else { "" };
            writer.header(Name::Contact, format_args!("<{contact}{bulk}>"));
        }
        if request.method == Method::Invite {
            writer.header(Name::Allow, ALLOW);
        }
        for (name, value) in &request.headers {
            writer.other(name, value);
        }
        authorize(&mut writer);
        writer.header(Name::UserAgent, &self.user_agent);
        let (kind, body) = &request.body;
        if body.is_empty() { writer.finish() } else { writer.body(kind, body) }?;
        Ok(out)
    }

    /// Completes a reply to `request`, which came along `flow`.
    pub(super) fn reply(
        &self,
        request: &Message<'_>,
        flow: &Flow,
        answer: &Answer<'_>,
    ) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::with_capacity(512);
        let method = request.method();
        let code = answer.code;
        let spec = ResponseSpec {
            code,
            reason: answer.reason,
            to_tag: answer.to_tag.filter(|_| code > 100),
            source: answer.source,
            //= RFC 3261 §12.1.1: copied into what establishes a dialog
            record_route: method == Some(Method::Invite) && (101..300).contains(&code),
        };
        let mut writer = MessageWriter::respond(&mut out, request, &spec);
        //= RFC 3261 §12.1.1 and RFC 3311 §5.1: Contact in what makes or refreshes a dialog
        let target = matches!(method, Some(Method::Invite | Method::Update));
        if let Some(user) = answer.contact_user.filter(|_| target && (101..300).contains(&code)) {
            let (transport, via) = (flow.transport, self.seen(flow.local));
            let face = answer.face.unwrap_or(Face { transport, via, contact: via });
            let contact = face.contact_uri(user, wants_sips(request));
            writer.header(Name::Contact, format_args!("<{contact}>"));
        }
        //= RFC 3311 §5.1: Allow SHOULD be in reliable provisional responses
        let reliable = answer.headers.iter().any(|(name, _)| *name == Name::RSeq);
        if ((200..300).contains(&code) || reliable)
            && matches!(method, Some(Method::Invite | Method::Options | Method::Update))
        {
            let told = |tag: &&&str| !(answer.without_100rel && **tag == RELIABLE);
            let extensions: Vec<&str> = EXTENSIONS.iter().filter(told).copied().collect();
            writer.header(Name::Allow, ALLOW).header(Name::Supported, extensions.join(", "));
        }
        if method == Some(Method::Options) {
            writer.header(Name::Accept, BODIES.join(", "));
        }
        for (name, value) in answer.headers {
            writer.header(*name, value);
        }
        if code > 100 {
            writer.header(Name::Server, &self.user_agent);
        }
        match answer.sdp {
            Some(sdp) => writer.body("application/sdp", sdp),
            None => writer.finish(),
        }?;
        Ok(out)
    }
}

/// Whether a URI, in brackets or not, is a `sips:` one.
fn is_sips(uri: &str) -> bool {
    let uri = uri.trim_start_matches('<');
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
}

/// Whether our Contact in the answer to `request` is to be a `sips:` one.
//= RFC 3261 §12.1.1: if the Request-URI, the top Record-Route or, without one, the Contact is sips
fn wants_sips(request: &Message<'_>) -> bool {
    let StartLine::Request { uri, .. } = request.start_line() else { return false };
    let top = request.record_routes().next().or_else(|| request.contacts().next());
    is_sips(uri) || top.is_some_and(|top| top.is_ok_and(|top| is_sips(top.uri.text)))
}

/// The ACK to the refusal of an INVITE.
//= RFC 3261 §17.1.1.3: Call-ID, From, Request-URI and top Via of the INVITE, To of the response,
//= CSeq number with ACK, Route of the INVITE
pub(super) fn ack_refusal(
    invite: &Message<'_>,
    refusal: &Message<'_>,
) -> Result<Vec<u8>, WriteError> {
    companion(invite, refusal, Method::Ack, None)
}

/// The CANCEL of an INVITE.
//= RFC 3261 §9.1: Request-URI, Call-ID, To, CSeq number and From identical; one Via, the top one;
//= Route if the INVITE has it
pub(super) fn cancel(invite: &Message<'_>, reason: Option<&str>) -> Result<Vec<u8>, WriteError> {
    companion(invite, invite, Method::Cancel, reason)
}

/// A request that shares the branch of an INVITE; To is taken from `to`.
fn companion(
    invite: &Message<'_>,
    to: &Message<'_>,
    method: Method<'static>,
    reason: Option<&str>,
) -> Result<Vec<u8>, WriteError> {
    let StartLine::Request { uri, .. } = invite.start_line() else {
        return Err(WriteError::StartLine);
    };
    let mut out = Vec::with_capacity(512);
    let mut writer = MessageWriter::request(&mut out, method, uri);
    if let Some(via) = invite.headers(Name::Via).next() {
        writer.header(Name::Via, via);
    }
    writer.header(Name::MaxForwards, 70);
    writer.echo(invite, Name::From).echo(to, Name::To).echo(invite, Name::CallId);
    let number = invite.cseq().map_or(0, |cseq| cseq.number);
    writer.header(Name::CSeq, format_args!("{number} {method}"));
    writer.echo(invite, Name::Route);
    if let Some(reason) = reason {
        writer.header(Name::Reason, reason);
    }
    writer.finish()?;
    Ok(out)
}

/// `address:port` with IPv6 in brackets.
struct Place(SocketAddr);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Host::from(self.0.ip()), self.0.port())
    }
}
