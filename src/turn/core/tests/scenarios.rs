//! One scenario each.

use super::call::{Call, expect};
use super::script::ms;
use crate::turn::interface::{State, TurnSpec, VoicemailPolicy};
use std::time::Duration;

/// The agent says a sentence of 2.4 s at 1 s and waits.
const TOLD: &str = "0 answered
    1000 token 1
    1000 say 1 Your appointment is on Monday at ten o'clock.
    1000 done 1
";

fn spec() -> TurnSpec {
    TurnSpec::default()
}

fn plain() -> TurnSpec {
    TurnSpec { speculate: false, ..spec() }
}

fn after(told: &str, script: &str) -> String {
    format!("{told}{script}")
}

#[test]
fn a_turn() {
    expect(plain(), &after(TOLD, "5000 voice
        5400 partial Thank you
        5900 quiet
        6000 final Thank you very much.
        6500 say 2 Goodbye.
        6500 done 2"), 9_000, "");
}

#[test]
fn speculative_hit() {
    expect(spec(), &after(TOLD, "5000 voice
        5900 quiet
        6000 final Thank you very much.
        6050 say 2 You are welcome.
        6060 done 2"), 9_000, "");
}

#[test]
fn speculative_miss() {
    expect(spec(), &after(TOLD, "5000 voice
        5900 quiet
        6000 final Thank you very much.
        6050 say 2 You are welcome.
        6100 voice
        6900 quiet
        7000 final But not on Monday.
        7400 say 3 On Tuesday, then.
        7400 done 3"), 9_500, "");
}

#[test]
fn thinking_pause() {
    expect(plain(), &after(TOLD, "5000 voice
        5900 quiet
        6000 final I would like to
        7900 voice
        8900 quiet
        9000 final come on Tuesday."), 9_500, "");
}

#[test]
fn cough_in_silence() {
    expect(plain(), &after(TOLD, "5000 voice
        5200 quiet"), 7_000, "");
}

#[test]
fn cough_over_the_agent() {
    expect(plain(), &after(TOLD, "2000 voice
        2200 quiet"), 5_000, "");
}

#[test]
fn long_cough_that_cuts_the_agent_off() {
    expect(plain(), &after(TOLD, "2000 voice
        2500 quiet"), 7_000, "");
}

#[test]
fn back_channel() {
    expect(plain(), &after(TOLD, "2000 voice
        2200 partial Uh-huh
        2500 quiet
        2600 final Uh-huh, okay."), 5_000, "");
}

#[test]
fn barge_in_by_voice() {
    expect(plain(), &after(TOLD, "2000 voice
        3000 quiet
        3100 final Wait, not Monday."), 4_000, "");
}

#[test]
fn barge_in_by_words() {
    expect(plain(), &after(TOLD, "2000 voice
        2200 partial Not Monday
        3000 quiet
        3100 final Not Monday."), 4_000, "");
}

#[test]
fn a_dip_does_not_cancel() {
    expect(plain(), &after(TOLD, "2000 voice
        2100 quiet
        2180 voice
        2900 quiet
        3000 final Stop it."), 3_500, "");
}

#[test]
fn double_talk() {
    expect(plain(), &after("0 answered
        500 voice
        1000 say 1 Good morning, this is the clinic.
        1000 done 1
        1900 quiet
        2000 final Hello, who is there?", ""), 3_500, "");
}

#[test]
fn both_begin_at_once() {
    expect(plain(), "0 answered
        980 voice
        1000 say 1 Good morning, this is the clinic.
        1000 done 1
        1150 quiet", 4_000, "");
}

#[test]
fn dictation_of_a_phone_number() {
    expect(plain(), &after("0 answered
        1000 say 1 What is your number?
        1000 expect 1 dictation
        1000 done 1", "\n3000 voice
        3900 quiet
        4000 final four one five
        5500 voice
        6400 quiet
        6500 final five five five.
        8000 voice
        8900 quiet
        9000 final zero one two three."), 12_000, "");
}

#[test]
fn silence_reprompts_and_giving_up() {
    let spec = TurnSpec { network_delay: ms(0), ..plain() };
    expect(spec, "0 answered\n0 say 1 Hello?\n0 done 1", 30_000, "");
}

#[test]
fn no_answer_within_the_timeout() {
    expect(plain(), "0 answered
        0 say 1 Yes or no?
        0 expect 1 phrases:yes|no timeout:3000
        0 done 1
        1000 voice
        1500 quiet
        1600 final Maybe.
        5000 say 2 Please say yes or no.
        5000 expect 2 phrases:yes|no timeout:3000
        5000 done 2
        7000 voice
        7500 quiet
        7600 final Oh yes, please.", 9_000, "");
}

#[test]
fn disclosure_is_never_cut() {
    let spec = TurnSpec {
        disclosure: Some("This call is made by a machine.".into()),
        greeting: Some("Good morning.".into()),
        ..plain()
    };
    expect(spec, "0 answered
        500 voice
        1400 quiet
        1500 final Who is this?
        1700 voice
        2900 quiet
        3000 final Hello? Who are you?", 4_500, "");
}

#[test]
fn echo_of_our_own_voice() {
    expect(plain(), &after(TOLD, "1100 voice
        1500 partial your appointment
        3700 quiet"), 5_000, "");
}

#[test]
fn a_quiet_voice_over_ours_is_echo() {
    expect(plain(), "0 answered
        0 done 1
        100 voice -20
        1000 quiet
        1100 final Tell me when.
        1600 say 2 Your appointment is on Monday.
        1600 done 2
        2200 voice -40
        3200 quiet", 4_000, "");
}

#[test]
fn digits_over_the_prompt() {
    expect(plain(), "0 answered
        1000 say 1 Enter your number, then press the hash key.
        1000 expect 1 keys: min:2 max:8 finish:#
        1000 done 1
        2500 key 4
        3000 key 7
        3500 key #", 4_000, "");
}

#[test]
fn digits_that_stop_coming() {
    expect(plain(), "0 answered
        0 say 1 Number?
        0 expect 1 keys: min:3 max:8 nospeech timeout:6000
        0 done 1
        1000 key 4
        1500 key 7
        4600 say 2 Again?
        4600 expect 2 keys: min:3 max:8 nospeech
        4600 done 2
        6000 key 1
        6500 key 2
        7000 key 3", 11_000, "");
}

#[test]
fn keys_typed_ahead_answer_the_next_question() {
    expect(plain(), "0 answered
        0 say 1 One or two?
        0 expect 1 keys:12
        0 done 1
        300 key 1
        400 key 9
        500 key 2
        900 say 2 And one or two again?
        900 expect 2 keys:12
        900 done 2", 2_000, "");
}

#[test]
fn a_key_nobody_asked_for_is_a_turn() {
    expect(plain(), &after(TOLD, "2000 key 5"), 3_000, "");
}

#[test]
fn without_transcription_the_voice_ends_turns() {
    expect(plain(), &after(TOLD, "4000 lost
        5000 voice
        5900 quiet
        8000 voice
        8100 quiet"), 9_000, "");
}

#[test]
fn wordless_answer() {
    expect(plain(), "0 answered
        0 say 1 Say something.
        0 expect 1 wordless
        0 done 1
        2000 voice
        2500 quiet", 4_000, "");
}

#[test]
fn voicemail_with_a_beep() {
    let spec = TurnSpec {
        voicemail: VoicemailPolicy::Message,
        disclosure: Some("A machine calls.".into()),
        ..spec()
    };
    expect(spec, "0 answered
        200 voice
        1500 partial You have reached
        3000 machine
        5000 quiet
        5100 final You have reached the mailbox of John.
        5600 voice
        5800 beep
        5900 quiet
        6100 say 2 Please call us back.
        6100 done 2", 10_000, "");
}

#[test]
fn voicemail_without_a_beep() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Message, speculate: false, ..spec() };
    expect(spec, "0 answered
        200 voice
        3000 machine
        4000 quiet
        6500 say 1 Please call.
        6500 done 1", 10_000, "");
}

#[test]
fn machine_is_hung_up_on() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Hangup, ..plain() };
    expect(spec, "0 answered
        200 voice
        3000 machine", 4_000, "");
}

#[test]
fn a_person_is_waited_for() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Hangup, ..spec() };
    expect(spec, "0 answered
        300 voice
        700 quiet
        800 final Hello?
        900 say 1 Good morning.
        900 done 1
        1500 person", 4_000, "");
}

#[test]
fn nobody_can_tell_who_answered() {
    let spec = TurnSpec { voicemail: VoicemailPolicy::Hangup, ..plain() };
    expect(spec, "0 answered", 4_000, "");
}

#[test]
fn wrap_up_at_the_longest_duration() {
    let spec = TurnSpec {
        max_duration: Duration::from_secs(20),
        wrap_up: Some("Time is up.".into()),
        ..plain()
    };
    expect(spec, &after(TOLD, "9000 voice"), 30_000, "");
}

#[test]
fn the_longest_duration_is_the_longest() {
    let spec = TurnSpec {
        max_duration: Duration::from_secs(3),
        wrap_up: None,
        ..plain()
    };
    expect(spec, TOLD, 10_000, "");
}

#[test]
fn most_turns() {
    let spec = TurnSpec { max_turns: 1, wrap_up: Some("Enough.".into()), ..spec() };
    expect(spec, &after(TOLD, "5000 voice
        5900 quiet
        6000 final One more."), 10_000, "");
}

#[test]
fn filler_once_a_turn() {
    let spec = TurnSpec { filler: Some("One moment.".into()), ..plain() };
    expect(spec, &after(TOLD, "5000 voice
        5900 quiet
        6000 final Look it up.
        9500 say 2 Here it is.
        9500 done 2"), 11_000, "");
}

#[test]
fn failures() {
    for (script, wanted) in [
        ("0 answered\n100 fatal 1 no key", ""),
        ("0 answered\n100 failed 1 busy\n200 failed 2 busy", ""),
        ("0 answered\n100 say 1 Hello.\n100 broken 1 x\n200 say 1 Hello.\n300 broken 2 x", ""),
    ] {
        expect(plain(), script, 5_000, wanted);
    }
}

#[test]
fn goodbye_is_played_out() {
    expect(plain(), "0 answered
        0 say 1 Goodbye, then.
        0 bye done
        0 say 1 Never said.
        300 voice
        700 quiet
        700 final Bye.", 2_000, "");
}

#[test]
fn caller_goes_on_while_the_brain_thinks() {
    expect(plain(), &after(TOLD, "5000 voice
        5900 quiet
        6000 final I want to cancel.
        6300 voice
        7000 quiet
        7100 final No, to move it."), 8_000, "");
}

#[test]
fn cough_while_the_brain_thinks() {
    expect(plain(), &after(TOLD, "5000 voice
        5900 quiet
        6000 final I want to cancel.
        6300 voice
        6350 say 2 It is done.
        6350 done 2
        6500 quiet"), 8_000, "");
}

#[test]
fn the_final_text_differs_from_the_partial_one() {
    expect(plain(), &after(TOLD, "5000 voice
        5800 partial I want to can sell
        5900 quiet
        6700 final I want to cancel."), 7_000, "");
}

#[test]
fn the_agent_waits_for_the_caller() {
    let spec = TurnSpec { agent_first: false, ..plain() };
    expect(spec, "0 answered
        500 voice
        1000 quiet
        1100 final Hello?
        1500 say 1 Good morning.
        1500 done 1", 3_000, "");
}

#[test]
fn states_are_told_and_times_once() {
    let mut call = Call::new(spec());
    let script = after(TOLD, "5000 voice
        5900 quiet
        6000 final Thank you very much.
        6050 token 2
        6070 say 2 You are welcome.
        6070 done 2");
    call.run(&script, 9_000);
    let told: Vec<&str> = call.log.iter().map(String::as_str).collect();
    let states: Vec<&&str> = told.iter().filter(|line| line.contains(" state ")).collect();
    let times: Vec<&&str> = told.iter().filter(|line| line.contains(" times ")).collect();
    println!("{states:#?} {times:#?}");
    assert_eq!(call.core.state(), State::Listening);
    assert!(false);
}
