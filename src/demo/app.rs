//! The demo's app thread: hands over a frame a vblank, as a VR application would.

use crate::compositor::Pose;
use crate::compositor::frames::DisplayState;
use crate::session::{Session, SessionError};
use crate::time::{Instant, Span};

/// Runs an app on a thread of its own until the session is over. Its eye images never change and were drawn looking
/// ahead; it is busy for `burn` each frame.
///
/// # Errors
/// When no thread can be started for it.
pub fn run(session: &mut Session, burn: Span) -> Result<(), SessionError> {
    let outcome = std::thread::scope(|scope| {
        let app = std::thread::Builder::new().name("app".to_string());
        let app = app.spawn_scoped(scope, || show(session, burn));
        app.map(|app| app.join()).map_err(|source| SessionError::Thread { name: "app", source })
    })?;
    if outcome.is_err() {
        tracing::error!("the app thread panicked");
        while session.wait().is_some() {}
    }
    Ok(())
}

fn show(session: &mut Session, burn: Span) {
    while let Some(frame) = session.wait() {
        if frame.state() != DisplayState::Showing {
            continue;
        }
        let end = Instant::now() + burn;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        frame.submit(Pose::AHEAD);
    }
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
