//! Every route of the users' listener, once.

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
    /// Parameters of its query: name, JSON type and what it says.
    pub query: &'static [(&'static str, &'static str, &'static str)],
    /// The schema of its body, if it takes one.
    pub body: Option<&'static str>,
    /// Its good answers: status, what that means, schema of the body if it has one.
    pub answers: &'static [(u16, &'static str, Option<&'static str>)],
    /// The bad answers beside 400, 401, 403, 404, 429, 500 and 503, which all may give.
    pub refusals: &'static [u16],
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
        refusals: &[409, 410, 422],
        ..BASE
    }
}

const fn get(path: &'static str, summary: &'static str) -> Route {
    Route { path, summary, ..BASE }
}

const CALL: Option<&str> = Some("Call");
const BEGUN: &[(u16, &str, Option<&str>)] = &[(202, "It has begun.", CALL)];
const DONE: &[(u16, &str, Option<&str>)] = &[(200, "It is done.", CALL)];
const RECORDING: Option<&str> = Some("Recording");
const LIMIT: (&str, &str, &str) = ("limit", "integer", "Most entries of a page: 50, at most 200.");
const CURSOR: (&str, &str, &str) = ("cursor", "string", "`next_cursor` of the page before.");

/// All routes, in the order of the page.
pub const ROUTES: &[Route] = &[
    Route {
        body: Some("CreateCall"),
        answers: &[
            (201, "The call is queued.", CALL),
            (200, "The call that is active already (the instance's `dedupe`).", CALL),
        ],
        refusals: &[413, 415, 422, 501],
        ..post("/calls", "Make and queue an outgoing call")
    },
    Route {
        query: &[
            ("status", "string", "One of the five statuses."),
            ("instanceId", "string", "Only calls of this instance."),
            ("direction", "string", "`inbound` or `outbound`."),
            ("since", "string", "Only calls made at or after this moment (RFC 3339)."),
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
        refusals: &[501],
        scope: "calls:write",
        ..get("/calls/{call}", "Replace the metadata of a call")
    },
    Route {
        method: "DELETE",
        query: &[("reason", "string", "`normal`.")],
        answers: &[(204, "It ends.", None)],
        refusals: &[501],
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
        query: &[
            ("ticket", "string", "A ticket instead of a key."),
            (
                "protocol",
                "string",
                "`native`, `cawme` or a dialect; the others are in docs/stream.md.",
            ),
        ],
        answers: &[(101, "The WebSocket: see /asyncapi.json.", None)],
        refusals: &[409, 410, 426, 501],
        ..get("/calls/{call}/stream", "Attach to the stream of a call")
    },
    Route {
        scope: "stream",
        query: &[("ticket", "string", "A ticket instead of a key.")],
        answers: &[(101, "The WebSocket, in the words that docs/dialects.md describes.", None)],
        refusals: &[409, 410, 426, 501],
        ..get("/calls/{call}/stream/{protocol}", "Attach in another vendor's words")
    },
    Route {
        scope: "instances:write",
        body: Some("CreateInstance"),
        answers: &[(201, "The instance.", Some("Instance"))],
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
        refusals: &[409, 501],
        ..get("/instances/{instance}", "Change what is named of an instance")
    },
    Route {
        method: "DELETE",
        scope: "instances:write",
        answers: &[(204, "It is deleted for good; its active calls go on.", None)],
        refusals: &[409],
        ..get("/instances/{instance}", "Delete an instance")
    },
    Route {
        refusals: &[501],
        ..get("/instances/{instance}/configure", "Pairing by QR code: not served")
    },
    Route {
        scope: "admin",
        body: Some("CreateKey"),
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
        refusals: &[409, 410, 422, 501],
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
        refusals: &[409],
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
        refusals: &[409],
        ..get("/calls/{call}/recordings/{recording}/audio", "Hear a recording")
    },
];
