//! One codec of each kind, made when a leg opens, so that no later agreement allocates.

use crate::audio::codec::{CODECS, Codec, CodecId};

/// The codecs of one direction of a leg.
pub struct CodecSet(Vec<(CodecId, Box<dyn Codec>)>);

impl Default for CodecSet {
    fn default() -> Self {
        Self(CODECS.iter().map(|spec| (spec.id, spec.codec())).collect())
    }
}

impl CodecSet {
    /// Encodes samples and returns the octets written.
    pub fn encode(&mut self, codec: CodecId, samples: &[i16], payload: &mut [u8]) -> usize {
        self.codec(codec).map_or(0, |codec| codec.encode(samples, payload))
    }

    /// Decodes a payload and returns the samples written.
    pub fn decode(&mut self, codec: CodecId, payload: &[u8], samples: &mut [i16]) -> usize {
        self.codec(codec).map_or(0, |codec| codec.decode(payload, samples))
    }

    fn codec(&mut self, wanted: CodecId) -> Option<&mut Box<dyn Codec>> {
        self.0.iter_mut().find(|(id, _)| *id == wanted).map(|(_, codec)| codec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_of_the_table_is_there() {
        let mut set = CodecSet::default();
        for spec in &CODECS {
            let (mut payload, mut samples) = ([0; 160], [1; 160]);
            assert_eq!(set.encode(spec.id, &[0; 160], &mut payload), 160);
            assert_eq!(set.decode(spec.id, &payload, &mut samples), 160);
            assert!(samples.iter().all(|s| s.abs() <= 8), "{}", spec.name);
        }
    }
}
