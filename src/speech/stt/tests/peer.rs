//! The far end of the conformance suite: a server that speaks a vendor's documented shapes.

#![expect(clippy::cast_precision_loss, reason = "some seconds of samples")]

use super::super::{SttEngineKind, SttEngineSpec, key_for_test};
use super::PATIENCE;
use crate::audio::codec::g711::decode_ulaw;
use crate::speech::base64;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Whose shapes are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    Vosk,
    Deepgram,
    Flux,
    OpenAi,
    AssemblyAi,
}

/// All of them.
pub(super) const VENDORS: [Vendor; 5] =
    [Vendor::Vosk, Vendor::Deepgram, Vendor::Flux, Vendor::OpenAi, Vendor::AssemblyAi];

impl Vendor {
    pub(super) fn spec(self) -> SttEngineSpec {
        let kind = match self {
            Self::Vosk => SttEngineKind::Vosk,
            Self::Deepgram | Self::Flux => SttEngineKind::Deepgram,
            Self::OpenAi => SttEngineKind::OpenAi,
            Self::AssemblyAi => SttEngineKind::AssemblyAi,
        };
        let mut spec = SttEngineSpec::new("test", kind);
        spec.key = Some(key_for_test());
        spec.model = (self == Self::Flux).then(|| "flux-general-en".to_owned());
        spec
    }

    pub(super) fn ends_turns(self) -> bool {
        matches!(self, Self::Flux | Self::AssemblyAi)
    }

    /// What asks for a final.
    pub(super) fn finalise(self) -> &'static str {
        match self {
            Self::Vosk => "{\"reset\" : 1}",
            Self::Deepgram => "{\"type\":\"Finalize\"}",
            Self::Flux => "{\"type\":\"ForceEndTurn\"}",
            Self::OpenAi => "{\"type\":\"input_audio_buffer.commit\"}",
            Self::AssemblyAi => "{\"type\":\"ForceEndpoint\"}",
        }
    }

    /// What ends a session.
    pub(super) fn goodbye(self) -> &'static str {
        match self {
            Self::Vosk => "{\"eof\" : 1}",
            Self::Deepgram | Self::Flux => "{\"type\":\"CloseStream\"}",
            // The protocol has none: the rest is asked for.
            Self::OpenAi => "{\"type\":\"input_audio_buffer.commit\"}",
            Self::AssemblyAi => "{\"type\":\"Terminate\"}",
        }
    }

    /// The address and the key's field, as documented.
    fn handshake(self) -> (&'static str, &'static [&'static str], &'static str) {
        match self {
            Self::Vosk => ("/", &[], "Bearer k3y"),
            Self::Deepgram => (
                "/v1/listen",
                &["model=nova-3", "encoding=mulaw", "sample_rate=8000", "interim_results=true"],
                "Token k3y",
            ),
            Self::Flux => (
                "/v2/listen",
                &["model=flux-general-en", "encoding=mulaw", "sample_rate=8000"],
                "Token k3y",
            ),
            Self::OpenAi => ("/v1/realtime", &["intent=transcription"], "Bearer k3y"),
            Self::AssemblyAi => {
                ("/v3/ws", &["sample_rate=8000", "encoding=pcm_mulaw", "format_turns=true"], "k3y")
            }
        }
    }
}

/// Takes a connection and answers its handshake with a refusal.
pub(super) async fn refuse(listener: &TcpListener, status: &str, fields: &str) {
    let (mut tcp, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(tcp.read_buf(&mut request).await.unwrap() > 0);
    }
    let answer = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 2\r\n\r\nno");
    tcp.write_all(answer.as_bytes()).await.unwrap();
}

/// One connection of a call.
pub(super) struct Peer {
    socket: WebSocketStream<TcpStream>,
    vendor: Vendor,
    uri: String,
    key: String,
    /// All samples that came.
    pub(super) audio: Vec<i16>,
    /// Text is sent in fragments that split characters.
    pub(super) splits: bool,
    /// Octets of an unknown field in each message.
    pub(super) padding: usize,
    /// Vosk: messages without an answer.
    unanswered: u32,
    /// Utterances that are over.
    over: u64,
    /// The utterance's text so far.
    so_far: String,
}

impl Peer {
    pub(super) async fn accept(listener: &TcpListener, vendor: Vendor) -> Self {
        let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await;
        Self::upgrade(accepted.expect("a connection").unwrap().0, vendor).await
    }

    pub(super) async fn upgrade(tcp: TcpStream, vendor: Vendor) -> Self {
        let mut peer = Self::shake(tcp, vendor).await;
        match vendor {
            Vendor::Vosk => {
                let config = peer.text().await;
                assert_eq!(config["config"], json!({"sample_rate": 8000, "words": true}));
            }
            Vendor::Deepgram => {}
            Vendor::Flux => peer.say("{\"type\":\"Connected\",\"request_id\":\"r\"}").await,
            Vendor::OpenAi => {
                let update = peer.text().await;
                assert_eq!(update["type"], "session.update");
                assert_eq!(update["session"]["audio"]["input"]["format"]["type"], "audio/pcmu");
                peer.say("{\"type\":\"session.created\",\"session\":{}}").await;
                peer.say("{\"type\":\"session.updated\",\"session\":{}}").await;
            }
            Vendor::AssemblyAi => peer.say("{\"type\":\"Begin\",\"id\":\"i\"}").await,
        }
        peer
    }

    /// A connection on which the server says nothing, ever.
    pub(super) async fn accept_silent(listener: &TcpListener, vendor: Vendor) -> Self {
        let accepted = tokio::time::timeout(PATIENCE, listener.accept()).await;
        Self::shake(accepted.expect("a connection").unwrap().0, vendor).await
    }

    #[expect(clippy::result_large_err, reason = "the signature is the library's")]
    async fn shake(tcp: TcpStream, vendor: Vendor) -> Self {
        let (mut uri, mut key) = (String::new(), String::new());
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            uri = request.uri().to_string();
            let field = request.headers().get("authorization");
            key = field.and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(tcp, look).await.unwrap();
        Self {
            socket,
            vendor,
            uri,
            key,
            audio: Vec::new(),
            splits: false,
            padding: 0,
            unanswered: 0,
            over: 0,
            so_far: String::new(),
        }
    }

    pub(super) fn check_handshake(&self) {
        let (path, query, key) = self.vendor.handshake();
        let own = self.uri.split('?').next().unwrap();
        assert_eq!((own, self.key.as_str()), (path, key), "{:?}", self.vendor);
        for part in query {
            assert!(self.uri.contains(part), "{part} is not in {}", self.uri);
        }
    }

    /// Reads until so many samples came on this connection.
    pub(super) async fn hear(&mut self, samples: usize) {
        while self.audio.len() < samples {
            let text = self.read().await;
            assert!(text.is_none(), "{:?} instead of audio: {text:?}", self.vendor);
        }
    }

    /// Reads until this text comes, whatever comes before.
    pub(super) async fn hear_last(&mut self, wanted: &str) {
        while self.read().await.as_deref() != Some(wanted) {}
    }

    /// As [`Self::hear`], but this text may come between.
    pub(super) async fn hear_past(&mut self, between: &str, samples: usize) {
        while self.audio.len() < samples {
            let text = self.read().await;
            assert!(text.as_deref().is_none_or(|text| text == between), "{text:?}");
        }
    }

    /// Reads until the connection is closed, with a goodbye.
    pub(super) async fn closed(&mut self) {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        let message = message.expect("a message").expect("an open connection").unwrap();
        assert!(matches!(message, Message::Close(Some(_))), "{message:?}");
    }

    /// Reads until this text comes.
    pub(super) async fn hear_text(&mut self, wanted: &str) {
        loop {
            match self.read().await {
                Some(text) if text == wanted => return,
                Some(text) => panic!("{:?}: {text} instead of {wanted}", self.vendor),
                None => {}
            }
        }
    }

    /// Speech so far. Places: samples of this connection.
    pub(super) async fn partial(&mut self, text: &str, start: u64, end: u64) {
        let seconds = |at: u64| at as f64 / 8000.0;
        match self.vendor {
            Vendor::Vosk => {
                self.unanswered = self.unanswered.saturating_sub(1);
                self.say_json(json!({ "partial": text })).await;
            }
            Vendor::Deepgram => {
                let result = deepgram(text, start, end, false);
                self.say_json(result).await;
            }
            Vendor::Flux => {
                let event = if self.so_far.is_empty() { "StartOfTurn" } else { "Update" };
                let turn = self.flux(event, text, start, end);
                self.say_json(turn).await;
            }
            Vendor::OpenAi => {
                let item = format!("item_{}", self.over);
                if self.so_far.is_empty() {
                    self.say_json(json!({"type": "input_audio_buffer.speech_started",
                        "item_id": item, "audio_start_ms": seconds(start) * 1000.0}))
                        .await;
                }
                let more = text.strip_prefix(&*self.so_far).unwrap_or_default().to_owned();
                self.say_json(json!({"item_id": item, "content_index": 0, "delta": more,
                    "type": "conversation.item.input_audio_transcription.delta"}))
                    .await;
            }
            Vendor::AssemblyAi => {
                let turn = self.assembly(text, (start, end), false, false);
                self.say_json(turn).await;
            }
        }
        text.clone_into(&mut self.so_far);
    }

    /// An utterance's final.
    pub(super) async fn last(&mut self, text: &str, start: u64, end: u64) {
        let ms = |at: u64| at as f64 / 8.0;
        match self.vendor {
            Vendor::Vosk => {
                self.unanswered = self.unanswered.saturating_sub(1);
                let result = words(text, start, end, 8000.0, "word", "conf");
                self.say_json(json!({"result": result, "text": text})).await;
            }
            Vendor::Deepgram => {
                let result = deepgram(text, start, end, true);
                self.say_json(result).await;
            }
            Vendor::Flux => {
                let turn = self.flux("EndOfTurn", text, start, end);
                self.say_json(turn).await;
            }
            Vendor::OpenAi => {
                let item = format!("item_{}", self.over);
                if self.so_far.is_empty() {
                    self.say_json(json!({"type": "input_audio_buffer.speech_started",
                        "item_id": item, "audio_start_ms": ms(start)}))
                        .await;
                }
                self.say_json(json!({"type": "input_audio_buffer.speech_stopped",
                    "item_id": item, "audio_end_ms": ms(end)}))
                    .await;
                self.say_json(json!({"type": "input_audio_buffer.committed", "item_id": item}))
                    .await;
                self.say_json(json!({"item_id": item, "content_index": 0, "transcript": text,
                    "type": "conversation.item.input_audio_transcription.completed"}))
                    .await;
            }
            Vendor::AssemblyAi => {
                for formatted in [false, true] {
                    let turn = self.assembly(text, (start, end), true, formatted);
                    self.say_json(turn).await;
                }
            }
        }
        self.over += 1;
        self.so_far.clear();
    }

    /// Tells of an error of the service.
    pub(super) async fn fail(&mut self) {
        match self.vendor {
            Vendor::Vosk => {
                use tokio_tungstenite::tungstenite::protocol::CloseFrame;
                let frame = CloseFrame { code: 1011.into(), reason: "out of order".into() };
                self.send(Message::Close(Some(frame))).await;
            }
            Vendor::Deepgram => {
                self.say("{\"type\":\"Error\",\"description\":\"out of order\"}").await;
            }
            Vendor::Flux => {
                self.say("{\"type\":\"Error\",\"code\":\"X\",\"description\":\"out of order\"}")
                    .await;
            }
            Vendor::OpenAi => {
                let error = json!({"type": "server_error", "message": "out of order"});
                self.say_json(json!({"type": "error", "error": error})).await;
            }
            Vendor::AssemblyAi => {
                self.say("{\"type\":\"Error\",\"error\":\"out of order\"}").await;
            }
        }
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.send(Message::Text(text.into())).await;
    }

    pub(super) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    async fn say_json(&mut self, mut message: Value) {
        if self.padding > 0 {
            message["padding"] = json!("x".repeat(self.padding));
        }
        let text = message.to_string();
        if !self.splits {
            return self.say(&text).await;
        }
        let octets = text.as_bytes();
        let last = octets.len() - 1;
        for (at, octet) in octets.iter().enumerate() {
            let code = if at == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(vec![*octet], OpCode::Data(code), at == last);
            self.send(Message::Frame(frame)).await;
        }
    }

    fn flux(&self, event: &str, text: &str, start: u64, end: u64) -> Value {
        let window_end = end as f64 / 8000.0;
        json!({"type": "TurnInfo", "event": event, "turn_index": self.over, "transcript": text,
            "audio_window_start": 0.0, "audio_window_end": window_end,
            "words": words(text, start, end, 8000.0, "word", "confidence"),
            "end_of_turn_confidence": 0.75})
    }

    fn assembly(&self, text: &str, (start, end): (u64, u64), over: bool, formatted: bool) -> Value {
        json!({"type": "Turn", "turn_order": self.over, "turn_is_formatted": formatted,
            "end_of_turn": over, "transcript": if over { text } else { "" },
            "end_of_turn_confidence": 0.75, "utterance": "",
            "words": words(text, start, end, 8.0, "text", "confidence")})
    }

    async fn text(&mut self) -> Value {
        let text = self.read().await.expect("text");
        serde_json::from_str(&text).unwrap()
    }

    /// Reads one message; text that is not audio comes back.
    async fn read(&mut self) -> Option<String> {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        let message = message.expect("a message").expect("an open connection").unwrap();
        let sound = match &message {
            Message::Text(text) => match serde_json::from_str::<Value>(text) {
                Ok(json) if json["type"] == "input_audio_buffer.append" => {
                    assert_eq!(self.vendor, Vendor::OpenAi);
                    let octets = base64::decode(json["audio"].as_str().unwrap()).unwrap();
                    octets.iter().map(|octet| decode_ulaw(*octet)).collect()
                }
                _ => return Some(text.as_str().to_owned()),
            },
            Message::Binary(octets) => self.decode(octets),
            other => panic!("{:?}: {other:?}", self.vendor),
        };
        self.audio.extend::<Vec<i16>>(sound);
        if self.vendor == Vendor::Vosk {
            // All but the latest are answered, which the case at hand may answer itself.
            if self.unanswered > 0 {
                self.say("{\"partial\" : \"\"}").await;
            }
            self.unanswered = 1;
        }
        None
    }

    fn decode(&self, octets: &[u8]) -> Vec<i16> {
        match self.vendor {
            Vendor::Vosk => {
                octets.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
            }
            Vendor::Deepgram | Vendor::Flux => octets.iter().map(|o| decode_ulaw(*o)).collect(),
            Vendor::AssemblyAi => {
                assert!((400..=8000).contains(&octets.len()), "50 to 1000 ms: {}", octets.len());
                octets.iter().map(|octet| decode_ulaw(*octet)).collect()
            }
            Vendor::OpenAi => panic!("octets"),
        }
    }
}

fn deepgram(text: &str, start: u64, end: u64, is_final: bool) -> Value {
    let words = words(text, start, end, 8000.0, "word", "confidence");
    json!({"type": "Results", "channel_index": [0, 1], "is_final": is_final,
        "speech_final": is_final, "start": start as f64 / 8000.0,
        "duration": (end - start) as f64 / 8000.0,
        "channel": {"alternatives": [{"transcript": text, "confidence": 0.9, "words": words}]}})
}

/// The words of a text, evenly spread.
fn words(text: &str, start: u64, end: u64, units: f64, name: &str, confidence: &str) -> Value {
    let all: Vec<&str> = text.split(' ').collect();
    let step = (end - start) as f64 / all.len() as f64;
    let place = |n: usize| (start as f64 + step * n as f64) / units;
    let word = |(n, word): (usize, &&str)| json!({name: word, "start": place(n), "end": place(n + 1), confidence: 0.5});
    all.iter().enumerate().map(word).collect()
}
