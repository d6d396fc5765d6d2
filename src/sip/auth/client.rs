//! Answers challenges, and spares later ones by using a nonce again.

use super::{Algorithm, Digested, Qop, bare, hash_joined};
use crate::sip::message::{Challenge, Message, MessageWriter, Name, quoted};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Times one request is sent again for the sake of challenges: 401 and 407, each stale once.
const RETRIES_MAX: u8 = 4;
/// A nonce longer than this is refused: it would go into every request.
const NONCE_MAX: usize = 1024;

/// Whom we are, to one realm only: the digest of a password is worth guessing at, so it is given
/// to nobody else (CVE-2021-41158).
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The digest user.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// The realm that may ask; compared letter by letter.
    pub realm: String,
}

/// Why a challenge is not answered; the 401 or 407 is then final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The response is no 401 or 407, or has no Digest challenge.
    #[error("no digest challenge")]
    NoChallenge,
    /// No challenge is of our realm.
    #[error("a challenge for a foreign realm")]
    ForeignRealm,
    /// None of the algorithms or qop values is known, or the nonce is missing or too long.
    #[error("a challenge that cannot be answered")]
    Unsupported,
    /// The credentials were given for a fresh nonce, and refused.
    #[error("the credentials were refused")]
    Rejected,
    /// Challenged again and again.
    #[error("challenged too often")]
    TooOften,
}

/// What a digest signs.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The Request-URI exactly as it is sent.
    pub uri: &'a str,
    /// The body exactly as it is sent.
    pub body: &'a [u8],
}

/// Who asks: the far end by 401, or a proxy by 407.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Server,
    Proxy,
}

impl Asker {
    const ALL: [Self; 2] = [Self::Server, Self::Proxy];

    const fn challenge(self) -> Name {
        match self {
            Self::Server => Name::WwwAuthenticate,
            Self::Proxy => Name::ProxyAuthenticate,
        }
    }

    const fn credentials(self) -> Name {
        match self {
            Self::Server => Name::Authorization,
            Self::Proxy => Name::ProxyAuthorization,
        }
    }
}

/// One request through all its retries: what it has answered so far. Starts as the default.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    server: Given,
    proxy: Given,
    retries: u8,
}

/// What one asker was given in an attempt.
#[derive(Debug, Clone, Default)]
struct Given {
    nonce: Option<Box<str>>,
    challenged: bool,
}

impl Attempt {
    fn given(&mut self, asker: Asker) -> &mut Given {
        match asker {
            Asker::Server => &mut self.server,
            Asker::Proxy => &mut self.proxy,
        }
    }
}

/// The client side of digest toward one trunk, with the last nonce of each asker.
///
/// Later requests are authorized with it before they are challenged (RFC 7616 §3.6), which halves
/// the round trips of a call.
#[derive(Debug)]
pub struct DigestClient {
    credentials: Credentials,
    server: Option<Answerable>,
    proxy: Option<Answerable>,
}

/// A challenge that is being answered. Texts as they stand between the quotes.
#[derive(Debug, Clone)]
struct Answerable {
    algorithm: Algorithm,
    /// Whether the challenge named its algorithm: some peers trip over one they did not send.
    named: bool,
    qop: Option<Qop>,
    realm: Box<str>,
    nonce: Box<str>,
    opaque: Option<Box<str>>,
    userhash: bool,
    count: u32,
    first_cnonce: Option<String>,
}

impl DigestClient {
    /// Begins without a nonce: the first request goes out bare.
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, server: None, proxy: None }
    }

    /// Reads the challenge of a 401 or 407; on `Ok` the request is to be sent again with
    /// [`DigestClient::authorize`] and a higher CSeq.
    ///
    /// Of several algorithms the strongest that we have is taken (RFC 8760 §2.4). A request is sent
    /// again once per nonce, and once more if the server says that only the nonce was stale.
    ///
    /// # Errors
    /// [`AuthError`]; the response is final.
    pub fn take_challenge(
        &mut self,
        response: &Message<'_>,
        attempt: &mut Attempt,
    ) -> Result<(), AuthError> {
        let asker = match response.code() {
            Some(401) => Asker::Server,
            Some(407) => Asker::Proxy,
            Some(_) | None => return Err(AuthError::NoChallenge),
        };
        let (nonce, stale) = self.strongest(response, asker)?;
        let given = attempt.given(asker);
        let repeated = given.nonce.as_deref() == Some(&*nonce.nonce);
        if repeated || (given.challenged && !stale) {
            *self.slot(asker) = None;
            return Err(AuthError::Rejected);
        }
        if attempt.retries >= RETRIES_MAX {
            return Err(AuthError::TooOften);
        }
        attempt.retries += 1;
        attempt.given(asker).challenged = true;
        *self.slot(asker) = Some(nonce);
        Ok(())
    }

    /// Writes the credentials for every asker known so far; nothing before the first challenge.
    ///
    /// `cnonce` is fresh randomness for each call.
    pub fn authorize(
        &mut self,
        writer: &mut MessageWriter<'_>,
        request: &SignedRequest<'_>,
        cnonce: u64,
        attempt: &mut Attempt,
    ) {
        for asker in Asker::ALL {
            let slot = match asker {
                Asker::Server => &mut self.server,
                Asker::Proxy => &mut self.proxy,
            };
            // A nonce whose count is used up is forgotten; the next challenge brings another.
            let Some(nonce) = slot.take_if(|nonce| nonce.count < u32::MAX) else { continue };
            let nonce = slot.insert(nonce);
            attempt.given(asker).nonce = Some(nonce.nonce.clone());
            let value = nonce.sign(&self.credentials, request, format!("{cnonce:016x}"));
            writer.header(asker.credentials(), value);
        }
    }

    /// Takes over the next nonce that a 2xx may bring (RFC 7615).
    pub fn take_info(&mut self, response: &Message<'_>) {
        let Some(info) = response.authentication_info() else { return };
        let next = info.raw("nextnonce").map(|raw| raw.trim_matches('"'));
        let Some(next) = next.filter(|next| (1..=NONCE_MAX).contains(&next.len())) else { return };
        if let Some(nonce) = &mut self.server {
            nonce.nonce = next.into();
            nonce.count = 0;
            nonce.first_cnonce = None;
        }
    }

    fn slot(&mut self, asker: Asker) -> &mut Option<Answerable> {
        match asker {
            Asker::Server => &mut self.server,
            Asker::Proxy => &mut self.proxy,
        }
    }

    /// The strongest challenge of our realm, and whether it says `stale`.
    fn strongest(
        &self,
        response: &Message<'_>,
        asker: Asker,
    ) -> Result<(Answerable, bool), AuthError> {
        let mut why = AuthError::NoChallenge;
        let mut best: Option<(Answerable, bool)> = None;
        for challenge in response.challenges(asker.challenge()).filter(Challenge::is_digest) {
            if challenge.get("realm").as_deref() != Some(&*self.credentials.realm) {
                why = if why == AuthError::NoChallenge { AuthError::ForeignRealm } else { why };
                continue;
            }
            why = AuthError::Unsupported;
            let stale = challenge.get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true"));
            let Some(nonce) = Answerable::of(&challenge) else { continue };
            if best.as_ref().is_none_or(|(best, _)| best.algorithm.hash < nonce.algorithm.hash) {
                best = Some((nonce, stale));
            }
        }
        best.ok_or(why)
    }
}

impl Answerable {
    fn of(challenge: &Challenge<'_>) -> Option<Self> {
        let nonce = bare(challenge, "nonce").filter(|nonce| nonce.len() <= NONCE_MAX)?;
        let offers = |qops: &str, name: &str| {
            qops.split(',').any(|offered| offered.trim().eq_ignore_ascii_case(name))
        };
        let qop = match challenge.get("qop") {
            None => None,
            Some(qops) if offers(&qops, "auth") => Some(Qop::Auth),
            Some(qops) if offers(&qops, "auth-int") => Some(Qop::AuthInt),
            Some(_) => return None,
        };
        // RFC 7616 §3.4.2 has no session without a client nonce, which only qop brings.
        let algorithm = Algorithm::of(challenge).filter(|a| qop.is_some() || !a.session)?;
        Some(Self {
            algorithm,
            named: challenge.params.raw("algorithm").is_some(),
            qop,
            realm: bare(challenge, "realm")?.into(),
            nonce: nonce.into(),
            opaque: bare(challenge, "opaque").filter(|o| o.len() <= NONCE_MAX).map(Into::into),
            userhash: challenge.get("userhash").is_some_and(|u| u.eq_ignore_ascii_case("true")),
            count: 0,
            first_cnonce: None,
        })
    }

    /// The value of Authorization for one request; counts it.
    fn sign(
        &mut self,
        credentials: &Credentials,
        request: &SignedRequest<'_>,
        cnonce: String,
    ) -> impl fmt::Display {
        self.count += 1;
        let first_cnonce = self.first_cnonce.get_or_insert_with(|| cnonce.clone()).clone();
        let response = Digested {
            algorithm: self.algorithm,
            username: &credentials.username,
            realm: &self.realm,
            password: credentials.password.expose_secret(),
            nonce: &self.nonce,
            cnonce: &cnonce,
            first_cnonce: &first_cnonce,
            nc: self.count,
            qop: self.qop,
            method: request.method,
            uri: request.uri,
            body: request.body,
        }
        .response();
        let signed = &*self;
        fmt::from_fn(move |f| {
            let Self { realm, nonce, algorithm, .. } = signed;
            if signed.userhash {
                let name = hash_joined(algorithm.hash, &[&credentials.username, realm]);
                write!(f, "Digest username=\"{name}\", userhash=true")?;
            } else {
                write!(f, "Digest username={}", quoted(&credentials.username))?;
            }
            write!(f, ", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{}\"", request.uri)?;
            write!(f, ", response=\"{response}\"")?;
            if signed.named {
                write!(f, ", algorithm={algorithm}")?;
            }
            if let Some(opaque) = &signed.opaque {
                write!(f, ", opaque=\"{opaque}\"")?;
            }
            match signed.qop {
                None => Ok(()),
                Some(qop) => {
                    let (qop, nc) = (qop.as_str(), signed.count);
                    write!(f, ", qop={qop}, nc={nc:08x}, cnonce=\"{cnonce}\"")
                }
            }
        })
    }
}

pub(super) fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let head = "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: ";
    let response = format!("{head}{text}\r\nContent-Length: 0\r\n\r\n");
    let Ok(response) = Message::parse(response.as_bytes()) else { return };
    let mut challenges = response.challenges(Name::WwwAuthenticate);
    let (Some(challenge), None) = (challenges.next(), challenges.next()) else { return };
    let realm = challenge.get("realm").unwrap_or_default().into_owned();
    let password = SecretString::from("zanzibar");
    let mut client =
        DigestClient::new(Credentials { username: "bo\"b".to_owned(), password, realm });
    let mut attempt = Attempt::default();
    let taken = client.take_challenge(&response, &mut attempt);
    let signed = SignedRequest { method: "INVITE", uri: "sip:a@b", body: b"x" };
    let mut out = Vec::new();
    let mut writer =
        MessageWriter::request(&mut out, crate::sip::message::Method::Invite, signed.uri);
    client.authorize(&mut writer, &signed, 7, &mut attempt);
    client.take_info(&response);
    assert!(writer.finish().is_ok());
    let request = Message::parse(&out);
    assert!(request.is_ok());
    let request = request.ok();
    let credentials = request.as_ref().and_then(|r| r.credentials(Name::Authorization).next());
    assert_eq!(credentials.is_some(), taken.is_ok());
    if let Some(credentials) = credentials {
        let same = |name| credentials.get(name) == challenge.get(name);
        assert!(same("realm") && same("nonce") && credentials.get("username").is_some());
    }
    if taken.is_ok() {
        assert_eq!(client.take_challenge(&response, &mut attempt), Err(AuthError::Rejected));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Method;

    fn client() -> DigestClient {
        DigestClient::new(Credentials {
            username: "bob".to_owned(),
            password: SecretString::from("zanzibar"),
            realm: "biloxi.com".to_owned(),
        })
    }

    fn challenge(code: u16, values: &[&str]) -> Vec<u8> {
        let name = if code == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        let mut out = Vec::new();
        let mut writer = MessageWriter::response(&mut out, code, "x");
        for value in values {
            writer.other(name, value);
        }
        writer.finish().unwrap();
        out
    }

    fn take(
        client: &mut DigestClient,
        attempt: &mut Attempt,
        bytes: &[u8],
    ) -> Result<(), AuthError> {
        client.take_challenge(&Message::parse(bytes).unwrap(), attempt)
    }

    /// What the next request of a client carries.
    fn sent(client: &mut DigestClient, attempt: &mut Attempt, cnonce: u64, body: &[u8]) -> String {
        let mut out = Vec::new();
        let mut writer = MessageWriter::request(&mut out, Method::Invite, "sip:bob@biloxi.com");
        let signed = SignedRequest { method: "INVITE", uri: "sip:bob@biloxi.com", body };
        client.authorize(&mut writer, &signed, cnonce, attempt);
        writer.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.split_inclusive("\r\n").collect();
        lines.into_iter().filter(|line| line.contains("uthorization")).collect()
    }

    const NONCE: &str = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
    const BODY: &[u8] = b"v=0\r\no=bob 2890844526 2890844526 IN IP4 media.biloxi.com\r\ns=-\r\n\
        c=IN IP4 media.biloxi.com\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n\
        m=video 51372 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\nm=video 53000 RTP/AVP 32\r\n\
        a=rtpmap:32 MPV/90000\r\n";

    #[test]
    fn the_first_challenge_is_answered_in_full() {
        let (mut client, mut attempt) = (client(), Attempt::default());
        assert_eq!(sent(&mut client, &mut attempt, 1, b""), "");
        let value = format!(
            "Digest realm=\"biloxi.com\", qop=\"auth,auth-int\", nonce=\"{NONCE}\", opaque=\"5c\", \
             algorithm=md5"
        );
        take(&mut client, &mut attempt, &challenge(401, &[&value])).unwrap();
        let want = format!(
            "Authorization: Digest username=\"bob\", realm=\"biloxi.com\", nonce=\"{NONCE}\", \
             uri=\"sip:bob@biloxi.com\", response=\"07d69cfd336eb481000a5d04c2025c30\", \
             algorithm=MD5, opaque=\"5c\", qop=auth, nc=00000001, cnonce=\"00000000deadbeef\"\r\n"
        );
        assert_eq!(sent(&mut client, &mut attempt, 0xdead_beef, b""), want);
    }

    /// Responses computed independently (hashlib), with the count at ten: hex, not decimal.
    #[test]
    fn every_algorithm_and_qop_counts_in_hex() {
        let cases = [
            ("MD5", "", "bf57e4e0d0bffc0fbaedce64d59add5e"),
            ("MD5", "auth", "fe4f727ffe565a2381b6939c7a93b4ef"),
            ("MD5-sess", "auth", "ed8b0aa65496f45a4f9ef1d245e910f0"),
            ("MD5", "auth-int", "74f4988bb7e02db79d272d51391b900c"),
            ("MD5-sess", "auth-int", "f7e910bfd3f15355d45d829ace85029f"),
            ("SHA-256", "", "38aad98c50c33abe72c5f88dd17246ffcfa6b1f68852c855719ff0659386c0ca"),
            ("SHA-256", "auth", "cbe45119f11aa953bd8a7e7ef3fa5f8ccfa3187eada3c2973bccbd53aa3b1f10"),
            (
                "SHA-256-sess",
                "auth",
                "1ff5441aba9984864e6bcce4578d0e8e3d59f3bc45f71183f6da7819853cc469",
            ),
            (
                "SHA-256",
                "auth-int",
                "49547a3f940a2f35792707c3b24a5b4bd6fae51c42c735626d78006054143543",
            ),
            (
                "SHA-512-256",
                "auth",
                "2e9f8d1bc5a7bac40ef4f1944f51d9761de78ba4aed18d74f8006602a9795202",
            ),
            (
                "SHA-512-256-sess",
                "auth-int",
                "cf53315c5cb8106ce6390425e05926c89acfb1d007d2b34c7c80d5b8e0f21078",
            ),
        ];
        for (algorithm, qop, want) in cases {
            let (mut client, mut attempt) = (client(), Attempt::default());
            let qop_param = if qop.is_empty() { String::new() } else { format!(", qop=\"{qop}\"") };
            let value = format!(
                "Digest realm=\"biloxi.com\", nonce=\"{NONCE}\", algorithm={algorithm}{qop_param}"
            );
            take(&mut client, &mut attempt, &challenge(407, &[&value])).unwrap();
            for _ in 0..9 {
                sent(&mut client, &mut attempt, 0xdead_beef, BODY);
            }
            let tenth = sent(&mut client, &mut attempt, 0xdead_beef, BODY);
            assert!(tenth.starts_with("Proxy-Authorization: "));
            assert!(tenth.contains(&format!("response=\"{want}\"")), "{algorithm} {qop}: {tenth}");
            assert_eq!(tenth.contains("nc=0000000a"), !qop.is_empty());
        }
    }

    #[test]
    fn the_strongest_algorithm_of_our_realm_is_taken() {
        let (mut client, mut attempt) = (client(), Attempt::default());
        let values = [
            "Basic realm=\"biloxi.com\"",
            "Digest realm=\"evil\", nonce=\"1\", algorithm=SHA-512-256",
            "Digest realm=\"biloxi.com\", nonce=\"2\", algorithm=MD5",
            "Digest realm=\"biloxi.com\", nonce=\"3\", algorithm=SHA-256, qop=\"auth\"",
            "Digest realm=\"biloxi.com\", nonce=\"4\", algorithm=SHA3",
            "Digest realm=\"biloxi.com\", nonce=\"5\", algorithm=SHA-512-256, qop=\"token\"",
        ];
        take(&mut client, &mut attempt, &challenge(401, &values)).unwrap();
        let line = sent(&mut client, &mut attempt, 1, b"");
        assert!(line.contains("nonce=\"3\"") && line.contains("algorithm=SHA-256,"), "{line}");
    }

    #[test]
    fn what_cannot_or_must_not_be_answered() {
        let long = format!("Digest realm=\"biloxi.com\", nonce=\"{}\"", "n".repeat(1025));
        let cases: &[(u16, &str, AuthError)] = &[
            (401, "Basic realm=\"biloxi.com\"", AuthError::NoChallenge),
            (401, "Digest realm=\"biloxi.com", AuthError::NoChallenge),
            (403, "Digest realm=\"biloxi.com\", nonce=\"1\"", AuthError::NoChallenge),
            (401, "Digest nonce=\"1\"", AuthError::ForeignRealm),
            (401, "Digest realm=\"Biloxi.com\", nonce=\"1\"", AuthError::ForeignRealm),
            (401, "Digest realm=\"biloxi.com\"", AuthError::Unsupported),
            (401, "Digest realm=\"biloxi.com\", nonce=1, algorithm=SHA", AuthError::Unsupported),
            (401, "Digest realm=\"biloxi.com\", nonce=1, qop=\"x\"", AuthError::Unsupported),
            (
                401,
                "Digest realm=\"biloxi.com\", nonce=1, algorithm=MD5-sess",
                AuthError::Unsupported,
            ),
            (401, &long, AuthError::Unsupported),
        ];
        for (code, value, want) in cases {
            let (mut client, mut attempt) = (client(), Attempt::default());
            let got = take(&mut client, &mut attempt, &challenge(*code, &[value]));
            assert_eq!(got, Err(*want), "{value:.60}");
            assert_eq!(sent(&mut client, &mut attempt, 1, b""), "");
        }
    }

    fn nonce(name: &str, stale: bool) -> Vec<u8> {
        let stale = if stale { ", stale=TRUE" } else { "" };
        challenge(
            401,
            &[&format!("Digest realm=\"biloxi.com\", qop=\"auth\", nonce=\"{name}\"{stale}")],
        )
    }

    #[test]
    fn wrong_credentials_are_given_once() {
        let (mut client, mut attempt) = (client(), Attempt::default());
        take(&mut client, &mut attempt, &nonce("1", false)).unwrap();
        sent(&mut client, &mut attempt, 1, b"");
        for next in ["1", "2"] {
            let got = take(&mut client, &mut attempt.clone(), &nonce(next, false));
            assert_eq!(got, Err(AuthError::Rejected), "nonce {next}");
        }
        assert_eq!(sent(&mut client, &mut Attempt::default(), 1, b""), "", "nonce is forgotten");
    }

    #[test]
    fn stale_nonces_are_replaced_within_bounds() {
        let (mut client, mut attempt) = (client(), Attempt::default());
        for (i, name) in ["1", "2", "3", "4"].into_iter().enumerate() {
            take(&mut client, &mut attempt, &nonce(name, i > 0)).unwrap();
            assert!(sent(&mut client, &mut attempt, 1, b"").contains("nc=00000001"));
        }
        let got = take(&mut client, &mut attempt, &nonce("5", true));
        assert_eq!(got, Err(AuthError::TooOften));
    }

    #[test]
    fn later_requests_use_the_nonce_before_they_are_asked() {
        let (mut client, mut first) = (client(), Attempt::default());
        take(&mut client, &mut first, &nonce("1", false)).unwrap();
        assert!(sent(&mut client, &mut first, 1, b"").contains("nc=00000001"));
        let mut second = Attempt::default();
        assert!(sent(&mut client, &mut second, 2, b"").contains("nonce=\"1\""));
        // The nonce ran out, and this server does not say stale: asked once, answered once.
        take(&mut client, &mut second, &nonce("2", false)).unwrap();
        assert!(sent(&mut client, &mut second, 3, b"").contains("nc=00000001"));

        let info = b"SIP/2.0 200 OK\r\nAuthentication-Info: nextnonce=\"9\"\r\n\r\n";
        client.take_info(&Message::parse(info).unwrap());
        let line = sent(&mut client, &mut Attempt::default(), 4, b"");
        assert!(line.contains("nonce=\"9\"") && line.contains("nc=00000001"), "{line}");
    }

    #[test]
    fn a_proxy_and_a_server_are_both_answered() {
        let (mut client, mut attempt) = (client(), Attempt::default());
        let proxy = challenge(407, &["Digest realm=\"biloxi.com\", nonce=\"p\""]);
        take(&mut client, &mut attempt, &proxy).unwrap();
        sent(&mut client, &mut attempt, 1, b"");
        take(&mut client, &mut attempt, &nonce("s", false)).unwrap();
        let lines = sent(&mut client, &mut attempt, 1, b"");
        let names: Vec<_> = lines.lines().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["Authorization", "Proxy-Authorization"]);
    }

    #[test]
    fn odd_names_are_quoted_or_hashed() {
        let credentials = Credentials {
            username: "a\"b".to_owned(),
            password: SecretString::from("p"),
            realm: "r \"x\"".to_owned(),
        };
        let (mut client, mut attempt) = (DigestClient::new(credentials), Attempt::default());
        let value = "Digest realm=\"r \\\"x\\\"\", nonce=\"1\"";
        take(&mut client, &mut attempt, &challenge(401, &[value])).unwrap();
        let line = sent(&mut client, &mut attempt, 1, b"");
        assert!(line.contains(r#"username="a\"b", realm="r \"x\"","#), "{line}");

        let value = "Digest realm=\"r \\\"x\\\"\", nonce=\"2\", userhash=true, stale=true";
        take(&mut client, &mut attempt, &challenge(401, &[value])).unwrap();
        let line = sent(&mut client, &mut attempt, 1, b"");
        assert!(line.contains("userhash=true") && !line.contains("a\\\"b"), "{line}");
    }
}
