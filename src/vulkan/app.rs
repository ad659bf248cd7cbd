//! A Vulkan device that an application draws with, and images that it shares with ours.
//!
//! The application never gets at our own device: Vulkan lets one thread at a time use a queue, and the vblank loop is to
//! wait for nobody; nor does a device that is lost take others along. So it draws with another device of the same GPU and
//! driver, one of its own or that of `AppDevice::open`. The images lie in the GPU's memory, laid out as the GPU likes it best;
//! the memory goes from one device to the other as an opaque fd (`VK_KHR_external_memory_fd`).

use std::ffi::CStr;
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use ash::{khr, vk};

use super::device::Device;
use super::error::{Context, VulkanError};
use super::gpu::{Gpu, name_of};
use super::image::{Exported, Image, WHOLE, image_info};
use super::instance::Instance;
use crate::time::Span;

/// What a device must have been opened with to draw for a headset.
pub const EXTENSIONS: [&CStr; 1] = [khr::external_memory_fd::NAME];

/// The format of shared images. What is written holds sRGB-encoded codes; an application that would have its GPU encode
/// them draws through a view of [`ENCODING_FORMAT`].
pub const FORMAT: vk::Format = vk::Format::R8G8B8A8_UNORM;

/// The format of another view that shared images can have: the GPU encodes what is drawn through it.
pub const ENCODING_FORMAT: vk::Format = vk::Format::R8G8B8A8_SRGB;

/// What shared images can be used for.
pub const USAGE: vk::ImageUsageFlags = vk::ImageUsageFlags::from_raw(
    vk::ImageUsageFlags::COLOR_ATTACHMENT.as_raw()
        | vk::ImageUsageFlags::SAMPLED.as_raw()
        | vk::ImageUsageFlags::TRANSFER_SRC.as_raw()
        | vk::ImageUsageFlags::TRANSFER_DST.as_raw(),
);

/// The layout in which images go from one device to the other.
const HANDED_OVER: vk::ImageLayout = vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL;

/// A Vulkan device of the application's. Its handles are those of `ash` 0.38.
pub struct AppDevice {
    instance: ash::Instance,
    physical: vk::PhysicalDevice,
    raw: ash::Device,
    queue_family: u32,
    /// Of a device that was opened here, and is closed here.
    own: Option<Arc<Instance>>,
}

impl AppDevice {
    /// Opens a second device where ours is, with one queue for graphics, timeline semaphores, dynamic rendering and
    /// `VK_KHR_synchronization2`.
    pub(crate) fn open(ours: &Device) -> Result<Arc<Self>, VulkanError> {
        if !ours.capabilities().memory_fd {
            return Err(VulkanError::Unsupported {
                device: ours.name().to_string(),
                feature: "memory that two devices share (VK_KHR_external_memory_fd)",
                remedy: "share the application's images as dma-bufs, or have the CPU draw them",
            });
        }
        let instance = ours.instance().clone();
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(ours.queue_family)
            .queue_priorities(&[0.0])];
        let extensions = EXTENSIONS.map(CStr::as_ptr);
        let mut modern =
            vk::PhysicalDeviceVulkan13Features::default().dynamic_rendering(true).synchronization2(true);
        let mut timeline = vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .push_next(&mut modern)
            .push_next(&mut timeline);
        // SAFETY: our own device is of this physical device and has the extension; the features are mandatory in
        // Vulkan 1.3.
        let raw = unsafe { instance.raw.create_device(ours.physical(), &info, None) }
            .during("open a device for the application")?;
        Ok(Arc::new(Self {
            instance: instance.raw.clone(),
            physical: ours.physical(),
            raw,
            queue_family: ours.queue_family,
            own: Some(instance),
        }))
    }

    /// A device that the application has opened itself, of Vulkan 1.2 or newer. `queue_family` is that of the queue which
    /// draws.
    ///
    /// # Errors
    /// When it was opened without one of [`EXTENSIONS`].
    ///
    /// # Safety
    /// The handles belong together, and outlive what is returned and all that is made from it. Where [`point`](Self::point)
    /// is used, the device was opened with the feature `timelineSemaphore`.
    pub unsafe fn from_handles(
        instance: ash::Instance,
        physical: vk::PhysicalDevice,
        device: ash::Device,
        queue_family: u32,
    ) -> Result<Arc<Self>, VulkanError> {
        // A device does not know functions of extensions that it was opened without (vkGetDeviceProcAddr).
        let known = c"vkGetMemoryFdKHR";
        // SAFETY: the device is the instance's, and the name is zero-terminated.
        if unsafe { instance.get_device_proc_addr(device.handle(), known.as_ptr()) }.is_none() {
            return Err(VulkanError::Unsupported {
                // SAFETY: the physical device is the instance's.
                device: name_of(&unsafe { instance.get_physical_device_properties(physical) }),
                feature: "VK_KHR_external_memory_fd, which the application's device was opened without",
                remedy: "open it with all of session::vulkan::EXTENSIONS",
            });
        }
        Ok(Arc::new(Self { instance, physical, raw: device, queue_family, own: None }))
    }

    /// The instance.
    pub fn instance(&self) -> &ash::Instance {
        &self.instance
    }

    /// The physical device.
    pub fn physical(&self) -> vk::PhysicalDevice {
        self.physical
    }

    /// The device.
    pub fn raw(&self) -> &ash::Device {
        &self.raw
    }

    /// The family of the queue that draws. A device that was opened for the application has one queue of it.
    pub fn queue_family(&self) -> u32 {
        self.queue_family
    }

    /// A point in the application's work: when this timeline semaphore has come to that value.
    ///
    /// # Safety
    /// The semaphore is a timeline semaphore of this device and outlives the point.
    pub unsafe fn point(self: &Arc<Self>, semaphore: vk::Semaphore, value: u64) -> Point {
        Point { device: self.clone(), semaphore, value }
    }

    /// Whether it can use memory of `ours`.
    fn suits(&self, ours: &Device) -> Result<(), VulkanError> {
        if Gpu::of(&self.instance, self.physical) == ours.gpu() {
            return Ok(());
        }
        // SAFETY: the physical device is the instance's.
        let properties = unsafe { self.instance.get_physical_device_properties(self.physical) };
        Err(VulkanError::OtherGpu { theirs: name_of(&properties), ours: ours.name().to_string() })
    }
}

impl Drop for AppDevice {
    fn drop(&mut self) {
        if self.own.is_some() {
            // SAFETY: opened here, and what was made from it here holds an Arc on this. What the application made it has
            // destroyed, as it does with any device.
            unsafe { self.raw.destroy_device(None) };
        }
    }
}

impl std::fmt::Debug for AppDevice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AppDevice").field("own", &self.own.is_some()).finish_non_exhaustive()
    }
}

/// A point in an application's work on its device.
#[derive(Clone, Debug)]
pub struct Point {
    device: Arc<AppDevice>,
    semaphore: vk::Semaphore,
    value: u64,
}

impl Point {
    /// Waits until it is reached, at most for `longest`; whether it is.
    ///
    /// # Errors
    /// When it never will be: the device is lost.
    pub(crate) fn wait(&self, longest: Span) -> Result<bool, VulkanError> {
        let (semaphores, values) = ([self.semaphore], [self.value]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        let timeout_ns = longest.as_ns().max(0) as u64;
        // SAFETY: the semaphore is one of this device's, by the contract of `AppDevice::point`.
        match unsafe { self.device.raw.wait_semaphores(&info, timeout_ns) } {
            Ok(()) => Ok(true),
            Err(vk::Result::TIMEOUT) => Ok(false),
            Err(result) => Err(result).during("wait for the application's device"),
        }
    }
}

/// An image of the application's device, which ours reads.
///
/// It is of [`FORMAT`], with the uses of [`USAGE`], views of [`ENCODING_FORMAT`] allowed, optimal tiling, one mip level and
/// one sample.
pub struct AppImage {
    device: Arc<AppDevice>,
    raw: vk::Image,
    memory: vk::DeviceMemory,
    size_px: [u32; 2],
}

impl AppImage {
    /// An image of so many pixels on both devices: the application's and, to be sampled, ours.
    pub(crate) fn shared(
        app: &Arc<AppDevice>,
        ours: &Arc<Device>,
        size_px: [u32; 2],
    ) -> Result<(Self, Image), VulkanError> {
        app.suits(ours)?;
        let (seen, memory) = with_info(size_px, |info| Image::exported(ours, FORMAT, info))?;
        let mut drawn =
            Self { device: app.clone(), raw: vk::Image::null(), memory: vk::DeviceMemory::null(), size_px };
        drawn.create(memory)?;
        Ok((drawn, seen))
    }

    fn create(&mut self, memory: Exported) -> Result<(), VulkanError> {
        let device = &self.device.raw;
        // SAFETY: the description is complete; what is created is owned by `self` at once.
        self.raw = with_info(self.size_px, |info| unsafe { device.create_image(&info, None) })
            .during("create an image for the application")?;
        let Exported { fd, length, kind } = memory;
        // The driver owns the fd once the import has succeeded (VkImportMemoryFdInfoKHR); until then we do.
        let fd = fd.into_raw_fd();
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(self.raw);
        let mut import = vk::ImportMemoryFdInfoKHR::default()
            .handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD)
            .fd(fd);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(length)
            .memory_type_index(kind)
            .push_next(&mut dedicated)
            .push_next(&mut import);
        // SAFETY: the memory was exported for an image like this one by a device of the same GPU and driver, and size and
        // type are those it was allocated with (VUID-VkMemoryAllocateInfo-allocationSize-01742); the image has none yet.
        unsafe {
            self.memory = device
                .allocate_memory(&info, None)
                .inspect_err(|_| {
                    let _ = nix::unistd::close(fd);
                })
                .during("share memory with the application")?;
            device.bind_image_memory(self.raw, self.memory, 0).during("bind the application's memory")
        }
    }

    /// The image, on the application's device.
    pub fn raw(&self) -> vk::Image {
        self.raw
    }

    /// Width and height in pixels.
    pub fn size_px(&self) -> [u32; 2] {
        self.size_px
    }

    /// Records what a frame begins with: takes the image over, in `layout` and with what it held lost.
    ///
    /// # Safety
    /// `commands` is of this image's device and its queue family, being recorded, and not within a render pass.
    pub unsafe fn begin(&self, commands: vk::CommandBuffer, layout: vk::ImageLayout) {
        let nobody = (vk::QUEUE_FAMILY_IGNORED, vk::QUEUE_FAMILY_IGNORED);
        // SAFETY: as the caller promises.
        unsafe { self.barrier(commands, (vk::ImageLayout::UNDEFINED, layout), nobody) };
    }

    /// Records what a frame ends with: gives the image, which was drawn in `layout`, to the headset's device.
    ///
    /// # Safety
    /// As for [`begin`](Self::begin), and the image is in `layout`.
    pub unsafe fn finish(&self, commands: vk::CommandBuffer, layout: vk::ImageLayout) {
        let nobody = (vk::QUEUE_FAMILY_IGNORED, vk::QUEUE_FAMILY_IGNORED);
        let families = (self.device.queue_family, vk::QUEUE_FAMILY_EXTERNAL);
        // Both who gives and who takes must name the same two layouts, and only one of them knows how it was drawn.
        // SAFETY: as the caller promises.
        unsafe {
            self.barrier(commands, (layout, HANDED_OVER), nobody);
            self.barrier(commands, (HANDED_OVER, HANDED_OVER), families);
        }
    }

    unsafe fn barrier(
        &self,
        commands: vk::CommandBuffer,
        (from, to): (vk::ImageLayout, vk::ImageLayout),
        (source, destination): (u32, u32),
    ) {
        let everything = vk::PipelineStageFlags::ALL_COMMANDS;
        let barrier = [vk::ImageMemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::MEMORY_WRITE)
            .dst_access_mask(vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE)
            .old_layout(from)
            .new_layout(to)
            .src_queue_family_index(source)
            .dst_queue_family_index(destination)
            .image(self.raw)
            .subresource_range(WHOLE)];
        let none = vk::DependencyFlags::empty();
        // SAFETY: as the caller promises. Of Vulkan 1.0, so that no feature is needed.
        unsafe {
            self.device.raw.cmd_pipeline_barrier(commands, everything, everything, none, &[], &[], &barrier);
        }
    }
}

impl Drop for AppImage {
    fn drop(&mut self) {
        // SAFETY: an application keeps its images for as long as it draws on them; destroying null handles is allowed.
        unsafe {
            self.device.raw.destroy_image(self.raw, None);
            self.device.raw.free_memory(self.memory, None);
        }
    }
}

impl std::fmt::Debug for AppImage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AppImage").field("size_px", &self.size_px).finish_non_exhaustive()
    }
}

/// Describes a shared image, on whichever device.
fn with_info<R>([width_px, height_px]: [u32; 2], make: impl FnOnce(vk::ImageCreateInfo<'_>) -> R) -> R {
    let mut external = vk::ExternalMemoryImageCreateInfo::default()
        .handle_types(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
    let views = [FORMAT, ENCODING_FORMAT];
    let mut formats = vk::ImageFormatListCreateInfo::default().view_formats(&views);
    let info = image_info(FORMAT, width_px, height_px, vk::ImageTiling::OPTIMAL, USAGE)
        .flags(vk::ImageCreateFlags::MUTABLE_FORMAT)
        .push_next(&mut formats)
        .push_next(&mut external);
    make(info)
}
