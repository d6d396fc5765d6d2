//! The caller's voice and keys in a stream: what the client is told of them, and what they stop.

use super::{Moment, Session};
use crate::app::Report;
use crate::app::hearing::{Heard, Hearing, answerer};
use crate::app::stream::options::StreamOptions;
use crate::app::stream::wire::{Refused, Speech, Told};
use crate::audio::rate::SampleRate;
use crate::call::record::{EndReason, ToneView};
use crate::media::interface::Command;
use crate::turn::barge::{self, Input, Mode};
use crate::turn::machine::{AmdAction, AnsweredBy, Output, Verdict};
use std::time::Duration;

impl Session {
    /// Opens or shuts the ears, as the call or its client wants it.
    pub(super) fn listen_for_voices(&mut self, asked: &StreamOptions, now: Moment) {
        if self.spec.observer {
            return;
        }
        let barge = asked.barge.resolve(self.spec.hearing.barge);
        let rate = SampleRate::new(self.spec.sample_rate).unwrap_or(SampleRate::HZ_8000);
        let mut ears = self.spec.hearing;
        ears.barge = barge;
        ears.tones = asked.tones.unwrap_or(ears.tones);
        self.release_hold(now);
        match &mut self.hearing {
            Some(hearing) => {
                if hearing.barge() != barge {
                    hearing.set_barge(barge, rate, ears.voice_pause);
                }
                hearing.set_tones(ears.tones, rate);
            }
            None if ears.is_needed() => {
                let asked = self.spec.transcribe.as_ref();
                let language = asked.and_then(|asked| asked.language.as_deref()).unwrap_or("en");
                self.hearing = Some(Box::new(Hearing::new(&ears, language, rate, now.at)));
            }
            None => {}
        }
        self.order_capture();
    }

    /// The call is answered: it is judged by whom, and positions count from here.
    pub(super) fn hear_answer(&mut self, now: Moment) {
        if self.hearing.is_none() && self.client.is_none() {
            self.listen_for_voices(&self.spec.options.clone(), now);
        }
        if let Some(hearing) = &mut self.hearing {
            hearing.answered(now.at);
        }
    }

    /// What a voice does.
    pub(super) fn barge_mode(&self) -> Mode {
        self.hearing.as_ref().map_or(Mode::Off, |hearing| hearing.barge().mode)
    }

    /// Moves the ears' clock; call before sound is moved.
    pub(super) fn hear_time(&mut self, now: Moment) {
        if self.hearing.is_none() {
            return;
        }
        let sent = self.sent();
        let playing = self.queue.sounding(sent).is_some() && !self.paused;
        if let Some(hearing) = &mut self.hearing {
            hearing.on_time(now.at, sent, playing);
        }
    }

    /// Something happened that the ears must know.
    pub(super) fn hear_of(&mut self, input: Input, now: Moment) {
        if let Some(hearing) = &mut self.hearing {
            hearing.handle(now.at, input);
        }
    }

    /// What was paused for a voice is the client's own pause, or nobody's, from here on.
    pub(super) fn release_hold(&mut self, now: Moment) {
        self.hear_of(Input::Kept, now);
    }

    /// The client decides on what was paused.
    pub(super) fn decide_barge_in(&mut self, confirm: bool, now: Moment) -> Result<(), Refused> {
        if !self.hearing.as_ref().is_some_and(|hearing| hearing.is_holding()) {
            let detail = "nothing waits for a decision".to_owned();
            return Err(Refused { id: None, code: "conflict", detail });
        }
        self.hear_of(Input::Decided { confirm }, now);
        self.act_on_hearing(now);
        Ok(())
    }

    /// Tells and does what the ears put out.
    pub(super) fn act_on_hearing(&mut self, now: Moment) {
        while let Some(hearing) = &mut self.hearing
            && let Some(heard) = hearing.poll_output()
        {
            match heard {
                Heard::Barge(output) => self.act_on_voice(output, now),
                Heard::Tone(tone, position_ms) => {
                    let told = ToneView::new(&tone, position_ms);
                    self.tell(&Told::Tone(told.clone()), now);
                    self.report(Report::Tone(Box::new(told)));
                }
                Heard::Machine(Output::Verdict(verdict)) => self.on_verdict(&verdict, now),
                Heard::Machine(Output::Beep { end }) => {
                    let position_ms = hearing.ms(end);
                    let told = Told::Beep { event: "amd", detail: "beep", position_ms };
                    self.tell(&told, now);
                    self.remember(told, now);
                    self.report(Report::Beep { position_ms });
                }
                Heard::HelloOver { .. } => self.begin_playing(now),
                Heard::Machine(Output::GreetingEnded { by }) => {
                    let detail = format!("the greeting has ended: {by}");
                    self.tell(&Told::CallEvent { event: "amd", detail: Some(detail) }, now);
                }
            }
        }
    }

    fn on_verdict(&mut self, verdict: &Verdict, now: Moment) {
        let view = answerer(verdict);
        let told = Told::Answerer { event: "amd", answerer: view.clone() };
        self.tell(&told, now);
        self.remember(told, now);
        self.report(Report::Answered(Box::new(view)));
        let hangs_up = self.spec.amd.is_some_and(|amd| amd.action == AmdAction::Hangup);
        if hangs_up && verdict.by == AnsweredBy::Machine {
            let detail = Some(format!("a machine answered: {}", verdict.reason));
            self.report(Report::Ended { reason: EndReason::AmdMachine, detail });
        }
    }

    fn act_on_voice(&mut self, output: barge::Output, now: Moment) {
        use barge::Output as Of;
        let Some(hearing) = &self.hearing else { return };
        let track = "caller";
        match output {
            Of::SpeechStarted { onset, decide_within } => {
                let speech = Speech {
                    state: "started",
                    track,
                    position_ms: hearing.ms(onset),
                    duration_ms: None,
                    decision_deadline_ms: decide_within.map(ms),
                };
                self.tell(&Told::Speech(speech), now);
            }
            Of::SpeechStopped { onset, end } => {
                let speech = Speech {
                    state: "stopped",
                    track,
                    position_ms: hearing.ms(end),
                    duration_ms: Some(ms(end.saturating_sub(onset))),
                    decision_deadline_ms: None,
                };
                self.tell(&Told::Speech(speech), now);
            }
            Of::KeyHolds { decide_within } => {
                let decision_deadline_ms = ms(decide_within);
                self.tell(&Told::BargeIn { by: "dtmf", decision_deadline_ms }, now);
            }
            Of::Pause => self.pause(true, now),
            // Too many clears under way: they clear this, too.
            Of::Clear => drop(self.clear(None, None, None, now)),
            Of::Resume => self.pause(false, now),
            Of::Release if std::mem::take(&mut self.paused) => self.order(Command::Pause(false)),
            // A key itself is told in any case.
            Of::Release | Of::KeyPressed => {}
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
