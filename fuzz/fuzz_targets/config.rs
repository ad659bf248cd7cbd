#![no_main]
//! A headset's own configuration.

use leasehold::headset::Headset;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Headset::from_config(bytes, |_| Err(std::io::ErrorKind::NotFound.into()));
});
