//! One scenario each: who speaks when. Who answers, and how calls end, is in `ends`.

use super::call::{Call, expect};
use super::script::ms;
use crate::turn::interface::{State, TurnSpec};

/// The agent says a sentence of 2.4 s at 1 s and waits.
pub(super) const TOLD: &str = "0 answered
    1000 token 1
    1000 say 1 Your appointment is on Monday at ten o'clock.
    1000 done 1
";

pub(super) fn spec() -> TurnSpec {
    TurnSpec::default()
}

pub(super) fn plain() -> TurnSpec {
    TurnSpec { speculate: false, ..spec() }
}

pub(super) fn after(told: &str, script: &str) -> String {
    format!("{told}{script}")
}

#[test]
fn a_turn() {
    expect(
        plain(),
        &after(
            TOLD,
            "5000 voice
        5400 partial Thank you
        5900 quiet
        6000 final Thank you very much.
        6500 say 2 Goodbye.
        6500 done 2",
        ),
        9_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6200 ask 2 said \"Thank you very much.\" 5000-5900
        6500 speak 2 of 2: Goodbye.
        6500 line 2 caller 5000-5900: Thank you very much.
        6980 line 2 agent 6500-6980: Goodbye.",
    );
}

#[test]
fn speculative_hit() {
    expect(
        spec(),
        &after(
            TOLD,
            "5000 voice
        5900 quiet
        6000 final Thank you very much.
        6050 say 2 You are welcome.
        6060 done 2",
        ),
        9_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6000 ask 2 early said \"Thank you very much.\" 5000-5900
        6200 confirm 2
        6200 speak 2 of 2: You are welcome.
        6200 line 2 caller 5000-5900: Thank you very much.
        7160 line 2 agent 6200-7160: You are welcome.",
    );
}

#[test]
fn speculative_miss() {
    expect(
        spec(),
        &after(
            TOLD,
            "5000 voice
        5900 quiet
        6000 final Thank you very much.
        6050 say 2 You are welcome.
        6100 voice
        6900 quiet
        7000 final But not on Monday.
        7400 say 3 On Tuesday, then.
        7400 done 3",
        ),
        9_500,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6000 ask 2 early said \"Thank you very much.\" 5000-5900
        7000 abandon 2
        7000 ask 3 early said \"Thank you very much. But not on Monday.\" 5000-6900
        7200 confirm 3
        7400 speak 2 of 3: On Tuesday, then.
        7400 line 3 caller 5000-6900: Thank you very much. But not on Monday.
        8420 line 3 agent 7400-8420: On Tuesday, then.",
    );
}

#[test]
fn thinking_pause() {
    expect(
        plain(),
        &after(
            TOLD,
            "5000 voice
        5900 quiet
        6000 final I would like to
        7900 voice
        8900 quiet
        9000 final come on Tuesday.",
        ),
        9_500,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        9200 ask 2 said \"I would like to come on Tuesday.\" 5000-8900",
    );
}

#[test]
fn cough_in_silence() {
    expect(
        plain(),
        &after(
            TOLD,
            "5000 voice
        5200 quiet",
        ),
        7_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.",
    );
}

#[test]
fn cough_over_the_agent() {
    expect(
        plain(),
        &after(
            TOLD,
            "2000 voice
        2200 quiet",
        ),
        5_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        2000 duck
        2320 restore
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.",
    );
}

#[test]
fn long_cough_that_cuts_the_agent_off() {
    expect(
        plain(),
        &after(
            TOLD,
            "2000 voice
        2500 quiet",
        ),
        7_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        2000 duck
        2300 cut
        2300 abandon 1
        2300 interrupted 1 after \"Your appointment is\"
        2300 line 1 agent 1000-2300 interrupted: Your appointment is
        3200 speak 2 of 1: Your appointment is on Monday at ten o'clock.
        5900 line 1 agent 3200-5900: Your appointment is on Monday at ten o'clock.",
    );
}

#[test]
fn back_channel() {
    expect(
        plain(),
        &after(
            TOLD,
            "2000 voice
        2200 partial Uh-huh
        2500 quiet
        2600 final Uh-huh, okay.",
        ),
        5_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        2000 duck
        2620 restore
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        3700 line 1 caller 2000-2500: Uh-huh, okay.",
    );
}

#[test]
fn barge_in_by_voice() {
    expect(
        plain(),
        &after(
            TOLD,
            "2000 voice
        3000 quiet
        3100 final Wait, not Monday.",
        ),
        4_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        2000 duck
        2300 cut
        2300 abandon 1
        2300 interrupted 1 after \"Your appointment is\"
        2300 line 1 agent 1000-2300 interrupted: Your appointment is
        3300 ask 2 said \"Wait, not Monday.\" 2000-3000",
    );
}

#[test]
fn barge_in_by_words() {
    expect(
        plain(),
        &after(
            TOLD,
            "2000 voice
        2200 partial Not Monday
        3000 quiet
        3100 final Not Monday.",
        ),
        4_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        2000 duck
        2200 cut
        2200 abandon 1
        2200 interrupted 1 after \"Your appointment\"
        2200 line 1 agent 1000-2200 interrupted: Your appointment
        3300 ask 2 said \"Not Monday.\" 2000-3000",
    );
}

#[test]
fn a_dip_does_not_cancel() {
    expect(
        plain(),
        &after(
            TOLD,
            "2000 voice
        2100 quiet
        2180 voice
        2900 quiet
        3000 final Stop it.",
        ),
        3_500,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        2000 duck
        2300 cut
        2300 abandon 1
        2300 interrupted 1 after \"Your appointment is\"
        2300 line 1 agent 1000-2300 interrupted: Your appointment is
        3200 ask 2 said \"Stop it.\" 2000-2900",
    );
}

#[test]
fn double_talk() {
    expect(
        plain(),
        &after(
            "0 answered
        500 voice
        1000 say 1 Good morning, this is the clinic.
        1000 done 1
        1900 quiet
        2000 final Hello, who is there?",
            "",
        ),
        3_500,
        "0 ask 1 begin
        800 abandon 1
        2200 ask 2 said \"Hello, who is there?\" 500-1900",
    );
}

#[test]
fn both_begin_at_once() {
    expect(
        plain(),
        "0 answered
        980 voice
        1000 say 1 Good morning, this is the clinic.
        1000 done 1
        1150 quiet",
        4_000,
        "0 ask 1 begin
        1270 speak 1 of 1: Good morning, this is the clinic.
        3250 line 1 agent 1270-3250: Good morning, this is the clinic.",
    );
}

#[test]
fn dictation_of_a_phone_number() {
    expect(
        plain(),
        &after(
            "0 answered
        1000 say 1 What is your number?
        1000 expect 1 dictation
        1000 done 1",
            "\n3000 voice
        3900 quiet
        4000 final four one five
        5500 voice
        6400 quiet
        6500 final five five five.
        8000 voice
        8900 quiet
        9000 final zero one two three.",
        ),
        12_000,
        "0 ask 1 begin
        1000 speak 1 of 1: What is your number?
        2200 line 1 agent 1000-2200: What is your number?
        11400 ask 2 said \"four one five five five five. zero one two three.\" 3000-8900",
    );
}

#[test]
fn silence_reprompts_and_giving_up() {
    let spec = TurnSpec { network_delay: ms(0), ..plain() };
    expect(
        spec,
        "0 answered\n0 say 1 Hello?\n0 done 1",
        30_000,
        "0 ask 1 begin
        0 speak 1 of 1: Hello?
        360 line 1 agent 0-360: Hello?
        8360 speak 2 of 1: Are you still there?
        9560 line 1 agent 8360-9560: Are you still there?
        16360 speak 3 of 1: I cannot hear you.
        17440 line 1 agent 16360-17440: I cannot hear you.
        24360 close Silence",
    );
}

#[test]
fn no_answer_within_the_timeout() {
    expect(
        plain(),
        "0 answered
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
        7600 final Oh yes, please.",
        9_000,
        "0 ask 1 begin
        0 speak 1 of 1: Yes or no?
        600 line 1 agent 0-600: Yes or no?
        2100 line 1 caller 1000-1500: Maybe.
        3660 ask 2 no-answer 1
        5000 speak 2 of 2: Please say yes or no.
        6260 line 2 agent 5000-6260: Please say yes or no.
        7800 ask 3 said \"Oh yes, please.\" 7000-7500",
    );
}

#[test]
fn disclosure_is_never_cut() {
    let spec = TurnSpec {
        disclosure: Some("This call is made by a machine.".into()),
        greeting: Some("Good morning.".into()),
        ..plain()
    };
    expect(
        spec,
        "0 answered
        500 voice
        1400 quiet
        1500 final Who is this?
        1700 voice
        2900 quiet
        3000 final Hello? Who are you?",
        4_500,
        "0 speak 1 of 1: This call is made by a machine.
        0 speak 2 of 1: Good morning.
        1860 line 1 agent 0-1860: This call is made by a machine.
        1860 line 1 caller 500-1400: Who is this?
        1860 duck
        2160 cut
        2160 interrupted 2 after \"\"
        3200 ask 2 said \"Hello? Who are you?\" 1700-2900",
    );
}

#[test]
fn what_must_be_said_protects_what_stands_before_it() {
    expect(
        plain(),
        "0 answered
        0 say 1 Well.
        0 fixed 1 Terms apply.
        0 say 1 Shall we go on?
        0 done 1
        100 voice
        700 key 5
        1400 quiet
        1500 final Yes, go on.",
        3_000,
        "
        0 ask 1 begin
        0 speak 1 of 1: Well.
        0 speak 2 of 1: Terms apply.
        0 speak 3 of 1: Shall we go on?
        300 line 1 agent 0-300: Well.
        1020 cut
        1020 abandon 1
        1020 ask 2 said \"\" keys 5 1020-1020
        1020 line 1 agent 300-1020: Terms apply.
        1500 abandon 2
        2000 ask 3 said \"Yes, go on.\" keys 5 1020-1400",
    );
}

#[test]
fn echo_of_our_own_voice() {
    expect(
        plain(),
        &after(
            TOLD,
            "1100 voice
        1500 partial your appointment
        3700 quiet",
        ),
        5_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.",
    );
}

#[test]
fn a_quiet_voice_over_ours_is_echo() {
    expect(
        plain(),
        "0 answered
        0 done 1
        100 voice -20
        1000 quiet
        1100 final Tell me when.
        1600 say 2 Your appointment is on Monday.
        1600 done 2
        2200 voice -40
        3200 quiet",
        4_000,
        "0 ask 1 begin
        1600 ask 2 said \"Tell me when.\" 100-1000
        1600 speak 1 of 2: Your appointment is on Monday.
        1600 line 2 caller 100-1000: Tell me when.
        3400 line 2 agent 1600-3400: Your appointment is on Monday.",
    );
}

#[test]
fn digits_over_the_prompt() {
    expect(
        plain(),
        "0 answered
        1000 say 1 Enter your number, then press the hash key.
        1000 expect 1 keys: min:2 max:8 finish:#
        1000 done 1
        2500 key 4
        3000 key 7
        3500 key #",
        4_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Enter your number, then press the hash key.
        2500 cut
        2500 abandon 1
        2500 interrupted 1 after \"Enter your number,\"
        2500 line 1 agent 1000-2500 interrupted: Enter your number,
        3500 ask 2 said \"\" keys 47 2500-3000",
    );
}

#[test]
fn digits_that_stop_coming() {
    expect(
        plain(),
        "0 answered
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
        7000 key 3",
        11_000,
        "0 ask 1 begin
        0 speak 1 of 1: Number?
        420 line 1 agent 0-420: Number?
        4500 ask 2 no-answer 1
        4500 line 1 caller 1000-1500 keys 47: 
        4600 speak 2 of 2: Again?
        4960 line 2 agent 4600-4960: Again?
        10000 ask 3 said \"\" keys 123 6000-7000",
    );
}

#[test]
fn keys_typed_ahead_answer_the_next_question() {
    expect(
        plain(),
        "0 answered
        0 say 1 One or two?
        0 expect 1 keys:12
        0 done 1
        300 key 1
        400 key 9
        500 key 2
        900 say 2 And one or two again?
        900 expect 2 keys:12
        900 done 2",
        2_000,
        "0 ask 1 begin
        0 speak 1 of 1: One or two?
        300 cut
        300 abandon 1
        300 ask 2 said \"\" keys 1 300-300
        300 interrupted 1 after \"\"
        900 speak 2 of 2: And one or two again?
        900 line 2 caller 300-300 keys 1: 
        900 cut
        900 abandon 2
        900 ask 3 said \"\" keys 2 900-900
        900 interrupted 2 after \"\"",
    );
}

#[test]
fn a_key_nobody_asked_for_is_a_turn() {
    expect(
        plain(),
        &after(TOLD, "2000 key 5"),
        3_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        2000 cut
        2000 abandon 1
        2000 ask 2 said \"\" keys 5 2000-2000
        2000 interrupted 1 after \"Your\"
        2000 line 1 agent 1000-2000 interrupted: Your",
    );
}

#[test]
fn without_transcription_the_voice_ends_turns() {
    expect(
        plain(),
        &after(
            TOLD,
            "4000 lost
        5000 voice
        5900 quiet
        8000 voice
        8100 quiet",
        ),
        9_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6500 ask 2 said \"\" 5000-5900",
    );
}

#[test]
fn wordless_answer() {
    expect(
        plain(),
        "0 answered
        0 say 1 Say something.
        0 expect 1 wordless
        0 done 1
        2000 voice
        2500 quiet",
        4_000,
        "0 ask 1 begin
        0 speak 1 of 1: Say something.
        840 line 1 agent 0-840: Say something.
        3200 ask 2 said \"\" 2000-2500",
    );
}

#[test]
fn caller_goes_on_while_the_brain_thinks() {
    expect(
        plain(),
        &after(
            TOLD,
            "5000 voice
        5900 quiet
        6000 final I want to cancel.
        6300 voice
        7000 quiet
        7100 final No, to move it.",
        ),
        8_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6200 ask 2 said \"I want to cancel.\" 5000-5900
        6600 abandon 2
        7300 ask 3 said \"I want to cancel. No, to move it.\" 5000-7000",
    );
}

#[test]
fn cough_while_the_brain_thinks() {
    expect(
        plain(),
        &after(
            TOLD,
            "5000 voice
        5900 quiet
        6000 final I want to cancel.
        6300 voice
        6350 say 2 It is done.
        6350 done 2
        6500 quiet",
        ),
        8_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6200 ask 2 said \"I want to cancel.\" 5000-5900
        6620 speak 2 of 2: It is done.
        6620 line 2 caller 5000-5900: I want to cancel.
        7280 line 2 agent 6620-7280: It is done.",
    );
}

#[test]
fn the_final_text_differs_from_the_partial_one() {
    expect(
        plain(),
        &after(
            TOLD,
            "5000 voice
        5800 partial I want to can sell
        5900 quiet
        6700 final I want to cancel.",
        ),
        7_000,
        "0 ask 1 begin
        1000 speak 1 of 1: Your appointment is on Monday at ten o'clock.
        3700 line 1 agent 1000-3700: Your appointment is on Monday at ten o'clock.
        6600 ask 2 said \"I want to can sell\" 5000-5900
        6700 abandon 2
        6700 ask 3 said \"I want to cancel.\" 5000-5900",
    );
}

#[test]
fn the_agent_waits_for_the_caller() {
    let spec = TurnSpec { agent_first: false, ..plain() };
    expect(
        spec,
        "0 answered
        500 voice
        1000 quiet
        1100 final Hello?
        1500 say 1 Good morning.
        1500 done 1",
        3_000,
        "1300 ask 1 said \"Hello?\" 500-1000
        1500 speak 1 of 1: Good morning.
        1500 line 1 caller 500-1000: Hello?
        2280 line 1 agent 1500-2280: Good morning.",
    );
}

#[test]
fn states_are_told_and_times_once() {
    let mut call = Call::new(spec());
    let script = after(
        TOLD,
        "5000 voice
        5900 quiet
        6000 final Thank you very much.
        6050 token 2
        6070 say 2 You are welcome.
        6070 done 2",
    );
    call.run(&script, 9_000);
    let told: Vec<&str> = call.log.iter().map(String::as_str).collect();
    let states: Vec<&&str> = told.iter().filter(|line| line.contains(" state ")).collect();
    let times: Vec<&&str> = told.iter().filter(|line| line.contains(" times ")).collect();
    let seen = ["thinking", "agentspeaking", "listening", "callerspeaking", "thinking"];
    let seen = seen.iter().chain(&["agentspeaking", "listening"]);
    for (line, state) in states.iter().zip(seen) {
        assert!(line.ends_with(state), "{line} is not {state}");
    }
    assert_eq!(states.len(), 7);
    let wanted = [
        "< 1000 times 1 turn:0 token:1000 sentence:1000 audio:1000 rtp:1000",
        "< 6200 times 2 speech:5900 turn:6200 transcript:6000 token:6050 sentence:6070 audio:6200 \
         rtp:6200",
    ];
    assert!(times.iter().map(|line| **line).eq(wanted), "{times:#?}");
    assert_eq!(call.core.state(), State::Listening);
}
