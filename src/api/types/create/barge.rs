//! The `bargeIn` section of a create request.

use super::agent::word;
use crate::api::error::Code;
use crate::api::types::fields::{Faults, Object};
use crate::turn::barge::{BargeWish, Mode};
use std::time::Duration;

/// Reads `bargeIn`; what it does not say is the instance's and the configuration's to say.
pub(super) fn barge_in(read: &mut Object<'_>, faults: &mut Faults, strict: bool) -> BargeWish {
    let Some(mut section) = read.object(faults, "bargeIn") else { return BargeWish::default() };
    let mode = word(&mut section, faults, "mode", &Mode::ALL.map(Mode::as_str));
    let on = section.texts(faults, "on", 2);
    if on.as_ref().is_some_and(|on| on.iter().any(|of| !["speech", "dtmf"].contains(of))) {
        let detail = "on is a list of speech and dtmf";
        faults.add(Code::InvalidRequest, section.at("on"), "enum", detail);
    }
    let has = |of: &str| on.as_ref().map(|on| on.contains(&of));
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    let wish = BargeWish {
        mode: mode.as_deref().and_then(Mode::from_name),
        on_speech: has("speech"),
        on_keys: has("dtmf"),
        debounce: section.integer(faults, "debounceMs", 60..=2_000).map(ms),
        decision: section.integer(faults, "decisionMs", 100..=10_000).map(ms),
        confirm_late: word(&mut section, faults, "onTimeout", &["confirm", "reject"])
            .map(|word| word == "confirm"),
    };
    section.finish(faults, strict);
    wish
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::create::sample;
    use serde_json::{Value, json};

    fn wish(call_type: &str, barge_in: &Value) -> Result<BargeWish, String> {
        sample::asked(call_type, &json!({"bargeIn": barge_in})).map(|asked| asked.barge)
    }

    #[test]
    fn a_call_says_what_a_voice_does() {
        let ms = Duration::from_millis;
        let all = json!({"mode": "pause", "on": ["speech"], "debounceMs": 120, "decisionMs": 800,
                         "onTimeout": "reject"});
        let wanted = BargeWish {
            mode: Some(Mode::Pause),
            on_speech: Some(true),
            on_keys: Some(false),
            debounce: Some(ms(120)),
            decision: Some(ms(800)),
            confirm_late: Some(false),
        };
        for call_type in ["DYNAMIC_STREAM", "FIXED_TTS"] {
            assert_eq!(wish(call_type, &all), Ok(wanted));
        }
        assert_eq!(wish("DYNAMIC_STREAM", &Value::Null), Ok(BargeWish::default()));
        assert_eq!(wish("DYNAMIC_AGENT", &json!({"mode": "off"})), Ok(BargeWish::default()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, pointer) in [
            (json!({"mode": "loud"}), "/bargeIn/mode"),
            (json!({"on": ["cough"]}), "/bargeIn/on"),
            (json!({"debounceMs": 5}), "/bargeIn/debounceMs"),
            (json!({"onTimeout": "wait"}), "/bargeIn/onTimeout"),
            (json!({"when": 1}), "/bargeIn/when"),
        ] {
            let problem = wish("DYNAMIC_STREAM", &wrong).unwrap_err();
            assert!(problem.contains(pointer), "{problem}");
        }
        let problem = wish("DYNAMIC_AGENT", &json!({"mode": "pause"})).unwrap_err();
        assert!(problem.contains("/bargeIn/mode"), "{problem}");
    }
}
