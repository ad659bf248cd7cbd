//! When to give up on whoever was asked.

use nix::poll::PollTimeout;

use crate::time::{Instant, Span};

/// A time until which an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    after: Span,
}

impl Deadline {
    /// One `patience` from now.
    pub fn after(patience: Span) -> Self {
        Self { at: Instant::now() + patience, after: patience }
    }

    /// One that comes when half of the whole time is over.
    pub fn halfway(self) -> Self {
        Self { at: self.at - self.after / 2, after: self.after }
    }

    /// This, or one `span` from now if that is sooner.
    pub fn at_most(self, span: Span) -> Self {
        let at = self.at.min(Instant::now() + span);
        Self { at, ..self }
    }

    /// What is left, for `poll(2)`, rounded up; `None` when the time is up.
    pub fn left(self) -> Option<PollTimeout> {
        let left_ms = ((self.at - Instant::now()).as_ns() + 999_999) / 1_000_000;
        (left_ms > 0).then(|| PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX))
    }

    /// How long was to be waited in all, in seconds.
    pub fn seconds(self) -> f64 {
        self.after.as_secs_f64()
    }
}
