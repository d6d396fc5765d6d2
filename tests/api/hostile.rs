//! Bodies that are meant to hurt: each gets a clear refusal, and the API goes on.

use crate::rig::{ADMIN, Rig, Setup};
use bellwire::api::rest::ApiLimits;
use bellwire::api::types::fuzz_create;
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

#[tokio::test]
async fn bodies_that_are_no_request() {
    let rig = Rig::new().await;
    let mut deep = b"{\"a\":".repeat(20_000);
    deep.extend(b"}".repeat(20_000));
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("empty", vec![], 400, "empty"),
        ("not JSON", b"hello".to_vec(), 400, "line 1 column"),
        ("cut off", b"{\"instanceId\": \"inst_a\", \"ty".to_vec(), 400, "line 1 column 28"),
        ("second value", b"{} {}".to_vec(), 400, "trailing"),
        ("a list", b"[]".to_vec(), 400, "object"),
        ("null", b"null".to_vec(), 400, "object"),
        ("nested deep", deep, 400, "recursion"),
        ("many elements", format!("[{}1]", "1,".repeat(70_000)).into_bytes(), 400, "elements"),
        ("bad UTF-8", b"{\"type\": \"\xc3\x28\"}".to_vec(), 400, "column"),
        ("lone surrogate", br#"{"type": "\ud800"}"#.to_vec(), 400, "column"),
        ("huge number", b"{\"ringTimeout\": 1e999}".to_vec(), 400, "number out of range"),
        ("byte order mark", b"\xef\xbb\xbf{}".to_vec(), 400, "column"),
        ("NUL bytes", vec![0; 4096], 400, "column"),
        ("too large", vec![b' '; 17 << 20], 413, "larger than"),
    ];
    for (name, body, status, part) in cases {
        let request = rig.request("POST", "/v1/calls").key(ADMIN);
        let reply = request.bytes("application/json", body).send().await;
        assert_eq!(reply.status, status, "{name}: {}", reply.body);
        let detail = reply.body["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{name}: {detail}");
        assert_eq!(reply.header("content-type"), "application/problem+json", "{name}");
    }
    assert_eq!(rig.call("inst_a").await.len(), 37, "and goes on");
}

#[tokio::test]
async fn names_and_values_of_every_wrong_kind() {
    let rig = Rig::new().await;
    let fields = [
        "instanceId",
        "type",
        "target",
        "tts",
        "from",
        "fromName",
        "trunkId",
        "ringTimeout",
        "maxDuration",
        "metadata",
        "amd",
        "priority",
        "startOn",
        "stream",
        "audio",
        "agent",
    ];
    let values = [
        json!(true),
        json!(-1),
        json!(1e300),
        json!([]),
        json!([[]]),
        json!("\u{0}"),
        json!({"a": 1}),
    ];
    for field in fields {
        for value in &values {
            let mut body = json!({"instanceId": "inst_a", "type": "FIXED_TTS",
                "target": {"phoneNumber": "+14155550123"}, "tts": {"text": "x", "voiceId": "en-US-001"}});
            body[field] = value.clone();
            let reply = rig.ask("POST", "/v1/calls", Some(&body)).await;
            let fine = field == "metadata" && value.is_object();
            let expected: &[u16] = if fine { &[201] } else { &[400, 501] };
            assert!(expected.contains(&reply.status.as_u16()), "{field}={value}: {}", reply.body);
        }
    }
    let mut body = json!({"~/\u{1}": 1, "x".repeat(10_000): 1});
    for n in 0..1000 {
        body[format!("f{n}")] = json!(n);
    }
    let reply = rig.ask("POST", "/v1/calls", Some(&body)).await;
    assert_eq!((reply.status.as_u16(), reply.places().len()), (400, 32));
    assert!(reply.bytes.len() < 8192, "a refusal is short");
}

#[tokio::test]
async fn lenient_mode_ignores_unknown_fields_only() {
    let rig = Rig::with(Setup { strict: false, ..Setup::default() }).await;
    let mut body = json!({"instanceId": "inst_a", "type": "DYNAMIC_STREAM", "odd": 1,
        "target": {"phoneNumber": "+14155550123", "odd": 1}});
    assert_eq!(rig.ask("POST", "/v1/calls", Some(&body)).await.status, 201);
    body["webhook"] = json!({});
    assert_eq!(rig.ask("POST", "/v1/calls", Some(&body)).await.status, 501);
}

#[tokio::test]
async fn large_bodies_share_a_budget() {
    let limits = ApiLimits {
        bodies_in_flight: 1 << 20,
        answer_timeout: Duration::from_millis(1),
        ..ApiLimits::default()
    };
    let rig = Rig::with(Setup { limits, ..Setup::default() }).await;
    rig.gate.forget_permits(1000);
    let body = json!({"instanceId": "inst_a", "type": "FIXED_AUDIO",
        "target": {"phoneNumber": "+14155550123"},
        "audio": {"audioBase64": format!("SUQz{}", "A".repeat(2 << 20))}});
    // Larger than the whole budget, it takes all of it; alone, it is served.
    let reply = rig.ask("POST", "/v1/calls", Some(&body)).await;
    assert_eq!(reply.code(), "capacity_exceeded", "the daemon is held up: {}", reply.body);
    assert!(reply.body["detail"].as_str().unwrap().contains("busy"), "{}", reply.body);
}

#[test]
fn the_committed_corpus_is_read_without_a_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/rest_create");
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        fuzz_create(&std::fs::read(file.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 20, "{files}");
}

/// Any JSON, with the API's own names and values more often than not.
fn json_like() -> impl Strategy<Value = serde_json::Value> {
    let names = prop::sample::select(vec![
        "instanceId",
        "type",
        "target",
        "phoneNumber",
        "phone_number",
        "sipUri",
        "headers",
        "tts",
        "text",
        "voiceId",
        "audio",
        "audioBase64",
        "repeat",
        "agent",
        "instructions",
        "stream",
        "rate",
        "listen",
        "metadata",
        "from",
        "ringTimeout",
        "amd",
        "mode",
        "X-A",
        "odd",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,12}".prop_map(|s| json!(s)),
        prop::sample::select(vec![
            "inst_a",
            "FIXED_TTS",
            "FIXED_AUDIO",
            "DYNAMIC_STREAM",
            "DYNAMIC_AGENT",
            "+14155550123",
            "en-US-001",
            "SUQz",
            "caller",
            "native",
            "off",
        ])
        .prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(4, 48, 10, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
            prop::collection::btree_map(names.clone(), inner, 0..10)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_taken_or_refused_with_reasons(value in json_like()) {
        fuzz_create(value.to_string().as_bytes());
    }

    #[test]
    fn a_good_body_with_any_part_replaced(value in json_like(), at in 0_usize..6) {
        let mut body = json!({"instanceId": "inst_a", "type": "FIXED_TTS",
            "target": {"phoneNumber": "+14155550123"}, "tts": {"text": "x", "voiceId": "en-US-001"}});
        let pointers = ["/instanceId", "/type", "/target", "/target/phoneNumber", "/tts", "/tts/text"];
        if let Some(place) = body.pointer_mut(pointers[at]) {
            *place = value;
        }
        fuzz_create(body.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_refused_with_reasons(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        fuzz_create(&bytes);
    }
}
