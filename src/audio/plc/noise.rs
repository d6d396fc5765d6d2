//! Comfort noise: the level of the caller's background, learnt, and noise of that level, or noise
//! as the sender told it (RFC 3389).

/// Loudest noise that fills a gap: -60 dBov.
const LOUDEST: f32 = 32.8;
/// How fast the learnt power rises per 20 ms of louder sound: 3 dB in two seconds.
const RISE: f32 = 1.006_93;
/// Loudest comfort noise that a sender may ask for, in -dBov.
const LOUDEST_TOLD: u8 = 30;
/// Reflection coefficients that are used; more are passed over.
const ORDER: usize = 10;
/// Largest reflection coefficient: the filter stays stable.
const STEEPEST: f32 = 0.97;
/// Stretch over which power is measured, at 8 kHz.
const STRETCH: usize = 160;

/// What a sender told of the background while it pauses. Fixed size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ComfortNoise {
    /// In -dBov.
    level: u8,
    /// Reflection coefficients; the first `order` count.
    reflections: [f32; ORDER],
    order: usize,
}

impl ComfortNoise {
    /// Reads a payload of RFC 3389; `None` for an empty one. Coefficients beyond the tenth are
    /// passed over.
    //= RFC 3389 §3.1: the most significant bit of the level is not used
    //= RFC 3389 §3.2: a coefficient of 127 is zero, and each step 258 / 32768
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (level, coefficients) = payload.split_first()?;
        let mut reflections = [0.0; ORDER];
        for (to, octet) in reflections.iter_mut().zip(coefficients) {
            *to = ((f32::from(*octet) - 127.0) * 258.0 / 32_768.0).clamp(-STEEPEST, STEEPEST);
        }
        Some(Self { level: level & 0x7f, reflections, order: coefficients.len().min(ORDER) })
    }

    /// The level in -dBov, as it was told.
    #[must_use]
    pub const fn told_level(&self) -> u8 {
        self.level
    }

    /// RMS of the noise; a sender cannot ask for loud noise.
    pub(super) fn level(&self) -> f32 {
        32_768.0 * 10f32.powf(f32::from(self.level.max(LOUDEST_TOLD)) / -20.0)
    }

    pub(super) const fn has_shape(&self) -> bool {
        self.order > 0
    }

    fn used(&self) -> &[f32] {
        &self.reflections[..self.order]
    }
}

/// Sum of the squares: of whole numbers, which are added several at a time.
#[expect(clippy::cast_precision_loss, reason = "a level")]
fn energy(samples: &[i16]) -> f32 {
    samples.iter().map(|sample| i64::from(i32::from(*sample).pow(2))).sum::<i64>() as f32
}

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
    /// Backward errors of the lattice that shapes noise.
    lattice: [f32; ORDER + 1],
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
            lattice: [0.0; ORDER + 1],
        }
    }

    /// Learns from decoded sound.
    pub(super) fn learn(&mut self, samples: &[i16]) {
        let mut left = samples;
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(self.stretch - self.measured));
            left = later;
            self.power += energy(now);
            self.measured += now.len();
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
        self.smooth = 0.5 * self.smooth + 0.866 * self.white();
        self.smooth
    }

    /// The next sample of noise with an RMS of one and the spectrum that was told: white noise
    /// through the all-pole lattice of the coefficients.
    pub(super) fn next_shaped(&mut self, shape: &ComfortNoise) -> f32 {
        let reflections = shape.used();
        // The power that the filter adds is taken out before it.
        let gain: f32 = reflections.iter().map(|k| 1.0 - k * k).product();
        let mut forward = self.white() * gain.sqrt();
        for (i, k) in reflections.iter().enumerate().rev() {
            forward -= k * self.lattice[i];
            self.lattice[i + 1] = self.lattice[i] + k * forward;
        }
        self.lattice[0] = forward;
        forward
    }

    fn white(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        let [high, low, ..] = self.state.to_be_bytes();
        f32::from(i16::from_be_bytes([high, low])) * (1.732 / 32768.0)
    }
}
