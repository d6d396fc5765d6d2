//! The call object: everything that REST, the store and the stream say about one call.
//!
//! Owns names and their mapping to the five statuses of the reference API. Holds no behaviour.

use super::identity::CallIdentity;
use super::outcome::{Outcome, Transcription};
use super::recording::RecordingView;
use crate::audio::progress::HeardTone;
use crate::id::{CallId, InstanceId};
use crate::media::interface::LegReport;
use serde::{Deserialize, Serialize};

/// The four call types of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CallType {
    /// Text is synthesised and played once.
    FixedTts,
    /// An audio file is played once.
    FixedAudio,
    /// A WebSocket client sends and hears live audio.
    DynamicStream,
    /// An agent conducts the call.
    DynamicAgent,
}

impl CallType {
    /// Whether a WebSocket client can attach: to talk, or to watch an agent.
    #[must_use]
    pub fn has_stream(self) -> bool {
        match self {
            Self::DynamicStream | Self::DynamicAgent => true,
            Self::FixedTts | Self::FixedAudio => false,
        }
    }
}

/// The five statuses that clients of the reference API know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CallStatus {
    /// Waiting for its turn.
    Queued,
    /// Dialling, ringing or early media.
    Ringing,
    /// Answered.
    InProgress,
    /// Ended by normal clearing after an answer.
    Completed,
    /// Everything else, ended by the API included.
    Failed,
}

impl CallStatus {
    /// Whether the call is still going on.
    #[must_use]
    pub fn is_active(self) -> bool {
        match self {
            Self::Queued | Self::Ringing | Self::InProgress => true,
            Self::Completed | Self::Failed => false,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Ringing => "RINGING",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// We dialled.
    Outbound,
    /// The carrier called us.
    Inbound,
}

/// Why a call ended; stable names of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// What was to be played was played, and we hung up.
    Completed,
    /// The caller of an inbound call hung up.
    CallerHangup,
    /// The callee of an outbound call hung up.
    CalleeHangup,
    /// DELETE, or `hangup` on the stream.
    TerminatedByApi,
    /// Ended before the answer.
    Canceled,
    /// 486, 600.
    Busy,
    /// 408, 480, or nobody picked up within the ring timeout.
    NoAnswer,
    /// 403, 603, 607 and other refusals.
    Rejected,
    /// 404, 410, 484, 604.
    InvalidNumber,
    /// Not in the trunk's `allow`, or in its `deny`.
    DestinationNotAllowed,
    /// 503, 486-like network refusals (Q.850 34, 42), or our own limits.
    Congestion,
    /// No gateway of the trunk could be reached.
    TrunkDown,
    /// No RTP and no RTCP for `rtp.timeout`.
    MediaTimeout,
    /// The stream client did not come, or went away for too long.
    StreamLost,
    /// `maxDuration` reached.
    MaxDuration,
    /// An answering machine was found and the call asked to hang up on one.
    AmdMachine,
    /// Handed over to another party.
    Transfer,
    /// Anything that is our or an engine's fault.
    Error,
}

/// Who sent the last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangupParty {
    /// The calling side.
    Caller,
    /// The called side.
    Callee,
    /// The API's user.
    Api,
    /// The gateway itself.
    Gateway,
}

/// Who holds the call: its sound does not flow both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HoldState {
    /// We do, as the API asked.
    pub local: bool,
    /// The other side does.
    pub peer: bool,
}

/// Which sound of the call is replaced by silence, as the API asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MuteState {
    /// Ours: the other side does not hear it.
    pub playout: bool,
    /// The other side's: stream, agent and transcript do not hear it.
    pub capture: bool,
}

/// How a call is handed over to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferMode {
    /// The other side is asked to call them (REFER).
    Blind,
    /// The same, and their call takes the place of another one of ours (REFER with Replaces).
    Attended,
    /// We call them, and both calls are joined here.
    Bridge,
    /// The other side asked us to call them in its place.
    Referred,
}

impl TransferMode {
    /// What may be asked for, by its name on the wire.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Blind, Self::Attended, Self::Bridge].into_iter().find(|mode| mode.as_str() == name)
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Attended => "attended",
            Self::Bridge => "bridge",
            Self::Referred => "referred",
        }
    }
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferPhase {
    /// Asked for.
    Requested,
    /// The other side takes it on.
    Accepted,
    /// It rings at the target.
    Ringing,
    /// The target answered.
    Succeeded,
    /// It came to nothing; the call goes on.
    Failed,
}

impl TransferPhase {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Accepted => "accepted",
            Self::Ringing => "ringing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// The last transfer of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferView {
    /// The number or URI.
    pub to: String,
    /// How.
    pub mode: TransferMode,
    /// How far it is.
    pub state: TransferPhase,
    /// The last SIP status that was heard of it.
    pub code: Option<u16>,
}

/// State of the stream of a DYNAMIC_STREAM call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamState {
    /// Whether a client is attached.
    pub connected: bool,
    /// `cawme` (bare URL) or `native`.
    pub protocol: Option<String>,
    /// Rate of the caller audio sent to the client.
    pub rate: Option<u32>,
    /// Where the client is dialled, without the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why it was not reached, or what it broke off with, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Quality of the call's media, both directions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    /// E-model MOS of what we heard, from loss after the jitter buffer (G.107); at most 4.41.
    pub mos: Option<f64>,
    /// The same of what the other side hears, from its RTCP reports: loss before its jitter
    /// buffer, and silence in the place of what is lost.
    pub mos_tx: Option<f64>,
    /// What the other side says of that itself (RTCP XR).
    pub mos_told: Option<f64>,
    /// Share of packets lost on the way to us, 0 to 1.
    pub loss: f64,
    /// Share of packets that were not there when they were due behind the jitter buffer, lost or
    /// late: what was concealed.
    pub missing: f64,
    /// How much longer runs of these are than random ones of the same share; 1 or more.
    pub burst_ratio: f64,
    /// Share of our packets that the other side has lost, as it reports.
    pub loss_tx: Option<f64>,
    /// Interarrival jitter of our packets at the other side, as it reports.
    pub jitter_tx_ms: Option<f64>,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: f64,
    /// Round-trip time by RTCP.
    pub rtt_ms: Option<f64>,
    /// Times playout ran dry in the middle of something.
    pub underruns: u64,
    /// RTP packets received.
    pub rx_packets: u64,
    /// RTP packets sent.
    pub tx_packets: u64,
    /// Milliseconds of concealment that we made.
    pub concealed_ms: u64,
    /// Milliseconds of application audio that really left.
    pub played_ms: u64,
    /// Median lateness of our packets against their beat.
    pub pacing_p50_ms: f64,
    /// 99th percentile of the same.
    pub pacing_p99_ms: f64,
    /// Codec name, e.g. `PCMU`.
    pub codec: Option<String>,
}

impl Quality {
    /// Derives quality from a leg's counters.
    ///
    /// MOS: ITU-T G.107 with Ie 0 and Bpl 25.1 (G.711 with concealment).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn from_report(report: &LegReport, codec: Option<&str>, sample_rate: u32) -> Self {
        let lost = report.rx_lost + report.rx_late;
        let expected = report.rx_packets + lost;
        let loss = share(lost, expected);
        let missing = share(report.rx_missing, report.rx_due);
        let run = share(report.rx_missing, report.rx_missing_runs);
        let burst_ratio = (run * (1.0 - missing)).max(1.0);
        // The leg's own score knows the delay; a short call has none yet.
        let known = |mos: f64| Some(mos).filter(|mos| *mos > 0.0);
        let short = || (report.rx_packets > 0).then(|| mos_g711(missing * 100.0, burst_ratio));
        let told = known(report.mos_tx).is_some();
        Self {
            mos: known(report.mos_rx).or_else(short),
            mos_tx: known(report.mos_tx),
            mos_told: known(report.mos_told),
            loss,
            missing,
            burst_ratio,
            loss_tx: told.then(|| share(report.remote_lost, report.tx_packets)),
            jitter_tx_ms: told.then_some(report.remote_jitter_us as f64 / 1000.0),
            jitter_ms: report.rx_jitter_us as f64 / 1000.0,
            rtt_ms: (report.rtt_us > 0).then_some(report.rtt_us as f64 / 1000.0),
            underruns: report.tx_underruns,
            rx_packets: report.rx_packets,
            tx_packets: report.tx_packets,
            concealed_ms: report.rx_concealed_ms,
            played_ms: report.tx_played_samples * 1000 / u64::from(sample_rate.max(1)),
            pacing_p50_ms: report.tx_late_p50_us as f64 / 1000.0,
            pacing_p99_ms: report.tx_late_p99_us as f64 / 1000.0,
            codec: codec.map(str::to_owned),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// MOS-CQ of G.711 with concealment at this loss in percent (ITU-T G.107, Annex B).
fn mos_g711(loss_percent: f64, burst_ratio: f64) -> f64 {
    let impairment = 95.0 * loss_percent / (loss_percent / burst_ratio.max(1.0) + 25.1);
    let r = (93.2 - impairment).clamp(0.0, 100.0);
    1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)
}

/// Who answered, as far as could be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswererView {
    /// `human`, `machine` or `unknown`.
    pub answered_by: String,
    /// How sure that is, 0 to 1.
    pub confidence: f32,
    /// By what.
    pub reason: String,
    /// Where the beep ended that was waited for, in the other party's samples since the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beep_ms: Option<u64>,
}

/// A voice or key of the other party while a prompt was played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BargeView {
    /// `speech` or `dtmf`.
    pub by: String,
    /// What came of it: `notified`, `cleared` or, after a pause, `resumed`.
    pub action: String,
    /// The first sound of a voice, in the other party's samples since the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_ms: Option<u64>,
    /// What of the prompt had left by then: at the clear, or during the pause.
    pub played_ms: u64,
}

/// Interruptions of one call that are remembered.
pub const BARGES_MAX: usize = 8;

/// A tone of the network that was heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToneView {
    /// `ringback`, `busy`, `reorder`, `sit`, `dial`, `fax_cng`, `fax_ced` or `fax_ansam`.
    pub kind: String,
    /// How sure that is, 0 to 1.
    pub confidence: f32,
    /// By what.
    pub reason: String,
    /// Its first sample, in the other party's samples since the answer.
    pub position_ms: u64,
}

impl ToneView {
    /// Of a tone whose first sample lay there.
    #[must_use]
    pub fn new(tone: &HeardTone, position_ms: u64) -> Self {
        Self {
            kind: tone.kind.as_str().to_owned(),
            confidence: tone.confidence,
            reason: tone.reason.to_owned(),
            position_ms,
        }
    }
}

/// Tones of one call that are remembered.
pub const TONES_MAX: usize = 8;

/// One call, also after its end and also when it was never answered. Times are milliseconds
/// since the Unix epoch; they are labels, durations come from the monotonic clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The id.
    pub id: CallId,
    /// The line it belongs to.
    pub instance_id: InstanceId,
    /// Its type.
    pub call_type: CallType,
    /// Its status.
    pub status: CallStatus,
    /// The number that was or is to be dialled (inbound: the number that was called).
    pub target_phone: String,
    /// Who called whom.
    pub direction: Direction,
    /// Our number (inbound: the caller's).
    pub from: Option<String>,
    /// The trunk.
    pub trunk: Option<String>,
    /// Name of the API key that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When ringing was first heard of.
    pub ringing_at: Option<i64>,
    /// When it was answered (the reference API's `started_at`).
    pub answered_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Answer to end.
    pub duration_ms: Option<u64>,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// More about the end, for people; `restart` when the gateway did not live to see it.
    #[serde(default)]
    pub end_detail: Option<String>,
    /// The last SIP status of the INVITE.
    pub sip_code: Option<u16>,
    /// Its reason phrase.
    pub sip_reason: Option<String>,
    /// The Q.850 cause that the carrier gave for the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q850: Option<u8>,
    /// Call-ID of the SIP dialog.
    pub sip_call_id: Option<String>,
    /// Who holds it.
    #[serde(default)]
    pub hold: HoldState,
    /// What is muted.
    #[serde(default)]
    pub mute: MuteState,
    /// Its last transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferView>,
    /// The call that it is or was last joined with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridged_with: Option<CallId>,
    /// Whether it is joined with it at this moment.
    #[serde(default)]
    pub bridged: bool,
    /// Who hung up.
    pub hangup_party: Option<HangupParty>,
    /// Place in the instance's queue, 1 is next; only while QUEUED.
    pub queue_position: Option<u32>,
    /// The stream, for DYNAMIC_STREAM.
    pub stream: Option<StreamState>,
    /// Media quality, live or final.
    pub quality: Option<Quality>,
    /// The caller's words, when somebody was to write them down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcription: Option<Box<Transcription>>,
    /// Who answered, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answerer: Option<Box<AnswererView>>,
    /// The first tones of the network that were heard, at most [`TONES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tones: Vec<ToneView>,
    /// The first voices and keys that came while a prompt was played, at most [`BARGES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub barge_ins: Vec<BargeView>,
    /// Its recordings, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<RecordingView>,
    /// What an agent brought home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Box<Outcome>>,
    /// Who calls, as the network says; only of an incoming call of which it says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Box<CallIdentity>>,
    /// Header fields of an incoming INVITE whose names begin with `X-`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub sip_headers: serde_json::Map<String, serde_json::Value>,
    /// Whether its sound is encrypted on the wire; known with the first agreement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srtp: Option<bool>,
    /// The user's own object, returned as it came.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl CallRecord {
    /// The record of a call that was just made: QUEUED, nothing known yet.
    #[must_use]
    pub fn new(
        id: CallId,
        instance_id: InstanceId,
        call_type: CallType,
        target_phone: String,
        direction: Direction,
        created_at: i64,
    ) -> Self {
        Self {
            id,
            instance_id,
            call_type,
            status: CallStatus::Queued,
            target_phone,
            direction,
            from: None,
            trunk: None,
            key: None,
            created_at,
            ringing_at: None,
            answered_at: None,
            ended_at: None,
            duration_ms: None,
            end_reason: None,
            end_detail: None,
            sip_code: None,
            sip_reason: None,
            q850: None,
            sip_call_id: None,
            sip_headers: serde_json::Map::new(),
            srtp: None,
            hold: HoldState::default(),
            mute: MuteState::default(),
            transfer: None,
            bridged_with: None,
            bridged: false,
            hangup_party: None,
            queue_position: None,
            stream: None,
            quality: None,
            transcription: None,
            answerer: None,
            tones: Vec::new(),
            barge_ins: Vec::new(),
            recordings: Vec::new(),
            outcome: None,
            identity: None,
            metadata: serde_json::Map::new(),
        }
    }
}

impl CallRecord {
    /// Writes down how far a recording is.
    pub fn note_recording(&mut self, view: RecordingView) {
        match self.recordings.iter_mut().find(|known| known.id == view.id) {
            Some(known) => *known = view,
            None => self.recordings.push(view),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mos_has_the_known_ceiling_and_falls_with_loss() {
        assert!((mos_g711(0.0, 1.0) - 4.409).abs() < 0.01);
        assert!(mos_g711(5.0, 1.0) < 4.1 && mos_g711(20.0, 1.0) < 3.0);
        let report = LegReport { rx_packets: 95, rx_lost: 5, ..LegReport::default() };
        let quality = Quality::from_report(&report, Some("PCMU"), 8000);
        assert!((quality.loss - 0.05).abs() < 1e-9);
    }

    #[test]
    fn what_was_concealed_is_what_counts_and_bursts_count_more() {
        let heard = |rx_lost, rx_missing, rx_missing_runs| {
            let counts = LegReport { rx_packets: 100, rx_due: 100, ..LegReport::default() };
            let report = LegReport { rx_lost, rx_missing, rx_missing_runs, ..counts };
            Quality::from_report(&report, None, 8000)
        };
        // Lost on the way, and there by redundancy when it was due.
        let repaired = heard(10, 0, 0);
        assert!(repaired.loss > 0.0 && repaired.mos > Some(4.4), "{repaired:?}");
        let (random, burst) = (heard(6, 6, 6), heard(6, 6, 1));
        assert!((random.missing - 0.06).abs() < 1e-9 && (burst.burst_ratio - 5.64).abs() < 1e-9);
        assert!(burst.mos < random.mos && random.mos < repaired.mos, "{burst:?} {random:?}");
    }

    #[test]
    fn what_the_other_side_hears_is_known_only_when_it_reports() {
        let silent = LegReport { tx_packets: 200, ..LegReport::default() };
        let quality = Quality::from_report(&silent, None, 8000);
        assert_eq!((quality.mos_tx, quality.loss_tx, quality.jitter_tx_ms), (None, None, None));
        let told = LegReport { mos_tx: 3.5, remote_lost: 10, remote_jitter_us: 7000, ..silent };
        let quality = Quality::from_report(&told, None, 8000);
        assert_eq!((quality.mos_tx, quality.loss_tx), (Some(3.5), Some(0.05)));
        assert_eq!(quality.jitter_tx_ms, Some(7.0));
    }
}
