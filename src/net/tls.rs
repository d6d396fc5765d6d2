//! The door to `rustls`: one client setup for HTTP and WebSocket, [`ClientTls`] for servers with a
//! profile of their own, and [`Tls`] for SIP.
//!
//! Trusts the system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others). Does not
//! open sockets.

mod client;
mod setup;
#[cfg(test)]
pub(crate) mod testing;
mod validity;

pub use client::{ClientTls, ClientTlsSpec};
pub use setup::{Tls, TlsConnection, TlsError, TlsFacts, TlsSpec};

use std::sync::{Arc, OnceLock};

/// The client setup, made on first use: TLS 1.2 and 1.3 with the `ring` provider.
///
/// Cost: reads the system's certificates once. Without any, every handshake fails with an unknown
/// issuer; [`has_roots`] tells that case apart.
#[must_use]
pub fn client_config() -> Arc<rustls::ClientConfig> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    Arc::clone(CONFIG.get_or_init(|| Arc::new(build())))
}

/// Makes `ring` the provider of everything else in this process that uses `rustls`; a second call
/// changes nothing.
pub fn install_default() {
    // Somebody else's choice is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether the system has any certificate to trust.
#[must_use]
pub fn has_roots() -> bool {
    !roots().is_empty()
}

fn roots() -> &'static rustls::RootCertStore {
    static ROOTS: OnceLock<rustls::RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut store = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        store
    })
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: OnceLock<Arc<rustls::crypto::CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

fn build() -> rustls::ClientConfig {
    let versions = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions();
    match versions {
        Ok(builder) => builder.with_root_certificates(roots().clone()).with_no_client_auth(),
        // The provider that we name ourselves supports both versions.
        Err(error) => unreachable!("ring lacks the default TLS versions: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_setup_serves_everybody() {
        assert!(Arc::ptr_eq(&client_config(), &client_config()));
        assert!(client_config().alpn_protocols.is_empty(), "WebSocket needs HTTP/1.1");
    }
}
