//! What the headset shows, small, for somebody else to look at.

use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;

use super::composite::vulkan_format;
use super::errand::{Errand, Outcome};
use crate::display::window::Source;
use crate::kms::buffer::PixelFormat;
use crate::vulkan::{Buffer, Commands, Device, Image, VulkanError};

/// As wide as a copy is at the most, in pixels.
const WIDEST_PX: u32 = 1280;

/// Copies of a display's pictures, made by the loop when somebody wants one.
#[derive(Debug)]
pub struct Mirror {
    // Before what it works on.
    pub(super) errand: Errand,
    buffer: Buffer,
    small: Image,
    _pictures: Vec<Arc<Image>>,
}

impl Mirror {
    /// For these pictures, in the order in which the display has them, all of one size. The copies have 8 bits a channel
    /// whatever the pictures have.
    ///
    /// # Errors
    /// When the device has no memory left for it.
    ///
    /// # Panics
    /// When there is no picture.
    pub fn new(device: &Arc<Device>, pictures: Vec<Arc<Image>>) -> Result<Self, VulkanError> {
        let picture = pictures.first().expect("a display has pictures");
        let times = picture.width_px().div_ceil(WIDEST_PX).max(1);
        let [width_px, height_px] =
            [picture.width_px(), picture.height_px()].map(|pixels| (pixels / times).max(1));
        let small = Image::copy(device, vulkan_format(PixelFormat::Xrgb8888), width_px, height_px)?;
        let length = width_px as usize * height_px as usize * 4;
        let buffer = Buffer::new(device, length, vk::BufferUsageFlags::TRANSFER_DST)?;
        let record = |picture: &Arc<Image>| {
            let mut commands = Commands::new(device)?;
            commands.record(|recording| {
                recording.resize(picture, &small);
                recording.download(&small, &buffer);
            })?;
            Ok(commands)
        };
        let recordings = pictures.iter().map(record).collect::<Result<_, VulkanError>>()?;
        let errand = Errand::new(recordings);
        errand.ask();
        Ok(Self { errand, buffer, small, _pictures: pictures })
    }
}

/// Where those who look find the mirror of the display that is lit now.
#[derive(Clone, Debug, Default)]
pub struct Viewer(Arc<Mutex<Option<Arc<Mirror>>>>);

impl Viewer {
    /// Has whoever looks see this display, or none any more. Waits for nobody but for a copy within memory.
    pub fn look_at(&self, mirror: Option<Arc<Mirror>>) {
        let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), mirror);
        // Not while the lock is held: it waits for the device.
        drop(before);
    }
}

impl Source for Viewer {
    fn next(&mut self, pixels: &mut Vec<u32>) -> Option<[u32; 2]> {
        let mirror = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mirror = mirror.as_ref()?;
        // One that fails will fail the loop as well, which says so.
        if mirror.errand.outcome().ok()? == Outcome::UnderWay {
            return None;
        }
        pixels.clear();
        pixels.extend(
            mirror
                .buffer
                .bytes()
                .chunks_exact(4)
                .map(|pixel| u32::from_le_bytes([pixel[0], pixel[1], pixel[2], 0])),
        );
        mirror.errand.ask();
        Some([mirror.small.width_px(), mirror.small.height_px()])
    }
}
