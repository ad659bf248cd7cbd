//! Shows frames on a headset: one Vulkan pass a vblank.

pub mod composite;
pub mod eye_images;
pub mod mesh;
pub mod pose;
pub mod reference;
mod uniforms;

pub use composite::{Compositor, Options};
pub use eye_images::{EyeImages, Pixels};
pub use pose::Pose;
