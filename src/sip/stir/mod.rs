//! Who calls, as somebody signed it: STIR (RFC 8224, RFC 8225, RFC 8226) with SHAKEN (RFC 8588).
//!
//! ```text
//!  INVITE ─ Claims ─> Examination ─ Step::Fetch(url) ─> shell ─ Chain ─> Examination ─> Finding
//!                                                        └ CertificateCache
//! ```
//!
//! Owns the Identity header field, the PASSporT in it, the comparison of numbers, the signature, the
//! chain of its certificate, and what is remembered of certificates. Fetches nothing, and does not
//! decide what becomes of a call. TNAuthList (RFC 8226 §9) is not evaluated: whose numbers a
//! certificate may sign is left to the authorities that are trusted. Revocation is not asked for.

pub mod cache;
pub mod chain;
mod examination;
mod field;
mod fuzz;
pub mod number;
mod passport;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use examination::{Claims, Examination, Step};
pub use fuzz::fuzz_entry;
pub use number::Party;

use passport::Passport;

/// How sure the signer is of the caller (RFC 8588 §4); the surest is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attestation {
    /// `C`: the call came in through the signer's gateway, nothing more is known.
    Gateway,
    /// `B`: the signer knows the customer, not whether the number is theirs.
    Partial,
    /// `A`: the signer knows the customer and that they may use the number.
    Full,
}

impl Attestation {
    /// The letter on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "A",
            Self::Partial => "B",
            Self::Gateway => "C",
        }
    }
}

/// Why a call is not verified; in words for logs and the call object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing is signed.
    #[error("there is no Identity header field")]
    Missing,
    /// PASSporTs of other types (`div`, `rcd`) only; they say nothing about who calls.
    #[error("no Identity header field has a PASSporT of type shaken")]
    OtherType,
    /// Only the signature, without what is signed (RFC 8224 §7).
    #[error("the PASSporT is in compact form, which type shaken does not permit")]
    Compact,
    /// The header field cannot be read.
    #[error("the Identity header field {0}")]
    Field(&'static str),
    /// The PASSporT cannot be read, or is of a kind that we do not take.
    #[error("the PASSporT {0}")]
    Passport(&'static str),
    /// Signed and unsigned address of the certificate differ.
    #[error("x5u of the PASSporT and info of the Identity header field differ")]
    OtherAddress,
    /// Made too long ago, or in the future.
    #[error("the PASSporT is not fresh: its iat is {0} s from now")]
    Stale(u64),
    /// Signed for another caller.
    #[error("orig of the PASSporT is neither From nor P-Asserted-Identity")]
    OtherCaller,
    /// Signed for another callee.
    #[error("dest of the PASSporT is neither To nor the Request-URI")]
    OtherCallee,
    /// The certificate is not at an https URL.
    #[error("the certificate's address is no https URL")]
    Address,
    /// The certificate could not be fetched.
    #[error("the certificate cannot be had: {0}")]
    Unavailable(String),
    /// The time that the call may wait was over first.
    #[error("the certificate did not come within {0} ms")]
    Pending(u64),
    /// The certificate does not lead to an authority that we trust.
    #[error("the certificate is not trusted: {0}")]
    Untrusted(&'static str),
    /// The signature is not that of the certificate's key.
    #[error("the signature is wrong")]
    Signature,
}

/// How a call stands that is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Signed wrongly.
    Invalid,
    /// Not signed.
    None,
    /// The certificate could not be had.
    Unavailable,
    /// The certificate had not come when the call had to go on.
    Pending,
}

impl Fault {
    /// How a call with this fault stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self {
            Self::Missing | Self::OtherType => Standing::None,
            Self::Unavailable(_) => Standing::Unavailable,
            Self::Pending(_) => Standing::Pending,
            Self::Compact
            | Self::Field(_)
            | Self::Passport(_)
            | Self::OtherAddress
            | Self::Stale(_)
            | Self::OtherCaller
            | Self::OtherCallee
            | Self::Address
            | Self::Untrusted(_)
            | Self::Signature => Standing::Invalid,
        }
    }

    /// Status and reason phrase for a call that must be verified.
    #[must_use]
    pub fn refusal(&self) -> (u16, &'static str) {
        match self {
            //= RFC 8224 §6.2.2: 428 when an Identity header field is required and there is none
            //= that can be used
            Self::Missing | Self::OtherType => (428, "Use Identity Header"),
            //= RFC 8224 §6.2.2: 403 Stale Date when the PASSporT is older than local policy allows
            Self::Stale(_) => (403, "Stale Date"),
            //= RFC 8224 §6.2.2: 436 when the certificate cannot be acquired from its info URI
            Self::Address | Self::Unavailable(_) | Self::Pending(_) => (436, "Bad Identity Info"),
            //= RFC 8224 §6.2.2: 437 when the credential is not one that the verifier takes
            Self::Untrusted(_) => (437, "Unsupported Credential"),
            //= RFC 8224 §6.2.2: 438 when the signature does not correspond to the request
            Self::Compact
            | Self::Field(_)
            | Self::Passport(_)
            | Self::OtherAddress
            | Self::OtherCaller
            | Self::OtherCallee
            | Self::Signature => (438, "Invalid Identity Header"),
        }
    }
}

/// What is known of a call whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How sure the signer is.
    pub attest: Attestation,
    /// Who calls: a number without `+`, or a URI.
    pub orig: String,
    /// Who is called; at most 16.
    pub dest: Vec<String>,
    /// The signer's own id of where the call came from, usually a UUID.
    pub origid: String,
}

/// The result of an examination.
pub type Finding = Result<Verified, Fault>;

/// Status and reason phrase for a call that must be verified with at least `least`; `None`: it may
/// come in.
#[must_use]
pub fn refusal(finding: &Finding, least: Attestation) -> Option<(u16, &'static str)> {
    match finding {
        Ok(verified) if verified.attest >= least => None,
        // RFC 8224 has no status for a policy of the callee's; 403 is RFC 3261's.
        Ok(_) => Some((403, "Insufficient Attestation")),
        Err(fault) => Some(fault.refusal()),
    }
}

/// Whether a text can stand in an INVITE as the value of Identity: one line, full form, with a
/// PASSporT of type shaken for this caller and callee. Checks no signature: the text is our own
/// signer's.
///
/// # Errors
/// [`Fault`]: what is wrong with it.
pub fn may_be_sent(value: &str, caller: &Party, callee: &Party) -> Result<(), Fault> {
    let Some(passport) = Passport::read(value)? else { return Err(Fault::OtherType) };
    passport.is_of(std::slice::from_ref(caller), std::slice::from_ref(callee))
}
