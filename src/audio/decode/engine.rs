//! The one door to `symphonia`: a coded packet in, mono samples out.
//!
//! Only its decoders are used. Its readers of containers want a blocking source, take the
//! lengths in a header at their word (a `LIST` of 4 GiB is allocated), and refuse headers that
//! are common in the wild; `riff` and `mpeg` beside this file read those, in any chunking.

use symphonia::core::audio::{Channels, layouts};
use symphonia::core::codecs::audio::well_known as id;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::{AdpcmDecoder, MpaDecoder, PcmDecoder};

/// How samples are coded in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// MPEG audio layer III; a packet is a frame.
    Mp3,
    /// Unsigned 8 bits.
    U8,
    /// Little-endian 16 bits.
    S16,
    /// Little-endian 24 bits.
    S24,
    /// Little-endian 32 bits.
    S32,
    /// Little-endian 32-bit float.
    F32,
    /// Little-endian 64-bit float.
    F64,
    /// G.711 µ-law.
    Ulaw,
    /// G.711 A-law.
    Alaw,
    /// Microsoft ADPCM; a packet is a block of this many samples of each speaker.
    AdpcmMs(u32),
    /// IMA ADPCM as in WAV; a packet is a block of this many samples of each speaker.
    AdpcmIma(u32),
}

impl Coding {
    fn codec(self) -> AudioCodecId {
        match self {
            Self::Mp3 => id::CODEC_ID_MP3,
            Self::U8 => id::CODEC_ID_PCM_U8,
            Self::S16 => id::CODEC_ID_PCM_S16LE,
            Self::S24 => id::CODEC_ID_PCM_S24LE,
            Self::S32 => id::CODEC_ID_PCM_S32LE,
            Self::F32 => id::CODEC_ID_PCM_F32LE,
            Self::F64 => id::CODEC_ID_PCM_F64LE,
            Self::Ulaw => id::CODEC_ID_PCM_MULAW,
            Self::Alaw => id::CODEC_ID_PCM_ALAW,
            Self::AdpcmMs(_) => id::CODEC_ID_ADPCM_MS,
            Self::AdpcmIma(_) => id::CODEC_ID_ADPCM_IMA_WAV,
        }
    }

    fn block(self) -> Option<u32> {
        match self {
            Self::AdpcmMs(samples) | Self::AdpcmIma(samples) => Some(samples),
            _ => None,
        }
    }
}

/// A decoder of one coding at one rate with one number of speakers.
pub(super) struct Engine {
    decoder: Box<dyn AudioDecoder>,
    coding: Coding,
    channels: u16,
    interleaved: Vec<f32>,
}

/// A packet that could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

impl Engine {
    /// A decoder; `None` if there is none for such a coding.
    pub(super) fn new(coding: Coding, rate: u32, channels: u16) -> Option<Self> {
        let mut parameters = AudioCodecParameters::new();
        parameters.for_codec(coding.codec()).with_sample_rate(rate).with_channels(match channels {
            1 => layouts::CHANNEL_LAYOUT_MONO,
            2 => layouts::CHANNEL_LAYOUT_STEREO,
            more => Channels::Discrete(more),
        });
        if let Some(samples) = coding.block() {
            parameters.with_frames_per_block(u64::from(samples));
            parameters.with_max_frames_per_packet(u64::from(samples));
        }
        let options = AudioDecoderOptions::default().gapless(false);
        let decoder: Box<dyn AudioDecoder> = match coding {
            Coding::Mp3 => Box::new(MpaDecoder::try_new(&parameters, &options).ok()?),
            Coding::AdpcmMs(_) | Coding::AdpcmIma(_) => {
                Box::new(AdpcmDecoder::try_new(&parameters, &options).ok()?)
            }
            _ => Box::new(PcmDecoder::try_new(&parameters, &options).ok()?),
        };
        Some(Self { decoder, coding, channels, interleaved: Vec::new() })
    }

    /// Decodes a packet and appends the mean of its speakers, every sample finite.
    ///
    /// Cost: no allocation once the buffers have grown. Returns the samples appended.
    pub(super) fn decode(&mut self, packet: &[u8], mono: &mut Vec<f32>) -> Result<usize, Damaged> {
        if self.steps_overflow(packet) {
            return Err(Damaged);
        }
        let duration = Duration::from(self.coding.block().unwrap_or(0));
        let packet = PacketRef::new(0, Timestamp::ZERO, duration, packet);
        let buffer = self.decoder.decode_ref(&packet).map_err(|_| Damaged)?;
        let speakers = buffer.num_planes();
        if speakers == 0 {
            return Ok(0);
        }
        self.interleaved.clear();
        buffer.copy_to_vec_interleaved(&mut self.interleaved);
        let before = mono.len();
        #[expect(clippy::cast_precision_loss, reason = "a few speakers")]
        let share = 1.0 / speakers as f32;
        mono.extend(self.interleaved.chunks_exact(speakers).map(|frame| {
            let mean = frame.iter().sum::<f32>() * share;
            if mean.is_finite() { mean.clamp(-LOUDEST, LOUDEST) } else { 0.0 }
        }));
        Ok(mono.len() - before)
    }
}

impl Engine {
    /// Whether the steps of a block of Microsoft ADPCM grow without bound, as no encoder makes
    /// them: symphonia multiplies them unchecked.
    fn steps_overflow(&self, block: &[u8]) -> bool {
        let Coding::AdpcmMs(_) = self.coding else { return false };
        let word =
            |at: usize| block.get(at..at + 2).map_or(0, |b| i16::from_le_bytes([b[0], b[1]]));
        let (mut left, mut right, body) = match self.channels {
            1 => (i32::from(word(1)), 0, 7),
            _ => (i32::from(word(2)), i32::from(word(4)), 14),
        };
        let grow = |step: &mut i32, nibble: u8| {
            *step = (MS_GROWTH[usize::from(nibble)] * *step / 256).clamp(16, MS_STEP_MAX);
            *step == MS_STEP_MAX
        };
        block.iter().skip(body).any(|octet| {
            // The growth of a negative nibble mirrors that of a positive one.
            let mirror = |nibble: u8| if nibble < 8 { nibble } else { 16 - nibble };
            let first = grow(&mut left, mirror(octet >> 4));
            let second = if self.channels == 1 { &mut left } else { &mut right };
            first | grow(second, mirror(octet & 15))
        })
    }
}

/// Growth of the step by the size of a nibble, in 256ths.
const MS_GROWTH: [i32; 9] = [230, 230, 230, 230, 307, 409, 512, 614, 768];
/// Steps from which on a block counts as damaged: a thousand times what 16 bits can need.
const MS_STEP_MAX: i32 = 1 << 21;

/// Float samples beyond this are a broken file; within it, levelling can bring them back.
const LOUDEST: f32 = 16.0;
