//! Where a session's eye images come from.

use std::sync::Arc;

use super::view::View;
use crate::compositor::frames::SLOTS;
use crate::compositor::{EyeImages, Pixels};
use crate::vulkan::{Device, VulkanError};

/// What an application shows the eyes.
pub struct Eyes(Kind);

enum Kind {
    Still(Painter),
}

type Painter = Box<dyn FnMut(&[View; 2]) -> [Pixels; 2] + Send>;

impl Eyes {
    /// A pair of pictures that never change, seen from wherever the head turns to. They are painted for the views of the
    /// headset, and anew if it is lost and another one taken in its place. Both must be of one size.
    pub fn still(paint: impl FnMut(&[View; 2]) -> [Pixels; 2] + Send + 'static) -> Self {
        Self(Kind::Still(Box::new(paint)))
    }
}

impl std::fmt::Debug for Eyes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Still(_) => formatter.write_str("Eyes::still"),
        }
    }
}

/// The eye images of a session, and what they are made from.
#[derive(Debug)]
pub(super) struct Slots {
    eyes: Eyes,
    pub images: [Arc<EyeImages>; SLOTS],
}

impl Slots {
    pub fn new(mut eyes: Eyes, device: &Arc<Device>, views: &[View; 2]) -> Result<Self, VulkanError> {
        let images = match &mut eyes.0 {
            Kind::Still(paint) => still(paint, device, views)?,
        };
        Ok(Self { eyes, images })
    }

    /// Makes anew what depends on how the eyes see.
    pub fn refit(&mut self, device: &Arc<Device>, views: &[View; 2]) -> Result<(), VulkanError> {
        match &mut self.eyes.0 {
            Kind::Still(paint) => self.images = still(paint, device, views)?,
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
