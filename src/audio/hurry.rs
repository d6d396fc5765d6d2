//! Catching up: takes time out of sound that passes by, pauses first.
//!
//! ```text
//!  pass(samples, excess) ─> held (25 ms at most, while in a hurry) ─┬─ a pause: up to 40 ms are gone
//!                                                                   ├─ alike: a pitch period is
//!                                                                   └─ else as it is ──> out
//! ```
//!
//! Speech is compressed by no more than 8 %, and only when there is more to catch up with than
//! pauses may bring. Every place that is left out is cross-faded, so nothing clicks. In no hurry
//! sound passes untouched and at once. Pure; does not know why it hurries, or how late anybody is.

use super::pause::Pauses;
use super::rate::SampleRate;
use super::warp;
use std::time::Duration;

/// The periods of voices that are taken out.
const LAG: (Duration, Duration) = (Duration::from_micros(2_500), Duration::from_millis(15));
/// Of a pause, what is taken out at once at most.
const PAUSE: Duration = Duration::from_millis(40);
/// Cross-fade of a place that is left out.
const FADE: Duration = Duration::from_millis(10);
/// How far is gone on where nothing can be left out.
const STEP: Duration = Duration::from_millis(5);
/// Behind a period that was taken out of speech, so many of its lengths are left alone: 8 %.
const REST: usize = 12;
/// With no more excess than this only pauses are shortened.
const PRESSING: Duration = Duration::from_millis(20);
/// Periods are taken out where they are as alike as this.
const ALIKE: f32 = 0.5;

/// A stretch that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How many samples of the output are before it.
    pub at: usize,
    /// How many samples are gone.
    pub samples: usize,
}

/// What is catching up. See the module.
#[derive(Debug)]
pub struct Hurry {
    rate: SampleRate,
    held: Vec<i16>,
    /// Samples that must pass before speech is shortened again.
    rest: usize,
    pauses: Pauses,
}

impl Hurry {
    /// Something that has not heard anything.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        Self { rate, held: Vec::new(), rest: 0, pauses: Pauses::default() }
    }

    /// Passes samples on to `out`, without up to `excess` of them; tells every place left out.
    ///
    /// Cost: in a hurry some ten thousand multiplications for 5 ms at 8 kHz, else one addition for
    /// every sample. Allocates only while its memory grows.
    pub fn pass(
        &mut self,
        samples: &[i16],
        excess: usize,
        out: &mut Vec<i16>,
        mut tell: impl FnMut(Cut),
    ) {
        self.held.extend_from_slice(samples);
        let (mut left, mut from) = (excess, 0);
        let (fade, step) = (self.samples(FADE), self.samples(STEP));
        let needed = fade + self.samples(LAG.1);
        while left > 0 {
            let held = self.held.get(from..).unwrap_or_default();
            if self.rest > 0 && !held.is_empty() {
                let count = self.rest.min(step).min(held.len());
                self.learn_from(from, count);
                out.extend(self.held.iter().skip(from).take(count));
                (self.rest, from) = (self.rest - count, from + count);
                continue;
            }
            if held.len() < needed {
                break;
            }
            let Some((lag, rest)) = self.find(held, left) else {
                self.learn_from(from, step);
                out.extend(self.held.iter().skip(from).take(step));
                from += step;
                continue;
            };
            self.learn_from(from, step);
            warp::squeeze(held_from(&self.held, from), lag, fade, |sample| out.push(sample));
            tell(Cut { at: out.len(), samples: lag });
            (left, self.rest, from) = (left - lag, rest, from + lag + fade);
        }
        self.held.drain(..from.min(self.held.len()));
        if left == 0 {
            self.settle(out);
        }
    }

    /// Passes on what is held: there is no hurry, or nothing follows.
    pub fn settle(&mut self, out: &mut Vec<i16>) {
        let step = self.samples(STEP).max(1);
        for from in (0..self.held.len()).step_by(step) {
            self.learn_from(from, step);
        }
        self.rest = self.rest.saturating_sub(self.held.len());
        out.append(&mut self.held);
    }

    /// Forgets what is held, and says how much that was.
    pub fn reset(&mut self) -> usize {
        self.rest = 0;
        std::mem::take(&mut self.held).len()
    }

    /// Samples that came in and have neither passed nor been left out.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// What can be left out at the beginning of `x`, and how long nothing may be after it.
    fn find(&self, x: &[i16], excess: usize) -> Option<(usize, usize)> {
        let fade = self.samples(FADE);
        let (least, period, pause) =
            (self.samples(LAG.0), self.samples(LAG.1), self.samples(PAUSE));
        let quiet = |lag: usize| {
            let reach = x.get(..lag + fade)?;
            self.pauses.is_pause(warp::power(reach)).then_some((lag, 0))
        };
        let longest = pause.min(excess).min(x.len() - fade);
        let shorter = period.min(excess);
        if let Some(found) = quiet(longest).or_else(|| quiet(shorter)) {
            return Some(found);
        }
        if excess <= self.samples(PRESSING) {
            return None;
        }
        let found = warp::search(x, least..=shorter, fade)?;
        (found.score >= ALIKE).then_some((found.lag, REST * found.lag))
    }

    fn learn_from(&mut self, from: usize, count: usize) {
        let held = held_from(&self.held, from);
        let piece = held.get(..count.min(held.len())).unwrap_or_default();
        if !piece.is_empty() {
            self.pauses.learn(warp::power(piece));
        }
    }

    fn samples(&self, time: Duration) -> usize {
        usize::try_from(self.rate.samples_in(time)).unwrap_or(0)
    }
}

fn held_from(held: &[i16], from: usize) -> &[i16] {
    held.get(from..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "of a test")]
    fn voice(n: usize) -> i16 {
        let t = n as f32 / 8_000.0;
        let part = |k: u8| (TAU * 120.0 * t * f32::from(k)).sin() / f32::from(k);
        (3_000.0 * (1..6).map(part).sum::<f32>()) as i16
    }

    /// Words of 600 ms, pauses of 200 ms.
    fn talk(n: usize) -> i16 {
        if n % 6_400 < 4_800 { voice(n) } else { voice(n * 7) / 700 }
    }

    /// Catches up with `late` samples, 20 ms at a time; after how many samples it had, the output
    /// and all that was left out.
    fn catch_up(sound: fn(usize) -> i16, late: usize) -> (Option<usize>, Vec<i16>, usize) {
        let mut hurry = Hurry::new(SampleRate::HZ_8000);
        let (mut out, mut gone, mut done) = (Vec::new(), 0, None);
        let all: Vec<i16> = (0..80_000).map(sound).collect();
        for (index, piece) in all.chunks(160).enumerate() {
            let before = gone;
            hurry.pass(piece, late - gone, &mut out, |cut| gone += cut.samples);
            assert!(gone - before <= 400, "not all at once");
            assert!(hurry.held() <= 200 + 160);
            assert_eq!(out.len() + gone + hurry.held(), (index + 1) * 160, "nothing is lost");
            if gone >= late - 40 {
                done = done.or(Some((index + 1) * 160));
            }
        }
        (done, out, gone)
    }

    fn step(samples: &[i16]) -> i32 {
        samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn without_a_hurry_sound_is_untouched_and_at_once() {
        let mut hurry = Hurry::new(SampleRate::HZ_8000);
        let all: Vec<i16> = (0..1_000).map(talk).collect();
        let mut out = Vec::new();
        for piece in all.chunks(33) {
            hurry.pass(piece, 0, &mut out, |cut| panic!("{cut:?}"));
            assert_eq!(hurry.held(), 0);
        }
        assert_eq!(out, all);
    }

    #[test]
    fn three_hundred_milliseconds_are_gone_within_two_seconds_of_talk() {
        let (done, out, gone) = catch_up(talk, 2_400);
        let done = done.expect("caught up");
        println!("300 ms are caught up with in {} ms of talk", done / 8);
        assert!(done <= 16_000, "after {} ms", done / 8);
        assert!(gone <= 2_400);
        let limit = step(&(0..8_000).map(talk).collect::<Vec<_>>());
        assert!(
            step(&out) <= limit * 5 / 4,
            "a step of {} where the voice has {limit}",
            step(&out)
        );
    }

    #[test]
    fn a_voice_without_a_pause_is_compressed_by_eight_percent_at_most() {
        let (_, out, gone) = catch_up(voice, 40_000);
        let share = 100 * gone / 80_000;
        assert!((6..=8).contains(&share), "{share} %");
        let limit = step(&(0..8_000).map(voice).collect::<Vec<_>>());
        assert!(
            step(&out) <= limit * 5 / 4,
            "a step of {} where the voice has {limit}",
            step(&out)
        );
    }

    #[test]
    fn a_little_excess_is_left_for_a_pause() {
        let mut hurry = Hurry::new(SampleRate::HZ_8000);
        let (mut out, mut cuts) = (Vec::new(), Vec::new());
        let words: Vec<i16> = (0..4_800).map(talk).collect();
        hurry.pass(&words, 150, &mut out, |cut| cuts.push(cut));
        assert!(cuts.is_empty());
        let pause: Vec<i16> = (4_800..6_400).map(talk).collect();
        hurry.pass(&pause, 150, &mut out, |cut| cuts.push(cut));
        assert_eq!(cuts.iter().map(|cut| cut.samples).sum::<usize>(), 150);
        assert!(cuts.iter().all(|cut| (4_600..6_400).contains(&cut.at)));
    }

    #[test]
    fn what_is_held_can_be_settled_or_forgotten() {
        let mut hurry = Hurry::new(SampleRate::HZ_8000);
        let mut out = Vec::new();
        hurry.pass(&[7; 100], 4_000, &mut out, |_| {});
        assert_eq!((out.len(), hurry.held()), (0, 100));
        hurry.settle(&mut out);
        assert_eq!((out.len(), hurry.held()), (100, 0));
        hurry.pass(&[7; 100], 4_000, &mut out, |_| {});
        assert_eq!((hurry.reset(), hurry.held()), (100, 0));
    }
}
