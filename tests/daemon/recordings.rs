//! Recordings: what stands in the file, by whom it is asked for, and what a crash leaves.

use super::client::Client;
use super::rig::{Daemon, Phone, rms, share_at, tone, tone_wav};
use bellwire::audio::wav::Recording;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn recordings(daemon: &Daemon, call: &str) -> Vec<Value> {
    let (status, list) = daemon.get(&format!("/v1/calls/{call}/recordings")).await;
    assert_eq!(status, 200, "{list}");
    list["data"].as_array().unwrap().clone()
}

async fn wav(daemon: &Daemon, recording: &Value) -> Recording {
    let path = recording["links"]["audio"].as_str().unwrap();
    let answer = daemon.request("GET", path).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "audio/wav");
    let octets = answer.bytes().await.unwrap();
    assert_eq!(octets.len() as u64, recording["octets"].as_u64().unwrap());
    Recording::read(&octets[..]).unwrap()
}

fn side(wav: &Recording, side: usize) -> Vec<i16> {
    wav.samples.iter().skip(side).step_by(2).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_each_side_in_its_channel_from_the_answer_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let caller = tone_wav(dir.path(), "caller.wav", 600.0, 60.0);
    let phone = Phone::start(&["--ring", "0s", "--play", caller.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let record = json!({ "enabled": true, "channels": "stereo", "format": "wav" });
    let id = daemon.create("DYNAMIC_STREAM", "record", record).await;
    let mut client = Client::attach(&daemon, &id, "?protocol=native&rate=8000&listen=none").await;
    client.send_audio(&tone(8000, 1000.0, 10.0), 3200).await;
    client.event("answered").await;
    let started = client.event("recording").await;
    assert_eq!(started["state"], "started", "{started}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    client.send(json!({ "type": "hangup" })).await;
    let ready = client.event("recording").await;
    assert_eq!(ready["state"], "ready", "told before the stop: {ready}");
    client.finish().await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["recording_ids"], json!([started["recording_id"]]));
    let list = recordings(&daemon, &id).await;
    assert_eq!((list.len(), &list[0]["state"]), (1, &json!("ready")), "{list:?}");
    let wav = wav(&daemon, &list[0]).await;
    let (left, right) = (side(&wav, 0), side(&wav, 1));
    let rate = wav.rate.hz();
    let length = left.len() as u64 * 1000 / u64::from(rate);
    let lasted = call["duration_ms"].as_u64().unwrap();
    assert!(length.abs_diff(lasted) <= 60, "{length} ms of {lasted}");
    assert_eq!(list[0]["duration_ms"], length);
    let middle = |side: &[i16]| side[side.len() / 4..side.len() * 3 / 4].to_vec();
    for (name, samples, hz) in [("caller", &left, 600.0), ("agent", &right, 1000.0)] {
        let heard = middle(samples);
        assert!(rms(&heard) > 3000.0, "{name}: {}", rms(&heard));
        let share = share_at(&heard, rate, hz);
        assert!(share > 0.99, "{name}: {share}");
    }
    assert!(daemon.metric("bellwire_recordings_total{result=\"ready\"}").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_begins_pauses_and_ends_one_and_other_calls_are_refused() {
    let phone = Phone::start(&["--ring", "0s"]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
    daemon.wait_for(&id, "IN_PROGRESS").await;
    let all = format!("/v1/calls/{id}/recordings");
    let begun = Instant::now();
    let (status, one) = daemon.post(&all, &json!({ "channels": "mono", "beep": true })).await;
    assert_eq!((status, &one["state"]), (201, &json!("recording")), "{one}");
    let (status, twice) = daemon.post(&all, &json!({})).await;
    assert_eq!((status, &twice["code"]), (409, &json!("conflict")), "{twice}");
    let own = one["links"]["self"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (status, paused) = daemon.post(&format!("{own}/pause"), &json!({})).await;
    let before = begun.elapsed();
    assert_eq!((status, &paused["state"]), (200, &json!("paused")), "{paused}");
    tokio::time::sleep(Duration::from_millis(600)).await;
    let resumed = Instant::now();
    assert_eq!(daemon.post(&format!("{own}/resume"), &json!({})).await.0, 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(daemon.post(&format!("{own}/stop"), &json!({})).await.0, 202);
    // A busy machine takes its time: what is in the file is what was recorded for, not what was meant.
    let ran = u64::try_from((before + resumed.elapsed()).as_millis()).unwrap();
    let is_ready = async || recordings(&daemon, &id).await[0]["state"] == "ready";
    while !is_ready().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let list = recordings(&daemon, &id).await;
    let wav = wav(&daemon, &list[0]).await;
    let ms = wav.samples.len() as u64 * 1000 / u64::from(wav.rate.hz());
    assert!((ran - 100..ran + 350).contains(&ms) && wav.channels == 1, "{ms} ms of {ran}");
    let beep = &wav.samples[..wav.rate.hz() as usize / 4];
    assert!(share_at(beep, wav.rate.hz(), 1000.0) > 0.7, "the caller heard it");
    assert_eq!(daemon.delete(&own).await, 204);
    assert_eq!(daemon.get(&own).await.1["state"], "deleted");
    assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    let said = daemon.say("One, two, three, four, five, six, seven, eight, nine, ten.").await;
    daemon.wait_for(&said, "IN_PROGRESS").await;
    let (status, refused) = daemon.post(&format!("/v1/calls/{said}/recordings"), &json!({})).await;
    assert_eq!((status, &refused["code"]), (409, &json!("conflict")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("DYNAMIC_STREAM"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_what_was_written_in_a_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let caller = tone_wav(dir.path(), "caller.wav", 600.0, 60.0);
    let phone = Phone::start(&["--ring", "0s", "--play", caller.to_str().unwrap()]);
    let mut daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "record", json!({ "enabled": true })).await;
    daemon.wait_for(&id, "IN_PROGRESS").await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(recordings(&daemon, &id).await[0]["state"], "recording");
    let data = std::mem::replace(&mut daemon.dir, tempfile::tempdir().unwrap());
    // By SIGKILL.
    drop(daemon);
    let ran = u64::try_from(begun.elapsed().as_millis()).unwrap();
    let daemon = Daemon::start_in(data, &phone.address, "").await;
    let call = daemon.call(&id).await;
    assert_eq!(call["end_detail"], "restart", "{call:#}");
    let list = recordings(&daemon, &id).await;
    assert_eq!((&list[0]["state"], &list[0]["reason"]), (&json!("failed"), &json!("restart")));
    let wav = wav(&daemon, &list[0]).await;
    let left = side(&wav, 0);
    let ms = left.len() as u64 * 1000 / u64::from(wav.rate.hz());
    assert!((ran - 1100..ran + 200).contains(&ms), "all but the last second: {ms} ms of {ran}");
    assert_eq!(list[0]["duration_ms"], ms);
    assert!(share_at(&left[left.len() / 4..], wav.rate.hz(), 600.0) > 0.99);
}
