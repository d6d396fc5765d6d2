//! Which connections there are, which may come, and which must go for them.
//!
//! Pure: `now` is an argument, and what belongs to a connection (`L`) is passed through. Bounded by
//! [`ConnectionLimits`]. A stranger's connection costs little and goes first: whoever opens many of
//! them drives out his own kind, never a trunk.

use super::spec::ConnectionLimits;
use crate::sip::interface::{ConnectionId, Flow, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Without messages for this long, a proven connection may go for one that we want to open.
const SPARE: Duration = Duration::from_secs(60);

/// Who opened a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The peer.
    Accepted,
    /// We did, to a peer that showed this name (TLS), or its address without one.
    Opened(Option<Arc<str>>),
}

#[derive(Debug)]
pub(super) struct Table<L> {
    limits: ConnectionLimits,
    rows: BTreeMap<ConnectionId, Row<L>>,
    by_peer: BTreeSet<(Transport, SocketAddr, ConnectionId)>,
    by_source: BTreeMap<IpAddr, usize>,
    handshakes: usize,
    next: u64,
}

#[derive(Debug)]
struct Row<L> {
    transport: Transport,
    remote: SocketAddr,
    origin: Origin,
    /// A peer's TLS handshake is not over yet.
    greeting: bool,
    proven: bool,
    /// When the last message went either way, or it began.
    used: Instant,
    link: L,
}

/// A connection that may be.
#[derive(Debug)]
pub(super) struct Admitted<L> {
    pub id: ConnectionId,
    /// What belongs to connections that are no longer in the table and must be closed.
    pub evicted: Vec<L>,
}

impl<L> Table<L> {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            rows: BTreeMap::new(),
            by_peer: BTreeSet::new(),
            by_source: BTreeMap::new(),
            handshakes: 0,
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes a connection in; `None`: there are too many, and none of them can go.
    ///
    /// Cost: O(log n); O(n) when it is full.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        (transport, remote): (Transport, SocketAddr),
        origin: Origin,
        link: L,
    ) -> Option<Admitted<L>> {
        let ours = origin != Origin::Accepted;
        let greeting = transport == Transport::Tls && !ours;
        let source = source_of(remote.ip());
        let mut evicted = Vec::new();
        if greeting && self.handshakes >= self.limits.handshakes {
            let first = self.rows.iter().find(|(_, row)| row.greeting).map(|(id, _)| *id);
            evicted.extend(self.remove(first?));
        }
        if self.by_source.get(&source).copied().unwrap_or(0) >= self.limits.per_source {
            let victim = self.victim(now, Some(source), ours)?;
            evicted.extend(self.remove(victim));
        }
        if self.rows.len() >= self.limits.total {
            let victim = self.victim(now, None, ours)?;
            evicted.extend(self.remove(victim));
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        self.by_peer.insert((transport, remote, id));
        *self.by_source.entry(source).or_default() += 1;
        self.handshakes += usize::from(greeting);
        self.rows
            .insert(id, Row { transport, remote, origin, greeting, proven: ours, used: now, link });
        Some(Admitted { id, evicted })
    }

    /// Who goes for a newcomer: the oldest unproven one, else for one of ours the longest unused.
    fn victim(&self, now: Instant, source: Option<IpAddr>, ours: bool) -> Option<ConnectionId> {
        let near = |row: &Row<L>| source.is_none_or(|source| source_of(row.remote.ip()) == source);
        let mut near = self.rows.iter().filter(|(_, row)| near(row));
        if let Some((id, _)) = near.clone().find(|(_, row)| !row.proven) {
            return Some(*id);
        }
        let spare = |row: &Row<L>| now.saturating_duration_since(row.used) >= SPARE;
        let (id, _) = near
            .by_ref()
            .filter(|(_, row)| ours && spare(row))
            .min_by_key(|(id, row)| (row.used, **id))?;
        Some(*id)
    }

    /// The connection that a message for `flow` takes, if there is one.
    ///
    /// A connection of TLS that is not named by its number must have been opened to the same name.
    /// Without a name, a literal address was asked for, mostly by a peer in a dialog who had shown
    /// a name before: any connection that we opened to just this address will do.
    //= RFC 5923 §8: a connection is reused only for the name that it was authenticated for
    pub(super) fn find(&self, flow: &Flow, name: Option<&str>) -> Option<ConnectionId> {
        if let Some(id) = flow.connection.filter(|id| self.rows.contains_key(id)) {
            return Some(id);
        }
        let (transport, remote) = (flow.transport, flow.remote);
        let fits = |row: &Row<L>, any_name: bool| match (&row.origin, transport) {
            (_, Transport::Tcp) => true,
            (_, Transport::Udp) | (Origin::Accepted, Transport::Tls) => false,
            (Origin::Opened(shown), Transport::Tls) => {
                any_name || same_name(shown.as_deref(), name)
            }
        };
        let newest = |any_name| {
            let (first, last) = (ConnectionId(0), ConnectionId(u64::MAX));
            let there = self.by_peer.range((transport, remote, first)..=(transport, remote, last));
            let there = there.map(|(.., id)| *id);
            there.rev().find(|id| self.rows.get(id).is_some_and(|row| fits(row, any_name)))
        };
        newest(false).or_else(|| newest(true).filter(|_| name.is_none()))
    }

    /// What belongs to a connection; it is marked as used by us.
    pub(super) fn sending(&mut self, now: Instant, id: ConnectionId) -> Option<&L> {
        let row = self.rows.get_mut(&id)?;
        row.used = now;
        row.proven = true;
        Some(&row.link)
    }

    /// A message came in.
    pub(super) fn received(&mut self, now: Instant, id: ConnectionId) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.used = now;
        }
    }

    /// The TLS handshake of a peer is over.
    pub(super) fn greeted(&mut self, id: ConnectionId) {
        if let Some(row) = self.rows.get_mut(&id)
            && std::mem::take(&mut row.greeting)
        {
            self.handshakes -= 1;
        }
    }

    pub(super) fn is_proven(&self, id: ConnectionId) -> bool {
        self.rows.get(&id).is_some_and(|row| row.proven)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<L> {
        let row = self.rows.remove(&id)?;
        self.by_peer.remove(&(row.transport, row.remote, id));
        let source = source_of(row.remote.ip());
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        self.handshakes -= usize::from(row.greeting);
        Some(row.link)
    }
}

fn same_name(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (one, other) => one == other,
    }
}

/// What counts as one source: an IPv4 address, or the 64 bits of IPv6 that one host has to itself.
fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests;
