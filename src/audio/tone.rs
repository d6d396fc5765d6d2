//! Digits as sound: the tone pairs of ITU-T Q.23, for carriers that take no telephone-event.
//!
//! ```text
//!  digits ─> [ tone: two oscillators, 5 ms ramps ][ gap: silence ][ tone ]...
//! ```
//!
//! Exact to the sample, whatever the frames. Does not know calls; hearing digits is
//! [`super::dtmf`]'s.

use super::rate::SampleRate;
use std::f32::consts::{PI, TAU};
use std::time::Duration;

/// Digits that may wait.
pub const MAX_DIGITS: usize = 32;
/// Frequencies of the rows of the keypad. Units: Hz.
pub const LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// Frequencies of its columns. Units: Hz.
pub const HIGH_HZ: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// The keypad, row by row.
pub const KEYS: [[u8; 4]; 4] = [*b"123A", *b"456B", *b"789C", *b"*0#D"];

/// Amplitude of the low tone, -10 dBm0, and of the high one, 2 dB above: lines lose more of it.
/// A sine of full scale has 3.17 dBm0 in G.711.
const LOW_LEVEL: f32 = 7_195.0;
const HIGH_LEVEL: f32 = 9_058.0;
/// How long a tone rises and falls.
const RAMP: Duration = Duration::from_millis(5);

/// Row and column of a digit, in any case.
#[must_use]
pub fn key_of(digit: u8) -> Option<(usize, usize)> {
    let digit = digit.to_ascii_uppercase();
    KEYS.iter().enumerate().find_map(|(row, keys)| {
        let column = keys.iter().position(|key| *key == digit)?;
        Some((row, column))
    })
}

/// A sine, made by turning a point around the origin.
#[derive(Debug, Clone, Copy)]
struct Oscillator {
    turn: (f32, f32),
    point: (f32, f32),
}

impl Oscillator {
    #[expect(clippy::cast_precision_loss, reason = "a sample rate")]
    fn new(hz: f32, rate: SampleRate, level: f32) -> Self {
        let (sine, cosine) = (TAU * hz / rate.hz() as f32).sin_cos();
        Self { turn: (cosine, sine), point: (level, 0.0) }
    }

    fn next(&mut self) -> f32 {
        let ((c, s), (x, y)) = (self.turn, self.point);
        self.point = (x * c - y * s, x * s + y * c);
        y
    }
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Idle,
    Tone { low: Oscillator, high: Oscillator, at: usize },
    Gap { left: usize },
}

/// Sends digits as sound, one after the other; fixed size.
#[derive(Debug, Clone)]
pub struct DigitTones {
    rate: SampleRate,
    queue: [u8; MAX_DIGITS],
    next: usize,
    queued: usize,
    /// Samples of a tone and of a gap.
    tone: usize,
    gap: usize,
    part: Part,
}

/// Why digits are not sent: the API user's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ToneError {
    /// Other than `0-9*#A-D`.
    #[error("{0:#04x} is no DTMF digit")]
    NoDigit(u8),
    /// More than [`MAX_DIGITS`] wait.
    #[error("more than {MAX_DIGITS} digits wait to be sent")]
    TooMany,
}

impl DigitTones {
    /// A sender that is silent.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        let queue = [0; MAX_DIGITS];
        Self { rate, queue, next: 0, queued: 0, tone: 0, gap: 0, part: Part::Idle }
    }

    /// Queues digits up to the first zero octet; they follow those that wait.
    ///
    /// The lengths hold for all that wait; both are kept within 40 ms and 5 s.
    ///
    /// # Errors
    /// [`ToneError`]; nothing is queued then.
    pub fn queue(&mut self, digits: &[u8], tone: Duration, gap: Duration) -> Result<(), ToneError> {
        let len = digits.iter().position(|&d| d == 0).unwrap_or(digits.len());
        let digits = digits.get(..len).unwrap_or_default();
        if let Some(&odd) = digits.iter().find(|&&d| key_of(d).is_none()) {
            return Err(ToneError::NoDigit(odd));
        }
        self.queue.copy_within(self.next..self.queued, 0);
        self.queued -= self.next;
        self.next = 0;
        let room = self.queue.get_mut(self.queued..self.queued + len).ok_or(ToneError::TooMany)?;
        room.copy_from_slice(digits);
        self.queued += len;
        let samples = |time: Duration| {
            let time = time.clamp(Duration::from_millis(40), Duration::from_secs(5));
            usize::try_from(self.rate.samples_in(time)).unwrap_or(0)
        };
        (self.tone, self.gap) = (samples(tone), samples(gap));
        Ok(())
    }

    /// Whether a tone sounds, or its gap passes, or digits wait.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self.part, Part::Idle) || self.next < self.queued
    }

    /// Forgets what waits and stops at once.
    pub fn clear(&mut self) {
        (self.next, self.queued, self.part) = (0, 0, Part::Idle);
    }

    /// Writes a whole frame: tones, gaps, and silence behind the last.
    pub fn fill(&mut self, frame: &mut [i16]) {
        let ramp = usize::try_from(self.rate.samples_in(RAMP)).unwrap_or(0);
        for sample in frame {
            *sample = self.next_sample(ramp);
        }
    }

    fn next_sample(&mut self, ramp: usize) -> i16 {
        if matches!(self.part, Part::Idle) {
            self.begin();
        }
        match &mut self.part {
            Part::Idle => 0,
            Part::Tone { low, high, at } => {
                let edge = (*at + 1).min(self.tone.saturating_sub(*at));
                let sample = (low.next() + high.next()) * raised(edge, ramp);
                *at += 1;
                if *at >= self.tone {
                    self.part = Part::Gap { left: self.gap };
                }
                to_i16(sample)
            }
            Part::Gap { left } => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.part = Part::Idle;
                }
                0
            }
        }
    }

    fn begin(&mut self) {
        let waiting = self.queue.get(self.next..self.queued).and_then(|queue| queue.first());
        let Some((row, column)) = waiting.and_then(|digit| key_of(*digit)) else { return };
        self.next += 1;
        let hz = |table: &[f32; 4], at: usize| table.get(at).copied().unwrap_or_default();
        let low = Oscillator::new(hz(&LOW_HZ, row), self.rate, LOW_LEVEL);
        let high = Oscillator::new(hz(&HIGH_HZ, column), self.rate, HIGH_LEVEL);
        self.part = Part::Tone { low, high, at: 0 };
    }
}

/// Raised cosine: how loud a tone is so many samples from its nearer end.
#[expect(clippy::cast_precision_loss, reason = "a ramp is a few hundred samples long")]
fn raised(edge: usize, ramp: usize) -> f32 {
    if edge >= ramp { 1.0 } else { 0.5 - 0.5 * (PI * edge as f32 / ramp as f32).cos() }
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn to_i16(sample: f32) -> i16 {
    sample.round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn sent(rate: SampleRate, digits: &[u8], frame: usize) -> Vec<i16> {
        let mut tones = DigitTones::new(rate);
        tones.queue(digits, MS(60), MS(40)).unwrap();
        let mut out = Vec::new();
        while tones.is_active() {
            let mut samples = vec![1; frame];
            tones.fill(&mut samples);
            out.extend(samples);
        }
        out
    }

    #[test]
    fn tones_are_as_long_as_asked_and_frames_do_not_matter() {
        let whole = sent(SampleRate::HZ_8000, b"5#", 1);
        assert_eq!(whole.len(), 2 * 8 * 100);
        for frame in [7, 80, 160, 480] {
            let framed = sent(SampleRate::HZ_8000, b"5#", frame);
            assert_eq!(framed[..whole.len()], whole, "frames of {frame}");
            assert!(framed[whole.len()..].iter().all(|s| *s == 0));
        }
        assert!(whole[480..800].iter().all(|s| *s == 0), "the gap is silent");
        let peak = whole.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!((14_000..16_400).contains(&peak), "{peak}");
    }

    #[test]
    fn tones_rise_and_fall_without_a_click() {
        let whole = sent(SampleRate::HZ_8000, b"1", 160);
        let ends = [&whole[..4], &whole[476..480]];
        assert!(ends.iter().all(|end| end.iter().all(|s| s.abs() < 900)), "{ends:?}");
    }

    #[test]
    fn levels_are_those_of_q_23_with_the_high_tone_2_db_up() {
        // Single bins over 40 ms in the middle of a long tone.
        let mut tones = DigitTones::new(SampleRate::HZ_16000);
        tones.queue(b"D", MS(1000), MS(40)).unwrap();
        let mut out = vec![0; 16_000];
        tones.fill(&mut out);
        for (hz, dbm0) in [(941.0, -10.0), (1633.0, -8.0)] {
            let (mut x, mut y) = (0.0_f32, 0.0_f32);
            for (n, sample) in out[1600..14_400].iter().enumerate() {
                let (s, c) = (TAU * hz * f32::from(u16::try_from(n).unwrap()) / 16_000.0).sin_cos();
                x += f32::from(*sample) * c;
                y += f32::from(*sample) * s;
            }
            let level = 20.0 * (2.0 * x.hypot(y) / 12_800.0 / 32_768.0).log10() + 3.17;
            assert!((level - dbm0).abs() < 0.1, "{hz}: {level}");
        }
    }

    #[test]
    fn digits_are_checked_counted_and_cleared() {
        let mut tones = DigitTones::new(SampleRate::HZ_8000);
        assert_eq!(tones.queue(b"12x", MS(1), MS(1)), Err(ToneError::NoDigit(b'x')));
        assert!(!tones.is_active());
        tones.queue(&[b'1'; 32], MS(1), MS(1)).unwrap();
        assert_eq!(tones.queue(b"1", MS(1), MS(1)), Err(ToneError::TooMany));
        tones.fill(&mut [0; 10]);
        tones.queue(b"a\0b", MS(1), MS(1)).unwrap();
        tones.clear();
        assert!(!tones.is_active());
        let mut frame = [5; 4];
        tones.fill(&mut frame);
        assert_eq!(frame, [0; 4]);
    }
}
