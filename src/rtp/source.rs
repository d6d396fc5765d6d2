//! Whom to believe: the guard against RTP injection and against sending to a stranger.
//!
//! ```text
//!              update()                 5 consistent packets             window over
//!   refused ──────────> signalled only ─────────────────────> locked ──────────────> strict
//!                        │  3 s: one source of the              │  25 in a row from one
//!                        └─ signalled host may be learnt        └─ source while it is silent
//! ```
//!
//! The signalled address is believed at once. For three seconds after [`SourceLock::update`]
//! another port of the signalled host may be learnt (symmetric RTP behind a NAT); another host
//! only when the signalled address may be out of our sight (private or unspecified) and nothing
//! came from it. After that only the locked source is heard, until a re-INVITE, or until it falls
//! silent and one other port of the same host earns its place with [`RELEARN_PACKETS`].
//! Everything else is counted, and changes nothing.
//!
//! Does not authenticate: who can forge the signalled address is held off by SRTP only.

use super::packet::{Packet, Ssrc};
use super::seq::Seq16;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long after an agreement a source may be learnt.
pub const LEARN_WINDOW: Duration = Duration::from_secs(3);
/// Consistent packets that lock a source inside the window.
pub const LEARN_PACKETS: u32 = 5;
/// Consistent packets that replace a silent source.
pub const RELEARN_PACKETS: u32 = 25;
/// How long the locked source must have been silent before it is replaced: longer than a burst
/// of [`RELEARN_PACKETS`] forged at once could pretend.
pub const RELEARN_SILENCE: Duration = Duration::from_millis(500);
/// A source that pauses longer than this begins again.
const CANDIDATE_IDLE: Duration = Duration::from_millis(200);
/// Sources that can be on trial at once; more are refused while these are alive.
const CANDIDATES: usize = 4;
/// How far a number may run ahead of the one before and still be the same source's.
const PLAUSIBLE_STEP: i16 = 50;

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Use it.
    Accept,
    /// Use it; its source is locked from here on, and ours goes there.
    Locked(SocketAddr),
    /// Count it and forget it.
    Refuse,
}

/// The guard of one leg's receive side. Fixed size; all operations O(1).
#[derive(Debug, Clone)]
pub struct SourceLock {
    signalled: Option<Signalled>,
    locked: Option<SocketAddr>,
    /// When the believed source was last heard, or may be missed from.
    heard: Option<Instant>,
    /// The signalled host has sent since the agreement: no other host can be meant.
    signalled_host_heard: bool,
    trials: [Option<Trial>; CANDIDATES],
    refused: u64,
}

#[derive(Debug, Clone, Copy)]
struct Signalled {
    address: SocketAddr,
    learn_until: Instant,
    any_host: bool,
}

/// A source on trial.
#[derive(Debug, Clone, Copy)]
struct Trial {
    from: SocketAddr,
    ssrc: Ssrc,
    payload_type: u8,
    seq: Seq16,
    packets: u32,
    heard: Instant,
}

impl SourceLock {
    /// A guard that refuses everything until it is told whom to expect.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            signalled: None,
            locked: None,
            heard: None,
            signalled_host_heard: false,
            trials: [None; CANDIDATES],
            refused: 0,
        }
    }

    /// Takes the address of an agreement: opens the window. Call it when a call is answered, too.
    ///
    /// Another address forgets the locked source. The same one keeps it, so that a session refresh
    /// leaves no gap, and so does the unspecified one of an old-style hold, which names nobody.
    pub fn update(&mut self, now: Instant, signalled: SocketAddr) {
        let signalled = canonical(signalled);
        let unchanged = self.signalled.is_some_and(|s| s.address == signalled);
        self.signalled = Some(Signalled {
            address: signalled,
            learn_until: now + LEARN_WINDOW,
            any_host: is_unreachable(signalled.ip()),
        });
        self.heard = Some(now);
        self.signalled_host_heard = false;
        self.trials = [None; CANDIDATES];
        if !unchanged && !signalled.ip().is_unspecified() {
            self.locked = None;
        }
    }

    /// Judges one well-formed packet.
    pub fn check(&mut self, now: Instant, from: SocketAddr, packet: &Packet<'_>) -> Verdict {
        let from = canonical(from);
        let verdict = match self.signalled {
            Some(signalled) => self.judge(now, from, packet, signalled),
            None => Verdict::Refuse,
        };
        match verdict {
            Verdict::Refuse => self.refused += 1,
            Verdict::Accept => self.heard = Some(now),
            Verdict::Locked(source) => {
                self.heard = Some(now);
                self.locked = Some(source);
                self.trials = [None; CANDIDATES];
            }
        }
        verdict
    }

    fn judge(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &Packet<'_>,
        signalled: Signalled,
    ) -> Verdict {
        let address = signalled.address;
        self.signalled_host_heard |= from.ip() == address.ip();
        let learning = now < signalled.learn_until;
        match self.locked {
            Some(locked) if locked == from => {
                self.drop_trials(|trial| learning && outranks(trial, locked, address));
                Verdict::Accept
            }
            Some(locked) => {
                self.try_out(now, from, packet, learning && outranks(from, locked, address))
            }
            None if from == address => {
                self.drop_trials(|trial| trial == address);
                match self.try_out(now, from, packet, true) {
                    Verdict::Refuse => Verdict::Accept,
                    better => better,
                }
            }
            None => self.try_out(now, from, packet, learning),
        }
    }

    /// The believed source lives: whoever hoped to replace it starts over, but those that `keep`.
    fn drop_trials(&mut self, keep: impl Fn(SocketAddr) -> bool) {
        for slot in &mut self.trials {
            *slot = slot.filter(|trial| keep(trial.from));
        }
    }

    /// Counts a packet of a source that is not believed; says `Locked` when it has earned it.
    ///
    /// `learning`: few packets do. Otherwise many, and silence of the source it would replace.
    fn try_out(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &Packet<'_>,
        learning: bool,
    ) -> Verdict {
        if !self.may_be_learnt(from) {
            return Verdict::Refuse;
        }
        let silent = self.heard.is_none_or(|at| now - at >= RELEARN_SILENCE);
        let Some(trial) = self.trial(now, from, packet) else { return Verdict::Refuse };
        trial.advance(now, packet);
        let earned = if learning {
            trial.packets >= LEARN_PACKETS
        } else {
            silent && trial.packets >= RELEARN_PACKETS
        };
        if earned { Verdict::Locked(from) } else { Verdict::Refuse }
    }

    /// The signalled host; the host that is locked, behind another port; or, when neither can be
    /// told, any.
    fn may_be_learnt(&self, from: SocketAddr) -> bool {
        let Some(signalled) = self.signalled else { return false };
        from.ip() == signalled.address.ip()
            || match self.locked {
                Some(locked) => from.ip() == locked.ip(),
                None => signalled.any_host && !self.signalled_host_heard,
            }
    }

    /// The trial of `from`: the running one, or a fresh one if there is room.
    fn trial(&mut self, now: Instant, from: SocketAddr, packet: &Packet<'_>) -> Option<&mut Trial> {
        let running = self.trials.iter().position(|t| t.is_some_and(|t| t.from == from));
        let at = running.or_else(|| {
            self.trials.iter().position(|t| t.is_none_or(|t| now - t.heard > CANDIDATE_IDLE))
        })?;
        let slot = self.trials.get_mut(at)?;
        if running.is_none() {
            *slot = None;
        }
        Some(slot.get_or_insert_with(|| Trial::new(now, from, packet)))
    }

    /// Where our packets go: the locked source, or the signalled address until one is locked.
    ///
    /// A source that is only on trial is never sent to.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.locked.or(self.signalled.map(|s| s.address))
    }

    /// The locked source.
    #[must_use]
    pub const fn locked(&self) -> Option<SocketAddr> {
        self.locked
    }

    /// Whether RTCP from this address may be read: it comes from the host that is believed.
    #[must_use]
    pub fn accepts_rtcp(&self, from: SocketAddr) -> bool {
        self.remote().is_some_and(|remote| remote.ip() == from.ip().to_canonical())
    }

    /// Packets refused since the start.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

impl Default for SourceLock {
    fn default() -> Self {
        Self::new()
    }
}

impl Trial {
    fn new(now: Instant, from: SocketAddr, packet: &Packet<'_>) -> Self {
        let payload_type = packet.payload_type;
        Self { from, ssrc: packet.ssrc, payload_type, seq: packet.seq, packets: 0, heard: now }
    }

    /// Counts the packet, or starts over with it when it does not continue the ones before.
    fn advance(&mut self, now: Instant, packet: &Packet<'_>) {
        let step = packet.seq.since(self.seq);
        let consistent = self.packets == 0
            || (packet.ssrc == self.ssrc
                && packet.payload_type == self.payload_type
                && (1..=PLAUSIBLE_STEP).contains(&step)
                && now - self.heard <= CANDIDATE_IDLE);
        let packets = if consistent { self.packets.saturating_add(1) } else { 1 };
        *self = Self { packets, ..Self::new(now, self.from, packet) };
    }
}

/// An IPv4 address in an IPv6 socket is that IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether `from` is nearer to what was signalled than the source that was learnt.
fn outranks(from: SocketAddr, locked: SocketAddr, signalled: SocketAddr) -> bool {
    let rank = |address: SocketAddr| {
        u8::from(address == signalled) + u8::from(address.ip() == signalled.ip())
    };
    rank(from) > rank(locked)
}

/// Whether an address may stand for a host behind a NAT, which reaches us from another one.
fn is_unreachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_unspecified() || v4.is_link_local() || is_carrier_grade_nat(v4)
        }
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// RFC 6598: 100.64.0.0/10.
fn is_carrier_grade_nat(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::seq::Ts32;

    const PUBLIC: &str = "203.0.113.5:4000";
    const PUBLIC_OTHER_PORT: &str = "203.0.113.5:4100";
    const PRIVATE: &str = "10.1.2.3:4000";
    const NAT: &str = "198.51.100.7:6000";
    const NAT_REBOUND: &str = "198.51.100.7:6001";
    const ATTACKER: &str = "192.0.2.66:666";

    fn packet(ssrc: u32, payload_type: u8, seq: u16) -> Packet<'static> {
        Packet {
            seq: Seq16(seq),
            timestamp: Ts32(0),
            ssrc: Ssrc(ssrc),
            payload_type,
            marker: false,
            payload: &[0; 160],
        }
    }

    /// A guard on a clock, fed with runs of packets.
    struct Rig {
        lock: SourceLock,
        now: Instant,
        seq: u16,
    }

    impl Rig {
        fn new(signalled: &str) -> Self {
            let mut rig = Self { lock: SourceLock::new(), now: Instant::now(), seq: 65_530 };
            rig.update(signalled);
            rig
        }

        fn update(&mut self, signalled: &str) {
            self.lock.update(self.now, signalled.parse().unwrap());
        }

        fn wait(&mut self, ms: u64) {
            self.now += Duration::from_millis(ms);
        }

        fn send(&mut self, from: &str, ssrc: u32) -> Verdict {
            self.seq = self.seq.wrapping_add(1);
            let packet = packet(ssrc, 0, self.seq);
            self.lock.check(self.now, from.parse().unwrap(), &packet)
        }

        /// `count` packets 20 ms apart; how many were used.
        fn run(&mut self, from: &str, count: usize) -> usize {
            let used = |rig: &mut Self| {
                rig.wait(20);
                rig.send(from, 1) != Verdict::Refuse
            };
            (0..count).filter(|_| used(self)).count()
        }

        fn locked(&self) -> Option<String> {
            self.lock.locked().map(|a| a.to_string())
        }
    }

    #[test]
    fn nobody_is_believed_before_an_agreement() {
        let mut lock = SourceLock::new();
        let from = PUBLIC.parse().unwrap();
        assert_eq!(lock.check(Instant::now(), from, &packet(1, 0, 1)), Verdict::Refuse);
        assert_eq!((lock.remote(), lock.refused()), (None, 1));
        assert!(!lock.accepts_rtcp(from));
    }

    #[test]
    fn the_signalled_source_is_used_from_its_first_packet() {
        let mut rig = Rig::new(PUBLIC);
        assert_eq!(rig.run(PUBLIC, 4), 4);
        assert_eq!(rig.locked(), None);
        assert_eq!(rig.send(PUBLIC, 1), Verdict::Locked(PUBLIC.parse().unwrap()));
        assert_eq!(rig.send(PUBLIC, 1), Verdict::Accept);
        assert_eq!(rig.lock.refused(), 0);
        // As an IPv6 socket shows it.
        assert_eq!(rig.send("[::ffff:203.0.113.5]:4000", 1), Verdict::Accept);
    }

    /// One line of an attack: who sends, how many packets, how many may be used.
    type Step = (&'static str, usize, usize);

    #[test]
    fn attacks_and_nats() {
        // Name; signalled; steps; who is locked after them.
        let rows: &[(&str, &str, &[Step], Option<&str>)] = &[
            ("stranger alone is never learnt", PUBLIC, &[(ATTACKER, 400, 0)], None),
            (
                "stranger before the peer",
                PUBLIC,
                &[(ATTACKER, 100, 0), (PUBLIC, 10, 10), (ATTACKER, 100, 0)],
                Some(PUBLIC),
            ),
            (
                "other port of the peer is learnt",
                PUBLIC,
                &[(PUBLIC_OTHER_PORT, 10, 6)],
                Some(PUBLIC_OTHER_PORT),
            ),
            (
                "signalled port wins back inside the window",
                PUBLIC,
                &[(PUBLIC_OTHER_PORT, 5, 1), (PUBLIC, 5, 1)],
                Some(PUBLIC),
            ),
            (
                "other port cannot take over from the signalled one",
                PUBLIC,
                &[(PUBLIC, 5, 5), (PUBLIC_OTHER_PORT, 20, 0)],
                Some(PUBLIC),
            ),
            ("phone behind a NAT is learnt", PRIVATE, &[(NAT, 5, 1), (NAT, 50, 50)], Some(NAT)),
            (
                "stranger cannot push out a learnt NAT",
                PRIVATE,
                &[(NAT, 6, 2), (ATTACKER, 400, 0), (NAT, 1, 1)],
                Some(NAT),
            ),
            (
                "signalled host that speaks shuts out all others",
                PRIVATE,
                &[(PRIVATE, 1, 1), (ATTACKER, 200, 0), (PRIVATE, 5, 5)],
                Some(PRIVATE),
            ),
            (
                "signalled host wins back from a stranger inside the window",
                PRIVATE,
                &[(ATTACKER, 5, 1), (PRIVATE, 5, 1), (ATTACKER, 100, 0), (PRIVATE, 9, 9)],
                Some(PRIVATE),
            ),
            (
                "NAT that moves to another port is found again",
                PRIVATE,
                &[(NAT, 200, 196), (NAT_REBOUND, 25, 1), (NAT_REBOUND, 5, 5)],
                Some(NAT_REBOUND),
            ),
            ("unspecified address learns", "0.0.0.0:4000", &[(NAT, 6, 2)], Some(NAT)),
            ("carrier grade NAT learns", "100.64.1.1:4000", &[(NAT, 6, 2)], Some(NAT)),
        ];
        for (name, signalled, steps, want) in rows {
            let mut rig = Rig::new(signalled);
            for &(from, count, used) in *steps {
                assert_eq!(rig.run(from, count), used, "{name}: {count} packets of {from}");
            }
            assert_eq!(rig.locked().as_deref(), *want, "{name}");
        }
    }

    #[test]
    fn the_window_closes() {
        let mut rig = Rig::new(PUBLIC);
        rig.wait(3000);
        assert_eq!(rig.run(PUBLIC_OTHER_PORT, 24), 0, "five are not enough any more");
        assert_eq!(rig.run(PUBLIC_OTHER_PORT, 1), 1, "after silence, 25 in a row are");
    }

    #[test]
    fn the_old_source_must_be_silent_to_be_replaced() {
        let mut rig = Rig::new(PUBLIC);
        rig.run(PUBLIC, 200);
        for _ in 0..200 {
            assert_eq!(rig.run(PUBLIC_OTHER_PORT, 1), 0);
            assert_eq!(rig.run(PUBLIC, 1), 1);
        }
        // A burst cannot pretend half a second of silence.
        for _ in 0..100 {
            assert_eq!(rig.send(PUBLIC_OTHER_PORT, 1), Verdict::Refuse);
        }
        rig.wait(480);
        assert_eq!(rig.send(PUBLIC_OTHER_PORT, 1), Verdict::Refuse);
        assert_eq!(rig.locked().as_deref(), Some(PUBLIC));
    }

    #[test]
    fn spraying_from_many_ports_learns_nothing() {
        let mut rig = Rig::new(PRIVATE);
        for i in 0..2000 {
            rig.wait(1);
            let from = format!("192.0.2.{}:{}", i % 250, 1000 + i);
            assert_eq!(rig.send(&from, 1), Verdict::Refuse);
        }
        assert_eq!(rig.locked(), None);
        assert_eq!(rig.lock.remote().unwrap().to_string(), PRIVATE, "nobody unlearnt is sent to");
    }

    #[test]
    fn inconsistent_packets_start_a_trial_over() {
        let from: SocketAddr = PUBLIC_OTHER_PORT.parse().unwrap();
        let good = |i: u16| packet(1, 0, 100 + i);
        let odd = [packet(2, 0, 104), packet(1, 8, 104), packet(1, 0, 103), packet(1, 0, 4000)];
        for odd in odd {
            let mut rig = Rig::new(PUBLIC);
            for i in 0..4 {
                assert_eq!(rig.lock.check(rig.now, from, &good(i)), Verdict::Refuse);
            }
            assert_eq!(rig.lock.check(rig.now, from, &odd), Verdict::Refuse);
            assert_eq!(rig.lock.check(rig.now, from, &good(5)), Verdict::Refuse, "{odd:?}");
        }
    }

    #[test]
    fn agreements_open_the_window_again() {
        let mut rig = Rig::new(PUBLIC);
        rig.run(PUBLIC, 200);
        rig.update(PUBLIC);
        assert_eq!(rig.run(PUBLIC, 1), 1, "a refresh leaves no gap");
        assert_eq!(rig.locked().as_deref(), Some(PUBLIC));
        rig.update("0.0.0.0:4000");
        assert_eq!(rig.locked().as_deref(), Some(PUBLIC), "a hold names nobody");
        rig.update("203.0.113.99:5000");
        assert_eq!(rig.run(PUBLIC, 5), 0, "the old source is gone at once");
        assert_eq!(rig.run("203.0.113.99:5000", 5), 5);
        assert_eq!(rig.locked().as_deref(), Some("203.0.113.99:5000"));
    }

    #[test]
    fn rtcp_is_read_from_the_believed_host_only() {
        let mut rig = Rig::new(PUBLIC);
        assert!(rig.lock.accepts_rtcp("203.0.113.5:4001".parse().unwrap()));
        assert!(!rig.lock.accepts_rtcp(ATTACKER.parse().unwrap()));
        rig.update(PRIVATE);
        rig.run(NAT, 6);
        assert!(rig.lock.accepts_rtcp("198.51.100.7:6001".parse().unwrap()));
        assert!(!rig.lock.accepts_rtcp("10.1.2.3:4001".parse().unwrap()));
    }
}
