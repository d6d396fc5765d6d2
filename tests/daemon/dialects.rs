//! Each dialect with a real call: the far end hears exactly what a vendor's client sent, the
//! client hears exactly what the far end said, and a clear is heard at once.

use super::exact::{check_exact, coded, framed, noise, wav};
use super::rig::{Daemon, Phone, SOON, read_wav};
use bellwire::audio::codec::CodecId;
use bellwire::audio::codec::g711::{decode_ulaw, encode_ulaw};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// What is sent behind a clear, so that its silence is recorded.
const SILENT_MS: usize = 400;

/// How a vendor's client writes.
struct Vendor {
    /// Behind `/stream`, and the subprotocol, if any.
    path: &'static str,
    subprotocol: Option<&'static str>,
    /// Its samples are octets of µ-law.
    law: bool,
    /// The name of a mark in the text that asks for it and in the one that tells of it.
    mark: fn(&str) -> Message,
    reached: fn(&str) -> String,
    audio: fn(&[u8]) -> Message,
    clear: fn() -> Message,
    /// What is in a binary message: audio, or a text.
    binary: fn(&[u8]) -> Result<Vec<u8>, String>,
}

struct Bot {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Texts that came, and what a binary message held beside audio.
    texts: Vec<String>,
    audio: Vec<u8>,
    closed: Option<u16>,
    binary: fn(&[u8]) -> Result<Vec<u8>, String>,
}

impl Bot {
    async fn attach(daemon: &Daemon, call: &str, vendor: &Vendor) -> Self {
        let host = daemon.api.trim_start_matches("http://");
        let url = format!("ws://{host}/v1/calls/{call}/stream{}", vendor.path);
        let mut request = url.into_client_request().unwrap();
        if let Some(name) = vendor.subprotocol {
            request.headers_mut().insert("Sec-WebSocket-Protocol", name.parse().unwrap());
        }
        let (socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
        let chosen = response.headers().get("sec-websocket-protocol");
        assert_eq!(chosen.map(|name| name.to_str().unwrap()), vendor.subprotocol);
        let (texts, audio, binary) = (Vec::new(), Vec::new(), vendor.binary);
        Self { socket, texts, audio, closed: None, binary }
    }

    async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// Sends samples in messages of 20 ms.
    async fn say(&mut self, vendor: &Vendor, samples: &[i16]) {
        for frame in samples.chunks(160) {
            let octets: Vec<u8> = if vendor.law {
                frame.iter().map(|sample| encode_ulaw(*sample)).collect()
            } else {
                frame.iter().flat_map(|sample| sample.to_le_bytes()).collect()
            };
            self.send((vendor.audio)(&octets)).await;
        }
    }

    /// Listens until this is so.
    async fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let listening = tokio::time::timeout(SOON, async {
            while !is(self) {
                match self.socket.next().await {
                    Some(message) => self.take(message.unwrap()),
                    None => return,
                }
            }
        });
        let _ = listening.await;
        assert!(is(self), "never: {what}; {:?}", self.texts);
    }

    async fn reached(&mut self, vendor: &Vendor, name: &str) {
        let words = (vendor.reached)(name);
        let is = |bot: &Self| bot.texts.iter().any(|text| text.contains(&words));
        self.until(&words, is).await;
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Text(text) => match serde_json::from_str::<Value>(&text) {
                Ok(media) if media["event"] == "media" => {
                    let payload = media["media"]["payload"].as_str().unwrap();
                    self.audio.extend(bellwire::speech::base64::decode(payload).unwrap());
                }
                Ok(_) | Err(_) => self.texts.push(text.to_string()),
            },
            Message::Binary(octets) => match (self.binary)(&octets) {
                Ok(audio) => self.audio.extend(audio),
                Err(text) => self.texts.push(text),
            },
            Message::Close(frame) => self.closed = frame.map(|frame| frame.code.into()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }

    fn samples(&self, law: bool) -> Vec<i16> {
        if law {
            return self.audio.iter().map(|octet| decode_ulaw(*octet)).collect();
        }
        self.audio.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}

fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}

fn payload(octets: &[u8]) -> String {
    bellwire::speech::base64::encode(octets)
}

/// A whole call in a vendor's words.
async fn converse(vendor: Vendor) {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard.wav");
    let (spoken, answer) = (noise(11, 4000), noise(12, 8000));
    let file = wav(dir.path(), "spoken.wav", &spoken);
    let phone =
        Phone::start(&["--ring", "1s", "--record", heard.to_str().unwrap(), "--play", &file]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let mut bot = Bot::attach(&daemon, &id, &vendor).await;
    let octets = 8000 * if vendor.law { 1 } else { 2 };
    bot.until("the caller", |bot| bot.audio.len() >= octets).await;
    bot.say(&vendor, &framed(&answer)).await;
    bot.send((vendor.mark)("answered")).await;
    bot.reached(&vendor, "answered").await;
    // Ten seconds that are cut after 400 ms.
    let loud = [8000_i16, -8000].repeat(40_000);
    bot.say(&vendor, &loud[..3200]).await;
    bot.send((vendor.mark)("cut")).await;
    bot.say(&vendor, &loud[3200..]).await;
    bot.reached(&vendor, "cut").await;
    bot.send((vendor.clear)()).await;
    bot.say(&vendor, &[0; 8 * SILENT_MS]).await;
    bot.send((vendor.mark)("silent")).await;
    bot.reached(&vendor, "silent").await;
    assert_eq!(daemon.delete(&format!("/v1/calls/{id}")).await, 204);
    bot.until("the close", |bot| bot.closed.is_some()).await;
    assert_eq!(bot.closed, Some(1000));
    phone.wait_for("ended");
    let call = daemon.wait_for_end(&id).await;
    let heard = read_wav(&heard);
    check(&vendor, &spoken, &answer, &bot, &heard);
    assert!(vendor.path.contains(call["stream"]["protocol"].as_str().unwrap()), "{call:#}");
}

fn check(vendor: &Vendor, spoken: &[i16], answer: &[i16], bot: &Bot, heard: &[i16]) {
    let codec = CodecId::Pcmu;
    check_exact(vendor.path, codec, &coded(codec, spoken), &bot.samples(vendor.law));
    let expected = coded(codec, answer);
    let begin = heard.iter().position(|sample| sample.unsigned_abs() > 100).unwrap();
    assert!(heard[begin..].starts_with(&expected), "{}: the answer is not exact", vendor.path);
    let behind = &heard[begin + expected.len()..];
    let loud: Vec<usize> =
        (0..behind.len()).filter(|at| behind[*at].unsigned_abs() > 4000).collect();
    // What was sent until the clear, one packet, and what a shared machine takes for the way of
    // the mark and of the clear.
    let ms = loud.len() / 8;
    assert!((400..=400 + 40 + 160).contains(&ms), "{}: {ms} ms were heard", vendor.path);
    let (first, last) = (loud[0], loud[loud.len() - 1]);
    assert_eq!(last - first + 1, loud.len(), "{}: one stretch, then silence", vendor.path);
    assert!(behind.len() - last > 4 * SILENT_MS, "{}: silence was recorded", vendor.path);
    // Where positions are told: what was played before, and this.
    let told = bot.texts.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let marks = told.filter(|told| told["type"] == "mark" && told["name"] == "silent");
    let mark = marks.reduce(|_, later| later);
    if let Some(played) = mark.and_then(|mark| mark["played_ms"].as_u64()) {
        let heard = framed(answer).len() / 8 + ms + SILENT_MS;
        assert!(played.abs_diff(heard as u64) <= 20, "{played} ms told, {heard} ms heard");
    }
}

fn twilio() -> Vendor {
    Vendor {
        path: "/twilio",
        subprotocol: None,
        law: true,
        mark: |name| text(&json!({ "event": "mark", "streamSid": "MZ", "mark": { "name": name } })),
        reached: |name| format!(r#""mark":{{"name":"{name}"}}"#),
        audio: |octets| text(&json!({ "event": "media", "media": { "payload": payload(octets) } })),
        clear: || text(&json!({ "event": "clear" })),
        binary: |octets| Ok(octets.to_vec()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twilio_media_streams() {
    converse(twilio()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telnyx_media_streaming() {
    converse(Vendor { path: "/telnyx", ..twilio() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plivo_audio_streaming() {
    converse(Vendor {
        path: "/plivo",
        mark: |name| text(&json!({ "event": "checkpoint", "name": name })),
        reached: |name| format!(r#""event":"playedStream","name":"{name}""#),
        audio: |octets| {
            let media = json!({
                "contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": payload(octets),
            });
            text(&json!({ "event": "playAudio", "media": media }))
        },
        clear: || text(&json!({ "event": "clearAudio" })),
        ..twilio()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vonage_websockets() {
    converse(Vendor {
        path: "?protocol=vonage&rate=8000",
        law: false,
        mark: |name| text(&json!({ "action": "notify", "payload": { "name": name } })),
        reached: |name| format!(r#""payload":{{"name":"{name}"}}"#),
        audio: |octets| Message::binary(octets.to_vec()),
        clear: || text(&json!({ "action": "clear" })),
        ..twilio()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jambonz_listen() {
    converse(Vendor {
        path: "/jambonz",
        subprotocol: Some("audio.drachtio.org"),
        law: false,
        mark: |name| text(&json!({ "type": "mark", "data": { "name": name } })),
        reached: |name| format!(r#""name":"{name}""#),
        audio: |octets| Message::binary(octets.to_vec()),
        clear: || text(&json!({ "type": "killAudio" })),
        ..twilio()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asterisk_websocket_channels() {
    converse(Vendor {
        path: "?protocol=asterisk",
        subprotocol: Some("media"),
        law: true,
        mark: |name| Message::text(format!("MARK_MEDIA {name}")),
        reached: |name| format!("MEDIA_MARK_PROCESSED {name}"),
        audio: |octets| Message::binary(octets.to_vec()),
        clear: || Message::text("FLUSH_MEDIA"),
        ..twilio()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipecat_frames() {
    converse(Vendor {
        path: "?protocol=pipecat&rate=8000",
        law: false,
        mark: |name| message_frame(&json!({ "type": "mark", "name": name })),
        reached: |name| format!(r#""name":"{name}""#),
        audio: |octets| {
            let rate = [vec![0x20], varint(8000), vec![0x28, 1]].concat();
            Message::binary(field(2, &[field(3, octets), rate].concat()))
        },
        clear: || Message::binary(field(5, &[])),
        binary: pipecat_frame,
        ..twilio()
    })
    .await;
}

fn message_frame(message: &Value) -> Message {
    Message::binary(field(4, &field(1, message.to_string().as_bytes())))
}

/// A protobuf field of octets.
fn field(number: u8, octets: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], varint(octets.len()), octets.to_vec()].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    while number > 0x7f {
        octets.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
    octets
}

/// The first field of octets that has this number.
fn find(mut octets: &[u8], number: u8) -> Option<&[u8]> {
    let take = |octets: &mut &[u8]| {
        let (mut number, mut shift) = (0_usize, 0);
        loop {
            let (first, rest) = octets.split_first()?;
            *octets = rest;
            number |= usize::from(first & 0x7f) << shift;
            shift += 7;
            if first & 0x80 == 0 {
                return Some(number);
            }
        }
    };
    while !octets.is_empty() {
        let key = take(&mut octets)?;
        let length = take(&mut octets)?;
        if key & 7 != 2 {
            continue;
        }
        let (value, rest) = octets.split_at_checked(length)?;
        if key >> 3 == usize::from(number) {
            return Some(value);
        }
        octets = rest;
    }
    None
}

fn pipecat_frame(octets: &[u8]) -> Result<Vec<u8>, String> {
    match find(octets, 2) {
        Some(audio) => Ok(find(audio, 3).unwrap().to_vec()),
        None => {
            let message = find(octets, 4).and_then(|message| find(message, 1)).unwrap();
            Err(String::from_utf8(message.to_vec()).unwrap())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn protocols_that_are_not_served_are_refused_before_the_upgrade() {
    let phone = Phone::start(&[]);
    let daemon = Daemon::start(&phone.address, "").await;
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({})).await;
    let host = daemon.api.trim_start_matches("http://");
    for (path, status) in [
        ("stream/exotel", 501),
        ("stream?protocol=conversationrelay", 501),
        ("stream/openai", 501),
        ("stream/pigeon", 400),
        ("stream/twilio?protocol=twilio", 400),
        ("stream/twilio?format=alaw", 400),
        ("stream/a/b", 404),
    ] {
        let refused =
            tokio_tungstenite::connect_async(format!("ws://{host}/v1/calls/{id}/{path}")).await;
        let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else {
            panic!("{path} was let in")
        };
        assert_eq!(answer.status(), status, "{path}");
        if status == 501 {
            let problem = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default());
            assert!(problem.contains("twilio, vonage, telnyx"), "{problem}");
        }
    }
    let id = daemon.create("DYNAMIC_STREAM", "stream", json!({ "protocol": "plivo" })).await;
    let bare = Vendor { path: "", ..twilio() };
    let mut bot = Bot::attach(&daemon, &id, &bare).await;
    bot.until("start", |bot| !bot.texts.is_empty()).await;
    assert!(bot.texts[0].contains(r#""streamId""#), "the create request chose: {:?}", bot.texts);
}
