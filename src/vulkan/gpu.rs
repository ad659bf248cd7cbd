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
        // SAFETY: the structure is Vulkan 1.1's own.
        let ids: vk::PhysicalDeviceIDProperties<'_> = unsafe { properties_of(instance, physical) };
        Self { device_uuid: ids.device_uuid, driver_uuid: ids.driver_uuid }
    }
}

/// Those properties of a physical device that the structure `T` is for.
///
/// # Safety
/// The physical device comes from `instance`, and has the version or the extension that `T` comes with.
pub(super) unsafe fn properties_of<T: vk::ExtendsPhysicalDeviceProperties2 + Default>(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
) -> T {
    let mut wanted = T::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut wanted);
    // SAFETY: as the caller promises.
    unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
    wanted
}

/// A device's name as its driver tells it.
pub(super) fn name_of(properties: &vk::PhysicalDeviceProperties) -> String {
    properties
        .device_name_as_c_str()
        .map_or_else(|_| "a GPU".to_string(), |name| name.to_string_lossy().into_owned())
}
