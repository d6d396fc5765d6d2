//! The codecs of the carrier leg: one table, one trait.
//!
//! ```text
//!  CodecId ──spec()──> CodecSpec { name, payload type, rates } ──codec()──> Box<dyn Codec>
//! ```
//!
//! A codec is added by a file beside this one and a row in [`CODECS`]. What the two ends agreed
//! on is `sdp`'s business, packets are `rtp`'s, and lost packets are `audio::plc`'s.

pub mod g711;

pub use super::rate::{ClockRate, SampleRate};

/// A codec, by its entry in the table of codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CodecId {
    /// G.711 µ-law, RFC 3551 payload type 0.
    Pcmu,
    /// G.711 A-law, RFC 3551 payload type 8.
    Pcma,
}

impl CodecId {
    /// The codec's row in [`CODECS`].
    pub const fn spec(self) -> &'static CodecSpec {
        match self {
            Self::Pcmu => &CODECS[0],
            Self::Pcma => &CODECS[1],
        }
    }

    /// The codec of an encoding name of `a=rtpmap`, in any case (RFC 4855 §3).
    pub fn by_name(name: &str) -> Option<Self> {
        CODECS.iter().find(|spec| spec.name.eq_ignore_ascii_case(name)).map(|spec| spec.id)
    }

    /// The codec of a static payload type (RFC 3551 table 4).
    pub fn by_payload_type(payload_type: u8) -> Option<Self> {
        CODECS.iter().find(|spec| spec.payload_type == payload_type).map(|spec| spec.id)
    }
}

/// What is fixed about a codec.
#[derive(Debug, Clone, Copy)]
pub struct CodecSpec {
    /// Whose row this is.
    pub id: CodecId,
    /// Encoding name, as in `a=rtpmap`.
    pub name: &'static str,
    /// Static payload type.
    pub payload_type: u8,
    /// Rate of the samples that the codec takes and gives.
    pub sample_rate: SampleRate,
    /// Rate of the RTP timestamp.
    pub clock_rate: ClockRate,
    /// The payload octet that decodes to silence.
    pub silence: u8,
    make: fn() -> Box<dyn Codec>,
}

impl CodecSpec {
    /// A fresh codec, one for each direction of a leg. Cost: one allocation.
    pub fn codec(&self) -> Box<dyn Codec> {
        (self.make)()
    }
}

/// Every codec that the product speaks.
pub static CODECS: [CodecSpec; 2] = [
    CodecSpec {
        id: CodecId::Pcmu,
        name: "PCMU",
        payload_type: 0,
        sample_rate: SampleRate::HZ_8000,
        clock_rate: ClockRate::HZ_8000,
        silence: 0xFF,
        make: || Box::new(g711::Pcmu),
    },
    CodecSpec {
        id: CodecId::Pcma,
        name: "PCMA",
        payload_type: 8,
        sample_rate: SampleRate::HZ_8000,
        clock_rate: ClockRate::HZ_8000,
        silence: 0xD5,
        make: || Box::new(g711::Pcma),
    },
];

/// One direction of a codec.
///
/// Shape: mono `i16` at the codec's sample rate. Cost: no allocation, no lock.
pub trait Codec: Send {
    /// Encodes as many samples as `payload` has room for and returns the octets written.
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> usize;

    /// Decodes as much payload as `samples` has room for and returns the samples written.
    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_id_name_and_payload_type() {
        for spec in &CODECS {
            assert_eq!(spec.id.spec().id, spec.id);
            assert_eq!(CodecId::by_name(&spec.name.to_ascii_lowercase()), Some(spec.id));
            assert_eq!(CodecId::by_payload_type(spec.payload_type), Some(spec.id));
        }
        assert_eq!(CodecId::by_name("PCM"), None);
        assert_eq!(CodecId::by_payload_type(13), None);
    }

    #[test]
    fn silence_decodes_to_silence_and_back() {
        for spec in &CODECS {
            let mut codec = spec.codec();
            let mut samples = [99_i16; 4];
            assert_eq!(codec.decode(&[spec.silence; 3], &mut samples), 3);
            assert!(samples[..3].iter().all(|&s| s.abs() <= 8) && samples[3] == 99);
            let mut payload = [0; 2];
            assert_eq!(codec.encode(&[0; 3], &mut payload), 2);
            assert_eq!(payload, [spec.silence; 2]);
        }
    }
}
