//! The codecs of the carrier leg: one table, one trait.
//!
//! ```text
//!  CodecId ──spec()──> CodecSpec { name, payload type, rates } ──codec()──> Box<dyn Codec>
//! ```
//!
//! A codec is added by a file beside this one and a row in [`CODECS`]. What the two ends agreed
//! on is `sdp`'s business, packets are `rtp`'s, and lost packets are `audio::plc`'s.

pub mod g711;
pub mod g722;
#[cfg(feature = "opus")]
pub mod opus;

pub use super::rate::{ClockRate, SampleRate};
use std::time::Duration;

/// A codec, by its entry in the table of codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CodecId {
    /// G.711 µ-law, RFC 3551 payload type 0.
    Pcmu,
    /// G.711 A-law, RFC 3551 payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, RFC 3551 payload type 9.
    G722,
    /// Opus in speech, RFC 7587; built in with the feature `opus`.
    #[cfg(feature = "opus")]
    Opus,
}

impl CodecId {
    /// The codec's row in [`CODECS`].
    pub const fn spec(self) -> &'static CodecSpec {
        match self {
            Self::Pcmu => &PCMU,
            Self::Pcma => &PCMA,
            Self::G722 => &G722,
            #[cfg(feature = "opus")]
            Self::Opus => &OPUS,
        }
    }

    /// The codec of an encoding name of `a=rtpmap`, in any case (RFC 4855 §3).
    pub fn by_name(name: &str) -> Option<Self> {
        CODECS.iter().find(|spec| spec.name.eq_ignore_ascii_case(name)).map(|spec| spec.id)
    }

    /// The codec of a static payload type (RFC 3551 table 4).
    pub fn by_payload_type(payload_type: u8) -> Option<Self> {
        let mut rows = CODECS.iter().filter(|spec| spec.payload_type < DYNAMIC);
        rows.find(|spec| spec.payload_type == payload_type).map(|spec| spec.id)
    }
}

/// The first of the payload types that have no meaning but the agreed one (RFC 3551 §6).
pub const DYNAMIC: u8 = 96;

/// Which directions a codec is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It only encodes.
    Encode,
    /// It only decodes.
    Decode,
    /// It does both.
    Both,
}

/// What is fixed about a codec.
#[derive(Debug, Clone, Copy)]
pub struct CodecSpec {
    /// Whose row this is.
    pub id: CodecId,
    /// Encoding name, as in `a=rtpmap`.
    pub name: &'static str,
    /// Static payload type, or from [`DYNAMIC`] on the one that our offers use if it is free.
    pub payload_type: u8,
    /// Rate of the samples that the codec takes and gives.
    pub sample_rate: SampleRate,
    /// Rate of the RTP timestamp.
    pub clock_rate: ClockRate,
    /// Channels as in `a=rtpmap`, whatever is sent; 1 is not written.
    pub channels: u8,
    /// What our descriptions say in `a=fmtp`.
    pub format: Option<&'static str>,
    /// Longest times that a packet of ours may hold, in milliseconds, the shortest first.
    pub ptimes_ms: &'static [u8],
    units: fn(&[u8]) -> u32,
    make: fn(Way) -> Box<dyn Codec>,
}

impl CodecSpec {
    /// A fresh codec, one for each direction of a leg. Cost: allocates.
    pub fn codec(&self, way: Way) -> Box<dyn Codec> {
        (self.make)(way)
    }

    /// How far the RTP timestamp advances over a payload; 0 for one that is none.
    pub fn clock_units(&self, payload: &[u8]) -> u32 {
        (self.units)(payload)
    }

    /// What `a=rtpmap` says behind the payload type.
    pub fn encoding(&self) -> String {
        let (name, clock) = (self.name, self.clock_rate.hz());
        match self.channels {
            1 => format!("{name}/{clock}"),
            channels => format!("{name}/{clock}/{channels}"),
        }
    }

    /// The longest time that a packet may hold which is not above `wanted`; at least the shortest.
    pub fn ptime(&self, wanted: Duration) -> Duration {
        let fits = |ms: &&u8| Duration::from_millis(u64::from(**ms)) <= wanted;
        let fitting = self.ptimes_ms.iter().rev().find(fits).or(self.ptimes_ms.first());
        Duration::from_millis(fitting.copied().unwrap_or(20).into())
    }
}

/// Packets of codecs that code sample by sample.
const TENS: &[u8] = &[10, 20, 30, 40, 50, 60];

static PCMU: CodecSpec = CodecSpec {
    id: CodecId::Pcmu,
    name: "PCMU",
    payload_type: 0,
    sample_rate: SampleRate::HZ_8000,
    clock_rate: ClockRate::HZ_8000,
    channels: 1,
    format: None,
    ptimes_ms: TENS,
    units: octets,
    make: |_| Box::new(g711::Pcmu),
};

static PCMA: CodecSpec = CodecSpec {
    id: CodecId::Pcma,
    name: "PCMA",
    payload_type: 8,
    make: |_| Box::new(g711::Pcma),
    ..PCMU
};

static G722: CodecSpec = CodecSpec {
    id: CodecId::G722,
    name: "G722",
    payload_type: 9,
    sample_rate: SampleRate::HZ_16000,
    //= RFC 3551 §4.5.2: the clock of G.722 is 8 kHz, though it samples at 16 kHz
    clock_rate: ClockRate::HZ_8000,
    make: |_| Box::<g722::G722>::default(),
    ..PCMU
};

#[cfg(feature = "opus")]
static OPUS: CodecSpec = CodecSpec {
    id: CodecId::Opus,
    name: "opus",
    payload_type: 107,
    sample_rate: SampleRate::HZ_16000,
    //= RFC 7587 §4.1: the clock of Opus is 48 kHz, whatever it samples at
    clock_rate: ClockRate::HZ_48000,
    //= RFC 7587 §7: the number of channels in rtpmap is 2, whatever is sent
    channels: 2,
    format: Some(
        "maxplaybackrate=16000;sprop-maxcapturerate=16000;maxaveragebitrate=40000;useinbandfec=1",
    ),
    ptimes_ms: &[10, 20, 40, 60],
    units: opus::clock_units,
    make: opus::make,
};

/// Every codec that the product speaks.
#[cfg(not(feature = "opus"))]
pub static CODECS: [&CodecSpec; 3] = [&PCMU, &PCMA, &G722];
/// Every codec that the product speaks.
#[cfg(feature = "opus")]
pub static CODECS: [&CodecSpec; 4] = [&PCMU, &PCMA, &G722, &OPUS];

/// An octet a unit.
fn octets(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}

/// One direction of a codec, or both.
///
/// Shape: mono `i16` at the codec's sample rate. Cost: no allocation, no lock.
pub trait Codec: Send {
    /// Encodes as many samples as `payload` has room for and returns the octets written.
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> usize;

    /// Decodes as much payload as `samples` has room for and returns the samples written; 0 when
    /// it cannot be decoded.
    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize;

    /// Decodes what lies behind a hole, packet after packet from the `first` on, and forgets it:
    /// the same packets are still to be decoded. 0 where that cannot be done.
    fn look_ahead(&mut self, first: bool, payload: &[u8], samples: &mut [i16]) -> usize {
        let _ = first;
        self.decode(payload, samples)
    }

    /// Starts anew: another stretch of sound, in which this codec has had no part.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_id_name_and_payload_type() {
        for spec in CODECS {
            assert_eq!(spec.id.spec().id, spec.id);
            assert_eq!(CodecId::by_name(&spec.name.to_ascii_lowercase()), Some(spec.id));
            let by_type = CodecId::by_payload_type(spec.payload_type);
            assert_eq!(by_type, (spec.payload_type < DYNAMIC).then_some(spec.id));
        }
        assert_eq!(CodecId::by_name("PCM"), None);
        assert_eq!(CodecId::by_payload_type(13), None);
        assert_eq!(CodecId::G722.spec().encoding(), "G722/8000");
    }

    #[test]
    fn every_codec_carries_a_sound_for_the_time_that_its_packets_say() {
        for spec in CODECS {
            let mut codec = spec.codec(Way::Both);
            for ms in spec.ptimes_ms {
                let time = Duration::from_millis(u64::from(*ms));
                let samples = usize::try_from(spec.sample_rate.samples_in(time)).unwrap();
                let (mut payload, mut heard) = ([0; 480], vec![99_i16; 960]);
                let len = codec.encode(&vec![0; samples], &mut payload);
                let units = spec.clock_units(&payload[..len]);
                assert_eq!(u64::from(units), spec.clock_rate.units_in(time), "{}", spec.name);
                assert_eq!(codec.decode(&payload[..len], &mut heard), samples, "{}", spec.name);
                assert!(heard[..samples].iter().all(|s| s.abs() <= 8), "{}", spec.name);
                assert_eq!(heard.get(samples).copied().unwrap_or(99), 99);
            }
        }
    }

    #[test]
    fn packets_hold_what_fits() {
        let rows = [(0, 10), (9, 10), (10, 10), (25, 20), (59, 50), (60, 60), (500, 60)];
        for (wanted, got) in rows {
            let ptime = CodecId::Pcma.spec().ptime(Duration::from_millis(wanted));
            assert_eq!(ptime, Duration::from_millis(got));
        }
    }
}
