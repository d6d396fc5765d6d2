//! The dialects with other people's clients: bots of Pipecat, with its own transports and
//! serializers, on a call.
//!
//! ```text
//!  phone ══ SIP, RTP ══ bellwire ══ WebSocket ══ Pipecat bot (bot.py)
//!                          └─<── REST: hang up ────┘
//! ```
//!
//! A bot written for Twilio, Telnyx, Plivo or Vonage is a server that the gateway dials as the
//! vendor would: for Twilio from a TwiML document, by a call of Twilio's REST. Those whose serializers
//! hang up by REST do it: the vendors' addresses stand in Pipecat's code, and `rerouted.py` has them
//! lead to the gateway. A bot that speaks Pipecat's own frames is a server, too, or dials us. The
//! libraries come from PyPI (`setup.sh`, run by `make test`); without them the tests pass and say
//! SKIPPED.

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

use rig::{Daemon, Phone, SOON, free_udp_port, read_wav, share_at, tone_wav};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const TOKEN: &str = "a-token";

/// The secret of the daemon's key, which is what a bot has for Telnyx's.
const KEY: &str = "abc";

/// What the daemon's file needs beside the usual.
const COMPAT: &str = "[webhook]\nallow_private = true\n\
    [compat]\ntwilio = true\ntelnyx = true\nplivo = true\n\
    [[compat.account]]\nsid = \"AC0123456789abcdef0123456789abcdef\"\n\
    auth_token = \"a-token\"\ninstance = \"inst_demo\"\n\
    [[api.key]]\nname = \"bots\"\ninstances = [\"*\"]\n\
    secret_sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n";

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
    /// One whose vendor's REST is at `rest`.
    fn start(rest: &str, args: &[&str]) -> Option<Self> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat");
        let mut child = Command::new(python()?)
            .arg(dir.join("rerouted.py"))
            .arg(rest)
            .arg(dir.join("bot.py"))
            .args(args)
            .envs([("TWILIO_ACCOUNT_SID", ACCOUNT), ("TWILIO_AUTH_TOKEN", TOKEN)])
            .envs([("PLIVO_AUTH_ID", ACCOUNT), ("PLIVO_AUTH_TOKEN", TOKEN)])
            .env("TELNYX_API_KEY", KEY)
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

/// A phone that answers, listens for two seconds, interrupts with a tone, and listens on.
fn phone(dir: &Path, heard: &Path, ring: &str) -> Phone {
    let word = tone_wav(dir, "word.wav", 500.0, 0.6);
    let interrupts = format!("spoken:2s=play:{}", word.display());
    let record = heard.to_str().unwrap();
    Phone::start(&["--ring", ring, "--record", record, "--at", &interrupts])
}

/// Where this tone sounds: the ends of the frames of 20 ms that have it, in samples.
fn frames_of(heard: &[i16], hz: f64) -> Vec<usize> {
    let is = |frame: &[i16]| {
        let loud = frame.iter().any(|sample| sample.unsigned_abs() > 3000);
        loud && share_at(frame, 8000, hz) > 0.9
    };
    let frames = heard.chunks_exact(160).enumerate();
    frames.filter(|(_, frame)| is(frame)).map(|(number, _)| (number + 1) * 160).collect()
}

/// What the far end heard of the bot: a greeting that was cut, and an answer.
fn check(heard: &Path) {
    let heard = read_wav(heard);
    let (greeting, answer) = (frames_of(&heard, 1500.0), frames_of(&heard, 700.0));
    assert!(!greeting.is_empty() && answer.len() >= 5, "{greeting:?}, then {answer:?}");
    let cut = greeting[greeting.len() - 1];
    assert!(cut <= answer[0], "{cut}, then {answer:?}");
    // Two seconds until the phone speaks; the bot needs a moment to hear it. It had sent ten.
    let spoken = greeting.len() * 20;
    assert!((1700..=3500).contains(&spoken), "{spoken} ms of the greeting");
    // Pipecat has no lead: when its machine is busy there are gaps, but nothing is missing. A sine
    // of 10000 is above 2000 for 87 % of the time.
    let behind = heard[cut + 800..].iter();
    let loud = behind.filter(|sample| sample.unsigned_abs() > 2000).count() * 100 / 87 / 8;
    assert!((450..=580).contains(&loud), "{loud} ms of the answer");
}

/// Makes a call whose stream is dialled in the vendor's words; gives our id.
async fn place(daemon: &Daemon, kind: &str, url: &str) -> String {
    if kind != "twilio" {
        return daemon
            .create("DYNAMIC_STREAM", "stream", json!({ "url": url, "protocol": kind }))
            .await;
    }
    let twiml = format!("<Response><Connect><Stream url=\"{url}\"/></Connect></Response>");
    let fields = [("To", rig::NUMBER), ("From", "+15550100"), ("Twiml", &twiml)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let asked = daemon
        .request("POST", &format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json"))
        .basic_auth(ACCOUNT, Some(TOKEN))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(bellwire::twiml::form::encode(&fields));
    let made: Value = asked.send().await.unwrap().json().await.unwrap();
    let sid = made["sid"].as_str().unwrap_or_else(|| panic!("{made:#}"));
    bellwire::twiml::sid::call_of(sid).unwrap().to_string()
}

/// A whole call with a bot that is a server; gives its record, and what the bot asked by REST.
async fn serve(kind: &str, mode: &str, hangs_up: bool) -> Option<(Value, Option<String>)> {
    let port = free_udp_port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let phone = phone(dir.path(), &heard, "200ms");
    let mut daemon = Daemon::start(&phone.address, COMPAT).await;
    daemon.sign_in(KEY);
    let bot = Bot::start(&daemon.api, &[mode, &port])?;
    let until = Instant::now() + SOON;
    while TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err() {
        assert!(Instant::now() < until, "the bot does not serve");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let id = place(&daemon, kind, &format!("ws://127.0.0.1:{port}/ws")).await;
    let connected = bot.wait_for("connected");
    assert_eq!(connected["kind"], kind, "Pipecat knows its vendor by our messages");
    let tail = id.strip_prefix("call_").unwrap();
    let call_id = connected["call"]["call_id"].as_str().unwrap_or_default().replace('-', "");
    assert!(["vonage", "pipecat"].contains(&kind) || call_id.ends_with(tail), "{connected}");
    if kind == "twilio" {
        assert_eq!(connected["call"]["to_number"], rig::NUMBER, "{connected}");
    }
    bot.wait_for("interrupted");
    bot.wait_for("ends");
    let asked = hangs_up.then(|| {
        let rest = bot.wait_for("rest");
        assert!([200, 204].map(Value::from).contains(&rest["status"]), "{rest}");
        rest["request"].as_str().unwrap().to_owned()
    });
    bot.wait_for("done");
    phone.wait_for("ended");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["stream"]["protocol"], kind, "{call:#}");
    check(&heard);
    Some((call, asked))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_written_for_twilio_runs_unchanged() {
    let Some((call, asked)) = serve("twilio", "serve", true).await else { return };
    let sid = call["id"].as_str().unwrap().replace("call_", "CA");
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{sid}.json");
    assert_eq!(asked.unwrap(), format!("POST https://api.twilio.com{path}"));
    assert_eq!(call["end_reason"], "terminated_by_api", "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_written_for_telnyx_runs_unchanged() {
    let Some((call, asked)) = serve("telnyx", "serve", true).await else { return };
    let control = call["id"].as_str().unwrap().replace("call_", "v3:");
    let url = format!("https://api.telnyx.com/v2/calls/{control}/actions/hangup");
    assert_eq!(asked.unwrap(), format!("POST {url}"));
    assert_eq!(call["end_reason"], "terminated_by_api", "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_written_for_plivo_runs_unchanged() {
    let Some((call, asked)) = serve("plivo", "serve", true).await else { return };
    let account = format!("DELETE https://api.plivo.com/v1/Account/{ACCOUNT}/Call/");
    let asked = asked.unwrap();
    assert!(asked.starts_with(&account), "{asked}");
    assert_eq!(call["end_reason"], "terminated_by_api", "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_written_for_vonage_runs_unchanged() {
    let Some((call, _)) = serve("vonage", "serve-vonage", false).await else { return };
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_with_its_own_frames_is_dialled() {
    let Some((call, _)) = serve("pipecat", "serve-pipecat", false).await else { return };
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipecat_bot_with_its_own_frames_dials_us() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    // Pipecat's client loses the sound that comes before its pipeline runs, and all behind it.
    let phone = phone(dir.path(), &heard, "4s");
    let daemon = Daemon::start(&phone.address, "").await;
    let Some(mut bot) = Bot::start(&daemon.api, &["dial"]) else { return };
    bot.wait_for("ready");
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let host = daemon.api.trim_start_matches("http://");
    // It begins to speak before the answer, and Pipecat's client, other than its servers, never
    // writes an interruption: what it has sent ahead cannot be taken back.
    bot.tell(&format!("ws://{host}/v1/calls/{id}/stream/pipecat?playout=live"));
    bot.wait_for("interrupted");
    bot.wait_for("ends");
    bot.wait_for("done");
    phone.wait_for("ended");
    let call = daemon.wait_for_end(&id).await;
    assert_eq!(call["stream"]["protocol"], "pipecat", "{call:#}");
    assert_eq!(call["status"], "COMPLETED", "{call:#}");
    check(&heard);
}
