//! What waits to be sent on one connection, so that a peer that reads slowly does not keep us
//! from hearing it.
//!
//! Owns the sending half of the socket. Bounded by its user, who asks for room before it takes
//! more audio in.

use super::dialect::Say;
use crate::net::ws::{WsError, WsSender};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Messages that may wait before audio stays in the input's queue.
const ROOM: usize = 50;

type Sending = Pin<Box<dyn Future<Output = (WsSender, Result<(), WsError>)> + Send>>;

/// The line to an engine.
pub(super) struct Outbox {
    waiting: VecDeque<Say>,
    /// Free, or lent to `sending`.
    sender: Option<WsSender>,
    sending: Option<Sending>,
    within: Duration,
    pushed: u64,
}

impl Outbox {
    /// A line on which each message must be taken `within` this time.
    pub(super) fn new(sender: WsSender, within: Duration) -> Self {
        let waiting = VecDeque::new();
        Self { waiting, sender: Some(sender), sending: None, within, pushed: 0 }
    }

    /// Queues messages.
    pub(super) fn push(&mut self, says: Vec<Say>) {
        self.pushed += says.len() as u64;
        self.waiting.extend(says);
    }

    /// How many messages were queued in all.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Whether more audio should be taken in.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < ROOM
    }

    /// Whether all of it was sent.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sending.is_none()
    }

    /// Sends, for as long as it is polled; comes back with an error only. Cancel-safe.
    pub(super) async fn progress(&mut self) -> WsError {
        loop {
            if let Err(error) = self.send_one().await {
                return error;
            }
            if self.waiting.is_empty() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Sends what waits and says goodbye, as far as the peer lets it.
    pub(super) async fn close(mut self, within: Duration) {
        let rest = async {
            while !self.is_empty() {
                if self.send_one().await.is_err() {
                    return;
                }
            }
            if let Some(sender) = &mut self.sender {
                sender.close(1000, "").await;
            }
        };
        let _ = tokio::time::timeout(within, rest).await;
    }

    async fn send_one(&mut self) -> Result<(), WsError> {
        if self.sending.is_none()
            && let Some(say) = self.waiting.pop_front()
        {
            match self.sender.take() {
                Some(sender) => self.sending = Some(Box::pin(send(sender, say, self.within))),
                None => return Ok(()),
            }
        }
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let (sender, result) = sending.await;
        self.sending = None;
        self.sender = Some(sender);
        result
    }
}

async fn send(mut sender: WsSender, say: Say, within: Duration) -> (WsSender, Result<(), WsError>) {
    let result = match say {
        Say::Text(text) => sender.text(text, within).await,
        Say::Binary(octets) => sender.binary(octets, within).await,
    };
    (sender, result)
}
