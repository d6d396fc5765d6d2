//! Messages of a client in Pipecat's frames.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::stream::dialect::fuzz::pipecat(bytes));
