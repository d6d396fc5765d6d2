//! Calls: the reference API's bodies and answers, ours beyond them, idempotency, lists.

use crate::rig::{ADMIN, ALPHA, MP3_BASE64, READER, Rig};
use bellwire::api::gateway::{Content, Spoken};
use serde_json::{Value, json};
use std::time::Duration;

/// The four bodies of the reference API's page on call types; the audio is given whole where the
/// page shortens it by three dots.
fn seeds() -> [Value; 4] {
    [
        json!({
            "instanceId": "inst_abc123",
            "type": "FIXED_TTS",
            "target": { "phoneNumber": "+14155550123" },
            "tts": {
                "text": "Hi John, your appointment is confirmed for tomorrow at 2pm.",
                "voiceId": "en-US-001"
            }
        }),
        json!({
            "instanceId": "inst_abc123",
            "type": "FIXED_AUDIO",
            "target": { "phoneNumber": "+14155550123" },
            "audio": { "audioBase64": MP3_BASE64 }
        }),
        json!({
            "instanceId": "inst_abc123",
            "type": "DYNAMIC_STREAM",
            "target": { "phoneNumber": "+14155550123" }
        }),
        json!({
            "instanceId": "inst_abc123",
            "type": "DYNAMIC_AGENT",
            "target": { "phoneNumber": "+14155550123" },
            "agent": {
                "instructions": [
                    "Greet the person politely",
                    "Ask if they are interested in a product demo",
                    "If yes, collect their preferred date and time",
                    "Confirm the appointment before ending the call"
                ]
            }
        }),
    ]
}

fn stream_to(instance: &str, number: &str) -> Value {
    json!({"instanceId": instance, "type": "DYNAMIC_STREAM", "target": {"phoneNumber": number}})
}

#[tokio::test]
async fn the_reference_bodies_are_valid_unchanged_under_both_prefixes() {
    let rig = Rig::new().await;
    for prefix in ["/v1", "/api/v1"] {
        for body in &seeds()[..3] {
            let reply = rig.ask("POST", &format!("{prefix}/calls"), Some(body)).await;
            assert_eq!(reply.status, 201, "{}", reply.body);
            for (field, expected) in [
                ("instance_id", "inst_abc123"),
                ("type", body["type"].as_str().unwrap()),
                ("status", "QUEUED"),
                ("target_phone", "+14155550123"),
            ] {
                assert_eq!(reply.body[field], expected);
            }
            let id = reply.body["id"].as_str().unwrap();
            assert_eq!(reply.header("location"), format!("/v1/calls/{id}"));
            assert!(id.starts_with("call_") && id[5..].bytes().all(|b| b.is_ascii_hexdigit()));
            let shown = rig.ask("GET", &format!("{prefix}/calls/{id}"), None).await;
            assert_eq!((shown.status.as_u16(), &shown.body), (200, &reply.body));
        }
        let reply = rig.ask("POST", &format!("{prefix}/calls"), Some(&seeds()[3])).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (503, "agent_engine_unavailable"));
        assert!(reply.body["detail"].as_str().unwrap().contains("engine.llm"));
    }
}

#[tokio::test]
async fn the_daemon_gets_what_was_asked() {
    let rig = Rig::new().await;
    let body = json!({
        "instance_id": "inst_a",
        "type": "FIXED_TTS",
        "target": {"phone_number": "+442071234567", "headers": {"X-Ref": "42"}},
        "from": "+14155550100",
        "from_name": "ACME",
        "trunkId": "carrier",
        "ring_timeout": 45,
        "maxDuration": 3600,
        "tts": {"text": "Hello", "voice_id": "de-DE-001", "repeat": 2, "ssml": false, "speed": 1},
        "audio": null,
        "amd": {"mode": "off"},
        "record": {"enabled": false, "channels": "stereo"},
        "bargeIn": null,
        "startOn": "answer",
        "metadata": {"orderId": "42", "any": {"thing": [1, null]}},
    });
    let reply = rig.ask("POST", "/v1/calls", Some(&body)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.body["metadata"], body["metadata"]);
    let daemon = rig.daemon.lock().unwrap();
    let call = &daemon.created[0];
    assert_eq!((call.target.as_str(), call.instance.as_str()), ("+442071234567", "inst_a"));
    assert_eq!(call.headers, [("X-Ref".to_owned(), "42".to_owned())]);
    assert_eq!(call.from.as_deref(), Some("+14155550100"));
    assert_eq!(call.from_name.as_deref(), Some("ACME"));
    assert_eq!(call.ring_timeout, Duration::from_secs(45));
    assert_eq!(call.max_duration, Duration::from_hours(1));
    assert_eq!(call.settings.trunk.as_deref(), Some("carrier"));
    assert_eq!(call.settings.max_active_calls, 100);
    let Content::Tts(Spoken { text, voice, repeat, .. }) = &call.content else {
        panic!("{call:?}")
    };
    assert_eq!((text.as_str(), voice.as_str(), *repeat), ("Hello", "de-DE-001", 2));
}

#[tokio::test]
async fn stream_options_and_audio_reach_the_daemon() {
    let rig = Rig::new().await;
    let mut body = stream_to("inst_a", "+14155550123");
    body["stream"] = json!({"rate": 24000, "outRate": 16000, "listen": "caller", "waitMs": 2500,
        "playout": "queue", "url": null, "parameters": {}});
    assert_eq!(rig.ask("POST", "/v1/calls", Some(&body)).await.status, 201);
    let audio = json!({
        "instanceId": "inst_a", "type": "FIXED_AUDIO", "target": {"phoneNumber": "+14155550123"},
        "audio": {"audioBase64": format!("data:audio/mpeg;base64,{MP3_BASE64}"), "repeat": 3,
            "gainDb": 0, "normalize": true},
    });
    assert_eq!(rig.ask("POST", "/v1/calls", Some(&audio)).await.status, 201);
    let daemon = rig.daemon.lock().unwrap();
    let Content::Stream { options, wait, .. } = &daemon.created[0].content else { panic!() };
    assert_eq!((options.rate, options.out_rate), (Some(24_000), Some(16_000)));
    assert_eq!(*wait, Duration::from_millis(2500));
    let Content::Audio { samples, repeat } = &daemon.created[1].content else { panic!() };
    assert_eq!((samples.len(), *repeat), (160, 3));
}

#[tokio::test]
async fn a_second_call_of_an_api_made_instance_gives_the_first() {
    let rig = Rig::new().await;
    let made = rig.ask("POST", "/v1/instances", Some(&json!({"name": "Mine"}))).await;
    let instance = made.body["id"].as_str().unwrap();
    let body = stream_to(instance, "+14155550123");
    let first = rig.ask("POST", "/v1/calls", Some(&body)).await;
    let second = rig.ask("POST", "/v1/calls", Some(&body)).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 200));
    assert_eq!(first.body["id"], second.body["id"]);
    rig.end(first.body["id"].as_str().unwrap());
    assert_eq!(rig.ask("POST", "/v1/calls", Some(&body)).await.status, 201);
}

#[tokio::test]
async fn an_ended_call_is_shown_from_the_store_and_cannot_be_ended_again() {
    let rig = Rig::new().await;
    let id = rig.call("inst_a").await;
    rig.end(&id);
    let path = format!("/v1/calls/{id}");
    let shown = rig.ask("GET", &path, None).await;
    assert_eq!(shown.body["status"], "COMPLETED");
    assert_eq!(shown.body["end_reason"], "callee_hangup");
    assert_eq!(shown.body["created_at"], "2026-01-02T03:04:05Z");
    assert_eq!(shown.body["ended_at"], "2026-01-02T03:04:06Z");
    assert_eq!(shown.body["started_at"], Value::Null);
    let again = rig.ask("DELETE", &path, None).await;
    assert_eq!((again.status.as_u16(), again.code()), (404, "not_found"));
}

#[tokio::test]
async fn a_call_is_terminated_once_and_only_by_its_own() {
    let rig = Rig::new().await;
    let id = rig.call("inst_b").await;
    let path = format!("/v1/calls/{id}");
    let foreign = rig.request("DELETE", &path).key(ALPHA).send().await;
    assert_eq!(foreign.status, 404);
    let first = rig.ask("DELETE", &format!("{path}?reason=normal"), None).await;
    assert_eq!((first.status.as_u16(), first.bytes.len()), (204, 0));
    let later = rig.ask("DELETE", &format!("{path}?sipCode=486"), None).await;
    assert_eq!(
        (later.status.as_u16(), later.places()),
        (501, vec!["?sipCode not_implemented".into()])
    );
}

#[tokio::test]
async fn metadata_can_be_changed_while_active_and_after() {
    let rig = Rig::new().await;
    let id = rig.call("inst_a").await;
    let path = format!("/v1/calls/{id}");
    let changed = rig.ask("PATCH", &path, Some(&json!({"metadata": {"n": 1}}))).await;
    assert_eq!((changed.status.as_u16(), &changed.body["metadata"]), (200, &json!({"n": 1})));
    rig.end(&id);
    rig.ask("PATCH", &path, Some(&json!({"metadata": {"n": 2}}))).await;
    let nothing = rig.ask("PATCH", &path, Some(&json!({}))).await;
    assert_eq!(nothing.body["metadata"], json!({"n": 2}));
    assert_eq!(nothing.body["status"], "COMPLETED");
    let later = rig.ask("PATCH", &path, Some(&json!({"maxDuration": 9, "odd": 1}))).await;
    assert_eq!(later.status, 400);
    assert_eq!(later.places(), ["/maxDuration not_implemented", "/odd unknown_field"]);
    let foreign = rig.request("PATCH", "/v1/calls/call_none").key(ADMIN);
    let foreign = foreign.json(Some(&json!({"metadata": {}}))).send().await;
    assert_eq!(foreign.status, 404);
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_same_answer() {
    let rig = Rig::new().await;
    let post = |path: &'static str, key: &'static str, body: Value| {
        let request = rig.request("POST", path).key(ADMIN).header("idempotency-key", key);
        request.json(Some(&body)).send()
    };
    let body = stream_to("inst_a", "+14155550123");
    let first = post("/v1/calls", "k1", body.clone()).await;
    let again = post("/api/v1/calls", "k1", body.clone()).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(
        (first.header("idempotent-replayed"), again.header("idempotent-replayed")),
        ("", "true")
    );
    assert_eq!(rig.daemon.lock().unwrap().created.len(), 1);
    let other = post("/v1/calls", "k1", stream_to("inst_a", "+14155550124")).await;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency_mismatch"));
    let elsewhere = post("/v1/instances", "k1", body.clone()).await;
    assert_eq!(elsewhere.status, 422, "another path is another request");
    assert_eq!(post("/v1/calls", "k2", body.clone()).await.status, 201);
    let foreign = rig.request("POST", "/v1/calls").key(ALPHA).header("idempotency-key", "k1");
    assert_eq!(foreign.json(Some(&body)).send().await.status, 201, "keys do not share");
    let long = rig.request("POST", "/v1/calls").key(ADMIN);
    let long = long.header("idempotency-key", &"k".repeat(256)).json(Some(&body)).send().await;
    assert_eq!((long.status.as_u16(), long.code()), (400, "invalid_request"));
}

#[tokio::test]
async fn a_refused_request_may_be_put_right_with_the_same_key() {
    let rig = Rig::new().await;
    let post = |number: &str| {
        let request = rig.request("POST", "/v1/calls").key(ADMIN).header("idempotency-key", "k");
        request.json(Some(&stream_to("inst_a", number))).send()
    };
    assert_eq!(post("12").await.status, 400);
    assert_eq!(post("+14155550123").await.status, 201);
}

#[tokio::test]
async fn of_equal_requests_at_once_one_makes_a_call() {
    let rig = Rig::new().await;
    rig.gate.forget_permits(1000);
    let body = stream_to("inst_a", "+14155550123");
    let asked: Vec<_> = (0..12)
        .map(|_| {
            let request =
                rig.request("POST", "/v1/calls").key(ADMIN).header("idempotency-key", "k");
            tokio::spawn(request.json(Some(&body)).send())
        })
        .collect();
    let (mut waiting, mut conflicts) = (Vec::new(), 0);
    for task in asked {
        waiting.push(task);
    }
    // The daemon answers only when all but one have been told to wait.
    let mut first = None;
    while conflicts < 11 {
        let task = waiting.remove(0);
        if task.is_finished() {
            let reply = task.await.unwrap();
            assert_eq!((reply.status.as_u16(), reply.code()), (409, "conflict"));
            assert_eq!(reply.header("retry-after"), "1");
            conflicts += 1;
        } else {
            waiting.push(task);
            tokio::task::yield_now().await;
        }
    }
    rig.gate.add_permits(1);
    for task in waiting {
        first = Some(task.await.unwrap());
    }
    assert_eq!(first.unwrap().status, 201);
    assert_eq!(rig.daemon.lock().unwrap().created.len(), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_undo_its_request() {
    let rig = Rig::new().await;
    rig.gate.forget_permits(1000);
    let body = stream_to("inst_a", "+14155550123");
    let request = || {
        let request = rig.request("POST", "/v1/calls").key(ADMIN).header("idempotency-key", "k");
        request.json(Some(&body)).send()
    };
    let gone = tokio::spawn(request());
    while rig.daemon.lock().unwrap().asked == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(request().await.status, 409);
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    rig.gate.add_permits(1);
    let replayed = loop {
        let reply = request().await;
        if reply.status != 409 {
            break reply;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((replayed.status.as_u16(), replayed.header("idempotent-replayed")), (201, "true"));
}

#[tokio::test]
async fn pages_hold_every_call_once() {
    let rig = Rig::new().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(rig.call(if n % 2 == 0 { "inst_a" } else { "inst_b" }).await);
    }
    rig.end(&made[4]);
    let ids = |body: &Value| -> Vec<String> {
        let data = body["data"].as_array().unwrap();
        data.iter().map(|call| call["id"].as_str().unwrap().to_owned()).collect()
    };
    let (mut seen, mut path) = (Vec::new(), "/v1/calls?limit=2".to_owned());
    loop {
        let page = rig.ask("GET", &path, None).await;
        assert_eq!(page.status, 200);
        seen.extend(ids(&page.body));
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/v1/calls?limit=2&cursor={cursor}");
    }
    made.reverse();
    assert_eq!(seen, made);
    let count = async |query: &str, key: &str| {
        let reply = rig.request("GET", &format!("/v1/calls{query}")).key(key).send().await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.body);
        ids(&reply.body).len()
    };
    for (query, key, expected) in [
        ("", ADMIN, 5),
        ("", ALPHA, 3),
        ("", READER, 5),
        ("?instanceId=inst_b", ADMIN, 2),
        ("?instanceId=inst_b", ALPHA, 0),
        ("?instance_id=inst_a&status=COMPLETED", ALPHA, 1),
        ("?status=QUEUED", ADMIN, 4),
        ("?direction=inbound", ADMIN, 0),
        ("?since=2026-01-02T03:04:08Z", ADMIN, 2),
        ("?since=2026-01-02T04%3A04%3A08%2B01%3A00", ADMIN, 2),
    ] {
        assert_eq!(count(query, key).await, expected, "{query}");
    }
}

#[tokio::test]
async fn wrong_queries_are_named() {
    let rig = Rig::new().await;
    for (query, place) in [
        ("limit=0", "?limit out_of_range"),
        ("limit=201", "?limit out_of_range"),
        ("cursor=zzz", "?cursor pattern"),
        ("cursor=99999999999999999999.call_1", "?cursor pattern"),
        ("status=busy", "?status enum"),
        ("direction=up", "?direction enum"),
        ("since=yesterday", "?since pattern"),
        ("instanceId=x", "?instanceId pattern"),
        ("colour=red", "?colour unknown_field"),
    ] {
        let reply = rig.ask("GET", &format!("/v1/calls?{query}"), None).await;
        assert_eq!(
            (reply.status.as_u16(), reply.places()),
            (400, vec![place.to_owned()]),
            "{query}"
        );
    }
}

#[tokio::test]
async fn the_stats_of_a_call_are_those_of_its_media() {
    let rig = Rig::new().await;
    let body = stream_to("inst_a", "+14155550123");
    let made = rig.ask("POST", "/v1/calls", Some(&body)).await;
    let id = made.body["id"].as_str().unwrap();
    let stats = rig.ask("GET", &format!("/v1/calls/{id}/stats"), None).await;
    assert_eq!((stats.status.as_u16(), &stats.body["call_id"]), (200, &json!(id)));
    assert_eq!(stats.body["hole_wait_ms"], 20);
    let names: Vec<_> = stats.body["stages"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["decode", "order", "queue", "resample", "send", "write"]);
    let unknown = rig.ask("GET", "/v1/calls/call_ffff/stats", None).await;
    assert_eq!(unknown.status, 404);
    // A call that is over has the quality that it had, and no stages any more.
    assert_eq!(rig.ask("DELETE", &format!("/v1/calls/{id}"), None).await.status, 204);
    let stats = rig.ask("GET", &format!("/v1/calls/{id}/stats"), None).await;
    assert_eq!((stats.status.as_u16(), &stats.body["stages"]), (200, &Value::Null));
}
