//! G.711, both laws, by tables made at compile time.
//!
//! ```text
//!  i16 ──> top 14 bits ──> 16 KiB table ──> octet      octet ──> 512 B table ──> i16
//! ```
//!
//! The truth is the ITU-T Software Tool Library (G.191), which works on left-justified 16-bit
//! samples: 14 bits matter to µ-law and 13 to A-law, so a table of 14-bit indices holds every
//! answer. Stateless; concealment of lost packets is `audio::plc`'s.

use super::Codec;

/// µ-law, payload type 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pcmu;

impl Codec for Pcmu {
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> usize {
        translate(samples, payload, encode_ulaw)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        translate(payload, samples, decode_ulaw)
    }
}

/// A-law, payload type 8.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pcma;

impl Codec for Pcma {
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> usize {
        translate(samples, payload, encode_alaw)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        translate(payload, samples, decode_alaw)
    }
}

/// The µ-law octet of a sample.
#[inline]
pub fn encode_ulaw(sample: i16) -> u8 {
    ULAW_ENCODE[index_of(sample)]
}

/// The sample of a µ-law octet.
#[inline]
pub fn decode_ulaw(octet: u8) -> i16 {
    ULAW_DECODE[usize::from(octet)]
}

/// The A-law octet of a sample.
#[inline]
pub fn encode_alaw(sample: i16) -> u8 {
    ALAW_ENCODE[index_of(sample)]
}

/// The sample of an A-law octet.
#[inline]
pub fn decode_alaw(octet: u8) -> i16 {
    ALAW_DECODE[usize::from(octet)]
}

fn translate<A: Copy, B>(from: &[A], to: &mut [B], each: impl Fn(A) -> B) -> usize {
    for (a, b) in from.iter().zip(to.iter_mut()) {
        *b = each(*a);
    }
    from.len().min(to.len())
}

/// Number of 14-bit samples.
const INDICES: usize = 1 << 14;

fn index_of(sample: i16) -> usize {
    usize::from(sample.cast_unsigned() >> 2)
}

static ULAW_ENCODE: [u8; INDICES] = encode_table(true);
static ALAW_ENCODE: [u8; INDICES] = encode_table(false);
static ULAW_DECODE: [i16; 256] = decode_table(true);
static ALAW_DECODE: [i16; 256] = decode_table(false);

const fn encode_table(ulaw: bool) -> [u8; INDICES] {
    let mut table = [0; INDICES];
    let mut index: u16 = 0;
    while (index as usize) < INDICES {
        let sample = (index << 2).cast_signed();
        // One's complement, as the Tool Library does it: -1 is the negative twin of 0.
        let magnitude = if sample < 0 { !sample } else { sample }.cast_unsigned();
        let octet = if ulaw { ulaw_magnitude(magnitude) } else { alaw_magnitude(magnitude) };
        table[index as usize] = if sample < 0 { octet ^ 0x80 } else { octet };
        index += 1;
    }
    table
}

const fn decode_table(ulaw: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0_u8;
    loop {
        // A µ-law octet goes over the wire inverted, an A-law octet with its even bits inverted.
        let code = if ulaw { !octet } else { octet ^ 0x55 };
        let magnitude = if ulaw { ulaw_value(code & 0x7F) } else { alaw_value(code & 0x7F) };
        table[octet as usize] = if octet & 0x80 == 0 { -magnitude } else { magnitude };
        if octet == u8::MAX {
            return table;
        }
        octet += 1;
    }
}

/// Positive sample to octet, G.711 table 2: 14-bit magnitude plus a bias of 33, clipped.
#[expect(clippy::cast_possible_truncation, reason = "three bits and four bits")]
const fn ulaw_magnitude(magnitude: u16) -> u8 {
    let biased = (magnitude >> 2) + 33;
    let biased = if biased > 0x1FFF { 0x1FFF } else { biased };
    let segment = 10 - biased.leading_zeros();
    let step = (biased >> (segment + 1)) & 0xF;
    !((segment << 4) as u8 | step as u8)
}

/// Positive sample to octet, G.711 table 1: 12-bit magnitude, the first two segments linear.
#[expect(clippy::cast_possible_truncation, reason = "three bits and four bits")]
const fn alaw_magnitude(magnitude: u16) -> u8 {
    let magnitude = magnitude >> 4;
    let segment = if magnitude < 32 { 0 } else { 12 - magnitude.leading_zeros() };
    let code = if segment == 0 {
        magnitude as u8
    } else {
        (segment << 4) as u8 | ((magnitude >> (segment - 1)) & 0xF) as u8
    };
    (code | 0x80) ^ 0x55
}

/// Seven-bit code to the middle of its step, scaled to 16 bits.
const fn ulaw_value(code: u8) -> i16 {
    let (segment, step) = (code >> 4, (code & 0xF) as i16);
    ((((step << 1) + 33) << segment) - 33) << 2
}

/// Seven-bit code to the middle of its step, scaled to 16 bits.
const fn alaw_value(code: u8) -> i16 {
    let (segment, step) = (code >> 4, (code & 0xF) as i16);
    let middle = (step << 1) + 1;
    if segment == 0 { middle << 3 } else { (middle + 32) << (segment + 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight segments of one law's positive half on 16-bit samples: first sample, step size.
    type Law = [(i32, i32); 8];
    const ULAW: Law = [
        (0, 8),
        (31 * 4, 16),
        (95 * 4, 32),
        (223 * 4, 64),
        (479 * 4, 128),
        (991 * 4, 256),
        (2015 * 4, 512),
        (4063 * 4, 1024),
    ];
    const ALAW: Law = [
        (0, 16),
        (256, 16),
        (512, 32),
        (1024, 64),
        (2048, 128),
        (4096, 256),
        (8192, 512),
        (16384, 1024),
    ];

    /// The code of a magnitude straight from the decision values of G.711's tables.
    fn by_decision_values(law: &Law, ulaw: bool, magnitude: i32) -> u8 {
        let segment = law.iter().rposition(|&(first, _)| magnitude >= first).expect("from 0");
        let (first, step) = law[segment];
        // The first step of µ-law spans only half a step: from 0, so everything shifts by half.
        let offset = if ulaw && segment == 0 { step / 2 } else { 0 };
        let place = ((magnitude - first + offset) / step).min(15);
        u8::try_from(segment * 16).unwrap() + u8::try_from(place).unwrap()
    }

    #[test]
    fn all_samples_encode_as_the_decision_values_say() {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(if sample < 0 { !sample } else { sample });
            let sign = if sample < 0 { 0 } else { 0x80 };
            let ulaw = (!by_decision_values(&ULAW, true, magnitude) & 0x7F) | sign;
            assert_eq!(encode_ulaw(sample), ulaw, "µ-law of {sample}");
            let alaw = (by_decision_values(&ALAW, false, magnitude) | sign) ^ 0x55;
            assert_eq!(encode_alaw(sample), alaw, "A-law of {sample}");
        }
    }

    #[test]
    fn all_samples_and_octets_agree_with_the_oracle() {
        use audio_codec_algorithms as oracle;
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(encode_ulaw(sample), oracle::encode_ulaw(sample), "µ-law of {sample}");
            assert_eq!(encode_alaw(sample), oracle::encode_alaw(sample), "A-law of {sample}");
        }
        for octet in 0..=u8::MAX {
            assert_eq!(decode_ulaw(octet), oracle::decode_ulaw(octet), "µ-law of {octet:#x}");
            assert_eq!(decode_alaw(octet), oracle::decode_alaw(octet), "A-law of {octet:#x}");
        }
    }

    #[test]
    fn decoded_values_encode_to_themselves() {
        for octet in 0..=u8::MAX {
            // µ-law has two zeros; the negative one comes back as the positive one.
            let same = if octet == 0x7F { 0xFF } else { octet };
            assert_eq!(encode_ulaw(decode_ulaw(octet)), same);
            assert_eq!(encode_alaw(decode_alaw(octet)), octet);
        }
    }

    #[test]
    fn a_short_buffer_bounds_the_work() {
        let mut octets = [0; 2];
        assert_eq!(Pcmu.encode(&[1, 2, 3], &mut octets), 2);
        let mut samples = [0; 8];
        assert_eq!(Pcma.decode(&octets, &mut samples), 2);
        assert_eq!(Pcma.decode(&[], &mut samples), 0);
    }
}
