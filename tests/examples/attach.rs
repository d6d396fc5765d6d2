//! `bellwire stream`, `bellwire listen` and `bellwire conformance` as people run them.

use super::client::Client;
use super::rig::{Daemon, Phone, read_wav, share_at, tone, tone_wav};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Runs the program to its end, with these octets on its standard input.
async fn bellwire(args: &[&str], input: Vec<u8>) -> Output {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bellwire"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may end before it has read all.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
        child.wait_with_output().unwrap()
    });
    run.await.unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Milliseconds in which this tone sounds.
fn ms_of(samples: &[i16], rate: u32, hz: f64) -> u64 {
    let sounds = |part: &&[i16]| {
        part.iter().any(|sample| sample.unsigned_abs() > 2000) && share_at(part, rate, hz) > 0.8
    };
    samples.chunks_exact(rate as usize / 100).filter(sounds).count() as u64 * 10
}

async fn stream_call(daemon: &Daemon) -> String {
    daemon.create("DYNAMIC_STREAM", "stream", json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_and_what_comes_is_kept() {
    let dir = TempDir::new().unwrap();
    let (question, music) = (
        tone_wav(dir.path(), "question.wav", 500.0, 2.0),
        tone_wav(dir.path(), "music.wav", 1000.0, 30.0),
    );
    let (heard, answer) = (dir.path().join("heard.wav"), dir.path().join("answer.wav"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let phone = Phone::start(&["--ring", "0s", "--play", &path(&music), "--record", &path(&heard)]);
    let daemon = Daemon::start(&phone.address, "").await;
    let call = stream_call(&daemon).await;
    let (file, out) = (path(&question), path(&answer));
    let ran = bellwire(
        &["stream", &call, "--in", &file, "--out", &out, "--api", &daemon.api],
        Vec::new(),
    )
    .await;
    let said = text(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    for part in ["answered", "playback started", "played 2.0 s", "ended: completed"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    phone.wait_for("ended");
    let sent = ms_of(&read_wav(&heard), 8000, 500.0);
    assert!((1950..=2010).contains(&sent), "{sent} ms of the file were heard");
    let kept = ms_of(&read_wav(&answer), 16_000, 1000.0);
    assert!(kept >= 1800, "{kept} ms of the caller were kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_are_as_good_as_files() {
    let dir = TempDir::new().unwrap();
    let music = tone_wav(dir.path(), "music.wav", 1000.0, 30.0);
    let heard = dir.path().join("heard.wav");
    let args =
        ["--ring", "0s", "--play", music.to_str().unwrap(), "--record", heard.to_str().unwrap()];
    let phone = Phone::start(&args);
    let daemon = Daemon::start(&phone.address, "").await;
    let call = stream_call(&daemon).await;
    let samples: Vec<u8> =
        tone(24_000, 500.0, 2.0).iter().flat_map(|sample| sample.to_be_bytes()).collect();
    let ran = bellwire(
        &[
            "stream",
            &call,
            "--in",
            "-",
            "--format",
            "pcm_s16be",
            "--rate",
            "24000",
            "--out",
            "-",
            "--out-rate",
            "8000",
            "--api",
            &daemon.api,
        ],
        samples,
    )
    .await;
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    phone.wait_for("ended");
    let sent = ms_of(&read_wav(&heard), 8000, 500.0);
    assert!((1950..=2010).contains(&sent), "{sent} ms of standard input were heard");
    let out: Vec<i16> =
        ran.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let kept = ms_of(&out, 8000, 1000.0);
    assert!(kept >= 1800, "{kept} ms of the caller came out");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_said_with_its_exit_code() {
    let daemon = Daemon::start("127.0.0.1:9", "").await;
    let of = async |args: &[&str]| {
        let ran = bellwire(args, Vec::new()).await;
        (ran.status.code(), text(&ran.stderr))
    };
    let api = daemon.api.as_str();
    let (code, said) = of(&["stream", "call_nowhere", "--api", api]).await;
    assert!(code == Some(3) && said.contains("404"), "{code:?} {said}");
    let (code, said) =
        of(&["listen", "call_1", "--api", "http://127.0.0.1:1", "--out", "x.wav"]).await;
    assert!(code == Some(3) && said.contains("does not answer"), "{code:?} {said}");
    let (code, said) = of(&["stream", "../x", "--api", api]).await;
    assert!(code == Some(2), "{code:?} {said}");
    let (code, said) = of(&["stream", "call_1", "--in", "/nowhere/x.wav", "--api", api]).await;
    assert!(code == Some(2) && said.contains("/nowhere/x.wav"), "{code:?} {said}");
    let (code, _) = of(&["stream", "call_1", "--json", "--out", "-"]).await;
    assert_eq!(code, Some(2));
}

/// Whether this gateway lets others listen in beside the client.
async fn serves_listeners(daemon: &Daemon, call: &str) -> bool {
    let path = format!("/v1/calls/{call}/stream?role=listener");
    let request = daemon
        .request("GET", &path)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    request.send().await.unwrap().status() == 101
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_in_hears_the_caller_or_is_told_why_not() {
    let dir = TempDir::new().unwrap();
    let music = tone_wav(dir.path(), "music.wav", 1000.0, 30.0);
    let phone = Phone::start(&["--ring", "0s", "--play", music.to_str().unwrap()]);
    let daemon = Daemon::start(&phone.address, "").await;
    let call = stream_call(&daemon).await;
    let mut client = Client::attach(&daemon, &call, "?listen=caller").await;
    client.event("answered").await;
    let served = serves_listeners(&daemon, &call).await;
    let out = dir.path().join("heard.wav");
    let name = out.to_str().unwrap().to_owned();
    let api = daemon.api.clone();
    let listened = tokio::spawn({
        let call = call.clone();
        async move { bellwire(&["listen", &call, "--out", &name, "--api", &api], Vec::new()).await }
    });
    if !served {
        let ran = listened.await.unwrap();
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(3), "{said}");
        assert!(said.contains("cannot be listened in on"), "{said}");
        return;
    }
    // A second of the caller, as its own client hears it.
    client.hear(32_000).await;
    client.hear(64_000).await;
    client.send(json!({ "type": "hangup" })).await;
    let ran = listened.await.unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let kept = ms_of(&read_wav(&out), 16_000, 1000.0);
    assert!(kept >= 500, "{kept} ms were listened to");
}

/// A program that takes calls and echoes sound; one connection after the other.
async fn echo_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/calls", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_binary() && socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_tried_and_the_exit_code_says_how_it_went() {
    let dir = TempDir::new().unwrap();
    let url = echo_server().await;
    let scenario = dir.path().join("echo.toml");
    let steps = "name = \"echo\"\nlimit = \"10s\"\n[stream]\nplayout = \"live\"\n\
        [[step]]\nsay = { tone = { hz = 700.0, lasts = \"1s\" } }\noverlap = true\n\
        [[step]]\nexpect = \"sound\"\nwithin = \"1s\"\nlasts = \"500ms\"\n\
        [[step]]\nexpect = \"silence\"\nwithin = \"2s\"\n";
    std::fs::write(&scenario, steps).unwrap();
    let record = dir.path().join("heard");
    let name = scenario.to_str().unwrap();
    let args = [
        "conformance",
        &url,
        "--scenario",
        name,
        "--scenario",
        "keys",
        "--record",
        record.to_str().unwrap(),
    ];
    let ran = bellwire(&args, Vec::new()).await;
    let report = text(&ran.stdout);
    assert!(ran.status.success(), "{report}\n{}", text(&ran.stderr));
    assert!(report.contains("PASS  echo") && report.contains("2 scenarios: 2 passed"), "{report}");
    let echoed = ms_of(&read_wav(&record.join("echo.wav")), 8000, 700.0);
    assert!((900..=1050).contains(&echoed), "{echoed} ms came back\n{report}");

    // An echo does not speak first.
    let ran =
        bellwire(&["conformance", &url, "--scenario", "greeting", "--json"], Vec::new()).await;
    let object: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((ran.status.code(), &object["passed"]), (Some(1), &json!(false)), "{object:#}");
    let ran = bellwire(&["conformance", "ws://127.0.0.1:1/"], Vec::new()).await;
    assert_eq!(ran.status.code(), Some(3), "{}", text(&ran.stderr));
    let ran = bellwire(&["conformance", &url, "--stream", "rate=7"], Vec::new()).await;
    assert_eq!(ran.status.code(), Some(2), "{}", text(&ran.stderr));
}
