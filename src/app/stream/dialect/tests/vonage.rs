use super::*;

fn talk() -> Talk {
    Talk::new(Protocol::Vonage, "pcm_s16le", 16_000)
}

#[test]
fn the_first_text_has_the_content_type_and_the_headers() {
    let told = talk().told();
    let expected = json!({
        "event": "websocket:connected",
        "content-type": "audio/l16;rate=16000",
        "uuid": "0199b3c1-f00d-7caf-e012-3456789abcde",
        "from": "+15550100", "to": "+15550123",
        "order": "7\"", "level": 3, "vip": true,
    });
    assert_eq!(told, [expected]);
}

#[test]
fn sound_is_binary_both_ways() {
    let mut talk = talk();
    assert_eq!(talk.binary(&[1, 2, 3]), [audio(&[1, 2, 3])]);
    assert_eq!(talk.frame(&[7; 640], 0), Outgoing::Binary(Bytes::from_static(&[7; 640])));
}

#[test]
fn clear_is_answered_when_it_is_done_and_notify_when_it_is_reached() {
    let mut talk = talk();
    talk.told();
    assert_eq!(talk.json(&json!({ "action": "clear" })), [asked("clear", clear())]);
    talk.done("clear");
    assert_eq!(talk.told(), [json!({ "event": "websocket:cleared" })]);
    let payload = json!({ "reply": 3, "text": "ü" });
    let heard = talk.json(&json!({ "action": "notify", "payload": payload }));
    let [Heard::Request(None, request)] = &heard[..] else { panic!("{heard:?}") };
    let Request::Mark(name) = &**request else { panic!("{request:?}") };
    talk.mark(name, true);
    assert_eq!(talk.told(), Vec::<Value>::new(), "what was cleared was not played");
    talk.mark(name, false);
    assert_eq!(talk.told(), [json!({ "event": "websocket:notify", "payload": payload })]);
}

#[test]
fn keys_are_told_and_the_end_is_the_close() {
    let mut talk = talk();
    talk.told();
    talk.digit('5');
    talk.stop();
    let key = json!({ "event": "websocket:dtmf", "digit": "5", "duration": 160 });
    assert_eq!(talk.told(), [key]);
}

#[test]
fn what_is_no_message_is_refused() {
    let mut talk = talk();
    assert_eq!(refused(&talk.text("{")), ["invalid_message"]);
    assert_eq!(refused(&talk.text(r#"{"action":"dance"}"#)), ["unknown_type"]);
    let long = json!({ "action": "notify", "payload": "x".repeat(2000) });
    assert_eq!(refused(&talk.json(&long)), ["invalid_field"]);
}
