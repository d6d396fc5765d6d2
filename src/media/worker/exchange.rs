//! What passes between one media thread and the rest of the program, without a lock.
//!
//! ```text
//!  any thread ── Order ──> [bounded queue] ──> media thread
//!  pump task  <── Notice ── [bounded queue] <── media thread, then one ring of the bell
//! ```
//!
//! Legs that are gone come back to the pump by a queue of their own, so that their memory is never
//! freed by the media thread; so do keys that were replaced. A full order queue is told to the caller; a full notice queue drops events (counted) and
//! retries wake-ups with the leg's next beat.

use super::seat::{Outlet, Seat};
use crate::id::LegId;
use crate::media::interface::{Command, Event, MediaParams};
use crate::media::ring::CaptureWriter;
use crate::media::stats::{Counter, Histogram};
use crate::rtp::srtp::SrtpPair;
use crossbeam_queue::ArrayQueue;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a media thread is told.
pub enum Order<P> {
    /// Take a leg in.
    Enter(Box<Seat<P>>),
    /// Tell a leg something; ignored when `id` has left the seat.
    Tell {
        /// Where the leg sits.
        seat: usize,
        /// Which leg is meant.
        id: LegId,
        /// What it is told.
        command: Command,
    },
    /// Tell a leg an agreement with its keys.
    Agree {
        /// Where the leg sits.
        seat: usize,
        /// Which leg is meant.
        id: LegId,
        /// The agreement.
        params: MediaParams,
        /// Its keys; without them packets go plain.
        keys: Option<Box<SrtpPair>>,
    },
    /// Give a leg the ring for what it sends.
    Monitor {
        /// Where the leg sits.
        seat: usize,
        /// Which leg is meant.
        id: LegId,
        /// The ring.
        ring: Box<CaptureWriter>,
    },
}

/// What is freed away from the media thread.
pub enum Spent {
    /// Keys that were replaced.
    Keys(Box<SrtpPair>),
    /// A ring that nobody takes, or that was replaced.
    Ring(Box<CaptureWriter>),
}

impl From<Box<SrtpPair>> for Spent {
    fn from(keys: Box<SrtpPair>) -> Self {
        Self::Keys(keys)
    }
}

impl From<Box<CaptureWriter>> for Spent {
    fn from(ring: Box<CaptureWriter>) -> Self {
        Self::Ring(ring)
    }
}

/// What a media thread tells.
pub enum Notice {
    /// A leg's event.
    Event(Arc<Outlet>, Event),
    /// A leg's rings are worth looking at.
    Ready(Arc<Outlet>),
}

/// The meeting point of one media thread.
pub struct Exchange<P> {
    orders: ArrayQueue<Order<P>>,
    notices: ArrayQueue<Notice>,
    /// As long as there are seats, and a seat is not used again before it was taken out here: a
    /// departure always finds room.
    departures: ArrayQueue<Box<Seat<P>>>,
    /// Keys and rings that were replaced. Twice as long as the orders that could bring as many.
    spent: ArrayQueue<Spent>,
    bell: PipeWriter,
    rung: AtomicBool,
    stopping: AtomicBool,
    finished: AtomicBool,
    start: Instant,
    beat_us: AtomicU64,
    legs: AtomicUsize,
    /// How late slots were run.
    pub late: Histogram,
    /// Events that found their owner's queue full; counted by the pump.
    pub lost_events: Counter,
    /// Events and commands that found no room in the media thread.
    pub dropped: Counter,
    /// Milliseconds of beat given up after a stall of the whole thread.
    pub skipped_ms: Counter,
}

impl<P> Exchange<P> {
    /// Makes queues fit for `legs` legs, and the pump's end of the bell; `start` is the origin of
    /// the heartbeat.
    ///
    /// # Errors
    /// When the system gives no pipe for the bell.
    pub fn new(legs: usize, start: Instant) -> io::Result<(Self, PipeReader)> {
        let (heard, bell) = io::pipe()?;
        let exchange = Self {
            orders: ArrayQueue::new(orders_max(legs)),
            spent: ArrayQueue::new(2 * orders_max(legs)),
            notices: ArrayQueue::new((legs * 8).max(1024)),
            departures: ArrayQueue::new(legs.max(1)),
            bell,
            rung: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            start,
            beat_us: AtomicU64::new(0),
            legs: AtomicUsize::new(0),
            late: Histogram::default(),
            lost_events: Counter::default(),
            dropped: Counter::default(),
            skipped_ms: Counter::default(),
        };
        Ok((exchange, heard))
    }

    /// Queues an order, or gives it back when the queue is full or the thread is stopping.
    ///
    /// # Errors
    /// The order itself.
    #[expect(clippy::result_large_err, reason = "a box would be freed by the media thread")]
    pub fn order(&self, order: Order<P>) -> Result<(), Order<P>> {
        if self.stopping.load(Ordering::Acquire) { Err(order) } else { self.orders.push(order) }
    }

    /// The next order, for the media thread.
    pub fn next_order(&self) -> Option<Order<P>> {
        self.orders.pop()
    }

    /// How many orders wait: the bound of one turn's work.
    pub fn orders_waiting(&self) -> usize {
        self.orders.len()
    }

    /// Queues a notice, or gives it back when the queue is full.
    ///
    /// # Errors
    /// The notice itself.
    pub fn notify(&self, notice: Notice) -> Result<(), Notice> {
        self.notices.push(notice)
    }

    /// The next notice, for the pump.
    pub fn next_notice(&self) -> Option<Notice> {
        self.notices.pop()
    }

    /// Hands over a leg that is gone, to be freed away from the media thread.
    pub fn depart(&self, seat: Box<Seat<P>>) {
        let full = self.departures.push(seat).is_err();
        debug_assert!(!full, "more departures than seats");
    }

    /// The next leg that is gone, for the pump.
    pub fn next_departure(&self) -> Option<Box<Seat<P>>> {
        self.departures.pop()
    }

    /// Hands over what is of no use, to be wiped and freed away from the media thread.
    ///
    /// Full, which takes a pump that stands still while two queues of orders pass: they are left
    /// in memory for good, and counted, since freeing them is what this thread must not do.
    pub fn spend(&self, spent: impl Into<Spent>) {
        if let Err(spent) = self.spent.push(spent.into()) {
            std::mem::forget(spent);
            self.dropped.add(1);
        }
    }

    /// The next thing to be freed, for the pump.
    pub fn next_spent(&self) -> Option<Spent> {
        self.spent.pop()
    }

    /// Rings once if there are notices and the pump has not been called for them yet.
    ///
    /// Cost: a system call at most. It cannot block: one octet at most is in the pipe.
    pub fn ring(&self) {
        let idle = self.notices.is_empty() && self.departures.is_empty() && self.spent.is_empty();
        if !idle && !self.rung.swap(true, Ordering::AcqRel) {
            self.strike();
        }
    }

    /// The pump heard: notices from here on ring again. To be called before they are drained.
    pub fn heard(&self) {
        // A read-modify-write: it sees every notice queued before the ring that it answers.
        self.rung.swap(false, Ordering::AcqRel);
    }

    fn strike(&self) {
        // Fails only when the pump is gone, and then there is no one to be called.
        let _ = (&self.bell).write(&[1]);
    }

    /// Asks the media thread to end its legs and itself.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether [`Exchange::stop`] was called.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The media thread's last word.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.strike();
    }

    /// Whether the media thread has ended.
    pub fn finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Marks a turn of the media thread at `now`.
    pub fn beat(&self, now: Instant) {
        let us = now.saturating_duration_since(self.start).as_micros();
        self.beat_us.store(u64::try_from(us).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long before `now` the last turn was.
    pub fn since_beat(&self, now: Instant) -> Duration {
        let beat = Duration::from_micros(self.beat_us.load(Ordering::Relaxed));
        now.saturating_duration_since(self.start).saturating_sub(beat)
    }

    /// Legs that entered and have not left.
    pub fn legs(&self) -> &AtomicUsize {
        &self.legs
    }
}

/// Orders that may wait for a thread of so many legs.
fn orders_max(legs: usize) -> usize {
    (legs * 4).max(256)
}
