//! What became of what was queued, told to the client.

use super::{Moment, Session};
use crate::app::Report;
use crate::app::playout::{Fact, Name};
use crate::app::stream::wire::{CommandId, Told};

impl Session {
    pub(super) fn on_fact(&mut self, fact: Fact, now: Moment) {
        match fact {
            Fact::Started { utterance } => self.tell_playback("started", utterance, [0; 3], now),
            Fact::Completed { utterance, played_ms, squeezed_ms } => {
                self.tell_playback("completed", utterance, [played_ms, squeezed_ms, 0], now);
            }
            Fact::Cleared { utterance, played_ms, squeezed_ms, discarded_ms } => {
                let lengths = [played_ms, squeezed_ms, discarded_ms];
                self.tell_playback("cleared", utterance, lengths, now);
            }
            Fact::Mark { name, played_ms, squeezed_ms, cleared } => {
                self.tell(&Told::Mark { name, played_ms, squeezed_ms, cleared }, now);
            }
            Fact::Flow { xoff, queued_ms } => {
                let state = if xoff { "xoff" } else { "xon" };
                self.tell(&Told::Flow { state, queued_ms }, now);
            }
            Fact::ClearDone { ticket } => {
                let index = self.tickets.iter().position(|(waiting, _)| *waiting == ticket);
                let done = index.and_then(|index| self.tickets.remove(index));
                self.acknowledge(done.and_then(|(_, id)| id), now);
            }
            Fact::Drained => {
                let played_ms = self.queue.ms(self.sent());
                self.report(Report::PlaybackDone { played_ms });
            }
        }
    }

    pub(super) fn tell_playback(
        &mut self,
        state: &'static str,
        utterance: Name,
        [played_ms, squeezed_ms, discarded_ms]: [u64; 3],
        now: Moment,
    ) {
        let told = Told::Playback { state, utterance, played_ms, squeezed_ms, discarded_ms };
        self.tell(&told, now);
    }

    /// Tells all who want to know which of the caller's audio was made up.
    pub(super) fn tell_concealed(&mut self, now: Moment) {
        for client in self.clients_mut() {
            while let Some(outlet) = &mut client.outlet
                && let Some((position_ms, duration_ms)) = outlet.next_concealed()
            {
                client.tell(&Told::Concealed { position_ms, duration_ms }, now);
            }
        }
    }

    pub(super) fn acknowledge(&mut self, id: Option<CommandId>, now: Moment) {
        if let Some(id) = id {
            self.tell(&Told::Ack { id, recording: None }, now);
        }
    }
}
