//! The messages of one conversation: numbered, in order, and kept until the client must have them.
//!
//! ```text
//!  push ──> [ kept, were handed over | wait for the socket ] ──> pop
//!            └─ a client that goes on reads from here again
//! ```
//!
//! The numbers belong to the conversation, not to a socket: they go on over a gap. Bounded: of what
//! was handed over the oldest is forgotten; what waits for a client that is there but does not read
//! is too much at some point, which the caller must see to; while nobody is there the oldest goes,
//! and is counted. Knows no audio.

use super::seat::Outgoing;
use std::collections::VecDeque;

/// Messages that may wait for a client.
const WAITING_MAX: usize = 8192;
/// Their length together, in octets.
const WAITING_OCTETS: usize = 1 << 20;
/// Messages that wait for a client that is away: it must be able to come back for them.
const AWAY_MAX: usize = WAITING_MAX / 2;
/// Their length together, in octets.
const AWAY_OCTETS: usize = WAITING_OCTETS / 2;
/// Messages that are kept although they were handed over.
const KEPT_MAX: usize = 1024;
/// Their length together, in octets.
const KEPT_OCTETS: usize = 256 << 10;

#[derive(Debug)]
struct Entry {
    seq: u64,
    message: Outgoing,
    /// Sound that is not told again.
    once: bool,
}

/// What a client that goes on is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed {
    /// Messages that it has not seen.
    pub(super) events: u64,
    /// Those of them that are gone for good.
    pub(super) lost: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The number of the last message.
    seq: u64,
    /// Said before everything else, to this socket only.
    head: VecDeque<Outgoing>,
    entries: VecDeque<Entry>,
    /// How many of them were handed over.
    sent: usize,
    sent_octets: usize,
    waiting_octets: usize,
    /// Messages are kept for a client that comes back.
    keeps: bool,
}

impl Outbox {
    /// An empty one; `keeps`: for a client that may come back.
    pub(super) fn new(keeps: bool) -> Self {
        Self { keeps, ..Self::default() }
    }

    /// The number of the last message.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The number of the last message that was handed to a socket.
    pub(super) fn handed_over(&self) -> u64 {
        let next = self.entries.iter().skip(self.sent).find(|entry| !entry.once);
        next.map_or(self.seq, |entry| entry.seq - 1)
    }

    /// Queues the parts of one message.
    pub(super) fn push(&mut self, parts: &mut VecDeque<Outgoing>) {
        if parts.is_empty() {
            return;
        }
        self.seq += 1;
        let seq = self.seq;
        for message in parts.drain(..) {
            self.waiting_octets += message.octets();
            self.entries.push_back(Entry { seq, message, once: false });
        }
    }

    /// Queues something that has no number and is said on this socket only, in its turn.
    pub(super) fn push_unnumbered(&mut self, parts: &mut VecDeque<Outgoing>) {
        let seq = self.seq;
        for message in parts.drain(..) {
            self.waiting_octets += message.octets();
            self.entries.push_back(Entry { seq, message, once: true });
        }
    }

    /// Queues something that has no number and is not kept, before everything else.
    pub(super) fn push_head(&mut self, parts: &mut VecDeque<Outgoing>) {
        self.head.append(parts);
    }

    /// Whether more waits than a client may leave unread.
    pub(super) fn is_overfull(&self) -> bool {
        self.entries.len() - self.sent > WAITING_MAX || self.waiting_octets > WAITING_OCTETS
    }

    /// The next message for the socket.
    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        if let Some(message) = self.head.pop_front() {
            return Some(message);
        }
        if !self.keeps {
            let message = self.entries.pop_front()?.message;
            self.waiting_octets -= message.octets();
            return Some(message);
        }
        let entry = self.entries.get(self.sent)?;
        let message = entry.message.clone();
        self.waiting_octets -= message.octets();
        if entry.once {
            self.entries.remove(self.sent);
            return Some(message);
        }
        self.sent += 1;
        self.sent_octets += message.octets();
        while self.sent > KEPT_MAX || self.sent_octets > KEPT_OCTETS {
            self.forget_oldest();
        }
        Some(message)
    }

    /// Nobody is there: what waits beyond the bound goes, the oldest first.
    pub(super) fn bound(&mut self) {
        let waiting = |outbox: &Self| outbox.entries.len() - outbox.sent;
        while waiting(self) > AWAY_MAX || self.waiting_octets > AWAY_OCTETS {
            self.forget_oldest();
        }
        self.head.clear();
    }

    /// A client is there that has seen all messages up to `since`.
    pub(super) fn rewind(&mut self, since: u64) -> Missed {
        let since = since.min(self.seq);
        self.head.clear();
        self.entries.retain(|entry| !entry.once);
        self.sent = self.entries.iter().take_while(|entry| entry.seq <= since).count();
        let octets = |entries: &mut dyn Iterator<Item = &Entry>| {
            entries.map(|entry| entry.message.octets()).sum()
        };
        self.sent_octets = octets(&mut self.entries.iter().take(self.sent));
        self.waiting_octets = octets(&mut self.entries.iter().skip(self.sent));
        let next = self.entries.get(self.sent).map_or(self.seq + 1, |entry| entry.seq);
        let (events, lost) = (self.seq - since, next - since - 1);
        Missed { events, lost }
    }

    fn forget_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        let octets = entry.message.octets();
        if self.sent > 0 {
            self.sent -= 1;
            self.sent_octets -= octets;
        } else {
            self.waiting_octets -= octets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> VecDeque<Outgoing> {
        [Outgoing::Text(text.to_owned())].into()
    }

    fn drain(outbox: &mut Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.pop())
            .map(|message| match message {
                Outgoing::Text(text) => text,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_was_handed_over_is_read_again_from_where_the_client_says() {
        let mut outbox = Outbox::new(true);
        for n in 1..=5 {
            outbox.push(&mut text(&n.to_string()));
        }
        assert_eq!(outbox.pop(), Some(Outgoing::Text("1".into())));
        assert_eq!(outbox.pop(), Some(Outgoing::Text("2".into())));
        outbox.bound();
        outbox.push(&mut text("6"));
        let missed = outbox.rewind(1);
        assert_eq!(missed, Missed { events: 5, lost: 0 });
        outbox.push_head(&mut text("start"));
        assert_eq!(drain(&mut outbox), ["start", "2", "3", "4", "5", "6"]);
        assert_eq!(outbox.rewind(99), Missed { events: 0, lost: 0 });
        assert_eq!((drain(&mut outbox), outbox.seq()), (vec![], 6));
    }

    #[test]
    fn what_nobody_may_ask_for_again_is_not_kept() {
        let mut outbox = Outbox::new(false);
        outbox.push(&mut text("1"));
        outbox.push(&mut VecDeque::new());
        assert_eq!(
            (drain(&mut outbox), outbox.entries.len(), outbox.seq()),
            (vec!["1".into()], 0, 1)
        );
    }

    #[test]
    fn the_oldest_goes_while_nobody_is_there_and_that_is_told() {
        let mut outbox = Outbox::new(true);
        for n in 1..=WAITING_MAX + 10 {
            outbox.push(&mut text(&n.to_string()));
            outbox.bound();
        }
        let missed = outbox.rewind(3);
        let lost = (WAITING_MAX + 10 - AWAY_MAX - 3) as u64;
        assert_eq!(missed, Missed { events: WAITING_MAX as u64 + 7, lost });
        let first = drain(&mut outbox).remove(0);
        assert_eq!(first, (lost + 4).to_string());
    }

    #[test]
    fn memory_is_bounded_whether_it_is_read_or_not() {
        let mut outbox = Outbox::new(true);
        let long = "x".repeat(1000);
        for _ in 0..10_000 {
            outbox.push(&mut text(&long));
            outbox.pop();
        }
        assert!(outbox.entries.len() <= 262, "{}", outbox.entries.len());
        assert_eq!((outbox.sent, outbox.waiting_octets), (outbox.entries.len(), 0));
        while !outbox.is_overfull() {
            outbox.push(&mut text(&long));
        }
        assert!(outbox.waiting_octets <= WAITING_OCTETS + 1000);
        outbox.bound();
        assert!(!outbox.is_overfull());
    }
}
