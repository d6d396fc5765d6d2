//! The bodies that make and change an instance.

use super::create::{hearing, is_caller_number, stream_said};
use super::fields::{Faults, Object, parse};
use crate::api::error::{Code, Problem};
use crate::store::{CallDefaults, Dedupe, Instance, InstanceSettings};
use serde_json::{Map, Value};

/// Longest serialised metadata.
pub const METADATA_MAX: usize = 16 * 1024;
const NAME_MAX: usize = 200;

/// What a request says about an instance; absent fields are left as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstanceChange {
    /// For people; required to make one.
    pub name: Option<String>,
    /// The user's own object.
    pub metadata: Option<Map<String, Value>>,
    /// The trunk that its calls take.
    pub trunk: Option<String>,
    /// The number that its calls show.
    pub caller_id: Option<String>,
    /// Calls at once.
    pub max_active_calls: Option<u32>,
    /// Calls waiting.
    pub queue_limit: Option<u32>,
    /// The single-active-call rule.
    pub dedupe: Option<Dedupe>,
    /// What its calls get that do not say; replaced as a whole.
    pub defaults: Option<CallDefaults>,
    /// What its stream calls get that do not say otherwise.
    pub stream: StreamChange,
}

/// What a request does to the `stream` of an instance's defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum StreamChange {
    /// Nothing.
    #[default]
    Keep,
    /// Takes it away.
    Remove,
    /// Puts this in its place.
    Set(Map<String, Value>),
}

impl InstanceChange {
    /// Reads a body; `creates`: the name is required.
    ///
    /// # Errors
    /// The problem that names every wrong place.
    pub fn parse(bytes: &[u8], strict: bool, creates: bool) -> Result<Self, Problem> {
        let body = parse(bytes)?;
        let mut faults = Faults::default();
        let mut read = Object::new("", &body);
        let (defaults, stream) = defaults(&mut read, &mut faults, strict);
        let change = Self {
            name: name(&mut read, &mut faults),
            metadata: metadata(&mut read, &mut faults),
            trunk: read.text(&mut faults, "trunkId", Code::InvalidRequest).map(str::to_owned),
            caller_id: caller_id(&mut read, &mut faults),
            max_active_calls: read.integer(&mut faults, "maxActiveCalls", 1..=10_000),
            queue_limit: read.integer(&mut faults, "queueLimit", 0..=100_000),
            dedupe: dedupe(&mut read, &mut faults),
            defaults,
            stream,
        };
        if creates && !read.has("name") {
            faults.missing("/name", "an instance needs a name");
        }
        read.finish(&mut faults, strict);
        faults.into_result()?;
        Ok(change)
    }

    /// Applies what is said.
    pub fn apply(self, instance: &mut Instance) {
        if let Some(name) = self.name {
            instance.name = name;
        }
        if let Some(metadata) = self.metadata {
            instance.metadata = metadata;
        }
        let settings: &mut InstanceSettings = &mut instance.settings;
        if let Some(trunk) = self.trunk {
            settings.trunk = Some(trunk);
        }
        if let Some(caller_id) = self.caller_id {
            settings.caller_id = Some(caller_id);
        }
        settings.max_active_calls = self.max_active_calls.unwrap_or(settings.max_active_calls);
        settings.queue_limit = self.queue_limit.unwrap_or(settings.queue_limit);
        settings.dedupe = self.dedupe.unwrap_or(settings.dedupe);
        settings.defaults = self.defaults.unwrap_or(settings.defaults);
        match self.stream {
            StreamChange::Keep => {}
            StreamChange::Remove => settings.stream = None,
            StreamChange::Set(stream) => settings.stream = Some(stream),
        }
    }
}

/// `defaults`: what is replaced together, and what becomes of `stream`, whose secrets nobody can
/// read and send back.
fn defaults(
    read: &mut Object<'_>,
    faults: &mut Faults,
    strict: bool,
) -> (Option<CallDefaults>, StreamChange) {
    let Some(mut defaults) = read.object(faults, "defaults") else {
        return (None, StreamChange::Keep);
    };
    let usual = hearing::defaults(&mut defaults, faults, strict);
    let stream = stream_change(&mut defaults, faults, strict);
    for later in ["voiceId", "record", "webhook"] {
        defaults.absent(faults, later);
    }
    defaults.finish(faults, strict);
    (Some(usual), stream)
}

fn stream_change(defaults: &mut Object<'_>, faults: &mut Faults, strict: bool) -> StreamChange {
    let removed = defaults.is_null("stream");
    let stream = defaults.value(faults, "stream");
    if let Some(mut said) = defaults.object(faults, "stream") {
        stream_said(&mut said, faults, strict);
        said.finish(faults, strict);
    }
    match stream.and_then(Value::as_object) {
        Some(stream) => StreamChange::Set(stream.clone()),
        None if removed => StreamChange::Remove,
        None => StreamChange::Keep,
    }
}

/// The user's own object, lenient inside, at most 16 KiB.
pub(super) fn metadata(read: &mut Object<'_>, faults: &mut Faults) -> Option<Map<String, Value>> {
    let value = read.value(faults, "metadata")?;
    let Some(object) = value.as_object() else {
        let detail = "metadata must be an object";
        faults.add(Code::InvalidRequest, read.at("metadata"), "wrong_type", detail);
        return None;
    };
    if serde_json::to_vec(object).map_or(usize::MAX, |text| text.len()) > METADATA_MAX {
        let detail = "metadata must not be larger than 16 KiB";
        faults.add(Code::InvalidRequest, read.at("metadata"), "too_long", detail);
        return None;
    }
    Some(object.clone())
}

fn name(read: &mut Object<'_>, faults: &mut Faults) -> Option<String> {
    let name = read.text(faults, "name", Code::InvalidRequest)?;
    if name.trim().is_empty() || name.chars().count() > NAME_MAX {
        let detail = "name must have 1 to 200 characters";
        faults.add(Code::InvalidRequest, read.at("name"), "length", detail);
        return None;
    }
    Some(name.to_owned())
}

fn caller_id(read: &mut Object<'_>, faults: &mut Faults) -> Option<String> {
    let number = read.text(faults, "callerId", Code::InvalidPhoneNumber)?;
    if !is_caller_number(number) {
        let detail = "callerId must be a number: 2 to 15 digits, with or without a plus sign";
        faults.add(Code::InvalidPhoneNumber, read.at("callerId"), "pattern", detail);
        return None;
    }
    Some(number.to_owned())
}

fn dedupe(read: &mut Object<'_>, faults: &mut Faults) -> Option<Dedupe> {
    let text = read.text(faults, "dedupe", Code::InvalidRequest)?;
    let known = [Dedupe::Instance, Dedupe::Target, Dedupe::Off];
    let found = known.into_iter().find(|dedupe| dedupe.as_str() == text);
    if found.is_none() {
        let detail = "dedupe must be instance, target or off";
        faults.add(Code::InvalidRequest, read.at("dedupe"), "enum", detail);
    }
    found
}

/// The body that changes a call: only its metadata is served.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_call_change(
    bytes: &[u8],
    strict: bool,
) -> Result<Option<Map<String, Value>>, Problem> {
    let body = parse(bytes)?;
    let mut faults = Faults::default();
    let mut read = Object::new("", &body);
    let metadata = metadata(&mut read, &mut faults);
    for later in ["bargeIn", "maxDuration", "webhook"] {
        read.absent(&mut faults, later);
    }
    read.finish(&mut faults, strict);
    faults.into_result()?;
    Ok(metadata)
}
