//! When a leg speaks RTCP, and what it learns from the peer's (RFC 3550 §6).
//!
//! A report every five seconds while there is an agreement, held or not, and BYE at the end. What
//! a report looks like is `rtp::rtcp`'s, what it says of the peer's source is the jitter buffer's.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::stats::LegStats;
use crate::audio::codec::ClockRate;
use crate::rtp::packet::Ssrc;
use crate::rtp::reception::ReceptionReport;
use crate::rtp::rtcp::{MAX_REPORT, NtpTime, RtcpSession, SenderInfo};
use crate::rtp::seq::Ts32;
use std::time::{Duration, Instant};

/// Time between two reports, the minimum of RFC 3550 §6.2.
const INTERVAL: Duration = Duration::from_secs(5);
/// The first report comes after half the interval (RFC 3550 §6.2).
const FIRST: Duration = Duration::from_millis(2500);

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
        reception: Option<&ReceptionReport>,
        out: &mut ReportBuffer,
    ) -> usize {
        let sender = self.sender(now, timestamp, stats);
        // The buffer has the size that is asked for, so there is always room.
        self.session.write_report(now, sender.as_ref(), reception, out).unwrap_or(0)
    }

    /// Writes the last report, with BYE; nothing when there never was an agreement.
    pub fn write_bye(
        &mut self,
        now: Instant,
        timestamp: Ts32,
        stats: &LegStats,
        reception: Option<&ReceptionReport>,
        out: &mut ReportBuffer,
    ) -> usize {
        if self.next.take().is_none() {
            return 0;
        }
        let sender = self.sender(now, timestamp, stats);
        self.session.write_bye(now, sender.as_ref(), reception, out).unwrap_or(0)
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
            stats
                .remote_jitter_us
                .set(u64::from(reception.jitter) * 1_000_000 / u64::from(rate.hz()));
        }
        if let Some(rtt) = update.rtt {
            stats.rtt_us.set(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX));
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
