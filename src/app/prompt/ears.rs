//! What a prompt waits for, and what a voice or key does to it.
//!
//! ```text
//!  answer ── who answered? greeting over? "hello?" over? ──> play
//!  play ──── voice or key ──> told │ cleared: the prompt is over │ paused, then one of the two
//! ```
//!
//! Obeys what the ears put out, as `app::hearing` hears it; nobody but the clock decides on a
//! pause. With `amd` a voice interrupts from the verdict on: a greeting is no interruption.

use super::{CUT, Ending, PromptTask, now};
use crate::app::Report;
use crate::app::hearing::{Heard, answerer};
use crate::call::record::{BargeView, EndReason, ToneView};
use crate::media::interface::{CLEAR_FADE, Command};
use crate::turn::barge::{self, Input, Mode};
use crate::turn::machine::{AmdAction, AnsweredBy, Output, Verdict};
use std::time::Duration;
use tokio::time::Instant;

/// Why a prompt does not play, though the call is answered.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// It is not known yet who answered, or a mailbox's greeting is not over.
    pub(super) machine: bool,
    /// Who answered says their "hello?".
    pub(super) hello: bool,
    /// A voice or key, until the time for a decision is over.
    pub(super) barge: bool,
    /// It was told who answered.
    judged: bool,
    /// What the last voice or key did, to be told when that is known.
    cause: Option<Cause>,
}

impl Holds {
    /// Whether nothing may be written.
    pub(super) fn any(&self) -> bool {
        self.machine || self.hello
    }
}

/// A voice or key that stops a prompt.
#[derive(Debug, Clone, Copy)]
struct Cause {
    by: &'static str,
    /// First sound of the voice.
    onset: Option<Duration>,
}

impl PromptTask {
    /// The call is answered.
    pub(super) fn hear_answer(&mut self) {
        let Some(hearing) = &mut self.hearing else { return };
        hearing.answered(now());
        self.holds.machine = self.amd.is_some_and(|amd| amd.sync);
        self.holds.hello = hearing.waits_for_hello();
    }

    /// Moves the ears' clock; before they hear what came.
    pub(super) fn hear_time(&mut self) {
        let Some(hearing) = &mut self.hearing else { return };
        let sent = self.leg.as_ref().map_or(0, |(line, _)| line.port.sent_samples());
        let queued = self.leg.as_ref().is_some_and(|(line, _)| line.playout.queued() > 0);
        let judged = self.amd.is_none() || self.holds.judged;
        let plays = self.started && queued && judged && !self.holds.any() && !self.holds.barge;
        hearing.on_time(now(), sent, plays && self.ending.is_open());
    }

    /// The other party pressed a key.
    pub(super) fn hear_key(&mut self) {
        if let Some(hearing) = &mut self.hearing {
            hearing.handle(now(), Input::Key);
        }
    }

    /// The leg is lent: a pause ends with that.
    pub(super) fn leave_hold(&mut self) {
        (self.holds.barge, self.holds.cause) = (false, None);
        if let Some(hearing) = &mut self.hearing {
            hearing.handle(now(), Input::Kept);
        }
    }

    /// Tells and does what the ears put out.
    pub(super) fn act_on_hearing(&mut self) {
        while let Some(hearing) = &mut self.hearing
            && let Some(heard) = hearing.poll_output()
        {
            match heard {
                Heard::Barge(output) => self.act_on_voice(output),
                Heard::Tone(tone, ms) => {
                    self.report(Report::Tone(Box::new(ToneView::new(&tone, ms))));
                }
                Heard::Machine(Output::Verdict(verdict)) => self.on_verdict(&verdict),
                Heard::Machine(Output::Beep { end }) => {
                    let position_ms = hearing.ms(end);
                    self.report(Report::Beep { position_ms });
                }
                Heard::Machine(Output::GreetingEnded { .. }) => self.holds.machine = false,
                Heard::HelloOver { .. } => self.holds.hello = false,
            }
        }
        let Some(hearing) = &self.hearing else { return };
        // Whoever never said when its greeting ended is not waited for.
        self.holds.machine &= hearing.judges();
        if hearing.is_done() {
            self.hearing = None;
            self.orders.push(Command::Listen(self.listens()));
        }
    }

    fn on_verdict(&mut self, verdict: &Verdict) {
        self.report(Report::Answered(Box::new(answerer(verdict))));
        self.holds.judged = true;
        let action = self.amd.map(|amd| amd.action);
        match (verdict.by, action) {
            (AnsweredBy::Machine, Some(AmdAction::Hangup)) => {
                let detail = Some(format!("a machine answered: {}", verdict.reason));
                self.report(Report::Ended { reason: EndReason::AmdMachine, detail });
            }
            (AnsweredBy::Machine, Some(AmdAction::LeaveMessage)) if self.ending.is_open() => {
                self.rewind();
            }
            (AnsweredBy::Machine | AnsweredBy::Human | AnsweredBy::Unknown, _) => {
                self.holds.machine = false;
            }
        }
    }

    /// The prompt begins anew when the greeting is over.
    fn rewind(&mut self) {
        (self.holds.machine, self.holds.hello) = (true, false);
        self.reel.rewind(self.repeat);
        (self.ending, self.watched_at) = (Ending::Ahead, None);
        if let Some((line, _)) = &self.leg {
            self.orders.retain(|order| !matches!(order, Command::Watch { .. }));
            self.orders.push(Command::Clear {
                up_to: line.playout.position(),
                token: 0,
                fade: CLEAR_FADE,
            });
        }
    }

    fn act_on_voice(&mut self, output: barge::Output) {
        use barge::Output as Of;
        match output {
            Of::SpeechStarted { onset, decide_within } => {
                let cause = Cause { by: "speech", onset: Some(onset) };
                self.interrupted(cause, decide_within.is_some());
            }
            Of::KeyPressed => self.interrupted(Cause { by: "dtmf", onset: None }, false),
            Of::KeyHolds { .. } => self.interrupted(Cause { by: "dtmf", onset: None }, true),
            Of::SpeechStopped { .. } => {}
            Of::Pause => self.pause(true),
            Of::Clear => self.cut(),
            Of::Resume => {
                self.note_barge("resumed");
                self.pause(false);
            }
            Of::Release => self.pause(false),
        }
    }

    /// A voice or key came; what it did is told at once, or when it is known.
    fn interrupted(&mut self, cause: Cause, holds: bool) {
        let Some(hearing) = &self.hearing else { return };
        let spec = hearing.barge();
        let counts = cause.onset.is_none() || spec.on_speech;
        if !counts || !(holds || hearing.is_playing()) {
            return;
        }
        self.holds.cause = Some(cause);
        if spec.mode == Mode::Notify {
            self.note_barge("notified");
        }
    }

    fn pause(&mut self, pause: bool) {
        self.holds.barge = pause;
        self.orders.retain(|order| !matches!(order, Command::Pause(_)));
        self.orders.push(Command::Pause(pause));
    }

    /// The prompt is over where it is.
    fn cut(&mut self) {
        if !self.ending.is_open() {
            return;
        }
        self.reel.stop();
        let Some((line, _)) = &self.leg else { return };
        let up_to = line.playout.position();
        self.orders.retain(|order| !matches!(order, Command::Watch { .. }));
        // Before a pause ends: not a sample more than what left before it.
        self.orders.push(Command::Clear { up_to, token: CUT, fade: CLEAR_FADE });
        (self.ending, self.watched_at) = (Ending::Cut(up_to), Some(Instant::now()));
    }

    /// What the voice or key cut is gone.
    pub(super) fn note_cut(&mut self) {
        self.note_barge("cleared");
    }

    fn note_barge(&mut self, action: &str) {
        let Some(Cause { by, onset }) = self.holds.cause.take() else { return };
        let sent = self.leg.as_ref().map_or(0, |(line, _)| line.port.sent_samples());
        let ms = |onset| self.hearing.as_ref().map(|hearing| hearing.ms(onset));
        self.report(Report::BargeIn(Box::new(BargeView {
            by: by.to_owned(),
            action: action.to_owned(),
            position_ms: onset.and_then(ms),
            played_ms: sent * 1000 / self.sample_rate,
        })));
    }
}

impl Ending {
    /// Whether a voice or machine can still change it.
    fn is_open(self) -> bool {
        match self {
            Self::Ahead | Self::Written(_) => true,
            Self::Cut(_) | Self::Told => false,
        }
    }
}
