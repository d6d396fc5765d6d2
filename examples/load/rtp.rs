//! One line's RTP: what it sends and what it thinks of what it receives.

use crate::pattern::{Found, Heard, Pattern, SAMPLES};
use crate::stamps::{Batch, Datagram};
use std::io;
use std::net::{SocketAddr, UdpSocket};

const HEADER: usize = 12;
const PTIME_NS: i64 = 20_000_000;

/// Judgement on the packets that came.
#[derive(Debug, Default)]
pub struct Received {
    pub packets: u64,
    pub lost: u64,
    pub reordered: u64,
    pub timestamp_jumps: u64,
    pub source_changes: u64,
    /// Datagrams that are no RTP for us.
    pub foreign: u64,
    /// What the client's packets turned into.
    pub heard: Heard,
    /// Arrival against the beat of the first measured packet, in nanoseconds.
    pub offsets_ns: Vec<i64>,
    /// Time from packet to packet, in nanoseconds.
    pub gaps_ns: Vec<u64>,
    /// Time from each packet of ours to the one that brought it back, in nanoseconds; kept for
    /// lines whose client echoes.
    pub round_trips_ns: Vec<u64>,
    last_stamp: Option<u64>,
    last: Option<Last>,
    first: Option<(u64, u16)>,
    beats: i64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    ssrc: u32,
    seq: u16,
    timestamp: u32,
}

impl Received {
    fn take(
        &mut self,
        datagram: &Datagram<'_>,
        pattern: &Pattern,
        sent_at: &[u64],
        measuring: bool,
    ) {
        let octets = datagram.octets;
        let (Some(seq), Some(timestamp), Some(ssrc)) =
            (word(octets, 2), long(octets, 4), long(octets, 8))
        else {
            self.foreign += 1;
            return;
        };
        if octets[0] != 0x80 || (200..=206).contains(&octets[1]) {
            // RTCP comes to the same port.
            self.foreign += u64::from(octets[0] >> 6 != 2);
            return;
        }
        self.packets += 1;
        let steps = self.follow(Last { ssrc, seq, timestamp });
        // Payload type 0 is µ-law; the bit above is the marker.
        if matches!(octets[1], 0 | 0x80) {
            let found = pattern.find_octets(&octets[HEADER..]);
            self.heard.take(found);
            if let (Found::Exact(number), true) = (found, measuring)
                && let Some(sent) = sent_at.get(number)
            {
                self.round_trips_ns.push(datagram.stamp.saturating_sub(*sent));
            }
        }
        if measuring {
            self.measure(datagram.stamp, steps, seq);
        }
    }

    /// Compares with the packet before; how many beats later this one should be.
    fn follow(&mut self, now: Last) -> i64 {
        let Some(last) = self.last.replace(now) else { return 0 };
        if last.ssrc != now.ssrc {
            self.source_changes += 1;
            return 0;
        }
        let step = now.seq.wrapping_sub(last.seq);
        if step == 0 || step > u16::MAX / 2 {
            self.reordered += 1;
            self.last = Some(last);
            return -i64::from(last.seq.wrapping_sub(now.seq));
        }
        self.lost += u64::from(step - 1);
        let expected = last.timestamp.wrapping_add(u32::from(step) * SAMPLES as u32);
        self.timestamp_jumps += u64::from(now.timestamp != expected);
        i64::from(step)
    }

    fn measure(&mut self, stamp: u64, steps: i64, seq: u16) {
        let last = self.last_stamp.replace(stamp).filter(|_| steps == 1);
        self.gaps_ns.extend(last.map(|last| stamp.saturating_sub(last)));
        let Some((first, _)) = self.first else {
            self.first = Some((stamp, seq));
            self.offsets_ns.push(0);
            return;
        };
        self.beats += steps.max(0);
        // A packet that was overtaken is late by as many beats as it is behind.
        let beat = self.beats + steps.min(0);
        let since = i64::try_from(stamp.wrapping_sub(first)).unwrap_or(i64::MAX);
        self.offsets_ns.push(since.saturating_sub(beat * PTIME_NS));
    }

    /// Pacing errors in nanoseconds: offsets above the line's own earliest packet.
    pub fn errors_ns(&self) -> impl Iterator<Item = u64> + '_ {
        let least = self.offsets_ns.iter().copied().min().unwrap_or(0);
        self.offsets_ns.iter().map(move |offset| offset.abs_diff(least))
    }
}

/// A line's RTP socket and both directions of it.
pub struct RtpLine {
    socket: UdpSocket,
    peer: SocketAddr,
    packet: [u8; HEADER + SAMPLES],
    sent: usize,
    /// When each packet was sent, in nanoseconds of the real-time clock, for a line that echoes.
    pub sent_at: Option<Vec<u64>>,
    pub received: Received,
}

impl RtpLine {
    pub fn new(line: usize, socket: UdpSocket, peer: SocketAddr) -> Self {
        let mut packet = [0; HEADER + SAMPLES];
        packet[0] = 0x80;
        packet[8..12].copy_from_slice(&(0x4C4F_0000_u32 + line as u32).to_be_bytes());
        Self { socket, peer, packet, sent: 0, sent_at: None, received: Received::default() }
    }

    /// Sends the next packet.
    pub fn send(&mut self, pattern: &mut Pattern) -> io::Result<()> {
        self.packet[2..4].copy_from_slice(&(self.sent as u16).to_be_bytes());
        let timestamp = (self.sent * SAMPLES) as u32;
        self.packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        self.packet[HEADER..].copy_from_slice(pattern.octets(self.sent));
        self.sent += 1;
        if let Some(sent_at) = &mut self.sent_at {
            sent_at.push(crate::stamps::now());
        }
        self.socket.send_to(&self.packet, self.peer).map(drop)
    }

    /// Takes in what has come.
    pub fn receive(&mut self, batch: &mut Batch, pattern: &Pattern, measuring: bool) {
        loop {
            let count = batch.receive(&self.socket).unwrap_or(0);
            for at in 0..count {
                let datagram = batch.datagram(at).filter(|datagram| datagram.from == self.peer);
                let sent_at = self.sent_at.as_deref().unwrap_or_default();
                match datagram {
                    Some(datagram) => {
                        self.received.take(&datagram, pattern, sent_at, measuring);
                    }
                    None => self.received.foreign += 1,
                }
            }
            if count < crate::stamps::BATCH {
                return;
            }
        }
    }
}

fn word(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

fn long(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}
