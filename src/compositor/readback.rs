//! What a target shows, as codes in CPU memory.

use ash::vk;
use std::sync::Arc;

use crate::kms::buffer::PixelFormat;
use crate::time::Span;
use crate::vulkan::{Buffer, Commands, Device, Image, VulkanError};

/// The codes of a panel picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanelPicture {
    /// Width in pixels, both eyes.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Bits of a code.
    pub bits: u32,
    /// Red, green, blue of each pixel, row by row from the top left.
    pub codes: Vec<u16>,
}

/// Copies a target's pixels to memory that the CPU can see, as often as wanted.
#[derive(Debug)]
pub struct Readback {
    commands: Commands,
    buffer: Buffer,
    image: Arc<Image>,
    format: PixelFormat,
}

impl Readback {
    /// For a target in the layout that a pass leaves it in.
    ///
    /// # Errors
    /// When the device has no memory left for the copy.
    pub fn new(device: &Arc<Device>, image: &Arc<Image>, format: PixelFormat) -> Result<Self, VulkanError> {
        let length = image.width_px() as usize * image.height_px() as usize * 4;
        let buffer = Buffer::new(device, length, vk::BufferUsageFlags::TRANSFER_DST)?;
        let mut commands = Commands::new(device)?;
        commands.record(|recording| recording.download(image, &buffer))?;
        Ok(Self { commands, buffer, image: image.clone(), format })
    }

    /// Copies now; the pixels as the display would read them, 4 bytes each, tightly packed.
    ///
    /// # Errors
    /// When the device is lost, or not done within ten seconds.
    pub fn bytes(&mut self) -> Result<&[u8], VulkanError> {
        self.commands.run(Span::from_ms(10_000))?;
        Ok(self.buffer.bytes())
    }

    /// Copies now; the codes of each pixel.
    ///
    /// # Errors
    /// When the device is lost, or not done within ten seconds.
    pub fn picture(&mut self) -> Result<PanelPicture, VulkanError> {
        let (format, width_px, height_px) = (self.format, self.image.width_px(), self.image.height_px());
        let bits = format.bits();
        let mask = (1 << bits) - 1;
        let codes = self.bytes()?.chunks_exact(4).flat_map(|pixel| {
            let word = u32::from_le_bytes([pixel[0], pixel[1], pixel[2], pixel[3]]);
            [2, 1, 0].map(|channel| (word >> (channel * bits) & mask) as u16)
        });
        let codes = codes.collect();
        Ok(PanelPicture { width_px, height_px, bits, codes })
    }
}
