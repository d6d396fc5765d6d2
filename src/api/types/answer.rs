//! Objects as they look in answers: the reference API's fields first, then ours; snake_case, but
//! for `callQueue`, which the reference API spells so.

use crate::api::auth::Grant;
use crate::api::gateway::{CallStats, RegistrationStatus, TrunkStatus};
use crate::api::stamp::iso;
use crate::call::identity::CallIdentity;
use crate::call::outcome::{Outcome, TurnLatency};
use crate::call::record::{
    AnswererView, BargeView, CallRecord, CallStatus, CallType, Direction, EndReason, HangupParty,
    HoldState, MuteState, Quality, StreamState, ToneView, TransferView,
};
use crate::id::{CallId, InstanceId, KeyId, RecordingId};
use crate::store::{CallDefaults, Dedupe, Instance, InstanceSettings, StoredKey};
use crate::turn::barge::BargeWish;
use crate::turn::machine::AmdSpec;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A voice that texts can be spoken with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Voice {
    /// What requests call it.
    pub id: String,
    /// For people.
    pub name: String,
    /// BCP 47.
    pub language: String,
    /// `female`, `male`, or nothing.
    pub gender: Option<String>,
    /// The engine that speaks.
    pub engine: String,
    /// Where it can be heard, if anywhere.
    pub sample_url: Option<String>,
    /// Its own sample rate in Hz.
    pub native_rate: Option<u32>,
}

impl Voice {
    /// A voice of which only id and language are known.
    #[must_use]
    pub fn plain(id: &str, language: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            language: language.to_owned(),
            gender: None,
            engine: "pico".to_owned(),
            sample_url: None,
            native_rate: None,
        }
    }
}

/// An active call in the `callQueue` of its instance.
#[derive(Serialize)]
struct QueuedCall<'a> {
    id: &'a CallId,
    r#type: CallType,
    status: CallStatus,
    target_phone: &'a str,
    created_at: String,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
}

#[derive(Serialize)]
struct CallObject<'a> {
    id: &'a CallId,
    instance_id: &'a InstanceId,
    r#type: CallType,
    status: CallStatus,
    target_phone: &'a str,
    created_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    direction: Direction,
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a CallIdentity>,
    trunk_id: Option<&'a str>,
    attempt: u32,
    scheduled_at: Option<String>,
    ringing_at: Option<String>,
    answered_by: Option<&'a str>,
    answerer: Option<&'a AnswererView>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tones: &'a [ToneView],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    barge_ins: &'a [BargeView],
    end_reason: Option<EndReason>,
    end_detail: Option<&'a str>,
    sip_code: Option<u16>,
    sip_reason: Option<&'a str>,
    q850: Option<u8>,
    sip_call_id: Option<&'a str>,
    hold: HoldState,
    mute: MuteState,
    transfer: Option<&'a TransferView>,
    bridged: bool,
    bridged_with: Option<&'a CallId>,
    hangup_party: Option<HangupParty>,
    duration_ms: Option<u64>,
    billable_ms: Option<u64>,
    queue_position: Option<u32>,
    stream: Option<&'a StreamState>,
    quality: Option<&'a Quality>,
    latency: Option<Value>,
    outcome: Option<&'a Outcome>,
    transcription: Option<Value>,
    recording_ids: Vec<&'a RecordingId>,
    metadata: &'a Map<String, Value>,
    links: Links,
}

/// The call object.
#[must_use]
pub fn call(record: &CallRecord) -> Value {
    let own = format!("/v1/calls/{}", record.id);
    let streams = record.call_type.has_stream() && record.status.is_active();
    let stream = streams.then(|| format!("{own}/stream"));
    let object = CallObject {
        id: &record.id,
        instance_id: &record.instance_id,
        r#type: record.call_type,
        status: record.status,
        target_phone: &record.target_phone,
        created_at: iso(record.created_at),
        started_at: record.answered_at.map(iso),
        ended_at: record.ended_at.map(iso),
        direction: record.direction,
        from: record.from.as_deref(),
        identity: record.identity.as_deref(),
        trunk_id: record.trunk.as_deref(),
        attempt: 1,
        scheduled_at: None,
        ringing_at: record.ringing_at.map(iso),
        answered_by: record.answerer.as_ref().map(|answerer| answerer.answered_by.as_str()),
        answerer: record.answerer.as_deref(),
        tones: &record.tones,
        barge_ins: &record.barge_ins,
        end_reason: record.end_reason,
        end_detail: record.end_detail.as_deref(),
        sip_code: record.sip_code,
        sip_reason: record.sip_reason.as_deref(),
        q850: record.q850,
        sip_call_id: record.sip_call_id.as_deref(),
        hold: record.hold,
        mute: record.mute,
        transfer: record.transfer.as_ref(),
        bridged: record.bridged,
        bridged_with: record.bridged_with.as_ref(),
        hangup_party: record.hangup_party,
        duration_ms: record.duration_ms,
        billable_ms: record.duration_ms,
        queue_position: record.queue_position,
        stream: record.stream.as_ref(),
        quality: record.quality.as_ref(),
        latency: record.outcome.as_deref().and_then(latency),
        outcome: record.outcome.as_deref(),
        transcription: record.transcription.as_deref().map(|transcription| {
            json!({
                "status": transcription.status,
                "reason": transcription.reason,
                "engine": transcription.engine,
            })
        }),
        recording_ids: record.recordings.iter().map(|recording| &recording.id).collect(),
        metadata: &record.metadata,
        links: Links { own, stream },
    };
    serde_json::to_value(object).unwrap_or_default()
}

/// What the caller waited for answers, over the call's exchanges.
fn latency(outcome: &Outcome) -> Option<Value> {
    let sorted = |of: fn(&TurnLatency) -> Option<u64>| {
        let mut waits: Vec<u64> = outcome.turns.iter().filter_map(of).collect();
        waits.sort_unstable();
        waits
    };
    let quantile = |waits: &[u64], percent: usize| {
        waits.get((waits.len() * percent / 100).min(waits.len().saturating_sub(1))).copied()
    };
    let response = sorted(|turn| turn.first_rtp_ms);
    let gateway = sorted(|turn| turn.gateway_ms);
    quantile(&response, 50)?;
    Some(json!({
        "response_p50_ms": quantile(&response, 50),
        "response_p95_ms": quantile(&response, 95),
        "gateway_p50_ms": quantile(&gateway, 50),
        "gateway_p95_ms": quantile(&gateway, 95),
    }))
}

/// The body of `GET /calls/{id}/transcript`.
#[must_use]
pub fn transcript(record: &CallRecord) -> Value {
    let heard = record.transcription.as_deref();
    let agent = record.outcome.as_deref().map(|outcome| &outcome.transcript);
    json!({
        "call_id": record.id,
        "status": heard.map(|heard| heard.status),
        "reason": heard.map_or(Some("the call asked for no transcript"), |heard| {
            heard.reason.as_deref()
        }),
        "engine": heard.and_then(|heard| heard.engine.as_deref()),
        "lines": agent.or(heard.map(|heard| &heard.lines)),
        "dropped": heard.map_or(0, |heard| heard.dropped),
    })
}

/// The body of `GET /calls/{id}/stats`; `live`: what its media counts at this moment.
#[must_use]
pub fn stats(record: &CallRecord, live: Option<&CallStats>) -> Value {
    json!({
        "call_id": record.id,
        "status": record.status,
        "quality": live.map_or(record.quality.as_ref(), |live| live.quality.as_ref()),
        "hole_wait_ms": live.and_then(|live| live.hole_wait_ms),
        "stages": live.and_then(|live| live.stages),
    })
}

/// The trunk object; `whole`: with its registration and gateways.
#[must_use]
pub fn trunk(trunk: &TrunkStatus, whole: bool) -> Value {
    let gateways = trunk.gateways.iter().map(|gateway| {
        let until = gateway.until.map(iso);
        json!({"address": gateway.address, "state": gateway.state, "until": until})
    });
    let mut object = json!({
        "name": trunk.name,
        "state": trunk.state,
        "active_calls": trunk.active_calls,
        "codecs": trunk.codecs,
    });
    if whole {
        object["registration"] = trunk.registration.as_ref().map_or(Value::Null, registration);
        object["gateways"] = gateways.collect();
    }
    object
}

/// Where a registration stands.
#[must_use]
pub fn registration(status: &RegistrationStatus) -> Value {
    json!({
        "state": status.state,
        "expires_at": status.expires_at.map(iso),
        "retry_at": status.retry_at.map(iso),
        "detail": status.detail,
    })
}

#[derive(Serialize)]
struct InstanceObject<'a> {
    id: &'a InstanceId,
    name: &'a str,
    status: &'a str,
    metadata: &'a Map<String, Value>,
    created_at: String,
    updated_at: String,
    trunk_id: Option<&'a str>,
    caller_id: Option<&'a str>,
    max_active_calls: u32,
    queue_limit: u32,
    dedupe: Dedupe,
    defaults: Value,
    source: &'a str,
    #[serde(rename = "callQueue", skip_serializing_if = "Option::is_none")]
    call_queue: Option<Vec<Value>>,
}

/// The instance object; `queue` only where one instance is shown.
#[must_use]
pub fn instance(instance: &Instance, status: &str, queue: Option<&[CallRecord]>) -> Value {
    let queued = |record: &'_ CallRecord| -> Value {
        let call = QueuedCall {
            id: &record.id,
            r#type: record.call_type,
            status: record.status,
            target_phone: &record.target_phone,
            created_at: iso(record.created_at),
        };
        serde_json::to_value(call).unwrap_or_default()
    };
    let object = InstanceObject {
        id: &instance.id,
        name: &instance.name,
        status,
        metadata: &instance.metadata,
        created_at: iso(instance.created_at),
        updated_at: iso(instance.updated_at),
        trunk_id: instance.settings.trunk.as_deref(),
        caller_id: instance.settings.caller_id.as_deref(),
        max_active_calls: instance.settings.max_active_calls,
        queue_limit: instance.settings.queue_limit,
        dedupe: instance.settings.dedupe,
        defaults: defaults(&instance.settings),
        source: instance.source.as_str(),
        call_queue: queue.map(|queue| queue.iter().map(queued).collect()),
    };
    serde_json::to_value(object).unwrap_or_default()
}

/// What an instance says where a call does not; null is as elsewhere.
fn defaults(settings: &InstanceSettings) -> Value {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let CallDefaults { barge_in, amd } = settings.defaults;
    let on = barge_in.on_speech.is_some() || barge_in.on_keys.is_some();
    let kinds = [("speech", barge_in.on_speech), ("dtmf", barge_in.on_keys)];
    let on = on.then(|| {
        let named = kinds.into_iter().filter(|(_, on)| *on == Some(true));
        named.map(|(name, _)| name).collect::<Vec<_>>()
    });
    let late = |confirm| if confirm { "confirm" } else { "reject" };
    let barge = (barge_in != BargeWish::default()).then(|| {
        json!({
            "mode": barge_in.mode,
            "on": on,
            "debounce_ms": barge_in.debounce.map(ms),
            "decision_ms": barge_in.decision.map(ms),
            "on_timeout": barge_in.confirm_late.map(late),
        })
    });
    let amd = amd.map(|AmdSpec { sync, action, machine }| {
        json!({
            "mode": if sync { "sync" } else { "async" },
            "action": action.as_str(),
            "beep": machine.beep,
            "initial_silence_ms": ms(machine.initial_silence),
            "greeting_ms": ms(machine.greeting),
            "after_greeting_silence_ms": ms(machine.after_greeting_silence),
            "total_ms": ms(machine.total),
            "min_word_ms": ms(machine.min_word),
            "beep_timeout_ms": ms(machine.beep_timeout),
        })
    });
    let mut shown = json!({"barge_in": barge, "amd": amd});
    if let Some(stream) = &settings.stream {
        shown["stream"] = shown_stream(stream);
    }
    shown
}

/// What an instance says of its streams, without what its clients are authenticated with.
fn shown_stream(stream: &Map<String, Value>) -> Value {
    let mut stream = stream.clone();
    stream.remove("auth");
    Value::Object(stream)
}

#[derive(Serialize)]
struct KeyObject<'a> {
    id: &'a KeyId,
    name: &'a str,
    scopes: Vec<&'a str>,
    instance_ids: Vec<String>,
    source: &'a str,
    created_at: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

/// A key that was made by a request; never with its secret.
#[must_use]
pub fn stored_key(key: &StoredKey) -> Value {
    let object = KeyObject {
        id: &key.id,
        name: &key.name,
        scopes: key.scopes.iter().map(String::as_str).collect(),
        instance_ids: key.instance_ids.clone(),
        source: "api",
        created_at: Some(iso(key.created_at)),
        expires_at: key.expires_at.map(iso),
        last_used_at: key.last_used_at.map(iso),
    };
    serde_json::to_value(object).unwrap_or_default()
}

/// A key of the configuration file.
#[must_use]
pub fn config_key(grant: &Grant) -> Value {
    let object = KeyObject {
        id: &grant.key,
        name: &grant.name,
        scopes: grant.scopes.names(),
        instance_ids: grant.instances.names(),
        source: "config",
        created_at: None,
        expires_at: None,
        last_used_at: None,
    };
    serde_json::to_value(object).unwrap_or_default()
}
