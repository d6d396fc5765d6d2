//! When a caller's voice or key stops what is played, and for how long.
//!
//! ```text
//!           voice, long enough and not our echo,            confirmed, or nothing said
//!           or a key, while something is played             for the decision time
//!   Idle ─────────────────────────────────────────> Held ─────────────────────────────> Clear
//!    ^ │                                              │
//!    │ └─ mode clear: Clear at once                   └─ rejected ─> Resume
//!    └──── mode notify: told, nothing else
//! ```
//!
//! A voice that begins in the first 200 ms of our own sound is most likely its echo; one that is
//! like our sound must stand 6 dB out of it for 250 ms. A voice that was there before our sound
//! stops nothing: whoever plays has been told of it. Knows neither samples nor queues: others say
//! what the caller's sound is like and do what is put out.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Sound of the caller is not looked at for so long after ours began.
pub const DEAF: Duration = Duration::from_millis(200);
/// How long a voice must stand out of our echo.
const OVER_ECHO: Duration = Duration::from_millis(250);
/// A voice is looked for in so much of the past.
const WINDOW: Duration = Duration::from_millis(500);
/// A voice that was told is over when less of the last [`WINDOW`] stands out of our echo: the
/// detector may take the echo for the rest of it.
const KEEPS: Duration = Duration::from_millis(100);
/// An echo that was heard so recently may still be there, unrecognised.
const ECHO_RECENT: Duration = Duration::from_millis(1_000);
/// Stretches that are remembered: of 20 ms, so more than [`ECHO_RECENT`].
const STRETCHES_MAX: usize = 64;

/// What a voice or key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing, and nobody listens for it.
    #[default]
    Off,
    /// It is told.
    Notify,
    /// It throws away what is queued.
    Clear,
    /// It pauses what is queued until somebody decides.
    Pause,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Off, Self::Notify, Self::Clear, Self::Pause];

    /// The name in requests and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Notify => "notify",
            Self::Clear => "clear",
            Self::Pause => "pause",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

/// What a call wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BargeSpec {
    /// What happens.
    pub mode: Mode,
    /// Whether a voice does it.
    pub on_speech: bool,
    /// Whether a key does it.
    pub on_keys: bool,
    /// How long a voice must last.
    pub debounce: Duration,
    /// How long a pause waits for a decision.
    pub decision: Duration,
    /// Whether no decision clears; otherwise it resumes.
    pub confirm_late: bool,
}

impl Default for BargeSpec {
    /// Off; else a voice of 150 ms or a key, 500 ms to decide, and then it is cleared.
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            on_speech: true,
            on_keys: true,
            debounce: Duration::from_millis(150),
            decision: Duration::from_millis(500),
            confirm_late: true,
        }
    }
}

/// What a voice or key of the caller is to do, as far as somebody said; the rest is the
/// configuration's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BargeWish {
    /// What happens.
    pub mode: Option<Mode>,
    /// Whether a voice does it.
    pub on_speech: Option<bool>,
    /// Whether a key does it.
    pub on_keys: Option<bool>,
    /// How long a voice must last.
    pub debounce: Option<Duration>,
    /// How long a pause waits for a decision.
    pub decision: Option<Duration>,
    /// Whether no decision clears.
    pub confirm_late: Option<bool>,
}

impl BargeWish {
    /// This wish, with another's where it is silent.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            mode: self.mode.or(other.mode),
            on_speech: self.on_speech.or(other.on_speech),
            on_keys: self.on_keys.or(other.on_keys),
            debounce: self.debounce.or(other.debounce),
            decision: self.decision.or(other.decision),
            confirm_late: self.confirm_late.or(other.confirm_late),
        }
    }

    /// The wish with every question answered.
    #[must_use]
    pub fn resolve(self, usual: BargeSpec) -> BargeSpec {
        BargeSpec {
            mode: self.mode.unwrap_or(usual.mode),
            on_speech: self.on_speech.unwrap_or(usual.on_speech),
            on_keys: self.on_keys.unwrap_or(usual.on_keys),
            debounce: self.debounce.unwrap_or(usual.debounce),
            decision: self.decision.unwrap_or(usual.decision),
            confirm_late: self.confirm_late.unwrap_or(usual.confirm_late),
        }
    }
}

/// What a stretch of the caller's sound is like, beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// We were silent.
    Alone,
    /// Ours had just begun.
    Early,
    /// Theirs is too quiet to be compared.
    Silent,
    /// Unlike ours.
    Unlike,
    /// Ours.
    Echo,
    /// Ours, and something louder with it.
    OverEcho,
}

/// What happens to the core. Times are of the caller's media clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Something of the queue is being played, or no longer.
    Playing(bool),
    /// A stretch of the caller's sound was compared with ours.
    Compared {
        /// Its end.
        end: Duration,
        /// Its length.
        length: Duration,
        /// What it is like.
        like: Likeness,
    },
    /// All sound up to here was searched for voices.
    Heard {
        /// The end of it.
        end: Duration,
    },
    /// A voice began.
    VoiceStarted {
        /// Its first sound.
        onset: Duration,
    },
    /// It ended.
    VoiceStopped {
        /// Its last sound.
        end: Duration,
    },
    /// The caller pressed a key.
    Key,
    /// The client decided.
    Decided {
        /// Whether the caller may have the word.
        confirm: bool,
    },
    /// The client cleared the queue by itself, which decides too.
    Cleared,
    /// The client paused by itself: the pause is its own from here on.
    Kept,
    /// Time has passed; see [`BargeCore::deadline`].
    Tick,
}

/// What is to be told and done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The caller speaks.
    SpeechStarted {
        /// First sound of the voice.
        onset: Duration,
        /// Set if playout was paused for it.
        decide_within: Option<Duration>,
    },
    /// The caller speaks no more.
    SpeechStopped {
        /// First sound of the voice.
        onset: Duration,
        /// Its last sound.
        end: Duration,
    },
    /// A key was pressed while something is played, and nothing waits for a decision.
    KeyPressed,
    /// Playout was paused for a key.
    KeyHolds {
        /// How long it waits for a decision.
        decide_within: Duration,
    },
    /// Stop playing, keep the queue.
    Pause,
    /// Throw the queue away.
    Clear,
    /// Go on playing.
    Resume,
    /// Go on with what comes after what was thrown away.
    Release,
}

/// A voice that was found.
#[derive(Debug, Clone, Copy)]
struct Voice {
    onset: Duration,
    told: bool,
}

/// A stretch of the caller's sound.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    end: Duration,
    length: Duration,
    like: Likeness,
}

/// The barge-in of one call.
#[derive(Debug)]
pub struct BargeCore {
    spec: BargeSpec,
    playing: bool,
    voice: Option<Voice>,
    /// The past, oldest first; beyond [`STRETCHES_MAX`] the oldest goes.
    stretches: VecDeque<Stretch>,
    /// Until when playout waits for a decision.
    held: Option<Duration>,
    outputs: VecDeque<Output>,
}

impl BargeCore {
    /// A core that has heard nothing.
    #[must_use]
    pub fn new(spec: BargeSpec) -> Self {
        Self {
            spec,
            playing: false,
            voice: None,
            stretches: VecDeque::with_capacity(STRETCHES_MAX),
            held: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes in what happened; drain [`Self::poll_output`] afterwards.
    ///
    /// `now` is any clock that never goes back; only the decision is timed by it.
    pub fn handle(&mut self, now: Duration, input: Input) {
        match input {
            Input::Playing(playing) => self.playing = playing,
            Input::Compared { end, length, like } => {
                if self.stretches.len() >= STRETCHES_MAX {
                    self.stretches.pop_front();
                }
                self.stretches.push_back(Stretch { end, length, like });
            }
            Input::VoiceStarted { onset } => {
                self.voice = Some(Voice { onset, told: false });
            }
            Input::Heard { end } => self.consider(now, end),
            Input::VoiceStopped { end } => self.voice_stopped(end),
            Input::Key => self.key(now),
            Input::Decided { confirm } => self.decide(confirm),
            Input::Cleared => {
                if self.held.take().is_some() {
                    self.outputs.push_back(Output::Release);
                }
            }
            Input::Kept => self.held = None,
            Input::Tick => {
                if self.held.is_some_and(|held| held <= now) {
                    self.decide(self.spec.confirm_late);
                }
            }
        }
    }

    /// The next thing to tell or do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due, by the clock of [`Self::handle`].
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.held
    }

    /// Whether playout waits for a decision.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// What the call wants.
    #[must_use]
    pub fn spec(&self) -> BargeSpec {
        self.spec
    }

    /// Whether the voice that was found is the caller's, and what it does.
    fn consider(&mut self, now: Duration, end: Duration) {
        let Some(voice) = self.voice else { return };
        if voice.told {
            return self.reconsider(voice, end);
        }
        if !self.is_callers(voice.onset, end) {
            return;
        }
        self.voice = Some(Voice { told: true, ..voice });
        let stops = self.playing && self.spec.on_speech && self.held.is_none();
        let (onset, mode) = (voice.onset, self.spec.mode);
        let told = |decide_within| Output::SpeechStarted { onset, decide_within };
        match mode {
            Mode::Off => {}
            Mode::Pause if stops => {
                self.outputs.push_back(Output::Pause);
                self.outputs.push_back(told(Some(self.spec.decision)));
                self.held = Some(now + self.spec.decision);
            }
            Mode::Clear if stops => {
                self.outputs.extend([told(None), Output::Clear]);
            }
            Mode::Notify | Mode::Clear | Mode::Pause => self.outputs.push_back(told(None)),
        }
    }

    /// Enough of the voice is unlike our own sound.
    fn is_callers(&self, onset: Duration, end: Duration) -> bool {
        let lately = end.saturating_sub(ECHO_RECENT);
        if self.sum(|like| like != Likeness::Alone, lately) == Duration::ZERO {
            return end.saturating_sub(onset) >= self.spec.debounce;
        }
        let since = onset.max(end.saturating_sub(WINDOW));
        let needed = if self.sum(is_own, lately) > Duration::ZERO {
            OVER_ECHO.max(self.spec.debounce)
        } else {
            self.spec.debounce
        };
        self.sum(stands_out, since) >= needed
    }

    /// Whether a voice that was told is still more than our echo.
    fn reconsider(&mut self, voice: Voice, end: Duration) {
        let since = end.saturating_sub(WINDOW);
        if since < voice.onset
            || self.sum(is_own, since) == Duration::ZERO
            || self.sum(stands_out, since) >= KEEPS
        {
            return;
        }
        let last = self.stretches.iter().rev().find(|stretch| stands_out(stretch.like));
        let end = last.map_or(since, |stretch| stretch.end).max(voice.onset);
        self.voice_stopped(end);
        self.voice = Some(Voice { onset: end, told: false });
    }

    /// How much of the time since then was like that.
    fn sum(&self, wanted: fn(Likeness) -> bool, since: Duration) -> Duration {
        let of = self.stretches.iter().rev().take_while(|stretch| stretch.end > since);
        of.filter(|stretch| wanted(stretch.like)).map(|stretch| stretch.length).sum()
    }

    fn voice_stopped(&mut self, end: Duration) {
        let Some(voice) = self.voice.take().filter(|voice| voice.told) else { return };
        if self.spec.mode != Mode::Off {
            self.outputs.push_back(Output::SpeechStopped { onset: voice.onset, end });
        }
    }

    fn key(&mut self, now: Duration) {
        if !self.spec.on_keys || !self.playing {
            return;
        }
        match self.spec.mode {
            Mode::Off => {}
            Mode::Notify => self.outputs.push_back(Output::KeyPressed),
            Mode::Clear => self.outputs.extend([Output::KeyPressed, Output::Clear]),
            Mode::Pause if self.held.is_some() => {}
            Mode::Pause => {
                let decide_within = self.spec.decision;
                self.outputs.extend([Output::Pause, Output::KeyHolds { decide_within }]);
                self.held = Some(now + decide_within);
            }
        }
    }

    fn decide(&mut self, confirm: bool) {
        if self.held.take().is_none() {
            return;
        }
        if confirm {
            self.outputs.extend([Output::Clear, Output::Release]);
        } else {
            self.outputs.push_back(Output::Resume);
        }
    }
}

fn is_own(like: Likeness) -> bool {
    matches!(like, Likeness::Echo | Likeness::OverEcho)
}

/// It may be the caller's own voice.
fn stands_out(like: Likeness) -> bool {
    matches!(like, Likeness::Alone | Likeness::Unlike | Likeness::OverEcho)
}

#[cfg(test)]
mod tests;
