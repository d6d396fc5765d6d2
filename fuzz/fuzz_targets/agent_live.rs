//! Lines as messages of the speech models.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::agent::live::fuzz_live(bytes));
