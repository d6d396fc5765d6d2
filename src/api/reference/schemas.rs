//! Bodies of REST as JSON Schema (draft 2020-12, as OpenAPI 3.1 has it).
//!
//! Requests in camelCase, answers in snake_case. Sections that are refused in this version are left
//! out: a document promises what is served.

use super::query::QUERY;
use crate::api::error::Code;
use crate::api::types::create::{STREAM_PARAMETERS, is_switch};
use serde_json::{Map, Value, json};

/// All schemas, by name.
pub(super) fn schemas() -> Value {
    let mut all = Map::new();
    for part in [
        creating(),
        sections(),
        streams(),
        listening(),
        controls(),
        lines(),
        call(),
        parts(),
        measured(),
        lists(),
    ] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    all.into()
}

fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn or_null(kind: &str, about: &str) -> Value {
    json!({ "type": [kind, "null"], "description": about })
}

fn number(least: u32, most: u32, about: &str) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most, "description": about })
}

fn toggle(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

fn word(words: &[&str], about: &str) -> Value {
    json!({ "type": "string", "enum": words, "description": about })
}

fn texts(about: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": about })
}

fn free(about: &str) -> Value {
    json!({ "type": "object", "description": about, "additionalProperties": true })
}

fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn refer_or_null(name: &str) -> Value {
    json!({ "oneOf": [refer(name), { "type": "null" }] })
}

fn closed(required: &[&str], properties: &Value) -> Value {
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

const MOMENT: &str = "RFC 3339 in UTC.";

/// What makes a call.
fn creating() -> Value {
    let properties = json!({
        "instanceId": text("The instance, `inst_…`."),
        "type": word(&["FIXED_TTS", "FIXED_AUDIO", "DYNAMIC_STREAM", "DYNAMIC_AGENT"],
            "Which of `tts`, `audio`, `stream` and `agent` belongs to the call."),
        "target": refer("Target"),
        "tts": refer("Tts"),
        "audio": refer("Audio"),
        "stream": refer("Stream"),
        "agent": refer("Agent"),
        "from": text("The number that is shown."),
        "fromName": text("The name that is shown, at most 64 characters."),
        "trunkId": text("The trunk, instead of the instance's."),
        "ringTimeout": number(5, 180, "Seconds that it may ring (60)."),
        "maxDuration": number(1, 86_400, "Seconds that it may last (14,400)."),
        "metadata": free("Yours, at most 16 KiB."),
        "background": {
            "description": "A track beneath everything: its name, `off`, or more.",
            "oneOf": [{ "type": "string" }, closed(&["source"], &json!({
                "source": text("Its name."),
                "gainDb": { "type": "number", "description": "How loud." },
                "duckDb": { "type": "number", "description": "How much quieter under speech." },
            }))],
        },
        "transcribe": refer("Transcribe"),
        "amd": refer("Amd"),
        "bargeIn": refer("BargeIn"),
        "startOn": word(&["answer", "speech_end"], "When what is played begins (answer)."),
    });
    let target = json!({
        "phoneNumber": { "type": "string", "pattern": "^\\+[1-9][0-9]{6,14}$",
            "description": "E.164." },
        "sipUri": text("Instead of a number; needs the scope `calls:sip`."),
        "headers": free("At most 32 header fields of the INVITE, names beginning with `X-`."),
    });
    json!({
        "CreateCall": closed(&["instanceId", "type", "target"], &properties),
        "Target": closed(&[], &target),
        "ChangeCall": closed(&[], &json!({ "metadata": free("Replaces what was there.") })),
    })
}

/// What a call does, by its type.
fn sections() -> Value {
    json!({
        "Tts": closed(&["text", "voiceId"], &json!({
            "text": text("What is said, at most 5,000 characters."),
            "voiceId": text("A voice of `GET /v1/voices`, or `engine:voice`."),
            "repeat": number(1, 10, "How often (1)."),
            "ssml": toggle("The text is SSML, a subset."),
            "speed": { "type": "number", "minimum": 0.5, "maximum": 2 },
        })),
        "Audio": closed(&["audioBase64"], &json!({
            "audioBase64": text("MP3 or WAV in base64."),
            "repeat": number(0, 10, "How often (1); 0: until the call ends."),
        })),
        "Agent": closed(&[], &json!({
            "instructions": texts("1 to 64 texts of at most 2,000 characters."),
            "backend": text("The profile, or `script`."),
            "model": text("Instead of the profile's."),
            "voiceId": text("Instead of the profile's."),
            "language": text("BCP 47."),
            "greeting": text("The first words."),
            "disclosure": text("What must be said at the beginning."),
            "tools": texts("Names of tools that it may use."),
            "firstSpeaker": word(&["agent", "caller", "callee"], "Who speaks first."),
            "resultSchema": { "description": "JSON Schema of the result." },
            "voicemail": text("What becomes of a machine that answers."),
            "maxDuration": number(5, 86_400, "Seconds."),
            "maxTurns": number(1, 10_000, "Turns."),
            "onEnd": word(&["hangup"], "What follows its end."),
            "steps": { "type": "array", "items": {}, "description": "A playbook, of `script`." },
            "script": { "description": "A whole playbook, of `script`." },
        })),
        "Transcribe": closed(&[], &json!({
            "backend": text("The engine (the first)."),
            "language": text("BCP 47."),
            "partials": toggle("Also words that may change."),
            "tracks": texts("`caller`."),
            "phrases": texts("Words that are expected."),
        })),
    })
}

/// The client of a stream: of one call, and what an instance says of it. What may stand in the
/// query of an upgrade is declared there.
fn streams() -> Value {
    let mut usual = Map::new();
    let mut reconnect = Map::new();
    for (name, parameter) in STREAM_PARAMETERS {
        let Some(field) = QUERY.iter().find(|field| field.name == parameter) else { continue };
        let schema = if is_switch(name) { toggle(field.about) } else { field.schema() };
        match name.strip_prefix("reconnect/") {
            Some(name) => reconnect.insert(name.to_owned(), schema),
            None => usual.insert(name.to_owned(), schema),
        };
    }
    let ours = [
        ("reconnect", refer("StreamReconnect")),
        ("parameters", free("Told to the client in `start`; at most 16 KiB.")),
        ("url", or_null("string", "Where we dial the client, `ws` or `wss`; null: it attaches.")),
        ("auth", refer("StreamAuth")),
        ("connect", word(&["answer", "early"], "When we dial it (answer).")),
    ];
    usual.extend(ours.map(|(name, schema)| (name.to_owned(), schema)));
    let defaults = closed(&[], &usual.clone().into());
    let wait = number(0, 3_600_000, "How long an answered call waits for it (10,000).");
    usual.insert("waitMs".to_owned(), wait);
    json!({
        "Stream": closed(&[], &usual.into()),
        "StreamDefaults": defaults,
        "StreamReconnect": closed(&[], &reconnect.into()),
        "StreamAuth": closed(&[], &json!({
            "bearer": text("Sent as `Authorization: Bearer`."),
            "headers": free("At most 32: `Authorization`, and names beginning with `X-`."),
            "mtls": text("The `[[tls_profile]]` of the configuration."),
        })),
    })
}

/// How a call listens.
fn listening() -> Value {
    json!({
        "Amd": closed(&[], &json!({
            "mode": word(&["off", "async", "sync"], "Whether a prompt waits for the verdict."),
            "action": word(&["report", "hangup", "leave_message"], "What becomes of a machine."),
            "beep": toggle("Taken; a beep always counts."),
            "initialSilenceMs": number(500, 30_000, "Silence that is a machine's."),
            "greetingMs": number(300, 10_000, "A longer greeting is a machine's."),
            "afterGreetingSilenceMs": number(200, 5_000, "So much silence makes a short greeting a person's."),
            "totalMs": number(1000, 60_000, "Then the verdict is unknown."),
            "minWordMs": number(50, 1000, "What is shorter is no word."),
            "beepTimeoutMs": number(1000, 60_000, "How long a beep is waited for."),
        })),
        "BargeIn": closed(&[], &json!({
            "mode": word(&["off", "notify", "clear", "pause"], "What the caller's voice does."),
            "on": texts("`speech`, `dtmf`; both."),
            "debounceMs": number(60, 2000, "How long a voice must last."),
            "decisionMs": number(100, 10_000, "How long a pause waits."),
            "onTimeout": word(&["confirm", "reject"], "What a pause without decision becomes."),
        })),
    })
}

/// What is asked of a call in its middle.
fn controls() -> Value {
    let policy =
        || word(&["continue", "hangup"], "What becomes of the call when the other one ends.");
    json!({
        "Reject": closed(&[], &json!({
            "sipCode": number(400, 699, "The SIP status (603)."),
            "reason": text("One line."),
        })),
        "EarlyMedia": closed(&[], &json!({
            "tone": word(&["ringback", "busy", "reorder", "sit", "dial", "none"], "Of ours (none)."),
            "country": text("Whose tones: see docs/api.md."),
        })),
        "Mute": closed(&[], &json!({
            "direction": word(&["playout", "capture", "both"], "What is silenced (playout)."),
        })),
        "Keys": closed(&["digits"], &json!({
            "digits": text("Of 0-9, *, #, A-D."),
            "durationMs": number(40, 5000, "Of each (100)."),
            "gapMs": number(20, 5000, "Between them (60)."),
            "method": word(&["auto", "rfc4733", "info", "inband"], "How they are sent."),
        })),
        "Transfer": closed(&["to"], &json!({
            "to": text("A number, or a SIP URI."),
            "mode": word(&["blind", "attended", "bridge"], "How (blind)."),
            "replacesCallId": text("The call that an attended transfer replaces."),
            "headers": free("Header fields of the REFER or INVITE."),
            "timeout": number(5, 180, "Seconds (45)."),
            "onPeerHangup": policy(),
        })),
        "Bridge": closed(&["callId"], &json!({
            "callId": text("The call to be joined with."),
            "onPeerHangup": policy(),
        })),
    })
}

/// Instances and keys in requests.
fn lines() -> Value {
    let instance = json!({
        "name": text("For people, 1 to 200 characters."),
        "metadata": free("Yours, at most 16 KiB."),
        "trunkId": text("The trunk of its calls."),
        "callerId": text("The number that is shown."),
        "maxActiveCalls": number(1, 10_000, "Calls at once."),
        "queueLimit": number(0, 100_000, "Calls that may wait."),
        "dedupe": word(&["instance", "target", "off"], "Which active call is given instead of a new one."),
        "defaults": refer("Defaults"),
    });
    json!({
        "CreateInstance": closed(&["name"], &instance),
        "ChangeInstance": closed(&[], &instance),
        "Defaults": closed(&[], &json!({
            "bargeIn": refer("BargeIn"),
            "amd": refer("Amd"),
            "stream": refer("StreamDefaults"),
        })),
        "CreateKey": closed(&["name", "scopes"], &json!({
            "name": text("For people."),
            "scopes": texts("What it may do."),
            "instanceIds": texts("On which instances; all."),
            "expiresAt": or_null("string", MOMENT),
        })),
    })
}

/// The call object.
fn call() -> Value {
    let mut fields = call_core();
    fields.extend(call_more());
    let fields: Map<String, Value> =
        fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect();
    json!({ "Call": { "type": "object", "properties": fields } })
}

/// What a call is, and how far it has got.
fn call_core() -> Vec<(&'static str, Value)> {
    vec![
        ("id", text("`call_…`")),
        ("instance_id", text("`inst_…`")),
        ("type", text("As requested.")),
        (
            "status",
            word(
                &["QUEUED", "RINGING", "IN_PROGRESS", "COMPLETED", "FAILED"],
                "For ever these five.",
            ),
        ),
        ("target_phone", text("The other party.")),
        ("created_at", text(MOMENT)),
        ("started_at", or_null("string", "When it was answered.")),
        ("ended_at", or_null("string", MOMENT)),
        ("direction", word(&["inbound", "outbound"], "Who called.")),
        ("from", or_null("string", "The calling number.")),
        ("identity", free("Who calls, and whether that is verified; of incoming calls.")),
        ("trunk_id", or_null("string", "The trunk.")),
        ("attempt", number(1, 1, "Which.")),
        ("scheduled_at", or_null("string", MOMENT)),
        ("ringing_at", or_null("string", MOMENT)),
        ("answered_by", or_null("string", "`human`, `machine` or `unknown`.")),
        ("answerer", or_null("object", "The verdict, its confidence and reason.")),
        (
            "tones",
            json!({ "type": "array", "items": { "type": "object" }, "description": "Of the network." }),
        ),
        (
            "barge_ins",
            json!({ "type": "array", "items": { "type": "object" }, "description": "Of the caller." }),
        ),
        ("end_reason", or_null("string", "See docs/causes.md.")),
        ("end_detail", or_null("string", "More about it.")),
        ("sip_code", or_null("integer", "The last SIP status.")),
    ]
}

/// How it went.
fn call_more() -> Vec<(&'static str, Value)> {
    vec![
        ("sip_reason", or_null("string", "Its words.")),
        ("q850", or_null("integer", "The carrier's cause.")),
        ("sip_call_id", or_null("string", "For the carrier.")),
        ("hold", free("`local` and `peer`.")),
        ("mute", free("`playout` and `capture`.")),
        ("transfer", or_null("object", "How a transfer goes.")),
        ("bridged", toggle("Joined with another call.")),
        ("bridged_with", or_null("string", "That call.")),
        ("hangup_party", or_null("string", "Who ended it.")),
        ("duration_ms", or_null("integer", "Since the answer.")),
        ("billable_ms", or_null("integer", "The same.")),
        ("queue_position", or_null("integer", "Its place while it waits.")),
        ("stream", refer_or_null("CallStream")),
        ("quality", refer_or_null("Quality")),
        ("latency", or_null("object", "What the caller waited for answers.")),
        ("outcome", or_null("object", "Of an agent's call; see docs/agents.md.")),
        ("transcription", or_null("object", "Whether words were written down, and by whom.")),
        ("recording_ids", texts("Its recordings, oldest first.")),
        ("metadata", free("Yours.")),
        ("links", free("`self`, and `stream` while it has one.")),
    ]
}

/// Smaller objects of answers.
fn parts() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "Instance": { "type": "object", "properties": {
            "id": text("`inst_…`"),
            "name": text("For people."),
            "status": word(&["CREATED", "CONFIGURED", "ACTIVE"], "Whether calls can be made."),
            "metadata": free("Yours."),
            "created_at": text(MOMENT),
            "updated_at": text(MOMENT),
            "trunk_id": or_null("string", "Its trunk."),
            "caller_id": or_null("string", "Its number."),
            "max_active_calls": number(1, 10_000, "Calls at once."),
            "queue_limit": number(0, 100_000, "Calls that may wait."),
            "dedupe": word(&["instance", "target", "off"], "See the request."),
            "defaults": free("What its calls get that do not say otherwise; without secrets."),
            "source": word(&["api", "config"], "Who declared it."),
            "callQueue": { "type": "array", "items": { "type": "object" },
                "description": "Its active calls, where one instance is shown." },
        } },
        "Key": { "type": "object", "properties": key() },
        "NewKey": { "type": "object", "properties": {
            "secret": text("The key itself, this once."),
        }, "allOf": [refer("Key")] },
        "Voice": { "type": "object", "properties": {
            "id": text("What requests call it."),
            "name": text("For people."),
            "language": text("BCP 47."),
            "gender": or_null("string", "`female` or `male`."),
            "engine": text("Which speaks."),
            "sample_url": or_null("string", "Where it can be heard."),
            "native_rate": or_null("integer", "In Hz."),
        } },
        "Trunk": { "type": "object", "properties": {
            "name": text("As configured."),
            "state": word(&["up", "down", "unknown"], "Whether calls can be made."),
            "active_calls": { "type": "integer" },
            "codecs": texts("In their order."),
            "registration": or_null("object", "Of trunks that register; for keys that are not bound."),
            "gateways": { "type": "array", "items": { "type": "object" } },
        } },
        "Ticket": { "type": "object", "properties": {
            "ticket": text("For the query of the stream."),
            "expires_at": text(MOMENT),
            "url": text("The path of the stream, with the ticket."),
        } },
        "Problem": { "type": "object", "properties": {
            "type": text("Where it is explained."),
            "title": text("In short."),
            "status": { "type": "integer" },
            "detail": text("What is wrong and what would be right."),
            "instance": text("The path."),
            "code": word(&codes, "Stable."),
            "errors": { "type": "array", "items": { "type": "object", "properties": {
                "pointer": text("A JSON pointer into the body, or `?name`."),
                "code": text("The rule."),
                "detail": text("What is wrong there."),
            } } },
            "request_id": text("Also in `X-Request-Id`."),
            "retry_after": { "type": "integer", "description": "Seconds." },
        } },
    })
}

/// What is told of a call in its middle.
fn measured() -> Value {
    json!({
        "Stats": { "type": "object", "properties": {
            "call_id": text("`call_…`"),
            "status": text("As in the call object."),
            "quality": refer_or_null("Quality"),
            "hole_wait_ms": or_null("integer", "What a late packet is waited for."),
            "stages": refer_or_null("Stages"),
        } },
        "CallStream": { "type": "object", "properties": {
            "connected": toggle("A client is attached."),
            "protocol": or_null("string", "Whose words it speaks."),
            "rate": or_null("integer", "Of the audio that it is sent, in Hz."),
            "url": text("Where it is dialled, without the query; left out if it attaches."),
            "last_error": text("Why it was not reached, or what it broke off with, the last time."),
        } },
        "Quality": quality(),
        "Stages": stages(),
        "Transcript": { "type": "object", "properties": {
            "call_id": text("`call_…`"),
            "status": or_null("string", "`available`, `unavailable` or `off`."),
            "reason": or_null("string", "Why not."),
            "engine": or_null("string", "Who writes."),
            "lines": { "type": ["array", "null"], "items": { "type": "object" } },
            "dropped": { "type": "integer" },
        } },
    })
}

/// How a call sounds.
fn quality() -> Value {
    let count = |about: &str| json!({ "type": "integer", "description": about });
    let amount = |about: &str| json!({ "type": "number", "description": about });
    json!({ "type": "object", "properties": {
        "mos": or_null("number", "E-model score of what we hear (ITU-T G.107)."),
        "mos_tx": or_null("number", "Of what the other side hears, by its RTCP reports."),
        "mos_told": or_null("number", "What it says of that itself (RTCP XR)."),
        "loss": amount("Share of packets lost on the way to us."),
        "missing": amount("Share of packets that were concealed."),
        "burst_ratio": amount("How much longer their runs are than random ones."),
        "loss_tx": or_null("number", "Share of our packets lost, as reported."),
        "jitter_ms": amount("Interarrival jitter of what comes."),
        "jitter_tx_ms": or_null("number", "Of ours, as reported."),
        "rtt_ms": or_null("number", "Round trip by RTCP."),
        "underruns": count("Times that your sound ran dry."),
        "rx_packets": count("Packets that came."),
        "tx_packets": count("Packets that were sent."),
        "concealed_ms": count("Sound that we made up."),
        "played_ms": count("Sound of yours that left."),
        "pacing_p50_ms": amount("Lateness of our packets, median."),
        "pacing_p99_ms": amount("99th percentile."),
        "codec": or_null("string", "E.g. `PCMU`."),
    } })
}

/// How long sound stands where.
fn stages() -> Value {
    let spread = json!({ "type": "object", "properties": {
        "count": { "type": "integer", "description": "How many." },
        "p50_ms": { "type": "number", "description": "Median." },
        "p99_ms": { "type": "number", "description": "99th percentile." },
        "max_ms": { "type": "number", "description": "The longest." },
    } });
    let names = ["decode", "resample", "queue", "send", "order", "write"];
    let stages = names.map(|name| (name.to_owned(), spread.clone()));
    json!({ "type": "object", "properties": Map::from_iter(stages),
        "description": "See docs/stream.md." })
}

fn key() -> Value {
    json!({
        "id": text("`key_…`"),
        "name": text("For people."),
        "scopes": texts("What it may do."),
        "instance_ids": texts("On which instances, or `*`."),
        "source": word(&["api", "config"], "Who made it."),
        "created_at": or_null("string", MOMENT),
        "expires_at": or_null("string", MOMENT),
        "last_used_at": or_null("string", MOMENT),
    })
}

/// Lists.
fn lists() -> Value {
    let page = |of: &str| {
        json!({ "type": "object", "properties": {
            "data": { "type": "array", "items": refer(of) },
            "next_cursor": or_null("string", "For the next page."),
        } })
    };
    json!({
        "CallList": page("Call"),
        "KeyList": page("Key"),
        "VoiceList": page("Voice"),
        "TrunkList": page("Trunk"),
        "InstanceList": { "type": "array", "items": refer("Instance") },
        "RecordingList": page("Recording"),
        "Recording": { "type": "object", "properties": {
            "id": text("`rec_…`"),
            "call_id": text("`call_…`"),
            "state": word(&["recording", "paused", "ready", "failed", "deleted"], "How far it is."),
            "channels": word(&["mono", "stereo"], "Stereo: the caller left, what they are sent right."),
            "format": text("`wav`"),
            "rate": number(8000, 16_000, "Samples a second."),
            "started_at": text(MOMENT),
            "duration_ms": { "type": "integer" },
            "octets": { "type": "integer" },
            "reason": or_null("string", "Why it broke off."),
            "links": free("`self`, and `audio` once there is some."),
        } },
        "Record": { "type": "object", "properties": {
            "channels": word(&["stereo", "mono"], "What stands in it."),
            "beep": toggle("The caller hears a short tone at the beginning."),
            "format": text("`wav`"),
        } },
    })
}
