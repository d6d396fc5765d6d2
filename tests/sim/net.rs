//! A seeded network: loss, duplication, reordering and delay of datagrams; faithful streams.

use crate::clock::ms;
use bellwire::sip::interface::{ConnectionId, Transport};
use bellwire::time::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the network does to datagrams; per mille.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    pub loss: u32,
    pub duplication: u32,
    /// Delays a datagram by up to ten times the usual, so that later ones overtake it.
    pub reordering: u32,
    /// The usual way takes between half and all of this.
    pub delay: Duration,
}

impl Faults {
    pub const NONE: Self =
        Self { loss: 0, duplication: 0, reordering: 0, delay: Duration::from_millis(20) };
}

/// One message on its way.
#[derive(Debug, Clone)]
pub struct Packet {
    pub transport: Transport,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub connection: Option<ConnectionId>,
    pub bytes: Vec<u8>,
}

/// What arrives.
#[derive(Debug)]
pub enum Delivery {
    Packet(Packet),
    /// The packet could not be delivered: nobody is there, or the connection is refused.
    Refused(Packet),
}

pub struct Net {
    pub faults: Faults,
    rng: Rng,
    queue: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
    /// Open connections by their two ends; the number is the same at both.
    connections: BTreeMap<(SocketAddr, SocketAddr), ConnectionId>,
    last_arrival: BTreeMap<ConnectionId, Instant>,
    /// Addresses that refuse streams and answer datagrams with ICMP.
    pub closed: BTreeSet<(Transport, SocketAddr)>,
    /// Addresses that swallow everything.
    pub black_holes: BTreeSet<SocketAddr>,
    /// Everything that was handed over for sending, for whoever drains it.
    pub log: Vec<(SocketAddr, Vec<u8>)>,
}

impl Net {
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            faults,
            rng: Rng::from_seed(seed_of(seed, 1)),
            queue: BTreeMap::new(),
            sent: 0,
            connections: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            closed: BTreeSet::new(),
            black_holes: BTreeSet::new(),
            log: Vec::new(),
        }
    }

    pub fn send(&mut self, now: Instant, packet: Packet) {
        self.log.push((packet.from, packet.bytes.clone()));
        match packet.transport {
            Transport::Udp => self.datagram(now, &packet),
            Transport::Tcp | Transport::Tls => self.stream(now, packet),
        }
    }

    /// When the next packet arrives.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out what has arrived.
    pub fn arrive(&mut self, now: Instant) -> Option<Delivery> {
        let first = self.queue.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let packet = first.remove();
        if self.black_holes.contains(&packet.to) {
            return self.arrive(now);
        }
        if self.closed.contains(&(packet.transport, packet.to)) {
            return Some(Delivery::Refused(packet));
        }
        Some(Delivery::Packet(packet))
    }

    /// Closes every connection of an address, as a restart does.
    pub fn reset(&mut self, address: SocketAddr) {
        self.connections.retain(|(a, b), _| *a != address && *b != address);
    }

    fn datagram(&mut self, now: Instant, packet: &Packet) {
        if self.rng.chance(self.faults.loss) {
            return;
        }
        let copies = 1 + u32::from(self.rng.chance(self.faults.duplication));
        for _ in 0..copies {
            let slow = if self.rng.chance(self.faults.reordering) { 10 } else { 1 };
            let at = now + self.latency() * slow;
            self.enqueue(at, packet.clone());
        }
    }

    fn stream(&mut self, now: Instant, mut packet: Packet) {
        let ends = (packet.from, packet.to);
        let known = self.connections.get(&ends).copied();
        let connection = packet.connection.or(known).unwrap_or(ConnectionId(self.sent));
        self.connections.insert(ends, connection);
        self.connections.insert((packet.to, packet.from), connection);
        packet.connection = Some(connection);
        // Streams keep their order and lose nothing; a lost segment only costs time.
        let floor = self.last_arrival.get(&connection).copied().unwrap_or(now);
        let again = if self.rng.chance(self.faults.loss) { ms(200) } else { Duration::ZERO };
        let at = floor.max(now + self.latency() + again);
        self.last_arrival.insert(connection, at);
        self.enqueue(at, packet);
    }

    fn enqueue(&mut self, at: Instant, packet: Packet) {
        self.sent += 1;
        self.queue.insert((at, self.sent), packet);
    }

    fn latency(&mut self) -> Duration {
        let full = u64::try_from(self.faults.delay.as_micros()).unwrap_or(0);
        Duration::from_micros(full / 2 + self.rng.below(full / 2 + 1))
    }
}

/// The seed of one part of a world.
pub fn seed_of(seed: u64, part: u8) -> [u8; 32] {
    let mut out = [part; 32];
    out[..8].copy_from_slice(&seed.to_le_bytes());
    out
}
