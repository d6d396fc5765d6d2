//! Prompts and whoever is called: who interrupts, who answers, who speaks first; and ringing that is
//! ours.

use super::exact::wav;
use super::rig::{Daemon, NUMBER, Phone, read_wav, rms, share_at, spoken_wav, tone, tone_wav};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;

/// Some twenty seconds of text.
const LONG: &str = "Your order has been packed and will be with you tomorrow between nine and \
    twelve. If nobody is at home, it is left with a neighbour, and you find a card in your letter \
    box. You can also have it brought to one of our shops, where it is kept for ten days. Thank \
    you for your trust, and have a pleasant day.";

/// Asks for a call of this body, and gives its id.
async fn create(daemon: &Daemon, mut body: Value) -> String {
    body["instanceId"] = json!("inst_demo");
    body["target"] = json!({ "phoneNumber": NUMBER });
    let (status, call) = daemon.post("/v1/calls", &body).await;
    assert_eq!(status, 201, "{call}");
    call["id"].as_str().unwrap().to_owned()
}

fn says(text: &str, more: &Value) -> Value {
    let mut body = json!({"type": "FIXED_TTS", "tts": {"text": text, "voiceId": "en-US-001"}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Where the first sound of a recording is, in seconds.
fn begins(heard: &[i16]) -> f64 {
    let frames = heard.chunks_exact(160);
    let first = frames.clone().position(|frame| rms(frame) > 300.0);
    first.unwrap_or(frames.len()) as f64 * 0.02
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_ends_a_prompt_and_with_it_the_call() {
    let dir = tempfile::tempdir().unwrap();
    let answer = spoken_wav(dir.path(), "no.wav", "No, thank you, I do not want that.").await;
    let at = format!("spoken:2s=play:{}", answer.display());
    let phone = Phone::start(&["--ring", "0s", "--at", &at]);
    // What the call does not say, its instance says.
    let usual = "[instance.barge_in]\nmode = \"clear\"\n";
    let daemon = Daemon::start(&phone.address, usual).await;
    let id = create(&daemon, says(LONG, &json!({}))).await;
    daemon.wait_for(&id, "IN_PROGRESS").await;
    let path = format!("/v1/calls/{id}/stats");
    let (status, stats) = daemon.get(&path).await;
    assert_eq!((status, &stats["status"]), (200, &json!("IN_PROGRESS")), "{stats:#}");
    assert!(stats["stages"]["send"]["p99_ms"].is_number(), "{stats:#}");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!((&call["status"], &call["end_reason"]), (&json!("COMPLETED"), &json!("completed")));
    let barge = &call["barge_ins"][0];
    assert_eq!((&barge["by"], &barge["action"]), (&json!("speech"), &json!("cleared")), "{call:#}");
    let played = barge["played_ms"].as_u64().unwrap();
    assert!((1_500..10_000).contains(&played), "{call:#}");
    assert_eq!(call["quality"]["played_ms"], played, "not a sample left after that");
    let (_, stats) = daemon.get(&path).await;
    assert_eq!((&stats["quality"]["played_ms"], &stats["stages"]), (&json!(played), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pauses_a_prompt_and_nobody_decides() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let record = heard.to_str().unwrap();
    let phone = Phone::start(&["--ring", "0s", "--record", record, "--at", "spoken:1s=dtmf:5"]);
    let daemon = Daemon::start(&phone.address, "").await;
    let audio = tone_wav(dir.path(), "tone.wav", 700.0, 4.0);
    let audio = STANDARD.encode(std::fs::read(audio).unwrap());
    let barge = json!({"mode": "pause", "on": ["dtmf"], "decisionMs": 1000, "onTimeout": "reject"});
    let body = json!({"type": "FIXED_AUDIO", "audio": {"audioBase64": audio}, "bargeIn": barge});
    let id = create(&daemon, body).await;
    let call = daemon.wait_for_end(&id).await;
    let barge = &call["barge_ins"][0];
    assert_eq!((&barge["by"], &barge["action"]), (&json!("dtmf"), &json!("resumed")), "{call:#}");
    let paused = barge["played_ms"].as_u64().unwrap();
    assert!((900..3_500).contains(&paused), "{call:#}");
    let played = call["quality"]["played_ms"].as_u64().unwrap();
    assert!((3_990..=4_020).contains(&played), "all of it was played: {call:#}");
    phone.wait_for("ended");
    let heard = read_wav(&heard);
    let first = (begins(&heard) * 8_000.0) as usize;
    let silent = first + (paused as usize + 300) * 8;
    assert!(rms(&heard[silent..silent + 3_200]) < 50.0, "it stood still");
}

/// A mailbox: a greeting, a pause, a beep; then it records.
async fn mailbox(dir: &Path) -> String {
    let text = "You have reached the office of Miller and Sons. We are not in at the moment, but \
                we call you back. Please leave your name and your number.";
    let greeting = read_wav(&spoken_wav(dir, "greeting.wav", text).await);
    let beep = tone(8_000, 1_000.0, 0.4);
    let sound = [&greeting[..], &vec![0; 32_000], &beep, &vec![0; 160_000]].concat();
    wav(dir, "mailbox.wav", &sound)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_left_behind_the_beep() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let (file, record) = (mailbox(dir.path()).await, heard.to_str().unwrap());
    let phone = Phone::start(&["--ring", "0s", "--play", &file, "--record", record]);
    let daemon = Daemon::start(&phone.address, "").await;
    let amd = json!({"mode": "sync", "action": "leave_message", "beep": true,
                     "beepTimeoutMs": 30_000});
    let more = json!({"amd": amd, "bargeIn": {"mode": "clear"}});
    let id = create(&daemon, says("This is a message for Mister Miller.", &more)).await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!((&call["status"], &call["answered_by"]), (&json!("COMPLETED"), &json!("machine")));
    let beep = call["answerer"]["beep_ms"].as_u64().unwrap_or_else(|| panic!("{call:#}"));
    phone.wait_for("ended");
    let mailbox = read_wav(Path::new(&file));
    let end = (mailbox.len() - 160_000) as u64 / 8;
    assert!(beep.abs_diff(end) < 400, "{beep} for {end}");
    let begun = begins(&read_wav(&heard)) * 1_000.0;
    assert!(begun > beep as f64 - 300.0, "begun at {begun}, beep at {beep}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_hung_up_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = mailbox(dir.path()).await;
    let phone = Phone::start(&["--ring", "0s", "--play", &file]);
    let daemon = Daemon::start(&phone.address, "[instance.amd]\naction = \"hangup\"\n").await;
    let id = create(&daemon, says(LONG, &json!({}))).await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["end_reason"], "amd_machine", "{call:#}");
    assert_eq!(call["answered_by"], "machine", "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_may_say_hello_first() {
    let dir = tempfile::tempdir().unwrap();
    let hello = read_wav(&spoken_wav(dir.path(), "hello.wav", "Hello, Miller speaking?").await);
    let last = hello.iter().rposition(|sample| sample.unsigned_abs() > 300).unwrap();
    let said = 0.5 + last as f64 / 8_000.0;
    let sound = [&[0; 4_000][..], &hello, &vec![0; 80_000]].concat();
    let heard = dir.path().join("heard.wav");
    let (file, record) = (wav(dir.path(), "said.wav", &sound), heard.to_str().unwrap());
    let phone = Phone::start(&["--ring", "0s", "--play", &file, "--record", record]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = create(&daemon, says("Good morning.", &json!({"startOn": "speech_end"}))).await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    phone.wait_for("ended");
    let begun = begins(&read_wav(&heard));
    assert!((said + 0.1..said + 2.5).contains(&begun), "begun at {begun}, said until {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_hears_our_ringing_until_the_party_answers() {
    const ROUTE: &str = "[[route]]\nto = \"^desk$\"\ninstance = \"inst_demo\"\naction = \"dial\"\n\
                         dial = \"+14155550123\"\nring = \"20s\"\nringback = \"eu\"\n";
    let dir = tempfile::tempdir().unwrap();
    let low = tone_wav(dir.path(), "low.wav", 900.0, 60.0);
    let heard = dir.path().join("heard.wav");
    let desk = Phone::start(&["--ring", "2s", "--play", low.to_str().unwrap()]);
    let daemon = Daemon::start(&desk.address, ROUTE).await;
    let uri = format!("sip:desk@{}", daemon.sip);
    let record = heard.to_str().unwrap();
    let caller = Phone::start(&["--call", &uri, "--record", record, "--hangup-after", "3s"]);
    caller.wait_for("answered");
    daemon.wait_for_one("inbound", |call| call["bridged"] == true).await;
    caller.wait_for("ended");
    let heard = read_wav(&heard);
    let first = (begins(&heard) * 8_000.0) as usize;
    // A second of ringing, a pause, and then whoever answered.
    assert!(share_at(&heard[first + 800..first + 7_200], 8_000, 425.0) > 0.95, "no ringing");
    assert!(rms(&heard[first + 8_800..first + 12_000]) < 50.0, "no cadence");
    // A machine that is held up bends the tone: each tenth of a second is looked at by itself.
    let last = heard[heard.len() - 12_000..heard.len() - 4_000].chunks(800);
    let shares: Vec<f64> = last.map(|part| share_at(part, 8_000, 900.0)).collect();
    let heard = shares.iter().filter(|share| **share > 0.9).count();
    assert!(heard >= 7, "the party is not heard, or the ringing goes on: {shares:?}");
}
