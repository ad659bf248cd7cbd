//! The signals that end a verb early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};

use super::Failure;

/// A flag that SIGINT and SIGTERM set. They are blocked in every thread started from here on.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    let failed =
        |error: &dyn std::fmt::Display| Failure::config(format!("could not wait for signals: {error}"));
    signals.thread_block().map_err(|errno| failed(&errno))?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let waiter = move || {
        if signals.wait().is_ok() {
            flag.store(true, Ordering::Relaxed);
        }
    };
    std::thread::Builder::new().name("signals".to_string()).spawn(waiter).map_err(|error| failed(&error))?;
    Ok(stop)
}
