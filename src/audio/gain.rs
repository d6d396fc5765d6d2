//! Loudness: active speech level, and bringing speech to one level without clipping.
//!
//! ```text
//!  samples ─> DC block 20 Hz ─> one gain for the whole text or file ─> limiter -1.5 dBov
//! ```
//!
//! Owns how loud prompts and synthesised speech are. Leaves live streams and the caller alone.
//! Levels are in dBov: 0 is a full-scale square wave (ITU-T G.100.1).

use super::rate::SampleRate;
use std::collections::VecDeque;

/// Peaks are kept below this: -1.5 dBov leaves room for the codec's own overshoot.
const CEILING: f32 = 0.841_395;

/// The most that is added to or taken from a recording; beyond it is noise, not speech.
const GAIN_DB_MAX: f32 = 30.0;

/// Frames that lie this far below the active level are pauses (ITU-T P.56, margin).
const MARGIN_DB: f32 = 15.9;

/// Length of a frame of the level measurement.
const FRAME_MS: u32 = 10;

/// Look-ahead of the limiter, and time constant of its release.
const AHEAD_MS: u32 = 5;
const RELEASE_MS: f32 = 50.0;

/// Active speech level in dBov; `None` when there is nothing but silence.
///
/// The mean power of the 10 ms frames that are not pauses, where a pause lies 15.9 dB below that
/// mean: the idea of ITU-T P.56 without its envelope, within 0.5 dB of it on speech. Cost: linear.
#[must_use]
pub fn active_level(samples: &[i16], rate: SampleRate) -> Option<f32> {
    let length = (rate.hz() * FRAME_MS / 1000).max(1) as usize;
    let frames: Vec<f64> = samples.chunks(length).map(mean_power).collect();
    let margin = 10_f64.powf(f64::from(-MARGIN_DB) / 10.0);
    let mut threshold = 0.0;
    let mut mean = 0.0;
    // Converges from below: each round drops the pauses that the last mean gave away.
    for _ in 0..20 {
        let active: Vec<f64> = frames.iter().copied().filter(|power| *power > threshold).collect();
        if active.is_empty() {
            return None;
        }
        mean = active.iter().sum::<f64>() / active.len() as f64;
        if (mean * margin - threshold).abs() <= f64::EPSILON {
            break;
        }
        threshold = mean * margin;
    }
    // Below -70 dBov is noise of the quantiser, not speech.
    let level = to_db(mean);
    (level > -70.0).then_some(level)
}

#[expect(clippy::cast_precision_loss, reason = "a frame is short")]
fn mean_power(frame: &[i16]) -> f64 {
    let sum: f64 = frame.iter().map(|sample| (f64::from(*sample) / 32768.0).powi(2)).sum();
    sum / frame.len().max(1) as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a level in dB needs no double")]
fn to_db(power: f64) -> f32 {
    (10.0 * power.max(1e-12).log10()) as f32
}

/// Brings a whole recording to an active speech level of `target_dbov`, in place.
///
/// Silence stays silence. Cost: linear, one buffer of the recording's length.
pub fn normalise(samples: &mut [i16], rate: SampleRate, target_dbov: f32) {
    SpeechLevel::new(rate, target_dbov).apply(samples);
}

/// Brings the pieces of one text to one level: the gain is found on the first piece with speech
/// in it and kept, so that sentences keep their loudness against each other.
#[derive(Debug)]
pub struct SpeechLevel {
    rate: SampleRate,
    target_dbov: f32,
    gain: Option<f32>,
    dc: DcBlock,
    limiter: Limiter,
}

impl SpeechLevel {
    /// A levelling stage for one text.
    #[must_use]
    pub fn new(rate: SampleRate, target_dbov: f32) -> Self {
        let (dc, limiter) = (DcBlock::new(rate), Limiter::new(rate));
        Self { rate, target_dbov, gain: None, dc, limiter }
    }

    /// Levels the next piece in place; the number of samples stays.
    pub fn apply(&mut self, samples: &mut [i16]) {
        let mut work: Vec<f32> = samples.iter().map(|s| f32::from(*s) / 32768.0).collect();
        self.dc.process(&mut work);
        let gain = match self.gain {
            Some(gain) => gain,
            None => self.find_gain(&work).unwrap_or(1.0),
        };
        work.iter_mut().for_each(|sample| *sample *= gain);
        self.limiter.process(&mut work);
        samples.iter_mut().zip(&work).for_each(|(sample, level)| *sample = to_i16(*level));
    }

    fn find_gain(&mut self, work: &[f32]) -> Option<f32> {
        let samples: Vec<i16> = work.iter().map(|sample| to_i16(*sample)).collect();
        let level = active_level(&samples, self.rate)?;
        let db = (self.target_dbov - level).clamp(-GAIN_DB_MAX, GAIN_DB_MAX);
        let gain = 10_f32.powf(db / 20.0);
        self.gain = Some(gain);
        Some(gain)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range before")]
fn to_i16(sample: f32) -> i16 {
    (sample * 32768.0).round().clamp(-32768.0, 32767.0) as i16
}

/// A one-pole high-pass at 20 Hz: takes a constant offset away, which the G.711 curve would turn
/// into distortion.
#[derive(Debug)]
struct DcBlock {
    pole: f32,
    input: f32,
    output: f32,
}

impl DcBlock {
    #[expect(clippy::cast_precision_loss, reason = "sample rates are small")]
    fn new(rate: SampleRate) -> Self {
        let pole = 1.0 - std::f32::consts::TAU * 20.0 / rate.hz() as f32;
        Self { pole, input: 0.0, output: 0.0 }
    }

    fn process(&mut self, samples: &mut [f32]) {
        for sample in samples {
            self.output = *sample - self.input + self.pole * self.output;
            self.input = *sample;
            *sample = self.output;
        }
    }
}

/// A look-ahead peak limiter: the gain goes down over 5 ms before a peak and comes back slowly.
#[derive(Debug)]
struct Limiter {
    ahead: usize,
    release: f32,
    /// Gain after release, carried from piece to piece.
    held: f32,
}

impl Limiter {
    #[expect(clippy::cast_precision_loss, reason = "sample rates are small")]
    fn new(rate: SampleRate) -> Self {
        let ahead = (rate.hz() * AHEAD_MS / 1000).max(1) as usize;
        let release = 1.0 / (RELEASE_MS / 1000.0 * rate.hz() as f32);
        Self { ahead, release, held: 1.0 }
    }

    /// Limits a piece in place.
    ///
    /// The gain at each sample is the mean over the look-ahead of gains that each suit every peak
    /// within the look-ahead, so that it suits this one: no sample passes the ceiling.
    fn process(&mut self, samples: &mut [f32]) {
        let wanted: Vec<f32> = samples
            .iter()
            .map(|sample| if sample.abs() > CEILING { CEILING / sample.abs() } else { 1.0 })
            .collect();
        if self.held >= 0.999_9 && wanted.iter().all(|gain| *gain >= 1.0) {
            self.held = 1.0;
            return;
        }
        let held = self.hold(&wanted);
        let mut window: VecDeque<f32> = VecDeque::with_capacity(self.ahead + 1);
        let first = held.first().copied().unwrap_or(1.0);
        window.resize(self.ahead, first);
        let mut sum = f64::from(first) * self.ahead as f64;
        for (sample, gain) in samples.iter_mut().zip(&held) {
            window.push_back(*gain);
            sum += f64::from(*gain);
            if let Some(gone) = window.pop_front() {
                sum -= f64::from(gone);
            }
            #[expect(clippy::cast_possible_truncation, reason = "a gain of at most 1")]
            let mean = (sum / window.len() as f64) as f32;
            *sample = (*sample * mean).clamp(-CEILING, CEILING);
        }
    }

    /// The lowest gain of each look-ahead, with release.
    fn hold(&mut self, wanted: &[f32]) -> Vec<f32> {
        let mut lowest: VecDeque<usize> = VecDeque::new();
        let mut next = 0;
        let mut held = Vec::with_capacity(wanted.len());
        for at in 0..wanted.len() {
            while next < wanted.len() && next <= at + self.ahead {
                while lowest.back().is_some_and(|last| wanted[*last] >= wanted[next]) {
                    lowest.pop_back();
                }
                lowest.push_back(next);
                next += 1;
            }
            while lowest.front().is_some_and(|first| *first < at) {
                lowest.pop_front();
            }
            let floor = lowest.front().map_or(1.0, |first| wanted[*first]);
            self.held = (self.held + (1.0 - self.held) * self.release).min(floor);
            held.push(self.held);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_8000;

    /// Bursts of a tone of this peak, half a second on and half a second off.
    fn bursts(peak: f64, seconds: usize) -> Vec<i16> {
        let tone = |n: usize| (n as f64 * 0.3).sin() * peak;
        (0..seconds * 8000).map(|n| if n % 8000 < 4000 { tone(n) as i16 } else { 0 }).collect()
    }

    #[test]
    fn pauses_do_not_count() {
        // A sine of peak p has a level of p/sqrt(2).
        let level = active_level(&bursts(10_000.0, 4), RATE).unwrap();
        let expected = 20.0 * (10_000.0_f32 / 32768.0 / 2_f32.sqrt()).log10();
        assert!((level - expected).abs() < 0.2, "{level} {expected}");
        assert_eq!(active_level(&[0; 8000], RATE), None);
        assert_eq!(active_level(&[], RATE), None);
    }

    #[test]
    fn everything_comes_to_the_target_and_nothing_clips() {
        for peak in [700.0, 5000.0, 32_000.0] {
            let mut samples = bursts(peak, 4);
            normalise(&mut samples, RATE, -20.0);
            let level = active_level(&samples, RATE).unwrap();
            assert!((level + 20.0).abs() < 0.3, "peak {peak}: {level}");
        }
        let mut silent = vec![0; 8000];
        normalise(&mut silent, RATE, -20.0);
        assert!(silent.iter().all(|sample| *sample == 0));
        normalise(&mut [], RATE, -20.0);
    }

    #[test]
    fn a_constant_offset_goes_away() {
        let mut samples: Vec<i16> = bursts(8000.0, 4).iter().map(|s| s + 3000).collect();
        normalise(&mut samples, RATE, -20.0);
        let tail = &samples[16_000..];
        let mean = tail.iter().map(|s| f64::from(*s)).sum::<f64>() / tail.len() as f64;
        assert!(mean.abs() < 60.0, "{mean}");
    }

    #[test]
    fn peaks_are_limited_without_steps() {
        let mut samples = bursts(3000.0, 2);
        for n in 2000..2040 {
            samples[n] = if n % 2 == 0 { 32_000 } else { -32_000 };
        }
        let mut level = SpeechLevel { gain: Some(4.0), ..SpeechLevel::new(RATE, -20.0) };
        level.apply(&mut samples);
        let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(f32::from(peak) <= CEILING * 32768.0 + 1.0, "{peak}");
        // Three quarters of a second later the gain is back.
        let late = samples[8000..].iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(late > 11_000, "{late}");
    }

    #[test]
    fn pieces_get_the_gain_of_the_first() {
        let mut level = SpeechLevel::new(RATE, -20.0);
        let mut silence = vec![0; 800];
        level.apply(&mut silence);
        let (mut loud, mut soft) = (bursts(16_000.0, 1), bursts(8000.0, 1));
        level.apply(&mut loud);
        level.apply(&mut soft);
        let (loud, soft) = (active_level(&loud, RATE).unwrap(), active_level(&soft, RATE).unwrap());
        assert!((loud - soft - 6.02).abs() < 0.3, "{loud} {soft}");
    }
}
