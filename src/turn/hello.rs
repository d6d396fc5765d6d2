//! When whoever was called has said their "hello?", so that we may begin.
//!
//! ```text
//!  answer ──> a voice ──> 400 ms of silence ............ begin: speech
//!         └─> nothing for 3 s ......................... begin: silence
//!             a voice, and no pause in it for 8 s ..... begin: late
//! ```
//!
//! Who answers speaks first, and hears nothing while they do. Works on when voices begin and end;
//! the waits are of a clock that runs also when no sound comes at all. Does not know who answered.

use std::time::Duration;

/// So much silence behind a voice ends it.
const PAUSE: Duration = Duration::from_millis(400);
/// Nobody is waited for longer who says nothing.
pub const NOBODY: Duration = Duration::from_secs(3);
/// Nobody is waited for longer in any case.
pub const LONGEST: Duration = Duration::from_secs(8);

/// What happens to the core. Positions are of the caller's media clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The call is answered: it counts from here.
    Answered,
    /// All sound up to here was searched for voices.
    Heard {
        /// The end of it.
        end: Duration,
        /// While a voice sounds: where it was last heard.
        voice: Option<Duration>,
    },
    /// A voice ended.
    VoiceStopped {
        /// Its last sound.
        end: Duration,
    },
    /// Time has passed; see [`HelloCore::deadline`].
    Tick,
}

/// Waits for one "hello?".
#[derive(Debug, Default)]
pub struct HelloCore {
    /// When the call was answered.
    answered: Option<Duration>,
    /// The last sound of the voice.
    voice: Option<Duration>,
    output: Option<&'static str>,
    over: bool,
}

impl HelloCore {
    /// Takes in what happened at `now`, by any clock that never goes back.
    pub fn handle(&mut self, now: Duration, input: Input) {
        if self.over {
            return;
        }
        match input {
            Input::Answered => {
                self.answered.get_or_insert(now);
            }
            Input::Heard { .. } | Input::VoiceStopped { .. } if self.answered.is_none() => {}
            Input::Heard { end, voice } => {
                self.voice = voice.or(self.voice);
                if self.voice.is_some_and(|last| end.saturating_sub(last) >= PAUSE) {
                    self.begin("speech");
                }
            }
            Input::VoiceStopped { end } => self.voice = Some(end),
            Input::Tick => {
                if self.deadline().is_some_and(|deadline| deadline <= now) {
                    self.begin(if self.voice.is_some() { "late" } else { "silence" });
                }
            }
        }
    }

    /// Why we may begin; once.
    pub fn poll_output(&mut self) -> Option<&'static str> {
        self.output.take()
    }

    /// When [`Input::Tick`] is due, by the clock of [`Self::handle`].
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let longest = if self.voice.is_some() { LONGEST } else { NOBODY };
        self.answered.filter(|_| !self.over).map(|answered| answered + longest)
    }

    /// Whether there is nothing to wait for any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn begin(&mut self, why: &'static str) {
        (self.over, self.output) = (true, Some(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// When we may begin after the answer at 5 s, and why; voices from and to, known 200 ms late.
    fn begun(voices: &[(u64, u64)], sound: bool) -> Option<(u64, &'static str)> {
        let mut core = HelloCore::default();
        core.handle(ms(5_000), Input::Answered);
        (20..20_000).step_by(20).find_map(|at: u64| {
            let now = ms(5_000 + at);
            let of = |(from, to): &&(u64, u64)| (from + 200..to + 500).contains(&at);
            let voice = voices.iter().rev().find(of).map(|(_, to)| ms(at.min(*to)));
            if sound {
                core.handle(now, Input::Heard { end: ms(at), voice });
            }
            core.handle(now, Input::Tick);
            core.poll_output().map(|why| (at, why))
        })
    }

    #[test]
    fn a_hello_is_waited_for_and_not_for_ever() {
        for (name, voices, wanted) in [
            ("hello", &[(400_u64, 900_u64)] as &[(u64, u64)], Some((1_300, "speech"))),
            ("a pause within", &[(400, 900), (1_000, 1_800)], Some((2_200, "speech"))),
            ("late hello", &[(2_700, 3_400)], Some((3_800, "speech"))),
            ("nobody", &[], Some((3_000, "silence"))),
            ("an announcement", &[(300, 19_000)], Some((8_000, "late"))),
        ] {
            assert_eq!(begun(voices, true), wanted, "{name}");
        }
        assert_eq!(begun(&[], false), Some((3_000, "silence")), "no packet comes at all");
    }

    #[test]
    fn what_was_said_before_the_answer_is_no_hello() {
        let mut core = HelloCore::default();
        core.handle(ms(10), Input::Heard { end: ms(10), voice: Some(ms(10)) });
        core.handle(ms(2_000), Input::Heard { end: ms(2_000), voice: None });
        core.handle(ms(9_000), Input::Tick);
        assert_eq!((core.poll_output(), core.deadline()), (None, None));
        core.handle(ms(9_000), Input::Answered);
        assert_eq!(core.deadline(), Some(ms(12_000)));
        core.handle(ms(12_000), Input::Tick);
        assert_eq!((core.poll_output(), core.is_over()), (Some("silence"), true));
    }
}
