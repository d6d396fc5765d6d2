//! What the application leg, and the leg of those who watch an agent, tell the call.

use super::{CallActor, ReplyTo};
use crate::app::stream::wire::{Heard, Told};
use crate::app::{Control, Report};
use crate::call::Input;
use crate::call::control::{Wish, WishError};
use crate::call::outcome::{Transcription, TranscriptionStatus};
use crate::call::record::{BARGES_MAX, CallRecord, TONES_MAX};
use crate::daemon::control::CallAsk;
use crate::observe::event::{self, Happening as _};
use crate::speech::stt::SttUnavailable;

impl CallActor {
    pub(super) fn hear_app(&mut self, report: Option<Report>) {
        let input = match report {
            Some(Report::PlaybackDone { .. }) => Input::PlaybackDone,
            Some(Report::HangupRequested { .. }) => Input::HangupRequested,
            Some(Report::StreamLost { detail }) => {
                self.setup.call.record_mut().end_detail = Some(detail);
                Input::StreamLost
            }
            Some(Report::Failed { detail }) => {
                tracing::warn!(call_id = %self.setup.call.record().id, detail, "content failed");
                self.setup.call.record_mut().end_detail = Some(detail);
                Input::ContentFailed
            }
            Some(Report::Quiet) => Input::Quiet,
            Some(Report::Attached { protocol, rate }) => Input::StreamAttached { protocol, rate },
            Some(Report::Detached) => Input::StreamDetached,
            Some(Report::Wish { ticket, wish }) => {
                return self.wished(*wish, ReplyTo::Stream { ticket });
            }
            Some(Report::TransferWanted { target }) => return self.agent_transfer(&target),
            Some(Report::Ended { reason, detail }) => {
                self.setup.call.record_mut().end_detail = detail;
                Input::ContentEnded(reason)
            }
            Some(report) => return self.note(report),
            None => {
                self.app = None;
                Input::ContentFailed
            }
        };
        self.feed(input);
    }

    pub(super) fn hear_watchers(&mut self, report: Option<Report>) {
        match report {
            None => self.watchers = None,
            Some(Report::Wish { ticket, wish: _ }) => {
                // Its stream refuses wishes by itself.
                let refused = "an agent conducts this call: its stream can be watched".to_owned();
                let result = Err(WishError::Conflict(refused));
                self.show(Control::Granted { ticket, result });
            }
            Some(
                report @ (Report::HangupRequested { .. }
                | Report::Attached { .. }
                | Report::Detached),
            ) => self.hear_app(Some(report)),
            Some(_) => {}
        }
    }

    /// Tells those who watch an agent; a watcher that does not listen misses it.
    pub(super) fn show(&self, control: Control) {
        if let Some(watchers) = &self.watchers {
            let _ = watchers.control.try_send(control);
        }
    }

    fn show_told(&self, told: Told) {
        self.show(Control::Tell(Box::new(told)));
    }

    /// Writes down what an application leg tells and the call's state does not depend on.
    pub(super) fn note(&mut self, report: Report) {
        let record = self.setup.call.record_mut();
        match report {
            Report::Transcribing(Ok(engine)) => {
                record.transcription = Some(Box::new(Transcription::available(&engine)));
            }
            Report::Transcribing(Err(reason)) => lose_words(record, reason),
            Report::Answered(mut answerer) => {
                let call_id = record.id.as_str();
                let (by, reason) = (answerer.answered_by.as_str(), answerer.reason.as_str());
                event::CallJudged { call_id, by, reason }.report();
                answerer.beep_ms = record.answerer.as_ref().and_then(|known| known.beep_ms);
                record.answerer = Some(answerer);
            }
            Report::Beep { position_ms } => {
                if let Some(answerer) = &mut record.answerer {
                    answerer.beep_ms = Some(position_ms);
                }
            }
            Report::BargeIn(barge) => {
                let (call_id, played_ms) = (record.id.as_str(), barge.played_ms);
                let (by, action) = (barge.by.as_str(), barge.action.as_str());
                event::CallerInterrupted { call_id, by, action, played_ms }.report();
                if record.barge_ins.len() < BARGES_MAX {
                    record.barge_ins.push(*barge);
                }
            }
            Report::Tone(tone) => {
                let call_id = record.id.as_str();
                event::ToneHeard { call_id, kind: &tone.kind, reason: &tone.reason }.report();
                if record.tones.len() < TONES_MAX {
                    record.tones.push(*tone);
                }
            }
            Report::DialFailed { detail, tries } => {
                let call_id = record.id.as_str();
                event::StreamUnreached { call_id, detail: &detail, tries }.report();
                record.stream.get_or_insert_default().last_error = Some(detail);
            }
            Report::Said(line) => {
                let lines = record.transcription.as_ref().map_or(0, |known| known.lines.len());
                let told = Told::Transcript(Heard::line(&line, lines as u64 + 1));
                if let Some(watchers) = &self.watchers {
                    let _ = watchers.control.try_send(Control::Tell(Box::new(told)));
                }
                // An agent's words are known also when nobody transcribes the caller.
                let unheard = || Box::new(Transcription::unavailable("nobody listens"));
                record.transcription.get_or_insert_with(unheard).add(*line);
            }
            Report::Outcome(outcome) => {
                crate::daemon::tell::outcome(record.id.as_str(), &outcome);
                let told = Told::Outcome { outcome: outcome.clone() };
                record.outcome = Some(outcome);
                self.show_told(told);
            }
            Report::Recording(view) => self.note_recording(*view),
            Report::Recorded { ticket, result } => return self.recorded(ticket, result),
            report => return self.pass_on(report),
        }
        self.publish();
    }

    /// What is told on and not kept.
    fn pass_on(&self, report: Report) {
        let call_id = self.setup.call.record().id.as_str();
        match report {
            Report::Gone { why } => event::StreamGone { call_id, why }.report(),
            Report::ClientEvent { name } => event::StreamTold { call_id, name: &name }.report(),
            Report::Turn(state) => self.show_told(Told::Turn { state }),
            Report::Dtmf { digit, duration_ms, method } => {
                let (digit, method) = (char::from(digit), method.as_str());
                self.show_told(Told::Dtmf { digit, duration_ms, method });
            }
            Report::Interrupted { heard } => self.show_told(Told::Interrupted { heard }),
            _ => {}
        }
    }

    /// A wish of the stream's client, or of nobody that waits.
    fn wished(&mut self, wish: Wish, reply: ReplyTo) {
        match wish {
            // The switchboard knows who may be called, and the other calls.
            Wish::Transfer(_) | Wish::Bridge(_) => {
                let call = self.setup.call.record().id.clone();
                self.ask_desk(CallAsk::Wish { call, wish: Box::new(wish), reply, trusted: false });
            }
            wish => self.grant(&wish, reply),
        }
    }
}

/// Nobody writes the words of a call down (any more).
fn lose_words(record: &mut CallRecord, reason: String) {
    let known = record.transcription.as_ref();
    let had = known.is_some_and(|known| known.status == TranscriptionStatus::Available);
    // A node without any engine is no news.
    if had || reason != SttUnavailable::NoEngine.to_string() {
        let call_id = record.id.as_str();
        event::TranscriptionLost { call_id, reason: &reason }.report();
    }
    let lost = Transcription::unavailable(&reason);
    let known = record.transcription.get_or_insert_with(|| Box::new(lost));
    known.status = TranscriptionStatus::Unavailable;
    known.reason = Some(reason);
}
