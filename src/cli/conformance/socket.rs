//! The socket to the program under trial, as a call's task drives it, and a look at what passes.
//!
//! ```text
//!  stream task ─ ClientSocket ─> Watched ─> writer (task) ─> WebSocket
//!                                  │   <── reader (task) <──
//!                                  └─> Sight, for the scenario
//! ```
//!
//! Owns two tasks per connection; both end with it. Queues are bounded: a program that does not
//! read holds up the flush, as on a real socket.

use crate::app::stream::ClientSocket;
use crate::app::stream::seat::{Incoming, Outgoing, SocketError};
use crate::net::ws::{WsMessage, WsReceiver, WsSender};
use serde_json::Value;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// Messages that may wait each way between the task and the connection.
const WAITING_MAX: usize = 64;
/// Sights that may wait for the scenario, which looks every 20 ms; further ones are not seen.
const SIGHTS_MAX: usize = 16_384;
/// How long the program may take nothing.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Something that passed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sight {
    /// The program said this.
    Said(Value),
    /// The program sent sound, so many octets.
    Sound(usize),
    /// The program was told this.
    Told(Value),
    /// The connection is gone: how.
    Gone(String),
}

/// A socket that tells what passes.
pub(super) struct Watched<S> {
    inner: S,
    sights: mpsc::Sender<Sight>,
}

impl<S: ClientSocket> Watched<S> {
    /// A watched socket, and where its sights come out.
    pub(super) fn new(inner: S) -> (Self, mpsc::Receiver<Sight>) {
        let (sights, seen) = mpsc::channel(SIGHTS_MAX);
        (Self { inner, sights }, seen)
    }

    fn see(&self, sight: Sight) {
        let _ = self.sights.try_send(sight);
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

impl<S: ClientSocket> ClientSocket for Watched<S> {
    fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Incoming, SocketError>>> {
        let incoming = ready!(self.inner.poll_recv(context));
        match &incoming {
            Some(Ok(Incoming::Text(text))) => self.see(Sight::Said(value(text))),
            Some(Ok(Incoming::Binary(octets))) => self.see(Sight::Sound(octets.len())),
            Some(Ok(Incoming::Alive)) => {}
            Some(Err(error)) => self.see(Sight::Gone(error.to_string())),
            None => self.see(Sight::Gone("the program closed it".to_owned())),
        }
        Poll::Ready(incoming)
    }

    fn send(&mut self, message: Outgoing) -> Result<(), SocketError> {
        if let Outgoing::Text(text) = &message {
            self.see(Sight::Told(value(text)));
        }
        self.inner.send(message)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.inner.poll_flush(context)
    }
}

/// A dialled connection.
pub(super) struct Dialled {
    incoming: mpsc::Receiver<Result<Incoming, SocketError>>,
    outgoing: PollSender<Outgoing>,
    /// What was not handed to the writer yet.
    buffer: std::collections::VecDeque<Outgoing>,
}

impl Dialled {
    /// Takes over an open connection; must be called within a runtime.
    pub(super) fn new(sender: WsSender, receiver: WsReceiver) -> Self {
        let (heard, incoming) = mpsc::channel(WAITING_MAX);
        let (outgoing, said) = mpsc::channel(WAITING_MAX);
        tokio::spawn(read(receiver, heard));
        tokio::spawn(write(sender, said));
        Self { incoming, outgoing: PollSender::new(outgoing), buffer: [].into() }
    }
}

async fn read(mut receiver: WsReceiver, heard: mpsc::Sender<Result<Incoming, SocketError>>) {
    loop {
        let incoming = match receiver.next_sign().await {
            Ok(Some(WsMessage::Text(text))) => Ok(Incoming::Text(text)),
            Ok(Some(WsMessage::Binary(octets))) => Ok(Incoming::Binary(octets)),
            Ok(None) => Ok(Incoming::Alive),
            Ok(Some(WsMessage::Closed { .. })) => return,
            Err(error) => Err(SocketError::Lost(error.to_string())),
        };
        let lost = incoming.is_err();
        if heard.send(incoming).await.is_err() || lost {
            return;
        }
    }
}

async fn write(mut sender: WsSender, mut said: mpsc::Receiver<Outgoing>) {
    while let Some(message) = said.recv().await {
        let sent = match message {
            Outgoing::Text(text) => sender.text(text, SEND_WITHIN).await,
            Outgoing::Binary(octets) => sender.binary(octets, SEND_WITHIN).await,
            Outgoing::Ping => sender.ping(SEND_WITHIN).await,
            Outgoing::Close(code, reason) => {
                sender.close(code as u16, reason).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

impl ClientSocket for Dialled {
    fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Incoming, SocketError>>> {
        self.incoming.poll_recv(context)
    }

    fn send(&mut self, message: Outgoing) -> Result<(), SocketError> {
        self.buffer.push_back(message);
        Ok(())
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        let lost = || SocketError::Lost("the program is gone".to_owned());
        while !self.buffer.is_empty() {
            ready!(self.outgoing.poll_reserve(context)).map_err(|_| lost())?;
            if let Some(message) = self.buffer.pop_front() {
                self.outgoing.send_item(message).map_err(|_| lost())?;
            }
        }
        Poll::Ready(Ok(()))
    }
}
