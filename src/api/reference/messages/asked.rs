//! What a client may ask.

use super::super::field::{Field, any, object, text, truth, whole};
use super::{Message, message, needs};
use crate::app::stream::options::{FRAME_MS, IN_RATES, OUT_RATES};

const DIRECTION: Field =
    text("direction", "What is silenced (playout).").of(&["playout", "capture", "both"]);

const fn policy(usual: &'static str) -> Field {
    text("on_peer_hangup", usual).of(&["continue", "hangup"])
}

const TRANSFER: &[Field] = &[
    text("to", "A number, or a SIP URI if your key has the scope `calls:sip`."),
    text("mode", "How (blind).").of(&["blind", "attended", "bridge"]),
    text("replaces_call_id", "The call that an attended one replaces; needed there."),
    object("headers", "Of the REFER or INVITE: at most 32, names beginning with `X-`."),
    whole("timeout", "Seconds that it may ring (45).").within(5, 180),
    policy("What becomes of the call when the other one ends (hangup)."),
];

/// All commands.
pub(in super::super) const FROM_CLIENT: &[Message] = &[
    Message {
        is_audio: true,
        required: &["payload"],
        ..message(
            "audio",
            "With `envelope=json`: audio for the caller.",
            &[text("payload", "As `in` says, in base64.")],
        )
    },
    needs(
        message("utterance", "Names the audio from here on; its `id` is the name.", &[]),
        &["id"],
    ),
    message("utterance_end", "It is complete.", &[]),
    needs(
        message(
            "mark",
            "Tell when everything queued so far has left.",
            &[text("name", "At most 256 octets.")],
        ),
        &["name"],
    ),
    message(
        "clear",
        "Throws the queue away.",
        &[
            text("utterance", "Only this one."),
            whole("fade_ms", "Length of the fade (5).").within(0, 100),
        ],
    ),
    needs(
        message(
            "say",
            "Says a text as an utterance behind what is queued; its name is the `id`.",
            &[
                text("text", "1 to 5,000 characters."),
                text("voice_id", "The voice (the node's first)."),
            ],
        ),
        &["text"],
    ),
    needs(
        message(
            "play",
            "Plays a file in the same way.",
            &[text("audio_base64", "MP3 or WAV in base64; a text message is limited to 256 KiB.")],
        ),
        &["audio_base64"],
    ),
    needs(
        message(
            "event",
            "Is told to those who listen, and logged.",
            &[text("name", "At most 256 octets."), any("data", "Yours, up to 16 KiB.")],
        ),
        &["name"],
    ),
    message("pause", "Holds the queue.", &[]),
    message("resume", "Goes on with it.", &[]),
    needs(
        message(
            "barge_in",
            "Decides on what was paused for the caller.",
            &[text("decision", "Whether it is thrown away.").of(&["confirm", "reject"])],
        ),
        &["decision"],
    ),
    needs(
        message("background", "Whether what plays beneath is heard.", &[truth("on", "It is.")]),
        &["on"],
    ),
    message(
        "configure",
        "How your audio is read from here on, and how the caller's is written.",
        &[
            text("format", "Of your audio; `opus` and `ogg` where they are built in.").of(&[
                "auto",
                "pcm_s16le",
                "pcm_s16be",
                "pcm_f32le",
                "mulaw",
                "alaw",
                "mp3",
                "wav",
                "opus",
                "ogg",
            ]),
            whole("rate", "Of your audio, in Hz.").one_of(&IN_RATES),
            text("out_format", "Of the audio that you are sent.").of(&[
                "pcm_s16le",
                "mulaw",
                "alaw",
            ]),
            whole("out_rate", "Of that audio, in Hz.").one_of(&OUT_RATES),
            whole("frame_ms", "Of one message of it.").one_of(&FRAME_MS),
        ],
    ),
    needs(
        message(
            "dtmf",
            "Sends digits.",
            &[
                text("digits", "1 to 128 of 0-9, *, #, A-D."),
                whole("duration_ms", "Of each."),
                whole("gap_ms", "Between them."),
                text("method", "How (auto).").of(&["auto", "rfc4733", "info", "inband"]),
            ],
        ),
        &["digits"],
    ),
    message("answer", "Answers an incoming call that waits for it.", &[]),
    message("ring", "Sends 180 for it.", &[]),
    message(
        "early_media",
        "Sends 183 for it and plays before the answer.",
        &[
            text("tone", "A tone of ours (none).")
                .of(&["none", "ringback", "busy", "reorder", "sit", "dial"]),
            text("country", "Whose tones (us).").of(&["us", "eu"]),
        ],
    ),
    message(
        "reject",
        "Refuses it.",
        &[
            whole("sip_code", "The SIP status (603).").within(400, 699),
            text("reason", "Its words, in one line."),
        ],
    ),
    message("hold", "Holds the other side.", &[]),
    message("unhold", "No longer.", &[]),
    message("mute", "Replaces sound by silence.", &[DIRECTION]),
    message("unmute", "No longer.", &[DIRECTION]),
    needs(message("transfer", "Hands the call over.", TRANSFER), &["to"]),
    needs(
        message(
            "bridge",
            "Joins the call with another one.",
            &[
                text("call_id", "That call."),
                policy("What becomes of the call when the other one ends (continue)."),
            ],
        ),
        &["call_id"],
    ),
    message("unbridge", "Parts them.", &[]),
    message(
        "hangup",
        "Ends the call.",
        &[
            text("reason", "For the log."),
            text("after", "When everything queued has left.").of(&["playback"]),
        ],
    ),
    needs(
        message(
            "record",
            "Records the call.",
            &[
                text("action", "What to do.").of(&["start", "pause", "resume", "stop"]),
                text("channels", "Stereo: the caller left, what they are sent right (stereo).")
                    .of(&["stereo", "mono"]),
                truth("beep", "The caller hears a short tone at the beginning."),
            ],
        ),
        &["action"],
    ),
    message("ping", "Asks for `pong`.", &[]),
    message("stats", "Asks for `stats`.", &[]),
];
