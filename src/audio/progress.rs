//! What the network says in tones: ringing, busy, reorder, special information, dial, fax.
//!
//! ```text
//!  samples ─> 20 ms: one sine or two? (the rule that predicts each sample from its neighbours)
//!                └─> high: its pitch; low: which pair explains 60 ms best ─> which tone ─┐
//!  how long it sounds, how long it is quiet ────────────────────── cadence ─> what it means
//! ```
//!
//! A voice never holds two pitches as still as this for a quarter of a second. What a tone means
//! is told once it is sure enough, with how sure and why; the same tone goes on untold. Beeps of
//! mailboxes are [`super::beep`]'s, keys [`super::dtmf`]'s; what is done about a tone is for others
//! to say.

mod make;
mod pitch;

pub use make::{Plan, ProgressTone, Signal, Tone};

use super::rate::SampleRate;
use super::sines::Sums;
use pitch::share;

/// A stretch that is looked at: 20 ms at 8 kHz.
const BLOCK: usize = 160;
const BLOCK_MS: u32 = 20;
/// Low tones are told apart over three blocks.
const WINDOW: usize = 3 * BLOCK;
/// Pitches above this are told by the rule alone. Units: Hz.
const LOW_MAX_HZ: f32 = 700.0;
/// A pair must explain this much of the power.
const EXPLAINED: f32 = 0.65;
/// Segments that are remembered: three on, three off, and the one before.
const SEGMENTS: usize = 7;
/// A tone that was told is not told again before it was away for so long. Units: milliseconds.
const AGAIN_MS: u32 = 10_000;
/// Quieter than this is silence. Units: mean square, −45 dBov.
const LOUD: f32 = 34_000.0;

/// What a tone means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToneKind {
    /// The other side is being called.
    Ringback,
    /// It is taken.
    Busy,
    /// The network is.
    Reorder,
    /// An announcement of the network follows: three rising tones.
    SpecialInformation,
    /// An exchange waits for digits.
    Dial,
    /// A fax calls.
    FaxCalling,
    /// A fax or modem answers.
    FaxAnswer,
    /// A fax or modem answers and switches echo cancellers off: phase reversals (V.25).
    ModemAnswer,
}

impl ToneKind {
    /// The name in messages and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ringback => "ringback",
            Self::Busy => "busy",
            Self::Reorder => "reorder",
            Self::SpecialInformation => "sit",
            Self::Dial => "dial",
            Self::FaxCalling => "fax_cng",
            Self::FaxAnswer => "fax_ced",
            Self::ModemAnswer => "fax_ansam",
        }
    }
}

/// A tone that was heard and understood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeardTone {
    /// What it means.
    pub kind: ToneKind,
    /// How sure that is, 0 to 1.
    pub confidence: f32,
    /// By what.
    pub reason: &'static str,
    /// Position of its first sample, to 20 ms.
    pub position: u64,
}

/// Which tone sounds, by its pitches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pair {
    /// A low one that has only just begun.
    New,
    /// 440 and 480 Hz: North America rings.
    Ring,
    /// 425 Hz or near, alone, or 400 and 450: Europe rings, is busy, or waits.
    Mid,
    /// 480 and 620 Hz: North America is busy.
    Busy,
    /// 350 and 440 Hz: North America waits.
    Dial,
    /// The three of special information, by number.
    Special(u8),
    /// 1100 Hz.
    Calling,
    /// 2100 Hz.
    Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    Silence,
    Tone(Pair),
    /// Anything else.
    Other,
}

/// A sound from its beginning to its end, or to this moment.
#[derive(Debug, Clone, Copy)]
struct Segment {
    sound: Sound,
    ms: u32,
    position: u64,
    /// Phase reversals in it.
    reversals: u32,
}

/// Hears what the network says in one party's sound.
///
/// Shape: mono at a multiple of 8 kHz. Cost: six multiplications a sample where it is loud, some
/// 2 µs per 20 ms, and 8 µs while a low tone sounds; 1.5 KiB; nothing is allocated.
#[derive(Debug, Clone)]
pub struct ProgressDetector {
    factor: usize,
    sum: i32,
    count: usize,
    filled: usize,
    /// The last samples, the block last.
    window: [i16; WINDOW],
    /// Blocks in a row that are one sine or two.
    run: usize,
    /// The last segments, the running one last.
    segments: [Segment; SEGMENTS],
    /// What the last block was: one odd block does not end a sound.
    odd: Option<Sound>,
    /// Pitch of the newest block. Units: Hz.
    pitch: f32,
    /// Phase at 2100 Hz of the last block of that tone, and how many blocks ago that was.
    phase: Option<(f32, f32)>,
    end: Option<u64>,
    /// What was told last, and for how long it has not been heard.
    told: Option<(ToneKind, u32)>,
}

impl ProgressDetector {
    /// A detector that has heard nothing.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        let sound = Sound::Silence;
        Self {
            factor: usize::try_from(rate.hz() / 8_000).unwrap_or(1).max(1),
            sum: 0,
            count: 0,
            filled: 0,
            window: [0; WINDOW],
            run: 0,
            segments: [Segment { sound, ms: 0, position: 0, reversals: 0 }; SEGMENTS],
            odd: None,
            pitch: 0.0,
            phase: None,
            end: None,
            told: None,
        }
    }

    /// Listens to samples that begin at this position; after a gap it begins anew.
    pub fn push(&mut self, position: u64, samples: &[i16], sink: &mut impl FnMut(HeardTone)) {
        if self.end.is_some_and(|end| end != position) {
            (self.sum, self.count, self.filled, self.odd, self.phase) = (0, 0, 0, None, None);
            self.enter(Sound::Other, position);
        }
        let mut at = position;
        for &sample in samples {
            at = at.saturating_add(1);
            self.sum += i32::from(sample);
            self.count += 1;
            if self.count < self.factor {
                continue;
            }
            let mean = self.sum / i32::try_from(self.factor).unwrap_or(1);
            if let Some(place) = self.window.get_mut(WINDOW - BLOCK + self.filled) {
                *place = i16::try_from(mean).unwrap_or(0);
            }
            (self.sum, self.count) = (0, 0);
            self.filled += 1;
            if self.filled == BLOCK {
                self.filled = 0;
                if let Some(tone) = self.block_ended(at) {
                    sink(tone);
                }
            }
        }
        self.end = Some(at);
    }

    fn block_ended(&mut self, end: u64) -> Option<HeardTone> {
        let start = end.saturating_sub((BLOCK * self.factor) as u64);
        let sound = self.sound();
        self.follow(sound, start);
        self.count_reversals(sound);
        self.window.copy_within(BLOCK.., 0);
        if let Some((_, away)) = &mut self.told {
            *away = away.saturating_add(BLOCK_MS);
        }
        let (kind, confidence, reason, from) = self.meaning()?;
        let again = self
            .told
            .is_none_or(|(told, away)| told != kind && !is_refined(kind, told) || away > AGAIN_MS);
        self.told = Some(match self.told {
            Some((told, _)) if is_refined(kind, told) => (told, 0),
            Some(_) | None => (kind, 0),
        });
        let position = self.segments.get(from).map_or(start, |segment| segment.position);
        again.then_some(HeardTone { kind, confidence, reason, position })
    }

    /// What the newest block is.
    fn sound(&mut self) -> Sound {
        let block = self.window.get(WINDOW - BLOCK..).unwrap_or_default();
        let sums = Sums::of(block);
        if sums.mean_square() < LOUD {
            self.run = 0;
            return Sound::Silence;
        }
        let Some(pitch) = sums.pitch() else {
            self.run = 0;
            return Sound::Other;
        };
        self.run += 1;
        self.pitch = pitch;
        let pair = match pitch {
            LOW_MAX_HZ.. => high(pitch),
            _ if self.run < WINDOW / BLOCK => Some(Pair::New),
            _ => low(&self.window),
        };
        pair.map_or(Sound::Other, Sound::Tone)
    }

    /// Goes on with the running segment, or begins another.
    fn follow(&mut self, sound: Sound, start: u64) {
        let segment = &mut self.segments[SEGMENTS - 1];
        let sound = match (segment.sound, sound) {
            (Sound::Tone(Pair::New), Sound::Tone(_)) => {
                segment.sound = sound;
                sound
            }
            // After one odd block.
            (Sound::Tone(pair), Sound::Tone(Pair::New)) if pair.is_low() => segment.sound,
            _ => sound,
        };
        let running = segment.sound;
        if sound == running {
            let extra = if self.odd.take().is_some() { 2 * BLOCK_MS } else { BLOCK_MS };
            self.segments[SEGMENTS - 1].ms = self.segments[SEGMENTS - 1].ms.saturating_add(extra);
            return;
        }
        // One block at an edge may be anything; the second decides.
        match self.odd.take() {
            Some(odd) if odd == sound || running == Sound::Other => {
                self.enter(sound, start.saturating_sub((BLOCK * self.factor) as u64));
                self.segments[SEGMENTS - 1].ms = 2 * BLOCK_MS;
            }
            Some(_) => {
                self.enter(sound, start);
                self.segments[SEGMENTS - 1].ms = BLOCK_MS;
            }
            None => self.odd = Some(sound),
        }
    }

    fn enter(&mut self, sound: Sound, position: u64) {
        self.segments.rotate_left(1);
        self.segments[SEGMENTS - 1] = Segment { sound, ms: 0, position, reversals: 0 };
        self.phase = None;
    }

    /// Counts jumps of half a turn; a block is 42 turns of 2100 Hz, and what the pitch is off
    /// turns the phase a little.
    fn count_reversals(&mut self, sound: Sound) {
        let segment = &mut self.segments[SEGMENTS - 1];
        if segment.sound != Sound::Tone(Pair::Answer) {
            return;
        }
        if let Some((_, ago)) = &mut self.phase {
            *ago += 1.0;
        }
        if sound != segment.sound {
            return;
        }
        let block = self.window.get(WINDOW - BLOCK..).unwrap_or_default();
        let phase = pitch::phase(block, 2_100.0);
        let turns = (self.pitch - 2_100.0) * 0.02;
        let jumps = self.phase.is_some_and(|(before, ago)| {
            let expected = before + std::f32::consts::TAU * turns * ago;
            pitch::between(expected, phase) > 0.7 * std::f32::consts::PI
        });
        segment.reversals += u32::from(jumps);
        self.phase = Some((phase, 0.0));
    }

    /// What the segments mean, how surely, why, and with which of them it began.
    fn meaning(&self) -> Option<(ToneKind, f32, &'static str, usize)> {
        let last = SEGMENTS - 1;
        let now = self.segments[last];
        match now.sound {
            Sound::Tone(Pair::Ring) if now.ms >= 400 => {
                Some((ToneKind::Ringback, 0.9, "440 and 480 Hz", last))
            }
            Sound::Tone(Pair::Dial) if now.ms >= 1_000 => {
                Some((ToneKind::Dial, 0.9, "350 and 440 Hz without a pause", last))
            }
            Sound::Tone(Pair::Mid) if now.ms >= 3_500 => {
                Some((ToneKind::Dial, 0.6, "425 Hz without a pause", last))
            }
            Sound::Tone(Pair::Answer) if now.reversals > 0 && now.ms >= 900 => {
                Some((ToneKind::ModemAnswer, 0.95, "2100 Hz with phase reversals", last))
            }
            Sound::Tone(Pair::Answer) if now.ms >= 1_000 => {
                Some((ToneKind::FaxAnswer, 0.8, "2100 Hz for a second", last))
            }
            Sound::Tone(Pair::Special(2)) if now.ms >= 160 => self.special(),
            Sound::Tone(Pair::Mid | Pair::Busy) if now.ms >= 160 => self.beat(last),
            Sound::Silence => self.after(now.ms),
            Sound::Tone(_) | Sound::Other => None,
        }
    }

    /// What the silence after a tone says.
    fn after(&self, quiet_ms: u32) -> Option<(ToneKind, f32, &'static str, usize)> {
        let at = SEGMENTS - 2;
        let tone = self.segments[at];
        match tone.sound {
            Sound::Tone(Pair::Calling) if (400..=620).contains(&tone.ms) && quiet_ms >= 300 => {
                let again = self.segments[at - 2].sound == tone.sound;
                let (confidence, reason) = if again {
                    (0.95, "1100 Hz for half a second, again")
                } else {
                    (0.8, "1100 Hz for half a second")
                };
                Some((ToneKind::FaxCalling, confidence, reason, at))
            }
            Sound::Tone(Pair::Mid) if (700..=2_200).contains(&tone.ms) && quiet_ms >= 1_500 => {
                Some((ToneKind::Ringback, 0.8, "425 Hz for a second, then a long pause", at))
            }
            Sound::Tone(Pair::Mid) if (340..=460).contains(&tone.ms) && quiet_ms >= 1_500 => {
                let twice = self.segments[at - 2];
                let double = twice.sound == tone.sound && (340..=460).contains(&twice.ms);
                let gap = self.segments[at - 1].ms;
                let found = double && (140..=260).contains(&gap);
                found.then_some((ToneKind::Ringback, 0.9, "two short rings, then a pause", at - 2))
            }
            Sound::Tone(_) | Sound::Silence | Sound::Other => None,
        }
    }

    /// The three rising tones, the last of which sounds.
    fn special(&self) -> Option<(ToneKind, f32, &'static str, usize)> {
        let mut at = SEGMENTS - 1;
        for number in (0..2).rev() {
            at = at.checked_sub(1)?;
            // A short gap between them is borne.
            if self.segments.get(at)?.sound == Sound::Silence && self.segments.get(at)?.ms <= 80 {
                at = at.checked_sub(1)?;
            }
            let tone = self.segments.get(at)?;
            if tone.sound != Sound::Tone(Pair::Special(number)) || !(160..=460).contains(&tone.ms) {
                return None;
            }
        }
        Some((ToneKind::SpecialInformation, 0.95, "three rising tones", at))
    }

    /// The same tone, on and off in even time, for the third time.
    fn beat(&self, last: usize) -> Option<(ToneKind, f32, &'static str, usize)> {
        let Sound::Tone(pair) = self.segments[last].sound else { return None };
        let past = [&self.segments[last - 4], &self.segments[last - 2]];
        let gaps = [&self.segments[last - 3], &self.segments[last - 1]];
        let same = past.iter().all(|segment| segment.sound == Sound::Tone(pair))
            && gaps.iter().all(|segment| segment.sound == Sound::Silence);
        let parts = || past.iter().chain(&gaps).map(|segment| segment.ms);
        let mean = parts().sum::<u32>() / 4;
        let even = parts().all(|ms| ms.abs_diff(mean) * 4 <= mean);
        if !(same && even) {
            return None;
        }
        // The pair means nothing else; 425 Hz may.
        let sure = if pair == Pair::Busy { 0.95 } else { 0.85 };
        match mean {
            430..=600 => Some((ToneKind::Busy, sure, "half a second on and off", last - 4)),
            310..=429 => Some((ToneKind::Busy, sure - 0.1, "3/8 of a second on and off", last - 4)),
            140..=309 => Some((ToneKind::Reorder, sure, "1/4 of a second on and off", last - 4)),
            _ => None,
        }
    }
}

/// A modem's answer begins as a fax's; it is not told as one afterwards.
fn is_refined(kind: ToneKind, told: ToneKind) -> bool {
    kind == ToneKind::FaxAnswer && told == ToneKind::ModemAnswer
}

impl Pair {
    fn is_low(self) -> bool {
        matches!(self, Self::New | Self::Ring | Self::Mid | Self::Busy | Self::Dial)
    }
}

/// Which of the high tones has this pitch.
fn high(hz: f32) -> Option<Pair> {
    [
        (950.0, 45.0, Pair::Special(0)),
        (1_100.0, 38.0, Pair::Calling),
        (1_400.0, 45.0, Pair::Special(1)),
        (1_800.0, 45.0, Pair::Special(2)),
        (2_100.0, 20.0, Pair::Answer),
    ]
    .into_iter()
    .find_map(|(of, by, pair)| ((hz - of).abs() <= by).then_some(pair))
}

/// Which of the low tones explains these samples best, if any does.
fn low(samples: &[i16; WINDOW]) -> Option<Pair> {
    const PITCHES: [f32; 7] = [350.0, 400.0, 425.0, 440.0, 450.0, 480.0, 620.0];
    const PAIRS: [(usize, Option<usize>, Pair); 9] = [
        (3, Some(5), Pair::Ring),
        (5, Some(6), Pair::Busy),
        (0, Some(3), Pair::Dial),
        (1, Some(4), Pair::Mid),
        (1, None, Pair::Mid),
        (2, None, Pair::Mid),
        (3, None, Pair::Mid),
        (4, None, Pair::Mid),
        (5, None, Pair::Mid),
    ];
    let shares = PITCHES.map(|hz| share(samples, hz));
    let of = |at: usize| shares.get(at).copied().unwrap_or(0.0);
    let mut best = (EXPLAINED, None);
    for (one, other, pair) in PAIRS {
        let explained = match other {
            // Both must be there.
            Some(other) => of(one).min(6.0 * of(other)) + of(other).min(6.0 * of(one)),
            None => of(one),
        };
        if explained > best.0 {
            best = (explained, Some(pair));
        }
    }
    best.1
}

#[cfg(test)]
mod tests;
