//! Gateways that are left alone for a while: what failed is tried last, never not at all.
//!
//! Owns a bounded table of addresses with the end of their quarantine. Needs no timer: an entry
//! that has run out is taken for one that is not there.

use crate::sip::interface::Transport;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most addresses in quarantine; when full, the one that would be free first is forgotten.
const TARGETS_MAX: usize = 256;

/// For how long a gateway is left alone that says nothing about it.
pub(super) const DEFAULT: Duration = Duration::from_secs(30);
/// The longest that a Retry-After is believed.
pub(super) const MAX: Duration = Duration::from_mins(10);

/// One way to a gateway of a trunk.
pub(super) type Way = (usize, Transport, SocketAddr);

/// The ways that are left alone.
#[derive(Debug, Default)]
pub(super) struct Quarantine(BTreeMap<Way, Instant>);

impl Quarantine {
    /// Leaves a way alone; true if it was not so before.
    pub(super) fn put(&mut self, now: Instant, way: Way, length: Duration) -> bool {
        let until = now + length.min(MAX);
        self.0.retain(|_, until| *until > now);
        if length.is_zero() || self.0.get(&way).is_some_and(|known| *known >= until) {
            return false;
        }
        if self.0.len() >= TARGETS_MAX
            && let Some(first) = self.0.iter().min_by_key(|(_, until)| **until).map(|(way, _)| *way)
        {
            self.0.remove(&first);
        }
        self.0.insert(way, until).is_none()
    }

    /// Whether a way is left alone.
    pub(super) fn holds(&self, now: Instant, way: &Way) -> bool {
        self.0.get(way).is_some_and(|until| *until > now)
    }

    /// A way has proved itself.
    pub(super) fn lift(&mut self, way: &Way) {
        self.0.remove(way);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarantine_runs_out_is_capped_and_bounded() {
        #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
        let now = Instant::now();
        let way = |n: u16| (0, Transport::Udp, SocketAddr::from(([10, 0, 0, 1], n)));
        let mut quarantine = Quarantine::default();
        assert!(quarantine.put(now, way(1), DEFAULT));
        assert!(!quarantine.put(now, way(1), DEFAULT), "told once");
        assert!(quarantine.holds(now + Duration::from_secs(29), &way(1)));
        assert!(!quarantine.holds(now + DEFAULT, &way(1)));
        assert!(!quarantine.holds(now, &(0, Transport::Tcp, way(1).2)));
        assert!(!quarantine.put(now, way(2), Duration::ZERO));
        assert!(quarantine.put(now, way(3), Duration::from_hours(5)));
        assert!(!quarantine.holds(now + MAX, &way(3)));
        quarantine.lift(&way(3));
        assert!(!quarantine.holds(now, &way(3)));
        for n in 0..1000 {
            quarantine.put(now + Duration::from_millis(n.into()), way(n), DEFAULT);
        }
        assert_eq!(quarantine.0.len(), TARGETS_MAX);
        assert!(quarantine.holds(now + Duration::from_secs(2), &way(999)));
    }
}
