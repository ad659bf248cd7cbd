//! A Vulkan device with validation on: any message of it fails the test.

use std::sync::{Arc, OnceLock};

use leasehold::vulkan::instance::validation_messages;
use leasehold::vulkan::{Device, Instance};

/// The device of all tests of one program.
pub fn device() -> &'static Arc<Device> {
    static DEVICE: OnceLock<Arc<Device>> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let instance = Instance::new(true).expect("Vulkan and its validation layer");
        Device::open(&Arc::new(instance)).expect("a Vulkan device")
    })
}

/// Panics when the validation layer has said anything.
pub fn assert_valid() {
    assert_eq!(validation_messages(), 0, "the validation layer found mistakes");
}
