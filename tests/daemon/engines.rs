//! Loopback servers that speak the documented shapes of a chat model and of a transcriber.

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
