//! Images: textures to sample, and targets to draw on.

mod external;

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use ash::vk;

pub use self::external::{DmaBuf, External, Plane};
use super::device::Device;
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

/// The memory of an image, for another device of the same GPU and driver to import.
pub(super) struct Exported {
    pub fd: OwnedFd,
    pub length: u64,
    /// The index of its type.
    pub kind: u32,
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
        image.allocate(allocation)?;
        image.bind()?;
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
            return Err(lacks(device, "sampling of pictures laid out row by row", MAPPED_REMEDY));
        }
        let info = image_info(format, width_px, height_px, vk::ImageTiling::LINEAR, usage)
            .initial_layout(vk::ImageLayout::PREINITIALIZED);
        let mut image = Self::unbound(device, format, width_px, height_px, info)?;
        let coherent = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        let (allocated, kind) = image.needs(coherent | vk::MemoryPropertyFlags::DEVICE_LOCAL, coherent)?;
        image
            .allocate(vk::MemoryAllocateInfo::default().allocation_size(allocated).memory_type_index(kind))?;
        image.bind()?;
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
        image.allocate(vk::MemoryAllocateInfo::default().allocation_size(length).memory_type_index(kind))?;
        image.bind()?;
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

    /// Gives an image without any the memory described.
    fn allocate(&mut self, info: vk::MemoryAllocateInfo<'_>) -> Result<(), VulkanError> {
        // SAFETY: size and type come from the driver's own requirements for this image, which has no memory yet.
        self.memory =
            unsafe { self.device.raw.allocate_memory(&info, None) }.during("allocate an image's memory")?;
        Ok(())
    }

    /// Has the image lie in the memory that was allocated for it, and be seen.
    fn bind(&mut self) -> Result<(), VulkanError> {
        // SAFETY: the memory is this image's own.
        unsafe { self.device.raw.bind_image_memory(self.raw, self.memory, 0) }
            .during("bind an image's memory")?;
        self.create_view()
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

const MAPPED_REMEDY: &str = "draw the eye images with Vulkan, or share them as dma-bufs";

const EXPORTED_REMEDY: &str = "share the application's images as dma-bufs, or have the CPU draw them";

fn lacks(device: &Device, feature: &'static str, remedy: &'static str) -> VulkanError {
    VulkanError::Unsupported { device: device.name().to_string(), feature, remedy }
}
