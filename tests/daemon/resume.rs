//! A client that loses its real socket and goes on where it stopped.

use super::client::Client;
use super::rig::{Daemon, Phone, SOON, share_at, tone, tone_wav};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_socket_costs_no_sample_and_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let spoken = tone_wav(dir.path(), "spoken.wav", 500.0, 10.0);
    let phone = Phone::start(&["--play", spoken.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut bot = Client::attach(&daemon, &id, "?rate=8000&out_rate=8000").await;
    let start = bot.next("start").await;
    let token = start["resume"]["token"].as_str().unwrap().to_owned();
    bot.event("answered").await;
    bot.send(json!({ "type": "utterance", "id": "long" })).await;
    bot.send_audio(&tone(8000, 900.0, 2.0), 16_000).await;
    bot.send(json!({ "type": "utterance_end" })).await;
    bot.hear(16_000).await;
    let (since, mut heard) = (bot.seq, bot.samples());
    drop(bot);
    let until = Instant::now() + SOON;
    while daemon.call(&id).await["stream"]["connected"] == true {
        assert!(Instant::now() < until, "the loss is not noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let query = format!("?resume={token}&since={since}&heard={}", heard.len());
    let mut bot = Client::attach(&daemon, &id, &query).await;
    assert_eq!(bot.next("start").await["resumed"], true);
    let replayed = bot.next("replayed").await;
    assert_eq!(replayed["from_sample"], heard.len(), "{replayed}");
    assert_eq!((&replayed["lost_events"], &replayed["lost_samples"]), (&json!(0), &json!(0)));
    loop {
        let playback = bot.next("playback").await;
        if playback["state"] == "completed" {
            assert_eq!(playback["utterance"], "long", "it was played all the while");
            assert_eq!(playback["played_ms"], 2000, "{playback}");
            break;
        }
    }
    let seam = heard.len();
    bot.hear(16_000).await;
    heard.extend(bot.samples());
    let around = &heard[seam - 4000..seam + 4000];
    assert!(share_at(around, 8000, 500.0) > 0.99, "one tone without a seam");
    let again = format!("?resume={token}1&since=1");
    assert!(Client::refused(&daemon, &id, &again).await >= 400);
    bot.send(json!({ "type": "hangup" })).await;
    bot.next("stop").await;
    phone.wait_for("ended");
}
