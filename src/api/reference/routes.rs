//! Every route of the users' listener under `/v1`, once.
//!
//! Those of other vendors' are not here: they are off unless the configuration says otherwise, and
//! their vendors describe them (docs/compat.md).

use super::field::{Field, text, whole};
use super::query::QUERY;
use crate::api::error::Code;

/// One route, as documents tell it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`, `POST`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Below `/v1`; parameters in braces.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The scope that its key needs.
    pub scope: &'static str,
    /// Parameters of its query; those that stand in the path are not read from it.
    pub query: &'static [Field],
    /// The schema of its body, if it takes one.
    pub body: Option<&'static str>,
    /// Its good answers: status, what that means, schema of the body if it has one.
    pub answers: &'static [(u16, &'static str, Option<&'static str>)],
    /// The bad answers beside [`USUAL`](super::openapi::USUAL), by status, with their codes.
    pub refusals: &'static [(u16, &'static [Code])],
}

const BASE: Route = Route {
    method: "GET",
    path: "",
    summary: "",
    scope: "calls:read",
    query: &[],
    body: None,
    answers: &[],
    refusals: &[],
};

const fn post(path: &'static str, summary: &'static str) -> Route {
    Route {
        method: "POST",
        path,
        summary,
        scope: "calls:write",
        refusals: &[CONFLICT, ENDED, REUSED, LARGE, KIND],
        ..BASE
    }
}

const fn get(path: &'static str, summary: &'static str) -> Route {
    Route { path, summary, ..BASE }
}

const CALL: Option<&str> = Some("Call");
const BEGUN: &[(u16, &str, Option<&str>)] = &[(202, "It has begun.", CALL)];
const DONE: &[(u16, &str, Option<&str>)] = &[(200, "It is done.", CALL)];
const LIMIT: Field = whole("limit", "Most entries of a page (50).").within(1, 200);
const CURSOR: Field = text("cursor", "`next_cursor` of the page before.");

/// Bad answers with their codes.
type Refusal = (u16, &'static [Code]);
const CONFLICT: Refusal = (409, &[Code::Conflict]);
const ENDED: Refusal = (410, &[Code::CallEnded]);
const LARGE: Refusal = (413, &[Code::InvalidRequest]);
const KIND: Refusal = (415, &[Code::InvalidRequest]);
const REUSED: Refusal = (422, &[Code::IdempotencyMismatch]);
const LATER: Refusal = (501, &[Code::NotImplemented]);
/// Of a create request.
const CREATION: &[Refusal] = &[
    (
        400,
        &[
            Code::InvalidRequest,
            Code::MissingField,
            Code::InvalidPhoneNumber,
            Code::UnsupportedType,
            Code::UnknownVoice,
            Code::AudioUndecodable,
        ],
    ),
    (403, &[Code::ForbiddenInstance, Code::ForbiddenScope, Code::DestinationNotAllowed]),
    CONFLICT,
    (413, &[Code::InvalidRequest, Code::AudioTooLarge]),
    KIND,
    REUSED,
    (429, &[Code::RateLimited, Code::TrunkCpsExceeded]),
    LATER,
    (
        503,
        &[
            Code::CapacityExceeded,
            Code::Draining,
            Code::TrunkUnavailable,
            Code::AgentEngineUnavailable,
        ],
    ),
];
/// Of what makes something else.
const MAKING: &[Refusal] = &[CONFLICT, LARGE, KIND, REUSED, LATER];
/// Of a transfer.
const HANDING_OVER: &[Refusal] = &[
    (403, &[Code::ForbiddenInstance, Code::ForbiddenScope, Code::DestinationNotAllowed]),
    CONFLICT,
    ENDED,
    LARGE,
    KIND,
    REUSED,
    LATER,
    (503, &[Code::CapacityExceeded, Code::Draining]),
];
/// Of the beginning of a recording.
const RECORDING_IT: &[Refusal] = &[CONFLICT, ENDED, LARGE, KIND, REUSED, LATER];
/// Of an upgrade.
const CLOSED_DOORS: &[Refusal] = &[
    (409, &[Code::StreamAlreadyAttached]),
    (410, &[Code::CallEnded, Code::ResumeOver]),
    (426, &[Code::InvalidRequest]),
    LATER,
];
const RECORDING: Option<&str> = Some("Recording");

/// All routes, in the order of the page.
pub const ROUTES: &[Route] = &[
    Route {
        body: Some("CreateCall"),
        answers: &[
            (201, "The call is queued.", CALL),
            (200, "The call that is active already (the instance's `dedupe`).", CALL),
        ],
        refusals: CREATION,
        ..post("/calls", "Make and queue an outgoing call")
    },
    Route {
        query: &[
            text("status", "Only calls in it.").of(&[
                "QUEUED",
                "RINGING",
                "IN_PROGRESS",
                "COMPLETED",
                "FAILED",
            ]),
            text("instanceId", "Only calls of this instance."),
            text("direction", "Only calls of it.").of(&["inbound", "outbound"]),
            text("since", "Only calls made at or after this moment (RFC 3339)."),
            LIMIT,
            CURSOR,
        ],
        answers: &[(200, "A page of calls, newest first.", Some("CallList"))],
        ..get("/calls", "List calls")
    },
    Route {
        answers: &[(200, "The call, live or as it ended.", CALL)],
        ..get("/calls/{call}", "Show a call")
    },
    Route {
        method: "PATCH",
        body: Some("ChangeCall"),
        answers: &[(200, "The call.", CALL)],
        refusals: &[LARGE, KIND, LATER],
        scope: "calls:write",
        ..get("/calls/{call}", "Replace the metadata of a call")
    },
    Route {
        method: "DELETE",
        query: &[text("reason", "Why.").of(&["normal"])],
        answers: &[(204, "It ends.", None)],
        refusals: &[LATER],
        scope: "calls:write",
        ..get("/calls/{call}", "End a call; 404 also when it has already ended")
    },
    Route { answers: BEGUN, ..post("/calls/{call}/answer", "Answer an incoming call that waits") },
    Route { answers: DONE, ..post("/calls/{call}/ring", "Send 180 for an incoming call") },
    Route {
        body: Some("EarlyMedia"),
        answers: DONE,
        ..post("/calls/{call}/early_media", "Send 183 with sound for an incoming call")
    },
    Route {
        body: Some("Reject"),
        answers: DONE,
        ..post("/calls/{call}/reject", "Refuse an incoming call")
    },
    Route { answers: BEGUN, ..post("/calls/{call}/hold", "Hold the other side") },
    Route { answers: BEGUN, ..post("/calls/{call}/resume", "Hold it no longer") },
    Route {
        body: Some("Mute"),
        answers: DONE,
        ..post("/calls/{call}/mute", "Replace sound by silence")
    },
    Route {
        body: Some("Mute"),
        answers: DONE,
        ..post("/calls/{call}/unmute", "Replace sound by silence no longer")
    },
    Route { body: Some("Keys"), answers: BEGUN, ..post("/calls/{call}/dtmf", "Press keys") },
    Route {
        body: Some("Transfer"),
        answers: BEGUN,
        refusals: HANDING_OVER,
        ..post("/calls/{call}/transfer", "Hand the call over")
    },
    Route {
        body: Some("Bridge"),
        answers: DONE,
        ..post("/calls/{call}/bridge", "Join the call with another one")
    },
    Route {
        method: "DELETE",
        answers: BEGUN,
        ..post("/calls/{call}/bridge", "Part two joined calls")
    },
    Route {
        answers: &[(200, "What its media counts at this moment.", Some("Stats"))],
        ..get("/calls/{call}/stats", "How the call sounds")
    },
    Route {
        answers: &[(200, "The lines so far.", Some("Transcript"))],
        ..get("/calls/{call}/transcript", "What was said so far")
    },
    Route {
        scope: "stream",
        answers: &[(201, "Good for this call, once, for a minute.", Some("Ticket"))],
        ..post("/calls/{call}/tickets", "Make a ticket to the stream")
    },
    Route {
        scope: "stream",
        query: QUERY,
        answers: &[(101, "The WebSocket: see /asyncapi.json.", None)],
        refusals: CLOSED_DOORS,
        ..get("/calls/{call}/stream", "Attach to the stream of a call")
    },
    Route {
        scope: "stream",
        query: QUERY,
        answers: &[(101, "The WebSocket, in the words that docs/dialects.md describes.", None)],
        refusals: CLOSED_DOORS,
        ..get("/calls/{call}/stream/{protocol}", "Attach in another vendor's words")
    },
    Route {
        scope: "instances:write",
        body: Some("CreateInstance"),
        answers: &[(201, "The instance.", Some("Instance"))],
        refusals: MAKING,
        ..post("/instances", "Make an instance")
    },
    Route {
        answers: &[(200, "All, newest first, as a bare array.", Some("InstanceList"))],
        ..get("/instances", "List instances")
    },
    Route {
        answers: &[(200, "The instance, with its active calls.", Some("Instance"))],
        ..get("/instances/{instance}", "Show an instance")
    },
    Route {
        method: "PATCH",
        scope: "instances:write",
        body: Some("ChangeInstance"),
        answers: &[(200, "The instance.", Some("Instance"))],
        refusals: &[CONFLICT, LARGE, KIND, LATER],
        ..get("/instances/{instance}", "Change what is named of an instance")
    },
    Route {
        method: "DELETE",
        scope: "instances:write",
        answers: &[(204, "It is deleted for good; its active calls go on.", None)],
        refusals: &[CONFLICT],
        ..get("/instances/{instance}", "Delete an instance")
    },
    Route {
        refusals: &[LATER],
        ..get("/instances/{instance}/configure", "Pairing by QR code: not served")
    },
    Route {
        scope: "admin",
        body: Some("CreateKey"),
        refusals: MAKING,
        answers: &[(201, "The key, with its `secret` this once.", Some("NewKey"))],
        ..post("/keys", "Make a key")
    },
    Route {
        scope: "admin",
        query: &[LIMIT, CURSOR],
        answers: &[(200, "A page of keys.", Some("KeyList"))],
        ..get("/keys", "List keys, never with their secrets")
    },
    Route {
        method: "DELETE",
        scope: "admin",
        answers: &[(204, "It is refused from here on.", None)],
        ..get("/keys/{key}", "Revoke a key")
    },
    Route {
        answers: &[(200, "All voices.", Some("VoiceList"))],
        ..get("/voices", "List the voices of `tts.voiceId`")
    },
    Route {
        answers: &[(200, "A sentence, as `audio/wav`.", None)],
        ..get("/voices/{voice}/sample", "Hear a voice")
    },
    Route {
        answers: &[(200, "All trunks.", Some("TrunkList"))],
        ..get("/trunks", "How the trunks are doing")
    },
    Route {
        answers: &[(200, "The trunk.", Some("Trunk"))],
        ..get("/trunks/{trunk}", "How one trunk is doing")
    },
    Route {
        body: Some("Record"),
        answers: &[(201, "It has begun.", RECORDING)],
        refusals: RECORDING_IT,
        ..post("/calls/{call}/recordings", "Record a call")
    },
    Route {
        answers: &[(200, "All of the call.", Some("RecordingList"))],
        ..get("/calls/{call}/recordings", "List the recordings of a call")
    },
    Route {
        answers: &[(200, "The recording.", RECORDING)],
        ..get("/calls/{call}/recordings/{recording}", "Show a recording")
    },
    Route {
        method: "DELETE",
        scope: "calls:write",
        answers: &[(204, "Its file is gone.", None)],
        refusals: &[CONFLICT],
        ..get("/calls/{call}/recordings/{recording}", "Delete the file of a recording")
    },
    Route {
        answers: &[(200, "What comes is left out.", RECORDING)],
        ..post("/calls/{call}/recordings/{recording}/pause", "Pause a recording")
    },
    Route {
        answers: &[(200, "It goes on.", RECORDING)],
        ..post("/calls/{call}/recordings/{recording}/resume", "Go on with a recording")
    },
    Route {
        answers: &[(202, "It ends; it is `ready` soon.", RECORDING)],
        ..post("/calls/{call}/recordings/{recording}/stop", "End a recording")
    },
    Route {
        scope: "recordings:read",
        answers: &[(200, "The file, as `audio/wav`.", None)],
        refusals: &[CONFLICT],
        ..get("/calls/{call}/recordings/{recording}/audio", "Hear a recording")
    },
];
