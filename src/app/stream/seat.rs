//! The places at a call's stream, one for whoever speaks and some for those who listen, and the
//! socket that a client brings.
//!
//! ```text
//!  api: reserve ──> StreamAttachment ── attach(socket) ──> the call's task
//!          │  (dropped before attach: the place is free)        │
//!          └─ 409 while taken, 410 after the end  <── freed when the client is gone
//! ```
//!
//! Owns who may sit down and what a socket must be able to do. A client that goes on where its last
//! socket stopped, or that says `takeover`, is given the place of whoever sits there. Knows no
//! WebSocket library: the edge implements [`ClientSocket`], tests bring an in-memory one.

use super::options::{Role, StreamOptions};
use super::resume::Token;
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// The node stops: the next call finds another.
    GoingAway = 1001,
    /// The key by which the client came in is good no more.
    Policy = 1008,
    /// A message was larger than allowed.
    TooBig = 1009,
    /// The client does not keep to the protocol.
    Protocol = 4000,
    /// Another client has taken the place.
    Replaced = 4001,
    /// The client does not take what is sent.
    SlowConsumer = 4003,
    /// There is nothing to go on with any more.
    ResumeOver = 4004,
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

    /// How many answers to our pings have come; 0 for a socket that does not count them.
    fn pongs(&self) -> u64 {
        0
    }
}

/// A socket that is still on its way (the upgrade is not through); `None`: it never came.
pub type Arrival = Pin<Box<dyn Future<Output = Option<Box<dyn ClientSocket>>> + Send>>;

/// Clients that may listen to one call.
pub const LISTENERS_MAX: usize = 8;
/// Clients on their way that the call's task has not looked at.
const ARRIVALS_MAX: usize = 16;

/// Why no seat is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeatError {
    /// Somebody sits there (409 `stream_already_attached`).
    #[error("a client is already attached to this call's stream; takeover=1 takes its place")]
    Taken,
    /// The client is one that we dial, now and when it is lost (409 `stream_already_attached`).
    #[error("this call's client is dialled, and nobody takes its place; role=listener listens")]
    Dialled,
    /// All places for listeners are taken (409 `stream_already_attached`).
    #[error("{LISTENERS_MAX} clients listen to this call already")]
    Full,
    /// What the client wants to go on with is over, or never was (410 `resume_over`).
    #[error("there is nothing to go on with: the time is over, or another client came")]
    ResumeOver,
    /// The call is over (410 `call_ended`).
    #[error("the call has ended")]
    Ended,
}

/// The token of the conversation that can be gone on with at this moment.
pub(super) type ResumeDoor = Arc<Mutex<Option<Token>>>;

/// Hands out the seats of one call; cheap to clone.
#[derive(Debug, Clone)]
pub struct StreamSeats {
    main: Arc<Semaphore>,
    /// The main place is kept for a client that we dial.
    kept: Arc<AtomicBool>,
    listeners: Arc<Semaphore>,
    door: ResumeDoor,
    arrivals: mpsc::Sender<Box<Seated>>,
}

impl StreamSeats {
    /// Makes the seats and the end at which the call's task awaits who sits down.
    pub(super) fn new() -> (Self, Arrivals) {
        // Boxed, because the queue's memory is that of 32 and lives as long as the call.
        let (arrivals, seated) = mpsc::channel(ARRIVALS_MAX);
        let (main, door) = (Arc::new(Semaphore::new(1)), ResumeDoor::default());
        let listeners = Arc::new(Semaphore::new(LISTENERS_MAX));
        let waiting = Arrivals { seated, door: Arc::clone(&door) };
        (Self { main, kept: Arc::default(), listeners, door, arrivals }, waiting)
    }

    /// Takes the main client's place for one that is dialled, for as long as the call lasts.
    pub(super) fn keep(&self) -> Option<OwnedSemaphorePermit> {
        self.kept.store(true, Ordering::Relaxed);
        Arc::clone(&self.main).try_acquire_owned().ok()
    }

    /// Takes a place for as long as the attachment or its client lives.
    ///
    /// # Errors
    /// [`SeatError`]: the place is taken, there is nothing to go on with, or the call is over.
    pub fn reserve(&self, options: StreamOptions) -> Result<StreamAttachment, SeatError> {
        if self.arrivals.is_closed() {
            return Err(SeatError::Ended);
        }
        let place = match options.place.role {
            Role::Listener => {
                let seat = Arc::clone(&self.listeners).try_acquire_owned();
                Seat::Taken(seat.map_err(|_| SeatError::Full)?)
            }
            Role::Main => self.reserve_main(&options)?,
        };
        let (rights, arrivals) = (StreamRights::default(), self.arrivals.clone());
        Ok(StreamAttachment { place, options, rights, arrivals })
    }

    fn reserve_main(&self, options: &StreamOptions) -> Result<Seat, SeatError> {
        if self.kept.load(Ordering::Relaxed) {
            return Err(SeatError::Dialled);
        }
        let resume = options.place.resume();
        if let Some(resume) = &resume {
            let door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
            if !door.is_some_and(|token| token.fits(&resume.token)) {
                return Err(SeatError::ResumeOver);
            }
        }
        match Arc::clone(&self.main).try_acquire_owned() {
            Ok(seat) => Ok(Seat::Taken(seat)),
            // Who has the token is the client that sits there, on a socket that it has given up.
            Err(_) if resume.is_some() || options.place.takeover => {
                Ok(Seat::Wanted(Arc::clone(&self.main)))
            }
            Err(_) => Err(SeatError::Taken),
        }
    }
}

/// What the call's task awaits clients with.
pub(super) struct Arrivals {
    pub(super) seated: mpsc::Receiver<Box<Seated>>,
    pub(super) door: ResumeDoor,
}

/// A place, or the wish for one that somebody has.
pub(super) enum Seat {
    /// It is the client's until this is dropped.
    Taken(OwnedSemaphorePermit),
    /// Whoever has it must go; it is one of these.
    Wanted(Arc<Semaphore>),
}

/// What the key of a client permits, beyond the stream itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamRights {
    /// To have SIP URIs called, not numbers alone.
    pub sip_uris: bool,
    /// Whether the key is good; `None`: it was good, and the call asks no more.
    pub standing: Option<Standing>,
}

impl StreamRights {
    /// Whether the client may stay.
    pub(super) fn are_over(&self, unix_ms: i64) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.is_over(unix_ms))
    }
}

/// Until when a key is good; all that was let in with it shares one.
#[derive(Debug, Clone)]
pub struct Standing(Arc<AtomicI64>);

impl Standing {
    /// Good until then, in milliseconds since the Unix epoch; `None`: until it is revoked.
    #[must_use]
    pub fn until(expires_at: Option<i64>) -> Self {
        Self(Arc::new(AtomicI64::new(expires_at.unwrap_or(i64::MAX))))
    }

    /// It is good no more.
    pub fn revoke(&self) {
        self.0.store(i64::MIN, Ordering::Relaxed);
    }

    /// Whether it is good no more.
    #[must_use]
    pub fn is_over(&self, unix_ms: i64) -> bool {
        self.0.load(Ordering::Relaxed) <= unix_ms
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Standing {}

/// A reserved seat at a call's stream: give it the upgraded socket. Dropped unused, it is free.
pub struct StreamAttachment {
    place: Seat,
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
    /// [`SeatError::Ended`] when the call ended in the meantime, [`SeatError::Taken`] when too many
    /// are on their way.
    pub fn attach(self, socket: Arrival) -> Result<(), SeatError> {
        let Self { place, options, rights, arrivals } = self;
        let seated = Box::new(Seated { place, options, rights, socket });
        arrivals.try_send(seated).map_err(|refused| match refused {
            // Too many take the place from each other.
            mpsc::error::TrySendError::Full(_) => SeatError::Taken,
            mpsc::error::TrySendError::Closed(_) => SeatError::Ended,
        })
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
    pub(super) place: Seat,
    pub(super) options: StreamOptions,
    pub(super) rights: StreamRights,
    pub(super) socket: Arrival,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(query: &[(&str, &str)]) -> StreamOptions {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let pairs: Vec<_> = query.iter().map(pair).collect();
        StreamOptions::from_query::<&str>(&pairs, &[]).unwrap()
    }

    #[test]
    fn one_client_at_a_time_and_none_after_the_end() {
        let (seats, waiting) = StreamSeats::new();
        let first = seats.reserve(StreamOptions::default()).unwrap();
        assert_eq!(seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Taken);
        drop(first);
        let second = seats.reserve(StreamOptions::default()).unwrap();
        drop(waiting);
        assert_eq!(second.attach(Box::pin(async { None })), Err(SeatError::Ended));
        assert_eq!(seats.reserve(StreamOptions::default()).unwrap_err(), SeatError::Ended);
    }

    #[test]
    fn the_place_is_free_again_when_the_client_is_dropped() {
        let (seats, mut waiting) = StreamSeats::new();
        let attachment = seats.reserve(StreamOptions::default()).unwrap();
        attachment.attach(Box::pin(async { None })).unwrap();
        assert!(seats.reserve(StreamOptions::default()).is_err());
        drop(waiting.seated.try_recv().unwrap());
        assert!(seats.reserve(StreamOptions::default()).is_ok());
    }

    #[test]
    fn eight_may_listen_beside_the_one_who_speaks() {
        let (seats, _waiting) = StreamSeats::new();
        let _main = seats.reserve(StreamOptions::default()).unwrap();
        let listener = || seats.reserve(asking(&[("role", "listener")]));
        let taken: Vec<_> = (0..LISTENERS_MAX).map(|_| listener().unwrap()).collect();
        assert_eq!(listener().unwrap_err(), SeatError::Full);
        drop(taken);
        assert!(listener().is_ok());
    }

    #[test]
    fn the_place_of_a_client_that_is_dialled_is_not_to_be_had() {
        let (seats, waiting) = StreamSeats::new();
        let kept = seats.keep();
        let token = Token::draw(&[3; 32], 1);
        *waiting.door.lock().unwrap() = Some(token);
        let token = token.to_string();
        for wish in [&[("takeover", "1")][..], &[("resume", &token), ("since", "4")], &[]] {
            assert_eq!(seats.reserve(asking(wish)).unwrap_err(), SeatError::Dialled);
        }
        assert!(seats.reserve(asking(&[("role", "listener")])).is_ok());
        drop(kept);
        assert_eq!(seats.reserve(asking(&[])).unwrap_err(), SeatError::Dialled);
    }

    #[test]
    fn a_taken_place_is_given_to_who_takes_it_over_or_has_the_token() {
        let (seats, waiting) = StreamSeats::new();
        let _main = seats.reserve(StreamOptions::default()).unwrap();
        assert!(seats.reserve(asking(&[("takeover", "1")])).is_ok());
        let token = Token::draw(&[3; 32], 1).to_string();
        let resume = || seats.reserve(asking(&[("resume", &token), ("since", "4")]));
        assert_eq!(resume().unwrap_err(), SeatError::ResumeOver);
        *waiting.door.lock().unwrap() = Some(Token::draw(&[3; 32], 2));
        assert_eq!(resume().unwrap_err(), SeatError::ResumeOver);
        *waiting.door.lock().unwrap() = Some(Token::draw(&[3; 32], 1));
        assert!(resume().is_ok());
    }
}
