//! The codecs of one direction of a leg, made when it opens, so that no later agreement allocates.
//!
//! ```text
//!  ring at 8 or 16 kHz ──[half-band filter, where the rates differ]── codec ── payload
//! ```
//!
//! A ring keeps its rate for the life of the leg, whatever is agreed; every codec is brought to
//! it. A codec that takes its turn begins anew. PCMU and PCMA are always there.

use super::receive::FRAME_MAX;
use crate::audio::codec::{Codec, CodecId, SampleRate, Way};
use crate::audio::halfband::{Down, Up};

/// The codecs of one direction of a leg. See the module.
pub struct CodecSet {
    wide: bool,
    codecs: Vec<(CodecId, Box<dyn Codec>)>,
    current: Option<CodecId>,
    main: Filters,
    /// Runs ahead of `main`; see [`Codec::look_ahead`].
    scout: Filters,
    /// Samples at the other rate; empty when no codec has it.
    scratch: Box<[i16]>,
}

#[derive(Clone, Default)]
struct Filters {
    up: Up,
    down: Down,
}

impl CodecSet {
    /// The codecs for rings of 8 or 16 kHz; other rates count as 8 kHz.
    ///
    /// Cost: allocates; an Opus codec takes 20 KiB, others nearly nothing.
    #[must_use]
    pub fn new(rate: SampleRate, codecs: &[CodecId], way: Way) -> Self {
        let mut wanted = vec![CodecId::Pcmu, CodecId::Pcma];
        for codec in codecs {
            if !wanted.contains(codec) {
                wanted.push(*codec);
            }
        }
        let wide = rate == SampleRate::HZ_16000;
        let converts = wanted.iter().any(|id| is_wide(*id) != wide);
        let scratch = vec![0; if converts { FRAME_MAX } else { 0 }].into_boxed_slice();
        Self {
            wide,
            codecs: wanted.into_iter().map(|id| (id, id.spec().codec(way))).collect(),
            current: None,
            main: Filters::default(),
            scout: Filters::default(),
            scratch,
        }
    }

    /// Whether a codec was made.
    #[must_use]
    pub fn has(&self, codec: CodecId) -> bool {
        self.codecs.iter().any(|(id, _)| *id == codec)
    }

    /// The next packet is decoded as a first one: those before it were passed over.
    pub fn begin_anew(&mut self) {
        self.current = None;
        self.main = Filters::default();
    }

    /// Encodes samples of the ring and returns the octets written; 0 for a codec that is not here.
    pub fn encode(&mut self, id: CodecId, samples: &[i16], payload: &mut [u8]) -> usize {
        self.take_turn(id);
        let Self { codecs, main, scratch, wide, .. } = self;
        let Some(codec) = find(codecs, id) else { return 0 };
        let len = match (*wide, is_wide(id)) {
            (false, false) | (true, true) => return codec.encode(samples, payload),
            (false, true) => main.up.process(samples, scratch),
            (true, false) => main.down.process(samples, scratch),
        };
        codec.encode(scratch.get(..len).unwrap_or_default(), payload)
    }

    /// Decodes a payload and returns the samples of the ring that were written; 0 for what cannot
    /// be decoded.
    pub fn decode(&mut self, id: CodecId, payload: &[u8], samples: &mut [i16]) -> usize {
        self.take_turn(id);
        let Self { codecs, main, scratch, wide, .. } = self;
        let Some(codec) = find(codecs, id) else { return 0 };
        convert(*wide, id, main, scratch, samples, |out| codec.decode(payload, out))
    }

    /// Decodes what lies behind a hole, packet after packet, and forgets it.
    pub fn look_ahead(
        &mut self,
        id: CodecId,
        first: bool,
        payload: &[u8],
        samples: &mut [i16],
    ) -> usize {
        let Self { codecs, main, scout, scratch, wide, .. } = self;
        if first {
            *scout = main.clone();
        }
        let Some(codec) = find(codecs, id) else { return 0 };
        convert(*wide, id, scout, scratch, samples, |out| codec.look_ahead(first, payload, out))
    }

    /// Another codec than before begins anew.
    fn take_turn(&mut self, id: CodecId) {
        if self.current != Some(id) {
            if self.current.replace(id).is_some_and(|before| is_wide(before) != is_wide(id)) {
                self.main.up.reset();
                self.main.down.reset();
            }
            if let Some(codec) = find(&mut self.codecs, id) {
                codec.reset();
            }
        }
    }
}

/// Brings decoded samples to the ring's rate.
fn convert(
    wide: bool,
    id: CodecId,
    filters: &mut Filters,
    scratch: &mut [i16],
    samples: &mut [i16],
    decode: impl FnOnce(&mut [i16]) -> usize,
) -> usize {
    match (wide, is_wide(id)) {
        (false, false) | (true, true) => decode(samples),
        (false, true) => {
            let room = FRAME_MAX.min(samples.len() * 2);
            let len = decode(scratch.get_mut(..room).unwrap_or_default());
            filters.down.process(scratch.get(..len).unwrap_or_default(), samples)
        }
        (true, false) => {
            let room = FRAME_MAX.min(samples.len() / 2);
            let len = decode(scratch.get_mut(..room).unwrap_or_default());
            filters.up.process(scratch.get(..len).unwrap_or_default(), samples)
        }
    }
}

fn find(codecs: &mut [(CodecId, Box<dyn Codec>)], wanted: CodecId) -> Option<&mut dyn Codec> {
    let found = codecs.iter_mut().find(|(id, _)| *id == wanted)?;
    Some(found.1.as_mut())
}

fn is_wide(codec: CodecId) -> bool {
    codec.spec().sample_rate == SampleRate::HZ_16000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::codec::CODECS;
    use std::f64::consts::TAU;

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a sound")]
    fn tone(rate: u32, samples: usize) -> Vec<i16> {
        let step = TAU * 440.0 / f64::from(rate);
        (0..samples).map(|n| (8_000.0 * (step * n as f64).sin()) as i16).collect()
    }

    /// The level of what is left of `heard` after the part that resembles `said` best, in dB.
    #[allow(clippy::cast_precision_loss, reason = "counts")]
    fn noise_db(said: &[i16], heard: &[i16]) -> f64 {
        let at = |delay: usize| {
            let pairs = said[2_000..8_000].iter().zip(&heard[2_000 + delay..]);
            let sum: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            sum / 6_000.0
        };
        let least = (0..400).map(at).fold(f64::MAX, f64::min);
        let power = said[2_000..8_000].iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 6_000.0;
        10.0 * (least / power).log10()
    }

    #[test]
    fn every_codec_carries_the_sound_of_either_ring() {
        let all: Vec<CodecId> = CODECS.iter().map(|spec| spec.id).collect();
        for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
            let mut there = CodecSet::new(rate, &all, Way::Encode);
            let mut back = CodecSet::new(rate, &all, Way::Decode);
            let frame = usize::try_from(rate.hz() / 50).unwrap();
            for spec in CODECS {
                let said = tone(rate.hz(), 60 * frame);
                let mut heard = Vec::new();
                for frame in said.chunks(frame) {
                    let (mut payload, mut samples) = ([0; 480], vec![0; FRAME_MAX]);
                    let len = there.encode(spec.id, frame, &mut payload);
                    let got = back.decode(spec.id, &payload[..len], &mut samples);
                    assert_eq!(got, frame.len(), "{} at {rate}", spec.name);
                    heard.extend_from_slice(&samples[..got]);
                }
                let noise = noise_db(&said, &heard);
                assert!(noise < -20.0, "{} at {rate}: {noise} dB", spec.name);
            }
        }
    }

    #[test]
    fn a_codec_that_was_not_made_writes_nothing() {
        let mut set = CodecSet::new(SampleRate::HZ_8000, &[], Way::Both);
        assert!(set.has(CodecId::Pcma) && !set.has(CodecId::G722));
        assert_eq!(set.encode(CodecId::G722, &[0; 160], &mut [0; 160]), 0);
        assert_eq!(set.decode(CodecId::G722, &[0; 160], &mut [0; 160]), 0);
        assert_eq!(set.look_ahead(CodecId::G722, true, &[0; 160], &mut [0; 160]), 0);
    }

    #[test]
    fn rooms_bound_the_work() {
        for rate in [SampleRate::HZ_8000, SampleRate::HZ_16000] {
            let mut set = CodecSet::new(rate, &[CodecId::G722], Way::Both);
            for codec in [CodecId::Pcmu, CodecId::G722] {
                for room in [0, 1, 33, 160] {
                    assert!(set.decode(codec, &[1; 480], &mut vec![0; room]) <= room);
                    assert!(set.encode(codec, &[1; 960], &mut vec![0; room]) <= room);
                }
            }
        }
    }
}
