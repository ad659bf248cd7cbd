//! What can go wrong with Vulkan.

use ash::vk;

use crate::error::{Class, Classified};

/// A Vulkan call that failed, or a driver that lacks something.
#[derive(Debug, thiserror::Error)]
pub enum VulkanError {
    /// There is no Vulkan loader on this machine.
    #[error("no Vulkan loader (libvulkan.so.1) found: install libvulkan1 ({0})")]
    NoLoader(String),
    /// There is a loader but no driver that can be used.
    #[error(
        "no Vulkan driver found: install your GPU's driver (mesa-vulkan-drivers has one for most GPUs and one that \
         needs none), or see that VK_DRIVER_FILES names one that is there"
    )]
    NoDriver,
    /// No driver offers what is needed.
    #[error("{device} lacks {feature}: {remedy}")]
    Unsupported {
        /// The device that was looked at.
        device: String,
        /// What it lacks.
        feature: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The application draws with another GPU, or with another driver of it.
    #[error(
        "the application draws with another GPU or driver ({theirs}) than the headset's pictures are made with ({ours}): \
         open its device where Headset::gpu says, or share its images as dma-bufs"
    )]
    OtherGpu {
        /// The application's.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// Validation was asked for and is not installed.
    #[error("the Vulkan validation layer is not installed: install vulkan-validationlayers")]
    NoValidation,
    /// A call failed.
    #[error("could not {operation}: {result}")]
    Call {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// The driver's answer.
        result: vk::Result,
    },
}

impl Classified for VulkanError {
    fn class(&self) -> Class {
        match self {
            Self::Call { result: vk::Result::ERROR_DEVICE_LOST, .. } => Class::DeviceLost,
            Self::Call { result: vk::Result::ERROR_OUT_OF_DEVICE_MEMORY, .. }
            | Self::Call { result: vk::Result::ERROR_OUT_OF_HOST_MEMORY, .. } => Class::Retry,
            Self::Call { .. } => Class::Bug,
            _ => Class::Config,
        }
    }
}

/// Names the operation beside a driver's answer.
pub(super) trait Context<T> {
    fn during(self, operation: &'static str) -> Result<T, VulkanError>;
}

impl<T> Context<T> for Result<T, vk::Result> {
    fn during(self, operation: &'static str) -> Result<T, VulkanError> {
        self.map_err(|result| VulkanError::Call { operation, result })
    }
}
