//! Instances and voices, and the operators' listener.

use crate::rig::{ADMIN, ALPHA, READER, Rig};
use bellwire::turn::barge::Mode;
use serde_json::{Value, json};

#[tokio::test]
async fn an_instance_lives_as_in_the_reference_api() {
    let rig = Rig::new().await;
    let body = json!({"name": "Sales line", "metadata": {"team": "sales"}});
    let made = rig.ask("POST", "/api/v1/instances", Some(&body)).await;
    assert_eq!((made.status.as_u16(), &made.body["status"]), (201, &json!("CREATED")));
    assert_eq!(made.body["metadata"], body["metadata"]);
    assert_eq!(
        (&made.body["max_active_calls"], &made.body["dedupe"]),
        (&json!(1), &json!("instance"))
    );
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert!(made.body.get("callQueue").is_none());

    let call = rig.call(&id).await;
    let shown = rig.ask("GET", &format!("/v1/instances/{id}"), None).await;
    let queue = shown.body["callQueue"].as_array().unwrap();
    assert_eq!(queue.len(), 1);
    let fields: Vec<_> = queue[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["created_at", "id", "status", "target_phone", "type"]);
    assert_eq!(queue[0]["id"], call);

    let list = rig.ask("GET", "/v1/instances", None).await;
    let ids: Vec<_> = list.body.as_array().unwrap().iter().map(|i| i["id"].clone()).collect();
    assert_eq!(ids[0], id, "newest first, a bare array");
    assert_eq!(ids.len(), 4);

    let path = format!("/v1/instances/{id}");
    let gone = rig.ask("DELETE", &path, None).await;
    assert_eq!((gone.status.as_u16(), gone.bytes.len()), (204, 0));
    for (method, body) in [("GET", None), ("DELETE", None), ("PATCH", Some(json!({"name": "x"})))] {
        assert_eq!(rig.ask(method, &path, body.as_ref()).await.status, 404, "{method}");
    }
    let call = json!({"instanceId": id, "type": "DYNAMIC_STREAM",
                      "target": {"phoneNumber": "+14155550123"}});
    assert_eq!(rig.ask("POST", "/v1/calls", Some(&call)).await.status, 404);
    assert_eq!(rig.ask("GET", "/v1/instances", None).await.body.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_status_of_an_instance_follows_its_trunk() {
    let rig = Rig::new().await;
    let made = rig.ask("POST", "/v1/instances", Some(&json!({"name": "n"}))).await;
    let path = format!("/v1/instances/{}", made.body["id"].as_str().unwrap());
    assert_eq!(rig.ask("GET", &path, None).await.body["status"], "CREATED");
    for (trunk, status) in [("broken", "CONFIGURED"), ("carrier", "ACTIVE")] {
        let change = json!({"trunkId": trunk, "callerId": "+15550100", "maxActiveCalls": 5,
                            "queueLimit": 7, "dedupe": "target"});
        let changed = rig.ask("PATCH", &path, Some(&change)).await;
        assert_eq!((changed.status.as_u16(), &changed.body["status"]), (200, &json!(status)));
        assert_eq!(changed.body["name"], "n", "what is not named stays");
        assert_eq!(changed.body["queue_limit"], 7);
    }
    let call = json!({"instanceId": made.body["id"], "type": "DYNAMIC_STREAM",
                      "target": {"phoneNumber": "+14155550123"}, "from": "+15550199"});
    let reply = rig.ask("POST", "/v1/calls", Some(&call)).await;
    assert_eq!(reply.places(), ["/from not_allowed"]);
}

#[tokio::test]
async fn an_instance_says_what_its_calls_do_not() {
    let rig = Rig::new().await;
    let defaults = json!({"bargeIn": {"mode": "clear", "on": ["dtmf"], "debounceMs": 200},
                          "amd": {"action": "leave_message", "beep": true}});
    let body = json!({"name": "n", "trunkId": "carrier", "dedupe": "off", "defaults": defaults});
    let made = rig.ask("POST", "/v1/instances", Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let shown = &made.body["defaults"];
    let barge = json!({"mode": "clear", "on": ["dtmf"], "debounce_ms": 200, "decision_ms": null,
                       "on_timeout": null});
    assert_eq!(shown["barge_in"], barge);
    assert_eq!(shown["amd"]["action"], "leave_message");
    assert_eq!((&shown["amd"]["beep"], &shown["amd"]["greeting_ms"]), (&json!(true), &json!(1500)));
    let call = |own: Value| {
        let mut call = json!({
            "instanceId": made.body["id"], "type": "FIXED_TTS",
            "target": {"phoneNumber": "+14155550123"},
            "tts": {"text": "Hello", "voiceId": "en-US-001"},
        });
        call.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        call
    };
    for own in [json!({}), json!({"amd": {"mode": "off"}, "bargeIn": {"mode": "notify"}})] {
        assert_eq!(rig.ask("POST", "/v1/calls", Some(&call(own))).await.status, 201);
    }
    {
        let daemon = rig.daemon.lock().unwrap();
        let [usual, own] = [&daemon.created[0].hearing, &daemon.created[1].hearing];
        assert!(usual.amd.is_some_and(|amd| amd.machine.beep) && own.amd.is_none());
        assert_eq!((usual.barge.mode, own.barge.mode), (Some(Mode::Clear), Some(Mode::Notify)));
        assert_eq!((usual.barge.on_keys, own.barge.on_keys), (Some(true), Some(true)));
    }
    // It outlives a restart with the rest of the instance, and goes when it is replaced.
    let path = format!("/v1/instances/{}", made.body["id"].as_str().unwrap());
    assert_eq!(rig.ask("GET", &path, None).await.body["defaults"], *shown);
    let changed = rig.ask("PATCH", &path, Some(&json!({"defaults": {}}))).await;
    assert_eq!(changed.body["defaults"], json!({"barge_in": null, "amd": null}));
}

#[tokio::test]
async fn wrong_instances_are_named() {
    let rig = Rig::new().await;
    for (body, code, places) in [
        (json!({}), "missing_field", vec!["/name required"]),
        (json!({"name": null}), "missing_field", vec!["/name required"]),
        (json!({"name": ""}), "invalid_request", vec!["/name length"]),
        (json!({"name": 5}), "invalid_request", vec!["/name wrong_type"]),
        (json!({"name": "n", "trunkId": "none"}), "invalid_request", vec!["/trunkId unknown"]),
        (json!({"name": "n", "callerId": "me"}), "invalid_phone_number", vec!["/callerId pattern"]),
        (
            json!({"name": "n", "dedupe": "x", "maxActiveCalls": 0, "metadata": 1, "odd": 1}),
            "invalid_request",
            vec![
                "/metadata wrong_type",
                "/maxActiveCalls out_of_range",
                "/dedupe enum",
                "/odd unknown_field",
            ],
        ),
        (
            json!({"name": "n", "defaults": {
                "record": {}, "bargeIn": {"mode": "loud"}, "stream": {"url": "https://x"},
            }}),
            "invalid_request",
            vec![
                "/defaults/bargeIn/mode enum",
                "/defaults/stream/url invalid",
                "/defaults/record not_implemented",
            ],
        ),
    ] {
        let reply = rig.ask("POST", "/v1/instances", Some(&body)).await;
        assert_eq!(
            (reply.code(), reply.places()),
            (code, places.into_iter().map(str::to_owned).collect()),
            "{body}"
        );
    }
    let large = json!({"name": "n", "metadata": {"k": "x".repeat(70_000)}});
    let reply = rig.ask("POST", "/v1/instances", Some(&large)).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (413, "invalid_request"));
}

#[tokio::test]
async fn lists_show_what_a_key_is_bound_to() {
    let rig = Rig::new().await;
    for (key, expected) in [(ADMIN, 3), (ALPHA, 1), (READER, 3)] {
        let list = rig.request("GET", "/v1/instances").key(key).send().await;
        assert_eq!(list.body.as_array().map(Vec::len), Some(expected), "{key}");
    }
    let voices = rig.ask("GET", "/v1/voices", None).await;
    assert_eq!(voices.body["data"][0]["id"], "en-US-001");
    assert_eq!(voices.body["data"][1]["language"], "de-DE");
}

#[tokio::test]
async fn probes_tell_how_the_node_is_doing() {
    let rig = Rig::new().await;
    rig.daemon.lock().unwrap().ready = false;
    let status = async |path: &str| {
        let reply = rig.operate("GET", path).peer("192.0.2.9:1").send().await;
        (reply.status.as_u16(), reply.body["reasons"].clone())
    };
    assert_eq!(status("/health/live").await.0, 200);
    assert_eq!(status("/health/ready").await, (503, json!(["trunk carrier is down"])));
    assert_eq!(status("/health/startup").await.0, 503);
    rig.daemon.lock().unwrap().ready = true;
    assert_eq!(status("/health/ready").await, (200, json!([])));
    rig.daemon.lock().unwrap().ready = false;
    assert_eq!(status("/health/startup").await.0, 200, "it has been ready once");
    let metrics = rig.operate("GET", "/metrics").send().await;
    assert_eq!(&metrics.bytes[..], b"calls_active 0\n");
    assert_eq!(rig.operate("GET", "/v1/calls").key(ADMIN).send().await.status, 404);
}

#[tokio::test]
async fn operators_drain_from_this_machine_or_with_a_key() {
    let rig = Rig::new().await;
    let drain = |peer: &str| rig.operate("POST", "/v1/admin/drain").peer(peer);
    for (request, status) in [
        (drain("192.0.2.9:1"), 401),
        (drain("192.0.2.9:1").key(ALPHA), 403),
        (drain("127.0.0.1:1").header("origin", "https://page.example"), 401),
    ] {
        assert_eq!(request.send().await.status, status);
        assert!(!rig.daemon.lock().unwrap().draining);
    }
    for request in [drain("127.0.0.1:1"), drain("192.0.2.9:1").key(ADMIN)] {
        assert_eq!(request.send().await.status, 202);
    }
    let status = rig.operate("GET", "/v1/admin/status").send().await;
    // Commands are answered in order, so the drain has been seen.
    assert!(rig.daemon.lock().unwrap().draining);
    assert_eq!(
        (&status.body["ready"], &status.body["store"]["healthy"]),
        (&json!(true), &json!(true))
    );
    assert_ne!(status.body["rtp_ports_free"], Value::Null);
}
