//! Client mode: when Bellwire opens the socket to `stream.url`, and when it opens it again.
//!
//! ```text
//!          answered, or the call's first sign           connected
//!  Resting ─────────────────────────────> Due ─> Opening ───────> Attached
//!                                          ^        │ refused        │ lost
//!                                          └────────┴── back-off <───┘
//!  a URL out of reach, a server that closed in order, the end of the call ──> Over
//! ```
//!
//! Owns the order and the times of attempts, nothing else: how long a call waits for its client, or
//! goes on without one, is the session's, and what a socket is, the [`Connector`]'s. A pure machine;
//! its randomness is seeded.

use super::seat::ClientSocket;
use crate::time::Rng;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first wait before another attempt; it doubles with each that fails.
const BACK_OFF: Duration = Duration::from_millis(200);
/// The longest one.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// A socket that held this long was good: the next loss begins with the first wait again.
const STEADY: Duration = Duration::from_secs(10);

/// When the first attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectAt {
    /// When the call is answered; of an incoming call at once, since its client may decide on it.
    #[default]
    Answer,
    /// When the call is dialled.
    Early,
}

/// Where a client that comes back stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumePoint {
    /// Names the conversation.
    pub token: String,
    /// The last message that was handed to the old socket.
    pub since: u64,
}

/// One attempt to open the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// What the conversation was, if there was one.
    pub resume: Option<ResumePoint>,
}

/// A socket that was opened.
pub struct Dialled {
    /// The conversation's.
    pub socket: Box<dyn ClientSocket>,
    /// What its server has of the conversation.
    pub had: Had,
}

/// What a server says that it has of the conversation that goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Had {
    /// The last message.
    pub since: Option<u64>,
    /// Samples of audio since the first `start`.
    pub heard: Option<u64>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct DialFault {
    /// In words, for the call object and the log; without secrets.
    pub detail: String,
    /// Another attempt would end the same way.
    pub last: bool,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// An attempt under way; it gives up by itself.
pub type Opening = Pin<Box<dyn Future<Output = Result<Dialled, DialFault>> + Send>>;

/// Opens sockets to one call's client.
pub trait Connector: Send + Sync {
    /// Begins an attempt; dropping the future ends it.
    fn open(&self, attempt: Attempt) -> Opening;
}

/// How a call's client is dialled.
#[derive(Clone)]
pub struct DialPlan {
    /// Who opens the sockets.
    pub connector: Arc<dyn Connector>,
    /// When the first is opened.
    pub at: ConnectAt,
    /// What the client may do.
    pub rights: super::StreamRights,
    /// Draws the jitter of the waits.
    pub seed: [u8; 32],
}

impl fmt::Debug for DialPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialPlan").field("at", &self.at).finish_non_exhaustive()
    }
}

/// How a socket came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The server closed in order: it is done with the call.
    Done,
    /// It broke, or whoever closed it wants to go on elsewhere.
    Broken,
    /// We closed it, since it was no conversation.
    Useless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Resting,
    Due(Instant),
    Opening,
    Attached { since: Instant },
    Over,
}

/// When the sockets of one call are opened; see the module.
#[derive(Debug)]
pub(super) struct Dialer {
    stage: Stage,
    /// Attempts so far.
    tries: u32,
    /// Attempts and short-lived sockets since the last good one.
    failures: u32,
    rng: Rng,
}

impl Dialer {
    /// A dialer that waits for the call.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { stage: Stage::Resting, tries: 0, failures: 0, rng: Rng::from_seed(seed) }
    }

    /// The call is ready for its client; a second time changes nothing.
    pub(super) fn begin(&mut self, now: Instant) {
        match self.stage {
            Stage::Resting => self.stage = Stage::Due(now),
            Stage::Due(_) | Stage::Opening | Stage::Attached { .. } | Stage::Over => {}
        }
    }

    /// The number of the attempt that is to be made at this moment.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<u32> {
        match self.stage {
            Stage::Due(at) if at <= now => {
                self.stage = Stage::Opening;
                self.tries += 1;
                Some(self.tries)
            }
            Stage::Resting
            | Stage::Due(_)
            | Stage::Opening
            | Stage::Attached { .. }
            | Stage::Over => None,
        }
    }

    /// When [`Self::take_due`] has something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Due(at) => Some(at),
            Stage::Resting | Stage::Opening | Stage::Attached { .. } | Stage::Over => None,
        }
    }

    /// The attempt failed.
    pub(super) fn failed(&mut self, fault: &DialFault, now: Instant) {
        if fault.last {
            self.stage = Stage::Over;
        } else {
            self.again(fault.retry_after.unwrap_or_default(), now);
        }
    }

    /// The attempt brought a socket.
    pub(super) fn attached(&mut self, now: Instant) {
        self.stage = Stage::Attached { since: now };
    }

    /// The socket is gone.
    pub(super) fn lost(&mut self, ending: Ending, now: Instant) {
        if let Stage::Attached { since } = self.stage
            && now.duration_since(since) >= STEADY
        {
            self.failures = 0;
        }
        match ending {
            Ending::Done | Ending::Useless => self.stage = Stage::Over,
            Ending::Broken => self.again(Duration::ZERO, now),
        }
    }

    /// Nothing is opened any more.
    pub(super) fn stop(&mut self) {
        self.stage = Stage::Over;
    }

    /// Attempts so far.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Waits, twice as long as the last time, at least half of that and at most all of it: many
    /// calls that lose one server do not come back to it at one moment.
    fn again(&mut self, least: Duration, now: Instant) {
        let wait = BACK_OFF.saturating_mul(1 << self.failures.min(10)).min(BACK_OFF_MAX);
        self.failures = self.failures.saturating_add(1);
        let half = wait / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(0);
        let wait = half + Duration::from_micros(self.rng.below(micros + 1));
        self.stage = Stage::Due(now + wait.max(least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(last: bool) -> DialFault {
        DialFault { detail: "no".to_owned(), last, retry_after: None }
    }

    /// Fails attempts and gives the waits in milliseconds.
    fn waits(dialer: &mut Dialer, now: &mut Instant, count: usize) -> Vec<u128> {
        let mut waits = Vec::new();
        for _ in 0..count {
            assert!(dialer.take_due(*now).is_some());
            dialer.failed(&fault(false), *now);
            let due = dialer.deadline().unwrap();
            waits.push((due - *now).as_millis());
            *now = due;
        }
        waits
    }

    #[test]
    fn the_waits_double_from_200_ms_to_5_s_with_jitter() {
        let (mut dialer, mut now) = (Dialer::new([7; 32]), Instant::now());
        dialer.begin(now);
        let first = waits(&mut dialer, &mut now, 9);
        let most = [200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000];
        for (wait, most) in first.iter().zip(most) {
            assert!((most / 2..=most).contains(wait), "{first:?}");
        }
        let (mut other, mut now) = (Dialer::new([8; 32]), Instant::now());
        other.begin(now);
        assert_ne!(waits(&mut other, &mut now, 9), first, "two calls do not come back together");
    }

    #[test]
    fn a_good_socket_begins_the_waits_anew_and_a_short_one_does_not() {
        let (mut dialer, mut now) = (Dialer::new([7; 32]), Instant::now());
        dialer.begin(now);
        waits(&mut dialer, &mut now, 4);
        for (held, most) in [(1, 3200), (2, 5000), (10, 200)] {
            assert!(dialer.take_due(now).is_some());
            dialer.attached(now);
            assert_eq!((dialer.deadline(), dialer.take_due(now)), (None, None));
            now += Duration::from_secs(held);
            dialer.lost(Ending::Broken, now);
            let wait = (dialer.deadline().unwrap() - now).as_millis();
            assert!((most / 2..=most).contains(&wait), "{wait} after {held} s");
            now = dialer.deadline().unwrap();
        }
    }

    #[test]
    fn what_is_over_stays_over() {
        let now = Instant::now();
        let over = |end: fn(&mut Dialer, Instant)| {
            let mut dialer = Dialer::new([7; 32]);
            dialer.begin(now);
            assert_eq!(dialer.take_due(now), Some(1));
            end(&mut dialer, now);
            dialer.begin(now);
            (dialer.deadline(), dialer.take_due(now + BACK_OFF_MAX))
        };
        assert_eq!(over(|dialer, now| dialer.failed(&fault(true), now)), (None, None));
        assert_eq!(over(|dialer, now| dialer.lost(Ending::Done, now)), (None, None));
        assert_eq!(over(|dialer, now| dialer.lost(Ending::Useless, now)), (None, None));
        assert_eq!(over(|dialer, _| dialer.stop()), (None, None));
    }

    #[test]
    fn a_server_may_ask_for_more_time() {
        let (mut dialer, now) = (Dialer::new([7; 32]), Instant::now());
        assert_eq!(dialer.deadline(), None, "the call is not ready");
        dialer.begin(now);
        assert_eq!(dialer.take_due(now), Some(1));
        let retry_after = Some(Duration::from_secs(3));
        dialer.failed(&DialFault { retry_after, ..fault(false) }, now);
        assert_eq!(dialer.deadline(), Some(now + Duration::from_secs(3)));
    }
}
