//! The demo: a scene on a headset, wherever one can be had.

pub mod app;
pub mod controls;
pub mod input;
pub mod scene;
mod statistics;
pub mod steering;

use std::path::PathBuf;
use std::sync::Arc;

use crate::compositor::mirror::Viewer;
use crate::compositor::overlay::Board;
use crate::compositor::readback::PanelPicture;
use crate::display::window::{self, Window, WindowError};
use crate::error::{Class, Classified};
use crate::files::FileError;
use crate::lease::request::{Source, Way};
use crate::report::{Priority, Recording, Report, Setup};
use crate::session::options::From;
use crate::session::{Ending, Eyes, Headset, Options, SessionError};
use crate::time::{Instant, Span};

use app::Sway;
use controls::Event;
use input::Input;
pub use scene::Scene;
use steering::Steering;

/// What to show, where, and for how long.
#[derive(Debug)]
pub struct Settings {
    /// Which headset, and what ends the demo. The scene and those who steer say where the head looks.
    pub options: Options,
    /// What is shown.
    pub scene: Scene,
    /// Whether a window is to show what the headset does.
    pub mirror: bool,
    /// Whether the keyboards and mice of the machine are the demo's: where no window system has them.
    pub bare_terminal: bool,
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
    /// What it was drawn with. The display has been given back already.
    pub rest: Ending,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Nothing can be shown on a headset.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The window that was asked for cannot be had.
    #[error(transparent)]
    Window(#[from] WindowError),
}

impl Classified for DemoError {
    fn class(&self) -> Class {
        match self {
            Self::Session(error) => error.class(),
            Self::Window(_) => Class::Config,
        }
    }
}

/// Shows the scene until its limit.
///
/// # Errors
/// When there is no headset or no window to be had, a picture of the scene cannot be used, or a thread cannot be
/// started. What ends the show early is told in the [outcome](Outcome::error).
pub fn run(settings: Settings) -> Result<Outcome, DemoError> {
    let Settings { mut options, scene, mirror, bare_terminal, app_burn, capture, trace, process_start } =
        settings;
    let (sway, board) = (Sway { degrees: if scene.sways() { 5.0 } else { 0.0 } }, Board::default());
    let steering = Arc::new(Steering::new(sway, board.clone(), options.limit.stop.clone()));
    options.poses = steering.clone();
    options.board = Some(board.clone());
    let painter = scene.painter().map_err(SessionError::from)?;
    let (mut headset, window) = open(options, mirror, &steering)?;
    let reads_devices =
        window.is_none() && headset.source().is_some_and(|source| source == Source::Seat || bare_terminal);
    let input = reads_devices.then(|| Input::start(steering.clone()));
    if let Some(Err(error)) = &input {
        tracing::warn!("{error}");
    }
    let failed = |name| move |source| SessionError::Thread { name, source };
    let recording =
        Recording::start(headset.records(), headset.device().clone(), trace).map_err(failed("records"))?;
    let _statistics = statistics::keep(board, recording.numbers()).map_err(failed("statistics"))?;
    let mut session = headset.session(Eyes::still(painter))?;
    app::run(&mut session, app_burn)?;
    let mut ending = session.end()?;
    ending.give_back();
    let (summary, traced) = recording.finish(ending.run.history.events.clone());
    let report = Report::new(&ending.run, &setup(&ending, process_start), &summary);
    let picture = if capture { ending.picture().map_err(SessionError::from)? } else { None };
    Ok(Outcome { report, picture, traced, error: ending.take_error(), rest: ending })
}

/// Opens the headset, and the window that is to show what it does, or that is all there is.
fn open(
    mut options: Options,
    mirror: bool,
    steering: &Arc<Steering>,
) -> Result<(Headset, Option<Window>), DemoError> {
    let viewer = Viewer::default();
    let (is_all, anything_goes) = (options.from == From::Window, options.from == From::Lease(Way::Auto));
    if mirror || is_all {
        options.viewer = Some(viewer.clone());
        // Before the headset, with which this thread may have to keep to one CPU.
        let window = open_window(&viewer, steering, is_all)?;
        return Ok((Headset::open(options)?, Some(window)));
    }
    let headset = Headset::open(options)?;
    if !anything_goes || headset.source().is_some() {
        return Ok((headset, None));
    }
    match open_window(&viewer, steering, true) {
        Ok(window) => Ok((headset.seen_in_window(viewer), Some(window))),
        Err(error) => {
            tracing::info!("not from window: {error}");
            Ok((headset, None))
        }
    }
}

/// Opens a window that shows what `viewer` sees and steers with its keys; if it `is_all` there is, closing it ends the demo.
fn open_window(viewer: &Viewer, steering: &Arc<Steering>, is_all: bool) -> Result<Window, WindowError> {
    let steering = steering.clone();
    Window::open("leasehold", viewer.clone(), move |event| {
        let event = match event {
            window::Event::Key { code, pressed } => Event::Key { code, pressed },
            window::Event::Dragged { right, down } => Event::Moved { right, down },
            window::Event::Closed if is_all => Event::Closed,
            window::Event::Closed | window::Event::Away => Event::Away,
        };
        steering.take(event, Instant::now());
    })
}

fn setup(ending: &Ending, process_start: Instant) -> Setup {
    let means = ending.means.clone();
    Setup {
        verb: "demo",
        process_start,
        bits: means.format.bits(),
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
