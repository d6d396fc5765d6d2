//! What decides about an inbound call: its caller, its header fields, its credentials, a webhook.

use super::engines::HookServer;
use super::rig::{Daemon, Phone};
use super::sipp::{Run, Sipp};
use serde_json::json;

fn dial(daemon: &Daemon, user: &str, more: &[&str]) -> Phone {
    let uri = format!("sip:{user}@{}", daemon.sip);
    let mut args = vec!["--call", uri.as_str()];
    args.extend_from_slice(more);
    Phone::start(&args)
}

fn hooked(url: &str) -> String {
    format!(
        "[[route]]\nto = \"^hook\"\ninstance = \"inst_demo\"\naction = \"webhook\"\n\
         url = \"{url}\"\ntimeout = \"2s\"\nsip_code = 480\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_decides_what_a_call_meets() {
    let server = HookServer::start(|question| {
        let call = &question["data"]["call"];
        match call["to"].as_str() {
            Some("hook-say") => {
                (200, json!({"action": "say", "tts": {"text": "Hello."}, "metadata": {"k": 7}}))
            }
            Some("hook-busy") => (200, json!({"action": "reject", "sipCode": 486})),
            Some("hook-broken") => (200, json!({"action": "dance"})),
            _ => (500, json!({})),
        }
    })
    .await;
    let daemon = Daemon::start("127.0.0.1:9", &hooked(&server.url)).await;
    let phone = dial(&daemon, "hook-say", &[]);
    phone.wait_for("answered");
    assert_eq!(phone.wait_for("ended")["cause"], "PeerHangup");
    for (user, code) in [("hook-busy", 486), ("hook-broken", 480), ("hook-fails", 480)] {
        let ended = dial(&daemon, user, &[]).wait_for("ended");
        assert_eq!(ended["code"], code, "{user}: {ended}");
    }
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    let calls = calls["data"].as_array().unwrap();
    assert_eq!(calls.len(), 4, "refused ones are written down, too: {calls:#?}");
    let said = calls.iter().find(|call| call["metadata"]["k"] == 7).expect("with its metadata");
    assert_eq!(said["type"], "FIXED_TTS");
    let failed = calls.iter().filter(|call| call["sip_code"] == 480);
    assert!(
        failed.clone().count() == 2 && failed.into_iter().all(|call| call["status"] == "FAILED")
    );
    let asked = server.requests.lock().unwrap().clone();
    assert_eq!(asked[0]["type"], "call.incoming");
    assert!(asked[0]["data"]["call"]["from"].is_string(), "{}", asked[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_gone_refuses_with_the_code_of_its_route() {
    let daemon = Daemon::start("127.0.0.1:9", &hooked("http://127.0.0.1:1/calls")).await;
    let ended = dial(&daemon, "hook", &[]).wait_for("ended");
    assert_eq!(ended["code"], 480, "{ended}");
    daemon.wait_until_clean(u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_and_header_fields_choose_a_route() {
    let routes = "[[route]]\nfrom = \"^sipp$\"\nheader = [{ name = \"X-Line\", value = \"^b$\" }]\n\
                  action = \"reject\"\nsip_code = 603\n\
                  [[route]]\nfrom = \"^phone$\"\naction = \"reject\"\nsip_code = 488\n";
    let daemon = Daemon::start("127.0.0.1:9", routes).await;
    assert_eq!(dial(&daemon, "any", &[]).wait_for("ended")["code"], 488);
    let run = Run {
        scenario: "caller_with_line.xml",
        calls: 1,
        rate: 1,
        remote: Some(daemon.sip.to_string()),
        more: &["-s", "any"],
    };
    Sipp::start(&run).finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_must_have_the_credentials_of_the_route() {
    let routes = "[[route]]\nto = \"^vip$\"\ninstance = \"inst_demo\"\naction = \"answer\"\n\
                  auth = { username = \"alice\", password = \"s3cret\", realm = \"bell\" }\n";
    let daemon = Daemon::start("127.0.0.1:9", routes).await;
    let call = |password: &'static str, scenario: &'static str| Run {
        scenario,
        calls: 1,
        rate: 1,
        remote: Some(daemon.sip.to_string()),
        more: match password {
            "right" => &["-s", "vip", "-au", "alice", "-ap", "s3cret"],
            _ => &["-s", "vip", "-au", "alice", "-ap", "wrong"],
        },
    };
    Sipp::start(&call("right", "caller_digest.xml")).finish();
    Sipp::start(&call("wrong", "caller_digest_refused.xml")).finish();
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    let calls = calls["data"].as_array().unwrap();
    assert_eq!(calls.len(), 1, "a challenge is no attempt: {calls:#?}");
    assert_eq!(calls[0]["status"], "COMPLETED");
}
