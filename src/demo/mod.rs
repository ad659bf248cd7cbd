//! The demo: a scene on a headset, wherever one can be had.

pub mod app;
mod reacquire;
pub mod scene;
mod scenery;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;

use crate::compositor::frames::{self, FrameReader};
use crate::compositor::readback::{PanelPicture, Readback};
use crate::compositor::scanout::Method;
use crate::compositor::{Ended, History, Limit, Run, VblankLoop};
use crate::display::{Display, DisplayError};
use crate::error::{Class, Classified};
use crate::files::FileError;
use crate::kms::ModeRequest;
use crate::kms::buffer::PixelFormat;
use crate::lease::request::{RequestError, Wanted};
use crate::report::{Priority, Recording, Report, Setup};
use crate::thread::cpu::Cpus;
use crate::thread::priority::{Urgency, make_realtime};
use crate::time::{Instant, Span};
use crate::vulkan::{Device, Image, Instance, VulkanError};

use reacquire::Lost;
pub use scene::Scene;
use scenery::Scenery;
pub use stage::{From, is_to_come};
use stage::{Stage, Venue};

/// What to show, where, and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the display comes from.
    pub from: From,
    /// The connector that is wanted.
    pub connector: Wanted,
    /// The mode; without, the headset's preferred one.
    pub mode: Option<ModeRequest>,
    /// The headset's data.
    pub headset: Option<PathBuf>,
    /// The only way in which pictures may get to a card; without, the best that works.
    pub scanout: Option<Method>,
    /// What is shown.
    pub scene: Scene,
    /// What ends it.
    pub limit: Limit,
    /// Whether a headset whose lease is lost is waited for and taken again.
    pub reacquire: bool,
    /// How long the app thread is busy for each frame.
    pub app_burn: Span,
    /// Whether the last picture is wanted.
    pub capture: bool,
    /// Where a trace of the run is to be written.
    pub trace: Option<PathBuf>,
    /// Whether Vulkan is to be watched by its validation layer.
    pub validation: bool,
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
    pub error: Option<DemoError>,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No display could be had.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The display does not do its work.
    #[error(transparent)]
    Display(#[from] DisplayError),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A thread could not be started.
    #[error("could not start the {name} thread: {source}")]
    Thread {
        /// Which thread.
        name: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl Classified for DemoError {
    fn class(&self) -> Class {
        match self {
            Self::Request(error) => error.class(),
            Self::Display(error) => error.class(),
            Self::File(error) => error.class(),
            Self::Thread { .. } => Class::Retry,
        }
    }
}

impl std::convert::From<VulkanError> for DemoError {
    fn from(error: VulkanError) -> Self {
        Self::Display(error.into())
    }
}

/// Pictures are scanned out with 8 bits a channel.
const FORMAT: PixelFormat = PixelFormat::Xrgb8888;

/// Shows the scene until its limit.
pub fn run(settings: Settings) -> Result<Outcome, DemoError> {
    let venue = Venue::find(&settings)?;
    let device = open_device(&venue, settings.validation)?;
    let lost = Lost::prepare(&settings, &venue).filter(|_| settings.reacquire);
    let mut theatre = Theatre { settings: &settings, device: &device, scenery: None };
    let stage = theatre.furnish(venue)?;
    let (writer, reader) = frames::exchange();
    let app =
        app::start(writer, settings.app_burn).map_err(|source| DemoError::Thread { name: "app", source })?;
    let (writer, recording) = Recording::start(device.clone(), settings.trace.clone())
        .map_err(|source| DemoError::Thread { name: "records", source })?;
    let mut history = History::default();
    history.recorder.hand_on(writer);
    let outcome = theatre
        .show_and_take_again(stage, reader, history, lost.as_ref())
        .and_then(|shown| theatre.finish(shown, recording));
    if app.join().is_err() {
        tracing::error!("the app thread panicked");
    }
    outcome
}

/// Where the scene is shown, whatever becomes of the display.
struct Theatre<'a> {
    settings: &'a Settings,
    device: &'a Arc<Device>,
    scenery: Option<Scenery>,
}

impl Theatre<'_> {
    /// Makes what is drawn at `venue`, from what there is where that suits.
    fn furnish(&mut self, venue: Venue) -> Result<Stage, DemoError> {
        let kept = self.scenery.take();
        let suits = |kept: &Scenery| kept.suits(self.settings, self.device, &venue);
        self.scenery = Some(match kept.filter(suits) {
            Some(kept) => kept,
            None => Scenery::new(self.settings, self.device, &venue)?,
        });
        venue.furnish(self.settings, self.device)
    }

    /// Shows the scene, and shows it again each time that the display was `lost` and taken anew.
    fn show_and_take_again(
        &mut self,
        mut stage: Stage,
        mut frames: FrameReader,
        mut history: History,
        lost: Option<&Lost>,
    ) -> Result<Shown, DemoError> {
        loop {
            let (ended, setup) = self.show(stage, frames, history)?;
            let Ended { mut run, display, frames: reader } = ended;
            let Some(lost) = lost.filter(|lost| run.loss().is_some_and(|loss| lost.may_come_back(loss)))
            else {
                return Ok(Shown { run, display: Some(display), setup });
            };
            drop_in_order(Some(display), run.last_picture.take());
            let over = || self.settings.limit.is_reached(&run.history, Instant::now());
            let Some(taken) = lost.take_again(&over, |venue| self.furnish(venue)) else {
                return Ok(Shown { run, display: None, setup });
            };
            (stage, frames, history) = (taken, reader, run.history);
        }
    }

    fn show(&self, stage: Stage, frames: FrameReader, history: History) -> Result<(Ended, Setup), DemoError> {
        let scenery = self.scenery.as_ref().expect("the stage was furnished with it");
        let headset = &scenery.headset;
        let mut setup = Setup {
            verb: "demo",
            process_start: self.settings.process_start,
            bits: FORMAT.bits(),
            scanout: stage.scanout,
            scanout_refusals: stage.scanout_refusals.clone(),
            priority: Priority {
                thread: "normal".to_string(),
                queue: self.device.queue_priority().to_string(),
                refusals: Vec::new(),
            },
            serial: headset.serial.clone(),
            lens: headset.eyes[0].lens.kind_name(),
            mura: scenery.compositor.corrects_mura(),
            gpu: self.device.name().to_string(),
        };
        let vblank_loop = scenery.play(self.settings, stage, frames, history)?;
        let (ended, granted) = run_loop(vblank_loop, self.settings.limit.clone())?;
        setup.priority.thread = granted.scheduling.to_string();
        setup.priority.refusals = granted.refusals;
        Ok((ended, setup))
    }

    fn finish(&self, shown: Shown, recording: Recording) -> Result<Outcome, DemoError> {
        let Shown { run, display, setup } = shown;
        let (summary, traced) = recording.finish(run.history.events.clone());
        let report = Report::new(&run, &setup, &summary);
        let picture = match &run.last_picture {
            Some(image) if self.settings.capture => {
                Some(Readback::new(self.device, image, FORMAT)?.picture()?)
            }
            _ => None,
        };
        drop_in_order(display, run.last_picture);
        Ok(Outcome { report, picture, traced, error: run.error.map(DemoError::from) })
    }
}

/// A run that has ended, and the display that it was shown on, if that is still there.
struct Shown {
    run: Run,
    display: Option<Box<dyn Display>>,
    setup: Setup,
}

/// Opens the device that draws for `venue`.
///
/// A driver that draws on the CPU and the loop wait for one another all the time. Where one CPU is enough for both, the
/// whole demo keeps to it: a driver makes as many threads as it has CPUs, and each hand-over between CPUs can come late.
fn open_device(venue: &Venue, validation: bool) -> Result<Arc<Device>, VulkanError> {
    let everywhere = Cpus::allowed();
    if venue.suits_one_cpu() {
        everywhere.last().keep();
    }
    let instance = Arc::new(Instance::new(validation)?);
    // Nothing is lost if a panel that is not there shows a frame late, and the desktop wants the CPU too.
    let waiter = (!matches!(venue, Venue::Simulated)).then_some(Urgency::Vblank);
    let device = Device::open_for(&instance, waiter)?;
    if !device.is_cpu() {
        everywhere.keep();
    }
    Ok(device)
}

/// Runs the loop on a thread of its own, with what priority the system grants.
fn run_loop(
    vblank_loop: VblankLoop,
    limit: Limit,
) -> Result<(Ended, crate::thread::priority::Granted), DemoError> {
    let failed = |source| DemoError::Thread { name: "vblank", source };
    let thread = std::thread::Builder::new().name("vblank".to_string());
    let handle = thread
        .spawn(move || {
            let granted = make_realtime(Urgency::Vblank);
            for refusal in &granted.refusals {
                tracing::info!("{refusal}");
            }
            (vblank_loop.run(&limit), granted)
        })
        .map_err(failed)?;
    handle.join().map_err(|_| failed(std::io::Error::other("it panicked")))
}

/// The panel goes dark before the memory that it scans out is freed.
fn drop_in_order(display: Option<Box<dyn Display>>, picture: Option<Arc<Image>>) {
    drop(display);
    drop(picture);
}
