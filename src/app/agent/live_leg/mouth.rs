//! What a speech brain says, on its way to the caller, and what the caller heard of it.
//!
//! ```text
//!  sound ──> item = utterance of the queue ──> ring ──> worker
//!  words ──> ledger of the item                  │
//!  Said  <── started, settled: words that left <─┘ facts
//! ```
//!
//! Pure. Owns the playout queue, the ledger and the items between the first sample that came and
//! the last that left. Sentences of the built-in voice go the same way and are never cut by the
//! caller. Does not know why something is cut, and talks to nobody.

use crate::app::playout::{Fact, PlayoutQueue};
use crate::media::interface::{Command, Event};
use crate::media::ring::PlayoutWriter;
use crate::turn::interface::{UtteranceId, WordTime};
use crate::turn::ledger::Ledger;
use std::collections::VecDeque;
use std::time::Duration;

/// How much sound may be queued; more is refused.
const BUFFER_MS: u32 = 120_000;
/// Items between their first sample and their last; sound of one more is refused.
pub(super) const ITEMS_MAX: usize = 64;
/// Items that were cut and whose sound may still come; the oldest is forgotten.
const CUT_MAX: usize = 64;

/// One item of the brain, or a sentence of the built-in voice, on its way to the caller.
struct Item {
    /// The server's; of a fixed sentence: none.
    name: Option<String>,
    id: UtteranceId,
    /// Samples that were accepted.
    received: u64,
    started: Option<Duration>,
    /// All of its sound has come.
    complete: bool,
    /// The caller cut it off.
    barged: bool,
}

/// What became of sound that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sound {
    /// It is the first of an item.
    First,
    /// It goes on with one.
    More,
    /// It belongs to what was cut.
    Unwanted,
    /// There was no room for all of it.
    Full,
}

/// Something that became of items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The first sample of one has left.
    Started {
        /// A sentence of the built-in voice.
        fixed: bool,
    },
    /// The last sample has left that ever will.
    Settled {
        /// What the caller heard.
        text: String,
        /// When its first sample left.
        started: Duration,
        /// More of it was to come.
        cut: bool,
        /// The caller cut it off while it could be heard.
        interrupted: bool,
        /// What the server must be told: the item, and how many milliseconds of it were heard.
        truncate: Option<(String, u64)>,
    },
}

/// Everything that is being said.
pub(super) struct Mouth {
    queue: PlayoutQueue,
    ledger: Ledger,
    rate: u32,
    /// One name stands for everything that the brain ever says.
    continuous: bool,
    items: VecDeque<Item>,
    cut: VecDeque<String>,
    /// Words that came before the first sound of their item.
    early: Option<(String, String)>,
    next_item: u64,
    ticket: u64,
}

impl Mouth {
    pub(super) fn new(rate: u32, network_delay: Duration, continuous: bool) -> Self {
        Self {
            queue: PlayoutQueue::new(rate, BUFFER_MS),
            ledger: Ledger::new(network_delay),
            rate,
            continuous,
            items: VecDeque::new(),
            cut: VecDeque::new(),
            early: None,
            next_item: 0,
            ticket: 0,
        }
    }

    /// Lets sound flow.
    pub(super) fn start(&mut self) {
        self.queue.start();
    }

    /// Whether nothing is to be said and everything was told.
    pub(super) fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether more sound of the brain's last item is to come.
    pub(super) fn is_unfinished(&self) -> bool {
        self.items.back().is_some_and(|last| last.name.is_some() && !last.complete && !last.barged)
    }

    /// Whether the leg has refused something.
    pub(super) fn has_commands(&self) -> bool {
        self.queue.has_commands()
    }

    /// The brain's sound.
    pub(super) fn sound(&mut self, name: &str, samples: &[i16]) -> Sound {
        let is = |item: &Item| item.name.as_deref() == Some(name);
        let goes_on = self.is_unfinished() && self.items.back().is_some_and(is);
        if !goes_on {
            let known = !self.continuous && self.items.iter().any(is);
            if known || self.cut.iter().any(|cut| cut == name) {
                return Sound::Unwanted;
            }
            if !self.open(Some(name.to_owned())) {
                return Sound::Full;
            }
            if let Some((_, text)) = self.early.take_if(|(of, _)| of == name) {
                self.text(name, &text);
            }
        }
        match self.push(samples, &[]) {
            true if goes_on => Sound::More,
            true => Sound::First,
            false => Sound::Full,
        }
    }

    /// The words of an item so far; what is known of them already is not changed.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        let is = |item: &&Item| item.name.as_deref() == Some(name);
        let found = self.items.iter().rev().find(is);
        let Some(item) = found.filter(|item| !(self.continuous && item.complete)) else {
            self.early = Some((name.to_owned(), text.to_owned()));
            return;
        };
        let id = item.id;
        if let Some(more) = text.strip_prefix(self.ledger.full(id)).map(str::to_owned) {
            self.ledger.text(id, &more);
        }
    }

    /// All sound of an item has come; `None`: of whichever is the last.
    pub(super) fn complete(&mut self, name: Option<&str>) {
        let is = |item: &Item| item.name.is_some() && name.is_none_or(|n| item.name() == n);
        let Some(place) = self.items.iter().rposition(is) else { return };
        let last = place + 1 == self.items.len();
        if let Some(item) = self.items.get_mut(place) {
            item.complete = true;
            let length = duration(item.received, self.rate);
            self.ledger.synthesised(item.id, length, true, &[]);
        }
        if last {
            self.queue.close();
        }
    }

    /// Begins a sentence of the built-in voice, behind what is queued.
    pub(super) fn begin_fixed(&mut self, text: &str) {
        if self.open(None) {
            self.ledger.text(UtteranceId(self.next_item), text);
        }
    }

    /// More of it; false when there was no room.
    pub(super) fn fixed(&mut self, samples: &[i16], words: &[WordTime]) -> bool {
        self.push(samples, words)
    }

    /// The end of it; `whole`: the voice has said all.
    pub(super) fn end_fixed(&mut self, whole: bool) {
        if let Some(item) = self.items.back_mut().filter(|item| item.name.is_none()) {
            item.complete = whole;
            let length = duration(item.received, self.rate);
            self.ledger.synthesised(item.id, length, whole, &[]);
        }
        self.queue.close();
    }

    /// No more sound comes, finished or not.
    pub(super) fn end_open(&mut self) {
        self.queue.close();
    }

    /// The caller has the word: whatever of the brain's has not left will not. Sentences of the
    /// built-in voice go on.
    pub(super) fn cut(&mut self) {
        let spared = self.items.iter().any(|item| item.name.is_none());
        let names = self.items.iter().filter(|item| item.name.is_some() && !item.barged);
        let ids: Vec<UtteranceId> = names.map(|item| item.id).collect();
        if ids.is_empty() {
            return;
        }
        self.ticket += 1;
        if !spared {
            if self.queue.clear(self.ticket).is_ok() {
                for id in ids {
                    self.barge(id);
                }
            }
            return;
        }
        for id in ids {
            if self.queue.clear_utterance(&id.0.to_string(), self.ticket) == Ok(true) {
                self.barge(id);
            }
        }
    }

    /// Whatever has not left will not, nobody having asked for it.
    pub(super) fn silence(&mut self) {
        self.ticket += 1;
        // Sixteen clears wait already: one more cuts nothing.
        let _ = self.queue.clear(self.ticket);
    }

    /// The call is over, `sent` samples having left.
    pub(super) fn halt(&mut self, sent: u64) {
        self.queue.halt(sent);
    }

    /// Moves sound and orders to the leg.
    pub(super) fn pump(&mut self, playout: &mut PlayoutWriter) {
        self.queue.pump(playout);
    }

    /// Hands orders over.
    pub(super) fn send_commands(&mut self, send: impl FnMut(Command) -> bool) {
        self.queue.send_commands(send);
    }

    /// The leg tells something about playout.
    pub(super) fn handle(&mut self, event: &Event) {
        self.queue.handle(event);
    }

    /// An event may have been lost.
    pub(super) fn catch_up(&mut self, sent: u64) {
        if self.queue.is_waiting() {
            self.queue.catch_up(sent);
        }
    }

    /// The next thing that became of items.
    pub(super) fn next(&mut self, now: Duration) -> Option<Said> {
        loop {
            let said = match self.queue.next_fact()? {
                Fact::Started { utterance } => {
                    let place = self.place(utterance.as_deref());
                    place.and_then(|place| self.items.get_mut(place)).map(|item| {
                        item.started = Some(now);
                        Said::Started { fixed: item.name.is_none() }
                    })
                }
                Fact::Completed { utterance, .. } => self.settle(utterance.as_deref(), None, now),
                Fact::Cleared { utterance, played_ms, .. } => {
                    let played = Duration::from_millis(played_ms);
                    self.settle(utterance.as_deref(), Some(played), now)
                }
                Fact::Mark { .. } | Fact::Flow { .. } | Fact::ClearDone { .. } | Fact::Drained => {
                    None
                }
            };
            if said.is_some() {
                return said;
            }
        }
    }

    /// An utterance has ended, or was cut after `played`.
    fn settle(
        &mut self,
        utterance: Option<&str>,
        played: Option<Duration>,
        now: Duration,
    ) -> Option<Said> {
        let place = self.place(utterance)?;
        let item = self.items.remove(place)?;
        let text = match played {
            None if item.complete => self.ledger.full(item.id).to_owned(),
            None => self.ledger.synthesised_words(item.id),
            Some(played) => self.ledger.heard(item.id, played),
        };
        let length = duration(item.received, self.rate);
        let heard = played.map(|played| self.ledger.audio_end_ms(item.id, played, length));
        Some(Said::Settled {
            text,
            started: item.started.unwrap_or(now),
            cut: played.is_some(),
            interrupted: item.barged && played.is_some_and(|played| played > Duration::ZERO),
            truncate: item.name.zip(heard),
        })
    }

    fn place(&self, utterance: Option<&str>) -> Option<usize> {
        let id = utterance?.parse().ok().map(UtteranceId)?;
        self.items.iter().position(|item| item.id == id)
    }

    /// Begins an utterance for an item; ends the one before.
    fn open(&mut self, name: Option<String>) -> bool {
        let id = UtteranceId(self.next_item + 1);
        let room = self.items.len() < ITEMS_MAX || name.is_none();
        if !room || self.queue.open(Some(id.0.to_string().into())).is_err() {
            return false;
        }
        self.next_item = id.0;
        self.ledger.text(id, "");
        let (received, started, complete, barged) = (0, None, false, false);
        self.items.push_back(Item { name, id, received, started, complete, barged });
        true
    }

    /// Adds sound to the last item; false when there was no room for all of it.
    fn push(&mut self, samples: &[i16], words: &[WordTime]) -> bool {
        let accepted = self.queue.push(samples);
        if let Some(item) = self.items.back_mut() {
            item.received += accepted as u64;
            let length = duration(item.received, self.rate);
            self.ledger.synthesised(item.id, length, false, words);
        }
        accepted == samples.len()
    }

    fn barge(&mut self, id: UtteranceId) {
        let Some(item) = self.items.iter_mut().find(|item| item.id == id) else { return };
        item.barged = true;
        if let Some(name) = item.name.clone().filter(|_| !self.continuous) {
            if self.cut.len() >= CUT_MAX {
                self.cut.pop_front();
            }
            self.cut.push_back(name);
        }
    }
}

impl Item {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

fn duration(samples: u64, rate: u32) -> Duration {
    Duration::from_micros(samples * 1_000_000 / u64::from(rate.max(1)))
}

#[cfg(test)]
mod tests;
