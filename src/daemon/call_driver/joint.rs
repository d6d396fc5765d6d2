//! A call that is joined with another one: its media leg is lent to the bridge.
//!
//! The pair's task (`daemon::pair`) asks for the leg and gives it back; the application leg keeps
//! its client meanwhile.

use super::{CallActor, JointLink};
use crate::api::gateway::Content;
use crate::app::Control;
use crate::call::control::{BridgeWish, OnPeerHangup, Wish, WishError};
use crate::call::machine::Joint;
use crate::call::record::EndReason;
use crate::call::{Input, Now};
use crate::daemon::control::CallAsk;
use crate::daemon::pair::Lend;
use crate::media::worker::LegHandle;
use crate::sip::interface::TransferState;
use tokio_util::sync::CancellationToken;

impl CallActor {
    /// The other party of a transfer is going to be called; the token ends that.
    pub(super) fn begin_second(&mut self) -> CancellationToken {
        let dropped = CancellationToken::new();
        self.second = Some(dropped.clone());
        dropped
    }

    /// Has the party called that this call is to be connected with.
    pub(super) fn call_party(&mut self) {
        let Some(wish) = self.setup.party.take() else { return self.transfer_refused(500) };
        let call = self.setup.call.record().id.clone();
        let dropped = self.begin_second();
        self.ask_desk(CallAsk::Party { call, wish: Box::new(wish), dropped });
    }

    /// Lends the media leg to a bridge, if the call's state permits it.
    pub(super) fn lend(&mut self, now: Now, ask: Lend) {
        let Lend { with, on_peer_hangup, is_transfer, link, reply } = ask;
        let joined = self.joint.is_some();
        let permitted = if joined {
            Err(WishError::Conflict("it is joined with another call".to_owned()))
        } else if is_transfer {
            // Granted before the other party was called, unless it was given up meanwhile.
            let aside = self.setup.call.is_content_aside();
            aside.then_some(()).ok_or(WishError::Ended)
        } else {
            self.setup.call.ask(now, &Wish::Bridge(BridgeWish { with, on_peer_hangup }))
        };
        if let Err(error) = permitted {
            let _ = reply.send(Err(error));
            return;
        }
        self.joint = Some(link);
        match self.leg.take() {
            Some(leg) => {
                let _ = reply.send(Ok(Box::new(leg)));
            }
            // Without an application leg the reply is dropped here, and the pair gives up.
            None => self.tell_app(Control::Yield(reply)),
        }
    }

    /// The leg is back from a bridge, or there was none after all (`joint` is `None`).
    pub(super) fn take_back(&mut self, leg: Option<Box<LegHandle>>, joint: Option<Joint>) {
        self.joint = None;
        match leg {
            Some(leg) => {
                self.leg = Some(*leg);
                self.give_leg();
            }
            None if joint.is_some() => self.feed(Input::MediaFailed),
            // Whoever has it keeps it.
            None => {}
        }
        let Some(joint) = joint else { return };
        self.feed(Input::Unbridged(joint));
        match self.setup.content {
            Content::Party(_) => self.feed(Input::Unwanted),
            // It said its last words when the caller was joined with somebody else.
            Content::Agent(_) => self.feed(Input::ContentEnded(EndReason::Transfer)),
            Content::Tts(_)
            | Content::Audio { .. }
            | Content::Stream { .. }
            | Content::Twiml(_) => {}
        }
    }

    /// Asks for the calls to be parted.
    pub(super) fn part(&self) {
        if let Some(JointLink { parted, .. }) = &self.joint {
            parted.cancel();
        }
    }

    /// The call ends: who is joined with it, or rings for it, must know at once.
    pub(super) fn leave_joint(&mut self) {
        if let Some(JointLink { gone, .. }) = &self.joint {
            gone.cancel();
        }
        self.drop_second();
    }

    /// Whoever is being called for this call is not wanted any more.
    pub(super) fn drop_second(&mut self) {
        if let Some(second) = self.second.take() {
            second.cancel();
        }
    }

    pub(super) fn transfer_refused(&mut self, code: u16) {
        let reason = String::new();
        self.feed(Input::Transfer(TransferState::Failed { code, reason }));
    }
}

/// What becomes of a call whose other one has ended.
pub(in crate::daemon) fn joint_of(policy: OnPeerHangup) -> Joint {
    match policy {
        OnPeerHangup::Hangup => Joint::EndsWithPeer,
        OnPeerHangup::Continue => Joint::PeerLeft,
    }
}
