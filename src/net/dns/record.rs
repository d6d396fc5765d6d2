//! DNS questions and answers as plain values.

use std::net::IpAddr;
use std::sync::Arc;

/// What is asked of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Servers of a service (RFC 2782).
    Srv,
    /// Services of a domain (RFC 3403).
    Naptr,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// The name in lower case, without the dot of the root.
    pub name: String,
    /// The kind of record.
    pub kind: Kind,
}

impl Question {
    /// A question about a name in any case, with or without the dot of the root.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.trim_end_matches('.').to_ascii_lowercase(), kind }
    }
}

/// One record of an answer. Names are as in [`Question`]; the root is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An address.
    Address(IpAddr),
    /// A server.
    Srv {
        /// Lower ones are tried first.
        priority: u16,
        /// Share of the load among equal priorities.
        weight: u16,
        /// Where it listens.
        port: u16,
        /// Its name; empty: the service is decidedly not there.
        target: String,
    },
    /// A service.
    Naptr {
        /// Lower ones are read first.
        order: u16,
        /// Lower ones are preferred among equal orders.
        preference: u16,
        /// In lower case; `s`: the replacement is asked for SRV.
        flags: String,
        /// In upper case, e.g. `SIP+D2U`.
        service: String,
        /// Where to go on.
        replacement: String,
    },
}

/// An answer that may be shared; empty: there is no such record.
pub type Records = Arc<[Record]>;
