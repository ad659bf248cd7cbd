//! One frame through the real pass, with Vulkan's validation on.

#[path = "../gpu/mod.rs"]
pub mod gpu;

use std::sync::Arc;

use gpu::{assert_valid, device};
use leasehold::compositor::readback::{PanelPicture, Readback};
use leasehold::compositor::{Compositor, EyeImages, Options, Pass, Pixels, Pose};
use leasehold::headset::Headset;
use leasehold::kms::buffer::PixelFormat;
use leasehold::vulkan::Image;

/// One frame through the pass.
pub fn composite(
    headset: &Arc<Headset>,
    eyes: [&Pixels; 2],
    options: Options,
    format: PixelFormat,
) -> PanelPicture {
    composite_with(headset, eyes, options, format, |pass| pass.latch(Pose::AHEAD, Pose::AHEAD, 7))
}

/// The same, latched as wanted.
pub fn composite_with(
    headset: &Arc<Headset>,
    eyes: [&Pixels; 2],
    options: Options,
    format: PixelFormat,
    latch: impl FnOnce(&mut Pass),
) -> PanelPicture {
    let (width, height) = (headset.panel.eye_width * 2, headset.panel.eye_height);
    let compositor = Compositor::new(device(), headset, width, height, format, options).unwrap();
    let images = Arc::new(EyeImages::upload(device(), eyes[0], eyes[1]).unwrap());
    let target = Arc::new(Image::target(device(), compositor.target_format(), width, height).unwrap());
    let mut pass = compositor.pass(&images, &target).unwrap();
    latch(&mut pass);
    pass.run().unwrap();
    let picture = Readback::new(device(), &target, format).unwrap().picture().unwrap();
    assert_valid();
    picture
}
