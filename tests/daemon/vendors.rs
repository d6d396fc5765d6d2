//! Clients of the native protocol and of every dialect, as their vendors' programs write.
//!
//! Owns how each asks for a mark, sends sound and clears. Does not judge what becomes of it.

use super::rig::{Daemon, SOON};
use bellwire::audio::codec::g711::{decode_ulaw, encode_ulaw};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// How a vendor's client writes.
pub struct Vendor {
    /// Behind `/stream`, and the subprotocol, if any.
    pub path: &'static str,
    pub subprotocol: Option<&'static str>,
    /// Its samples are octets of µ-law.
    pub law: bool,
    /// The name of a mark in the text that asks for it and in the one that tells of it.
    pub mark: fn(&str) -> Message,
    pub reached: fn(&str) -> String,
    pub audio: fn(&[u8]) -> Message,
    pub clear: fn() -> Message,
    /// What is in a binary message: audio, or a text.
    pub binary: fn(&[u8]) -> Result<Vec<u8>, String>,
}

pub struct Bot {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Texts that came, and what a binary message held beside audio.
    pub texts: Vec<String>,
    pub audio: Vec<u8>,
    pub closed: Option<u16>,
    pub binary: fn(&[u8]) -> Result<Vec<u8>, String>,
}

impl Bot {
    pub async fn attach(daemon: &Daemon, call: &str, vendor: &Vendor) -> Self {
        let host = daemon.api.trim_start_matches("http://");
        let url = format!("ws://{host}/v1/calls/{call}/stream{}", vendor.path);
        let mut request = url.into_client_request().unwrap();
        if let Some(name) = vendor.subprotocol {
            request.headers_mut().insert("Sec-WebSocket-Protocol", name.parse().unwrap());
        }
        // Without Nagle's algorithm, as such programs are: a second message would wait for the
        // acknowledgement of the first, and the far end would hear a gap.
        let connected = connect_async_with_config(request, None, true).await;
        let (socket, response) = connected.unwrap();
        let chosen = response.headers().get("sec-websocket-protocol");
        assert_eq!(chosen.map(|name| name.to_str().unwrap()), vendor.subprotocol);
        let (texts, audio, binary) = (Vec::new(), Vec::new(), vendor.binary);
        Self { socket, texts, audio, closed: None, binary }
    }

    pub async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// Sends samples in messages of 20 ms.
    pub async fn say(&mut self, vendor: &Vendor, samples: &[i16]) {
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
    pub async fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
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

    pub async fn reached(&mut self, vendor: &Vendor, name: &str) {
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

    pub fn samples(&self, law: bool) -> Vec<i16> {
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

/// The native protocol, then every dialect; all at 8 kHz.
pub fn all() -> [Vendor; 9] {
    [
        native(),
        twilio(),
        telnyx(),
        plivo(),
        vonage(),
        jambonz(),
        asterisk(),
        asterisk_json(),
        pipecat(),
    ]
}

pub fn native() -> Vendor {
    Vendor {
        path: "?protocol=native&rate=8000&out_rate=8000&listen=caller",
        subprotocol: Some("bellwire.stream.v1"),
        law: false,
        mark: |name| text(&json!({ "type": "mark", "name": name })),
        reached: |name| format!(r#""name":"{name}""#),
        audio: |octets| Message::binary(octets.to_vec()),
        clear: || text(&json!({ "type": "clear" })),
        ..twilio()
    }
}

pub fn twilio() -> Vendor {
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

pub fn telnyx() -> Vendor {
    Vendor { path: "/telnyx", ..twilio() }
}

pub fn plivo() -> Vendor {
    Vendor {
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
    }
}

pub fn vonage() -> Vendor {
    Vendor {
        path: "?protocol=vonage&rate=8000",
        law: false,
        mark: |name| text(&json!({ "action": "notify", "payload": { "name": name } })),
        reached: |name| format!(r#""payload":{{"name":"{name}"}}"#),
        audio: |octets| Message::binary(octets.to_vec()),
        clear: || text(&json!({ "action": "clear" })),
        ..twilio()
    }
}

pub fn jambonz() -> Vendor {
    Vendor {
        path: "/jambonz",
        subprotocol: Some("audio.drachtio.org"),
        law: false,
        mark: |name| text(&json!({ "type": "mark", "data": { "name": name } })),
        reached: |name| format!(r#""name":"{name}""#),
        audio: |octets| Message::binary(octets.to_vec()),
        clear: || text(&json!({ "type": "killAudio" })),
        ..twilio()
    }
}

pub fn asterisk() -> Vendor {
    Vendor {
        path: "?protocol=asterisk",
        subprotocol: Some("media"),
        law: true,
        mark: |name| Message::text(format!("MARK_MEDIA {name}")),
        reached: |name| format!("MEDIA_MARK_PROCESSED {name}"),
        audio: |octets| Message::binary(octets.to_vec()),
        clear: || Message::text("FLUSH_MEDIA"),
        ..twilio()
    }
}

pub fn pipecat() -> Vendor {
    Vendor {
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
    }
}

pub fn asterisk_json() -> Vendor {
    Vendor {
        path: "?protocol=asterisk-json",
        mark: |name| text(&json!({ "command": "MARK_MEDIA", "correlation_id": name })),
        reached: |name| format!(r#""correlation_id":"{name}""#),
        clear: || text(&json!({ "command": "FLUSH_MEDIA" })),
        ..asterisk()
    }
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
