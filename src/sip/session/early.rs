//! The early dialogs of our INVITE: one for each callee that rings, with what it has agreed on.
//!
//! Owns their number, the order of reliable responses in each, and where offer and answer stand.
//! Does not send or tell anything: `caller` does.

use super::reliable;
use crate::sip::dialog::Dialog;
use crate::sip::message::Message;

/// Most early dialogs of one INVITE; further forks ring without one.
const EARLY_MAX: usize = 16;

/// The number under which callees speak that have no early dialog: RFC 2543 ones, which give no To
/// tag, and those beyond the bound.
pub(super) const NO_DIALOG: u32 = u32::MAX;

/// One fork that rings.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) dialog: Dialog,
    /// Counted from 0 over the whole session.
    pub(super) fork: u32,
    /// The answer of its last 1xx that had one.
    pub(super) sdp: Option<Vec<u8>>,
    pub(super) agreement: Agreement,
    /// RSeq of the last reliable response that came in order.
    rseq: Option<u32>,
    /// 199 ended it. It stays to tell late responses from a fresh fork.
    ended: bool,
}

/// Where offer and answer stand in one early dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The first offer is not made, or has no answer that is sure to be the last word.
    Open,
    /// The callee's offer in a reliable response waits for the application.
    Offered {
        /// Of that response.
        rseq: u32,
        /// Of the INVITE.
        cseq: u32,
        sdp: Vec<u8>,
    },
    /// Our offer was answered in a reliable response.
    Answered,
    /// The last offer was the callee's, and we have answered it.
    Theirs,
}

/// How a provisional response stands to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It needs no acknowledgement.
    Unreliable,
    /// It is the next one, to be acknowledged with this RSeq.
    Next(u32),
    /// It is a copy, or others are missing before it.
    Out,
}

impl Early {
    /// Whether a response is new here; a reliable one must be filed by [`Self::take`] if it is.
    //= RFC 3262 §4: a copy MUST be discarded; one whose RSeq is not one higher than the last MUST
    //= NOT be acknowledged or processed
    pub(super) fn turn(&self, answer: &Message<'_>) -> Turn {
        match (reliable::rseq(answer), self.rseq) {
            (None, _) => Turn::Unreliable,
            (Some(rseq), None) => Turn::Next(rseq),
            (Some(rseq), Some(last)) if last.checked_add(1) == Some(rseq) => Turn::Next(rseq),
            (Some(_), Some(_)) => Turn::Out,
        }
    }

    pub(super) fn take(&mut self, rseq: u32) {
        self.rseq = Some(rseq);
    }

    //= RFC 6228 §4: the early dialog counts as terminated
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct EarlyDialogs {
    list: Vec<Early>,
    next_fork: u32,
}

impl EarlyDialogs {
    /// How many of them live.
    pub(super) fn len(&self) -> usize {
        self.list.iter().filter(|early| !early.ended).count()
    }

    /// The early dialog that a provisional response belongs to or makes.
    //= RFC 3261 §13.2.2.1: a 1xx with a To tag constructs an early dialog
    pub(super) fn heard(&mut self, answer: &Message<'_>, target: &str) -> Option<&mut Early> {
        let tag = answer.to().ok()?.tag()?;
        let known = self.list.iter().position(|early| early.dialog.remote_tag() == tag);
        if let Some(at) = known {
            return self.list.get_mut(at);
        }
        if self.list.len() >= EARLY_MAX {
            return None;
        }
        let dialog = Dialog::uac(answer, target).ok()?;
        let fork = self.next_fork;
        self.next_fork += 1;
        let agreement = Agreement::Open;
        self.list.push(Early { dialog, fork, sdp: None, agreement, rseq: None, ended: false });
        self.list.last_mut()
    }

    /// The living one of a callee.
    pub(super) fn of(&mut self, tag: &str) -> Option<&mut Early> {
        self.list.iter_mut().find(|early| early.dialog.remote_tag() == tag && !early.ended)
    }

    /// One by its number.
    pub(super) fn by_fork(&mut self, fork: u32) -> Option<&mut Early> {
        self.list.iter_mut().find(|early| early.fork == fork)
    }

    /// The one whose offer waits for the application.
    pub(super) fn offering(&mut self) -> Option<&mut Early> {
        self.list.iter_mut().find(|early| matches!(early.agreement, Agreement::Offered { .. }))
    }

    /// Takes out the one that a 2xx confirms, be it ended or not.
    //= RFC 6228 §4: a 2xx that comes after the 199 is processed as if there had been none
    pub(super) fn remove(&mut self, tag: &str) -> Option<Early> {
        let at = self.list.iter().position(|early| early.dialog.remote_tag() == tag)?;
        Some(self.list.swap_remove(at))
    }

    /// Forgets them all: their INVITE has been refused.
    //= RFC 3261 §12.3: a final response other than 2xx ends all its early dialogs
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// A CSeq number that none of them has used, for a request that is sent again.
    pub(super) fn next_cseq(&mut self) -> Option<u32> {
        let next = self.list.iter_mut().map(|early| early.dialog.next_cseq()).max()?;
        self.list.iter_mut().for_each(|early| early.dialog.used_cseq(next));
        Some(next)
    }
}
