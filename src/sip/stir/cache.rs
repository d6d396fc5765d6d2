//! What is remembered of certificates, and of addresses that have none.
//!
//! Owns how long and how much: at most [`ENTRIES_MAX`] addresses with [`OCTETS_MAX`] octets. When it
//! is full, what ends soonest goes. Fetches nothing.

use super::chain::Chain;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most addresses that are remembered.
pub const ENTRIES_MAX: usize = 1024;
/// Most octets of their certificates and addresses.
pub const OCTETS_MAX: usize = 8 << 20;

/// A certificate is remembered at least this long, whatever its server says: a call more or less
/// does not make it fetched again.
pub const SHORTEST: Duration = Duration::from_secs(60);
/// And at most this long: one that was taken back is gone the next day.
pub const LONGEST: Duration = Duration::from_hours(24);
/// How long when the server says nothing.
pub const USUAL: Duration = Duration::from_hours(1);
/// How long a failure is remembered.
pub const FAILURE: Duration = Duration::from_secs(30);

/// What is known of an address: its certificates, or why there are none.
pub type Known = Result<Arc<Chain>, Arc<str>>;

#[derive(Debug)]
struct Entry {
    known: Known,
    until: Instant,
    octets: usize,
}

/// Certificates by their address.
#[derive(Debug, Default)]
pub struct CertificateCache {
    entries: BTreeMap<String, Entry>,
    octets: usize,
}

impl CertificateCache {
    /// What is known of an address at this moment; `None`: it must be fetched.
    #[must_use]
    pub fn find(&self, now: Instant, url: &str) -> Option<Known> {
        let entry = self.entries.get(url).filter(|entry| now < entry.until)?;
        Some(entry.known.clone())
    }

    /// Remembers what came of an address; `max_age` is what its server says (RFC 9111 §5.2.2.1).
    pub fn keep(&mut self, now: Instant, url: &str, known: Known, max_age: Option<Duration>) {
        let lifetime = match &known {
            Ok(_) => max_age.unwrap_or(USUAL).clamp(SHORTEST, LONGEST),
            Err(_) => FAILURE,
        };
        let content = known.as_ref().map_or_else(|why| why.len(), |chain| chain.octets());
        let octets = url.len() + content;
        self.forget(url);
        self.octets += octets;
        self.entries.insert(url.to_owned(), Entry { known, until: now + lifetime, octets });
        while self.entries.len() > ENTRIES_MAX || self.octets > OCTETS_MAX {
            let ends_first = self.entries.iter().min_by_key(|(_, entry)| entry.until);
            let Some(url) = ends_first.map(|(url, _)| url.clone()) else { return };
            self.forget(&url);
        }
    }

    fn forget(&mut self, url: &str) {
        if let Some(entry) = self.entries.remove(url) {
            self.octets -= entry.octets;
        }
    }
}

/// `max-age` of a Cache-Control header field; `no-store` and `no-cache` are 0.
#[must_use]
pub fn max_age(cache_control: &str) -> Option<Duration> {
    let mut age = None;
    for directive in cache_control.split(',').map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case("max-age") {
            age = value.trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::super::testing::Authority;
    use super::*;

    fn failure(words: &str) -> Known {
        Err(words.into())
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn certificates_live_as_long_as_their_server_says_within_bounds() {
        let chain = Arc::new(Authority::new().issue(2099).chain());
        let start = Instant::now();
        for (max_age, lifetime) in [
            (None, USUAL),
            (Some(Duration::ZERO), SHORTEST),
            (Some(Duration::from_secs(600)), Duration::from_secs(600)),
            (Some(Duration::MAX), LONGEST),
        ] {
            let mut cache = CertificateCache::default();
            cache.keep(start, "https://x", Ok(Arc::clone(&chain)), max_age);
            let last = lifetime.saturating_sub(Duration::from_millis(1));
            assert_eq!(cache.find(start + last, "https://x"), Some(Ok(Arc::clone(&chain))));
            assert_eq!(cache.find(start + lifetime, "https://x"), None);
            assert_eq!(cache.find(start, "https://y"), None);
        }
        let mut cache = CertificateCache::default();
        cache.keep(start, "https://x", failure("no"), Some(LONGEST));
        assert_eq!(cache.find(start, "https://x"), Some(failure("no")));
        assert_eq!(cache.find(start + FAILURE, "https://x"), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do to begin with")]
    fn a_full_cache_lets_go_of_what_ends_first() {
        let mut cache = CertificateCache::default();
        let start = Instant::now();
        let chain = Arc::new(Authority::new().issue(2099).chain());
        cache.keep(start, "https://kept", Ok(Arc::clone(&chain)), None);
        for number in 0..ENTRIES_MAX + 5 {
            let now = start + Duration::from_millis(number as u64);
            cache.keep(now, &format!("https://{number}"), failure("no"), None);
        }
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        assert!(cache.find(start, "https://0").is_none());
        assert!(cache.find(start, "https://kept").is_some());
        let long = "x".repeat(OCTETS_MAX / 2);
        for url in ["https://a", "https://b", "https://b"] {
            cache.keep(start, url, failure(&long), None);
        }
        assert!(cache.octets <= OCTETS_MAX);
        let sum: usize = cache.entries.values().map(|entry| entry.octets).sum();
        assert_eq!(cache.octets, sum);
    }

    #[test]
    fn cache_control_is_read() {
        let seconds = |text| max_age(text).map(|age| age.as_secs());
        assert_eq!(seconds("public, Max-Age=300"), Some(300));
        assert_eq!(seconds("max-age=\"7\""), Some(7));
        assert_eq!(seconds("max-age=5, no-store"), Some(0));
        assert_eq!(seconds("max-age=-1"), None);
        assert_eq!(seconds("private"), None);
    }
}
