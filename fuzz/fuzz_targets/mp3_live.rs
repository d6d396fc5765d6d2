//! Any bytes as a live stream; the first two choose the format and the chunks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::audio::decode::fuzz_live(bytes));
