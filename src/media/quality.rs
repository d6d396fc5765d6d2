//! How good a call sounds, computed: the E-model of ITU-T G.107, and loss as RFC 3611 sees it.
//!
//! ```text
//!  jitter buffer ── received, lost ──> Losses ── share, bursts ──┐
//!  RTCP ── round trip ───────────────────────────────────────────┴─> rating (R) ─> mos
//! ```
//!
//! Loss is what is missing *behind* the jitter buffer: concealment hears no other. Pure counts and
//! formulas; does not know packets, legs or reports.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

/// Packets received between two losses that end a burst (RFC 3611 §4.7.2: the default of Gmin).
pub const GMIN: u64 = 16;
/// R of a connection without impairment (G.107 defaults).
const R_BEST: f32 = 93.2;
/// One-way delay from which delay weighs more. Units: ms.
const DELAY_KNEE: f32 = 177.3;

/// How a codec and its concealment bear loss: Ie and Bpl of G.113 Appendix I.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Robustness {
    /// Impairment without loss.
    pub ie: f32,
    /// How well loss is borne, in percent.
    pub bpl: f32,
}

impl Robustness {
    /// G.711 with packet loss concealment.
    pub const G711_PLC: Self = Self { ie: 0.0, bpl: 25.1 };
    /// G.711 that plays silence where packets are missing.
    pub const G711_PLAIN: Self = Self { ie: 0.0, bpl: 4.3 };
}

/// The rating R of one direction, 0 to 93.2.
///
/// `loss` is a share, `burst_ratio` at least 1 (1: loss at random), `delay` from mouth to ear.
#[must_use]
pub fn rating(loss: f32, burst_ratio: f32, delay: Duration, robustness: Robustness) -> f32 {
    let ms = delay.as_secs_f32() * 1000.0;
    let id = 0.024 * ms + 0.11 * (ms - DELAY_KNEE).max(0.0);
    let percent = 100.0 * loss.clamp(0.0, 1.0);
    let borne = percent / burst_ratio.max(1.0) + robustness.bpl;
    let ie = robustness.ie + (95.0 - robustness.ie) * percent / borne;
    (R_BEST - id - ie).clamp(0.0, R_BEST)
}

/// Mean opinion score (conversational) of a rating: 1 to 4.41.
#[must_use]
pub fn mos(rating: f32) -> f32 {
    let r = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)).max(1.0)
}

/// Runs of loss, counted as packets come out of the jitter buffer. Fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    packets: u64,
    lost: u64,
    /// Runs of loss without a packet between.
    runs: u64,
    in_run: bool,
    /// Packets since the last loss.
    since: u64,
    /// The burst that may be under way: packets and losses up to its last loss.
    open: (u64, u64),
    /// Bursts that have ended, and their packets and losses.
    bursts: u64,
    burst: (u64, u64),
}

/// What [`Losses`] come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossShares {
    /// Share of packets lost.
    pub loss: f32,
    /// How much longer runs of loss are than random ones of the same share; 1 or more.
    pub burst_ratio: f32,
    /// Share lost within bursts.
    pub burst_density: f32,
    /// Share lost outside.
    pub gap_density: f32,
    /// Packets of a burst on the average.
    pub burst_packets: f32,
    /// Packets between bursts on the average.
    pub gap_packets: f32,
}

impl Losses {
    /// A packet came out.
    pub fn received(&mut self) {
        self.packets += 1;
        self.since += 1;
        self.in_run = false;
    }

    /// So many packets in a row are missing.
    pub fn lost(&mut self, packets: u64) {
        if packets == 0 {
            return;
        }
        self.runs += u64::from(!std::mem::replace(&mut self.in_run, true));
        //= RFC 3611 §4.7.2: fewer than Gmin received packets between losses are part of a burst
        if self.open.1 > 0 && self.since < GMIN {
            self.open = (self.open.0 + self.since + packets, self.open.1 + packets);
        } else {
            self.close();
            self.open = (packets, packets);
        }
        self.packets += packets;
        self.lost += packets;
        self.since = 0;
    }

    /// Packets that were due.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Packets that are missing.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.lost
    }

    /// Runs of them without a packet between.
    #[must_use]
    pub const fn runs(&self) -> u64 {
        self.runs
    }

    /// What it comes to.
    #[must_use]
    pub fn shares(&self) -> LossShares {
        let mut all = *self;
        all.close();
        let outside = all.packets - all.burst.0;
        let loss = share(all.lost, all.packets);
        let run = share(all.lost, all.runs);
        LossShares {
            loss,
            burst_ratio: (run * (1.0 - loss)).max(1.0),
            burst_density: share(all.burst.1, all.burst.0),
            gap_density: share(all.lost - all.burst.1, outside),
            burst_packets: share(all.burst.0, all.bursts),
            gap_packets: share(outside, all.bursts + 1),
        }
    }

    /// What is open is a burst if it has more than one loss; one alone belongs to the gap.
    fn close(&mut self) {
        let (packets, lost) = std::mem::take(&mut self.open);
        if lost > 1 {
            self.bursts += 1;
            self.burst = (self.burst.0 + packets, self.burst.1 + lost);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_give_the_known_values() {
        let none = Duration::ZERO;
        let ms = Duration::from_millis;
        // Loss in percent, burst ratio, delay, with concealment, R by hand.
        let rows = [
            (0.0, 1.0, none, true, 93.2),
            (1.0, 1.0, none, true, 93.2 - 95.0 / 26.1),
            (5.0, 1.0, none, true, 93.2 - 95.0 * 5.0 / 30.1),
            (5.0, 2.0, none, true, 93.2 - 95.0 * 5.0 / 27.6),
            (1.0, 1.0, none, false, 93.2 - 95.0 / 5.3),
            (0.0, 1.0, ms(150), true, 93.2 - 3.6),
            (0.0, 1.0, ms(277), true, 93.2 - 0.024 * 277.0 - 0.11 * 99.7),
            (100.0, 9.0, ms(900), false, 0.0),
        ];
        for (percent, burst, delay, concealed, want) in rows {
            let robustness = if concealed { Robustness::G711_PLC } else { Robustness::G711_PLAIN };
            let got = rating(percent / 100.0, burst, delay, robustness);
            assert!((got - want).abs() < 0.01, "{percent} % {delay:?}: {got}, not {want}");
        }
        assert!((mos(93.2) - 4.41).abs() < 0.005, "{}", mos(93.2));
        assert!((mos(70.0) - 3.60).abs() < 0.01, "{}", mos(70.0));
        assert!((mos(0.0) - 1.0).abs() < 1e-6 && mos(-5.0) >= 1.0);
        assert!((1..100_u8).all(|r| mos(f32::from(r)) >= mos(f32::from(r - 1)) - 0.02));
        assert!(mos(f32::NAN).is_finite() || mos(f32::NAN).is_nan());
    }

    /// `.` received, `x` lost.
    fn counted(run: &str) -> Losses {
        let mut losses = Losses::default();
        for packet in run.chars() {
            if packet == 'x' { losses.lost(1) } else { losses.received() }
        }
        losses
    }

    #[test]
    fn bursts_and_gaps_are_told_apart_as_in_rfc_3611() {
        let gap = ".".repeat(20);
        let run = format!("{gap}x..x.xx{gap}x{gap}xx{gap}");
        let losses = counted(&run);
        let shares = losses.shares();
        assert_eq!((losses.packets(), losses.missing()), (90, 7));
        // Two bursts of 7 and 2 packets with 4 and 2 losses; one loss alone.
        assert_eq!((losses.bursts, losses.open), (1, (2, 2)));
        let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
        assert!(near(shares.burst_density, 6.0 / 9.0), "{shares:?}");
        assert!(near(shares.gap_density, 1.0 / 81.0), "{shares:?}");
        assert!(near(shares.burst_packets, 4.5) && near(shares.gap_packets, 27.0), "{shares:?}");
        // Runs: x, x, xx, x, xx: 7 losses in 5 runs.
        assert!(near(shares.burst_ratio, 7.0 / 5.0 * (1.0 - 7.0 / 90.0)), "{shares:?}");
    }

    #[test]
    fn nothing_and_everything_lost_are_shares_too() {
        let none = Losses::default().shares();
        assert_eq!((none.loss, none.burst_ratio, none.gap_density), (0.0, 1.0, 0.0));
        let mut all = Losses::default();
        all.lost(0);
        all.lost(50);
        assert_eq!((all.shares().loss, all.shares().burst_ratio), (1.0, 1.0));
    }
}
