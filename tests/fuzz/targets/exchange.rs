#![no_main]

libfuzzer_sys::fuzz_target!(init: properties::exchange::with_listener(), |input: &[u8]| properties::exchange::run(input));
