//! The stream as an AsyncAPI 3.0 document.

use super::messages::{FROM_CLIENT, FROM_SERVER, Message, QUERY};
use serde_json::{Map, Value, json};

/// The document, as it is served and kept in `docs/asyncapi.json`.
#[must_use]
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut messages = Map::new();
    for message in FROM_SERVER {
        messages.insert(told(message), described(message, &server_fields(message)));
    }
    for message in FROM_CLIENT {
        messages.insert(asked(message), described(message, &client_fields(message)));
    }
    let sound = |about: &str| json!({ "name": "sound", "contentType": "application/octet-stream", "summary": about });
    messages.insert("told_sound".to_owned(), sound("One frame of `out`, `frame_ms` long."));
    messages.insert("asked_sound".to_owned(), sound("Sound as `in` says, of any length."));
    let names: Vec<String> = messages.keys().cloned().collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Bellwire stream",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The WebSocket of a call, subprotocol bellwire.stream.v1. Messages are JSON \
                texts, sound is binary. The rules are in docs/stream.md.",
        },
        "servers": {
            "gateway": { "host": "localhost:8080", "protocol": "ws" },
        },
        "defaultContentType": "application/json",
        "channels": { "stream": {
            "address": "/v1/calls/{call}/stream",
            "parameters": { "call": { "description": "The call, `call_…`." } },
            "bindings": { "ws": { "method": "GET", "query": query() } },
            "messages": references(&names, "#/components/messages/"),
        } },
        "operations": {
            "tell": operation("send", "What the gateway tells.", "told_", &names),
            "ask": operation("receive", "What a client may ask.", "asked_", &names),
        },
        "components": { "messages": messages },
    })
}

fn told(message: &Message) -> String {
    format!("told_{}", message.name)
}

fn asked(message: &Message) -> String {
    format!("asked_{}", message.name)
}

fn references(names: &[String], to: &str) -> Value {
    let all = names.iter().map(|name| (name.clone(), json!({ "$ref": format!("{to}{name}") })));
    all.collect::<Map<_, _>>().into()
}

fn operation(action: &str, summary: &str, prefix: &str, names: &[String]) -> Value {
    let own = names.iter().filter(|name| name.starts_with(prefix));
    let own = own.map(|name| json!({ "$ref": format!("#/channels/stream/messages/{name}") }));
    json!({
        "action": action,
        "summary": summary,
        "channel": { "$ref": "#/channels/stream" },
        "messages": own.collect::<Vec<_>>(),
    })
}

fn query() -> Value {
    let properties = QUERY.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" })));
    json!({ "type": "object", "properties": properties.collect::<Map<_, _>>() })
}

fn described(message: &Message, payload: &Value) -> Value {
    json!({ "name": message.name, "summary": message.about, "payload": payload })
}

/// A field may be null where its value is not known.
fn fields(message: &Message) -> Map<String, Value> {
    let field = |(name, kind, about): &(&str, &str, &str)| {
        ((*name).to_owned(), json!({ "type": kind, "description": about }))
    };
    let mut fields: Map<String, Value> = message.fields.iter().map(field).collect();
    fields.insert("type".to_owned(), json!({ "const": message.name }));
    fields
}

fn server_fields(message: &Message) -> Value {
    let mut properties = fields(message);
    for (name, about) in [("seq", "From 1, without gaps."), ("t_ms", "Since the stream started.")] {
        properties.insert(name.to_owned(), json!({ "type": "integer", "description": about }));
    }
    let moment = json!({ "type": "string", "description": "RFC 3339." });
    properties.insert("timestamp".to_owned(), moment);
    for property in properties.values_mut() {
        if let Some(Value::String(kind)) = property.get("type").cloned() {
            property["type"] = json!([kind, "null"]);
        }
    }
    let required = ["type", "seq", "t_ms", "timestamp"];
    json!({ "type": "object", "required": required, "properties": properties })
}

fn client_fields(message: &Message) -> Value {
    let mut properties = fields(message);
    let id = json!({
        "type": ["string", "integer"],
        "description": "Answered by `ack` or `error` with the same.",
    });
    properties.insert("id".to_owned(), id);
    let mut required = vec!["type"];
    required.extend(message.required);
    json!({ "type": "object", "required": required, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::stream::wire;
    use std::collections::BTreeSet;

    const PAGE: &str = include_str!("../../../docs/stream.md");

    /// The names in the first cells of a section's first table.
    fn named(section: &str) -> BTreeSet<String> {
        let (_, body) = PAGE.split_once(&format!("\n## {section}\n")).unwrap();
        let rows = body.lines().skip_while(|line| !line.starts_with('|'));
        let rows = rows.take_while(|line| line.starts_with('|'));
        let cells = rows.filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        // Every other part stands between backticks; its first word is the name.
        let words = cells.flat_map(|cell| cell.split('`').step_by(2));
        let words = words.filter_map(|text| text.split(' ').next());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn declared(messages: &[Message]) -> BTreeSet<String> {
        messages.iter().map(|message| message.name.to_owned()).collect()
    }

    #[test]
    fn the_document_has_the_messages_of_the_page() {
        let hint = "docs/stream.md and messages.rs differ";
        assert_eq!(named("From the server"), declared(FROM_SERVER), "{hint}");
        assert_eq!(named("From the client"), declared(FROM_CLIENT), "{hint}");
    }

    #[test]
    fn every_command_of_the_document_is_understood_with_all_its_fields() {
        for message in FROM_CLIENT {
            let mut command = json!({ "type": message.name, "id": "x1" });
            for (name, kind, _) in message.fields {
                command[*name] = match (*name, *kind) {
                    ("decision", _) => "confirm".into(),
                    ("format", _) => "pcm_s16le".into(),
                    ("rate", _) => 16_000.into(),
                    ("action", _) => "start".into(),
                    ("channels", _) => "mono".into(),
                    ("digits", _) => "12#".into(),
                    ("method", _) => "auto".into(),
                    ("mode", _) => "attended".into(),
                    ("direction", _) => "both".into(),
                    ("after", _) => "playback".into(),
                    ("sip_code", _) => 486.into(),
                    ("to", _) => "+14155550123".into(),
                    ("timeout", _) => 20.into(),
                    ("on_peer_hangup", _) => "hangup".into(),
                    ("call_id" | "replaces_call_id", _) => "call_2".into(),
                    (_, "object") => json!({}),
                    (_, "boolean") => true.into(),
                    (_, "integer") => 100.into(),
                    (_, _) => "x".into(),
                };
            }
            wire::decode(&command.to_string()).unwrap();
            for field in message.required {
                let mut without = command.clone();
                without.as_object_mut().unwrap().remove(*field);
                assert!(wire::decode(&without.to_string()).is_err(), "{without}");
            }
        }
    }

    #[test]
    fn the_query_has_only_parameters_that_are_known() {
        use crate::app::stream::StreamOptions;
        for name in QUERY {
            let pairs = [((*name).to_owned(), "no such value".to_owned())];
            if let Err(problem) = StreamOptions::from_query::<&str>(&pairs, &[]) {
                assert!(!problem.detail.contains("unknown"), "{name}: {problem}");
            }
        }
    }

    #[test]
    fn references_lead_somewhere() {
        let document = document();
        let text = document.to_string();
        for (at, _) in text.match_indices("{\"$ref\":\"#") {
            let pointer = text[at + 10..].split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
