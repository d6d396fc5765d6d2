//! How well one source is received: loss of RFC 3550 A.3 and jitter of RFC 3550 A.8.
//!
//! Counts and averages only; what a report looks like on the wire is `rtcp`'s.

use super::packet::Ssrc;
use super::seq::{ExtendedSeq, Ts32};

/// A difference of transit times beyond this many clock units is a new clock, not jitter.
const CLOCK_JUMP: u32 = 16_000;

/// The reception of one source since it became valid.
#[derive(Debug, Clone)]
pub struct Reception {
    ssrc: Ssrc,
    base: ExtendedSeq,
    highest: ExtendedSeq,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Sixteen times the mean deviation, in clock units.
    jitter_q4: u32,
    transit: Option<u32>,
}

/// What a report block says of a source (RFC 3550 §6.4.1), without the times of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceptionReport {
    /// The source.
    pub ssrc: Ssrc,
    /// Share lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start; negative when duplicates outweigh losses. 24 bits.
    pub cumulative_lost: i32,
    /// Highest extended sequence number.
    pub highest: u32,
    /// Interarrival jitter in clock units.
    pub jitter: u32,
}

impl Reception {
    /// Starts at the first packet that counts, which [`Reception::observe`] must still be told.
    #[must_use]
    pub const fn new(ssrc: Ssrc, first: ExtendedSeq) -> Self {
        Self {
            ssrc,
            base: first,
            highest: first,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            jitter_q4: 0,
            transit: None,
        }
    }

    /// Counts a packet, duplicates and late ones included, as A.3 wants it.
    ///
    /// `timing` is its timestamp and its arrival in the same clock units (any origin); `None` for
    /// packets whose timestamp says nothing about when they were sent (RFC 4733 events).
    pub fn observe(&mut self, seq: ExtendedSeq, timing: Option<(Ts32, Ts32)>) {
        self.received += 1;
        self.highest = self.highest.max(seq);
        if let Some((timestamp, arrival)) = timing {
            self.observe_transit(arrival.0.wrapping_sub(timestamp.0));
        }
    }

    //= RFC 3550 §A.8: jitter is the smoothed deviation of transit times, in timestamp units
    fn observe_transit(&mut self, transit: u32) {
        let Some(before) = self.transit.replace(transit) else { return };
        let deviation = Ts32(transit).since(Ts32(before)).unsigned_abs();
        if deviation > CLOCK_JUMP {
            return;
        }
        self.jitter_q4 = (self.jitter_q4 + deviation).saturating_sub((self.jitter_q4 + 8) >> 4);
    }

    /// Closes a reporting interval and says what to report about it.
    //= RFC 3550 §A.3: lost is expected less received; the fraction is that since the last report
    pub fn report(&mut self) -> ReceptionReport {
        let expected = self.expected();
        let expected_here = expected - self.expected_prior;
        let received_here = self.received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost_here = expected_here.saturating_sub(received_here);
        let fraction = (lost_here << 8).checked_div(expected_here).unwrap_or(0);
        let lost = i64::try_from(expected).unwrap_or(i64::MAX)
            - i64::try_from(self.received).unwrap_or(i64::MAX);
        ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0),
            highest: self.highest.rtcp(),
            jitter: self.jitter(),
        }
    }

    /// Interarrival jitter in clock units.
    #[must_use]
    pub const fn jitter(&self) -> u32 {
        self.jitter_q4 >> 4
    }

    /// The source.
    #[must_use]
    pub const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Packets that the source has sent as far as its numbers tell.
    #[must_use]
    pub const fn expected(&self) -> u64 {
        self.highest.since(self.base) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::seq::Seq16;

    fn received(seqs: &[u16]) -> Reception {
        let first = ExtendedSeq::first(Seq16(seqs[0]));
        let mut reception = Reception::new(Ssrc(7), first);
        let mut highest = first;
        for &seq in seqs {
            highest = highest.near(Seq16(seq)).max(highest);
            reception.observe(highest.near(Seq16(seq)), None);
        }
        reception
    }

    #[test]
    fn loss_is_counted_as_in_a_3() {
        // Numbers seen; lost in all; fraction of this interval in 1/256.
        let rows: [(&[u16], i32, u8); 6] = [
            (&[1, 2, 3, 4], 0, 0),
            (&[1, 2, 4], 1, 64),
            (&[1, 4, 2, 3], 0, 0),
            (&[1, 1, 1], -2, 0),
            (&[1, 1, 1, 6], 2, 85),
            (&[65534, 65535, 1, 2], 1, 51),
        ];
        for (seqs, lost, fraction) in rows {
            let report = received(seqs).report();
            assert_eq!(
                (report.cumulative_lost, report.fraction_lost),
                (lost, fraction),
                "{seqs:?}"
            );
        }
    }

    #[test]
    fn the_fraction_is_of_the_interval_and_the_loss_of_all() {
        let mut reception = received(&[10, 12]);
        assert_eq!(reception.report().fraction_lost, 85);
        let quiet = reception.report();
        assert_eq!((quiet.fraction_lost, quiet.cumulative_lost), (0, 1), "an interval of nothing");
        let base = ExtendedSeq::first(Seq16(12));
        (1..=10).for_each(|i| reception.observe(base.plus(i), None));
        let report = reception.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost, report.highest), (0, 1, 22));
    }

    #[test]
    fn all_lost_but_one_saturates_below_one() {
        let mut reception = received(&[0, 2900]);
        assert_eq!(reception.report().fraction_lost, 255);
    }

    #[test]
    fn jitter_is_the_running_mean_of_a_8() {
        let first = ExtendedSeq::first(Seq16(0));
        let mut reception = Reception::new(Ssrc(7), first);
        // Every second packet comes 80 units (10 ms) late: each difference is 80.
        for i in 0..400u32 {
            let sent = Ts32(i.wrapping_mul(160).wrapping_sub(500));
            let arrival = sent.plus(1_000_000 + (i % 2) * 80);
            reception.observe(first.plus(u64::from(i)), Some((sent, arrival)));
        }
        assert!((79..=80).contains(&reception.jitter()), "{}", reception.jitter());
        // A timestamp jump is no jitter.
        reception.observe(first.plus(400), Some((Ts32(0x4000_0000), Ts32(5))));
        reception.observe(first.plus(401), Some((Ts32(0x4000_0000 + 160), Ts32(165))));
        assert!(reception.jitter() <= 80);
    }
}
