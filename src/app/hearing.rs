//! What an application leg makes of the caller's sound besides words: voices, and what they stop.
//!
//! ```text
//!  capture ring ──┬─> Vad ──────────> voice began, ended ─┐
//!                 └─> EchoGate ─────> ours, or not ───────┼─> BargeCore ─> Told, Pause, Clear
//!  playout queue ──> SentSound ─┘          keys, decision ┘
//! ```
//!
//! Owns the detectors of one call and the meeting of its two clocks. Decides nothing: `turn::barge`
//! does; who holds the leg obeys and tells.

use super::clock::Clock;
use crate::audio::echo::{EchoGate, LATE, SentSound};
use crate::audio::rate::SampleRate;
use crate::audio::vad::{Vad, VadEvent};
use crate::turn::barge::{BargeCore, BargeSpec, DEAF, Input, Likeness, Output};
use std::time::{Duration, Instant};

/// A voice stands so far out of the echo that goes with it. Units: dB.
const OVER_ECHO_DB: f32 = 6.0;
/// More of the caller missing than this is a break: nothing is compared over it.
const GAP_MAX: u64 = 64;

/// What a call's ears are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HearingSpec {
    /// What a voice or key does.
    pub barge: BargeSpec,
    /// How long a voice may pause before it has ended.
    pub voice_pause: Duration,
}

impl Default for HearingSpec {
    fn default() -> Self {
        Self { barge: BargeSpec::default(), voice_pause: Duration::from_millis(500) }
    }
}

/// The ears of one call.
///
/// Cost: 10 µs per 20 ms while both are silent, 80 µs while both speak; some 35 KiB. Allocates only
/// while the playout ring fills.
pub(crate) struct Hearing {
    rate: u64,
    epoch: Instant,
    now: Duration,
    clock: Clock,
    vad: Vad,
    gate: EchoGate,
    sent: SentSound,
    barge: BargeCore,
    /// Where the next sample of the caller should be, and where the first one was.
    end: Option<u64>,
    begun: Option<u64>,
    /// Media time until which our own sound has just begun.
    early_until: Duration,
    was_sounding: bool,
    playing: bool,
}

impl Hearing {
    /// Ears for a leg of this rate.
    pub(crate) fn new(spec: &HearingSpec, rate: SampleRate, now: Instant) -> Self {
        Self {
            rate: u64::from(rate.hz()).max(1),
            epoch: now,
            now: Duration::ZERO,
            clock: Clock::new(rate.hz()),
            vad: Vad::new(rate).with_hangover(rate, spec.voice_pause),
            gate: EchoGate::new(rate),
            sent: SentSound::new(rate),
            barge: BargeCore::new(spec.barge),
            end: None,
            begun: None,
            early_until: Duration::ZERO,
            was_sounding: false,
            playing: false,
        }
    }

    /// What a voice or key does.
    pub(crate) fn spec(&self) -> BargeSpec {
        self.barge.spec()
    }

    /// Moves the clock, and does what is due; `sent` samples of the ring have left.
    pub(crate) fn on_time(&mut self, now: Instant, sent: u64, playing: bool) {
        self.now = now.saturating_duration_since(self.epoch);
        self.sent.sent(self.now, sent);
        if playing != self.playing {
            self.playing = playing;
            self.barge.handle(self.now, Input::Playing(playing));
        }
        self.barge.handle(self.now, Input::Tick);
    }

    /// These samples went into the playout ring.
    pub(crate) fn queued(&mut self, position: u64, samples: &[i16]) {
        self.sent.queue(position, samples);
    }

    /// What lay between these playout positions was thrown away.
    pub(crate) fn cut(&mut self, from: u64, to: u64) {
        self.sent.cut(from, to);
    }

    /// A decision, a key, or something that the client did.
    pub(crate) fn handle(&mut self, input: Input) {
        self.barge.handle(self.now, input);
    }

    /// Takes a frame of the caller.
    pub(crate) fn take(&mut self, position: u64, samples: &[i16]) {
        let end = position.saturating_add(samples.len() as u64);
        self.begun.get_or_insert(position);
        self.clock.arrived(end, self.now);
        if self.end.is_some_and(|expected| position.abs_diff(expected) > GAP_MAX) {
            self.gate.break_off();
        }
        self.end = Some(end);
        self.compare(position, samples);
        let (rate, now, barge) = (self.rate, self.now, &mut self.barge);
        self.vad.push(position, samples, &mut |event| {
            let input = match event {
                VadEvent::Started { position, .. } => {
                    Input::VoiceStarted { onset: media(position, rate) }
                }
                VadEvent::Stopped { position } => {
                    Input::VoiceStopped { end: media(position, rate) }
                }
            };
            barge.handle(now, input);
        });
        barge.handle(now, Input::Heard { end: media(end, rate) });
    }

    /// The next thing to tell or do.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.barge.poll_output()
    }

    /// When [`Self::on_time`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.barge.deadline().map(|deadline| self.epoch + deadline)
    }

    /// Whether playout waits for a decision.
    pub(crate) fn is_holding(&self) -> bool {
        self.barge.is_holding()
    }

    /// Milliseconds since the first sample that was heard.
    pub(crate) fn ms(&self, at: Duration) -> u64 {
        let begun = media(self.begun.unwrap_or(0), self.rate);
        u64::try_from(at.saturating_sub(begun).as_millis()).unwrap_or(u64::MAX)
    }

    fn compare(&mut self, position: u64, samples: &[i16]) {
        let end = media(position.saturating_add(samples.len() as u64), self.rate);
        let at = self.clock.at(position);
        let Self { gate, sent, barge, early_until, was_sounding, now, .. } = self;
        gate.push(samples, at, sent, &mut |like| {
            if like.is_sounding && !*was_sounding {
                *early_until = end + DEAF;
            }
            *was_sounding = like.is_sounding;
            let end = end.saturating_sub(LATE);
            let like = if !like.is_sounding {
                Likeness::Alone
            } else if end < *early_until {
                Likeness::Early
            } else if !like.is_audible {
                Likeness::Silent
            } else if like.is_echo && like.over_db >= OVER_ECHO_DB {
                Likeness::OverEcho
            } else if like.is_echo {
                Likeness::Echo
            } else {
                Likeness::Unlike
            };
            barge.handle(*now, Input::Compared { end, length: Duration::from_millis(20), like });
        });
    }
}

/// A position on the caller's media clock.
fn media(position: u64, rate: u64) -> Duration {
    let micros = u128::from(position) * 1_000_000 / u128::from(rate);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
