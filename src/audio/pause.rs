//! Where speech pauses: there, time can be taken out or put in unheard.
//!
//! ```text
//!  power of pieces ─┬─> background (the quietest of late)  ×2 ─┐
//!                   └─> loudest of late, less 25 dB ───────────┼─> the greatest: below it is a pause
//!                                        -60 dBov ─────────────┘
//! ```
//!
//! Owns two levels; knows no words. Is no voice detector: what it takes for a pause may hold breath
//! and noise.

/// Power below which sound is a pause in any case: -60 dBov.
const FLOOR: f32 = 1_073.0;
/// So is what is no louder than twice the background.
const NOISE: f32 = 2.0;
/// And what is this much below the loudest of late: 25 dB.
const BELOW: f32 = 0.003;
/// For every 5 ms the loudest falls, by 2 dB a second.
const FALL: f32 = 0.997_7;
/// And the background rises, by 1.5 dB a second.
const RISE: f32 = 1.001_75;

/// The levels by which pauses are known. See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pauses {
    background: f32,
    loudest: f32,
}

impl Pauses {
    /// Learns the power of a piece of about 5 ms; full scale is 2^30.
    pub fn learn(&mut self, power: f32) {
        self.loudest = (self.loudest * FALL).max(power);
        self.background =
            if power < self.background { power } else { self.background.max(1.0) * RISE };
    }

    /// Whether sound of this power is a pause.
    #[must_use]
    pub fn is_pause(&self, power: f32) -> bool {
        power < (NOISE * self.background).max(BELOW * self.loudest).max(FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_found_behind_speech_and_in_noise() {
        let mut pauses = Pauses::default();
        assert!(pauses.is_pause(900.0) && !pauses.is_pause(2_000.0));
        // Speech at -20 dBov, and what is 30 dB below it.
        (0..100).for_each(|_| pauses.learn(1.0e7));
        assert!(pauses.is_pause(1.0e4) && !pauses.is_pause(1.0e5));
        // Noise that stays becomes the background.
        (0..10_000).for_each(|_| pauses.learn(5.0e4));
        assert!(pauses.is_pause(5.0e4) && !pauses.is_pause(1.0e7));
    }
}
