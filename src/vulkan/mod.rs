//! Thin owners of Vulkan objects over `ash`. Knows nothing of displays.
//!
//! Each object holds the [`Device`] it came from and destroys itself when dropped; whoever drops one has waited for
//! the work that uses it (all work here is waited for by fence). Vulkan 1.3 is required; everything beyond it is in
//! [`Capabilities`](device::Capabilities), each with what happens without.

#![allow(unsafe_code)]

pub mod app;
pub mod buffer;
mod candidate;
pub mod commands;
pub mod device;
pub mod error;
pub mod gate;
pub mod gpu;
pub mod image;
pub mod instance;
pub mod mapping;
pub mod pipeline;
pub mod timestamps;

pub use buffer::Buffer;
pub use commands::Commands;
pub use device::Device;
pub use error::VulkanError;
pub use gate::Gate;
pub use image::Image;
pub use instance::Instance;
pub use mapping::Mapping;
