use super::*;
use crate::call::control::DtmfMethod;

const STREAM: &str = "0199b3c1-f00d-7caf-e012-3456789abcde";

fn talk() -> Talk {
    Talk::new(Protocol::Plivo, "mulaw", 8000)
}

fn play(kind: &str, rate: &Value, payload: &str) -> Value {
    let media = json!({ "contentType": kind, "sampleRate": rate, "payload": payload });
    json!({ "event": "playAudio", "media": media })
}

#[test]
fn start_comes_first_and_counts_in_numbers() {
    let told = talk().told();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["event"], &told[0]["sequenceNumber"]), (&json!("start"), &json!(1)));
    let body = &told[0]["start"];
    assert_eq!((&body["callId"], &body["streamId"]), (&json!(STREAM), &json!(STREAM)));
    assert_eq!(body["tracks"], json!(["inbound"]));
    let format = json!({ "encoding": "audio/x-mulaw", "sampleRate": 8000 });
    assert_eq!(body["mediaFormat"], format);
    assert_eq!(told[0]["extra_headers"], "level=3;order=7\";vip=true");
}

#[test]
fn media_carries_the_time_of_day() {
    let mut talk = talk();
    talk.told();
    talk.frame(&[0xff; 160], 100);
    // Read late: it was spoken when it was.
    let media = text(&talk.frame(&[0xff; 160], 400));
    assert_eq!((&media["sequenceNumber"], &media["streamId"]), (&json!(3), &json!(STREAM)));
    assert_eq!(media["media"]["chunk"], 2);
    assert_eq!(media["media"]["timestamp"], "1760000000120");
}

#[test]
fn sound_is_taken_in_the_format_of_each_message() {
    let mut talk = talk();
    let law = play("audio/x-mulaw", &json!(8000), "f38=");
    assert_eq!(talk.json(&law), [audio(&[0x7f; 2])], "as agreed");
    let linear = play("audio/x-l16", &json!("16000"), "AAE=");
    let changed = configure(LiveFormat::PcmS16Le, 16_000);
    assert_eq!(talk.json(&linear), [changed, audio(&[0, 1])]);
    assert_eq!(talk.json(&linear), [audio(&[0, 1])]);
    let back = configure(LiveFormat::Mulaw, 8000);
    assert_eq!(talk.json(&law), [back, audio(&[0x7f; 2])]);
    let named = play("audio/x-l16;rate=16000", &json!(16_000), "AAE=");
    assert_eq!(talk.json(&named).len(), 2);
}

#[test]
fn checkpoints_are_told_when_played_and_clears_when_done() {
    let mut talk = talk();
    talk.told();
    let heard = talk.json(&json!({ "event": "checkpoint", "streamId": STREAM, "name": "c" }));
    assert_eq!(heard, [ask(Request::Mark("c".to_owned()))]);
    let heard = talk.json(&json!({ "event": "clearAudio", "streamId": STREAM }));
    assert_eq!(heard, [asked("clearAudio", clear())]);
    talk.mark("gone", true);
    talk.done("clearAudio");
    talk.mark("c", false);
    let cleared = json!({ "event": "clearedAudio", "streamId": STREAM, "sequenceNumber": 2 });
    let played =
        json!({ "event": "playedStream", "streamId": STREAM, "name": "c", "sequenceNumber": 3 });
    assert_eq!(talk.told(), [cleared, played]);
}

#[test]
fn keys_go_both_ways() {
    let mut talk = talk();
    talk.told();
    talk.digit('*');
    let told = talk.told();
    assert_eq!((&told[0]["event"], &told[0]["dtmf"]["digit"]), (&json!("dtmf"), &json!("*")));
    let (digits, method) = ("12#".to_owned(), DtmfMethod::Auto);
    let expected = Request::Dtmf { digits, duration_ms: None, gap_ms: None, method };
    assert_eq!(talk.json(&json!({ "event": "sendDTMF", "dtmf": "12#" })), [ask(expected)]);
    assert_eq!(refused(&talk.json(&json!({ "event": "sendDTMF" }))), ["invalid_field"]);
}

#[test]
fn what_cannot_be_taken_is_refused() {
    let mut talk = talk();
    for (message, code) in [
        (play("audio/opus", &json!(8000), ""), "unsupported_format"),
        (play("audio/x-l16", &json!(11_025), "AAE="), "unsupported_rate"),
        (play("audio/x-l16", &json!("fast"), "AAE="), "unsupported_rate"),
        (play("audio/x-l16", &json!(8000), "?"), "invalid_media"),
        (json!({ "event": "playAudio" }), "missing_field"),
        (json!({ "event": "checkpoint" }), "missing_field"),
        (json!({ "event": "dance" }), "unknown_type"),
        (json!([]), "invalid_message"),
    ] {
        assert_eq!(refused(&talk.json(&message)), [code], "{message}");
    }
    let heard = talk.binary(&[1]);
    assert!(matches!(heard[..], [Heard::Fatal(CloseCode::Protocol, _)]));
}
