//! Flat pictures over what the app renders: menus, a clock, a word to the wearer.

use std::sync::Arc;

use ash::vk;

use super::eye_images::{Pixels, Samples, texture};
use crate::vulkan::pipeline::LAYERS;
use crate::vulkan::{Device, Image, VulkanError};

/// How many layers one pass shows at the most.
pub const MAX_LAYERS: usize = LAYERS;

/// What a layer keeps its place to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// The head: it turns along.
    Head,
    /// The room: it stays where it is when the head turns. Poses have no place, so the room's origin is the head.
    World,
}

/// A rectangle in space. It is seen from its front only, the side that faces +Z where it is not turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quad {
    /// What it keeps its place to.
    pub anchor: Anchor,
    /// Its middle, in metres from the middle of the head: x right, y up, z backwards.
    pub position_m: [f64; 3],
    /// How it is turned about its middle, as a unit quaternion x, y, z, w.
    pub orientation: [f64; 4],
    /// Width and height in metres.
    pub size_m: [f64; 2],
}

impl Quad {
    /// Straight ahead of the head, `distance_m` away and facing it.
    pub fn ahead(distance_m: f64, size_m: [f64; 2]) -> Self {
        Self {
            anchor: Anchor::Head,
            position_m: [0.0, 0.0, -distance_m],
            orientation: [0.0, 0.0, 0.0, 1.0],
            size_m,
        }
    }
}

/// A picture on a rectangle.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What it shows. Kept by whoever made it too, or it is freed in the vblank loop.
    pub image: Arc<LayerImage>,
    /// Where.
    pub quad: Quad,
    /// Scales its cover: 1 as it is, 0 not there.
    pub opacity: f64,
}

/// A layer's picture on the device. Between its texels codes are interpolated, not light: it is for panels and letters.
/// Beyond its edge it fades out within a texel.
#[derive(Debug)]
pub struct LayerImage {
    pub(super) image: Image,
}

impl LayerImage {
    /// Uploads a picture, sRGB-encoded, whose alpha says how much of what lies behind each pixel covers.
    ///
    /// # Errors
    /// When the device is lost, or has no memory left for it.
    pub fn upload(device: &Arc<Device>, pixels: &Pixels) -> Result<Self, VulkanError> {
        let texels = premultiplied(pixels);
        let image = texture(device, vk::Format::R8G8B8A8_UNORM, pixels.width_px, pixels.height_px, &texels)?;
        Ok(Self { image })
    }

    /// Width and height in pixels.
    pub fn size_px(&self) -> [u32; 2] {
        [self.image.width_px(), self.image.height_px()]
    }
}

/// The picture in 8 bits, its codes multiplied by its alpha, so that what is not there has no colour of its own.
pub(super) fn premultiplied(pixels: &Pixels) -> Vec<u8> {
    let multiply = |pixel: [f64; 4]| {
        let [red, green, blue, alpha] = pixel;
        [red * alpha, green * alpha, blue * alpha, alpha].map(|part| (part * 255.0).round() as u8)
    };
    match &pixels.samples {
        Samples::Eight(samples) => samples
            .chunks_exact(4)
            .flat_map(|pixel| multiply(std::array::from_fn(|part| f64::from(pixel[part]) / 255.0)))
            .collect(),
        Samples::Sixteen(samples) => samples
            .chunks_exact(4)
            .flat_map(|pixel| multiply(std::array::from_fn(|part| f64::from(pixel[part]) / 65535.0)))
            .collect(),
    }
}
