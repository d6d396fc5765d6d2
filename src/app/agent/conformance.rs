//! One set of cases that every brain with a server passes: chat, harness and both speech models.
//!
//! A case is what a server does; the table says what the leg must see of it, whatever protocol
//! lies between. What a protocol has beside it (retries, tools, truncation) is tested there.

use super::chat::{self, ChatSpec};
use super::harness::{self, HarnessSpec};
use super::interface::{BrainContext, BrainHandle, BrainInput, BrainOutput, ToolDecl};
use super::live::{self, LiveHandle, LiveInput, LiveKind, LiveOutput, LiveSpec};
use super::loopback::{Loopback, Peer, Reply, Sockets};
use crate::net::http::HttpClient;
use crate::speech::{base64, key::ApiKey};
use crate::turn::interface::{Prompt, Said, TurnId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    /// Answers with these words.
    Answers,
    /// Answers after a while.
    SlowFirstByte,
    /// Refuses the key.
    RefusesKey,
    /// Is busy once, then answers.
    BusyOnce,
    /// Accepts and says nothing.
    Silent,
    /// Begins to answer and says nothing more.
    Stalls,
    /// Begins to answer and closes the connection.
    BreaksOff,
    /// Begins to answer and reports an error.
    ReportsError,
    /// Sends what is no message of the protocol among those that are.
    TalksNonsense,
    /// Calls a tool, with arguments in two pieces where the protocol has pieces.
    CallsTool,
}

/// What the leg sees.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sees {
    /// Words or sound, and the end of the turn.
    Answer,
    /// No answer, and that later ones would fail, too.
    Fatal,
    /// No answer, at least not now.
    Failure,
    /// The beginning of an answer, then a failure.
    AnswerThenFailure,
    /// A call of the tool with its arguments.
    ToolCall,
}

/// The one table. Speech sessions cannot be repaired, so `Failure` may be fatal there.
const TABLE: [(Case, Sees); 10] = [
    (Case::Answers, Sees::Answer),
    (Case::SlowFirstByte, Sees::Answer),
    (Case::RefusesKey, Sees::Fatal),
    (Case::BusyOnce, Sees::Answer),
    (Case::Silent, Sees::Failure),
    (Case::Stalls, Sees::AnswerThenFailure),
    (Case::BreaksOff, Sees::AnswerThenFailure),
    (Case::ReportsError, Sees::AnswerThenFailure),
    (Case::TalksNonsense, Sees::Answer),
    (Case::CallsTool, Sees::ToolCall),
];

/// How long a brain waits: short where waiting is the case, longer than any test elsewhere.
fn patience(case: Case) -> Duration {
    match case {
        Case::Silent => Duration::from_millis(700),
        Case::Stalls => Duration::from_secs(1),
        _ => Duration::from_secs(10),
    }
}

const WORDS: &str = "This is the first sentence of it. ";

fn context() -> BrainContext {
    BrainContext {
        instructions: vec!["Be brief.".to_owned()],
        tools: vec![ToolDecl {
            name: "wait".to_owned(),
            description: "Wait.".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        ..BrainContext::default()
    }
}

/// Folds what a brain puts out into what the leg sees.
#[derive(Debug, Default)]
struct Watch {
    begun: bool,
}

impl Watch {
    fn text(&mut self, output: &BrainOutput) -> Option<Sees> {
        match output {
            BrainOutput::Say { text, .. } => {
                assert_eq!(text, WORDS.trim());
                self.begun = true;
                None
            }
            BrainOutput::Tool(_, call) => {
                assert_eq!((call.name.as_str(), &call.arguments), ("wait", &json!({"seconds": 1})));
                Some(Sees::ToolCall)
            }
            BrainOutput::Done(_) => Some(Sees::Answer),
            BrainOutput::Failed { fatal, .. } => Some(self.failed(*fatal)),
            _ => None,
        }
    }

    fn speech(&mut self, output: &LiveOutput) -> Option<Sees> {
        match output {
            LiveOutput::Audio { samples, .. } => {
                assert_eq!(samples.len(), 160);
                self.begun = true;
                None
            }
            LiveOutput::Tool(call) => {
                assert_eq!((call.name.as_str(), &call.arguments), ("wait", &json!({"seconds": 1})));
                Some(Sees::ToolCall)
            }
            LiveOutput::TurnDone => Some(Sees::Answer),
            LiveOutput::Failed { fatal, .. } => Some(self.failed(*fatal)),
            _ => None,
        }
    }

    fn failed(&self, fatal: bool) -> Sees {
        match (self.begun, fatal) {
            (true, _) => Sees::AnswerThenFailure,
            (false, true) => Sees::Fatal,
            (false, false) => Sees::Failure,
        }
    }
}

async fn ask(brain: &BrainHandle) {
    let prompt = Prompt::Said(Said { text: "Hello".to_owned(), ..Said::default() });
    let ask = BrainInput::Ask { turn: TurnId(1), prompt, speculative: false };
    brain.inputs.send(ask).await.unwrap();
}

async fn see_text(mut brain: BrainHandle) -> Sees {
    let mut watch = Watch::default();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), brain.outputs.recv()).await;
        let output = next.expect("an output in time").expect("a living brain");
        if let Some(seen) = watch.text(&output) {
            return seen;
        }
    }
}

async fn see_speech(mut brain: LiveHandle) -> Sees {
    let mut watch = Watch::default();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), brain.outputs.recv()).await;
        let output = next.expect("an output in time").expect("a living brain");
        if let Some(seen) = watch.speech(&output) {
            return seen;
        }
    }
}

/// Chat completions.
async fn chat(case: Case) -> Sees {
    let chunk = |delta: Value, finish: Option<&str>| {
        let chunk = json!({"choices": [{"delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\r\n\r\n")
    };
    let words = chunk(json!({"content": WORDS}), None);
    let end = format!("{}data: [DONE]\n\n", chunk(json!({}), Some("stop")));
    let (begun, whole) = (words.as_bytes(), [words.as_bytes(), end.as_bytes()].concat());
    // Cut within letters, lines and events.
    let pieces: Vec<&[u8]> = whole.chunks(7).collect();
    let answer = Reply::events(&pieces).ended();
    let gate = Arc::new(Notify::new());
    let call = |arguments: &str, first: bool| {
        let name = if first { json!("wait") } else { Value::Null };
        let call =
            json!({"index": 0, "id": "c1", "function": {"name": name, "arguments": arguments}});
        chunk(json!({"tool_calls": [call]}), None)
    };
    let replies = match case {
        Case::Answers => vec![answer],
        Case::SlowFirstByte => vec![Reply::gated(&gate, answer)],
        Case::RefusesKey => vec![Reply::status(401, "")],
        Case::BusyOnce => vec![Reply::status(429, "Retry-After: 0\r\n"), answer],
        Case::Silent => vec![Reply::stall()],
        Case::Stalls => vec![Reply::events(&[begun]).stalled()],
        Case::BreaksOff => vec![Reply::events(&[begun])],
        Case::ReportsError => {
            vec![Reply::events(&[begun, b"data: {\"error\":{\"message\":\"x\"}}\n\n"]).ended()]
        }
        Case::TalksNonsense => {
            let noise = b": comment\nretry: 1\nwhat: ever\n\ndata: {\"choices\":[],\"x\":1}\n\n";
            vec![Reply::events(&[noise, &whole]).ended()]
        }
        Case::CallsTool => {
            let (one, two) = (call("{\"sec", true), call("onds\":1}", false));
            vec![Reply::events(&[one.as_bytes(), two.as_bytes(), end.as_bytes()]).ended()]
        }
    };
    let server = Loopback::start(replies).await;
    let spec = ChatSpec {
        url: server.url(),
        key: Some(ApiKey::new("k1")),
        model: "m".to_owned(),
        first_token: patience(case),
        idle: patience(case),
        ..ChatSpec::default()
    };
    let brain = chat::spawn(spec, context(), HttpClient::new());
    ask(&brain).await;
    gate.notify_one();
    let seen = see_text(brain).await;
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer k1"));
    seen
}

/// The user's own brain.
async fn harness(case: Case) -> Sees {
    let sockets = Sockets::start().await;
    let spec = HarnessSpec {
        key: Some(ApiKey::new("k1")),
        first_message: patience(case),
        idle: patience(case),
        ..HarnessSpec::new(&sockets.url())
    };
    let brain = harness::spawn(spec, context());
    ask(&brain).await;
    match case {
        Case::RefusesKey => sockets.refuse(401).await,
        _ => {
            if case == Case::BusyOnce {
                sockets.refuse(503).await;
            }
            let mut peer = sockets.accept().await;
            assert_eq!(peer.header("authorization"), Some("Bearer k1"));
            peer.expect("turn").await;
            return tokio::join!(see_text(brain), harness_server(case, peer)).0;
        }
    }
    see_text(brain).await
}

async fn harness_server(case: Case, mut peer: Peer) -> Option<Peer> {
    let say = json!({"type": "say", "turn": 1, "text": WORDS});
    let done = json!({"type": "done", "turn": 1});
    match case {
        Case::Answers | Case::BusyOnce | Case::RefusesKey => {
            peer.send(&say).await;
            peer.send(&done).await;
        }
        Case::SlowFirstByte => {
            tokio::task::yield_now().await;
            for piece in WORDS.split_inclusive(' ') {
                peer.send(&json!({"type": "token", "turn": 1, "text": piece})).await;
            }
            peer.send(&done).await;
        }
        Case::Silent => {}
        Case::Stalls => peer.send(&say).await,
        Case::BreaksOff => {
            peer.send(&say).await;
            peer.close().await;
            return None;
        }
        Case::ReportsError => {
            peer.send(&say).await;
            peer.send(&json!({"type": "failed", "turn": 1})).await;
        }
        Case::TalksNonsense => {
            peer.send_text("{").await;
            peer.send_binary(&[0]).await;
            peer.send(&json!({"type": "later"})).await;
            peer.send(&say).await;
            peer.send(&done).await;
        }
        Case::CallsTool => {
            let arguments = json!({"seconds": 1});
            let tool = json!({"type": "tool", "turn": 1, "id": "c1", "name": "wait", "arguments": arguments});
            peer.send(&tool).await;
        }
    }
    Some(peer)
}

/// Both speech models.
async fn speech(kind: LiveKind, case: Case) -> Sees {
    let sockets = Sockets::start().await;
    let spec = LiveSpec {
        url: sockets.url(),
        key: Some(ApiKey::new("k1")),
        delegate: Some("m2".to_owned()),
        ready: if case == Case::Silent { patience(case) } else { Duration::from_secs(10) },
        idle: patience(case),
        ..LiveSpec::new(kind)
    };
    let brain = live::spawn(spec, context());
    let sound = LiveInput::Audio { position: 0, samples: vec![0; 160] };
    brain.inputs.send(sound).await.unwrap();
    if case == Case::RefusesKey {
        sockets.refuse(401).await;
        return see_speech(brain).await;
    }
    if case == Case::BusyOnce {
        sockets.refuse(429).await;
    }
    let mut peer = sockets.accept().await;
    assert_eq!(peer.header("authorization"), Some("Bearer k1"));
    let server = async {
        match kind {
            LiveKind::Realtime => peer.expect("session.update").await,
            LiveKind::GptLive => peer.expect("session.start").await,
        };
        speech_server(kind, case, peer).await
    };
    tokio::join!(see_speech(brain), server).0
}

async fn speech_server(kind: LiveKind, case: Case, mut peer: Peer) -> Option<Peer> {
    let real = kind == LiveKind::Realtime;
    let delta = base64::encode(&[0xff; 160]);
    let (ready, begin, sound, end) = if real {
        (
            json!({"type": "session.updated"}),
            json!({"type": "response.created"}),
            json!({"type": "response.output_audio.delta", "item_id": "i", "delta": delta}),
            json!({"type": "response.done", "response": {"status": "completed"}}),
        )
    } else {
        (
            json!({"type": "session.started"}),
            json!({"type": "session.output_transcript.delta", "delta": "Hi"}),
            json!({"type": "session.output_audio.delta", "delta": delta}),
            json!({"type": "session.input_transcript.delta", "delta": "Yes"}),
        )
    };
    if case == Case::Silent {
        return Some(peer);
    }
    if case == Case::TalksNonsense {
        peer.send(&json!({"type": "from.the.future"})).await;
    }
    peer.send(&ready).await;
    if case == Case::CallsTool {
        let call = json!({"type": "function_call", "call_id": "c1", "name": "wait",
            "arguments": "{\"seconds\":1}"});
        let done = json!({"type": "response.output_item.done", "item": call});
        let wrapped = json!({"type": "response.event", "event": done});
        peer.send(if real { &done } else { &wrapped }).await;
        return Some(peer);
    }
    if case == Case::TalksNonsense {
        peer.send_text("{").await;
        peer.send_binary(&[0]).await;
    }
    peer.send(&begin).await;
    peer.send(&sound).await;
    match case {
        Case::Stalls => {}
        Case::BreaksOff => {
            peer.close().await;
            return None;
        }
        Case::ReportsError => {
            peer.send(&json!({"type": "error", "error": {"message": "x"}})).await;
        }
        _ => peer.send(&end).await,
    }
    Some(peer)
}

#[tokio::test]
async fn chat_conforms() {
    for (case, expected) in TABLE {
        assert_eq!(chat(case).await, expected, "{case:?}");
    }
}

#[tokio::test]
async fn harness_conforms() {
    for (case, expected) in TABLE {
        assert_eq!(harness(case).await, expected, "{case:?}");
    }
}

#[tokio::test]
async fn realtime_conforms() {
    for (case, expected) in TABLE {
        let expected = if case == Case::Silent { Sees::Fatal } else { expected };
        assert_eq!(speech(LiveKind::Realtime, case).await, expected, "{case:?}");
    }
}

#[tokio::test]
async fn gpt_live_conforms() {
    for (case, expected) in TABLE {
        // A continuous stream has no end that could be missing: its silence is the model's.
        if case == Case::Stalls {
            continue;
        }
        let expected = if case == Case::Silent { Sees::Fatal } else { expected };
        assert_eq!(speech(LiveKind::GptLive, case).await, expected, "{case:?}");
    }
}
