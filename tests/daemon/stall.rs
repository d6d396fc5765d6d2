//! A live client that stops reading and writing for 400 ms in the middle of a call, in real time.

use super::client::Client;
use super::rig::{Daemon, Phone, read_wav};
use serde_json::{Value, json};
use std::f64::consts::TAU;
use std::time::Duration;
use tokio::time::{Interval, interval};

const FRAME: Duration = Duration::from_millis(20);

fn voice(n: usize) -> i16 {
    let t = n as f64 / 8_000.0;
    let part = |k: u8| (TAU * 120.0 * t * f64::from(k)).sin() / f64::from(k);
    (2_000.0 * (1..6).map(part).sum::<f64>()) as i16
}

/// Words of 600 ms with pauses of 200 ms, 20 ms of it.
fn talk(frame: usize) -> Vec<i16> {
    let sample = |n: usize| if n % 6_400 < 4_800 { voice(n) } else { 0 };
    (frame * 160..(frame + 1) * 160).map(sample).collect()
}

fn step(samples: &[i16]) -> i32 {
    samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
}

/// Somebody who talks, with a clock.
struct Talker {
    bot: Client,
    beat: Interval,
    frame: usize,
}

impl Talker {
    async fn talk(&mut self, frames: usize) {
        for _ in 0..frames {
            self.beat.tick().await;
            self.bot.send_audio(&talk(self.frame), 320).await;
            self.frame += 1;
        }
    }

    /// Says nothing for so many frames, and then all of it at once.
    async fn stall(&mut self, frames: usize) {
        for _ in 0..frames {
            self.beat.tick().await;
        }
        for _ in 0..frames {
            self.bot.send_audio(&talk(self.frame), 320).await;
            self.frame += 1;
        }
    }

    /// Asks how far what is said now is ahead of what is heard; see [`lead`].
    async fn probe(&mut self, name: &str) {
        self.bot.send(json!({ "type": "ping", "id": name })).await;
        self.bot.send(json!({ "type": "mark", "name": name })).await;
    }

    async fn lead(&mut self) -> i64 {
        let at = |message: &Value| message["t_ms"].as_i64().unwrap();
        let (pong, mark) = (self.bot.next("pong").await, self.bot.next("mark").await);
        assert_eq!(pong["id"], mark["name"], "{pong} {mark}");
        at(&mark) - at(&pong)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_client_that_stalls_is_soon_back_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let query = "?rate=8000&out_rate=8000&playout=live&jitter=paced";
    let mut bot = Client::attach(&daemon, &id, query).await;
    bot.event("answered").await;
    bot.send(json!({ "type": "utterance", "id": "u" })).await;
    let mut talker = Talker { bot, beat: interval(FRAME), frame: 0 };
    talker.talk(100).await;
    talker.probe("before").await;
    talker.talk(20).await;
    talker.stall(20).await;
    talker.probe("at first").await;
    talker.talk(100).await;
    talker.probe("after").await;
    talker.talk(20).await;
    talker.bot.send(json!({ "type": "utterance_end" })).await;
    let leads = [talker.lead().await, talker.lead().await, talker.lead().await];
    let [before, at_first, after] = leads;
    // A loaded machine may stall by itself, so there is some room beyond the 40 ms.
    assert!(at_first >= before + 150, "{leads:?}");
    assert!(after <= before + 90, "back in 2 s: {leads:?}");
    let completed = loop {
        let playback = talker.bot.next("playback").await;
        if playback["state"] == "completed" {
            break playback;
        }
    };
    let length = |field: &str| completed[field].as_u64().unwrap_or(0);
    let all = 20 * talker.frame as u64;
    assert!(length("squeezed_ms") >= 150, "{completed}");
    assert!(all.abs_diff(length("played_ms") + length("squeezed_ms")) <= 2, "{completed}");
    talker.bot.send(json!({ "type": "hangup" })).await;
    talker.bot.next("stop").await;
    phone.wait_for("ended");
    // µ-law adds a little to the steps that the voice has.
    let allowed = step(&(0..100).flat_map(talk).collect::<Vec<_>>()) * 5 / 4 + 600;
    let recorded = read_wav(&heard);
    assert!(recorded.len() > 8 * 4_500, "{} samples", recorded.len());
    assert!(step(&recorded) <= allowed, "a click of {}", step(&recorded));
}
