//! Images that lie in memory from elsewhere: a display's, or another process's.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use ash::{khr, vk};
use nix::unistd::{Whence, lseek};

use super::{Image, TARGET_USAGE, image_info, lacks};
use crate::vulkan::device::{Device, LINEAR};
use crate::vulkan::error::{Context, VulkanError};

/// Memory from elsewhere for an image to lie in, row by row.
#[derive(Debug)]
pub enum External {
    /// Ordinary memory of this process, page-aligned.
    Host {
        /// Where it starts.
        pointer: *mut u8,
        /// How long it is.
        length: usize,
    },
    /// A dma-buf.
    DmaBuf(DmaBuf),
}

/// A dma-buf and how an image lies in it.
#[derive(Debug)]
pub struct DmaBuf {
    /// Its handle.
    pub fd: OwnedFd,
    /// How pixels are laid out: a `DRM_FORMAT_MOD_*` of `drm_fourcc.h`.
    pub modifier: u64,
    /// Where each of the layout's planes is; one, where pixels lie row by row.
    pub planes: Vec<Plane>,
}

/// A part of a dma-buf that holds a plane of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Bytes from the buffer's start to the plane's.
    pub offset_bytes: u64,
    /// Bytes from one row to the next.
    pub pitch_bytes: u64,
}

impl DmaBuf {
    /// Pixels row by row from the buffer's start.
    pub fn linear(fd: OwnedFd, pitch_bytes: u32) -> Self {
        let plane = Plane { offset_bytes: 0, pitch_bytes: pitch_bytes.into() };
        Self { fd, modifier: LINEAR, planes: vec![plane] }
    }

    /// A dma-buf tells its size to who seeks to its end (dma_buf_llseek); not every driver looks (llvmpipe does not).
    fn length(&self) -> u64 {
        lseek(&self.fd, 0, Whence::SeekEnd).unwrap_or(0) as u64
    }

    /// Whether planes of so many rows lie within the buffer. Of layouts other than row by row only the driver knows how
    /// long they are: of those one row is looked for.
    fn has_room_for(&self, rows: u32) -> bool {
        let rows = if self.modifier == LINEAR { u64::from(rows) } else { 1 };
        let length = self.length();
        self.planes.iter().all(|plane| {
            let size = plane.pitch_bytes.checked_mul(rows);
            size.and_then(|size| size.checked_add(plane.offset_bytes)).is_some_and(|end| end <= length)
        })
    }
}

/// What an image in a dma-buf is for.
struct Use {
    usage: vk::ImageUsageFlags,
    /// What a device lacks that cannot do it.
    feature: &'static str,
    remedy: &'static str,
}

const DRAWN_ON: Use = Use {
    usage: TARGET_USAGE,
    feature: "drawing on dma-bufs laid out row by row",
    remedy: "another way to scan out is taken where there is one",
};

const SAMPLED: Use = Use {
    usage: vk::ImageUsageFlags::SAMPLED,
    feature: "sampling of dma-bufs of this format, size and layout",
    remedy: "share eye images laid out row by row, in XRGB8888 say, or have the CPU draw them",
};

const FITS_DMA_BUF: &str = "an image layout that fits the dma-buf";

impl Image {
    /// A target that lies in memory from elsewhere; `backing` keeps that memory alive.
    ///
    /// # Errors
    /// When the device cannot import such memory or draw on it, or the image does not fit into it.
    pub fn target_in(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        external: External,
        backing: Box<dyn Send + Sync>,
    ) -> Result<Self, VulkanError> {
        let mut image = match external {
            External::Host { pointer, length } => {
                Self::in_host_memory(device, format, width_px, height_px, pointer, length)?
            }
            External::DmaBuf(buffer) => {
                Self::in_dma_buf(device, format, width_px, height_px, buffer, &DRAWN_ON)?
            }
        };
        image._backing = Some(backing);
        Ok(image)
    }

    /// A texture that lies in a dma-buf, to be sampled.
    ///
    /// # Errors
    /// When the device cannot import such a dma-buf or sample it, or the image does not fit into it.
    pub fn texture_in(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        buffer: DmaBuf,
    ) -> Result<Self, VulkanError> {
        Self::in_dma_buf(device, format, width_px, height_px, buffer, &SAMPLED)
    }

    fn in_host_memory(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        pointer: *mut u8,
        length: usize,
    ) -> Result<Self, VulkanError> {
        let lacks = |feature| lacks(device, feature, DRAWN_ON.remedy);
        let handle = vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;
        let functions = device.host_memory.as_ref().ok_or_else(|| lacks("VK_EXT_external_memory_host"))?;
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(handle);
        let info = image_info(format, width_px, height_px, vk::ImageTiling::LINEAR, TARGET_USAGE);
        let mut image = Self::unbound(device, format, width_px, height_px, info.push_next(&mut external))?;
        // SAFETY: the image has no memory yet; the pointer is mapped for `length` bytes, which the caller's backing
        // keeps true for the image's life.
        let (needs, importable) = unsafe {
            let needs = device.raw.get_image_memory_requirements(image.raw);
            let mut properties = vk::MemoryHostPointerPropertiesEXT::default();
            // ash has no wrapper for this one.
            let ask = functions.fp().get_memory_host_pointer_properties_ext;
            ask(device.raw.handle(), handle, pointer.cast(), &mut properties)
                .result()
                .during("look at display memory")?;
            (needs, properties.memory_type_bits)
        };
        if needs.size > length as u64 {
            return Err(lacks("an image layout that fits the display's memory"));
        }
        let kind = device.memory_type(
            needs.memory_type_bits & importable,
            vk::MemoryPropertyFlags::HOST_COHERENT,
            vk::MemoryPropertyFlags::empty(),
        )?;
        let mut import =
            vk::ImportMemoryHostPointerInfoEXT::default().handle_type(handle).host_pointer(pointer.cast());
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(length as u64)
            .memory_type_index(kind)
            .push_next(&mut import);
        image.allocate(info)?;
        image.bind()?;
        Ok(image)
    }

    fn in_dma_buf(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        buffer: DmaBuf,
        wanted: &Use,
    ) -> Result<Self, VulkanError> {
        let lacks = |feature| lacks(device, feature, wanted.remedy);
        let functions = device.memory_fd.as_ref().filter(|_| device.capabilities().dma_buf);
        let functions = functions.ok_or_else(|| lacks("VK_EXT_external_memory_dma_buf"))?;
        if !buffer.has_room_for(height_px) {
            return Err(lacks(FITS_DMA_BUF));
        }
        let mut image = Self::laid_out_as(&buffer, device, format, width_px, height_px, wanted)?;
        image.import(functions, buffer, wanted)?;
        image.bind()?;
        Ok(image)
    }

    /// An image without memory, laid out as the dma-buf is.
    fn laid_out_as(
        buffer: &DmaBuf,
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        wanted: &Use,
    ) -> Result<Self, VulkanError> {
        let DmaBuf { modifier, planes, .. } = buffer;
        let lacks = |feature| lacks(device, feature, wanted.remedy);
        let can = device.capabilities();
        if !can.modifiers && *modifier != LINEAR {
            return Err(lacks(
                "dma-bufs laid out in any way but row by row (VK_EXT_image_drm_format_modifier)",
            ));
        }
        let tiling =
            if can.modifiers { vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT } else { vk::ImageTiling::LINEAR };
        let mut info = image_info(format, width_px, height_px, tiling, wanted.usage);
        // VUID-VkImageCreateInfo-pNext-00990 and VUID-VkImageCreateInfo-imageCreateMaxMipLevels-02251
        if !device.imports_dma_bufs(&info, *modifier) {
            return Err(lacks(wanted.feature));
        }
        let layouts: Vec<_> = planes.iter().map(layout_of).collect();
        let mut layout = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default()
            .drm_format_modifier(*modifier)
            .plane_layouts(&layouts);
        if can.modifiers {
            info = info.push_next(&mut layout);
        }
        let mut external = vk::ExternalMemoryImageCreateInfo::default()
            .handle_types(vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT);
        let image = Self::unbound(device, format, width_px, height_px, info.push_next(&mut external))?;
        // Where images have modifiers, the driver need not be asked: it is told.
        if !can.modifiers && *planes != [Plane { offset_bytes: 0, pitch_bytes: image.row_pitch() }] {
            return Err(lacks("a row pitch equal to the dma-buf's"));
        }
        Ok(image)
    }

    /// Takes a dma-buf for the memory of an image that was made for it.
    fn import(
        &mut self,
        functions: &khr::external_memory_fd::Device,
        buffer: DmaBuf,
        wanted: &Use,
    ) -> Result<(), VulkanError> {
        let device = &self.device;
        let handle = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
        let raw_fd = buffer.fd.as_raw_fd();
        // SAFETY: the image has no memory yet and the fd is an open dma-buf.
        let (needs, importable) = unsafe {
            let needs = device.raw.get_image_memory_requirements(self.raw);
            let mut properties = vk::MemoryFdPropertiesKHR::default();
            functions
                .get_memory_fd_properties(handle, raw_fd, &mut properties)
                .during("look at a dma-buf")?;
            (needs, properties.memory_type_bits)
        };
        if needs.size > buffer.length() {
            return Err(lacks(device, FITS_DMA_BUF, wanted.remedy));
        }
        let kind = device.memory_type(
            needs.memory_type_bits & importable,
            vk::MemoryPropertyFlags::DEVICE_LOCAL,
            vk::MemoryPropertyFlags::empty(),
        )?;
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(self.raw);
        let mut import = vk::ImportMemoryFdInfoKHR::default().handle_type(handle).fd(raw_fd);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(kind)
            .push_next(&mut dedicated)
            .push_next(&mut import);
        self.allocate(info)?;
        // The driver's own from now on; until the import succeeded it was ours (VkImportMemoryFdInfoKHR).
        let _ = buffer.fd.into_raw_fd();
        Ok(())
    }
}

fn layout_of(plane: &Plane) -> vk::SubresourceLayout {
    vk::SubresourceLayout { offset: plane.offset_bytes, row_pitch: plane.pitch_bytes, ..Default::default() }
}
