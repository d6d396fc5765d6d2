//! REGISTER of trunks: the machine of `sip::registration` tied to requests, answers and notes.
//!
//! Owns the REGISTER itself, and what its 2xx teaches the trunk: the Service-Route, the address we
//! are seen under, and whom we take calls from. One user is registered, whom the Request-URI of all
//! its calls names; or all numbers of the account at once (RFC 6140), and the Request-URI names the
//! number that was called. Which numbers these are is between the carrier and its customer.

use super::Endpoint;
use super::compose::{BULK, Face};
use super::requests::{Outgoing, Owner};
use crate::sip::dialog::Request;
use crate::sip::interface::{ConnectionId, Flow, Note, RegisterSpec, RegistrationState, TrunkSpec};
use crate::sip::message::{Message, Method, Name, Rport, Scheme, Uri, escape_user, reason_phrase};
use crate::sip::registration::{Effect, Input, Registration, lifetime_of};
use crate::time::Rng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most values of Service-Route that are kept.
const SERVICE_ROUTES_MAX: usize = 16;

/// A connection that did not even last so long is not registered on again at once.
const FLOW_MIN: Duration = Duration::from_mins(1);

/// The registration of one trunk.
#[derive(Debug)]
pub(super) struct Registrar {
    machine: Registration,
    /// User part of the address of record, and of Contact unless all numbers are registered.
    user: String,
    /// All numbers of the account are registered, not one user.
    gin: bool,
    /// Host of the address of record.
    pub domain: String,
    /// The Request-URI.
    uri: String,
    /// The address of record in brackets.
    record: String,
    tag: String,
    call_id: String,
    cseq: u32,
    /// The connection that the last 2xx came on, and when.
    bound: Option<(ConnectionId, Instant)>,
    /// A Contact that the registrar should forget: we have another one.
    stale: Option<String>,
}

impl Registrar {
    /// The registration that a trunk is to have; `None` without a usable proxy.
    //= RFC 3261 §10.2: the Request-URI names the domain and has no user; To is the address of
    //= record; one Call-ID for all registrations of a boot cycle
    pub(super) fn new(now: Instant, rng: &mut Rng, spec: &TrunkSpec) -> Option<Self> {
        let RegisterSpec { user, expires, gin } = spec.register.as_ref()?;
        let mut proxies = spec.proxies.iter().chain(&spec.outbound_proxy);
        let proxy = proxies.find_map(|uri| Uri::parse(uri).ok())?;
        //= RFC 5630 §5.1.1.1: over sips the address of record is sips, too
        let secure = matches!(proxy.scheme, Scheme::Sips);
        let scheme = if secure { "sips" } else { "sip" };
        let host = proxy.host.to_string();
        let (domain, port) = match &spec.from_domain {
            Some(domain) => (domain.clone(), None),
            None => (host, proxy.port),
        };
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        Some(Self {
            machine: Registration::new(now, *expires),
            user: user.clone(),
            gin: *gin,
            uri: format!("{scheme}:{domain}{port}"),
            record: format!("<{scheme}:{}@{domain}>", escape_user(user)),
            domain,
            tag: rng.tag(),
            call_id: rng.call_id(),
            cseq: 0,
            bound: None,
            stale: None,
        })
    }

    /// The user part of Contact; `None` where each number has its own.
    pub(super) fn contact_user(&self) -> Option<&str> {
        (!self.gin).then_some(self.user.as_str())
    }

    /// The URI that stands in the Contact of a REGISTER.
    fn contact(&self, face: Face) -> String {
        let secure = self.uri.starts_with("sips:");
        let contact = face.contact_uri(self.contact_user().unwrap_or_default(), secure);
        format!("{contact}{}", if self.gin { BULK } else { "" })
    }

    /// The REGISTER that asks for this lifetime.
    fn request(&mut self, expires: Duration) -> Request {
        //= RFC 3261 §10.2: CSeq one higher for each REGISTER with the same Call-ID
        self.cseq += 1;
        let mut headers = vec![
            ("Expires".to_owned(), expires.as_secs().to_string()),
            //= RFC 3327 §5.1: the path extension is named in Supported
            ("Supported".to_owned(), "path".to_owned()),
        ];
        if self.gin {
            //= RFC 6140 §5.1: the option tag gin in Require and in Proxy-Require, so that nobody on
            //= the way takes the Contact for that of one user
            let gin = |name: &str| (name.to_owned(), "gin".to_owned());
            headers.extend(["Require", "Proxy-Require"].map(gin));
        }
        let stale =
            self.stale.as_ref().map(|old| ("Contact".to_owned(), format!("<{old}>;expires=0")));
        headers.extend(stale);
        Request {
            method: Method::Register,
            uri: self.uri.clone(),
            next_hop: self.uri.clone(),
            from: format!("{};tag={}", self.record, self.tag),
            to: self.record.clone(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            routes: Vec::new(),
            headers,
            //= RFC 6140 §5.1: the Contact URI has the parameter bnc and no user part
            contact_user: Some(self.contact_user().unwrap_or_default().to_owned()),
            contact_bulk: self.gin,
            body: ("", Vec::new()),
        }
    }
}

impl Endpoint {
    /// Works off the deadline of a registration.
    pub(super) fn register_due(&mut self, now: Instant, trunk: usize) {
        self.register(now, trunk, Input::Timeout);
    }

    /// Takes all registrations back.
    pub(super) fn unregister(&mut self, now: Instant) {
        for trunk in 0..self.trunks.len() {
            self.register(now, trunk, Input::Leave);
        }
    }

    /// A gateway that was down answers its pings again.
    pub(super) fn gateway_returned(&mut self, now: Instant, trunk: usize) {
        self.register(now, trunk, Input::Returned);
    }

    /// A connection is gone: behind a NAT, calls of a trunk that registered on it cannot reach us
    /// until it registers again. A registrar that closes each connection at once is not humoured.
    //= RFC 5626 §4.5: a flow that has failed is replaced by registering again
    pub(super) fn connection_lost(&mut self, now: Instant, lost: ConnectionId) {
        for trunk in 0..self.trunks.len() {
            let bound = self.registrar_mut(trunk).and_then(|registrar| {
                registrar.bound.take_if(|(connection, _)| *connection == lost)
            });
            if bound.is_some_and(|(_, since)| now.saturating_duration_since(since) >= FLOW_MIN) {
                self.register(now, trunk, Input::Returned);
            }
        }
    }

    /// The final answer to a REGISTER whose CSeq has come to `cseq`.
    pub(super) fn registered(
        &mut self,
        now: Instant,
        trunk: usize,
        cseq: u32,
        flow: Flow,
        message: &Message<'_>,
    ) {
        self.used_register(trunk, cseq);
        let code = message.code().unwrap_or(0);
        let input = if (200..300).contains(&code) {
            let bound = flow.connection.map(|connection| (connection, now));
            if let Some(registrar) = self.registrar_mut(trunk) {
                registrar.bound = bound;
            }
            self.take_binding(trunk, flow, message)
        } else {
            let seconds = |name| message.seconds(name).ok().map(|s| Duration::from_secs(s.into()));
            Input::Refused {
                code,
                detail: format!("{code} {}", reason_phrase(code)),
                min_expires: seconds(Name::MinExpires),
                retry_after: seconds(Name::RetryAfter),
            }
        };
        self.register(now, trunk, input);
    }

    /// A REGISTER that no registrar answered.
    pub(super) fn register_failed(
        &mut self,
        now: Instant,
        trunk: usize,
        cseq: u32,
        refused: Option<u16>,
        detail: &'static str,
    ) {
        self.used_register(trunk, cseq);
        let input = match refused {
            Some(code) => Input::Refused {
                code,
                detail: format!("{code} {}", reason_phrase(code)),
                min_expires: None,
                retry_after: None,
            },
            None => Input::Silent { detail },
        };
        self.register(now, trunk, input);
    }

    fn used_register(&mut self, trunk: usize, cseq: u32) {
        if let Some(registrar) = self.registrar_mut(trunk) {
            registrar.cseq = registrar.cseq.max(cseq);
        }
    }

    fn registrar_mut(&mut self, trunk: usize) -> Option<&mut Registrar> {
        self.trunks.get_mut(trunk)?.registrar.as_mut()
    }

    /// What a 2xx teaches the trunk.
    fn take_binding(&mut self, index: usize, flow: Flow, message: &Message<'_>) -> Input {
        let face = self.face(index, flow.transport, flow.local);
        let nothing = Input::Granted { expires: None, moved: false };
        let Some(trunk) = self.trunks.get_mut(index) else { return nothing };
        let Some(registrar) = &mut trunk.registrar else { return nothing };
        let contact = registrar.contact(face);
        registrar.stale = None;
        let expires = lifetime_of(message, &contact);
        //= RFC 3608 §6.1: the Service-Route of the last 2xx, in order; none there, none kept
        trunk.service_route = message
            .addresses(Name::ServiceRoute)
            .filter_map(Result::ok)
            .filter(|route| route.uri.is_sip())
            .take(SERVICE_ROUTES_MAX)
            .map(|route| format!("<{}>", route.uri.text))
            .collect();
        trunk.learn(flow.remote.ip());
        let seen = seen_as(message, face.via);
        let moved = seen.is_some_and(|seen| trunk.observe(&self.identity, face, seen));
        if let Some(registrar) = trunk.registrar.as_mut().filter(|_| moved) {
            registrar.stale = Some(contact);
        }
        Input::Granted { expires, moved }
    }

    /// Gives the machine one input and does what it asks for.
    fn register(&mut self, now: Instant, index: usize, input: Input) {
        let Some(trunk) = self.trunks.get_mut(index) else { return };
        let name = trunk.name.clone();
        let Some(registrar) = &mut trunk.registrar else { return };
        let effects = registrar.machine.handle(now, &mut self.rng, input);
        self.register_timers.set(&index, registrar.machine.deadline());
        for effect in effects {
            match effect {
                Effect::Tell(state, detail) => {
                    if state == RegistrationState::Unregistered
                        && let Some(trunk) = self.trunks.get_mut(index)
                    {
                        trunk.forget_registrar();
                    }
                    let trunk = name.clone();
                    self.note(Note::Registration { trunk, state, detail });
                }
                Effect::Send(expires) => self.send_register(now, index, expires),
            }
        }
    }

    fn send_register(&mut self, now: Instant, index: usize, expires: Duration) {
        let Some(trunk) = self.trunks.get_mut(index) else { return };
        let hops: Vec<_> = trunk.hops().collect();
        let Some(registrar) = &mut trunk.registrar else { return };
        let request = registrar.request(expires);
        let outgoing = Outgoing::new(Owner::Register(index), index, request);
        self.start(now, outgoing.by_gateways(hops.into_iter()));
    }
}

/// The address that the sender of a response saw its request come from.
//= RFC 3581 §4: received and rport of our Via tell the source address and port
fn seen_as(message: &Message<'_>, sent: SocketAddr) -> Option<SocketAddr> {
    let via = message.via().ok()?;
    let port = match via.rport {
        Rport::Port(port) => port,
        Rport::Absent | Rport::Asked => sent.port(),
    };
    let ip = via.received.or(via.host.ip())?;
    Some(SocketAddr::new(ip.to_canonical(), port))
}
