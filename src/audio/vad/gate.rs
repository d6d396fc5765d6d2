//! Whether there is anything to listen to: the level against the noise floor.

/// Level of digital silence. Units: dBov.
pub(super) const SILENCE_DBOV: f32 = -96.0;
/// No voice is as quiet as this. Units: dBov.
pub(super) const QUIET_DBOV: f32 = -58.0;
/// The gate opens so far over the floor. Units: dB.
const OPEN_OVER_FLOOR_DB: f32 = 6.0;
/// The floor stays within these. Units: dBov.
const FLOOR_MIN_DBOV: f32 = -75.0;
const FLOOR_MAX_DBOV: f32 = -25.0;
/// Where the floor is looked for first. Units: dBov.
const FLOOR_START_DBOV: f32 = -60.0;
/// Frames for which the gate stays open after the last loud one: 320 ms.
const STAYS_OPEN: u32 = 20;
/// How quickly the floor follows quieter frames, noise, and anything while the gate is open.
const FALL: f32 = 0.3;
const RISE_NOISE: f32 = 0.05;
const RISE_OPEN_DB: f32 = 0.016;

/// The level that a fifth of all frames do not reach is followed in such steps: 4 dB/s up when
/// nothing is below it, 17 dB/s down when everything is.
const COMMON_UP_DB: f32 = 0.07;
const COMMON_DOWN_DB: f32 = 0.28;
/// A murmur is at least so far below the loudest frames. Units: dB.
const MURMUR_BELOW_LOUD_DB: f32 = 8.0;

/// The noise floor, and whether something stands out of it.
#[derive(Debug)]
pub(super) struct Gate {
    floor: f32,
    /// What a fifth of the frames lie below: the pauses of one talker, but the murmur of a crowd.
    common: f32,
    /// Frames for which it stays open.
    open: u32,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { floor: FLOOR_START_DBOV, common: FLOOR_START_DBOV, open: 0 }
    }

    /// Units: dBov.
    pub(super) fn floor(&self) -> f32 {
        self.floor
    }

    /// What a voice must stand out of: the floor, or the murmur of a crowd. Units: dBov.
    pub(super) fn murmur(&self, loud: f32) -> f32 {
        self.floor.max(self.common.min(loud - MURMUR_BELOW_LOUD_DB))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    pub(super) fn close(&mut self) {
        self.open = 0;
    }

    /// Takes the level of the next frame; whether it is worth a look.
    pub(super) fn open_for(&mut self, level: f32) -> bool {
        if level > (self.floor + OPEN_OVER_FLOOR_DB).max(QUIET_DBOV) {
            self.open = STAYS_OPEN;
        } else {
            self.open = self.open.saturating_sub(1);
        }
        let step = if level < self.common { -COMMON_DOWN_DB } else { COMMON_UP_DB };
        self.common = (self.common + step).clamp(FLOOR_MIN_DBOV, FLOOR_MAX_DBOV);
        if level < self.floor {
            self.move_floor((level - self.floor) * FALL);
        } else if self.is_open() {
            self.move_floor(RISE_OPEN_DB);
        } else {
            self.is_noise(level);
        }
        self.is_open()
    }

    /// The frame of this level was no voice.
    pub(super) fn is_noise(&mut self, level: f32) {
        self.move_floor((level - self.floor).max(0.0) * RISE_NOISE);
    }

    fn move_floor(&mut self, by: f32) {
        self.floor = (self.floor + by).clamp(FLOOR_MIN_DBOV, FLOOR_MAX_DBOV);
    }
}

/// Level of a frame without its mean. Units: dBov.
#[expect(clippy::cast_precision_loss, reason = "counts and levels")]
pub(super) fn mean_square_dbov(samples: &[i16]) -> f32 {
    let count = samples.len().max(1) as f32;
    let (mut sum, mut squares) = (0_i64, 0_i64);
    for &sample in samples {
        sum += i64::from(sample);
        squares += i64::from(sample) * i64::from(sample);
    }
    let mean = sum as f32 / count;
    let power = (squares as f32 / count - mean * mean).max(0.0) / (32_768.0 * 32_768.0);
    (10.0 * power.max(f32::MIN_POSITIVE).log10()).max(SILENCE_DBOV)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_dbov() {
        let square: Vec<i16> =
            (0..128).map(|n| if n % 2 == 0 { 32_767 } else { -32_767 }).collect();
        assert!(mean_square_dbov(&square).abs() < 0.01);
        assert!((mean_square_dbov(&[0; 128]) - SILENCE_DBOV).abs() < 0.01);
        assert!(
            (mean_square_dbov(&[1_000; 128]) - SILENCE_DBOV).abs() < 0.01,
            "an offset is silent"
        );
    }

    #[test]
    fn the_gate_opens_for_what_stands_out_and_the_floor_follows_noise() {
        let mut gate = Gate::new();
        for _ in 0..100 {
            assert!(!gate.open_for(-65.0));
        }
        assert!(gate.open_for(-30.0));
        for _ in 0..STAYS_OPEN - 1 {
            assert!(gate.open_for(-65.0));
        }
        assert!(!gate.open_for(-65.0));
        // Noise that begins suddenly is let through until it is known for noise.
        for _ in 0..300 {
            if gate.open_for(-40.0) {
                gate.is_noise(-40.0);
            }
        }
        assert!(!gate.is_open());
        assert!(gate.open_for(-30.0));
    }
}
