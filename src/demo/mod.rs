//! The demo: a scene on a headset, wherever one can be had.

pub mod app;
pub mod scene;

use std::path::PathBuf;
use std::sync::Arc;

use crate::compositor::readback::PanelPicture;
use crate::files::FileError;
use crate::report::{Priority, Recording, Report, Setup};
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
    /// Where a trace of the run is to be written.
    pub trace: Option<PathBuf>,
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
    /// Whether the trace could be written, where one was wanted.
    pub traced: Result<(), FileError>,
    /// What ended it early, if anything.
    pub error: Option<SessionError>,
}

/// Shows the scene until its limit.
pub fn run(settings: Settings) -> Result<Outcome, SessionError> {
    let Settings { mut options, scene, app_burn, capture, trace, process_start } = settings;
    options.poses = Arc::new(app::Sway { degrees: if scene.sways() { 5.0 } else { 0.0 } });
    let painter = scene.painter()?;
    let mut headset = Headset::open(options)?;
    let recording = Recording::start(headset.records(), headset.device().clone(), trace)
        .map_err(|source| SessionError::Thread { name: "records", source })?;
    let mut session = headset.session(Eyes::still(painter))?;
    app::run(&mut session, app_burn)?;
    let ending = session.end()?;
    let (summary, traced) = recording.finish(ending.run.history.events.clone());
    let report = Report::new(&ending.run, &setup(&ending, process_start), &summary);
    let picture = if capture { ending.picture()? } else { None };
    Ok(Outcome { report, picture, traced, error: ending.result().err() })
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
            thread: means.thread_priority.to_string(),
            queue: means.queue_priority.to_string(),
            refusals: means.refusals,
        },
        serial: means.serial,
        lens: means.lens,
        mura: means.mura,
        gpu: means.gpu,
    }
}
