//! The task beside each media thread: carries its notices to the legs' owners.

use super::exchange::{Exchange, Notice};
use crate::net::ports::PortPool;
use crate::net::rtp::SocketPair;
use std::io::{self, PipeReader};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// What the pump needs besides the exchange.
pub struct Pump {
    /// The other end of the exchange's bell.
    pub bell: PipeReader,
    /// Where notices come from.
    pub exchange: Arc<Exchange<SocketPair>>,
    /// Seats that may be given out again.
    pub seats: Arc<Mutex<Vec<usize>>>,
    /// Ports that come back.
    pub ports: Arc<Mutex<PortPool>>,
}

impl Pump {
    /// Pumps until the media thread has ended and everything it said is delivered.
    ///
    /// # Errors
    /// When the runtime cannot watch the bell.
    pub async fn run(self) -> io::Result<()> {
        let mut bell = pipe::Receiver::from_owned_fd(self.bell.try_clone()?.into())?;
        loop {
            let struck = bell.read(&mut [0; 16]).await?;
            let finished = struck == 0 || self.exchange.finished();
            self.exchange.heard();
            self.deliver();
            if finished {
                return Ok(());
            }
        }
    }

    fn deliver(&self) {
        while let Some(notice) = self.exchange.next_notice() {
            match notice {
                Notice::Event(outlet, event) => outlet.tell(event, &self.exchange.lost_events),
                Notice::Ready(outlet) => outlet.wake(),
            }
        }
        while let Some(spent) = self.exchange.next_spent() {
            drop(spent);
        }
        while let Some(seat) = self.exchange.next_departure() {
            let (number, port) = (seat.number, seat.port);
            // Sockets close here, before the port may be bound again; the owner sees the end of
            // its events and is woken for it.
            seat.outlet.wake();
            drop(seat);
            lock(&self.ports).give_back(Instant::now(), port);
            lock(&self.seats).push(number);
            self.exchange.legs().fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Locks what no one panics in.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
