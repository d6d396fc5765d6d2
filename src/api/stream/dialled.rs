//! The opening handshake where Bellwire is the client (RFC 6455 §4.1), on a connection that is open.
//!
//! ```text
//!  connection ─> GET, Upgrade ─> 101? key, subprotocol ─> Socket ─> the call's task
//!                                 └ else: the status and the first words of the answer
//! ```
//!
//! Owns the request and the examination of the answer. Follows no redirect: who is redirected is
//! told. Does not open connections and does not try again.

use super::url::StreamUrl;
use super::{Socket, config};
use crate::app::stream::ClientSocket;
use crate::app::stream::dialer::{Attempt, DialFault, Dialled, Had};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::Fuse;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The field that carries the token of a conversation that goes on; the query has it as `resume`.
pub const RESUME: &str = "bellwire-resume";
/// The field with the last message: ours says what was sent, the server's what it has.
pub const SINCE: &str = "bellwire-since";
/// The field in which a server says how many samples of binary audio it has.
pub const HEARD: &str = "bellwire-heard";
/// Characters of a refusal's body that are told.
const EXCERPT: usize = 120;
/// Octets of it that are read.
const EXCERPT_OCTETS: usize = 4096;
/// Longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: u64 = 60;

/// What is asked for beside the URL.
#[derive(Clone, Default)]
pub struct Ask {
    /// Header fields; values are never logged.
    pub headers: Vec<(String, String)>,
    /// The subprotocol that is offered, if any. A server that chooses none is served all the same.
    pub subprotocol: Option<&'static str>,
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Ask").field("headers", &names).field("offers", &self.subprotocol).finish()
    }
}

/// Opens the WebSocket of a stream on a connection to its server.
///
/// # Errors
/// [`DialFault`], with the server's status where it refused.
pub async fn open<T>(
    connection: T,
    url: &StreamUrl,
    ask: &Ask,
    attempt: &Attempt,
) -> Result<Dialled, DialFault>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let key = generate_key();
    let request = request(url, ask, attempt, &key)?;
    let broken = |error| fault(format!("{url} broke off the handshake: {}", innermost(&error)));
    let shaken = http1::handshake(TokioIo::new(connection)).await;
    let (mut sender, connection) = shaken.map_err(broken)?;
    let mut connection = std::pin::pin!(connection.with_upgrades().fuse());
    let response = beside(connection.as_mut(), sender.send_request(request)).await;
    let response = response.map_err(broken)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(beside(connection, refusal(url, response)).await);
    }
    examine(url, ask, &key, response.headers())?;
    let (since, heard) = (number(response.headers(), SINCE), number(response.headers(), HEARD));
    let upgraded = beside(connection, hyper::upgrade::on(response)).await;
    let upgraded = TokioIo::new(upgraded.map_err(broken)?);
    let inner = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config())).await;
    let socket: Box<dyn ClientSocket> = Box::new(Socket::over(inner));
    Ok(Dialled { socket, had: Had { since, heard } })
}

/// Does some work while the connection is driven, which nobody else would do.
async fn beside<C, W>(mut connection: Pin<&mut Fuse<C>>, work: W) -> W::Output
where
    C: Future,
    W: Future,
{
    let mut work = std::pin::pin!(work);
    poll_fn(|context| {
        let mut done = work.as_mut().poll(context);
        if done.is_pending() && connection.as_mut().poll(context).is_ready() {
            // It is over: what it had for us is there, or never comes.
            done = work.as_mut().poll(context);
        }
        done
    })
    .await
}

/// The GET of an attempt.
fn request(
    url: &StreamUrl,
    ask: &Ask,
    attempt: &Attempt,
    key: &str,
) -> Result<Request<Empty<Bytes>>, DialFault> {
    let since = attempt.resume.as_ref().map(|resume| resume.since.to_string());
    let pairs: Vec<(&str, &str)> = match (&attempt.resume, &since) {
        (Some(resume), Some(since)) => {
            vec![("resume", resume.token.as_str()), ("since", since.as_str())]
        }
        (_, _) => Vec::new(),
    };
    let mut request = Request::builder()
        .uri(url.path_with(&pairs))
        .header(header::HOST, url.authority())
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key)
        .header(header::USER_AGENT, concat!("bellwire/", env!("CARGO_PKG_VERSION")));
    if let Some(offered) = ask.subprotocol {
        request = request.header(header::SEC_WEBSOCKET_PROTOCOL, offered);
    }
    for (name, (_, value)) in [RESUME, SINCE].into_iter().zip(&pairs) {
        request = request.header(name, *value);
    }
    for (name, value) in &ask.headers {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| last(format!("the value of {name} cannot be sent")))?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| last(format!("the header {name} cannot be sent")))?;
        request = request.header(name, value);
    }
    request.body(Empty::new()).map_err(|error| last(format!("{url} cannot be asked: {error}")))
}

/// Whether a 101 is an answer to our request (RFC 6455 §4.1, the numbered list at its end).
fn examine(url: &StreamUrl, ask: &Ask, key: &str, headers: &HeaderMap) -> Result<(), DialFault> {
    let wrong = |what: &str| fault(format!("{url} answered with 101, but {what}"));
    if !super::has_token(headers, &header::UPGRADE, "websocket")
        || !super::has_token(headers, &header::CONNECTION, "upgrade")
    {
        return Err(wrong("it did not upgrade to WebSocket"));
    }
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(wrong("Sec-WebSocket-Accept does not belong to our key"));
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err(wrong("it chose an extension, and none was offered"));
    }
    let chosen = headers.get(header::SEC_WEBSOCKET_PROTOCOL).map(HeaderValue::as_bytes);
    if chosen.is_some() && chosen != ask.subprotocol.map(str::as_bytes) {
        return Err(wrong("it chose a subprotocol that was not offered"));
    }
    Ok(())
}

/// A refusal in words.
async fn refusal(url: &StreamUrl, response: Response<Incoming>) -> DialFault {
    let status = response.status();
    let retry_after = number(response.headers(), "retry-after");
    let location = response.headers().get(header::LOCATION).is_some();
    let body = Limited::new(response.into_body(), EXCERPT_OCTETS).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let words: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(EXCERPT).collect();
    let words = words.trim();
    let mut detail = format!("{url} refused the stream with status {}", status.as_u16());
    if status.is_redirection() && location {
        detail.push_str("; redirections are not followed");
    } else if !words.is_empty() {
        detail.push_str(": ");
        detail.push_str(words);
    }
    let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER_MAX)));
    DialFault { retry_after, ..fault(detail) }
}

/// The cause of causes: what the library says by itself has no details.
fn innermost(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn fault(detail: String) -> DialFault {
    DialFault { detail, last: false, retry_after: None }
}

/// A fault of our own request, which would be the same again.
fn last(detail: String) -> DialFault {
    DialFault { last: true, ..fault(detail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::stream::dialer::ResumePoint;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    /// What the server saw, and what became of the attempt that it answered so.
    async fn ask(
        attempt: &Attempt,
        answer: impl FnOnce(&str) -> String,
    ) -> (String, Result<Dialled, DialFault>) {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let url = StreamUrl::parse("wss://bot.example/a?b=c").unwrap();
        let headers = vec![("Authorization".to_owned(), "Bearer abc".to_owned())];
        let ask = Ask { headers, subprotocol: Some("bellwire.stream.v1") };
        let served = async {
            let seen = head(&mut far).await;
            let key = seen.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "));
            far.write_all(answer(key.unwrap()).as_bytes()).await.unwrap();
            drop(far);
            seen
        };
        tokio::join!(served, open(near, &url, &ask, attempt))
    }

    async fn head(far: &mut DuplexStream) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(far.read_u8().await.unwrap());
        }
        String::from_utf8(seen).unwrap().replace("\r\n", "\n")
    }

    fn switched(key: &str, more: &str) -> String {
        let accept = derive_accept_key(key.as_bytes());
        format!(
            "HTTP/1.1 101 x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        )
    }

    fn first() -> Attempt {
        Attempt { number: 1, resume: None }
    }

    #[tokio::test]
    async fn the_request_says_who_asks_and_what_goes_on() {
        let resume = Some(ResumePoint { token: "tok".to_owned(), since: 41 });
        let attempt = Attempt { number: 2, resume };
        let (seen, opened) =
            ask(&attempt, |key| switched(key, "Bellwire-Since: 40\r\nBellwire-Heard: 8000\r\n"))
                .await;
        let had = Had { since: Some(40), heard: Some(8000) };
        assert_eq!(opened.ok().unwrap().had, had);
        for line in [
            "GET /a?b=c&resume=tok&since=41 HTTP/1.1",
            "host: bot.example",
            "authorization: Bearer abc",
            "sec-websocket-protocol: bellwire.stream.v1",
            "sec-websocket-version: 13",
            "bellwire-resume: tok",
            "bellwire-since: 41",
        ] {
            assert!(seen.lines().any(|seen| seen == line), "{line} in\n{seen}");
        }
        let (seen, _) = ask(&first(), |key| switched(key, "")).await;
        assert!(seen.starts_with("GET /a?b=c HTTP/1.1\n") && !seen.contains("resume"), "{seen}");
    }

    #[tokio::test]
    async fn only_an_answer_to_our_key_and_offer_opens_the_stream() {
        let protocol = |name: &str| format!("Sec-WebSocket-Protocol: {name}\r\n");
        for (more, good) in [
            (String::new(), true),
            (protocol("bellwire.stream.v1"), true),
            (protocol("other"), false),
            ("Sec-WebSocket-Extensions: permessage-deflate\r\n".to_owned(), false),
        ] {
            let (_, opened) = ask(&first(), |key| switched(key, &more)).await;
            assert_eq!(opened.is_ok(), good, "{more}");
        }
        let (_, opened) = ask(&first(), |_| switched("another key", "")).await;
        assert!(opened.err().unwrap().detail.contains("our key"));
    }

    #[tokio::test]
    async fn refusals_are_told_in_words() {
        let cases = [
            ("401 x\r\nContent-Length: 4\r\n\r\nnope", "status 401: nope", None),
            ("302 x\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", "not followed", None),
            ("503 x\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", "status 503", Some(7)),
            ("503 x\r\nRetry-After: 999\r\nContent-Length: 0\r\n\r\n", "status 503", Some(60)),
            ("200 x\r\nContent-Length: 2\r\n\r\nhi", "status 200: hi", None),
        ];
        for (answer, words, seconds) in cases {
            let (_, opened) = ask(&first(), |_| format!("HTTP/1.1 {answer}")).await;
            let told = opened.err().unwrap();
            assert!(told.detail.contains(words) && !told.last, "{told:?}");
            assert!(told.detail.starts_with("wss://bot.example/a refused"), "{told:?}");
            assert_eq!(told.retry_after, seconds.map(Duration::from_secs), "{answer}");
        }
        for answer in ["", "HTTP/1.1 1", "SIP/2.0 200 OK\r\n\r\n", "\0\0\0\0"] {
            let (_, opened) = ask(&first(), |_| answer.to_owned()).await;
            assert!(opened.err().unwrap().detail.contains("broke off"), "{answer:?}");
        }
    }
}
