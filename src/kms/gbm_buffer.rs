//! Scanout memory of a GPU, by way of GBM.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::buffer::{Framebuffer, PixelFormat, Pixels, export};
use super::card::Card;
use super::error::KmsError;
use super::ioctl::gem_handle;

/// Pixels in the GPU's memory, allocated through GBM and shared as a dma-buf.
pub struct GbmBuffer {
    object: gbm::BufferObject<()>,
    card: Arc<Card>,
    format: PixelFormat,
}

impl GbmBuffer {
    /// Allocates scanout memory laid out row by row (`DRM_FORMAT_MOD_LINEAR`), `count` times. All of it at once, for GBM
    /// looks for the card's driver each time that it is opened.
    pub fn several(
        card: &Arc<Card>,
        width_px: u32,
        height_px: u32,
        format: PixelFormat,
        count: usize,
    ) -> Result<Vec<Self>, KmsError> {
        let refused = |operation, error| KmsError::io(operation, card.name(), error);
        let owned = card.as_fd().try_clone_to_owned().map_err(|error| refused("share", error))?;
        let device = gbm::Device::new(owned).map_err(|error| refused("open GBM on", error))?;
        let gbm_format = match format {
            PixelFormat::Xrgb8888 => gbm::Format::Xrgb8888,
            PixelFormat::Xrgb2101010 => gbm::Format::Xrgb2101010,
        };
        let usage = gbm::BufferObjectFlags::SCANOUT
            | gbm::BufferObjectFlags::RENDERING
            | gbm::BufferObjectFlags::LINEAR;
        let allocate = || device.create_buffer_object::<()>(width_px, height_px, gbm_format, usage);
        (0..count)
            .map(|_| {
                let object = allocate().map_err(|error| refused("allocate a GBM buffer on", error))?;
                Ok(Self { object, card: card.clone(), format })
            })
            .collect()
    }

    /// Its memory as a dma-buf, for another device to import.
    ///
    /// Not GBM's own export: for cards without a GPU that leaves out `DRM_RDWR` (Mesa's kms_dri_sw_winsys.c), and a
    /// driver that draws on the CPU then cannot map the buffer for writing.
    pub fn dma_buf(&self) -> Result<OwnedFd, KmsError> {
        export(&self.card, self.handle())
    }

    /// The kernel's handle, which GBM owns. Good on our fd too: GBM has a duplicate of it.
    fn handle(&self) -> u32 {
        gem_handle(&self.object)
    }

    /// Bytes from one row to the next.
    pub fn pitch_bytes(&self) -> u32 {
        self.object.stride()
    }

    /// A framebuffer over it.
    pub fn framebuffer(&self) -> Result<Framebuffer, KmsError> {
        let modifier = self.card.takes_modifiers().then_some(0);
        let pixels =
            Pixels { handle: self.handle(), first_byte: 0, pitch_bytes: self.pitch_bytes(), modifier };
        Framebuffer::new(&self.card, self.object.width(), self.object.height(), self.format, &pixels)
    }
}

impl std::fmt::Debug for GbmBuffer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GbmBuffer").field("format", &self.format).finish_non_exhaustive()
    }
}
