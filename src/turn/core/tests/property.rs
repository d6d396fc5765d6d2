//! What holds whatever comes in, in whatever order.

use super::script::{self, ms};
use crate::turn::TurnCore;
use crate::turn::interface::{
    Answerer, Closing, DigitRule, Expect, Input, Output, Speaker, TurnId, TurnSpec, UtteranceId,
    VoicemailPolicy, WordTime,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Spoken time of a letter.
const LETTER_MS: u64 = 60;

/// Something that happens to the core; ids are relative to the newest ones.
#[derive(Debug, Clone)]
enum Event {
    Plain(Input),
    Say {
        back: u64,
        text: String,
        interruptible: bool,
    },
    Expect(u64, Expect),
    Done(u64),
    Failed(u64, bool),
    Token(u64),
    /// Lies about the sound; a leg would not.
    Sound(u64, u8, u64),
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "Yes.",
        "okay",
        "uh-huh",
        "I want to",
        "I want to cancel.",
        "one two",
        "",
        "Stop it now",
        "My number is 415",
        "Please hold the line for a moment?",
        "ä\u{0}<x>",
        "Hello there, sir.",
    ])
    .prop_map(str::to_owned)
}

fn expectation() -> impl Strategy<Value = Expect> {
    let rule = (any::<bool>(), 0_usize..4, 0_usize..40, any::<bool>()).prop_map(
        |(all, min, max, finish)| DigitRule {
            allowed: if all { String::new() } else { "123".to_owned() },
            min,
            max,
            finish: finish.then_some('#'),
        },
    );
    let timeout = prop::option::of((0_u64..9_000).prop_map(ms));
    (prop::option::of(rule), any::<[bool; 4]>(), timeout).prop_map(
        |(digits, [speech, wordless, phrases, dictation], timeout)| Expect {
            digits,
            speech,
            wordless,
            phrases: if phrases { vec!["yes".to_owned(), "stop".to_owned()] } else { Vec::new() },
            timeout,
            dictation,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let at = (0_u64..60_000).prop_map(ms);
    let plain = prop_oneof![
        4 => (at.clone(), -60.0_f32..0.0).prop_map(|(at, level)| Input::VoiceStarted { at, level }),
        4 => at.clone().prop_map(|at| Input::VoiceStopped { at }),
        4 => (text(), any::<bool>(), at).prop_map(|(text, is_final, ended)| Input::Transcript {
            text, is_final, ended, confidence: Some(f32::NAN), constrained: false,
        }),
        2 => prop::sample::select("0123456789*#AX".chars().collect::<Vec<_>>())
            .prop_map(Input::Digit),
        1 => (0.0_f32..1.0).prop_map(|confidence| Input::EngineTurnEnd { confidence }),
        1 => Just(Input::TranscriptionLost),
        1 => prop::sample::select(vec![Answerer::Person, Answerer::Machine, Answerer::Beep])
            .prop_map(Input::Answerer),
        1 => Just(Input::Answered),
        1 => Just(Input::Timeout),
    ];
    let back = 0_u64..3;
    prop_oneof![
        12 => plain.prop_map(Event::Plain),
        8 => (back.clone(), text(), prop::bool::weighted(0.8))
            .prop_map(|(back, text, interruptible)| Event::Say { back, text, interruptible }),
        3 => (back.clone(), expectation()).prop_map(|(back, expect)| Event::Expect(back, expect)),
        5 => back.clone().prop_map(Event::Done),
        1 => (back.clone(), prop::bool::weighted(0.1)).prop_map(|(b, fatal)| Event::Failed(b, fatal)),
        1 => back.clone().prop_map(Event::Token),
        2 => (back, 0_u8..5, 0_u64..5_000).prop_map(|(b, kind, ms)| Event::Sound(b, kind, ms)),
    ]
}

fn spec() -> impl Strategy<Value = TurnSpec> {
    let policy = prop::sample::select(vec![
        VoicemailPolicy::Continue,
        VoicemailPolicy::Message,
        VoicemailPolicy::Hangup,
    ]);
    (any::<[bool; 6]>(), policy, 0_u64..300, 0_u32..12).prop_map(
        |(
            [agent_first, disclosure, greeting, speculate, filler, give_up],
            voicemail,
            ms_,
            turns,
        )| {
            TurnSpec {
                agent_first,
                disclosure: disclosure.then(|| "This is a machine.".to_owned()),
                greeting: greeting.then(|| "Good morning.".to_owned()),
                speculate,
                filler: filler.then(|| "One moment.".to_owned()),
                give_up: give_up.then(|| Duration::from_secs(20)),
                network_delay: ms(ms_),
                restore: ms(ms_),
                echo_guard: ms(ms_),
                max_turns: turns,
                max_duration: Duration::from_mins(3),
                voicemail,
                ..TurnSpec::default()
            }
        },
    )
}

/// A leg that plays in order, and checks what it is told.
struct Leg {
    core: TurnCore,
    now: Duration,
    timeout: Option<Duration>,
    queue: VecDeque<(UtteranceId, Option<Duration>)>,
    texts: BTreeMap<UtteranceId, (TurnId, String)>,
    /// The most that may be told of an utterance that was cut.
    truth: Vec<String>,
    asked: BTreeMap<TurnId, &'static str>,
    times: BTreeMap<TurnId, u32>,
    last_line: Duration,
    delay: Duration,
    over: bool,
    log: Vec<String>,
}

impl Leg {
    fn new(spec: TurnSpec) -> Self {
        Self {
            delay: spec.network_delay,
            core: TurnCore::new(spec),
            now: Duration::ZERO,
            timeout: None,
            queue: VecDeque::new(),
            texts: BTreeMap::new(),
            truth: Vec::new(),
            asked: BTreeMap::new(),
            times: BTreeMap::new(),
            last_line: Duration::ZERO,
            over: false,
            log: Vec::new(),
        }
    }

    fn length(&self, utterance: UtteranceId) -> Duration {
        let letters = self.texts.get(&utterance).map_or(0, |(_, text)| text.len() as u64);
        ms(letters * LETTER_MS)
    }

    /// What was heard of an utterance, by the words' true times.
    fn heard(&self, utterance: UtteranceId, played: Duration) -> String {
        let text = &self.texts[&utterance].1;
        let ends = words(text).into_iter().map(|word| word.text_end);
        let heard = played.saturating_sub(self.delay);
        let last = ends.rev().find(|&end| ms(end as u64 * LETTER_MS) <= heard);
        text[..last.unwrap_or(0)].to_owned()
    }

    fn run_to(&mut self, until: Duration) {
        for _ in 0..2_000 {
            let head = self.queue.front().copied();
            let sound = head.and_then(|(utterance, since)| Some(since? + self.length(utterance)));
            let next = [sound, self.timeout].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= until) else { return };
            self.now = self.now.max(at);
            if sound == Some(at) {
                self.queue.pop_front();
                let utterance = head.expect("it plays").0;
                self.give(Input::PlayEnded(utterance));
                self.play_next();
            } else {
                self.give(Input::Timeout);
            }
        }
        panic!("the core spins at {:?}:\n{}", self.now, self.log.join("\n"));
    }

    fn play_next(&mut self) {
        let now = self.now;
        let Some((utterance, since)) = self.queue.front_mut().filter(|(_, s)| s.is_none()) else {
            return;
        };
        *since = Some(now);
        let utterance = *utterance;
        let length = self.length(utterance);
        let words = words(&self.texts[&utterance].1);
        self.give(Input::Synthesis { utterance, length, complete: true, words });
        self.give(Input::PlayStarted(utterance));
    }

    fn give(&mut self, input: Input) {
        self.log.push(format!("{} > {input:?}", self.now.as_millis()));
        if let Input::Done(turn) | Input::Failed { turn, .. } = &input {
            self.asked.entry(*turn).and_modify(|state| *state = "ended");
        }
        self.core.handle(self.now, input);
        let mut cut = Vec::new();
        loop {
            let output = self.core.poll_output();
            if let Output::Timeout(when, _) = output {
                assert!(when.is_none_or(|at| at > self.now), "a deadline in the past");
                self.timeout = when;
                break;
            }
            self.log.push(format!("< {}", script::show(self.now, &output)));
            self.check(output, &mut cut);
        }
        self.check_core();
        for (utterance, since) in cut {
            let played = since.map_or(Duration::ZERO, |since| self.now.saturating_sub(since));
            self.truth.push(self.heard(utterance, played));
            self.give(Input::PlayCut { utterance, played });
        }
        self.play_next();
    }

    fn check(&mut self, output: Output, cut: &mut Vec<(UtteranceId, Option<Duration>)>) {
        let log = || self.log.join("\n");
        assert!(!self.over || matches!(output, Output::Line(_)), "after the end:\n{}", log());
        match output {
            Output::Ask { turn, speculative, .. } => {
                let newest = self.asked.last_key_value().map_or(TurnId(0), |(turn, _)| *turn);
                assert!(turn > newest, "{}", log());
                let open = self.asked.values().any(|s| matches!(*s, "early" | "asked"));
                assert!(!open, "two turns in flight:\n{}", log());
                self.asked.insert(turn, if speculative { "early" } else { "asked" });
            }
            Output::Confirm(turn) => {
                let state = self.asked.get_mut(&turn).expect("it was asked");
                assert!(matches!(*state, "early" | "ended"));
                *state = if *state == "early" { "asked" } else { "ended" };
            }
            Output::Abandon(turn) => {
                let state = self.asked.insert(turn, "abandoned");
                assert!(state.is_some_and(|state| state != "abandoned"), "{}", log());
            }
            Output::Speak { utterance, turn, text } => {
                let newest = self.texts.last_key_value().map_or(0, |(id, _)| id.0);
                assert_eq!(utterance.0, newest + 1);
                self.texts.insert(utterance, (turn, text));
                self.queue.push_back((utterance, None));
            }
            Output::Cut => cut.extend(self.queue.drain(..)),
            Output::Line(line) => {
                assert!(line.started >= self.last_line, "lines out of order:\n{}", log());
                self.last_line = line.started;
                if line.speaker == Speaker::Agent {
                    let whole =
                        self.texts.values().any(|(t, s)| *t == line.turn && *s == line.text);
                    let part = self.truth.iter().any(|truth| truth.starts_with(&line.text));
                    let fine = if line.interrupted { part } else { whole };
                    assert!(fine, "{line:?} was not heard:\n{}", log());
                }
            }
            Output::Times(turn, _) => {
                *self.times.entry(turn).or_default() += 1;
                assert_eq!(self.times[&turn], 1, "times told twice");
            }
            Output::Interrupted { .. } | Output::Duck | Output::Restore | Output::State(_) => (),
            Output::Close(_) => self.over = true,
            Output::Timeout(..) => unreachable!("handled by the caller"),
        }
    }

    fn check_core(&self) {
        let core = &self.core;
        let sounding = core.mouth.live().filter(|voice| voice.sounds_since.is_some()).count();
        assert!(sounding <= 1, "two voices at once");
        assert!(core.mouth.live().count() <= super::super::super::mouth::VOICES_MAX);
        assert!(core.asked.as_ref().is_none_or(|asked| asked.held.len() <= 256));
        let text = core.caller.stretch.as_ref().map(|stretch| stretch.text().len());
        assert!(text.is_none_or(|length| length <= 20_000));
    }

    fn turn(&self, back: u64) -> TurnId {
        let newest = self.asked.last_key_value().map_or(0, |(turn, _)| turn.0);
        TurnId(newest.saturating_sub(back))
    }

    fn event(&mut self, event: Event) {
        let input = match event {
            Event::Plain(input) => input,
            Event::Say { back, text, interruptible } => {
                Input::Say { turn: self.turn(back), text, interruptible }
            }
            Event::Expect(back, expect) => Input::Expect(self.turn(back), expect),
            Event::Done(back) => Input::Done(self.turn(back)),
            Event::Token(back) => Input::Token(self.turn(back)),
            Event::Failed(back, fatal) => {
                Input::Failed { turn: self.turn(back), detail: "x".to_owned(), fatal }
            }
            Event::Sound(back, kind, at) => {
                let newest = self.texts.last_key_value().map_or(0, |(id, _)| id.0);
                let utterance = UtteranceId(newest.saturating_sub(back));
                match kind {
                    // Of what is out already, or was never given out: must be ignored.
                    0 => Input::PlayStarted(UtteranceId(utterance.0 + 7)),
                    1 => Input::PlayEnded(UtteranceId(utterance.0 + 7)),
                    2 => Input::PlayCut { utterance: UtteranceId(utterance.0 + 7), played: ms(at) },
                    3 => Input::Synthesis {
                        utterance: UtteranceId(0),
                        length: ms(at),
                        complete: true,
                        words: Vec::new(),
                    },
                    _ => Input::PlayStarted(utterance),
                }
            }
        };
        self.give(input);
    }
}

fn words(text: &str) -> Vec<WordTime> {
    let ends = text.char_indices().filter(|&(_, c)| c == ' ').map(|(at, _)| at);
    let ends = ends.chain([text.len()]).filter(|&end| end > 0);
    ends.map(|text_end| WordTime { text_end, end: ms(text_end as u64 * LETTER_MS) }).collect()
}

proptest! {
    /// The leg does its part; caller, engines and brain do what they like.
    #[test]
    fn a_conversation_holds_together(
        spec in spec(),
        events in prop::collection::vec((0_u64..1_800, event()), 1..80),
    ) {
        let mut leg = Leg::new(spec);
        leg.give(Input::Answered);
        for (wait, event) in events {
            let until = leg.now + ms(wait);
            leg.run_to(until);
            leg.now = until.max(leg.now);
            leg.event(event);
        }
        // Everything ends by itself.
        leg.run_to(leg.now + Duration::from_mins(4));
        prop_assert!(leg.over, "never closed:\n{}", leg.log.join("\n"));
        prop_assert_eq!(leg.timeout, None);
    }

    /// Nonsense from the leg, too: nothing panics, spins, or is said after the end.
    #[test]
    fn nonsense_is_borne(
        spec in spec(),
        inputs in prop::collection::vec((0_u64..2_000, event(), 0_u8..8, 0_u64..6), 1..120),
        close_at in 0_usize..150,
    ) {
        let mut core = TurnCore::new(spec);
        let (mut now, mut over, mut turn) = (Duration::ZERO, false, 0);
        for (n, (wait, event, kind, id)) in inputs.into_iter().enumerate() {
            now = (now + ms(wait)).saturating_sub(ms(if wait == 7 { 500 } else { 0 }));
            let utterance = UtteranceId(id);
            let input = match (kind, event) {
                (0, _) => Input::PlayStarted(utterance),
                (1, _) => Input::PlayEnded(utterance),
                (2, _) => Input::PlayCut { utterance, played: ms(wait) },
                (3, _) => Input::SynthesisFailed { utterance, detail: String::new() },
                (_, Event::Plain(input)) => input,
                (_, Event::Say { text, interruptible, .. }) => {
                    Input::Say { turn: TurnId(turn), text, interruptible }
                }
                (_, Event::Expect(_, expect)) => Input::Expect(TurnId(turn), expect),
                (_, Event::Done(_)) => Input::Done(TurnId(turn)),
                (_, Event::Failed(_, fatal)) => {
                    Input::Failed { turn: TurnId(turn), detail: String::new(), fatal }
                }
                (_, Event::Token(_) | Event::Sound(..)) => Input::Answered,
            };
            let input = if n == close_at { Input::Close(Closing::MaxCost) } else { input };
            core.handle(now, input);
            for count in 0.. {
                prop_assert!(count < 1_000);
                match core.poll_output() {
                    Output::Timeout(..) => break,
                    Output::Ask { turn: new, .. } => turn = new.0,
                    output => {
                        prop_assert!(!over || matches!(output, Output::Line(_)), "{:?}", output);
                        over |= matches!(output, Output::Close(_));
                    }
                }
            }
        }
    }
}
