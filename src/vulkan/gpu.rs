//! Which GPU a device draws with.

use ash::vk;

/// A GPU and its driver. Devices of one and the same can share memory whatever its layout (Vulkan, "External Memory Handle
/// Types Compatibility").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// `VkPhysicalDeviceIDProperties::deviceUUID`.
    pub device_uuid: [u8; vk::UUID_SIZE],
    /// `VkPhysicalDeviceIDProperties::driverUUID`.
    pub driver_uuid: [u8; vk::UUID_SIZE],
}

impl Gpu {
    /// This one among those that an application's instance knows; `None` where it is not among them.
    ///
    /// # Safety
    /// The instance is alive, and of Vulkan 1.1 at least.
    pub unsafe fn find(self, instance: &ash::Instance) -> Option<vk::PhysicalDevice> {
        // SAFETY: as the caller promises.
        let all = unsafe { instance.enumerate_physical_devices() }.ok()?;
        all.into_iter().find(|&physical| Self::of(instance, physical) == self)
    }

    /// That of a physical device, which comes from `instance`, of Vulkan 1.1 at least.
    pub(super) fn of(instance: &ash::Instance, physical: vk::PhysicalDevice) -> Self {
        let mut ids = vk::PhysicalDeviceIDProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
        // SAFETY: the physical device comes from this instance.
        unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
        Self { device_uuid: ids.device_uuid, driver_uuid: ids.driver_uuid }
    }
}

/// A device's name as its driver tells it.
pub(super) fn name_of(properties: &vk::PhysicalDeviceProperties) -> String {
    properties
        .device_name_as_c_str()
        .map_or_else(|_| "a GPU".to_string(), |name| name.to_string_lossy().into_owned())
}
