//! What DNS said, for as long as it is true, and longer when nobody answers.
//!
//! Pure: `now` is an argument. Bounded: when full, what ends first goes first.

use super::record::{Question, Records};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Names and kinds remembered.
pub(super) const ENTRIES_MAX: usize = 1024;

/// How long an answer is believed at least and at most, whatever its TTL.
const TTL_MIN: Duration = Duration::from_secs(5);
const TTL_MAX: Duration = Duration::from_secs(3600);

/// How long the absence of a record is believed at most.
//= RFC 2308 §5: the minimum of the SOA record bounds it; ours is stricter
const NEGATIVE_MAX: Duration = Duration::from_secs(60);

/// How long an answer is used past its end while nobody gives a better one.
const STALE_MAX: Duration = Duration::from_secs(3600);

/// How long a failed question is not asked again.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// What is known of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hit {
    /// True.
    Fresh(Records),
    /// True until a while ago.
    Stale(Records),
    /// Nothing.
    Miss,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Question, Entry>,
}

#[derive(Debug)]
struct Entry {
    records: Records,
    fresh_until: Instant,
    stale_until: Instant,
}

impl Cache {
    pub(super) fn get(&self, now: Instant, question: &Question) -> Hit {
        match self.entries.get(question) {
            Some(entry) if now < entry.fresh_until => Hit::Fresh(entry.records.clone()),
            Some(entry) if now < entry.stale_until => Hit::Stale(entry.records.clone()),
            Some(_) | None => Hit::Miss,
        }
    }

    /// Takes an answer in; empty records are the absence of any.
    pub(super) fn store(
        &mut self,
        now: Instant,
        question: Question,
        records: Records,
        ttl: Duration,
    ) {
        let longest = if records.is_empty() { NEGATIVE_MAX } else { TTL_MAX };
        let fresh_until = now + ttl.clamp(TTL_MIN, longest);
        let stale_until = fresh_until + STALE_MAX;
        self.put(now, question, Entry { records, fresh_until, stale_until });
    }

    /// Nobody answered: what was known is used for a while before it is asked again.
    pub(super) fn fail(&mut self, now: Instant, question: Question) {
        let fresh_until = now + FAILURE_PAUSE;
        match self.entries.get_mut(&question) {
            Some(entry) if now < entry.stale_until => {
                entry.fresh_until = fresh_until.min(entry.stale_until).max(entry.fresh_until);
            }
            Some(_) | None => {
                let entry = Entry { records: [].into(), fresh_until, stale_until: fresh_until };
                self.put(now, question, entry);
            }
        }
    }

    fn put(&mut self, now: Instant, question: Question, entry: Entry) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&question) {
            self.entries.retain(|_, entry| now < entry.stale_until);
        }
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&question) {
            let ends =
                |(question, entry): &(&Question, &Entry)| (entry.fresh_until, (*question).clone());
            let first = self.entries.iter().min_by_key(ends).map(|(question, _)| question.clone());
            if let Some(first) = first {
                self.entries.remove(&first);
            }
        }
        self.entries.insert(question, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Kind, Record};
    use super::*;

    fn question(name: &str) -> Question {
        Question::new(name, Kind::A)
    }

    fn address(last: u8) -> Records {
        [Record::Address([192, 0, 2, last].into())].into()
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn answers_age_within_bounds() {
        let start = Instant::now();
        let none: Records = [].into();
        let cases = [
            (address(1), 60, 60),
            (address(1), 0, 5),
            (address(1), 1_000_000, 3600),
            (none.clone(), 30, 30),
            (none.clone(), 900, 60),
            (none, 0, 5),
        ];
        for (records, ttl, fresh) in cases {
            let mut cache = Cache::default();
            let asked = question("x");
            cache.store(start, asked.clone(), records.clone(), secs(ttl));
            let at = |after| cache.get(start + secs(after), &asked);
            assert_eq!(at(fresh - 1), Hit::Fresh(records.clone()), "ttl {ttl}");
            assert_eq!(at(fresh), Hit::Stale(records.clone()), "ttl {ttl}");
            assert_eq!(at(fresh + 3599), Hit::Stale(records.clone()), "ttl {ttl}");
            assert_eq!(at(fresh + 3600), Hit::Miss, "ttl {ttl}");
        }
    }

    #[test]
    fn failures_keep_what_was_known() {
        let start = Instant::now();
        let mut cache = Cache::default();
        cache.store(start, question("x"), address(1), secs(60));
        cache.fail(start + secs(70), question("x"));
        assert_eq!(cache.get(start + secs(79), &question("x")), Hit::Fresh(address(1)));
        assert_eq!(cache.get(start + secs(81), &question("x")), Hit::Stale(address(1)));
        cache.fail(start + secs(3655), question("x"));
        assert_eq!(cache.get(start + secs(3660), &question("x")), Hit::Miss, "an hour is the end");
        cache.fail(start, question("y"));
        assert_eq!(cache.get(start + secs(9), &question("y")), Hit::Fresh([].into()));
        assert_eq!(cache.get(start + secs(10), &question("y")), Hit::Miss);
        cache.store(start, question("z"), address(2), secs(60));
        cache.fail(start + secs(1), question("z"));
        assert_eq!(cache.get(start + secs(59), &question("z")), Hit::Fresh(address(2)));
    }

    #[test]
    fn better_answers_replace_worse_ones() {
        let start = Instant::now();
        let mut cache = Cache::default();
        cache.store(start, question("x"), address(1), secs(60));
        cache.store(start + secs(1), question("x"), [].into(), secs(60));
        assert_eq!(cache.get(start + secs(2), &question("x")), Hit::Fresh([].into()));
        cache.store(start + secs(3), question("x"), address(2), secs(60));
        assert_eq!(cache.get(start + secs(4), &question("x")), Hit::Fresh(address(2)));
    }

    #[test]
    fn it_holds_a_bounded_number_of_names() {
        let start = Instant::now();
        let mut cache = Cache::default();
        for n in 0..ENTRIES_MAX + 10 {
            let ttl = secs(1000 + u64::try_from(n).unwrap());
            cache.store(start, question(&format!("n{n}")), address(1), ttl);
        }
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        assert_eq!(cache.get(start, &question("n9")), Hit::Miss);
        assert_eq!(cache.get(start, &question("n10")), Hit::Fresh(address(1)));
        cache.store(start + secs(100_000), question("late"), address(1), secs(60));
        assert_eq!(cache.entries.len(), 1, "what has ended goes all at once");
    }
}
