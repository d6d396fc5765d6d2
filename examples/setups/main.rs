//! `make setups`: how many calls a second the gateway sets up, and what each of them costs.
//!
//! ```text
//!  sipp (one core) ── INVITE, 200, ACK, BYE, 200 ──> bellwire serve, or sipp -sn uas (another core)
//! ```
//!
//! For each rate it starts the gateway afresh, lets SIPp call it with `tests/sipp/uac_setup.xml`, and
//! reads the processor time of the gateway's process: media set-up and the row in the database are
//! in it. The same is done to SIPp as callee, which has neither, on the same core: a yardstick for
//! the machine. Everything stays on 127.0.0.1. The exit code is 1 when more than 0.1 % failed.

#![expect(clippy::cast_precision_loss, reason = "counts are bounded by the arguments")]

#[allow(dead_code, reason = "shared with the example `load`, which uses all of it")]
#[path = "../load/daemon.rs"]
mod daemon;
#[allow(dead_code, reason = "shared with the example `load`, which uses all of it")]
#[path = "../load/system.rs"]
mod system;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use daemon::Daemon;
use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use system::Sample;

/// The set-ups of one run, at most: what the gateway has room for.
const CALLS_MAX: u32 = 60_000;

/// A route that answers, with silence.
const ANSWER: &str = "
        [[route]]
        to = \"^answer$\"
        instance = \"inst_load\"
        action = \"answer\"
";

/// Sets calls up at rising rates and tells what they cost.
#[derive(Parser)]
struct Arguments {
    /// Set-ups a second, one run each.
    #[arg(long, value_delimiter = ',', default_value = "250,500,1000,2000")]
    rates: Vec<u32>,
    /// Length of each run.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// The core of who is measured.
    #[arg(long, default_value_t = 0)]
    core: u32,
    /// The core of the caller.
    #[arg(long, default_value_t = 1)]
    caller_core: u32,
}

/// What a run showed.
struct Run {
    calls: u64,
    failed: u64,
    retransmissions: u64,
    /// Mean time from INVITE to 200, as the caller sees it.
    answer_ms: f64,
    /// Processor seconds of who was called, and of it those of media threads.
    cpu: f64,
    media_cpu: f64,
    seconds: f64,
}

impl Run {
    fn cycle_ms(&self) -> f64 {
        self.cpu * 1000.0 / self.calls.max(1) as f64
    }

    fn failed_percent(&self) -> f64 {
        self.failed as f64 * 100.0 / (self.calls + self.failed).max(1) as f64
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "  rate  callee     set-ups  failed  repeated  answer (mean)   CPU of a core  CPU per set-up"
    )?;
    let mut bad = false;
    for rate in &arguments.rates {
        let gateway = measure_gateway(&arguments, *rate).await?;
        let sipp = measure_sipp(&arguments, *rate)?;
        for (name, run) in [("bellwire", &gateway), ("sipp uas", &sipp)] {
            writeln!(
                out,
                "{rate:>6}  {name:<9} {:>8} {:>6.2} % {:>8}  {:>11.1} ms {:>11.1} %  {:>11.3} ms{}",
                run.calls,
                run.failed_percent(),
                run.retransmissions,
                run.answer_ms,
                run.cpu * 100.0 / run.seconds,
                run.cycle_ms(),
                if run.media_cpu > 0.0 {
                    format!(" ({:.3} media threads)", run.media_cpu * 1000.0 / run.calls as f64)
                } else {
                    String::new()
                },
            )?;
        }
        writeln!(out, "{rate:>6}  ratio {:.1}", gateway.cycle_ms() / sipp.cycle_ms())?;
        bad |= gateway.failed_percent() > 0.1;
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure_gateway(arguments: &Arguments, rate: u32) -> Result<Run> {
    let dir = tempfile::tempdir()?;
    let core = arguments.core.to_string();
    let runner = ["taskset", "-c", &core];
    let room = usize::try_from(rate)? * 8;
    let mut daemon = Daemon::start_with(dir.path(), "127.0.0.1:9", room, ANSWER, &runner)?;
    let until = Instant::now() + Duration::from_secs(15);
    while TcpStream::connect(&daemon.addresses.admin).is_err() {
        daemon.check()?;
        ensure!(Instant::now() < until, "the gateway does not become ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.turn_page();
    let target = daemon.addresses.sip.clone();
    let run = call(arguments, rate, &target, daemon.pid(), dir.path())?;
    for complaint in daemon.complaints().iter().take(5) {
        writeln!(std::io::stderr(), "{complaint}")?;
    }
    // Calls whose callers have given up hold a drain up; that is no matter here.
    if let Err(error) = daemon.stop().await {
        writeln!(std::io::stderr(), "{error}")?;
    }
    Ok(run)
}

fn measure_sipp(arguments: &Arguments, rate: u32) -> Result<Run> {
    let dir = tempfile::tempdir()?;
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let callee = sipp(arguments.core, dir.path())
        .args(["-sn", "uas", "-i", "127.0.0.1", "-p", &port.to_string(), "-nostdin"])
        .spawn()
        .context("sipp is not installed; run `make setup`")?;
    let callee = Ended(callee);
    // It has no way to say that it listens; SIPp's caller repeats what came too early.
    std::thread::park_timeout(Duration::from_millis(500));
    call(arguments, rate, &format!("127.0.0.1:{port}"), callee.0.id(), dir.path())
}

/// SIPp on one core.
fn sipp(core: u32, dir: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), "sipp"]).current_dir(dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Calls `target` at a rate, and reads what it cost the process `pid`.
fn call(arguments: &Arguments, rate: u32, target: &str, pid: u32, dir: &Path) -> Result<Run> {
    let calls = rate.saturating_mul(arguments.seconds).min(CALLS_MAX);
    let scenario = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sipp/uac_setup.xml");
    let figures = dir.join("figures.csv");
    let first = Sample::take(pid)?;
    let status = sipp(arguments.caller_core, dir)
        .arg("-sf")
        .arg(scenario)
        .args(["-s", "answer", "-i", "127.0.0.1", "-nostdin", "-l", "20000"])
        .args(["-m", &calls.to_string(), "-r", &rate.to_string()])
        .args(["-timeout", "90s", "-trace_stat", "-fd", "1", "-stf"])
        .arg(&figures)
        .arg(target)
        .status()
        .context("sipp is not installed; run `make setup`")?;
    let last = Sample::take(pid)?;
    // 1: some calls failed; that is what is counted.
    ensure!(matches!(status.code(), Some(0 | 1 | 97)), "sipp ended with {status}");
    let used = last.since(&first);
    let csv = std::fs::read_to_string(&figures)?;
    let number = |name: &str| figure(&csv, name).and_then(|text| text.parse().ok());
    Ok(Run {
        calls: number("SuccessfulCall(C)").context("no figures of SIPp")?,
        failed: number("FailedCall(C)").context("no figures of SIPp")?,
        retransmissions: number("Retransmissions(C)").context("no figures of SIPp")?,
        answer_ms: figure(&csv, "ResponseTime1(C)").and_then(milliseconds).unwrap_or_default(),
        cpu: used.daemon * used.seconds,
        media_cpu: used.media_threads * used.seconds,
        seconds: used.seconds,
    })
}

/// The last value of a column of SIPp's statistics.
fn figure<'a>(csv: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = csv.lines();
    let column = lines.next()?.split(';').position(|column| column == name)?;
    lines.next_back()?.split(';').nth(column)
}

/// `00:00:01:500000`, as SIPp writes times.
fn milliseconds(text: &str) -> Option<f64> {
    let parts: Option<Vec<f64>> = text.split(':').map(|part| part.parse().ok()).collect();
    let [hours, minutes, seconds, micros] = parts?.try_into().ok()?;
    Some(((hours * 60.0 + minutes) * 60.0 + seconds) * 1000.0 + micros / 1000.0)
}

/// A program that is ended when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Ended already: nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
