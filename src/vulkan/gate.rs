//! A gate that submitted work waits before, until the CPU opens it.
//!
//! A timeline semaphore, which may be waited for before anyone signals it (Vulkan, "Semaphores"). An event would have the
//! device itself wait, but one that submitted work waits for must not be set by the CPU any more
//! (VUID-vkSetEvent-event-09543).

use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::error::{Context, VulkanError};

/// Closed for each submit anew.
pub struct Gate {
    device: Arc<Device>,
    pub(super) raw: vk::Semaphore,
    /// What the semaphore counts to when it is opened next.
    pub(super) next: u64,
}

impl Gate {
    /// A closed gate.
    ///
    /// # Errors
    /// When the driver has no memory left for it.
    pub fn new(device: &Arc<Device>) -> Result<Self, VulkanError> {
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the description is complete; timeline semaphores are enabled on every device (`device::create`).
        let raw = unsafe { device.raw.create_semaphore(&info, None) }.during("create a semaphore")?;
        Ok(Self { device: device.clone(), raw, next: 1 })
    }

    /// Lets through what was submitted behind it, and is closed for what comes later.
    ///
    /// # Errors
    /// When the driver has no memory left to say so to the device.
    pub fn open(&mut self) -> Result<(), VulkanError> {
        let info = vk::SemaphoreSignalInfo::default().semaphore(self.raw).value(self.next);
        self.next += 1;
        // SAFETY: the value is above all earlier ones, and nothing else signals the semaphore
        // (VUID-VkSemaphoreSignalInfo-value-03258).
        unsafe { self.device.raw.signal_semaphore(&info) }.during("let the device go on")
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // SAFETY: what was submitted behind it has been waited for (module rule).
        unsafe { self.device.raw.destroy_semaphore(self.raw, None) };
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gate").field("next", &self.next).finish_non_exhaustive()
    }
}
