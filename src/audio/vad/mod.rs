//! Voice activity: when the other party begins and stops to speak.
//!
//! ```text
//!  samples ─> frames of 16 ms ─> gate: level over the noise floor ── closed: not looked at
//!                │                    │ open
//!                └─ 8 → 16 kHz ─> last 12 frames ─> earshot ─> 8 voiced of 12 ─> Started
//!                                                              hangover      ─> Stopped
//! ```
//!
//! Speech of Pico through µ-law, clean and in noise at −45 dBov: the onset is 10 ms off in the
//! median, the end 10 ms. Recorded voices between 300 and 3400 Hz are told 210 ms after their
//! onset. A hesitant first syllable may be missed. Tones and steady noise are no voice. A crowd is
//! one to the network: a voice must stand out of the murmur, the level that most frames reach.
//!
//! Positions are the caller's own: samples of the pushed audio, backdated to the first and the
//! last voiced frame. The gate spares the network the silence, which is most of a call; when it
//! opens, the network is shown what came just before. Knows nothing of words, echo or turns.

mod gate;
mod tone;
mod upsample;

#[cfg(test)]
mod accuracy;
#[cfg(test)]
pub(crate) mod tests;

use super::rate::SampleRate;
use earshot::Detector;
use gate::{Gate, mean_square_dbov};
use std::time::Duration;
use upsample::Upsampler;

/// Length of a frame. Units: samples at 16 kHz; 16 ms.
const FRAME: usize = 256;
const FRAME_MS: u64 = 16;
/// Frames that are looked at together, 192 ms, and how many of them must be voiced: 128 ms.
const WINDOW: usize = 12;
const VOICED_MIN: u32 = 8;
/// Score of a voiced frame that may begin a voice. The network's memory is slow: in the first
/// syllable it comes to 0.65, and to 0.8 only after 200 ms and more. That much is wanted of frames
/// that are not like a vowel: noise that begins suddenly comes to 0.65 or 0.75.
const BEGIN_SCORE: f32 = 0.6;
const BEGIN_SCORE_DULL: f32 = 0.7;
const BEGIN_SCORE_NOISY: f32 = 0.8;
/// So many voiced frames of a window must be more than tones: a clean vowel may pass for two tones
/// for a while, a key never for anything else.
const RICH_MIN: u32 = 3;
/// Likeness of neighbouring samples in a vowel, and in anything that is not hiss.
const VOWEL: f32 = 0.85;
const HISS: f32 = 0.3;
/// Score that keeps a voice going, and that of a tonal frame which does.
const KEEP_SCORE: f32 = 0.45;
const KEEP_SCORE_TONAL: f32 = 0.8;
/// A frame so far below the loudest ones is no part of the voice, whatever the network remembers,
/// and how quickly the loudest are forgotten, per frame. Units: dB.
const KEEP_BELOW_LOUD_DB: f32 = 30.0;
const FORGET_LOUD_DB: f32 = 0.05;
/// A frame that may begin a voice stands out of the noise by this. Units: dB.
const BEGIN_OVER_FLOOR_DB: f32 = 6.0;
/// The onset is looked for so many frames before the first voiced one.
const ONSET_FRAMES: usize = 5;
/// Share of voiced frames over some 5 s that no talker has: a crowd, or music.
const CROWD_SHARE: f32 = 0.8;
/// How quickly the share follows: 0.8 of the way in 5 s.
const SHARE_STEP: f32 = 1.0 / 194.0;
/// How quickly the score that is wanted rises in a crowd, per frame, and at most.
const CROWD_STEP: f32 = 0.000_5;
const CROWD_MAX: f32 = 0.17;
/// A longer gap in the positions is the end of what came before it.
const GAP_MAX: Duration = Duration::from_millis(60);
/// How long a voice may pause.
const HANGOVER: Duration = Duration::from_millis(200);

/// The other party's voice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VadEvent {
    /// It began.
    Started {
        /// First sample of the voice, some 130 ms before this is known.
        position: u64,
        /// Level of its first part. Units: dBov.
        level_dbov: f32,
    },
    /// It ended.
    Stopped {
        /// One past the last sample of the voice.
        position: u64,
    },
}

/// One frame that is remembered.
#[derive(Debug, Clone, Copy)]
struct Frame {
    samples: [i16; FRAME],
    level: f32,
    /// Score that it must reach to begin a voice.
    wanted: f32,
    tonal: bool,
}

/// A detector of one party's voice.
///
/// Shape: mono, any sample rate; 8 and 16 kHz are meant. Cost: some 5 µs per 20 ms of silence and
/// 60 µs of anything louder; 16 KiB; nothing is allocated after [`Vad::new`].
pub struct Vad {
    detector: Box<Detector>,
    gate: Gate,
    upsampler: Upsampler,
    hangover: u64,
    gap_max: u64,
    /// Samples of the caller's rate in a frame.
    frame_len: usize,
    /// The frame that is being filled, at the caller's rate.
    filling: Box<[i16]>,
    filled: usize,
    /// The last frames at 16 kHz, a ring; `frames_seen` counts all since the last break.
    recent: Box<[Frame; WINDOW + ONSET_FRAMES]>,
    frames_seen: usize,
    /// Which of the last frames were voiced, and which of those more than tones; the newest is
    /// bit 0.
    voiced: u32,
    rich: u32,
    /// Position behind the last sample that came.
    end: Option<u64>,
    /// While a voice sounds: where its last voiced frame ended.
    voice_end: Option<u64>,
    /// Level of the loudest frames. Units: dBov.
    loud: f32,
    /// Share of voiced frames, and what is added to [`BEGIN_SCORE`] for it.
    share: f32,
    crowd: f32,
}

impl Vad {
    /// A detector for samples of this rate.
    pub fn new(rate: SampleRate) -> Self {
        let frame_len = usize::try_from(u64::from(rate.hz()) * FRAME_MS / 1_000);
        let frame_len = frame_len.unwrap_or(FRAME).max(1);
        let silent = Frame {
            samples: [0; FRAME],
            level: gate::SILENCE_DBOV,
            wanted: BEGIN_SCORE_NOISY,
            tonal: false,
        };
        Self {
            detector: Detector::default_boxed(),
            gate: Gate::new(),
            upsampler: Upsampler::new(),
            hangover: rate.samples_in(HANGOVER),
            gap_max: rate.samples_in(GAP_MAX),
            frame_len,
            filling: vec![0; frame_len].into_boxed_slice(),
            filled: 0,
            recent: Box::new([silent; WINDOW + ONSET_FRAMES]),
            frames_seen: 0,
            voiced: 0,
            rich: 0,
            end: None,
            voice_end: None,
            loud: gate::SILENCE_DBOV,
            share: 0.0,
            crowd: 0.0,
        }
    }

    /// The same with another pause that a voice may make; 200 ms otherwise.
    #[must_use]
    pub fn with_hangover(mut self, rate: SampleRate, hangover: Duration) -> Self {
        self.hangover = rate.samples_in(hangover);
        self
    }

    /// Whether a voice sounds.
    pub fn is_active(&self) -> bool {
        self.voice_end.is_some()
    }

    /// While a voice sounds: one past the last sample that was surely part of it.
    pub fn sounded_until(&self) -> Option<u64> {
        self.voice_end
    }

    /// Listens to samples that begin at this position. Gaps up to 60 ms are taken for silence; a
    /// longer one, or a step back, ends the voice and begins anew.
    pub fn push(&mut self, position: u64, samples: &[i16], sink: &mut impl FnMut(VadEvent)) {
        match self.end {
            Some(end) if position < end || position - end > self.gap_max => {
                self.break_off(sink);
                self.end = Some(position);
            }
            Some(end) => {
                for _ in end..position {
                    self.sample(0, sink);
                }
            }
            None => self.end = Some(position),
        }
        for &sample in samples {
            self.sample(sample, sink);
        }
    }

    /// Ends the voice, if one sounds, and forgets what came before.
    fn break_off(&mut self, sink: &mut impl FnMut(VadEvent)) {
        if let Some(position) = self.voice_end.take() {
            sink(VadEvent::Stopped { position });
        }
        self.gate.close();
        (self.filled, self.frames_seen, self.voiced, self.rich) = (0, 0, 0, 0);
    }

    fn sample(&mut self, sample: i16, sink: &mut impl FnMut(VadEvent)) {
        if let Some(place) = self.filling.get_mut(self.filled) {
            *place = sample;
            self.filled += 1;
        }
        self.end = self.end.map(|end| end.saturating_add(1));
        if self.filled == self.frame_len {
            self.filled = 0;
            self.frame(sink);
        }
    }

    /// Judges one whole frame.
    fn frame(&mut self, sink: &mut impl FnMut(VadEvent)) {
        let level = mean_square_dbov(&self.filling);
        let slot = self.frames_seen % self.recent.len();
        if let Some(frame) = self.recent.get_mut(slot) {
            frame.level = level;
            let audible = level >= gate::QUIET_DBOV;
            frame.tonal = audible && tone::is_tonal(&self.filling);
            frame.wanted = if audible { wanted(&self.filling) } else { BEGIN_SCORE_NOISY };
            self.upsampler.frame(&self.filling, &mut frame.samples);
        }
        self.frames_seen += 1;
        self.loud = (self.loud - FORGET_LOUD_DB).max(level);
        let was_open = self.gate.is_open();
        if self.gate.open_for(level) {
            let looked_at = if was_open { 1 } else { WINDOW.min(self.frames_seen) };
            if !was_open {
                self.detector.reset();
                (self.voiced, self.rich) = (0, 0);
            }
            for ago in (0..looked_at).rev() {
                self.score(ago);
            }
        } else {
            self.note(false, false);
        }
        self.decide(sink);
    }

    /// The frame that came so many frames ago.
    fn recent(&self, ago: usize) -> Option<&Frame> {
        let index = self.frames_seen.checked_sub(ago + 1)?;
        (ago < self.recent.len()).then(|| self.recent.get(index % self.recent.len())).flatten()
    }

    /// Asks the network about a frame.
    fn score(&mut self, ago: usize) {
        let Some(&Frame { samples, level, wanted, tonal }) = self.recent(ago) else { return };
        let score = self.detector.predict_i16(&samples);
        let (wanted, over_floor) = match self.voice_end {
            Some(_) if tonal => (KEEP_SCORE_TONAL, BEGIN_OVER_FLOOR_DB),
            Some(_) => (KEEP_SCORE, BEGIN_OVER_FLOOR_DB / 2.0),
            None => (wanted, BEGIN_OVER_FLOOR_DB),
        };
        let stands_out =
            level >= (self.gate.murmur(self.loud) + over_floor).max(self.loud - KEEP_BELOW_LOUD_DB);
        let voiced = stands_out && score >= wanted + self.crowd;
        if score < KEEP_SCORE {
            self.gate.is_noise(level);
        }
        self.note(voiced, !tonal);
    }

    fn note(&mut self, voiced: bool, rich: bool) {
        self.voiced = (self.voiced << 1) | u32::from(voiced);
        self.rich = (self.rich << 1) | u32::from(voiced && rich);
        self.share += (f32::from(u8::from(voiced)) - self.share) * SHARE_STEP;
        let step = if self.share > CROWD_SHARE { CROWD_STEP } else { -CROWD_STEP };
        self.crowd = (self.crowd + step).clamp(0.0, CROWD_MAX);
    }

    fn decide(&mut self, sink: &mut impl FnMut(VadEvent)) {
        let Some(end) = self.end else { return };
        match self.voice_end {
            Some(_) if self.voiced & 1 == 1 => self.voice_end = Some(end),
            Some(voice_end) if end - voice_end >= self.hangover => {
                self.voice_end = None;
                (self.voiced, self.rich) = (0, 0);
                sink(VadEvent::Stopped { position: voice_end });
            }
            Some(_) => (),
            None => {
                let window = self.voiced & ((1 << WINDOW) - 1);
                let rich = self.rich & window;
                if window.count_ones() >= VOICED_MIN && rich.count_ones() >= RICH_MIN {
                    self.voice_end = Some(end);
                    sink(self.onset(window, end));
                }
            }
        }
    }

    /// Where the voice of this window began, and how loud it is.
    fn onset(&self, window: u32, end: u64) -> VadEvent {
        let first = (u32::BITS - 1 - window.leading_zeros()) as usize;
        let loud = |ago: usize| {
            let frame = self.recent(ago);
            frame.is_some_and(|frame| frame.level >= self.gate.floor() + BEGIN_OVER_FLOOR_DB)
        };
        let before = (1..=ONSET_FRAMES).take_while(|n| loud(first + n)).count();
        let frames = (first + before + 1) as u64;
        let voiced = (0..=first).filter(|ago| window >> ago & 1 == 1);
        let powers = voiced.filter_map(|ago| self.recent(ago)).map(|f| 10_f32.powf(f.level / 10.0));
        let mean = powers.sum::<f32>() / f32::from(u16::try_from(window.count_ones()).unwrap_or(1));
        VadEvent::Started {
            position: end.saturating_sub(frames * self.frame_len as u64),
            level_dbov: 10.0 * mean.max(f32::MIN_POSITIVE).log10(),
        }
    }
}

/// The score that a frame must reach to begin a voice.
fn wanted(samples: &[i16]) -> f32 {
    match tone::likeness(samples) {
        VOWEL.. => BEGIN_SCORE,
        HISS..VOWEL => BEGIN_SCORE_DULL,
        _ => BEGIN_SCORE_NOISY,
    }
}

/// Level of samples without their mean, at least −96. Units: dBov.
pub(super) fn level_dbov(samples: &[i16]) -> f32 {
    mean_square_dbov(samples)
}
