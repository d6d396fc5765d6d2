//! Recordings: how one is asked for, and how it looks in answers.

use super::fields::{Faults, Object, clip, parse};
use crate::api::error::{Code, Problem};
use crate::api::stamp::iso;
use crate::call::record::CallRecord;
use crate::call::recording::{RecordChannels, RecordStart, RecordingView};
use serde_json::{Map, Value, json};

/// `{channels, beep, format}`; none at all is stereo without a beep.
///
/// # Errors
/// The problem that names every wrong place.
pub fn parse_record(bytes: &[u8], strict: bool) -> Result<RecordStart, Problem> {
    let body = if bytes.is_empty() { Map::new() } else { parse(bytes)? };
    let mut faults = Faults::default();
    let mut read = Object::new("", &body);
    let start = start(&mut read, &mut faults);
    read.finish(&mut faults, strict);
    faults.into_result()?;
    Ok(start)
}

/// Reads how a recording begins.
pub(super) fn start(read: &mut Object<'_>, faults: &mut Faults) -> RecordStart {
    let name = read.text(faults, "channels", Code::InvalidRequest);
    let channels = name.map_or(Some(RecordChannels::default()), RecordChannels::by_name);
    if channels.is_none() {
        let detail = "channels must be mono or stereo";
        faults.add(Code::InvalidRequest, read.at("channels"), "enum", detail);
    }
    match read.text(faults, "format", Code::InvalidRequest) {
        None | Some("wav") => {}
        Some("opus") => {
            let detail = "recordings are served only as \"wav\" in this version";
            faults.later(read.at("format"), detail);
        }
        Some(other) => {
            let detail = format!("there is no format {:?}; \"wav\" is", clip(other));
            faults.add(Code::InvalidRequest, read.at("format"), "enum", detail);
        }
    }
    let beep = switch(read, faults, "beep");
    RecordStart { channels: channels.unwrap_or_default(), beep }
}

/// A field that is true or false; false if absent.
pub(super) fn switch(read: &mut Object<'_>, faults: &mut Faults, name: &'static str) -> bool {
    let Some(value) = read.value(faults, name) else { return false };
    if !value.is_boolean() {
        let detail = format!("{name} must be true or false");
        faults.add(Code::InvalidRequest, read.at(name), "wrong_type", detail);
    }
    value.as_bool().unwrap_or(false)
}

/// The recording object; `octets`: of its file at this moment, `None` if there is none.
#[must_use]
pub fn recording(call: &CallRecord, view: &RecordingView, octets: Option<u64>) -> Value {
    let own = format!("/v1/calls/{}/recordings/{}", call.id, view.id);
    let open = view.state.is_open();
    let place = u64::from(view.rate.max(1)) * u64::from(view.channels.count()) * 2;
    let duration_ms = match octets {
        Some(octets) if open => octets.saturating_sub(crate::audio::wav::HEADER) * 1000 / place,
        Some(_) | None => view.duration_ms,
    };
    let known = open || octets.is_some() || view.reason.is_some();
    let state = if known { view.state.as_str() } else { "deleted" };
    let audio = (!open && octets.is_some()).then(|| format!("{own}/audio"));
    json!({
        "id": view.id,
        "call_id": call.id,
        "state": state,
        "channels": view.channels,
        "format": "wav",
        "rate": view.rate,
        "started_at": iso(view.started_at),
        "duration_ms": duration_ms,
        "octets": octets.unwrap_or(0),
        "reason": view.reason,
        "links": { "self": own, "audio": audio },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_asked_for_in_few_words() {
        let mono = RecordStart { channels: RecordChannels::Mono, beep: true };
        for (body, wanted) in [
            ("", Ok(RecordStart::default())),
            (r#"{"channels": "mono", "beep": true, "format": "wav"}"#, Ok(mono)),
            (r#"{"channels": "three"}"#, Err("/channels enum")),
            (r#"{"beep": 1}"#, Err("/beep wrong_type")),
            (r#"{"format": "opus"}"#, Err("/format not_implemented")),
            (r#"{"format": "mp3"}"#, Err("/format enum")),
            (r#"{"consent": true}"#, Err("/consent unknown_field")),
        ] {
            let places = |problem: Problem| {
                let error = &problem.errors[0];
                format!("{} {}", error.pointer, error.code)
            };
            let read = parse_record(body.as_bytes(), true).map_err(places);
            assert_eq!(read, wanted.map_err(str::to_owned), "{body}");
        }
    }
}
