//! Who may do what: keys, scopes, instances, tickets, and a node without keys.

use crate::rig::{ADMIN, ALPHA, READER, Rig, Setup};
use bellwire::api::limit::Rate;
use bellwire::api::rest::ApiLimits;
use serde_json::json;

#[tokio::test]
async fn each_route_asks_for_its_scope_and_its_instance() {
    let rig = Rig::new().await;
    let mine = rig.call("inst_a").await;
    let other = rig.call("inst_b").await;
    let call = |instance: &str| {
        json!({"instanceId": instance, "type": "DYNAMIC_STREAM",
               "target": {"phoneNumber": "+14155550123"}})
    };
    let rows = [
        ("POST", "/v1/calls".to_owned(), Some(call("inst_a")), [201, 201, 403]),
        ("POST", "/v1/calls".to_owned(), Some(call("inst_b")), [201, 403, 403]),
        ("GET", "/v1/calls".to_owned(), None, [200, 200, 200]),
        ("GET", format!("/v1/calls/{mine}"), None, [200, 200, 200]),
        ("GET", format!("/v1/calls/{other}"), None, [200, 404, 200]),
        ("PATCH", format!("/v1/calls/{mine}"), Some(json!({})), [200, 200, 403]),
        ("PATCH", format!("/v1/calls/{other}"), Some(json!({})), [200, 404, 403]),
        ("POST", format!("/v1/calls/{mine}/tickets"), None, [201, 201, 403]),
        ("POST", format!("/v1/calls/{other}/tickets"), None, [201, 404, 403]),
        ("GET", "/v1/instances".to_owned(), None, [200, 200, 200]),
        ("GET", "/v1/instances/inst_b".to_owned(), None, [200, 404, 200]),
        ("POST", "/v1/instances".to_owned(), Some(json!({"name": "n"})), [201, 403, 403]),
        ("PATCH", "/v1/instances/inst_a".to_owned(), Some(json!({})), [409, 403, 403]),
        ("DELETE", "/v1/instances/inst_a".to_owned(), None, [409, 403, 403]),
        ("GET", "/v1/instances/inst_a/configure".to_owned(), None, [501, 501, 501]),
        ("GET", "/v1/keys".to_owned(), None, [200, 403, 403]),
        (
            "POST",
            "/v1/keys".to_owned(),
            Some(json!({"name": "n", "scopes": ["stream"]})),
            [201, 403, 403],
        ),
        ("DELETE", "/v1/keys/key_none".to_owned(), None, [404, 403, 403]),
        ("GET", "/v1/voices".to_owned(), None, [200, 200, 200]),
    ];
    for (method, path, body, expected) in rows {
        for (key, status) in [ADMIN, ALPHA, READER].into_iter().zip(expected) {
            let reply = rig.request(method, &path).key(key).json(body.as_ref()).send().await;
            assert_eq!(reply.status, status, "{method} {path} {key}: {}", reply.body);
        }
        for wrong in ["Bearer nonsense", "Bearer ", "Basic YTpi", ADMIN] {
            let request = rig.request(method, &path).header("authorization", wrong);
            let reply = request.json(body.as_ref()).peer("192.0.2.1:1").send().await;
            assert!([401, 429].contains(&reply.status.as_u16()), "{method} {path} {wrong}");
        }
    }
    for key in [ADMIN, ALPHA] {
        let reply = rig.request("DELETE", &format!("/v1/calls/{mine}")).key(key).send().await;
        assert_eq!(reply.status, if key == ADMIN { 204 } else { 404 });
    }
}

#[tokio::test]
async fn without_keys_only_this_machine_may_ask() {
    let rig = Rig::with(Setup { keys: false, ..Setup::default() }).await;
    assert!(rig.state.is_open());
    let ask = |peer: &str, host: &str, origin: &str| {
        let mut request = rig.request("GET", "/v1/calls").peer(peer).header("host", host);
        if !origin.is_empty() {
            request = request.header("origin", origin);
        }
        request.send()
    };
    for (peer, host, origin, status) in [
        ("127.0.0.1:1", "127.0.0.1:8080", "", 200),
        ("[::1]:1", "localhost:8080", "http://localhost:3000", 200),
        ("192.0.2.1:1", "127.0.0.1:8080", "", 401),
        ("127.0.0.1:1", "rebound.example:8080", "", 401),
        ("127.0.0.1:1", "127.0.0.1:8080", "https://page.example", 401),
    ] {
        assert_eq!(ask(peer, host, origin).await.status, status, "{peer} {host} {origin}");
    }
    let made = rig.request("POST", "/v1/keys");
    let made = made.json(Some(&json!({"name": "first", "scopes": ["admin"]}))).send().await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(ask("127.0.0.1:1", "127.0.0.1", "").await.status, 401, "there is a key");
    let secret = made.body["secret"].as_str().unwrap();
    let with_key = rig.request("GET", "/v1/calls").peer("192.0.2.1:1").key(secret).send().await;
    assert_eq!(with_key.status, 200);
}

#[tokio::test]
async fn a_key_is_shown_once_listed_without_secret_and_revoked() {
    let rig = Rig::new().await;
    let body = json!({"name": "bot", "scopes": ["calls:read"], "instanceIds": ["inst_b"],
                      "expiresAt": "2999-01-01T00:00:00Z"});
    let post = || {
        let request = rig.request("POST", "/v1/keys").key(ADMIN).header("idempotency-key", "k");
        request.json(Some(&body)).send()
    };
    let made = post().await;
    let secret = made.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(made.body["expires_at"], "2999-01-01T00:00:00Z");
    let replayed = post().await;
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    assert!(replayed.body["secret"].is_null(), "a secret is not kept");
    assert_eq!(replayed.body["id"], made.body["id"]);
    let files: Vec<_> = std::fs::read_dir(rig.dir.path()).unwrap().collect();
    for file in files {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
    let ask = |path: &str| rig.request("GET", path).key(&secret).send();
    assert_eq!(ask("/v1/calls?instanceId=inst_b").await.status, 200);
    assert_eq!(ask("/v1/instances/inst_a").await.status, 404);
    let list = rig.ask("GET", "/v1/keys", None).await;
    let names: Vec<_> = list.body["data"].as_array().unwrap().iter().map(|k| &k["name"]).collect();
    assert_eq!(names, ["admin", "sip", "alpha", "reader", "hearer", "bot"]);
    assert!(!list.bytes.windows(6).any(|part| part == b"secret"));
    let path = format!("/v1/keys/{}", made.body["id"].as_str().unwrap());
    assert_eq!(rig.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(rig.ask("DELETE", &path, None).await.status, 404);
    assert_eq!(ask("/v1/calls").await.status, 401);
    let configured = list.body["data"][0]["id"].as_str().unwrap();
    let refused = rig.ask("DELETE", &format!("/v1/keys/{configured}"), None).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "conflict"));
}

#[tokio::test]
async fn a_key_cannot_give_more_than_it_has() {
    let rig = Rig::new().await;
    let body = json!({"name": "a", "scopes": ["admin"], "instanceIds": ["inst_a"]});
    let made = rig.ask("POST", "/v1/keys", Some(&body)).await;
    let bound = made.body["secret"].as_str().unwrap();
    let post = |instances: &[&str]| {
        let body = json!({"name": "b", "scopes": ["stream"], "instanceIds": instances});
        rig.request("POST", "/v1/keys").key(bound).json(Some(&body)).send()
    };
    for wide in [&["*"][..], &["inst_a", "inst_b"], &["inst_b"]] {
        let reply = post(wide).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (403, "forbidden_instance"), "{wide:?}");
    }
    assert_eq!(post(&["inst_a"]).await.status, 201);
    let list = rig.request("GET", "/v1/keys").key(bound).send().await;
    let names: Vec<_> = list.body["data"].as_array().unwrap().iter().map(|k| &k["name"]).collect();
    assert_eq!(names, ["alpha", "b", "a"], "and sees no wider ones");
}

#[tokio::test]
async fn wrong_keys_are_named() {
    let rig = Rig::new().await;
    let body = json!({"name": "", "scopes": ["calls:fly", "stream"], "instanceIds": ["x"],
                      "expiresAt": "soon", "rate": 1, "odd": 1});
    let reply = rig.ask("POST", "/v1/keys", Some(&body)).await;
    assert_eq!(
        reply.places(),
        [
            "/name length",
            "/scopes/0 enum",
            "/instanceIds/0 pattern",
            "/expiresAt pattern",
            "/rate not_implemented",
            "/odd unknown_field",
        ]
    );
    let reply = rig.ask("POST", "/v1/keys", Some(&json!({}))).await;
    assert_eq!((reply.code(), reply.places().len()), ("missing_field", 2));
}

#[tokio::test]
async fn a_ticket_opens_one_stream_once() {
    let rig = Rig::new().await;
    let id = rig.call("inst_a").await;
    let path = format!("/v1/calls/{id}");
    let ticket = async || {
        let reply = rig.request("POST", &format!("{path}/tickets")).key(ALPHA).send().await;
        assert_eq!(reply.status, 201);
        assert!(reply.body["expires_at"].as_str().unwrap().ends_with('Z'));
        reply.body["ticket"].as_str().unwrap().to_owned()
    };
    let stream =
        |ticket: &str| rig.request("GET", &format!("{path}/stream?ticket={ticket}")).send();
    let good = ticket().await;
    // Past the door; what is missing is the WebSocket handshake.
    assert_ne!(stream(&good).await.code(), "unauthorized");
    assert_eq!(stream(&good).await.status, 401, "used");
    assert_eq!(stream("nonsense").await.status, 401);
    let elsewhere = rig.request("GET", &format!("{path}?ticket={}", ticket().await)).send().await;
    assert_eq!(elsewhere.status, 401);
    let tts = json!({"instanceId": "inst_a", "type": "FIXED_TTS",
        "target": {"phoneNumber": "+14155550123"}, "tts": {"text": "x", "voiceId": "en-US-001"}});
    let other = rig.ask("POST", "/v1/calls", Some(&tts)).await;
    let other = other.body["id"].as_str().unwrap();
    let refused = rig.ask("POST", &format!("/v1/calls/{other}/tickets"), None).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "conflict"));
}

#[tokio::test]
async fn a_browser_may_give_its_key_as_a_subprotocol() {
    let rig = Rig::new().await;
    let id = rig.call("inst_a").await;
    let path = format!("/v1/calls/{id}/stream");
    let ask = |protocols: &str, upgrade: bool| {
        let mut request = rig.request("GET", &path).header("sec-websocket-protocol", protocols);
        if upgrade {
            request = request.header("upgrade", "websocket");
        }
        request.send()
    };
    let good = format!("bellwire.stream.v1, bearer.{ALPHA}");
    assert_ne!(ask(&good, true).await.code(), "unauthorized");
    assert_eq!(ask(&good, false).await.status, 401, "only for an upgrade");
    assert_eq!(ask("bearer.nonsense", true).await.status, 401);
}

#[tokio::test]
async fn sip_uris_take_a_scope_of_their_own() {
    let rig = Rig::new().await;
    let body = |uri: &str| json!({"instanceId": "inst_a", "type": "DYNAMIC_STREAM", "target": {"sipUri": uri}});
    let post = |key: &str, uri: &str| {
        rig.request("POST", "/v1/calls").key(key).json(Some(&body(uri))).send()
    };
    let refused = post(ALPHA, "sip:desk@pbx.example.com").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "forbidden_scope"));
    let taken = post(ADMIN, "sip:desk@pbx.example.com").await;
    assert_eq!(taken.body["target_phone"], "sip:desk@pbx.example.com");
    for (uri, status) in [("sip:", 400), ("tel:+1", 400), ("sip:a b@c", 400), ("sips:a@b", 501)] {
        assert_eq!(post(ADMIN, uri).await.status, status, "{uri}");
    }
}

#[tokio::test]
async fn failed_attempts_are_slowed_down_good_keys_never() {
    let failed_auth = Rate { per_second: 0.001, burst: 3 };
    let limits = ApiLimits { failed_auth, ..ApiLimits::default() };
    let rig = Rig::with(Setup { limits, ..Setup::default() }).await;
    let ask = |key: &str, peer: &str| rig.request("GET", "/v1/voices").peer(peer).key(key).send();
    for expected in [401, 401, 401, 429, 429] {
        assert_eq!(ask("guess", "192.0.2.1:1").await.status, expected);
    }
    assert_eq!(ask(ADMIN, "192.0.2.1:1").await.status, 200);
    assert_eq!(ask("guess", "192.0.2.2:1").await.status, 401, "another address");
    for (peer, expected) in [
        ("[2001:db8::1]:1", 401),
        ("[2001:db8::2]:1", 401),
        ("[2001:db8::3]:1", 401),
        ("[2001:db8::4]:1", 429),
    ] {
        assert_eq!(ask("guess", peer).await.status, expected, "one subscriber: {peer}");
    }
}

#[tokio::test]
async fn answers_tell_the_rate_and_name_the_request() {
    let rig = Rig::new().await;
    let reply = rig.ask("GET", "/v1/voices", None).await;
    assert_eq!(reply.header("ratelimit-policy"), "\"key\";q=1000;w=2");
    assert!(reply.header("ratelimit").starts_with("\"key\";r=999;t="));
    assert!(reply.header("x-request-id").starts_with("req_"));
    let named = |name: &str| {
        rig.request("GET", "/v1/voices").key(ADMIN).header("x-request-id", name).send()
    };
    assert_eq!(named("abc-123").await.header("x-request-id"), "abc-123");
    assert!(named(&"x".repeat(129)).await.header("x-request-id").starts_with("req_"));
    assert!(named("a b").await.header("x-request-id").starts_with("req_"));
}
