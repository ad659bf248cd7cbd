//! The device that would composite.

use std::sync::Arc;

use super::super::facts::VulkanFacts;
use crate::vulkan::{Device, Instance, VulkanError};

/// Opens it.
pub fn look() -> Result<VulkanFacts, VulkanError> {
    let device = Device::open(&Arc::new(Instance::new(false)?))?;
    let can = device.capabilities();
    let extensions = [
        (can.dma_buf, "VK_EXT_external_memory_dma_buf"),
        (can.modifiers, "VK_EXT_image_drm_format_modifier"),
        (can.host_memory_alignment.is_some(), "VK_EXT_external_memory_host"),
    ];
    Ok(VulkanFacts {
        device: device.name().to_string(),
        is_cpu: device.is_cpu(),
        lacks: extensions.into_iter().filter_map(|(has, name)| (!has).then_some(name)).collect(),
        draws_on_dma_bufs: can.dma_buf,
        queue_priority: device.queue_priority(),
    })
}
