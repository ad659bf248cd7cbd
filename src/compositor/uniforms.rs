//! What the shader is told of each frame of one eye: computed in double precision, handed over in single.

use bytemuck::{Pod, Zeroable};
use glam::{DMat3, DQuat, DVec3};

use super::layer::{Anchor, Layer, MAX_LAYERS, Quad};
use super::pose::{Pose, Seen};
use crate::headset::{Channel, Eye, LensKind, Tangents};

/// `struct Projection` of `shaders/composite.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Projection {
    column_x: [f32; 4],
    column_y: [f32; 4],
    column_p: [[f32; 4]; 3],
}

/// `struct Motion` of `shaders/composite.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Motion {
    middle: Projection,
    slope: Projection,
    curve: Projection,
}

/// `struct Frame` of `shaders/composite.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct FrameUniforms {
    picture: Motion,
    size: [f32; 4],
    light: [f32; 4],
    corner: [f32; 4],
    layers: [Motion; MAX_LAYERS],
}

impl FrameUniforms {
    /// For an eye whose part of the panel begins at `left_px`. Where its picture comes from is set anew for each frame
    /// by [`turn`](Self::turn).
    pub fn new(left_px: u32) -> Self {
        Self { light: [255.0, 1.0, 0.0, 0.0], corner: [left_px as f32, 0.0, 0.0, 0.0], ..Self::zeroed() }
    }

    /// For a frame of `picture_px` an eye that was rendered from one pose and is shown from another, through the
    /// eye's lens or none.
    pub fn turn(&mut self, eye: &Eye, through_lens: bool, picture_px: [u32; 2], rendered: Pose, shown: Seen) {
        let to_texel = |pose| to_texel(eye, picture_px, rendered, pose);
        let [width, height] = picture_px.map(f64::from);
        self.picture = Motion::new(eye, through_lens, to_texel(shown.middle()), to_texel, shown, 0.0);
        self.size = [width, height, 1.0 / width, 1.0 / height].map(|part| part as f32);
    }

    /// For layers seen from the pose that is shown; the others are not there.
    pub fn lay_over(&mut self, eye: &Eye, through_lens: bool, layers: &[Layer], shown: Seen) {
        self.layers = std::array::from_fn(|index| match layers.get(index) {
            Some(layer) => {
                let onto = to_quad(eye, &layer.quad, shown.middle());
                let opacity = onto.map_or(0.0, |_| layer.opacity);
                let onto = onto.unwrap_or(DMat3::IDENTITY);
                let at = |pose| to_quad(eye, &layer.quad, pose).unwrap_or(onto);
                Motion::new(eye, through_lens, onto, at, shown, opacity)
            }
            None => Motion::zeroed(),
        });
    }

    /// Scales the light of the eye images.
    pub fn fade(&mut self, fade: f64) {
        self.light[0] = (255.0 * fade.sqrt()) as f32;
        self.light[1] = fade as f32;
    }

    /// Leaves columns left of this one without mura correction.
    pub fn correct_from(&mut self, column: f64) {
        self.light[2] = column as f32;
    }

    /// For the n-th frame; shifts the dither, so that it averages out over time.
    pub fn number(&mut self, frame: u64) {
        // Steps of the golden ratio spread over the unit interval without a visible beat.
        self.light[3] = ((frame % 1024) as f64 * 0.618_033_988_749_894_9).fract() as f32;
    }
}

impl Motion {
    /// For matrices from (u, v, 1) of the unturned eye buffer: the middle line's, and those of other poses.
    fn new(
        eye: &Eye,
        through_lens: bool,
        middle: DMat3,
        at: impl Fn(Pose) -> DMat3,
        shown: Seen,
        opacity: f64,
    ) -> Self {
        let (slope, curve) = match shown {
            Seen::AtOnce(_) => (DMat3::ZERO, DMat3::ZERO),
            // The parabola through three places, of the line from -1 to 1.
            Seen::LineByLine([first, _, last]) => {
                let (first, last) = (at(first), at(last));
                ((last - first) * 0.5, (first + last) * 0.5 - middle)
            }
        };
        Self {
            middle: Projection::new(eye, through_lens, middle, opacity),
            slope: Projection::new(eye, through_lens, slope, 0.0),
            curve: Projection::new(eye, through_lens, curve, 0.0),
        }
    }
}

impl Projection {
    /// For a matrix from (u, v, 1) of the unturned eye buffer.
    fn new(eye: &Eye, through_lens: bool, from_uv: DMat3, opacity: f64) -> Self {
        // Where there is no lens, the shader has (u, v) at hand.
        let through_lens = through_lens && eye.lens.kind != LensKind::Plain;
        let matrices = Channel::ALL.map(|channel| match through_lens {
            true => from_uv * DMat3::from_cols_array_2d(&eye.lens.to_uv(channel)),
            false => from_uv,
        });
        let [x, y, _] = matrices[0].to_cols_array_2d();
        Self {
            column_x: vector(x, 0.0),
            column_y: vector(y, 0.0),
            column_p: std::array::from_fn(|row| {
                vector(matrices.map(|matrix| matrix.z_axis[row]), if row == 2 { opacity } else { 0.0 })
            }),
        }
    }
}

fn vector([x, y, z]: [f64; 3], w: f64) -> [f32; 4] {
    [x, y, z, w].map(|part| part as f32)
}

/// Takes where the lens puts a panel pixel (uv of an unturned eye buffer) to texels of the eye buffer as it was
/// rendered, in homogeneous coordinates.
fn to_texel(eye: &Eye, picture_px: [u32; 2], rendered: Pose, shown: Pose) -> DMat3 {
    let size = DVec3::new(f64::from(picture_px[0]), f64::from(picture_px[1]), 1.0);
    let turn = shown.seen_from(rendered);
    if turn == DQuat::IDENTITY {
        return DMat3::from_diagonal(size);
    }
    let canted = canted(eye);
    let turn = canted.transpose() * DMat3::from_quat(turn) * canted;
    let direction = uv_to_direction(&eye.tangents);
    DMat3::from_diagonal(size) * direction.inverse() * turn * direction
}

/// Takes (u, v, 1) of the unturned eye buffer to (u, v) of a rectangle, 0 to 1 from its top left, in homogeneous
/// coordinates: third above zero where it lies before the eye. None where the eye sees its back or its edge.
fn to_quad(eye: &Eye, quad: &Quad, shown: Pose) -> Option<DMat3> {
    let to_head = match quad.anchor {
        Anchor::Head => DQuat::IDENTITY,
        Anchor::World => DQuat::from_array(shown.orientation).inverse(),
    };
    let turned = DMat3::from_quat(to_head * DQuat::from_array(quad.orientation));
    let position = DVec3::from_array(eye.eye_to_head.map(|row| row[3]));
    let from_eye = to_head * DVec3::from_array(quad.position_m) - position;
    // A direction times what is before the eye is the middle and so much of each side.
    let [width, height] = quad.size_m;
    let sides = DMat3::from_cols(turned.x_axis * width, turned.y_axis * -height, from_eye);
    if turned.z_axis.dot(from_eye) >= 0.0 || sides.determinant() == 0.0 {
        return None;
    }
    let from_middle = DMat3::from_cols(DVec3::X, DVec3::Y, DVec3::new(0.5, 0.5, 1.0));
    Some(from_middle * sides.inverse() * canted(eye) * uv_to_direction(&eye.tangents))
}

/// Takes directions from the eye's space to the head's.
fn canted(eye: &Eye) -> DMat3 {
    DMat3::from_cols_array_2d(&std::array::from_fn(|column| {
        std::array::from_fn(|row| eye.eye_to_head[row][column])
    }))
}

/// Takes (u, v, 1) of the eye buffer to a direction: x right, y up, z backwards.
fn uv_to_direction(tangents: &Tangents) -> DMat3 {
    DMat3::from_cols(
        DVec3::new(tangents.right - tangents.left, 0.0, 0.0),
        DVec3::new(0.0, tangents.down - tangents.up, 0.0),
        DVec3::new(tangents.left, tangents.up, -1.0),
    )
}
