//! Puts frames on a VR headset under Linux, exactly and on time, and always gives the display back.
//!
//! With the feature `headset`, a default, it is all of that. Without, it is what a window manager needs and no more: the
//! lessor ([`lease`]), the card ([`kms`]) and the vblank clock ([`pacing`]), with no Vulkan, X11 or window in it.

pub mod error;
pub mod kms;
pub mod lease;
pub mod pacing;
pub mod thread;
pub mod time;

#[cfg(feature = "headset")]
pub mod cli;
#[cfg(feature = "headset")]
pub mod compositor;
#[cfg(feature = "headset")]
pub mod demo;
#[cfg(feature = "headset")]
pub mod display;
#[cfg(feature = "headset")]
pub mod fetch;
#[cfg(feature = "headset")]
pub mod files;
#[cfg(feature = "headset")]
pub mod headset;
#[cfg(feature = "headset")]
pub mod hid;
#[cfg(feature = "headset")]
mod random;
#[cfg(feature = "headset")]
pub mod report;
#[cfg(feature = "headset")]
pub mod session;
#[cfg(feature = "headset")]
pub mod vulkan;

#[cfg(feature = "headset")]
pub use session::Headset;
