//! When to wake, what was missed, and why. Pure: reads no clock, is told every time.

pub mod miss;
pub mod rate;
pub mod record;
pub mod ring;
pub mod schedule;
pub mod vblank;

pub use miss::Cause;
pub use rate::RateCheck;
pub use record::{Frame, Recorder};
pub use ring::Record;
pub use schedule::Schedule;
pub use vblank::VblankClock;
