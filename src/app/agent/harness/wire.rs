//! The messages of the harness protocol; pure.
//!
//! Unknown types and fields are read over, so that either side may be newer. Everything that
//! comes in is bounded here.

use crate::app::agent::interface::{BrainContext, ToolCall};
use crate::turn::interface::{DigitRule, Expect, Line, Prompt, Speaker, TurnId};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The protocol's version, in `start`.
const VERSION: u32 = 1;
/// Characters of one text.
const TEXT_MAX: usize = 4000;
/// Characters of a name or an id.
const NAME_MAX: usize = 128;
/// Octets of a tool's arguments.
const ARGUMENTS_MAX: usize = 64 * 1024;
/// Phrases of an expectation.
const PHRASES_MAX: usize = 64;
/// Octets of a message; more is no answer to a telephone call.
const MESSAGE_MAX: usize = 256 * 1024;

/// The first message of a connection. `lines`: what was said before, when it is not the first.
pub(super) fn start<'l>(
    context: &BrainContext,
    resumed: bool,
    lines: impl Iterator<Item = &'l Line>,
) -> String {
    let lines: Vec<Value> = lines.map(|line| line_fields(line, None)).collect();
    let mut start = json!({
        "type": "start",
        "version": VERSION,
        "resumed": resumed,
        "call_id": context.call_id,
        "direction": context.direction,
        "from": context.from,
        "to": context.to,
        "language": context.language,
        "instructions": context.instructions,
        "tools": context.tools,
        "result_schema": context.result_schema,
        "metadata": context.metadata,
        "model": context.model,
        "lines": lines,
    });
    if let Some(identity) = &context.identity {
        start["identity"] = json!(identity);
    }
    start.to_string()
}

/// Something to answer.
pub(super) fn turn(turn: TurnId, prompt: &Prompt, speculative: bool) -> String {
    let prompt = match prompt {
        Prompt::Begin => json!({"kind": "begin"}),
        Prompt::Said(said) => json!({
            "kind": "said",
            "text": said.text,
            "digits": said.digits,
            "started_ms": ms(said.started),
            "ended_ms": ms(said.ended),
            "confidence": said.confidence,
            "constrained": said.constrained,
        }),
        Prompt::NoAnswer(times) => json!({"kind": "no_answer", "times": times}),
        Prompt::Voicemail => json!({"kind": "voicemail"}),
    };
    json!({"type": "turn", "turn": turn.0, "speculative": speculative, "prompt": prompt})
        .to_string()
}

pub(super) fn confirm(turn: TurnId) -> String {
    json!({"type": "confirm", "turn": turn.0}).to_string()
}

pub(super) fn abandon(turn: TurnId) -> String {
    json!({"type": "abandon", "turn": turn.0}).to_string()
}

pub(super) fn line(line: &Line) -> String {
    line_fields(line, Some("line")).to_string()
}

fn line_fields(line: &Line, kind: Option<&str>) -> Value {
    let mut fields = json!({
        "turn": line.turn.0,
        "speaker": if line.speaker == Speaker::Agent { "agent" } else { "caller" },
        "text": line.text,
        "digits": line.digits,
        "started_ms": ms(line.started),
        "ended_ms": ms(line.ended),
        "interrupted": line.interrupted,
    });
    if let (Some(kind), Some(fields)) = (kind, fields.as_object_mut()) {
        fields.insert("type".to_owned(), Value::from(kind));
    }
    fields
}

pub(super) fn tool_result(turn: TurnId, id: &str, result: &Value) -> String {
    json!({"type": "tool_result", "turn": turn.0, "id": id, "result": result}).to_string()
}

pub(super) fn stop() -> String {
    json!({"type": "stop"}).to_string()
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the user's brain says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// The first token came; with text, more of a stream that is cut into sentences here.
    Token {
        turn: TurnId,
        text: String,
    },
    Say {
        turn: TurnId,
        text: String,
        interruptible: bool,
    },
    Expect {
        turn: TurnId,
        expect: Expect,
    },
    Tool {
        turn: TurnId,
        call: ToolCall,
    },
    Done {
        turn: TurnId,
    },
    Failed {
        turn: TurnId,
        detail: String,
        fatal: bool,
    },
    Usage {
        input: u64,
        output: u64,
    },
    Summary {
        text: String,
    },
    /// A type from a later version.
    Unknown,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    turn: Option<u64>,
    text: Option<String>,
    interruptible: Option<bool>,
    digits: Option<RawDigits>,
    speech: Option<bool>,
    wordless: Option<bool>,
    phrases: Option<Vec<String>>,
    timeout_ms: Option<u64>,
    dictation: Option<bool>,
    id: Option<String>,
    name: Option<String>,
    arguments: Option<Value>,
    detail: Option<String>,
    fatal: Option<bool>,
    input: Option<u64>,
    output: Option<u64>,
}

#[derive(Deserialize)]
struct RawDigits {
    allowed: Option<String>,
    min: Option<usize>,
    max: Option<usize>,
    finish: Option<String>,
}

/// Reads a message; the error is for the log.
pub(super) fn read(text: &str) -> Result<Message, String> {
    if text.len() > MESSAGE_MAX {
        return Err(format!("a message of {} octets is too long", text.len()));
    }
    let raw: Raw = serde_json::from_str(text).map_err(|error| bounded(&error.to_string(), 200))?;
    let turn = || raw.turn.map(TurnId).ok_or_else(|| format!("{} without turn", short(&raw.kind)));
    Ok(match raw.kind.as_str() {
        "token" => Message::Token { turn: turn()?, text: bounded_text(raw.text.as_deref())? },
        "say" => Message::Say {
            turn: turn()?,
            text: bounded_text(raw.text.as_deref())?,
            interruptible: raw.interruptible.unwrap_or(true),
        },
        "expect" => Message::Expect { turn: turn()?, expect: expect(&raw)? },
        "tool" => Message::Tool { turn: turn()?, call: tool(&raw)? },
        "done" => Message::Done { turn: turn()? },
        "failed" => Message::Failed {
            turn: turn()?,
            detail: bounded(raw.detail.as_deref().unwrap_or("the brain gave no reason"), 200),
            fatal: raw.fatal.unwrap_or(false),
        },
        "usage" => {
            Message::Usage { input: raw.input.unwrap_or(0), output: raw.output.unwrap_or(0) }
        }
        "summary" => {
            Message::Summary { text: bounded(raw.text.as_deref().unwrap_or_default(), 1000) }
        }
        _ => Message::Unknown,
    })
}

fn expect(raw: &Raw) -> Result<Expect, String> {
    let plain = Expect::default();
    let digits = raw.digits.as_ref().map(digit_rule).transpose()?;
    let phrases = raw.phrases.as_deref().unwrap_or_default();
    if phrases.len() > PHRASES_MAX {
        return Err(format!("more than {PHRASES_MAX} phrases"));
    }
    Ok(Expect {
        digits,
        speech: raw.speech.unwrap_or(plain.speech),
        wordless: raw.wordless.unwrap_or(plain.wordless),
        phrases: phrases.iter().map(|phrase| bounded(phrase, 200)).collect(),
        timeout: raw.timeout_ms.map(|ms| Duration::from_millis(ms.clamp(100, 300_000))),
        dictation: raw.dictation.unwrap_or(plain.dictation),
    })
}

fn digit_rule(raw: &RawDigits) -> Result<DigitRule, String> {
    let key = |c: char| "0123456789*#ABCD".contains(c);
    let allowed = raw.allowed.as_deref().unwrap_or_default().to_ascii_uppercase();
    let finish = raw.finish.as_deref().unwrap_or_default();
    let max = raw.max.unwrap_or(32);
    let min = raw.min.unwrap_or(1);
    let good = allowed.chars().all(key)
        && allowed.len() <= 16
        && finish.len() <= 1
        && finish.chars().all(key)
        && (1..=32).contains(&max)
        && (1..=max).contains(&min);
    if !good {
        return Err("digits that no telephone has".to_owned());
    }
    Ok(DigitRule { allowed, min, max, finish: finish.chars().next() })
}

fn tool(raw: &Raw) -> Result<ToolCall, String> {
    let name = |value: &Option<String>, what: &str| {
        let text = value.as_deref().filter(|text| (1..=NAME_MAX).contains(&text.len()));
        text.map(str::to_owned).ok_or_else(|| format!("a tool without {what}"))
    };
    let arguments = raw.arguments.clone().unwrap_or_else(|| json!({}));
    if arguments.to_string().len() > ARGUMENTS_MAX {
        return Err("arguments beyond all measure".to_owned());
    }
    Ok(ToolCall { id: name(&raw.id, "id")?, name: name(&raw.name, "name")?, arguments })
}

fn bounded_text(text: Option<&str>) -> Result<String, String> {
    let text = text.unwrap_or_default();
    if text.chars().count() > TEXT_MAX {
        return Err(format!("a text of more than {TEXT_MAX} characters"));
    }
    Ok(text.to_owned())
}

fn short(text: &str) -> String {
    bounded(text, 32)
}

/// Without control characters, cut.
pub(super) fn bounded(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}

/// Fuzz entry: octets as one message.
pub fn fuzz_harness(bytes: &[u8]) {
    if let Ok(Message::Expect { expect: Expect { digits: Some(rule), .. }, .. }) =
        read(&String::from_utf8_lossy(bytes))
    {
        assert!(1 <= rule.min && rule.min <= rule.max && rule.max <= 32, "{rule:?}");
    }
}
