//! G.722 at 64 kbit/s: 7 kHz of speech in two bands, each coded by adaptive differences.
//!
//! ```text
//!  16 kHz ──> QMF ─┬─ low,  6 bits ─┬──> octet ──┬─ low ──┬─> QMF ──> 16 kHz
//!                  └─ high, 2 bits ─┘            └─ high ─┘
//!                        └── scale and predictor, the same on both sides ──┘
//! ```
//!
//! The truth is Recommendation ITU-T G.722 (09/2012), whose block names stand at the steps. Fixed
//! point throughout, so every implementation gives the same octets. An octet is two samples, and
//! one unit of an RTP clock that runs at 8 kHz for historical reasons (RFC 3551 §4.5.2). Delay:
//! 22 samples, 1.4 ms, through both filters. Concealment is `audio::plc`'s.

use super::Codec;

/// Both directions of one leg's codec.
#[derive(Debug, Clone, Default)]
pub struct G722 {
    encoder: Encoder,
    decoder: Decoder,
    /// Looks at what is behind a hole, without the decoder's noticing.
    scout: Decoder,
}

impl Codec for G722 {
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> usize {
        let pairs = samples.as_chunks::<2>().0;
        for (pair, octet) in pairs.iter().zip(payload.iter_mut()) {
            *octet = self.encoder.encode(*pair);
        }
        pairs.len().min(payload.len())
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        self.decoder.decode_all(payload, samples)
    }

    fn look_ahead(&mut self, first: bool, payload: &[u8], samples: &mut [i16]) -> usize {
        if first {
            self.scout = self.decoder.clone();
        }
        self.scout.decode_all(payload, samples)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Half the impulse response of the quadrature mirror filter (table 11).
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

#[derive(Debug, Clone, Default)]
struct Encoder {
    filter: Filter,
    low: Low,
    high: High,
}

impl Encoder {
    fn encode(&mut self, pair: [i16; 2]) -> u8 {
        let (first, second) = self.filter.run(pair.map(i32::from));
        let low = self.low.encode((second + first) >> 14);
        let high = self.high.encode((second - first) >> 14);
        high << 6 | low
    }
}

#[derive(Debug, Clone, Default)]
struct Decoder {
    filter: Filter,
    low: Low,
    high: High,
}

impl Decoder {
    fn decode_all(&mut self, payload: &[u8], samples: &mut [i16]) -> usize {
        let pairs = samples.as_chunks_mut::<2>().0;
        let octets = payload.len().min(pairs.len());
        for (octet, pair) in payload.iter().zip(pairs) {
            *pair = self.decode(*octet);
        }
        2 * octets
    }

    fn decode(&mut self, octet: u8) -> [i16; 2] {
        let low = self.low.decode(octet & 0x3f);
        let high = self.high.decode(octet >> 6);
        let (first, second) = self.filter.run([low + high, low - high]);
        [saturated(second >> 11), saturated(first >> 11)]
    }
}

/// The delay line of a quadrature mirror filter, the oldest pair first.
#[derive(Debug, Clone, Default)]
struct Filter([[i32; 2]; 12]);

impl Filter {
    /// Takes a pair in; says the sums over first and over second places, each under its half of
    /// the symmetric response.
    fn run(&mut self, pair: [i32; 2]) -> (i32, i32) {
        self.0.rotate_left(1);
        self.0[11] = pair;
        let mut sums = (0, 0);
        for (i, [first, second]) in self.0.iter().enumerate() {
            sums.0 += first * QMF[i];
            sums.1 += second * QMF[11 - i];
        }
        sums
    }
}

/// Decision levels of the 6-bit quantizer (table 14).
const LOW_LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Inverse quantizer of 4 bits, for the predictor (table 16).
const LOW_INVERSE_4: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
/// Magnitudes of the 6-bit inverse quantizer (table 17), from the smallest.
const LOW_INVERSE_6: [i32; 30] = [
    136, 432, 728, 1040, 1360, 1688, 2032, 2400, 2776, 3168, 3576, 4008, 4464, 4944, 5456, 6000,
    6576, 7192, 7856, 8576, 9360, 10232, 11192, 12280, 13512, 14984, 16704, 19008, 21904, 24808,
];
/// Multipliers of the scale, by the magnitude of the 4-bit code (table 18).
const LOW_SCALE: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
/// Inverse quantizer of the high band (table 19).
const HIGH_INVERSE: [i32; 4] = [-7408, -1616, 7408, 1616];
/// Multipliers of its scale, by the magnitude of the code.
const HIGH_SCALE: [i32; 2] = [798, -214];
/// Its one decision level.
const HIGH_LEVEL: i32 = 564;

#[derive(Debug, Clone)]
struct Low {
    predictor: Predictor,
    scale: Scale,
}

impl Default for Low {
    fn default() -> Self {
        Self { predictor: Predictor::default(), scale: Scale { log: 0, step: 32 } }
    }
}

impl Low {
    /// QUANTL: 6 bits of the difference.
    fn encode(&mut self, sample: i32) -> u8 {
        let difference = clip(sample - self.predictor.estimate);
        let magnitude = if difference >= 0 { difference } else { !difference };
        let above = |level: &i32| magnitude >= (level * self.scale.step) >> 12;
        let rank = LOW_LEVELS.iter().position(|level| !above(level)).unwrap_or(29);
        let code = code_of_rank(rank, difference < 0);
        self.adapt(code);
        code
    }

    /// INVQBL and LIMIT: what the code stands for.
    fn decode(&mut self, code: u8) -> i32 {
        let (rank, negative) = rank_of_code(code);
        let magnitude = LOW_INVERSE_6[rank];
        let value = if negative { -magnitude } else { magnitude };
        let sample = self.predictor.estimate + ((self.scale.step * value) >> 15);
        self.adapt(code);
        sample.clamp(-16384, 16383)
    }

    /// INVQAL, LOGSCL, SCALEL and the predictor, which see 4 bits only.
    fn adapt(&mut self, code: u8) {
        let code = usize::from(code >> 2);
        let difference = (self.scale.step * LOW_INVERSE_4[code]) >> 15;
        let magnitude = if code & 8 == 0 { (8 - code) & 7 } else { 15 - code };
        self.scale.adapt(LOW_SCALE[magnitude], 18432, 8);
        self.predictor.update(difference);
    }
}

/// Table 15: the rank of a magnitude and its sign as a code. The least two negative ones stand at
/// the top of the codes, because four of the 64 must not be sent.
#[expect(clippy::cast_possible_truncation, reason = "ranks are below 30")]
const fn code_of_rank(rank: usize, negative: bool) -> u8 {
    match (negative, rank) {
        (false, rank) => 61 - rank as u8,
        (true, 0 | 1) => 63 - rank as u8,
        (true, rank) => 33 - rank as u8,
    }
}

/// The inverse; codes 0 to 3 are never sent and stand for the least negative magnitude.
const fn rank_of_code(code: u8) -> (usize, bool) {
    match code {
        0..=3 => (0, true),
        4..=31 => (33 - code as usize, true),
        32..=61 => (61 - code as usize, false),
        _ => ((63 - code as usize) & 1, true),
    }
}

#[derive(Debug, Clone)]
struct High {
    predictor: Predictor,
    scale: Scale,
}

impl Default for High {
    fn default() -> Self {
        Self { predictor: Predictor::default(), scale: Scale { log: 0, step: 8 } }
    }
}

impl High {
    /// QUANTH: 2 bits of the difference.
    fn encode(&mut self, sample: i32) -> u8 {
        let difference = clip(sample - self.predictor.estimate);
        let magnitude = if difference >= 0 { difference } else { !difference };
        let large = magnitude >= (HIGH_LEVEL * self.scale.step) >> 12;
        let code = u8::from(!large) | u8::from(difference >= 0) << 1;
        self.adapt(code);
        code
    }

    fn decode(&mut self, code: u8) -> i32 {
        let difference = self.difference(code);
        let sample = self.predictor.estimate + difference;
        self.adapt(code);
        sample.clamp(-16384, 16383)
    }

    /// LOGSCH, SCALEH and the predictor.
    fn adapt(&mut self, code: u8) {
        let difference = self.difference(code);
        self.scale.adapt(HIGH_SCALE[usize::from(code & 1)], 22528, 10);
        self.predictor.update(difference);
    }

    fn difference(&self, code: u8) -> i32 {
        (self.scale.step * HIGH_INVERSE[usize::from(code & 3)]) >> 15
    }
}

/// Powers of two between one and two, in 32 steps (table 20).
const POWERS: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// The step of a quantizer, which grows with large codes and shrinks with small ones.
#[derive(Debug, Clone)]
struct Scale {
    log: i32,
    step: i32,
}

impl Scale {
    fn adapt(&mut self, multiplier: i32, log_max: i32, shift: i32) {
        self.log = (((self.log * 127) >> 7) + multiplier).clamp(0, log_max);
        let power = POWERS[usize::try_from(self.log >> 6 & 31).unwrap_or(0)];
        let down = shift - (self.log >> 11);
        let power = if down < 0 { power << -down } else { power >> down };
        self.step = power << 2;
    }
}

/// Block 4: two poles and six zeros that follow the signal.
#[derive(Debug, Clone, Default)]
struct Predictor {
    /// What the next sample is expected to be.
    estimate: i32,
    /// The part of it that the zeros give.
    zeros_part: i32,
    /// Differences, the latest first.
    differences: [i32; 6],
    zeros: [i32; 6],
    /// Reconstructed samples, the latest first.
    samples: [i32; 2],
    /// Partially reconstructed samples.
    partial: [i32; 2],
    poles: [i32; 2],
}

impl Predictor {
    fn update(&mut self, difference: i32) {
        let sample = clip(self.estimate + difference);
        let partial = clip(self.zeros_part + difference);
        self.update_poles(partial);
        self.update_zeros(difference);
        self.differences.rotate_right(1);
        self.differences[0] = difference;
        self.samples = [sample, self.samples[0]];
        self.partial = [partial, self.partial[0]];
        self.predict();
    }

    /// UPPOL2 and UPPOL1.
    fn update_poles(&mut self, partial: i32) {
        let same = |other: i32| (partial < 0) == (other < 0);
        let [first, second] = self.poles;
        let product = clip(first << 2);
        let product = if same(self.partial[0]) { (-product).min(32767) } else { product };
        let push = if same(self.partial[1]) { 128 } else { -128 };
        let second = (push + (product >> 7) + ((second * 32512) >> 15)).clamp(-12288, 12288);
        let push = if same(self.partial[0]) { 192 } else { -192 };
        let limit = clip(15360 - second);
        let first = clip(push + ((first * 32640) >> 15)).clamp(-limit, limit);
        self.poles = [first, second];
    }

    /// UPZERO.
    fn update_zeros(&mut self, difference: i32) {
        let push = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(self.differences) {
            let push = if (before < 0) == (difference < 0) { push } else { -push };
            *zero = clip(push + ((*zero * 32640) >> 15));
        }
    }

    /// FILTEP, FILTEZ and PREDIC.
    fn predict(&mut self) {
        let poles = self.poles.iter().zip(self.samples);
        let poles_part = clip(poles.map(|(pole, sample)| (pole * clip(2 * sample)) >> 15).sum());
        let zeros = self.zeros.iter().zip(self.differences);
        self.zeros_part = clip(zeros.map(|(zero, before)| (zero * clip(2 * before)) >> 15).sum());
        self.estimate = clip(poles_part + self.zeros_part);
    }
}

/// Saturation to 16 bits.
fn clip(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

fn saturated(value: i32) -> i16 {
    i16::try_from(clip(value)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise in bursts, so that every step of the scales is used; the same everywhere.
    #[expect(clippy::cast_possible_truncation, reason = "the upper half of a word")]
    pub(super) fn material(samples: usize) -> Vec<i16> {
        let mut state = 1_u32;
        let next = |at: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 16).cast_signed() as i16;
            noise >> (at / 700 % 14)
        };
        (0..samples).map(next).collect()
    }

    fn hash(octets: impl Iterator<Item = u8>) -> u64 {
        octets.fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn octets_and_samples_are_those_of_other_implementations() {
        let material = material(64_000);
        let mut codec = G722::default();
        let mut octets = vec![0; 32_000];
        assert_eq!(codec.encode(&material, &mut octets), 32_000);
        let mut samples = vec![0; 64_000];
        assert_eq!(codec.decode(&octets, &mut samples), 64_000);
        let heard = samples.iter().flat_map(|sample| sample.to_le_bytes());
        let hashes = (hash(octets.iter().copied()), hash(heard));
        assert_eq!(hashes, (0x630b_d462_1c5a_7460, 0x4514_f52e_e15e_d222), "{hashes:#x?}");
        // Every octet, the ones that are never sent included.
        let all: Vec<u8> = (0..=255).cycle().take(2_560).collect();
        let mut samples = vec![0; 5_120];
        G722::default().decode(&all, &mut samples);
        let hash = hash(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        assert_eq!(hash, 0xe3a7_9d21_3fab_9766, "{hash:#x}");
    }

    #[test]
    fn codes_and_ranks_are_inverse() {
        for negative in [false, true] {
            for rank in 0..30 {
                let code = code_of_rank(rank, negative);
                assert!((4..64).contains(&code));
                assert_eq!(rank_of_code(code), (rank, negative));
            }
        }
    }

    #[test]
    fn silence_stays_silence() {
        let mut codec = G722::default();
        let mut octets = [0; 160];
        codec.encode(&[0; 320], &mut octets);
        let mut samples = [99; 320];
        codec.decode(&octets, &mut samples);
        assert!(samples.iter().all(|sample| sample.abs() <= 8), "{samples:?}");
    }

    #[test]
    fn looking_ahead_leaves_the_decoder_as_it_is() {
        let mut octets = vec![0; 3_200];
        G722::default().encode(&material(6_400), &mut octets);
        let (mut plain, mut looked) = (G722::default(), G722::default());
        let (mut want, mut got, mut seen) = ([0; 320], [0; 320], [0; 320]);
        for packet in octets.chunks(160) {
            plain.decode(packet, &mut want);
            assert_eq!(looked.look_ahead(true, packet, &mut seen), 320);
            looked.look_ahead(false, packet, &mut seen);
            looked.decode(packet, &mut got);
            assert_eq!(got, want);
        }
    }

    #[test]
    fn buffers_bound_the_work() {
        let mut codec = G722::default();
        assert_eq!(codec.encode(&[1; 9], &mut [0; 2]), 2);
        assert_eq!(codec.encode(&[1; 3], &mut [0; 9]), 1);
        assert_eq!(codec.decode(&[1; 9], &mut [0; 5]), 4);
        assert_eq!(codec.decode(&[], &mut [0; 5]), 0);
    }
}
