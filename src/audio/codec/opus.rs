//! The door of `audiopus`: Opus for speech, mono at 16 kHz.
//!
//! ```text
//!  16 kHz ──> encoder (24 kbit/s, in-band redundancy) ──> packet ──> decoder ──> 16 kHz
//! ```
//!
//! The RTP clock is 48 kHz whatever is coded (RFC 7587 §4.1). What a peer sends in stereo or at
//! other rates is brought to mono at 16 kHz by the decoder. Packets above 60 ms are refused. The
//! library works on its own stack: after construction nothing is allocated.

use super::{Codec, Way};
use audiopus::coder::{Decoder, Encoder, GenericCtl};
use audiopus::packet::Packet;
use audiopus::{Application, Bitrate, Channels, MutSignals, SampleRate};

/// What we send; speech at 16 kHz is transparent to the ear from about here on.
const BITS_PER_SECOND: i32 = 24_000;
/// Work per packet, of 10: 5 costs half of 10 and differs little for speech.
const COMPLEXITY: u8 = 5;
/// Loss that the redundancy is made for, in per cent.
const LOSS: u8 = 5;
/// Longest packet that RFC 6716 §3.2 knows, in units of 48 kHz.
const UNITS_MAX: u32 = 5_760;
/// Longest payload that is sent.
const PAYLOAD_MAX: usize = 480;

/// The directions of one leg's codec that it was made for.
#[derive(Debug)]
pub struct Opus {
    encoder: Option<Encoder>,
    decoder: Option<Decoder>,
}

/// Makes a codec. Cost: allocates 20 to 45 KiB.
pub(super) fn make(way: Way) -> Box<dyn Codec> {
    // The library refuses only arguments that are wrong; a codec without a half writes nothing.
    let encoder = (way != Way::Decode).then(|| encoder().ok()).flatten();
    let decoder = (way != Way::Encode)
        .then(|| Decoder::new(SampleRate::Hz16000, Channels::Mono).ok())
        .flatten();
    Box::new(Opus { encoder, decoder })
}

fn encoder() -> audiopus::Result<Encoder> {
    let mut encoder = Encoder::new(SampleRate::Hz16000, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::BitsPerSecond(BITS_PER_SECOND))?;
    encoder.set_complexity(COMPLEXITY)?;
    encoder.set_inband_fec(true)?;
    encoder.set_packet_loss_perc(LOSS)?;
    Ok(encoder)
}

impl Codec for Opus {
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> usize {
        let Some(encoder) = &self.encoder else { return 0 };
        let room = payload.len().min(PAYLOAD_MAX);
        encoder.encode(samples, payload.get_mut(..room).unwrap_or_default()).unwrap_or(0)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        let Some(decoder) = &mut self.decoder else { return 0 };
        let (Ok(packet), Ok(samples)) = (Packet::try_from(payload), MutSignals::try_from(samples))
        else {
            return 0;
        };
        decoder.decode(Some(packet), samples, false).unwrap_or(0)
    }

    /// The state of this decoder cannot be set back, so it must not run ahead.
    fn look_ahead(&mut self, _: bool, _: &[u8], _: &mut [i16]) -> usize {
        0
    }

    fn reset(&mut self) {
        if let Some(encoder) = &mut self.encoder {
            let _ = encoder.reset_state();
        }
        if let Some(decoder) = &mut self.decoder {
            let _ = decoder.reset_state();
        }
    }
}

/// Units of 48 kHz in a packet, by its first two octets (RFC 6716 §3.1).
pub(super) fn clock_units(packet: &[u8]) -> u32 {
    let Some(&toc) = packet.first() else { return 0 };
    let frame = match toc >> 3 {
        silk @ 0..12 => [480, 960, 1_920, 2_880][usize::from(silk & 3)],
        hybrid @ 12..16 => [480, 960][usize::from(hybrid & 1)],
        celt => [120, 240, 480, 960][usize::from(celt & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u32::from(count & 0x3f)),
    };
    let units = frame * frames;
    if units <= UNITS_MAX { units } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_from_the_first_octets() {
        let rows: &[(&[u8], u32)] = &[
            (&[], 0),
            (&[0 << 3], 480),
            (&[3 << 3], 2_880),
            (&[1 << 3 | 1], 1_920),
            (&[13 << 3], 960),
            (&[16 << 3], 120),
            (&[31 << 3 | 2], 1_920),
            (&[31 << 3 | 3, 0x86], 5_760),
            (&[31 << 3 | 3, 7], 0),
            (&[31 << 3 | 3], 0),
        ];
        for (packet, units) in rows {
            assert_eq!(clock_units(packet), *units, "{packet:?}");
        }
    }

    #[test]
    fn a_half_that_was_not_made_does_nothing() {
        let (mut encoder, mut decoder) = (make(Way::Encode), make(Way::Decode));
        let (mut payload, mut samples) = ([0; 480], [0; 960]);
        let len = encoder.encode(&[0; 320], &mut payload);
        assert!(len > 0 && encoder.decode(&payload[..len], &mut samples) == 0);
        assert_eq!(decoder.encode(&[0; 320], &mut payload), 0);
        assert_eq!(decoder.decode(&payload[..len], &mut samples), 320);
        assert_eq!(decoder.decode(&[], &mut samples), 0);
        assert_eq!(decoder.decode(&payload[..len], &mut samples[..100]), 0, "no room");
        assert_eq!(encoder.encode(&[0; 77], &mut payload), 0, "no frame of Opus is that long");
    }
}
