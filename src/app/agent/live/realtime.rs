//! OpenAI Realtime, the shapes of its general availability.
//!
//! Source: developers.openai.com, API reference "Realtime: client events" and "server events",
//! as published in 2026. The beta's names of the sound's and transcript's events are read, too,
//! because self-hosted servers still use them.

use super::codec::{Codec, Heard, bounded, complaint, format, grow, instructions, text, tools};
use super::{LiveOutput, LiveSpec};
use crate::app::agent::interface::BrainContext;
use serde_json::{Value, json};

pub(super) fn url(spec: &LiveSpec, context: &BrainContext) -> String {
    let model = context.model.as_ref().unwrap_or(&spec.model);
    let joint = if spec.url.contains('?') { '&' } else { '?' };
    let escaped: String = model
        .bytes()
        .map(|octet| match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(octet).to_string()
            }
            octet => format!("%{octet:02X}"),
        })
        .collect();
    format!("{}{joint}model={escaped}", spec.url)
}

pub(super) fn open(spec: &LiveSpec, context: &BrainContext) -> Value {
    let format = json!({"type": format(spec.law)});
    let language = context.language.split(['-', '_']).next().filter(|code| !code.is_empty());
    let transcription = spec.transcription.as_ref().map(|model| match language {
        Some(language) => json!({"model": model, "language": language}),
        None => json!({"model": model}),
    });
    let silence = u64::try_from(spec.silence.as_millis()).unwrap_or(500);
    let mut output = json!({"format": format});
    if let (Some(voice), Some(output)) = (&spec.voice, output.as_object_mut()) {
        output.insert("voice".to_owned(), json!(voice));
    }
    json!({"type": "session.update", "session": {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": instructions(context),
        "audio": {
            "input": {
                "format": format,
                "transcription": transcription,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": silence,
                    "create_response": true,
                    "interrupt_response": spec.interruptible,
                },
            },
            "output": output,
        },
        "tools": tools(context),
        "tool_choice": "auto",
    }})
}

/// `end`: already clamped. An answer that is still made is cancelled.
pub(super) fn truncate(item: &str, end: u64, answering: bool) -> Vec<String> {
    let truncate = json!({"type": "conversation.item.truncate", "item_id": item,
        "content_index": 0, "audio_end_ms": end});
    let cancel = answering.then(|| json!({"type": "response.cancel"}).to_string());
    cancel.into_iter().chain([truncate.to_string()]).collect()
}

/// Keys as words of the caller, without asking for an answer.
pub(super) fn digits(keys: &str) -> String {
    let content = json!([{"type": "input_text", "text": format!("[pressed {keys}]")}]);
    let item = json!({"type": "message", "role": "user", "content": content});
    json!({"type": "conversation.item.create", "item": item}).to_string()
}

pub(super) fn say(text: &str) -> String {
    let instructions = format!("Say exactly this and nothing else: {text}");
    json!({"type": "response.create", "response": {"instructions": instructions}}).to_string()
}

pub(super) fn read(codec: &mut Codec, event: &Value, heard: &mut Vec<Heard>) {
    let Some(kind) = event.get("type").and_then(Value::as_str) else { return };
    let delta = event.get("delta").and_then(Value::as_str);
    let item = text(event, "item_id").unwrap_or_default();
    let mut tell = |output: LiveOutput| heard.push(Heard::Output(output));
    match kind {
        "session.updated" => heard.push(Heard::Ready),
        "input_audio_buffer.speech_started" => {
            codec.caller.clear();
            let position = codec.position(event.get("audio_start_ms"));
            tell(LiveOutput::SpeechStarted { position });
        }
        "input_audio_buffer.speech_stopped" => {
            let position = codec.position(event.get("audio_end_ms"));
            tell(LiveOutput::SpeechStopped { position });
        }
        "conversation.item.input_audio_transcription.delta" => {
            grow(&mut codec.caller, delta);
            let text = codec.caller.clone();
            tell(LiveOutput::CallerText { text, is_final: false });
        }
        "conversation.item.input_audio_transcription.completed" => {
            let text = event.get("transcript").and_then(Value::as_str).unwrap_or_default();
            codec.caller.clear();
            let text = bounded(text, 8000);
            tell(LiveOutput::CallerText { text, is_final: true });
        }
        "response.created" => codec.answering = true,
        "response.output_audio.delta" | "response.audio.delta" => {
            heard.extend(codec.sound(&item, delta));
        }
        "response.output_audio.done" | "response.audio.done" => {
            tell(LiveOutput::ItemDone { item });
        }
        "response.output_audio_transcript.delta" | "response.audio_transcript.delta" => {
            let spoken = codec.agent.take().filter(|(known, _)| *known == item);
            let (_, mut text) = spoken.unwrap_or_default();
            grow(&mut text, delta);
            codec.agent = Some((item.clone(), text.clone()));
            tell(LiveOutput::AgentText { item, text, is_final: false });
        }
        "response.output_audio_transcript.done" | "response.audio_transcript.done" => {
            let text = event.get("transcript").and_then(Value::as_str).unwrap_or_default();
            let text = bounded(text, 8000);
            tell(LiveOutput::AgentText { item, text, is_final: true });
        }
        "response.output_item.added" => {
            codec.named(event.get("item").unwrap_or(&Value::Null));
        }
        "response.function_call_arguments.done" => heard.extend(codec.call(event)),
        "response.output_item.done" => {
            let item =
                event.get("item").filter(|item| item.get("type") == Some(&json!("function_call")));
            heard.extend(item.and_then(|item| codec.call(item)));
        }
        "response.done" => done(codec, event, heard),
        "error" => heard.push(complaint(event)),
        _ => {}
    }
}

fn done(codec: &mut Codec, event: &Value, heard: &mut Vec<Heard>) {
    codec.answering = false;
    codec.agent = None;
    let response = event.get("response").unwrap_or(&Value::Null);
    let count = |name: &str| {
        response.pointer(&format!("/usage/{name}")).and_then(Value::as_u64).unwrap_or(0)
    };
    let (input, output) = (count("input_tokens"), count("output_tokens"));
    if input + output > 0 {
        heard.push(Heard::Output(LiveOutput::Usage { input, output, seconds: 0.0 }));
    }
    let status = response.get("status").and_then(Value::as_str);
    if status == Some("failed") {
        let details = response.get("status_details").unwrap_or(&Value::Null);
        heard.push(complaint(details));
    }
    heard.push(Heard::Output(LiveOutput::TurnDone));
    if status == Some("cancelled") {
        // The caller has the word, and the server answers that by itself.
        codec.owed = false;
    } else if codec.owed {
        heard.extend(codec.ask().map(Heard::Reply));
    }
}
