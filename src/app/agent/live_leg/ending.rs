//! How a live call ends: limits, last words, and what is told when it is over.

use super::LiveLeg;
use crate::app::Report;
use crate::app::agent::interface::STOP_WITHIN;
use crate::app::agent::live::{LiveHandle, LiveInput, LiveOutput};
use crate::app::line::{split, whole};
use crate::call::control::WishError;
use crate::media::worker::LegHandle;
use crate::turn::interface::{Closing, State};
use std::time::Duration;
use tokio::sync::oneshot;

/// A brain that hangs up in the middle of its goodbye is heard out while its sound goes on coming
/// without such a gap, and for no longer than this.
const GOODBYE_GAP: Duration = Duration::from_millis(500);
const GOODBYE_MAX: Duration = Duration::from_secs(5);

impl LiveLeg {
    /// Last words, at the expense of what the brain still has to say.
    pub(super) fn wrap_up(&mut self, closing: Closing) {
        if self.close(closing) {
            self.mouth.cut();
            if let Some(sentence) = self.spec.turn.wrap_up.clone().filter(|_| self.speech.is_none())
            {
                self.speak(&sentence);
            }
        }
    }

    /// Ends the call when what is queued has left; false when it is ending already.
    pub(super) fn close(&mut self, closing: Closing) -> bool {
        if self.closing.is_some() {
            return false;
        }
        self.state(State::Closing);
        self.closing = Some((closing, self.now()));
        true
    }

    /// Whether the brain's sound is still wanted: always, and after the brain hung up until it has
    /// finished what it was saying.
    pub(super) fn is_heard_out(&self) -> bool {
        match &self.closing {
            None => true,
            Some((Closing::HangUp(_) | Closing::Transfer(_), since)) => {
                let now = self.now();
                let goes_on = now < self.sounded + GOODBYE_GAP && now < *since + GOODBYE_MAX;
                self.live.is_some() && self.mouth.is_unfinished() && goes_on
            }
            Some(_) => false,
        }
    }

    pub(super) fn look_at_limits(&mut self, now: Duration) {
        let turn = &self.spec.turn;
        let before = if turn.wrap_up.is_some() { turn.wrap_up_before } else { Duration::ZERO };
        let (wrap_up, end) = (turn.max_duration.saturating_sub(before), turn.max_duration);
        let silent = self.state == State::Listening
            && turn.give_up.is_some_and(|most| now >= self.state_since + most);
        if silent {
            self.close(Closing::Silence);
        }
        if now >= end {
            self.close(Closing::MaxDuration);
            self.speech = None;
            if self.lasted.is_none() && !self.mouth.is_idle() {
                self.mouth.silence();
            }
        } else if now >= wrap_up {
            self.wrap_up(Closing::MaxDuration);
        }
    }

    /// The call ends when the agent has said its last words.
    pub(super) fn end_if_done(&mut self) {
        if self.closing.is_none() || self.lasted.is_some() || self.speech.is_some() {
            return;
        }
        if self.is_heard_out() {
            return;
        }
        self.mouth.end_open();
        self.pump();
        if let Some((closing, _)) = self.closing.clone().filter(|_| self.mouth.is_idle()) {
            self.lasted = Some(self.now());
            let reason = self.notes.close(closing);
            let detail = self.notes.closing_detail();
            self.report(Report::Ended { reason, detail });
        }
    }

    /// A transfer is over.
    pub(super) fn transferred(&mut self, result: Result<(), String>) {
        let Some((took, answer)) = self.hands.transferred(result) else { return };
        match took {
            Some(target) => {
                self.notes.close(Closing::Transfer(target));
            }
            None => self.answer(answer),
        }
    }

    /// Lends the leg to a bridge. Whoever is joined with somebody else has no more to say to the
    /// agent: what it says from here on is not heard.
    pub(super) fn lend(&mut self, reply: oneshot::Sender<Result<Box<LegHandle>, WishError>>) {
        let Some((line, ears)) = self.leg.take() else { return };
        self.mouth.halt(line.port.sent_samples());
        self.orders.clear();
        // A brain that hears nobody costs money.
        self.live = None;
        if let Some(leg) = whole(line, ears)
            && let Err(Ok(leg)) = reply.send(Ok(leg))
        {
            self.leg = Some(split(*leg));
        }
    }

    /// The call is over: what was heard is settled, the brain says its last, the outcome is told.
    pub(super) async fn finish(mut self, reason: &'static str) {
        let Some(started) = self.started else { return };
        let now = started.elapsed();
        if let Some((line, _)) = &self.leg {
            self.mouth.halt(line.port.sent_samples());
        }
        self.take_said();
        self.tell_keys();
        self.leg = None;
        self.stop_brain().await;
        let schema_given = self.spec.context.result_schema.is_some();
        let lasted = self.lasted.unwrap_or(now);
        let outcome = self.notes.outcome(reason, lasted, schema_given);
        for report in self.waiting {
            let _ = self.reports.send(report).await;
        }
        let _ = self.reports.send(Report::Outcome(Box::new(outcome))).await;
    }

    /// Takes in what the brain tells until it has stopped; in time or not at all.
    async fn stop_brain(&mut self) {
        let Some(LiveHandle { inputs, mut outputs, task }) = self.live.take() else { return };
        let stop = async move {
            // The brain is gone already.
            let _ = inputs.send(LiveInput::Stop).await;
        };
        let last_words = async {
            while let Some(output) = outputs.recv().await {
                self.last_word(output);
            }
        };
        let both = async { tokio::join!(stop, last_words) };
        let _ = tokio::time::timeout(STOP_WITHIN, both).await;
        task.abort();
    }

    fn last_word(&mut self, output: LiveOutput) {
        match output {
            LiveOutput::Usage { input, output, .. } => self.notes.usage(input, output),
            LiveOutput::CallerText { text, is_final: true } => self.on_caller(text),
            LiveOutput::Tool(call) => {
                if let Some(result) = self.hands.result_of(&call) {
                    self.notes.record(result);
                }
            }
            LiveOutput::Ready
            | LiveOutput::Audio { .. }
            | LiveOutput::ItemDone { .. }
            | LiveOutput::SpeechStarted { .. }
            | LiveOutput::SpeechStopped { .. }
            | LiveOutput::CallerText { .. }
            | LiveOutput::AgentText { .. }
            | LiveOutput::TurnDone
            | LiveOutput::Failed { .. } => {}
        }
    }
}
