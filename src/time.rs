//! Points in time and spans between them, in nanoseconds of the kernel's monotonic clock.
//!
//! All of the kernel's display times (vblank and flip stamps) are `CLOCK_MONOTONIC`
//! (`drivers/gpu/drm/drm_vblank.c`), so that is the one clock here.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use nix::time::{ClockId, clock_gettime};

/// A point on `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    ns: i64,
}

/// A signed span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    ns: i64,
}

impl Instant {
    /// The point `ns` nanoseconds after the clock's start.
    pub const fn from_ns(ns: i64) -> Self {
        Self { ns }
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_ns(self) -> i64 {
        self.ns
    }

    /// Reads the clock. Logic takes times as arguments; only the edges (loops, reports) call this.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC always exists on Linux");
        Self { ns: time.tv_sec() * 1_000_000_000 + time.tv_nsec() }
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self { ns: 0 };

    /// A span of `ns` nanoseconds.
    pub const fn from_ns(ns: i64) -> Self {
        Self { ns }
    }

    /// A span of `us` microseconds.
    pub const fn from_us(us: i64) -> Self {
        Self { ns: us * 1_000 }
    }

    /// A span of `ms` milliseconds.
    pub const fn from_ms(ms: i64) -> Self {
        Self { ns: ms * 1_000_000 }
    }

    /// A span of so many seconds, rounded to the nanosecond.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self { ns: (seconds * 1e9).round() as i64 }
    }

    /// In nanoseconds.
    pub const fn as_ns(self) -> i64 {
        self.ns
    }

    /// In microseconds.
    pub fn as_us_f64(self) -> f64 {
        self.ns as f64 / 1e3
    }

    /// In seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.ns as f64 / 1e9
    }

    /// As the standard library's unsigned duration; negative spans become zero.
    pub fn to_duration(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.ns.max(0) as u64)
    }
}

impl Sub for Instant {
    type Output = Span;
    fn sub(self, other: Self) -> Span {
        Span { ns: self.ns - other.ns }
    }
}

impl Add<Span> for Instant {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self { ns: self.ns + span.ns }
    }
}

impl AddAssign<Span> for Instant {
    fn add_assign(&mut self, span: Span) {
        self.ns += span.ns;
    }
}

impl Sub<Span> for Instant {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self { ns: self.ns - span.ns }
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { ns: self.ns + other.ns }
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { ns: self.ns - other.ns }
    }
}

impl Neg for Span {
    type Output = Self;
    fn neg(self) -> Self {
        Self { ns: -self.ns }
    }
}

impl Mul<i64> for Span {
    type Output = Self;
    fn mul(self, count: i64) -> Self {
        Self { ns: self.ns * count }
    }
}

impl Div<i64> for Span {
    type Output = Self;
    fn div(self, count: i64) -> Self {
        Self { ns: self.ns / count }
    }
}
