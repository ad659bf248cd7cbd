//! Which of a machine's Vulkan devices draws, and what it has.

use std::ffi::CStr;

use ash::{ext, khr, vk};
use nix::sys::stat::makedev;

use super::device::Capabilities;
use super::error::{Context, VulkanError};
use super::gpu::{name_of, properties_of};
use super::instance::Instance;

/// A device that could be opened: it has Vulkan 1.3 and a queue for graphics.
pub(super) struct Candidate {
    pub physical: vk::PhysicalDevice,
    pub properties: vk::PhysicalDeviceProperties,
    extensions: Vec<vk::ExtensionProperties>,
    pub queue_family: u32,
    /// How many bits of its queue's time stamps count.
    pub timestamp_bits: u32,
}

impl Candidate {
    /// The one to draw for displays of that card, by its device number: the card's own, for it draws where they scan out
    /// and no picture has to go from GPU to GPU; else the most capable.
    pub fn best(instance: &Instance, card: Option<u64>) -> Result<Self, VulkanError> {
        // SAFETY: the instance is alive.
        let devices =
            unsafe { instance.raw.enumerate_physical_devices() }.during("list the Vulkan devices")?;
        let mut candidates = Vec::new();
        let mut too_old = None;
        for physical in devices {
            // SAFETY: the physical device comes from this instance.
            let properties = unsafe { instance.raw.get_physical_device_properties(physical) };
            if properties.api_version < vk::API_VERSION_1_3 {
                too_old = Some(name_of(&properties));
                continue;
            }
            candidates.extend(Self::of(instance, physical, properties)?);
        }
        let merit =
            |candidate: &Self| merit(candidate.card(instance), candidate.properties.device_type, card);
        candidates.into_iter().max_by_key(merit).ok_or(match too_old {
            Some(device) => {
                VulkanError::Unsupported { device, feature: "Vulkan 1.3", remedy: "update its driver" }
            }
            None => VulkanError::NoDriver,
        })
    }

    /// `None` where it has no queue for graphics.
    fn of(
        instance: &Instance,
        physical: vk::PhysicalDevice,
        properties: vk::PhysicalDeviceProperties,
    ) -> Result<Option<Self>, VulkanError> {
        // SAFETY: the physical device comes from this instance.
        let families = unsafe { instance.raw.get_physical_device_queue_family_properties(physical) };
        let graphics =
            families.iter().position(|family| family.queue_flags.contains(vk::QueueFlags::GRAPHICS));
        let Some(queue_family) = graphics else { return Ok(None) };
        // SAFETY: as above.
        let extensions = unsafe { instance.raw.enumerate_device_extension_properties(physical) }
            .during("list a device's extensions")?;
        let timestamp_bits = families[queue_family].timestamp_valid_bits;
        let queue_family = queue_family as u32;
        Ok(Some(Self { physical, properties, extensions, queue_family, timestamp_bits }))
    }

    /// Whether it has that extension.
    pub fn has(&self, name: &CStr) -> bool {
        self.extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name))
    }

    /// The device number of the card that its GPU's displays hang on, where it has any and the driver tells.
    fn card(&self, instance: &Instance) -> Option<u64> {
        if !self.has(ext::physical_device_drm::NAME) {
            return None;
        }
        // SAFETY: the physical device comes from this instance and has the extension.
        let drm: vk::PhysicalDeviceDrmPropertiesEXT<'_> =
            unsafe { properties_of(&instance.raw, self.physical) };
        let number = || Some(makedev(drm.primary_major.try_into().ok()?, drm.primary_minor.try_into().ok()?));
        (drm.has_primary == vk::TRUE).then(number)?
    }

    /// What it can do beyond Vulkan 1.3.
    pub fn capabilities(&self, instance: &Instance) -> Capabilities {
        let memory_fd = self.has(khr::external_memory_fd::NAME);
        let dma_buf = memory_fd && self.has(ext::external_memory_dma_buf::NAME);
        let host = self.has(ext::external_memory_host::NAME);
        Capabilities {
            host_memory_alignment: host.then(|| host_alignment(instance, self.physical)),
            memory_fd,
            dma_buf,
            modifiers: dma_buf && self.has(ext::image_drm_format_modifier::NAME),
            foreign: self.has(ext::queue_family_foreign::NAME),
        }
    }

    /// Whether it can tell what its counter says on the kernel's clock.
    pub fn calibrates(&self, instance: &Instance) -> bool {
        if self.timestamp_bits == 0 || !self.has(ext::calibrated_timestamps::NAME) {
            return false;
        }
        let functions = ext::calibrated_timestamps::Instance::new(&instance.entry, &instance.raw);
        // SAFETY: the physical device comes from this instance and has the extension.
        let domains = unsafe { functions.get_physical_device_calibrateable_time_domains(self.physical) };
        let domains = domains.unwrap_or_default();
        [vk::TimeDomainEXT::DEVICE, vk::TimeDomainEXT::CLOCK_MONOTONIC]
            .iter()
            .all(|domain| domains.contains(domain))
    }
}

/// How well a device of that kind, whose displays hang on card `own`, suits displays of the card `wanted`.
fn merit(own: Option<u64>, kind: vk::PhysicalDeviceType, wanted: Option<u64>) -> (bool, u32) {
    let capable = match kind {
        vk::PhysicalDeviceType::DISCRETE_GPU => 3,
        vk::PhysicalDeviceType::INTEGRATED_GPU => 2,
        vk::PhysicalDeviceType::VIRTUAL_GPU => 1,
        _ => 0,
    };
    (own.is_some() && own == wanted, capable)
}

fn host_alignment(instance: &Instance, physical: vk::PhysicalDevice) -> u64 {
    // SAFETY: the physical device comes from this instance and has the extension: the caller looked.
    let host: vk::PhysicalDeviceExternalMemoryHostPropertiesEXT<'_> =
        unsafe { properties_of(&instance.raw, physical) };
    host.min_imported_host_pointer_alignment
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD0: Option<u64> = Some(226 << 8);
    const CARD1: Option<u64> = Some((226 << 8) | 1);

    #[test]
    fn a_display_is_drawn_for_by_its_own_gpu_if_there_is_one_and_by_the_best_if_not() {
        let devices = [
            (CARD0, vk::PhysicalDeviceType::INTEGRATED_GPU),
            (CARD1, vk::PhysicalDeviceType::DISCRETE_GPU),
            (None, vk::PhysicalDeviceType::CPU),
        ];
        let best =
            |wanted| devices.into_iter().max_by_key(|&(own, kind)| merit(own, kind, wanted)).unwrap().0;
        assert_eq!(best(CARD0), CARD0);
        assert_eq!(best(CARD1), CARD1);
        assert_eq!(best(Some(226 << 8 | 2)), CARD1);
        assert_eq!(best(None), CARD1);
    }
}
