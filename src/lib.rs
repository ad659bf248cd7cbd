//! Puts frames on a VR headset under Linux, exactly and on time, and always gives the display back.

pub mod cli;
pub mod compositor;
pub mod demo;
pub mod display;
pub mod error;
pub mod fetch;
pub mod files;
pub mod headset;
pub mod hid;
pub mod kms;
pub mod lease;
pub mod pacing;
mod random;
pub mod report;
pub mod session;
pub mod thread;
pub mod time;
pub mod vulkan;

pub use session::Headset;
