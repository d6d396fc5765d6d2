//! What the server tells.

use super::super::field::{Field, any, id, list, object, part, text, truth, whole};
use super::{ERRORS, Message, WARNINGS, message};

const MODES: &[&str] = &["off", "notify", "clear", "pause"];
const RATE: &str = "In Hz.";
const SPREAD: &str = "`count`, `p50_ms`, `p99_ms` and `max_ms`.";

const START: &[Field] = &[
    whole("version", "1."),
    text("call_id", "The call."),
    text("instance_id", "Its instance."),
    text("direction", "Who called.").of(&["inbound", "outbound"]),
    text("from", "The calling party.").or_null(),
    text("to", "The called party."),
    object("identity", "Who calls, as the network says; of incoming calls.").maybe(),
    object("sip", "What signalling says of the call."),
    text("sip.call_id", "Call-ID, for the carrier; null before the call is dialled.").or_null(),
    object("sip.headers", "Those of an incoming INVITE that begin with `X-`."),
    truth("srtp", "Whether sound is encrypted on the wire; null before the first agreement.")
        .or_null(),
    text("call_status", "Of the call object.").of(&[
        "QUEUED",
        "RINGING",
        "IN_PROGRESS",
        "COMPLETED",
        "FAILED",
    ]),
    object("in", "What you may send."),
    text("in.format", "As in the query."),
    whole("in.rate", RATE),
    whole("in.channels", "1."),
    object("out", "What you are sent; null: nothing.").or_null(),
    text("out.format", "As in the query."),
    whole("out.rate", RATE),
    whole("out.channels", "1; with `listen=stereo` 2, the caller left."),
    whole("out.frame_ms", "Of one message."),
    list("out.tracks", "Whose: `caller`, `agent`."),
    whole("buffer_ms", "How much may be queued."),
    text("playout", "What becomes of your audio.").of(&["queue", "live"]),
    text("barge_in", "What the caller's voice does.").of(MODES),
    object("transcription", "Whether `transcript` comes."),
    text("transcription.status", "Whether it does.").of(&["available", "unavailable", "off"]),
    text("transcription.reason", "Why not.").maybe(),
    text("transcription.engine", "Who writes.").maybe(),
    object("parameters", "Yours, of the create request."),
    text("role", "What you are there for.").of(&["main", "listener"]),
    text("envelope", "How audio stands beside text.").of(&["binary", "json"]),
    whole("linger_ms", "How long the call goes on without you."),
    object("resume", "By what you go on when the socket is lost; null: not offered.").or_null(),
    text("resume.token", "For `resume` of the next query."),
    whole("resume.linger_ms", "How long it is good for after the loss."),
    truth("resumed", "This goes on where another socket stopped."),
];

const CALL_EVENT: &[Field] = &[
    text("event", "What happened.").of(&[
        "queued",
        "offered",
        "dialing",
        "ringing",
        "early_media",
        "answered",
        "hold",
        "resume",
        "mute",
        "unmute",
        "transfer",
        "amd",
        "bridge",
        "unbridge",
        "recording",
        "ended",
    ]),
    text("detail", "More about it.").maybe(),
    text("state", "Of `transfer` and `recording`: how far it is.").maybe().of(&[
        "requested",
        "accepted",
        "ringing",
        "succeeded",
        "failed",
        "started",
        "paused",
        "resumed",
        "ready",
    ]),
    text("recording_id", "Of `recording`: which.").maybe(),
    whole("duration_ms", "Of `recording`: how much is in it.").maybe(),
    text("mode", "Of `transfer`.").maybe().of(&["blind", "attended", "bridge", "referred"]),
    text("to", "Of `transfer`: the number or URI.").maybe(),
    whole("code", "Of `transfer`: the last SIP status that was heard of it.").maybe(),
    text("answered_by", "Of `amd`.").maybe().of(&["human", "machine", "unknown"]),
    part("confidence", "Of `amd`: 0 to 1.").maybe(),
    text("reason", "Of `amd`: by what; of `recording`: why it failed.").maybe(),
    whole("beep_ms", "Of `amd`: where the beep ended.").maybe(),
    whole("position_ms", "Of `amd` with `detail` `beep`: where it ended.").maybe(),
];

const TRANSCRIPT: &[Field] = &[
    text("text", "The words."),
    truth("final", "They will not change."),
    text("track", "Whose words.").of(&["caller", "agent"]),
    text("language", "BCP 47.").or_null(),
    part("confidence", "0 to 1.").or_null(),
    whole("start_ms", "Since the answer."),
    whole("end_ms", "Since the answer."),
    whole("id", "Partials and their final share it."),
    truth("constrained", "From a phrase list; left out if not.").maybe(),
];

const STATS: &[Field] = &[
    id("Of the command that asked.").maybe(),
    object("quality", "As in the call object."),
    whole("queued_ms", "How much waits to be played."),
    whole("hole_wait_ms", "How long a missing packet is waited for."),
    object("stages", "How long sound stood where, since the call began."),
    object("stages.decode", SPREAD),
    object("stages.resample", SPREAD),
    object("stages.queue", SPREAD),
    object("stages.send", SPREAD),
    object("stages.order", SPREAD),
    object("stages.write", SPREAD),
];

const REPLAYED: &[Field] = &[
    whole("since", "The last `seq` that you have, as you say."),
    whole("events", "Messages that follow with the `seq` and `t_ms` they had."),
    whole("lost_events", "Messages that are gone."),
    whole("from_sample", "Where audio goes on, per channel, from the first ever sent."),
    whole("samples", "That follow and were sent before."),
    whole("waiting_samples", "Behind them, heard meanwhile."),
    whole("lost_samples", "That you lack and nobody has."),
    whole("received_octets", "Of your audio that were taken in this conversation."),
];

/// All messages.
pub(in super::super) const FROM_SERVER: &[Message] = &[
    message("start", "The first message.", START),
    message("call_event", "The call's state changed.", CALL_EVENT),
    message(
        "playback",
        "Something became of an utterance.",
        &[
            text("state", "What.").of(&["started", "completed", "cleared", "paused", "resumed"]),
            text("utterance", "Its name; null: audio without one.").or_null(),
            whole("played_ms", "How much of it was sent."),
            whole("squeezed_ms", "How much was left out to catch up; left out if none.").maybe(),
            whole("discarded_ms", "How much never will be."),
        ],
    ),
    message(
        "mark",
        "Everything queued before it has left, or never will.",
        &[
            text("name", "As given."),
            whole("played_ms", "Of the whole call."),
            whole("squeezed_ms", "Of the whole call; left out if none.").maybe(),
            truth("cleared", "It never will."),
        ],
    ),
    message(
        "flow",
        "The queue passed a water mark.",
        &[text("state", "Which.").of(&["xoff", "xon"]), whole("queued_ms", "How much waits.")],
    ),
    message("transcript", "Somebody said something.", TRANSCRIPT),
    message(
        "turn",
        "Where an agent's conversation stands.",
        &[text("state", "Where.").of(&[
            "idle",
            "greeting",
            "listening",
            "caller_speaking",
            "thinking",
            "agent_speaking",
            "interrupted",
            "voicemail",
            "closing",
            "closed",
        ])],
    ),
    message(
        "interrupted",
        "The caller cut an agent off.",
        &[text("heard", "What was heard of what it was saying.")],
    ),
    message(
        "outcome",
        "How an agent's call went.",
        &[object("outcome", "As in the call object; see docs/agents.md.")],
    ),
    message(
        "dtmf",
        "The caller pressed a key.",
        &[
            text("digit", "Which."),
            whole("duration_ms", "How long."),
            text("method", "How it came.").of(&["rfc4733", "info", "inband"]),
        ],
    ),
    message(
        "speech",
        "The caller began or stopped to speak.",
        &[
            text("state", "Which.").of(&["started", "stopped"]),
            text("track", "Whose voice.").of(&["caller"]),
            whole(
                "position_ms",
                "Its first or last sound, in the caller's samples since the answer.",
            ),
            whole("duration_ms", "Of what stopped.").maybe(),
            whole("decision_deadline_ms", "Playout was paused for it and waits so long.").maybe(),
        ],
    ),
    message(
        "barge_in",
        "Playout was paused for a key.",
        &[
            text("by", "For what.").of(&["dtmf"]),
            whole("decision_deadline_ms", "It waits so long."),
        ],
    ),
    message(
        "concealed",
        "A missing packet of the caller's was concealed; with `events=concealed`.",
        &[
            whole("position_ms", "In the audio that you are sent, from its first sample on."),
            whole("duration_ms", "How long that is."),
        ],
    ),
    message(
        "tone",
        "The network said something in tones.",
        &[
            text("kind", "What.").of(&[
                "ringback",
                "busy",
                "reorder",
                "sit",
                "dial",
                "fax_cng",
                "fax_ced",
                "fax_ansam",
            ]),
            part("confidence", "0 to 1."),
            text("reason", "By what."),
            whole("position_ms", "Its first sample, in the caller's since the answer."),
        ],
    ),
    message("stats", "How the call sounds.", STATS),
    message(
        "ack",
        "A command was taken up.",
        &[id("Its id."), text("recording", "Of `record`: its recording.").maybe()],
    ),
    message(
        "error",
        "A message was not accepted.",
        &[
            id("The command's id.").maybe(),
            text("code", "Stable.").of(ERRORS),
            text("detail", "What is wrong and what would be right."),
            truth("fatal", "The stream ends with it."),
        ],
    ),
    message("pong", "The answer to `ping`.", &[id("Its id.").maybe()]),
    message(
        "warning",
        "Something is not as it should be; the stream goes on.",
        &[
            text("code", "Stable.").of(WARNINGS),
            text("detail", "What happened."),
            text("hint", "What to do.").maybe(),
            whole("dropped_ms", "How much audio is gone.").maybe(),
        ],
    ),
    message("replayed", "Behind a `start` with `resumed`: what you are given again.", REPLAYED),
    message(
        "event",
        "To listeners: the main client's own `event`.",
        &[text("name", "As given."), any("data", "As given, or null.")],
    ),
    Message {
        is_audio: true,
        ..message(
            "audio",
            "With `envelope=json`: one frame.",
            &[
                text("track", "As `listen` says.").of(&["caller", "agent", "both", "stereo"]),
                whole("t_ms", "Since the stream started."),
                text("payload", "As `out` says, in base64."),
            ],
        )
    },
    message(
        "stop",
        "The last message; the close follows.",
        &[
            text("reason", "The call's `end_reason`."),
            whole("sip_code", "The last SIP status.").or_null(),
            whole("played_ms", "Of the whole call."),
            whole("duration_ms", "Answer to end."),
        ],
    ),
];
