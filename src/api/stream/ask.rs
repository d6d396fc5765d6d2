//! What a request or the configuration says of a stream's client, beside what is agreed with it.
//!
//! Owns plain values. Who opens the socket, and whether the URL may be asked, is the daemon's.

use super::url::StreamUrl;
use crate::app::stream::StreamRights;
use crate::app::stream::dialer::ConnectAt;
use crate::call::recording::RecordStart;
use serde_json::{Map, Value};
use std::fmt;

/// Where a stream's client comes from, and what it is told.
#[derive(Debug, Clone, Default)]
pub struct StreamAsk {
    /// Where it comes from.
    pub client: ClientAsk,
    /// The user's parameters, told in `start`.
    pub parameters: Map<String, Value>,
    /// What a dialled client may do: as much as whoever asks for it.
    pub rights: StreamRights,
    /// What is recorded from the answer on.
    pub record: Option<RecordStart>,
}

impl StreamAsk {
    /// Fills in what is not said; the rights stay those of whoever asks.
    pub fn fill(&mut self, usual: Self) {
        if matches!(self.client, ClientAsk::Usual) {
            self.client = usual.client;
        }
        if self.parameters.is_empty() {
            self.parameters = usual.parameters;
        }
    }
}

/// Where a stream's client comes from.
#[derive(Debug, Clone, Default)]
pub enum ClientAsk {
    /// As the instance says; without a word of it the client attaches.
    #[default]
    Usual,
    /// It attaches, whatever the instance says.
    Attaches,
    /// Bellwire dials it.
    Dialled(Box<ClientDial>),
}

/// A client that is dialled.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientDial {
    /// Where it is.
    pub url: StreamUrl,
    /// Header fields of the handshake; their values may be secrets.
    pub headers: Vec<(String, String)>,
    /// The profile of TLS, by its name.
    pub tls: Option<String>,
    /// When it is dialled.
    pub at: ConnectAt,
    /// The operator named it: it may be at an address that is not public.
    pub trusted: bool,
}

impl fmt::Debug for ClientDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientDial")
            .field("url", &self.url)
            .field("tls", &self.tls)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
