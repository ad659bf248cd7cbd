//! Pictures that Vulkan draws and a card scans out: the one place where `kms` and `vulkan` meet.
//!
//! Best first: the GPU's own scanout memory, shared as a dma-buf; display memory of the CPU that Vulkan draws in
//! directly; and, where the driver can do neither, a copy.

use std::sync::Arc;

use crate::display::DisplayError;
use crate::kms::Card;
use crate::kms::buffer::{DumbBuffer, Framebuffer, PictureMemory, PixelFormat};
use crate::kms::{KmsError, gbm_memory};
use crate::vulkan::image::{DmaBuf, External};
use crate::vulkan::{Device, Image, VulkanError};

use super::composite::vulkan_format;
use super::readback::Readback;

/// How pictures get from Vulkan to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Drawn in the GPU's own scanout memory.
    DmaBuf,
    /// Drawn in display memory of the CPU.
    HostMemory,
    /// Drawn elsewhere and copied to display memory.
    Copy,
}

impl std::str::FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::DmaBuf, Self::HostMemory, Self::Copy];
        let wrong = || format!("'{text}' is no way to scan out: write dma-buf, host-memory or copy");
        known.into_iter().find(|method| method.name() == text).ok_or_else(wrong)
    }
}

impl Method {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::DmaBuf => "dma-buf",
            Self::HostMemory => "host-memory",
            Self::Copy => "copy",
        }
    }
}

/// A picture on both sides: a Vulkan target, and memory that a card scans out.
#[derive(Debug)]
pub struct Picture {
    memory: PictureMemory,
    format: PixelFormat,
    target: Arc<Image>,
    copy: Option<(Readback, DumbBuffer)>,
}

impl Picture {
    /// What Vulkan draws on.
    pub fn target(&self) -> &Arc<Image> {
        &self.target
    }

    /// What a card, or a lease of it, scans out.
    ///
    /// # Errors
    /// When it is another card than the picture was made for, and has no use for its memory.
    pub fn framebuffer(&self, card: &Arc<Card>) -> Result<Framebuffer, KmsError> {
        self.memory.framebuffer(card, self.target.width_px(), self.target.height_px(), self.format)
    }

    /// Brings what was drawn to where it is scanned out, if that is another place.
    ///
    /// # Errors
    /// When it has to be copied, and the device is lost or not done within ten seconds.
    pub fn finish(&mut self) -> Result<(), VulkanError> {
        if let Some((readback, buffer)) = &mut self.copy {
            let (pitch, row) = (buffer.memory().pitch_bytes() as usize, self.target.width_px() as usize * 4);
            let bytes = readback.bytes()?;
            buffer.mapping_mut().copy_rows(pitch, bytes, row, row);
        }
        Ok(())
    }
}

/// Pictures of one kind, and why they are not of a better one.
#[derive(Debug)]
pub struct Pictures {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// How they get to the card.
    pub method: Method,
    /// A sentence for each better way that was refused.
    pub refusals: Vec<String>,
}

impl Pictures {
    /// Makes `count` pictures in the best way that works. With `only`, that way or none.
    ///
    /// # Errors
    /// When no way works; the error says what refused the last, or the `only` one.
    pub fn new(
        device: &Arc<Device>,
        card: &Arc<Card>,
        width_px: u32,
        height_px: u32,
        format: PixelFormat,
        count: usize,
        only: Option<Method>,
    ) -> Result<Self, DisplayError> {
        let maker = Maker { device, card, width_px, height_px, format };
        let mut refusals = Vec::new();
        let ways = [Method::DmaBuf, Method::HostMemory, Method::Copy];
        for method in ways.into_iter().filter(|&method| only.is_none_or(|only| only == method)) {
            match maker.make(method, count) {
                Ok(pictures) => return Ok(Self { pictures, method, refusals }),
                Err(refusal) if method == *ways.last().expect("there are ways") || only.is_some() => {
                    return Err(refusal);
                }
                Err(refusal) => refusals.push(format!("{}: {refusal}", method.name())),
            }
        }
        unreachable!("the last way returns")
    }
}

struct Maker<'a> {
    device: &'a Arc<Device>,
    card: &'a Arc<Card>,
    width_px: u32,
    height_px: u32,
    format: PixelFormat,
}

impl Maker<'_> {
    fn make(&self, method: Method, count: usize) -> Result<Vec<Picture>, DisplayError> {
        match method {
            Method::DmaBuf => self.dma_buf(count),
            Method::HostMemory => self.host_memory(count),
            Method::Copy => self.copy(count),
        }
    }

    fn dma_buf(&self, count: usize) -> Result<Vec<Picture>, DisplayError> {
        if !self.device.capabilities().dma_buf {
            return Err(self.lacks("import of dma-bufs (VK_EXT_external_memory_dma_buf)"));
        }
        let memory = gbm_memory::allocate(self.card, self.width_px, self.height_px, self.format, count)?;
        memory.into_iter().map(|memory| self.in_gpu_memory(memory)).collect()
    }

    fn in_gpu_memory(&self, memory: PictureMemory) -> Result<Picture, DisplayError> {
        let external = External::DmaBuf(DmaBuf::linear(memory.dma_buf()?, memory.pitch_bytes()));
        let target = self.target_in(external, Box::new(memory.clone()))?;
        self.shown(Picture { memory, format: self.format, target, copy: None })
    }

    fn host_memory(&self, count: usize) -> Result<Vec<Picture>, DisplayError> {
        let format = vulkan_format(self.format);
        let Some(alignment) = self.device.capabilities().host_memory_alignment else {
            return Err(self.lacks("import of CPU memory (VK_EXT_external_memory_host)"));
        };
        let Some(layout) = Image::linear_layout(self.device, format, self.width_px, self.height_px)? else {
            return Err(self.lacks("drawing on pictures laid out row by row"));
        };
        // A buffer as wide as the driver's rows are long makes the card's pitch the driver's, and one as high as the
        // driver's image is large holds what padding the driver adds below.
        let (width, height) = (layout.pitch_bytes / 4, layout.length.div_ceil(layout.pitch_bytes));
        let height = (height as u32).max(self.height_px);
        let buffers = DumbBuffer::several(self.card, width as u32, height, count)?;
        buffers.into_iter().map(|buffer| self.in_host_memory(buffer, layout.pitch_bytes, alignment)).collect()
    }

    fn in_host_memory(
        &self,
        buffer: DumbBuffer,
        pitch_bytes: u64,
        alignment: u64,
    ) -> Result<Picture, DisplayError> {
        let (pointer, length) = (buffer.mapping().pointer(), buffer.mapping().length());
        let memory = buffer.memory().clone();
        if u64::from(memory.pitch_bytes()) != pitch_bytes {
            return Err(self.lacks("a row pitch equal to the display's"));
        }
        if !(pointer as u64).is_multiple_of(alignment) || !(length as u64).is_multiple_of(alignment) {
            return Err(self.lacks("import of CPU memory at the display's alignment"));
        }
        let target = self.target_in(External::Host { pointer, length }, Box::new(buffer))?;
        self.shown(Picture { memory, format: self.format, target, copy: None })
    }

    fn copy(&self, count: usize) -> Result<Vec<Picture>, DisplayError> {
        let buffers = DumbBuffer::several(self.card, self.width_px, self.height_px, count)?;
        buffers.into_iter().map(|buffer| self.copied_to(buffer)).collect()
    }

    fn copied_to(&self, buffer: DumbBuffer) -> Result<Picture, DisplayError> {
        let target = Image::target(self.device, vulkan_format(self.format), self.width_px, self.height_px)?;
        let target = Arc::new(target);
        let readback = Readback::new(self.device, &target, self.format)?;
        let memory = buffer.memory().clone();
        self.shown(Picture { memory, format: self.format, target, copy: Some((readback, buffer)) })
    }

    /// The picture, if the card shows it.
    fn shown(&self, picture: Picture) -> Result<Picture, DisplayError> {
        picture.framebuffer(self.card)?;
        Ok(picture)
    }

    fn target_in(
        &self,
        external: External,
        backing: Box<dyn Send + Sync>,
    ) -> Result<Arc<Image>, VulkanError> {
        let format = vulkan_format(self.format);
        Image::target_in(self.device, format, self.width_px, self.height_px, external, backing).map(Arc::new)
    }

    fn lacks(&self, feature: &'static str) -> DisplayError {
        DisplayError::Vulkan(VulkanError::Unsupported {
            device: self.device.name().to_string(),
            feature,
            remedy: "a newer driver may have it",
        })
    }
}
