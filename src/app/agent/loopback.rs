//! A server on the loopback for tests: answers each request by a script, and remembers what it
//! was asked and whether the asker went away.

use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One step of an answer.
#[derive(Debug, Clone)]
enum Piece {
    Octets(Vec<u8>),
    /// Goes on when the test says so.
    Gate(Arc<Notify>),
    /// Says nothing until the asker goes away, and tells the test then.
    Stall,
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply(Vec<Piece>);

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, "application/json", "", &body.to_string())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::whole(status, "text/plain", "", body)
    }

    pub(crate) fn xml(body: &str) -> Self {
        Self::whole(200, "text/xml; charset=utf-8", "", body)
    }

    /// A status with more header lines, each ended by CR LF.
    pub(crate) fn status(status: u16, headers: &str) -> Self {
        Self::whole(status, "text/plain", headers, "no")
    }

    fn whole(status: u16, kind: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self(vec![Piece::Octets(
            format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nConnection: close\r\n{headers}\
                 Content-Length: {length}\r\n\r\n{body}"
            )
            .into_bytes(),
        )])
    }

    /// A stream of events in these pieces, as one chunk each; the end is left open.
    pub(crate) fn events(pieces: &[&[u8]]) -> Self {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
                    Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut reply = Self(vec![Piece::Octets(head.as_bytes().to_vec())]);
        for piece in pieces {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            reply.0.push(Piece::Octets(chunk));
        }
        reply
    }

    /// The proper end of [`Self::events`].
    pub(crate) fn ended(mut self) -> Self {
        self.0.push(Piece::Octets(b"0\r\n\r\n".to_vec()));
        self
    }

    /// Silence until the asker goes away.
    pub(crate) fn stalled(mut self) -> Self {
        self.0.push(Piece::Stall);
        self
    }

    /// Nothing at all.
    pub(crate) fn stall() -> Self {
        Self(vec![Piece::Stall])
    }

    /// The connection ends without an answer.
    pub(crate) fn hang_up() -> Self {
        Self(Vec::new())
    }

    /// Waits for the gate, then answers like `then`.
    pub(crate) fn gated(gate: &Arc<Notify>, then: Self) -> Self {
        let mut pieces = vec![Piece::Gate(Arc::clone(gate))];
        pieces.extend(then.0);
        Self(pieces)
    }
}

/// The server; ends with the test's runtime.
pub(crate) struct Loopback {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    gone: watch::Receiver<usize>,
}

impl Loopback {
    /// Answers the first request with the first reply, and so on; later ones are hung up on.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (tell, gone) = watch::channel(0);
        let log = Arc::clone(&seen);
        let tell = Arc::new(tell);
        tokio::spawn(async move {
            let mut replies: VecDeque<Reply> = replies.into();
            while let Ok((mut socket, _)) = listener.accept().await {
                let Some(request) = read_request(&mut socket).await else { continue };
                log.lock().unwrap().push(request);
                let Some(reply) = replies.pop_front() else { continue };
                tokio::spawn(answer(socket, reply, Arc::clone(&tell)));
            }
        });
        Self { address, seen, gone }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns when this many askers have gone away from a [`Reply::stalled`].
    pub(crate) async fn gone(&mut self, count: usize) {
        self.gone.wait_for(|gone| *gone >= count).await.unwrap();
    }
}

async fn answer(mut socket: TcpStream, reply: Reply, gone: Arc<watch::Sender<usize>>) {
    for piece in reply.0 {
        match piece {
            Piece::Octets(octets) => {
                if socket.write_all(&octets).await.is_err() {
                    gone.send_modify(|count| *count += 1);
                    return;
                }
                let _ = socket.flush().await;
                tokio::task::yield_now().await;
            }
            Piece::Gate(gate) => gate.notified().await,
            Piece::Stall => {
                let mut rest = [0; 64];
                while socket.read(&mut rest).await.is_ok_and(|count| count > 0) {}
                gone.send_modify(|count| *count += 1);
            }
        }
    }
    let _ = socket.shutdown().await;
}

async fn read_request(socket: &mut TcpStream) -> Option<Seen> {
    let mut octets = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        if let Some(at) = octets.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let count = socket.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        octets.extend_from_slice(&buffer[..count]);
    };
    let text = String::from_utf8_lossy(&octets[..head]).into_owned();
    let mut lines = text.lines();
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = octets.split_off(head + 4);
    while body.len() < length {
        let count = socket.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&buffer[..count]);
    }
    Some(Seen { line, headers, body })
}

/// A WebSocket server that a test drives by hand.
pub(crate) struct Sockets {
    listener: TcpListener,
}

/// One connection of it.
pub(crate) struct Peer {
    socket: tokio_tungstenite::WebSocketStream<TcpStream>,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

/// Longer than anything takes that a test waits for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

impl Sockets {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/brain", self.listener.local_addr().unwrap())
    }

    async fn tcp(&self) -> TcpStream {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        accepted.expect("a connection").unwrap().0
    }

    /// Takes the next connection.
    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    pub(crate) async fn accept(&self) -> Peer {
        use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
        let mut headers = Vec::new();
        let mut path = String::new();
        let note = |request: &Request, response: Response| {
            path = request.uri().to_string();
            for (name, value) in request.headers() {
                headers.push((name.to_string(), value.to_str().unwrap_or_default().to_owned()));
            }
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(self.tcp().await, note).await.unwrap();
        Peer { socket, path, headers }
    }

    /// Refuses the next connection with a status.
    pub(crate) async fn refuse(&self, status: u16) {
        let mut tcp = self.tcp().await;
        read_request(&mut tcp).await.unwrap();
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno");
        tcp.write_all(answer.as_bytes()).await.unwrap();
        let _ = tcp.read(&mut [0; 64]).await;
    }

    /// Takes the next connection and hangs up before the handshake.
    pub(crate) async fn hang_up(&self) {
        drop(self.tcp().await);
    }
}

impl Peer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The next message; `None` when the other side has closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        use futures_util::StreamExt as _;
        use tokio_tungstenite::tungstenite::Message;
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("a message in time")?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(text.as_str()).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The next message of a type; those before it are skipped.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("closed before {kind}"));
            if message["type"] == kind {
                return message;
            }
        }
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        use futures_util::SinkExt as _;
        use tokio_tungstenite::tungstenite::Message;
        self.socket.send(Message::text(text.to_owned())).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, octets: &[u8]) {
        use futures_util::SinkExt as _;
        use tokio_tungstenite::tungstenite::Message;
        self.socket.send(Message::binary(octets.to_vec())).await.unwrap();
    }

    pub(crate) async fn close(mut self) {
        let _ = self.socket.close(None).await;
    }
}
