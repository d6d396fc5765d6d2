use super::super::query::QUERY;
use super::*;
use crate::api::error::Problem;
use crate::api::types::control::{
    parse_bridge, parse_dtmf, parse_early_media, parse_mute, parse_reject, parse_transfer,
};
use crate::api::types::create::STREAM_PARAMETERS;
use crate::api::types::instance::{InstanceChange, parse_call_change};
use crate::api::types::key::CreateKey;
use crate::api::types::{CreateCall, CreateContext, CreateDefaults, Voice, answer};
use crate::app::stream::wire::Stages;
use crate::call::record::{CallRecord, CallType, Direction, Quality, StreamState};
use crate::media::ledger::StageSpread;
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
        // The rule of what is read as in a query is told as `invalid`.
        let rule = |code: &str| code == "out_of_range" || code == "invalid";
        errors.iter().any(|error| error.pointer == pointer && rule(error.code))
    };
    let mut looked = 0;
    for (section, kind, schema) in [
        ("", "DYNAMIC_STREAM", "CreateCall"),
        ("tts", "FIXED_TTS", "Tts"),
        ("audio", "FIXED_AUDIO", "Audio"),
        ("agent", "DYNAMIC_AGENT", "Agent"),
        ("amd", "FIXED_TTS", "Amd"),
        ("bargeIn", "DYNAMIC_STREAM", "BargeIn"),
        ("stream", "DYNAMIC_STREAM", "Stream"),
        ("stream/reconnect", "DYNAMIC_STREAM", "StreamReconnect"),
    ] {
        for (name, property) in properties(schema).as_object().unwrap() {
            let Some(least) = property["minimum"].as_u64() else { continue };
            if property["type"] != "integer" {
                continue;
            }
            let most = property["maximum"].as_u64().unwrap();
            let mut probe = |value: i64, expected: bool| {
                let mut body = json!({ "type": kind });
                let parts = section.split('/').filter(|part| !part.is_empty());
                let object = parts.fold(&mut body, |object, part| &mut object[part]);
                object[name] = value.into();
                let pointer = format!("/{section}/{name}").replace("//", "/");
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
        include_str!("../../types/create/dial.rs"),
        include_str!("../../types/create/hearing.rs"),
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

/// The fields of an object.
fn keys_in(object: &impl serde::Serialize) -> BTreeSet<String> {
    let object = serde_json::to_value(object).unwrap();
    object.as_object().unwrap().keys().cloned().collect()
}

/// The fields of a schema.
fn keys_of(document: &Value, schema: &str) -> BTreeSet<String> {
    keys_in(&document["components"]["schemas"][schema]["properties"])
}

#[test]
fn what_a_stream_agrees_on_is_that_of_the_query() {
    let document = document();
    let (stream, usual) = (keys_of(&document, "Stream"), keys_of(&document, "StreamDefaults"));
    let reconnect = keys_of(&document, "StreamReconnect");
    for (name, parameter) in STREAM_PARAMETERS {
        assert!(QUERY.iter().any(|field| field.name == parameter), "{parameter}");
        match name.strip_prefix("reconnect/") {
            Some(name) => assert!(reconnect.contains(name), "{name}"),
            None => assert!(stream.contains(name) && usual.contains(name), "{name}"),
        }
    }
    // Places and keys are a client's; what a voice does stands beside `stream`.
    let own = ["ticket", "role", "takeover", "resume", "since", "heard", "barge_in"];
    for field in QUERY {
        let said = STREAM_PARAMETERS.iter().any(|(_, parameter)| *parameter == field.name);
        assert_eq!(said, !own.contains(&field.name), "{}", field.name);
    }
    let mut bare: Vec<&String> = stream.difference(&usual).collect();
    bare.sort_unstable();
    assert_eq!(bare, ["waitMs"]);
}

#[test]
fn refusals_have_the_codes_that_come_with_their_status() {
    let mut told = BTreeSet::new();
    let routes = ROUTES.iter().flat_map(|route| route.refusals);
    for (status, codes) in USUAL.iter().chain(routes) {
        for code in *codes {
            assert!(code.status() == *status || *code == Code::InvalidRequest, "{status} {code:?}");
            told.insert(code.as_str());
        }
    }
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(told, all, "a code comes with no route");
}

#[test]
fn upgrades_are_refused_as_declared() {
    use crate::app::stream::{QueryBlame, QueryProblem, SeatError};
    let question = |blame| {
        let (parameter, detail) = ("x".to_owned(), String::new());
        Problem::from(QueryProblem { parameter, blame, detail })
    };
    let problems = [
        Problem::from(SeatError::Taken),
        Problem::from(SeatError::Full),
        Problem::from(SeatError::ResumeOver),
        Problem::from(SeatError::Ended),
        question(QueryBlame::Invalid),
        question(QueryBlame::Unsupported),
    ];
    let streams: Vec<&Route> =
        ROUTES.iter().filter(|route| route.path.contains("/stream")).collect();
    assert_eq!(streams.len(), 2);
    for problem in &problems {
        for route in &streams {
            let answers = &document()["paths"][format!("/v1{}", route.path)]["get"]["responses"];
            let answer = &answers[problem.code.status().to_string()]["description"];
            let code = format!("`{}`", problem.code.as_str());
            assert!(answer.as_str().unwrap().contains(&code), "{code}: {answer}");
        }
    }
}

#[test]
fn a_protocol_in_the_path_is_one_of_those_of_the_query() {
    let document = document();
    let parameters = &document["paths"]["/v1/calls/{call}/stream/{protocol}"]["get"]["parameters"];
    let named = |name: &str| {
        let all = parameters.as_array().unwrap().iter();
        all.filter(|parameter| parameter["name"] == name).collect::<Vec<_>>()
    };
    let [protocol] = named("protocol")[..] else { panic!("protocol is not there once") };
    assert_eq!((&protocol["in"], &protocol["required"]), (&json!("path"), &json!(true)));
    assert!(protocol["schema"]["enum"].as_array().unwrap().contains(&json!("twilio")));
    assert_eq!(named("listen").len(), 1);
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
    assert_eq!(keys_of(&document, "Quality"), keys_in(&Quality::default()));
    let stages = Stages::of(|_| StageSpread::default());
    assert_eq!(keys_of(&document, "Stages"), keys_in(&stages));
    let spread = &document["components"]["schemas"]["Stages"]["properties"]["write"]["properties"];
    assert_eq!(keys_in(spread), keys_in(&stages.write));
    let text = || Some("x".to_owned());
    let (connected, rate) = (true, Some(8000));
    let stream = StreamState { connected, protocol: text(), rate, url: text(), last_error: text() };
    assert_eq!(keys_of(&document, "CallStream"), keys_in(&stream));
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
