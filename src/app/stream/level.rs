//! The level of a stream's sound, both ways, where somebody asked for it.
//!
//! ```text
//!  client ─> decoder ─> resampler ─> Leveller (DC block, slow AGC, limiter) ─> PlayoutQueue
//!  client <─ resampler <─ HeardLevel (DC block, slow AGC) <─ capture ring
//! ```
//!
//! Owns who asked: the client, or else its instance or the configuration. The limiter looks 5 ms
//! ahead; [`Leveller::settle`] lets those go wherever somebody counts samples, so that a mark
//! stands behind all that was sent before it. Does not queue anything itself.

use super::options::StreamOptions;
use crate::audio::agc::{HeardLevel, StreamLevel};
use crate::audio::gain::TARGET_DBOV;
use crate::audio::rate::SampleRate;

/// What streams get unless they ask otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelSpec {
    /// A slow gain toward the target, on the client's sound.
    pub agc: bool,
    /// A DC block on the client's sound; part of the former.
    pub dc_block: bool,
    /// The level that speech is brought to, in dBov.
    pub target_dbov: f32,
}

impl Default for LevelSpec {
    /// Nothing is touched.
    fn default() -> Self {
        Self { agc: false, dc_block: false, target_dbov: TARGET_DBOV }
    }
}

impl LevelSpec {
    /// For the client's sound at the leg's rate, if it is to be touched at all.
    pub(super) fn inward(self, asked: &StreamOptions, leg_rate: u32) -> Option<Leveller> {
        let agc = asked.agc.unwrap_or(self.agc);
        let touched = agc || asked.dc_block.unwrap_or(self.dc_block);
        let rate = SampleRate::new(leg_rate).filter(|_| touched)?;
        let target = agc.then_some(self.target_dbov);
        Some(Leveller { level: StreamLevel::new(rate, target), out: Vec::new() })
    }

    /// For the caller's sound at the leg's rate: only a client asks for that.
    pub(super) fn outward(self, asked: &StreamOptions, leg_rate: u32) -> Option<HeardLevel> {
        let agc = asked.out_agc.unwrap_or(false);
        let touched = agc || asked.out_dc_block.unwrap_or(false);
        let rate = SampleRate::new(leg_rate).filter(|_| touched)?;
        Some(HeardLevel::new(rate, agc.then_some(self.target_dbov)))
    }
}

/// Levels a client's sound on its way into the queue.
#[derive(Debug)]
pub(super) struct Leveller {
    level: StreamLevel,
    out: Vec<i16>,
}

impl Leveller {
    /// What comes out when samples go in; 5 ms stay behind.
    pub(super) fn pass(&mut self, samples: &[i16]) -> &[i16] {
        self.out.clear();
        self.level.process(samples, &mut self.out);
        &self.out
    }

    /// What stayed behind. The stream may go on, at the same gain.
    pub(super) fn settle(&mut self) -> &[i16] {
        self.out.clear();
        self.level.drain(&mut self.out);
        &self.out
    }

    /// Forgets what stayed behind.
    pub(super) fn reset(&mut self) {
        self.level.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_asked_first_and_the_caller_is_left_alone() {
        let on = LevelSpec { agc: true, ..LevelSpec::default() };
        let asked = |agc, dc_block| StreamOptions { agc, dc_block, ..StreamOptions::default() };
        for (spec, asked, touched) in [
            (LevelSpec::default(), asked(None, None), false),
            (LevelSpec::default(), asked(Some(true), None), true),
            (LevelSpec::default(), asked(None, Some(true)), true),
            (on, asked(None, None), true),
            (on, asked(Some(false), None), false),
        ] {
            assert_eq!(spec.inward(&asked, 8_000).is_some(), touched, "{asked:?}");
            assert!(spec.outward(&asked, 8_000).is_none());
        }
        let heard = StreamOptions { out_dc_block: Some(true), ..StreamOptions::default() };
        assert!(on.outward(&heard, 16_000).is_some());
        assert!(on.inward(&heard, 0).is_none());
    }
}
