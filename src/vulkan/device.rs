//! The device that composites: which one, with which queue, and what it can do beyond Vulkan 1.3.

use std::ffi::CStr;
use std::sync::{Arc, Mutex, PoisonError};

use ash::{ext, khr, vk};

use super::candidate::Candidate;
use super::error::VulkanError;
use super::gpu::{Gpu, name_of};
use super::instance::Instance;
use super::timestamps::{Calibration, Counter};
use crate::thread::priority::{Urgency, lend};
use crate::time::{Instant, Span};

/// What the device can do beyond what is required.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Imports ordinary memory at addresses that are a multiple of this many bytes (`VK_EXT_external_memory_host`).
    /// Without, pictures in CPU memory are copied.
    pub host_memory_alignment: Option<u64>,
    /// Shares memory with other devices of the same GPU (`VK_KHR_external_memory_fd`). Without, an application cannot draw
    /// with Vulkan in this process.
    pub memory_fd: bool,
    /// Imports dma-bufs (`VK_EXT_external_memory_dma_buf`). Without, pictures go through CPU memory.
    pub dma_buf: bool,
    /// Takes dma-bufs with an explicit layout (`VK_EXT_image_drm_format_modifier`). Without, only row by row ones
    /// whose pitch happens to be the driver's own.
    pub modifiers: bool,
    /// Takes images over from other devices and drivers (`VK_EXT_queue_family_foreign`). Without, they are handed over
    /// as from another of its own.
    pub foreign: bool,
}

/// The modifier of pixels laid out row by row: `DRM_FORMAT_MOD_LINEAR` in `drm_fourcc.h`.
pub(super) const LINEAR: u64 = 0;

/// A Vulkan device with one queue for graphics.
pub struct Device {
    pub(super) raw: ash::Device,
    /// Vulkan lets one thread at a time use a queue. The vblank loop is alone with it while it runs.
    pub(super) queue: Mutex<vk::Queue>,
    pub(super) queue_family: u32,
    pub(super) host_memory: Option<ext::external_memory_host::Device>,
    pub(super) memory_fd: Option<khr::external_memory_fd::Device>,
    memory: vk::PhysicalDeviceMemoryProperties,
    name: String,
    is_cpu: bool,
    capabilities: Capabilities,
    queue_priority: &'static str,
    gpu: Gpu,
    pub(super) counter: Counter,
    /// Where the driver can tell its counter and the kernel's clock at one moment.
    calibrated: Option<ext::calibrated_timestamps::Device>,
    // Last, so that the device goes before its instance: VUID-vkDestroyInstance-instance-00629.
    instance: Arc<Instance>,
    physical: vk::PhysicalDevice,
}

impl Device {
    /// Opens the most capable device there is.
    ///
    /// # Errors
    /// When no driver has both Vulkan 1.3 and a queue for graphics, or the driver refuses the device.
    pub fn open(instance: &Arc<Instance>) -> Result<Arc<Self>, VulkanError> {
        Self::open_for(instance, None, None)
    }

    /// Opens the best device for displays of that card, by its device number, and for a thread of this urgency that waits
    /// for it: one that draws on the CPU does so on threads of the same urgency.
    ///
    /// # Errors
    /// When no driver has both Vulkan 1.3 and a queue for graphics, or the driver refuses the device.
    pub fn open_for(
        instance: &Arc<Instance>,
        card: Option<u64>,
        waiter: Option<Urgency>,
    ) -> Result<Arc<Self>, VulkanError> {
        let candidate = Candidate::best(instance, card)?;
        let capabilities = candidate.capabilities(instance);
        let (prioritised, calibrated) =
            (candidate.has(khr::global_priority::NAME), candidate.calibrates(instance));
        let host = capabilities.host_memory_alignment.is_some();
        let memory_fd = capabilities.memory_fd;
        let extensions = [
            (memory_fd, khr::external_memory_fd::NAME),
            (capabilities.dma_buf, ext::external_memory_dma_buf::NAME),
            (capabilities.modifiers, ext::image_drm_format_modifier::NAME),
            (capabilities.foreign, ext::queue_family_foreign::NAME),
            (host, ext::external_memory_host::NAME),
            (prioritised, khr::global_priority::NAME),
            (calibrated, ext::calibrated_timestamps::NAME),
        ];
        let extensions: Vec<&CStr> =
            extensions.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
        let is_cpu = candidate.properties.device_type == vk::PhysicalDeviceType::CPU;
        let create = || create(instance, &candidate, &extensions, prioritised);
        let (raw, queue_priority) = match waiter.filter(|_| is_cpu) {
            Some(urgency) => lend(urgency, create)?,
            None => create()?,
        };
        // SAFETY: one queue of this family was asked for at creation.
        let queue = unsafe { raw.get_device_queue(candidate.queue_family, 0) };
        Ok(Arc::new(Self {
            queue: Mutex::new(queue),
            queue_family: candidate.queue_family,
            host_memory: host.then(|| ext::external_memory_host::Device::new(&instance.raw, &raw)),
            memory_fd: memory_fd.then(|| khr::external_memory_fd::Device::new(&instance.raw, &raw)),
            // SAFETY: the physical device comes from this instance.
            memory: unsafe { instance.raw.get_physical_device_memory_properties(candidate.physical) },
            name: name_of(&candidate.properties),
            is_cpu,
            capabilities,
            queue_priority,
            gpu: Gpu::of(&instance.raw, candidate.physical),
            counter: Counter {
                mask: u64::MAX.checked_shr(u64::BITS - candidate.timestamp_bits).unwrap_or(0),
                period_ns: candidate.properties.limits.timestamp_period.into(),
            },
            calibrated: calibrated.then(|| ext::calibrated_timestamps::Device::new(&instance.raw, &raw)),
            physical: candidate.physical,
            raw,
            instance: instance.clone(),
        }))
    }

    /// What it was opened with.
    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// What it was opened on.
    pub(super) fn physical(&self) -> vk::PhysicalDevice {
        self.physical
    }

    /// What it draws with.
    pub fn gpu(&self) -> Gpu {
        self.gpu
    }

    /// The device's name as its driver tells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is no GPU at all but a program on the CPU.
    pub fn is_cpu(&self) -> bool {
        self.is_cpu
    }

    /// What it can do beyond Vulkan 1.3.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The priority the driver gave our queue: `realtime`, `high`, `medium`, or `unknown` where it has no such notion.
    pub fn queue_priority(&self) -> &'static str {
        self.queue_priority
    }

    /// What to say of a driver that gave our queue less than the highest priority, with the remedy.
    pub fn queue_refusal(&self) -> Option<String> {
        refusal_of(self.queue_priority)
    }

    /// Its counter, with which it stamps its work.
    pub fn counter(&self) -> Counter {
        self.counter
    }

    /// What its counter says on the kernel's clock now; `None` where the driver cannot tell. Not for the vblank loop: a
    /// driver may have to ask the kernel.
    pub fn calibrate(&self) -> Option<Calibration> {
        let of = |domain| vk::CalibratedTimestampInfoEXT::default().time_domain(domain);
        let domains = [of(vk::TimeDomainEXT::DEVICE), of(vk::TimeDomainEXT::CLOCK_MONOTONIC)];
        // SAFETY: the device has the extension, and both domains were found to be among its own.
        let (stamps, deviation) =
            unsafe { self.calibrated.as_ref()?.get_calibrated_timestamps(&domains) }.ok()?;
        Some(Calibration {
            counter: self.counter,
            ticks: stamps[0],
            at: Instant::from_ns(stamps[1] as i64),
            deviation: Span::from_ns(deviation as i64),
        })
    }

    /// Whether the device draws on images of this format.
    pub(crate) fn draws(&self, format: vk::Format) -> bool {
        self.format(format).optimal_tiling_features.contains(vk::FormatFeatureFlags::COLOR_ATTACHMENT)
    }

    /// What the device can do with images of this format laid out row by row.
    pub(super) fn linear_features(&self, format: vk::Format) -> vk::FormatFeatureFlags {
        self.format(format).linear_tiling_features
    }

    fn format(&self, format: vk::Format) -> vk::FormatProperties {
        // SAFETY: the physical device comes from this instance.
        unsafe { self.instance.raw.get_physical_device_format_properties(self.physical, format) }
    }

    /// Whether the device can use images like `info` that lie in dma-bufs, laid out by that modifier.
    pub(super) fn imports_dma_bufs(&self, info: &vk::ImageCreateInfo<'_>, modifier: u64) -> bool {
        let mut modifier = vk::PhysicalDeviceImageDrmFormatModifierInfoEXT::default()
            .drm_format_modifier(modifier)
            .sharing_mode(info.sharing_mode);
        // VUID-VkPhysicalDeviceImageFormatInfo2-tiling-02249: with this tiling and no other.
        let modifier = (info.tiling == vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT).then_some(&mut modifier);
        self.external_features(info, vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT, modifier)
            .contains(vk::ExternalMemoryFeatureFlags::IMPORTABLE)
    }

    /// Whether images like `info` can lie in memory that this device and others of the same GPU and driver share.
    pub(super) fn shares(&self, info: &vk::ImageCreateInfo<'_>) -> bool {
        let both = vk::ExternalMemoryFeatureFlags::EXPORTABLE | vk::ExternalMemoryFeatureFlags::IMPORTABLE;
        self.external_features(info, vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD, None).contains(both)
    }

    /// What the device can do with memory of that kind for images like `info`: nothing, where it cannot make such images.
    fn external_features(
        &self,
        info: &vk::ImageCreateInfo<'_>,
        kind: vk::ExternalMemoryHandleTypeFlags,
        modifier: Option<&mut vk::PhysicalDeviceImageDrmFormatModifierInfoEXT<'_>>,
    ) -> vk::ExternalMemoryFeatureFlags {
        let mut handle = vk::PhysicalDeviceExternalImageFormatInfo::default().handle_type(kind);
        let mut question = vk::PhysicalDeviceImageFormatInfo2::default()
            .format(info.format)
            .ty(info.image_type)
            .tiling(info.tiling)
            .usage(info.usage)
            .flags(info.flags)
            .push_next(&mut handle);
        if let Some(modifier) = modifier {
            question = question.push_next(modifier);
        }
        let mut external = vk::ExternalImageFormatProperties::default();
        let mut answer = vk::ImageFormatProperties2::default().push_next(&mut external);
        // SAFETY: the physical device comes from this instance and has the extensions of the chained structures.
        let supported = unsafe {
            self.instance.raw.get_physical_device_image_format_properties2(
                self.physical,
                &question,
                &mut answer,
            )
        };
        let largest = answer.image_format_properties.max_extent;
        let large = info.extent.width > largest.width || info.extent.height > largest.height;
        match supported {
            Ok(()) if !large => external.external_memory_properties.external_memory_features,
            _ => vk::ExternalMemoryFeatureFlags::empty(),
        }
    }

    /// A memory type among `allowed` (a mask) with all of `wanted`, else any allowed one with all of `needed`.
    pub(super) fn memory_type(
        &self,
        allowed: u32,
        wanted: vk::MemoryPropertyFlags,
        needed: vk::MemoryPropertyFlags,
    ) -> Result<u32, VulkanError> {
        let types = &self.memory.memory_types[..self.memory.memory_type_count as usize];
        [wanted, needed]
            .into_iter()
            .find_map(|flags| {
                (0u32..)
                    .zip(types)
                    .find(|(index, kind)| allowed & (1 << index) != 0 && kind.property_flags.contains(flags))
            })
            .map(|(index, _)| index)
            .ok_or(VulkanError::Unsupported {
                device: self.name.clone(),
                feature: "a suitable kind of memory",
                remedy: "try another driver with VK_DRIVER_FILES",
            })
    }

    /// Waits until all work given to the device is done. For shutting down only.
    pub fn wait_idle(&self) {
        let _queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: host synchronisation: the lock keeps other threads off the queue.
        if let Err(result) = unsafe { self.raw.device_wait_idle() } {
            tracing::debug!(%result, "the device did not finish its work");
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: every object made from the device holds an Arc on it, so none is left
        // (VUID-vkDestroyDevice-device-05137), and each waited for its work.
        unsafe { self.raw.destroy_device(None) };
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Device").field("name", &self.name).finish_non_exhaustive()
    }
}

fn refusal_of(granted: &str) -> Option<String> {
    // A driver without a notion of priorities refused nothing.
    let refused = !["realtime", "unknown"].contains(&granted);
    refused.then(|| {
        format!(
            "a GPU queue of realtime priority was refused, it has {granted}: give the program CAP_SYS_NICE ('setcap \
             cap_sys_nice+ep', or AmbientCapabilities in its unit)"
        )
    })
}

/// Creates the device with the highest queue priority that the driver grants us.
fn create(
    instance: &Instance,
    candidate: &Candidate,
    extensions: &[&CStr],
    prioritised: bool,
) -> Result<(ash::Device, &'static str), VulkanError> {
    let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
    let priorities: &[_] = if prioritised {
        &[
            (vk::QueueGlobalPriorityKHR::REALTIME, "realtime"),
            (vk::QueueGlobalPriorityKHR::HIGH, "high"),
            (vk::QueueGlobalPriorityKHR::MEDIUM, "medium"),
        ]
    } else {
        &[(vk::QueueGlobalPriorityKHR::MEDIUM, "unknown")]
    };
    let mut refused = vk::Result::ERROR_INITIALIZATION_FAILED;
    for &(priority, name) in priorities {
        let mut global = vk::DeviceQueueGlobalPriorityCreateInfoKHR::default().global_priority(priority);
        let mut queue = vk::DeviceQueueCreateInfo::default()
            .queue_family_index(candidate.queue_family)
            .queue_priorities(&[1.0]);
        if prioritised {
            queue = queue.push_next(&mut global);
        }
        let queues = [queue];
        let mut features =
            vk::PhysicalDeviceVulkan13Features::default().dynamic_rendering(true).synchronization2(true);
        let mut gates = vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut features)
            .push_next(&mut gates);
        // SAFETY: the extensions were found on this device; the features are mandatory in Vulkan 1.3.
        match unsafe { instance.raw.create_device(candidate.physical, &info, None) } {
            Ok(device) => return Ok((device, name)),
            // VK_KHR_global_priority: a driver may refuse what needs CAP_SYS_NICE.
            Err(vk::Result::ERROR_NOT_PERMITTED_KHR | vk::Result::ERROR_INITIALIZATION_FAILED) => {
                refused = vk::Result::ERROR_NOT_PERMITTED_KHR;
            }
            Err(result) => return Err(VulkanError::Call { operation: "open the device", result }),
        }
    }
    Err(VulkanError::Call { operation: "open the device", result: refused })
}

#[cfg(test)]
mod tests {
    use super::refusal_of;

    #[test]
    fn a_refused_queue_priority_is_said_with_its_remedy() {
        for granted in ["high", "medium"] {
            let refusal = refusal_of(granted).expect("less than the highest");
            assert!(refusal.contains(granted) && refusal.contains("cap_sys_nice"), "{refusal}");
        }
        assert_eq!(refusal_of("realtime"), None);
        assert_eq!(refusal_of("unknown"), None);
    }
}
