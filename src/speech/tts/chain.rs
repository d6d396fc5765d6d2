//! From an engine's samples to the leg's: rate and level.
//!
//! ```text
//!  native rate ─> resampler ─> [held until the level is known, 300 ms at most] ─> gain, limiter
//! ```
//!
//! Owns the streaming state of one speech. A voice whose level is known from before is not held
//! at all. Does not keep levels between speeches: [`Levels`] does, for all of them.

use crate::audio::gain::{GAIN_FILE_MAX_DB, SpeechLevel, active_level};
use crate::audio::rate::SampleRate;
use crate::audio::resample::Resampler;
use crate::audio::sample::to_f32;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Sound that tells a level, when none is known.
const MEASURE: Duration = Duration::from_millis(300);
/// Sound of one sentence that is remembered of.
const REMEMBER: Duration = Duration::from_secs(4);
/// Voices whose levels are remembered.
const LEVELS_MAX: usize = 512;
/// Rates that an engine may make.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// The state of one speech.
pub(super) struct Chain {
    rate: SampleRate,
    target_dbov: Option<f32>,
    resampler: Option<Resampler>,
    level: Level,
    /// On top of what the level asks for.
    gain_db: f32,
    /// The voice's level, when known.
    known_dbov: Option<f32>,
    /// The beginning of the sentence, for the memory.
    heard: Vec<f32>,
    scratch: Vec<i16>,
    /// Samples given out by finished runs of one rate, and native ones taken in by this run.
    done: u64,
    taken: u64,
}

enum Level {
    /// Nothing is to be changed.
    Pass,
    Measuring(Vec<i16>),
    Set(Box<SpeechLevel>),
}

impl Chain {
    pub(super) fn new(rate: SampleRate, target_dbov: Option<f32>) -> Self {
        Self {
            rate,
            target_dbov,
            resampler: None,
            level: Level::Pass,
            gain_db: 0.0,
            known_dbov: None,
            heard: Vec::new(),
            scratch: Vec::new(),
            done: 0,
            taken: 0,
        }
    }

    /// Begins a sentence of a voice with this level (if known) and extra gain.
    ///
    /// The first sentence's gain stays for the speech unless the extra gain changes.
    pub(super) fn begin(&mut self, known_dbov: Option<f32>, gain_db: f32, out: &mut Vec<i16>) {
        self.heard.clear();
        let same = (self.gain_db - gain_db).abs() < 0.05 && self.known_dbov == known_dbov;
        if same && !matches!(self.level, Level::Pass) {
            return;
        }
        self.flush(out);
        self.gain_db = gain_db;
        self.known_dbov = known_dbov;
        self.level = match (self.target_dbov, known_dbov) {
            (None, _) if gain_db == 0.0 => Level::Pass,
            (None, _) => Level::set(self.rate, gain_db),
            (Some(target), Some(known)) => Level::set(self.rate, gain_to(target, known) + gain_db),
            (Some(_), None) => Level::Measuring(Vec::new()),
        };
    }

    /// Takes samples at an engine's rate; `false` for a rate that cannot be.
    pub(super) fn push(&mut self, hz: u32, samples: &[i16], out: &mut Vec<i16>) -> bool {
        let Some(from) = SampleRate::new(hz).filter(|_| RATES.contains(&hz)) else { return false };
        if self.resampler.as_ref().is_none_or(|resampler| resampler.from() != from) {
            self.flush(out);
            self.resampler = Resampler::aligned(from, self.rate).ok();
        }
        let Some(resampler) = &mut self.resampler else { return false };
        self.taken += samples.len() as u64;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        resampler.process(samples, &mut scratch);
        self.levelled(&scratch, out);
        self.scratch = scratch;
        true
    }

    /// Silence of our own, behind everything that came before.
    pub(super) fn silence(&mut self, samples: usize, out: &mut Vec<i16>) {
        self.flush(out);
        out.resize(out.len() + samples, 0);
        self.done += samples as u64;
    }

    /// Gives out what is held; the next sample begins anew.
    pub(super) fn flush(&mut self, out: &mut Vec<i16>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.flush(&mut scratch);
        }
        self.done = self.position();
        self.taken = 0;
        self.levelled(&scratch, out);
        self.scratch = scratch;
        self.settle(out);
        if let Level::Set(level) = &mut self.level {
            level.flush(out);
        }
    }

    /// Where the next sample of the engine will come to lie, at the leg's rate.
    pub(super) fn position(&self) -> u64 {
        let from = self.resampler.as_ref().map_or(self.rate, Resampler::from);
        let (from, to) = (u64::from(from.hz()), u64::from(self.rate.hz()));
        self.done + (self.taken * to).div_ceil(from)
    }

    /// The level of the sentence so far, and how many samples tell it.
    pub(super) fn measured(&self) -> Option<(f32, usize)> {
        active_level(&self.heard, self.rate).map(|level| (level, self.heard.len()))
    }

    fn levelled(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        let most = usize::try_from(self.rate.samples_in(REMEMBER)).unwrap_or(0);
        let room = most.saturating_sub(self.heard.len());
        self.heard.extend(samples.iter().take(room).map(|&sample| to_f32(sample)));
        match &mut self.level {
            Level::Pass => out.extend_from_slice(samples),
            Level::Set(level) => level.process(samples, out),
            Level::Measuring(held) => {
                held.extend_from_slice(samples);
                if held.len() as u64 >= self.rate.samples_in(MEASURE) {
                    self.settle(out);
                }
            }
        }
    }

    /// Ends the measuring with what there is; silence tells nothing and goes on.
    fn settle(&mut self, out: &mut Vec<i16>) {
        let Level::Measuring(held) = &mut self.level else { return };
        let held = std::mem::take(held);
        let floats: Vec<f32> = held.iter().map(|&sample| to_f32(sample)).collect();
        let Some(dbov) = active_level(&floats, self.rate) else {
            return out.extend_from_slice(&held);
        };
        let gain = self.target_dbov.map_or(0.0, |target| gain_to(target, dbov)) + self.gain_db;
        let mut level = SpeechLevel::with_gain_db(self.rate, gain);
        level.process(&held, out);
        self.level = Level::Set(Box::new(level));
    }
}

impl Level {
    fn set(rate: SampleRate, gain_db: f32) -> Self {
        Self::Set(Box::new(SpeechLevel::with_gain_db(rate, gain_db)))
    }
}

fn gain_to(target: f32, level: f32) -> f32 {
    (target - level).clamp(-40.0, GAIN_FILE_MAX_DB)
}

/// What is known of voices' levels: a mean by the time listened to.
#[derive(Debug, Default)]
pub(super) struct Levels {
    known: Mutex<HashMap<String, (f32, f32)>>,
}

impl Levels {
    pub(super) fn find(&self, voice: &str) -> Option<f32> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(voice).map(|(level, _)| *level)
    }

    /// Learns; a voice without a name and more than fit are not learned.
    #[expect(clippy::cast_precision_loss, reason = "a few seconds of samples")]
    pub(super) fn learn(&self, voice: &str, level: f32, samples: usize) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if voice.is_empty() || (known.len() >= LEVELS_MAX && !known.contains_key(voice)) {
            return;
        }
        let weight = samples as f32;
        let entry = known.entry(voice.to_owned()).or_insert((level, 0.0));
        let total = entry.1 + weight;
        if total > 0.0 {
            entry.0 += (level - entry.0) * weight / total;
        }
        // Old sound counts for a minute at most: servers change their voices.
        entry.1 = total.min(8000.0 * 60.0);
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "test tones")]
mod tests {
    use super::*;

    fn tone(hz: u32, samples: usize, amplitude: f32) -> Vec<i16> {
        let step = std::f32::consts::TAU * 440.0 / hz as f32;
        (0..samples).map(|n| (amplitude * 32767.0 * (n as f32 * step).sin()) as i16).collect()
    }

    fn level(samples: &[i16]) -> f32 {
        let floats: Vec<f32> = samples.iter().map(|&s| to_f32(s)).collect();
        active_level(&floats, SampleRate::HZ_8000).unwrap()
    }

    #[test]
    fn chunks_of_any_size_give_the_same_samples_in_the_right_number() {
        let sound = tone(24_000, 24_001, 0.05);
        let mut whole = Vec::new();
        for size in [24_001, 1, 7, 480] {
            let mut chain = Chain::new(SampleRate::HZ_8000, Some(-20.0));
            let mut out = Vec::new();
            chain.begin(Some(-30.0), 0.0, &mut out);
            for chunk in sound.chunks(size) {
                assert!(chain.push(24_000, chunk, &mut out));
            }
            assert_eq!(chain.position(), 8001);
            chain.flush(&mut out);
            assert_eq!((out.len(), chain.position()), (8001, 8001));
            if whole.is_empty() {
                whole = out;
            } else {
                assert_eq!(out, whole, "chunks of {size}");
            }
        }
    }

    #[test]
    fn a_known_level_holds_nothing_back_and_an_unknown_one_little() {
        let sound = tone(8000, 8000, 0.02);
        for (known, first) in [(Some(-37.0), 60), (None, 2400)] {
            let mut chain = Chain::new(SampleRate::HZ_8000, Some(-20.0));
            let (mut out, mut needed) = (Vec::new(), 0);
            chain.begin(known, 0.0, &mut out);
            for chunk in sound.chunks(20) {
                chain.push(8000, chunk, &mut out);
                needed += if out.is_empty() { chunk.len() } else { 0 };
            }
            chain.flush(&mut out);
            assert!(needed <= first, "{needed}");
            assert_eq!(out.len(), 8000);
            assert!((level(&out) + 20.0).abs() < 1.0, "{}", level(&out));
        }
    }

    #[test]
    fn silence_rates_and_gains_change_between_sentences() {
        let mut chain = Chain::new(SampleRate::HZ_8000, None);
        let mut out = Vec::new();
        chain.begin(None, 0.0, &mut out);
        assert!(chain.push(8000, &tone(8000, 800, 0.1), &mut out));
        chain.silence(100, &mut out);
        chain.begin(None, -6.0, &mut out);
        assert!(chain.push(16_000, &tone(16_000, 1600, 0.1), &mut out));
        chain.flush(&mut out);
        assert_eq!((out.len(), chain.position()), (1700, 1700));
        assert_eq!(out[800..900], [0; 100]);
        let difference = level(&out[900..]) - level(&out[..800]);
        assert!((difference + 6.0).abs() < 0.5, "{difference}");
        assert!(!chain.push(100, &[0], &mut out) && !chain.push(4_000_000, &[0], &mut out));
    }

    #[test]
    fn levels_are_learned() {
        let levels = Levels::default();
        assert_eq!(levels.find("a"), None);
        levels.learn("a", -30.0, 8000);
        levels.learn("a", -20.0, 8000);
        assert_eq!(levels.find("a"), Some(-25.0));
        for n in 0..600 {
            levels.learn(&n.to_string(), -20.0, 1);
        }
        assert_eq!(levels.find("599"), None);
    }
}
