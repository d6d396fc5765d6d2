//! Messages of a client in the words of Asterisk.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::stream::dialect::fuzz::asterisk(bytes));
