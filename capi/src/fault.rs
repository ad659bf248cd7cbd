//! What went wrong last, for C to read: a sentence for each thread.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::fmt::Display;

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Why the last call on this thread failed that did: what was tried, on what, the cause and the remedy. Valid until the
/// next call on this thread; empty where none has failed.
#[unsafe(no_mangle)]
pub extern "C" fn leasehold_error() -> *const c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

/// Remembers the error, and returns the value of a success.
pub fn note<T>(result: Result<T, impl Display>) -> Option<T> {
    result.map_err(|error| LAST.set(c_string(&error.to_string()))).ok()
}

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}
