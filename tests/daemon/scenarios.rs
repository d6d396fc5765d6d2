//! The scenarios of `tests/sipp` against the real program: each a behaviour of a carrier or caller.
//!
//! The files are those that `docs/load-testing.md` gives to operators, so this is also the proof
//! that they run. SIPp has an address of its own (127.0.0.5), and with it a trunk of its own.

use super::rig::{Daemon, NUMBER, SOON, free_udp_port};
use super::sipp::{Run, Sipp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CARRIER: &str = "127.0.0.5";

/// Routes for callers, and the trunk of SIPp, whose gateway is at `port`; `more` are its options.
fn options(port: u16, more: &str) -> String {
    let gateways = format!("proxy = \"sip:{CARRIER}:{port}\"");
    trunk(&gateways, more)
}

fn trunk(gateways: &str, more: &str) -> String {
    let route = |to: &str, action: &str| {
        format!("[[route]]\nto = \"^{to}$\"\ninstance = \"inst_sipp\"\naction = {action}\n")
    };
    let routes = [
        route("answer", "\"answer\""),
        route("ring", "\"ring\""),
        route("early", "\"say\"\ntext = \"Welcome.\"\nring = \"1s\"\nearly_media = true"),
    ]
    .concat();
    format!(
        "[[trunk]]\nname = \"sipp\"\n{gateways}\nsources = [\"{CARRIER}/32\"]\nallow = [\"+1\"]\n\
         caller_id = \"+15550100\"\nping = \"off\"\nrealm = \"carrier\"\nusername = \"user\"\n\
         password = \"secret\"\nmax_cps = 1000\n{more}\n\
         [[instance]]\nid = \"inst_sipp\"\ntrunk = \"sipp\"\n{routes}"
    )
}

/// Runs scenarios of callers, five calls each, against one daemon with `options`.
async fn callers(options: &str, scenarios: &[(&str, &str, &[&str])]) {
    let daemon = Daemon::start("127.0.0.1:9", options).await;
    let before = daemon.descriptors().await;
    for (name, service, more) in scenarios {
        let remote = Some(daemon.sip.to_string());
        let arguments = [&["-s", service, "-d", "300", "-rtp_echo"], *more].concat();
        let scenario = format!("{name}.xml");
        let run = Run { scenario: &scenario, calls: 5, rate: 5, remote, more: &arguments };
        Sipp::ready_made(&run, CARRIER, free_udp_port()).finish();
    }
    daemon.wait_until_clean(before + 4).await;
}

/// Calls a number through the trunk of SIPp.
async fn dial(daemon: &Daemon, call_type: &str, section: &str, content: Value) -> String {
    let body = json!({ "instanceId": "inst_sipp", "type": call_type,
        "target": { "phoneNumber": NUMBER }, section: content });
    let (status, call) = daemon.post("/v1/calls", &body).await;
    assert_eq!(status, 201, "{call}");
    call["id"].as_str().unwrap().to_owned()
}

async fn say(daemon: &Daemon) -> String {
    let text = "Your appointment is confirmed for tomorrow.";
    dial(daemon, "FIXED_TTS", "tts", json!({ "text": text, "voiceId": "en-US-001" })).await
}

/// Starts a scenario of a callee, for one call.
fn answering(name: &str, more: &[&str], port: u16) -> Sipp {
    let scenario = format!("{name}.xml");
    let arguments = [&["-d", "300", "-rtp_echo"], more].concat();
    let run = Run { scenario: &scenario, calls: 1, rate: 1, remote: None, more: &arguments };
    Sipp::ready_made(&run, CARRIER, port)
}

/// Runs scenarios of callees one after the other, each with a call of a spoken text; gives the
/// calls at their end.
async fn callees(trunk: &str, scenarios: &[(&str, &[&str])]) -> Vec<Value> {
    let port = free_udp_port();
    let daemon = Daemon::start("127.0.0.1:9", &options(port, trunk)).await;
    let before = daemon.descriptors().await;
    let mut calls = Vec::new();
    for (name, more) in scenarios {
        let sipp = answering(name, more, port);
        let id = say(&daemon).await;
        calls.push(daemon.wait_for_end(&id).await);
        sipp.finish();
    }
    daemon.wait_until_clean(before + 4).await;
    calls
}

fn completed(call: &Value) {
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    assert!(call["quality"]["rx_packets"].as_u64().unwrap() > 20, "no sound came back: {call:#}");
}

fn failed(call: &Value, reason: &str) {
    assert_eq!((&call["status"], &call["end_reason"]), (&json!("FAILED"), &json!(reason)));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_talk_hold_refresh_and_give_up() {
    let scenarios: [(&str, &str, &[&str]); 6] = [
        ("uac", "answer", &[]),
        ("uac_setup", "answer", &[]),
        ("uac_cancel", "ring", &[]),
        ("uac_hold", "answer", &[]),
        ("uac_update", "answer", &[]),
        ("uac_delayed", "answer", &[]),
    ];
    callers(&options(9, ""), &scenarios).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_may_require_reliable_ringing() {
    callers(&options(9, ""), &[("uac_prack", "early", &[])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_may_not_send_us_elsewhere() {
    callers(&options(9, ""), &[("uac_refer", "answer", &[])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_shows_credentials() {
    let private = "[[route]]\nto = \"^private$\"\ninstance = \"inst_sipp\"\n\
                   action = \"answer\"\n\
                   [route.auth]\nusername = \"alice\"\npassword = \"secret\"\n";
    let options = options(9, "") + private;
    let more: &[&str] = &["-au", "alice", "-ap", "secret"];
    callers(&options, &[("uac_auth", "private", more)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carriers_ring_challenge_hold_and_hang_up_with_us() {
    let credentials: &[&str] = &["-key", "realm", "carrier", "-au", "user", "-ap", "secret"];
    let scenarios: [(&str, &[&str]); 5] = [
        ("uas", &[]),
        ("uas_auth", credentials),
        ("uas_hold", &[]),
        ("uas_update", &[]),
        ("uas_bye_glare", &[]),
    ];
    callees("", &scenarios).await.iter().for_each(completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_and_moved_have_their_reasons() {
    // A redirection is not followed unless the trunk allows its target.
    let target: &[&str] = &["-key", "target", "sip:+19005550100@127.0.0.5:9"];
    let calls = callees("", &[("uas_busy", &[]), ("uas_redirect", target)]).await;
    failed(&calls[0], "busy");
    assert_eq!(calls[1]["status"], "FAILED", "{:#}", calls[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_carrier_is_congestion() {
    failed(&callees("", &[("uas_503", &[])]).await[0], "congestion");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callee_that_never_answers_is_given_up() {
    let port = free_udp_port();
    let sipp = answering("uas_cancel", &[], port);
    let daemon = Daemon::start("127.0.0.1:9", &options(port, "")).await;
    let id = say(&daemon).await;
    daemon.wait_for(&id, "RINGING").await;
    // Ringing is told to nobody at once; the 180 is what lets CANCEL out.
    assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    sipp.finish();
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["status"], "FAILED", "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_wants_a_longer_interval() {
    callees("session_timer = \"1800s\"", &[("uas_422", &[])]).await.iter().for_each(completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_has_reliable_early_media() {
    callees("", &[("uas_prack", &[])]).await.iter().for_each(completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_makes_the_offer() {
    callees("offer = \"delayed\"", &[("uas_delayed", &[])]).await.iter().for_each(completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_gateway_is_passed_over() {
    let ports = [free_udp_port(), free_udp_port()];
    let full = answering("uas_503", &[], ports[0]);
    let free = answering("uas", &[], ports[1]);
    let [a, b] = ports.map(|port| format!("sip:{CARRIER}:{port}"));
    let options = trunk(&format!("proxy = [\"{a}\", \"{b}\"]"), "");
    let daemon = Daemon::start("127.0.0.1:9", &options).await;
    let id = say(&daemon).await;
    completed(&daemon.wait_for_end(&id).await);
    full.finish();
    free.finish();
    // The full one rests: nobody is there to answer it.
    let second = answering("uas", &[], ports[1]);
    let id = say(&daemon).await;
    completed(&daemon.wait_for_end(&id).await);
    second.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_are_followed_to_their_end() {
    let outcomes =
        [("uas_refer", "succeeded", "COMPLETED"), ("uas_refer_failed", "failed", "IN_PROGRESS")];
    for (name, state, status) in outcomes {
        let port = free_udp_port();
        let sipp = answering(name, &[], port);
        let daemon = Daemon::start("127.0.0.1:9", &options(port, "")).await;
        let id = dial(&daemon, "DYNAMIC_STREAM", "stream", json!({ "waitMs": 60_000 })).await;
        daemon.wait_for(&id, "IN_PROGRESS").await;
        let to = json!({ "to": "+14155550124", "mode": "blind" });
        let (code, answer) = daemon.post(&format!("/v1/calls/{id}/transfer"), &to).await;
        assert!((200..300).contains(&code), "{answer}");
        let until = Instant::now() + SOON;
        while daemon.call(&id).await["transfer"]["state"] != state {
            assert!(Instant::now() < until, "the transfer has no end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let call = daemon.wait_for(&id, status).await;
        if status == "IN_PROGRESS" {
            assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204, "{call:#}");
        }
        sipp.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_made_refreshed_and_taken_back() {
    let port = free_udp_port();
    // Granted for 10 s: the refresh comes after 8 to 9.
    let more =
        ["-key", "realm", "carrier", "-key", "expires", "10", "-au", "user", "-ap", "secret"];
    let registrar = answering("uas_registrar", &more, port);
    let mut daemon =
        Daemon::start("127.0.0.1:9", &options(port, "register = true\nexpires = \"60s\"")).await;
    registrar.finish();
    daemon.stop();
}

#[test]
fn every_scenario_file_is_run_and_says_how() {
    let here = include_str!("scenarios.rs");
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sipp");
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/load-testing.md"));
    let page = page.unwrap();
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap().path();
        let (name, text) = (
            file.file_stem().unwrap().to_string_lossy().into_owned(),
            std::fs::read_to_string(&file).unwrap(),
        );
        assert!(here.contains(&format!("\"{name}\"")), "{name} is not run");
        assert!(page.contains(&format!("`{name}.xml`")), "{name} is not in docs/load-testing.md");
        let command = format!("  sipp -sf tests/sipp/{name}.xml ");
        assert!(text.contains(&command), "{name} does not say how it is run");
    }
}
