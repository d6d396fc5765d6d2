//! Every code of the table of problems, produced by a request.

use crate::rig::{ADMIN, ALPHA, READER, Reply, Rig, Setup};
use bellwire::api::error::{Code, Problem};
use bellwire::api::limit::Rate;
use bellwire::api::rest::ApiLimits;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn tts() -> Value {
    json!({
        "instanceId": "inst_a",
        "type": "FIXED_TTS",
        "target": {"phoneNumber": "+14155550123"},
        "tts": {"text": "Hello", "voiceId": "en-US-001"},
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut body = tts();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

fn audio(base64: &str) -> Value {
    json!({
        "instanceId": "inst_a",
        "type": "FIXED_AUDIO",
        "target": {"phoneNumber": "+14155550123"},
        "audio": {"audioBase64": base64},
    })
}

/// What every problem body has, whatever it says.
fn check_shape(reply: &Reply, path: &str) {
    assert_eq!(reply.header("content-type"), "application/problem+json", "{}", reply.body);
    assert_eq!(reply.body["status"], reply.status.as_u16());
    assert_eq!(reply.body["type"], format!("/problems/{}", reply.code()));
    assert_eq!(reply.body["instance"], path);
    assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
    for part in ["title", "detail", "request_id"] {
        assert!(!reply.body[part].as_str().unwrap_or_default().is_empty(), "{}", reply.body);
    }
    let retry = reply.body["retry_after"].as_u64().map(|seconds| seconds.to_string());
    assert_eq!(reply.header("retry-after"), retry.unwrap_or_default());
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn every_code_has_a_request_that_produces_it() {
    let rig = Rig::new().await;
    let mut seen = BTreeSet::new();
    let mut note = |expected: Code, reply: &Reply, path: &str| {
        assert_eq!(reply.code(), expected.as_str(), "{}", reply.body);
        assert_eq!(reply.status.as_u16(), expected.status(), "{}", reply.body);
        check_shape(reply, path);
        seen.insert(expected);
    };
    for (code, body) in [
        (Code::InvalidRequest, with("/ringTimeout", json!(4))),
        (Code::MissingField, with("/tts", Value::Null)),
        (Code::InvalidPhoneNumber, with("/target/phoneNumber", json!("4155550123"))),
        (Code::UnsupportedType, with("/type", json!("FAX"))),
        (Code::UnknownVoice, with("/tts/voiceId", json!("xx-XX-001"))),
        (Code::AudioUndecodable, audio("AAAA")),
        (Code::AudioTooLarge, audio("TE9ORw==")),
        (Code::NotFound, with("/instanceId", json!("inst_none"))),
        (Code::NotImplemented, with("/scheduleAt", json!("2027-01-01T00:00:00Z"))),
        (Code::Internal, audio("UEFOSUM=")),
        (
            Code::AgentEngineUnavailable,
            json!({
                "instanceId": "inst_a", "type": "DYNAMIC_AGENT",
                "target": {"phoneNumber": "+14155550123"}, "agent": {"instructions": ["Greet"]},
            }),
        ),
    ] {
        note(code, &rig.ask("POST", "/v1/calls", Some(&body)).await, "/v1/calls");
    }
    for (number, code) in [
        ("+19005550100", Code::DestinationNotAllowed),
        ("+19005550101", Code::TrunkCpsExceeded),
        ("+19005550102", Code::CapacityExceeded),
        ("+19005550103", Code::Draining),
        ("+19005550104", Code::TrunkUnavailable),
    ] {
        let problem = Problem::new(code, "made up").with_retry_after(Duration::from_secs(2));
        rig.daemon.lock().unwrap().refusals.insert(number.into(), problem);
        let body = with("/target/phoneNumber", json!(number));
        note(code, &rig.ask("POST", "/v1/calls", Some(&body)).await, "/v1/calls");
    }
    let none = rig.request("GET", "/v1/calls").send().await;
    note(Code::Unauthorized, &none, "/v1/calls");
    assert!(none.header("www-authenticate").starts_with("Bearer"));
    let foreign = rig.request("POST", "/v1/calls").key(ALPHA);
    let foreign = foreign.json(Some(&with("/instanceId", json!("inst_b")))).send().await;
    note(Code::ForbiddenInstance, &foreign, "/v1/calls");
    let reader = rig.request("POST", "/v1/calls").key(READER).json(Some(&tts())).send().await;
    note(Code::ForbiddenScope, &reader, "/v1/calls");
    let declared = rig.ask("DELETE", "/v1/instances/inst_a", None).await;
    note(Code::Conflict, &declared, "/v1/instances/inst_a");
    let ended = rig.call("inst_a").await;
    rig.end(&ended);
    let path = format!("/v1/calls/{ended}/tickets");
    note(Code::CallEnded, &rig.ask("POST", &path, None).await, &path);
    for (number, status) in [("+14155550123", 201), ("+14155550124", 422)] {
        let request = rig.request("POST", "/v1/calls").key(ADMIN).header("idempotency-key", "k");
        let body = with("/target/phoneNumber", json!(number));
        let reply = request.json(Some(&body)).send().await;
        assert_eq!(reply.status, status);
        if status == 422 {
            note(Code::IdempotencyMismatch, &reply, "/v1/calls");
        }
    }
    let slow = Rate { per_second: 0.001, burst: 1 };
    let limits = ApiLimits { rate: slow, ..ApiLimits::default() };
    let limited = Rig::with(Setup { limits, ..Setup::default() }).await;
    assert_eq!(limited.ask("GET", "/v1/voices", None).await.status, 200);
    note(Code::RateLimited, &limited.ask("GET", "/v1/voices", None).await, "/v1/voices");
    let taken = rig.call("inst_a").await;
    let path = format!("/v1/calls/{taken}/stream");
    let resume = format!("resume=rsm_{}&since=1", "0".repeat(32));
    for (code, query) in [(Code::StreamAlreadyAttached, ""), (Code::ResumeOver, &resume)] {
        let upgrade = rig.request("GET", &format!("{path}?{query}")).key(ADMIN);
        let upgrade = upgrade.header("connection", "Upgrade").header("upgrade", "websocket");
        let upgrade = upgrade.header("sec-websocket-version", "13");
        let upgrade = upgrade.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        note(code, &upgrade.send().await, &path);
    }
    assert_eq!(seen.iter().copied().collect::<Vec<_>>(), Code::ALL);
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let rig = Rig::new().await;
    let body = json!({
        "instanceId": "nonsense",
        "target": {"phoneNumber": 1, "headers": {"From": "x", "X-Ok": "a\r\nb"}, "extra": 1},
        "type": "FIXED_TTS",
        "tts": {"text": " ", "voiceId": "xx", "repeat": 11, "speed": 2.5},
        "stream": {},
        "maxDuration": "1h",
        "metadata": [],
        "instance": "typo",
    });
    let reply = rig.ask("POST", "/v1/calls", Some(&body)).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, "invalid_request"));
    assert_eq!(
        reply.places(),
        [
            "/instanceId pattern",
            "/target/phoneNumber wrong_type",
            "/target/headers/From header",
            "/target/headers/X-Ok header",
            "/target/extra unknown_field",
            "/stream not_for_type",
            "/tts/text length",
            "/tts/voiceId unknown",
            "/tts/repeat out_of_range",
            "/tts/speed out_of_range",
            "/maxDuration out_of_range",
            "/metadata wrong_type",
            "/instance unknown_field",
        ]
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn each_rule_of_a_create_request_is_checked() {
    let rig = Rig::new().await;
    let nine = "x".repeat(257);
    let many: Value = (0..33).map(|n| (format!("X-{n}"), json!("v"))).collect();
    for (body, code, place) in [
        (json!({}), "missing_field", "/instanceId required"),
        (with("/instanceId", Value::Null), "missing_field", "/instanceId required"),
        (with("/type", Value::Null), "missing_field", "/type required"),
        (with("/type", json!(7)), "unsupported_type", "/type wrong_type"),
        (with("/type", json!("fixed_tts")), "unsupported_type", "/type enum"),
        (with("/target", Value::Null), "missing_field", "/target/phoneNumber required"),
        (with("/target", json!({})), "missing_field", "/target/phoneNumber required"),
        (with("/target", json!("+1")), "invalid_request", "/target wrong_type"),
        (
            with("/target/phoneNumber", json!("+0123456789")),
            "invalid_phone_number",
            "/target/phoneNumber pattern",
        ),
        (
            with("/target/phoneNumber", json!("+123456")),
            "invalid_phone_number",
            "/target/phoneNumber pattern",
        ),
        (
            with("/target/phoneNumber", json!("+1234567890123456")),
            "invalid_phone_number",
            "/target/phoneNumber pattern",
        ),
        (
            with("/target/phoneNumber", json!("+1 415 555")),
            "invalid_phone_number",
            "/target/phoneNumber pattern",
        ),
        (with("/target/sipUri", json!("sip:a@b")), "invalid_request", "/target/sipUri exclusive"),
        (with("/target/headers", many), "invalid_request", "/target/headers wrong_type"),
        (
            with("/target/headers", json!({"X-A": nine})),
            "invalid_request",
            "/target/headers/X-A header",
        ),
        (with("/tts/text", json!("x".repeat(5001))), "invalid_request", "/tts/text length"),
        (with("/tts/text", Value::Null), "missing_field", "/tts/text required"),
        (with("/tts/voiceId", Value::Null), "missing_field", "/tts/voiceId required"),
        (with("/tts/ssml", json!(true)), "invalid_request", "/tts/text ssml"),
        (with("/tts/ssml", json!("yes")), "invalid_request", "/tts/ssml wrong_type"),
        (with("/tts/tone", json!(1)), "invalid_request", "/tts/tone unknown_field"),
        (with("/audio", json!({})), "invalid_request", "/audio not_for_type"),
        (with("/from", json!("anonymous")), "invalid_phone_number", "/from pattern"),
        (with("/fromName", json!("a\nb")), "invalid_request", "/fromName pattern"),
        (with("/trunkId", json!("none")), "invalid_request", "/trunkId not_allowed"),
        (with("/ringTimeout", json!(181)), "invalid_request", "/ringTimeout out_of_range"),
        (with("/ringTimeout", json!(30.5)), "invalid_request", "/ringTimeout out_of_range"),
        (with("/maxDuration", json!(0)), "invalid_request", "/maxDuration out_of_range"),
        (
            with("/metadata", json!({"k": "x".repeat(17_000)})),
            "invalid_request",
            "/metadata too_long",
        ),
        (with("/priority", json!(1)), "not_implemented", "/priority not_implemented"),
        (with("/retry", json!({"maxAttempts": 3})), "not_implemented", "/retry not_implemented"),
        (with("/amd", json!({"mode": "maybe"})), "invalid_request", "/amd/mode enum"),
        (with("/bargeIn", json!({"on": ["cough"]})), "invalid_request", "/bargeIn/on enum"),
        (with("/startOn", json!("later")), "invalid_request", "/startOn enum"),
        (
            with("/record", json!({"enabled": true})),
            "not_implemented",
            "/record/enabled not_implemented",
        ),
        (with("/transcribe", json!("yes")), "invalid_request", "/transcribe wrong_type"),
        (with("/collectDtmf", json!({})), "not_implemented", "/collectDtmf not_implemented"),
        (
            with("/webhook", json!({"url": "https://x"})),
            "not_implemented",
            "/webhook not_implemented",
        ),
        (with("/startOn", json!("early_media")), "not_implemented", "/startOn not_implemented"),
    ] {
        let reply = rig.ask("POST", "/v1/calls", Some(&body)).await;
        assert_eq!(reply.code(), code, "{}", reply.body);
        assert!(reply.places()[0].ends_with(place), "{place}: {}", reply.body);
    }
    assert!(rig.daemon.lock().unwrap().created.is_empty());
}

#[tokio::test]
async fn each_rule_of_the_sections_is_checked() {
    let rig = Rig::new().await;
    let section = |call_type: &str, name: &str, value: Value| {
        json!({
            "instanceId": "inst_a", "type": call_type,
            "target": {"phoneNumber": "+14155550123"}, name: value,
        })
    };
    let stream = |value| section("DYNAMIC_STREAM", "stream", value);
    let agent = |value| section("DYNAMIC_AGENT", "agent", value);
    let audio = |value| section("FIXED_AUDIO", "audio", value);
    for (body, code, place) in [
        (stream(json!({"rate": 11025})), "invalid_request", "/stream/rate invalid"),
        (stream(json!({"listen": "everybody"})), "invalid_request", "/stream/listen invalid"),
        (stream(json!({"jitter": "fast"})), "invalid_request", "/stream/jitter invalid"),
        (stream(json!({"statsMs": 999})), "invalid_request", "/stream/statsMs invalid"),
        (stream(json!({"transcripts": "all"})), "invalid_request", "/stream/transcripts invalid"),
        (
            stream(json!({"protocol": "exotel"})),
            "not_implemented",
            "/stream/protocol not_implemented",
        ),
        (stream(json!({"url": "https://x"})), "invalid_request", "/stream/url invalid"),
        (stream(json!({"auth": {}})), "invalid_request", "/stream/auth needs_url"),
        (stream(json!({"rate": true})), "invalid_request", "/stream/rate wrong_type"),
        (stream(json!({"parameters": 7})), "invalid_request", "/stream/parameters wrong_type"),
        (stream(json!({"waitMs": -1})), "invalid_request", "/stream/waitMs out_of_range"),
        (stream(json!({"colour": 1})), "invalid_request", "/stream/colour unknown_field"),
        (agent(Value::Null), "missing_field", "/agent/instructions required"),
        (agent(json!({})), "missing_field", "/agent/instructions required"),
        (agent(json!({"instructions": []})), "invalid_request", "/agent/instructions length"),
        (agent(json!({"instructions": "x"})), "invalid_request", "/agent/instructions wrong_type"),
        (
            agent(json!({"instructions": ["x".repeat(2001)]})),
            "invalid_request",
            "/agent/instructions length",
        ),
        (
            agent(json!({"instructions": vec!["x"; 65]})),
            "invalid_request",
            "/agent/instructions wrong_type",
        ),
        (audio(Value::Null), "missing_field", "/audio/audioBase64 required"),
        (audio(json!({})), "missing_field", "/audio/audioBase64 required"),
        (audio(json!({"audioBase64": ""})), "audio_undecodable", "/audio/audioBase64 empty"),
        (
            audio(json!({"audioBase64": "SUQz..."})),
            "audio_undecodable",
            "/audio/audioBase64 base64",
        ),
        (audio(json!({"audioBase64": 5})), "audio_undecodable", "/audio/audioBase64 wrong_type"),
        (audio(json!({"audioId": "aud_1"})), "not_implemented", "/audio/audioId not_implemented"),
        (audio(json!({"url": "https://x"})), "not_implemented", "/audio/url not_implemented"),
        (
            audio(json!({"audioBase64": "SUQz", "gainDb": -6})),
            "not_implemented",
            "/audio/gainDb not_implemented",
        ),
    ] {
        let reply = rig.ask("POST", "/v1/calls", Some(&body)).await;
        assert_eq!(
            (reply.code(), reply.places()),
            (code, vec![place.to_owned()]),
            "{}",
            reply.body
        );
    }
}

#[tokio::test]
async fn paths_methods_and_types_that_do_not_fit() {
    let rig = Rig::new().await;
    let cases = [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v2/calls", 404, "not_found"),
        ("GET", "/v1/calls/x", 404, "not_found"),
        ("GET", "/v1/calls/%ff", 404, "not_found"),
        ("GET", "/v1/calls/inst_a", 404, "not_found"),
        ("GET", "/v1/calls/call_none", 404, "not_found"),
        ("GET", "/v1/calls/call_none/nothing", 404, "not_found"),
        ("PUT", "/v1/calls", 405, "invalid_request"),
        ("POST", "/api/v1/calls/call_1", 405, "invalid_request"),
        ("GET", "/v1/instances/inst_none", 404, "not_found"),
    ];
    for (method, path, status, code) in cases {
        let reply = rig.ask(method, path, None).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{method} {path}");
        check_shape(&reply, path);
    }
    let allow = rig.ask("PUT", "/v1/calls", None).await;
    assert!(allow.header("allow").contains("POST"), "{:?}", allow.headers);
    let form = rig.request("POST", "/v1/calls").key(ADMIN);
    let form = form.bytes("application/x-www-form-urlencoded", b"a=b".to_vec()).send().await;
    assert_eq!((form.status.as_u16(), form.code()), (415, "invalid_request"));
}

#[tokio::test]
async fn a_problem_says_what_it_means_at_its_type() {
    let rig = Rig::new().await;
    let page = rig.request("GET", "/problems/audio_too_large").send().await;
    assert_eq!(page.status, 200);
    assert!(String::from_utf8_lossy(&page.bytes).contains("413"));
    assert_eq!(rig.request("GET", "/problems/none").send().await.status, 404);
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_503() {
    let limits = ApiLimits { answer_timeout: Duration::from_millis(1), ..ApiLimits::default() };
    let rig = Rig::with(Setup { limits, deaf: Some(1), ..Setup::default() }).await;
    for _ in 0..2 {
        // The first waits in the queue until the timeout, the second finds the queue full.
        let reply = rig.ask("POST", "/v1/calls", Some(&tts())).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (503, "capacity_exceeded"));
        assert_eq!(reply.header("retry-after"), "1");
    }
}
