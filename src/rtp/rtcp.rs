//! The door of `rtcp-types`: reports of RFC 3550 §6 in and out, round trip included.
//!
//! Owns what RTCP looks like on the wire and the state that it needs between reports. Does not
//! decide when to report, know what time it is, or count receptions (`reception` does).
//!
//! ```text
//!  SR ─> last report ─┐                ┌─> SR or RR + SDES            (every 5 s)
//!  RR ─> loss, RTT    ├─ RtcpSession ──┤
//!  BYE ─> gone        ┘                └─> SR or RR + SDES + BYE      (at the end)
//! ```
//!
//! Packets are laid out by `rtcp-types` when the session is made and patched per report, because
//! its builders allocate; compounds are walked here, because its walk allocates for SDES.

use super::packet::Ssrc;
use super::reception::ReceptionReport;
use super::seq::Ts32;
use super::xr::{self, VoipMetrics};
use rtcp_types::prelude::*;
use rtcp_types::{Bye, ReceiverReport, ReportBlock, Sdes, SdesChunk, SdesItem, SenderReport};
use std::time::{Duration, Instant};

/// A buffer of this size holds any report of a session.
pub const MAX_REPORT: usize = 28 + 24 + 8 + 2 + MAX_CNAME + 4 + xr::PACKET_LEN + 8;
/// Longest canonical name; more is cut.
pub const MAX_CNAME: usize = 64;
/// Round trips beyond this are a lie or a broken clock.
const MAX_RTT: Duration = Duration::from_mins(1);
/// Where the report block stands behind a sender and behind a receiver report.
const SR_BLOCK: usize = 28;
const RR_BLOCK: usize = 8;

/// An NTP timestamp: seconds since 1900 in the upper, their fraction in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From the time since the Unix epoch, which the shell reads.
    #[must_use]
    pub fn from_unix(since_epoch: Duration) -> Self {
        const TO_1900: u64 = 2_208_988_800;
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        Self((since_epoch.as_secs().wrapping_add(TO_1900) << 32) | fraction)
    }

    /// The middle 32 bits: 1/65536 s, wraps after 18 hours.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the middle bits are wanted")]
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// What a sender says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// When it says so.
    pub ntp: NtpTime,
    /// The same moment on the media clock.
    pub timestamp: Ts32,
    /// Packets sent since the start, wrapping.
    pub packets: u32,
    /// Payload octets sent since the start, wrapping.
    pub octets: u32,
}

/// What a receiver says of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Loss and jitter.
    pub reception: ReceptionReport,
    /// Middle bits of the last sender report it got; 0: none.
    pub last_report: u32,
    /// How long ago that was, in 1/65536 s.
    pub since_last_report: u32,
}

/// One thing said in a compound packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A sender about itself.
    Sender {
        /// Who.
        ssrc: Ssrc,
        /// What.
        info: SenderInfo,
    },
    /// A receiver about a source.
    Block {
        /// Who says it.
        reporter: Ssrc,
        /// What.
        block: Block,
    },
    /// A receiver's VoIP metrics of a source (RFC 3611 §4.7).
    Voip {
        /// Who says it.
        reporter: Ssrc,
        /// What.
        metrics: VoipMetrics,
    },
    /// A source leaves.
    Bye {
        /// Which.
        ssrc: Ssrc,
    },
}

/// Why a datagram is no RTCP compound, or does not fit: nothing in it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// The lengths inside do not add up to the datagram.
    #[error("RTCP lengths do not fit {0} octets")]
    Lengths(usize),
    /// Not version 2.
    #[error("RTCP version {0}")]
    Version(u8),
    /// A packet of this type is malformed.
    #[error("malformed RTCP packet of type {0}")]
    Malformed(u8),
    /// A compound that begins with something else than a report (RFC 3550 A.2).
    #[error("RTCP begins with packet type {0}")]
    NoReport(u8),
    /// The caller's buffer is shorter than [`MAX_REPORT`]: our own mistake.
    #[error("RTCP report does not fit {0} octets")]
    NoRoom(usize),
}

/// Reads a compound and shows each report, block and BYE; other packets are stepped over.
///
/// The whole compound is checked before anything is shown. Cost: O(length), no allocation.
///
/// # Errors
/// [`RtcpError`], the peer's doing.
pub fn parse(datagram: &[u8], mut show: impl FnMut(Item)) -> Result<(), RtcpError> {
    let first = datagram.get(1).copied().ok_or(RtcpError::Lengths(datagram.len()))?;
    if !matches!(first, SenderReport::PACKET_TYPE | ReceiverReport::PACKET_TYPE) {
        return Err(RtcpError::NoReport(first));
    }
    walk(datagram, &mut |_| {})?;
    walk(datagram, &mut show)
}

fn walk(datagram: &[u8], show: &mut dyn FnMut(Item)) -> Result<(), RtcpError> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let [flags, kind, high, low] =
            *rest.first_chunk::<4>().ok_or(RtcpError::Lengths(datagram.len()))?;
        if flags >> 6 != 2 {
            return Err(RtcpError::Version(flags >> 6));
        }
        let len = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let (packet, behind) =
            rest.split_at_checked(len).ok_or(RtcpError::Lengths(datagram.len()))?;
        let padded = flags & 0x20 != 0;
        if padded && !behind.is_empty() {
            return Err(RtcpError::Malformed(kind));
        }
        show_packet(kind, packet, show).ok_or(RtcpError::Malformed(kind))?;
        rest = behind;
    }
    Ok(())
}

fn show_packet(kind: u8, packet: &[u8], show: &mut dyn FnMut(Item)) -> Option<()> {
    match kind {
        SenderReport::PACKET_TYPE => {
            let report = SenderReport::parse(packet).ok()?;
            let ssrc = Ssrc(report.ssrc());
            let info = SenderInfo {
                ntp: NtpTime(report.ntp_timestamp()),
                timestamp: Ts32(report.rtp_timestamp()),
                packets: report.packet_count(),
                octets: report.octet_count(),
            };
            show(Item::Sender { ssrc, info });
            report.report_blocks().for_each(|b| show(block_item(ssrc, &b)));
        }
        ReceiverReport::PACKET_TYPE => {
            let report = ReceiverReport::parse(packet).ok()?;
            let ssrc = Ssrc(report.ssrc());
            report.report_blocks().for_each(|b| show(block_item(ssrc, &b)));
        }
        Bye::PACKET_TYPE => {
            let bye = Bye::parse(packet).ok()?;
            bye.ssrcs().for_each(|ssrc| show(Item::Bye { ssrc: Ssrc(ssrc) }));
        }
        xr::PACKET_TYPE => {
            // A peer's odd extensions are no reason to refuse its report: nothing of them is used.
            let sound = xr::parse(packet, |_, _| {}).is_some();
            if sound {
                xr::parse(packet, |reporter, metrics| show(Item::Voip { reporter, metrics }));
            }
        }
        _ => {}
    }
    Some(())
}

fn block_item(reporter: Ssrc, block: &ReportBlock<'_>) -> Item {
    let lost = block.cumulative_lost() << 8;
    let reception = ReceptionReport {
        ssrc: Ssrc(block.ssrc()),
        fraction_lost: block.fraction_lost(),
        cumulative_lost: lost.cast_signed() >> 8,
        highest: block.extended_sequence_number(),
        jitter: block.interarrival_jitter(),
    };
    let last_report = block.last_sender_report_timestamp();
    let since_last_report = block.delay_since_last_sender_report_timestamp();
    Item::Block { reporter, block: Block { reception, last_report, since_last_report } }
}

/// What the peer's reports say about us, after one compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtcpUpdate {
    /// How the peer receives us.
    pub reception: Option<ReceptionReport>,
    /// Round trip without the time the peer took.
    pub rtt: Option<Duration>,
    /// How we sound at the peer, if it says so.
    pub voip: Option<VoipMetrics>,
    /// The peer's source has left.
    pub bye: Option<Ssrc>,
}

/// The RTCP state of one leg: our source toward one peer.
#[derive(Debug, Clone)]
pub struct RtcpSession {
    ssrc: Ssrc,
    sender: Template,
    receiver: Template,
    bye: Box<[u8]>,
    /// Last sender report of the peer: its middle bits, and when it came.
    heard: Option<(Ssrc, u32, Instant)>,
}

/// A report with one block and SDES behind it, as `rtcp-types` lays it out.
#[derive(Debug, Clone)]
struct Template {
    report: Box<[u8]>,
    block_at: usize,
    sdes: Box<[u8]>,
}

impl RtcpSession {
    /// Prepares the packets of a source. `cname` is random per call and names nobody (RFC 7022).
    ///
    /// Cost: allocates; nothing after it does.
    #[must_use]
    pub fn new(ssrc: Ssrc, cname: &str) -> Self {
        let cut = (0..=MAX_CNAME).rev().find(|&at| cname.is_char_boundary(at)).unwrap_or(0);
        let cname = cname.get(..cut).unwrap_or(cname);
        let item = SdesItem::builder(SdesItem::CNAME, cname);
        let sdes = laid_out(&Sdes::builder().add_chunk(SdesChunk::builder(ssrc.0).add_item(item)));
        let empty = || ReportBlock::builder(0);
        let sender = laid_out(&SenderReport::builder(ssrc.0).add_report_block(empty()));
        let receiver = laid_out(&ReceiverReport::builder(ssrc.0).add_report_block(empty()));
        Self {
            ssrc,
            sender: Template { report: sender, block_at: SR_BLOCK, sdes: sdes.clone() },
            receiver: Template { report: receiver, block_at: RR_BLOCK, sdes },
            bye: laid_out(&Bye::builder().add_source(ssrc.0)),
            heard: None,
        }
    }

    /// Takes a datagram from the believed host; `ntp` is the same moment as `now`.
    ///
    /// # Errors
    /// [`RtcpError`], the peer's doing; the state is untouched then.
    pub fn handle(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        datagram: &[u8],
    ) -> Result<RtcpUpdate, RtcpError> {
        let mut update = RtcpUpdate::default();
        let mut heard = self.heard;
        let own = self.ssrc;
        parse(datagram, |item| match item {
            Item::Sender { ssrc, info } => heard = Some((ssrc, info.ntp.middle(), now)),
            Item::Block { block, .. } if block.reception.ssrc == own => {
                update.reception = Some(block.reception);
                update.rtt = round_trip(ntp, &block);
            }
            Item::Voip { metrics, .. } if metrics.ssrc == own => update.voip = Some(metrics),
            Item::Block { .. } | Item::Voip { .. } => {}
            Item::Bye { ssrc } => update.bye = Some(ssrc),
        })?;
        self.heard = heard;
        Ok(update)
    }

    /// Writes a report: a sender's when `sent` is given (something was sent since the last one),
    /// with what is known of the peer's source. Returns its length. Cost: no allocation.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`] when `out` is shorter than the report.
    pub fn write_report(
        &self,
        now: Instant,
        sent: Option<&SenderInfo>,
        reception: Option<&ReceptionReport>,
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        let block = reception.map(|r| self.block(now, *r));
        let (template, sent) = match sent {
            Some(info) => (&self.sender, Some(info)),
            None => (&self.receiver, None),
        };
        let room = out.len();
        template.write(sent, block.as_ref(), out).ok_or(RtcpError::NoRoom(room))
    }

    /// Writes a last report with BYE. Returns its length.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`] when `out` is shorter than the report.
    pub fn write_bye(
        &self,
        now: Instant,
        sent: Option<&SenderInfo>,
        reception: Option<&ReceptionReport>,
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        let len = self.write_report(now, sent, reception, out)?;
        self.add_bye(len, out)
    }

    /// Adds VoIP metrics behind a report of `len` octets. Returns the length with them.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`] when `out` is too short.
    pub fn add_voip(
        &self,
        metrics: &VoipMetrics,
        len: usize,
        out: &mut [u8],
    ) -> Result<usize, RtcpError> {
        let room = out.len();
        put(out, len, &metrics.to_packet(self.ssrc)).ok_or(RtcpError::NoRoom(room))
    }

    /// Adds BYE behind a report of `len` octets. Returns the length with it.
    ///
    /// # Errors
    /// [`RtcpError::NoRoom`] when `out` is too short.
    pub fn add_bye(&self, len: usize, out: &mut [u8]) -> Result<usize, RtcpError> {
        let room = out.len();
        put(out, len, &self.bye).ok_or(RtcpError::NoRoom(room))
    }

    /// Adds the times of reports; they count only for the source that sent the report.
    fn block(&self, now: Instant, reception: ReceptionReport) -> Block {
        let heard = self.heard.filter(|(ssrc, ..)| *ssrc == reception.ssrc);
        let since = |at: Instant| {
            let units = (now.saturating_duration_since(at).as_micros() << 16) / 1_000_000;
            u32::try_from(units).unwrap_or(u32::MAX)
        };
        Block {
            reception,
            last_report: heard.map_or(0, |(_, middle, _)| middle),
            since_last_report: heard.map_or(0, |(_, _, at)| since(at)),
        }
    }
}

impl Template {
    /// Copies the template and fills it in; `None` when `out` is too short.
    fn write(
        &self,
        sent: Option<&SenderInfo>,
        block: Option<&Block>,
        out: &mut [u8],
    ) -> Option<usize> {
        let report_len = if block.is_some() { self.report.len() } else { self.block_at };
        let len = put(out, 0, self.report.get(..report_len)?)?;
        if let Some(block) = block {
            patch_block(out.get_mut(self.block_at..len)?, block)?;
        } else {
            let words = u16::try_from(len / 4 - 1).ok()?;
            put(out, 0, &[0x80])?;
            put(out, 2, &words.to_be_bytes())?;
        }
        if let Some(info) = sent {
            put(out, 8, &info.ntp.0.to_be_bytes())?;
            put(out, 16, &info.timestamp.0.to_be_bytes())?;
            put(out, 20, &info.packets.to_be_bytes())?;
            put(out, 24, &info.octets.to_be_bytes())?;
        }
        put(out, len, &self.sdes)
    }
}

fn patch_block(out: &mut [u8], block: &Block) -> Option<()> {
    let reception = &block.reception;
    put(out, 0, &reception.ssrc.0.to_be_bytes())?;
    put(out, 4, &reception.cumulative_lost.to_be_bytes())?;
    put(out, 4, &[reception.fraction_lost])?;
    put(out, 8, &reception.highest.to_be_bytes())?;
    put(out, 12, &reception.jitter.to_be_bytes())?;
    put(out, 16, &block.last_report.to_be_bytes())?;
    put(out, 20, &block.since_last_report.to_be_bytes())?;
    Some(())
}

/// Copies `bytes` to `at` and returns where they end.
fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> Option<usize> {
    let end = at + bytes.len();
    out.get_mut(at..end)?.copy_from_slice(bytes);
    Some(end)
}

#[expect(clippy::expect_used, reason = "our own packet, at set-up")]
fn laid_out(packet: &impl RtcpPacketWriter) -> Box<[u8]> {
    let len = packet.calculate_size().expect("own packets are within RTCP's limits");
    let mut bytes = vec![0; len].into_boxed_slice();
    packet.write_into_unchecked(&mut bytes);
    bytes
}

/// RFC 3550 §6.4.1: arrival minus last report minus delay since.
fn round_trip(ntp: NtpTime, block: &Block) -> Option<Duration> {
    if block.last_report == 0 {
        return None;
    }
    let sent = block.last_report.wrapping_add(block.since_last_report);
    let units = ntp.middle().wrapping_sub(sent);
    let rtt = Duration::from_micros((u64::from(units) * 1_000_000) >> 16);
    (rtt <= MAX_RTT).then_some(rtt)
}

/// Fuzz entry: no datagram may panic, and what is read survives being written.
///
/// # Panics
/// When it does not.
#[allow(clippy::disallowed_methods, reason = "any origin of time does for fuzzing")]
pub fn fuzz_rtcp(datagram: &[u8]) {
    let now = Instant::now();
    let mut session = RtcpSession::new(Ssrc(1), "fuzz");
    let mut items = 0;
    let result = parse(datagram, |_| items += 1);
    assert!(result.is_ok() || items == 0, "shown before it was checked");
    assert!(items <= datagram.len() / 4, "more said than there are words");
    let handled = session.handle(now, NtpTime(0), datagram);
    assert_eq!(handled.map(|_| ()), result, "two verdicts");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INFO: SenderInfo = SenderInfo {
        ntp: NtpTime(0x1234_5678_9abc_def0),
        timestamp: Ts32(9),
        packets: 3,
        octets: 480,
    };
    const RECEPTION: ReceptionReport = ReceptionReport {
        ssrc: Ssrc(0xaaaa),
        fraction_lost: 12,
        cumulative_lost: -3,
        highest: 0x1_0005,
        jitter: 44,
    };

    fn items(datagram: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        parse(datagram, |item| items.push(item)).unwrap();
        items
    }

    #[test]
    fn what_is_written_is_read() {
        let now = Instant::now();
        let session = RtcpSession::new(Ssrc(0xbbbb), "c0ffee");
        let block = Item::Block {
            reporter: Ssrc(0xbbbb),
            block: Block { reception: RECEPTION, last_report: 0, since_last_report: 0 },
        };
        let sender = Item::Sender { ssrc: Ssrc(0xbbbb), info: INFO };
        let rows: [(Option<&SenderInfo>, Option<&ReceptionReport>, Vec<Item>); 4] = [
            (None, None, vec![]),
            (None, Some(&RECEPTION), vec![block]),
            (Some(&INFO), None, vec![sender]),
            (Some(&INFO), Some(&RECEPTION), vec![sender, block]),
        ];
        for (sent, reception, want) in rows {
            let mut out = [0; MAX_REPORT];
            let len = session.write_report(now, sent, reception, &mut out).unwrap();
            assert_eq!(items(&out[..len]), want);
            assert!(out[..len].windows(6).any(|w| w == b"c0ffee"));
            let len = session.write_bye(now, sent, reception, &mut out).unwrap();
            let mut with_bye = want.clone();
            with_bye.push(Item::Bye { ssrc: Ssrc(0xbbbb) });
            assert_eq!(items(&out[..len]), with_bye);
        }
    }

    #[test]
    fn reports_fit_the_promised_buffer_or_say_so() {
        let now = Instant::now();
        let name = "é".repeat(100);
        let session = RtcpSession::new(Ssrc(1), &name);
        let mut out = [0; MAX_REPORT];
        let len = session.write_bye(now, Some(&INFO), Some(&RECEPTION), &mut out).unwrap();
        for short in 0..len {
            let result = session.write_bye(now, Some(&INFO), Some(&RECEPTION), &mut out[..short]);
            assert_eq!(result, Err(RtcpError::NoRoom(short)));
        }
    }

    /// Two sessions report to each other over a line with the given delays.
    #[test]
    fn round_trip_leaves_out_the_peers_thinking() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let ours = |ms: u64| NtpTime::from_unix(Duration::from_millis(1_700_000_000_000 + ms));
        let theirs = |ms: u64| NtpTime::from_unix(Duration::from_millis(5_000 + ms));
        let reception = |ssrc| ReceptionReport { ssrc, ..RECEPTION };
        let mut near = RtcpSession::new(Ssrc(1), "near");
        let mut far = RtcpSession::new(Ssrc(2), "far");
        let mut out = [0; MAX_REPORT];
        let info = SenderInfo { ntp: ours(0), ..INFO };
        let len = near.write_report(at(0), Some(&info), None, &mut out).unwrap();
        far.handle(at(30), theirs(30), &out[..len]).unwrap();
        // The far end takes 2.5 s.
        let len = far.write_report(at(2530), None, Some(&reception(Ssrc(1))), &mut out).unwrap();
        let update = near.handle(at(2575), ours(2575), &out[..len]).unwrap();
        assert_eq!(update.reception, Some(reception(Ssrc(1))));
        let rtt = update.rtt.unwrap();
        assert!(rtt.abs_diff(Duration::from_millis(75)) < Duration::from_millis(1), "{rtt:?}");
    }

    #[test]
    fn lies_about_time_give_no_round_trip() {
        let now = Instant::now();
        let ntp = NtpTime::from_unix(Duration::from_secs(1_700_000_000));
        let mut near = RtcpSession::new(Ssrc(1), "near");
        let far = RtcpSession::new(Ssrc(2), "far");
        let mut out = [0; MAX_REPORT];
        let reception = ReceptionReport { ssrc: Ssrc(1), ..RECEPTION };
        let len = far.write_report(now, None, Some(&reception), &mut out).unwrap();
        assert_eq!(near.handle(now, ntp, &out[..len]).unwrap().rtt, None, "no report was heard");
        // A report from the future, and one from hours ago.
        for last in [ntp.middle().wrapping_add(70_000), ntp.middle().wrapping_sub(1 << 24)] {
            out[24..28].copy_from_slice(&last.to_be_bytes());
            assert_eq!(near.handle(now, ntp, &out[..len]).unwrap().rtt, None);
        }
        // Blocks about others are not ours.
        out[8..12].copy_from_slice(&7u32.to_be_bytes());
        assert_eq!(near.handle(now, ntp, &out[..len]), Ok(RtcpUpdate::default()));
    }

    #[test]
    fn malformed_compounds_are_refused_whole() {
        let now = Instant::now();
        let session = RtcpSession::new(Ssrc(1), "x");
        let mut out = [0; MAX_REPORT];
        let len = session.write_bye(now, Some(&INFO), Some(&RECEPTION), &mut out).unwrap();
        let good = out[..len].to_vec();
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let rows = [
            (vec![], RtcpError::Lengths(0)),
            (vec![0x80], RtcpError::Lengths(1)),
            (good[..len - 1].to_vec(), RtcpError::Lengths(len - 1)),
            (with(3, 200), RtcpError::Lengths(len)),
            (with(0, 0x41), RtcpError::Version(1)),
            (with(0, 0xa1), RtcpError::Malformed(200)),
            (with(0, 0x82), RtcpError::Malformed(200)),
            (with(1, 202), RtcpError::NoReport(202)),
            (with(1, 99), RtcpError::NoReport(99)),
            (with(len - 8, 0x9f), RtcpError::Malformed(203)),
        ];
        for (bytes, want) in rows {
            let mut shown = 0;
            assert_eq!(parse(&bytes, |_| shown += 1), Err(want), "{bytes:02x?}");
            assert_eq!(shown, 0);
        }
        // Unknown packets are stepped over, and so are extended reports that make no sense.
        let mut unknown = good.clone();
        unknown.extend([0x80, 208, 0, 1, 1, 2, 3, 4]);
        unknown.extend([0x80, 207, 0, 2, 1, 2, 3, 4, 7, 0, 0, 9]);
        assert_eq!(items(&unknown), items(&good));
    }

    #[test]
    fn voip_metrics_of_us_are_told_and_of_others_not() {
        let now = Instant::now();
        let metrics = |ssrc| VoipMetrics {
            ssrc: Ssrc(ssrc),
            loss_rate: 3,
            discard_rate: 0,
            burst_density: 0,
            gap_density: 3,
            burst_ms: 0,
            gap_ms: 5000,
            round_trip_ms: 40,
            end_system_ms: 60,
            signal_level: xr::UNKNOWN,
            noise_level: xr::UNKNOWN,
            echo_loss: xr::UNKNOWN,
            gmin: 16,
            r_factor: 80,
            external_r: xr::UNKNOWN,
            mos_lq: 40,
            mos_cq: 39,
            config: 0,
            buffer_ms: 40,
            buffer_max_ms: 80,
            buffer_limit_ms: 200,
        };
        let far = RtcpSession::new(Ssrc(2), "far");
        let mut near = RtcpSession::new(Ssrc(1), "near");
        let mut out = [0; MAX_REPORT];
        for (ssrc, told) in [(1, true), (3, false)] {
            let len = far.write_report(now, None, Some(&RECEPTION), &mut out).unwrap();
            let len = far.add_voip(&metrics(ssrc), len, &mut out).unwrap();
            let len = far.add_bye(len, &mut out).unwrap();
            let update = near.handle(now, NtpTime(1), &out[..len]).unwrap();
            assert_eq!(update.voip, told.then(|| metrics(ssrc)));
            assert_eq!(update.bye, Some(Ssrc(2)));
            assert_eq!(
                far.add_voip(&metrics(1), len, &mut out[..len]),
                Err(RtcpError::NoRoom(len))
            );
        }
    }

    #[test]
    fn the_corpus_is_survived() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/rtcp");
        let seeds: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
        assert!(seeds.len() >= 18);
        for seed in seeds {
            fuzz_rtcp(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            kind in 199u8..206,
            words in 0u8..40,
        ) {
            fuzz_rtcp(&bytes);
            if bytes.len() >= 4 {
                bytes[0] = 0x80 | bytes[0] & 0x3f;
                (bytes[1], bytes[2], bytes[3]) = (kind, 0, words);
                fuzz_rtcp(&bytes);
            }
        }
    }
}
