//! The far ends: servers and programs that behave as told, and remember what they were asked.

use super::until;
use crate::speech::base64;
use crate::speech::key::ApiKey;
use crate::speech::tts::{TtsEngineKind, TtsEngineSpec};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// An ordinary sentence.
pub(super) const TEXT: &str = "Hello dear \u{201c}w\u{f6}rld\u{201d}, it's 100% me.";
/// What is left of it for an engine that reads numbers itself; see [`check_request`].
const KEY: &str = "sk-test-key";

/// One second at 8 kHz in which no two neighbours are alike.
pub(super) fn sound() -> Vec<i16> {
    (0..8000_i32).map(|n| i16::try_from(n * 7919 % 20_011 - 10_000).unwrap()).collect()
}

fn octets() -> Vec<u8> {
    sound().iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn wav() -> Vec<u8> {
    let octets = octets();
    let mut out = b"RIFF".to_vec();
    let length = u32::try_from(octets.len()).unwrap();
    out.extend((length + 36).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend(8000_u32.to_le_bytes());
    out.extend(16_000_u32.to_le_bytes());
    out.extend(b"\x02\0\x10\0data");
    out.extend(length.to_le_bytes());
    out.extend(octets);
    out
}

/// Who is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    OpenAi,
    Piper,
    Command,
    ElevenLabs,
    Cartesia,
    Deepgram,
}

impl Kind {
    pub(super) fn tells_words(self) -> bool {
        matches!(self, Self::ElevenLabs | Self::Cartesia)
    }

    fn is_http(self) -> bool {
        matches!(self, Self::OpenAi | Self::Piper)
    }
}

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Speak,
    /// And closes the connection behind it.
    SpeakOnce,
    SlowFirst,
    Splinters,
    SilentStall,
    StallMiddle,
    BreakMiddle,
    HalfClosed,
    WrongContent,
    Throttle,
}

/// What was asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    heads: Vec<String>,
    messages: Vec<Value>,
    closed: usize,
}

impl Seen {
    fn with<T>(&self, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

/// Ends with the test.
pub(super) struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the far end and declares the engine for it.
pub(super) async fn engine(
    kind: Kind,
    behaviour: Behaviour,
    dir: &Path,
    seen: &Seen,
) -> (TtsEngineSpec, Option<Server>) {
    let engine_kind = match kind {
        Kind::OpenAi => TtsEngineKind::OpenAi,
        Kind::Piper => TtsEngineKind::Piper,
        Kind::Command => TtsEngineKind::Command,
        Kind::ElevenLabs => TtsEngineKind::ElevenLabs,
        Kind::Cartesia => TtsEngineKind::Cartesia,
        Kind::Deepgram => TtsEngineKind::Deepgram,
    };
    let mut spec = TtsEngineSpec::new("x", engine_kind);
    spec.key = Some(ApiKey::new(KEY));
    spec.model = Some("model-1".to_owned());
    spec.rate = Some(8000);
    if kind == Kind::Command {
        command(&mut spec, behaviour, dir);
        return (spec, None);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spec.url = Some(match kind {
        Kind::OpenAi => format!("http://{address}/v1/"),
        Kind::Piper => format!("http://{address}/synthesize"),
        _ => format!("ws://{address}"),
    });
    let seen = seen.clone();
    let task = tokio::spawn(async move {
        loop {
            let Ok((socket, _)) = listener.accept().await else { return };
            let seen = seen.clone();
            tokio::spawn(async move {
                if kind.is_http() {
                    serve_http(kind, behaviour, socket, seen).await;
                } else {
                    serve_socket(kind, behaviour, socket, seen).await;
                }
            });
        }
    });
    (spec, Some(Server(task)))
}

fn command(spec: &mut TtsEngineSpec, behaviour: Behaviour, dir: &Path) {
    std::fs::write(dir.join("sound"), octets()).unwrap();
    let play = match behaviour {
        Behaviour::Speak | Behaviour::SpeakOnce => "cat sound",
        Behaviour::SlowFirst => "sleep 0.15; cat sound",
        Behaviour::Splinters => {
            "head -c 1 sound; sleep 0.01; tail -c +2 sound | head -c 6; sleep 0.01; tail -c +8 sound"
        }
        Behaviour::SilentStall => "exec sleep 100",
        Behaviour::StallMiddle => "sleep 100 & echo $! > child; head -c 9001 sound; wait",
        Behaviour::BreakMiddle => "head -c 9001 sound; echo 'it bröke' >&2; exit 3",
        Behaviour::HalfClosed => "cat sound; exec sleep 100 >&-",
        Behaviour::WrongContent => "echo '{\"error\": \"no such voice\"}'",
        Behaviour::Throttle => "exit 1",
    };
    if behaviour == Behaviour::WrongContent {
        spec.rate = None;
    }
    let script = format!(
        "cd '{}'; echo $$ > pid; echo \"$@\" > args; env > env; cat >> heard; {play}",
        dir.display()
    );
    spec.command = ["sh", "-c", &script, "say", "--voice={voice}", "--wpm={wpm}", "--rate={rate}"]
        .map(String::from)
        .into();
}

async fn serve_http(kind: Kind, behaviour: Behaviour, mut socket: TcpStream, seen: Seen) {
    while let Some((head, body)) = read_request(&mut socket).await {
        seen.with(|log| {
            log.heads.push(head);
            log.messages.push(serde_json::from_slice(&body).unwrap());
        });
        if !answer_http(kind, behaviour, &mut socket).await {
            break;
        }
    }
    seen.with(|log| log.closed += 1);
}

async fn read_request(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut octets = Vec::new();
    let mut part = [0; 4096];
    loop {
        let count = socket.read(&mut part).await.ok().filter(|count| *count > 0)?;
        octets.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&octets).into_owned();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let head = text[..end].to_lowercase();
        let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
        if octets.len() >= end + 4 + length.parse::<usize>().unwrap() {
            return Some((text[..end].to_owned(), octets.split_off(end + 4)));
        }
    }
}

/// Whether the connection may go on.
async fn answer_http(kind: Kind, behaviour: Behaviour, socket: &mut TcpStream) -> bool {
    let whole = if kind == Kind::Piper { wav() } else { octets() };
    let mime = if kind == Kind::Piper { "audio/wav" } else { "audio/pcm" };
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {mime}\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = |octets: &[u8]| {
        let mut out = format!("{:x}\r\n", octets.len()).into_bytes();
        out.extend_from_slice(octets);
        out.extend_from_slice(b"\r\n");
        out
    };
    let (mut send, mut finish) = (Vec::new(), true);
    match behaviour {
        Behaviour::Speak | Behaviour::SpeakOnce | Behaviour::SlowFirst => {
            if behaviour == Behaviour::SlowFirst {
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            send = [head.into_bytes(), chunk(&whole)].concat();
        }
        Behaviour::Splinters => {
            socket.write_all(head.as_bytes()).await.unwrap();
            for part in whole.chunks(1237) {
                let (odd, rest) = part.split_at(1);
                for piece in [odd, rest].into_iter().filter(|piece| !piece.is_empty()) {
                    socket.write_all(&chunk(piece)).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        }
        Behaviour::SilentStall => finish = false,
        Behaviour::StallMiddle | Behaviour::BreakMiddle | Behaviour::HalfClosed => {
            send = [head.into_bytes(), chunk(&whole[..9001])].concat();
            finish = false;
        }
        Behaviour::WrongContent => {
            let body = "{\"error\": {\"message\": \"no such voice: \u{e9}t\u{e9}\"}}";
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let cut = head.len() + body.find('\u{e9}').unwrap() + 1;
            let all = [head.as_bytes(), body.as_bytes()].concat();
            socket.write_all(&all[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            socket.write_all(&all[cut..]).await.unwrap();
            return true;
        }
        Behaviour::Throttle => {
            let answer =
                "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nslow";
            socket.write_all(answer.as_bytes()).await.unwrap();
            return true;
        }
    }
    let _ = socket.write_all(&send).await;
    match behaviour {
        Behaviour::BreakMiddle => return false,
        Behaviour::HalfClosed => drop(socket.shutdown().await),
        _ => {}
    }
    if finish {
        let _ = socket.write_all(b"0\r\n\r\n").await;
    } else {
        // Waits until the client has gone.
        let _ = socket.read(&mut [0; 16]).await;
    }
    finish && behaviour != Behaviour::SpeakOnce
}

async fn serve_socket(kind: Kind, behaviour: Behaviour, mut tcp: TcpStream, seen: Seen) {
    if behaviour == Behaviour::Throttle {
        let _ = tcp.read(&mut [0; 4096]).await;
        let answer =
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nslow";
        let _ = tcp.write_all(answer.as_bytes()).await;
        let _ = tcp.read(&mut [0; 16]).await;
        return;
    }
    let mut peeked = vec![0; 4096];
    let count = tcp.peek(&mut peeked).await.unwrap();
    let head = String::from_utf8_lossy(&peeked[..count]).into_owned();
    seen.with(|log| log.heads.push(head));
    let Ok(mut socket) = tokio_tungstenite::accept_async(tcp).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(text.as_str()).unwrap();
        seen.with(|log| log.messages.push(message.clone()));
        let context = message["context_id"].as_str().unwrap_or_default().to_owned();
        let asks = match kind {
            Kind::ElevenLabs => message["flush"] == true,
            Kind::Cartesia => message["transcript"].is_string(),
            _ => message["type"] == "Flush",
        };
        if asks {
            let said = seen.with(|log| log.messages.clone());
            if !answer_socket(kind, behaviour, &mut socket, &context, &said).await {
                break;
            }
        }
        let closes = kind == Kind::ElevenLabs && message["close_context"] == true;
        if closes && speaks(behaviour) {
            let last = json!({ "isFinal": true, "contextId": context });
            let _ = socket.send(Message::text(last.to_string())).await;
        }
        let spoken = closes || asks && kind != Kind::ElevenLabs;
        if spoken && behaviour == Behaviour::SpeakOnce {
            break;
        }
    }
    seen.with(|log| log.closed += 1);
}

fn speaks(behaviour: Behaviour) -> bool {
    matches!(
        behaviour,
        Behaviour::Speak | Behaviour::SpeakOnce | Behaviour::SlowFirst | Behaviour::Splinters
    )
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn answer_socket(
    kind: Kind,
    behaviour: Behaviour,
    socket: &mut Socket,
    context: &str,
    said: &[Value],
) -> bool {
    let whole = octets();
    match behaviour {
        Behaviour::SilentStall => return true,
        Behaviour::WrongContent => {
            let _ = socket.send(Message::text("<html>not json</html>")).await;
            return true;
        }
        Behaviour::SlowFirst => tokio::time::sleep(Duration::from_millis(150)).await,
        _ => {}
    }
    let sound = if speaks(behaviour) { &whole[..] } else { &whole[..9001] };
    // Of another conversation: not for us.
    let other = json!({ "type": "chunk", "context_id": "other", "contextId": "other",
        "audio": base64::encode(b"xxxx"), "data": base64::encode(b"xxxx"), "new": { "field": 1 } });
    let _ = socket.send(Message::text(other.to_string())).await;
    let size = if behaviour == Behaviour::Splinters { 1237 } else { 4000 };
    for (at, part) in sound.chunks(size).enumerate() {
        if kind == Kind::Deepgram {
            let _ = socket.send(Message::binary(part.to_vec())).await;
            continue;
        }
        let mut message = match kind {
            Kind::Cartesia => json!({ "type": "chunk", "context_id": context, "done": false,
                "status_code": 206, "data": base64::encode(part) }),
            _ => json!({ "audio": base64::encode(part), "contextId": context, "isFinal": null }),
        };
        message["note"] = json!("\u{e9}\u{20ac}\u{1f600}");
        if at == 0 && kind == Kind::ElevenLabs {
            message["alignment"] = alignment(said, context);
        }
        send_text(socket, &message.to_string(), behaviour == Behaviour::Splinters).await;
    }
    if kind == Kind::Cartesia {
        let words = json!({ "type": "timestamps", "context_id": context, "word_timestamps": {
            "words": ["Hello", "dear", "\u{201c}w\u{f6}rld\u{201d},"], "start": [0.0, 0.1, 0.2], "end": [0.09, 0.19, 0.4] } });
        let _ = socket.send(Message::text(words.to_string())).await;
    }
    match (behaviour, kind) {
        (Behaviour::BreakMiddle, Kind::ElevenLabs) => {
            let error = json!({ "message": "it br\u{f6}ke", "error": "internal", "code": 1011 });
            let _ = socket.send(Message::text(error.to_string())).await;
        }
        (Behaviour::BreakMiddle, Kind::Cartesia) => {
            let error = json!({ "type": "error", "context_id": context, "done": true,
                "status_code": 500, "error": "it br\u{f6}ke" });
            let _ = socket.send(Message::text(error.to_string())).await;
        }
        (Behaviour::BreakMiddle, _) => return false,
        (Behaviour::HalfClosed, _) => drop(socket.get_mut().shutdown().await),
        (_, Kind::Cartesia) if speaks(behaviour) => {
            let done = json!({ "type": "done", "done": true, "context_id": context });
            let _ = socket.send(Message::text(done.to_string())).await;
        }
        (_, Kind::Deepgram) if speaks(behaviour) => {
            let done = json!({ "type": "Flushed", "sequence_id": 0 });
            let _ = socket.send(Message::text(done.to_string())).await;
        }
        _ => {}
    }
    true
}

/// Ten milliseconds for each letter of what was said in this context.
fn alignment(said: &[Value], context: &str) -> Value {
    let mine = said.iter().filter(|message| message["context_id"] == context);
    let text: String = mine.filter_map(|message| message["text"].as_str()).collect();
    let chars: Vec<String> = text.trim_start().chars().map(String::from).collect();
    let starts: Vec<usize> = (0..chars.len()).map(|at| at * 10).collect();
    json!({ "charDurationsMs": vec![10; chars.len()], "charStartTimesMs": starts, "chars": chars })
}

/// As one frame, or cut within a letter of several octets.
async fn send_text(socket: &mut Socket, text: &str, cut: bool) {
    if !cut {
        let _ = socket.send(Message::text(text.to_owned())).await;
        return;
    }
    let at = text.find('\u{20ac}').unwrap() + 1;
    let (first, second) = text.as_bytes().split_at(at);
    let begin = Frame::message(first.to_vec(), OpCode::Data(Data::Text), false);
    let end = Frame::message(second.to_vec(), OpCode::Data(Data::Continue), true);
    for frame in [begin, end] {
        let _ = socket.send(Message::Frame(frame)).await;
    }
}

/// WebSocket connections so far.
pub(super) fn connections(kind: Kind, seen: &Seen) -> usize {
    if kind.is_http() { 0 } else { seen.with(|log| log.heads.len()) }
}

/// Waits until the far end of a connection that is used once has gone.
pub(super) async fn settle(kind: Kind, seen: &Seen) {
    if kind != Kind::Command {
        let gone = || seen.with(|log| log.closed == log.heads.len());
        until("the far end closes", gone).await;
    }
}

/// Whether a request has arrived.
pub(super) fn has_asked(kind: Kind, seen: &Seen, dir: &Path) -> bool {
    match kind {
        Kind::Command => dir.join("heard").exists(),
        Kind::OpenAi | Kind::Piper | Kind::Cartesia => seen.with(|log| !log.messages.is_empty()),
        Kind::ElevenLabs => seen.with(|log| log.messages.iter().any(|m| m["flush"] == true)),
        Kind::Deepgram => seen.with(|log| log.messages.iter().any(|m| m["type"] == "Flush")),
    }
}

/// The words that arrived.
pub(super) fn texts(kind: Kind, seen: &Seen, dir: &Path) -> Vec<String> {
    if kind == Kind::Command {
        let heard = std::fs::read_to_string(dir.join("heard")).unwrap();
        let args = std::fs::read_to_string(dir.join("args")).unwrap();
        assert!(!args.contains("one") && !args.contains("canary"), "{args}");
        return heard.lines().map(String::from).collect();
    }
    let field = match kind {
        Kind::OpenAi => "input",
        Kind::Cartesia => "transcript",
        _ => "text",
    };
    seen.with(|log| {
        log.messages.iter().filter_map(|m| m[field].as_str().map(String::from)).collect()
    })
}

/// The vendor was told to stop, or the connection closed, or the process is gone.
pub(super) async fn check_stopped(kind: Kind, seen: &Seen, dir: &Path) {
    let has = |name: &str, value: Value| {
        seen.with(|log| log.messages.iter().any(|message| message[name] == value))
    };
    match kind {
        Kind::OpenAi | Kind::Piper => {
            until("the connection is closed", || seen.with(|log| log.closed > 0)).await;
        }
        Kind::ElevenLabs => {
            until("the context is closed", || has("close_context", json!(true))).await;
        }
        Kind::Cartesia => until("the context is cancelled", || has("cancel", json!(true))).await,
        Kind::Deepgram => {
            until("it is cleared", || has("type", json!("Clear"))).await;
            until("the connection is closed", || seen.with(|log| log.closed > 0)).await;
        }
        Kind::Command => {
            for name in ["pid", "child"] {
                let Ok(pid) = std::fs::read_to_string(dir.join(name)) else { continue };
                let status = format!("/proc/{}/status", pid.trim());
                // One that is dead may still wait for its parent to look.
                let runs = || std::fs::read_to_string(&status).is_ok_and(|s| !s.contains("Z (zom"));
                until("the process is gone", || !runs()).await;
            }
        }
    }
}

/// Everything that we send for one sentence at speed 1.1.
pub(super) fn check_request(kind: Kind, seen: &Seen, dir: &Path) {
    let said = texts(kind, seen, dir);
    let words = said.iter().map(|said| said.trim()).collect::<Vec<_>>().join("");
    assert!(words.starts_with("Hello dear \u{201c}w\u{f6}rld\u{201d}, it's"), "{words}");
    let (head, messages) =
        seen.with(|log| (log.heads.first().cloned().unwrap_or_default(), log.messages.clone()));
    let line = head.lines().next().unwrap_or_default().to_owned();
    let fields = head.to_lowercase();
    let first = messages.first().cloned().unwrap_or_default();
    let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 0.01;
    match kind {
        Kind::OpenAi => {
            assert_eq!(line, "POST /v1/audio/speech HTTP/1.1");
            assert!(fields.contains("authorization: bearer sk-test-key"), "{fields}");
            assert_eq!((&first["model"], &first["voice"]), (&json!("model-1"), &json!("voice-1")));
            assert_eq!(first["response_format"], "pcm");
            assert!(near(&first["speed"], 1.1));
        }
        Kind::Piper => {
            assert_eq!(line, "POST /synthesize HTTP/1.1");
            assert_eq!(first["voice"], "voice-1");
            assert!(near(&first["length_scale"], 1.0 / 1.1));
        }
        Kind::Command => {
            let args = std::fs::read_to_string(dir.join("args")).unwrap();
            assert_eq!(args.trim(), "--voice=voice-1 --wpm=192 --rate=8000");
            let env = std::fs::read_to_string(dir.join("env")).unwrap();
            assert!(!env.contains("CARGO"), "our environment is not handed on: {env}");
        }
        Kind::ElevenLabs => {
            assert!(
                line.starts_with("GET /v1/text-to-speech/voice-1/multi-stream-input?"),
                "{line}"
            );
            assert!(line.contains("model_id=model-1&output_format=pcm_8000"), "{line}");
            assert!(fields.contains("xi-api-key: sk-test-key"));
            assert!(near(&first["voice_settings"]["speed"], 1.1));
            assert_eq!(messages.last().unwrap()["close_context"], true);
        }
        Kind::Cartesia => {
            assert!(line.starts_with("GET /tts/websocket"), "{line}");
            assert!(
                fields.contains("x-api-key: sk-test-key") && fields.contains("cartesia-version: ")
            );
            assert_eq!(first["voice"], json!({ "mode": "id", "id": "voice-1" }));
            assert_eq!(first["output_format"]["sample_rate"], 8000);
            assert_eq!((&first["continue"], &first["language"]), (&json!(false), &json!("en")));
        }
        Kind::Deepgram => {
            assert!(
                line.contains("/v1/speak?model=voice-1&encoding=linear16&sample_rate=8000"),
                "{line}"
            );
            assert!(fields.contains("authorization: token sk-test-key"));
            assert_eq!(first["type"], "Speak");
        }
    }
}
