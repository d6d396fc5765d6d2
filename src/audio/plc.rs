//! Concealment of lost audio, from both sides of the hole where both are known.
//!
//! ```text
//!   history ── last pitch period, repeated ──╲ cross-fade, glided so  ╱── first period, repeated
//!              (forward)                      ╳ that both are in phase    backward ── following
//!                                  comfort noise where both have faded
//! ```
//!
//! Each side is prolonged by its own pitch period. Over the hole the pitch glides from the one
//! into the other, so that the prolongations stay in phase while they cross-fade and join both
//! sides without a seam: samples that were received are not touched. Without a far side the fill
//! fades into comfort noise, and 5 ms of the next frame are merged. Full level for 60 ms, gone at
//! 160 ms.
//!
//! Owns 50 ms of history. Does not know packets or codecs. Nothing is allocated after
//! construction.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod extend;
mod noise;
mod pitch;

use extend::{Extension, ratio};
pub use noise::ComfortNoise;
use noise::Noise;

/// History, at 8 kHz: 50 ms.
const HISTORY: usize = 400;
/// How much of the far side is looked at, at 8 kHz: 40 ms.
const FOLLOWING: usize = 320;
/// Least of the far side that is of use, at 8 kHz: 10 ms.
const LEAST_FOLLOWING: usize = 80;
/// Merge into a frame that was not expected, at 8 kHz: 5 ms.
const MERGE: usize = 40;
/// From here the prolongation fades, and here it is gone, at 8 kHz: 60 and 160 ms.
const FADE_FROM: usize = 480;
const FADE_UNTIL: usize = 1280;
/// Sides less periodic than this are not brought into phase.
const VOICED: f32 = 0.7;
/// The pitch glides by at most one part in this many: a larger step is a mistaken phase.
const GLIDE: usize = 24;
/// By how much the louder side yields, per dB: what rings on is heard, what begins late is not.
const LEAN: f32 = 0.03;
/// The largest factor of a sample rate over 8 kHz.
const FACTOR_MAX: usize = 6;

/// Conceals the holes of one leg. See the module.
#[derive(Debug, Clone)]
pub struct Concealer {
    /// Sample rate over 8 kHz.
    factor: usize,
    history: Box<[i16]>,
    forward: Extension,
    backward: Extension,
    noise: Noise,
    hole: Option<Hole>,
}

/// The hole that is being filled.
#[derive(Debug, Clone, Copy)]
struct Hole {
    len: usize,
    at: usize,
    /// Whether the far side is known.
    closed: bool,
    /// How far the forward side must glide to meet the backward one in phase.
    glide: f32,
    /// How much earlier the cross-fade leaves the louder side, which is the forward one if this
    /// is positive: -1 to 1.
    lean: f32,
}

impl Concealer {
    /// A concealer for a sample rate of 8, 16, 24, 32 or 48 kHz; others count as 8 kHz.
    ///
    /// Cost: allocates 2 KiB at 8 kHz; nothing after it does.
    #[must_use]
    pub fn new(sample_rate: u32) -> Self {
        let factor = match sample_rate {
            16_000 => 2,
            24_000 => 3,
            32_000 => 4,
            48_000 => FACTOR_MAX,
            _ => 1,
        };
        Self {
            factor,
            history: vec![0; HISTORY * factor].into_boxed_slice(),
            forward: Extension::new(factor),
            backward: Extension::new(factor),
            noise: Noise::new(factor),
            hole: None,
        }
    }

    /// Takes decoded audio, in order. Only behind a hole without a far side is it changed: 5 ms.
    pub fn good(&mut self, frame: &mut [i16]) {
        if let Some(hole) = self.hole.take()
            && !hole.closed
        {
            self.merge(hole, frame);
        }
        self.noise.learn(frame);
        self.remember(frame);
    }

    /// Starts a hole of `samples`, with what is known of the audio right behind it (or nothing).
    ///
    /// Shape: `following` is used from 10 ms on, and is best with 20 to 40 ms. Cost: two searches
    /// for pitch, some 30,000 multiplications at 8 kHz.
    pub fn begin(&mut self, samples: usize, following: &[i16]) {
        let mut room = [0.0; HISTORY * FACTOR_MAX];
        let past = &mut room[..self.history.len()];
        widen(self.history.iter(), past);
        self.forward.prolong(past, self.factor);
        let len = following.len().min(FOLLOWING * self.factor);
        let closed = len >= LEAST_FOLLOWING * self.factor;
        let (mut glide, mut lean) = (0.0, 0.0);
        if closed {
            // Reversed, the far side ends where the hole does.
            let near = &mut room[..len];
            widen(following[..len].iter().rev(), near);
            self.backward.prolong(near, self.factor);
            glide = self.find_glide(samples);
            lean = LEAN * decibels(self.forward.power() / self.backward.power());
        }
        self.hole = Some(Hole { len: samples, at: 0, closed, glide, lean: lean.clamp(-1.0, 1.0) });
    }

    /// Fills the next part of the hole, in chunks of any size.
    ///
    /// More than was begun is comfort noise.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out.iter_mut() {
            *sample = to_i16(self.next_sample());
        }
        self.remember(out);
    }

    /// Fills a whole hole at once: [`Concealer::begin`] and [`Concealer::fill`].
    pub fn conceal(&mut self, following: &[i16], out: &mut [i16]) {
        self.begin(out.len(), following);
        self.fill(out);
    }

    /// Fills a pause of the sender with comfort noise: what it told, else of the background's level.
    ///
    /// Its spectrum is followed at 8 kHz only, which it is told for.
    pub fn silence(&mut self, told: Option<ComfortNoise>, out: &mut [i16]) {
        let shape = told.filter(|told| self.factor == 1 && told.has_shape());
        let level = told.map_or_else(|| self.noise.level(), |told| told.level());
        for sample in out.iter_mut() {
            let noise = match &shape {
                Some(shape) => self.noise.next_shaped(shape),
                None => self.noise.next(),
            };
            *sample = to_i16(noise * level);
        }
        self.remember(out);
        self.hole = None;
    }

    /// Forgets the sound so far: what comes next does not follow it.
    pub fn forget(&mut self) {
        self.history.fill(0);
        self.hole = None;
    }

    /// The next frame is of another source: its first 5 ms are merged with what was.
    pub fn splice(&mut self) {
        self.begin(0, &[]);
    }

    fn next_sample(&mut self) -> f32 {
        let noise = self.noise.next() * self.noise.level();
        let Some(hole) = &mut self.hole else { return noise };
        let at = hole.at;
        hole.at += 1;
        let hole = *hole;
        let (mut sound, mut weight) = (0.0, 0.0);
        let passed = if hole.closed { ratio(at + 1, hole.len + 1).min(1.0) } else { 0.0 };
        let across = passed + hole.lean * passed * (1.0 - passed);
        let forward = self.fade(at) * (1.0 - across);
        if forward > 0.0 {
            sound += forward * self.forward.at(ratio(at, 1) + hole.glide * passed);
            weight += forward;
        }
        if hole.closed && at < hole.len {
            let left = hole.len - 1 - at;
            let backward = self.fade(left) * across;
            sound += backward * self.backward.at(ratio(left, 1) + hole.glide * (1.0 - passed));
            weight += backward;
        }
        sound + noise * (1.0 - weight * weight).max(0.0).sqrt()
    }

    /// Level of a prolongation at a distance from its side.
    fn fade(&self, distance: usize) -> f32 {
        let (from, until) = (FADE_FROM * self.factor, FADE_UNTIL * self.factor);
        1.0 - ratio(distance.saturating_sub(from), until - from).min(1.0)
    }

    /// How far forward must be read ahead for both sides to be in phase.
    ///
    /// Cost: some 140 x 140 multiplications for the longest hole, whatever the sample rate.
    fn find_glide(&self, samples: usize) -> f32 {
        let likeness = self.forward.likeness().min(self.backward.likeness());
        if likeness < VOICED || samples >= 2 * FADE_UNTIL * self.factor {
            return 0.0;
        }
        let period = self.forward.period().max(self.backward.period());
        let most = (period / 2).min(samples / GLIDE);
        let from = ratio(samples / 2, 1) - ratio(period / 2, 1);
        let mut best = (f32::MIN, 0.0);
        for step in (0..=2 * most).step_by(self.factor) {
            let half = 0.5 * (ratio(step, 1) - ratio(most, 1));
            let mut cross = 0.0;
            for i in (0..period).step_by(self.factor) {
                let at = from + ratio(i, 1);
                let left = ratio(samples, 1) - 1.0 - at;
                cross += self.forward.at(at + half) * self.backward.at(left + half);
            }
            if cross > best.0 {
                best = (cross, 2.0 * half);
            }
        }
        best.1
    }

    /// Cross-fades the prolongation into a frame that came without being known before.
    fn merge(&mut self, hole: Hole, frame: &mut [i16]) {
        let merge = (MERGE * self.factor).min(frame.len());
        self.hole = Some(hole);
        for (i, sample) in frame.iter_mut().take(merge).enumerate() {
            let weight = ratio(i + 1, merge + 1);
            let was = self.next_sample();
            *sample = to_i16(was + (f32::from(*sample) - was) * weight);
        }
        self.hole = None;
    }

    fn remember(&mut self, samples: &[i16]) {
        let len = self.history.len();
        let kept = samples.len().min(len);
        self.history.copy_within(kept.., 0);
        self.history[len - kept..].copy_from_slice(&samples[samples.len() - kept..]);
    }
}

fn widen<'a>(samples: impl Iterator<Item = &'a i16>, out: &mut [f32]) {
    for (to, from) in out.iter_mut().zip(samples) {
        *to = f32::from(*from);
    }
}

fn decibels(ratio: f32) -> f32 {
    10.0 * ratio.log10()
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn to_i16(sample: f32) -> i16 {
    sample.round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f32::consts::TAU;

    const FRAME: usize = 160;

    /// A voice: harmonics of a pitch that moves slowly, `hz` at the start.
    fn voice(rate: u32, hz: f32, rise: f32, samples: usize) -> Vec<i16> {
        let mut phase = 0.0_f32;
        let rate = ratio(rate as usize, 1);
        let sample = |i: usize| {
            phase += (hz + rise * ratio(i, 1) / rate) / rate;
            let harmonic = |n: usize| (TAU * phase * ratio(n, 1)).sin() / ratio(n, 1);
            to_i16(4000.0 * (1..=6).map(harmonic).sum::<f32>())
        };
        (0..samples).map(sample).collect()
    }

    fn energy(samples: &[i16]) -> f32 {
        samples.iter().map(|&s| f32::from(s) * f32::from(s)).sum()
    }

    fn rms(samples: &[i16]) -> f32 {
        (energy(samples) / ratio(samples.len(), 1)).sqrt()
    }

    /// Signal over error in dB.
    fn snr(want: &[i16], got: &[i16]) -> f32 {
        let error = want.iter().zip(got).map(|(a, b)| f32::from(*a) - f32::from(*b));
        10.0 * (energy(want) / error.map(|e| e * e).sum::<f32>().max(1.0)).log10()
    }

    /// Feeds `voice` with a hole in it; what came out, and what was concealed.
    fn with_hole(voice: &[i16], rate: u32, hole: std::ops::Range<usize>, near: usize) -> Vec<i16> {
        let mut concealer = Concealer::new(rate);
        let mut out = voice.to_vec();
        for frame in out[..hole.start].chunks_mut(FRAME) {
            concealer.good(frame);
        }
        let (before, behind) = out.split_at_mut(hole.end);
        concealer.conceal(&behind[..near], &mut before[hole.start..]);
        for frame in behind.chunks_mut(FRAME) {
            concealer.good(frame);
        }
        out
    }

    #[test]
    fn a_steady_voice_is_restored_from_both_sides() {
        for rate in [8000u32, 16_000, 48_000] {
            let ms = rate as usize / 1000;
            for (hz, floor_db) in [(70.0, 12.0), (110.0, 15.0), (180.0, 15.0), (300.0, 15.0)] {
                let voice = voice(rate, hz, 0.0, 200 * ms);
                let hole = 100 * ms..120 * ms;
                let out = with_hole(&voice, rate, hole.clone(), 20 * ms);
                let got = snr(&voice[hole.clone()], &out[hole.clone()]);
                assert!(got > floor_db, "{hz} Hz at {rate}: {got} dB");
                assert_eq!(out[hole.end..], voice[hole.end..], "what was received was touched");
            }
        }
    }

    #[test]
    fn two_sides_are_better_than_one_on_a_moving_pitch() {
        for (hz, rise) in [(120.0, 120.0), (200.0, -150.0), (90.0, 60.0)] {
            let voice = voice(8000, hz, rise, 2400);
            let hole = 800..1120;
            let both = with_hole(&voice, 8000, hole.clone(), FRAME);
            let one = with_hole(&voice, 8000, hole.clone(), 0);
            let (both, one) = (
                snr(&voice[hole.clone()], &both[hole.clone()]),
                snr(&voice[hole.clone()], &one[hole]),
            );
            assert!(both > one + 2.0, "{hz} Hz {rise:+}/s: {both} against {one} dB");
        }
    }

    #[test]
    fn seams_make_no_steps() {
        let voice = voice(8000, 150.0, 40.0, 2400);
        let steepest = |samples: &[i16]| {
            samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap()
        };
        let limit = steepest(&voice) * 3 / 2;
        for (hole, near) in [(960..1120, 160), (960..1440, 160), (960..1120, 0), (960..2240, 0)] {
            let out = with_hole(&voice, 8000, hole.clone(), near);
            assert!(steepest(&out) <= limit, "{hole:?} with {near} following");
        }
    }

    #[test]
    fn long_holes_fade_to_noise_of_the_background() {
        let voice = voice(8000, 130.0, 0.0, 16_000);
        let out = with_hole(&voice, 8000, 1600..14_400, FRAME);
        let loud = rms(&voice[..1600]);
        assert!(rms(&out[1600..1600 + 400]) > 0.9 * loud, "full level at first");
        assert!(rms(&out[14_000..14_400]) > 0.9 * loud, "full level at last");
        let middle = rms(&out[1600 + 1920..14_400 - 1920]);
        assert!((1.0..40.0).contains(&middle), "{middle} is not comfort noise");
    }

    #[test]
    fn silence_stays_silent() {
        let mut concealer = Concealer::new(8000);
        (0..50).for_each(|_| concealer.good(&mut [0; FRAME]));
        let mut out = [1000; 800];
        concealer.conceal(&[0; FRAME], &mut out);
        assert!(out.iter().all(|s| s.abs() <= 4), "{:?}", out.iter().max());
        let mut noise = [0; 8000];
        concealer.silence(ComfortNoise::parse(&[50]), &mut noise);
        let level = 20.0 * (rms(&noise) / 32_768.0).log10();
        assert!((-52.0..-48.0).contains(&level), "{level} dBov");
        concealer.silence(ComfortNoise::parse(&[0]), &mut noise);
        assert!(rms(&noise) < 1300.0, "a sender cannot ask for loud noise");
        concealer.silence(None, &mut noise);
        assert!(rms(&noise) < 4.0);
    }

    #[test]
    fn comfort_noise_has_the_level_and_the_spectrum_that_were_told() {
        let shapes: [(&[u8], f32); 4] = [
            (&[50, 127], 0.0),
            (&[50, 31], 0.75),
            (&[50, 223], -0.75),
            (&[178, 31, 127, 127], 0.75),
        ];
        for (payload, first) in shapes {
            let mut concealer = Concealer::new(8000);
            let mut noise = vec![0; 40_000];
            concealer.silence(ComfortNoise::parse(payload), &mut noise);
            let level = 20.0 * (rms(&noise) / 32_768.0).log10();
            assert!((-51.0..-49.0).contains(&level), "{payload:?}: {level} dBov");
            let products = noise.windows(2).map(|w| f32::from(w[0]) * f32::from(w[1]));
            let likeness = products.sum::<f32>() / energy(&noise);
            assert!((likeness - first).abs() < 0.05, "{payload:?}: neighbours {likeness} alike");
        }
        assert_eq!(ComfortNoise::parse(&[]), None);
        // Coefficients at the edge do not make the filter swing.
        let mut concealer = Concealer::new(8000);
        let mut noise = vec![0; 80_000];
        concealer.silence(ComfortNoise::parse(&[40; 1]), &mut noise);
        let mut edge = vec![255; 40];
        edge[0] = 40;
        concealer.silence(ComfortNoise::parse(&edge), &mut noise);
        assert!(rms(&noise) < 3_300.0, "{} is no comfort", rms(&noise));
    }

    #[test]
    fn an_unexpected_frame_is_merged_over_5_ms() {
        let voice = voice(8000, 150.0, 0.0, 2000);
        let out = with_hole(&voice, 8000, 960..1120, 0);
        assert_ne!(out[1120..1160], voice[1120..1160]);
        assert_eq!(out[1160..], voice[1160..]);
        let mut concealer = Concealer::new(8000);
        concealer.good(&mut voice[..800].to_vec());
        concealer.splice();
        let mut next = [0; FRAME];
        concealer.good(&mut next);
        assert!(next[..10].iter().any(|s| s.abs() > 500), "the former source fades");
        assert!(next[40..].iter().all(|&s| s == 0));
    }

    #[test]
    fn chunks_make_no_difference() {
        let voice = voice(8000, 150.0, 30.0, 1600);
        let mut whole = Concealer::new(8000);
        whole.good(&mut voice[..800].to_vec());
        let mut parts = whole.clone();
        let mut want = [0; 1000];
        whole.conceal(&voice[800..960], &mut want);
        let mut got = [0; 1000];
        parts.begin(1000, &voice[800..960]);
        got.chunks_mut(77).for_each(|chunk| parts.fill(chunk));
        assert_eq!(got, want);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn any_history_of_frames_and_holes_is_survived(
            rate in prop::sample::select(vec![8000u32, 16_000, 24_000, 48_000, 44_100]),
            steps in prop::collection::vec((any::<bool>(), 0usize..1500, 0usize..700, any::<i16>()), 1..20),
        ) {
            let mut concealer = Concealer::new(rate);
            for (hole, len, near, value) in steps {
                let mut samples = vec![value; len];
                if hole {
                    concealer.conceal(&vec![value; near], &mut samples);
                } else {
                    concealer.good(&mut samples);
                }
            }
        }
    }
}
