use super::*;
use crate::app::agent::interface::{BrainOutput, ToolCall};
use crate::turn::interface::{Expect, Line, Prompt, Said, Speaker, TurnId};
use serde_json::{Value, json};
use std::time::Duration;

/// The example of the API's documentation.
fn example() -> Value {
    json!([
        {"say": "Press one to confirm, or two to cancel."},
        {"ask": {"dtmf": ["1", "2"]}, "timeout": 8, "saveAs": "choice"},
        {"branch": {"on": "choice", "cases": {
            "1": [{"say": "Thank you."}],
            "2": [{"transfer": {"target": "desk"}}]},
            "otherwise": [{"repeat": 2}]}},
        {"record": {"choice": "{choice}"}},
        {"hangup": {}}
    ])
}

/// A call that is conducted by hand.
struct Talk {
    script: Script,
    turn: u64,
}

impl Talk {
    fn new(steps: &Value) -> Self {
        Self::with(steps, &BrainContext { language: "en-US".to_owned(), ..BrainContext::default() })
    }

    fn with(steps: &Value, context: &BrainContext) -> Self {
        let playbook = Playbook::parse(steps).unwrap();
        Self { script: Script::new(playbook, context), turn: 0 }
    }

    fn ask(&mut self, prompt: Prompt) -> Vec<BrainOutput> {
        self.turn += 1;
        let turn = TurnId(self.turn);
        self.script.handle(&BrainInput::Ask { turn, prompt, speculative: false })
    }

    fn begin(&mut self) -> Vec<String> {
        shown(&self.ask(Prompt::Begin))
    }

    fn press(&mut self, digits: &str) -> Vec<String> {
        let said = Said { digits: digits.to_owned(), ..Said::default() };
        shown(&self.ask(Prompt::Said(said)))
    }

    fn speak(&mut self, text: &str, constrained: bool) -> Vec<String> {
        let said = Said { text: text.to_owned(), constrained, ..Said::default() };
        shown(&self.ask(Prompt::Said(said)))
    }

    fn silence(&mut self) -> Vec<String> {
        shown(&self.ask(Prompt::NoAnswer(1)))
    }

    fn result(&mut self, id: &str, result: Value) -> Vec<String> {
        let (turn, id) = (TurnId(self.turn), id.to_owned());
        shown(&self.script.handle(&BrainInput::ToolResult { turn, id, result }))
    }
}

/// Outputs in short: what is said, `?` for an expectation, `name{…}` for tools, `.` for done.
fn shown(outputs: &[BrainOutput]) -> Vec<String> {
    let short = |output: &BrainOutput| match output {
        BrainOutput::Say { text, interruptible: true, .. } => text.clone(),
        BrainOutput::Say { text, .. } => format!("!{text}"),
        BrainOutput::Expect(..) => "?".to_owned(),
        BrainOutput::Tool(_, ToolCall { name, arguments, .. }) => format!("{name}{arguments}"),
        BrainOutput::Done(_) => ".".to_owned(),
        BrainOutput::Failed { detail, .. } => format!("failed: {detail}"),
        other => format!("{other:?}"),
    };
    outputs.iter().map(short).collect()
}

const QUESTION: &str = "Press one to confirm, or two to cancel.";

#[test]
fn the_example_confirms_records_and_hangs_up() {
    let mut talk = Talk::new(&example());
    assert_eq!(talk.begin(), [QUESTION, "?", "."]);
    assert_eq!(talk.press("1"), ["Thank you.", "record_result{\"choice\":\"1\"}"]);
    assert_eq!(talk.result("s1", json!({"ok": true})), ["hang_up{\"reason\":\"completed\"}"]);
    assert_eq!(talk.result("s2", json!({"ok": true})), ["."]);
}

#[test]
fn the_example_repeats_the_question_twice_and_goes_on_without_an_answer() {
    let mut talk = Talk::new(&example());
    talk.begin();
    assert_eq!(talk.silence(), [QUESTION, "?", "."]);
    assert_eq!(talk.press("7"), [QUESTION, "?", "."], "a key that is no answer");
    assert_eq!(talk.silence(), ["record_result{\"choice\":null}"]);
}

#[test]
fn a_transfer_that_fails_goes_on_and_one_that_works_ends_the_playbook() {
    let mut talk = Talk::new(&example());
    talk.begin();
    assert_eq!(talk.press("2"), ["transfer{\"target\":\"desk\"}"]);
    let result = talk.result("s1", json!({"error": "unavailable"}));
    assert_eq!(result, ["record_result{\"choice\":\"2\"}"]);
    let mut talk = Talk::new(&example());
    talk.begin();
    talk.press("2");
    assert_eq!(talk.result("s1", json!({"ok": true})), ["."]);
    assert_eq!(talk.silence(), ["."], "nothing is left to say");
}

#[test]
fn questions_tell_what_they_expect() {
    let steps = json!([
        {"ask": {"digits": {"min": 4, "max": 6, "finishKey": "#"}}, "text": "Your code?", "timeout": 3},
        {"ask": {"phrases": ["the first of May", "never"], "dtmf": ["1"]}},
        {"ask": {"speech": true, "saveAs": "free"}},
        {"say": {"text": "You said {free}.", "interruptible": false}}
    ]);
    let mut talk = Talk::new(&steps);
    let expect = |outputs: &[BrainOutput]| -> Expect {
        let found = outputs.iter().find_map(|output| match output {
            BrainOutput::Expect(_, expect) => Some(expect.clone()),
            _ => None,
        });
        found.unwrap()
    };
    let first = expect(&talk.ask(Prompt::Begin));
    let rule = first.digits.unwrap();
    assert_eq!((rule.min, rule.max, rule.finish, first.speech), (4, 6, Some('#'), false));
    assert_eq!(first.timeout, Some(Duration::from_secs(3)));
    let said = Said { digits: "1234".to_owned(), ..Said::default() };
    let second = expect(&talk.ask(Prompt::Said(said)));
    assert!(second.speech && !second.wordless && second.phrases.len() == 2);
    assert_eq!(second.timeout, Some(Duration::from_secs(8)));
    let third = expect(&talk.ask(Prompt::NoAnswer(1)));
    assert!(third.speech && third.wordless && third.phrases.is_empty() && third.digits.is_none());
    let last = talk.speak("nothing\u{7} <b>much</b>", false);
    assert_eq!(last[0], "!You said nothing  <b>much</b>.");
}

#[test]
fn phrases_from_a_list_are_read_back_before_they_count() {
    let steps = json!([
        {"say": "Which day?"},
        {"ask": {"phrases": ["monday", "tuesday"]}, "saveAs": "day"},
        {"say": "{day}, then."}
    ]);
    let confirm = words::of("en").confirm;
    let mut talk = Talk::new(&steps);
    talk.begin();
    assert_eq!(talk.speak("Tuesday please", true), ["I understood: tuesday.", confirm, "?", "."]);
    assert_eq!(talk.speak("No, that is right out", true), ["Which day?", "?", "."]);
    talk.speak("Monday", true);
    assert_eq!(talk.silence(), ["I understood: monday.", confirm, "?", "."]);
    assert_eq!(talk.press("1")[0], "monday, then.");
    // A transcript that was not forced into a list needs no confirmation.
    let mut talk = Talk::new(&steps);
    talk.begin();
    assert_eq!(talk.speak("on MONDAY", false)[0], "monday, then.");
    // Two silences are no consent.
    let mut talk = Talk::new(&steps);
    talk.begin();
    talk.speak("monday", true);
    talk.silence();
    assert_eq!(talk.silence()[0], ", then.");
}

#[test]
fn an_answer_confirmed_as_wrong_is_given_up_in_the_end() {
    let steps =
        json!([{"ask": {"phrases": ["a b"]}, "text": "What?", "saveAs": "x"}, {"say": "End."}]);
    let mut talk = Talk::new(&steps);
    talk.begin();
    for _ in 0..2 {
        talk.speak("a b", true);
        assert_eq!(talk.press("2"), ["What?", "?", "."]);
    }
    talk.speak("a b", true);
    assert_eq!(talk.press("2")[0], "End.");
}

#[test]
fn retries_and_talking_over_a_question() {
    let steps = json!([
        {"ask": {"dtmf": ["1"]}, "text": "Press one.", "reprompt": "One, please.", "retries": 1},
        {"say": "Bye."}
    ]);
    let mut talk = Talk::new(&steps);
    talk.begin();
    assert_eq!(talk.silence(), ["One, please.", "?", "."]);
    assert_eq!(talk.silence()[0], "Bye.");
    let mut talk = Talk::new(&steps);
    talk.begin();
    let line = Line {
        turn: TurnId(1),
        speaker: Speaker::Agent,
        text: "Press".to_owned(),
        digits: String::new(),
        started: Duration::ZERO,
        ended: Duration::ZERO,
        interrupted: true,
    };
    assert_eq!(talk.script.handle(&BrainInput::Line(line)), []);
    assert_eq!(talk.speak("hello?", false), ["Press one.", "?", "."], "costs no attempt");
    assert_eq!(talk.speak("hello?", false), ["One, please.", "?", "."]);
}

#[test]
fn speculative_turns_wait_and_abandoned_ones_leave_no_trace() {
    let mut talk = Talk::new(&example());
    talk.begin();
    let ask = |turn, speculative| {
        let (digits, started) = ("1".to_owned(), Duration::from_secs(turn));
        let prompt = Prompt::Said(Said { digits, started, ..Said::default() });
        BrainInput::Ask { turn: TurnId(turn), prompt, speculative }
    };
    assert_eq!(talk.script.handle(&ask(2, true)), []);
    assert_eq!(talk.script.handle(&BrainInput::Abandon(TurnId(2))), []);
    assert_eq!(talk.script.handle(&BrainInput::Confirm(TurnId(2))), []);
    assert_eq!(talk.script.handle(&ask(3, true)), []);
    let outputs = talk.script.handle(&BrainInput::Confirm(TurnId(3)));
    assert_eq!(shown(&outputs)[0], "Thank you.");
    // The turn is abandoned while its tool works: the next goes on behind it.
    talk.script.handle(&BrainInput::Abandon(TurnId(3)));
    assert_eq!(shown(&talk.script.handle(&ask(4, false))), ["hang_up{\"reason\":\"completed\"}"]);
    talk.script.handle(&BrainInput::Abandon(TurnId(4)));
    assert_eq!(
        shown(&talk.script.handle(&ask(5, false))),
        ["hang_up{\"reason\":\"completed\"}"],
        "a hang-up that was talked over is asked for again"
    );
}

#[test]
fn a_caller_who_goes_on_is_answered_as_a_whole() {
    let steps = json!([
        {"ask": {"phrases": ["monday", "tuesday the second"]}, "text": "Which day?", "saveAs": "day"},
        {"record": {"day": "{day}"}},
        {"ask": {"dtmf": ["1"]}, "text": "{day}. Press one."}
    ]);
    let said = |text: &str| {
        let started = Duration::from_secs(3);
        Prompt::Said(Said { text: text.to_owned(), started, ..Said::default() })
    };
    let mut talk = Talk::new(&steps);
    talk.begin();
    talk.ask(said("Monday"));
    assert_eq!(talk.result("s1", json!({"ok": true}))[0], "monday. Press one.");
    talk.script.handle(&BrainInput::Abandon(TurnId(2)));
    let outputs = talk.ask(said("Monday no sorry Tuesday the second"));
    assert_eq!(shown(&outputs), ["record_result{\"day\":\"tuesday the second\"}"]);
    assert_eq!(talk.result("s2", json!({"ok": true}))[0], "tuesday the second. Press one.");
    // Keys are pressed later than words were said: an answer to what was heard of the new question.
    talk.script.handle(&BrainInput::Abandon(TurnId(3)));
    assert_eq!(talk.press("1"), ["hang_up{\"reason\":\"completed\"}"]);
}

#[test]
fn a_mailbox_hears_its_own_text_or_nothing() {
    let steps = json!({"steps": [{"say": "Hello {metadata.name}."}],
        "voicemail": "Call us back, {metadata.name}."});
    let metadata = json!({"name": "Mia"}).as_object().unwrap().clone();
    let context = BrainContext { metadata, ..BrainContext::default() };
    let mut talk = Talk::with(&steps, &context);
    assert_eq!(talk.begin()[0], "Hello Mia.");
    assert_eq!(shown(&talk.ask(Prompt::Voicemail)), ["!Call us back, Mia.", "."]);
    let mut talk = Talk::with(&steps["steps"], &context);
    assert_eq!(shown(&talk.ask(Prompt::Voicemail)), ["hang_up{\"reason\":\"completed\"}"]);
}

#[test]
fn a_playbook_knows_whether_the_caller_is_verified() {
    let steps = json!([{"branch": {"on": "verified", "cases": {
        "valid": [{"say": "Welcome back, {from}."}]}, "otherwise": [{"say": "Who is it?"}]}}]);
    let caller = crate::call::identity::CallIdentity::example();
    let from = Some("+14155550123".to_owned());
    let known = BrainContext { from, identity: Some(Box::new(caller)), ..BrainContext::default() };
    assert_eq!(Talk::with(&steps, &known).begin()[0], "Welcome back, +14155550123.");
    assert_eq!(Talk::with(&steps, &BrainContext::default()).begin()[0], "Who is it?");
}

#[test]
fn results_have_the_types_that_the_caller_wants() {
    let steps = json!([
        {"ask": {"digits": {"max": 2}}, "saveAs": "age"},
        {"record": {"age": "{age}", "note": "{age} years"}},
        {"ask": {"dtmf": ["1"]}, "saveAs": "ok"},
        {"record": {"ok": "{ok}"}}
    ]);
    let schema = json!({"type": "object", "required": ["age", "ok"], "properties": {
        "age": {"type": "integer"}, "ok": {"type": "boolean"}}});
    let context = BrainContext { result_schema: Some(schema), ..BrainContext::default() };
    let mut talk = Talk::with(&steps, &context);
    talk.begin();
    assert_eq!(talk.press("42"), ["record_result{\"age\":42,\"note\":\"42 years\"}"]);
    talk.result("s1", json!({"error": "\"ok\" is a required property"}));
    assert_eq!(talk.press("1"), ["record_result{\"age\":42,\"note\":\"42 years\",\"ok\":true}"]);
}

#[test]
fn a_playbook_that_goes_in_circles_is_stopped() {
    let mut talk = Talk::new(&json!([
        {"say": "a"}, {"repeat": {"times": 10, "from": "start"}},
        {"repeat": {"times": 10, "from": "start"}}, {"repeat": {"times": 10, "from": "start"}}
    ]));
    let outputs = talk.begin();
    assert!(outputs.len() < 600 && outputs.last().unwrap().starts_with("failed: "));
}

#[test]
fn all_faults_of_a_playbook_are_told_at_once() {
    let steps = json!([
        {"say": ""},
        {"ask": {"dtmf": ["12"], "digits": {}}, "saveAs": "from"},
        {"ask": {"dtmf": ["12"], "surprise": 1}, "timeout": 0},
        {"branch": {"on": "nobody", "cases": {"a/b": [{"dance": 1}]}}},
        {"wait": 1e9},
        {"transfer": {}},
        {"record": {"x": "{unknown}"}},
        {"say": "x", "loud": true},
        7
    ]);
    let faults = Playbook::parse(&steps).unwrap_err();
    let seen: Vec<(&str, &str)> =
        faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
    assert_eq!(
        seen,
        [
            ("/0/say", "length"),
            ("/1/ask", "invalid"),
            ("/1/ask", "missing_field"),
            ("/1/saveAs", "invalid"),
            ("/2/ask/surprise", "unknown_field"),
            ("/2/ask/dtmf/0", "invalid"),
            ("/2/timeout", "invalid"),
            ("/3/branch/cases/a~1b/0", "missing_field"),
            ("/4/wait", "invalid"),
            ("/5/transfer/target", "invalid"),
            ("/7/loud", "unknown_field"),
            ("/8", "invalid"),
            ("/3/branch/on", "invalid"),
            ("/6/record/x", "invalid"),
        ]
    );
}

#[test]
fn bounds_of_a_playbook() {
    let mut deep = json!([{"say": "x"}]);
    for _ in 0..8 {
        deep = json!([{"branch": {"on": "to", "cases": {"a": deep}}}]);
    }
    let many: Vec<Value> = (0..201).map(|_| json!({"say": "x"})).collect();
    let cases = [
        (deep, "too_deep"),
        (json!(many), "too_many"),
        (json!([{"say": "x".repeat(2001)}]), "length"),
        (json!([]), "missing_field"),
        (json!("say"), "invalid"),
        (json!({"script": []}), "unknown_field"),
    ];
    for (steps, code) in cases {
        let faults = Playbook::parse(&steps).unwrap_err();
        assert_eq!(faults[0].code, code, "{faults:?}");
    }
    assert!(Playbook::parse(&json!(many[..200])).is_ok());
}

#[test]
fn both_spellings_and_inner_fields_are_read() {
    let one = json!([{"ask": {"digits": {"max": 3, "finish_key": "#"}, "save_as": "x", "read_back": true}},
        {"send_dtmf": "{x}"}, {"hang_up": {"reason": "done"}}, {"leave_voicemail": "Hi"}]);
    let two = json!([{"ask": {"digits": {"max": 3, "finishKey": "#"}}, "saveAs": "x", "readBack": true},
        {"sendDtmf": {"digits": "{x}"}}, {"hangup": {"reason": "done"}}, {"leaveVoicemail": {"message": "Hi"}}]);
    let one = Playbook::parse(&one).unwrap();
    assert_eq!(Ok(&one), Playbook::parse(&two).as_ref());
    assert_eq!(one.tools(), ["hang_up", "leave_voicemail", "send_dtmf"]);
    let example = Playbook::parse(&example()).unwrap();
    assert_eq!(example.targets(), ["desk"]);
    assert_eq!(example.phrases("en"), Vec::<String>::new());
    let words =
        json!([{"ask": {"phrases": ["tea"]}}, {"ask": {"phrases": ["milk"], "dtmf": ["1"]}}]);
    let words = Playbook::parse(&words).unwrap();
    assert!(words.needs_words() && !example.needs_words() && !words.wants_dictation());
    assert!(words.phrases("de").contains(&"ja".to_owned()));
}

#[test]
fn the_fuzz_entry_runs_a_playbook() {
    fuzz_playbook(example().to_string().as_bytes());
    fuzz_playbook(b"[{\"say\": \"a\"}, {\"repeat\": {\"times\": 3, \"from\": \"start\"}}]");
    fuzz_playbook(b"[]");
}

#[tokio::test]
async fn the_task_answers_and_ends() {
    let playbook = Playbook::parse(&example()).unwrap();
    let mut brain = spawn(playbook, &BrainContext::default());
    let ask = BrainInput::Ask { turn: TurnId(1), prompt: Prompt::Begin, speculative: false };
    brain.inputs.send(ask).await.unwrap();
    assert!(matches!(brain.outputs.recv().await, Some(BrainOutput::Say { .. })));
    assert!(matches!(brain.outputs.recv().await, Some(BrainOutput::Expect(..))));
    assert_eq!(brain.outputs.recv().await, Some(BrainOutput::Done(TurnId(1))));
    brain.inputs.send(BrainInput::Stop).await.unwrap();
    brain.task.await.unwrap();
}

/// The examples of the documentation of one kind.
fn documented(kind: &str) -> Vec<&'static str> {
    let fence = format!("```{kind}\n");
    let page = include_str!("../../../../docs/playbook.md");
    page.split(fence.as_str()).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_of_the_documentation_is_accepted() {
    let examples = documented("json steps");
    assert_eq!(examples.len(), 3);
    for text in examples {
        let script: Value = serde_json::from_str(text).unwrap();
        Playbook::parse(&script).expect(text);
        fuzz_playbook(text.as_bytes());
    }
}

fn compiled(text: &str) -> Result<Playbook, GrammarFault> {
    compile(&[text.to_owned()], "en")
}

#[test]
fn the_tiny_grammar_is_a_playbook() {
    let playbook = compiled(documented("instructions")[0]).unwrap();
    assert_eq!(playbook.targets(), ["desk"]);
    let talk = || {
        let script = Script::new(playbook.clone(), &BrainContext::default());
        let mut talk = Talk { script, turn: 0 };
        assert!(talk.begin()[1].starts_with("Can you come on Tuesday at nine? Please say yes"));
        talk
    };
    let record = "record_result{\"comes\":\"yes\"}".to_owned();
    let thanks = "Thank you, we will see you then.".to_owned();
    assert_eq!(talk().press("1"), [thanks.clone(), record.clone()]);
    assert_eq!(talk().speak("Yes, please!", false), [thanks, record]);
    assert_eq!(talk().speak("no", false)[1], "transfer{\"target\":\"desk\"}");
    let mut silent = talk();
    silent.silence();
    assert_eq!(silent.silence(), ["We will call again.", "record_result{\"comes\":null}"]);
    let voicemail = shown(&talk().ask(Prompt::Voicemail));
    assert_eq!(voicemail, ["!Please call the practice back.", "."]);
}

#[test]
fn free_text_is_refused_and_not_guessed() {
    let cases = [
        ("You are a friendly assistant.", 0),
        ("Say: Hello.\nThen ask for the name.", 1),
        ("If yes: Say: x", 0),
        ("Ask: Well?\nIf yes: be nice", 1),
        ("Record: x", 0),
        ("Say:", 0),
        ("Voicemail: a\nVoicemail: b", 1),
        ("", 0),
    ];
    for (text, line) in cases {
        let fault = compiled(text).expect_err(text);
        assert_eq!(fault.line, line, "{fault}");
    }
}

/// Any list of steps that may or may not be a playbook.
fn any_steps() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(json!({"say": "Hello {a}."})),
        Just(
            json!({"ask": {"dtmf": ["1"], "phrases": ["yes", "no"]}, "saveAs": "a", "retries": 1})
        ),
        Just(json!({"ask": {"speech": true}, "saveAs": "a"})),
        Just(json!({"ask": {"digits": {"max": 2}}, "text": "Code?", "saveAs": "a"})),
        (0_u32..11).prop_map(|times| json!({"repeat": times})),
        (0_u32..11).prop_map(|times| json!({"repeat": {"times": times, "from": "start"}})),
        Just(json!({"record": {"x": "{a}"}})),
        Just(json!({"transfer": "desk"})),
        Just(json!({"sendDtmf": "{a}"})),
        Just(json!({"wait": 1})),
        Just(json!({"leaveVoicemail": "Bye."})),
        Just(json!({"hangup": {}})),
    ];
    let step = leaf.prop_recursive(3, 24, 4, |inner| {
        let list = proptest::collection::vec(inner, 0..4);
        (list.clone(), list).prop_map(
            |(one, other)| json!({"branch": {"on": "a", "cases": {"1": one}, "otherwise": other}}),
        )
    });
    proptest::collection::vec(step, 1..8).prop_map(Value::from)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn every_turn_of_every_playbook_ends(steps in any_steps()) {
        if let Ok(playbook) = Playbook::parse(&steps) {
            machine::exercise(playbook);
        }
    }
}
