//! What fits a panel of one size: the headset's data and the pass. Kept where a headset is taken again.

use std::sync::Arc;

use super::SessionError;
use super::options::Options;
use super::venue::{Scanout, Targets, Venue};
use super::view::View;
use crate::compositor::frames::{FrameReader, SLOTS};
use crate::compositor::layer::MAX_LAYERS;
use crate::compositor::mirror::Mirror;
use crate::compositor::overlay::Overlay;
use crate::compositor::{self, calm};
use crate::compositor::{Compositor, EyeImages, History, LoopPicture, VblankLoop};
use crate::display::Display;
use crate::headset::Headset;
use crate::kms::buffer::PixelFormat;
use crate::vulkan::{Device, VulkanError};

/// The pictures that are drawn on. They outlast the display that shows them: where another lease of its card follows, they
/// are shown there.
#[derive(Debug)]
pub struct Scenery {
    pub pictures: Vec<LoopPicture>,
    pub scanout: Scanout,
}

/// The pass for a panel, and the headset whose panel it is.
#[derive(Debug)]
pub struct Fitting {
    size_px: [u32; 2],
    pub format: PixelFormat,
    pub headset: Arc<Headset>,
    pub compositor: Compositor,
    /// What is seen while no app draws.
    calm: Arc<EyeImages>,
    /// What is laid over it all.
    overlay: Option<Arc<Overlay>>,
}

impl Fitting {
    /// For the panel at `venue`.
    pub fn new(options: &Options, device: &Arc<Device>, venue: &Venue) -> Result<Self, SessionError> {
        let size_px @ [width_px, height_px] = venue.size_px(options, device);
        let format = venue.format(options, device)?;
        let headset = Arc::new(venue.headset(options, size_px)?);
        let layers = (options.layers + usize::from(options.board.is_some())).min(MAX_LAYERS);
        let everything = compositor::Options { layers, ..options.optics };
        let compositor = Compositor::new(device, &headset, width_px, height_px, format, everything)?;
        for note in headset.notes.iter().chain(&compositor.mura_note()) {
            tracing::info!("{note}");
        }
        // It has no fine lines.
        let calm_px = [width_px / 2, height_px].map(|pixels| (pixels / 3).max(1));
        let [left, right] = calm::images(&headset, calm_px);
        let calm = Arc::new(EyeImages::upload(device, &left, &right)?);
        let overlay = options.board.as_ref().map(|board| board.put_up(device)).transpose()?;
        Ok(Self { size_px, format, headset, compositor, calm, overlay })
    }

    /// Whether it suits the panel at `venue` too.
    pub fn suits(&self, options: &Options, device: &Device, venue: &Venue) -> Result<bool, SessionError> {
        let same_size = venue.size_px(options, device) == self.size_px;
        Ok(same_size && venue.format(options, device)? == self.format)
    }

    /// How each eye sees.
    pub fn views(&self) -> [View; 2] {
        let eye_px = [self.size_px[0] / 2, self.size_px[1]];
        [0, 1].map(|eye| View::of(&self.headset.eyes[eye], eye_px))
    }

    /// Pictures for the panel at `venue`, drawn from `slots`.
    pub fn scenery(
        &self,
        options: &Options,
        slots: &[Arc<EyeImages>; SLOTS],
        venue: &Venue,
    ) -> Result<Scenery, SessionError> {
        let Targets { pictures, scanout } = venue.targets(options, self.compositor.device(), self.format)?;
        let pictures = pictures
            .into_iter()
            .map(|(target, scanout)| LoopPicture::new(&self.compositor, slots, &self.calm, target, scanout))
            .collect::<Result<_, _>>()?;
        Ok(Scenery { pictures, scanout })
    }

    /// A loop that shows frames in `pictures` on `display`.
    pub fn play(
        &self,
        options: &Options,
        display: Box<dyn Display>,
        pictures: Vec<LoopPicture>,
        frames: FrameReader,
        history: History,
    ) -> Result<VblankLoop, VulkanError> {
        let targets = || pictures.iter().map(|picture| picture.target().clone()).collect();
        let device = self.compositor.device();
        let mirror =
            options.viewer.as_ref().map(|_| Mirror::new(device, targets()).map(Arc::new)).transpose()?;
        if let Some(viewer) = &options.viewer {
            viewer.look_at(mirror.clone());
        }
        let illumination = self.headset.panel.illumination;
        let poses = options.poses.clone();
        Ok(VblankLoop::new(display, pictures, frames, poses, illumination, history)
            .with(mirror, self.overlay.clone()))
    }
}
