//! The Vulkan instance, with the validation layer where asked for.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use ash::{Entry, ext, vk};

use super::error::{Context, VulkanError};

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

static VALIDATION_MESSAGES: AtomicU64 = AtomicU64::new(0);

/// How many warnings and errors the validation layer has uttered in this process. Any at all is a mistake here.
pub fn validation_messages() -> u64 {
    VALIDATION_MESSAGES.load(Ordering::Relaxed)
}

/// A connection to the Vulkan loader.
pub struct Instance {
    // Dropped by hand, messenger first: VUID-vkDestroyInstance-instance-00629.
    messenger: Option<(ext::debug_utils::Instance, vk::DebugUtilsMessengerEXT)>,
    pub(super) raw: ash::Instance,
    pub(super) entry: Entry,
}

impl Instance {
    /// Loads Vulkan. With `validation`, every message of the layer is logged as an error and counted.
    ///
    /// # Errors
    /// When there is no Vulkan loader or no driver, or validation is asked for and its layer not installed.
    pub fn new(validation: bool) -> Result<Self, VulkanError> {
        // SAFETY: loading libvulkan runs its initialisers, which have no requirements on us.
        let entry = unsafe { Entry::load() }.map_err(|error| VulkanError::NoLoader(error.to_string()))?;
        let application = vk::ApplicationInfo::default()
            .application_name(c"leasehold")
            .engine_name(c"leasehold")
            .api_version(vk::API_VERSION_1_3);
        let (mut layers, mut extensions) = (Vec::new(), Vec::new());
        if validation {
            layers.push(VALIDATION_LAYER.as_ptr());
            extensions.push(ext::debug_utils::NAME.as_ptr());
        }
        let info = vk::InstanceCreateInfo::default()
            .application_info(&application)
            .enabled_layer_names(&layers)
            .enabled_extension_names(&extensions);
        // SAFETY: all names are zero-terminated and live across the call.
        let raw = unsafe { entry.create_instance(&info, None) }.map_err(|result| match result {
            vk::Result::ERROR_LAYER_NOT_PRESENT => VulkanError::NoValidation,
            vk::Result::ERROR_INCOMPATIBLE_DRIVER => VulkanError::NoDriver,
            result => VulkanError::Call { operation: "start Vulkan", result },
        })?;
        let mut instance = Self { messenger: None, raw, entry };
        if validation {
            let functions = ext::debug_utils::Instance::new(&instance.entry, &instance.raw);
            let info = messenger_info();
            // SAFETY: the callback is a plain function that lives as long as the program.
            let messenger = unsafe { functions.create_debug_utils_messenger(&info, None) }
                .during("listen to the validation layer")?;
            instance.messenger = Some((functions, messenger));
        }
        Ok(instance)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: every device was dropped before, each holds an Arc on this; the messenger goes before its instance.
        unsafe {
            if let Some((functions, messenger)) = self.messenger.take() {
                functions.destroy_debug_utils_messenger(messenger, None);
            }
            self.raw.destroy_instance(None);
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Instance")
            .field("validation", &self.messenger.is_some())
            .finish_non_exhaustive()
    }
}

fn messenger_info() -> vk::DebugUtilsMessengerCreateInfoEXT<'static> {
    vk::DebugUtilsMessengerCreateInfoEXT::default()
        .message_severity(
            vk::DebugUtilsMessageSeverityFlagsEXT::WARNING | vk::DebugUtilsMessageSeverityFlagsEXT::ERROR,
        )
        .message_type(
            vk::DebugUtilsMessageTypeFlagsEXT::GENERAL
                | vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION
                | vk::DebugUtilsMessageTypeFlagsEXT::PERFORMANCE,
        )
        .pfn_user_callback(Some(on_message))
}

unsafe extern "system" fn on_message(
    _severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    kind: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    _user: *mut c_void,
) -> vk::Bool32 {
    // SAFETY: the layer passes a valid structure for the time of the call (VK_EXT_debug_utils).
    let message = unsafe { (*data).message_as_c_str() }.map_or("".into(), CStr::to_string_lossy);
    if kind.intersects(
        vk::DebugUtilsMessageTypeFlagsEXT::VALIDATION | vk::DebugUtilsMessageTypeFlagsEXT::PERFORMANCE,
    ) {
        VALIDATION_MESSAGES.fetch_add(1, Ordering::Relaxed);
        tracing::error!("Vulkan validation: {message}");
    } else {
        // The loader speaks of drivers it could not load; that is no fault of ours.
        tracing::debug!("Vulkan loader: {message}");
    }
    vk::FALSE
}
