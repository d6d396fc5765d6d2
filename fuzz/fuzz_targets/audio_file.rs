//! Any bytes as an uploaded file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::audio::decode::fuzz_file(bytes));
