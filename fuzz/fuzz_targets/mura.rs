#![no_main]
//! Mura maps.

use leasehold::headset::MuraMap;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = MuraMap::decode("fuzzed", bytes, 8, 8);
});
