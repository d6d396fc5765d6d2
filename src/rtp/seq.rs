//! Sequence numbers and timestamps: wrapping on the wire, ordered once extended.
//!
//! Owns the arithmetic and the sequence checks of RFC 3550 A.1 for one source. Does not keep
//! packets: [`SequenceGuard`] says which to keep, and `media::jitter` keeps them.
//!
//! ```text
//!              first ──> probation ──2 in a row──> valid ──jump──> suspect ──next in a row──> valid
//!                          ^   │ gap                 ^  └ forward, behind ┘ │      (restarted)
//!                          └───┘                     └──────────────────────┘ old numbers go on
//! ```

/// How many packets in a row make a source valid.
//= RFC 3550 §A.1: a source is not valid until so many packets in sequence came
pub const MIN_SEQUENTIAL: u8 = 2;
/// From this many numbers ahead on, a packet is a jump (RFC 3550 A.1).
pub const MAX_DROPOUT: u16 = 3000;
/// From this many numbers behind on, a packet is a jump (RFC 3550 A.1).
pub const MAX_MISORDER: u16 = 100;

/// A sequence number as it stands in a packet; wraps, and therefore has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seq16(pub u16);

impl Seq16 {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The number `count` after this one.
    #[must_use]
    pub const fn plus(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// How far this number stands after `other`, the short way round.
    #[must_use]
    pub const fn since(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// An RTP timestamp as it stands in a packet, in clock units; wraps, and has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ts32(pub u32);

impl Ts32 {
    /// The timestamp `units` later.
    #[must_use]
    pub const fn plus(self, units: u32) -> Self {
        Self(self.0.wrapping_add(units))
    }

    /// How far this timestamp stands after `other`, the short way round.
    #[must_use]
    pub const fn since(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// Where extended counts begin: high enough that packets from before the first one have a place,
/// and a multiple of 2^32 so that the low bits stay those of the wire.
const ORIGIN: u64 = 1 << 32;

/// A sequence number with its wraps counted: totally ordered over the life of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedSeq(u64);

impl ExtendedSeq {
    /// Begins a count at the first number of a source.
    #[must_use]
    pub const fn first(seq: Seq16) -> Self {
        Self(ORIGIN | seq.0 as u64)
    }

    /// The extended number nearest to this one that ends in `seq`.
    #[must_use]
    pub const fn near(self, seq: Seq16) -> Self {
        Self(self.0.wrapping_add_signed(seq.since(self.wire()) as i64))
    }

    /// As it stands in a packet.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are the wire's")]
    pub const fn wire(self) -> Seq16 {
        Seq16(self.0 as u16)
    }

    /// As RTCP reports it: wraps above, wire below (RFC 3550 §6.4.1).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are what RTCP carries")]
    pub const fn rtcp(self) -> u32 {
        self.0 as u32
    }

    /// The number `count` after this one.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The number `count` before this one.
    #[must_use]
    pub const fn back(self, count: u64) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// How many numbers lie from `earlier` up to this one; 0 when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Which of `size` slots this number falls into. `size` is a power of two.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "masked to the number of slots")]
    pub const fn slot(self, size: usize) -> usize {
        self.0 as usize & (size - 1)
    }
}

/// A timestamp with its wraps counted, in clock units: totally ordered over a source's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedTs(u64);

impl ExtendedTs {
    /// Begins a count at the first timestamp of a source.
    #[must_use]
    pub const fn first(ts: Ts32) -> Self {
        Self(ORIGIN | ts.0 as u64)
    }

    /// The extended timestamp nearest to this one that ends in `ts`.
    #[must_use]
    pub const fn near(self, ts: Ts32) -> Self {
        Self(self.0.wrapping_add_signed(ts.since(self.wire()) as i64))
    }

    /// As it stands in a packet.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are the wire's")]
    pub const fn wire(self) -> Ts32 {
        Ts32(self.0 as u32)
    }

    /// The timestamp `units` later.
    #[must_use]
    pub const fn plus(self, units: u64) -> Self {
        Self(self.0.wrapping_add(units))
    }

    /// Clock units from `other` to this; negative when this is earlier.
    #[must_use]
    pub const fn offset(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// What a packet's number says about its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The source is not valid yet. Keep the packet: [`Arrival::Confirmed`] may follow.
    Probation,
    /// The source is valid from this packet on; what was kept in probation belongs to it.
    Confirmed(ExtendedSeq),
    /// The highest number so far, with less than [`MAX_DROPOUT`] missing before it.
    Forward(ExtendedSeq),
    /// A duplicate, or a packet from at most [`MAX_MISORDER`] before the highest.
    Behind(ExtendedSeq),
    /// Too far off to believe. Keep the packet: [`Arrival::Restarted`] may follow.
    Jump,
    /// The packet right after the last [`Arrival::Jump`]: the source counts from there anew.
    Restarted(ExtendedSeq),
}

/// The sequence checks of RFC 3550 A.1 for one SSRC.
#[derive(Debug, Clone)]
pub struct SequenceGuard {
    highest: ExtendedSeq,
    /// Packets in a row that are still wanted; 0: valid.
    probation: u8,
    /// The number that would confirm the last jump.
    suspect: Option<Seq16>,
}

impl SequenceGuard {
    /// Starts probation with the first packet of a source, which must be kept.
    #[must_use]
    pub const fn new(first: Seq16) -> Self {
        Self { highest: ExtendedSeq::first(first), probation: MIN_SEQUENTIAL - 1, suspect: None }
    }

    /// Starts without probation: the source is valid by its first packet.
    #[must_use]
    pub const fn believed(first: Seq16) -> Self {
        Self { highest: ExtendedSeq::first(first), probation: 0, suspect: None }
    }

    /// Judges the next packet. Cost: O(1).
    ///
    /// RFC 3550 A.1 (`update_seq`).
    pub fn observe(&mut self, seq: Seq16) -> Arrival {
        if self.probation > 0 {
            return self.observe_in_probation(seq);
        }
        let ahead = seq.0.wrapping_sub(self.highest.wire().0);
        if ahead == 0 || ahead > u16::MAX - MAX_MISORDER + 1 {
            return Arrival::Behind(self.highest.near(seq));
        }
        if ahead < MAX_DROPOUT {
            self.highest = self.highest.plus(u64::from(ahead));
            return Arrival::Forward(self.highest);
        }
        if self.suspect == Some(seq) {
            self.highest = ExtendedSeq::first(seq);
            self.suspect = None;
            return Arrival::Restarted(self.highest);
        }
        self.suspect = Some(seq.next());
        Arrival::Jump
    }

    fn observe_in_probation(&mut self, seq: Seq16) -> Arrival {
        if seq != self.highest.wire().next() {
            self.probation = MIN_SEQUENTIAL - 1;
            self.highest = ExtendedSeq::first(seq);
            return Arrival::Probation;
        }
        self.highest = self.highest.plus(1);
        self.probation -= 1;
        if self.probation > 0 {
            return Arrival::Probation;
        }
        Arrival::Confirmed(self.highest)
    }

    /// Whether the source has passed probation.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.probation == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn valid_at(seq: u16) -> SequenceGuard {
        let mut guard = SequenceGuard::new(Seq16(seq.wrapping_sub(1)));
        assert!(matches!(guard.observe(Seq16(seq)), Arrival::Confirmed(_)));
        guard
    }

    #[test]
    fn distances_go_the_short_way_round() {
        let seqs = [(1u16, 0u16, 1i16), (0, 65535, 1), (65535, 0, -1), (32767, 0, 32767)];
        for (to, from, want) in seqs {
            assert_eq!(Seq16(to).since(Seq16(from)), want, "{from} to {to}");
        }
        let stamps = [(0u32, u32::MAX, 1i32), (159, 4_294_967_295, 160), (u32::MAX, 0, -1)];
        for (to, from, want) in stamps {
            assert_eq!(Ts32(to).since(Ts32(from)), want, "{from} to {to}");
        }
    }

    #[test]
    fn extension_follows_wraps_both_ways() {
        let before = ExtendedSeq::first(Seq16(65530));
        let after = before.near(Seq16(4));
        assert_eq!(after.since(before), 10);
        assert_eq!(after.rtcp(), 0x1_0004);
        assert_eq!(after.near(Seq16(65530)), before);
        let first = ExtendedSeq::first(Seq16(3));
        assert!(first.near(Seq16(65535)) < first, "numbers before the first one have a place");

        let ts = ExtendedTs::first(Ts32(u32::MAX - 79));
        let next = ts.near(Ts32(80));
        assert_eq!((next.offset(ts), ts.offset(next)), (160, -160));
        assert_eq!(next.wire(), Ts32(80));
    }

    #[test]
    fn probation_wants_two_in_a_row() {
        use Arrival::{Confirmed, Probation};
        // Each row: the numbers, and how many are seen before the source is valid.
        let rows: [(&[u16], Option<usize>); 6] = [
            (&[10, 11], Some(2)),
            (&[65535, 0], Some(2)),
            (&[10, 10, 10], None),
            (&[10, 12, 13], Some(3)),
            (&[10, 12, 11, 13, 14], Some(5)),
            (&[10, 9, 8, 7], None),
        ];
        for (numbers, valid_after) in rows {
            let mut guard = SequenceGuard::new(Seq16(numbers[0]));
            let mut confirmed = None;
            for (i, &seq) in numbers.iter().enumerate().skip(1) {
                match guard.observe(Seq16(seq)) {
                    Probation => assert!(!guard.is_valid()),
                    Confirmed(ext) => {
                        assert_eq!(ext.wire(), Seq16(seq));
                        confirmed = Some(i + 1);
                    }
                    other => panic!("{other:?} in probation of {numbers:?}"),
                }
            }
            assert_eq!(confirmed, valid_after, "{numbers:?}");
        }
    }

    #[test]
    fn limits_of_dropout_and_misorder_are_the_rfcs() {
        #[derive(Debug, PartialEq)]
        enum Kind {
            Forward,
            Behind,
            Jump,
        }
        for base in [1000u16, 0, 65535, 50, 65500] {
            let rows = [
                (1, Kind::Forward),
                (2, Kind::Forward),
                (2999, Kind::Forward),
                (3000, Kind::Jump),
                (32_768, Kind::Jump),
                (0u16.wrapping_sub(100), Kind::Jump),
                (0u16.wrapping_sub(99), Kind::Behind),
                (65_535, Kind::Behind),
                (0, Kind::Behind),
            ];
            for (ahead, want) in rows {
                let mut guard = valid_at(base);
                let seq = Seq16(base.wrapping_add(ahead));
                let got = match guard.observe(seq) {
                    Arrival::Forward(ext) => {
                        assert_eq!(ext.wire(), seq);
                        Kind::Forward
                    }
                    Arrival::Behind(ext) => {
                        assert_eq!(ext.wire(), seq);
                        Kind::Behind
                    }
                    Arrival::Jump => Kind::Jump,
                    other => panic!("{other:?}"),
                };
                assert_eq!(got, want, "{ahead} ahead of {base}");
            }
        }
    }

    #[test]
    fn a_jump_is_believed_when_its_successor_comes() {
        let mut guard = valid_at(100);
        assert_eq!(guard.observe(Seq16(40_000)), Arrival::Jump);
        assert!(matches!(guard.observe(Seq16(101)), Arrival::Forward(_)), "the stream goes on");
        assert!(matches!(guard.observe(Seq16(40_001)), Arrival::Restarted(_)));
        assert!(matches!(guard.observe(Seq16(40_002)), Arrival::Forward(_)));
        assert_eq!(guard.observe(Seq16(102)), Arrival::Jump, "the former numbers are far off");

        let mut guard = valid_at(100);
        assert_eq!(guard.observe(Seq16(40_000)), Arrival::Jump);
        assert_eq!(guard.observe(Seq16(40_000)), Arrival::Jump, "a duplicate confirms nothing");
        assert_eq!(guard.observe(Seq16(50_000)), Arrival::Jump);
        assert_eq!(guard.observe(Seq16(40_001)), Arrival::Jump, "only the last jump counts");
    }

    #[test]
    fn extended_numbers_count_many_wraps() {
        let mut guard = valid_at(65000);
        let Arrival::Forward(first) = guard.observe(Seq16(65001)) else { panic!("not forward") };
        let mut seq = Seq16(65001);
        let mut last = first;
        for _ in 0..200_000 {
            seq = seq.next();
            let Arrival::Forward(ext) = guard.observe(seq) else { panic!("not forward") };
            assert_eq!(ext.since(last), 1);
            last = ext;
        }
        assert_eq!(last.since(first), 200_000);
    }

    proptest! {
        #[test]
        fn near_is_exact_within_half_a_turn(start: u16, step in -32768i64..32768) {
            let from = ExtendedSeq::first(Seq16(start)).plus(1 << 20);
            let to = ExtendedSeq(from.0.wrapping_add_signed(step));
            prop_assert_eq!(from.near(to.wire()), to);
        }

        #[test]
        fn the_highest_never_falls_without_a_restart(seqs in prop::collection::vec(any::<u16>(), 1..200)) {
            let mut guard = SequenceGuard::new(Seq16(seqs[0]));
            let mut highest = None;
            for seq in seqs {
                match guard.observe(Seq16(seq)) {
                    Arrival::Forward(ext) => {
                        prop_assert!(highest.is_none_or(|h| ext > h));
                        highest = Some(ext);
                    }
                    Arrival::Behind(ext) => prop_assert!(highest.is_none_or(|h| ext <= h)),
                    Arrival::Confirmed(ext) | Arrival::Restarted(ext) => highest = Some(ext),
                    Arrival::Probation | Arrival::Jump => {}
                }
            }
        }
    }
}
