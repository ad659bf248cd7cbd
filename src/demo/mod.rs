//! The demo: a scene on a headset, wherever one can be had.

pub mod app;
pub mod scene;
mod stage;

use std::path::PathBuf;
use std::sync::Arc;

use crate::compositor::readback::{PanelPicture, Readback};
use crate::compositor::scanout::Method;
use crate::compositor::{Compositor, EyeImages, Limit, LoopPicture, Options, Run, VblankLoop, frames};
use crate::display::{Display, DisplayError};
use crate::error::{Class, Classified};
use crate::files::FileError;
use crate::kms::ModeRequest;
use crate::kms::buffer::PixelFormat;
use crate::lease::request::{RequestError, Wanted};
use crate::report::{Priority, Report, Setup};
use crate::thread::cpu::Cpus;
use crate::thread::priority::{Urgency, make_realtime};
use crate::time::{Instant, Span};
use crate::vulkan::{Device, Image, Instance, VulkanError};

pub use scene::Scene;
use stage::Venue;
pub use stage::{From, is_to_come};

/// What to show, where, and for how long.
#[derive(Debug)]
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
    /// How long the app thread is busy for each frame.
    pub app_burn: Span,
    /// Whether the last picture is wanted.
    pub capture: bool,
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

/// Shows the scene until its limit.
pub fn run(settings: Settings) -> Result<Outcome, DemoError> {
    let venue = Venue::find(&settings)?;
    let device = open_device(&venue, settings.validation)?;
    let stage = venue.furnish(&settings, &device)?;
    let headset = Arc::new(stage.headset);
    let (width_px, height_px, format) = (stage.width_px, stage.height_px, PixelFormat::Xrgb8888);
    let compositor = Compositor::new(&device, &headset, width_px, height_px, format, Options::default())?;
    for note in headset.notes.iter().chain(&compositor.mura_note()) {
        tracing::info!("{note}");
    }
    let mut setup = Setup {
        verb: "demo",
        process_start: settings.process_start,
        bits: format.bits(),
        scanout: stage.scanout,
        scanout_refusals: stage.scanout_refusals,
        priority: Priority { thread: "normal", queue: device.queue_priority(), refusals: Vec::new() },
        serial: headset.serial.clone(),
        lens: headset.eyes[0].lens.kind_name(),
        mura: compositor.corrects_mura(),
        gpu: device.name().to_string(),
    };
    let [left, right] = settings.scene.images(&headset, [width_px / 2, height_px])?;
    let images = Arc::new(EyeImages::upload(&device, &left, &right)?);
    // The scene does not change, so all slots share its images.
    let slots = [images.clone(), images.clone(), images];
    let pictures = stage
        .targets
        .into_iter()
        .map(|(target, scanout)| LoopPicture::new(&compositor, &slots, target, scanout))
        .collect::<Result<Vec<_>, _>>()?;
    let sway = app::Sway { degrees: if settings.scene.sways() { 5.0 } else { 0.0 } };
    let (writer, reader) = frames::exchange();
    let vblank_loop =
        VblankLoop::new(stage.display, pictures, reader, Box::new(sway), headset.panel.illumination);
    let app =
        app::start(writer, settings.app_burn).map_err(|source| DemoError::Thread { name: "app", source })?;
    let (run, granted) = run_loop(vblank_loop, settings.limit)?;
    if app.join().is_err() {
        tracing::error!("the app thread panicked");
    }
    setup.priority.thread = granted.scheduling;
    setup.priority.refusals = granted.refusals;
    finish(run, &setup, &device, format, settings.capture)
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
) -> Result<(Run, crate::thread::priority::Granted), DemoError> {
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

fn finish(
    run: Run,
    setup: &Setup,
    device: &Arc<Device>,
    format: PixelFormat,
    capture: bool,
) -> Result<Outcome, DemoError> {
    let report = Report::new(&run, setup);
    let picture = match &run.last_picture {
        Some(image) if capture => Some(Readback::new(device, image, format)?.picture()?),
        _ => None,
    };
    drop_in_order(run.display, run.last_picture);
    Ok(Outcome { report, picture, error: run.error.map(DemoError::from) })
}

/// The panel goes dark before the memory that it scans out is freed.
fn drop_in_order(display: Box<dyn Display>, picture: Option<Arc<Image>>) {
    drop(display);
    drop(picture);
}
