//! A WebSocket client of the stream, as a program of ours would be one.

use super::rig::{Daemon, SOON};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

/// An attached client, or one that the gateway dialled.
pub struct Client<S = TcpStream> {
    socket: WebSocketStream<S>,
    /// Octets of all binary messages.
    pub audio: Vec<u8>,
    /// The number of the last message that came.
    pub seq: u64,
    /// Text messages that came before the one that was waited for.
    before: Vec<Value>,
}

impl Client {
    /// Attaches to a call; with a query as a native client.
    pub async fn attach(daemon: &Daemon, call: &str, query: &str) -> Self {
        Self::try_attach(daemon, call, query, None).await.unwrap()
    }

    /// Attaches as soon as the seat is free: another client was there a moment ago.
    pub async fn attach_next(daemon: &Daemon, call: &str, query: &str) -> Self {
        let until = Instant::now() + SOON;
        loop {
            match Self::try_attach(daemon, call, query, None).await {
                Ok(client) => return client,
                Err(error) => assert!(Instant::now() < until, "the seat stays taken: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The status with which an attach is refused.
    pub async fn refused(daemon: &Daemon, call: &str, query: &str) -> u16 {
        match Self::try_attach(daemon, call, query, None).await {
            Err(Error::Http(answer)) => answer.status().as_u16(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was let in"),
        }
    }

    /// Attaches with hardly any room for what the server sends.
    pub async fn attach_narrow(daemon: &Daemon, call: &str, query: &str) -> Self {
        Self::try_attach(daemon, call, query, Some(4096)).await.unwrap()
    }

    async fn try_attach(
        daemon: &Daemon,
        call: &str,
        query: &str,
        room: Option<u32>,
    ) -> Result<Self, Error> {
        let host = daemon.api.trim_start_matches("http://");
        let url = format!("ws://{host}/v1/calls/{call}/stream{query}");
        let mut request = url.into_client_request().unwrap();
        if !query.is_empty() {
            let protocol = "bellwire.stream.v1".parse().unwrap();
            request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        }
        let tcp = TcpSocket::new_v4().unwrap();
        if let Some(room) = room {
            tcp.set_recv_buffer_size(room).unwrap();
        }
        let tcp = tcp.connect(host.parse().unwrap()).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, tcp).await?;
        Ok(Self::over(socket))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// One end of a socket that is open.
    pub fn over(socket: WebSocketStream<S>) -> Self {
        Self { socket, audio: Vec::new(), seq: 0, before: Vec::new() }
    }

    fn read(&mut self, text: &str) -> Value {
        let message: Value = serde_json::from_str(text).unwrap();
        self.seq = message["seq"].as_u64().unwrap_or(self.seq);
        message
    }

    /// Closes with this code.
    pub async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
    }

    pub async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Sends 16-bit samples in chunks of so many octets.
    pub async fn send_audio(&mut self, samples: &[i16], chunk: usize) {
        let octets: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.send_octets(&octets, chunk).await;
    }

    /// Sends a file or a stretch of one in chunks of so many octets.
    pub async fn send_octets(&mut self, octets: &[u8], chunk: usize) {
        for chunk in octets.chunks(chunk) {
            self.socket.send(Message::binary(chunk.to_vec())).await.unwrap();
        }
    }

    /// Sends a text as it is.
    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Hangs up when all that was sent has been played, and waits for the last message.
    pub async fn finish(&mut self) -> Value {
        self.send(json!({ "type": "hangup", "after": "playback" })).await;
        self.next("stop").await
    }

    /// Listens until this many octets of caller audio have come.
    pub async fn hear(&mut self, octets: usize) {
        let heard = tokio::time::timeout(SOON, async {
            while self.audio.len() < octets {
                match self.socket.next().await.expect("the stream goes on").unwrap() {
                    Message::Text(text) => {
                        let message = self.read(&text);
                        self.before.push(message);
                    }
                    Message::Binary(bytes) => self.audio.extend_from_slice(&bytes),
                    Message::Close(frame) => panic!("closed: {frame:?}"),
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
            }
        });
        assert!(heard.await.is_ok(), "only {} octets came", self.audio.len());
    }

    /// Waits for the server's close, and gives its code.
    pub async fn closed(&mut self) -> u16 {
        let closed = tokio::time::timeout(SOON, async {
            while let Some(message) = self.socket.next().await {
                if let Message::Close(Some(frame)) = message.unwrap() {
                    return u16::from(frame.code);
                }
            }
            panic!("the stream ended without a close")
        });
        closed.await.unwrap_or_else(|_| panic!("no close came"))
    }

    /// The next text message of this type; others are kept for later, binary ones too.
    pub async fn next(&mut self, kind: &str) -> Value {
        if let Some(at) = self.before.iter().position(|message| message["type"] == kind) {
            return self.before.remove(at);
        }
        let found = tokio::time::timeout(SOON, async {
            while let Some(message) = self.socket.next().await {
                match message.unwrap() {
                    Message::Text(text) => {
                        let message = self.read(&text);
                        if message["type"] == kind {
                            return message;
                        }
                        self.before.push(message);
                    }
                    Message::Binary(bytes) => self.audio.extend_from_slice(&bytes),
                    Message::Close(frame) => panic!("closed before {kind}: {frame:?}"),
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
            }
            panic!("the stream ended before {kind}")
        });
        found.await.unwrap_or_else(|_| panic!("no {kind} came"))
    }

    /// The next event of the call of this name.
    pub async fn event(&mut self, event: &str) -> Value {
        loop {
            let message = self.next("call_event").await;
            if message["event"] == event {
                return message;
            }
        }
    }

    /// What came from the caller, as 16-bit samples.
    pub fn samples(&self) -> Vec<i16> {
        self.audio.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}
