#![no_main]
//! What the frames of a simulated run cost.

use leasehold::pacing::simulate::Load;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Load::parse(text).map(|mut load| load.next_frame());
});
