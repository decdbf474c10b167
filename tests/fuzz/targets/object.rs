#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| streams_to_parquet_fuzz::object::check(data));
