//! Extended reports of RFC 3611: the VoIP metrics block, in and out.
//!
//! ```text
//!  V=2 │ PT=207 │ length │ our SSRC │ BT=7 │ 0 │ 8 │ their SSRC │ loss discard ... jitter buffer
//!  ────── 8 octets ──────┴──────────┴────────────── 36 octets ─────────────────────────────────
//! ```
//!
//! Bytes only: what the numbers are made of is `media::quality`'s.

use super::packet::Ssrc;

/// Packet type of an extended report.
pub const PACKET_TYPE: u8 = 207;
/// Octets of a packet with one VoIP metrics block.
pub const PACKET_LEN: usize = 8 + BLOCK_LEN;
/// Block type and size of VoIP metrics.
const VOIP_METRICS: u8 = 7;
const BLOCK_LEN: usize = 36;
/// A value that is not known, for the fields that can say so.
pub const UNKNOWN: u8 = 127;

/// A VoIP metrics block (RFC 3611 §4.7), field by field as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoipMetrics {
    /// The source that is spoken of.
    pub ssrc: Ssrc,
    /// Share lost on the way, in 1/256.
    pub loss_rate: u8,
    /// Share that came too late, in 1/256.
    pub discard_rate: u8,
    /// Share lost or late within bursts, in 1/256.
    pub burst_density: u8,
    /// The same outside, in 1/256.
    pub gap_density: u8,
    /// Mean length of bursts, in ms.
    pub burst_ms: u16,
    /// Mean length of gaps, in ms.
    pub gap_ms: u16,
    /// Round trip by RTCP, in ms; 0: not known.
    pub round_trip_ms: u16,
    /// What the end itself adds, in ms; 0: not known.
    pub end_system_ms: u16,
    /// Level of speech in dBm0 as a signed octet; 127: not known.
    pub signal_level: u8,
    /// Level of the background in dBm0 as a signed octet; 127: not known.
    pub noise_level: u8,
    /// Residual echo return loss in dB; 127: not known.
    pub echo_loss: u8,
    /// Gap threshold that the densities were counted with.
    pub gmin: u8,
    /// Rating R, 0 to 100; 127: not known.
    pub r_factor: u8,
    /// R of another part of the way; 127: not known.
    pub external_r: u8,
    /// Listening quality times ten; 127: not known.
    pub mos_lq: u8,
    /// Conversational quality times ten; 127: not known.
    pub mos_cq: u8,
    /// Kind of concealment and jitter buffer.
    pub config: u8,
    /// Nominal delay of the jitter buffer, in ms.
    pub buffer_ms: u16,
    /// Its longest delay at present, in ms.
    pub buffer_max_ms: u16,
    /// The longest that it may ever have, in ms.
    pub buffer_limit_ms: u16,
}

/// [`VoipMetrics::config`] of an end that conceals well (`10`) and adapts its buffer (`11`).
pub const CONFIG_ADAPTIVE: u8 = 0b1011_0000;

impl VoipMetrics {
    /// The block as a packet of its own, said by `reporter`.
    #[must_use]
    pub fn to_packet(&self, reporter: Ssrc) -> [u8; PACKET_LEN] {
        let mut out = [0; PACKET_LEN];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(room) = out.get_mut(at..at + bytes.len()) {
                room.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        //= RFC 3611 §2: packet type 207, length in words less one
        put(&[0x80, PACKET_TYPE, 0, 10]);
        put(&reporter.0.to_be_bytes());
        //= RFC 3611 §4.7: block type 7, a reserved octet of zero, block length 8
        put(&[VOIP_METRICS, 0, 0, 8]);
        put(&self.ssrc.0.to_be_bytes());
        put(&[self.loss_rate, self.discard_rate, self.burst_density, self.gap_density]);
        for time in [self.burst_ms, self.gap_ms, self.round_trip_ms, self.end_system_ms] {
            put(&time.to_be_bytes());
        }
        put(&[self.signal_level, self.noise_level, self.echo_loss, self.gmin]);
        put(&[self.r_factor, self.external_r, self.mos_lq, self.mos_cq]);
        put(&[self.config, 0]);
        for time in [self.buffer_ms, self.buffer_max_ms, self.buffer_limit_ms] {
            put(&time.to_be_bytes());
        }
        out
    }

    /// Conversational quality as told: 1.0 to 5.0.
    #[must_use]
    pub fn mos(&self) -> Option<f32> {
        [self.mos_cq, self.mos_lq]
            .into_iter()
            .find(|mos| (10..=50).contains(mos))
            .map(|mos| f32::from(mos) / 10.0)
    }

    fn parse(block: &[u8; BLOCK_LEN]) -> Self {
        let octet = |at: usize| block.get(at).copied().unwrap_or_default();
        let word = |at: usize| u16::from_be_bytes([octet(at), octet(at + 1)]);
        Self {
            ssrc: Ssrc(u32::from_be_bytes([octet(4), octet(5), octet(6), octet(7)])),
            loss_rate: octet(8),
            discard_rate: octet(9),
            burst_density: octet(10),
            gap_density: octet(11),
            burst_ms: word(12),
            gap_ms: word(14),
            round_trip_ms: word(16),
            end_system_ms: word(18),
            signal_level: octet(20),
            noise_level: octet(21),
            echo_loss: octet(22),
            gmin: octet(23),
            r_factor: octet(24),
            external_r: octet(25),
            mos_lq: octet(26),
            mos_cq: octet(27),
            config: octet(28),
            buffer_ms: word(30),
            buffer_max_ms: word(32),
            buffer_limit_ms: word(34),
        }
    }
}

/// Shows each VoIP metrics block of an extended report, padding and all, and who said it; `None`
/// when its blocks do not fit its length.
///
/// Cost: O(length), no allocation.
pub fn parse(packet: &[u8], mut show: impl FnMut(Ssrc, VoipMetrics)) -> Option<()> {
    let [flags, _, _, _, a, b, c, d] = *packet.first_chunk::<8>()?;
    let reporter = Ssrc(u32::from_be_bytes([a, b, c, d]));
    let padding = if flags & 0x20 == 0 { 0 } else { usize::from(*packet.last()?).max(1) };
    let mut rest = packet.get(8..packet.len().checked_sub(padding)?)?;
    while !rest.is_empty() {
        let [kind, _, high, low] = *rest.first_chunk::<4>()?;
        let len = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let (block, behind) = rest.split_at_checked(len)?;
        //= RFC 3611 §3: blocks of other types are stepped over by their length
        if kind == VOIP_METRICS
            && let Ok(block) = <&[u8; BLOCK_LEN]>::try_from(block)
        {
            show(reporter, VoipMetrics::parse(block));
        }
        rest = behind;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: VoipMetrics = VoipMetrics {
        ssrc: Ssrc(0x0102_0304),
        loss_rate: 5,
        discard_rate: 6,
        burst_density: 7,
        gap_density: 8,
        burst_ms: 0x090a,
        gap_ms: 0x0b0c,
        round_trip_ms: 0x0d0e,
        end_system_ms: 0x0f10,
        signal_level: 0xec,
        noise_level: 18,
        echo_loss: UNKNOWN,
        gmin: 16,
        r_factor: 93,
        external_r: UNKNOWN,
        mos_lq: 44,
        mos_cq: 41,
        config: CONFIG_ADAPTIVE,
        buffer_ms: 0x1112,
        buffer_max_ms: 0x1314,
        buffer_limit_ms: 0x1516,
    };

    fn shown(packet: &[u8]) -> Option<Vec<(Ssrc, VoipMetrics)>> {
        let mut shown = Vec::new();
        parse(packet, |ssrc, metrics| shown.push((ssrc, metrics)))?;
        Some(shown)
    }

    #[test]
    fn the_block_is_laid_out_as_in_the_figure_of_4_7() {
        let packet = METRICS.to_packet(Ssrc(0xaabb_ccdd));
        let want: [u8; PACKET_LEN] = [
            0x80, 207, 0, 10, 0xaa, 0xbb, 0xcc, 0xdd, 7, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
            11, 12, 13, 14, 15, 16, 0xec, 18, 127, 16, 93, 127, 44, 41, 0xb0, 0, 17, 18, 19, 20,
            21, 22,
        ];
        assert_eq!(packet, want);
        assert_eq!(shown(&packet), Some(vec![(Ssrc(0xaabb_ccdd), METRICS)]));
        assert_eq!(METRICS.mos(), Some(4.1));
        let unknown = VoipMetrics { mos_cq: UNKNOWN, mos_lq: 0, ..METRICS };
        assert_eq!(unknown.mos(), None);
    }

    #[test]
    fn other_blocks_are_stepped_over_and_wrong_lengths_refused() {
        let good = METRICS.to_packet(Ssrc(1));
        let mut more = good[..8].to_vec();
        more.extend([4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
        more.extend(&good[8..]);
        more.extend([7, 0, 0, 0]);
        assert_eq!(shown(&more).map(|shown| shown.len()), Some(1));
        more.push(0);
        assert_eq!(shown(&more), None);
        for len in 0..good.len() {
            let whole = len == 8;
            assert_eq!(shown(&good[..len]).is_some(), whole, "{len} octets");
        }
        let mut padded = good.to_vec();
        padded[0] |= 0x20;
        padded.extend([0, 0, 0, 4]);
        assert_eq!(shown(&padded).map(|shown| shown.len()), Some(1));
        padded[47] = 255;
        assert_eq!(shown(&padded), None);
    }
}
