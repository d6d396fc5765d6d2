//! The typed values of header fields: addresses, Via, CSeq, media types.

use super::lex::{self, Class, Params};
use super::uri::{self, Host, Uri};
use super::{Method, Name, unquote};
use memchr::memchr2;
use std::borrow::Cow;
use std::net::IpAddr;

/// Why a typed header field cannot be given. The peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is none.
    #[error("{0} is missing")]
    Missing(Name),
    /// There is more than one where one is allowed.
    #[error("{0} is there more than once")]
    Repeated(Name),
    /// It does not keep to its grammar.
    #[error("{0} is malformed")]
    Malformed(Name),
}

/// `"display" <uri>;params`, of From, To, Contact, Route and their like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NameAddr<'a> {
    /// The display name as it stands: without its quotes, escapes and folds kept.
    pub display: Option<&'a str>,
    /// The address.
    pub uri: Uri<'a>,
    /// Parameters of the field, not of the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value; brackets may be left out, then all parameters belong to the field.
    ///
    /// Cost: no allocation. Returns `None` if the value does not keep to RFC 3261 §20.10; an
    /// unquoted display name may hold more than tokens, since deployed peers write such.
    pub fn parse(value: &'a str) -> Option<Self> {
        let value = lex::trim(value);
        let (display, rest) = match lex::quoted_end(value) {
            Some(end) => {
                let (quoted, rest) = lex::split_at(value, end);
                let inner = quoted.get(1..quoted.len().saturating_sub(1))?;
                (Some(inner), lex::trim_start(rest).strip_prefix('<')?)
            }
            None => match lex::cut(value, b'<') {
                Some((display, rest)) if memchr2(b'"', b'>', display.as_bytes()).is_none() => {
                    (Some(lex::trim(display)).filter(|d| !d.is_empty()), rest)
                }
                Some(_) => return None,
                None => return Self::parse_bare(value),
            },
        };
        let (address, params) = lex::cut(rest, b'>')?;
        let uri = Uri::parse(address).ok()?;
        Some(Self { display, uri, params: Params::parse(params)? })
    }

    /// An `addr-spec`: a comma, question mark or semicolon in it would need brackets (§20).
    fn parse_bare(value: &'a str) -> Option<Self> {
        let (address, params) = lex::split_before(value, b';');
        if memchr2(b'?', b',', address.as_bytes()).is_some() {
            return None;
        }
        let uri = Uri::parse(lex::trim(address)).ok()?;
        Some(Self { display: None, uri, params: Params::parse(params)? })
    }

    /// The display name in plain letters; `None` if there is none or it is empty.
    ///
    /// Cost: allocates only for escapes and folds.
    pub fn display_name(&self) -> Option<Cow<'a, str>> {
        self.display.map(lex::unescape).filter(|name| !name.is_empty())
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }
}

/// Whether and how `rport` (RFC 3581) is in a Via.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rport {
    /// Not there.
    Absent,
    /// There without a value: the peer asks for it.
    Asked,
    /// The port we, or a server before us, were seen with.
    Port(u16),
}

/// One hop of Via.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Via<'a> {
    /// The transport as it stands: `UDP`, `TCP`, `TLS`, or any other token.
    pub transport: &'a str,
    /// The host of sent-by.
    pub host: Host<'a>,
    /// The port of sent-by, if given.
    pub port: Option<u16>,
    /// All parameters.
    pub params: Params<'a>,
    /// `branch`; empty if there is none (RFC 2543 peers).
    pub branch: &'a str,
    /// `received`, if it is an address.
    pub received: Option<IpAddr>,
    /// `rport`.
    pub rport: Rport,
}

impl<'a> Via<'a> {
    /// Reads one value; white space is allowed everywhere that RFC 3261 §20.42 does.
    ///
    /// Cost: no allocation. Returns `None` if it is malformed. Versions other than 2.0
    /// are read too: a request of one gets 505, and that needs its Via.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (protocol, rest) = lex::cut(value, b'/')?;
        let (version, rest) = lex::cut(rest, b'/')?;
        let numeric = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !lex::trim(protocol).eq_ignore_ascii_case("SIP") || !numeric(lex::trim(version)) {
            return None;
        }
        let rest = lex::trim_start(rest);
        let transport_len = Class::TOKEN.run(rest.as_bytes());
        let (transport, rest) = lex::split_at(rest, transport_len);
        if transport.is_empty() || !rest.bytes().next().is_some_and(lex::is_lws) {
            return None;
        }
        let rest = lex::trim_start(rest);
        let (place, params) = lex::split_before(rest, b';');
        let (host, port) = sent_by(lex::trim(place))?;
        let (mut branch, mut received, mut rport) = ("", None, Rport::Absent);
        let params = Params::parse_each(params, |name, value| {
            let value = value.unwrap_or("");
            // Their lengths differ, which tells them apart before any letter is looked at.
            match name.len() {
                6 if name.eq_ignore_ascii_case("branch") => branch = value,
                8 if name.eq_ignore_ascii_case("received") => {
                    received = Host::parse(value).ok().and_then(|host| host.ip());
                }
                5 if name.eq_ignore_ascii_case("rport") => {
                    rport = match value {
                        "" => Rport::Asked,
                        port => Rport::Port(uri::parse_port(port).ok()?),
                    };
                }
                _ => {}
            }
            Some(())
        })?;
        Some(Self { transport, host, port, params, branch, received, rport })
    }

    /// Whether the branch was made by RFC 3261 (§8.1.1.7): long enough to tell transactions apart.
    pub fn has_magic_cookie(&self) -> bool {
        let cookie = self.branch.get(..7).is_some_and(|c| c.eq_ignore_ascii_case("z9hG4bK"));
        cookie && self.branch.len() > 7
    }

    /// The port of sent-by, or the default of its transport.
    pub fn port_or_default(&self) -> u16 {
        let secure = ["TLS", "WSS"].iter().any(|t| t.eq_ignore_ascii_case(self.transport));
        self.port.unwrap_or(if secure { 5061 } else { 5060 })
    }
}

/// `host [ : port ]` with white space around the colon.
fn sent_by(place: &str) -> Option<(Host<'_>, Option<u16>)> {
    if !place.bytes().any(lex::is_lws) {
        return uri::host_port(place).ok();
    }
    let host_len = match place.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => place.find(':').unwrap_or(place.len()),
    };
    let (host, rest) = lex::split_at(place, host_len);
    let host = Host::parse(lex::trim(host)).ok()?;
    match lex::trim(rest).strip_prefix(':') {
        Some(digits) => Some((host, Some(uri::parse_port(lex::trim(digits)).ok()?))),
        None => lex::trim(rest).is_empty().then_some((host, None)),
    }
}

/// The CSeq of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number, below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads `number method`. Returns `None` if malformed or the number is 2^31 or more.
    pub fn parse(value: &'a str) -> Option<Self> {
        let digits = value.bytes().position(|b| !b.is_ascii_digit())?;
        let (digits, rest) = lex::split_at(value, digits);
        let number = super::scan::decimal(digits.as_bytes())?;
        let number = u32::try_from(number).ok().filter(|n| *n < 1 << 31)?;
        let method = Method::new(lex::trim(rest));
        let spaced = rest.bytes().next().is_some_and(lex::is_lws);
        (spaced && method.is_token()).then_some(Self { number, method })
    }
}

/// `type/subtype;params` of Content-Type and Accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// The type, e.g. `application`.
    pub kind: &'a str,
    /// The subtype, e.g. `sdp`.
    pub subtype: &'a str,
    /// Parameters such as `boundary`.
    pub params: Params<'a>,
}

impl<'a> MediaType<'a> {
    /// Reads one value. Returns `None` if malformed.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (range, params) = lex::split_before(value, b';');
        let (kind, subtype) = lex::cut(range, b'/')?;
        let (kind, subtype) = (lex::trim(kind), lex::trim(subtype));
        let named = lex::is_token(kind) && lex::is_token(subtype);
        named.then_some(Self { kind, subtype, params: Params::parse(params)? })
    }

    /// Whether it is `kind/subtype`, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// A parameter in plain letters, e.g. `boundary`.
    pub fn param(&self, name: &str) -> Option<Cow<'a, str>> {
        self.params.get(name).map(unquote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_addrs_are_read() {
        let cases: &[(&str, Option<&str>, &str, &str)] = &[
            ("<sip:a@b>", None, "sip:a@b", ""),
            ("sip:a@b;tag=1", None, "sip:a@b", ";tag=1"),
            ("<sip:a@b;tag=1>", None, "sip:a@b;tag=1", ""),
            ("Bob <sip:a@b> ; tag = 1", Some("Bob"), "sip:a@b", "; tag = 1"),
            ("\"Bob, \\\"B\\\" <x>\"<sip:a@b>", Some("Bob, \"B\" <x>"), "sip:a@b", ""),
            ("\"\" <sip:a@b>", None, "sip:a@b", ""),
            ("M. M\u{fc}ller <tel:+49>", Some("M. M\u{fc}ller"), "tel:+49", ""),
            ("<http://x/?a=b,c>", None, "http://x/?a=b,c", ""),
        ];
        for (text, display, uri, params) in cases {
            let address = NameAddr::parse(text).unwrap();
            assert_eq!(address.display_name().as_deref(), *display, "{text}");
            assert_eq!((address.uri.text, address.params.as_str()), (*uri, *params), "{text}");
        }
    }

    #[test]
    fn bad_name_addrs_are_refused() {
        for text in [
            "",
            "*",
            "Bob",
            "\"Bob <sip:a@b>",
            "\"Bob\" sip:a@b",
            "<sip:a@b",
            "sip:a@b>",
            "<>",
            "< sip:a@b >",
            "sip:a@b?x=y",
            "sip:a@b,c",
            "<sip:a@b>;;",
            "<sip:a@b> x",
            "a\"b <sip:a>",
        ] {
            assert_eq!(NameAddr::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn vias_are_read() {
        let via = Via::parse("SIP/2.0/tls [::1]:5071;rport=9;branch=z9hG4bKx;received=10.0.0.1");
        let via = via.unwrap();
        assert_eq!(
            (via.transport, via.host.to_string().as_str(), via.port),
            ("tls", "[::1]", Some(5071))
        );
        assert_eq!((via.rport, via.branch), (Rport::Port(9), "z9hG4bKx"));
        assert!(via.has_magic_cookie());
        let via = Via::parse("SIP/2.0/TLS host ;rport").unwrap();
        assert_eq!((via.rport, via.port_or_default(), via.branch), (Rport::Asked, 5061, ""));
        assert!(!Via::parse("SIP/2.0/UDP h;branch=z9hG4bK").unwrap().has_magic_cookie());
        for bad in [
            "",
            "SIP/2.0",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0/UDPhost",
            "HTTP/2.0/UDP h",
            "SIP/x/UDP h",
            "SIP/2.0/ h",
            "SIP/2.0/UDP h:0",
            "SIP/2.0/UDP h i",
            "SIP/2.0/UDP h;",
            "SIP/2.0/UDP h;rport=x",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP h : ",
        ] {
            assert_eq!(Via::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn cseqs_are_read() {
        let good = CSeq { number: 2_147_483_647, method: Method::Other("X-1") };
        assert_eq!(CSeq::parse("2147483647 \t X-1"), Some(good));
        for bad in ["", "1", "INVITE", "1INVITE", "-1 INVITE", "2147483648 BYE", "1 A B", "1  "] {
            assert_eq!(CSeq::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn media_types_are_read() {
        let kind = MediaType::parse("Multipart / Mixed ; boundary=\"a b\"").unwrap();
        assert!(kind.is("multipart", "mixed"));
        assert_eq!(kind.param("BOUNDARY").as_deref(), Some("a b"));
        for bad in ["", "a", "a/", "/b", "a/b/c", "a b/c", "a/b;", "a/b;;c=d"] {
            assert_eq!(MediaType::parse(bad), None, "{bad:?}");
        }
    }
}
