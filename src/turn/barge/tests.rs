//! The policy in virtual time.

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A core, and a clock that both sides share.
struct Rig {
    core: BargeCore,
    at: u64,
}

impl Rig {
    fn new(mode: Mode) -> Self {
        Self { core: BargeCore::new(BargeSpec { mode, ..BargeSpec::default() }), at: 10_000 }
    }

    fn playing(mode: Mode) -> Self {
        let mut rig = Self::new(mode);
        rig.say(Input::Playing(true));
        rig
    }

    fn say(&mut self, input: Input) -> Vec<Output> {
        self.core.handle(MS(self.at), input);
        std::iter::from_fn(|| self.core.poll_output()).collect()
    }

    /// So many milliseconds like this.
    fn hear(&mut self, ms: u64, like: Likeness) -> Vec<Output> {
        let mut outputs = Vec::new();
        for _ in 0..ms / 20 {
            self.at += 20;
            outputs.extend(self.say(Input::Tick));
            let (end, length) = (MS(self.at), MS(20));
            outputs.extend(self.say(Input::Compared { end, length, like }));
            outputs.extend(self.say(Input::Heard { end }));
        }
        outputs
    }

    fn voice(&mut self) -> Duration {
        let onset = MS(self.at);
        self.say(Input::VoiceStarted { onset });
        onset
    }
}

fn started(onset: Duration, decide_ms: Option<u64>) -> Output {
    Output::SpeechStarted { onset, decide_within: decide_ms.map(MS) }
}

#[test]
fn a_voice_is_told_after_the_debounce_and_its_end_too() {
    let mut rig = Rig::new(Mode::Notify);
    let onset = rig.voice();
    assert_eq!(rig.hear(140, Likeness::Alone), []);
    assert_eq!(rig.hear(20, Likeness::Alone), [started(onset, None)]);
    assert_eq!(rig.hear(500, Likeness::Alone), []);
    let end = MS(rig.at);
    assert_eq!(rig.say(Input::VoiceStopped { end }), [Output::SpeechStopped { onset, end }]);
    // A cough is not.
    rig.voice();
    assert_eq!(rig.hear(100, Likeness::Alone), []);
    assert_eq!(rig.say(Input::VoiceStopped { end: MS(rig.at) }), []);
}

#[test]
fn each_mode_does_what_it_says() {
    let outputs = |mode, onset| match mode {
        Mode::Off => vec![],
        Mode::Notify => vec![started(onset, None)],
        Mode::Clear => vec![started(onset, None), Output::Clear],
        Mode::Pause => vec![Output::Pause, started(onset, Some(500))],
    };
    for mode in Mode::ALL {
        let mut rig = Rig::playing(mode);
        let onset = rig.voice();
        assert_eq!(rig.hear(160, Likeness::Unlike), outputs(mode, onset), "{mode:?}");
        // While nothing plays there is nothing to stop.
        let mut rig = Rig::new(mode);
        let onset = rig.voice();
        let told = Vec::from_iter((mode != Mode::Off).then_some(started(onset, None)));
        assert_eq!(rig.hear(160, Likeness::Alone), told, "{mode:?}");
    }
}

#[test]
fn a_pause_ends_by_a_decision_or_by_time() {
    let held = || {
        let mut rig = Rig::playing(Mode::Pause);
        rig.voice();
        assert_eq!(rig.hear(160, Likeness::Unlike).len(), 2);
        assert!(rig.core.is_holding());
        rig
    };
    let confirm = [Output::Clear, Output::Release];
    assert_eq!(held().say(Input::Decided { confirm: true }), confirm);
    assert_eq!(held().say(Input::Decided { confirm: false }), [Output::Resume]);
    assert_eq!(held().say(Input::Cleared), [Output::Release]);
    let mut rig = held();
    assert_eq!(rig.core.deadline(), Some(MS(rig.at + 500)));
    assert_eq!(rig.hear(480, Likeness::Alone), []);
    assert_eq!(rig.hear(20, Likeness::Alone), confirm);
    assert_eq!(rig.say(Input::Decided { confirm: true }), [], "too late");
    // A client that pauses by itself has all the time.
    let mut rig = held();
    assert_eq!(rig.say(Input::Kept), []);
    assert_eq!(rig.hear(2_000, Likeness::Alone), []);
    assert_eq!(rig.say(Input::Decided { confirm: true }), []);
    // The other way: no decision is a no.
    let mut rig = Rig::playing(Mode::Pause);
    rig.core.spec.confirm_late = false;
    rig.voice();
    rig.hear(160, Likeness::Unlike);
    assert_eq!(rig.hear(500, Likeness::Alone), [Output::Resume]);
}

#[test]
fn keys_stop_only_what_plays() {
    let holds = Output::KeyHolds { decide_within: MS(500) };
    for (mode, wanted) in [
        (Mode::Off, vec![]),
        (Mode::Notify, vec![Output::KeyPressed]),
        (Mode::Clear, vec![Output::KeyPressed, Output::Clear]),
        (Mode::Pause, vec![Output::Pause, holds]),
    ] {
        assert_eq!(Rig::playing(mode).say(Input::Key), wanted, "{mode:?}");
        assert_eq!(Rig::new(mode).say(Input::Key), [], "{mode:?}");
        let mut rig = Rig::playing(mode);
        rig.core.spec.on_keys = false;
        assert_eq!(rig.say(Input::Key), [], "{mode:?}");
    }
    let mut rig = Rig::playing(Mode::Pause);
    rig.say(Input::Key);
    rig.at += 300;
    assert_eq!(rig.say(Input::Key), [], "the second key does not ask again");
    rig.at += 200;
    assert_eq!(rig.say(Input::Tick), [Output::Clear, Output::Release]);
}

#[test]
fn our_own_sound_stops_nothing() {
    for like in [Likeness::Echo, Likeness::Early, Likeness::Silent] {
        let mut rig = Rig::playing(Mode::Pause);
        rig.voice();
        assert_eq!(rig.hear(5_000, like), [], "{like:?}");
        assert_eq!(rig.say(Input::VoiceStopped { end: MS(rig.at) }), [], "it was never told");
    }
    // Stretches that are mistaken now and then.
    let mut rig = Rig::playing(Mode::Pause);
    rig.voice();
    for _ in 0..50 {
        assert_eq!(rig.hear(200, Likeness::Echo), []);
        assert_eq!(rig.hear(60, Likeness::Unlike), []);
    }
}

#[test]
fn a_voice_over_our_echo_takes_a_quarter_of_a_second() {
    let mut rig = Rig::playing(Mode::Pause);
    let onset = rig.voice();
    assert_eq!(rig.hear(1_000, Likeness::Echo), []);
    assert_eq!(rig.hear(240, Likeness::OverEcho), []);
    let told = [Output::Pause, started(onset, Some(500))];
    assert_eq!(rig.hear(20, Likeness::OverEcho), told);
    // Without an echo the first 200 ms are not looked at, and then it is quick.
    let mut rig = Rig::playing(Mode::Pause);
    let onset = rig.voice();
    assert_eq!(rig.hear(200, Likeness::Early), []);
    assert_eq!(rig.hear(140, Likeness::Unlike), []);
    assert_eq!(rig.hear(20, Likeness::Unlike), [Output::Pause, started(onset, Some(500))]);
}

#[test]
fn a_voice_that_was_there_before_stops_nothing() {
    let mut rig = Rig::new(Mode::Pause);
    rig.voice();
    assert_eq!(rig.hear(400, Likeness::Alone).len(), 1);
    rig.say(Input::Playing(true));
    assert_eq!(rig.hear(1_000, Likeness::Unlike), []);
    rig.say(Input::VoiceStopped { end: MS(rig.at) });
    rig.voice();
    assert_eq!(rig.hear(160, Likeness::Unlike).len(), 2, "its next one does");
}

#[test]
fn the_echo_does_not_prolong_a_voice() {
    let mut rig = Rig::playing(Mode::Notify);
    let onset = rig.voice();
    assert_eq!(rig.hear(300, Likeness::Unlike).len(), 1);
    let end = MS(rig.at);
    // The detector hears one voice all the time.
    assert_eq!(rig.hear(600, Likeness::Echo), [Output::SpeechStopped { onset, end }]);
    let again = rig.hear(300, Likeness::OverEcho);
    assert!(matches!(again[..], [Output::SpeechStarted { .. }]), "{again:?}");
}

#[test]
fn names_are_read_as_they_are_written() {
    for mode in Mode::ALL {
        assert_eq!(Mode::from_name(mode.as_str()), Some(mode));
    }
    assert_eq!(Mode::from_name("Pause"), None);
}
