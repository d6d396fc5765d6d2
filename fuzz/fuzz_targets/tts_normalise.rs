//! Texts of all kinds, read for speech.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::speech::tts::fuzz_normalise(bytes));
