//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760), both sides, as pure values.
//!
//! ```text
//!  401/407 ─> DigestClient::take_challenge ─> authorize ─> Authorization of the next request
//!  request ─> DigestServer::verify ─> user, or a fresh challenge (stale or not)
//! ```
//!
//! Owns the choice of algorithm, nonces and their counts, and the arithmetic. Does not send
//! anything, keep users, or decide who must authenticate. The only door of `md5` and `sha2`.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod client;
mod server;

pub use client::{Attempt, AuthError, Credentials, DigestClient, SignedRequest};
pub use server::{Denied, DigestServer};

use crate::sip::message::Challenge;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use std::fmt::{self, Write as _};

/// A hash function, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// Broken as a hash, still what most trunks ask for.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256.
    Sha512Half,
}

/// The `algorithm` of a challenge; ordered by strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Algorithm {
    /// The hash function.
    pub hash: Hash,
    /// Whether the first client nonce goes into the key (`-sess`).
    pub session: bool,
}

impl Algorithm {
    /// Reads `MD5`, `SHA-256-sess` and so on, in any case; `None` for those we lack.
    pub fn parse(text: &str) -> Option<Self> {
        let known =
            [("MD5", Hash::Md5), ("SHA-256", Hash::Sha256), ("SHA-512-256", Hash::Sha512Half)];
        let session = text.len().checked_sub(5).and_then(|at| text.split_at_checked(at));
        let (name, session) = match session {
            Some((name, tail)) if tail.eq_ignore_ascii_case("-sess") => (name, true),
            Some(_) | None => (text, false),
        };
        let (_, hash) = known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(Self { hash, session })
    }

    /// That of a challenge; MD5 if it names none.
    fn of(challenge: &Challenge<'_>) -> Option<Self> {
        challenge.get("algorithm").map_or(Self::parse("MD5"), |name| Self::parse(&name))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.hash {
            Hash::Md5 => "MD5",
            Hash::Sha256 => "SHA-256",
            Hash::Sha512Half => "SHA-512-256",
        })?;
        f.write_str(if self.session { "-sess" } else { "" })
    }
}

/// Quality of protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Qop {
    /// The request line only.
    Auth,
    /// The body as well.
    AuthInt,
}

impl Qop {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

/// Everything a digest response is computed from. Texts are as they stand between the quotes.
#[derive(Debug, Clone, Copy)]
struct Digested<'a> {
    algorithm: Algorithm,
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    nonce: &'a str,
    cnonce: &'a str,
    /// Of the first request of a session; only `-sess` looks at it.
    first_cnonce: &'a str,
    nc: u32,
    qop: Option<Qop>,
    method: &'a str,
    uri: &'a str,
    body: &'a [u8],
}

impl Digested<'_> {
    /// The `response` of RFC 7616 §3.4.1, or of RFC 2069 when there is no qop.
    fn response(&self) -> String {
        let hash = |parts: &[&str]| hash_joined(self.algorithm.hash, parts);
        let mut key = hash(&[self.username, self.realm, self.password]);
        if self.algorithm.session {
            key = hash(&[&key, self.nonce, self.first_cnonce]);
        }
        let request = match self.qop {
            Some(Qop::AuthInt) => {
                hash(&[self.method, self.uri, &hex_hash(self.algorithm.hash, &[self.body])])
            }
            Some(Qop::Auth) | None => hash(&[self.method, self.uri]),
        };
        match self.qop {
            None => hash(&[&key, self.nonce, &request]),
            Some(qop) => {
                let nc = format!("{:08x}", self.nc);
                hash(&[&key, self.nonce, &nc, self.cnonce, qop.as_str(), &request])
            }
        }
    }
}

/// The hash of the parts with colons between them, in lower-case hex.
fn hash_joined(hash: Hash, parts: &[&str]) -> String {
    hex_hash(hash, &[parts.join(":").as_bytes()])
}

fn hex_hash(hash: Hash, parts: &[&[u8]]) -> String {
    match hash {
        Hash::Md5 => hex_of::<Md5>(parts),
        Hash::Sha256 => hex_of::<Sha256>(parts),
        Hash::Sha512Half => hex_of::<Sha512_256>(parts),
    }
}

fn hex_of<D: Digest>(parts: &[&[u8]]) -> String {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    let mut hex = String::with_capacity(64);
    for byte in digest.finalize() {
        _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Whether two texts are the same, in time that depends on their length only.
fn same_secretly(a: &str, b: &str) -> bool {
    let differing = a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

/// A parameter as it stands, without its quotes: what RFC 7616 calls `unq`, escapes untouched.
///
/// `None` too for what could not be echoed in quotes as it is: a fold, or a backslash unquoted.
fn bare<'a>(challenge: &Challenge<'a>, name: &str) -> Option<&'a str> {
    let raw = challenge.params.raw(name)?;
    let quoted = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    let unquoted = || Some(raw).filter(|raw| !raw.contains('\\'));
    quoted.or_else(unquoted).filter(|text| !text.contains(['\r', '\n']))
}

/// Entry point of the fuzz target: a challenge of any bytes is answered or refused, and what was
/// answered can be read again.
#[doc(hidden)]
pub fn fuzz_entry(bytes: &[u8]) {
    client::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `method uri nonce cnonce` are those of the RFC or draft named beside each row.
    #[test]
    fn published_vectors() {
        let base = Digested {
            algorithm: Algorithm { hash: Hash::Md5, session: false },
            username: "Mufasa",
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            cnonce: "0a4f113b",
            first_cnonce: "0a4f113b",
            nc: 1,
            qop: Some(Qop::Auth),
            method: "GET",
            uri: "/dir/index.html",
            body: b"",
        };
        // RFC 2617 §3.5
        assert_eq!(base.response(), "6629fae49393a05397450978507c4ef1");

        // RFC 7616 §3.9.1
        let modern = Digested {
            realm: "http-auth@example.org",
            password: "Circle of Life",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            ..base
        };
        let of = |hash| Digested { algorithm: Algorithm { hash, session: false }, ..modern };
        assert_eq!(of(Hash::Md5).response(), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            of(Hash::Sha256).response(),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
        // RFC 7616 §3.9.2 has truncated SHA-512 by mistake; this is the hash its erratum gives.
        assert_eq!(
            hash_joined(Hash::Sha512Half, &["J\u{e4}s\u{f8}n Doe", "api@example.org"]),
            "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
        );
    }

    /// draft-smith-sipping-auth-examples-01 §3.1 to §3.5, the vectors SIP stacks are tested with.
    #[test]
    fn published_sip_vectors() {
        let body = b"v=0\r\no=bob 2890844526 2890844526 IN IP4 media.biloxi.com\r\ns=-\r\n\
                     c=IN IP4 media.biloxi.com\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n\
                     a=rtpmap:0 PCMU/8000\r\nm=video 51372 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n\
                     m=video 53000 RTP/AVP 32\r\na=rtpmap:32 MPV/90000\r\n";
        let md5 = Algorithm { hash: Hash::Md5, session: false };
        let session = Algorithm { session: true, ..md5 };
        let cases = [
            (md5, None, "bf57e4e0d0bffc0fbaedce64d59add5e"),
            (md5, Some(Qop::Auth), "89eb0059246c02b2f6ee02c7961d5ea3"),
            (md5, Some(Qop::AuthInt), "bdbeebb2da6adb6bca02599c2239e192"),
            (session, Some(Qop::Auth), "e4e4ea61d186d07a92c9e1f6919902e9"),
        ];
        for (algorithm, qop, want) in cases {
            let digested = Digested {
                algorithm,
                username: "bob",
                realm: "biloxi.com",
                password: "zanzibar",
                nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
                cnonce: "0a4f113b",
                first_cnonce: "0a4f113b",
                nc: 1,
                qop,
                method: "INVITE",
                uri: "sip:bob@biloxi.com",
                body,
            };
            assert_eq!(digested.response(), want, "{algorithm} {qop:?}");
        }
    }

    #[test]
    fn algorithms_are_known_by_name_and_strength() {
        for name in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256-sess"] {
            assert_eq!(Algorithm::parse(name).unwrap().to_string(), name);
            assert!(Algorithm::parse(&name.to_lowercase()).is_some());
        }
        for name in ["", "-sess", "SHA-1", "MD5-", "SHA-512", "MD5\u{e9}-ses"] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
        let strength = ["MD5", "MD5-sess", "SHA-256", "SHA-512-256"].map(Algorithm::parse);
        assert!(strength.is_sorted());
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same_secretly("", "") && same_secretly("ab", "ab"));
        assert!(!same_secretly("ab", "aB") && !same_secretly("ab", "abc"));
    }

    proptest::proptest! {
        #[test]
        fn any_challenge_is_answered_or_refused(
            head in "(Digest|digest|Basic) ?",
            params in proptest::collection::vec(
                "(realm|nonce|opaque|qop|algorithm|stale|userhash|x)\
                 (=|= )(\"[a-z\\\\,=\"\u{e9}-]{0,8}\"|auth|MD5|SHA-256-sess|true|[a-z \\\\]{0,5}|\r\n b)",
                0..8,
            ),
        ) {
            fuzz_entry(format!("{head}{}", params.join(", ")).as_bytes());
        }
    }
}
