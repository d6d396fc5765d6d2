//! The whole of `make load`: every number of calls with the floor, epoll and io_uring, side by side.
//!
//! Absolute figures tell about a machine; what tells about the gateway is the ratio to the floor of
//! the same number of calls, taken minutes before on the same core.

use crate::report::Report;
use crate::{Arguments, CallKind, Wanted};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// One run of the suite.
#[derive(Clone, Copy)]
struct Case {
    calls: u64,
    kind: CallKind,
    frame_ms: &'static str,
    backend: Wanted,
    busy: bool,
}

const STREAMS: [u64; 4] = [100, 200, 400, 600];
const PROMPTS: [u64; 2] = [400, 1200];
/// Seconds of each measurement.
const SECONDS: u64 = 8;
/// Calls that begin in a second.
const CPS: u64 = 100;

fn cases() -> Vec<Case> {
    let (frame_ms, busy) = ("20", false);
    let mut cases = Vec::new();
    for (numbers, floor, kind) in [
        (&STREAMS[..], CallKind::Floor, CallKind::Stream),
        (&PROMPTS[..], CallKind::FloorPrompt, CallKind::Prompt),
    ] {
        for calls in numbers {
            for (kind, backend) in
                [(floor, Wanted::Epoll), (kind, Wanted::Epoll), (kind, Wanted::IoUring)]
            {
                cases.push(Case { calls: *calls, kind, frame_ms, backend, busy });
            }
        }
    }
    let (calls, kind) = (400, CallKind::Stream);
    for backend in [Wanted::Epoll, Wanted::IoUring] {
        cases.push(Case { calls, kind, frame_ms: "60", backend, busy });
    }
    for (kind, backend) in [
        (CallKind::Floor, Wanted::Epoll),
        (CallKind::Stream, Wanted::Epoll),
        (CallKind::Stream, Wanted::IoUring),
    ] {
        cases.push(Case { calls: 200, kind, frame_ms, backend, busy: true });
    }
    cases
}

/// Runs all cases one after the other; whether one of them went wrong.
pub async fn run(runner: &[String]) -> Result<bool> {
    let mut reports: Vec<Report> = Vec::new();
    let mut bad = false;
    let mut out = std::io::stdout();
    writeln!(out, "{}", head())?;
    let file = file()?;
    for case in cases() {
        let arguments = Arguments {
            calls: case.calls,
            seconds: SECONDS,
            kind: case.kind,
            frame_ms: case.frame_ms.to_owned(),
            ahead_ms: 200,
            cps: CPS,
            backend: case.backend,
            busy: case.busy,
            suite: false,
            json: false,
        };
        let report = crate::run(&arguments, runner).await.with_context(|| {
            format!("{} calls of {}, {}", case.calls, case.kind.name(), case.backend.as_str())
        })?;
        writeln!(out, "{}", row(&report, floor(&reports, &report)))?;
        bad |= !case.kind.is_floor() && report.is_bad();
        reports.push(report);
        // After each, so that a run that is ended early leaves what it found.
        std::fs::write(&file, page(&reports))?;
    }
    writeln!(out, "\nwritten to {}", file.display())?;
    Ok(bad)
}

const COLUMNS: [(&str, usize); 13] = [
    ("run", 22),
    ("calls", 5),
    ("clean", 5),
    ("CPU %/call", 10),
    ("x floor", 7),
    ("pacing p50", 10),
    ("p99", 6),
    ("p99.9", 6),
    ("gap p99.9", 9),
    ("to client", 11),
    ("round trip", 12),
    ("kB/call", 7),
    ("others", 6),
];

fn head() -> String {
    line(&COLUMNS.map(|(name, _)| name.to_owned()))
}

fn line(cells: &[String; COLUMNS.len()]) -> String {
    let mut out = String::new();
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        // Writing to a string cannot fail.
        let _ = write!(out, "| {cell:<width$} ");
    }
    out + "|"
}

/// The processor time of a call of the floor that belongs to a run: as many calls of its kind, with
/// messages of 20 ms.
fn floor(reports: &[Report], report: &Report) -> Option<f64> {
    let kind = if report.kind.ends_with("prompt") { "floor prompt" } else { "floor" };
    let belongs = |floor: &&Report| {
        (floor.kind, floor.calls, floor.busy) == (kind, report.calls, report.busy)
    };
    let found = std::iter::once(report).chain(reports).find(belongs)?;
    Some(found.cpu_percent_per_call).filter(|floor| *floor > 0.0)
}

fn row(report: &Report, floor: Option<f64>) -> String {
    let ratio = floor.map(|floor| report.cpu_percent_per_call / floor);
    let frames =
        if report.frame_ms == 20 { String::new() } else { format!(" {} ms", report.frame_ms) };
    let busy = if report.busy { ", busy" } else { "" };
    let backend = if report.kind.starts_with("floor") { "" } else { report.backend };
    let pair = |p50: f64, p99: f64| {
        if p50 > 0.0 { format!("{p50:.1} {p99:.1}") } else { String::new() }
    };
    line(&[
        format!("{}{frames} {backend}{busy}", report.kind),
        report.calls.to_string(),
        report.clean.to_string(),
        format!("{:.4}", report.cpu_percent_per_call),
        ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        format!("{:.2}", report.pacing_p50_ms),
        format!("{:.2}", report.pacing_p99_ms),
        format!("{:.2}", report.pacing_p999_ms),
        format!("{:.2}", report.gap_p999_ms),
        pair(report.to_client_p50_ms, report.to_client_p99_ms),
        pair(report.round_trip_p50_ms, report.round_trip_p99_ms),
        format!("{:.0}", report.rss_kb_per_call),
        format!("{:.0} %", report.others_percent),
    ])
}

/// The report as a page.
fn page(reports: &[Report]) -> String {
    let mut out = String::from(
        "# Load\n\nMade by `make load`. CPU is run time of the server process in percent of a core; the \
         server has one core, the load another. *Floor*: a bare mover of packets in the gateway's place. \
         Times in ms; *pacing*: arrival after the beat of a call's earliest packet, by kernel time stamps; \
         *to client* and *round trip* (caller to an echoing client and back, packet to packet): p50 p99. \
         Messages are of 20 ms unless said; *x floor* is always to the floor with messages of 20 ms. \
         *Others*: processor time of everything else on the machine, which disturbs.\n\n",
    );
    out += &head();
    out.push('\n');
    out += &"|---".repeat(COLUMNS.len());
    out += "|\n";
    for report in reports {
        out += &row(report, floor(reports, report));
        out.push('\n');
    }
    let complaints: Vec<String> = reports
        .iter()
        .flat_map(|report| {
            let run = format!("{} {} {}", report.kind, report.calls, report.backend);
            report.complaints.iter().map(move |complaint| format!("- {run}: {complaint}\n"))
        })
        .collect();
    if !complaints.is_empty() {
        out += "\nComplaints:\n\n";
        out += &complaints.concat();
    }
    out
}

/// `target/load/report.md` beside the build of this program.
fn file() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(3).unwrap_or(Path::new("."));
    let dir = target.join("load");
    std::fs::create_dir_all(&dir)?;
    Ok(dir.join("report.md"))
}
