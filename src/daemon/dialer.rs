//! Client mode's wiring: from a stream's URL to the sockets of one call.
//!
//! ```text
//!  request or route ─┐
//!                    ├─ settle ─> DialPlan ──> the call's stream task
//!  the instance ─────┘              └ Connector: net::dial (guard, TCP, TLS) ─> api::stream::dialled
//! ```
//!
//! Owns whose word counts, the profiles of TLS, and which URLs may lead to private addresses: those
//! of the configuration always, others with `webhook.allow_private`. Does not decide when a socket
//! is opened.

use super::parts::Parts;
use crate::api::error::{Code, Problem};
use crate::api::gateway::Content;
use crate::api::stream::ask::{ClientAsk, ClientDial, StreamAsk};
use crate::api::stream::dialled::{self, Ask};
use crate::api::stream::url::StreamUrl;
use crate::app::stream::dialer::{
    Attempt, ConnectAt, Connector, DialFault, DialPlan, Dialled, Opening,
};
use crate::app::stream::options::Protocol;
use crate::app::stream::{SUBPROTOCOL, StreamOptions};
use crate::config::{Config, ConnectWhen, StreamClient, TlsProfile};
use crate::id::InstanceId;
use crate::net::dial::{self, DialError, Range};
use crate::net::tls::{ClientTls, ClientTlsSpec};
use anyhow::Context as _;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long an attempt may take, from the name to the answer of the server.
const WITHIN: Duration = Duration::from_secs(5);

/// What streams are dialled with.
#[derive(Debug, Clone, Default)]
pub(super) struct DialDesk {
    profiles: BTreeMap<String, ClientTls>,
    instances: BTreeMap<String, (StreamOptions, StreamAsk)>,
    allow_private: bool,
}

/// What the stream of a call is to be.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// What is agreed with its client.
    pub options: StreamOptions,
    /// Told in `start`.
    pub parameters: Map<String, Value>,
    /// The account of Twilio's REST that the call belongs to, if it does to one.
    pub account: Option<String>,
    /// How its client is dialled, if it is.
    pub dial: Option<DialPlan>,
    /// Where, without the query.
    pub url: Option<String>,
}

/// Why a client may not be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The URL itself leads where we do not go.
    #[error("stream.url leads to {host}, which is no public address (webhook.allow_private)")]
    NotPublic {
        /// Its host.
        host: String,
    },
    /// There is no such profile.
    #[error("there is no TLS profile {name:?}")]
    NoProfile {
        /// As it was named.
        name: String,
    },
    /// A profile of TLS for a URL without TLS.
    #[error("a TLS profile needs a wss:// URL")]
    NoTls,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (pointer, rule) = match refused {
            Refused::NotPublic { .. } => ("/stream/url", "not_allowed"),
            Refused::NoProfile { .. } => ("/stream/auth/mtls", "unknown"),
            Refused::NoTls => ("/stream/auth/mtls", "needs_wss"),
        };
        Self::new(Code::InvalidRequest, refused.to_string()).with_pointer(pointer, rule)
    }
}

impl DialDesk {
    /// Reads the profiles and what the instances say.
    ///
    /// Cost: blocks for a few small files.
    ///
    /// # Errors
    /// A file or a value that cannot be used, with the key to look at.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let mut desk = Self { allow_private: config.webhook.allow_private, ..Self::default() };
        for profile in &config.tls_profile {
            let tls = ClientTls::load(&tls_spec(profile))
                .with_context(|| format!("tls_profile {:?}", &*profile.name))?;
            desk.profiles.insert(profile.name.to_string(), tls);
        }
        for line in &config.instance {
            let Some(client) = &line.stream else { continue };
            let said =
                said(client, None).with_context(|| format!("instance {}, stream", line.id))?;
            desk.instances.insert(line.id.to_string(), said);
        }
        Ok(desk)
    }

    /// What becomes of a call's stream, by what its request and its instance say.
    ///
    /// # Errors
    /// [`Refused`], if the client may not be dialled.
    pub(super) fn settle(
        &self,
        instance: &InstanceId,
        content: &Content,
        parts: &Parts,
    ) -> Result<Settled, Refused> {
        let Content::Stream { options, ask, .. } = content else { return Ok(Settled::default()) };
        let nothing = (StreamOptions::default(), StreamAsk::default());
        let usual = self.instances.get(instance.as_str()).unwrap_or(&nothing);
        let mut options = options.or(&usual.0);
        let said = if ask.parameters.is_empty() { &usual.1 } else { &**ask };
        let parameters = said.parameters.clone();
        let client = match (&ask.client, &usual.1.client) {
            (ClientAsk::Dialled(dial), _) | (ClientAsk::Usual, ClientAsk::Dialled(dial)) => dial,
            (ClientAsk::Attaches, _)
            | (ClientAsk::Usual, ClientAsk::Usual | ClientAsk::Attaches) => {
                return Ok(Settled { options, parameters, ..Settled::default() });
            }
        };
        let protocol = *options.protocol.get_or_insert(Protocol::Native);
        let connector = Arc::new(self.connector(client, protocol)?);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&parts.seed().to_le_bytes());
        let dial = Some(DialPlan { connector, at: client.at, rights: ask.rights.clone(), seed });
        let url = Some(client.url.to_string());
        Ok(Settled { options, parameters, account: None, dial, url })
    }

    fn connector(&self, client: &ClientDial, protocol: Protocol) -> Result<Sockets, Refused> {
        let trusted = client.trusted || self.allow_private;
        let range = if trusted { Range::Anywhere } else { Range::Public };
        let url = client.url.clone();
        if !range.may_hold(url.host()) {
            return Err(Refused::NotPublic { host: url.host().to_owned() });
        }
        let profile = match &client.tls {
            None => None,
            Some(_) if !url.is_secure() => return Err(Refused::NoTls),
            Some(name) => {
                let known = self.profiles.get(name).cloned();
                Some(known.ok_or_else(|| Refused::NoProfile { name: name.clone() })?)
            }
        };
        let tls = url.is_secure().then(|| profile.unwrap_or_else(ClientTls::system));
        let ask = Ask { headers: client.headers.clone(), subprotocol: offered(protocol) };
        Ok(Sockets(Arc::new(Target { url, ask, range, tls })))
    }
}

/// The subprotocol that is offered with a protocol.
fn offered(protocol: Protocol) -> Option<&'static str> {
    match protocol.as_str() {
        "native" => Some(SUBPROTOCOL),
        "jambonz" => Some("audio.jambonz.org"),
        "asterisk" => Some("media"),
        _ => None,
    }
}

/// What of the streams of instances and routes cannot be used, each with its place. Opens nothing.
pub(super) fn faults(config: &Config) -> Vec<String> {
    let instances = config.instance.iter().filter_map(|line| {
        let fault = said(line.stream.as_ref()?, None).err()?;
        Some(format!("instance {}, stream: {fault:#}", line.id))
    });
    let routes = config.route.iter().enumerate().filter_map(|(index, route)| {
        let fault = said(route.stream.as_ref()?, route.url.as_deref()).err()?;
        Some(format!("route[{index}], stream: {fault:#}"))
    });
    instances.chain(routes).collect()
}

/// What the configuration says of a client; `url` is that of the route.
///
/// # Errors
/// What cannot be used, with its key.
pub(super) fn said(
    client: &StreamClient,
    url: Option<&str>,
) -> anyhow::Result<(StreamOptions, StreamAsk)> {
    let mut pairs = Vec::new();
    for pair in client.options.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').context("options: write name=value&name=value")?;
        pairs.push((name.to_owned(), value.to_owned()));
    }
    let options = StreamOptions::from_query::<&str>(&pairs, &[]).context("options")?;
    let parameters = client.parameters.0.clone();
    let url = client.url.as_deref().or(url);
    let client = match url {
        None => ClientAsk::Usual,
        Some(url) => {
            let url =
                StreamUrl::parse(url).map_err(|fault| anyhow::anyhow!("url: the URL {fault}"))?;
            let bearer = client.bearer.as_ref();
            let bearer = bearer.map(|secret| format!("Bearer {}", secret.expose()));
            let headers = client.header.iter();
            let headers = headers.map(|one| (one.name.clone(), one.value.expose().to_owned()));
            let bearer = bearer.map(|bearer| ("authorization".to_owned(), bearer));
            let at = match client.connect {
                ConnectWhen::Answer => ConnectAt::Answer,
                ConnectWhen::Early => ConnectAt::Early,
            };
            let tls = client.tls.as_ref().map(ToString::to_string);
            let headers = bearer.into_iter().chain(headers).collect();
            ClientAsk::Dialled(Box::new(ClientDial { url, headers, tls, at, trusted: true }))
        }
    };
    Ok((options, StreamAsk { client, parameters, ..StreamAsk::default() }))
}

fn tls_spec(profile: &TlsProfile) -> ClientTlsSpec {
    ClientTlsSpec {
        own: profile.certificate.clone().zip(profile.key.clone()),
        ca: profile.ca.clone(),
        only_ca: profile.only_ca,
    }
}

/// Opens the sockets of one call.
struct Sockets(Arc<Target>);

struct Target {
    url: StreamUrl,
    ask: Ask,
    range: Range,
    tls: Option<ClientTls>,
}

impl Connector for Sockets {
    fn open(&self, attempt: Attempt) -> Opening {
        Box::pin(within(Arc::clone(&self.0), attempt))
    }
}

/// One attempt, with its limit.
async fn within(target: Arc<Target>, attempt: Attempt) -> Result<Dialled, DialFault> {
    match tokio::time::timeout(WITHIN, target.open(&attempt)).await {
        Ok(opened) => opened,
        Err(_) => {
            let detail = format!("{} did not answer within {WITHIN:?}", target.url);
            Err(DialFault { detail, last: false, retry_after: None })
        }
    }
}

impl Target {
    async fn open(&self, attempt: &Attempt) -> Result<Dialled, DialFault> {
        let place = (self.url.host(), self.url.port());
        let connection = dial::open(place, self.range, self.tls.as_ref()).await;
        let connection = connection.map_err(|error| {
            let last = matches!(error, DialError::NotPublic { .. });
            DialFault { detail: error.to_string(), last, retry_after: None }
        })?;
        // In a box: the compiler does not see that it is Send through the connection's trait.
        let opening: Pin<Box<dyn Future<Output = Result<Dialled, DialFault>> + Send + '_>> =
            Box::pin(dialled::open(connection, &self.url, &self.ask, attempt));
        opening.await
    }
}
