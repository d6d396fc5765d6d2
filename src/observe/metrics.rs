//! The door to `metrics` and its Prometheus exporter: every metric's name, once.
//!
//! Owns names, help texts, labels and buckets. Names carry their base unit and `_total` for
//! counters; label values are few and bounded, so never a call id, a number or an address.

use super::folded;
use metrics::{Label, SharedString};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// What a metric measures with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution, in the unit of its name.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name at `/metrics`.
    pub name: &'static str,
    /// What it measures with.
    pub kind: MetricKind,
    /// What it measures.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Upper bounds of the buckets of a histogram.
    pub buckets: &'static [f64],
}

/// Buckets for call setup and answers of the API, in seconds.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Buckets for the length of calls, in seconds.
const CALL_SECONDS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0];
/// Buckets for the lateness of a media tick, in seconds.
const TICK_SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
/// Buckets for opinion scores.
const SCORES: &[f64] = &[1.5, 2.0, 2.5, 3.0, 3.25, 3.5, 3.75, 4.0, 4.1, 4.2, 4.3, 4.4, 4.5];
/// Buckets for what sound waits for, in seconds.
const STAGE_SECONDS: &[f64] = &[
    0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.02, 0.04, 0.08, 0.2, 0.5, 2.0,
    10.0, 60.0,
];
/// Buckets for shares of packets.
const RATIOS: &[f64] = &[0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
/// For metrics that are no histograms.
const NONE: &[f64] = &[];

macro_rules! metrics_catalogue {
    ($( $(#[doc = $help:literal])+ $id:ident = $kind:ident $name:literal [$($label:literal),*] $buckets:ident; )+) => {
        $(
            $(#[doc = $help])+
            pub const $id: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                help: concat!($($help),+),
                labels: &[$($label),*],
                buckets: $buckets,
            };
        )+

        /// Every metric.
        pub const ALL: &[Metric] = &[$($id),+];
    };
}

metrics_catalogue! {
    /// Calls made or received, refused ones included.
    CALLS_CREATED = Counter "bellwire_calls_created_total" ["direction", "type"] NONE;
    /// Calls that were answered.
    CALLS_ANSWERED = Counter "bellwire_calls_answered_total" ["direction"] NONE;
    /// Calls that ended, by their end reason.
    CALLS_ENDED = Counter "bellwire_calls_ended_total" ["direction", "end_reason"] NONE;
    /// From the beginning of a call to its answer.
    CALL_SETUP = Histogram "bellwire_call_setup_seconds" ["direction"] SECONDS;
    /// From the answer of a call to its end.
    CALL_DURATION = Histogram "bellwire_call_duration_seconds" ["direction"] CALL_SECONDS;
    /// Opinion score of calls with audio, by the E-model (ITU-T G.107), at most 4.41: of what was
    /// `received` and, from the other side's reports, `sent`.
    CALL_MOS = Histogram "bellwire_call_mos" ["trunk", "way"] SCORES;
    /// Share of packets that calls missed when they were due (`received`), or that the other side
    /// reported as lost (`sent`).
    CALL_LOSS = Histogram "bellwire_call_loss_ratio" ["trunk", "way"] RATIOS;
    /// Interarrival jitter of calls at their end.
    CALL_JITTER = Histogram "bellwire_call_jitter_seconds" ["trunk", "way"] TICK_SECONDS;
    /// Round trip of calls by RTCP, as known last.
    CALL_RTT = Histogram "bellwire_call_rtt_seconds" ["trunk"] SECONDS;
    /// Calls at this moment, by status.
    CALLS_ACTIVE = Gauge "bellwire_calls_active" ["status"] NONE;
    /// Final answers to INVITEs, ours and the peers'.
    INVITE_ANSWERS = Counter "bellwire_invite_answers_total" ["direction", "code"] NONE;
    /// Incoming calls whose signature was looked at, by what was found.
    CALLERS_VERIFIED = Counter "bellwire_callers_verified_total" ["trunk", "state"] NONE;
    /// Outgoing calls that were to be signed: `signed`, or `failed`.
    CALLS_SIGNED = Counter "bellwire_calls_signed_total" ["trunk", "result"] NONE;
    /// Calls that were not dialled because of their destination.
    DESTINATIONS_REFUSED = Counter "bellwire_destinations_refused_total" ["trunk"] NONE;
    /// SIP messages that were dropped before any state was made.
    SIP_DROPPED = Counter "bellwire_sip_dropped_total" ["why"] NONE;
    /// Live SIP transactions.
    SIP_TRANSACTIONS = Gauge "bellwire_sip_transactions" [] NONE;
    /// Live SIP dialogs.
    SIP_DIALOGS = Gauge "bellwire_sip_dialogs" [] NONE;
    /// Open SIP connections of TCP and TLS.
    SIP_CONNECTIONS = Gauge "bellwire_sip_connections" [] NONE;
    /// What the SIP sockets count: connections taken, opened, refused, evicted and faulted, failed
    /// TLS handshakes, datagrams dropped, ICMP errors.
    SIP_SOCKETS = Counter "bellwire_sip_sockets_total" ["what"] NONE;
    /// Whether a trunk's gateway answers: 1 or 0.
    TRUNK_UP = Gauge "bellwire_trunk_up" ["trunk"] NONE;
    /// Whether a trunk is registered with its registrar: 1 or 0.
    TRUNK_REGISTERED = Gauge "bellwire_trunk_registered" ["trunk"] NONE;
    /// Attempts to register that failed.
    REGISTRATIONS_FAILED = Counter "bellwire_registrations_failed_total" ["trunk"] NONE;
    /// Times that a gateway of a trunk was left alone for a while.
    QUARANTINES = Counter "bellwire_gateway_quarantines_total" ["trunk"] NONE;
    /// Sources that were banned for a while.
    BANS = Counter "bellwire_sip_bans_total" [] NONE;
    /// Transfers that came to an end, by how.
    TRANSFERS = Counter "bellwire_transfers_total" ["mode", "result"] NONE;
    /// RTP packets received and used.
    RTP_RECEIVED = Counter "bellwire_rtp_received_packets_total" [] NONE;
    /// RTP packets sent.
    RTP_SENT = Counter "bellwire_rtp_sent_packets_total" [] NONE;
    /// RTP packets that were lost, late or refused.
    RTP_DROPPED = Counter "bellwire_rtp_dropped_packets_total" ["why"] NONE;
    /// Frames of 20 ms of caller audio that were made up for lost packets.
    RTP_CONCEALED = Counter "bellwire_rtp_concealed_frames_total" [] NONE;
    /// Times playout ran dry in the middle of something.
    PLAYOUT_UNDERRUNS = Counter "bellwire_playout_underruns_total" [] NONE;
    /// RTP port pairs in use.
    RTP_PORTS_USED = Gauge "bellwire_rtp_port_pairs_used" [] NONE;
    /// RTP port pairs free.
    RTP_PORTS_FREE = Gauge "bellwire_rtp_port_pairs_free" [] NONE;
    /// Media legs.
    MEDIA_LEGS = Gauge "bellwire_media_legs" [] NONE;
    /// How late the beat of the media threads was.
    TICK_LATE = Histogram "bellwire_media_tick_late_seconds" [] TICK_SECONDS;
    /// How long sound stood at a stage: towards the carrier `decode`, `resample`, `queue`, `send`,
    /// towards the client `order`, `write`.
    STAGE = Histogram "bellwire_stage_seconds" ["stage"] STAGE_SECONDS;
    /// What a bounded queue had no room for.
    QUEUE_DROPS = Counter "bellwire_queue_drops_total" ["queue"] NONE;
    /// Requests of the API.
    API_REQUESTS = Counter "bellwire_api_requests_total" ["route", "method", "status"] NONE;
    /// How long the API took to answer.
    API_SECONDS = Histogram "bellwire_api_request_seconds" ["route", "method"] SECONDS;
    /// Requests that were refused or failed, by problem code.
    API_PROBLEMS = Counter "bellwire_api_problems_total" ["code"] NONE;
    /// Stream clients that attached.
    STREAMS_ATTACHED = Counter "bellwire_streams_attached_total" ["protocol"] NONE;
    /// Stream clients that went away, by close code.
    STREAMS_CLOSED = Counter "bellwire_streams_closed_total" ["code"] NONE;
    /// Attempts to dial a stream client that failed, and dialled clients that broke off.
    STREAMS_UNREACHED = Counter "bellwire_streams_unreached_total" [] NONE;
    /// Warnings and errors told to stream clients.
    STREAM_WARNINGS = Counter "bellwire_stream_warnings_total" ["code"] NONE;
    /// From a text to its first sound.
    TTS_FIRST_AUDIO = Histogram "bellwire_tts_first_audio_seconds" ["engine"] SECONDS;
    /// Parts of an agent's answer, from the caller's last sound; `gateway` is our own share.
    AGENT_LATENCY = Histogram "bellwire_agent_latency_seconds" ["stage"] SECONDS;
    /// Tools that brains used.
    AGENT_TOOLS = Counter "bellwire_agent_tools_total" ["tool"] NONE;
    /// Agent calls that ended, by the status of their outcome.
    AGENT_OUTCOMES = Counter "bellwire_agent_outcomes_total" ["status"] NONE;
    /// Verdicts on who answered a call; a call may have more than one.
    ANSWERED_BY = Counter "bellwire_answered_by_total" ["by"] NONE;
    /// Voices and keys that came while a prompt was played, by what came of it.
    INTERRUPTED = Counter "bellwire_interruptions_total" ["action"] NONE;
    /// Tones of the network that were heard in calls.
    TONES_HEARD = Counter "bellwire_tones_total" ["kind"] NONE;
    /// Recordings that ended, by what became of them: `ready` or `failed`.
    RECORDINGS = Counter "bellwire_recordings_total" ["result"] NONE;
    /// Calls whose words could not be written down (any more).
    TRANSCRIPTION_LOST = Counter "bellwire_transcription_lost_total" [] NONE;
    /// Speech engine failures.
    ENGINE_ERRORS = Counter "bellwire_engine_errors_total" ["engine"] NONE;
    /// Store operations that failed.
    STORE_ERRORS = Counter "bellwire_store_errors_total" ["operation"] NONE;
    /// Self-checks that failed: the watchdog was not fed.
    SELF_CHECK_FAILURES = Counter "bellwire_self_check_failures_total" ["check"] NONE;
    /// Open file descriptors of the process.
    OPEN_FDS = Gauge "bellwire_open_fds" [] NONE;
    /// 1 while calls are drained before the end, else 0.
    DRAINING = Gauge "bellwire_draining" [] NONE;
    /// 1 while the media threads are late and new calls get 503, else 0.
    OVERLOADED = Gauge "bellwire_overloaded" [] NONE;
    /// Always 1; the labels tell what runs.
    BUILD_INFO = Gauge "bellwire_build_info" ["version", "node"] NONE;
}

impl Metric {
    /// Adds to a counter; `values` are the values of its labels, in their order.
    pub fn add(&self, amount: u64, values: &[&str]) {
        metrics::counter!(self.name, self.labelled(values)).increment(amount);
    }

    /// Sets a gauge.
    pub fn set(&self, value: f64, values: &[&str]) {
        metrics::gauge!(self.name, self.labelled(values)).set(value);
    }

    /// Adds one value to a histogram.
    pub fn observe(&self, value: f64, values: &[&str]) {
        metrics::histogram!(self.name, self.labelled(values)).record(value);
    }

    /// Adds one value that came several times to a histogram, which takes no others.
    pub fn observe_many(&self, value: f64, count: usize, values: &[&str]) {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        folded::add(self, value, count, values);
    }

    /// The value with which another way of counting (a worker's own counters) stands.
    pub fn absolute(&self, value: u64, values: &[&str]) {
        metrics::counter!(self.name, self.labelled(values)).absolute(value);
    }

    fn labelled(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        let pairs = self.labels.iter().zip(values);
        pairs
            .map(|(name, value)| Label::new(*name, SharedString::from((*value).to_owned())))
            .collect()
    }
}

/// Reads the metrics; cheap to clone.
#[derive(Clone)]
pub struct Handle(PrometheusHandle);

impl Handle {
    /// The text of `/metrics`, in the exposition format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render() + &folded::render()
    }

    /// Folds recorded values into the histograms; call it every few seconds, or memory grows with
    /// what nobody scrapes.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Starts to record for the whole process; later calls give the same handle.
#[must_use]
pub fn install() -> Handle {
    static INSTALLED: OnceLock<Handle> = OnceLock::new();
    let handle = INSTALLED.get_or_init(|| {
        let recorder = builder().build_recorder();
        let handle = Handle(recorder.handle());
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics stays empty");
        }
        describe();
        handle
    });
    handle.clone()
}

fn builder() -> PrometheusBuilder {
    ALL.iter().filter(|metric| !metric.buckets.is_empty()).fold(
        PrometheusBuilder::new(),
        |builder, metric| {
            // It only refuses an empty list of buckets.
            let matcher = Matcher::Full(metric.name.to_owned());
            match builder.set_buckets_for_metric(matcher, metric.buckets) {
                Ok(builder) => builder,
                Err(_) => PrometheusBuilder::new(),
            }
        },
    )
}

fn describe() {
    for metric in ALL {
        let help = metric.help.trim();
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, help),
        }
    }
}

/// What `work` records, as `/metrics` would show it.
#[cfg(test)]
pub(super) fn recorded(work: impl FnOnce()) -> String {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        describe();
        work();
    });
    handle.render() + &folded::render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let mut names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len(), "a name stands twice");
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("bellwire_"), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == MetricKind::Counter, "{name}");
            assert_eq!(metric.buckets.is_empty(), metric.kind != MetricKind::Histogram, "{name}");
            assert!(metric.buckets.is_sorted(), "{name}");
            let units = ["ms", "us", "millis", "minutes", "kb", "mb"];
            assert!(!name.split('_').any(|word| units.contains(&word)), "{name}: base units only");
            for label in metric.labels {
                assert!(!["call_id", "number", "remote", "from", "to"].contains(label), "{name}");
            }
        }
    }

    #[test]
    fn recorded_values_are_rendered_with_help_and_buckets() {
        let text = recorded(|| {
            CALLS_CREATED.add(2, &["outbound", "FIXED_TTS"]);
            CALLS_ACTIVE.set(1.0, &["RINGING"]);
            CALL_SETUP.observe(0.3, &["outbound"]);
            RTP_SENT.absolute(77, &[]);
        });
        for line in [
            "# HELP bellwire_calls_created_total Calls made or received, refused ones included.",
            "bellwire_calls_created_total{direction=\"outbound\",type=\"FIXED_TTS\"} 2",
            "bellwire_calls_active{status=\"RINGING\"} 1",
            "bellwire_call_setup_seconds_bucket{direction=\"outbound\",le=\"0.25\"} 0",
            "bellwire_call_setup_seconds_bucket{direction=\"outbound\",le=\"0.5\"} 1",
            "bellwire_rtp_sent_packets_total 77",
        ] {
            assert!(text.contains(line), "{line}\nnot in\n{text}");
        }
    }
}
