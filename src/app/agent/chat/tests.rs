use super::*;
use crate::app::agent::interface::{BrainInput, BrainOutput, ToolDecl};
use crate::app::agent::loopback::{Loopback, Reply};
use crate::turn::interface::{Line, Prompt, Said, Speaker, TurnId};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

fn spec(server: &Loopback) -> ChatSpec {
    ChatSpec {
        url: server.url(),
        key: Some(ApiKey::new("k1")),
        model: "m1".to_owned(),
        first_token: Duration::from_secs(10),
        idle: Duration::from_secs(10),
        ..ChatSpec::default()
    }
}

fn context() -> BrainContext {
    let tool = |name: &str| ToolDecl {
        name: name.to_owned(),
        description: "x".to_owned(),
        parameters: json!({"type": "object"}),
    };
    BrainContext {
        instructions: vec!["Ask for the name.".to_owned()],
        tools: vec![tool("hang_up"), tool("lookup")],
        ..BrainContext::default()
    }
}

/// One event of a stream.
fn event(delta: &Value, finish: Option<&str>) -> String {
    let chunk = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    format!("data: {chunk}\n\n")
}

fn words(text: &str) -> String {
    event(&json!({"content": text}), None)
}

fn reply(events: &[String]) -> Reply {
    let pieces: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    Reply::events(&pieces)
}

fn complete(text: &str) -> Reply {
    let usage =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n";
    let done = "data: [DONE]\n\n".to_owned();
    reply(&[words(text), event(&json!({}), Some("stop")), usage.to_owned(), done]).ended()
}

fn calls(list: &Value) -> Reply {
    let done = "data: [DONE]\n\n".to_owned();
    reply(&[event(&json!({"tool_calls": list}), None), event(&json!({}), Some("tool_calls")), done])
        .ended()
}

fn said(text: &str) -> Prompt {
    Prompt::Said(Said { text: text.to_owned(), ..Said::default() })
}

struct Rig {
    server: Loopback,
    brain: BrainHandle,
}

impl Rig {
    async fn start(replies: Vec<Reply>) -> Self {
        Self::with(replies, |_| {}).await
    }

    async fn with(replies: Vec<Reply>, change: impl FnOnce(&mut ChatSpec)) -> Self {
        let server = Loopback::start(replies).await;
        let mut spec = spec(&server);
        change(&mut spec);
        let brain = spawn(spec, context(), HttpClient::new());
        Self { server, brain }
    }

    async fn send(&mut self, input: BrainInput) {
        self.brain.inputs.send(input).await.unwrap();
    }

    async fn ask(&mut self, turn: u64, prompt: Prompt, speculative: bool) {
        self.send(BrainInput::Ask { turn: TurnId(turn), prompt, speculative }).await;
    }

    async fn next(&mut self) -> BrainOutput {
        let next = tokio::time::timeout(Duration::from_secs(10), self.brain.outputs.recv());
        next.await.expect("an output in time").expect("a living brain")
    }

    /// Outputs up to the end of the turn or a tool call, in short.
    async fn turn(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let output = self.next().await;
            let last = matches!(
                output,
                BrainOutput::Done(_) | BrainOutput::Failed { .. } | BrainOutput::Tool(..)
            );
            seen.push(match output {
                BrainOutput::Token(_) => "token".to_owned(),
                BrainOutput::Say { text, .. } => text,
                BrainOutput::Done(turn) => format!("done {}", turn.0),
                BrainOutput::Tool(_, call) => format!("{}{}", call.name, call.arguments),
                BrainOutput::Usage { input, output } => format!("usage {input} {output}"),
                BrainOutput::Failed { fatal: true, .. } => "fatal".to_owned(),
                BrainOutput::Failed { detail, .. } => format!("failed: {detail}"),
                other => format!("{other:?}"),
            });
            if last {
                return seen;
            }
        }
    }

    async fn result(&mut self, turn: u64, id: &str, result: Value) {
        self.send(BrainInput::ToolResult { turn: TurnId(turn), id: id.to_owned(), result }).await;
    }
}

#[tokio::test]
async fn an_answer_is_said_sentence_by_sentence_and_the_request_is_as_documented() {
    let text = "Good morning, this is the practice. **What** is your name?";
    let mut rig = Rig::start(vec![complete(text)]).await;
    rig.ask(1, said("Hello?"), false).await;
    assert_eq!(
        rig.turn().await,
        [
            "token",
            "Good morning, this is the practice.",
            "What is your name?",
            "usage 9 4",
            "done 1"
        ]
    );
    let seen = rig.server.requests().remove(0);
    assert_eq!(seen.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Bearer k1"));
    let body = seen.json();
    assert_eq!((&body["model"], &body["stream"]), (&json!("m1"), &json!(true)));
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(body["messages"][0]["role"], "system");
    assert_eq!(body["messages"][1], json!({"role": "user", "content": "Hello?"}));
    assert_eq!(body["tools"][1]["function"]["name"], "lookup");
}

#[tokio::test]
async fn letters_lines_and_events_may_be_cut_anywhere() {
    let stream = format!("{}data: [DONE]\n\n", words("Größe 😀 ist fünf, sagt er."));
    let octets = stream.as_bytes();
    let pieces: Vec<&[u8]> = octets.chunks(1).collect();
    let mut rig = Rig::start(vec![Reply::events(&pieces).ended()]).await;
    rig.ask(1, said("Wie groß?"), false).await;
    assert_eq!(rig.turn().await, ["token", "Größe 😀 ist fünf, sagt er.", "done 1"]);
}

#[tokio::test]
async fn only_what_was_heard_is_history() {
    let mut rig = Rig::start(vec![complete("Hello there, how are you?"), complete("Yes.")]).await;
    rig.ask(1, Prompt::Begin, false).await;
    rig.turn().await;
    let line = |turn, speaker, text: &str, interrupted| {
        BrainInput::Line(Line {
            turn: TurnId(turn),
            speaker,
            text: text.to_owned(),
            digits: String::new(),
            started: Duration::ZERO,
            ended: Duration::ZERO,
            interrupted,
        })
    };
    rig.send(line(1, Speaker::Agent, "Hello there,", true)).await;
    rig.send(line(2, Speaker::Caller, "What?", false)).await;
    rig.ask(2, said("What?"), false).await;
    rig.turn().await;
    let body = rig.server.requests()[1].json();
    assert_eq!(
        body["messages"].as_array().unwrap()[1..],
        [
            json!({"role": "assistant", "content": "Hello there, [interrupted]"}),
            json!({"role": "user", "content": "What?"})
        ]
    );
}

#[tokio::test]
async fn tools_wait_until_the_turn_is_confirmed_and_their_answers_go_back() {
    let split = json!([{"index": 0, "id": "c1", "type": "function",
        "function": {"name": "lookup", "arguments": "{\"order\":"}},
        {"index": 0, "function": {"arguments": "\"7\"}"}}]);
    let mut rig = Rig::start(vec![calls(&split), complete("It was sent.")]).await;
    rig.ask(1, said("Where is order 7?"), true).await;
    assert_eq!(rig.next().await, BrainOutput::Token(TurnId(1)));
    // Nothing more may come before the turn is the caller's; the answer itself is over by then.
    rig.send(BrainInput::Confirm(TurnId(1))).await;
    assert_eq!(rig.turn().await, ["lookup{\"order\":\"7\"}"]);
    rig.result(9, "c1", json!({"state": "another turn's"})).await;
    rig.result(1, "c1", json!({"state": "sent"})).await;
    rig.result(1, "c1", json!({"state": "twice"})).await;
    let outputs = rig.turn().await;
    assert_eq!(outputs, ["It was sent.", "usage 9 4", "done 1"]);
    let body = rig.server.requests()[1].json();
    let messages = body["messages"].as_array().unwrap();
    let [asked, answer] = &messages[messages.len() - 2..] else { panic!() };
    assert_eq!(asked["tool_calls"][0]["function"]["arguments"], "{\"order\":\"7\"}");
    assert_eq!(asked["content"], Value::Null);
    assert_eq!(answer["tool_call_id"], "c1");
    assert_eq!(answer["content"], "{\"state\":\"sent\"}");
}

#[tokio::test]
async fn an_unconfirmed_turn_calls_no_tool() {
    let call = json!([{"index": 0, "id": "c1", "function": {"name": "hang_up", "arguments": ""}}]);
    let mut rig = Rig::start(vec![calls(&call), complete("Fine.")]).await;
    rig.ask(1, said("Bye"), true).await;
    assert_eq!(rig.next().await, BrainOutput::Token(TurnId(1)));
    rig.send(BrainInput::Abandon(TurnId(1))).await;
    rig.send(BrainInput::Confirm(TurnId(1))).await;
    rig.ask(2, said("Bye for now"), false).await;
    assert_eq!(rig.turn().await, ["token", "Fine.", "usage 9 4", "done 2"]);
}

#[tokio::test]
async fn what_a_tool_did_is_known_though_its_turn_was_abandoned() {
    let call = json!([{"index": 0, "id": "c1", "function": {"name": "lookup", "arguments": "{}"}}]);
    let mut rig = Rig::start(vec![calls(&call), complete("It was sent.")]).await;
    rig.ask(1, said("Where is it?"), false).await;
    assert_eq!(rig.turn().await, ["token", "lookup{}"]);
    rig.send(BrainInput::Abandon(TurnId(1))).await;
    rig.result(1, "c1", json!({"state": "sent"})).await;
    rig.ask(2, said("Well?"), false).await;
    assert_eq!(rig.turn().await[1], "It was sent.");
    let body = rig.server.requests()[1].json();
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "assistant", "tool", "user"]);
}

#[tokio::test]
async fn a_hang_up_that_worked_needs_no_further_words() {
    let call =
        json!([{"index": 0, "id": "c1", "function": {"name": "hang_up", "arguments": "{}"}}]);
    let mut rig = Rig::start(vec![calls(&call)]).await;
    rig.ask(1, said("Bye"), false).await;
    assert_eq!(rig.turn().await, ["token", "hang_up{}"]);
    rig.result(1, "c1", json!({"ok": true})).await;
    assert_eq!(rig.turn().await, ["done 1"]);
    assert_eq!(rig.server.requests().len(), 1);
}

#[tokio::test]
async fn rounds_of_tools_are_bounded() {
    let call = json!([{"index": 0, "id": "c1", "function": {"name": "lookup", "arguments": "{}"}}]);
    let mut rig = Rig::start(vec![calls(&call); 9]).await;
    rig.ask(1, said("Loop"), false).await;
    for _ in 0..7 {
        let outputs = rig.turn().await;
        assert_eq!(outputs.last().unwrap(), "lookup{}");
        rig.result(1, "c1", json!({"error": "again"})).await;
    }
    assert_eq!(rig.turn().await, ["done 1"]);
    let requests = rig.server.requests();
    assert_eq!(requests.len(), 8);
    assert_eq!(requests[7].json()["tool_choice"], "none");
}

#[tokio::test]
async fn an_abandoned_answer_loses_its_connection_at_once() {
    let mut rig =
        Rig::start(vec![reply(&[words("This is a long first sentence, indeed. And")]).stalled()])
            .await;
    rig.ask(1, said("Hello"), true).await;
    assert_eq!(rig.next().await, BrainOutput::Token(TurnId(1)));
    rig.send(BrainInput::Abandon(TurnId(1))).await;
    tokio::time::timeout(Duration::from_secs(5), rig.server.gone(1)).await.expect("cancelled");
}

#[tokio::test]
async fn a_busy_server_is_asked_once_more_and_no_oftener() {
    let busy = || Reply::status(429, "Retry-After: 0\r\n");
    let mut rig = Rig::start(vec![busy(), complete("Here I am, at last.")]).await;
    rig.ask(1, said("Hello"), false).await;
    assert_eq!(rig.turn().await[1], "Here I am, at last.");
    let mut rig = Rig::start(vec![busy(), Reply::status(503, ""), complete("never")]).await;
    rig.ask(1, said("Hello"), false).await;
    let outputs = rig.turn().await;
    assert!(outputs[0].contains("status 503"), "{outputs:?}");
    assert_eq!(rig.server.requests().len(), 2);
    // A wait beyond two seconds is not waited for.
    let mut rig = Rig::start(vec![Reply::status(429, "Retry-After: 30\r\n"), complete("x")]).await;
    rig.ask(1, said("Hello"), false).await;
    assert!(rig.turn().await[0].contains("status 429"));
    assert_eq!(rig.server.requests().len(), 1);
}

#[tokio::test]
async fn a_key_that_is_refused_is_fatal_and_three_failures_are() {
    for status in [401, 403, 404] {
        let mut rig = Rig::start(vec![Reply::status(status, "")]).await;
        rig.ask(1, said("Hello"), false).await;
        assert_eq!(rig.turn().await, ["fatal"]);
    }
    let mut rig = Rig::start(vec![Reply::status(400, ""); 3]).await;
    for turn in 1..=3 {
        rig.ask(turn, said("Hello"), false).await;
        let outputs = rig.turn().await;
        assert_eq!(outputs == ["fatal"], turn == 3, "{outputs:?}");
    }
}

#[tokio::test]
async fn what_was_said_before_a_failure_stays() {
    let first = || words("This is the first sentence here. And this");
    let error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n".to_owned();
    let cases = [
        (reply(&[first(), error]).ended(), "reports: overloaded"),
        (reply(&[first()]).ended(), "broke off before its end"),
        (reply(&[first()]), "broke off"),
        (reply(&[first()]).stalled(), "did not go on"),
        (reply(&[first(), "data: {nonsense\n\n".to_owned()]).ended(), "not JSON"),
    ];
    for (reply, expected) in cases {
        let stalls = expected == "did not go on";
        let idle = Duration::from_millis(if stalls { 300 } else { 10_000 });
        let mut rig = Rig::with(vec![reply], |spec| spec.idle = idle).await;
        rig.ask(1, said("Hello"), false).await;
        let outputs = rig.turn().await;
        assert_eq!(outputs[..2], ["token", "This is the first sentence here."], "{outputs:?}");
        assert!(outputs.len() == 3 && outputs[2].contains(expected), "{outputs:?}");
    }
}

#[tokio::test]
async fn servers_that_do_not_stream_or_do_not_answer() {
    let whole = json!({"choices": [{"message": {"role": "assistant", "content": "All at once."},
        "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    let mut rig = Rig::start(vec![Reply::json(200, &whole)]).await;
    rig.ask(1, said("Hello"), false).await;
    assert_eq!(rig.turn().await, ["token", "All at once.", "usage 1 2", "done 1"]);
    let endless = vec![b'x'; 300_000];
    let cases = [
        (Reply::text(200, "<html>"), "text/plain"),
        (Reply::stall(), "did not go on"),
        (Reply::events(&[b": ping\n\n"]).stalled(), "no token came"),
        (Reply::events(&[b"data: [DONE]\n\n"]).ended(), "answered with nothing"),
        (Reply::events(&[&endless]).ended(), "too long"),
    ];
    for (reply, expected) in cases {
        let quick = |spec: &mut ChatSpec| spec.first_token = Duration::from_millis(500);
        let mut rig = Rig::with(vec![reply], quick).await;
        rig.ask(1, said("Hello"), false).await;
        let outputs = rig.turn().await;
        assert!(outputs.len() == 1 && outputs[0].contains(expected), "{outputs:?}");
    }
}

#[tokio::test]
async fn a_slow_first_byte_is_waited_for() {
    let gate = Arc::new(Notify::new());
    let mut rig = Rig::start(vec![Reply::gated(&gate, complete("Slow but sure."))]).await;
    rig.ask(1, said("Hello"), false).await;
    gate.notify_one();
    assert_eq!(rig.turn().await[1], "Slow but sure.");
}

#[tokio::test]
async fn a_model_that_never_stops_is_cut_off() {
    let long: Vec<String> = (0..200).map(|_| words(&"word ".repeat(20))).collect();
    let mut rig = Rig::start(vec![reply(&long).stalled()]).await;
    rig.ask(1, said("Go on"), false).await;
    let outputs = rig.turn().await;
    assert_eq!(outputs.last().unwrap(), "done 1");
    tokio::time::timeout(Duration::from_secs(5), rig.server.gone(1)).await.expect("cut off");
}

#[tokio::test]
async fn a_summary_is_made_if_it_is_wanted_and_in_time() {
    let line = Line {
        turn: TurnId(1),
        speaker: Speaker::Caller,
        text: "I want [system] tea".to_owned(),
        digits: String::new(),
        started: Duration::ZERO,
        ended: Duration::ZERO,
        interrupted: false,
    };
    let want = |spec: &mut ChatSpec| spec.summary = true;
    let mut rig = Rig::with(vec![complete("They want *tea*.")], want).await;
    rig.send(BrainInput::Line(line.clone())).await;
    rig.send(BrainInput::Stop).await;
    assert!(matches!(rig.next().await, BrainOutput::Usage { .. }));
    assert_eq!(rig.next().await, BrainOutput::Summary("They want tea.".to_owned()));
    rig.brain.task.await.unwrap();
    let body = rig.server.requests()[0].json();
    assert_eq!(body["messages"][1]["role"], "user");
    assert!(body["messages"][1]["content"].as_str().unwrap().contains("(system) tea"));
    // A server that does not answer holds nobody up.
    let mut rig = Rig::with(vec![Reply::stall()], want).await;
    rig.send(BrainInput::Line(line)).await;
    rig.send(BrainInput::Stop).await;
    tokio::time::timeout(STOP_LIMIT, rig.brain.task).await.expect("in time").unwrap();
}

const STOP_LIMIT: Duration = Duration::from_secs(2);
