//! The configuration read again while calls are there.

use super::client::Client;
use super::rig::{Daemon, Phone, SOON};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SETTINGS: &str = r#"
[jitter]
hole_wait = "40ms"
hole_wait_max = "80ms"
[[route]]
to = "^desk$"
action = "reject"
sip_code = 480
"#;

async fn reload(daemon: &Daemon) -> (u16, Value) {
    let answer = reqwest::Client::new().post(format!("{}/v1/admin/reload", daemon.admin));
    let answer = answer.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Writes something else into the daemon's file.
fn edit(daemon: &Daemon, from: &str, to: &str) {
    let file = daemon.dir.path().join("bellwire.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} is not in\n{text}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
}

/// A stream call that has been answered, and its client.
async fn answered(daemon: &Daemon) -> (String, Client) {
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut bot = Client::attach(daemon, &id, "?rate=16000&out_rate=8000&stats_ms=1000").await;
    bot.event("answered").await;
    bot.hear(3200).await;
    (id, bot)
}

async fn hole_wait(bot: &mut Client) -> u64 {
    bot.send(json!({ "type": "stats", "id": "mine" })).await;
    loop {
        let stats = bot.next("stats").await;
        if stats["id"] == "mine" {
            return stats["hole_wait_ms"].as_u64().unwrap();
        }
    }
}

/// What a caller of `desk` is refused with.
async fn refusal(daemon: &Daemon) -> Value {
    let before = calls(daemon).await.len();
    let uri = format!("sip:desk@{}", daemon.sip);
    let phone = Phone::start(&["--call", &uri]);
    phone.wait_for("ended");
    let until = Instant::now() + SOON;
    loop {
        let calls = calls(daemon).await;
        if calls.len() > before && calls[0]["ended_at"].is_string() {
            return calls[0]["sip_code"].clone();
        }
        assert!(Instant::now() < until, "{calls:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn calls(daemon: &Daemon) -> Vec<Value> {
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    calls["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_calls_get_what_was_changed_and_old_ones_keep_what_they_had() {
    let dir = tempfile::tempdir().unwrap();
    let tone = super::rig::tone_wav(dir.path(), "tone.wav", 500.0, 30.0);
    let phone = Phone::start(&["--play", tone.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, SETTINGS).await;
    let (_, mut old) = answered(&daemon).await;
    assert_eq!(hole_wait(&mut old).await, 40);
    assert_eq!(refusal(&daemon).await, 480);
    edit(&daemon, "hole_wait = \"40ms\"", "hole_wait = \"75ms\"");
    edit(&daemon, "sip_code = 480", "sip_code = 486");
    edit(&daemon, "quarantine = \"0s\"", "quarantine = \"0s\"\ndscp = 0");
    let (status, done) = reload(&daemon).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["applied"], json!(["jitter.hole_wait", "route[0].sip_code"]), "{done}");
    assert_eq!(done["restart"], json!(["rtp.dscp"]), "{done}");
    let (_, mut new) = answered(&daemon).await;
    assert_eq!(hole_wait(&mut new).await, 75);
    assert_eq!(hole_wait(&mut old).await, 40, "the call that was there goes on as it began");
    assert_eq!(refusal(&daemon).await, 486);
    old.finish().await;
    new.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_changes_nothing_and_says_why() {
    let daemon = Daemon::start("127.0.0.1:9", SETTINGS).await;
    edit(&daemon, "sip_code = 480", "sip_code = 486\naudio_file = 1");
    let (status, problem) = reload(&daemon).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("bellwire.toml:") && detail.contains("audio_file"), "{detail}");
    assert_eq!(refusal(&daemon).await, 480);
    // Good by itself, but the trunk is not there before the next start.
    edit(&daemon, "audio_file = 1", "trunk = \"other\"");
    edit(&daemon, "name = \"carrier\"", "name = \"other\"");
    edit(&daemon, "trunk = \"carrier\"", "trunk = \"other\"");
    let (status, problem) = reload(&daemon).await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("restart"), "{problem}");
    assert_eq!(refusal(&daemon).await, 480);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_the_file_too() {
    let daemon = Daemon::start("127.0.0.1:9", SETTINGS).await;
    edit(&daemon, "sip_code = 480", "sip_code = 603");
    let pid = daemon.pid().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let until = Instant::now() + SOON;
    while !daemon.log().contains("configuration reloaded") {
        assert!(Instant::now() < until, "nothing is reloaded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(refusal(&daemon).await, 603);
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_tell_how_the_call_sounds_and_how_long_sound_takes() {
    let dir = tempfile::tempdir().unwrap();
    let spoken = super::rig::tone_wav(dir.path(), "tone.wav", 500.0, 30.0);
    let phone = Phone::start(&["--play", spoken.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let (id, mut bot) = answered(&daemon).await;
    // Two seconds at once, of another rate: the last of it waits for as long.
    bot.send_audio(&super::rig::tone(16_000, 700.0, 2.0), 6400).await;
    bot.send(json!({ "type": "mark", "name": "m" })).await;
    bot.next("mark").await;
    bot.send(json!({ "type": "stats", "id": 7 })).await;
    let stats = loop {
        let stats = bot.next("stats").await;
        if stats["id"] == 7 {
            break stats;
        }
    };
    let stage = |name: &str, of: &str| stats["stages"][name][of].as_f64().unwrap();
    for name in ["decode", "resample", "queue", "send", "order", "write"] {
        assert!(stage(name, "count") > 0.0, "{name}: {stats:#}");
        assert!(stage(name, "p50_ms") <= stage(name, "p99_ms"), "{name}: {stats:#}");
        assert!(stage(name, "p99_ms") <= stage(name, "max_ms"), "{name}: {stats:#}");
    }
    assert!((1000.0..2500.0).contains(&stage("queue", "max_ms")), "{stats:#}");
    assert!(stage("order", "p50_ms") < 1.0 && stage("decode", "p50_ms") < 50.0, "{stats:#}");
    assert!(stats["quality"]["mos"].as_f64().unwrap() > 4.0, "{stats:#}");
    assert_eq!(stats["quality"]["missing"], json!(0.0), "{stats:#}");
    // Told by itself, too.
    assert!(bot.next("stats").await.get("id").is_none());
    assert!(daemon.metric("bellwire_stage_seconds_count{stage=\"write\"}").await > 0.0);
    bot.finish().await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["quality"]["burst_ratio"], json!(1.0), "{call:#}");
    let trunk = "bellwire_call_mos_count{trunk=\"carrier\",way=\"received\"}";
    assert!(daemon.metric(trunk).await > 0.0);
}
