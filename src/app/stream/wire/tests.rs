//! What clients may write, and what they are told, letter by letter.

use super::*;
use crate::audio::progress::{Plan, Signal, Tone};
use crate::call::control::TransferWish;
use crate::call::record::TransferMode;
use crate::call::recording::{RecordChannels, RecordStart, RecordWish};
use proptest::prelude::*;
use std::time::Duration;

/// Names of all fields that commands may have, in either spelling, for the tests of the reference.
pub(crate) fn field_names() -> Vec<&'static str> {
    /// Is asked for a struct, and remembers for which fields.
    struct Asked(Vec<&'static str>);

    impl<'de> serde::Deserializer<'de> for &mut Asked {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: serde::de::Visitor<'de>>(
            self,
            _: V,
        ) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("there is nothing here"))
        }

        fn deserialize_struct<V: serde::de::Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.0 = fields.to_vec();
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
            option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
            ignored_any
        }
    }

    let mut asked = Asked(Vec::new());
    Fields::deserialize(&mut asked).unwrap_err();
    asked.0
}

#[expect(clippy::unnecessary_wraps, reason = "an id is optional")]
fn id(text: &str) -> Option<CommandId> {
    Some(CommandId::Text(text.into()))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of commands")]
fn every_command_of_the_protocol_is_read() {
    let cases = [
        (
            r#"{"type":"configure","format":"mulaw","rate":8000}"#,
            Request::Configure {
                format: Some(LiveFormat::Mulaw),
                rate: Some(8000),
                out: OutWish::default(),
            },
        ),
        (
            r#"{"type":"configure","outFormat":"alaw","out_rate":16000,"frameMs":60}"#,
            Request::Configure {
                format: None,
                rate: None,
                out: OutWish {
                    format: Some(OutFormat::Alaw),
                    rate: Some(16_000),
                    frame_ms: Some(60),
                },
            },
        ),
        (r#"{"type":"utterance_end"}"#, Request::UtteranceEnd),
        (r#"{"type":"mark","name":"m 1"}"#, Request::Mark("m 1".into())),
        (r#"{"type":"clear"}"#, Request::Clear { fade_ms: None, utterance: None }),
        (
            r#"{"type":"clear","fadeMs":5,"utterance":"u1"}"#,
            Request::Clear { fade_ms: Some(5), utterance: Some("u1".into()) },
        ),
        (r#"{"type":"pause","more":[1,{}]}"#, Request::Pause),
        (r#"{"type":"resume"}"#, Request::Resume),
        (r#"{"type":"background","on":false}"#, Request::Background(false)),
        (
            r#"{"type":"dtmf","digits":"1#a","duration_ms":120}"#,
            Request::Dtmf {
                digits: "1#A".into(),
                duration_ms: Some(120),
                gap_ms: None,
                method: DtmfMethod::Auto,
            },
        ),
        (r#"{"type":"barge_in","decision":"reject"}"#, Request::BargeIn { confirm: false }),
        (r#"{"type":"hold"}"#, wish(Wish::Hold)),
        (r#"{"type":"unhold"}"#, wish(Wish::Resume)),
        (r#"{"type":"mute"}"#, wish(Wish::Mute(true, MuteDirection::Playout))),
        (r#"{"type":"unmute","direction":"both"}"#, wish(Wish::Mute(false, MuteDirection::Both))),
        (r#"{"type":"ring"}"#, wish(Wish::Ring)),
        (r#"{"type":"early_media"}"#, wish(Wish::EarlyMedia(None))),
        (
            r#"{"type":"early_media","tone":"ringback","country":"eu"}"#,
            wish(Wish::EarlyMedia(Some(Tone { signal: Signal::Ringback, plan: Plan::Europe }))),
        ),
        (r#"{"type":"answer"}"#, wish(Wish::Answer)),
        (
            r#"{"type":"reject","sip_code":486,"reason":"At\r\nlunch"}"#,
            wish(Wish::Reject { code: 486, reason: "Atlunch".into() }),
        ),
        (
            r#"{"type":"bridge","call_id":"call_2"}"#,
            wish(Wish::Bridge(BridgeWish {
                with: "call_2".parse().unwrap(),
                on_peer_hangup: OnPeerHangup::Continue,
            })),
        ),
        (r#"{"type":"unbridge"}"#, wish(Wish::Unbridge)),
        (
            r#"{"type":"hangup","reason":"bye","after":"playback"}"#,
            Request::Hangup { reason: Some("bye".into()), after_playback: true },
        ),
        (r#"{"type":"ping"}"#, Request::Ping),
        (r#"{"type":"say","text":"x"}"#, Request::Say { text: "x".into(), voice: None }),
        (
            r#"{"type":"say","text":"x","voiceId":"en"}"#,
            Request::Say { text: "x".into(), voice: Some("en".into()) },
        ),
        (
            r#"{"type":"play","audioBase64":"AAEC_w"}"#,
            Request::Play(Bytes::from_static(&[0, 1, 2, 255])),
        ),
        (
            r#"{"type":"event","name":"n","data":[1]}"#,
            Request::Event { name: "n".into(), data: serde_json::json!([1]) },
        ),
        (
            r#"{"type":"record","action":"start","channels":"mono","beep":true}"#,
            Request::Record(RecordWish::Start(RecordStart {
                channels: RecordChannels::Mono,
                beep: true,
            })),
        ),
        (r#"{"type":"record","action":"pause"}"#, Request::Record(RecordWish::Pause(None))),
        (r#"{"type":"record","action":"resume"}"#, Request::Record(RecordWish::Resume(None))),
        (r#"{"type":"record","action":"stop"}"#, Request::Record(RecordWish::Stop(None))),
    ];
    for (text, request) in cases {
        assert_eq!(decode(text), Ok((None, request)), "{text}");
    }
}

#[test]
fn a_transfer_takes_what_rest_takes() {
    let cases = [
        (
            r#"{"type":"transfer","to":"+14155550123","mode":"bridge","timeout":20}"#,
            wish(Wish::Transfer(TransferWish {
                to: "+14155550123".into(),
                from: None,
                mode: TransferMode::Bridge,
                replaces: None,
                headers: Vec::new(),
                timeout: Duration::from_secs(20),
                on_peer_hangup: OnPeerHangup::Hangup,
            })),
        ),
        (
            r#"{"type":"transfer","to":"sip:desk@pbx.example","mode":"attended",
                "replacesCallId":"call_2","headers":{"X-Ref":"7"},"onPeerHangup":"continue"}"#,
            wish(Wish::Transfer(TransferWish {
                to: "sip:desk@pbx.example".into(),
                from: None,
                mode: TransferMode::Attended,
                replaces: Some("call_2".parse().unwrap()),
                headers: vec![("X-Ref".into(), "7".into())],
                timeout: Duration::from_secs(45),
                on_peer_hangup: OnPeerHangup::Continue,
            })),
        ),
    ];
    for (text, request) in cases {
        assert_eq!(decode(text), Ok((None, request)), "{text}");
    }
}

#[test]
fn an_utterance_takes_its_name_from_the_id() {
    let named = decode(r#"{"type":"utterance","id":"u1","text":"hello"}"#);
    assert_eq!(named, Ok((id("u1"), Request::Utterance("u1".into()))));
    let counted = decode(r#"{"type":"utterance","id":7}"#);
    let name = Request::Utterance("7".into());
    assert_eq!(counted, Ok((Some(CommandId::Number(7)), name)));
}

#[test]
fn what_is_wrong_is_named_with_the_id() {
    let cases = [
        ("", None, "invalid_message"),
        ("[]", None, "invalid_message"),
        ("{}", None, "invalid_message"),
        (r#"{"type":5,"id":"a"}"#, id("a"), "invalid_message"),
        (r#"{"type":"fly","id":"a"}"#, id("a"), "unknown_type"),
        (r#"{"type":"mark","id":"a"}"#, id("a"), "missing_field"),
        (r#"{"type":"mark","name":5,"id":"a"}"#, id("a"), "invalid_field"),
        (r#"{"type":"utterance"}"#, None, "missing_field"),
        (r#"{"type":"configure","rate":11025}"#, None, "unsupported_rate"),
        (r#"{"type":"configure","format":"flac"}"#, None, "unsupported_format"),
        (r#"{"type":"dtmf","digits":"12x"}"#, None, "invalid_field"),
        (r#"{"type":"dtmf","digits":""}"#, None, "invalid_field"),
        (r#"{"type":"dtmf","digits":"1","method":"loud"}"#, None, "invalid_field"),
        (r#"{"type":"reject","sip_code":200}"#, None, "invalid_field"),
        (r#"{"type":"mute","direction":"up"}"#, None, "invalid_field"),
        (r#"{"type":"transfer"}"#, None, "missing_field"),
        (r#"{"type":"transfer","to":"sips:x@y.example"}"#, None, "not_implemented"),
        (r#"{"type":"transfer","to":"sip:x@y>"}"#, None, "invalid_field"),
        (r#"{"type":"transfer","to":"tel:+14155550123"}"#, None, "invalid_field"),
        (
            r#"{"type":"transfer","to":"+14155550123","headers":{"Route":"x"}}"#,
            None,
            "invalid_field",
        ),
        (
            r#"{"type":"transfer","to":"+14155550123","headers":{"X-A":"x\r\nRoute: y"}}"#,
            None,
            "invalid_field",
        ),
        (r#"{"type":"transfer","to":"+14155550123","headers":{"X-A":7}}"#, None, "invalid_field"),
        (
            r#"{"type":"transfer","to":"+14155550123","replaces_call_id":"call_2"}"#,
            None,
            "invalid_field",
        ),
        (r#"{"type":"transfer","to":"+14155550123","mode":"attended"}"#, None, "missing_field"),
        (r#"{"type":"transfer","to":"+14155550123","timeout":1}"#, None, "invalid_field"),
        (r#"{"type":"barge_in","decision":"maybe"}"#, None, "invalid_field"),
        (r#"{"type":"barge_in","id":"b"}"#, id("b"), "missing_field"),
        (r#"{"type":"bridge","call_id":"x"}"#, None, "invalid_field"),
        (r#"{"type":"hangup","after":"lunch"}"#, None, "invalid_field"),
        (r#"{"type":"ping","id":{}}"#, None, "invalid_field"),
    ];
    for (text, id, code) in cases {
        let refused = decode(text).unwrap_err();
        assert_eq!((refused.id, refused.code), (id, code), "{text}");
    }
}

#[test]
fn messages_carry_type_and_stamp() {
    let stamp = Stamp { seq: 3, t_ms: 1840, unix_ms: 1_700_000_000_123 };
    let cleared = Told::Playback {
        state: "cleared",
        utterance: Some("u1".into()),
        played_ms: 1840,
        squeezed_ms: 0,
        discarded_ms: 2310,
    };
    let expected = r#"{"type":"playback","state":"cleared","utterance":"u1","played_ms":1840,"discarded_ms":2310,"seq":3,"t_ms":1840,"timestamp":"2023-11-14T22:13:20.123Z"}"#;
    assert_eq!(encode(&cleared, stamp), expected);
    let ack = encode(&Told::Ack { id: CommandId::Number(9), recording: None }, stamp);
    assert!(ack.starts_with(r#"{"type":"ack","id":9,"seq":3"#), "{ack}");
}

#[test]
fn a_transfer_is_told_as_a_call_event() {
    let view = TransferView {
        to: "+14155550123".into(),
        mode: TransferMode::Blind,
        state: crate::call::record::TransferPhase::Failed,
        code: Some(603),
    };
    let told = encode(&Told::transfer(&view), Stamp { seq: 1, t_ms: 2, unix_ms: 3 });
    let start = r#"{"type":"call_event","event":"transfer","state":"failed","mode":"blind","to":"+14155550123","code":603,"#;
    assert!(told.starts_with(start), "{told}");
    let bare = encode_bare(&Told::transfer(&view), 0).unwrap();
    assert!(bare.contains(r#""event":"transfer","detail":"failed""#), "{bare}");
}

#[test]
fn the_bare_url_knows_call_events_only() {
    let answered = Told::CallEvent { event: "answered", detail: None };
    let expected = r#"{"type":"call_event","event":"answered","timestamp":"2023-11-14T22:13:20Z"}"#;
    assert_eq!(encode_bare(&answered, 1_700_000_000_123).as_deref(), Some(expected));
    let flow = Told::Flow { state: "xoff", queued_ms: 1 };
    assert_eq!(encode_bare(&flow, 0), None);
}

#[test]
fn moments_are_written_as_the_calendar_has_them() {
    for (unix_ms, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400_000, "2000-02-29T00:00:00Z"),
        (1_735_689_599_999, "2024-12-31T23:59:59Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ] {
        assert_eq!(rfc3339(unix_ms, false), text);
    }
}

#[test]
fn the_corpus_is_read_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/ws_text");
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        fuzz_ws_text(&std::fs::read(entry.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 10, "{seen} files in the corpus");
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_ws_text(&octets);
    }

    #[test]
    fn nothing_like_a_command_panics(
        kind in "(configure|utterance|mark|clear|dtmf|hangup|ping|[a-z]{0,8})",
        field in "(id|name|rate|format|digits|after|fade_ms|utterance)",
        value in r#"(null|true|-?[0-9]{1,22}|[0-9]e[0-9]{1,4}|"[ -~]{0,12}"|\[\]|\{\})"#,
    ) {
        fuzz_ws_text(format!(r#"{{"type":"{kind}","{field}":{value}}}"#).as_bytes());
    }
}
