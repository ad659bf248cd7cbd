//! Waiting for what others do.

use std::time::Duration;

use leasehold::time::{Instant, Span};

/// Whatever takes longer hangs, on an emulated CPU too.
pub const PATIENCE: Span = Span::from_ms(180_000);

/// Whether one of three runs keeps the bound. A machine that stands still for a moment says nothing of the program, and a
/// program that is slow is so each time.
pub fn keeps(bound: Span, measure: impl FnMut() -> Span) -> bool {
    std::iter::repeat_with(measure).take(3).any(|worst| worst <= bound)
}

/// Waits until that is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// Waits until there is such a thing, and gives it.
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() - start < PATIENCE, "it does not come to this: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
