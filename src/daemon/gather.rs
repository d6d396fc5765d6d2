//! Wake-ups of the runtime's threads, taken together while there are many calls.
//!
//! ```text
//!  event  event event   event            few calls: a wake-up each
//!  ───────────────────────────────>
//!  event  .     .     bell: all three    many: the first at once, what follows with the next bell
//! ```
//!
//! With some tens of calls something happens several times a millisecond: a client's message, the
//! media threads' bell, a request. A thread that sleeps between any two of them spends more on
//! falling asleep and being woken than on the work, as [`crate::net::rtp::GATHER`] says of the media
//! threads. Their bell, which rings once a millisecond then, ends a rest, so that the caller's sound
//! is not delayed; all else waits half a millisecond on the average, and one at most. Owns no thread
//! and decides nothing about calls.

use super::parts::Parts;
use std::cell::Cell;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Two waits of a thread begin at least this far apart.
const APART: Duration = Duration::from_millis(1);
/// Legs from which on a media thread has a beat every millisecond, and rings for it.
const CROWD: usize = 20;

thread_local! {
    /// Since when this thread last waited for something to happen.
    static WAITED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Who knows how many legs there are, once there is somebody.
#[derive(Clone, Default)]
pub(super) struct Gather(Arc<OnceLock<Weak<Parts>>>);

impl Gather {
    /// Lets threads gather as soon as there are enough legs.
    pub(super) fn watch(&self, parts: &Arc<Parts>) {
        // It is set once, by the one daemon of a runtime.
        let _ = self.0.set(Arc::downgrade(parts));
    }

    /// To be called by a thread of the runtime that has nothing to do, before it waits for more.
    pub(super) fn rest(&self) {
        let now = Instant::now();
        if let Some(rest) = rest(now, WAITED.get())
            && let Some(parts) = self.crowd()
        {
            parts.media.wait_for_bell(rest);
            return WAITED.set(Some(Instant::now()));
        }
        WAITED.set(Some(now));
    }

    /// The parts of a daemon that has many calls.
    fn crowd(&self) -> Option<Arc<Parts>> {
        let parts = self.0.get().and_then(Weak::upgrade);
        parts.filter(|parts| parts.media.legs_max_of_a_thread() >= CROWD)
    }
}

/// How long a thread that began to wait at `waited` rests before it waits again.
fn rest(now: Instant, waited: Option<Instant>) -> Option<Duration> {
    let rest = (waited? + APART).checked_duration_since(now)?;
    (!rest.is_zero()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_begin_a_millisecond_apart() {
        let waited = Instant::now();
        let us = Duration::from_micros;
        for (after, expected) in [(0, Some(1_000)), (300, Some(700)), (1_000, None), (9_000, None)]
        {
            assert_eq!(rest(waited + us(after), Some(waited)), expected.map(us), "{after} us");
        }
        assert_eq!(rest(waited, None), None);
    }

    #[test]
    fn nobody_rests_while_there_are_no_calls() {
        let gather = Gather::default();
        assert!(gather.crowd().is_none());
    }
}
