//! The transactions of RFC 3261 §17 with RFC 6026: four pure machines and their tables.
//!
//! ```text
//!   TU (endpoint) ── request, response ──> machine ──> Effect { send, tell }
//!   wire ── by branch, sent-by, method ──>    └── deadline: one of the timers A to M
//! ```
//!
//! Owns retransmission, absorption and matching. Does not parse, choose a way, or know dialogs:
//! the machines take facts (a class of status, bytes to repeat) and give back bytes to send.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::wildcard_enum_match_arm)]

pub mod client;
pub mod client_invite;
pub mod server;
pub mod server_invite;
pub mod table;
pub mod timers;

/// What a machine wants done after one input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Effect {
    /// A message to put on the wire.
    pub send: Option<Vec<u8>>,
    /// What the transaction user must hear.
    pub tell: Tell,
}

/// What the transaction user must hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// Nothing: a retransmission or an absorbed copy.
    Nothing,
    /// The message that was the input is new to it.
    PassUp,
    /// The transaction gave up waiting (Timers B, C, F, H).
    TimedOut,
    /// The transport cannot reach the peer.
    Unreachable,
}

impl Effect {
    pub(crate) fn none() -> Self {
        Self { send: None, tell: Tell::Nothing }
    }

    fn send(bytes: Vec<u8>) -> Self {
        Self { send: Some(bytes), tell: Tell::Nothing }
    }

    fn tell(tell: Tell) -> Self {
        Self { send: None, tell }
    }
}

#[cfg(test)]
mod testing {
    //! What the tests of the four machines share.

    use super::timers::Lengths;
    use super::{Effect, Tell};
    use std::fmt::Write as _;
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    pub fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Some fixed instant.
    pub fn origin() -> Instant {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
        *ORIGIN.get_or_init(Instant::now)
    }

    pub fn udp() -> Lengths {
        Lengths { t1: ms(500), reliable: false }
    }

    /// One line of a transition table.
    pub struct Row<'a> {
        pub state: &'a str,
        pub input: &'a str,
        pub next: &'a str,
        pub effect: Effect,
    }

    /// Compares the table with the committed one; `BELLWIRE_SNAPSHOTS=write` accepts a change.
    pub fn check(rows: &[Row<'_>], name: &str, committed: &str) {
        let actual = render(rows);
        if std::env::var("BELLWIRE_SNAPSHOTS").is_ok_and(|mode| mode == "write") {
            let place = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sip/transaction/snapshots/");
            std::fs::write(format!("{place}{name}.txt"), &actual).unwrap();
            return;
        }
        let changed = actual.lines().zip(committed.lines()).find(|(a, b)| a != b);
        assert_eq!(changed, None, "a transition of {name} changed (left: actual)");
        assert_eq!(actual.len(), committed.len(), "the table of {name} changed");
    }

    /// The table as text: a changed transition is a changed line.
    fn render(rows: &[Row<'_>]) -> String {
        let mut text = String::new();
        let mut last = rows.first().map_or("", |row| row.state);
        for Row { state, input, next, effect } in rows {
            if std::mem::replace(&mut last, state) != *state {
                text.push('\n');
            }
            let send = effect.send.as_ref().map(|bytes| String::from_utf8_lossy(bytes));
            let send = send.map_or(String::new(), |bytes| format!(", send {bytes}"));
            let tell = match effect.tell {
                Tell::Nothing => "",
                Tell::PassUp => ", pass up",
                Tell::TimedOut => ", tell timed out",
                Tell::Unreachable => ", tell unreachable",
            };
            writeln!(text, "{state} + {input} -> {next}{send}{tell}").unwrap();
        }
        text
    }
}
