use super::*;
use crate::call::control::Wish;

const CHANNEL: &str = "0199b3c1f00d7cafe0123456789abcde.1";
const CONNECTION: &str = "0199b3c1-f00d-7caf-e012-3456789abcde";

fn plain() -> Talk {
    let mut talk = Talk::new(Protocol::Asterisk, "mulaw", 8000);
    talk.texts();
    talk
}

fn in_json() -> Talk {
    let mut talk = Talk::new(Protocol::AsteriskJson, "mulaw", 8000);
    talk.texts();
    talk
}

/// The name of the mark that was asked for.
fn mark(heard: &[Heard]) -> String {
    match heard {
        [.., Heard::Request(_, request)] => match &**request {
            Request::Mark(name) => name.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn media_start_has_the_format_and_the_best_frame() {
    let told = Talk::new(Protocol::Asterisk, "mulaw", 8000).texts();
    let expected = format!(
        "MEDIA_START connection_id:{CONNECTION} channel:WebSocket/{CONNECTION} \
         channel_id:{CHANNEL} format:ulaw optimal_frame_size:160 ptime:20"
    );
    assert_eq!(told, [expected]);
    let told = Talk::new(Protocol::AsteriskJson, "pcm_s16le", 16_000).told();
    let expected = json!({
        "event": "MEDIA_START", "channel_id": CHANNEL, "connection_id": CONNECTION,
        "channel": format!("WebSocket/{CONNECTION}"), "format": "slin16",
        "optimal_frame_size": 640, "ptime": 20,
        "channel_variables": {
            "MEDIA_WEBSOCKET_CONNECTION_ID": CONNECTION,
            "level": "3", "order": "7\"", "vip": "true",
        },
    });
    assert_eq!(told, [expected]);
    for (format, rate, name) in [("alaw", 8000, "alaw"), ("pcm_s16le", 8000, "slin")] {
        let told = Talk::new(Protocol::AsteriskJson, format, rate).told();
        assert_eq!(told[0]["format"], name);
    }
}

#[test]
fn commands_are_words_or_json() {
    let hangup = Request::Hangup { reason: None, after_playback: false };
    for (command, expected) in [
        ("ANSWER", vec![ask(Request::Wish(Box::new(Wish::Answer)))]),
        ("HANGUP", vec![ask(hangup)]),
        ("FLUSH_MEDIA", vec![ask(clear()), ask(Request::Resume)]),
        ("PAUSE_MEDIA", vec![ask(Request::Pause)]),
        ("CONTINUE_MEDIA", vec![ask(Request::Resume)]),
        ("START_MEDIA_BUFFERING", vec![]),
        ("GET_STATUS", vec![ask(Request::Stats)]),
    ] {
        assert_eq!(plain().text(command), expected);
        assert_eq!(in_json().json(&json!({ "command": command })), expected);
    }
    assert_eq!(refused(&plain().text("hangup")), ["unknown_type"], "case matters");
    assert_eq!(refused(&in_json().text("HANGUP")), ["invalid_message"]);
    assert_eq!(
        refused(&plain().text(&format!("MARK_MEDIA {}", "x".repeat(300)))),
        ["invalid_field"]
    );
}

#[test]
fn marks_and_bulk_transfers_are_told_with_their_ids() {
    let mut talk = plain();
    let name = mark(&talk.text("MARK_MEDIA greeting"));
    talk.mark(&name, false);
    talk.mark(&name, true);
    let heard = talk.text("STOP_MEDIA_BUFFERING");
    assert_eq!(heard[0], ask(Request::UtteranceEnd));
    talk.mark(&mark(&heard), false);
    let heard = talk.text("STOP_MEDIA_BUFFERING file-1");
    talk.mark(&mark(&heard), false);
    let expected = [
        "MEDIA_MARK_PROCESSED greeting",
        "MEDIA_BUFFERING_COMPLETED",
        "MEDIA_BUFFERING_COMPLETED file-1",
    ];
    assert_eq!(talk.texts(), expected, "what was flushed is not told");
    let mut talk = in_json();
    let name = mark(&talk.json(&json!({ "command": "MARK_MEDIA", "correlation_id": "m" })));
    talk.mark(&name, false);
    let expected =
        json!({ "event": "MEDIA_MARK_PROCESSED", "channel_id": CHANNEL, "correlation_id": "m" });
    assert_eq!(talk.told(), [expected]);
}

#[test]
fn the_queue_has_drained_when_nothing_came_behind() {
    let mut talk = plain();
    let first = mark(&talk.text("REPORT_QUEUE_DRAINED"));
    let second = mark(&talk.binary(&[1, 2]));
    talk.mark(&first, false);
    assert_eq!(talk.texts(), Vec::<String>::new());
    talk.mark(&second, false);
    assert_eq!(talk.texts(), ["QUEUE_DRAINED"]);
    assert_eq!(talk.binary(&[1, 2]).len(), 1, "once");
    let third = mark(&talk.text("REPORT_QUEUE_DRAINED"));
    talk.mark(&third, true);
    assert_eq!(talk.texts(), ["QUEUE_DRAINED"], "flushed is drained");
}

#[test]
fn flow_keys_status_and_errors_are_told() {
    let mut talk = plain();
    talk.text("START_MEDIA_BUFFERING");
    talk.text("PAUSE_MEDIA");
    talk.digit('7');
    talk.tell(&Told::Flow { state: "xoff", queued_ms: 18_000 });
    talk.tell(&stats(860));
    talk.tell(&Told::Flow { state: "xon", queued_ms: 16_000 });
    talk.tell(&Told::Error { id: None, code: "conflict", detail: "no".into(), fatal: false });
    let expected = [
        format!("DTMF_END digit:7 channel_id:{CHANNEL}"),
        "MEDIA_XOFF".to_owned(),
        format!(
            "STATUS channel_id:{CHANNEL} queue_length:43 xon_level:800 xoff_level:900 \
             queue_full:true bulk_media:true media_paused:true"
        ),
        "MEDIA_XON".to_owned(),
        format!("ERROR channel_id:{CHANNEL} error_text:conflict: no"),
    ];
    assert_eq!(talk.texts(), expected);
    let mut talk = in_json();
    talk.digit('7');
    talk.tell(&Told::Flow { state: "xoff", queued_ms: 18_000 });
    let told = talk.told();
    assert_eq!(told[0], json!({ "event": "DTMF_END", "channel_id": CHANNEL, "digit": "7" }));
    assert_eq!(told[1], json!({ "event": "MEDIA_XOFF", "channel_id": CHANNEL }));
}

#[test]
fn sound_is_binary_both_ways() {
    let mut talk = plain();
    assert_eq!(talk.binary(&[1, 2, 3]), [audio(&[1, 2, 3])]);
    assert_eq!(talk.frame(&[7; 160], 0), Outgoing::Binary(Bytes::from_static(&[7; 160])));
}
