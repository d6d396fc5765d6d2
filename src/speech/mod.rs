//! Speech engines: text to sound.
//!
//! Owns engine threads, voices and the cache of what was said. Does not know calls or rings: it
//! hands out samples as they are made. Transcription and agents are other engines of this module.

pub mod base64;
pub mod key;
pub mod stt;
pub mod tts;
