use super::wire::{self, Message};
use super::*;
use crate::app::agent::interface::{BrainInput, BrainOutput, ToolDecl};
use crate::app::agent::loopback::{Peer, Sockets};
use crate::turn::interface::{Expect, Line, Prompt, Said, Speaker, TurnId};
use serde_json::{Value, json};

fn context() -> BrainContext {
    BrainContext {
        call_id: "call_1".to_owned(),
        direction: "outbound".to_owned(),
        from: Some("+4930111".to_owned()),
        identity: None,
        to: "+4930222".to_owned(),
        instructions: vec!["Confirm the appointment.".to_owned()],
        language: "en".to_owned(),
        tools: vec![ToolDecl {
            name: "hang_up".to_owned(),
            description: "End the call.".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        result_schema: Some(json!({"type": "object"})),
        metadata: json!({"order": "42"}).as_object().unwrap().clone(),
        model: None,
    }
}

fn said(text: &str) -> Prompt {
    Prompt::Said(Said {
        text: text.to_owned(),
        started: Duration::from_millis(4100),
        ended: Duration::from_millis(5300),
        confidence: Some(0.5),
        ..Said::default()
    })
}

fn line(text: &str) -> Line {
    Line {
        turn: TurnId(2),
        speaker: Speaker::Agent,
        text: text.to_owned(),
        digits: String::new(),
        started: Duration::from_secs(6),
        ended: Duration::from_millis(6900),
        interrupted: true,
    }
}

/// The examples of the documentation from one side.
fn examples(side: &str) -> Vec<Value> {
    let page = include_str!("../../../../docs/harness.md");
    let fence = format!("```json {side}\n");
    let blocks = page.split(&fence).skip(1);
    let texts = blocks.map(|block| block.split("```").next().unwrap());
    texts.map(|text| serde_json::from_str(text).expect(text)).collect()
}

#[test]
fn the_documentation_shows_what_is_sent() {
    let turn = |number, prompt, speculative| wire::turn(TurnId(number), &prompt, speculative);
    let ours = [
        wire::start(&context(), false, std::iter::empty()),
        turn(2, said("Tuesday is fine"), true),
        turn(1, Prompt::Begin, false),
        turn(3, Prompt::NoAnswer(1), false),
        turn(4, Prompt::Voicemail, false),
        wire::confirm(TurnId(2)),
        wire::abandon(TurnId(2)),
        wire::line(&line("Then I will see")),
        wire::tool_result(TurnId(2), "t1", &json!({"ok": true})),
        wire::stop(),
    ];
    let ours: Vec<Value> = ours.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(examples("gateway"), ours);
}

#[test]
fn start_tells_who_calls_if_the_network_says_anything() {
    let caller = crate::call::identity::CallIdentity::example();
    let identity = Some(Box::new(caller.clone()));
    let start = wire::start(&BrainContext { identity, ..context() }, false, std::iter::empty());
    let start: Value = serde_json::from_str(&start).unwrap();
    assert_eq!(start["identity"], json!(caller));
    let start = wire::start(&context(), false, std::iter::empty());
    assert!(!start.contains("identity"), "{start}");
}

#[test]
fn the_documentation_shows_what_is_understood() {
    let turn = TurnId(2);
    let expected = [
        Message::Say {
            turn,
            text: "Good. Then I will see you on Tuesday.".to_owned(),
            interruptible: true,
        },
        Message::Token { turn, text: "Good. Then I wi".to_owned() },
        Message::Expect {
            turn,
            expect: Expect {
                digits: Some(crate::turn::interface::DigitRule {
                    allowed: "12".to_owned(),
                    min: 1,
                    max: 1,
                    finish: None,
                }),
                phrases: vec!["yes".to_owned(), "no".to_owned()],
                timeout: Some(Duration::from_secs(8)),
                ..Expect::default()
            },
        },
        Message::Tool {
            turn,
            call: crate::app::agent::interface::ToolCall {
                id: "t1".to_owned(),
                name: "record_result".to_owned(),
                arguments: json!({"day": "Tuesday"}),
            },
        },
        Message::Done { turn },
        Message::Failed { turn, detail: "my database is gone".to_owned(), fatal: false },
        Message::Usage { input: 900, output: 40 },
        Message::Summary { text: "The appointment was moved to Tuesday.".to_owned() },
    ];
    let examples = examples("brain");
    assert_eq!(examples.len(), expected.len());
    for (example, expected) in examples.iter().zip(expected) {
        assert_eq!(wire::read(&example.to_string()), Ok(expected), "{example}");
    }
}

#[test]
fn foreign_messages_are_bounded() {
    let long = "x".repeat(4001);
    let refused = [
        "{".to_owned(),
        "[]".to_owned(),
        json!({"type": "say", "text": "no turn"}).to_string(),
        json!({"type": "say", "turn": -1, "text": "x"}).to_string(),
        json!({"type": "say", "turn": 1, "text": long}).to_string(),
        json!({"type": "tool", "turn": 1, "name": "x"}).to_string(),
        json!({"type": "tool", "turn": 1, "id": "", "name": "x"}).to_string(),
        json!({"type": "tool", "turn": 1, "id": "a", "name": "x", "arguments": "y".repeat(70_000)})
            .to_string(),
        json!({"type": "expect", "turn": 1, "digits": {"max": 99}}).to_string(),
        json!({"type": "expect", "turn": 1, "digits": {"allowed": "é"}}).to_string(),
        json!({"type": "expect", "turn": 1, "phrases": vec!["x"; 65]}).to_string(),
        format!("{{\"type\":\"later\",\"pad\":\"{}\"}}", "x".repeat(300_000)),
    ];
    for text in refused {
        assert!(wire::read(&text).is_err(), "{}", &text[..text.len().min(80)]);
    }
    assert_eq!(wire::read(r#"{"type":"later","x":1}"#), Ok(Message::Unknown));
}

/// A brain and the server that it talks to.
struct Rig {
    sockets: Sockets,
    brain: BrainHandle,
}

impl Rig {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut HarnessSpec)) -> Self {
        let sockets = Sockets::start().await;
        let mut spec = HarnessSpec::new(&sockets.url());
        spec.key = Some(ApiKey::new("k1"));
        change(&mut spec);
        Self { brain: spawn(spec, context()), sockets }
    }

    async fn ask(&mut self, turn: u64, prompt: Prompt, speculative: bool) {
        self.send(BrainInput::Ask { turn: TurnId(turn), prompt, speculative }).await;
    }

    async fn send(&mut self, input: BrainInput) {
        self.brain.inputs.send(input).await.unwrap();
    }

    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(10), self.brain.outputs.recv());
        match next.await.expect("an output in time").expect("a living brain") {
            BrainOutput::Token(turn) => format!("token {}", turn.0),
            BrainOutput::Say { text, interruptible: true, .. } => text,
            BrainOutput::Say { text, .. } => format!("!{text}"),
            BrainOutput::Done(turn) => format!("done {}", turn.0),
            BrainOutput::Tool(_, call) => format!("{}{}", call.name, call.arguments),
            BrainOutput::Failed { fatal: true, .. } => "fatal".to_owned(),
            BrainOutput::Failed { detail, .. } => format!("failed: {detail}"),
            other => format!("{other:?}"),
        }
    }

    async fn peer(&self) -> Peer {
        let mut peer = self.sockets.accept().await;
        assert_eq!(peer.header("authorization"), Some("Bearer k1"));
        peer.expect("start").await;
        peer
    }
}

#[tokio::test]
async fn a_turn_is_told_and_its_words_are_said() {
    let mut rig = Rig::start().await;
    let mut peer = rig.peer().await;
    rig.ask(1, Prompt::Begin, false).await;
    assert_eq!(peer.expect("turn").await["prompt"]["kind"], "begin");
    for token in ["Good morning, **this** is the pr", "actice. What can I ", "do?"] {
        peer.send(&json!({"type": "token", "turn": 1, "text": token})).await;
    }
    peer.send(&json!({"type": "later", "what": 1})).await;
    peer.send(&json!({"type": "say", "turn": 7, "text": "for another turn"})).await;
    peer.send(&json!({"type": "say", "turn": 1, "text": "Mind: this.", "interruptible": false}))
        .await;
    peer.send(&json!({"type": "expect", "turn": 1, "speech": true})).await;
    peer.send(&json!({"type": "done", "turn": 1})).await;
    for expected in [
        "token 1",
        "Good morning, this is the practice.",
        "What can I do?",
        "!Mind: this.",
        &format!("{:?}", BrainOutput::Expect(TurnId(1), Expect::default())),
        "done 1",
    ] {
        assert_eq!(rig.next().await, expected);
    }
    rig.send(BrainInput::Line(line("Good morning"))).await;
    assert_eq!(peer.expect("line").await["text"], "Good morning");
}

#[tokio::test]
async fn tools_wait_for_the_confirmation() {
    let mut rig = Rig::start().await;
    let mut peer = rig.peer().await;
    rig.ask(2, said("Bye"), true).await;
    peer.expect("turn").await;
    peer.send(&json!({"type": "tool", "turn": 2, "id": "t1", "name": "hang_up"})).await;
    assert_eq!(rig.next().await, "token 2");
    rig.send(BrainInput::Confirm(TurnId(2))).await;
    peer.expect("confirm").await;
    assert_eq!(rig.next().await, "hang_up{}");
    let result = json!({"ok": true});
    rig.send(BrainInput::ToolResult { turn: TurnId(2), id: "t1".to_owned(), result }).await;
    assert_eq!(peer.expect("tool_result").await["id"], "t1");
    peer.send(&json!({"type": "done", "turn": 2})).await;
    assert_eq!(rig.next().await, "done 2");
    rig.ask(3, said("x"), true).await;
    rig.send(BrainInput::Abandon(TurnId(3))).await;
    assert_eq!(peer.expect("abandon").await["turn"], 3);
}

#[tokio::test]
async fn a_connection_that_breaks_before_any_word_is_repaired() {
    let mut rig = Rig::start().await;
    let peer = rig.peer().await;
    rig.send(BrainInput::Line(line("Hello"))).await;
    rig.ask(5, said("Hi"), true).await;
    rig.send(BrainInput::Confirm(TurnId(5))).await;
    drop(peer);
    rig.sockets.hang_up().await;
    let mut peer = rig.sockets.accept().await;
    let start = peer.expect("start").await;
    assert_eq!((&start["resumed"], &start["lines"][0]["text"]), (&json!(true), &json!("Hello")));
    assert_eq!(peer.expect("turn").await["speculative"], false);
    peer.send(&json!({"type": "say", "turn": 5, "text": "Here."})).await;
    assert_eq!(rig.next().await, "token 5");
    assert_eq!(rig.next().await, "Here.");
    // Within the words there is nothing to repair; the next turn finds a new connection.
    peer.close().await;
    assert!(rig.next().await.starts_with("failed: "));
    rig.ask(6, said("Hi"), false).await;
    let mut peer = rig.sockets.accept().await;
    peer.expect("turn").await;
    peer.send(&json!({"type": "done", "turn": 6})).await;
    assert_eq!(rig.next().await, "token 6");
    assert_eq!(rig.next().await, "done 6");
}

#[tokio::test]
async fn repairs_are_bounded_and_refusals_are_fatal() {
    let mut rig = Rig::start().await;
    rig.ask(1, said("Hi"), false).await;
    for _ in 0..3 {
        rig.sockets.hang_up().await;
    }
    assert!(rig.next().await.starts_with("failed: "));
    for status in [401, 403, 404] {
        let mut rig = Rig::start().await;
        rig.ask(1, said("Hi"), false).await;
        rig.sockets.refuse(status).await;
        assert_eq!(rig.next().await, "fatal");
        rig.ask(2, said("Hi"), false).await;
        assert_eq!(rig.next().await, "fatal", "no further attempt");
    }
}

#[tokio::test]
async fn a_slow_brain_fails_its_turn_and_hears_of_it() {
    let quick = |spec: &mut HarnessSpec| {
        spec.first_message = Duration::from_millis(300);
        spec.idle = Duration::from_millis(300);
    };
    let mut rig = Rig::with(quick).await;
    let mut peer = rig.peer().await;
    rig.ask(1, said("Hi"), false).await;
    assert!(rig.next().await.contains("in time"));
    assert_eq!(peer.expect("abandon").await["turn"], 1);
    rig.ask(2, said("Hi"), false).await;
    peer.expect("turn").await;
    peer.send(&json!({"type": "token", "turn": 2})).await;
    assert_eq!(rig.next().await, "token 2");
    assert!(rig.next().await.contains("in time"));
    rig.ask(3, said("Hi"), false).await;
    assert_eq!(rig.next().await, "fatal", "three in a row");
}

#[tokio::test]
async fn nonsense_and_endless_talk_are_cut() {
    let mut rig = Rig::start().await;
    let mut peer = rig.peer().await;
    rig.ask(1, said("Hi"), false).await;
    peer.expect("turn").await;
    peer.send_binary(b"\0").await;
    for _ in 0..15 {
        peer.send_text("{nonsense").await;
    }
    let text = "word ".repeat(700);
    for _ in 0..5 {
        peer.send(&json!({"type": "say", "turn": 1, "text": text})).await;
    }
    assert_eq!(rig.next().await, "token 1");
    let mut last = String::new();
    while !last.starts_with("failed: ") {
        last = rig.next().await;
    }
    assert!(last.contains("does not stop talking"), "{last}");
    peer.send_text("{once too often").await;
    assert_eq!(peer.next().await, None, "the connection is closed");
}

#[tokio::test]
async fn stop_takes_a_summary_and_says_goodbye() {
    let mut rig = Rig::start().await;
    let mut peer = rig.peer().await;
    rig.send(BrainInput::Stop).await;
    peer.expect("stop").await;
    peer.send(&json!({"type": "summary", "text": "All\u{7} well."})).await;
    assert_eq!(rig.next().await, format!("{:?}", BrainOutput::Summary("All  well.".to_owned())));
    assert_eq!(peer.next().await, None);
    rig.brain.task.await.unwrap();
}
