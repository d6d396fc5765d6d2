//! From records and notes to log lines and metrics.

use crate::api::gateway::Status;
use crate::call::cause;
use crate::call::outcome::Outcome;
use crate::call::record::{CallRecord, CallType, Direction, HangupParty, Quality};
use crate::net::sip::SocketStats;
use crate::observe::event::{self, Happening as _};
use crate::observe::redact::Number;
use crate::sip::interface::Note;

pub(super) fn created(record: &CallRecord) {
    event::CallCreated {
        call_id: record.id.as_str(),
        instance_id: record.instance_id.as_str(),
        direction: direction(record.direction),
        call_type: call_type(record.call_type),
        trunk: record.trunk.as_deref(),
        to: Number(&record.target_phone),
        from: record.from.as_deref().map(Number),
    }
    .report();
}

pub(super) fn answered(record: &CallRecord, codec: Option<&'static str>) {
    let Some(answered) = record.answered_at else { return };
    event::CallAnswered {
        call_id: record.id.as_str(),
        direction: direction(record.direction),
        setup_seconds: seconds(answered - record.created_at),
        codec,
    }
    .report();
}

pub(super) fn ended(record: &CallRecord) {
    let duration_seconds = record.duration_ms.and_then(|ms| i64::try_from(ms).ok()).map(seconds);
    event::CallEnded {
        call_id: record.id.as_str(),
        instance_id: record.instance_id.as_str(),
        direction: direction(record.direction),
        end_reason: record.end_reason.map_or("error", cause::name),
        sip_code: record.sip_code,
        sip_reason: record.sip_reason.as_deref(),
        sip_call_id: record.sip_call_id.as_deref(),
        trunk: record.trunk.as_deref(),
        hangup_party: record.hangup_party.map(party),
        duration_seconds,
        mos: record.quality.as_ref().and_then(|quality| quality.mos),
    }
    .report();
}

pub(super) fn quality(trunk: Option<&str>, quality: &Quality) {
    let heard = quality.rx_packets > 0;
    let received = event::Way {
        mos: quality.mos,
        loss: heard.then_some(quality.missing),
        jitter: heard.then_some(quality.jitter_ms / 1000.0),
    };
    let sent = event::Way {
        mos: quality.mos_tx,
        loss: quality.loss_tx,
        jitter: quality.jitter_tx_ms.map(|ms| ms / 1000.0),
    };
    let rtt = quality.rtt_ms.map(|ms| ms / 1000.0);
    event::count_quality(trunk.unwrap_or("none"), received, sent, rtt);
}

pub(super) fn outcome(call_id: &str, outcome: &Outcome) {
    let status = serde_json::to_value(outcome.status).ok();
    event::AgentOutcome {
        call_id,
        status: status.as_ref().and_then(|status| status.as_str()).unwrap_or("failed"),
        turns: outcome.turns.len() as u64,
        interruptions: u64::from(outcome.interruptions),
        result: outcome.result.is_some(),
    }
    .report();
}

pub(super) fn sip_note(note: &Note) {
    match note {
        Note::Dropped { remote, why } => event::SipDropped { remote: *remote, why }.report(),
        Note::TrunkState { trunk, up } => event::trunk_state(trunk, *up),
        Note::Registration { .. } | Note::Quarantined { .. } | Note::Banned { .. } => {}
    }
}

/// Publishes what the SIP sockets count.
pub(super) fn sockets(stats: &SocketStats) {
    event::sip_sockets(
        stats.open.get(),
        &[
            ("datagrams_dropped", stats.datagrams_dropped.get()),
            ("unreachable", stats.unreachable.get()),
            ("accepted", stats.accepted.get()),
            ("opened", stats.opened.get()),
            ("refused", stats.refused.get()),
            ("evicted", stats.evicted.get()),
            ("faulted", stats.faulted.get()),
            ("handshakes_failed", stats.handshakes_failed.get()),
        ],
    );
}

/// A target was refused by the rules of its trunk.
pub(super) fn destination_refused(record: &CallRecord, trunk: &str, number: &str) {
    let (instance_id, to) = (record.instance_id.as_str(), Number(number));
    event::DestinationRefused { instance_id, trunk, to }.report();
}

/// Sets the gauges.
pub(super) fn gauges(status: &Status) {
    let count = |name: &'static str| (name, status.calls.get(name).copied().unwrap_or(0));
    event::Snapshot {
        calls: ["QUEUED", "RINGING", "IN_PROGRESS"].map(count).to_vec(),
        sip_transactions: status.sip_transactions,
        sip_dialogs: status.sip_dialogs,
        rtp_ports_used: status.rtp_ports_used,
        rtp_ports_free: status.rtp_ports_free,
        legs: status.legs,
        open_fds: status.open_fds,
        draining: !status.ready,
    }
    .publish();
}

#[expect(clippy::cast_precision_loss, reason = "a call's milliseconds are far below 2^52")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "outbound",
        Direction::Inbound => "inbound",
    }
}

fn call_type(call_type: CallType) -> &'static str {
    match call_type {
        CallType::FixedTts => "FIXED_TTS",
        CallType::FixedAudio => "FIXED_AUDIO",
        CallType::DynamicStream => "DYNAMIC_STREAM",
        CallType::DynamicAgent => "DYNAMIC_AGENT",
    }
}

fn party(party: HangupParty) -> &'static str {
    match party {
        HangupParty::Caller => "caller",
        HangupParty::Callee => "callee",
        HangupParty::Api => "api",
        HangupParty::Gateway => "gateway",
    }
}
