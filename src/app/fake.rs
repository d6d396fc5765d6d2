//! A media leg without a carrier: the worker's side of the rings, stepped by hand.
//!
//! For tests, and for rehearsals ([`super::rehearsal`]).

#![cfg_attr(not(test), allow(dead_code, reason = "tests look at more of a leg than rehearsals do"))]

use super::line::{Ears, LegPort, Line};
use crate::media::interface::{Command, Event, FrameHeader, FrameKind, LegReport};
use crate::media::ring::{self, CaptureReader, CaptureWriter, PlayoutReader, PlayoutWriter};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// How a beat is counted in tests at the leg's own rate.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Takes 20 ms a tick from the playout ring and obeys commands as a worker does.
pub(crate) struct FakeLeg {
    playout: PlayoutReader,
    capture: CaptureWriter,
    captured: u64,
    frame: usize,
    /// Samples a second.
    rate: u128,
    monitoring: bool,
    ticks: u64,
    watches: Vec<(u64, u32)>,
    /// Commands that the next tick will find.
    pub(crate) commands: VecDeque<Command>,
    /// Commands that were obeyed.
    pub(crate) obeyed: Vec<Command>,
    /// Events for the application.
    pub(crate) events: VecDeque<Event>,
    /// Samples of the application that were sent.
    pub(crate) sent: Vec<i16>,
    /// Whether anything but silence went out in the last tick.
    pub(crate) sounding: bool,
    /// Whether packets flow at all.
    pub(crate) running: bool,
    /// How loud playout is, in percent.
    pub(crate) level: u8,
    paused: bool,
    listening: bool,
    /// Half the playout ring.
    low: usize,
    /// There is something to wake the application for.
    moved: bool,
    port: FakePort,
    told: mpsc::Sender<Event>,
    ready: Arc<Notify>,
}

/// The worker's queue of orders, and its counter.
#[derive(Clone, Default)]
struct FakePort {
    /// What the leg counts, if it does.
    report: Arc<Mutex<LegReport>>,
    orders: Arc<Mutex<VecDeque<Command>>>,
    sent: Arc<AtomicU64>,
    monitor: Arc<Mutex<Option<CaptureWriter>>>,
}

impl LegPort for FakePort {
    fn send(&self, command: Command) -> bool {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push_back(command);
        true
    }

    fn sent_samples(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn overrun_samples(&self) -> u64 {
        0
    }

    fn report(&self) -> LegReport {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn monitor(&self) -> Option<CaptureReader> {
        let (writer, reader) = ring::capture(64, 64 * 160);
        *self.monitor.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        Some(reader)
    }
}

impl FakeLeg {
    /// Since when a sample had been waiting that was taken; see [`PlayoutReader::taken`].
    pub(crate) fn taken_stamp(&mut self) -> Option<std::time::Instant> {
        self.playout.taken()
    }

    /// A G.711 leg with a ring of 2 s, and the ends that an application leg holds.
    pub(crate) fn line() -> (Self, Line, Ears) {
        let (mut leg, playout, capture) = Self::new(16_000, 160);
        let (told, events) = mpsc::channel(64);
        leg.told = told;
        let ears = Ears { events, ready: Arc::clone(&leg.ready) };
        let port = Box::new(leg.port.clone());
        (leg, Line { playout, capture, monitor: None, port, open: None, of: None }, ears)
    }

    /// One beat of the worker whose application leg runs by itself until it waits.
    pub(crate) async fn beat(&mut self) {
        self.step();
        tokio::time::sleep(TICK).await;
    }

    /// The same without the wait; gives what was sent in it.
    pub(crate) fn step(&mut self) -> &[i16] {
        let before = self.sent.len();
        let mut orders = self.port.orders.lock().unwrap_or_else(PoisonError::into_inner);
        self.commands.extend(orders.drain(..));
        drop(orders);
        self.tick();
        self.port.sent.store(self.sent.len() as u64, Ordering::Relaxed);
        while let Some(event) = self.events.pop_front() {
            // A leg whose application is gone tells nobody.
            let _ = self.told.try_send(event);
        }
        if std::mem::take(&mut self.moved) {
            self.ready.notify_one();
        }
        self.sent.get(before..).unwrap_or_default()
    }

    /// Samples of the application that wait.
    pub(crate) fn queued(&self) -> usize {
        self.playout.queued()
    }

    /// Whether caller audio is wanted.
    pub(crate) fn is_listening(&self) -> bool {
        self.listening
    }

    /// Whether somebody hears what is sent.
    pub(crate) fn is_monitored(&self) -> bool {
        self.monitoring
            && self.port.monitor.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether the application has let the leg go.
    pub(crate) fn is_closed(&self) -> bool {
        self.told.is_closed()
    }

    /// A leg whose playout ring holds `ring` samples, 20 ms being `frame` samples.
    pub(crate) fn new(ring: usize, frame: usize) -> (Self, PlayoutWriter, CaptureReader) {
        let (writer, playout) = ring::playout(ring);
        let (capture, reader) = ring::capture(64, 64 * 160);
        let leg = Self {
            listening: false,
            low: ring / 2,
            moved: false,
            port: FakePort::default(),
            told: mpsc::channel(1).0,
            ready: Arc::new(Notify::new()),
            playout,
            capture,
            captured: 0,
            frame,
            rate: frame as u128 * 50,
            monitoring: true,
            ticks: 0,
            watches: Vec::new(),
            commands: VecDeque::new(),
            obeyed: Vec::new(),
            events: VecDeque::new(),
            sent: Vec::new(),
            sounding: false,
            running: true,
            level: 100,
            paused: false,
        };
        (leg, writer, reader)
    }

    /// One beat of the worker.
    pub(crate) fn tick(&mut self) {
        let before = self.sent.len();
        let queued = self.playout.queued();
        while let Some(command) = self.commands.pop_front() {
            self.obeyed.push(command);
            self.obey(command);
        }
        if self.running && !self.paused {
            let room = self.frame.saturating_sub(self.sent.len() - before);
            self.play(room);
        }
        self.sounding = self.sent.len() > before;
        self.show(before);
        // As a worker does: room is worth a wake-up when half the ring has become free.
        self.moved |= queued > self.low && self.playout.queued() <= self.low;
        self.fire();
    }

    /// What goes out with this tick is heard by whoever wants to.
    fn show(&mut self, before: usize) {
        let position = self.ticks * self.frame as u64;
        self.ticks += u64::from(self.running);
        let mut monitor = self.port.monitor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(monitor) = monitor.as_mut().filter(|_| self.running && self.monitoring) {
            let mut frame = self.sent[before..].to_vec();
            frame.resize(self.frame, 0);
            let samples = u16::try_from(self.frame).unwrap_or(u16::MAX);
            let header = FrameHeader { position, samples, kind: FrameKind::Packet };
            monitor.push(header, &frame);
            self.moved = true;
        }
    }

    /// Counts packets both ways, as a worker does.
    pub(crate) fn count(&mut self, sent: u64, came: u64) {
        let mut report = self.port.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.tx_packets += sent;
        report.rx_packets += came;
    }

    /// A packet of the caller arrives.
    pub(crate) fn hear(&mut self, samples: &[i16]) -> bool {
        self.capture(samples, FrameKind::Packet)
    }

    /// A packet of the caller is missing, and this was made up for it.
    #[cfg(test)]
    pub(crate) fn conceal(&mut self, samples: &[i16]) -> bool {
        self.capture(samples, FrameKind::Concealed)
    }

    fn capture(&mut self, samples: &[i16], kind: FrameKind) -> bool {
        let count = u16::try_from(samples.len()).expect("a packet is short");
        let header = FrameHeader { position: self.captured, samples: count, kind };
        self.captured += u64::from(count);
        self.moved = true;
        self.capture.push(header, samples)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Watch { position, token } => self.watches.push((position, token)),
            Command::Clear { up_to, token, fade } => {
                let queued = usize::try_from(up_to.saturating_sub(self.playout.position()));
                let queued = queued.expect("a ring is short");
                if self.running && !self.paused {
                    let fade = usize::try_from(fade.as_micros() * self.rate / 1_000_000)
                        .unwrap_or(usize::MAX);
                    self.play(fade.min(queued));
                }
                let played_to = self.playout.position().min(up_to);
                self.fire();
                let discarded = up_to - played_to;
                self.level = 100;
                self.playout.skip(usize::try_from(discarded).expect("a ring is short"));
                self.watches.retain(|(position, _)| *position > up_to);
                self.events.push_back(Event::Cleared { token, played_to, discarded });
            }
            Command::Pause(paused) => self.paused = paused,
            Command::Dtmf { .. } => self.events.push_back(Event::DtmfDone { sent: true }),
            Command::Listen(listening) => self.listening = listening,
            Command::Level { percent, .. } => self.level = percent,
            Command::Monitor(on) => self.monitoring = on,
            Command::End { .. }
            | Command::Update(_)
            | Command::Background(_)
            | Command::DigitsInband(_)
            | Command::Tone(_)
            | Command::Mute { .. }
            | Command::Due(_)
            | Command::QuietAfter(_) => {}
        }
    }

    fn play(&mut self, samples: usize) {
        let start = self.sent.len();
        self.sent.resize(start + samples, 0);
        let taken = self.playout.pop(&mut self.sent[start..]);
        self.sent.truncate(start + taken);
    }

    fn fire(&mut self) {
        let position = self.playout.position();
        let mut due: Vec<_> = self.watches.iter().copied().filter(|w| w.0 <= position).collect();
        self.watches.retain(|watch| watch.0 > position);
        due.sort_unstable();
        for (position, token) in due {
            self.events.push_back(Event::Reached { token, position });
        }
        assert!(self.watches.len() <= 16, "a worker watches 16 positions at most");
    }
}
