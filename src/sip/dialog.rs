//! Dialogs of RFC 3261 §12: what two user agents have agreed on about where to send what.
//!
//! Owns the route set, the remote target and both CSeq spaces, and shapes requests from them. Does
//! not send, choose an address, or know what a dialog is used for.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::wildcard_enum_match_arm)]

use crate::sip::message::{HeaderError, Message, Method, Name, NameAddr, Uri, unfold};

/// Most routes of a dialog; real ones have two or three.
const ROUTES_MAX: usize = 16;

/// Why a message cannot make or change a dialog. The peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    /// A header field that dialogs are made of is missing or malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// More than 16 routes.
    #[error("too many routes")]
    TooManyRoutes,
}

/// A request as dialogs and sessions shape it: complete but for Via, Contact and the like, which
/// depend on the way that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method<'static>,
    /// The Request-URI.
    pub uri: String,
    /// The URI whose host is to receive the request: a Route, or the Request-URI (§8.1.2).
    pub next_hop: String,
    /// From, with its tag.
    pub from: String,
    /// To, with its tag if there is one.
    pub to: String,
    /// Call-ID.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// Route values in order.
    pub routes: Vec<String>,
    /// Further header fields in order.
    pub headers: Vec<(String, String)>,
    /// User part of Contact, for requests that carry one.
    pub contact_user: Option<String>,
    /// Contact stands for all numbers of the registration, not for one user (`;bnc`, RFC 6140).
    pub contact_bulk: bool,
    /// Type and bytes of the body; no bytes, no body.
    pub body: (&'static str, Vec<u8>),
}

/// One dialog, early or confirmed, in either role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    call_id: String,
    /// Our From in requests, with our tag.
    local: String,
    local_tag: String,
    /// Our To in requests, with the peer's tag.
    remote: String,
    remote_tag: String,
    remote_target: String,
    routes: Vec<String>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

/// How the CSeq of a request stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Higher than any before: it is the newest.
    Newest,
    /// Lower or equal: it is late.
    Stale,
}

impl Dialog {
    /// The dialog that a response makes at the caller (§12.1.2).
    ///
    /// `fallback_target` stands in for a Contact that is missing or unreadable.
    ///
    /// # Errors
    /// [`DialogError`]; the peer's fault.
    pub fn uac(response: &Message<'_>, fallback_target: &str) -> Result<Self, DialogError> {
        let (from, to) = (response.from()?, response.to()?);
        //= RFC 3261 §12.1.2: a missing To tag (RFC 2543) counts as an empty one
        let remote_tag = to.tag().unwrap_or("").to_owned();
        //= RFC 3261 §12.1.2: the route set is Record-Route in reverse order
        let mut routes = record_routes(response)?;
        routes.reverse();
        Ok(Self {
            call_id: response.call_id()?.to_owned(),
            local: header_text(response, Name::From),
            local_tag: from.tag().unwrap_or("").to_owned(),
            remote: header_text(response, Name::To),
            remote_tag,
            remote_target: contact(response).unwrap_or_else(|| fallback_target.to_owned()),
            routes,
            local_cseq: response.cseq()?.number,
            remote_cseq: None,
        })
    }

    /// The dialog that an INVITE makes at the callee, who answers with `local_tag` (§12.1.1).
    ///
    /// # Errors
    /// [`DialogError`]; the peer's fault: 400.
    pub fn uas(request: &Message<'_>, local_tag: &str) -> Result<Self, DialogError> {
        let from = request.from()?;
        request.to()?;
        let target = contact(request).ok_or(HeaderError::Missing(Name::Contact))?;
        Ok(Self {
            call_id: request.call_id()?.to_owned(),
            local: format!("{};tag={local_tag}", header_text(request, Name::To)),
            local_tag: local_tag.to_owned(),
            remote: header_text(request, Name::From),
            //= RFC 3261 §12.1.1: a From without a tag (RFC 2543) counts as an empty tag
            remote_tag: from.tag().unwrap_or("").to_owned(),
            remote_target: target,
            //= RFC 3261 §12.1.1: the route set is Record-Route in order
            routes: record_routes(request)?,
            local_cseq: 0,
            remote_cseq: Some(request.cseq()?.number),
        })
    }

    /// Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Our tag.
    #[must_use]
    pub fn local_tag(&self) -> &str {
        &self.local_tag
    }

    /// The peer's tag.
    #[must_use]
    pub fn remote_tag(&self) -> &str {
        &self.remote_tag
    }

    /// Where the peer wants requests to end up.
    #[must_use]
    pub fn remote_target(&self) -> &str {
        &self.remote_target
    }

    /// The URI of our From, if it can be read.
    #[must_use]
    pub fn local_uri(&self) -> Option<String> {
        NameAddr::parse(&self.local).map(|local| local.uri.text.to_owned())
    }

    /// The next request of this dialog (§12.2.1.1); counts CSeq up.
    pub fn request(&mut self, method: Method<'static>) -> Request {
        //= RFC 3261 §12.2.1.1: CSeq is strictly increasing by one
        self.local_cseq += 1;
        self.shape(method, self.local_cseq)
    }

    /// Counts CSeq up for a request that is sent again with credentials (RFC 3261 §22.2).
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// The ACK to the 2xx of the INVITE with this CSeq number (§13.2.2.4).
    #[must_use]
    pub fn ack(&self, cseq: u32) -> Request {
        self.shape(Method::Ack, cseq)
    }

    /// Notes that a request was sent again with a higher number, as digest makes it.
    pub fn used_cseq(&mut self, cseq: u32) {
        self.local_cseq = self.local_cseq.max(cseq);
    }

    /// Files the CSeq of a request from the peer; ACK and CANCEL do not count.
    //= RFC 3261 §12.2.2: lower than the remote sequence number: 500
    pub fn accept_cseq(&mut self, cseq: u32) -> Order {
        if self.remote_cseq.is_some_and(|last| cseq <= last) {
            return Order::Stale;
        }
        self.remote_cseq = Some(cseq);
        Order::Newest
    }

    /// Takes over what happened in the early dialog that a 2xx confirms.
    ///
    //= RFC 3261 §13.2.2.4: the route set is that of the 2xx, CSeq numbers go on
    pub fn inherit(&mut self, early: &Self) {
        self.remote_cseq = early.remote_cseq;
        self.local_cseq = self.local_cseq.max(early.local_cseq);
    }

    /// Takes over the Contact of a target refresh: re-INVITE, UPDATE, and their 2xx (§12.2).
    pub fn refresh_target(&mut self, message: &Message<'_>) {
        if let Some(target) = contact(message) {
            self.remote_target = target;
        }
    }

    //= RFC 3261 §12.2.1.1: the route set, or for a strict router its first URI, makes the request
    fn shape(&self, method: Method<'static>, cseq: u32) -> Request {
        let first = self.routes.first().and_then(|route| NameAddr::parse(route));
        let (uri, next_hop, routes) = match first {
            Some(first) if first.uri.is_loose_route() => {
                (self.remote_target.clone(), first.uri.text.to_owned(), self.routes.clone())
            }
            // A strict router: it becomes the Request-URI, the target goes to the end.
            Some(first) => {
                let rest = self.routes.iter().skip(1).cloned();
                let target = format!("<{}>", self.remote_target);
                let uri = target_of(&first.uri);
                (uri.clone(), uri, rest.chain([target]).collect())
            }
            None => (self.remote_target.clone(), self.remote_target.clone(), Vec::new()),
        };
        Request {
            method,
            uri,
            next_hop,
            from: self.local.clone(),
            to: self.remote.clone(),
            call_id: self.call_id.clone(),
            cseq,
            routes,
            headers: Vec::new(),
            contact_user: None,
            contact_bulk: false,
            body: ("", Vec::new()),
        }
    }
}

/// A URI without what may not stand in a Request-URI (§19.1.1): `method` and header components.
#[must_use]
pub fn target_of(uri: &Uri<'_>) -> String {
    let text = uri.text.split('?').next().unwrap_or("");
    let mut parts = text.split(';');
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let name = part.split('=').next().unwrap_or("");
        if !name.eq_ignore_ascii_case("method") {
            out.push(';');
            out.push_str(part);
        }
    }
    out
}

fn record_routes(message: &Message<'_>) -> Result<Vec<String>, DialogError> {
    for route in message.record_routes() {
        route?;
    }
    let routes: Vec<String> =
        message.headers(Name::RecordRoute).map(|value| unfold(value).into_owned()).collect();
    if routes.len() > ROUTES_MAX { Err(DialogError::TooManyRoutes) } else { Ok(routes) }
}

/// The URI of the first Contact, without header components.
fn contact(message: &Message<'_>) -> Option<String> {
    let contact = message.contacts().next()?.ok()?;
    contact.uri.is_sip().then(|| target_of(&contact.uri))
}

fn header_text(message: &Message<'_>, name: Name) -> String {
    message.header_unfolded(name).unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(extra: &str) -> String {
        format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=ours\r\n\
             To: <sip:b@h>;tag=theirs\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n{extra}\r\n"
        )
    }

    fn request(extra: &str) -> String {
        format!(
            "INVITE sip:us@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\n\
             From: \"A\" <sip:a@h>;tag=theirs\r\nTo: <sip:us@h>\r\nCall-ID: c\r\nCSeq: 3 INVITE\r\n\
             {extra}\r\n"
        )
    }

    fn uac(extra: &str) -> Result<Dialog, DialogError> {
        Dialog::uac(&Message::parse(response(extra).as_bytes()).unwrap(), "sip:fallback@h")
    }

    fn uas(extra: &str) -> Result<Dialog, DialogError> {
        Dialog::uas(&Message::parse(request(extra).as_bytes()).unwrap(), "ours")
    }

    #[test]
    fn caller_reverses_the_record_route_and_callee_does_not() {
        let hops = "Contact: <sip:b@10.0.0.2;ob>\r\n\
                    Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\nRecord-Route: <sip:p0;lr;x=1>\r\n";
        let mut caller = uac(hops).unwrap();
        let bye = caller.request(Method::Bye);
        assert_eq!(bye.routes, ["<sip:p0;lr;x=1>", "<sip:p1;lr>", "<sip:p2;lr>"]);
        assert_eq!(
            (bye.uri.as_str(), bye.next_hop.as_str()),
            ("sip:b@10.0.0.2;ob", "sip:p0;lr;x=1")
        );
        assert_eq!((bye.cseq, caller.request(Method::Bye).cseq), (8, 9));
        assert_eq!(
            (bye.from.as_str(), bye.to.as_str()),
            ("<sip:a@h>;tag=ours", "<sip:b@h>;tag=theirs")
        );

        let mut callee = uas(hops).unwrap();
        let bye = callee.request(Method::Bye);
        assert_eq!(bye.routes, ["<sip:p2;lr>", "<sip:p1;lr>", "<sip:p0;lr;x=1>"]);
        assert_eq!(bye.from, "<sip:us@h>;tag=ours");
        assert_eq!(bye.to, "\"A\" <sip:a@h>;tag=theirs");
        assert_eq!(bye.cseq, 1);
    }

    #[test]
    fn strict_router_becomes_the_request_uri() {
        let mut dialog = uac(
            "Contact: <sip:b@far>\r\nRecord-Route: <sip:p2;lr>, <sip:p1;method=INVITE;x?h=v>\r\n",
        )
        .unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri, "sip:p1;x");
        assert_eq!(bye.next_hop, "sip:p1;x", "not the loose router behind it");
        assert_eq!(bye.routes, ["<sip:p2;lr>", "<sip:b@far>"]);
        assert_eq!(dialog.ack(7).cseq, 7);
    }

    #[test]
    fn strict_router_is_the_next_hop_itself() {
        let mut dialog = uac("Contact: <sip:b@far>\r\nRecord-Route: <sip:p1>\r\n").unwrap();
        let bye = dialog.request(Method::Bye);
        assert_eq!(
            (bye.uri.as_str(), bye.routes.as_slice()),
            ("sip:p1", &["<sip:b@far>".to_owned()][..])
        );
        assert_eq!(bye.next_hop, "sip:p1");
    }

    #[test]
    fn missing_contact_falls_back_for_callers_only() {
        assert_eq!(uac("").unwrap().remote_target(), "sip:fallback@h");
        assert_eq!(uas(""), Err(DialogError::Header(HeaderError::Missing(Name::Contact))));
        assert_eq!(uac("Contact: <tel:+1>\r\n").unwrap().remote_target(), "sip:fallback@h");
    }

    #[test]
    fn remote_cseq_only_rises() {
        let mut dialog = uas("Contact: <sip:b@far>\r\n").unwrap();
        let cases = [(3, Order::Stale), (4, Order::Newest), (4, Order::Stale), (9, Order::Newest)];
        for (cseq, order) in cases {
            assert_eq!(dialog.accept_cseq(cseq), order, "{cseq}");
        }
        let mut caller = uac("").unwrap();
        assert_eq!(caller.accept_cseq(0), Order::Newest, "the first number is free");
    }

    #[test]
    fn too_many_routes_are_refused() {
        let many = "Record-Route: <sip:p;lr>\r\n".repeat(17);
        assert_eq!(uac(&many), Err(DialogError::TooManyRoutes));
    }

    #[test]
    fn target_refresh_takes_the_contact() {
        let mut dialog = uac("Contact: <sip:b@one>\r\n").unwrap();
        let refresh = response("Contact: <sip:b@two>\r\n");
        dialog.refresh_target(&Message::parse(refresh.as_bytes()).unwrap());
        assert_eq!(dialog.remote_target(), "sip:b@two");
        let without = response("");
        dialog.refresh_target(&Message::parse(without.as_bytes()).unwrap());
        assert_eq!(dialog.remote_target(), "sip:b@two");
    }
}
