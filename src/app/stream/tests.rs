//! The stream's task against a leg stepped by hand and sockets in memory, in virtual time.

mod bare;
mod dialled;

mod dialects;
mod doubts;
mod drops;
mod hearing;
mod hostile;
mod level;
mod lifetime;
mod listeners;
mod live;
mod native;
mod pressure;
mod protocol;
mod recording;
mod resume;
mod spoken;
mod stats;
mod watch;
mod wishes;
mod words;

use super::options::StreamOptions;
use super::seat::{ClientSocket, CloseCode, Incoming, Outgoing, SocketError};
use super::task::StreamTask;
use super::{StreamRights, StreamSeats, StreamSpec};
use crate::app::fake::FakeLeg;
use crate::app::{Control, Report};
use crate::call::record::Direction;
use bytes::Bytes;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What both ends of a socket in memory know.
#[derive(Default)]
struct Wire {
    stalled: AtomicBool,
    blocked: Mutex<Option<Waker>>,
    flushes: AtomicUsize,
    closed: Mutex<Option<u16>>,
    /// Pings that were answered.
    pongs: AtomicU64,
}

/// The server's end of a socket in memory.
struct MemorySocket {
    from_client: mpsc::Receiver<Result<Incoming, SocketError>>,
    to_client: mpsc::UnboundedSender<Outgoing>,
    buffer: Vec<Outgoing>,
    wire: Arc<Wire>,
}

impl ClientSocket for MemorySocket {
    fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Incoming, SocketError>>> {
        self.from_client.poll_recv(context)
    }

    fn send(&mut self, message: Outgoing) -> Result<(), SocketError> {
        self.buffer.push(message);
        Ok(())
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        if self.wire.stalled.load(Ordering::Relaxed) {
            *self.wire.blocked.lock().unwrap() = Some(context.waker().clone());
            return Poll::Pending;
        }
        self.wire.flushes.fetch_add(1, Ordering::Relaxed);
        for message in self.buffer.drain(..) {
            if self.to_client.send(message).is_err() {
                return Poll::Ready(Err(SocketError::Lost("gone".into())));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn closed_with(&self) -> Option<u16> {
        *self.wire.closed.lock().unwrap()
    }

    fn pongs(&self) -> u64 {
        self.wire.pongs.load(Ordering::Relaxed)
    }
}

/// The client's end.
struct Client {
    to_server: mpsc::Sender<Result<Incoming, SocketError>>,
    from_server: mpsc::UnboundedReceiver<Outgoing>,
    wire: Arc<Wire>,
    heard: Vec<u8>,
    frames: Vec<usize>,
    closed: Option<(CloseCode, &'static str)>,
    pings: usize,
}

impl Client {
    fn new() -> (Self, Box<dyn ClientSocket>) {
        let (to_server, from_client) = mpsc::channel(100_000);
        let (to_client, from_server) = mpsc::unbounded_channel();
        let wire = Arc::new(Wire::default());
        let socket =
            MemorySocket { from_client, to_client, buffer: Vec::new(), wire: Arc::clone(&wire) };
        let client = Self {
            to_server,
            from_server,
            wire,
            heard: Vec::new(),
            frames: Vec::new(),
            closed: None,
            pings: 0,
        };
        (client, Box::new(socket))
    }

    fn text(&self, text: &str) {
        self.to_server.try_send(Ok(Incoming::Text(text.to_owned()))).unwrap();
    }

    fn binary(&self, octets: impl Into<Bytes>) {
        self.to_server.try_send(Ok(Incoming::Binary(octets.into()))).unwrap();
    }

    fn pcm(&self, samples: &[i16]) {
        let octets: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.binary(octets);
    }

    /// Ends the conversation with a close frame.
    fn close_with(self, code: u16) {
        *self.wire.closed.lock().unwrap() = Some(code);
    }

    /// Answers a ping.
    fn pong(&self) {
        self.wire.pongs.fetch_add(1, Ordering::Relaxed);
        self.to_server.try_send(Ok(Incoming::Alive)).unwrap();
    }

    fn stall(&self, stalled: bool) {
        self.wire.stalled.store(stalled, Ordering::Relaxed);
        if let (false, Some(waker)) = (stalled, self.wire.blocked.lock().unwrap().take()) {
            waker.wake();
        }
    }

    /// The texts that came; audio goes to `heard`.
    fn told(&mut self) -> Vec<Value> {
        let mut told = Vec::new();
        while let Ok(message) = self.from_server.try_recv() {
            assert!(self.closed.is_none(), "{message:?} after the close");
            match message {
                Outgoing::Text(text) => told.push(serde_json::from_str(&text).unwrap()),
                Outgoing::Binary(octets) => {
                    self.frames.push(octets.len());
                    self.heard.extend_from_slice(&octets);
                }
                Outgoing::Ping => self.pings += 1,
                Outgoing::Close(code, reason) => self.closed = Some((code, reason)),
            }
        }
        told
    }

    /// The texts in short: `type` and what tells them apart.
    fn brief(&mut self) -> Vec<String> {
        self.told().iter().map(brief).collect()
    }
}

/// `playback started u1`, `mark m`, `error not_queued` …
fn brief(told: &Value) -> String {
    let mut words = vec![told["type"].as_str().unwrap().to_owned()];
    for field in ["state", "event", "utterance", "name", "digit", "code", "id", "reason"] {
        match &told[field] {
            Value::String(text) => words.push(text.clone()),
            Value::Number(number) => words.push(number.to_string()),
            _ => {}
        }
    }
    if told["cleared"] == Value::Bool(true) {
        words.push("cleared".to_owned());
    }
    words.join(" ")
}

/// A call with its leg, its task and the driver's ends of the queues.
struct Rig {
    leg: FakeLeg,
    control: mpsc::Sender<Control>,
    reports: mpsc::Receiver<Report>,
    seats: StreamSeats,
    task: JoinHandle<()>,
}

fn spec() -> StreamSpec {
    StreamSpec {
        call: "call_1".parse().unwrap(),
        instance: "inst_1".parse().unwrap(),
        direction: Direction::Outbound,
        from: Some("+15550100".to_owned()),
        identity: None,
        sip: crate::app::stream::wire::Sip::default(),
        srtp: None,
        to: "+15550123".to_owned(),
        options: StreamOptions::default(),
        parameters: serde_json::Map::new(),
        account: None,
        sample_rate: 8000,
        default_rate: 16_000,
        water: (0.75, 0.5),
        timing: crate::app::stream::Timing::default(),
        level: crate::app::stream::LevelSpec::default(),
        buffer: Duration::from_mins(1),
        wait: Duration::from_secs(10),
        linger: Duration::from_secs(30),
        secret: [5; 32],
        observer: false,
        keys_by_call: false,
        hearing: crate::app::hearing::HearingSpec::default(),
        amd: None,
        dial: None,
        speak: None,
        stt: crate::speech::stt::Stt::new(crate::speech::stt::SttSpec::default()),
        transcribe: None,
        recordings: None,
        record: None,
    }
}

impl Rig {
    fn new() -> Self {
        Self::with(spec())
    }

    fn with(spec: StreamSpec) -> Self {
        let (control, from_driver) = mpsc::channel(64);
        let (to_driver, reports) = mpsc::channel(64);
        let (seats, seated) = StreamSeats::new();
        let seat = spec.dial.is_some().then(|| seats.keep()).flatten();
        let mut task = StreamTask::new(spec, from_driver, (seated, seat), to_driver);
        let (mut leg, line, ears) = FakeLeg::line();
        leg.running = false;
        task.take_line(line, ears);
        Self { leg, control, reports, seats, task: tokio::spawn(task) }
    }

    /// A call that was answered.
    async fn answered() -> Self {
        Self::answered_with(spec()).await
    }

    async fn answered_with(spec: StreamSpec) -> Self {
        let mut rig = Self::with(spec);
        for event in ["queued", "dialing", "ringing", "answered"] {
            rig.event(event);
        }
        rig.start();
        rig.beats(1).await;
        rig
    }

    fn event(&self, event: &'static str) {
        self.tell(Control::CallEvent { event, detail: None });
    }

    fn tell(&self, control: Control) {
        self.control.try_send(control).ok().unwrap();
    }

    fn start(&mut self) {
        self.leg.running = true;
        self.tell(Control::Start);
    }

    fn stop(&self, reason: &'static str) {
        self.tell(Control::Stop { reason, sip_code: Some(200), duration_ms: 1234 });
    }

    async fn attach(&self, query: &str) -> Client {
        self.attach_with(query, StreamRights::default()).await
    }

    async fn attach_with(&self, query: &str, rights: StreamRights) -> Client {
        let (client, socket) = Client::new();
        let attachment = self.seats.reserve(options(query)).unwrap().with_rights(rights);
        attachment.attach(Box::pin(std::future::ready(Some(socket)))).unwrap();
        self.settle().await;
        client
    }

    /// Lets the task run until it waits.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn beats(&mut self, beats: usize) {
        for _ in 0..beats {
            self.leg.beat().await;
        }
    }

    fn reports(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }
}

fn options(query: &str) -> StreamOptions {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    StreamOptions::from_query::<&str>(&pairs, &[]).unwrap()
}

/// Samples that tell their place.
fn ramp(from: i16, count: i16) -> Vec<i16> {
    (from..from + count).collect()
}
