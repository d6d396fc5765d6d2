//! An Identity header field, and behind the first line end its certificate in PEM.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::sip::stir::fuzz_entry(bytes));
