//! Messages of a client in Plivo's words.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::stream::dialect::fuzz::plivo(bytes));
