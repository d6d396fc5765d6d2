//! When an engine that fails is left alone, and when it is tried again.
//!
//! ```text
//!           N failures in a row, or "retry after"
//!  Closed ────────────────────────────────────────> Open ── pause over ──> Probing
//!    ^                                               ^ │                    │ │
//!    │                                               │ └<── twice as long ──┘ │ failure
//!    └──────────────────────── success ──────────────┴────────────────────────┘
//! ```
//!
//! A pure machine: time comes as an argument. One request probes at a time; a probe of which
//! nothing is heard for [`PROBE_MAX`] is forgotten. Does not know what a failure is.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
pub const FAILURES: u32 = 3;
/// The first pause, and the longest.
pub const PAUSE: Duration = Duration::from_secs(5);
/// See [`PAUSE`].
pub const PAUSE_MAX: Duration = Duration::from_secs(120);
/// How long an engine's own wish is followed at most.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// How long a probe may take.
const PROBE_MAX: Duration = Duration::from_secs(60);

/// The breaker of one engine.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: State,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    Probing { since: Instant, pause: Duration },
}

/// Leave to ask the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// As always.
    Yes,
    /// To see whether it works again; others wait for the outcome.
    Probe,
    /// Not for this long.
    No(Duration),
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { failures: 0 }, reason: String::new() }
    }
}

impl Breaker {
    /// Asks for leave.
    pub fn ask(&mut self, now: Instant) -> Leave {
        let pause = match self.state {
            State::Closed { .. } => return Leave::Yes,
            State::Open { until, .. } if now < until => return Leave::No(until - now),
            State::Probing { since, .. } if now < since + PROBE_MAX => {
                return Leave::No(since + PROBE_MAX - now);
            }
            State::Open { pause, .. } | State::Probing { pause, .. } => pause,
        };
        self.state = State::Probing { since: now, pause };
        Leave::Probe
    }

    /// The engine did what it was asked.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
        self.reason.clear();
    }

    /// The engine failed; `retry_after` is its own wish to be left alone.
    pub fn failed(&mut self, now: Instant, retry_after: Option<Duration>, reason: &str) {
        reason.chars().take(300).collect::<String>().clone_into(&mut self.reason);
        let wish = retry_after.map(|wish| wish.min(RETRY_AFTER_MAX));
        self.state = match self.state {
            State::Closed { failures } if wish.is_none() && failures + 1 < FAILURES => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } => open(now, wish, PAUSE),
            State::Probing { pause, .. } => open(now, wish, (pause * 2).min(PAUSE_MAX)),
            // Of a request that began before it opened: only a wish changes anything.
            State::Open { until, pause } => {
                State::Open { until: wish.map_or(until, |wish| until.max(now + wish)), pause }
            }
        };
    }

    /// A probe was given up before its outcome was known: the next may try.
    pub fn abandoned(&mut self, now: Instant) {
        if let State::Probing { pause, .. } = self.state {
            self.state = State::Open { until: now, pause };
        }
    }

    /// The last failure.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether requests pass as always.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }
}

fn open(now: Instant, wish: Option<Duration>, pause: Duration) -> State {
    State::Open { until: now + wish.unwrap_or(pause), pause }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any origin of time does")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_probes_with_growing_pauses() {
        let (t, mut breaker) = (Instant::now(), Breaker::default());
        for _ in 0..2 {
            breaker.failed(t, None, "a");
            breaker.failed(t, None, "b");
            assert_eq!(breaker.ask(t), Leave::Yes);
            breaker.succeeded();
        }
        for _ in 0..3 {
            breaker.failed(t, None, "c");
        }
        assert_eq!(breaker.reason(), "c");
        assert_eq!(breaker.ask(t + s(1)), Leave::No(s(4)));
        let mut now = t;
        for pause in [5, 10, 20, 40, 80, 120, 120] {
            assert!(matches!(breaker.ask(now + s(pause - 1)), Leave::No(_)), "{pause}");
            now += s(pause);
            assert_eq!(breaker.ask(now), Leave::Probe);
            assert!(matches!(breaker.ask(now), Leave::No(_)), "one probe at a time");
            breaker.failed(now, None, "d");
        }
        assert_eq!(breaker.ask(now + s(120)), Leave::Probe);
        breaker.succeeded();
        assert!(breaker.is_closed());
        assert_eq!(breaker.ask(now + s(120)), Leave::Yes);
    }

    #[test]
    fn the_engine_s_own_wish_counts_at_once() {
        let (t, mut breaker) = (Instant::now(), Breaker::default());
        breaker.failed(t, Some(s(30)), "429");
        assert_eq!(breaker.ask(t + s(29)), Leave::No(s(1)));
        breaker.failed(t + s(10), Some(s(40)), "429");
        assert_eq!(breaker.ask(t + s(49)), Leave::No(s(1)));
        assert_eq!(breaker.ask(t + s(50)), Leave::Probe);
        breaker.failed(t + s(50), Some(Duration::from_secs(1 << 40)), "429");
        assert_eq!(breaker.ask(t + s(50)), Leave::No(s(600)));
    }

    #[test]
    fn a_probe_that_is_given_up_or_lost_makes_room_for_the_next() {
        let (t, mut breaker) = (Instant::now(), Breaker::default());
        breaker.failed(t, Some(s(1)), "x");
        assert_eq!(breaker.ask(t + s(1)), Leave::Probe);
        breaker.abandoned(t + s(2));
        assert_eq!(breaker.ask(t + s(2)), Leave::Probe);
        assert_eq!(breaker.ask(t + s(62)), Leave::Probe);
        breaker.abandoned(t + s(62));
        breaker.succeeded();
        breaker.abandoned(t + s(62));
        assert!(breaker.is_closed());
    }

    proptest! {
        #[test]
        fn it_never_stays_shut(steps in proptest::collection::vec((0_u8..5, 0_u64..200), 0..60)) {
            let (mut now, mut breaker) = (Instant::now(), Breaker::default());
            for (what, wait) in steps {
                now += s(wait);
                match what {
                    0 => breaker.succeeded(),
                    1 => breaker.failed(now, None, "x"),
                    2 => breaker.failed(now, Some(s(wait)), "y"),
                    3 => breaker.abandoned(now),
                    _ => drop(breaker.ask(now)),
                }
                if let Leave::No(wait) = breaker.clone().ask(now) {
                    prop_assert!(wait <= RETRY_AFTER_MAX);
                    prop_assert!(breaker.clone().ask(now + wait) != Leave::No(Duration::ZERO));
                    prop_assert_eq!(breaker.clone().ask(now + wait), Leave::Probe);
                }
            }
        }
    }
}
