#![no_main]
//! A headset's user-data area.

use leasehold::headset::flash;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = flash::directory(bytes);
    let _ = flash::parse(bytes);
});
