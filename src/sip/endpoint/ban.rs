//! Sources that nobody asked for: counted, and after too many messages not even read any more.
//!
//! Owns a bounded table of addresses. Does not know trunks: who is exempt is decided by the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Most sources that are remembered; when full, the one that began earliest is forgotten, and one
/// that is banned only when all are: addresses made up by the thousand do not wash a ban away.
const SOURCES_MAX: usize = 4096;

/// Messages are counted over this time.
const WINDOW: Duration = Duration::from_mins(1);

/// What is known of strangers.
#[derive(Debug)]
pub(super) struct Bans {
    /// Offences in a window that ban; 0: nothing ever does.
    after: u32,
    length: Duration,
    sources: BTreeMap<IpAddr, Source>,
    /// Those that are banned come last.
    by_age: BTreeSet<(bool, Instant, IpAddr)>,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    since: Instant,
    count: u32,
    banned: bool,
}

impl Bans {
    pub(super) fn new(after: u32, length: Duration) -> Self {
        let (sources, by_age) = (BTreeMap::new(), BTreeSet::new());
        Self { after, length, sources, by_age }
    }

    /// How long a ban lasts.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// Whether this source is banned. Cost: O(log n); nothing is allocated.
    pub(super) fn is_banned(&mut self, now: Instant, source: IpAddr) -> bool {
        if self.sources.is_empty() {
            return false;
        }
        let place = place_of(source);
        let Some(known) = self.sources.get(&place).filter(|known| known.banned) else {
            return false;
        };
        if now.saturating_duration_since(known.since) < self.length {
            return true;
        }
        self.forget(place);
        false
    }

    /// Files one offence; true if the source is banned from here on.
    pub(super) fn offend(&mut self, now: Instant, source: IpAddr) -> bool {
        if self.after == 0 || self.length.is_zero() {
            return false;
        }
        let place = place_of(source);
        let old = self.sources.get(&place).copied();
        let old =
            old.filter(|old| !old.banned && now.saturating_duration_since(old.since) < WINDOW);
        let source = old.unwrap_or(Source { since: now, count: 0, banned: false });
        let count = source.count.saturating_add(1);
        let banned = count >= self.after;
        let since = if banned { now } else { source.since };
        self.keep(place, Source { since, count, banned });
        banned
    }

    /// How many sources are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    fn keep(&mut self, place: IpAddr, source: Source) {
        self.forget(place);
        if self.sources.len() >= SOURCES_MAX
            && let Some((_, _, oldest)) = self.by_age.first().copied()
        {
            self.forget(oldest);
        }
        self.sources.insert(place, source);
        self.by_age.insert((source.banned, source.since, place));
    }

    fn forget(&mut self, place: IpAddr) {
        if let Some(source) = self.sources.remove(&place) {
            self.by_age.remove(&(source.banned, source.since, place));
        }
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 customer has to choose from.
fn place_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "tests need some origin of time")]
        Instant::now()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ban_begins_at_the_limit_and_ends_by_itself() {
        let (now, mut bans) = (start(), Bans::new(3, Duration::from_mins(10)));
        let bad = ip("203.0.113.9");
        assert!(!bans.offend(now, bad) && !bans.offend(now, bad) && !bans.is_banned(now, bad));
        assert!(bans.offend(now, bad) && bans.is_banned(now, bad));
        assert!(bans.is_banned(now, ip("::ffff:203.0.113.9")), "mapped is the same");
        assert!(!bans.is_banned(now, ip("203.0.113.8")));
        assert!(bans.is_banned(now + Duration::from_secs(599), bad));
        assert!(!bans.is_banned(now + Duration::from_mins(10), bad));
        assert_eq!(bans.len(), 0);
    }

    #[test]
    fn slow_offences_and_a_limit_of_zero_never_ban() {
        let (mut now, mut bans) = (start(), Bans::new(2, Duration::from_mins(10)));
        for _ in 0..10 {
            assert!(!bans.offend(now, ip("203.0.113.9")));
            now += WINDOW;
        }
        let mut never = Bans::new(0, Duration::from_mins(10));
        assert!((0..100).all(|_| !never.offend(now, ip("203.0.113.9"))));
        assert_eq!(never.len(), 0);
    }

    #[test]
    fn one_customer_of_ipv6_is_one_source() {
        let (now, mut bans) = (start(), Bans::new(2, Duration::from_mins(10)));
        assert!(!bans.offend(now, ip("2001:db8:0:1::1")));
        assert!(bans.offend(now, ip("2001:db8:0:1:ffff::2")));
        assert!(bans.is_banned(now, ip("2001:db8:0:1::3")));
        assert!(!bans.is_banned(now, ip("2001:db8:0:2::3")));
    }

    #[test]
    fn table_is_bounded_and_forgets_the_oldest() {
        let (now, mut bans) = (start(), Bans::new(1, Duration::from_mins(10)));
        for i in 0..10_000_u32 {
            let source = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + i));
            assert!(bans.offend(now + Duration::from_millis(i.into()), source));
        }
        assert_eq!((bans.len(), bans.by_age.len()), (SOURCES_MAX, SOURCES_MAX));
        let later = now + Duration::from_secs(10);
        assert!(!bans.is_banned(later, ip("10.0.0.0")));
        assert!(bans.is_banned(later, IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + 9_999))));
    }

    #[test]
    fn made_up_addresses_do_not_wash_a_ban_away() {
        let (now, mut bans) = (start(), Bans::new(2, Duration::from_mins(10)));
        let bad = ip("203.0.113.9");
        assert!(!bans.offend(now, bad) && bans.offend(now, bad));
        for i in 0..10_000_u32 {
            bans.offend(now, IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + i)));
        }
        assert!(bans.is_banned(now, bad));
        assert_eq!(bans.len(), SOURCES_MAX);
    }
}
