//! The certificate of a PASSporT: from PEM to an authority that we trust, and its key's signature.
//!
//! Owns the bounds on foreign certificates. The path is built and checked by `webpki`, signatures
//! by `ring` below it. Extended key usage is not looked at: RFC 8226 gives these certificates none.

use super::Fault;
use super::passport::SIGNATURE;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::ring as algorithms;
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter};

/// Most certificates of a chain.
const CHAIN_MAX: usize = 8;
/// Most octets of a chain in PEM.
pub const PEM_MAX: usize = 64 * 1024;

/// How certificates may be signed. SHAKEN has ES256 only; roots of others may be older.
const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 7] = [
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// Why a text does not make certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Too many octets or certificates.
    #[error("it is too large")]
    TooLarge,
    /// Not PEM.
    #[error("it is not PEM")]
    Pem,
    /// PEM without a certificate.
    #[error("it has no certificate in it")]
    Empty,
    /// A certificate that cannot be read.
    #[error("it has a certificate that cannot be read")]
    Certificate,
}

/// The authorities that are trusted.
#[derive(Debug, Clone)]
pub struct Anchors(Vec<TrustAnchor<'static>>);

impl Anchors {
    /// Reads certificates of authorities, one PEM section each.
    ///
    /// # Errors
    /// [`ChainError`]; one that cannot be read spoils all, so that none is missing unseen.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ChainError> {
        let certificates = sections(pem, usize::MAX)?;
        let anchor = |certificate: &CertificateDer<'_>| {
            let anchor = webpki::anchor_from_trusted_cert(certificate);
            anchor.map(|anchor| anchor.to_owned()).map_err(|_| ChainError::Certificate)
        };
        certificates.iter().map(anchor).collect::<Result<_, _>>().map(Self)
    }
}

/// A certificate and what leads from it to its authority; readable, not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
}

impl Chain {
    /// Reads PEM: the certificate first, then those that lead to its authority; at most 8.
    ///
    /// # Errors
    /// [`ChainError`]
    //= RFC 7515 §4.1.5: x5u leads to PEM, the certificate of the key first, each followed by the
    //= one that certifies it
    pub fn from_pem(pem: &[u8]) -> Result<Self, ChainError> {
        if pem.len() > PEM_MAX {
            return Err(ChainError::TooLarge);
        }
        let certificates = sections(pem, CHAIN_MAX)?;
        for certificate in &certificates {
            EndEntityCert::try_from(certificate).map_err(|_| ChainError::Certificate)?;
        }
        Ok(Self { certificates })
    }

    /// Octets that it takes.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.certificates.iter().map(|certificate| certificate.len()).sum()
    }

    /// Whether it leads to an authority, is valid at `unix` (since the Unix epoch), and its key has
    /// made this ES256 signature.
    ///
    /// # Errors
    /// [`Fault::Untrusted`], [`Fault::Signature`]
    pub fn verify(
        &self,
        anchors: &Anchors,
        unix: Duration,
        signed: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> Result<(), Fault> {
        let Some((first, rest)) = self.certificates.split_first() else {
            return Err(Fault::Untrusted("there is none"));
        };
        let own = EndEntityCert::try_from(first).map_err(|error| Fault::Untrusted(why(&error)))?;
        let time = UnixTime::since_unix_epoch(unix);
        //= RFC 8224 §6.2: the certificate is validated up to an authority that the verifier trusts
        own.verify_for_usage(&ALGORITHMS, &anchors.0, rest, time, AnyUsage, None, None)
            .map_err(|error| Fault::Untrusted(why(&error)))?;
        own.verify_signature(algorithms::ECDSA_P256_SHA256, signed, &der(signature)).map_err(
            |error| match error {
                Error::InvalidSignatureForPublicKey => Fault::Signature,
                _ => Fault::Untrusted("its key is none of ES256"),
            },
        )
    }
}

/// Takes every extended key usage.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}

fn sections(pem: &[u8], most: usize) -> Result<Vec<CertificateDer<'static>>, ChainError> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        if certificates.len() == most {
            return Err(ChainError::TooLarge);
        }
        certificates.push(certificate.map_err(|_| ChainError::Pem)?);
    }
    if certificates.is_empty() { Err(ChainError::Empty) } else { Ok(certificates) }
}

/// What `webpki` found, in words.
fn why(error: &Error) -> &'static str {
    match error {
        Error::CertExpired { .. } => "it has expired",
        Error::CertNotValidYet { .. } => "it is not valid yet",
        Error::UnknownIssuer => "no authority of sip.identity.trust_anchors has issued it",
        Error::CaUsedAsEndEntity => "it is an authority's own",
        Error::InvalidSignatureForPublicKey => "it is not signed by its issuer",
        _ => "it does not hold",
    }
}

/// An ES256 signature of JWS (two numbers) as the DER that certificates have.
//= RFC 7518 §3.4: the signature is R and S as big-endian octets, one behind the other
fn der(signature: &[u8; SIGNATURE]) -> Vec<u8> {
    let (r, s) = signature.split_at(SIGNATURE / 2);
    let mut body = Vec::with_capacity(SIGNATURE + 8);
    for number in [r, s] {
        let zeros = number.iter().take_while(|octet| **octet == 0).count();
        let digits = number.get(zeros..).filter(|digits| !digits.is_empty()).unwrap_or(&[0]);
        let sign = digits.first().is_some_and(|first| *first >= 0x80);
        // At most 33: one octet of length is enough.
        let length = u8::try_from(digits.len() + usize::from(sign)).unwrap_or(u8::MAX);
        body.extend_from_slice(&[0x02, length]);
        body.extend(sign.then_some(0));
        body.extend_from_slice(digits);
    }
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut sequence = vec![0x30, length];
    sequence.append(&mut body);
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_become_the_shortest_der() {
        let mut signature = [0; 64];
        signature[31] = 1;
        signature[32] = 0x80;
        let made = der(&signature);
        assert_eq!(made[..5], [0x30, 38, 0x02, 1, 1]);
        assert_eq!(made[5..9], [0x02, 33, 0, 0x80]);
        assert_eq!(der(&[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(der(&[0xff; 64]).len(), 72);
    }
}
