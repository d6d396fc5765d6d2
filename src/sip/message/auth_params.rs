//! Challenges and credentials: `Digest realm="…", nonce="…"`.
//!
//! Owns their syntax (RFC 3261 §20.44, RFC 7235 `auth-param`). What they mean is in `sip::auth`.

use super::lex;
use super::unquote;
use std::borrow::Cow;

/// A scheme and its parameters, from WWW-Authenticate, Authorization and their Proxy twins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The scheme, e.g. `Digest`; compare without case.
    pub scheme: &'a str,
    /// Its parameters.
    pub params: AuthParams<'a>,
}

/// Comma-separated `name=value` pairs; checked when made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthParams<'a> {
    text: &'a str,
}

impl<'a> Challenge<'a> {
    /// Reads one line. Returns `None` if the scheme is no token or a parameter is malformed.
    pub fn parse(value: &'a str) -> Option<Self> {
        let value = lex::trim(value);
        let len = lex::Class::TOKEN.run(value.as_bytes());
        let (scheme, rest) = lex::split_at(value, len);
        let spaced = rest.is_empty() || rest.bytes().next().is_some_and(lex::is_lws);
        if scheme.is_empty() || !spaced {
            return None;
        }
        Some(Self { scheme, params: AuthParams::parse(rest)? })
    }

    /// Whether the scheme is Digest.
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Digest")
    }

    /// A parameter in plain letters: quotes and escapes removed.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.params.get(name)
    }
}

impl<'a> AuthParams<'a> {
    /// Reads parameters without a scheme in front.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = lex::trim(text);
        let mut rest = Some(text);
        while let Some(list) = rest.filter(|list| !list.is_empty()) {
            let (item, after) = lex::split_list(list);
            if !lex::trim(item).is_empty() {
                pair(item)?;
            }
            rest = after;
        }
        Some(Self { text })
    }

    /// All pairs in order, values raw.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = Some(self.text);
        std::iter::from_fn(move || {
            loop {
                let (item, after) = lex::split_list(rest?);
                rest = after;
                if let Some(pair) = pair(item) {
                    return Some(pair);
                }
            }
        })
    }

    /// The first parameter of that name (any case) in plain letters.
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name).map(unquote)
    }

    /// The first parameter of that name (any case) as it stands, quotes kept.
    pub fn raw(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

fn pair(item: &str) -> Option<(&str, &str)> {
    let (name, value) = item.split_once('=')?;
    let (name, value) = (lex::trim(name), lex::trim(value));
    let whole = match lex::quoted_end(value) {
        Some(end) => end == value.len(),
        None => !value.contains('"'),
    };
    (lex::is_token(name) && whole).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_quotes_and_escapes() {
        let text =
            "Digest realm=\"a, \\\"b\\\"\" ,nonce=\"=,\", algorithm = SHA-256,\r\n stale=TRUE,,";
        let challenge = Challenge::parse(text).unwrap();
        assert!(challenge.is_digest());
        assert_eq!(challenge.get("REALM").as_deref(), Some("a, \"b\""));
        assert_eq!(challenge.get("nonce").as_deref(), Some("=,"));
        assert_eq!(challenge.get("algorithm").as_deref(), Some("SHA-256"));
        assert_eq!(challenge.params.raw("stale"), Some("TRUE"));
        assert_eq!(challenge.get("qop"), None);
        assert_eq!(challenge.params.iter().count(), 4);
    }

    #[test]
    fn bad_challenges_are_refused() {
        for bad in
            ["", "Dig,est a=b", "Digest realm", "Digest realm=\"x", "Digest a=b\"c\"", "D =b"]
        {
            assert_eq!(Challenge::parse(bad), None, "{bad:?}");
        }
        assert!(Challenge::parse("NTLM").is_some_and(|c| !c.is_digest()));
    }
}
