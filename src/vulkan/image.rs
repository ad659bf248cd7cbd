//! Images: textures to sample, and targets to draw on, some of them in memory that a display scans out.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use ash::vk;
use nix::unistd::{Whence, lseek};

use super::device::{Device, LINEAR};
use super::error::{Context, VulkanError};

/// A two-dimensional image with one view of all of it.
pub struct Image {
    device: Arc<Device>,
    pub(super) raw: vk::Image,
    pub(super) view: vk::ImageView,
    memory: vk::DeviceMemory,
    format: vk::Format,
    width_px: u32,
    height_px: u32,
    /// Keeps alive what the image lies in, a mapped display buffer say. Dropped last.
    _backing: Option<Box<dyn Send + Sync>>,
}

/// How a device lays out an image row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearLayout {
    /// Bytes from one row to the next.
    pub pitch_bytes: u64,
    /// Bytes in all; can be more than the rows take.
    pub length: u64,
}

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
    DmaBuf {
        /// Its handle.
        fd: OwnedFd,
        /// Bytes from one row to the next.
        pitch_bytes: u32,
    },
}

impl Image {
    /// A texture to be filled by upload and sampled.
    pub fn texture(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
    ) -> Result<Self, VulkanError> {
        let usage = vk::ImageUsageFlags::SAMPLED | vk::ImageUsageFlags::TRANSFER_DST;
        Self::new(device, format, width_px, height_px, vk::ImageTiling::OPTIMAL, usage)
    }

    /// A target to draw on and read back, in the device's own memory.
    pub fn target(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
    ) -> Result<Self, VulkanError> {
        Self::new(device, format, width_px, height_px, vk::ImageTiling::OPTIMAL, TARGET_USAGE)
    }

    /// A smaller or larger copy of a target, to be drawn by [`resize`](super::commands::Recording::resize) and read back.
    pub fn copy(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
    ) -> Result<Self, VulkanError> {
        let usage = TARGET_USAGE | vk::ImageUsageFlags::TRANSFER_DST;
        Self::new(device, format, width_px, height_px, vk::ImageTiling::OPTIMAL, usage)
    }

    /// How the device lays out a row-by-row target in memory from elsewhere; `None` when it cannot draw on such
    /// images at all.
    pub fn linear_layout(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
    ) -> Result<Option<LinearLayout>, VulkanError> {
        if !device.linear_features(format).contains(vk::FormatFeatureFlags::COLOR_ATTACHMENT) {
            return Ok(None);
        }
        let mut external = vk::ExternalMemoryImageCreateInfo::default()
            .handle_types(vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT);
        let info = image_info(format, width_px, height_px, vk::ImageTiling::LINEAR, TARGET_USAGE);
        let probe = Self::unbound(device, format, width_px, height_px, info.push_next(&mut external))?;
        // SAFETY: the probe was just created.
        let needs = unsafe { device.raw.get_image_memory_requirements(probe.raw) };
        Ok(Some(LinearLayout { pitch_bytes: probe.row_pitch(), length: needs.size }))
    }

    /// A target that lies in memory from elsewhere; `backing` keeps that memory alive.
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
            External::DmaBuf { fd, pitch_bytes } => {
                Self::in_dma_buf(device, format, width_px, height_px, fd, pitch_bytes)?
            }
        };
        image._backing = Some(backing);
        image.create_view()?;
        Ok(image)
    }

    fn new(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        tiling: vk::ImageTiling,
        usage: vk::ImageUsageFlags,
    ) -> Result<Self, VulkanError> {
        let info = image_info(format, width_px, height_px, tiling, usage);
        let mut image = Self::unbound(device, format, width_px, height_px, info)?;
        // SAFETY: the image was just created and has no memory yet.
        let needs = unsafe { device.raw.get_image_memory_requirements(image.raw) };
        let kind = device.memory_type(
            needs.memory_type_bits,
            vk::MemoryPropertyFlags::DEVICE_LOCAL,
            vk::MemoryPropertyFlags::empty(),
        )?;
        image.bind(vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(kind))?;
        image.create_view()?;
        Ok(image)
    }

    fn unbound(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        info: vk::ImageCreateInfo<'_>,
    ) -> Result<Self, VulkanError> {
        // SAFETY: the description is complete and what it chains lives across the call.
        let raw = unsafe { device.raw.create_image(&info, None) }.during("create an image")?;
        Ok(Self {
            device: device.clone(),
            raw,
            view: vk::ImageView::null(),
            memory: vk::DeviceMemory::null(),
            format,
            width_px,
            height_px,
            _backing: None,
        })
    }

    fn in_host_memory(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        pointer: *mut u8,
        length: usize,
    ) -> Result<Self, VulkanError> {
        let handle = vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;
        let functions =
            device.host_memory.as_ref().ok_or_else(|| lacks(device, "VK_EXT_external_memory_host"))?;
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
            return Err(lacks(device, "an image layout that fits the display's memory"));
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
        image.bind(info)?;
        Ok(image)
    }

    fn in_dma_buf(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
        fd: OwnedFd,
        pitch_bytes: u32,
    ) -> Result<Self, VulkanError> {
        let handle = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
        let functions =
            device.memory_fd.as_ref().ok_or_else(|| lacks(device, "VK_EXT_external_memory_dma_buf"))?;
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(handle);
        let planes = [vk::SubresourceLayout { row_pitch: pitch_bytes.into(), ..Default::default() }];
        let mut layout = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default()
            .drm_format_modifier(LINEAR)
            .plane_layouts(&planes);
        let mut info = image_info(format, width_px, height_px, vk::ImageTiling::LINEAR, TARGET_USAGE);
        if device.capabilities().modifiers {
            info = info.tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT);
        }
        // VUID-VkImageCreateInfo-pNext-00990 and VUID-VkImageCreateInfo-imageCreateMaxMipLevels-02251
        if !device.imports_dma_bufs(&info) {
            return Err(lacks(device, "drawing on dma-bufs laid out row by row"));
        }
        if device.capabilities().modifiers {
            info = info.push_next(&mut layout);
        }
        let mut image = Self::unbound(device, format, width_px, height_px, info.push_next(&mut external))?;
        if !device.capabilities().modifiers && image.row_pitch() != u64::from(pitch_bytes) {
            return Err(lacks(device, "a row pitch equal to the display's"));
        }
        // SAFETY: the image has no memory yet and the fd is an open dma-buf.
        let (needs, importable) = unsafe {
            let needs = device.raw.get_image_memory_requirements(image.raw);
            let mut properties = vk::MemoryFdPropertiesKHR::default();
            functions
                .get_memory_fd_properties(handle, fd.as_raw_fd(), &mut properties)
                .during("look at a dma-buf")?;
            (needs, properties.memory_type_bits)
        };
        // A dma-buf tells its size to who seeks to its end (dma_buf_llseek); not every driver looks (llvmpipe does not).
        let length = lseek(&fd, 0, Whence::SeekEnd).unwrap_or(0);
        if needs.size > length as u64 {
            return Err(lacks(device, "an image layout that fits the display's memory"));
        }
        let kind = device.memory_type(
            needs.memory_type_bits & importable,
            vk::MemoryPropertyFlags::DEVICE_LOCAL,
            vk::MemoryPropertyFlags::empty(),
        )?;
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image.raw);
        // The driver owns the fd once the import has succeeded (VkImportMemoryFdInfoKHR); until then we do.
        let raw_fd = fd.into_raw_fd();
        let mut import = vk::ImportMemoryFdInfoKHR::default().handle_type(handle).fd(raw_fd);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(kind)
            .push_next(&mut dedicated)
            .push_next(&mut import);
        image.bind(info).inspect_err(|_| {
            let _ = nix::unistd::close(raw_fd);
        })?;
        Ok(image)
    }

    fn bind(&mut self, info: vk::MemoryAllocateInfo<'_>) -> Result<(), VulkanError> {
        // SAFETY: size and type come from the driver's own requirements for this image, which has no memory yet.
        unsafe {
            self.memory =
                self.device.raw.allocate_memory(&info, None).during("allocate an image's memory")?;
            self.device.raw.bind_image_memory(self.raw, self.memory, 0).during("bind an image's memory")
        }
    }

    fn create_view(&mut self) -> Result<(), VulkanError> {
        let info = vk::ImageViewCreateInfo::default()
            .image(self.raw)
            .view_type(vk::ImageViewType::TYPE_2D)
            .format(self.format)
            .subresource_range(WHOLE);
        // SAFETY: the image is bound to memory.
        self.view = unsafe { self.device.raw.create_image_view(&info, None) }.during("view an image")?;
        Ok(())
    }

    fn row_pitch(&self) -> u64 {
        let whole = vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR);
        // SAFETY: only called on images with linear tiling (VUID-vkGetImageSubresourceLayout-image-07790).
        unsafe { self.device.raw.get_image_subresource_layout(self.raw, whole) }.row_pitch
    }

    /// Width in pixels.
    pub fn width_px(&self) -> u32 {
        self.width_px
    }

    /// Height in pixels.
    pub fn height_px(&self) -> u32 {
        self.height_px
    }

    /// Its pixel format.
    pub fn format(&self) -> vk::Format {
        self.format
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: work on the image has been waited for (module rule); destroying null handles is allowed.
        unsafe {
            self.device.raw.destroy_image_view(self.view, None);
            self.device.raw.destroy_image(self.raw, None);
            self.device.raw.free_memory(self.memory, None);
        }
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Image({}x{} {:?})", self.width_px, self.height_px, self.format)
    }
}

/// All of a colour image.
pub(super) const WHOLE: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: 1,
};

const TARGET_USAGE: vk::ImageUsageFlags = vk::ImageUsageFlags::from_raw(
    vk::ImageUsageFlags::COLOR_ATTACHMENT.as_raw() | vk::ImageUsageFlags::TRANSFER_SRC.as_raw(),
);

fn image_info(
    format: vk::Format,
    width_px: u32,
    height_px: u32,
    tiling: vk::ImageTiling,
    usage: vk::ImageUsageFlags,
) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(format)
        .extent(vk::Extent3D { width: width_px, height: height_px, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(tiling)
        .usage(usage)
        .initial_layout(vk::ImageLayout::UNDEFINED)
}

fn lacks(device: &Device, feature: &'static str) -> VulkanError {
    VulkanError::Unsupported {
        device: device.name().to_string(),
        feature,
        remedy: "another way to scan out is taken where there is one",
    }
}
