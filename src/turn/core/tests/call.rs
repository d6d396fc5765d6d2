//! A leg around a core in virtual time: it plays what is spoken, at 60 ms a letter.

use super::script::{self, ms};
use crate::turn::TurnCore;
use crate::turn::interface::{Input, Output, TurnSpec, UtteranceId};
use std::collections::VecDeque;
use std::time::Duration;

/// Spoken time of a letter.
const LETTER: Duration = Duration::from_millis(60);

struct Playing {
    utterance: UtteranceId,
    length: Duration,
    since: Option<Duration>,
}

/// One conversation.
pub(super) struct Call {
    pub core: TurnCore,
    pub now: Duration,
    queue: VecDeque<Playing>,
    timeout: Option<Duration>,
    /// Everything that went in (`>`) and came out (`<`).
    pub log: Vec<String>,
}

impl Call {
    pub(super) fn new(spec: TurnSpec) -> Self {
        let core = TurnCore::new(spec);
        Self { core, now: Duration::ZERO, queue: VecDeque::new(), timeout: None, log: Vec::new() }
    }

    /// Runs a script, line by line, and then on to `until`.
    pub(super) fn run(&mut self, lines: &str, until: u64) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (at, input) = script::input(line);
            self.run_to(at);
            self.log.push(format!("> {line}"));
            self.handle(at, input);
        }
        self.run_to(ms(until));
    }

    /// Lets everything happen that is due before or at a time.
    fn run_to(&mut self, until: Duration) {
        for _ in 0..10_000 {
            let sound = self.queue.front().and_then(|p| Some(p.since? + p.length));
            let next = [sound, self.timeout].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= until) else { return };
            if sound == Some(at) {
                let ended = self.queue.pop_front().expect("it plays");
                self.give(at, Input::PlayEnded(ended.utterance));
                self.play_next(at);
            } else {
                self.give(at, Input::Timeout);
            }
        }
        panic!("the core spins at {:?}", self.now);
    }

    fn give(&mut self, at: Duration, input: Input) {
        self.log.extend(script::show_input(at, &input).map(|line| format!("> {line}")));
        self.handle(at, input);
    }

    fn play_next(&mut self, at: Duration) {
        let Some(head) = self.queue.front_mut().filter(|head| head.since.is_none()) else {
            return;
        };
        head.since = Some(at);
        let (utterance, length) = (head.utterance, head.length);
        self.give(at, Input::Synthesis { utterance, length, complete: true, words: Vec::new() });
        self.give(at, Input::PlayStarted(utterance));
    }

    fn handle(&mut self, at: Duration, input: Input) {
        self.now = at;
        self.core.handle(at, input);
        let mut follow = Vec::new();
        loop {
            let output = self.core.poll_output();
            match &output {
                Output::Timeout(when, _) => {
                    self.timeout = *when;
                    break;
                }
                Output::Speak { utterance, text, .. } => {
                    let letters = u32::try_from(text.chars().count()).expect("a short text");
                    let (utterance, length) = (*utterance, LETTER * letters);
                    self.queue.push_back(Playing { utterance, length, since: None });
                }
                Output::Cut => {
                    for Playing { utterance, since, .. } in self.queue.drain(..) {
                        let played = since.map_or(Duration::ZERO, |since| at.saturating_sub(since));
                        follow.push(Input::PlayCut { utterance, played });
                    }
                }
                _ => (),
            }
            self.log.push(format!("< {}", script::show(at, &output)));
        }
        for input in follow {
            self.give(at, input);
        }
        self.play_next(at);
    }

    /// What came out, but states and times.
    pub(super) fn outputs(&self) -> String {
        let plain = |line: &&str| !(line.contains(" state ") || line.contains(" times "));
        let lines = self.log.iter().filter_map(|line| line.strip_prefix("< "));
        lines.filter(plain).collect::<Vec<_>>().join("\n")
    }
}

/// Runs a script against a core and compares what comes out, states and times apart.
#[track_caller]
pub(super) fn expect(spec: TurnSpec, script: &str, until: u64, wanted: &str) {
    let mut call = Call::new(spec);
    call.run(script, until);
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
    };
    let (got, wanted) = (call.outputs(), lines(wanted));
    assert!(lines(&got) == wanted, "got:\n{got}\n\nwanted:\n{}", wanted.join("\n"));
}
