//! What the vendors with a WebSocket have in common: one conversation per sentence on a
//! connection that is kept for the next.
//!
//! ```text
//!  pool or handshake ─> opening messages ─> hear, hear, … ─> done ─> back to the pool
//!                                             └─ cancelled, late ─> cancel message
//! ```
//!
//! Owns connections, their reuse and the goodbye. A connection from the pool that turns out dead
//! before its first sound is replaced once. Does not know any vendor's words.

use super::{EngineError, GOODBYE, Saying, Sentence, Sink, TtsEngine};
use crate::audio::decode::LiveFormat;
use crate::net::ws::{self, WsMessage, WsReceiver, WsRequest, WsSender};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Connections that wait for the next sentence.
const IDLE_MAX: usize = 8;
/// How long they wait: nobody answers their pings meanwhile.
const IDLE_FOR: Duration = Duration::from_secs(10);
/// How long one message may take to be sent.
const SEND: Duration = Duration::from_secs(5);
/// Messages without sound that one sentence may bring.
const MESSAGES_MAX: u32 = 10_000;

/// What a message means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// There is more to come.
    More,
    /// Say this once; there is more to come.
    Say(Value),
    /// The sentence is complete.
    Done,
}

/// A vendor's words.
pub(super) trait Vendor: Send + Sync {
    /// The state of one conversation.
    type Hearing: Send;

    /// Sentences that one connection may serve.
    const USES_MAX: u32;

    /// Whether a connection is of use after a sentence on it was cancelled.
    const OUTLIVES_CANCEL: bool;

    /// The handshake; its URL also tells which connections can stand in for one another.
    fn handshake(&self, say: &Sentence) -> WsRequest;

    /// What the sound is.
    fn format(&self) -> (LiveFormat, u32);

    /// What is said first.
    fn opening(&self, say: &Sentence, context: &str) -> Vec<Value>;

    /// What tells the vendor to stop.
    fn cancel(&self, context: &str) -> Value;

    /// Begins to listen.
    fn hearing(&self, say: &Sentence, context: &str) -> Self::Hearing;

    /// Takes a message.
    fn hear(
        &self,
        hearing: &mut Self::Hearing,
        message: &WsMessage,
        out: &mut Sink,
    ) -> Result<Heard, EngineError>;

    /// What to say when the sound has paused for this long, for vendors that may not say when a
    /// sentence is over.
    fn nudge(&self, _hearing: &mut Self::Hearing) -> Option<(Duration, Value)> {
        None
    }
}

/// An engine behind a WebSocket.
pub(super) struct SocketEngine<V> {
    vendor: V,
    idle: Mutex<Vec<Idle>>,
    contexts: AtomicU64,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

struct Connection {
    url: String,
    sender: WsSender,
    receiver: WsReceiver,
    uses: u32,
}

impl<V: Vendor> SocketEngine<V> {
    pub(super) fn new(vendor: V) -> Self {
        Self { vendor, idle: Mutex::default(), contexts: AtomicU64::new(1) }
    }

    fn take(&self, url: &str) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE_FOR);
        let at = idle.iter().rposition(|idle| idle.connection.url == url)?;
        Some(idle.swap_remove(at).connection)
    }

    fn put(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE_FOR);
        if connection.uses < V::USES_MAX && idle.len() < IDLE_MAX {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    async fn open(&self, request: WsRequest, out: &mut Sink) -> Result<Connection, EngineError> {
        // A handshake's state is large and soon gone.
        let handshake = Box::pin(ws::connect(&request));
        let (sender, receiver) = out.wait(handshake).await??;
        Ok(Connection { url: request.url, sender, receiver, uses: 0 })
    }

    async fn say(&self, say: &Sentence, out: &mut Sink) -> Result<(), EngineError> {
        let request = self.vendor.handshake(say);
        if let Some(connection) = self.take(&request.url) {
            match self.converse(connection, say, out).await {
                // It had died in the pool.
                Err(EngineError::Failed(_)) if out.first_audio().is_none() => {}
                outcome => return outcome,
            }
        }
        let connection = self.open(request, out).await?;
        self.converse(connection, say, out).await
    }

    async fn converse(
        &self,
        mut connection: Connection,
        say: &Sentence,
        out: &mut Sink,
    ) -> Result<(), EngineError> {
        let context = format!("bw{}", self.contexts.fetch_add(1, Ordering::Relaxed));
        connection.uses += 1;
        let outcome = self.listen(&mut connection, &context, say, out).await;
        match &outcome {
            Ok(()) => self.put(connection),
            Err(EngineError::Failed(_)) => {}
            Err(why) => {
                let stop = self.vendor.cancel(&context).to_string();
                let told = connection.sender.text(stop, GOODBYE).await.is_ok();
                if told && V::OUTLIVES_CANCEL && *why == EngineError::Cancelled {
                    self.put(connection);
                } else {
                    connection.sender.close(1000, "").await;
                }
            }
        }
        outcome
    }

    async fn listen(
        &self,
        connection: &mut Connection,
        context: &str,
        say: &Sentence,
        out: &mut Sink,
    ) -> Result<(), EngineError> {
        for message in self.vendor.opening(say, context) {
            out.wait(connection.sender.text(message.to_string(), SEND)).await??;
        }
        let (format, rate) = self.vendor.format();
        out.format(format, rate)?;
        let mut hearing = self.vendor.hearing(say, context);
        for _ in 0..MESSAGES_MAX {
            let message = self.next(connection, &mut hearing, out).await?;
            if let WsMessage::Closed { code, reason } = &message {
                let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
                return Err(EngineError::Failed(format!("it closed with {code} {reason:?}")));
            }
            match self.vendor.hear(&mut hearing, &message, out)? {
                Heard::More => {}
                Heard::Say(message) => {
                    out.wait(connection.sender.text(message.to_string(), SEND)).await??;
                }
                Heard::Done => return out.audio_end(),
            }
        }
        Err(EngineError::Failed("it sends messages without end".to_owned()))
    }

    async fn next(
        &self,
        connection: &mut Connection,
        hearing: &mut V::Hearing,
        out: &mut Sink,
    ) -> Result<WsMessage, EngineError> {
        if out.first_audio().is_some()
            && let Some((after, message)) = self.vendor.nudge(hearing)
        {
            let next = tokio::time::timeout(after, connection.receiver.next());
            if let Ok(next) = out.wait(next).await? {
                return Ok(next?);
            }
            out.wait(connection.sender.text(message.to_string(), SEND)).await??;
        }
        Ok(out.wait(connection.receiver.next()).await??)
    }
}

impl<V: Vendor> TtsEngine for SocketEngine<V> {
    fn synthesise<'a>(&'a self, say: &'a Sentence, out: &'a mut Sink) -> Saying<'a> {
        Box::pin(self.say(say, out))
    }
}

/// A part of a URL: everything but letters, digits and `-._~` as `%XX`.
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A text of a foreign message, fit for a log.
pub(super) fn told(text: Option<&Value>) -> String {
    let text = match text {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// Finds words that an engine tells of in the sentence that it was given, front to back.
#[derive(Debug, Default)]
pub(super) struct Finder {
    text: String,
    at: usize,
}

impl Finder {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), at: 0 }
    }

    /// One past the end of `word`, if it comes within the next few words.
    pub(super) fn find(&mut self, word: &str) -> Option<usize> {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        if word.is_empty() {
            return None;
        }
        let rest = self.text.get(self.at..)?;
        let limit = rest.char_indices().nth(80).map_or(rest.len(), |(at, _)| at);
        let near = rest.get(..(limit + word.len()).min(rest.len())).unwrap_or(rest);
        let end = self.at + near.find(word)? + word.len();
        self.at = end;
        Some(end)
    }

    /// One past the end of `chars` if they come next; spaces more or less do not matter.
    pub(super) fn follow(&mut self, chars: &str) -> Option<usize> {
        let mut at = self.at;
        for c in chars.chars().filter(|c| !c.is_whitespace()) {
            let rest = self.text.get(at..)?;
            let skipped = rest.len() - rest.trim_start().len();
            let next = rest.get(skipped..)?.chars().next()?;
            if next != c {
                return None;
            }
            at += skipped + c.len_utf8();
        }
        self.at = at;
        Some(at)
    }

    /// Whether a word ends where the last find ended.
    pub(super) fn is_word_end(&self) -> bool {
        let next = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        next.is_none_or(char::is_whitespace)
    }

    /// Whether all of the text has been found.
    pub(super) fn is_done(&self) -> bool {
        self.text.get(self.at..).is_none_or(|rest| !rest.chars().any(char::is_alphanumeric))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_letters_are_found_in_order() {
        let mut finder = Finder::new("He said: \"the the\" end, élan.");
        assert_eq!(finder.find("He"), Some(2));
        assert_eq!(finder.find("said"), Some(7));
        assert_eq!((finder.find("the"), finder.find("the")), (Some(13), Some(17)));
        assert_eq!(finder.find("nothing"), None);
        assert!(!finder.is_done());
        assert_eq!(finder.find("élan."), Some(29));
        assert!(finder.is_done());
        let mut finder = Finder::new("ab  cé d");
        assert_eq!(finder.follow("a"), Some(1));
        assert!(!finder.is_word_end());
        assert_eq!(finder.follow("b"), Some(2));
        assert!(finder.is_word_end());
        assert_eq!(finder.follow(" c"), Some(5));
        assert_eq!(finder.follow("x"), None);
        assert_eq!(finder.follow("éd"), Some(9));
        assert!(finder.is_done());
    }

    #[test]
    fn parts_of_urls_cannot_leave_their_place() {
        assert_eq!(encoded("a/../b?c=d&é"), "a%2F..%2Fb%3Fc%3Dd%26%C3%A9");
    }
}
