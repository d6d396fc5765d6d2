//! One connection of TCP or TLS: bytes in, messages out, and the other way.
//!
//! ```text
//!  reader ──> frame ──> Arrival      keep-alive ping ──> pong ─┐
//!  queue of messages ───────────────────────────> writer <─────┴── our own pings
//! ```
//!
//! Owns the clock of one connection: a message that does not end, a stranger who stays, a peer that
//! is silent or does not read. Does not know the other connections.

use super::Arrival;
use super::connections::Shared;
use crate::sip::interface::{ConnectionId, Flow};
use crate::sip::message::{Frame, Limits, frame};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Pings that wait for their answer; more of them get none.
const PONGS_MAX: usize = 4;

/// What a connection reads into at first, and what it may keep of it without a message.
const BUFFER: usize = 4096;
const BUFFER_KEPT: usize = 16_384;

/// How long the last words of a connection may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// One connection as its task sees it.
pub(super) struct Line<'a> {
    pub shared: &'a Shared,
    pub flow: Flow,
    pub id: ConnectionId,
    /// We opened it.
    pub ours: bool,
    /// Bytes that wait in the queue.
    pub queued: &'a AtomicUsize,
}

/// Reads and writes until either side is done with it; says what the peer did wrong, if it did.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(
    line: &Line<'_>,
    stream: S,
    writes: &mut mpsc::Receiver<Vec<u8>>,
) -> Option<&'static str> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (pongs, mut ponged) = mpsc::channel(PONGS_MAX);
    let fault = tokio::select! {
        fault = read(line, &mut reader, pongs) => fault,
        fault = write(line, &mut writer, writes, &mut ponged) => fault,
    };
    // TLS says that nothing more comes, so that the peer can tell an end from a cut.
    let _ = timeout(FAREWELL, writer.shutdown()).await;
    fault
}

/// What a connection's deadlines depend on.
struct Times {
    opened: Instant,
    heard: Instant,
    /// When the message that is incomplete began.
    begun: Option<Instant>,
    proven: bool,
}

impl Times {
    /// The next moment at which something may be wrong.
    fn deadline(&self, line: &Line<'_>) -> Option<Instant> {
        let limits = &line.shared.limits;
        let message = self.begun.map(|begun| begun + limits.message);
        let unproven = (!self.proven).then(|| self.opened + limits.unproven);
        let idle = (!line.ours).then(|| self.heard + limits.idle);
        [message, unproven, idle].into_iter().flatten().min()
    }

    /// What is wrong by now.
    fn fault(&mut self, line: &Line<'_>) -> Option<&'static str> {
        let (now, limits) = (Instant::now(), &line.shared.limits);
        if self.begun.is_some_and(|begun| begun + limits.message <= now) {
            return Some("stalled");
        }
        if !self.proven && self.opened + limits.unproven <= now {
            self.proven = line.shared.is_proven(line.id);
            if !self.proven {
                return Some("unproven");
            }
        }
        (!line.ours && self.heard + limits.idle <= now).then_some("idle")
    }
}

/// Cuts the stream into messages until it ends, breaks the framing or runs out of time.
async fn read<R: AsyncRead + Unpin>(
    line: &Line<'_>,
    reader: &mut R,
    pongs: mpsc::Sender<()>,
) -> Option<&'static str> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
    let opened = Instant::now();
    let mut times = Times { opened, heard: opened, begun: None, proven: line.ours };
    loop {
        let complete = take_messages(line, &mut buffer, &pongs).await?;
        times.begun = match (buffer.is_empty(), times.begun) {
            (true, _) => None,
            (false, Some(begun)) if !complete => Some(begun),
            (false, Some(_) | None) => Some(Instant::now()),
        };
        if let Some(fault) = times.fault(line) {
            return Some(fault);
        }
        let more = reader.read_buf(&mut buffer);
        let read = match times.deadline(line) {
            Some(deadline) => timeout_at(deadline, more).await,
            None => Ok(more.await),
        };
        match read {
            Ok(Ok(1..)) => times.heard = Instant::now(),
            // The peer is done, or the connection is.
            Ok(Ok(0) | Err(_)) => return None,
            Err(_) => {}
        }
    }
}

/// Passes on all messages at the front of the buffer; whether there was one. `None`: it is over.
///
/// Cost: linear in the buffer, however many messages and keep-alives stand in it.
async fn take_messages(
    line: &Line<'_>,
    buffer: &mut Vec<u8>,
    pongs: &mpsc::Sender<()>,
) -> Option<bool> {
    let (mut front, mut complete) = (0, false);
    loop {
        let rest = buffer.get(front..).unwrap_or_default();
        match frame(rest, &Limits::STREAM) {
            Frame::Incomplete => break,
            Frame::Complete { len } => {
                complete = true;
                front += len;
                let message = rest.get(..len).unwrap_or(rest).to_vec();
                line.shared.received(line.id);
                line.shared.arrivals.send(Arrival::Message(line.flow, message)).await.ok()?;
            }
            Frame::KeepAlive { len } => {
                //= RFC 5626 §3.5.1: a double CRLF asks for a single one
                if len >= 4 {
                    let _ = pongs.try_send(());
                }
                front += len;
            }
            // Where one message ends is where smuggling begins: nothing behind it is read.
            Frame::Error(_) => {
                line.shared.faulted(line.flow.remote, "framing");
                return None;
            }
        }
    }
    buffer.drain(..front.min(buffer.len()));
    if buffer.is_empty() && buffer.capacity() > BUFFER_KEPT {
        *buffer = Vec::with_capacity(BUFFER);
    }
    Some(complete)
}

/// Writes what is queued, answers pings and sends ours.
async fn write<W: AsyncWrite + Unpin>(
    line: &Line<'_>,
    writer: &mut W,
    writes: &mut mpsc::Receiver<Vec<u8>>,
    pongs: &mut mpsc::Receiver<()>,
) -> Option<&'static str> {
    let ping = ping_after(line.shared.limits.ping, line.id);
    loop {
        let next = async {
            tokio::select! {
                bytes = writes.recv() => bytes.inspect(|bytes| {
                    line.queued.fetch_sub(bytes.len(), Ordering::Relaxed);
                }),
                Some(()) = pongs.recv() => Some(b"\r\n".to_vec()),
            }
        };
        let bytes = if line.ours {
            //= RFC 5626 §4.4.1: a double CRLF keeps the flow alive; whoever does not answer it
            //= may well not know it
            timeout(ping, next).await.unwrap_or_else(|_| Some(b"\r\n\r\n".to_vec()))
        } else {
            next.await
        };
        let bytes = bytes?;
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        match timeout(line.shared.limits.write, written).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some("not_read"),
        }
    }
}

/// 80 to 100 % of the interval, so that connections do not ping in step.
//= RFC 5626 §4.4.1: the interval is spread
fn ping_after(interval: Duration, id: ConnectionId) -> Duration {
    let percent = u32::try_from(80 + id.0.wrapping_mul(7) % 21).unwrap_or(100);
    interval * percent / 100
}
