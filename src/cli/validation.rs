//! Vulkan's validation layer, for tests: any message of it fails the run.

use super::Failure;
use crate::error::Class;
use crate::vulkan::instance::validation_messages;

/// Whether `LEASEHOLD_VALIDATION=1` asks for it.
pub fn wanted() -> bool {
    std::env::var_os("LEASEHOLD_VALIDATION").is_some_and(|value| value == "1")
}

/// Fails if the layer had anything to say.
pub fn check() -> Result<(), Failure> {
    match validation_messages() {
        0 => Ok(()),
        count => Err(Failure::new(
            Class::Bug,
            format!("the Vulkan validation layer found {count} mistakes of ours"),
        )),
    }
}
