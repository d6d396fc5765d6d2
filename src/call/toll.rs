//! The guard against toll fraud: how many calls, how fast, and how many minutes a day.
//!
//! ```text
//!  admit ─> running ─ answered ─> charged by the minute ─ ended ─> the day's account
//!     └── refused: calls at once, calls a second, minutes of the day
//! ```
//!
//! Owns the accounts of trunks and API keys. Every call that is paid for passes it: those that the
//! API makes, those that a transfer or an inbound REFER makes. Which numbers may be dialled is
//! [`super::destination`]'s. Pure: both clocks are parameters; the accounts of the running day are
//! given at the start, so that a restart does not open a second budget.

use super::machine::Now;
use crate::id::CallId;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// Milliseconds of a day; days begin at midnight UTC.
const DAY_MS: i64 = 86_400_000;

/// Who pays for a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payer {
    /// A trunk, by name.
    Trunk(String),
    /// An API key, by name.
    Key(String),
}

impl fmt::Display for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trunk(name) => write!(f, "trunk {name}"),
            Self::Key(name) => write!(f, "key {name}"),
        }
    }
}

/// What a payer may use; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// Calls at once, from their making on.
    pub calls: Option<u32>,
    /// Calls in a second.
    pub per_second: Option<u32>,
    /// Answered time in a day.
    pub per_day: Option<Duration>,
}

/// Why a call may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TollError {
    /// As many calls as allowed are there.
    #[error("{0} has {1} calls already, as many as it may")]
    Calls(Payer, u32),
    /// Calls come faster than allowed.
    #[error("{0} may make {1} calls a second")]
    Rate(Payer, u32),
    /// The minutes of the day are used up.
    #[error("{0} has used up its {minutes} minutes of this day", minutes = .1.as_secs() / 60)]
    Minutes(Payer, Duration),
}

#[derive(Debug, Default)]
struct Account {
    caps: Caps,
    calls: u32,
    /// Tokens of the rate limit, in thousandths, and when they were counted.
    tokens: Option<(u64, Instant)>,
    day: i64,
    used: Duration,
}

impl Account {
    fn turn(&mut self, day: i64) {
        // A clock that is set back does not give a second budget.
        if day > self.day {
            (self.day, self.used) = (day, Duration::ZERO);
        }
    }

    fn take_token(&mut self, now: Instant, per_second: u32) -> bool {
        let full = u64::from(per_second) * 1000;
        let (level, at) = self.tokens.unwrap_or((full, now));
        let passed = now.saturating_duration_since(at).min(Duration::from_secs(1));
        let gained = u64::try_from(passed.as_millis()).unwrap_or(0) * u64::from(per_second);
        let level = full.min(level + gained);
        let taken = level >= 1000;
        self.tokens = Some((if taken { level - 1000 } else { level }, now));
        taken
    }
}

#[derive(Debug)]
struct Running {
    payers: Vec<Payer>,
    since: Option<Instant>,
}

/// The accounts of all payers that have limits.
#[derive(Debug, Default)]
pub struct TollGuard {
    accounts: BTreeMap<Payer, Account>,
    calls: BTreeMap<CallId, Running>,
}

impl TollGuard {
    /// A guard over these payers; others are free.
    #[must_use]
    pub fn new(caps: impl IntoIterator<Item = (Payer, Caps)>) -> Self {
        let limited = caps.into_iter().filter(|(_, caps)| *caps != Caps::default());
        let account = |caps| Account { caps, day: i64::MIN, ..Account::default() };
        let accounts = limited.map(|(payer, caps)| (payer, account(caps))).collect();
        Self { accounts, calls: BTreeMap::new() }
    }

    /// The midnight before a moment, both in milliseconds since 1970.
    #[must_use]
    pub const fn midnight(unix_ms: i64) -> i64 {
        unix_ms - unix_ms.rem_euclid(DAY_MS)
    }

    /// Enters what a payer has used of the day already.
    pub fn enter(&mut self, unix_ms: i64, payer: &Payer, used: Duration) {
        if let Some(account) = self.accounts.get_mut(payer) {
            account.turn(unix_ms.div_euclid(DAY_MS));
            account.used += used;
        }
    }

    /// Lets a call in, on the accounts of all its payers or of none; once.
    ///
    /// Cost: O(calls that run), when a payer has a budget of minutes.
    ///
    /// # Errors
    /// [`TollError`] of the first payer that may not.
    pub fn admit(&mut self, now: Now, call: &CallId, payers: &[Payer]) -> Result<(), TollError> {
        self.turn(now);
        if self.calls.contains_key(call) {
            return Ok(());
        }
        for payer in payers {
            let spent = self.spent(now, payer);
            let Some(account) = self.accounts.get(payer) else { continue };
            if let Some(most) = account.caps.calls.filter(|most| account.calls >= *most) {
                return Err(TollError::Calls(payer.clone(), most));
            }
            if let Some(budget) = account.caps.per_day.filter(|budget| spent >= *budget) {
                return Err(TollError::Minutes(payer.clone(), budget));
            }
        }
        // Last, since a token that is taken is gone.
        for payer in payers {
            if let Some(account) = self.accounts.get_mut(payer)
                && let Some(rate) = account.caps.per_second
                && !account.take_token(now.mono, rate)
            {
                return Err(TollError::Rate(payer.clone(), rate));
            }
        }
        for payer in payers {
            if let Some(account) = self.accounts.get_mut(payer) {
                account.calls += 1;
            }
        }
        let payers = payers.iter().filter(|payer| self.accounts.contains_key(payer)).cloned();
        let running = Running { payers: payers.collect(), since: None };
        if !running.payers.is_empty() {
            self.calls.insert(call.clone(), running);
        }
        Ok(())
    }

    /// A call was answered: its time is counted from here.
    pub fn answered(&mut self, now: Now, call: &CallId) {
        if let Some(running) = self.calls.get_mut(call) {
            running.since.get_or_insert(now.mono);
        }
    }

    /// A call is over.
    pub fn ended(&mut self, now: Now, call: &CallId) {
        self.turn(now);
        let Some(running) = self.calls.remove(call) else { return };
        let today = today(now);
        let used = running.since.map(|since| now.mono.saturating_duration_since(since).min(today));
        for payer in &running.payers {
            if let Some(account) = self.accounts.get_mut(payer) {
                account.calls = account.calls.saturating_sub(1);
                account.used += used.unwrap_or(Duration::ZERO);
            }
        }
    }

    /// The calls whose payers have used up the day's minutes: they are to be ended.
    pub fn over(&mut self, now: Now) -> Vec<CallId> {
        self.turn(now);
        let spent_up = |payer: &Payer| {
            let account = self.accounts.get(payer);
            let budget = account.and_then(|account| account.caps.per_day);
            budget.is_some_and(|budget| self.spent(now, payer) >= budget)
        };
        let broke: Vec<&Payer> = self.accounts.keys().filter(|payer| spent_up(payer)).collect();
        let calls = self.calls.iter();
        let over = calls.filter(|(_, call)| call.payers.iter().any(|payer| broke.contains(&payer)));
        over.map(|(id, _)| id.clone()).collect()
    }

    /// Whether any payer has a budget of minutes, so that [`Self::over`] is worth asking.
    #[must_use]
    pub fn has_budgets(&self) -> bool {
        self.accounts.values().any(|account| account.caps.per_day.is_some())
    }

    fn turn(&mut self, now: Now) {
        let day = now.unix_ms.div_euclid(DAY_MS);
        for account in self.accounts.values_mut() {
            account.turn(day);
        }
    }

    /// What a payer has used of this day, calls that run included.
    fn spent(&self, now: Now, payer: &Payer) -> Duration {
        let Some(account) = self.accounts.get(payer) else { return Duration::ZERO };
        let of_payer = self.calls.values().filter(|call| call.payers.contains(payer));
        let today = today(now);
        let running = of_payer.filter_map(|call| call.since);
        let running = running.map(|since| now.mono.saturating_duration_since(since).min(today));
        account.used + running.sum::<Duration>()
    }
}

/// How long the day is already: what a call used before midnight is not this day's.
fn today(now: Now) -> Duration {
    Duration::from_millis(u64::try_from(now.unix_ms.rem_euclid(DAY_MS)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> CallId {
        CallId::from_tail(&format!("{number}")).unwrap()
    }

    fn trunk() -> Payer {
        Payer::Trunk("carrier".into())
    }

    struct Rig {
        start: Instant,
        guard: TollGuard,
    }

    impl Rig {
        fn new(caps: Caps) -> Self {
            Self { start: Instant::now(), guard: TollGuard::new([(trunk(), caps)]) }
        }

        /// So many seconds after noon.
        fn at(&self, seconds: u64) -> Now {
            let unix_ms = DAY_MS * 20_000 + DAY_MS / 2 + i64::try_from(seconds * 1000).unwrap();
            Now { mono: self.start + Duration::from_secs(seconds), unix_ms }
        }

        fn admit(&mut self, seconds: u64, call: u32) -> Result<(), TollError> {
            let now = self.at(seconds);
            self.guard.admit(now, &id(call), &[trunk(), Payer::Key("free".into())])
        }
    }

    #[test]
    fn calls_at_once_are_counted_from_their_making_to_their_end() {
        let mut rig = Rig::new(Caps { calls: Some(2), ..Caps::default() });
        assert_eq!(rig.admit(0, 1), Ok(()));
        assert_eq!(rig.admit(0, 2), Ok(()));
        assert_eq!(rig.admit(0, 3), Err(TollError::Calls(trunk(), 2)));
        rig.guard.ended(rig.at(1), &id(1));
        rig.guard.ended(rig.at(1), &id(1));
        assert_eq!(rig.admit(1, 3), Ok(()));
        assert!(rig.admit(1, 4).is_err(), "an end counts once");
    }

    #[test]
    fn calls_a_second_have_a_burst_of_one_second() {
        let mut rig = Rig::new(Caps { per_second: Some(3), ..Caps::default() });
        let let_in = (0..10).filter(|call| rig.admit(0, *call).is_ok()).count();
        assert_eq!(let_in, 3);
        let later = (10..20).filter(|call| rig.admit(100, *call).is_ok()).count();
        assert_eq!(later, 3);
    }

    #[test]
    fn minutes_of_the_day_end_calls_and_come_back_at_midnight() {
        let mut rig = Rig::new(Caps { per_day: Some(Duration::from_mins(10)), ..Caps::default() });
        rig.guard.enter(rig.at(0).unix_ms, &trunk(), Duration::from_mins(4));
        assert_eq!(rig.admit(0, 1), Ok(()));
        rig.guard.answered(rig.at(60), &id(1));
        assert_eq!(rig.guard.over(rig.at(60 + 359)), []);
        assert_eq!(rig.guard.over(rig.at(60 + 360)), [id(1)]);
        let refused = rig.admit(60 + 360, 2).unwrap_err();
        assert_eq!(refused.to_string(), "trunk carrier has used up its 10 minutes of this day");
        rig.guard.ended(rig.at(60 + 360), &id(1));
        assert!(rig.admit(1000, 3).is_err());
        assert_eq!(rig.admit(12 * 3600, 4), Ok(()));
    }

    #[test]
    fn a_call_that_runs_over_midnight_uses_only_the_new_day() {
        let mut rig = Rig::new(Caps { per_day: Some(Duration::from_hours(1)), ..Caps::default() });
        rig.admit(0, 1).unwrap();
        rig.guard.answered(rig.at(11 * 3600 + 1800), &id(1));
        assert_eq!(rig.guard.over(rig.at(12 * 3600 + 600)), [], "10 minutes of the new day");
        assert_eq!(rig.guard.over(rig.at(13 * 3600)), [id(1)]);
    }

    #[test]
    fn a_refused_call_uses_nothing_and_others_are_free() {
        let mut rig = Rig::new(Caps { calls: Some(1), per_second: Some(1), per_day: None });
        assert!(!rig.guard.has_budgets());
        rig.admit(0, 1).unwrap();
        assert!(rig.admit(5, 2).is_err());
        rig.guard.ended(rig.at(5), &id(1));
        assert_eq!(rig.admit(5, 3), Ok(()), "the refused one took no token");
        let now = rig.at(5);
        for call in 10..20 {
            assert_eq!(rig.guard.admit(now, &id(call), &[Payer::Key("free".into())]), Ok(()));
        }
        assert_eq!(rig.guard.calls.len(), 1, "nothing is kept for those without limits");
    }
}
