//! The place of the one client at a call's stream, and the socket that it brings.
//!
//! ```text
//!  api: reserve ──> StreamAttachment ── attach(socket) ──> the call's task
//!          │  (dropped before attach: the place is free)        │
//!          └─ 409 while taken, 410 after the end  <── freed when the client is gone
//! ```
//!
//! Owns who may sit down and what a socket must be able to do. Knows no WebSocket library: the
//! edge implements [`ClientSocket`], tests bring an in-memory one.

use super::options::StreamOptions;
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A sign of life (ping or pong), already answered if it wanted an answer.
    Alive,
}

/// What is sent to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// Asks for a sign of life.
    Ping,
    /// Ends the conversation; nothing may follow.
    Close(CloseCode, &'static str),
}

impl Outgoing {
    /// Its length in octets, for what is bounded.
    #[must_use]
    pub fn octets(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(octets) => octets.len(),
            Self::Ping | Self::Close(..) => 0,
        }
    }
}

/// Why the server ends a stream, by the code of its close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// All is said.
    Normal = 1000,
    /// A message was larger than allowed.
    TooBig = 1009,
    /// The client does not keep to the protocol.
    Protocol = 4000,
    /// The call is over and it cannot be told in order.
    CallEnded = 4002,
    /// The client does not take what is sent.
    SlowConsumer = 4003,
}

/// Why a socket is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The client sent a message beyond the limits; a close frame can still be sent.
    #[error("a message of the client is too big")]
    TooBig,
    /// The client broke the framing rules; a close frame can still be sent.
    #[error("the client broke the framing rules: {0}")]
    Protocol(String),
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Lost(String),
}

/// A client's socket as a call's task drives it: never blocks, buffers what is handed in.
pub trait ClientSocket: Send {
    /// The next message; `None` once nothing can come any more.
    fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Incoming, SocketError>>>;

    /// Takes a message into the write buffer; nothing is written before the next flush.
    ///
    /// # Errors
    /// [`SocketError`] when the socket is of no more use.
    fn send(&mut self, message: Outgoing) -> Result<(), SocketError>;

    /// Writes everything that was handed in; ready once the transport took all of it.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>>;

    /// The code of the peer's close frame, once one came; 1005 for one without a code.
    fn closed_with(&self) -> Option<u16> {
        None
    }
}

/// A socket that is still on its way (the upgrade is not through); `None`: it never came.
pub type Arrival = Pin<Box<dyn Future<Output = Option<Box<dyn ClientSocket>>> + Send>>;

/// Why no seat is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeatError {
    /// Somebody sits there (409 `stream_already_attached`).
    #[error("a client is already attached to this call's stream")]
    Taken,
    /// The call is over (410 `call_ended`).
    #[error("the call has ended")]
    Ended,
}

/// Hands out the seats of one call; cheap to clone.
#[derive(Debug, Clone)]
pub struct StreamSeats {
    main: Arc<Semaphore>,
    arrivals: mpsc::Sender<Box<Seated>>,
}

impl StreamSeats {
    /// Makes the seats and the end at which the call's task awaits who sits down.
    pub(super) fn new() -> (Self, mpsc::Receiver<Box<Seated>>) {
        // One seat, so one arrival can wait at most; boxed, because the queue's memory is that of
        // 32 and lives as long as the call.
        let (arrivals, seated) = mpsc::channel(1);
        (Self { main: Arc::new(Semaphore::new(1)), arrivals }, seated)
    }

    /// Takes the main client's place for one that is dialled.
    pub(super) fn keep(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.main).try_acquire_owned().ok()
    }

    /// Takes the place of the main client for as long as the attachment or its client lives.
    ///
    /// # Errors
    /// [`SeatError::Taken`] while another has it, [`SeatError::Ended`] after the call.
    pub fn reserve(&self, options: StreamOptions) -> Result<StreamAttachment, SeatError> {
        if self.arrivals.is_closed() {
            return Err(SeatError::Ended);
        }
        let permit = Arc::clone(&self.main).try_acquire_owned().map_err(|_| SeatError::Taken)?;
        let (rights, arrivals) = (StreamRights::default(), self.arrivals.clone());
        Ok(StreamAttachment { permit, options, rights, arrivals })
    }
}

/// What the key of a client permits, beyond the stream itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamRights {
    /// To have SIP URIs called, not numbers alone.
    pub sip_uris: bool,
}

/// A reserved seat at a call's stream: give it the upgraded socket. Dropped unused, it is free.
pub struct StreamAttachment {
    permit: OwnedSemaphorePermit,
    options: StreamOptions,
    rights: StreamRights,
    arrivals: mpsc::Sender<Box<Seated>>,
}

impl StreamAttachment {
    /// The same seat for a client with these rights; without it a client has none.
    #[must_use]
    pub fn with_rights(self, rights: StreamRights) -> Self {
        Self { rights, ..self }
    }

    /// Sits down: the call's task awaits the socket and serves it.
    ///
    /// # Errors
    /// [`SeatError::Ended`] when the call ended in the meantime.
    pub fn attach(self, socket: Arrival) -> Result<(), SeatError> {
        let Self { permit, options, rights, arrivals } = self;
        // The queue holds one and the permit is the only one: full cannot be.
        let seated = Box::new(Seated { permit, options, rights, socket });
        arrivals.try_send(seated).map_err(|_| SeatError::Ended)
    }

    /// What was asked for at the upgrade.
    #[must_use]
    pub fn options(&self) -> &StreamOptions {
        &self.options
    }
}

impl fmt::Debug for StreamAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamAttachment").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A client that sat down; its place is free again when this is dropped.
pub(super) struct Seated {
    pub(super) permit: OwnedSemaphorePermit,
    pub(super) options: StreamOptions,
    pub(super) rights: StreamRights,
    pub(super) socket: Arrival,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_at_a_time_and_none_after_the_end() {
        let (seats, seated) = StreamSeats::new();
        let first = seats.reserve(StreamOptions::default()).unwrap();
        assert_eq!(seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Taken);
        drop(first);
        let second = seats.reserve(StreamOptions::default()).unwrap();
        drop(seated);
        assert_eq!(second.attach(Box::pin(async { None })), Err(SeatError::Ended));
        assert_eq!(seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Ended);
    }

    #[test]
    fn the_place_is_free_again_when_the_client_is_dropped() {
        let (seats, mut seated) = StreamSeats::new();
        let attachment = seats.reserve(StreamOptions::default()).unwrap();
        attachment.attach(Box::pin(async { None })).unwrap();
        assert!(seats.reserve(StreamOptions::default()).is_err());
        drop(seated.try_recv().unwrap());
        assert!(seats.reserve(StreamOptions::default()).is_ok());
    }
}
