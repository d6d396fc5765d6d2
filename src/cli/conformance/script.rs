//! A scenario on its way: a pure machine that is stepped by the beat.
//!
//! ```text
//!  Beat (what was heard, what came) ──> Script ──> Deed (say, press, hang up …)
//!                                         └──────> Verdict per expectation
//! ```
//!
//! Owns when a step is over and what that says of the program. Time is that since the answer.

use super::scenario::{Expect, Scenario, Step, has};
use crate::app::rehearsal::BEAT;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// How long an expectation waits unless it says so.
const WITHIN: Duration = Duration::from_secs(5);
/// How long sound or silence lasts unless it says so.
const LASTS: Duration = Duration::from_millis(200);
/// A pause within sound that is shorter counts as a gap: it came late.
const GAP_MAX: Duration = Duration::from_millis(400);

/// What happened in one beat.
#[derive(Debug, Default)]
pub(super) struct Beat {
    /// The caller heard something that is no silence.
    pub(super) sounds: bool,
    /// Less than a beat was there to be played.
    pub(super) short: bool,
    /// The caller is speaking.
    pub(super) speaks: bool,
    /// Messages that came from the program.
    pub(super) messages: Vec<Value>,
    /// Messages that it was told.
    pub(super) told: Vec<Value>,
    /// It asked to end the call.
    pub(super) hangup: bool,
    /// Its socket is gone.
    pub(super) gone: bool,
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Deed {
    /// Says the sound of this step, counted from 0.
    Say(usize),
    /// Presses keys.
    Press(String),
    /// Changes the call's state.
    Event(&'static str),
    /// Hangs up.
    HangUp,
}

/// What became of one expectation or rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What was to be.
    pub(super) title: String,
    /// Whether it was.
    pub(super) passed: bool,
    /// What was.
    pub(super) detail: String,
}

/// A scenario on its way.
pub(super) struct Script {
    steps: VecDeque<(usize, Step)>,
    limit: Duration,
    gaps_max: Option<u32>,
    at: Duration,
    /// The first step of `steps` has been begun, at this time.
    begun: Option<Duration>,
    /// Since when it has been sounding, or silent.
    sounding: Option<Duration>,
    silent: Option<Duration>,
    gaps: Vec<Duration>,
    /// In this silence nothing was there to be played.
    starved: bool,
    faults: Vec<String>,
    warnings: Vec<String>,
    verdicts: Vec<Verdict>,
    over: bool,
}

impl Script {
    /// A scenario at its beginning.
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            steps: scenario.steps.iter().cloned().enumerate().collect(),
            limit: scenario.limit,
            gaps_max: scenario.gaps_max,
            at: Duration::ZERO,
            begun: None,
            sounding: None,
            silent: Some(Duration::ZERO),
            gaps: Vec::new(),
            starved: false,
            faults: Vec::new(),
            warnings: Vec::new(),
            verdicts: Vec::new(),
            over: false,
        }
    }

    /// Since the answer.
    pub(super) fn at(&self) -> Duration {
        self.at
    }

    /// Whether nothing is left to be done or seen.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes one beat in; gives what the caller does in the next one.
    pub(super) fn on_beat(&mut self, beat: &Beat) -> Vec<Deed> {
        self.at += BEAT;
        self.hear(beat);
        self.read(&beat.told);
        let mut deeds = Vec::new();
        // Several steps may be over in one beat; each one's end begins the next.
        while !self.over && self.step(beat, &mut deeds) {}
        if !self.over && self.at >= self.limit {
            let what = self.steps.front().map(|(_, step)| step.words()).unwrap_or_default();
            self.judge(what, false, format!("not within the {} s of all", self.limit.as_secs()));
            self.over = true;
        }
        deeds
    }

    /// Keeps note of sound and silence.
    fn hear(&mut self, beat: &Beat) {
        if beat.sounds {
            if let Some(silent) = self.silent.take() {
                let pause = self.at.saturating_sub(silent);
                if self.sounding.is_some() && self.starved && pause < GAP_MAX {
                    self.gaps.push(pause);
                }
                self.sounding = Some(self.at);
            }
            return;
        }
        self.starved = beat.short && (self.starved || self.silent.is_none());
        self.silent.get_or_insert(self.at);
    }

    /// Notes what the program was told of its faults.
    fn read(&mut self, told: &[Value]) {
        for message in told {
            let text = |key: &str| message[key].as_str().unwrap_or_default();
            match text("type") {
                "error" => self.faults.push(format!("{}: {}", text("code"), text("detail"))),
                "warning" => self.warnings.push(format!("{}: {}", text("code"), text("detail"))),
                _ => {}
            }
        }
    }

    /// Looks at the first step; `true`: it is over, and the next one is to be looked at.
    fn step(&mut self, beat: &Beat, deeds: &mut Vec<Deed>) -> bool {
        let Some((number, step)) = self.steps.front().cloned() else {
            self.over = true;
            return false;
        };
        let fresh = self.begun.is_none();
        let begun = *self.begun.get_or_insert(self.at);
        let done = match step.expect {
            Some(expect) => self.look(expect, &step, begun, beat),
            None => {
                if fresh {
                    deeds.extend(deed(number, &step));
                }
                match step.wait {
                    Some(wait) => self.at >= begun + wait,
                    None if step.say.is_some() && !step.overlap => !fresh && !beat.speaks,
                    None => true,
                }
            }
        };
        if (beat.gone || beat.hangup) && !done {
            let what = if beat.hangup { "it ended the call" } else { "it broke off" };
            self.judge("the program stays on the line".to_owned(), false, what.to_owned());
            self.over = true;
            return false;
        }
        if done {
            self.steps.pop_front();
            self.begun = None;
            // What the caller says is heard in the next beat.
            return step.say.is_none() || step.overlap || !fresh;
        }
        false
    }

    /// Whether an expectation is decided.
    fn look(&mut self, expect: Expect, step: &Step, begun: Duration, beat: &Beat) -> bool {
        let lasts = step.lasts.unwrap_or(LASTS);
        // The moment at which what was expected began.
        let since = match expect {
            Expect::Sound => {
                self.sounding.filter(|_| beat.sounds).filter(|from| self.at >= *from + lasts)
            }
            Expect::Silence => self.silent.filter(|from| self.at >= *from + lasts),
            Expect::Message => {
                let found = |message: &Value| step.any.iter().any(|fields| has(message, fields));
                beat.messages.iter().any(found).then_some(self.at)
            }
            Expect::Hangup => beat.hangup.then_some(self.at),
        };
        let within = step.within.unwrap_or(WITHIN);
        let most = format!("at most {} ms", within.as_millis());
        if let Some(since) = since {
            let after = since.saturating_sub(begun);
            let detail = format!("after {} ms ({most})", after.as_millis());
            self.judge(step.words(), after <= within, detail);
            return true;
        }
        // It may have begun in time and must still last.
        let patience = match expect {
            Expect::Sound | Expect::Silence => within + lasts,
            Expect::Message | Expect::Hangup => within,
        };
        if self.at > begun + patience {
            self.judge(step.words(), false, format!("did not come ({most})"));
            return true;
        }
        false
    }

    fn judge(&mut self, title: String, passed: bool, detail: String) {
        self.verdicts.push(Verdict { title, passed, detail });
    }

    /// All verdicts: the expectations in their order, then the rules that always hold.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let mut all = self.verdicts.clone();
        all.push(rule("messages are understood", &self.faults));
        all.push(rule("sound is readable and in measure", &self.warnings));
        if let Some(most) = self.gaps_max {
            let count = u32::try_from(self.gaps.len()).unwrap_or(u32::MAX);
            all.push(Verdict {
                title: format!("sound comes in time, with at most {most} gaps"),
                passed: count <= most,
                detail: self.gap_words(),
            });
        }
        all
    }

    /// Gaps in words.
    pub(super) fn gap_words(&self) -> String {
        let total: Duration = self.gaps.iter().sum();
        match self.gaps.len() {
            0 => "no gap".to_owned(),
            count => format!("{count} gaps, {} ms in all", total.as_millis()),
        }
    }
}

fn deed(number: usize, step: &Step) -> Option<Deed> {
    if step.say.is_some() {
        return Some(Deed::Say(number));
    }
    if let Some(keys) = &step.dtmf {
        return Some(Deed::Press(keys.clone()));
    }
    if let Some(event) = step.event {
        return Some(Deed::Event(event.name()));
    }
    step.hangup.then_some(Deed::HangUp)
}

/// Passed if nothing is against it.
fn rule(title: &str, against: &[String]) -> Verdict {
    let detail = match against {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    };
    Verdict { title: title.to_owned(), passed: against.is_empty(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn script(steps: &str) -> Script {
        let text = format!("name = \"a\"\nlimit = \"10s\"\ngaps_max = 1\n{steps}");
        Script::new(&Scenario::read("a.toml", &text).unwrap())
    }

    fn quiet() -> Beat {
        Beat { short: true, ..Beat::default() }
    }

    fn sound() -> Beat {
        Beat { sounds: true, ..Beat::default() }
    }

    /// So many beats alike.
    fn beats(script: &mut Script, count: usize, beat: impl Fn() -> Beat) -> Vec<Deed> {
        (0..count).flat_map(|_| script.on_beat(&beat())).collect()
    }

    fn lines(script: &Script) -> Vec<String> {
        let mark = |passed| if passed { "ok" } else { "no" };
        let verdicts = script.verdicts().into_iter();
        verdicts.map(|v| format!("{} {} {}", mark(v.passed), v.title, v.detail)).collect()
    }

    #[test]
    fn sound_is_expected_in_time_and_for_long_enough() {
        let steps = "[[step]]\nexpect = \"sound\"\nwithin = \"1s\"\nlasts = \"100ms\"\n";
        let mut prompt = script(steps);
        beats(&mut prompt, 10, quiet);
        beats(&mut prompt, 5, sound);
        assert!(!prompt.is_over());
        beats(&mut prompt, 1, sound);
        assert!(prompt.is_over());
        assert_eq!(
            lines(&prompt)[0],
            "ok the caller hears something after 200 ms (at most 1000 ms)"
        );
        let mut late = script(steps);
        beats(&mut late, 53, quiet);
        beats(&mut late, 20, sound);
        assert!(lines(&late)[0].starts_with("no"), "{:?}", lines(&late));
        let mut never = script(steps);
        beats(&mut never, 60, quiet);
        assert_eq!(
            lines(&never)[0],
            "no the caller hears something did not come (at most 1000 ms)"
        );
    }

    #[test]
    fn an_interruption_is_measured_from_its_beginning() {
        let mut script = script(
            "[[step]]\nexpect = \"sound\"\n[[step]]\nsay = { text = \"Stop\" }\noverlap = true\n\
             [[step]]\nexpect = \"silence\"\nwithin = \"500ms\"\n[[step]]\nhangup = true\n",
        );
        let deeds = beats(&mut script, 11, sound);
        assert_eq!(deeds, [Deed::Say(1)]);
        beats(&mut script, 15, || Beat { speaks: true, ..sound() });
        let deeds = beats(&mut script, 11, || Beat { speaks: true, ..quiet() });
        assert_eq!(deeds, [Deed::HangUp]);
        assert!(script.is_over());
        assert!(lines(&script)[1].contains("after 320 ms"), "{:?}", lines(&script));
    }

    #[test]
    fn a_caller_who_does_not_overlap_is_waited_for() {
        let mut script = script(
            "[[step]]\nsay = { text = \"Hello\" }\n[[step]]\ndtmf = \"5\"\n[[step]]\nwait = \"100ms\"\n",
        );
        assert_eq!(script.on_beat(&quiet()), [Deed::Say(0)]);
        assert!(beats(&mut script, 20, || Beat { speaks: true, ..quiet() }).is_empty());
        assert_eq!(script.on_beat(&quiet()), [Deed::Press("5".to_owned())]);
        beats(&mut script, 4, quiet);
        assert!(!script.is_over());
        beats(&mut script, 1, quiet);
        assert!(script.is_over());
    }

    #[test]
    fn messages_hangups_and_a_lost_socket_are_seen() {
        let steps = "[[step]]\nexpect = \"message\"\nany = [{ type = \"mark\" }, { type = \"clear\" }]\n\
            [[step]]\nexpect = \"hangup\"\n";
        let mut obedient = script(steps);
        let message = || Beat { messages: vec![json!({"type": "clear", "id": 1})], ..quiet() };
        beats(&mut obedient, 1, message);
        beats(&mut obedient, 1, || Beat { hangup: true, gone: true, ..quiet() });
        assert!(obedient.is_over() && lines(&obedient).iter().all(|line| line.starts_with("ok")));
        let mut lost = script(steps);
        beats(&mut lost, 1, || Beat { gone: true, ..quiet() });
        assert_eq!(lines(&lost)[0], "no the program stays on the line it broke off");
        let mut rude = script(steps);
        beats(&mut rude, 1, || Beat { hangup: true, ..quiet() });
        assert_eq!(lines(&rude)[0], "no the program stays on the line it ended the call");
    }

    #[test]
    fn rules_hold_in_every_scenario() {
        let mut script = script("[[step]]\nwait = \"1s\"\n");
        let told = || Beat {
            told: vec![
                json!({"type": "error", "code": "unknown_type", "detail": "type \"hi\" is unknown"}),
                json!({"type": "warning", "code": "odd_bytes", "detail": "an octet too many"}),
            ],
            ..sound()
        };
        beats(&mut script, 2, told);
        for _ in 0..2 {
            beats(&mut script, 3, quiet);
            beats(&mut script, 1, sound);
        }
        let lines = lines(&script);
        assert_eq!(
            lines[0],
            "no messages are understood unknown_type: type \"hi\" is unknown (and 1 more)"
        );
        assert!(lines[1].starts_with("no sound is readable"), "{lines:?}");
        assert!(
            lines[2].starts_with("no sound comes in time")
                && lines[2].ends_with("2 gaps, 120 ms in all"),
            "{lines:?}"
        );
    }

    #[test]
    fn no_scenario_goes_on_for_ever() {
        let mut script = script("[[step]]\nwait = \"1m\"\n");
        beats(&mut script, 500, quiet);
        assert!(script.is_over() && !script.verdicts()[0].passed);
    }
}
