//! What a real-time thread asks of the system, and what it costs: priority, locked memory, counted calls.

pub mod allocations;
pub mod cpu;
pub mod latest;
pub mod priority;
#[cfg(feature = "rtkit")]
pub mod rtkit;
pub mod worker;

use std::cell::Cell;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use crate::time::Instant;

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

/// Ends the process at once, with all its threads. Destructors of C and C++ libraries do not run: a driver's take longer
/// than the kernel does to free everything, and expect its threads to be gone.
#[cfg(feature = "headset")]
#[allow(unsafe_code)]
pub(crate) fn leave(code: u8) -> ! {
    // SAFETY: it takes an integer and does not return, so that nothing of this process sees what it left undone.
    unsafe { libc::_exit(code.into()) }
}

/// Sleeps until a point on the clock; through signals.
pub fn sleep_until(time: Instant) {
    count_system_call();
    let spec = TimeSpec::new(time.as_ns() / 1_000_000_000, time.as_ns() % 1_000_000_000);
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &spec)
        == Err(Errno::EINTR)
    {}
}
