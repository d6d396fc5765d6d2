//! TLS for SIP: our certificate and key from files, whom we trust, and both sides' handshakes.
//!
//! ```text
//!  files ── Tls::load / reload ──> { ServerConfig, ClientConfig } ──> accept, connect
//! ```
//!
//! A handshake takes the setup that is current when it begins; a reload changes what later ones
//! take and touches no open connection. Does not open sockets and decides nothing about SIP.

use super::{provider, roots, validity};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// The largest file of certificates that is read.
const FILE_MAX: u64 = 4 << 20;

/// Our certificate, and whom we trust; plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSpec {
    /// PEM file: our certificate first, then those that lead to its issuer.
    pub certificate: PathBuf,
    /// PEM file: its private key.
    pub key: PathBuf,
    /// PEM file of further authorities that we trust: for servers beside those of the system, for
    /// clients alone.
    pub ca: Option<PathBuf>,
    /// Demand a certificate of every peer that connects, issued by one of `ca`.
    pub require_client_certificate: bool,
}

/// Why the files do not make a setup.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not PEM, or has not what it should have.
    #[error("{} {why}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong with it; never a piece of its content.
        why: &'static str,
    },
    /// The certificate and the key do not work together, or with us.
    #[error("{} does not work with the key {}: {why}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        why: String,
    },
    /// Client certificates are demanded, but nobody is named who may issue them.
    #[error("client certificates are required, but no file of their authorities is named")]
    NoClientAuthority,
}

/// What is worth knowing of a setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFacts {
    /// When our certificate ends; `None` if it does not say so in the usual way.
    pub not_after: Option<SystemTime>,
    /// It has ended: peers that check it will refuse us.
    pub expired: bool,
}

/// A TCP connection whose TLS handshake is over, from either side.
pub type TlsConnection = TlsStream<TcpStream>;

/// The setup that handshakes take; clones share it.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<Setup>>>);

struct Setup {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    facts: TlsFacts,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.current().facts).finish()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// Cost: blocks for a few small files, and once for the system's certificates.
    ///
    /// # Errors
    /// [`TlsError`], with the file to look at.
    pub fn load(spec: &TlsSpec) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(Setup::load(spec)?)))))
    }

    /// Reads the files again, or others; handshakes from here on take them.
    ///
    /// Open connections go on as they are, and sessions made before are not resumed.
    ///
    /// # Errors
    /// [`TlsError`]; the setup stays as it was.
    pub fn reload(&self, spec: &TlsSpec) -> Result<TlsFacts, TlsError> {
        let setup = Arc::new(Setup::load(spec)?);
        let facts = setup.facts;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = setup;
        Ok(facts)
    }

    /// What is worth knowing of the certificate in use.
    #[must_use]
    pub fn facts(&self) -> TlsFacts {
        self.current().facts.at(SystemTime::now())
    }

    /// The handshake with a peer that connected to us.
    ///
    /// # Errors
    /// What failed; the peer has been told.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsConnection> {
        let server = Arc::clone(&self.current().server);
        TlsAcceptor::from(server).accept(stream).await.map(TlsStream::from)
    }

    /// The handshake with a peer that we connected to, whose certificate must show `name`, or
    /// `address` without one.
    ///
    /// # Errors
    /// What failed, e.g. a certificate for somebody else, or one that has ended.
    //= RFC 5922 §4: the domain of the URI is the name that the certificate must show
    //= RFC 6066 §3: the server name goes along, but never a literal address
    pub async fn connect(
        &self,
        stream: TcpStream,
        name: Option<&str>,
        address: SocketAddr,
    ) -> io::Result<TlsConnection> {
        // Carriers use wildcard certificates, which RFC 5922 §7.2 forbids: they are accepted.
        let name = match name {
            Some(name) => {
                let bare = name.trim_matches(['[', ']']).trim_end_matches('.').to_owned();
                ServerName::try_from(bare)
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not a host name"))?
            }
            None => ServerName::from(address.ip().to_canonical()),
        };
        let client = Arc::clone(&self.current().client);
        TlsConnector::from(client).connect(name, stream).await.map(TlsStream::from)
    }

    fn current(&self) -> Arc<Setup> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TlsFacts {
    fn at(self, now: SystemTime) -> Self {
        Self { expired: self.not_after.is_some_and(|end| end <= now), ..self }
    }
}

impl Setup {
    fn load(spec: &TlsSpec) -> Result<Self, TlsError> {
        let chain = certificates(&spec.certificate)?;
        let key = private_key(&spec.key)?;
        let authorities = match &spec.ca {
            Some(file) => Some((file, certificates(file)?)),
            None => None,
        };
        let pair = |error: rustls::Error| TlsError::Pair {
            certificate: spec.certificate.clone(),
            key: spec.key.clone(),
            why: error.to_string(),
        };
        let (mut trusted, mut clients) = (roots().clone(), RootCertStore::empty());
        if let Some((file, authorities)) = authorities {
            for authority in authorities {
                let unfit = |_| content(file, "has a certificate that cannot be an authority");
                trusted.add(authority.clone()).map_err(unfit)?;
                clients.add(authority).map_err(unfit)?;
            }
        }
        let not_after = chain.first().and_then(|own| validity::not_after(own));
        let client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_root_certificates(trusted)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(pair)?;
        let server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let server = if spec.require_client_certificate {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(clients), provider())
                    .build()
                    .map_err(|_| TlsError::NoClientAuthority)?;
            server.with_client_cert_verifier(verifier)
        } else {
            server.with_no_client_auth()
        };
        let server = server.with_single_cert(chain, key).map_err(pair)?;
        let facts = TlsFacts { not_after, expired: false }.at(SystemTime::now());
        Ok(Self { server: Arc::new(server), client: Arc::new(client), facts })
    }
}

pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    let found = found.map_err(|error| broken(file, &error))?;
    if found.is_empty() {
        return Err(content(file, "has no certificate in it"));
    }
    Ok(found)
}

pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| match error {
        pem::Error::NoItemsFound => content(file, "has no private key in it that is not encrypted"),
        error => broken(file, &error),
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error| TlsError::Read { file: file.to_owned(), error };
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > FILE_MAX {
        return Err(content(file, "is too large"));
    }
    std::fs::read(file).map_err(failed)
}

pub(super) fn content(file: &Path, why: &'static str) -> TlsError {
    TlsError::Content { file: file.to_owned(), why }
}

/// Says what is wrong with the PEM text, without repeating any of it.
fn broken(file: &Path, error: &pem::Error) -> TlsError {
    content(
        file,
        match error {
            pem::Error::MissingSectionEnd { .. } => "ends within a PEM section",
            pem::Error::IllegalSectionStart { .. } => "has a broken PEM section",
            pem::Error::Base64Decode(_) => "has a PEM section that is not base64",
            _ => "is not a PEM file",
        },
    )
}

#[cfg(test)]
mod tests;
