#![no_main]
//! Photographs for the calibration, and their names. Large ones, which take long to unfold, are made small.

#[path = "../png.rs"]
mod png;

use leasehold::headset::calibration::{Capture, CaptureName, fit};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(name) = std::str::from_utf8(bytes) {
        let _ = CaptureName::parse(name);
        let _ = CaptureName::parse(&format!("left-{name}"));
    }
    if let Ok(capture) = Capture::decode("fuzzed", 64, &png::closed(&png::shrunk(bytes))) {
        let pixels = capture.samples.len();
        if let Ok(found) = fit("left", &[capture], Some(2.2)) {
            assert_eq!(found.texels.len(), pixels);
            assert!(found.sigma_codes.is_finite() && found.noise_codes.is_finite());
        }
    }
});
