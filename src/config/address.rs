//! Option values that name places in the network: addresses, ports, SIP URIs, numbers.
//!
//! Owns their text forms. Resolves no host name; a SIP URI is only checked for its outer shape,
//! `sip::message` is the judge of the rest.

use super::declare::{Kind, Scalar};
use super::tree::Node;
use super::value::quoted;
use crate::id::InstanceId;
use crate::sip::interface::Transport;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;

impl Scalar for IpAddr {
    const KIND: Kind = Kind::Text { what: "an IP address", pattern: "^[0-9a-fA-F:.]+$" };

    fn parse(node: &Node) -> Result<Self, String> {
        let text = node.text()?;
        text.parse().map_err(|_| format!("{} is not an IP address", quoted(text)))
    }

    fn stand_in() -> Self {
        Self::V4(Ipv4Addr::LOCALHOST)
    }
}

impl Scalar for SocketAddr {
    const KIND: Kind = Kind::Text {
        what: "an address and port such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
        pattern: "^.+:[0-9]{1,5}$",
    };

    fn parse(node: &Node) -> Result<Self, String> {
        socket_address(node.text()?)
    }

    fn stand_in() -> Self {
        Self::from((Ipv4Addr::LOCALHOST, 0))
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let literal = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let literal = literal.as_deref().unwrap_or(text);
    literal
        .parse()
        .map_err(|_| format!("{} is not an IP address and port, e.g. 127.0.0.1:8080", quoted(text)))
}

/// A SIP socket to listen on, e.g. `udp:127.0.0.1:5060`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The protocol.
    pub transport: Transport,
    /// The address and port.
    pub address: SocketAddr,
}

impl Scalar for Listen {
    const KIND: Kind = Kind::Text {
        what: "a transport, address and port such as \"udp:127.0.0.1:5060\"",
        pattern: "^(udp|tcp|tls):.+:[0-9]{1,5}$",
    };

    fn parse(node: &Node) -> Result<Self, String> {
        node.text()?.parse()
    }

    fn stand_in() -> Self {
        Self { transport: Transport::Udp, address: <SocketAddr as Scalar>::stand_in() }
    }
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, address) = text.split_once(':').unwrap_or((text, ""));
        let transport = match transport {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            _ => {
                return Err(format!(
                    "{} does not begin with udp:, tcp: or tls:, e.g. \"udp:127.0.0.1:5060\"",
                    quoted(text)
                ));
            }
        };
        Ok(Self { transport, address: socket_address(address)? })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        write!(f, "{transport}:{}", self.address)
    }
}

/// A range of UDP ports, e.g. `20000-29999`; each call takes an even one and the odd one above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl PortRange {
    /// How many pairs of an even and the following odd port it has.
    #[must_use]
    pub fn pairs(&self) -> u32 {
        let first_even = u32::from(self.first).div_ceil(2);
        let behind_last_odd = u32::from(self.last).div_ceil(2);
        behind_last_odd.saturating_sub(first_even)
    }
}

impl Scalar for PortRange {
    const KIND: Kind = Kind::Text {
        what: "a range of ports such as \"20000-29999\"",
        pattern: "^[0-9]{1,5}-[0-9]{1,5}$",
    };

    fn parse(node: &Node) -> Result<Self, String> {
        node.text()?.parse()
    }

    fn stand_in() -> Self {
        Self { first: 20000, last: 29999 }
    }
}

impl std::str::FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once('-');
        let ends = ends.and_then(|(first, last)| {
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        });
        let Some((first, last)) = ends else {
            return Err(format!("{} is not a range of ports, e.g. \"20000-29999\"", quoted(text)));
        };
        let range = Self { first, last };
        if first == 0 || range.pairs() == 0 {
            return Err(format!(
                "{text} holds no pair of an even port and the odd one above it (RTP and RTCP)"
            ));
        }
        Ok(range)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A network, e.g. `192.0.2.0/24`; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address; bits beyond the prefix do not matter.
    pub address: IpAddr,
    /// How many leading bits must be equal.
    pub prefix: u8,
}

impl Cidr {
    /// Whether the address is in the network; IPv4 in IPv6 form counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same(ours.to_bits().into(), theirs.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                same(ours.to_bits(), theirs.to_bits(), 128, self.prefix)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Whether the first `prefix` of `width` bits are equal.
fn same(one: u128, other: u128, width: u32, prefix: u8) -> bool {
    let beyond = width.saturating_sub(u32::from(prefix));
    (one ^ other).checked_shr(beyond).unwrap_or(0) == 0
}

impl Scalar for Cidr {
    const KIND: Kind = Kind::Text {
        what: "a network such as \"192.0.2.0/24\", or an IP address",
        pattern: "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$",
    };

    fn parse(node: &Node) -> Result<Self, String> {
        let text = node.text()?;
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: Option<IpAddr> = address
            .parse()
            .ok()
            .map(|address: IpAddr| if prefix.is_none() { address.to_canonical() } else { address });
        let width = address.map_or(0, |address| if address.is_ipv4() { 32 } else { 128 });
        let prefix = prefix.map_or(Some(width), |prefix| prefix.parse().ok());
        match (address, prefix) {
            (Some(address), Some(prefix)) if prefix <= width => Ok(Self { address, prefix }),
            _ => Err(format!("{} is not a network, e.g. \"192.0.2.0/24\"", quoted(text))),
        }
    }

    fn stand_in() -> Self {
        Self { address: <IpAddr as Scalar>::stand_in(), prefix: 32 }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

macro_rules! checked_text {
    (
        $(#[doc = $doc:literal])+
        $name:ident, $what:literal, $pattern:literal, $stand_in:literal, $check:expr
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Scalar for $name {
            const KIND: Kind = Kind::Text { what: $what, pattern: $pattern };

            fn parse(node: &Node) -> Result<Self, String> {
                let text = node.text()?;
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(format!("{} is not {}", quoted(text), $what))
                }
            }

            fn stand_in() -> Self {
                Self($stand_in.to_owned())
            }
        }
    };
}

checked_text!(
    /// A SIP URI of a proxy, e.g. `sip:carrier.example;transport=tcp`.
    SipUri,
    "a SIP URI such as \"sip:carrier.example:5060;transport=tcp\"",
    "^sips?:.+$",
    "sip:127.0.0.1",
    is_sip_uri
);

checked_text!(
    /// The beginning of phone numbers in E.164 form, e.g. `+1` or `+4989`; `+` stands for all.
    Prefix,
    "the beginning of a number in E.164 form, such as \"+1\" (\"+\" for all)",
    "^\\+[0-9]{0,15}$",
    "+",
    |text| {
        let digits = text.strip_prefix('+');
        digits.is_some_and(|digits| {
            digits.len() <= 15
                && !digits.starts_with('0')
                && digits.bytes().all(|b| b.is_ascii_digit())
        })
    }
);

checked_text!(
    /// What we say who calls: the user part of From, usually a number in E.164 form.
    CallerId,
    "a caller id: a number such as \"+15550100\", or letters, digits and ._-+*#",
    "^[A-Za-z0-9._+*#-]{1,64}$",
    "anonymous",
    |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+*#".contains(&b))
    }
);

checked_text!(
    /// A WebSocket or HTTP URL.
    Url,
    "a URL that begins with ws://, wss://, http:// or https://",
    "^(wss?|https?)://.+$",
    "ws://127.0.0.1",
    |text| {
        let rest = text.split_once("://");
        rest.is_some_and(|(scheme, rest)| {
            ["ws", "wss", "http", "https"].contains(&scheme)
                && !rest.is_empty()
                && !rest.starts_with('/')
                && text.len() <= 2048
                && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        })
    }
);

checked_text!(
    /// The 64 hexadecimal digits of a SHA-256 digest.
    Sha256Hex,
    "a SHA-256 digest: 64 hexadecimal digits",
    "^[0-9a-fA-F]{64}$",
    "0000000000000000000000000000000000000000000000000000000000000000",
    |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
);

fn is_sip_uri(text: &str) -> bool {
    let rest = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:"));
    let Some(rest) = rest else { return false };
    if text.len() > 512 || text.bytes().any(|b| b <= b' ' || b == 0x7f || b"<>\"".contains(&b)) {
        return false;
    }
    let host_port = rest.split([';', '?']).next().unwrap_or_default();
    let host_port = host_port.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host_port.strip_prefix('[') {
        Some(inner) => {
            let Some((address, port)) = inner.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            (address, port.strip_prefix(':').or(if port.is_empty() { None } else { Some("") }))
        }
        None => host_port.split_once(':').map_or((host_port, None), |(h, p)| (h, Some(p))),
    };
    let name = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    !host.is_empty()
        && host.bytes().all(name)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

impl Scalar for InstanceId {
    const KIND: Kind =
        Kind::Text { what: "an id such as \"inst_demo\"", pattern: "^inst_[0-9a-z_]{1,64}$" };

    fn parse(node: &Node) -> Result<Self, String> {
        node.text()?.parse().map_err(|error: crate::id::IdError| error.to_string())
    }

    #[expect(clippy::expect_used, reason = "the text is an id")]
    fn stand_in() -> Self {
        "inst_0".parse().expect("inst_0 is an id")
    }
}

/// Which instances an API key may use: `*`, or one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceScope {
    /// All of them, also those made later.
    All,
    /// This one.
    One(InstanceId),
}

impl fmt::Display for InstanceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::One(id) => id.fmt(f),
        }
    }
}

impl Scalar for InstanceScope {
    const KIND: Kind = Kind::Text {
        what: "\"*\" or an id such as \"inst_demo\"",
        pattern: "^(\\*|inst_[0-9a-z_]{1,64})$",
    };

    fn parse(node: &Node) -> Result<Self, String> {
        if node.text()? == "*" {
            return Ok(Self::All);
        }
        <InstanceId as Scalar>::parse(node).map(Self::One)
    }

    fn stand_in() -> Self {
        Self::All
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn read<T: Scalar>(text: &str) -> Result<T, String> {
        T::parse(&Node::new(Tree::Text(text.to_owned())))
    }

    #[test]
    fn listening_sockets() {
        for good in ["udp:127.0.0.1:5060", "tcp:[::1]:5060", "tls:0.0.0.0:5061"] {
            assert_eq!(read::<Listen>(good).unwrap().to_string(), good);
        }
        assert_eq!(read::<Listen>("udp:localhost:1").unwrap().to_string(), "udp:127.0.0.1:1");
        for bad in
            ["", "127.0.0.1:5060", "udp:127.0.0.1", "udp:::1:5060", "udp:a:99999", "sctp:1:1"]
        {
            assert!(read::<Listen>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn port_ranges_count_pairs() {
        for (text, pairs) in [
            ("20000-29999", 5000),
            ("20000-20001", 1),
            ("20001-20003", 1),
            ("20000-20002", 1),
            ("1-65535", 32767),
        ] {
            assert_eq!(read::<PortRange>(text).unwrap().pairs(), pairs, "{text}");
        }
        for bad in ["", "20000", "20001-20002", "30000-20000", "0-10", "a-b", "1-65536", "-5-10"] {
            assert!(read::<PortRange>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn networks_contain_addresses() {
        for (network, address, inside) in [
            ("127.0.0.1/32", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("192.0.2.0/24", "192.0.2.77", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("127.0.0.1/32", "::ffff:127.0.0.1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
        ] {
            let network: Cidr = read(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        for bad in ["", "127.0.0.1/33", "::/129", "127.0.0.1/", "host/8", "127.0.0.1/-1"] {
            assert!(read::<Cidr>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn uris_numbers_and_digests() {
        for good in [
            "sip:127.0.0.1:5090",
            "sips:carrier.example;transport=tcp",
            "sip:user@[2001:db8::1]:5060;lr",
            "sip:[::1]",
        ] {
            assert!(read::<SipUri>(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "sip:",
            "127.0.0.1",
            "sip:a b",
            "sip:host:0",
            "sip:host:port",
            "sip:[::1",
            "sip:[x]",
            "sip:[::1]5060",
            "tel:+1",
        ] {
            assert!(read::<SipUri>(bad).is_err(), "{bad:?}");
        }
        for (prefix, good) in [
            ("+", true),
            ("+1", true),
            ("+4989", true),
            ("1", false),
            ("+0", false),
            ("+1a", false),
        ] {
            assert_eq!(read::<Prefix>(prefix).is_ok(), good, "{prefix}");
        }
        assert!(read::<CallerId>("+15550100").is_ok() && read::<CallerId>("a b").is_err());
        assert!(read::<Url>("wss://bot.example/x").is_ok());
        assert!(read::<Url>("file:///etc").is_err() && read::<Url>("ws:///x").is_err());
        assert!(read::<Sha256Hex>(&"ab".repeat(32)).is_ok() && read::<Sha256Hex>("ab").is_err());
        assert_eq!(read::<InstanceScope>("*"), Ok(InstanceScope::All));
        assert!(read::<InstanceScope>("call_1").is_err());
    }
}
