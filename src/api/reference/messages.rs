//! Every message of `bellwire.stream.v1`, once.

/// One message, as documents tell it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    /// Its `type`.
    pub(super) name: &'static str,
    /// What it says or does.
    pub(super) about: &'static str,
    /// Its fields beside `type`, and beside those that all have: name, JSON type, what it says.
    pub(super) fields: &'static [(&'static str, &'static str, &'static str)],
    /// Fields that a command must have.
    pub(super) required: &'static [&'static str],
}

const fn message(
    name: &'static str,
    about: &'static str,
    fields: &'static [(&'static str, &'static str, &'static str)],
) -> Message {
    Message { name, about, fields, required: &[] }
}

const fn needs(message: Message, required: &'static [&'static str]) -> Message {
    Message { required, ..message }
}

/// What the server tells.
pub(super) const FROM_SERVER: &[Message] = &[
    message(
        "start",
        "The first message.",
        &[
            ("version", "integer", "1."),
            ("call_id", "string", "The call."),
            ("instance_id", "string", "Its instance."),
            ("direction", "string", "`inbound` or `outbound`."),
            ("from", "string", "The calling party."),
            ("to", "string", "The called party."),
            ("identity", "object", "Who calls, as the network says."),
            ("call_status", "string", "One of the five."),
            ("in", "object", "`format`, `rate` and `channels` of what you may send."),
            (
                "out",
                "object",
                "The same and `frame_ms`, `tracks` of what you are sent; null: nothing.",
            ),
            ("buffer_ms", "integer", "How much may be queued."),
            ("playout", "string", "`queue` or `live`."),
            ("barge_in", "string", "`off`, `notify`, `clear` or `pause`."),
            ("transcription", "object", "`status`, `reason`, `engine`."),
            ("parameters", "object", "Yours, of the create request."),
            ("linger_ms", "integer", "How long the call goes on without you."),
            ("resumed", "boolean", "This goes on where another socket stopped."),
        ],
    ),
    message(
        "call_event",
        "The call's state changed.",
        &[
            ("event", "string", "queued, ringing, answered, hold, transfer, amd, bridge, ended …"),
            ("detail", "string", "More about it."),
        ],
    ),
    message(
        "playback",
        "Something became of an utterance.",
        &[
            ("state", "string", "started, completed, cleared, paused, resumed."),
            ("utterance", "string", "Its name, or null."),
            ("played_ms", "integer", "How much of it was sent."),
            ("squeezed_ms", "integer", "How much was left out to catch up."),
            ("discarded_ms", "integer", "How much never will be."),
        ],
    ),
    message(
        "mark",
        "Everything queued before it has left, or never will.",
        &[
            ("name", "string", "As given."),
            ("played_ms", "integer", "Of the whole call."),
            ("squeezed_ms", "integer", "Of the whole call."),
            ("cleared", "boolean", "It never will."),
        ],
    ),
    message(
        "flow",
        "The queue passed a water mark.",
        &[("state", "string", "`xoff` or `xon`."), ("queued_ms", "integer", "How much waits.")],
    ),
    message(
        "transcript",
        "The caller said something.",
        &[
            ("text", "string", "The words."),
            ("final", "boolean", "They will not change."),
            ("track", "string", "Whose."),
            ("language", "string", "BCP 47, or null."),
            ("confidence", "number", "0 to 1, or null."),
            ("start_ms", "integer", "Since the answer."),
            ("end_ms", "integer", "Since the answer."),
            ("id", "integer", "Partials and their final share it."),
            ("constrained", "boolean", "From a phrase list."),
        ],
    ),
    message(
        "turn",
        "Where an agent's conversation stands.",
        &[("state", "string", "listening, thinking, agent_speaking …")],
    ),
    message(
        "interrupted",
        "The caller cut an agent off.",
        &[("heard", "string", "What was heard of it.")],
    ),
    message(
        "outcome",
        "How an agent's call went.",
        &[("outcome", "object", "As in the call object.")],
    ),
    message(
        "dtmf",
        "The caller pressed a key.",
        &[
            ("digit", "string", "Which."),
            ("duration_ms", "integer", "How long."),
            ("method", "string", "`rfc4733`, `info` or `inband`."),
        ],
    ),
    message(
        "speech",
        "The caller began or stopped to speak.",
        &[
            ("state", "string", "`started` or `stopped`."),
            ("track", "string", "`caller`."),
            ("position_ms", "integer", "In the caller's samples since the answer."),
            ("duration_ms", "integer", "Of what stopped."),
            ("decision_deadline_ms", "integer", "Playout was paused and waits so long."),
        ],
    ),
    message(
        "barge_in",
        "Playout was paused for a key.",
        &[("by", "string", "`dtmf`."), ("decision_deadline_ms", "integer", "It waits so long.")],
    ),
    message(
        "tone",
        "The network said something in tones.",
        &[
            ("kind", "string", "ringback, busy, fax_cng …"),
            ("confidence", "number", "0 to 1."),
            ("reason", "string", "Why it is thought so."),
            ("position_ms", "integer", "Where."),
        ],
    ),
    message(
        "stats",
        "How the call sounds, and how long sound stands where.",
        &[
            ("id", "string", "Of the command that asked."),
            ("quality", "object", "As in the call object."),
            ("queued_ms", "integer", "How much waits to be played."),
            ("hole_wait_ms", "integer", "How long a missing packet is waited for."),
            ("stages", "object", "`count`, `p50_ms`, `p99_ms`, `max_ms` of each stage."),
        ],
    ),
    message("ack", "A command was taken up.", &[("id", "string", "Its id.")]),
    message(
        "error",
        "A message was not accepted.",
        &[
            ("id", "string", "The command's id."),
            ("code", "string", "Stable."),
            ("detail", "string", "What is wrong and what would be right."),
            ("fatal", "boolean", "The stream ends with it."),
        ],
    ),
    message("pong", "The answer to `ping`.", &[("id", "string", "Its id.")]),
    message(
        "warning",
        "Something is not as it should be; the stream goes on.",
        &[
            ("code", "string", "Stable."),
            ("detail", "string", "What happened."),
            ("hint", "string", "What to do."),
            ("dropped_ms", "integer", "How much sound is missing."),
        ],
    ),
    message(
        "stop",
        "The last message; the close follows.",
        &[
            ("reason", "string", "The call's `end_reason`."),
            ("sip_code", "integer", "The last SIP status, or null."),
            ("played_ms", "integer", "Of the whole call."),
            ("duration_ms", "integer", "Answer to end."),
        ],
    ),
];

const DIRECTION: (&str, &str, &str) = ("direction", "string", "playout, capture or both.");
const POLICY: (&str, &str, &str) = ("on_peer_hangup", "string", "continue or hangup.");

/// What a client may ask.
pub(super) const FROM_CLIENT: &[Message] = &[
    needs(message("utterance", "Names the sound from here on; `id` is the name.", &[]), &["id"]),
    message("utterance_end", "It is complete.", &[]),
    needs(
        message(
            "mark",
            "Tell when everything queued so far has left.",
            &[("name", "string", "At most 256 octets.")],
        ),
        &["name"],
    ),
    message(
        "clear",
        "Throws the queue away.",
        &[("utterance", "string", "Only this one."), ("fade_ms", "integer", "Length of the fade.")],
    ),
    message("pause", "Holds the queue.", &[]),
    message("resume", "Goes on with it.", &[]),
    needs(
        message(
            "barge_in",
            "Decides on what was paused for the caller.",
            &[("decision", "string", "`confirm` or `reject`.")],
        ),
        &["decision"],
    ),
    needs(
        message(
            "background",
            "Whether what plays beneath is heard.",
            &[("on", "boolean", "It is.")],
        ),
        &["on"],
    ),
    message(
        "configure",
        "How the binary messages from here on are read.",
        &[("format", "string", "As in the query."), ("rate", "integer", "As in the query.")],
    ),
    needs(
        message(
            "dtmf",
            "Presses keys.",
            &[
                ("digits", "string", "0-9, *, #, A-D."),
                ("duration_ms", "integer", "Of each."),
                ("gap_ms", "integer", "Between them."),
                ("method", "string", "auto, rfc4733, info or inband."),
            ],
        ),
        &["digits"],
    ),
    message("answer", "Answers an incoming call.", &[]),
    message("ring", "Sends 180 for it.", &[]),
    message("early_media", "Sends 183 and plays before the answer.", &[]),
    message(
        "reject",
        "Refuses it.",
        &[("sip_code", "integer", "400 to 699."), ("reason", "string", "One line.")],
    ),
    message("hold", "Holds the other side.", &[]),
    message("unhold", "No longer.", &[]),
    message("mute", "Replaces sound by silence.", &[DIRECTION]),
    message("unmute", "No longer.", &[DIRECTION]),
    needs(
        message(
            "transfer",
            "Hands the call over.",
            &[
                ("to", "string", "A number or SIP URI."),
                ("mode", "string", "blind, attended or bridge."),
                ("replaces_call_id", "string", "Of an attended one."),
                ("headers", "object", "`X-…`."),
                ("timeout", "integer", "Seconds."),
                POLICY,
            ],
        ),
        &["to"],
    ),
    needs(
        message(
            "bridge",
            "Joins the call with another one.",
            &[("call_id", "string", "That call."), POLICY],
        ),
        &["call_id"],
    ),
    message("unbridge", "Parts them.", &[]),
    message(
        "hangup",
        "Ends the call.",
        &[
            ("reason", "string", "For the log."),
            ("after", "string", "`playback`: when everything queued has left."),
        ],
    ),
    message("ping", "Asks for `pong`.", &[]),
    message("stats", "Asks for `stats`.", &[]),
    needs(
        message(
            "record",
            "Records the call.",
            &[
                ("action", "string", "`start`, `pause`, `resume` or `stop`."),
                (
                    "channels",
                    "string",
                    "`stereo` (caller left, what they are sent right) or `mono`.",
                ),
                ("beep", "boolean", "The caller hears a short tone at the beginning."),
            ],
        ),
        &["action"],
    ),
];

/// Parameters of the query, for the document; their rules are in docs/stream.md.
pub(super) const QUERY: &[&str] = &[
    "protocol",
    "format",
    "rate",
    "buffer_ms",
    "playout",
    "jitter",
    "agc",
    "dc_block",
    "listen",
    "out_rate",
    "out_format",
    "out_agc",
    "out_dc_block",
    "transcripts",
    "barge_in",
    "tones",
    "frame_ms",
    "stats_ms",
    "ticket",
];
