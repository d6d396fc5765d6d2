//! The PASSporT: a JWS of who calls whom and when (RFC 8225), of type shaken (RFC 8588).
//!
//! Owns its three parts, what must be in them and their bounds, and whom they speak of. Does not
//! know certificates.

use super::field::Field;
use super::{Attestation, Fault, Party};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Octets of an ES256 signature: two numbers of 32 each.
pub(super) const SIGNATURE: usize = 64;
/// Most callees.
const DEST_MAX: usize = 16;
/// Most letters of a number or URI.
const PARTY_MAX: usize = 256;
/// Most letters of origid.
const ORIGID_MAX: usize = 128;

/// A PASSporT that can be read; nothing in it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passport {
    /// Where its certificate is: an https URL.
    pub x5u: String,
    /// How sure the signer is.
    pub attest: Attestation,
    /// Who calls.
    pub orig: Signed,
    /// Who is called.
    pub dest: Vec<Signed>,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: u64,
    /// The signer's own id.
    pub origid: String,
    /// What is signed: the first two parts with the dot between them.
    pub input: String,
    /// The signature.
    pub signature: [u8; SIGNATURE],
}

/// A party as a PASSporT names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signed {
    /// `tn`.
    Number(String),
    /// `uri`.
    Uri(String),
}

#[derive(Deserialize)]
struct Jose {
    alg: String,
    typ: Option<String>,
    ppt: Option<String>,
    x5u: Option<String>,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Payload {
    attest: String,
    dest: Dest,
    iat: u64,
    orig: Orig,
    origid: String,
}

#[derive(Deserialize)]
struct Orig {
    tn: Option<String>,
    uri: Option<String>,
}

#[derive(Deserialize)]
struct Dest {
    #[serde(default)]
    tn: Vec<String>,
    #[serde(default)]
    uri: Vec<String>,
}

impl Passport {
    /// Reads the value of an Identity header field; `None`: its PASSporT is of another type.
    pub(super) fn read(value: &str) -> Result<Option<Self>, Fault> {
        let field = Field::read(value)?;
        if field.ppt.is_some_and(|ppt| ppt != "shaken") {
            return Ok(None);
        }
        let mut parts = field.jws.split('.');
        let (Some(head), Some(body), Some(tail), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::Passport("has not three parts"));
        };
        //= RFC 8224 §7: the compact form leaves header and payload out; RFC 8588 §5 wants the full
        //= form with type shaken
        if head.is_empty() && body.is_empty() {
            return Err(Fault::Compact);
        }
        let jose: Jose = json(head, "has a header that cannot be read")?;
        if jose.ppt.as_deref() != Some("shaken") {
            return match field.ppt {
                Some(_) => Err(Fault::Passport("is of another type than ppt says")),
                None => Ok(None),
            };
        }
        let x5u = address(&jose, &field)?;
        let payload: Payload = json(body, "has a payload that cannot be read")?;
        let mut signature = [0; SIGNATURE];
        match URL_SAFE_NO_PAD.decode_slice(tail, &mut signature) {
            Ok(SIGNATURE) => {}
            Ok(_) | Err(_) => return Err(Fault::Passport("has a signature that is no ES256")),
        }
        let attest = match payload.attest.as_str() {
            "A" => Attestation::Full,
            "B" => Attestation::Partial,
            "C" => Attestation::Gateway,
            _ => return Err(Fault::Passport("has an attest that is not A, B or C")),
        };
        let origid = &payload.origid;
        if origid.chars().count() > ORIGID_MAX || origid.contains(char::is_control) {
            return Err(Fault::Passport("has an origid that is too long or no text"));
        }
        Ok(Some(Self {
            x5u,
            attest,
            orig: orig(payload.orig)?,
            dest: dest(payload.dest)?,
            iat: payload.iat,
            origid: payload.origid,
            input: format!("{head}.{body}"),
            signature,
        }))
    }

    /// Whether it speaks of one of these callers and one of these callees.
    pub(super) fn is_of(&self, callers: &[Party], callees: &[Party]) -> Result<(), Fault> {
        if !callers.iter().any(|caller| self.orig.is(caller)) {
            return Err(Fault::OtherCaller);
        }
        let called = |dest: &Signed| callees.iter().any(|callee| dest.is(callee));
        if !self.dest.iter().any(called) {
            return Err(Fault::OtherCallee);
        }
        Ok(())
    }
}

impl Signed {
    fn is(&self, party: &Party) -> bool {
        match self {
            Self::Number(number) => {
                let signed = super::number::canonical(number);
                signed.is_some() && signed.as_deref() == party.number()
            }
            Self::Uri(uri) => {
                let signed = Party::of_uri(uri);
                signed.is_some_and(|signed| signed.uri().is_some() && signed.uri() == party.uri())
            }
        }
    }

    /// The number or URI as it stands.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Number(text) | Self::Uri(text) => text,
        }
    }
}

/// Checks the header, and gives the certificate's address.
fn address(jose: &Jose, field: &Field<'_>) -> Result<String, Fault> {
    //= RFC 8225 §4: typ is passport and alg is ES256
    if jose.typ.as_deref() != Some("passport") {
        return Err(Fault::Passport("has a typ that is not passport"));
    }
    if jose.alg != "ES256" {
        return Err(Fault::Passport("is signed by another algorithm than ES256"));
    }
    //= RFC 7515 §4.1.11: a JWS with crit that names what is not understood is invalid
    if jose.crit.is_some() {
        return Err(Fault::Passport("has crit, of which nothing is understood"));
    }
    let x5u = jose.x5u.as_deref().ok_or(Fault::Passport("has no x5u"))?;
    //= RFC 8224 §4.1: info holds the same URI as x5u
    if x5u != field.info {
        return Err(Fault::OtherAddress);
    }
    let https = x5u.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
    if !https || x5u.len() == 8 || x5u.contains(char::is_whitespace) {
        return Err(Fault::Address);
    }
    Ok(x5u.to_owned())
}

fn json<T: DeserializeOwned>(part: &str, fault: &'static str) -> Result<T, Fault> {
    let octets = URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Passport(fault))?;
    serde_json::from_slice(&octets).map_err(|_| Fault::Passport(fault))
}

//= RFC 8225 §5.2.1: orig has one identity, dest has at least one
fn orig(orig: Orig) -> Result<Signed, Fault> {
    let party = match (orig.tn, orig.uri) {
        (Some(number), None) => Signed::Number(number),
        (None, Some(uri)) => Signed::Uri(uri),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Fault::Passport("has an orig that is not one number or URI"));
        }
    };
    bounded(party)
}

fn dest(dest: Dest) -> Result<Vec<Signed>, Fault> {
    let count = dest.tn.len() + dest.uri.len();
    if count == 0 || count > DEST_MAX {
        return Err(Fault::Passport("has no dest, or too many"));
    }
    let numbers = dest.tn.into_iter().map(Signed::Number);
    numbers.chain(dest.uri.into_iter().map(Signed::Uri)).map(bounded).collect()
}

fn bounded(party: Signed) -> Result<Signed, Fault> {
    let (Signed::Number(text) | Signed::Uri(text)) = &party;
    if text.chars().count() > PARTY_MAX || text.contains(char::is_control) {
        return Err(Fault::Passport("has a number or URI that is too long or no text"));
    }
    Ok(party)
}
