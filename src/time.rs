//! Seeded randomness and the timer table of the cores.
//!
//! Owns the one door to the crate `rand`, and deadlines by owner. Reads no clock and no entropy:
//! `now` and the seed are arguments, so a whole run can be replayed from its seed.

#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::wildcard_enum_match_arm)]

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// A seeded generator of unpredictable numbers; one seed gives one sequence.
#[derive(Debug)]
pub struct Rng(StdRng);

/// The letters of a token: 32 of them, so that each carries five bits.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Rng {
    /// Starts the sequence that belongs to `seed`.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }

    /// Splits off an independent generator, for a part that is to have its own sequence.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Self::from_seed(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// A number below `bound`, evenly spread; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply-shift: the bias is below bound / 2^64.
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// A token of 20 letters: 100 random bits, in characters that every grammar allows.
    pub fn token(&mut self) -> String {
        let mut bytes = [0; 20];
        self.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect()
    }

    /// A tag of From or To.
    //= RFC 3261 §19.3: at least 32 bits of randomness
    pub fn tag(&mut self) -> String {
        self.token()
    }

    /// A branch of Via, with the cookie of RFC 3261.
    //= RFC 3261 §8.1.1.7: the branch MUST begin with z9hG4bK and be unique
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.token())
    }

    /// A Call-ID without a host part, which would only give our addresses away.
    //= RFC 3261 §8.1.1.4: Call-IDs are cryptographically random
    pub fn call_id(&mut self) -> String {
        self.token()
    }
}

/// One deadline for each owner, found in the order of time.
///
/// `K` names the owner, `W` says what is due. Owners with the same deadline come in the order of
/// `K`, so a run never depends on the history of the table. Cost: O(log n); n is the number of
/// owners, since setting a deadline replaces the owner's earlier one.
#[derive(Debug, Clone)]
pub struct TimerTable<K, W> {
    by_owner: BTreeMap<K, (Instant, W)>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K, W> Default for TimerTable<K, W> {
    fn default() -> Self {
        Self { by_owner: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, W: Clone> TimerTable<K, W> {
    /// Sets the deadline of `owner`, or clears it with `None`.
    pub fn set(&mut self, owner: &K, deadline: Option<(Instant, W)>) {
        self.clear(owner);
        if let Some((at, why)) = deadline {
            self.by_time.insert((at, owner.clone()));
            self.by_owner.insert(owner.clone(), (at, why));
        }
    }

    /// Forgets the deadline of `owner`.
    pub fn clear(&mut self, owner: &K) {
        if let Some((at, _)) = self.by_owner.remove(owner) {
            self.by_time.remove(&(at, owner.clone()));
        }
    }

    /// Takes out the first owner whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<(K, W)> {
        let (at, owner) = self.by_time.first()?.clone();
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        let (_, why) = self.by_owner.remove(&owner)?;
        Some((owner, why))
    }

    /// The first deadline and what it is for.
    #[must_use]
    pub fn next(&self) -> Option<(Instant, W)> {
        let (_, owner) = self.by_time.first()?;
        self.by_owner.get(owner).cloned()
    }

    /// How many owners have a deadline.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_owner.len()
    }

    /// Whether no deadline is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_owner.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Rng, TimerTable};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use std::time::{Duration, Instant};

    fn start() -> Instant {
        // A fixed origin cannot be had from std; only differences matter in these tests.
        #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
        Instant::now()
    }

    #[test]
    fn one_seed_gives_one_sequence_and_forks_differ() {
        let (mut a, mut b) = (Rng::from_seed([7; 32]), Rng::from_seed([7; 32]));
        assert_eq!(a.branch(), b.branch());
        assert_eq!(a.fork().token(), b.fork().token());
        assert_ne!(a.fork().token(), a.fork().token());
        assert_ne!(Rng::from_seed([8; 32]).token(), Rng::from_seed([7; 32]).token());
    }

    #[test]
    fn tokens_are_tokens() {
        let mut rng = Rng::from_seed([1; 32]);
        for _ in 0..100 {
            let token = rng.token();
            assert_eq!(token.len(), 20);
            assert!(token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        }
        assert!(rng.branch().starts_with("z9hG4bK"));
    }

    #[test]
    fn below_and_chance_keep_their_bounds() {
        let mut rng = Rng::from_seed([2; 32]);
        assert_eq!(rng.below(0), 0);
        assert!((0..1000).all(|_| rng.below(3) < 3));
        assert!((0..100).all(|_| !rng.chance(0) && rng.chance(1000)));
        let hits = (0..10_000).filter(|_| rng.chance(300)).count();
        assert!((2700..3300).contains(&hits), "{hits}");
    }

    #[test]
    fn deadlines_come_in_order_and_only_when_due() {
        let origin = start();
        let at = |ms| origin + Duration::from_millis(ms);
        let mut table = TimerTable::default();
        table.set(&1, Some((at(30), 'c')));
        table.set(&2, Some((at(10), 'a')));
        table.set(&3, Some((at(10), 'b')));
        table.set(&1, Some((at(20), 'd')));
        assert_eq!(table.next(), Some((at(10), 'a')));
        assert_eq!(table.pop_due(at(9)), None);
        assert_eq!(table.pop_due(at(10)), Some((2, 'a')));
        assert_eq!(table.pop_due(at(10)), Some((3, 'b')));
        assert_eq!(table.pop_due(at(10)), None);
        table.set(&1, None);
        assert!(table.is_empty());
    }

    proptest! {
        #[test]
        fn table_equals_a_sorted_list(ops in proptest::collection::vec((0u8..20, 0u64..50), 0..200)) {
            let origin = start();
            let mut table = TimerTable::default();
            let mut model: Vec<(u8, u64)> = Vec::new();
            for (owner, ms) in ops {
                model.retain(|(key, _)| *key != owner);
                let deadline = (ms > 5).then(|| (origin + Duration::from_millis(ms), ms));
                if deadline.is_some() {
                    model.push((owner, ms));
                }
                table.set(&owner, deadline);
                prop_assert_eq!(table.len(), model.len());
            }
            model.sort_by_key(|(owner, ms)| (*ms, *owner));
            for expected in model {
                prop_assert_eq!(table.pop_due(origin + Duration::from_secs(1)), Some(expected));
            }
            prop_assert!(table.is_empty());
        }
    }
}
