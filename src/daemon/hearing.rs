//! What the configuration says of who is heard, as the ears and the API take it.

use crate::app::hearing::HearingSpec;
use crate::config::{
    AmdDoes, AmdMode, BargeMode, BargeTimeout, Config, Instance, InstanceAmd, InstanceBargeIn,
};
use crate::store::CallDefaults;
use crate::turn::barge::{BargeSpec, BargeWish, Mode};
use crate::turn::machine::{AmdAction, AmdSpec, MachineSpec};
use std::collections::BTreeMap;

/// What the caller's voice does, unless a request says otherwise.
pub(super) fn usual(config: &Config) -> HearingSpec {
    let barge = &config.barge_in;
    HearingSpec {
        barge: BargeSpec {
            mode: mode(barge.mode),
            on_speech: barge.speech,
            on_keys: barge.dtmf,
            debounce: barge.debounce,
            decision: barge.decision,
            confirm_late: barge.on_timeout == BargeTimeout::Confirm,
        },
        voice_pause: config.vad.pause,
        tones: config.tones.detect,
        machine: None,
        after_hello: false,
    }
}

/// What the calls of an instance get that do not say.
pub(super) fn defaults(instance: &Instance) -> CallDefaults {
    CallDefaults {
        barge_in: instance.barge_in.as_ref().map(wish).unwrap_or_default(),
        amd: instance.amd.as_ref().and_then(amd),
    }
}

/// What a voice or key does in the calls of each instance that says so.
pub(super) fn barges(config: &Config) -> BTreeMap<String, BargeWish> {
    let says =
        |instance: &Instance| Some((instance.id.to_string(), wish(instance.barge_in.as_ref()?)));
    config.instance.iter().filter_map(says).collect()
}

fn wish(barge: &InstanceBargeIn) -> BargeWish {
    BargeWish {
        mode: barge.mode.map(mode),
        on_speech: barge.speech,
        on_keys: barge.dtmf,
        debounce: barge.debounce,
        decision: barge.decision,
        confirm_late: barge.on_timeout.map(|late| late == BargeTimeout::Confirm),
    }
}

fn mode(mode: BargeMode) -> Mode {
    match mode {
        BargeMode::Off => Mode::Off,
        BargeMode::Notify => Mode::Notify,
        BargeMode::Clear => Mode::Clear,
        BargeMode::Pause => Mode::Pause,
    }
}

fn amd(amd: &InstanceAmd) -> Option<AmdSpec> {
    let sync = match amd.mode {
        AmdMode::Off => return None,
        AmdMode::Async => false,
        AmdMode::Sync => true,
    };
    let action = match amd.action {
        AmdDoes::Report => AmdAction::Report,
        AmdDoes::Hangup => AmdAction::Hangup,
        AmdDoes::LeaveMessage => AmdAction::LeaveMessage,
    };
    let machine = MachineSpec {
        initial_silence: amd.initial_silence,
        greeting: amd.greeting,
        after_greeting_silence: amd.after_greeting_silence,
        total: amd.total,
        min_word: amd.min_word,
        beep_timeout: amd.beep_timeout,
        beep: amd.beep,
    };
    Some(AmdSpec { sync, action, machine })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LoadOptions;
    use std::time::Duration;

    fn instance(more: &str) -> CallDefaults {
        let text = format!(
            "[[trunk]]\nname = \"t\"\nproxy = \"sip:127.0.0.1\"\n[[instance]]\nid = \"inst_a\"\n\
             trunk = \"t\"\n{more}"
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bellwire.toml");
        std::fs::write(&file, text).unwrap();
        let options = LoadOptions { file: Some(file), ..LoadOptions::default() };
        let config = Config::load(&options).unwrap().config;
        assert_eq!(barges(&config).contains_key("inst_a"), more.contains("barge_in"));
        defaults(&config.instance[0])
    }

    #[test]
    fn an_instance_says_what_its_calls_do_not() {
        assert_eq!(instance(""), CallDefaults::default());
        let found = instance(
            "[instance.barge_in]\nmode = \"pause\"\ndtmf = false\non_timeout = \"reject\"\n\
             [instance.amd]\naction = \"leave_message\"\nbeep = true\ngreeting = \"2s\"\n",
        );
        let barge_in = BargeWish {
            mode: Some(Mode::Pause),
            on_keys: Some(false),
            confirm_late: Some(false),
            ..BargeWish::default()
        };
        assert_eq!(found.barge_in, barge_in);
        let machine =
            MachineSpec { beep: true, greeting: Duration::from_secs(2), ..MachineSpec::default() };
        let action = AmdAction::LeaveMessage;
        assert_eq!(found.amd, Some(AmdSpec { sync: false, action, machine }));
        assert_eq!(instance("[instance.amd]\nmode = \"off\"\n").amd, None);
        // The thresholds that stand in the file's own defaults are those of the API.
        let usual = instance("[instance.amd]\n").amd.map(|amd| amd.machine);
        assert_eq!(usual, Some(MachineSpec::default()));
    }
}
