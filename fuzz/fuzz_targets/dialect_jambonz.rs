//! Messages of a client in the words of jambonz.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::stream::dialect::fuzz::jambonz(bytes));
