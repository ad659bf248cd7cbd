#![no_main]
//! EDIDs, as they are and with checksums that fit.

#[path = "../../tests/edid/checksum.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod checksum;

use leasehold::headset::edid::Edid;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Edid::parse(bytes);
    let mut repaired = bytes.to_vec();
    let blocks = bytes.len().div_ceil(128).max(1);
    repaired.resize(128 * blocks, 0);
    repaired[..8].copy_from_slice(&[0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00]);
    repaired[126] = repaired[126].min((blocks - 1).min(255) as u8);
    checksum::repair(&mut repaired);
    let edid = Edid::parse(&repaired).expect("header, length and checksum of the base block fit");
    assert!(edid.modes.iter().all(|mode| mode.hz().is_finite()));
    assert!(!edid.title().is_empty());
});
