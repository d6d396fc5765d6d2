//! Recordings of a call: who begins and ends them, what they are given, what is told of them.
//!
//! One at a time. Does not write: a tape does, and a recording whose tape breaks off is over, the call
//! goes on.

use super::{Moment, Session};
use crate::app::Report;
use crate::app::recording::{Outcome, Tape};
use crate::app::stream::recorder::Recorder;
use crate::app::stream::wire::{CommandId, Recorded, Refused, Told, warning};
use crate::audio::progress::{Plan, Signal, Tone};
use crate::audio::rate::SampleRate;
use crate::call::control::WishError;
use crate::call::recording::{
    RECORDINGS_MAX, RecordStart, RecordWish, RecordingState, RecordingView,
};
use crate::id::RecordingId;
use crate::media::interface::Command;
use std::task::{Context, Poll};

/// Recordings that have ended and are not whole on the disk yet; further ones do not begin.
const ENDINGS_MAX: usize = 4;
/// What the caller hears at the beginning.
const BEEP: Tone = Tone { signal: Signal::Beep, plan: Plan::America };

/// One that goes on.
struct Running {
    recorder: Recorder,
    tape: Tape,
    view: RecordingView,
}

impl Running {
    /// Hands over what is ready; `false`: the disk is too slow for it.
    fn write(&mut self) -> bool {
        while let Some(chunk) = self.recorder.next_chunk() {
            if self.tape.write(chunk).is_err() {
                return false;
            }
        }
        true
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Recordings {
    running: Option<Box<Running>>,
    ending: Vec<(Tape, RecordingView)>,
    begun: u32,
    /// What the call's maker asked for, until it has begun.
    at_answer: Option<RecordStart>,
    answered: bool,
}

impl Recordings {
    pub(super) fn new(at_answer: Option<RecordStart>) -> Self {
        Self { at_answer, ..Self::default() }
    }

    /// Whether sound is taken, both ways.
    pub(super) fn listens(&self) -> bool {
        self.running.is_some()
    }

    /// Whether all files are whole, or given up.
    pub(super) fn is_settled(&self) -> bool {
        self.running.is_none() && self.ending.is_empty()
    }

    /// The other side has answered.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// What takes sound, if anything does.
    pub(super) fn recorder(&mut self) -> Option<&mut Recorder> {
        self.running.as_mut().map(|running| &mut running.recorder)
    }

    /// What happened next to any of the files.
    fn poll_outcome(&mut self, context: &mut Context<'_>) -> Poll<(RecordingView, Outcome)> {
        if let Some(running) = &mut self.running
            && let Poll::Ready(outcome) = running.tape.poll_outcome(context)
            && let Some(running) = self.running.take()
        {
            return Poll::Ready((running.view, outcome));
        }
        for index in 0..self.ending.len() {
            if let Some((tape, _)) = self.ending.get_mut(index)
                && let Poll::Ready(outcome) = tape.poll_outcome(context)
            {
                return Poll::Ready((self.ending.swap_remove(index).1, outcome));
            }
        }
        Poll::Pending
    }
}

impl Session {
    /// Takes up a `record` of the client; its `ack` names the recording.
    pub(super) fn take_record(
        &mut self,
        id: Option<CommandId>,
        wish: &RecordWish,
        now: Moment,
    ) -> Result<(), Refused> {
        let recording = self.record(wish, now).map_err(|error| {
            let (code, detail) = (error.code(), error.to_string());
            Refused { id: None, code, detail }
        })?;
        if let Some(id) = id {
            self.tell(&Told::Ack { id, recording: Some(recording) }, now);
        }
        Ok(())
    }

    /// Does what is asked of recordings, and says of which.
    ///
    /// # Errors
    /// `Conflict` where nothing of the kind can be done at this moment, `NotServed` on a node that
    /// records nothing, `Full`.
    pub(super) fn record(
        &mut self,
        wish: &RecordWish,
        now: Moment,
    ) -> Result<RecordingId, WishError> {
        let (of, again) = match wish {
            RecordWish::Start(start) => return self.begin_recording(*start, now),
            RecordWish::Stop(of) => {
                let id = self.running(of.as_ref())?.view.id.clone();
                self.capture(now.at);
                self.end_recording(now);
                return Ok(id);
            }
            RecordWish::Pause(of) => (of, false),
            RecordWish::Resume(of) => (of, true),
        };
        self.running(of.as_ref())?;
        // What was heard before belongs to the time before.
        self.capture(now.at);
        let running = self.running(of.as_ref())?;
        let changed = if again { running.recorder.resume() } else { running.recorder.pause() };
        if !changed {
            let is = if again { "is not paused" } else { "is paused already" };
            return Err(WishError::Conflict(format!("the recording {is}")));
        }
        running.view.state = if again { RecordingState::Recording } else { RecordingState::Paused };
        running.view.duration_ms = running.recorder.length_ms();
        let view = running.view.clone();
        self.tell_recording(&view, again, now);
        Ok(view.id)
    }

    fn running(&mut self, of: Option<&RecordingId>) -> Result<&mut Running, WishError> {
        let running = self.recordings.running.as_deref_mut();
        let running = running.filter(|running| of.is_none_or(|of| running.view.id == *of));
        running.ok_or_else(|| match of {
            Some(of) => WishError::Conflict(format!("the recording {of} has ended")),
            None => WishError::Conflict("nothing is being recorded".to_owned()),
        })
    }

    fn begin_recording(
        &mut self,
        RecordStart { channels, beep }: RecordStart,
        now: Moment,
    ) -> Result<RecordingId, WishError> {
        let conflict = |detail: &str| Err(WishError::Conflict(detail.to_owned()));
        let Some(desk) = self.spec.recordings.clone() else {
            let detail = "this node records nothing: `recording.enabled` is off";
            return Err(WishError::NotServed(detail.to_owned()));
        };
        if self.recordings.running.is_some() {
            return conflict("the call is being recorded; stop that first");
        }
        if self.lent {
            return conflict("the call is joined with another one");
        }
        if self.over || !self.started || self.line.is_none() {
            return conflict("the call has no sound that could be recorded");
        }
        if self.recordings.begun >= RECORDINGS_MAX || self.recordings.ending.len() >= ENDINGS_MAX {
            return Err(WishError::Full("the call has too many recordings".to_owned()));
        }
        let rate = SampleRate::new(self.spec.sample_rate).unwrap_or(SampleRate::HZ_8000);
        let id = RecordingId::of_call(&self.spec.call, self.recordings.begun + 1);
        let id = id.map_err(|error| WishError::Invalid(error.to_string()))?;
        self.recordings.begun += 1;
        // What was heard before is not in it.
        self.capture(now.at);
        let view = RecordingView {
            id: id.clone(),
            state: RecordingState::Recording,
            channels,
            rate: rate.hz(),
            started_at: now.unix_ms,
            duration_ms: 0,
            octets: 0,
            reason: None,
        };
        let tape = desk.open(id.clone(), rate, channels.count());
        let recorder = Recorder::new(rate.hz(), channels, desk.longest());
        self.recordings.running = Some(Box::new(Running { recorder, tape, view: view.clone() }));
        self.order_capture();
        if beep {
            self.order(Command::Tone(Some(BEEP)));
        }
        self.tell_recording(&view, false, now);
        Ok(id)
    }

    /// Begins what the call's maker asked for, once there is something to be heard.
    pub(super) fn record_from_answer(&mut self, now: Moment) {
        let ready = self.recordings.answered && self.started && self.line.is_some();
        let Some(start) = self.recordings.at_answer.take_if(|_| ready && !self.lent) else {
            return;
        };
        if let Err(error) = self.begin_recording(start, now) {
            self.tell(&warning("recording_failed", error.to_string()), now);
        }
    }

    /// Hands what both sides have said to the tape.
    pub(super) fn write_recording(&mut self, now: Moment) {
        let Some(running) = self.recordings.running.as_deref_mut() else { return };
        running.recorder.gather();
        if !running.write() {
            self.break_off(now);
        } else if running.recorder.is_over() {
            self.end_recording(now);
        }
    }

    /// Ends what goes on; its file is whole soon.
    pub(super) fn end_recording(&mut self, now: Moment) {
        let Some(running) = self.recordings.running.as_deref_mut() else { return };
        running.recorder.finish();
        running.view.duration_ms = running.recorder.length_ms();
        if !running.write() {
            return self.break_off(now);
        }
        self.put_away();
    }

    /// The disk does not keep up.
    fn break_off(&mut self, now: Moment) {
        let Some(running) = self.recordings.running.as_deref_mut() else { return };
        running.view.state = RecordingState::Failed;
        running.view.duration_ms = running.recorder.length_ms();
        running.view.reason = Some("the disk is too slow".to_owned());
        let view = running.view.clone();
        self.put_away();
        self.tell_recording(&view, false, now);
    }

    /// Nothing follows on the tape.
    fn put_away(&mut self) {
        if let Some(running) = self.recordings.running.take() {
            let Running { tape, view, .. } = *running;
            tape.close();
            self.recordings.ending.push((tape, view));
        }
        self.order_capture();
    }

    /// Takes what became of a file, if there is news.
    pub(in crate::app::stream) fn poll_recording(
        &mut self,
        context: &mut Context<'_>,
        now: Moment,
    ) -> Poll<()> {
        let Poll::Ready((mut view, outcome)) = self.recordings.poll_outcome(context) else {
            return Poll::Pending;
        };
        let known = view.state == RecordingState::Failed;
        let kept = match outcome {
            Ok(length) => {
                if !known {
                    view.state = RecordingState::Ready;
                }
                Some(length)
            }
            Err(broken) => {
                view.state = RecordingState::Failed;
                view.reason.get_or_insert(broken.reason);
                broken.kept
            }
        };
        let ms = |samples: u64| samples * 1000 / u64::from(view.rate.max(1));
        view.duration_ms = kept.map_or(0, |kept| ms(kept.samples));
        view.octets = kept.map_or(0, |kept| kept.octets);
        if known {
            self.report(Report::Recording(Box::new(view)));
        } else {
            self.tell_recording(&view, false, now);
        }
        // One that broke off by itself listened until now.
        self.order_capture();
        self.say_last_words(now);
        Poll::Ready(())
    }

    /// Waits no longer for the disk: what is not whole by now is told as failed.
    pub(super) fn give_recordings_up(&mut self, now: Moment) {
        for (_, mut view) in std::mem::take(&mut self.recordings.ending) {
            if view.state != RecordingState::Failed {
                view.state = RecordingState::Failed;
                view.reason = Some("the disk does not answer".to_owned());
                self.tell_recording(&view, false, now);
            }
        }
    }

    fn tell_recording(&mut self, view: &RecordingView, again: bool, now: Moment) {
        let told = Told::Recording(Recorded::new(view, again));
        self.tell(&told, now);
        self.remember(told, now);
        self.report(Report::Recording(Box::new(view.clone())));
    }
}
