//! Scanout memory of a GPU, by way of GBM.

use std::os::fd::AsFd;

use super::buffer::{PictureMemory, PixelFormat};
use super::card::Card;
use super::error::KmsError;
use super::ioctl::gem_handle;

/// Allocates memory that the card's GPU draws in and its display shows, for `count` pictures laid out row by row
/// (`DRM_FORMAT_MOD_LINEAR`). All of it at once, for GBM looks for the card's driver each time that it is opened.
///
/// The dma-bufs are not of GBM's own export: for cards without a GPU that leaves out `DRM_RDWR` (Mesa's
/// kms_dri_sw_winsys.c), and a driver that draws on the CPU then cannot map the memory for writing.
///
/// # Errors
/// When GBM has no driver for the card, or that has no such memory.
pub fn allocate(
    card: &Card,
    width_px: u32,
    height_px: u32,
    format: PixelFormat,
    count: usize,
) -> Result<Vec<PictureMemory>, KmsError> {
    let refused = |operation, error| KmsError::io(operation, card.name(), error);
    let owned = card.as_fd().try_clone_to_owned().map_err(|error| refused("share", error))?;
    let device = gbm::Device::new(owned).map_err(|error| refused("open GBM on", error))?;
    let gbm_format = match format {
        PixelFormat::Xrgb8888 => gbm::Format::Xrgb8888,
        PixelFormat::Xrgb2101010 => gbm::Format::Xrgb2101010,
    };
    let usage =
        gbm::BufferObjectFlags::SCANOUT | gbm::BufferObjectFlags::RENDERING | gbm::BufferObjectFlags::LINEAR;
    let modifier = card.takes_modifiers().then_some(0);
    (0..count)
        .map(|_| {
            let object = device
                .create_buffer_object::<()>(width_px, height_px, gbm_format, usage)
                .map_err(|error| refused("allocate a GBM buffer on", error))?;
            // GBM's handle is good on our fd too: it has a duplicate of that.
            PictureMemory::of(card, gem_handle(&object), object.stride(), modifier)
        })
        .collect()
}
