//! Inputs and outputs as lines of text, so that a conversation can be read.

use crate::turn::interface::{
    Answerer, Closing, DigitRule, Expect, Input, Line, Output, Prompt, Said, Speaker, State,
    TurnId, UtteranceId, WordTime,
};
use std::fmt::Write;
use std::time::Duration;

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// `1200 final Yes, please.` is an input at 1.2 s.
pub(super) fn input(line: &str) -> (Duration, Input) {
    let (at, rest) = line.trim().split_once(' ').expect("a time and an input");
    let now = ms(at.parse().expect("milliseconds"));
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let number = || rest.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default();
    let turn = TurnId(number());
    let utterance = UtteranceId(number());
    let behind = rest.split_once(' ').map(|(_, behind)| behind).unwrap_or_default();
    let heard = |is_final, constrained| Input::Transcript {
        text: rest.to_owned(),
        is_final,
        ended: now,
        confidence: None,
        constrained,
    };
    let say = |interruptible| Input::Say { turn, text: behind.to_owned(), interruptible };
    let failed = |fatal| Input::Failed { turn, detail: behind.to_owned(), fatal };
    let input = match name {
        "answered" => Input::Answered,
        "voice" => Input::VoiceStarted { at: now, level: rest.parse().unwrap_or(-25.0) },
        "quiet" => Input::VoiceStopped { at: rest.parse().map_or(now, ms) },
        "partial" => heard(false, false),
        "final" => heard(true, false),
        "phrase" => heard(true, true),
        "engine-end" => Input::EngineTurnEnd { confidence: rest.parse().unwrap_or(1.0) },
        "lost" => Input::TranscriptionLost,
        "key" => Input::Digit(rest.chars().next().expect("a key")),
        "person" => Input::Answerer(Answerer::Person),
        "machine" => Input::Answerer(Answerer::Machine),
        "beep" => Input::Answerer(Answerer::Beep),
        "token" => Input::Token(turn),
        "say" => say(true),
        "fixed" => say(false),
        "expect" => Input::Expect(turn, expect(behind)),
        "done" => Input::Done(turn),
        "failed" => failed(false),
        "fatal" => failed(true),
        "bye" => Input::Close(Closing::HangUp(rest.to_owned())),
        "made" => Input::Synthesis {
            utterance,
            length: ms(behind.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)),
            complete: behind.ends_with("all"),
            words: Vec::<WordTime>::new(),
        },
        "broken" => Input::SynthesisFailed { utterance, detail: behind.to_owned() },
        "started" => Input::PlayStarted(utterance),
        "ended" => Input::PlayEnded(utterance),
        "cut" => Input::PlayCut { utterance, played: ms(behind.parse().expect("milliseconds")) },
        "timeout" => Input::Timeout,
        other => panic!("unknown input {other:?}"),
    };
    (now, input)
}

/// `keys:12 min:1 max:4 finish:# phrases:yes|no timeout:5000 dictation wordless nospeech`.
fn expect(text: &str) -> Expect {
    let mut expect = Expect::default();
    let mut rule = DigitRule { allowed: String::new(), min: 1, max: 1, finish: None };
    let mut keys = false;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        match name {
            "keys" => (keys, rule.allowed) = (true, value.to_owned()),
            "min" => rule.min = value.parse().expect("a count"),
            "max" => rule.max = value.parse().expect("a count"),
            "finish" => rule.finish = value.chars().next(),
            "phrases" => expect.phrases = value.split('|').map(|p| p.replace('_', " ")).collect(),
            "timeout" => expect.timeout = Some(ms(value.parse().expect("milliseconds"))),
            "dictation" => expect.dictation = true,
            "wordless" => expect.wordless = true,
            "nospeech" => expect.speech = false,
            other => panic!("unknown expectation {other:?}"),
        }
    }
    expect.digits = keys.then_some(rule);
    expect
}

/// An input as [`input`] reads it; `None` for what scripts cannot say.
pub(super) fn show_input(now: Duration, input: &Input) -> Option<String> {
    let text = match input {
        Input::Answered => "answered".to_owned(),
        Input::PlayStarted(utterance) => format!("started {}", utterance.0),
        Input::PlayEnded(utterance) => format!("ended {}", utterance.0),
        Input::PlayCut { utterance, played } => {
            format!("cut {} {}", utterance.0, played.as_millis())
        }
        Input::Synthesis { utterance, length, complete, .. } => {
            let all = if *complete { " all" } else { "" };
            format!("made {} {}{all}", utterance.0, length.as_millis())
        }
        Input::Timeout => "timeout".to_owned(),
        _ => return None,
    };
    Some(format!("{} {text}", now.as_millis()))
}

pub(super) fn show(now: Duration, output: &Output) -> String {
    let mut text = format!("{} ", now.as_millis());
    let written = match output {
        Output::Ask { turn, prompt, speculative } => {
            let early = if *speculative { " early" } else { "" };
            write!(text, "ask {}{early} {}", turn.0, show_prompt(prompt))
        }
        Output::Confirm(turn) => write!(text, "confirm {}", turn.0),
        Output::Abandon(turn) => write!(text, "abandon {}", turn.0),
        Output::Speak { utterance, turn, text: words } => {
            write!(text, "speak {} of {}: {words}", utterance.0, turn.0)
        }
        Output::Duck => write!(text, "duck"),
        Output::Restore => write!(text, "restore"),
        Output::Cut => write!(text, "cut"),
        Output::Line(line) => write!(text, "line {}", show_line(line)),
        Output::Times(turn, times) => {
            write!(text, "times {}", turn.0).expect("a string");
            for (name, at) in [
                ("speech", times.speech_ended),
                ("turn", times.turn_ended),
                ("transcript", times.transcript),
                ("token", times.first_token),
                ("sentence", times.first_sentence),
                ("audio", times.first_audio),
                ("rtp", times.first_rtp),
            ] {
                if let Some(at) = at {
                    write!(text, " {name}:{}", at.as_millis()).expect("a string");
                }
            }
            Ok(())
        }
        Output::State(state) => write!(text, "state {}", show_state(*state)),
        Output::Interrupted { utterance, heard } => {
            write!(text, "interrupted {} after {heard:?}", utterance.0)
        }
        Output::Close(why) => write!(text, "close {why:?}"),
        Output::Timeout(..) => Ok(()),
    };
    written.expect("a string");
    text
}

fn show_prompt(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Begin => "begin".to_owned(),
        Prompt::Said(Said { text, digits, started, ended, .. }) => {
            let keys = if digits.is_empty() { String::new() } else { format!(" keys {digits}") };
            format!("said {text:?}{keys} {}-{}", started.as_millis(), ended.as_millis())
        }
        Prompt::NoAnswer(count) => format!("no-answer {count}"),
        Prompt::Voicemail => "voicemail".to_owned(),
    }
}

fn show_line(line: &Line) -> String {
    let who = match line.speaker {
        Speaker::Agent => "agent",
        Speaker::Caller => "caller",
    };
    let keys =
        if line.digits.is_empty() { String::new() } else { format!(" keys {}", line.digits) };
    let cut = if line.interrupted { " interrupted" } else { "" };
    let (from, to) = (line.started.as_millis(), line.ended.as_millis());
    format!("{} {who} {from}-{to}{cut}{keys}: {}", line.turn.0, line.text)
}

fn show_state(state: State) -> String {
    format!("{state:?}").to_lowercase()
}
