//! Where a session's eye images come from.

use std::sync::Arc;

use super::view::View;
use crate::compositor::eye_images::SharedImage;
use crate::compositor::frames::SLOTS;
use crate::compositor::{EyeImages, Pixels};
use crate::vulkan::{Device, Mapping, VulkanError};

/// What an application shows the eyes.
pub struct Eyes(Kind);

enum Kind {
    Still(Painter),
    Pixels([u32; 2]),
    /// A pair for each slot until they are imported, none after.
    Shared(Vec<[SharedImage; 2]>),
}

type Painter = Box<dyn FnMut(&[View; 2]) -> [Pixels; 2] + Send>;

impl Eyes {
    /// A pair of pictures that never change, seen from wherever the head turns to. They are painted for the views of the
    /// headset, and anew if it is lost and another one taken in its place. Both must be of one size.
    pub fn still(paint: impl FnMut(&[View; 2]) -> [Pixels; 2] + Send + 'static) -> Self {
        Self(Kind::Still(Box::new(paint)))
    }

    /// Pictures of that size, each side 1 at least, whose pixels the application writes each frame:
    /// [`Frame::canvas`](super::Frame::canvas) and [`Frame::paint`](super::Frame::paint).
    pub fn pixels(size_px: [u32; 2]) -> Self {
        Self(Kind::Pixels(size_px))
    }

    /// Pictures in dma-bufs, that any engine, GPU or process draws: pairs of a left and a right one, all of one size.
    /// Which pair a frame is to be drawn in, [`Frame::pair`](super::Frame::pair) says; what they hold before may be lost.
    pub fn shared(pairs: [[SharedImage; 2]; SLOTS]) -> Self {
        Self(Kind::Shared(Vec::from(pairs)))
    }
}

impl std::fmt::Debug for Eyes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match &self.0 {
            Kind::Still(_) => "Eyes::still",
            Kind::Pixels(_) => "Eyes::pixels",
            Kind::Shared(_) => "Eyes::shared",
        })
    }
}

/// The pixels that the application writes: of each slot, the left and the right image's.
pub(super) type Canvases = Vec<[Mapping; 2]>;

/// The eye images of a session, and what they are made from.
#[derive(Debug)]
pub(super) struct Slots {
    eyes: Eyes,
    pub images: [Arc<EyeImages>; SLOTS],
}

impl Slots {
    pub fn new(
        mut eyes: Eyes,
        device: &Arc<Device>,
        views: &[View; 2],
    ) -> Result<(Self, Canvases), VulkanError> {
        let mut canvases = Vec::new();
        let images = match &mut eyes.0 {
            Kind::Still(paint) => still(paint, device, views)?,
            Kind::Pixels(size_px) => each(|_| {
                let (images, pixels) = EyeImages::drawn_by_cpu(device, *size_px)?;
                canvases.push(pixels);
                Ok(images)
            })?,
            Kind::Shared(pairs) => {
                let mut pairs = pairs.drain(..);
                each(|_| EyeImages::drawn_elsewhere(device, pairs.next().expect("a pair for each slot")))?
            }
        };
        Ok((Self { eyes, images }, canvases))
    }

    /// Makes anew what depends on how the eyes see.
    pub fn refit(&mut self, device: &Arc<Device>, views: &[View; 2]) -> Result<(), VulkanError> {
        match &mut self.eyes.0 {
            Kind::Still(paint) => self.images = still(paint, device, views)?,
            // Drawn anew with every frame.
            Kind::Pixels(_) | Kind::Shared(_) => {}
        }
        Ok(())
    }
}

/// What does not change can lie in all slots at once.
fn still(
    paint: &mut Painter,
    device: &Arc<Device>,
    views: &[View; 2],
) -> Result<[Arc<EyeImages>; SLOTS], VulkanError> {
    let [left, right] = paint(views);
    let images = Arc::new(EyeImages::upload(device, &left, &right)?);
    Ok([images.clone(), images.clone(), images])
}

fn each(
    mut make: impl FnMut(usize) -> Result<EyeImages, VulkanError>,
) -> Result<[Arc<EyeImages>; SLOTS], VulkanError> {
    let images = [make(0)?, make(1)?, make(2)?];
    Ok(images.map(Arc::new))
}
