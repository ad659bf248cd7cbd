//! Memory that a display can scan out, and framebuffers over it. Each is given back when dropped.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use drm::control::{Device as _, RawResourceHandle};
use nix::errno::Errno;

use super::card::Card;
use super::error::KmsError;
use super::ids::{BlobId, FramebufferId};
use super::ioctl::{Mapping, mode_bytes};
use super::mode::Mode;

/// How a pixel's bits are laid out in memory (`drm_fourcc.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// 8 bits a channel: `DRM_FORMAT_XRGB8888`.
    Xrgb8888,
    /// 10 bits a channel: `DRM_FORMAT_XRGB2101010`.
    Xrgb2101010,
}

impl PixelFormat {
    /// The kernel's code for it.
    pub fn fourcc(self) -> u32 {
        u32::from_le_bytes(*match self {
            Self::Xrgb8888 => b"XR24",
            Self::Xrgb2101010 => b"XR30",
        })
    }

    /// Bits of one channel.
    pub fn bits(self) -> u32 {
        match self {
            Self::Xrgb8888 => 8,
            Self::Xrgb2101010 => 10,
        }
    }
}

/// Memory of a display device that holds one picture.
///
/// What keeps it is its dma-buf, and not the card or lease that it was allocated through: a lease may end, and another of
/// the same device's cards shows it again.
#[derive(Clone, Debug)]
pub struct PictureMemory {
    dma_buf: Arc<OwnedFd>,
    first_byte: u32,
    pitch_bytes: u32,
    modifier: Option<u64>,
}

impl PictureMemory {
    /// That of a buffer of `card`'s, laid out in rows.
    pub(super) fn of(
        card: &Card,
        handle: u32,
        pitch_bytes: u32,
        modifier: Option<u64>,
    ) -> Result<Self, KmsError> {
        let flags = (libc::O_CLOEXEC | libc::O_RDWR) as u32;
        let handle = RawResourceHandle::new(handle)
            .ok_or_else(|| KmsError::call("find display memory of", card.name(), Errno::ENOENT))?;
        let dma_buf = card
            .buffer_to_prime_fd(handle.into(), flags)
            .map_err(|error| KmsError::io("export display memory of", card.name(), error))?;
        Ok(Self { dma_buf: Arc::new(dma_buf), first_byte: 0, pitch_bytes, modifier })
    }

    /// Bytes from one row to the next.
    pub fn pitch_bytes(&self) -> u32 {
        self.pitch_bytes
    }

    /// A dma-buf with it, for another device or process. Others may lie in it too.
    ///
    /// # Errors
    /// When this process may open no further fd (`EMFILE`).
    pub fn dma_buf(&self) -> Result<OwnedFd, KmsError> {
        self.dma_buf.try_clone().map_err(|error| KmsError::io("share", "display memory", error))
    }

    /// A framebuffer over it, on any card or lease of its device.
    ///
    /// # Errors
    /// When the kernel refuses the size, the format or the memory.
    pub fn framebuffer(
        &self,
        card: &Arc<Card>,
        width_px: u32,
        height_px: u32,
        format: PixelFormat,
    ) -> Result<Framebuffer, KmsError> {
        let handle = card
            .prime_fd_to_buffer(self.dma_buf.as_fd())
            .map_err(|error| KmsError::io("import display memory on", card.name(), error))?;
        let framebuffer = Framebuffer::new(card, width_px, height_px, format, self, handle.into());
        // The framebuffer keeps what the handle stood for.
        let _ = card.close_buffer(handle);
        framebuffer
    }
}

/// Pixels in CPU memory that the display scans out, mapped here.
#[derive(Debug)]
pub struct DumbBuffer {
    memory: PictureMemory,
    mapping: Mapping,
}

impl DumbBuffer {
    /// Allocates room for `width` x `height` pixels of 4 bytes, dark.
    ///
    /// # Errors
    /// When the card refuses the memory, or it cannot be exported as a dma-buf or mapped here.
    pub fn new(card: &Card, width_px: u32, height_px: u32) -> Result<Self, KmsError> {
        let info = drm_ffi::mode::dumbbuffer::create(card.as_fd(), width_px, height_px, 32, 0)
            .map_err(|error| KmsError::io("allocate display memory on", card.name(), error))?;
        let memory = PictureMemory::of(card, info.handle, info.pitch, None);
        // The dma-buf keeps it from here on.
        let _ = drm_ffi::mode::dumbbuffer::destroy(card.as_fd(), info.handle);
        let memory = memory?;
        // By the dma-buf: a mapping by the card keeps the card's file open, and with it a lease.
        let mut mapping = NonZeroUsize::new(info.size as usize)
            .ok_or(Errno::EINVAL)
            .and_then(|length| Mapping::new(&memory.dma_buf, length))
            .map_err(|errno| KmsError::call("map display memory of", card.name(), errno))?;
        mapping.fill(0);
        Ok(Self { memory, mapping })
    }

    /// Allocates `count` buffers to be shown in turn: in one piece of memory where the card can show a part of one,
    /// each starting on a page.
    ///
    /// A driver that reads pixels through the kernel's own mapping (vkms, udl, gud) maps what comes on and unmaps what
    /// nothing shows any longer. In one piece the mapping lasts; in several each flip makes and drops one, and every
    /// now and then the kernel stops for tens of milliseconds to forget their addresses (`mm/vmalloc.c`, the lazy
    /// purge).
    ///
    /// # Errors
    /// When the card refuses memory for all of them in one piece, or for any of them, or it cannot be exported or
    /// mapped.
    pub fn several(
        card: &Arc<Card>,
        width_px: u32,
        height_px: u32,
        count: usize,
    ) -> Result<Vec<Self>, KmsError> {
        match Self::in_one_piece(card, width_px, height_px, count)? {
            Some(buffers) => Ok(buffers),
            None => (0..count).map(|_| Self::new(card, width_px, height_px)).collect(),
        }
    }

    fn in_one_piece(
        card: &Arc<Card>,
        width_px: u32,
        height_px: u32,
        count: usize,
    ) -> Result<Option<Vec<Self>>, KmsError> {
        let rows = height_px.next_multiple_of(ROWS_IN_PAGES);
        let Self { memory, mapping: mut rest } = Self::new(card, width_px, rows * count as u32)?;
        let length = memory.pitch_bytes as usize * rows as usize;
        if !length.is_multiple_of(PAGE_BYTES) {
            return Ok(None);
        }
        let mut buffers = Vec::with_capacity(count);
        for index in 0..count {
            let next = rest.split_off(length);
            let memory = PictureMemory { first_byte: (index * length) as u32, ..memory.clone() };
            buffers.push(Self { memory, mapping: rest });
            rest = next;
        }
        // i915 for one shows a dumb buffer from its start or not at all.
        let shown = |last: &Self| last.memory.framebuffer(card, width_px, height_px, PixelFormat::Xrgb8888);
        Ok(buffers.last().is_none_or(|last| shown(last).is_ok()).then_some(buffers))
    }

    /// The memory that its pixels are in.
    pub fn memory(&self) -> &PictureMemory {
        &self.memory
    }

    /// Where its pixels are in this process; starts on a page.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Where its pixels are in this process, for writing.
    pub fn mapping_mut(&mut self) -> &mut Mapping {
        &mut self.mapping
    }
}

const PAGE_BYTES: usize = 4096;
/// So many rows fill whole pages where their pitch is a multiple of 64 bytes, as cards like it.
const ROWS_IN_PAGES: u32 = 64;

/// A framebuffer: a picture the kernel can put on a plane.
#[derive(Debug)]
pub struct Framebuffer {
    card: Arc<Card>,
    id: FramebufferId,
}

impl Framebuffer {
    fn new(
        card: &Arc<Card>,
        width_px: u32,
        height_px: u32,
        format: PixelFormat,
        memory: &PictureMemory,
        handle: u32,
    ) -> Result<Self, KmsError> {
        const MODIFIERS: u32 = 2; // DRM_MODE_FB_MODIFIERS
        let flags = if memory.modifier.is_some() { MODIFIERS } else { 0 };
        let info = drm_ffi::mode::add_fb2(
            card.as_fd(),
            width_px,
            height_px,
            format.fourcc(),
            &[handle, 0, 0, 0],
            &[memory.pitch_bytes, 0, 0, 0],
            &[memory.first_byte, 0, 0, 0],
            &[memory.modifier.unwrap_or(0), 0, 0, 0],
            flags,
        )
        .map_err(|error| KmsError::io("make a framebuffer on", card.name(), error))?;
        let id = FramebufferId::new(info.fb_id)
            .ok_or_else(|| KmsError::call("make a framebuffer on", card.name(), Errno::EINVAL))?;
        Ok(Self { card: card.clone(), id })
    }

    /// The id to commit.
    pub fn id(&self) -> FramebufferId {
        self.id
    }
}

impl Drop for Framebuffer {
    fn drop(&mut self) {
        if let Err(error) = drm_ffi::mode::rm_fb(self.card.as_fd(), self.id.raw()) {
            tracing::debug!(%error, "could not remove a framebuffer; the kernel does when the card is closed");
        }
    }
}

/// A mode as the blob that a CRTC's `MODE_ID` takes.
#[derive(Debug)]
pub struct ModeBlob {
    card: Arc<Card>,
    id: BlobId,
}

impl ModeBlob {
    /// Hands the mode to the kernel.
    ///
    /// # Errors
    /// When the card sets no modes (`EOPNOTSUPP`) or is gone (`ENODEV`). Whether it can show the mode is said by the
    /// commit.
    pub fn new(card: &Arc<Card>, mode: &Mode) -> Result<Self, KmsError> {
        let mut bytes = mode_bytes(&mode.raw);
        let info = drm_ffi::mode::create_property_blob(card.as_fd(), &mut bytes)
            .map_err(|error| KmsError::io("hand a mode to", card.name(), error))?;
        let id = BlobId::new(info.blob_id)
            .ok_or_else(|| KmsError::call("hand a mode to", card.name(), Errno::EINVAL))?;
        Ok(Self { card: card.clone(), id })
    }

    /// The id to commit.
    pub fn id(&self) -> BlobId {
        self.id
    }
}

impl Drop for ModeBlob {
    fn drop(&mut self) {
        let _ = drm_ffi::mode::destroy_property_blob(self.card.as_fd(), self.id.raw());
    }
}
