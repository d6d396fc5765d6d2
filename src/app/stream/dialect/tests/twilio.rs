use super::super::super::wire::Start;
use super::*;

const SID: &str = "MZ0199b3c1f00d7cafe0123456789abcde";
const CALL: &str = "CA0199b3c1f00d7cafe0123456789abcde";

fn talk() -> Talk {
    Talk::new(Protocol::Twilio, "mulaw", 8000)
}

#[test]
fn connected_comes_first_and_start_says_who_speaks() {
    let mut talk = talk();
    let told = talk.told();
    assert_eq!(told[0], json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" }));
    let start = &told[1];
    assert_eq!((&start["event"], &start["sequenceNumber"]), (&json!("start"), &json!("1")));
    assert_eq!(start["streamSid"], SID);
    let body = &start["start"];
    assert_eq!((&body["streamSid"], &body["callSid"]), (&json!(SID), &json!(CALL)));
    assert_eq!(body["accountSid"].as_str().map(str::len), Some(34));
    assert_eq!(body["tracks"], json!(["inbound"]));
    let format = json!({ "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 });
    assert_eq!(body["mediaFormat"], format);
    let parameters = json!({
        "order": "7\"", "level": "3", "vip": "true",
        "from_number": "+15550100", "to_number": "+15550123",
    });
    assert_eq!(body["customParameters"], parameters, "all are texts");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_call_of_an_account_is_told_its_account() {
    let account = "AC0123456789abcdef0123456789abcdef";
    let mut talk = talk();
    talk.told();
    let account_of_call = Some(account.to_owned());
    let start = Start { account: account_of_call, ..start("mulaw", 8000) };
    talk.tell(&Told::Start(Box::new(start)));
    talk.stop();
    let told = talk.told();
    assert_eq!(told[1]["start"]["accountSid"], account);
    assert_eq!(told[2]["stop"]["accountSid"], account);
}

#[test]
fn media_is_numbered_in_texts_and_counted_in_milliseconds() {
    let mut talk = talk();
    talk.told();
    let mut seen = Vec::new();
    // Late to be read, then a silence of two seconds that was not written out.
    for t_ms in [500, 900, 910, 2900] {
        let message = text(&talk.frame(&[0x7f; 160], t_ms));
        let media = &message["media"];
        assert_eq!((&message["event"], &media["track"]), (&json!("media"), &json!("inbound")));
        assert_eq!(message["streamSid"], SID);
        assert_eq!(media["payload"].as_str().unwrap().len(), 216);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let of = |name: &str| text(&media[name]);
        seen.push((text(&message["sequenceNumber"]), of("chunk"), of("timestamp")));
    }
    let expected = [("2", "1", "500"), ("3", "2", "520"), ("4", "3", "540"), ("5", "4", "2900")];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(seen, expected);
}

#[test]
fn a_client_that_reads_late_is_not_a_second_ahead_for_ever() {
    let mut talk = talk();
    talk.told();
    talk.frame(&[0x7f; 160], 0);
    // Three seconds waited, and come at once; then all is in time again.
    let mut last = 0;
    for n in 0..400_u64 {
        let t_ms = 3000.max(n * 20);
        let told = text(&talk.frame(&[0x7f; 160], t_ms))["media"]["timestamp"].clone();
        let told: u64 = told.as_str().unwrap().parse().unwrap();
        assert!(told >= last && told <= t_ms + 1000, "{told} at {t_ms}");
        last = told;
    }
    assert!(last.abs_diff(399 * 20) <= 1000, "{last}");
}

#[test]
fn keys_marks_and_the_end_are_told() {
    let mut talk = talk();
    talk.told();
    talk.digit('#');
    talk.mark("a \"b\"", false);
    talk.mark("c", true);
    talk.tell(&Told::Flow { state: "xoff", queued_ms: 1 });
    talk.tell(&Told::CallEvent { event: "hold", detail: None });
    talk.stop();
    let told = talk.told();
    let dtmf = json!({ "track": "inbound_track", "digit": "#" });
    let with = |event: &str, number: &str, name: &str, body: Value| json!({ "event": event, "sequenceNumber": number, "streamSid": SID, name: body });
    assert_eq!(told[0], with("dtmf", "2", "dtmf", dtmf));
    assert_eq!(told[1], with("mark", "3", "mark", json!({ "name": "a \"b\"" })));
    assert_eq!(told[2], with("mark", "4", "mark", json!({ "name": "c" })), "cleared comes back");
    assert_eq!((&told[3]["event"], &told[3]["stop"]["callSid"]), (&json!("stop"), &json!(CALL)));
    assert_eq!(told.len(), 4);
}

#[test]
fn media_mark_and_clear_are_taken() {
    let mut talk = talk();
    let media = json!({ "event": "media", "streamSid": SID, "media": { "payload": "f39/fw==" } });
    assert_eq!(talk.json(&media), [audio(&[0x7f; 4])]);
    let bare = json!({ "event": "media", "media": { "payload": "f39/fw" } });
    assert_eq!(talk.json(&bare), [audio(&[0x7f; 4])], "without padding or name");
    let mark = json!({ "event": "mark", "streamSid": SID, "mark": { "name": "end" } });
    assert_eq!(talk.json(&mark), [ask(Request::Mark("end".to_owned()))]);
    assert_eq!(talk.json(&json!({ "event": "clear", "streamSid": SID })), [ask(clear())]);
}

#[test]
fn what_is_no_message_is_refused_and_binary_ends_it() {
    let mut talk = talk();
    for (text, code) in [
        ("hello", "invalid_message"),
        ("{}", "invalid_message"),
        (r#"{"event":"media"}"#, "missing_field"),
        (r#"{"event":"media","media":{"payload":"!"}}"#, "invalid_media"),
        (r#"{"event":"mark","mark":{}}"#, "missing_field"),
        (r#"{"event":"say"}"#, "unknown_type"),
    ] {
        assert_eq!(refused(&talk.text(text)), [code], "{text}");
    }
    let heard = talk.binary(&[1, 2]);
    assert!(matches!(heard[..], [Heard::Fatal(CloseCode::Protocol, _)]), "{heard:?}");
    talk.told();
    talk.tell(&Told::Error { id: None, code: "x", detail: "y".into(), fatal: false });
    assert_eq!(talk.told(), Vec::<Value>::new(), "Twilio has no word for it");
}

#[test]
fn sixteen_bits_are_an_extension() {
    let mut talk = Talk::new(Protocol::Twilio, "pcm_s16le", 24_000);
    let format = json!({ "encoding": "audio/x-l16", "sampleRate": 24_000, "channels": 1 });
    assert_eq!(talk.told()[1]["start"]["mediaFormat"], format);
    talk.frame(&[0; 960], 0);
    assert_eq!(text(&talk.frame(&[0; 960], 20))["media"]["timestamp"], "20");
}
