//! A message that outlives the buffer it came in.

use super::parse::Layout;
use super::{Message, ParseError};

/// A message with its own bytes, for a session that must keep a request.
///
/// Cost: three allocations when made, none when viewed.
#[derive(Debug, Clone)]
pub struct OwnedMessage {
    head: Box<str>,
    body: Box<[u8]>,
    layout: Box<Layout>,
}

impl OwnedMessage {
    /// Reads and keeps `bytes`.
    ///
    /// # Errors
    /// As [`Message::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        Message::parse(bytes).map(|message| Self::from(&message))
    }

    /// The message, borrowed; costs a copy of its table (1.1 kB), no parsing.
    pub fn view(&self) -> Message<'_> {
        Message::from_parts(&self.head, &self.body, &self.layout)
    }
}

impl From<&Message<'_>> for OwnedMessage {
    fn from(message: &Message<'_>) -> Self {
        let (head, body, layout) = message.parts();
        Self { head: head.into(), body: body.into(), layout: Box::new(*layout) }
    }
}
