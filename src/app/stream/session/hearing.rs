//! The caller's voice and keys in a stream: what the client is told of them, and what they stop.

use super::{Moment, Session};
use crate::app::hearing::Hearing;
use crate::app::stream::options::BargeWish;
use crate::app::stream::wire::{Refused, Told};
use crate::audio::rate::SampleRate;
use crate::turn::barge::{Input, Mode, Output};

impl Session {
    /// Opens or shuts the ears, as the call or its client wants it.
    pub(super) fn listen_for_voices(&mut self, wish: BargeWish, now: Moment) {
        if self.spec.observer {
            return;
        }
        let spec = wish.resolve(self.spec.hearing.barge);
        if self.hearing.as_ref().is_some_and(|hearing| hearing.spec() == spec) {
            return;
        }
        self.release_hold();
        let rate = SampleRate::new(self.spec.sample_rate).unwrap_or(SampleRate::HZ_8000);
        let mut ears = self.spec.hearing;
        ears.barge = spec;
        let open = spec.mode != Mode::Off;
        self.hearing = open.then(|| Box::new(Hearing::new(&ears, rate, now.at)));
        self.order_capture();
    }

    /// What a voice does.
    pub(super) fn barge_mode(&self) -> Mode {
        self.hearing.as_ref().map_or(Mode::Off, |hearing| hearing.spec().mode)
    }

    /// Moves the ears' clock; call before sound is moved.
    pub(super) fn hear_time(&mut self, now: Moment) {
        let sent = self.sent();
        let playing = self.queue.sounding(sent).is_some() && !self.paused;
        if let Some(hearing) = &mut self.hearing {
            hearing.on_time(now.at, sent, playing);
        }
    }

    /// Something happened that the ears must know.
    pub(super) fn hear_of(&mut self, input: Input) {
        if let Some(hearing) = &mut self.hearing {
            hearing.handle(input);
        }
    }

    /// What was paused for a voice is the client's own pause, or nobody's, from here on.
    pub(super) fn release_hold(&mut self) {
        self.hear_of(Input::Kept);
    }

    /// The client decides on what was paused.
    pub(super) fn decide_barge_in(&mut self, confirm: bool, now: Moment) -> Result<(), Refused> {
        if !self.hearing.as_ref().is_some_and(|hearing| hearing.is_holding()) {
            let detail = "nothing waits for a decision".to_owned();
            return Err(Refused { id: None, code: "conflict", detail });
        }
        self.hear_of(Input::Decided { confirm });
        self.act_on_hearing(now);
        Ok(())
    }

    /// Tells and does what the ears put out.
    pub(super) fn act_on_hearing(&mut self, now: Moment) {
        while let Some(hearing) = &mut self.hearing
            && let Some(output) = hearing.poll_output()
        {
            let track = "caller";
            match output {
                Output::SpeechStarted { onset, decide_within } => {
                    let (state, position_ms) = ("started", hearing.ms(onset));
                    let decision_deadline_ms =
                        decide_within.and_then(|time| u64::try_from(time.as_millis()).ok());
                    let duration_ms = None;
                    self.tell(
                        &Told::Speech {
                            state,
                            track,
                            position_ms,
                            duration_ms,
                            decision_deadline_ms,
                        },
                        now,
                    );
                }
                Output::SpeechStopped { onset, end } => {
                    let (state, position_ms) = ("stopped", hearing.ms(end));
                    let duration_ms = Some(position_ms.saturating_sub(hearing.ms(onset)));
                    let decision_deadline_ms = None;
                    self.tell(
                        &Told::Speech {
                            state,
                            track,
                            position_ms,
                            duration_ms,
                            decision_deadline_ms,
                        },
                        now,
                    );
                }
                Output::KeyHolds { decide_within } => {
                    let ms = u64::try_from(decide_within.as_millis()).unwrap_or(u64::MAX);
                    self.tell(&Told::BargeIn { by: "dtmf", decision_deadline_ms: ms }, now);
                }
                Output::Pause => self.pause(true, now),
                // Too many clears under way: they clear this, too.
                Output::Clear => drop(self.clear(None, None, None, now)),
                Output::Resume => self.pause(false, now),
            }
        }
    }
}
