//! The call's media leg and its description.
//!
//! Owns every use of `sdp` in a call: what we offer, what we answer, and what an agreement means
//! for the media leg. Decides nothing.

use super::CallActor;
use crate::app::Control;
use crate::audio::progress::Tone;
use crate::call::Input;
use crate::call::record::MuteState;
use crate::daemon::parts::leg_rate;
use crate::media::interface::Command as MediaCommand;
use crate::sdp::{Desk, LocalMedia, Negotiated};
use crate::sip::interface::Command;
use std::sync::PoisonError;
use std::time::Duration;

impl CallActor {
    /// Sends our description with 183 or 200: an answer, or the offer that the INVITE lacked.
    pub(super) async fn describe(&mut self, early: bool) {
        if self.description.is_none() {
            if !self.open_leg() {
                self.setup.call.record_mut().end_detail = Some("no RTP port is free".to_owned());
                return self.feed(Input::MediaFailed);
            }
            self.start_content();
        }
        let offer = self.setup.offer.take();
        let described = self.answer_offer(offer.as_deref());
        self.setup.offer = offer;
        let Some((description, _)) = described else { return self.feed(Input::MediaFailed) };
        let session = self.setup.session;
        let command = if early {
            Command::Progress { session, sdp: description }
        } else {
            Command::Answer { session, sdp: description }
        };
        self.tell_sip(command).await;
    }

    /// Our answer to an offer, taken on at once, or an offer of ours (`true`); `None` when nothing
    /// can be agreed on.
    pub(super) fn answer_offer(&mut self, offer: Option<&[u8]>) -> Option<(Vec<u8>, bool)> {
        let desk = self.description.as_mut()?;
        let Some(offer) = offer else { return Some((desk.offer(), true)) };
        match desk.answer(offer) {
            Ok((answer, negotiated)) => {
                self.update_media(negotiated);
                Some((answer, false))
            }
            Err(error) => {
                self.setup.call.record_mut().end_detail = Some(error.to_string());
                None
            }
        }
    }

    /// Answers a re-INVITE or UPDATE; an offer that cannot be used leaves all as it was.
    pub(super) async fn reanswer(&mut self, offer: Option<Vec<u8>>) {
        let session = self.setup.session;
        let Some(desk) = &mut self.description else { return };
        let described = match &offer {
            None => Ok((desk.offer(), None)),
            Some(offer) => desk.answer(offer).map(|(sdp, agreed)| (sdp, Some(agreed))),
        };
        let command = match described {
            Ok((sdp, negotiated)) => {
                if let Some(negotiated) = negotiated {
                    self.update_media(negotiated);
                    self.see_hold();
                }
                self.delayed_offer = offer.is_none();
                Command::Reanswer { session, sdp }
            }
            Err(_) => Command::Reject { session, code: 488, reason: String::new() },
        };
        self.tell_sip(command).await;
    }

    /// Answers the offer that the callee made.
    pub(super) async fn acknowledge(&mut self, offer: &[u8]) {
        let session = self.setup.session;
        match self.answer_offer(Some(offer)) {
            Some((sdp, _)) => self.tell_sip(Command::Acknowledge { session, sdp }).await,
            None => self.feed(Input::MediaFailed),
        }
    }

    /// Offers that we listen no more, or again.
    pub(super) async fn reoffer(&mut self, hold: bool) {
        let session = self.setup.session;
        let Some(desk) = &mut self.description else { return };
        desk.hold(hold);
        let sdp = desk.offer();
        self.tell_sip(Command::Reoffer { session, sdp }).await;
    }

    /// Replaces sound by silence, or no longer; the leg goes on playing and hearing.
    pub(super) fn mute(&self, MuteState { playout, capture }: MuteState) {
        if let Some(media) = self.media.get() {
            media.send(MediaCommand::Mute { playout, capture });
        }
    }

    /// Has a tone of ours sound, or none.
    pub(super) fn sound_tone(&self, tone: Option<Tone>) {
        if let Some(media) = self.media.get() {
            media.send(MediaCommand::Tone(tone));
        }
    }

    /// Takes the peer's answer to our offer; `false` when it cannot be used.
    pub(super) fn accept(&mut self, answer: &[u8]) -> bool {
        let Some(desk) = &mut self.description else { return false };
        match desk.accept(answer) {
            Ok(negotiated) => {
                self.update_media(negotiated);
                self.see_hold();
                true
            }
            Err(error) => {
                self.setup.call.record_mut().end_detail = Some(error.to_string());
                false
            }
        }
    }

    fn update_media(&mut self, negotiated: Negotiated) {
        let codec = Some(negotiated.codec.spec().name);
        *self.codec.lock().unwrap_or_else(PoisonError::into_inner) = codec;
        if let Some(media) = self.media.get() {
            // Who holds, or is held, may be silent.
            let flows = negotiated.direction.send && negotiated.direction.receive;
            let quiet = if flows { self.terms.quiet_after } else { Duration::ZERO };
            media.agree(&negotiated);
            media.send(MediaCommand::QuietAfter(quiet));
        }
        let srtp = Some(negotiated.srtp.is_some());
        self.agreed = Some(negotiated);
        let record = self.setup.call.record_mut();
        if std::mem::replace(&mut record.srtp, srtp) != srtp {
            self.tell_signalled();
        }
    }

    /// Tells the application leg what is agreed with the carrier.
    pub(super) fn tell_signalled(&mut self) {
        let record = self.setup.call.record();
        let (sip_call_id, srtp) = (record.sip_call_id.clone(), record.srtp);
        self.tell_app(Control::Signalled { sip_call_id, srtp });
    }

    /// Tells the call whether the other side holds it.
    pub(super) fn see_hold(&mut self) {
        let wants = self.description.as_ref().is_some_and(|desk| desk.local().direction.send);
        let may = self.agreed.as_ref().is_none_or(|agreed| agreed.direction.send);
        self.feed(Input::PeerHolds(wants && !may));
    }

    /// Whether there is an agreement on media.
    pub(super) fn has_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    /// The codec of this moment.
    pub(super) fn codec(&self) -> Option<&'static str> {
        *self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open_leg(&mut self) -> bool {
        let record = self.setup.call.record();
        let (content, codecs) = (&self.setup.content, &*self.setup.codecs);
        let hz = leg_rate(content, codecs).hz();
        let wish = self.setup.background.as_ref();
        let send = self.parts.sound.of_leg(wish, content, &record.instance_id, hz);
        let trunk = record.trunk.as_deref();
        let opened = self.parts.open_leg(&self.terms, trunk, content, codecs, send);
        match opened {
            Ok((leg, local)) => {
                let _ = self.media.set(leg.control.clone());
                self.description = Some(fresh_desk(local));
                self.leg = Some(leg);
                true
            }
            Err(error) => {
                tracing::warn!(call_id = %self.setup.call.record().id, %error, "no media leg");
                self.setup.call.record_mut().end_detail = Some(error.to_string());
                false
            }
        }
    }

    /// A desk for another peer that gets the same media: nothing was said to it yet.
    pub(super) fn another_desk(&self) -> Option<Desk> {
        self.description.as_ref().map(|desk| fresh_desk(desk.local().clone()))
    }

    /// Starts the application leg of a prompt, and gives the media leg to whichever there is.
    pub(super) fn start_content(&mut self) {
        if self.app.is_none() {
            let record = self.setup.call.record();
            let transcribe = self.setup.transcribe.as_ref();
            let (hearing, content) = (&self.setup.hearing, &self.setup.content);
            match self.parts.start_content(&self.terms, content, transcribe, hearing, record) {
                Ok(Some(leg)) => self.app = Some(leg),
                Ok(None) => {}
                Err(detail) => {
                    self.setup.call.record_mut().end_detail = Some(detail);
                    self.feed(Input::ContentFailed);
                }
            }
        }
        self.give_leg();
    }

    /// Gives the media leg to the application leg, if there is one.
    pub(super) fn give_leg(&mut self) {
        if let Some(leg) = self.leg.take_if(|_| self.app.is_some()) {
            self.tell_app(Control::Leg(Box::new(leg)));
        }
    }
}

fn fresh_desk(local: LocalMedia) -> Desk {
    Desk::new(local, Box::new(crate::api::fresh::fill))
}
