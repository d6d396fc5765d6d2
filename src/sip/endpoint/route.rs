//! Where a message can go: URIs read as next hops, and addresses as targets.
//!
//! Owns RFC 3263 §4 as far as it needs no DNS, and the choice of our own socket. Does not resolve.

use crate::sip::interface::{ConnectionId, Flow, Transport};
use crate::sip::message::{Host, Scheme, Uri, Via};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A next hop as a URI names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    /// Host name, or the literal in `ip` as text.
    pub host: String,
    /// The address, if the host is a literal.
    pub ip: Option<IpAddr>,
    /// The port, if the URI names one.
    pub port: Option<u16>,
    /// The transport, if the URI names one or its scheme does.
    pub transport: Option<Transport>,
    /// The domain, if the URI names one: what the certificate of the peer must show.
    pub domain: Option<Arc<str>>,
    /// The request carries the Service-Route of its trunk on this way.
    pub preloaded: bool,
}

/// An address to send to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub transport: Transport,
    pub address: SocketAddr,
    /// A connection that leads there already.
    pub connection: Option<ConnectionId>,
    /// This is what is left after a stream transport failed: size is no reason any more.
    pub fallback: bool,
    /// A connection to it broke once already.
    pub again: bool,
    /// A stream is tried for the sake of size only: that it fails says nothing about the peer.
    pub detour: bool,
    /// It is in quarantine, and everything else was tried.
    pub postponed: bool,
    /// As in [`Hop::domain`].
    pub domain: Option<Arc<str>>,
    /// As in [`Hop::preloaded`].
    pub preloaded: bool,
}

impl Target {
    pub(super) fn new(transport: Transport, address: SocketAddr) -> Self {
        Self {
            transport,
            address,
            connection: None,
            fallback: false,
            again: false,
            detour: false,
            postponed: false,
            domain: None,
            preloaded: false,
        }
    }

    /// An address that `hop` stands for.
    pub(super) fn of(hop: &Hop, transport: Transport, address: SocketAddr) -> Self {
        let (domain, preloaded) = (hop.domain.clone(), hop.preloaded);
        Self { domain, preloaded, ..Self::new(transport, address) }
    }
}

impl Hop {
    /// Reads a `sip:` or `sips:` URI; `None` for others and for unknown transports.
    pub(super) fn parse(uri: &str) -> Option<Self> {
        let uri = Uri::parse(uri).ok()?;
        let secure = match uri.scheme {
            Scheme::Sip => false,
            Scheme::Sips => true,
            Scheme::Tel | Scheme::Other(_) => return None,
        };
        let named = match uri.params.get("transport") {
            Some(name) => Some(transport_named(name)?),
            None => None,
        };
        //= RFC 3261 §26.2.2: sips is served over TLS only
        let transport = if secure { Some(Transport::Tls) } else { named };
        let host = uri.host;
        let domain = match host {
            Host::Name(name) if !name.is_empty() => Some(Arc::from(name.to_ascii_lowercase())),
            Host::Name(_) | Host::V4(_) | Host::V6(_) => None,
        };
        //= RFC 3261 §18.1.1: maddr is where the request goes
        let host = match uri.params.get("maddr") {
            Some(maddr) => Host::parse(maddr).ok()?,
            None => host,
        };
        if host.is_empty() {
            return None;
        }
        let (host, ip) = (host.to_string(), host.ip());
        Some(Self { host, ip, port: uri.port, transport, domain, preloaded: false })
    }

    /// The target, if the host is a literal.
    //= RFC 3263 §4.1 and §4.2: a numeric target is taken as it is, over UDP if nothing else is said
    pub(super) fn literal(&self) -> Option<Target> {
        let transport = self.transport.unwrap_or(Transport::Udp);
        let port = self.port.unwrap_or(default_port(transport));
        Some(Target::of(self, transport, SocketAddr::new(self.ip?, port)))
    }
}

fn transport_named(name: &str) -> Option<Transport> {
    [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)]
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, transport)| transport)
}

/// The port of a transport when none is named.
pub(super) fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

/// How Via spells a transport.
pub(super) fn via_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    }
}

/// How a URI spells a transport; UDP needs no word.
pub(super) fn uri_name(transport: Transport) -> Option<&'static str> {
    match transport {
        Transport::Udp => None,
        Transport::Tcp => Some("tcp"),
        Transport::Tls => Some("tls"),
    }
}

/// The socket of ours that sends to `target`: the first of its transport and address family.
pub(super) fn local_for(listen: &[(Transport, SocketAddr)], target: &Target) -> Option<SocketAddr> {
    let fits = |(transport, local): &&(Transport, SocketAddr)| {
        *transport == target.transport && local.is_ipv4() == target.address.is_ipv4()
    };
    listen.iter().find(fits).map(|(_, local)| *local)
}

/// Whether we have a socket for datagrams at all.
pub(super) fn has_udp(listen: &[(Transport, SocketAddr)]) -> bool {
    listen.iter().any(|(transport, _)| *transport == Transport::Udp)
}

/// The way back to where a request came from.
//= RFC 3261 §18.2.2: the same connection; on UDP `received` and the port of sent-by
//= RFC 3581 §4: with rport, the source port
pub(super) fn reply_flow(flow: Flow, via: &Via<'_>) -> Flow {
    // maddr is for multicast only and would let a peer aim our answers: it is not followed.
    match flow.transport {
        Transport::Udp if via.rport == crate::sip::message::Rport::Absent => {
            let port = via.port_or_default();
            Flow { remote: SocketAddr::new(flow.remote.ip(), port), ..flow }
        }
        Transport::Udp | Transport::Tcp | Transport::Tls => flow,
    }
}

/// The way to open a connection back when the one a request came on is lost.
//= RFC 3261 §18.2.2: the address in `received` and the port of sent-by
pub(super) fn reopened(flow: Flow, via: &Via<'_>) -> Flow {
    let remote = SocketAddr::new(flow.remote.ip(), via.port_or_default());
    Flow { remote, connection: None, ..flow }
}

/// Where to send in a dialog: what the URI says, corrected by what we have seen of the peer.
///
/// A Contact with a private address that came from a public one is behind a NAT: the observed
/// address is taken. A connection that leads to the same host is used again.
pub(super) fn observed(target: Target, seen: Option<Flow>) -> Target {
    let Some(seen) = seen else { return target };
    let (named, source) = (target.address.ip().to_canonical(), seen.remote.ip().to_canonical());
    if named != source && is_private(named) && !is_private(source) {
        let Flow { transport, remote: address, connection, .. } = seen;
        return Target { connection, ..Target::new(transport, address) };
    }
    if named == source && target.transport == seen.transport {
        return Target { connection: seen.connection, ..target };
    }
    target
}

/// Addresses that cannot be reached from elsewhere.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(uri: &str) -> Option<(Transport, String)> {
        let target = Hop::parse(uri)?.literal()?;
        Some((target.transport, target.address.to_string()))
    }

    #[test]
    fn literals_need_no_resolver() {
        let cases = [
            ("sip:10.0.0.1", Some((Transport::Udp, "10.0.0.1:5060"))),
            ("sip:u@10.0.0.1:5080;transport=TCP;lr", Some((Transport::Tcp, "10.0.0.1:5080"))),
            ("sips:10.0.0.1", Some((Transport::Tls, "10.0.0.1:5061"))),
            ("sip:[2001:db8::1]:5070", Some((Transport::Udp, "[2001:db8::1]:5070"))),
            ("sip:h;maddr=10.0.0.9", Some((Transport::Udp, "10.0.0.9:5060"))),
            ("sip:carrier.example", None),
            ("sip:10.0.0.1;transport=sctp", None),
            ("tel:+123", None),
        ];
        for (uri, expected) in cases {
            let expected = expected.map(|(transport, text)| (transport, text.to_owned()));
            assert_eq!(literal(uri), expected, "{uri}");
        }
        let named = Hop::parse("sip:carrier.example;transport=tcp").unwrap();
        assert_eq!((named.host.as_str(), named.port), ("carrier.example", None));
        assert_eq!(named.transport, Some(Transport::Tcp));
    }

    fn flow(transport: Transport, remote: &str, connection: Option<u64>) -> Flow {
        let connection = connection.map(ConnectionId);
        let local = "198.51.100.1:5060".parse().unwrap();
        Flow { transport, local, remote: remote.parse().unwrap(), connection }
    }

    #[test]
    fn replies_go_to_the_source_port_only_when_asked() {
        let seen = flow(Transport::Udp, "192.0.2.7:40000", None);
        let cases = [
            ("SIP/2.0/UDP h:5070;branch=z9hG4bKx", "192.0.2.7:5070"),
            ("SIP/2.0/UDP h;branch=z9hG4bKx", "192.0.2.7:5060"),
            ("SIP/2.0/UDP h:5070;rport;branch=z9hG4bKx", "192.0.2.7:40000"),
            ("SIP/2.0/UDP h;maddr=203.0.113.5;branch=z9hG4bKx", "192.0.2.7:5060"),
        ];
        for (via, remote) in cases {
            let flow = reply_flow(seen, &Via::parse(via).unwrap());
            assert_eq!(flow.remote.to_string(), remote, "{via}");
        }
        let stream = flow(Transport::Tcp, "192.0.2.7:40000", Some(3));
        let via = Via::parse("SIP/2.0/TCP h:5070;branch=z9hG4bKx").unwrap();
        assert_eq!(reply_flow(stream, &via), stream);
        let again = reopened(stream, &via);
        assert_eq!((again.remote.to_string().as_str(), again.connection), ("192.0.2.7:5070", None));
    }

    #[test]
    fn private_contacts_behind_nat_are_corrected() {
        let target = |text: &str| Target::new(Transport::Udp, text.parse().unwrap());
        let seen = flow(Transport::Udp, "203.0.113.9:6000", None);
        let cases = [
            ("192.168.1.5:5060", "203.0.113.9:6000"),
            ("203.0.113.9:5062", "203.0.113.9:5062"),
            ("198.51.100.77:5060", "198.51.100.77:5060"),
        ];
        for (named, expected) in cases {
            let address = observed(target(named), Some(seen)).address;
            assert_eq!(address.to_string(), expected, "{named}");
        }
        let local = flow(Transport::Udp, "10.0.0.9:6000", None);
        assert_eq!(observed(target("10.0.0.5:5060"), Some(local)), target("10.0.0.5:5060"));
    }

    #[test]
    fn connection_of_the_same_host_is_used_again() {
        let target = Target::new(Transport::Tcp, "192.0.2.7:5060".parse().unwrap());
        let seen = flow(Transport::Tcp, "192.0.2.7:40000", Some(3));
        assert_eq!(observed(target.clone(), Some(seen)).connection, Some(ConnectionId(3)));
        let other = flow(Transport::Tcp, "192.0.2.8:40000", Some(3));
        assert_eq!(observed(target, Some(other)).connection, None);
    }
}
