//! The level of a live stream, whose loudest part is not known yet: a slow gain toward a target.
//!
//! ```text
//!  to the caller    DC block 20 Hz ─> Agc ─> limiter −1.5 dBov, 5 ms ahead    StreamLevel
//!  from the caller  DC block 20 Hz ─> Agc ─> limiter that looks at nothing    HeardLevel
//! ```
//!
//! The gain moves by 3 dB/s at most while there is speech, and stands still in pauses and noise:
//! what is quiet because nobody speaks is not raised. Nothing here is on unless it is asked for:
//! whoever streams decides how loud it is, and an engine that listens likes the voice as it came.
//! As many samples come out as went in; those of [`StreamLevel`] 5 ms later.

use super::filter::DcBlock;
use super::gain::{CEILING_DBOV, Limiter};
use super::rate::SampleRate;
use super::sample::{ratio_of_db, to_f32, to_i16};

/// Most that is added to a live stream. Units: dB.
pub const GAIN_STREAM_MAX_DB: f32 = 12.0;

/// Blocks that the level is measured in. Units: s.
const BLOCK_S: f32 = 0.02;
/// How fast the gain follows. Units: dB/s.
const SLOPE_DB: f32 = 3.0;
/// How fast the level of speech follows, as a share per block: one second.
const FOLLOW: f32 = BLOCK_S;
/// Power of the weakest speech that is followed: −50 dBov.
const SPEECH_MIN: f32 = 1e-5;
/// How far speech lies above the noise, in power: 10 dB.
const SPEECH_OVER_NOISE: f32 = 10.0;
/// How fast the floor rises per block: 1 dB/s.
const FLOOR_RISE: f32 = 1.004_6;
/// How soon a limiter without foresight lets go. Units: s.
const RELEASE_S: f32 = 0.05;

/// A gain that follows the level of speech. Knows samples before the gain only.
#[derive(Debug)]
pub struct Agc {
    target_dbov: f32,
    gain_db: f32,
    /// Change of the gain per block at most. Units: dB.
    slope_db: f32,
    /// Samples of a block, and those of the block that is measured.
    block: usize,
    filled: usize,
    power: f32,
    /// Mean power of the blocks with speech.
    speech: Option<f32>,
    /// Lowest power of late, which is noise.
    floor: f32,
}

impl Agc {
    /// A gain that begins at 0 dB and brings speech to `target_dbov`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are small")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a short block")]
    pub fn new(rate: SampleRate, target_dbov: f32) -> Self {
        Self {
            target_dbov,
            gain_db: 0.0,
            slope_db: SLOPE_DB * BLOCK_S,
            block: ((rate.hz() as f32 * BLOCK_S) as usize).max(1),
            filled: 0,
            power: 0.0,
            speech: None,
            floor: SPEECH_MIN,
        }
    }

    /// The gain at present. Units: dB.
    #[must_use]
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    /// Samples until the gain may change.
    fn left(&self) -> usize {
        self.block - self.filled
    }

    /// Hears samples, not more than [`Self::left`]; whether the gain was looked at.
    fn hear(&mut self, samples: &[f32]) -> bool {
        // One by one: a sum of sums would round by the chunks.
        for sample in samples {
            self.power += sample * sample;
        }
        self.filled += samples.len();
        if self.filled < self.block {
            return false;
        }
        self.settle();
        true
    }

    /// Judges the block that has ended and sets the gain of the next.
    #[expect(clippy::cast_precision_loss, reason = "a short block")]
    fn settle(&mut self) {
        let power = self.power / self.block as f32;
        (self.power, self.filled) = (0.0, 0);
        // The floor falls at once and rises slowly.
        self.floor = (self.floor * FLOOR_RISE).min(power.max(1e-9));
        if power < SPEECH_MIN || power < self.floor * SPEECH_OVER_NOISE {
            return;
        }
        let speech = self.speech.map_or(power, |speech| speech + (power - speech) * FOLLOW);
        self.speech = Some(speech);
        let wanted = (self.target_dbov - 10.0 * speech.log10()).min(GAIN_STREAM_MAX_DB);
        self.gain_db += (wanted - self.gain_db).clamp(-self.slope_db, self.slope_db);
    }
}

/// Levels what a client streams to the caller. Shape: any chunking, the same result.
#[derive(Debug)]
pub struct StreamLevel {
    dc: DcBlock,
    agc: Option<Agc>,
    limiter: Limiter,
    steady: Vec<f32>,
}

impl StreamLevel {
    /// A level control that begins at 0 dB. Without a target only offset and peaks are seen to.
    pub fn new(rate: SampleRate, target_dbov: Option<f32>) -> Self {
        Self {
            dc: DcBlock::new(rate),
            agc: target_dbov.map(|target_dbov| Agc::new(rate, target_dbov)),
            limiter: Limiter::new(rate),
            steady: Vec::new(),
        }
    }

    /// The gain at present. Units: dB.
    pub fn gain_db(&self) -> f32 {
        self.agc.as_ref().map_or(0.0, Agc::gain_db)
    }

    /// Takes samples and appends them but for the last 5 ms.
    pub fn process(&mut self, mut samples: &[i16], out: &mut Vec<i16>) {
        while !samples.is_empty() {
            let left = self.agc.as_ref().map_or(samples.len(), Agc::left);
            let (now, later) = samples.split_at(left.min(samples.len()));
            self.steady.clear();
            self.steady.extend(now.iter().map(|&sample| self.dc.next(to_f32(sample))));
            self.limiter.run(&self.steady, out);
            if let Some(agc) = &mut self.agc
                && agc.hear(&self.steady)
            {
                self.limiter.set_gain_db(agc.gain_db());
            }
            samples = later;
        }
    }

    /// Appends what is held back, so that what was taken and what was given are as long; the
    /// stream may go on.
    pub fn drain(&mut self, out: &mut Vec<i16>) {
        self.limiter.drain(out);
    }

    /// Forgets what is held back. The gain stays.
    pub fn reset(&mut self) {
        self.limiter.forget();
        self.dc.reset();
    }
}

/// Levels what is heard of the caller, in place and without delay.
///
/// Where the gain would clip, it gives way at once and comes back in 50 ms; that is heard only by
/// who listens for it, and an engine does not.
#[derive(Debug)]
pub struct HeardLevel {
    dc: DcBlock,
    agc: Option<Agc>,
    ceiling: f32,
    release: f32,
    /// What the limiter takes of the gain.
    held: f32,
    steady: Vec<f32>,
}

impl HeardLevel {
    /// A DC block, with a slow level to `target_dbov` if there is one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are small")]
    pub fn new(rate: SampleRate, target_dbov: Option<f32>) -> Self {
        Self {
            dc: DcBlock::new(rate),
            agc: target_dbov.map(|target_dbov| Agc::new(rate, target_dbov)),
            ceiling: ratio_of_db(CEILING_DBOV),
            release: 1.0 - (-1.0 / (rate.hz() as f32 * RELEASE_S)).exp(),
            held: 1.0,
            steady: Vec::new(),
        }
    }

    /// The gain at present. Units: dB.
    #[must_use]
    pub fn gain_db(&self) -> f32 {
        self.agc.as_ref().map_or(0.0, Agc::gain_db)
    }

    /// Levels samples where they lie. Cost: some multiplications a sample; no allocation in steady
    /// state.
    pub fn apply(&mut self, mut samples: &mut [i16]) {
        while !samples.is_empty() {
            let left = self.agc.as_ref().map_or(samples.len(), Agc::left);
            let (now, later) = samples.split_at_mut(left.min(samples.len()));
            self.steady.clear();
            self.steady.extend(now.iter().map(|&sample| self.dc.next(to_f32(sample))));
            let gain = ratio_of_db(self.gain_db());
            for (place, &sample) in now.iter_mut().zip(&self.steady) {
                let loud = sample * gain;
                let needed = self.ceiling / loud.abs().max(self.ceiling);
                self.held = (self.held + (1.0 - self.held) * self.release).min(needed);
                *place = to_i16(loud * self.held);
            }
            if let Some(agc) = &mut self.agc {
                agc.hear(&self.steady);
            }
            samples = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::gain::{TARGET_DBOV, active_level};
    use proptest::prelude::*;

    const RATE: SampleRate = SampleRate::HZ_8000;

    /// Seconds of a tone of this amplitude, half of each second silent.
    fn bursts(amplitude: f32, seconds: u32) -> Vec<i16> {
        let sample = |n: u16| to_i16(f32::sin(f32::from(n) * 0.7) * amplitude);
        let second = (0..8_000).map(|n| if n < 4_000 { sample(n) } else { 0 });
        let second: Vec<i16> = second.collect();
        (0..seconds).flat_map(|_| second.clone()).collect()
    }

    fn peak(samples: &[i16]) -> f32 {
        samples.iter().map(|&sample| to_f32(sample).abs()).fold(0.0, f32::max)
    }

    fn level(samples: &[i16]) -> f32 {
        let samples: Vec<f32> = samples.iter().map(|&sample| to_f32(sample)).collect();
        active_level(&samples, RATE).expect("a tone")
    }

    #[test]
    fn a_stream_is_levelled_slowly_and_its_noise_is_not_raised() {
        let mut stream = StreamLevel::new(RATE, Some(TARGET_DBOV));
        let quiet = bursts(0.05, 1);
        let mut out = Vec::new();
        stream.process(&quiet, &mut out);
        // Half a second of speech at 3 dB/s.
        assert!((stream.gain_db() - 1.5).abs() < 0.1, "{}", stream.gain_db());
        for _ in 0..12 {
            stream.process(&quiet, &mut out);
        }
        assert!((stream.gain_db() - 9.0).abs() < 1.0, "{}", stream.gain_db());
        let before = stream.gain_db();
        stream.process(&[20, -20].repeat(40_000), &mut out);
        assert!((stream.gain_db() - before).abs() < 1e-6, "noise is no speech");
        stream.process(&bursts(1.0, 8), &mut out);
        assert!(stream.gain_db() < 0.0, "{}", stream.gain_db());
        stream.drain(&mut out);
        assert_eq!(out.len(), 13 * 8_000 + 80_000 + 64_000);
        assert!(peak(&out) <= ratio_of_db(CEILING_DBOV) + 1e-4);
    }

    #[test]
    fn a_stream_gets_twelve_decibels_and_no_more() {
        let mut stream = StreamLevel::new(RATE, Some(TARGET_DBOV));
        let mut out = Vec::new();
        stream.process(&bursts(0.008, 20), &mut out);
        assert!((stream.gain_db() - GAIN_STREAM_MAX_DB).abs() < 1e-3, "{}", stream.gain_db());
        let gained = level(&out[120_000..]) - level(&bursts(0.008, 5));
        assert!((gained - GAIN_STREAM_MAX_DB).abs() < 0.3, "{gained}");
    }

    #[test]
    fn draining_gives_back_every_sample_and_does_not_click() {
        let loud = bursts(1.5, 2);
        let (mut whole, mut pieces) = (Vec::new(), Vec::new());
        let mut stream = StreamLevel::new(RATE, Some(TARGET_DBOV));
        stream.process(&loud, &mut whole);
        stream.drain(&mut whole);
        let mut stream = StreamLevel::new(RATE, Some(TARGET_DBOV));
        let mut taken = 0;
        for piece in loud.chunks(333) {
            stream.process(piece, &mut pieces);
            stream.drain(&mut pieces);
            taken += piece.len();
            assert_eq!(pieces.len(), taken);
        }
        assert_eq!(whole.len(), pieces.len());
        // Where nothing is limited they are the same; elsewhere the gain is held by a little less.
        let apart = whole.iter().zip(&pieces).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs());
        assert!(apart.max() < Some(4_000));
        assert!(peak(&pieces) <= ratio_of_db(CEILING_DBOV) + 1e-4);
        let mut empty = Vec::new();
        stream.drain(&mut empty);
        assert!(empty.is_empty());
    }

    #[test]
    fn what_is_forgotten_does_not_come_back() {
        let mut stream = StreamLevel::new(RATE, None);
        let mut out = Vec::new();
        stream.process(&[9_000; 30], &mut out);
        assert!(out.is_empty());
        stream.reset();
        stream.process(&[0; 400], &mut out);
        stream.drain(&mut out);
        assert_eq!(out, [0; 400]);
    }

    #[test]
    fn what_is_heard_loses_its_offset_and_comes_to_the_target_in_place() {
        let mut heard: Vec<i16> = bursts(0.05, 16).iter().map(|s| s + 2_000).collect();
        let mut stage = HeardLevel::new(RATE, Some(TARGET_DBOV));
        heard.chunks_mut(160).for_each(|frame| stage.apply(frame));
        let late = &heard[96_000..];
        // Activity outlasts each burst, so its level is 2 dB below that of the sound itself.
        assert!((level(late) - TARGET_DBOV + 2.0).abs() < 0.3, "{}", level(late));
        let mean = late.iter().map(|&s| f32::from(s)).sum::<f32>() / 32_000.0;
        assert!(mean.abs() < 10.0, "{mean}");
        let mut shout = bursts(1.5, 1);
        stage.apply(&mut shout);
        assert!(peak(&shout) <= ratio_of_db(CEILING_DBOV) + 1e-4);
        // The offset alone: the level is the client's.
        let mut heard = bursts(0.05, 2);
        let before = heard.clone();
        let mut stage = HeardLevel::new(RATE, None);
        stage.apply(&mut heard);
        assert!((level(&heard) - level(&before)).abs() < 0.1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn chunking_changes_nothing(
            input in prop::collection::vec(any::<i16>(), 0..3_000),
            cut in 1_usize..400,
        ) {
            let mut whole = StreamLevel::new(RATE, Some(-20.0));
            let mut pieces = StreamLevel::new(RATE, Some(-20.0));
            let (mut wanted, mut out) = (Vec::new(), Vec::new());
            whole.process(&input, &mut wanted);
            input.chunks(cut).for_each(|chunk| pieces.process(chunk, &mut out));
            prop_assert_eq!(&out, &wanted);
            prop_assert!(peak(&out) <= ratio_of_db(CEILING_DBOV) + 1e-4);
            let (mut whole, mut pieces) = (input.clone(), input);
            HeardLevel::new(RATE, Some(-20.0)).apply(&mut whole);
            let mut stage = HeardLevel::new(RATE, Some(-20.0));
            pieces.chunks_mut(cut).for_each(|chunk| stage.apply(chunk));
            prop_assert_eq!(pieces, whole);
        }
    }
}
