//! The RTP send clock: sequence number, timestamp and marker of every packet that leaves a leg.
//!
//! ```text
//!  tick ──> send(160)     seq +1, ts +160          a packet goes out
//!  tick ──> comfort(160)  seq +1, ts +160, mark    comfort noise goes out, unmarked
//!  tick ──> suppress(160)         ts +160, mark    nothing goes out (held, or silent)
//!  skip ──> (nothing)                              the beat itself was lost: no time passes
//! ```
//!
//! The timestamp counts *ticks*, so it advances by one ptime through suppression too and never
//! jumps (RFC 3550 §5.1). One clock lives as long as its leg: a re-INVITE changes neither SSRC
//! nor the run of either number. Does not know when a tick is: `worker` does.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// The numbers of one outgoing packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Synchronization source, the same for the life of the leg.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
    /// Media timestamp of the packet's first sample.
    pub timestamp: u32,
    /// First packet ever, or first after suppression (RFC 3551 §4.1).
    pub marker: bool,
}

/// The send clock of one leg.
#[derive(Debug, Clone)]
pub struct Pacer {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
}

impl Pacer {
    /// Starts a clock whose SSRC and first numbers are drawn from `seed`.
    //= RFC 3550 §5.1: SSRC, first sequence number and first timestamp are random
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let [a, b, ..] = mix(seed).to_be_bytes();
        Self {
            ssrc: low_half(mix(seed.wrapping_add(1))),
            sequence: u16::from_be_bytes([a, b]),
            timestamp: low_half(mix(seed.wrapping_add(2))),
            marker: true,
        }
    }

    /// Stamps the packet of this tick and moves on by `units` of the RTP clock.
    pub fn send(&mut self, units: u32) -> Stamp {
        let stamp = self.peek();
        //= RFC 3550 §5.1: one up for each packet; the timestamp counts samples, packets or not
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(units);
        self.marker = false;
        stamp
    }

    /// Stamps a comfort noise packet of this tick: never marked, and what comes next is.
    //= RFC 3551 §4.1: the first packet after a silence has the marker, all others do not
    pub fn comfort(&mut self, units: u32) -> Stamp {
        let stamp = Stamp { marker: false, ..self.send(units) };
        self.marker = true;
        stamp
    }

    /// Lets a tick pass in which no packet goes out.
    pub fn suppress(&mut self, units: u32) {
        //= RFC 3551 §4.1: the first packet after a silence that was not sent has the marker
        self.timestamp = self.timestamp.wrapping_add(units);
        self.marker = true;
    }

    /// The numbers that the next packet will bear.
    #[must_use]
    pub fn peek(&self) -> Stamp {
        Stamp {
            ssrc: self.ssrc,
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: self.marker,
        }
    }
}

/// SplitMix64: spreads a seed over all bits.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn low_half(value: u64) -> u32 {
    let [.., a, b, c, d] = value.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_packet_bears_the_marker_and_no_other() {
        let mut pacer = Pacer::new(7);
        assert!(pacer.send(160).marker);
        assert!((0..100).all(|_| !pacer.send(160).marker));
    }

    #[test]
    fn suppression_moves_time_but_not_the_sequence_and_asks_for_a_marker() {
        let mut pacer = Pacer::new(7);
        let before = pacer.send(160);
        for _ in 0..50 {
            pacer.suppress(160);
        }
        let after = pacer.send(160);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(51 * 160));
        assert!(after.marker);
        assert_eq!(after.ssrc, before.ssrc);
        assert!(!pacer.send(160).marker);
    }

    #[test]
    fn comfort_noise_is_a_packet_of_the_stream_without_a_marker() {
        let mut pacer = Pacer::new(7);
        let before = pacer.send(160);
        let noise = pacer.comfort(160);
        pacer.suppress(160);
        let again = pacer.comfort(160);
        let after = pacer.send(160);
        assert!(!noise.marker && !again.marker && after.marker);
        assert_eq!(noise.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.sequence, before.sequence.wrapping_add(3));
        assert_eq!(noise.timestamp, before.timestamp.wrapping_add(160));
        assert_eq!(again.timestamp, before.timestamp.wrapping_add(480));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(640));
        assert!(!pacer.send(160).marker);
    }

    #[test]
    fn seeds_give_different_numbers() {
        let first = |seed| Pacer::new(seed).peek();
        let mut ssrcs: Vec<_> = (0..1000).map(|seed| first(seed).ssrc).collect();
        ssrcs.sort_unstable();
        ssrcs.dedup();
        assert_eq!(ssrcs.len(), 1000);
        assert_eq!(first(5), first(5));
        assert_ne!(first(5).sequence, first(6).sequence);
    }

    #[test]
    fn numbers_run_on_by_one_and_by_ptime_through_every_wrap() {
        for seed in [0, 1, u64::MAX] {
            let mut pacer = Pacer::new(seed);
            let mut last = pacer.send(160);
            for _ in 0..70_000 {
                let next = pacer.send(160);
                assert_eq!(next.sequence, last.sequence.wrapping_add(1));
                assert_eq!(next.timestamp, last.timestamp.wrapping_add(160));
                last = next;
            }
        }
    }
}
