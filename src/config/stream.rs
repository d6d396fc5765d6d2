//! Stream clients that Bellwire dials, and the TLS that it does so with.

use super::address::Url;
use super::declare::{choice, section};
use super::secret::Secret;
use super::value::{Metadata, Name};
use std::path::PathBuf;

choice! {
    /// When a stream's client is dialled.
    ConnectWhen {
        /// When the call is answered; of an incoming call at once.
        Answer = "answer",
        /// When the call is dialled.
        Early = "early",
    }
}

section! {
    /// A stream client that Bellwire dials, and what is agreed with it.
    StreamClient {
        /// Where it is; without it the client attaches through the API.
        ///
        /// It stands in your file, so it may lead to private addresses too.
        url: Option<Url> => "wss://bot.example/calls", Call;
        /// What is agreed, written as the query of an upgrade: see docs/stream.md.
        options: String = "", Call;
        /// Sent as `Authorization: Bearer`.
        bearer: Option<Secret> => "BOT_TOKEN", Call;
        /// Further header fields of the handshake.
        header: Vec<StreamHeader>, Call;
        /// The `[[tls_profile]]` of a `wss` connection; without it the system's authorities are
        /// trusted and no certificate is shown.
        tls: Option<Name> => "bots", Call;
        /// When it is dialled.
        ///
        /// `early` has the socket ready when the call is answered, and opens one for every call
        /// that nobody answers.
        connect: ConnectWhen = "answer", Call;
        /// Told to the client in `start`.
        parameters: Metadata => {}, Call;
    }
}

section! {
    /// A header field of the handshake.
    StreamHeader {
        /// Its name: `Authorization`, or one that begins with `X-`.
        name: String => "X-Tenant", Call;
        /// Its value.
        value: Secret => "BOT_TENANT", Call;
    }
}

section! {
    /// Whom a `wss` connection trusts, and what it shows (mutual TLS).
    TlsProfile {
        /// What requests and stream clients call it.
        name: Name => "bots", Call;
        /// PEM file of the certificate that we show, with its chain.
        certificate: Option<PathBuf> => "/etc/bellwire/bots.crt", Call;
        /// PEM file of its private key.
        key: Option<PathBuf> => "/etc/bellwire/bots.key", Call;
        /// PEM file of authorities that are trusted beside the system's.
        ca: Option<PathBuf> => "/etc/bellwire/bots-ca.crt", Call;
        /// Trusts those of `ca` alone.
        only_ca: bool = false, Call;
    }
}
