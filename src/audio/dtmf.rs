//! Digits in sound: a detector of the tone pairs of ITU-T Q.23 by the rules of Q.24.
//!
//! ```text
//!  samples ─> 8 single-bin transforms, by hops of 6.4 ms, over windows of two ─┬─ how strong
//!                                                                               └─ phase against
//!  the window before: how far off the frequency is
//!
//!           4 windows in a row with one pair, right in frequency, twist, purity
//!   idle ────────────────────────────────────────────────> sounding ── 5 without ──> told
//! ```
//!
//! The bins alone cannot tell 1.5 % off (a digit) from 3.5 % off (none): the change of phase from
//! one window to the next can. Speech is told apart by purity (four fifths of the power in two
//! pitches), steadiness, and second harmonics. Dropouts of 10 ms do not end a digit. Does not know
//! calls; sending digits is [`super::tone`]'s.

use super::rate::SampleRate;
use super::tone::{HIGH_HZ, KEYS, LOW_HZ};
use std::f32::consts::{PI, TAU};
use std::time::Duration;

/// Samples of a hop at 8 kHz; a window is two.
const HOP: usize = 51;
/// Highest multiple of 8 kHz that is listened to.
const FACTOR_MAX: usize = 6;
/// Windows in a row that make a digit: 27 ms of sound at least, found in any 40 ms.
const HITS: u8 = 4;
/// Windows in a row without it that end one: more than a dropout of 10 ms, found in any 40 ms.
const MISSES: u8 = 5;
/// How far off a frequency may be: 1.5 % must be taken, 3.5 % must not.
const OFF_MAX: f32 = 0.026;
/// High tone over low tone: 8 dB less to 4 dB more, and 3 dB by which a window may misjudge them.
const TWIST_MIN_DB: f32 = -11.0;
const TWIST_MAX_DB: f32 = 6.75;
/// Share of the power that must lie in the two tones.
const PURITY: f32 = 0.82;
/// The second strongest of a group is weaker by this, in power: 4 dB. The other group is heard too.
const PEAK: f32 = 2.5;
/// A second harmonic is weaker than its tone by this, in power: 13 dB.
const HARMONIC: f32 = 20.0;
/// Nearer to each other than this two tones cannot be told apart. Units: Hz.
const NEAR_HZ: f32 = 160.0;
/// Level of a tone changes from window to window by less than this, in power: 5 dB.
const STEADY: f32 = 3.0;
/// Weakest tone: -42 dBm0, as an amplitude.
const LEVEL_MIN: f32 = 180.0;

/// A digit that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardDigit {
    /// One of `0-9*#A-D` as ASCII.
    pub digit: u8,
    /// Position of its first sample, to 6 ms.
    pub position: u64,
    /// How long it sounded, in samples, to 6 ms.
    pub samples: u64,
}

/// A complex number.
#[derive(Debug, Clone, Copy, Default)]
struct Phasor {
    re: f32,
    im: f32,
}

impl Phasor {
    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    fn times(self, other: Self) -> Self {
        let re = self.re * other.re - self.im * other.im;
        Self { re, im: self.re * other.im + self.im * other.re }
    }

    fn conjugate(self) -> Self {
        Self { im: -self.im, ..self }
    }

    fn power(self) -> f32 {
        self.re * self.re + self.im * self.im
    }

    fn unit(angle: f32) -> Self {
        let (im, re) = angle.sin_cos();
        Self { re, im }
    }
}

/// One of the eight frequencies.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    hz: f32,
    /// Turns by one sample.
    turn: Phasor,
    /// Where the turning stands.
    wheel: Phasor,
    /// Sum over the running hop, over the one before.
    hop: Phasor,
    before: Phasor,
    /// The window before.
    last: Phasor,
}

/// What a window says of one group of frequencies.
#[derive(Debug, Clone, Copy)]
struct Found {
    at: usize,
    /// Amplitude, squared.
    power: f32,
    /// How far off its frequency is, as a share; `None`: the window before says nothing.
    off: Option<f32>,
}

/// A digit that sounds, or may.
#[derive(Debug, Clone, Copy)]
struct Sounding {
    digit: u8,
    hits: u8,
    misses: u8,
    start: u64,
    end: u64,
    power: (f32, f32),
}

/// Hears digits in one party's sound.
///
/// Shape: mono at 8, 16, 24, 32 or 48 kHz; others hear nothing right. Cost: 8 complex
/// multiplications a sample, some 3 µs per 20 ms at 8 kHz; nothing is allocated after [`new`].
///
/// [`new`]: DtmfDetector::new
#[derive(Debug, Clone)]
pub struct DtmfDetector {
    hz: f32,
    hop: usize,
    bins: [Bin; 8],
    /// The last two hops, for harmonics.
    window: Box<[i16]>,
    filled: usize,
    energy: (f32, f32),
    /// Position behind the last sample.
    end: Option<u64>,
    sounding: Option<Sounding>,
}

impl DtmfDetector {
    /// A detector that has heard nothing. Cost: one small allocation.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a sample rate")]
    pub fn new(rate: SampleRate) -> Self {
        let hz = rate.hz() as f32;
        let factor = usize::try_from(rate.hz() / 8_000).unwrap_or(1).clamp(1, FACTOR_MAX);
        let mut bins = [Bin::default(); 8];
        for (bin, tone) in bins.iter_mut().zip(LOW_HZ.into_iter().chain(HIGH_HZ)) {
            bin.hz = tone;
            bin.turn = Phasor::unit(-TAU * tone / hz);
        }
        let hop = HOP * factor;
        let window = vec![0; 2 * hop].into_boxed_slice();
        let mut detector = Self {
            hz,
            hop,
            bins,
            window,
            filled: 0,
            energy: (0.0, 0.0),
            end: None,
            sounding: None,
        };
        detector.begin();
        detector
    }

    /// Listens to samples that begin at `position`. What lies between them and the last ones was
    /// silence.
    pub fn push(&mut self, position: u64, samples: &[i16], sink: &mut impl FnMut(HeardDigit)) {
        if self.end.is_some_and(|end| end != position) {
            if let Some(digit) = self.sounding.take().and_then(told) {
                sink(digit);
            }
            self.begin();
        }
        let mut at = position;
        for &sample in samples {
            self.take(sample);
            at = at.saturating_add(1);
            if self.filled == self.hop {
                if let Some(digit) = self.hop_ended(at) {
                    sink(digit);
                }
                self.filled = 0;
            }
        }
        self.end = Some(at);
    }

    /// Whether a digit sounds, as far as is known.
    #[must_use]
    pub fn is_sounding(&self) -> bool {
        self.sounding.is_some_and(|sounding| sounding.hits >= HITS)
    }

    fn begin(&mut self) {
        for bin in &mut self.bins {
            *bin = Bin { hz: bin.hz, turn: bin.turn, wheel: Phasor::unit(0.0), ..Bin::default() };
        }
        self.window.fill(0);
        self.filled = 0;
        self.energy = (0.0, 0.0);
    }

    fn take(&mut self, sample: i16) {
        let x = f32::from(sample);
        if let Some(place) = self.window.get_mut(self.hop + self.filled) {
            *place = sample;
        }
        self.energy.1 += x * x;
        for bin in &mut self.bins {
            bin.hop.re += x * bin.wheel.re;
            bin.hop.im += x * bin.wheel.im;
            bin.wheel = bin.wheel.times(bin.turn);
        }
        self.filled += 1;
    }

    /// Judges the window that ends here and moves on by a hop.
    fn hop_ended(&mut self, end: u64) -> Option<HeardDigit> {
        let digit = self.judge();
        for bin in &mut self.bins {
            bin.last = bin.before.plus(bin.hop);
            bin.before = std::mem::take(&mut bin.hop);
            // The wheel has turned a few hundred times: it is set back on its circle.
            let scale = bin.wheel.power().sqrt().recip();
            bin.wheel = Phasor { re: bin.wheel.re * scale, im: bin.wheel.im * scale };
        }
        self.energy = (self.energy.1, 0.0);
        self.window.copy_within(self.hop.., 0);
        self.follow(digit, end)
    }

    /// Which digit the window holds, and the power of its tones.
    fn judge(&self) -> Option<(u8, (f32, f32))> {
        let (low, high) = (self.strongest(0)?, self.strongest(4)?);
        let (a, b) = (low.power, high.power);
        if a.min(b) < LEVEL_MIN * LEVEL_MIN {
            return None;
        }
        let twist = 10.0 * (b / a).log10();
        let energy = self.energy.0 + self.energy.1;
        let pure = f32::midpoint(a, b) * self.length() >= PURITY * energy;
        let right = [low.off, high.off].iter().all(|off| off.is_some_and(|off| off <= OFF_MAX));
        if !(TWIST_MIN_DB..=TWIST_MAX_DB).contains(&twist) || !pure || !right {
            return None;
        }
        let hz = |found: Found| self.bins.get(found.at).map_or(0.0, |bin| bin.hz);
        // Some low tones have their harmonic where the window hears the high one too.
        let clean = |found: Found, other: Found, against: f32| {
            let harmonic = 2.0 * hz(found);
            (harmonic - hz(other)).abs() < NEAR_HZ || self.power_at(harmonic) * HARMONIC < against
        };
        // A louder high tone is heard at the harmonic of the low one as well.
        if !clean(low, high, a.max(b)) || !clean(high, low, b) {
            return None;
        }
        let digit = KEYS.get(low.at)?.get(high.at - 4)?;
        Some((*digit, (a, b)))
    }

    /// The strongest of a group of four.
    fn strongest(&self, first: usize) -> Option<Found> {
        let group = self.bins.get(first..first + 4)?;
        let powers = group.iter().map(|bin| bin.before.plus(bin.hop).power());
        let (mut best, mut second) = ((first, 0.0_f32), 0.0_f32);
        for (at, power) in (first..).zip(powers) {
            if power > best.1 {
                (best, second) = ((at, power), best.1);
            } else {
                second = second.max(power);
            }
        }
        if best.1 < PEAK * second {
            return None;
        }
        let bin = self.bins.get(best.0)?;
        let change = bin.before.plus(bin.hop).times(bin.last.conjugate());
        let off_hz = change.im.atan2(change.re) * self.hz / (TAU * self.hop_length());
        let known = bin.last.power() * 4.0 > best.1;
        // A bin hears less of what is beside it: sin(x)/x of the window.
        let x = PI * off_hz * self.length() / self.hz;
        let heard = if x.abs() < 0.01 { 1.0 } else { x.sin() / x };
        let amplitude = 4.0 / (self.length() * self.length());
        let power = best.1 * amplitude / (heard * heard).max(0.25);
        Some(Found { at: best.0, power, off: known.then_some(off_hz.abs() / bin.hz) })
    }

    /// Power of the window at any frequency, as an amplitude squared.
    fn power_at(&self, hz: f32) -> f32 {
        let turn = Phasor::unit(-TAU * hz / self.hz);
        let (mut wheel, mut sum) = (Phasor::unit(0.0), Phasor::default());
        for &sample in &self.window {
            let x = f32::from(sample);
            sum = sum.plus(Phasor { re: x * wheel.re, im: x * wheel.im });
            wheel = wheel.times(turn);
        }
        sum.power() * 4.0 / (self.length() * self.length())
    }

    /// Takes the verdict on a window that ends at `end`.
    fn follow(&mut self, heard: Option<(u8, (f32, f32))>, end: u64) -> Option<HeardDigit> {
        let window = 2 * self.hop as u64;
        let fresh = |(digit, power): (u8, (f32, f32))| Sounding {
            digit,
            hits: 1,
            misses: 0,
            start: end.saturating_sub(window),
            end,
            power,
        };
        let Some(mut sounding) = self.sounding else {
            self.sounding = heard.map(fresh);
            return None;
        };
        let accepted = sounding.hits >= HITS;
        let same = heard.filter(|(digit, power)| {
            let steady = |a: f32, b: f32| a < b * STEADY && b < a * STEADY;
            let level = steady(power.0, sounding.power.0) && steady(power.1, sounding.power.1);
            *digit == sounding.digit && (accepted || level)
        });
        if let Some((_, power)) = same {
            sounding.hits = sounding.hits.saturating_add(1);
            (sounding.misses, sounding.end, sounding.power) = (0, end, power);
            self.sounding = Some(sounding);
            return None;
        }
        if !accepted {
            self.sounding = heard.map(fresh);
            return None;
        }
        sounding.misses += 1;
        if sounding.misses < MISSES {
            self.sounding = Some(sounding);
            return None;
        }
        self.sounding = heard.map(fresh);
        told(sounding)
    }

    fn length(&self) -> f32 {
        2.0 * self.hop_length()
    }

    #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
    fn hop_length(&self) -> f32 {
        self.hop as f32
    }
}

fn told(sounding: Sounding) -> Option<HeardDigit> {
    let Sounding { digit, hits, start, end, .. } = sounding;
    (hits >= HITS).then_some(HeardDigit { digit, position: start, samples: end - start })
}

/// How soon after its end a digit is told, at the latest.
pub const TOLD_AFTER: Duration = Duration::from_millis(40);

#[cfg(test)]
pub(crate) mod tests;
