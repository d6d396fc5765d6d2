//! The body of `POST /v1/calls`.
//!
//! The reference API's four bodies are valid unchanged; beyond them everything that the API names
//! is known here, and what this version does not serve is refused unless it says the default.

use super::answer::Voice;
use super::fields::{Faults, Object, clip, parse};
use super::instance::metadata;
use crate::api::error::{Code, Problem};
use crate::api::gateway::{BackgroundWish, Spoken};
use crate::api::stream::ask::StreamAsk;
use crate::app::agent::request::AgentRequest;
use crate::app::stream::{QueryBlame, StreamOptions};
use crate::app::transcribe::Transcribe;
use crate::call::record::CallType;
use crate::call::target::{
    HEADER_VALUE_MAX, HEADERS_MAX, SipUriFault, check_sip_uri, is_e164, is_own_header,
};
use crate::id::InstanceId;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::time::Duration;

mod agent;
mod amd;
mod background;
mod barge;
mod base64;
pub mod decision;
mod dial;
pub(super) mod hearing;
mod record;
#[cfg(test)]
mod sample;

pub use amd::AskedAmd;
pub use hearing::AskedHearing;

const INSTRUCTIONS_MAX: usize = 64;
const INSTRUCTION_MAX: usize = 2_000;

/// Why audio cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AudioProblem {
    /// It is neither MP3 nor WAV, or broken, or holds no sound.
    #[error("{0}")]
    Undecodable(String),
    /// It lasts too long.
    #[error("{0}")]
    TooLarge(String),
}

/// What a create request gets for what it does not say, and its longest text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateDefaults {
    /// How long a call may ring.
    pub ring_timeout: Duration,
    /// How long it may last after the answer.
    pub max_duration: Duration,
    /// How long an answered stream call waits for its client.
    pub stream_wait: Duration,
    /// Most characters of a text.
    pub text_max: usize,
    /// Whether the node records calls.
    pub recording: bool,
}

/// Seconds of a request.
fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

impl Default for CreateDefaults {
    /// A minute, four hours, ten seconds, 5000 characters.
    fn default() -> Self {
        Self {
            ring_timeout: Duration::from_mins(1),
            max_duration: Duration::from_hours(4),
            stream_wait: Duration::from_secs(10),
            text_max: 5000,
            recording: true,
        }
    }
}

/// What the check of a create request must know.
#[derive(Debug, Clone, Copy)]
pub struct CreateContext<'a> {
    /// What stands in for absent fields.
    pub defaults: CreateDefaults,
    /// Whether unknown fields are wrong.
    pub strict: bool,
    /// The voices that there are.
    pub voices: &'a [Voice],
    /// The engines of which a voice may be named as `engine:voice`.
    pub engines: &'a [String],
}

/// A valid request for an outgoing call; its audio is not decoded yet.
#[derive(Debug, Clone)]
pub struct CreateCall {
    /// The line.
    pub instance: InstanceId,
    /// E.164 number or SIP URI.
    pub target: String,
    /// Whether the target is a SIP URI, which takes a scope of its own.
    pub target_is_sip: bool,
    /// Extra `X-` header fields of the INVITE.
    pub headers: Vec<(String, String)>,
    /// Our number.
    pub from: Option<String>,
    /// Display name.
    pub from_name: Option<String>,
    /// The trunk that the request names.
    pub trunk: Option<String>,
    /// What to do once answered.
    pub content: RequestedContent,
    /// What plays beneath, if the request says it.
    pub background: Option<BackgroundWish>,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// How long it may last after the answer.
    pub max_duration: Duration,
    /// The user's own object.
    pub metadata: Map<String, Value>,
    /// Whether and how the caller's words are written down.
    pub transcribe: Option<Transcribe>,
    /// What is done with what is heard, as far as the request says.
    pub hearing: AskedHearing,
}

/// What a request wants played or done.
#[derive(Debug, Clone)]
pub enum RequestedContent {
    /// FIXED_TTS.
    Tts(Spoken),
    /// FIXED_AUDIO.
    Audio {
        /// The file as it was before base64.
        bytes: Bytes,
        /// How often it is played; 0: until the call ends.
        repeat: u32,
    },
    /// DYNAMIC_STREAM.
    Stream {
        /// Defaults for the client that attaches.
        options: Box<StreamOptions>,
        /// How long an answered call waits for its first client.
        wait: Duration,
        /// Where the client comes from, and what it is told.
        ask: Box<StreamAsk>,
    },
    /// DYNAMIC_AGENT.
    Agent(Box<AgentRequest>),
}

impl CreateCall {
    /// Reads a body.
    ///
    /// Cost: proportional to the body; call it off the async threads when that is large.
    ///
    /// # Errors
    /// The problem that names every wrong place.
    pub fn parse(bytes: &[u8], context: &CreateContext<'_>) -> Result<Self, Problem> {
        let body = parse(bytes)?;
        let mut faults = Faults::default();
        let mut read = Object::new("", &body);
        let instance = instance(&mut read, &mut faults);
        let call_type = call_type(&mut read, &mut faults);
        let target = target(&mut read, &mut faults, context.strict);
        let mut content = content(&mut read, &mut faults, call_type, context);
        let record = record::record(&mut read, &mut faults, call_type, context);
        if let Some(RequestedContent::Stream { ask, .. }) = &mut content {
            ask.record = record;
        }
        let from = from(&mut read, &mut faults);
        let from_name = from_name(&mut read, &mut faults);
        let trunk = read.text(&mut faults, "trunkId", Code::InvalidRequest).map(str::to_owned);
        let ring = read.integer(&mut faults, "ringTimeout", 5..=180);
        let longest = read.integer(&mut faults, "maxDuration", 1..=86_400);
        let metadata = metadata(&mut read, &mut faults).unwrap_or_default();
        let background = background::background(&mut read, &mut faults, context.strict);
        let transcribe = agent::transcribe(&mut read, &mut faults, context.strict);
        let hearing = hearing::hearing(&mut read, &mut faults, call_type, context.strict);
        defaults_only(&mut read, &mut faults, call_type);
        read.finish(&mut faults, context.strict);
        faults.into_result()?;
        let (Some(instance), Some(target), Some(content)) = (instance, target, content) else {
            return Err(Problem::internal("a wrong field was not reported"));
        };
        Ok(Self {
            instance,
            target: target.address,
            target_is_sip: target.is_sip,
            headers: target.headers,
            from,
            from_name,
            trunk,
            content,
            background,
            ring_timeout: ring.map_or(context.defaults.ring_timeout, seconds),
            max_duration: longest.map_or(context.defaults.max_duration, seconds),
            metadata,
            transcribe,
            hearing,
        })
    }
}

/// Whether `text` can be shown as the caller: also short and national numbers.
#[must_use]
pub fn is_caller_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

fn instance(read: &mut Object<'_>, faults: &mut Faults) -> Option<InstanceId> {
    if !read.has("instanceId") {
        faults.missing("/instanceId", "instanceId is required");
    }
    let text = read.text(faults, "instanceId", Code::InvalidRequest)?;
    let id = text.parse();
    if id.is_err() {
        let detail = format!("{:?} is not the id of an instance (inst_…)", clip(text));
        faults.add(Code::InvalidRequest, "/instanceId", "pattern", detail);
    }
    id.ok()
}

fn call_type(read: &mut Object<'_>, faults: &mut Faults) -> Option<CallType> {
    const NAMES: &str = "FIXED_TTS, FIXED_AUDIO, DYNAMIC_STREAM or DYNAMIC_AGENT";
    if !read.has("type") {
        faults.missing("/type", format!("type is required: {NAMES}"));
    }
    let text = read.text(faults, "type", Code::UnsupportedType)?;
    match text {
        "FIXED_TTS" => Some(CallType::FixedTts),
        "FIXED_AUDIO" => Some(CallType::FixedAudio),
        "DYNAMIC_STREAM" => Some(CallType::DynamicStream),
        "DYNAMIC_AGENT" => Some(CallType::DynamicAgent),
        _ => {
            let detail = format!("{:?} is no call type; there are {NAMES}", clip(text));
            faults.add(Code::UnsupportedType, "/type", "enum", detail);
            None
        }
    }
}

struct Target {
    address: String,
    is_sip: bool,
    headers: Vec<(String, String)>,
}

fn target(read: &mut Object<'_>, faults: &mut Faults, strict: bool) -> Option<Target> {
    if !read.has("target") {
        faults.missing("/target/phoneNumber", "target.phoneNumber is required");
    }
    let mut target = read.object(faults, "target")?;
    let (number, uri) = (target.has("phoneNumber"), target.has("sipUri"));
    let number_text = target.text(faults, "phoneNumber", Code::InvalidPhoneNumber);
    let uri_text = target.text(faults, "sipUri", Code::InvalidRequest);
    let headers = headers(&mut target, faults);
    target.finish(faults, strict);
    match (number, uri) {
        (false, false) => {
            faults.missing("/target/phoneNumber", "target.phoneNumber is required");
            None
        }
        (true, true) => {
            let detail = "give target.phoneNumber or target.sipUri, not both";
            faults.add(Code::InvalidRequest, "/target/sipUri", "exclusive", detail);
            None
        }
        (true, false) => {
            let address = phone_number(number_text?, faults)?;
            Some(Target { address, is_sip: false, headers })
        }
        (false, true) => {
            let address = sip_uri(uri_text?, "/target/sipUri", faults)?;
            Some(Target { address, is_sip: true, headers })
        }
    }
}

fn phone_number(text: &str, faults: &mut Faults) -> Option<String> {
    if is_e164(text) {
        return Some(text.to_owned());
    }
    let detail = "target.phoneNumber must be E.164, such as +14155550123: a plus sign, then 7 to \
                  15 digits";
    faults.add(Code::InvalidPhoneNumber, "/target/phoneNumber", "pattern", detail);
    None
}

/// A first check; the SIP layer parses it whole.
pub(super) fn sip_uri(text: &str, pointer: &str, faults: &mut Faults) -> Option<String> {
    match check_sip_uri(text) {
        Ok(()) => return Some(text.to_owned()),
        Err(SipUriFault::Secure) => {
            faults.later(pointer, "sips: is not served in this version; use sip:");
        }
        Err(SipUriFault::Malformed) => {
            let detail = "must be a URI such as sip:desk@pbx.example.com";
            faults.add(Code::InvalidRequest, pointer, "pattern", detail);
        }
    }
    None
}

/// The `headers` of an object: fields for the INVITE or REFER.
pub(super) fn headers(read: &mut Object<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let Some(value) = read.value(faults, "headers") else { return Vec::new() };
    let pointer = read.at("headers");
    let Some(map) = value.as_object().filter(|map| map.len() <= HEADERS_MAX) else {
        let detail = format!("headers must be an object of at most {HEADERS_MAX} fields");
        faults.add(Code::InvalidRequest, pointer, "wrong_type", detail);
        return Vec::new();
    };
    let mut headers = Vec::with_capacity(map.len());
    for (name, value) in map {
        match value.as_str().filter(|value| is_own_header(name, value)) {
            Some(value) => headers.push((name.clone(), value.to_owned())),
            None => {
                let shown = clip(name);
                let detail = format!(
                    "header {shown:?}: the name must begin with X- and have letters, digits and \
                     hyphens; the value must be a string of at most {HEADER_VALUE_MAX} bytes in \
                     one line"
                );
                let pointer = format!("{pointer}/{}", shown.replace('~', "~0").replace('/', "~1"));
                faults.add(Code::InvalidRequest, pointer, "header", detail);
            }
        }
    }
    headers
}

fn from(read: &mut Object<'_>, faults: &mut Faults) -> Option<String> {
    let number = read.text(faults, "from", Code::InvalidPhoneNumber)?;
    if !is_caller_number(number) {
        let detail = "from must be a number: 2 to 15 digits, with or without a plus sign";
        faults.add(Code::InvalidPhoneNumber, "/from", "pattern", detail);
        return None;
    }
    Some(number.to_owned())
}

fn from_name(read: &mut Object<'_>, faults: &mut Faults) -> Option<String> {
    let name = read.text(faults, "fromName", Code::InvalidRequest)?;
    if name.chars().count() > 64 || name.chars().any(char::is_control) {
        let detail = "fromName must have at most 64 characters and no control characters";
        faults.add(Code::InvalidRequest, "/fromName", "pattern", detail);
        return None;
    }
    Some(name.to_owned())
}

/// Reads the section that belongs to the type, and refuses the others.
fn content(
    read: &mut Object<'_>,
    faults: &mut Faults,
    call_type: Option<CallType>,
    context: &CreateContext<'_>,
) -> Option<RequestedContent> {
    const SECTIONS: [(&str, CallType, &str); 4] = [
        ("tts", CallType::FixedTts, "FIXED_TTS"),
        ("audio", CallType::FixedAudio, "FIXED_AUDIO"),
        ("stream", CallType::DynamicStream, "DYNAMIC_STREAM"),
        ("agent", CallType::DynamicAgent, "DYNAMIC_AGENT"),
    ];
    for (section, owner, owner_name) in SECTIONS {
        let there = read.value(faults, section).is_some();
        if there && call_type.is_some_and(|call_type| call_type != owner) {
            let detail = format!("{section} belongs to {owner_name}; leave it out or set it null");
            faults.add(Code::InvalidRequest, format!("/{section}"), "not_for_type", detail);
        }
    }
    match call_type? {
        CallType::FixedTts => tts(read, faults, context),
        CallType::FixedAudio => audio(read, faults, context.strict),
        CallType::DynamicStream => stream(read, faults, context),
        CallType::DynamicAgent => agent::agent(read, faults, context),
    }
}

fn tts(
    read: &mut Object<'_>,
    faults: &mut Faults,
    context: &CreateContext<'_>,
) -> Option<RequestedContent> {
    if !read.has("tts") {
        faults.missing("/tts/text", "type FIXED_TTS needs tts");
    }
    let mut tts = read.object(faults, "tts")?;
    for (field, pointer) in [("text", "/tts/text"), ("voiceId", "/tts/voiceId")] {
        if !tts.has(field) {
            faults.missing(pointer, format!("type FIXED_TTS needs tts.{field}"));
        }
    }
    let text_max = context.defaults.text_max;
    let text = tts.text(faults, "text", Code::InvalidRequest);
    let text = text.filter(|text| {
        let good = !text.trim().is_empty() && text.chars().count() <= text_max;
        if !good {
            let detail = format!("tts.text must have 1 to {text_max} characters, not only blanks");
            faults.add(Code::InvalidRequest, "/tts/text", "length", detail);
        }
        good
    });
    let voice = tts.text(faults, "voiceId", Code::UnknownVoice);
    let voice = voice.filter(|voice| known_voice(voice, "/tts/voiceId", faults, context));
    let repeat = tts.integer(faults, "repeat", 1..=10).unwrap_or(1);
    let ssml = tts.value(faults, "ssml");
    if ssml.is_some_and(|ssml| !ssml.is_boolean()) {
        let detail = "tts.ssml must be true or false";
        faults.add(Code::InvalidRequest, "/tts/ssml", "wrong_type", detail);
    }
    let speed = speed(&mut tts, faults);
    tts.finish(faults, context.strict);
    let ssml = ssml.and_then(Value::as_bool).unwrap_or(false);
    let (text, voice) = (text?.to_owned(), voice?.to_owned());
    Some(RequestedContent::Tts(Spoken { text, voice, repeat, ssml, speed }))
}

#[expect(clippy::cast_possible_truncation, reason = "a speed needs no double")]
fn speed(tts: &mut Object<'_>, faults: &mut Faults) -> f32 {
    let Some(value) = tts.value(faults, "speed") else { return 1.0 };
    let speed = value.as_f64().filter(|speed| (0.5..=2.0).contains(speed));
    if speed.is_none() {
        let detail = "speed must be a number from 0.5 to 2";
        faults.add(Code::InvalidRequest, tts.at("speed"), "out_of_range", detail);
    }
    speed.unwrap_or(1.0) as f32
}

/// Whether a voice is there: by its id, or as `engine:voice` of a known engine.
fn known_voice(
    voice: &str,
    pointer: &str,
    faults: &mut Faults,
    context: &CreateContext<'_>,
) -> bool {
    let listed = context.voices.iter().any(|known| known.id == voice);
    let direct = voice.split_once(':').is_some_and(|(engine, voice)| {
        let good = (1..=128).contains(&voice.len()) && !voice.chars().any(char::is_control);
        good && context.engines.iter().any(|known| known == engine)
    });
    if listed || direct {
        return true;
    }
    let known: Vec<&str> = context.voices.iter().take(20).map(|voice| voice.id.as_str()).collect();
    let detail = format!(
        "there is no voice {:?}; there are {} (GET /v1/voices)",
        clip(voice),
        known.join(", ")
    );
    faults.add(Code::UnknownVoice, pointer, "unknown", detail);
    false
}

fn audio(read: &mut Object<'_>, faults: &mut Faults, strict: bool) -> Option<RequestedContent> {
    const POINTER: &str = "/audio/audioBase64";
    if !read.has("audio") {
        faults.missing(POINTER, "type FIXED_AUDIO needs audio");
    }
    let mut audio = read.object(faults, "audio")?;
    let elsewhere = audio.has("audioId") || audio.has("url");
    if !audio.has("audioBase64") && !elsewhere {
        faults.missing(POINTER, "type FIXED_AUDIO needs audio.audioBase64");
    }
    audio.absent(faults, "audioId");
    audio.absent(faults, "url");
    let text = audio.text(faults, "audioBase64", Code::AudioUndecodable);
    let repeat = audio.integer(faults, "repeat", 0..=10).unwrap_or(1);
    audio.only(faults, "gainDb", &json!(0));
    audio.only(faults, "normalize", &json!(true));
    audio.finish(faults, strict);
    match base64::decode(text?) {
        Ok(bytes) if !bytes.is_empty() => {
            Some(RequestedContent::Audio { bytes: bytes.into(), repeat })
        }
        Ok(_) => {
            faults.add(Code::AudioUndecodable, POINTER, "empty", "audio.audioBase64 is empty");
            None
        }
        Err(error) => {
            let detail = format!("audio.audioBase64 is not base64: {error}");
            faults.add(Code::AudioUndecodable, POINTER, "base64", detail);
            None
        }
    }
}

fn stream(
    read: &mut Object<'_>,
    faults: &mut Faults,
    context: &CreateContext<'_>,
) -> Option<RequestedContent> {
    let wait = context.defaults.stream_wait;
    if !read.has("stream") {
        let (options, ask) = Default::default();
        return Some(RequestedContent::Stream { options, wait, ask });
    }
    let mut stream = read.object(faults, "stream")?;
    let said = stream_said(&mut stream, faults, context.strict);
    let wait_ms = stream.integer(faults, "waitMs", 0..=3_600_000);
    stream.finish(faults, context.strict);
    let (options, ask) = said?;
    let wait = wait_ms.map_or(wait, |ms| Duration::from_millis(u64::from(ms)));
    Some(RequestedContent::Stream { options: Box::new(options), wait, ask: Box::new(ask) })
}

/// What the `stream` of an instance says that was accepted when it was made.
#[must_use]
pub fn stream_defaults(said: &Map<String, Value>) -> Option<(StreamOptions, StreamAsk)> {
    let mut faults = Faults::default();
    stream_said(&mut Object::new("", said), &mut faults, false).filter(|_| faults.is_empty())
}

/// What is agreed with a stream's client, and where it comes from.
pub(super) fn stream_said(
    stream: &mut Object<'_>,
    faults: &mut Faults,
    strict: bool,
) -> Option<(StreamOptions, StreamAsk)> {
    let mut pairs = Vec::new();
    for (name, parameter) in STREAM_PARAMETERS.into_iter().filter(|(name, _)| !name.contains('/')) {
        match stream.value(faults, name) {
            None => {}
            Some(Value::String(text)) => pairs.push((parameter.to_owned(), text.clone())),
            Some(Value::Number(number)) => pairs.push((parameter.to_owned(), number.to_string())),
            Some(Value::Bool(on)) if is_switch(name) => {
                let value = if *on { "on" } else { "off" };
                pairs.push((parameter.to_owned(), value.to_owned()));
            }
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_) | Value::Null) => {
                let detail = format!("stream.{name} must be a string or a number");
                faults.add(Code::InvalidRequest, stream.at(name), "wrong_type", detail);
            }
        }
    }
    reconnect(stream, faults, strict, &mut pairs);
    let ask = dial::ask(stream, faults);
    Some((stream_options(&pairs, faults)?, ask))
}

/// Reads a `stream` object that somebody else than a client of the API has written, by the same
/// rules: the one of a TwiML document.
///
/// # Errors
/// What is wrong with it, in words.
pub fn stream_content(
    stream: &Value,
    context: &CreateContext<'_>,
) -> Result<RequestedContent, String> {
    let body = Map::from_iter([("stream".to_owned(), stream.clone())]);
    let mut faults = Faults::default();
    let content = self::stream(&mut Object::new("", &body), &mut faults, context);
    faults.into_result().map_err(|problem| problem.in_words())?;
    content.ok_or_else(|| "a wrong field was not reported".to_owned())
}

/// What becomes of the call when the client's socket is lost.
fn reconnect(
    stream: &mut Object<'_>,
    faults: &mut Faults,
    strict: bool,
    pairs: &mut Vec<(String, String)>,
) {
    let Some(mut reconnect) = stream.object(faults, "reconnect") else { return };
    let mut put = |name: &str, value: String| pairs.push((name.to_owned(), value));
    if let Some(ms) = reconnect.integer(faults, "lingerMs", 0..=300_000) {
        put("linger_ms", ms.to_string());
    }
    for (name, parameter) in [("onLost", "on_lost"), ("promptText", "prompt_text")] {
        if let Some(text) = reconnect.text(faults, name, Code::InvalidRequest) {
            put(parameter, text.to_owned());
        }
    }
    reconnect.absent(faults, "promptAudioId");
    reconnect.finish(faults, strict);
}

/// Fields of `stream`, and what the same is called in the query of the upgrade.
pub(in crate::api) const STREAM_PARAMETERS: [(&str, &str); 22] = [
    ("protocol", "protocol"),
    ("format", "format"),
    ("rate", "rate"),
    ("outFormat", "out_format"),
    ("outRate", "out_rate"),
    ("frameMs", "frame_ms"),
    ("listen", "listen"),
    ("playout", "playout"),
    ("jitter", "jitter"),
    ("bufferMs", "buffer_ms"),
    ("transcripts", "transcripts"),
    ("statsMs", "stats_ms"),
    ("tones", "tones"),
    ("events", "events"),
    ("agc", "agc"),
    ("dcBlock", "dc_block"),
    ("outAgc", "out_agc"),
    ("outDcBlock", "out_dc_block"),
    ("envelope", "envelope"),
    ("reconnect/lingerMs", "linger_ms"),
    ("reconnect/onLost", "on_lost"),
    ("reconnect/promptText", "prompt_text"),
];

/// Whether a field of `stream` is true or false in JSON.
pub(in crate::api) fn is_switch(name: &str) -> bool {
    ["agc", "dcBlock", "outAgc", "outDcBlock"].contains(&name)
}

fn stream_options(pairs: &[(String, String)], faults: &mut Faults) -> Option<StreamOptions> {
    let problem = match StreamOptions::from_query::<&str>(pairs, &[]) {
        Ok(options) => return Some(options),
        Err(problem) => problem,
    };
    let named = STREAM_PARAMETERS.iter().find(|(_, parameter)| *parameter == problem.parameter);
    let name = named.map_or("", |(name, _)| *name);
    let (pointer, detail) =
        (format!("/stream/{name}"), format!("stream.{name} {}", problem.detail));
    match problem.blame {
        QueryBlame::Invalid => faults.add(Code::InvalidRequest, pointer, "invalid", detail),
        QueryBlame::Unsupported => faults.later(pointer, detail),
    }
    None
}

/// The fields of the API that are served only with their default.
fn defaults_only(read: &mut Object<'_>, faults: &mut Faults, call_type: Option<CallType>) {
    for later in ["scheduleAt", "retry", "collectDtmf", "webhook"] {
        read.absent(faults, later);
    }
    read.only(faults, "priority", &json!(0));
    read.only(faults, "onEndOfPlayback", &json!("hangup"));
    // Others have read these.
    let unread = call_type == Some(CallType::DynamicAgent);
    for section in ["amd", "bargeIn"].into_iter().filter(|_| unread) {
        let (switch, off) = ("mode", json!("off"));
        let Some(mut object) = read.object(faults, section) else { continue };
        // What a part would do if it were switched on does not matter.
        if object.has(switch) {
            object.only(faults, switch, &off);
        } else {
            let detail = format!("{section} is not served in this version; leave it out");
            faults.later(format!("/{section}"), detail);
        }
    }
}
