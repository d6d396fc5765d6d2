//! Where utterances begin and end, by their energy: good enough to cut out a phrase that is
//! waited for.
//!
//! ```text
//!  level    ___▂▆▇▆▂▆▇▅▁_________
//!  idle        │ speech          │ 0.6 s of quiet
//!           └ 0.24 s before      └ and 0.2 s of it are given along
//! ```
//!
//! Pure. Counts samples; does not know positions. The call's turns are not decided here.

use std::collections::VecDeque;

/// Frames a second.
const FRAMES: u32 = 50;
/// Frames of speech in a row that begin an utterance.
const ONSET: u32 = 3;
/// Quiet frames that end it.
const QUIET: u32 = 30;
/// Fewest loud frames of an utterance; less is a cough.
const LOUD_MIN: u32 = 8;
/// Sound before the first loud frame that is given along, in frames.
const BEFORE: usize = 12;
/// And after the last.
const AFTER: u32 = 10;
/// The longest utterance, in frames; it is cut there.
const FRAMES_MAX: usize = 15 * FRAMES as usize;
/// How far speech stands above the floor, in dB.
const ABOVE: f32 = 12.0;
/// Bounds of the floor, in dBov.
const FLOOR: (f32, f32) = (-70.0, -35.0);
/// How fast the floor follows louder sound, in dB per frame.
const RISE: f32 = 0.05;

/// What the gate found. Places: samples taken since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gated {
    /// Speech begins.
    Started(u64),
    /// And ends.
    Ended {
        /// One past the last loud sample.
        end: u64,
        /// The place of the first of `samples`.
        from: u64,
        /// The utterance; empty: too short to be one.
        samples: Vec<i16>,
    },
}

/// The gate of one call.
#[derive(Debug)]
pub(super) struct Gate {
    frame: usize,
    rest: Vec<i16>,
    /// Samples that were looked at.
    count: u64,
    /// The sound before an utterance.
    before: VecDeque<i16>,
    floor: f32,
    onset: u32,
    open: Option<Open>,
}

/// An utterance.
#[derive(Debug)]
struct Open {
    from: u64,
    samples: Vec<i16>,
    loud: u32,
    quiet: u32,
}

impl Gate {
    /// Closed, at this rate.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            frame: (rate / FRAMES) as usize,
            rest: Vec::new(),
            count: 0,
            before: VecDeque::new(),
            floor: FLOOR.0,
            onset: 0,
            open: None,
        }
    }

    /// Looks at samples.
    pub(super) fn take(&mut self, samples: &[i16], found: &mut Vec<Gated>) {
        self.rest.extend_from_slice(samples);
        let whole = self.rest.len() / self.frame * self.frame;
        let rest = self.rest.split_off(whole);
        let frames = std::mem::replace(&mut self.rest, rest);
        for frame in frames.chunks_exact(self.frame) {
            found.extend(self.look(frame));
        }
    }

    /// Ends an utterance that has begun.
    pub(super) fn end(&mut self) -> Option<Gated> {
        let open = self.open.take()?;
        self.onset = 0;
        let frame = self.frame as u64;
        let end = self.count - u64::from(open.quiet) * frame;
        let surplus = open.quiet.saturating_sub(AFTER) as usize * self.frame;
        let mut samples = open.samples;
        samples.truncate(samples.len().saturating_sub(surplus));
        if open.loud < LOUD_MIN {
            samples.clear();
        }
        Some(Gated::Ended { end, from: open.from, samples })
    }

    fn look(&mut self, frame: &[i16]) -> Option<Gated> {
        let level = level_dbov(frame);
        let loud = level > self.floor + ABOVE;
        self.floor = if level < self.floor { level } else { (self.floor + RISE).min(level) };
        self.floor = self.floor.clamp(FLOOR.0, FLOOR.1);
        self.count += frame.len() as u64;
        let Some(open) = &mut self.open else { return self.wait(frame, loud) };
        open.samples.extend_from_slice(frame);
        open.loud += u32::from(loud);
        open.quiet = if loud { 0 } else { open.quiet + 1 };
        let over = open.quiet >= QUIET || open.samples.len() >= FRAMES_MAX * self.frame;
        if over { self.end() } else { None }
    }

    fn wait(&mut self, frame: &[i16], loud: bool) -> Option<Gated> {
        self.before.extend(frame);
        let kept = (BEFORE + ONSET as usize) * self.frame;
        let surplus = self.before.len().saturating_sub(kept);
        self.before.drain(..surplus);
        self.onset = if loud { self.onset + 1 } else { 0 };
        if self.onset < ONSET {
            return None;
        }
        let samples: Vec<i16> = self.before.drain(..).collect();
        let from = self.count - samples.len() as u64;
        self.open = Some(Open { from, samples, loud: self.onset, quiet: 0 });
        Some(Gated::Started(self.count - u64::from(ONSET) * self.frame as u64))
    }
}

/// The mean power of samples, in dBov.
#[expect(clippy::cast_precision_loss, reason = "a frame of samples")]
fn level_dbov(samples: &[i16]) -> f32 {
    let power: f32 = samples.iter().map(|sample| (f32::from(*sample) / 32_768.0).powi(2)).sum();
    10.0 * (power / samples.len().max(1) as f32).max(1e-10).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(ms: usize, height: i16) -> Vec<i16> {
        (0..ms * 8).map(|n| if n / 10 % 2 == 0 { height } else { -height }).collect()
    }

    fn gated(sound: &[i16]) -> Vec<Gated> {
        let (mut gate, mut found) = (Gate::new(8000), Vec::new());
        for chunk in sound.chunks(77) {
            gate.take(chunk, &mut found);
        }
        found
    }

    #[test]
    fn an_utterance_is_cut_out_with_some_sound_around_it() {
        for noise in [0, 20] {
            let pause = tone(400, noise);
            let sound =
                [tone(2000, noise), tone(500, 3000), pause, tone(500, 3000), tone(2000, noise)];
            let found = gated(&sound.concat());
            let [Gated::Started(start), Gated::Ended { end, from, samples }] = &found[..] else {
                panic!("{noise}: {found:?}")
            };
            assert_eq!((*start, *end), (16_000, 27_200), "{noise}");
            assert_eq!((*from, samples.len()), (16_000 - 1920, 1920 + 11_200 + 1600), "{noise}");
        }
    }

    #[test]
    fn coughs_are_empty_long_speech_is_cut_and_noise_is_not_speech_for_ever() {
        let cough = gated(&[tone(500, 0), tone(80, 3000), tone(1000, 0)].concat());
        assert!(matches!(&cough[1], Gated::Ended { samples, .. } if samples.is_empty()));
        let long = gated(&[tone(500, 0), tone(20_000, 9000), tone(1000, 0)].concat());
        assert!(matches!(&long[1], Gated::Ended { samples, .. } if samples.len() == 120_000));
        assert_eq!(long.len(), 4);
        let click = gated(&[tone(500, 0), tone(40, 9000), tone(900, 0)].concat());
        assert!(click.is_empty());
        let hum = gated(&tone(60_000, 60));
        assert!(hum.len() < 8, "{}", hum.len());
    }

    #[test]
    fn an_utterance_is_ended_when_that_is_asked() {
        let (mut gate, mut found) = (Gate::new(8000), Vec::new());
        assert_eq!(gate.end(), None);
        gate.take(&[tone(500, 0), tone(500, 3000)].concat(), &mut found);
        assert!(matches!(gate.end(), Some(Gated::Ended { end: 8000, .. })));
        assert_eq!(gate.end(), None);
    }
}
