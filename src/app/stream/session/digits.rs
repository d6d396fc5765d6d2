//! Digits that a client sends: one string after the other, by the leg, or by the call where the leg
//! cannot. Does not wait for anything: the leg says when a string is out.

use super::{Digits, Session};
use crate::app::line::dtmf_command;
use crate::app::stream::client::Moment;
use crate::app::stream::wire::Told;
use crate::call::control::{DtmfMethod, DtmfWish, Wish};

/// Digit strings that may wait.
const DIGITS_MAX: usize = 16;

impl Session {
    /// Queues digits behind those that are being sent.
    pub(super) fn dial(&mut self, digits: Digits, now: Moment) {
        if self.digits.len() >= DIGITS_MAX {
            let detail = "too many digits wait already".to_owned();
            let told = Told::Error { id: digits.id, code: "busy", detail, fatal: false };
            self.tell(&told, now);
            return;
        }
        self.digits.push_back(digits);
        if !self.dialling {
            self.dial_next(now);
        }
    }

    fn dial_next(&mut self, now: Moment) {
        while let Some(digits) = self.digits.front_mut() {
            let command = dtmf_command(&digits.rest, digits.duration_ms, digits.gap_ms);
            if let Some((command, count)) = command {
                digits.rest.drain(..count.min(digits.rest.len()));
                self.dialling = true;
                self.order(command);
                return;
            }
            let id = self.digits.pop_front().and_then(|digits| digits.id);
            self.acknowledge(id, now);
        }
        self.dialling = false;
    }

    pub(super) fn dialled(&mut self, sent: bool, now: Moment) {
        if !sent && let Some(digits) = self.digits.pop_front() {
            if digits.method == DtmfMethod::Auto {
                let Digits { whole: digits, duration_ms, gap_ms, id, .. } = digits;
                let method = DtmfMethod::Info;
                let wish = DtmfWish { digits, method, duration_ms, gap_ms };
                self.wish(id, Wish::Dtmf(wish), now);
                return self.dial_next(now);
            }
            let detail = "the far end takes no telephone-event".to_owned();
            let told =
                Told::Error { id: digits.id, code: "dtmf_unavailable", detail, fatal: false };
            self.tell(&told, now);
        }
        self.dial_next(now);
    }
}
