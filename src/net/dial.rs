//! Connections that we open to a server which somebody named: a name becomes an address, the
//! address a socket, the socket TLS.
//!
//! ```text
//!  host, port ─> lookup ─> within reach? ─> TCP, one address after the other ─> TLS ─> Connection
//! ```
//!
//! Owns the guard: what is checked is what is connected to, so a name cannot lead elsewhere between
//! the two. Asks nothing twice and follows nobody. Does not know what is said on the connection,
//! nor how long it may take: whoever waits sets the limit.

use super::reach::is_public;
use super::tls::ClientTls;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Addresses of one name that are tried.
const TRIED_MAX: usize = 4;

/// An open connection, encrypted or not.
pub type Connection = Box<dyn Io>;

/// What a connection can do.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How far a connection may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Wherever the operator's URL leads.
    Anywhere,
    /// To public addresses: for URLs that somebody else chose.
    Public,
}

impl Range {
    /// Whether an address lies within.
    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public => is_public(address),
        }
    }

    /// Whether a host may be asked for, as far as it says so itself: names are judged when they
    /// are looked up.
    #[must_use]
    pub fn may_hold(self, host: &str) -> bool {
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        literal.is_none_or(|address| self.holds(address))
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The host leads where we do not go.
    #[error("{host} is at an address that is not public")]
    NotPublic {
        /// As it was named.
        host: String,
    },
    /// Nobody knows the name.
    #[error("{host} cannot be found: {reason}")]
    NoName {
        /// As it was named.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// Nobody answers at any of its addresses.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// As it was named.
        host: String,
        /// What the last address said.
        reason: String,
    },
    /// TLS failed.
    #[error("TLS with {host} failed: {reason}")]
    Tls {
        /// As it was named.
        host: String,
        /// What went wrong.
        reason: String,
    },
}

/// Opens a connection to `host`, with TLS if there is a setup for it.
///
/// # Errors
/// [`DialError`].
pub async fn open(
    (host, port): (&str, u16),
    range: Range,
    tls: Option<&ClientTls>,
) -> Result<Connection, DialError> {
    let (bare, host) = (host.trim_matches(['[', ']']).to_owned(), host.to_owned());
    let found: Vec<SocketAddr> = match tokio::net::lookup_host((bare.clone(), port)).await {
        Ok(found) => found.collect(),
        Err(error) => return Err(DialError::NoName { host, reason: told(&error) }),
    };
    let within: Vec<_> = found.iter().filter(|found| range.holds(found.ip())).copied().collect();
    if within.is_empty() && !found.is_empty() {
        return Err(DialError::NotPublic { host });
    }
    let mut reason = "the name has no address".to_owned();
    for address in within.into_iter().take(TRIED_MAX) {
        let stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(error) => {
                reason = told(&error);
                continue;
            }
        };
        // Frames are small and must not wait for each other; a socket without the option works too.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        return match tls.connect(stream, &bare).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(DialError::Tls { host, reason: told(&error) }),
        };
    }
    Err(DialError::Unreachable { host, reason })
}

fn told(error: &std::io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_is_not_public_is_not_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:10.0.0.1]"] {
            let refused = open((host, port), Range::Public, None).await.err().unwrap();
            assert_eq!(refused, DialError::NotPublic { host: host.to_owned() });
        }
        assert!(open(("127.0.0.1", port), Range::Anywhere, None).await.is_ok());
        assert!(open(("localhost", port), Range::Anywhere, None).await.is_ok());
    }

    #[test]
    fn a_literal_address_is_judged_before_anybody_is_asked() {
        assert!(!Range::Public.may_hold("10.0.0.1") && !Range::Public.may_hold("[fd00::1]"));
        assert!(Range::Public.may_hold("bot.example") && Range::Anywhere.may_hold("10.0.0.1"));
    }

    #[tokio::test]
    async fn a_closed_port_and_an_unknown_name_are_told_apart() {
        let closed = open(("127.0.0.1", 1), Range::Anywhere, None).await.err().unwrap();
        assert!(matches!(closed, DialError::Unreachable { .. }), "{closed}");
        let unknown = open(("no.such.name.invalid", 1), Range::Anywhere, None).await.err().unwrap();
        assert!(matches!(unknown, DialError::NoName { .. }), "{unknown}");
    }
}
