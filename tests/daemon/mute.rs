//! Muting: the other side hears silence while playing goes on.

use super::client::Client;
use super::rig::{Daemon, Phone, read_wav, rms, tone_wav};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Waits until a call has played this much.
async fn played(daemon: &Daemon, id: &str, ms: u64) {
    let enough = |call: &Value| call["quality"]["played_ms"].as_u64().is_some_and(|now| now >= ms);
    daemon.wait_until(id, "sound", enough).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_call_plays_on_unheard() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let wav = std::fs::read(tone_wav(dir.path(), "tone.wav", 1000.0, 4.0)).unwrap();
    let phone = Phone::start(&["--ring", "0s", "--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let audio = json!({ "audioBase64": STANDARD.encode(wav) });
    let id = daemon.create("FIXED_AUDIO", "audio", audio).await;
    played(&daemon, &id, 800).await;
    let (status, call) = daemon.post(&format!("/v1/calls/{id}/mute"), &json!({})).await;
    assert_eq!(status, 200, "{call:#}");
    assert_eq!(call["mute"], json!({"playout": true, "capture": false}));
    let at = call["quality"]["played_ms"].as_u64().unwrap_or(800);
    played(&daemon, &id, at + 1500).await;
    let (status, call) = daemon.post(&format!("/v1/calls/{id}/unmute"), &json!({})).await;
    assert_eq!((status, &call["mute"]["playout"]), (200, &json!(false)), "{call:#}");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["end_reason"], "completed", "{call:#}");
    let played = call["quality"]["played_ms"].as_u64().unwrap();
    assert!((3990..=4040).contains(&played), "it was played to its end: {played} ms");
    phone.wait_for("ended");
    let heard = read_wav(&heard);
    let (first, rest) = heard.split_at(4000);
    assert!(rms(first) > 3000.0, "{}", rms(first));
    let longest = rest.split(|sample| sample.abs() > 20).map(<[i16]>::len).max();
    assert!(longest.unwrap() > 8000, "a second of silence: {longest:?}");
    let last = rest.rchunks(2400).find(|chunk| rms(chunk) > 3000.0);
    assert!(last.is_some(), "and the tone is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_mutes_its_caller_and_hears_silence() {
    let dir = tempfile::tempdir().unwrap();
    let tone = tone_wav(dir.path(), "tone.wav", 600.0, 60.0);
    let phone = Phone::start(&["--ring", "0s", "--play", tone.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut client = Client::attach(&daemon, &id, "?protocol=native&out_rate=8000").await;
    client.event("answered").await;
    client.hear(16_000).await;
    client.send(json!({"type": "mute", "direction": "capture", "id": "m"})).await;
    assert_eq!(client.next("ack").await["id"], "m");
    let event = client.event("mute").await;
    assert_eq!(event["detail"], "capture", "{event}");
    // What was on its way may still be heard.
    let begin = client.audio.len() + 8000;
    client.hear(begin + 16_000).await;
    let silent = &client.samples()[begin / 2..];
    assert!(silent.iter().all(|sample| *sample == 0), "silence comes, and without a gap");
    client.send(json!({"type": "unmute", "direction": "both", "id": "u"})).await;
    assert_eq!(client.next("ack").await["id"], "u");
    client.hear(client.audio.len() + 24_000).await;
    let heard = client.samples();
    assert!(rms(&heard[heard.len() - 4000..]) > 3000.0, "the caller is back");
    client.send(json!({"type": "hangup"})).await;
    client.finish().await;
}
