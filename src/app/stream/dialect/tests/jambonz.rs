use super::*;

fn talk() -> Talk {
    Talk::new(Protocol::Jambonz, "pcm_s16le", 8000)
}

fn play(data: &Value) -> Value {
    json!({ "type": "playAudio", "data": data })
}

#[test]
fn the_preamble_says_what_the_call_is() {
    let told = talk().told();
    let expected = json!({
        "callSid": "0199b3c1-f00d-7caf-e012-3456789abcde",
        "callId": "call_0199b3c1f00d7cafe0123456789abcde",
        "accountSid": "demo",
        "direction": "inbound", "from": "+15550100", "to": "+15550123",
        "callStatus": "in-progress", "sampleRate": 8000, "mixType": "mono",
        "order": "7\"", "level": 3, "vip": true,
    });
    assert_eq!(told, [expected]);
}

#[test]
fn sound_is_binary_both_ways() {
    let mut talk = talk();
    assert_eq!(talk.binary(&[1, 2]), [audio(&[1, 2])]);
    assert_eq!(talk.frame(&[7; 320], 0), Outgoing::Binary(Bytes::from_static(&[7; 320])));
}

#[test]
fn clips_interrupt_or_wait_and_are_told_when_done() {
    let mut talk = talk();
    talk.told();
    let raw = |queue| {
        json!({
            "audioContentType": "raw", "sampleRate": 16_000, "audioContent": "AAE=",
            "id": "a", "queuePlay": queue,
        })
    };
    let clip = [
        ask(Request::Utterance("a".into())),
        configure(LiveFormat::PcmS16Le, 16_000),
        audio(&[0, 1]),
        ask(Request::UtteranceEnd),
    ];
    assert_eq!(talk.json(&play(&raw(true))), clip);
    let heard = talk.json(&play(&raw(false)));
    assert_eq!(heard[0], ask(clear()), "it does not wait");
    assert_eq!(talk.binary(&[1, 2]), [configure(LiveFormat::PcmS16Le, 8000), audio(&[1, 2])]);
    let wave = json!({ "audioContentType": "wave", "audioContent": "UklGRg==", "queuePlay": true });
    let heard = talk.json(&play(&wave));
    assert_eq!(heard[0], ask(Request::Utterance("clip-1".into())));
    assert_eq!(heard[2], audio(b"RIFF"));
    talk.tell(&Told::Playback {
        state: "completed",
        utterance: Some("a".into()),
        played_ms: 1234,
        squeezed_ms: 0,
        discarded_ms: 0,
    });
    let data = json!({
        "id": "a", "playback_seconds": "1", "playback_milliseconds": "1234",
    });
    assert_eq!(talk.told(), [json!({ "type": "playDone", "data": data })]);
}

#[test]
fn marks_are_told_when_played_when_cleared_and_when_made_void() {
    let mut talk = talk();
    talk.told();
    let mark = |name: &str| json!({ "type": "mark", "data": { "name": name } });
    let told = |name: &str, event: &str| json!({ "type": "mark", "data": { "name": name, "event": event } });
    for (name, own) in [("a", "0:a"), ("b", "0:b"), ("c", "0:c")] {
        assert_eq!(talk.json(&mark(name)), [asked(own, Request::Mark(own.to_owned()))]);
    }
    talk.mark("0:a", false);
    talk.mark("0:b", true);
    assert_eq!(talk.told(), [told("a", "playout"), told("b", "cleared")]);
    let heard = talk.json(&json!({ "type": "clearMarks" }));
    assert_eq!(heard, [asked("clearMarks", Request::Ping)]);
    talk.json(&mark("c"));
    talk.tell(&Told::Pong { id: Some(CommandId::Text("clearMarks".into())) });
    assert_eq!(talk.told(), [told("c", "cleared")]);
    talk.mark("0:c", false);
    talk.mark("1:c", false);
    assert_eq!(talk.told(), [told("c", "playout")], "the one of before is told once");
}

#[test]
fn a_mark_that_was_refused_is_not_waited_for() {
    let mut talk = talk();
    talk.told();
    talk.json(&json!({ "type": "mark", "data": { "name": "a" } }));
    let id = Some(CommandId::Text("0:a".into()));
    let (code, detail) = ("too_many_marks", String::new());
    talk.tell(&Told::Error { id, code, detail, fatal: false });
    talk.json(&json!({ "type": "clearMarks" }));
    talk.tell(&Told::Pong { id: Some(CommandId::Text("clearMarks".into())) });
    assert_eq!(talk.told(), Vec::<Value>::new());
}

#[test]
fn kill_disconnect_and_keys() {
    let mut talk = talk();
    talk.told();
    assert_eq!(talk.json(&json!({ "type": "killAudio" })), [ask(clear())]);
    let heard = talk.json(&json!({ "type": "disconnect" }));
    let reason = Some("disconnect".to_owned());
    assert_eq!(heard, [ask(Request::Hangup { reason, after_playback: false })]);
    assert_eq!(talk.json(&json!({ "type": "transcription", "data": {} })), []);
    talk.digit('1');
    assert_eq!(talk.told(), [json!({ "event": "dtmf", "dtmf": "1", "duration": "160" })]);
}

#[test]
fn what_cannot_be_taken_is_refused() {
    let mut talk = talk();
    let raw = |content: Value, rate: u32| {
        play(&json!({ "audioContentType": "raw", "audioContent": content, "sampleRate": rate }))
    };
    for (message, code) in [
        (raw(json!("AAE"), 8000), ""),
        (raw(json!("A"), 8000), "invalid_media"),
        (raw(Value::Null, 8000), "missing_field"),
        (play(&json!({ "audioContentType": "ogg" })), "unsupported_format"),
        (json!({ "type": "mark" }), "missing_field"),
        (json!({ "type": "dance" }), "unknown_type"),
        (json!({ "kind": 1 }), "invalid_message"),
    ] {
        let heard = talk.json(&message);
        if !code.is_empty() {
            assert_eq!(refused(&heard), [code], "{message}");
        }
    }
}
