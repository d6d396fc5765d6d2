//! Recorded conversations: the same inputs give the same outputs, line by line.
//!
//! A changed line in `src/turn/testdata` is a changed behaviour. `cargo test --lib -- --ignored
//! turn::core::tests::replay::record` writes the files anew.

use super::call::Call;
use super::script;
use crate::turn::TurnCore;
use crate::turn::interface::{Output, TurnSpec, VoicemailPolicy};
use std::fs;
use std::path::PathBuf;

/// Names, specs and scripts of the recordings.
#[expect(clippy::too_many_lines, reason = "scripts")]
fn conversations() -> Vec<(&'static str, TurnSpec, &'static str, u64)> {
    let talk = TurnSpec {
        disclosure: Some("This call is made by a machine.".into()),
        filler: Some("One moment, please.".into()),
        ..TurnSpec::default()
    };
    let mailbox = TurnSpec { voicemail: VoicemailPolicy::Message, ..TurnSpec::default() };
    vec![
        (
            "talk",
            talk,
            "0 answered
            200 token 1
            250 say 1 Good morning, this is the clinic.
            300 say 1 Your appointment is on Monday at ten o'clock. Does that suit you?
            320 done 1
            900 voice
            1300 quiet
            5000 voice
            5250 quiet
            6200 voice
            6400 partial Uh-huh
            6700 quiet
            6800 final Uh-huh.
            8000 voice
            8300 partial No, I cannot
            9900 quiet
            9980 final No, I cannot come on Monday.
            10100 token 2
            12000 say 2 Which day would you like?
            12000 done 2
            14500 voice
            15500 quiet
            15600 final On Tuesday and
            16700 voice
            17500 quiet
            17560 final in the morning, please.
            17700 token 3
            17760 say 3 Tuesday at nine, then. Press one to confirm.
            17780 expect 3 keys:12 min:1 max:1 timeout:5000
            17780 done 3
            19500 key 1
            19700 token 4
            19800 say 4 Thank you, goodbye.
            19850 bye confirmed",
            25_000,
        ),
        (
            "mailbox",
            mailbox,
            "0 answered
            300 voice
            1500 partial You have reached
            2700 machine
            4000 quiet
            4200 final You have reached the mailbox of John Smith. Please speak after the tone.
            4700 beep
            4900 token 2
            5000 say 2 This is the clinic. Please call us back.
            5010 done 2",
            12_000,
        ),
        (
            "silence",
            TurnSpec::default(),
            "0 answered
            100 say 1 Hello, can you hear me?
            100 done 1
            20000 voice
            20300 quiet",
            40_000,
        ),
    ]
}

fn place(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("src/turn/testdata").join(format!("{name}.log"))
}

#[test]
fn recorded_conversations_are_the_same_again() {
    for (name, spec, ..) in conversations() {
        let recorded = fs::read_to_string(place(name)).expect("a recording");
        let mut core = TurnCore::new(spec);
        let mut again = Vec::new();
        for line in recorded.lines().filter_map(|line| line.strip_prefix("> ")) {
            let (now, input) = script::input(line);
            again.push(format!("> {line}"));
            core.handle(now, input);
            loop {
                match core.poll_output() {
                    Output::Timeout(..) => break,
                    output => again.push(format!("< {}", script::show(now, &output))),
                }
            }
        }
        let recorded: Vec<&str> = recorded.lines().collect();
        assert_eq!(again, recorded, "{name}");
    }
}

#[test]
#[ignore = "writes the recordings"]
fn record() {
    for (name, spec, script, until) in conversations() {
        let mut call = Call::new(spec);
        call.run(script, until);
        fs::write(place(name), call.log.join("\n") + "\n").expect("a file");
    }
}
