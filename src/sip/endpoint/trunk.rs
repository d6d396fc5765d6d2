//! Trunks: who may send us requests, where our own go, and whether anybody is there.

use super::Endpoint;
use super::compose::{self, Face, Identity};
use super::register::Registrar;
use super::route::Hop;
use crate::sip::auth::{Credentials, DigestClient};
use crate::sip::dialog::Request;
use crate::sip::interface::{IdentityHeader, Note, Reliable, Transport, TrunkSpec, network_holds};
use crate::sip::message::{Host, Method};
use crate::sip::session::Policy;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Unanswered pings in a row that take a gateway out.
const MISSES_MAX: u8 = 3;
/// Answered pings in a row that bring it back.
const ANSWERS_MIN: u8 = 2;
/// Most hosts that a trunk without sources takes calls from; beyond it the first is forgotten.
const LEARNED_MAX: usize = 8;

/// One carrier.
#[derive(Debug)]
pub(super) struct Trunk {
    pub name: String,
    pub gateways: Vec<Gateway>,
    pub from_domain: Option<String>,
    pub ping: Option<Duration>,
    /// One for each realm that may challenge us.
    pub digests: Vec<DigestClient>,
    /// Every request takes its first hop here.
    pub outbound: Option<Outbound>,
    /// The registration, if we are to register.
    pub registrar: Option<Registrar>,
    /// The route that the registrar gave for our requests.
    pub service_route: Vec<String>,
    /// How our number is told.
    pub identity: IdentityHeader,
    /// As our peers see us.
    public_address: Option<IpAddr>,
    /// As the registrar saw us, by transport.
    observed: Option<(Transport, SocketAddr)>,
    sources: Vec<(IpAddr, u8)>,
    /// Hosts that we are registered with, of a trunk that names no sources.
    learned: Vec<IpAddr>,
    up: Option<bool>,
    session_timer: Option<Duration>,
    reliable: Reliable,
    take_refer: bool,
}

/// The proxy that stands before all others.
#[derive(Debug)]
pub(super) struct Outbound {
    pub hop: Hop,
    /// Its URI as a Route value.
    pub route: String,
}

impl Outbound {
    //= RFC 3261 §8.1.2: an outbound proxy is best set by a Route with the lr parameter
    fn parse(uri: &str) -> Option<Self> {
        let hop = Hop::parse(uri)?;
        let loose = uri.split(';').skip(1).any(|part| {
            part.split('=').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("lr"))
        });
        let route = if loose { format!("<{uri}>") } else { format!("<{uri};lr>") };
        Some(Self { hop, route })
    }
}

/// One proxy of a trunk.
#[derive(Debug)]
pub(super) struct Gateway {
    pub uri: String,
    pub hop: Hop,
    health: Health,
}

/// Whether a gateway answers, with hysteresis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Health {
    /// `None` until the first verdict.
    up: Option<bool>,
    misses: u8,
    answers: u8,
}

impl Health {
    fn answered(&mut self) {
        self.misses = 0;
        self.answers = self.answers.saturating_add(1);
        if self.up.is_none() || self.answers >= ANSWERS_MIN {
            self.up = Some(true);
        }
    }

    fn missed(&mut self) {
        self.answers = 0;
        self.misses = self.misses.saturating_add(1);
        if self.misses >= MISSES_MAX {
            self.up = Some(false);
        }
    }
}

impl Trunk {
    pub(super) fn new(spec: TrunkSpec, registrar: Option<Registrar>) -> Self {
        let gateway = |uri: String| {
            let hop = Hop::parse(&uri)?;
            Some(Gateway { uri, hop, health: Health::default() })
        };
        let gateways: Vec<Gateway> = spec.proxies.into_iter().filter_map(gateway).collect();
        let outbound = spec.outbound_proxy.as_deref().and_then(Outbound::parse);
        let digests = match (spec.username, spec.password) {
            (Some(username), Some(password)) => realms(spec.realm, &gateways, outbound.as_ref())
                .into_iter()
                .map(|realm| {
                    let (username, password) = (username.clone(), password.clone());
                    DigestClient::new(Credentials { username, password, realm })
                })
                .collect(),
            (Some(_) | None, Some(_) | None) => Vec::new(),
        };
        Self {
            registrar,
            service_route: Vec::new(),
            identity: spec.identity,
            public_address: spec.public_address,
            observed: None,
            learned: Vec::new(),
            outbound,
            name: spec.name,
            gateways,
            digests,
            from_domain: spec.from_domain,
            ping: spec.ping,
            sources: spec.sources,
            up: None,
            session_timer: spec.session_timer,
            reliable: spec.reliable,
            take_refer: spec.take_refer,
        }
    }

    /// How sessions of this trunk behave.
    pub(super) fn policy(&self, t1: Duration) -> Policy {
        let Self { session_timer, reliable, take_refer, .. } = *self;
        Policy { t1, session_timer, reliable, take_refer }
    }

    /// The user part of Contact in our calls, if one user is registered for all of them.
    pub(super) fn contact_user(&self) -> Option<&str> {
        self.registrar.as_ref().and_then(Registrar::contact_user)
    }

    /// Whether a request from this address is this trunk's.
    pub(super) fn owns(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.learned.contains(&source)
            || self.sources.iter().any(|network| network_holds(*network, source))
    }

    /// Whether the trunk names exactly this address as a source.
    fn names(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        let whole = if source.is_ipv4() { 32 } else { 128 };
        let named = |(ip, prefix): &(IpAddr, u8)| ip.to_canonical() == source && *prefix >= whole;
        self.learned.contains(&source) || self.sources.iter().any(named)
    }

    /// Takes calls from a host that we are registered with, where no sources are named.
    pub(super) fn learn(&mut self, source: IpAddr) {
        let source = source.to_canonical();
        if self.sources.is_empty() && !self.learned.contains(&source) {
            if self.learned.len() >= LEARNED_MAX {
                self.learned.remove(0);
            }
            self.learned.push(source);
        }
    }

    /// Forgets what the registrar taught: it does not know us any more.
    pub(super) fn forget_registrar(&mut self) {
        self.learned.clear();
        self.service_route.clear();
        self.observed = None;
    }

    /// How we show ourselves on this trunk from `local`.
    pub(super) fn face(
        &self,
        identity: &Identity,
        transport: Transport,
        local: SocketAddr,
    ) -> Face {
        let public = self.public_address.or(identity.public_address);
        let via = SocketAddr::new(public.unwrap_or(local.ip()), local.port());
        let observed = self.observed.filter(|(seen, _)| *seen == transport && public.is_none());
        Face { transport, via, contact: observed.map_or(via, |(_, address)| address) }
    }

    /// Takes note of the address that the registrar saw us under; true if the Contact of this
    /// trunk is another one from here on.
    ///
    /// On a stream the port is that of one connection: it only counts behind a NAT.
    pub(super) fn observe(&mut self, identity: &Identity, face: Face, seen: SocketAddr) -> bool {
        if self.public_address.or(identity.public_address).is_some() {
            return false;
        }
        let same = match face.transport {
            Transport::Udp => seen == face.via,
            Transport::Tcp | Transport::Tls => seen.ip() == face.via.ip(),
        };
        self.observed = (!same).then_some((face.transport, seen));
        let contact = if same { face.via } else { seen };
        contact != face.contact
    }

    /// The gateways to try, in order: those known to be down come last.
    pub(super) fn hops(&self) -> impl Iterator<Item = Hop> {
        let down = |gateway: &&Gateway| gateway.health.up == Some(false);
        let first = self.gateways.iter().filter(move |gateway| !down(gateway));
        first.chain(self.gateways.iter().filter(down)).map(|gateway| gateway.hop.clone())
    }

    /// Files a ping's outcome; gives the state of the trunk if that changed.
    fn judge(&mut self, gateway: usize, answered: bool) -> Option<bool> {
        let gateway = self.gateways.get_mut(gateway)?;
        if answered {
            gateway.health.answered();
        } else {
            gateway.health.missed();
        }
        let states = self.gateways.iter().map(|gateway| gateway.health.up);
        let up = if states.clone().any(|up| up == Some(true)) {
            true
        } else if states.clone().all(|up| up == Some(false)) {
            false
        } else {
            return None;
        };
        let changed = self.up.replace(up) != Some(up);
        changed.then_some(up)
    }
}

/// The realms whose challenges are answered: the one that is set, else the hosts of the gateways.
fn realms(realm: Option<String>, gateways: &[Gateway], outbound: Option<&Outbound>) -> Vec<String> {
    let hops = || gateways.iter().map(|gateway| &gateway.hop);
    let mut realms: Vec<String> = match realm {
        Some(realm) => vec![realm],
        None => hops().chain(outbound.map(|proxy| &proxy.hop)).map(|h| h.host.clone()).collect(),
    };
    realms.dedup();
    realms
}

impl Endpoint {
    /// The trunk whose sources hold this address.
    pub(super) fn trunk_of(&self, source: IpAddr) -> Option<usize> {
        self.trunks.iter().position(|trunk| trunk.owns(source))
    }

    /// Whether a trunk names exactly this address: one caller behind it must not shut it out.
    pub(super) fn is_named_source(&self, source: IpAddr) -> bool {
        self.trunks.iter().any(|trunk| trunk.names(source))
    }

    /// How we show ourselves on a trunk.
    pub(super) fn face(&self, trunk: usize, transport: Transport, local: SocketAddr) -> Face {
        match self.trunks.get(trunk) {
            Some(trunk) => trunk.face(&self.identity, transport, local),
            None => {
                let via = self.identity.seen(local);
                Face { transport, via, contact: via }
            }
        }
    }

    /// The host that stands in our From on this trunk.
    pub(super) fn host_for_from(&self, trunk: usize) -> String {
        let domain = self.trunks.get(trunk).and_then(|trunk| {
            let registered = trunk.registrar.as_ref().map(|registrar| registrar.domain.clone());
            trunk.from_domain.clone().or(registered)
        });
        domain.unwrap_or_else(|| {
            let local = self.listen.first();
            let seen = local.map(|(transport, local)| self.face(trunk, *transport, *local).via);
            seen.map_or("invalid".to_owned(), |seen| Host::from(seen.ip()).to_string())
        })
    }

    /// Asks a gateway whether it is there, and sets the time of the next question.
    pub(super) fn ping(&mut self, now: Instant, (trunk, gateway): (usize, usize)) {
        let Some((uri, hop, every)) = self.trunks.get(trunk).and_then(|trunk| {
            let gateway = trunk.gateways.get(gateway)?;
            Some((gateway.uri.clone(), gateway.hop.clone(), trunk.ping?))
        }) else {
            return;
        };
        self.ping_timers.set(&(trunk, gateway), Some((now + every, "trunk_ping")));
        let us = format!("<sip:ping@{}>", self.host_for_from(trunk));
        let request = Request {
            method: Method::Options,
            from: format!("{us};tag={}", self.rng.tag()),
            to: format!("<{uri}>"),
            next_hop: uri.clone(),
            uri,
            call_id: self.rng.call_id(),
            cseq: 1,
            routes: Vec::new(),
            headers: vec![("Accept".to_owned(), compose::BODIES.join(", "))],
            contact_user: Some("ping".to_owned()),
            contact_bulk: false,
            body: ("", Vec::new()),
        };
        self.start_ping(now, (trunk, gateway), request, hop);
    }

    /// Files the outcome of a ping.
    pub(super) fn pinged(
        &mut self,
        now: Instant,
        (index, gateway): (usize, usize),
        answered: bool,
    ) {
        let Some(trunk) = self.trunks.get_mut(index) else { return };
        let was_down = trunk.gateways.get(gateway).is_some_and(|g| g.health.up == Some(false));
        let change = trunk.judge(gateway, answered);
        let is_up = trunk.gateways.get(gateway).is_some_and(|g| g.health.up == Some(true));
        if let Some(up) = change {
            let trunk = trunk.name.clone();
            self.note(Note::TrunkState { trunk, up });
        }
        if was_down && is_up {
            self.gateway_returned(now, index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trunk(proxies: &[&str], sources: &[(&str, u8)]) -> Trunk {
        let spec = TrunkSpec {
            sources: sources.iter().map(|(ip, len)| (ip.parse().unwrap(), *len)).collect(),
            ..TrunkSpec::new("t", proxies.iter().map(ToString::to_string).collect())
        };
        Trunk::new(spec, None)
    }

    #[test]
    fn sources_are_networks() {
        let trunk = trunk(&[], &[("192.0.2.0", 24), ("203.0.113.7", 32), ("2001:db8::", 32)]);
        let cases = [
            ("192.0.2.200", true),
            ("192.0.3.1", false),
            ("203.0.113.7", true),
            ("203.0.113.6", false),
            ("::ffff:192.0.2.1", true),
            ("2001:db8:1::9", true),
            ("2001:db9::1", false),
        ];
        for (address, owned) in cases {
            assert_eq!(trunk.owns(address.parse().unwrap()), owned, "{address}");
        }
        let all = self::trunk(&[], &[("0.0.0.0", 0)]);
        assert!(all.owns("8.8.8.8".parse().unwrap()));
        assert!(!all.owns("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn three_misses_take_down_and_two_answers_bring_back() {
        let mut trunk = trunk(&["sip:10.0.0.1"], &[]);
        let history = [
            (true, Some(true)),
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, Some(false)),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(true)),
        ];
        for (step, (answered, change)) in history.into_iter().enumerate() {
            assert_eq!(trunk.judge(0, answered), change, "step {step}");
        }
    }

    #[test]
    fn trunk_is_up_while_one_gateway_is_and_tries_that_first() {
        let mut trunk = trunk(&["sip:10.0.0.1", "tel:1", "sip:10.0.0.2"], &[]);
        assert_eq!(trunk.gateways.len(), 2, "what cannot be a next hop is left out");
        assert_eq!(trunk.judge(1, true), Some(true));
        for _ in 0..3 {
            assert_eq!(trunk.judge(0, false), None);
        }
        let order: Vec<String> = trunk.hops().map(|hop| hop.host).collect();
        assert_eq!(order, ["10.0.0.2", "10.0.0.1"]);
        let last = (0..3).filter_map(|_| trunk.judge(1, false)).collect::<Vec<_>>();
        assert_eq!(last, [false]);
    }
}
