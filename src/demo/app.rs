//! The demo's app thread: hands over a frame a vblank, as a VR application would.

use std::thread::JoinHandle;

use crate::compositor::frames::{DisplayState, FrameWriter};
use crate::compositor::Pose;
use crate::thread::sleep_until;
use crate::time::{Instant, Span};

/// Starts an app whose eye images are the same in every slot and were rendered looking ahead. It is busy for
/// `burn` each frame. It ends when the display does.
pub fn start(mut frames: FrameWriter, burn: Span) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("app".to_string()).spawn(move || {
        while let Some(begin) = frames.next_frame(Instant::now()) {
            sleep_until(begin);
            if frames.state() != DisplayState::Showing {
                continue;
            }
            let end = Instant::now() + burn;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
            frames.submit(Pose::AHEAD, Instant::now());
        }
    })
}

/// A head that looks slowly from side to side, or not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sway {
    /// How far to each side, in degrees.
    pub degrees: f64,
}

/// Seconds from one side to the other and back.
const SWAY_SECONDS: f64 = 6.0;

impl Sway {
    /// How far to the left it looks at `time`, in degrees.
    pub fn yaw_deg_at(&self, time: Instant) -> f64 {
        let seconds = time.as_ns() as f64 / 1e9;
        let phase = (seconds / SWAY_SECONDS).fract() * std::f64::consts::TAU;
        self.degrees * phase.sin()
    }
}
