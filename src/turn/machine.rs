//! Who answered a call: a person, a machine, or nobody can tell; and when a message may begin.
//!
//! ```text
//!  "Hello?" ... 800 ms of silence ................. human
//!  1.5 s of greeting without such a pause ......... machine     ── beep, or long silence ──> end
//!  a mailbox's words, a beep, a fax ............... machine, whenever it comes (45 s)
//!  2.5 s of nothing, or 5 s without a verdict ..... unknown; may still become one of the others
//! ```
//!
//! Told with how sure it is and why; a later verdict replaces an earlier one only if it knows
//! better. Works on when voices begin and end, on words and on tones that others hear. Nothing
//! waits for it: what is done about a verdict is for others to say.

use super::answerer::AnswererJudge;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Silence after a machine's greeting that ends it, beep or not.
const LONG_SILENCE: Duration = Duration::from_secs(3);
/// Beeps, words and fax tones count for so long after the answer.
const WATCHED: Duration = Duration::from_secs(45);
/// A greeting that is shorter than this is most surely a person's.
const SHORT: Duration = Duration::from_millis(900);
/// One that is so long is most surely read out.
const LONG: Duration = Duration::from_millis(2_400);

/// What becomes of a call that a machine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmdAction {
    /// It is told.
    Report,
    /// The call ends.
    Hangup,
    /// A prompt begins (anew) behind the greeting.
    LeaveMessage,
}

impl AmdAction {
    /// The name in requests and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Hangup => "hangup",
            Self::LeaveMessage => "leave_message",
        }
    }
}

/// What a request wants to know of who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmdSpec {
    /// A prompt waits for the verdict.
    pub sync: bool,
    /// What a machine makes.
    pub action: AmdAction,
    /// The thresholds.
    pub machine: MachineSpec,
}

/// Thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// So much silence from the answer on says nothing.
    pub initial_silence: Duration,
    /// A longer greeting is a machine's.
    pub greeting: Duration,
    /// So much silence after a shorter one makes it a person's.
    pub after_greeting_silence: Duration,
    /// After so long the cadence has said what it can.
    pub total: Duration,
    /// A shorter sound is no word.
    pub min_word: Duration,
    /// How long a beep is waited for after a machine was told, unless it goes on speaking.
    pub beep_timeout: Duration,
    /// A greeting ends with a beep only, or when that time is over; otherwise silence ends it, too.
    pub beep: bool,
}

impl Default for MachineSpec {
    /// Asterisk's figures, which people know.
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            initial_silence: ms(2_500),
            greeting: ms(1_500),
            after_greeting_silence: ms(800),
            total: ms(5_000),
            min_word: ms(100),
            beep_timeout: ms(10_000),
            beep: false,
        }
    }
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// A person.
    Human,
    /// A mailbox, an answering machine, or a fax.
    Machine,
    /// It cannot be told.
    Unknown,
}

impl AnsweredBy {
    /// The name in messages and in the call object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Machine => "machine",
            Self::Unknown => "unknown",
        }
    }
}

/// Who answered, how sure that is, and by what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Who.
    pub by: AnsweredBy,
    /// 0 to 1.
    pub confidence: f32,
    /// By what.
    pub reason: &'static str,
}

/// What happens to the core. Times are of the caller's media clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
    /// All sound up to here was searched for voices.
    Heard {
        /// The end of it.
        end: Duration,
        /// While a voice sounds: where it was last heard.
        voice: Option<Duration>,
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
    /// A mailbox's beep ended.
    Beep {
        /// Behind its last sample.
        end: Duration,
    },
    /// A fax calls or answers.
    Fax,
    /// Words of the other party; partials replace one another.
    Words {
        /// What was said.
        text: &'a str,
        /// It will not change.
        is_final: bool,
    },
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output {
    /// Who answered; a later one replaces it.
    Verdict(Verdict),
    /// The beep that was waited for; [`MachineSpec::beep`] only. Once.
    Beep {
        /// Behind its last sample.
        end: Duration,
    },
    /// A machine has said its greeting: a message may begin. Once, after a verdict of `machine`.
    GreetingEnded {
        /// `beep` or `silence`; `no beep` where one was waited for in vain.
        by: &'static str,
    },
}

/// Judges one call.
#[derive(Debug)]
pub struct MachineCore {
    spec: MachineSpec,
    words: AnswererJudge,
    /// Media time of the answer.
    begun: Option<Duration>,
    /// Up to where was listened.
    now: Duration,
    /// First and last sound of the greeting.
    greeting: Option<(Duration, Duration)>,
    /// A voice sounds, since then.
    onset: Option<Duration>,
    verdict: Option<Verdict>,
    /// When a machine was first told.
    machine_at: Option<Duration>,
    ended: bool,
    outputs: VecDeque<Output>,
}

impl MachineCore {
    /// A core for a call that is being answered; `language` (BCP 47) is that of a mailbox's words.
    #[must_use]
    pub fn new(spec: MachineSpec, language: &str) -> Self {
        Self {
            spec,
            words: AnswererJudge::new(language, Duration::ZERO),
            begun: None,
            now: Duration::ZERO,
            greeting: None,
            onset: None,
            verdict: None,
            machine_at: None,
            ended: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes in what was heard; drain [`Self::poll_output`] afterwards.
    pub fn handle(&mut self, input: Input<'_>) {
        match input {
            Input::Heard { end, voice } => {
                let begun = *self.begun.get_or_insert(end);
                self.now = end.saturating_sub(begun);
                if let (Some(until), Some(onset)) = (voice, self.onset) {
                    self.sounded(onset, until.saturating_sub(begun));
                }
                self.consider();
                self.wait_for_end();
            }
            Input::VoiceStarted { onset } => {
                self.onset = Some(onset.saturating_sub(self.begun.unwrap_or(onset)));
            }
            Input::VoiceStopped { end } => {
                let end = end.saturating_sub(self.begun.unwrap_or(end));
                if let Some(onset) = self.onset.take() {
                    self.sounded(onset, end);
                }
            }
            Input::Beep { end } => {
                self.tell(AnsweredBy::Machine, 0.95, "a beep");
                if self.spec.beep && self.machine_at.is_some() && !self.ended {
                    self.outputs.push_back(Output::Beep { end });
                }
                self.end("beep");
            }
            Input::Fax => self.tell(AnsweredBy::Machine, 0.95, "a fax tone"),
            Input::Words { text, is_final } => {
                if self.words.transcript(self.now, text, is_final).is_some() {
                    self.tell(AnsweredBy::Machine, 0.95, "the words of a mailbox");
                }
            }
        }
    }

    /// The next thing to tell.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether nothing more will be told.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ended || (self.machine_at.is_none() && self.now > WATCHED)
    }

    fn sounded(&mut self, onset: Duration, until: Duration) {
        // A click before the greeting is no part of it.
        let click = |(first, last): &(Duration, Duration)| {
            last.saturating_sub(*first) < self.spec.min_word && onset > *first
        };
        let first = self.greeting.filter(|known| !click(known)).map_or(onset, |known| known.0);
        self.greeting = Some((first, until.max(first)));
    }

    /// What the cadence says.
    fn consider(&mut self) {
        let open = self.verdict.is_none_or(|verdict| verdict.by == AnsweredBy::Unknown);
        if !open {
            return;
        }
        let Some((first, last)) =
            self.greeting.filter(|(first, last)| last.saturating_sub(*first) >= self.spec.min_word)
        else {
            if self.now >= self.spec.initial_silence {
                self.tell(AnsweredBy::Unknown, 0.5, "silence");
            }
            return;
        };
        let (length, silence) = (last.saturating_sub(first), self.now.saturating_sub(last));
        if length >= self.spec.greeting {
            let confidence = if length >= LONG { 0.85 } else { 0.7 };
            self.tell(AnsweredBy::Machine, confidence, "a long greeting");
        } else if silence >= self.spec.after_greeting_silence {
            let confidence = if length < SHORT { 0.9 } else { 0.75 };
            self.tell(AnsweredBy::Human, confidence, "a short greeting, then silence");
        } else if self.now >= self.spec.total {
            self.tell(AnsweredBy::Unknown, 0.3, "no clear greeting");
        }
    }

    /// A verdict, unless the last one knows better.
    fn tell(&mut self, by: AnsweredBy, confidence: f32, reason: &'static str) {
        let known = self.verdict.filter(|verdict| verdict.by != AnsweredBy::Unknown);
        let better = known.is_none_or(|known| by != known.by && confidence > known.confidence);
        let same = self.verdict.is_some_and(|verdict| verdict.by == by);
        if !better || same || self.now > WATCHED {
            return;
        }
        if by == AnsweredBy::Machine {
            self.machine_at = Some(self.now);
        }
        let verdict = Verdict { by, confidence, reason };
        self.verdict = Some(verdict);
        self.outputs.push_back(Output::Verdict(verdict));
    }

    /// A machine that has been silent for long has no beep, or we missed it.
    fn wait_for_end(&mut self) {
        let Some(told) = self.machine_at else { return };
        let waited = self.now.saturating_sub(told) >= self.spec.beep_timeout;
        // Words or a fax tone may have told it without a voice.
        let last = self.greeting.map_or(told, |(_, last)| last);
        let silence = self.now.saturating_sub(last);
        if self.spec.beep {
            if waited && silence >= self.spec.after_greeting_silence {
                self.end("no beep");
            }
        } else if silence >= LONG_SILENCE || (waited && silence >= self.spec.after_greeting_silence)
        {
            self.end("silence");
        }
    }

    fn end(&mut self, by: &'static str) {
        if self.machine_at.is_some() && !std::mem::replace(&mut self.ended, true) {
            self.outputs.push_back(Output::GreetingEnded { by });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Voices from and to, heard for so long, 20 ms at a time, from 10 s on the media clock.
    fn heard(core: &mut MachineCore, voices: &[(u64, u64)], to: u64) -> Vec<(u64, Output)> {
        let mut outputs = Vec::new();
        let base = 10_000;
        core.handle(Input::Heard { end: ms(base), voice: None });
        for at in (20..=to).step_by(20) {
            let mut voice = None;
            for &(from, until) in voices {
                // A detector knows 200 ms late.
                if at == from + 200 {
                    core.handle(Input::VoiceStarted { onset: ms(base + from) });
                }
                if at == until + 500 {
                    core.handle(Input::VoiceStopped { end: ms(base + until) });
                }
                if (from + 200..until + 500).contains(&at) {
                    voice = Some(ms(base + at.min(until)));
                }
            }
            core.handle(Input::Heard { end: ms(base + at), voice });
            outputs.extend(std::iter::from_fn(|| core.poll_output()).map(|output| (at, output)));
        }
        outputs
    }

    fn verdicts(voices: &[(u64, u64)], to: u64) -> Vec<(u64, AnsweredBy)> {
        let mut core = MachineCore::new(MachineSpec::default(), "en");
        let outputs = heard(&mut core, voices, to);
        let by = |(at, output): &(u64, Output)| match output {
            Output::Verdict(verdict) => Some((*at, verdict.by)),
            Output::GreetingEnded { .. } | Output::Beep { .. } => None,
        };
        outputs.iter().filter_map(by).collect()
    }

    #[test]
    fn the_cadence_tells_people_from_machines() {
        use AnsweredBy::{Human, Machine, Unknown};
        for (name, voices, wanted) in [
            ("hello", &[(400_u64, 800_u64)] as &[(u64, u64)], vec![(1_600, Human)]),
            ("hello, Jane", &[(400, 1_500)], vec![(2_300, Human)]),
            ("a mailbox", &[(300, 6_000)], vec![(1_800, Machine)]),
            ("with pauses", &[(300, 1_300), (1_700, 3_000)], vec![(1_900, Machine)]),
            ("nobody", &[], vec![(2_500, Unknown)]),
            ("late hello", &[(3_000, 3_400)], vec![(2_500, Unknown), (4_200, Human)]),
            ("too late", &[(4_700, 4_900)], vec![(2_500, Unknown), (5_700, Human)]),
        ] {
            assert_eq!(verdicts(voices, 8_000), wanted, "{name}");
        }
    }

    #[test]
    fn a_machine_says_when_a_message_may_begin() {
        // A beep, after a greeting of 4 s.
        let mut core = MachineCore::new(MachineSpec::default(), "en");
        assert_eq!(heard(&mut core, &[(300, 4_000)], 4_800).len(), 1);
        core.handle(Input::Beep { end: ms(14_800) });
        assert_eq!(core.poll_output(), Some(Output::GreetingEnded { by: "beep" }));
        assert!(core.is_done());
        // No beep: 3 s of silence.
        let mut core = MachineCore::new(MachineSpec::default(), "en");
        let outputs = heard(&mut core, &[(300, 4_000)], 9_000);
        assert_eq!(outputs.last(), Some(&(7_000, Output::GreetingEnded { by: "silence" })));
        // A greeting that goes on after the time for the beep.
        let mut core = MachineCore::new(MachineSpec::default(), "en");
        let outputs = heard(&mut core, &[(300, 15_000)], 17_000);
        assert_eq!(outputs.last(), Some(&(15_800, Output::GreetingEnded { by: "silence" })));
    }

    #[test]
    fn who_wants_the_beep_waits_for_it() {
        let spec = MachineSpec { beep: true, ..MachineSpec::default() };
        // 6 s of silence are no end, a beep is, and its moment is told.
        let mut core = MachineCore::new(spec, "en");
        assert_eq!(heard(&mut core, &[(300, 4_000)], 10_000).len(), 1);
        core.handle(Input::Beep { end: ms(19_900) });
        assert_eq!(core.poll_output(), Some(Output::Beep { end: ms(19_900) }));
        assert_eq!(core.poll_output(), Some(Output::GreetingEnded { by: "beep" }));
        assert!(core.is_done() && core.poll_output().is_none());
        // None comes within the time for it, which began with the verdict at 1.8 s.
        let mut core = MachineCore::new(spec, "en");
        let outputs = heard(&mut core, &[(300, 4_000)], 14_000);
        assert_eq!(outputs.last(), Some(&(11_800, Output::GreetingEnded { by: "no beep" })));
        // A beep makes a machine of whoever seemed to be a person.
        let mut core = MachineCore::new(spec, "en");
        heard(&mut core, &[(300, 700)], 3_000);
        core.handle(Input::Beep { end: ms(13_000) });
        let told: Vec<_> = std::iter::from_fn(|| core.poll_output()).collect();
        assert!(matches!(told[..], [Output::Verdict(_), Output::Beep { .. }, _]), "{told:?}");
    }

    #[test]
    fn words_beeps_and_fax_know_better() {
        let person = |input| {
            let mut core = MachineCore::new(MachineSpec::default(), "en-US");
            assert_eq!(heard(&mut core, &[(300, 700)], 3_000).len(), 1);
            core.handle(input);
            core.poll_output()
        };
        let words = Input::Words { text: "please leave a message", is_final: false };
        for (input, reason) in [
            (words, Some("the words of a mailbox")),
            (Input::Beep { end: ms(13_000) }, Some("a beep")),
            (Input::Fax, Some("a fax tone")),
            (Input::Words { text: "how are you", is_final: true }, None),
        ] {
            let told = person(input).map(|output| match output {
                Output::Verdict(Verdict { by: AnsweredBy::Machine, reason, .. }) => reason,
                other => panic!("{other:?}"),
            });
            assert_eq!(told, reason);
        }
        // Told once.
        let mut core = MachineCore::new(MachineSpec::default(), "en-US");
        heard(&mut core, &[(300, 3_000)], 3_000);
        core.handle(words);
        assert_eq!(core.poll_output(), None);
        // Not after 45 s.
        let mut core = MachineCore::new(MachineSpec::default(), "en-US");
        heard(&mut core, &[(300, 700)], 46_000);
        core.handle(Input::Beep { end: ms(14_800) });
        assert_eq!(core.poll_output(), None);
        assert!(core.is_done());
    }
}
