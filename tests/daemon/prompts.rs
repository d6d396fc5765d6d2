//! FIXED_TTS and FIXED_AUDIO calls to the phone and to SIPp.

use super::rig::{Daemon, NUMBER, Phone, read_wav, rms, share_at, tone_wav};
use super::sipp::{Run, Sipp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_spoken_and_the_call_completes() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = Phone::start(&["--ring", "300ms", "--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.say("Your appointment is confirmed for tomorrow.").await;
    daemon.wait_for(&id, "RINGING").await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    assert_eq!(call["end_reason"], "completed");
    assert_eq!(call["hangup_party"], "gateway");
    assert_eq!(call["sip_code"], 200);
    assert_eq!(call["quality"]["codec"], "PCMU");
    for time in ["created_at", "ringing_at", "started_at", "ended_at"] {
        assert!(call[time].as_str().is_some_and(|at| at.ends_with('Z')), "{time}: {call:#}");
    }
    let ended = phone.wait_for("ended");
    assert_eq!(ended["media"]["rx_lost"], 0, "{ended}");
    let played = call["quality"]["played_ms"].as_u64().unwrap();
    let heard = read_wav(&heard);
    assert!(played > 1500, "played {played} ms");
    assert!(heard.len() as u64 >= played * 8 - 320, "{} samples of {played} ms", heard.len());
    assert!(rms(&heard) > 800.0, "rms {}", rms(&heard));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_played_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let wav = std::fs::read(tone_wav(dir.path(), "tone.wav", 1000.0, 2.0)).unwrap();
    let phone = Phone::start(&["--record", heard.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let audio = json!({ "audioBase64": STANDARD.encode(wav) });
    let id = daemon.create("FIXED_AUDIO", "audio", audio).await;
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    let played = call["quality"]["played_ms"].as_u64().unwrap();
    assert!((1990..=2040).contains(&played), "played {played} ms");
    phone.wait_for("ended");
    let heard = read_wav(&heard);
    let middle = &heard[4000..12_000];
    assert!(share_at(middle, 8000, 1000.0) > 0.99, "the tone is not clean");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_reason_and_a_row() {
    for (code, reason) in
        [("486", "busy"), ("404", "invalid_number"), ("603", "rejected"), ("480", "no_answer")]
    {
        let phone = Phone::start(&["--reject", code]);
        let daemon = Daemon::start(&phone.address, "").await;
        let id = daemon.say("Nobody will hear this.").await;
        let call = daemon.wait_for_end(&id).await;
        assert_eq!(call["status"], "FAILED", "{call:#}");
        assert_eq!(call["end_reason"], reason, "{call:#}");
        assert_eq!(call["sip_code"].to_string(), code);
        assert!(call["started_at"].is_null());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_ended_in_every_state() {
    let phone = Phone::start(&["--ring", "60s"]);
    let daemon = Daemon::start(&phone.address, "max_active_calls = 1\n").await;
    let ringing = daemon.say("One.").await;
    daemon.wait_for(&ringing, "RINGING").await;
    let queued = daemon.say("Two.").await;
    let waiting = daemon.call(&queued).await;
    assert_eq!((&waiting["status"], &waiting["queue_position"]), (&json!("QUEUED"), &json!(1)));
    for id in [&queued, &ringing] {
        assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
        let call = daemon.wait_for_end(id).await;
        assert_eq!(call["status"], "FAILED", "{call:#}");
        assert_eq!(call["end_reason"], "terminated_by_api", "{call:#}");
        assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 404);
    }
    let ended = phone.wait_for("ended");
    assert_eq!(ended["cause"], "Canceled", "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_closes_what_was_left_open() {
    let phone = Phone::start(&[]);
    let mut daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
    daemon.wait_for(&id, "IN_PROGRESS").await;
    let pid = daemon.pid().to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let dir = std::mem::replace(&mut daemon.dir, tempfile::tempdir().unwrap());
    drop(daemon);
    let daemon = Daemon::start_in(dir, &phone.address, "").await;
    let call = daemon.call(&id).await;
    assert_eq!(call["status"], "FAILED", "{call:#}");
    assert_eq!(call["end_reason"], "error", "{call:#}");
    assert!(call["ended_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_calls_politely() {
    let phone = Phone::start(&[]);
    let mut daemon = Daemon::start(&phone.address, "[limits]\ndrain_timeout = \"200ms\"\n").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
    daemon.wait_for(&id, "IN_PROGRESS").await;
    daemon.stop();
    let ended = phone.wait_for("ended");
    assert_eq!(ended["cause"], "PeerHangup", "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_at_once_to_sipp() {
    let run =
        Run { scenario: "callee.xml", calls: 50, rate: 50, remote: None, more: &["-rtp_echo"] };
    let sipp = Sipp::start(&run);
    let daemon = Daemon::start(&format!("127.0.0.1:{}", sipp.port), "").await;
    let before = daemon.descriptors().await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(daemon.say("This is one of fifty calls at the same time.").await);
    }
    for id in &ids {
        let call = daemon.wait_for_end(id).await;
        assert_eq!(call["status"], "COMPLETED", "{call:#}");
        assert!(call["quality"]["rx_packets"].as_u64().unwrap() > 50, "no echo: {call:#}");
    }
    sipp.finish();
    daemon.wait_until_clean(before + 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_survive_a_carrier_that_loses_every_fifth_message() {
    let run = Run { scenario: "callee_lossy.xml", calls: 20, rate: 20, remote: None, more: &[] };
    let sipp = Sipp::start(&run);
    let daemon = Daemon::start(&format!("127.0.0.1:{}", sipp.port), "").await;
    let before = daemon.descriptors().await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(daemon.say("A short text.").await);
    }
    for id in &ids {
        let call = daemon.wait_for_end(id).await;
        assert_eq!(call["status"], "COMPLETED", "{call:#}");
    }
    sipp.finish();
    daemon.wait_until_clean(before + 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn destinations_outside_allow_are_refused() {
    let phone = Phone::start(&[]);
    let daemon = Daemon::start(&phone.address, "").await;
    for (number, status) in [(NUMBER, 201), ("+4930123456", 403), ("+19001234567", 403)] {
        let body = json!({
            "instanceId": "inst_demo", "type": "FIXED_TTS",
            "target": { "phoneNumber": number },
            "tts": { "text": "Hello there.", "voiceId": "en-US-001" },
        });
        let (answered, problem) = daemon.post("/v1/calls", &body).await;
        assert_eq!(answered, status, "{number}: {problem}");
        if status == 403 {
            assert_eq!(problem["code"], "destination_not_allowed");
        }
    }
}
