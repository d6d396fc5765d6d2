//! What goes out while there is nothing to hear: packets of silence, a word of comfort noise now
//! and then, or nothing.
//!
//! ```text
//!  frame ─┬ sound ──────────────────────────────────────────────────────> a packet of audio
//!         └ silence ─> [comfort noise] ─┬ packets ───────────────────────> a packet of audio
//!                          for 200 ms ──┤ then cn ───> PT 13 (RFC 3389), and one every 200 ms
//!                                       └ then suppress ────────────────> nothing
//! ```
//!
//! A frame is silent when no sample of it is more than what A-law knows as silence, wherever it
//! comes from: a pause within a client's sound counts. The first 200 ms go out as they are, so an
//! underrun or a breath is not cut out. Does not stamp: the pacer counts time through silence.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::interface::{SilencePolicy, SilenceSpec};
use crate::audio::codec::SampleRate;
use crate::audio::noise::Hoth;
use std::time::Duration;

/// Payload type of comfort noise.
//= RFC 3551 §6: 13 is comfort noise with a clock of 8000 Hz
pub const COMFORT_NOISE: u8 = 13;
/// Silence that still goes out as audio: longer than most breaths and all underruns that matter.
pub const HANGOVER: Duration = Duration::from_millis(200);
/// How often comfort noise is told of.
pub const TOLD_EVERY: Duration = Duration::from_millis(200);
/// The smallest step of A-law, which is its silence.
const SILENT: u16 = 8;
/// "As quiet as can be", in RFC 3389.
const LEVEL_LEAST: u8 = 127;

/// What a tick sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The frame.
    Audio,
    /// A comfort noise packet in its place.
    Noise,
    /// Nothing.
    Nothing,
}

/// The silence of one leg. See the module.
#[derive(Debug)]
pub struct Silence {
    policy: SilencePolicy,
    noise: Option<Hoth>,
    level: u8,
    /// How long it has been silent.
    silent: Duration,
    /// How long ago comfort noise was told of.
    told: Duration,
}

impl Silence {
    /// Silence as `spec` says, for frames of this rate.
    #[must_use]
    pub fn new(spec: SilenceSpec, rate: SampleRate) -> Self {
        let noise = spec.comfort_noise_dbov.map(|level| Hoth::new(rate.hz(), f32::from(level)));
        let level = spec.comfort_noise_dbov.map_or(LEVEL_LEAST, i8::unsigned_abs);
        let level = level.min(LEVEL_LEAST);
        Self { policy: spec.policy, noise, level, silent: Duration::ZERO, told: TOLD_EVERY }
    }

    /// Decides what goes out instead of a frame of this time, and fills one that is silent.
    ///
    /// `agreed`: the far end takes comfort noise packets; one that does not gets audio.
    /// Cost: a look at each sample, and noise if there is any; no allocation.
    pub fn due(&mut self, frame: &mut [i16], time: Duration, agreed: bool) -> Due {
        if frame.iter().any(|sample| sample.unsigned_abs() > SILENT) {
            self.wake();
            return Due::Audio;
        }
        if let Some(noise) = &mut self.noise {
            noise.fill(frame);
        }
        let silent = self.silent;
        self.silent = self.silent.saturating_add(time);
        match self.policy {
            SilencePolicy::Suppress if silent >= HANGOVER => Due::Nothing,
            SilencePolicy::Cn if agreed && silent >= HANGOVER => self.tell(time),
            SilencePolicy::Packets | SilencePolicy::Cn | SilencePolicy::Suppress => Due::Audio,
        }
    }

    /// Something else goes out: the next silence is a new one.
    pub fn wake(&mut self) {
        (self.silent, self.told) = (Duration::ZERO, TOLD_EVERY);
    }

    /// The payload of a comfort noise packet.
    //= RFC 3389 §3.1: the level in -dBov, of 0 to 127; without coefficients the noise is white
    #[must_use]
    pub const fn payload(&self) -> [u8; 1] {
        [self.level]
    }

    /// Comfort noise at the beginning of a silence, and every 200 ms of it.
    fn tell(&mut self, time: Duration) -> Due {
        if self.told < TOLD_EVERY {
            self.told = self.told.saturating_add(time);
            return Due::Nothing;
        }
        self.told = time;
        Due::Noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(20);

    fn silence(policy: SilencePolicy, comfort_noise_dbov: Option<i8>) -> Silence {
        Silence::new(SilenceSpec { policy, comfort_noise_dbov }, SampleRate::HZ_8000)
    }

    fn dues(silence: &mut Silence, agreed: bool, frames: usize) -> Vec<Due> {
        (0..frames).map(|_| silence.due(&mut [5; 160], TIME, agreed)).collect()
    }

    #[test]
    fn packets_are_sent_unless_somebody_asks_for_less() {
        let mut packets = silence(SilencePolicy::Packets, None);
        assert!(dues(&mut packets, true, 500).iter().all(|due| *due == Due::Audio));
        let mut cn = silence(SilencePolicy::Cn, None);
        assert!(dues(&mut cn, false, 500).iter().all(|due| *due == Due::Audio), "not agreed");
    }

    #[test]
    fn comfort_noise_is_told_at_once_and_every_200_ms() {
        let mut cn = silence(SilencePolicy::Cn, Some(-65));
        for _ in 0..3 {
            let dues = dues(&mut cn, true, 60);
            assert!(dues[..10].iter().all(|due| *due == Due::Audio));
            for (index, due) in dues[10..].iter().enumerate() {
                let wanted = if index % 10 == 0 { Due::Noise } else { Due::Nothing };
                assert_eq!(*due, wanted, "{index}");
            }
            assert_eq!(cn.due(&mut [900; 160], TIME, true), Due::Audio);
        }
        assert_eq!(cn.payload(), [65]);
        assert_eq!(silence(SilencePolicy::Cn, None).payload(), [127]);
    }

    #[test]
    fn suppression_waits_and_begins_again_after_each_sound() {
        let mut suppress = silence(SilencePolicy::Suppress, None);
        let gap: Vec<Due> = dues(&mut suppress, false, 30);
        assert_eq!(gap.iter().filter(|due| **due == Due::Nothing).count(), 20);
        assert_eq!(suppress.due(&mut [0, 9, 0], TIME, false), Due::Audio);
        assert_eq!(dues(&mut suppress, false, 11)[9..], [Due::Audio, Due::Nothing]);
        suppress.wake();
        assert_eq!(dues(&mut suppress, false, 1), [Due::Audio]);
    }

    #[test]
    fn silence_is_filled_with_noise_of_the_level_that_was_asked_for() {
        let mut filled = silence(SilencePolicy::Packets, Some(-60));
        let mut frame = [0; 8_000];
        filled.due(&mut frame, Duration::from_secs(1), false);
        let power = frame.iter().map(|&s| f32::from(s).powi(2)).sum::<f32>() / 8_000.0;
        let level = 10.0 * (power / (32_768.0 * 32_768.0)).log10();
        assert!((level + 60.0).abs() < 0.7, "{level}");
        let mut sound = [100; 160];
        filled.due(&mut sound, TIME, false);
        assert_eq!(sound, [100; 160], "sound is left alone");
    }
}
