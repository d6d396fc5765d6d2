//! Calls from the carrier, and what the routes make of them.

use super::rig::{Daemon, Phone, read_wav, share_at, tone_wav};
use super::sipp::{Run, Sipp};

/// Every action that this version has, by the user part that is dialled.
fn routes(audio: &str) -> String {
    let route = |to: &str, action: &str, more: &str| {
        format!(
            "[[route]]\nto = \"^{to}$\"\ninstance = \"inst_demo\"\naction = \"{action}\"\n{more}\n"
        )
    };
    [
        route("play", "play", &format!("audio = \"{audio}\"\nrepeat = 1")),
        route("loop", "play", &format!("audio = \"{audio}\"\nhangup_after = \"3s\"")),
        route("music", "play", &format!("audio = \"{audio}\"")),
        route(
            "early",
            "play",
            &format!("audio = \"{audio}\"\nring = \"1s\"\nearly_media = true\nrepeat = 2"),
        ),
        route("say", "say", "text = \"Welcome to the demo line.\"\nrepeat = 1"),
        route("answer", "answer", ""),
        route("ring", "ring", ""),
        route("reject", "reject", "sip_code = 480"),
    ]
    .concat()
}

async fn daemon() -> Daemon {
    let dir = tempfile::tempdir().unwrap();
    let audio = tone_wav(dir.path(), "tone.wav", 800.0, 1.0);
    let routes = routes(audio.to_str().unwrap());
    let daemon = Daemon::start("127.0.0.1:9", &routes).await;
    drop(dir);
    daemon
}

fn dial(daemon: &Daemon, user: &str, more: &[&str]) -> Phone {
    let uri = format!("sip:{user}@{}", daemon.sip);
    let mut args = vec!["--call", uri.as_str()];
    args.extend_from_slice(more);
    Phone::start(&args)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_hears_the_file_and_is_hung_up_on() {
    let daemon = daemon().await;
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = dial(&daemon, "play", &["--record", heard.to_str().unwrap()]);
    phone.wait_for("answered");
    let ended = phone.wait_for("ended");
    assert_eq!(ended["cause"], "PeerHangup", "{ended}");
    let heard = read_wav(&heard);
    assert!(share_at(&heard[1600..6400], 8000, 800.0) > 0.98);
    let (_, calls) = daemon.get("/v1/calls?direction=inbound").await;
    let call = &calls["data"][0];
    assert_eq!(call["direction"], "inbound", "{calls:#}");
    assert_eq!(call["type"], "FIXED_AUDIO");
}

#[tokio::test(flavor = "multi_thread")]
async fn early_media_is_heard_before_the_answer() {
    let daemon = daemon().await;
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = dial(&daemon, "early", &["--record", heard.to_str().unwrap()]);
    phone.wait_for("ringing");
    phone.wait_for("answered");
    phone.wait_for("ended");
    // Two rounds of a second; the first one came before the answer.
    assert!(read_wav(&heard).len() > 15_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn say_answer_loop_and_hangup_after() {
    let daemon = daemon().await;
    let phone = dial(&daemon, "say", &[]);
    assert_eq!(phone.wait_for("ended")["cause"], "PeerHangup");
    let phone = dial(&daemon, "loop", &[]);
    let ended = phone.wait_for("ended");
    assert_eq!(ended["cause"], "PeerHangup");
    assert!(ended["heard_ms"].as_u64().unwrap() > 2500, "{ended}");
    let phone = dial(&daemon, "answer", &["--hangup-after", "500ms"]);
    assert_eq!(phone.wait_for("ended")["cause"], "LocalHangup");
}

#[tokio::test(flavor = "multi_thread")]
async fn ring_reject_and_nowhere() {
    let daemon = daemon().await;
    let ended = dial(&daemon, "reject", &[]).wait_for("ended");
    assert_eq!(ended["code"], 480, "{ended}");
    let ended = dial(&daemon, "nobody", &[]).wait_for("ended");
    assert_eq!(ended["code"], 404, "{ended}");
    let phone = dial(&daemon, "ring", &[]);
    phone.wait_for("ringing");
    drop(phone);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_callers_at_once_from_sipp() {
    let daemon = daemon().await;
    let before = daemon.descriptors().await;
    let run = Run {
        scenario: "caller.xml",
        calls: 50,
        rate: 50,
        remote: Some(daemon.sip.to_string()),
        more: &["-s", "music", "-rtp_echo"],
    };
    Sipp::start(&run).finish();
    daemon.wait_until_clean(before + 4).await;
    let (_, calls) = daemon.get("/v1/calls?direction=inbound&limit=100").await;
    let calls = calls["data"].as_array().unwrap();
    assert_eq!(calls.len(), 50);
    for call in calls {
        assert_eq!(call["status"], "COMPLETED", "{call:#}");
        assert_eq!(call["quality"]["codec"], "PCMA", "{call:#}");
        assert!(call["quality"]["tx_packets"].as_u64().unwrap() > 100, "{call:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_lose_every_fifth_message_are_served() {
    let daemon = daemon().await;
    let before = daemon.descriptors().await;
    let run = Run {
        scenario: "caller_lossy.xml",
        calls: 20,
        rate: 20,
        remote: Some(daemon.sip.to_string()),
        more: &["-s", "answer"],
    };
    Sipp::start(&run).finish();
    daemon.wait_until_clean(before + 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_come_over_tcp_too() {
    let daemon = daemon().await;
    let tcp = daemon.tcp();
    let run = Run {
        scenario: "caller.xml",
        calls: 5,
        rate: 5,
        remote: Some(tcp.to_string()),
        more: &["-s", "answer", "-t", "t1"],
    };
    Sipp::start(&run).finish();
}
