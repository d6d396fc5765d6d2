//! The beep after which a mailbox records: one steady tone, then silence.
//!
//! ```text
//!  5 ms pieces ─> is it one sine? (x[n+1] + x[n−1] = 2 cos ω · x[n]) ─> same pitch and level
//!                                          for 120 ms to 2 s ─> then quiet for 60 ms ─> beep
//! ```
//!
//! Two tones at once (DTMF, ringing and busy tones of many countries) beat and are no sine; a
//! single ringing tone near 425 Hz is told by its length. Speech holds no pitch so still. Does not
//! know calls: whether a beep means anything is for others to say.

use super::rate::SampleRate;
use std::time::Duration;

/// Pitch of a beep. Units: Hz.
const PITCH_MIN_HZ: f32 = 400.0;
const PITCH_MAX_HZ: f32 = 2_000.0;
/// Below this pitch lie the ringing and busy tones, which last longer than a low beep may.
const PROGRESS_MAX_HZ: f32 = 490.0;
/// How long a beep lasts, and a low one.
const LENGTH_MIN: Duration = Duration::from_millis(120);
const LENGTH_MAX: Duration = Duration::from_secs(2);
const LENGTH_LOW_MAX: Duration = Duration::from_millis(400);
/// How long it must be quiet afterwards.
const QUIET: Duration = Duration::from_millis(60);
/// A piece that is looked at: two periods of the lowest beep.
const PIECE: Duration = Duration::from_millis(5);
/// A beep is at least so loud. Units: dBov.
const LEVEL_MIN_DBOV: f32 = -42.0;
/// Quiet is so far below the beep. Units: dB.
const QUIET_BELOW_DB: f32 = 18.0;
/// What one sine may leave unexplained, as a share of the power.
const REST_MAX: f32 = 0.02;
/// How far pitch and level may stray from the running mean. Units: share, dB.
const PITCH_STRAY: f32 = 0.03;
const LEVEL_STRAY_DB: f32 = 2.0;
/// The longest piece, at 48 kHz. Units: samples.
const PIECE_MAX: usize = 240;

/// A beep that was heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beep {
    /// One past its last sample.
    pub position: u64,
    /// Its pitch. Units: Hz.
    pub pitch_hz: f32,
}

/// What one piece sounds like.
#[derive(Debug, Clone, Copy)]
struct Sound {
    level: f32,
    /// If it is one sine.
    pitch: Option<f32>,
}

/// A tone that lasts, or has lasted.
#[derive(Debug, Clone, Copy)]
struct Tone {
    pitch: f32,
    level: f32,
    pieces: u32,
    end: u64,
    quiet: u32,
    /// What came at its edge: the tone may end within a piece.
    edges: u32,
}

/// A detector of beeps in one party's sound.
///
/// Shape: mono, 8 to 48 kHz. Cost: three multiplications a sample; nothing is allocated.
#[derive(Debug)]
pub struct BeepDetector {
    hz: f32,
    piece: usize,
    filling: [i16; PIECE_MAX],
    filled: usize,
    end: Option<u64>,
    tone: Option<Tone>,
}

impl BeepDetector {
    /// A detector for samples of this rate; above 48 kHz it hears nothing.
    #[expect(clippy::cast_precision_loss, reason = "a sample rate")]
    pub fn new(rate: SampleRate) -> Self {
        let piece = usize::try_from(rate.samples_in(PIECE)).unwrap_or(usize::MAX).max(8);
        Self {
            hz: rate.hz() as f32,
            piece,
            filling: [0; PIECE_MAX],
            filled: 0,
            end: None,
            tone: None,
        }
    }

    /// Listens to samples that begin at this position. After a gap it begins anew.
    pub fn push(&mut self, position: u64, samples: &[i16], sink: &mut impl FnMut(Beep)) {
        if self.end.is_some_and(|end| end != position) {
            (self.filled, self.tone) = (0, None);
        }
        let mut at = position;
        for &sample in samples {
            if let Some(place) = self.filling.get_mut(self.filled) {
                *place = sample;
            }
            self.filled += 1;
            at = at.saturating_add(1);
            if self.filled >= self.piece {
                self.filled = 0;
                let heard = self.filling.get(..self.piece).map(|piece| sound(piece, self.hz));
                if let Some(beep) = heard.and_then(|sound| self.piece_ended(sound, at)) {
                    sink(beep);
                }
            }
        }
        self.end = Some(at);
    }

    /// Goes on with the tone, begins one, or ends it.
    fn piece_ended(&mut self, sound: Sound, end: u64) -> Option<Beep> {
        let Some(mut tone) = self.tone else {
            self.tone = begin(sound, end);
            return None;
        };
        let same = sound.pitch.is_some_and(|pitch| {
            (pitch - tone.pitch).abs() <= tone.pitch * PITCH_STRAY
                && (sound.level - tone.level).abs() <= LEVEL_STRAY_DB
        });
        if same && tone.quiet == 0 && tone.edges == 0 {
            let weight = 1.0 / f32::from(u8::try_from(tone.pieces.min(20)).unwrap_or(20) + 1);
            tone.pitch += (sound.pitch.unwrap_or(tone.pitch) - tone.pitch) * weight;
            tone.level += (sound.level - tone.level) * weight;
            (tone.pieces, tone.end) = (tone.pieces + 1, end);
            self.tone = Some(tone);
            return None;
        }
        if sound.level <= tone.level - QUIET_BELOW_DB {
            tone.quiet += 1;
        } else if tone.quiet == 0 && tone.edges < 2 && sound.level < tone.level + LEVEL_STRAY_DB {
            tone.edges += 1;
        } else {
            self.tone = begin(sound, end);
            return None;
        }
        self.tone = Some(tone);
        if pieces(QUIET) > tone.quiet {
            return None;
        }
        self.tone = None;
        is_beep(&tone).then_some(Beep { position: tone.end, pitch_hz: tone.pitch })
    }
}

fn begin(sound: Sound, end: u64) -> Option<Tone> {
    let pitch = sound.pitch?;
    Some(Tone { pitch, level: sound.level, pieces: 1, end, quiet: 0, edges: 0 })
}

fn pieces(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / PIECE.as_millis()).unwrap_or(u32::MAX)
}

fn is_beep(tone: &Tone) -> bool {
    let longest = if tone.pitch < PROGRESS_MAX_HZ { LENGTH_LOW_MAX } else { LENGTH_MAX };
    // The first and the last piece may have been cut by the edges.
    (pieces(LENGTH_MIN) - 2..=pieces(longest)).contains(&tone.pieces)
}

/// Level of a piece, and its pitch if it is one sine.
fn sound(piece: &[i16], hz: f32) -> Sound {
    let level = super::vad::level_dbov(piece);
    if level < LEVEL_MIN_DBOV {
        return Sound { level, pitch: None };
    }
    // The factor 2 cos ω that predicts best, and what it leaves.
    let (mut power, mut cross, mut neighbours) = (0.0_f32, 0.0_f32, 0.0_f32);
    for near in piece.windows(3) {
        let &[before, x, after] = near else { continue };
        let (x, sum) = (f32::from(x), f32::from(before) + f32::from(after));
        power += x * x;
        cross += x * sum;
        neighbours += sum * sum;
    }
    let factor = cross / power.max(1.0);
    let rest = (neighbours - factor * cross) / power.max(1.0);
    let pitch = (factor / 2.0).clamp(-1.0, 1.0).acos() * hz / std::f32::consts::TAU;
    // A low sine is predicted well by anything: what is left is judged against its own curvature.
    let curvature = (2.0 - factor).clamp(0.0, 2.0);
    let steady = rest <= REST_MAX * curvature.min(1.0);
    let in_range = (PITCH_MIN_HZ..=PITCH_MAX_HZ).contains(&pitch);
    Sound { level, pitch: (steady && in_range).then_some(pitch) }
}

#[cfg(test)]
mod tests;
