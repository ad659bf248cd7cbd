//! When to wake, what was missed, and why. Pure: reads no clock, is told every time.

mod fit;
pub mod miss;
pub mod pacer;
pub mod rate;
pub mod record;
pub mod reserve;
pub mod ring;
pub mod schedule;
#[cfg(feature = "headset")]
pub mod simulate;
pub mod vblank;
mod window;

pub use miss::{Cause, Outcome};
pub use pacer::Pacer;
pub use rate::RateCheck;
pub use record::{Frame, Recorder};
pub use ring::Record;
pub use schedule::{Plan, Schedule, Timing};
pub use vblank::{Prediction, VblankClock};
