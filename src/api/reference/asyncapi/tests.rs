//! The document against the code, both ways: what is told, what is read, and what the page says.

use super::super::field::{Field, Values};
use super::*;
use crate::app::stream::wire::{self, Request, Told};
use std::collections::{BTreeMap, BTreeSet};

mod samples;

const PAGE: &str = include_str!("../../../../docs/stream.md");

/// The cells of the first column of the first table of a section.
fn cells(section: &str) -> Vec<&'static str> {
    let (_, body) = PAGE.split_once(&format!("\n## {section}\n")).unwrap();
    let rows = body.lines().skip_while(|line| !line.starts_with("| `"));
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect()
}

/// The first word of everything between backticks in these cells.
fn named(cells: &[&str]) -> BTreeSet<String> {
    let words = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
    words.filter_map(|text| text.split(' ').next()).map(str::to_owned).collect()
}

fn declared(messages: &[Message]) -> BTreeSet<String> {
    messages.iter().map(|message| message.name.to_owned()).collect()
}

fn payload(document: &Value, name: &str) -> Value {
    document["components"]["messages"][name]["payload"].clone()
}

#[test]
fn the_document_has_the_messages_of_the_page() {
    let hint = "docs/stream.md and messages/ differ";
    assert_eq!(named(&cells("From the server")), declared(FROM_SERVER), "{hint}");
    assert_eq!(named(&cells("From the client")), declared(FROM_CLIENT), "{hint}");
}

#[test]
fn the_page_names_every_field() {
    let words = |c: char| !(c.is_alphanumeric() || c == '_');
    let words: BTreeSet<&str> = PAGE.split(words).collect();
    for message in FROM_SERVER.iter().chain(FROM_CLIENT) {
        for field in message.fields {
            let name = field.name.rsplit('.').next().unwrap();
            assert!(words.contains(name), "docs/stream.md: {}.{}", message.name, field.name);
        }
    }
}

#[test]
fn the_start_of_the_page_is_as_the_document_has_it() {
    let (_, example) = PAGE.split_once("```json\n{\"type\": \"start\"").unwrap();
    let example = format!("{{\"type\": \"start\"{}", example.split("```").next().unwrap());
    let example: Map<String, Value> = serde_json::from_str(&example).unwrap();
    let schema = payload(&document(), "told_start");
    for name in schema["required"].as_array().unwrap() {
        assert!(example.contains_key(name.as_str().unwrap()), "{name}");
    }
    for name in example.keys() {
        assert!(schema["properties"].get(name).is_some(), "{name}");
    }
}

/// Behind a command's name the page gives all its fields in braces, with `?` those that may be left
/// out.
#[test]
fn the_page_gives_commands_their_fields() {
    let mut paged = BTreeMap::new();
    for cell in cells("From the client") {
        for form in cell.split('`').skip(1).step_by(2) {
            let (name, fields) = form.split_once(" {").unwrap_or((form, ""));
            let fields = fields.split([',', '}']);
            let fields = fields.map(|part| part.split(':').next().unwrap().trim().to_owned());
            let fields: BTreeSet<String> = fields.filter(|name| !name.is_empty()).collect();
            paged.insert(name, fields);
        }
    }
    for message in FROM_CLIENT {
        let names = message.fields.iter().map(|field| field.name);
        let optional = names.filter(|name| !message.required.contains(name));
        let mut known: BTreeSet<String> = optional.map(|name| format!("{name}?")).collect();
        known.extend(message.required.iter().map(ToString::to_string));
        assert_eq!(paged.get(message.name), Some(&known), "docs/stream.md: {}", message.name);
    }
}

/// The JSON type of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether a schema says of these values what is true of them: types, words, fields, and which of
/// them are always there.
fn compare(schema: &Value, values: &[&Value], path: &str) {
    if let Some(types) = schema.get("type") {
        let types = types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]);
        let types: BTreeSet<&str> = types.iter().filter_map(Value::as_str).collect();
        let seen: BTreeSet<&str> = values.iter().map(|value| kind(value)).collect();
        assert_eq!(types, seen, "types of {path}");
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let strange = values.iter().find(|value| !value.is_null() && !words.contains(value));
        assert_eq!(strange, None, "{path}");
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let objects: Vec<_> = values.iter().filter_map(|value| value.as_object()).collect();
    let keys = |object: &Map<String, Value>| object.keys().cloned().collect::<BTreeSet<_>>();
    let seen: BTreeSet<String> = objects.iter().flat_map(|object| keys(object)).collect();
    assert_eq!(keys(properties), seen, "fields of {path}");
    let required = schema["required"].as_array().unwrap();
    let required: BTreeSet<&str> = required.iter().filter_map(Value::as_str).collect();
    for (name, inner) in properties {
        let there: Vec<&Value> = objects.iter().filter_map(|object| object.get(name)).collect();
        let always = there.len() == objects.len();
        assert_eq!(required.contains(name.as_str()), always, "{path}.{name} always there?");
        compare(inner, &there, &format!("{path}.{name}"));
    }
}

#[test]
fn what_is_told_is_in_the_document_field_by_field() {
    let document = document();
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for sample in samples::all() {
        let stamp = wire::Stamp { seq: 1, t_ms: 2, unix_ms: 3 };
        let text: Value = serde_json::from_str(&wire::encode(&sample, stamp)).unwrap();
        told.entry(text["type"].as_str().unwrap().to_owned()).or_default().push(text);
    }
    told.insert("audio".to_owned(), samples::frames());
    let names: BTreeSet<String> = told.keys().cloned().collect();
    assert_eq!(names, declared(FROM_SERVER), "a message is told and not declared, or not told");
    for (name, texts) in &told {
        let texts: Vec<&Value> = texts.iter().collect();
        compare(&payload(&document, &format!("told_{name}")), &texts, name);
    }
}

/// A value of a field that a command takes.
fn good(field: &Field) -> Value {
    match (field.values, field.name, field.kind) {
        // Not the last, which is not always built in.
        (Values::Words(_), "format", _) => "mulaw".into(),
        // The one that has parameters.
        (Values::Words(_), "action", _) => "start".into(),
        // Others than what is usual.
        (Values::Words(words), _, _) => words[words.len() - 1].into(),
        (Values::Numbers(numbers), _, _) => numbers[0].into(),
        (Values::Range(least, _), _, _) => least.into(),
        (Values::Any, "digits", _) => "12#".into(),
        (Values::Any, "to", _) => "+14155550123".into(),
        (Values::Any, "call_id" | "replaces_call_id", _) => "call_2".into(),
        (Values::Any, "audio_base64", _) => "AAEC".into(),
        (Values::Any, _, "object") => json!({ "X-A": "b" }),
        (Values::Any, _, "boolean") => true.into(),
        (Values::Any, _, "integer") => 100.into(),
        (Values::Any, _, _) => "x".into(),
    }
}

/// A command with its required fields, and what they need.
fn least(message: &Message) -> Value {
    let mut command = json!({ "type": message.name, "id": "x1" });
    for field in message.fields.iter().filter(|field| message.required.contains(&field.name)) {
        command[field.name] = good(field);
    }
    command
}

fn commands() -> impl Iterator<Item = &'static Message> {
    FROM_CLIENT.iter().filter(|message| !message.is_audio)
}

fn decode(command: &Value) -> Result<Request, wire::Refused> {
    wire::decode(&command.to_string()).map(|(_, request)| request)
}

#[test]
fn every_command_of_the_document_is_understood_with_all_its_fields() {
    for message in commands() {
        let mut command = least(message);
        let bare = decode(&command).unwrap();
        for field in message.fields {
            command[field.name] = good(field);
        }
        if message.name == "transfer" {
            command["mode"] = "attended".into();
        }
        let request = decode(&command).unwrap();
        let optional = message.fields.len() > message.required.len();
        assert_eq!(optional, request != bare, "{command}");
        for field in message.required {
            let mut without = command.clone();
            without.as_object_mut().unwrap().remove(*field);
            assert!(decode(&without).is_err(), "{without}");
        }
    }
}

#[test]
fn bounds_and_words_of_commands_are_those_of_the_reader() {
    let mut looked = 0;
    for message in commands() {
        for field in message.fields {
            let takes = |value: Value| {
                let mut command = least(message);
                if field.name == "replaces_call_id" || value == "attended" {
                    command["mode"] = "attended".into();
                    command["replaces_call_id"] = "call_2".into();
                }
                command[field.name] = value;
                looked_at(&command, field)
            };
            let (good, bad): (Vec<Value>, Vec<Value>) = match field.values {
                Values::Any => continue,
                Values::Words(words) => {
                    (words.iter().map(|word| json!(word)).collect(), vec!["no such".into()])
                }
                Values::Numbers(numbers) => {
                    (numbers.iter().map(|number| json!(number)).collect(), vec![11.into()])
                }
                Values::Range(least, most) => {
                    let below = least.checked_sub(1).map(Value::from);
                    let bad = below.into_iter().chain([Value::from(most + 1)]).collect();
                    (vec![least.into(), most.into()], bad)
                }
            };
            assert!(good.into_iter().all(takes), "{}.{}", message.name, field.name);
            assert!(!bad.into_iter().any(takes), "{}.{}", message.name, field.name);
            looked += 1;
        }
    }
    assert!(looked >= 15, "{looked}");
}

/// Whether a command is taken, or would be where all codecs are built in.
fn looked_at(command: &Value, field: &Field) -> bool {
    let unbuilt = ["opus", "ogg"].map(Value::from);
    let refused = decode(command).err().map(|refused| refused.code);
    match refused {
        None => true,
        Some("unsupported_format") => {
            !cfg!(feature = "opus") && unbuilt.contains(&command[field.name])
        }
        Some(_) => false,
    }
}

#[test]
fn every_field_that_a_command_reads_is_in_the_document() {
    // Refused with what is served: not promised.
    const LATER: [&str; 1] = ["audio_id"];
    let snake = |name: &str| {
        let letters = name.chars().flat_map(|c| {
            let below = c.is_ascii_uppercase().then_some('_');
            below.into_iter().chain([c.to_ascii_lowercase()])
        });
        letters.collect::<String>()
    };
    let read: BTreeSet<String> = wire::field_names().into_iter().map(snake).collect();
    let known: BTreeMap<&str, &Field> =
        commands().flat_map(|message| message.fields).map(|field| (field.name, field)).collect();
    let mut declared: BTreeSet<String> = known.keys().map(ToString::to_string).collect();
    declared.extend(LATER.map(str::to_owned));
    assert_eq!(read, declared, "fields of commands");
    // And each by the commands that are said to have it alone.
    for message in commands() {
        let without = decode(&least(message)).unwrap();
        let foreign =
            known.values().filter(|field| message.fields.iter().all(|own| own.name != field.name));
        for field in foreign {
            let mut command = least(message);
            command[field.name] = good(field);
            let with = decode(&command);
            assert_eq!(with, Ok(without.clone()), "{} reads {}", message.name, field.name);
        }
    }
}

#[test]
fn every_command_that_is_read_is_in_the_document() {
    const WIRE: &str = include_str!("../../../app/stream/wire.rs");
    let (_, body) = WIRE.split_once("\nfn request(").unwrap();
    let body = body.split("\n}\n").next().unwrap();
    // Arms of the outer match stand eight spaces in.
    let arms = body.lines().filter(|line| line.starts_with("        \""));
    let arms = arms.filter_map(|line| line.split_once(" =>").map(|(names, _)| names));
    let read: BTreeSet<String> =
        arms.flat_map(|names| names.split('"').skip(1).step_by(2)).map(str::to_owned).collect();
    let declared: BTreeSet<String> = commands().map(|message| message.name.to_owned()).collect();
    assert_eq!(read, declared);
}

#[test]
fn audio_in_json_is_read_as_declared() {
    let audio = FROM_CLIENT.iter().find(|message| message.is_audio).unwrap();
    assert_eq!((audio.name, audio.required), ("audio", &["payload"][..]));
    let schema = payload(&document(), "asked_audio");
    let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["payload", "type"]);
    for frame in samples::frames() {
        let payload = frame["payload"].as_str().unwrap();
        assert_eq!(samples::heard(&json!({ "type": "audio", "payload": payload })), Some(4));
    }
    assert_eq!(samples::heard(&json!({ "type": "audio" })), None);
}

#[test]
fn references_lead_somewhere() {
    let document = document();
    let text = document.to_string();
    let mut references = 0;
    for (at, _) in text.match_indices("{\"$ref\":\"#") {
        let pointer = text[at + 10..].split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        references += 1;
    }
    assert!(references > 100, "{references}");
}
