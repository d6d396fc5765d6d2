//! The door of `rtp-rs`: RTP headers, parsed into typed values and built into the caller's buffer.
//!
//! Owns the layout of RFC 3550 §5.1 and the split of a muxed port (RFC 5761). Header extensions
//! and contributing sources are stepped over, not read.

use super::seq::{Seq16, Ts32};
use rtp_rs::{RtpPacketBuilder, RtpReader, RtpReaderError, Seq};

/// Octets of the fixed header.
pub const HEADER_LEN: usize = 12;

/// A synchronisation source: who counts sequence numbers and timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ssrc(pub u32);

/// One RTP packet; the payload is borrowed from the datagram, without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its number.
    pub seq: Seq16,
    /// Media clock of its first sample.
    pub timestamp: Ts32,
    /// Who sent it.
    pub ssrc: Ssrc,
    /// 0 to 127.
    pub payload_type: u8,
    /// First packet after silence, for audio (RFC 3551 §4.1).
    pub marker: bool,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Why a datagram is no RTP packet: always the peer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Less than a fixed header.
    #[error("{0} octets are no RTP header")]
    TooShort(usize),
    /// Not version 2.
    #[error("RTP version {0}")]
    Version(u8),
    /// The header promises more than there is.
    #[error("RTP header of {header} octets in a datagram of {datagram}")]
    Truncated {
        /// Octets promised.
        header: usize,
        /// Octets there.
        datagram: usize,
    },
    /// Padding of no or of too many octets.
    #[error("RTP padding of {0} octets")]
    Padding(u8),
}

impl<'a> Packet<'a> {
    /// Reads a datagram. Cost: O(1), no allocation.
    ///
    /// # Errors
    /// [`PacketError`] when it is malformed; nothing about it may be believed then.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let reader = RtpReader::new(datagram)?;
        Ok(Self {
            seq: Seq16(reader.sequence_number().into()),
            timestamp: Ts32(reader.timestamp()),
            ssrc: Ssrc(reader.ssrc()),
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            payload: reader.payload(),
        })
    }
}

impl From<RtpReaderError> for PacketError {
    fn from(error: RtpReaderError) -> Self {
        match error {
            RtpReaderError::BufferTooShort(len) => Self::TooShort(len),
            RtpReaderError::UnsupportedVersion(version) => Self::Version(version),
            RtpReaderError::HeadersTruncated { header_len, buffer_len } => {
                Self::Truncated { header: header_len, datagram: buffer_len }
            }
            RtpReaderError::PaddingLengthInvalid(len) => Self::Padding(len),
        }
    }
}

/// Whether a datagram on a muxed port is RTCP: packet types 192 to 223.
//= RFC 5761 §4: the second octet tells RTCP from RTP
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// The header of our own packets: made once, patched for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderTemplate([u8; HEADER_LEN]);

impl HeaderTemplate {
    /// Prepares the header for a source and payload type (0 to 127; the top bit is dropped).
    #[must_use]
    pub fn new(ssrc: Ssrc, payload_type: u8) -> Self {
        let mut header = [0; HEADER_LEN];
        RtpPacketBuilder::new()
            .payload_type(payload_type & 0x7f)
            .ssrc(ssrc.0)
            .sequence(Seq::from(0))
            .build_into_unchecked(&mut header);
        Self(header)
    }

    /// Writes the header of one packet; the payload goes behind it.
    pub fn write(&self, seq: Seq16, timestamp: Ts32, marker: bool, out: &mut [u8; HEADER_LEN]) {
        *out = self.0;
        out[1] |= u8::from(marker) << 7;
        out[2..4].copy_from_slice(&seq.0.to_be_bytes());
        out[4..8].copy_from_slice(&timestamp.0.to_be_bytes());
    }
}

/// Fuzz entry: no datagram may panic, and what parses lies inside the datagram.
///
/// # Panics
/// When a parsed packet breaks that promise.
pub fn fuzz_packet(datagram: &[u8]) {
    let Ok(packet) = Packet::parse(datagram) else { return };
    assert!(packet.payload_type < 128, "payload type of eight bits");
    assert!(packet.payload.len() + HEADER_LEN <= datagram.len(), "payload reaches over the header");
    let mut header = [0; HEADER_LEN];
    HeaderTemplate::new(packet.ssrc, packet.payload_type).write(
        packet.seq,
        packet.timestamp,
        packet.marker,
        &mut header,
    );
    let again = Packet::parse(&header).map(|p| Packet { payload: packet.payload, ..p });
    assert_eq!(again, Ok(packet), "a header does not survive writing and reading");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: [u8; 14] = [0x80, 0x80, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 7, 8];

    #[test]
    fn a_plain_packet_is_read() {
        let want = Packet {
            seq: Seq16(0x1234),
            timestamp: Ts32(160),
            ssrc: Ssrc(0xdead_beef),
            payload_type: 0,
            marker: true,
            payload: &[7, 8],
        };
        assert_eq!(Packet::parse(&PLAIN), Ok(want));
    }

    #[test]
    fn options_of_the_header_are_stepped_over() {
        let mut csrc = PLAIN.to_vec();
        csrc[0] = 0x82;
        csrc.splice(12..12, [1; 8]);
        let mut extension = PLAIN.to_vec();
        extension[0] = 0x90;
        extension.splice(12..12, [0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        let mut padding = PLAIN.to_vec();
        padding[0] = 0xa0;
        padding.extend([0, 0, 3]);
        let mut all = PLAIN.to_vec();
        all[0] = 0xb1;
        all.splice(12..12, [1, 1, 1, 1, 0xbe, 0xde, 0, 0]);
        all.push(1);
        for bytes in [csrc, extension, padding, all] {
            assert_eq!(Packet::parse(&bytes).map(|p| p.payload), Ok(&[7u8, 8][..]), "{bytes:?}");
        }
    }

    #[test]
    fn malformed_packets_are_refused_by_name() {
        let with = |at: usize, value: u8| {
            let mut bytes = PLAIN.to_vec();
            bytes[at] = value;
            bytes
        };
        let rows = [
            (Vec::new(), PacketError::TooShort(0)),
            (PLAIN[..11].to_vec(), PacketError::TooShort(11)),
            (with(0, 0x40), PacketError::Version(1)),
            (with(0, 0xc0), PacketError::Version(3)),
            (with(0, 0x81), PacketError::Truncated { header: 16, datagram: 14 }),
            (with(0, 0x8f), PacketError::Truncated { header: 72, datagram: 14 }),
            (with(0, 0x90), PacketError::Truncated { header: 16, datagram: 14 }),
            (with(0, 0xa0), PacketError::Padding(8)),
        ];
        for (bytes, want) in rows {
            assert_eq!(Packet::parse(&bytes), Err(want), "{bytes:?}");
        }
        let mut none = PLAIN.to_vec();
        none[0] = 0xa0;
        none[13] = 0;
        assert_eq!(Packet::parse(&none), Err(PacketError::Padding(0)));
        let mut lying = PLAIN.to_vec();
        lying[0] = 0x90;
        lying.splice(12..12, [0xbe, 0xde, 0xff, 0xff]);
        assert!(matches!(Packet::parse(&lying), Err(PacketError::Truncated { .. })));
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_second_octet() {
        for (kind, rtcp) in [(0u8, false), (0x80, false), (191, false), (192, true), (200, true)] {
            assert_eq!(is_rtcp(&[0x80, kind]), rtcp, "{kind}");
        }
        assert!(is_rtcp(&[0x80, 223]) && !is_rtcp(&[0x80, 224]) && !is_rtcp(&[0x80]));
    }

    #[test]
    fn a_template_is_patched_per_packet() {
        let template = HeaderTemplate::new(Ssrc(0x0102_0304), 8);
        let mut out = [0xff; HEADER_LEN];
        template.write(Seq16(0xfffe), Ts32(0x8000_0001), true, &mut out);
        assert_eq!(out, [0x80, 0x88, 0xff, 0xfe, 0x80, 0, 0, 1, 1, 2, 3, 4]);
        template.write(Seq16(1), Ts32(2), false, &mut out);
        assert_eq!(out, [0x80, 8, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4]);
    }

    #[test]
    fn the_corpus_is_survived() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/rtp");
        let seeds: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
        assert!(seeds.len() >= 18);
        for seed in seeds {
            fuzz_packet(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            fuzz_packet(&bytes);
        }

        #[test]
        fn any_options_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 12..120)) {
            bytes[0] = 0x80 | (bytes[0] & 0x3f);
            fuzz_packet(&bytes);
        }
    }
}
