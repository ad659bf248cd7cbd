//! What an application does with a headset: open it, and draw a frame whenever the next one is due.
//!
//! [`Headset::open`] finds a headset and whatever is needed to draw on it. [`Headset::session`] lights it, on threads of
//! its own; from then on [`Session::wait`] says when to draw, for when and from where, and [`Frame::submit`] hands over
//! what was drawn. The display is given back when the session is dropped, whatever ends the application.
//!
//! The headset never waits for the application. At every vblank it shows the newest frame, turned to where the head looks
//! by then.
//!
#![doc = include_str!("../../docs/session.md")]

mod canvas;
mod depth;
mod director;
mod ending;
mod error;
mod eyes;
mod fitting;
mod frame;
pub mod layer;
pub mod options;
mod reacquire;
mod sight;
mod venue;
mod view;
pub mod vulkan;

use std::sync::Arc;

pub use canvas::Canvas;
pub use depth::Depth;
pub use ending::{Ending, Means};
pub use error::SessionError;
pub use eyes::Eyes;
pub use frame::{Frame, Session};
pub use options::Options;
pub use view::View;

pub use crate::compositor::eye_images::{SharedFormat, SharedImage};
pub use crate::compositor::frames::{DisplayState, SLOTS};
pub use crate::compositor::{Limit, Pixels, Pose, PoseSource};
pub use crate::time::{Instant, Span};
pub use crate::vulkan::image::{DmaBuf, Plane};

use crate::compositor::frames;
use crate::compositor::mirror::Viewer;
use crate::lease::request::Source;
use crate::pacing::ring::{RecordReader, RecordWriter, ring};
use crate::thread::cpu::Cpus;
use crate::thread::priority::Urgency;
use crate::vulkan::{Device, Instance, VulkanError};

use crate::compositor::layer::LayerImage;
use director::Director;
use eyes::Slots;
use fitting::Fitting;
use reacquire::Lost;
use sight::Sight;
use venue::Venue;

/// A headset that is this process's, dark still.
#[derive(Debug)]
pub struct Headset {
    options: Options,
    venue: Venue,
    device: Arc<Device>,
    fitting: Fitting,
    lost: Option<Lost>,
    /// Of layers.
    images: Vec<Arc<LayerImage>>,
    records: Option<RecordWriter>,
}

impl Headset {
    /// Finds a headset and all that is needed to draw on it.
    ///
    /// Where no GPU draws but the CPU, and one of its cores is enough, the calling thread and those that it starts from
    /// here on keep to that one.
    ///
    /// # Errors
    /// When there is no headset to be had, its data cannot be used, or there is nothing to draw with.
    pub fn open(options: Options) -> Result<Self, SessionError> {
        let venue = Venue::find(&options)?;
        let device = open_device(&venue, options.validation)?;
        let lost = Lost::prepare(&options, &venue).filter(|_| options.reacquire);
        let fitting = Fitting::new(&options, &device, &venue)?;
        Ok(Self { options, venue, device, fitting, lost, images: Vec::new(), records: None })
    }

    /// Who gave the lease; `None` where the panel is not there.
    pub fn source(&self) -> Option<Source> {
        match &self.venue {
            Venue::Leased(lease, ..) => Some(lease.source),
            Venue::Simulated => None,
        }
    }

    /// Has a panel that is not there be seen in a window, by `viewer`.
    pub fn seen_in_window(mut self, viewer: Viewer) -> Self {
        self.options.from = options::From::Window;
        self.options.viewer = Some(viewer);
        self
    }

    /// How the left and the right eye see.
    pub fn views(&self) -> [View; 2] {
        self.fitting.views()
    }

    /// A picture to lay over frames, sRGB-encoded, whose alpha says how much of what lies behind each pixel covers.
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn layer(&mut self, pixels: &Pixels) -> Result<Arc<LayerImage>, SessionError> {
        let image = Arc::new(LayerImage::upload(&self.device, pixels)?);
        self.images.push(image.clone());
        Ok(image)
    }

    /// A record of every frame of the session, while it goes on: for whoever wants to know how long each of its moments took.
    /// Read it now and then; the loop does not wait for its reader, and what finds no room is lost.
    pub fn records(&mut self) -> RecordReader {
        let (writer, reader) = ring(ROOM_FOR_RECORDS);
        self.records = Some(writer);
        reader
    }

    /// The device that draws.
    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Begins to show what the application draws, which is lit with its first frame. Where the lease has ended by now and
    /// [`Options::reacquire`] says so, waits until there is another or the session's limit says to stop.
    ///
    /// # Errors
    /// When the display or the device refuses what is needed for it.
    pub fn session(self, eyes: Eyes) -> Result<Session, SessionError> {
        let Self { options, venue, device, fitting, lost, images, records } = self;
        let sight = Sight::new(fitting.views());
        let (slots, canvases) = Slots::new(eyes, &device, &sight.views)?;
        let (writer, reader) = frames::exchange();
        let mut director =
            Director { options: options.clone(), device, fitting, slots, sight: sight.clone(), records };
        let stage = director.first_stage(venue, lost.as_ref())?;
        let director = std::thread::Builder::new()
            .name("headset".to_string())
            .spawn(move || director.show_and_take_again(stage, reader, lost.as_ref()))
            .map_err(|source| SessionError::Thread { name: "headset", source })?;
        let director = Some(director);
        let (unfinished, layers) = (None, Vec::new());
        Ok(Session { options, writer, sight, canvases, unfinished, director, layers, images })
    }
}

/// 45 seconds at 90 Hz: longer than any machine is too busy for a thread without priority.
const ROOM_FOR_RECORDS: usize = 4096;

/// Opens the device that draws for `venue`.
///
/// A driver that draws on the CPU and the loop wait for one another all the time. Where one CPU is enough for both, the
/// whole session keeps to it: a driver makes as many threads as it has CPUs, and each hand-over between CPUs can come late.
fn open_device(venue: &Venue, validation: bool) -> Result<Arc<Device>, VulkanError> {
    let everywhere = Cpus::allowed();
    if venue.suits_one_cpu() {
        everywhere.last().keep();
    }
    let instance = Arc::new(Instance::new(validation)?);
    // Nothing is lost if a panel that is not there shows a frame late, and the desktop wants the CPU too.
    let waiter = (!matches!(venue, Venue::Simulated)).then_some(Urgency::Vblank);
    let device = Device::open_for(&instance, venue.card(), waiter)?;
    if let Some(refusal) = device.queue_refusal() {
        tracing::info!("{refusal}");
    }
    if !device.is_cpu() {
        everywhere.keep();
    }
    Ok(device)
}
