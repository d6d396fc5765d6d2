//! The `amd` section of a create request: who answers.

use super::agent::word;
use crate::api::error::Code;
use crate::api::types::fields::{Faults, Object};
use crate::turn::machine::{AmdAction, AmdSpec, MachineSpec};
use serde_json::Value;
use std::time::Duration;

/// What a call says of who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AskedAmd {
    /// Nothing: its instance says.
    #[default]
    Unsaid,
    /// It does not matter, whatever the instance says.
    Off,
    /// This is wanted.
    Wanted(AmdSpec),
}

impl AskedAmd {
    /// With what the instance says where the call is silent.
    #[must_use]
    pub fn or(self, usual: Option<AmdSpec>) -> Option<AmdSpec> {
        match self {
            Self::Unsaid => usual,
            Self::Off => None,
            Self::Wanted(amd) => Some(amd),
        }
    }
}

/// Reads `amd` of a call. `prompt`: there is one that can wait.
pub(super) fn amd(
    read: &mut Object<'_>,
    faults: &mut Faults,
    prompt: bool,
    strict: bool,
) -> AskedAmd {
    let Some(mut section) = read.object(faults, "amd") else { return AskedAmd::Unsaid };
    let (at_action, at_mode) = (section.at("action"), section.at("mode"));
    let wanted = spec(&mut section, faults);
    section.finish(faults, strict);
    let asked = wanted.map_or(AskedAmd::Off, AskedAmd::Wanted);
    let Some(AmdSpec { sync, action, .. }) = wanted.filter(|_| !prompt) else {
        return asked;
    };
    if action == AmdAction::LeaveMessage {
        let detail = "leave_message is for FIXED_TTS and FIXED_AUDIO; a stream is told and decides";
        faults.add(Code::InvalidRequest, at_action, "not_for_type", detail);
    }
    if sync {
        let detail = "sync is for FIXED_TTS and FIXED_AUDIO; a stream is told and decides";
        faults.add(Code::InvalidRequest, at_mode, "not_for_type", detail);
    }
    asked
}

/// Reads `amd` of an instance's defaults; `None` where it is off or absent.
pub(super) fn usual(read: &mut Object<'_>, faults: &mut Faults, strict: bool) -> Option<AmdSpec> {
    let mut section = read.object(faults, "amd")?;
    let wanted = spec(&mut section, faults);
    section.finish(faults, strict);
    wanted
}

/// What the fields of the section say; `None` where it is off.
fn spec(section: &mut Object<'_>, faults: &mut Faults) -> Option<AmdSpec> {
    let mode = word(section, faults, "mode", &["off", "async", "sync"]);
    let actions = ["report", "hangup", "leave_message"];
    let action = word(section, faults, "action", &actions);
    let action = match action.as_deref() {
        Some("hangup") => AmdAction::Hangup,
        Some("leave_message") => AmdAction::LeaveMessage,
        Some(_) | None => AmdAction::Report,
    };
    let beep = section.value(faults, "beep");
    if beep.is_some_and(|beep| !beep.is_boolean()) {
        let detail = "beep must be true or false";
        faults.add(Code::InvalidRequest, section.at("beep"), "wrong_type", detail);
    }
    let usual = MachineSpec::default();
    let mut ms = |name: &'static str, bounds: std::ops::RangeInclusive<u32>, usual: Duration| {
        let found = section.integer(faults, name, bounds);
        found.map_or(usual, |ms| Duration::from_millis(u64::from(ms)))
    };
    let machine = MachineSpec {
        initial_silence: ms("initialSilenceMs", 500..=30_000, usual.initial_silence),
        greeting: ms("greetingMs", 300..=10_000, usual.greeting),
        after_greeting_silence: ms(
            "afterGreetingSilenceMs",
            200..=5_000,
            usual.after_greeting_silence,
        ),
        total: ms("totalMs", 1_000..=60_000, usual.total),
        min_word: ms("minWordMs", 50..=1_000, usual.min_word),
        beep_timeout: ms("beepTimeoutMs", 1_000..=60_000, usual.beep_timeout),
        beep: beep.and_then(Value::as_bool).unwrap_or(false),
    };
    // Written out without a mode, it is wanted.
    let sync = mode.as_deref() == Some("sync");
    (mode.as_deref() != Some("off")).then_some(AmdSpec { sync, action, machine })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::create::sample;
    use serde_json::json;

    fn asked(call_type: &str, amd: &Value) -> Result<AskedAmd, String> {
        sample::asked(call_type, &json!({"amd": amd})).map(|asked| asked.amd)
    }

    #[test]
    fn a_request_says_what_becomes_of_machines() {
        let ms = Duration::from_millis;
        let wanted = AmdSpec {
            sync: true,
            action: AmdAction::LeaveMessage,
            machine: MachineSpec { greeting: ms(2_000), beep: true, ..MachineSpec::default() },
        };
        let all = json!({"mode": "sync", "action": "leave_message", "beep": true,
                         "greetingMs": 2000});
        assert_eq!(asked("FIXED_TTS", &all), Ok(AskedAmd::Wanted(wanted)));
        let usual =
            AmdSpec { sync: false, action: AmdAction::Report, machine: MachineSpec::default() };
        assert_eq!(asked("DYNAMIC_STREAM", &json!({"mode": "async"})), Ok(AskedAmd::Wanted(usual)));
        assert_eq!(asked("FIXED_TTS", &json!({"mode": "off"})), Ok(AskedAmd::Off));
        assert_eq!(asked("FIXED_TTS", &Value::Null), Ok(AskedAmd::Unsaid));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (call_type, wrong, pointer) in [
            ("FIXED_TTS", json!({"mode": "maybe"}), "/amd/mode"),
            ("FIXED_TTS", json!({"action": "shout"}), "/amd/action"),
            ("FIXED_TTS", json!({"beep": 1}), "/amd/beep"),
            ("FIXED_TTS", json!({"greetingMs": 1}), "/amd/greetingMs"),
            ("DYNAMIC_STREAM", json!({"mode": "sync"}), "/amd/mode"),
            ("DYNAMIC_STREAM", json!({"action": "leave_message"}), "/amd/action"),
        ] {
            let problem = asked(call_type, &wrong).unwrap_err();
            assert!(problem.contains(pointer), "{problem}");
        }
    }
}
