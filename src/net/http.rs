//! The door to `reqwest`: requests to other people's servers, with every wait bounded.
//!
//! Owns connections, time limits and the names of what went wrong. Follows no redirect, uses no
//! proxy, retries nothing: the caller knows whether a request may be said twice. A [`Reach`] keeps
//! URLs that a stranger chose away from our own network.

use super::reach::is_public;
use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTimes {
    /// From the start of a request to its answer's head.
    pub first_byte: Duration,
    /// Between two pieces of an answer's body.
    pub idle: Duration,
}

impl Default for HttpTimes {
    fn default() -> Self {
        Self { first_byte: Duration::from_secs(10), idle: Duration::from_secs(10) }
    }
}

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);

/// Why a request brought no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The URL or a header field cannot be sent.
    #[error("the request to {url} cannot be made: {reason}")]
    Request {
        /// Scheme, host and path; never a query, which may hold secrets.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody there, or TLS failed.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// As above.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// No head or no further body in time.
    #[error("{url} did not go on within {} ms", after.as_millis())]
    Stalled {
        /// As above.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// The connection broke within the answer.
    #[error("{url} broke off: {reason}")]
    Broken {
        /// As above.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// The body is longer than the caller takes.
    #[error("{url} answers with more than {max} octets")]
    TooLong {
        /// As above.
        url: String,
        /// The limit.
        max: usize,
    },
}

/// Where a client may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Wherever the operator's URL leads.
    Anywhere,
    /// To any address, by https only.
    Secure,
    /// To public addresses, by https only: for URLs that somebody else chose.
    Public,
}

/// One request.
#[derive(Debug, Clone, Default)]
pub struct HttpRequest {
    /// e.g. `POST`.
    pub method: &'static str,
    /// http or https.
    pub url: String,
    /// Header fields; values are never logged.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it may take.
    pub times: HttpTimes,
}

impl HttpRequest {
    /// A POST of JSON.
    #[must_use]
    pub fn post_json(url: &str, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let body = body.to_string().into_bytes();
        Self { method: "POST", url: url.to_owned(), headers, body, times: HttpTimes::default() }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A client; cheap to clone, shares its connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    reach: Reach,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    /// Makes a client that goes anywhere. Cost: reads the system's certificates the first time.
    #[must_use]
    pub fn new() -> Self {
        Self::within(Reach::Anywhere)
    }

    /// Makes a client that goes no further than this.
    #[must_use]
    pub fn within(reach: Reach) -> Self {
        let tls = (*super::tls::client_config()).clone();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("bellwire/", env!("CARGO_PKG_VERSION")));
        let client = match reach {
            Reach::Anywhere | Reach::Secure => client.build(),
            // Names are looked up here, so that what is checked is what is connected to.
            Reach::Public => client.dns_resolver(PublicOnly).build(),
        };
        // Fails only for a broken TLS setup, which is ours and tested.
        let client = client.unwrap_or_else(|error| unreachable!("HTTP client: {error}"));
        Self { client, reach }
    }

    /// Sends a request and waits for the answer's head; dropping the future cancels it.
    ///
    /// # Errors
    /// [`HttpError`]; an answer of any status is no error.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = shown(&request.url);
        let refused = |reason: String| HttpError::Request { url: url.clone(), reason };
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|error| refused(error.to_string()))?;
        let mut call = self.client.request(method, &request.url);
        for (name, value) in &request.headers {
            let mut value = reqwest::header::HeaderValue::from_str(value)
                .map_err(|_| refused(format!("the value of {name} has control characters")))?;
            value.set_sensitive(true);
            call = call.header(name, value);
        }
        let call = call.body(request.body).build().map_err(|error| refused(innermost(&error)))?;
        self.may_go(call.url()).map_err(|reason| refused(reason.to_owned()))?;
        let times = request.times;
        let answer = tokio::time::timeout(times.first_byte, self.client.execute(call)).await;
        let stalled = |_| HttpError::Stalled { url: url.clone(), after: times.first_byte };
        let response = answer.map_err(stalled)?.map_err(|error| HttpError::Unreachable {
            url: url.clone(),
            reason: with_hint(&request.url, innermost(&error)),
        })?;
        Ok(HttpResponse { response, url, idle: times.idle })
    }

    /// Whether a URL is within reach, as far as it says so itself; names are judged by [`PublicOnly`].
    fn may_go(&self, url: &reqwest::Url) -> Result<(), &'static str> {
        if self.reach == Reach::Anywhere {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err("only https is permitted");
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let literal: Option<IpAddr> = host.parse().ok();
        if self.reach == Reach::Public && literal.is_some_and(|address| !is_public(address)) {
            return Err(NOT_PUBLIC);
        }
        Ok(())
    }
}

/// Why an address is refused.
const NOT_PUBLIC: &str = "it is at an address that is not public";

/// Looks names up with the system and gives public addresses only.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| is_public(found.ip())).collect();
            if public.is_empty() {
                return Err(NOT_PUBLIC.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The head of an answer and the way to its body; dropping it closes the connection.
#[derive(Debug)]
pub struct HttpResponse {
    response: reqwest::Response,
    url: String,
    idle: Duration,
}

impl HttpResponse {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    /// A header field that is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// `Retry-After` in seconds, if it is given so; at most an hour is believed.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.header("retry-after")?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.min(3600)))
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`HttpError::Stalled`], [`HttpError::Broken`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let piece = tokio::time::timeout(self.idle, self.response.chunk()).await;
        let stalled = |_| HttpError::Stalled { url: self.url.clone(), after: self.idle };
        piece
            .map_err(stalled)?
            .map_err(|error| HttpError::Broken { url: self.url.clone(), reason: innermost(&error) })
    }

    /// The whole body, if it has at most `max` octets.
    ///
    /// # Errors
    /// As [`Self::chunk`], and [`HttpError::TooLong`].
    pub async fn body(mut self, max: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if body.len() + piece.len() > max {
                return Err(HttpError::TooLong { url: self.url, max });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The first characters of a refusal's body, for the log; never fails.
    pub async fn excerpt(self) -> String {
        let body = self.body(64 * 1024).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
    }
}

/// A URL without user, query and fragment, which may hold secrets.
#[must_use]
pub fn shown(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    format!("{scheme}://{}{path}", host.rsplit('@').next().unwrap_or(host))
}

/// The cause at the bottom of a chain, e.g. "Connection refused (os error 111)".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A failed handshake on a system without certificates says how to get some.
pub(super) fn with_hint(url: &str, reason: String) -> String {
    let secure = url.starts_with("https:") || url.starts_with("wss:");
    if secure && !super::tls::has_roots() {
        format!("{reason}; this system has no CA certificates (install ca-certificates)")
    } else {
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers one connection with these pieces, then stays open or closes.
    async fn server(pieces: Vec<&'static str>, hold: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/x?key=hidden", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = socket.read(&mut head).await;
            for piece in pieces {
                let _ = socket.write_all(piece.as_bytes()).await;
                let _ = socket.flush().await;
            }
            if hold {
                std::future::pending::<()>().await;
            }
        });
        url
    }

    fn get(url: &str) -> HttpRequest {
        let times =
            HttpTimes { first_byte: Duration::from_millis(300), idle: Duration::from_millis(300) };
        HttpRequest { method: "GET", url: url.to_owned(), times, ..HttpRequest::default() }
    }

    #[tokio::test]
    async fn answers_come_piece_by_piece_with_their_head() {
        let head = "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n";
        let url = server(vec![head, "3\r\nabc\r\n", "2\r\nde\r\n0\r\n\r\n"], true).await;
        let response = HttpClient::new().send(get(&url)).await.unwrap();
        assert_eq!((response.status(), response.is_success()), (429, false));
        assert_eq!(response.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(response.body(5).await.unwrap(), b"abcde");
    }

    #[tokio::test]
    async fn every_failure_has_its_name_and_hides_the_query() {
        let client = HttpClient::new();
        let silent = server(vec![], true).await;
        let error = client.send(get(&silent)).await.unwrap_err();
        assert!(matches!(error, HttpError::Stalled { .. }), "{error}");
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
        let stall = server(vec![head], true).await;
        let error = client.send(get(&stall)).await.unwrap().body(10).await.unwrap_err();
        assert!(matches!(error, HttpError::Stalled { .. }), "{error}");
        let cut = server(vec![head], false).await;
        let error = client.send(get(&cut)).await.unwrap().body(10).await.unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }), "{error}");
        assert!(!error.to_string().contains("hidden"), "{error}");
        let long = server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"], true);
        let error = client.send(get(&long.await)).await.unwrap().body(9).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLong { max: 9, .. }), "{error}");
        let error = client.send(get("http://127.0.0.1:1/")).await.unwrap_err();
        assert!(matches!(error, HttpError::Unreachable { .. }), "{error}");
        let broken = get("http://127.0.0.1:1/").with_header("x", "a\r\nb");
        let error = client.send(broken).await.unwrap_err();
        assert!(matches!(error, HttpError::Request { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_strangers_url_leads_to_public_addresses_by_https_only() {
        let url = server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], true).await;
        let client = HttpClient::within(Reach::Public);
        let secure = url.replace("http:", "https:");
        let by_name = secure.replace("127.0.0.1", "localhost");
        let disguised = secure.replace("127.0.0.1", "0x7f.1");
        for (url, words) in [
            (&url, "only https"),
            (&secure, "not public"),
            (&by_name, "not public"),
            (&disguised, "not public"),
            (&"https://[::ffff:10.0.0.1]/x".to_owned(), "not public"),
        ] {
            let error = client.send(get(url)).await.unwrap_err().to_string();
            assert!(error.contains(words), "{url}: {error}");
        }
        let secure_only = HttpClient::within(Reach::Secure);
        let error = secure_only.send(get(&url)).await.unwrap_err().to_string();
        assert!(error.contains("only https"), "{error}");
        let plain = server(vec!["HTTP/1.1 200 OK\r\n\r\n"], false).await;
        let plain = plain.replace("http:", "https:");
        let error = secure_only.send(get(&plain)).await.unwrap_err();
        assert!(matches!(error, HttpError::Unreachable { .. } | HttpError::Stalled { .. }));
        assert!(HttpClient::new().send(get(&url)).await.unwrap().is_success());
    }

    #[test]
    fn urls_are_shown_without_what_may_be_secret() {
        assert_eq!(shown("https://user:pass@host/p?key=1#f"), "https://host/p");
        assert_eq!(shown("wss://host?key=1"), "wss://host");
    }
}
