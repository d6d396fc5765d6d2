//! The door of the stream: the WebSocket upgrade and the socket behind it.
//!
//! ```text
//!  GET …/stream ─> handshake ─> options ─> seat ─> 101 ─ ─ upgraded ─> Socket ─> the call's task
//!                    │ 400 426    │ 400      │ 404 409 410 503
//! ```
//!
//! Owns tokio-tungstenite, its limits, and the upgrade of a hyper connection. Every refusal comes
//! before the 101, as a problem that HTTP clients can read. Does not know what the messages mean
//! (`app::stream` does) nor who may come in (the key was checked before).

pub mod ask;
pub mod dialled;
pub mod url;

use super::error::{Code, Problem};
use super::gateway::{Command, Gateway};
use crate::app::stream::seat::{Incoming, Outgoing, SocketError};
use crate::app::stream::{
    ClientSocket, Protocol, QueryBlame, QueryProblem, SUBPROTOCOL, SeatError, StreamOptions,
    StreamRights,
};
use crate::id::CallId;
use bytes::Bytes;
use futures_util::{Sink, Stream};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

/// Largest message of a client: 30 s of sound in base64. What each protocol takes, the session
/// holds it to.
const MESSAGE_MAX: usize = 2 << 20;
/// What is read from a connection at once: some 100 ms of sound. It is filled with zeros before each
/// read, and every connection has one.
const READ_BUFFER: usize = 2 * 1024;
/// What one flush may write at once; the session hands over half of it at most, and a message.
const WRITE_BUFFER: usize = 64 * 1024;
/// What may never be buffered.
const WRITE_BUFFER_MAX: usize = 512 * 1024;
/// What stands for a close frame without a code (RFC 6455 §7.1.5).
const NO_CODE: u16 = 1005;
/// Offered by browsers, which can send no other header, to carry their key.
const BEARER: &str = "bearer.";
/// Reads of unwanted octets before others may run.
const DRAIN_READS: usize = 16;

/// An upgrade that was refused; the answer needs `header` beside the problem body.
#[derive(Debug)]
pub struct Refusal {
    /// What is wrong.
    pub problem: Problem,
    /// A header field that the answer must carry.
    pub header: Option<(&'static str, &'static str)>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, header: None }
    }
}

impl From<SeatError> for Problem {
    fn from(error: SeatError) -> Self {
        let code = match error {
            SeatError::Taken | SeatError::Dialled | SeatError::Full => Code::StreamAlreadyAttached,
            SeatError::ResumeOver => Code::ResumeOver,
            SeatError::Ended => Code::CallEnded,
        };
        Self::new(code, error.to_string())
    }
}

impl From<QueryProblem> for Problem {
    fn from(error: QueryProblem) -> Self {
        let (code, rule) = match error.blame {
            QueryBlame::Invalid => (Code::InvalidRequest, "invalid"),
            QueryBlame::Unsupported => (Code::NotImplemented, "not_implemented"),
        };
        let pointer = format!("?{}", error.parameter);
        Self::new(code, error.to_string()).with_pointer(pointer, rule)
    }
}

/// Serves `GET /calls/{id}/stream`: checks the handshake, reserves the seat at the call's stream,
/// and answers 101; the socket goes to the call once the connection is switched over.
///
/// `query` holds the decoded pairs of the request's query; `rights` are those of its key.
///
/// # Errors
/// [`Refusal`]: 426 and 400 for a handshake or parameter that is wrong, and whatever the daemon
/// says about the call (404, 409, 410, 503).
pub async fn upgrade<B: Send>(
    gateway: &Gateway,
    call: CallId,
    query: &[(String, String)],
    rights: StreamRights,
    request: &mut Request<B>,
) -> Result<Response<()>, Refusal> {
    let handshake = Handshake::read(request.headers())?;
    let options = StreamOptions::from_query(query, &handshake.offered).map_err(Problem::from)?;
    let upgraded = hyper::upgrade::on(&mut *request);
    let seat = gateway.ask(|reply| Command::Attach(call, options, reply)).await??;
    let seat = seat.with_rights(rights);
    seat.attach(Box::pin(async move {
        let upgraded = upgraded.await.ok()?;
        // Between us and the bare socket nothing is left to do: no layer, and no call for each read.
        let socket: Box<dyn ClientSocket> = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => {
                let (socket, unread) = (parts.io.into_inner(), parts.read_buf.to_vec());
                Box::new(Socket::server(socket, unread).await)
            }
            Err(upgraded) => {
                let connection = TokioIo::new(upgraded);
                Box::new(Socket::server(connection, Vec::new()).await)
            }
        };
        Some(socket)
    }))
    .map_err(Problem::from)?;
    Ok(handshake.accept())
}

/// The part of the opening handshake that matters (RFC 6455 §4.2.1).
#[derive(Debug)]
struct Handshake {
    accept: String,
    /// Subprotocols in the client's order.
    offered: Vec<String>,
}

impl Handshake {
    fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        if !has_token(headers, &header::CONNECTION, "upgrade")
            || !has_token(headers, &header::UPGRADE, "websocket")
        {
            let detail = "this is a WebSocket: send Connection: Upgrade and Upgrade: websocket";
            return Err(upgrade_required(detail, ("upgrade", "websocket")));
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            let detail = "Sec-WebSocket-Version must be 13";
            return Err(upgrade_required(detail, ("sec-websocket-version", "13")));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        let Some(key) = key.filter(|key| is_key(key)) else {
            let detail = "Sec-WebSocket-Key must be the base64 of 16 octets";
            return Err(Problem::new(Code::InvalidRequest, detail).into());
        };
        let offered = tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL).map(str::to_owned);
        Ok(Self { accept: derive_accept_key(key), offered: offered.take(16).collect() })
    }

    /// The 101. Of the subprotocols ours is chosen, or another one that is known; a browser that
    /// only brought its key hears that back, since it closes unless one of its own is chosen.
    fn accept(self) -> Response<()> {
        let chosen = self
            .offered
            .iter()
            .find(|name| *name == SUBPROTOCOL)
            .or_else(|| self.offered.iter().find(|name| Protocol::by_subprotocol(name).is_some()))
            .or_else(|| self.offered.iter().find(|name| name.starts_with(BEARER)));
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        // Both values are visible ASCII: base64, and text that came as a header.
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(Ok(name)) = chosen.map(|name| HeaderValue::from_str(name)) {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        response
    }
}

fn upgrade_required(detail: &str, header: (&'static str, &'static str)) -> Refusal {
    let problem = Problem::new(Code::InvalidRequest, detail).with_status(426);
    Refusal { problem, header: Some(header) }
}

/// The comma-separated elements of a header field.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

/// Whether this is the base64 form of 16 octets.
fn is_key(key: &[u8]) -> bool {
    let alphabet = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    let Some(body) = key.strip_suffix(b"==") else { return false };
    body.len() == 22 && body.iter().all(alphabet)
}

/// A WebSocket as the call's task drives it.
struct Socket<T> {
    inner: WebSocketStream<T>,
    /// The client broke the rules: what still comes is thrown away, so that the close frame is
    /// not lost to a reset.
    draining: bool,
    /// The code of its close frame, once one came.
    closed: Option<u16>,
    /// Answers to our pings so far.
    pongs: u64,
}

/// What a WebSocket of a stream may hold, in either role.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX))
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// The server's end of an upgraded connection, of which `unread` has been read already.
    async fn server(connection: T, unread: Vec<u8>) -> Self {
        let (role, config) = (Role::Server, Some(config()));
        Self::over(WebSocketStream::from_partially_read(connection, unread, role, config).await)
    }

    /// Either end of a WebSocket that is open.
    fn over(inner: WebSocketStream<T>) -> Self {
        Self { inner, draining: false, closed: None, pongs: 0 }
    }

    /// Reads and forgets until the client hangs up.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut octets = [0; 4096];
        for _ in 0..DRAIN_READS {
            let mut buffer = ReadBuf::new(&mut octets);
            let read = Pin::new(self.inner.get_mut()).poll_read(context, &mut buffer);
            if ready!(read).is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ClientSocket for Socket<T> {
    fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Incoming, SocketError>>> {
        while !self.draining {
            let Some(message) = ready!(Pin::new(&mut self.inner).poll_next(context)) else {
                return Poll::Ready(None);
            };
            let incoming = match message {
                Ok(Message::Text(text)) => Ok(Incoming::Text(text.as_str().to_owned())),
                Ok(Message::Binary(octets)) => Ok(Incoming::Binary(octets)),
                Ok(Message::Ping(_)) => Ok(Incoming::Alive),
                Ok(Message::Pong(_)) => {
                    self.pongs += 1;
                    Ok(Incoming::Alive)
                }
                Ok(Message::Close(frame)) => {
                    // The answer to it goes out with the next poll, which is the last.
                    self.closed = Some(frame.map_or(NO_CODE, |frame| frame.code.into()));
                    continue;
                }
                Ok(Message::Frame(_)) => continue,
                Err(error) => {
                    let error = socket_error(error);
                    self.draining = !matches!(error, SocketError::Lost(_));
                    Err(error)
                }
            };
            return Poll::Ready(Some(incoming));
        }
        ready!(self.poll_drain(context));
        Poll::Ready(None)
    }

    fn send(&mut self, message: Outgoing) -> Result<(), SocketError> {
        let message = match message {
            Outgoing::Text(text) => Message::text(text),
            Outgoing::Binary(octets) => Message::Binary(octets),
            Outgoing::Ping => Message::Ping(Bytes::new()),
            Outgoing::Close(code, reason) => {
                let code = (code as u16).into();
                Message::Close(Some(CloseFrame { code, reason: reason.into() }))
            }
        };
        Pin::new(&mut self.inner).start_send(message).map_err(socket_error)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        Pin::new(&mut self.inner).poll_flush(context).map_err(socket_error)
    }

    fn closed_with(&self) -> Option<u16> {
        self.closed
    }

    fn pongs(&self) -> u64 {
        self.pongs
    }
}

/// Sorts the library's errors by blame.
fn socket_error(error: Error) -> SocketError {
    match error {
        Error::Capacity(_) => SocketError::TooBig,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            SocketError::Lost("the client hung up without a close".to_owned())
        }
        Error::Protocol(error) => SocketError::Protocol(error.to_string()),
        Error::Utf8(error) => SocketError::Protocol(error),
        error => SocketError::Lost(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
