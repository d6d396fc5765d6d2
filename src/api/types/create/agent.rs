//! The `agent` and `transcribe` sections of a create request.

use super::{CreateContext, INSTRUCTION_MAX, INSTRUCTIONS_MAX, RequestedContent, seconds};
use crate::api::error::Code;
use crate::api::types::fields::{Faults, Object, clip};
use crate::app::agent::request::{AgentRequest, SCRIPT, VOICEMAIL_WORDS};
use crate::app::transcribe::Transcribe;
use serde_json::Value;

/// Names of tools in one request.
const TOOLS_MAX: usize = 32;
/// Characters of a name (engine, model, language, tool).
const NAME_MAX: usize = 128;
/// Expected phrases of one call, and characters of one.
const PHRASES_MAX: usize = 200;
const PHRASE_MAX: usize = 200;
/// Octets of a playbook or schema as JSON.
const DOCUMENT_MAX: usize = 64 * 1024;

/// Reads `agent`.
pub(super) fn agent(
    read: &mut Object<'_>,
    faults: &mut Faults,
    context: &CreateContext<'_>,
) -> Option<RequestedContent> {
    if !read.has("agent") {
        faults.missing("/agent/instructions", "type DYNAMIC_AGENT needs agent");
    }
    let mut agent = read.object(faults, "agent")?;
    let backend = name(&mut agent, faults, "backend");
    let script = script(&mut agent, faults, backend.as_deref());
    let instructions = instructions(&mut agent, faults, script.is_some());
    let voice = agent.text(faults, "voiceId", Code::UnknownVoice).map(str::to_owned);
    if let Some(voice) = &voice {
        super::known_voice(voice, "/agent/voiceId", faults, context);
    }
    let request = AgentRequest {
        instructions: instructions.unwrap_or_default(),
        model: name(&mut agent, faults, "model"),
        language: name(&mut agent, faults, "language"),
        greeting: sentence(&mut agent, faults, "greeting"),
        disclosure: sentence(&mut agent, faults, "disclosure"),
        tools: tools(&mut agent, faults),
        agent_first: word(&mut agent, faults, "firstSpeaker", &["agent", "caller", "callee"])
            .is_none_or(|word| word == "agent"),
        result_schema: document(&mut agent, faults, "resultSchema"),
        voicemail: word(&mut agent, faults, "voicemail", &VOICEMAIL_WORDS),
        max_duration: agent.integer(faults, "maxDuration", 5..=86_400).map(seconds),
        max_turns: agent.integer(faults, "maxTurns", 1..=10_000),
        backend,
        voice,
        script,
    };
    word(&mut agent, faults, "onEnd", &["hangup"]);
    agent.finish(faults, context.strict);
    Some(RequestedContent::Agent(Box::new(request)))
}

/// Reads `transcribe`.
pub(super) fn transcribe(
    read: &mut Object<'_>,
    faults: &mut Faults,
    strict: bool,
) -> Option<Transcribe> {
    let mut section = read.object(faults, "transcribe")?;
    let engine = name(&mut section, faults, "backend").filter(|name| name != "default");
    let language = name(&mut section, faults, "language");
    let partials = section.value(faults, "partials");
    if partials.is_some_and(|value| !value.is_boolean()) {
        let pointer = section.at("partials");
        faults.add(Code::InvalidRequest, pointer, "wrong_type", "partials must be true or false");
    }
    let tracks = section.texts(faults, "tracks", 2);
    if tracks.is_some_and(|tracks| tracks != ["caller"]) {
        let detail = "tracks is served only as [\"caller\"] in this version";
        faults.later(section.at("tracks"), detail);
    }
    let phrases = section.texts(faults, "phrases", PHRASES_MAX).unwrap_or_default();
    if phrases.iter().any(|phrase| !(1..=PHRASE_MAX).contains(&phrase.chars().count())) {
        let detail = format!("phrases must have 1 to {PHRASE_MAX} characters");
        faults.add(Code::InvalidRequest, section.at("phrases"), "length", detail);
    }
    section.finish(faults, strict);
    Some(Transcribe {
        engine,
        language,
        partials: partials.and_then(Value::as_bool).unwrap_or(true),
        phrases: phrases.into_iter().map(str::to_owned).collect(),
    })
}

fn instructions(
    agent: &mut Object<'_>,
    faults: &mut Faults,
    scripted: bool,
) -> Option<Vec<String>> {
    const POINTER: &str = "/agent/instructions";
    if !agent.has("instructions") && !scripted {
        let detail = "type DYNAMIC_AGENT needs agent.instructions, or agent.steps with the \
                      backend \"script\"";
        faults.missing(POINTER, detail);
    }
    let texts = agent.texts(faults, "instructions", INSTRUCTIONS_MAX)?;
    let length = |text: &&str| (1..=INSTRUCTION_MAX).contains(&text.chars().count());
    if texts.is_empty() || !texts.iter().all(length) {
        let detail = format!(
            "agent.instructions must be 1 to {INSTRUCTIONS_MAX} strings of 1 to {INSTRUCTION_MAX} \
             characters"
        );
        faults.add(Code::InvalidRequest, POINTER, "length", detail);
    }
    Some(texts.into_iter().map(str::to_owned).collect())
}

/// The playbook: `steps` beside the section's other fields, or `script`.
fn script(agent: &mut Object<'_>, faults: &mut Faults, backend: Option<&str>) -> Option<Value> {
    let steps = document(agent, faults, "steps");
    let script = document(agent, faults, "script");
    let scripted = backend == Some(SCRIPT);
    match (&steps, &script) {
        (Some(_), Some(_)) => {
            let detail = "give agent.steps or agent.script, not both";
            faults.add(Code::InvalidRequest, "/agent/script", "exclusive", detail);
        }
        (None, None) if scripted => {
            faults.missing("/agent/steps", "the backend \"script\" needs agent.steps");
        }
        (Some(_), None) | (None, Some(_)) if backend.is_some() && !scripted => {
            let detail = "a playbook is for the backend \"script\"";
            faults.add(Code::InvalidRequest, "/agent/backend", "not_for_type", detail);
        }
        _ => {}
    }
    steps.or(script)
}

fn tools(agent: &mut Object<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    let tools = agent.texts(faults, "tools", TOOLS_MAX)?;
    Some(tools.into_iter().map(|name| name.chars().take(NAME_MAX).collect()).collect())
}

fn name(read: &mut Object<'_>, faults: &mut Faults, field: &'static str) -> Option<String> {
    let text = read.text(faults, field, Code::InvalidRequest)?;
    let good = (1..=NAME_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if !good {
        let detail = format!("{field} must be 1 to {NAME_MAX} characters");
        faults.add(Code::InvalidRequest, read.at(field), "length", detail);
    }
    good.then(|| text.to_owned())
}

fn sentence(read: &mut Object<'_>, faults: &mut Faults, field: &'static str) -> Option<String> {
    let text = read.text(faults, field, Code::InvalidRequest)?;
    let good = (1..=INSTRUCTION_MAX).contains(&text.chars().count());
    if !good {
        let detail = format!("{field} must be 1 to {INSTRUCTION_MAX} characters");
        faults.add(Code::InvalidRequest, read.at(field), "length", detail);
    }
    good.then(|| text.to_owned())
}

pub(super) fn word(
    read: &mut Object<'_>,
    faults: &mut Faults,
    field: &'static str,
    words: &[&str],
) -> Option<String> {
    let text = read.text(faults, field, Code::InvalidRequest)?;
    if words.contains(&text) {
        return Some(text.to_owned());
    }
    let detail = format!("{field} {:?} is not one of {}", clip(text), words.join(", "));
    faults.add(Code::InvalidRequest, read.at(field), "enum", detail);
    None
}

/// A list or object that somebody else will parse, bounded in size.
fn document(read: &mut Object<'_>, faults: &mut Faults, field: &'static str) -> Option<Value> {
    let value = read.value(faults, field)?;
    if !value.is_array() && !value.is_object() {
        let detail = format!("{field} must be a list or an object");
        faults.add(Code::InvalidRequest, read.at(field), "wrong_type", detail);
        return None;
    }
    if value.to_string().len() > DOCUMENT_MAX {
        let detail = format!("{field} may have {DOCUMENT_MAX} octets");
        faults.add(Code::InvalidRequest, read.at(field), "length", detail);
        return None;
    }
    Some(value.clone())
}
