use super::codec::{Codec, Heard};
use super::*;
use crate::app::agent::interface::ToolDecl;
use crate::app::agent::loopback::{Peer, Sockets};
use crate::speech::base64;
use serde_json::json;

fn context() -> BrainContext {
    BrainContext {
        instructions: vec!["Ask for the name.".to_owned()],
        language: "de-DE".to_owned(),
        tools: vec![ToolDecl {
            name: "hang_up".to_owned(),
            description: "End the call.".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        ..BrainContext::default()
    }
}

fn spec(kind: LiveKind, sockets: &Sockets) -> LiveSpec {
    LiveSpec {
        url: sockets.url(),
        key: Some(ApiKey::new("k1")),
        voice: Some("marin".to_owned()),
        delegate: Some("m2".to_owned()),
        ready: Duration::from_secs(5),
        ..LiveSpec::new(kind)
    }
}

/// µ-law silence of so many octets.
fn sound(octets: usize) -> String {
    base64::encode(&vec![0xff; octets])
}

struct Rig {
    sockets: Sockets,
    brain: LiveHandle,
}

impl Rig {
    async fn start(kind: LiveKind) -> Self {
        Self::with(kind, |_| {}).await
    }

    async fn with(kind: LiveKind, change: impl FnOnce(&mut LiveSpec)) -> Self {
        let sockets = Sockets::start().await;
        let mut spec = spec(kind, &sockets);
        change(&mut spec);
        Self { brain: spawn(spec, context()), sockets }
    }

    /// Opens a session and gives the server's end with what it was asked for.
    async fn session(&mut self, kind: LiveKind) -> (Peer, Value) {
        let mut peer = self.sockets.accept().await;
        assert_eq!(peer.header("authorization"), Some("Bearer k1"));
        let (ask, ready) = match kind {
            LiveKind::Realtime => ("session.update", "session.updated"),
            LiveKind::GptLive => ("session.start", "session.started"),
        };
        if kind == LiveKind::Realtime {
            peer.send(&json!({"type": "session.created", "session": {}})).await;
        }
        let asked = peer.expect(ask).await;
        peer.send(&json!({"type": ready, "session": {"id": "s1"}})).await;
        assert_eq!(self.next().await, LiveOutput::Ready);
        (peer, asked)
    }

    async fn send(&mut self, input: LiveInput) {
        self.brain.inputs.send(input).await.unwrap();
    }

    async fn next(&mut self) -> LiveOutput {
        let next = tokio::time::timeout(Duration::from_secs(10), self.brain.outputs.recv());
        next.await.expect("an output in time").expect("a living brain")
    }

    async fn fatal(&mut self) -> String {
        loop {
            if let LiveOutput::Failed { detail, fatal: true } = self.next().await {
                return detail;
            }
        }
    }
}

#[tokio::test]
async fn a_realtime_session_is_asked_for_as_documented() {
    let mut rig = Rig::start(LiveKind::Realtime).await;
    let (mut peer, asked) = rig.session(LiveKind::Realtime).await;
    assert_eq!(peer.path, "/brain?model=gpt-realtime");
    let session = &asked["session"];
    assert_eq!(session["type"], "realtime");
    assert_eq!(session["audio"]["input"]["format"], json!({"type": "audio/pcmu"}));
    assert_eq!(session["audio"]["output"]["format"], json!({"type": "audio/pcmu"}));
    assert_eq!(session["audio"]["output"]["voice"], "marin");
    assert_eq!(session["audio"]["input"]["turn_detection"]["type"], "server_vad");
    assert_eq!(session["audio"]["input"]["transcription"]["language"], "de");
    assert_eq!(session["tools"][0]["name"], "hang_up");
    assert!(session["instructions"].as_str().unwrap().ends_with("Ask for the name."));
    peer.expect("response.create").await;
}

#[tokio::test]
async fn sound_goes_straight_through_and_gaps_are_silence() {
    let quiet = |spec: &mut LiveSpec| spec.first_word = false;
    let mut rig = Rig::with(LiveKind::Realtime, quiet).await;
    let (mut peer, _) = rig.session(LiveKind::Realtime).await;
    rig.send(LiveInput::Audio { position: 800, samples: vec![1000, -1000] }).await;
    rig.send(LiveInput::Audio { position: 805, samples: vec![32000] }).await;
    let octets = |message: Value| base64::decode(message["audio"].as_str().unwrap()).unwrap();
    let first = octets(peer.expect("input_audio_buffer.append").await);
    let law = crate::audio::codec::g711::encode_ulaw;
    assert_eq!(first, [law(1000), law(-1000)]);
    let second = octets(peer.expect("input_audio_buffer.append").await);
    assert_eq!(second, [0xff, 0xff, 0xff, law(32000)]);
    peer.send(&json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0})).await;
    assert_eq!(rig.next().await, LiveOutput::SpeechStarted { position: 800 });
    let answer = base64::encode(&[law(500), law(-8)]);
    peer.send(&json!({"type": "response.output_audio.delta", "item_id": "i1", "delta": answer}))
        .await;
    let LiveOutput::Audio { item, samples } = rig.next().await else { panic!() };
    assert_eq!((item.as_str(), samples.len()), ("i1", 2));
    assert!((samples[0] - 500).abs() < 20, "{samples:?}");
}

#[tokio::test]
async fn truncations_are_clamped_to_what_was_received_and_late_sound_is_dropped() {
    let mut rig = Rig::start(LiveKind::Realtime).await;
    let (mut peer, _) = rig.session(LiveKind::Realtime).await;
    peer.send(&json!({"type": "response.created", "response": {}})).await;
    for (item, octets) in [("i1", 1600), ("i2", 807)] {
        let delta = sound(octets);
        peer.send(&json!({"type": "response.output_audio.delta", "item_id": item, "delta": delta}))
            .await;
        assert!(matches!(rig.next().await, LiveOutput::Audio { .. }));
    }
    let truncate =
        |item: &str, audio_end_ms| LiveInput::Truncate { item: item.to_owned(), audio_end_ms };
    rig.send(truncate("i1", 150)).await;
    rig.send(truncate("i2", 5000)).await;
    rig.send(truncate("nobody", 5)).await;
    peer.expect("response.cancel").await;
    let seen = peer.expect("conversation.item.truncate").await;
    let ends = |seen: &Value| (seen["item_id"].clone(), seen["audio_end_ms"].clone());
    assert_eq!((ends(&seen), &seen["content_index"]), ((json!("i1"), json!(150)), &json!(0)));
    let seen = peer.expect("conversation.item.truncate").await;
    assert_eq!(ends(&seen), (json!("i2"), json!(100)));
    let late = json!({"type": "response.output_audio.delta", "item_id": "i2", "delta": sound(8)});
    peer.send(&late).await;
    peer.send(&json!({"type": "response.done", "response": {"status": "cancelled"}})).await;
    assert_eq!(rig.next().await, LiveOutput::TurnDone, "no sound of a truncated item");
}

#[tokio::test]
async fn texts_tools_and_costs_are_told() {
    let mut rig = Rig::start(LiveKind::Realtime).await;
    let (mut peer, _) = rig.session(LiveKind::Realtime).await;
    let transcription = "conversation.item.input_audio_transcription";
    let events = [
        json!({"type": format!("{transcription}.delta"), "delta": "My na"}),
        json!({"type": format!("{transcription}.completed"), "transcript": "My name.\u{7}"}),
        json!({"type": "response.output_audio_transcript.delta", "item_id": "i", "delta": "He"}),
        json!({"type": "response.output_audio_transcript.delta", "item_id": "i", "delta": "llo"}),
        json!({"type": "response.output_audio_transcript.done", "item_id": "i", "transcript": "Hello"}),
        // The name comes with the item, the arguments alone; the item's end repeats both.
        json!({"type": "response.output_item.added",
            "item": {"type": "function_call", "call_id": "c1", "name": "hang_up"}}),
        json!({"type": "response.function_call_arguments.done", "call_id": "c1", "arguments": "{\"a\":1}"}),
        json!({"type": "response.output_item.done", "item": {"type": "function_call",
            "call_id": "c1", "name": "hang_up", "arguments": "{\"a\":1}"}}),
        json!({"type": "response.from_the_future", "x": [1]}),
        json!({"type": "error", "error": {"message": "no active response", "code": "x"}}),
        json!({"type": "response.done",
            "response": {"status": "completed", "usage": {"input_tokens": 5, "output_tokens": 7}}}),
    ];
    for event in events {
        peer.send(&event).await;
    }
    let agent = |text: &str, is_final| LiveOutput::AgentText {
        item: "i".to_owned(),
        text: text.to_owned(),
        is_final,
    };
    let call =
        ToolCall { id: "c1".to_owned(), name: "hang_up".to_owned(), arguments: json!({"a": 1}) };
    let expected = [
        LiveOutput::CallerText { text: "My na".to_owned(), is_final: false },
        LiveOutput::CallerText { text: "My name. ".to_owned(), is_final: true },
        agent("He", false),
        agent("Hello", false),
        agent("Hello", true),
        LiveOutput::Tool(call),
        LiveOutput::Failed {
            detail: "the speech model reports: no active response".to_owned(),
            fatal: false,
        },
        LiveOutput::Usage { input: 5, output: 7, seconds: 0.0 },
        LiveOutput::TurnDone,
    ];
    for expected in expected {
        assert_eq!(rig.next().await, expected);
    }
    rig.send(LiveInput::ToolResult { id: "c1".to_owned(), result: json!({"ok": true}) }).await;
    rig.send(LiveInput::Digits("1x#".to_owned())).await;
    rig.send(LiveInput::Say("Goodbye.".to_owned())).await;
    let item = peer.expect("conversation.item.create").await["item"].clone();
    assert_eq!(item["output"], "{\"ok\":true}");
    peer.expect("response.create").await;
    let item = peer.expect("conversation.item.create").await["item"].clone();
    assert_eq!(
        (&item["role"], &item["content"][0]["text"]),
        (&json!("user"), &json!("[pressed 1#]"))
    );
    peer.expect("response.create").await;
    let say = peer.expect("response.create").await;
    assert!(say["response"]["instructions"].as_str().unwrap().ends_with(": Goodbye."));
    rig.send(LiveInput::Stop).await;
    assert_eq!(peer.next().await, None);
    rig.brain.task.await.unwrap();
}

/// What a codec asks for, without the items: how many answers.
fn asks(messages: &[String]) -> usize {
    messages.iter().filter(|message| message.contains("\"response.create\"")).count()
}

#[test]
fn an_answer_is_asked_for_when_none_is_made_and_all_tools_have_answered() {
    let call = |id: &str| {
        json!({"type": "response.output_item.done", "item": {"type": "function_call",
            "call_id": id, "name": "wait", "arguments": "{}"}})
    };
    let done = |status: &str| json!({"type": "response.done", "response": {"status": status}});
    let replies = |heard: Vec<Heard>| -> Vec<String> {
        let reply = |heard| match heard {
            Heard::Reply(text) => Some(text),
            _ => None,
        };
        heard.into_iter().filter_map(reply).collect()
    };
    for (status, asked) in [("completed", 1), ("cancelled", 0)] {
        let mut codec = Codec::new(&LiveSpec::new(LiveKind::Realtime));
        let read = |codec: &mut Codec, event: Value| codec.read(&event.to_string()).unwrap();
        read(&mut codec, json!({"type": "response.created"}));
        read(&mut codec, call("a"));
        read(&mut codec, call("b"));
        assert_eq!(asks(&codec.tool_result("a", &json!({}))), 0, "an answer is being made");
        assert_eq!(asks(&codec.tool_result("b", &json!({}))), 0);
        assert_eq!(asks(&replies(read(&mut codec, done(status)))), asked, "{status}");
        assert_eq!(asks(&replies(read(&mut codec, done("completed")))), 0, "only once");
        // One of two is quick, the other slow.
        read(&mut codec, json!({"type": "response.created"}));
        read(&mut codec, call("c"));
        read(&mut codec, call("d"));
        assert_eq!(asks(&codec.tool_result("c", &json!({}))), 0);
        assert_eq!(asks(&replies(read(&mut codec, done("completed")))), 0, "d is still out");
        assert_eq!(asks(&codec.digits("1")), 0);
        assert_eq!(asks(&codec.tool_result("d", &json!({}))), 1);
    }
}

#[test]
fn a_stream_without_items_goes_on_after_a_cut() {
    let mut codec = Codec::new(&LiveSpec::new(LiveKind::GptLive));
    let event = json!({"type": "session.output_audio.delta", "delta": sound(8)}).to_string();
    assert_eq!(codec.read(&event).unwrap().len(), 1);
    assert!(codec.truncate("live", 0).is_empty());
    assert_eq!(codec.read(&event).unwrap().len(), 1);
}

#[tokio::test]
async fn gpt_live_is_one_stream_each_way() {
    let mut rig = Rig::start(LiveKind::GptLive).await;
    let (mut peer, asked) = rig.session(LiveKind::GptLive).await;
    assert_eq!(peer.path, "/brain", "no query");
    let session = &asked["session"];
    assert_eq!(session["model"], "gpt-live-1");
    assert_eq!(session["audio"]["format"], json!({"type": "audio/pcmu", "rate": 8000}));
    assert_eq!(session["audio"]["output"]["voice"], "marin");
    let delegation = &session["delegation"];
    assert_eq!(
        (&delegation["type"], &delegation["responses"]["model"]),
        (&json!("responses"), &json!("m2"))
    );
    peer.expect("session.instructions.append").await;
    rig.send(LiveInput::Audio { position: 0, samples: vec![0; 160] }).await;
    peer.expect("session.input_audio.append").await;
    let call =
        json!({"type": "function_call", "call_id": "c1", "name": "hang_up", "arguments": "{}"});
    let events = [
        json!({"type": "session.output_audio.delta", "delta": sound(160)}),
        json!({"type": "session.input_transcript.delta", "delta": "Hi "}),
        json!({"type": "session.input_transcript.delta", "delta": "there"}),
        json!({"type": "session.output_transcript.delta", "delta": "Hello"}),
        json!({"type": "session.input_transcript.delta", "delta": "Bye"}),
        json!({"type": "response.event", "event": {"type": "response.output_item.done", "item": call}}),
        json!({"type": "session.usage.updated", "usage": {"seconds": 2.5}}),
        json!({"type": "session.usage.updated", "usage": {"seconds": 4.0}}),
    ];
    for event in events {
        peer.send(&event).await;
    }
    let caller = |text: &str, is_final| LiveOutput::CallerText { text: text.to_owned(), is_final };
    let agent = |is_final| LiveOutput::AgentText {
        item: "live".to_owned(),
        text: "Hello".to_owned(),
        is_final,
    };
    assert!(matches!(rig.next().await, LiveOutput::Audio { samples, .. } if samples.len() == 160));
    let usage = |seconds| LiveOutput::Usage { input: 0, output: 0, seconds };
    let tool = ToolCall { id: "c1".to_owned(), name: "hang_up".to_owned(), arguments: json!({}) };
    for expected in [
        caller("Hi ", false),
        caller("Hi there", false),
        caller("Hi there", true),
        agent(false),
        agent(true),
        LiveOutput::TurnDone,
        caller("Bye", false),
        LiveOutput::Tool(tool),
        usage(2.5),
        usage(1.5),
    ] {
        assert_eq!(rig.next().await, expected);
    }
    // Nothing is truncated here; the next message after it is the tool's answer.
    rig.send(LiveInput::Truncate { item: "live".to_owned(), audio_end_ms: 1 }).await;
    rig.send(LiveInput::ToolResult { id: "c1".to_owned(), result: json!({"ok": true}) }).await;
    let next = peer.next().await.unwrap();
    assert_eq!(
        (&next["type"], &next["item"]["call_id"]),
        (&json!("response.item.create"), &json!("c1"))
    );
    peer.expect("response.create").await;
    rig.send(LiveInput::Stop).await;
    peer.expect("session.close").await;
    let closed =
        json!({"type": "session.closed", "reason": "close_requested", "usage": {"seconds": 5.0}});
    peer.send(&closed).await;
    assert_eq!(rig.next().await, usage(1.0));
    rig.brain.task.await.unwrap();
}

#[tokio::test]
async fn a_delegation_without_a_backend_is_answered() {
    let alone = |spec: &mut LiveSpec| spec.delegate = None;
    let mut rig = Rig::with(LiveKind::GptLive, alone).await;
    let (mut peer, asked) = rig.session(LiveKind::GptLive).await;
    assert_eq!(asked["session"]["delegation"], json!({"type": "client"}));
    let delegation = json!({"id": "d1", "target": "client"});
    peer.send(&json!({"type": "session.delegation.created", "delegation": delegation})).await;
    let note = peer.expect("session.thinking.append").await;
    assert_eq!(note["delegation_id"], "d1");
}

#[tokio::test]
async fn sessions_that_do_not_open_are_fatal() {
    for kind in [LiveKind::Realtime, LiveKind::GptLive] {
        let mut rig = Rig::start(kind).await;
        rig.sockets.refuse(401).await;
        assert!(rig.fatal().await.contains("401"));
        // A busy server is asked once more.
        let mut rig = Rig::start(kind).await;
        rig.sockets.refuse(429).await;
        let (peer, _) = rig.session(kind).await;
        drop(peer);
        rig.fatal().await;
        let mut rig = Rig::start(kind).await;
        let mut peer = rig.sockets.accept().await;
        peer.send(&json!({"type": "error", "error": {"message": "bad voice"}})).await;
        assert!(rig.fatal().await.contains("bad voice"));
        let hurry = |spec: &mut LiveSpec| spec.ready = Duration::from_millis(300);
        let mut rig = Rig::with(kind, hurry).await;
        let _peer = rig.sockets.accept().await;
        assert!(rig.fatal().await.contains("not ready"));
        rig.brain.task.await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_stalls_is_told_and_the_session_goes_on() {
    let hurry = |spec: &mut LiveSpec| spec.idle = Duration::from_millis(200);
    let mut rig = Rig::with(LiveKind::Realtime, hurry).await;
    let (mut peer, _) = rig.session(LiveKind::Realtime).await;
    peer.send(&json!({"type": "response.created"})).await;
    assert!(matches!(rig.next().await, LiveOutput::Failed { fatal: false, .. }));
    peer.send(&json!({"type": "response.done"})).await;
    assert_eq!(rig.next().await, LiveOutput::TurnDone);
    for _ in 0..17 {
        peer.send_text("{nonsense").await;
    }
    assert!(rig.fatal().await.contains("nonsense"));
}

#[test]
fn gaps_beyond_two_seconds_are_not_filled() {
    let mut codec = Codec::new(&LiveSpec::new(LiveKind::Realtime));
    codec.audio(0, &[0; 160]).unwrap();
    let text = codec.audio(100_000, &[0; 160]).unwrap();
    let message: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(base64::decode(message["audio"].as_str().unwrap()).unwrap().len(), 16_160);
    assert_eq!(codec.audio(100_000, &[0; 160]), None, "what was sent is not sent again");
    let event = json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2040});
    let heard = codec.read(&event.to_string()).unwrap();
    let position = 100_160;
    assert_eq!(heard, [Heard::Output(LiveOutput::SpeechStopped { position })]);
}

#[tokio::test]
async fn events_may_come_in_any_order() {
    let mut rig = Rig::start(LiveKind::Realtime).await;
    let (mut peer, _) = rig.session(LiveKind::Realtime).await;
    let transcription = "conversation.item.input_audio_transcription";
    // The caller's words come after the answer to them, sound after the end of its item, and two
    // items speak in turns.
    let sound = |item: &str, octets| json!({"type": "response.output_audio.delta", "item_id": item, "delta": sound(octets)});
    let events = [
        json!({"type": "response.done"}),
        json!({"type": "response.output_audio.done", "item_id": "i1"}),
        sound("i1", 80),
        sound("i2", 160),
        sound("i1", 80),
        json!({"type": format!("{transcription}.completed"), "transcript": "Hello"}),
        json!({"type": format!("{transcription}.delta"), "delta": "late"}),
        json!({"type": "input_audio_buffer.speech_stopped"}),
        json!({"type": "response.function_call_arguments.done", "call_id": "c1", "arguments": "{}"}),
        json!({"type": "response.output_item.done", "item": {"type": "function_call",
            "call_id": "c1", "name": "hang_up", "arguments": "{}"}}),
    ];
    for event in events {
        peer.send(&event).await;
    }
    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(LiveOutput::Tool(_))) {
        seen.push(rig.next().await);
    }
    let items: Vec<&str> = seen
        .iter()
        .filter_map(|output| match output {
            LiveOutput::Audio { item, .. } => Some(item.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(items, ["i1", "i2", "i1"]);
    assert!(seen.contains(&LiveOutput::CallerText { text: "Hello".to_owned(), is_final: true }));
    let truncate = LiveInput::Truncate { item: "i1".to_owned(), audio_end_ms: 1000 };
    rig.send(truncate).await;
    assert_eq!(peer.expect("conversation.item.truncate").await["audio_end_ms"], 20);
}
