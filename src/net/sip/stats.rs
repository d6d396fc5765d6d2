//! What the sockets count.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the sockets were bound; shared, and read at any time.
#[derive(Debug, Default)]
pub struct SocketStats {
    /// Datagrams that were dropped because too many waited to be handled.
    pub datagrams_dropped: Counter,
    /// ICMP messages that told of a peer that cannot be reached.
    pub unreachable: Counter,
    /// Connections of peers that were taken.
    pub accepted: Counter,
    /// Connections that we opened, or tried to.
    pub opened: Counter,
    /// Connections of peers that were closed at once because there were too many.
    pub refused: Counter,
    /// Connections that had to make room for others.
    pub evicted: Counter,
    /// Connections that were closed for stalling, idling or breaking the framing.
    pub faulted: Counter,
    /// TLS handshakes that failed, both directions.
    pub handshakes_failed: Counter,
    /// Connections that are open or being opened.
    pub open: Counter,
}

/// A number that many may change.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set(&self, number: usize) {
        self.0.store(u64::try_from(number).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
