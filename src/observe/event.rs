//! Everything that happens and is worth telling: one struct is one log line and its metrics.
//!
//! ```text
//!  CallEnded { direction: "outbound", end_reason: "busy", … }.report()
//!     └─> {"level":"INFO","message":"call ended","call_id":"call_…","end_reason":"busy",…}
//!     └─> bellwire_calls_ended_total{direction="outbound",end_reason="busy"} 1
//! ```
//!
//! Levels: ERROR is broken; WARN is for someone to look at today; INFO is one line per call and per
//! change of the gateway; DEBUG is every state change. Private values come in the wrappers of
//! `redact`. Does not decide what happens next.

use super::metrics::{self, Metric};
use super::redact::Number;
use crate::call::outcome::TurnLatency;
use field::Field;
use std::net::SocketAddr;

mod field;

/// Something worth telling.
pub trait Happening {
    /// Writes the log line and counts.
    ///
    /// Cost: a few microseconds and some allocations; not for the media threads.
    fn report(&self);
}

/// What an event is, for the generated page.
#[derive(Debug, Clone, Copy)]
pub struct EventSpec {
    /// The `message` of its log line.
    pub message: &'static str,
    /// Its level.
    pub level: &'static str,
    /// When it happens.
    pub doc: &'static str,
    /// The fields of its log line.
    pub fields: &'static [&'static str],
    /// The metrics that it moves.
    pub metrics: &'static [&'static str],
}

macro_rules! happenings {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident $(<$life:lifetime>)? = $level:ident $message:literal
            $(, counts $counter:ident [$($label:ident),*])*
            $(, observes $histogram:ident [$($seen:ident),*] with $value:ident)*
        {
            $( $(#[doc = $field_doc:literal])+ $field:ident : $type:ty, )+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name $(<$life>)? {
                $( $(#[doc = $field_doc])+ pub $field: $type, )+
            }

            impl $(<$life>)? Happening for $name $(<$life>)? {
                fn report(&self) {
                    tracing::event!(
                        tracing::Level::$level,
                        $( $field = self.$field.logged(), )+
                        $message
                    );
                    $( metrics::$counter.add(1, &[$( &self.$label.label() ),*]); )*
                    $( record(&metrics::$histogram, self.$value, &[$( &self.$seen.label() ),*]); )*
                }
            }
        )+

        /// Every event.
        pub const EVENTS: &[EventSpec] = &[$(
            EventSpec {
                message: $message,
                level: stringify!($level),
                doc: concat!($($doc),+),
                fields: &[$( stringify!($field) ),+],
                metrics: &[$( metrics::$counter.name, )* $( metrics::$histogram.name, )*],
            },
        )+];
    };
}

/// Records a value that may be missing.
fn record(metric: &Metric, value: impl Into<Option<f64>>, labels: &[&str]) {
    if let Some(value) = value.into() {
        metric.observe(value, labels);
    }
}

happenings! {
    /// The gateway takes calls.
    GatewayReady<'a> = INFO "gateway ready" {
        /// `/health/ready` and the API listen here.
        api: SocketAddr,
        /// `/metrics` and the administration listen here.
        admin: SocketAddr,
        /// SIP sockets, separated by blanks.
        sip: &'a str,
        /// From the start of the process.
        after_seconds: f64,
    }
    /// The API has no key and takes every request, from loopback only.
    ApiWithoutKeys = WARN "no API key is configured: every local process can make calls" {
        /// The API's listener.
        api: SocketAddr,
    }
    /// The gateway stops taking calls and waits for those that it has.
    GatewayDraining = INFO "draining" {
        /// Active calls.
        calls: u64,
        /// How long it waits at most.
        timeout_seconds: f64,
    }
    /// The last call has ended, and the rows of calls that wait for the disk are being written.
    StoreClosing = INFO "writing the last call records" {
        /// How many.
        rows: u64,
    }
    /// The gateway has ended its last call and stops.
    GatewayStopped = INFO "gateway stopped" {
        /// Calls that were ended by force at the deadline.
        calls_cut: u64,
    }
    /// The media threads run.
    MediaStarted<'a> = INFO "media threads started" {
        /// How many.
        threads: u64,
        /// How they receive and send: `epoll` or `io_uring`.
        backend: &'a str,
        /// How many keep to a core of their own.
        pinned: u64,
        /// How many run before all ordinary threads.
        realtime: u64,
    }
    /// The media threads did not get what `[rtp]` wishes for them, and do without.
    MediaWishRefused<'a> = WARN "media thread wish refused" {
        /// What, and why.
        detail: &'a str,
    }
    /// The self-check failed, and the watchdog was not fed.
    SelfCheckFailed<'a> = ERROR "self-check failed", counts SELF_CHECK_FAILURES [check] {
        /// Which check: `media` or `sip`.
        check: &'static str,
        /// What it saw.
        detail: &'a str,
    }
    /// A call was made through the API, or came from a carrier.
    CallCreated<'a> = INFO "call created", counts CALLS_CREATED [direction, call_type] {
        /// The call.
        call_id: &'a str,
        /// The line.
        instance_id: &'a str,
        /// `outbound` or `inbound`.
        direction: &'a str,
        /// The type of the API.
        call_type: &'a str,
        /// The trunk.
        trunk: Option<&'a str>,
        /// The number that is called.
        to: Number<'a>,
        /// The number that calls.
        from: Option<Number<'a>>,
    }
    /// An incoming call was held against its signature (RFC 8224).
    CallerVerified<'a> = INFO "caller verified", counts CALLERS_VERIFIED [trunk, state] {
        /// The call.
        call_id: &'a str,
        /// The trunk.
        trunk: &'a str,
        /// `valid`, `invalid`, `none`, `unavailable` or `pending`.
        state: &'a str,
        /// `A`, `B` or `C`, if it is valid.
        attest: Option<&'a str>,
        /// Why it is not.
        reason: Option<&'a str>,
    }
    /// An outgoing call was signed by the trunk's service.
    CallSigned<'a> = DEBUG "call signed", counts CALLS_SIGNED [trunk, result] {
        /// The call.
        call_id: &'a str,
        /// The trunk.
        trunk: &'a str,
        /// `signed`.
        result: &'a str,
    }
    /// An outgoing call was to be signed and is not.
    CallNotSigned<'a> = WARN "call not signed", counts CALLS_SIGNED [trunk, result] {
        /// The call.
        call_id: &'a str,
        /// The trunk.
        trunk: &'a str,
        /// `failed`.
        result: &'a str,
        /// Why.
        detail: &'a str,
    }
    /// A call went from one status to another.
    CallChanged<'a> = DEBUG "call changed" {
        /// The call.
        call_id: &'a str,
        /// The status of the API.
        status: &'a str,
        /// What brought it there, e.g. `ringing`.
        event: &'a str,
    }
    /// A call was answered.
    CallAnswered<'a> = INFO "call answered",
        counts CALLS_ANSWERED [direction],
        observes CALL_SETUP [direction] with setup_seconds
    {
        /// The call.
        call_id: &'a str,
        /// `outbound` or `inbound`.
        direction: &'a str,
        /// From its beginning.
        setup_seconds: f64,
        /// The codec.
        codec: Option<&'a str>,
    }
    /// A call ended, answered or not.
    CallEnded<'a> = INFO "call ended",
        counts CALLS_ENDED [direction, end_reason],
        observes CALL_DURATION [direction] with duration_seconds
    {
        /// The call.
        call_id: &'a str,
        /// The line.
        instance_id: &'a str,
        /// `outbound` or `inbound`.
        direction: &'a str,
        /// Why, in the words of the API.
        end_reason: &'a str,
        /// The last SIP status of the INVITE.
        sip_code: Option<u16>,
        /// The reason phrase that came with it.
        sip_reason: Option<&'a str>,
        /// Call-ID of the SIP dialog.
        sip_call_id: Option<&'a str>,
        /// The trunk.
        trunk: Option<&'a str>,
        /// Who hung up.
        hangup_party: Option<&'a str>,
        /// From the answer.
        duration_seconds: Option<f64>,
        /// Opinion score of what we heard.
        mos: Option<f64>,
    }
    /// An INVITE got its final answer.
    InviteAnswered<'a> = DEBUG "invite answered", counts INVITE_ANSWERS [direction, code] {
        /// The call, if there is one.
        call_id: Option<&'a str>,
        /// `outbound` or `inbound`.
        direction: &'a str,
        /// The SIP status.
        code: u16,
    }
    /// A destination was refused by `allow` or `deny` of its trunk.
    DestinationRefused<'a> = WARN "destination refused", counts DESTINATIONS_REFUSED [trunk] {
        /// The line.
        instance_id: &'a str,
        /// The trunk.
        trunk: &'a str,
        /// The number.
        to: Number<'a>,
    }
    /// A SIP message was dropped before any state was made.
    SipDropped = DEBUG "sip message dropped", counts SIP_DROPPED [why] {
        /// Who sent it.
        remote: SocketAddr,
        /// `unknown_source`, `malformed`, `stray_response`, `table_full`, …
        why: &'static str,
    }
    /// A trunk's gateway answers again.
    TrunkUp<'a> = INFO "trunk up" {
        /// The trunk.
        trunk: &'a str,
    }
    /// A trunk's gateway does not answer.
    TrunkDown<'a> = WARN "trunk down" {
        /// The trunk.
        trunk: &'a str,
    }
    /// Certificates were read again.
    CertificateReloaded = INFO "certificate reloaded" {
        /// Its time is over: peers that check it refuse us.
        expired: bool,
    }
    /// The configuration was read again.
    ConfigReloaded<'a> = INFO "configuration reloaded" {
        /// Keys whose new value is in force for what begins from here on.
        applied: &'a str,
        /// Keys whose new value waits for a restart.
        restart: &'a str,
    }
    /// Our certificate's time is over: peers that check it refuse us.
    CertificateExpired<'a> = WARN "certificate expired" {
        /// Its file.
        file: &'a str,
    }
    /// Something could not be read again; what runs stays as it is.
    ReloadFailed<'a> = ERROR "reload failed" {
        /// Which file, and why.
        detail: &'a str,
    }
    /// The media threads are late: new calls get 503.
    OverloadBegan = WARN "overload began" {
        /// Lateness of their beats since the start, 99th percentile.
        p99_us: u64,
    }
    /// They are in time again.
    OverloadEnded = INFO "overload ended" {
        /// As above.
        p99_us: u64,
    }
    /// A trunk is registered, anew or still.
    TrunkRegistered<'a> = INFO "trunk registered" {
        /// The trunk.
        trunk: &'a str,
        /// What the registrar granted.
        expires_seconds: f64,
    }
    /// The registrar of a trunk refuses us or cannot be reached.
    RegistrationFailed<'a> = WARN "registration failed", counts REGISTRATIONS_FAILED [trunk] {
        /// The trunk.
        trunk: &'a str,
        /// What it said.
        detail: &'a str,
        /// When it is tried again.
        retry_seconds: f64,
    }
    /// A gateway of a trunk is left alone for a while.
    GatewayQuarantined<'a> = WARN "gateway quarantined", counts QUARANTINES [trunk] {
        /// The trunk.
        trunk: &'a str,
        /// The gateway.
        gateway: SocketAddr,
        /// For how long.
        seconds: f64,
    }
    /// A source that sends what no trunk would send is not listened to for a while.
    SourceBanned<'a> = INFO "source banned", counts BANS [] {
        /// Its address.
        source: &'a str,
        /// For how long.
        seconds: f64,
    }
    /// A transfer came to an end; `failed`: the call went on.
    CallTransferred<'a> = INFO "call transferred", counts TRANSFERS [mode, result] {
        /// The call.
        call_id: &'a str,
        /// `blind`, `attended`, `bridge` or `referred`.
        mode: &'a str,
        /// `succeeded` or `failed`.
        result: &'a str,
        /// The SIP status.
        code: Option<u16>,
    }
    /// A bounded queue had no room.
    QueueFull<'a> = WARN "queue full", counts QUEUE_DROPS [queue] {
        /// Which queue.
        queue: &'static str,
        /// The call it belongs to, if any.
        call_id: Option<&'a str>,
    }
    /// An agent began to answer.
    AgentTurn<'a> = DEBUG "agent turn" {
        /// The call.
        call_id: &'a str,
        /// Number of the exchange.
        turn: u64,
        /// From the caller's last sound to our first packet.
        response_seconds: Option<f64>,
        /// Our own share of it.
        gateway_seconds: Option<f64>,
    }
    /// A brain used a tool.
    AgentTool<'a> = INFO "agent tool", counts AGENT_TOOLS [tool] {
        /// The call.
        call_id: &'a str,
        /// Its name.
        tool: &'a str,
    }
    /// An agent's call is over.
    AgentOutcome<'a> = INFO "agent outcome", counts AGENT_OUTCOMES [status] {
        /// The call.
        call_id: &'a str,
        /// How it went.
        status: &'a str,
        /// Exchanges.
        turns: u64,
        /// How often the agent was cut off.
        interruptions: u64,
        /// Whether there is a result.
        result: bool,
    }
    /// Who answered a call, as far as can be told.
    CallJudged<'a> = INFO "answered by", counts ANSWERED_BY [by] {
        /// The call.
        call_id: &'a str,
        /// `human`, `machine` or `unknown`.
        by: &'a str,
        /// By what.
        reason: &'a str,
    }
    /// A voice or key came while a prompt was played.
    CallerInterrupted<'a> = INFO "interrupted", counts INTERRUPTED [action] {
        /// The call.
        call_id: &'a str,
        /// `speech` or `dtmf`.
        by: &'a str,
        /// `notified`, `cleared` or `resumed`.
        action: &'a str,
        /// What of the prompt had left.
        played_ms: u64,
    }
    /// The client of a stream is gone, or was shown the door.
    StreamGone<'a> = INFO "the stream's client is gone" {
        /// The call.
        call_id: &'a str,
        /// `client_closed`, `socket_lost`, `no_pong`, `slow_consumer`, `too_big`, `protocol`,
        /// `revoked` or `replaced`.
        why: &'a str,
    }
    /// The client of a stream told something of its own.
    StreamTold<'a> = INFO "the stream's client tells" {
        /// The call.
        call_id: &'a str,
        /// What, by its name.
        name: &'a str,
    }
    /// The network said something in tones.
    ToneHeard<'a> = INFO "tone", counts TONES_HEARD [kind] {
        /// The call.
        call_id: &'a str,
        /// What it means.
        kind: &'a str,
        /// By what.
        reason: &'a str,
    }
    /// A recording has ended, and its file is whole.
    RecordingReady<'a> = INFO "recording ready", counts RECORDINGS [result] {
        /// The call.
        call_id: &'a str,
        /// The recording.
        recording_id: &'a str,
        /// `ready`.
        result: &'a str,
        /// How much is in it.
        duration_ms: u64,
    }
    /// A recording broke off: the disk is full, slow or refuses. The call goes on.
    RecordingFailed<'a> = WARN "recording failed", counts RECORDINGS [result] {
        /// The call.
        call_id: &'a str,
        /// The recording.
        recording_id: &'a str,
        /// `failed`.
        result: &'a str,
        /// Why.
        reason: &'a str,
    }
    /// Nobody writes the caller's words down (any more).
    TranscriptionLost<'a> = WARN "no transcription", counts TRANSCRIPTION_LOST [] {
        /// The call.
        call_id: &'a str,
        /// Why.
        reason: &'a str,
    }
    /// A request to the API was refused: the user's doing.
    ApiRefused<'a> = DEBUG "request refused", counts API_PROBLEMS [code] {
        /// The request.
        request_id: &'a str,
        /// The route's pattern.
        route: &'a str,
        /// The HTTP status.
        status: u16,
        /// The problem code.
        code: &'a str,
        /// What is wrong.
        detail: &'a str,
    }
    /// A request to the API failed: our doing.
    ApiFailed<'a> = WARN "request failed", counts API_PROBLEMS [code] {
        /// The request.
        request_id: &'a str,
        /// The route's pattern.
        route: &'a str,
        /// The HTTP status.
        status: u16,
        /// The problem code.
        code: &'a str,
        /// What went wrong.
        detail: &'a str,
    }
    /// A request to the API was served.
    ApiServed<'a> = DEBUG "request served",
        counts API_REQUESTS [route, method, status],
        observes API_SECONDS [route, method] with seconds
    {
        /// The request.
        request_id: &'a str,
        /// The route's pattern.
        route: &'a str,
        /// The HTTP method.
        method: &'a str,
        /// The HTTP status.
        status: u16,
        /// How long it took.
        seconds: f64,
    }
    /// A stream client attached.
    StreamAttached<'a> = INFO "stream attached", counts STREAMS_ATTACHED [protocol] {
        /// The call.
        call_id: &'a str,
        /// `cawme` (bare URL) or `native`.
        protocol: &'a str,
    }
    /// A stream client went away.
    StreamClosed<'a> = INFO "stream closed", counts STREAMS_CLOSED [code] {
        /// The call.
        call_id: &'a str,
        /// The close code of the WebSocket; 1006 without one.
        code: u16,
    }
    /// A stream client that is dialled was not reached, or broke off.
    StreamUnreached<'a> = INFO "stream disconnected", counts STREAMS_UNREACHED [] {
        /// The call.
        call_id: &'a str,
        /// Why, in words.
        detail: &'a str,
        /// Attempts so far in this call.
        tries: u32,
    }
    /// A stream client was warned.
    StreamWarned<'a> = DEBUG "stream client warned", counts STREAM_WARNINGS [code] {
        /// The call.
        call_id: &'a str,
        /// The warning's code.
        code: &'a str,
    }
    /// An engine gave the first sound of a text.
    SpeechStarted<'a> = DEBUG "speech started",
        observes TTS_FIRST_AUDIO [engine] with seconds
    {
        /// The engine.
        engine: &'a str,
        /// From the text to the sound.
        seconds: f64,
    }
    /// A speech engine failed.
    EngineFailed<'a> = WARN "speech engine failed", counts ENGINE_ERRORS [engine] {
        /// The engine.
        engine: &'a str,
        /// What went wrong.
        detail: &'a str,
    }
    /// The store could not do what it was asked; calls go on.
    StoreFailed<'a> = ERROR "store failed", counts STORE_ERRORS [operation] {
        /// What it was asked.
        operation: &'static str,
        /// What went wrong.
        detail: &'a str,
    }
}

/// The state of the gateway at one moment, as the gauges show it.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Active calls by status.
    pub calls: Vec<(&'static str, u64)>,
    /// Live SIP transactions.
    pub sip_transactions: u64,
    /// Live SIP dialogs.
    pub sip_dialogs: u64,
    /// RTP port pairs in use.
    pub rtp_ports_used: u64,
    /// RTP port pairs free.
    pub rtp_ports_free: u64,
    /// Media legs.
    pub legs: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Whether calls are drained.
    pub draining: bool,
}

impl Snapshot {
    /// Sets the gauges. Call it about once a second, never from a media thread.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn publish(&self) {
        for (status, count) in &self.calls {
            metrics::CALLS_ACTIVE.set(*count as f64, &[status]);
        }
        for (metric, value) in [
            (metrics::SIP_TRANSACTIONS, self.sip_transactions),
            (metrics::SIP_DIALOGS, self.sip_dialogs),
            (metrics::RTP_PORTS_USED, self.rtp_ports_used),
            (metrics::RTP_PORTS_FREE, self.rtp_ports_free),
            (metrics::MEDIA_LEGS, self.legs),
            (metrics::OPEN_FDS, self.open_fds),
            (metrics::DRAINING, u64::from(self.draining)),
        ] {
            metric.set(value as f64, &[]);
        }
    }
}

/// Counts what a call's media went through; once, when it ended.
///
/// Does not log: `CallEnded` has told of the call.
pub fn count_media(report: &crate::media::interface::LegReport) {
    metrics::RTP_RECEIVED.add(report.rx_packets, &[]);
    metrics::RTP_SENT.add(report.tx_packets, &[]);
    metrics::PLAYOUT_UNDERRUNS.add(report.tx_underruns, &[]);
    metrics::RTP_CONCEALED.add(report.rx_concealed_ms / 20, &[]);
    for (why, count) in [
        ("lost", report.rx_lost),
        ("late", report.rx_late),
        ("duplicate", report.rx_duplicate),
        ("refused", report.rx_refused),
        ("bad_tag", report.rx_bad_tags),
        ("replayed", report.rx_replayed),
        ("send_failed", report.tx_failed),
    ] {
        metrics::RTP_DROPPED.add(count, &[why]);
    }
}

/// One way of a call, as it was at its end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way {
    /// Opinion score.
    pub mos: Option<f64>,
    /// Share of packets that were missing.
    pub loss: Option<f64>,
    /// Interarrival jitter, in seconds.
    pub jitter: Option<f64>,
}

/// Counts how a call sounded, once, when it ended; `rtt` in seconds.
pub fn count_quality(trunk: &str, received: Way, sent: Way, rtt: Option<f64>) {
    for (name, Way { mos, loss, jitter }) in [("received", received), ("sent", sent)] {
        let known =
            [(metrics::CALL_MOS, mos), (metrics::CALL_LOSS, loss), (metrics::CALL_JITTER, jitter)];
        for (metric, value) in known {
            if let Some(value) = value {
                metric.observe(value, &[trunk, name]);
            }
        }
    }
    if let Some(rtt) = rtt {
        metrics::CALL_RTT.observe(rtt, &[trunk]);
    }
}

/// Publishes how long sound stood where: stage, duration, and how often.
pub fn count_stages(stood: impl Iterator<Item = (&'static str, std::time::Duration, u32)>) {
    for (stage, time, count) in stood {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        metrics::STAGE.observe_many(time.as_secs_f64(), count, &[stage]);
    }
}

/// Publishes how late beats of the media threads were: durations, and how many of each.
pub fn count_beats(late: impl Iterator<Item = (std::time::Duration, u64)>) {
    for (late, count) in late {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        metrics::TICK_LATE.observe_many(late.as_secs_f64(), count, &[]);
    }
}

/// Publishes the latencies of an agent's answer, and tells of them.
pub fn agent_latency(call_id: &str, latency: &TurnLatency) {
    let seconds =
        |ms: Option<u64>| ms.and_then(|ms| u32::try_from(ms).ok()).map(|ms| f64::from(ms) / 1000.0);
    for (stage, ms) in [
        ("turn_end", latency.turn_end_ms),
        ("transcript", latency.transcript_ms),
        ("first_token", latency.first_token_ms),
        ("first_sentence", latency.first_sentence_ms),
        ("first_audio", latency.first_audio_ms),
        ("first_rtp", latency.first_rtp_ms),
        ("gateway", latency.gateway_ms),
    ] {
        record(&metrics::AGENT_LATENCY, seconds(ms), &[stage]);
    }
    AgentTurn {
        call_id,
        turn: latency.turn,
        response_seconds: seconds(latency.first_rtp_ms),
        gateway_seconds: seconds(latency.gateway_ms),
    }
    .report();
}

/// Publishes whether a trunk answers, and tells of it.
pub fn trunk_state(trunk: &str, up: bool) {
    metrics::TRUNK_UP.set(f64::from(u8::from(up)), &[trunk]);
    if up {
        TrunkUp { trunk }.report();
    } else {
        TrunkDown { trunk }.report();
    }
}

/// Tells that the media threads are late, or in time again.
pub fn overload(overloaded: bool, p99_us: u64) {
    metrics::OVERLOADED.set(if overloaded { 1.0 } else { 0.0 }, &[]);
    if overloaded {
        OverloadBegan { p99_us }.report();
    } else {
        OverloadEnded { p99_us }.report();
    }
}

/// Publishes what the SIP sockets count: connections that are open, and the rest by name.
pub fn sip_sockets(open: u64, counts: &[(&'static str, u64)]) {
    #[expect(clippy::cast_precision_loss, reason = "connections are far below 2^52")]
    metrics::SIP_CONNECTIONS.set(open as f64, &[]);
    for (what, count) in counts {
        metrics::SIP_SOCKETS.absolute(*count, &[what]);
    }
}

/// Publishes whether a trunk is registered.
pub fn trunk_registered(trunk: &str, registered: bool) {
    metrics::TRUNK_REGISTERED.set(f64::from(u8::from(registered)), &[trunk]);
}

/// Says once what runs.
pub fn build_info(node: &str) {
    metrics::BUILD_INFO.set(1.0, &[env!("CARGO_PKG_VERSION"), node]);
}

#[cfg(test)]
mod tests;
