//! The middle of a call: hold, mute, transfer, bridge, and the decision on an incoming call.
//!
//! ```text
//!  hold:      Talking ─ask─> Holding ─agreed─> Held ─ask─> Resuming ─agreed─> Talking
//!  transfer:  requested ─> accepted ─> ringing ─┬─> succeeded
//!                                               └─> failed: the call goes on
//! ```
//!
//! While a call is being handed over or is joined with another one, what its own content comes to
//! waits: it counts again when the call is left to itself.

use super::{Call, Input, Now, Output, Plan, State};
use crate::audio::progress::Tone;
use crate::call::control::{MuteDirection, TransferWish, Wish, WishError};
use crate::call::record::{
    EndReason, HangupParty, MuteState, TransferMode, TransferPhase, TransferView,
};
use crate::sip::interface::TransferState;
use std::time::Instant;

/// What became of our offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reoffered {
    /// The other side agreed.
    Agreed,
    /// It refused with this status; all is as before.
    Refused(u16),
}

/// How two calls came apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// Somebody asked for it: this call goes on with its own content.
    Parted,
    /// The other call ended, and this one goes on.
    PeerLeft,
    /// The other call ended, and this one ends with it.
    EndsWithPeer,
}

/// Our own hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ours {
    #[default]
    Talking,
    Holding,
    Held,
    Resuming,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    until: Instant,
    accepted: bool,
}

/// What is going on in the middle of a call.
#[derive(Debug, Default)]
pub(super) struct Middle {
    ours: Ours,
    pending: Option<Pending>,
    /// What the content came to while it did not count.
    deferred: Option<EndReason>,
    /// Early media was told of.
    pub(super) early: bool,
    /// A tone of ours sounds.
    pub(super) tone: bool,
}

impl Middle {
    /// When a transfer has taken too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.map(|pending| pending.until)
    }
}

impl Call {
    /// Grants a wish or says why not; drain [`Self::poll_output`] after it.
    ///
    /// What is granted has begun; how it ends is told by the record and by [`Output::Tell`].
    ///
    /// # Errors
    /// [`WishError::Conflict`] when the state of the call does not permit it, [`WishError::Ended`]
    /// when it is over.
    pub fn ask(&mut self, now: Now, wish: &Wish) -> Result<(), WishError> {
        match wish {
            Wish::Hold | Wish::Resume => self.hold(*wish == Wish::Hold),
            Wish::Ring => {
                self.offered()?;
                self.outputs.push_back(Output::Ring);
                self.ringing(now);
                Ok(())
            }
            Wish::EarlyMedia(tone) => {
                self.offered()?;
                if self.playing && tone.is_none() && !self.middle.tone {
                    return Err(conflict("early media flows already"));
                }
                if !self.playing {
                    self.progress();
                }
                self.sound(*tone);
                Ok(())
            }
            Wish::Answer => {
                self.offered()?;
                match self.plan {
                    Plan::RingOnly { .. } | Plan::Reject { .. } => {
                        return Err(conflict("its route does not answer"));
                    }
                    Plan::Dial { .. } => {
                        return Err(conflict(
                            "it is answered when the party that is called answers",
                        ));
                    }
                    Plan::Outbound { .. } | Plan::Inbound { .. } | Plan::Ask { .. } => {}
                }
                self.accept(now);
                Ok(())
            }
            Wish::Reject { code, reason } => {
                self.offered()?;
                self.reject(now, *code, reason.clone(), EndReason::Rejected, HangupParty::Api);
                Ok(())
            }
            Wish::Mute(on, direction) => self.mute(*on, *direction),
            Wish::Dtmf(_) | Wish::Record(_) | Wish::Instruct(_) => self.talking(),
            Wish::Transfer(transfer) => self.begin_transfer(now, transfer),
            Wish::Bridge(_) => self.joinable(),
            Wish::Unbridge if self.record.bridged => Ok(()),
            Wish::Unbridge if self.is_calling_for() => {
                self.outputs.push_back(Output::DropTransfer);
                self.transfer_failed(now, 487);
                Ok(())
            }
            Wish::Unbridge => Err(self.wrong("it is not joined with another call")),
        }
    }

    pub(super) fn in_the_middle(&mut self, now: Now, input: Input) {
        if !matches!(self.state, State::Answered { .. }) {
            return;
        }
        match input {
            Input::Reoffered(outcome) => self.reoffered(outcome),
            Input::PeerHolds(holds) => self.peer_holds(holds),
            Input::Transfer(state) => self.transfer(now, &state),
            Input::Bridged(with) => {
                let shown = with.to_string();
                self.record.bridged_with = Some(with);
                self.record.bridged = true;
                self.push_all([Output::Tell("bridge", Some(shown)), Output::Changed]);
            }
            Input::Unbridged(joint) => self.unbridged(now, joint),
            _ => {}
        }
    }

    /// The content is done with the call, or cannot do its work.
    pub(super) fn content_over(&mut self, now: Now, reason: EndReason) {
        if self.is_content_aside() {
            self.middle.deferred.get_or_insert(reason);
        } else {
            self.end(now, reason, HangupParty::Gateway);
        }
    }

    /// Whether the call is being handed over, or is joined with another one.
    #[must_use]
    pub fn is_content_aside(&self) -> bool {
        let answered = matches!(self.state, State::Answered { .. });
        answered && (self.middle.pending.is_some() || self.record.bridged)
    }

    /// Whether we call somebody with whom it is to be joined.
    fn is_calling_for(&self) -> bool {
        let view = self.record.transfer.as_ref();
        self.middle.pending.is_some() && view.is_some_and(|view| view.mode == TransferMode::Bridge)
    }

    /// Whether the other side has taken on to call somebody else.
    pub(super) fn is_handed_over(&self) -> bool {
        let accepted = self.middle.pending.is_some_and(|pending| pending.accepted);
        accepted
            && self.record.transfer.as_ref().is_some_and(|view| match view.mode {
                TransferMode::Blind | TransferMode::Attended => true,
                TransferMode::Bridge | TransferMode::Referred => false,
            })
    }

    /// The call ends: a transfer that nobody took on has failed.
    pub(super) fn end_transfer(&mut self, handed_over: bool) {
        if self.middle.pending.take().is_some()
            && !handed_over
            && let Some(view) = &mut self.record.transfer
        {
            view.state = TransferPhase::Failed;
        }
    }

    fn offered(&self) -> Result<(), WishError> {
        match self.state {
            State::Offered { .. } => Ok(()),
            _ => Err(self.wrong("it is no incoming call that waits for an answer")),
        }
    }

    /// Has a tone of ours sound, or none.
    pub(super) fn sound(&mut self, tone: Option<Tone>) {
        if std::mem::replace(&mut self.middle.tone, tone.is_some()) || tone.is_some() {
            self.outputs.push_back(Output::Tone(tone));
        }
    }

    fn talking(&self) -> Result<(), WishError> {
        match self.state {
            State::Answered { .. } => Ok(()),
            _ => Err(self.wrong("it is not answered")),
        }
    }

    fn unattached(&self) -> Result<(), WishError> {
        self.talking()?;
        if self.middle.pending.is_some() {
            return Err(conflict("a transfer is under way"));
        }
        if self.record.bridged {
            return Err(conflict("it is joined with another call"));
        }
        Ok(())
    }

    fn joinable(&self) -> Result<(), WishError> {
        self.unattached()?;
        match self.middle.ours {
            Ours::Talking => Ok(()),
            Ours::Holding | Ours::Held | Ours::Resuming => {
                Err(conflict("it is on hold; resume it first"))
            }
        }
    }

    fn wrong(&self, detail: &str) -> WishError {
        match self.state {
            State::Ending { .. } | State::Ended => WishError::Ended,
            State::Waiting
            | State::Dialing { .. }
            | State::Offered { .. }
            | State::Accepting { .. }
            | State::Answered { .. } => conflict(detail),
        }
    }

    fn hold(&mut self, hold: bool) -> Result<(), WishError> {
        self.talking()?;
        if self.record.bridged {
            return Err(conflict("it is joined with another call"));
        }
        match (self.middle.ours, hold) {
            (Ours::Talking, true) => self.middle.ours = Ours::Holding,
            (Ours::Held, false) => self.middle.ours = Ours::Resuming,
            (Ours::Talking, false) | (Ours::Held, true) => return Ok(()),
            (Ours::Holding | Ours::Resuming, _) => {
                return Err(conflict("the other side has not answered the last change yet"));
            }
        }
        self.outputs.push_back(Output::Reoffer(hold));
        Ok(())
    }

    /// Nothing is asked of the other side: what is muted is so at once, also in a bridge.
    fn mute(&mut self, on: bool, direction: MuteDirection) -> Result<(), WishError> {
        self.talking()?;
        let MuteState { playout, capture } = self.record.mute;
        let muted = match direction {
            MuteDirection::Playout => MuteState { playout: on, capture },
            MuteDirection::Capture => MuteState { playout, capture: on },
            MuteDirection::Both => MuteState { playout: on, capture: on },
        };
        if std::mem::replace(&mut self.record.mute, muted) != muted {
            let event = if on { "mute" } else { "unmute" };
            let detail = Some(direction.as_str().to_owned());
            self.push_all([Output::Mute(muted), Output::Tell(event, detail), Output::Changed]);
        }
        Ok(())
    }

    fn reoffered(&mut self, outcome: Reoffered) {
        let (held, event) = match self.middle.ours {
            Ours::Holding => (true, "hold"),
            Ours::Resuming => (false, "resume"),
            Ours::Talking | Ours::Held => return,
        };
        let (held, detail) = match outcome {
            Reoffered::Agreed => (held, "local".to_owned()),
            Reoffered::Refused(code) => (!held, format!("refused: {code}")),
        };
        self.middle.ours = if held { Ours::Held } else { Ours::Talking };
        self.record.hold.local = held;
        self.push_all([Output::Tell(event, Some(detail)), Output::Changed]);
    }

    fn peer_holds(&mut self, holds: bool) {
        if std::mem::replace(&mut self.record.hold.peer, holds) != holds {
            let event = if holds { "hold" } else { "resume" };
            self.push_all([Output::Tell(event, Some("peer".to_owned())), Output::Changed]);
        }
    }

    fn begin_transfer(&mut self, now: Now, wish: &TransferWish) -> Result<(), WishError> {
        match wish.mode {
            TransferMode::Bridge => self.joinable()?,
            TransferMode::Blind | TransferMode::Attended | TransferMode::Referred => {
                self.unattached()?;
            }
        }
        self.middle.pending = Some(Pending { until: now.mono + wish.timeout, accepted: false });
        self.record.transfer = Some(TransferView {
            to: wish.to.clone(),
            mode: wish.mode,
            state: TransferPhase::Requested,
            code: None,
        });
        self.tell_transfer();
        Ok(())
    }

    fn transfer(&mut self, now: Now, state: &TransferState) {
        let Some(view) = &mut self.record.transfer else { return };
        let before = (view.state, view.code);
        let Some(pending) = &mut self.middle.pending else {
            // Given up already; yet who was reached is reached.
            if *state == TransferState::Succeeded && view.state == TransferPhase::Failed {
                self.transferred(now);
            }
            return;
        };
        match state {
            TransferState::Accepted => {
                pending.accepted = true;
                view.state = TransferPhase::Accepted;
            }
            TransferState::Progress { code } => {
                pending.accepted = true;
                view.code = Some(*code);
                view.state =
                    if *code >= 180 { TransferPhase::Ringing } else { TransferPhase::Accepted };
            }
            TransferState::Succeeded => return self.transferred(now),
            TransferState::Failed { code, reason: _ } => return self.transfer_failed(now, *code),
        }
        if (view.state, view.code) != before {
            self.tell_transfer();
        }
    }

    fn transferred(&mut self, now: Now) {
        self.middle.pending = None;
        let Some(view) = &mut self.record.transfer else { return };
        (view.state, view.code) = (TransferPhase::Succeeded, Some(200));
        let mode = view.mode;
        self.tell_transfer();
        match mode {
            TransferMode::Blind | TransferMode::Attended => {
                self.end(now, EndReason::Transfer, HangupParty::Gateway);
            }
            // Joined next; what its content came to meanwhile waits on.
            TransferMode::Bridge => {}
            TransferMode::Referred => self.settle_content(now),
        }
    }

    fn transfer_failed(&mut self, now: Now, code: u16) {
        self.middle.pending = None;
        if let Some(view) = &mut self.record.transfer {
            (view.state, view.code) = (TransferPhase::Failed, Some(code));
        }
        self.tell_transfer();
        self.settle_content(now);
    }

    pub(super) fn transfer_late(&mut self, now: Now) {
        self.outputs.push_back(Output::DropTransfer);
        self.transfer_failed(now, 408);
    }

    fn tell_transfer(&mut self) {
        let view = self.record.transfer.clone();
        self.outputs.extend(view.map(Output::TellTransfer));
        self.outputs.push_back(Output::Changed);
    }

    fn unbridged(&mut self, now: Now, joint: Joint) {
        self.record.bridged = false;
        let with = self.record.bridged_with.as_ref().map(ToString::to_string);
        self.push_all([Output::Tell("unbridge", with), Output::Changed]);
        if joint == Joint::EndsWithPeer {
            let handed = self.record.transfer.as_ref().is_some_and(|view| {
                view.mode == TransferMode::Bridge && view.state == TransferPhase::Succeeded
            });
            let reason = if handed { EndReason::Transfer } else { EndReason::Completed };
            return self.end(now, reason, HangupParty::Gateway);
        }
        self.settle_content(now);
    }

    /// The content counts again.
    fn settle_content(&mut self, now: Now) {
        if let Some(reason) = self.middle.deferred.take() {
            self.end(now, reason, HangupParty::Gateway);
        }
    }
}

fn conflict(detail: &str) -> WishError {
    WishError::Conflict(detail.to_owned())
}
