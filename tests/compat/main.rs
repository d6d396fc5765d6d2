//! The dialects with other people's clients: bots of Pipecat, with its own transports and
//! serializers, on a call.
//!
//! ```text
//!  phone ══ SIP, RTP ══ bellwire ══ WebSocket ══ relay ══ WebSocket ══ Pipecat bot (bot.py)
//! ```
//!
//! A bot written for Twilio, Telnyx, Plivo or Vonage is a server that the vendor dials. `relay`
//! stands between the two servers and passes every message on as it is. A bot that speaks
//! Pipecat's own frames dials us. The libraries come from PyPI (`setup.sh`, run by `make test`);
//! without them the tests pass and say SKIPPED.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on must stop, and its sounds are short"
)]
#![allow(dead_code, reason = "the rig is shared with tests/daemon, and it uses all")]

#[path = "../daemon/rig.rs"]
mod rig;

use futures_util::{SinkExt as _, StreamExt as _};
use rig::{Daemon, Phone, SOON, free_udp_port, read_wav, share_at, tone_wav};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// The interpreter of `setup.sh`, if its libraries could be had.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ready = root.join(".venv-compat/requirements.txt");
    let python = root.join(".venv-compat/bin/python");
    if ready.exists() && python.exists() {
        return Some(python);
    }
    eprintln!("SKIPPED: tests/compat: no .venv-compat; run tests/compat/setup.sh");
    None
}

/// A running bot; ended when dropped.
struct Bot {
    child: Child,
    lines: mpsc::Receiver<Value>,
}

impl Bot {
    fn start(args: &[&str]) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/bot.py");
        let mut child = Command::new(python()?)
            .arg(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line) {
                    let _ = sender.send(value);
                }
            }
        });
        Some(Self { child, lines })
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line of this event.
    fn wait_for(&self, event: &str) -> Value {
        let until = Instant::now() + 2 * SOON;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("the bot never said {event}"));
            if line["event"] == event {
                return line;
            }
        }
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes messages on between two servers until one of them closes.
async fn relay(ours: String, theirs: String) {
    let (mut ours, _) = connect_async(ours).await.unwrap();
    let until = Instant::now() + SOON;
    let mut theirs = loop {
        match connect_async(&theirs).await {
            Ok((socket, _)) => break socket,
            Err(error) => assert!(Instant::now() < until, "the bot does not serve: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    loop {
        let (from_us, message) = tokio::select! {
            message = ours.next() => (true, message),
            message = theirs.next() => (false, message),
        };
        let Some(Ok(message)) = message else { break };
        let passes = matches!(message, Message::Text(_) | Message::Binary(_));
        if message.is_close() {
            break;
        }
        if passes {
            let sent = if from_us { theirs.send(message).await } else { ours.send(message).await };
            if sent.is_err() {
                break;
            }
        }
    }
    let _ = ours.close(None).await;
    let _ = theirs.close(None).await;
    // The peers' own closes.
    while let Some(Ok(_)) = ours.next().await {}
}

/// A phone that answers, listens for two seconds, interrupts with a tone, and listens on.
fn phone(dir: &Path, heard: &Path, ring: &str) -> Phone {
    let word = tone_wav(dir, "word.wav", 500.0, 0.6);
    let interrupts = format!("spoken:2s=play:{}", word.display());
    let record = heard.to_str().unwrap();
    Phone::start(&["--ring", ring, "--record", record, "--at", &interrupts])
}

/// How long this tone sounds in all, in milliseconds.
fn length_of(heard: &[i16], hz: f64) -> usize {
    let is = |frame: &&[i16]| {
        let loud = frame.iter().any(|sample| sample.unsigned_abs() > 3000);
        loud && share_at(frame, 8000, hz) > 0.9
    };
    heard.chunks_exact(160).filter(is).count() * 20
}

/// What the far end heard of the bot: a greeting that was cut, and an answer.
fn check(heard: &Path, call: &Value) {
    let heard = read_wav(heard);
    let (greeting, answer) = (length_of(&heard, 1500.0), length_of(&heard, 700.0));
    // Two seconds until the phone speaks; the bot needs a moment to hear it. It had sent ten.
    assert!((1800..=3500).contains(&greeting), "{greeting} ms of the greeting");
    assert!((400..=540).contains(&answer), "{answer} ms of the answer");
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
}

async fn serve(kind: &str, mode: &str, query: &str) {
    let port = free_udp_port().to_string();
    let Some(bot) = Bot::start(&[mode, &port]) else { return };
    bot.wait_for("serving");
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = phone(dir.path(), &heard, "200ms");
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    daemon.wait_for(&id, "IN_PROGRESS").await;
    let host = daemon.api.trim_start_matches("http://");
    let ours = format!("ws://{host}/v1/calls/{id}/stream/{kind}{query}");
    let passing = tokio::spawn(relay(ours, format!("ws://127.0.0.1:{port}/ws")));
    let connected = bot.wait_for("connected");
    assert_eq!(connected["kind"], kind, "Pipecat knows its vendor by our messages");
    let tail = id.strip_prefix("call_").unwrap();
    let call_id = connected["call"]["call_id"].as_str().unwrap_or_default().replace('-', "");
    assert!(kind == "vonage" || call_id.ends_with(tail), "{connected}");
    if kind == "twilio" {
        assert_eq!(connected["call"]["to_number"], rig::NUMBER, "{connected}");
    }
    bot.wait_for("interrupted");
    bot.wait_for("ends");
    bot.wait_for("done");
    passing.await.unwrap();
    phone.wait_for("ended");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["stream"]["protocol"], kind, "{call:#}");
    check(&heard, &call);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_written_for_twilio_runs_unchanged() {
    serve("twilio", "serve", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_written_for_telnyx_runs_unchanged() {
    serve("telnyx", "serve", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_written_for_plivo_runs_unchanged() {
    serve("plivo", "serve", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_written_for_vonage_runs_unchanged() {
    serve("vonage", "serve-vonage", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_with_its_own_frames_dials_us() {
    let Some(mut bot) = Bot::start(&["dial"]) else { return };
    bot.wait_for("ready");
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    // Pipecat's client loses the sound that comes before its pipeline runs, and all behind it.
    let phone = phone(dir.path(), &heard, "4s");
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let host = daemon.api.trim_start_matches("http://");
    bot.tell(&format!("ws://{host}/v1/calls/{id}/stream/pipecat"));
    bot.wait_for("interrupted");
    bot.wait_for("ends");
    bot.wait_for("done");
    phone.wait_for("ended");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["stream"]["protocol"], "pipecat", "{call:#}");
    check(&heard, &call);
}
