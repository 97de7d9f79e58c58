#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onerouter_fuzz_cases::run("answer_head", input));
