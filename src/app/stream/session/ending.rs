//! The end of a call on its stream: what is told last, and when.
//!
//! The last word waits for a recording whose file is not whole yet, but not for long: a disk holds no
//! call up.

use super::{CloseCode, Moment, Session};
use crate::app::stream::wire::Told;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// How long the last word waits for the disk.
const DISK_MAX: Duration = Duration::from_secs(2);

/// What is said last, once the files are whole.
pub(super) struct LastWords {
    stop: Told,
    not_after: Instant,
}

impl Session {
    /// The call is over: tells what became of everything, and closes in order.
    pub(super) fn stop(
        &mut self,
        reason: &'static str,
        sip_code: Option<u16>,
        duration_ms: u64,
        now: Moment,
    ) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let sent = self.sent();
        self.forget_spoken();
        self.queue.halt(sent);
        if let Some(client) = &mut self.client {
            client.pending = Bytes::new();
        }
        self.pump(now);
        self.end_recording(now);
        self.line = None;
        (self.lost_at, self.pause_at, self.level_at) = (None, None, None);
        self.away = None;
        if !self.ended_told {
            let detail = Some(reason.to_owned());
            self.tell(&Told::CallEvent { event: "ended", detail }, now);
        }
        let played_ms = self.queue.ms(sent);
        let stop = Told::Stop { reason, sip_code, played_ms, duration_ms };
        self.last_words = Some(LastWords { stop, not_after: now.at + DISK_MAX });
        self.say_last_words(now);
    }

    /// Closes with all clients, when nothing is left that they are told before.
    pub(super) fn say_last_words(&mut self, now: Moment) {
        let late = |words: &LastWords| words.not_after <= now.at;
        if self.last_words.as_ref().is_some_and(late) {
            self.give_recordings_up(now);
        }
        if !self.recordings.is_settled() {
            return;
        }
        let Some(LastWords { stop, .. }) = self.last_words.take() else { return };
        let code = if self.leaving { CloseCode::GoingAway } else { CloseCode::Normal };
        for client in self.clients_mut() {
            client.finish(&stop, code, now);
        }
    }

    /// When the last word waits no longer.
    pub(super) fn last_words_due(&self) -> Option<Instant> {
        self.last_words.as_ref().map(|words| words.not_after)
    }

    /// Whether the call is over and all is said.
    pub(in crate::app::stream) fn is_finished(&self) -> bool {
        self.over && self.last_words.is_none() && self.clients().next().is_none()
    }
}
