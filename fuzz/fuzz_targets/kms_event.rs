#![no_main]
//! What a card's fd gives to read.

use leasehold::kms::event;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    event::events(bytes).for_each(drop);
});
