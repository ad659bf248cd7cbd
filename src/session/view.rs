//! How an eye sees: what an application has to know to draw for it.

use crate::headset::{Eye, Tangents};

/// One eye's view into the room.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The directions that its image spans.
    pub tangents: Tangents,
    /// Takes a point from the eye's space to the head's, in metres: three rows of rotation and translation. Both spaces
    /// have x right, y up and z backwards.
    pub eye_to_head: [[f64; 4]; 3],
    /// Its part of the panel, in pixels.
    pub panel_px: [u32; 2],
    /// How large an image shows all that its lens and panel can, in pixels.
    pub recommended_px: [u32; 2],
}

/// The lens magnifies the middle, so an image that is as fine there as the panel is larger by this much, each way.
const OVERSIZE: f64 = 1.4;

impl View {
    /// Of an eye with so many pixels of the panel.
    pub fn of(eye: &Eye, panel_px: [u32; 2]) -> Self {
        Self {
            tangents: eye.tangents,
            eye_to_head: eye.eye_to_head,
            panel_px,
            recommended_px: panel_px.map(|pixels| (f64::from(pixels) * OVERSIZE).round() as u32),
        }
    }
}
