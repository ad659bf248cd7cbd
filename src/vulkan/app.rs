//! A Vulkan device that an application draws with, and images that it shares with ours.
//!
//! The application never gets at our own device: Vulkan lets one thread at a time use a queue, and the vblank loop is to
//! wait for nobody. So it has another one, its own or [`AppDevice::open`]'s, and images that both see. They lie in the
//! CPU's memory (`VK_EXT_external_memory_host`), which every driver that has the extension can draw on and sample, row by
//! row, and which costs nothing where the CPU draws. A GPU is better served by images of its own memory, exported as
//! dma-bufs.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;

use ash::{ext, vk};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::device::Device;
use super::error::{Context, VulkanError};
use super::image::Image;
use super::instance::Instance;
use crate::time::Span;

/// A Vulkan device of the application's. Its handles are for `ash` 0.38.
pub struct AppDevice {
    instance: ash::Instance,
    physical: vk::PhysicalDevice,
    raw: ash::Device,
    queue_family: u32,
    host_memory: ext::external_memory_host::Device,
    /// Of a device that was opened here, and is closed here.
    own: Option<Arc<Instance>>,
}

/// The format of shared images. What is written holds sRGB-encoded codes; an application that would have its GPU encode
/// them draws through a view of `B8G8R8A8_SRGB`.
pub const FORMAT: vk::Format = vk::Format::B8G8R8A8_UNORM;

/// What shared images can be used for.
pub const USAGE: vk::ImageUsageFlags = vk::ImageUsageFlags::from_raw(
    vk::ImageUsageFlags::COLOR_ATTACHMENT.as_raw()
        | vk::ImageUsageFlags::SAMPLED.as_raw()
        | vk::ImageUsageFlags::TRANSFER_SRC.as_raw()
        | vk::ImageUsageFlags::TRANSFER_DST.as_raw(),
);

const HOST: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;

impl AppDevice {
    /// Opens a second device where ours is, with one queue for graphics, timeline semaphores, dynamic rendering and
    /// `VK_KHR_synchronization2`.
    pub(crate) fn open(ours: &Device) -> Result<Arc<Self>, VulkanError> {
        if ours.capabilities().host_memory_alignment.is_none() {
            return Err(lacks(ours));
        }
        let instance = ours.instance().clone();
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(ours.queue_family)
            .queue_priorities(&[0.0])];
        let extensions = [ext::external_memory_host::NAME.as_ptr()];
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
            host_memory: ext::external_memory_host::Device::new(&instance.raw, &raw),
            instance: instance.raw.clone(),
            physical: ours.physical(),
            raw,
            queue_family: ours.queue_family,
            own: Some(instance),
        }))
    }

    /// A device that the application has opened itself.
    ///
    /// # Safety
    /// The handles belong together, and outlive this and all that is made from it. The device was opened with
    /// `VK_EXT_external_memory_host`, and with the feature `timelineSemaphore` if [`point`](Self::point) is used; the
    /// family is that of the queue which draws.
    pub unsafe fn from_handles(
        instance: ash::Instance,
        physical: vk::PhysicalDevice,
        device: ash::Device,
        queue_family: u32,
    ) -> Arc<Self> {
        let host_memory = ext::external_memory_host::Device::new(&instance, &device);
        Arc::new(Self { instance, physical, raw: device, queue_family, host_memory, own: None })
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

    /// The family of the queue that draws.
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
    /// Waits until it is reached, at most for `longest`; whether it is. A device that is lost reaches no point.
    pub(crate) fn wait(&self, longest: Span) -> bool {
        let (semaphores, values) = ([self.semaphore], [self.value]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        let timeout_ns = longest.as_ns().max(0) as u64;
        // SAFETY: the semaphore is one of this device's, by the contract of `AppDevice::point`.
        let waited = unsafe { self.device.raw.wait_semaphores(&info, timeout_ns) };
        if !matches!(waited, Ok(()) | Err(vk::Result::TIMEOUT)) {
            // Not at full speed, where nothing will change.
            std::thread::sleep(longest.to_duration());
        }
        waited.is_ok()
    }
}

/// An image of the application's device, which ours sees too.
pub struct AppImage {
    device: Arc<AppDevice>,
    raw: vk::Image,
    memory: vk::DeviceMemory,
    // Last: it is what the image lies in.
    pixels: Arc<HostMemory>,
}

impl AppImage {
    /// An image of so many pixels on both devices: the application's and, to be sampled, ours.
    pub(crate) fn shared(
        app: &Arc<AppDevice>,
        ours: &Arc<Device>,
        [width_px, height_px]: [u32; 2],
    ) -> Result<(Self, Image), VulkanError> {
        let alignment = ours.capabilities().host_memory_alignment.ok_or_else(|| lacks(ours))?;
        let layout = Image::layout_of(ours, FORMAT, width_px, height_px, USAGE)?;
        let pixels = Arc::new(HostMemory::new(layout.length.next_multiple_of(alignment) as usize)?);
        if !(pixels.start.as_ptr() as u64).is_multiple_of(alignment) {
            return Err(lacks(ours));
        }
        let (pointer, length) = (pixels.start.as_ptr(), pixels.length.get());
        let backing = Box::new(pixels.clone());
        let seen = Image::shared_texture(ours, FORMAT, width_px, height_px, (pointer, length), backing)?;
        let mut drawn =
            Self { device: app.clone(), raw: vk::Image::null(), memory: vk::DeviceMemory::null(), pixels };
        let own = drawn.create(width_px, height_px)?;
        match own == layout.pitch_bytes {
            true => Ok((drawn, seen)),
            false => Err(VulkanError::Unsupported {
                device: ours.name().to_string(),
                feature: "the row pitch of the application's device",
                remedy: "draw on the same device, or share dma-bufs",
            }),
        }
    }

    /// Creates it in its memory; its row pitch.
    fn create(&mut self, width_px: u32, height_px: u32) -> Result<u64, VulkanError> {
        let device = &self.device.raw;
        let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(HOST);
        let info = super::image::image_info(FORMAT, width_px, height_px, vk::ImageTiling::LINEAR, USAGE)
            .push_next(&mut external);
        let whole = vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR);
        // SAFETY: descriptions are complete; what is created is owned by `self` at once; the memory is mapped for its
        // length as long as `self` lives.
        unsafe {
            self.raw = device.create_image(&info, None).during("create an image for the application")?;
            let needs = device.get_image_memory_requirements(self.raw);
            let start = self.pixels.start.as_ptr().cast();
            let mut importable = vk::MemoryHostPointerPropertiesEXT::default();
            let ask = self.device.host_memory.fp().get_memory_host_pointer_properties_ext;
            ask(device.handle(), HOST, start, &mut importable)
                .result()
                .during("look at the application's memory")?;
            let allowed = needs.memory_type_bits & importable.memory_type_bits;
            let length = self.pixels.length.get() as u64;
            if allowed == 0 || needs.size > length {
                return Err(VulkanError::Call {
                    operation: "share memory with the application",
                    result: vk::Result::ERROR_INVALID_EXTERNAL_HANDLE,
                });
            }
            let mut import =
                vk::ImportMemoryHostPointerInfoEXT::default().handle_type(HOST).host_pointer(start);
            let info = vk::MemoryAllocateInfo::default()
                .allocation_size(length)
                .memory_type_index(allowed.trailing_zeros())
                .push_next(&mut import);
            self.memory = device.allocate_memory(&info, None).during("share memory with the application")?;
            device.bind_image_memory(self.raw, self.memory, 0).during("bind the application's memory")?;
            Ok(device.get_image_subresource_layout(self.raw, whole).row_pitch)
        }
    }

    /// The image, on the application's device. It is [`FORMAT`], linear, with the uses of [`USAGE`]; its first layout is
    /// `UNDEFINED`, and it is to be in `GENERAL`, with what was written available to the host, when a frame is finished.
    pub fn raw(&self) -> vk::Image {
        self.raw
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
        formatter.debug_struct("AppImage").field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// Whole pages of this process's memory.
struct HostMemory {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

// SAFETY: plain memory, which nothing here reads or writes; devices do.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    fn new(length: usize) -> Result<Self, VulkanError> {
        let refused = VulkanError::Call {
            operation: "allocate memory to share with the application",
            result: vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        };
        let Some(length) = NonZeroUsize::new(length) else { return Err(refused) };
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping of nothing, wherever the kernel likes.
        let start = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE) };
        start.map(|start| Self { start: start.cast(), length }).map_err(|_| refused)
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: this object alone owns the mapping, and images that lie in it hold an Arc on it.
        if let Err(errno) = unsafe { munmap(self.start.cast(), self.length.get()) } {
            tracing::error!(%errno, "could not unmap memory shared with the application");
        }
    }
}

fn lacks(device: &Device) -> VulkanError {
    VulkanError::Unsupported {
        device: device.name().to_string(),
        feature: "import of CPU memory (VK_EXT_external_memory_host)",
        remedy: "export the application's images as dma-bufs instead",
    }
}
