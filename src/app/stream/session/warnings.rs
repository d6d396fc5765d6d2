//! What a client is warned of: sound that was refused or dropped, and sound that is not what it
//! should be. Each kind at most once a second.

use super::{Moment, Session};
use crate::app::stream::inlet::Note;
use crate::app::stream::wire::{Told, warning};

impl Session {
    pub(super) fn warn_of(&mut self, note: Note, now: Moment) {
        let told = match note {
            Note::Odd => {
                let hint = Some("send whole samples before utterance_end");
                let detail = "the audio ended within a sample".to_owned();
                Told::Warning { code: "odd_bytes", detail, hint, dropped_ms: None }
            }
            Note::Undecodable(detail) => {
                let hint = Some("send PCM, G.711, MP3 or WAV and name it in format");
                Told::Warning { code: "audio_undecodable", detail, hint, dropped_ms: None }
            }
            Note::Junk(octets) => {
                if !self.junk_hush.may_speak(now.at) {
                    return;
                }
                warning("audio_damaged", format!("{octets} octets belong to no audio frame"))
            }
        };
        self.tell(&told, now);
    }

    pub(super) fn warn_of_pace(&mut self, muted: bool, now: Moment) {
        if muted && self.pace_hush.may_speak(now.at) {
            let detail = "messages come too fast; they are read more slowly";
            self.tell(&warning("rate_limited", detail), now);
        }
    }

    /// Tells what was refused of the client's audio and dropped of the caller's.
    pub(super) fn warn_of_losses(&mut self, now: Moment) {
        if self.refused > 0 && self.refused_hush.may_speak(now.at) {
            let dropped_ms = Some(self.queue.ms(std::mem::take(&mut self.refused)));
            let (detail, hint) = if self.lent {
                ("the call is joined with another one: audio is refused", None)
            } else if self.hanging {
                ("audio after hangup is refused", None)
            } else {
                ("the queue is full, the newest audio is refused", Some("wait for flow xon"))
            };
            let detail = detail.to_owned();
            self.tell(&Told::Warning { code: "dropped", detail, hint, dropped_ms }, now);
        }
        let rate = u64::from(self.spec.sample_rate.max(1));
        for client in self.clients_mut() {
            client.warn_of_drops(rate, now);
        }
    }
}
