//! Bodies of `POST /v1/calls`: any bytes are a valid request or a problem that says where.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bellwire::api::types::fuzz_create(bytes));
