//! Packets that can be recognised: each says whose it is and which one.
//!
//! ```text
//!  160 octets of µ-law:  number (3 octets)  line (2 octets)  noise (the same in all)
//! ```
//!
//! Every octet stands for a sample of its own, so that a comparison of samples and one of octets
//! are the same thing: a packet is either bit-exact or altered.

use bellwire::audio::codec::g711;

/// Samples in 20 ms at 8 kHz.
pub const SAMPLES: usize = 160;
const BASE: usize = 100;
const MARKED: usize = 5;
/// µ-law of silence.
const SILENCE: u8 = 0xFF;

/// Writes packets and recognises them, as octets and as samples.
#[derive(Clone)]
pub struct Pattern {
    octets: [u8; SAMPLES],
    /// The same as 16 bit little endian.
    pcm: [u8; 2 * SAMPLES],
}

/// What a packet turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The packet of this number, bit by bit.
    Exact(usize),
    /// Nothing but silence.
    Silence,
    /// Anything else, also the sound of another line.
    Altered,
}

/// The octet for a digit. No two have the same sample.
fn code(digit: usize) -> u8 {
    0x80 + (digit % BASE) as u8
}

fn digit(octet: u8) -> Option<usize> {
    let digit = usize::from(octet.wrapping_sub(0x80));
    (digit < BASE).then_some(digit)
}

impl Pattern {
    pub fn new(line: usize) -> Self {
        let mut state = 1_u32;
        let mut octets = [0; SAMPLES];
        for octet in &mut octets {
            // Numerical Recipes' generator: any noise will do, as long as it is always the same.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let sign = (state >> 30 & 1) as u8;
            *octet = code((state >> 16) as usize) ^ sign << 7;
        }
        octets[3] = code(line / BASE);
        octets[4] = code(line);
        let mut pcm = [0; 2 * SAMPLES];
        write_pcm(&octets, &mut pcm);
        Self { octets, pcm }
    }

    /// The packet of this number as µ-law.
    pub fn octets(&mut self, number: usize) -> &[u8; SAMPLES] {
        self.number(number);
        &self.octets
    }

    /// The packet of this number as 16 bit little endian.
    pub fn pcm(&mut self, number: usize) -> &[u8; 2 * SAMPLES] {
        self.number(number);
        write_pcm(&self.octets[..MARKED], &mut self.pcm[..2 * MARKED]);
        &self.pcm
    }

    fn number(&mut self, number: usize) {
        self.octets[0] = code(number / BASE / BASE);
        self.octets[1] = code(number / BASE);
        self.octets[2] = code(number);
    }

    pub fn find_octets(&self, octets: &[u8]) -> Found {
        if octets.len() == SAMPLES && octets[3..] == self.octets[3..] {
            let digits = [octets[0], octets[1], octets[2]].map(digit);
            if let [Some(high), Some(middle), Some(low)] = digits {
                return Found::Exact((high * BASE + middle) * BASE + low);
            }
        }
        let silent = octets.iter().all(|octet| *octet == SILENCE);
        if silent { Found::Silence } else { Found::Altered }
    }

    pub fn find_pcm(&self, bytes: &[u8]) -> Found {
        let sample = |at: usize| i16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]);
        if bytes.len() == 2 * SAMPLES && bytes[6..] == self.pcm[6..] {
            let digits = [0, 1, 2].map(|at| {
                let octet = g711::encode_ulaw(sample(at));
                digit(octet).filter(|_| g711::decode_ulaw(octet) == sample(at))
            });
            if let [Some(high), Some(middle), Some(low)] = digits {
                return Found::Exact((high * BASE + middle) * BASE + low);
            }
        }
        let silent = bytes.iter().all(|byte| *byte == 0);
        if silent { Found::Silence } else { Found::Altered }
    }
}

fn write_pcm(octets: &[u8], out: &mut [u8]) {
    for (octet, out) in octets.iter().zip(out.chunks_exact_mut(2)) {
        out.copy_from_slice(&g711::decode_ulaw(*octet).to_le_bytes());
    }
}

/// What became of one line's packets in one direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heard {
    /// Bit-exact packets.
    pub exact: usize,
    /// Numbers that were left out.
    pub missing: usize,
    /// Packets whose number was not above the last.
    pub repeated: usize,
    /// Packets of something else, after the first exact one.
    pub altered: usize,
    /// Silent packets, after the first exact one.
    pub silent: usize,
    next: usize,
}

impl Heard {
    pub fn take(&mut self, found: Found) {
        match found {
            Found::Exact(number) => {
                if self.exact > 0 {
                    self.missing += number.saturating_sub(self.next);
                    self.repeated += usize::from(number < self.next);
                }
                self.exact += 1;
                self.next = number + 1;
            }
            // What comes before the first packet is the start of the call, not a hole in it.
            Found::Silence => self.silent += usize::from(self.exact > 0),
            Found::Altered => self.altered += usize::from(self.exact > 0),
        }
    }

    pub fn faults(&self) -> usize {
        self.missing + self.repeated + self.altered + self.silent
    }
}
