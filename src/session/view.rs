//! How an eye sees: what an application has to know to draw for it.

use std::f64::consts::TAU;

use crate::headset::{Channel, Eye, Lens, Tangents};

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
    /// The visibility mesh: what of its image can be seen while the head has not turned since, as corner points of
    /// triangles, 0 to 1 from the top left, y down. They may reach past the edge. What lies outside need not be drawn.
    pub visible: Vec<[f32; 2]>,
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
            visible: visible(&eye.lens),
        }
    }

    /// The direction that a place of its image shows, in the head's space and of no certain length. Places are 0 to 1
    /// from the top left, y down.
    pub fn direction(&self, [u, v]: [f64; 2]) -> [f64; 3] {
        let Tangents { left, right, up, down } = self.tangents;
        let in_eye = [left + u * (right - left), up + v * (down - up), -1.0];
        self.eye_to_head.map(|row| (0..3).map(|axis| row[axis] * in_eye[axis]).sum())
    }

    /// Where the eye is in the head's space, in metres.
    pub fn position_m(&self) -> [f64; 3] {
        self.eye_to_head.map(|row| row[3])
    }

    /// Takes points of the eye's space to Vulkan's clip space: x right, y down, depth 0 at `near_m` and 1 at `far_m` metres,
    /// which may be infinite. Columns first, as shaders want it.
    pub fn projection(&self, near_m: f64, far_m: f64) -> [[f32; 4]; 4] {
        let Tangents { left, right, up, down } = self.tangents;
        let (width, height) = (right - left, up - down);
        let depth = if far_m.is_finite() { far_m / (near_m - far_m) } else { -1.0 };
        let columns = [
            [2.0 / width, 0.0, 0.0, 0.0],
            [0.0, -2.0 / height, 0.0, 0.0],
            [(right + left) / width, -(up + down) / height, depth, -1.0],
            [0.0, 0.0, near_m * depth, 0.0],
        ];
        columns.map(|column| column.map(|part| part as f32))
    }
}

/// Sides of the polygon that covers what is visible.
const SIDES: usize = 32;
/// Looks along the edge of what is visible, for each side.
const LOOKS: usize = 8;
/// More than what lies between two looks.
const MARGIN: f64 = 1.02;

/// A polygon, as triangles around the lens's centre, that covers every place of the eye's image which any colour of any
/// panel pixel comes from.
fn visible(lens: &Lens) -> Vec<[f32; 2]> {
    if lens.cutoff_r2.is_none() {
        return vec![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    }
    let aspect = lens.aspect_x_over_y;
    let middle = on_panel(lens, 0.0, 0.0);
    let Some(center) = lens.eye_uv(Channel::Green, middle) else { return Vec::new() };
    let mut reach = [0.0f64; SIDES];
    for look in 0..SIDES * LOOKS {
        let angle = TAU * look as f64 / (SIDES * LOOKS) as f64;
        for channel in Channel::ALL {
            let [u, v] = outermost(lens, channel, angle).unwrap_or(center);
            let (x, y) = (u - center[0], (v - center[1]) / aspect);
            let side = (y.atan2(x).rem_euclid(TAU) / TAU * SIDES as f64) as usize % SIDES;
            reach[side] = reach[side].max(x.hypot(y));
        }
    }
    let corner = |index: usize| {
        // Far enough out for the sides on both of its hands, and for those beside them, where a look may have fallen.
        let near = [SIDES - 2, SIDES - 1, 0, 1].map(|step| reach[(index + step) % SIDES]);
        let radius = near.into_iter().fold(0.0, f64::max) * MARGIN / (TAU / SIDES as f64 / 2.0).cos();
        let (sine, cosine) = (TAU * index as f64 / SIDES as f64).sin_cos();
        [(center[0] + radius * cosine) as f32, (center[1] + radius * sine * aspect) as f32]
    };
    let center = center.map(|part| part as f32);
    (0..SIDES).flat_map(|side| [center, corner(side), corner(side + 1)]).collect()
}

/// The panel place that lies so far from the lens's centre, in half panel widths, y down.
fn on_panel(lens: &Lens, angle: f64, radius: f64) -> [f64; 2] {
    let [center_x, center_y] = lens.channel(Channel::Green).center;
    let (x, y) = (center_x + radius * angle.cos(), center_y + radius * angle.sin());
    [(x + 1.0) / 2.0, (y * lens.aspect_x_over_y + 1.0) / 2.0]
}

/// The farthest place of the eye's image that the panel shows in a direction from the lens's centre.
fn outermost(lens: &Lens, channel: Channel, angle: f64) -> Option<[f64; 2]> {
    let look = |radius| {
        let place = on_panel(lens, angle, radius);
        let on_it = place.iter().all(|part| (0.0..=1.0).contains(part));
        lens.eye_uv(channel, place).filter(|_| on_it)
    };
    let (mut seen, mut unseen) = (0.0, 4.0);
    for _ in 0..30 {
        let between = (seen + unseen) / 2.0;
        match look(between) {
            Some(_) => seen = between,
            None => unseen = between,
        }
    }
    look(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headset::Headset;

    fn views() -> Vec<(Lens, View)> {
        let headsets = [Headset::simulated(1, 108, 120), Headset::generic(240, 270)];
        let eyes = headsets.iter().flat_map(|headset| headset.eyes);
        eyes.map(|eye| (eye.lens, View::of(&eye, [108, 120]))).collect()
    }

    #[test]
    fn the_visibility_mesh_covers_all_that_any_pixel_shows() {
        for (lens, view) in views() {
            for index in 0..100 * 100 {
                let place = [f64::from(index % 100) + 0.5, f64::from(index / 100) + 0.5].map(|at| at / 100.0);
                for uv in Channel::ALL.into_iter().filter_map(|channel| lens.eye_uv(channel, place)) {
                    assert!(view.visible.chunks(3).any(|triangle| covers(triangle, uv)), "{uv:?}");
                }
            }
        }
    }

    #[test]
    fn the_visibility_mesh_leaves_out_the_corners_of_a_round_lens() {
        let (_, view) = &views()[0];
        for corner in [[0.01, 0.01], [0.99, 0.01], [0.01, 0.99], [0.99, 0.99]] {
            assert!(!view.visible.chunks(3).any(|triangle| covers(triangle, corner)), "{corner:?}");
        }
    }

    fn covers(triangle: &[[f32; 2]], [u, v]: [f64; 2]) -> bool {
        let side = |from: [f32; 2], to: [f32; 2]| {
            let [from, to] = [from, to].map(|corner| corner.map(f64::from));
            (to[0] - from[0]) * (v - from[1]) - (to[1] - from[1]) * (u - from[0])
        };
        let [a, b, c] = [triangle[0], triangle[1], triangle[2]];
        let sides = [side(a, b), side(b, c), side(c, a)];
        sides.iter().all(|&side| side >= -1e-9) || sides.iter().all(|&side| side <= 1e-9)
    }

    #[test]
    fn a_projection_puts_each_direction_where_the_image_has_it() {
        for (_, view) in views() {
            for (place, far_m) in [([0.0, 0.0], 50.0), ([1.0, 0.25], f64::INFINITY), ([0.5, 1.0], 10.0)] {
                let direction = view.direction(place);
                let clip = |distance: f64| {
                    let columns = view.projection(0.1, far_m).map(|column| column.map(f64::from));
                    let point = [direction[0] * distance, direction[1] * distance, -distance, 1.0];
                    let part = |row: usize| (0..4).map(|axis| columns[axis][row] * point[axis]).sum::<f64>();
                    [part(0) / part(3), part(1) / part(3), part(2) / part(3)]
                };
                let [x, y, near] = clip(0.1);
                assert!(
                    (x - (2.0 * place[0] - 1.0)).abs() < 1e-6 && (y - (2.0 * place[1] - 1.0)).abs() < 1e-6
                );
                let far = clip(far_m.min(1e9))[2];
                assert!(near.abs() < 1e-5 && (far - 1.0).abs() < 1e-5, "{near} {far}");
            }
        }
    }
}
