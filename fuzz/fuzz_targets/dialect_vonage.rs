//! Messages of a client in Vonage's words.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::stream::dialect::fuzz::vonage(bytes));
