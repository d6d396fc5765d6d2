//! Loopback servers that speak the documented shapes of a chat model, of a speech-to-speech model
//! and of a transcriber.

use super::rig::{rms, tone};
use bellwire::audio::codec::g711::{decode_ulaw, encode_ulaw};
use bellwire::speech::base64;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// What a model answers: deltas of `choices[0]`, in order.
pub type Answer = Vec<Value>;

/// A chat completion server; ends with the test.
pub struct ChatServer {
    pub url: String,
    /// Bodies of the requests, in order.
    pub requests: Arc<Mutex<Vec<Value>>>,
}

impl ChatServer {
    /// Answers each request with what `brain` makes of it.
    pub async fn start(brain: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, brain) = (Arc::clone(&requests), Arc::new(brain));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (seen, brain) = (Arc::clone(&seen), Arc::clone(&brain));
                tokio::spawn(async move { serve(socket, &seen, &*brain).await });
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves one connection until the client is gone.
async fn serve(
    mut socket: TcpStream,
    seen: &Mutex<Vec<Value>>,
    brain: &(dyn Fn(&Value) -> Answer + Send + Sync),
) -> Option<()> {
    loop {
        let body = read_request(&mut socket).await?;
        seen.lock().unwrap().push(body.clone());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).await.ok()?;
        for choice in brain(&body) {
            let event = json!({ "object": "chat.completion.chunk", "choices": [choice] });
            chunk(&mut socket, &format!("data: {event}\n\n")).await?;
        }
        let usage =
            json!({ "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20} });
        chunk(&mut socket, &format!("data: {usage}\n\ndata: [DONE]\n\n")).await?;
        socket.write_all(b"0\r\n\r\n").await.ok()?;
    }
}

async fn chunk(socket: &mut TcpStream, text: &str) -> Option<()> {
    let framed = format!("{:x}\r\n{text}\r\n", text.len());
    socket.write_all(framed.as_bytes()).await.ok()
}

async fn read_request(socket: &mut TcpStream) -> Option<Value> {
    let mut octets = Vec::new();
    loop {
        if let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&octets[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            let length: usize = length.trim().parse().ok()?;
            if octets.len() >= end + 4 + length {
                return serde_json::from_slice(&octets[end + 4..end + 4 + length]).ok();
            }
        }
        let mut piece = [0; 4096];
        match socket.read(&mut piece).await.ok()? {
            0 => return None,
            count => octets.extend_from_slice(&piece[..count]),
        }
    }
}

/// Words of an answer, cut into small deltas.
pub fn words(text: &str) -> Answer {
    let pieces: Vec<char> = text.chars().collect();
    let delta = |piece: &[char]| {
        let content: String = piece.iter().collect();
        json!({ "index": 0, "delta": { "content": content }, "finish_reason": null })
    };
    let mut answer: Answer = pieces.chunks(7).map(delta).collect();
    answer.push(json!({ "index": 0, "delta": {}, "finish_reason": "stop" }));
    answer
}

/// A tool call whose arguments come in two deltas.
pub fn tool(id: &str, name: &str, arguments: &Value) -> Answer {
    let text = arguments.to_string();
    let (first, second) = text.split_at(text.len() / 2);
    let call = |delta: Value| json!({ "index": 0, "delta": delta, "finish_reason": null });
    vec![
        call(json!({ "tool_calls": [{
            "index": 0, "id": id, "type": "function",
            "function": { "name": name, "arguments": first },
        }] })),
        call(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": second } }] })),
        json!({ "index": 0, "delta": {}, "finish_reason": "tool_calls" }),
    ]
}

/// What a speech-to-speech model does next.
pub enum Act {
    /// Says words with a tone of so many hertz and seconds.
    Say(&'static str, f64, f64),
    /// Calls a tool.
    Call(&'static str, Value),
}

/// A server of OpenAI's Realtime protocol; ends with the test.
pub struct RealtimeServer {
    pub url: String,
    /// What it was told but sound, in order.
    seen: Arc<Mutex<Vec<Value>>>,
}

impl RealtimeServer {
    /// Makes these answers, one after the other: when it is asked to, and when the caller, whose
    /// words are `said`, has stopped speaking.
    pub async fn start(said: &'static str, answers: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/realtime", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            if let Ok((socket, _)) = listener.accept().await {
                let socket = tokio_tungstenite::accept_async(socket).await.unwrap();
                let answers = answers.into_iter();
                let (loud, quiet, made) = (0, 0, 0);
                Model { socket, said, answers, log, loud, quiet, made }.talk().await;
            }
        });
        Self { url, seen }
    }

    /// Messages of a type that it got.
    pub fn seen(&self, kind: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|message| message["type"] == kind).cloned().collect()
    }
}

/// One session of it.
struct Model {
    socket: tokio_tungstenite::WebSocketStream<TcpStream>,
    said: &'static str,
    answers: std::vec::IntoIter<Vec<Act>>,
    log: Arc<Mutex<Vec<Value>>>,
    /// Samples of the caller's voice, and of the silence after it.
    loud: usize,
    quiet: usize,
    /// Items so far.
    made: usize,
}

impl Model {
    async fn talk(&mut self) -> Option<()> {
        loop {
            let Message::Text(text) = self.socket.next().await?.ok()? else { continue };
            let message: Value = serde_json::from_str(&text).ok()?;
            match message["type"].as_str()? {
                "input_audio_buffer.append" => self.hear(message["audio"].as_str()?).await?,
                kind => {
                    self.log.lock().unwrap().push(message.clone());
                    match kind {
                        "session.update" => self.tell(json!({"type": "session.updated"})).await?,
                        "response.create" => self.answer().await?,
                        _ => {}
                    }
                }
            }
        }
    }

    async fn tell(&mut self, message: Value) -> Option<()> {
        self.socket.send(Message::text(message.to_string())).await.ok()
    }

    /// Finds the caller's voice: 100 ms of it begin a turn, 400 ms of silence end it.
    async fn hear(&mut self, sound: &str) -> Option<()> {
        const BEGINS: usize = 800;
        let octets = base64::decode(sound)?;
        let samples: Vec<i16> = octets.iter().map(|octet| decode_ulaw(*octet)).collect();
        if rms(&samples) > 300.0 {
            let before = self.loud;
            (self.loud, self.quiet) = (before + samples.len(), 0);
            if before < BEGINS && self.loud >= BEGINS {
                let kind = "input_audio_buffer.speech_started";
                self.tell(json!({"type": kind, "audio_start_ms": 0})).await?;
            }
            return Some(());
        }
        self.quiet += samples.len();
        if self.quiet < 3200 {
            return Some(());
        }
        if std::mem::take(&mut self.loud) >= BEGINS {
            let kind = "input_audio_buffer.speech_stopped";
            self.tell(json!({"type": kind, "audio_end_ms": 0})).await?;
            let kind = "conversation.item.input_audio_transcription.completed";
            self.tell(json!({"type": kind, "transcript": self.said})).await?;
            self.answer().await?;
        }
        Some(())
    }

    async fn answer(&mut self) -> Option<()> {
        let Some(acts) = self.answers.next() else { return Some(()) };
        self.tell(json!({"type": "response.created", "response": {}})).await?;
        for act in acts {
            self.made += 1;
            let item = format!("item_{}", self.made);
            match act {
                Act::Say(words, hz, seconds) => self.say(&item, words, hz, seconds).await?,
                Act::Call(name, arguments) => {
                    let call = json!({"type": "function_call", "call_id": item, "name": name,
                        "arguments": arguments.to_string()});
                    self.tell(json!({"type": "response.output_item.done", "item": call})).await?;
                }
            }
        }
        let usage = json!({"input_tokens": 50, "output_tokens": 70});
        let done = json!({"status": "completed", "usage": usage});
        self.tell(json!({"type": "response.done", "response": done})).await
    }

    /// Sound comes faster than it is spoken, words before it.
    async fn say(&mut self, item: &str, words: &str, hz: f64, seconds: f64) -> Option<()> {
        for word in words.split_inclusive(' ') {
            let kind = "response.output_audio_transcript.delta";
            self.tell(json!({"type": kind, "item_id": item, "delta": word})).await?;
        }
        let octets: Vec<u8> =
            tone(8000, hz, seconds).iter().map(|sample| encode_ulaw(*sample)).collect();
        for piece in octets.chunks(3200) {
            let delta = base64::encode(piece);
            let kind = "response.output_audio.delta";
            self.tell(json!({"type": kind, "item_id": item, "delta": delta})).await?;
        }
        self.tell(json!({"type": "response.output_audio.done", "item_id": item})).await?;
        let kind = "response.output_audio_transcript.done";
        self.tell(json!({"type": kind, "item_id": item, "transcript": words})).await
    }
}

/// Starts a Vosk server that hears `phrases`, one after the other: each is told when loud audio
/// was followed by 300 ms of silence.
pub async fn vosk(phrases: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move { hear(socket, phrases).await });
        }
    });
    url
}

async fn hear(socket: TcpStream, phrases: &[&str]) -> Option<()> {
    let mut socket = tokio_tungstenite::accept_async(socket).await.ok()?;
    let mut phrases = phrases.iter();
    let (mut loud, mut silent) = (0, 0);
    while let Some(Ok(message)) = socket.next().await {
        let answer = match message {
            Message::Binary(octets) => {
                let power = |pair: &[u8]| f64::from(i16::from_le_bytes([pair[0], pair[1]])).powi(2);
                let samples = octets.len() / 2;
                let rms = (octets.chunks_exact(2).map(power).sum::<f64>() / samples as f64).sqrt();
                if rms > 300.0 {
                    (loud, silent) = (loud + samples, 0);
                } else {
                    silent += samples;
                }
                if loud > 1600 && silent > 2400 {
                    loud = 0;
                    json!({ "text": phrases.next().copied().unwrap_or_default() })
                } else {
                    json!({ "partial": "" })
                }
            }
            Message::Text(text) if text.contains("eof") => json!({ "text": "" }),
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            Message::Close(_) => return None,
        };
        socket.send(Message::text(answer.to_string())).await.ok()?;
    }
    None
}

/// A webhook's receiver; ends with the test.
pub struct HookServer {
    pub url: String,
    /// Bodies of the requests, in order.
    pub requests: Arc<Mutex<Vec<Value>>>,
}

impl HookServer {
    /// Answers each request with status and body.
    pub async fn start(decide: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/calls", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, decide) = (Arc::clone(&requests), Arc::new(decide));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (seen, decide) = (Arc::clone(&seen), Arc::clone(&decide));
                tokio::spawn(async move {
                    while let Some(body) = read_request(&mut socket).await {
                        seen.lock().unwrap().push(body.clone());
                        let (status, answer) = decide(&body);
                        let text = answer.to_string();
                        let head = format!(
                            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\
                             Content-Length: {}\r\n\r\n{text}",
                            text.len()
                        );
                        if socket.write_all(head.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, requests }
    }
}
