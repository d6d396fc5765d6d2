//! Incoming calls that are connected with somebody, by a route or by a webhook.

use super::engines::HookServer;
use super::rig::{Daemon, NUMBER, Phone, read_wav, share_at, tone_wav};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Who calls the desk gets to a number of the trunk.
const ROUTE: &str = "[[route]]\nto = \"^desk$\"\ninstance = \"inst_demo\"\naction = \"dial\"\n\
                     dial = \"+14155550123\"\nring = \"20s\"\nsip_code = 480\n";

fn caller(daemon: &Daemon, user: &str, more: &[&str]) -> Phone {
    let uri = format!("sip:{user}@{}", daemon.sip);
    let mut args = vec!["--call", uri.as_str()];
    args.extend_from_slice(more);
    Phone::start(&args)
}

/// The tone that a phone plays, and where it writes what it hears.
fn sound(dir: &Path, name: &str, hz: f64) -> (String, PathBuf) {
    let tone = tone_wav(dir, &format!("{name}-tone.wav"), hz, 60.0);
    (tone.to_str().unwrap().to_owned(), dir.join(format!("{name}.wav")))
}

/// Whether the end of what was heard is this tone.
fn assert_hears(file: &Path, hz: f64) {
    let heard = read_wav(file);
    let last = &heard[heard.len() - 12_000..heard.len() - 4000];
    assert!(share_at(last, 8000, hz) > 0.9, "{} without {hz} Hz", file.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_hear_each_other_until_the_caller_hangs_up() {
    let dir = tempfile::tempdir().unwrap();
    let (low, desk_heard) = sound(dir.path(), "desk", 500.0);
    let (high, caller_heard) = sound(dir.path(), "caller", 800.0);
    let desk_file = desk_heard.to_str().unwrap();
    let desk = Phone::start(&["--ring", "500ms", "--play", &low, "--record", desk_file]);
    let daemon = Daemon::start(&desk.address, ROUTE).await;
    let caller_file = caller_heard.to_str().unwrap();
    let more = ["--play", &high, "--record", caller_file, "--hangup-after", "4s"];
    let caller = caller(&daemon, "desk", &more);
    caller.wait_for("ringing");
    desk.wait_for("answered");
    caller.wait_for("answered");
    let first = daemon.wait_for_one("inbound", |call| call["bridged"] == true).await;
    let second = daemon.wait_for_one("outbound", |call| call["bridged"] == true).await;
    assert_eq!((&first["bridged_with"], &second["bridged_with"]), (&second["id"], &first["id"]));
    assert_eq!(second["target_phone"], NUMBER);
    assert_eq!((&second["from"], &second["trunk_id"]), (&json!("+15550100"), &json!("carrier")));
    assert_eq!(desk.wait_for("ended")["cause"], "PeerHangup");
    let first = daemon.wait_for_end(first["id"].as_str().unwrap()).await;
    let second = daemon.wait_for_end(second["id"].as_str().unwrap()).await;
    assert_eq!((&first["status"], &second["status"]), (&json!("COMPLETED"), &json!("COMPLETED")));
    assert_eq!(first["end_reason"], "caller_hangup");
    assert_eq!((&first["transfer"], &second["end_reason"]), (&Value::Null, &json!("completed")));
    caller.wait_for("ended");
    assert_hears(&caller_heard, 500.0);
    assert_hears(&desk_heard, 800.0);
    daemon.wait_until_clean(u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_hangs_up_ends_the_callers_call() {
    let desk = Phone::start(&["--ring", "0s", "--hangup-after", "1s"]);
    let daemon = Daemon::start(&desk.address, ROUTE).await;
    let caller = caller(&daemon, "desk", &[]);
    caller.wait_for("answered");
    assert_eq!(caller.wait_for("ended")["cause"], "PeerHangup");
    let second = daemon.wait_for_one("outbound", |call| call["ended_at"].is_string()).await;
    assert_eq!(second["end_reason"], "callee_hangup");
    daemon.wait_until_clean(u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_cannot_be_had_refuses_the_caller_with_the_routes_code() {
    let server = HookServer::start(|question| {
        (
            200,
            match question["data"]["call"]["to"].as_str() {
                Some("hook-busy") => json!({"action": "dial", "to": NUMBER, "sipCode": 404}),
                Some("hook-barred") => json!({"action": "dial", "to": "+4930123456"}),
                Some("hook-premium") => {
                    json!({"action": "dial", "to": "sip:+19005550123@127.0.0.1"})
                }
                Some("hook-trunk") => json!({"action": "dial", "to": NUMBER, "trunk": "other"}),
                Some("hook-from") => json!({"action": "dial", "to": NUMBER, "from": "+15559999"}),
                _ => json!({"action": "dial"}),
            },
        )
    })
    .await;
    let hook = format!(
        "{ROUTE}[[route]]\nto = \"^hook\"\ninstance = \"inst_demo\"\naction = \"webhook\"\n\
         url = \"{}\"\nsip_code = 488\n",
        server.url
    );
    let desk = Phone::start(&["--ring", "0s", "--reject", "486"]);
    let daemon = Daemon::start(&desk.address, &hook).await;
    for (user, code, reason, detail) in [
        ("desk", 480, "busy", None),
        ("hook-busy", 404, "busy", None),
        ("hook-barred", 488, "rejected", Some("not among the destinations")),
        ("hook-premium", 488, "rejected", Some("not among the destinations")),
        ("hook-trunk", 488, "", Some("no trunk \"other\"")),
        ("hook-from", 488, "rejected", Some("number to show")),
        ("hook-broken", 488, "rejected", Some("to is required")),
    ] {
        let ended = caller(&daemon, user, &[]).wait_for("ended");
        assert_eq!(ended["code"], code, "{user}: {ended}");
        let call = daemon
            .wait_for_one("inbound", |call| {
                call["target_phone"] == user && call["ended_at"].is_string()
            })
            .await;
        assert_eq!(
            (&call["status"], &call["sip_code"]),
            (&json!("FAILED"), &json!(code)),
            "{user}"
        );
        if !reason.is_empty() {
            assert_eq!(call["end_reason"], reason, "{user}: {call:#}");
        }
        let said = call["end_detail"].as_str().unwrap_or_default();
        assert!(said.contains(detail.unwrap_or_default()), "{user}: {said}");
    }
    assert_eq!(daemon.calls("outbound").await.len(), 2, "only two of them were called");
    daemon.wait_until_clean(u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_calls_nobody_any_more() {
    let desk = Phone::start(&["--ring", "60s"]);
    let daemon = Daemon::start(&desk.address, ROUTE).await;
    let caller = caller(&daemon, "desk", &[]);
    caller.wait_for("ringing");
    let first = daemon.wait_for_one("inbound", |call| call["status"] == "RINGING").await;
    let path = format!("/v1/calls/{}", first["id"].as_str().unwrap());
    let (status, refused) = daemon.post(&format!("{path}/answer"), &json!({})).await;
    assert_eq!((status, &refused["code"]), (409, &json!("conflict")));
    assert_eq!(daemon.delete(&path).await, 204);
    desk.wait_for("ended");
    let second = daemon.wait_for_one("outbound", |call| call["ended_at"].is_string()).await;
    assert_eq!(second["end_reason"], "canceled", "{second:#}");
    caller.wait_for("ended");
    daemon.wait_until_clean(u64::MAX).await;
}
