//! Problem codes that take a whole daemon to come about.

use super::rig::{Daemon, NUMBER, Phone};
use reqwest::Response;
use serde_json::{Value, json};

fn tts(text: &str) -> Value {
    json!({
        "instanceId": "inst_demo", "type": "FIXED_TTS",
        "target": { "phoneNumber": NUMBER },
        "tts": { "text": text, "voiceId": "en-US-001" },
    })
}

async fn create(daemon: &Daemon, body: &Value) -> Response {
    daemon.request("POST", "/v1/calls").json(body).send().await.unwrap()
}

/// Demands this problem, with all that a problem has.
async fn check(answer: Response, status: u16, code: &str, retry: bool) {
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (kind, wait) = (header("content-type"), header("retry-after"));
    assert_eq!(answer.status(), status, "{code}");
    let body: Value = answer.json().await.unwrap();
    assert_eq!((body["code"].as_str(), &*kind), (Some(code), "application/problem+json"), "{body}");
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(!wait.is_empty(), retry, "Retry-After {wait:?}: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_node_takes_no_calls_and_ends_with_its_last() {
    let phone = Phone::start(&["--ring", "0s"]);
    let mut daemon = Daemon::start(&phone.address, "[limits]\ndrain_timeout = \"60s\"\n").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
    daemon.wait_for(&id, "IN_PROGRESS").await;
    let drain = format!("{}/v1/admin/drain", daemon.admin);
    let drained = super::rig::http_client().post(drain).send().await.unwrap();
    assert_eq!(drained.status(), 202);
    check(create(&daemon, &tts("Too late.")).await, 503, "draining", true).await;
    let ready = super::rig::http_client()
        .get(format!("{}/health/ready", daemon.admin))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(daemon.call(&id).await["status"], "IN_PROGRESS", "the drain waits for it");
    assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    assert_eq!(phone.wait_for("ended")["cause"], "PeerHangup");
    daemon.wait_for_exit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_refused_before_the_upgrade() {
    let phone = Phone::start(&["--ring", "60s"]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    daemon.wait_for(&id, "RINGING").await;
    let path = format!("/v1/calls/{id}");
    let stream = async |query: &str| {
        let request = daemon.request("GET", &format!("{path}/stream{query}"));
        let request = request.header("connection", "upgrade").header("upgrade", "websocket");
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let request = request.header("sec-websocket-version", "13");
        request.header("sec-websocket-key", key).send().await.unwrap()
    };
    for query in ["?rate=1", "?format=flac", "?listen=all", "?frame_ms=7", "?no_such=1"] {
        check(stream(query).await, 400, "invalid_request", false).await;
    }
    let plain = daemon.request("GET", &format!("{path}/stream")).send().await.unwrap();
    check(plain, 426, "invalid_request", false).await;
    assert_eq!(daemon.delete(&path).await, 204);
    daemon.wait_for_end(&id).await;
    check(stream("").await, 410, "call_ended", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_no_engine_yet() {
    let daemon = Daemon::start("127.0.0.1:9", "").await;
    let body = json!({
        "instanceId": "inst_demo", "type": "DYNAMIC_AGENT",
        "target": { "phoneNumber": NUMBER }, "agent": { "instructions": ["Be kind."] },
    });
    check(create(&daemon, &body).await, 503, "agent_engine_unavailable", false).await;
    let (_, calls) = daemon.get("/v1/calls").await;
    assert_eq!(calls["data"], json!([]), "a refused call leaves no row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_makes_one_call() {
    let phone = Phone::start(&["--ring", "0s"]);
    let daemon = Daemon::start(&phone.address, "").await;
    let send = async |text: &str| {
        let request = daemon.request("POST", "/v1/calls").header("Idempotency-Key", "once");
        request.json(&tts(text)).send().await.unwrap()
    };
    let first = send("Once.").await;
    assert_eq!((first.status().as_u16(), first.headers().get("idempotent-replayed")), (201, None));
    let first: Value = first.json().await.unwrap();
    let again = send("Once.").await;
    assert_eq!(again.status(), 201);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    check(send("Twice.").await, 422, "idempotency_mismatch", false).await;
    daemon.wait_for_end(first["id"].as_str().unwrap()).await;
    let again = send("Once.").await;
    assert_eq!(again.json::<Value>().await.unwrap(), first, "the answer is that of the creation");
    let (_, calls) = daemon.get("/v1/calls").await;
    assert_eq!(calls["data"].as_array().unwrap().len(), 1, "{calls:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_when_to_come_back() {
    let phone = Phone::start(&["--ring", "60s"]);
    let limits = "max_active_calls = 1\n[limits]\nmax_queued = 1\n";
    let daemon = Daemon::start(&phone.address, limits).await;
    let ringing = daemon.say("The one that rings.").await;
    daemon.wait_for(&ringing, "RINGING").await;
    daemon.say("The one that waits.").await;
    let third = create(&daemon, &tts("The one too many.")).await;
    check(third, 429, "trunk_cps_exceeded", true).await;
    assert_eq!(daemon.call(&ringing).await["status"], "RINGING");
}
