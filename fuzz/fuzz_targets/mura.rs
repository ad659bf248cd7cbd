#![no_main]
//! Mura maps, as they are and with the checksum of each chunk made to fit.

#[path = "../png.rs"]
#[allow(dead_code, reason = "another target uses the rest")]
mod png;

use leasehold::headset::MuraMap;
use leasehold::headset::mura::headset_serial;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = MuraMap::decode("fuzzed", bytes, 8, 8);
    let closed = png::closed(bytes);
    let _ = MuraMap::decode("fuzzed", &closed, 8, 8);
    let _ = headset_serial(&closed);
});
