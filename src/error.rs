//! How the library's errors are sorted, so that a caller can act without matching every variant.

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The same call may succeed later.
    Retry,
    /// There is no headset to be had.
    NoHeadset,
    /// Whoever owns the display refused the lease.
    LeaseDenied,
    /// The lease ended while it was in use.
    LeaseLost,
    /// The graphics device is gone or refuses all work.
    DeviceLost,
    /// Something the user gave or installed has to change first.
    Config,
    /// A mistake in this library.
    Bug,
}

/// An error that knows its [`Class`].
pub trait Classified: std::error::Error {
    /// What the caller can do about it.
    fn class(&self) -> Class;
}
