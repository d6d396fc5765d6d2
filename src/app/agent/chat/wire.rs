//! What goes over the wire: the request's JSON, and the pieces of an answer.
//!
//! Pure. Reads tolerantly (servers that are "compatible" differ in what they leave out) and bounds
//! everything that it keeps.

use super::ChatSpec;
use crate::app::agent::interface::{BrainContext, ToolCall, ToolDecl};
use serde_json::{Value, json};

/// Tool calls in one answer.
pub(super) const CALLS_MAX: usize = 8;
/// Octets of one call's arguments.
const ARGUMENTS_MAX: usize = 64 * 1024;
/// Characters of an id or a name.
const NAME_MAX: usize = 128;
/// Characters of a server's complaint.
const COMPLAINT_MAX: usize = 200;

/// A request's body.
pub(super) fn body(
    spec: &ChatSpec,
    context: &BrainContext,
    messages: &[Value],
    tools: bool,
) -> Value {
    let mut body = json!({
        "model": context.model.as_ref().unwrap_or(&spec.model),
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let mut set = |name: &str, value: Value| {
        if let Some(body) = body.as_object_mut() {
            body.insert(name.to_owned(), value);
        }
    };
    if let Some(temperature) = spec.temperature {
        // By its decimal digits: 0.2 is not to become 0.20000000298.
        set("temperature", json!(temperature.to_string().parse::<f64>().unwrap_or(1.0)));
    }
    if let Some(most) = spec.max_tokens {
        // OpenAI's own newer models refuse the name that every compatible server knows.
        let own = crate::net::http::shown(&spec.url).contains("://api.openai.com/");
        set(if own { "max_completion_tokens" } else { "max_tokens" }, json!(most));
    }
    if !context.tools.is_empty() {
        set("tools", context.tools.iter().map(declared).collect());
        if !tools {
            set("tool_choice", json!("none"));
        }
    }
    body
}

fn declared(tool: &ToolDecl) -> Value {
    json!({"type": "function", "function": {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }})
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Delta {
    Text(String),
    Tool(ToolDelta),
    /// Why the answer ended.
    Finish(String),
    Usage {
        input: u64,
        output: u64,
    },
    /// The server complains within its answer.
    Fault(String),
}

/// A piece of a tool call.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ToolDelta {
    index: Option<u64>,
    id: Option<String>,
    name: Option<String>,
    arguments: String,
}

/// The pieces in one event of a stream, or in a whole answer.
pub(super) fn deltas(text: &str) -> Result<Vec<Delta>, String> {
    let chunk: Value =
        serde_json::from_str(text).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let mut out = Vec::new();
    if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
        let said = error.get("message").and_then(Value::as_str).or_else(|| error.as_str());
        out.push(Delta::Fault(complaint(said.unwrap_or("an error without words"))));
    }
    let choice = chunk.pointer("/choices/0");
    let delta = choice.and_then(|choice| choice.get("delta").or_else(|| choice.get("message")));
    if let Some(delta) = delta {
        match delta.get("content") {
            Some(Value::String(text)) if !text.is_empty() => out.push(Delta::Text(text.clone())),
            Some(Value::Array(parts)) => {
                let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
                out.extend(texts.map(|text| Delta::Text(text.to_owned())));
            }
            _ => {}
        }
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten().take(2 * CALLS_MAX) {
            out.push(Delta::Tool(tool_delta(call)));
        }
    }
    if let Some(reason) = choice.and_then(|choice| choice.get("finish_reason")?.as_str()) {
        out.push(Delta::Finish(reason.chars().take(NAME_MAX).collect()));
    }
    let count = |usage: &Value, name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
        let (input, output) = (count(usage, "prompt_tokens"), count(usage, "completion_tokens"));
        out.push(Delta::Usage { input, output });
    }
    Ok(out)
}

fn tool_delta(call: &Value) -> ToolDelta {
    let short = |value: Option<&Value>| {
        let text = value?.as_str().filter(|text| !text.is_empty())?;
        Some(text.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect())
    };
    let arguments = match call.pointer("/function/arguments") {
        Some(Value::String(text)) => text.clone(),
        // Some servers send the object itself.
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => String::new(),
    };
    ToolDelta {
        index: call.get("index").and_then(Value::as_u64),
        id: short(call.get("id")),
        name: short(call.pointer("/function/name")),
        arguments,
    }
}

fn complaint(text: &str) -> String {
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    text.take(COMPLAINT_MAX).collect()
}

/// Tool calls while their pieces come in.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    calls: Vec<(u64, ToolDelta)>,
}

impl Assembly {
    /// Adds a piece; an error when the answer goes beyond all measure.
    pub(super) fn add(&mut self, piece: ToolDelta) -> Result<(), String> {
        let by_id = |id: &String| self.calls.iter().position(|(_, c)| c.id.as_ref() == Some(id));
        let place = match (piece.index, &piece.id) {
            (Some(index), _) => self.calls.iter().position(|(known, _)| *known == index),
            (None, Some(id)) => by_id(id),
            (None, None) => self.calls.len().checked_sub(1),
        };
        let place = place.unwrap_or_else(|| {
            let next = self.calls.iter().map(|(index, _)| index.saturating_add(1)).max();
            let index = piece.index.or(next).unwrap_or(0);
            self.calls.push((index, ToolDelta::default()));
            self.calls.len() - 1
        });
        if self.calls.len() > CALLS_MAX {
            return Err(format!("more than {CALLS_MAX} tool calls in one answer"));
        }
        let Some((_, call)) = self.calls.get_mut(place) else { return Ok(()) };
        call.id = call.id.take().or(piece.id);
        call.name = call.name.take().or(piece.name);
        if call.arguments.len() + piece.arguments.len() > ARGUMENTS_MAX {
            return Err(format!("a tool call's arguments exceed {ARGUMENTS_MAX} octets"));
        }
        call.arguments.push_str(&piece.arguments);
        Ok(())
    }

    /// The calls, in the order of their indices, each with an id of its own. Arguments that are
    /// no JSON stay text, which no tool accepts, so that the model hears of it.
    pub(super) fn finish(mut self) -> Vec<ToolCall> {
        self.calls.sort_by_key(|(index, _)| *index);
        let mut calls: Vec<ToolCall> = Vec::new();
        for (index, call) in self.calls {
            let Some(name) = call.name else { continue };
            let raw = call.arguments.trim();
            let arguments = if raw.is_empty() {
                json!({})
            } else {
                serde_json::from_str(raw).unwrap_or_else(|_| Value::from(raw))
            };
            let id = call.id.filter(|id| !calls.iter().any(|known| known.id == *id));
            let id = id.unwrap_or_else(|| format!("call_{index}_{}", calls.len()));
            calls.push(ToolCall { id, name, arguments });
        }
        calls
    }
}

/// The messages that tell a model what it asked for and what came of it.
pub(super) fn tool_messages(words: &str, calls: &[(ToolCall, Value)]) -> Vec<Value> {
    let asked = calls.iter().map(|(call, _)| {
        let arguments = match &call.arguments {
            Value::String(raw) => raw.clone(),
            arguments => arguments.to_string(),
        };
        json!({"id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": arguments}})
    });
    let content = if words.is_empty() { Value::Null } else { Value::from(words) };
    let asked: Vec<Value> = asked.collect();
    let mut messages = vec![json!({"role": "assistant", "content": content, "tool_calls": asked})];
    messages.extend(calls.iter().map(|(call, result)| {
        json!({"role": "tool", "tool_call_id": call.id, "content": result.to_string()})
    }));
    messages
}

/// Fuzz entry: octets as lines, each one event's text.
pub fn fuzz_chunk(bytes: &[u8]) {
    let mut assembly = Assembly::default();
    for line in String::from_utf8_lossy(bytes).lines() {
        for delta in deltas(line).unwrap_or_default() {
            if let Delta::Tool(piece) = delta
                && assembly.add(piece).is_err()
            {
                return;
            }
        }
    }
    let calls = assembly.finish();
    assert!(calls.len() <= CALLS_MAX, "more calls than allowed");
    let ids: std::collections::BTreeSet<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids.len(), calls.len(), "two calls have one id");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_with_what_they_leave_out() {
        let text = |text: &str| Delta::Text(text.to_owned());
        let cases: &[(&str, Vec<Delta>)] = &[
            (r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, vec![]),
            (
                r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}],"x":1}"#,
                vec![text("Hi")],
            ),
            (
                r#"{"choices":[{"message":{"content":[{"type":"text","text":"Hi"}]}}]}"#,
                vec![text("Hi")],
            ),
            (
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
                vec![Delta::Finish("stop".to_owned())],
            ),
            (
                r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
                vec![Delta::Usage { input: 7, output: 3 }],
            ),
            (r#"{"choices":[{"delta":{"content":null}}],"usage":null}"#, vec![]),
            (
                r#"{"error":{"message":"over\u0007loaded"}}"#,
                vec![Delta::Fault("over loaded".to_owned())],
            ),
            (r#"{"error":"gone"}"#, vec![Delta::Fault("gone".to_owned())]),
            ("{}", vec![]),
            ("[1]", vec![]),
        ];
        for (event, expected) in cases {
            assert_eq!(deltas(event).as_ref(), Ok(expected), "{event}");
        }
        assert!(deltas("{").is_err());
    }

    fn assembled(events: &[&str]) -> Result<Vec<ToolCall>, String> {
        let mut assembly = Assembly::default();
        for event in events {
            let event = format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{event}]}}}}]}}"#);
            for delta in deltas(&event)? {
                let Delta::Tool(piece) = delta else { continue };
                assembly.add(piece)?;
            }
        }
        Ok(assembly.finish())
    }

    #[test]
    fn tool_calls_are_put_together_from_their_pieces() {
        let calls = assembled(&[
            r#"{"index":1,"id":"b","function":{"name":"wait","arguments":"{\"sec"}}"#,
            r#"{"index":0,"id":"a","function":{"name":"hang_up","arguments":""}}"#,
            r#"{"index":1,"function":{"arguments":"onds\": 2}"}}"#,
        ])
        .unwrap();
        let shown: Vec<String> =
            calls.iter().map(|c| format!("{} {} {}", c.id, c.name, c.arguments)).collect();
        assert_eq!(shown, ["a hang_up {}", "b wait {\"seconds\":2}"]);
        // Without indices, without ids, with ids twice, with arguments that are none.
        let calls = assembled(&[
            r#"{"id":"x","function":{"name":"one","arguments":{"a":1}}}"#,
            r#"{"id":"y","function":{"name":"two","arguments":"{broken"}}"#,
        ])
        .unwrap();
        assert_eq!(calls[0].arguments, json!({"a": 1}));
        assert_eq!(calls[1].arguments, json!("{broken"));
        let calls = assembled(&[
            r#"{"index":0,"id":"x","function":{"name":"one"}}"#,
            r#"{"index":1,"id":"x","function":{"name":"two"}}"#,
            r#"{"index":2,"function":{"name":"three"}}"#,
            r#"{"index":3,"id":"nameless"}"#,
        ])
        .unwrap();
        assert_eq!(calls.len(), 3);
        assert_ne!(calls[0].id, calls[1].id);
    }

    #[test]
    fn calls_beyond_measure_are_refused() {
        let many: Vec<String> = (0..9).map(|i| format!(r#"{{"index":{i},"id":"{i}"}}"#)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(assembled(&many).is_err());
        let long = format!(r#"{{"index":0,"function":{{"arguments":"{}"}}}}"#, "x".repeat(40_000));
        assert!(assembled(&[&long, &long]).is_err());
    }

    #[test]
    fn the_body_holds_what_was_configured() {
        let spec = ChatSpec {
            url: "http://127.0.0.1:1/v1".to_owned(),
            model: "small".to_owned(),
            temperature: Some(0.2),
            max_tokens: Some(200),
            ..ChatSpec::default()
        };
        let mut context = BrainContext::default();
        let plain = body(&spec, &context, &[], true);
        assert_eq!(plain["model"], "small");
        assert_eq!(plain["temperature"].to_string(), "0.2");
        assert_eq!(plain["max_tokens"], 200);
        assert!(plain.get("tools").is_none() && plain["stream"] == true);
        context.model = Some("large".to_owned());
        context.tools = vec![ToolDecl {
            name: "wait".to_owned(),
            description: "Wait.".to_owned(),
            parameters: json!({"type": "object"}),
        }];
        let spec = ChatSpec { url: "https://api.openai.com/v1".to_owned(), ..spec };
        let full = body(&spec, &context, &[], false);
        assert_eq!(full["model"], "large");
        assert_eq!(full["max_completion_tokens"], 200);
        assert_eq!(full["tools"][0]["function"]["name"], "wait");
        assert_eq!(full["tool_choice"], "none");
    }
}
