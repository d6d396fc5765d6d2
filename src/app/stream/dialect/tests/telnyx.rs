use super::*;

const STREAM: &str = "0199b3c1-f00d-7caf-e012-3456789abcde";
const CONTROL: &str = "v3:0199b3c1f00d7cafe0123456789abcde";

fn talk() -> Talk {
    Talk::new(Protocol::Telnyx, "mulaw", 8000)
}

#[test]
fn names_are_in_snake_case_and_start_says_who_speaks() {
    let told = talk().told();
    assert_eq!(told[0], json!({ "event": "connected", "version": "1.0.0" }));
    let start = &told[1];
    assert_eq!((&start["event"], &start["sequence_number"]), (&json!("start"), &json!("1")));
    assert_eq!(start["stream_id"], STREAM);
    let body = &start["start"];
    assert_eq!(body["call_control_id"], CONTROL);
    assert_eq!((&body["from"], &body["to"]), (&json!("+15550100"), &json!("+15550123")));
    let format = json!({ "encoding": "PCMU", "sample_rate": 8000, "channels": 1 });
    assert_eq!(body["media_format"], format);
    assert_eq!(body["custom_parameters"]["level"], "3");
}

#[test]
fn encodings_have_telnyx_names() {
    for (format, rate, name) in [("alaw", 8000, "PCMA"), ("pcm_s16le", 16_000, "L16")] {
        let told = Talk::new(Protocol::Telnyx, format, rate).told();
        let expected = json!({ "encoding": name, "sample_rate": rate, "channels": 1 });
        assert_eq!(told[1]["start"]["media_format"], expected);
    }
}

#[test]
fn media_keys_marks_errors_and_the_end_are_told() {
    let mut talk = talk();
    talk.told();
    let media = text(&talk.frame(&[0xff; 160], 40));
    let body = json!({
        "track": "inbound", "chunk": "1", "timestamp": "40",
        "payload": media["media"]["payload"],
    });
    let expected =
        json!({ "event": "media", "sequence_number": "2", "stream_id": STREAM, "media": body });
    assert_eq!(media, expected);
    talk.digit('1');
    talk.mark("m", true);
    talk.tell(&Told::Error { id: None, code: "invalid_media", detail: "d".into(), fatal: false });
    talk.tell(&Told::Error { id: None, code: "conflict", detail: "d".into(), fatal: false });
    talk.stop();
    let told = talk.told();
    assert_eq!(told[0]["dtmf"], json!({ "digit": "1" }));
    assert_eq!(told[0]["occurred_at"], "2025-10-09T08:53:20.000Z");
    assert_eq!((&told[1]["event"], &told[1]["mark"]["name"]), (&json!("mark"), &json!("m")));
    let error = json!({ "code": 100_004, "title": "invalid_media", "detail": "d" });
    assert_eq!(told[2]["payload"], error);
    assert_eq!(told[3]["payload"]["code"], 100_002);
    assert_eq!((&told[4]["event"], &told[4]["sequence_number"]), (&json!("stop"), &json!("7")));
    assert_eq!(told[4]["stop"]["call_control_id"], CONTROL);
}

#[test]
fn media_of_up_to_half_a_minute_mark_and_clear_are_taken() {
    let mut talk = talk();
    let media = json!({ "event": "media", "media": { "payload": "////" } });
    assert_eq!(talk.json(&media), [audio(&[0xff; 3])]);
    assert_eq!(talk.json(&json!({ "event": "clear" })), [ask(clear())]);
    let mark = json!({ "event": "mark", "mark": { "name": "m" } });
    assert_eq!(talk.json(&mark), [ask(Request::Mark("m".to_owned()))]);
    let long = |octets: usize| {
        let mut payload = String::new();
        super::super::words::push_payload(&mut payload, &vec![0xff; octets]);
        json!({ "event": "media", "media": { "payload": payload } })
    };
    assert_eq!(talk.json(&long(240_000)).len(), 1);
    assert!(long(240_000).to_string().len() < talk.dialect.text_max());
    assert_eq!(refused(&talk.json(&long(240_001))), ["invalid_media"]);
    let heard = talk.binary(&[1]);
    assert!(matches!(heard[..], [Heard::Fatal(CloseCode::Protocol, _)]));
}

#[test]
fn in_mp3_mode_each_message_is_a_file() {
    let mut start = start("mulaw", 8000);
    start.inward.format = "mp3";
    let mut talk = talk();
    talk.tell(&Told::Start(Box::new(start)));
    let media = json!({ "event": "media", "media": { "payload": "SUQz" } });
    let expected = [configure(LiveFormat::Mp3, 8000), audio(b"ID3")];
    assert_eq!(talk.json(&media), expected);
    assert_eq!(talk.json(&media), expected, "and another one");
}
