//! Loudness: the active speech level, and bringing speech to one level without clipping.
//!
//! ```text
//!  file      DC block 20 Hz ─> one gain, at most +20 dB ──────────> limiter −1.5 dBov, 5 ms ahead
//!  sentences DC block 20 Hz ─> the gain of the first of them ─────> limiter
//!  stream    see `agc`, which is asked for ───────────────────────> limiter
//! ```
//!
//! Levels are in dBov: 0 is a full-scale square wave (ITU-T G.100.1). Speech 20 dB below full
//! scale loses nothing to µ-law, and 26 dB less of it more than a point of PESQ. Leaves the
//! caller's voice alone; nothing here changes the number of samples.

use std::collections::VecDeque;
use std::time::Duration;

use super::filter::DcBlock;
use super::rate::SampleRate;
use super::sample::{ratio_of_db, to_f32, to_i16};

/// The level that prompts and synthesised speech are brought to. Units: dBov.
pub const TARGET_DBOV: f32 = -20.0;
/// No sample leaves a [`Limiter`] above this, which leaves room for the codec. Units: dBov.
pub const CEILING_DBOV: f32 = -1.5;
/// Most that is added to a recording: beyond it lies noise, not speech. Units: dB.
pub const GAIN_FILE_MAX_DB: f32 = 20.0;

/// Below this there is no speech. Units: dBov.
const SILENCE_DBOV: f32 = -70.0;
/// P.56: how far the threshold of activity lies below the active level. Units: dB.
const MARGIN_DB: f64 = 15.9;
/// P.56: time constant of the envelope. Units: s.
const ENVELOPE_S: f64 = 0.03;
/// P.56: how long activity lasts after the envelope fell.
const HANGOVER: Duration = Duration::from_millis(200);
/// P.56: thresholds of 6 dB each, from one step of 16 bits to half of full scale.
const THRESHOLDS: usize = 15;

/// The active speech level after ITU-T P.56, method B; `None` for silence.
///
/// Shape: mono in −1..1. Units: dBov. Cost: 15 comparisons a sample.
#[expect(clippy::cast_possible_truncation, reason = "a level in dB needs no double")]
pub fn active_level(samples: &[f32], rate: SampleRate) -> Option<f32> {
    let hz = f64::from(rate.hz());
    let keep = (-1.0 / (hz * ENVELOPE_S)).exp();
    let hangover = rate.samples_in(HANGOVER);
    let (mut once, mut twice, mut energy) = (0.0, 0.0, 0.0_f64);
    let mut active = [0_u64; THRESHOLDS];
    let mut waited = [hangover; THRESHOLDS];
    for &sample in samples {
        let sample = f64::from(sample);
        energy += sample * sample;
        once = keep * once + (1.0 - keep) * sample.abs();
        twice = keep * twice + (1.0 - keep) * once;
        let mut threshold = 1.0 / 32_768.0;
        for (active, waited) in active.iter_mut().zip(&mut waited) {
            *waited = if twice >= threshold { 0 } else { *waited + 1 };
            *active += u64::from(*waited < hangover);
            threshold *= 2.0;
        }
    }
    let level = level_of_activity(energy, &active)?;
    (level > f64::from(SILENCE_DBOV)).then_some(level as f32)
}

/// Where the active level lies [`MARGIN_DB`] above its own threshold, between two of them.
#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
fn level_of_activity(energy: f64, active: &[u64; THRESHOLDS]) -> Option<f64> {
    let mut before: Option<(f64, f64)> = None;
    let mut threshold_db = 20.0 * (1.0 / 32_768.0_f64).log10();
    for &samples in active.iter().take_while(|&&samples| samples > 0) {
        let level = 10.0 * (energy / samples as f64).log10();
        let above = level - threshold_db;
        if above <= MARGIN_DB {
            return Some(match before {
                Some((level_before, above_before)) => {
                    let part = (above_before - MARGIN_DB) / (above_before - above);
                    level_before + part * (level - level_before)
                }
                None => level,
            });
        }
        before = Some((level, above));
        threshold_db += 20.0 * 2.0_f64.log10();
    }
    before.map(|(level, _)| level)
}

/// Brings a whole recording to an active speech level.
///
/// Shape: mono in −1..1 in, as many 16-bit samples out. Adds at most [`GAIN_FILE_MAX_DB`];
/// silence stays as it is. Cost: 0.1 µs a sample.
pub fn normalise(samples: &[f32], rate: SampleRate, target_dbov: f32) -> Vec<i16> {
    let mut dc = DcBlock::new(rate);
    let steady: Vec<f32> = samples.iter().map(|&sample| dc.next(sample)).collect();
    let mut limiter = Limiter::new(rate);
    limiter.set_gain_db(gain_db(&steady, rate, target_dbov).unwrap_or(0.0));
    let mut out = Vec::with_capacity(samples.len());
    limiter.run(&steady, &mut out);
    limiter.flush(&mut out);
    out
}

/// The gain that brings speech to a level; `None` for silence. Units: dB.
fn gain_db(samples: &[f32], rate: SampleRate, target_dbov: f32) -> Option<f32> {
    let level = active_level(samples, rate)?;
    Some((target_dbov - level).min(GAIN_FILE_MAX_DB))
}

/// Brings the sentences of one text to one level, as they are synthesised.
///
/// The gain is measured on the first piece with speech in it, or given by who knows the voice,
/// and kept: the sentences keep their loudness against each other.
#[derive(Debug)]
pub struct SpeechLevel {
    rate: SampleRate,
    target_dbov: f32,
    measured: bool,
    dc: DcBlock,
    limiter: Limiter,
    steady: Vec<f32>,
}

impl SpeechLevel {
    /// A stage that measures its gain.
    pub fn new(rate: SampleRate, target_dbov: f32) -> Self {
        let (dc, limiter) = (DcBlock::new(rate), Limiter::new(rate));
        Self { rate, target_dbov, measured: false, dc, limiter, steady: Vec::new() }
    }

    /// A stage for a voice whose gain is known. Units: dB.
    pub fn with_gain_db(rate: SampleRate, gain_db: f32) -> Self {
        let mut level = Self::new(rate, TARGET_DBOV);
        level.measured = true;
        level.limiter.set_gain_db(gain_db);
        level
    }

    /// Takes a piece, best a sentence, and appends it but for the last 5 ms.
    pub fn process(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.steady.clear();
        self.steady.extend(samples.iter().map(|&sample| self.dc.next(to_f32(sample))));
        if !self.measured
            && let Some(gain) = gain_db(&self.steady, self.rate, self.target_dbov)
        {
            self.limiter.set_gain_db(gain);
            self.measured = true;
        }
        self.limiter.run(&self.steady, out);
    }

    /// Ends the text: appends the rest. The gain stays for a next one.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        self.limiter.flush(out);
        self.dc.reset();
    }
}

/// A gain and a peak limiter that looks 5 ms ahead.
///
/// ```text
///  x·gain ──┬──────────────────── 5 ms ────────────────────── × ──> never above the ceiling
///           └─> gain each peak needs ─> least of 5 ms, slow release ─> mean of 5 ms ─┘
/// ```
///
/// Each gain in the mean suits every peak of the 5 ms before it, so the mean suits the peak that
/// it meets. Speech below the ceiling passes bit by bit unchanged. Shape: any chunking, the same
/// result; what goes in comes out, 5 ms later, the last of it by [`Limiter::flush`].
#[derive(Debug)]
pub struct Limiter {
    gain: f32,
    ceiling: f32,
    window: usize,
    release: f32,
    /// Samples that wait for their gain.
    waiting: VecDeque<f32>,
    /// Needed gains of the last window with their time, each lower than all before it.
    lows: VecDeque<(u64, f32)>,
    /// The gains whose mean is taken.
    gains: VecDeque<f32>,
    sum: f64,
    /// How many of `gains` are below 1.
    limited: usize,
    held: f32,
    now: u64,
}

/// How far the limiter looks ahead. Units: s.
const AHEAD_S: f32 = 0.005;
/// Time constant of the return after a peak. Units: s.
const RELEASE_S: f32 = 0.05;
/// A gain so close to 1 that it counts as 1.
const ALMOST_ONE: f32 = 0.999_9;

impl Limiter {
    /// A limiter to [`CEILING_DBOV`] with a gain of 0 dB.
    #[expect(clippy::cast_precision_loss, reason = "rates are small")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a short window")]
    pub fn new(rate: SampleRate) -> Self {
        let hz = rate.hz() as f32;
        let window = ((hz * AHEAD_S) as usize).max(1);
        let mut limiter = Self {
            gain: 1.0,
            ceiling: ratio_of_db(CEILING_DBOV),
            window,
            release: 1.0 - (-1.0 / (hz * RELEASE_S)).exp(),
            waiting: VecDeque::with_capacity(window),
            lows: VecDeque::with_capacity(window + 1),
            gains: VecDeque::with_capacity(window + 1),
            sum: 0.0,
            limited: 0,
            held: 1.0,
            now: 0,
        };
        limiter.reset();
        limiter
    }

    /// The gain of the samples to come. Units: dB.
    pub fn set_gain_db(&mut self, gain_db: f32) {
        self.gain = ratio_of_db(gain_db);
    }

    /// Takes samples and appends them but for the last 5 ms.
    pub fn process(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        for &sample in samples {
            out.extend(self.next(to_f32(sample)).map(to_i16));
        }
    }

    /// Ends the stream: appends the rest, and starts anew with the same gain.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        self.drain(out);
        self.reset();
    }

    /// Appends what waits, as if silence followed; what does follow goes on at the same gain.
    pub fn drain(&mut self, out: &mut Vec<i16>) {
        let rest = out.len() + self.waiting.len();
        // Silence pushes the rest out, once the window is full.
        while out.len() < rest {
            out.extend(self.next(0.0).map(to_i16));
        }
        self.waiting.clear();
    }

    /// Forgets what waits.
    pub(super) fn forget(&mut self) {
        self.reset();
    }

    pub(super) fn run(&mut self, samples: &[f32], out: &mut Vec<i16>) {
        for &sample in samples {
            out.extend(self.next(sample).map(to_i16));
        }
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.lows.clear();
        self.gains.clear();
        self.gains.resize(self.window, 1.0);
        (self.held, self.now) = (1.0, 0);
        self.settle();
    }

    /// Nothing is limited: the sum is what it would be without rounding.
    #[expect(clippy::cast_precision_loss, reason = "a short window")]
    fn settle(&mut self) {
        (self.limited, self.sum) = (0, self.window as f64);
    }

    /// Takes a sample and gives the one of 5 ms before.
    fn next(&mut self, sample: f32) -> Option<f32> {
        let sample = sample * self.gain;
        self.waiting.push_back(sample);
        self.follow(sample.abs());
        if self.waiting.len() < self.window {
            return None;
        }
        let sample = self.waiting.pop_front()?;
        if self.limited == 0 {
            return Some(sample);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "0..=1")]
        let gain = (self.sum / self.window as f64) as f32;
        Some((sample * gain).clamp(-self.ceiling, self.ceiling))
    }

    /// Moves the gain on by one sample.
    fn follow(&mut self, peak: f32) {
        if self.limited == 0 && peak <= self.ceiling {
            // Every gain of the window is 1 already, and so is this one.
            self.now += 1;
            return;
        }
        let needed = if peak > self.ceiling { self.ceiling / peak } else { 1.0 };
        while self.lows.back().is_some_and(|&(_, low)| low >= needed) {
            self.lows.pop_back();
        }
        self.lows.push_back((self.now, needed));
        while self.lows.front().is_some_and(|&(at, _)| at + self.window as u64 <= self.now) {
            self.lows.pop_front();
        }
        self.now += 1;
        let lowest = self.lows.front().map_or(1.0, |&(_, low)| low);
        self.held = (self.held + (1.0 - self.held) * self.release).min(lowest);
        if self.held > ALMOST_ONE {
            self.held = 1.0;
        }
        self.gains.push_back(self.held);
        self.sum += f64::from(self.held);
        self.limited += usize::from(self.held < 1.0);
        if let Some(gone) = self.gains.pop_front() {
            self.sum -= f64::from(gone);
            self.limited -= usize::from(gone < 1.0);
        }
        if self.limited == 0 {
            self.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: SampleRate = SampleRate::HZ_8000;

    /// Seconds of a tone of this amplitude, half of each second silent.
    fn bursts(amplitude: f32, seconds: u16) -> Vec<f32> {
        let sample = |n: u16| f32::sin(f32::from(n % 8_000) * 0.7) * amplitude;
        (0..seconds * 8_000).map(|n| if n % 8_000 < 4_000 { sample(n) } else { 0.0 }).collect()
    }

    fn db(power: f32) -> f32 {
        10.0 * power.log10()
    }

    fn floats(samples: &[i16]) -> Vec<f32> {
        samples.iter().map(|&sample| to_f32(sample)).collect()
    }

    fn peak(samples: &[i16]) -> f32 {
        samples.iter().map(|&sample| to_f32(sample).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn pauses_do_not_count_but_for_the_hangover() {
        for amplitude in [0.9_f32, 0.1, 0.01] {
            let level = active_level(&bursts(amplitude, 4), RATE).expect("a tone");
            // Half a second of sound and up to 0.3 s of envelope and hangover after it.
            let power = amplitude * amplitude / 2.0;
            assert!(level <= db(power) && level >= db(power * 0.5 / 0.85), "{amplitude}: {level}");
        }
        let steady: Vec<f32> = bursts(0.5, 1)[..4_000].repeat(4);
        let level = active_level(&steady, RATE).expect("a tone");
        assert!((level - db(0.125)).abs() < 0.1, "{level}");
        for silence in [&[][..], &[0.0; 2_000], &[1e-5; 2_000]] {
            assert_eq!(active_level(silence, RATE), None);
        }
    }

    #[test]
    fn every_loudness_comes_to_the_target_without_a_peak_above_the_ceiling() {
        for amplitude in [0.02, 0.2, 1.0, 4.0] {
            let out = normalise(&bursts(amplitude, 4), RATE, TARGET_DBOV);
            assert_eq!(out.len(), 32_000);
            let level = active_level(&floats(&out), RATE).expect("a tone");
            assert!((level - TARGET_DBOV).abs() < 0.1, "{amplitude}: {level}");
            assert!(peak(&out) <= ratio_of_db(CEILING_DBOV) + 1e-4);
        }
        // What is far too quiet gains 20 dB and no more; silence nothing.
        let quiet = bursts(0.002, 4);
        let out = normalise(&quiet, RATE, TARGET_DBOV);
        let (before, after) = (active_level(&quiet, RATE), active_level(&floats(&out), RATE));
        let gained = after.expect("a tone") - before.expect("a tone");
        assert!((gained - GAIN_FILE_MAX_DB).abs() < 0.2, "{gained}");
        assert_eq!(normalise(&[0.0; 100], RATE, TARGET_DBOV), [0; 100]);
        assert!(normalise(&[], RATE, TARGET_DBOV).is_empty());
    }

    #[test]
    fn a_constant_offset_goes_away_without_a_thump() {
        let offset: Vec<f32> = bursts(0.1, 2).iter().map(|s| s + 0.3).collect();
        let out = floats(&normalise(&offset, RATE, TARGET_DBOV));
        let mean = out.iter().sum::<f32>() / 16_000.0;
        assert!(mean.abs() < 1e-3, "{mean}");
        assert!(out[..20].iter().all(|s| s.abs() < 0.3));
    }

    #[test]
    fn speech_below_the_ceiling_passes_the_limiter_unchanged() {
        let input: Vec<i16> = (-27_000..27_000).step_by(13).collect();
        let mut limiter = Limiter::new(RATE);
        let mut out = Vec::new();
        limiter.process(&input, &mut out);
        assert_eq!(out.len(), input.len() - 39, "5 ms wait");
        limiter.flush(&mut out);
        assert_eq!(out, input);
        limiter.flush(&mut out);
        assert_eq!(out, input, "nothing is left");
    }

    #[test]
    fn the_limiter_bends_before_a_peak_and_comes_back() {
        let mut input = vec![8_000_i16; 8_000];
        input[2_000] = i16::MAX;
        let mut limiter = Limiter::new(RATE);
        limiter.set_gain_db(6.0);
        let mut out = Vec::new();
        limiter.process(&input, &mut out);
        limiter.flush(&mut out);
        let wanted = 8_000.0 * ratio_of_db(6.0) / 32_768.0;
        let out = floats(&out);
        assert!((out[1_900] - wanted).abs() < 1e-3 && (out[7_000] - wanted).abs() < 1e-3);
        assert!(out[1_999] < wanted * 0.75 && out[2_000] <= ratio_of_db(CEILING_DBOV) + 1e-4);
        let steps = out.windows(2).enumerate().filter(|(n, _)| !(1_999..=2_000).contains(n));
        let steepest = steps.map(|(_, w)| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(steepest < wanted * 0.03, "the gain jumps by {steepest}");
    }

    #[test]
    fn sentences_get_the_gain_of_the_first_with_speech() {
        let pcm = |amplitude| bursts(amplitude, 2).iter().map(|&s| to_i16(s)).collect::<Vec<_>>();
        let mut level = SpeechLevel::new(RATE, TARGET_DBOV);
        let mut out = Vec::new();
        for piece in [vec![0; 4_000], pcm(0.4), pcm(0.2)] {
            level.process(&piece, &mut out);
        }
        level.flush(&mut out);
        assert_eq!(out.len(), 4_000 + 32_000);
        let first = active_level(&floats(&out[4_000..20_000]), RATE).expect("a tone");
        let second = active_level(&floats(&out[20_000..]), RATE).expect("a tone");
        assert!((first - TARGET_DBOV).abs() < 0.1, "{first}");
        assert!((first - second - 6.02).abs() < 0.1, "{second}");
        let mut known = SpeechLevel::with_gain_db(RATE, -6.02);
        let mut out = Vec::new();
        known.process(&pcm(0.4), &mut out);
        known.flush(&mut out);
        assert!((peak(&out) - 0.2).abs() < 2e-3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn chunking_changes_nothing_and_no_peak_gets_through(
            input in prop::collection::vec(any::<i16>(), 0..3_000),
            cut in 1_usize..400,
            gain_db in -30.0_f32..30.0,
        ) {
            let mut whole = Limiter::new(RATE);
            whole.set_gain_db(gain_db);
            let mut pieces = Limiter::new(RATE);
            pieces.set_gain_db(gain_db);
            let (mut wanted, mut out) = (Vec::new(), Vec::new());
            whole.process(&input, &mut wanted);
            whole.flush(&mut wanted);
            input.chunks(cut).for_each(|chunk| pieces.process(chunk, &mut out));
            pieces.flush(&mut out);
            prop_assert_eq!(&out, &wanted);
            prop_assert_eq!(out.len(), input.len());
            prop_assert!(peak(&out) <= ratio_of_db(CEILING_DBOV) + 1e-4);
        }
    }
}
