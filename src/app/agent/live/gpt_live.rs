//! GPT-Live over its primary WebSocket.
//!
//! Source: developers.openai.com, "GPT-Live: WebSockets", "Managing GPT-Live sessions" and the
//! API reference "Live"; learn.microsoft.com, "GPT-Live event API reference", as published in
//! 2026. The session is one stream each way at the pace of speech: it has no items, no end of a
//! turn and no truncation, so turns are told by who speaks next. Tools run through a second
//! model, whose events come wrapped.

use super::codec::{Codec, Heard, complaint, format, grow, instructions, text, tools};
use super::{LiveOutput, LiveSpec};
use crate::app::agent::interface::BrainContext;
use serde_json::{Value, json};

/// The one item of a session.
const ITEM: &str = "live";
/// What the model is told when it wants something done and there is nobody to do it.
const NO_BACKEND: &str = "Nothing can be looked up or done in this call. Say so if it matters.";

pub(super) fn open(spec: &LiveSpec, context: &BrainContext) -> Value {
    let instructions = instructions(context);
    let delegation = match &spec.delegate {
        Some(model) if !context.tools.is_empty() => json!({"type": "responses", "responses": {
            "model": model,
            "instructions": instructions,
            "tools": tools(context),
            "tool_choice": "auto",
        }}),
        _ => json!({"type": "client"}),
    };
    let mut audio = json!({"format": {"type": format(spec.law), "rate": 8000}});
    if let (Some(voice), Some(audio)) = (&spec.voice, audio.as_object_mut()) {
        audio.insert("output".to_owned(), json!({"voice": voice}));
    }
    json!({"type": "session.start", "session": {
        "model": context.model.as_ref().unwrap_or(&spec.model),
        "instructions": instructions,
        "audio": audio,
        "delegation": delegation,
    }})
}

/// More for the model to know (`thinking`), to obey (`instructions`) or to say (`commentary`).
pub(super) fn append(what: &str, content: &str) -> Value {
    json!({"type": format!("session.{what}.append"), "content": content, "delegation_id": null})
}

pub(super) fn read(codec: &mut Codec, event: &Value, heard: &mut Vec<Heard>) {
    let Some(kind) = event.get("type").and_then(Value::as_str) else { return };
    let delta = event.get("delta").and_then(Value::as_str);
    match kind {
        "session.started" => heard.push(Heard::Ready),
        "session.output_audio.delta" => heard.extend(codec.sound(ITEM, delta)),
        "session.input_transcript.delta" => {
            agent_ends(codec, heard);
            grow(&mut codec.caller, delta);
            let text = codec.caller.clone();
            heard.push(Heard::Output(LiveOutput::CallerText { text, is_final: false }));
        }
        "session.output_transcript.delta" => {
            caller_ends(codec, heard);
            let (_, mut words) = codec.agent.take().unwrap_or_default();
            grow(&mut words, delta);
            codec.agent = Some((ITEM.to_owned(), words.clone()));
            let item = ITEM.to_owned();
            heard.push(Heard::Output(LiveOutput::AgentText { item, text: words, is_final: false }));
        }
        "session.delegation.created" => {
            let delegation = event.get("delegation").unwrap_or(&Value::Null);
            let client = delegation.get("target").is_none_or(|target| {
                target == "client" || target.get("type") == Some(&json!("client"))
            });
            if let Some(id) = text(delegation, "id").filter(|_| client) {
                let mut note = append("thinking", NO_BACKEND);
                if let Some(note) = note.as_object_mut() {
                    note.insert("delegation_id".to_owned(), Value::from(id));
                }
                heard.push(Heard::Reply(note.to_string()));
            }
        }
        "response.event" => wrapped(codec, event.get("event").unwrap_or(&Value::Null), heard),
        "session.usage.updated" => heard.extend(paid(codec, event)),
        "session.closed" => {
            caller_ends(codec, heard);
            agent_ends(codec, heard);
            heard.extend(paid(codec, event));
            match event.get("reason").and_then(Value::as_str) {
                None | Some("close_requested") => heard.push(Heard::Closed),
                Some(reason) => {
                    let reason: String = reason.chars().filter(char::is_ascii_graphic).collect();
                    let detail = format!("the speech model closed the session: {reason:.40}");
                    heard.push(Heard::Output(LiveOutput::Failed { detail, fatal: true }));
                }
            }
        }
        "error" => heard.push(complaint(event)),
        _ => {}
    }
}

/// Events of the model that calls tools.
fn wrapped(codec: &mut Codec, event: &Value, heard: &mut Vec<Heard>) {
    let is_call = |item: &&Value| item.get("type") == Some(&json!("function_call"));
    match event.get("type").and_then(Value::as_str) {
        Some("response.output_item.done") => {
            let item = event.get("item").filter(is_call);
            heard.extend(item.and_then(|item| codec.call(item)));
        }
        Some("response.completed") => {
            let count = |name: &str| {
                let usage = event.pointer(&format!("/response/usage/{name}"));
                usage.and_then(Value::as_u64).unwrap_or(0)
            };
            let (input, output) = (count("input_tokens"), count("output_tokens"));
            if input + output > 0 {
                heard.push(Heard::Output(LiveOutput::Usage { input, output, seconds: 0.0 }));
            }
        }
        _ => {}
    }
}

/// The seconds since the last such event; the server tells the sum.
fn paid(codec: &mut Codec, event: &Value) -> Option<Heard> {
    let total = event.pointer("/usage/seconds").and_then(Value::as_f64)?;
    let seconds = total - codec.seconds;
    if !(seconds > 0.0 && total.is_finite()) {
        return None;
    }
    codec.seconds = total;
    Some(Heard::Output(LiveOutput::Usage { input: 0, output: 0, seconds }))
}

fn caller_ends(codec: &mut Codec, heard: &mut Vec<Heard>) {
    if !codec.caller.is_empty() {
        let text = std::mem::take(&mut codec.caller);
        heard.push(Heard::Output(LiveOutput::CallerText { text, is_final: true }));
    }
}

fn agent_ends(codec: &mut Codec, heard: &mut Vec<Heard>) {
    if let Some((item, text)) = codec.agent.take() {
        heard.push(Heard::Output(LiveOutput::AgentText { item, text, is_final: true }));
        heard.push(Heard::Output(LiveOutput::TurnDone));
    }
}
