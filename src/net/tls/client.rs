//! TLS towards servers that an operator or a user named: whom to trust, and what to show.
//!
//! Owns the setup of one such profile and the handshake. Does not open sockets, and decides nothing
//! about who may be called.

use super::setup::{TlsError, certificates, content, private_key};
use super::{client_config, provider, roots};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The files of a profile; plain values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTlsSpec {
    /// PEM files of the certificate that we show, with its chain, and of its private key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// PEM file of authorities that are trusted.
    pub ca: Option<PathBuf>,
    /// Trusts those of `ca` alone, and not the system's.
    pub only_ca: bool,
}

/// Whom we trust and what we show; cheap to clone.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

impl ClientTls {
    /// The system's authorities, and no certificate of ours.
    #[must_use]
    pub fn system() -> Self {
        Self(client_config())
    }

    /// Reads the files of a profile.
    ///
    /// Cost: blocks for a few small files, and once for the system's certificates.
    ///
    /// # Errors
    /// [`TlsError`], with the file to look at.
    pub fn load(spec: &ClientTlsSpec) -> Result<Self, TlsError> {
        let mut trusted = if spec.only_ca { RootCertStore::empty() } else { roots().clone() };
        if let Some(file) = &spec.ca {
            for authority in certificates(file)? {
                let unfit = |_| content(file, "has a certificate that cannot be an authority");
                trusted.add(authority).map_err(unfit)?;
            }
        }
        let versions =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = match versions {
            Ok(builder) => builder.with_root_certificates(trusted),
            // The provider that we name ourselves supports both versions.
            Err(error) => unreachable!("ring lacks the default TLS versions: {error}"),
        };
        let Some((certificate, key)) = &spec.own else {
            return Ok(Self(Arc::new(builder.with_no_client_auth())));
        };
        let shown = builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?);
        let config = shown.map_err(|error| TlsError::Pair {
            certificate: certificate.clone(),
            key: key.clone(),
            why: error.to_string(),
        })?;
        Ok(Self(Arc::new(config)))
    }

    /// The handshake with a server whose certificate must show `host`, a name or an address.
    ///
    /// # Errors
    /// What failed, e.g. a certificate of an authority that is not trusted.
    pub async fn connect<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: T,
        host: &str,
    ) -> io::Result<TlsStream<T>> {
        let bare = host.trim_matches(['[', ']']).trim_end_matches('.').to_owned();
        let name = ServerName::try_from(bare)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not a host name"))?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, connection).await
    }
}
