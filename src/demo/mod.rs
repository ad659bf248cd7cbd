//! The demo: a scene on a headset, wherever one can be had.

pub mod app;
pub mod scene;

use std::sync::Arc;

use crate::compositor::readback::PanelPicture;
use crate::report::{Priority, Report, Setup};
use crate::session::{Ending, Eyes, Headset, Options, SessionError};
use crate::time::{Instant, Span};

pub use scene::Scene;

/// What to show, where, and for how long.
#[derive(Debug)]
pub struct Settings {
    /// Which headset, and what ends the demo. The scene says where the head looks.
    pub options: Options,
    /// What is shown.
    pub scene: Scene,
    /// How long the app thread is busy for each frame.
    pub app_burn: Span,
    /// Whether the last picture is wanted.
    pub capture: bool,
    /// When the process started.
    pub process_start: Instant,
}

/// A demo that has ended as it should.
#[derive(Debug)]
pub struct Outcome {
    /// What it was like.
    pub report: Report,
    /// The last picture on the panel, if it was wanted.
    pub picture: Option<PanelPicture>,
    /// What ended it early, if anything.
    pub error: Option<SessionError>,
    /// What it was drawn with. The display has been given back already.
    pub rest: Ending,
}

/// Shows the scene until its limit.
pub fn run(settings: Settings) -> Result<Outcome, SessionError> {
    let Settings { mut options, scene, app_burn, capture, process_start } = settings;
    options.poses = Arc::new(app::Sway { degrees: if scene.sways() { 5.0 } else { 0.0 } });
    let painter = scene.painter()?;
    let mut session = Headset::open(options)?.session(Eyes::still(painter))?;
    app::run(&mut session, app_burn)?;
    let mut ending = session.end()?;
    ending.give_back();
    let report = Report::new(&ending.run, &setup(&ending, process_start));
    let picture = if capture { ending.picture()? } else { None };
    Ok(Outcome { report, picture, error: ending.take_error(), rest: ending })
}

fn setup(ending: &Ending, process_start: Instant) -> Setup {
    let means = ending.means.clone();
    Setup {
        verb: "demo",
        process_start,
        bits: means.bits,
        scanout: means.scanout,
        scanout_refusals: means.scanout_refusals,
        priority: Priority {
            thread: means.thread_priority,
            queue: means.queue_priority,
            refusals: means.refusals,
        },
        serial: means.serial,
        lens: means.lens,
        mura: means.mura,
        gpu: means.gpu,
    }
}
