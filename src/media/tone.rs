//! A tone of the network, made by us: what a caller hears while they wait.
//!
//! Owns the tone that sounds and the fades between two. It is added to what the leg sends, behind
//! the playout ring: it is in no position, mark or `played_ms`, and no clear stops it. Does not know
//! why it sounds: the call does.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::level::Level;
use crate::audio::codec::SampleRate;
use crate::audio::progress::{ProgressTone, Tone};
use std::time::Duration;

/// How long a tone takes to fall silent when it is stopped; it begins with a ramp of its own.
const FADE: Duration = Duration::from_millis(5);
/// Samples that are made at once.
const PIECE: usize = 80;

/// The tone of one leg. See the module.
#[derive(Debug)]
pub struct NetworkTone {
    rate: SampleRate,
    sounding: Option<ProgressTone>,
    /// Samples of the fade that are left, when it is to stop.
    fading: Option<usize>,
    next: Option<ProgressTone>,
    level: Level,
}

impl NetworkTone {
    /// Silence.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        let level = Level::default();
        Self { rate, sounding: None, fading: None, next: None, level }
    }

    /// Begins another tone, or none; what sounds fades first.
    pub fn set(&mut self, tone: Option<Tone>) {
        self.next = tone.map(|Tone { signal, plan }| ProgressTone::new(signal, plan, self.rate));
        if self.sounding.is_some() && self.fading.is_none() {
            let samples = usize::try_from(self.rate.samples_in(FADE)).unwrap_or(0);
            self.level.mute(true, samples);
            self.fading = Some(samples);
        }
    }

    /// Adds the tone to a frame.
    ///
    /// Cost: two sines a sample while a tone sounds, else nothing; no allocation.
    pub fn mix(&mut self, frame: &mut [i16]) {
        for piece in frame.chunks_mut(PIECE) {
            self.mix_piece(piece);
        }
    }

    fn mix_piece(&mut self, piece: &mut [i16]) {
        if self.sounding.is_none() {
            self.sounding = self.next.take();
        }
        let Some(tone) = &mut self.sounding else { return };
        let mut made = [0; PIECE];
        let made = made.get_mut(..piece.len()).unwrap_or_default();
        tone.fill(made);
        self.level.apply(made);
        for (sample, tone) in piece.iter_mut().zip(made) {
            *sample = sample.saturating_add(*tone);
        }
        let Some(left) = &mut self.fading else { return };
        *left = left.saturating_sub(piece.len());
        if *left == 0 {
            (self.sounding, self.fading, self.level) = (None, None, Level::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::progress::{Plan, ProgressDetector, Signal, ToneKind};

    const RINGBACK: Tone = Tone { signal: Signal::Ringback, plan: Plan::America };

    fn frames(tone: &mut NetworkTone, count: usize) -> Vec<i16> {
        let mut samples = vec![0; 160 * count];
        samples.chunks_mut(160).for_each(|frame| tone.mix(frame));
        samples
    }

    #[test]
    fn what_it_makes_is_heard_as_what_it_is() {
        for (signal, plan, wanted) in [
            (Signal::Ringback, Plan::America, ToneKind::Ringback),
            (Signal::Ringback, Plan::Europe, ToneKind::Ringback),
            (Signal::Busy, Plan::America, ToneKind::Busy),
            (Signal::Reorder, Plan::Europe, ToneKind::Reorder),
        ] {
            let mut tone = NetworkTone::new(SampleRate::HZ_8000);
            tone.set(Some(Tone { signal, plan }));
            let mut heard = Vec::new();
            let mut detector = ProgressDetector::new(SampleRate::HZ_8000);
            let samples = frames(&mut tone, 600);
            detector.push(0, &samples, &mut |tone| heard.push(tone.kind));
            assert_eq!(heard.first(), Some(&wanted), "{signal:?} {plan:?}: {heard:?}");
        }
    }

    #[test]
    fn it_is_added_and_stops_without_a_step() {
        let mut tone = NetworkTone::new(SampleRate::HZ_8000);
        assert_eq!(frames(&mut tone, 5), [0; 800]);
        tone.set(Some(RINGBACK));
        let samples = frames(&mut tone, 3);
        assert!(samples.iter().any(|sample| sample.abs() > 2_000));
        let mut frame = [5_000; 160];
        tone.mix(&mut frame);
        let mean = frame.iter().map(|sample| i32::from(*sample)).sum::<i32>() / 160;
        assert!((mean - 5_000).abs() < 1_500 && frame.iter().any(|s| *s > 6_000), "{mean}");
        tone.set(None);
        let rest = frames(&mut tone, 2);
        // 480 Hz at this level moves by 2,000 a sample at most.
        let steps = rest.windows(2).map(|pair| (pair[1] - pair[0]).abs()).max();
        assert!(steps <= Some(2_000), "{steps:?}");
        assert_eq!(rest[80..], [0; 240]);
    }

    #[test]
    fn another_tone_begins_when_the_first_has_faded() {
        let mut tone = NetworkTone::new(SampleRate::HZ_8000);
        tone.set(Some(RINGBACK));
        frames(&mut tone, 10);
        tone.set(Some(Tone { signal: Signal::Busy, plan: Plan::America }));
        let samples = frames(&mut tone, 2);
        assert!(samples[..8].iter().any(|s| *s != 0), "it fades");
        // Half a second of tone, half a second of nothing.
        let rest = frames(&mut tone, 48);
        assert!(rest[..3_500].iter().any(|s| s.abs() > 2_000));
        assert!(rest[4_000..7_500].iter().all(|s| *s == 0));
    }
}
