//! Comfort noise: the level of the caller's background, learnt, and noise of that level.

/// Loudest noise that fills a gap: -60 dBov.
const LOUDEST: f32 = 32.8;
/// How fast the learnt power rises per 20 ms of louder sound: 3 dB in two seconds.
const RISE: f32 = 1.006_93;
/// Stretch over which power is measured, at 8 kHz.
const STRETCH: usize = 160;

/// A noise source with a learnt level.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    /// Power of the quietest sound of late.
    floor: f32,
    power: f32,
    measured: usize,
    stretch: usize,
    state: u32,
    smooth: f32,
}

impl Noise {
    pub(super) const fn new(factor: usize) -> Self {
        Self {
            floor: LOUDEST * LOUDEST,
            power: 0.0,
            measured: 0,
            stretch: STRETCH * factor,
            state: 0x2545_f491,
            smooth: 0.0,
        }
    }

    /// Learns from decoded sound.
    pub(super) fn learn(&mut self, samples: &[i16]) {
        for &sample in samples {
            self.power += f32::from(sample) * f32::from(sample);
            self.measured += 1;
            if self.measured == self.stretch {
                let power = self.power / super::extend::ratio(self.measured, 1);
                self.floor = if power < self.floor { power } else { self.floor.max(1.0) * RISE };
                (self.power, self.measured) = (0.0, 0);
            }
        }
    }

    /// Level of fills: the background, and never louder than -60 dBov.
    pub(super) fn level(&self) -> f32 {
        self.floor.sqrt().min(LOUDEST)
    }

    /// The next sample of noise with an RMS of one, falling gently toward high frequencies.
    pub(super) fn next(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        let [high, low, ..] = self.state.to_be_bytes();
        let white = f32::from(i16::from_be_bytes([high, low])) * (1.732 / 32768.0);
        self.smooth = 0.5 * self.smooth + 0.866 * white;
        self.smooth
    }
}
