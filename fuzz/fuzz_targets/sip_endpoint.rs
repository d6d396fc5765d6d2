//! Datagrams of a known source against an endpoint with calls in it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::sip::endpoint::fuzz_entry(bytes));
