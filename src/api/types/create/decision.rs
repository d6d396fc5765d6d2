//! The answer of a decision webhook: what an inbound call meets.
//!
//! The sections are those of a create request: `{"action": "say", "tts": {…}}`. Does not ask the
//! webhook: the daemon does.

use super::{
    CreateContext, RequestedContent, agent, audio, barge, from, metadata, seconds, stream, tts,
};
use crate::api::error::{Code, Problem};
use crate::api::types::control::{country, ring, target};
use crate::api::types::fields::{Faults, Object, clip, parse};
use crate::audio::progress;
use crate::call::control::DialWish;
use crate::turn::barge::BargeWish;
use serde_json::{Map, Value};
use std::time::Duration;

/// The actions that a webhook may name.
const ACTIONS: &str = "answer, say, play, stream, agent, dial, ring or reject";
/// Most characters of a reason phrase.
const REASON_MAX: usize = 128;

/// What an inbound call meets.
#[derive(Debug, Clone)]
pub enum Decided {
    /// Answered, and silent.
    Answer,
    /// Answered, and this.
    Content(RequestedContent),
    /// Rings; the client of its stream decides.
    Ask(RequestedContent),
    /// Connected with somebody who is called for it.
    Dial {
        /// Whom to call.
        wish: DialWish,
        /// The status when they do not answer, 400 to 699; `None`: the route's.
        otherwise: Option<u16>,
        /// Whose ringing the caller hears from us meanwhile.
        ringback: Option<progress::Plan>,
    },
    /// Rings and is never answered.
    Ring,
    /// Refused.
    Reject {
        /// 300 to 699.
        code: u16,
        /// The reason phrase; empty for the standard one.
        reason: String,
    },
}

/// A webhook's answer.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What the call meets.
    pub decided: Decided,
    /// How long it rings first.
    pub ring: Option<Duration>,
    /// Plays during the ringing.
    pub early_media: bool,
    /// Ends it this long after the answer.
    pub hangup_after: Option<Duration>,
    /// What a voice or key does to what is played.
    pub barge: BargeWish,
    /// The user's own object.
    pub metadata: Map<String, Value>,
}

impl Decision {
    /// Reads an answer.
    ///
    /// # Errors
    /// The problem that names every wrong place.
    pub fn parse(bytes: &[u8], context: &CreateContext<'_>) -> Result<Self, Problem> {
        let mut body = parse(bytes)?;
        first_voice(&mut body, context);
        let mut faults = Faults::default();
        let mut read = Object::new("", &body);
        if !read.has("action") {
            faults.missing("/action", format!("action is required: {ACTIONS}"));
        }
        let action = read.text(&mut faults, "action", Code::InvalidRequest);
        let decided = action.and_then(|action| decided(action, &mut read, &mut faults, context));
        let ring = read.integer(&mut faults, "ring", 0..=180).map(seconds);
        let early_media = flag(&mut read, &mut faults, "earlyMedia");
        let hangup_after = read.integer(&mut faults, "hangupAfter", 1..=86_400).map(seconds);
        let agent = matches!(action, Some("agent"));
        let barge = if agent {
            BargeWish::default()
        } else {
            barge::barge_in(&mut read, &mut faults, context.strict)
        };
        no_amd(&mut read, &mut faults);
        let metadata = metadata(&mut read, &mut faults).unwrap_or_default();
        read.finish(&mut faults, context.strict);
        faults.into_result()?;
        let decided = decided.ok_or_else(|| Problem::internal("a wrong field was not reported"))?;
        Ok(Self { decided, ring, early_media, hangup_after, barge, metadata })
    }
}

/// `say` may leave the voice out: the first one speaks.
fn first_voice(body: &mut Map<String, Value>, context: &CreateContext<'_>) {
    if let Some(Value::Object(tts)) = body.get_mut("tts")
        && let Some(voice) = context.voices.first()
        && !tts.contains_key("voiceId")
        && !tts.contains_key("voice_id")
    {
        tts.insert("voiceId".to_owned(), voice.id.clone().into());
    }
}

fn decided(
    action: &str,
    read: &mut Object<'_>,
    faults: &mut Faults,
    context: &CreateContext<'_>,
) -> Option<Decided> {
    let ask = flag(read, faults, "ask");
    match action {
        "answer" => Some(Decided::Answer),
        "say" => tts(read, faults, context).map(Decided::Content),
        "play" => audio(read, faults, context.strict).map(Decided::Content),
        "agent" => agent::agent(read, faults, context).map(Decided::Content),
        "stream" => {
            let stream = stream(read, faults, context)?;
            Some(if ask { Decided::Ask(stream) } else { Decided::Content(stream) })
        }
        "dial" => dial(read, faults),
        "ring" => Some(Decided::Ring),
        "reject" => reject(read, faults),
        _ => {
            let detail = format!("{:?} is no action; there are {ACTIONS}", clip(action));
            faults.add(Code::InvalidRequest, "/action", "enum", detail);
            None
        }
    }
}

fn dial(read: &mut Object<'_>, faults: &mut Faults) -> Option<Decided> {
    let to = target(read, faults);
    let from = from(read, faults);
    let trunk = read.text(faults, "trunk", Code::InvalidRequest).map(str::to_owned);
    let timeout = ring(read, faults);
    let otherwise = read.integer(faults, "sipCode", 400..=699);
    let otherwise = otherwise.and_then(|code| u16::try_from(code).ok());
    let ringback = country(read, faults, "ringback");
    let (to, _) = to?;
    Some(Decided::Dial { wish: DialWish { to, from, trunk, timeout }, otherwise, ringback })
}

fn reject(read: &mut Object<'_>, faults: &mut Faults) -> Option<Decided> {
    let code = read.integer(faults, "sipCode", 300..=699).unwrap_or(603);
    let reason = read.text(faults, "reason", Code::InvalidRequest).unwrap_or_default();
    if reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
        let detail = format!("reason must have at most {REASON_MAX} characters in one line");
        faults.add(Code::InvalidRequest, "/reason", "pattern", detail);
        return None;
    }
    Some(Decided::Reject { code: u16::try_from(code).ok()?, reason: reason.to_owned() })
}

/// Of an incoming call it is known who answers: we do.
fn no_amd(read: &mut Object<'_>, faults: &mut Faults) {
    let Some(amd) = read.value(faults, "amd") else { return };
    if amd.get("mode").and_then(Value::as_str) != Some("off") {
        let detail = "amd is for outgoing calls: an incoming one is answered by us";
        faults.add(Code::InvalidRequest, read.at("amd"), "not_for_type", detail);
    }
}

fn flag(read: &mut Object<'_>, faults: &mut Faults, name: &'static str) -> bool {
    let Some(value) = read.value(faults, name) else { return false };
    if !value.is_boolean() {
        let pointer = read.at(name);
        let detail = format!("{name} must be true or false");
        faults.add(Code::InvalidRequest, pointer, "wrong_type", detail);
    }
    value.as_bool().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{CreateDefaults, Voice};

    fn read(text: &str) -> Result<Decision, Problem> {
        let voice = Voice {
            id: "en-US-001".into(),
            name: "x".into(),
            language: "en-US".into(),
            engine: "pico".into(),
            gender: None,
            sample_url: None,
            native_rate: None,
        };
        let context = CreateContext {
            defaults: CreateDefaults::default(),
            strict: true,
            voices: &[voice],
            engines: &[],
        };
        Decision::parse(text.as_bytes(), &context)
    }

    #[test]
    fn every_action_is_read() {
        let said = read(r#"{"action":"say","tts":{"text":"Hi"},"ring":2,"metadata":{"a":1}}"#);
        let said = said.unwrap();
        assert!(matches!(&said.decided, Decided::Content(RequestedContent::Tts(spoken))
            if spoken.voice == "en-US-001"));
        assert_eq!((said.ring, said.metadata.len()), (Some(Duration::from_secs(2)), 1));
        let barge = r#"{"action":"answer","bargeIn":{"mode":"clear"},"amd":{"mode":"off"}}"#;
        assert_eq!(read(barge).unwrap().barge.mode, Some(crate::turn::barge::Mode::Clear));
        let rejected = read(r#"{"action":"reject","sipCode":486,"reason":"Later"}"#).unwrap();
        assert!(
            matches!(rejected.decided, Decided::Reject { code: 486, reason } if reason == "Later")
        );
        let declined = read(r#"{"action":"reject"}"#).unwrap();
        assert!(matches!(declined.decided, Decided::Reject { code: 603, .. }));
        assert!(matches!(read(r#"{"action":"answer"}"#).unwrap().decided, Decided::Answer));
        assert!(matches!(read(r#"{"action":"ring","ring":20}"#).unwrap().decided, Decided::Ring));
        let asked = read(r#"{"action":"stream","ask":true}"#).unwrap();
        assert!(matches!(asked.decided, Decided::Ask(RequestedContent::Stream { .. })));
        let streamed = read(r#"{"action":"stream"}"#).unwrap();
        assert!(matches!(streamed.decided, Decided::Content(RequestedContent::Stream { .. })));
        let dialled = read(
            r#"{"action":"dial","to":"+14155550123","from":"+15550100","trunk":"b","timeout":20}"#,
        );
        let Decided::Dial { wish, otherwise: None, ringback: None } = dialled.unwrap().decided
        else {
            panic!()
        };
        assert_eq!((wish.to.as_str(), wish.timeout.as_secs()), ("+14155550123", 20));
        assert_eq!((wish.from.as_deref(), wish.trunk.as_deref()), (Some("+15550100"), Some("b")));
        let dialled = read(r#"{"action":"dial","to":"sip:desk@pbx.example","sipCode":404}"#);
        let Decided::Dial { wish, otherwise, .. } = dialled.unwrap().decided else { panic!() };
        assert_eq!((wish.timeout.as_secs(), otherwise), (45, Some(404)));
        let agent = read(r#"{"action":"agent","agent":{"instructions":["Be kind."]}}"#).unwrap();
        assert!(matches!(agent.decided, Decided::Content(RequestedContent::Agent(_))));
    }

    #[test]
    fn wrong_answers_name_their_place() {
        for (text, pointer) in [
            ("{}", "/action"),
            (r#"{"action":"dance"}"#, "/action"),
            (r#"{"action":"say"}"#, "/tts/text"),
            (r#"{"action":"dial"}"#, "/to"),
            (r#"{"action":"dial","to":"desk"}"#, "/to"),
            (r#"{"action":"dial","to":"+14155550123","timeout":1}"#, "/timeout"),
            (r#"{"action":"dial","to":"+14155550123","sipCode":200}"#, "/sipCode"),
            (r#"{"action":"dial","to":"+14155550123","ringback":"xx"}"#, "/ringback"),
            (r#"{"action":"reject","sipCode":200}"#, "/sipCode"),
            (r#"{"action":"reject","reason":"a\nb"}"#, "/reason"),
            (r#"{"action":"answer","ring":-1}"#, "/ring"),
            (r#"{"action":"answer","earlyMedia":1}"#, "/earlyMedia"),
            (r#"{"action":"answer","extra":1}"#, "/extra"),
            (r#"{"action":"say","tts":{"text":"x"},"amd":{"mode":"async"}}"#, "/amd"),
            (r#"{"action":"stream","bargeIn":{"mode":"loud"}}"#, "/bargeIn/mode"),
        ] {
            let problem = read(text).unwrap_err();
            assert_eq!(problem.errors[0].pointer, pointer, "{text}");
        }
        assert!(read("not json").is_err() && read("").is_err());
    }
}
