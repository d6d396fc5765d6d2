//! `sip:`, `sips:`, `tel:` and foreign URIs.
//!
//! Reading is wider than RFC 3261 §25 where deployed peers are (letters such as `#` in a user
//! part), but never accepts white space, controls, `<`, `>` or `"`: what was read can be written
//! again without changing the structure around it.

use super::lex::{self, Class, Params};
use memchr::memchr;
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most parameters, and most headers, of a URI that is compared by meaning.
const PARTS_MAX: usize = 32;

/// The scheme of a URI, any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// Any other; the rest of the URI is opaque.
    Other(&'a str),
}

/// A host: an address literal or a name.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// A dotted IPv4 address.
    V4(Ipv4Addr),
    /// A bracketed IPv6 address.
    V6(Ipv6Addr),
    /// A name; compared without case.
    Name(&'a str),
}

/// Why a text is not a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No `scheme:` in front.
    #[error("no URI scheme")]
    Scheme,
    /// White space, a control, `<`, `>`, `"` or an invalid escape.
    #[error("forbidden letter or bad escape in a URI")]
    Letter,
    /// The host or number is missing or malformed.
    #[error("bad host in a URI")]
    Host,
    /// The port is no number of 1 to 65535.
    #[error("bad port in a URI")]
    Port,
    /// A parameter is malformed.
    #[error("bad parameter in a URI")]
    Params,
}

/// A URI, borrowed from its text.
///
/// For `tel:` the number is `user` and the host is empty; for an unknown scheme everything behind
/// the colon is `opaque` and nothing else is set.
#[derive(Debug, Clone, Copy)]
pub struct Uri<'a> {
    /// The whole URI as it stands.
    pub text: &'a str,
    /// The scheme.
    pub scheme: Scheme<'a>,
    /// The user part or telephone number, still escaped.
    pub user: Option<&'a str>,
    /// The password, still escaped.
    pub password: Option<&'a str>,
    /// The host; an empty name for `tel:` and unknown schemes.
    pub host: Host<'a>,
    /// The port, if given.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params<'a>,
    /// What stands behind `?`, still escaped.
    pub headers: Option<&'a str>,
    /// What stands behind the colon of an unknown scheme.
    pub opaque: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI without brackets around it.
    ///
    /// Cost: one walk, no allocation.
    ///
    /// # Errors
    /// [`UriError`]; the peer's fault.
    pub fn parse(text: &'a str) -> Result<Self, UriError> {
        let colon = memchr(b':', text.as_bytes()).ok_or(UriError::Scheme)?;
        let (scheme, rest) = lex::split_at(text, colon);
        let scheme = Scheme::parse(scheme).ok_or(UriError::Scheme)?;
        let rest = rest.get(1..).unwrap_or("");
        let marks = Marks::find(rest.as_bytes(), matches!(scheme, Scheme::Other(_)))?;
        let uri = Self {
            text,
            scheme,
            user: None,
            password: None,
            host: Host::Name(""),
            port: None,
            params: Params::default(),
            headers: None,
            opaque: "",
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => uri.with_sip_parts(rest, marks),
            Scheme::Tel => uri.with_tel_parts(rest),
            Scheme::Other(_) => Ok(Self { opaque: rest, ..uri }),
        }
    }

    #[inline]
    fn with_sip_parts(mut self, rest: &'a str, marks: Marks) -> Result<Self, UriError> {
        let mut place_start = 0;
        if let Some(at) = marks.at {
            let user_end = marks.user_colon.unwrap_or(at);
            self.user = rest.get(..user_end).filter(|user| !user.is_empty());
            self.password = marks.user_colon.and_then(|colon| rest.get(colon + 1..at));
            place_start = at + 1;
            if self.user.is_none() {
                return Err(UriError::Host);
            }
        }
        let params_end = marks.question.unwrap_or(rest.len());
        let place_end = marks.semicolon.unwrap_or(params_end);
        self.headers = marks.question.and_then(|question| rest.get(question + 1..));
        (self.host, self.port) = host_port(rest.get(place_start..place_end).unwrap_or(""))?;
        let params = rest.get(place_end..params_end).unwrap_or("");
        self.params = Params::parse(params).ok_or(UriError::Params)?;
        Ok(self)
    }

    fn with_tel_parts(self, rest: &'a str) -> Result<Self, UriError> {
        let (number, params) = lex::split_at(rest, rest.find(';').unwrap_or(rest.len()));
        if number.is_empty() || number.contains(['@', '?', ',']) {
            return Err(UriError::Host);
        }
        let params = Params::parse(params).ok_or(UriError::Params)?;
        Ok(Self { user: Some(number), params, ..self })
    }

    /// The user part (or number) with `%xx` resolved; empty when there is none.
    ///
    /// Escapes that do not give UTF-8 are left as they stand. Cost: allocates if escaped.
    pub fn user_unescaped(&self) -> Cow<'a, str> {
        unescape(self.user.unwrap_or(""))
    }

    /// Whether `sip:` or `sips:`.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// Whether the URI asks for loose routing (`;lr`).
    pub fn is_loose_route(&self) -> bool {
        self.params.has("lr")
    }

    /// Whether both mean the same by RFC 3261 §19.1.4.
    ///
    /// URIs of unknown schemes, and those with more than 32 parameters or headers, are the same only
    /// letter by letter. Cost: allocates only if escapes are compared; at most 32 by 32 parameters.
    pub fn same_as(&self, other: &Uri<'_>) -> bool {
        if self.text == other.text {
            return true;
        }
        if !self.is_comparable() || !other.is_comparable() {
            return false;
        }
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => self.same_sip(other),
            (Scheme::Tel, Scheme::Tel) => {
                let digits = |uri: &Uri<'_>| -> String {
                    let number = uri.user.unwrap_or("").chars();
                    number.filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect()
                };
                digits(self).eq_ignore_ascii_case(&digits(other))
                    && same_params(self.params, other.params, |_| true)
            }
            _ => self.text == other.text,
        }
    }

    /// Whether the pairwise comparison of its parts is cheap enough for a foreign URI.
    fn is_comparable(&self) -> bool {
        let headers = self.headers.unwrap_or("").split('&');
        self.params.iter().take(PARTS_MAX + 1).count() <= PARTS_MAX
            && headers.take(PARTS_MAX + 1).count() <= PARTS_MAX
    }

    fn same_sip(&self, other: &Uri<'_>) -> bool {
        const MUST_MATCH: [&str; 4] = ["user", "ttl", "method", "maddr"];
        let both_ways = |name: &str| {
            MUST_MATCH.iter().chain(&["transport"]).any(|m| m.eq_ignore_ascii_case(name))
        };
        self.user.is_some() == other.user.is_some()
            && self.user_unescaped() == other.user_unescaped()
            && unescape(self.password.unwrap_or("")) == unescape(other.password.unwrap_or(""))
            && self.password.is_some() == other.password.is_some()
            && self.host == other.host
            && self.port == other.port
            && same_params(self.params, other.params, both_ways)
            && same_headers(self.headers, other.headers)
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl PartialEq for Uri<'_> {
    /// Letter by letter; see [`Uri::same_as`] for the meaning.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<'a> Scheme<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        // By far the most; nothing is compared without case for it.
        if text == "sip" {
            return Some(Self::Sip);
        }
        let mut letters = text.bytes();
        let named = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            && letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        Some(match text {
            _ if text.eq_ignore_ascii_case("sip") => Self::Sip,
            _ if text.eq_ignore_ascii_case("sips") => Self::Sips,
            _ if text.eq_ignore_ascii_case("tel") => Self::Tel,
            _ if named => Self::Other(text),
            _ => return None,
        })
    }
}

impl<'a> Host<'a> {
    /// Reads a host: a name, an IPv4 literal, or an IPv6 literal with or without brackets.
    ///
    /// # Errors
    /// [`UriError::Host`].
    pub fn parse(text: &'a str) -> Result<Self, UriError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(UriError::Host)?;
            let address = inner.parse().ok().or_else(|| three_colons(inner));
            return address.map(Self::V6).ok_or(UriError::Host);
        }
        let first = text.bytes().next().ok_or(UriError::Host)?;
        if first.is_ascii_digit()
            && let Some(address) = dotted(text.as_bytes())
        {
            return Ok(Self::V4(address));
        }
        if text.contains(':') {
            return text.parse().map(Self::V6).map_err(|_| UriError::Host);
        }
        let named = Class::HOST.run(text.as_bytes()) == text.len();
        if named { Ok(Self::Name(text)) } else { Err(UriError::Host) }
    }

    /// The address, if it is a literal.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
            Self::Name(_) => None,
        }
    }

    /// Whether there is none (`tel:`).
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Name(""))
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::V4(a), Self::V4(b)) => a == b,
            (Self::V6(a), Self::V6(b)) => a == b,
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl From<IpAddr> for Host<'_> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

/// IPv6 in brackets, as URIs and Via want it.
impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Four decimal numbers of one to three digits with dots between them; as the standard library
/// reads it, in a third of the time.
fn dotted(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut address, mut number, mut digits, mut dots) = (0_u32, 0_u32, 0_u32, 0_u32);
    for byte in text {
        match byte {
            // A leading zero might mean octal to somebody.
            b'0'..=b'9' if digits < 3 && (digits == 0 || number > 0) => {
                number = number * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && dots < 3 && number < 256 => {
                address = address << 8 | number;
                (number, digits, dots) = (0, 0, dots + 1);
            }
            _ => return None,
        }
    }
    let whole = dots == 3 && digits > 0 && number < 256;
    whole.then(|| Ipv4Addr::from_bits(address << 8 | number))
}

/// `2001:db8:::192.0.2.1`, which the grammar of RFC 3261 makes by mistake and RFC 5118 §4.10 wants
/// tolerated: read as with two colons.
fn three_colons(text: &str) -> Option<Ipv6Addr> {
    let split = text.find(":::")? + 2;
    let high: Ipv6Addr = text.get(..split)?.parse().ok()?;
    let low: Ipv4Addr = text.get(split + 1..)?.parse().ok()?;
    let room = high.to_bits().trailing_zeros() >= 48;
    room.then(|| Ipv6Addr::from_bits(high.to_bits() | u128::from(low.to_bits())))
}

/// Reads `host[:port]`, white space around the colon not allowed.
#[inline]
pub(super) fn host_port(text: &str) -> Result<(Host<'_>, Option<u16>), UriError> {
    let host_len = match text.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(UriError::Host)? + 2,
        None => Class::HOST.run(text.as_bytes()),
    };
    let (host, rest) = lex::split_at(text, host_len);
    let host = Host::parse(host)?;
    let Some(digits) = rest.strip_prefix(':') else {
        return if rest.is_empty() { Ok((host, None)) } else { Err(UriError::Host) };
    };
    Ok((host, Some(parse_port(digits)?)))
}

pub(super) fn parse_port(digits: &str) -> Result<u16, UriError> {
    let port = super::scan::decimal(digits.as_bytes()).and_then(|port| u16::try_from(port).ok());
    port.filter(|port| *port != 0).ok_or(UriError::Port)
}

/// Writes the user part of a URI, escaping what RFC 3261 §25.1 does not allow there.
pub fn escape_user(user: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for byte in user.bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
            if plain {
                fmt::Write::write_char(f, char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    })
}

/// Where the delimiters of a SIP URI are, behind its scheme.
#[derive(Clone, Copy, Default)]
struct Marks {
    at: Option<usize>,
    /// The first colon before `at`.
    user_colon: Option<usize>,
    /// The first semicolon behind `at` and before `question`.
    semicolon: Option<usize>,
    /// The first question mark behind `at`.
    question: Option<usize>,
}

impl Marks {
    /// Finds them in one walk, which also refuses letters that no URI has.
    fn find(bytes: &[u8], opaque: bool) -> Result<Self, UriError> {
        let (mut marks, mut colon, mut next) = (Self::default(), None, 0);
        while let Some(rest) = bytes.get(next..) {
            let here = next + Class::URI.run(rest);
            next = here + 1;
            match bytes.get(here) {
                None => break,
                Some(b':') => colon = colon.or(Some(here)),
                Some(b';') if marks.question.is_none() => {
                    marks.semicolon = marks.semicolon.or(Some(here));
                }
                Some(b'?') => marks.question = marks.question.or(Some(here)),
                // Whatever stood before the @ was part of the user.
                Some(b'@') if marks.at.is_none() => {
                    marks = Self { at: Some(here), user_colon: colon, ..Self::default() };
                }
                Some(b'@') if !opaque => return Err(UriError::Host),
                Some(b';' | b'@') => {}
                Some(b'%') if opaque || is_escape(bytes, here) => {}
                Some(_) => return Err(UriError::Letter),
            }
        }
        Ok(marks)
    }
}

/// Whether two hex digits follow.
fn is_escape(bytes: &[u8], at: usize) -> bool {
    bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((&byte, rest)) = bytes.split_first() {
        let digit = |at: usize| rest.get(at).and_then(|b| char::from(*b).to_digit(16));
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(0), digit(1))
        {
            out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            bytes = rest.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            bytes = rest;
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Parameters in both must agree; those that `both_ways` names must be in both or in none.
fn same_params(a: Params<'_>, b: Params<'_>, both_ways: impl Fn(&str) -> bool) -> bool {
    let covers = |a: Params<'_>, b: Params<'_>| {
        a.iter().all(|(name, value)| match b.get(name) {
            Some(other) => unescape(value.unwrap_or("")).eq_ignore_ascii_case(&unescape(other)),
            None => !both_ways(name),
        })
    };
    covers(a, b) && covers(b, a)
}

/// Header components are never ignored: same set, any order.
fn same_headers(a: Option<&str>, b: Option<&str>) -> bool {
    let parts = |text: Option<&str>| text.unwrap_or("").split('&').count();
    let covers = |a: &str, b: &str| {
        a.split('&').all(|x| b.split('&').any(|y| unescape(x).eq_ignore_ascii_case(&unescape(y))))
    };
    match (a, b) {
        (None, None) => true,
        (Some(x), Some(y)) => parts(a) == parts(b) && covers(x, y) && covers(y, x),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let uri = Uri::parse("sip:alice;day=tue:pw@[2001:db8::1]:5070;lr;transport=TCP?a=b&c=d");
        let uri = uri.unwrap();
        assert_eq!(
            (uri.scheme, uri.user, uri.password),
            (Scheme::Sip, Some("alice;day=tue"), Some("pw"))
        );
        assert_eq!((uri.host.ip(), uri.port), (Some("2001:db8::1".parse().unwrap()), Some(5070)));
        assert_eq!((uri.params.get("transport"), uri.headers), (Some("TCP"), Some("a=b&c=d")));
        assert!(uri.is_loose_route() && uri.is_sip());

        let tel = Uri::parse("TEL:+1-201-555-0123;phone-context=example.com").unwrap();
        assert_eq!((tel.scheme, tel.user), (Scheme::Tel, Some("+1-201-555-0123")));
        assert!(tel.host.is_empty());

        let other = Uri::parse("urn:service:sos%zz").unwrap();
        assert_eq!((other.scheme, other.opaque), (Scheme::Other("urn"), "service:sos%zz"));
    }

    #[test]
    fn what_would_break_its_surroundings_is_refused() {
        let cases: &[(&str, UriError)] = &[
            ("", UriError::Scheme),
            ("bob@biloxi.com", UriError::Scheme),
            ("1sip:a", UriError::Scheme),
            ("<sip:a@b>", UriError::Scheme),
            ("sip:", UriError::Host),
            ("sip:a@", UriError::Host),
            ("sip:@b", UriError::Host),
            ("sip:a@b@c", UriError::Host),
            ("sip:a@b c", UriError::Letter),
            ("sip:a\r\nX: y@b", UriError::Letter),
            ("sip:a%4@b", UriError::Letter),
            ("sip:a%@b", UriError::Letter),
            ("sip:a@b:0", UriError::Port),
            ("sip:a@b:65536", UriError::Port),
            ("sip:a@b:", UriError::Port),
            ("sip:a@2001:db8::1", UriError::Port),
            ("sip:a@[2001:db8::1", UriError::Host),
            ("sip:a@[2001:db8::1]x", UriError::Host),
            ("sip:a@[1.2.3.4]", UriError::Host),
            ("sip:a@[1:2:3:4:5:6:::1.2.3.4]", UriError::Host),
            ("sip:a@b;;lr", UriError::Params),
            ("sip:a@b;lr,x", UriError::Params),
            ("tel:", UriError::Host),
            ("tel:1@b", UriError::Host),
        ];
        for (text, want) in cases {
            assert_eq!(Uri::parse(text).err(), Some(*want), "{text:?}");
        }
    }

    #[test]
    fn equivalence_follows_section_19_1_4() {
        let same: &[(&str, &str)] = &[
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"),
            ("tel:+1-201-555-0123", "tel:+12015550123"),
        ];
        let different: &[(&str, &str)] = &[
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
            ("sip:biloxi.com", "sip:bob@biloxi.com"),
            ("tel:+12015550123", "tel:12015550123"),
        ];
        let parse = |text| Uri::parse(text).unwrap();
        for (a, b) in same {
            assert!(parse(a).same_as(&parse(b)) && parse(b).same_as(&parse(a)), "{a} {b}");
        }
        for (a, b) in different {
            assert!(!parse(a).same_as(&parse(b)) && !parse(b).same_as(&parse(a)), "{a} {b}");
        }
    }

    #[test]
    fn comparing_is_bounded() {
        let many = |n: usize| {
            format!("sip:a{}", (0..n).map(|i| format!(";p{i}")).collect::<Vec<_>>().concat())
        };
        let (few, more) = (many(32), many(33));
        let parse = |text| Uri::parse(text).unwrap();
        assert!(parse(&few).same_as(&parse("sip:A")));
        assert!(!parse(&more).same_as(&parse("sip:A")) && parse(&more).same_as(&parse(&more)));
    }

    #[test]
    fn escapes_are_resolved_and_made() {
        let user = |text| Uri::parse(text).unwrap().user_unescaped().into_owned();
        assert_eq!(user("sip:%2B49%20x@a"), "+49 x");
        assert_eq!(user("sip:%d0%bf@a"), "\u{43f}");
        assert_eq!(user("sip:%ff@a"), "%ff");
        assert_eq!(user("sip:a"), "");
        assert_eq!(escape_user("+49 <x>@\u{43f}").to_string(), "+49%20%3Cx%3E%40%D0%BF");
    }

    #[test]
    fn dotted_addresses_are_read_as_the_standard_library_does() {
        for text in [
            "",
            ".",
            "1",
            "1.2.3",
            "1.2.3.4",
            "0.0.0.0",
            "255.255.255.255",
            "256.1.1.1",
            "1.1.1.256",
            "01.2.3.4",
            "1.2.3.04",
            "1.2.3.4.5",
            "1..2.3",
            ".1.2.3",
            "1.2.3.",
            "1.2.3.4.",
            "1.2.3.a",
            "1000.2.3.4",
            "1.2.3.1000",
            "00.0.0.0",
            " 1.2.3.4",
            "192.0.2.1",
            "10.20.30.40",
        ] {
            assert_eq!(dotted(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn hosts_print_as_uris_want_them() {
        let cases =
            [("192.0.2.1", "192.0.2.1"), ("[2001:DB8::1]", "[2001:db8::1]"), ("A.b", "A.b")];
        for (text, want) in cases {
            assert_eq!(Host::parse(text).unwrap().to_string(), want);
        }
        assert_eq!(Host::parse("2001:db8::1").unwrap(), Host::parse("[2001:db8::1]").unwrap());
        assert_eq!(Host::from(IpAddr::from([0_u8; 4])).ip(), Some(IpAddr::from([0_u8; 4])));
    }
}
