//! Each dialect against a leg: what is sent sounds, a mark is told with the beat in which its
//! sample left, a clear is heard with the next packet, and the end comes in the vendor's words.

use super::*;
use crate::app::stream::Protocol;
use crate::audio::codec::g711::{decode_ulaw, encode_ulaw};

/// How a client of a vendor writes what it wants, and knows what it is told.
struct Words {
    protocol: Protocol,
    /// A loud sample, so many times, in one message.
    audio: fn(usize) -> Incoming,
    mark: &'static str,
    clear: &'static str,
    /// What is told of the mark, and what when it is cleared.
    reached: &'static str,
    cleared: &'static str,
    /// What is told of the clear itself.
    done: &'static str,
    /// What is told of the digit 5.
    key: &'static str,
    /// The first and the last message.
    first: &'static str,
    last: &'static str,
}

const LOUD: i16 = 8159;

fn law(samples: usize) -> String {
    crate::speech::base64::encode(&vec![encode_ulaw(LOUD); samples])
}

fn linear(samples: usize) -> Incoming {
    let octets: Vec<u8> = LOUD.to_le_bytes().repeat(samples);
    Incoming::Binary(octets.into())
}

fn twilio() -> Words {
    Words {
        protocol: Protocol::Twilio,
        audio: |samples| {
            let payload = law(samples);
            Incoming::Text(format!(r#"{{"event":"media","media":{{"payload":"{payload}"}}}}"#))
        },
        mark: r#"{"event":"mark","mark":{"name":"m"}}"#,
        clear: r#"{"event":"clear"}"#,
        reached: r#""mark":{"name":"m"}"#,
        cleared: r#""mark":{"name":"m"}"#,
        done: "",
        key: r#""digit":"5""#,
        first: r#""event":"connected""#,
        last: r#""event":"stop""#,
    }
}

fn plivo() -> Words {
    Words {
        protocol: Protocol::Plivo,
        audio: |samples| {
            let payload = law(samples);
            let media = format!(
                r#"{{"contentType":"audio/x-mulaw","sampleRate":8000,"payload":"{payload}"}}"#
            );
            Incoming::Text(format!(r#"{{"event":"playAudio","media":{media}}}"#))
        },
        mark: r#"{"event":"checkpoint","name":"m"}"#,
        clear: r#"{"event":"clearAudio"}"#,
        reached: r#""event":"playedStream","name":"m""#,
        cleared: "",
        done: r#""event":"clearedAudio""#,
        key: r#""digit":"5""#,
        first: r#""event":"start""#,
        last: "",
    }
}

fn vonage() -> Words {
    Words {
        protocol: Protocol::Vonage,
        audio: linear,
        mark: r#"{"action":"notify","payload":{"n":1}}"#,
        clear: r#"{"action":"clear"}"#,
        reached: r#""event":"websocket:notify","payload":{"n":1}"#,
        cleared: "",
        done: r#""event":"websocket:cleared""#,
        key: r#""digit":"5""#,
        first: r#""event":"websocket:connected""#,
        last: "",
    }
}

fn jambonz() -> Words {
    Words {
        protocol: Protocol::Jambonz,
        audio: linear,
        mark: r#"{"type":"mark","data":{"name":"m"}}"#,
        clear: r#"{"type":"killAudio"}"#,
        reached: r#""data":{"event":"playout","name":"m"}"#,
        cleared: r#""data":{"event":"cleared","name":"m"}"#,
        done: "",
        key: r#""dtmf":"5""#,
        first: r#""sampleRate":8000"#,
        last: "",
    }
}

fn asterisk() -> Words {
    Words {
        protocol: Protocol::Asterisk,
        audio: |samples| Incoming::Binary(vec![encode_ulaw(LOUD); samples].into()),
        mark: "MARK_MEDIA m",
        clear: "FLUSH_MEDIA",
        reached: "MEDIA_MARK_PROCESSED m",
        cleared: "",
        done: "",
        key: "DTMF_END digit:5",
        first: "MEDIA_START",
        last: "",
    }
}

fn asterisk_json() -> Words {
    Words {
        protocol: Protocol::AsteriskJson,
        mark: r#"{"command":"MARK_MEDIA","correlation_id":"m"}"#,
        clear: r#"{"command":"FLUSH_MEDIA"}"#,
        reached: r#""correlation_id":"m","event":"MEDIA_MARK_PROCESSED""#,
        key: r#""digit":"5","event":"DTMF_END""#,
        first: r#""event":"MEDIA_START""#,
        ..asterisk()
    }
}

/// All but Pipecat, whose messages are no texts.
fn all() -> [Words; 7] {
    let telnyx = Words { protocol: Protocol::Telnyx, ..twilio() };
    [twilio(), telnyx, plivo(), vonage(), jambonz(), asterisk(), asterisk_json()]
}

impl Words {
    fn query(&self) -> String {
        // The leg's own rate, so that samples can be counted.
        let rate = match self.protocol {
            Protocol::Vonage => "&rate=8000",
            _ => "",
        };
        format!("protocol={}{rate}", self.protocol.as_str())
    }
}

impl Client {
    fn say(&self, message: Incoming) {
        self.to_server.try_send(Ok(message)).unwrap();
    }

    /// What came: the texts but audio, and how many messages of audio.
    fn took(&mut self) -> (Vec<String>, usize) {
        let (mut texts, mut audio) = (Vec::new(), 0);
        while let Ok(message) = self.from_server.try_recv() {
            match message {
                Outgoing::Text(text) if text.contains(r#""event":"media""#) => audio += 1,
                Outgoing::Text(text) => texts.push(text),
                Outgoing::Binary(_) => audio += 1,
                Outgoing::Ping => self.pings += 1,
                Outgoing::Close(code, reason) => self.closed = Some((code, reason)),
            }
        }
        (texts, audio)
    }

    fn texts(&mut self) -> Vec<String> {
        self.took().0
    }
}

/// Whether these texts are, in order, those that hold these words; no word is no text.
fn are(what: &str, texts: &[String], words: &[&str]) {
    let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).collect();
    assert_eq!(texts.len(), words.len(), "{what}: {texts:?} for {words:?}");
    for (text, word) in texts.iter().zip(words) {
        assert!(text.contains(*word), "{what}: {text} for {word}");
    }
}

#[tokio::test(start_paused = true)]
async fn sound_marks_and_clears_are_those_of_the_leg() {
    for words in all() {
        let what = words.protocol.as_str();
        let mut rig = Rig::answered().await;
        let mut client = rig.attach(&words.query()).await;
        assert!(client.texts()[0].contains(words.first), "{what}");
        // 100 ms and a mark behind it: told in the beat in which it left, not before.
        client.say((words.audio)(800));
        client.text(words.mark);
        rig.beats(4).await;
        are(what, &client.texts(), &[]);
        rig.beats(3).await;
        are(what, &client.texts(), &[words.reached]);
        let expected = decode_ulaw(encode_ulaw(LOUD));
        let sample = if (words.audio)(1) == linear(1) { LOUD } else { expected };
        assert_eq!(rig.leg.sent, vec![sample; 800], "{what}");
        // Two seconds, of which a little is heard.
        client.say((words.audio)(16_000));
        client.text(words.mark);
        rig.beats(10).await;
        client.texts();
        client.text(words.clear);
        rig.settle().await;
        rig.beats(2).await;
        assert!(!rig.leg.sounding, "{what}: silence within 40 ms of the clear");
        let sent = rig.leg.sent.len();
        assert!((800 + 9 * 160..800 + 13 * 160).contains(&sent), "{what}: {sent}");
        are(what, &client.texts(), &[words.cleared, words.done]);
        // And it goes on.
        client.say((words.audio)(320));
        rig.beats(4).await;
        assert_eq!(rig.leg.sent.len(), sent + 320, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_heard_keys_are_told_and_the_end_comes_behind_the_last_frame() {
    for words in all() {
        let what = words.protocol.as_str();
        let mut rig = Rig::answered().await;
        let mut client = rig.attach(&words.query()).await;
        rig.beats(1).await;
        client.texts();
        for _ in 0..10 {
            assert!(rig.leg.hear(&[1000; 160]));
            rig.beats(1).await;
        }
        let method = crate::call::control::HeardBy::leg(false);
        rig.tell(Control::Dtmf { digit: b'5', duration_ms: 100, method });
        rig.beats(1).await;
        let (texts, audio) = client.took();
        assert_eq!(audio, 10, "{what}");
        are(what, &texts, &[words.key]);
        rig.stop("callee_hangup");
        rig.settle().await;
        are(what, &client.texts(), &[words.last]);
        assert_eq!(client.closed, Some((CloseCode::Normal, "")), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_message_of_twilio_has_the_last_number() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=twilio").await;
    rig.beats(1).await;
    client.wire.stalled.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        rig.leg.hear(&[1000; 160]);
        rig.beats(1).await;
    }
    rig.stop("callee_hangup");
    rig.settle().await;
    client.stall(false);
    rig.settle().await;
    let told = client.told();
    let numbers = told.iter().skip(1).map(|text| text["sequenceNumber"].as_str().unwrap());
    let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=22).collect::<Vec<u64>>());
    assert_eq!(told.last().unwrap()["event"], "stop");
}

#[tokio::test(start_paused = true)]
async fn binary_to_twilio_ends_the_conversation_with_4000() {
    for protocol in ["twilio", "telnyx", "plivo"] {
        let rig = Rig::answered().await;
        let mut client = rig.attach(&format!("protocol={protocol}")).await;
        client.binary(vec![0; 160]);
        rig.settle().await;
        client.told();
        assert_eq!(client.closed.map(|(code, _)| code), Some(CloseCode::Protocol), "{protocol}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_is_done_and_one_that_vanishes_is_not() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=twilio").await;
    client.say((twilio().audio)(800));
    rig.settle().await;
    client.told();
    drop(client);
    rig.beats(3).await;
    let done = Report::HangupRequested { reason: Some("the client closed the stream".into()) };
    let attached = Report::Attached { protocol: "twilio", rate: Some(8000) };
    let gone = Report::Gone { why: "socket_lost" };
    assert_eq!(rig.reports(), [attached.clone(), gone.clone(), Report::Detached]);
    rig.beats(8).await;
    assert_eq!(rig.leg.sent.len(), 800, "what it had sent is played");
    assert!(matches!(rig.reports()[..], [Report::PlaybackDone { .. }]));
    let mut rig = Rig::new();
    let client = rig.attach("protocol=twilio").await;
    drop(client);
    rig.settle().await;
    let told = [attached.clone(), done, gone.clone(), Report::Detached];
    assert_eq!(rig.reports(), told, "nobody had answered");
    let mut rig = Rig::answered().await;
    let client = rig.attach("protocol=twilio").await;
    client.to_server.try_send(Err(SocketError::Lost("reset".into()))).unwrap();
    rig.settle().await;
    assert_eq!(rig.reports(), [attached, gone, Report::Detached], "it may come back");
}

#[tokio::test(start_paused = true)]
async fn asterisk_has_a_queue_of_a_thousand_frames() {
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=asterisk").await;
    client.texts();
    client.say(Incoming::Binary(vec![0x80; 8 * 17_900].into()));
    client.text("GET_STATUS");
    rig.settle().await;
    let texts = client.texts();
    assert!(texts[0].contains("queue_full:false"), "{texts:?}");
    client.say(Incoming::Binary(vec![0x80; 8 * 400].into()));
    rig.settle().await;
    assert_eq!(client.texts(), ["MEDIA_XOFF"]);
    client.text("REPORT_QUEUE_DRAINED");
    rig.beats(110).await;
    rig.beats(10).await;
    assert_eq!(client.texts(), ["MEDIA_XON"]);
    rig.beats(850).await;
    assert_eq!(client.texts(), ["QUEUE_DRAINED"]);
}

#[tokio::test(start_paused = true)]
async fn pipecat_bots_play_and_interrupt() {
    // AudioRawFrame of 100 ms at 8 kHz, mono: field 2 { audio: 1600 octets, 8000 Hz, 1 }.
    let mut frame = vec![0x12, 0xc8, 0x0c, 0x1a, 0xc0, 0x0c];
    frame.extend_from_slice(&LOUD.to_le_bytes().repeat(800));
    frame.extend_from_slice(&[0x20, 0xc0, 0x3e, 0x28, 1]);
    let mut rig = Rig::answered().await;
    let mut client = rig.attach("protocol=pipecat&out_rate=8000").await;
    client.took();
    client.binary(frame.clone());
    rig.beats(7).await;
    assert_eq!(rig.leg.sent, vec![LOUD; 800]);
    for _ in 0..20 {
        client.binary(frame.clone());
    }
    rig.beats(10).await;
    client.binary([0x2a, 0].as_slice());
    rig.settle().await;
    rig.beats(2).await;
    assert!(!rig.leg.sounding, "silence within 40 ms of the interruption");
    assert!(rig.leg.sent.len() < 800 + 13 * 160);
}
