//! The queue without its leg: after the call, and while the leg is lent to a bridge.

use super::PlayoutQueue;
use std::collections::VecDeque;

impl PlayoutQueue {
    /// The call is over after `sent` samples from the ring: everything left is told as cleared,
    /// and nothing is accepted any more.
    pub fn halt(&mut self, sent: u64) {
        if self.halted {
            return;
        }
        let played_to = (sent + self.discarded).clamp(self.resolved, self.written);
        self.end_open(true);
        while let Some(clear) = self.clearing.pop_front() {
            self.resolve(clear.points, played_to.min(clear.up_to), clear.up_to, clear.ticket);
        }
        let points = std::mem::take(&mut self.timeline);
        self.settle(points, played_to);
        self.halted = true;
        self.backlog = VecDeque::new();
        self.in_ring = 0;
        self.commands.clear();
        self.squeezed.lose(played_to);
    }

    /// The leg is back after [`Self::halt`]: goes on at this ring position, `sent` samples of the
    /// ring having left.
    pub fn go_on(&mut self, position: u64, sent: u64) {
        if !std::mem::replace(&mut self.halted, false) {
            return;
        }
        (self.written, self.resolved) = (position, position);
        self.discarded = position.saturating_sub(sent);
        self.armed.clear();
        self.covered = 0;
        self.deferred = 0;
        self.ended_at = None;
        self.sounding = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fact, PlayoutQueue};
    use crate::media::interface::Event;
    use crate::media::ring;

    #[test]
    fn a_queue_goes_on_where_its_leg_has_got_to_meanwhile() {
        let (mut writer, _reader) = ring::playout(8000);
        let mut queue = PlayoutQueue::new(8000, 1000);
        queue.start();
        queue.push(&[1; 800]);
        queue.pump(&mut writer);
        queue.halt(160);
        let facts: Vec<Fact> = std::iter::from_fn(|| queue.next_fact()).collect();
        let cut =
            Fact::Cleared { utterance: None, played_ms: 20, squeezed_ms: 0, discarded_ms: 80 };
        assert_eq!(facts.last(), Some(&cut));
        assert_eq!(queue.push(&[1; 80]), 0, "nothing is taken meanwhile");
        // Somebody else wrote 400 samples; all but what the clear took have left.
        writer.push(&[2; 400]);
        queue.go_on(writer.position(), 560);
        assert_eq!(queue.push(&[3; 80]), 80);
        queue.close();
        queue.pump(&mut writer);
        let mut token = 0;
        queue.send_commands(|command| {
            if let crate::media::interface::Command::Watch { token: watched, .. } = command {
                token = watched;
            }
            true
        });
        queue.handle(&Event::Reached { token, position: 1280 });
        let facts: Vec<Fact> = std::iter::from_fn(|| queue.next_fact()).collect();
        assert_eq!(
            facts.last(),
            Some(&Fact::Completed { utterance: None, played_ms: 10, squeezed_ms: 0 })
        );
    }
}
