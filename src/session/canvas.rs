//! Pixels for an application that draws on the CPU.

use super::view::View;
use crate::compositor::Pose;
use crate::vulkan::Mapping;

/// One eye's image of a frame, to be written. It holds what was drawn three frames ago, or black.
#[derive(Debug)]
pub struct Canvas<'a> {
    pixels: &'a mut Mapping,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(pixels: &'a mut Mapping) -> Self {
        Self { pixels }
    }

    /// Width and height in pixels.
    pub fn size_px(&self) -> [u32; 2] {
        self.pixels.size_px()
    }

    /// A row from the top: red, green, blue of each pixel, sRGB-encoded, and a fourth part that is left out of account.
    /// Best written from left to right and not read: on some GPUs it lies in memory that is slow to read.
    ///
    /// # Panics
    /// When there are fewer rows.
    pub fn row_mut(&mut self, row: u32) -> &mut [[u8; 4]] {
        bytemuck::cast_slice_mut(self.pixels.row_mut(row))
    }

    /// Gives each pixel the colour of the direction that it shows in the room, to a head in that pose.
    pub(super) fn paint(&mut self, view: &View, pose: Pose, colour: &mut impl FnMut([f64; 3]) -> [u8; 3]) {
        let [width, height] = self.size_px().map(f64::from);
        // Directions change evenly along a row.
        let corner = |u, v| pose.to_room(view.direction([u, v]));
        for row in 0..self.size_px()[1] {
            let v = (f64::from(row) + 0.5) / height;
            let (left, right) = (corner(0.0, v), corner(1.0, v));
            for (column, pixel) in (0u32..).zip(self.row_mut(row)) {
                let u = (f64::from(column) + 0.5) / width;
                let [red, green, blue] =
                    colour(std::array::from_fn(|axis| left[axis] + u * (right[axis] - left[axis])));
                *pixel = [red, green, blue, 255];
            }
        }
    }
}
