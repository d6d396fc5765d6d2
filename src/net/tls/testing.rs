//! Certificates for tests: an authority of our own, and what it issues.

use super::TlsSpec;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// An authority with a directory to put files in.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
    pub file: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, own.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), directory, file }
    }

    /// A client that trusts us and has no certificate.
    pub(crate) fn stranger(&self) -> tokio_rustls::TlsConnector {
        let mut trusted = rustls::RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_file(&self.file).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(super::provider());
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(trusted).with_no_client_auth();
        tokio_rustls::TlsConnector::from(Arc::new(config))
    }

    /// Issues a certificate for these names into files that begin with `label`, until this year.
    pub(crate) fn issue(&self, label: &str, names: &[&str], year: i32) -> TlsSpec {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let path = |ending: &str| self.directory.path().join(format!("{label}.{ending}"));
        std::fs::write(path("pem"), made.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        TlsSpec {
            certificate: path("pem"),
            key: path("key"),
            ca: Some(self.file.clone()),
            require_client_certificate: false,
        }
    }
}
