//! Octets as a schema and a value for it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::app::agent::schema::fuzz_schema(bytes));
