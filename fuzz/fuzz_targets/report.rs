#![no_main]
//! A run's report, and the page that is made of it.

use leasehold::report::{Report, page};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Report::parse(bytes).map(|report| page::html(&report));
});
