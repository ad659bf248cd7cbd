//! What is left of a session once nothing is shown any more.

use std::sync::Arc;

use super::SessionError;
use super::fitting::{Fitting, Scenery};
use crate::compositor::Run;
use crate::compositor::readback::{PanelPicture, Readback};
use crate::display::Display;
use crate::kms::buffer::PixelFormat;
use crate::vulkan::{Device, VulkanError};

/// A session that has ended. The panel goes dark, and the lease is given back, when it is dropped.
#[derive(Debug)]
pub struct Ending {
    // First: the panel goes dark before the memory that it scans out is freed.
    display: Option<Box<dyn Display>>,
    /// What was drawn with, kept until here: it takes longer to free than a panel, or whoever waits for word, should wait.
    _kept: (Fitting, Option<Scenery>),
    device: Arc<Device>,
    /// What it was like.
    pub run: Run,
    /// What it was shown with.
    pub means: Means,
}

/// What a session was shown with.
#[derive(Clone, Debug)]
pub struct Means {
    /// How panel codes are laid out, and how many bits they have.
    pub format: PixelFormat,
    /// How pictures got to the display.
    pub scanout: &'static str,
    /// Why not in a better way, a sentence each.
    pub scanout_refusals: Vec<String>,
    /// What the vblank thread ran with: `fifo`, `rr` (from rtkit) or `normal`.
    pub thread_priority: &'static str,
    /// What the GPU's queue ran with: `realtime`, `high`, `medium` or `unknown`.
    pub queue_priority: &'static str,
    /// What the system refused the vblank thread, a sentence each.
    pub refusals: Vec<String>,
    /// The headset's serial number.
    pub serial: String,
    /// The lens formula's name.
    pub lens: &'static str,
    /// Whether mura was corrected.
    pub mura: bool,
    /// The GPU.
    pub gpu: String,
}

impl Ending {
    pub(super) fn new(
        device: Arc<Device>,
        display: Option<Box<dyn Display>>,
        kept: (Fitting, Option<Scenery>),
        run: Run,
        means: Means,
    ) -> Self {
        Self { display, _kept: kept, device, run, means }
    }

    /// The last picture on the panel, in panel codes; `None` where there was none.
    ///
    /// # Errors
    /// When the device is lost, or has no memory left for the copy.
    pub fn picture(&self) -> Result<Option<PanelPicture>, VulkanError> {
        let Some(image) = &self.run.last_picture else { return Ok(None) };
        Readback::new(&self.device, image, self.means.format)?.picture().map(Some)
    }

    /// Turns the panel off and gives the lease back, and keeps the rest.
    pub fn give_back(&mut self) {
        self.display = None;
    }

    /// How it ended. Gives the display back.
    ///
    /// # Errors
    /// When something else than the application and its limit ended it.
    pub fn result(mut self) -> Result<(), SessionError> {
        self.take_error().map_or(Ok(()), Err)
    }

    /// What ended it, where that was neither the application nor its limit.
    pub fn take_error(&mut self) -> Option<SessionError> {
        self.run.error.take().map(SessionError::from)
    }
}
