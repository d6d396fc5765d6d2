use super::*;
use crate::api::error::Problem;
use crate::api::types::control::{
    parse_bridge, parse_dtmf, parse_early_media, parse_mute, parse_reject, parse_transfer,
};
use crate::api::types::instance::{InstanceChange, parse_call_change};
use crate::api::types::key::CreateKey;
use crate::api::types::{CreateCall, CreateContext, CreateDefaults, Voice, answer};
use crate::call::record::{CallRecord, CallType, Direction};
use std::collections::BTreeSet;

const ROUTER: &str = include_str!("../../rest.rs");
const PAGE: &str = include_str!("../../../../docs/api.md");

/// `GET /calls/{}` of the router's own text, below `/v1`.
fn routed() -> BTreeSet<String> {
    let (_, rest) = ROUTER.split_once("\nfn v1(").unwrap();
    let body = rest.split("\n}\n").next().unwrap();
    let mut routes = BTreeSet::new();
    for route in body.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        let path: String = plain(path);
        let handlers = route.split(".route_layer").next().unwrap();
        for method in ["get", "post", "patch", "delete", "put"] {
            let calls = handlers.match_indices(&format!("{method}(")).any(|(at, _)| {
                !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if calls {
                routes.insert(format!("{} {path}", method.to_ascii_uppercase()));
            }
        }
    }
    routes
}

/// Without the names of parameters.
fn plain(path: &str) -> String {
    let mut parts = path.split(['{', '}']);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        text.push_str(if index % 2 == 0 { "{}" } else { part });
    }
    text
}

#[test]
fn the_document_has_the_routes_of_the_router_and_of_the_page() {
    let declared: BTreeSet<String> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, plain(route.path))).collect();
    assert_eq!(declared.len(), ROUTES.len());
    assert_eq!(declared, routed(), "the router and routes.rs differ");
    let paged = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let paged = paged.filter_map(|route| route.split_once(" /v1"));
    let paged = paged.filter(|(_, path)| !path.starts_with("/admin"));
    let paged: BTreeSet<String> =
        paged.map(|(method, path)| format!("{method} {}", plain(path))).collect();
    assert_eq!(declared, paged, "docs/api.md and routes.rs differ");
}

/// A body with every field of a schema: null where it ends, objects where it goes on.
fn nulls(document: &Value, schema: &Value) -> Value {
    let schema = follow(document, schema);
    let Some(properties) = schema["properties"].as_object() else { return Value::Null };
    let fields = properties.iter().map(|(name, inner)| {
        let deeper = follow(document, inner)["properties"].is_object();
        (name.clone(), if deeper { nulls(document, inner) } else { Value::Null })
    });
    fields.collect::<Map<_, _>>().into()
}

fn follow<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// Fields of the schema that the parser does not know.
fn unknown(problem: Result<(), Problem>) -> Vec<String> {
    let errors = problem.err().map(|problem| problem.errors).unwrap_or_default();
    let unknown = errors.into_iter().filter(|error| error.code == "unknown_field");
    unknown.map(|error| error.pointer).collect()
}

fn create(body: &Value) -> Result<(), Problem> {
    let voices = [Voice::plain("en-US-001", "en-US")];
    let context = CreateContext {
        defaults: CreateDefaults::default(),
        strict: true,
        voices: &voices,
        engines: &[],
    };
    CreateCall::parse(body.to_string().as_bytes(), &context).map(|_| ())
}

#[test]
fn every_field_of_a_request_is_known_to_its_parser() {
    let document = document();
    let body = |name: &str| nulls(&document, &reference(name)).to_string().into_bytes();
    let whole = nulls(&document, &reference("CreateCall"));
    for (kind, section) in [
        ("FIXED_TTS", "tts"),
        ("FIXED_AUDIO", "audio"),
        ("DYNAMIC_STREAM", "stream"),
        ("DYNAMIC_AGENT", "agent"),
    ] {
        let mut request = whole.clone();
        request["type"] = kind.into();
        for other in ["tts", "audio", "stream", "agent"].into_iter().filter(|o| *o != section) {
            request[other] = Value::Null;
        }
        assert_eq!(unknown(create(&request)), Vec::<String>::new(), "{kind}");
    }
    for (name, problem) in [
        ("ChangeCall", parse_call_change(&body("ChangeCall"), true).map(|_| ())),
        ("Reject", parse_reject(&body("Reject"), true).map(|_| ())),
        ("EarlyMedia", parse_early_media(&body("EarlyMedia"), true).map(|_| ())),
        ("Mute", parse_mute(&body("Mute"), true, true).map(|_| ())),
        ("Keys", parse_dtmf(&body("Keys"), true).map(|_| ())),
        ("Transfer", parse_transfer(&body("Transfer"), true).map(|_| ())),
        ("Bridge", parse_bridge(&body("Bridge"), true).map(|_| ())),
        ("CreateInstance", InstanceChange::parse(&body("CreateInstance"), true, true).map(|_| ())),
        ("ChangeInstance", InstanceChange::parse(&body("ChangeInstance"), true, false).map(|_| ())),
        ("CreateKey", CreateKey::parse(&body("CreateKey"), true).map(|_| ())),
    ] {
        assert_eq!(unknown(problem), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn bounds_of_whole_numbers_are_those_of_the_parser() {
    let document = document();
    let properties = |name: &str| document["components"]["schemas"][name]["properties"].clone();
    let outside = |pointer: &str, problem: Result<(), Problem>| {
        let errors = problem.err().map(|problem| problem.errors).unwrap_or_default();
        errors.iter().any(|error| error.pointer == pointer && error.code == "out_of_range")
    };
    let mut looked = 0;
    for (section, kind, schema) in [
        ("", "DYNAMIC_STREAM", "CreateCall"),
        ("tts", "FIXED_TTS", "Tts"),
        ("audio", "FIXED_AUDIO", "Audio"),
        ("agent", "DYNAMIC_AGENT", "Agent"),
        ("amd", "FIXED_TTS", "Amd"),
        ("bargeIn", "DYNAMIC_STREAM", "BargeIn"),
    ] {
        for (name, property) in properties(schema).as_object().unwrap() {
            let Some(least) = property["minimum"].as_u64() else { continue };
            if property["type"] != "integer" {
                continue;
            }
            let most = property["maximum"].as_u64().unwrap();
            let mut probe = |value: i64, expected: bool| {
                let mut body = json!({ "type": kind });
                if section.is_empty() {
                    body[name] = value.into();
                } else {
                    body[section][name] = value.into();
                }
                let pointer = if section.is_empty() {
                    format!("/{name}")
                } else {
                    format!("/{section}/{name}")
                };
                assert_eq!(outside(&pointer, create(&body)), expected, "{pointer} {value}");
                looked += 1;
            };
            probe(i64::try_from(least).unwrap() - 1, true);
            probe(i64::try_from(least).unwrap(), false);
            probe(i64::try_from(most).unwrap(), false);
            probe(i64::try_from(most).unwrap() + 1, true);
        }
    }
    assert!(looked > 50, "{looked}");
}

#[test]
fn every_field_that_a_parser_reads_is_in_the_document() {
    // Fields that are refused in this version are not promised.
    const LATER: [&str; 7] =
        ["audioId", "gainDb", "normalize", "priority", "onEndOfPlayback", "webhook", "dedupe"];
    let sources = [
        include_str!("../../types/create.rs"),
        include_str!("../../types/control.rs"),
        include_str!("../../types/instance.rs"),
        include_str!("../../types/key.rs"),
        include_str!("../../types/create/agent.rs"),
        include_str!("../../types/create/amd.rs"),
        include_str!("../../types/create/barge.rs"),
        include_str!("../../types/create/background.rs"),
    ];
    let text = super::text();
    for source in sources {
        let code = source.split("#[cfg(test)]").next().unwrap();
        for read in ["(faults, \"", "(&mut faults, \""] {
            for (at, _) in code.match_indices(read) {
                if [".absent", ".only"].iter().any(|check| code[..at].ends_with(check)) {
                    continue;
                }
                let name = code[at + read.len()..].split('"').next().unwrap();
                let there = text.contains(&format!("\"{name}\": {{"));
                assert!(there || LATER.contains(&name), "{name} is not in schemas.rs");
            }
        }
    }
}

#[test]
fn the_call_object_is_that_of_the_document() {
    let record = CallRecord::new(
        "call_1".parse().unwrap(),
        "inst_1".parse().unwrap(),
        CallType::DynamicStream,
        "+14155550123".to_owned(),
        Direction::Outbound,
        0,
    );
    let object = answer::call(&record);
    let document = document();
    let declared = document["components"]["schemas"]["Call"]["properties"].as_object().unwrap();
    let keys: BTreeSet<&String> = object.as_object().unwrap().keys().collect();
    let optional = ["identity", "tones", "barge_ins"];
    for key in &keys {
        assert!(declared.contains_key(*key), "{key} is not in schemas.rs");
    }
    for name in declared.keys().filter(|name| !optional.contains(&name.as_str())) {
        assert!(keys.contains(name), "{name} is in no call object");
    }
}

#[test]
fn references_lead_somewhere_and_operations_have_names_of_their_own() {
    let document = document();
    let text = document.to_string();
    let mut references = 0;
    for (at, _) in text.match_indices("{\"$ref\":\"#") {
        let pointer = text[at + 10..].split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        references += 1;
    }
    assert!(references > 50);
    let names: BTreeSet<String> = ROUTES.iter().map(operation_id).collect();
    assert_eq!(names.len(), ROUTES.len());
    assert!(names.contains("postCallsCallHold"), "{names:?}");
}
