//! What people try first: the bots of `examples/bot` in Python, JavaScript and Rust, each against
//! the real program and a phone (they echo, play a file, and let themselves be interrupted), and
//! the streams of the command line.
//!
//! What this machine cannot run is SKIPPED.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on must stop, and its sounds are short"
)]
#![allow(dead_code, reason = "the rig is shared with tests/daemon, and it uses all")]

mod attach;
#[path = "../daemon/client.rs"]
mod client;
#[path = "../daemon/rig.rs"]
mod rig;

use rig::{Daemon, NUMBER, Phone, read_wav, share_at, spoken_wav, tone_wav};
use serde_json::Value;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// How a bot is run: the program and what comes before its own arguments.
struct Bot(PathBuf, Vec<OsString>, Vec<(&'static str, &'static str)>);

fn source(name: &str) -> OsString {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bot").join(name).into()
}

fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn skipped(language: &str, why: &str) -> Option<Bot> {
    // Past the test harness, which keeps what `eprintln` says.
    let notice = format!("SKIPPED: the examples in {language}: {why} (make setup)");
    let _ = writeln!(std::io::stderr(), "{notice}");
    None
}

fn python() -> Option<Bot> {
    let able = |program: &&str| works(Command::new(program).args(["-c", "import websockets"]));
    let found = ["python3", "/usr/bin/python3"].into_iter().find(able);
    match found {
        Some(program) => Some(Bot(program.into(), vec![source("bot.py")], Vec::new())),
        None => skipped("Python", "python3 with websockets is not installed"),
    }
}

fn javascript() -> Option<Bot> {
    let modules = ("NODE_PATH", "/usr/share/nodejs");
    for flags in [&[][..], &["--experimental-websocket"], &["--no-warnings"]] {
        let test = "process.exit(globalThis.WebSocket || require('ws') ? 0 : 1)";
        let mut command = Command::new("node");
        if works(command.args(flags).args(["-e", test]).env(modules.0, modules.1)) {
            let mut before: Vec<OsString> = flags.iter().map(OsString::from).collect();
            before.push(source("bot.mjs"));
            return Some(Bot("node".into(), before, vec![modules]));
        }
    }
    skipped("JavaScript", "node with a WebSocket is not installed")
}

fn rust() -> Option<Bot> {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/bot");
    if program.exists() {
        return Some(Bot(program, Vec::new(), Vec::new()));
    }
    skipped("Rust", "the example is not built (cargo build --example bot)")
}

/// The languages that this machine has.
fn bots() -> Vec<(&'static str, Bot)> {
    let all = [("Python", python()), ("JavaScript", javascript()), ("Rust", rust())];
    all.into_iter().filter_map(|(name, bot)| Some((name, bot?))).collect()
}

impl Bot {
    /// Runs to its end; the events that it printed.
    async fn run(self, daemon: &Daemon, args: &[&str]) -> Vec<Value> {
        let Self(program, before, env) = self;
        let mut command = Command::new(program);
        command.args(before).args(["--api", &daemon.api, "--to", NUMBER]).args(args).envs(env);
        let ran = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
        let Output { status, stdout, stderr } = ran.await.unwrap().unwrap();
        let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{status}\n{out}\n{err}");
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Milliseconds of a recording in which this tone sounds.
fn ms_of(samples: &[i16], hz: f64) -> u64 {
    let sounds = |part: &&[i16]| {
        part.iter().any(|sample| sample.unsigned_abs() > 2000) && share_at(part, 8000, hz) > 0.8
    };
    samples.chunks_exact(80).filter(sounds).count() as u64 * 10
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_is_heard_by_who_speaks() {
    for (language, bot) in bots() {
        let dir = TempDir::new().unwrap();
        let music = tone_wav(dir.path(), "music.wav", 1000.0, 3.0);
        let heard = dir.path().join("heard.wav");
        let (play, record) = (music.to_str().unwrap(), heard.to_str().unwrap());
        let end = ["--hangup-after", "4s"];
        let phone =
            Phone::start(&["--ring", "0s", "--play", play, "--record", record, end[0], end[1]]);
        let daemon = Daemon::start(&phone.address, "").await;
        let events = bot.run(&daemon, &["echo"]).await;
        phone.wait_for("ended");
        assert_eq!(events.last().unwrap()["type"], "stop", "{language}");
        let echoed = ms_of(&read_wav(&heard), 1000.0);
        // An interpreter on a busy machine is late, and what is late is left out.
        assert!(echoed > 1500, "{language}: {echoed} ms came back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_played_to_its_end() {
    for (language, bot) in bots() {
        let dir = TempDir::new().unwrap();
        let story = tone_wav(dir.path(), "story.wav", 500.0, 2.0);
        let heard = dir.path().join("heard.wav");
        let phone = Phone::start(&["--ring", "0s", "--record", heard.to_str().unwrap()]);
        let daemon = Daemon::start(&phone.address, "").await;
        let events = bot.run(&daemon, &["play", story.to_str().unwrap()]).await;
        phone.wait_for("ended");
        let mark = events.iter().find(|event| event["type"] == "mark").unwrap();
        assert_eq!(
            (&mark["cleared"], &mark["played_ms"]),
            (&false.into(), &2000.into()),
            "{language}"
        );
        let played = ms_of(&read_wav(&heard), 500.0);
        assert!((1950..=2010).contains(&played), "{language}: {played} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_speaks_is_given_the_word() {
    for (language, bot) in bots() {
        let dir = TempDir::new().unwrap();
        let story = tone_wav(dir.path(), "story.wav", 500.0, 20.0);
        let words = "Stop please, that is enough for today, thank you.";
        let voice = spoken_wav(dir.path(), "voice.wav", words).await;
        let heard = dir.path().join("heard.wav");
        let at = format!("2s=play:{}", voice.display());
        let phone =
            Phone::start(&["--ring", "0s", "--at", &at, "--record", heard.to_str().unwrap()]);
        let daemon = Daemon::start(&phone.address, "").await;
        let events = bot.run(&daemon, &["interrupt", story.to_str().unwrap()]).await;
        phone.wait_for("ended");
        let of = |kind: &str, state: &str| {
            events.iter().find(|event| event["type"] == kind && event["state"] == state).cloned()
        };
        assert!(of("speech", "started").is_some(), "{language}: {events:#?}");
        let cleared = of("playback", "cleared").unwrap()["played_ms"].as_u64().unwrap();
        let played = ms_of(&read_wav(&heard), 500.0);
        assert!(played < 6000, "{language}: {played} ms were played");
        assert!(played.abs_diff(cleared) <= 40, "{language}: {played} ms heard, {cleared} ms told");
    }
}
