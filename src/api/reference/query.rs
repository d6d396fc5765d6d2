//! The parameters of a stream, once: those of the upgrade's query, of which most may also stand in
//! the `stream` of a request.

use super::field::{Field, text, whole};
use crate::app::stream::options::{BUFFER_MS, FRAME_MS, IN_RATES, OUT_RATES, STATS_MS};

const SWITCH: &[&str] = &["on", "off"];

/// All, in the order of docs/stream.md.
pub(super) const QUERY: &[Field] = &[
    text("protocol", "Whose words are spoken; without it as docs/stream.md says.").of(&[
        "native",
        "cawme",
        "twilio",
        "vonage",
        "telnyx",
        "plivo",
        "jambonz",
        "asterisk",
        "asterisk-json",
        "pipecat",
    ]),
    text("ticket", "A ticket instead of a key."),
    text("format", "Of the audio that you send; `opus` and `ogg` where they are built in.").of(&[
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
    whole("rate", "Of the audio that you send, in Hz; MP3 and WAV bring their own.")
        .one_of(&IN_RATES),
    whole("buffer_ms", "How much of your audio may be queued.")
        .within(*BUFFER_MS.start(), *BUFFER_MS.end()),
    text("playout", "Whether your audio waits its turn or catches up.").of(&["queue", "live"]),
    text("jitter", "When the caller's audio is sent: when it is there, or at a beat.")
        .of(&["asap", "paced"]),
    text("agc", "Whether your audio is levelled.").of(SWITCH),
    text("dc_block", "Whether an offset is taken out of your audio.").of(SWITCH),
    text("listen", "Whose audio you are sent.").of(&["none", "caller", "agent", "both", "stereo"]),
    text("envelope", "How audio stands beside text.").of(&["binary", "json"]),
    text("events", "Which messages you are told, with commas between; `concealed` besides."),
    text("role", "What you are there for.").of(&["main", "listener"]),
    text("takeover", "Whether you take the place of whoever sits there.")
        .of(&["1", "0", "true", "false"]),
    text("resume", "The token of `start`: goes on where another socket stopped; needs `since`."),
    whole("since", "With `resume`: the `seq` of the last message that you have."),
    whole("heard", "With `resume`: how many samples per channel you have had."),
    whole("linger_ms", "How long the call goes on when your socket is lost.").within(0, 300_000),
    text("on_lost", "What is heard meanwhile; `prompt` needs `prompt_text`.")
        .of(&["hold", "prompt", "hangup"]),
    text("prompt_text", "What is said meanwhile, 1 to 1000 characters."),
    whole("out_rate", "Of the audio that you are sent, in Hz; 8000 is not touched.")
        .one_of(&OUT_RATES),
    text("out_format", "Of the audio that you are sent.").of(&["pcm_s16le", "mulaw", "alaw"]),
    text("out_agc", "Whether the audio that you are sent is levelled.").of(SWITCH),
    text("out_dc_block", "Whether an offset is taken out of it.").of(SWITCH),
    text("transcripts", "Which of the caller's words you are told.")
        .of(&["off", "final", "partial"]),
    text("barge_in", "What the caller's voice and keys do to what is played.")
        .of(&["off", "notify", "clear", "pause"]),
    text("tones", "Whether tones of the network are told.").of(SWITCH),
    whole("frame_ms", "Of one message of audio to you.").one_of(&FRAME_MS),
    whole("stats_ms", "How often `stats` is told; without it when you ask.")
        .within(*STATS_MS.start(), *STATS_MS.end()),
];

#[cfg(test)]
mod tests;
