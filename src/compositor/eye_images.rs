//! What the app shows each eye: a pair of images, sRGB-encoded.

use std::sync::Arc;

use ash::vk;

use crate::time::Span;
use crate::vulkan::{Buffer, Commands, Device, Image, VulkanError};

/// Pixels of one eye's image in CPU memory: red, green, blue, alpha, row by row from the top left, sRGB-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// The samples, four a pixel.
    pub samples: Samples,
}

/// How finely pixels are graded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// 0 to 255.
    Eight(Vec<u8>),
    /// 0 to 65535.
    Sixteen(Vec<u16>),
}

impl Pixels {
    /// An image of one 8-bit gray.
    pub fn flat(width_px: u32, height_px: u32, code: u8) -> Self {
        let count = width_px as usize * height_px as usize;
        Self { width_px, height_px, samples: Samples::Eight([code, code, code, 255].repeat(count)) }
    }

    fn format(&self) -> vk::Format {
        match self.samples {
            Samples::Eight(_) => vk::Format::R8G8B8A8_UNORM,
            Samples::Sixteen(_) => vk::Format::R16G16B16A16_UNORM,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.samples {
            Samples::Eight(samples) => samples,
            Samples::Sixteen(samples) => bytemuck::cast_slice(samples),
        }
    }
}

/// A left and a right image on the device, of one size.
#[derive(Debug)]
pub struct EyeImages {
    pub(super) eyes: [Image; 2],
}

impl EyeImages {
    /// Uploads a pair. Panics if their sizes differ.
    pub fn upload(device: &Arc<Device>, left: &Pixels, right: &Pixels) -> Result<Self, VulkanError> {
        assert_eq!((left.width_px, left.height_px), (right.width_px, right.height_px), "eyes of two sizes");
        Ok(Self { eyes: [upload(device, left)?, upload(device, right)?] })
    }

    /// Width and height of each, in pixels.
    pub fn size_px(&self) -> [u32; 2] {
        [self.eyes[0].width_px(), self.eyes[0].height_px()]
    }
}

fn upload(device: &Arc<Device>, pixels: &Pixels) -> Result<Image, VulkanError> {
    texture(device, pixels.format(), pixels.width_px, pixels.height_px, pixels.bytes())
}

/// A texture that holds `bytes`, ready to be read by shaders.
pub(super) fn texture(
    device: &Arc<Device>,
    format: vk::Format,
    width_px: u32,
    height_px: u32,
    bytes: &[u8],
) -> Result<Image, VulkanError> {
    let image = Image::texture(device, format, width_px, height_px)?;
    let mut staging = Buffer::new(device, bytes.len(), vk::BufferUsageFlags::TRANSFER_SRC)?;
    staging.bytes_mut().copy_from_slice(bytes);
    let mut commands = Commands::new(device)?;
    commands.record(|recording| {
        recording.transition(&image, vk::ImageLayout::UNDEFINED, vk::ImageLayout::TRANSFER_DST_OPTIMAL);
        recording.upload(&staging, &image);
        recording.transition(
            &image,
            vk::ImageLayout::TRANSFER_DST_OPTIMAL,
            vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL,
        );
    })?;
    commands.run(UPLOAD_TIMEOUT)?;
    Ok(image)
}

/// Far beyond what the slowest driver needs; only a hung device gets there.
const UPLOAD_TIMEOUT: Span = Span::from_ms(60_000);
