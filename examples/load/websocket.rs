//! The client's side of one stream, as cheap as it can be: a polled socket and ready-made frames.
//!
//! No library: a client that is woken for every frame would share the machine with the daemon that
//! it measures. Does the upgrade, sends masked binary frames, reads what comes, answers pings.

use crate::pattern::{Found, Heard, Pattern, SAMPLES};
use anyhow::{Context as _, Result, bail, ensure};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MASK: [u8; 4] = [0x5A, 0xC3, 0x96, 0x0F];
const PACKET: usize = 2 * SAMPLES;
/// What the socket did not take; beyond it the line is given up.
const UNSENT_MAX: usize = 64 * 1024;
const HEAD_MAX: usize = 8 * 1024;

/// Opens the stream of a call; the connection and what came after the head of the answer.
pub async fn open(api: &str, call: &str, frame_ms: usize) -> Result<(TcpStream, Vec<u8>)> {
    let mut socket = tokio::net::TcpStream::connect(api).await?;
    socket.set_nodelay(true)?;
    let request = format!(
        "GET /v1/calls/{call}/stream?rate=8000&out_rate=8000&listen=caller&frame_ms={frame_ms} \
         HTTP/1.1\r\nHost: {api}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: bellwire.stream.v1\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let end = loop {
        ensure!(answer.len() < HEAD_MAX, "the answer to the upgrade has no end");
        if socket.read_buf(&mut answer).await? == 0 {
            bail!("the stream of {call} was closed: {}", String::from_utf8_lossy(&answer));
        }
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let rest = answer.split_off(end);
    let head = String::from_utf8_lossy(&answer);
    ensure!(head.starts_with("HTTP/1.1 101"), "the stream of {call} was refused: {head}");
    Ok((socket.into_std().context("taking the socket")?, rest))
}

/// The client of one call.
pub struct Client {
    socket: TcpStream,
    frame_packets: usize,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    frame: Vec<u8>,
    sent: usize,
    /// What the caller's packets turned into.
    pub heard: Heard,
    /// Errors and warnings that were told.
    pub complaints: Vec<String>,
    /// Times the socket did not take a frame at once.
    pub blocked: u64,
    pub closed: bool,
    /// Sends back what comes, in place of its own sound.
    pub echo: bool,
    /// Numbers of the packets that came since this was last emptied; kept if it echoes.
    pub came: Vec<usize>,
}

impl Client {
    pub fn new(socket: TcpStream, unread: Vec<u8>, frame_ms: usize) -> Self {
        Self {
            socket,
            frame_packets: frame_ms / 20,
            unread,
            unsent: Vec::new(),
            frame: Vec::new(),
            sent: 0,
            heard: Heard::default(),
            complaints: Vec::new(),
            blocked: 0,
            closed: false,
            echo: false,
            came: Vec::new(),
        }
    }

    /// Sends the next message of audio.
    pub fn send(&mut self, pattern: &mut Pattern) {
        self.frame.clear();
        head(&mut self.frame, 0x82, self.frame_packets * PACKET);
        for _ in 0..self.frame_packets {
            let packet = pattern.pcm(self.sent).iter().zip(MASK.iter().cycle());
            self.frame.extend(packet.map(|(byte, mask)| byte ^ mask));
            self.sent += 1;
        }
        if self.unsent.len() < UNSENT_MAX {
            self.unsent.extend_from_slice(&self.frame);
        }
        self.flush();
    }

    fn flush(&mut self) {
        match self.socket.write(&self.unsent) {
            Ok(taken) => drop(self.unsent.drain(..taken)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.closed = true,
        }
        self.blocked += u64::from(!self.unsent.is_empty());
    }

    /// Takes in what has come.
    pub fn receive(&mut self, pattern: &Pattern, memory: &mut [u8]) {
        while !self.closed {
            let full = match self.socket.read(memory) {
                Ok(0) => return self.closed = true,
                Ok(count) => {
                    self.unread.extend_from_slice(&memory[..count]);
                    count == memory.len()
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(_) => return self.closed = true,
            };
            self.parse(pattern);
            if !full {
                return;
            }
        }
    }

    fn parse(&mut self, pattern: &Pattern) {
        let unread = std::mem::take(&mut self.unread);
        let mut at = 0;
        while let Some((opcode, from, to)) = frame(&unread, at) {
            let payload = &unread[from..to];
            match opcode {
                1 => self.hear(payload),
                2 => {
                    for packet in payload.chunks(PACKET) {
                        self.take(pattern.find_pcm(packet));
                    }
                    if self.echo {
                        self.send_back(payload);
                    }
                }
                8 => self.closed = true,
                9 => self.pong(payload),
                _ => {}
            }
            at = to;
        }
        self.unread = unread;
        self.unread.drain(..at);
    }

    fn take(&mut self, found: Found) {
        self.heard.take(found);
        if let (Found::Exact(number), true) = (found, self.echo) {
            self.came.push(number);
        }
    }

    fn send_back(&mut self, payload: &[u8]) {
        if self.unsent.len() < UNSENT_MAX {
            self.answer(0x82, payload);
        }
    }

    fn pong(&mut self, payload: &[u8]) {
        self.answer(0x8A, payload);
    }

    fn answer(&mut self, first: u8, payload: &[u8]) {
        head(&mut self.unsent, first, payload.len());
        self.unsent.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.flush();
    }

    fn hear(&mut self, text: &[u8]) {
        let message: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
        if matches!(message["type"].as_str(), Some("error" | "warning"))
            && self.complaints.len() < 8
        {
            self.complaints.push(message.to_string());
        }
    }
}

fn head(out: &mut Vec<u8>, first: u8, length: usize) {
    out.push(first);
    if length < 126 {
        out.push(0x80 | length as u8);
    } else {
        out.push(0xFE);
        out.extend_from_slice(&(length as u16).to_be_bytes());
    }
    out.extend_from_slice(&MASK);
}

/// Opcode and place of the whole frame that begins at `at`, if it is there.
fn frame(bytes: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let (opcode, length) = (bytes.get(at)? & 0x0F, bytes.get(at + 1)? & 0x7F);
    let (from, length) = match length {
        126 => {
            (at + 4, usize::from(u16::from_be_bytes(bytes.get(at + 2..at + 4)?.try_into().ok()?)))
        }
        127 => {
            let length = u64::from_be_bytes(bytes.get(at + 2..at + 10)?.try_into().ok()?);
            (at + 10, usize::try_from(length).ok()?)
        }
        length => (at + 2, usize::from(length)),
    };
    let to = from.checked_add(length)?;
    (to <= bytes.len()).then_some((opcode, from, to))
}
