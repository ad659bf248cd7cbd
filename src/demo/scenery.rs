//! What is drawn, and with what, for a panel of one size: kept where a headset is taken again.

use std::sync::Arc;

use super::stage::{Stage, Venue};
use super::{DemoError, FORMAT, Settings, app};
use crate::compositor::frames::{FrameReader, SLOTS};
use crate::compositor::{Compositor, EyeImages, History, LoopPicture, Options, VblankLoop};
use crate::headset::Headset;
use crate::vulkan::{Device, VulkanError};

/// The scene's images and the pass that shows them.
pub struct Scenery {
    size_px: [u32; 2],
    pub headset: Arc<Headset>,
    pub compositor: Compositor,
    slots: [Arc<EyeImages>; SLOTS],
}

impl Scenery {
    /// For the panel at `venue`.
    pub fn new(settings: &Settings, device: &Arc<Device>, venue: &Venue) -> Result<Self, DemoError> {
        let size_px @ [width_px, height_px] = venue.size_px(settings, device);
        let headset = Arc::new(venue.headset(settings, size_px)?);
        let compositor = Compositor::new(device, &headset, width_px, height_px, FORMAT, Options::default())?;
        for note in headset.notes.iter().chain(&compositor.mura_note()) {
            tracing::info!("{note}");
        }
        let [left, right] = settings.scene.images(&headset, [width_px / 2, height_px])?;
        let images = Arc::new(EyeImages::upload(device, &left, &right)?);
        // The scene does not change, so all slots share its images.
        Ok(Self { size_px, headset, compositor, slots: [images.clone(), images.clone(), images] })
    }

    /// Whether it suits the panel at `venue` too.
    pub fn suits(&self, settings: &Settings, device: &Device, venue: &Venue) -> bool {
        venue.size_px(settings, device) == self.size_px
    }

    /// A loop that shows it on `stage`.
    pub fn play(
        &self,
        settings: &Settings,
        stage: Stage,
        frames: FrameReader,
        history: History,
    ) -> Result<VblankLoop, VulkanError> {
        let pictures = stage
            .targets
            .into_iter()
            .map(|(target, scanout)| LoopPicture::new(&self.compositor, &self.slots, target, scanout))
            .collect::<Result<_, _>>()?;
        let sway = app::Sway { degrees: if settings.scene.sways() { 5.0 } else { 0.0 } };
        let illumination = self.headset.panel.illumination;
        Ok(VblankLoop::new(stage.display, pictures, frames, Box::new(sway), illumination, history))
    }
}
