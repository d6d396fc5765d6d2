//! The two rates of a voice codec, as two types.
//!
//! They are equal for most codecs and different for G.722, where RTP counts 8,000 units a second
//! while 16,000 samples pass (RFC 3551 §4.5.2). Mixing them up is the classic bug.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// Samples of one speaker per second. Units: Hz, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleRate(NonZeroU32);

impl SampleRate {
    /// 8 kHz, the rate of G.711.
    pub const HZ_8000: Self = Self(NonZeroU32::new(8_000).unwrap());
    /// 16 kHz.
    pub const HZ_16000: Self = Self(NonZeroU32::new(16_000).unwrap());
    /// 24 kHz.
    pub const HZ_24000: Self = Self(NonZeroU32::new(24_000).unwrap());
    /// 48 kHz.
    pub const HZ_48000: Self = Self(NonZeroU32::new(48_000).unwrap());

    /// A rate in Hz; `None` for zero.
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    /// The rate in Hz.
    pub const fn hz(self) -> u32 {
        self.0.get()
    }

    /// How many whole samples pass in this time.
    pub fn samples_in(self, time: Duration) -> u64 {
        let samples = time.as_nanos() * u128::from(self.hz()) / 1_000_000_000;
        u64::try_from(samples).unwrap_or(u64::MAX)
    }

    /// How long this many samples last, to the nanosecond below; at most `u64::MAX` ns.
    pub fn duration_of(self, samples: u64) -> Duration {
        let nanos = u128::from(samples) * 1_000_000_000 / u128::from(self.hz());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// Units of the RTP timestamp per second, as in `a=rtpmap`. Units: Hz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClockRate(NonZeroU32);

impl ClockRate {
    /// 8 kHz, the clock of every static narrow-band payload type.
    pub const HZ_8000: Self = Self(NonZeroU32::new(8_000).unwrap());

    /// 16 kHz, the clock of wide-band telephone events.
    pub const HZ_16000: Self = Self(NonZeroU32::new(16_000).unwrap());
    /// 48 kHz, the clock of Opus (RFC 7587 §4.1).
    pub const HZ_48000: Self = Self(NonZeroU32::new(48_000).unwrap());

    /// A rate in Hz; `None` for zero.
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    /// The rate in Hz.
    pub const fn hz(self) -> u32 {
        self.0.get()
    }

    /// How far the RTP timestamp advances in this time.
    pub fn units_in(self, time: Duration) -> u64 {
        SampleRate(self.0).samples_in(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_durations_agree() {
        for (hz, ms, samples) in [(8_000, 20, 160), (44_100, 20, 882), (48_000, 1, 48)] {
            let rate = SampleRate::new(hz).expect("not zero");
            assert_eq!(rate.samples_in(Duration::from_millis(ms)), samples);
            assert_eq!(rate.duration_of(samples), Duration::from_millis(ms));
        }
        assert_eq!(SampleRate::new(0), None);
        assert_eq!(ClockRate::HZ_8000.units_in(Duration::from_millis(20)), 160);
        assert!(SampleRate::HZ_8000.duration_of(u64::MAX) > Duration::from_secs(1 << 33));
        assert_eq!(SampleRate::HZ_8000.to_string(), "8000 Hz");
    }
}
