//! When a leg speaks RTCP, and what it learns from the peer's (RFC 3550 §6).
//!
//! A report every five seconds while there is an agreement, held or not, and BYE at the end. What
//! a report looks like is `rtp::rtcp`'s, what it says of the peer's source is the jitter buffer's.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::quality::{GMIN, Losses, Robustness, mos, rating};
use super::stats::LegStats;
use crate::audio::codec::ClockRate;
use crate::rtp::packet::Ssrc;
use crate::rtp::reception::ReceptionReport;
use crate::rtp::rtcp::{MAX_REPORT, NtpTime, RtcpSession, SenderInfo};
use crate::rtp::seq::Ts32;
use crate::rtp::xr::{CONFIG_ADAPTIVE, UNKNOWN, VoipMetrics};
use std::time::{Duration, Instant};

/// Time between two reports.
//= RFC 3550 §6.2: the minimum interval is five seconds
const INTERVAL: Duration = Duration::from_secs(5);
/// When the first report comes.
//= RFC 3550 §6.2: half the minimum delay before the first compound packet
const FIRST: Duration = Duration::from_millis(2500);

/// What a packet's length and the coders add on both ends, beside the jitter buffer.
const END_SYSTEM: Duration = Duration::from_millis(40);

/// How the peer's source is received: for its own eyes and for everybody's.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// What RFC 3550 wants told.
    pub reception: ReceptionReport,
    /// What is missing behind the jitter buffer.
    pub losses: Losses,
    /// Packets of these that came, too late.
    pub late: u64,
    /// Audio of a packet.
    pub packet: Duration,
    /// How long a hole is waited for, and may ever be.
    pub window: (Duration, Duration),
}

/// Room for a report.
pub type ReportBuffer = [u8; MAX_REPORT];

/// The RTCP side of a leg.
#[derive(Debug)]
pub struct Reports {
    session: RtcpSession,
    opened: Instant,
    opened_unix: Duration,
    next: Option<Instant>,
    told_packets: u64,
}

impl Reports {
    /// Prepares the reports of our source; `opened_unix` is the wall clock at `now`.
    #[must_use]
    pub fn new(now: Instant, opened_unix: Duration, ssrc: Ssrc, cname: &str) -> Self {
        let session = RtcpSession::new(ssrc, cname);
        Self { session, opened: now, opened_unix, next: None, told_packets: 0 }
    }

    /// There is an agreement: reports are due from here on.
    pub fn begin(&mut self, now: Instant) {
        self.next.get_or_insert(now + FIRST);
    }

    /// Whether a report is due; each is due once, and missed ones are not made up for.
    pub fn due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|next| now >= next);
        if due {
            self.next = Some(now + INTERVAL);
        }
        due
    }

    /// Writes a report, a sender's if packets were sent since the last one; returns its length.
    pub fn write(
        &mut self,
        now: Instant,
        timestamp: Ts32,
        stats: &LegStats,
        heard: Option<&Heard>,
        out: &mut ReportBuffer,
    ) -> usize {
        //= RFC 3550 §6.4: a sender report if data was sent since the last, else a receiver report
        let sender = self.sender(now, timestamp, stats);
        let reception = heard.map(|heard| &heard.reception);
        // The buffer has the size that is asked for, so there is always room.
        let len = self.session.write_report(now, sender.as_ref(), reception, out).unwrap_or(0);
        let Some(heard) = heard else { return len };
        let metrics = voip_metrics(heard, stats);
        self.session.add_voip(&metrics, len, out).unwrap_or(len)
    }

    /// Writes the last report, with BYE; nothing when there never was an agreement.
    pub fn write_bye(
        &mut self,
        now: Instant,
        timestamp: Ts32,
        stats: &LegStats,
        heard: Option<&Heard>,
        out: &mut ReportBuffer,
    ) -> usize {
        if self.next.take().is_none() {
            return 0;
        }
        //= RFC 3550 §6.6: BYE comes last, behind the last report
        let len = self.write(now, timestamp, stats, heard, out);
        self.session.add_bye(len, out).unwrap_or(len)
    }

    /// Reads the peer's report; `false` when it is malformed.
    pub fn handle(
        &mut self,
        now: Instant,
        rate: ClockRate,
        bytes: &[u8],
        stats: &LegStats,
    ) -> bool {
        let Ok(update) = self.session.handle(now, self.ntp(now), bytes) else { return false };
        if let Some(reception) = update.reception {
            stats.remote_fraction_lost.set(reception.fraction_lost.into());
            stats.remote_lost.set(u64::try_from(reception.cumulative_lost).unwrap_or(0));
            stats
                .remote_jitter_us
                .set(u64::from(reception.jitter) * 1_000_000 / u64::from(rate.hz()));
        }
        if let Some(rtt) = update.rtt {
            stats.rtt_us.set(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX));
        }
        if let Some(told) = update.voip.and_then(|metrics| metrics.mos()) {
            stats.mos_told.set(hundredths(told));
        }
        if let Some(reception) = update.reception {
            stats.mos_tx.set(hundredths(far_mos(&reception, stats)));
        }
        true
    }

    fn sender(&mut self, now: Instant, timestamp: Ts32, stats: &LegStats) -> Option<SenderInfo> {
        let packets = stats.tx_packets.read();
        let told = std::mem::replace(&mut self.told_packets, packets);
        (packets != told).then(|| SenderInfo {
            ntp: self.ntp(now),
            timestamp,
            packets: wrapping(packets),
            octets: wrapping(stats.tx_octets.read()),
        })
    }

    fn ntp(&self, now: Instant) -> NtpTime {
        NtpTime::from_unix(self.opened_unix + now.saturating_duration_since(self.opened))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "RTCP counts modulo 2^32")]
fn wrapping(count: u64) -> u32 {
    count as u32
}

/// What the peer hears of us, from its plain reports: loss before its jitter buffer, and for all we
/// know it plays silence where packets are missing.
fn far_mos(reception: &ReceptionReport, stats: &LegStats) -> f32 {
    let lost = u64::try_from(reception.cumulative_lost).unwrap_or(0);
    let loss = share(lost, stats.tx_packets.read());
    let jitter = Duration::from_micros(stats.remote_jitter_us.read());
    let delay = one_way(stats) + END_SYSTEM + 2 * jitter.min(Duration::from_millis(200));
    mos(rating(loss, 1.0, delay, Robustness::G711_PLAIN))
}

/// The VoIP metrics block, and the score of the report.
fn voip_metrics(heard: &Heard, stats: &LegStats) -> VoipMetrics {
    let shares = heard.losses.shares();
    let end_system = END_SYSTEM + heard.window.0 / 2;
    let listening = rating(shares.loss, shares.burst_ratio, Duration::ZERO, Robustness::G711_PLC);
    let delay = one_way(stats) + end_system;
    let r = rating(shares.loss, shares.burst_ratio, delay, Robustness::G711_PLC);
    stats.mos_rx.set(hundredths(mos(r)));
    let late = heard.late.min(heard.losses.missing());
    let packets = heard.losses.packets();
    let packet_ms = heard.packet.as_secs_f32() * 1000.0;
    VoipMetrics {
        ssrc: heard.reception.ssrc,
        loss_rate: octet(256.0 * share(heard.losses.missing() - late, packets), 255.0),
        discard_rate: octet(256.0 * share(late, packets), 255.0),
        burst_density: octet(256.0 * shares.burst_density, 255.0),
        gap_density: octet(256.0 * shares.gap_density, 255.0),
        burst_ms: word(shares.burst_packets * packet_ms),
        gap_ms: word(shares.gap_packets * packet_ms),
        round_trip_ms: word(Duration::from_micros(stats.rtt_us.read()).as_secs_f32() * 1000.0),
        end_system_ms: word(end_system.as_secs_f32() * 1000.0),
        signal_level: UNKNOWN,
        noise_level: UNKNOWN,
        echo_loss: UNKNOWN,
        gmin: u8::try_from(GMIN).unwrap_or(u8::MAX),
        r_factor: octet(r, 100.0),
        external_r: UNKNOWN,
        mos_lq: octet(10.0 * mos(listening), 50.0),
        mos_cq: octet(10.0 * mos(r), 50.0),
        config: CONFIG_ADAPTIVE,
        // Nothing waits that is in order; a hole is waited for.
        buffer_ms: 0,
        buffer_max_ms: word(heard.window.0.as_secs_f32() * 1000.0),
        buffer_limit_ms: word(heard.window.1.as_secs_f32() * 1000.0),
    }
}

fn one_way(stats: &LegStats) -> Duration {
    Duration::from_micros(stats.rtt_us.read() / 2)
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn octet(value: f32, most: f32) -> u8 {
    value.clamp(0.0, most).round() as u8
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn word(value: f32) -> u16 {
    value.round() as u16
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a score of three digits"
)]
fn hundredths(mos: f32) -> u64 {
    (100.0 * mos).round() as u64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A block in which nothing is known.
    pub(in crate::media) const METRICS: VoipMetrics = VoipMetrics {
        ssrc: Ssrc(0),
        loss_rate: 0,
        discard_rate: 0,
        burst_density: 0,
        gap_density: 0,
        burst_ms: 0,
        gap_ms: 0,
        round_trip_ms: 0,
        end_system_ms: 0,
        signal_level: UNKNOWN,
        noise_level: UNKNOWN,
        echo_loss: UNKNOWN,
        gmin: 16,
        r_factor: UNKNOWN,
        external_r: UNKNOWN,
        mos_lq: UNKNOWN,
        mos_cq: UNKNOWN,
        config: 0,
        buffer_ms: 0,
        buffer_max_ms: 0,
        buffer_limit_ms: 0,
    };

    fn heard(lost: u64, late: u64) -> Heard {
        let mut losses = Losses::default();
        (0..10).for_each(|_| losses.received());
        losses.lost(lost);
        (0..90 - lost).for_each(|_| losses.received());
        let ssrc = Ssrc(7);
        let reception =
            ReceptionReport { ssrc, fraction_lost: 0, cumulative_lost: 0, highest: 0, jitter: 0 };
        let ms = Duration::from_millis;
        Heard { reception, losses, late, packet: ms(20), window: (ms(40), ms(80)) }
    }

    #[test]
    fn late_packets_are_discards_and_lost_ones_are_losses() {
        let stats = LegStats::default();
        stats.rtt_us.set(100_000);
        let metrics = voip_metrics(&heard(4, 1), &stats);
        assert_eq!((metrics.loss_rate, metrics.discard_rate), (8, 3), "3 % and 1 %");
        assert_eq!((metrics.burst_ms, metrics.burst_density, metrics.gap_ms), (80, 255, 960));
        assert_eq!((metrics.round_trip_ms, metrics.end_system_ms), (100, 60));
        assert_eq!((metrics.buffer_max_ms, metrics.buffer_limit_ms), (40, 80));
        let perfect = voip_metrics(&heard(0, 0), &LegStats::default());
        assert_eq!((perfect.r_factor, perfect.mos_lq, perfect.mos_cq), (92, 44, 44));
    }

    #[test]
    fn what_the_peer_hears_is_judged_from_its_reports() {
        let stats = LegStats::default();
        stats.tx_packets.set(1000);
        let reception = heard(0, 0).reception;
        let at =
            |cumulative_lost| far_mos(&ReceptionReport { cumulative_lost, ..reception }, &stats);
        assert!(at(-5) > 4.3 && at(0) > 4.3);
        assert!(at(30) < 3.2 && at(30) > at(100), "{} {}", at(30), at(100));
    }
}
