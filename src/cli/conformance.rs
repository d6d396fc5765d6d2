//! `bellwire conformance`: tries a program that takes calls over a WebSocket, without a call.
//!
//! ```text
//!  scenario file ─> Script ─ deeds ─> Trial ─> Rehearsal (a call's own stream task)
//!                     ^                 │            ║ WebSocket, dialled by us
//!                     └──── beats ──────┘       the program
//! ```
//!
//! The gateway's side is the real one: its protocol, queue, marks, clears and ears. Owns arguments,
//! the shipped scenarios, dialling and the exit code.

mod report;
mod scenario;
mod script;
mod socket;
mod trial;

use super::{API, DONE, FAILED, USAGE, print};
use crate::app::stream::{SUBPROTOCOL, StreamOptions};
use crate::audio::rate::SampleRate;
use crate::audio::wav;
use crate::net::ws::{self, WsRequest};
use crate::speech::tts::{Tts, TtsSpec};
use clap::Args;
use scenario::Scenario;
use serde_json::{Map, Value};
use socket::Dialled;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trial::Outcome;

/// The largest scenario file.
const FILE_MAX: u64 = 256 * 1024;
/// How long the handshake may take.
const DIAL_WITHIN: Duration = Duration::from_secs(5);

/// The scenarios that come with the program, in the order in which they are played.
const SHIPPED: [(&str, &str); 7] = [
    ("steady", include_str!("../../conformance/steady.toml")),
    ("answer", include_str!("../../conformance/answer.toml")),
    ("greeting", include_str!("../../conformance/greeting.toml")),
    ("interrupt", include_str!("../../conformance/interrupt.toml")),
    ("decide", include_str!("../../conformance/decide.toml")),
    ("keys", include_str!("../../conformance/keys.toml")),
    ("hangup", include_str!("../../conformance/hangup.toml")),
];
/// Those of them that every program should pass.
const USUAL: [&str; 5] = ["steady", "answer", "interrupt", "keys", "hangup"];

/// Try your own WebSocket server: Bellwire dials it as for a call, and a made-up caller speaks.
///
/// Scenarios say what the caller does and what your program is to do: `docs/conformance.md`. The
/// report names each expectation, and of a failed scenario all messages.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    bellwire conformance ws://127.0.0.1:9000/calls\n  \
    bellwire conformance wss://bot.example.com/ws --scenario greeting --scenario my.toml\n  \
    bellwire conformance ws://127.0.0.1:9000 --all --json --record heard/\n  \
    bellwire conformance --list\n\n\
    Exit codes: 0 all scenarios passed, 1 one failed, 2 wrong arguments or a faulty scenario,\n\
    3 the server cannot be reached.")]
pub(super) struct ConformanceArgs {
    /// Where your program listens, ws:// or wss://.
    #[arg(value_name = "URL", required_unless_present = "list")]
    url: Option<String>,
    /// A shipped scenario by its name, or a file; may be given several times.
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Vec<String>,
    /// All shipped scenarios, also those that not every program can pass.
    #[arg(long, conflicts_with = "scenario")]
    all: bool,
    /// List the shipped scenarios.
    #[arg(long)]
    list: bool,
    /// Parameters of the stream as in docs/stream.md, e.g. `rate=8000&protocol=native`.
    #[arg(long, value_name = "QUERY", default_value = "")]
    stream: String,
    /// A file with a token that is sent as `Authorization: Bearer`.
    #[arg(long, value_name = "FILE")]
    bearer_file: Option<PathBuf>,
    /// A header field of the handshake; may be given several times.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Keep what the caller hears, a WAV file per scenario, in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    record: Option<PathBuf>,
    /// Show all messages, also of scenarios that passed.
    #[arg(long, short)]
    verbose: bool,
    /// One JSON object a line instead of the report.
    #[arg(long)]
    json: bool,
}

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// Arguments or scenarios.
    #[error("{0}")]
    Usage(String),
    /// The program is not there.
    #[error(transparent)]
    Unreachable(#[from] ws::WsError),
    /// Ours.
    #[error("{0}")]
    Failed(String),
}

/// Plays the scenarios and reports.
pub(super) fn run(args: &ConformanceArgs) -> u8 {
    if args.list {
        list();
        return DONE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(play_all(args, &mut |line| print::out(line))),
        Err(error) => Err(Fault::Failed(error.to_string())),
    };
    match done {
        Ok(true) => DONE,
        Ok(false) => FAILED,
        Err(fault) => {
            print::err(format!("bellwire conformance: {fault}"));
            match fault {
                Fault::Usage(_) => USAGE,
                Fault::Unreachable(_) => API,
                Fault::Failed(_) => FAILED,
            }
        }
    }
}

fn list() {
    for (name, text) in SHIPPED {
        let about = Scenario::read("toml", text).map(|scenario| scenario.about);
        let usual = if USUAL.contains(&name) { " " } else { "*" };
        print::out(format!("{usual} {name:<10} {}", about.unwrap_or_default()));
    }
    print::out("\n* not part of a run without --scenario: not every program can pass it (--all)");
}

/// One scenario, and where its files are.
struct Chosen {
    scenario: Scenario,
    directory: PathBuf,
}

async fn play_all(args: &ConformanceArgs, say: &mut dyn FnMut(String)) -> Result<bool, Fault> {
    let chosen = choose(args)?;
    let request = request(args)?;
    let voices = built_in_voices();
    let mut passed = 0;
    for Chosen { scenario, directory } in &chosen {
        let options = options(&args.stream, &scenario.stream)?;
        let sounds = trial::voices(scenario, directory, &voices).await;
        let sounds = sounds.map_err(|what| Fault::Usage(format!("{}: {what}", scenario.name)))?;
        let (sender, receiver) = ws::connect(&request).await?;
        let socket = Dialled::new(sender, receiver);
        let outcome = trial::run(scenario, sounds, options, socket).await;
        let outcome = outcome.map_err(|error| Fault::Failed(error.to_string()))?;
        passed += usize::from(outcome.passed());
        say(if args.json {
            report::object(&scenario.name, &outcome).to_string()
        } else {
            report::text(&scenario.name, &scenario.about, &outcome, args.verbose)
        });
        if let Some(directory) = &args.record {
            record(directory, &scenario.name, &outcome)?;
        }
    }
    if !args.json {
        say(report::sum(passed, chosen.len()));
    }
    Ok(passed == chosen.len())
}

/// The built-in voices, as the gateway has them.
fn built_in_voices() -> Tts {
    Tts::start(TtsSpec::built_in(std::env::temp_dir().join("bellwire-voices")))
}

fn choose(args: &ConformanceArgs) -> Result<Vec<Chosen>, Fault> {
    let names: Vec<&str> = match (args.all, args.scenario.is_empty()) {
        (true, _) => SHIPPED.iter().map(|(name, _)| *name).collect(),
        (false, true) => USUAL.to_vec(),
        (false, false) => args.scenario.iter().map(String::as_str).collect(),
    };
    names.into_iter().map(load).collect()
}

/// A shipped scenario, or one from a file.
fn load(name: &str) -> Result<Chosen, Fault> {
    let usage = |what: String| Fault::Usage(format!("{name}: {what}"));
    if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        let scenario = Scenario::read("toml", text).map_err(usage)?;
        return Ok(Chosen { scenario, directory: PathBuf::new() });
    }
    let path = Path::new(name);
    let size = std::fs::metadata(path).map(|metadata| metadata.len());
    if size.map_err(|error| usage(format!("{error} (--list names those that are shipped)")))?
        > FILE_MAX
    {
        return Err(usage("the file is too large".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    let scenario = Scenario::read(name, &text).map_err(usage)?;
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Chosen { scenario, directory })
}

fn request(args: &ConformanceArgs) -> Result<WsRequest, Fault> {
    let url = args.url.as_deref().unwrap_or_default();
    if !url.starts_with("ws://") && !url.starts_with("wss://") {
        return Err(Fault::Usage(format!("{url}: use a ws:// or wss:// URL")));
    }
    let mut request = WsRequest { within: DIAL_WITHIN, ..WsRequest::new(url) };
    if let Some(file) = &args.bearer_file {
        let token = std::fs::read_to_string(file)
            .map_err(|error| Fault::Usage(format!("{}: {error}", file.display())))?;
        request = request.with_header("Authorization", &format!("Bearer {}", token.trim()));
    }
    for field in &args.header {
        let (name, value) = field
            .split_once(':')
            .ok_or_else(|| Fault::Usage(format!("--header {field}: NAME: VALUE")))?;
        request = request.with_header(name.trim(), value.trim());
    }
    Ok(request)
}

/// What the stream is asked for: the command line first, then the scenario.
fn options(line: &str, scenario: &Map<String, Value>) -> Result<StreamOptions, Fault> {
    let mut pairs: Vec<(String, String)> = line
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in scenario {
        if pairs.iter().all(|(known, _)| known != name) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            pairs.push((name.clone(), value));
        }
    }
    // What is dialled speaks the full protocol unless it is told otherwise, as for real calls.
    let dialect = pairs.iter().any(|(name, _)| name == "protocol");
    let offered: &[&str] = if dialect { &[] } else { &[SUBPROTOCOL] };
    let options = StreamOptions::from_query(&pairs, offered);
    options.map_err(|problem| Fault::Usage(problem.to_string()))
}

fn record(directory: &Path, name: &str, outcome: &Outcome) -> Result<(), Fault> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let file = directory.join(format!("{}.wav", name.chars().map(plain).collect::<String>()));
    let written = wav::encode(&outcome.heard, SampleRate::HZ_8000).and_then(|bytes| {
        std::fs::create_dir_all(directory)?;
        std::fs::write(&file, bytes)
    });
    written.map_err(|error| Fault::Failed(format!("{}: {error}", file.display())))
}

#[cfg(test)]
mod tests;
