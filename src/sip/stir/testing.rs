//! PASSporTs for tests: an authority of our own, signers that it certifies, and what they sign.

use super::chain::{Anchors, Chain};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

/// The moment of the tests, in seconds since the Unix epoch: 2026-11-22.
pub(crate) const NOW: u64 = 1_795_305_600;
/// Where certificates are said to be.
pub(crate) const URL: &str = "https://cert.example/a.pem";

/// Issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// Signs PASSporTs.
pub(crate) struct Signer {
    pub(crate) pem: String,
    key: EcdsaKeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (params, key) = (authority_params(), KeyPair::generate().unwrap());
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// An authority below this one; its PEM is what leads to it.
    pub(crate) fn below(&self) -> Self {
        let (params, key) = (authority_params(), KeyPair::generate().unwrap());
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn anchors(&self) -> Anchors {
        Anchors::from_pem(self.pem.as_bytes()).unwrap()
    }

    /// A signer whose certificate is valid from 2001 to the first day of this year.
    pub(crate) fn issue(&self, year: i32) -> Signer {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der(), &random).unwrap();
        Signer { pem, key }
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = URL_SAFE_NO_PAD.encode(&KeyPair::generate().unwrap().public_key_raw()[1..9]);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params
}

impl Signer {
    pub(crate) fn chain(&self) -> Chain {
        Chain::from_pem(self.pem.as_bytes()).unwrap()
    }

    /// The Identity of a call from 14155550123 to 15550100, made at this moment.
    pub(crate) fn identity(&self, iat: u64) -> String {
        self.sign(&header(), &payload(iat))
    }

    /// Signs header and payload and writes the header field.
    pub(crate) fn sign(&self, header: &Value, payload: &Value) -> String {
        let url = header["x5u"].as_str().unwrap_or(URL);
        format!("{};info=<{url}>;alg=ES256;ppt=shaken", self.jws(header, payload))
    }

    pub(crate) fn jws(&self, header: &Value, payload: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(payload));
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

pub(crate) fn header() -> Value {
    json!({"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": URL})
}

pub(crate) fn payload(iat: u64) -> Value {
    json!({
        "attest": "A",
        "dest": {"tn": ["15550100"]},
        "iat": iat,
        "orig": {"tn": "14155550123"},
        "origid": "123e4567-e89b-12d3-a456-426655440000",
    })
}
