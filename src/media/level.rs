//! How loud playout is: one gain that moves to its target without a click.
//!
//! Applied to what comes from the ring, before fades, and to what is muted. Does not decide when
//! the agent is turned down: a command does.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Unity gain.
const UNITY: f32 = 1.0;

/// A gain on its way to a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    gain: f32,
    target: f32,
    step: f32,
}

impl Default for Level {
    fn default() -> Self {
        Self { gain: UNITY, target: UNITY, step: 0.0 }
    }
}

impl Level {
    /// Moves to `target` (0 silences, 1 leaves alone; more is taken for 1) within so many samples.
    #[expect(clippy::cast_precision_loss, reason = "a ramp is a few hundred samples long")]
    pub fn set(&mut self, target: f32, samples: usize) {
        self.target = if target.is_finite() { target.clamp(0.0, UNITY) } else { UNITY };
        self.step = (self.target - self.gain) / samples.max(1) as f32;
    }

    /// Moves to silence, or back to full level.
    pub fn mute(&mut self, muted: bool, samples: usize) {
        self.set(if muted { 0.0 } else { UNITY }, samples);
    }

    /// Scales samples in place. Cost: nothing at unity; no allocation.
    #[expect(clippy::cast_possible_truncation, reason = "the gain is at most one")]
    #[expect(clippy::float_cmp, reason = "the gain is set to exactly its target")]
    pub fn apply(&mut self, samples: &mut [i16]) {
        if self.gain == UNITY && self.target == UNITY {
            return;
        }
        for sample in samples {
            if self.gain != self.target {
                let next = self.gain + self.step;
                let past = (next - self.target) * self.step.signum() >= 0.0;
                self.gain = if past { self.target } else { next };
            }
            *sample = (f32::from(*sample) * self.gain) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gain_moves_evenly_and_comes_back_to_exactly_one() {
        let mut level = Level::default();
        let mut untouched = [i16::MIN, 5, i16::MAX];
        level.apply(&mut untouched);
        assert_eq!(untouched, [i16::MIN, 5, i16::MAX]);
        level.set(0.2, 160);
        let mut down = [10_000; 200];
        level.apply(&mut down);
        assert!(down.is_sorted_by(|a, b| a >= b), "{down:?}");
        assert!(down[0] > 9_900 && down.windows(2).all(|pair| pair[0] - pair[1] < 60));
        assert_eq!(down[160..], [2000; 40]);
        level.set(1.0, 80);
        let mut up = [10_000; 100];
        level.apply(&mut up);
        assert_eq!(up[80..], [10_000; 20]);
        assert_eq!(level, Level { step: level.step, ..Level::default() });
    }

    #[test]
    fn odd_targets_are_made_sound() {
        for (target, last) in [(f32::NAN, 100), (7.0, 100), (-1.0, 0)] {
            let mut level = Level::default();
            level.set(target, 0);
            let mut samples = [100; 3];
            level.apply(&mut samples);
            assert_eq!(samples[2], last, "{target}");
        }
    }
}
