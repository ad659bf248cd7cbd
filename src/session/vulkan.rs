//! For applications that draw with Vulkan: the one place where handles of `ash` 0.38 are seen.
//!
//! An application draws with a device of its own, on the GPU that [`Headset::gpu`] names, or with one that
//! [`Headset::app_device`] opens for it. [`Headset::vulkan_session`] makes the images. Each frame it draws those of
//! [`Frame::pair`] between [`AppImage::begin`] and [`AppImage::finish`], and hands them over with [`Frame::submit_at`] when a
//! timeline semaphore comes to a value, or with [`Frame::submit_when`] when a sync fd does. The headset's own work never
//! waits for the application's on the GPU: a frame that is not finished is not shown yet.
//!
//! Whoever draws with another GPU, or in another process, shares dma-bufs instead: [`Eyes::shared`].
//!
//! A device of the application's own, of Vulkan 1.3 here:
//! ```no_run
//! use ash::vk;
//! use leasehold::Headset;
//! use leasehold::session::vulkan::{AppDevice, EXTENSIONS};
//! use leasehold::session::{Options, SessionError};
//!
//! # fn app(instance: ash::Instance) -> Result<(), SessionError> {
//! let headset = Headset::open(Options::default())?;
//! // SAFETY: the instance is alive.
//! let physical = unsafe { headset.gpu().find(&instance) }.expect("a Vulkan loader that knows the same drivers");
//! // Its first family is for graphics on all that are known; better look.
//! let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[0.5])];
//! let extensions = EXTENSIONS.map(|name| name.as_ptr());
//! let mut timeline = vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
//! let info = vk::DeviceCreateInfo::default()
//!     .queue_create_infos(&queues)
//!     .enabled_extension_names(&extensions)
//!     .push_next(&mut timeline);
//! // SAFETY: what is asked for, every driver has that draws for a headset.
//! let raw = unsafe { instance.create_device(physical, &info, None) }.expect("a device");
//! // SAFETY: they belong together, and are destroyed last.
//! let device = unsafe { AppDevice::from_handles(instance, physical, raw, 0) }?;
//! let (session, images) = headset.vulkan_session(&device, [1024, 1024])?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Frame::pair`]: super::Frame::pair
//! [`Frame::submit_at`]: super::Frame::submit_at
//! [`Frame::submit_when`]: super::Frame::submit_when

use std::sync::Arc;

use super::eyes::Eyes;
use super::{Headset, Session, SessionError};
use crate::compositor::EyeImages;
use crate::compositor::frames::SLOTS;

/// The version whose handles these are.
pub use ash;

pub use crate::vulkan::app::{AppDevice, AppImage, ENCODING_FORMAT, EXTENSIONS, FORMAT, Point, USAGE};
pub use crate::vulkan::gpu::Gpu;

impl Headset {
    /// The GPU, and its driver, that draws for the headset.
    pub fn gpu(&self) -> Gpu {
        self.device.gpu()
    }

    /// A device to draw with, on the GPU that draws for the headset: beside ours, so that neither waits for the other. It
    /// has one queue, timeline semaphores, dynamic rendering and `VK_KHR_synchronization2`.
    ///
    /// # Errors
    /// When the driver cannot share memory between the two.
    pub fn app_device(&self) -> Result<Arc<AppDevice>, SessionError> {
        Ok(AppDevice::open(&self.device)?)
    }

    /// Begins to show what the application draws on images of that size with `app`. They are the left and the right eye's of each
    /// [`pair`](super::Frame::pair), and to be kept for as long as `app` draws on them.
    ///
    /// # Errors
    /// As [`session`](Self::session), and when `app` is of another GPU or driver than [`gpu`](Self::gpu).
    ///
    /// # Panics
    /// When the images have no pixels.
    pub fn vulkan_session(
        self,
        app: &Arc<AppDevice>,
        size_px: [u32; 2],
    ) -> Result<(Session, [[AppImage; 2]; SLOTS]), SessionError> {
        assert!(!size_px.contains(&0), "eye images of no pixels");
        let make = || EyeImages::drawn_by(app, &self.device, size_px);
        let [(first, first_drawn), (second, second_drawn), (third, third_drawn)] =
            [make()?, make()?, make()?];
        let eyes = Eyes::made([first, second, third].map(Arc::new));
        Ok((self.session(eyes)?, [first_drawn, second_drawn, third_drawn]))
    }
}
