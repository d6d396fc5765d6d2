//! The agent's voice: utterances in the order in which they are spoken, one at a time.
//!
//! ```text
//!  given (Speak) ──PlayStarted──> sounding ──PlayEnded──> gone
//!        └────────────── Cut ────────┴── waits for PlayCut ──> gone
//! ```
//!
//! Knows what was given out and what left; decides nothing.

use super::interface::{TurnId, UtteranceId};
use std::collections::VecDeque;
use std::time::Duration;

/// Utterances that may be given out and not yet played; more wait for room.
pub(super) const VOICES_MAX: usize = 64;

/// Who thought of an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The brain, as the answer of its turn.
    Brain,
    /// The core, while the brain thinks.
    Filler,
    /// The core, into a silence.
    Reprompt,
    /// The core, by itself: disclosure, greeting, last words.
    Own,
}

/// An utterance on its way.
#[derive(Debug, Clone)]
pub(super) struct Voice {
    pub utterance: UtteranceId,
    pub turn: TurnId,
    pub source: Source,
    pub text: String,
    pub interruptible: bool,
    /// When it was given out, or became the first in the queue.
    pub waits_since: Duration,
    /// When its first packet left.
    pub sounds_since: Option<Duration>,
    /// When it was cut, and whether the caller did it.
    pub cut: Option<(Duration, bool)>,
    /// The engine failed at it: what there is plays out, if it plays already.
    pub broken: bool,
}

/// The agent's voice.
#[derive(Debug, Default)]
pub(super) struct Mouth {
    voices: VecDeque<Voice>,
    /// Turned down.
    pub ducked: bool,
    /// When the agent began to sound, without a pause since.
    pub sounds_since: Option<Duration>,
    /// When the last sound of the agent left.
    pub last_sound: Duration,
}

impl Mouth {
    /// Whether another utterance may be given out.
    pub(super) fn has_room(&self) -> bool {
        self.voices.len() < VOICES_MAX
    }

    pub(super) fn push(&mut self, voice: Voice) {
        self.voices.push_back(voice);
    }

    /// What is given out and not cut, in order.
    pub(super) fn live(&self) -> impl Iterator<Item = &Voice> {
        self.voices.iter().filter(|voice| voice.cut.is_none())
    }

    /// The one that sounds or will sound next.
    pub(super) fn head(&self) -> Option<&Voice> {
        self.live().next()
    }

    /// Whether something is given out that may not be cut off, now or further back.
    pub(super) fn is_fixed(&self) -> bool {
        self.live().any(|voice| !voice.interruptible)
    }

    /// Whether anything is given out and not cut.
    pub(super) fn is_busy(&self) -> bool {
        self.head().is_some()
    }

    /// Whether the agent is heard, short gaps between sentences included.
    pub(super) fn speaks(&self) -> bool {
        self.sounds_since.is_some() && self.is_busy()
    }

    /// First sound of the earliest utterance that has not ended.
    pub(super) fn open_since(&self) -> Option<Duration> {
        self.voices.iter().filter_map(|voice| voice.sounds_since).min()
    }

    /// Notes the first packet of an utterance. `None`: it is not its turn to sound.
    pub(super) fn start(&mut self, utterance: UtteranceId, now: Duration) -> Option<Voice> {
        let head = self.voices.iter_mut().find(|voice| voice.cut.is_none())?;
        if head.utterance != utterance || head.sounds_since.is_some() {
            return None;
        }
        head.sounds_since = Some(now);
        let started = head.clone();
        self.sounds_since.get_or_insert(now);
        Some(started)
    }

    /// Takes an utterance that ended or was cut out of the queue.
    pub(super) fn take(&mut self, utterance: UtteranceId, now: Duration) -> Option<Voice> {
        let at = self.voices.iter().position(|voice| voice.utterance == utterance)?;
        let voice = self.voices.remove(at)?;
        if voice.sounds_since.is_some() {
            self.last_sound = self.last_sound.max(voice.cut.map_or(now, |(cut, _)| cut));
        }
        if let Some(head) = self.voices.iter_mut().find(|voice| voice.cut.is_none()) {
            head.waits_since = head.waits_since.max(now);
        } else {
            self.sounds_since = None;
        }
        Some(voice)
    }

    /// Marks all that is given out as cut; the utterances come back one by one. Returns those.
    pub(super) fn cut(&mut self, now: Duration, by_caller: bool) -> Vec<Voice> {
        let mut cut = Vec::new();
        for voice in self.voices.iter_mut().filter(|voice| voice.cut.is_none()) {
            voice.cut = Some((now, by_caller));
            cut.push(voice.clone());
        }
        if cut.iter().any(|voice| voice.sounds_since.is_some()) {
            self.last_sound = self.last_sound.max(now);
        }
        self.sounds_since = None;
        self.ducked = false;
        cut
    }

    /// Marks an utterance as broken; it is taken out if nothing of it sounded. Whether it was
    /// wanted and whole until then.
    pub(super) fn broke(&mut self, utterance: UtteranceId, now: Duration) -> bool {
        let Some(voice) = self.voices.iter_mut().find(|voice| voice.utterance == utterance) else {
            return false;
        };
        // A synthesis that was cancelled has not failed.
        let first = !voice.broken && voice.cut.is_none();
        voice.broken = true;
        if voice.sounds_since.is_none() && voice.cut.is_none() {
            self.take(utterance, now);
        }
        first
    }

    /// The oldest one that is cut and has not come back.
    pub(super) fn oldest_cut(&self) -> Option<(UtteranceId, Duration)> {
        let cut = self.voices.iter().filter_map(|v| v.cut.map(|(at, _)| (v.utterance, at)));
        cut.min_by_key(|&(_, at)| at)
    }
}
