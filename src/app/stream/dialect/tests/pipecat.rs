use super::super::pipecat::{
    AudioRawFrame, Frame, InterruptionFrame, Kind, MessageFrame, TextFrame, encode,
};
use super::*;
use crate::app::stream::wire::Heard as Said;
use prost::Message as _;

fn talk() -> Talk {
    Talk::new(Protocol::Pipecat, "pcm_s16le", 16_000)
}

fn kind(message: &Outgoing) -> Kind {
    match message {
        Outgoing::Binary(octets) => Frame::decode(octets.clone()).unwrap().kind.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// What a bot sends.
fn frame(kind: Kind) -> Vec<u8> {
    match encode(&Frame { kind: Some(kind) }) {
        Outgoing::Binary(octets) => octets.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn sound(audio: &'static [u8], sample_rate: u32, num_channels: u32) -> Vec<u8> {
    let (id, name, audio, pts) = (0, String::new(), Bytes::from_static(audio), None);
    frame(Kind::Audio(AudioRawFrame { id, name, audio, sample_rate, num_channels, pts }))
}

#[test]
fn frames_have_the_bytes_of_the_schema() {
    // Field 2 (audio) of the frame: field 3 (audio), 4 (sample_rate 8000), 5 (num_channels 1).
    let octets = [0x12, 9, 0x1a, 2, 5, 6, 0x20, 0xc0, 0x3e, 0x28, 1];
    assert_eq!(sound(&[5, 6], 8000, 1), octets);
}

#[test]
fn sound_goes_both_ways_with_its_rate() {
    let mut talk = talk();
    assert_eq!(talk.binary(&sound(&[1, 2], 16_000, 1)), [audio(&[1, 2])]);
    let changed = configure(LiveFormat::PcmS16Le, 24_000);
    assert_eq!(talk.binary(&sound(&[1, 2], 24_000, 1)), [changed, audio(&[1, 2])]);
    let back = configure(LiveFormat::PcmS16Le, 16_000);
    // 1 and 3 on two channels.
    assert_eq!(talk.binary(&sound(&[1, 0, 3, 0], 16_000, 2)), [back, audio(&[2, 0])]);
    let Kind::Audio(frame) = kind(&talk.frame(&[7; 640], 0)) else { panic!() };
    assert_eq!((frame.sample_rate, frame.num_channels), (16_000, 1));
    assert_eq!(frame.audio, Bytes::from_static(&[7; 640]));
}

#[test]
fn an_interruption_clears_and_words_are_left_alone() {
    let mut talk = talk();
    let (id, name) = (0, String::new());
    let interruption = frame(Kind::Interruption(InterruptionFrame { id, name }));
    assert_eq!(talk.binary(&interruption), [ask(clear())]);
    let (id, name, text) = (1, String::new(), "Hello".to_owned());
    assert_eq!(talk.binary(&frame(Kind::Text(TextFrame { id, name, text }))), []);
}

#[test]
fn messages_carry_our_own_protocol_both_ways() {
    let mut talk = talk();
    let Some(Kind::Message(first)) = talk.out.pop_front().as_ref().map(kind) else { panic!() };
    let start: Value = serde_json::from_str(&first.data).unwrap();
    assert_eq!((&start["type"], &start["to"]), (&json!("start"), &json!("+15550123")));
    talk.digit('5');
    let Some(Kind::Message(key)) = talk.out.pop_front().as_ref().map(kind) else { panic!() };
    let key: Value = serde_json::from_str(&key.data).unwrap();
    assert_eq!((&key["type"], &key["digit"]), (&json!("dtmf"), &json!("5")));
    let mut message =
        |data: Value| talk.binary(&frame(Kind::Message(MessageFrame { data: data.to_string() })));
    let heard = message(json!({ "type": "mark", "name": "m", "id": "1" }));
    assert_eq!(heard, [asked("1", Request::Mark("m".to_owned()))]);
    let rtvi = json!({ "label": "rtvi-ai", "type": "bot-ready", "id": "0" });
    assert_eq!(message(rtvi), [], "nothing for us");
    assert_eq!(refused(&message(json!([]))), ["invalid_message"]);
    assert_eq!(refused(&message(json!({ "type": "dance" }))), ["unknown_type"]);
}

#[test]
fn settled_words_are_transcriptions() {
    let mut talk = talk();
    talk.out.clear();
    let said = |is_final| {
        Told::Transcript(Said {
            text: "yes".to_owned(),
            is_final,
            track: "caller",
            language: None,
            confidence: None,
            start_ms: 0,
            end_ms: 20,
            id: 1,
            constrained: false,
        })
    };
    talk.tell(&said(false));
    talk.tell(&said(true));
    assert!(matches!(kind(&talk.out[0]), Kind::Message(_)));
    let Kind::Transcription(frame) = kind(&talk.out[1]) else { panic!() };
    assert_eq!((frame.text.as_str(), frame.user_id.as_str()), ("yes", "caller"));
    assert_eq!(frame.timestamp, "2025-10-09T08:53:20.000Z");
}

#[test]
fn what_is_no_frame_is_refused() {
    let mut talk = talk();
    assert_eq!(refused(&talk.binary(&[0x12, 200])), ["invalid_message"]);
    assert_eq!(refused(&talk.binary(&[])), ["invalid_message"]);
    assert_eq!(refused(&talk.text("{}")), ["invalid_message"]);
    assert_eq!(refused(&talk.binary(&sound(&[1, 2], 11_025, 1))), ["unsupported_rate"]);
    assert_eq!(refused(&talk.binary(&sound(&[1, 2, 3], 16_000, 1))), ["unsupported_format"]);
    assert_eq!(refused(&talk.binary(&sound(&[1, 2], 16_000, 6))), ["unsupported_format"]);
}
