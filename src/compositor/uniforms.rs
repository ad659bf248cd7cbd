//! What the shader is told about one eye: computed in double precision, handed over in single.

use bytemuck::{Pod, Zeroable};
use glam::{DMat3, DQuat, DVec3};

use super::layer::{Anchor, Layer, MAX_LAYERS, Quad};
use super::pose::Pose;
use crate::headset::{Channel, Eye, Headset, Lens, Tangents};

/// `struct Projection` of `shaders/composite.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Projection {
    column_x: [f32; 4],
    column_y: [f32; 4],
    column_p: [[f32; 4]; 3],
}

/// `struct Eye` of `shaders/composite.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct EyeUniforms {
    picture: Projection,
    center_x: [f32; 4],
    center_y: [f32; 4],
    k: [[f32; 4]; 4],
    mura: [f32; 4],
    panel: [f32; 4],
    code: [f32; 4],
    light: [f32; 4],
    layers: [Projection; MAX_LAYERS],
}

/// How the pass is to end: what the scanout's codes are and how they are dithered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantisation {
    /// Bits of one channel of the picture that is scanned out.
    pub bits: u32,
    /// Whether to dither.
    pub dither: bool,
}

impl EyeUniforms {
    /// For one eye (0 left, 1 right) of `headset`, on a panel of `eye_px` pixels an eye. Where its picture comes from
    /// is set anew for each frame by [`turn`](Self::turn).
    pub fn new(headset: &Headset, eye: usize, eye_px: [u32; 2], quantisation: Quantisation) -> Self {
        let lens = &headset.eyes[eye].lens;
        let channels = Channel::ALL.map(|channel| lens.channel(channel));
        let cutoff_r2 = lens.cutoff_r2.unwrap_or(f64::from(f32::MAX));
        let mura = headset.mura.as_ref();
        // In 8-bit codes: weight * 255 * scale * (texel / 255 + offset).
        let weights = mura.map_or([0.0; 3], |mura| mura.weights.map(|weight| weight * 255.0 * mura.scale));
        let top_code = f64::from((1u32 << quantisation.bits) - 1);
        // Short of half a step either way, so that a whole code stays the same code in every frame.
        let amplitude = if quantisation.dither { 0.99 } else { 0.0 };
        Self {
            center_x: vector(channels.map(|channel| channel.center[0]), 1.0 / lens.aspect_x_over_y),
            center_y: vector(channels.map(|channel| channel.center[1]), cutoff_r2),
            k: std::array::from_fn(|n| vector(channels.map(|channel| channel.coeffs[n]), 0.0)),
            mura: vector(weights, mura.map_or(0.0, |mura| mura.offset)),
            panel: [1.0 / eye_px[0] as f32, 1.0 / eye_px[1] as f32, (eye as u32 * eye_px[0]) as f32, 0.0],
            code: vector([top_code, mura.map_or(0.0, |mura| mura.black_code), amplitude], 0.0),
            light: [255.0, 1.0, 0.0, 0.0],
            ..Self::zeroed()
        }
    }

    /// For a frame of `picture_px` an eye that was rendered from one pose and is shown from another, through the
    /// eye's lens or none.
    pub fn turn(&mut self, eye: &Eye, through_lens: bool, picture_px: [u32; 2], rendered: Pose, shown: Pose) {
        let to_texel = to_texel(eye, picture_px, rendered, shown);
        let [width, height] = picture_px.map(f64::from);
        self.picture = Projection::new(eye, through_lens, to_texel, [width, height, 0.0]);
    }

    /// For layers seen from the pose that is shown; the others are not there.
    pub fn lay_over(&mut self, eye: &Eye, through_lens: bool, layers: &[Layer], shown: Pose) {
        self.layers = std::array::from_fn(|index| match layers.get(index) {
            Some(layer) => {
                let onto = to_quad(eye, &layer.quad, shown);
                let opacity = onto.map_or(0.0, |_| layer.opacity);
                let onto = onto.unwrap_or(DMat3::IDENTITY);
                Projection::new(eye, through_lens, onto, [0.0, 0.0, opacity])
            }
            None => Projection::new(eye, through_lens, DMat3::IDENTITY, [0.0; 3]),
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
        self.code[3] = ((frame % 1024) as f64 * 0.618_033_988_749_894_9).fract() as f32;
    }
}

impl Projection {
    /// For a matrix from (u, v, 1) of the unturned eye buffer. `fourths` of the third column's rows.
    fn new(eye: &Eye, through_lens: bool, from_uv: DMat3, fourths: [f64; 3]) -> Self {
        let matrices = Channel::ALL.map(|channel| match through_lens {
            true => from_uv * lens_to_uv(&eye.lens, channel),
            false => from_uv,
        });
        let [x, y, _] = matrices[0].to_cols_array_2d();
        Self {
            column_x: vector(x, 0.0),
            column_y: vector(y, 0.0),
            column_p: std::array::from_fn(|row| {
                vector(matrices.map(|matrix| matrix.z_axis[row]), fourths[row])
            }),
        }
    }
}

fn vector([x, y, z]: [f64; 3], w: f64) -> [f32; 4] {
    [x, y, z, w].map(|part| part as f32)
}

/// Takes what the lens formula yields, as distance from the lens's centre, to (u, v) of the eye buffer.
fn lens_to_uv(lens: &Lens, channel: Channel) -> DMat3 {
    let [center_x, center_y] = lens.channel(channel).center;
    let x = 0.5 / (1.0 + lens.grow);
    let y = x * lens.aspect_x_over_y;
    DMat3::from_cols(
        DVec3::new(x, 0.0, 0.0),
        DVec3::new(0.0, y, 0.0),
        DVec3::new(0.5 + center_x * x, 0.5 + center_y * y, 1.0),
    )
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
