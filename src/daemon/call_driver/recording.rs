//! The call's part in its recordings: who asks for one waits until the stream leg has answered, and
//! what becomes of each is kept in the record.

use super::{CallActor, ReplyTo, now};
use crate::api::gateway::Content;
use crate::app::Control;
use crate::call::control::{Wish, WishError};
use crate::call::recording::{RecordWish, RecordingState, RecordingView};
use crate::observe::event::{self, Happening as _};
use std::collections::VecDeque;

/// Requests that may wait for the stream leg; further ones are refused.
const ASKED_MAX: usize = 16;

/// Who waits for the stream leg.
#[derive(Debug, Default)]
pub(super) struct Asked {
    waiting: VecDeque<(u64, ReplyTo)>,
    last: u64,
}

impl Asked {
    fn push(&mut self, reply: ReplyTo) -> u64 {
        self.last += 1;
        self.waiting.push_back((self.last, reply));
        self.last
    }

    fn take(&mut self, ticket: u64) -> Option<ReplyTo> {
        let index = self.waiting.iter().position(|(of, _)| *of == ticket)?;
        self.waiting.remove(index).map(|(_, reply)| reply)
    }
}

impl CallActor {
    /// Takes a wish to the stream leg, or says why not.
    pub(super) fn record(&mut self, wish: &RecordWish, reply: ReplyTo) {
        let granted = self
            .recordable()
            .and_then(|()| self.setup.call.ask(now(), &Wish::Record(wish.clone())));
        if let Err(error) = granted {
            return self.reply(reply, Err(error));
        }
        let ticket = self.asked.push(reply);
        self.tell_app(Control::Record { ticket, wish: wish.clone() });
    }

    fn recordable(&self) -> Result<(), WishError> {
        match self.setup.content {
            Content::Stream { .. } if self.app.is_none() => Err(WishError::Ended),
            Content::Stream { .. } if self.asked.waiting.len() >= ASKED_MAX => {
                Err(WishError::Full("too many wishes wait for the call already".to_owned()))
            }
            Content::Stream { .. } => Ok(()),
            Content::Tts(_)
            | Content::Audio { .. }
            | Content::Agent(_)
            | Content::Twiml(_)
            | Content::Party(_) => {
                let detail = "only calls of type DYNAMIC_STREAM are recorded, and not those that \
                              obey TwiML";
                Err(WishError::Conflict(detail.to_owned()))
            }
        }
    }

    /// The stream leg has answered.
    pub(super) fn recorded(&mut self, ticket: u64, result: Result<(), WishError>) {
        if let Some(reply) = self.asked.take(ticket) {
            self.reply(reply, result);
        }
    }

    /// Writes down how far a recording is.
    pub(super) fn note_recording(&mut self, view: RecordingView) {
        let record = self.setup.call.record_mut();
        let known = record.recordings.iter().find(|known| known.id == view.id);
        let news = known.is_none_or(|known| known.state != view.state);
        let (call_id, recording_id) = (record.id.as_str(), view.id.as_str());
        let (result, duration_ms) = (view.state.as_str(), view.duration_ms);
        match view.state {
            RecordingState::Ready if news => {
                event::RecordingReady { call_id, recording_id, result, duration_ms }.report();
            }
            RecordingState::Failed if news => {
                let reason = view.reason.as_deref().unwrap_or_default();
                event::RecordingFailed { call_id, recording_id, result, reason }.report();
            }
            RecordingState::Ready
            | RecordingState::Failed
            | RecordingState::Recording
            | RecordingState::Paused => {}
        }
        record.note_recording(view);
    }
}
