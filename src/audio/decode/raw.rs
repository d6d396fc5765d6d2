//! Samples without a header, in any chunking: an octet that completes no sample waits.

use crate::audio::codec::g711;
use crate::audio::sample::to_i16;

/// How a raw sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    S16Le,
    S16Be,
    F32Le,
    Ulaw,
    Alaw,
}

impl Kind {
    /// Octets of a sample.
    fn width(self) -> usize {
        match self {
            Self::S16Le | Self::S16Be => 2,
            Self::F32Le => 4,
            Self::Ulaw | Self::Alaw => 1,
        }
    }

    /// Reads a sample of [`Kind::width`] octets; of fewer, silence.
    fn read(self, octets: &[u8]) -> i16 {
        match (self, octets) {
            (Self::S16Le, &[a, b]) => i16::from_le_bytes([a, b]),
            (Self::S16Be, &[a, b]) => i16::from_be_bytes([a, b]),
            (Self::F32Le, &[a, b, c, d]) => to_i16(f32::from_le_bytes([a, b, c, d])),
            (Self::Ulaw, &[a]) => g711::decode_ulaw(a),
            (Self::Alaw, &[a]) => g711::decode_alaw(a),
            _ => 0,
        }
    }

    /// Reads whole samples behind `out`; the question of what they are is asked once for all.
    fn read_all(self, octets: &[u8], out: &mut Vec<i16>) {
        let samples = octets.chunks_exact(self.width());
        match self {
            Self::S16Le => out.extend(samples.map(|octets| Self::S16Le.read(octets))),
            Self::S16Be => out.extend(samples.map(|octets| Self::S16Be.read(octets))),
            Self::F32Le => out.extend(samples.map(|octets| Self::F32Le.read(octets))),
            Self::Ulaw => out.extend(samples.map(|octets| Self::Ulaw.read(octets))),
            Self::Alaw => out.extend(samples.map(|octets| Self::Alaw.read(octets))),
        }
    }
}

/// A stream of raw samples.
#[derive(Debug)]
pub(super) struct Raw {
    kind: Kind,
    /// The octets of a sample that is not whole yet.
    carry: [u8; 4],
    carried: usize,
    samples: Vec<i16>,
}

/// Samples handed on at a time.
const BLOCK: usize = 1_024;

impl Raw {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, carry: [0; 4], carried: 0, samples: Vec::new() }
    }

    /// Takes octets and emits the samples that they complete.
    pub(super) fn push(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[i16])) {
        let width = self.kind.width();
        self.samples.clear();
        if self.carried > 0 {
            let (now, later) = bytes.split_at((width - self.carried).min(bytes.len()));
            self.carry[self.carried..self.carried + now.len()].copy_from_slice(now);
            self.carried += now.len();
            bytes = later;
            if self.carried < width {
                return;
            }
            self.samples.push(self.kind.read(&self.carry[..width]));
        }
        let rest = bytes.chunks_exact(width).remainder();
        self.carry[..rest.len()].copy_from_slice(rest);
        self.carried = rest.len();
        let whole = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
        for block in whole.chunks(BLOCK * width) {
            self.kind.read_all(block, &mut self.samples);
            if self.samples.len() >= BLOCK {
                emit(&self.samples);
                self.samples.clear();
            }
        }
        if !self.samples.is_empty() {
            emit(&self.samples);
        }
    }

    /// Ends the stream; returns the octets that complete no sample.
    pub(super) fn finish(&mut self) -> usize {
        std::mem::take(&mut self.carried)
    }
}
