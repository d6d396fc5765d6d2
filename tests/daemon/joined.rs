//! Calls that are joined: by a transfer, by the API, and apart again.

use super::rig::{Daemon, NUMBER, Phone, SOON, read_wav, share_at, tone_wav};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A phone that plays a tone to whoever calls it, and a daemon whose trunk it is.
struct Rig {
    dir: TempDir,
    phone: Phone,
    daemon: Daemon,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tone = tone_wav(dir.path(), "tone.wav", 800.0, 60.0);
        let heard = dir.path().join("heard.wav");
        let (tone, heard) = (tone.to_str().unwrap(), heard.to_str().unwrap());
        let phone = Phone::start(&["--ring", "0s", "--play", tone, "--record", heard]);
        let daemon = Daemon::start(&phone.address, "").await;
        Self { dir, phone, daemon }
    }

    /// A call that has been answered and whose client never comes.
    async fn call(&self) -> String {
        let stream = json!({"waitMs": 60_000});
        let id = self.daemon.create("DYNAMIC_STREAM", "stream", stream).await;
        self.daemon.wait_for(&id, "IN_PROGRESS").await;
        id
    }

    /// Waits until a call looks as it should.
    async fn until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + SOON;
        loop {
            let call = self.daemon.call(id).await;
            if holds(&call) {
                return call;
            }
            assert!(Instant::now() < until, "{call:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the phone has heard in its calls, loudest call last.
    fn heard(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.to_string_lossy().contains("heard")).collect()
    }
}

fn played(call: &Value, ms: u64) -> bool {
    call["quality"]["played_ms"].as_u64().is_some_and(|played| played >= ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_handed_over_by_a_bridge_and_both_sides_hear_each_other() {
    let rig = Rig::new().await;
    let id = rig.call().await;
    let body = json!({"to": NUMBER, "mode": "bridge"});
    let (status, call) = rig.daemon.post(&format!("/v1/calls/{id}/transfer"), &body).await;
    assert_eq!(status, 202, "{call:#}");
    let call = rig.until(&id, |call| call["transfer"]["state"] == "succeeded").await;
    assert_eq!(call["bridged"], true, "{call:#}");
    let other = call["bridged_with"].as_str().unwrap().to_owned();
    for id in [&id, &other] {
        rig.until(id, |call| played(call, 2000)).await;
    }
    let (status, refused) = rig.daemon.post(&format!("/v1/calls/{id}/hold"), &json!({})).await;
    assert_eq!((status, &refused["code"]), (409, &json!("conflict")));
    assert_eq!(rig.daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    assert_eq!(rig.daemon.wait_for_end(&id).await["end_reason"], "terminated_by_api");
    let second = rig.daemon.wait_for_end(&other).await;
    assert_eq!((&second["end_reason"], &second["bridged_with"]), (&json!("completed"), &json!(id)));
    rig.phone.wait_for("ended");
    rig.phone.wait_for("ended");
    let heard = rig.heard();
    assert_eq!(heard.len(), 2);
    for file in heard {
        let heard = read_wav(&file);
        let last = &heard[heard.len().saturating_sub(12_000)..heard.len() - 4000];
        assert!(share_at(last, 8000, 800.0) > 0.9, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_calls_are_parted_and_go_on_by_themselves() {
    let rig = Rig::new().await;
    let (one, two) = (rig.call().await, rig.call().await);
    let path = format!("/v1/calls/{one}/bridge");
    let (status, call) = rig.daemon.post(&path, &json!({ "callId": two })).await;
    assert_eq!((status, &call["bridged"]), (200, &json!(true)), "{call:#}");
    rig.until(&two, |call| call["bridged"] == true && played(call, 500)).await;
    let (again, _) = rig.daemon.post(&path, &json!({ "callId": two })).await;
    assert_eq!(again, 409);
    assert_eq!(rig.daemon.delete(&path).await, 202);
    for (id, other) in [(&one, &two), (&two, &one)] {
        let call = rig.until(id, |call| call["bridged"] == false).await;
        assert_eq!(
            (&call["status"], &call["bridged_with"]),
            (&json!("IN_PROGRESS"), &json!(other))
        );
    }
    // Once more, and one hangs up: the other goes on.
    let (status, call) = rig.daemon.post(&path, &json!({ "callId": two })).await;
    assert_eq!(status, 200, "{call:#}");
    assert_eq!(rig.daemon.delete(&format!("/v1/calls/{one}")).await, 204);
    rig.daemon.wait_for_end(&one).await;
    let left = rig.until(&two, |call| call["bridged"] == false).await;
    assert_eq!(left["status"], "IN_PROGRESS", "{left:#}");
    assert_eq!(rig.daemon.delete(&format!("/v1/calls/{two}")).await, 204);
    rig.daemon.wait_for_end(&two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_may_not_be_dialled_is_refused_and_the_call_goes_on() {
    let rig = Rig::new().await;
    let id = rig.call().await;
    let body = json!({"to": "+4930123456", "mode": "bridge"});
    let (status, problem) = rig.daemon.post(&format!("/v1/calls/{id}/transfer"), &body).await;
    assert_eq!((status, &problem["code"]), (403, &json!("destination_not_allowed")), "{problem:#}");
    assert_eq!(rig.daemon.call(&id).await["status"], "IN_PROGRESS");
}
