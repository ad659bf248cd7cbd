#![no_main]
//! Photographs for the calibration, and their names.

use leasehold::headset::calibration::{Capture, CaptureName, fit};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(name) = std::str::from_utf8(bytes) {
        let _ = CaptureName::parse(name);
        let _ = CaptureName::parse(&format!("left-{name}"));
    }
    if let Ok(capture) = Capture::decode("fuzzed", 64, bytes)
        && capture.samples.len() <= 4096
    {
        let _ = fit("left", &[capture], Some(2.2));
    }
});
