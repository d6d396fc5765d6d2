//! What a create request wants done with what is heard: `amd`, `bargeIn` and `startOn`.

use super::amd::AskedAmd;
use super::{amd, barge};
use crate::api::error::Code;
use crate::api::types::fields::{Faults, Object, clip};
use crate::app::hearing::HearingWish;
use crate::call::record::CallType;
use crate::store::CallDefaults;
use crate::turn::barge::BargeWish;
use crate::turn::machine::{AmdAction, AmdSpec};

/// What a request says of it; the rest is its instance's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AskedHearing {
    /// Who answers.
    pub amd: AskedAmd,
    /// What a voice or key does to what is played.
    pub barge: BargeWish,
    /// Playing waits for the end of a "hello?".
    pub after_hello: bool,
}

impl AskedHearing {
    /// With what an instance says where the request is silent. An agent judges by itself, and has
    /// none of it; a stream is told and decides.
    #[must_use]
    pub fn resolve(self, defaults: &CallDefaults, call_type: CallType) -> HearingWish {
        let HearingWish { amd, barge, after_hello } = HearingWish {
            amd: self.amd.or(defaults.amd),
            barge: self.barge.or(defaults.barge_in),
            after_hello: self.after_hello,
        };
        match call_type {
            CallType::DynamicAgent => HearingWish::default(),
            CallType::FixedTts | CallType::FixedAudio => HearingWish { amd, barge, after_hello },
            CallType::DynamicStream => {
                let told = |amd: AmdSpec| match amd.action {
                    AmdAction::Report | AmdAction::Hangup => AmdSpec { sync: false, ..amd },
                    AmdAction::LeaveMessage => {
                        AmdSpec { sync: false, action: AmdAction::Report, ..amd }
                    }
                };
                HearingWish { amd: amd.map(told), barge, after_hello }
            }
        }
    }
}

/// Reads what a request of this type says.
pub(super) fn hearing(
    read: &mut Object<'_>,
    faults: &mut Faults,
    call_type: Option<CallType>,
    strict: bool,
) -> AskedHearing {
    let after_hello = start_on(read, faults, call_type);
    match call_type {
        // It judges by itself; its `voicemail` says what becomes of a machine.
        Some(CallType::DynamicAgent) => AskedHearing::default(),
        Some(CallType::FixedTts | CallType::FixedAudio | CallType::DynamicStream) | None => {
            let prompt = call_type != Some(CallType::DynamicStream);
            let barge = barge::barge_in(read, faults, strict);
            AskedHearing { amd: amd::amd(read, faults, prompt, strict), barge, after_hello }
        }
    }
}

/// Reads what the `defaults` of an instance say of it.
pub(in crate::api::types) fn defaults(
    section: &mut Object<'_>,
    faults: &mut Faults,
    strict: bool,
) -> CallDefaults {
    let barge_in = barge::barge_in(section, faults, strict);
    let amd = amd::usual(section, faults, strict);
    CallDefaults { barge_in, amd }
}

/// `startOn`; `true` for `speech_end`.
fn start_on(read: &mut Object<'_>, faults: &mut Faults, call_type: Option<CallType>) -> bool {
    let at = read.at("startOn");
    match read.text(faults, "startOn", Code::InvalidRequest) {
        None | Some("answer") => false,
        Some("speech_end") if call_type == Some(CallType::DynamicAgent) => {
            let detail = "speech_end is not for agents; their firstSpeaker says who begins";
            faults.add(Code::InvalidRequest, at, "not_for_type", detail);
            false
        }
        Some("speech_end") => true,
        Some("early_media") => {
            faults.later(at, "startOn early_media is not served in this version");
            false
        }
        Some(other) => {
            let detail = format!("startOn is answer or speech_end, not {:?}", clip(other));
            faults.add(Code::InvalidRequest, at, "enum", detail);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::create::sample::asked;
    use crate::turn::barge::Mode;
    use crate::turn::machine::MachineSpec;
    use serde_json::{Value, json};

    #[test]
    fn playing_may_wait_for_a_hello() {
        for (call_type, start_on, wanted) in [
            ("FIXED_TTS", json!("speech_end"), Ok(true)),
            ("DYNAMIC_STREAM", json!("speech_end"), Ok(true)),
            ("FIXED_TTS", json!("answer"), Ok(false)),
            ("FIXED_TTS", Value::Null, Ok(false)),
            ("DYNAMIC_AGENT", json!("speech_end"), Err("not_for_type")),
            ("FIXED_TTS", json!("early_media"), Err("not_implemented")),
            ("FIXED_TTS", json!("later"), Err("enum")),
            ("FIXED_TTS", json!(1), Err("wrong_type")),
        ] {
            let found = asked(call_type, &json!({"startOn": start_on}));
            match (found, wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found.after_hello, wanted, "{start_on}"),
                (Err(problem), Err(rule)) => {
                    assert!(problem.contains("/startOn") && problem.contains(rule), "{problem}");
                }
                (found, _) => panic!("{call_type} {start_on}: {found:?}"),
            }
        }
    }

    #[test]
    fn an_instance_says_what_a_call_does_not() {
        let amd = AmdSpec {
            sync: true,
            action: AmdAction::LeaveMessage,
            machine: MachineSpec::default(),
        };
        let barge_in = BargeWish { mode: Some(Mode::Clear), ..BargeWish::default() };
        let defaults = CallDefaults { barge_in, amd: Some(amd) };
        let silent = asked("FIXED_TTS", &json!({})).unwrap();
        let wish = silent.resolve(&defaults, CallType::FixedTts);
        assert_eq!((wish.amd, wish.barge), (Some(amd), barge_in));
        // A stream cannot wait, nor leave a message.
        let wish = silent.resolve(&defaults, CallType::DynamicStream);
        let told = AmdSpec { sync: false, action: AmdAction::Report, ..amd };
        assert_eq!((wish.amd, wish.barge.mode), (Some(told), Some(Mode::Clear)));
        let none = HearingWish::default();
        assert_eq!(silent.resolve(&defaults, CallType::DynamicAgent), none);
        // What the call says counts, field by field of `bargeIn`.
        let own = json!({"amd": {"mode": "off"}, "bargeIn": {"debounceMs": 300}});
        let wish = asked("FIXED_TTS", &own).unwrap().resolve(&defaults, CallType::FixedTts);
        assert_eq!((wish.amd, wish.barge.mode), (None, Some(Mode::Clear)));
        assert_eq!(wish.barge.debounce, Some(std::time::Duration::from_millis(300)));
        let off = asked("FIXED_TTS", &json!({"bargeIn": {"mode": "off"}})).unwrap();
        let wish = off.resolve(&defaults, CallType::FixedTts);
        assert_eq!(wish.barge.mode, Some(Mode::Off));
    }
}
