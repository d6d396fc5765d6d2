//! `make load`: that many calls at once on this machine, and what each of them costs.
//!
//! ```text
//!  load ── REST, one WebSocket per call ──> bellwire serve ══ SIP, RTP ══> load
//! ```
//!
//! Starts the gateway as a program of its own, is its user and its carrier, and judges every
//! packet: numbers, times, sound, and by the kernel's receive time stamps its pacing. Everything
//! stays on 127.0.0.1. The exit code is 1 when a call failed or a packet's number or time jumped.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts are bounded by the arguments; numbers and times of RTP wrap as they should"
)]

mod api;
mod callee;
mod cores;
mod daemon;
mod floor;
mod lines;
mod pattern;
mod report;
mod rtp;
mod stamps;
mod suite;
mod system;
mod websocket;

use anyhow::{Context as _, Result, ensure};
use api::{Api, Kind};
use callee::Callee;
use clap::{Parser, ValueEnum};
use daemon::Daemon;
use floor::Mover;
use lines::{Order, Outcomes, Shape, Shared};
use report::{Judged, Report};
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};
use system::Sample;
use tokio::task::JoinSet;

/// Puts the gateway under load and tells what it cost.
#[derive(Parser)]
struct Arguments {
    /// Calls at once.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=3000))]
    calls: u64,
    /// Length of the measurement, after all calls are up.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// What kind of calls.
    #[arg(long, value_enum, default_value_t = CallKind::Stream)]
    kind: CallKind,
    /// Length of a stream's messages, both ways.
    #[arg(long, default_value = "20", value_parser = ["20", "40", "60"])]
    frame_ms: String,
    /// How much sound a stream's client sends ahead, as a speech engine would.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=2000))]
    ahead_ms: u64,
    /// Calls that begin in a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    cps: u64,
    /// What the gateway's media threads receive and send with.
    #[arg(long, value_enum, default_value_t = Wanted::Auto)]
    backend: Wanted,
    /// Keeps the generator's core busy with a loop.
    #[arg(long)]
    busy: bool,
    /// Runs all that belongs into the report, with the floor beside it; takes no other argument.
    #[arg(long, exclusive = true)]
    suite: bool,
    /// Prints one JSON object in place of the table.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// What the gateway takes by itself.
    Auto,
    /// One system call a packet.
    Epoll,
    /// One system call a beat.
    #[value(name = "io_uring")]
    IoUring,
}

impl Wanted {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Epoll => "epoll",
            Self::IoUring => "io_uring",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CallKind {
    /// DYNAMIC_STREAM: audio both ways over a WebSocket per call.
    Stream,
    /// FIXED_AUDIO: a file in a loop.
    Prompt,
    /// No gateway: a bare mover of packets in its place, to compare with.
    Floor,
    /// The same without clients.
    FloorPrompt,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    if std::env::args().nth(1).is_some_and(|first| first == floor::ARGUMENT) {
        return floor::run().map(|()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    let runner = cores::divide();
    if arguments.suite {
        let bad = suite::run(&runner).await?;
        return Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let report = run(&arguments, &runner).await?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(out, "{}", report.table())?;
    }
    Ok(if report.is_bad() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The calls of a run: each line's call id, or why there is none.
type Calls = Vec<Result<String, String>>;

/// One run; what is measured is started with the words of `runner`.
async fn run(arguments: &Arguments, runner: &[String]) -> Result<Report> {
    let calls = usize::try_from(arguments.calls)?;
    system::raise_descriptors(calls)?;
    let stream = arguments.kind.has_clients();
    let frame_ms: usize = arguments.frame_ms.parse()?;
    ensure!(!arguments.kind.is_floor() || frame_ms == 20, "the floor has 20 ms frames");
    let ahead_ms = usize::try_from(arguments.ahead_ms)?;
    let shape = Shape { lines: calls, stream, frame_ms, ahead_ms };

    let dir = tempfile::tempdir()?;
    let carrier = UdpSocket::bind("127.0.0.1:0")?;
    let mut subject = Subject::start(arguments, runner, dir.path(), &carrier).await?;
    let far = FarEnd::start(shape, carrier)?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = Sample::take(subject.pid())?;
    let made = ramp(&subject, arguments, &far).await;
    wait_for_talk(calls, &mut subject, &far).await?;
    let busy_loop = arguments.busy.then(cores::BusyLoop::start);
    let mut report = Report {
        kind: arguments.kind.name(),
        backend: arguments.backend.as_str(),
        busy: arguments.busy,
        frame_ms,
        calls,
        ..Report::default()
    };
    measure(arguments, &mut subject, &far, &idle, &mut report).await?;
    drop(busy_loop);
    let ended = end_all(&subject, arguments, &made).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let outcomes = far.stop()?;
    for complaint in subject.complaints() {
        report.complain(&complaint);
    }
    subject.stop().await?;

    let judged: Vec<Judged<'_>> = outcomes
        .lines
        .iter()
        .zip(&ended)
        .map(|(outcome, call)| Judged { outcome: outcome.as_ref(), call })
        .collect();
    report.judge(&judged, &outcomes);
    Ok(report)
}

impl CallKind {
    fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Prompt => "prompt",
            Self::Floor => "floor",
            Self::FloorPrompt => "floor prompt",
        }
    }

    fn is_floor(self) -> bool {
        matches!(self, Self::Floor | Self::FloorPrompt)
    }

    fn has_clients(self) -> bool {
        matches!(self, Self::Stream | Self::Floor)
    }
}

/// What is measured.
enum Subject {
    Gateway { daemon: Daemon, api: Api, kind: Kind },
    Floor(Mover),
}

impl Subject {
    async fn start(
        arguments: &Arguments,
        runner: &[String],
        dir: &Path,
        carrier: &UdpSocket,
    ) -> Result<Self> {
        let kind = match arguments.kind {
            CallKind::Floor | CallKind::FloorPrompt => {
                return Ok(Self::Floor(Mover::start(runner)?));
            }
            CallKind::Stream => Kind::Stream { frame_ms: arguments.frame_ms.parse()? },
            CallKind::Prompt => Kind::Prompt { base64: api::prompt() },
        };
        let carrier = carrier.local_addr()?.to_string();
        let backend = format!("BELLWIRE__RTP__BACKEND={}", arguments.backend.as_str());
        let mut words = vec!["env", &backend];
        words.extend(runner.iter().map(String::as_str));
        let calls = usize::try_from(arguments.calls)?;
        let mut daemon = Daemon::start_with(dir, &carrier, calls, "", &words)?;
        let api = Api::new(&daemon);
        api.wait_until_ready(&mut daemon).await?;
        daemon.turn_page();
        Ok(Self::Gateway { daemon, api, kind })
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Gateway { daemon, .. } => daemon.pid(),
            Self::Floor(mover) => mover.pid(),
        }
    }

    /// Fails when it is not running any more.
    fn check(&mut self) -> Result<()> {
        match self {
            Self::Gateway { daemon, .. } => daemon.check(),
            Self::Floor(mover) => mover.check(),
        }
    }

    fn complaints(&self) -> Vec<String> {
        match self {
            Self::Gateway { daemon, .. } => daemon.complaints(),
            Self::Floor(_) => Vec::new(),
        }
    }

    async fn metrics(&self) -> Result<String> {
        match self {
            Self::Gateway { api, .. } => api.metrics().await,
            Self::Floor(_) => Ok(String::new()),
        }
    }

    async fn stop(self) -> Result<()> {
        match self {
            Self::Gateway { daemon, .. } => daemon.stop().await,
            Self::Floor(_) => Ok(()),
        }
    }
}

/// The threads of the other ends.
struct FarEnd {
    shared: Arc<Shared>,
    orders: Sender<Order>,
    callee: std::thread::JoinHandle<()>,
    lines: std::thread::JoinHandle<Outcomes>,
}

impl FarEnd {
    fn start(shape: Shape, carrier: UdpSocket) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        // As many orders as there are calls and their ends; the thread takes them every 1 ms.
        let (orders, taken) = mpsc::channel();
        let callee = Callee::new(carrier, shape.lines, orders.clone())?;
        let told = Arc::clone(&shared);
        let callee =
            std::thread::Builder::new().name("callee".into()).spawn(move || callee.run(&told))?;
        let told = Arc::clone(&shared);
        let lines = std::thread::Builder::new().name("lines".into()).spawn(move || {
            bellwire::net::epoll::sharpen_timers();
            lines::run(shape, &taken, &told)
        })?;
        Ok(Self { shared, orders, callee, lines })
    }

    fn talking(&self) -> usize {
        self.shared.talking.load(Ordering::Relaxed)
    }

    fn stop(self) -> Result<Outcomes> {
        self.shared.stop.store(true, Ordering::Relaxed);
        // A thread that panicked has said so.
        self.callee.join().ok().context("the callee's thread failed")?;
        self.lines.join().ok().context("the lines' thread failed")
    }
}

/// One line of progress on standard error, written over on a terminal.
fn progress(text: &str) {
    let mut out = std::io::stderr().lock();
    // Nobody to tell is no reason to stop.
    let _ = if out.is_terminal() { write!(out, "\r{text:<78}") } else { writeln!(out, "{text}") };
    let _ = out.flush();
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        progress("");
        let _ = write!(std::io::stderr(), "\r");
    }
}

/// Makes all calls at the wanted rate.
async fn ramp(subject: &Subject, arguments: &Arguments, far: &FarEnd) -> Calls {
    let calls = arguments.calls as usize;
    let mut made: Calls = vec![Err("the call was not made".to_owned()); calls];
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for (line, made) in made.iter_mut().enumerate() {
        let due = begun + Duration::from_secs(line as u64) / arguments.cps as u32;
        tokio::time::sleep_until(due.into()).await;
        let orders = far.orders.clone();
        match subject {
            Subject::Gateway { api, kind, .. } => {
                let (api, kind) = (api.clone(), kind.clone());
                tasks.spawn(async move { (line, api.call(line, &kind, &orders).await) });
            }
            Subject::Floor(mover) => {
                let stream = arguments.kind.has_clients();
                *made = mover.open(line, stream, &orders).map(|()| String::new()).map_err(words);
            }
        }
        if line % arguments.cps as usize == 0 {
            progress(&format!("ramp: {line} of {calls} calls made, {} talk", far.talking()));
        }
    }
    while let Some(joined) = tasks.join_next().await {
        if let Ok((line, result)) = joined {
            made[line] = result.map_err(words);
        }
    }
    made
}

/// Waits until every call carries sound, or tells how many do not.
async fn wait_for_talk(calls: usize, subject: &mut Subject, far: &FarEnd) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(15);
    while far.talking() < calls && Instant::now() < until {
        subject.check()?;
        progress(&format!("{} of {calls} calls talk", far.talking()));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    ensure!(far.talking() > 0, "no call carries sound:\n{}", subject.complaints().join("\n"));
    // What begins together settles: first frames, caches, the last requests.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// Lets the calls talk, and takes the system's samples around it.
async fn measure(
    arguments: &Arguments,
    subject: &mut Subject,
    far: &FarEnd,
    idle: &Sample,
    report: &mut Report,
) -> Result<()> {
    let before = subject.metrics().await?;
    far.shared.measuring.store(true, Ordering::Relaxed);
    let first = Sample::take(subject.pid())?;
    for left in (1..=arguments.seconds).rev() {
        let ended = far.shared.ended.load(Ordering::Relaxed);
        progress(&format!("measuring: {} calls talk, {ended} ended, {left} s left", far.talking()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        subject.check()?;
    }
    let last = Sample::take(subject.pid())?;
    far.shared.measuring.store(false, Ordering::Relaxed);
    let after = subject.metrics().await?;
    report.tick_late = report::tick_late(&before, &after);
    report.account(idle, &last, &last.since(&first));
    Ok(())
}

/// Ends all calls and gives their objects.
async fn end_all(
    subject: &Subject,
    arguments: &Arguments,
    made: &Calls,
) -> Vec<Result<Value, String>> {
    let Subject::Gateway { api, .. } = subject else {
        let over = |line: &Result<String, String>| line.clone().map(|_| report::no_object());
        return made.iter().map(over).collect();
    };
    let mut ended = Vec::with_capacity(made.len());
    let pause = Duration::from_secs(1) / (2 * arguments.cps as u32);
    let mut deleted = Vec::with_capacity(made.len());
    for (line, id) in made.iter().enumerate() {
        deleted.push(match id {
            Ok(id) => api.end(id).await.map_err(words),
            Err(_) => Ok(()),
        });
        if line % arguments.cps as usize == 0 {
            progress(&format!("ending: {line} of {} calls", made.len()));
        }
        tokio::time::sleep(pause).await;
    }
    for (id, deleted) in made.iter().zip(deleted) {
        ended.push(match (id, deleted) {
            (Ok(id), Ok(())) => api.ended(id).await.map_err(words),
            (Err(error), _) => Err(error.clone()),
            (Ok(_), Err(error)) => Err(error),
        });
    }
    clear_progress();
    ended
}

/// An error and its causes.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
fn words(error: anyhow::Error) -> String {
    format!("{error:#}")
}
