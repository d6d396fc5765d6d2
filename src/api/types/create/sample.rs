//! Requests for tests: whole ones around the section that a test is about.

use super::{AskedHearing, CreateCall, CreateContext, CreateDefaults};
use serde_json::{Value, json};

/// What a call of this type says of who is heard, with `more` beside what it needs.
pub(super) fn asked(call_type: &str, more: &Value) -> Result<AskedHearing, String> {
    let context = CreateContext {
        defaults: CreateDefaults::default(),
        strict: true,
        voices: &[],
        engines: &["pico".to_owned()],
    };
    let mut body = json!({
        "instanceId": "inst_demo",
        "type": call_type,
        "target": {"phoneNumber": "+14155550123"},
    });
    match call_type {
        "FIXED_TTS" => body["tts"] = json!({"text": "Hello.", "voiceId": "pico:en-US"}),
        "DYNAMIC_AGENT" => body["agent"] = json!({"instructions": ["x"]}),
        _ => {}
    }
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let call = CreateCall::parse(body.to_string().as_bytes(), &context);
    call.map(|call| call.hearing).map_err(|problem| format!("{problem:?}"))
}
