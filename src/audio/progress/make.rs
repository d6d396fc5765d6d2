//! Call-progress tones, made: ITU-T E.180 and ANSI T1.401 for North America, ETSI TR 101 041 for
//! Europe.

use crate::audio::rate::SampleRate;
use std::f32::consts::TAU;

/// Amplitude of one tone, -16 dBm0; pairs have −19 dBm0 each.
const LEVEL: f32 = 3_606.0;
const LEVEL_PAIR: f32 = 2_553.0;
/// How long a tone rises and falls. Units: milliseconds.
const RAMP_MS: u32 = 5;

/// Whose tones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// North America.
    America,
    /// Most of Europe: 425 Hz.
    Europe,
}

/// What a tone shall mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The other side is being called.
    Ringback,
    /// It is taken.
    Busy,
    /// The network is.
    Reorder,
    /// An announcement follows.
    SpecialInformation,
    /// Digits are waited for.
    Dial,
    /// Somebody records from here on: 1 kHz, once, for 200 ms. No network says so, and nobody asks
    /// for it by name.
    Beep,
}

/// A tone and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone {
    /// What it means.
    pub signal: Signal,
    /// Whose ears know it so.
    pub plan: Plan,
}

impl Plan {
    /// By its name in requests and the configuration: `us` or `eu`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "us" => Some(Self::America),
            "eu" => Some(Self::Europe),
            _ => None,
        }
    }
}

impl Signal {
    /// By its name in requests.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "ringback" => Some(Self::Ringback),
            "busy" => Some(Self::Busy),
            "reorder" => Some(Self::Reorder),
            "sit" => Some(Self::SpecialInformation),
            "dial" => Some(Self::Dial),
            _ => None,
        }
    }
}

/// A stretch of a cadence: pitches in Hz (0: none), and milliseconds.
type Step = (f32, f32, u32);

/// Makes one tone with its cadence, for ever; a beep once.
///
/// Shape: mono. Cost: two sines a sample; nothing is allocated.
#[derive(Debug, Clone)]
pub struct ProgressTone {
    rate: u32,
    steps: &'static [Step],
    /// Behind the last step comes silence.
    once: bool,
    step: usize,
    /// Samples of the step that are made.
    at: u32,
}

impl ProgressTone {
    /// A tone from its beginning.
    #[must_use]
    pub fn new(signal: Signal, plan: Plan, rate: SampleRate) -> Self {
        let once = signal == Signal::Beep;
        Self { rate: rate.hz(), steps: steps(signal, plan), once, step: 0, at: 0 }
    }

    /// Writes a whole frame.
    pub fn fill(&mut self, frame: &mut [i16]) {
        for sample in frame {
            *sample = self.next_sample();
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a sample")]
    fn next_sample(&mut self) -> i16 {
        let Some(&(low, high, ms)) = self.steps.get(self.step) else { return 0 };
        let (at, length) = (self.at, ms * (self.rate / 1_000));
        self.at += 1;
        if self.at >= length {
            let next = self.step + 1;
            (self.step, self.at) = (if self.once { next } else { next % self.steps.len() }, 0);
        }
        let seconds = at as f32 / self.rate as f32;
        let sine = |hz: f32| (TAU * (hz * seconds).fract()).sin();
        let sum = match (low > 0.0, high > 0.0) {
            (false, _) => return 0,
            (true, false) => LEVEL * sine(low),
            (true, true) => LEVEL_PAIR * (sine(low) + sine(high)),
        };
        let ramp = RAMP_MS * (self.rate / 1_000);
        let edge = (at + 1).min(length - at).min(ramp);
        (sum * edge as f32 / ramp as f32).round() as i16
    }
}

fn steps(signal: Signal, plan: Plan) -> &'static [Step] {
    match (signal, plan) {
        (Signal::Ringback, Plan::America) => &[(440.0, 480.0, 2_000), (0.0, 0.0, 4_000)],
        (Signal::Ringback, Plan::Europe) => &[(425.0, 0.0, 1_000), (0.0, 0.0, 4_000)],
        (Signal::Busy, Plan::America) => &[(480.0, 620.0, 500), (0.0, 0.0, 500)],
        (Signal::Busy, Plan::Europe) => &[(425.0, 0.0, 500), (0.0, 0.0, 500)],
        (Signal::Reorder, Plan::America) => &[(480.0, 620.0, 250), (0.0, 0.0, 250)],
        (Signal::Reorder, Plan::Europe) => &[(425.0, 0.0, 250), (0.0, 0.0, 250)],
        (Signal::SpecialInformation, Plan::America) => {
            &[(985.2, 0.0, 380), (1_428.5, 0.0, 274), (1_776.7, 0.0, 380), (0.0, 0.0, 1_000)]
        }
        (Signal::SpecialInformation, Plan::Europe) => {
            &[(950.0, 0.0, 330), (1_400.0, 0.0, 330), (1_800.0, 0.0, 330), (0.0, 0.0, 1_000)]
        }
        (Signal::Dial, Plan::America) => &[(350.0, 440.0, 10_000)],
        (Signal::Dial, Plan::Europe) => &[(425.0, 0.0, 10_000)],
        (Signal::Beep, Plan::America | Plan::Europe) => &[(1_000.0, 0.0, 200)],
    }
}
