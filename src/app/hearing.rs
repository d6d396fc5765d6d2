//! What an application leg makes of the caller's sound besides words: voices, and what they stop;
//! tones of the network; who answered.
//!
//! ```text
//!  capture ring ──┬─> Vad ───────────> voice began, ended ─┬─────────┬─> HelloCore ──> told
//!                 ├─> EchoGate ──────> ours, or not ───────┼─> BargeCore ──> told, pause, clear
//!  playout queue ─┼─> SentSound ─┘          keys, decision ┘         │
//!                 ├─> ProgressDetector ─> tones ─────────────────────┼─> told
//!                 └─> BeepDetector ─────> beeps ─> MachineCore <─────┘   who answered
//! ```
//!
//! Owns the detectors of one call, made as far as they are asked for, and the meeting of its two
//! clocks. Decides nothing: `turn::barge`, `turn::machine` and `turn::hello` do; who holds the leg
//! obeys and tells.

use super::clock::Clock;
use crate::audio::beep::BeepDetector;
use crate::audio::echo::{EchoGate, LATE, SentSound};
use crate::audio::progress::{HeardTone, ProgressDetector, ToneKind};
use crate::audio::rate::SampleRate;
use crate::audio::vad::{Vad, VadEvent};
use crate::call::record::AnswererView;
use crate::turn::barge::{BargeCore, BargeSpec, BargeWish, DEAF, Input, Likeness, Mode, Output};
use crate::turn::hello::{self, HelloCore};
use crate::turn::machine::{self, AmdSpec, MachineCore, MachineSpec, Verdict};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A voice stands so far out of the echo that goes with it. Units: dB.
const OVER_ECHO_DB: f32 = 6.0;
/// More of the caller missing than this is a break: nothing is compared over it.
const GAP_MAX: u64 = 64;

/// Tones that may wait to be told; further ones are not told.
const TONES_MAX: usize = 16;

/// What a call's ears are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HearingSpec {
    /// What a voice or key does.
    pub barge: BargeSpec,
    /// How long a voice may pause before it has ended.
    pub voice_pause: Duration,
    /// Whether tones of the network are told.
    pub tones: bool,
    /// Whether it is told who answered, by which thresholds.
    pub machine: Option<MachineSpec>,
    /// Whether it is told when the first "hello?" is over.
    pub after_hello: bool,
}

/// What a request, or the line that its call belongs to, wants done with what is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HearingWish {
    /// Of who answers.
    pub amd: Option<AmdSpec>,
    /// Of a voice or key while a prompt is played; a stream's options have their own.
    pub barge: BargeWish,
    /// Whether what is played waits for the end of a "hello?".
    pub after_hello: bool,
}

impl HearingWish {
    /// What the ears of a prompt are for; a configured mode of barge-in is that of streams.
    #[must_use]
    pub fn of_prompt(&self, usual: HearingSpec) -> HearingSpec {
        let barge = BargeSpec { mode: Mode::Off, ..usual.barge };
        HearingSpec { barge: self.barge.resolve(barge), ..self.of_stream(usual) }
    }

    /// What the ears of a stream are for.
    #[must_use]
    pub fn of_stream(&self, usual: HearingSpec) -> HearingSpec {
        let machine = self.amd.map(|amd| amd.machine);
        HearingSpec { machine, after_hello: self.after_hello, ..usual }
    }
}

impl HearingSpec {
    /// Whether there is anything to listen for.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        let barges = self.barge.mode != Mode::Off;
        barges || self.tones || self.machine.is_some() || self.after_hello
    }
}

impl Default for HearingSpec {
    fn default() -> Self {
        Self {
            barge: BargeSpec::default(),
            voice_pause: Duration::from_millis(500),
            tones: false,
            machine: None,
            after_hello: false,
        }
    }
}

/// What the ears tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Heard {
    /// Of the caller's voice and keys.
    Barge(Output),
    /// A tone of the network; its position in milliseconds as [`Hearing::ms`] has it.
    Tone(HeardTone, u64),
    /// Of who answered.
    Machine(machine::Output),
    /// The first "hello?" is over, or is not waited for any longer: what is played may begin.
    HelloOver {
        /// `speech`, `silence` or `late`.
        why: &'static str,
    },
}

/// A verdict as the call object has it.
pub(crate) fn answerer(verdict: &Verdict) -> AnswererView {
    AnswererView {
        answered_by: verdict.by.as_str().to_owned(),
        confidence: verdict.confidence,
        reason: verdict.reason.to_owned(),
        beep_ms: None,
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
    /// For voices: barge-in, and who answered.
    vad: Option<Vad>,
    gate: Option<EchoGate>,
    sent: SentSound,
    barge: BargeCore,
    progress: Option<ProgressDetector>,
    tells_tones: bool,
    tones: VecDeque<HeardTone>,
    machine: Option<Box<Judging>>,
    hello: Option<HelloCore>,
    /// The call is answered: from here on it matters by whom.
    answered: bool,
    /// Where the next sample of the caller should be, and where the first one was, or the first
    /// after the answer.
    end: Option<u64>,
    begun: Option<u64>,
    /// Media time until which our own sound has just begun.
    early_until: Duration,
    was_sounding: bool,
    playing: bool,
}

/// Who answered, while that matters.
struct Judging {
    core: MachineCore,
    beep: BeepDetector,
}

impl Hearing {
    /// Ears for a leg of this rate; `language` (BCP 47) is that of a mailbox's words.
    pub(crate) fn new(spec: &HearingSpec, language: &str, rate: SampleRate, now: Instant) -> Self {
        let barges = spec.barge.mode != Mode::Off;
        let voices = barges || spec.machine.is_some() || spec.after_hello;
        let judging = |spec| {
            Box::new(Judging {
                core: MachineCore::new(spec, language),
                beep: BeepDetector::new(rate),
            })
        };
        Self {
            rate: u64::from(rate.hz()).max(1),
            epoch: now,
            now: Duration::ZERO,
            clock: Clock::new(rate.hz()),
            vad: voices.then(|| Vad::new(rate).with_hangover(rate, spec.voice_pause)),
            gate: barges.then(|| EchoGate::new(rate)),
            sent: SentSound::new(rate),
            barge: BargeCore::new(spec.barge),
            progress: (spec.tones || spec.machine.is_some()).then(|| ProgressDetector::new(rate)),
            tells_tones: spec.tones,
            tones: VecDeque::new(),
            machine: spec.machine.map(judging),
            hello: spec.after_hello.then(HelloCore::default),
            answered: false,
            end: None,
            begun: None,
            early_until: Duration::ZERO,
            was_sounding: false,
            playing: false,
        }
    }

    /// Makes a voice or key do something else from here on.
    pub(crate) fn set_barge(&mut self, spec: BargeSpec, rate: SampleRate, pause: Duration) {
        self.barge = BargeCore::new(spec);
        self.playing = false;
        if spec.mode != Mode::Off {
            self.gate.get_or_insert_with(|| EchoGate::new(rate));
            self.vad.get_or_insert_with(|| Vad::new(rate).with_hangover(rate, pause));
        }
    }

    /// Tells tones from here on, or no longer.
    pub(crate) fn set_tones(&mut self, tells: bool, rate: SampleRate) {
        self.tells_tones = tells;
        if tells {
            self.progress.get_or_insert_with(|| ProgressDetector::new(rate));
        }
    }

    /// The call is answered; positions count from here.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.now = now.saturating_duration_since(self.epoch);
        if !std::mem::replace(&mut self.answered, true) {
            self.begun = None;
        }
        if let Some(hello) = &mut self.hello {
            hello.handle(self.now, hello::Input::Answered);
        }
    }

    /// What a voice or key does.
    pub(crate) fn barge(&self) -> BargeSpec {
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
        if let Some(hello) = &mut self.hello {
            hello.handle(self.now, hello::Input::Tick);
        }
    }

    /// These samples went into the playout ring.
    pub(crate) fn queued(&mut self, position: u64, samples: &[i16]) {
        if self.gate.is_some() {
            self.sent.queue(position, samples);
        }
    }

    /// What lay between these playout positions was thrown away.
    pub(crate) fn cut(&mut self, from: u64, to: u64) {
        self.sent.cut(from, to);
    }

    /// A decision, a key, or something that the client did.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        self.now = now.saturating_duration_since(self.epoch);
        self.barge.handle(self.now, input);
    }

    /// Words of the other party, for who answered.
    pub(crate) fn words(&mut self, text: &str, is_final: bool) {
        if let Some(judging) = &mut self.machine {
            judging.core.handle(machine::Input::Words { text, is_final });
        }
    }

    /// Takes a frame of the caller.
    pub(crate) fn take(&mut self, position: u64, samples: &[i16]) {
        let end = position.saturating_add(samples.len() as u64);
        self.begun.get_or_insert(position);
        self.clock.arrived(end, self.now);
        let gap = self.end.is_some_and(|expected| position.abs_diff(expected) > GAP_MAX);
        self.end = Some(end);
        self.compare(position, samples, gap);
        self.listen_for_voices(position, samples);
        self.listen_for_tones(position, samples);
    }

    /// The next thing to tell or do.
    pub(crate) fn poll_output(&mut self) -> Option<Heard> {
        if let Some(output) = self.barge.poll_output() {
            return Some(Heard::Barge(output));
        }
        if let Some(tone) = self.tones.pop_front() {
            return Some(Heard::Tone(tone, self.ms(media(tone.position, self.rate))));
        }
        if let Some(why) = self.hello.as_mut().and_then(HelloCore::poll_output) {
            self.hello = None;
            return Some(Heard::HelloOver { why });
        }
        let output = self.machine.as_mut()?.core.poll_output();
        if output.is_none() && self.machine.as_ref().is_some_and(|judging| judging.core.is_done()) {
            self.machine = None;
        }
        output.map(Heard::Machine)
    }

    /// Whether nothing is listened for any more.
    pub(crate) fn is_done(&self) -> bool {
        let barges = self.barge.spec().mode != Mode::Off;
        !self.judges() && self.hello.is_none() && !self.tells_tones && !barges
    }

    /// Whether it may still be told who answered, or that a greeting is over.
    pub(crate) fn judges(&self) -> bool {
        self.machine.is_some()
    }

    /// When [`Self::on_time`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let hello = self.hello.as_ref().and_then(HelloCore::deadline);
        let first = [self.barge.deadline(), hello].into_iter().flatten().min();
        first.map(|deadline| self.epoch + deadline)
    }

    /// Whether something is being played that a voice can stop.
    pub(crate) fn is_playing(&self) -> bool {
        self.playing
    }

    /// Whether the first "hello?" is waited for.
    pub(crate) fn waits_for_hello(&self) -> bool {
        self.hello.is_some()
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

    fn listen_for_voices(&mut self, position: u64, samples: &[i16]) {
        let Self { rate, now, vad, barge, machine, hello, answered, .. } = self;
        let Some(vad) = vad else { return };
        let (rate, now) = (*rate, *now);
        let mut machine = machine.as_mut().filter(|_| *answered);
        let mut greet = |input| {
            if let Some(hello) = hello {
                hello.handle(now, input);
            }
        };
        let mut judge = |input| {
            if let Some(judging) = &mut machine {
                judging.core.handle(input);
            }
        };
        vad.push(position, samples, &mut |event| match event {
            VadEvent::Started { position, .. } => {
                let onset = media(position, rate);
                barge.handle(now, Input::VoiceStarted { onset });
                judge(machine::Input::VoiceStarted { onset });
            }
            VadEvent::Stopped { position } => {
                let end = media(position, rate);
                barge.handle(now, Input::VoiceStopped { end });
                judge(machine::Input::VoiceStopped { end });
                greet(hello::Input::VoiceStopped { end });
            }
        });
        let end = media(position.saturating_add(samples.len() as u64), rate);
        let voice = vad.sounded_until().map(|position| media(position, rate));
        barge.handle(now, Input::Heard { end });
        judge(machine::Input::Heard { end, voice });
        greet(hello::Input::Heard { end, voice });
    }

    fn listen_for_tones(&mut self, position: u64, samples: &[i16]) {
        let Self { rate, progress, tells_tones, tones, machine, answered, .. } = self;
        let mut fax = false;
        if let Some(progress) = progress {
            progress.push(position, samples, &mut |tone| {
                use ToneKind::{FaxAnswer, FaxCalling, ModemAnswer};
                fax |= matches!(tone.kind, FaxAnswer | FaxCalling | ModemAnswer);
                if *tells_tones && tones.len() < TONES_MAX {
                    tones.push_back(tone);
                }
            });
        }
        if let Some(judging) = machine.as_mut().filter(|_| *answered) {
            let Judging { core, beep } = &mut **judging;
            beep.push(position, samples, &mut |beep| {
                core.handle(machine::Input::Beep { end: media(beep.position, *rate) });
            });
            if fax {
                core.handle(machine::Input::Fax);
            }
        }
    }

    fn compare(&mut self, position: u64, samples: &[i16], gap: bool) {
        let end = media(position.saturating_add(samples.len() as u64), self.rate);
        let at = self.clock.at(position);
        let Self { gate, sent, barge, early_until, was_sounding, now, .. } = self;
        let Some(gate) = gate else { return };
        if gap {
            gate.break_off();
        }
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
