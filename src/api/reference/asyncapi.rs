//! The stream as an AsyncAPI 3.0 document.

use super::field::{self, properties, text as words, whole};
use super::messages::{CLOSES, FROM_CLIENT, FROM_SERVER, Message};
use super::query::QUERY;
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
                texts, sound is binary, or base64 in `audio` with `envelope=json`. Fields of commands \
                are read in snake_case and camelCase; those that are not known are ignored. With \
                `stream.url` the gateway opens the socket, and the messages are the same. On the bare \
                URL a client is told `call_event` and `transcript` alone, and its texts are ignored. \
                Other vendors' words are in docs/dialects.md, the rules in docs/stream.md.",
        },
        "servers": {
            "gateway": { "host": "localhost:8080", "protocol": "ws" },
        },
        "defaultContentType": "application/json",
        "channels": { "stream": channel(&names) },
        "operations": {
            "tell": operation("send", "What the gateway tells.", "told_", &names),
            "ask": operation("receive", "What a client may ask.", "asked_", &names),
        },
        "components": { "messages": messages },
    })
}

fn channel(names: &[String]) -> Value {
    let codes = CLOSES.iter().map(|(code, about)| ((*code as u16).to_string(), json!(about)));
    let headers = json!({ "type": "object", "properties": {
        "Authorization": { "type": "string",
            "description": "`Bearer` and a key with the scope `stream`; or a `ticket`." },
        "Sec-WebSocket-Protocol": { "type": "string",
            "description": "`bellwire.stream.v1`; without it a parameter chooses." },
    } });
    json!({
        "address": "/v1/calls/{call}/stream",
        "parameters": { "call": { "description": "The call, `call_…`." } },
        "bindings": { "ws": { "method": "GET", "query": query(), "headers": headers } },
        "messages": references(names, "#/components/messages/"),
        "x-close-codes": codes.collect::<Map<_, _>>(),
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
    json!({ "type": "object", "properties": properties(QUERY, "").0 })
}

fn described(message: &Message, payload: &Value) -> Value {
    json!({ "name": message.name, "summary": message.about, "payload": payload })
}

/// The fields of what the server tells: those that are not required are left out at times.
fn server_fields(message: &Message) -> Value {
    let (mut properties, mut required) = properties(message.fields, "");
    properties.insert("type".to_owned(), json!({ "const": message.name }));
    required.push("type".to_owned());
    let stamp = [
        whole("seq", "From 1, without gaps."),
        whole("t_ms", "Since the stream started."),
        words("timestamp", "RFC 3339."),
    ];
    for field in stamp.iter().filter(|_| !message.is_audio) {
        properties.insert(field.name.to_owned(), field.schema());
        required.push(field.name.to_owned());
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

/// The fields of a command: most may be left out.
fn client_fields(message: &Message) -> Value {
    let mut properties = properties(message.fields, "").0;
    properties.insert("type".to_owned(), json!({ "const": message.name }));
    if !message.is_audio {
        let id = field::id("Answered by `ack` or `error` with the same.");
        properties.insert(id.name.to_owned(), id.schema());
    }
    let mut required = vec!["type"];
    required.extend(message.required);
    json!({ "type": "object", "required": required, "properties": properties })
}

#[cfg(test)]
mod tests;
