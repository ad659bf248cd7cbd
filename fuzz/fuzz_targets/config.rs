#![no_main]
//! A headset's own configuration.

use leasehold::headset::config::Config;
use leasehold::headset::{LensKind, Tangents};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = Config::parse(bytes) else { return };
    for eye in config.eyes {
        let Tangents { left, right, up, down } = eye.tangents;
        assert!([left, right, up, down].iter().all(|tangent| tangent.is_finite()), "{:?}", eye.tangents);
        if let LensKind::HighOrder(high) = eye.lens.kind {
            let [origin, scale] = high.onto;
            assert!([high.unit].iter().chain(&origin).chain(&scale).all(|number| number.is_finite()), "{high:?}");
        }
    }
});
