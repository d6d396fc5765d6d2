//! The text messages of the stream as typed values: pure functions both ways.
//!
//! ```text
//!  client text ── decode ──> (id, Request)          Told ── encode ──> server text
//! ```
//!
//! Owns names, bounds and the shape of each message of `bellwire.stream.v1`, and the two messages
//! of the bare URL. Decides nothing: what a request does is the session's.

mod moment;

use self::offered::{reject, tone};
use self::record::record;
use self::transfer::transfer;
use super::options::{FRAME_MS, IN_RATES, OUT_RATES, OutFormat};
use crate::audio::decode::LiveFormat;
use crate::call::control::{BridgeWish, DtmfMethod, MuteDirection, OnPeerHangup, Wish};
use crate::call::record::{AnswererView, ToneView, TransferView};
use crate::call::recording::RecordWish;
use crate::id::{CallId, RecordingId};
use bytes::Bytes;
pub(super) use moment::rfc3339;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use std::sync::Arc;

mod bodies;
mod coded;
mod kinds;
mod offered;
mod record;
mod stats;
#[cfg(test)]
mod tests;
mod transfer;

pub use bodies::{Heard, Inward, Outward, Replayed, ResumeOffer, Sip, Speech, Start, Transcribing};
pub(super) use coded::{from_base64, put_base64};
pub use record::Recorded;
pub use stats::{Spread, Stages, Stats};
#[cfg(test)]
pub(crate) use tests::field_names;

/// Longest text message that a client may send, in octets.
pub const TEXT_MAX: usize = 256 * 1024;
/// Longest name of an utterance or a mark, and longest command id, in octets.
pub(super) const NAME_MAX: usize = 256;
/// Code of a text that is no message at all.
pub(super) const INVALID: &str = "invalid_message";
/// Digits that one `dtmf` may send.
const DIGITS_MAX: usize = 128;
/// Longest fade of a clear.
pub const FADE_MS_MAX: u64 = 100;
/// Longest text of one `say`, in characters.
const SAY_MAX: usize = 5000;
/// Longest `data` of an event of the client's own, in octets.
const DATA_MAX: usize = 16 * 1024;

/// The id under which a client wants to hear what became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandId {
    /// As text.
    Text(Arc<str>),
    /// As a whole number.
    Number(i64),
}

impl Serialize for CommandId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => to.serialize_str(text),
            Self::Number(number) => to.serialize_i64(*number),
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// What the binary messages from here on are.
    Configure {
        /// Their format, if it changes.
        format: Option<LiveFormat>,
        /// Their rate, if it changes.
        rate: Option<u32>,
        /// What the client is sent from here on.
        out: OutWish,
    },
    /// The audio from here on has this name.
    Utterance(Arc<str>),
    /// The utterance is complete.
    UtteranceEnd,
    /// Tell when everything queued so far has left.
    Mark(String),
    /// Throw away what is queued.
    Clear {
        /// Length of the fade, 0 to [`FADE_MS_MAX`], if it matters to the client.
        fade_ms: Option<u64>,
        /// Only this utterance.
        utterance: Option<Arc<str>>,
    },
    /// Stop playing, keep the queue.
    Pause,
    /// Go on playing.
    Resume,
    /// Whether what plays beneath is heard.
    Background(bool),
    /// Send digits to the far end.
    Dtmf {
        /// `0-9*#A-D`, at least one.
        digits: String,
        /// Length of each.
        duration_ms: Option<u64>,
        /// Pause between them.
        gap_ms: Option<u64>,
        /// How.
        method: DtmfMethod,
    },
    /// What becomes of what was paused because the caller spoke.
    BargeIn {
        /// The caller has the word: throw it away.
        confirm: bool,
    },
    /// Something that is not the stream's to do, but the call's.
    Wish(Box<Wish>),
    /// End the call.
    Hangup {
        /// For the log.
        reason: Option<String>,
        /// Only when everything queued has left.
        after_playback: bool,
    },
    /// Asks for `pong`.
    Ping,
    /// Asks for `stats`.
    Stats,
    /// Play a file behind what is queued.
    Play(Bytes),
    /// Say a text behind what is queued.
    Say {
        /// The text.
        text: String,
        /// Which voice; `None`: the first of the node.
        voice: Option<String>,
    },
    /// Tell everybody else something of the client's own.
    Event {
        /// Its name.
        name: String,
        /// What belongs to it.
        data: Value,
    },
    /// Record the call, or something of its recording.
    Record(RecordWish),
}

/// How the audio for the client changes; unset is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutWish {
    /// Its format.
    pub format: Option<OutFormat>,
    /// Its rate, one of [`OUT_RATES`].
    pub rate: Option<u32>,
    /// Length of its messages, one of [`FRAME_MS`].
    pub frame_ms: Option<u32>,
}

/// Why a text message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The id of the command, where one could be read.
    pub id: Option<CommandId>,
    /// Stable code.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// All fields that commands may have; unknown ones are ignored.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Fields {
    format: Option<String>,
    rate: Option<u32>,
    #[serde(alias = "outFormat")]
    out_format: Option<String>,
    #[serde(alias = "outRate")]
    out_rate: Option<u32>,
    #[serde(alias = "frameMs")]
    frame_ms: Option<u32>,
    text: Option<String>,
    #[serde(alias = "voiceId")]
    voice_id: Option<String>,
    #[serde(alias = "audioBase64")]
    audio_base64: Option<String>,
    #[serde(alias = "audioId")]
    audio_id: Option<String>,
    data: Option<Value>,
    name: Option<String>,
    #[serde(alias = "fadeMs")]
    fade_ms: Option<u64>,
    utterance: Option<String>,
    digits: Option<String>,
    #[serde(alias = "durationMs")]
    duration_ms: Option<u64>,
    #[serde(alias = "gapMs")]
    gap_ms: Option<u64>,
    reason: Option<String>,
    after: Option<String>,
    method: Option<String>,
    direction: Option<String>,
    on: Option<bool>,
    #[serde(alias = "sipCode")]
    sip_code: Option<u16>,
    to: Option<String>,
    headers: Option<Map<String, Value>>,
    mode: Option<String>,
    timeout: Option<u64>,
    #[serde(alias = "callId")]
    call_id: Option<String>,
    #[serde(alias = "replacesCallId")]
    replaces_call_id: Option<String>,
    #[serde(alias = "onPeerHangup")]
    on_peer_hangup: Option<String>,
    decision: Option<String>,
    tone: Option<String>,
    country: Option<String>,
    action: Option<String>,
    channels: Option<String>,
    beep: Option<bool>,
}

/// Reads one text message of a client.
///
/// # Errors
/// [`Refused`], with the command's id where there is one.
pub fn decode(text: &str) -> Result<(Option<CommandId>, Request), Refused> {
    let bad = |detail: String| Refused { id: None, code: INVALID, detail };
    let value: Value =
        serde_json::from_str(text).map_err(|error| bad(format!("not JSON: {error}")))?;
    let Value::Object(mut object) = value else {
        return Err(bad("must be a JSON object".to_owned()));
    };
    let id = command_id(&mut object)?;
    let refuse = |code, detail: &str| Refused { id: id.clone(), code, detail: clip(detail) };
    let Some(Value::String(kind)) = object.remove("type") else {
        return Err(refuse(INVALID, "type must be a string"));
    };
    let fields: Fields = serde_json::from_value(Value::Object(object))
        .map_err(|error| refuse("invalid_field", &error.to_string()))?;
    let request = match request(&kind, fields, id.as_ref()) {
        Ok(request) => request,
        Err((code, detail)) => return Err(refuse(code, &detail)),
    };
    Ok((id, request))
}

fn command_id(object: &mut Map<String, Value>) -> Result<Option<CommandId>, Refused> {
    let id = match object.remove("id") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.len() <= NAME_MAX => Some(CommandId::Text(text.into())),
        Some(Value::Number(number)) => number.as_i64().map(CommandId::Number),
        Some(_) => None,
    };
    let detail = format!("id must be a string of at most {NAME_MAX} octets or a whole number");
    id.map(Some).ok_or(Refused { id: None, code: "invalid_field", detail })
}

pub(super) type Wrong = (&'static str, String);

fn request(kind: &str, fields: Fields, id: Option<&CommandId>) -> Result<Request, Wrong> {
    Ok(match kind {
        "configure" => configure(&fields)?,
        "utterance" => match id {
            Some(CommandId::Text(name)) if !name.is_empty() => Request::Utterance(name.clone()),
            Some(CommandId::Number(number)) => Request::Utterance(number.to_string().into()),
            _ => return Err(("missing_field", "utterance needs id".to_owned())),
        },
        "utterance_end" => Request::UtteranceEnd,
        "mark" => Request::Mark(short("name", fields.name)?),
        "clear" => clear(fields)?,
        "play" => Request::Play(play(fields)?),
        "say" => say(fields)?,
        "event" => event(fields)?,
        "pause" => Request::Pause,
        "resume" => Request::Resume,
        "background" => match fields.on {
            Some(on) => Request::Background(on),
            None => return Err(("missing_field", "background needs on".to_owned())),
        },
        "dtmf" => Request::Dtmf {
            digits: digits(fields.digits)?,
            duration_ms: fields.duration_ms,
            gap_ms: fields.gap_ms,
            method: method(fields.method.as_deref())?,
        },
        "barge_in" => Request::BargeIn {
            confirm: match fields.decision.as_deref() {
                Some("confirm") => true,
                Some("reject") => false,
                Some(_) => {
                    return Err(("invalid_field", "decision must be confirm or reject".to_owned()));
                }
                None => return Err(("missing_field", "decision is missing".to_owned())),
            },
        },
        "hold" => wish(Wish::Hold),
        "unhold" => wish(Wish::Resume),
        "mute" | "unmute" => {
            wish(Wish::Mute(kind == "mute", direction(fields.direction.as_deref())?))
        }
        "ring" => wish(Wish::Ring),
        "early_media" => wish(Wish::EarlyMedia(tone(&fields)?)),
        "answer" => wish(Wish::Answer),
        "reject" => wish(reject(&fields)?),
        "transfer" => wish(Wish::Transfer(transfer(fields)?)),
        "bridge" => wish(Wish::Bridge(BridgeWish {
            with: call("call_id", fields.call_id)?,
            on_peer_hangup: policy(fields.on_peer_hangup.as_deref(), OnPeerHangup::Continue)?,
        })),
        "unbridge" => wish(Wish::Unbridge),
        "hangup" => Request::Hangup {
            reason: fields.reason.map(|reason| clip(&reason)),
            after_playback: match fields.after.as_deref() {
                None => false,
                Some("playback") => true,
                Some(_) => return Err(("invalid_field", "after must be playback".to_owned())),
            },
        },
        "record" => Request::Record(record(&fields)?),
        "ping" => Request::Ping,
        "stats" => Request::Stats,
        _ => return Err(("unknown_type", format!("type {:?} is unknown", clip(kind)))),
    })
}

fn configure(fields: &Fields) -> Result<Request, Wrong> {
    let format = fields.format.as_deref().map(LiveFormat::by_name);
    if format == Some(None) {
        let names = LiveFormat::NAMES.map(|(name, _)| name).join(", ");
        return Err(("unsupported_format", format!("format must be one of {names}")));
    }
    let out_format = fields.out_format.as_deref().map(OutFormat::from_name);
    if out_format == Some(None) {
        let detail = "out_format must be pcm_s16le, mulaw or alaw".to_owned();
        return Err(("unsupported_format", detail));
    }
    let one_of = |name: &str, value: Option<u32>, allowed: &[u32]| match value {
        Some(value) if !allowed.contains(&value) => {
            Err(("unsupported_rate", format!("{name} must be one of {allowed:?}")))
        }
        Some(_) | None => Ok(value),
    };
    let out = OutWish {
        format: out_format.flatten(),
        rate: one_of("out_rate", fields.out_rate, &OUT_RATES)?,
        frame_ms: one_of("frame_ms", fields.frame_ms, &FRAME_MS)?,
    };
    let rate = one_of("rate", fields.rate, &IN_RATES)?;
    Ok(Request::Configure { format: format.flatten(), rate, out })
}

fn clear(fields: Fields) -> Result<Request, Wrong> {
    if fields.fade_ms.is_some_and(|ms| ms > FADE_MS_MAX) {
        return Err(("invalid_field", format!("fade_ms must be 0 to {FADE_MS_MAX}")));
    }
    Ok(Request::Clear { fade_ms: fields.fade_ms, utterance: fields.utterance.map(Arc::from) })
}

fn play(fields: Fields) -> Result<Bytes, Wrong> {
    if fields.audio_id.is_some() {
        let detail = "audio_id is not served; send the file as audio_base64".to_owned();
        return Err(("not_implemented", detail));
    }
    let text =
        fields.audio_base64.ok_or(("missing_field", "audio_base64 is missing".to_owned()))?;
    let octets = from_base64(&text);
    octets.ok_or_else(|| ("invalid_field", "audio_base64 is not base64".to_owned()))
}

fn say(fields: Fields) -> Result<Request, Wrong> {
    let text = fields.text.ok_or(("missing_field", "text is missing".to_owned()))?;
    if text.trim().is_empty() || text.chars().count() > SAY_MAX {
        return Err(("invalid_field", format!("text must have 1 to {SAY_MAX} characters")));
    }
    let voice = fields.voice_id.map(|voice| short("voice_id", Some(voice))).transpose()?;
    Ok(Request::Say { text, voice })
}

fn event(fields: Fields) -> Result<Request, Wrong> {
    let data = fields.data.unwrap_or(Value::Null);
    if data.to_string().len() > DATA_MAX {
        return Err(("invalid_field", format!("data is longer than {DATA_MAX} octets")));
    }
    let name = short("name", fields.name)?;
    Ok(Request::Event { name, data })
}

fn wish(wish: Wish) -> Request {
    Request::Wish(Box::new(wish))
}

fn method(name: Option<&str>) -> Result<DtmfMethod, Wrong> {
    match name {
        None | Some("auto") => Ok(DtmfMethod::Auto),
        Some("rfc4733") => Ok(DtmfMethod::Rfc4733),
        Some("info") => Ok(DtmfMethod::Info),
        Some("inband") => Ok(DtmfMethod::Inband),
        Some(_) => {
            Err(("invalid_field", "method must be auto, rfc4733, info or inband".to_owned()))
        }
    }
}

fn direction(name: Option<&str>) -> Result<MuteDirection, Wrong> {
    let known = name.map_or(Some(MuteDirection::default()), MuteDirection::by_name);
    known.ok_or(("invalid_field", "direction must be playout, capture or both".to_owned()))
}

fn call(field: &str, id: Option<String>) -> Result<CallId, Wrong> {
    let id = id.ok_or(("missing_field", format!("{field} is missing")))?;
    id.parse().map_err(|_| ("invalid_field", format!("{field} must be the id of a call")))
}

fn policy(name: Option<&str>, usual: OnPeerHangup) -> Result<OnPeerHangup, Wrong> {
    match name {
        None => Ok(usual),
        Some("hangup") => Ok(OnPeerHangup::Hangup),
        Some("continue") => Ok(OnPeerHangup::Continue),
        Some(_) => Err(("invalid_field", "on_peer_hangup must be hangup or continue".to_owned())),
    }
}

/// Foreign text for a header field: short and in one line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn short(field: &str, value: Option<String>) -> Result<String, Wrong> {
    match value {
        Some(text) if text.len() <= NAME_MAX => Ok(text),
        Some(_) => Err(("invalid_field", format!("{field} is longer than {NAME_MAX} octets"))),
        None => Err(("missing_field", format!("{field} is missing"))),
    }
}

pub(super) fn digits(value: Option<String>) -> Result<String, Wrong> {
    let text = value.ok_or(("missing_field", "digits is missing".to_owned()))?;
    let text = text.to_ascii_uppercase();
    let good = |digit: u8| matches!(digit, b'0'..=b'9' | b'A'..=b'D' | b'*' | b'#');
    if (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(good) {
        Ok(text)
    } else {
        Err(("invalid_field", format!("digits must be 1 to {DIGITS_MAX} of 0-9, *, #, A-D")))
    }
}

/// Foreign text, short enough to be quoted in an answer.
fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told {
    /// The first message.
    Start(Box<Start>),
    /// The call's state changed.
    CallEvent {
        /// E.g. `ringing`.
        event: &'static str,
        /// More about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// How a transfer goes; a `call_event`, too.
    #[serde(rename = "call_event")]
    Transfer {
        /// `transfer`.
        event: &'static str,
        /// `requested`, `accepted`, `ringing`, `succeeded` or `failed`.
        state: &'static str,
        /// `blind`, `attended`, `bridge` or `referred`.
        mode: &'static str,
        /// The number or URI.
        to: String,
        /// The last SIP status that was heard of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
    },
    /// How far a recording is; a `call_event`, too.
    #[serde(rename = "call_event")]
    Recording(Recorded),
    /// The caller said something.
    Transcript(Heard),
    /// Where an agent's conversation stands.
    Turn {
        /// E.g. `listening`, `agent_speaking`.
        state: crate::turn::interface::State,
    },
    /// An agent was cut off.
    Interrupted {
        /// What was heard of what it was saying.
        heard: String,
    },
    /// How an agent's call went.
    Outcome {
        /// As in the call object.
        outcome: Box<crate::call::outcome::Outcome>,
    },
    /// The caller pressed a key.
    Dtmf {
        /// Which.
        digit: char,
        /// How long.
        duration_ms: u32,
        /// `rfc4733`, `info` or `inband`.
        method: &'static str,
    },
    /// The caller began or stopped to speak.
    Speech(Speech),
    /// The network said something in tones.
    Tone(ToneView),
    /// Who answered; a `call_event`, too.
    #[serde(rename = "call_event")]
    Answerer {
        /// `amd`.
        event: &'static str,
        /// The verdict.
        #[serde(flatten)]
        answerer: AnswererView,
    },
    /// The beep of whoever answered; a `call_event`, too.
    #[serde(rename = "call_event")]
    Beep {
        /// `amd`.
        event: &'static str,
        /// `beep`.
        detail: &'static str,
        /// Where it ended, in the caller's samples since the answer.
        position_ms: u64,
    },
    /// Playout was paused for a key.
    BargeIn {
        /// `dtmf`.
        by: &'static str,
        /// It waits so long for a `barge_in`.
        decision_deadline_ms: u64,
    },
    /// Something became of an utterance.
    Playback {
        /// `started`, `completed`, `cleared`, `paused` or `resumed`.
        state: &'static str,
        /// Its name; none for audio without one.
        #[serde(serialize_with = "name_or_null")]
        utterance: Option<Arc<str>>,
        /// How much of it was sent.
        played_ms: u64,
        /// How much was left out of that to catch up; left out of the message if none.
        #[serde(skip_serializing_if = "is_zero")]
        squeezed_ms: u64,
        /// How much never will be.
        discarded_ms: u64,
    },
    /// Some of the caller's audio is not theirs: a packet was missing, and was concealed.
    Concealed {
        /// Where it begins, in the audio of the binary messages of this client.
        position_ms: u64,
        /// How long it is.
        duration_ms: u64,
    },
    /// A mark was reached or cleared.
    Mark {
        /// Its name.
        name: Box<str>,
        /// Audio sent in this call up to it.
        played_ms: u64,
        /// Audio left out up to it; left out of the message if none.
        #[serde(skip_serializing_if = "is_zero")]
        squeezed_ms: u64,
        /// Whether it was cleared.
        cleared: bool,
    },
    /// The queue passed a water mark.
    Flow {
        /// `xoff` or `xon`.
        state: &'static str,
        /// How much is queued.
        queued_ms: u64,
    },
    /// Something is not as it should be; the stream goes on.
    Warning {
        /// Stable code.
        code: &'static str,
        /// What happened.
        detail: String,
        /// What to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'static str>,
        /// How much audio is missing, where that is what happened.
        #[serde(skip_serializing_if = "Option::is_none")]
        dropped_ms: Option<u64>,
    },
    /// A message was not accepted.
    Error {
        /// The command's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
        /// Stable code.
        code: &'static str,
        /// What is wrong.
        detail: String,
        /// Whether the stream ends with it.
        fatal: bool,
    },
    /// A command took effect.
    Ack {
        /// The command's id.
        id: CommandId,
        /// The recording that it was about.
        #[serde(skip_serializing_if = "Option::is_none")]
        recording: Option<RecordingId>,
    },
    /// The answer to `ping`.
    Pong {
        /// The id of the `ping`.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
    },
    /// How the call sounds.
    Stats(Box<Stats>),
    /// Something of the main client's own, for those who listen.
    Event {
        /// Its name.
        name: String,
        /// What belongs to it.
        data: Value,
    },
    /// What follows is told again, to a client that goes on.
    Replayed(Box<Replayed>),
    /// The last message.
    Stop {
        /// The call's end reason.
        reason: &'static str,
        /// The last SIP status.
        sip_code: Option<u16>,
        /// Audio sent in this call.
        played_ms: u64,
        /// Answer to end.
        duration_ms: u64,
    },
}

#[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
fn name_or_null<S: Serializer>(name: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
    name.as_deref().serialize(to)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
fn is_zero(length: &u64) -> bool {
    *length == 0
}

/// A warning without hint or count.
pub(super) fn warning(code: &'static str, detail: impl Into<String>) -> Told {
    Told::Warning { code, detail: detail.into(), hint: None, dropped_ms: None }
}

impl Told {
    /// How a transfer goes.
    #[must_use]
    pub fn transfer(view: &TransferView) -> Self {
        Self::Transfer {
            event: "transfer",
            state: view.state.as_str(),
            mode: view.mode.as_str(),
            to: view.to.clone(),
            code: view.code,
        }
    }
}

/// What every message of the full protocol carries beside its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Counts the messages from 1.
    pub seq: u64,
    /// Milliseconds since the stream started.
    pub t_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: i64,
}

/// Writes a message of the full protocol.
#[must_use]
pub fn encode(told: &Told, stamp: Stamp) -> String {
    #[derive(Serialize)]
    struct Message<'a> {
        #[serde(flatten)]
        body: &'a Told,
        seq: u64,
        t_ms: u64,
        timestamp: String,
    }
    let timestamp = rfc3339(stamp.unix_ms, true);
    let message = Message { body: told, seq: stamp.seq, t_ms: stamp.t_ms, timestamp };
    // Strings and numbers under fixed names always have a JSON form.
    serde_json::to_string(&message).unwrap_or_default()
}

/// Writes a message of the bare URL; `None` for what its clients do not know.
///
/// Audio that cannot be read is told as a `call_event`, the one shape that they can show.
#[must_use]
pub fn encode_bare(told: &Told, unix_ms: i64) -> Option<String> {
    #[derive(Serialize)]
    struct Message<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        event: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
        timestamp: String,
    }
    let (kind, text, event, detail) = match told {
        Told::CallEvent { event, detail } => ("call_event", None, Some(*event), detail.as_deref()),
        Told::Transfer { event, state, .. } => ("call_event", None, Some(*event), Some(*state)),
        Told::Recording(of) => ("call_event", None, Some(of.event), Some(of.state)),
        Told::Answerer { event, answerer } => {
            ("call_event", None, Some(*event), Some(answerer.answered_by.as_str()))
        }
        Told::Beep { event, detail, .. } => ("call_event", None, Some(*event), Some(*detail)),
        Told::Transcript(heard) if heard.is_final => {
            ("transcript", Some(heard.text.as_str()), None, None)
        }
        Told::Warning { code: "audio_undecodable", detail, .. } => {
            ("call_event", None, Some("warning"), Some(detail.as_str()))
        }
        Told::Start(_)
        | Told::Transcript(_)
        | Told::Turn { .. }
        | Told::Interrupted { .. }
        | Told::Outcome { .. }
        | Told::Dtmf { .. }
        | Told::Speech(_)
        | Told::Tone(_)
        | Told::BargeIn { .. }
        | Told::Playback { .. }
        | Told::Concealed { .. }
        | Told::Mark { .. }
        | Told::Flow { .. }
        | Told::Warning { .. }
        | Told::Error { .. }
        | Told::Ack { .. }
        | Told::Pong { .. }
        | Told::Stats(_)
        | Told::Event { .. }
        | Told::Replayed(_)
        | Told::Stop { .. } => return None,
    };
    let timestamp = rfc3339(unix_ms, false);
    let message = Message { kind, text, event, detail, timestamp };
    serde_json::to_string(&message).ok()
}

/// Feeds foreign octets to the reader of text messages: none may make it panic, and what it
/// answers must be writable.
pub fn fuzz_ws_text(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let stamp = Stamp { seq: 1, t_ms: 2, unix_ms: 3 };
    let told = match decode(&text) {
        Ok((Some(id), _)) => Told::Ack { id, recording: None },
        Ok((None, request)) => warning("x", format!("{request:?}")),
        Err(Refused { id, code, detail }) => Told::Error { id, code, detail, fatal: false },
    };
    assert!(serde_json::from_str::<Value>(&encode(&told, stamp)).is_ok());
    super::dialect::fuzz_json(octets);
}
