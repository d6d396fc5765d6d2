//! The media thread: receives, obeys, beats.
//!
//! ```text
//!  turn:  orders ─> slots that are due, in order ─> ring the bell ─> wait for packets or the beat
//! ```
//!
//! Deadlines are absolute: slot `n` is due at `base + n` ms, so lateness never adds up. After a
//! stall the missed slots are run in order; a leg that is later than [`LATE_MAX`] gives the beat
//! up by itself (`Leg::tick`), and a stall beyond `STALL_MAX` moves `base`.
//! After set-up nothing here allocates, frees, locks, awaits or logs.
//!
//! [`LATE_MAX`]: crate::media::leg::LATE_MAX

use super::exchange::{Exchange, Notice, Order};
use super::seat::Seat;
use crate::id::LegId;
use crate::media::interface::MediaParams;
use crate::media::leg::Outgoing;
use crate::media::ring::CaptureWriter;
use crate::media::wheel::{PERIOD_MAX, Wheel};
use crate::net::rtp::{Arrival, RtpIo, Wire};
use crate::rtp::srtp::SrtpPair;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SLOT: Duration = Duration::from_millis(1);
/// An idle thread turns at least this often: to take orders, and to show that it is alive.
const IDLE_SLOTS: u64 = 20;
/// Longer stalls (a suspended machine) are given up as a whole.
const STALL_MAX: Duration = Duration::from_millis(500);

/// The legs of a thread by number; boxed, so that coming and going moves one pointer.
type Seats<P> = Box<[Option<Box<Seat<P>>>]>;

/// One media thread's legs, sockets and beat.
pub struct Worker<I: RtpIo> {
    io: I,
    exchange: Arc<Exchange<I::Pair>>,
    seats: Seats<I::Pair>,
    wheel: Wheel,
    /// Legs that must be looked at between beats, because a hole has been waited for long enough.
    timeouts: Wheel,
    /// Who is in `timeouts`, by seat.
    armed: Box<[bool]>,
    base: Instant,
    cursor: u64,
    outgoing: Outgoing,
    /// Whose packets were sent in this turn, and when they were due; as many as there are seats.
    sent: Vec<(usize, Instant)>,
}

impl<I: RtpIo> Worker<I> {
    /// Makes room for `legs` legs, numbered below that.
    pub fn new(legs: usize, io: I, exchange: Arc<Exchange<I::Pair>>) -> Self {
        Self {
            base: io.now(),
            io,
            exchange,
            seats: (0..legs).map(|_| None).collect(),
            wheel: Wheel::new(legs),
            timeouts: Wheel::new(legs),
            armed: vec![false; legs].into(),
            cursor: 0,
            outgoing: Outgoing::default(),
            sent: Vec::with_capacity(legs),
        }
    }

    /// Turns until told to stop, then lets every leg say goodbye.
    pub fn run(mut self) {
        while !self.exchange.stopping() {
            self.turn();
        }
        self.take_orders();
        for seat in 0..self.seats.len() {
            self.leave(seat);
        }
        self.exchange.ring();
    }

    /// One turn; returns after the next packets or at the next beat.
    pub fn turn(&mut self) {
        self.take_orders();
        self.run_due_slots();
        self.submit();
        self.exchange.beat(self.io.now());
        self.exchange.ring();
        self.receive();
    }

    /// The sockets, or what stands for them.
    pub fn io(&mut self) -> &mut I {
        &mut self.io
    }

    fn take_orders(&mut self) {
        for _ in 0..self.exchange.orders_waiting() {
            match self.exchange.next_order() {
                Some(Order::Enter(seat)) => self.enter(seat),
                Some(Order::Tell { seat, id, command }) => {
                    let now = self.io.now();
                    let seated = self.seats.get_mut(seat).and_then(Option::as_mut);
                    if let Some(seat) = seated.filter(|seat| seat.id == id) {
                        seat.guarded(|leg| leg.handle_command(now, command));
                    }
                }
                Some(Order::Agree { seat, id, params, keys }) => {
                    self.agree(seat, id, params, keys);
                }
                Some(Order::Monitor { seat, id, ring }) => self.monitor(seat, id, ring),
                None => return,
            }
        }
    }

    /// Tells a leg an agreement; keys that nobody wants go back to where they came from.
    fn agree(
        &mut self,
        number: usize,
        id: LegId,
        params: MediaParams,
        mut keys: Option<Box<SrtpPair>>,
    ) {
        let now = self.io.now();
        let seated = self.seats.get_mut(number).and_then(Option::as_mut);
        if let Some(seat) = seated.filter(|seat| seat.id == id) {
            seat.guarded(|leg| keys = leg.handle_agreement(now, params, keys.take()));
        }
        if let Some(keys) = keys {
            self.exchange.spend(keys);
        }
    }

    /// Gives a leg the ring for what it sends; one that nobody takes goes back.
    fn monitor(&mut self, number: usize, id: LegId, ring: Box<CaptureWriter>) {
        let mut ring = Some(ring);
        let seated = self.seats.get_mut(number).and_then(Option::as_mut);
        if let Some(seat) = seated.filter(|seat| seat.id == id) {
            seat.guarded(|leg| ring = ring.take().and_then(|ring| leg.take_monitor(ring)));
        }
        if let Some(ring) = ring {
            self.exchange.spend(ring);
        }
    }

    fn enter(&mut self, mut seat: Box<Seat<I::Pair>>) {
        let number = seat.number;
        let Some(free) = self.seats.get_mut(number).filter(|seat| seat.is_none()) else {
            // Numbers come from the pool, which gives each out once: only a bug gets here.
            debug_assert!(false, "seat {number} is taken");
            return self.exchange.depart(seat);
        };
        if let Some(pair) = seat.pair.take()
            && let Err((pair, _)) = self.io.attach(number, pair)
        {
            // Deaf, but alive: the call ends by its media timeout rather than by surprise.
            seat.pair = Some(pair);
        }
        let slot = self.wheel.place(self.cursor, slots(seat.leg.period()));
        self.wheel.insert(slot, number);
        *free = Some(seat);
    }

    fn run_due_slots(&mut self) {
        let now = self.io.now();
        self.give_up_long_stall(now);
        while self.due(self.cursor) <= now {
            let mut next = self.wheel.take(self.cursor);
            while let Some(seat) = next {
                next = self.wheel.after(seat);
                self.beat(seat);
            }
            let mut next = self.timeouts.take(self.cursor);
            while let Some(seat) = next {
                next = self.timeouts.after(seat);
                self.time_out(seat);
            }
            self.cursor += 1;
        }
    }

    fn give_up_long_stall(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.due(self.cursor));
        if late > STALL_MAX {
            let whole_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            self.base += Duration::from_millis(whole_ms);
            self.exchange.skipped_ms.add(whole_ms);
        }
    }

    /// One beat of one leg.
    fn beat(&mut self, number: usize) {
        let (due, now) = (self.due(self.cursor), self.io.now());
        self.exchange.late.record(now.saturating_duration_since(due));
        let Some(seat) = self.seats.get_mut(number).and_then(Option::as_mut) else { return };
        if seat.closing() {
            return self.leave(number);
        }
        let (io, out, sent) = (&mut self.io, &mut self.outgoing, &mut self.sent);
        seat.guarded(|leg| {
            leg.tick(due, now, out);
            if let Some((packet, to)) = out.rtp() {
                let taken = io.send(number, Wire::Rtp, packet, to).is_ok();
                leg.handle_sent(taken);
                // Of a leg that catches up with several beats in one turn, the last may stay out.
                if taken && sent.len() < sent.capacity() {
                    sent.push((number, due));
                }
            }
            if let Some((packet, to)) = out.rtcp() {
                // A lost report is replaced by the next one.
                let _ = io.send(number, report_wire(out), packet, to);
            }
        });
        if let Some(keys) = seat.leg.take_spent(now) {
            self.exchange.spend(keys);
        }
        tell(&self.exchange, seat);
        self.wheel.insert(self.cursor + slots(seat.leg.period()), number);
    }

    /// Gives the network what this turn has sent, and tells the legs that it is out.
    fn submit(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        self.io.submit();
        let now = self.io.now();
        for (number, due) in self.sent.drain(..) {
            if let Some(seat) = self.seats.get_mut(number).and_then(Option::as_mut) {
                seat.leg.note_left(due, now);
            }
        }
    }

    /// A leg asked to be looked at; by now someone else may sit there, whom it does not hurt.
    fn time_out(&mut self, number: usize) {
        if let Some(armed) = self.armed.get_mut(number) {
            *armed = false;
        }
        let Some(seat) = self.seats.get_mut(number).and_then(Option::as_mut) else { return };
        let now = self.io.now();
        seat.guarded(|leg| leg.handle_timeout(now));
        tell(&self.exchange, seat);
        if let Some(deadline) = seat.leg.deadline() {
            self.timer().arm(number, deadline);
        }
    }

    fn timer(&mut self) -> Timer<'_> {
        Timer {
            timeouts: &mut self.timeouts,
            armed: &mut self.armed,
            base: self.base,
            cursor: self.cursor,
        }
    }

    fn receive(&mut self) {
        let next = self.wheel.first(self.cursor, IDLE_SLOTS);
        let span = next.map_or(IDLE_SLOTS, |next| next - self.cursor);
        let next = self.timeouts.first(self.cursor, span).unwrap_or(self.cursor + span);
        let until = self.due(next);
        let waited = self.io.wait(until);
        // An answer's order may have come with the first packets that it lets in.
        self.take_orders();
        let (seats, exchange) = (&mut self.seats, &*self.exchange);
        let (timeouts, armed) = (&mut self.timeouts, &mut self.armed);
        let mut timer = Timer { timeouts, armed, base: self.base, cursor: self.cursor };
        let polled = self.io.poll(until, &mut |arrival: Arrival<'_>| {
            let Some(seat) = seats.get_mut(arrival.token).and_then(Option::as_mut) else { return };
            let Arrival { at, bytes, from, .. } = arrival;
            seat.guarded(|leg| match arrival.wire {
                Wire::Rtp => leg.handle_rtp(at, bytes, from),
                Wire::Rtcp => leg.handle_rtcp(at, bytes, from),
            });
            tell(exchange, seat);
            if let Some(deadline) = seat.leg.deadline() {
                timer.arm(arrival.token, deadline);
            }
        });
        if waited.is_err() || polled.is_err() {
            // Cannot happen with a sound descriptor; the beat goes on, without a busy loop.
            std::thread::sleep(SLOT);
        }
    }

    /// Lets a leg say goodbye and go. It must not be in the wheel.
    fn leave(&mut self, number: usize) {
        let Some(mut seat) = self.seats.get_mut(number).and_then(Option::take) else { return };
        let (io, out) = (&mut self.io, &mut self.outgoing);
        seat.guarded(|leg| {
            leg.close(io.now(), out);
            if let Some((packet, to)) = out.rtcp() {
                let _ = io.send(number, report_wire(out), packet, to);
            }
        });
        seat.pair = self.io.detach(number).or(seat.pair.take());
        self.exchange.depart(seat);
    }

    fn due(&self, slot: u64) -> Instant {
        self.base + Duration::from_millis(slot)
    }
}

/// Puts legs where they are looked at in time.
struct Timer<'a> {
    timeouts: &'a mut Wheel,
    armed: &'a mut [bool],
    base: Instant,
    cursor: u64,
}

impl Timer<'_> {
    /// At the first slot that is not before `deadline`, or earlier if that is beyond the wheel:
    /// then the leg asks again.
    fn arm(&mut self, number: usize, deadline: Instant) {
        let Some(armed) = self.armed.get_mut(number).filter(|armed| !**armed) else { return };
        *armed = true;
        let after = deadline.saturating_duration_since(self.base);
        let slot = u64::try_from(after.as_nanos().div_ceil(SLOT.as_nanos())).unwrap_or(u64::MAX);
        let slot = slot.clamp(self.cursor + 1, self.cursor + PERIOD_MAX - 1);
        self.timeouts.insert(slot, number);
    }
}

/// Where a report goes out.
fn report_wire(out: &Outgoing) -> Wire {
    if out.is_muxed() { Wire::Rtp } else { Wire::Rtcp }
}

/// Passes on what a leg has to tell.
fn tell<P>(exchange: &Exchange<P>, seat: &mut Seat<P>) {
    while let Some(event) = seat.leg.poll_event() {
        if exchange.notify(Notice::Event(Arc::clone(&seat.outlet), event)).is_err() {
            exchange.dropped.add(1);
        }
    }
    exchange.dropped.add(seat.leg.take_dropped());
    // At most one wake-up of a leg is under way; one that finds no room comes with a later beat.
    if seat.leg.ready() && seat.outlet.call() {
        match exchange.notify(Notice::Ready(Arc::clone(&seat.outlet))) {
            Ok(()) => seat.leg.clear_ready(),
            Err(_) => seat.outlet.answered(),
        }
    }
}

/// The last word is said even when the thread dies of a bug, so that nobody waits for it.
impl<I: RtpIo> Drop for Worker<I> {
    fn drop(&mut self) {
        self.exchange.finish();
    }
}

fn slots(period: Duration) -> u64 {
    u64::try_from(period.as_millis()).unwrap_or(PERIOD_MAX).clamp(1, PERIOD_MAX)
}

#[cfg(test)]
mod tests;
