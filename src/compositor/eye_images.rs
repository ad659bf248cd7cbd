//! What the app shows each eye: a pair of images, sRGB-encoded.

use std::sync::Arc;

use ash::vk;

use crate::time::Span;
use crate::vulkan::app::{AppDevice, AppImage};
use crate::vulkan::commands::{Recording, Sharer};
use crate::vulkan::image::DmaBuf;
use crate::vulkan::{Buffer, Commands, Device, Image, Mapping, VulkanError};

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

/// An image of another device, driver or process, in a dma-buf.
#[derive(Debug)]
pub struct SharedImage {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Its pixels' format, which holds sRGB-encoded codes.
    pub format: SharedFormat,
    /// Where it lies, and how.
    pub buffer: DmaBuf,
}

/// Formats of shared images. Fourth channels are left out of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedFormat {
    /// `DRM_FORMAT_XRGB8888` and `DRM_FORMAT_ARGB8888`: blue has the lowest bits.
    Xrgb8888,
    /// `DRM_FORMAT_XBGR8888` and `DRM_FORMAT_ABGR8888`: red has the lowest bits.
    Xbgr8888,
    /// `DRM_FORMAT_XRGB2101010` and `DRM_FORMAT_ARGB2101010`: blue has the lowest bits.
    Xrgb2101010,
    /// `DRM_FORMAT_XBGR2101010` and `DRM_FORMAT_ABGR2101010`: red has the lowest bits.
    Xbgr2101010,
}

impl SharedFormat {
    /// The format with this code of `drm_fourcc.h`, if it is one of these.
    pub fn from_fourcc(code: u32) -> Option<Self> {
        Some(match &code.to_le_bytes() {
            b"XR24" | b"AR24" => Self::Xrgb8888,
            b"XB24" | b"AB24" => Self::Xbgr8888,
            b"XR30" | b"AR30" => Self::Xrgb2101010,
            b"XB30" | b"AB30" => Self::Xbgr2101010,
            _ => return None,
        })
    }

    fn vulkan(self) -> vk::Format {
        match self {
            Self::Xrgb8888 => vk::Format::B8G8R8A8_UNORM,
            Self::Xbgr8888 => vk::Format::R8G8B8A8_UNORM,
            Self::Xrgb2101010 => vk::Format::A2R10G10B10_UNORM_PACK32,
            Self::Xbgr2101010 => vk::Format::A2B10G10R10_UNORM_PACK32,
        }
    }
}

/// A left and a right image on the device, of one size.
#[derive(Debug)]
pub struct EyeImages {
    pub(super) eyes: [Arc<Image>; 2],
    sharer: Sharer,
}

impl EyeImages {
    /// Uploads a pair.
    ///
    /// # Errors
    /// When the device is lost, or has no memory left for them.
    ///
    /// # Panics
    /// When their sizes differ.
    pub fn upload(device: &Arc<Device>, left: &Pixels, right: &Pixels) -> Result<Self, VulkanError> {
        assert_eq!((left.width_px, left.height_px), (right.width_px, right.height_px), "eyes of two sizes");
        let eyes = [Arc::new(upload(device, left)?), Arc::new(upload(device, right)?)];
        Ok(Self { eyes, sharer: Sharer::Nobody })
    }

    /// A black pair of so many pixels each for the CPU to draw on, which it may do whenever no pass runs.
    ///
    /// # Errors
    /// When the device cannot sample pictures laid out row by row, or has no memory left that the CPU sees.
    pub fn drawn_by_cpu(
        device: &Arc<Device>,
        [width_px, height_px]: [u32; 2],
    ) -> Result<(Self, [Mapping; 2]), VulkanError> {
        let (left, left_pixels) = Mapping::new(device, width_px, height_px)?;
        let (right, right_pixels) = Mapping::new(device, width_px, height_px)?;
        Ok((Self::shared(device, [left, right], Sharer::Cpu)?, [left_pixels, right_pixels]))
    }

    /// A pair that somebody else draws, whenever no pass runs; what it holds so far may be lost.
    ///
    /// # Errors
    /// When the device cannot import one of them, or it does not fit into its dma-buf.
    ///
    /// # Panics
    /// When their sizes differ.
    pub fn drawn_elsewhere(device: &Arc<Device>, pair: [SharedImage; 2]) -> Result<Self, VulkanError> {
        let [left, right] = pair;
        assert_eq!((left.width_px, left.height_px), (right.width_px, right.height_px), "eyes of two sizes");
        let import = |shared: SharedImage| {
            let SharedImage { width_px, height_px, format, buffer } = shared;
            Image::texture_in(device, format.vulkan(), width_px, height_px, buffer).map(Arc::new)
        };
        Self::shared(device, [import(left)?, import(right)?], Sharer::Foreign)
    }

    /// A pair that another device of this process draws on, and what it draws on.
    ///
    /// # Errors
    /// When `app` is of another GPU or driver, or the driver shares no memory between devices.
    pub fn drawn_by(
        app: &Arc<AppDevice>,
        device: &Arc<Device>,
        size_px: [u32; 2],
    ) -> Result<(Self, [AppImage; 2]), VulkanError> {
        let (left, left_seen) = AppImage::shared(app, device, size_px)?;
        let (right, right_seen) = AppImage::shared(app, device, size_px)?;
        let seen = [left_seen, right_seen].map(Arc::new);
        Ok((Self::shared(device, seen, Sharer::Neighbour)?, [left, right]))
    }

    fn shared(device: &Arc<Device>, eyes: [Arc<Image>; 2], sharer: Sharer) -> Result<Self, VulkanError> {
        let mut commands = Commands::new(device)?;
        commands.record(|recording| eyes.iter().for_each(|image| recording.give(image, sharer)))?;
        commands.run(UPLOAD_TIMEOUT)?;
        Ok(Self { eyes, sharer })
    }

    /// Makes both ready to be read by what is recorded from here on.
    pub(super) fn acquire(&self, recording: &mut Recording<'_>) {
        self.eyes.iter().for_each(|image| recording.acquire(image, self.sharer));
    }

    /// Gives both back to whoever draws them.
    pub(super) fn release(&self, recording: &mut Recording<'_>) {
        self.eyes.iter().for_each(|image| recording.release(image, self.sharer));
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
