//! Calls both ways through the proxy, with the sound that each side heard.

use super::client::Client;
use super::programs::{Network, Setup, installed};
use super::rig::{share_at, tone};
use serde_json::json;

/// A stretch of at most a second behind the first loud sample is this tone and nothing else.
fn is_tone(samples: &[i16], hz: f64) {
    let from = samples.iter().position(|sample| sample.unsigned_abs() > 3000);
    let from = from.unwrap_or_else(|| panic!("silence, {} samples", samples.len())) + 800;
    let piece = &samples[from.min(samples.len())..(from + 8000).min(samples.len())];
    assert!(piece.len() > 2000, "{} samples only", samples.len());
    let share = share_at(piece, 8000, hz);
    assert!(share > 0.95, "{share} of it is {hz} Hz");
}

async fn talk(setup: &Setup<'_>) {
    let mut network = Network::start(setup).await;
    let id = network.dial("DYNAMIC_STREAM", "stream", json!({})).await;
    let query = "?rate=8000&out_rate=8000&listen=caller";
    let mut client = Client::attach(&network.daemon, &id, query).await;
    client.event("answered").await;
    network.phone.wait_for("CALL_ESTABLISHED");
    client.send_audio(&tone(8000, 1500.0, 2.0), 3200).await;
    client.hear(24_000).await;
    client.finish().await;
    network.phone.wait_for("CALL_CLOSED");
    is_tone(&client.samples(), 500.0);
    is_tone(&network.phone.heard(), 1500.0);
    let call = network.daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    assert_eq!(call["quality"]["loss"], 0.0, "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn we_call_the_phone_through_a_challenging_proxy() {
    if installed() {
        talk(&Setup::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_may_challenge_with_sha_256() {
    if installed() {
        talk(&Setup { sha256: true, ..Setup::default() }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_calls_holds_resumes_and_hangs_up() {
    if !installed() {
        return;
    }
    let Network { daemon, mut phone, kamailio } = Network::start(&Setup::default()).await;
    phone.tell("dial", "sip:music@carrier.test");
    phone.wait_for("CALL_ESTABLISHED");
    phone.hear(0, 8000);
    is_tone(&phone.heard(), 800.0);
    phone.wait_for("CALL_REMOTE_SDP");
    phone.tell("hold", "");
    phone.wait_for("CALL_REMOTE_SDP");
    // What was on its way has come when a held call has been quiet for a while.
    let quiet = std::time::Duration::from_millis(300);
    tokio::time::sleep(quiet).await;
    let held = phone.received();
    tokio::time::sleep(quiet * 2).await;
    assert!(phone.received() <= held + 1, "a held phone hears us");
    phone.tell("resume", "");
    phone.wait_for("CALL_REMOTE_SDP");
    phone.receive(50);
    phone.tell("hangup", "");
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    let call = daemon.wait_for_end(calls["data"][0]["id"].as_str().unwrap()).await;
    assert_eq!(call["end_reason"], "caller_hangup", "{call:#}");
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_not_allowed_is_refused_and_calls_nobody() {
    if !installed() {
        return;
    }
    let Network { daemon, mut phone, kamailio } = Network::start(&Setup::default()).await;
    phone.tell("dial", "sip:music@carrier.test");
    phone.wait_for("CALL_ESTABLISHED");
    phone.hear(0, 4000);
    phone.tell("transfer", "sip:+19005550100@carrier.test");
    phone.wait_for("TRANSFER_FAILED");
    // This phone then hangs up; `tests/sipp/uac_refer.xml` shows that the call could go on.
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    let call = daemon.wait_for_end(calls["data"][0]["id"].as_str().unwrap()).await;
    assert_eq!(call["end_reason"], "caller_hangup", "{call:#}");
    let (_, calls) = daemon.get("/v1/calls").await;
    assert_eq!(calls["data"].as_array().unwrap().len(), 1, "{calls:#}");
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_given_up_while_they_ring_both_ways() {
    if !installed() {
        return;
    }
    let setup = Setup { manual: true, ..Setup::default() };
    let mut network = Network::start(&setup).await;
    let text = json!({ "text": "Nobody hears this.", "voiceId": "en-US-001" });
    let id = network.dial("FIXED_TTS", "tts", text).await;
    network.phone.wait_for("CALL_INCOMING");
    network.daemon.delete(&format!("/v1/calls/{id}")).await;
    network.phone.wait_for("CALL_CLOSED");
    let call = network.daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "FAILED", "{call:#}");
    network.phone.tell("dial", "sip:ring@carrier.test");
    network.phone.wait_for("CALL_RINGING");
    network.phone.tell("hangup", "");
    let (_, calls) = network.daemon.get("/v1/calls?direction=inbound").await;
    let call = network.daemon.wait_for_end(calls["data"][0]["id"].as_str().unwrap()).await;
    assert_eq!(call["end_reason"], "canceled", "{call:#}");
}
