//! DYNAMIC_STREAM calls with a real WebSocket client.

use super::client::Client;
use super::rig::{Daemon, Phone, read_wav, share_at, tone, tone_wav};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_native_bot_talks_listens_and_hangs_up() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let spoken = tone_wav(dir.path(), "spoken.wav", 500.0, 4.0);
    let phone =
        Phone::start(&["--record", heard.to_str().unwrap(), "--play", spoken.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let query = "?rate=24000&out_rate=8000&listen=caller";
    let mut bot = Client::attach(&daemon, &id, query).await;
    let start = bot.next("start").await;
    assert_eq!(start["call_id"], id.as_str(), "{start}");
    bot.send(json!({ "type": "utterance", "id": "u1" })).await;
    bot.send_audio(&tone(24_000, 1500.0, 2.0), 7001).await;
    bot.send(json!({ "type": "utterance_end" })).await;
    bot.send(json!({ "type": "mark", "name": "m" })).await;
    let mark = bot.next("mark").await;
    assert_eq!((&mark["name"], &mark["cleared"]), (&json!("m"), &json!(false)), "{mark}");
    let played = mark["played_ms"].as_u64().unwrap();
    assert!((1960..=2060).contains(&played), "{mark}");
    bot.send(json!({ "type": "hangup" })).await;
    let stop = bot.next("stop").await;
    assert_eq!(stop["reason"], "completed", "{stop}");
    phone.wait_for("ended");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    assert_eq!(call["hangup_party"], "api", "{call:#}");
    let received = bot.samples();
    assert!(received.len() > 8000, "{} samples", received.len());
    assert!(share_at(&received[2400..8000], 8000, 500.0) > 0.98);
    let heard = read_wav(&heard);
    let from = heard.iter().position(|sample| sample.unsigned_abs() > 3000).unwrap();
    assert!(share_at(&heard[from..from + 12_000], 8000, 1500.0) > 0.98);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bare_url_gives_text_only_and_keeps_early_audio() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&[
        "--ring",
        "700ms",
        "--record",
        heard.to_str().unwrap(),
        "--hangup-after",
        "3s",
    ]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut client = Client::attach(&daemon, &id, "").await;
    client.send_audio(&tone(16_000, 900.0, 1.0), 6400).await;
    let answered = client.event("answered").await;
    assert!(answered["timestamp"].is_string(), "{answered}");
    client.event("ended").await;
    assert!(client.audio.is_empty(), "the bare URL sends no audio");
    phone.wait_for("ended");
    let heard = read_wav(&heard);
    let from = heard.iter().position(|sample| sample.unsigned_abs() > 3000).unwrap();
    assert!(share_at(&heard[from..from + 7000], 8000, 900.0) > 0.98);
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["end_reason"], "callee_hangup");
    assert_eq!(call["stream"]["protocol"], "cawme", "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_stops_the_sound_and_tells_what_was_heard() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut bot = Client::attach(&daemon, &id, "?rate=8000&listen=none").await;
    bot.event("answered").await;
    bot.send(json!({ "type": "utterance", "id": "long" })).await;
    bot.send_audio(&tone(8000, 700.0, 20.0), 16_000).await;
    bot.send(json!({ "type": "mark", "name": "end" })).await;
    let started = bot.next("playback").await;
    assert_eq!(started["state"], "started", "{started}");
    bot.send(json!({ "type": "clear", "id": "c" })).await;
    let cleared = bot.next("playback").await;
    assert_eq!(cleared["state"], "cleared", "{cleared}");
    let played = cleared["played_ms"].as_u64().unwrap();
    let discarded = cleared["discarded_ms"].as_u64().unwrap();
    assert!((19_990..=20_010).contains(&(played + discarded)), "{cleared}");
    let mark = bot.next("mark").await;
    assert_eq!(mark["cleared"], true, "{mark}");
    bot.send(json!({ "type": "hangup" })).await;
    bot.next("stop").await;
    phone.wait_for("ended");
    let loud = read_wav(&heard).iter().filter(|sample| sample.unsigned_abs() > 2000).count() as u64;
    // A sine is above 2000 of 10000 for 87 % of the time.
    let loud_ms = loud * 1000 / 8000 * 100 / 87;
    assert!(loud_ms.abs_diff(played) < 40, "heard {loud_ms} ms, told {played} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_go_both_ways() {
    let phone = Phone::start(&["--dtmf", "42#"]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut bot = Client::attach(&daemon, &id, "?protocol=native").await;
    let mut digits = String::new();
    while digits.len() < 3 {
        digits += bot.next("dtmf").await["digit"].as_str().unwrap();
    }
    assert_eq!(digits, "42#");
    bot.send(json!({ "type": "dtmf", "digits": "7" })).await;
    assert_eq!(phone.wait_for("digit")["digit"], "7");
    bot.send(json!({ "type": "hangup" })).await;
    bot.next("stop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_flood_or_vanish_harm_nobody() {
    let phone = Phone::start(&[]);
    let daemon = Daemon::start(&phone.address, "").await;
    let flood = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let calm = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut bot = Client::attach(&daemon, &calm, "?rate=8000&listen=none").await;
    let mut bad = Client::attach(&daemon, &flood, "?rate=8000&listen=none").await;
    bad.event("answered").await;
    bot.event("answered").await;
    // Two minutes of sound against a queue of one.
    bad.send_audio(&tone(8000, 300.0, 120.0), 64_000).await;
    let warning = bad.next("warning").await;
    assert_eq!(warning["code"], "dropped", "{warning}");
    bad.send(json!({ "type": "no such thing" })).await;
    let error = bad.next("error").await;
    assert_eq!(error["fatal"], false, "{error}");
    drop(bad);
    bot.send_audio(&tone(8000, 600.0, 1.0), 3200).await;
    bot.send(json!({ "type": "mark", "name": "done" })).await;
    assert_eq!(bot.next("mark").await["cleared"], false);
    let call = daemon.call(&calm).await;
    assert_eq!(call["quality"]["underruns"], 0, "{call:#}");
    let call = daemon.call(&flood).await;
    assert_eq!(call["status"], "IN_PROGRESS", "the call outlives its client: {call:#}");
    for id in [&flood, &calm] {
        assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_client_is_refused_before_the_upgrade() {
    let phone = Phone::start(&[]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let _first = Client::attach(&daemon, &id, "").await;
    let base = daemon.api.replace("http:", "ws:");
    let refused = tokio_tungstenite::connect_async(format!("{base}/v1/calls/{id}/stream")).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else {
        panic!("a second client was let in")
    };
    assert_eq!(answer.status(), 409);
    let nobody = format!("{base}/v1/calls/call_00/stream");
    let refused = tokio_tungstenite::connect_async(nobody).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else {
        panic!("a stream of no call was opened")
    };
    assert_eq!(answer.status(), 404);
}
