//! Octets as a playbook, which is run if it is one.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::agent::script::fuzz_playbook(bytes));
