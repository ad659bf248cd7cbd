//! The part of an eye's panel that its lens shows, as triangles: what lies beyond the cutoff is never drawn.

use crate::headset::{Channel, Lens};

/// Corner points of triangles, in the panel's (u, v): 0 to 1 from the eye's top left, y down. They may reach past the
/// panel's edge, where they are cut off when drawn.
pub fn visible(lens: &Lens) -> Vec<[f32; 2]> {
    let Some(cutoff_r2) = lens.cutoff_r2 else {
        return vec![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    };
    // A polygon around the circle: its sides touch it, so that every pixel within is covered. The shader still tests
    // each pixel, so the polygon only decides what is computed, never what is seen.
    let step = std::f64::consts::TAU / f64::from(SIDES);
    let radius = cutoff_r2.sqrt() / (step / 2.0).cos() + MARGIN;
    let [center_x, center_y] = lens.channel(Channel::Green).center;
    let corner = |index: u32| {
        let angle = step * f64::from(index);
        let x = center_x + radius * angle.sin();
        let y = center_y - radius * angle.cos();
        [((x + 1.0) / 2.0) as f32, ((y * lens.aspect_x_over_y + 1.0) / 2.0) as f32]
    };
    // Rows of two triangles between the corners at equal height on the left and the right.
    (0..SIDES / 2)
        .flat_map(|row| {
            let (left, right) = (corner((SIDES - row) % SIDES), corner(row));
            let (below_left, below_right) = (corner(SIDES - row - 1), corner(row + 1));
            [left, right, below_left, below_left, right, below_right]
        })
        .collect()
}

/// More fit closer, but along the edges where two triangles meet pixels are computed twice.
const SIDES: u32 = 12;

/// In half panel widths: more than the rounding of corner points to single precision and of pixels to the raster.
const MARGIN: f64 = 1e-3;
