//! Challenges requests and checks what comes back.

use super::{Algorithm, Digested, Hash, Qop, bare, hex_hash, same_secretly};
use crate::sip::message::{Challenge, Message, Name, StartLine, Uri, quoted};
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// Nonces whose counts are remembered; when full the oldest becomes stale.
const COUNTS_MAX: usize = 1024;

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No credentials for our realm: challenge it.
    #[error("no credentials")]
    Missing,
    /// The credentials are right, but the nonce is too old or its count was used: challenge again
    /// with `stale=true`, the peer need not ask its user.
    #[error("stale nonce")]
    Stale,
    /// The credentials are wrong or malformed: challenge again, and count.
    #[error("wrong credentials")]
    Wrong,
}

/// The server side of digest for one realm.
///
/// Nonces are signed instead of stored, so challenging costs no memory; only counts of nonces that
/// were used correctly are kept, in a bounded list.
#[derive(Debug)]
pub struct DigestServer {
    realm: String,
    secret: [u8; 32],
    lifetime: Duration,
    epoch: Instant,
    issued: u64,
    /// Serial number of a nonce and the highest count seen; in order of first use.
    counts: VecDeque<(u64, u32)>,
    /// Nonces up to this serial number are stale unless they are in `counts`.
    forgotten: u64,
}

/// A nonce of ours, taken apart.
struct OwnNonce {
    serial: u64,
    age: Duration,
}

impl DigestServer {
    /// Makes a server; `secret` is randomness that lives as long as it does.
    pub fn new(realm: String, secret: [u8; 32], lifetime: Duration, now: Instant) -> Self {
        let counts = VecDeque::with_capacity(COUNTS_MAX);
        Self { realm, secret, lifetime, epoch: now, issued: 0, counts, forgotten: 0 }
    }

    /// The value of a WWW-Authenticate line with a fresh nonce.
    ///
    /// Write one line for SHA-256 and below it one for MD5: a peer takes the first it knows
    /// (RFC 8760 §2.3).
    pub fn challenge(&mut self, now: Instant, hash: Hash, stale: bool) -> impl fmt::Display {
        self.issued += 1;
        let millis = u64::try_from(self.since_epoch(now).as_millis()).unwrap_or(u64::MAX);
        let nonce = self.nonce(self.issued, millis);
        let realm = self.realm.clone();
        let algorithm = Algorithm { hash, session: false };
        fmt::from_fn(move |f| {
            let realm = quoted(&realm);
            write!(f, "Digest realm={realm}, nonce=\"{nonce}\", algorithm={algorithm}")?;
            write!(f, ", qop=\"auth\"{}", if stale { ", stale=true" } else { "" })
        })
    }

    /// Checks the Authorization of a request; gives the user.
    ///
    /// `password_of` looks a user up. Time: `now` decides on the age of nonces.
    ///
    /// # Errors
    /// [`Denied`]; in each case challenge again, `stale` if it says so.
    pub fn verify(
        &mut self,
        now: Instant,
        request: &Message<'_>,
        password_of: impl Fn(&str) -> Option<String>,
    ) -> Result<String, Denied> {
        let StartLine::Request { method, .. } = request.start_line() else {
            return Err(Denied::Wrong);
        };
        let ours =
            |c: &Challenge<'_>| c.is_digest() && c.get("realm").as_deref() == Some(&*self.realm);
        let given = request.credentials(Name::Authorization).find(ours).ok_or(Denied::Missing)?;
        let username = given.get("username").ok_or(Denied::Wrong)?.into_owned();
        let password = password_of(&username).ok_or(Denied::Wrong)?;
        let nonce = bare(&given, "nonce").ok_or(Denied::Wrong)?;
        let nc = bare(&given, "nc").and_then(|nc| u32::from_str_radix(nc, 16).ok());
        let nc = nc.filter(|nc| *nc > 0).ok_or(Denied::Wrong)?;
        let cnonce = bare(&given, "cnonce").ok_or(Denied::Wrong)?;
        let algorithm = Algorithm::of(&given).filter(|a| !a.session).ok_or(Denied::Wrong)?;
        let signed_uri = bare(&given, "uri").ok_or(Denied::Wrong)?;
        //= RFC 3261 §22.4: the URI that was signed may be another one than the Request-URI: proxies
        //= forward, and it is not a failure
        if bare(&given, "qop") != Some("auth") || Uri::parse(signed_uri).is_err() {
            return Err(Denied::Wrong);
        }
        let digested = Digested {
            algorithm,
            username: &username,
            realm: bare(&given, "realm").unwrap_or_default(),
            password: &password,
            nonce,
            cnonce,
            first_cnonce: cnonce,
            nc,
            qop: Some(Qop::Auth),
            method: method.as_str(),
            uri: signed_uri,
            body: b"",
        };
        let response = bare(&given, "response").unwrap_or_default();
        if !same_secretly(&digested.response(), response) {
            return Err(Denied::Wrong);
        }
        let own = self.open(now, nonce).ok_or(Denied::Stale)?;
        self.count(&own, nc)?;
        Ok(username)
    }

    /// `serial.millis.signature`, all in hex.
    fn nonce(&self, serial: u64, millis: u64) -> String {
        let signed = format!("{serial:x}.{millis:x}");
        let mark = hex_hash(Hash::Sha256, &[&self.secret, signed.as_bytes(), &self.secret]);
        format!("{signed}.{mark}")
    }

    fn open(&self, now: Instant, nonce: &str) -> Option<OwnNonce> {
        let mut parts = nonce.split('.');
        let serial = u64::from_str_radix(parts.next()?, 16).ok()?;
        let millis = u64::from_str_radix(parts.next()?, 16).ok()?;
        let age = self.since_epoch(now).saturating_sub(Duration::from_millis(millis));
        same_secretly(&self.nonce(serial, millis), nonce).then_some(OwnNonce { serial, age })
    }

    /// Takes a count once; an old or repeated one is stale.
    fn count(&mut self, nonce: &OwnNonce, nc: u32) -> Result<(), Denied> {
        if nonce.age > self.lifetime {
            return Err(Denied::Stale);
        }
        if let Some((_, seen)) = self.counts.iter_mut().find(|(serial, _)| *serial == nonce.serial)
        {
            let fresh = nc > *seen;
            *seen = nc.max(*seen);
            return if fresh { Ok(()) } else { Err(Denied::Stale) };
        }
        if nonce.serial <= self.forgotten {
            return Err(Denied::Stale);
        }
        if self.counts.len() >= COUNTS_MAX
            && let Some((serial, _)) = self.counts.pop_front()
        {
            self.forgotten = self.forgotten.max(serial);
        }
        self.counts.push_back((nonce.serial, nc));
        Ok(())
    }

    fn since_epoch(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::auth::{Attempt, Credentials, DigestClient, SignedRequest};
    use crate::sip::message::{MessageWriter, Method};
    use secrecy::SecretString;

    const URI: &str = "sip:b@gw.example";

    /// A server and a client that know each other.
    struct Pair {
        now: Instant,
        server: DigestServer,
        client: DigestClient,
    }

    impl Pair {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as the start of a test")]
        fn new(password: &str) -> Self {
            let now = Instant::now();
            let lifetime = Duration::from_mins(1);
            let credentials = Credentials {
                username: "alice".to_owned(),
                password: SecretString::from(password.to_owned()),
                realm: "gw".to_owned(),
            };
            let server = DigestServer::new("gw".to_owned(), [7; 32], lifetime, now);
            Self { now, server, client: DigestClient::new(credentials) }
        }

        fn challenge(&mut self, attempt: &mut Attempt, hash: Hash) {
            let value = self.server.challenge(self.now, hash, false);
            let mut out = Vec::new();
            MessageWriter::response(&mut out, 401, "")
                .header(Name::WwwAuthenticate, value)
                .finish()
                .unwrap();
            let response = Message::parse(&out).unwrap();
            self.client.take_challenge(&response, attempt).unwrap();
        }

        fn request(&mut self, attempt: &mut Attempt) -> Vec<u8> {
            let mut out = Vec::new();
            let mut writer = MessageWriter::request(&mut out, Method::Invite, URI);
            let signed = SignedRequest { method: "INVITE", uri: URI, body: b"" };
            self.client.authorize(&mut writer, &signed, 5, attempt);
            writer.finish().unwrap();
            out
        }

        fn verify(&mut self, bytes: &[u8]) -> Result<String, Denied> {
            let password_of = |user: &str| (user == "alice").then(|| "secret".to_owned());
            self.server.verify(self.now, &Message::parse(bytes).unwrap(), password_of)
        }
    }

    #[test]
    fn our_client_satisfies_our_server() {
        for hash in [Hash::Md5, Hash::Sha256, Hash::Sha512Half] {
            let (mut pair, mut attempt) = (Pair::new("secret"), Attempt::default());
            let bare = pair.request(&mut attempt);
            assert_eq!(pair.verify(&bare), Err(Denied::Missing));
            pair.challenge(&mut attempt, hash);
            for _ in 0..3 {
                let request = pair.request(&mut attempt);
                assert_eq!(pair.verify(&request).as_deref(), Ok("alice"));
                assert_eq!(pair.verify(&request), Err(Denied::Stale), "a replay");
            }
        }
    }

    #[test]
    fn old_and_foreign_nonces_are_stale() {
        let (mut pair, mut attempt) = (Pair::new("secret"), Attempt::default());
        pair.challenge(&mut attempt, Hash::Sha256);
        pair.now += Duration::from_secs(61);
        let request = pair.request(&mut attempt);
        assert_eq!(pair.verify(&request), Err(Denied::Stale));

        let mut restarted = Pair::new("secret");
        restarted.server.secret = [8; 32];
        assert_eq!(restarted.verify(&request), Err(Denied::Stale));
    }

    #[test]
    fn wrong_or_bent_credentials_are_denied() {
        let (mut pair, mut attempt) = (Pair::new("wrong"), Attempt::default());
        pair.challenge(&mut attempt, Hash::Sha256);
        let request = pair.request(&mut attempt);
        assert_eq!(pair.verify(&request), Err(Denied::Wrong));

        let (mut pair, mut attempt) = (Pair::new("secret"), Attempt::default());
        pair.challenge(&mut attempt, Hash::Sha256);
        let text = String::from_utf8(pair.request(&mut attempt)).unwrap();
        for (from, to) in [
            ("INVITE", "BYE"),
            ("\"alice\"", "\"mallory\""),
            ("uri=\"sip:b@gw.example\"", "uri=\"sip:c@gw.example\""),
            ("nc=00000001", "nc=00000002"),
            ("nc=00000001", "nc=00000000"),
            ("nc=00000001", "nc=x"),
            ("qop=auth", "qop=auth-int"),
            ("SHA-256", "MD5"),
            ("response=\"", "response=\"0"),
            ("cnonce=", "xnonce="),
        ] {
            let bent = text.replacen(from, to, 1);
            assert_ne!(bent, text);
            assert_eq!(pair.verify(bent.as_bytes()), Err(Denied::Wrong), "{from} to {to}");
        }
        assert_eq!(
            pair.verify(text.replace("\"gw\"", "\"other\"").as_bytes()),
            Err(Denied::Missing)
        );
        // A proxy may have forwarded it: the caller signed what it called.
        for rewritten in ["INVITE sip:%62@GW", "INVITE sip:c@gw"] {
            let (mut pair, mut attempt) = (Pair::new("secret"), Attempt::default());
            pair.challenge(&mut attempt, Hash::Sha256);
            let text = String::from_utf8(pair.request(&mut attempt)).unwrap();
            let rewritten = text.replacen("INVITE sip:b@gw", rewritten, 1);
            assert_eq!(pair.verify(rewritten.as_bytes()).as_deref(), Ok("alice"));
        }
    }

    #[test]
    fn counts_are_bounded_and_forgetting_is_safe() {
        let (mut pair, mut attempt) = (Pair::new("secret"), Attempt::default());
        pair.challenge(&mut attempt, Hash::Sha256);
        let first = pair.request(&mut attempt);
        assert!(pair.verify(&first).is_ok());
        for _ in 0..COUNTS_MAX {
            let mut attempt = Attempt::default();
            pair.challenge(&mut attempt, Hash::Sha256);
            let request = pair.request(&mut attempt);
            assert!(pair.verify(&request).is_ok());
        }
        assert_eq!(pair.server.counts.len(), COUNTS_MAX);
        assert_eq!(pair.verify(&first), Err(Denied::Stale), "forgotten, yet no replay");
    }
}
