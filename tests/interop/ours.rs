//! Registration, hold and transfer of ours.

use super::programs::{Network, Setup, installed};
use super::rig::Daemon;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_registrar_sends_us_calls_while_we_are_registered() {
    if !installed() {
        return;
    }
    // The proxy knows no other way to us: nobody is at port 9.
    let trunk = "register = true\nexpires = \"60s\"";
    let setup = Setup { trunk, gateway: Some("127.0.0.1:9"), ..Setup::default() };
    let Network { daemon, mut phone, kamailio } = Network::start(&setup).await;
    let until = std::time::Instant::now() + super::rig::SOON;
    loop {
        phone.tell("dial", "sip:music@carrier.test");
        let outcome = phone.wait_for_one(&["CALL_ESTABLISHED", "CALL_CLOSED"]);
        if outcome["type"] == "CALL_ESTABLISHED" {
            break;
        }
        assert!(std::time::Instant::now() < until, "we never registered: {outcome}");
    }
    phone.hear(0, 4000);
    phone.tell("hangup", "");
    phone.wait_for("CALL_CLOSED");
    let mut daemon = daemon;
    daemon.stop();
    // The registration was taken back: the proxy tries port 9, where nobody answers.
    phone.tell("dial", "sip:music@carrier.test");
    let outcome = phone.wait_for_one(&["CALL_ESTABLISHED", "CALL_CLOSED"]);
    assert_eq!(outcome["type"], "CALL_CLOSED");
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread")]
async fn we_hold_and_resume_the_phone() {
    if !installed() {
        return;
    }
    let mut network = Network::start(&Setup::default()).await;
    let id = network.dial("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
    network.phone.wait_for("CALL_ESTABLISHED");
    for command in ["hold", "resume"] {
        ask(&network.daemon, &id, command).await;
        network.phone.wait_for("CALL_REMOTE_SDP");
    }
    network.phone.receive(25);
    network.daemon.delete(&format!("/v1/calls/{id}")).await;
    network.phone.wait_for("CALL_CLOSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn we_transfer_the_phone_and_it_calls_the_new_target() {
    if !installed() {
        return;
    }
    let mut network = Network::start(&Setup::default()).await;
    let id = network.dial("DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
    network.phone.wait_for("CALL_ESTABLISHED");
    // Our own line: the proxy brings the phone's new call back to us.
    let to = json!({ "to": "+15550100", "mode": "blind" });
    let (status, answer) = network.daemon.post(&format!("/v1/calls/{id}/transfer"), &to).await;
    assert!((200..300).contains(&status), "{answer}");
    network.phone.wait_for("CALL_ESTABLISHED");
    network.phone.hear(0, 4000);
    let call = network.daemon.wait_for_end(&id).await;
    assert_eq!(call["end_reason"], "transfer", "{call:#}");
}

/// Holds or resumes, as soon as the last change is through.
pub async fn ask(daemon: &Daemon, id: &str, command: &str) {
    let path = format!("/v1/calls/{id}/{command}");
    let until = std::time::Instant::now() + super::rig::SOON;
    loop {
        let (status, answer) = daemon.post(&path, &json!({})).await;
        if (200..300).contains(&status) {
            return;
        }
        // The phone has not answered the last change yet.
        assert!(status == 409 && std::time::Instant::now() < until, "{command}: {answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
