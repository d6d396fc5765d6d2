//! Samples in memory: codecs, decoding of files and live frames, resampling, level, concealment.
//!
//! Pure: bytes and samples in, samples out. Does not know calls, packets or time.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod agc;
pub mod beep;
pub mod codec;
pub mod decode;
pub mod dtmf;
pub mod echo;
pub mod filter;
pub mod gain;
pub mod halfband;
pub mod hurry;
pub mod noise;
pub mod pause;
pub mod plc;
pub mod progress;
pub mod prompt;
pub mod rate;
pub mod resample;
pub mod sample;
mod sines;
pub mod tone;
pub mod vad;
pub mod warp;
pub mod wav;
