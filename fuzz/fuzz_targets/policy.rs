#![no_main]
//! Who may have a lease.

use leasehold::lease::policy::Policy;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Policy::parse(text);
});
