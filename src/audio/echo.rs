//! Whether what the caller sends is our own sound come back.
//!
//! ```text
//!  caller ───> 2 kHz ─> 40 ms later ──┐
//!                                     ├─ normalised cross-correlation, lags −40 to 300 ms,
//!  SentSound ─ 2 kHz ─> last 340 ms ──┘  forgetting 150 ms ─> best lag ─> Likeness, every 20 ms
//! ```
//!
//! Two talkers are rarely alike at any lag; an echo is, at one (0.6 and more through a room, 0.9
//! through a hybrid). How alike an echo is, and how loud, is learned, so
//! that a voice over the echo is told from the echo alone. Does not remove the echo, and does not
//! decide what a voice means: `turn::barge` does.

mod sent;

pub use sent::SentSound;

use super::rate::SampleRate;
use std::time::Duration;

/// Both sounds are compared at this rate: the first formant is enough. Units: Hz.
const RATE: u32 = 2_000;
/// Samples of 20 ms at that rate.
const BLOCK: usize = 40;
/// How much later the caller is looked at, so that an echo is never earlier than its cause as far
/// as our two clocks know: 40 ms.
const EARLY: usize = 80;
/// The same as a time: a [`Likeness`] is of a block that ended so long ago.
pub const LATE: Duration = Duration::from_millis(40);
/// Lags that are looked at: 40 ms early to 300 ms late.
const LAGS: usize = EARLY + 600;
/// Share of the sums that is left after a block: they forget in 150 ms.
const KEEP: f32 = 0.875;
/// Sound below this is no sound, sent or come back: −60 dBov a sample, over what the sums hold.
const POWER_MIN: f32 = 1_074.0 * 300.0;
/// A block is part of what came just before if it has this share of its mean power: −15 dB.
const AUDIBLE_SHARE: f32 = 0.03;
/// As alike as this is an echo at any lag, and at the lag at which one is known.
const ALIKE: f32 = 0.7;
const ALIKE_KNOWN: f32 = 0.5;
/// An echo that was learned is missed when less than this share of its likeness is left.
const ALIKE_SHARE: f32 = 0.8;
/// How far the lag of one echo strays: 3 ms.
const STRAY: usize = 6;
/// How quickly a lag is trusted and forgotten, and when it is trusted.
const TRUST_STEP: f32 = 0.15;
const TRUSTED: f32 = 0.3;
/// How quickly likeness and loudness of the echo are learned, and the likeness forgotten: 10 s.
const LEARN_STEP: f32 = 0.15;
const FORGET_STEP: f32 = 0.002;
/// Nothing tells more than this. Units: dB.
const OVER_MAX_DB: f32 = 60.0;

/// What 20 ms of the caller are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// Our own sound is in sight; otherwise all the rest says nothing.
    pub is_sounding: bool,
    /// There is something to compare: not 15 dB below what came just before, nor near silence.
    pub is_audible: bool,
    /// It is our own sound, at least for the most part.
    pub is_echo: bool,
    /// How much louder it is than the echo that we know; 0 while we know none. Units: dB.
    pub over_db: f32,
    /// Normalised cross-correlation at the best lag, 0 to 1.
    pub correlation: f32,
    /// That lag. Units: milliseconds, −40 to 300.
    pub lag_ms: i32,
}

/// Brings sound to 2 kHz by means of eight samples of 8 kHz.
#[derive(Debug)]
struct Thinner {
    factor: usize,
    sum: f32,
    before: f32,
    count: usize,
}

impl Thinner {
    fn new(rate: SampleRate) -> Self {
        let factor = usize::try_from(rate.hz() / RATE).unwrap_or(4).max(1);
        Self { factor, sum: 0.0, before: 0.0, count: 0 }
    }

    fn push(&mut self, sample: f32) -> Option<f32> {
        self.sum += sample;
        self.count += 1;
        if self.count < self.factor {
            return None;
        }
        let thin = self.sum + self.before;
        (self.before, self.sum, self.count) = (self.sum, 0.0, 0);
        Some(thin * self.scale())
    }

    #[expect(clippy::cast_precision_loss, reason = "4 to 24")]
    fn scale(&self) -> f32 {
        0.5 / self.factor as f32
    }
}

/// Compares what the caller sends with what we sent.
///
/// Shape: mono, a multiple of 2 kHz. Cost: 27,000 multiplications per 20 ms while we sound, next to
/// nothing while we do not; 9 KiB; nothing is allocated after [`EchoGate::new`].
#[derive(Debug)]
pub struct EchoGate {
    thin: Thinner,
    /// The last of what was sent, oldest first; its last block is the newest.
    sent: Box<[f32; LAGS + BLOCK]>,
    caller: [f32; EARLY + BLOCK],
    filled: usize,
    /// Sums of products and of squares of what was sent, for each lag.
    products: Box<[f32; LAGS]>,
    squares: Box<[f32; LAGS]>,
    power: f32,
    /// Blocks for which something that was sent is still in sight.
    sounding: usize,
    /// The echo that is known.
    known: Known,
}

/// What was learned of an echo.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Where it is, and how sure that is, 0 to 1.
    lag: usize,
    trust: f32,
    /// How alike it is to what was sent, 0 to 1.
    alike: f32,
    /// Its power by the power that was sent.
    gain: Option<f32>,
}

impl EchoGate {
    /// A gate that knows no echo yet.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        Self {
            thin: Thinner::new(rate),
            sent: Box::new([0.0; LAGS + BLOCK]),
            caller: [0.0; EARLY + BLOCK],
            filled: 0,
            products: Box::new([0.0; LAGS]),
            squares: Box::new([0.0; LAGS]),
            power: 0.0,
            sounding: 0,
            known: Known::default(),
        }
    }

    /// Takes samples of the caller whose first came at this time, by the clock of the sent sound;
    /// calls the sink for every 20 ms. Samples must follow one another; see [`Self::break_off`].
    pub fn push(
        &mut self,
        caller: &[i16],
        at: Duration,
        sent: &SentSound,
        sink: &mut impl FnMut(Likeness),
    ) {
        let mut index = sent::index(at);
        for &sample in caller {
            let Some(came) = self.thin.push(f32::from(sample)) else { continue };
            index = index.saturating_add(1);
            let place = self.caller.get_mut(EARLY + self.filled);
            if let Some(place) = place {
                *place = came;
            }
            self.filled += 1;
            if self.filled == BLOCK {
                self.filled = 0;
                sent.read(index, self.sent.as_mut_slice());
                sink(self.block());
            }
        }
    }

    /// Some of the caller is missing: what came before is not compared any more. What was learned
    /// of the echo stays.
    pub fn break_off(&mut self) {
        self.caller.fill(0.0);
        self.filled = 0;
        self.products.fill(0.0);
        self.squares.fill(0.0);
        self.power = 0.0;
    }

    /// Judges the block that is full and makes room for the next.
    fn block(&mut self) -> Likeness {
        // What left last may not be known yet.
        let newest = self.sent.get(LAGS - 5 * BLOCK..).unwrap_or_default();
        let loud = newest.iter().map(|s| s * s).sum::<f32>() > POWER_MIN / 40.0;
        self.sounding = if loud { LAGS / BLOCK + 8 } else { self.sounding.saturating_sub(1) };
        let caller: [f32; BLOCK] = std::array::from_fn(|n| self.caller.get(n).map_or(0.0, |s| *s));
        let own = caller.iter().map(|s| s * s).sum::<f32>();
        self.power = self.power * KEEP + own;
        let mean = self.power * (1.0 - KEEP);
        let is_audible = own > (mean * AUDIBLE_SHARE).max(POWER_MIN / 80.0);
        let likeness = if self.sounding > 0 {
            self.correlate(&caller);
            Likeness { is_audible, ..self.judge() }
        } else {
            self.products.fill(0.0);
            self.squares.fill(0.0);
            let (over_db, correlation) = (0.0, 0.0);
            let (is_sounding, is_echo) = (false, false);
            Likeness { is_sounding, is_audible, is_echo, over_db, correlation, lag_ms: 0 }
        };
        self.caller.copy_within(BLOCK.., 0);
        likeness
    }

    /// Brings the sums up to date. Lag `l` pairs a sample of the caller with the one that was sent
    /// `l` samples before; both ends stand at the newest.
    fn correlate(&mut self, caller: &[f32; BLOCK]) {
        let lags = self.products.iter_mut().zip(self.squares.iter_mut());
        for (lag, (product, square)) in lags.enumerate() {
            let from = LAGS - lag;
            let Some(sent) = self.sent.get(from..from + BLOCK) else { continue };
            // Eight sums side by side, for the processor's sake.
            let (mut both, mut own) = ([0.0_f32; 8], [0.0_f32; 8]);
            for (went, came) in sent.chunks_exact(8).zip(caller.chunks_exact(8)) {
                for (at, (went, came)) in went.iter().zip(came).enumerate() {
                    both[at] += went * came;
                    own[at] += went * went;
                }
            }
            *product = *product * KEEP + both.iter().sum::<f32>();
            *square = *square * KEEP + own.iter().sum::<f32>();
        }
    }

    fn judge(&mut self) -> Likeness {
        // The best of all lags, and the best near the known one.
        let (mut best, mut near) = ((0, 0.0_f32, 0.0_f32), 0.0_f32);
        for (lag, (product, square)) in self.products.iter().zip(self.squares.iter()).enumerate() {
            let share = product * product / (square.max(POWER_MIN) * self.power.max(1.0));
            if share > best.1 {
                best = (lag, share, *square);
            }
            if lag.abs_diff(self.known.lag) <= STRAY {
                near = near.max(share);
            }
        }
        let (lag, share, sent) = best;
        let (correlation, near) = (share.sqrt().min(1.0), near.sqrt().min(1.0));
        let audible = self.power > POWER_MIN / 10.0;
        let wanted = ALIKE_KNOWN.max(self.known.alike * ALIKE_SHARE);
        let is_known = self.known.trust >= TRUSTED && near >= wanted;
        let is_echo = audible && (is_known || correlation >= ALIKE);
        let over_db = self.known.gain.filter(|_| sent > POWER_MIN).map_or(0.0, |gain| {
            let over = 10.0 * (self.power / (gain * sent).max(1.0)).max(1e-6).log10();
            over.clamp(-OVER_MAX_DB, OVER_MAX_DB)
        });
        self.known.learn(lag, correlation, is_echo, self.power / sent.max(1.0));
        let lag_ms = (i32::try_from(lag).unwrap_or(0) - i32::try_from(EARLY).unwrap_or(0)) / 2;
        let (is_sounding, is_audible) = (true, true);
        Likeness { is_sounding, is_audible, is_echo, over_db, correlation, lag_ms }
    }
}

impl Known {
    /// Takes the best lag of a block.
    fn learn(&mut self, lag: usize, correlation: f32, is_echo: bool, gain: f32) {
        if !is_echo || correlation < ALIKE.min(self.alike) {
            self.alike -= self.alike * FORGET_STEP;
            return;
        }
        if lag.abs_diff(self.lag) > STRAY {
            self.trust -= TRUST_STEP;
            if self.trust > 0.0 {
                return;
            }
            *self = Self { lag, ..Self::default() };
        }
        self.trust += (1.0 - self.trust) * TRUST_STEP;
        let known = self.gain.unwrap_or(gain);
        self.gain = Some(known + (gain - known) * LEARN_STEP);
        self.alike += (correlation - self.alike) * LEARN_STEP;
    }
}

#[cfg(test)]
pub(crate) mod tests;
