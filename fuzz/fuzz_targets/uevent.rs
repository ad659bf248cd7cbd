#![no_main]
//! The kernel's announcements.

use leasehold::kms::uevent::Uevent;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Uevent::parse(bytes);
});
