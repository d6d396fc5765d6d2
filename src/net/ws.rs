//! The WebSocket client: sockets that Bellwire opens to speech engines, models and brains.
//!
//! Owns the handshake, message limits and the names of what went wrong. Answers pings while it is
//! read. Does not reconnect: whoever owns the conversation knows what must be said again.

use super::http::{shown, with_hint};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// The longest message taken in.
pub const MESSAGE_MAX: usize = 4 << 20;
/// Octets that may wait for a slow peer before a send fails.
const WRITE_MAX: usize = 1 << 20;

/// A connection to be opened.
#[derive(Debug, Clone)]
pub struct WsRequest {
    /// ws or wss.
    pub url: String,
    /// Header fields; values are never logged.
    pub headers: Vec<(String, String)>,
    /// How long the handshake may take.
    pub within: Duration,
}

impl WsRequest {
    /// A request with 5 s for the handshake.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), headers: Vec::new(), within: Duration::from_secs(5) }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Why there is no connection, or none any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WsError {
    /// The URL or a header field cannot be sent.
    #[error("the connection to {url} cannot be asked for: {reason}")]
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
        /// What happened.
        reason: String,
    },
    /// The server answered the handshake with another status.
    #[error("{url} refused with status {status}: {body}")]
    Refused {
        /// As above.
        url: String,
        /// HTTP status.
        status: u16,
        /// `Retry-After`, at most an hour.
        retry_after: Option<Duration>,
        /// First characters of the answer.
        body: String,
    },
    /// No handshake, or no progress of a send, in time.
    #[error("{url} did not go on within {} ms", after.as_millis())]
    Stalled {
        /// As above.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// The connection ended without a close, or broke the protocol.
    #[error("{url} broke off: {reason}")]
    Broken {
        /// As above.
        url: String,
        /// What happened.
        reason: String,
    },
}

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WsMessage {
    /// Text.
    Text(String),
    /// Octets.
    Binary(Bytes),
    /// The peer closes; nothing follows.
    Closed {
        /// Its code, 1005 when it gave none.
        code: u16,
        /// Its reason.
        reason: String,
    },
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The sending half; dropping both halves closes the connection.
pub struct WsSender {
    sink: SplitSink<Socket, Message>,
    url: String,
}

/// The receiving half. It must be read for pings to be answered.
pub struct WsReceiver {
    stream: SplitStream<Socket>,
    url: String,
}

/// Opens a connection.
///
/// # Errors
/// [`WsError`].
pub async fn connect(request: &WsRequest) -> Result<(WsSender, WsReceiver), WsError> {
    let url = shown(&request.url);
    let refused = |reason: String| WsError::Request { url: url.clone(), reason };
    let mut handshake =
        request.url.as_str().into_client_request().map_err(|error| refused(error.to_string()))?;
    for (name, value) in &request.headers {
        let bad = || refused(format!("header field {name} cannot be sent"));
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_str(value).map_err(|_| bad())?;
        handshake.headers_mut().insert(field, value);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_MAX)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let tls = Connector::Rustls(super::tls::client_config());
    let opening =
        tokio_tungstenite::connect_async_tls_with_config(handshake, Some(config), true, Some(tls));
    let opened = tokio::time::timeout(request.within, opening).await;
    let stalled = |_| WsError::Stalled { url: url.clone(), after: request.within };
    let (socket, _) = opened.map_err(stalled)?.map_err(|error| not_opened(&request.url, &error))?;
    let (sink, stream) = socket.split();
    Ok((WsSender { sink, url: url.clone() }, WsReceiver { stream, url }))
}

fn not_opened(full: &str, error: &Error) -> WsError {
    let url = shown(full);
    match error {
        Error::Http(answer) => {
            let body = answer.body().as_deref().unwrap_or_default();
            let text = String::from_utf8_lossy(body.get(..body.len().min(800)).unwrap_or_default());
            let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok());
            let after = after.and_then(|seconds| seconds.trim().parse::<u64>().ok());
            WsError::Refused {
                url,
                status: answer.status().as_u16(),
                retry_after: after.map(|seconds| Duration::from_secs(seconds.min(3600))),
                body: text.chars().filter(|c| !c.is_control()).take(200).collect(),
            }
        }
        error => WsError::Unreachable { url, reason: with_hint(full, error.to_string()) },
    }
}

impl WsSender {
    /// Sends text; fails when the peer takes nothing for `within`.
    ///
    /// # Errors
    /// [`WsError::Stalled`], [`WsError::Broken`].
    pub async fn text(&mut self, text: String, within: Duration) -> Result<(), WsError> {
        self.send(Message::Text(Utf8Bytes::from(text)), within).await
    }

    /// Sends octets; fails when the peer takes nothing for `within`.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub async fn binary(&mut self, octets: Bytes, within: Duration) -> Result<(), WsError> {
        self.send(Message::Binary(octets), within).await
    }

    /// Asks for a sign of life; fails when the peer takes nothing for `within`.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub async fn ping(&mut self, within: Duration) -> Result<(), WsError> {
        self.send(Message::Ping(Bytes::new()), within).await
    }

    /// Says goodbye; never fails, waits at most a second.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from(reason) };
        let _ = self.send(Message::Close(Some(frame)), Duration::from_secs(1)).await;
    }

    async fn send(&mut self, message: Message, within: Duration) -> Result<(), WsError> {
        let sent = tokio::time::timeout(within, self.sink.send(message)).await;
        let stalled = |_| WsError::Stalled { url: self.url.clone(), after: within };
        sent.map_err(stalled)?
            .map_err(|error| WsError::Broken { url: self.url.clone(), reason: error.to_string() })
    }
}

impl WsReceiver {
    /// The next message; after an error or [`WsMessage::Closed`] nothing follows. Cancel-safe.
    ///
    /// # Errors
    /// [`WsError::Broken`].
    pub async fn next(&mut self) -> Result<WsMessage, WsError> {
        loop {
            if let Some(message) = self.next_sign().await? {
                return Ok(message);
            }
        }
    }

    /// The next message, or `None` for a mere sign of life (ping or pong). Cancel-safe.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_sign(&mut self) -> Result<Option<WsMessage>, WsError> {
        let broken = |reason: String| WsError::Broken { url: self.url.clone(), reason };
        let message = self.stream.next().await;
        let message = message.ok_or_else(|| broken("the connection is closed".to_owned()))?;
        Ok(Some(match message.map_err(|error| broken(error.to_string()))? {
            Message::Text(text) => WsMessage::Text(text.as_str().to_owned()),
            Message::Binary(octets) => WsMessage::Binary(octets),
            Message::Close(frame) => {
                let code = frame.as_ref().map_or(1005, |frame| frame.code.into());
                let reason = frame.map(|frame| frame.reason.as_str().to_owned());
                WsMessage::Closed { code, reason: reason.unwrap_or_default() }
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const SOON: Duration = Duration::from_millis(300);

    async fn listener() -> (TcpListener, WsRequest) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/s?token=hidden", listener.local_addr().unwrap());
        (listener, WsRequest { within: SOON, ..WsRequest::new(&url) })
    }

    #[tokio::test]
    async fn messages_go_both_ways_and_a_close_is_told() {
        let (listener, request) = listener().await;
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                // Reading on after a close is what answers it.
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.unwrap();
                }
            }
        });
        let (mut sender, mut receiver) = connect(&request).await.unwrap();
        sender.text("hé".to_owned(), SOON).await.unwrap();
        sender.binary(Bytes::from_static(b"\x01\x02"), SOON).await.unwrap();
        assert_eq!(receiver.next().await.unwrap(), WsMessage::Text("hé".to_owned()));
        assert_eq!(
            receiver.next().await.unwrap(),
            WsMessage::Binary(Bytes::from_static(b"\x01\x02"))
        );
        sender.close(1000, "done").await;
        let closed = receiver.next().await.unwrap();
        assert_eq!(closed, WsMessage::Closed { code: 1000, reason: "done".to_owned() });
    }

    #[tokio::test]
    async fn refusals_stalls_and_breaks_have_their_names() {
        let (refusing, request) = listener().await;
        tokio::spawn(async move {
            let (mut tcp, _) = refusing.accept().await.unwrap();
            let _ = tcp.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nbusy";
            tcp.write_all(answer).await.unwrap();
            std::future::pending::<()>().await;
        });
        let error = connect(&request).await.err().unwrap();
        let WsError::Refused { status: 429, retry_after, .. } = &error else { panic!("{error}") };
        assert_eq!(*retry_after, Some(Duration::from_secs(3)));
        assert!(!error.to_string().contains("hidden"), "{error}");
        let (_silent, request) = listener().await;
        let error = connect(&request).await.err().unwrap();
        assert!(matches!(error, WsError::Stalled { .. }), "{error}");
        let error = connect(&WsRequest::new("ws://127.0.0.1:1/")).await.err().unwrap();
        assert!(matches!(error, WsError::Unreachable { .. }), "{error}");
        let error = connect(&request.with_header("x", "a\nb")).await.err().unwrap();
        assert!(matches!(error, WsError::Request { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_vanished_peer_is_a_broken_connection() {
        let (listener, request) = listener().await;
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            drop(tokio_tungstenite::accept_async(tcp).await.unwrap());
        });
        let (_sender, mut receiver) = connect(&request).await.unwrap();
        assert!(matches!(receiver.next().await, Err(WsError::Broken { .. })));
    }
}
