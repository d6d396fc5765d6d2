//! One scenario each: who or what answers, limits, what fails, and how calls end.

use super::call::expect;
use super::scenarios::{TOLD, after, plain, spec};
use crate::turn::interface::{TurnSpec, VoicemailPolicy};
use std::time::Duration;

#[test]
fn voicemail_with_a_beep() {
    let spec = TurnSpec {
        voicemail: VoicemailPolicy::Message,
        disclosure: Some("A machine calls.".into()),
        ..spec()
    };
    expect(
        spec,
        "0 answered
        200 voice
        1500 partial You have reached
        3000 machine
        5000 quiet
        5100 final You have reached the mailbox of John.
        5600 voice
        5800 beep
        5900 quiet
        6100 say 2 Please call us back.
        6100 done 2",
        10_000,
        "0 ask 1 early begin
        3000 abandon 1
        5800 ask 2 voicemail
        5800 speak 1 of 2: A machine calls.
        5800 line 2 caller 200-5000: You have reached the mailbox of John.
        6100 speak 2 of 2: Please call us back.
        6760 line 2 agent 5800-6760: A machine calls.
        7960 line 2 agent 6760-7960: Please call us back.
        8020 close VoicemailLeft",
    );
}

#[test]
fn voicemail_without_a_beep() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Message, speculate: false, ..spec() };
    expect(
        spec,
        "0 answered
        200 voice
        3000 machine
        4000 quiet
        6500 say 1 Please call.
        6500 done 1",
        10_000,
        "6000 ask 1 voicemail
        6500 speak 1 of 1: Please call.
        7220 line 1 agent 6500-7220: Please call.
        7280 close VoicemailLeft",
    );
}

#[test]
fn voicemail_whose_beep_comes_late() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Message, ..plain() };
    expect(
        spec,
        "0 answered
        200 voice
        3000 machine
        4000 quiet
        6100 say 1 Please call.
        6100 done 1
        6500 beep
        6600 say 2 Please call.
        6600 done 2
        7000 beep",
        10_000,
        "
        6000 ask 1 voicemail
        6100 speak 1 of 1: Please call.
        6500 cut
        6500 abandon 1
        6500 ask 2 voicemail
        6600 speak 2 of 2: Please call.
        7320 line 2 agent 6600-7320: Please call.
        7380 close VoicemailLeft",
    );
}

#[test]
fn machine_is_hung_up_on() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Hangup, ..plain() };
    expect(
        spec,
        "0 answered
        200 voice
        3000 machine",
        4_000,
        "3000 close Machine",
    );
}

#[test]
fn a_person_is_waited_for() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Hangup, ..spec() };
    expect(
        spec,
        "0 answered
        300 voice
        700 quiet
        800 final Hello?
        900 say 1 Good morning.
        900 done 1
        1500 person",
        4_000,
        "0 ask 1 early begin
        1500 confirm 1
        1500 speak 1 of 1: Good morning.
        1500 line 1 caller 300-700: Hello?
        2280 line 1 agent 1500-2280: Good morning.",
    );
}

#[test]
fn nobody_can_tell_who_answered() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Hangup, ..plain() };
    expect(spec, "0 answered", 4_000, "2500 ask 1 begin");
}

#[test]
fn wrap_up_at_the_longest_duration() {
    let spec = TurnSpec {
        max_duration: Duration::from_secs(20),
        wrap_up: Some("Time is up.".into()),
        ..plain()
    };
    expect(
        spec,
        &after(TOLD, "9000 voice"),
        30_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        10000 speak 2 of 1: Time is up.
        10720 line 1 agent 10000-10660: Time is up.
        10720 close MaxDuration",
    );
}

#[test]
fn the_longest_duration_is_the_longest() {
    let spec = TurnSpec { max_duration: Duration::from_secs(3), wrap_up: None, ..plain() };
    expect(
        spec,
        TOLD,
        10_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3000 abandon 1
        3000 cut
        3000 close MaxDuration
        3000 line 1 agent 1000-3000 interrupted: Your appointment is on Monday at",
    );
}

#[test]
fn most_turns() {
    let spec = TurnSpec { max_turns: 1, wrap_up: Some("Enough.".into()), ..spec() };
    expect(
        spec,
        &after(
            TOLD,
            "5000 voice
        5900 quiet
        6000 final One more.",
        ),
        10_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6200 speak 2 of 1: Enough.
        6200 line 1 caller 5000-5900: One more.
        6620 line 1 agent 6200-6620: Enough.
        6680 close MaxTurns",
    );
}

#[test]
fn filler_once_a_turn() {
    let spec = TurnSpec { filler: Some("One moment.".into()), ..plain() };
    expect(
        spec,
        &after(
            TOLD,
            "5000 voice
        5900 quiet
        6000 final Look it up.
        9500 say 2 Here it is.
        9500 done 2",
        ),
        11_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6200 ask 2 said \"Look it up.\" 5000-5900
        7400 speak 2 of 2: One moment.
        9500 speak 3 of 2: Here it is.
        9500 line 2 caller 5000-5900: Look it up.
        9500 line 2 agent 7400-8060: One moment.
        10160 line 2 agent 9500-10160: Here it is.",
    );
}

#[test]
fn fatal_failure_of_the_brain() {
    expect(
        plain(),
        "0 answered\n100 fatal 1 no key",
        5_000,
        "0 ask 1 begin
        100 abandon 1
        100 speak 1 of 1: I am sorry, something went wrong. Goodbye.
        2620 line 1 agent 100-2620: I am sorry, something went wrong. Goodbye.
        2680 close Failed(\"no key\")",
    );
}

#[test]
fn a_turn_that_failed_is_asked_again_once() {
    let last = "I am sorry, something went wrong. Goodbye.";
    let wanted = format!(
        "0 ask 1 begin
        100 ask 2 begin
        200 speak 1 of 2: {last}
        2720 line 2 agent 200-2720: {last}
        2780 close Failed(\"busy\")"
    );
    expect(plain(), "0 answered\n100 failed 1 busy\n200 failed 2 busy", 5_000, &wanted);
}

#[test]
fn a_speech_engine_that_fails_twice_is_given_up() {
    let last = "I am sorry, something went wrong. Goodbye.";
    let wanted = format!(
        "0 ask 1 begin
        100 speak 1 of 1: Hello.
        200 speak 2 of 1: Hello.
        300 abandon 1
        300 speak 3 of 1: {last}
        460 line 1 agent 100-460 interrupted: Hello.
        3340 line 1 agent 820-3340: {last}
        3400 close Failed(\"x\")"
    );
    let script = "0 answered\n100 say 1 Hello.\n100 broken 1 x\n200 say 1 Hello.\n300 broken 2 x";
    expect(plain(), script, 5_000, &wanted);
}

#[test]
fn goodbye_is_played_out() {
    expect(
        plain(),
        "0 answered
        0 say 1 Goodbye, then.
        0 bye done
        0 say 1 Never said.
        300 voice
        700 quiet
        700 final Bye.",
        2_000,
        "0 ask 1 begin
        0 speak 1 of 1: Goodbye, then.
        840 line 1 agent 0-840: Goodbye, then.
        900 line 1 caller 300-700: Bye.
        900 close HangUp(\"done\")",
    );
}
