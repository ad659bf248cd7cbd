//! For applications that draw with Vulkan: the one place where handles of `ash` 0.38 are seen.
//!
//! [`Headset::app_device`] opens a device to draw with, beside ours; [`AppDevice::from_handles`] takes one that there is.
//! [`Headset::vulkan_eyes`] makes images that both see, and [`Frame::submit_at`] hands a frame over when a timeline
//! semaphore comes to a value. Images of an own making, exported as dma-bufs, go with [`Eyes::shared`] and
//! [`Frame::submit_when`] instead: that is what a GPU of its own memory does best.
//!
//! [`Frame::submit_at`]: super::Frame::submit_at
//! [`Frame::submit_when`]: super::Frame::submit_when

use std::sync::Arc;

use super::eyes::Eyes;
use super::{Headset, SessionError};
use crate::compositor::EyeImages;
use crate::compositor::frames::SLOTS;

pub use crate::vulkan::app::{AppDevice, AppImage, FORMAT, Point, USAGE};

impl Headset {
    /// A device to draw with, on the GPU that draws for the headset and with a queue of its own.
    ///
    /// # Errors
    /// When the driver cannot share memory between the two.
    pub fn app_device(&self) -> Result<Arc<AppDevice>, SessionError> {
        Ok(AppDevice::open(&self.device)?)
    }

    /// Images of that size for `app` to draw on, and what begins a session with them: by pair, as
    /// [`Frame::pair`](super::Frame::pair) names them, the left eye's and the right eye's. Keep them for as long as `app`
    /// draws.
    ///
    /// # Errors
    /// When either device cannot use the other's memory.
    pub fn vulkan_eyes(
        &self,
        app: &Arc<AppDevice>,
        size_px: [u32; 2],
    ) -> Result<(Eyes, [[AppImage; 2]; SLOTS]), SessionError> {
        let make = || EyeImages::drawn_by(app, &self.device, size_px);
        let [(first, first_drawn), (second, second_drawn), (third, third_drawn)] =
            [make()?, make()?, make()?];
        let eyes = Eyes::made([first, second, third].map(Arc::new));
        Ok((eyes, [first_drawn, second_drawn, third_drawn]))
    }
}
