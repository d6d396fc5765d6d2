//! What a run was like, as a table and as JSON.

use crate::lines::{Outcome, Outcomes};
use crate::system::{Sample, Usage};
use serde::Serialize;
use serde_json::Value;

/// A line's outcome and its call object.
pub struct Judged<'a> {
    pub outcome: Option<&'a Outcome>,
    /// Why there is none, in words, or the object.
    pub call: &'a Result<Value, String>,
}

/// Everything that is reported. Times in milliseconds, processor time in percent of one core.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub kind: &'static str,
    pub backend: &'static str,
    /// Whether a loop kept the generator's core busy.
    pub busy: bool,
    pub frame_ms: usize,
    pub seconds: f64,
    pub calls: usize,
    pub clean: usize,
    pub failed: usize,
    pub packets: u64,
    pub lost: u64,
    pub out_of_order: u64,
    pub timestamp_jumps: u64,
    pub source_changes: u64,
    pub to_caller_faults: usize,
    pub to_client_faults: usize,
    pub to_client_frames: usize,
    pub concealed_ms: u64,
    pub underruns: u64,
    pub client_socket_full: u64,
    pub pacing_p50_ms: f64,
    pub pacing_p99_ms: f64,
    pub pacing_p999_ms: f64,
    pub pacing_max_ms: f64,
    pub gap_p999_ms: f64,
    pub gap_max_ms: f64,
    pub to_client_p50_ms: f64,
    pub to_client_p99_ms: f64,
    pub round_trip_p50_ms: f64,
    pub round_trip_p99_ms: f64,
    pub own_pacing_p50_ms: f64,
    pub own_pacing_p99_worst_ms: f64,
    pub tick_late: Option<TickLate>,
    pub cpu_percent: f64,
    pub cpu_percent_per_call: f64,
    pub media_threads_percent: f64,
    pub switches_per_second: f64,
    pub rss_mb: f64,
    pub rss_kb_per_call: f64,
    pub fds: usize,
    pub fds_per_call: f64,
    pub generator_percent: f64,
    pub generator_late_p99_ms: f64,
    pub generator_late_max_ms: f64,
    pub others_percent: f64,
    pub complaints: Vec<String>,
}

/// Lateness of the media threads' beats, from the gateway's metrics.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(clippy::struct_field_names, reason = "names in the JSON carry their unit")]
pub struct TickLate {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
}

/// What stands for the call object of a call that was none.
pub fn no_object() -> Value {
    serde_json::json!({ "end_reason": ENDED_BY_US })
}

/// The end reason of every call that went as it should.
const ENDED_BY_US: &str = "terminated_by_api";

/// The value below which this share of the values lies, in milliseconds. Sorts.
pub fn quantile_ms(values_ns: &mut [u64], share: f64) -> f64 {
    if values_ns.is_empty() {
        return 0.0;
    }
    values_ns.sort_unstable();
    let at = ((values_ns.len() - 1) as f64 * share).round() as usize;
    values_ns[at] as f64 / 1e6
}

impl Report {
    /// Puts the lines' results in.
    pub fn judge(&mut self, judged: &[Judged<'_>], outcomes: &Outcomes) {
        let mut errors: Vec<u64> = Vec::new();
        let mut p50 = Vec::new();
        let (mut gaps, mut to_client, mut round_trips) = (Vec::new(), Vec::new(), Vec::new());
        for line in judged {
            let mut clean = self.judge_call(line.call, &mut p50);
            let Some(outcome) = line.outcome else {
                self.failed += 1;
                self.complain("a call had no media");
                continue;
            };
            let faults = self.judge_media(outcome);
            clean &= faults == 0;
            errors.extend(outcome.received.errors_ns());
            gaps.extend_from_slice(&outcome.received.gaps_ns);
            to_client.extend_from_slice(&outcome.to_client_ns);
            round_trips.extend_from_slice(&outcome.received.round_trips_ns);
            self.clean += usize::from(clean);
        }
        [self.pacing_p50_ms, self.pacing_p99_ms, self.pacing_p999_ms, self.pacing_max_ms] =
            [0.5, 0.99, 0.999, 1.0].map(|share| quantile_ms(&mut errors, share));
        [self.gap_p999_ms, self.gap_max_ms] =
            [0.999, 1.0].map(|share| quantile_ms(&mut gaps, share));
        [self.to_client_p50_ms, self.to_client_p99_ms] =
            [0.5, 0.99].map(|share| quantile_ms(&mut to_client, share));
        [self.round_trip_p50_ms, self.round_trip_p99_ms] =
            [0.5, 0.99].map(|share| quantile_ms(&mut round_trips, share));
        self.own_pacing_p50_ms = quantile_ms(&mut p50, 0.5);
        let mut late = outcomes.late_ns.clone();
        self.generator_late_p99_ms = quantile_ms(&mut late, 0.99);
        self.generator_late_max_ms = quantile_ms(&mut late, 1.0);
        if outcomes.send_errors > 0 {
            self.complain(&format!("{} RTP packets could not be sent", outcomes.send_errors));
        }
    }

    /// Whether the call ended as it should and the gateway saw nothing bad.
    fn judge_call(&mut self, call: &Result<Value, String>, p50: &mut Vec<u64>) -> bool {
        let call = match call {
            Ok(call) if call["end_reason"] == ENDED_BY_US => call,
            Ok(call) => {
                self.failed += 1;
                self.complain(&format!(
                    "a call ended with {} {}",
                    call["end_reason"], call["sip_code"]
                ));
                return false;
            }
            Err(error) => {
                self.failed += 1;
                self.complain(error);
                return false;
            }
        };
        let quality = &call["quality"];
        let count = |name: &str| quality[name].as_u64().unwrap_or(0);
        let (concealed, underruns) = (count("concealed_ms"), count("underruns"));
        self.concealed_ms += concealed;
        self.underruns += underruns;
        p50.push((quality["pacing_p50_ms"].as_f64().unwrap_or(0.0) * 1e6) as u64);
        let p99 = quality["pacing_p99_ms"].as_f64().unwrap_or(0.0);
        self.own_pacing_p99_worst_ms = self.own_pacing_p99_worst_ms.max(p99);
        concealed == 0 && underruns == 0
    }

    /// Adds up a line's media; how much was wrong with it.
    fn judge_media(&mut self, outcome: &Outcome) -> u64 {
        let received = &outcome.received;
        self.packets += received.packets;
        self.lost += received.lost;
        self.out_of_order += received.reordered;
        self.timestamp_jumps += received.timestamp_jumps;
        self.source_changes += received.source_changes;
        let mut faults = received.lost
            + received.reordered
            + received.timestamp_jumps
            + received.source_changes
            + u64::from(received.packets == 0);
        if let Some(client) = &outcome.client {
            let told = client.heard;
            self.to_client_frames += told.exact;
            self.to_client_faults += told.faults();
            self.to_caller_faults += received.heard.faults();
            self.client_socket_full += client.blocked;
            faults += (told.faults() + received.heard.faults()) as u64;
            if told.exact == 0 || received.heard.exact == 0 {
                faults += 1;
                self.complain("a stream carried no exact frame");
            }
            for complaint in &client.complaints {
                self.complain(complaint);
            }
        }
        faults
    }

    /// Puts the system's view in.
    pub fn account(&mut self, idle: &Sample, last: &Sample, used: &Usage) {
        let calls = self.calls.max(1) as f64;
        self.seconds = used.seconds;
        self.cpu_percent = used.daemon * 100.0;
        self.cpu_percent_per_call = self.cpu_percent / calls;
        self.media_threads_percent = used.media_threads * 100.0;
        self.switches_per_second = used.switches_per_second;
        self.generator_percent = used.generator * 100.0;
        self.others_percent = used.others * 100.0;
        self.rss_mb = last.rss_kb / 1024.0;
        self.rss_kb_per_call = (last.rss_kb - idle.rss_kb) / calls;
        self.fds = last.fds;
        self.fds_per_call = (last.fds as f64 - idle.fds as f64) / calls;
    }

    pub fn complain(&mut self, what: &str) {
        if self.complaints.len() < 10 && !self.complaints.iter().any(|known| known == what) {
            self.complaints.push(what.to_owned());
        }
    }

    /// Whether a call failed or a packet's number or time jumped.
    pub fn is_bad(&self) -> bool {
        let jumps = self.lost + self.out_of_order + self.timestamp_jumps + self.source_changes;
        self.failed > 0 || jumps > 0
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut rows = self.rows_of_media();
        rows.extend(self.rows_of_system());
        rows.extend(self.complaints.iter().map(|complaint| ("complaint", complaint.clone())));
        let lines = rows.iter().map(|(what, value)| format!("  {what:<38}{value}\n"));
        lines.collect::<Vec<String>>().concat()
    }

    fn rows_of_media(&self) -> Vec<(&'static str, String)> {
        let prompt = self.kind.ends_with("prompt");
        let frames = if prompt { String::new() } else { format!(", {} ms frames", self.frame_ms) };
        let mut rows = vec![
            (
                "run",
                format!(
                    "{} {} calls, {:.1} s{frames}, {}",
                    self.calls, self.kind, self.seconds, self.backend
                ),
            ),
            ("calls clean / failed", format!("{} / {}", self.clean, self.failed)),
            ("RTP packets from the gateway", self.packets.to_string()),
            ("lost / out of order", format!("{} / {}", self.lost, self.out_of_order)),
            (
                "timestamp jumps / source changes",
                format!("{} / {}", self.timestamp_jumps, self.source_changes),
            ),
        ];
        if !prompt {
            let faults = format!("{} / {}", self.to_client_faults, self.to_caller_faults);
            rows.extend([
                ("bit-exact frames to clients", self.to_client_frames.to_string()),
                ("faulty frames to clients / callers", faults),
                ("client sockets found full", self.client_socket_full.to_string()),
                (
                    "caller to client p50 p99",
                    format!(
                        "{:.2}  {:.2} ms (looked at every 1 ms)",
                        self.to_client_p50_ms, self.to_client_p99_ms
                    ),
                ),
                (
                    "round trip p50 p99",
                    format!("{:.2}  {:.2} ms", self.round_trip_p50_ms, self.round_trip_p99_ms),
                ),
            ]);
        }
        rows.push((
            "concealed / underruns",
            format!("{} ms / {}", self.concealed_ms, self.underruns),
        ));
        rows
    }

    fn rows_of_system(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            (
                "pacing error p50 p99 p99.9 max",
                format!(
                    "{:.2}  {:.2}  {:.2}  {:.2} ms (kernel time stamps)",
                    self.pacing_p50_ms, self.pacing_p99_ms, self.pacing_p999_ms, self.pacing_max_ms
                ),
            ),
            (
                "gap p99.9 max",
                format!(
                    "{:.2}  {:.2} ms{}",
                    self.gap_p999_ms,
                    self.gap_max_ms,
                    if self.busy { " beside a busy loop on the other core" } else { "" }
                ),
            ),
            (
                "calls' own lateness p50, worst p99",
                format!("{:.2}  {:.2} ms", self.own_pacing_p50_ms, self.own_pacing_p99_worst_ms),
            ),
        ];
        if let Some(TickLate { p50_ms, p99_ms, p999_ms }) = self.tick_late {
            let late = format!("{p50_ms:.2}  {p99_ms:.2}  {p999_ms:.2} ms");
            rows.push(("tick lateness p50 p99 p99.9", late));
        }
        let generator = format!(
            "{:.1} %, {:.2}  {:.2} ms",
            self.generator_percent, self.generator_late_p99_ms, self.generator_late_max_ms
        );
        rows.extend([
            (
                "CPU per call",
                format!(
                    "{:.3} % of a core ({:.1} % in all, {:.1} % of it media threads)",
                    self.cpu_percent_per_call, self.cpu_percent, self.media_threads_percent
                ),
            ),
            ("context switches", format!("{:.0} /s", self.switches_per_second)),
            ("RSS", format!("{:.1} MB, {:.0} kB per call", self.rss_mb, self.rss_kb_per_call)),
            ("file descriptors", format!("{}, {:.2} per call", self.fds, self.fds_per_call)),
            ("generator: CPU, late p99, max", generator),
            ("other programs on this machine", format!("{:.1} % of a core", self.others_percent)),
        ]);
        rows
    }
}

/// Cumulative counts by upper bound in seconds of a histogram in an exposition.
fn buckets(metrics: &str, name: &str) -> Vec<(f64, f64)> {
    let prefix = format!("{name}_bucket{{le=\"");
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(&prefix));
    let pairs = lines.filter_map(|line| {
        let (bound, count) = line.split_once("\"} ")?;
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
        Some((bound, count.parse().ok()?))
    });
    pairs.collect()
}

/// How late beats were between two expositions.
pub fn tick_late(before: &str, after: &str) -> Option<TickLate> {
    const NAME: &str = "bellwire_media_tick_late_seconds";
    let (before, after) = (buckets(before, NAME), buckets(after, NAME));
    let counts: Vec<(f64, f64)> = after
        .iter()
        .map(|(bound, count)| {
            let known = before.iter().find(|(other, _)| other.total_cmp(bound).is_eq());
            (*bound, count - known.map_or(0.0, |(_, count)| *count))
        })
        .collect();
    let all = counts.last().map(|(_, count)| *count).filter(|all| *all > 0.0)?;
    let quantile = |share: f64| {
        let mut low = (0.0, 0.0);
        for (bound, count) in &counts {
            if *count >= share * all {
                let within = (share * all - low.1) / (count - low.1).max(1.0);
                let bound = if bound.is_finite() { *bound } else { low.0 };
                return (low.0 + (bound - low.0) * within) * 1000.0;
            }
            low = (*bound, *count);
        }
        low.0 * 1000.0
    };
    Some(TickLate { p50_ms: quantile(0.5), p99_ms: quantile(0.99), p999_ms: quantile(0.999) })
}
