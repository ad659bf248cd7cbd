//! Shows frames on a headset: one Vulkan pass a vblank.

pub mod calm;
pub mod composite;
mod constants;
pub mod errand;
pub mod eye_images;
pub mod frames;
pub mod history;
pub mod latch;
pub mod layer;
pub mod mesh;
pub mod mirror;
pub mod overlay;
pub mod pose;
pub mod presence;
pub mod readback;
pub mod reference;
pub mod run;
pub mod scanout;
mod uniforms;
pub mod vblank_loop;

pub use composite::{Compositor, Options, Pass};
pub use eye_images::{EyeImages, Pixels};
pub use history::History;
pub use latch::{Latch, Latched};
pub use layer::{Anchor, Layer, LayerImage, Quad};
pub use pose::{Ahead, Pose, PoseSource, Seen};
pub use run::{Ended, Limit, Run};
pub use vblank_loop::{LoopPicture, VblankLoop};
