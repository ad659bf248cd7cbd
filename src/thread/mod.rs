//! What a real-time thread asks of the system, and what it costs: priority, locked memory, counted calls.

pub mod allocations;
pub mod priority;

use std::cell::Cell;

thread_local! {
    static SYSTEM_CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Counts one system call made by this library on this thread.
pub(crate) fn count_system_call() {
    SYSTEM_CALLS.with(|count| count.set(count.get() + 1));
}

/// How many system calls this library has made on this thread; those inside a Vulkan driver are not seen.
pub fn system_calls() -> u64 {
    SYSTEM_CALLS.with(Cell::get)
}
