//! Images: textures to sample, and targets to draw on, some of them in memory that a display scans out.

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
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

/// The memory of an image, for another device of the same GPU and driver to import.
pub(super) struct Exported {
    pub fd: OwnedFd,
    pub length: u64,
    /// The index of its type.
    pub kind: u32,
}

impl DmaBuf {
    /// Pixels row by row from the buffer's start.
    pub fn linear(fd: OwnedFd, pitch_bytes: u32) -> Self {
        let plane = Plane { offset_bytes: 0, pitch_bytes: pitch_bytes.into() };
        Self { fd, modifier: LINEAR, planes: vec![plane] }
    }
}

impl Image {
    /// A texture to be filled by upload and sampled.
    ///
    /// # Errors
    /// When the device makes no images of that format and size, or has no memory left for one.
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
    ///
    /// # Errors
    /// When the device makes no images of that format and size, or has no memory left for one.
    pub fn target(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
    ) -> Result<Self, VulkanError> {
        Self::new(device, format, width_px, height_px, vk::ImageTiling::OPTIMAL, TARGET_USAGE)
    }

    /// A smaller or larger copy of a target, to be drawn by [`resize`](super::commands::Recording::resize) and read back.
    ///
    /// # Errors
    /// When the device makes no images of that format and size, or has no memory left for one.
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
    ///
    /// # Errors
    /// When the device makes no images of that size.
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
        image.create_view()?;
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
        let mut image = Self::in_dma_buf(device, format, width_px, height_px, buffer, &SAMPLED)?;
        image.create_view()?;
        Ok(image)
    }

    /// A texture that another device of the same GPU and driver draws on, and its memory for that device to import.
    pub(super) fn exported(
        device: &Arc<Device>,
        format: vk::Format,
        info: vk::ImageCreateInfo<'_>,
    ) -> Result<(Self, Exported), VulkanError> {
        let lacks = || lacks(device, "images that another of its devices draws on", EXPORTED_REMEDY);
        let functions = device.memory_fd.as_ref().ok_or_else(lacks)?;
        if !device.shares(&info) {
            return Err(lacks());
        }
        let vk::Extent3D { width, height, .. } = info.extent;
        let mut image = Self::unbound(device, format, width, height, info)?;
        let (length, kind) =
            image.needs(vk::MemoryPropertyFlags::DEVICE_LOCAL, vk::MemoryPropertyFlags::empty())?;
        let handle = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image.raw);
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(handle);
        let allocation = vk::MemoryAllocateInfo::default()
            .allocation_size(length)
            .memory_type_index(kind)
            .push_next(&mut dedicated)
            .push_next(&mut export);
        image.bind(allocation)?;
        image.create_view()?;
        let question = vk::MemoryGetFdInfoKHR::default().memory(image.memory).handle_type(handle);
        // SAFETY: the memory was allocated for export of this kind; the fd is new, and ours (vkGetMemoryFdKHR).
        let fd = unsafe {
            let fd = functions.get_memory_fd(&question).during("export an image's memory")?;
            OwnedFd::from_raw_fd(fd)
        };
        Ok((image, Exported { fd, length, kind }))
    }

    /// A texture that the CPU draws on, row by row, and the memory that it lies in.
    pub(super) fn mapped_texture(
        device: &Arc<Device>,
        format: vk::Format,
        width_px: u32,
        height_px: u32,
    ) -> Result<(Self, *mut u8, LinearLayout), VulkanError> {
        let usage = vk::ImageUsageFlags::SAMPLED;
        if !device.linear_features(format).contains(vk::FormatFeatureFlags::SAMPLED_IMAGE) {
            return Err(lacks(device, "sampling of pictures laid out row by row", SAMPLED.remedy));
        }
        let info = image_info(format, width_px, height_px, vk::ImageTiling::LINEAR, usage)
            .initial_layout(vk::ImageLayout::PREINITIALIZED);
        let mut image = Self::unbound(device, format, width_px, height_px, info)?;
        let coherent = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        let (allocated, kind) = image.needs(coherent | vk::MemoryPropertyFlags::DEVICE_LOCAL, coherent)?;
        image.bind(vk::MemoryAllocateInfo::default().allocation_size(allocated).memory_type_index(kind))?;
        image.create_view()?;
        let whole = vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR);
        // SAFETY: the memory is the CPU's to see, and mapped once and whole; freeing it unmaps it. The image is linear.
        let (pointer, layout) = unsafe {
            let raw = &device.raw;
            let start = raw
                .map_memory(image.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty())
                .during("map an image's memory")?;
            let layout = raw.get_image_subresource_layout(image.raw, whole);
            (start.cast::<u8>().add(layout.offset as usize), layout)
        };
        let length = layout.size.min(allocated - layout.offset);
        Ok((image, pointer, LinearLayout { pitch_bytes: layout.row_pitch, length }))
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
        let (length, kind) =
            image.needs(vk::MemoryPropertyFlags::DEVICE_LOCAL, vk::MemoryPropertyFlags::empty())?;
        image.bind(vk::MemoryAllocateInfo::default().allocation_size(length).memory_type_index(kind))?;
        image.create_view()?;
        Ok(image)
    }

    /// How many bytes of memory an image without any needs, and of which type: one with all that is `wanted`, else one with
    /// what is `required`.
    fn needs(
        &self,
        wanted: vk::MemoryPropertyFlags,
        required: vk::MemoryPropertyFlags,
    ) -> Result<(vk::DeviceSize, u32), VulkanError> {
        // SAFETY: the image is alive and of this device.
        let needs = unsafe { self.device.raw.get_image_memory_requirements(self.raw) };
        Ok((needs.size, self.device.memory_type(needs.memory_type_bits, wanted, required)?))
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
        let functions = device
            .host_memory
            .as_ref()
            .ok_or_else(|| lacks(device, "VK_EXT_external_memory_host", DRAWN_ON.remedy))?;
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
            return Err(lacks(device, "an image layout that fits the display's memory", DRAWN_ON.remedy));
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
        buffer: DmaBuf,
        wanted: &Use,
    ) -> Result<Self, VulkanError> {
        let DmaBuf { fd, modifier, planes } = buffer;
        let lacks = |feature| lacks(device, feature, wanted.remedy);
        let handle = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
        let functions = device.memory_fd.as_ref().filter(|_| device.capabilities().dma_buf);
        let functions = functions.ok_or_else(|| lacks("VK_EXT_external_memory_dma_buf"))?;
        // A dma-buf tells its size to who seeks to its end (dma_buf_llseek); not every driver looks (llvmpipe does not).
        let length = lseek(&fd, 0, Whence::SeekEnd).unwrap_or(0) as u64;
        let fits = |plane: &Plane| {
            let rows = if modifier == LINEAR { u64::from(height_px) } else { 1 };
            plane
                .pitch_bytes
                .checked_mul(rows)
                .and_then(|size| size.checked_add(plane.offset_bytes))
                .is_some_and(|end| end <= length)
        };
        if !planes.iter().all(fits) {
            return Err(lacks("an image layout that fits the dma-buf"));
        }
        let layouts: Vec<_> = planes
            .iter()
            .map(|plane| vk::SubresourceLayout {
                offset: plane.offset_bytes,
                row_pitch: plane.pitch_bytes,
                ..Default::default()
            })
            .collect();
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(handle);
        let mut layout = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default()
            .drm_format_modifier(modifier)
            .plane_layouts(&layouts);
        let mut info = image_info(format, width_px, height_px, vk::ImageTiling::LINEAR, wanted.usage);
        if device.capabilities().modifiers {
            info = info.tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT);
        } else if modifier != LINEAR {
            return Err(lacks(
                "dma-bufs laid out in any way but row by row (VK_EXT_image_drm_format_modifier)",
            ));
        }
        // VUID-VkImageCreateInfo-pNext-00990 and VUID-VkImageCreateInfo-imageCreateMaxMipLevels-02251
        if !device.imports_dma_bufs(&info, modifier) {
            return Err(lacks(wanted.feature));
        }
        if device.capabilities().modifiers {
            info = info.push_next(&mut layout);
        }
        let mut image = Self::unbound(device, format, width_px, height_px, info.push_next(&mut external))?;
        let drivers_own = [Plane { offset_bytes: 0, pitch_bytes: image.row_pitch_if_linear(device) }];
        if !device.capabilities().modifiers && planes != drivers_own {
            return Err(lacks("a row pitch equal to the dma-buf's"));
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
        if needs.size > length {
            return Err(lacks("an image layout that fits the dma-buf"));
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

    /// Where images have modifiers, the driver need not be asked: it is told.
    fn row_pitch_if_linear(&self, device: &Device) -> u64 {
        if device.capabilities().modifiers { 0 } else { self.row_pitch() }
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

pub(super) fn image_info(
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

const EXPORTED_REMEDY: &str = "share the application's images as dma-bufs, or have the CPU draw them";

fn lacks(device: &Device, feature: &'static str, remedy: &'static str) -> VulkanError {
    VulkanError::Unsupported { device: device.name().to_string(), feature, remedy }
}
